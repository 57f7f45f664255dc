// What does one thread of a run do? It decodes batches that nobody has decoded yet, reassembles fragments when it is their
// turn, and tracks lanes: of every batch, in order, the packets of some shards, with a table of their own.
//
// The main thread is one of them, the others are piscina workers. Each has a lane of its own, unless all is tracked in one, and
// takes any that waits while it has nothing else to do: what a lane knows lies in linear memory. It never touches a file.

import { Full } from '../../assembly/vocabulary.ts';
import type { DefragRegion } from '../engine/defrag.ts';
import { type EngineExports, instantiateEngine } from '../engine/engine.ts';
import { BATCH_PACKETS, CONNLIMIT_MAX, DEFRAG, HELPING, NAT, TALLY_STRANGERS, WORLD } from '../engine/layout.ts';
import { EngineError } from '../errors.ts';
import { instantiateRuleset } from '../ruleset/link.ts';
import { BATCH, type BatchPlace, CONTROL, EVENT_AREA, LEFT, LOG_AREA, type Ring, SENT_AREA } from './ring.ts';

/** What every thread of a run is made from; crosses to the workers as it is. */
export interface LanePlan {
  memory: WebAssembly.Memory;
  engine: WebAssembly.Module;
  /** Rule code per world. */
  rules: WebAssembly.Module[];
  ring: Ring;
  threads: number;
  lanes: number;
  seed: readonly [number, number];
  /** Scratch memory per thread. */
  scratch: number[];
  /** World records per lane, per world. */
  worlds: number[][];
  /** Shard table: which lane a packet belongs to (assembly/shard.ts). */
  shards: number;
  checksums: number;
  /** Reassembly, which all lanes share. */
  defrag: DefragRegion;
  /** Address of the Sights record. */
  sights: number;
}

/** What a thread does in one step. */
export type Work = 'decode' | 'reassemble' | 'track';

/** Bytes of one lane's queue in a batch. */
const QUEUE_BYTES = BATCH_PACKETS * 2;

/** Events, log records or Sent records that did not fit into their area. */
export interface Chunk {
  kind: 'events' | 'logs' | 'sent';
  batch: number;
  lane: number;
  world: number;
  bytes: Uint8Array;
}

/** Where a lane leaves its records of a batch; 0 for what is not wanted. */
type Areas = Record<Chunk['kind'], number>;

export class LaneThread {
  private readonly engine: EngineExports;
  private readonly words: Int32Array;
  private readonly u32: Uint32Array;
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly control: number;

  /** @param number of the thread, and of the lane that is its own if there is such a lane */
  constructor(
    private readonly plan: LanePlan,
    private readonly number: number,
    private readonly send: (chunk: Chunk) => void,
  ) {
    const { buffer } = plan.memory;
    this.words = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.control = plan.ring.control / 4;
    this.engine = instantiateEngine(plan.engine, plan.memory, plan.scratch[number]!, plan.seed);
    for (const module of plan.rules) instantiateRuleset(module, plan.memory, this.engine);
  }

  /** Does one thing that can be done now and says what. Undefined if there is nothing to do. */
  step(): Work | undefined {
    const { number } = this;
    const { lanes } = this.plan;
    if (number < lanes && this.trackNext(number)) return 'track';
    if (this.reassemble()) return 'reassemble';
    if (this.decodeNext()) return 'decode';
    for (let other = 1; other <= lanes; other++) {
      if (this.trackNext((number + other) % lanes)) return 'track';
    }
    return undefined;
  }

  /** Works until the run ends or is aborted. */
  run(): void {
    while (true) {
      const epoch = Atomics.load(this.words, this.control + CONTROL.EPOCH);
      if (Atomics.load(this.words, this.control + CONTROL.ABORT)) return;
      if (this.step()) continue;
      if (Atomics.load(this.words, this.control + CONTROL.END)) return;
      Atomics.wait(this.words, this.control + CONTROL.EPOCH, epoch);
    }
  }

  private publish(word: number): void {
    Atomics.add(this.words, this.control + word, 1);
    Atomics.notify(this.words, this.control + word);
  }

  /** Tracks a lane's share of the next batch, if that is ready and no other thread is at this lane. */
  private trackNext(lane: number): boolean {
    const tracked = this.control + CONTROL.TRACKED + lane;
    const turn = this.control + CONTROL.TRACK_TURN + lane;
    if (!this.isReady(Atomics.load(this.words, tracked)) || Atomics.compareExchange(this.words, turn, 0, 1) !== 0) {
      return false;
    }
    const batch = Atomics.load(this.words, tracked);
    const ready = this.isReady(batch);
    if (ready) {
      this.track(batch, lane);
      Atomics.store(this.words, tracked, batch + 1);
    }
    Atomics.store(this.words, turn, 0);
    if (ready) this.publish(CONTROL.DONE);
    // Whoever found the lane taken may be waiting.
    if (this.plan.threads > 1 && this.isReady(ready ? batch + 1 : batch)) this.publish(CONTROL.EPOCH);
    return ready;
  }

