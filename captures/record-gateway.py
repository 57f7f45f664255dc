#!/usr/bin/env python3
# Records captures/gateway/ anew: programs that people run talk through a gateway that translates, and the gateway itself is
# listened to, on both legs or with `tcpdump -i any`, while the kernel says what it makes of it.
#
#     lan (clients) ── lan  gateway  wan ── wan (servers)
#
# All three are network namespaces, connected to nothing else, that disappear with this script. Needs root and, from Debian,
# iproute2 iptables conntrack tcpdump procps curl openssl dnsmasq-base bind9-dnsutils vsftpd tftpd-hpa; takes two minutes.
#
#     captures/record-gateway.py [NAME...]       all recordings, or these
#
# Each folder NAME holds
#     any.pcap, lan.pcap, wan.pcap   as captured at the gateway (-i any: Linux cooked v2), nanoseconds
#     host/                          the gateway's files as its tools printed them before the first packet
#     events, expectations           conntrack -E -o timestamp,extended and conntrack -E expect -o timestamp, as they came
#     table, moment                  conntrack -L -o extended at the end, and when that was, ns since 1970
#     counters                       iptables-save -c at the end

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = [sys.executable, str(HERE / "record-programs.py")]
PREFIX = f"ctreplay-gateway-{os.getpid()}"
MACS = {"lan": "02:00:00:00:fd:01", "wan": "02:00:00:00:fd:02"}
PEERS = {"lan": "02:00:00:00:fd:11", "wan": "02:00:00:00:fd:12"}

NAT = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
FILTER = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
STATEFUL = (
    "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    "-A FORWARD -m conntrack --ctstate INVALID -j DROP\n"
)
MASQUERADE = "-A POSTROUTING -o wan -j MASQUERADE\nCOMMIT\n"
OUTWARD = "-A FORWARD -i lan -o wan -m conntrack --ctstate NEW -j ACCEPT\nCOMMIT\n"
SIMPLE = NAT + MASQUERADE + FILTER + STATEFUL + OUTWARD


def helper(name, protocol, port):
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    return raw + f"-A PREROUTING -i lan -p {protocol} -m {protocol} --dport {port} -j CT --helper {name}\nCOMMIT\n"


