// The tree of a ruleset: tables, chains, rules, matches and targets, typed, each with its place in the text.
import type { Carried, CarriedBy, ChunkMatch, Hook, NatKind, RejectWith } from '../../assembly/vocabulary.ts';
import type { TextPosition } from '../errors.ts';
import type { ElementSet } from './ipset/ipset.ts';
import type { NftChain, NftRule, NftSource } from './nft/ast.ts';
import type { Family, Line } from './source.ts';

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter' | 'security';

/** An inclusive range of numbers; empty if low > high. */
export interface Range {
  low: number;
  high: number;
}

export interface InvertedRange extends Range {
  invert: boolean;
}

/** Address bytes in wire order (4 or 16), already masked; the mask may have holes. */
export interface AddressTest {
  address: Uint8Array;
  mask: Uint8Array;
  invert: boolean;
}

export interface AddressRange {
  low: Uint8Array;
  high: Uint8Array;
  invert: boolean;
}

/** What ip_tables and ip6_tables test themselves, before any extension (struct ipt_ip, struct ip6t_ip6). */
export interface Header {
  source?: AddressTest;
  destination?: AddressTest;
  input?: { pattern: string; invert: boolean };
  output?: { pattern: string; invert: boolean };
  protocol?: { number: number; invert: boolean };
  fragment?: { invert: boolean };
}

export interface ConntrackTest {
  /** Bits by CtState (1 << state); `status` has the NAT bits (IPS_*) that SNAT and DNAT stand for. */
  state?: { states: number; status: number; invert: boolean };
  protocol?: { number: number; invert: boolean };
  originalSource?: AddressTest;
  originalDestination?: AddressTest;
  replySource?: AddressTest;
  replyDestination?: AddressTest;
  originalSourcePort?: InvertedRange;
  originalDestinationPort?: InvertedRange;
  replySourcePort?: InvertedRange;
  replyDestinationPort?: InvertedRange;
  /** IPS_* bits, any of which matches. */
  status?: { bits: number; invert: boolean };
  /** Seconds left. */
  expires?: InvertedRange;
  direction?: number;
}

export interface AddressTypeTest {
  /** Bits by AddrType (1 << type). */
  source?: { types: number; invert: boolean };
  destination?: { types: number; invert: boolean };
  limit?: 'in' | 'out';
}

/** What `--chunk-types` asks for. */
export interface ChunkTest {
  match: ChunkMatch;
  types: number[];
  /** Flags that chunks of a type must have: (flags & mask) == value. */
  flags: { type: number; value: number; mask: number }[];
  invert: boolean;
}

/** Options of `-m physdev`, without their beginning. */
export type PhysdevQuestion = 'in' | 'out' | 'is-in' | 'is-out' | 'is-bridged';

/** What `-m recent` does to a list of addresses, and when it matches. */
export interface RecentTest {
  list: string;
  does: 'set' | 'rcheck' | 'update' | 'remove';
  side: 'source' | 'destination';
  /** What of addresses the list keeps. */
  mask: Uint8Array;
  /** 0: at any time. */
  seconds: number;
  /** 0: once. */
  hits: number;
  ttl: boolean;
  reap: boolean;
  invert: boolean;
}

/** What `-m hashlimit` gives each bucket, and what makes a bucket. */
export interface HashlimitTest {
  name: string;
  /** HashlimitFlag bits. */
  flags: number;
  /** As user space hands them to the kernel (struct hashlimit_cfg3). */
  average: bigint;
  burst: bigint;
  /** Prefix lengths of what makes a bucket. */
  sourceBits: number;
  destinationBits: number;
  /** Buckets of the hash table and entries at most; 0: as the kernel likes. */
  buckets: number;
  most: number;
  gcInterval_ms: number;
  expire_ms: number;
  interval_s: number;
  invert: boolean;
}

