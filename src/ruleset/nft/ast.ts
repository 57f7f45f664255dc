// The tree of an nft ruleset: near to libnftables' own model, with every value typed by the side it is compared with, so
// that nothing behind the parser needs the text.
//
// What an expression implies stays implicit: `tcp dport 22` implies `meta l4proto tcp`, and `ip saddr` in an inet table
// `meta nfproto ipv4`. Lowering adds these tests where nft does (`nft --debug=netlink` shows them).
import type { Hook } from '../../../assembly/vocabulary.ts';
import type { LogOptions } from '../ast.ts';
import type { NftText } from './text.ts';

/** Characters from `start` up to, not including, `end`, counted from 0. `positionOf` makes a line and a column of it. */
export interface Place {
  text: NftText;
  start: number;
  end: number;
}

/** Families whose tables see IP packets, and arp, whose tables never do: those have no chains here. */
export type NftFamily = 'ip' | 'ip6' | 'inet' | 'arp';

/** Types of values by nft's names; `integer` and `string` take what no other type describes. */
export type Datatype =
  | 'integer'
  | 'string'
  | 'boolean'
  | 'verdict'
  | 'nf_proto'
  | 'ipv4_addr'
  | 'ipv6_addr'
  | 'ether_addr'
  | 'ether_type'
  | 'inet_proto'
  | 'inet_service'
  | 'mark'
  | 'ifname'
  | 'iface_index'
  | 'iface_type'
  | 'devgroup'
  | 'uid'
  | 'gid'
  | 'realm'
  | 'classid'
  | 'cgroupsv2'
  | 'pkt_type'
  | 'icmp_type'
  | 'icmp_code'
  | 'icmpv6_type'
  | 'icmpv6_code'
  | 'icmpx_code'
  | 'igmp_type'
  | 'mh_type'
  | 'tcp_flag'
  | 'dccp_pkttype'
  | 'ct_state'
  | 'ct_dir'
  | 'ct_status'
  | 'ct_label'
  | 'ct_event'
  | 'dscp'
  | 'ecn'
  | 'fib_addrtype'
  | 'time'
  | 'day'
  | 'hour'
  | 'timestamp';

/** A type and its width in bits; 0 for a string. */
export interface Typed {
  type: Datatype;
  bits: number;
}

/**
 * A constant. `bytes` is the number with its most significant byte first, in as few bytes as `bits` need, also where the
 * kernel keeps the host's order (marks, ids, times); addresses are in wire order. `time` counts milliseconds, `hour` seconds
 * since midnight, `day` from Sunday (0), `timestamp` nanoseconds since 1970, `ct_label` the bits themselves (1 << number).
 */
export interface Value extends Typed {
  kind: 'value';
  bytes: Uint8Array;
  at: Place;
}

/** Interface or other name; with `prefix` everything that begins with it. `iface_index` by name also comes as this. */
export interface Name {
  kind: 'name';
  type: 'ifname' | 'iface_index' | 'string';
  text: string;
  prefix: boolean;
  at: Place;
}

/** The values that agree with `value` in their first `length` bits; its other bits are zero. */
export interface Prefix {
  kind: 'prefix';
  value: Value;
  length: number;
  at: Place;
}

/** Both ends included; low <= high. */
export interface Range {
  kind: 'range';
  low: Value;
  high: Value;
  at: Place;
}

/** `*` as an element: what no other element matches. */
export interface Wildcard {
  kind: 'wildcard';
  at: Place;
}

/** Parts of a concatenation, as `saddr . dport`. */
export interface Concat {
  kind: 'concat';
  parts: Expression[];
  at: Place;
}

/** Where a header field lies: `offset` and `bits` in bits from the start of the header, first bit of the first byte first. */
export interface Payload extends Typed {
  kind: 'payload';
  base: 'link' | 'network' | 'transport' | 'inner';
  /** nft's name of the header (`ip`, `tcp`, `th`, `icmpv6`, ...); absent for a raw one (`@th,16,16`). */
  protocol?: PayloadProtocol;
  /** nft's name of the field. */
  field?: string;
  offset: number;
  at: Place;
}

