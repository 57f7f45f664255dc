// Where does a connection go that a helper has expected? It is bound when its entry is begun, before any rule sees it, so that
// both ends meet as they were told. Kernel: the expectfn of expectations, net/netfilter/nf_nat_helper.c.

import { bswap16 } from "./bytes";
import { tuple_of } from "./helper/helper";
import { SipClass } from "./helper/policy";
import { Expectation, Flow, Help, NatRange, Packet, World } from "./layout";
import { fresh_range, nat_of, nat_setup, set_address } from "./nat";
import { Manip } from "./nat-tuple";
import { Dir, ExpectNat, NatFlag } from "./vocabulary";

/** Binds a new entry as its expectation says; its status says already that it was expected. */
export function nat_expected(w: World, p: Packet, flow: Flow, e: Expectation): void {
  if (e.follow == ExpectNat.MASTER) follow_master(w, p, flow, e);
  else if (e.follow == ExpectNat.SIP) follow_sip(w, p, flow, e);
  else if (e.follow == ExpectNat.CALL) follow_call(w, p, flow, e);
  else if (e.follow == ExpectNat.FORWARDED) follow_forwarded(w, p, flow, e);
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

/** As its control connection; the client's call id is one thing to the client and another to the server (pptp_nat_expected()). */
function follow_call(w: World, p: Packet, flow: Flow, e: Expectation): void {
  const other = tuple_of(master_of(e), e.dir ^ 1);
  const source = range_of(w, other.dst_lo, other.dst_hi);
  if (e.dir == Dir.ORIGINAL) set_port(source, e.saved_proto);
  nat_setup(w, p, flow, source, Manip.SRC);
  const target = range_of(w, other.src_lo, other.src_hi);
  if (e.dir == Dir.REPLY) set_port(target, e.saved_proto);
  nat_setup(w, p, flow, target, Manip.DST);
}

/**
 * It goes to what the message had announced. Media comes from where the other end expects its own; what comes from the
 * announcer's peer comes from where that one's packets do; all else as the rules say (nf_nat_sip_expected()).
 */
function follow_sip(w: World, p: Packet, flow: Flow, e: Expectation): void {
  const target = range_of(w, e.saved_lo, e.saved_hi);
  set_port(target, e.saved_proto);
  nat_setup(w, p, flow, target, Manip.DST);
  const pair = e.klass == SipClass.SIGNALLING ? 0 : paired(flow, e);
  if (pair) {
    const own = changetype<Expectation>(pair);
    const source = range_of(w, own.dst_lo, own.dst_hi);
    set_port(source, own.dport);
    nat_setup(w, p, flow, source, Manip.SRC);
    return;
  }
  const sender = tuple_of(master_of(e), e.dir);
  if (flow.src_lo != sender.src_lo || flow.src_hi != sender.src_hi) return;
  const other = tuple_of(master_of(e), e.dir ^ 1);
  nat_setup(w, p, flow, range_of(w, other.dst_lo, other.dst_hi), Manip.SRC);
}

/**
 * It goes to what the message had announced; what the announcer's peer calls, it calls as the gateway
 * (ip_nat_callforwarding_expect()).
 */
function follow_forwarded(w: World, p: Packet, flow: Flow, e: Expectation): void {
  const own = tuple_of(flow, e.dir ^ 1);
  nat_setup(w, p, flow, range_of(w, own.src_lo, own.src_hi), Manip.SRC);
  const target = range_of(w, e.saved_lo, e.saved_hi);
  set_port(target, e.saved_proto);
  nat_setup(w, p, flow, target, Manip.DST);
}

/** What the same master expects to come back to where this comes from, 0 for nothing. */
function paired(flow: Flow, e: Expectation): usize {
  let next: usize = changetype<Help>(<usize>e.master).expectations;
  while (next) {
    const other = changetype<Expectation>(next);
    if (
      other.l3num == flow.l3num && other.protonum == flow.protonum && other.saved_proto == flow.sport &&
      other.saved_lo == flow.src_lo && other.saved_hi == flow.src_hi
    ) break;
    next = other.sibling;
  }
  return next;
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
