// How does a test write a packet? Builders of link, IP and transport headers with right (or deliberately wrong)
// checksums, and of the classic capture file around them.
//
// It imports nothing but types, so that captures/generate.mjs can use it without a build. All numbers are in
// host order; addresses are text; payloads are bytes, or a length that stands for so many zero bytes.

export type Payload = Uint8Array | number;

/** A transport header with its payload, before the checksum: `ip` fills that in, since IPv6 and TCP cover addresses. */
export interface Transport {
  protocol: number;
  bytes: Uint8Array;
  /** Offset of the checksum field, absent if the protocol has none that we fill in. */
  checksumAt?: number;
  /** What the checksum covers: 'pseudo' = addresses, length, protocol and bytes; 'plain' = the bytes alone (ICMP). */
  covers?: 'pseudo' | 'plain';
  /** Added to the right checksum, to make it wrong. */
  checksumError?: number;
  /** UDP: leave the checksum field zero ("not computed", RFC 768). */
  noChecksum?: boolean;
}

export interface TcpOptions {
  mss?: number;
  wscale?: number;
  sackOK?: boolean;
  /** SACK blocks [left edge, right edge) (RFC 2018). */
  sack?: readonly (readonly [number, number])[];
  /** Timestamps: TSval, TSecr (RFC 7323). */
  ts?: readonly [number, number];
  /** Raw option bytes, put after the others. */
  raw?: readonly number[];
}

export interface TcpSpec extends TcpOptions {
  sport: number;
  dport: number;
  /** Letters of FSRPAUEC (C is CWR), or the byte itself. Default: none. */
  flags?: string | number;
  seq?: number;
  ack?: number;
  win?: number;
  urgent?: number;
  payload?: Payload;
  /** Data offset in 32-bit words, instead of the right one. */
  dataOffset?: number;
  badChecksum?: boolean;
}

export interface IpSpec {
  ttl?: number;
  tos?: number;
  /** IPv4 identification. */
  id?: number;
  /** IPv4 don't-fragment bit; default true. */
  df?: boolean;
  /** Fragment offset in bytes and more-fragments bit. */
  fragment?: { offset: number; more: boolean };
  /** IPv4 option bytes (padded to a multiple of four). */
  options?: readonly number[];
  /** IPv6 extension headers in order: protocol number and the bytes after "next header" and "length". */
  extensions?: readonly { protocol: number; bytes: readonly number[] }[];
  badIpChecksum?: boolean;
  /** Total length (IPv4) or payload length (IPv6) instead of the right one. */
  length?: number;
}

const TCP_FLAG_BITS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, A: 16, U: 32, E: 64, C: 128 };

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

const payloadBytes = (payload: Payload = 0): Uint8Array =>
  typeof payload === 'number' ? new Uint8Array(payload) : payload;

