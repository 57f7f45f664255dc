// One pass over captures through one firewall or two: the loop that every command is built on.
//
// The main thread reads and walks captures into the ring, it and its workers decode and track, the main thread puts what they
// left in order and hands it to the caller, batch after batch. Nothing that comes out depends on the number of lanes.

import { availableParallelism } from 'node:os';
import { Checksums, Sysctl } from '../assembly/vocabulary.ts';
import type { Sink } from './batch.ts';
import { CaptureFeed } from './capture/feed.ts';
import { InterfaceNames } from './capture/interfaces.ts';
import type { CaptureFile, CaptureSpec } from './capture/reader.ts';
import { captureAreaBytes, type Walker } from './capture/walker.ts';
import { defragNotes, layOutDefrag } from './engine/defrag.ts';
import {
  compileEngine,
  type EngineExports,
  instantiateEngine,
  SCRATCH_BYTES,
  SHARD_TABLE_BYTES,
  SHARDS,
} from './engine/engine.ts';
import { BATCH_BYTES, BATCH_PACKETS, EVENT, LANES_MAX, RECORD, WORLD } from './engine/layout.ts';
import { Allocator, createMemory } from './engine/memory.ts';
import { preloadTable } from './engine/preload.ts';
import { layOutSights } from './engine/sights.ts';
import { Tables } from './engine/tables.ts';
import { INTERFACE_TABLE_BYTES, WorldImage } from './engine/world.ts';
import { CaptureError, EngineError } from './errors.ts';
import type { Host } from './host.ts';
import { LaneLimits, LimitReached, planShards } from './plan/shard.ts';
import { hostLimits, sharedState } from './plan/shared-state.ts';
import type { Chunk, LanePlan } from './pool/lane.ts';
import { Lanes } from './pool/pool.ts';
import { BATCH, type BatchPlace, CONTROL, LEFT, layOutRing, placesFor } from './pool/ring.ts';
import { FragmentHold } from './report/hold.ts';
import { indexLogs } from './report/logs.ts';
import { type EventPlace, type EventRun, isExpectation, orderEvents } from './report/order.ts';
import type { TraceEntry } from './report/trace.ts';
import { readTrace } from './report/trace-records.ts';
import { type CompiledRuleset, compileRuleset, parseRulesets, type RuleInfo } from './ruleset/index.ts';
import { indexSent } from './sent/records.ts';

