// What does a lookup find for every address, as intervals that the engine can search?
//
// The kernel walks the tables local, main, default; in each the longest prefix wins, then the smallest metric. All of
// that is settled here, once: the engine finds the one interval that an address lies in.
import { AddrType, HopKind } from '../../assembly/vocabulary.ts';
import { GATEWAY4, NETWORKS4, NEXT_HOP, ROUTE4, ROUTE6 } from '../engine/layout.ts';
import { addressBits, type Family, IPV4, IPV6, lastAddress } from './addresses.ts';
import { type Route, type TableName, THROW } from './routes.ts';
import type { Topology } from './topology.ts';

/** Numbers interface names for the run; 0 is "unknown". */
export interface InterfaceNumbers {
  index(name: string): number;
}

/** One interval: from `first` to just before the next one's. */
export interface Interval {
  first: bigint;
  /** UNSPEC: no route. */
  type: AddrType;
  device: string | undefined;
}

/** IPv4 addresses of one of the NETWORKS4. */
const ADDRESSES = 2 ** 32 / NETWORKS4;

const TABLES: readonly TableName[] = ['local', 'main', 'default'];

/** As in assembly/layout/route.ts and World: intervals sorted by start, the first one starting at address 0, without gaps. */
export interface LookupTables {
  /** Route4[]. */
  routes4: Uint8Array;
  /** u32[NETWORKS4 + 1]. */
  networks4: Uint8Array;
  /** Route6[]. */
  routes6: Uint8Array;
}

/** The engine's lookup tables. */
export function compileTopology(topology: Pick<Topology, 'routes'>, names: InterfaceNumbers): LookupTables {
  const number = (device: string | undefined): number => (device === undefined ? 0 : names.index(device));
  const intervals4 = flatten(topology.routes, IPV4);
  const routes4 = new Uint8Array(intervals4.length * ROUTE4.size);
  const view4 = new DataView(routes4.buffer);
  intervals4.forEach((interval, index) => {
    const at = index * ROUTE4.size;
    view4.setUint32(at + ROUTE4.start, Number(interval.first), true);
    view4.setUint8(at + ROUTE4.type, interval.type);
    view4.setUint16(at + ROUTE4.oif, number(interval.device), true);
  });
  const networks4 = new Uint32Array(NETWORKS4 + 1).fill(intervals4.length - 1);
  intervals4.forEach(({ first }, index) => {
    const from = Math.ceil(Number(first) / ADDRESSES);
    const next = intervals4[index + 1]?.first;
    if (next !== undefined) networks4.fill(index, from, Math.ceil(Number(next) / ADDRESSES));
  });
  const intervals6 = flatten(topology.routes, IPV6);
  const routes6 = new Uint8Array(intervals6.length * ROUTE6.size);
  const view6 = new DataView(routes6.buffer);
  intervals6.forEach((interval, index) => {
    const at = index * ROUTE6.size;
    view6.setBigUint64(at + ROUTE6.start_hi, interval.first >> 64n, true);
    view6.setBigUint64(at + ROUTE6.start_lo, interval.first & 0xffffffffffffffffn, true);
    view6.setUint8(at + ROUTE6.type, interval.type);
    view6.setUint16(at + ROUTE6.oif, number(interval.device), true);
  });
  return { routes4, networks4: new Uint8Array(networks4.buffer), routes6 };
}

/**
 * Next hops of all IPv4 destinations as Gateway4[], sorted by start; destinations before the first one have none.
 */
export function compileGateways(topology: Pick<Topology, 'routes'>): Uint8Array {
  const hops: { first: bigint; gateway: bigint }[] = [];
  for (const { first, route } of lookup(topology.routes, IPV4)) {
    const gateway = route?.gateway ?? 0n;
    if (gateway !== (hops.at(-1)?.gateway ?? 0n)) hops.push({ first, gateway });
  }
  const bytes = new Uint8Array(hops.length * GATEWAY4.size);
  const view = new DataView(bytes.buffer);
  hops.forEach(({ first, gateway }, index) => {
    view.setUint32(index * GATEWAY4.size + GATEWAY4.start, Number(first), true);
    view.setUint32(index * GATEWAY4.size + GATEWAY4.gateway, Number(gateway), false);
  });
  return bytes;
}

