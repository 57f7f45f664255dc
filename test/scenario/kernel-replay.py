# What does the running kernel make of these packets? Run as `unshare --net python3 kernel-replay.py`: a job (JSON) comes
# in on standard input, what the kernel did goes out on standard output.
#
# The new network namespace is a router with two legs, `lan` and `wan`, each one end of a veth pair; its other end is
# where packets are put on the wire (AF_PACKET), and nobody lives there: neighbours have a made-up hardware address, so
# whatever the router sends out is discarded at the far end. Packets of the router's own addresses are sent by a raw
# socket. An nftables table that changes nothing logs each packet right after connection tracking and at the end of its
# path (NFLOG); `conntrack -E` runs all the time, and the lines it prints are attributed to packets by counting the
# netlink messages that each packet caused.
#
# job:    {"routes": [{"address", "dev"}], "local": [{"address", "length" of its network or none, "dev"}], "sysctls": {key: value},
#          "rules4": text, "rules6": text, "sets": text, "counters": bool,
#          "packets": [{"at": seconds, "from": "lan" | "wan" | "local", "hex": IP packet, "tick": bool,
#                       "whole": the packet that it is a fragment of}]}
# result: {"packets": [{"state", "dir", "path", "accepted", "replies": [hex], "events": [line], "expectations": [line],
#                       "counters": text}],
#          "expiries": [{"at": seconds, "line"}], "table": [line], "pending": [line]}

import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

GROUP = 5
OWN_PRIORITY = 0x7777  # skb->priority of what we send from a raw socket: tells it from what the kernel answers
MAC = {"lan": "02:00:00:00:0a:01", "wan": "02:00:00:00:0b:01"}
NEIGHBOUR = "02:00:00:00:0c:99"
STATES = ["new", "established", "related", "invalid", "untracked"]

OBSERVER = """
table inet observer {
  chain pre { type filter hook prerouting priority -199; %(states)s }
  chain out { type filter hook output priority -199; meta priority != %(own)d return; %(states)s }
  chain answers {
    type filter hook output priority -400;
    meta priority %(own)d return
    log prefix "answer" group %(group)d queue-threshold 1
    ct state related return
    drop
  }
  chain forward-seen { type filter hook forward priority -500; log prefix "path forward" group %(group)d queue-threshold 1; }
  chain input-seen { type filter hook input priority -500; log prefix "path input" group %(group)d queue-threshold 1; }
}
"""

# Behind everything, helpers included: of hooks with one priority, the one that was registered last comes first.
LAST = """
table inet last {
  chain input-end { type filter hook input priority 2147483647; log prefix "end input" group %(group)d queue-threshold 1; }
  chain post-end { type filter hook postrouting priority 2147483647; log prefix "end post" group %(group)d queue-threshold 1; }
}
"""


def run(*command, text=None):
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def sysctl(key, value):
    with open("/proc/sys/" + key.replace(".", "/"), "w") as file:
        file.write(str(value))


def family(address):
    return "-6" if ":" in address else "-4"


