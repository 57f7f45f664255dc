// Which numbers do the names in hand-written rules stand for? (iptables-save prints numbers for most of them.)
import { AddrType, EventBit, PktType, RejectWith } from '../../../assembly/vocabulary.ts';

/** Protocols of /etc/protocols (Debian), lower case, plus the aliases that iptables itself knows. */
export const PROTOCOLS: Readonly<Record<string, number>> = {
  all: 0, ip: 0, hopopt: 0, icmp: 1, igmp: 2, ggp: 3, ipencap: 4, 'ip-encap': 4, st: 5, tcp: 6, egp: 8, igp: 9,
  pup: 12, udp: 17, hmp: 20, 'xns-idp': 22, rdp: 27, 'iso-tp4': 29, dccp: 33, xtp: 36, ddp: 37, 'idpr-cmtp': 38,
  ipv6: 41, 'ipv6-route': 43, 'ipv6-frag': 44, idrp: 45, rsvp: 46, gre: 47, esp: 50, 'ipsec-esp': 50, ah: 51,
  'ipsec-ah': 51, skip: 57, 'ipv6-icmp': 58, icmpv6: 58, 'ipv6-nonxt': 59, 'ipv6-opts': 60, rspf: 73, vmtp: 81,
  eigrp: 88, ospf: 89, ospfigp: 89, 'ax.25': 93, ipip: 94, etherip: 97, encap: 98, pim: 103, ipcomp: 108, vrrp: 112,
  l2tp: 115, isis: 124, sctp: 132, fc: 133, 'mobility-header': 135, 'ipv6-mh': 135, mh: 135, udplite: 136,
  'mpls-in-ip': 137, manet: 138, hip: 139, shim6: 140, wesp: 141, rohc: 142, ethernet: 143,
}; // biome-ignore format: a table

/** Services of /etc/services (Debian) that rules name; the port is the same for TCP and UDP unless stated below. */
const SERVICES: Readonly<Record<string, number>> = {
  tcpmux: 1, echo: 7, discard: 9, systat: 11, daytime: 13, netstat: 15, qotd: 17, chargen: 19, 'ftp-data': 20, ftp: 21,
  ssh: 22, telnet: 23, smtp: 25, time: 37, whois: 43, tacacs: 49, domain: 53, bootps: 67, bootpc: 68, tftp: 69,
  gopher: 70, finger: 79, http: 80, www: 80, kerberos: 88, 'iso-tsap': 102, pop3: 110, 'pop-3': 110, sunrpc: 111,
  portmapper: 111, auth: 113, ident: 113, nntp: 119, ntp: 123, epmap: 135, 'loc-srv': 135, 'netbios-ns': 137,
  'netbios-dgm': 138, 'netbios-ssn': 139, imap2: 143, imap: 143, snmp: 161, 'snmp-trap': 162, snmptrap: 162,
  xdmcp: 177, bgp: 179, 'ptp-event': 319, 'ptp-general': 320, ldap: 389, svrloc: 427, https: 443, snpp: 444,
  'microsoft-ds': 445, kpasswd: 464, submissions: 465, ssmtp: 465, smtps: 465, isakmp: 500, rtsp: 554,
  'asf-rmcp': 623, ipp: 631, ldp: 646, printer: 515, talk: 517, ntalk: 518, route: 520, uucp: 540,
  'dhcpv6-client': 546, 'dhcpv6-server': 547, nntps: 563, submission: 587, ldaps: 636, tinc: 655,
  'kerberos-adm': 749, spamd: 783, 'domain-s': 853, rsync: 873, 'ftps-data': 989, ftps: 990, telnets: 992,
  imaps: 993, pop3s: 995, socks: 1080, openvpn: 1194, rmiregistry: 1099, 'ms-sql-s': 1433, 'ms-sql-m': 1434,
  l2f: 1701, radius: 1812, 'radius-acct': 1813, 'cisco-sccp': 2000, nfs: 2049, cvspserver: 2401, zebra: 2601,
  bgpd: 2605, dict: 2628, gpsd: 2947, icpv2: 3130, 'iscsi-target': 3260, mysql: 3306, 'ms-wbt-server': 3389,
  nut: 3493, distcc: 3632, daap: 3689, svn: 3690, sieve: 4190, epmd: 4369, ntske: 4460, 'ipsec-nat-t': 4500,
  iax: 4569, munin: 4949, sip: 5060, 'sip-tls': 5061, 'xmpp-client': 5222, 'xmpp-server': 5269, mdns: 5353,
  postgresql: 5432, nrpe: 5666, nsca: 5667, amqps: 5671, amqp: 5672, x11: 6000, redis: 6379, 'syslog-tls': 6514,
  ircd: 6667, 'ircs-u': 6697, 'http-alt': 8080, puppet: 8140, 'bacula-dir': 9101, 'bacula-fd': 9102,
  'bacula-sd': 9103, git: 9418, webmin: 10000, 'zabbix-agent': 10050, 'zabbix-trapper': 10051, hkp: 11371,
}; // biome-ignore format: a table
const SERVICES_TCP: Readonly<Record<string, number>> = { exec: 512, login: 513, shell: 514 };
const SERVICES_UDP: Readonly<Record<string, number>> = { biff: 512, who: 513, syslog: 514 };