export type PayloadProtocol =
  | 'ether'
  | 'vlan'
  | 'ip'
  | 'ip6'
  | 'icmp'
  | 'igmp'
  | 'icmpv6'
  | 'ah'
  | 'esp'
  | 'comp'
  | 'udp'
  | 'udplite'
  | 'tcp'
  | 'dccp'
  | 'sctp'
  | 'th';

export interface Meta extends Typed {
  kind: 'meta';
  /** As nft writes it (`iifname`, `l4proto`, `mark`, `day`, ...). */
  key: string;
  at: Place;
}

export interface Ct extends Typed {
  kind: 'ct';
  /** `state`, `mark`, `saddr`, `proto-src`, `bytes`, ...; `count` is a statement. */
  key: string;
  direction?: 'original' | 'reply';
  /** Of `saddr` and `daddr`: absent in tables of one family without it in the text. */
  family?: 'ip' | 'ip6';
  at: Place;
}

/** A look into the routes: `type` of an address, or the interface (`oif`, `oifname`) behind it. Boolean: is there one? */
export interface Fib extends Typed {
  kind: 'fib';
  /** Either saddr or daddr, and what limits the look. */
  flags: ('saddr' | 'daddr' | 'mark' | 'iif' | 'oif')[];
  result: 'oif' | 'oifname' | 'type';
  /** `fib ... exists` and `missing`: compared as a boolean. */
  check: boolean;
  at: Place;
}

export interface Rt extends Typed {
  kind: 'rt';
  key: 'classid' | 'nexthop' | 'mtu' | 'ipsec';
  family?: 'ip' | 'ip6';
  at: Place;
}

export interface Numgen extends Typed {
  kind: 'numgen';
  mode: 'inc' | 'random';
  modulus: number;
  offset: number;
  at: Place;
}

export interface Hash extends Typed {
  kind: 'hash';
  /** `symhash` has no key. */
  algorithm: 'jhash' | 'symhash';
  key?: Expression;
  modulus: number;
  /** Absent: the kernel draws one. */
  seed?: number;
  offset: number;
  at: Place;
}

/** An IPv6 extension header, an IPv4 or TCP option, an SCTP or DCCP option: whether it is there, or a field of it. */
export interface Exthdr extends Typed {
  kind: 'exthdr';
  of: 'ipv6' | 'ipv4 option' | 'tcp option' | 'sctp chunk' | 'dccp option';
  /** nft's name (`frag`, `hbh`, `maxseg`, `lsrr`, `init`, ...), absent for a TCP option by number. */
  name?: string;
  /** Protocol number of the header, kind of the option, type of the chunk. */
  number: number;
  /** Absent: only whether it is there, a boolean. */
  field?: string;
  /** In bits from the start of the header, option or chunk. */
  offset: number;
  at: Place;
}

export interface Binary extends Typed {
  kind: 'binary';
  op: '&' | '|' | '^' | '<<' | '>>';
  left: Expression;
  right: Expression;
  at: Place;
}

/** The data that a map holds for a key. */
export interface MapLookup {
  kind: 'map';
  key: Expression;
  map: SetUse;
  at: Place;
}

/** A set or map where it is used. */
export type SetUse = SetReference | AnonymousSet;

export interface SetReference {
  kind: 'set reference';
  name: string;
  set: NftSet;
  at: Place;
}

/** A constant set in the rule itself. */
export interface AnonymousSet {
  kind: 'anonymous set';
  elements: Element[];
  at: Place;
}

export type Constant = Value | Name | Prefix | Range | Wildcard;

export type Expression =
  | Constant
  | Concat
  | Payload
  | Meta
  | Ct
  | Fib
  | Rt
  | Numgen
  | Hash
  | Exthdr
  | Binary
  | MapLookup
  | SetUse
  | VerdictValue;

export type Verdict =
  | { verdict: 'accept' | 'drop' | 'continue' | 'return' }
  | { verdict: 'jump' | 'goto'; chain: NftChain }
  | { verdict: 'queue'; from: number; to: number; flags: string[] };

