// What becomes of a packet on its way that its record does not tell? Kept for those who want packets as they left.
//
// A record has the verdict, its Translation the addresses and ports. What helpers make of the payload and of sequence numbers,
// and what NAT makes of the packet that an ICMP error quotes, is left here, in an area of its own as events are.

import { Packet, REWRITE_BYTES, Sent, Tuple, World } from "./layout";
import { PacketFlag, SentKind } from "./vocabulary";

/**
 * Most that one packet leaves: what a helper made of it, an MSS, and a quoted packet at each hook, of which four are met on
 * loopback.
 */
export const SENT_ROOM: u32 = REWRITE_BYTES + 6 * <u32>offsetof<Sent>() + 4 * <u32>offsetof<Tuple>();

function begin(w: World, p: Packet, kind: u32, how: u32, bytes: u32): Sent {
  const at: usize = w.sent_top;
  const length = (<u32>offsetof<Sent>() + bytes + 7) & ~7;
  if (at + length > <usize>w.sent_end) unreachable();
  w.sent_top += length;
  const sent = changetype<Sent>(at);
  sent.packet = <u32>changetype<usize>(p);
  sent.length = length;
  sent.kind = <u8>kind;
  sent.how = <u8>how;
  return sent;
}

/** The packet that an error quotes has one end changed to what `tuple` says of it (nf_nat_icmp_reply_translation()). */
export function keep_quoted(w: World, p: Packet, tuple: Tuple, manip: u32): void {
  // What the host itself says, and what comes back to it, was not captured as such.
  if (p.flags & (PacketFlag.ANSWER | PacketFlag.ECHO)) return;
  const sent = begin(w, p, SentKind.QUOTED, manip, offsetof<Tuple>());
  memory.copy(changetype<usize>(sent) + offsetof<Sent>(), changetype<usize>(tuple), offsetof<Tuple>());
}

/** The record shows what a helper made of the packet; `replaced` if that is more than other sequence numbers. */
export function keep_rewritten(w: World, p: Packet, replaced: bool): void {
  const l4 = p.l4 - p.l3;
  const captured = l4 + p.l4_captured;
  const sent = begin(w, p, SentKind.REWRITTEN, replaced ? 1 : 0, captured);
  sent.l4 = <u16>l4;
  sent.captured = captured;
  sent.ip_len = p.ip_len;
  memory.copy(changetype<usize>(sent) + offsetof<Sent>(), p.l3, captured);
}

/** The MSS that was noted last. */
let noted_mss: usize = 0;

/**
 * The segment announces this MSS at most; `grown` if that made it longer. Several rules may say so; nothing else of a segment is
 * noted before they do.
 */
export function keep_mss(w: World, p: Packet, mss: u32, grown: bool): void {
  if (p.flags & (PacketFlag.ANSWER | PacketFlag.ECHO)) return;
  const last = changetype<Sent>(noted_mss);
  if (noted_mss + offsetof<Sent>() == <usize>w.sent_top && last.packet == <u32>changetype<usize>(p)) {
    last.value = min(last.value, mss);
    return;
  }
  const sent = begin(w, p, SentKind.MSS, grown ? 1 : 0, 0);
  sent.value = mss;
  noted_mss = changetype<usize>(sent);
}
