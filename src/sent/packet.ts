// An IP packet in the making: its bytes as far as they are known, and its lengths.

import { L3, Proto } from '../../assembly/vocabulary.ts';
import { pseudoSum, sumWords } from './checksum.ts';

/** Longest IP packet and what may be in front of it, bytes. */
const ROOM = 0x11000;

const IPV4_HEADER = 20;
export const IPV6_HEADER = 40;

// IPv6 extension headers that others may follow (RFC 8200 section 4; IANA).
const HOP_BY_HOP = 0;
const ROUTING = 43;
export const FRAGMENT_HEADER = 44;
const AUTHENTICATION = 51;
const DESTINATION_OPTIONS = 60;

/** Where the checksum of a protocol lies in its header; none in those that are not here. */
const CHECKSUM_AT: Readonly<Record<number, number>> = {
  [Proto.TCP]: 16,
  [Proto.UDP]: 6,
  [Proto.UDPLITE]: 6,
  [Proto.ICMP]: 2,
  [Proto.ICMPV6]: 2,
};

export class IpPacket {
  readonly bytes = new Uint8Array(ROOM);
  readonly view = new DataView(this.bytes.buffer);
  /** Bytes that are known: as far as they were captured. */
  captured = 0;
  /** Bytes of the packet. */
  length = 0;
  /** Offset of the transport header; 0 if there is none. */
  l4 = 0;
  protonum = 0;
  family: L3 = L3.IPV4;

  load(bytes: Uint8Array, length: number, header: { l4: number; protonum: number; family: L3 }): void {
    this.bytes.set(bytes.length > ROOM ? bytes.subarray(0, ROOM) : bytes);
    this.captured = Math.min(bytes.length, ROOM);
    this.length = length;
    this.l4 = header.l4;
    this.protonum = header.protonum;
    this.family = header.family;
  }

  get whole(): boolean {
    return this.captured === this.length;
  }

  /** Is a field of `size` bytes at `at` there to be changed? */
  has(at: number, size: number): boolean {
    return at + size <= this.captured;
  }

  /** Offset of the transport checksum; undefined if the protocol has none, or the packet or the capture ends before it. */
  get checksumAt(): number | undefined {
    const place = CHECKSUM_AT[this.protonum];
    return place !== undefined && this.l4 > 0 && this.has(this.l4 + place, 2) ? this.l4 + place : undefined;
  }

  /** Sum of what is in front of the transport header when its checksum is computed. */
  pseudoSum(): number {
    if (this.protonum === Proto.ICMP) return 0;
    const [from, to] = addressesAt(0, this.family);
    return pseudoSum(sumWords(this.bytes, from, to), this.protonum, this.length - this.l4);
  }

  /** Bytes of the IPv4 header. */
  get header4(): number {
    return (this.bytes[0]! & 15) * 4;
  }
}

/** Where source and destination address lie, together. */
export function addressesAt(ip: number, family: L3): [from: number, to: number] {
  return family === L3.IPV6 ? [ip + 8, ip + 40] : [ip + 12, ip + 20];
}

/** The transport header of the packet at `ip` as far as it can be found; undefined in later fragments and what is cut. */
export function transportOf(
  bytes: Uint8Array,
  ip: number,
  captured: number,
  family: L3,
): { l4: number; protonum: number } | undefined {
  if (family === L3.IPV4) {
    if (ip + IPV4_HEADER > captured) return undefined;
    return { l4: ip + (bytes[ip]! & 15) * 4, protonum: bytes[ip + 9]! };
  }
  if (ip + IPV6_HEADER > captured) return undefined;
  let next = bytes[ip + 6]!;
  let at = ip + IPV6_HEADER;
  while (isExtension(next)) {
    if (at + 8 > captured) return undefined;
    if (next === FRAGMENT_HEADER && ((bytes[at + 2]! << 8) | bytes[at + 3]!) & 0xfff8) return undefined;
    const size = extensionSize(next, bytes[at + 1]!);
    next = bytes[at]!;
    at += size;
  }
  return { l4: at, protonum: next };
}

function isExtension(next: number): boolean {
  return (
    next === HOP_BY_HOP ||
    next === ROUTING ||
    next === AUTHENTICATION ||
    next === DESTINATION_OPTIONS ||
    next === FRAGMENT_HEADER
  );
}

function extensionSize(type: number, units: number): number {
  if (type === FRAGMENT_HEADER) return 8;
  return type === AUTHENTICATION ? (units + 2) * 4 : (units + 1) * 8;
}

/**
 * The part of an IPv6 packet that every fragment repeats: its length, and where it names what follows (RFC 8200 section 4.5;
 * kernel: ip6_find_1stfragopt()).
 */
export function unfragmentable(bytes: Uint8Array, length: number): { size: number; nextAt: number } {
  let nextAt = 6;
  let size = IPV6_HEADER;
  let routed = false;
  while (size + 8 <= length) {
    const next = bytes[nextAt]!;
    if (next === ROUTING) routed = true;
    else if (next !== HOP_BY_HOP && (next !== DESTINATION_OPTIONS || routed)) break;
    nextAt = size;
    size += extensionSize(next, bytes[size + 1]!);
  }
  return { size, nextAt };
}
