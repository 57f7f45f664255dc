// What tests whether lanes meet? Conversations with helpers, among which ICMP errors quote packets of others, and packets
// come in pieces: all of that belongs to the lane of the two hosts.

import { Random } from '../model/random.ts';
import { fragment } from '../support/fragments.ts';
import { ethernet, icmp, icmp6, ip, quote, writePcap } from '../support/packets.ts';
import { type HelperName, helperTraffic } from './helper-traffic.ts';

/** Helpers that expect flows between the same two hosts only. */
export const OF_TWO_HOSTS: HelperName[] = ['ftp', 'sane', 'tftp', 'amanda', 'pptp', 'sip'];

const START = 1_700_000_000_000_000_000n;
const ROUTERS = { 4: '10.0.9.9', 6: '2001:db8:9::9' } as const;

/** A capture of about `packets` packets, 20 ms apart, and the rules that give helpers. */
export function laneTraffic(
  seed: number,
  packets: number,
  helpers: readonly HelperName[][],
): { capture: Uint8Array; rules: string[] } {
  const random = new Random(seed);
  const parts = helpers.map((names, index) => helperTraffic(seed + index, packets / helpers.length, false, names));
  const steps = parts.flatMap((part) => part.steps).flatMap((step, index) => disturbed(random, step as Buffer, index));
  const capture = writePcap(
    steps.map((data, index) => ({ time: START + BigInt(index) * 20_000_000n, data: ethernet(data) })),
  );
  const { rules4 = [], rules6 = [] } = parts[0]!;
  return { capture, rules: [...rules4, ...rules6] };
}

function disturbed(random: Random, packet: Uint8Array, id: number): Uint8Array[] {
  const six = packet[0]! >> 4 === 6;
  const header = six ? 40 : 20;
  const out: Uint8Array[] = [packet];
  if (random.chance(0.08) && packet.length > header + 8) {
    const rest = { offset: 8, length: packet.length - header - 8, more: false, id };
    const pieces = [fragment(packet, { offset: 0, length: 8, more: true, id }), fragment(packet, rest)];
    out.splice(0, 1, ...(random.chance(0.5) ? pieces : pieces.reverse()));
  }
  if (random.chance(0.08)) out.push(error(random, packet, six ? 6 : 4));
  return out;
}

/** An error about the packet, mostly to its sender, from a router or from whom it was sent to. */
function error(random: Random, packet: Uint8Array, family: 4 | 6): Uint8Array {
  const [source, target] = addressesOf(packet, family);
  const spec = { code: random.below(4), payload: quote(packet, random.chance(0.1) ? 24 : undefined) };
  const transport = family === 6 ? icmp6({ type: 1, ...spec }) : icmp({ type: 3, ...spec });
  return ip(random.chance(0.5) ? ROUTERS[family] : target, random.chance(0.9) ? source : target, transport);
}

function addressesOf(packet: Uint8Array, family: 4 | 6): [string, string] {
  const [at, size] = family === 6 ? [8, 16] : [12, 4];
  return [text(packet.subarray(at, at + size)), text(packet.subarray(at + size, at + 2 * size))];
}

function text(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16));
  return words.join(':');
}
