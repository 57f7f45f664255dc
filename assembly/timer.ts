// Expiry on the capture's clock: a hierarchical timing wheel over seconds.
//
// The wheel only has to find entries whose time has come; the moment that is reported is the entry's own exact expiry
// (Flow.expires), and events are put in order of time afterwards. A refreshed entry stays in its bucket: when the bucket
// is swept, entries that are not due yet are armed again. Four levels of 256 buckets reach 136 years; what lies beyond
// waits in the last one.

import { expire_flow } from "./conntrack";
import { Flow, World } from "./layout";

const LEVELS: u32 = 4;
const BUCKETS: u32 = 256;
const SECOND: u64 = 1_000_000_000;

/** Bytes of one wheel: a list head per bucket. */
export const WHEEL_BYTES: u32 = LEVELS * BUCKETS * 4;

/** Puts a flow into the bucket of its expiry. */
export function arm(w: World, flow: Flow): void {
  const now = w.wheel_now;
  let due = flow.expires / SECOND;
  if (due < now) due = now;
  flow.armed_s = <u32>min<u64>(due, 0xffffffff);
  let level: u32 = 0;
  while (level < LEVELS - 1 && (due >> (level * 8)) - (now >> (level * 8)) >= BUCKETS) level++;
  const shift: u64 = level * 8;
  const distance = (due >> shift) - (now >> shift);
  const slot = distance >= BUCKETS ? (now >> shift) + BUCKETS - 1 : due >> shift;
  link(flow, w.wheel + (level * BUCKETS + <u32>(slot & (BUCKETS - 1))) * 4);
}

/** Gives a confirmed entry another expiry. Later ones wait for the sweep; earlier ones move to their bucket at once. */
// @ts-ignore: decorator
@inline export function set_expiry(w: World, flow: Flow, expires: u64): void {
  const earlier = expires < flow.expires;
  flow.expires = expires;
  if (earlier && flow.armed && expires / SECOND < flow.armed_s) {
    disarm(flow);
    arm(w, flow);
  }
}

function link(flow: Flow, head: usize): void {
  const first = load<u32>(head);
  flow.next = first;
  flow.prev = 0;
  flow.bucket = <u32>head;
  flow.armed = 1;
  if (first) changetype<Flow>(<usize>first).prev = <u32>changetype<usize>(flow);
  store<u32>(head, <u32>changetype<usize>(flow));
}

/** Takes a flow off the wheel. */
export function disarm(flow: Flow): void {
  if (!flow.armed) return;
  flow.armed = 0;
  if (flow.prev) changetype<Flow>(<usize>flow.prev).next = flow.next;
  else store<u32>(flow.bucket, flow.next);
  if (flow.next) changetype<Flow>(<usize>flow.next).prev = flow.prev;
}

/**
 * Advances the wheel to `now` (ns) and hands every flow that is due to `expire`. Returns false if `expire` asked to stop
 * (its event area is full); the next call goes on where this one stopped.
 */
export function sweep(w: World, now: u64): bool {
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

function empty(w: World, head: usize, now: u64): bool {
  let next: usize = load<u32>(head);
  store<u32>(head, 0);
  while (next) {
    const flow = changetype<Flow>(next);
    next = flow.next;
    flow.armed = 0;
    if (flow.expires > now) {
      arm(w, flow);
      continue;
    }
    if (!expire_flow(w, flow)) {
      // No room to report: put this one and the rest back.
      link(flow, head);
      while (next) {
        const rest = changetype<Flow>(next);
        next = rest.next;
        link(rest, head);
      }
      return false;
    }
  }
  return true;
}
