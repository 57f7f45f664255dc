// Does iptables take and refuse the same rules as we do, and mean the same by them? Asks iptables-restore of this machine
// in a network namespace of its own. Needs root and the iptables package; skipped loudly without.
import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RulesetError } from '../../../src/errors.ts';
import { explain, parseRulesets } from '../../../src/ruleset/index.ts';
import { parseIpSets } from '../../../src/ruleset/ipset/parse.ts';
import { GENERATED_SETS, generateRuleset } from './generate.ts';
import { numbers } from './random.ts';

const NAMESPACE = `ctreplay-restore-${process.pid}`;

/** Rules of a filter table with a user chain A1, one of each kind of what is right and what is wrong. */
const RULES4 = `
-A INPUT -m tcp --dport 80 -j ACCEPT
-A INPUT -p tcp --dport 80: -j ACCEPT
-A INPUT -p tcp --dport :80 -j ACCEPT
-A INPUT -p tcp --dport 90:80 -j ACCEPT
-A INPUT -p tcp --dport ssh -j ACCEPT
-A INPUT -p tcp --dport 0x50 -j ACCEPT
-A INPUT -p tcp --dport 70000 -j ACCEPT
-A INPUT -p tcp ! --syn -j ACCEPT
-A INPUT -p tcp --syn --tcp-flags SYN SYN
-A INPUT -p tcp --tcp-flags ALL NONE -j ACCEPT
-A INPUT --tcp-flags SYN SYN -p tcp -j ACCEPT
-A INPUT -p tcp --tcp-flags SYN -j ACCEPT
-A INPUT -p tcp --tcp-option 0 -j ACCEPT
-A INPUT -p tcp ! --tcp-option 5 -j ACCEPT
-A INPUT -p tcp --tcp-option 256 -j ACCEPT
-A INPUT -p tcp --dport 80 --dport 90 -j ACCEPT
-A INPUT -p tcp -m tcp -m tcp --dport 5 -j ACCEPT
-A INPUT -p tcp --dp 80 -j ACCEPT
-A INPUT -p tcp -m udp --dport 5
-A INPUT ! -p tcp --dport 5
-A INPUT -p sctp -m sctp --chunk-types any DATA:Be,ABORT:t,SHUTDOWN_COMPLETE:T
-A INPUT -p sctp -m sctp --chunk-types any DATA:b,DATA:B
-A INPUT -p sctp -m sctp --chunk-types any DATA:
-A INPUT -p sctp -m sctp --chunk-types any INIT:T
-A INPUT -p sctp -m sctp --chunk-types Only data,init
-A INPUT -p sctp -m sctp ! --chunk-types all ALL
-A INPUT -p sctp -m sctp --chunk-types all NONE
-A INPUT -p sctp -m sctp --chunk-types any 5
-A INPUT -p sctp -m sctp --chunk-types some DATA
-A INPUT -p sctp -m sctp --chunk-types any data,all
-A INPUT -p sctp -m sctp --chunk-types any FORWARD_TSN,ASCONF,ASCONF_ACK,ECN_ECNE,ECN_CWR,RE_CONFIG
-A INPUT -p sctp -m sctp --chunk-types any I-DATA
-A INPUT -p sctp -m sctp --sport 5:3
-A INPUT -p sctp -m sctp ! --sport 0:65535 --dport 10:
-A INPUT -p sctp --sport 5
-A INPUT -p tcp -m sctp --sport 5
-A INPUT -m connbytes ! --connbytes 5:5 --connbytes-dir both --connbytes-mode packets
-A INPUT -m connbytes --connbytes 10:5 --connbytes-dir reply --connbytes-mode avgpkt
-A INPUT -m connbytes --connbytes 10 --connbytes-dir original --connbytes-mode bytes
-A INPUT -m connbytes --connbytes :10 --connbytes-dir reply --connbytes-mode avgpkt
-A INPUT -m connbytes ! --connbytes 0:18446744073709551615 --connbytes-dir reply --connbytes-mode avgpkt
-A INPUT -m connbytes --connbytes 0:18446744073709551616 --connbytes-dir reply --connbytes-mode avgpkt
-A INPUT -m connbytes --connbytes 0x10:077 --connbytes-dir reply --connbytes-mode avgpkt
-A INPUT -m connbytes --connbytes 10: --connbytes-dir reply
-A INPUT -m connbytes --connbytes 10: --connbytes-dir rep --connbytes-mode avgpkt
-A INPUT -m connbytes --connbytes-dir reply --connbytes-mode avgpkt
-A INPUT -m tos --tos 0x10
-A INPUT -m tos ! --tos 16/0x3f
-A INPUT -m tos --tos minimize-delay
-A INPUT -m tos --tos Minimize
-A INPUT -m tos --tos Minimize-Delay/0xff
-A INPUT -m tos --tos 256
-A INPUT -m tos --tos 0x10/256
-A INPUT -m tos --tos 0x10/
-A INPUT -m tos
-A INPUT -m dscp --dscp 63
-A INPUT -m dscp ! --dscp 64
-A INPUT -m dscp --dscp-class af41
-A INPUT -m dscp ! --dscp-class AF44
-A INPUT -m dscp --dscp-class LE
-A INPUT -m dscp --dscp 1 --dscp-class EF
-A INPUT -m dscp
-A INPUT -m ecn ! --ecn-ip-ect 3
-A INPUT -m ecn --ecn-ip-ect 4
-A INPUT -m ecn
-A INPUT -m quota --quota 18446744073709551615
-A INPUT -m quota ! --quota 18446744073709551616
-A INPUT -m quota --quota -1
-A INPUT -m quota
-A INPUT -m rpfilter
-A INPUT -m physdev
-A INPUT -m physdev --physdev-in eth0 ! --physdev-out eth+
-A INPUT -m physdev ! --physdev-is-in ! --physdev-is-out ! --physdev-is-bridged
-A INPUT -m physdev --physdev-in abcdefghijklmno
-A INPUT -m physdev --physdev-in abcdefghijklmnop
-A OUTPUT -m physdev --physdev-in eth0
-A OUTPUT -m physdev --physdev-out eth0
-A OUTPUT -m physdev ! --physdev-is-out
-A OUTPUT -m physdev --physdev-out eth0 --physdev-is-bridged
-A OUTPUT -m physdev --physdev-out eth0 ! --physdev-is-bridged
-A A1 -m physdev --physdev-is-out
-A INPUT -m owner --uid-owner 0
-A OUTPUT -m owner --uid-owner 0
-A A1 -m owner --uid-owner 0-5 ! --gid-owner 0x10
-A OUTPUT -m owner --uid-owner 5-0
-A OUTPUT -m owner --uid-owner 5-
-A OUTPUT -m owner --uid-owner -5
-A OUTPUT -m owner --uid-owner 5x
-A OUTPUT -m owner --uid-owner 4294967294
-A OUTPUT -m owner --gid-owner 4294967295
-A OUTPUT -m owner ! --uid-owner 010-0x20
-A OUTPUT -m owner --gid-owner 5 --suppl-groups
-A OUTPUT -m owner --uid-owner 5 --suppl-groups
-A OUTPUT -m owner ! --socket-exists
-A OUTPUT -m owner --socket-exists --uid-owner 3
-A OUTPUT -m owner
-A INPUT -m statistic --mode nth --every 3
-A INPUT -m statistic --mode nth --every 3 --packet 2
-A INPUT -m statistic --mode nth --every 3 --packet 3
-A INPUT -m statistic --mode nth ! --every 0x3 --packet 01
-A INPUT -m statistic --mode nth --every 0 --packet 0
-A INPUT -m statistic --mode nth --every 4294967295 --packet 4294967294
-A INPUT -m statistic --mode nth --every 4294967296 --packet 0
-A INPUT -m statistic --mode nth --packet 1
-A INPUT -m statistic --mode nth --every 3 --packet 1 --probability 0.5
-A INPUT -m statistic --mode nth ! --packet 1 --every 3
-A INPUT -m statistic --mode random
-A INPUT -m statistic --mode random ! --probability .33332999982
-A INPUT -m statistic --mode random --probability 5e-1
-A INPUT -m statistic --mode random --probability 1
-A INPUT -m statistic --mode random --probability 1.0001
-A INPUT -m statistic --mode random --probability -0.1
-A INPUT -m statistic --mode random --probability 0.1x
-A INPUT -m statistic --mode random --probability 0.9999999999
-A INPUT -m statistic --mode random --probability 0.5 --packet 3
-A INPUT -m statistic --mode rand --probability 0.5
-A INPUT -m statistic --probability 0.5
-A INPUT -p 6 --dport 5 -j ACCEPT
-A INPUT -s 10/8 -j ACCEPT
-A INPUT -s 10.1/16 -j ACCEPT
-A INPUT -s 010.0.0.1 -j ACCEPT
-A INPUT -s 10.0.0.1/255.0.255.0 -j ACCEPT
-A INPUT -s 10.0.0.1/0 -j ACCEPT
-A INPUT ! -s 0.0.0.0/0 -j ACCEPT
-A INPUT -s 10.0.0.1,10.0.0.2 -d 1.1.1.1,2.2.2.2 -j ACCEPT
-A INPUT ! -s 10.0.0.1,10.0.0.2 -j ACCEPT
-A INPUT -s 10.0.0.256 -j ACCEPT
-A INPUT -s 10.0.0.1/33 -j ACCEPT
-A INPUT -s 10.0.0.0/255.0 -j ACCEPT
-A INPUT -s 1.2.3.4.5 -j ACCEPT
-A INPUT -s 1.1.1.1 -s 2.2.2.2 -j ACCEPT
-A INPUT -i + -j ACCEPT
-A INPUT ! -i + -j ACCEPT
-A INPUT -i "" -j ACCEPT
-A INPUT -i abcdefghijklmno -j ACCEPT
-A INPUT -i abcdefghijklmnop -j ACCEPT
-A INPUT -i eth+ -o eth1 -j ACCEPT
-A OUTPUT -i eth+ -j ACCEPT
-A A1 -i eth+ -o eth1 -j ACCEPT
-A INPUT ! -p all -j ACCEPT
-A INPUT ! -p tcp -j ACCEPT
-A INPUT -p 0 -j ACCEPT
-A INPUT -p 300 -j ACCEPT
-A INPUT -p TCP -j ACCEPT
-A INPUT ! -f -j ACCEPT
-A INPUT -p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 1:2,3:4,5:6,7:8,9:10,11:12,13:14,15:16 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 10:2 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 10:10 -j ACCEPT
-A INPUT -p tcp -m multiport --dports 80 --sports 90 -j ACCEPT
-A INPUT -p tcp -m multiport ! --ports ssh,90:100 -j ACCEPT
-A INPUT -p icmp -m multiport --ports 80 -j ACCEPT
-A INPUT -p icmp --icmp-type echo-request -j ACCEPT
-A INPUT -p icmp --icmp-type dest -j ACCEPT
-A INPUT -p icmp --icmp-type echo -j ACCEPT
-A INPUT -p icmp -m icmp -j ACCEPT
-A INPUT -p icmp --icmp-type 300 -j ACCEPT
-A INPUT -m state --state NEW,SNAT -j ACCEPT
-A INPUT -m state ! --state NEW,UNTRACKED -j ACCEPT
-A INPUT -m state -j ACCEPT
-A INPUT -m conntrack -j ACCEPT
-A INPUT -m conntrack --ctstate new -j ACCEPT
-A INPUT -m conntrack --ctstate NEW, -j ACCEPT
-A INPUT -m conntrack --ctstate SNAT,DNAT -j ACCEPT
-A INPUT -m conntrack ! --ctproto 0 -j ACCEPT
-A INPUT -m conntrack ! --ctdir REPLY -j ACCEPT
-A INPUT -m conntrack --ctdir reply -j ACCEPT
-A INPUT -m conntrack --ctproto 300 -j ACCEPT
-A INPUT -m conntrack --ctexpire 10:5 -j ACCEPT
-A INPUT -m conntrack --ctorigsrcport 20:10 -j ACCEPT
-A INPUT -m conntrack --ctstatus ASSURED,NONE -j ACCEPT
-A INPUT -m conntrack --ctstate NEW --ctstate ESTABLISHED -j ACCEPT
-A INPUT -m mark --mark 0x10/0xf -j ACCEPT
-A INPUT -m mark --mark 0x1ffffffff -j ACCEPT
-A INPUT -m mark --mark -1 -j ACCEPT
-A INPUT -m mark ! --mark 010 -j ACCEPT
-A INPUT -m comment --comment x --comment y -j ACCEPT
-A INPUT -m comment --comment "a \\"b\\" c" -j ACCEPT
-A INPUT -m comment --comment 'a b' -j ACCEPT
-A INPUT -m comment --comment a"b c"d -j ACCEPT
-A INPUT -m limit --limit 3 --limit-burst 0 -j ACCEPT
-A INPUT -m limit ! --limit 3/min -j ACCEPT
-A INPUT -m limit -j ACCEPT
-A INPUT -m limit --limit 10001/s -j ACCEPT
-A INPUT -m limit --limit 10000/s --limit-burst 3 -j ACCEPT
-A INPUT -m limit --limit 1/day --limit-burst 5 -j ACCEPT
-A INPUT -m limit --limit 1/day --limit-burst 6 -j ACCEPT
-A INPUT -m limit --limit 1/day --limit-burst 10000 -j ACCEPT
-A INPUT -m limit --limit 1/hour --limit-burst 10001 -j ACCEPT
-A INPUT -m limit --limit 1/fortnight -j ACCEPT
-A INPUT -m limit --limit 5/days -j ACCEPT
-A INPUT -m limit --limit 0/s -j ACCEPT
-A INPUT -m length ! --length :10 -j ACCEPT
-A INPUT -m length --length 10:5 -j ACCEPT
-A INPUT -m length --length 70000 -j ACCEPT
-A INPUT -m ttl ! --ttl-lt 10 -j ACCEPT
-A INPUT -m ttl --ttl 10 -j ACCEPT
-A INPUT -m ttl --ttl-eq 256 -j ACCEPT
-A INPUT -m ttl --ttl-eq 1 --ttl-lt 5 -j ACCEPT
-A INPUT -p tcp -m tcpmss ! --mss 10 -j ACCEPT
-A INPUT -p tcp -m tcpmss -j ACCEPT
-A INPUT -p udp -m tcpmss --mss 1 -j ACCEPT
-A INPUT -m pkttype ! --pkt-type host -j ACCEPT
-A INPUT -m pkttype --pkt-type loopback -j ACCEPT
-A INPUT -m mac --mac-source 0:1:2:3:4:5 -j ACCEPT
-A INPUT -m mac --mac-source 00-01-02-03-04-05 -j ACCEPT
-A OUTPUT -m mac --mac-source 00:01:02:03:04:05 -j ACCEPT
-A A1 -m mac --mac-source 00:01:02:03:04:05 -j ACCEPT
-A INPUT -m iprange --src-range 10.0.0.9-10.0.0.1 ! --dst-range 1.1.1.1 -j ACCEPT
-A INPUT -m iprange --src-range 10.0.0.1- -j ACCEPT
-A INPUT -m iprange -j ACCEPT
-A INPUT -m addrtype --src-type LOCAL,UNICAST ! --dst-type BROADCAST --limit-iface-in -j ACCEPT
-A INPUT -m addrtype --dst-type local --limit-iface-out -j ACCEPT
-A INPUT -m addrtype --dst-type local,foo -j ACCEPT
-A INPUT -m addrtype -j ACCEPT
-A INPUT -m addrtype --dst-type LOCAL --limit-iface-in --limit-iface-out -j ACCEPT
-A INPUT -m connlimit --connlimit-above 5
-A INPUT -m connlimit
-A INPUT -m connlimit --connlimit-mask 24
-A INPUT -m connlimit ! --connlimit-upto 0 --connlimit-mask 0 --connlimit-daddr
-A INPUT -m connlimit ! --connlimit-above 4294967295 --connlimit-mask 255.255.240.0 --connlimit-saddr
-A INPUT -m connlimit --connlimit-above 4294967296
-A INPUT -m connlimit --connlimit-above -1
-A INPUT -m connlimit --connlimit-above 5 --connlimit-upto 5
-A INPUT -m connlimit --connlimit-above 5 --connlimit-saddr --connlimit-daddr
-A INPUT -m connlimit --connlimit-above 5 ! --connlimit-mask 5
-A INPUT -m hashlimit --hashlimit 5/sec --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec
-A INPUT -m hashlimit --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-above 5/sec --hashlimit-name a
-A INPUT -m hashlimit ! --hashlimit-upto 5/SEC --hashlimit-mode srcip|dstport --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip,foo --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-mode SRCIP --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-mode "" --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/ --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/week --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 0 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 1/day --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 1000000/sec --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 1000001/sec --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 1/day --hashlimit-burst 1000000 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 1/hour --hashlimit-burst 100000 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 0 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 1000000 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 1000001 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 10k --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 1m --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 512b/s --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 0b/s --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 15b/s --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 512kb/s --hashlimit-burst 1mb --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 512kb/s --hashlimit-burst 511k --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 4000mb/s --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 60000mb/s --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-srcmask 24 --hashlimit-dstmask 0 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-srcmask 33 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-htable-expire 0 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-htable-gcinterval 0 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-htable-size 16 --hashlimit-htable-max 5 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/min --hashlimit-rate-match --hashlimit-name r
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-rate-match --hashlimit-rate-interval 0 --hashlimit-name r
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-rate-interval 7 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 1/day --hashlimit-rate-match --hashlimit-rate-interval 86400 --hashlimit-name r
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-name ..
-A INPUT -m recent --set
-A INPUT -m recent
-A INPUT -m recent --name x
-A INPUT -m recent ! --set --name x.y --rdest --mask 255.255.0.0
-A INPUT -m recent --set --mask 255.255.0.255
-A INPUT -m recent --set --mask 255.255.0.0/16
-A INPUT -m recent --set --mask ffff::
-A INPUT -m recent --set --rcheck
-A INPUT -m recent --set --rsource --rdest
-A INPUT -m recent --set --seconds 5
-A INPUT -m recent --set --hitcount 5
-A INPUT -m recent --set --hitcount 0
-A INPUT -m recent --set --rttl
-A INPUT -m recent --set --name .
-A INPUT -m recent --set --name a/b
-A INPUT -m recent --set --name ""
-A INPUT -m recent ! --rcheck --seconds 5 --hitcount 65535 --rttl --reap
-A INPUT -m recent --rcheck --hitcount 65536
-A INPUT -m recent --rcheck --seconds 0
-A INPUT -m recent --rcheck --seconds 4294967295
-A INPUT -m recent --rcheck --seconds 4294967296
-A INPUT -m recent --rcheck --seconds 0x10 --hitcount 010
-A INPUT -m recent --rcheck --seconds 5s
-A INPUT -m recent --rcheck --reap
-A INPUT -m recent --update ! --rttl
-A INPUT -m recent --update --sec 7 --hit 3
-A INPUT -m recent --remove --name %TIME%
-A INPUT -m recent ! --remove --seconds 3
-A INPUT -m recent --remove --rttl
-A INPUT -j LOG --log-prefix "abc " --log-level info --log-ip-options
-A INPUT -j LOG --log-level 8
-A INPUT -j LOG --log-level warn
-A INPUT -j NFLOG --nflog-group 70000
-A INPUT -j NFLOG --nflog-prefix ""
-A INPUT -j NFLOG --nflog-group 5 --nflog-prefix x --nflog-size 10
-A INPUT -j REJECT --reject-with tcp-reset
-A INPUT -p tcp -j REJECT --reject-with tcp-rst
-A INPUT ! -p tcp -j REJECT --reject-with tcp-reset
-A INPUT -j REJECT --reject-with port
-A INPUT -j REJECT --reject-with echo-reply
-A INPUT -j REJECT --reject-with icmp6-no-route
-A INPUT -j MARK --set-mark 1/2
-A INPUT -j MARK
-A INPUT -j MARK --set-mark 1 --and-mark 2
-A INPUT -j CONNMARK --set-mark 1/2
-A INPUT -j CONNMARK --save-mark --mask 0xf
-A INPUT -j CONNMARK --save-mark --mask 1 --nfmask 2
-A INPUT -j CONNMARK --set-mark 1 --save-mark
-A INPUT -j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xf0
-A INPUT -j NOTRACK
-A INPUT -j CHECKSUM --checksum-fill
-A INPUT -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu
-A FORWARD -p tcp --syn -j TCPMSS --clamp-mss-to-pmtu
-A FORWARD -p tcp --syn -j TCPMSS --set-mss 100
-A INPUT -j QUEUE
-A INPUT -j NFQUEUE --queue-balance 1:4 --queue-bypass
-A INPUT -j NFQUEUE --queue-balance 4:1
-A INPUT
-A INPUT -g A1
-A INPUT -g ACCEPT
-A INPUT -j INPUT
-A A1 -j A1
-A INPUT -g A1 -j ACCEPT
-A INPUT -j nochain
-A NOCHAIN -j ACCEPT
-A INPUT -A FORWARD
-A INPUT -c 5 6 -j ACCEPT
[5:6] -A INPUT -j ACCEPT
-4 -A INPUT -j ACCEPT
-6 -A INPUT -j ACCEPT
-I INPUT -j ACCEPT
-I INPUT 2 -j ACCEPT
-P INPUT DROP
-P INPUT REJECT
-P A1 DROP
-N foo
-N A1
-A INPUT -t filter -j ACCEPT
-A INPUT -j ACCEPT -p tcp
-A INPUT -j ACCEPT foo
-A INPUT ! -j ACCEPT
`;

