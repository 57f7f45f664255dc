// Which helper looks at a packet, and what does it see of it? Kernel: nf_confirm(), helper->help().
//
// Helpers look at what leaves the host or arrives at it, at the very end of its way: what the rules drop they never see.

import { expect_related, new_expectation, Refused } from "../expect";
import { helper_of } from "../help";
import { Expectation, Flow, Help, Helping, Packet, Tuple, World } from "../layout";
import { Dir, Helper, HelperFault, PacketFlag, Reason } from "../vocabulary";
import { tcp_header_length } from "../wire/tcp";
import { amanda_help } from "./amanda";
import { broadcast_help } from "./broadcast";
import { ftp_help } from "./ftp";
import { ras_help } from "./h323-ras";
import { h245_help, q931_help } from "./h323-signal";
import { irc_help } from "./irc";
import { pptp_help } from "./pptp";
import { sane_help } from "./sane";
import { sip_help } from "./sip";
import { tftp_help } from "./tftp";

const UDP_HEADER: u32 = 8;
const NETBIOS_NS_PORT: u16 = 137;
const SNMP_PORT: u16 = 161;

/** Shows a packet to the helper of its entry. False if that does not let it pass. */
export function help(w: World, p: Packet): bool {
  // Errors about a flow are none of its packets.
  if (p.flow == 0 || p.flags & PacketFlag.ICMP_ERROR || p.l4 == 0) return true;
  const flow = changetype<Flow>(<usize>p.flow);
  switch (<u32>helper_of(w, flow)) {
    case Helper.FTP: return ftp_help(w, flow, p);
    case Helper.TFTP: return tftp_help(w, flow, p);
    case Helper.IRC: return irc_help(w, flow, p);
    case Helper.SANE: return sane_help(w, flow, p);
    case Helper.NETBIOS_NS: return broadcast_help(w, flow, p, bswap<u16>(NETBIOS_NS_PORT));
    case Helper.SNMP: return broadcast_help(w, flow, p, bswap<u16>(SNMP_PORT));
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