def build_router(job):
    for name in ("all", "default"):
        sysctl(f"net.ipv4.conf.{name}.rp_filter", 0)
        sysctl(f"net.ipv4.conf.{name}.send_redirects", 0)
        sysctl(f"net.ipv4.conf.{name}.accept_local", 1)
        sysctl(f"net.ipv6.conf.{name}.accept_dad", 0)
        sysctl(f"net.ipv6.conf.{name}.addr_gen_mode", 1)
    sysctl("net.ipv4.icmp_ratelimit", 0)
    sysctl("net.ipv6.icmp.ratelimit", 0)
    for dev in ("lan", "wan"):
        run("ip", "link", "add", dev, "address", MAC[dev], "mtu", "9000", "type", "veth", "peer", "name", dev + "p", "mtu", "9000")
        sysctl(f"net.ipv6.conf.{dev}p.disable_ipv6", 1)
        for end in (dev, dev + "p"):
            run("ip", "link", "set", end, "up")
    run("ip", "link", "set", "lo", "up")
    sysctl("net.ipv4.ip_forward", 1)
    sysctl("net.ipv6.conf.all.forwarding", 1)
    # The router needs some address to answer from (ICMP errors).
    run("ip", "-4", "address", "add", "192.0.2.254/32", "dev", "lan")
    run("ip", "-6", "address", "add", "2001:db8:ffff::254/128", "dev", "lan", "nodad")
    for local in job["local"]:
        extra = ["nodad"] if ":" in local["address"] else []
        address = local["address"]
        if "length" in local:
            address += f"/{local['length']}"
            extra += ["brd", "+"]
        run("ip", family(address), "address", "add", address, "dev", local["dev"], *extra)
    for route in job["routes"]:
        run("ip", family(route["address"]), "route", "add", route["address"], "dev", route["dev"])
        run("ip", family(route["address"]), "neigh", "replace", route["address"], "lladdr", NEIGHBOUR, "dev", route["dev"])
    run("nft", "-f", "-", text=LAST % {"group": GROUP})
    # Otherwise a CT rule that is loaded while nobody listens, as now, has no event masks (nf_ct_ecache_ext_add()).
    sysctl("net.netfilter.nf_conntrack_events", 1)
    for key, value in job["sysctls"].items():
        sysctl(key, value)
    if job.get("sets"):
        run("ipset", "restore", text=job["sets"])
    if job.get("rules4"):
        run("iptables-legacy-restore", text=job["rules4"])
    if job.get("rules6"):
        run("ip6tables-legacy-restore", text=job["rules6"])
    states = ""
    for state in STATES:
        directions = ("",) if state in ("invalid", "untracked") else ("original", "reply")
        for direction in directions:
            match = f"ct direction {direction}" if direction else ""
            states += f'ct state {state} {match} log prefix "state {state} {direction}" group {GROUP} queue-threshold 1;\n'
    run("nft", "-f", "-", text=OBSERVER % {"states": states, "own": OWN_PRIORITY, "group": GROUP})


def netlink_attribute(kind, data):
    return struct.pack("=HH", len(data) + 4, kind) + data + b"\0" * (-len(data) % 4)


def open_nflog():
    """A netlink socket that receives the packets of log group GROUP, whole (linux/netfilter/nfnetlink_log.h)."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    sock.bind((0, 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    for attribute in (
        netlink_attribute(1, struct.pack("=B", 1)),  # NFULA_CFG_CMD: BIND
        netlink_attribute(2, struct.pack(">IBB", 0xFFFF, 2, 0)),  # NFULA_CFG_MODE: COPY_PACKET
    ):
        body = struct.pack(">BBH", 0, 0, GROUP) + attribute
        message = struct.pack("=IHHII", len(body) + 16, 4 << 8 | 1, 1 | 4, 1, 0) + body
        sock.send(message)
        answer = sock.recv(1 << 20)
        while struct.unpack_from("=H", answer, 4)[0] != 2:  # not NLMSG_ERROR: a packet that was logged meanwhile
            answer = sock.recv(1 << 20)
        error = struct.unpack_from("=i", answer, 16)[0]
        if error:
            raise SystemExit(f"NFLOG: {os.strerror(-error)}")
    return sock


def open_events(groups):
    """A netlink socket that receives conntrack's events, only to count them."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    sock.bind((0, groups))
    sock.setblocking(False)
    return sock


def messages(sock):
    """Netlink messages waiting on the socket: (type, payload)."""
    while select.select([sock], [], [], 0)[0]:
        data = sock.recv(1 << 20)
        while len(data) >= 16:
            length, kind = struct.unpack_from("=IH", data)
            yield kind, data[16:length]
            data = data[(length + 3) & ~3 :]


