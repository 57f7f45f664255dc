// Expectations: connections that helpers have heard announced and that become RELATED when they come.
// Kernel: net/netfilter/nf_conntrack_expect.c.
//
// They are found by what they expect of the target: address, port, protocol. Those with the same target sit in one chain,
// the newest first, and it is the first that matches which is taken. They die at their expiry, when they come true, and
// with the entry that expects. What has expired is passed over until the batch ends: a packet has room for so many events only.

import { expire_flow } from "./conntrack";
import { expectation_event } from "./event";
import { max_expected, timeout_s } from "./helper/policy";
import { Event, Expectation, EXPECTATION_BUCKETS, EXPECTATION_IDS, Flow, Help, Helping, Tuple, World } from "./layout";
import { trace_expect } from "./trace";
import { EventKind, ExpectFlag, L3, Status } from "./vocabulary";

const SECOND: u64 = 1_000_000_000;
const SIZE: usize = offsetof<Expectation>();

/** Why an expectation could not be made; 0 if it was. */
export enum Refused {
  NO = 0,
  /** Another one clashes with it (EBUSY). */
  CLASH = 1,
  /** There are nf_conntrack_expect_max (EMFILE). */
  TOO_MANY = 2,
  /** It is there already with another meaning or for another entry (EALREADY). */
  ALREADY = 3,
}

// @ts-ignore: decorator
@inline export function helping_of(w: World): Helping {
  return changetype<Helping>(<usize>w.helping);
}

/** The bucket of what an expectation or a tuple has as target. */
function bucket_of(h: Helping, t: usize): usize {
  let hash = (load<u64>(t, offsetof<Expectation>("dst_lo")) ^ load<u64>(t, offsetof<Expectation>("dst_hi"))) * 0x9e3779b97f4a7c15;
  hash ^= <u64>load<u32>(t, offsetof<Expectation>("dport")) & 0xffffff;
  hash *= 0xff51afd7ed558ccd;
  return <usize>h.buckets + <usize>((hash >> 32) & (EXPECTATION_BUCKETS - 1)) * 4;
}

/** Same target: address, port, protocol, family (as bytes of Tuple and Expectation lie). */
function same_target(a: usize, b: usize): bool {
  return load<u64>(a, 16) == load<u64>(b, 16) && load<u64>(a, 24) == load<u64>(b, 24) && load<u32>(a, 34) == load<u32>(b, 34);
}

/** Is the source of `t` the one of `e`, as far as these masks tell (nf_ct_tuple_src_mask_cmp())? */
// @ts-ignore: decorator
@inline function source_matches(t: usize, e: Expectation, lo: u64, hi: u64, sport: u32): bool {
  if (((load<u16>(t, 32) ^ e.sport) & sport) != 0) return false;
  return ((load<u64>(t) ^ e.src_lo) & lo) == 0 && ((load<u64>(t, 8) ^ e.src_hi) & hi) == 0;
}

/** Expectation in the making, number 0 or 1, cleared. Its master and what it expects are the helper's to fill in. */
export function new_expectation(w: World, number: u32): Expectation {
  const at = <usize>w.helping + offsetof<Helping>() + <usize>number * SIZE;
  memory.fill(at, 0, SIZE);
  return changetype<Expectation>(at);
}

/** The source is the source of this tuple alone. */
export function expect_source(e: Expectation, t: Tuple): void {
  e.src_lo = t.src_lo;
  e.src_hi = t.src_hi;
  const v6 = e.l3num == L3.IPV6;
  e.mask_lo = v6 ? <u64>-1 : 0xffffffff;
  e.mask_hi = v6 ? <u64>-1 : 0;
}

/** The target is that of this tuple, and this port. */
export function expect_target(e: Expectation, t: Tuple, dport: u16): void {
  e.dst_lo = t.dst_lo;
  e.dst_hi = t.dst_hi;
  e.dport = dport;
}

/** The source port is this one alone. */
export function expect_sport(e: Expectation, sport: u16): void {
  e.sport = sport;
  e.mask_sport = 0xffff;
}

/**
 * The expectation that the first packet of an entry fulfils, null if there is none. Unless it is permanent it is gone
 * afterwards, and readable until the next one is made (nf_ct_find_expectation()).
 */
export function find_expectation(w: World, flow: Flow, zone: u16): Expectation {
  const h = helping_of(w);
  const none = changetype<Expectation>(0);
  if (h.count == 0) return none;
  const tuple = changetype<usize>(flow);
  let next: usize = load<u32>(bucket_of(h, tuple));
  while (next) {
    const e = changetype<Expectation>(next);
    next = e.next;
    if (e.expires <= w.now || e.flags & ExpectFlag.INACTIVE || e.zone != zone) continue;
    if (!same_target(tuple, changetype<usize>(e))) continue;
    if (!source_matches(tuple, e, e.mask_lo, e.mask_hi, e.mask_sport)) continue;
    const expecting = changetype<Flow>(<usize>changetype<Help>(<usize>e.master).flow);
    if (expecting.expires <= w.now) {
      expire_flow(w, expecting);
      return none;
    }
    if (!(e.flags & ExpectFlag.PERMANENT)) unlink_expectation(w, e, 0, true);
    return e;
  }
  return none;
}

