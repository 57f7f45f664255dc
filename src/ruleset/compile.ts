// What does the engine get of a ruleset, and what do reports need to know of its rules?

import { type Hook, TemplateFlag } from '../../assembly/vocabulary.ts';
import { EngineError } from '../errors.ts';
import {
  type Counters,
  type Entry,
  isNft,
  type LogOptions,
  type NatBinding,
  type Ruleset,
  type TrackingTemplate,
} from './ast.ts';
import { emitProgram } from './emit.ts';
import {
  actionsOf,
  CHANCE_STATE,
  type ChainProgram,
  type ChainType,
  LIMIT_STATE,
  NTH_STATE,
  type Program,
  QUOTA_STATE,
  SCTP_TEST,
  testsOf,
  valuesOf,
} from './expression.ts';
import { helperName } from './helpers.ts';
import { NANOSECONDS_PER_JIFFY } from './jiffies.ts';
import { initKeyed } from './keyed.ts';
import { lowerRuleset } from './lower.ts';
import { type INET, infoOf, usesOf } from './nft/info.ts';
import { writeLiveSet } from './set-program.ts';
import type { Family } from './source.ts';

export interface RuleInfo {
  /** Of rules of nft's inet tables: NFPROTO_INET. */
  family: Family | typeof INET;
  /** Of nft's tables with their family before it: `inet filter`. */
  table: string;
  chain: string;
  /** From 1 within the chain; the handle of nft's rules if they have one. */
  number: number | 'policy';
  /** The rule as written; for a policy the line that sets it. */
  text: string;
  file: string;
  /** Line in the file, from 1. */
  line: number;
  /** Name of the target or chain, '' for a rule without; a policy's verdict. */
  target: string;
  /** What a LOG or NFLOG rule logs with. */
  log?: LogOptions;
  /** Whether a packet can come to it: not behind an unconditional verdict, nor in a chain that nothing jumps to. */
  reachable: boolean;
  /** Counters that the input stated. */
  input?: Counters;
}

export interface BaseChain {
  family: Family;
  table: string;
  chain: string;
  hook: Hook;
  /** Lower comes first at a hook; of equal ones the chain that comes last in the list. */
  priority: number;
  type: ChainType;
  /** Its decision is the one that is reported for an accepted packet. */
  decides: boolean;
  /** Slot in the engine's function table, counted from `tableBase`. */
  slot: number;
}

/** Why all packets must meet in one lane. */
export interface OneLane {
  /** The rule that demands it. */
  rule?: RuleInfo;
  reason: string;
}

export interface CompiledRuleset {
  wasm: Uint8Array;
  chains: BaseChain[];
  /** Slots of the function table that the module fills. */
  slots: number;
  /** By rule index: what Packet.rule and Counter count by. */
  rules: RuleInfo[];
  /** Counters: those of rules and policies by index, then what nft's rulesets count besides. */
  counters: number;
  /** Rows of the pattern-by-interface table. */
  interfacePatterns: string[];
  /** Where in `tables` the names of interfaces lie, 16 bytes each; 0 if no rule asks for them. */
  interfaceNames: number;
  /** What World.dispatch points to, the same for all lanes; begins with u16[INTERFACES_MAX], interfaces' classes. */
  tables: Uint8Array;
  /** Bytes behind World.candidates. */
  candidatesBytes: number;
  /** Bytes of World.rule_state. */
  stateBytes: number;
  /** Fills World.rule_state for a lane whose clock starts at `startClockNs` (ns since 1970); `seed` decides what is random. */
  initState(bytes: Uint8Array, startClockNs: bigint, seed: bigint): void;
  /** Bytes of World.keyed. */
  keyedBytes: number;
  /** Fills World.keyed, which is zero. */
  initKeyed(bytes: Uint8Array): void;
  /** Some elements of sets end by the clock: state is to be filled again when it is known when the replay begins. */
  stateEnds: boolean;
  /** A rule that asks by which interface routes lead to an address, if there is one. */
  asksRoutes: RuleInfo | undefined;
  /** undefined: several lanes may track. */
  oneLane: OneLane | undefined;
  /** Rules that give helpers, whose expectations other flows may fulfil. */
  helping: readonly { rule: RuleInfo; helper: string }[];
  usesInterfaces: boolean;
  /** Families for which some rule needs connection tracking: without one the kernel does not track at all. */
  usesConntrack: ReadonlySet<Family>;
  /** Log records that one packet can cause at most. */
  logsPerPacket: number;
  /** What CT rules attach to packets, in the order of World.templates. */
  templates: readonly TrackingTemplate[];
  /** What NAT rules bind to, in the order of Nat.ranges, and the index of each rule. */
  nats: readonly { binding: NatBinding; rule: number }[];
  /** Highest label of connections that some rule looks at, if any does. */
  highestLabel: number | undefined;
  /** Some rule looks at the addresses or ports of a connection's answers. */
  usesReplyTuples: boolean;
  /** Rules that ask for the way back to a packet's source. */
  reversing: readonly RuleInfo[];
  /** Some rule looks at what connections have carried: loading it turns nf_conntrack_acct on. */
  usesAccounting: boolean;
}

