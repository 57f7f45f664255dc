# Counts as conntrack -S does: writes packets to a TAP port of a namespace of its own, `unshare -n python3 THIS < packets`.
#
# Packets are IPv4 from 10.0.0.2 to 10.0.0.1, a JSON list of hex strings; the answer is what conntrack -S printed.

import fcntl
import json
import os
import re
import struct
import subprocess
import sys

TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
PEER = "02:00:00:00:00:01"


def must(command):
    done = subprocess.run(command.split(), capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stderr}")
    return done.stdout


packets = json.load(sys.stdin)
port = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", b"tap0", IFF_TAP | IFF_NO_PI))
open("/proc/sys/net/ipv6/conf/tap0/disable_ipv6", "w").write("1")
must("ip link set tap0 up")
must("ip addr add 10.0.0.1/24 dev tap0")
must(f"ip neigh add 10.0.0.2 lladdr {PEER} dev tap0")
# What the host answers is not to be counted, and conntrack works only where a rule wants it.
must("iptables-legacy -t raw -A OUTPUT -j NOTRACK")
must("iptables-legacy -A INPUT -m conntrack --ctstate INVALID")
own = re.search(r"ether (\S+)", must("ip link show tap0")).group(1)
header = bytes.fromhex((own + PEER).replace(":", "")) + b"\x08\x00"
for packet in packets:
    os.write(port, header + bytes.fromhex(packet))
sys.stdout.write(must("conntrack -S"))