const RULES6 = `
-A INPUT -s 2001:db8::1/ffff:0:ffff:: -j ACCEPT
-A INPUT ! -s ::/0 -j ACCEPT
-A INPUT -s ::ffff:1.2.3.4 -j ACCEPT
-A INPUT -s 1.2.3.4 -j ACCEPT
-A INPUT -s 2001:db8::1::2 -j ACCEPT
-A INPUT -s 2001:db8::/129 -j ACCEPT
-A INPUT -p icmpv6 -m icmp6 --icmpv6-type echo-request -j ACCEPT
-A INPUT -p ipv6-icmp -m icmpv6 --icmpv6-type 1/3 -j ACCEPT
-A INPUT -p icmpv6 --icmpv6-type neighbor-solicitation -j ACCEPT
-A INPUT -p icmpv6 --icmpv6-type any -j ACCEPT
-A INPUT -p 58 --icmpv6-type 1 -j ACCEPT
-A INPUT -p ipv6 -j ACCEPT
-A INPUT -f -j ACCEPT
-A INPUT -m hl --hl 5 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-port-unreachable
-A INPUT -j REJECT --reject-with adm
-A INPUT -p tcp -j REJECT --reject-with tcp-reset
-A INPUT -m addrtype --dst-type BROADCAST -j ACCEPT
-A INPUT -m addrtype --dst-type UNREACHABLE -j ACCEPT
-A INPUT -m addrtype --dst-type PROHIBIT -j ACCEPT
-A INPUT -m iprange --src-range 2001:db8::1-2001:db8::ff -j ACCEPT
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-srcmask 64 --hashlimit-name a
-A INPUT -m hashlimit --hashlimit-upto 5/sec --hashlimit-mode srcip --hashlimit-srcmask 129 --hashlimit-name a
-A INPUT -m connlimit --connlimit-above 5 --connlimit-mask 64
-A INPUT -m connlimit --connlimit-above 5 --connlimit-mask 129
-A INPUT -m recent --set --mask ffff:ffff::
-A INPUT -m recent --set --mask 255.255.255.0
-A INPUT -m recent --set --mask 64
-A INPUT -m recent --update --seconds 60 --name v6 --rdest
-A INPUT -m conntrack --ctorigsrc 2001:db8::/64 -j ACCEPT
`;

