// What is this packet, in one line, for people who read a trace or a diff?

import { L3, PacketFlag, Proto, SctpChunk } from '../../assembly/vocabulary.ts';
import { PACKET } from '../engine/layout.ts';
import { addressText } from './address.ts';
import { wordAt } from './conntrack-text.ts';
import { protocolName } from './names.ts';

const TCP_FLAGS: readonly (readonly [bit: number, letter: string])[] = [
  [2, 'S'],
  [1, 'F'],
  [4, 'R'],
  [8, 'P'],
  [32, 'U'],
  [64, 'E'],
  [128, 'W'],
  [16, '.'],
];

/** TCP flags as tcpdump writes them: `S.` is SYN and ACK, `none` no flag. */
export function tcpFlagsText(flags: number): string {
  const letters = TCP_FLAGS.filter(([bit]) => flags & bit).map(([, letter]) => letter);
  return letters.length === 0 ? 'none' : letters.join('');
}

function endpoint(bytes: Uint8Array, address: number, port: number, l3num: number, hasPorts: boolean): string {
  const text = addressText(bytes, address, l3num);
  if (!hasPorts) return text;
  return l3num === L3.IPV6 ? `[${text}]:${wordAt(bytes, port)}` : `${text}:${wordAt(bytes, port)}`;
}

export function hasPorts(protonum: number): boolean {
  return protonum === Proto.TCP || protonum === Proto.UDP || protonum === Proto.UDPLITE || protonum === Proto.SCTP;
}

/**
 * `tcp 10.0.0.1:4000 -> 10.0.0.2:80` from the tuple of the PACKET at `at`; `reversed` swaps the ends, to show the
 * original direction of a reply.
 */
export function flowText(bytes: Uint8Array, at: number, reversed: boolean): string {
  const protonum = bytes[at + PACKET.protonum]!;
  const l3num = bytes[at + PACKET.l3num]!;
  const ports = hasPorts(protonum);
  const source = endpoint(bytes, at + PACKET.src_lo, at + PACKET.sport, l3num, ports);
  const target = endpoint(bytes, at + PACKET.dst_lo, at + PACKET.dport, l3num, ports);
  const id = protonum === Proto.ICMP || protonum === Proto.ICMPV6 ? ` id ${wordAt(bytes, at + PACKET.sport)}` : '';
  const [from, to] = reversed ? [target, source] : [source, target];
  return `${protocolName(protonum)} ${from} -> ${to}${id}`;
}

/** Chunks of an SCTP packet as far as they were captured: `[INIT]`, `[COOKIE_ACK,DATA]`; other types by number. */
function chunksText(view: DataView, l4: number, captured: number): string {
  const names: string[] = [];
  for (let at = 12; at + 4 <= captured; ) {
    const type = view.getUint8(l4 + at);
    names.push(SctpChunk[type] ?? String(type));
    const size = (view.getUint16(l4 + at + 2) + 3) & ~3;
    if (size === 0) break;
    at += size;
  }
  return `[${names.join(',')}]`;
}

/**
 * One line about the decoded PACKET at `at`: `tcp 10.0.0.1:4000 -> 10.0.0.2:80 [S] seq 900 win 64240 length 0`. Lengths are
 * those of the transport's payload; what the capture cut off is left out.
 */
export function packetText(view: DataView, bytes: Uint8Array, at: number): string {
  const l3num = bytes[at + PACKET.l3num]!;
  if (l3num !== L3.IPV4 && l3num !== L3.IPV6) return 'not an IP packet';
  const protonum = bytes[at + PACKET.protonum]!;
  const flags = view.getUint16(at + PACKET.flags, true);
  const l4 = view.getUint32(at + PACKET.l4, true);
  const captured = view.getUint32(at + PACKET.l4_captured, true);
  const length = view.getUint32(at + PACKET.l4_len, true);
  const head = flowText(bytes, at, false);
  if (flags & PacketFlag.LATER_FRAGMENT) return `${head} (later fragment)`;
  const tail = flags & PacketFlag.FRAGMENT ? ' (first fragment)' : '';
  switch (protonum) {
    case Proto.TCP: {
      const letters = `${head} [${tcpFlagsText(bytes[at + PACKET.tcp_flags]!)}]`;
      if (l4 === 0 || captured < 16) return letters + tail;
      const payload = length - (bytes[l4 + 12]! >> 4) * 4;
      const ack = bytes[at + PACKET.tcp_flags]! & 16 ? ` ack ${view.getUint32(l4 + 8)}` : '';
      const window = wordAt(bytes, l4 + 14);
      return `${letters} seq ${view.getUint32(l4 + 4)}${ack} win ${window} length ${Math.max(0, payload)}${tail}`;
    }
    case Proto.ICMP:
    case Proto.ICMPV6:
      if (l4 === 0 || captured < 2) return head + tail;
      return `${head} type ${bytes[l4]} code ${bytes[l4 + 1]} length ${Math.max(0, length - 8)}${tail}`;
    case Proto.SCTP:
      if (l4 === 0 || captured < 12) return head + tail;
      return `${head} ${chunksText(view, l4, captured)} tag ${view.getUint32(l4 + 4)} length ${length - 12}${tail}`;
    case Proto.UDP:
    case Proto.UDPLITE:
      return `${head} length ${Math.max(0, length - 8)}${tail}`;
    default:
      return `${head} length ${length}${tail}`;
  }
}
