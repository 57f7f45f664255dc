// The SCTP transition table, nothing else (kernel: sctp_conntracks[] in nf_conntrack_proto_sctp.c).
//
// States are those of an association as seen from between its ends: what was sent last and by whom, not what arrived.
// A packet holds several chunks and each moves the state by itself; chunks that are not in the table (DATA, SACK ...)
// leave it. Once an association is known, hardly anything is refused here: the verification tag is what tells a
// stranger from a peer (sctp.ts).

import { SctpChunk, SctpConntrack } from "../vocabulary";

const sNO = <u8>SctpConntrack.NONE;
const sCL = <u8>SctpConntrack.CLOSED;
const sCW = <u8>SctpConntrack.COOKIE_WAIT;
const sCE = <u8>SctpConntrack.COOKIE_ECHOED;
const sES = <u8>SctpConntrack.ESTABLISHED;
const sSS = <u8>SctpConntrack.SHUTDOWN_SENT;
const sSR = <u8>SctpConntrack.SHUTDOWN_RECD;
const sSA = <u8>SctpConntrack.SHUTDOWN_ACK_SENT;
const sHS = <u8>SctpConntrack.HEARTBEAT_SENT;
const sIV = <u8>SctpConntrack.MAX;

const STATES: u32 = 9;
const ROWS: u32 = 11;

const TRANSITIONS: usize = memory.data<u8>([
  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* init          */ sCL, sCL, sCW, sCE, sES, sCL, sCL, sSA, sCW,
  //   sNO -> sCL  first packet of an association; it counts for little until it is answered
  //   sSS, sSR -> sCL  the shutdown got lost or the host restarted: the tuple is used again
  //   sHS -> sCW  a path that was only probed so far opens an association

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* init_ack      */ sCL, sCL, sCW, sCE, sES, sSS, sSR, sSA, sCL,
  //   sCW stays  the answer of the second INIT when both ends open at once (RFC 9260 section 5.2.1)

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* abort         */ sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sCL,

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* shutdown      */ sCL, sCL, sCW, sCE, sSS, sSS, sSR, sSA, sCL,
  //   sSR stays  both ends shut down: who was first is remembered

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* shutdown_ack  */ sSA, sCL, sCW, sCE, sES, sSA, sSA, sSA, sSA,
  //   sNO -> sSA  out of the blue; a SHUTDOWN COMPLETE is expected back (section 8.4 rule 5)

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* error         */ sCL, sCL, sCW, sCE, sES, sSS, sSR, sSA, sCL,

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* cookie_echo   */ sCL, sCL, sCE, sCE, sES, sSS, sSR, sSA, sCL,
  //   sES stays  sent again, or a restart that keeps the tags (section 5.2.4)

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* cookie_ack    */ sCL, sCL, sCW, sES, sES, sSS, sSR, sSA, sCL,
  //   sCE -> sES  after a collision the answering end may be the one that opened

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* shutdown_comp */ sCL, sCL, sCW, sCE, sES, sSS, sSR, sCL, sCL,
  //   sSA -> sCL  the orderly end

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* heartbeat     */ sHS, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS,
  //   sNO -> sHS  a further path of a multi-homed association is probed

  // ORIGINAL         sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* heartbeat_ack */ sCL, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS,

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* init          */ sIV, sCL, sCW, sCE, sES, sSS, sSR, sSA, sIV,
  //   sHS -> sIV  a probed path answers heartbeats, nothing else

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* init_ack      */ sIV, sCW, sCW, sCE, sES, sSS, sSR, sSA, sIV,
  //   sCL -> sCW  the INIT is answered

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* abort         */ sIV, sCL, sCL, sCL, sCL, sCL, sCL, sCL, sIV,

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* shutdown      */ sIV, sCL, sCW, sCE, sSR, sSS, sSR, sSA, sIV,

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* shutdown_ack  */ sIV, sCL, sCW, sCE, sES, sSA, sSA, sSA, sIV,

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* error         */ sIV, sCL, sCW, sCL, sES, sSS, sSR, sSA, sIV,
  //   sCE -> sCL  the cookie was refused as stale (section 5.2.6)

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* cookie_echo   */ sIV, sCL, sCE, sCE, sES, sSS, sSR, sSA, sIV,
  //   sCW -> sCE  after a collision the end that was called goes on

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* cookie_ack    */ sIV, sCL, sCW, sES, sES, sSS, sSR, sSA, sIV,
  //   sCE -> sES  the usual way into an association

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* shutdown_comp */ sIV, sCL, sCW, sCE, sES, sSS, sSR, sCL, sIV,

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* heartbeat     */ sIV, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS,

  // REPLY            sNO, sCL, sCW, sCE, sES, sSS, sSR, sSA, sHS
  /* heartbeat_ack */ sIV, sCL, sCW, sCE, sES, sSS, sSR, sSA, sES,
  //   sHS -> sES  the probed path works, so it belongs to an association
]);

/** Row of a chunk type; -1 for chunks that leave the state as it is. */
function row_of(chunk: u32): i32 {
  switch (chunk) {
    case SctpChunk.INIT: return 0;
    case SctpChunk.INIT_ACK: return 1;
    case SctpChunk.ABORT: return 2;
    case SctpChunk.SHUTDOWN: return 3;
    case SctpChunk.SHUTDOWN_ACK: return 4;
    case SctpChunk.ERROR: return 5;
    case SctpChunk.COOKIE_ECHO: return 6;
    case SctpChunk.COOKIE_ACK: return 7;
    case SctpChunk.SHUTDOWN_COMPLETE: return 8;
    case SctpChunk.HEARTBEAT: return 9;
    case SctpChunk.HEARTBEAT_ACK: return 10;
    default: return -1;
  }
}

/** SctpConntrack after a chunk; MAX if the chunk cannot come now. */
export function sctp_next_state(dir: u32, chunk: u32, state: u32): u32 {
  const row = row_of(chunk);
  if (row < 0) return state;
  return load<u8>(TRANSITIONS + ((dir * ROWS + <u32>row) * STATES + state));
}
