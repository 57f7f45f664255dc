#!/bin/sh
# Forwards the frames of a capture through the running kernel: forward.sh CAPTURE RULES. Runs in a network namespace of its own,
# which is gone afterwards. Frames come by v1, whose address they bear, and leave by an interface that drops them. Prints the
# seconds that sending took, and the statistics of that interface.
set -e
ip link set lo up
ip link add v0 type veth peer name v1
ip link set v1 address 02:00:00:00:00:fe
ip link add out type ifb
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.v1.rp_filter=0
for name in v0 v1 out; do ip link set "$name" up; done
ip route add default dev out
iptables-legacy-restore < "$2"
tcpreplay --preload-pcap --topspeed --intf1=v0 "$1" 2>&1 | sed -n 's/.* sent in \([0-9.]*\) seconds.*/\1/p'
ip -j -s link show out