export interface RunOptions {
  captures: readonly CaptureSpec[];
  /** One firewall, or two that judge the same packets (`diff`). */
  hosts: readonly [Host] | readonly [Host, Host];
  /** Threads; undefined: as many as the machine has cores and the captures are worth. */
  workers?: number | undefined;
  checksums: 'auto' | 'verify' | 'ignore';
  /** Replay time at which the run stops: later packets are not replayed. */
  until?: Moment | undefined;
  wantEvents: boolean;
  /** Lanes count their packets (WorldResult.tallies). */
  wantSummary?: boolean | undefined;
  /** Decides what is random in the kernel: the ports that NAT chooses. 0 if not given. */
  seed?: bigint | undefined;
  /**
   * Fragments bear the verdict of the packet they were assembled into: batches then come late, as copies, in which the
   * bytes of packets cannot be looked at any more. Otherwise only the fragment that completed the packet has a verdict.
   */
  wantFragments?: boolean | undefined;
  /** With wantFragments: bytes of packets stay with their batches. */
  wantBytes?: boolean | undefined;
  /** What helpers and NAT make of packets is kept (WorldView.sent). */
  wantSent?: boolean | undefined;
  /** The packet to trace, in every world. */
  trace?: { file: number; n: number } | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

/** A moment of replay time, ns since 1970, or a time after the first packet, ns. */
export type Moment = { at: bigint } | { afterFirst: bigint };

export interface Progress {
  bytesRead: number;
  bytesTotal?: number | undefined;
  packets: number;
}

export interface WorldResult {
  rules: readonly RuleInfo[];
  /** Packets and bytes that met a rule (or policy). */
  counters(rule: number): { packets: bigint; bytes: bigint };
  /** Entries at the end, oldest first, as EVENT records: each valid until the next is asked for. */
  table(): Iterable<EventPlace>;
  /** Addresses of the lanes' counts (TALLY_*) in `view`; none unless a summary was wanted. */
  tallies: { view: DataView; addresses: readonly number[] };
  /** Expectations at the end, oldest first, as EVENT records: each valid until the next is asked for. */
  expectations(): Iterable<EventPlace>;
  /** Entries at the end. */
  flows: number;
  /** Entries that went early so that others found room. */
  earlyDropped: number;
  trace: readonly TraceEntry[];
}

export interface RunResult {
  worlds: readonly WorldResult[];
  packets: number;
  /** Times of the first and the last packet, ns since 1970. */
  first?: bigint | undefined;
  last?: bigint | undefined;
  /** Wall time of the replay. */
  seconds: number;
  files: readonly CaptureFile[];
  interfaces: InterfaceNames;
  notes: readonly string[];
  /** A capture that could not be read to its end; everything before was reported. */
  error?: CaptureError | undefined;
}

/** Captures below this size are not worth a second thread, unless asked for. */
const BYTES_PER_THREAD = 4 << 20;

/**
 * Replays captures and hands every judged batch to `sink`, in order.
 * @throws CaptureError before the first batch if a capture cannot be opened; later ones are in RunResult.error
 * @throws RulesetError, HostError for what cannot be executed; EngineError when the machine or a worker fails
 */
export async function run(options: RunOptions, sink: Sink): Promise<RunResult> {
  // `performance` would have to be loaded.
  const begin = process.uptime();
  try {
    return await replayOnce(options, sink, begin);
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
    // From here on every packet may depend on every other: once more from the start, in one lane.
    return await replayOnce(options, new Rest(sink, error.packets).sink, begin, true);
  }
}

async function replayOnce(options: RunOptions, sink: Sink, begin: number, oneLane = false): Promise<RunResult> {
  const replay = await Replay.prepare(options, sink, oneLane);
  try {
    return await replay.play(begin);
  } finally {
    await replay.close();
  }
}

/** Hands on what a replay that was given up had not delivered. Batches of files that can be read twice end alike. */
class Rest {
  constructor(
    private readonly target: Sink,
    private delivered: number,
  ) {}

  readonly sink: Sink = (batch) => {
    if (this.delivered === 0) return this.target(batch);
    this.delivered -= batch.count;
    if (this.delivered < 0) throw new EngineError('capture-changed', 'a capture changed while it was read');
  };
}

class Replay {
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly words: Int32Array;
  private readonly control: number;
  private lanes: Lanes | undefined;
  /** Reading and walking of the next batch, while it is under way. */
  private filling: Promise<void> | undefined;
  private filled = 0;
  private failed = false;
  private failure: unknown;
  private published = 0;
  private reported = 0;
  private packets = 0;
  /** Packets handed to the sink, while that matters. */
  private delivered = 0;
  private first: bigint | undefined;
  private last: bigint | undefined;
  private until: bigint | undefined;
  private clock = 0n;
  private ended = false;
  private error: CaptureError | undefined;
  private readonly hold: FragmentHold | undefined;

  private constructor(
    private readonly options: RunOptions,
    private readonly sink: Sink,
    private readonly feed: CaptureFeed,
    private readonly engine: EngineExports,
    private readonly plan: LanePlan,
    private readonly images: readonly WorldImage[],
    private readonly names: InterfaceNames,
    private readonly event: number,
    private readonly notes: string[],
    private readonly limits: LaneLimits,
  ) {
    this.view = new DataView(plan.memory.buffer);
    this.bytes = new Uint8Array(plan.memory.buffer);
    this.words = new Int32Array(plan.memory.buffer);
    this.control = plan.ring.control / 4;
    this.hold = options.wantFragments ? new FragmentHold(sink, options.wantBytes === true) : undefined;
  }

