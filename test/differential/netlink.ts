// What do the kernel's netlink messages say? NFLOG records (nfnetlink_log.h) and conntrack entries
// (nfnetlink_conntrack.h), read from the raw datagrams that kernel.py keeps. Little-endian hosts only, as attribute
// headers are in host order; values are in network order.

const NLMSG_HEADER = 16;
const NFGENMSG = 4;
const NLA_TYPE_MASK = 0x3fff;

const NFNL_SUBSYS_CTNETLINK = 1;
/** Upper byte of the type of a message about an expectation. */
export const NFNL_SUBSYS_CTNETLINK_EXP = 2;
const IPCTNL_MSG_CT_GET = 1;
const NLM_F_REQUEST = 1;
/** Message type of an answer that is an error code, not an entry. */
export const NLMSG_ERROR = 2;

/** One netlink message: its type, flags, nfgenmsg family and resource id, and its attributes' bytes. */
export interface NetlinkMessage {
  type: number;
  flags: number;
  family: number;
  resource: number;
  body: Buffer;
}

/** Splits a datagram into its messages. */
export function* messages(datagram: Buffer): Generator<NetlinkMessage> {
  for (let at = 0; at + NLMSG_HEADER <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < NLMSG_HEADER || at + length > datagram.length) throw new Error(`netlink message of ${length} bytes`);
    const type = datagram.readUInt16LE(at + 4);
    if (length >= NLMSG_HEADER + NFGENMSG) {
      yield {
        type,
        flags: datagram.readUInt16LE(at + 6),
        family: datagram.readUInt8(at + NLMSG_HEADER),
        resource: datagram.readUInt16BE(at + NLMSG_HEADER + 2),
        body: datagram.subarray(at + NLMSG_HEADER + NFGENMSG, at + length),
      };
    }
    at += (length + 3) & ~3;
  }
}

