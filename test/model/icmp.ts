// Which flow does an ICMP or ICMPv6 message belong to? Queries, their answers, and errors with what they quote
// (RFC 792, 4443, 4620, 4861; the kernel's nf_conntrack_proto_icmp.c and _icmpv6.c).

import { be16, type ModelPacket } from './packet.ts';

/** One direction of a flow, as text, so that it can be a key. */
export interface ModelTuple {
  family: 4 | 6;
  protocol: number;
  source: string;
  target: string;
  /** Ports; for ICMP the id, and type << 8 | code. */
  sport: number;
  dport: number;
}

export const keyOf = (tuple: ModelTuple): string =>
  [tuple.family, tuple.protocol, tuple.source, tuple.target, tuple.sport, tuple.dport].join(' ');

const ANSWERS: Record<4 | 6, Record<number, number>> = {
  4: { 8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17 },
  6: { 128: 129, 129: 128, 139: 140, 140: 139 },
};

/** Types that may begin a flow. */
const QUERIES: Record<4 | 6, readonly number[]> = { 4: [8, 13, 15, 17], 6: [128, 139] };

const ICMP = 1;
const ICMPV6 = 58;
const familyOfProtocol = (protocol: number): 4 | 6 => (protocol === ICMP ? 4 : 6);

/** Multicast listener and router, neighbour and multicast router discovery. */
const NEVER_TRACKED = [130, 131, 132, 133, 134, 135, 136, 143, 151, 152];
const ERRORS_V4 = [3, 4, 5, 11, 12];
const HIGHEST_V4 = 18;
const REDIRECT_V6 = 137;

/** The tuple of a packet; undefined if there is too little of it. */
export function tupleOf({ family, protocol, source, target, body }: ModelPacket): ModelTuple | undefined {
  const addresses = { family, protocol, source, target };
  if (protocol === ICMP || protocol === ICMPV6) {
    return body.length < 8 ? undefined : { ...addresses, sport: be16(body, 4), dport: be16(body, 0) };
  }
  if (protocol === 6 || protocol === 17 || protocol === 132) {
    return body.length < 4 ? undefined : { ...addresses, sport: be16(body, 0), dport: be16(body, 2) };
  }
  return { ...addresses, sport: 0, dport: 0 };
}

/** The tuple of the answer; undefined if nothing answers it. */
export function inverseOf(tuple: ModelTuple): ModelTuple | undefined {
  const swapped = { ...tuple, source: tuple.target, target: tuple.source };
  if (tuple.protocol !== ICMP && tuple.protocol !== ICMPV6) {
    return { ...swapped, sport: tuple.dport, dport: tuple.sport };
  }
  const answer = ANSWERS[familyOfProtocol(tuple.protocol)][tuple.dport >> 8];
  return answer === undefined ? undefined : { ...swapped, dport: answer * 256 + (tuple.dport & 255) };
}

export const mayBegin = (tuple: ModelTuple): boolean =>
  familyOfProtocol(tuple.protocol) === tuple.family && QUERIES[tuple.family].includes(tuple.dport >> 8);

export type IcmpClass =
  | { kind: 'query' }
  | { kind: 'untracked' }
  | { kind: 'invalid'; reason: string; value?: number }
  /** An error; what it quotes begins at `at` of its body. */
  | { kind: 'error'; at: number };

/** What kind of message is it? `hopLimit` matters to IPv6 redirects alone. */
export function classify(packet: ModelPacket, hopLimit: number): IcmpClass {
  const { body, family } = packet;
  if (body.length < 8) return { kind: 'invalid', reason: 'TRUNCATED_L4' };
  if (familyOfProtocol(packet.protocol) !== family) return { kind: 'query' };
  const type = body[0]!;
  if (family === 4) {
    if (type > HIGHEST_V4) return { kind: 'invalid', reason: 'ICMP_BAD_TYPE', value: type };
    return ERRORS_V4.includes(type) ? { kind: 'error', at: 8 } : { kind: 'query' };
  }
  if (NEVER_TRACKED.includes(type)) return { kind: 'untracked' };
  if (type < 128) return { kind: 'error', at: 8 };
  if (type !== REDIRECT_V6) return { kind: 'query' };
  // RFC 4861 section 4.5: from a link-local address, not forwarded, with the redirected header as its first option.
  const refused = (reason: string): IcmpClass => ({ kind: 'invalid', reason });
  const other: IcmpClass = { kind: 'invalid', reason: 'ICMP_BAD_TYPE', value: type };
  if (body.length < 40) return refused('ICMPV6_REDIRECT_SHORT');
  if (body[1] !== 0) return other;
  if (hopLimit !== 255 || !/^fe[89ab]/.test(packet.source)) return refused('ICMPV6_REDIRECT_SENDER');
  if (body.length < 42 || body[41] === 0) return refused('ICMPV6_REDIRECT_OPTIONS');
  return body[40] === 4 && body.length >= 48 ? { kind: 'error', at: 48 } : other;
}