  static async prepare(options: RunOptions, sink: Sink, oneLane: boolean): Promise<Replay> {
    // V8 compiles on threads of its own while rules are read; a mistake in these is what is told first.
    const compiling = compileEngine();
    compiling.catch(() => {});
    const rulesets = options.hosts.map((host) => parseRulesets(host.rulesets));
    const engineModule = await compiling;
    const memory = createMemory();
    const allocator = new Allocator();
    const seed = seedWords();
    const engine = instantiateEngine(engineModule, memory, allocator.take(SCRATCH_BYTES), seed);
    const names = new InterfaceNames();
    const area = {
      address: allocator.take(captureAreaBytes(options.captures.length)),
      bytes: captureAreaBytes(options.captures.length),
    };
    // Interfaces of the hosts come first, so that their numbers do not depend on the captures.
    let slotBase = engine.table.length;
    const compiled = rulesets.map((ruleset) => {
      const interfaceTable = allocator.take(INTERFACE_TABLE_BYTES);
      const rules = compileRuleset(ruleset, {
        trace: options.trace !== undefined,
        interfaceTable,
        tableBase: slotBase,
      });
      const base = slotBase;
      slotBase += rules.slots;
      return { rules, interfaceTable, base };
    });
    const feed = await CaptureFeed.open(options.captures, memory, engine as unknown as Walker, names, area);
    try {
      const key = planShards(compiled.map(({ rules }, index) => sharedState(rules, options.hosts[index]!)));
      const limits = new LaneLimits(compiled.map(({ rules }, index) => hostLimits(rules, options.hosts[index]!)));
      const alone = oneLane || key.key === 'one-lane' || (limits.stated && !feed.seekable);
      const threads = chooseThreads(options.workers, feed.bytesTotal);
      const lanes = alone ? 1 : threads;
      const images = compiled.map(
        ({ rules, interfaceTable }, index) =>
          new WorldImage(memory, { host: options.hosts[index]!, rules, interfaceTable }, names),
      );
      images.forEach((image, index) => {
        const trace = options.trace !== undefined;
        const limited = lanes === 1 && options.hosts[index]!.sysctls[Sysctl.MAX] !== 0;
        image.build(allocator, lanes, {
          slotBase: compiled[index]!.base,
          trace,
          limited,
          seed: options.seed,
          tally: options.wantSummary === true,
        });
      });
      const defrag = layOutDefrag(memory, allocator, options.hosts[0].sysctls, placesFor(threads));
      const { endsBytes } = defrag;
      const sights = layOutSights(memory, allocator, options.hosts, images[0]!.lanes[0]!, names);
      for (const image of images) image.tellSides(allocator, sights);
      const wants = {
        endsBytes,
        events: options.wantEvents,
        logs: images.some(({ helps, plan: { rules } }) => rules.logsPerPacket > 0 || helps),
        sent: options.wantSent === true,
        translations: compiled.map(({ rules }) => rules.chains.some(({ table }) => table === 'nat')),
      };
      const ring = layOutRing(allocator, { threads, lanes, worlds: images.length, ...wants });
      const shards = allocator.take(SHARD_TABLE_BYTES);
      const scratch = Array.from({ length: threads }, () => allocator.take(SCRATCH_BYTES));
      const event = allocator.take(EVENT.size);
      const bytesPerTable = Math.floor(allocator.left / (lanes * images.length)) - 4096;
      for (const image of images) image.buildTables(allocator, bytesPerTable);
      const table = new Uint8Array(memory.buffer, shards, SHARD_TABLE_BYTES);
      for (let shard = 0; shard < SHARDS; shard++) table[shard] = shard % lanes;
      table[SHARDS] = key.key === 'pair' ? 1 : 0;
      const plan: LanePlan = {
        memory,
        engine: engineModule,
        rules: compiled.map(({ rules }) => new WebAssembly.Module(rules.wasm.slice())),
        ring,
        threads,
        lanes,
        seed,
        scratch,
        worlds: Array.from({ length: lanes }, (_, lane) => images.map((image) => image.lanes[lane]!)),
        shards,
        checksums: { ignore: Checksums.IGNORE, verify: Checksums.VERIFY, auto: Checksums.AUTO }[options.checksums],
        defrag,
        sights,
      };
      const told = [
        ...options.hosts.flatMap((host) => host.notes),
        ...trackingNotes(compiled),
        ...defragNotes(options.hosts),
      ];
      const notes = [...new Set(told)];
      return new Replay(options, sink, feed, engine, plan, images, names, event, notes, limits);
    } catch (error) {
      await feed.close();
      throw error;
    }
  }

