// Are the packets that left the kernel byte by byte those that `--write --as-sent` writes? From the IP header on; what the kernel
// draws at random, or from its clock, is told apart and counted.

import type { KernelAnswers } from './answers.ts';
import type { OurAnswers, Report } from './compare.ts';
import { DrawnPorts, residue } from './drawn-ports.ts';
import { fragmentInfo } from './fragments.ts';
import type { Frame } from './frames.ts';
import type { Announced } from './kernel.ts';
import { mayMove } from './moved-ports.ts';
import { parse, quoted } from './packet.ts';

/** IP packets that left, by the number of the frame that they were, in order. */
export type Departures = ReadonlyMap<number, readonly Buffer[]>;

/** Why bytes may differ, how often each was met. */
export interface SentExcuses {
  /** IPv6 fragments: the kernel draws their identification. */
  identification: number;
  /** Ports and ids that NAT looked for at random. */
  moved: number;
  /** Ports that helpers looked for at random, where they are announced. */
  drawn: number;
  /** IPv4 options that a router fills in: its address, the time of day. */
  options: number;
}

const ICMP = 1;
const TCP = 6;
const UDP = 17;
const SCTP = 132;
const UDPLITE = 136;
const ICMPV6 = 58;
const FRAGMENT = 44;
const RECORD_ROUTE = 7;
const TIMESTAMP = 68;
const CHECKSUM_AT: Readonly<Record<number, readonly [at: number, size: number]>> = {
  [ICMP]: [2, 2],
  [ICMPV6]: [2, 2],
  [TCP]: [16, 2],
  [UDP]: [6, 2],
  [UDPLITE]: [6, 2],
  [SCTP]: [8, 4],
};

/** Compares what left of each frame; returns how many packets agreed, and how many needed an excuse. */
export function compareSent(
  kernel: Pick<KernelAnswers, 'packets'>,
  theirs: Departures,
  ours: Pick<OurAnswers, 'packets' | 'departures'>,
  frames: readonly Frame[],
  { named, announced }: { named: readonly [number, number][]; announced?: Announced | undefined },
  report: Report,
): { packets: number; excused: SentExcuses } {
  const excused: SentExcuses = { identification: 0, moved: 0, drawn: 0, options: 0 };
  const drawn = announced && new DrawnPorts(new Set([...announced.values()].flatMap((ports) => [...ports])));
  let packets = 0;
  for (const { n, verdict, path } of kernel.packets) {
    const mine = ours.packets[n - 1];
    // What became of it is compared elsewhere. What leaves of a packet that was not accepted is what the router answers.
    if (verdict !== 'ACCEPT' || mine?.verdict !== 'ACCEPT') continue;
    const sent = ours.departures?.get(n) ?? [];
    const left = path === 'forward' || path === 'output' ? (theirs.get(n) ?? []) : [];
    if (left.length !== sent.length) {
      report(n, 'packets sent', left.map(hex).join(' | '), sent.map(hex).join(' | '));
      continue;
    }
    left.forEach((packet, index) => {
      packets++;
      const own = sent[index]!;
      if (packet.equals(own)) return;
      const excuse = excuseOf(packet, own, frames[n - 1]!, named);
      if (excuse) excused[excuse]++;
      else if (drawn?.alike(packet, own)) excused.drawn++;
      else report(n, `bytes sent, from ${firstDifference(packet, own)}`, hex(packet), hex(own));
    });
  }
  return { packets, excused };
}

function hex(packet: Buffer): string {
  return packet.length > 200 ? `${packet.toString('hex', 0, 200)}... (${packet.length})` : packet.toString('hex');
}

function firstDifference(a: Buffer, b: Buffer): number {
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return at < 0 ? Math.min(a.length, b.length) : at;
}

function excuseOf(
  theirs: Buffer,
  own: Buffer,
  frame: Frame,
  named: readonly [number, number][],
): keyof SentExcuses | undefined {
  if (theirs.length !== own.length) return undefined;
  const mine = Buffer.from(own);
  takeIdentification(theirs, mine, frame);
  if (theirs.equals(mine)) return 'identification';
  takeOptions(theirs, mine);
  if (theirs.equals(mine)) return 'options';
  const [left, right] = [theirs, mine].map((packet) => fragmentInfo(packet)?.alone);
  // The frame is one of several fragments, perhaps without ports.
  const moved = left && right ? movedAlike(left, right, right, named) : movedAlike(theirs, mine, frame.packet, named);
  return moved ? 'moved' : undefined;
}

