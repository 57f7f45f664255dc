// Rules of every kind that nft 1.0.6 and the running kernel take, for the tests of what nft lists of them.

/** Declarations of a table of family inet that the rules below name. */
export const DECLARATIONS = `
	counter hits { packets 3 bytes 4; }
	quota volume { over 25 mbytes used 100 bytes; }
	limit rate5 { rate over 10/second burst 5 packets; }
	ct helper ftp-standard { type "ftp" protocol tcp; l3proto ip; }
	ct timeout short { protocol tcp; l3proto ip; policy = { established : 120, close : 20 }; }
	ct expectation next { protocol udp; dport 9876; timeout 2m; size 8; l3proto ip; }
	set addresses { type ipv4_addr; flags interval; elements = { 1.1.1.1, 10.0.0.0/8, 11.0.0.1-11.0.0.5 }; }
	set pairs { type ipv4_addr . inet_service; flags interval; elements = { 1.1.1.1 . 80-90 comment "z", 10.0.0.0/8 . 5 }; }
	set dynamic4 { type ipv4_addr; size 100; flags dynamic,timeout; timeout 1h5m; gc-interval 10s; }
	set counted { type ipv4_addr; counter; elements = { 1.1.1.1 counter packets 5 bytes 6, 2.2.2.2 }; }
	set names { type ifname; flags interval; elements = { "eth*", "lo" }; }
	set short-lived { type ipv4_addr; flags timeout; timeout 1d; elements = { 1.2.3.4 timeout 1h expires 30m comment "q", 1.1.1.1 }; }
	set typed { typeof ip saddr . meta mark . th dport; policy memory; }
	set mixed { type ether_addr . mark . inet_proto . ifname . ipv6_addr; elements = { 00:01:02:03:04:05 . 5 . tcp . "eth0" . fe80::1 }; }
	map verdicts { type ipv4_addr : verdict; elements = { 1.1.1.1 : jump other, 2.2.2.2 comment "h" : accept }; }
	map marks { type ipv4_addr : mark; flags interval; elements = { 10.0.0.0/8 : 5, * : 7 }; }
	map dynamic-marks { type ipv4_addr : mark; flags dynamic; size 10; }
	map counters { type inet_service : counter; elements = { 80 : "hits" }; }
	map targets { type ipv4_addr : ipv4_addr; }
	map target-ports { type ipv4_addr : ipv4_addr . inet_service; elements = { 1.1.1.1 : 2.2.2.2 . 80 }; }
	chain other { }
`;