/** Any expectation that `tuple` would fulfil now, null for none; nothing changes (__nf_ct_expect_find()). */
export function look_for_expectation(w: World, tuple: usize, zone: u16): Expectation {
  const h = helping_of(w);
  let next: usize = load<u32>(bucket_of(h, tuple));
  while (next) {
    const e = changetype<Expectation>(next);
    next = e.next;
    if (e.expires <= w.now || e.zone != zone || !same_target(tuple, changetype<usize>(e))) continue;
    if (!source_matches(tuple, e, e.mask_lo, e.mask_hi, e.mask_sport)) continue;
    if (!is_over(w, changetype<Help>(<usize>e.master))) return e;
  }
  return changetype<Expectation>(0);
}

/** Makes an expectation of what a helper has filled in (nf_ct_expect_related()). */
export function expect_related(w: World, e: Expectation): Refused {
  const refused = check(w, e, false);
  if (refused == Refused.NO) insert(w, e);
  return refused;
}

/** As above, but an equal expectation of another entry also counts as this one (NF_CT_EXP_F_SKIP_MASTER). */
export function expect_related_of_any(w: World, e: Expectation): Refused {
  const refused = check(w, e, true);
  if (refused == Refused.NO) insert(w, e);
  return refused;
}

/** May it be made? What it replaces, and the oldest where there are too many, goes (__nf_ct_expect_check()). */
function check(w: World, e: Expectation, skip_master: bool): Refused {
  const h = helping_of(w);
  if (!is_between_the_hosts(e)) h.beyond++;
  const at = changetype<usize>(e);
  let next: usize = load<u32>(bucket_of(h, at));
  while (next) {
    const other = changetype<Expectation>(next);
    next = other.next;
    if (other.expires <= w.now || other.zone != e.zone || !same_target(at, changetype<usize>(other))) continue;
    if (other.master != e.master && is_over(w, changetype<Help>(<usize>other.master))) continue;
    if ((skip_master || other.master == e.master) && equal_source(e, other)) {
      if (other.klass != e.klass || other.master != e.master) return Refused.ALREADY;
      unlink_expectation(w, other, 0, true);
      break;
    }
    const sport = <u32>e.mask_sport & other.mask_sport;
    if (source_matches(at, other, e.mask_lo & other.mask_lo, e.mask_hi & other.mask_hi, sport)) return Refused.CLASH;
  }
  const master = changetype<Help>(<usize>e.master);
  const limit = max_expected(master.helper, e.klass);
  if (limit != 0 && class_count(master, e.klass) >= limit) evict_oldest(w, master, e.klass, limit);
  return h.count >= h.max ? Refused.TOO_MANY : Refused.NO;
}

/** Is it of the two hosts alone between which the connection is that announced it? Others may meet in another lane. */
function is_between_the_hosts(e: Expectation): bool {
  const master = changetype<Help>(<usize>e.master);
  if (e.mask_lo != (e.l3num == L3.IPV6 ? <u64>-1 : 0xffffffff) || (e.l3num == L3.IPV6 && e.mask_hi != <u64>-1)) return false;
  const along = (e.src_lo ^ master.src_lo) | (e.src_hi ^ master.src_hi) | (e.dst_lo ^ master.dst_lo) | (e.dst_hi ^ master.dst_hi);
  const back = (e.src_lo ^ master.dst_lo) | (e.src_hi ^ master.dst_hi) | (e.dst_lo ^ master.src_lo) | (e.dst_hi ^ master.src_hi);
  return along == 0 || back == 0;
}

/** Has an entry expired, though nobody has come across it yet? What it expects is over, too. */
// @ts-ignore: decorator
@inline function is_over(w: World, master: Help): bool {
  const flow = changetype<Flow>(<usize>master.flow);
  return (flow.status & Status.CONFIRMED) != 0 && flow.expires <= w.now;
}

function equal_source(a: Expectation, b: Expectation): bool {
  return a.src_lo == b.src_lo && a.src_hi == b.src_hi && a.sport == b.sport && a.mask_lo == b.mask_lo && a.mask_hi == b.mask_hi &&
    a.mask_sport == b.mask_sport;
}

/** Makes room in a class: what has expired goes, then, if need be, the oldest (evict_oldest_expect()). */
function evict_oldest(w: World, master: Help, klass: u32, limit: u32): void {
  let last = changetype<Expectation>(0);
  let next: usize = master.expectations;
  while (next) {
    const e = changetype<Expectation>(next);
    next = e.sibling;
    if (e.expires <= w.now) unlink_expectation(w, e, w.now, false);
    else if (e.klass == klass) last = e;
  }
  if (changetype<usize>(last) && class_count(master, klass) >= limit) unlink_expectation(w, last, 0, true);
}

