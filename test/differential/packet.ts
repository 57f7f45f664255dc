// What is in this IP packet, for people and for looking up its flow? A small reader of headers that is independent of
// the engine's decoder: flow tuple, one line of text, kind of answer of a router.

import { addressText } from './frames.ts';
import type { TupleQuery } from './netlink.ts';

const PROTO = { ICMP: 1, TCP: 6, UDP: 17, GRE: 47, ICMPV6: 58, SCTP: 132, UDPLITE: 136 } as const;
/** Protocols whose tuple holds the first two 16-bit words of the transport header. */
const WITH_PORTS: ReadonlySet<number> = new Set([PROTO.TCP, PROTO.UDP, PROTO.SCTP, PROTO.UDPLITE]);
/** Enhanced GRE (RFC 2637): version 1 carrying PPP, with a call id. */
const ENHANCED_GRE = 1;
/** Hop-by-hop, routing and destination options; authentication headers measure themselves in words of four bytes. */
const IPV6_EXTENSIONS = new Set([0, 43, 51, 60]);
const AUTHENTICATION = 51;
/** ICMP and ICMPv6 messages that quote a packet. */
const ICMP_ERRORS = new Set([3, 4, 5, 11, 12]);
const ICMPV6_ERROR_MAX = 127;

/** An IP packet taken apart as far as its transport header. */
export interface Parsed {
  family: 2 | 10;
  source: Buffer;
  target: Buffer;
  protocol: number;
  ttl: number;
  /** From the transport header to the end of the packet. */
  transport: Buffer;
}

/** Takes an IP packet apart; undefined if it is too short or its headers are broken. */
export function parse(packet: Buffer): Parsed | undefined {
  if (packet.length < 20) return undefined;
  if (packet.readUInt8(0) >> 4 === 4) {
    const header = (packet.readUInt8(0) & 15) * 4;
    return {
      family: 2,
      source: packet.subarray(12, 16),
      target: packet.subarray(16, 20),
      protocol: packet.readUInt8(9),
      ttl: packet.readUInt8(8),
      transport: packet.subarray(header),
    };
  }
  if (packet.length < 40) return undefined;
  let protocol = packet.readUInt8(6);
  let at = 40;
  while (IPV6_EXTENSIONS.has(protocol) && at + 8 <= packet.length) {
    const length = packet.readUInt8(at + 1);
    const next = packet.readUInt8(at);
    at += protocol === AUTHENTICATION ? (length + 2) * 4 : (length + 1) * 8;
    protocol = next;
  }
  return {
    family: 10,
    source: packet.subarray(8, 24),
    target: packet.subarray(24, 40),
    protocol,
    ttl: packet.readUInt8(7),
    transport: packet.subarray(at),
  };
}

/** The packet that an ICMP or ICMPv6 error quotes. */
export function quoted(parsed: Parsed): Buffer | undefined {
  const type = parsed.transport[0];
  if (type === undefined || parsed.transport.length < 8) return undefined;
  const isError =
    (parsed.protocol === PROTO.ICMP && ICMP_ERRORS.has(type)) ||
    (parsed.protocol === PROTO.ICMPV6 && type <= ICMPV6_ERROR_MAX);
  return isError ? parsed.transport.subarray(8) : undefined;
}

/** Is the packet an ICMP or ICMPv6 error? */
export function isIcmpError(packet: Buffer): boolean {
  const parsed = parse(packet);
  return parsed !== undefined && quoted(parsed) !== undefined;
}

/** Does the packet say that another one was too long for a link? */
export function isTooBig(packet: Buffer): boolean {
  const { protocol, transport } = parse(packet) ?? {};
  if (transport === undefined || transport.length < 8) return false;
  return protocol === PROTO.ICMP
    ? transport.readUInt16BE(0) === 0x304
    : protocol === PROTO.ICMPV6 && transport[0] === 2;
}