/** How all destinations of a family are reached, as NextHop[] sorted by start, the first one starting at address 0. */
export function compileNextHops(topology: Pick<Topology, 'routes'>, family: Family): Uint8Array {
  const numbers = new Map<string, number>();
  const hops: { first: bigint; hop: number }[] = [];
  for (const { first, route } of lookup(topology.routes, family)) {
    const hop = hopNumber(route, numbers);
    if (hop !== hops.at(-1)?.hop) hops.push({ first, hop });
  }
  const bytes = new Uint8Array(hops.length * NEXT_HOP.size);
  const view = new DataView(bytes.buffer);
  hops.forEach(({ first, hop }, index) => {
    const at = index * NEXT_HOP.size;
    view.setBigUint64(at + NEXT_HOP.start_hi, first >> 64n, true);
    view.setBigUint64(at + NEXT_HOP.start_lo, first & 0xffffffffffffffffn, true);
    view.setUint32(at + NEXT_HOP.hop, hop, true);
  });
  return bytes;
}

/** HopKind, or a number for this gateway on this interface. */
function hopNumber(route: Route | undefined, numbers: Map<string, number>): number {
  if (route === undefined || route.type === THROW || !leads(route.type)) return HopKind.NONE;
  if (route.gateway === undefined) return HopKind.NEIGHBOUR;
  const key = `${route.gateway} ${route.device}`;
  const number = numbers.get(key) ?? HopKind.FIRST + numbers.size;
  numbers.set(key, number);
  return number;
}

/** The route that a lookup finds, for every address. */
function lookup(routes: readonly Route[], family: Family): Piece[] {
  let layers: Piece[] = [{ first: 0n, route: undefined }];
  for (const table of TABLES) {
    const lower = cover(routes.filter((route) => route.prefix.family === family && route.table === table));
    layers = overlay(layers, lower);
  }
  return layers;
}

/** All addresses of a family as the fewest intervals that say what a lookup finds; the first starts at 0. */
export function flatten(routes: readonly Route[], family: Family): Interval[] {
  const intervals: Interval[] = [];
  for (const { first, route } of lookup(routes, family)) {
    const nowhere = route === undefined || route.type === THROW;
    const type = nowhere ? AddrType.UNSPEC : (route.type as AddrType);
    const device = nowhere || !leads(type) ? undefined : route.device;
    const before = intervals.at(-1);
    if (before === undefined || before.type !== type || before.device !== device)
      intervals.push({ first, type, device });
  }
  return intervals;
}

/** Is the interface of such a route of interest? IPv6 names loopback for those that lead nowhere. */
function leads(type: AddrType): boolean {
  return type !== AddrType.UNSPEC && type < AddrType.BLACKHOLE;
}

type Piece = { first: bigint; route: Route | undefined };

/**
 * Longest prefix match of one table as pieces in order. Prefixes nest or are apart, so a stack of those that are open
 * at an address has the longest on top.
 */
function cover(routes: Route[]): Piece[] {
  const sorted = routes
    .map((route, order) => ({ route, order }))
    .sort(
      (a, b) =>
        compare(a.route.prefix.first, b.route.prefix.first) ||
        a.route.prefix.length - b.route.prefix.length ||
        b.route.metric - a.route.metric ||
        b.order - a.order,
    );
  const pieces: Piece[] = [{ first: 0n, route: undefined }];
  const open: Route[] = [];
  const close = (until: bigint | undefined): void => {
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const end = lastAddress(top.prefix);
      if (until !== undefined && end >= until) return;
      open.pop();
      if (end + 1n < 1n << BigInt(addressBits(top.prefix.family))) put(pieces, end + 1n, open.at(-1));
    }
  };
  for (const { route } of sorted) {
    close(route.prefix.first);
    open.push(route);
    put(pieces, route.prefix.first, route);
  }
  close(undefined);
  return pieces;
}

/** From `first` on it is `route`: replaces a piece that would be empty. */
function put(pieces: Piece[], first: bigint, route: Route | undefined): void {
  if (pieces.at(-1)?.first === first) pieces.pop();
  pieces.push({ first, route });
}

/** Fills the holes of `upper` (no route, or one that throws to the next table) with `lower`. */
function overlay(upper: Piece[], lower: Piece[]): Piece[] {
  const result: Piece[] = [];
  let below = 0;
  upper.forEach((piece, index) => {
    const hole = piece.route === undefined || piece.route.type === THROW;
    const end = upper[index + 1]?.first;
    if (!hole) {
      result.push(piece);
      return;
    }
    while ((lower[below + 1]?.first ?? piece.first + 1n) <= piece.first) below++;
    result.push({ first: piece.first, route: lower[below]?.route });
    for (
      let next = lower[below + 1];
      next !== undefined && (end === undefined || next.first < end);
      next = lower[below + 1]
    ) {
      result.push(next);
      below++;
    }
  });
  return result;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
