// One firewall in linear memory: what a host and its compiled rules become for the engine.
//
// What all lanes share (sysctls, hook steps, routes, interface tables) is written once; each lane gets a World record
// with its own counters, rule state, wheel and connection table.

import { Helper, Hook, StepKind, Sysctl } from '../../assembly/vocabulary.ts';
import type { InterfaceNames } from '../capture/interfaces.ts';
import { EngineError, HostError } from '../errors.ts';
import type { Host } from '../host.ts';
import { helperName, helperNumber, UNTRANSLATED } from '../ruleset/helpers.ts';
import { type CompiledRuleset, interfaceClass, matchesInterface } from '../ruleset/index.ts';
import { IPV4, IPV6 } from '../topology/addresses.ts';
import { compileNextHops, compileTopology } from '../topology/compile.ts';
import { WHEEL_BYTES } from './engine.ts';
import {
  ACCOUNT,
  BROADCAST,
  BUCKET_NODE,
  COUNTER,
  EXPECTATION,
  EXPECTATION_BUCKETS,
  FIND,
  FINDS_MAX,
  FLOW,
  FLOW_SHORT,
  H323,
  HELP,
  HELPER_SCRATCH,
  HELPING,
  INDEX_BUCKET,
  INTERFACES_MAX,
  LIMITS,
  NEXT_HOP,
  PACKET,
  REWRITE_BYTES,
  ROUTE4,
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
import { layOutRecent } from './sights.ts';

const FAMILIES = [2, 10] as const;
const HOOKS = 5;
const STEPS_BYTES = FAMILIES.length * HOOKS * STEPS_MAX * STEP.size;

/** Priority of connection tracking (NF_IP_PRI_CONNTRACK), and the hooks it sits in. */
const CONNTRACK_PRIORITY = -200;
const CONNTRACK_HOOKS: readonly number[] = [Hook.PREROUTING, Hook.OUTPUT];

/** The unconfirmed entry, its account, and an answer with its bytes (assembly/answer.ts): an ICMPv6 error at most. */
export const UNCONFIRMED_BYTES = FLOW.size + ACCOUNT.size + PACKET.size + 1280;

/** Kinds of base chains by table, where they are not plain ones. */
const STEP_KINDS: Readonly<Record<string, StepKind>> = {
  filter: StepKind.FILTER_CHAIN,
  nat: StepKind.NAT,
};

const TRACE_RECORDS = 65536;
/** Buckets that an index begins with (a power of two); values for each when it grows; one overflow bucket for so many. */
const INDEX_MIN = 1 << 10;
const BUCKET_LOAD = 4;
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

/** Bytes of an address of a Help. */
const SLOT_OF_HELP = 4;

/** Flows whose places on the timing wheel share a TimerChunk. */
const TIMERS_PER_CHUNK = 14;
/** Bytes of a table for chunks that are not full, and for rounding. */
const TABLE_SPARE = (WHEEL_BYTES / 4) * TIMER_CHUNK.size + 4096;

/** Can an entry have a helper: from a rule, from the kernel itself, or from the start? */
export function usesHelpers({ templates }: CompiledRuleset, { conntrack, sysctls }: Host): boolean {
  const given = sysctls[Sysctl.HELPER] === 1 || conntrack.some(({ helper }) => helper !== undefined);
  return given || templates.some(({ helper }) => helper !== undefined);
}

/** A helper rewrites what NAT changes: without the rules, the engine has nothing to do it with. */
function refuseWithoutNat({ conntrack }: Host): void {
  const entry = conntrack.find(({ translated, helper }) => translated && helper !== undefined);
  if (!entry) return;
  const place = `line ${entry.line} of the host's conntrack table`;
  throw new HostError('host-missing', `${place}: an entry with a helper that NAT changed needs the host's nat table`);
}

/** Of some helpers NAT is not followed: neither may entries that have one meet NAT. */
function refuseUntranslated({ conntrack }: Host, nat: boolean): void {
  for (const { translated, helper, line } of conntrack) {
    const name = helper === undefined ? '' : (helperName(helper) ?? '');
    if (!UNTRANSLATED.has(name) || !(nat || translated)) continue;
    const place = `line ${line} of the host's conntrack table`;
    throw new HostError('host-unsupported', `${place}: an entry with the helper ${name} is not supported beside NAT`);
  }
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
  // Each bucket of the wheel may have a chunk that is not full.
  const chunks = Math.ceil(flows / TIMERS_PER_CHUNK) + WHEEL_BYTES / 4;
  set(WORLD.timers_top, allocator.take(chunks * TIMER_CHUNK.size));
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
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private named = 0;
  private slotBase = 0;
  private dispatch = 0;

  constructor(
    private readonly memory: WebAssembly.Memory,
    readonly plan: WorldPlan,
    private readonly names: InterfaceNames,
  ) {
    this.view = new DataView(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
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
    this.slotBase = options.slotBase;
    // A rule that looks at what connections have carried turns accounting on (connbytes_mt_check()).
    if (rules.usesAccounting) host.sysctls[Sysctl.ACCT] = 1;
    const sysctls = this.copy(
      allocator,
      new Uint8Array(host.sysctls.buffer, host.sysctls.byteOffset, Sysctl.COUNT * 4),
    );
    const steps = this.steps(allocator, options.slotBase);
    const templates = this.templates(allocator);
    const routes = host.topology && compileTopology(host.topology, this.names);
    const nat = buildNat(this.memory, allocator, rules, host.topology, this.names);
    refuseUntranslated(host, nat !== undefined);
    if (!nat) refuseWithoutNat(host);
    const routes4 = routes ? this.copy(allocator, routes.routes4) : 0;
    const routes6 = routes ? this.copy(allocator, routes.routes6) : 0;
    this.dispatch = this.copy(allocator, rules.tables);
    for (let lane = 0; lane < lanes; lane++) {
      const world = allocator.take(WORLD.size);
      const set = (field: number, value: number) => this.view.setUint32(world + field, value, true);
      const state = allocator.take(rules.stateBytes);
      rules.initState(this.bytes.subarray(state, state + rules.stateBytes), 0n);
      set(WORLD.sysctls, sysctls);
      set(WORLD.steps, steps);
      set(WORLD.templates, templates);
      set(WORLD.routes4, routes4);
      set(WORLD.routes4_count, routes ? routes.routes4.length / ROUTE4.size : 0);
      set(WORLD.routes6, routes6);
      set(WORLD.routes6_count, routes ? routes.routes6.length / ROUTE6.size : 0);
      set(WORLD.topology, routes ? 1 : 0);
      set(WORLD.counters, allocator.take(rules.rules.length * COUNTER.size));
      set(WORLD.rule_state, state);
      set(WORLD.dispatch, this.dispatch);
      set(WORLD.candidates, allocator.take(rules.candidatesBytes));
      set(WORLD.wheel, allocator.take(WHEEL_BYTES));
      set(WORLD.unconfirmed, allocator.take(UNCONFIRMED_BYTES));
      // The last is for the entry that expected the packet's.
      set(WORLD.logs_reserve, rules.logsPerPacket + (usesHelpers(rules, host) ? 1 : 0));
      if (usesHelpers(rules, host)) set(WORLD.helping, this.helping(allocator, nat !== undefined));
      if (options.tally) set(WORLD.tally, allocator.take(TALLY_DECIDED + rules.rules.length * 8));
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
    const accounting = sysctls[Sysctl.ACCT] !== 0 || sysctls[Sysctl.TIMESTAMP] !== 0 || this.plan.rules.usesLabels;
    const limited = this.lanes.some((world) => this.view.getUint32(world + WORLD.limits, true) !== 0);
    const nodes = limited ? 2 * BUCKET_NODE.size : 0;
    const translates = this.lanes.some((world) => this.view.getUint32(world + WORLD.nat, true) !== 0);
    // An entry that NAT changed stands in the index twice.
    const twofold = translates || this.plan.host.conntrack.some(({ translated }) => translated) ? 2 : 1;
    const helping = usesHelpers(this.plan.rules, this.plan.host);
    const perHelp = helping ? SLOT_OF_HELP + HELP.size : 0;
    const perValue = (INDEX_BUCKET.size / BUCKET_LOAD) * (1 + 1 / BUCKETS_PER_OVERFLOW);
    const flowBytes = this.needsReplyTuples(translates) ? FLOW.size : FLOW_SHORT;
    const perFlow =
      flowBytes +
      TIMER_CHUNK.size / TIMERS_PER_CHUNK +
      (accounting ? ACCOUNT.size : 0) +
      nodes +
      (translates ? SOURCE_NODE + SOURCE_BUCKET : 0) +
      perHelp +
      perValue * twofold;
    // The pool is what runs out.
    const flows = Math.floor((bytes - TABLE_SPARE) / perFlow);
    const buckets = Math.ceil((flows * twofold) / BUCKET_LOAD) + 1;
    const overflows = Math.ceil(buckets / BUCKETS_PER_OVERFLOW) + 1;
    for (const world of this.lanes) {
      const set = (field: number, value: number) => this.view.setUint32(world + field, value, true);
      buildPool(this.view, world, allocator, flows, flowBytes);
      set(WORLD.accounts, accounting ? allocator.take(flows * ACCOUNT.size) : 0);
      const limits = this.view.getUint32(world + WORLD.limits, true);
      if (limits) this.view.setUint32(limits + LIMITS.nodes, allocator.take(flows * nodes), true);
      const nat = this.view.getUint32(world + WORLD.nat, true);
      if (nat) buildNatTable(this.view, nat, allocator, flows, 2 ** Math.floor(Math.log2(flows)));
      if (helping) this.helps(allocator, world, flows);
      buildIndex(this.view, world, allocator, { buckets, overflows });
    }
  }

  /** Can an entry's reply tuple be something else than the inverse of its original one, or is it looked at by rules? */
  private needsReplyTuples(translates: boolean): boolean {
    const { rules, host } = this.plan;
    const asked = translates || rules.usesReplyTuples || usesHelpers(rules, host);
    return asked || rules.templates.length > 0 || host.conntrack.length > 0;
  }

  /** Fills the pattern table and the classes for interfaces that were named since the last call. */
  nameInterfaces(): void {
    const { rules, interfaceTable } = this.plan;
    for (; this.named <= this.names.count; this.named++) {
      const name = this.names.name(this.named) ?? '';
      if (rules.tables.length > 0) {
        const of = interfaceClass(rules.interfacePatterns, name);
        this.view.setUint16(this.dispatch + this.named * 2, of, true);
      }
      rules.interfacePatterns.forEach((pattern, row) => {
        this.bytes[interfaceTable + row * INTERFACES_MAX + this.named] = matchesInterface(pattern, name) ? 1 : 0;
      });
    }
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

  /** Expectations of a world, as many as there may be, and with NAT room to rewrite a packet. */
  private helping(allocator: Allocator, translates: boolean): number {
    const max = this.plan.host.sysctls[Sysctl.EXPECT_MAX]!;
    const shared = HELPING.size + 2 * EXPECTATION.size + HELPER_SCRATCH;
    const at = allocator.take(shared + H323.size + FINDS_MAX * FIND.size);
    if (this.forwardsCalls()) this.nextHops(allocator, at + shared);
    const expectations = allocator.take(max * EXPECTATION.size);
    this.view.setUint32(at + HELPING.rewritten, translates ? allocator.take(REWRITE_BYTES) : 0, true);
    this.view.setUint32(at + HELPING.max, max, true);
    this.view.setUint32(at + HELPING.expectations, expectations, true);
    this.view.setUint32(at + HELPING.expectations_top, expectations, true);
    this.view.setUint32(at + HELPING.expectations_end, expectations + max * EXPECTATION.size, true);
    this.view.setUint32(at + HELPING.buckets, allocator.take(EXPECTATION_BUCKETS * 4), true);
    this.view.setUint32(at + HELPING.broadcasts, this.broadcasts(allocator), true);
    return at;
  }

  /** May there be a connection whose helper asks for routes: one of Q.931, or one of RAS that expects such? */
  private forwardsCalls(): boolean {
    const { rules, host } = this.plan;
    const given = [
      ...rules.templates.map(({ helper = '' }) => helperNumber(helper)),
      ...host.conntrack.map(({ helper }) => helper),
    ];
    return given.includes(Helper.RAS) || given.includes(Helper.Q931);
  }

  /** The ways to others, for helpers of H.323, where routes are known. */
  private nextHops(allocator: Allocator, at: number): void {
    const { topology } = this.plan.host;
    if (topology === undefined) return;
    for (const family of [IPV4, IPV6] as const) {
      const hops = compileNextHops(topology, family);
      const address = allocator.take(hops.length);
      this.bytes.set(hops, address);
      this.view.setUint32(at + (family === IPV4 ? H323.hops4 : H323.hops6), address, true);
      const count = family === IPV4 ? H323.hops4_count : H323.hops6_count;
      this.view.setUint32(at + count, hops.length / NEXT_HOP.size, true);
    }
  }

  /** Whom a broadcast of the host's reaches. */
  private broadcasts(allocator: Allocator): number {
    const known = (this.plan.host.topology?.addresses ?? []).filter(
      ({ broadcast, secondary, length }) => broadcast !== undefined && !secondary && length > 0,
    );
    const start = allocator.take((known.length + 1) * BROADCAST.size);
    known.forEach(({ broadcast, length, device }, index) => {
      const at = start + index * BROADCAST.size;
      this.view.setUint32(at + BROADCAST.address, Number(broadcast), false);
      this.view.setUint32(at + BROADCAST.mask, 0xffffffff << (32 - length), false);
      this.view.setUint16(at + BROADCAST.iface, device === undefined ? 0 : this.names.index(device), true);
    });
    return start;
  }

  /** What entries have that a helper looks after: the place comes with the table. */
  private helps(allocator: Allocator, world: number, flows: number): void {
    const at = this.view.getUint32(world + WORLD.helping, true);
    const helps = allocator.take(flows * HELP.size);
    this.view.setUint32(at + HELPING.slots, allocator.take(flows * SLOT_OF_HELP), true);
    this.view.setUint32(at + HELPING.helps_top, helps, true);
    this.view.setUint32(at + HELPING.helps_end, helps + flows * HELP.size, true);
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
        const steps = this.plan.rules.chains
          .filter((chain) => chain.family === family && chain.hook === hook)
          .map((chain) => ({
            priority: chain.priority,
            kind: STEP_KINDS[chain.table] ?? StepKind.CHAIN,
            slot: slotBase + chain.slot,
          }));
        if (CONNTRACK_HOOKS.includes(hook)) {
          steps.push({ priority: CONNTRACK_PRIORITY, kind: StepKind.CONNTRACK, slot: 0 });
        }
        steps.sort((a, b) => a.priority - b.priority);
        steps.forEach((step, place) => {
          const to = at + ((row * HOOKS + hook) * STEPS_MAX + place) * STEP.size;
          this.view.setUint32(to + STEP.kind, step.kind, true);
          this.view.setUint32(to + STEP.slot, step.slot, true);
        });
      }
    });
    return at;
  }

  private copy(allocator: Allocator, bytes: Uint8Array): number {
    const at = allocator.take(bytes.length);
    this.bytes.set(bytes, at);
    return at;
  }
}
