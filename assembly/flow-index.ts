// The index of the connection table: which entries have this hash?
//
// Linear hashing over buckets of a cache line: seven tags that two vector comparisons look through at once, the values
// that belong to them, and the address of an overflow bucket for the one bucket in twenty that has more than seven. So a
// look-up touches one line, and where in it an entry lies is never guessed by a branch.
//
// The index grows by one bucket with every four values: bucket number `count` takes its half of the values of the
// bucket whose turn it is. There is no second index and no moment at which everything is moved.

import { BUCKET_VALUES, IndexBucket, World } from "./layout";

const BUCKET: usize = offsetof<IndexBucket>();
const VALUES: usize = offsetof<IndexBucket>("value_0");
const ALL: u32 = (1 << BUCKET_VALUES) - 1;
/** Mean of the values in a bucket: 16 bytes of index for each, and few overflow buckets. */
const LOAD: u32 = 4;

/** The bucket that values of this hash begin in. */
// @ts-ignore: decorator
@inline export function bucket_of(w: World, hash: u32): usize {
  const mask = w.index_mask;
  const wide = hash & mask;
  // Buckets that were not split yet still hold the values of those that are to come.
  return <usize>w.index + <usize>select(wide & (mask >> 1), wide, wide >= w.index_count) * BUCKET;
}

/** A bit for each place of a bucket whose tag is `tag`; 0 finds those that are free. */
// @ts-ignore: decorator
@inline export function places_of(bucket: usize, tag: u32): u32 {
  const wanted = i32x4.splat(tag);
  const low = i32x4.bitmask(i32x4.eq(v128.load(bucket), wanted));
  const high = i32x4.bitmask(i32x4.eq(v128.load(bucket, 16), wanted));
  return (low | (high << 4)) & ALL;
}

/** The value at the first of these places. Behind the last place lies the address of the overflow bucket. */
// @ts-ignore: decorator
@inline export function value_at(bucket: usize, places: u32): u32 {
  return load<u32>(bucket + (<usize>ctz(places) << 2), VALUES);
}

/** The next bucket of a chain, 0 at its end. */
// @ts-ignore: decorator
@inline export function overflow_of(bucket: usize): usize {
  return changetype<IndexBucket>(bucket).overflow;
}

/**
 * What a look-up of this hash will read next, once its bucket is at hand: an entry, or the overflow bucket if none fits
 * (0 without one, which is a readable address).
 */
// @ts-ignore: decorator
@inline export function likely_value(bucket: usize, hash: u32): u32 {
  return value_at(bucket, places_of(bucket, hash) | (1 << BUCKET_VALUES));
}

/** Puts a value under a hash, which is never 0. False if there is no room. */
export function index_insert(w: World, hash: u32, value: u32): bool {
  if (w.index_used >= w.index_count * LOAD) split(w);
  const home = bucket_of(w, hash);
  const places = places_of(home, 0);
  if (places) put(home, places, hash, value);
  else if (!place(w, home, hash, value)) return false;
  w.index_used++;
  return true;
}

/** Takes a value out that is in the index. */
export function index_remove(w: World, hash: u32, value: u32): void {
  const home = bucket_of(w, hash);
  let bucket = home;
  let places = places_of(bucket, hash);
  while (true) {
    while (places && value_at(bucket, places) != value) places &= places - 1;
    if (places) break;
    bucket = overflow_of(bucket);
    assert(bucket != 0, "a value that is taken out is in the index");
    places = places_of(bucket, hash);
  }
  const hole = bucket + (<usize>ctz(places) << 2);
  store<u32>(hole, 0);
  w.index_used--;
  const first = overflow_of(home);
  if (first) close_gap(w, home, first, bucket == first ? 0 : hole);
}

/**
 * Fills a hole (0: none) in a chain from its first overflow bucket, the only one that may have holes, and frees that if it is
 * empty.
 */
function close_gap(w: World, home: usize, first: usize, hole: usize): void {
  const filled = places_of(first, 0) ^ ALL;
  if (hole) {
    const from = first + (<usize>ctz(filled) << 2);
    store<u32>(hole, load<u32>(from));
    store<u32>(hole, load<u32>(from, VALUES), VALUES);
    store<u32>(from, 0);
  }
  if (places_of(first, 0) != ALL) return;
  changetype<IndexBucket>(home).overflow = changetype<IndexBucket>(first).overflow;
  release(w, first);
}

/** Puts a value into the first of these places of a bucket. */
// @ts-ignore: decorator
@inline function put(bucket: usize, places: u32, hash: u32, value: u32): void {
  const at = bucket + (<usize>ctz(places) << 2);
  store<u32>(at, hash);
  store<u32>(at, value, VALUES);
}

/** Puts a value into the chain of a bucket. */
function place(w: World, home: usize, hash: u32, value: u32): bool {
  let bucket = home;
  let places = places_of(bucket, 0);
  if (places == 0) {
    bucket = overflow_of(home);
    places = bucket ? places_of(bucket, 0) : 0;
    if (places == 0) {
      bucket = allocate(w);
      if (bucket == 0) return false;
      changetype<IndexBucket>(bucket).overflow = changetype<IndexBucket>(home).overflow;
      changetype<IndexBucket>(home).overflow = <u32>bucket;
      places = ALL;
    }
  }
  put(bucket, places, hash, value);
  return true;
}

/** An empty overflow bucket; 0 if there is none left. */
function allocate(w: World): usize {
  const bucket: usize = w.overflow_free;
  if (bucket) {
    w.overflow_free = changetype<IndexBucket>(bucket).overflow;
    return bucket;
  }
  if (w.overflow_top == w.overflow_end) return 0;
  w.overflow_top += <u32>BUCKET;
  return w.overflow_top - <u32>BUCKET;
}

function release(w: World, bucket: usize): void {
  changetype<IndexBucket>(bucket).overflow = w.overflow_free;
  w.overflow_free = <u32>bucket;
}

/** Adds a bucket, which takes over what belongs to it, if there is room for one. */
function split(w: World): void {
  const count = w.index_count;
  const bit = (w.index_mask >> 1) + 1;
  const old = <usize>w.index + <usize>(count - bit) * BUCKET;
  let rest = overflow_of(old);
  // Two chains never need more overflow buckets than the one they come from, but for one while they are made.
  const spare = w.overflow_free != 0 || w.overflow_top != w.overflow_end;
  if (count == w.index_max || (rest != 0 && !spare)) return;
  w.index_count = count + 1;
  if (count == w.index_mask) w.index_mask = count * 2 + 1;
  const fresh = <usize>w.index + <usize>count * BUCKET;
  changetype<IndexBucket>(old).overflow = 0;
  // Which values move nobody could guess: each is written to the next place, which it keeps only if it does.
  let to = fresh;
  for (let at = old; at < old + BUCKET_VALUES * 4; at += 4) {
    const tag = load<u32>(at);
    const moves = (tag & bit) != 0;
    store<u32>(to, tag);
    store<u32>(to, load<u32>(at, VALUES), VALUES);
    store<u32>(at, select<u32>(0, tag, moves));
    to += <usize>moves << 2;
  }
  store<u32>(to, 0);
  while (rest) {
    for (let places = places_of(rest, 0) ^ ALL; places; places &= places - 1) {
      const at = rest + (<usize>ctz(places) << 2);
      place(w, load<u32>(at) & bit ? fresh : old, load<u32>(at), load<u32>(at, VALUES));
      store<u32>(at, 0);
    }
    const next = overflow_of(rest);
    release(w, rest);
    rest = next;
  }
}
