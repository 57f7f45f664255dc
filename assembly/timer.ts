// Expiry on the capture's clock: a hierarchical timing wheel over seconds.
//
// The wheel only has to find entries whose time has come; the moment that is reported is the entry's own exact expiry
// (Flow.expires), and events are put in order of time afterwards. A refreshed entry stays in its bucket: when the bucket
// is swept, entries that are not due yet are armed again. Four levels of 256 buckets reach 136 years; what lies beyond
// waits in the last one.
//
// A bucket is a pile of addresses in chunks of a cache line, and its head the address behind the topmost; an entry knows
// its place. Who leaves from the middle is replaced by the topmost, so that nothing has to be read of neighbours, and what
// is swept is known before it is read.

import { expire_flow } from "./conntrack";
import { bucket_of } from "./flow-index";
import { Flow, TimerChunk, Tuple, World } from "./layout";
import { tuple_hash } from "./tuple";

const LEVELS: u32 = 4;
const BUCKETS: u32 = 256;
const SECOND: u64 = 1_000_000_000;

/** Bytes of one wheel: a head per bucket, and one for what is being swept. */
export const WHEEL_BYTES: u32 = LEVELS * BUCKETS * 4 + 64;

const CHUNK: usize = offsetof<TimerChunk>();
const PLACES: usize = offsetof<TimerChunk>("flow_0");

/**
 * When a new entry is looked at first, at the latest, whatever its timeout: no state of a connection that lives on has a
 * shorter one by default, so what opens and closes within that time never moves on the wheel.
 */
const FIRST_LOOK: u64 = 30 * SECOND;

/** Puts a new flow onto the wheel. */
export function arm_first(w: World, flow: Flow): void {
  arm(w, flow, min(flow.expires, w.now + FIRST_LOOK));
}

/** Puts a flow into the bucket of `look` (ns): its expiry, or earlier. */
export function arm(w: World, flow: Flow, look: u64): void {
  const now = w.wheel_now;
  let due = look / SECOND;
  if (due < now) due = now;
  flow.armed_s = <u32>min<u64>(due, 0xffffffff);
  let level: u32 = 0;
  while (level < LEVELS - 1 && (due >> (level * 8)) - (now >> (level * 8)) >= BUCKETS) level++;
  const shift: u64 = level * 8;
  const distance = (due >> shift) - (now >> shift);
  const slot = distance >= BUCKETS ? (now >> shift) + BUCKETS - 1 : due >> shift;
  push(w, flow, w.wheel + (level * BUCKETS + <u32>(slot & (BUCKETS - 1))) * 4);
}

/** Gives a confirmed entry another expiry. Later ones wait for the sweep; earlier ones move to their bucket at once. */
// @ts-ignore: decorator
@inline export function set_expiry(w: World, flow: Flow, expires: u64): void {
  flow.expires = expires;
  if (expires < <u64>flow.armed_s * SECOND && flow.timer) {
    disarm(w, flow);
    arm(w, flow, flow.expires);
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
  const target = now / SECOND;
  const from = w.wheel_now;
  if (target < from) return true;
  // Coarse levels first: what they hold falls into finer buckets ahead, relative to the new time.
  w.wheel_now = target;
  for (let level: i32 = LEVELS - 1; level >= 0; level--) {
    const shift: u64 = level * 8;
    const first = from >> shift;
    const last = target >> shift;
    // A coarse bucket was emptied when its time began; only the finest one is looked at again within its second.
    if (level > 0 && first == last) continue;
    const count = <u32>min<u64>(last - first + 1, BUCKETS);
    for (let i: u32 = 0; i < count; i++) {
      const slot = <u32>((last - i) & (BUCKETS - 1));
      if (!empty(w, w.wheel + (<u32>level * BUCKETS + slot) * 4, now)) {
        w.wheel_now = from;
        return false;
      }
    }
  }
  return true;
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
  return w.wheel + LEVELS * BUCKETS * 4;
}

/** Lets expire or arms again what is being swept. */
function settle(w: World, now: u64): bool {
  const head = swept_head(w);
  let fetched: usize = 0;
  while (true) {
    const top: usize = load<u32>(head);
    if (top == 0) return true;
    const chunk = (top - 4) & ~(CHUNK - 1);
    if (chunk != fetched) fetch_flows(w, chunk + PLACES, top, now);
    fetched = chunk;
    const flow = changetype<Flow>(<usize>load<u32>(top - 4));
    if (flow.expires > now) {
      disarm(w, flow);
      arm(w, flow, flow.expires);
    } else if (!expire_flow(w, flow)) return false;
  }
}

/** Touches the flows of a chunk and what finds those that are due, so that their cache misses overlap. */
function fetch_flows(w: World, from: usize, end: usize, now: u64): void {
  let seen: u64 = 0;
  for (let at = from; at < end; at += 4) seen ^= changetype<Flow>(<usize>load<u32>(at)).expires;
  for (let at = from; at < end; at += 4) {
    const flow: usize = load<u32>(at);
    if (changetype<Flow>(flow).expires <= now) seen ^= load<u64>(bucket_of(w, tuple_hash(changetype<Tuple>(flow))));
  }
  w.fetched = seen;
}
