// Network address translation: the binding of a flow is made once, by its first packet; every later packet of either
// direction is changed to match the entry. Kernel: net/netfilter/nf_nat_core.c, nf_nat_proto.c.
//
// The binding is the entry's reply tuple: what the answers to the translated packets look like. A packet is changed in
// its record, addresses and ports; its captured bytes stay as they are, because they serve two firewalls. Behind the last
// hook the record shows the captured tuple again, and what it became is in its Translation.

import { ChainVerdict, CtState, Dir, Hook, L3, NatFlag, PacketFlag, Path, Proto, Reason, Status, StepKind } from "./vocabulary";
import { give_again } from "./help";
import { Flow, Nat, NatRange, Packet, Step, Tuple, World } from "./layout";
import { choose_tuple, Manip } from "./nat-tuple";
import { quoted_transport_length, quoted_tuple } from "./packet";
import { keep_quoted } from "./sent";
import { trace_chain, trace_chain_end, trace_nat } from "./trace";
import { has_ports, tuple_equal, tuple_invert } from "./tuple";
import { gre_version } from "./wire/gre";
import { ICMPV6_REDIRECT } from "./wire/icmp";

const ICMP_REDIRECT: u32 = 5;
/** Bytes of a transport header that have to be there for ports, ids or keys to be changed. */
const TRANSPORT_MIN: u32 = 8;
const NAT_MASK: u32 = Status.SRC_NAT | Status.DST_NAT;
const NAT_DONE_MASK: u32 = Status.SRC_NAT_DONE | Status.DST_NAT_DONE;

// @ts-ignore: decorator
@inline export function nat_of(w: World): Nat {
  return changetype<Nat>(<usize>w.nat);
}

// @ts-ignore: decorator
@inline export function manip_of(hook: u32): Manip {
  return hook == Hook.POSTROUTING || hook == Hook.INPUT ? Manip.SRC : Manip.DST;
}

/**
 * NAT at one hook; `step`: its Step, behind which others name further chains. Returns a ChainVerdict; with DROP, p.reason says why if no rule
 * does (kernel: nf_nat_inet_fn(), nf_nat_ipv4_fn(), nf_nat_ipv6_fn()).
 */
export function nat_packet(w: World, p: Packet, hook: u32, step: usize): u32 {
  if (p.flow == 0) return ChainVerdict.ACCEPT;
  const flow = changetype<Flow>(<usize>p.flow);
  const manip = manip_of(hook);
  if (p.ct_state != CtState.ESTABLISHED) {
    if (p.ct_state == CtState.RELATED && p.protonum == (p.l3num == L3.IPV6 ? Proto.ICMPV6 : Proto.ICMP)) {
      return translate_error(w, p, flow, manip);
    }
    const done = manip == Manip.SRC ? Status.SRC_NAT_DONE : Status.DST_NAT_DONE;
    if (!(flow.status & done)) {
      const verdict = bind(w, p, flow, hook, step);
      if (verdict != ChainVerdict.ACCEPT) return verdict;
    }
  }
  if (!is_changed(flow, p.dir, manip) || translate(w, p, flow, manip)) return ChainVerdict.ACCEPT;
  p.reason = <u8>Reason.NAT_UNTRANSLATABLE;
  return ChainVerdict.DROP;
}

/** Are packets of this direction changed where `manip` happens? The answers of a changed source have another target. */
// @ts-ignore: decorator
@inline function is_changed(flow: Flow, dir: u32, manip: u32): bool {
  const bit = (manip == Manip.SRC) == (dir == Dir.ORIGINAL) ? Status.SRC_NAT : Status.DST_NAT;
  return (flow.status & bit) != 0;
}

