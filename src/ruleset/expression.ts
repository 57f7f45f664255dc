// The expression list: what a rule tests and does, in the kernel's words, as plain data.
//
// A rule is a list of expressions that is read from the left; the first test that is false ends the rule. Lists are
// printed by print.ts as `nft --debug=netlink` prints its own, run in production by the WebAssembly that emit.ts makes
// of them, and interpreted by test/model/rule-interpreter.ts to check that.
import type { Carried, CarriedBy, ChunkMatch, Hook, IpSetAnswer, RejectWith } from '../../assembly/vocabulary.ts';
import type {
  ChunkTest,
  HashlimitTest,
  LogOptions,
  Match,
  NatBinding,
  Range,
  RecentTest,
  TableName,
  TrackingTemplate,
} from './ast.ts';
import type { ElementSet } from './ipset/ipset.ts';
import type { Family } from './source.ts';

/** Numbers of up to 32 bits that a packet or its connection has. Ports, ids and lengths are in host order. */
export type PacketField =
  /** Transport protocol (IPv6: of the last header). */
  | 'l4proto'
  /** Ports of the packet's tuple, as NAT left them (TCP, UDP, UDP-Lite, SCTP). */
  | 'sport'
  | 'dport'
  /** The first two 16 bit words of the transport header, read from memory (DCCP). */
  | 'th sport'
  | 'th dport'
  /** Flags byte of the TCP header. */
  | 'tcp flags'
  | 'icmp type'
  /** Type << 8 | code. */
  | 'icmp type and code'
  /** Bytes of the IP packet. */
  | 'length'
  /** TTL or hop limit. */
  | 'ttl'
  /** Type of service or traffic class. */
  | 'tos'
  | 'pkttype'
  | 'mark'
  /** 1 in a later fragment, else 0. */
  | 'later fragment';

/** Numbers of the connection; a test of them is `absent` when the packet has none. */
export type ConntrackField =
  | 'ct mark'
  /** IPS_* bits. */
  | 'ct status'
  | 'ct direction'
  /** Seconds left, 0 before confirmation. */
  | 'ct expiration'
  | 'ct protocol'
  | 'ct original proto-src'
  | 'ct original proto-dst'
  | 'ct reply proto-src'
  | 'ct reply proto-dst';

export type NumberField = PacketField | ConntrackField;

export type ConntrackAddressField = 'ct original saddr' | 'ct original daddr' | 'ct reply saddr' | 'ct reply daddr';
export type AddressField = 'saddr' | 'daddr' | ConntrackAddressField;

/** What a test of the connection says about a packet without one (kernel: nf_ct_get returns NULL). */
interface Connection {
  absent?: boolean;
}