/** The data of a verdict map's element. */
export type VerdictValue = Verdict & { kind: 'verdict'; at: Place };

export interface Element {
  /** Concatenations of constants as Concat. */
  key: Constant | Concat;
  /** Of maps; of object maps a Name. */
  data?: Constant | Concat | VerdictValue;
  /** Milliseconds that it lives from when it is added, and that it has left. */
  timeout?: number;
  expires?: number;
  comment?: string;
  /** Counter, limit, quota or connection count of this element. */
  statements: Statement[];
  at: Place;
}

/** A named set or map. */
export interface NftSet {
  family: NftFamily;
  table: string;
  name: string;
  handle?: number;
  /** Parts of the key, one or more. */
  key: Typed[];
  /** Of a map: what an element has behind its key. */
  data?:
    | { kind: 'values'; types: Typed[]; interval: boolean }
    | { kind: 'verdict' }
    | { kind: 'object'; object: ObjectKind };
  flags: {
    constant: boolean;
    interval: boolean;
    timeout: boolean;
    dynamic: boolean;
  };
  /** Milliseconds. */
  timeout?: number;
  gcInterval?: number;
  size?: number;
  policy?: 'performance' | 'memory';
  autoMerge: boolean;
  comment?: string;
  /** What every element added from rules gets. */
  statements: Statement[];
  elements: Element[];
  at: Place;
}

export type ObjectKind =
  | 'counter'
  | 'quota'
  | 'limit'
  | 'ct helper'
  | 'ct timeout'
  | 'ct expectation'
  | 'synproxy'
  | 'secmark'
  | 'tunnel';

export interface CounterValues {
  packets: bigint;
  bytes: bigint;
}

/** `rate` packets or bytes in `seconds`; with `over`, what exceeds it matches. */
export interface LimitValues {
  rate: bigint;
  unit: 'packets' | 'bytes';
  seconds: number;
  burst: bigint;
  over: boolean;
}

/** With `over`, what comes after `bytes` are used up matches; without, what comes before. */
export interface QuotaValues {
  bytes: bigint;
  used: bigint;
  over: boolean;
}

export interface CtHelper {
  /** The kernel's name of the helper. */
  type: string;
  /** IP protocol number. */
  protocol: number;
  l3proto?: 'ip' | 'ip6';
}

export interface CtTimeout {
  /** IP protocol number. */
  protocol: number;
  l3proto?: 'ip' | 'ip6';
  /** Seconds by nft's name of the state. */
  policy: { state: string; seconds: number; at: Place }[];
}

/** A named stateful object. */
export type NftObject = {
  table: string;
  family: NftFamily;
  name: string;
  handle?: number;
  comment?: string;
  at: Place;
} & (
  | { object: 'counter'; counter: Counter }
  | { object: 'quota'; quota: QuotaValues }
  | { object: 'limit'; limit: LimitValues }
  | { object: 'ct helper'; helper: CtHelper }
  | { object: 'ct timeout'; timeout: CtTimeout }
  /** Known by name only: a rule that uses it is refused. */
  | { object: 'ct expectation' | 'synproxy' | 'secmark' | 'tunnel' }
);

/** A counter of a rule, an element, or with a name. */
export interface Counter {
  /** What the text states; a replay counts from zero. */
  stated?: CounterValues;
  /** What it is counted by: set when the whole ruleset is numbered, -1 where nothing counts. */
  index: number;
}

/** Where the numbers of a counter are printed: in place of the characters from `start` to `end`, between two texts. */
export interface CounterPlace {
  counter: Counter;
  start: number;
  end: number;
  before: string;
  after: string;
  json: boolean;
}

export interface Match {
  kind: 'match';
  /** `any` and `none`: some bit, or no bit, of `right` is set in `left`. */
  op: '==' | '!=' | '<' | '>' | '<=' | '>=' | 'any' | 'none';
  left: Expression;
  /** Constant, set, or for bits an expression. */
  right: Expression;
  at: Place;
}

