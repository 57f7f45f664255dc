// How do the bytes of a capture become records?
//
// The walker follows record headers of classic pcap (pcap-savefile(5)) and packet blocks of pcapng (draft-ietf-opsawg-
// pcapng, sections 4.3, 4.4 and appendix A) and writes one Record per packet. It reads nothing behind Source.end, keeps
// all of its state in two records of linear memory and returns whenever src/capture has to do something: more bytes,
// a block that describes rather than carries packets, an interface seen for the first time, or an error to report.
// src/capture/walker.ts spells the same offsets and numbers.

import { Record } from "./layout";

/** Captured bytes of one packet, at most (libpcap: MAXIMUM_SNAPLEN). */
const CAPLEN_MAX: u32 = 0x40000;
/** Length of one packet block, at most: the largest packet and as much again for options. */
const PACKET_BLOCK_MAX: u32 = 0x80000;
/** The latest time there is, 2262-04-11: adding a timeout of 2^32 s does not wrap. */
const TS_MAX: u64 = 0x7fff_ffff_ffff_ffff;
const SECOND: u64 = 1_000_000_000;
/** Behind a packet longer than this, no processor guesses where the next header lies: so many bytes are touched ahead of it. */
const LONG: u32 = 256;
const AHEAD: u32 = 1024;

// Source: one open capture (96 bytes)
@unmanaged class Source {
  /** First byte that is not consumed, and the end of the bytes that are in memory. */
  position: u32;
  end: u32;
  /** Stop: why the last walk returned. */
  stop: u32;
  /** Frame number of the last record. */
  n: u32;
  /** Time of the record at position, valid after BOUND, FULL and NEED_BODY. */
  head: u64; // 16
  /** Least and greatest time of the records so far. */
  earliest: u64;
  latest: u64;
  /** Time of the last record: Simple Packet Blocks have none of their own. */
  last: u64; // 40
  /** Classic: bytes 32 to 39 of each Record (link, file, iface, fcs, direction). */
  identity: u64; // 48
  /** 0 pcap, 1 pcapng. */
  format: u32; // 56
  /** 1 if the file's (or section's) byte order is big-endian. */
  swap: u32;
  /** Classic: bytes of a record header, 16 or 24 (modified). */
  header: u32; // 64
  /** Classic: nanoseconds per unit of the fraction, 1 or 1000. */
  scale: u32;
  /** Classic: 0 caplen before len, 1 the other way round, 2 whichever way makes sense. */
  lengths: u32; // 72
  /** Pcapng: Interface[interface_count] of the section. */
  interfaces: u32;
  interface_count: u32; // 80
  pad_0: u32;
  pad_1: u64;
}
if (offsetof<Source>() != 96) ERROR("Source is 96 bytes");
if (offsetof<Source>("head") != 16 || offsetof<Source>("identity") != 48) ERROR("Source as src/capture/walker.ts has it");
if (offsetof<Source>("interface_count") != 80) ERROR("Source as src/capture/walker.ts has it");

// Interface: one Interface Description Block (64 bytes)
@unmanaged class Interface {
  /** Units below which a time is 0, and above which it is TS_MAX. */
  raw_min: u64;
  raw_max: u64;
  /** Multiplier or divisor. */
  factor: u64; // 16
  /** if_tsoffset in ns, two's complement. */
  offset: u64;
  /** As Source.identity. */
  identity: u64; // 32
  /** Units: 0 units * factor, 1 units / factor, 2 units of 2^-shift s. */
  unit: u32; // 40
  shift: u32;
  snaplen: u32;
  /** 0 until src/capture has named the interface, which it does at its first packet. */
  known: u32; // 52
  pad: u64;
}
if (offsetof<Interface>() != 64) ERROR("Interface is 64 bytes");
if (offsetof<Interface>("unit") != 40 || offsetof<Interface>("known") != 52) ERROR("Interface as src/capture/walker.ts has it");

// Run: what goes on from capture to capture (32 bytes)
@unmanaged class Run {
  /** Greatest time of all records. */
  clock: u64;
  /** Number of the last record. */
  number: u64;
  /** Where packets are copied to and the end of that area; 0: they stay where they are. */
  copy: u32;
  copy_end: u32;
  /** What touch() read. */
  touched: u64;
}
if (offsetof<Run>() != 32) ERROR("Run is 32 bytes");

