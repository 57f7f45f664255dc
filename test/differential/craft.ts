// How are packets made by hand for a comparison? IPv4 and IPv6 packets with right checksums, and a short way to write a
// TCP conversation down.

import type { Traffic } from './frames.ts';
import { placed } from './frames.ts';
import { pseudoHeader, wordSum } from './packet.ts';

const CLIENT4 = [10, 0, 0, 2];
const SERVER4 = [192, 0, 2, 80];
const CLIENT6 = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
const SERVER6 = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50];

export interface Ends {
  source: Buffer;
  target: Buffer;
}

/** The client and the server of a family; from the client unless `back`. */
export function ends(family: 4 | 6, back: boolean): Ends {
  const [client, server] = family === 4 ? [CLIENT4, SERVER4] : [CLIENT6, SERVER6];
  return back
    ? { source: Buffer.from(server), target: Buffer.from(client) }
    : { source: Buffer.from(client), target: Buffer.from(server) };
}

/** Wraps a transport header and payload into an IP packet; fills the checksum at `place` of it in (none if negative). */
export function ip({ source, target }: Ends, protocol: number, transport: Buffer, place: number, ttl = 64): Buffer {
  if (place >= 0) {
    transport.writeUInt16BE(0, place);
    const parts = [...pseudoHeader({ source, target, protocol }, transport.length), transport];
    transport.writeUInt16BE(~wordSum(...parts) & 0xffff || 0xffff, place);
  }
  if (source.length === 16) {
    const header = Buffer.alloc(40);
    header.writeUInt8(0x60, 0);
    header.writeUInt16BE(transport.length, 4);
    header.writeUInt8(protocol, 6);
    header.writeUInt8(ttl, 7);
    return Buffer.concat([header.fill(source, 8, 24).fill(target, 24, 40), transport]);
  }
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(20 + transport.length, 2);
  header.writeUInt8(ttl, 8);
  header.writeUInt8(protocol, 9);
  header.fill(source, 12, 16).fill(target, 16, 20);
  header.writeUInt16BE(~wordSum(header) & 0xffff, 10);
  return Buffer.concat([header, transport]);
}

const FLAGS: Record<string, number> = { F: 1, S: 2, R: 4, P: 8, '.': 16, U: 32, E: 64, W: 128 };

export interface Segment {
  family?: 4 | 6;
  /** From the server. */
  back?: boolean;
  /** As tcpdump writes them: `S`, `S.`, `.`, `F.`, `R`, ... */
  flags: string;
  seq?: number;
  ack?: number;
  window?: number;
  /** Bytes of payload. */
  length?: number;
  /** Options, padded by the caller to a multiple of four. */
  options?: number[];
  sport?: number;
  dport?: number;
  ttl?: number;
}

/** A TCP segment between the client's port 4000 and the server's port 80. */
export function tcp(segment: Segment): Buffer {
  const { family = 4, back = false, flags, seq = 0, ack = 0, window = 65535, length = 0, options = [] } = segment;
  const { sport = 4000, dport = 80, ttl = 64 } = segment;
  const header = Buffer.alloc(20 + options.length + length);
  header.writeUInt16BE(back ? dport : sport, 0);
  header.writeUInt16BE(back ? sport : dport, 2);
  header.writeUInt32BE(seq >>> 0, 4);
  header.writeUInt32BE(ack >>> 0, 8);
  header.writeUInt8(((20 + options.length) / 4) << 4, 12);
  header.writeUInt8(
    [...flags].reduce((bits, letter) => bits | (FLAGS[letter] ?? 0), 0),
    13,
  );
  header.writeUInt16BE(window, 14);
  Buffer.from(options).copy(header, 20);
  return ip(ends(family, back), 6, header, 16, ttl);
}

/** A UDP datagram between the client's port 4000 and the server's port 53. */
export function udp(datagram: {
  family?: 4 | 6;
  back?: boolean;
  length?: number;
  sport?: number;
  dport?: number;
}): Buffer {
  const { family = 4, back = false, length = 8, sport = 4000, dport = 53 } = datagram;
  const header = Buffer.alloc(8 + length);
  header.writeUInt16BE(back ? dport : sport, 0);
  header.writeUInt16BE(back ? sport : dport, 2);
  header.writeUInt16BE(8 + length, 4);
  return ip(ends(family, back), 17, header, 6);
}

/** An ICMP or ICMPv6 message; `rest` is the second word of the header, `body` what follows. */
export function icmp(message: {
  family?: 4 | 6;
  back?: boolean;
  type: number;
  code?: number;
  rest?: number;
  body?: Buffer;
}): Buffer {
  const { family = 4, back = false, type, code = 0, rest = 0, body = Buffer.alloc(0) } = message;
  const header = Buffer.alloc(8);
  header.writeUInt8(type, 0);
  header.writeUInt8(code, 1);
  header.writeUInt32BE(rest >>> 0, 4);
  return ip(ends(family, back), family === 4 ? 1 : 58, Buffer.concat([header, body]), 2);
}

/** A number is a pause in milliseconds, a buffer a packet. `outside`: addresses that are known to live outside. */
export function traffic(steps: (Buffer | number)[], outside: readonly string[] = []): Traffic {
  const packets: { origin: number; packet: Buffer; wait: number }[] = [];
  let wait = 0;
  for (const step of steps) {
    if (typeof step === 'number') wait += step;
    else {
      packets.push({ origin: packets.length + 1, packet: step, wait });
      wait = 0;
    }
  }
  return { ...placed(packets, outside), skipped: [] };
}
