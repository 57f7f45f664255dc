// Which rules of a long run can a packet match at all?
//
// Each field that the run is found by maps the packet's value to a row: a bit map with the rules that this value does not
// rule out. What is set in the rows of all fields is a candidate; the emitted code tests candidates in their order, whole,
// so that a bit too many costs time and changes nothing.
//
// Bits stand in an order of their own, alike rules beside each other (src/ruleset/dispatch.ts), so that few words of a row
// are worth a look: its `filled` says which, and a word is kept only where it differs from the field's base. Candidates
// are brought back into the order of the rules through a second bit map.

import { be16, be32, be64 } from "../bytes";
import {
  Candidates, Dimension, Dispatch, DispatchRow, IntervalMap, INTERFACES_MAX, Packet, PointSlot, PointSlot16, World,
} from "../layout";
import { DispatchField, PacketFlag, Proto } from "../vocabulary";

const PAGE: usize = 512;
/** The longest transport header that any match asks for, and that of UDP, whose packets may well be shorter. */
const HEADER_MAX: u32 = 20;
const UDP_HEADER: u32 = 8;

/** A multiplier that spreads all bits of an address into the upper ones (2^64 divided by the golden ratio). */
const SPREAD: u64 = 0x9e3779b97f4a7c15;

/** Finds the candidates among a run's rules. Returns the first word that has any, which are in Candidates.bits, or -1. */
export function rule_candidates(packet: usize, world: usize, offset: u32): i32 {
  const w = changetype<World>(world);
  const p = changetype<Packet>(packet);
  const tables: usize = w.dispatch;
  const dispatch = changetype<Dispatch>(tables + offset);
  const candidates: usize = w.candidates + dispatch.candidates;
  const first = tables + offset + offsetof<Dispatch>();
  const rows = candidates + offsetof<Candidates>("rows");
  let filled: u64 = -1;
  let row_at = rows;
  let at = first;
  for (let count = dispatch.dimensions; count > 0; count--) {
    const dimension = changetype<Dimension>(at);
    const row = tables + dimension.rows + <usize>row_number(p, tables, dimension) * offsetof<DispatchRow>();
    store<u32>(row_at, <u32>row);
    filled &= changetype<DispatchRow>(row).filled;
    at += offsetof<Dimension>();
    row_at += 4;
  }
  forget(candidates);
  const end = at;
  while (filled != 0) {
    const word = ctz(filled);
    filled &= filled - 1;
    let bits: u64 = -1;
    row_at = rows;
    for (at = first; at < end; at += offsetof<Dimension>()) {
      bits &= row_word(tables, changetype<Dimension>(at), changetype<DispatchRow>(<usize>load<u32>(row_at)), word);
      if (bits == 0) break;
      row_at += 4;
    }
    if (bits != 0) keep(candidates, tables + dispatch.places + (<usize>word << 7), bits);
  }
  return next_word(candidates);
}

/** The next word that has candidates, or -1. */
export function rule_more_candidates(world: usize, offset: u32): i32 {
  const w = changetype<World>(world);
  return next_word(w.candidates + changetype<Dispatch>(<usize>w.dispatch + offset).candidates);
}

/** Clears what the packet before left: it was decided on before all of its candidates were tested. */
function forget(address: usize): void {
  const candidates = changetype<Candidates>(address);
  for (let left = candidates.left; left != 0; left &= left - 1) {
    store<u64>(address + offsetof<Candidates>() + (<usize>ctz(left) << 3), 0);
  }
  candidates.left = 0;
}

/** Marks the rules of a word's bits. `places` are those of the word. */
function keep(address: usize, places: usize, found: u64): void {
  let left = changetype<Candidates>(address).left;
  for (let bits = found; bits != 0; bits &= bits - 1) {
    const place = <u64>load<u16>(places + (<usize>ctz(bits) << 1));
    const at = address + offsetof<Candidates>() + (<usize>(place >> 6) << 3);
    store<u64>(at, load<u64>(at) | (<u64>1 << (place & 63)));
    left |= <u64>1 << (place >> 6);
  }
  changetype<Candidates>(address).left = left;
}

function next_word(address: usize): i32 {
  const candidates = changetype<Candidates>(address);
  const left = candidates.left;
  if (left == 0) return -1;
  const word = <usize>ctz(left);
  const at = address + offsetof<Candidates>() + (word << 3);
  candidates.bits = load<u64>(at);
  candidates.left = left & (left - 1);
  store<u64>(at, 0);
  return <i32>word;
}

// @ts-ignore: decorator
@inline function row_word(tables: usize, dimension: Dimension, row: DispatchRow, word: u64): u64 {
  const base = load<u64>(tables + dimension.base + (<usize>word << 3));
  const differs = row.differs;
  if (((differs >> word) & 1) == 0) return base;
  const before = popcnt(differs & ((<u64>1 << word) - 1));
  return base ^ load<u64>(tables + row.words + (<usize>before << 3));
}

