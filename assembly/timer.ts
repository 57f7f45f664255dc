// Expiry on the capture's clock: a hierarchical timing wheel.
//
//   level   bucket    buckets   reach
//   0       1 ns           64   64 ns
//   1       64 ns          64   4 us
//   2       4 us           64   262 us
//   3       262 us         64   17 ms
//   4       17 ms      16,384   275 s
//   5       8.6 s      65,536   6.5 days
//   6       19.5 h      1,024   834 days; what lies beyond is looked at then
//
// The wheel only has to find entries whose time has come; the moment that is reported is the entry's own exact expiry
// (Flow.expires), and events are put in order of time afterwards. A refreshed entry stays in its bucket: when the bucket
// is swept, entries that are not due yet are armed again. A bucket is swept once, when its time has begun, and what it
// holds is gone then or in buckets to come: so no sweep looks at an entry twice, however many follow each other.
//
// Most entries come straight to level 4, whose buckets are so narrow that a flood of 200,000 connections per second puts
// 3,400 into one; those of level 5 hold what is idle and lives for days, and are narrow enough to be moved at once. The
// four finest levels are for what is due within the bucket of level 4 that has begun.
//
// A bucket is a pile of addresses in chunks of a cache line, and its head the address behind the topmost; an entry knows
// its place. Who leaves from the middle is replaced by the topmost, so that nothing has to be read of neighbours, and what
// is swept is known before it is read.

import { expire_flow } from "./conntrack";
import { bucket_of, overflow_of } from "./flow-index";
import { has_two_slots, original_hash, reply_hash } from "./flow-table";
import { Flow, FLOW_SHORT, TimerChunk, World } from "./layout";
import { limit_touch } from "./limit";
import { source_touch } from "./nat-source";
import { timeout_ns } from "./sysctl";
import { Sysctl } from "./vocabulary";

const SECOND: u64 = 1_000_000_000;

const LEVELS: usize = 7;
/** u8[LEVELS]: a bucket of the level lasts 2^n ns, and there are 2^n of them. */
const SHIFTS = memory.data<u8>([0, 6, 12, 18, 24, 33, 46]);
const BITS = memory.data<u8>([6, 6, 6, 6, 14, 16, 10]);
/** Level 4: where nearly all entries wait. */
const TICK: u64 = 24;
const TICKS: u64 = 1 << 14;
const TICKS_FIRST: u32 = 4 * 64;
/** How far ahead an entry is looked at, at most, ns: within level 6, and Flow.armed has room for as many ticks. */
const REACH: u64 = (1 << 56) - (1 << 46);

export const WHEEL_BUCKETS: u32 = TICKS_FIRST + (1 << 14) + (1 << 16) + (1 << 10);
/** Bytes of one wheel: a head per bucket, and one for what is being swept. */
export const WHEEL_BYTES: u32 = WHEEL_BUCKETS * 4 + 64;

const CHUNK: usize = offsetof<TimerChunk>();
const PLACES: usize = offsetof<TimerChunk>("flow_0");

/**
 * When a new entry is looked at first, at the latest, whatever its timeout: no state of a connection that lives on has a
 * shorter one by default, so what opens and closes within that time never moves on the wheel.
 */
const FIRST_LOOK: u64 = 30 * SECOND;

/** When a connection with traffic is looked at again: before nf_conntrack_tcp_timeout_unacknowledged and _max_retrans (300 s). */
const AGAIN: u64 = 270 * SECOND;

/** Puts a new flow onto the wheel. */
export function arm_first(w: World, flow: Flow): void {
  arm(w, flow, min(flow.expires, w.now + FIRST_LOOK));
}

/**
 * When an entry that is not due is looked at again: at its expiry. A TCP connection that had traffic since the last look is
 * looked at sooner, for its timeout falls to minutes whenever data waits to be acknowledged, and each time it would move. It is
 * told by the time it has left; another protocol's entry with as much is only looked at sooner than it need be.
 */
// @ts-ignore: decorator
@inline function next_look(w: World, flow: Flow, now: u64): u64 {
  const left = flow.expires - now;
  const active = left + AGAIN > timeout_ns(w, Sysctl.TCP_TIMEOUT_ESTABLISHED);
  return now + (active ? min(left, AGAIN) : left);
}

/** Puts a flow into the bucket of `look` (ns): its expiry, or earlier. */
export function arm(w: World, flow: Flow, look: u64): void {
  const now = w.wheel_now;
  const due = min(max(look, now), now + REACH);
  flow.armed = <u32>(due >> TICK);
  const ticks = (due >> TICK) - (now >> TICK);
  let head: usize = w.wheel;
  if (ticks > 0 && ticks < TICKS) {
    head += (TICKS_FIRST + <u32>((due >> TICK) & (TICKS - 1))) * 4;
  } else {
    // The finest level that reaches so far: there the bucket is not the one that has begun, except on level 0.
    for (let level: usize = 0; level < LEVELS; level++) {
      const shift = <u64>load<u8>(SHIFTS + level);
      const buckets = <u64>1 << load<u8>(BITS + level);
      if ((due >> shift) - (now >> shift) < buckets) {
        head += <usize>((due >> shift) & (buckets - 1)) * 4;
        break;
      }
      head += <usize>buckets * 4;
    }
  }
  push(w, flow, head);
}

