// What becomes of a packet when a helper writes translated addresses into its payload, and of the sequence numbers behind
// it? Kernel: net/netfilter/nf_nat_helper.c, nf_conntrack_seqadj.c.
//
// Captured bytes stay as they are: a packet that is changed is copied first, and its record shows the copy until it has
// been judged. Helpers come last of all, so only what loops back to the host itself is looked at again.

import { helping_of } from "../expect";
import { help_of } from "../help";
import { Expectation, Flow, Helping, Packet, SeqAdjust, World } from "../layout";
import { exceeds_mtu } from "../mtu";
import { keep_rewritten } from "../sent";
import { trace_rewrite } from "../trace";
import { before } from "../track/tcp-window";
import { ExpectNat, PacketFlag, Proto, Status, Verdict } from "../vocabulary";
import {
  TCP_ACK, TCP_HEADER_MIN, TCPOPT_EOL, TCPOPT_NOP, TCPOPT_SACK, tcp_ack, tcp_flags, tcp_header_length, tcp_seq,
} from "../wire/tcp";
import { payload } from "./helper";

const IP_LENGTH_MAX: u32 = 65535;

/** Is the entry translated, so that helpers change what its packets announce? */
// @ts-ignore: decorator
@inline export function is_translated(flow: Flow): bool {
  return (flow.status & (Status.SRC_NAT | Status.DST_NAT)) != 0;
}

/** What is expected comes from one side of its master's entry, and is brought to the other one, to this port (in wire order). */
// @ts-ignore: decorator
@inline export function follow_master(e: Expectation, dir: u32, port: u16): void {
  e.follow = <u8>ExpectNat.MASTER;
  e.dir = <u8>dir;
  e.saved_proto = port;
}

/** Memory of the world in which a helper may put together what it writes (96 bytes). */
// @ts-ignore: decorator
@inline export function written(w: World): usize {
  return <usize>w.helping + offsetof<Helping>() + 2 * offsetof<Expectation>() + 64;
}

/** Lets the record show a copy of the packet that may be changed. The host's own answers lie where they may be. */
function copy_packet(w: World, p: Packet): void {
  const h = helping_of(w);
  if (p.l3 == h.rewritten || p.flags & PacketFlag.ANSWER) return;
  h.captured_l3 = p.l3;
  h.captured_l4 = p.l4;
  h.captured_bytes = p.l4_captured;
  h.captured_ip_len = p.ip_len;
  h.captured_l4_len = p.l4_len;
  h.replaced = 0;
  const head = p.l4 - p.l3;
  memory.copy(h.rewritten, p.l3, head + p.l4_captured);
  p.l3 = h.rewritten;
  p.l4 = h.rewritten + head;
}

/** Was the packet made longer than the link carries that it is to leave by? */
export function outgrows_mtu(w: World, p: Packet): bool {
  const h = helping_of(w);
  return h.rewritten != 0 && p.l3 == h.rewritten && exceeds_mtu(w, p, h.captured_ip_len, h.captured_l3);
}

/** The packet has been judged: its record shows the captured bytes again. */
export function restore_packet(w: World, p: Packet): void {
  const h = helping_of(w);
  if (h.rewritten == 0 || p.l3 != h.rewritten) return;
  if (w.sent && p.verdict == Verdict.ACCEPT) keep_rewritten(w, p, h.replaced != 0);
  p.l3 = h.captured_l3;
  p.l4 = h.captured_l4;
  p.l4_captured = h.captured_bytes;
  p.ip_len = h.captured_ip_len;
  p.l4_len = h.captured_l4_len;
}

/**
 * Replaces `length` bytes at `offset` of the payload by the `size` bytes at `text`. False if the packet would become too long.
 * Sequence numbers are the caller's (kernel: __nf_nat_mangle_tcp_packet(), nf_nat_mangle_udp_packet()).
 */
export function replace(w: World, p: Packet, offset: u32, length: u32, text: usize, size: u32): bool {
  if (size > length && p.ip_len + size - length > IP_LENGTH_MAX) return false;
  if (w.trace) trace_rewrite(w, offset, length, text, size);
  // Nobody reads again what an ICMP error quotes.
  if (p.protonum == Proto.ICMP || p.protonum == Proto.ICMPV6) return true;
  copy_packet(w, p);
  helping_of(w).replaced = 1;
  const at = payload(p, p.protonum == Proto.TCP) + offset;
  memory.copy(at + size, at + length, p.l4 + p.l4_captured - (at + length));
  memory.copy(at, text, size);
  p.l4_captured += size - length;
  p.l4_len += size - length;
  p.ip_len += size - length;
  return true;
}