/** Port of a service, or undefined if this list does not have it. */
export function servicePort(name: string): number | undefined {
  return own(SERVICES, name) ?? own(SERVICES_TCP, name) ?? own(SERVICES_UDP, name);
}

/** ICMP types by name (iptables-extensions(8), `iptables -m icmp -h`): type, then first and last code. */
export const ICMP_TYPES: Readonly<Record<string, readonly [number, number, number]>> = {
  any: [255, 0, 255],
  'echo-reply': [0, 0, 255],
  pong: [0, 0, 255],
  'destination-unreachable': [3, 0, 255],
  'network-unreachable': [3, 0, 0],
  'host-unreachable': [3, 1, 1],
  'protocol-unreachable': [3, 2, 2],
  'port-unreachable': [3, 3, 3],
  'fragmentation-needed': [3, 4, 4],
  'source-route-failed': [3, 5, 5],
  'network-unknown': [3, 6, 6],
  'host-unknown': [3, 7, 7],
  'network-prohibited': [3, 9, 9],
  'host-prohibited': [3, 10, 10],
  'TOS-network-unreachable': [3, 11, 11],
  'TOS-host-unreachable': [3, 12, 12],
  'communication-prohibited': [3, 13, 13],
  'host-precedence-violation': [3, 14, 14],
  'precedence-cutoff': [3, 15, 15],
  'source-quench': [4, 0, 255],
  redirect: [5, 0, 255],
  'network-redirect': [5, 0, 0],
  'host-redirect': [5, 1, 1],
  'TOS-network-redirect': [5, 2, 2],
  'TOS-host-redirect': [5, 3, 3],
  'echo-request': [8, 0, 255],
  ping: [8, 0, 255],
  'router-advertisement': [9, 0, 255],
  'router-solicitation': [10, 0, 255],
  'time-exceeded': [11, 0, 255],
  'ttl-exceeded': [11, 0, 255],
  'ttl-zero-during-transit': [11, 0, 0],
  'ttl-zero-during-reassembly': [11, 1, 1],
  'parameter-problem': [12, 0, 255],
  'ip-header-bad': [12, 0, 0],
  'required-option-missing': [12, 1, 1],
  'timestamp-request': [13, 0, 255],
  'timestamp-reply': [14, 0, 255],
  'address-mask-request': [17, 0, 255],
  'address-mask-reply': [18, 0, 255],
};

/** ICMPv6 types by name (`ip6tables -m icmp6 -h`). */
export const ICMP6_TYPES: Readonly<Record<string, readonly [number, number, number]>> = {
  'destination-unreachable': [1, 0, 255],
  'no-route': [1, 0, 0],
  'communication-prohibited': [1, 1, 1],
  'beyond-scope': [1, 2, 2],
  'address-unreachable': [1, 3, 3],
  'port-unreachable': [1, 4, 4],
  'failed-policy': [1, 5, 5],
  'reject-route': [1, 6, 6],
  'packet-too-big': [2, 0, 255],
  'time-exceeded': [3, 0, 255],
  'ttl-exceeded': [3, 0, 255],
  'ttl-zero-during-transit': [3, 0, 0],
  'ttl-zero-during-reassembly': [3, 1, 1],
  'parameter-problem': [4, 0, 255],
  'bad-header': [4, 0, 0],
  'unknown-header-type': [4, 1, 1],
  'unknown-option': [4, 2, 2],
  'echo-request': [128, 0, 255],
  ping: [128, 0, 255],
  'echo-reply': [129, 0, 255],
  pong: [129, 0, 255],
  'router-solicitation': [133, 0, 255],
  'router-advertisement': [134, 0, 255],
  'neighbour-solicitation': [135, 0, 255],
  'neighbor-solicitation': [135, 0, 255],
  'neighbour-advertisement': [136, 0, 255],
  'neighbor-advertisement': [136, 0, 255],
  redirect: [137, 0, 255],
};

