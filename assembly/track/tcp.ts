// TCP: one packet against its flow, in the kernel's order: header checks, table, exceptions, window, commit, timeout.
// Kernel: net/netfilter/nf_conntrack_proto_tcp.c, nf_conntrack_tcp_packet(), as of 6.18.
//
// The tracker cannot know which of two stories is true when a packet contradicts the entry: the entry may be stale, or
// the packet forged. So it lets suspicious openings pass, remembers them in Flow.last_*, and believes them when the
// other side does.

import { account_packet } from "../account";
import { accept_checksum, kill_flow, refresh } from "../conntrack";
import { Flow, Packet, Peer, World } from "../layout";
import { sysctl, timeout_ns } from "../sysctl";
import { EventBit, PacketFlag, Reason, Status, Sysctl, TcpConntrack } from "../vocabulary";
import { TCP_HEADER_MIN, TCP_RST, tcp_ack, tcp_header_length, tcp_seq, tcp_window } from "../wire/tcp";
import { set_expiry } from "../timer";
import { flag_class, flags_valid, next_state, PeerFlag, TcpFlagClass } from "./tcp-states";
import { ack_in_window, before, read_syn_options, segment_end, tcp_in_window, window_tolerated } from "./tcp-window";
import { Track } from "./tracker";

const SECOND: u64 = 1_000_000_000;
const ORIGINAL: u32 = 0;
const REPLY: u32 = 1;

// @ts-ignore: decorator
@inline export function tcp_packet(w: World, flow: Flow, p: Packet, dir: u32, fresh: bool): Track {
  if (!header_valid(w, p)) return Track.INVALID;
  const index = flag_class(p.tcp_flags);
  if (fresh && !tcp_new(w, flow, p, index)) return Track.INVALID;

  const l4: usize = p.l4;
  let old_state: u32 = flow.tcp_state;
  let new_state = next_state(dir, index, old_state);
  let check_window = true;
  p.tcp_before = <u8>old_state;

  switch (new_state) {
    case TcpConntrack.SYN_SENT:
    case TcpConntrack.IGNORE:
      if (new_state == TcpConntrack.SYN_SENT) {
        if (old_state < <u32>TcpConntrack.TIME_WAIT) break;
        if (may_reopen(flow, dir)) {
          kill_flow(w, flow, p);
          return Track.REPEAT;
        }
      }
      if (answers_ignored_syn(flow, dir, index, l4)) {
        resynchronise(flow, dir);
        old_state = TcpConntrack.SYN_SENT;
        new_state = TcpConntrack.SYN_RECV;
        break;
      }
      remember_ignored(flow, dir, index, p, old_state);
      explain(p, Reason.TCP_IGNORED_STATE, index, dir, old_state);
      return Track.ACCEPT;
    case TcpConntrack.MAX:
      explain(p, Reason.TCP_INVALID_STATE, index, dir, old_state);
      return Track.INVALID;
    case TcpConntrack.TIME_WAIT:
      // RFC 5961 section 4: an ACK that follows our ignored SYN is a challenge, not the last ACK.
      if (
        old_state == TcpConntrack.LAST_ACK && index == TcpFlagClass.ACK && flow.last_dir != dir &&
        flow.last_index == TcpFlagClass.SYN && flow.last_flags & PeerFlag.EXP_CHALLENGE_ACK
      ) {
        flow.last_flags &= <u8>(~PeerFlag.EXP_CHALLENGE_ACK);
        p.reason = <u8>Reason.TCP_CHALLENGE_ACK;
        return Track.ACCEPT;
      }
      break;
    case TcpConntrack.SYN_SENT2:
      flow.last_flags |= <u8>PeerFlag.SIMULTANEOUS_OPEN;
      break;
    case TcpConntrack.SYN_RECV:
      if (dir == REPLY && index == TcpFlagClass.ACK && flow.last_flags & PeerFlag.SIMULTANEOUS_OPEN) {
        new_state = TcpConntrack.ESTABLISHED;
      }
      break;
    case TcpConntrack.CLOSE:
      if (index != TcpFlagClass.RST) break;
      // While closing, the tuple may already be in use again behind us: nothing to compare with.
      if (is_closing(old_state)) {
        check_window = false;
        break;
      }
      if (flow.peer(dir ^ 1).flags & PeerFlag.MAXACK_SET && flow.last_index != TcpFlagClass.SYN) {
        const answer = judge_rst(w, flow, dir, tcp_seq(l4));
        if (answer == Rst.INVALID) {
          p.reason = <u8>Reason.TCP_INVALID_RST;
          return Track.INVALID;
        }
        if (answer == Rst.CLOSES) break;
        new_state = old_state;
      }
      check_window = !rst_needs_no_window(flow, dir, p, old_state);
      break;
    default:
      break;
  }

  if (check_window) {
    const reason = tcp_in_window(flow, dir, index, p, w);
    if (reason != Reason.NONE) {
      p.reason = <u8>reason;
      if (window_tolerated(reason)) return Track.ACCEPT;
      cut_timeout(w, flow, dir, index);
      return Track.INVALID;
    }
  }
  return commit(w, flow, p, dir, index, old_state, new_state);
}