/** What is drawn: the identification of IPv6 fragments, and of an IPv4 packet that a raw socket is given without one. */
function takeIdentification(theirs: Buffer, mine: Buffer, { own, packet }: Frame): void {
  if (theirs.readUInt8(0) >> 4 === 4) {
    if (!own || packet.readUInt16BE(4) !== 0) return;
    theirs.copy(mine, 4, 4, 6);
    theirs.copy(mine, 10, 10, 12);
    return;
  }
  let at = 40;
  let next = theirs.readUInt8(6);
  while ([0, 43, 60].includes(next) && at + 8 <= theirs.length) {
    next = theirs.readUInt8(at);
    at += (theirs.readUInt8(at + 1) + 1) * 8;
  }
  if (next === FRAGMENT && at + 8 <= theirs.length) theirs.copy(mine, at + 4, at + 4, at + 8);
}

/** Options by which a packet collects the addresses of routers and times. */
function takeOptions(theirs: Buffer, mine: Buffer): void {
  if (theirs.readUInt8(0) >> 4 !== 4) return;
  const header = (theirs.readUInt8(0) & 15) * 4;
  for (let at = 20; at + 1 < header; ) {
    const type = theirs.readUInt8(at);
    if (type === 0) break;
    const length = type === 1 ? 1 : Math.max(2, theirs.readUInt8(at + 1));
    if (type === RECORD_ROUTE || type === TIMESTAMP) {
      theirs.copy(mine, at, at, Math.min(at + length, header));
      theirs.copy(mine, 10, 10, 12);
    }
    at += length;
  }
}

/** Do the packets differ in nothing but a port or id that NAT chose, and in checksums that are as right or wrong as the other's? */
function movedAlike(theirs: Buffer, own: Buffer, before: Buffer, named: readonly [number, number][]): boolean {
  const [a, b, captured] = [parse(theirs), parse(own), parse(before)];
  if (!a || !b || !captured || a.transport.length < 8) return false;
  const mine = Buffer.from(own);
  const start = theirs.length - a.transport.length;
  if (a.protocol === ICMP && residue(a) !== residue(b)) return false;
  const take = (at: number, size = 2): void => void theirs.copy(mine, at, at, at + size);
  /** A port, if it may have become what they have; errors quote it unmoved. */
  const takePort = (at: number, from: number): boolean => {
    if (theirs.readUInt16BE(at) === mine.readUInt16BE(at)) return true;
    if (!mayMove(from, theirs.readUInt16BE(at), named)) return false;
    take(at);
    return true;
  };
  const inner = quoted(a);
  if (inner) {
    const about = parse(inner);
    const original = quoted(captured);
    const source = original && parse(original);
    if (!about || !source || about.transport.length < 8) return false;
    const at = theirs.length - about.transport.length;
    if (about.protocol === ICMP || about.protocol === ICMPV6) {
      // An id that we left as it was captured is not one that was looked for.
      const [id, was] = [mine.readUInt16BE(at + 4), source.transport.readUInt16BE(4)];
      if (id !== theirs.readUInt16BE(at + 4) && id === was) return false;
      take(at + 4);
    } else if (!takePort(at + 2, source.transport.readUInt16BE(2))) return false;
    const [place, size] = CHECKSUM_AT[about.protocol] ?? [0, 0];
    if (size && about.transport.length >= place + size) take(at + place, size);
  } else if (a.protocol === ICMP || a.protocol === ICMPV6) {
    take(start + 4);
  } else if (!takePort(start, captured.transport.readUInt16BE(0))) return false;
  const [place, size] = CHECKSUM_AT[a.protocol] ?? [0, 0];
  if (size && a.transport.length >= place + size) take(start + place, size);
  const alike = a.protocol === SCTP || residue(a) === residue(b);
  return alike && theirs.equals(mine);
}

/** What `--write --as-sent` wrote of packets of one capture: by the number at the beginning of each comment, `1:7 ACCEPT ...`. */
export function departuresOf(file: Buffer, linkBytes: number, capture = 1): Departures {
  const found = new Map<number, Buffer[]>();
  for (let at = 0; at + 12 <= file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== 6) continue;
    const captured = file.readUInt32LE(at + 20);
    const comment = at + 28 + ((captured + 3) & ~3);
    const text = file.toString('utf8', comment + 4, comment + 4 + file.readUInt16LE(comment + 2));
    const [, of, n] = (/^(\d+):(\d+) /.exec(text) ?? []).map(Number);
    if (of !== capture || n === undefined) continue;
    found.set(n, [...(found.get(n) ?? []), file.subarray(at + 28 + linkBytes, at + 28 + captured)]);
  }
  return found;
}