/** replace() in a TCP segment; what follows moves by the difference (kernel: nf_nat_mangle_tcp_packet()). */
export function replace_in_stream(w: World, flow: Flow, p: Packet, offset: u32, length: u32, text: usize, size: u32): bool {
  if (!replace(w, p, offset, length, text, size)) return false;
  move_stream(w, flow, p, size - length);
  return true;
}

/**
 * The bytes behind this segment move by `difference`, unless it is an older one than the last that moved them
 * (nf_ct_seqadj_set()).
 */
export function move_stream(w: World, flow: Flow, p: Packet, difference: i32): void {
  if (difference == 0) return;
  flow.status |= <u16>Status.SEQ_ADJUST;
  const own = help_of(w, flow).seq(p.dir);
  const seq = tcp_seq(p.l4);
  if (own.offset_before != own.offset_after && !before(own.correction_pos, seq)) return;
  own.correction_pos = seq;
  own.offset_before = own.offset_after;
  own.offset_after += difference;
}

/** By how much the bytes of one direction have moved at a sequence number of the receiver's (nf_ct_seq_offset()). */
export function seq_offset(w: World, flow: Flow, dir: u32, seq: u32): i32 {
  const seqs = help_of(w, flow).seq(dir);
  return before(seqs.correction_pos, seq) ? seqs.offset_after : seqs.offset_before;
}

/**
 * Gives a segment of a connection whose bytes have moved the numbers that its receiver knows. False if its options cannot
 * be read: then SACK blocks would stay wrong (nf_ct_seq_adjust()).
 */
export function adjust_numbers(w: World, flow: Flow, p: Packet): bool {
  if (p.l4_len < TCP_HEADER_MIN) return false;
  if (p.l4_captured < TCP_HEADER_MIN) return true;
  const help = help_of(w, flow);
  const own = help.seq(p.dir);
  const other = help.seq(p.dir ^ 1);
  const seq = tcp_seq(p.l4);
  const ack = tcp_ack(p.l4);
  const acknowledges = (tcp_flags(p.l4) & TCP_ACK) != 0;
  if (p.protonum == Proto.TCP) {
    copy_packet(w, p);
    store<u32>(p.l4, bswap<u32>(seq + (before(own.correction_pos, seq) ? own.offset_after : own.offset_before)), 4);
    if (acknowledges) {
      const moved = before(other.correction_pos, ack - other.offset_before) ? other.offset_after : other.offset_before;
      store<u32>(p.l4, bswap<u32>(ack - moved), 8);
    }
  }
  return !acknowledges || adjust_options(p, other);
}

/** The blocks of SACK options; false if an option is not whole (nf_ct_sack_adjust()). */
function adjust_options(p: Packet, other: SeqAdjust): bool {
  const size = tcp_header_length(p.l4);
  if (size > p.l4_len) return false;
  const end = p.l4 + min(size, p.l4_captured);
  let at = p.l4 + TCP_HEADER_MIN;
  while (at < end) {
    const kind = <u32>load<u8>(at);
    if (kind == TCPOPT_EOL) return true;
    if (kind == TCPOPT_NOP) {
      at++;
      continue;
    }
    if (at + 1 == end) return false;
    const length = <u32>load<u8>(at, 1);
    if (length < 2 || at + length > end) return false;
    if (kind == TCPOPT_SACK && (length & 7) == 2 && length > 2 && p.protonum == Proto.TCP) adjust_blocks(at + 2, at + length, other);
    at += length;
  }
  return true;
}

/** Both ends of each block, as what the sender of the SACK acknowledges (nf_ct_sack_block_adjust()). */
function adjust_blocks(from: usize, end: usize, other: SeqAdjust): void {
  for (let at = from; at < end; at += 4) {
    const seq = bswap<u32>(load<u32>(at));
    const moved = before(other.correction_pos, seq - other.offset_before) ? other.offset_after : other.offset_before;
    store<u32>(at, bswap<u32>(seq - moved));
  }
}