/** The tick for which a flow sits on the wheel. */
// @ts-ignore: decorator
@inline function armed_tick(w: World, flow: Flow): u64 {
  const now = w.wheel_now >> TICK;
  return now + <u64>(flow.armed - <u32>now);
}

/** Gives a confirmed entry another expiry. Later ones wait for the sweep; earlier ones move to their bucket at once. */
// @ts-ignore: decorator
@inline export function set_expiry(w: World, flow: Flow, expires: u64): void {
  // Whether it is earlier than before nobody can guess: data and acknowledgements take turns.
  const sooner = <u32>(expires < flow.expires) & <u32>(expires >> TICK <= armed_tick(w, flow));
  flow.expires = expires;
  if (sooner && flow.timer) {
    disarm(w, flow);
    arm(w, flow, expires);
  }
}

function push(w: World, flow: Flow, head: usize): void {
  let top: usize = load<u32>(head);
  // Behind the last place of a chunk the next one begins; so it is before the first.
  if ((top & (CHUNK - 1)) == 0) {
    const chunk = allocate(w);
    chunk.before = top ? <u32>(top - CHUNK) : 0;
    chunk.head = <u32>head;
    top = changetype<usize>(chunk) + PLACES;
  }
  store<u32>(top, <u32>changetype<usize>(flow));
  flow.timer = <u32>top;
  store<u32>(head, <u32>(top + 4));
}

/** Takes a flow off the wheel. */
export function disarm(w: World, flow: Flow): void {
  const place: usize = flow.timer;
  if (place == 0) return;
  const head: usize = changetype<TimerChunk>(place & ~(CHUNK - 1)).head;
  const last = <usize>load<u32>(head) - 4;
  const mover = load<u32>(last);
  store<u32>(place, mover);
  changetype<Flow>(<usize>mover).timer = <u32>place;
  flow.timer = 0;
  store<u32>(head, drop(w, last));
}

/** Gives the topmost place of a pile back. Returns what the top is then: 0 if the pile is empty. */
function drop(w: World, last: usize): u32 {
  if ((last & (CHUNK - 1)) != PLACES) return <u32>last;
  const chunk = changetype<TimerChunk>(last - PLACES);
  const before = chunk.before;
  chunk.before = w.timers_free;
  w.timers_free = <u32>changetype<usize>(chunk);
  return before ? before + <u32>CHUNK : 0;
}

/** There are as many chunks as all flows can need. */
function allocate(w: World): TimerChunk {
  const free: usize = w.timers_free;
  if (free) {
    w.timers_free = changetype<TimerChunk>(free).before;
    return changetype<TimerChunk>(free);
  }
  w.timers_top += <u32>CHUNK;
  return changetype<TimerChunk>(<usize>w.timers_top - CHUNK);
}

/**
 * Advances the wheel to `now` (ns) and lets every flow expire that is due. Returns false if the event area is full; the
 * next call goes on where this one stopped.
 */
export function sweep(w: World, now: u64): bool {
  if (!settle(w, now)) return false;
  const from = w.wheel_swept;
  if (now < from) return true;
  w.wheel_now = now;
  let heads: usize = w.wheel;
  for (let level: usize = 0; level < LEVELS; level++) {
    const shift = <u64>load<u8>(SHIFTS + level);
    const buckets = <u64>1 << load<u8>(BITS + level);
    const last = now >> shift;
    // The bucket of `from` was swept when its time began, but an entry may have been given no time at all since.
    const steps = last - (from >> shift) + (level == 0 ? 1 : 0);
    const count = min(steps, buckets);
    const first = (last + 1 - count) & (buckets - 1);
    const straight = min(count, buckets - first);
    if (!empty_range(w, heads + <usize>first * 4, <usize>straight, now)) return false;
    if (!empty_range(w, heads, <usize>(count - straight), now)) return false;
    heads += <usize>buckets * 4;
  }
  w.wheel_swept = now;
  return true;
}

/** Empties `count` buckets from `head` on. False as for sweep(). */
function empty_range(w: World, head: usize, count: usize, now: u64): bool {
  const end = head + count * 4;
  while (head < end) {
    if (end - head >= 64 && !any_of_16(head)) {
      head += 64;
    } else {
      if (!empty(w, head, now)) return false;
      head += 4;
    }
  }
  return true;
}

/** Is there anything in 16 buckets? */
// @ts-ignore: decorator
@inline function any_of_16(head: usize): bool {
  const eight = v128.or(v128.load(head), v128.load(head, 16));
  return v128.any_true(v128.or(eight, v128.or(v128.load(head, 32), v128.load(head, 48))));
}