/** The tuple by which conntrack looks up the packet's flow: its own, or that of the packet it quotes. */
export function flowOf(packet: Buffer): TupleQuery | undefined {
  const parsed = parse(packet);
  if (!parsed) return undefined;
  const inner = quoted(parsed);
  if (inner) {
    const about = parse(inner);
    return about && !quoted(about) ? inverted(tupleOf(about)) : undefined;
  }
  return tupleOf(parsed);
}

/** Types of queries and what answers them. */
const ANSWERS: Record<number, readonly (readonly [number, number])[]> = {
  [PROTO.ICMP]: [
    [8, 0],
    [13, 14],
    [15, 16],
    [17, 18],
  ],
  [PROTO.ICMPV6]: [
    [128, 129],
    [139, 140],
  ],
};

/** The tuple of the opposite direction: with NAT another entry may have the tuple that an error quotes. */
function inverted(tuple: TupleQuery | undefined): TupleQuery | undefined {
  if (!tuple) return undefined;
  const { source: target, target: source, protocol, parts } = tuple;
  const answers = ANSWERS[protocol];
  if (answers) {
    const type = parts[1]?.[1][0];
    const [query, answer] = answers.find((pair) => pair.includes(type ?? -1)) ?? [];
    if (query === undefined || answer === undefined) return tuple;
    const other = Buffer.from([type === query ? answer : query]);
    return { ...tuple, source, target, parts: parts.map(([id, bytes], i) => [id, i === 1 ? other : bytes]) };
  }
  const swapped = parts.map(([id], index): [number, Buffer] => [id, parts[parts.length - 1 - index]![1]]);
  return { ...tuple, source, target, parts: swapped };
}

/** CTA_PROTO_* numbers: ports 2 and 3, ICMP id, type, code 4 to 6, ICMPv6 7 to 9. */
function tupleOf({ family, source, target, protocol, transport }: Parsed): TupleQuery | undefined {
  const tuple = { family, source, target, protocol };
  switch (protocol) {
    case PROTO.TCP:
    case PROTO.UDP:
    case PROTO.SCTP:
    case PROTO.UDPLITE: {
      if (transport.length < 4) return undefined;
      return {
        ...tuple,
        parts: [
          [2, transport.subarray(0, 2)],
          [3, transport.subarray(2, 4)],
        ],
      };
    }
    case PROTO.GRE: {
      const enhanced = transport.length >= 8 && (transport.readUInt8(1) & 7) === ENHANCED_GRE;
      return {
        ...tuple,
        parts: [
          [2, Buffer.alloc(2)],
          [3, enhanced ? transport.subarray(6, 8) : Buffer.alloc(2)],
        ],
      };
    }
    case PROTO.ICMP:
    case PROTO.ICMPV6: {
      if (transport.length < 6) return undefined;
      const first = protocol === PROTO.ICMP ? 4 : 7;
      return {
        ...tuple,
        parts: [
          [first, transport.subarray(4, 6)],
          [first + 1, transport.subarray(0, 1)],
          [first + 2, transport.subarray(1, 2)],
        ],
      };
    }
    default:
      return { ...tuple, parts: [] };
  }
}

/** A key that both directions of a flow share, for finding the packets of a flow. */
export function flowKey(packet: Buffer): string {
  const flow = flowOf(packet);
  if (!flow) return '';
  const ports = WITH_PORTS.has(flow.protocol) || flow.protocol === PROTO.GRE ? flow.parts : [];
  const id = flow.protocol === PROTO.ICMP || flow.protocol === PROTO.ICMPV6 ? flow.parts[0]?.[1].toString('hex') : '';
  const ends = [flow.source, flow.target].map(
    (address, index) => addressText(address) + (ports[index]?.[1].toString('hex') ?? ''),
  );
  return `${flow.protocol} ${ends.sort().join(' ')} ${id}`;
}

const TCP_FLAGS: [number, string][] = [
  [2, 'S'],
  [1, 'F'],
  [4, 'R'],
  [8, 'P'],
  [32, 'U'],
  [64, 'E'],
  [128, 'W'],
  [16, '.'],
];

