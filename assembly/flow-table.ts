// The connection table: an index (flow-index.ts) over a pool of flows.
//
// The index has a flow's address under its hash. A flow without NAT stands there once, because its hash is symmetric;
// which direction a packet has is told by comparing tuples. A flow that NAT changed stands there for each of its tuples.

import { bucket_of, index_insert, index_remove, likely_value, overflow_of, places_of, value_at } from "./flow-index";
import { Flow, Packet, SLOT_ORIGINAL, SLOT_REPLY, Tuple, World } from "./layout";
import { limit_insert, limit_remove } from "./limit";
import { source_insert, source_remove } from "./nat-source";
import { is_icmp, tuple_equal, tuple_hash, tuple_is_inverse, tuple_is_reverse } from "./tuple";
import { Dir, Status } from "./vocabulary";
import { TCP_FIN, TCP_RST } from "./wire/tcp";

const SLOT_BITS: u32 = SLOT_ORIGINAL | SLOT_REPLY;

/** What find() returns: the flow's address, or 0. Its direction is in `found_dir`. */
let dir_found: u32 = 0;

/** Direction of the packet within the flow that find_flow() found last. */
// @ts-ignore: decorator
@inline export function found_dir(): u32 {
  return dir_found;
}

/** The flow that `t` belongs to, in either direction; null address (0) if there is none. */
// @ts-ignore: decorator
@inline export function find_flow(w: World, t: Tuple, hash: u32): usize {
  if (w.templates) return find_zoned(w, t, hash);
  let bucket = bucket_of(w, hash);
  do {
    for (let places = places_of(bucket, hash); places; places &= places - 1) {
      const flow: usize = value_at(bucket, places);
      if (<u32>flow & SLOT_BITS) {
        if (!tuple_equal(tuple_of_slot(<u32>flow), changetype<usize>(t))) continue;
        dir_found = <u32>flow & SLOT_REPLY ? 1 : 0;
        return flow & ~<usize>SLOT_BITS;
      }
      // Which of the two it is nobody can predict, so both are computed and one branch asks for either.
      const icmp = <u32>is_icmp(t.protonum);
      const reverse = (icmp ^ 1) & <u32>tuple_is_reverse(changetype<usize>(t), flow);
      if (reverse | <u32>tuple_equal(flow, changetype<usize>(t))) {
        // What a host sends from one port to the same port of itself is its own answer: the kernel meets REPLY first.
        dir_found = reverse;
        return flow;
      }
      if (icmp && tuple_is_inverse(t, changetype<Tuple>(flow)) && t.zone == changetype<Flow>(flow).zone) {
        dir_found = 1;
        return flow;
      }
    }
    bucket = overflow_of(bucket);
  } while (bucket);
  return 0;
}

/** The tuple of an entry that NAT changed which one of its slots stands for. */
// @ts-ignore: decorator
@inline function tuple_of_slot(value: u32): usize {
  return <usize>(value & ~SLOT_BITS) + (value & SLOT_REPLY ? offsetof<Flow>("reply_src_lo") : 0);
}

/** Has NAT changed the entry, so that its reply tuple is not the inverse of the original one? */
// @ts-ignore: decorator
@inline export function has_two_slots(flow: Flow): bool {
  return (flow.status & (Status.SRC_NAT | Status.DST_NAT)) != 0;
}

/** Zone of the packet in work for flows that it would be a reply of; `t.zone` is the one for the original direction. */
let reply_zone: u16 = 0;

export function set_reply_zone(zone: u16): void {
  reply_zone = zone;
}

/** find_flow() where zones are in use, for the packet in work. */
function find_zoned(w: World, t: Tuple, hash: u32): usize {
  return find_in_zones(w, t, hash, reply_zone, true);
}

/**
 * find_flow() where zones are in use: tuples belong together within a zone, and an entry can have another zone in each
 * direction: `t.zone` is where its original direction would be, `replies` where its answers. The kernel looks among what is
 * filed under the first zone, the newest first, then under the second (nf_conntrack_find_get(), nf_ct_key_equal()).
 *
 * @param originals false: as the answers of an entry alone
 */
export function find_in_zones(w: World, t: Tuple, hash: u32, replies: u16, originals: bool): usize {
  const together = t.zone == replies;
  let best: usize = 0;
  for (let bucket = bucket_of(w, hash); bucket; bucket = overflow_of(bucket)) {
    for (let places = places_of(bucket, hash); places; places &= places - 1) {
      const found = value_at(bucket, places);
      const at: usize = found & ~SLOT_BITS;
      const flow = changetype<Flow>(at);
      const own = originals && !(found & SLOT_REPLY) && tuple_equal(at, changetype<usize>(t));
      if (own && comes_before(best, flow, Dir.ORIGINAL, together)) {
        best = at;
        dir_found = Dir.ORIGINAL;
      }
      if (found & SLOT_ORIGINAL || flow.reply_zone != replies) continue;
      const answers = found & SLOT_REPLY
        ? same_tuple(at + offsetof<Flow>("reply_src_lo"), changetype<usize>(t))
        : tuple_is_inverse(t, changetype<Tuple>(at));
      if (answers && comes_before(best, flow, Dir.REPLY, together)) {
        best = at;
        dir_found = Dir.REPLY;
      }
    }
  }
  return best;
}

/** Is a direction of an entry met before the best so far? Of what is filed together, the newest is, answers before originals. */
function comes_before(best: usize, flow: Flow, dir: u32, together: bool): bool {
  if (best == 0) return true;
  if (!together) return dir == Dir.ORIGINAL;
  return best == changetype<usize>(flow) ? dir == Dir.REPLY : <i64>flow.id > <i64>changetype<Flow>(best).id;
}

