// How does a test drive the compiled engine? Opens a build of it, makes worlds without rules (connection tracking is
// the only step), feeds frames, and gives packets, entries and events back as plain objects (engine-records.ts).
//
// Every area the engine may write to lies between canaries; checkCanaries() tells whether one was touched.

import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { fileURLToPath } from 'node:url';
import { Checksums, Hook, Reason, StepKind, Sysctl } from '../../assembly/vocabulary.ts';
import { layOutDefrag } from '../../src/engine/defrag.ts';
import {
  compileEngine,
  type EngineBuild,
  type EngineExports,
  instantiateEngine,
  SCRATCH_BYTES,
  SHARD_TABLE_BYTES,
  unsigned,
  WHEEL_BYTES,
} from '../../src/engine/engine.ts';
import {
  ACCOUNT_SHORT,
  BATCH_PACKETS,
  DEFRAG,
  EVENT,
  FLOW,
  FLOW_SHORT,
  FRAGMENT_END,
  PACKET,
  RECORD,
  STEP,
  STEPS_MAX,
  WORLD,
} from '../../src/engine/layout.ts';
import { createMemory } from '../../src/engine/memory.ts';
import { buildIndex, buildPool, UNCONFIRMED_BYTES } from '../../src/engine/world.ts';
import { type EventView, type PacketView, Records } from './engine-records.ts';

export type { EventView, PacketView, TupleView } from './engine-records.ts';

export const BUILDS: readonly EngineBuild[] = ['debug', 'release'];

export const SECOND = 1_000_000_000n;

/** Kernel defaults in seconds or as they are (nf_conntrack_proto_*.c), forwarding and accounting aside. */
const SYSCTL_DEFAULTS: Record<Exclude<keyof typeof Sysctl, 'COUNT'>, number> = {
  TCP_TIMEOUT_NONE: 0,
  TCP_TIMEOUT_SYN_SENT: 120,
  TCP_TIMEOUT_SYN_RECV: 60,
  TCP_TIMEOUT_ESTABLISHED: 432000,
  TCP_TIMEOUT_FIN_WAIT: 120,
  TCP_TIMEOUT_CLOSE_WAIT: 60,
  TCP_TIMEOUT_LAST_ACK: 30,
  TCP_TIMEOUT_TIME_WAIT: 120,
  TCP_TIMEOUT_CLOSE: 10,
  TCP_TIMEOUT_SYN_SENT2: 120,
  TCP_TIMEOUT_MAX_RETRANS: 300,
  TCP_TIMEOUT_UNACKNOWLEDGED: 300,
  UDP_TIMEOUT: 30,
  UDP_TIMEOUT_STREAM: 120,
  ICMP_TIMEOUT: 30,
  ICMPV6_TIMEOUT: 30,
  GENERIC_TIMEOUT: 600,
  TCP_LOOSE: 1,
  TCP_BE_LIBERAL: 0,
  TCP_IGNORE_INVALID_RST: 0,
  TCP_MAX_RETRANS: 3,
  CHECKSUM: 1,
  ACCT: 0,
  TIMESTAMP: 0,
  MAX: 262144,
  BUCKETS: 262_144,
  IP_FORWARD: 1,
  IPV6_FORWARDING: 1,
  SCTP_TIMEOUT_NONE: 0,
  SCTP_TIMEOUT_CLOSED: 10,
  SCTP_TIMEOUT_COOKIE_WAIT: 3,
  SCTP_TIMEOUT_COOKIE_ECHOED: 3,
  SCTP_TIMEOUT_ESTABLISHED: 210,
  SCTP_TIMEOUT_SHUTDOWN_SENT: 3,
  SCTP_TIMEOUT_SHUTDOWN_RECD: 3,
  SCTP_TIMEOUT_SHUTDOWN_ACK_SENT: 3,
  SCTP_TIMEOUT_HEARTBEAT_SENT: 30,
  GRE_TIMEOUT: 30,
  GRE_TIMEOUT_STREAM: 180,
  IPFRAG_TIME: 30,
  IPFRAG_HIGH_THRESH: 4 << 20,
  IPFRAG_MAX_DIST: 64,
  FRAG6_TIMEOUT: 60,
  FRAG6_HIGH_THRESH: 4 << 20,
  EXPECT_MAX: 4096,
  HELPER: 0,
};

export type SysctlName = keyof typeof SYSCTL_DEFAULTS;
export type Sysctls = Record<SysctlName, number>;

/** All sysctls, those given instead of the kernel's defaults. */
export const sysctlsWith = (changes: Partial<Sysctls> = {}): Sysctls => ({ ...SYSCTL_DEFAULTS, ...changes });