/** State and status of an entry as they lie in its word at `tcp_state`. */
// @ts-ignore: decorator
@inline function state_word(state: u32, status: u32): u32 {
  return state | (status << 16);
}

const ANSWERED: u32 = Status.SEEN_REPLY | Status.ASSURED;

/**
 * tcp_packet() for what nearly every packet is: an ACK in window, SYN, FIN and RST aside, of an assured connection in
 * ESTABLISHED that no helper rewrites. It stays there, so neither table nor exceptions nor events play a part. False if the
 * packet is anything else: then nothing was changed, and tcp_packet() has to look at it.
 */
// @ts-ignore: decorator
@inline export function tcp_established(w: World, flow: Flow, p: Packet, dir: u32): bool {
  if ((p.flags & (PacketFlag.PLAIN_ACK | PacketFlag.BAD_CHECKSUM)) != PacketFlag.PLAIN_ACK) return false;
  const word = load<u32>(changetype<usize>(flow), offsetof<Flow>("tcp_state"));
  const mask = state_word(0xff, ANSWERED | Status.SEQ_ADJUST);
  if ((word & mask) != state_word(TcpConntrack.ESTABLISHED, ANSWERED)) return false;
  if (!ack_in_window(flow, dir, p)) return false;
  p.tcp_before = <u8>TcpConntrack.ESTABLISHED;
  flow.last_index = <u8>TcpFlagClass.ACK;
  refresh(w, flow, p, dir, <u64>choose_timeout(w, flow, TcpFlagClass.ACK, TcpConntrack.ESTABLISHED) * SECOND);
  return true;
}

/** Length, checksum and flags (kernel: tcp_error()). */
// @ts-ignore: decorator
@inline function header_valid(w: World, p: Packet): bool {
  if (p.l4_len < TCP_HEADER_MIN) {
    p.reason = <u8>Reason.TRUNCATED_L4;
    return false;
  }
  const header = tcp_header_length(p.l4);
  if (header < TCP_HEADER_MIN || header > p.l4_len) {
    p.reason = <u8>Reason.TRUNCATED_L4;
    return false;
  }
  if (!accept_checksum(w, p)) return false;
  if (flags_valid(p.tcp_flags)) return true;
  p.reason = <u8>Reason.TCP_FLAGS;
  return false;
}

/** First packet of a flow: a SYN, or a pick-up in mid-stream (kernel: tcp_new()). The entry comes zeroed. */
function tcp_new(w: World, flow: Flow, p: Packet, index: u32): bool {
  const state = next_state(ORIGINAL, index, TcpConntrack.NONE);
  if (state >= <u32>TcpConntrack.MAX) {
    p.reason = <u8>Reason.TCP_INVALID_NEW;
    return false;
  }
  const sender = flow.peer(ORIGINAL);
  const win = tcp_window(p.l4);
  if (state != TcpConntrack.SYN_SENT && !sysctl(w, Sysctl.TCP_LOOSE)) {
    p.reason = <u8>Reason.TCP_NOT_LOOSE;
    return false;
  }
  sender.td_end = segment_end(p);
  sender.td_maxwin = win == 0 ? 1 : win;
  if (state == TcpConntrack.SYN_SENT) {
    sender.td_maxend = sender.td_end;
    read_syn_options(p, sender);
  } else {
    sender.td_maxend = sender.td_end + sender.td_maxwin;
    // Scaling is unknown: believe SACK, and do not insist on windows.
    sender.flags = <u8>(PeerFlag.SACK_PERM | PeerFlag.BE_LIBERAL);
    flow.peer(REPLY).flags = <u8>(PeerFlag.SACK_PERM | PeerFlag.BE_LIBERAL);
  }
  flow.last_index = <u8>TcpFlagClass.NONE;
  return true;
}

/** A SYN on a closed tuple: closed by a FIN that we saw, or by this side's own RST. */
function may_reopen(flow: Flow, dir: u32): bool {
  const closed = (flow.peer(0).flags | flow.peer(1).flags) & PeerFlag.CLOSE_INIT;
  return closed != 0 || (flow.last_dir == dir && flow.last_index == TcpFlagClass.RST);
}

