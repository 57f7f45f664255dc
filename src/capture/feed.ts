// In which order do the packets of several captures reach the engine, and through whose memory?
//
// Captures wait, ordered by the time of their first packet, and are opened when the replay gets there: a rotation of a
// thousand files holds one of them open at a time. While one capture is alone it is read straight into the caller's
// batch; while several overlap, each has a staging buffer and the walker copies packets out in the order of time.
import { BATCH_BYTES, RECORD } from '../engine/layout.ts';
import { CaptureError, EngineError, UsageError } from '../errors.ts';
import type { InterfaceNames } from './interfaces.ts';
import { type CaptureFile, CaptureReader, type CaptureSpec } from './reader.ts';
import { Arena, type CaptureArea, NO_BOUND, OVERLAP_MAX, RUN, STOP, type Walker } from './walker.ts';

/** Where one batch goes: addresses in linear memory. */
export interface BatchTarget {
  /** Capture bytes: from `data`, `dataBytes` of them, at least 640 KiB. */
  data: number;
  dataBytes: number;
  /** Record[capacity] */
  records: number;
  capacity: number;
}

/** Captures that one run can have: Record.file has 16 bits. */
const FILES_MAX = 0xffff;
/** Room for any record, and the least that is read once one did not fit. */
const ROOM_MIN = 0xa0000;
/** The least that is read ahead. */
const READ_LEAST = 4096;

/** Read at a time into one staging buffer, and into all of them together. */
const STAGE_MIN = 0x8000;
const STAGE_MAX = 0x60000;
const STAGE_TOTAL = 0x800000;

/** A capture whose turn has not come: `first` is the time of its first packet. */
interface Waiting {
  index: number;
  first: bigint;
  /** Standard input and named pipes stay open. */
  reader?: CaptureReader;
  /** What is wrong with its first packet. */
  failure?: unknown;
}

export class CaptureFeed {
  /** One per capture, in command-line order. */
  readonly files: readonly CaptureFile[];
  /** Bytes of all captures on disk, undefined when one of them has no end yet. */
  bytesTotal: number | undefined = 0;
  private readonly waiting: Waiting[] = [];
  /** Open captures in command-line order. */
  private readonly active: CaptureReader[] = [];
  private failure: unknown;
  private failed = false;
  private stopped = false;
  private bytesDone = 0;
  /** Records of the batch in work. */
  private count = 0;
  /** Bytes of capture per packet, for reading as much as one batch will use. */
  private packetBytes = 256;

  private constructor(
    private readonly specs: readonly CaptureSpec[],
    private readonly arena: Arena,
    private readonly names: InterfaceNames,
  ) {
    this.files = specs.map(({ path }, index) => ({
      path,
      file: index + 1,
      format: undefined,
      gzip: false,
      packets: 0,
      links: [],
    }));
  }

