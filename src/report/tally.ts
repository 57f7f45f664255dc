// How many packets of each kind were there? Histograms for the summary.
//
// Lanes count what they track (assembly/tally.ts); here their counts are added up, and counted is what is left: packets
// that no lane tracked, fragments, and which packets without an entry belong to the same conversation. Counts are
// doubles, exact to 2^53.

import { CtState, PacketFlag, Proto, Reason, TcpConntrack, Verdict } from '../../assembly/vocabulary.ts';
import {
  PACKET,
  RECORD,
  TALLY_BYTES,
  TALLY_DECIDED,
  TALLY_FLOWS,
  TALLY_OFFLOADED,
  TALLY_PACKETS,
  TALLY_PATHS,
  TALLY_PROTOCOL_FLOWS,
  TALLY_PROTOCOL_PACKETS,
  TALLY_REASONS,
  TALLY_TRANSITIONS,
} from '../engine/layout.ts';
import { FlowSet } from './flow-key.ts';

/** First index of a verdict's or family's row in the histograms below. */
const STATES = 8;
const PROTOCOLS = 256;
/** Values of Packet.tcp_state: TCP's states, and SCTP's from SCTP_STATE_BASE on. */
export const STATE_CODES = 32;

/** Bit of Packet.events for EventKind.NEW: the packet made an entry. */
const MADE_ENTRY = 1;

/** Counts of the packets of one world. */
export class PacketTally {
  /** Packets by verdict * 8 + CtState. */
  readonly packets = new Float64Array(STATES * STATES);
  /** Conversations by verdict * 8 + CtState: entries made, and for packets that had none the distinct tuples. */
  readonly flows = new Float64Array(STATES * STATES);
  /** Bytes of IP packets by verdict. */
  readonly bytes = new Float64Array(STATES);
  /** Packets by L3 * 256 + protocol number, and conversations counted as in `flows`. */
  readonly protocolPackets = new Float64Array(16 * PROTOCOLS);
  readonly protocolFlows = new Float64Array(16 * PROTOCOLS);
  /** TCP and SCTP packets that changed their entry's state, by state before * 32 + state after; 0 before: a new entry. */
  readonly transitions = new Float64Array(STATE_CODES * STATE_CODES);
  /** Packets that have a Reason, by reason * 8 + CtState. */
  readonly reasons = new Float64Array(256 * STATES);
  /** Packets with a checksum that the sending host left to its network card. */
  offloaded = 0;
  /** Packets by Path. */
  readonly paths = new Float64Array(4);
  /** Packets by the rule that decided; grows with the rules that do. */
  decided = new Float64Array(256);
  /** Conversations without an entry; `full` makes the counts of flows lower bounds. */
  readonly strangers = new FlowSet();

  /** Adds what a lane counted, at `at` of linear memory, under `rules` rules. */
  addLane(view: DataView, at: number, rules: number): void {
    const add = (target: Float64Array, offset: number): void => {
      for (let i = 0; i < target.length; i++) target[i]! += Number(view.getBigUint64(at + offset + i * 8, true));
    };
    if (this.decided.length < rules) this.#growDecided(rules);
    add(this.packets, TALLY_PACKETS);
    add(this.flows, TALLY_FLOWS);
    add(this.bytes, TALLY_BYTES);
    add(this.paths, TALLY_PATHS);
    add(this.reasons, TALLY_REASONS);
    add(this.protocolPackets, TALLY_PROTOCOL_PACKETS);
    add(this.protocolFlows, TALLY_PROTOCOL_FLOWS);
    add(this.transitions, TALLY_TRANSITIONS);
    add(this.decided.subarray(0, rules), TALLY_DECIDED);
    this.offloaded += Number(view.getBigUint64(at + TALLY_OFFLOADED, true));
  }