/** A SYN/ACK that acknowledges exactly the SYN that we let through unbelieved. */
function answers_ignored_syn(flow: Flow, dir: u32, index: u32, l4: usize): bool {
  return index == TcpFlagClass.SYNACK && flow.last_index == TcpFlagClass.SYN && flow.last_dir != dir &&
    tcp_ack(l4) == flow.last_end;
}

/** Both ends agree and we did not: take the remembered SYN for the opening. */
function resynchronise(flow: Flow, dir: u32): void {
  const opener = flow.peer(flow.last_dir);
  opener.td_end = flow.last_end;
  opener.td_maxend = flow.last_end;
  opener.td_maxwin = flow.last_win == 0 ? 1 : flow.last_win;
  opener.td_scale = flow.last_wscale;
  flow.last_flags &= <u8>(~PeerFlag.EXP_CHALLENGE_ACK);
  opener.flags = flow.last_flags;
  const answerer = flow.peer(dir);
  answerer.td_end = 0;
  answerer.td_maxend = 0;
  answerer.td_maxwin = 0;
  answerer.td_maxack = 0;
  answerer.td_scale = 0;
  answerer.flags &= <u8>(PeerFlag.BE_LIBERAL);
}

function remember_ignored(flow: Flow, dir: u32, index: u32, p: Packet, old_state: u32): void {
  const l4: usize = p.l4;
  flow.last_index = <u8>index;
  flow.last_dir = <u8>dir;
  flow.last_seq = tcp_seq(l4);
  flow.last_end = segment_end(p);
  flow.last_win = <u16>tcp_window(l4);
  if (index == TcpFlagClass.SYN && dir == ORIGINAL) {
    const seen = changetype<Peer>(peer_scratch);
    seen.flags = 0;
    seen.td_scale = 0;
    read_syn_options(p, seen);
    flow.last_flags = <u8>(seen.flags & (PeerFlag.WINDOW_SCALE | PeerFlag.SACK_PERM));
    flow.last_wscale = seen.flags & PeerFlag.WINDOW_SCALE ? seen.td_scale : 0;
    if (old_state == TcpConntrack.LAST_ACK) flow.last_flags |= <u8>PeerFlag.EXP_CHALLENGE_ACK;
  }
  // An ACK that answers a SYN may be a challenge (RFC 5961); the RST that follows will quote its number.
  if (old_state == TcpConntrack.SYN_SENT && index == TcpFlagClass.ACK && dir == REPLY) flow.last_ack = tcp_ack(l4);
}

/** A Peer's worth of memory of this instance's own. */
let peer_scratch: usize = 0;

export function set_peer_scratch(at: usize): void {
  peer_scratch = at;
}

function explain(p: Packet, reason: Reason, index: u32, dir: u32, state: u32): void {
  p.reason = <u8>reason;
  p.why_value = (index << 16) | (dir << 8) | state;
}

/** States in which the kernel may drop an entry early (tcp_can_early_drop()). */
function is_closing(state: u32): bool {
  return state >= <u32>TcpConntrack.FIN_WAIT && state <= <u32>TcpConntrack.CLOSE;
}

/** What the sequence number of a RST says when the other side has acknowledged something. */
enum Rst {
  /** It closes the connection, if in window. */
  CLOSES = 0,
  /** In the past: forged or ancient. */
  INVALID = 1,
  /** Not exact: the receiver may answer with a challenge ACK (RFC 5961 section 3), so the state stays. */
  INEXACT = 2,
}

function judge_rst(w: World, flow: Flow, dir: u32, seq: u32): Rst {
  const established = flow.tcp_state == TcpConntrack.ESTABLISHED && flow.status & Status.ASSURED;
  const maxack = flow.peer(dir ^ 1).td_maxack;
  // Sequence number 0 outside ESTABLISHED most likely answers a SYN that we let through.
  if (seq == 0 && !established) return Rst.CLOSES;
  if (before(seq, maxack) && !sysctl(w, Sysctl.TCP_IGNORE_INVALID_RST)) return Rst.INVALID;
  if (!established || seq == maxack) return Rst.CLOSES;
  // Right behind the sender's own last segment.
  if (flow.last_index == TcpFlagClass.ACK && flow.last_dir == dir && seq == flow.last_end) return Rst.CLOSES;
  return Rst.INEXACT;
}

/** RSTs that answer packets which we let through ourselves; they may acknowledge data that we ignored. */
function rst_needs_no_window(flow: Flow, dir: u32, p: Packet, old_state: u32): bool {
  const ack = tcp_ack(p.l4);
  const after_syn = flow.status & Status.SEEN_REPLY && flow.last_index == TcpFlagClass.SYN && flow.last_dir != dir;
  const half_open = !(flow.status & Status.ASSURED) && flow.last_index == TcpFlagClass.ACK;
  if ((after_syn || half_open) && ack == flow.last_end) return true;
  return old_state == TcpConntrack.SYN_SENT && flow.last_index == TcpFlagClass.ACK && flow.last_dir == REPLY &&
    tcp_seq(p.l4) == flow.last_ack;
}