  async play(begin: number): Promise<RunResult> {
    const lanes = await Lanes.start(this.plan);
    this.lanes = lanes;
    const places = this.plan.ring.places.length;
    while (true) {
      this.options.signal?.throwIfAborted();
      if (this.failed) throw this.failure;
      const { progress } = lanes;
      // The next batch is on its way into memory meanwhile, also where there is no other thread.
      if (!this.filling && !this.ended && this.filled - this.reported < places) this.filling = this.readOn();
      if (this.published < this.filled) {
        this.published = this.filled;
        lanes.published();
      }
      if (this.reported < this.filled && lanes.isTracked(this.reported)) {
        await this.report(lanes);
      } else if (lanes.help()) {
        // Others need what was read meanwhile.
        if (this.plan.threads > 1 && this.filling) await new Promise(setImmediate);
      } else {
        const awaited = [];
        if (this.filling) awaited.push(this.filling);
        if (this.reported < this.filled) awaited.push(lanes.progressFrom(progress));
        if (awaited.length === 0) break;
        await Promise.race(awaited);
      }
    }
    await this.hold?.end();
    Atomics.store(this.words, this.control + CONTROL.END, 1);
    lanes.published();
    return {
      worlds: this.images.map((image) => this.result(image)),
      packets: this.packets,
      first: this.first,
      last: this.last,
      seconds: process.uptime() - begin,
      files: this.feed.files,
      interfaces: this.names,
      notes: this.notes,
      error: this.error,
    };
  }

  async close(): Promise<void> {
    this.feed.stop();
    await this.filling;
    await this.lanes?.close();
    await this.feed.close();
  }

  private place(batch: number): BatchPlace {
    return this.plan.ring.places[batch % this.plan.ring.places.length]!;
  }

  /** Fills one batch while the caller does something else. */
  private async readOn(): Promise<void> {
    try {
      await this.fill();
    } catch (error) {
      this.failed = true;
      this.failure = error;
    }
    this.filling = undefined;
  }

  /** Reads and walks one batch into its place in the ring, or marks the end. */
  private async fill(): Promise<void> {
    const place = this.place(this.filled);
    let count = 0;
    try {
      count = await this.feed.next({
        data: place.data,
        dataBytes: BATCH_BYTES,
        records: place.records,
        capacity: BATCH_PACKETS,
      });
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      this.error = error;
    }
    if (count > 0 && this.first === undefined) this.begin(this.view.getBigUint64(place.records + RECORD.clock, true));
    if (count > 0) count = this.cut(place, count);
    if (count === 0) {
      this.ended = true;
      // Time goes on to the moment asked for, without packets.
      if (this.until === undefined || this.until <= this.clock || this.error) return;
      this.clock = this.until;
    } else {
      const lastRecord = place.records + (count - 1) * RECORD.size;
      this.clock = this.view.getBigUint64(lastRecord + RECORD.clock, true);
      this.last = this.clock;
    }
    for (const image of this.images) image.nameInterfaces();
    this.markTraced(place, count);
    this.view.setUint32(place.header + BATCH.COUNT * 4, count, true);
    this.view.setFloat64(place.header + BATCH.FIRST * 4, this.packets + 1, true);
    this.view.setBigUint64(place.header + BATCH.CLOCK_LOW * 4, this.clock, true);
    this.packets += count;
    this.filled++;
    Atomics.store(this.words, this.control + CONTROL.FILLED, this.filled);
  }