/** Equality, zones aside. */
export function same_tuple(a: usize, b: usize): bool {
  const apart = v128.or(v128.xor(v128.load(a), v128.load(b)), v128.xor(v128.load(a, 16), v128.load(b, 16)));
  return !v128.any_true(apart) && ((load<u64>(a, 32) ^ load<u64>(b, 32)) & 0x0000ffffffffffff) == 0;
}

/** Packets whose table lines are fetched together: a power of two. */
export const FETCH: u32 = 64;

/** Room for FETCH addresses, of this instance's own. */
let fetch_scratch: usize = 0;

export function set_fetch_scratch(at: usize): void {
  fetch_scratch = at;
}

/**
 * Touches what the packets `from` to `end` (at most FETCH) of a queue will look up, so that their cache misses overlap
 * instead of following each other: first their buckets of the index, then the entries these lead to (their first two
 * lines), then the places of timers that will move. Addresses are put together beforehand: a processor that waits for a load
 * runs ahead by so many instructions, not by so many loads.
 */
export function fetch_lines(w: World, packets: usize, queue: usize, from: u32, end: u32): void {
  const count = <usize>(end - from) * 4;
  const addresses = fetch_scratch;
  for (let at: usize = 0; at < count; at += 4) {
    store<u32>(addresses + at, <u32>bucket_of(w, queued(packets, queue, from + <u32>(at >> 2)).hash));
  }
  let seen: u64 = 0;
  let at: usize = 0;
  for (; at + 16 <= count; at += 16) {
    seen ^= load<u64>(<usize>load<u32>(addresses + at)) ^ load<u64>(<usize>load<u32>(addresses + at, 4)) ^
      load<u64>(<usize>load<u32>(addresses + at, 8)) ^ load<u64>(<usize>load<u32>(addresses + at, 12));
  }
  for (at = 0; at < count; at += 4) {
    const hash = queued(packets, queue, from + <u32>(at >> 2)).hash;
    store<u32>(addresses + at, likely_value(<usize>load<u32>(addresses + at), hash) & ~SLOT_BITS);
  }
  for (at = 0; at + 8 <= count; at += 8) {
    const first: usize = load<u32>(addresses + at);
    const second: usize = load<u32>(addresses + at, 4);
    seen ^= load<u64>(first) ^ load<u64>(first, 64) ^ load<u64>(second) ^ load<u64>(second, 64);
  }
  // Who closes a connection moves its timer.
  for (at = 0; at < count; at += 4) {
    const p = queued(packets, queue, from + <u32>(at >> 2));
    const closes = p.tcp_flags & (TCP_FIN | TCP_RST);
    // The transport header may lie in another core's cache.
    seen ^= load<u32>(p.l4, 12);
    const timer = changetype<Flow>(<usize>load<u32>(addresses + at)).timer;
    seen ^= load<u32>(<usize>select<u32>(timer, 0, closes));
  }
  w.fetched = seen;
}

const FETCHED_MASK: u32 = Status.CONFIRMED | Status.DYING | Status.SRC_NAT | Status.DST_NAT;

/**
 * The live entry of a packet if it is the one that fetch_lines() came across, `place` packets behind the first; else 0,
 * which says nothing. For tables without zones; entries that NAT changed (the host's table may have some) are left out.
 */
// @ts-ignore: decorator
@inline export function fetched_flow(t: Tuple, place: u32): usize {
  const flow: usize = load<u32>(fetch_scratch + <usize>place * 4);
  if (flow == 0 || (changetype<Flow>(flow).status & FETCHED_MASK) != Status.CONFIRMED) return 0;
  const reverse = <u32>tuple_is_reverse(changetype<usize>(t), flow);
  if ((reverse | <u32>tuple_equal(flow, changetype<usize>(t))) == 0) return 0;
  dir_found = reverse;
  return flow;
}

// @ts-ignore: decorator
@inline function queued(packets: usize, queue: usize, i: u32): Packet {
  return changetype<Packet>(packets + <usize>load<u16>(queue + <usize>i * 2) * offsetof<Packet>());
}

/**
 * Puts a flow into the index; `hash` is that of its original tuple. The caller knows that no equal flow is there. False if the index
 * is full.
 */
export function insert_flow(w: World, flow: Flow, hash: u32): bool {
  const address = <u32>changetype<usize>(flow);
  if (has_two_slots(flow)) {
    if (!index_insert(w, hash, address | SLOT_ORIGINAL)) return false;
    if (!index_insert(w, reply_hash(flow), address | SLOT_REPLY)) return false;
  } else if (!index_insert(w, hash, address)) return false;
  w.flow_count++;
  if (w.limits) limit_insert(w, flow);
  if (w.nat) source_insert(w, flow);
  return true;
}

// @ts-ignore: decorator
@inline export function original_hash(flow: Flow): u32 {
  return tuple_hash(changetype<Tuple>(changetype<usize>(flow)));
}

export function reply_hash(flow: Flow): u32 {
  return tuple_hash(changetype<Tuple>(changetype<usize>(flow) + offsetof<Flow>("reply_src_lo")));
}

/** Takes a flow out of the index. */
export function remove_flow(w: World, flow: Flow): void {
  if (w.limits) limit_remove(w, flow);
  if (w.nat) source_remove(w, flow);
  const address = <u32>changetype<usize>(flow);
  if (has_two_slots(flow)) {
    index_remove(w, original_hash(flow), address | SLOT_ORIGINAL);
    index_remove(w, reply_hash(flow), address | SLOT_REPLY);
  } else {
    index_remove(w, original_hash(flow), address);
  }
  w.flow_count--;
}
