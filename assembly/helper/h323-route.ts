// Does a forwarded call stay on the caller's side, so that it never comes by here? (callforward_do_filter())
//
// So it is if both are reached by the same next hop. Without routes everybody is a neighbour, his own next hop.

import { be32, be64 } from "../bytes";
import { Expectation, NextHop, World } from "../layout";
import { HopKind, L3 } from "../vocabulary";
import { h323_of } from "./h323";

/** Are source and target of an expectation reached by the same next hop? */
export function stays_on_its_side(w: World, e: Expectation): bool {
  const target = next_hop(w, e.l3num, changetype<usize>(e) + offsetof<Expectation>("dst_lo"));
  if (target == HopKind.NONE || target != next_hop(w, e.l3num, changetype<usize>(e))) return false;
  return target != HopKind.NEIGHBOUR || (e.dst_lo == e.src_lo && e.dst_hi == e.src_hi);
}

/** HopKind of the address at `address`, or the number of its next hop. */
function next_hop(w: World, l3num: u32, address: usize): u32 {
  const v6 = l3num == L3.IPV6;
  const hi = v6 ? be64(address) : 0;
  const lo = v6 ? be64(address + 8) : <u64>be32(address);
  const h = h323_of(w);
  let low: u32 = 0;
  let high = v6 ? h.hops6_count : h.hops4_count;
  if (high == 0) return HopKind.NEIGHBOUR;
  const hops: usize = v6 ? h.hops6 : h.hops4;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    const hop = changetype<NextHop>(hops + <usize>middle * offsetof<NextHop>());
    if (hop.start_hi < hi || (hop.start_hi == hi && hop.start_lo <= lo)) low = middle;
    else high = middle;
  }
  return changetype<NextHop>(hops + <usize>low * offsetof<NextHop>()).hop;
}
