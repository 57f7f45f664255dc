#!/bin/bash
# Records the captures of this folder anew: real programs talk between network namespaces through a gateway that
# forwards without NAT, and tcpdump listens on the gateway, on the side of the client. Nothing is connected to the
# outside. Needs root, iproute2, tcpdump and python3; takes about a minute.
#
#   lan client        gateway                          dmz                            internet client
#   192.168.10.20 --- 192.168.10.1 | 203.0.113.1 ----- 203.0.113.5 web, 203.0.113.6 DNS
#   2001:db8:10::20   2001:db8:10::1 | 2001:db8:2::1   2001:db8:2::5
#                     198.51.100.254 ----------------------------------------------- 198.51.100.7
#                     2001:db8:99::1                                                 2001:db8:99::7
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}
ns=ctreplay-record-$$
programs=(python3 "$here/record-programs.py")
pids=()

finish() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  for name in gw lan dmz wan; do ip netns delete "$ns-$name" 2>/dev/null || true; done
}
trap finish EXIT

in_ns() {
  local name=$1
  shift
  ip netns exec "$ns-$name" "$@"
}

# A leg of the gateway: name, gateway's addresses, the other side's addresses (the first of each family is the route).
leg() {
  local name=$1 gateway4=$2 gateway6=$3
  shift 3
  ip netns add "$ns-$name"
  ip -n "$ns-gw" link add "$name" type veth peer name eth0 netns "$ns-$name"
  # Offloads off before the first packet.
  in_ns gw "${programs[@]}" offload-off "$name"
  in_ns "$name" "${programs[@]}" offload-off eth0
  ip -n "$ns-gw" address add "$gateway4/24" dev "$name"
  ip -n "$ns-gw" address add "$gateway6/64" dev "$name" nodad
  for address in "$@"; do
    case $address in
      *:*) ip -n "$ns-$name" address add "$address/64" dev eth0 nodad ;;
      *) ip -n "$ns-$name" address add "$address/24" dev eth0 ;;
    esac
  done
  ip -n "$ns-gw" link set "$name" up
  ip -n "$ns-$name" link set eth0 up
  ip -n "$ns-$name" link set lo up
  ip -n "$ns-$name" route add default via "$gateway4"
  ip -n "$ns-$name" -6 route add default via "$gateway6"
  # Unprivileged echo sockets, for everybody.
  in_ns "$name" sh -c 'echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range'
}

ip netns add "$ns-gw"
in_ns gw sh -c '
  echo 1 >/proc/sys/net/ipv4/ip_forward
  echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
  echo 0 >/proc/sys/net/ipv4/icmp_ratelimit'
leg lan 192.168.10.1 2001:db8:10::1 192.168.10.20 2001:db8:10::20
leg dmz 203.0.113.1 2001:db8:2::1 203.0.113.5 203.0.113.6 2001:db8:2::5
leg wan 198.51.100.254 2001:db8:99::1 198.51.100.7 2001:db8:99::7
in_ns dmz sh -c 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit'

coproc SERVERS { exec ip netns exec "$ns-dmz" "${programs[@]}" serve 203.0.113.5 2001:db8:2::5 203.0.113.6 2>/dev/null; }
pids+=("$SERVERS_PID")
read -r -u "${SERVERS[0]}" ready
[ "$ready" = ready ]
sleep 2 # IPv6 has settled: router solicitations and listener reports are over.

# record FILE LEG PROGRAM... : what passes the gateway's side of the leg while the programs run.
record() {
  local file=$1 leg=$2
  shift 2
  ip netns exec "$ns-gw" tcpdump -i "$leg" --time-stamp-precision=nano -U -Z root -w "$out/$file" 2>"$out/.$file.log" &
  local dump=$!
  pids+=("$dump")
  until grep -q 'listening on' "$out/.$file.log"; do sleep 0.05; done
  "$@"
  sleep 0.7
  kill "$dump"
  wait "$dump" || true
  rm "$out/.$file.log"
}

from() {
  local name=$1
  shift
  in_ns "$name" "${programs[@]}" "$@"
}

record http.pcap lan from lan web 203.0.113.5

dns() {
  from lan lookup 203.0.113.6 www.example mail.example lost.example
  from lan lookup-tcp 203.0.113.6 large.example
  from lan resolver-session 203.0.113.6
  # Nobody listens on port 53 there: port unreachable.
  from lan lookup 203.0.113.5 www.example
}
record dns.pcap lan dns

path() {
  from lan ping 203.0.113.5 5
  from lan ping 192.168.10.1 2
  # Nobody has this address: the gateway says host unreachable when it has given up asking for it.
  from lan ping 203.0.113.77 2
  from lan traceroute 203.0.113.5 3
  sleep 3
}
record ping-traceroute.pcap lan path

record ssh-session.pcap lan from lan session 203.0.113.5 40

six() {
  from lan ping 2001:db8:2::5 3
  from lan get 2001:db8:2::5 /200 /5000
  from lan lookup 2001:db8:2::5 www.example lost.example
  from lan refused 2001:db8:2::5 81
  from lan traceroute 2001:db8:2::5 2
}
record ipv6.pcap lan six

internet() {
  from wan get 203.0.113.5 /200 /2000
  from wan ping 203.0.113.5 2
  from wan scan 203.0.113.5 21 22 23 25 53 80 81 110 111 139 143 443 445 993 3306 3389 5432 8080
  from wan scan 192.168.10.20 22 80 443
  from wan knock 203.0.113.5 53 123 161 500 1900
  from wan get 2001:db8:2::5 /200
}
record internet.pcap wan internet

for file in http dns ping-traceroute ssh-session ipv6 internet; do
  # -vv checks every checksum.
  if tcpdump -nvvr "$out/$file.pcap" 2>/dev/null | grep -Ei 'incorrect|bad (udp|icmp6?) (cksum|sum)|wrong icmp'; then
    echo "$file.pcap: wrong checksums, offload was on" >&2
    exit 1
  fi
  printf '%s: %s packets, %s bytes\n' "$file.pcap" "$(tcpdump -nr "$out/$file.pcap" 2>/dev/null | wc -l)" \
    "$(stat -c %s "$out/$file.pcap")"
done
