// What does NAT do to the bytes of a packet? Addresses, ports, ids and call ids of one end, and the checksums that cover them, as
// right or as wrong as they were. Kernel: net/netfilter/nf_nat_proto.c.

import { L3, Proto } from '../../assembly/vocabulary.ts';
import { crcChange, sctpChecksum, sumWords, updated } from './checksum.ts';
import { addressesAt, type IpPacket } from './packet.ts';

/** One end of a packet: which it is, and what it is to become. Addresses and ports are in wire order. */
export interface End {
  side: 'source' | 'target';
  /** 4 or 16 bytes. */
  address: Uint8Array;
  /** Port, id of an ICMP query, or GRE call id. */
  port: number;
}

const GRE_VERSION = 7;
const ENHANCED_GRE = 1;
const MANGLED_0 = 0xffff;

/** Changes one end of the packet at `ip` (the packet itself, or the one that it quotes) whose transport is at `l4`. */
export function translateEnd(
  p: IpPacket,
  ip: number,
  transport: { l4: number; protonum: number } | undefined,
  end: End,
): void {
  const { view } = p;
  const [start, stop] = addressesAt(ip, p.family);
  const size = (stop - start) / 2;
  const at = end.side === 'source' ? start : start + size;
  const before = sumWords(p.bytes, at, at + size);
  const after = sumWords(end.address, 0, size);
  if (transport) translateTransport(p, transport, end, before, after);
  if (p.family === L3.IPV4) view.setUint16(ip + 10, updated(view.getUint16(ip + 10), before, after));
  p.bytes.set(end.address.subarray(0, size), at);
}

function translateTransport(
  p: IpPacket,
  { l4, protonum }: { l4: number; protonum: number },
  end: End,
  before: number,
  after: number,
): void {
  const { view } = p;
  const portAt = end.side === 'source' ? l4 : l4 + 2;
  switch (protonum) {
    case Proto.TCP: {
      if (!p.has(portAt, 2)) return;
      const old = view.getUint16(portAt);
      view.setUint16(portAt, end.port);
      // An error may quote no more than the ports.
      if (p.length >= l4 + 20 && p.has(l4 + 16, 2)) update(p, l4 + 16, before + old, after + end.port);
      return;
    }
    case Proto.UDP:
    case Proto.UDPLITE: {
      if (!p.has(portAt, 2)) return;
      const old = view.getUint16(portAt);
      view.setUint16(portAt, end.port);
      if (!p.has(l4 + 6, 2) || (protonum === Proto.UDP && view.getUint16(l4 + 6) === 0)) return;
      update(p, l4 + 6, before + old, after + end.port);
      if (view.getUint16(l4 + 6) === 0) view.setUint16(l4 + 6, MANGLED_0);
      return;
    }
    case Proto.SCTP:
      translateSctp(p, l4, portAt, end.port);
      return;
    case Proto.ICMP: {
      if (!isIcmpQuery(p.bytes[l4]!) || !p.has(l4 + 4, 2)) return;
      update(p, l4 + 2, view.getUint16(l4 + 4), end.port);
      view.setUint16(l4 + 4, end.port);
      return;
    }
    case Proto.ICMPV6: {
      if (!p.has(l4, 6)) return;
      update(p, l4 + 2, before, after);
      if (p.bytes[l4] !== 128 && p.bytes[l4] !== 129) return;
      update(p, l4 + 2, view.getUint16(l4 + 4), end.port);
      view.setUint16(l4 + 4, end.port);
      return;
    }
    case Proto.GRE:
      if (end.side === 'target' && p.has(l4, 8) && (p.bytes[l4 + 1]! & GRE_VERSION) === ENHANCED_GRE) {
        view.setUint16(l4 + 6, end.port);
      }
  }
}

function update({ view }: IpPacket, at: number, before: number, after: number): void {
  view.setUint16(at, updated(view.getUint16(at), before, after));
}

/** The CRC is computed anew, which makes a wrong one right (sctp_manip_pkt()). Of a packet that is cut it is right if it was. */
function translateSctp(p: IpPacket, l4: number, portAt: number, port: number): void {
  if (!p.has(portAt, 2)) return;
  const ports = p.bytes.slice(l4, l4 + 4);
  p.view.setUint16(portAt, port);
  if (p.length < l4 + 12 || !p.has(l4 + 8, 4)) return;
  if (p.whole) {
    p.view.setUint32(l4 + 8, sctpChecksum(p.bytes, l4, p.length), true);
    return;
  }
  ports.forEach((byte, index) => {
    ports[index] = byte ^ p.bytes[l4 + index]!;
  });
  const change = crcChange(ports, p.length - l4);
  p.view.setUint32(l4 + 8, (p.view.getUint32(l4 + 8, true) ^ change) >>> 0, true);
}

/** Types with an id: echoes, timestamps, information and address mask requests and what answers them. */
function isIcmpQuery(type: number): boolean {
  return type === 0 || type === 8 || (type >= 13 && type <= 18);
}