class Lab:
    """The three namespaces, what runs in them, and the folder that the recording goes to."""

    def __init__(self, name, lan, wan, captures):
        self.out = HERE / "gateway" / name
        self.work = Path(tempfile.mkdtemp(prefix="ctreplay-gateway-"))
        self.work.chmod(0o755)
        self.captures = captures
        self.running = []
        self.networks = {"lan": lan, "wan": wan}

    def ns(self, name):
        return f"{PREFIX}-{name}"

    def run(self, where, *words, check=True, **options):
        return subprocess.run(["ip", "netns", "exec", self.ns(where), *words], check=check, **options)

    def read(self, where, *words):
        return self.run(where, *words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    def start(self, where, *words, **options):
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        process = subprocess.Popen(["ip", "netns", "exec", self.ns(where), *words], **options)
        self.running.append(process)
        return process

    def stop(self, process, how):
        self.running.remove(process)
        process.send_signal(how)
        process.wait()

    def build(self, rules, sysctls):
        for name in ("gw", "lan", "wan"):
            subprocess.run(["ip", "netns", "add", self.ns(name)], check=True)
            settings = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
            self.run(name, "sysctl", "-q", "-w", *settings, "net.ipv4.ping_group_range=0 2147483647")
            self.run(name, "ip", "link", "set", "lo", "up")
        for leg, (gateway, others) in self.networks.items():
            peer = ["type", "veth", "peer", "name", "eth0", "address", PEERS[leg], "netns", self.ns(leg)]
            subprocess.run(["ip", "-n", self.ns("gw"), "link", "add", leg, "address", MACS[leg], *peer], check=True)
            self.run("gw", *PROGRAMS, "offload-off", leg)
            self.run(leg, *PROGRAMS, "offload-off", "eth0")
            self.run("gw", "ip", "address", "add", gateway, "brd", "+", "dev", leg)
            for address in others:
                self.run(leg, "ip", "address", "add", address, "brd", "+", "dev", "eth0")
            self.run("gw", "ip", "link", "set", leg, "up")
            self.run(leg, "ip", "link", "set", "eth0", "up")
            self.run(leg, "ip", "route", "add", "default", "via", gateway.split("/")[0])
        # The last network of the servers' leg is what lies beyond; the gateway knows one way out.
        self.run("gw", "ip", "route", "add", "default", "via", self.networks["wan"][1][0].split("/")[0])
        self.run("gw", "iptables-legacy-restore", input=rules, text=True)
        forward = ["net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_acct=1", "net.ipv4.icmp_ratelimit=0"]
        self.run("gw", "sysctl", "-q", "-w", *forward, *sysctls)

    def describe(self):
        shutil.rmtree(self.out, ignore_errors=True)
        host = self.out / "host"
        host.mkdir(parents=True)
        (host / "iptables-save").write_text(undated(self.read("gw", "iptables-legacy-save")))
        wanted = re.compile(r"net\.(ipv4\.(ip_forward|ipfrag_\w+) |netfilter\.nf_conntrack_(?!count))")
        lines = self.read("gw", "sysctl", "-a").splitlines(keepends=True)
        (host / "sysctl").write_text("".join(sorted(line for line in lines if wanted.match(line))))
        for name, words in {
            "addr": ["addr"],
            "link": ["link"],
            "route": ["route", "show", "table", "all"],
            "rule": ["rule"],
        }.items():
            (host / f"{name}.json").write_text(self.read("gw", "ip", "-j", *words))

    def record(self, traffic):
        listeners = [
            self.start("gw", "conntrack", "-E", "-o", "timestamp,extended", stdout=(self.out / "events").open("w")),
            self.start("gw", "conntrack", "-E", "expect", "-o", "timestamp", stdout=(self.out / "expectations").open("w")),
        ]
        dumps = []
        for name in self.captures:
            words = ["tcpdump", "-i", name, "--time-stamp-precision=nano", "-U", "-Z", "root"]
            words += ["-y", "LINUX_SLL2"] if name == "any" else []
            log = (self.work / f"{name}.log").open("w")
            dumps.append(self.start("gw", *words, "-w", str(self.out / f"{name}.pcap"), stderr=log))
        wait_for(lambda: all("listening on" in (self.work / f"{name}.log").read_text() for name in self.captures))
        time.sleep(0.3)
        traffic(self)
        time.sleep(0.7)
        (self.out / "moment").write_text(f"{time.time_ns()}\n")
        (self.out / "table").write_text(self.read("gw", "conntrack", "-L", "-o", "extended"))
        (self.out / "counters").write_text(undated(self.read("gw", "iptables-legacy-save", "-c")))
        time.sleep(0.5)
        for process in listeners + dumps:
            self.stop(process, signal.SIGINT)

    def close(self):
        for process in list(self.running):
            self.stop(process, signal.SIGTERM)
        for name in ("gw", "lan", "wan"):
            subprocess.run(["ip", "netns", "delete", self.ns(name)], check=False, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.work)


def wait_for(condition):
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise SystemExit("it did not come up")


def listening(lab, where, address):
    """Waits until somebody listens there."""
    wait_for(lambda: f" {address} " in lab.read(where, "ss", "-Hlnt"))


def undated(text):
    """A dated comment is all that would differ from run to run."""
    return re.sub(r"^# (Generated by .*|Completed) on .*", r"# \1", text, flags=re.M)


def web_pages(lab, where, address):
    pages = lab.work / "pages"
    pages.mkdir(exist_ok=True)
    (pages / "index.html").write_text("ctreplay\n" * 30)
    (pages / "long").write_text("ctreplay\n" * 900)
    host, port = address.split(":")
    lab.start(where, sys.executable, "-m", "http.server", "-b", host, "-d", str(pages), port)
    listening(lab, where, address)


def curl(lab, where, *words):
    lab.run(where, "curl", "-s", "--max-time", "3", *words, check=False, stdout=subprocess.DEVNULL)


# The recordings: name -> legs (the gateway's address, the others'), what is captured, rules, sysctls, servers, traffic.


class Web:
    """A web server behind masquerading, and everything that goes wrong beside: dropped, rejected, refused, TTL too small."""

    lan = ("10.0.1.1/24", ["10.0.1.2/24"])
    wan = ("192.0.2.1/24", ["192.0.2.254/24", "203.0.113.80/32"])
    captures = ["any", "lan", "wan"]
    rules = (
        NAT + MASQUERADE + FILTER + STATEFUL
        + "-A INPUT -i lan -p tcp -m tcp --dport 8000 -m conntrack --ctstate NEW -j ACCEPT\n"
        + "-A FORWARD -p tcp -m tcp --dport 8080 -j DROP\n"
        + "-A FORWARD -p tcp -m tcp --dport 23 -j REJECT --reject-with tcp-reset\n"
        + "-A FORWARD -p udp -m udp --dport 69 -j REJECT --reject-with icmp-port-unreachable\n"
        + OUTWARD
    )  # fmt: skip
    sysctls = []

    @staticmethod
    def serve(lab):
        web_pages(lab, "wan", "203.0.113.80:80")
        web_pages(lab, "gw", "10.0.1.1:8000")

    @staticmethod
    def traffic(lab):
        site = "http://203.0.113.80"
        curl(lab, "lan", f"{site}/", f"{site}/long")
        curl(lab, "lan", "http://10.0.1.1:8000/")
        curl(lab, "gw", f"{site}/long")
        curl(lab, "lan", "--max-time", "1.5", f"{site}:8080/")
        curl(lab, "lan", f"{site}:23/")
        curl(lab, "lan", f"{site}:81/")
        lab.run("lan", *PROGRAMS, "knock", "203.0.113.80", "69", "70")
        lab.run("lan", *PROGRAMS, "traceroute", "203.0.113.80", "2")
        # Nobody is there: the gateway says so when it has given up asking.
        lab.run("lan", *PROGRAMS, "ping", "192.0.2.77", "1")
        time.sleep(3)


class Https:
    """A masqueraded connection from its first packet to the end of its entry."""

    lan = ("192.168.2.1/24", ["192.168.2.55/24"])
    wan = ("193.157.56.3/24", ["193.157.56.1/24", "217.254.1.76/32"])
    captures = ["lan", "wan"]
    rules = SIMPLE
    sysctls = ["net.netfilter.nf_conntrack_tcp_timeout_time_wait=3"]

    @staticmethod
    def serve(lab):
        key, certificate = str(lab.work / "key"), str(lab.work / "certificate")
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=217.254.1.76"]
        subprocess.run([*make, "-keyout", key, "-out", certificate], check=True, stderr=subprocess.DEVNULL)
        server = ["openssl", "s_server", "-accept", "217.254.1.76:443", "-www", "-quiet"]
        lab.start("wan", *server, "-key", key, "-cert", certificate)
        listening(lab, "wan", "217.254.1.76:443")

    @staticmethod
    def traffic(lab):
        curl(lab, "lan", "-k", "https://217.254.1.76/")
        # Until the kernel's collector has come by.
        wait_for_events = lab.out / "events"
        for _ in range(70):
            if "[DESTROY]" in wait_for_events.read_text():
                return
            time.sleep(1)


class Ping:
    """Echo requests through masquerading, and to the gateway."""

    lan = ("192.168.2.1/24", ["192.168.2.55/24"])
    wan = ("193.157.56.3/24", ["193.157.56.1/24", "217.254.1.76/32"])
    captures = ["any"]
    rules = NAT + MASQUERADE + FILTER + "-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT\n" + STATEFUL + OUTWARD
    sysctls = []

    @staticmethod
    def serve(lab):
        pass

    @staticmethod
    def traffic(lab):
        lab.run("lan", *PROGRAMS, "ping", "217.254.1.76", "3")
        lab.run("lan", *PROGRAMS, "ping", "192.168.2.1", "1")
        lab.run("gw", *PROGRAMS, "ping", "217.254.1.76", "1")


class Dns:
    """A resolver on the gateway that asks one on the internet, and clients who ask elsewhere and are redirected to it."""

    lan = ("10.0.1.1/24", ["10.0.1.2/24"])
    wan = ("192.0.2.1/24", ["192.0.2.254/24", "203.0.113.53/32"])
    captures = ["any"]
    rules = (
        NAT + "-A PREROUTING -i lan -p udp -m udp --dport 53 -j REDIRECT --to-ports 53\n"
        + MASQUERADE + FILTER + "-A INPUT -i lo -j ACCEPT\n" + STATEFUL
        + "-A INPUT -i lan -p udp -m udp --dport 53 -j ACCEPT\n"
        + OUTWARD
    )  # fmt: skip
    sysctls = []

    @staticmethod
    def serve(lab):
        common = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]
        common += ["--bind-interfaces", "--except-interface=lo", "--pid-file="]
        zone = ["--host-record=www.example,203.0.113.80", "--txt-record=long.example," + ",".join(["x" * 200] * 8)]
        lab.start("wan", *common, "--listen-address=203.0.113.53", *zone)
        lab.start("gw", *common, "--listen-address=10.0.1.1", "--server=203.0.113.53")
        listening(lab, "wan", "203.0.113.53:53")
        listening(lab, "gw", "10.0.1.1:53")

    @staticmethod
    def traffic(lab):
        dig = ["dig", "+tries=1", "+time=2"]
        for words in (
            ["@10.0.1.1", "www.example"],
            ["@198.51.100.99", "www.example"],
            ["@10.0.1.1", "nobody.example"],
            ["@203.0.113.53", "+tcp", "long.example", "TXT"],
        ):
            lab.run("lan", *dig, *words, check=False, stdout=subprocess.DEVNULL)


