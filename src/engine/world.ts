// One firewall in linear memory: what a host and its compiled rules become for the engine.
//
// What all lanes share (sysctls, hook steps, routes, interface tables) is written once; each lane gets a World record
// with its own counters, rule state, wheel and connection table.

import { Hook, StepKind, Sysctl } from '../../assembly/vocabulary.ts';
import type { InterfaceNames } from '../capture/interfaces.ts';
import { EngineError, HostError } from '../errors.ts';
import type { Host } from '../host.ts';
import { helperNumber } from '../ruleset/helpers.ts';
import { type CompiledRuleset, interfaceClass, matchesInterface } from '../ruleset/index.ts';
import { compileTopology } from '../topology/compile.ts';
import { WHEEL_BUCKETS, WHEEL_BYTES } from './engine.ts';
import { buildHelping, buildHelps, HELP_BYTES, LANE_EXPECTATIONS_MAX, requireNatTable, usesHelpers } from './help.ts';
import {
  ACCOUNT,
  ACCOUNT_LABELS,
  ACCOUNT_SHORT,
  BUCKET_NODE,
  COUNTER,
  FLOW,
  FLOW_SHORT,
  INDEX_BUCKET,
  INTERFACES_MAX,
  LIMITS,
  PACKET,
  ROUTE6,
  STEP,
  STEPS_MAX,
  TALLY_DECIDED,
  TEMPLATE,
  TIMER_CHUNK,
  TRACE_RECORD,
  WORLD,
} from './layout.ts';
import type { Allocator } from './memory.ts';
import { buildNat, buildNatTable, SOURCE_BUCKET, SOURCE_NODE } from './nat.ts';
import { buildReversePaths } from './reverse-paths.ts';
import { layOutRecent } from './sights.ts';

const FAMILIES = [2, 10] as const;
const HOOKS = 5;
const STEPS_BYTES = FAMILIES.length * HOOKS * STEPS_MAX * STEP.size;

/** Priority of connection tracking (NF_IP_PRI_CONNTRACK), and the hooks it sits in. */
const CONNTRACK_PRIORITY = -200;
const CONNTRACK_HOOKS: readonly number[] = [Hook.PREROUTING, Hook.OUTPUT];

/** Labels in one of the words of Account. */
const LABELS_PER_WORD = 64;
/** The unconfirmed entry, its account, and an answer with its bytes (assembly/answer.ts): an ICMPv6 error at most. */
export const UNCONFIRMED_BYTES = FLOW.size + ACCOUNT.size + PACKET.size + 1280;

/** Where chains of type nat run, whatever their own priority, which only orders them (NF_IP_PRI_NAT_DST, _SRC). */
const NAT_PRIORITIES: Readonly<Record<number, number>> = {
  [Hook.PREROUTING]: -100,
  [Hook.OUTPUT]: -100,
  [Hook.INPUT]: 100,
  [Hook.POSTROUTING]: 100,
};

/** Bytes of an interface's name (IFNAMSIZ). */
const NAME_BYTES = 16;

const TRACE_RECORDS = 65536;
/** Buckets that an index begins with (a power of two); values for each when it grows; one overflow bucket for so many. */
const INDEX_MIN = 1 << 10;
export const BUCKET_LOAD = 4;
const BUCKETS_PER_OVERFLOW = 4;

export interface WorldPlan {
  host: Host;
  rules: CompiledRuleset;
  /** Address of the pattern-by-interface byte table given to the rule compiler. */
  interfaceTable: number;
}

/** Interface names (with `+`) that the rules of one host may use. */
const PATTERNS_MAX = 4096;
/** Bytes of the pattern-by-interface table. */
export const INTERFACE_TABLE_BYTES = PATTERNS_MAX * INTERFACES_MAX;

/** Flows whose places on the timing wheel share a TimerChunk. */
const TIMERS_PER_CHUNK = 14;
/** Bytes of a table for chunks that are not full, and for rounding. */
const TABLE_SPARE = WHEEL_BUCKETS * TIMER_CHUNK.size + 4096;

/**
 * TimerChunks that so many flows can need: each bucket of the wheel in use may have one with a single flow. The buckets
 * are those of the wheel and the one that is being swept.
 */
function timerChunks(flows: number): number {
  const buckets = Math.min(flows, WHEEL_BUCKETS + 1);
  return Math.floor((flows + (TIMERS_PER_CHUNK - 1) * buckets) / TIMERS_PER_CHUNK);
}

