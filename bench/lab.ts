// What does a benchmark of the engine stand on? One engine over one memory with one firewall, as a lane of a run has it,
// and batches of generated packets in it.

import { Checksums, Sysctl } from '../assembly/vocabulary.ts';
import { type Carrier, FRAME_MAX } from '../src/bench/frame.ts';
import { type Traffic, TrafficSource } from '../src/bench/traffic.ts';
import { InterfaceNames } from '../src/capture/interfaces.ts';
import { identity, NO_BOUND, RUN, SOURCE } from '../src/capture/walker.ts';
import {
  compileEngine,
  type EngineExports,
  instantiateEngine,
  SCRATCH_BYTES,
  SHARD_TABLE_BYTES,
  WHEEL_BUCKETS,
  WHEEL_BYTES,
} from '../src/engine/engine.ts';
import { BATCH_PACKETS, FLOW, INDEX_BUCKET, PACKET, RECORD, TIMER_CHUNK, WORLD } from '../src/engine/layout.ts';
import { Allocator, createMemory } from '../src/engine/memory.ts';
import { INTERFACE_TABLE_BYTES, WorldImage } from '../src/engine/world.ts';
import { Host } from '../src/host.ts';
import { EVENT_AREA } from '../src/pool/ring.ts';
import { compileRuleset, instantiateRuleset, parseRulesets } from '../src/ruleset/index.ts';
import { compileParts, type Parts } from './parts.ts';

/** Numbers are the same in every run: nothing here is exposed to traffic of an attacker. */
const SEED = [0x5eed, 0x5eed] as const;
const RECORD_HEADER = 16;
const LINK_ETHERNET = 1;

type Walk = (source: number, run: number, records: number, max: number, bound: bigint) => number;

/** Consecutive batches of packets: capture bytes, records, packets and queues, all in linear memory. */
export interface Batches {
  count: number;
  /** Addresses of the first batch; strides are BATCH_PACKETS records, packets and u16. */
  data: number;
  bytes: number;
  records: number;
  packets: number;
  queues: number;
  /** Number of the first packet in replay order. */
  first: number;
}

/** An endless stream of one kind of traffic. */
export class Stream {
  readonly source: TrafficSource;
  packets = 0;

  constructor(
    readonly traffic: Traffic,
    readonly carrier?: Carrier,
  ) {
    this.source = new TrafficSource(traffic, carrier);
  }
}

export class Lab {
  readonly memory = createMemory();
  readonly view = new DataView(this.memory.buffer);
  readonly bytes = new Uint8Array(this.memory.buffer);
  readonly allocator = new Allocator();
  readonly engine: EngineExports;
  readonly parts: Parts;
  private readonly walker: Walk;
  private readonly source = this.allocator.take(SOURCE.size);
  private readonly run = this.allocator.take(RUN.size);
  private readonly lengths = this.allocator.take(64);
  private readonly shards = this.allocator.take(SHARD_TABLE_BYTES);
  /** Room for one batch that is not kept. */
  readonly passing: Batches;
  /** Packets that the last walk() found. */
  walked = 0;
  private readonly out: Buffer;

  private constructor(engine: WebAssembly.Module, parts: WebAssembly.Module) {
    // Constants of both modules lie at the bottom of memory, where those of the engine have to stay: the parts use none.
    this.parts = new WebAssembly.Instance(parts, { env: { memory: this.memory } }).exports as Parts;
    this.engine = instantiateEngine(engine, this.memory, this.allocator.take(SCRATCH_BYTES), SEED);
    this.walker = this.engine.walk as Walk;
    this.parts.init_parts(SEED[0], SEED[1]);
    this.passing = this.room(1);
    this.out = Buffer.from(this.memory.buffer as unknown as ArrayBuffer);
  }

  static async open(): Promise<Lab> {
    return new Lab(await compileEngine(), await compileParts());
  }

