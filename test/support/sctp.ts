// How does a test write SCTP, UDP-Lite and GRE packets? Builders beside those of packets.ts, with right checksums or wrong
// ones (RFC 9260, 3828, 2784, 2637).
//
// It imports nothing but packets.ts. CRC32c is computed bit by bit, as RFC 9260 appendix A defines it.

import { addressBytes, concat, internetChecksum, type Payload, type Transport } from './packets.ts';

const u16 = (value: number): number[] => [(value >>> 8) & 0xff, value & 0xff];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value)];
const payloadBytes = (payload: Payload = 0): Uint8Array =>
  typeof payload === 'number' ? new Uint8Array(payload) : payload;

/** Chunk types by name (RFC 9260 section 3.2). */
export const SCTP_CHUNKS: Record<string, number> = {
  DATA: 0,
  INIT: 1,
  INIT_ACK: 2,
  SACK: 3,
  HEARTBEAT: 4,
  HEARTBEAT_ACK: 5,
  ABORT: 6,
  SHUTDOWN: 7,
  SHUTDOWN_ACK: 8,
  ERROR: 9,
  COOKIE_ECHO: 10,
  COOKIE_ACK: 11,
  SHUTDOWN_COMPLETE: 14,
};

export interface SctpChunkSpec {
  /** A name of SCTP_CHUNKS or a number. */
  type: string | number;
  flags?: number;
  /** What follows the chunk header; by default what the type needs: 16 bytes for INIT and INIT_ACK, 12 for DATA. */
  value?: Payload;
  /** INIT, INIT_ACK: the initiate tag. */
  tag?: number;
  /** Length field instead of the right one. */
  length?: number;
}

export interface SctpSpec {
  sport: number;
  dport: number;
  /** Verification tag. */
  vtag?: number;
  chunks: readonly SctpChunkSpec[];
  badChecksum?: boolean;
  /** Bytes of the packet that are sent, if not all; the checksum is right for what is left. */
  cut?: number;
}

const DEFAULT_VALUES: Record<number, number> = { 0: 13, 1: 16, 2: 16, 3: 12, 7: 4 };

/** CRC32c over bytes (polynomial 0x1edc6f41, reflected). */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

function chunkBytes(spec: SctpChunkSpec): Uint8Array {
  const type = typeof spec.type === 'number' ? spec.type : SCTP_CHUNKS[spec.type];
  if (type === undefined) throw new Error(`no chunk type: ${spec.type}`);
  const value = payloadBytes(spec.value ?? DEFAULT_VALUES[type] ?? 0).slice();
  if (spec.tag !== undefined && value.length >= 4) value.set(u32(spec.tag));
  const header = [type, spec.flags ?? 0, ...u16(spec.length ?? 4 + value.length)];
  return concat(Uint8Array.from(header), value, new Uint8Array(-value.length & 3));
}

/** An SCTP packet (RFC 9260 section 3). */
export function sctp(spec: SctpSpec): Transport {
  const header = Uint8Array.from([...u16(spec.sport), ...u16(spec.dport), ...u32(spec.vtag ?? 0), 0, 0, 0, 0]);
  const bytes = concat(header, ...spec.chunks.map(chunkBytes)).slice(0, spec.cut);
  if (bytes.length >= 12) {
    const crc = crc32c(bytes) ^ (spec.badChecksum ? 1 : 0);
    // Least significant byte first (appendix A).
    bytes.set([crc & 0xff, (crc >>> 8) & 0xff, (crc >>> 16) & 0xff, crc >>> 24], 8);
  }
  return { protocol: 132, bytes };
}

export interface UdpliteSpec {
  sport: number;
  dport: number;
  payload?: Payload;
  /** Checksum coverage field; 0 is the whole packet. */
  coverage?: number;
  noChecksum?: boolean;
  /** Protocol number of the pseudo header: 136 (RFC 3828 section 3.1) unless given. */
  pseudoProtocol?: number;
}

/** A UDP-Lite datagram between two addresses: its checksum covers part of it, so it is filled in here. */
export function udplite(source: string, target: string, spec: UdpliteSpec): Transport {
  const coverage = spec.coverage ?? 0;
  const header = [...u16(spec.sport), ...u16(spec.dport), ...u16(coverage), 0, 0];
  const bytes = concat(Uint8Array.from(header), payloadBytes(spec.payload));
  if (!spec.noChecksum) {
    const covered = bytes.slice(0, coverage === 0 ? bytes.length : coverage);
    const pseudo = Uint8Array.from([...u32(bytes.length), 0, 0, 0, spec.pseudoProtocol ?? 136]);
    bytes.set(u16(internetChecksum(addressBytes(source), addressBytes(target), pseudo, covered) || 0xffff), 6);
  }
  return { protocol: 136, bytes };
}

export interface GreSpec {
  /** The first 16 bits without the version: C 0x8000, K 0x2000, S 0x1000. */
  flags?: number;
  version?: number;
  /** EtherType of what is carried: 0x0800; 0x880b is PPP. */
  protocol?: number;
  /** Version 1: call id; version 0: the key, behind flag K. */
  key?: number;
  payload?: Payload;
}

/** A GRE packet: version 0 (RFC 2784, 2890) or 1 (RFC 2637). */
export function gre(spec: GreSpec): Transport {
  const { version = 0, key, payload = 0 } = spec;
  const body = payloadBytes(payload);
  const keyed = version === 0 && key !== undefined ? 0x2000 : 0;
  const header = [
    ...u16((spec.flags ?? 0) | keyed | version),
    ...u16(spec.protocol ?? (version === 1 ? 0x880b : 0x0800)),
  ];
  if (version === 1) header.push(...u16(body.length), ...u16(key ?? 0));
  else if (key !== undefined) header.push(...u32(key));
  return { protocol: 47, bytes: concat(Uint8Array.from(header), body) };
}