/** A captured frame. `data` holds the captured bytes, link header included. */
export interface Frame {
  /** Nanoseconds since 1970. */
  time: bigint;
  data: Uint8Array;
  /** Length on the wire; default: as captured. */
  length?: number;
  /** LINKTYPE_*; default 101, raw IP. */
  link?: number;
  /** Bytes of frame check sequence within the length on the wire. */
  fcs?: number;
}

const CANARY = 0xa5;
const CANARY_BYTES = 256;
/** Below this address lies the engine's static data. */
const STATIC_END = 65536;
const ARENA_BYTES = 8 << 20;
/** Bytes between frames in the arena: what lies there must not matter. */
const FRAME_GAP = 64;

/** Which source line a trap or failed assertion of the engine comes from, as far as the build's source map knows. */
function explain(error: unknown, build: EngineBuild): Error {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const frames = [...stack.matchAll(/at (.*?) \(?wasm:\/\/[^)\s]*:wasm-function\[\d+\]:0x([0-9a-f]+)/g)];
  const file = fileURLToPath(new URL(`../../build/engine/${build}.wasm.map`, import.meta.url));
  let map: SourceMap | undefined;
  try {
    map = new SourceMap(JSON.parse(readFileSync(file, 'utf8')) as SourceMapPayload);
  } catch {
    // The release build has none: function names have to do.
  }
  const places = frames.slice(0, 6).map(([, name, offset]) => {
    const entry = map?.findEntry(0, Number.parseInt(offset!, 16));
    const known = entry && 'originalSource' in entry && entry.originalSource;
    return known ? `${name} (${entry.originalSource}:${entry.originalLine + 1})` : `${name} (+0x${offset})`;
  });
  const message = error instanceof Error ? error.message : String(error);
  return new Error([`engine (${build}): ${message}`, ...places].join('\n  in '), { cause: error });
}

export interface EngineOptions {
  build?: EngineBuild;
  /** Seed of the hash. */
  seed?: readonly [number, number];
}

/** Frames that were decoded: one lane's queue, and behind it that of fragments. */
export interface DecodedBatch {
  count: number;
  records: number;
  packets: number;
  starts: number[];
  queue: number;
  lengths: number;
  shards: number;
  /** Packets that go on to tracking, and fragments that wait for reassembly. */
  length: number;
  fragments: number;
  clock: bigint;
}

/** An instance of the engine over a memory of its own. */
export class TestEngine extends Records {
  readonly memory: WebAssembly.Memory;
  readonly exports: EngineExports;
  private top = STATIC_END;
  private readonly canaries: number[] = [];
  private readonly records: number;
  private readonly packets: number;
  private readonly queue: number;
  private readonly lengths: number;
  private readonly shards: number;
  private readonly arena: number;
  private readonly base: { top: number; canaries: number };

  constructor(
    module: WebAssembly.Module,
    readonly build: EngineBuild,
    seed: readonly [number, number],
  ) {
    const memory = createMemory();
    super(memory);
    this.memory = memory;
    this.exports = instantiateEngine(module, memory, this.take(SCRATCH_BYTES), seed);
    this.records = this.take(BATCH_PACKETS * RECORD.size);
    this.packets = this.take(BATCH_PACKETS * PACKET.size);
    this.queue = this.take(BATCH_PACKETS * 2 * 2);
    this.lengths = this.take(4 * 2);
    this.shards = this.take(SHARD_TABLE_BYTES);
    this.arena = this.take(ARENA_BYTES);
    this.base = { top: this.top, canaries: this.canaries.length };
  }

  /** Memory between canaries, zeroed. */
  take(bytes: number, align = 64): number {
    const at = Math.ceil((this.top + CANARY_BYTES) / align) * align;
    this.bytes.fill(CANARY, at - CANARY_BYTES, at);
    this.bytes.fill(CANARY, at + bytes, at + bytes + CANARY_BYTES);
    this.canaries.push(at - CANARY_BYTES, at + bytes);
    this.top = at + bytes + CANARY_BYTES;
    return at;
  }

  /** Takes back the memory of all worlds: they must not be used any more. */
  reset(): void {
    this.bytes.fill(0, this.base.top, this.top);
    this.top = this.base.top;
    this.canaries.length = this.base.canaries;
  }

  /** Throws if anything was written outside the areas that were handed out. */
  checkCanaries(): void {
    for (const at of this.canaries) {
      for (let i = at; i < at + CANARY_BYTES; i++) {
        if (this.bytes[i] !== CANARY) throw new Error(`the engine wrote to ${i}, outside its areas (canary at ${at})`);
      }
    }
  }

