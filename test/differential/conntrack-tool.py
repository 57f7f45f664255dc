# Makes a connection table in a namespace of its own and lets the real conntrack list it: `unshare -nm python3 THIS < questions`.
#
# Questions are a JSON list of argument lists; the answer is JSON: what conntrack printed for each, and
# /proc/net/nf_conntrack. Each answer comes with the whole table as it was right before, since seconds go by.

import json
import os
import socket
import subprocess
import sys

# Entries that have no counters and no time stamps, for these are switched on afterwards.
ENTRIES = [
    "-s 10.1.0.1 -d 10.2.0.1 -p tcp --sport 1000 --dport 80 --state ESTABLISHED -u SEEN_REPLY,ASSURED -m 5",
    "-s 10.1.0.2 -d 10.2.0.1 -p tcp --sport 1001 --dport 443 --state SYN_SENT -n 192.0.2.1:5555",
    "-s 10.1.0.2 -d 10.2.0.2 -p udp --sport 53 --dport 53 -g 10.9.9.9:5353 -u SEEN_REPLY",
    "-s 10.1.0.5 -d 10.2.0.2 -p udp --sport 53 --dport 53 -n 10.8.8.8 -g 10.9.9.9:5353 -u SEEN_REPLY",
    "-s 10.1.0.6 -d 10.2.0.2 -p tcp --sport 80 --dport 81 --state TIME_WAIT -n 10.8.8.8 -u SEEN_REPLY,ASSURED",
    "-s 2001:db8::1 -d 2001:db8::2 -p tcp --sport 7 --dport 8 --state CLOSE -m 0x15",
    "-s 10.1.0.3 -d 10.2.0.3 -p icmp --icmp-type 8 --icmp-code 0 --icmp-id 77",
    "-s 10.1.0.3 -d 10.2.0.3 -p udp --sport 5 --dport 6 -w 7",
    "-s 10.1.0.4 -d 10.2.0.4 -p udp --sport 5 --dport 6 --orig-zone 8",
    "-s 10.1.0.4 -d 10.2.0.4 -p udp --sport 5 --dport 7 --reply-zone 8",
    "-s 10.1.0.4 -d 10.2.0.4 -p sctp --sport 5 --dport 6 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2",
    "-s 10.1.0.4 -d 10.2.0.4 -p gre --srckey 0x5 --dstkey 0x77",
    "-s 10.1.0.4 -d 10.2.0.4 -p udplite --sport 5 --dport 6",
    "-s 10.1.0.4 -d 10.2.0.4 -p 89",
    "-s 2001:db8::3 -d 2001:db8::4 -p icmpv6 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7",
    "-s ::ffff:1.2.3.4 -d 2001:db8:0:0:1:0:0:1 -p udp --sport 1 --dport 2 -m 4294967295",
]


def run(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    return {"code": done.returncode, "out": done.stdout, "err": done.stderr}


def must(*argv):
    done = run(*argv)
    if done["code"] != 0:
        raise SystemExit(f"{' '.join(argv)}: {done['err']}")


def traffic():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 999))
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("127.0.0.1", 998))
    client.sendto(b"x", ("127.0.0.1", 999))
    server.recv(9)
    server.sendto(b"yy", ("127.0.0.1", 998))
    listener = socket.socket(socket.AF_INET6)
    listener.bind(("::1", 80))
    listener.listen()
    caller = socket.socket(socket.AF_INET6)
    caller.bind(("::1", 8000))
    caller.connect(("::1", 80))
    callee, _ = listener.accept()
    callee.sendall(b"hello")
    caller.recv(9)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
    raw.sendto(bytes(30), ("127.0.0.1", 0))


def main():
    questions = json.load(sys.stdin)
    # conntrack and iptables read the names of labels from here and nowhere else; times become UTC.
    must("mount", "-t", "tmpfs", "tmpfs", "/etc")
    os.mkdir("/etc/xtables")
    with open("/etc/xtables/connlabel.conf", "w") as file:
        file.write("1 web\n3 voip\n5 bulk\n")
    must("ip", "link", "set", "lo", "up")
    sysctls = "/proc/sys/net/netfilter/"
    for name in ("nf_conntrack_acct", "nf_conntrack_timestamp"):
        open(f"{sysctls}{name}", "w").write("0")
    for label in ("voip", "bulk"):
        must("iptables-legacy", "-A", "OUTPUT", "-p", "udp", "-m", "connlabel", "--label", label, "--set")
    must("ip6tables-legacy", "-A", "OUTPUT", "-m", "conntrack", "--ctstate", "NEW")
    for entry in ENTRIES:
        must("conntrack", "-I", "-t", "1000", *entry.split())
    for name in ("nf_conntrack_acct", "nf_conntrack_timestamp"):
        open(f"{sysctls}{name}", "w").write("1")
    traffic()

    def table():
        return run("conntrack", "-L", "-o", "extended,id,ktimestamp,labels")["out"]

    answers = [{"table": table(), **run("conntrack", "-L", *question)} for question in questions]
    proc = {"table": table(), "code": 0, "out": open("/proc/net/nf_conntrack").read(), "err": ""}
    json.dump({"answers": answers, "proc": proc}, sys.stdout)


main()