enum Stop {
  /** More bytes are needed: to see the head's time, or to have the whole record. */
  NEED_HEADER = 0,
  NEED_BODY = 1,
  /** The record at position is not before the bound. */
  BOUND = 2,
  /** No room for another record or its bytes. */
  FULL = 3,
  /** Pcapng: a block for src/capture. */
  BLOCK = 4,
  /** Pcapng: the first packet of an interface. */
  INTERFACE = 5,
  BAD_CAPLEN = 6,
  BAD_LENGTHS = 7,
  BAD_BLOCK_LENGTH = 8,
  BAD_BLOCK_SIZE = 9,
  BAD_TRAILER = 10,
  BAD_INTERFACE = 11,
}

const SECTION_HEADER_BLOCK: u32 = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION_BLOCK: u32 = 1;
const PACKET_BLOCK: u32 = 2;
const SIMPLE_PACKET_BLOCK: u32 = 3;
const ENHANCED_PACKET_BLOCK: u32 = 6;
/** epb_flags and pack_flags have the same number and meaning. */
const OPTION_FLAGS: u32 = 2;

// Byte orders as types: each compiles to loops of its own, without a test per load.
type LittleEndian = u8;
type BigEndian = i8;

@inline function load16<Order>(address: u32): u32 {
  const value = load<u16>(address);
  return isSigned<Order>() ? bswap<u16>(value) : value;
}

@inline function load32<Order>(address: u32): u32 {
  const value = load<u32>(address);
  return isSigned<Order>() ? bswap<u32>(value) : value;
}

/** Copies in steps of 16 bytes: may write up to 15 bytes behind the target's end, and read as many behind the source's. */
@inline function copyPacket(target: u32, source: u32, length: u32): void {
  if (length > 512) {
    memory.copy(target, source, length);
    return;
  }
  const end = source + length;
  while (source < end) {
    v128.store(target, v128.load(source));
    source += 16;
    target += 16;
  }
}

/**
 * Asks for the cache lines from `from` to `end`, one after the other, before the headers among them are followed from one to
 * the next. Returns where it stopped. What was read is stored, so that the optimiser keeps the loads.
 */
// @ts-ignore: decorator
@inline function touch(run: Run, from: u32, end: u32): u32 {
  let seen: u64 = 0;
  let at = from;
  for (; at + 8 <= end; at += 64) seen ^= load<u64>(at);
  run.touched = seen;
  return at;
}

/**
 * Walks one capture until a record at or after `bound` (ns), `max` records, or anything it cannot do itself; the reason
 * is left in Source.stop. Returns the number of records written at `records`.
 */
export function walk(source: u32, run: u32, records: u32, max: u32, bound: u64): u32 {
  const capture = changetype<Source>(source);
  const state = changetype<Run>(run);
  if (capture.format == 0) {
    return capture.swap == 0
      ? walkPcap<LittleEndian>(capture, state, records, max, bound)
      : walkPcap<BigEndian>(capture, state, records, max, bound);
  }
  return capture.swap == 0
    ? walkPcapng<LittleEndian>(capture, state, records, max, bound)
    : walkPcapng<BigEndian>(capture, state, records, max, bound);
}

/**
 * Merges captures whose heads are known (stop is BOUND or FULL) by time, ties by their order in `sources` (an array of
 * `count` addresses of Source). Ends at `max` records, at `bound`, or when a capture needs something. Returns the
 * number of records written at `records`.
 */
export function merge(sources: u32, count: u32, run: u32, records: u32, max: u32, bound: u64): u32 {
  let written: u32 = 0;
  while (true) {
    let first: u32 = 0;
    let least: u64 = u64.MAX_VALUE;
    // The time at which another capture has its turn.
    let turn: u64 = bound;
    for (let index: u32 = 0; index < count; index++) {
      const candidate = load<u32>(sources + (index << 2));
      const head = changetype<Source>(candidate).head;
      if (first == 0 || head < least) {
        // An earlier capture that was the first so far goes before this one's next record of its time.
        if (first != 0 && least < turn) turn = least;
        least = head;
        first = candidate;
      } else if (head + 1 < turn) {
        turn = head + 1;
      }
    }
    if (least >= bound) return written;
    written += walk(first, run, records + written * <u32>offsetof<Record>(), max - written, turn);
    if (changetype<Source>(first).stop != Stop.BOUND) return written;
  }
}