/** --reject-with of IPv4: each kind with its alias, in the order in which iptables looks for a prefix. */
export const REJECT4: readonly (readonly [string, string, RejectWith])[] = [
  ['icmp-net-unreachable', 'net-unreach', RejectWith.ICMP_NET_UNREACHABLE],
  ['icmp-host-unreachable', 'host-unreach', RejectWith.ICMP_HOST_UNREACHABLE],
  ['icmp-proto-unreachable', 'proto-unreach', RejectWith.ICMP_PROTO_UNREACHABLE],
  ['icmp-port-unreachable', 'port-unreach', RejectWith.ICMP_PORT_UNREACHABLE],
  ['icmp-net-prohibited', 'net-prohib', RejectWith.ICMP_NET_PROHIBITED],
  ['icmp-host-prohibited', 'host-prohib', RejectWith.ICMP_HOST_PROHIBITED],
  ['tcp-reset', 'tcp-rst', RejectWith.TCP_RESET],
  ['icmp-admin-prohibited', 'admin-prohib', RejectWith.ICMP_ADMIN_PROHIBITED],
];

/** --reject-with of IPv6. */
export const REJECT6: readonly (readonly [string, string, RejectWith])[] = [
  ['icmp6-no-route', 'no-route', RejectWith.ICMP6_NO_ROUTE],
  ['icmp6-adm-prohibited', 'adm-prohibited', RejectWith.ICMP6_ADM_PROHIBITED],
  ['icmp6-addr-unreachable', 'addr-unreach', RejectWith.ICMP6_ADDR_UNREACHABLE],
  ['icmp6-port-unreachable', 'port-unreach', RejectWith.ICMP6_PORT_UNREACHABLE],
  ['tcp-reset', 'tcp-reset', RejectWith.TCP_RESET],
  ['icmp6-policy-fail', 'policy-fail', RejectWith.ICMP6_POLICY_FAIL],
  ['icmp6-reject-route', 'reject-route', RejectWith.ICMP6_REJECT_ROUTE],
];

export const LOG_LEVELS: Readonly<Record<string, number>> = {
  emerg: 0, panic: 0, alert: 1, crit: 2, err: 3, error: 3, warning: 4, notice: 5, info: 6, debug: 7,
}; // biome-ignore format: a table

export const TCP_FLAGS: Readonly<Record<string, number>> = {
  FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16, URG: 32, ALL: 63, NONE: 0,
}; // biome-ignore format: a table

/** THROW, NAT and XRESOLVE are routes that no address has here; their bits can be asked for and never match. */
export const ADDRESS_TYPES: Readonly<Record<string, number>> = {
  UNSPEC: AddrType.UNSPEC,
  UNICAST: AddrType.UNICAST,
  LOCAL: AddrType.LOCAL,
  BROADCAST: AddrType.BROADCAST,
  ANYCAST: AddrType.ANYCAST,
  MULTICAST: AddrType.MULTICAST,
  BLACKHOLE: AddrType.BLACKHOLE,
  UNREACHABLE: AddrType.UNREACHABLE,
  PROHIBIT: AddrType.PROHIBIT,
  THROW: 9,
  NAT: 10,
  XRESOLVE: 11,
};

export const PACKET_TYPES: Readonly<Record<string, PktType>> = {
  unicast: PktType.HOST,
  host: PktType.HOST,
  broadcast: PktType.BROADCAST,
  bcast: PktType.BROADCAST,
  multicast: PktType.MULTICAST,
  mcast: PktType.MULTICAST,
  otherhost: PktType.OTHERHOST,
};

/** Looks up an own key only: text from outside may be called `constructor`. */
export function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

/**
 * The entry whose name is `name` in any case, or the only one that begins with it, as iptables matches ICMP types.
 * undefined if there is none, null if several begin with it.
 */
export function byPrefix<T>(table: Readonly<Record<string, T>>, name: string): T | null | undefined {
  const wanted = name.toLowerCase();
  const found = Object.keys(table).filter((key) => key.toLowerCase().startsWith(wanted));
  const exact = found.find((key) => key.toLowerCase() === wanted);
  if (exact !== undefined) return table[exact];
  if (found.length > 1) return null;
  return found[0] === undefined ? undefined : table[found[0]];
}

/** Events of entries as --ctevents names them (1 << IPCT_*), and of expectations (1 << IPEXP_*). */
export const CT_EVENTS: Readonly<Record<string, number>> = {
  new: EventBit.NEW,
  related: EventBit.RELATED,
  destroy: EventBit.DESTROY,
  reply: EventBit.REPLY,
  assured: EventBit.ASSURED,
  protoinfo: EventBit.PROTOINFO,
  helper: EventBit.HELPER,
  mark: EventBit.MARK,
  natseqinfo: 1 << 8,
  secmark: 1 << 9,
};
export const EXPECTATION_EVENTS: Readonly<Record<string, number>> = { new: 1 };
