// Which lane does a packet belong to? All that can touch the same state must meet in one.
//
// The key is the flow (tuple), or where helpers expect flows the two hosts (pair). Both directions have the same key, and
// ICMP errors that of the packet they quote. What quotes nothing that could be read, or has no transport, is tracked by
// nobody, but the host may answer it, and what leaves soon after must be known in the same lane (sight.ts).
//
// A shard table says it: u8[SHARDS], the lane of each shard, then a u8, 1 if the key is the pair.

import { Packet, Tuple } from "./layout";
import { quoted_tuple } from "./packet";
import { pair_hash, tuple_hash } from "./tuple";
import { PacketFlag, Reason } from "./vocabulary";

const SHARD_BITS: u32 = 12;
/** Shards: far more than lanes, so that load can be dealt evenly. */
export const SHARDS: u32 = 1 << SHARD_BITS;

/**
 * The lane of a key. Its high bits choose the shard, and lanes have shards that lie beside each other: the low bits choose a bucket
 * of the index (flow-index.ts), and a lane whose hashes had some of these in common would leave most of its buckets empty.
 */
// @ts-ignore: decorator
@inline function lane_of_key(table: usize, key: u32): u32 {
  return load<u8>(table + (key >> (32 - SHARD_BITS)));
}

/** The key of a run whose shard table this is: does it deal by pairs? */
// @ts-ignore: decorator
@inline export function deals_pairs(table: usize): bool {
  return load<u8>(table + SHARDS) != 0;
}

/** The lane of a decoded packet; `pairs`: deals_pairs(). */
// @ts-ignore: decorator
@inline export function lane_of(table: usize, p: Packet, pairs: bool): u32 {
  return lane_of_key(table, pairs ? pair_of(p) : p.hash);
}

/** The lane of an entry by the tuple of one of its directions. */
export function lane_of_tuple(table: usize, tuple: usize): u32 {
  const t = changetype<Tuple>(tuple);
  return lane_of_key(table, deals_pairs(table) ? pair_hash(t) : tuple_hash(t));
}

/** A tuple's worth of memory of this instance's own. */
let quoted_scratch: usize = 0;

export function set_quoted_scratch(at: usize): void {
  quoted_scratch = at;
}

/** The pair whose state the packet may touch; 1 if it can touch none. */
function pair_of(p: Packet): u32 {
  if (p.l4 == 0) return 1;
  if (!(p.flags & PacketFlag.ICMP_ERROR)) return pair_hash(changetype<Tuple>(p));
  const quoted = changetype<Tuple>(quoted_scratch);
  return quoted_tuple(quoted, p) == Reason.NONE ? pair_hash(quoted) : 1;
}
