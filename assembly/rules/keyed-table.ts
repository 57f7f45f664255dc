// Entries by key, in the order of their last use: what -m recent and its like keep in World.keyed.
//
// Fresh memory is zero, so that a table needs no more than its first numbers (src/ruleset/keyed.ts) and costs what is used
// of it.

import { KeyedEntry, KeyedTable, World } from "../layout";
import { tuple_equal, tuple_hash } from "../tuple";

/** The table at an offset of the world's. */
// @ts-ignore: decorator
@inline export function keyed_table(world: usize, offset: u32): usize {
  return <usize>changetype<World>(world).keyed + offset;
}

function bucket_of(t: KeyedTable): usize {
  return changetype<usize>(t) + t.buckets + <usize>(tuple_hash(t.key()) & t.bucket_mask) * 4;
}

/** The entry with the table's key, 0 if there is none. */
export function keyed_find(t: KeyedTable): usize {
  for (let at: usize = load<u32>(bucket_of(t)); at != 0; at = changetype<KeyedEntry>(at).next) {
    if (tuple_equal(at, changetype<usize>(t.key()))) return at;
  }
  return 0;
}

/** A new entry with the table's key, the newest. The caller knows that there is none, and room. */
export function keyed_insert(t: KeyedTable): usize {
  let at: usize = t.free;
  if (at != 0) t.free = changetype<KeyedEntry>(at).next;
  else at = changetype<usize>(t) + t.entries + <usize>(t.top++) * t.entry_bytes;
  memory.copy(at, changetype<usize>(t.key()), offsetof<KeyedEntry>("next"));
  const bucket = bucket_of(t);
  changetype<KeyedEntry>(at).next = load<u32>(bucket);
  store<u32>(bucket, <u32>at);
  link(t, changetype<KeyedEntry>(at));
  t.count++;
  return at;
}

/** Takes an entry out. */
export function keyed_remove(t: KeyedTable, entry: KeyedEntry): void {
  const at = <u32>changetype<usize>(entry);
  let from = changetype<usize>(t) + t.buckets + <usize>(tuple_hash(entry) & t.bucket_mask) * 4;
  while (load<u32>(from) != at) from = <usize>load<u32>(from) + offsetof<KeyedEntry>("next");
  store<u32>(from, entry.next);
  unlink(t, entry);
  entry.next = t.free;
  t.free = at;
  t.count--;
}

/** The entry was used. */
export function keyed_touch(t: KeyedTable, entry: KeyedEntry): void {
  if (entry.newer == 0) return;
  unlink(t, entry);
  link(t, entry);
}

function link(t: KeyedTable, entry: KeyedEntry): void {
  const at = <u32>changetype<usize>(entry);
  entry.older = t.newest;
  entry.newer = 0;
  if (t.newest) changetype<KeyedEntry>(<usize>t.newest).newer = at;
  else t.oldest = at;
  t.newest = at;
}

function unlink(t: KeyedTable, entry: KeyedEntry): void {
  if (entry.older) changetype<KeyedEntry>(<usize>entry.older).newer = entry.newer;
  else t.oldest = entry.newer;
  if (entry.newer) changetype<KeyedEntry>(<usize>entry.newer).older = entry.older;
  else t.newest = entry.older;
}
