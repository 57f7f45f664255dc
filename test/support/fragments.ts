// How does a test cut an IP packet into fragments, also in ways that no sender does?

import { concat, internetChecksum } from './packets.ts';

export interface FragmentSpec {
  /** First byte of the packet's data that the fragment carries: a multiple of 8. */
  offset: number;
  /** Bytes; what the packet does not have is zero. */
  length: number;
  /** More fragments follow. */
  more: boolean;
  id?: number;
  /** IPv4 don't-fragment bit; default false. */
  df?: boolean;
  /** Byte of type of service or traffic class, instead of the packet's. */
  tos?: number;
}

const IPV6_FRAGMENT = 44;

/** One fragment of a whole packet. IPv6: the fragment header follows the fixed header. */
export function fragment(packet: Uint8Array, spec: FragmentSpec): Uint8Array {
  return packet[0]! >> 4 === 4 ? fragment4(packet, spec) : fragment6(packet, spec);
}

function slice(packet: Uint8Array, header: number, { offset, length }: FragmentSpec): Uint8Array {
  const data = new Uint8Array(length);
  data.set(packet.subarray(header + offset, header + offset + length));
  return data;
}

function fragment4(packet: Uint8Array, spec: FragmentSpec): Uint8Array {
  const size = (packet[0]! & 15) * 4;
  const header = packet.slice(0, size);
  const view = new DataView(header.buffer);
  if (spec.tos !== undefined) view.setUint8(1, spec.tos);
  view.setUint16(2, size + spec.length);
  view.setUint16(4, spec.id ?? 1);
  view.setUint16(6, (spec.df ? 0x4000 : 0) | (spec.more ? 0x2000 : 0) | (spec.offset / 8));
  view.setUint16(10, 0);
  view.setUint16(10, internetChecksum(header));
  return concat(header, slice(packet, size, spec));
}

function fragment6(packet: Uint8Array, spec: FragmentSpec): Uint8Array {
  const header = packet.slice(0, 48);
  const view = new DataView(header.buffer);
  if (spec.tos !== undefined) view.setUint16(0, 0x6000 | (spec.tos << 4));
  view.setUint16(4, 8 + spec.length);
  view.setUint8(40, packet[6]!);
  view.setUint8(6, IPV6_FRAGMENT);
  view.setUint8(41, 0);
  view.setUint16(42, spec.offset | (spec.more ? 1 : 0));
  view.setUint32(44, spec.id ?? 1);
  return concat(header, slice(packet, 40, spec));
}

/** Numbers in [0, 1) that a seed decides (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * Fragments of a few packets, mixed, with losses, repetitions, overlaps, wrong lengths and offsets. `packet(n)` makes the
 * n-th whole packet. Chance decides how bad it is: some packets are only reordered.
 */
export function fragmentStorm(
  seed: number,
  count: number,
  packet: (n: number, pick: (max: number) => number) => Uint8Array,
): Uint8Array[] {
  const next = random(seed);
  const pick = (max: number): number => Math.floor(next() * max);
  const out: { at: number; bytes: Uint8Array }[] = [];
  for (let n = 0; n < count; n++) {
    const whole = packet(n, pick);
    const data = whole.length - (whole[0]! >> 4 === 4 ? (whole[0]! & 15) * 4 : 40);
    const trouble = pick(3) === 0 ? 0 : next() * 0.3;
    // Few identifications: packets clash, and late fragments meet new ones.
    const id = trouble === 0 ? 1000 + n : pick(4);
    const step = 8 * (1 + pick(6));
    const congested = pick(4) === 0;
    for (let offset = 0; offset < data; offset += step) {
      const spec = {
        offset,
        length: Math.min(step, data - offset),
        more: offset + step < data,
        id,
        df: pick(8) === 0,
        ...(congested && { tos: pick(2) ? 3 : 2 - pick(2) }),
      };
      if (next() < trouble) spec.offset = 8 * pick(12);
      if (next() < trouble) spec.length = pick(80);
      if (next() < trouble) spec.more = !spec.more;
      if (next() < trouble / 4) Object.assign(spec, { tos: pick(4) });
      if (next() < trouble / 8) spec.offset = 65528 - 8 * pick(3);
      const times = next() < trouble ? 2 : next() < trouble / 2 ? 0 : 1;
      for (let time = 0; time < times; time++) out.push({ at: n * 3 + next() * 20, bytes: fragment(whole, spec) });
    }
  }
  return out.sort((a, b) => a.at - b.at).map(({ bytes }) => bytes);
}
