// What did a packet look like when it left? Its captured bytes, changed as the kernel changes them on the way: one hop less,
// addresses and ports of its translation, payload and sequence numbers as helpers leave them, quoted packets of ICMP errors, and
// checksums along with all of it.

import { Dir, L3, PacketFlag, Path, Proto, SentKind, Status, Verdict } from '../../assembly/vocabulary.ts';
import type { BatchView, WorldView } from '../batch.ts';
import { ASSEMBLED, ASSEMBLED_ROOM, PACKET, RECORD, TUPLE } from '../engine/layout.ts';
import { afterHop, complement, fold, sctpChecksum, sumWords, updated } from './checksum.ts';
import { type Assembled, cutPacket, type Piece } from './cut.ts';
import { MSS_LENGTH, setMss } from './mss.ts';
import { IPV6_HEADER, IpPacket, transportOf } from './packet.ts';
import type { SentPart } from './records.ts';
import { type End, translateEnd } from './translate.ts';

/** A packet that left, in one or more pieces, and the link-layer header it was captured with. */
export interface Departure {
  link: Uint8Array;
  pieces: Piece[];
}

const TCP_HEADER = 20;
const ICMP_HEADER = 8;
/** Bytes of transport header that NAT makes sure of before it changes a packet. */
const TOUCHED: Readonly<Record<number, number>> = {
  [Proto.TCP]: 20,
  [Proto.UDP]: 8,
  [Proto.UDPLITE]: 8,
  [Proto.SCTP]: 12,
  [Proto.ICMP]: 8,
  [Proto.ICMPV6]: 8,
  [Proto.GRE]: 8,
};
/** Of errors: their own header, and headers of what they quote. */
const TOUCHED_IN_ERROR = 48;

/**
 * Did the packet leave the host, and not only as part of another? What a host sends to itself goes on by loopback, which its
 * record shows as the interface it came by.
 */
export function hasLeft({ view, bytes }: Pick<BatchView, 'view' | 'bytes'>, packet: number): boolean {
  if (bytes[packet + PACKET.verdict] !== Verdict.ACCEPT) return false;
  if (view.getUint16(packet + PACKET.flags, true) & PacketFlag.FRAGMENT_OF) return false;
  const path = bytes[packet + PACKET.path];
  return path === Path.FORWARD || (path === Path.OUTPUT && view.getUint16(packet + PACKET.iif, true) === 0);
}

export class AsSent {
  readonly #packet = new IpPacket();

  /** @param mtus MTU of interfaces by name, as far as they are known */
  constructor(private readonly mtus: ReadonlyMap<string | undefined, number | undefined>) {}

  /** The packet at `index`, of which hasLeft() is true. */
  depart(batch: BatchView, world: WorldView, index: number): Departure {
    const { view, bytes } = batch;
    const record = batch.records + index * RECORD.size;
    const packet = world.packets + index * PACKET.size;
    const flags = view.getUint16(packet + PACKET.flags, true);
    const l3 = view.getUint32(packet + PACKET.l3, true);
    const reassembled = (flags & PacketFlag.REASSEMBLED) !== 0;
    const head = l3 - ASSEMBLED_ROOM;
    const data = view.getUint32(record + RECORD.data, true);
    const linkLength = reassembled ? view.getUint32(head + ASSEMBLED.link, true) : l3 - data;
    const captured = reassembled
      ? view.getUint32(head + ASSEMBLED.captured, true)
      : view.getUint32(record + RECORD.caplen, true) - linkLength;
    const parts = world.sent.get(packet) ?? [];
    const rewritten = parts.find(({ kind }) => kind === SentKind.REWRITTEN);
    const received = bytes.subarray(l3, l3 + captured);
    const mss = parts.find(({ kind }) => kind === SentKind.MSS);
    const length = view.getUint32(packet + PACKET.ip_len, true) - (mss?.how ? MSS_LENGTH : 0);
    const p = this.#load(batch, packet, received, length, rewritten);
    this.#countHop(p, bytes[packet + PACKET.ttl]!);
    if (mss) setMss(p, mss.value);
    const translated = (flags & PacketFlag.TRANSLATED) !== 0;
    const isError = (flags & PacketFlag.ICMP_ERROR) !== 0;
    if (translated) {
      const ends = endsOf(batch, packet, world.translations + index * TUPLE.size);
      if (isError) translateError(p, ends, parts);
      else for (const end of ends) translateEnd(p, 0, p.l4 ? p : undefined, end);
    }
    if (rewritten) sumRewritten(p, rewritten, received, length);
    if (flags & PacketFlag.OFFLOADED) complete(p);
    const changed = translated ? (isError ? TOUCHED_IN_ERROR : (TOUCHED[p.protonum] ?? 0)) : 0;
    const touched = Math.max(changed, this.#lookedFor(batch, packet, p));
    const pieces = cutPacket(p, {
      assembled: reassembled ? assembledAt(view, head, l3 + ((captured + 1) & ~1)) : undefined,
      mtu: this.#mtu(batch, packet),
      touched,
      linear: rewritten !== undefined && rewritten.how !== 0,
      id: view.getUint32(record + RECORD.number, true),
    });
    return { link: bytes.slice(data, data + linkLength), pieces };
  }

  /**
   * Bytes of transport header by which a socket was looked for before routing (tcp_v4_early_demux(), tcp_v6_early_demux();
   * sysctl tcp_early_demux, 1 by default).
   */
  #lookedFor({ bytes }: BatchView, packet: number, p: IpPacket): number {
    if (bytes[packet + PACKET.path] !== Path.FORWARD || p.protonum !== Proto.TCP) return 0;
    return p.family === L3.IPV6 && p.l4 > IPV6_HEADER ? 0 : TCP_HEADER;
  }

