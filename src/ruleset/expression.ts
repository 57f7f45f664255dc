// The expression list: what a rule tests and does, in the kernel's words, as plain data.
//
// A rule is a list of expressions that is read from the left; the first test that is false ends the rule. Lists are
// printed by print.ts as `nft --debug=netlink` prints its own, run in production by the WebAssembly that emit.ts makes
// of them, and interpreted by test/model/rule-interpreter.ts to check that.
//
// Rules of iptables test first and act then. Those of nft do both in any order, and they compute: a Value is what nft has
// in a register, as an unsigned number of up to 128 bits, whatever its order of bytes on the wire or in the kernel.
import type { Carried, CarriedBy, ChunkMatch, Hook, IpSetAnswer, RejectWith } from '../../assembly/vocabulary.ts';
import type {
  ChunkTest,
  HashlimitTest,
  LogOptions,
  Match,
  NatBinding,
  Range,
  RecentTest,
  TrackingTemplate,
} from './ast.ts';
import type { ElementSet } from './ipset/ipset.ts';
import type { NftChain } from './nft/ast.ts';
import type { SetProgram } from './set-program.ts';
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
  /** The same as NAT left them: those of the tuple where the protocol has ports, else as they lie in memory. */
  | 'any sport'
  | 'any dport'
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
  /** The same in milliseconds. */
  | 'ct expiration ms'
  | 'ct l3proto'
  | 'ct protocol'
  /** The zone, in whatever directions it holds. */
  | 'ct zone'
  | 'ct original zone'
  | 'ct reply zone'
  | 'ct original proto-src'
  | 'ct original proto-dst'
  | 'ct reply proto-src'
  | 'ct reply proto-dst';

export type NumberField = PacketField | ConntrackField;

export type ConntrackAddressField = 'ct original saddr' | 'ct original daddr' | 'ct reply saddr' | 'ct reply daddr';
export type AddressField = 'saddr' | 'daddr' | ConntrackAddressField;

/** A number of up to 128 bits. Where it says nothing else, what a packet lacks reads as anything: tests before it see to that. */
export type Value =
  | { op: 'constant'; value: bigint; bits: number }
  | { op: 'number'; field: NumberField; bits: number }
  | { op: 'address'; field: AddressField; bits: 32 | 128 }
  /** Up to 64 or just 128 bits of a header, `offset` in bits from its first one. */
  | { op: 'payload'; base: 'network' | 'transport' | 'ether'; offset: number; bits: number }
  /** NF_CT_STATE_BIT() and its like. */
  | { op: 'ct state'; bits: 32 }
  /** 0 where nothing is counted. */
  | { op: 'ct counter'; carried: Carried; by: CarriedBy; bits: 64 }
  /** Sixteen bytes, the rest of them 0. */
  | { op: 'ifname'; field: 'iif' | 'oif'; bits: 128 }
  /** The capture's clock: ns since 1970; days from Sunday, 0 to 6; seconds since midnight UTC. */
  | { op: 'clock'; unit: 'ns' | 'day' | 'hour'; bits: 64 }
  /** AddrType of an address by the routes, as nft's fib expression has it. */
  | { op: 'fib type'; field: 'saddr' | 'daddr'; interface?: 'iif' | 'oif'; bits: 32 }
  /** The interface that the fib expression finds: its name, or whether there is one. */
  | { op: 'fib oif' | 'fib check'; field: 'saddr' | 'daddr'; interface?: 'iif' | 'oif'; bits: 8 | 128 }
  | { op: 'and' | 'or' | 'xor'; left: Value; right: Value; bits: number }
  | { op: 'shl' | 'shr'; value: Value; by: number; bits: number }
  /** Part of what a 'look up' found: words of 64 bits from `word` on, two of them if it is wider. */
  | { op: 'data'; register: number; word: number; bits: number }
  /** A number from `offset` on, below `modulus` more, that follows from the run's seed, the packet and `salt`. */
  | { op: 'random'; salt: number; modulus: number; offset: number; bits: 32 }
  /** The next of `modulus` numbers from `offset` on; `state` is the offset of the last one in World.rule_state. */
  | { op: 'numgen'; state: number; modulus: number; offset: number; bits: 32 };

