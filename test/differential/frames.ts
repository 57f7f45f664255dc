// Which packets of a capture can a router be given faithfully, and on which side does each of them arrive?
//
// Every packet gets a fresh Ethernet header: from an address that carries its number, to the router's. The side is that
// of its source address. The address first seen as a source lives on the first side ("lan"), its peers on the other;
// the router has a route to each address, so that interfaces in and out are those of a real network.

import type { CapturedFrame } from './read-capture.ts';
import { ipPacket } from './read-capture.ts';

export interface Frame {
  /** Number in the replay, from 1 without gaps: what the kernel and our side both count by. */
  n: number;
  /** Where the packet came from: its number in the capture. */
  origin: number;
  /** Side it arrives on: 0 lan, 1 wan. */
  side: 0 | 1;
  /** Time to wait before it is sent, milliseconds. */
  wait: number;
  /** IP packet, exactly as long as its header says. */
  packet: Buffer;
  /** The host itself sends it: over one of its links (`side`, if nothing else decides), or over loopback to itself. */
  own?: 'link' | 'loopback';
  /** Ethernet address that it is sent to, where that is a group's or everybody's. */
  group?: Buffer;
}

export interface Skipped {
  origin: number;
  why: string;
}

export interface Traffic {
  frames: Frame[];
  skipped: Skipped[];
  /** Side of each address (in the text form of `addressText`). */
  sides: Map<string, 0 | 1>;
  /** What the host could not send exactly as captured, and how it was sent. */
  changed?: Skipped[];
}

/** Larger packets do not fit through a TAP port (MTU 65,521). */
export const PORT_MTU = 65521;

/**
 * Packets of a capture that can be replayed, with sides, and what had to be left out and why. Captures from a loopback
 * (127.0.0.0/8) are let through where nobody looks at interfaces; a router that does calls those addresses martian.
 */
export function framesOf(capture: CapturedFrame[], loopback = true): Traffic {
  const kept: { origin: number; packet: Buffer }[] = [];
  const skipped: Skipped[] = [];
  for (const frame of capture) {
    const found = ipPacket(frame);
    let packet = typeof found === 'string' ? found : forwardable(found);
    if (typeof packet !== 'string' && !loopback && isLoopback(packet)) packet = 'loopback address';
    if (typeof packet === 'string') skipped.push({ origin: frame.n, why: packet });
    else kept.push({ origin: frame.n, packet });
  }
  return { ...placed(kept.map((each) => ({ ...each, wait: 0 }))), skipped };
}

function isLoopback(packet: Buffer): boolean {
  return packet.readUInt8(0) >> 4 === 4 && (packet.readUInt8(12) === 127 || packet.readUInt8(16) === 127);
}

/** Gives packets their numbers and sides; addresses that are known to live outside. */
export function placed(
  packets: { origin: number; packet: Buffer; wait: number }[],
  outside: readonly string[] = [],
): Omit<Traffic, 'skipped'> {
  const sides = new Map<string, 0 | 1>(outside.map((address) => [address, 1]));
  const frames = packets.map(({ origin, packet, wait }, index): Frame => {
    const [source, target] = addresses(packet);
    const known = sides.get(source);
    const opposite = sides.get(target);
    const side = known ?? (opposite === undefined ? 0 : flip(opposite));
    sides.set(source, side);
    if (!sides.has(target)) sides.set(target, flip(side));
    return { n: index + 1, origin, side, wait, packet };
  });
  return { frames, sides };
}

function flip(side: 0 | 1): 0 | 1 {
  return side === 0 ? 1 : 0;
}

/** Source and destination as text. */
export function addresses(packet: Buffer): [string, string] {
  if (packet.readUInt8(0) >> 4 === 4)
    return [addressText(packet.subarray(12, 16)), addressText(packet.subarray(16, 20))];
  return [addressText(packet.subarray(8, 24)), addressText(packet.subarray(24, 40))];
}

/** An address of 4 or 16 bytes as text that `ip route` reads (IPv6 without `::`). */
export function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  return Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16)).join(':');
}

/** Cuts an IP packet to its own length, or says why a router cannot forward it. */
export function forwardable(bytes: Buffer): Buffer | string {
  const packet = whole(bytes);
  if (typeof packet === 'string') return packet;
  return (packet.readUInt8(0) >> 4 === 4 ? stays4(packet) : stays6(packet)) ?? packet;
}

/** Cuts an IP packet to its own length, or says why no host can be given it. */
export function whole(bytes: Buffer): Buffer | string {
  return bytes.readUInt8(0) >> 4 === 4 ? wholePacket4(bytes) : wholePacket6(bytes);
}

function wholePacket4(bytes: Buffer): Buffer | string {
  if (bytes.length < 20) return 'cut in the IPv4 header';
  const length = bytes.readUInt16BE(2);
  const header = (bytes.readUInt8(0) & 15) * 4;
  if (header < 20 || length < header) return 'broken IPv4 header';
  if (length > bytes.length) return 'shorter than its IPv4 length';
  if (length > PORT_MTU) return 'larger than the port takes';
  return bytes.subarray(0, length);
}

/** Why an IPv4 packet stays on its link. */
function stays4(bytes: Buffer): string | undefined {
  const source = bytes.readUInt32BE(12);
  const target = bytes.readUInt32BE(16);
  const [from, to] = [source >>> 24, target >>> 24];
  const isMulticast = (first: number): boolean => first >= 224 && first < 240;
  if (from === 0 || isMulticast(from) || source === 0xffffffff) return 'source cannot be forwarded';
  if (to === 0 || isMulticast(to) || target === 0xffffffff) return 'target cannot be forwarded';
  return undefined;
}

function wholePacket6(bytes: Buffer): Buffer | string {
  if (bytes.length < 40) return 'cut in the IPv6 header';
  const length = 40 + bytes.readUInt16BE(4);
  if (length > bytes.length) return 'shorter than its IPv6 length';
  if (length > PORT_MTU) return 'larger than the port takes';
  return bytes.subarray(0, length);
}

/** Why an IPv6 packet stays on its link. */
function stays6(bytes: Buffer): string | undefined {
  for (const [name, at] of [
    ['source', 8],
    ['target', 24],
  ] as const) {
    const first = bytes.readUInt16BE(at);
    const rest = bytes.subarray(at, at + 15).every((byte) => byte === 0);
    if (first >= 0xff00 || (first & 0xffc0) === 0xfe80 || rest) return `${name} cannot be forwarded`;
  }
  return undefined;
}