/** One line about a packet, much as tcpdump -n writes it, with absolute sequence numbers. */
export function describe(packet: Buffer): string {
  const parsed = parse(packet);
  if (!parsed) return `${packet.length} bytes`;
  const { source, target, protocol, transport, ttl } = parsed;
  const [from, to] = [addressText(source), addressText(target)];
  const end = ttl <= 1 ? ` ttl ${ttl}` : '';
  if (protocol === PROTO.TCP && transport.length >= 20) {
    const header = (transport.readUInt8(12) >> 4) * 4;
    const bits = transport.readUInt8(13);
    const flags = TCP_FLAGS.filter(([bit]) => bits & bit).map(([, letter]) => letter);
    const options = transport.subarray(20, Math.max(20, header)).toString('hex');
    const ends = `${from}.${transport.readUInt16BE(0)} > ${to}.${transport.readUInt16BE(2)}`;
    const numbers = `seq ${transport.readUInt32BE(4)} ack ${transport.readUInt32BE(8)} win ${transport.readUInt16BE(14)}`;
    return `${ends}: [${flags.join('')}] ${numbers} len ${transport.length - header}${options && ` options ${options}`}${end}`;
  }
  if (protocol === PROTO.UDP && transport.length >= 8) {
    const ends = `${from}.${transport.readUInt16BE(0)} > ${to}.${transport.readUInt16BE(2)}`;
    return `${ends}: UDP len ${transport.readUInt16BE(4) - 8}${end}`;
  }
  if ((protocol === PROTO.ICMP || protocol === PROTO.ICMPV6) && transport.length >= 8) {
    const inner = quoted(parsed);
    const about = inner ? ` about (${describe(inner)})` : ` id ${transport.readUInt16BE(4)}`;
    const name = protocol === PROTO.ICMP ? 'ICMP' : 'ICMPv6';
    return `${from} > ${to}: ${name} ${transport.readUInt8(0)}/${transport.readUInt8(1)}${about}${end}`;
  }
  if (protocol === PROTO.SCTP && transport.length >= 12) {
    const ends = `${from}.${transport.readUInt16BE(0)} > ${to}.${transport.readUInt16BE(2)}`;
    return `${ends}: SCTP tag ${transport.toString('hex', 4, 8)} ${chunks(transport)}${end}`;
  }
  return `${from} > ${to}: protocol ${protocol} len ${transport.length}${end}`;
}

const CHUNKS =
  'DATA INIT INIT_ACK SACK HEARTBEAT HEARTBEAT_ACK ABORT SHUTDOWN SHUTDOWN_ACK ERROR COOKIE_ECHO COOKIE_ACK ECNE CWR SHUTDOWN_COMPLETE'.split(
    ' ',
  );

/** Chunks of an SCTP packet: `[INIT/0 len 20 tag 1234abcd]`. */
function chunks(transport: Buffer): string {
  const words: string[] = [];
  for (let at = 12; at + 4 <= transport.length; ) {
    const type = transport.readUInt8(at);
    const length = transport.readUInt16BE(at + 2);
    const tag =
      (type === 1 || type === 2) && at + 8 <= transport.length
        ? ` tag ${transport.toString('hex', at + 4, at + 8)}`
        : '';
    words.push(`[${CHUNKS[type] ?? type}/${transport.readUInt8(at + 1)} len ${length}${tag}]`);
    if (length === 0) break;
    at += (length + 3) & ~3;
  }
  return words.join('');
}

const UNREACHABLE4 = new Map([
  [0, 'icmp-net-unreachable'],
  [1, 'icmp-host-unreachable'],
  [2, 'icmp-proto-unreachable'],
  [3, 'icmp-port-unreachable'],
  [9, 'icmp-net-prohibited'],
  [10, 'icmp-host-prohibited'],
  [13, 'icmp-admin-prohibited'],
]);
const UNREACHABLE6 = new Map([
  [0, 'icmp6-no-route'],
  [1, 'icmp6-adm-prohibited'],
  [3, 'icmp6-addr-unreachable'],
  [4, 'icmp6-port-unreachable'],
  [5, 'icmp6-policy-fail'],
  [6, 'icmp6-reject-route'],
]);

