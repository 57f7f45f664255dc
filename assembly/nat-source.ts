// Which entries come from the same source? They are mapped alike, whatever they are sent to.
//
// Every entry that passed source NAT, changed or not, hangs in the bucket of its original source, the newest first
// (kernel: nf_nat_bysource). Which entries share a bucket does not matter: only those of one source are looked at.

import { flow_number, numbered_flow } from "./flow-pool";
import { BucketNode, Flow, Nat, Tuple, World } from "./layout";
import { tuple_invert } from "./tuple";
import { Status } from "./vocabulary";

const NODE: usize = offsetof<BucketNode>();

// @ts-ignore: decorator
@inline function nat_of(w: World): Nat {
  return changetype<Nat>(<usize>w.nat);
}

function bucket_of(n: Nat, t: Tuple): usize {
  let h = (t.src_lo ^ (t.src_hi * 0xff51afd7ed558ccd)) * 0x9e3779b97f4a7c15;
  h = (h ^ (h >> 32) ^ t.sport ^ (<u64>t.protonum << 16)) * 0x9e3779b97f4a7c15;
  return <usize>n.sources + ((<usize>(h >> 32)) & <usize>n.sources_mask) * 4;
}

// @ts-ignore: decorator
@inline function node_of(w: World, n: Nat, flow: Flow): BucketNode {
  return changetype<BucketNode>(<usize>n.sources_nodes + flow_number(w, flow) * NODE);
}

/** Remembers where an entry that joins the table comes from. */
export function source_insert(w: World, flow: Flow): void {
  if (!(flow.status & Status.SRC_NAT_DONE)) return;
  const n = nat_of(w);
  const node = node_of(w, n, flow);
  const head = bucket_of(n, changetype<Tuple>(changetype<usize>(flow)));
  const first = load<u32>(head);
  node.next = first;
  node.from = <u32>head;
  if (first) changetype<BucketNode>(<usize>first).from = <u32>changetype<usize>(node);
  store<u32>(head, <u32>changetype<usize>(node));
}

/** Forgets an entry that leaves the table. */
export function source_remove(w: World, flow: Flow): void {
  if (!(flow.status & Status.SRC_NAT_DONE)) return;
  const node = node_of(w, nat_of(w), flow);
  store<u32>(node.from, node.next);
  if (node.next) changetype<BucketNode>(<usize>node.next).from = node.from;
}

/** Reads what source_remove() will write. Returns something that depends on all of it. */
export function source_touch(w: World, flow: Flow): u64 {
  if (!(flow.status & Status.SRC_NAT_DONE)) return 0;
  const node = node_of(w, nat_of(w), flow);
  return load<u32>(node.from) ^ load<u32>(node.next);
}

/** Is an entry's zone one of the original direction alone? Those are not filed with the others of the zone (hash_by_src()). */
function is_halved(flow: Flow): bool {
  return flow.zone != 0 && flow.reply_zone != flow.zone;
}

/**
 * The next entry of the source of `t`, a tuple of the entry that is begun, behind `node` (0: the newest), and its mapping of that
 * source in `mapped`, whose other half is that of `t`. Returns its node, 0 if there is none (kernel: find_appropriate_src()).
 */
export function next_mapping(w: World, t: Tuple, begun: Flow, mapped: Tuple, node: usize): usize {
  const n = nat_of(w);
  let at: usize = node ? changetype<BucketNode>(node).next : load<u32>(bucket_of(n, t));
  for (; at; at = changetype<BucketNode>(at).next) {
    const flow = numbered_flow(w, (at - <usize>n.sources_nodes) / NODE);
    if (flow.src_lo != t.src_lo || flow.src_hi != t.src_hi || flow.sport != t.sport) continue;
    if (flow.protonum != t.protonum || flow.l3num != t.l3num || flow.expires <= w.now) continue;
    if (flow.zone != t.zone || is_halved(flow) != is_halved(begun)) continue;
    tuple_invert(mapped, changetype<Tuple>(changetype<usize>(flow) + offsetof<Flow>("reply_src_lo")));
    mapped.dst_lo = t.dst_lo;
    mapped.dst_hi = t.dst_hi;
    mapped.dport = t.dport;
    mapped.zone = t.zone;
    return at;
  }
  return 0;
}