  /** The time of the first packet is known: what is relative to it can be set. */
  private begin(first: bigint): void {
    this.first = first;
    const { until } = this.options;
    if (until) this.until = 'at' in until ? until.at : first + until.afterFirst;
    for (const image of this.images) {
      image.begin(first);
      preloadTable(image, this.engine, this.plan, first);
    }
  }

  /** Packets of the batch that are not later than `until`. */
  private cut(place: BatchPlace, count: number): number {
    const { until } = this;
    if (until === undefined) return count;
    let kept = 0;
    while (kept < count && this.view.getBigUint64(place.records + kept * RECORD.size + RECORD.clock, true) <= until)
      kept++;
    return kept;
  }

  private markTraced(place: BatchPlace, count: number): void {
    const { trace } = this.options;
    if (!trace) return;
    for (let at = place.records; at < place.records + count * RECORD.size; at += RECORD.size) {
      if (
        this.view.getUint16(at + RECORD.file, true) !== trace.file ||
        this.view.getUint32(at + RECORD.n, true) !== trace.n
      )
        continue;
      const number = this.view.getBigUint64(at + RECORD.number, true);
      for (const world of this.plan.worlds.flat()) this.view.setBigUint64(world + WORLD.trace_number, number, true);
    }
  }

  private async report(lanes: Lanes): Promise<void> {
    const batch = this.reported;
    const place = this.place(batch);
    const count = this.view.getUint32(place.header + BATCH.COUNT * 4, true);
    if (this.plan.lanes > 1 && this.limits.stated) this.checkLimits(place, count);
    const chunks = await lanes.chunks(batch, this.chunkCount(place));
    const tracked = sum(this.plan.lanes, (lane) => this.view.getUint32(place.lengths + lane * 4, true));
    const worlds = this.images.map((image, world) => {
      const strangers = sum(this.plan.lanes, (lane) =>
        this.view.getUint32(place.left[lane]![world]! + LEFT.STRANGERS * 4, true),
      );
      const own = chunks.filter((chunk) => chunk.world === world);
      const packets = place.packets[world]!;
      const events = orderEvents(this.runsOf('events', place, world, own));
      return {
        packets,
        translations: place.translations[world]!,
        events: image.helps ? events.filter((event) => !isExpectation(event)) : events,
        expectations: image.helps ? events.filter(isExpectation) : [],
        ...indexLogs(this.runsOf('logs', place, world, own)),
        sent: indexSent(this.runsOf('sent', place, world, own)),
        rules: image.plan.rules.rules,
        uncounted: tracked < count || strangers > 0,
      };
    });
    const { view, bytes } = this;
    const sided = view.getUint32(place.header + BATCH.SIDED * 4, true) !== 0;
    const judged = { view, bytes, records: place.records, count, worlds, interfaces: this.names, sided };
    if (!this.hold) await this.sink(judged);
    else {
      await this.hold.add(judged, {
        first: view.getFloat64(place.header + BATCH.FIRST * 4, true),
        ends: place.ends,
        endsBytes: view.getUint32(place.header + BATCH.ENDS_BYTES * 4, true),
        any: view.getUint32(place.lengths + this.plan.lanes * 4, true) > 0,
      });
    }
    this.reported++;
    this.options.onProgress?.({
      bytesRead: this.feed.bytesRead,
      bytesTotal: this.feed.bytesTotal,
      packets: this.packets,
    });
  }

