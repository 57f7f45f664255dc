// What texts do lines consist of? Tables of text that src/report/format.ts fills and write.ts copies from, so that every
// name is spelt in one place (src/report/names.ts) and nothing here is a string.

/** Tables; a text is found by its table and an index. */
export enum Table {
  /** Index: Piece. */
  PIECE = 0,
  /** Packet lines. Path. */
  PATH = 1,
  /** Interface. */
  IN = 2,
  OUT = 3,
  /** verdict << 5 | reject. */
  VERDICT = 4,
  /** Rule. */
  RULE = 5,
  /** Reason; empty where the text has a number in it. */
  WHY = 6,
  /** dir << 3 | ct_state. */
  CT_STATE = 7,
  /** Low bits of the status (CT_STATUS_BITS), then whether there is a helper. */
  CT_STATUS = 8,
  /** Packet.tcp_state. */
  CT_PROTOCOL_STATE = 9,
  /** Packet.events. */
  EVENTS = 10,
  /** Flow lines. Family. */
  FAMILY = 11,
  /** Protocol. */
  PROTOCOL = 12,
  /** EventKind. */
  KIND = 13,
  /** TcpConntrack and SctpConntrack. */
  TCP_STATE = 14,
  SCTP_STATE = 15,
  HELPER = 16,
  COUNT = 17,
}

/** Status bits that packet lines name are among the low ones, but for HELPER. */
export const CT_STATUS_BITS = 11;
export const CT_STATUS_LOW = (1 << CT_STATUS_BITS) - 1;

/** Texts that stand alone. */
export enum Piece {
  FILE = 0,
  N = 1,
  TS = 2,
  QUOTE = 3,
  CT = 4,
  CT_WITH_ID = 5,
  COMMA = 6,
  CT_INVALID = 7,
  CT_UNTRACKED = 8,
  FRAG = 9,
  CLOSE = 10,
  LINE_END = 11,
  SRC = 12,
  DST = 13,
  SPORT = 14,
  DPORT = 15,
  TYPE = 16,
  CODE = 17,
  ICMP_ID = 18,
  SRCKEY = 19,
  DSTKEY = 20,
  ZONE_ORIG = 21,
  ZONE_REPLY = 22,
  ZONE = 23,
  PACKETS = 24,
  BYTES = 25,
  UNREPLIED = 26,
  ASSURED = 27,
  MARK = 28,
  DELTA_TIME = 29,
  USE = 30,
  ID = 31,
  COUNT = 32,
}

/** How a flow is printed: bits of FormatJob.modes. */
export enum FlowMode {
  /** `-o extended`: the layer 3 protocol comes first. */
  EXTENDED = 1,
  /** `-o timestamp`: `[seconds.microseconds]` and a tab come first. */
  TIMESTAMP = 2,
  /** `-o id`. */
  ID = 4,
  /** An entry of the table, not an event. */
  LISTED = 8,
}
