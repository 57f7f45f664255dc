// Looking up keys in sets and maps: those of the ruleset, and those that rules fill.
// Kernel: net/netfilter/nft_set_hash.c, nft_set_rbtree.c, nft_set_pipapo.c, nft_dynset.c.
//
// Keys are rows of double words that compare as numbers, whatever lay on the wire. What a look-up returns is the address of
// the element's data, which is never 0.

import { KeySet, LiveSet, Packet, World } from "../layout";
import { SetKind } from "../vocabulary";
import { jiffies } from "./jiffies";

/** 2^64 divided by the golden ratio: spreads all bits into the upper ones. */
const SPREAD: u64 = 0x9e3779b97f4a7c15;
const FREE: u64 = 0;
const NEVER: u64 = -1;

/** The data of a key, 0 if the set does not have it. `set`: offset from World.dispatch. */
export function rule_look_up(world: usize, set: u32, key: usize): usize {
  const tables: usize = changetype<World>(world).dispatch;
  const s = changetype<KeySet>(tables + set);
  let found: usize = 0;
  if (s.kind == SetKind.HASH) found = hashed(tables, s, key);
  else if (s.kind == SetKind.RANGES) found = ranged(tables, s, key);
  else found = in_parts(tables, s, key);
  if (found == 0 && s.otherwise) found = tables + s.otherwise;
  return found;
}

function hash(key: usize, words: u32): u32 {
  let h: u64 = 0;
  for (let word: u32 = 0; word < words; word++) {
    h = (h ^ load<u64>(key + (<usize>word << 3))) * SPREAD;
    h ^= h >> 32;
  }
  return <u32>h;
}

function equal(a: usize, b: usize, words: u32): bool {
  for (let word: u32 = 0; word < words; word++) {
    if (load<u64>(a + (<usize>word << 3)) != load<u64>(b + (<usize>word << 3))) return false;
  }
  return true;
}

/** a <= b */
function ordered(a: usize, b: usize, words: u32): bool {
  for (let word: u32 = 0; word < words; word++) {
    const left = load<u64>(a + (<usize>word << 3));
    const right = load<u64>(b + (<usize>word << 3));
    if (left != right) return left < right;
  }
  return true;
}

function hashed(tables: usize, s: KeySet, key: usize): usize {
  const words = s.key_words;
  const size: usize = (1 + words + s.data_words) << 3;
  const mask = s.count;
  const slots = tables + s.elements;
  let slot = hash(key, words) & mask;
  while (true) {
    const at = slots + <usize>slot * size;
    if (load<u64>(at) == 0) return 0;
    if (equal(at + 8, key, words)) return at + 8 + (<usize>words << 3);
    slot = (slot + 1) & mask;
  }
}

/** The last range that starts at or before the key may have it. */
function ranged(tables: usize, s: KeySet, key: usize): usize {
  const words = s.key_words;
  const width: usize = <usize>words << 3;
  const size: usize = ((words << 1) + s.data_words) << 3;
  const first = tables + s.elements;
  if (s.count == 0) return 0;
  let low: u32 = 0;
  for (let left = s.count; left > 1; ) {
    const half = left >> 1;
    if (ordered(first + <usize>(low + half) * size, key, words)) low += half;
    left -= half;
  }
  const at = first + <usize>low * size;
  return ordered(at, key, words) && ordered(key, at + width, words) ? at + (width << 1) : 0;
}

/** The first element of which every part has that of the key. */
function in_parts(tables: usize, s: KeySet, key: usize): usize {
  const width: usize = <usize>s.key_words << 3;
  const size: usize = (width << 1) + (<usize>s.data_words << 3);
  const end = tables + s.elements + <usize>s.count * size;
  for (let at = tables + s.elements; at < end; at += size) {
    let offset: usize = 0;
    let part: u32 = 0;
    for (; part < s.parts_count; part++) {
      const words = load<u32>(tables + s.parts + (<usize>part << 2));
      if (!ordered(at + offset, key + offset, words) || !ordered(key + offset, at + width + offset, words)) break;
      offset += <usize>words << 3;
    }
    if (part == s.parts_count) return at + (width << 1);
  }
  return 0;
}