export type MatchTest =
  | {
      kind: 'tcp';
      sport?: InvertedRange;
      dport?: InvertedRange;
      flags?: { mask: number; compare: number; invert: boolean };
      option?: { number: number; invert: boolean };
    }
  | { kind: 'udp'; sport?: InvertedRange; dport?: InvertedRange }
  | { kind: 'sctp'; sport?: InvertedRange; dport?: InvertedRange; chunks?: ChunkTest }
  | { kind: 'multiport'; side: 'source' | 'destination' | 'either'; ports: Range[]; invert: boolean }
  | { kind: 'icmp' /** 255: any type. */; type: number; codes: Range; invert: boolean }
  | { kind: 'icmp6'; type: number; codes: Range; invert: boolean }
  | { kind: 'conntrack'; test: ConntrackTest }
  | { kind: 'mark'; value: number; mask: number; invert: boolean }
  | { kind: 'connmark'; value: number; mask: number; invert: boolean }
  | { kind: 'connlabel'; bit: number; set: boolean; invert: boolean }
  | { kind: 'connbytes'; carried: Carried; by: CarriedBy; low: bigint; high: bigint; invert: boolean }
  /** One of the sets has what the packet shows; with `nomatch` those of networks, an element that is an exception. */
  | { kind: 'set'; sets: ElementSet[]; sources: number; nomatch: boolean; invert: boolean }
  /** Which helper expected the connection: bits by Helper. */
  | { kind: 'helper'; helpers: number; invert: boolean }
  | { kind: 'comment'; comment: string }
  | { kind: 'addrtype'; test: AddressTypeTest }
  | { kind: 'iprange'; source?: AddressRange; destination?: AddressRange }
  | { kind: 'recent'; test: RecentTest }
  | { kind: 'hashlimit'; test: HashlimitTest }
  /** More than `most` connections of a network of `bits`; inverted no more. */
  | { kind: 'connlimit'; most: number; side: 'source' | 'destination'; bits: number; invert: boolean }
  | { kind: 'mac'; address: Uint8Array; invert: boolean }
  | { kind: 'pkttype'; type: number; invert: boolean }
  | { kind: 'length'; range: InvertedRange }
  | { kind: 'ttl'; range: InvertedRange }
  | { kind: 'tcpmss'; range: InvertedRange }
  | {
      kind: 'limit' /** XT_LIMIT_SCALE / rate per second, as user space hands it to the kernel. */;
      average: number;
      burst: number;
    }
  /** What is asked for, and which of that is inverted, are OwnerFlag bits. */
  | { kind: 'owner'; asked: number; inverted: number; uid: Range; gid: Range }
  /** Type of service or traffic class: (tos & mask) == value. */
  | { kind: 'tos'; value: number; mask: number; invert: boolean }
  | { kind: 'quota'; bytes: bigint; invert: boolean }
  | { kind: 'physdev'; asked: { what: PhysdevQuestion; invert: boolean }[] }
  /** `flags` are RpfilterFlag bits. */
  | { kind: 'rpfilter'; flags: number; invert: boolean }
  /** The packet that finds `last` in the count, which is `start` at first. */
  | { kind: 'nth'; last: number; start: number; invert: boolean }
  /** 31 random bits are below `below`. */
  | { kind: 'chance'; below: number; invert: boolean };

export type Match = MatchTest & { /** Name after -m. */ name: string; at: TextPosition };

/** What LOG and NFLOG were told. */
export interface LogOptions {
  kind: 'LOG' | 'NFLOG';
  prefix?: string;
  /** syslog level 0 to 7 (LOG). */
  level?: number;
  /** --log-tcp-sequence, --log-tcp-options, --log-ip-options, --log-uid, --log-macdecode, without dashes (LOG). */
  flags?: string[];
  /** Netlink group (NFLOG). */
  group?: number;
  /** Bytes to copy (NFLOG). */
  size?: number;
  /** Queue threshold (NFLOG). */
  threshold?: number;
}