const SETS = parseIpSets('sets', GENERATED_SETS);

function available(): boolean {
  if (process.getuid?.() !== 0) return false;
  return ['iptables-legacy-restore', 'ip6tables-legacy-restore', 'iptables-nft-restore', 'ip', 'ipset'].every(
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0,
  );
}

const canAsk = available();
if (!canAsk) console.warn('SKIPPED: iptables-restore comparison (needs root, iptables and iproute2)');

function inside(command: string, input?: string): { status: number; output: string } {
  const run = spawnSync('ip', ['netns', 'exec', NAMESPACE, 'sh', '-c', command], { input, encoding: 'utf8' });
  return { status: run.status ?? -1, output: `${run.stdout}${run.stderr}` };
}

function tool(family: 2 | 10, backend: 'legacy' | 'nft'): string {
  return `${family === 2 ? 'iptables' : 'ip6tables'}-${backend}`;
}

/** Chains of an expression list, sorted: the back ends list user chains in orders of their own. */
function meaning(text: string, family: 2 | 10, table: string): string[] {
  const chains = explain(parseRulesets([{ file: 'saved', text, family, sets: SETS }])).split(/\n(?! )/);
  return chains
    .filter((chain) => chain.split(' ')[1] === table)
    .map((chain) => chain.trimEnd().replaceAll(/ state \d+ \]/g, ' ]'))
    .sort();
}

