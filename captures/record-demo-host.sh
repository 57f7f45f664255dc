#!/bin/bash
# Prints the two hosts of the demo, demo-host-old and demo-host-new: an office gateway before and after a change of its
# firewall. The gateway is built for real, in a network namespace of its own that disappears with this script; the files
# are what the usual tools print there. Needs root, iproute2, iptables and procps:
#
#   captures/record-demo-host.sh
#
#     internet ── eth0 (198.51.100.254/24, 2001:db8:99::1/64)   gateway   eth1 (192.168.10.1/24, 2001:db8:10::1/64) ── lan
#                                                                 eth2 (203.0.113.1/28, 2001:db8:2::1/64) ── dmz
#
# The lan's private addresses are routed, not translated: NAT is another demo.
set -euo pipefail
cd "$(dirname "$0")"

if [ "${DEMO_HOST_NAMESPACE:-}" != yes ]; then
  exec env DEMO_HOST_NAMESPACE=yes unshare --net --mount --kill-child bash "./$(basename "$0")"
fi

# The other ends of the cables lie in a second namespace, which lives as long as this process.
unshare --net sleep 60 &
others=$!
trap 'kill $others' EXIT
until [ "$(readlink "/proc/$others/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.05; done

# Link-layer addresses are stated so that the files are the same at each run; the link-local ones follow from them.
port() { # name, link-layer address, IPv4, IPv6
  ip link add "$1" address "$2" type veth peer name "$1"-peer netns "$others"
  nsenter --net="/proc/$others/ns/net" ip link set "$1"-peer up
  ip addr add "$3" brd + dev "$1"
  ip link set "$1" up
  ip addr add "$4" dev "$1" nodad
}

sysctl -q -w net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=0
ip link set lo up
port eth0 02:00:00:00:fe:00 198.51.100.254/24 2001:db8:99::1/64
port eth1 02:00:00:00:fe:01 192.168.10.1/24 2001:db8:10::1/64
port eth2 02:00:00:00:fe:02 203.0.113.1/28 2001:db8:2::1/64
ip route add default via 198.51.100.1 dev eth0
ip -6 route add default via 2001:db8:99::fe dev eth0
# Private networks that this office does not have must not leave by the default route.
ip route add unreachable 10.0.0.0/8
ip route add unreachable 172.16.0.0/12
ip route add unreachable 192.168.0.0/16
ip -6 route add unreachable fc00::/7
sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
sysctl -q -w net.netfilter.nf_conntrack_tcp_timeout_established=86400 net.netfilter.nf_conntrack_acct=1

# The rules of one family. What differs between the families: addresses, ICMP, the REJECT answers.
#   $1 old or new; $2 4 or 6
rules() {
  local icmp echo prohibited port_unreachable lan web dns anti_spoof
  if [ "$2" = 4 ]; then
    icmp="-p icmp" echo="-p icmp -m icmp --icmp-type 8"
    prohibited=icmp-admin-prohibited port_unreachable=icmp-port-unreachable
    lan=192.168.10.0/24 web=203.0.113.5/32 dns=203.0.113.6/32
    anti_spoof="192.168.10.0/24 203.0.113.0/28"
  else
    icmp="-p ipv6-icmp" echo="-p ipv6-icmp -m icmp6 --icmpv6-type 128"
    prohibited=icmp6-adm-prohibited port_unreachable=icmp6-port-unreachable
    lan=2001:db8:10::/64 web=2001:db8:2::5/128 dns=2001:db8:2::6/128
    anti_spoof="2001:db8:10::/64 2001:db8:2::/64"
  fi
  cat <<RULES
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
RULES
  for network in $anti_spoof; do
    echo "-A PREROUTING -s $network -i eth0 -m comment --comment \"spoofed from the internet\" -j DROP"
  done
  cat <<RULES
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:dmz-in - [0:0]
:lan-out - [0:0]
:reject-new - [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -j DROP
-A INPUT $echo -j ACCEPT
RULES
  [ "$2" = 4 ] || echo "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT"
  [ "$2" = 4 ] || echo "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT"
  cat <<RULES
-A INPUT -s $lan -i eth1 -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT
-A INPUT -i eth1 -p udp -m multiport --dports 53,123 -j ACCEPT
-A INPUT -i eth1 -j REJECT --reject-with $port_unreachable
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -i eth1 -j lan-out
-A FORWARD -i eth0 -o eth2 -j dmz-in
-A FORWARD -i eth2 -o eth0 -p udp -m udp --dport 53 -m conntrack --ctstate NEW -j ACCEPT
RULES
  [ "$1" = old ] || echo "-A FORWARD -m limit --limit 5/minute --limit-burst 10 -j LOG --log-prefix \"forward-drop: \""
  cat <<RULES
-A FORWARD -j reject-new
-A dmz-in -d $web -p tcp -m multiport --dports 80,443 -m conntrack --ctstate NEW -j ACCEPT
RULES
  [ "$1" = new ] || echo "-A dmz-in -d $web -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT"
  echo "-A dmz-in -d $dns -p udp -m udp --dport 53 -j ACCEPT"
  [ "$1" = old ] || echo "-A dmz-in -d $dns -p tcp -m tcp --dport 53 -m conntrack --ctstate NEW -j ACCEPT"
  cat <<RULES
-A dmz-in $echo -j ACCEPT
RULES
  # Moved to the top, this one now also meets what the rule behind it is there to let through.
  local no_foreign_dns="-A lan-out -p tcp -m tcp --dport 53 -j REJECT --reject-with tcp-reset"
  [ "$1" = old ] || echo "$no_foreign_dns"
  cat <<RULES
-A lan-out -d $dns -o eth2 -p tcp -m tcp --dport 53 -m conntrack --ctstate NEW -j ACCEPT
RULES
  [ "$1" = new ] || echo "$no_foreign_dns"
  cat <<RULES
-A lan-out -o eth2 -p udp -m udp --dport 53 -j ACCEPT
-A lan-out -d $web -o eth2 -p tcp -m multiport --dports 22,80,443 -m conntrack --ctstate NEW -j ACCEPT
-A lan-out -s $lan -o eth0 -p tcp -m multiport --dports 22,25,80,443 -m conntrack --ctstate NEW -j ACCEPT
-A lan-out -s $lan -o eth0 -p udp -m multiport --dports 53,123,443 -j ACCEPT
-A lan-out -p udp -m udp --dport 33434:33523 -m comment --comment traceroute -j ACCEPT
-A lan-out $echo -j ACCEPT
-A reject-new -m addrtype --dst-type MULTICAST -j DROP
-A reject-new -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT --reject-with tcp-reset
-A reject-new $icmp -j DROP
-A reject-new -j REJECT --reject-with $prohibited
COMMIT
RULES
}

# A dated comment is all that would differ from run to run.
undated() { sed -E 's/^(# (Generated by|Completed on).*) on .*/\1/; s/^# Completed on .*/# Completed/'; }

for host in old new; do
  directory=demo-host-$host
  mkdir -p "$directory"
  rules $host 4 | iptables-legacy-restore
  rules $host 6 | ip6tables-legacy-restore
  iptables-legacy-save | undated >"$directory/iptables-save"
  ip6tables-legacy-save | undated >"$directory/ip6tables-save"
  sysctl -a 2>/dev/null |
    grep -E '^net\.(ipv4\.ip_forward|ipv6\.conf\.all\.forwarding|netfilter\.nf_conntrack_)' |
    grep -v nf_conntrack_count | LC_ALL=C sort >"$directory/sysctl"
  ip -j addr >"$directory/addr.json"
  ip -j link >"$directory/link.json"
  ip -j route >"$directory/route.json"
  ip -j -6 route >"$directory/route6.json"
  ip -j rule >"$directory/rule.json"
done
