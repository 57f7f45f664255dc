// Which packet was this, a moment ago? A memory that forgets: after a second of capture time, and after RECENT_MAX packets.
//
// Both limits count in what the captures hold, so that nothing that follows from a find depends on the machine or on how
// packets are dealt to lanes. Buckets are chosen by a seeded hash: no capture can be built to fill one of them.

import { Recent, RECENT_MAX, RecentEntry } from "./layout";
import { seeded } from "./tuple";

/** How long a packet is remembered, ns. */
const RECENT_NS: u64 = 1_000_000_000;

// @ts-ignore: decorator
@inline function entry_at(r: Recent, position: u32): RecentEntry {
  return changetype<RecentEntry>(<usize>r.entries + <usize>(position & (RECENT_MAX - 1)) * offsetof<RecentEntry>());
}

// @ts-ignore: decorator
@inline function bucket_of(r: Recent, key: u64): usize {
  return <usize>r.buckets + <usize>(<u32>seeded(key) & (RECENT_MAX - 1)) * 4;
}

/** Remembers packet `number` of the time `clock`. */
export function remember(r: Recent, key: u64, clock: u64, number: u64): void {
  const bucket = bucket_of(r, key);
  // Position 0 means none.
  const position = r.top == u32.MAX_VALUE ? 1 : r.top + 1;
  r.top = position;
  const entry = entry_at(r, position);
  entry.key = key;
  entry.clock = clock;
  entry.number = number;
  entry.position = position;
  entry.next = load<u32>(bucket);
  store<u32>(bucket, position);
}

/** The number of the newest packet with this key, which is forgotten with that; 0 if none is remembered. */
export function recall(r: Recent, key: u64, clock: u64, number: u64): u64 {
  let from = bucket_of(r, key);
  for (let position = load<u32>(from); position != 0; position = load<u32>(from)) {
    const entry = entry_at(r, position);
    // Overwritten since: so is everything older.
    if (entry.position != position) return 0;
    if (entry.clock + RECENT_NS < clock || entry.number + RECENT_MAX <= number) return 0;
    if (entry.key == key) {
      store<u32>(from, entry.next);
      return entry.number;
    }
    from = changetype<usize>(entry) + offsetof<RecentEntry>("next");
  }
  return 0;
}