  /** Whether a batch can be tracked. */
  private isReady(batch: number): boolean {
    return batch < Atomics.load(this.words, this.control + CONTROL.DEFRAG_NEXT);
  }

  private decodeNext(): boolean {
    const next = Atomics.load(this.words, this.control + CONTROL.DECODE_NEXT);
    if (next >= Atomics.load(this.words, this.control + CONTROL.FILLED)) return false;
    const claimed = Atomics.compareExchange(this.words, this.control + CONTROL.DECODE_NEXT, next, next + 1) === next;
    if (claimed) this.decode(next);
    return true;
  }

  private decode(batch: number): void {
    const { ring, lanes, checksums, shards, sights } = this.plan;
    const slot = batch % ring.places.length;
    const place = ring.places[slot]!;
    const count = this.u32[place.header / 4 + BATCH.COUNT]!;
    this.u32.fill(0, place.lengths / 4, place.lengths / 4 + lanes + 1);
    const { records, packets, queues, lengths } = place;
    const sided = this.engine.decode_batch(
      records,
      count,
      packets[0]!,
      checksums,
      queues,
      lengths,
      shards,
      lanes,
      sights,
    );
    this.u32[place.header / 4 + BATCH.SIDED] = sided;
    Atomics.store(this.words, this.control + CONTROL.DECODED + slot, batch + 1);
    this.publish(CONTROL.EPOCH);
  }

  /**
   * Does what needs the packets of all lanes in order: tells what leaves from what arrives, and reassembles. The next batch
   * that was decoded, unless another thread is at it. True if it did.
   */
  private reassemble(): boolean {
    const turn = this.control + CONTROL.DEFRAG_TURN;
    if (!this.defragReady() || Atomics.compareExchange(this.words, turn, 0, 1) !== 0) return false;
    const ready = this.defragReady();
    if (ready) {
      const batch = Atomics.load(this.words, this.control + CONTROL.DEFRAG_NEXT);
      const place = this.plan.ring.places[batch % this.plan.ring.places.length]!;
      const count = this.u32[place.header / 4 + BATCH.COUNT]!;
      const [first, ...copies] = place.packets;
      if (this.u32[place.header / 4 + BATCH.SIDED]) {
        this.engine.match_sights(this.plan.sights, place.records, first!, count);
      }
      this.defrag(place);
      for (const copy of copies) this.engine.copy_packets(copy, first!, count);
      Atomics.store(this.words, this.control + CONTROL.DEFRAG_NEXT, batch + 1);
    }
    Atomics.store(this.words, turn, 0);
    this.publish(CONTROL.EPOCH);
    if (ready) this.publish(CONTROL.DONE);
    return ready;
  }

  private defragReady(): boolean {
    const next = Atomics.load(this.words, this.control + CONTROL.DEFRAG_NEXT);
    const slot = next % this.plan.ring.places.length;
    return Atomics.load(this.words, this.control + CONTROL.DECODED + slot) === next + 1;
  }

  private defrag(place: BatchPlace): void {
    const { defrag, lanes, checksums, shards } = this.plan;
    const header = place.header / 4;
    const set = (field: number, value: number) => {
      this.u32[(defrag.address + field) / 4] = value;
    };
    const get = (field: number) => this.u32[(defrag.address + field) / 4]!;
    this.u32[header + BATCH.ENDS_BYTES] = 0;
    const length = this.u32[place.lengths / 4 + lanes]!;
    if (length === 0 && get(DEFRAG.oldest_4) === 0 && get(DEFRAG.oldest_6) === 0) return;
    set(DEFRAG.records, place.records);
    set(DEFRAG.packets, place.packets[0]!);
    set(DEFRAG.count, this.u32[header + BATCH.COUNT]!);
    set(DEFRAG.ends, place.ends);
    set(DEFRAG.ends_end, place.ends + defrag.endsBytes);
    set(DEFRAG.checksums, checksums);
    set(DEFRAG.queues, place.queues);
    set(DEFRAG.lengths, place.lengths);
    set(DEFRAG.shards, shards);
    const clockLow = this.u32[header + BATCH.CLOCK_LOW]!;
    const clockHigh = this.u32[header + BATCH.CLOCK_HIGH]!;
    this.engine.defrag_batch(defrag.address, place.queues + lanes * QUEUE_BYTES, length, clockLow, clockHigh);
    this.u32[header + BATCH.ENDS_BYTES] = get(DEFRAG.ends) - place.ends;
  }

