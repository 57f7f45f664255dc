// How does a frame of benchmark traffic look, byte by byte?
//
// Frames are written in place into a Buffer that the caller owns. Payload is cut out of one block of random bytes whose
// 16-bit sums are known beforehand, so that a checksum costs the same for any length (RFC 1071).

import type { Random } from './random.ts';

export const TCP_FIN = 1;
export const TCP_SYN = 2;
export const TCP_PSH = 8;
export const TCP_ACK = 16;

const ETHERNET = 14;
const VLAN_TAG = 4;
const IPV4 = 20;
const IPV6 = 40;
const UDP = 8;
/** TCP header with a time stamp (RFC 7323), and that of a SYN with its usual options. */
const TCP_STAMPED = 32;
const TCP_OPENING = 40;

const PROTO_TCP = 6;
const PROTO_UDP = 17;
const DONT_FRAGMENT = 0x4000;
const WINDOW = 64240;
/** MSS 1460, SACK permitted, then NOP and window scale 7 behind the time stamp (RFC 9293, 2018, 7323). */
const OPTION_MSS = 0x020405b4;
const OPTION_SACK_AND_STAMP = 0x0402080a;
const OPTION_WSCALE = 0x01030307;
const OPTION_STAMP = 0x0101080a;

/** Random bytes that payloads are cut from. */
const BLOCK = 1 << 16;
export const PAYLOAD_MAX = 1460;
/** Offsets into the block at which a payload may start, halved. */
export const PAYLOAD_STARTS = (BLOCK - PAYLOAD_MAX) / 2;

/** Bytes of a TCP segment over IPv4 and Ethernet besides its payload, and of a SYN. */
export const SEGMENT_BYTES = ETHERNET + IPV4 + TCP_STAMPED;
export const SYN_BYTES = ETHERNET + IPV4 + TCP_OPENING;
/** Longest frame: all headers at their largest, and the payload. */
export const FRAME_MAX = ETHERNET + VLAN_TAG + IPV6 + TCP_OPENING + PAYLOAD_MAX;

/** One packet in host terms. Over IPv6 the addresses are the last four bytes of addresses in 2001:db8::/96. */
export class Segment {
  source = 0;
  target = 0;
  sport = 0;
  dport = 0;
  seq = 0;
  ack = 0;
  flags = 0;
  /** Sender's clock in ms, for the time stamp option. */
  stamp = 0;
  /** Payload: which of PAYLOAD_STARTS, and bytes. */
  start = 0;
  length = 0;
}

/** What carries the packet; TCP over IPv4 on plain Ethernet by default. */
export interface Carrier {
  vlan?: boolean;
  ipv6?: boolean;
  udp?: boolean;
}

const PLAIN: Carrier = {};

export class FrameWriter {
  private readonly payload = Buffer.allocUnsafe(BLOCK);
  /** Sum of the 16-bit words in front of each even offset of `payload`. */
  private readonly sums = new Float64Array(BLOCK / 2 + 1);
  private identification = 0;

  constructor(random: Random) {
    for (let at = 0; at < BLOCK; at += 4) this.payload.writeInt32LE(random.word(), at);
    for (let word = 0; word < BLOCK / 2; word++) {
      this.sums[word + 1] = this.sums[word]! + this.payload.readUInt16BE(word * 2);
    }
  }

  /** Writes a frame at `at` of `out`, over which `view` lies; returns its length. */
  write(out: Buffer, view: DataView, at: number, segment: Segment, carrier: Carrier = PLAIN): number {
    const l3 = writeLink(view, at, carrier);
    const header = carrier.udp ? UDP : segment.flags & TCP_SYN ? TCP_OPENING : TCP_STAMPED;
    const size = header + segment.length;
    const protocol = carrier.udp ? PROTO_UDP : PROTO_TCP;
    const l4 = l3 + (carrier.ipv6 ? IPV6 : IPV4);
    if (carrier.ipv6) writeIpv6(view, l3, segment, size, protocol);
    else writeIpv4(view, l3, segment, size, protocol, this.identification++);
    // Pseudo header: the addresses as they lie in front of the transport header, protocol and length.
    const addresses = sumWords(view, l4 - (carrier.ipv6 ? 32 : 8), l4);
    const sum = addresses + protocol + size + this.payloadSum(segment);
    if (carrier.udp) {
      writeUdp(view, l4, segment, size);
      view.setUint16(l4 + 6, complement(sum + sumWords(view, l4, l4 + header)) || 0xffff);
    } else {
      writeTcp(view, l4, segment, header);
      view.setUint16(l4 + 16, complement(sum + sumWords(view, l4, l4 + header)));
    }
    const start = segment.start * 2;
    if (segment.length > 0) this.payload.copy(out, l4 + header, start, start + segment.length);
    return l4 + size - at;
  }

