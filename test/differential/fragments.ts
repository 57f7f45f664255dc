// Is this IP packet a fragment, and of what? What the comparison has to know to ask the kernel about fragments.

import { addresses } from './frames.ts';

export interface FragmentInfo {
  /** The same for all fragments of one packet. */
  key: string;
  /** Place of its data in the packet, bytes. */
  offset: number;
  /** Protocol of the packet. */
  protocol: number;
  /** The fragment as if it were a packet by itself: its transport header can be looked at if offset is 0. */
  alone: Buffer;
}

const IPV6_FRAGMENT = 44;
const IPV6_EXTENSIONS = new Set([0, 43, 60]);

/** What kind of fragment a packet is; undefined for a whole packet. Atomic IPv6 fragments are fragments. */
export function fragmentInfo(packet: Buffer): FragmentInfo | undefined {
  const [source, target] = addresses(packet);
  if (packet.readUInt8(0) >> 4 === 4) {
    const field = packet.readUInt16BE(6);
    if ((field & 0x3fff) === 0) return undefined;
    const protocol = packet.readUInt8(9);
    const key = `${source} ${target} ${protocol} ${packet.readUInt16BE(4)}`;
    return { key, offset: (field & 0x1fff) * 8, protocol, alone: packet };
  }
  let next = packet.readUInt8(6);
  let named = 6;
  let at = 40;
  while (IPV6_EXTENSIONS.has(next) && at + 8 <= packet.length) {
    next = packet.readUInt8(at);
    named = at;
    at += (packet.readUInt8(at + 1) + 1) * 8;
  }
  if (next !== IPV6_FRAGMENT || at + 8 > packet.length) return undefined;
  const protocol = packet.readUInt8(at);
  const alone = Buffer.concat([packet.subarray(0, at), packet.subarray(at + 8)]);
  alone.writeUInt8(protocol, named);
  alone.writeUInt16BE(alone.length - 40, 4);
  const key = `${source} ${target} ${packet.readUInt32BE(at + 4)}`;
  return { key, offset: packet.readUInt16BE(at + 2) & 0xfff8, protocol, alone };
}
