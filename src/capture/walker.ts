// What do the capture readers share with the walkers of assembly/walk.ts?
//
// The records, stop codes and limits of assembly/walk.ts in TypeScript, and the map of the memory that captures need
// beside the caller's batches: one Run, a list of sources for merging, and one slot per capture that is open.
import { EngineError } from '../errors.ts';

/** The engine's exports that captures need; `bound` is in ns, addresses are bytes in the shared memory. */
export interface Walker {
  walk(source: number, run: number, records: number, max: number, bound: bigint): number;
  merge(sources: number, count: number, run: number, records: number, max: number, bound: bigint): number;
}

/** Source: one open capture. */
export const SOURCE = {
  position: 0,
  end: 4,
  stop: 8,
  n: 12,
  head: 16,
  earliest: 24,
  latest: 32,
  last: 40,
  identity: 48,
  format: 56,
  swap: 60,
  header: 64,
  scale: 68,
  lengths: 72,
  interfaces: 76,
  interfaceCount: 80,
  size: 96,
} as const;

/** Interface: one Interface Description Block of the section. */
export const INTERFACE = {
  rawMin: 0,
  rawMax: 8,
  factor: 16,
  offset: 24,
  identity: 32,
  unit: 40,
  shift: 44,
  snaplen: 48,
  known: 52,
  size: 64,
} as const;

export const RUN = { clock: 0, number: 8, copy: 16, copyEnd: 20, size: 32 } as const;

/** Why a walk returned. */
export const STOP = {
  NEED_HEADER: 0,
  NEED_BODY: 1,
  BOUND: 2,
  FULL: 3,
  BLOCK: 4,
  INTERFACE: 5,
  BAD_CAPLEN: 6,
  BAD_LENGTHS: 7,
  BAD_BLOCK_LENGTH: 8,
  BAD_BLOCK_SIZE: 9,
  BAD_TRAILER: 10,
  BAD_INTERFACE: 11,
} as const;

/** Captured bytes of one packet, at most. */
export const CAPLEN_MAX = 0x40000;
/** Length of a block that has to be in memory as a whole, at most. */
export const BLOCK_MAX = 0x80000;
/** Interfaces of one section, at most. */
export const SECTION_INTERFACES_MAX = 2048;
/** The latest time a record can have, ns: later ones are this. */
export const TS_MAX = 0x7fff_ffff_ffff_ffffn;
/** A bound that no record reaches. */
export const NO_BOUND = 0xffff_ffff_ffff_ffffn;
/** Captures that can overlap in time, at most. */
export const OVERLAP_MAX = 256;
/** Records that fit into a slot, for looking ahead. */
export const SLOT_RECORDS_MAX = 64;

const LIST_OFFSET = 256;
const SLOTS_OFFSET = 4096;
const SLOT_BYTES = 0x100000;
const SLOT_RECORDS = 512;
const SLOT_INTERFACES = 4096;
const SLOT_BUFFER = SLOT_INTERFACES + SECTION_INTERFACES_MAX * INTERFACE.size;

/** Bytes of linear memory that a feed of `count` captures wants (CaptureArea.bytes). */
export function captureAreaBytes(count: number): number {
  return SLOTS_OFFSET + SLOT_BYTES * Math.min(Math.max(count, 1), OVERLAP_MAX);
}

/** Linear memory lent to a feed: `address` is a multiple of 64, `bytes` as captureAreaBytes says. */
export interface CaptureArea {
  address: number;
  bytes: number;
}

/** Addresses of what one open capture has in linear memory. */
export interface Slot {
  source: number;
  /** Record[SLOT_RECORDS_MAX] */
  records: number;
  /** Interface[SECTION_INTERFACES_MAX] */
  interfaces: number;
  /** Staging buffer: from `buffer` to `limit`. */
  buffer: number;
  limit: number;
}

/** The area as Run, list of sources and slots, with views of the memory they lie in. */
export class Arena {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly run: number;
  readonly list: number;
  private readonly free: Slot[] = [];

  constructor(
    memory: { readonly buffer: ArrayBufferLike },
    readonly walker: Walker,
    area: CaptureArea,
  ) {
    if (area.bytes < captureAreaBytes(1) || area.address % 64 !== 0) {
      throw new EngineError('engine-memory', `captures need ${captureAreaBytes(1)} bytes at a multiple of 64`);
    }
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.run = area.address;
    this.list = area.address + LIST_OFFSET;
    this.bytes.fill(0, this.run, this.run + RUN.size);
    const count = Math.min(OVERLAP_MAX, Math.floor((area.bytes - SLOTS_OFFSET) / SLOT_BYTES));
    for (let index = count - 1; index >= 0; index--) {
      const source = area.address + SLOTS_OFFSET + index * SLOT_BYTES;
      this.free.push({
        source,
        records: source + SLOT_RECORDS,
        interfaces: source + SLOT_INTERFACES,
        buffer: source + SLOT_BUFFER,
        limit: source + SLOT_BYTES,
      });
    }
  }

  /** A slot with an empty Source, or undefined when all are taken. */
  acquire(): Slot | undefined {
    const slot = this.free.pop();
    if (slot === undefined) return undefined;
    this.bytes.fill(0, slot.source, slot.source + SOURCE.size);
    this.view.setUint32(slot.source + SOURCE.position, slot.buffer, true);
    this.view.setUint32(slot.source + SOURCE.end, slot.buffer, true);
    this.view.setUint32(slot.source + SOURCE.interfaces, slot.interfaces, true);
    this.view.setBigUint64(slot.source + SOURCE.earliest, NO_BOUND, true);
    return slot;
  }

  release(slot: Slot): void {
    this.free.push(slot);
  }
}

/** Record bytes 32 to 39 as one number: link, file, iface, fcs, direction 0. */
export function identity(link: number, file: number, iface: number, fcs: number): bigint {
  return BigInt(link) | (BigInt(file) << 16n) | (BigInt(iface) << 32n) | (BigInt(fcs) << 48n);
}