/**
 * Where a state of its own lies: in World.rule_state, or in the data of a set's element. An element has the statements of
 * the rule that added it: word `kind` of its data says which, and with others the test holds and does nothing.
 */
export type StatePlace = { state: number } | { register: number; offset: number; kind: number; is: number };

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
  | { op: 'allowance'; state: number; invert: boolean }
  /** 31 random bits are below `below`; `state` is the place of what they follow from in World.rule_state. */
  | { op: 'chance'; state: number; below: number; invert: boolean }
  /**
   * What extensions demand of the packet before they look at the transport header: in a later fragment the rule does
   * not match, and with fewer than `need` bytes of transport the packet is dropped (hotdrop). With `evil`, a fragment
   * at offset 8 is dropped too (RFC 1858, section 4.2).
   */
  | { op: 'guard'; need: number; evil: boolean }
  /** The transport header has `need` bytes, and the packet is no later fragment. */
  | { op: 'header'; need: number /** A capture may have fewer: then it has not, either. */; captured: boolean }
  /** The packet has a header of the link that is Ethernet's. */
  | { op: 'ether header' }
  | { op: 'connection' }
  /** The value lies in one of the ranges, both ends included. */
  | { op: 'within'; value: Value; ranges: readonly (readonly [low: bigint, high: bigint])[]; invert: boolean }
  /** `set` is an index into Program.sets; `scratch`: bytes in World.rule_state where the key is put together. */
  | { op: 'in'; set: number; key: Value[]; scratch: number; invert: boolean }
  /** The set has the key; the register is then where the element's data lie. */
  | { op: 'look up'; set: number; key: Value[]; scratch: number; register: number }
  /** Adds the key if it is not there, and with `renew` begins its time anew. False if there is no room. */
  | {
      op: 'add';
      set: number;
      key: Value[];
      data: Value[];
      scratch: number;
      register: number;
      /** Jiffies, 0 for ever. */
      timeout: bigint;
      renew: boolean;
    }
  /** A token bucket as nft has it; `state`: ns of tokens, ns since 1970 of the last packet. */
  | ({ op: 'tokens'; at: StatePlace; invert: boolean } & TokenBucket)
  /** True until so many bytes have come, or with `over` from then on. */
  | { op: 'quota'; at: StatePlace; quota: bigint; over: boolean };

/** ns of tokens, and what a packet costs. */
export interface TokenBucket {
  max: bigint;
  unit: 'packets' | 'bytes';
  /** ns in which `rate` packets or bytes may pass. */
  period: bigint;
  rate: bigint;
}

export type Action =
  /** `cell` is an index into World.counters; the rule's own if it is not said. */
  | { op: 'counter'; cell?: number }
  /** The counter of the element that a register points to; `word`: where its number + 1 lies in the data. */
  | { op: 'count element'; register: number; word: number }
  | { op: 'log'; log: LogOptions }
  /** mark = (mark & ~mask) ^ value */
  | { op: 'set mark'; mask: number; value: number }
  /** The segment announces this MSS at most; nothing but packets as they left shows it. */
  | { op: 'set mss'; mss: number | 'clamp' }
  /** The same, but an MSS is lowered only where the segment has one. */
  | { op: 'lower mss'; mss: number | 'clamp' }
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
  /**
   * Binds the flow and ends the chain; `nat` is an index into Program.nats. With `to`, the range is put together in
   * World.rule_state at `scratch`, from values.
   */
  | { op: 'nat'; nat: number; to?: NatValues }
  | { op: 'assign'; target: 'mark' | 'ct mark'; value: Value }
  | { op: 'set ct label'; bits: readonly number[] }
  /** A new connection of this protocol gets a helper (Helper). */
  | { op: 'give helper'; helper: number; protocol: number }
  | { op: 'remove'; set: number; key: Value[]; scratch: number }
  /** Word 0 of what a register points to says which of the verdicts it is. */
  | { op: 'branch'; register: number; verdicts: readonly VerdictAction[] }
  | { op: 'verdict'; verdict: 'accept' | 'drop' | 'queue' | 'return' }
  | { op: 'reject'; with: RejectWith }
  /** `chain` is an index into Program.chains. */
  | { op: 'jump' | 'goto'; chain: number };