  /** The packet as it was received, or as a helper rewrote it, with its own addresses. */
  #load(
    { view, bytes }: BatchView,
    packet: number,
    received: Uint8Array,
    captured: number,
    rewritten: SentPart | undefined,
  ): IpPacket {
    const p = this.#packet;
    const l4 = view.getUint32(packet + PACKET.l4, true);
    const l3 = view.getUint32(packet + PACKET.l3, true);
    const header = {
      l4: rewritten ? rewritten.l4 : l4 && l4 - l3,
      protonum: bytes[packet + PACKET.protonum]!,
      family: bytes[packet + PACKET.l3num]! as L3,
    };
    const length = rewritten ? rewritten.ipLength : captured;
    const known = rewritten ? rewritten.bytes : received;
    p.load(known.length > length ? known.subarray(0, length) : known, length, header);
    if (rewritten?.how) writeLengths(p);
    return p;
  }

  /**
   * MTU that the packet is cut for. What is longer than its way in carries was merged by the network card, and is cut into
   * what it was; what was seen leaving did fit.
   */
  #mtu({ view, interfaces }: BatchView, packet: number): number | undefined {
    const flags = view.getUint16(packet + PACKET.flags, true);
    const [iif, oif] = [PACKET.iif, PACKET.oif].map((field) => interfaces.name(view.getUint16(packet + field, true)));
    const wayIn = this.mtus.get(iif) ?? Number.POSITIVE_INFINITY;
    const merged = !(flags & PacketFlag.REASSEMBLED) && view.getUint32(packet + PACKET.ip_len, true) > wayIn;
    return merged || flags & PacketFlag.LEAVING ? undefined : this.mtus.get(oif);
  }

  #countHop(p: IpPacket, ttl: number): void {
    if (p.family === L3.IPV6) {
      p.bytes[7] = ttl;
      return;
    }
    for (; p.bytes[8]! > ttl; p.bytes[8]!--) p.view.setUint16(10, afterHop(p.view.getUint16(10)));
  }
}

/** Lengths of a packet whose payload has another length now; the IPv4 header is summed up anew (mangle_contents()). */
function writeLengths(p: IpPacket): void {
  if (p.family === L3.IPV4) {
    p.view.setUint16(2, p.length);
    p.view.setUint16(10, 0);
    p.view.setUint16(10, complement(sumWords(p.bytes, 0, p.header4)));
  } else p.view.setUint16(4, p.length - 40);
  if (p.protonum === Proto.UDP) p.view.setUint16(p.l4 + 4, p.length - p.l4);
}

/** The ends that NAT changed: the target in PREROUTING or OUTPUT, then the source in POSTROUTING. */
function endsOf({ view, bytes }: BatchView, packet: number, translation: number): End[] {
  const status = view.getUint16(packet + PACKET.status, true);
  const original = bytes[packet + PACKET.dir] === Dir.ORIGINAL;
  const [source, target] = original ? [Status.SRC_NAT, Status.DST_NAT] : [Status.DST_NAT, Status.SRC_NAT];
  const icmp = bytes[packet + PACKET.protonum] === Proto.ICMP || bytes[packet + PACKET.protonum] === Proto.ICMPV6;
  const differs = (from: number, length: number): boolean => {
    for (let at = from; at < from + length; at++) if (bytes[packet + at] !== bytes[translation + at]) return true;
    return false;
  };
  const end = (side: End['side'], address: number, port: number): End => ({
    side,
    address: bytes.subarray(translation + address, translation + address + 16),
    port: view.getUint16(translation + (icmp ? TUPLE.sport : port)),
  });
  const ends: End[] = [];
  if (status & target || differs(TUPLE.dst_lo, 16) || differs(TUPLE.dport, 2)) {
    ends.push(end('target', TUPLE.dst_lo, TUPLE.dport));
  }
  if (status & source || differs(TUPLE.src_lo, 16) || differs(TUPLE.sport, 2)) {
    ends.push(end('source', TUPLE.src_lo, TUPLE.sport));
  }
  return ends;
}