export interface CompileOptions {
  /** Build the variant that calls the engine's trace_rule for every rule looked at. */
  trace?: boolean;
  /** Address of the table of patterns by interface: INTERFACES_MAX bytes a pattern, 1 where the pattern matches. */
  interfaceTable: number;
  /** First slot of the engine's function table to fill. */
  tableBase: number;
}

/** What the number of a draw adds to the seed (assembly/chance.ts). */
const PER_DRAW = 0xd1342543de82ef95n;

/** "filter/FORWARD/2", "filter/FORWARD/policy", "inet filter/forward/7" */
export function ruleName(info: Pick<RuleInfo, 'table' | 'chain' | 'number'>): string {
  return `${info.table}/${info.chain}/${info.number}`;
}

/** Lowers and emits a checked ruleset. The code is a pure function of ruleset and options. */
export function compileRuleset(ruleset: Ruleset, options: CompileOptions): CompiledRuleset {
  const program = lowerRuleset(ruleset);
  const emitted = emitProgram(program, { ...options, trace: options.trace ?? false });
  const { wasm, slots, tables, candidatesBytes } = emitted;
  const rules = ruleset.entries.map((entry) => ('nft' in entry ? infoOf(entry.nft, program.reached) : ruleInfo(entry)));
  const nft = usesOf(ruleset.sources.filter(isNft));
  return {
    wasm,
    chains: slots.map((chain, slot) => baseChain(chain, slot)),
    slots: slots.length,
    rules,
    counters: ruleset.counters,
    interfacePatterns: program.patterns,
    interfaceNames: emitted.names,
    tables,
    candidatesBytes,
    stateBytes: program.stateBytes,
    initState: (bytes, startClockNs, seed) => initState(program, bytes, startClockNs, seed),
    keyedBytes: program.keyedBytes,
    initKeyed: (bytes) => initKeyed(program, bytes),
    stateEnds: program.sets.some(({ elements }) => elements.some(({ left }) => left !== undefined)),
    asksRoutes: rules[asksRoutes(program) ?? -1],
    oneLane: oneLane(program, rules),
    helping: helpingRules(program, rules),
    usesInterfaces: program.patterns.length > 0 || emitted.names > 0 || usesInterfaceAddresses(program),
    usesConntrack: new Set([...conntrackFamilies(ruleset), ...nft.conntrack]),
    logsPerPacket: logsPerPacket(program),
    templates: program.templates,
    nats: program.nats,
    highestLabel: highestLabel(program),
    usesReplyTuples: program.chains.some(({ rules: each }) =>
      each.some((rule) =>
        [...testsOf(rule), ...valuesOf(rule)].some((step) => 'field' in step && isOfReply(step.field)),
      ),
    ),
    reversing: reversingRules(program, rules),
    usesAccounting:
      nft.accounting ||
      ruleset.entries.some((entry) => 'table' in entry && entry.rule?.matches.some(({ kind }) => kind === 'connbytes')),
  };
}

function asksRoutes({ chains }: Program): number | undefined {
  const asks = ({ op }: { op: string }): boolean => op === 'fib oif' || op === 'fib check';
  return chains.flatMap(({ rules }) => rules).find((rule) => valuesOf(rule).some(asks))?.index;
}

/** The zone of one direction alone lies with the reply tuple. */
function isOfReply(field: string): boolean {
  return field.startsWith('ct reply ') || field === 'ct zone';
}