  /** Lanes know their own entries only: could all of them together have come to a limit within the batch? */
  private checkLimits(place: BatchPlace, count: number): void {
    this.images.forEach((_, world) => {
      const all = (field: number) =>
        sum(this.plan.lanes, (lane) => this.view.getUint32(place.left[lane]![world]! + field * 4, true));
      const counts = { entries: all(LEFT.FLOWS), expected: all(LEFT.EXPECTED), beyond: all(LEFT.BEYOND) };
      this.limits.check(world, counts, count, this.delivered);
    });
    this.delivered += count;
  }

  private chunkCount(place: BatchPlace): number {
    let count = 0;
    for (const left of place.left.flat()) {
      count +=
        this.view.getUint32(left + LEFT.EVENT_CHUNKS * 4, true) +
        this.view.getUint32(left + LEFT.LOG_CHUNKS * 4, true) +
        this.view.getUint32(left + LEFT.SENT_CHUNKS * 4, true);
    }
    return count;
  }

  /** Where the records of one kind lie that a batch left: in the lanes' areas, and in chunks that came from full ones. */
  private runsOf(kind: Chunk['kind'], place: BatchPlace, world: number, chunks: readonly Chunk[]): EventRun[] {
    const areas = place[kind];
    const field = { events: LEFT.EVENT_BYTES, logs: LEFT.LOG_BYTES, sent: LEFT.SENT_BYTES }[kind];
    const runs = chunks.filter((chunk) => chunk.kind === kind).map(chunkRun);
    place.left.forEach((left, lane) => {
      const start = areas[lane]![world]!;
      const bytes = this.view.getUint32(left[world]! + field * 4, true);
      if (bytes) runs.push({ view: this.view, bytes: this.bytes, start, end: start + bytes });
    });
    return runs;
  }

  private result(image: WorldImage): WorldResult {
    const { view, engine, event, clock } = this;
    const tables = new Tables(this.plan.memory, engine, image.lanes, event, clock);
    return {
      rules: image.plan.rules.rules,
      counters: (rule) => image.counter(rule),
      flows: sum(image.lanes.length, (lane) => view.getUint32(image.lanes[lane]! + WORLD.flow_count, true)),
      tallies: {
        view,
        addresses: image.lanes.map((world) => view.getUint32(world + WORLD.tally, true)).filter((at) => at !== 0),
      },
      earlyDropped: sum(image.lanes.length, (lane) => view.getUint32(image.lanes[lane]! + WORLD.early_dropped, true)),
      trace: image.lanes.flatMap((world) => readTrace(view, world, image.chainOf, this.names)),
      table: () => tables.entries(),
      expectations: () => tables.expectations(),
    };
  }
}

function sum(count: number, of: (index: number) => number): number {
  let total = 0;
  for (let index = 0; index < count; index++) total += of(index);
  return total;
}

function chunkRun({ bytes }: Chunk): EventRun {
  return {
    view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    bytes,
    start: 0,
    end: bytes.byteLength,
  };
}

/** Law 1 has one exception that is ours by intent: tracking goes on where the kernel would not have begun it. */
function trackingNotes(compiled: readonly { rules: CompiledRuleset }[]): string[] {
  const idle = compiled.some(({ rules }) => rules.rules.length > 0 && rules.usesConntrack.size === 0);
  return idle
    ? ['no rule uses connection tracking: a kernel tracks only if something else asks it to; here it is always on']
    : [];
}

/** The hash seed: nothing that comes out depends on it, and who writes captures cannot know it. `crypto` takes 2 ms to load. */
function seedWords(): [number, number] {
  const word = () => Math.floor(Math.random() * 2 ** 32);
  return [word(), word()];
}

/** What was asked for, or a thread per core as far as the captures are worth it. Output is the same for any number. */
function chooseThreads(workers: number | undefined, bytes: number | undefined): number {
  if (workers !== undefined) return Math.min(workers, LANES_MAX);
  const worth = bytes === undefined ? Number.POSITIVE_INFINITY : Math.ceil(bytes / BYTES_PER_THREAD);
  return Math.max(1, Math.min(availableParallelism(), worth, LANES_MAX));
}
