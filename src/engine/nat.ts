// What NAT needs in linear memory: the ranges of its rules, the host's addresses, and where its state lies.

import { AddressFlag, NatKind } from '../../assembly/vocabulary.ts';
import type { InterfaceNames } from '../capture/interfaces.ts';
import { HostError } from '../errors.ts';
import type { CompiledRuleset } from '../ruleset/index.ts';
import { addressBytes, type Family, IPV4, IPV6 } from '../topology/addresses.ts';
import { compileGateways } from '../topology/compile.ts';
import type { OwnAddress, Topology } from '../topology/topology.ts';
import { GATEWAY4, HOST_ADDRESS, NAT, NAT_RANGE, NAT_SCRATCH } from './layout.ts';
import type { Allocator } from './memory.ts';

/** What all lanes share of NAT, once it is in memory. */
export interface NatImage {
  /** Writes a lane's Nat record. */
  lane(allocator: Allocator, seed: bigint): number;
}

/**
 * Writes what the rules' NAT needs; undefined if no family has a nat table.
 * @throws HostError naming the first rule that needs the host's addresses, if none are known
 */
export function buildNat(
  memory: WebAssembly.Memory,
  allocator: Allocator,
  rules: CompiledRuleset,
  topology: Topology | undefined,
  names: InterfaceNames,
): NatImage | undefined {
  if (!rules.chains.some(({ type }) => type === 'nat')) return undefined;
  const view = new DataView(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  refuseWithoutAddresses(rules, topology);
  const ranges = allocator.take((rules.nats.length + 1) * NAT_RANGE.size);
  rules.nats.forEach(({ binding: { kind, flags, addresses, ports } }, index) => {
    const at = ranges + index * NAT_RANGE.size;
    if (addresses) bytes.set(addresses.low, at + NAT_RANGE.min_lo);
    if (addresses) bytes.set(addresses.high, at + NAT_RANGE.max_lo);
    view.setUint16(at + NAT_RANGE.min_proto, ports?.low ?? 0, true);
    view.setUint16(at + NAT_RANGE.max_proto, ports?.high ?? 0, true);
    view.setUint16(at + NAT_RANGE.base_proto, ports?.base ?? 0, true);
    view.setUint8(at + NAT_RANGE.kind, kind);
    view.setUint8(at + NAT_RANGE.flags, flags);
  });
  const own = (family: Family) => (topology?.addresses ?? []).filter((address) => address.family === family);
  const [own4, own6] = [own(IPV4), own(IPV6)];
  const write = (list: OwnAddress[]): number => {
    const start = allocator.take((list.length + 1) * HOST_ADDRESS.size);
    list.forEach((address, index) => {
      const at = start + index * HOST_ADDRESS.size;
      bytes.set(addressBytes(address), at + HOST_ADDRESS.lo);
      if (address.family === IPV4) view.setUint32(at + HOST_ADDRESS.peer, Number(address.peer), false);
      view.setUint16(at + HOST_ADDRESS.iface, address.device === undefined ? 0 : names.index(address.device), true);
      view.setUint8(at + HOST_ADDRESS.length, address.length);
      view.setUint8(at + HOST_ADDRESS.scope, address.scope);
      view.setUint8(at + HOST_ADDRESS.flags, flagsOf(address));
    });
    return start;
  };
  const addresses4 = write(own4);
  const addresses6 = write(own6);
  const hops = topology ? compileGateways(topology) : new Uint8Array(0);
  const gateways4 = allocator.take(hops.length);
  bytes.set(hops, gateways4);
  return {
    lane(laneAllocator, seed) {
      const at = laneAllocator.take(NAT.size + NAT_SCRATCH);
      const set = (field: number, value: number) => view.setUint32(at + field, value, true);
      set(NAT.ranges, ranges);
      set(NAT.addresses4, addresses4);
      set(NAT.addresses4_count, own4.length);
      set(NAT.addresses6, addresses6);
      set(NAT.addresses6_count, own6.length);
      set(NAT.gateways4, gateways4);
      set(NAT.gateways4_count, hops.length / GATEWAY4.size);
      view.setBigUint64(at + NAT.seed, BigInt.asUintN(64, seed), true);
      return at;
    },
  };
}

function flagsOf(address: OwnAddress): number {
  return (
    (address.secondary ? AddressFlag.SECONDARY : 0) |
    (address.deprecated ? AddressFlag.DEPRECATED : 0) |
    (address.temporary ? AddressFlag.TEMPORARY : 0)
  );
}

/** These take an address of the host's own: without any, every packet would be dropped for a reason that is not the host's. */
function refuseWithoutAddresses(rules: CompiledRuleset, topology: Topology | undefined): void {
  if (topology && topology.addresses.length > 0) return;
  const needy = rules.nats.find(({ binding: { kind } }) => kind === NatKind.MASQUERADE || kind === NatKind.REDIRECT);
  const rule = needy && rules.rules[needy.rule];
  if (!rule) return;
  const place = `${rule.file}:${rule.line}`;
  throw new HostError(
    'host-missing',
    `${place}: ${rule.target} takes an address of the host, and none is known: give addr.json, or --local and --iface`,
  );
}

/** Gives a lane's Nat the places that grow with its connection table. */
export function buildNatTable(view: DataView, nat: number, allocator: Allocator, flows: number, buckets: number): void {
  view.setUint32(nat + NAT.sources, allocator.take(buckets * 4), true);
  view.setUint32(nat + NAT.sources_mask, buckets - 1, true);
  view.setUint32(nat + NAT.sources_nodes, allocator.take(flows * SOURCE_NODE), true);
}

/** Bytes per flow of a table with NAT, at most. */
export const SOURCE_NODE = 8;
export const SOURCE_BUCKET = 4;