export type Statement =
  | Match
  | { kind: 'counter'; counter: Counter; at: Place }
  | ({ kind: 'verdict'; at: Place } & Verdict)
  | { kind: 'vmap'; key: Expression; map: SetUse; at: Place }
  /** `meta mark set`, `ct mark set`, `ip dscp set`, `tcp option maxseg size set` ... */
  | {
      kind: 'set';
      target: Payload | Meta | Ct | Exthdr;
      value: Expression;
      at: Place;
    }
  /** `reset tcp option` */
  | { kind: 'reset'; target: Exthdr; at: Place }
  | { kind: 'limit'; limit: LimitValues; at: Place }
  | { kind: 'quota'; quota: QuotaValues; at: Place }
  | { kind: 'log'; log: LogOptions; at: Place }
  /** ICMP type 3 (`icmp`), ICMPv6 type 1 (`icmpv6`), or by the packet's family (`icmpx`). */
  | {
      kind: 'reject';
      with: 'icmp' | 'icmpv6' | 'icmpx';
      code: number;
      at: Place;
    }
  | { kind: 'reject'; with: 'tcp reset'; at: Place }
  | { kind: 'notrack'; at: Place }
  | Nat
  | {
      kind: 'object';
      object: ObjectKind;
      name: string;
      reference: NftObject;
      at: Place;
    }
  | {
      kind: 'object map';
      object: ObjectKind;
      key: Expression;
      map: SetUse;
      at: Place;
    }
  | SetUpdate
  | { kind: 'ct count'; count: number; over: boolean; at: Place }
  /** `last used`: remembers when; no packet shows it. */
  | { kind: 'last'; at: Place };

export interface Nat {
  kind: 'nat';
  nat: 'snat' | 'dnat' | 'masquerade' | 'redirect';
  /** Written behind snat or dnat, or given by the address. */
  family?: 'ip' | 'ip6';
  /** Value, Range, Prefix, map, or any other expression of that type. */
  address?: Expression;
  port?: Expression;
  /** `address` is a map whose data are an address and a port (`addr . port to`), or a range of either (`interval`). */
  addressAndPort: boolean;
  flags: ('random' | 'fully-random' | 'persistent' | 'netmap')[];
  at: Place;
}

/** `add @set { key }`, `update`, `delete`. */
export interface SetUpdate {
  kind: 'set update';
  op: 'add' | 'update' | 'delete';
  set: SetReference;
  key: Expression;
  /** Of a map. */
  data?: Expression;
  /** Milliseconds. */
  timeout?: number;
  statements: Statement[];
  at: Place;
}

export interface NftRule {
  statements: Statement[];
  handle?: number;
  comment?: string;
  /** As written, on one line, without handle and counters' numbers. */
  text: string;
  /** Position in its chain, from 1. */
  number: number;
  /** Index over the whole ruleset: set when that is numbered. */
  index: number;
  at: Place;
}

export interface NftChain {
  table: NftTable;
  name: string;
  handle?: number;
  comment?: string;
  base?: {
    type: 'filter' | 'nat' | 'route';
    hook: Hook;
    priority: number;
    policy: 'accept' | 'drop';
    /** Index of the policy, as rules have: set when the ruleset is numbered. */
    index: number;
    at: Place;
  };
  rules: NftRule[];
  at: Place;
}

export interface NftTable {
  family: NftFamily;
  name: string;
  handle?: number;
  comment?: string;
  /** The kernel does not look at its chains. */
  dormant: boolean;
  /** In the order of the text. */
  chains: NftChain[];
  sets: NftSet[];
  objects: NftObject[];
  at: Place;
}

/** One nft source, text or JSON. */
export interface NftSource {
  text: NftText;
  tables: NftTable[];
  /** In the order of the text. */
  counters: CounterPlace[];
}

/** A constant of up to 53 bits as a number. */
export function numberOf({ bytes }: Value): number {
  return bytes.reduce((number, byte) => number * 256 + byte, 0);
}
