// Into which fragments is a packet cut that leaves? As it came in fragments, or as the MTU of its way wants it. Kernel:
// ip_do_fragment() (net/ipv4/ip_output.c), ip6_fragment() (net/ipv6/ip6_output.c).

import { L3 } from '../../assembly/vocabulary.ts';
import { complement, sumWords } from './checksum.ts';
import { FRAGMENT_HEADER, type IpPacket, unfragmentable } from './packet.ts';

/** How the fragments of a reassembled packet came (Assembled). */
export interface Assembled {
  maxSize: number;
  maxDfSize: number;
  /** Bytes of data of each, in order. */
  lengths: readonly number[];
}

/** What decides how a packet is cut. */
export interface Cutting {
  assembled: Assembled | undefined;
  /** MTU of the way out; undefined if it is not known. */
  mtu: number | undefined;
  /** Bytes of the transport header that were changed in place: the first fragment has at least those. */
  touched: number;
  /** The payload was rewritten: the fragments that came were put together for good. */
  linear: boolean;
  /** Identification of IPv6 fragments, which is random in the kernel. */
  id: number;
}

/** An IP packet: what is known of it, and its length. */
export interface Piece {
  bytes: Uint8Array;
  length: number;
}

const IP_DF = 0x4000;
const IP_MF = 0x2000;
const IPV6_MIN_MTU = 1280;
const IPV4_HEADER = 20;

/** The packet as it leaves, whole or cut. */
export function cutPacket(p: IpPacket, cutting: Cutting): Piece[] {
  return p.family === L3.IPV4 ? cut4(p, cutting) : cut6(p, cutting);
}

function whole(p: IpPacket): Piece[] {
  return [{ bytes: p.bytes.slice(0, p.captured), length: p.length }];
}

function cut4(p: IpPacket, { assembled, mtu = Number.POSITIVE_INFINITY, touched, linear }: Cutting): Piece[] {
  if (!assembled && p.length <= mtu) return whole(p);
  const header = p.header4;
  const received = assembled ? Math.max(assembled.maxSize, assembled.maxDfSize) : Number.POSITIVE_INFINITY;
  const room = Math.min(mtu, received) - header;
  const kept = assembled && !linear ? asReceived(assembled.lengths, touched, room) : undefined;
  // Those that keep their lengths lose DF.
  const df = !kept && assembled && assembled.maxDfSize === assembled.maxSize ? IP_DF : 0;
  return pieces(p, header, kept ?? alike(p.length - header, room), (piece, offset, last) => {
    const view = new DataView(piece.bytes.buffer);
    if (offset > 0) dropOptions(piece.bytes, header);
    view.setUint16(2, piece.length);
    view.setUint16(6, (offset >> 3) | df | (last ? 0 : IP_MF));
    view.setUint16(10, 0);
    view.setUint16(10, complement(sumWords(piece.bytes, 0, header)));
  });
}

function cut6(p: IpPacket, { assembled, mtu = Number.POSITIVE_INFINITY, touched, linear, id }: Cutting): Piece[] {
  const received = assembled?.maxSize;
  if (p.length <= mtu && !(received !== undefined && p.length > received)) return whole(p);
  const { size, nextAt } = unfragmentable(p.bytes, p.captured);
  const room = (received === undefined ? mtu : Math.max(received, IPV6_MIN_MTU)) - size - 8;
  const next = p.bytes[nextAt]!;
  // The first one has what was in front of its data, too.
  const front = assembled ? p.length - size - assembled.lengths.reduce((sum, length) => sum + length, 0) : 0;
  const lengths = assembled?.lengths.map((length, index) => (index === 0 ? length + front : length));
  const kept = lengths && !linear ? asReceived(lengths, touched + p.l4 - size, room) : undefined;
  return pieces(p, size, kept ?? alike(p.length - size, room), (piece, offset, last) => {
    const data = piece.bytes.subarray(size);
    const bytes = new Uint8Array(piece.bytes.length + 8);
    bytes.set(piece.bytes.subarray(0, size));
    bytes.set(data, size + 8);
    bytes[nextAt] = FRAGMENT_HEADER;
    const view = new DataView(bytes.buffer);
    view.setUint8(size, next);
    view.setUint16(size + 2, offset | (last ? 0 : 1));
    view.setUint32(size + 4, id);
    view.setUint16(4, piece.length + 8 - 40);
    piece.bytes = bytes;
    piece.length += 8;
  });
}

/** The lengths that fragments came with, if they may be sent so; what was looked into is part of the first. */
function asReceived(lengths: readonly number[], touched: number, room: number): number[] | undefined {
  const kept = [...lengths];
  while (kept.length > 1 && kept[0]! < touched) {
    const taken = Math.min(touched - kept[0]!, kept[1]!);
    kept[0]! += taken;
    kept[1]! -= taken;
    if (kept[1] === 0) kept.splice(1, 1);
  }
  const fits = kept.every((length, index) => length <= room && (index === kept.length - 1 || length % 8 === 0));
  return kept.length > 1 && fits && kept[0]! % 8 === 0 ? kept : undefined;
}

/** As long as there is room, in units of eight bytes but for the last. */
function alike(total: number, room: number): number[] {
  const lengths: number[] = [];
  for (let left = total; left > 0; ) {
    const length = left <= room ? left : Math.max(8, room & ~7);
    lengths.push(Math.min(length, left));
    left -= length;
  }
  return lengths;
}

/** Fragments with the same first `header` bytes, each completed by `finish`; what was not captured is in none. */
function pieces(
  p: IpPacket,
  header: number,
  lengths: readonly number[],
  finish: (piece: Piece, offset: number, last: boolean) => void,
): Piece[] {
  let offset = 0;
  return lengths.map((length, index) => {
    const from = header + offset;
    const known = Math.max(0, Math.min(length, p.captured - from));
    const bytes = new Uint8Array(header + known);
    bytes.set(p.bytes.subarray(0, header));
    bytes.set(p.bytes.subarray(from, from + known), header);
    const piece = { bytes, length: header + length };
    finish(piece, offset, index === lengths.length - 1);
    offset += length;
    return piece;
  });
}

/** Options that are not for every fragment become padding (RFC 791 section 3.1; ip_options_fragment()). */
function dropOptions(bytes: Uint8Array, header: number): void {
  for (let at = IPV4_HEADER; at < header; ) {
    const type = bytes[at]!;
    if (type === 0) return;
    if (type === 1) {
      at++;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    if (length < 2 || at + length > header) return;
    if (!(type & 0x80)) bytes.fill(1, at, at + length);
    at += length;
  }
}
