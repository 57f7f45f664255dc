// One pass over captures through one firewall or two: the loop that every command is built on.
//
// The main thread reads and walks captures into the ring, it and its workers decode and track, the main thread puts what they
// left in order and hands it to the caller, batch after batch. Nothing that comes out depends on the number of lanes.

import type { Sink } from './batch.ts';
import type { CaptureFeed } from './capture/feed.ts';
import type { InterfaceNames } from './capture/interfaces.ts';
import type { CaptureFile, CaptureSpec } from './capture/reader.ts';
import { BATCH_BYTES, BATCH_PACKETS, RECORD, WORLD } from './engine/layout.ts';
import { preloadTable } from './engine/preload.ts';
import { Tables } from './engine/tables.ts';
import type { WorldImage } from './engine/world.ts';
import { CaptureError, EngineError } from './errors.ts';
import type { Host } from './host.ts';
import { LimitReached } from './plan/shard.ts';
import type { Chunk, LanePlan, Work } from './pool/lane.ts';
import { Lanes } from './pool/pool.ts';
import { BATCH, type BatchPlace, CONTROL, LEFT } from './pool/ring.ts';
import { type Prepared, prepare } from './prepare.ts';
import { FragmentHold } from './report/hold.ts';
import { indexLogs } from './report/logs.ts';
import { type EventPlace, type EventRun, isExpectation, orderEvents } from './report/order.ts';
import type { TraceEntry } from './report/trace.ts';
import { readTrace } from './report/trace-records.ts';
import type { RuleInfo } from './ruleset/index.ts';
import { indexSent } from './sent/records.ts';
import { refuseUnowned } from './unowned.ts';

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
  /** What the main thread was at since it began or was last told, s: with one thread all there is to do. */
  onLap?: ((stage: Stage, seconds: number) => void) | undefined;
}

/** `read`: waiting for the next batch, and walking it. */
export type Stage = 'prepare' | 'read' | Work | 'report';

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
  const replay = new Replay(options, sink, await prepare(options, oneLane));
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
  private readonly plan: LanePlan;
  private readonly images: readonly WorldImage[];
  private readonly feed: CaptureFeed;
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
  private lapped = 0;
  private ended = false;
  private error: CaptureError | undefined;
  private readonly hold: FragmentHold | undefined;

  constructor(
    private readonly options: RunOptions,
    private readonly sink: Sink,
    private readonly prepared: Prepared,
  ) {
    this.plan = prepared.plan;
    this.images = prepared.images;
    this.feed = prepared.feed;
    this.view = new DataView(this.plan.memory.buffer);
    this.bytes = new Uint8Array(this.plan.memory.buffer);
    this.words = new Int32Array(this.plan.memory.buffer);
    this.control = this.plan.ring.control / 4;
    this.hold = options.wantFragments ? new FragmentHold(sink, options.wantBytes === true) : undefined;
  }

  async play(begin: number): Promise<RunResult> {
    const lanes = await Lanes.start(this.plan);
    this.lanes = lanes;
    this.lapped = begin;
    this.lap('prepare');
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
        this.lap('report');
        continue;
      }
      const work = lanes.help();
      if (work) {
        this.lap(work);
        // Others need what was read meanwhile.
        if (this.plan.threads > 1 && this.filling) await new Promise((resolve) => setImmediate(resolve));
      } else {
        const awaited = [];
        if (this.filling) awaited.push(this.filling);
        if (this.reported < this.filled) awaited.push(lanes.progressFrom(progress));
        if (awaited.length === 0) break;
        await Promise.race(awaited);
        this.lap('read');
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
      interfaces: this.prepared.names,
      notes: this.prepared.notes,
      error: this.error,
    };
  }

  async close(): Promise<void> {
    this.feed.stop();
    await this.filling;
    await this.lanes?.close();
    await this.feed.close();
  }

  private lap(stage: Stage): void {
    const { onLap } = this.options;
    if (!onLap) return;
    const now = process.uptime();
    onLap(stage, now - this.lapped);
    this.lapped = now;
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
      preloadTable(image, this.prepared.engine, this.plan, first);
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
    if (this.plan.lanes > 1 && this.prepared.limits.stated) this.checkLimits(place, count);
    for (const image of this.images) refuseUnowned(this.view, image, place.records, count, this.feed.files);
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
    const judged = { view, bytes, records: place.records, count, worlds, interfaces: this.prepared.names, sided };
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
      this.prepared.limits.check(world, counts, count, this.delivered);
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
    const { view, clock } = this;
    const { engine, event } = this.prepared;
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
      trace: image.lanes.flatMap((world) => readTrace(view, world, image.chainOf, this.prepared.names)),
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
