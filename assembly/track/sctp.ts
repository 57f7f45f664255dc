// SCTP: the chunks of one packet against their flow. Kernel: net/netfilter/nf_conntrack_proto_sctp.c,
// nf_conntrack_sctp_packet(), as of 6.18.
//
// Who belongs to an association is told by verification tags (RFC 9260 section 8.5): each end has chosen a tag in its
// INIT or INIT ACK, and packets to it bear that tag. Flow.sctp().vtag(dir) is the tag that packets of direction `dir`
// bear. Further paths of a multi-homed association are flows of their own, begun by a HEARTBEAT whose tag is learnt.
//
// Chunks act one after the other: when a later one is refused, what earlier ones changed stays.

import { accept_checksum, refresh } from "../conntrack";
import { Flow, Packet, SctpState, World } from "../layout";
import { timeout_ns } from "../sysctl";
import { EventBit, Reason, SctpChunk, SctpConntrack, Status, Sysctl } from "../vocabulary";
import {
  SCTP_HEADER, SCTP_INIT_CHUNK, SCTP_T_FLAG, sctp_chunk_raw_length, sctp_chunk_step, sctp_chunk_type, sctp_has_chunk,
  sctp_init_tag, sctp_vtag,
} from "../wire/sctp";
import { sctp_next_state } from "./sctp-states";
import { shown_state, Track } from "./tracker";

/** Bits of SctpState.flags. */
export enum SctpFlag {
  /** A HEARTBEAT bore a wrong tag: an answer from the other side that bears it, too, makes it the right one. */
  HEARTBEAT_VTAG_FAILED = 1,
  /** The tag of packets of a direction is not known, because the entry was there before the first packet. */
  VTAG_UNKNOWN = 2, // and 4: the reply direction's
}

/** Chunk types that answer for their tags themselves, in the chunk loop. */
const OWN_VTAG_RULE: u32 = (1 << SctpChunk.INIT) | (1 << SctpChunk.SHUTDOWN_COMPLETE) | (1 << SctpChunk.COOKIE_ECHO) |
  (1 << SctpChunk.ABORT) | (1 << SctpChunk.SHUTDOWN_ACK) | (1 << SctpChunk.HEARTBEAT) | (1 << SctpChunk.HEARTBEAT_ACK);

/** Chunk types that mean nothing to a host that knows of no association (RFC 9260 section 8.4). */
const NOT_OUT_OF_THE_BLUE: u32 = (1 << SctpChunk.ABORT) | (1 << SctpChunk.SHUTDOWN_COMPLETE) | (1 << SctpChunk.COOKIE_ACK);

/** Chunk types below 32 that the packet in work holds, as bits; filled by chunks_valid(). */
let seen: u32 = 0;