// @ts-ignore: decorator
@inline function live(world: usize, state: u32): LiveSet {
  return changetype<LiveSet>(<usize>changetype<World>(world).rule_state + state);
}

// @ts-ignore: decorator
@inline function slot_size(s: LiveSet): usize {
  return (1 + s.key_words + s.data_words) << 3;
}

// @ts-ignore: decorator
@inline function slot_at(s: LiveSet, slot: u32): usize {
  return changetype<usize>(s) + offsetof<LiveSet>() + <usize>slot * slot_size(s);
}

/** The slot that has the key, or the free one where it would be put. */
function place_of(s: LiveSet, key: usize): u32 {
  const words = s.key_words;
  let slot = hash(key, words) & s.mask;
  while (true) {
    const at = slot_at(s, slot);
    if (load<u64>(at) == FREE || equal(at + 8, key, words)) return slot;
    slot = (slot + 1) & s.mask;
  }
}

/** The data of a key that has not expired, 0 if there is none. `state`: offset of the LiveSet in World.rule_state. */
export function rule_look_up_live(packet: usize, world: usize, state: u32, key: usize): usize {
  const s = live(world, state);
  const at = slot_at(s, place_of(s, key));
  // Free is long ago, too.
  return load<u64>(at) > jiffies(changetype<Packet>(packet)) ? at + 8 + (<usize>s.key_words << 3) : 0;
}

/**
 * The data of a key, which is added with the data behind `key` if the set does not have it; 0 if it is full. `timeout` in
 * jiffies, 0 for none; with `renew` it begins anew for a key that was there.
 */
export function rule_add(packet: usize, world: usize, state: u32, key: usize, timeout: u64, renew: u32): usize {
  const s = live(world, state);
  const now = jiffies(changetype<Packet>(packet));
  const expires: u64 = timeout ? now + timeout : NEVER;
  let at = slot_at(s, place_of(s, key));
  const data: usize = 8 + (<usize>s.key_words << 3);
  if (load<u64>(at) > now) {
    if (renew && timeout && load<u64>(at) != NEVER) store<u64>(at, expires);
    return at + data;
  }
  if (load<u64>(at) == FREE) {
    if (s.used == s.limit) {
      sweep(s, now);
      if (s.used == s.limit) return 0;
      at = slot_at(s, place_of(s, key));
    }
    s.used++;
  }
  store<u64>(at, expires);
  memory.copy(at + 8, key, slot_size(s) - 8);
  return at + data;
}

/** Takes the key out, if it is there. */
export function rule_remove(world: usize, state: u32, key: usize): void {
  const s = live(world, state);
  const slot = place_of(s, key);
  if (load<u64>(slot_at(s, slot)) != FREE) take_out(s, slot);
}

/** Takes out what has expired. */
function sweep(s: LiveSet, now: u64): void {
  for (let slot: u32 = 0; slot <= s.mask; ) {
    const expires = load<u64>(slot_at(s, slot));
    // What moves into the slot is looked at, too.
    if (expires != FREE && expires <= now) take_out(s, slot);
    else slot++;
  }
}

/** Empties a slot, and moves up what would not be found any more behind it. */
function take_out(s: LiveSet, slot: u32): void {
  const size = slot_size(s);
  let hole = slot;
  let next = slot;
  s.used--;
  while (true) {
    next = (next + 1) & s.mask;
    const at = slot_at(s, next);
    if (load<u64>(at) == FREE) break;
    const home = hash(at + 8, s.key_words) & s.mask;
    if (((next - home) & s.mask) < ((next - hole) & s.mask)) continue;
    memory.copy(slot_at(s, hole), at, size);
    hole = next;
  }
  store<u64>(slot_at(s, hole), FREE);
}