  /** Calls the engine; traps and failed assertions say where they come from. */
  call<T>(body: (exports: EngineExports) => T): T {
    try {
      return body(this.exports);
    } catch (error) {
      throw explain(error, this.build);
    }
  }

  world(options: WorldOptions = {}): TestWorld {
    return new TestWorld(this, options);
  }

  /**
   * Decodes at most BATCH_PACKETS frames. `number` of the first, `clock` (greatest time before), and the byte that
   * fills the arena around the frames. Returns the packets' addresses and which of them go on to tracking.
   */
  decodeBatch(
    frames: readonly Frame[],
    { number = 1, clock = 0n, checksums = Checksums.IGNORE as number, filler = 0 } = {},
  ): DecodedBatch {
    let at = this.arena + FRAME_GAP;
    let now = clock;
    const starts: number[] = [];
    frames.forEach((frame, i) => {
      const record = this.records + i * RECORD.size;
      if (at + frame.data.length + FRAME_GAP > this.arena + ARENA_BYTES) throw new Error('frames do not fit the arena');
      this.bytes.fill(filler, at - FRAME_GAP, at);
      this.bytes.set(frame.data, at);
      this.bytes.fill(filler, at + frame.data.length, at + frame.data.length + FRAME_GAP);
      if (frame.time > now) now = frame.time;
      this.bytes.fill(0, record, record + RECORD.size);
      this.view.setBigUint64(record + RECORD.ts, frame.time, true);
      this.view.setBigUint64(record + RECORD.clock, now, true);
      this.view.setUint32(record + RECORD.data, at, true);
      this.view.setUint32(record + RECORD.caplen, frame.data.length, true);
      this.view.setUint32(record + RECORD.len, frame.length ?? frame.data.length, true);
      this.view.setUint32(record + RECORD.n, number + i, true);
      this.view.setUint16(record + RECORD.link, frame.link ?? 101, true);
      this.view.setUint16(record + RECORD.file, 1, true);
      this.view.setUint8(record + RECORD.fcs, frame.fcs ?? 0);
      this.view.setBigUint64(record + RECORD.number, BigInt(number + i), true);
      starts.push(at);
      at += frame.data.length + FRAME_GAP;
    });
    this.view.setBigUint64(this.lengths, 0n, true);
    this.call((e) =>
      e.decode_batch(this.records, frames.length, this.packets, checksums, this.queue, this.lengths, this.shards, 1, 0),
    );
    const { records, packets, queue, lengths, shards } = this;
    const length = this.view.getUint32(lengths, true);
    const fragments = this.view.getUint32(lengths + 4, true);
    return { count: frames.length, records, packets, starts, queue, lengths, shards, length, fragments, clock: now };
  }

  /** Decodes frames without tracking them. `queued`: it goes on to tracking. */
  decode(
    frames: readonly Frame[],
    options: { checksums?: Checksums; filler?: number } = {},
  ): (PacketView & { queued: boolean })[] {
    const batch = this.decodeBatch(frames, options);
    const queued = new Set<number>();
    for (let i = 0; i < batch.length; i++) queued.add(this.view.getUint16(batch.queue + i * 2, true));
    return batch.starts.map((start, i) => ({
      ...this.packet(batch.packets + i * PACKET.size, start),
      queued: queued.has(i),
    }));
  }

  /** The IP packet that the i-th record of the last batch stands for, as far as it was captured. */
  ipBytes(i: number): Uint8Array {
    const at = this.packets + i * PACKET.size;
    const u32 = (field: number) => this.view.getUint32(at + field, true);
    const end = u32(PACKET.l4) ? u32(PACKET.l4) + u32(PACKET.l4_captured) : u32(PACKET.l3) + u32(PACKET.ip_len);
    return this.bytes.slice(u32(PACKET.l3), end);
  }
}

const modules = new Map<EngineBuild, Promise<WebAssembly.Module>>();

/** Opens the debug build, or the one that is asked for. */
export async function openEngine({ build = 'debug', seed = [1, 2] }: EngineOptions = {}): Promise<TestEngine> {
  let module = modules.get(build);
  if (!module) {
    module = compileEngine(build);
    modules.set(build, module);
  }
  return new TestEngine(await module, build, seed);
}

/** A queued fragment, by number, and the packet that decided what became of it. */
export interface FragmentEndView {
  n: number;
  by: number;
  /** NONE: it is part of packet `by`. */
  reason: keyof typeof Reason;
}