/**
 * An error is changed outside, and the packet it quotes inside, at the opposite end; each time its checksum is computed anew
 * (nf_nat_icmp_reply_translation()). What is cut keeps a checksum that was right.
 */
function translateError(p: IpPacket, ends: readonly End[], parts: readonly SentPart[]): void {
  const inner = p.l4 + ICMP_HEADER;
  for (const { kind, how, bytes } of parts) {
    if (kind !== SentKind.QUOTED) continue;
    const side = how === 0 ? 'source' : 'target';
    const tuple = new DataView(bytes.buffer, bytes.byteOffset, TUPLE.size);
    const protonum = bytes[TUPLE.protonum]!;
    const icmp = protonum === Proto.ICMP || protonum === Proto.ICMPV6;
    const address = side === 'source' ? TUPLE.src_lo : TUPLE.dst_lo;
    const port = icmp || side === 'source' ? TUPLE.sport : TUPLE.dport;
    const quoted = transportOf(p.bytes, inner, p.captured, p.family);
    const before = sumWords(p.bytes, p.l4, p.captured);
    translateEnd(p, inner, quoted && { ...quoted, protonum }, {
      side,
      address: bytes.subarray(address, address + 16),
      port: tuple.getUint16(port),
    });
    if (p.whole) sumTransport(p);
    else p.view.setUint16(p.l4 + 2, updated(p.view.getUint16(p.l4 + 2), before, sumWords(p.bytes, p.l4, p.captured)));
    // PREROUTING (the outer target, the inner source) comes before POSTROUTING.
    const outer = ends.find((end) => end.side !== side);
    if (outer) translateEnd(p, 0, p, outer);
  }
}

/**
 * The transport checksum of what a helper had in hand: after other bytes it is computed anew; other numbers in the TCP header
 * change it by as much.
 */
function sumRewritten(p: IpPacket, { how }: SentPart, received: Uint8Array, length: number): void {
  const at = p.checksumAt;
  if (at === undefined) return;
  if (how === 0) {
    const end = p.l4 + Math.max(TCP_HEADER, (p.bytes[p.l4 + 12]! >> 4) * 4);
    // The ports are translated, which the checksum knows already.
    const numbers = (bytes: Uint8Array): number =>
      sumWords(bytes, p.l4 + 4, p.l4 + 12) + sumWords(bytes, p.l4 + TCP_HEADER, Math.min(end, p.captured));
    p.view.setUint16(at, updated(p.view.getUint16(at), numbers(received), numbers(p.bytes)));
    return;
  }
  if (p.protonum === Proto.UDP && p.view.getUint16(at) === 0) return;
  if (p.whole) sumTransport(p, 0xffff);
  else sumCut(p, at, received, length);
}

/** Computes the transport checksum; `zero` is what stands for a checksum of 0. */
function sumTransport(p: IpPacket, zero = 0): void {
  const at = p.checksumAt;
  if (at === undefined) return;
  p.view.setUint16(at, 0);
  p.view.setUint16(at, complement(p.pseudoSum() + sumWords(p.bytes, p.l4, p.length)) || zero);
}

/**
 * The same of a packet that the capture cut: the bytes that are not known have the sum that a right checksum leaves for them, its
 * bytes swapped if they have moved by an odd number.
 */
function sumCut(p: IpPacket, at: number, received: Uint8Array, length: number): void {
  const old = new IpPacket();
  old.load(received, length, p);
  const known = fold(old.pseudoSum() + sumWords(old.bytes, p.l4, old.captured));
  const rest = complement(known);
  const odd = (old.captured - p.l4) % 2 !== (p.captured - p.l4) % 2;
  const moved = odd ? ((rest & 0xff) << 8) | (rest >> 8) : rest;
  p.view.setUint16(at, 0);
  p.view.setUint16(at, complement(p.pseudoSum() + sumWords(p.bytes, p.l4, p.captured) + moved) || 0xffff);
}

/** What the host left to its network card: checksums of headers and of what was captured as a whole. */
function complete(p: IpPacket): void {
  if (p.family === L3.IPV4) {
    p.view.setUint16(10, 0);
    p.view.setUint16(10, complement(sumWords(p.bytes, 0, p.header4)));
  }
  if (!p.whole) return;
  if (p.protonum === Proto.SCTP && p.has(p.l4 + 8, 4)) {
    p.view.setUint32(p.l4 + 8, sctpChecksum(p.bytes, p.l4, p.length), true);
  } else sumTransport(p, p.protonum === Proto.UDP || p.protonum === Proto.TCP ? 0xffff : 0);
}

function assembledAt(view: DataView, head: number, lengths: number): Assembled {
  return {
    maxSize: view.getUint32(head + ASSEMBLED.max_size, true),
    maxDfSize: view.getUint32(head + ASSEMBLED.max_df_size, true),
    lengths: Array.from({ length: view.getUint32(head + ASSEMBLED.count, true) }, (_, index) =>
      view.getUint16(lengths + index * 2, true),
    ),
  };
}