/** Rules of a chain of type filter at prerouting. */
export const RULES = `
tcp flags syn
tcp flags == syn
tcp flags != syn,ack
tcp flags ! syn
tcp flags ! syn,ack
tcp flags == syn,ack
tcp flags syn,ack
tcp flags syn,ack / syn,ack,fin
tcp flags != syn / syn,ack,fin
tcp flags & (syn|ack) == syn
tcp flags & (fin|syn|rst|ack) != syn
tcp flags & syn == 0
tcp flags { syn, syn|ack, 0x12 }
tcp flags & syn|ack == syn
ct state new,established
ct state new
ct state == new
ct state != new,established
ct state { new, established }
ct state vmap { established : accept, related : accept, invalid : drop }
ct status ! dnat
ct status snat,dnat
ct status & (snat|dnat) == snat
ct label 3
ct label != 3
ct direction original
ct protocol tcp
ct l3proto ipv4
ct original ip saddr 1.2.3.4
ct reply ip6 daddr ::1
ct original bytes > 5
ct packets 5-7
ct avgpkt > 5
ct zone { 1, 2 }
ct original zone 3
ct expiration 30s-1m
ct helper "ftp"
ct mark and 0xff == 3
ct mark != 5
ct id 5
meta hour "22:00"-"02:00"
meta hour != "22:00"-"02:00"
meta hour "08:00"
meta hour { "10:00"-"12:00" }
meta time "2024-01-01 10:00:00"
meta time < 1700000000
meta day Monday
meta day { "Monday", "Friday" }
meta mark 1-5
meta mark { 1-5, 7 }
meta mark and 0x3 != 0x1
meta length 40-100
meta nfproto ipv4
meta protocol { ip, ip6 }
meta pkttype { broadcast, multicast }
meta skuid { 0, 1000 }
meta priority 1:2
meta cgroup 5
meta rtclassid 5
meta iiftype loopback
meta iif lo
meta ipsec exists
meta random < 5
meta cpu 0
meta oifname "a b"
meta l4proto ipv6-icmp
meta l4proto { tcp, udp } th dport 53
oifgroup 5
iifname "eth*"
iifname { "eth*", "lo" } accept
iifname . oifname vmap { "eth0" . "eth1" : accept }
ip saddr 10.1.2.3/8
ip saddr != 10.0.0.1-10.0.0.5
ip saddr & 255.0.0.255 == 10.0.0.1
ip saddr . ip daddr . tcp dport { 10.0.0.0/8 . 1.1.1.1-1.1.1.9 . 80 }
ip daddr . tcp dport { 1.1.1.1 . 80, 2.2.2.0/24 . 1-5 }
ip saddr @addresses
ip saddr . tcp dport @pairs
ip saddr vmap @verdicts
ip daddr @counted
iifname @names
ip saddr vmap { 1.1.1.1 : jump other, 2.2.2.0/24 : goto other, 3.3.3.3-3.3.3.5 : continue }
ip protocol tcp
ip protocol { tcp, udp, 17 }
ip frag-off & 0x3fff != 0
ip version 4
ip hdrlength 5
ip dscp af11
ip ecn ce
ip length > 100
ip id 5
ip checksum 5
ip option rr exists
ip option ra value 5
ip6 saddr ::1/128
ip6 saddr fe80::/10
ip6 saddr != { ::1, fe80::/64 }
ip6 nexthdr 58
ip6 flowlabel 5
ip6 dscp ef
ip6 ecn ect0
ip6 hoplimit 5
ip6 length 5
icmp type . icmp code { 3 . 4 }
icmp code host-prohibited
icmp id 5
icmp sequence 5
icmp gateway 5
icmp mtu 5
icmpv6 type { nd-router-advert, echo-request }
icmpv6 code 4
icmpv6 mtu 5
icmpv6 id 5
icmpv6 max-delay 5
igmp type membership-query
igmp group 0xe0000001
ah spi 5
esp spi 1-5
comp cpi 5
comp flags 3
udplite dport 5
udp length > 8
udp checksum 0
sctp dport 5
sctp vtag 5
sctp chunk init exists
sctp chunk data flags 3
sctp chunk init-ack a-rwnd > 5
dccp dport 5
dccp type request
dccp type { data, ack }
th sport 5
@th,16,16 { 53, 80 }
@nh,192,32 0xc0a88f10
@ih,0,32 0x5
tcp sport 1-1024 tcp dport >= 5
tcp dport != { 22, 80-90 }
tcp dport vmap { 22 : accept, * : drop }
tcp sequence 5
tcp ackseq 5
tcp doff 5
tcp reserved 1
tcp window 5
tcp urgptr 5
tcp option 5 exists
tcp option maxseg size < 536
tcp option timestamp tsval 5
tcp option sack-perm missing
ether type ip
ether saddr { 00:11:22:33:44:55 }
rt nexthdr tcp
rt0 addr[1] ::1
frag frag-off > 0
frag more-fragments 1
mh type binding-update
hbh nexthdr tcp
dst hdrlength 5
exthdr hbh missing
fib saddr . iif oif missing
fib saddr . mark oif exists
fib daddr . iif type != { local, broadcast }
fib daddr oif 5
fib saddr oifname "lo"
rt ip nexthop 1.2.3.4
numgen inc mod 3 1
numgen random mod 9 offset 3 vmap { 3 : jump other, 4-5 : accept }
jhash ip saddr mod 3 seed 5 offset 2 3
jhash ip saddr . tcp dport mod 4 vmap { 0 : accept, 1-3 : drop }
symhash mod 2 1
meta mark set ip saddr map { 1.1.1.1 : 5 }
meta mark set ip saddr . tcp dport map { 1.1.1.1 . 80 : 5 }
meta mark set numgen inc mod 3 map { 0 : 1, 1 : 2, 2 : 5 }
meta mark set jhash ip saddr mod 5 offset 100
meta mark set meta mark & 0xff | 0x100
meta mark set mark xor 0x10
meta mark set ct mark
meta mark set ip saddr map @marks
meta priority set 1:2
meta pkttype set host
meta nftrace set 1
ct mark set meta mark and 0xff
ct mark set ct mark or 0x10
ct event set new,destroy
ct label set 5
ct zone set 5
ct zone set iifname map { "eth0" : 1 }
ct helper set "ftp-standard"
ct timeout set "short"
ct expectation set "next"
ip dscp set ef
ip saddr set 1.2.3.4
ip ttl set 5
tcp sport set 5
reset tcp option sack-perm
add @dynamic4 { ip saddr }
update @dynamic4 { ip saddr timeout 5m counter } counter drop
delete @dynamic4 { ip saddr }
add @dynamic4 { ip saddr limit rate over 10/second burst 5 packets } drop
add @dynamic-marks { ip saddr : 0x5 }
update @dynamic-marks { ip saddr : meta mark }
meter m1 { ip saddr limit rate over 10/second } drop
meter m2 size 100 { ip saddr . tcp dport timeout 1m limit rate 10/second } accept
counter name "hits"
counter name tcp dport map { 80 : "hits", 81 : "hits" }
counter name tcp dport map @counters
quota name "volume"
quota over 25 mbytes used 3 kbytes
quota 1000 bytes
limit name "rate5"
limit rate 5/minute
limit rate 5/day burst 1 packets
limit rate over 10 mbytes/second burst 5 kbytes
limit rate 1024 bytes/hour burst 1 mbytes
ct count over 5
ct count 3
log
log prefix "with # hash" level info flags all
log flags tcp sequence,options
log group 3 snaplen 5 queue-threshold 4
counter packets 5 bytes 10 accept
accept comment "x # handle 5"
notrack
`;

