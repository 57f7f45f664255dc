// The TCP transition table and the table of valid flag combinations, nothing else.
//
// Conntrack sits between the two ends and sees what passes, not what arrives: a segment may be lost behind it, and an
// answer may tell that the entry is out of date. The table therefore knows three kinds of outcome: a state, sIV (no
// host in its right mind would send this now) and sIG (may be right or wrong: let it through, remember it, and decide
// on what the other side answers). What a table cannot say is in tcp.ts.

import { TcpConntrack } from "../vocabulary";
import { TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, TCP_URG } from "../wire/tcp";

const sNO = <u8>TcpConntrack.NONE;
const sSS = <u8>TcpConntrack.SYN_SENT;
const sSR = <u8>TcpConntrack.SYN_RECV;
const sES = <u8>TcpConntrack.ESTABLISHED;
const sFW = <u8>TcpConntrack.FIN_WAIT;
const sCW = <u8>TcpConntrack.CLOSE_WAIT;
const sLA = <u8>TcpConntrack.LAST_ACK;
const sTW = <u8>TcpConntrack.TIME_WAIT;
const sCL = <u8>TcpConntrack.CLOSE;
const sS2 = <u8>TcpConntrack.SYN_SENT2;
const sIV = <u8>TcpConntrack.MAX;
const sIG = <u8>TcpConntrack.IGNORE;

/** Flag classes: the row of the table (kernel: enum tcp_bit_set). RST wins over SYN, SYN over FIN, FIN over ACK. */
export enum TcpFlagClass {
  SYN = 0,
  SYNACK = 1,
  FIN = 2,
  ACK = 3,
  RST = 4,
  NONE = 5,
}

/** Flags of a peer (IP_CT_TCP_FLAG_*) and, from EXP_CHALLENGE_ACK on, of Flow.last_flags. */
export enum PeerFlag {
  WINDOW_SCALE = 0x01,
  SACK_PERM = 0x02,
  CLOSE_INIT = 0x04,
  BE_LIBERAL = 0x08,
  DATA_UNACKNOWLEDGED = 0x10,
  MAXACK_SET = 0x20,
  EXP_CHALLENGE_ACK = 0x40,
  SIMULTANEOUS_OPEN = 0x80,
}

const STATES: u32 = 10;
const CLASSES: u32 = 6;

const TRANSITIONS: usize = memory.data<u8>([
  // ORIGINAL  sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* syn    */ sSS, sSS, sIG, sIG, sIG, sIG, sIG, sSS, sSS, sS2,
  //   sNO -> sSS  first packet of a connection
  //   sSS -> sSS  sent again, unanswered so far
  //   sSR .. sLA -> sIG  the client starts anew and we may hold a dead connection: the server's answer tells
  //   sTW, sCL -> sSS  the tuple is used again (RFC 9293 section 3.6.1)

  // ORIGINAL  sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* synack */ sIV, sIV, sSR, sIV, sIV, sIV, sIV, sIV, sIV, sSR,
  //   sSR, sS2 -> sSR  the client's half of a simultaneous open; nobody else answers its own SYN

  // ORIGINAL  sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* fin    */ sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV,
  //   sSS -> sIV  no FIN before the server has answered
  //   sFW -> sLA  both sides have closed, or the first FIN was sent again: either way one ACK is missing

  // ORIGINAL  sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* ack    */ sES, sIV, sES, sES, sCW, sCW, sTW, sTW, sCL, sIV,
  //   sNO -> sES  picked up in mid-stream
  //   sFW -> sCW  the FIN is acknowledged, the other direction is still open
  //   sLA -> sTW  the last ACK, unless it answers a SYN that we ignored (RFC 5961 section 4)

  // ORIGINAL  sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* rst    */ sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL,
  /* none   */ sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV,

  // REPLY     sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* syn    */ sIV, sS2, sIV, sIV, sIV, sIV, sIV, sSS, sIV, sS2,
  //   sSS -> sS2  simultaneous open
  //   sTW -> sSS  the tuple is used again, with the roles exchanged

  // REPLY     sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* synack */ sIV, sSR, sIG, sIG, sIG, sIG, sIG, sIG, sIG, sSR,
  //   sSS -> sSR  the ordinary answer
  //   sSR .. sCL -> sIG  sent again, or the answer to a SYN that we ignored

  // REPLY     sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* fin    */ sIV, sIV, sFW, sFW, sLA, sLA, sLA, sTW, sCL, sIV,

  // REPLY     sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* ack    */ sIV, sIG, sSR, sES, sCW, sCW, sTW, sTW, sCL, sIG,
  //   sSS, sS2 -> sIG  the server holds an old half of this connection (challenge ACK)
  //   sSR -> sSR  answers a SYN that came twice

  // REPLY     sNO, sSS, sSR, sES, sFW, sCW, sLA, sTW, sCL, sS2
  /* rst    */ sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL,
  /* none   */ sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV, sIV,
]);

/** The state that a packet of this class and direction leads to; MAX is invalid, IGNORE undecided. */
// @ts-ignore: decorator
@inline export function next_state(dir: u32, index: u32, state: u32): u32 {
  return load<u8>(TRANSITIONS + <usize>((dir * CLASSES + index) * STATES + state));
}

/** The row that a flags byte belongs to. */
// @ts-ignore: decorator
@inline export function flag_class(flags: u32): u32 {
  if (flags & TCP_RST) return TcpFlagClass.RST;
  if (flags & TCP_SYN) return flags & TCP_ACK ? TcpFlagClass.SYNACK : TcpFlagClass.SYN;
  if (flags & TCP_FIN) return TcpFlagClass.FIN;
  if (flags & TCP_ACK) return TcpFlagClass.ACK;
  return TcpFlagClass.NONE;
}

/** Combinations of SYN, FIN, RST, ACK and URG that a host may send, as bits; PSH, ECE and CWR never matter. */
const VALID_FLAGS: u64 =
  (<u64>1 << TCP_SYN) | (<u64>1 << (TCP_SYN | TCP_URG)) | (<u64>1 << (TCP_SYN | TCP_ACK)) |
  (<u64>1 << TCP_RST) | (<u64>1 << (TCP_RST | TCP_ACK)) |
  (<u64>1 << (TCP_FIN | TCP_ACK)) | (<u64>1 << (TCP_FIN | TCP_ACK | TCP_URG)) |
  (<u64>1 << TCP_ACK) | (<u64>1 << (TCP_ACK | TCP_URG));

// @ts-ignore: decorator
@inline export function flags_valid(flags: u32): bool {
  return <bool>((VALID_FLAGS >> (flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK | TCP_URG))) & 1);
}
