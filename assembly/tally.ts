// How many packets of each kind did a lane track? Histograms for the summary, filled while the packet is at hand.
//
// What no lane tracks (broken packets, fragments) and which conversations without an entry are the same is counted by
// src/report/tally.ts, which adds up the lanes' counts at the end.

import {
  Packet, TALLY_BYTES, TALLY_DECIDED, TALLY_FLOWS, TALLY_OFFLOADED, TALLY_PACKETS, TALLY_PATHS, TALLY_PROTOCOL_FLOWS,
  TALLY_PROTOCOL_PACKETS, TALLY_REASONS, TALLY_STRANGERS, TALLY_TRANSITIONS, World,
} from "./layout";
import { CtState, EventKind, PacketFlag, Proto, Reason, TcpConntrack, Verdict } from "./vocabulary";

const NO_RULE: u32 = 0xffffffff;
const MADE_ENTRY: u32 = 1 << (EventKind.NEW - 1);

// @ts-ignore: decorator
@inline function add(at: usize, index: u32, count: u64): void {
  const place = at + <usize>index * 8;
  store<u64>(place, load<u64>(place) + count);
}

/** Counts a packet that was judged. */
export function tally(w: World, p: Packet): void {
  const at: usize = w.tally;
  const verdict: u32 = p.verdict;
  const state: u32 = p.ct_state;
  const kind = verdict * 8 + state;
  const protocol = ((<u32>p.l3num & 15) << 8) | p.protonum;
  const made = p.events & MADE_ENTRY;
  add(at + TALLY_PACKETS, kind, 1);
  add(at + TALLY_BYTES, verdict, p.ip_len);
  add(at + TALLY_PROTOCOL_PACKETS, protocol, 1);
  add(at + TALLY_PATHS, p.path, 1);
  if (p.rule != NO_RULE) add(at + TALLY_DECIDED, p.rule, 1);
  if (p.reason != Reason.NONE) add(at + TALLY_REASONS, <u32>p.reason * 8 + state, 1);
  let flags: u32 = p.flags | PacketFlag.TALLIED;
  if (flags & PacketFlag.OFFLOADED) add(at + TALLY_OFFLOADED, 0, 1);
  if (made) {
    add(at + TALLY_FLOWS, kind, 1);
    add(at + TALLY_PROTOCOL_FLOWS, protocol, 1);
  } else if ((verdict != Verdict.ACCEPT && p.reason != Reason.EGRESS_COPY) || state == CtState.INVALID || state == CtState.UNTRACKED) {
    if (p.flow_id == 0 || p.flow_id == w.number) {
      flags |= PacketFlag.STRANGER;
      add(at + TALLY_STRANGERS, 0, 1);
    }
  }
  p.flags = <u16>flags;
  if (p.tcp_state != p.tcp_before) transition(at, p, verdict, made);
}

/** A state that a packet brought to a new entry counts only if the entry was kept. */
function transition(at: usize, p: Packet, verdict: u32, made: u32): void {
  if (p.protonum != Proto.TCP && p.protonum != Proto.SCTP) return;
  if (p.tcp_before == TcpConntrack.NONE && (verdict != Verdict.ACCEPT || !made)) return;
  add(at + TALLY_TRANSITIONS, (<u32>p.tcp_before & 31) * 32 + (<u32>p.tcp_state & 31), 1);
}