  /**
   * Counts what lanes did not of a batch (WorldView.uncounted).
   *
   * @param records address of RECORD[count]
   * @param packets address of PACKET[count] of the world
   * @param began is given the addresses of packets without an entry that began a conversation
   */
  add(
    view: DataView,
    bytes: Uint8Array,
    records: number,
    packets: number,
    count: number,
    began?: { add(packet: number): void },
  ): void {
    const end = packets + count * PACKET.size;
    for (let at = packets, record = records; at < end; at += PACKET.size, record += RECORD.size) {
      const verdict = bytes[at + PACKET.verdict]!;
      const state = bytes[at + PACKET.ct_state]!;
      const kind = verdict * STATES + state;
      const protocol = (bytes[at + PACKET.l3num]! & 15) * PROTOCOLS + bytes[at + PACKET.protonum]!;
      const flags = view.getUint16(at + PACKET.flags, true);
      if (flags & PacketFlag.TALLIED) {
        if (flags & PacketFlag.STRANGER && this.#stranger(view, bytes, record, at, kind, protocol)) began?.add(at);
        continue;
      }
      this.packets[kind]!++;
      this.protocolPackets[protocol]!++;
      this.paths[bytes[at + PACKET.path]! & 3]!++;
      if (flags & PacketFlag.OFFLOADED) this.offloaded++;
      this.bytes[verdict]! += view.getUint32(at + PACKET.ip_len, true);
      const reason = bytes[at + PACKET.reason]!;
      if (reason !== Reason.NONE) this.reasons[reason * STATES + state]!++;
      // The packet that this is a fragment of is counted where it was completed.
      if (flags & PacketFlag.FRAGMENT_OF) continue;
      const rule = view.getUint32(at + PACKET.rule, true);
      if (rule < this.decided.length) this.decided[rule]!++;
      else if (rule !== 0xffffffff) {
        this.#growDecided(Math.max(rule + 1, this.decided.length * 2));
        this.decided[rule]!++;
      }
      if (bytes[at + PACKET.events]! & MADE_ENTRY) {
        this.flows[kind]!++;
        this.protocolFlows[protocol]!++;
      } else if (reason === Reason.EGRESS_COPY) {
        // The packet that this is a copy of counts as a conversation.
      } else if (verdict !== Verdict.ACCEPT || state === CtState.INVALID || state === CtState.UNTRACKED) {
        if (this.#stranger(view, bytes, record, at, kind, protocol)) began?.add(at);
      }
      const after = bytes[at + PACKET.tcp_state]!;
      if (after !== bytes[at + PACKET.tcp_before]!) this.#transition(bytes, at, verdict, after);
    }
  }

  /**
   * A packet that is not of an entry: its conversation counts once, under the first such packet's verdict and state. True
   * if this is the first.
   */
  #stranger(view: DataView, bytes: Uint8Array, record: number, at: number, kind: number, protocol: number): boolean {
    if (bytes[at + PACKET.l3num] === 0) return false;
    const low = view.getUint32(at + PACKET.flow_id, true);
    const high = view.getUint32(at + PACKET.flow_id + 4, true);
    const own =
      low === view.getUint32(record + RECORD.number, true) && high === view.getUint32(record + RECORD.number + 4, true);
    if ((low | high) !== 0 && !own) return false;
    if (!this.strangers.add(view, bytes, at)) return false;
    this.flows[kind]!++;
    this.protocolFlows[protocol]!++;
    return true;
  }

  /** A state that a packet brought to a new entry counts only if the entry was kept. */
  #transition(bytes: Uint8Array, at: number, verdict: number, after: number): void {
    const protonum = bytes[at + PACKET.protonum];
    if (protonum !== Proto.TCP && protonum !== Proto.SCTP) return;
    const before = bytes[at + PACKET.tcp_before]!;
    if (before === TcpConntrack.NONE && verdict !== Verdict.ACCEPT) return;
    if (before === TcpConntrack.NONE && !(bytes[at + PACKET.events]! & MADE_ENTRY)) return;
    this.transitions[(before & 31) * STATE_CODES + (after & 31)]!++;
  }

  #growDecided(length: number): void {
    const decided = new Float64Array(length);
    decided.set(this.decided);
    this.decided = decided;
  }

  /** Sum of a histogram over one verdict (`row`) or one state (`column`). */
  static row(histogram: Float64Array, verdict: number): number {
    return histogram.subarray(verdict * STATES, verdict * STATES + STATES).reduce((sum, count) => sum + count, 0);
  }

  static column(histogram: Float64Array, state: number): number {
    let sum = 0;
    for (let at = state; at < histogram.length; at += STATES) sum += histogram[at]!;
    return sum;
  }
}
