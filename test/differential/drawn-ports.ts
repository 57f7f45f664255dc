// Do two packets announce the same, but for ports that a helper looked for at random because the announced ones were taken? Then
// lengths, sequence numbers and checksums differ along with them: by as much as the numbers of the announcements are longer.

import { type Parsed, parse, pseudoHeader, wordSum } from './packet.ts';

const TCP = 6;
const UDP = 17;
const UDP_HEADER = 8;
const IPV4_LENGTH = [2, 4];
const IPV4_CHECKSUM = [10, 12];
const IPV6_LENGTH = [4, 6];

/** Follows the connections of a run: by how much the bytes of each direction lie apart from one announcement on. */
export class DrawnPorts {
  readonly #apart = new Map<string, Set<number>>();

  /** @param announced ports that the traffic names, which are none that were drawn */
  constructor(private readonly announced: ReadonlySet<number>) {}

  /** True if nothing else differs; to be asked in the order of the packets. */
  alike(theirs: Buffer, own: Buffer): boolean {
    const [a, b] = [parse(theirs), parse(own)];
    if (!a || !b || (a.protocol !== TCP && a.protocol !== UDP) || a.protocol !== b.protocol) return false;
    if (!sameIpHeader(theirs, own, a, b) || residue(a) !== residue(b)) return false;
    const [before, after] = [payloadOf(a), payloadOf(b)];
    if (!this.#sameNumbers(a, b)) return false;
    if (!this.#sameText(before, after) && !this.#sameFields(before, after)) return false;
    if (a.protocol === TCP && before.length !== after.length) {
      const [forward] = directions(b);
      for (const known of [...this.#set(forward)]) this.#set(forward).add(known + before.length - after.length);
    }
    return true;
  }

  #set(direction: string): Set<number> {
    const known = this.#apart.get(direction) ?? new Set([0]);
    this.#apart.set(direction, known);
    return known;
  }

  /** The transport header: sequence numbers may lie apart as the bytes do; checksums are known to be alike. */
  #sameNumbers({ transport: a, protocol }: Parsed, own: Parsed): boolean {
    const b = own.transport;
    if (!this.#samePort(a.readUInt16BE(0), b.readUInt16BE(0)) || a.readUInt16BE(2) !== b.readUInt16BE(2)) return false;
    if (protocol === UDP) return true;
    const header = (a.readUInt8(12) >> 4) * 4;
    const [forward, backward] = directions(own);
    const apart = (at: number, direction: string): boolean =>
      this.#set(direction).has((a.readUInt32BE(at) - b.readUInt32BE(at)) | 0);
    const same = (from: number, to: number): boolean => a.subarray(from, to).equals(b.subarray(from, to));
    if (!apart(4, forward) || !apart(8, backward) || !same(12, 16) || !same(18, 20)) return false;
    for (let at = 20; at < header; ) {
      const length = a.readUInt8(at) <= 1 ? 1 : Math.max(2, a.readUInt8(at + 1));
      if (a.readUInt8(at) === 5) {
        for (let edge = at + 2; edge + 4 <= at + length; edge += 4) if (!apart(edge, backward)) return false;
        if (!same(at, at + 2)) return false;
      } else if (!same(at, at + length)) return false;
      at += length;
    }
    return true;
  }

  #sameText(theirs: Buffer, own: Buffer): boolean {
    const [a, b] = [theirs, own].map((text) => withPorts(text.toString('latin1')).split(/(\d+)/));
    if (a!.length !== b!.length) return false;
    return a!.every((part, index) => {
      const mine = b![index]!;
      if (part === mine) return true;
      if (index % 2 === 0) return false;
      const [left, right] = [Number(part), Number(mine)];
      if (/(content-length|\bl)\s*:\s*$/i.test(a![index - 1]!)) return Math.abs(left - right) < 16;
      return this.#samePort(left, right);
    });
  }

  /** As H.323 has ports: two bytes behind an address, of which one may be the same. */
  #sameFields(theirs: Buffer, own: Buffer): boolean {
    if (theirs.length !== own.length) return false;
    const isPort = (at: number): boolean => {
      const address = at - 4;
      if (address < 0 || at + 2 > own.length) return false;
      if (!theirs.subarray(address, at).equals(own.subarray(address, at))) return false;
      return this.#samePort(theirs.readUInt16BE(at), own.readUInt16BE(at));
    };
    for (let at = 0; at < own.length; at++) {
      if (theirs[at] === own[at]) continue;
      const port = [at - 1, at].find(isPort);
      if (port === undefined) return false;
      at = port + 1;
    }
    return true;
  }

  #samePort(left: number, right: number): boolean {
    if (left === right) return true;
    return left <= 0xffff && right <= 0xffff && !this.announced.has(left) && !this.announced.has(right);
  }
}

/** FTP writes a port as two numbers behind an address of four. */
function withPorts(text: string): string {
  return text.replace(
    /(\d+,\d+,\d+,\d+),(\d+),(\d+)/g,
    (_, address, high, low) => `${address}:${Number(high) * 256 + Number(low)}`,
  );
}

function payloadOf({ protocol, transport }: Parsed): Buffer {
  return transport.subarray(protocol === UDP ? UDP_HEADER : (transport.readUInt8(12) >> 4) * 4);
}

function directions({ source, target, transport }: Parsed): [forward: string, backward: string] {
  const ends = [source.toString('hex') + transport.readUInt16BE(0), target.toString('hex') + transport.readUInt16BE(2)];
  return [ends.join(), ends.reverse().join()];
}

function sameIpHeader(theirs: Buffer, own: Buffer, a: Parsed, b: Parsed): boolean {
  const headers = [
    theirs.subarray(0, theirs.length - a.transport.length),
    own.subarray(0, own.length - b.transport.length),
  ];
  const changing = a.family === 2 ? [IPV4_LENGTH, IPV4_CHECKSUM] : [IPV6_LENGTH];
  const [left, right] = headers.map((header) => {
    const copy = Buffer.from(header);
    for (const [from, to] of changing) copy.fill(0, from, to);
    return copy;
  });
  // What is right in one is right in the other.
  const right4 = a.family === 10 || wordSum(headers[0]!) === wordSum(headers[1]!);
  return left!.equals(right!) && right4;
}

/** What is wrong about the transport checksum: 0xffff if nothing is. */
export function residue(parsed: Parsed): number {
  if (parsed.protocol === UDP && parsed.transport.readUInt16BE(6) === 0) return -1;
  return wordSum(...pseudoHeader(parsed, parsed.transport.length), parsed.transport);
}
