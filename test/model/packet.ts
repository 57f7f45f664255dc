// What does the model see of a packet? A plain reading of an IP packet's bytes, slow and in words of the RFCs
// (791, 8200, 9293, 768, 792, 4443). Fragments and extension headers are not its business: it throws on them.

export interface Segment {
  seq: number;
  ack: number;
  flags: { fin: boolean; syn: boolean; rst: boolean; ack: boolean };
  /** The flags byte. */
  flagByte: number;
  window: number;
  /** Header length in bytes as stated. */
  headerLength: number;
  /** Bytes behind the fixed header that are options. */
  options: Uint8Array;
  /** Sequence number behind the segment: seq + data + SYN + FIN, modulo 2^32. */
  end: number;
}

export interface ModelPacket {
  family: 4 | 6;
  /** Hex digits of the addresses. */
  source: string;
  target: string;
  protocol: number;
  /** Bytes of the IP packet. */
  length: number;
  /** Everything behind the IP header. */
  body: Uint8Array;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const be16 = (bytes: Uint8Array, at: number): number => bytes[at]! * 256 + bytes[at + 1]!;
export const be32 = (bytes: Uint8Array, at: number): number => be16(bytes, at) * 65536 + be16(bytes, at + 2);

/** Reads an IP packet whose header is whole. `quoted`: it is part of an ICMP error, so its end may be missing. */
export function readPacket(bytes: Uint8Array, quoted = false): ModelPacket {
  if (bytes[0]! >> 4 === 4) {
    const header = (bytes[0]! & 15) * 4;
    if (be16(bytes, 6) & 0x3fff) throw new Error('the model reads no fragments');
    const length = quoted ? bytes.length : be16(bytes, 2);
    return {
      family: 4,
      source: hex(bytes.slice(12, 16)),
      target: hex(bytes.slice(16, 20)),
      protocol: bytes[9]!,
      length,
      body: bytes.slice(header, length),
    };
  }
  const length = quoted ? bytes.length : be16(bytes, 4) + 40;
  if ([0, 43, 44, 51, 60].includes(bytes[6]!)) throw new Error('the model reads no extension headers');
  return {
    family: 6,
    source: hex(bytes.slice(8, 24)),
    target: hex(bytes.slice(24, 40)),
    protocol: bytes[6]!,
    length,
    body: bytes.slice(40, length),
  };
}

/** Reads a TCP header (RFC 9293 section 3.1); undefined if it is not whole or its length is nonsense. */
export function readSegment(body: Uint8Array): Segment | undefined {
  if (body.length < 20) return undefined;
  const headerLength = (body[12]! >> 4) * 4;
  if (headerLength < 20 || headerLength > body.length) return undefined;
  const flagByte = body[13]!;
  const flags = {
    fin: (flagByte & 1) !== 0,
    syn: (flagByte & 2) !== 0,
    rst: (flagByte & 4) !== 0,
    ack: (flagByte & 16) !== 0,
  };
  const seq = be32(body, 4);
  const size = body.length - headerLength + (flags.syn ? 1 : 0) + (flags.fin ? 1 : 0);
  return {
    seq,
    ack: be32(body, 8),
    flags,
    flagByte,
    window: be16(body, 14),
    headerLength,
    options: body.slice(20, headerLength),
    end: (seq + size) % 2 ** 32,
  };
}

/** The options up to the first that is malformed (RFC 9293 section 3.1): kind and data. */
export function readOptions(bytes: Uint8Array): { kind: number; data: Uint8Array }[] {
  const found: { kind: number; data: Uint8Array }[] = [];
  let at = 0;
  while (at < bytes.length) {
    const kind = bytes[at]!;
    if (kind === 0) break;
    if (kind === 1) {
      at++;
      continue;
    }
    const size = bytes[at + 1];
    if (size === undefined || size < 2 || at + size > bytes.length) break;
    found.push({ kind, data: bytes.slice(at + 2, at + size) });
    at += size;
  }
  return found;
}
