// Where does a connection go that a helper has expected? It is bound when its entry is begun, before any rule sees it, so that
// both ends meet as they were told. Kernel: the expectfn of expectations, net/netfilter/nf_nat_helper.c.

import { bswap16 } from "./bytes";
import { tuple_of } from "./helper/helper";
import { Expectation, Flow, Help, NatRange, Packet, World } from "./layout";
import { fresh_range, nat_of, nat_setup, set_address } from "./nat";
import { Manip } from "./nat-tuple";
import { ExpectNat, NatFlag } from "./vocabulary";

/** Binds a new entry as its expectation says; its status says already that it was expected. */
export function nat_expected(w: World, p: Packet, flow: Flow, e: Expectation): void {
  if (e.follow == ExpectNat.MASTER) follow_master(w, p, flow, e);
}

/** The entry that expects. */
// @ts-ignore: decorator
@inline function master_of(e: Expectation): Flow {
  return changetype<Flow>(<usize>changetype<Help>(<usize>e.master).flow);
}

/** It comes from where the master's packets go, and goes to whoever announced it (nf_nat_follow_master()). */
function follow_master(w: World, p: Packet, flow: Flow, e: Expectation): void {
  const other = tuple_of(master_of(e), e.dir ^ 1);
  nat_setup(w, p, flow, range_of(w, other.dst_lo, other.dst_hi), Manip.SRC);
  const target = range_of(w, other.src_lo, other.src_hi);
  set_port(target, e.saved_proto);
  nat_setup(w, p, flow, target, Manip.DST);
}

function range_of(w: World, lo: u64, hi: u64): NatRange {
  const range = fresh_range(nat_of(w), NatFlag.MAP_IPS);
  set_address(range, lo, hi);
  return range;
}

/** The port (or call id, in wire order) is this one alone. */
function set_port(range: NatRange, port: u16): void {
  range.flags |= <u8>NatFlag.PROTO_SPECIFIED;
  range.min_proto = <u16>bswap16(port);
  range.max_proto = range.min_proto;
}