export function sctp_packet(w: World, flow: Flow, p: Packet, dir: u32, fresh: bool): Track {
  if (p.l4_len < SCTP_HEADER) return refuse(p, Reason.TRUNCATED_L4, 0);
  if (!accept_checksum(w, p)) return Track.INVALID;
  if (!chunks_valid(p)) return Track.INVALID;
  const state = flow.sctp();
  if (fresh) {
    if (seen & NOT_OUT_OF_THE_BLUE || !sctp_new(state, p)) return refuse(p, Reason.SCTP_INVALID_NEW, 0);
  } else if (state.flags & (<u32>SctpFlag.VTAG_UNKNOWN << dir)) {
    learn_vtag(state, p, dir);
  }
  if (!fresh) p.tcp_before = shown_state(flow);
  const vtag = sctp_vtag(p.l4);
  if (!(seen & OWN_VTAG_RULE) && vtag != state.vtag(dir)) {
    p.ct_mark = vtag;
    return refuse(p, dir == 0 ? Reason.SCTP_VTAG_ORIGINAL : Reason.SCTP_VTAG_REPLY, state.vtag(dir));
  }

  let new_state: u32 = SctpConntrack.NONE;
  let ignore = false;
  for (let offset = SCTP_HEADER; sctp_has_chunk(offset, p.l4_len); offset += sctp_chunk_step(p.l4 + offset)) {
    const chunk: usize = p.l4 + offset;
    const type = sctp_chunk_type(chunk);
    if (type == SctpChunk.HEARTBEAT || type == SctpChunk.HEARTBEAT_ACK) {
      const answer = judge_heartbeat(state, dir, type, vtag, ignore);
      if (answer == Heartbeat.INVALID) return refuse(p, Reason.SCTP_VTAG_CHUNK, type);
      if (answer == Heartbeat.IGNORE) {
        ignore = true;
        continue;
      }
    } else if (!vtag_fits(state, dir, type, vtag, load<u8>(chunk, 1))) {
      return refuse(p, Reason.SCTP_VTAG_CHUNK, type);
    }
    // From here on nobody is opening: a later INIT is a restart.
    if (type == SctpChunk.COOKIE_ACK) state.init = 0;

    const old_state: u32 = flow.tcp_state;
    new_state = sctp_next_state(dir, type, old_state);
    if (new_state == SctpConntrack.MAX) return refuse(p, Reason.SCTP_INVALID_STATE, (old_state << 16) | (dir << 8) | type);
    if (type == SctpChunk.INIT || type == SctpChunk.INIT_ACK) {
      if (offset + SCTP_INIT_CHUNK > p.l4_len) return refuse(p, Reason.TRUNCATED_L4, 0);
      const tag = sctp_init_tag(chunk);
      if (type == SctpChunk.INIT) {
        note_init(state, dir, tag, old_state);
        // A repeated INIT does not keep an unanswered entry alive.
        if (new_state == SctpConntrack.CLOSED && old_state == SctpConntrack.CLOSED && !fresh) ignore = true;
      } else if (!init_ack_fits(state, dir, tag)) {
        return refuse(p, Reason.SCTP_VTAG_CHUNK, type);
      }
      state.set_vtag(dir ^ 1, tag);
    }

    if (new_state == old_state) continue;
    flow.tcp_state = <u8>new_state;
    flow.pending_events |= <u16>EventBit.PROTOINFO;
    if (new_state == SctpConntrack.ESTABLISHED && !(flow.status & Status.ASSURED)) {
      flow.status |= <u16>Status.ASSURED;
      flow.pending_events |= <u16>EventBit.ASSURED;
    }
  }
  if (!ignore) refresh(w, flow, p, dir, timeout_ns(w, <u32>Sysctl.SCTP_TIMEOUT_NONE + new_state));
  return Track.ACCEPT;
}

function refuse(p: Packet, reason: Reason, value: u32): Track {
  p.reason = <u8>reason;
  p.why_value = value;
  return Track.INVALID;
}

/**
 * Chunks that must stand alone or first do, none has length zero, and there is one at all (RFC 9260 section 6.10;
 * kernel: do_basic_checks()).
 */
function chunks_valid(p: Packet): bool {
  seen = 0;
  let count: u32 = 0;
  let alone: u32 = 0;
  for (let offset = SCTP_HEADER; sctp_has_chunk(offset, p.l4_len); offset += sctp_chunk_step(p.l4 + offset)) {
    const chunk: usize = p.l4 + offset;
    const type = sctp_chunk_type(chunk);
    if (type == SctpChunk.INIT || type == SctpChunk.INIT_ACK || type == SctpChunk.SHUTDOWN_COMPLETE) alone = 1;
    const first = type == SctpChunk.COOKIE_ACK || type == SctpChunk.COOKIE_ECHO || alone != 0;
    const length = sctp_chunk_raw_length(chunk);
    if ((first && count != 0) || length == 0) {
      p.reason = <u8>Reason.SCTP_CHUNKS;
      // (value: chunk number, at most 127 << 25 | flag << 24 | type << 16 | length as the kernel prints it)
      p.why_value = (min<u32>(count, 127) << 25) | (alone << 24) | (type << 16) | length;
      return false;
    }
    if (type < 32) seen |= 1 << type;
    count++;
  }
  if (count != 0) return true;
  p.reason = <u8>Reason.TRUNCATED_L4;
  return false;
}

/** The first packet of a flow; the entry comes zeroed (kernel: sctp_new()). */
function sctp_new(state: SctpState, p: Packet): bool {
  const vtag = sctp_vtag(p.l4);
  for (let offset = SCTP_HEADER; sctp_has_chunk(offset, p.l4_len); offset += sctp_chunk_step(p.l4 + offset)) {
    const type = sctp_chunk_type(p.l4 + offset);
    const next = sctp_next_state(0, type, SctpConntrack.NONE);
    if (next == SctpConntrack.NONE || next == SctpConntrack.MAX) return false;
    if (type == SctpChunk.INIT) {
      // RFC 9260 section 8.5.1 rule A: nobody has chosen a tag yet.
      if (vtag != 0 || offset + SCTP_INIT_CHUNK > p.l4_len) return false;
      state.set_vtag(1, sctp_init_tag(p.l4 + offset));
    } else if (type == SctpChunk.HEARTBEAT) {
      state.set_vtag(0, vtag);
    } else if (type == SctpChunk.SHUTDOWN_ACK) {
      // The SHUTDOWN COMPLETE that answers it bears the same tag (section 8.4 rule 5).
      state.set_vtag(1, vtag);
    }
  }
  return true;
}