/** Empties a bucket: what is in it moves to the last head, and from there where it belongs. False as for sweep(). */
function empty(w: World, head: usize, now: u64): bool {
  const top = load<u32>(head);
  if (top == 0) return true;
  const swept = swept_head(w);
  store<u32>(head, 0);
  store<u32>(swept, top);
  for (let chunk = <usize>(top - 4) & ~(CHUNK - 1); chunk; chunk = changetype<TimerChunk>(chunk).before) {
    changetype<TimerChunk>(chunk).head = <u32>swept;
  }
  return settle(w, now);
}

/** Head of the pile that is being swept. */
// @ts-ignore: decorator
@inline function swept_head(w: World): usize {
  return w.wheel + WHEEL_BUCKETS * 4;
}

/** Lets expire or arms again what is being swept. */
function settle(w: World, now: u64): bool {
  const head = swept_head(w);
  while (true) {
    const top: usize = load<u32>(head);
    if (top == 0) return true;
    if (!settle_group(w, head, fetch_group(w, top, now), now)) return false;
  }
}

/** The same for the topmost `count` entries of the pile, or all if they are fewer: who ends may take along what it looked after. */
function settle_group(w: World, head: usize, count: usize, now: u64): bool {
  for (; count; count--) {
    const top: usize = load<u32>(head);
    if (top == 0) return true;
    const flow = changetype<Flow>(<usize>load<u32>(top - 4));
    flow.timer = 0;
    store<u32>(head, drop(w, top - 4));
    if (flow.expires > now) {
      arm(w, flow, next_look(w, flow, now));
    } else if (!expire_flow(w, flow)) {
      push(w, flow, head);
      return false;
    }
  }
  return true;
}

/** Entries that are fetched together. */
const GROUP: usize = 64;

/** u32[GROUP]: addresses of entries; then u32[2 * GROUP]: of buckets of the index. This instance's own. */
let group_scratch: usize = 0;

export function set_group_scratch(at: usize): void {
  group_scratch = at;
}

/**
 * Touches the topmost entries of a pile, at most GROUP, and what the end of those that are due will touch, so that cache misses
 * overlap instead of following each other: addresses first, then loads, as in fetch_lines(). Returns how many entries there are.
 */
function fetch_group(w: World, top: usize, now: u64): usize {
  const flows = group_scratch;
  const end = list_group(flows, top);
  const last: usize = w.flow_bytes > FLOW_SHORT ? offsetof<Flow>("reply_src_lo") : 0;
  const second: usize = w.events ? offsetof<Flow>("id") : 0;
  let seen: u64 = 0;
  for (let at = flows; at < end; at += 4) {
    const flow: usize = load<u32>(at);
    seen ^= load<u64>(flow) ^ load<u64>(flow + second) ^ load<u64>(flow + last);
  }
  w.fetched = seen ^ touch_ends(w, flows, keep_due(flows, end, now));
  return (end - flows) >> 2;
}

/** Writes the addresses of the topmost entries of a pile, at most GROUP, to `to`. Returns where they end. */
function list_group(to: usize, top: usize): usize {
  const end = to + GROUP * 4;
  while (to < end) {
    top -= 4;
    store<u32>(to, load<u32>(top));
    to += 4;
    if ((top & (CHUNK - 1)) == PLACES) {
      const before: usize = changetype<TimerChunk>(top - PLACES).before;
      if (before == 0) break;
      top = before + CHUNK;
    }
  }
  return to;
}

/** Keeps the addresses of entries that are due. Returns where they end. */
function keep_due(flows: usize, end: usize, now: u64): usize {
  let to = flows;
  for (let at = flows; at < end; at += 4) {
    const flow = load<u32>(at);
    store<u32>(to, flow);
    to += select<usize>(4, 0, changetype<Flow>(<usize>flow).expires <= now);
  }
  return to;
}

/** Reads what the end of these entries will write beside them. Returns something that depends on all of it. */
function touch_ends(w: World, flows: usize, end: usize): u64 {
  const buckets = flows + GROUP * 4;
  let to = buckets;
  for (let at = flows; at < end; at += 4) {
    const flow = changetype<Flow>(<usize>load<u32>(at));
    store<u32>(to, <u32>bucket_of(w, original_hash(flow)));
    to += 4;
    if (!has_two_slots(flow)) continue;
    store<u32>(to, <u32>bucket_of(w, reply_hash(flow)));
    to += 4;
  }
  let seen: u64 = 0;
  // A hole in a bucket is filled from its overflow bucket; without one that is address 0, which is readable.
  for (let at = buckets; at < to; at += 4) seen ^= load<u64>(overflow_of(<usize>load<u32>(at)));
  if (w.limits) for (let at = flows; at < end; at += 4) seen ^= limit_touch(w, changetype<Flow>(<usize>load<u32>(at)));
  if (w.nat) for (let at = flows; at < end; at += 4) seen ^= source_touch(w, changetype<Flow>(<usize>load<u32>(at)));
  return seen;
}