/**
 * Invalid FINs or RSTs from both sides: the entry is most likely out of step with a connection that has ended, so it
 * should not live for days (kernel: nf_tcp_handle_invalid()).
 */
function cut_timeout(w: World, flow: Flow, dir: u32, index: u32): void {
  if (!(flow.status & Status.ASSURED)) return;
  if (index != TcpFlagClass.RST && index != TcpFlagClass.FIN) return;
  const closing = flow.last_index == TcpFlagClass.FIN || flow.last_index == TcpFlagClass.RST;
  if (flow.last_dir == dir || !closing) {
    flow.last_index = <u8>index;
    flow.last_dir = <u8>dir;
    return;
  }
  const left = flow.expires > w.now ? flow.expires - w.now : 0;
  const timeout = timeout_ns(w, Sysctl.TCP_TIMEOUT_UNACKNOWLEDGED);
  if (left >= 120 * SECOND && left > timeout) set_expiry(w, flow, w.now + timeout);
}

/** An in-window packet: new state, timeout, events, ASSURED. */
// @ts-ignore: decorator
@inline function commit(w: World, flow: Flow, p: Packet, dir: u32, index: u32, old_state: u32, new_state: u32): Track {
  flow.last_index = <u8>index;
  flow.last_dir = <u8>dir;
  flow.tcp_state = <u8>new_state;
  if (old_state != new_state) {
    if (new_state == TcpConntrack.FIN_WAIT) {
      const sender = flow.peer(dir);
      sender.flags |= <u8>PeerFlag.CLOSE_INIT;
    }
    flow.pending_events |= <u16>EventBit.PROTOINFO;
  }
  let timeout = choose_timeout(w, flow, index, new_state);

  if (!(flow.status & Status.SEEN_REPLY)) {
    // If a RST is the only answer there never was a connection.
    if (p.tcp_flags & TCP_RST) {
      account_packet(w, flow, p, dir);
      kill_flow(w, flow, p);
      return Track.ACCEPT;
    }
    // A repeated SYN does not keep the entry alive.
    if (index == TcpFlagClass.SYN && old_state == TcpConntrack.SYN_SENT) return Track.ACCEPT;
    if (new_state == TcpConntrack.ESTABLISHED) {
      timeout = min(timeout, sysctl(w, Sysctl.TCP_TIMEOUT_UNACKNOWLEDGED));
    }
  } else if (
    !(flow.status & Status.ASSURED) && new_state == TcpConntrack.ESTABLISHED &&
    (old_state == TcpConntrack.SYN_RECV || old_state == TcpConntrack.ESTABLISHED)
  ) {
    flow.status |= <u16>Status.ASSURED;
    flow.pending_events |= <u16>EventBit.ASSURED;
  }
  refresh(w, flow, p, dir, <u64>timeout * SECOND);
  return Track.ACCEPT;
}

/** Seconds. */
// @ts-ignore: decorator
@inline function choose_timeout(w: World, flow: Flow, index: u32, state: u32): u32 {
  const timeout = sysctl(w, state);
  const retrans = sysctl(w, Sysctl.TCP_TIMEOUT_MAX_RETRANS);
  const unacknowledged = sysctl(w, Sysctl.TCP_TIMEOUT_UNACKNOWLEDGED);
  if (flow.retrans >= sysctl(w, Sysctl.TCP_MAX_RETRANS) && timeout > retrans) return retrans;
  if (index == TcpFlagClass.RST) return sysctl(w, Sysctl.TCP_TIMEOUT_CLOSE);
  // Every other segment has data to acknowledge, which no branch could guess.
  const waits = ((flow.peer(0).flags | flow.peer(1).flags) & PeerFlag.DATA_UNACKNOWLEDGED) != 0;
  const otherwise = flow.last_win == 0 && timeout > retrans ? retrans : timeout;
  return select(unacknowledged, otherwise, <u32>waits & <u32>(timeout > unacknowledged));
}

/** REJECT --reject-with tcp-reset closes the connection it answers (kernel: nf_conntrack_tcp_set_closing()). */
export function tcp_set_closing(w: World, flow: Flow): void {
  const old_state = flow.tcp_state;
  flow.tcp_state = <u8>TcpConntrack.CLOSE;
  if (old_state == TcpConntrack.CLOSE) return;
  set_expiry(w, flow, w.now + timeout_ns(w, Sysctl.TCP_TIMEOUT_CLOSE));
  flow.pending_events |= <u16>EventBit.PROTOINFO;
}