class Hairpin:
    """A web server of the lan published on the gateway's address, asked for from outside and from the lan itself."""

    lan = ("10.1.2.1/24", ["10.1.2.3/24", "10.1.2.80/24"])
    wan = ("198.51.100.32/24", ["198.51.100.1/24", "203.0.113.47/32"])
    captures = ["any", "lan", "wan"]
    rules = (
        NAT + "-A PREROUTING -d 198.51.100.32/32 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.1.2.80:80\n"
        + "-A POSTROUTING -s 10.1.2.0/24 -d 10.1.2.80/32 -o lan -p tcp -m tcp --dport 80 -j MASQUERADE\n"
        + MASQUERADE + FILTER + STATEFUL
        + "-A FORWARD -d 10.1.2.80/32 -p tcp -m tcp --dport 80 -m conntrack --ctstate DNAT -j ACCEPT\n"
        + OUTWARD
    )  # fmt: skip
    sysctls = ["net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.lan.send_redirects=0"]

    @staticmethod
    def serve(lab):
        web_pages(lab, "lan", "10.1.2.80:80")

    @staticmethod
    def traffic(lab):
        curl(lab, "wan", "--interface", "203.0.113.47", "http://198.51.100.32:8080/long")
        curl(lab, "lan", "--interface", "10.1.2.3", "http://198.51.100.32:8080/")
        curl(lab, "wan", "--interface", "203.0.113.47", "http://198.51.100.32:8081/")