export interface WorldOptions {
  sysctls?: Partial<Sysctls>;
  /** Most entries of the table; default 4,096. */
  flows?: number;
  /** Bytes of an entry; default FLOW_SHORT. */
  flowBytes?: number;
  /** Buckets of the index at first (a power of two) and at most, and overflow buckets; default 16, 2,048 and 512. */
  index?: { first: number; buckets: number; overflows: number };
  /** Events that the area has room for; default 256. */
  events?: number;
  checksums?: Checksums;
  /** Byte that lies before and behind each frame in memory. */
  filler?: number;
}

const HOOKS = 5;

/** A world without rules and topology: every packet is forwarded. */
export class TestWorld {
  readonly at: number;
  readonly sysctls: Sysctls;
  private readonly taken: EventView[] = [];
  private readonly eventsStart: number;
  private readonly eventsEnd: number;
  private readonly describe: number;
  private readonly checksums: Checksums;
  private readonly filler: number;
  /** Reassembly of this world's own; and what became of fragments since the last takeEnds(). */
  private defrag: { address: number; ends: number; endsBytes: number } | undefined;
  private readonly fragmentEnds: FragmentEndView[] = [];
  private number = 1;
  private clock = 0n;
  /** How often the event area was emptied because it was full. */
  spills = 0;

  constructor(
    readonly engine: TestEngine,
    {
      sysctls,
      flows = 4096,
      index = { first: 16, buckets: 2048, overflows: 512 },
      flowBytes = FLOW_SHORT,
      events = 256,
      checksums = Checksums.IGNORE,
      filler = 0,
    }: WorldOptions,
  ) {
    this.sysctls = sysctlsWith(sysctls);
    this.checksums = checksums;
    this.filler = filler;
    this.at = engine.take(WORLD.size);
    const values = engine.take(Sysctl.COUNT * 4);
    for (const [name, value] of Object.entries(this.sysctls)) {
      engine.view.setUint32(values + Sysctl[name as SysctlName] * 4, value, true);
    }
    const steps = engine.take(2 * HOOKS * STEPS_MAX * STEP.size);
    for (const family of [0, 1]) {
      for (const hook of [Hook.PREROUTING, Hook.OUTPUT]) {
        engine.view.setUint32(
          steps + (family * HOOKS + hook) * STEPS_MAX * STEP.size + STEP.kind,
          StepKind.CONNTRACK,
          true,
        );
      }
    }
    const accounting = this.sysctls.ACCT !== 0 || this.sysctls.TIMESTAMP !== 0;
    this.eventsStart = engine.take(events * EVENT.size);
    this.eventsEnd = this.eventsStart + events * EVENT.size;
    this.describe = engine.take(EVENT.size);
    this.set(WORLD.sysctls, values);
    this.set(WORLD.steps, steps);
    this.set(WORLD.wheel, engine.take(WHEEL_BYTES));
    this.set(WORLD.unconfirmed, engine.take(UNCONFIRMED_BYTES));
    buildPool(engine.view, this.at, engine, flows, flowBytes);
    this.set(WORLD.accounts, accounting ? engine.take(flows * ACCOUNT_SHORT) : 0);
    this.set(WORLD.account_bytes, ACCOUNT_SHORT);
    buildIndex(engine.view, this.at, engine, index);
    this.set(WORLD.index_count, index.first);
    this.set(WORLD.index_mask, index.first * 2 - 1);
    this.set(WORLD.events, this.eventsStart);
    this.set(WORLD.events_top, this.eventsStart);
    this.set(WORLD.events_end, this.eventsEnd);
  }

  set(field: number, value: number): void {
    this.engine.view.setUint32(this.at + field, value, true);
  }

  get(field: number): number {
    return this.engine.view.getUint32(this.at + field, true);
  }

  /** Decodes and judges frames as one batch, then lets expire what is due (unless `sweep` is false). */
  feed(frames: readonly Frame[], { sweep = true } = {}): PacketView[] {
    if (frames.length === 0) return [];
    const { engine } = this;
    const first = this.number;
    const { clock, checksums, filler } = this;
    const batch = engine.decodeBatch(frames, { number: first, clock, checksums, filler });
    this.number += frames.length;
    this.clock = batch.clock;
    if (batch.fragments || this.defrag) this.reassemble(batch);
    const length = engine.view.getUint32(batch.lengths, true);
    let from = 0;
    while (from < length) {
      const stopped = engine.call((e) => e.track_queue(this.at, batch.packets, batch.queue, from, length, first));
      if (this.get(WORLD.table_full)) throw new Error('the table is full');
      if (stopped < length) this.spill(stopped > from);
      from = stopped;
    }
    if (sweep) this.sweep(this.clock);
    return batch.starts.map((start, i) => engine.packet(batch.packets + i * PACKET.size, start));
  }