  private track(batch: number, lane: number): void {
    const place = this.plan.ring.places[batch % this.plan.ring.places.length]!;
    const first = this.view.getFloat64(place.header + BATCH.FIRST * 4, true);
    const length = this.u32[place.lengths / 4 + lane]!;
    const queue = place.queues + lane * QUEUE_BYTES;
    const clockLow = this.u32[place.header / 4 + BATCH.CLOCK_LOW]!;
    const clockHigh = this.u32[place.header / 4 + BATCH.CLOCK_HIGH]!;
    this.plan.worlds[lane]!.forEach((world, number) => {
      const left = place.left[lane]![number]! / 4;
      const areas = {
        events: place.events[lane]![number]!,
        logs: place.logs[lane]![number]!,
        sent: place.sent[lane]![number]!,
      };
      const share = { batch, lane, world: number };
      this.u32.fill(0, left, left + LEFT.WORDS);
      this.u32[left + LEFT.FLOWS] = this.u32[(world + WORLD.flow_count) / 4]!;
      const helping = this.u32[(world + WORLD.helping) / 4]!;
      if (helping) this.u32[left + LEFT.EXPECTED] = this.helped(helping, 'count') - this.helped(helping, 'made');
      const before = this.strangers(world);
      this.openAreas(world, areas);
      const nat = this.u32[(world + WORLD.nat) / 4]!;
      if (nat) {
        this.u32[(nat + NAT.packets) / 4] = place.packets[number]!;
        this.u32[(nat + NAT.translations) / 4] = place.translations[number]!;
      }
      let from = 0;
      while (true) {
        from = this.engine.track_queue(world, place.packets[number]!, queue, from, length, first);
        this.checkTable(world);
        if (from === length) break;
        this.sendAreas(world, share, left, areas);
      }
      while (!this.engine.sweep_world(world, clockLow, clockHigh)) this.sendAreas(world, share, left, areas);
      this.u32[left + LEFT.EVENT_BYTES] = this.u32[(world + WORLD.events_top) / 4]! - areas.events;
      this.u32[left + LEFT.LOG_BYTES] = this.u32[(world + WORLD.logs_top) / 4]! - areas.logs;
      this.u32[left + LEFT.SENT_BYTES] = this.u32[(world + WORLD.sent_top) / 4]! - areas.sent;
      this.u32[left + LEFT.STRANGERS] = this.strangers(world) - before;
      if (!helping) return;
      this.u32[left + LEFT.EXPECTED]! += this.helped(helping, 'made');
      this.u32[left + LEFT.BEYOND] = this.helped(helping, 'beyond');
    });
  }

  /** Packets without an entry that a lane has counted so far: differences are exact. */
  private strangers(world: number): number {
    const tally = this.u32[(world + WORLD.tally) / 4]!;
    return tally && this.u32[(tally + TALLY_STRANGERS) / 4]!;
  }

  private helped(helping: number, count: 'count' | 'made' | 'beyond'): number {
    return this.u32[(helping + HELPING[count]) / 4]!;
  }

  private openAreas(world: number, { events, logs, sent }: Areas): void {
    this.u32[(world + WORLD.events) / 4] = events;
    this.u32[(world + WORLD.events_top) / 4] = events;
    this.u32[(world + WORLD.events_end) / 4] = events && events + EVENT_AREA;
    this.u32[(world + WORLD.logs) / 4] = logs;
    this.u32[(world + WORLD.logs_top) / 4] = logs;
    this.u32[(world + WORLD.logs_end) / 4] = logs && logs + LOG_AREA;
    this.u32[(world + WORLD.sent) / 4] = sent;
    this.u32[(world + WORLD.sent_top) / 4] = sent;
    this.u32[(world + WORLD.sent_end) / 4] = sent && sent + SENT_AREA;
  }

  /** Sends what the areas hold to the main thread and empties them. */
  private sendAreas(world: number, share: Omit<Chunk, 'kind' | 'bytes'>, left: number, areas: Areas): void {
    const send = (kind: Chunk['kind'], top: number, count: number) => {
      const start = areas[kind];
      if (start === 0) return;
      this.send({ kind, ...share, bytes: this.bytes.slice(start, this.u32[(world + top) / 4]!) });
      this.u32[left + count]! += 1;
    };
    send('events', WORLD.events_top, LEFT.EVENT_CHUNKS);
    send('logs', WORLD.logs_top, LEFT.LOG_CHUNKS);
    send('sent', WORLD.sent_top, LEFT.SENT_CHUNKS);
    this.openAreas(world, areas);
  }

  private checkTable(world: number): void {
    const full = this.u32[(world + WORLD.table_full) / 4];
    if (full === Full.CONNLIMIT) {
      throw new EngineError(
        'table-full',
        `rules with -m connlimit count more than ${CONNLIMIT_MAX} connections at once`,
      );
    }
    if (full === Full.NONE) return;
    const flows = this.u32[(world + WORLD.flow_count) / 4]!;
    throw new EngineError(
      'table-full',
      `the connection table is full: ${flows} flows in one of ${this.plan.lanes} lanes, which share 4 GiB; ` +
        `${this.plan.lanes > 1 ? 'give all of it to one lane (--workers 1), ' : ''}hold no more entries than the host does ` +
        '(--sysctl net.netfilter.nf_conntrack_max=N), or let several runs replay a part of the addresses each',
    );
  }
}
