// Which packets does the router itself send or receive, and what does it need for that? Addresses of its own, chosen from
// a capture or given, and the place of every packet around them: from outside, from the host to a link, from the host to
// itself over loopback.

import { addressBytes, contains, parseAddress, parsePrefix } from '../../src/topology/addresses.ts';
import { addresses, addressText, type Frame, forwardable, type Skipped, type Traffic, whole } from './frames.ts';
import { wordSum } from './packet.ts';
import { type CapturedFrame, ipPacket } from './read-capture.ts';

/** An address of the router's own, in the text form of `addressText`, and the interface it belongs to. */
export interface LocalAddress {
  address: string;
  length: number;
  side: 0 | 1;
}

/** Every interface that IPv6 runs on has a link-local address. */
const LINK_LOCALS: LocalAddress[] = ([0, 1] as const).map((side) => ({
  address: `fe80:0:0:0:ff:feff:fe00:${side + 1}`,
  length: 64,
  side,
}));

/** The text form that addresses of packets are compared in. Throws where there is no address. */
export function plainAddress(text: string): string {
  const address = parseAddress(text);
  if (!address) throw new Error(`${text} is no address`);
  return addressText(Buffer.from(addressBytes(address)));
}

/**
 * One address of each family that makes the capture meet all paths: the one that most packets come from and go to, but
 * one that leaves some packets to be forwarded where there is such a one.
 */
export function busiestAddresses(capture: CapturedFrame[]): LocalAddress[] {
  const traffic = [new Map<string, [number, number]>(), new Map<string, [number, number]>()];
  const totals = [0, 0];
  for (const frame of capture) {
    const found = ipPacket(frame);
    const packet = typeof found === 'string' ? found : forwardable(found);
    if (typeof packet === 'string') continue;
    const [source, target] = addresses(packet);
    if (!isAssignable(source) || !isAssignable(target)) continue;
    const family = source.includes(':') ? 1 : 0;
    totals[family]!++;
    [source, target].forEach((address, end) => {
      const counts = traffic[family]!.get(address) ?? [0, 0];
      counts[end]!++;
      traffic[family]!.set(address, counts);
    });
  }
  return traffic.flatMap((counts, family): LocalAddress[] => {
    const leaves = ([, [from, to]]: [string, [number, number]]): boolean => from + to < totals[family]!;
    const busy = [...counts].sort(
      (a, b) =>
        Number(leaves(b)) - Number(leaves(a)) ||
        Math.min(...b[1]) - Math.min(...a[1]) ||
        b[1][0] + b[1][1] - a[1][0] - a[1][1],
    );
    const [address] = busy[0] ?? [];
    if (address === undefined) return [];
    if (family === 1) return [{ address, length: 64, side: 0 }];
    // An address that would be a network's own or its broadcast address stands alone.
    return [{ address, length: /\.(0|255)$/.test(address) ? 32 : 24, side: 0 }];
  });
}

function isAssignable(address: string): boolean {
  return address.includes(':') ? address !== LOOPBACK6 : !isLoopback(address) && Number.parseInt(address, 10) < 224;
}

const LOOPBACK6 = '0:0:0:0:0:0:0:1';

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === LOOPBACK6;
}

/** What all packets of a capture are to a host with these addresses; what it cannot be given, and why. */
export function framesAround(capture: CapturedFrame[], locals: LocalAddress[]): Traffic {
  const kept: Parameters<typeof placedAround>[0] = [];
  const skipped: Skipped[] = [];
  for (const frame of capture) {
    const found = ipPacket(frame);
    const packet = typeof found === 'string' ? found : whole(found);
    if (typeof packet === 'string') skipped.push({ origin: frame.n, why: packet });
    else kept.push({ origin: frame.n, packet, wait: 0, group: linkGroup(frame) });
  }
  const traffic = placedAround(kept, locals);
  return { ...traffic, skipped: [...skipped, ...traffic.skipped].sort((a, b) => a.origin - b.origin) };
}

const LINKTYPE_ETHERNET = 1;

/** The Ethernet address of the group or of everybody that a frame was captured on its way to. */
function linkGroup({ linkType, bytes }: CapturedFrame): Buffer | undefined {
  return linkType === LINKTYPE_ETHERNET && bytes.readUInt8(0) & 1 ? bytes.subarray(0, 6) : undefined;
}