/** Gives a world room for flows of so many bytes, and for their places on the timing wheel. */
export function buildPool(
  view: DataView,
  world: number,
  allocator: Pick<Allocator, 'take'>,
  flows: number,
  flowBytes: number,
): void {
  const set = (field: number, value: number) => view.setUint32(world + field, value, true);
  const pool = allocator.take(flows * flowBytes);
  set(WORLD.flow_bytes, flowBytes);
  set(WORLD.flows, pool);
  set(WORLD.flows_top, pool);
  set(WORLD.flows_end, pool + flows * flowBytes);
  set(WORLD.timers_top, allocator.take(timerChunks(flows) * TIMER_CHUNK.size));
}

/** Gives a world an index that can grow to `buckets`, of which all powers of two up to INDEX_MIN are there at once. */
export function buildIndex(
  view: DataView,
  world: number,
  allocator: Pick<Allocator, 'take'>,
  { buckets, overflows }: { buckets: number; overflows: number },
): void {
  const set = (field: number, value: number) => view.setUint32(world + field, value, true);
  const count = Math.min(INDEX_MIN, 2 ** Math.floor(Math.log2(buckets)));
  set(WORLD.index, allocator.take(buckets * INDEX_BUCKET.size));
  const overflow = allocator.take(overflows * INDEX_BUCKET.size);
  set(WORLD.index_count, count);
  set(WORLD.index_mask, count * 2 - 1);
  set(WORLD.index_max, buckets);
  set(WORLD.overflow_top, overflow);
  set(WORLD.overflow_end, overflow + overflows * INDEX_BUCKET.size);
}

/** The lanes' World records of one firewall. */
export class WorldImage {
  /** World record per lane. */
  readonly lanes: number[] = [];
  /** An entry can have a helper, or be expected by one. */
  readonly helps: boolean;
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private named = 0;
  private slotBase = 0;
  private dispatch = 0;
  private mtus = 0;

