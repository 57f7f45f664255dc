// Which helper looks at a packet, and what does it see of it? Kernel: nf_confirm(), helper->help().
//
// Helpers look at what leaves the host or arrives at it, at the very end of its way: what the rules drop they never see.
// What they rewrite of it, and the sequence numbers that follow from that, comes behind all rules (rewrite.ts).

import { bswap16 } from "../bytes";
import { expect_related, new_expectation, Refused } from "../expect";
import { helper_of } from "../help";
import { Expectation, Flow, Help, Helping, Packet, Tuple, World } from "../layout";
import { begin_helper_draws, draw_below } from "../nat-tuple";
import { trace_helper, trace_refused } from "../trace";
import { CtState, Dir, Helper, HelperFault, Reason, Status } from "../vocabulary";
import { tcp_header_length } from "../wire/tcp";
import { amanda_help } from "./amanda";
import { broadcast_help } from "./broadcast";
import { ftp_help } from "./ftp";
import { ras_help } from "./h323-ras";
import { h245_help, q931_help } from "./h323-signal";
import { irc_help } from "./irc";
import { pptp_help } from "./pptp";
import { adjust_numbers } from "./rewrite";
import { sane_help } from "./sane";
import { sip_help } from "./sip";
import { snmp_help, snmp_trap_help } from "./snmp";
import { tftp_help } from "./tftp";

export const UDP_HEADER: u32 = 8;
const NETBIOS_NS_PORT: u16 = 137;

/** Shows a packet to the helper of its entry; `looped` if it comes back by loopback. The reason if it may not pass. */
export function help(w: World, p: Packet, looped: bool): Reason {
  if (p.flow == 0 || p.l4 == 0) return Reason.NONE;
  // Errors are none of a flow's packets, but the kernel looks at those of one direction all the same.
  if (p.ct_state == CtState.RELATED && p.dir == Dir.REPLY) return Reason.NONE;
  const flow = changetype<Flow>(<usize>p.flow);
  const moved = flow.status & Status.SEQ_ADJUST && !looped;
  if (w.nat) begin_helper_draws(w);
  const helper: u32 = helper_of(w, flow);
  if (w.trace && helper != Helper.NONE) trace_helper(w, helper);
  if (!show(w, flow, p, helper)) {
    if (w.trace) trace_refused(w, p.why_value);
    return Reason.HELPER;
  }
  return moved && !adjust_numbers(w, flow, p) ? Reason.SEQ_ADJUST : Reason.NONE;
}

function show(w: World, flow: Flow, p: Packet, helper: u32): bool {
  switch (helper) {
    case Helper.FTP: return ftp_help(w, flow, p);
    case Helper.TFTP: return tftp_help(w, flow, p);
    case Helper.IRC: return irc_help(w, flow, p);
    case Helper.SANE: return sane_help(w, flow, p);
    case Helper.NETBIOS_NS: return broadcast_help(w, flow, p, bswap<u16>(NETBIOS_NS_PORT));
    case Helper.SNMP: return snmp_help(w, flow, p);
    case Helper.SNMP_TRAP: return snmp_trap_help(w, flow, p);
    case Helper.AMANDA: return amanda_help(w, flow, p);
    case Helper.PPTP: return pptp_help(w, flow, p);
    case Helper.SIP: return sip_help(w, flow, p);
    case Helper.RAS: return ras_help(w, flow, p);
    case Helper.Q931: return q931_help(w, flow, p);
    case Helper.H245: return h245_help(w, flow, p);
    default: return true;
  }
}

/** Bytes of the transport header, 0 if there is none that could be read. */
// @ts-ignore: decorator
@inline function header_length(p: Packet, tcp: bool): u32 {
  return tcp ? tcp_header_length(p.l4) : UDP_HEADER;
}

/** Address of the payload. */
// @ts-ignore: decorator
@inline export function payload(p: Packet, tcp: bool): usize {
  return <usize>p.l4 + header_length(p, tcp);
}

/**
 * Bytes of payload; 0 also where the first `need` of them were not all captured: a helper that guessed would expect what
 * the kernel does not.
 */
export function payload_length(p: Packet, tcp: bool, need: u32): u32 {
  const header = header_length(p, tcp);
  if (p.l4_len <= header) return 0;
  const length = p.l4_len - header;
  if (p.l4_captured >= header + min(length, need)) return length;
  if (p.reason == Reason.NONE) p.reason = <u8>Reason.HELPER_CUT_SHORT;
  return 0;
}

/** For helpers that look at everything. */
export const ALL: u32 = 0xffff;

/** Memory of the world in which a helper may put together what it reads (HELPER_SCRATCH). */
// @ts-ignore: decorator
@inline export function scratch(w: World): usize {
  return <usize>w.helping + offsetof<Helping>() + 2 * offsetof<Expectation>();
}

/** An expectation of `master` for `protonum`, to be completed with whom to expect, and where. */
export function expectation_of(w: World, master: Help, protonum: u32, number: u32): Expectation {
  const e = new_expectation(w, number);
  e.master = <u32>changetype<usize>(master);
  e.helper = master.helper;
  e.zone = master.zone;
  e.l3num = master.l3num;
  e.protonum = <u8>protonum;
  return e;
}

/** Expects what was put together. False if the packet may not pass because that failed. */
export function expect(w: World, p: Packet, e: Expectation): bool {
  return expect_related(w, e) == Refused.NO || refuse(p, HelperFault.CANNOT_ADD_EXPECTATION);
}

/** Other ports that are tried where the announced one is expected already. */
const PORTS_TRIED: u32 = 128;

/**
 * Expects what was put together at `port` (wire order), or where that is taken at one above it, which the target's port then
 * is. Returns the expectation; null if there is none (nf_nat_exp_find_port()).
 */
export function find_port(w: World, e: Expectation, port: u16): Expectation {
  const first = bswap16(port);
  const range = 65535 - first;
  e.dport = port;
  for (let left = min(range, PORTS_TRIED); ; left--) {
    const refused = expect_related(w, e);
    if (refused == Refused.NO) return newest_of(e);
    if (refused != Refused.CLASH || left == 0) break;
    e.dport = <u16>bswap16(first + draw_below(w, range));
  }
  return changetype<Expectation>(0);
}

/** find_port(); where there is none the packet may not pass. */
export function expect_port(w: World, p: Packet, e: Expectation, port: u16): Expectation {
  const made = find_port(w, e, port);
  if (changetype<usize>(made) == 0) refuse(p, HelperFault.ALL_PORTS_IN_USE);
  return made;
}

/** The expectation that was made of this one a moment ago. */
// @ts-ignore: decorator
@inline export function newest_of(e: Expectation): Expectation {
  return changetype<Expectation>(<usize>changetype<Help>(<usize>e.master).expectations);
}

/** Tuple of one direction of an entry. */
// @ts-ignore: decorator
@inline export function tuple_of(flow: Flow, dir: u32): Tuple {
  return changetype<Tuple>(changetype<usize>(flow) + (dir == Dir.ORIGINAL ? 0 : offsetof<Flow>("reply_src_lo")));
}

/** Says why a helper does not let the packet pass. */
export function refuse(p: Packet, fault: HelperFault): bool {
  p.why_value = fault;
  return false;
}