/** Rules of a chain of type nat at prerouting, where destinations are translated. */
export const DESTINATIONS = `
dnat ip to 10.0.0.1
dnat ip6 to fe80::1
meta l4proto tcp dnat ip to 10.0.0.1:80
meta l4proto tcp dnat ip6 to [fe80::1]:80
dnat ip to 10.0.0.1-10.0.0.5
meta l4proto tcp dnat ip to 10.0.0.1-10.0.0.5:80-90 persistent
redirect
meta l4proto tcp redirect to :80-90 random,persistent
meta l4proto udp redirect to :53
dnat ip to ip saddr map { 1.1.1.1 : 2.2.2.2 }
meta l4proto tcp dnat ip to ip saddr . tcp dport map { 1.1.1.1 . 80 : 2.2.2.2 . 81 }
meta l4proto tcp dnat ip addr . port to ip saddr map { 1.1.1.1 : 2.2.2.2 . 81 }
dnat ip to 10.2.0.0/16
dnat ip prefix to ip daddr map { 10.1.1.0/24 : 10.2.2.0/24 }
dnat ip to numgen inc mod 2 map { 0 : 1.1.1.1, 1 : 1.1.1.2 }
dnat ip to ip saddr map @targets
meta l4proto tcp dnat ip to ip saddr map @target-ports
tcp dport 5 dnat ip to 10.0.0.1:tcp dport map { 5 : 6 }
tcp dport 5 redirect to :tcp dport map { 5 : 6 }
`;

/** Rules of a chain of type nat at postrouting. */
export const SOURCES = `
masquerade
masquerade random
masquerade fully-random,persistent
meta l4proto tcp masquerade to :1024-2000
snat ip to 10.0.0.1
snat ip to 10.0.0.1-10.0.0.9 random,persistent
snat ip6 to fe80::1 fully-random
meta l4proto tcp snat ip6 to [fe80::1]:80-90
snat ip to ip saddr map { 10.0.0.0/8 : 1.1.1.1 }
snat ip prefix to ip saddr map { 10.1.1.0/24 : 10.2.2.0/24 }
`;

/** Rules of a chain of type filter at forward. */
export const FORWARDS = `
reject
reject with icmp host-unreachable
reject with icmpv6 addr-unreachable
reject with icmpx admin-prohibited
tcp dport 5 reject with tcp reset
jump other
goto other
return
continue
drop
`;

export function rulesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
