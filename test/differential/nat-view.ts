// What would the hosts outside send to a gateway that translates? Traffic that was captured, or drawn, without NAT is
// changed so that its answers fit: what outside hosts answer to flows from inside goes to the gateway's address.
//
// Which port the gateway gives to a flow whose own is taken cannot be known before: answers keep the port, so that they
// belong to the flow that has it.

import { addresses, addressText, type Frame } from './frames.ts';
import { flowKey, parse, quoted } from './packet.ts';

/** The address that flows from inside appear with, by family. */
export interface Outside {
  v4: Buffer;
  v6: Buffer;
}

/**
 * The same frames as the outside sees the inside: through `outside`. With `announced` what outside hosts begin goes there, too,
 * as if they had been told to do so.
 */
export function seenThrough(
  frames: readonly Frame[],
  sides: ReadonlyMap<string, 0 | 1>,
  outside: Outside,
  announced = false,
): Frame[] {
  const fromInside = new Map<string, boolean>();
  return frames.map((frame) => {
    const key = flowKey(frame.packet);
    if (!fromInside.has(key)) fromInside.set(key, frame.side === 0);
    if (frame.side === 0 || !(fromInside.get(key) || announced)) return frame;
    const parsed = parse(frame.packet);
    if (!parsed) return frame;
    const own = parsed.family === 2 ? outside.v4 : outside.v6;
    const packet = Buffer.from(frame.packet);
    const transport = packet.subarray(packet.length - parsed.transport.length);
    // The quoted packet was sent by the gateway, too, if it came from inside.
    const inner = quoted({ ...parsed, transport });
    const about = inner && parse(inner);
    if (about?.family === parsed.family && sides.get(addressText(about.source)) === 0) {
      const before = Buffer.from(about.source);
      own.copy(about.source);
      adjust(transport, 2, before, own);
    }
    return { ...frame, packet: sentTo(packet, parsed.protocol, transport, own) };
  });
}

/** The same frames as the inside knows a server: by the address that it is published under. */
export function published(frames: readonly Frame[], server: string, under: Outside): Frame[] {
  return frames.map((frame) => {
    const parsed = parse(frame.packet);
    if (frame.side === 1 || !parsed || addresses(frame.packet)[1] !== server) return frame;
    const packet = Buffer.from(frame.packet);
    const transport = packet.subarray(packet.length - parsed.transport.length);
    return { ...frame, packet: sentTo(packet, parsed.protocol, transport, parsed.family === 2 ? under.v4 : under.v6) };
  });
}

/** Changes the target of a packet; `transport` is the part of it behind the IP header. */
function sentTo(packet: Buffer, protocol: number, transport: Buffer, target: Buffer): Buffer {
  const start = target.length === 4 ? 16 : 24;
  const before = Buffer.from(packet.subarray(start, start + target.length));
  target.copy(packet, start);
  if (target.length === 4) adjust(packet, 10, before, target);
  const at = checksumAt(protocol, transport);
  if (at !== undefined) adjust(transport, at, before, target);
  return packet;
}

/** Where the checksum lies that covers the addresses, undefined if there is none. */
function checksumAt(protocol: number, transport: Buffer): number | undefined {
  const place = ({ 6: 16, 17: 6, 58: 2, 136: 6 } as Record<number, number>)[protocol];
  if (place === undefined || transport.length < place + 2) return undefined;
  return protocol === 17 && transport.readUInt16BE(place) === 0 ? undefined : place;
}

/** Keeps a checksum as right, or as wrong, as it was (RFC 1624, equation 3). */
function adjust(bytes: Buffer, at: number, before: Buffer, after: Buffer): void {
  let sum = ~bytes.readUInt16BE(at) & 0xffff;
  for (let word = 0; word < before.length; word += 2) {
    sum += (~before.readUInt16BE(word) & 0xffff) + after.readUInt16BE(word);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes.writeUInt16BE(~sum & 0xffff, at);
}

/** Where a server is published. */
export const PUBLISHED: Outside = {
  v4: Buffer.from([198, 18, 254, 111]),
  v6: Buffer.from('20010002000000ed0000000000000001', 'hex'),
};

/** The address that no capture uses: for source NAT to an address that is not the router's own. */
export const OUTSIDE: Outside = {
  v4: Buffer.from([198, 18, 255, 1]),
  v6: Buffer.from('20010002000000ee0000000000000001', 'hex'),
};

/** The router's own address (kernel.ts): for MASQUERADE. */
export const ROUTER: Outside = {
  v4: Buffer.from([198, 19, 255, 1]),
  v6: Buffer.from('20010002 0000ffff 0000000000000001'.replaceAll(' ', ''), 'hex'),
};