  /**
   * A firewall with a table of at most `tableBytes`; `rules` is iptables-save text; `tally`: it counts for a summary;
   * `synSent`: nf_conntrack_tcp_timeout_syn_sent, seconds. Returns its World record.
   */
  world(tableBytes: number, { rules = '', tally = false, synSent = 120 } = {}): number {
    const host = new Host();
    host.sysctls[Sysctl.TCP_TIMEOUT_SYN_SENT] = synSent;
    if (rules !== '') host.rulesets.push({ file: 'bench', text: rules, family: 2 });
    const interfaceTable = this.allocator.take(INTERFACE_TABLE_BYTES);
    const slotBase = this.engine.table.length;
    const compiled = compileRuleset(parseRulesets(host.rulesets), { interfaceTable, tableBase: slotBase });
    // A host without a rule that asks for it is not tracked at all; here it always is.
    compiled.usesConntrack = new Set([2, 10]);
    const image = new WorldImage(this.memory, { host, rules: compiled, interfaceTable }, new InterfaceNames());
    image.build(this.allocator, 1, { slotBase, trace: false, tally });
    image.buildTables(this.allocator, tableBytes);
    image.nameInterfaces();
    instantiateRuleset(new WebAssembly.Module(compiled.wasm as Uint8Array<ArrayBuffer>), this.memory, this.engine);
    return image.lanes[0]!;
  }

  /**
   * Plays `packets` of a stream through a firewall, leaving only its table behind. `tracked` is told what each batch took to
   * track, with the expiry of what was due at its end, ns per packet: on the clock, or on the processor if that is less
   * because other processes had it meanwhile.
   */
  play(world: number, stream: Stream, packets: number, tracked?: (ns: number) => void): void {
    for (let left = packets; left > 0; left -= BATCH_PACKETS) {
      this.fill(this.passing, 0, stream);
      this.decode(this.passing, 0);
      const usage = process.cpuUsage();
      const begin = performance.now();
      this.track(world, this.passing, 0);
      this.expire(world, this.clock);
      const clock = (performance.now() - begin) * 1e6;
      const { user, system } = process.cpuUsage(usage);
      tracked?.(Math.min(clock, (user + system) * 1e3) / BATCH_PACKETS);
    }
  }

  /** Keeps the next `count` batches of a stream, decoded. */
  keep(stream: Stream, count: number): Batches {
    const batches = this.room(count);
    batches.first = stream.packets + 1;
    for (let batch = 0; batch < count; batch++) this.fill(batches, batch, stream);
    this.decodeAll(batches);
    return batches;
  }

  /** Fills batch number `batch` with packets and their records. */
  private fill(batches: Batches, batch: number, stream: Stream): void {
    const start = batch === 0 ? batches.data : batches.data + batches.bytes;
    let at = start;
    for (let packet = 0; packet < BATCH_PACKETS; packet++) at += stream.source.next(this.out, this.view, at);
    if (batch === 0) {
      batches.first = stream.packets + 1;
      batches.bytes = 0;
    }
    batches.bytes += at - start;
    stream.packets += BATCH_PACKETS;
    this.walk(start, at, batches.records + batch * BATCH_PACKETS * RECORD.size, BATCH_PACKETS);
  }

  /** Walks up to `max` pcap records from `start` on, in bytes that end at `end`; returns where it stopped. */
  walk(start: number, end: number, records: number, max: number): number {
    const { view, source } = this;
    view.setUint32(source + SOURCE.position, start, true);
    view.setUint32(source + SOURCE.end, end, true);
    view.setUint32(source + SOURCE.header, RECORD_HEADER, true);
    view.setUint32(source + SOURCE.scale, 1000, true);
    view.setBigUint64(source + SOURCE.identity, identity(LINK_ETHERNET, 1, 0, 0), true);
    this.walked = this.walker(source, this.run, records, max, NO_BOUND);
    return view.getUint32(source + SOURCE.position, true);
  }

  /** Decodes one batch; returns how many of its packets go on to tracking. */
  decode(batches: Batches, batch: number, checksums: Checksums = Checksums.IGNORE, count = BATCH_PACKETS): number {
    const { records, packets, queues } = batches;
    this.view.setBigUint64(this.lengths, 0n, true);
    this.engine.decode_batch(
      records + batch * BATCH_PACKETS * RECORD.size,
      count,
      packets + batch * BATCH_PACKETS * PACKET.size,
      checksums,
      queues + batch * BATCH_PACKETS * 2,
      this.lengths,
      this.shards,
      1,
      0,
    );
    return this.view.getUint32(this.lengths, true);
  }

