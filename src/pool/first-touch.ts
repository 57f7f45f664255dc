// Who is the first to write to a page of a growing connection table?
//
// The kernel looks for a page and clears it when it is first written to: 1.6 us, a fifth of what the 32 entries cost that
// fill it, and far more where a hypervisor has to find it first. Where the main thread is alone, a thread of libuv takes that
// over, ahead of the lane: it reads zeros into memory that is zero. What is being read into lies beyond what the next batch can
// fill; if not, the batch waits.

import { closeSync, fstatSync, openSync, readv } from 'node:fs';
import { BATCH_PACKETS, INDEX_BUCKET, WORLD } from '../engine/layout.ts';
import { BUCKET_LOAD } from '../engine/world.ts';
import { EngineError } from '../errors.ts';

const PAGE = 4096;
/** Linux: major 1, minor 5. */
const ZERO_DEVICE = 0x105;

/** Entries that a batch can add to a table: those of its packets, and of the host's answers to them. */
const BATCH_FLOWS = BATCH_PACKETS * 2;
/** Values that these are in the index: an entry that NAT changed has two. */
const BATCH_VALUES = BATCH_FLOWS * 2;
/**
 * How far to look ahead, in what a batch can add, but never farther than a table has come so far. Far enough that a stretch of slow
 * pages does not keep the lane waiting.
 */
const BATCHES_AHEAD = 12;

/** A part of a table, which fills from its beginning. Addresses and bytes. */
interface Part {
  start: number;
  end: number;
  /** What a batch can add. */
  growth: number;
  /** Everything from here on is as it was. */
  top(): number;
  /** Nobody was told yet to touch what follows. */
  touched: number;
}

export class FirstTouch {
  private readonly u32: Uint32Array;
  private readonly bytes: Uint8Array;
  private parts: Part[];
  private zeros: number | undefined;
  /** What is being touched, and where that begins in each part. */
  private reading: Promise<void> | undefined;
  private read: { part: Part; from: number }[] = [];

  /** @param worlds addresses of the lane's World records */
  constructor(memory: WebAssembly.Memory, worlds: readonly number[]) {
    this.u32 = new Uint32Array(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.parts = worlds.flatMap((world) => this.partsOf(world));
  }

  /** Whether a batch can be tracked now: what is being touched is out of its reach. */
  leavesRoom(): boolean {
    for (const { part, from } of this.read) {
      const top = part.top();
      if (top > from) throw new EngineError('engine-table', 'a batch added more to a table than it can');
      if (top + part.growth > from) return false;
    }
    return true;
  }

  /** Resolves when a batch can be tracked. */
  async room(): Promise<void> {
    await this.reading;
  }

  /** Has what follows the tops of large tables touched while the lane works on. */
  goAhead(): void {
    if (this.reading) return;
    const views: Uint8Array[] = [];
    for (const part of this.parts) {
      const top = part.top();
      const ahead = Math.min(part.growth * BATCHES_AHEAD, top - part.start);
      const from = Math.ceil(Math.max(part.touched, top + part.growth) / PAGE) * PAGE;
      const to = Math.floor(Math.min(part.end, top + ahead) / PAGE) * PAGE;
      if (to - from < part.growth / 2) continue;
      part.touched = to;
      this.read.push({ part, from });
      views.push(this.bytes.subarray(from, to));
    }
    if (views.length === 0) return;
    this.zeros ??= openZeros();
    if (this.zeros === undefined) {
      this.parts = [];
      this.read = [];
    } else this.reading = this.touch(this.zeros, views);
  }

  async close(): Promise<void> {
    await this.reading;
    if (this.zeros !== undefined) closeSync(this.zeros);
  }

  /** An error or a short read leaves pages that the lane will touch. */
  private touch(zeros: number, views: Uint8Array[]): Promise<void> {
    return new Promise((resolve) => {
      readv(zeros, views, null, () => {
        this.reading = undefined;
        this.read = [];
        resolve();
      });
    });
  }

  /** The flows, their accounts and the index: nine tenths of a table without NAT. */
  private partsOf(world: number): Part[] {
    const get = (field: number) => this.u32[(world + field) / 4]!;
    const flows = get(WORLD.flows);
    const flowBytes = get(WORLD.flow_bytes);
    const flowsMax = (get(WORLD.flows_end) - flows) / flowBytes;
    const flowsTop = () => (get(WORLD.flows_top) - flows) / flowBytes;
    // The index gets its next bucket when there are so many values for each.
    const bucketsTop = () => Math.max(get(WORLD.index_count), Math.ceil(get(WORLD.index_used) / BUCKET_LOAD) + 1);
    const perFlow = { max: flowsMax, growth: BATCH_FLOWS, top: flowsTop };
    const perBucket = { max: get(WORLD.index_max), growth: BATCH_VALUES / BUCKET_LOAD, top: bucketsTop };
    return [
      part(get(WORLD.flows), flowBytes, perFlow),
      part(get(WORLD.accounts), get(WORLD.account_bytes), perFlow),
      part(get(WORLD.index), INDEX_BUCKET.size, perBucket),
    ].filter(({ start, end }) => end > start);
  }
}

/** A part of `max` records, of which `top` are in use and a batch adds `growth` at most. */
function part(start: number, bytes: number, records: { max: number; growth: number; top(): number }): Part {
  return {
    start,
    end: start + records.max * bytes,
    growth: records.growth * bytes,
    top: () => start + records.top() * bytes,
    touched: start,
  };
}

/** A descriptor of /dev/zero, or nothing where that is not what it is on Linux. */
function openZeros(): number | undefined {
  try {
    const descriptor = openSync('/dev/zero', 'r');
    if (fstatSync(descriptor).rdev === ZERO_DEVICE) return descriptor;
    closeSync(descriptor);
  } catch {
    // A system without it.
  }
  return undefined;
}