  private reassemble(batch: DecodedBatch): void {
    const { engine } = this;
    if (!this.defrag) {
      const sysctls = new Uint32Array(Sysctl.COUNT);
      for (const [name, value] of Object.entries(this.sysctls)) sysctls[Sysctl[name as SysctlName]] = value;
      const region = layOutDefrag(engine.memory, engine, sysctls, 1);
      this.defrag = { ...region, ends: engine.take(region.endsBytes) };
    }
    const { address, ends, endsBytes } = this.defrag;
    const set = (field: number, value: number) => engine.view.setUint32(address + field, value, true);
    set(DEFRAG.records, batch.records);
    set(DEFRAG.packets, batch.packets);
    set(DEFRAG.count, batch.count);
    set(DEFRAG.ends, ends);
    set(DEFRAG.ends_end, ends + endsBytes);
    set(DEFRAG.checksums, this.checksums);
    set(DEFRAG.queues, batch.queue);
    set(DEFRAG.lengths, batch.lengths);
    set(DEFRAG.shards, batch.shards);
    const [low, high] = words(batch.clock);
    engine.call((e) => e.defrag_batch(address, batch.queue + BATCH_PACKETS * 2, batch.fragments, low, high));
    const top = engine.view.getUint32(address + DEFRAG.ends, true);
    for (let at = ends; at < top; at += FRAGMENT_END.size) {
      const by = engine.view.getUint32(at + FRAGMENT_END.by, true) + this.number - batch.count;
      const reason = Reason[engine.view.getUint32(at + FRAGMENT_END.reason, true)] as keyof typeof Reason;
      this.fragmentEnds.push({ n: Number(engine.view.getBigUint64(at + FRAGMENT_END.number, true)), by, reason });
    }
  }

  /** What became of fragments since the last call, in the order in which it was decided. */
  takeEnds(): FragmentEndView[] {
    return this.fragmentEnds.splice(0);
  }

  /** A number of the Defrag record. */
  defragState(field: number): number {
    return this.defrag ? this.engine.view.getUint32(this.defrag.address + field, true) : 0;
  }

  /** Judges one frame. */
  one(frame: Frame): PacketView {
    return this.feed([frame])[0]!;
  }

  /** Lets expire what is due at `time` (ns). */
  sweep(time: bigint): void {
    const [low, high] = words(time);
    for (let calls = 0; !this.engine.call((e) => e.sweep_world(this.at, low, high)); calls++) {
      this.spill(calls < 1_000_000);
    }
  }

  private spill(progress: boolean): void {
    if (this.get(WORLD.events_top) === this.eventsStart && !progress) throw new Error('the engine makes no progress');
    this.spills++;
    this.drain();
  }

  private drain(): void {
    const top = this.get(WORLD.events_top);
    if (top > this.eventsEnd) throw new Error('events were written behind their area');
    for (let at = this.eventsStart; at < top; at += EVENT.size) this.taken.push(this.engine.event(at));
    this.set(WORLD.events_top, this.eventsStart);
  }

  /** Events since the last call, in the order of their output: by time, then expiries before packets. */
  takeEvents(): EventView[] {
    this.drain();
    const events = this.taken.splice(0);
    const by = (a: number | bigint, b: number | bigint) => (a < b ? -1 : a > b ? 1 : 0);
    return events.sort(
      (a, b) => by(a.time, b.time) || a.klass - b.klass || a.order - b.order || a.sequence - b.sequence,
    );
  }

  /** Entries as they are at `time`, in order of creation; those that expired unnoticed are left out. */
  table(time: bigint = this.clock): EventView[] {
    const [low, high] = words(time);
    const entries: EventView[] = [];
    let flow = unsigned(this.engine.call((e) => e.next_flow(this.at, this.get(WORLD.flows))));
    while (flow) {
      this.engine.call((e) => e.describe_flow(this.at, flow, this.describe, low, high));
      if (this.engine.view.getBigUint64(flow + FLOW.expires, true) > time) {
        entries.push(this.engine.event(this.describe));
      }
      const next = flow + this.get(WORLD.flow_bytes);
      flow = unsigned(this.engine.call((e) => e.next_flow(this.at, next)));
    }
    return entries.sort((a, b) => a.id - b.id);
  }

  /** Confirmed entries, those included that expired and were not found out yet. */
  get flowCount(): number {
    return this.get(WORLD.flow_count);
  }
}

function words(time: bigint): [number, number] {
  return [Number(time & 0xffffffffn), Number(time >> 32n)];
}
