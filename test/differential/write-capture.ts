// How does our side get the very packets the kernel got? As a pcapng file of the same Ethernet frames, with the two
// interfaces and loopback by name and the moment each frame reached the kernel.

import type { Frame } from './frames.ts';
import { ethernetFrame } from './kernel.ts';

const LINKTYPE_ETHERNET = 1;

function block(type: number, ...content: Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const total = 12 + body.length;
  const framed = Buffer.alloc(total);
  framed.writeUInt32LE(type, 0);
  framed.writeUInt32LE(total, 4);
  body.copy(framed, 8);
  framed.writeUInt32LE(total, total - 4);
  return framed;
}

function option(code: number, value: Buffer): Buffer {
  const padded = Buffer.alloc(4 + ((value.length + 3) & ~3));
  padded.writeUInt16LE(code, 0);
  padded.writeUInt16LE(value.length, 2);
  value.copy(padded, 4);
  return padded;
}

/** epb_flags: received. */
const INBOUND = Buffer.from([1, 0, 0, 0]);

/** A pcapng file of the frames at the given times (ns since 1970), nanosecond resolution; it states what was received. */
export function pcapngOf(frames: Frame[], times: bigint[], interfaces: readonly [string, string]): Buffer {
  const section = Buffer.alloc(16);
  section.writeUInt32LE(0x1a2b3c4d, 0);
  section.writeUInt16LE(1, 4);
  section.writeBigInt64LE(-1n, 8);
  const parts = [block(0x0a0d0d0a, section)];
  for (const name of [...interfaces, 'lo']) {
    const head = Buffer.alloc(8);
    head.writeUInt16LE(LINKTYPE_ETHERNET, 0);
    parts.push(block(1, head, option(2, Buffer.from(name)), option(9, Buffer.from([9])), Buffer.alloc(4)));
  }
  for (const [index, frame] of frames.entries()) {
    const bytes = ethernetFrame(frame);
    const ts = times[index] ?? 0n;
    const head = Buffer.alloc(20);
    head.writeUInt32LE(frame.own === 'loopback' ? interfaces.length : frame.side, 0);
    head.writeUInt32LE(Number(ts >> 32n), 4);
    head.writeUInt32LE(Number(ts & 0xffffffffn), 8);
    head.writeUInt32LE(bytes.length, 12);
    head.writeUInt32LE(bytes.length, 16);
    const direction = frame.own ? [] : [option(2, INBOUND), Buffer.alloc(4)];
    parts.push(block(6, head, bytes, Buffer.alloc(-bytes.length & 3), ...direction));
  }
  return Buffer.concat(parts);
}
