// What are the numbers of the vocabulary called in outputs? Names that conntrack, iptables and the kernel print.

import {
  CtState,
  Dir,
  L3,
  Path,
  Proto,
  RejectWith,
  SCTP_STATE_BASE,
  SctpConntrack,
  Status,
  TcpConntrack,
  Verdict,
} from '../../assembly/vocabulary.ts';

/** Protocol names as libnetfilter_conntrack knows them; others are "unknown". */
const CONNTRACK_PROTOCOLS = new Map<number, string>([
  [Proto.TCP, 'tcp'],
  [Proto.UDP, 'udp'],
  [Proto.UDPLITE, 'udplite'],
  [Proto.ICMP, 'icmp'],
  [Proto.ICMPV6, 'icmpv6'],
  [Proto.SCTP, 'sctp'],
  [Proto.GRE, 'gre'],
  [Proto.DCCP, 'dccp'],
]);

/** Further names of our own reports (/etc/protocols). */
const OTHER_PROTOCOLS = new Map<number, string>([
  [2, 'igmp'],
  [4, 'ipip'],
  [41, 'ipv6'],
  [Proto.ESP, 'esp'],
  [Proto.AH, 'ah'],
  [89, 'ospf'],
  [103, 'pim'],
  [112, 'vrrp'],
]);

/** Name that conntrack prints for a protocol number. */
export function conntrackProtocol(protonum: number): string {
  return CONNTRACK_PROTOCOLS.get(protonum) ?? 'unknown';
}

/** Name of a protocol number in our own reports: `tcp`, `esp`, `proto-253`. */
export function protocolName(protonum: number): string {
  return CONNTRACK_PROTOCOLS.get(protonum) ?? OTHER_PROTOCOLS.get(protonum) ?? `proto-${protonum}`;
}

/** `ipv4`, `ipv6`, `inet` for rules of both, or `unknown`. */
export function familyName(l3num: number): string {
  if (l3num === INET) return 'inet';
  return l3num === L3.IPV4 ? 'ipv4' : l3num === L3.IPV6 ? 'ipv6' : 'unknown';
}

/** NFPROTO_INET */
const INET = 1;

/** Name of a TCP state as conntrack prints it; what it does not know is NONE. */
export function tcpStateName(state: number): string {
  return state < TcpConntrack.MAX ? TcpConntrack[state]! : 'NONE';
}

/** Name of an SCTP state as conntrack prints it; what it does not know is NONE. */
export function sctpStateName(state: number): string {
  return state < SctpConntrack.MAX ? SctpConntrack[state]! : 'NONE';
}

/** Name of the state that an entry of this protocol has (Event.tcp_state); undefined for protocols without states. */
export function entryStateName(protonum: number, state: number): string | undefined {
  if (protonum === Proto.TCP) return tcpStateName(state);
  return protonum === Proto.SCTP ? sctpStateName(state) : undefined;
}

/** Protocol and name of a state as a packet reports it (Packet.tcp_state, not 0). */
export function packetState(state: number): ['tcp' | 'sctp', string] {
  if (state < SCTP_STATE_BASE) return ['tcp', tcpStateName(state)];
  return ['sctp', sctpStateName(state - SCTP_STATE_BASE)];
}

export function ctStateName(state: number): string {
  return CtState[state]!;
}

export function verdictName(verdict: number): string {
  return Verdict[verdict]!;
}

/** `original` or `reply`. */
export function dirName(dir: number): string {
  return dir === Dir.REPLY ? 'reply' : 'original';
}

/** `forward`, `input`, `output`; undefined where the packet met no hook. */
export function pathName(path: number): string | undefined {
  return path === Path.NONE ? undefined : Path[path]!.toLowerCase();
}

const STATUS_NAMES: readonly (readonly [bit: number, name: string])[] = [
  [Status.EXPECTED, 'EXPECTED'],
  [Status.SEEN_REPLY, 'SEEN_REPLY'],
  [Status.ASSURED, 'ASSURED'],
  [Status.SRC_NAT, 'SRC_NAT'],
  [Status.DST_NAT, 'DST_NAT'],
  [Status.SEQ_ADJUST, 'SEQ_ADJUST'],
  [Status.DYING, 'DYING'],
  [Status.FIXED_TIMEOUT, 'FIXED_TIMEOUT'],
  [Status.HELPER, 'HELPER'],
];

/** Names of the status bits that are set, in the kernel's order, without CONFIRMED (every entry has it). */
export function statusNames(status: number): string[] {
  return STATUS_NAMES.filter(([bit]) => (status & bit) !== 0).map(([, name]) => name);
}

const REJECT_NAMES: Record<RejectWith, string | undefined> = {
  [RejectWith.NONE]: undefined,
  [RejectWith.ICMP_NET_UNREACHABLE]: 'icmp-net-unreachable',
  [RejectWith.ICMP_HOST_UNREACHABLE]: 'icmp-host-unreachable',
  [RejectWith.ICMP_PROTO_UNREACHABLE]: 'icmp-proto-unreachable',
  [RejectWith.ICMP_PORT_UNREACHABLE]: 'icmp-port-unreachable',
  [RejectWith.ICMP_NET_PROHIBITED]: 'icmp-net-prohibited',
  [RejectWith.ICMP_HOST_PROHIBITED]: 'icmp-host-prohibited',
  [RejectWith.ICMP_ADMIN_PROHIBITED]: 'icmp-admin-prohibited',
  [RejectWith.TCP_RESET]: 'tcp-reset',
  [RejectWith.ICMP6_NO_ROUTE]: 'icmp6-no-route',
  [RejectWith.ICMP6_ADM_PROHIBITED]: 'icmp6-adm-prohibited',
  [RejectWith.ICMP6_ADDR_UNREACHABLE]: 'icmp6-addr-unreachable',
  [RejectWith.ICMP6_PORT_UNREACHABLE]: 'icmp6-port-unreachable',
  [RejectWith.ICMP6_POLICY_FAIL]: 'icmp6-policy-fail',
  [RejectWith.ICMP6_REJECT_ROUTE]: 'icmp6-reject-route',
};

/** What REJECT answers with, as `--reject-with` (iptables-extensions) names it. */
export function rejectName(reject: number): string | undefined {
  return REJECT_NAMES[reject as RejectWith];
}
