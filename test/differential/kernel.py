# How do frames get into a running kernel one by one, and how is everything that it says about each of them kept?
#
# Runs inside a network namespace of its own (`unshare --net`), which disappears with this process. It creates TAP
# ports and three netlink sockets, then speaks a line protocol with its parent (kernel.ts), which sets up the rest:
#
#   stdout  ready TICK WALL  ports and sockets are there; the parent now loads addresses, routes, sysctls, rules
#   stdin   go PID PID       the frames are sent; those are the `conntrack -E` that listen to the events, too
#   stdout  sent             all frames are delivered; the parent now reads the table and the counters
#   stdin   end              what is left in the sockets is kept, and the process ends
#
# A frame written to a TAP port is received, filtered and forwarded before write() returns (tun_get_user calls
# netif_receive_skb), so whatever the sockets hold after the write belongs to that frame. The frame's source address
# carries its number as a second witness (NFULA_HWADDR), which kernel.ts checks.
#
# What the host itself sends goes through a raw socket, whose send() likewise returns after the last hook, with
# SO_PRIORITY as the mark by which rules tell it from what the kernel answers on its own.
#
# The job (a JSON file, first argument): frames, answers (paths), ports (names, in order), groups (NFLOG numbers),
# priority (of what the host sends), outgoing (keep the frames that leave, too).
#
# Frames file, little endian, per frame:  u32 number, u32 wait_ms, u16 port, u16 length, u16 query length, bytes, query
#   port: OWN is added for an IP packet that the host sends, NAMED if the port is named to the socket
#   query: a ctnetlink request for the entry of the frame's flow, sent right after the frame; empty if it has none
# Answers file, per record:               u8 kind, u32 number, u32 length, bytes
#   kind 1  NFLOG datagram (raw netlink)
#   kind 2  conntrack event datagram (raw netlink)
#   kind 3  frame sent: see SENT
#   kind 4  frame that left: u8 port, bytes
#   kind 5  answer to the frame's query (raw netlink)
#   kind 6  the socket refused what the host was to send: i32 errno
# number is that of the frame being delivered, 0 before the first; after the last it stays the last one's.

import ctypes
import errno
import fcntl
import json
import os
import select
import socket
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
NETLINK_NETFILTER = 12
SO_RCVBUFFORCE = 33
SYS_PIDFD_GETFD = 438  # the same on every architecture
NFNL_SUBSYS_ULOG, NFULNL_MSG_CONFIG = 4, 1
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2
NFULNL_CFG_CMD_BIND = 1
NFULNL_COPY_PACKET = 2
NFULA_CFG_CMD, NFULA_CFG_MODE, NFULA_CFG_QTHRESH, NFULA_CFG_FLAGS = 1, 2, 5, 6
NFULNL_CFG_F_SEQ = 1
# NFNLGRP_CONNTRACK_NEW, _UPDATE, _DESTROY as bits, then NFNLGRP_CONNTRACK_EXP_NEW, _UPDATE, _DESTROY.
CONNTRACK_GROUPS = 1 | 2 | 4 | 8 | 16 | 32
SOCKET_BYTES = 256 << 20
COPY_BYTES = 192  # enough of a packet to tell what it is

RECORD = struct.Struct('<BII')
FRAME = struct.Struct('<IIHHH')
# Beginning of the jiffy before and after the write: conntrack measures time in jiffies. CLOCK_MONOTONIC, ns.
SENT = struct.Struct('<QQ')
COARSE = 6  # CLOCK_MONOTONIC_COARSE, which Python does not name
NFLOG, EVENT, FRAME_SENT, FRAME_LEFT, ENTRY, REFUSED = 1, 2, 3, 4, 5, 6
OWN, NAMED = 0x100, 0x200
IP_PKTINFO = 8  # which Python does not name
# A frame is sent neither in the first part of a jiffy, when the tick may not have been counted yet, nor in the last, so
# that none is counted while the frame is on its way.
GUARD_NS = 300_000
# How late the tick may be counted when we look for the beginning of jiffies.
LATE_NS = 1_000_000