describe.skipIf(!canAsk)('iptables-restore', () => {
  beforeAll(() => {
    execFileSync('ip', ['netns', 'add', NAMESPACE]);
    expect(inside('ipset restore', GENERATED_SETS)).toEqual({ status: 0, output: '' });
  });
  afterAll(() => {
    execFileSync('ip', ['netns', 'del', NAMESPACE]);
  });

  for (const [family, rules] of [
    [2, RULES4],
    [10, RULES6],
  ] as const) {
    it(`takes and refuses what we do, ${family === 2 ? 'IPv4' : 'IPv6'}`, () => {
      const differences: string[] = [];
      for (const rule of rules.trim().split('\n')) {
        const text = `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:A1 - [0:0]\n${rule}\nCOMMIT\n`;
        const theirs = inside(`${tool(family, 'legacy')}-restore`, text);
        let ours = '';
        try {
          parseRulesets([{ file: 'rule', text, family }]);
        } catch (error) {
          if (!(error instanceof RulesetError)) throw error;
          ours = error.message;
        }
        if ((theirs.status === 0) !== (ours === ''))
          differences.push(`${rule}\n  iptables: ${theirs.output}\n  we: ${ours}`);
      }
      expect(differences).toEqual([]);
    });

    for (const backend of ['legacy', 'nft'] as const) {
      it(`prints rules that mean the same to us, ${family === 2 ? 'IPv4' : 'IPv6'} ${backend}`, () => {
        for (let seed = 1; seed <= 25; seed++) {
          const text = generateRuleset(family, numbers(seed), { conservative: true });
          const loaded = inside(`${tool(family, backend)}-restore`, text);
          expect(loaded, `seed ${seed}\n${text}`).toMatchObject({ status: 0 });
          for (const table of text.matchAll(/^\*(\w+)/gm)) {
            const name = table[1] ?? '';
            const saved = inside(`${tool(family, backend)}-save -t ${name} 2>/dev/null`).output;
            const missing = meaning(text, family, name).filter(
              (chain) => !meaning(saved, family, name).includes(chain),
            );
            expect(missing, `seed ${seed}\n${saved}`).toEqual([]);
          }
        }
      });
    }
  }
});