  constructor(
    private readonly memory: WebAssembly.Memory,
    readonly plan: WorldPlan,
    private readonly names: InterfaceNames,
  ) {
    this.view = new DataView(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.helps = usesHelpers(plan);
  }

  /** Writes everything but the connection tables, for `lanes` lanes, with room for a trace if there will be one. */
  build(
    allocator: Allocator,
    lanes: number,
    options: {
      slotBase: number;
      trace: boolean;
      limited?: boolean;
      tally?: boolean;
      seed?: bigint | undefined;
    },
  ): void {
    const { host, rules } = this.plan;
    if (rules.interfacePatterns.length > PATTERNS_MAX) {
      throw new EngineError('too-many-interfaces', `the rules name more than ${PATTERNS_MAX} different interfaces`);
    }
    if (rules.asksRoutes && !host.topology) {
      const { file, line } = rules.asksRoutes;
      throw new HostError('host-missing', `${file}:${line}: fib asks for routes, and none are known: give route.json`);
    }
    this.slotBase = options.slotBase;
    // A rule that looks at what connections have carried turns accounting on (connbytes_mt_check()).
    if (rules.usesAccounting) host.sysctls[Sysctl.ACCT] = 1;
    if (host.topology && host.links.some(({ mtu }) => mtu !== undefined))
      this.mtus = allocator.take(INTERFACES_MAX * 4);
    const sysctls = this.copy(
      allocator,
      new Uint8Array(host.sysctls.buffer, host.sysctls.byteOffset, Sysctl.COUNT * 4),
    );
    const steps = this.steps(allocator, options.slotBase);
    const templates = this.templates(allocator);
    const routes = host.topology && compileTopology(host.topology, this.names);
    const nat = buildNat(this.memory, allocator, rules, host.topology, this.names);
    if (nat === undefined) requireNatTable(host);
    const routes4 = routes ? this.copy(allocator, routes.routes4) : 0;
    const networks4 = routes ? this.copy(allocator, routes.networks4) : 0;
    const routes6 = routes ? this.copy(allocator, routes.routes6) : 0;
    const reverse = buildReversePaths(this.memory, allocator, rules, host.topology, this.names);
    this.dispatch = this.copy(allocator, rules.tables);
    const expected = host.sysctls[Sysctl.EXPECT_MAX]!;
    for (let lane = 0; lane < lanes; lane++) {
      const world = allocator.take(WORLD.size);
      const set = (field: number, value: number) => this.view.setUint32(world + field, value, true);
      const state = allocator.take(rules.stateBytes);
      rules.initState(this.bytes.subarray(state, state + rules.stateBytes), 0n, options.seed ?? 0n);
      const keyed = allocator.take(rules.keyedBytes);
      rules.initKeyed(this.bytes.subarray(keyed, keyed + rules.keyedBytes));
      set(WORLD.keyed, keyed);
      set(WORLD.sysctls, sysctls);
      set(WORLD.steps, steps);
      set(WORLD.templates, templates);
      set(WORLD.routes4, routes4);
      set(WORLD.networks4, networks4);
      set(WORLD.routes6, routes6);
      set(WORLD.routes6_count, routes ? routes.routes6.length / ROUTE6.size : 0);
      set(WORLD.topology, routes ? 1 : 0);
      set(WORLD.reverse, reverse);
      set(WORLD.owned, host.owner ? 1 : 0);
      set(WORLD.uid, host.owner?.uid ?? 0);
      set(WORLD.gid, host.owner?.gid ?? 0);
      set(WORLD.counters, allocator.take(rules.counters * COUNTER.size));
      set(WORLD.rule_state, state);
      set(WORLD.dispatch, this.dispatch);
      set(WORLD.candidates, allocator.take(rules.candidatesBytes));
      set(WORLD.mtus, this.mtus);
      set(WORLD.wheel, allocator.take(WHEEL_BYTES));
      set(WORLD.unconfirmed, allocator.take(UNCONFIRMED_BYTES));
      // The last is for the entry that expected the packet's.
      set(WORLD.logs_reserve, rules.logsPerPacket + (this.helps ? 1 : 0));
      if (this.helps) {
        const room = {
          translates: nat !== undefined,
          max: lanes === 1 ? expected : Math.min(expected, LANE_EXPECTATIONS_MAX),
        };
        set(WORLD.helping, buildHelping(this.memory, allocator, this.plan, this.names, room));
      }
      if (options.tally) set(WORLD.tally, allocator.take(TALLY_DECIDED + rules.rules.length * 8));
      this.view.setBigUint64(world + WORLD.seed, BigInt.asUintN(64, options.seed ?? 0n), true);
      set(WORLD.nat, nat ? nat.lane(allocator, options.seed ?? 0n) : 0);
      if (options.limited) set(WORLD.limits, this.limits(allocator));
      if (options.trace) {
        const area = allocator.take(TRACE_RECORDS * TRACE_RECORD.size);
        set(WORLD.trace_area, area);
        set(WORLD.trace_top, area);
        set(WORLD.trace_end, area + TRACE_RECORDS * TRACE_RECORD.size);
      }
      this.lanes.push(world);
    }
  }

  /** Tells each lane where it is noted what arrived and what leaves, and gives it a memory of answers. */
  tellSides(allocator: Allocator, sights: number): void {
    for (const world of this.lanes) {
      this.view.setUint32(world + WORLD.sights, sights, true);
      this.view.setUint32(world + WORLD.answers, layOutRecent(this.view, allocator), true);
    }
  }

  /** Gives each lane a connection table of at most `bytes`. */
  buildTables(allocator: Allocator, bytes: number): void {
    const { sysctls } = this.plan.host;
    const accounting = sysctls[Sysctl.ACCT] !== 0 || sysctls[Sysctl.TIMESTAMP] !== 0;
    const accountBytes = this.labelledBytes() ?? (accounting ? ACCOUNT_SHORT : 0);
    const limited = this.lanes.some((world) => this.view.getUint32(world + WORLD.limits, true) !== 0);
    const nodes = limited ? 2 * BUCKET_NODE.size : 0;
    const translates = this.lanes.some((world) => this.view.getUint32(world + WORLD.nat, true) !== 0);
    // An entry that NAT changed stands in the index twice.
    const twofold = translates || this.plan.host.conntrack.some(({ translated }) => translated) ? 2 : 1;
    const perValue = (INDEX_BUCKET.size / BUCKET_LOAD) * (1 + 1 / BUCKETS_PER_OVERFLOW);
    const flowBytes = this.needsReplyTuples(translates) ? FLOW.size : FLOW_SHORT;
    const perFlow =
      flowBytes +
      TIMER_CHUNK.size / TIMERS_PER_CHUNK +
      accountBytes +
      nodes +
      (translates ? SOURCE_NODE + SOURCE_BUCKET : 0) +
      (this.helps ? HELP_BYTES : 0) +
      perValue * twofold;
    // The pool is what runs out.
    const flows = Math.floor((bytes - TABLE_SPARE) / perFlow);
    const buckets = Math.ceil((flows * twofold) / BUCKET_LOAD) + 1;
    const overflows = Math.ceil(buckets / BUCKETS_PER_OVERFLOW) + 1;
    for (const world of this.lanes) {
      const set = (field: number, value: number) => this.view.setUint32(world + field, value, true);
      buildPool(this.view, world, allocator, flows, flowBytes);
      set(WORLD.account_bytes, accountBytes);
      set(WORLD.accounts, accountBytes ? allocator.take(flows * accountBytes) : 0);
      const limits = this.view.getUint32(world + WORLD.limits, true);
      if (limits) this.view.setUint32(limits + LIMITS.nodes, allocator.take(flows * nodes), true);
      const nat = this.view.getUint32(world + WORLD.nat, true);
      if (nat) buildNatTable(this.view, nat, allocator, flows, 2 ** Math.floor(Math.log2(flows)));
      if (this.helps) buildHelps(this.view, this.view.getUint32(world + WORLD.helping, true), allocator, flows);
      buildIndex(this.view, world, allocator, { buckets, overflows });
    }
  }

  /** Bytes of an entry's account if rules look at labels. */
  private labelledBytes(): number | undefined {
    const { highestLabel } = this.plan.rules;
    if (highestLabel === undefined) return undefined;
    return highestLabel < LABELS_PER_WORD ? ACCOUNT_LABELS : ACCOUNT.size;
  }

  /** Time begins (ns since 1970): nothing was due before. */
  begin(first: bigint): void {
    const { rules } = this.plan;
    for (const world of this.lanes) {
      if (rules.stateEnds) {
        const state = this.view.getUint32(world + WORLD.rule_state, true);
        const seed = this.view.getBigUint64(world + WORLD.seed, true);
        rules.initState(this.bytes.subarray(state, state + rules.stateBytes), first, seed);
      }
      this.view.setBigUint64(world + WORLD.began, first, true);
      this.view.setBigUint64(world + WORLD.wheel_now, first, true);
      this.view.setBigUint64(world + WORLD.wheel_swept, first, true);
    }
  }

  /** Can an entry's reply tuple be something else than the inverse of its original one, or is it looked at by rules? */
  private needsReplyTuples(translates: boolean): boolean {
    const { rules, host } = this.plan;
    const asked = translates || rules.usesReplyTuples || this.helps;
    return asked || rules.templates.length > 0 || host.conntrack.length > 0;
  }

  /** Fills the pattern table, the classes and the MTUs for interfaces that were named since the last call. */
  nameInterfaces(): void {
    const { rules, interfaceTable, host } = this.plan;
    if (this.named > this.names.count) return;
    const mtus = new Map(host.links.map((link) => [link.name, link.mtu]));
    for (; this.named <= this.names.count; this.named++) {
      const name = this.names.name(this.named) ?? '';
      if (this.mtus) this.view.setUint32(this.mtus + this.named * 4, mtus.get(name) ?? 0, true);
      if (rules.tables.length > 0) {
        const of = interfaceClass(rules.interfacePatterns, name);
        this.view.setUint16(this.dispatch + this.named * 2, of, true);
      }
      if (rules.interfaceNames > 0)
        this.writeName(this.dispatch + rules.interfaceNames + this.named * NAME_BYTES, name);
      rules.interfacePatterns.forEach((pattern, row) => {
        this.bytes[interfaceTable + row * INTERFACES_MAX + this.named] = matchesInterface(pattern, name) ? 1 : 0;
      });
    }
  }

  /** A name as rule code compares it: the number that its bytes are, in two double words, the upper one first. */
  private writeName(at: number, name: string): void {
    const bytes = new Uint8Array(NAME_BYTES);
    bytes.set(new TextEncoder().encode(name).subarray(0, NAME_BYTES));
    const view = new DataView(bytes.buffer);
    for (const half of [0, 8]) this.view.setBigUint64(at + half, view.getBigUint64(half, false), true);
  }

  /** The base chain behind a slot of the engine's function table. */
  readonly chainOf = (slot: number): { table: string; chain: string } | undefined =>
    this.plan.rules.chains.find((chain) => chain.slot === slot - this.slotBase);

  /** Sum of a rule's counter over all lanes. */
  counter(rule: number): { packets: bigint; bytes: bigint } {
    let packets = 0n;
    let bytes = 0n;
    for (const world of this.lanes) {
      const at = this.view.getUint32(world + WORLD.counters, true) + rule * COUNTER.size;
      packets += this.view.getBigUint64(at + COUNTER.packets, true);
      bytes += this.view.getBigUint64(at + COUNTER.bytes, true);
    }
    return { packets, bytes };
  }

  /** What CT rules attach. 0 if zones and masks play no part: then they cost nothing. */
  private templates(allocator: Allocator): number {
    const { rules, host } = this.plan;
    const zoned = host.conntrack.some(({ original, reply }) => (original.zone ?? 0) !== 0 || (reply.zone ?? 0) !== 0);
    if (rules.templates.length === 0 && !zoned) return 0;
    const at = allocator.take((rules.templates.length + 1) * TEMPLATE.size);
    rules.templates.forEach(({ zone, flags, events, helper }, index) => {
      const to = at + index * TEMPLATE.size;
      this.view.setUint32(to + TEMPLATE.ctevents, events ? events.entries : 0xffffffff, true);
      this.view.setUint32(to + TEMPLATE.expevents, events ? events.expectations : 0xffffffff, true);
      this.view.setUint16(to + TEMPLATE.zone, zone, true);
      this.view.setUint8(to + TEMPLATE.flags, flags);
      this.view.setUint8(to + TEMPLATE.helper, helper === undefined ? 0 : helperNumber(helper));
    });
    return at;
  }

  /** The buckets of a table whose size is limited; the place of each flow in them comes with the table. */
  private limits(allocator: Allocator): number {
    const { sysctls } = this.plan.host;
    const buckets = sysctls[Sysctl.BUCKETS]!;
    const at = allocator.take(LIMITS.size);
    this.view.setUint32(at + LIMITS.max, sysctls[Sysctl.MAX]!, true);
    this.view.setUint32(at + LIMITS.bucket_count, buckets, true);
    this.view.setUint32(at + LIMITS.buckets, allocator.take(buckets * 4), true);
    return at;
  }

  private steps(allocator: Allocator, slotBase: number): number {
    const at = allocator.take(STEPS_BYTES);
    FAMILIES.forEach((family, row) => {
      for (let hook = 0; hook < HOOKS; hook++) {
        const steps = this.hookSteps(family, hook, slotBase);
        if (steps.length >= STEPS_MAX) {
          throw new EngineError('too-many-chains', `more than ${STEPS_MAX - 1} base chains at one hook`);
        }
        steps.forEach((step, place) => {
          const to = at + ((row * HOOKS + hook) * STEPS_MAX + place) * STEP.size;
          this.view.setUint32(to + STEP.kind, step.kind, true);
          this.view.setUint32(to + STEP.slot, step.slot, true);
        });
      }
    });
    return at;
  }

  /** What a hook consists of, in order; of chains of the same priority the one that was registered last comes first. */
  private hookSteps(
    family: number,
    hook: number,
    slotBase: number,
  ): { priority: number; kind: StepKind; slot: number }[] {
    const chains = this.plan.rules.chains
      .filter((chain) => chain.family === family && chain.hook === hook)
      .reverse()
      .sort((a, b) => a.priority - b.priority);
    const nats = chains.filter(({ type }) => type === 'nat');
    const steps = chains
      .filter(({ type }) => type !== 'nat')
      .map(({ priority, decides, slot }) => ({
        priority,
        kind: decides ? StepKind.FILTER_CHAIN : StepKind.CHAIN,
        slot: slotBase + slot,
      }));
    for (const [index, { slot }] of nats.entries()) {
      const kind = index === 0 ? StepKind.NAT : StepKind.NAT_CHAIN;
      steps.push({ priority: NAT_PRIORITIES[hook] ?? 0, kind, slot: slotBase + slot });
    }
    if (CONNTRACK_HOOKS.includes(hook)) {
      steps.push({ priority: CONNTRACK_PRIORITY, kind: StepKind.CONNTRACK, slot: 0 });
    }
    return steps.sort((a, b) => a.priority - b.priority);
  }

  private copy(allocator: Allocator, bytes: Uint8Array): number {
    const at = allocator.take(bytes.length);
    this.bytes.set(bytes, at);
    return at;
  }
}