/** Asks chain after chain what to do with a new flow; one that none of them binds keeps its addresses. */
function bind(w: World, p: Packet, flow: Flow, hook: u32, step: usize): u32 {
  const n = nat_of(w);
  n.hook = hook;
  const rule = p.rule;
  const manip = manip_of(hook);
  const done = manip == Manip.SRC ? Status.SRC_NAT_DONE : Status.DST_NAT_DONE;
  let at = step;
  do {
    const slot = changetype<Step>(at).slot;
    if (w.trace) trace_chain(w, slot);
    const verdict = call_indirect<u32>(slot, changetype<usize>(p), changetype<usize>(w));
    if (w.trace) trace_chain_end(w, verdict, p.rule);
    if (verdict != ChainVerdict.ACCEPT) return verdict;
    at += offsetof<Step>();
  } while (!(flow.status & done) && changetype<Step>(at).kind == StepKind.NAT_CHAIN);
  // What decides about the packet is another table's rule.
  p.rule = rule;
  if (!(flow.status & done)) bind_null(w, p, flow, manip);
  if (w.trace) trace_nat(w, flow, manip);
  return ChainVerdict.ACCEPT;
}

/** The address stays, but the port may have to move (kernel: __nf_nat_alloc_null_binding()). */
function bind_null(w: World, p: Packet, flow: Flow, manip: u32): void {
  const range = fresh_range(nat_of(w), NatFlag.MAP_IPS);
  const reply = changetype<Tuple>(changetype<usize>(flow) + offsetof<Flow>("reply_src_lo"));
  const own = manip == Manip.SRC;
  set_address(range, own ? reply.dst_lo : reply.src_lo, own ? reply.dst_hi : reply.src_hi);
  nat_setup(w, p, flow, range, manip);
}

/** The range for what is made up for one packet, of no address and no port. */
export function fresh_range(n: Nat, flags: u32): NatRange {
  const range = n.range();
  memory.fill(changetype<usize>(range), 0, offsetof<NatRange>());
  range.flags = <u8>flags;
  return range;
}

export function set_address(range: NatRange, lo: u64, hi: u64): void {
  range.min_lo = lo;
  range.min_hi = hi;
  range.max_lo = lo;
  range.max_hi = hi;
}

/** Makes the binding of a new flow in one direction (kernel: nf_nat_setup_info()). */
export function nat_setup(w: World, p: Packet, flow: Flow, range: NatRange, manip: u32): u32 {
  if (flow.status & Status.CONFIRMED) return ChainVerdict.ACCEPT;
  const n = nat_of(w);
  n.draws = manip << 16;
  const current = n.current();
  const chosen = n.chosen();
  const reply = changetype<Tuple>(changetype<usize>(flow) + offsetof<Flow>("reply_src_lo"));
  tuple_invert(current, reply);
  current.zone = flow.zone;
  choose_tuple(w, n, range, flow, p, manip);
  if (!tuple_equal(changetype<usize>(chosen), changetype<usize>(current))) {
    const zone = flow.reply_zone;
    tuple_invert(reply, chosen);
    flow.reply_zone = zone;
    flow.status |= <u16>(manip == Manip.SRC ? Status.SRC_NAT : Status.DST_NAT);
    if (w.helping && !give_again(w, flow, p)) w.table_full = 1;
  }
  flow.status |= <u16>(manip == Manip.SRC ? Status.SRC_NAT_DONE : Status.DST_NAT_DONE);
  return ChainVerdict.ACCEPT;
}

/**
 * Changes one end of the packet to what the other direction of its flow expects. False if its transport cannot be changed
 * (kernel: nf_nat_manip_pkt()).
 */
function translate(w: World, p: Packet, flow: Flow, manip: u32): bool {
  const other = other_direction(flow, p.dir);
  const protonum: u32 = p.protonum;
  if (protonum == Proto.GRE && !gre_is_translatable(p, manip)) return false;
  translate_address(w, p, other, manip);
  if (has_ports(protonum)) {
    if (manip == Manip.SRC) p.sport = other.dport;
    else p.dport = other.sport;
  } else if (protonum == Proto.ICMP || (protonum == Proto.ICMPV6 && icmpv6_has_id(p.dport))) {
    p.sport = other.sport;
  } else if (protonum == Proto.GRE && manip == Manip.DST) {
    p.dport = other.sport;
  }
  return true;
}

/** Eight bytes of header must be there, also where it has four; and no version but 0 and 1 is known (gre_manip_pkt()). */
function gre_is_translatable(p: Packet, manip: u32): bool {
  return p.l4_len >= TRANSPORT_MIN && (manip == Manip.SRC || gre_version(p.l4) <= 1);
}