/**
 * A flow of the host's table: tags are not printed, so the first packet that bears one tells it. With the T flag it is
 * the other direction's.
 */
function learn_vtag(state: SctpState, p: Packet, dir: u32): void {
  const chunk: usize = p.l4 + SCTP_HEADER;
  const type = sctp_chunk_type(chunk);
  if (type == SctpChunk.INIT) return;
  const reflected = (type == SctpChunk.ABORT || type == SctpChunk.SHUTDOWN_COMPLETE) && load<u8>(chunk, 1) & SCTP_T_FLAG;
  const side = reflected ? dir ^ 1 : dir;
  const unknown = <u32>SctpFlag.VTAG_UNKNOWN << side;
  if (!(state.flags & unknown)) return;
  state.set_vtag(side, sctp_vtag(p.l4));
  state.flags &= <u8>(~unknown);
}

/** The verification tags of RFC 9260 section 8.5.1, for all chunks but heartbeats. */
function vtag_fits(state: SctpState, dir: u32, type: u32, vtag: u32, chunk_flags: u32): bool {
  switch (type) {
    case SctpChunk.INIT:
      return vtag == 0;
    case SctpChunk.ABORT:
    case SctpChunk.SHUTDOWN_COMPLETE:
      return vtag == state.vtag(chunk_flags & SCTP_T_FLAG ? dir ^ 1 : dir);
    case SctpChunk.COOKIE_ECHO:
      return vtag == state.vtag(dir);
    default:
      return true;
  }
}

enum Heartbeat {
  RIGHT = 0,
  INVALID = 1,
  /** Let through without being believed. */
  IGNORE = 2,
}

/**
 * A path may have been re-used by an association whose opening passed elsewhere: a HEARTBEAT with another tag is let
 * through, and the other side's answer to it decides.
 */
function judge_heartbeat(state: SctpState, dir: u32, type: u32, vtag: u32, ignore: bool): Heartbeat {
  if (state.vtag(dir) == 0) {
    state.set_vtag(dir, vtag);
    return Heartbeat.RIGHT;
  }
  const failed = (state.flags & SctpFlag.HEARTBEAT_VTAG_FAILED) != 0;
  if (vtag == state.vtag(dir)) {
    state.flags &= <u8>(~<u32>SctpFlag.HEARTBEAT_VTAG_FAILED);
    return Heartbeat.RIGHT;
  }
  if (seen & (1 << SctpChunk.DATA) || ignore) return Heartbeat.INVALID;
  if (type == SctpChunk.HEARTBEAT) {
    state.flags |= <u8>SctpFlag.HEARTBEAT_VTAG_FAILED;
    state.last_dir = <u8>dir;
    return Heartbeat.IGNORE;
  }
  if (!failed || state.last_dir == dir) return Heartbeat.INVALID;
  state.flags &= <u8>(~<u32>SctpFlag.HEARTBEAT_VTAG_FAILED);
  state.set_vtag(dir, vtag);
  state.set_vtag(dir ^ 1, 0);
  return Heartbeat.RIGHT;
}

/** Remembers who is opening: both at once is a collision, unless the INIT is an old one sent again. */
function note_init(state: SctpState, dir: u32, tag: u32, old_state: u32): void {
  if (old_state != SctpConntrack.NONE && state.vtag(dir ^ 1) == tag) return;
  const mine: u32 = 1 << dir;
  state.init = <u8>(state.init == 3 ? mine : state.init | mine);
}

/** Is this the answer to the INIT that we saw last, or to one that we know nothing of? */
function init_ack_fits(state: SctpState, dir: u32, tag: u32): bool {
  const known = state.vtag(dir ^ 1);
  if (known == tag) return true;
  const opened: u32 = state.init;
  if (!((opened >> (dir ^ 1)) & 1)) return known == 0;
  return !((opened >> dir) & 1);
}