export type Test =
  /** (field & mask) == value */
  | ({ op: 'cmp'; field: NumberField; mask: number; value: number; invert: boolean } & Connection)
  /** low <= field <= high, unsigned; nothing if low > high. */
  | ({ op: 'range'; field: NumberField; low: number; high: number; invert: boolean } & Connection)
  /** Any of the fields lies in any of the ranges. */
  | { op: 'lookup'; fields: PacketField[]; ranges: [low: number, high: number][]; invert: boolean }
  /** (field & mask) == value over 4 or 16 bytes in wire order. */
  | ({ op: 'address'; field: AddressField; mask: Uint8Array; value: Uint8Array; invert: boolean } & Connection)
  /** low <= field <= high over 4 or 16 bytes in wire order, compared from the left. */
  | { op: 'address range'; field: 'saddr' | 'daddr'; low: Uint8Array; high: Uint8Array; invert: boolean }
  /** Source address of the Ethernet header; false, also inverted, without such a header. */
  | { op: 'ether saddr'; value: Uint8Array; invert: boolean }
  /** The interface's name matches the pattern. */
  | { op: 'ifname'; field: 'iif' | 'oif'; pattern: number; invert: boolean }
  /** The packet's CtState is one of `states` (bits), or the connection has one of the `status` bits. */
  | { op: 'ct state'; states: number; status: number; invert: boolean }
  /** Type of an address by the routes, `types` as bits by AddrType; `interface` limits it to that interface. */
  | { op: 'fib'; field: 'saddr' | 'daddr'; types: number; interface?: 'iif' | 'oif'; invert: boolean }
  /** The TCP header has the option. Drops the packet if the header is longer than the packet (hotdrop). */
  | { op: 'tcp option'; option: number; invert: boolean }
  /** The MSS option lies in the range; a missing option counts as outside. Drops as 'tcp option' does. */
  | { op: 'tcp mss'; low: number; high: number; invert: boolean }
  /** The connection has the label, or gets it with `set`. */
  | { op: 'ct label'; bit: number; set: boolean; invert: boolean }
  /** A counter of the connection lies in the range; false, also inverted, where nothing is counted. */
  | { op: 'ct bytes'; carried: Carried; by: CarriedBy; low: bigint; high: bigint; invert: boolean }
  /**
   * Types and flags of the SCTP chunks; `state` is the offset of both in World.rule_state. A chunk that is cut short or
   * has no length drops the packet, when inverted only after the rule has done what it does (hotdrop).
   */
  | { op: 'sctp chunks'; match: ChunkMatch; state: number; test: ChunkTest; invert: boolean }
  /**
   * One of the sets (indices into Program.ipSets) answers so; `sources`: a bit for each part of the key that is the
   * packet's source; `scratch`: where the key is put together in World.rule_state, IP_SET_WORDS words.
   */
  | {
      op: 'ip set';
      sets: { set: number; answer: IpSetAnswer }[];
      sources: number;
      scratch: number;
      invert: boolean;
    }
  /** The connection was expected by one with one of these helpers (bits by Helper). */
  | { op: 'ct helper'; helpers: number; invert: boolean }
  /** Looks an address up in a list, and may change that. */
  | { op: 'recent'; list: RecentList; test: RecentTest }
  /** Takes from a bucket of a table; drops the packet where that has no room, or ports cannot be read (hotdrop). */
  | { op: 'hashlimit'; table: HashlimitTable; invert: boolean }
  /**
   * Counts the packet's connection for its address, which has more than `most` then. `mask`: offset of what is looked at of
   * addresses, in World.keyed. Drops a packet for which nothing is counted (hotdrop).
   */
  | {
      op: 'connlimit';
      table: number;
      mask: number;
      field: 'saddr' | 'daddr';
      bits: number;
      most: number;
      invert: boolean;
    }
  /** A token bucket of its own; `state` is its offset in World.rule_state. */
  | { op: 'limit'; state: number; cost: number; cap: number }
  /** Who sent the packet; what is asked for, and which of that is inverted, are OwnerFlag bits. */
  | { op: 'owner'; asked: number; inverted: number; uid: Range; gid: Range }
  /** The route back to the source leaves by the interface that the packet came by; `flags` are RpfilterFlag bits. */
  | { op: 'rpfilter'; flags: number; invert: boolean }
  /** The count at `state` in World.rule_state is `last`: it goes from 0 to there and begins anew. */
  | { op: 'nth'; state: number; last: number; invert: boolean }
  /** As many bytes as the packet has are left at `state` in World.rule_state, and taken; else nothing is left. */
  | { op: 'quota'; state: number; invert: boolean }
  /** 31 random bits are below `below`; `state` is the place of what they follow from in World.rule_state. */
  | { op: 'chance'; state: number; below: number; invert: boolean }
  /**
   * What extensions demand of the packet before they look at the transport header: in a later fragment the rule does
   * not match, and with fewer than `need` bytes of transport the packet is dropped (hotdrop). With `evil`, a fragment
   * at offset 8 is dropped too (RFC 1858, section 4.2).
   */
  | { op: 'guard'; need: number; evil: boolean };

