// Which IP packets does a capture hold? A plain reader of pcap and pcapng (optionally gzip compressed), independent of
// the one in src/capture, so that a mistake there shows as a difference. It reads whole files into memory.

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** A record of a capture: where it stands (frame number from 1), its time in ns, and its bytes. */
export interface CapturedFrame {
  n: number;
  ts: bigint;
  linkType: number;
  /** Bytes on the wire, as the record says. */
  length: number;
  bytes: Buffer;
}

/**
 * Records of a capture file; stops at the first record that cannot be read. Throws Error with one line that names the
 * file when there is none or it is no capture.
 */
export function readCapture(path: string): CapturedFrame[] {
  try {
    return recordsOf(readFileSync(path));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(reason.includes(path) ? reason : `${path}: ${reason}`);
  }
}

function recordsOf(raw: Buffer): CapturedFrame[] {
  const data = raw.length >= 2 && raw.readUInt16BE(0) === 0x1f8b ? gunzipSync(raw) : raw;
  const magic = data.length >= 4 ? data.readUInt32BE(0) : 0;
  if (magic === 0x0a0d0d0a) return readPcapng(data);
  const format = PCAP_MAGICS.get(magic);
  if (!format) throw new Error('neither pcap nor pcapng');
  if (data.length < PCAP_HEADER) throw new Error('ends in the file header');
  return readPcap(data, ...format);
}

const PCAP_HEADER = 24;

/** Magic as big-endian number -> little endian?, ns per unit of the fraction, record header bytes. */
const PCAP_MAGICS = new Map<number, [boolean, bigint, number]>([
  [0xa1b2c3d4, [false, 1000n, 16]],
  [0xd4c3b2a1, [true, 1000n, 16]],
  [0xa1b23c4d, [false, 1n, 16]],
  [0x4d3cb2a1, [true, 1n, 16]],
  [0xa1b2cd34, [false, 1000n, 24]],
  [0x34cdb2a1, [true, 1000n, 24]],
]);

const LENGTH_MAX = 262144;

function readPcap(data: Buffer, little: boolean, unit: bigint, header: number): CapturedFrame[] {
  const u32 = (at: number): number => (little ? data.readUInt32LE(at) : data.readUInt32BE(at));
  const linkType = u32(20) & 0xffff;
  const frames: CapturedFrame[] = [];
  for (let at = 24; at + header <= data.length; ) {
    const captured = u32(at + 8);
    const start = at + header;
    if (captured > LENGTH_MAX || start + captured > data.length) break;
    const ts = BigInt(u32(at)) * 1_000_000_000n + BigInt(u32(at + 4)) * unit;
    frames.push({
      n: frames.length + 1,
      ts,
      linkType,
      length: u32(at + 12),
      bytes: data.subarray(start, start + captured),
    });
    at = start + captured;
  }
  return frames;
}

interface Interface {
  linkType: number;
  snapLength: number;
  /** Units per second of its time stamps, and seconds to add. */
  resolution: bigint;
  offset: bigint;
}

function readPcapng(data: Buffer): CapturedFrame[] {
  const frames: CapturedFrame[] = [];
  let little = true;
  let interfaces: Interface[] = [];
  const u16 = (at: number): number => (little ? data.readUInt16LE(at) : data.readUInt16BE(at));
  const u32 = (at: number): number => (little ? data.readUInt32LE(at) : data.readUInt32BE(at));
  const add = (face: Interface | undefined, stamp: bigint, captured: number, length: number, start: number): void => {
    if (!face) return;
    const ts = (stamp * 1_000_000_000n) / face.resolution + face.offset * 1_000_000_000n;
    const bytes = data.subarray(start, start + captured);
    frames.push({ n: frames.length + 1, ts, linkType: face.linkType, length, bytes });
  };
  for (let at = 0; at + 12 <= data.length; ) {
    const isSection = data.readUInt32BE(at) === 0x0a0d0d0a;
    if (isSection) {
      little = data.readUInt32BE(at + 8) === 0x4d3c2b1a;
      interfaces = [];
    }
    const type = u32(at);
    const total = u32(at + 4);
    if (total < 12 || at + total > data.length) break;
    const body = at + 8;
    if (type === 1) interfaces.push(readInterface(data, body, at + total - 4, u16, u32));
    if (type === 6) {
      const stamp = (BigInt(u32(body + 4)) << 32n) | BigInt(u32(body + 8));
      add(interfaces[u32(body)], stamp, u32(body + 12), u32(body + 16), body + 20);
    }
    if (type === 2) {
      const stamp = (BigInt(u32(body + 4)) << 32n) | BigInt(u32(body + 8));
      add(interfaces[u16(body)], stamp, u32(body + 12), u32(body + 16), body + 20);
    }
    if (type === 3) {
      const face = interfaces[0];
      const length = u32(body);
      const kept = Math.min(length, total - 16, face?.snapLength || LENGTH_MAX);
      add(face, 0n, kept, length, body + 4);
    }
    at += total;
  }
  return frames;
}

function readInterface(
  data: Buffer,
  body: number,
  end: number,
  u16: (at: number) => number,
  u32: (at: number) => number,
): Interface {
  const face: Interface = { linkType: u16(body), snapLength: u32(body + 4), resolution: 1_000_000n, offset: 0n };
  for (let at = body + 8; at + 4 <= end; ) {
    const code = u16(at);
    const length = u16(at + 2);
    if (code === 0) break;
    if (code === 9) {
      const value = data.readUInt8(at + 4);
      face.resolution = value & 0x80 ? 2n ** BigInt(value & 0x7f) : 10n ** BigInt(value);
    }
    if (code === 14) face.offset = (BigInt(u32(at + 4)) << 32n) | BigInt(u32(at + 8));
    at += 4 + ((length + 3) & ~3);
  }
  return face;
}

const ETHERTYPE = { IPV4: 0x0800, IPV6: 0x86dd, PPPOE_SESSION: 0x8864 } as const;
const VLAN_TAGS = new Set([0x8100, 0x88a8, 0x9100]);

/** Captured bytes from the IP header on, or why there is none. */
export function ipPacket(frame: CapturedFrame): Buffer | string {
  const bytes = frame.bytes;
  try {
    switch (frame.linkType) {
      case 1:
        return afterEthertype(bytes, 12);
      case 113:
        return afterEthertype(bytes, 14);
      case 276:
        return byVersion(bytes.subarray(20));
      case 0:
      case 108:
        return byVersion(bytes.subarray(4));
      case 12:
      case 14:
      case 101:
      case 228:
      case 229:
        return byVersion(bytes);
      default:
        return `link type ${frame.linkType}`;
    }
  } catch (error) {
    if (error instanceof RangeError) return 'cut in the link header';
    throw error;
  }
}

function afterEthertype(bytes: Buffer, place: number): Buffer | string {
  let at = place;
  let type = bytes.readUInt16BE(at);
  while (VLAN_TAGS.has(type)) {
    at += 4;
    type = bytes.readUInt16BE(at);
  }
  if (type === ETHERTYPE.PPPOE_SESSION) return byVersion(bytes.subarray(at + 10));
  if (type !== ETHERTYPE.IPV4 && type !== ETHERTYPE.IPV6) return `ethertype 0x${type.toString(16)}`;
  return bytes.subarray(at + 2);
}

function byVersion(bytes: Buffer): Buffer | string {
  const version = bytes.readUInt8(0) >> 4;
  return version === 4 || version === 6 ? bytes : 'no IP';
}