  /**
   * Opens captures for replay: reads the header and the first time stamp of each.
   * @param specs in command-line order; `-` at most once, and then from the main thread
   * @param memory the shared memory that `walker` works on
   * @param walker the engine's exports
   * @param names numbered as interfaces are met
   * @param area memory of the feed's own, captureAreaBytes(specs.length) bytes
   * @throws CaptureError when a capture cannot be opened, is none, or has no link type that is supported
   */
  static async open(
    specs: readonly CaptureSpec[],
    memory: { readonly buffer: ArrayBufferLike },
    walker: Walker,
    names: InterfaceNames,
    area: CaptureArea,
  ): Promise<CaptureFeed> {
    if (specs.length > FILES_MAX)
      throw new UsageError('usage-captures', `${specs.length} captures are too many (${FILES_MAX})`);
    if (specs.filter(({ path }) => path === '-').length > 1) {
      throw new UsageError('usage-captures', 'standard input (-) can be given once');
    }
    const feed = new CaptureFeed(specs, new Arena(memory, walker, area), names);
    try {
      for (let index = 0; index < specs.length; index++) await feed.look(index);
    } catch (error) {
      await feed.close();
      throw error;
    }
    feed.waiting.sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : a.index - b.index));
    feed.arena.bytes.fill(0, feed.arena.run, feed.arena.run + RUN.size);
    return feed;
  }

  /** All captures are plain files: reading them again gives the same batches. */
  seekable = true;

  /** Bytes of the captures read so far, as they lie on disk. */
  get bytesRead(): number {
    return this.active.reduce((sum, { source }) => sum + source.bytesRead, this.bytesDone);
  }

  /**
   * Fills one batch: packet bytes anywhere in the target's data, Records in replay order. Returns their number, 0 when
   * everything was delivered. The target of the call before may still be read, never written, during this one.
   * @throws CaptureError when a capture is wrong or cut; everything before that was delivered by earlier calls
   */
  async next(target: BatchTarget): Promise<number> {
    if (target.dataBytes < ROOM_MIN || target.capacity < 1) {
      throw new EngineError('engine-batch', `a batch has to have room for ${ROOM_MIN} bytes (${BATCH_BYTES} is usual)`);
    }
    this.count = 0;
    if (!this.failed) {
      try {
        await this.batch(target);
      } catch (error) {
        this.failed = !this.stopped;
        this.failure = error;
      }
      for (const reader of this.active) reader.account();
    }
    if (this.count === 0 && this.failed) throw this.failure;
    return this.count;
  }

  /** Makes this and every later `next` return what it has, without waiting for more. */
  stop(): void {
    this.stopped = true;
    for (const { source } of this.active) source.abort();
    for (const { reader } of this.waiting) reader?.source.abort();
  }

  /** Closes everything that is open. Not while a `next` is under way, unless `stop` was called. */
  async close(): Promise<void> {
    this.stopped = true;
    const open = [...this.active, ...this.waiting.flatMap(({ reader }) => reader ?? [])];
    this.active.length = 0;
    this.waiting.length = 0;
    for (const reader of open) await this.release(reader);
  }

  /** Reads a capture's header and the time of its first packet. */
  private async look(index: number): Promise<void> {
    const reader = await this.openReader(index);
    const { rewindable, seekable, size } = reader.source;
    this.seekable &&= seekable;
    this.bytesTotal = size === undefined || this.bytesTotal === undefined ? undefined : this.bytesTotal + size;
    let waiting: Waiting | undefined;
    try {
      waiting = await firstPacket(index, reader);
    } catch (error) {
      await this.release(reader);
      throw error;
    }
    if (waiting === undefined) this.bytesDone += size ?? 0;
    else this.waiting.push(waiting);
    if (waiting !== undefined && waiting.failure === undefined && !rewindable) waiting.reader = reader;
    else await this.release(reader);
  }

  private async openReader(index: number): Promise<CaptureReader> {
    const spec = this.specs[index];
    const info = this.files[index];
    if (spec === undefined || info === undefined) throw new EngineError('engine-capture', `no capture ${index}`);
    const slot = this.arena.acquire();
    if (slot === undefined) {
      throw new CaptureError('capture-overlap', `more than ${OVERLAP_MAX} captures overlap in time`, {
        file: spec.path,
      });
    }
    try {
      return await CaptureReader.open(this.arena, slot, spec, info, this.names);
    } catch (error) {
      this.arena.release(slot);
      throw error;
    }
  }

  private async release(reader: CaptureReader): Promise<void> {
    await reader.close();
    this.arena.release(reader.place);
  }

  /** The reader has nothing more. */
  private async end(reader: CaptureReader): Promise<void> {
    reader.account();
    this.active.splice(this.active.indexOf(reader), 1);
    this.bytesDone += reader.source.bytesRead;
    await this.release(reader);
  }

  /** Opens the capture that waits for the earliest time. */
  private async activate(): Promise<void> {
    const waiting = this.waiting.shift();
    if (waiting === undefined) return;
    if (waiting.failure !== undefined) throw waiting.failure;
    const reader = waiting.reader ?? (await this.openReader(waiting.index));
    const place = this.active.findIndex(({ info }) => info.file > reader.info.file);
    this.active.splice(place < 0 ? this.active.length : place, 0, reader);
  }

  /** Time at which the next capture has to be opened. */
  private get due(): bigint {
    return this.waiting[0]?.first ?? NO_BOUND;
  }

  /** A capture that is alone is read in place if it can be left again, or never has to be. */
  private get alone(): CaptureReader | undefined {
    const [reader] = this.active;
    if (reader === undefined || this.active.length > 1) return undefined;
    return reader.source.seekable || this.specs.length === 1 ? reader : undefined;
  }

  /** Bytes to read at a time into each staging buffer: the more captures are merged, the less of each. */
  private get stageBytes(): number {
    return Math.min(STAGE_MAX, Math.max(STAGE_MIN, Math.floor(STAGE_TOTAL / this.active.length)));
  }

  private async batch(target: BatchTarget): Promise<void> {
    while (this.count === 0 && !this.stopped) {
      if (this.active.length === 0) {
        if (this.waiting.length === 0) return;
        await this.activate();
      }
      const { alone } = this;
      if (alone !== undefined) await this.direct(alone, target);
      else await this.merged(target);
    }
  }

  /** Reads one capture into the batch's own memory and walks it there. */
  private async direct(reader: CaptureReader, target: BatchTarget): Promise<void> {
    const { arena } = this;
    const limit = target.data + target.dataBytes;
    arena.view.setUint32(arena.run + RUN.copy, 0, true);
    reader.moveTo(target.data);
    const start = reader.offset;
    const want = Math.min(Math.ceil(this.packetBytes * target.capacity), target.dataBytes) - reader.unread;
    let more = true;
    let failure: unknown;
    // What a stream gave already is not held back until more arrives.
    if (want > 0 && (reader.source.seekable || reader.unread === 0)) {
      try {
        more = await reader.fill(limit, Math.max(want, READ_LEAST));
      } catch (error) {
        failure = error;
        more = false;
      }
    }
    while (!this.stopped) {
      this.count += reader.walk(target.records + this.count * RECORD.size, target.capacity - this.count, this.due);
      const { stop } = reader;
      if (stop === STOP.FULL || stop === STOP.BOUND) break;
      if (reader.handle()) continue;
      if (this.count > 0) break;
      if (!more) {
        if (failure !== undefined) throw failure;
        reader.finish();
        await this.end(reader);
        return;
      }
      reader.moveTo(target.data);
      more = await reader.fill(limit, ROOM_MIN);
    }
    if (this.count > 0) {
      const bytes = (reader.offset - start) / this.count;
      this.packetBytes = Math.max(this.packetBytes * 0.75, bytes * 1.03125);
    } else if (reader.stop === STOP.BOUND) await this.activate();
  }

  /** Merges the open captures by time and copies their packets into the batch. */
  private async merged(target: BatchTarget): Promise<void> {
    const { arena } = this;
    const { view, walker } = arena;
    view.setUint32(arena.run + RUN.copy, target.data, true);
    view.setUint32(arena.run + RUN.copyEnd, target.data + target.dataBytes, true);
    let unsettled = [...this.active];
    while (!this.stopped) {
      for (const reader of unsettled) {
        reader.restage();
        if (!(await reader.ready())) await this.end(reader);
        if (this.stopped) return;
      }
      if (this.active.length === 0) return;
      unsettled = await this.openDue();
      if (unsettled.length > 0) continue;
      if (this.alone !== undefined) return;
      this.active.forEach(({ address }, index) => {
        view.setUint32(arena.list + index * 4, address, true);
      });
      const records = target.records + this.count * RECORD.size;
      const room = target.capacity - this.count;
      this.count += walker.merge(arena.list, this.active.length, arena.run, records, room, this.due);
      for (const reader of this.active) {
        const { stop } = reader;
        if (stop === STOP.FULL) return;
        if (stop === STOP.BOUND) continue;
        if (!reader.handle() && !(await reader.stage(this.stageBytes))) {
          reader.finish();
          await this.end(reader);
        } else unsettled.push(reader);
        break;
      }
    }
  }

  /** Opens the captures whose first packet is not later than the earliest that is open now. */
  private async openDue(): Promise<CaptureReader[]> {
    const before = new Set(this.active);
    let earliest = NO_BOUND;
    for (const { head } of this.active) if (head < earliest) earliest = head;
    while (this.waiting.length > 0 && this.due <= earliest) await this.activate();
    return this.active.filter((reader) => !before.has(reader));
  }
}

/**
 * What a capture waits for: its first packet, or the error in it; undefined when it has no packet.
 * @throws CaptureError when the beginning of the file is at fault, or none of its link types is supported
 */
async function firstPacket(index: number, reader: CaptureReader): Promise<Waiting | undefined> {
  try {
    if (!(await reader.ready())) return undefined;
    const first = reader.head;
    if (reader.source.rewindable && !reader.supported) await reader.findSupported();
    return { index, first };
  } catch (error) {
    if (!(error instanceof CaptureError) || error.code === 'capture-link-type' || error.offset === 0) throw error;
    return { index, first: NO_BOUND, failure: error };
  }
}