/** How a chain goes on; undefined: with the rest of the rule. */
export type VerdictAction = Extract<Action, { op: 'verdict' | 'jump' | 'goto' }> | undefined;

/** What a NAT statement computes, in place of what its binding says. */
export interface NatValues {
  scratch: number;
  addresses?: { low: Value; high: Value };
  ports?: { low: Value; high: Value };
}

export interface RuleProgram {
  /** Index over the whole ruleset. */
  index: number;
  /** What comes before the first action. */
  tests: Test[];
  /** Tests behind an action end the rule as those before do. */
  actions: (Action | Test)[];
}

/** Whether a step of a rule is an action: what is none decides if the rule goes on. */
export function isAction(step: Action | Test): step is Action {
  return ACTIONS.has(step.op);
}

const ACTIONS: ReadonlySet<string> = new Set<Action['op']>([
  'counter',
  'count element',
  'log',
  'set mark',
  'set mss',
  'lower mss',
  'set ct mark',
  'save mark',
  'restore mark',
  'notrack',
  'template',
  'nat',
  'assign',
  'set ct label',
  'give helper',
  'remove',
  'branch',
  'verdict',
  'reject',
  'jump',
  'goto',
]);

/** The type of a base chain (NFT_CHAIN_T_*); tables of iptables are of the type that nft has for them. */
export type ChainType = 'filter' | 'nat' | 'route';

export interface ChainProgram {
  family: Family;
  /** Name of the table; of one of nft's with its family before it. */
  table: string;
  name: string;
  rules: RuleProgram[];
  base?: { hook: Hook; priority: number; policy: 'accept' | 'drop'; index: number; type: ChainType; decides: boolean };
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
  /** Sets and maps of nft. */
  sets: SetProgram[];
  /** State of nft's statements at the start: where it lies in World.rule_state, and its double words. */
  states: { state: number; words: readonly bigint[] }[];
  /** What flows share, besides what is named above, and the rule that does. */
  shared: { rule: number; what: string }[];
  /** Chains of nft that some hook reaches. */
  reached: ReadonlySet<NftChain>;
}

/** Every test of a rule, wherever it stands, and every action. */
export function testsOf(rule: RuleProgram): Test[] {
  const tests = [...rule.tests];
  for (const step of rule.actions) if (!isAction(step)) tests.push(step);
  return tests;
}

export function actionsOf(rule: RuleProgram): Action[] {
  return rule.actions.filter((step) => isAction(step));
}

/** Every value that a rule computes, those within others included. */
export function valuesOf(rule: RuleProgram): Value[] {
  const found: Value[] = [];
  const take = (value: Value): void => {
    found.push(value);
    if ('left' in value) [value.left, value.right].forEach(take);
    else if ('value' in value && typeof value.value === 'object') take(value.value);
  };
  for (const step of [...rule.tests, ...rule.actions]) {
    if ('value' in step && typeof step.value === 'object' && 'op' in step.value) take(step.value);
    if ('key' in step) step.key.forEach(take);
    if ('data' in step) step.data.forEach(take);
    if (step.op === 'nat' && step.to) {
      for (const part of [step.to.addresses, step.to.ports]) if (part) [part.low, part.high].forEach(take);
    }
  }
  return found;
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
