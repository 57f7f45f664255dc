# The programs whose traffic captures/record.sh records: servers and clients of Python's standard library, which is to
# say real sockets on the real kernel. Usage: record-programs.py PROGRAM [ARGUMENT]...

import array
import fcntl
import http.client
import http.server
import select
import socket
import struct
import sys
import threading
import time


def offload_off(*devices):
    """Checksums computed and segments cut by the sender, so that captures hold what a wire would."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for device in devices:
        for command in (0x15, 0x17, 0x1F, 0x24, 0x2C):  # ETHTOOL_SRXCSUM, _STXCSUM, _STSO, _SGSO, _SGRO
            value = array.array("B", struct.pack("II", command, 0))
            request = struct.pack("16sP", device.encode(), value.buffer_info()[0])
            try:
                fcntl.ioctl(sock, 0x8946, request)  # SIOCETHTOOL
            except OSError as error:
                if command in (0x17, 0x1F):
                    raise SystemExit(f"{device}: {error}")


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        size = int(self.path.rsplit("/", 1)[-1] or 200)
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write((b"ctreplay " * (size // 9 + 1))[:size])

    def log_message(self, *_):
        pass


class Web6(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


def answer(query):
    """A DNS answer with one address, or none at all for names that begin with "lost" (RFC 1035 section 4)."""
    if query[13:17] == b"lost":
        return None
    header = query[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0)
    return header + query[12:] + struct.pack(">HHHIH4s", 0xC00C, 1, 1, 300, 4, socket.inet_aton("203.0.113.5"))


def dns_udp(family, address):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((address, 53))
    while True:
        query, peer = sock.recvfrom(512)
        reply = answer(query)
        if reply:
            sock.sendto(reply, peer)


def listen(family, address, port):
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen()
    return sock


def dns_tcp(address):
    sock = listen(socket.AF_INET, address, 53)
    while True:
        connection, _ = sock.accept()
        with connection:
            query = connection.recv(2048)[2:]
            reply = answer(query)
            connection.sendall(struct.pack(">H", len(reply)) + reply)
            connection.recv(1)


def echo(address):
    """A terminal's other end: sends back what is typed, until the line is closed."""
    sock = listen(socket.AF_INET, address, 22)
    while True:
        connection, _ = sock.accept()
        threading.Thread(target=echo_one, args=(connection,), daemon=True).start()


def echo_one(connection):
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(4096):
            connection.sendall(data)
            if b"ls\r" in data:
                connection.sendall(b"README.md  assembly  captures  src  test\r\n" * 20)


def serve(web4, web6, dns4):
    """All servers of the dmz, until killed. Says "ready" when they listen."""
    jobs = [
        http.server.ThreadingHTTPServer((web4, 80), Pages).serve_forever,
        Web6((web6, 80), Pages).serve_forever,
        lambda: dns_udp(socket.AF_INET, dns4),
        lambda: dns_udp(socket.AF_INET6, web6),
        lambda: dns_tcp(dns4),
        lambda: echo(web4),
    ]
    for job in jobs:
        threading.Thread(target=job, daemon=True).start()
    time.sleep(0.5)
    print("ready", flush=True)
    threading.Event().wait()


def get(host, *paths, close=False):
    """One connection, one request per path (keep-alive), closed by the client; or by the server if asked to."""
    connection = http.client.HTTPConnection(host, 80, timeout=10)
    for path in paths:
        connection.request("GET", path, headers={"Connection": "close"} if close else {})
        connection.getresponse().read()
        time.sleep(0.05)
    connection.close()


def refused(host, port):
    try:
        socket.create_connection((host, int(port)), timeout=2)
    except OSError:
        pass


def web(host):
    get(host, "/200", "/1000", "/20000")
    get(host, "/3000", close=True)
    refused(host, 81)
    # The client hangs up in the middle of an answer: RST.
    sock = socket.create_connection((host, 80))
    sock.sendall(b"GET /60000 HTTP/1.1\r\nHost: example\r\n\r\n")
    sock.recv(1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def query(name, number):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)


def lookup(server, *names):
    """Asks each name over UDP as a resolver does: three tries, a second apart."""
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    for number, name in enumerate(names, 1):
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((server, 53))
            for _ in range(3):
                try:
                    sock.send(query(name, number))
                    if select.select([sock], [], [], 1)[0]:
                        sock.recv(512)
                        break
                except ConnectionRefusedError:
                    pass  # Port unreachable came back.


def lookup_tcp(server, name):
    with socket.create_connection((server, 53)) as sock:
        data = query(name, 99)
        sock.sendall(struct.pack(">H", len(data)) + data)
        sock.recv(2048)


def resolver_session(server):
    """One socket for many questions over more than two seconds: becomes a stream."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((server, 53))
        for number in range(4):
            sock.send(query(f"host{number}.example", number))
            sock.recv(512)
            time.sleep(0.8)


def ping(host, count):
    """Echo requests from an unprivileged ICMP socket (net.ipv4.ping_group_range), 0.2 s apart."""
    six = ":" in host
    family, protocol, kind = (socket.AF_INET6, 58, 128) if six else (socket.AF_INET, 1, 8)
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as sock:
        sock.settimeout(1)
        sock.connect((host, 0))
        for number in range(1, int(count) + 1):
            sock.send(struct.pack(">BBHHH", kind, 0, 0, 0, number) + bytes(range(48)))
            try:
                sock.recv(1500)
            except OSError:
                pass
            time.sleep(0.2)


def traceroute(host, hops):
    """UDP to rising ports with rising TTL, as traceroute does: TTL exceeded on the way, port unreachable at the end."""
    six = ":" in host
    for ttl in range(1, int(hops) + 1):
        for probe in range(3):
            with socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM) as sock:
                if six:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
                else:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
                sock.sendto(bytes(32), (host, 33434 + 3 * (ttl - 1) + probe))
                time.sleep(0.02)


def session(host, seconds):
    """Somebody types, looks, thinks: small writes, answers, silences, TCP keep-alives in the longer ones."""
    with socket.create_connection((host, 22)) as sock:
        for option, value in ((socket.TCP_NODELAY, 1), (socket.TCP_KEEPIDLE, 2), (socket.TCP_KEEPINTVL, 2)):
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        end = time.monotonic() + float(seconds)
        pauses = [0.5, 2.5, 0.2, 5.5, 1.0]
        turn = 0
        while time.monotonic() < end:
            for letter in b"ls\r" if turn % 2 else b"cd src\r":
                sock.sendall(bytes([letter]))
                sock.recv(4096)
                time.sleep(0.08)
            while select.select([sock], [], [], 0.1)[0]:
                sock.recv(65536)
            time.sleep(pauses[turn % len(pauses)])
            turn += 1


def scan(host, *ports):
    """Connects to every port at once and hangs up; ports that answer are seen, the others refuse or keep silent."""
    socks = []
    for port in ports:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex((host, int(port)))
        socks.append(sock)
        time.sleep(0.01)
    time.sleep(1.5)
    for sock in socks:
        sock.close()


def knock(host, *ports):
    """One UDP packet to each port."""
    for port in ports:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"\0" * 8, (host, int(port)))
            time.sleep(0.02)


def main():
    programs = {
        "offload-off": offload_off, "serve": serve, "get": get, "refused": refused, "web": web, "lookup": lookup,
        "lookup-tcp": lookup_tcp, "resolver-session": resolver_session, "ping": ping, "traceroute": traceroute,
        "session": session, "scan": scan, "knock": knock,
    }  # fmt: skip
    programs[sys.argv[1]](*sys.argv[2:])


main()