/** Gives packets their numbers, their sides, and to the host's own what a raw socket makes of them. */
export function placedAround(
  packets: { origin: number; packet: Buffer; wait: number; group?: Buffer | undefined }[],
  locals: LocalAddress[],
): Traffic {
  const own = new Map([...locals, ...LINK_LOCALS].map(({ address, side }) => [address, side]));
  const anycast = new Set(locals.map(anycastOf));
  const isHere = (address: string): boolean => own.has(address) || isLoopback(address) || anycast.has(address);
  // Who shares a network with the router lives on that link.
  const networks = locals.map(({ address, length, side }) => ({ prefix: parsePrefix(`${address}/${length}`)!, side }));
  const neighbour = (address: string): 0 | 1 | undefined => {
    const parsed = parseAddress(address);
    return parsed && networks.find(({ prefix }) => contains(prefix, parsed))?.side;
  };
  const broadcasts = new Set(locals.map(broadcastOf));
  const isElsewhere = (address: string): boolean => !isHere(address) && isRoutable(address) && !broadcasts.has(address);
  const sides = new Map<string, 0 | 1>();
  const frames: Frame[] = [];
  const skipped: Skipped[] = [];
  const changed: Skipped[] = [];
  for (const { origin, packet, wait, group } of packets) {
    const [source, target] = addresses(packet);
    const six = source.includes(':');
    const place = group ?? groupAddress(packet);
    const common = { n: frames.length + 1, origin, wait, ...(place && { group: place }) };
    // A 127.0.0.0/8 address on another interface than loopback was not sent by this host.
    if (own.has(source) || (isLoopback(source) && (six || isHere(target)))) {
      const sent = asSent(packet);
      if (typeof sent === 'string') {
        skipped.push({ origin, why: `not sent by the host: ${sent}` });
        continue;
      }
      if (!sent.equals(packet)) changed.push({ origin, why: 'IPv4 header checksum' });
      const side = isElsewhere(target)
        ? (sides.get(target) ?? neighbour(target) ?? parity(target))
        : (own.get(source) ?? 0);
      if (isElsewhere(target)) sides.set(target, side);
      frames.push({ ...common, side, packet: sent, own: isHere(target) ? 'loopback' : 'link' });
      continue;
    }
    const opposite = isElsewhere(target) ? sides.get(target) : undefined;
    const side = sides.get(source) ?? neighbour(source) ?? (opposite === undefined ? parity(source) : flip(opposite));
    if (isElsewhere(source)) sides.set(source, side);
    if (isElsewhere(target) && !sides.has(target)) sides.set(target, neighbour(target) ?? flip(side));
    frames.push({ ...common, side, packet });
  }
  return { frames, sides, skipped, changed };
}

function flip(side: 0 | 1): 0 | 1 {
  return side === 0 ? 1 : 0;
}

/** Hosts that only talk to the router live on both sides of it. */
function parity(address: string): 0 | 1 {
  const last = /[0-9a-f]$/.exec(address)?.[0] ?? '0';
  return Number.parseInt(last, 16) % 2 === 0 ? 0 : 1;
}

/** May there be a route to the address? Not to groups, to everybody, to nobody and to what is on each link. */
function isRoutable(address: string): boolean {
  if (!address.includes(':')) {
    const first = Number.parseInt(address, 10);
    return first > 0 && first < 224 && first !== 127;
  }
  const first = Number.parseInt(address, 16);
  return first < 0xff00 && (first & 0xffc0) !== 0xfe80 && !/^0:0:0:0:0:0:0:[01]$/.test(address);
}

const EVERYBODY = Buffer.alloc(6, 0xff);

/** The Ethernet address that belongs to a group's address (RFC 1112 section 6.4, RFC 2464 section 7). */
function groupAddress(packet: Buffer): Buffer | undefined {
  if (packet.readUInt8(0) >> 4 === 6) {
    if (packet.readUInt8(24) !== 0xff) return undefined;
    return Buffer.concat([Buffer.from([0x33, 0x33]), packet.subarray(36, 40)]);
  }
  const target = packet.readUInt32BE(16);
  if (target === 0xffffffff) return EVERYBODY;
  if (target >>> 28 !== 14) return undefined;
  return Buffer.from([0x01, 0x00, 0x5e, (target >>> 16) & 0x7f, (target >>> 8) & 0xff, target & 0xff]);
}