def attribute(kind, data):
    length = 4 + len(data)
    return struct.pack('=HH', length, kind) + data + b'\0' * (-length % 4)


def configure(sock, group, attributes):
    """One NFLOG configuration request for `group`; raises OSError with the kernel's answer."""
    body = struct.pack('=BBH', socket.AF_UNSPEC, 0, socket.htons(group)) + attributes
    kind = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG
    sock.send(struct.pack('=IHHII', 16 + len(body), kind, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
    answer = sock.recv(65536)
    code = struct.unpack_from('=i', answer, 16)[0]
    if struct.unpack_from('=H', answer, 4)[0] != NLMSG_ERROR or code != 0:
        raise OSError(-code, f'NFLOG group {group}: {os.strerror(-code)}')


def open_netlink(groups):
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES)
    sock.bind((0, groups))
    return sock


def open_log(groups):
    sock = open_netlink(0)
    for group in groups:
        configure(sock, group, attribute(NFULA_CFG_CMD, struct.pack('=B', NFULNL_CFG_CMD_BIND)))
        settings = attribute(NFULA_CFG_MODE, struct.pack('!IBB', COPY_BYTES, NFULNL_COPY_PACKET, 0))
        settings += attribute(NFULA_CFG_QTHRESH, struct.pack('!I', 1))
        settings += attribute(NFULA_CFG_FLAGS, struct.pack('!H', NFULNL_CFG_F_SEQ))
        configure(sock, group, settings)
    return sock


def open_port(name):
    port = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(port, TUNSETIFF, struct.pack('16sH22x', name.encode(), IFF_TAP | IFF_NO_PI))
    return port


class Sender:
    """The host's own packets, headers and all, through raw sockets."""

    def __init__(self, ports, priority):
        self.indexes = [socket.if_nametoindex(name) for name in ports]
        self.sockets = {}
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
            sock = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, priority)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self.sockets[version] = sock

    def send(self, packet, port):
        """Returns 0, or why the packet was not even taken. A packet that OUTPUT drops was taken (EPERM)."""
        version, named = packet[0] >> 4, port & NAMED
        index = self.indexes[port & 0xFF] if named else 0
        if version == 4:
            target = socket.inet_ntop(socket.AF_INET, packet[16:20])
            info = (socket.IPPROTO_IP, IP_PKTINFO, struct.pack('=I8x', index))
        else:
            target = socket.inet_ntop(socket.AF_INET6, packet[24:40])
            info = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack('=16xI', index))
        try:
            self.sockets[version].sendmsg([packet], [info] if named else [], 0, (target, 0))
        except OSError as error:
            return 0 if error.errno == errno.EPERM else error.errno
        return 0


class Keeper:
    """Reads whatever the sockets and ports hold and appends it to the answers. ENOBUFS (a loss) is not caught."""

    def __init__(self, job):
        self.out = open(job['answers'], 'wb', buffering=1 << 20)
        self.outgoing = job.get('outgoing', False)
        self.log = open_log(job['groups'])
        self.events = open_netlink(CONNTRACK_GROUPS)
        self.entries = open_netlink(0)
        for sock in (self.log, self.events):
            sock.setblocking(False)
        self.ports = [open_port(name) for name in job['ports']]
        self.sender = Sender(job['ports'], job['priority'])

    def keep(self, kind, number, data):
        self.out.write(RECORD.pack(kind, number, len(data)))
        self.out.write(data)

    def drain(self, number):
        for sock, kind in ((self.log, NFLOG), (self.events, EVENT)):
            recv = sock.recv
            while True:
                try:
                    data = recv(65536)
                except BlockingIOError:
                    break
                self.keep(kind, number, data)

    def drain_ports(self, number):
        for index, port in enumerate(self.ports):
            while True:
                try:
                    data = os.read(port, 65536)
                except BlockingIOError:
                    break
                if self.outgoing:
                    self.keep(FRAME_LEFT, number, bytes([index]) + data)