def logged(sock):
    """Packets logged so far: (prefix, IP packet)."""
    for kind, body in messages(sock):
        if kind != 4 << 8:  # NFNL_SUBSYS_ULOG, NFULNL_MSG_PACKET
            continue
        prefix, payload, at = "", b"", 4
        while at + 4 <= len(body):
            length, name = struct.unpack_from("=HH", body, at)
            value = body[at + 4 : at + length]
            if name & 0x7FFF == 10:  # NFULA_PREFIX
                prefix = value.rstrip(b"\0").decode().strip()
            elif name & 0x7FFF == 9:  # NFULA_PAYLOAD
                payload = value
            at += (length + 3) & ~3
        yield prefix, payload


def same(one, other):
    """Are these the same IP packet, but for what routing changes (TTL, checksum of the header, IPv4 options)?"""
    if one[:1] != other[:1]:
        return False
    if one[0] >> 4 == 6:
        return one[8:] == other[8:]
    header = (one[0] & 15) * 4
    return one[12:20] + one[header:] == other[12:20] + other[header:]


def translated(one, other, helped):
    """Is this the same packet behind NAT? Addresses, ports, ids, checksums and quoted packets may differ; where helpers are
    about, payloads and sequence numbers, too."""
    if one[:1] != other[:1] or (len(one) != len(other) and not helped):
        return False
    six = one[0] >> 4 == 6
    protocol, header = (6, 40) if six else (9, (one[0] & 15) * 4)
    if one[protocol] != other[protocol]:
        return False
    a, b = one[header:], other[header:]
    if helped and one[protocol] in (6, 17):
        return one[protocol] == 17 or a[12:16] == b[12:16]
    if one[protocol] == 6:
        return a[4:16] == b[4:16] and a[18:] == b[18:]
    if one[protocol] == 17:
        return a[4:6] + a[8:] == b[4:6] + b[8:]
    return a[:2] == b[:2]


class Listener:
    """`conntrack -E`, of entries or of expectations, and how many of its lines are still to come."""

    def __init__(self, *table):
        # Groups NEW, UPDATE and DESTROY; NFNL_SUBSYS_CTNETLINK and NFNL_SUBSYS_CTNETLINK_EXP.
        self.groups, self.subsystem = (0x38, 2) if table else (7, 1)
        self.counting = open_events(self.groups)
        self.process = subprocess.Popen(["conntrack", "-E", *table], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.buffer = b""
        deadline = time.monotonic() + 5
        while not self.listening():
            if time.monotonic() > deadline:
                raise SystemExit("conntrack -E does not listen")
            time.sleep(0.002)
        for _ in messages(self.counting):
            pass

    def listening(self):
        with open("/proc/net/netlink") as table:
            rows = [line.split() for line in table][1:]
        return sum(1 for row in rows if row[1] == "12" and int(row[3], 16) & self.groups == self.groups) >= 2

    def lines(self):
        wanted = sum(1 for kind, _ in messages(self.counting) if kind >> 8 == self.subsystem)
        out = []
        deadline = time.monotonic() + 5
        while len(out) < wanted:
            line, newline, rest = self.buffer.partition(b"\n")
            if newline:
                out.append(line.decode())
                self.buffer = rest
            elif select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                self.buffer += os.read(self.process.stdout.fileno(), 65536)
            else:
                raise SystemExit("conntrack -E printed fewer lines than the kernel sent")
        return out

    def stop(self):
        self.process.kill()
        self.process.wait()


class Wire:
    """Puts packets where they come from."""

    def __init__(self):
        self.links = {}
        for dev in ("lan", "wan"):
            link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            link.bind((dev + "p", 0))
            self.links[dev] = link
        self.raw4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.raw6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        for sock in (self.raw4, self.raw6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, OWN_PRIORITY)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)

    def send(self, origin, packet):
        six = packet[0] >> 4 == 6
        if origin == "local":
            sock = self.raw6 if six else self.raw4
            target = packet[24:40] if six else packet[16:20]
            try:
                sock.sendto(packet, (socket.inet_ntop(socket.AF_INET6 if six else socket.AF_INET, target), 0))
            except PermissionError:
                pass  # The rules dropped it in OUTPUT.
            return
        target = bytes.fromhex(MAC[origin].replace(":", ""))
        source = bytes.fromhex(NEIGHBOUR.replace(":", ""))
        self.links[origin].send(target + source + struct.pack(">H", 0x86DD if six else 0x0800) + packet)