function row_number(p: Packet, tables: usize, dimension: Dimension): u32 {
  const map = tables + dimension.map;
  switch (dimension.field) {
    case DispatchField.L4PROTO:
      return small(map, p.protonum);
    case DispatchField.CT_STATE:
      return small(map, p.ct_state);
    case DispatchField.TCP_FLAGS:
      return odd(p) ? 0 : small(map, p.tcp_flags);
    case DispatchField.SPORT:
      return odd(p) ? 0 : paged(map, be16(changetype<usize>(p) + offsetof<Packet>("sport")));
    case DispatchField.DPORT:
      return odd(p) ? 0 : paged(map, be16(changetype<usize>(p) + offsetof<Packet>("dport")));
    case DispatchField.TH_SPORT:
      return odd(p) ? 0 : paged(map, be16(p.l4));
    case DispatchField.TH_DPORT:
      return odd(p) ? 0 : paged(map, be16(<usize>p.l4 + 2));
    case DispatchField.MARK:
      return interval(tables, map, p.mark);
    case DispatchField.SADDR:
      return interval(tables, map, be32(changetype<usize>(p) + offsetof<Packet>("src_lo")));
    case DispatchField.DADDR:
      return interval(tables, map, be32(changetype<usize>(p) + offsetof<Packet>("dst_lo")));
    case DispatchField.SADDR6:
      return interval16(tables, map, changetype<usize>(p) + offsetof<Packet>("src_lo"));
    case DispatchField.DADDR6:
      return interval16(tables, map, changetype<usize>(p) + offsetof<Packet>("dst_lo"));
    case DispatchField.IIF:
      return small(map, interface_class(tables, p.iif));
    case DispatchField.OIF:
      return small(map, interface_class(tables, p.oif));
  }
  return unreachable();
}

/**
 * Whether a match on the transport header may not look at it: it drops the packet then, or does not match, whatever the
 * value. To be odd in vain costs time only.
 */
function odd(p: Packet): bool {
  const need = p.protonum == Proto.UDP ? UDP_HEADER : HEADER_MAX;
  return p.l4_len < need || (p.flags & PacketFlag.LATER_FRAGMENT) != 0;
}

// @ts-ignore: decorator
@inline function small(map: usize, value: u32): u32 {
  return load<u16>(map + ((<usize>value) << 1));
}

function paged(map: usize, value: u32): u32 {
  const page = <usize>small(map, value >> 8);
  return small(map + PAGE + page * PAGE, value & 0xff);
}

/** The classes of interfaces lie at the beginning of the tables: u16[INTERFACES_MAX], filled as they get names. */
function interface_class(tables: usize, index: u32): u32 {
  if (index >= INTERFACES_MAX) unreachable();
  return small(tables, index);
}

function interval(tables: usize, address: usize, value: u32): u32 {
  const map = changetype<IntervalMap>(address);
  const mask = map.hash_mask;
  let slot = <u32>((<u64>value * SPREAD) >> 32) & mask;
  while (true) {
    const point = changetype<PointSlot>(tables + map.points + <usize>slot * offsetof<PointSlot>());
    if (point.row == 0) break;
    if (point.value == value) return point.row - 1;
    slot = (slot + 1) & mask;
  }
  // The last interval that starts at or before the value.
  const starts = tables + map.starts;
  const count = map.intervals;
  let low: u32 = 0;
  for (let size = count; size > 1; ) {
    const half = size >> 1;
    low = load<u32>(starts + (<usize>(low + half) << 2)) <= value ? low + half : low;
    size -= half;
  }
  return load<u16>(starts + (<usize>count << 2) + (<usize>low << 1));
}

function interval16(tables: usize, address: usize, value: usize): u32 {
  const map = changetype<IntervalMap>(address);
  const upper = be64(value);
  const lower = be64(value + 8);
  const mask = map.hash_mask;
  let slot = <u32>((((upper * SPREAD) ^ lower) * SPREAD) >> 32) & mask;
  while (true) {
    const point = changetype<PointSlot16>(tables + map.points + <usize>slot * offsetof<PointSlot16>());
    if (point.row == 0) break;
    if (point.lower == lower && point.upper == upper) return point.row - 1;
    slot = (slot + 1) & mask;
  }
  const starts = tables + map.starts;
  const count = map.intervals;
  let low: u32 = 0;
  for (let size = count; size > 1; ) {
    const half = size >> 1;
    const start = starts + (<usize>(low + half) << 4);
    const first = load<u64>(start);
    low = first < upper || (first == upper && load<u64>(start, 8) <= lower) ? low + half : low;
    size -= half;
  }
  return load<u16>(starts + (<usize>count << 4) + (<usize>low << 1));
}