  /** Decodes all batches afresh, as if no packet had been tracked yet. */
  decodeAll(batches: Batches): void {
    for (let batch = 0; batch < batches.count; batch++) {
      if (this.decode(batches, batch) !== BATCH_PACKETS) throw new Error('a generated packet was not decoded');
    }
  }

  /** Tracks the first `count` packets of a batch. */
  track(world: number, batches: Batches, batch: number, count = BATCH_PACKETS): void {
    const packets = batches.packets + batch * BATCH_PACKETS * PACKET.size;
    const queue = batches.queues + batch * BATCH_PACKETS * 2;
    const first = batches.first + batch * BATCH_PACKETS;
    const done = this.engine.track_queue(world, packets, queue, 0, count, first);
    if (done !== count) throw new Error('the table is too small for this benchmark');
  }

  /** The time of the last packet of `passing`, ns. */
  get clock(): bigint {
    return this.view.getBigUint64(this.passing.packets + (BATCH_PACKETS - 1) * PACKET.size + PACKET.clock, true);
  }

  /**
   * Lets expire what is due at `time` (ns). Events of who ends go to `area`, EVENT_AREA bytes, again and again as it fills;
   * 0: nobody wants them.
   */
  expire(world: number, time: bigint, area = 0): void {
    const low = Number(time & 0xffff_ffffn);
    const high = Number(time >> 32n);
    do {
      this.view.setUint32(world + WORLD.events, area, true);
      this.view.setUint32(world + WORLD.events_top, area, true);
      this.view.setUint32(world + WORLD.events_end, area && area + EVENT_AREA, true);
    } while (!this.engine.sweep_world(world, low, high));
    this.view.setUint32(world + WORLD.events, 0, true);
  }

  /** Entries of a firewall's table. */
  flows(world: number): number {
    return this.view.getUint32(world + WORLD.flow_count, true);
  }

  /** Remembers a firewall's table; the function that is returned brings it back. */
  snapshot(world: number): () => void {
    const field = (name: number) => this.view.getUint32(world + name, true);
    const overflow = field(WORLD.index) + field(WORLD.index_max) * INDEX_BUCKET.size;
    const timers = Math.ceil(field(WORLD.flows_end) / 64) * 64;
    const parts = [
      { at: world, bytes: WORLD.size },
      { at: field(WORLD.wheel), bytes: WHEEL_BYTES },
      { at: timers, bytes: field(WORLD.timers_top) - timers },
      { at: field(WORLD.flows), bytes: field(WORLD.flows_top) - field(WORLD.flows) },
      { at: field(WORLD.index), bytes: field(WORLD.index_count) * INDEX_BUCKET.size },
      { at: overflow, bytes: field(WORLD.overflow_top) - overflow },
    ].map(({ at, bytes }) => ({ at, saved: this.bytes.slice(at, at + bytes) }));
    const buckets = field(WORLD.index_count);
    const overflows = field(WORLD.overflow_top);
    return () => {
      // What the index has grown by holds entries that are gone.
      const index = field(WORLD.index);
      this.bytes.fill(0, index + buckets * INDEX_BUCKET.size, index + field(WORLD.index_count) * INDEX_BUCKET.size);
      this.bytes.fill(0, overflows, field(WORLD.overflow_top));
      for (const { at, saved } of parts) this.bytes.set(saved, at);
    };
  }

  /** Mean captured bytes of the packets. */
  frameBytes(batches: Batches): number {
    return batches.bytes / (batches.count * BATCH_PACKETS) - RECORD_HEADER;
  }

  private room(count: number): Batches {
    return {
      count,
      data: this.allocator.take(count * BATCH_PACKETS * (RECORD_HEADER + FRAME_MAX)),
      bytes: 0,
      records: this.allocator.take(count * BATCH_PACKETS * RECORD.size),
      packets: this.allocator.take(count * BATCH_PACKETS * PACKET.size),
      queues: this.allocator.take((count + 1) * BATCH_PACKETS * 2),
      first: 1,
    };
  }
}

/** Bytes of table for `flows` entries and a few batches more. */
export function tableBytes(flows: number): number {
  return (flows + 4 * BATCH_PACKETS) * (FLOW.size + INDEX_BUCKET.size / 2) + WHEEL_BUCKETS * TIMER_CHUNK.size;
}