function walkPcap<Order>(source: Source, run: Run, records: u32, max: u32, bound: u64): u32 {
  const end = source.end;
  const header = source.header;
  const scale = <u64>source.scale;
  const lengths = source.lengths;
  const identity = source.identity;
  const copy_end = run.copy_end;
  const records_end = records + max * <u32>offsetof<Record>();
  let copy = run.copy;
  let position = source.position;
  let clock = run.clock;
  let number = run.number;
  let n = source.n;
  let earliest = source.earliest;
  let latest = source.latest;
  let target = records;
  let ts: u64 = 0;
  let stop: u32 = Stop.NEED_HEADER;
  let ahead: u32 = 0;

  while (true) {
    if (end - position < header) break;
    ts = <u64>load32<Order>(position) * SECOND + <u64>load32<Order>(position + 4) * scale;
    if (ts >= bound) {
      stop = Stop.BOUND;
      break;
    }
    let caplen = load32<Order>(position + 8);
    let len = load32<Order>(position + 12);
    if (lengths == 1 || (lengths == 2 && caplen > len)) {
      const other = caplen;
      caplen = len;
      len = other;
    }
    if (caplen > CAPLEN_MAX) {
      stop = Stop.BAD_CAPLEN;
      break;
    }
    if (caplen > len) {
      stop = Stop.BAD_LENGTHS;
      break;
    }
    if (end - position - header < caplen) {
      stop = Stop.NEED_BODY;
      break;
    }
    if (target == records_end) {
      stop = Stop.FULL;
      break;
    }
    let data = position + header;
    if (copy != 0) {
      if (copy_end - copy < caplen + 15) {
        stop = Stop.FULL;
        break;
      }
      copyPacket(copy, data, caplen);
      data = copy;
      copy += (caplen + 15) & ~15;
    }
    // Merged captures take turns, and copying touches enough.
    if (caplen > LONG && copy == 0) {
      ahead = touch(run, ahead < position ? position : ahead, min(position + caplen + AHEAD, end));
    }
    if (ts > clock) clock = ts;
    if (ts < earliest) earliest = ts;
    if (ts > latest) latest = ts;
    n++;
    number++;
    const record = changetype<Record>(target);
    record.ts = ts;
    record.clock = clock;
    record.data = data;
    record.caplen = caplen;
    record.len = len;
    record.n = n;
    store<u64>(target, identity, offsetof<Record>("link"));
    record.number = number;
    // Modified header: byte 22 is the kernel's packet type, 4 what the host sent (PACKET_OUTGOING).
    if (header == 24 && load<u8>(position, 22) == 4) record.direction = 2;
    target += <u32>offsetof<Record>();
    position += header + caplen;
  }

  source.position = position;
  source.stop = stop;
  source.head = ts;
  source.n = n;
  source.earliest = earliest;
  source.latest = latest;
  run.clock = clock;
  run.number = number;
  run.copy = copy;
  return (target - records) / <u32>offsetof<Record>();
}

