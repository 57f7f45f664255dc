// What happens when the table has as many entries as it may have (nf_conntrack_max)?
// Kernel: __nf_conntrack_alloc(), early_drop() and early_drop_list() in net/netfilter/nf_conntrack_core.c.
//
// The kernel looks for room in eight buckets of its hash table, beginning with the new packet's own: in the first of them
// that has entries that are not ASSURED, all of those go. If none has, the packet is dropped. With a small limit and many
// buckets the eight are nearly always empty; with as many buckets as entries they nearly always hold something.
//
// To behave like that in numbers too, the same buckets are kept here: each entry sits in those of its two directions.
// Only which entries share a bucket differs, because the kernel's hash has a random key and this one has none.

import { evict_flow } from "./conntrack";
import { flow_number, flow_tuple, numbered_flow } from "./flow-pool";
import { BucketNode, Flow, Limits, Packet, Tuple, World } from "./layout";
import { Dir, Status } from "./vocabulary";

/** Buckets that are searched (NF_CT_EVICTION_RANGE). */
const EVICTION_RANGE: u32 = 8;

/**
 * Most entries that one packet evicts. The kernel has no bound; a bucket holds two nodes on the average, and 24 in one
 * out of 10^18.
 */
export const EVICTIONS_MAX: usize = 24;

const NODE: usize = offsetof<BucketNode>();

// @ts-ignore: decorator
@inline function limits_of(w: World): Limits {
  return changetype<Limits>(<usize>w.limits);
}

/** Has the table no place for another entry? */
export function table_is_full(w: World): bool {
  return w.flow_count >= limits_of(w).max;
}

/** The bucket of one direction of an entry (kernel: hash_conntrack_raw(), reciprocal_scale()). */
function bucket_of(l: Limits, t: Tuple): u32 {
  const tuple = changetype<usize>(t);
  let h: u64 = 0;
  for (let offset: usize = 0; offset < offsetof<Tuple>(); offset += 8) {
    h = (h ^ load<u64>(tuple + offset)) * 0x9e3779b97f4a7c15;
    h ^= h >> 29;
  }
  h *= 0xff51afd7ed558ccd;
  return <u32>(((h >> 32) * <u64>l.bucket_count) >> 32);
}

// @ts-ignore: decorator
@inline function node_of(w: World, flow: Flow, dir: u32): BucketNode {
  return changetype<BucketNode>(<usize>limits_of(w).nodes + (flow_number(w, flow) * 2 + dir) * NODE);
}

/** Puts an entry that joins the table at the head of its buckets. */
export function limit_insert(w: World, flow: Flow): void {
  const l = limits_of(w);
  for (let dir: u32 = 0; dir < 2; dir++) {
    const node = node_of(w, flow, dir);
    const head: usize = <usize>l.buckets + <usize>bucket_of(l, flow_tuple(w, flow, dir)) * 4;
    const first = load<u32>(head);
    node.next = first;
    node.from = <u32>head;
    if (first) changetype<BucketNode>(<usize>first).from = <u32>changetype<usize>(node);
    store<u32>(head, <u32>changetype<usize>(node));
  }
}

/** Takes an entry that leaves the table out of its buckets. */
export function limit_remove(w: World, flow: Flow): void {
  for (let dir: u32 = 0; dir < 2; dir++) {
    const node = node_of(w, flow, dir);
    store<u32>(node.from, node.next);
    if (node.next) changetype<BucketNode>(<usize>node.next).from = node.from;
  }
}

/** Reads what limit_remove() will write. Returns something that depends on all of it. */
export function limit_touch(w: World, flow: Flow): u64 {
  let seen: u64 = 0;
  for (let dir: u32 = 0; dir < 2; dir++) {
    const node = node_of(w, flow, dir);
    seen ^= load<u32>(node.from) ^ load<u32>(node.next);
  }
  return seen;
}

/** Makes room for the entry that a packet is about to begin. False if the packet has to be dropped. */
export function early_drop(w: World, begun: Flow, p: Packet): bool {
  if (!table_is_full(w)) return true;
  const l = limits_of(w);
  let bucket = bucket_of(l, flow_tuple(w, begun, Dir.ORIGINAL));
  for (let i: u32 = 0; i < EVICTION_RANGE; i++) {
    if (evict_bucket(w, <usize>l.buckets + <usize>bucket * 4, p)) return true;
    bucket = bucket + 1 == l.bucket_count ? 0 : bucket + 1;
  }
  return false;
}

/** Evicts the entries of a bucket that are not ASSURED. True if there were any. */
function evict_bucket(w: World, head: usize, p: Packet): bool {
  const nodes: usize = limits_of(w).nodes;
  let evicted: usize = 0;
  let at: usize = load<u32>(head);
  while (at && evicted < EVICTIONS_MAX) {
    const number = (at - nodes) / (NODE * 2);
    const flow = numbered_flow(w, number);
    let next: usize = changetype<BucketNode>(at).next;
    // The other direction may be the next node of the same bucket.
    if (next && (next - nodes) / (NODE * 2) == number) next = changetype<BucketNode>(next).next;
    if (!(flow.status & Status.ASSURED)) {
      evict_flow(w, flow, p);
      w.early_dropped++;
      evicted++;
    }
    at = next;
  }
  return evicted > 0;
}
