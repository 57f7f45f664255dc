// Sequence space and the four bounds: is a segment plausible, given what both sides have shown?
//
// After van Rooij, "Real Stateful TCP Packet Filtering in IP Filter" (2000), with the kernel's bounds
// (net/netfilter/nf_conntrack_proto_tcp.c, tcp_in_window()). With `sack` the highest right edge that the segment
// acknowledges, by ACK or SACK:
//
//   I    seq <= sender.td_maxend                               not beyond what the receiver granted
//   II   seq + len >= sender.td_end - receiver.td_maxwin       not older than a window
//   III  sack <= receiver.td_end                               acknowledges only what was sent
//   IV   sack >= receiver.td_end - MAXACKWINDOW                acknowledges nothing ancient
//
// A violation of I by less than the receiver's window, of II, or of IV is let through without being believed; the rest
// is INVALID.

import { be32 } from "../bytes";
import { seq_offset } from "../helper/rewrite";
import { Flow, Packet, Peer, World } from "../layout";
import { Reason, Status, Sysctl, TcpConntrack } from "../vocabulary";
import {
  TCPOPT_ALIGNED_TIMESTAMP, TCPOPT_EOL, TCPOPT_NOP, TCPOPT_SACK, TCPOPT_SACK_PERMITTED, TCPOPT_WINDOW,
  TCP_ACK, TCP_FIN, TCP_HEADER_MIN, TCP_RST, TCP_SYN,
  tcp_ack, tcp_header_length, tcp_seq, tcp_window,
} from "../wire/tcp";
import { sysctl } from "../sysctl";
import { PeerFlag, TcpFlagClass } from "./tcp-states";
import { trace_window } from "../trace";

/** Smallest reach of an old ACK that is still believed (kernel: MAXACKWINCONST). */
const MAXACKWINDOW_MIN: u32 = 66000;
/** Largest window scale (RFC 7323 section 2.3). */
const WSCALE_MAX: u32 = 14;

/** a < b in sequence space. */
// @ts-ignore: decorator
@inline export function before(a: u32, b: u32): bool {
  return <i32>(a - b) < 0;
}

// @ts-ignore: decorator
@inline export function after(a: u32, b: u32): bool {
  return <i32>(b - a) < 0;
}

/** Sequence number behind the segment; SYN and FIN count one each. */
// @ts-ignore: decorator
@inline export function segment_end(p: Packet): u32 {
  const l4: usize = p.l4;
  const flags: u32 = p.tcp_flags;
  return tcp_seq(l4) + p.l4_len - tcp_header_length(l4) + (flags & TCP_SYN ? 1 : 0) + (flags & TCP_FIN ? 1 : 0);
}

/** Reads window scale and SACK permission of a SYN into a peer. A header without options leaves the peer as it is. */
export function read_syn_options(p: Packet, peer: Peer): void {
  let at: usize = p.l4 + TCP_HEADER_MIN;
  const end: usize = p.l4 + tcp_header_length(p.l4);
  if (at == end) return;
  peer.td_scale = 0;
  peer.flags &= <u8>(PeerFlag.BE_LIBERAL);
  while (at < end) {
    const kind = <u32>load<u8>(at);
    if (kind == TCPOPT_EOL) return;
    if (kind == TCPOPT_NOP) {
      at++;
      continue;
    }
    if (at + 2 > end) return;
    const size = <u32>load<u8>(at, 1);
    if (size < 2 || at + size > end) return;
    if (kind == TCPOPT_SACK_PERMITTED && size == 2) peer.flags |= <u8>PeerFlag.SACK_PERM;
    if (kind == TCPOPT_WINDOW && size == 3) {
      peer.td_scale = <u8>min<u32>(load<u8>(at, 2), WSCALE_MAX);
      peer.flags |= <u8>PeerFlag.WINDOW_SCALE;
    }
    at += size;
  }
}

/** Highest right edge of the SACK blocks (RFC 2018), or `ack` if there are none above it. */
function highest_sack(p: Packet, ack: u32): u32 {
  let at: usize = p.l4 + TCP_HEADER_MIN;
  const end: usize = p.l4 + tcp_header_length(p.l4);
  if (at == end) return ack;
  if (end - at == 12 && load<u32>(at) == TCPOPT_ALIGNED_TIMESTAMP) return ack;
  let sack = ack;
  while (at < end) {
    const kind = <u32>load<u8>(at);
    if (kind == TCPOPT_EOL) return sack;
    if (kind == TCPOPT_NOP) {
      at++;
      continue;
    }
    if (at + 2 > end) return sack;
    const size = <u32>load<u8>(at, 1);
    if (size < 2 || at + size > end) return sack;
    if (kind == TCPOPT_SACK && size >= 10 && (size - 2) % 8 == 0) {
      for (let block: u32 = 2; block < size; block += 8) {
        const edge = be32(at + block + 4);
        if (after(edge, sack)) sack = edge;
      }
      return sack;
    }
    at += size;
  }
  return sack;
}