/** Of ICMPv6 queries only echoes have their id changed (icmpv6_manip_pkt()). */
function icmpv6_has_id(type_and_code: u32): bool {
  const type = type_and_code & 0xff;
  return type == 128 || type == 129;
}

// @ts-ignore: decorator
@inline function other_direction(flow: Flow, dir: u32): Tuple {
  return changetype<Tuple>(changetype<usize>(flow) + (dir == Dir.ORIGINAL ? offsetof<Flow>("reply_src_lo") : 0));
}

function translate_address(w: World, p: Packet, other: Tuple, manip: u32): void {
  keep_captured(w, p);
  if (manip == Manip.SRC) {
    p.src_lo = other.dst_lo;
    p.src_hi = other.dst_hi;
  } else {
    p.dst_lo = other.src_lo;
    p.dst_hi = other.src_hi;
  }
}

/** Where the tuple of a captured packet is kept that is not in its record. */
// @ts-ignore: decorator
@inline function translation_of(w: World, p: Packet): usize {
  const n = nat_of(w);
  const number = (changetype<usize>(p) - <usize>n.packets) / offsetof<Packet>();
  return <usize>n.translations + number * offsetof<Tuple>();
}

/** Puts the captured tuple aside before the first change. Nobody asks for that of the host's own answers. */
function keep_captured(w: World, p: Packet): void {
  if (p.flags & (PacketFlag.TRANSLATED | PacketFlag.ANSWER)) return;
  p.flags |= <u16>PacketFlag.TRANSLATED;
  memory.copy(translation_of(w, p), changetype<usize>(p), offsetof<Tuple>());
}

/** The packet has been judged: its record shows the captured tuple again. */
export function restore_captured(w: World, p: Packet): void {
  const kept = translation_of(w, p);
  for (let offset: usize = 0; offset < offsetof<Tuple>(); offset += 8) {
    const captured = load<u64>(kept + offset);
    store<u64>(kept + offset, load<u64>(changetype<usize>(p) + offset));
    store<u64>(changetype<usize>(p) + offset, captured);
  }
}

/**
 * An error about a packet of a translated flow goes to who sent that packet as it was, so that the packet it quotes is
 * changed along with it. A redirect would tell the wrong host (kernel: nf_nat_icmp_reply_translation(),
 * nf_nat_icmpv6_reply_translation()).
 */
function translate_error(w: World, p: Packet, flow: Flow, manip: u32): u32 {
  const redirect = p.l3num == L3.IPV6 ? ICMPV6_REDIRECT : ICMP_REDIRECT;
  const refused = (p.dport & 0xff) == redirect && (flow.status & (NAT_MASK | NAT_DONE_MASK)) != NAT_DONE_MASK;
  const damaged = (p.flags & PacketFlag.BAD_CHECKSUM) != 0 && p.path != Path.OUTPUT;
  if (refused || damaged) {
    p.reason = <u8>Reason.NAT_UNTRANSLATABLE;
    return ChainVerdict.DROP;
  }
  if (!is_changed(flow, p.dir, manip)) return ChainVerdict.ACCEPT;
  // The ports of the quoted packet are changed in a header of eight bytes.
  const quoted = nat_of(w).current();
  if (quoted_tuple(quoted, p) == Reason.NONE && quoted_transport_length() < TRANSPORT_MIN && has_header(quoted.protonum)) {
    p.reason = <u8>Reason.NAT_UNTRANSLATABLE;
    return ChainVerdict.DROP;
  }
  const other = other_direction(flow, p.dir);
  if (w.sent) keep_quoted(w, p, other, manip ^ 1);
  translate_address(w, p, other, manip);
  return ChainVerdict.ACCEPT;
}

/** Protocols whose header is looked at when a packet is changed (l4proto_manip_pkt()). */
function has_header(protonum: u32): bool {
  return has_ports(protonum) || protonum == Proto.ICMP || protonum == Proto.ICMPV6 || protonum == Proto.GRE;
}