def clock_offset():
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, ns."""
    before = time.monotonic_ns()
    wall = time.time_ns()
    return wall - (before + time.monotonic_ns()) // 2


def check_alignment(tick):
    """Jiffies begin at multiples of their length (tick_init_jiffy_update): makes sure of it, as everything hangs on it."""
    gettime = time.clock_gettime_ns
    for _ in range(100):
        start = gettime(COARSE)
        while gettime(COARSE) == start:
            pass
        if gettime(time.CLOCK_MONOTONIC) % tick < LATE_NS:
            return
    sys.exit('jiffies do not begin where CLOCK_MONOTONIC is a multiple of their length')


def send_all(keeper, frames):
    tick = round(time.clock_getres(COARSE) * 1e9)
    gettime, write, ports = time.clock_gettime_ns, os.write, keeper.ports
    fine = time.CLOCK_MONOTONIC
    at, end, since = 0, len(frames), 0
    number = 0
    check_alignment(tick)
    while at < end:
        number, wait_ms, port, length, query_length = FRAME.unpack_from(frames, at)
        at += FRAME.size
        frame = frames[at:at + length]
        at += length
        query = frames[at:at + query_length]
        at += query_length
        if wait_ms:
            deadline = gettime(fine) + wait_ms * 1_000_000
            while (left := deadline - gettime(fine)) > 0:
                keeper.drain(number - 1)
                time.sleep(min(left / 1e9, 0.05))
        while not GUARD_NS < (now := gettime(fine)) % tick < tick - GUARD_NS:
            pass
        before = now // tick * tick
        # Each tick moves the coarse clock to less than a jiffy before its own time. Where that is older, the tick is late.
        late = gettime(COARSE) < before - tick
        if port & OWN:
            if refusal := keeper.sender.send(frame, port):
                keeper.keep(REFUSED, number, struct.pack('<i', refusal))
        else:
            write(ports[port], frame)
        keeper.drain(number)
        if query_length:
            keeper.entries.send(query)
            keeper.keep(ENTRY, number, keeper.entries.recv(65536))
        after = gettime(fine) // tick * tick
        if late:
            after = max(after, before + tick)
        keeper.keep(FRAME_SENT, number, SENT.pack(before, after))
        since += 1
        if keeper.outgoing or since == 64:
            keeper.drain_ports(number)
            since = 0
    return number


def widen(pid):
    """Gives the netlink sockets of another process our buffer size: conntrack 1.4.7 applies -b to the wrong one."""
    libc = ctypes.CDLL(None, use_errno=True)
    process, found = os.pidfd_open(pid), 0
    for fd in os.listdir(f'/proc/{pid}/fd'):
        if not os.readlink(f'/proc/{pid}/fd/{fd}').startswith('socket:'):
            continue
        copy = libc.syscall(SYS_PIDFD_GETFD, process, int(fd), 0)
        if copy < 0:
            raise OSError(ctypes.get_errno(), f'pidfd_getfd: {os.strerror(ctypes.get_errno())}')
        with socket.socket(fileno=copy) as sock:
            if sock.family == socket.AF_NETLINK:
                sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES)
                found += 1
    os.close(process)
    if not found:
        sys.exit(f'process {pid} has no netlink socket')


def expect(word):
    """Waits for a line that starts with the word and returns the rest of its words."""
    words = sys.stdin.readline().split()
    if words[:1] != [word]:
        sys.exit(f'expected "{word}" from the parent, got "{words}"')
    return words[1:]


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        job = json.load(file)
    keeper = Keeper(job)
    with open(job['frames'], 'rb') as file:
        frames = memoryview(file.read())
    tick = round(time.clock_getres(COARSE) * 1e9)
    print('ready', tick, clock_offset(), flush=True)
    for pid in expect('go'):
        widen(int(pid))
    keeper.drain(0)
    keeper.drain_ports(0)
    number = send_all(keeper, frames)
    print('sent', flush=True)
    # The parent's reading of the table makes the kernel evict what has expired: those events are wanted, too.
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        keeper.drain(number)
    expect('end')
    keeper.drain(number)
    keeper.out.close()
    print('done', flush=True)


if __name__ == '__main__':
    main()