/** Internet checksum (RFC 1071) of the parts laid end to end; each but the last must have an even length. */
export function internetChecksum(...parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += (part[i]! << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** Address text to its 4 or 16 bytes; IPv6 may be in brackets. Throws on anything else. */
export function addressBytes(text: string): Uint8Array {
  const bare = text.replace(/^\[(.*)\]$/, '$1');
  if (!bare.includes(':')) {
    const parts = bare.split('.').map(Number);
    if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) throw new Error(`no address: ${text}`);
    return Uint8Array.from(parts);
  }
  const [head, tail] = bare.split('::');
  const words = (side: string | undefined): number[] =>
    side ? side.split(':').map((word) => Number.parseInt(word, 16)) : [];
  const left = words(head);
  const right = words(tail);
  const gap = tail === undefined ? 0 : 8 - left.length - right.length;
  const all = [...left, ...new Array<number>(Math.max(gap, 0)).fill(0), ...right];
  if (all.length !== 8 || all.some((word) => !(word >= 0 && word <= 0xffff))) throw new Error(`no address: ${text}`);
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

/** Flags byte of letters of FSRPAUEC ('-' or '' is none). Throws on other letters. */
export function tcpFlags(letters: string): number {
  let bits = 0;
  for (const letter of letters === '-' ? '' : letters) {
    const bit = TCP_FLAG_BITS[letter];
    if (bit === undefined) throw new Error(`no TCP flag: ${letter}`);
    bits |= bit;
  }
  return bits;
}

const u32 = (value: number): number[] => [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
const u16 = (value: number): number[] => [(value >>> 8) & 255, value & 255];

/** TCP option bytes, padded with NOPs at the front of each option that wants alignment, as Linux sends them. */
function tcpOptionBytes(options: TcpOptions): number[] {
  const out: number[] = [];
  if (options.mss !== undefined) out.push(2, 4, ...u16(options.mss));
  if (options.sackOK) out.push(...(options.ts ? [4, 2] : [1, 1, 4, 2]));
  if (options.ts) {
    out.push(...(options.sackOK ? [] : [1, 1]), 8, 10, ...u32(options.ts[0]), ...u32(options.ts[1]));
  }
  if (options.wscale !== undefined) out.push(1, 3, 3, options.wscale);
  if (options.sack) {
    out.push(1, 1, 5, 2 + 8 * options.sack.length);
    for (const [left, right] of options.sack) out.push(...u32(left), ...u32(right));
  }
  if (options.raw) out.push(...options.raw);
  while (out.length % 4 !== 0) out.push(0);
  return out;
}

/** A TCP segment (RFC 9293 section 3.1). */
export function tcp(spec: TcpSpec): Transport {
  const options = tcpOptionBytes(spec);
  const flags = typeof spec.flags === 'number' ? spec.flags : tcpFlags(spec.flags ?? '');
  const header = Uint8Array.from([
    ...u16(spec.sport),
    ...u16(spec.dport),
    ...u32(spec.seq ?? 0),
    ...u32(spec.ack ?? 0),
    ((spec.dataOffset ?? 5 + options.length / 4) << 4) & 0xf0,
    flags,
    ...u16(spec.win ?? 65535),
    0,
    0,
    ...u16(spec.urgent ?? 0),
    ...options,
  ]);
  return {
    protocol: 6,
    bytes: concat(header, payloadBytes(spec.payload)),
    checksumAt: 16,
    covers: 'pseudo',
    checksumError: spec.badChecksum ? 1 : 0,
  };
}

export interface UdpSpec {
  sport: number;
  dport: number;
  payload?: Payload;
  badChecksum?: boolean;
  noChecksum?: boolean;
  /** Length field instead of the right one. */
  length?: number;
}

/** A UDP datagram (RFC 768). */
export function udp(spec: UdpSpec): Transport {
  const payload = payloadBytes(spec.payload);
  const header = [...u16(spec.sport), ...u16(spec.dport), ...u16(spec.length ?? 8 + payload.length), 0, 0];
  return {
    protocol: 17,
    bytes: concat(Uint8Array.from(header), payload),
    checksumAt: 6,
    covers: 'pseudo',
    checksumError: spec.badChecksum ? 1 : 0,
    noChecksum: spec.noChecksum ?? false,
  };
}

export interface IcmpSpec {
  type: number;
  code?: number;
  /** The second 32-bit word of the header; for queries id << 16 | sequence number, see `id` and `seq`. */
  rest?: number;
  id?: number;
  seq?: number;
  payload?: Payload;
  badChecksum?: boolean;
}

const icmpBytes = (spec: IcmpSpec): Uint8Array =>
  concat(
    Uint8Array.from([
      spec.type,
      spec.code ?? 0,
      0,
      0,
      ...(spec.rest === undefined ? [...u16(spec.id ?? 0), ...u16(spec.seq ?? 0)] : u32(spec.rest)),
    ]),
    payloadBytes(spec.payload),
  );

/** An ICMP message (RFC 792); an error's payload is what it quotes (see `quote`). */
export const icmp = (spec: IcmpSpec): Transport => ({
  protocol: 1,
  bytes: icmpBytes(spec),
  checksumAt: 2,
  covers: 'plain',
  checksumError: spec.badChecksum ? 1 : 0,
});

/** An ICMPv6 message (RFC 4443): its checksum covers the addresses. */
export const icmp6 = (spec: IcmpSpec): Transport => ({
  protocol: 58,
  bytes: icmpBytes(spec),
  checksumAt: 2,
  covers: 'pseudo',
  checksumError: spec.badChecksum ? 1 : 0,
});

/** Any other protocol: bytes as they are. */
export const raw = (protocol: number, payload: Payload): Transport => ({ protocol, bytes: payloadBytes(payload) });

/**
 * What an ICMP error quotes of an IP packet: RFC 792 asks for the header and eight bytes, RFC 1812 and Linux send as
 * much as fits into 576 bytes, RFC 4443 into 1,280.
 */
export function quote(packet: Uint8Array, bytes?: number): Uint8Array {
  const fits = packet[0]! >> 4 === 6 ? 1280 - 48 : 576 - 28;
  return packet.slice(0, bytes ?? Math.min(packet.length, fits));
}

/** The transport's bytes with its checksum filled in for these addresses. */
function seal(transport: Transport, source: Uint8Array, target: Uint8Array): Uint8Array {
  const bytes = transport.bytes.slice();
  const at = transport.checksumAt;
  if (at === undefined || transport.noChecksum) return bytes;
  const pseudo =
    source.length === 4
      ? [0, transport.protocol, ...u16(bytes.length)]
      : [...u32(bytes.length), 0, 0, 0, transport.protocol];
  let sum =
    transport.covers === 'pseudo'
      ? internetChecksum(source, target, Uint8Array.from(pseudo), bytes)
      : internetChecksum(bytes);
  sum = (sum + (transport.checksumError ?? 0)) & 0xffff;
  if (sum === 0 && transport.protocol === 17) sum = 0xffff;
  bytes.set(u16(sum), at);
  return bytes;
}

/** An IPv4 or IPv6 packet (by the form of its addresses) around a transport. Throws if the families differ. */
export function ip(source: string, target: string, transport: Transport, spec: IpSpec = {}): Uint8Array {
  const from = addressBytes(source);
  const to = addressBytes(target);
  if (from.length !== to.length) throw new Error(`${source} and ${target} are of different families`);
  const body = seal(transport, from, to);
  return from.length === 4 ? ipv4(from, to, transport.protocol, body, spec) : ipv6(from, to, transport, body, spec);
}

function ipv4(from: Uint8Array, to: Uint8Array, protocol: number, body: Uint8Array, spec: IpSpec): Uint8Array {
  const options = [...(spec.options ?? [])];
  while (options.length % 4 !== 0) options.push(0);
  const size = 20 + options.length;
  const fragment = spec.fragment;
  const offsetAndFlags = fragment
    ? (fragment.more ? 0x2000 : 0) | (fragment.offset >> 3)
    : spec.df === false
      ? 0
      : 0x4000;
  const header = Uint8Array.from([
    0x40 | (size >> 2),
    spec.tos ?? 0,
    ...u16(spec.length ?? size + body.length),
    ...u16(spec.id ?? 0),
    ...u16(offsetAndFlags),
    spec.ttl ?? 64,
    protocol,
    0,
    0,
    ...from,
    ...to,
    ...options,
  ]);
  header.set(u16((internetChecksum(header) + (spec.badIpChecksum ? 1 : 0)) & 0xffff), 10);
  return concat(header, body);
}

function ipv6(from: Uint8Array, to: Uint8Array, transport: Transport, body: Uint8Array, spec: IpSpec): Uint8Array {
  const extensions = [...(spec.extensions ?? [])];
  if (spec.fragment) {
    const { offset, more } = spec.fragment;
    extensions.push({ protocol: 44, bytes: [...u16(offset | (more ? 1 : 0)), ...u32(spec.id ?? 0)] });
  }
  const nexts = [...extensions.map((extension) => extension.protocol), transport.protocol];
  const headers = extensions.map((extension, i) => {
    const size = Math.ceil((extension.bytes.length + 2) / 8) * 8;
    const header = new Uint8Array(size);
    header.set([nexts[i + 1]!, extension.protocol === 44 ? 0 : size / 8 - 1, ...extension.bytes]);
    return header;
  });
  const payload = concat(...headers, body);
  const first = (0x60000000 | ((spec.tos ?? 0) << 20)) >>> 0;
  const fixed = [...u32(first), ...u16(spec.length ?? payload.length), nexts[0]!, spec.ttl ?? 64, ...from, ...to];
  return concat(Uint8Array.from(fixed), payload);
}

/** MAC address text to six bytes. */
export const macBytes = (text: string): Uint8Array =>
  Uint8Array.from(text.split(':').map((byte) => Number.parseInt(byte, 16)));

export interface EthernetSpec {
  source?: string;
  target?: string;
  /** VLAN tags from the outside in; `tpid` 0x8100 (802.1Q) if not given. */
  tags?: readonly { vid: number; tpid?: number }[];
  /** Instead of the one that the IP version asks for. */
  ethertype?: number;
}

const ethertypeOf = (packet: Uint8Array): number => (packet[0]! >> 4 === 6 ? 0x86dd : 0x0800);

/** An Ethernet frame around an IP packet (or around anything, with `ethertype`). */
export function ethernet(payload: Uint8Array, spec: EthernetSpec = {}): Uint8Array {
  const tags = (spec.tags ?? []).flatMap((tag) => [...u16(tag.tpid ?? 0x8100), ...u16(tag.vid)]);
  const header = [
    ...macBytes(spec.target ?? '02:00:00:00:00:02'),
    ...macBytes(spec.source ?? '02:00:00:00:00:01'),
    ...tags,
    ...u16(spec.ethertype ?? ethertypeOf(payload)),
  ];
  return concat(Uint8Array.from(header), payload);
}

/** A packet of a capture. */
export interface TimedPacket {
  /** Nanoseconds since 1970. */
  time: bigint;
  /** Captured bytes, link header included. */
  data: Uint8Array;
  /** Length on the wire, if the capture kept less. */
  length?: number;
}

export interface PcapSpec {
  /** LINKTYPE_*; default 1, Ethernet. */
  link?: number;
  /** Microseconds instead of nanoseconds: times are cut, not rounded. */
  micro?: boolean;
  bigEndian?: boolean;
  snaplen?: number;
}

/** A classic capture file, version 2.4 (draft-ietf-opsawg-pcap). */
export function writePcap(packets: readonly TimedPacket[], spec: PcapSpec = {}): Uint8Array {
  const little = !spec.bigEndian;
  const words = (...values: number[]): Uint8Array => {
    const view = new DataView(new ArrayBuffer(values.length * 4));
    for (const [i, value] of values.entries()) view.setUint32(i * 4, value >>> 0, little);
    return new Uint8Array(view.buffer);
  };
  const version = new DataView(new ArrayBuffer(4));
  version.setUint16(0, 2, little);
  version.setUint16(2, 4, little);
  const parts = [
    words(spec.micro ? 0xa1b2c3d4 : 0xa1b23c4d),
    new Uint8Array(version.buffer),
    words(0, 0, spec.snaplen ?? 262144, spec.link ?? 1),
  ];
  for (const { time, data, length } of packets) {
    const fraction = Number(time % 1_000_000_000n);
    parts.push(
      words(
        Number(time / 1_000_000_000n),
        spec.micro ? Math.floor(fraction / 1000) : fraction,
        data.length,
        length ?? data.length,
      ),
      data,
    );
  }
  return new Uint8Array(Buffer.concat(parts));
}