/** Attributes by type; a type that appears twice keeps its last value. */
export function attributes(body: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= body.length; ) {
    const length = body.readUInt16LE(at);
    if (length < 4 || at + length > body.length) throw new Error(`netlink attribute of ${length} bytes`);
    found.set(body.readUInt16LE(at + 2) & NLA_TYPE_MASK, body.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

/** A conntrack entry as the kernel describes it; what a message leaves out is undefined. */
export interface EntryInfo {
  /** CTA_ID: stays the same as long as the entry lives. */
  id: number;
  /** Tuples as bytes in hexadecimal: the two CTA_TUPLE_* attributes as they came. */
  original: string;
  reply: string;
  /** IPS_* bits. */
  status: number | undefined;
  /** Seconds left. */
  timeout: number | undefined;
  mark: number | undefined;
  /** Name of the helper. */
  helper: string | undefined;
  /** An entry expected this one. */
  expected: boolean;
  /** TCP_CONNTRACK_* number. */
  tcp: number | undefined;
  /** SCTP_CONNTRACK_* number. */
  sctp: number | undefined;
  /** Window scale and IP_CT_TCP_FLAG_* bits: [original, reply]. */
  scale: [number, number] | undefined;
  flags: [number, number] | undefined;
  /** When the entry ended, ns since 1970 (nf_conntrack_timestamp): where it expired, that moment, however late it went. */
  stop: bigint | undefined;
}

const CTA = {
  TUPLE_ORIG: 1,
  TUPLE_REPLY: 2,
  STATUS: 3,
  PROTOINFO: 4,
  HELP: 5,
  TIMEOUT: 7,
  MARK: 8,
  ID: 12,
  TUPLE_MASTER: 14,
  TIMESTAMP: 20,
} as const;
const CTA_TIMESTAMP_STOP = 2;
const CTA_HELP_NAME = 1;
const CTA_PROTOINFO_TCP = 1;
const CTA_PROTOINFO_SCTP = 3;
const CTA_SCTP_STATE = 1;
const CTA_TCP = { STATE: 1, SCALE_ORIGINAL: 2, SCALE_REPLY: 3, FLAGS_ORIGINAL: 4, FLAGS_REPLY: 5 } as const;

/** Reads a conntrack entry from the attributes of a ctnetlink message. */
export function entryInfo(body: Buffer): EntryInfo {
  const all = attributes(body);
  const help = all.get(CTA.HELP);
  const protoinfo = all.get(CTA.PROTOINFO);
  const tcpBody = protoinfo && attributes(protoinfo).get(CTA_PROTOINFO_TCP);
  const tcp = tcpBody && attributes(tcpBody);
  const sctpBody = protoinfo && attributes(protoinfo).get(CTA_PROTOINFO_SCTP);
  const stamps = all.get(CTA.TIMESTAMP);
  const byte = (key: number): number => tcp?.get(key)?.readUInt8(0) ?? 0;
  return {
    id: all.get(CTA.ID)?.readUInt32BE(0) ?? 0,
    original: all.get(CTA.TUPLE_ORIG)?.toString('hex') ?? '',
    reply: all.get(CTA.TUPLE_REPLY)?.toString('hex') ?? '',
    status: all.get(CTA.STATUS)?.readUInt32BE(0),
    timeout: all.get(CTA.TIMEOUT)?.readUInt32BE(0),
    mark: all.get(CTA.MARK)?.readUInt32BE(0),
    helper: help && attributes(help).get(CTA_HELP_NAME)?.toString('latin1').replace(/\0$/, ''),
    expected: all.has(CTA.TUPLE_MASTER),
    tcp: tcp?.get(CTA_TCP.STATE)?.readUInt8(0),
    sctp: sctpBody && attributes(sctpBody).get(CTA_SCTP_STATE)?.readUInt8(0),
    scale: tcp?.has(CTA_TCP.SCALE_ORIGINAL) ? [byte(CTA_TCP.SCALE_ORIGINAL), byte(CTA_TCP.SCALE_REPLY)] : undefined,
    flags: tcp?.has(CTA_TCP.FLAGS_ORIGINAL) ? [byte(CTA_TCP.FLAGS_ORIGINAL), byte(CTA_TCP.FLAGS_REPLY)] : undefined,
    stop: stamps && attributes(stamps).get(CTA_TIMESTAMP_STOP)?.readBigUInt64BE(0),
  };
}

/** One NFLOG record. */
export interface LogInfo {
  /** NFLOG group (the nfgenmsg's resource id) and the record's number within it, from 0. */
  group: number;
  sequence: number;
  hook: number;
  prefix: string;
  /** Source address of the frame in hexadecimal, as far as the packet came through a port. */
  source: string | undefined;
  mark: number;
  /** Interface indexes, 0 none. */
  indev: number;
  outdev: number;
  /** The packet from its IP header on, as far as the rule copies it. */
  payload: Buffer;
}

const NFULA = {
  PACKET_HDR: 1,
  MARK: 2,
  IFINDEX_INDEV: 4,
  IFINDEX_OUTDEV: 5,
  HWADDR: 8,
  PAYLOAD: 9,
  PREFIX: 10,
  SEQ: 12,
} as const;

/** Reads an NFLOG record. */
export function logInfo(message: NetlinkMessage): LogInfo {
  const all = attributes(message.body);
  const prefix = all.get(NFULA.PREFIX);
  const address = all.get(NFULA.HWADDR);
  return {
    group: message.resource,
    sequence: all.get(NFULA.SEQ)?.readUInt32BE(0) ?? -1,
    hook: all.get(NFULA.PACKET_HDR)?.readUInt8(2) ?? -1,
    prefix: prefix ? prefix.toString('latin1', 0, prefix.length - 1) : '',
    source: address && address.readUInt16BE(0) === 6 ? address.toString('hex', 4, 10) : undefined,
    mark: all.get(NFULA.MARK)?.readUInt32BE(0) ?? 0,
    indev: all.get(NFULA.IFINDEX_INDEV)?.readUInt32BE(0) ?? 0,
    outdev: all.get(NFULA.IFINDEX_OUTDEV)?.readUInt32BE(0) ?? 0,
    payload: all.get(NFULA.PAYLOAD) ?? Buffer.alloc(0),
  };
}

/** An attribute with a value, or one that holds others. */
function attribute(type: number, ...content: Buffer[]): Buffer {
  const length = content.reduce((sum, part) => sum + part.length, 4);
  const header = Buffer.alloc(4);
  header.writeUInt16LE(length, 0);
  header.writeUInt16LE(type, 2);
  return Buffer.concat([header, ...content, Buffer.alloc(-length & 3)]);
}

const nested = (type: number, ...content: Buffer[]): Buffer => attribute(type | 0x8000, ...content);

/** The flow of a packet as conntrack looks it up; `parts` are the protocol's CTA_PROTO_* attributes by number. */
export interface TupleQuery {
  family: 2 | 10;
  source: Buffer;
  target: Buffer;
  protocol: number;
  parts: [number, Buffer][];
}

/** A request for the entry that has this tuple in either direction (IPCTNL_MSG_CT_GET). */
export function entryRequest(tuple: TupleQuery): Buffer {
  const [source, target] = tuple.family === 2 ? [1, 2] : [3, 4];
  const body = nested(
    CTA.TUPLE_ORIG,
    nested(1, attribute(source as number, tuple.source), attribute(target as number, tuple.target)),
    nested(
      2,
      attribute(1, Buffer.from([tuple.protocol])),
      ...tuple.parts.map(([type, value]) => attribute(type, value)),
    ),
  );
  const header = Buffer.alloc(NLMSG_HEADER + NFGENMSG);
  header.writeUInt32LE(header.length + body.length, 0);
  header.writeUInt16LE((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET, 4);
  header.writeUInt16LE(NLM_F_REQUEST, 6);
  header.writeUInt8(tuple.family, NLMSG_HEADER);
  return Buffer.concat([header, body]);
}