/** Is the packet for a group or for all hosts of a network? Nobody answers that with an error. */
export function isForMany({ group, packet }: Frame, locals: LocalAddress[] = []): boolean {
  const [source, target] = addresses(packet);
  const special = target === '127.255.255.255' || (source === '0.0.0.0' && target === '0.0.0.0');
  return special || group !== undefined || locals.some((local) => broadcastOf(local) === target);
}

/** A router answers to the subnet's own address, too (RFC 4291 section 2.6.1). */
function anycastOf({ address, length }: LocalAddress): string | undefined {
  return address.includes(':') && length === 64 ? address.replace(/(:[^:]+){4}$/, ':0:0:0:0') : undefined;
}

function broadcastOf({ address, length }: LocalAddress): string | undefined {
  if (address.includes(':') || length >= 31) return undefined;
  const number = Buffer.from(address.split('.').map(Number)).readUInt32BE();
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE((number | (0xffffffff >>> length)) >>> 0);
  return addressText(bytes);
}

/** Does routing need to be told by which interface such a packet is to leave? */
export function needsInterface(packet: Buffer): boolean {
  const [, target] = addresses(packet);
  if (target.includes(':')) return !isRoutable(target);
  return target === '255.255.255.255' || packet.readUInt8(16) >> 4 === 14;
}

/** What leaves when a raw socket is given this packet (raw_send_hdrinc()), or why it is not. */
function asSent(packet: Buffer): Buffer | string {
  const [source, target] = addresses(packet);
  if (packet.readUInt8(0) >> 4 === 6) {
    if (target === '0:0:0:0:0:0:0:0') return 'no destination';
    // Our side does not look at those, wherever they were captured (docs/fidelity.md).
    if ((source === LOOPBACK6) !== (target === LOOPBACK6)) return '::1 and another address';
    return /^ff.[01]:/.test(target) ? 'interface-local group' : packet;
  }
  if (target === '0.0.0.0') return 'no destination';
  if (packet.readUInt16BE(4) === 0 && packet.readUInt16BE(6) & 0x3fff) return 'fragment with the identification 0';
  const header = (packet.readUInt8(0) & 15) * 4;
  const sent = Buffer.from(packet);
  sent.writeUInt16BE(0, 10);
  sent.writeUInt16BE(~wordSum(sent.subarray(0, header)) & 0xffff, 10);
  return sent;
}

/** Is what the kernel shows (the start of a packet in OUTPUT) this packet? An IPv4 identification 0 it has replaced. */
export function isAsSent(packet: Buffer, shown: Buffer): boolean {
  const start = packet.subarray(0, shown.length);
  if (packet.readUInt8(0) >> 4 === 6 || packet.readUInt16BE(4) !== 0) return start.equals(shown);
  const same = (from: number, to: number): boolean => start.subarray(from, to).equals(shown.subarray(from, to));
  return same(0, 4) && same(6, 10) && same(12, shown.length);
}

/** Shell commands that give the router its addresses, and what interfaces of a living host have besides. */
export function hostScript(locals: LocalAddress[], interfaces: readonly string[]): string[] {
  return [
    'ip link set dev lo up',
    ...[...LINK_LOCALS, ...locals].map(({ address, length, side }) => {
      const extra = address.includes(':') ? 'nodad' : length < 31 ? 'brd +' : '';
      return `ip address add ${address}/${length} dev ${interfaces[side]} ${extra}`;
    }),
  ];
}

/** What a host directory of ctreplay says of interfaces and routes: names and texts of files. */
export type HostFiles = Record<string, string>;

/** Has `ip` print the host files. */
export async function hostFiles(ip: (...words: string[]) => Promise<string>): Promise<HostFiles> {
  return {
    'addr.json': await ip('-j', 'address'),
    'maddr.json': await ip('-j', 'maddress'),
    'route4.json': await ip('-4', '-j', 'route', 'show', 'table', 'all'),
    'route6.json': await ip('-6', '-j', 'route', 'show', 'table', 'all'),
  };
}