function walkPcapng<Order>(source: Source, run: Run, records: u32, max: u32, bound: u64): u32 {
  const end = source.end;
  const interfaces = source.interfaces;
  const interface_count = source.interface_count;
  const copy_end = run.copy_end;
  const records_end = records + max * <u32>offsetof<Record>();
  let copy = run.copy;
  let position = source.position;
  let clock = run.clock;
  let number = run.number;
  let n = source.n;
  let earliest = source.earliest;
  let latest = source.latest;
  let last = source.last;
  let target = records;
  let ts: u64 = 0;
  let stop: u32 = Stop.NEED_HEADER;
  let ahead: u32 = 0;

  while (true) {
    const available = end - position;
    if (available < 12) break;
    const type = load32<Order>(position);
    if (type == SECTION_HEADER_BLOCK || type == INTERFACE_DESCRIPTION_BLOCK) {
      stop = Stop.BLOCK;
      break;
    }
    const length = load32<Order>(position + 4);
    if (length < 12 || (length & 3) != 0) {
      stop = Stop.BAD_BLOCK_LENGTH;
      break;
    }
    if (type != ENHANCED_PACKET_BLOCK && type != SIMPLE_PACKET_BLOCK && type != PACKET_BLOCK) {
      if (available < length) {
        stop = Stop.BLOCK;
        break;
      }
      if (load32<Order>(position + length - 4) != length) {
        stop = Stop.BAD_TRAILER;
        break;
      }
      position += length;
      continue;
    }

    const simple = type == SIMPLE_PACKET_BLOCK;
    // Bytes before the packet.
    const header: u32 = simple ? 12 : 28;
    if (length < header + 4) {
      stop = Stop.BAD_BLOCK_LENGTH;
      break;
    }
    if (length > PACKET_BLOCK_MAX) {
      stop = Stop.BAD_BLOCK_SIZE;
      break;
    }
    if (available < header) break;
    const id: u32 = simple ? 0 : type == ENHANCED_PACKET_BLOCK ? load32<Order>(position + 8) : load16<Order>(position + 8);
    if (id >= interface_count) {
      stop = Stop.BAD_INTERFACE;
      break;
    }
    const iface = changetype<Interface>(interfaces + id * <u32>offsetof<Interface>());
    if (iface.known == 0) {
      stop = Stop.INTERFACE;
      break;
    }
    let caplen: u32;
    let len: u32;
    if (simple) {
      ts = last;
      len = load32<Order>(position + 8);
      const snaplen = iface.snaplen;
      caplen = snaplen != 0 && len > snaplen ? snaplen : len;
    } else {
      ts = nanoseconds(iface, (<u64>load32<Order>(position + 12) << 32) | load32<Order>(position + 16));
      caplen = load32<Order>(position + 20);
      len = load32<Order>(position + 24);
    }
    if (ts >= bound) {
      stop = Stop.BOUND;
      break;
    }
    if (caplen > CAPLEN_MAX || caplen > length - header - 4) {
      stop = Stop.BAD_CAPLEN;
      break;
    }
    if (caplen > len) {
      stop = Stop.BAD_LENGTHS;
      break;
    }
    if (available < length) {
      stop = Stop.NEED_BODY;
      break;
    }
    if (load32<Order>(position + length - 4) != length) {
      stop = Stop.BAD_TRAILER;
      break;
    }
    if (target == records_end) {
      stop = Stop.FULL;
      break;
    }
    let data = position + header;
    if (copy != 0) {
      if (copy_end - copy < caplen + 15) {
        stop = Stop.FULL;
        break;
      }
      copyPacket(copy, data, caplen);
      data = copy;
      copy += (caplen + 15) & ~15;
    }
    if (length > LONG && copy == 0) {
      ahead = touch(run, ahead < position ? position : ahead, min(position + length + AHEAD, end));
    }
    if (ts > clock) clock = ts;
    if (ts < earliest) earliest = ts;
    if (ts > latest) latest = ts;
    last = ts;
    n++;
    number++;
    const record = changetype<Record>(target);
    record.ts = ts;
    record.clock = clock;
    record.data = data;
    record.caplen = caplen;
    record.len = len;
    record.n = n;
    store<u64>(target, iface.identity, offsetof<Record>("link"));
    record.number = number;
    const options = header + ((caplen + 3) & ~3);
    if (!simple && options + 12 <= length) {
      const flags = packetFlags<Order>(position + options, position + length - 4);
      const direction = flags & 3;
      if (direction != 3) record.direction = <u8>direction;
      const fcs = (flags >> 5) & 15;
      if (fcs != 0) record.fcs = <u8>fcs;
    }
    target += <u32>offsetof<Record>();
    position += length;
  }

  source.position = position;
  source.stop = stop;
  source.head = ts;
  source.n = n;
  source.earliest = earliest;
  source.latest = latest;
  source.last = last;
  run.clock = clock;
  run.number = number;
  run.copy = copy;
  return (target - records) / <u32>offsetof<Record>();
}

/** The flags word among the options from `position` on, 0 if there is none. Bits 0-1 direction, 5-8 octets of FCS. */
function packetFlags<Order>(position: u32, end: u32): u32 {
  while (end - position >= 8) {
    const code = load16<Order>(position);
    const length = load16<Order>(position + 2);
    if (code == 0) return 0;
    if (code == OPTION_FLAGS && length == 4) return load32<Order>(position + 4);
    const size: u32 = 4 + ((length + 3) & ~3);
    if (size > end - position) return 0;
    position += size;
  }
  return 0;
}

/** A time stamp in units of the interface as ns since 1970, exact (rounded down) and saturating. */
@inline function nanoseconds(iface: Interface, raw: u64): u64 {
  if (raw > iface.raw_max) return TS_MAX;
  if (raw < iface.raw_min) return 0;
  const unit = iface.unit;
  const units: u64 = unit == 0 ? raw * iface.factor : unit == 1 ? raw / iface.factor : binary(raw, iface.shift);
  return units + iface.offset;
}

/** floor(raw * 10^9 / 2^shift); the caller has made sure that it fits (Interface.raw_max). */
function binary(raw: u64, shift: u32): u64 {
  const whole = shift < 64 ? raw >> shift : 0;
  const rest = shift < 64 ? raw & ((<u64>1 << shift) - 1) : raw;
  if (shift <= 32) return whole * SECOND + ((rest * SECOND) >> shift);
  // rest * 10^9 has up to 94 bits. Its lower 32 bits can be dropped: the shift discards them all.
  const upper = (rest >> 32) * SECOND + (((rest & 0xffff_ffff) * SECOND) >> 32);
  return whole * SECOND + (shift < 96 ? upper >> (shift - 32) : 0);
}
