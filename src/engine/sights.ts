// What is known of the host's links before the first packet, in linear memory: by what it is told whether a captured packet
// arrived or left (assembly/sight.ts).

import type { InterfaceNames } from '../capture/interfaces.ts';
import type { Host } from '../host.ts';
import { INTERFACES_MAX, RECENT, RECENT_ENTRY, RECENT_MAX, SIGHT_LINK, SIGHTS } from './layout.ts';
import type { Allocator } from './memory.ts';

/** The kernel's numbers of interfaces are small; larger ones are not looked up. */
const INDICES_MAX = 1 << 16;
/** As in assembly/sight.ts. */
const MIX = 0x9e3779b97f4a7c15n;

/** Memory for RECENT_MAX packets; costs nothing until it is used. Returns its address. */
export function layOutRecent(view: DataView, allocator: Pick<Allocator, 'take'>): number {
  const at = allocator.take(RECENT.size);
  view.setUint32(at + RECENT.buckets, allocator.take(RECENT_MAX * 4), true);
  view.setUint32(at + RECENT.entries, allocator.take(RECENT_MAX * RECENT_ENTRY.size), true);
  return at;
}

/**
 * Lays out what is shared by all lanes. Two hosts that are compared are the same one before and after a change: their links
 * are put together. `world`: a World record of the first host, complete but for its table.
 */
export function layOutSights(
  memory: WebAssembly.Memory,
  allocator: Pick<Allocator, 'take'>,
  hosts: readonly Host[],
  world: number,
  names: InterfaceNames,
): number {
  const view = new DataView(memory.buffer);
  const at = allocator.take(SIGHTS.size);
  const set = (field: number, value: number) => view.setUint32(at + field, value, true);
  set(SIGHTS.arrivals, layOutRecent(view, allocator));
  set(SIGHTS.first_arrivals, allocator.take(INTERFACES_MAX * 8));
  if (hosts[0]!.topology) {
    set(SIGHTS.world, world);
    set(SIGHTS.loopback, names.index('lo'));
  }
  const links = hosts.flatMap((host) => host.links);
  const ifaces = interfacesOf(links, names);
  placeIndices(view, allocator, at, links, ifaces);
  placeAddresses(view, allocator, at, links, ifaces);
  return at;
}

/** Numbers of the interfaces by name, as long as half of all numbers are left to captures and routes. */
function interfacesOf(links: Host['links'], names: InterfaceNames): ReadonlyMap<string, number> {
  const ifaces = new Map<string, number>();
  for (const { name } of links) {
    if (names.count < INTERFACES_MAX / 2) ifaces.set(name, names.index(name));
  }
  return ifaces;
}

function placeIndices(
  view: DataView,
  allocator: Pick<Allocator, 'take'>,
  sights: number,
  links: Host['links'],
  ifaces: ReadonlyMap<string, number>,
): void {
  const known = links.filter(({ index }) => index !== undefined && index >= 0 && index < INDICES_MAX);
  const count = known.reduce((most, { index }) => Math.max(most, index! + 1), 0);
  const indices = allocator.take(count * 2);
  for (const { index, name } of known) view.setUint16(indices + index! * 2, ifaces.get(name) ?? 0, true);
  view.setUint32(sights + SIGHTS.indices, indices, true);
  view.setUint32(sights + SIGHTS.indices_count, count, true);
}

/** The table of link-layer addresses, at most half full. Interfaces on top of one another share an address. */
function placeAddresses(
  view: DataView,
  allocator: Pick<Allocator, 'take'>,
  sights: number,
  links: Host['links'],
  ifaces: ReadonlyMap<string, number>,
): void {
  const byAddress = new Map<bigint, number>();
  for (const { mac, name } of links) {
    if (mac === undefined) continue;
    const address = reversed(mac);
    const iface = ifaces.get(name) ?? 0;
    byAddress.set(address, byAddress.has(address) && byAddress.get(address) !== iface ? 0 : iface);
  }
  if (byAddress.size === 0) return;
  const size = 2 ** Math.ceil(Math.log2(byAddress.size * 2));
  const table = allocator.take(size * SIGHT_LINK.size);
  for (const [address, iface] of byAddress) {
    let place = Number((BigInt.asUintN(64, address * MIX) >> 40n) & BigInt(size - 1));
    while (view.getBigUint64(table + place * SIGHT_LINK.size + SIGHT_LINK.address, true) !== 0n) {
      place = (place + 1) % size;
    }
    view.setBigUint64(table + place * SIGHT_LINK.size + SIGHT_LINK.address, address, true);
    view.setUint32(table + place * SIGHT_LINK.size + SIGHT_LINK.iface, iface, true);
  }
  view.setUint32(sights + SIGHTS.links, table, true);
  view.setUint32(sights + SIGHTS.links_mask, size - 1, true);
}

/** Six bytes as a little-endian load sees them in a frame. */
function reversed(mac: bigint): bigint {
  let result = 0n;
  for (let rest = mac, i = 0; i < 6; i++, rest >>= 8n) result = (result << 8n) | (rest & 0xffn);
  return result;
}