function ruleInfo({ table, chain, rule }: Entry): RuleInfo {
  const { family } = table;
  if (!rule) {
    const verdict = chain.policy?.verdict ?? 'ACCEPT';
    const { line } = chain;
    const info: RuleInfo = {
      family,
      table: table.name,
      chain: chain.name,
      number: 'policy',
      text: chain.at ? line.text.trim() : `:${chain.name} ${verdict}`,
      file: line.file,
      line: line.number,
      target: verdict,
      reachable: true,
    };
    if (chain.counters) info.input = chain.counters;
    return info;
  }
  const { line, target } = rule;
  const info: RuleInfo = {
    family,
    table: table.name,
    chain: chain.name,
    number: rule.number,
    text: rule.text,
    file: line.file,
    line: line.number,
    target: target.name,
    reachable: rule.reachable && chain.hooks !== 0,
  };
  if (target.kind === 'log') info.log = target.log;
  if (rule.counters) info.input = rule.counters;
  return info;
}

function baseChain(chain: ChainProgram, slot: number): BaseChain {
  const { base } = chain;
  if (!base) throw new EngineError('ENGINE_LINK', `chain ${chain.name} is in a slot and is no base chain`);
  return {
    family: chain.family,
    table: chain.table,
    chain: chain.name,
    hook: base.hook,
    priority: base.priority,
    type: base.type,
    decides: base.decides,
    slot,
  };
}

function initState(program: Program, bytes: Uint8Array, startClockNs: bigint, seed: bigint): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const { state, cap } of program.limits) {
    view.setBigUint64(state + LIMIT_STATE.previous, startClockNs / NANOSECONDS_PER_JIFFY, true);
    view.setUint32(state + LIMIT_STATE.credit, cap, true);
  }
  for (const { state, start } of program.nths) view.setUint32(state + NTH_STATE.count, start, true);
  for (const { state, bytes: left } of program.quotas) view.setBigUint64(state + QUOTA_STATE.left, left, true);
  program.chances.forEach((state, index) => {
    const base = seed + (BigInt(index + 1) << 32n) * PER_DRAW;
    view.setBigUint64(state + CHANCE_STATE.base, BigInt.asUintN(64, base), true);
  });
  for (const { state, test } of program.chunkTests) {
    for (const type of test.types) bytes[state + SCTP_TEST.types + (type >> 3)]! |= 1 << (type & 7);
    test.flags.forEach(({ type, value, mask }, index) => {
      bytes.set([type, value, mask, 1], state + SCTP_TEST.flags + index * SCTP_TEST.flagSize);
    });
  }
  for (const { state, words } of program.states) {
    for (const [index, word] of words.entries()) view.setBigUint64(state + index * 8, word, true);
  }
  for (const set of program.sets) {
    if (set.live) writeLiveSet(set, set.live, view, startClockNs / NANOSECONDS_PER_JIFFY);
  }
}

/**
 * Every limit bucket, quota and count of --mode nth counts all packets that come to its rule, of whatever flow. A list of -m
 * recent forgets the address that was used least lately, whoever brings a new one; a table of -m hashlimit has room for so
 * many buckets; -m connlimit counts many flows. What a NAT rule maps a flow to depends on which tuples other flows have; and
 * the answers to the flow have another hash than its own packets.
 */
function oneLane(program: Program, rules: RuleInfo[]): OneLane | undefined {
  const [limit] = program.limits;
  const limiting = limit && rules[limit.rule];
  if (limiting) return { rule: limiting, reason: `${ruleName(limiting)} has -m limit, whose tokens all flows share` };
  const [nth] = program.nths;
  const counting = nth && rules[nth.rule];
  if (counting) return { rule: counting, reason: `${ruleName(counting)} has --mode nth, whose count all flows share` };
  const [quota] = program.quotas;
  const rationing = quota && rules[quota.rule];
  if (rationing) return { rule: rationing, reason: `${ruleName(rationing)} has -m quota, which all flows use up` };
  const [list] = program.recents;
  const listing = list && rules[list.rule];
  if (listing) return { rule: listing, reason: `${ruleName(listing)} has -m recent, whose lists all flows share` };
  const [table] = program.hashlimits;
  const hashing = table && rules[table.rule];
  if (hashing) return { rule: hashing, reason: `${ruleName(hashing)} has -m hashlimit, whose table all flows share` };
  const connections = program.connlimits && rules[program.connlimits.rule];
  if (connections)
    return { rule: connections, reason: `${ruleName(connections)} has -m connlimit, which counts all flows` };
  const [shared] = program.shared;
  const sharing = shared && rules[shared.rule];
  if (sharing) return { rule: sharing, reason: `${ruleName(sharing)} has ${shared.what}` };
  const [nat] = program.nats;
  const translating = nat && rules[nat.rule];
  if (translating) return { rule: translating, reason: `NAT: rule ${ruleName(translating)}` };
  return program.chains.some(({ base, table }) => base?.type === 'nat' || table === 'nat')
    ? zonedLane(program)
    : undefined;
}