export type Action =
  | { op: 'counter' }
  | { op: 'log'; log: LogOptions }
  /** mark = (mark & ~mask) ^ value */
  | { op: 'set mark'; mask: number; value: number }
  /** The segment announces this MSS at most; nothing but packets as they left shows it. */
  | { op: 'set mss'; mss: number | 'clamp' }
  /** ct mark = (ct mark & ~mask) ^ value */
  | { op: 'set ct mark'; mask: number; value: number }
  /** ct mark = (ct mark & ~ctmask) ^ (mark & nfmask) */
  | { op: 'save mark'; ctmask: number; nfmask: number }
  /** mark = (mark & ~nfmask) ^ (ct mark & ctmask) */
  | { op: 'restore mark'; ctmask: number; nfmask: number }
  /** Both leave a packet alone that was given a template, or is not to be tracked, before. */
  | { op: 'notrack' }
  /** `template` is an index into Program.templates. */
  | { op: 'template'; template: number }
  /** Binds the flow and ends the chain; `nat` is an index into Program.nats. */
  | { op: 'nat'; nat: number }
  | { op: 'verdict'; verdict: 'accept' | 'drop' | 'queue' | 'return' }
  | { op: 'reject'; with: RejectWith }
  /** `chain` is an index into Program.chains. */
  | { op: 'jump' | 'goto'; chain: number };

export interface RuleProgram {
  /** Index over the whole ruleset. */
  index: number;
  tests: Test[];
  actions: Action[];
}

export interface ChainProgram {
  family: Family;
  table: TableName;
  name: string;
  rules: RuleProgram[];
  base?: { hook: Hook; priority: number; policy: 'accept' | 'drop'; index: number };
}

export interface Program {
  /** Chains that some hook reaches. */
  chains: ChainProgram[];
  /** Interface name patterns: a name, or a beginning with '+' at its end. */
  patterns: string[];
  /** Bytes of World.rule_state, and the state of each bucket at the start. */
  stateBytes: number;
  limits: { state: number; cap: number; rule: number }[];
  /** Counts of `nth` tests, and where they begin. */
  nths: { state: number; start: number; rule: number }[];
  /** Where the bytes that are left of quotas lie. */
  quotas: { state: number; bytes: bigint; rule: number }[];
  /** Places of `chance` tests in World.rule_state. */
  chances: number[];
  /** What tests of SCTP chunks look up in World.rule_state. */
  chunkTests: { state: number; test: ChunkTest }[];
  /** Bytes of World.keyed, and what lies in it. */
  keyedBytes: number;
  recents: RecentList[];
  hashlimits: HashlimitTable[];
  connlimits: ConnlimitTable | undefined;
  /** IP sets that rules look into, each once. */
  ipSets: ElementSet[];
  /** What CT rules attach, each once. */
  templates: TrackingTemplate[];
  /** What NAT rules bind to, and the index of each rule. */
  nats: { binding: NatBinding; rule: number }[];
}

/** A list of addresses that rules name. */
export interface RecentList {
  name: string;
  /** Offset in World.keyed. */
  at: number;
  mask: Uint8Array;
  /** Time stamps that an address has at most, a power of two. */
  stamps: number;
  /** Index of the first rule that names it. */
  rule: number;
}

/** The buckets that rules of one family share by a name. */
export interface HashlimitTable {
  family: Family;
  test: HashlimitTest;
  /** Offset in World.keyed. */
  at: number;
  /** Index of the first rule that names it. */
  rule: number;
}

/** What all rules with -m connlimit count. */
export interface ConnlimitTable {
  /** Offset in World.keyed. */
  at: number;
  /** What each match looks at of addresses: 16 bytes, where they are, and how many bits of them are ones. */
  masks: { at: number; bits: number; rule: number; match: Match }[];
  /** Index of the first rule. */
  rule: number;
}

/** Layout of a bucket in World.rule_state: jiffies of the last packet (u64), credits (u32), padding. */
export const LIMIT_STATE = { size: 16, previous: 0, credit: 8 } as const;

/** Layout of a count of `nth` in World.rule_state: the count (u32), padding. */
export const NTH_STATE = { size: 8, count: 0 } as const;

/** Layout of a quota in World.rule_state: bytes left (u64). */
export const QUOTA_STATE = { size: 8, left: 0 } as const;

/** Layout of a `chance` test in World.rule_state; only `base` is not 0 at the start (assembly/rules/statistic.ts). */
export const CHANCE_STATE = { size: 24, base: 0 } as const;

/**
 * Layout of a test of SCTP chunks in World.rule_state: a bit per type, then four times type, value and mask of the flags
 * and 1 if in use.
 */
export const SCTP_TEST = { size: 48, types: 0, flags: 32, flagSize: 4 } as const;