/** What CT gives to the entries that its packets begin. */
export interface TrackingTemplate {
  /** 0 to 65535. */
  zone: number;
  /** TemplateFlag bits. */
  flags: number;
  /** EventBit bits of entries, and of expectations (1: new), that are announced; undefined: all. */
  events?: { entries: number; expectations: number };
  /** Helper that they get, by the kernel's name. */
  helper?: string;
}

/** What a target of the nat table may map a flow to. */
export interface NatBinding {
  kind: NatKind;
  /** NatFlag bits. */
  flags: number;
  /** 4 or 16 bytes in wire order, both ends included; for NETMAP the ends of the network. */
  addresses?: { low: Uint8Array; high: Uint8Array };
  /** `base`: the port that the first one stands for in a shifted range. */
  ports?: { low: number; high: number; base?: number };
}

export type TargetAction =
  | { kind: 'none' }
  | { kind: 'verdict'; verdict: 'ACCEPT' | 'DROP' | 'QUEUE' | 'RETURN' }
  | { kind: 'jump'; chain: string; goto: boolean }
  | { kind: 'reject'; with: RejectWith }
  | { kind: 'log'; log: LogOptions }
  /** mark = (mark & ~mask) ^ value */
  | { kind: 'mark'; value: number; mask: number }
  | { kind: 'connmark'; mode: 'set' | 'save' | 'restore'; value: number; ctmask: number; nfmask: number }
  | { kind: 'notrack' }
  | {
      kind: 'template';
      template: TrackingTemplate;
      /** Where the helper is named. */
      helperAt?: TextPosition;
    }
  | { kind: 'nat'; nat: NatBinding }
  /** TCPMSS: `clamp` to what the way out and the way back carry. */
  | { kind: 'mss'; mss: number | 'clamp' }
  /** CHECKSUM: what it fills in, the card would have. */
  | { kind: 'checksum' };

export type Target = TargetAction & {
  /** Name after -j or -g, '' for a rule without target. */ name: string;
  at: TextPosition;
};

export interface Counters {
  packets: bigint;
  bytes: bigint;
}

export interface Rule {
  header: Header;
  matches: Match[];
  target: Target;
  /** Counters that the input stated: kept for information, a replay counts from zero. */
  counters?: Counters;
  /** The rule as written, without counters. */
  text: string;
  line: Line;
  /** Position in its chain, from 1. */
  number: number;
  /** Index over the whole ruleset. */
  index: number;
  /** False behind an unconditional verdict, where the kernel's own check does not look either. */
  reachable: boolean;
}

export interface Chain {
  name: string;
  /** Hook of a base chain. */
  hook?: Hook;
  /** Policy of a base chain. */
  policy?: { verdict: 'ACCEPT' | 'DROP'; index: number };
  counters?: Counters;
  rules: Rule[];
  /** Where it is declared; absent for a base chain that the text does not mention. */
  at?: TextPosition;
  line: Line;
  /** Hooks it can be reached from (1 << Hook). */
  hooks: number;
}

export interface Table {
  family: Family;
  name: TableName;
  line: Line;
  /** Base chains in hook order first for those unmentioned, then in the order of the text. */
  chains: Chain[];
}

/** What stands on a line of the source, for printing it again. */
export type Item =
  | { kind: 'text'; text: string }
  | { kind: 'table'; table: Table }
  | { kind: 'chain'; table: Table; chain: Chain }
  | { kind: 'rules'; rules: Rule[] };

export interface SourceTree {
  file: string;
  family: Family;
  tables: Table[];
  items: Item[];
}

/** A checked ruleset. */
export interface Ruleset {
  sources: (SourceTree | NftSource)[];
  /** Rules and policies in index order. */
  entries: (Entry | NftEntry)[];
  /** Counters: one for each entry, and behind them those that nft's rules, sets and objects have besides. */
  counters: number;
}

export type Entry = { table: Table; chain: Chain; rule?: Rule };
export type NftEntry = {
  nft: { chain: NftChain; rule?: NftRule };
  table?: undefined;
  chain?: undefined;
  rule?: undefined;
};

export function isNft(source: SourceTree | NftSource): source is NftSource {
  return !('items' in source);
}