/** What a SYN, or a SYN/ACK that answers one, says about its sender. */
function init_sender(sender: Peer, receiver: Peer, p: Packet, end: u32, win: u32, dir: u32): void {
  sender.td_end = end;
  sender.td_maxend = end;
  sender.td_maxwin = win == 0 ? 1 : win;
  read_syn_options(p, sender);
  // RFC 7323 section 2.2: scaling is on only if both sides asked for it.
  if (dir == 1 && !(sender.flags & receiver.flags & PeerFlag.WINDOW_SCALE)) {
    sender.td_scale = 0;
    receiver.td_scale = 0;
  }
}

/** A bound was missed: accepted all the same if windows are not to be trusted for this sender. */
function outside(p: Packet, w: World, sender: Peer, reason: Reason, value: u32): Reason {
  if (sender.flags & PeerFlag.BE_LIBERAL || sysctl(w, Sysctl.TCP_BE_LIBERAL)) return Reason.NONE;
  p.why_value = value;
  return reason;
}

/**
 * Checks a segment against the window and, if it holds, takes what it says into the flow. NONE: in window. A reason:
 * out of window; `window_tolerated()` tells whether the packet passes all the same.
 */
// @ts-ignore: decorator
@inline export function tcp_in_window(flow: Flow, dir: u32, index: u32, p: Packet, w: World): Reason {
  const l4: usize = p.l4;
  const flags: u32 = p.tcp_flags;
  const sender = flow.peer(dir);
  const receiver = flow.peer(dir ^ 1);
  const win_raw = tcp_window(l4);
  const win = win_raw;
  let seq = tcp_seq(l4);
  let ack = tcp_ack(l4);
  let end = segment_end(p);
  let sack = receiver.flags & PeerFlag.SACK_PERM ? highest_sack(p, ack) : ack;
  if (flow.status & Status.SEQ_ADJUST) {
    // The sender has seen the receiver's bytes as a helper rewrote them; the windows are in the receiver's own numbers.
    const moved = seq_offset(w, flow, dir ^ 1, ack - 1);
    ack -= moved;
    sack -= moved;
  }

  if (sender.td_maxwin == 0) {
    // First packet of this side.
    if (flags & TCP_SYN) {
      init_sender(sender, receiver, p, end, win, dir);
      if (!(flags & TCP_ACK)) return Reason.NONE; // simultaneous open
    } else {
      // Picked up in mid-stream: the packet itself is all there is to go by.
      const swin = win << sender.td_scale;
      sender.td_end = end;
      sender.td_maxwin = swin == 0 ? 1 : swin;
      sender.td_maxend = end + sender.td_maxwin;
      if (receiver.td_maxwin == 0) {
        receiver.td_end = sack;
        receiver.td_maxend = sack;
      } else if (sack == receiver.td_end + 1) {
        // Looks like the answer to a keepalive, which lies one below the window.
        receiver.td_end++;
      }
    }
  } else if (
    flags & TCP_SYN && after(end, sender.td_end) &&
    (flow.tcp_state == TcpConntrack.SYN_SENT || flow.tcp_state == TcpConntrack.SYN_RECV)
  ) {
    // A new SYN with a higher sequence number starts this side afresh (RFC 9293 section 3.4.2).
    init_sender(sender, receiver, p, end, win, dir);
    if (dir == 1 && !(flags & TCP_ACK)) return Reason.NONE;
  }

  if (!(flags & TCP_ACK)) {
    ack = sack = receiver.td_end;
  } else if (flags & TCP_RST && ack == 0) {
    // Stacks that set ACK in a RST without an acknowledgement number.
    ack = sack = receiver.td_end;
  }
  // A RST with sequence number 0 answers a SYN.
  if (flags & TCP_RST && seq == 0 && flow.tcp_state == TcpConntrack.SYN_SENT) seq = end = sender.td_end;

  const maxackwindow = max(sender.td_maxwin, MAXACKWINDOW_MIN);
  const recent = after(end, sender.td_end - receiver.td_maxwin - 1);
  const ack_recent = after(sack, receiver.td_end - maxackwindow - 1);
  const ack_seen = before(sack, receiver.td_end + 1);
  if (w.trace) {
    const scaled = flags & TCP_SYN ? win : win << sender.td_scale;
    trace_window(
      w, seq, ack, sack, end, scaled,
      sender.td_maxend, sender.td_end - receiver.td_maxwin, receiver.td_end, receiver.td_end - maxackwindow,
    );
  }
  if (!before(seq, sender.td_maxend + 1)) {
    const overshot = end - sender.td_maxend + 1;
    if (receiver.td_maxwin && recent && ack_recent && ack_seen && overshot <= receiver.td_maxwin) {
      // Only the upper bound is missed, by less than a window: some stacks send that much too far. Remember the data,
      // so that its acknowledgement is not taken for an ACK of data never seen.
      sender.td_end = end;
      sender.flags |= <u8>PeerFlag.DATA_UNACKNOWLEDGED;
      return outside(p, w, sender, Reason.TCP_OVERSHOT, overshot);
    }
    return outside(p, w, sender, Reason.TCP_SEQ_OVER, sender.td_maxend + 1);
  }
  if (!ack_seen) return outside(p, w, sender, Reason.TCP_ACK_OVER, receiver.td_end + 1);
  if (receiver.td_maxwin && !recent) {
    return outside(p, w, sender, Reason.TCP_SEQ_UNDER, sender.td_end - receiver.td_maxwin - 1);
  }
  if (!ack_recent) return outside(p, w, sender, Reason.TCP_ACK_UNDER, receiver.td_end - maxackwindow - 1);

  // The window field of a SYN is never scaled (RFC 7323 section 2.2).
  take_segment(sender, receiver, ack, sack, end, flags & TCP_SYN ? win : win << sender.td_scale, (flags & TCP_ACK) != 0);
  if (index == TcpFlagClass.ACK) count_retransmission(flow, dir, seq, ack, end, win_raw);
  return Reason.NONE;
}