/**
 * Without a NAT rule ports move only where a zone holds for one direction alone: answers of flows in different zones can
 * then be alike.
 */
function zonedLane({ templates }: Program): OneLane | undefined {
  const both = TemplateFlag.ZONE_ORIGINAL | TemplateFlag.ZONE_REPLY;
  const halved = templates.some(({ flags }) => (flags & both) !== both);
  return halved ? { reason: 'NAT: a zone of one direction, and a nat table' } : undefined;
}

/** The rules that give helpers to connections. */
function helpingRules({ chains, templates }: Program, infos: RuleInfo[]): { rule: RuleInfo; helper: string }[] {
  return chains.flatMap(({ rules }) =>
    rules.flatMap((rule) =>
      actionsOf(rule).flatMap((action) => {
        let helper: string | undefined;
        if (action.op === 'template') helper = templates[action.template]?.helper;
        if (action.op === 'give helper') helper = helperName(action.helper);
        return helper === undefined ? [] : [{ rule: infos[rule.index]!, helper }];
      }),
    ),
  );
}

function reversingRules({ chains }: Program, infos: RuleInfo[]): RuleInfo[] {
  return chains.flatMap(({ rules }) =>
    rules.flatMap(({ index, tests }) => (tests.some(({ op }) => op === 'rpfilter') ? [infos[index]!] : [])),
  );
}

function highestLabel({ chains }: Program): number | undefined {
  const bits = chains.flatMap(({ rules }) =>
    rules.flatMap((rule) =>
      [...rule.tests, ...rule.actions].flatMap((step) => {
        if (step.op === 'set ct label') return step.bits;
        return step.op === 'ct label' ? [step.bit] : [];
      }),
    ),
  );
  return bits.length > 0 ? Math.max(...new Set(bits)) : undefined;
}

function usesInterfaceAddresses(program: Program): boolean {
  return program.chains.some(({ rules }) =>
    rules.some((rule) =>
      [...testsOf(rule), ...valuesOf(rule)].some(
        (step) =>
          step.op === 'fib oif' ||
          step.op === 'fib check' ||
          ((step.op === 'fib' || step.op === 'fib type') && step.interface !== undefined),
      ),
    ),
  );
}

/** Extensions whose checkentry calls nf_ct_netns_get(), whether or not a packet ever comes to the rule. */
function conntrackFamilies(ruleset: Ruleset): Set<Family> {
  const families = new Set<Family>();
  for (const entry of ruleset.entries) {
    if (!('table' in entry) || !entry.rule) continue;
    const { table, rule } = entry;
    const matched = rule.matches.some(
      ({ kind }) =>
        kind === 'conntrack' ||
        kind === 'connmark' ||
        kind === 'connlabel' ||
        kind === 'connbytes' ||
        kind === 'connlimit' ||
        kind === 'helper',
    );
    const { kind, name } = rule.target;
    if (matched || kind === 'connmark' || kind === 'nat' || (name === 'CT' && kind !== 'notrack'))
      families.add(table.family);
  }
  return families;
}

/**
 * Counts the LOG and NFLOG rules on the longest way: every chain once per jump to it, every base chain of a family, and all
 * of that twice, because the host's own answer to the packet meets rules, too.
 */
function logsPerPacket(program: Program): number {
  const below = new Map<number, number>();
  const count = (number: number): number => {
    const known = below.get(number);
    if (known !== undefined) return known;
    let logs = 0;
    for (const rule of program.chains[number]?.rules ?? []) {
      for (const action of actionsOf(rule)) {
        if (action.op === 'log') logs++;
        else if (action.op === 'jump' || action.op === 'goto') logs += count(action.chain);
        else if (action.op === 'branch') {
          logs += Math.max(0, ...action.verdicts.map((each) => (each && 'chain' in each ? count(each.chain) : 0)));
        }
      }
    }
    below.set(number, logs);
    return logs;
  };
  const byFamily = new Map<Family, number>();
  for (const [number, chain] of program.chains.entries()) {
    if (chain.base) byFamily.set(chain.family, (byFamily.get(chain.family) ?? 0) + count(number));
  }
  return 2 * Math.max(0, ...byFamily.values());
}