def observe(nflog, packet, whole, nat, helped):
    """What became of the packet, or of the one it is a fragment of: reads the log until nothing more comes. With `nat`
    it may look different behind connection tracking, even more so with helpers."""
    seen = {"state": "NONE", "dir": None, "path": None, "accepted": False, "replies": []}
    quiet_after = time.monotonic() + 0.05
    while True:
        left = quiet_after - time.monotonic()
        if left <= 0 or not select.select([nflog], [], [], left)[0]:
            return seen
        for prefix, payload in logged(nflog):
            what, _, rest = prefix.partition(" ")
            if what == "answer":
                seen["replies"].append(payload.hex())
                continue
            as_sent = same(payload, packet) or same(payload, whole)
            if not as_sent and not (nat and translated(payload, whole, helped)):
                continue
            if what == "state" and not as_sent:
                # Over loopback, as it was translated.
                seen["accepted"] = False
            elif what == "state":
                state, _, direction = rest.partition(" ")
                seen["state"], seen["dir"] = state.upper(), direction or None
                # What comes back over loopback has to pass once more.
                seen["accepted"] = False
            elif what == "path":
                seen["path"] = seen["path"] or rest
            elif what == "end":
                seen["accepted"] = True
                seen["path"] = seen["path"] or "output"
            quiet_after = time.monotonic() + 0.003


def main():
    job = json.load(sys.stdin)
    build_router(job)
    nflog = open_nflog()
    wire = Wire()
    listener = Listener()
    expecting = Listener("expect")
    packets, expiries = [], []
    rules = (job.get("rules4") or "") + (job.get("rules6") or "")
    nat, helped = "*nat" in rules, "--helper" in rules
    start = time.monotonic()

    def wait_until(at):
        # Listing the table makes the kernel drop what has expired, and say so.
        while True:
            left = start + at - time.monotonic()
            if left > 0.3:
                time.sleep(0.1 if left < 10 else 0.25)
                run("conntrack", "-L")
                now = time.monotonic() - start
                expiries.extend({"at": now, "line": line} for line in listener.lines())
            else:
                if left > 0:
                    time.sleep(left)
                return

    for item in job["packets"]:
        wait_until(item["at"])
        if item.get("tick"):
            run("conntrack", "-L")
            now = time.monotonic() - start
            expiries.extend({"at": now, "line": line} for line in listener.lines())
            packets.append({"at": now, "events": [], "expectations": expecting.lines()})
            continue
        packet = bytes.fromhex(item["hex"])
        for _ in messages(nflog):
            pass
        at = time.monotonic() - start
        wire.send(item["from"], packet)
        seen = observe(nflog, packet, bytes.fromhex(item.get("whole") or item["hex"]), nat, helped)
        seen["at"] = at
        seen["events"] = listener.lines()
        seen["expectations"] = expecting.lines()
        if job.get("counters"):
            tool = "ip6tables-legacy-save" if packet[0] >> 4 == 6 else "iptables-legacy-save"
            seen["counters"] = run(tool, "-c")
        packets.append(seen)
    table = []
    for name in ("ipv4", "ipv6"):
        table.extend(run("conntrack", "-L", "-f", name, "-o", "extended").splitlines())
    pending = []
    for name in ("ipv4", "ipv6"):
        pending.extend(run("conntrack", "-L", "expect", "-f", name).splitlines())
    listener.stop()
    expecting.stop()
    json.dump({"packets": packets, "expiries": expiries, "table": table, "pending": pending}, sys.stdout)


main()