/** The kind of REJECT (as `--reject-with` names it) that this answer of the router is; undefined if it is none. */
export function rejectKind(answer: Buffer): string | undefined {
  const parsed = parse(answer);
  if (!parsed) return undefined;
  const { protocol, transport } = parsed;
  if (protocol === PROTO.TCP && transport.length >= 14) return transport.readUInt8(13) & 4 ? 'tcp-reset' : undefined;
  if (transport.length < 2) return undefined;
  if (protocol === PROTO.ICMP && transport.readUInt8(0) === 3) return UNREACHABLE4.get(transport.readUInt8(1));
  if (protocol === PROTO.ICMPV6 && transport.readUInt8(0) === 1) return UNREACHABLE6.get(transport.readUInt8(1));
  return undefined;
}

/** Sum of 16-bit words in one's complement, not inverted (RFC 1071). */
export function wordSum(...parts: Buffer[]): number {
  let total = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += 2) total += (part[at]! << 8) | (part[at + 1] ?? 0);
  }
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}

/** What stands before the transport header when its checksum is computed (RFC 768, 793, 8200 section 8.1). */
export function pseudoHeader(parsed: Pick<Parsed, 'source' | 'target' | 'protocol'>, length: number): Buffer[] {
  const { source, target, protocol } = parsed;
  // ICMP over IPv4 has none.
  if (protocol === PROTO.ICMP) return [];
  const rest = Buffer.alloc(8);
  rest.writeUInt32BE(length, 0);
  rest.writeUInt32BE(protocol, 4);
  return [source, target, rest];
}

/** Protocols whose packets REJECT answers without looking at a checksum: GRE, ESP, AH, SCTP, UDP-Lite. */
const REJECT_UNVERIFIED = new Set([47, 50, 51, 132, 136]);

/** Would REJECT find the checksum right? Of protocols that it does not know it wants the Internet checksum, too. */
function hasGoodChecksum(parsed: Parsed): boolean {
  const { protocol, transport, family } = parsed;
  if (family === 10 && transport.length === 0) return false;
  if (protocol === PROTO.UDP && transport.length >= 8 && transport.readUInt16BE(6) === 0) return true;
  if (REJECT_UNVERIFIED.has(protocol)) return true;
  const covered = family === 10 || protocol === PROTO.TCP || protocol === PROTO.UDP;
  const pseudo = covered ? pseudoHeader(parsed, transport.length) : [];
  const sum = wordSum(...pseudo, transport);
  // The kernel adds up the IPv4 header, too, which is all ones by itself: a payload of zeros passes.
  return sum === 0xffff || (sum === 0 && family !== 10);
}

const IPV4_MAPPED = '00000000000000000000ffff';
/** Largest ICMP type that the kernel knows; it answers none above. */
const NR_ICMP_TYPES = 18;
/** ICMP types that the kernel takes for errors and never answers (icmp_pointers[]), those it does not know among them. */
const ICMP_UNANSWERED = new Set([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]);

/**
 * True if REJECT of this kind drops the packet without a word: an RST is not reset, an ICMP error not answered by
 * another (RFC 1122 section 3.2.2, RFC 4443 section 2.4), a packet with a wrong checksum not at all.
 */
export function isSilentReject(packet: Buffer, kind: string): boolean {
  const parsed = parse(packet);
  if (!parsed || !hasGoodChecksum(parsed)) return true;
  const { protocol, transport } = parsed;
  // Nobody can be told, and by TCP not an address that stands for one of IPv4.
  if (parsed.family === 10 && parsed.source.equals(Buffer.alloc(16))) return true;
  if (kind === 'tcp-reset' && parsed.family === 10 && parsed.source.toString('hex', 0, 12) === IPV4_MAPPED) return true;
  if (kind === 'tcp-reset')
    return protocol !== PROTO.TCP || transport.length < 20 || (transport.readUInt8(13) & 4) !== 0;
  const type = transport[0] ?? 255;
  if (protocol === PROTO.ICMP && (type > NR_ICMP_TYPES || ICMP_UNANSWERED.has(type))) return true;
  return quoted(parsed) !== undefined;
}