/**
 * Takes what a segment in window says into both peers; `win` is scaled. Whether it moves an edge is a coin's toss in most
 * traffic, which a branch would lose every other time, so there are none.
 */
// @ts-ignore: decorator
@inline function take_segment(sender: Peer, receiver: Peer, ack: u32, sack: u32, end: u32, win: u32, acks: bool): void {
  sender.td_maxwin = max(sender.td_maxwin, win + (sack - ack));
  const fresh = after(end, sender.td_end);
  sender.td_end = select(end, sender.td_end, fresh);
  const further = <u32>!(sender.flags & PeerFlag.MAXACK_SET) | <u32>after(ack, sender.td_maxack);
  sender.td_maxack = select(ack, sender.td_maxack, <u32>acks & further);
  sender.flags |= <u8>(select<u32>(PeerFlag.DATA_UNACKNOWLEDGED, 0, fresh) | select<u32>(PeerFlag.MAXACK_SET, 0, acks));

  const beyond = <u32>(receiver.td_maxwin != 0) & <u32>after(end, sender.td_maxend);
  receiver.td_maxwin += select<u32>(end - sender.td_maxend, 0, beyond);
  const granted = sack + win + (win == 0 ? 1 : 0);
  receiver.td_maxend = select(granted, receiver.td_maxend, after(sack + win, receiver.td_maxend - 1));
  receiver.flags &= <u8>~select<u32>(PeerFlag.DATA_UNACKNOWLEDGED, 0, ack == receiver.td_end);
}

/**
 * tcp_in_window() for an ACK without SYN, FIN and RST. False if it is not in window, or if one of the peers has not
 * announced a window yet: then nothing was changed.
 */
// @ts-ignore: decorator
@inline export function ack_in_window(flow: Flow, dir: u32, p: Packet): bool {
  const l4: usize = p.l4;
  const header = tcp_header_length(l4);
  const sender = flow.peer(dir);
  const receiver = flow.peer(dir ^ 1);
  const seq = tcp_seq(l4);
  const ack = tcp_ack(l4);
  const win = tcp_window(l4);
  const end = seq + p.l4_len - header;
  const stamped = header == 32 && load<u32>(l4, TCP_HEADER_MIN) == TCPOPT_ALIGNED_TIMESTAMP;
  const sack = header == TCP_HEADER_MIN || stamped || !(receiver.flags & PeerFlag.SACK_PERM) ? ack : highest_sack(p, ack);
  const reach = max(sender.td_maxwin, MAXACKWINDOW_MIN);
  const announced = <u32>(sender.td_maxwin != 0) & <u32>(receiver.td_maxwin != 0);
  const inside = announced & <u32>before(seq, sender.td_maxend + 1) & <u32>before(sack, receiver.td_end + 1) &
    <u32>after(end, sender.td_end - receiver.td_maxwin - 1) & <u32>after(sack, receiver.td_end - reach - 1);
  if (!inside) return false;
  take_segment(sender, receiver, ack, sack, end, win << sender.td_scale, true);
  count_retransmission(flow, dir, seq, ack, end, win);
  return true;
}

/**
 * Identical ACK-class segments in a row: one side sends again and again without being heard. Who sent last is a coin's toss, so
 * nothing branches on it.
 */
// @ts-ignore: decorator
@inline function count_retransmission(flow: Flow, dir: u32, seq: u32, ack: u32, end: u32, win: u32): void {
  const sent = (flow.last_seq ^ seq) | (flow.last_end ^ end);
  const other = (flow.last_dir ^ dir) | sent | (flow.last_ack ^ ack) | (flow.last_win ^ win);
  flow.retrans = <u8>select<u32>(0, flow.retrans + 1, other);
  flow.last_dir = <u8>dir;
  flow.last_seq = seq;
  flow.last_ack = ack;
  flow.last_end = end;
  flow.last_win = <u16>win;
}

/** Out of window, but only in ways that are let through: too far by less than a window, or old. */
export function window_tolerated(reason: Reason): bool {
  return reason == Reason.TCP_OVERSHOT || reason == Reason.TCP_SEQ_UNDER || reason == Reason.TCP_ACK_UNDER;
}
