// What does a record of the engine say? Packets, tuples and events in linear memory as plain objects, with names for
// numbers.

import {
  CtState,
  Dir,
  EventBit,
  EventKind,
  L3,
  PacketFlag,
  Path,
  Proto,
  Reason,
  SCTP_STATE_BASE,
  SctpConntrack,
  Status,
  TcpConntrack,
  Verdict,
} from '../../assembly/vocabulary.ts';
import { EVENT, PACKET, TUPLE } from '../../src/engine/layout.ts';

/** One direction of a flow. Addresses as the hex digits of their bytes; ICMP: `sport` is the id. */
export interface TupleView {
  src: string;
  dst: string;
  sport: number;
  dport: number;
  protonum: number;
  l3num: number;
}

export interface PacketView {
  verdict: keyof typeof Verdict;
  ctState: keyof typeof CtState;
  reason: keyof typeof Reason;
  whyValue: number;
  dir: keyof typeof Dir;
  /** Names of Status bits in ascending order. */
  status: string[];
  tcpState: keyof typeof TcpConntrack | keyof typeof SctpConntrack;
  tcpBefore: keyof typeof TcpConntrack | keyof typeof SctpConntrack;
  /** Kinds of the events that it caused. */
  events: string[];
  flowId: number;
  ctMark: number;
  path: keyof typeof Path;
  tuple: TupleView;
  hash: number;
  flags: string[];
  tcpFlags: number;
  ipLen: number;
  l4Len: number;
  l4Captured: number;
  /** Offsets in the frame; -1: none. */
  l3At: number;
  l4At: number;
  macAt: number;
  ttl: number;
  tos: number;
  pkttype: number;
}

export interface EventView {
  time: bigint;
  kind: keyof typeof EventKind;
  /** Names of EventBit bits in ascending order. */
  bits: string[];
  /** 0 expiry, 1 caused by a packet. */
  klass: number;
  order: number;
  sequence: number;
  timeout: number;
  status: string[];
  mark: number;
  tcpState: keyof typeof TcpConntrack | keyof typeof SctpConntrack;
  original: TupleView;
  reply: TupleView;
  id: number;
  packetsOriginal: number;
  bytesOriginal: number;
  packetsReply: number;
  bytesReply: number;
  start: bigint;
}

const bitNames = (names: Record<string, string | number>, bits: number): string[] =>
  Object.entries(names)
    .filter(([, value]) => typeof value === 'number' && value !== 0 && (bits & value) === value)
    .map(([name]) => name);

const nameOf = <T extends Record<string, string | number>>(names: T, value: number): keyof T => {
  const name = (names as Record<number, string | undefined>)[value];
  if (name === undefined) throw new Error(`no name for ${value}`);
  return name;
};

/** Name of a state as packets report it: SCTP's from SCTP_STATE_BASE on. */
const packetState = (state: number): keyof typeof TcpConntrack | keyof typeof SctpConntrack =>
  state < SCTP_STATE_BASE ? nameOf(TcpConntrack, state) : nameOf(SctpConntrack, state - SCTP_STATE_BASE);

/** Reads the records of one memory. */
export class Records {
  readonly view: DataView;
  readonly bytes: Uint8Array;

  constructor(memory: WebAssembly.Memory) {
    this.view = new DataView(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
  }

  /** The Packet record at an address, of the frame that starts at `start`. */
  packet(at: number, start: number): PacketView {
    const { view } = this;
    const offset = (field: number) => {
      const address = view.getUint32(at + field, true);
      return address === 0 ? -1 : address - start;
    };
    const u32 = (field: number) => view.getUint32(at + field, true);
    const u8 = (field: number) => view.getUint8(at + field);
    return {
      verdict: nameOf(Verdict, u8(PACKET.verdict)),
      ctState: nameOf(CtState, u8(PACKET.ct_state)),
      reason: nameOf(Reason, u8(PACKET.reason)),
      whyValue: u32(PACKET.why_value),
      dir: nameOf(Dir, u8(PACKET.dir)),
      status: bitNames(Status, view.getUint16(at + PACKET.status, true)),
      tcpState: packetState(u8(PACKET.tcp_state)),
      tcpBefore: packetState(u8(PACKET.tcp_before)),
      events: ['NEW', 'UPDATE', 'DESTROY'].filter((_, bit) => u8(PACKET.events) & (1 << bit)),
      flowId: Number(view.getBigUint64(at + PACKET.flow_id, true)),
      ctMark: u32(PACKET.ct_mark),
      path: nameOf(Path, u8(PACKET.path)),
      tuple: this.tuple(at),
      hash: u32(PACKET.hash),
      flags: bitNames(PacketFlag, view.getUint16(at + PACKET.flags, true)),
      tcpFlags: u8(PACKET.tcp_flags),
      ipLen: u32(PACKET.ip_len),
      l4Len: u32(PACKET.l4_len),
      l4Captured: u32(PACKET.l4_captured),
      l3At: offset(PACKET.l3),
      l4At: offset(PACKET.l4),
      macAt: offset(PACKET.mac),
      ttl: u8(PACKET.ttl),
      tos: u8(PACKET.tos),
      pkttype: u8(PACKET.pkttype),
    };
  }

  /** A Tuple in memory. */
  tuple(at: number): TupleView {
    const l3num = this.view.getUint8(at + TUPLE.l3num);
    const size = l3num === L3.IPV4 ? 4 : 16;
    const hex = (field: number) => Buffer.from(this.bytes.slice(at + field, at + field + size)).toString('hex');
    return {
      src: hex(TUPLE.src_lo),
      dst: hex(TUPLE.dst_lo),
      sport: this.view.getUint16(at + TUPLE.sport, false),
      dport: this.view.getUint16(at + TUPLE.dport, false),
      protonum: this.view.getUint8(at + TUPLE.protonum),
      l3num,
    };
  }

  event(at: number): EventView {
    const { view } = this;
    const u32 = (field: number) => view.getUint32(at + field, true);
    const u64 = (field: number) => view.getBigUint64(at + field, true);
    return {
      time: u64(EVENT.time),
      kind: nameOf(EventKind, view.getUint8(at + EVENT.kind)),
      bits: bitNames(EventBit, u32(EVENT.bits)),
      klass: view.getUint8(at + EVENT.klass),
      order: Number(u64(EVENT.order)),
      sequence: view.getUint16(at + EVENT.sequence, true),
      timeout: u32(EVENT.timeout_s),
      status: bitNames(Status, u32(EVENT.status)),
      mark: u32(EVENT.mark),
      tcpState: nameOf(
        this.tuple(at + EVENT.original_0).protonum === Proto.SCTP ? SctpConntrack : TcpConntrack,
        view.getUint8(at + EVENT.tcp_state),
      ),
      original: this.tuple(at + EVENT.original_0),
      reply: this.tuple(at + EVENT.reply_0),
      id: Number(u64(EVENT.id)),
      packetsOriginal: Number(u64(EVENT.packets_original)),
      bytesOriginal: Number(u64(EVENT.bytes_original)),
      packetsReply: Number(u64(EVENT.packets_reply)),
      bytesReply: Number(u64(EVENT.bytes_reply)),
      start: u64(EVENT.start),
    };
  }
}