  private payloadSum({ start, length }: Segment): number {
    const words = length >> 1;
    const sum = this.sums[start + words]! - this.sums[start]!;
    return length & 1 ? sum + this.payload[(start + words) * 2]! * 256 : sum;
  }
}

/** Locally administered unicast addresses, a VLAN tag if asked for, and the ethertype. Returns where IP starts. */
function writeLink(view: DataView, at: number, carrier: Carrier): number {
  view.setUint32(at, 0x02000000);
  view.setUint32(at + 4, 0x00010200);
  view.setUint32(at + 8, 0x00000002);
  let type = at + 12;
  if (carrier.vlan) {
    view.setUint32(type, 0x81000064);
    type += VLAN_TAG;
  }
  view.setUint16(type, carrier.ipv6 ? 0x86dd : 0x0800);
  return type + 2;
}

function writeIpv4(view: DataView, at: number, segment: Segment, size: number, protocol: number, id: number): void {
  view.setUint32(at, 0x45000000 | (IPV4 + size));
  view.setUint32(at + 4, ((id & 0xffff) << 16) | DONT_FRAGMENT);
  view.setUint32(at + 8, (64 << 24) | (protocol << 16));
  view.setUint32(at + 12, segment.source);
  view.setUint32(at + 16, segment.target);
  view.setUint16(at + 10, complement(sumWords(view, at, at + IPV4)));
}

function writeIpv6(view: DataView, at: number, segment: Segment, size: number, protocol: number): void {
  view.setUint32(at, 0x60000000);
  view.setUint32(at + 4, (size << 16) | (protocol << 8) | 64);
  for (const address of [at + 8, at + 24]) {
    view.setUint32(address, 0x20010db8);
    view.setUint32(address + 4, 0);
    view.setUint32(address + 8, 0);
  }
  view.setUint32(at + 20, segment.source);
  view.setUint32(at + 36, segment.target);
}

function writeUdp(view: DataView, at: number, segment: Segment, size: number): void {
  view.setUint16(at, segment.sport);
  view.setUint16(at + 2, segment.dport);
  view.setUint32(at + 4, size << 16);
}

/** The checksum field stays zero. */
function writeTcp(view: DataView, at: number, segment: Segment, header: number): void {
  view.setUint16(at, segment.sport);
  view.setUint16(at + 2, segment.dport);
  view.setUint32(at + 4, segment.seq);
  view.setUint32(at + 8, segment.ack);
  view.setUint32(at + 12, (header << 26) | (segment.flags << 16) | WINDOW);
  view.setUint32(at + 16, 0);
  const echo = segment.flags & TCP_ACK ? segment.stamp - 1 : 0;
  if (header === TCP_STAMPED) {
    view.setUint32(at + 20, OPTION_STAMP);
    view.setUint32(at + 24, segment.stamp);
    view.setUint32(at + 28, echo);
    return;
  }
  view.setUint32(at + 20, OPTION_MSS);
  view.setUint32(at + 24, OPTION_SACK_AND_STAMP);
  view.setUint32(at + 28, segment.stamp);
  view.setUint32(at + 32, echo);
  view.setUint32(at + 36, OPTION_WSCALE);
}

/** Sum of the big-endian 16-bit words from `at` to `end`, which are an even number of bytes apart. */
function sumWords(view: DataView, at: number, end: number): number {
  let sum = 0;
  for (let word = at; word < end; word += 2) sum += view.getUint16(word);
  return sum;
}

/** One's complement of a sum of 16-bit words, folded. */
function complement(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = Math.floor(folded / 0x10000) + (folded & 0xffff);
  return ~folded & 0xffff;
}