// @ts-ignore: decorator
@inline function class_count(master: Help, klass: u32): u32 {
  return load<u8>(changetype<usize>(master) + offsetof<Help>("expecting") + klass);
}

// @ts-ignore: decorator
@inline function count_class(e: Expectation, change: i32): void {
  const at = <usize>e.master + offsetof<Help>("expecting") + e.klass;
  store<u8>(at, <u8>(<i32>load<u8>(at) + change));
}

function insert(w: World, made: Expectation): void {
  const h = helping_of(w);
  let at: usize = h.expectations_free;
  if (at) {
    h.expectations_free = changetype<Expectation>(at).next;
  } else {
    at = h.expectations_top;
    assert(at + SIZE <= <usize>h.expectations_end, "there is a record for each expectation that there may be");
    h.expectations_top = <u32>(at + SIZE);
  }
  memory.copy(at, changetype<usize>(made), SIZE);
  const e = changetype<Expectation>(at);
  const master = changetype<Help>(<usize>e.master);
  e.expires = w.now + <u64>timeout_s(w, master.helper, e.klass) * SECOND;
  h.made++;
  h.last_id = max(h.last_id + 1, w.number * EXPECTATION_IDS);
  e.id = h.last_id;
  const head = bucket_of(h, at);
  e.next = load<u32>(head);
  store<u32>(head, <u32>at);
  e.sibling = master.expectations;
  master.expectations = <u32>at;
  count_class(e, 1);
  if (h.count == 0 || e.expires < h.next_expiry) h.next_expiry = e.expires;
  h.count++;
  if (w.trace) trace_expect(w, e);
  expectation_event(w, e, EventKind.EXPECT_NEW, w.now, true);
}

/**
 * Ends an expectation: because of the packet in work, or at `when`; one that had expired before at its own expiry. The
 * record stays readable until the next one is made.
 */
export function unlink_expectation(w: World, e: Expectation, when: u64, by_packet: bool): void {
  const h = helping_of(w);
  const master = changetype<Help>(<usize>e.master);
  take_out(bucket_of(h, changetype<usize>(e)), offsetof<Expectation>("next"), e);
  take_out(changetype<usize>(master) + offsetof<Help>("expectations"), offsetof<Expectation>("sibling"), e);
  count_class(e, -1);
  h.count--;
  const end = by_packet ? w.now : when;
  if (e.expires <= end) expectation_event(w, e, EventKind.EXPECT_DESTROY, e.expires, false);
  else expectation_event(w, e, EventKind.EXPECT_DESTROY, end, by_packet);
  e.id = 0;
  e.next = h.expectations_free;
  h.expectations_free = <u32>changetype<usize>(e);
}

/** Takes `e` out of the chain that begins in the word at `head` and goes on at `offset` of its members. */
function take_out(head: usize, offset: usize, e: Expectation): void {
  let at = head;
  while (load<u32>(at) != <u32>changetype<usize>(e)) at = <usize>load<u32>(at) + offset;
  store<u32>(at, load<u32>(changetype<usize>(e) + offset));
}

/** May the packet in work make as many as there may be? Those that have expired do not count. */
export function expectations_may_run_out(w: World): bool {
  const h = helping_of(w);
  return h.count + <u32>EXPECTATION_IDS > h.max;
}

/** Lets the expectations expire that are due at `now`. False if the event area filled up: call again. */
export function sweep_expectations(w: World, now: u64): bool {
  const h = helping_of(w);
  if (h.count == 0 || h.next_expiry > now) return true;
  let earliest: u64 = <u64>-1;
  for (let at: usize = h.expectations; at < <usize>h.expectations_top; at += SIZE) {
    const e = changetype<Expectation>(at);
    if (e.id == 0) continue;
    if (e.expires > now) {
      earliest = min(earliest, e.expires);
      continue;
    }
    if (!has_room(w, 1)) return false;
    unlink_expectation(w, e, now, false);
  }
  h.next_expiry = earliest;
  return true;
}

/** Is there room for `count` more events? */
export function has_room(w: World, count: usize): bool {
  return w.events == 0 || <usize>w.events_end - w.events_top >= count * offsetof<Event>();
}

/** The first expectation at or behind `at`, 0 if there is none: walks the table (0 begins). */
export function next_expectation(world: usize, at: usize): usize {
  const w = changetype<World>(world);
  if (w.helping == 0) return 0;
  const h = helping_of(w);
  if (at == 0) at = h.expectations;
  for (; at < <usize>h.expectations_top; at += SIZE) {
    if (changetype<Expectation>(at).id) return at;
  }
  return 0;
}