class Ftp:
    """An FTP server beyond masquerading, which the gateway's helper looks after."""

    lan = ("10.1.2.1/24", ["10.1.2.3/24"])
    wan = ("198.51.100.32/24", ["198.51.100.1/24", "203.0.113.47/32"])
    captures = ["lan", "wan"]
    rules = helper("ftp", "tcp", 21) + NAT + MASQUERADE + FILTER + STATEFUL + OUTWARD
    sysctls = []

    @staticmethod
    def serve(lab):
        files = lab.work / "files"
        files.mkdir()
        (files / "README").write_text("ctreplay\n" * 100)
        empty = lab.work / "empty"
        empty.mkdir()
        settings = lab.work / "vsftpd.conf"
        settings.write_text(
            "listen=YES\nlisten_ipv6=NO\nlisten_address=203.0.113.47\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\n"
            f"ftp_username=daemon\nanon_root={files}\nsecure_chroot_dir={empty}\nconnect_from_port_20=YES\nno_anon_password=YES\n"
            "seccomp_sandbox=NO\nisolate_network=NO\nisolate=NO\nxferlog_enable=NO\n"
        )
        lab.start("wan", "vsftpd", str(settings))
        listening(lab, "wan", "203.0.113.47:21")


class FtpActive(Ftp):
    @staticmethod
    def traffic(lab):
        curl(lab, "lan", "--ftp-port", "-", "--disable-eprt", "ftp://203.0.113.47/README")
        curl(lab, "lan", "--ftp-port", "-", "ftp://203.0.113.47/")


class FtpPassive(Ftp):
    @staticmethod
    def traffic(lab):
        curl(lab, "lan", "--disable-epsv", "ftp://203.0.113.47/README")
        curl(lab, "lan", "ftp://203.0.113.47/README")


class Tftp:
    """A file fetched by TFTP, which answers from another port."""

    lan = ("10.1.2.1/24", ["10.1.2.3/24"])
    wan = ("198.51.100.32/24", ["198.51.100.1/24", "203.0.113.47/32"])
    captures = ["any"]
    rules = helper("tftp", "udp", 69) + NAT + MASQUERADE + FILTER + STATEFUL + OUTWARD
    sysctls = []

    @staticmethod
    def serve(lab):
        files = lab.work / "files"
        files.mkdir()
        (files / "boot").write_text("ctreplay\n" * 200)
        lab.start("wan", "in.tftpd", "-L", "-4", "--user", "nobody", "--secure", "-a", "203.0.113.47:69", str(files))
        time.sleep(0.5)

    @staticmethod
    def traffic(lab):
        curl(lab, "lan", "tftp://203.0.113.47/boot")
        curl(lab, "lan", "tftp://203.0.113.47/nothing")


RECORDINGS = {
    "web": Web, "https": Https, "ping": Ping, "dns": Dns, "hairpin": Hairpin,
    "ftp-active": FtpActive, "ftp-passive": FtpPassive, "tftp": Tftp,
}  # fmt: skip


def main():
    # On one processor packets and events cannot overtake each other.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for name in sys.argv[1:] or RECORDINGS:
        what = RECORDINGS[name]
        lab = Lab(name, what.lan, what.wan, what.captures)
        try:
            lab.build(what.rules, what.sysctls)
            what.serve(lab)
            # Nothing of the preparations is left.
            lab.run("gw", "conntrack", "-F", stderr=subprocess.DEVNULL)
            for table in ("raw", "nat", "filter"):
                lab.run("gw", "iptables-legacy", "-t", table, "-Z")
            lab.describe()
            lab.record(what.traffic)
        finally:
            lab.close()
        size = sum(file.stat().st_size for file in lab.out.rglob("*.pcap"))
        print(f"{name}: {size} bytes of captures, {len((lab.out / 'events').read_text().splitlines())} events")


main()
