# Makes expectations in a namespace of its own and lets the real conntrack and the kernel print them: `unshare -n python3 THIS`.
#
# Out comes JSON: what `conntrack -L expect` printed with each set of modes (by name, "" for none), the same for
# `conntrack -E expect`, and /proc/net/nf_conntrack_expect under "proc".

import json
import socket
import struct
import subprocess
import time

MODES = ["", "xml", "timestamp", "xml,timestamp"]

RULES = """*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
%s
COMMIT
"""
HELPED = "-A OUTPUT -p %s -m %s --dport %d -j CT %s--helper %s"

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"
HEAD = (
    "{0} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060\r\nFrom: <sip:b@127.0.0.1>\r\nTo: <sip:a@127.0.0.1>\r\nCall-ID: 1\r\n"
    "CSeq: 1 {1}\r\nContact: <sip:b@127.0.0.1:5060>\r\n"
)


def must(*argv, text=None):
    done = subprocess.run(argv, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def datagram(family, source, target, data):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(source)
    sock.sendto(data, target)


def pptp(kind, length, body):
    """A control message of RFC 2637 section 2, filled up with zeros."""
    head = struct.pack(">HHIHH", length, 1, 0x1A2B3C4D, kind, 0)
    return (head + body).ljust(length, b"\0")


def call():
    """A control connection over loopback whose peers have agreed on an outgoing call, which is GRE; both ends stay open."""
    server = socket.create_server(("127.0.0.1", 1723))
    client = socket.create_connection(("127.0.0.1", 1723))
    peer, _ = server.accept()
    for sender, receiver, message in (
        (client, peer, pptp(1, 156, b"")),
        (peer, client, pptp(2, 156, struct.pack(">HB", 0x100, 1))),
        (client, peer, pptp(7, 168, struct.pack(">H", 0x1234))),
        (peer, client, pptp(8, 32, struct.pack(">HHB", 0x77, 0x1234, 1))),
    ):
        sender.sendall(message)
        receiver.recv(1000)
    return server, client, peer


def main():
    must("ip", "link", "set", "lo", "up")
    helped4 = [("udp", 69, "", "tftp"), ("udp", 70, "--zone 5 ", "tftp"), ("udp", 5060, "", "sip"), ("tcp", 1723, "", "pptp")]
    rules = [HELPED % (name, name, port, zone, helper) for name, port, zone, helper in helped4]
    rules += ["-A PREROUTING -p udp -m udp --dport 70 -j CT --zone 5"]
    must("iptables-legacy-restore", text=RULES % "\n".join(rules))
    must("ip6tables-legacy-restore", text=RULES % (HELPED % ("udp", "udp", 69, "", "tftp")))
    argv = lambda modes: ["conntrack", "-E", "expect", *(["-o", modes] if modes else [])]
    listeners = {modes: subprocess.Popen(argv(modes), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for modes in MODES}
    time.sleep(0.5)
    request = b"\0\1file\0octet\0"
    datagram(socket.AF_INET, ("127.0.0.1", 4000), ("127.0.0.1", 69), request)
    datagram(socket.AF_INET, ("127.0.0.1", 4001), ("127.0.0.1", 70), request)
    datagram(socket.AF_INET6, ("::1", 4000), ("::1", 69), request)
    invite = HEAD.format("INVITE sip:a@127.0.0.1", "INVITE") + "Content-Type: application/sdp\r\n"
    invite += f"Content-Length: {len(SDP)}\r\n\r\n{SDP}"
    register = HEAD.format("REGISTER sip:127.0.0.1", "REGISTER") + "Expires: 100\r\n\r\n"
    for text in (invite, register):
        datagram(socket.AF_INET, ("127.0.0.1", 5060), ("127.0.0.1", 5060), text.encode())
    ends = call()
    answer = {"list": {}, "events": {}}
    for modes in MODES:
        option = ["-o", modes] if modes else []
        answer["list"][modes] = "".join(must("conntrack", "-L", "expect", "-f", f, *option) for f in ("ipv4", "ipv6"))
    with open("/proc/net/nf_conntrack_expect") as file:
        answer["proc"] = file.read()
    must("conntrack", "-F", "expect")
    time.sleep(0.3)
    for end in ends:
        end.close()
    for modes, listener in listeners.items():
        listener.send_signal(2)  # SIGINT: it ends what it prints
        answer["events"][modes] = listener.communicate()[0].decode()
    print(json.dumps(answer))


main()
