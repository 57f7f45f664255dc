// How do tests call the engine's routing functions by themselves?
//
// assembly/route.ts is compiled with a few lines of exports around it, so that these tests need neither lanes nor rules.
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { PACKET, WORLD } from '../../src/engine/layout.ts';
import { type Address, addressBytes } from '../../src/topology/addresses.ts';
import type { LookupTables } from '../../src/topology/compile.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const HARNESS = `
import { Packet, World } from "./layout";
import { route_decide, route_lookup, route_path, route_types } from "./route";
export function lookup(w: usize, l3num: u32, address: usize): u32 {
  return route_lookup(changetype<World>(w), l3num, address);
}
export function path(p: usize, w: usize): void { route_path(changetype<Packet>(p), changetype<World>(w)); }
export function decide(p: usize, w: usize): u32 { return route_decide(changetype<Packet>(p), changetype<World>(w)); }
export function types(w: usize, l3num: u32, address: usize, iface: u32): u32 {
  return route_types(changetype<World>(w), l3num, address, iface);
}
`;

interface RouteExports {
  lookup(world: number, l3num: number, address: number): number;
  path(packet: number, world: number): void;
  decide(packet: number, world: number): number;
  types(world: number, l3num: number, address: number, iface: number): number;
}

/** What a test says about a packet; the rest is an ordinary UDP packet. */
export interface PacketFacts {
  source: Address;
  target: Address;
  iif?: number;
  ttl?: number;
  protonum?: number;
  pkttype?: number;
}

const PACKET_AT = 65536;
const WORLD_AT = PACKET_AT + 1024;
const ADDRESS_AT = PACKET_AT + 2048;
const SYSCTLS_AT = PACKET_AT + 4096;
const ROUTES_AT = PACKET_AT + 8192;

/** The routing part of the engine over a memory of its own, with one world and one packet in it. */
export class RouteEngine {
  private readonly exports: RouteExports;
  private readonly view: DataView;
  private readonly bytes: Uint8Array;

  private constructor(exports: RouteExports, memory: WebAssembly.Memory) {
    this.exports = exports;
    this.bytes = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
  }

  static async open(target: 'debug' | 'release'): Promise<RouteEngine> {
    const asc = (await import('assemblyscript/asc')).default;
    let binary: Uint8Array | undefined;
    const base = process.cwd();
    process.chdir(ROOT);
    try {
      const { error, stderr } = await asc.main(
        ['assembly/route-harness.ts', '--config', 'asconfig.json', '--target', target, '--outFile', 'route.wasm'],
        {
          readFile: async (name: string) => {
            if (name.endsWith('route-harness.ts')) return HARNESS;
            return readFile(name, 'utf8').catch(() => null);
          },
          writeFile: (name: string, data: Uint8Array | string) => {
            if (name.endsWith('.wasm') && typeof data !== 'string') binary = data;
          },
        },
      );
      if (error || binary === undefined) throw new Error(stderr.toString());
    } finally {
      process.chdir(base);
    }
    const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true });
    const abort = (): never => {
      throw new Error('assertion failed in the engine');
    };
    const module = await WebAssembly.compile(Uint8Array.from(binary));
    const instance = await WebAssembly.instantiate(module, { env: { memory, abort } });
    return new RouteEngine(instance.exports as unknown as RouteExports, memory);
  }

  /** Loads a world: the compiled routes, or no topology if they are undefined. */
  load(sysctls: Uint32Array, routes: LookupTables | undefined): void {
    this.bytes.set(new Uint8Array(sysctls.buffer, sysctls.byteOffset, sysctls.byteLength), SYSCTLS_AT);
    const world = (offset: number, value: number): void => this.view.setUint32(WORLD_AT + offset, value, true);
    world(WORLD.sysctls, SYSCTLS_AT);
    world(WORLD.topology, routes === undefined ? 0 : 1);
    const routes4 = routes?.routes4 ?? new Uint8Array();
    const routes6 = routes?.routes6 ?? new Uint8Array();
    const networks4At = ROUTES_AT + routes4.length;
    const networks4 = routes?.networks4 ?? new Uint8Array();
    const routes6At = networks4At + networks4.length + (-(networks4At + networks4.length) & 7);
    this.bytes.set(routes4, ROUTES_AT);
    this.bytes.set(networks4, networks4At);
    this.bytes.set(routes6, routes6At);
    world(WORLD.routes4, ROUTES_AT);
    world(WORLD.networks4, routes === undefined ? 0 : networks4At);
    world(WORLD.routes6, routes6At);
    world(WORLD.routes6_count, routes6.length / 24);
  }

  lookup(address: Address): { type: number; oif: number } {
    const found = this.exports.lookup(WORLD_AT, address.family, this.address(address));
    return { type: found >>> 16, oif: found & 0xffff };
  }

  types(address: Address, iface = 0): number {
    return this.exports.types(WORLD_AT, address.family, this.address(address), iface);
  }

  /** Both decisions about one packet: the path predicted before the first hook, and what came out. */
  route(facts: PacketFacts): {
    predicted: number;
    path: number;
    iif: number;
    oif: number;
    before: number;
    reason: number;
  } {
    this.bytes.fill(0, PACKET_AT, PACKET_AT + PACKET.size);
    this.bytes.set(addressBytes(facts.source), PACKET_AT + PACKET.src_lo);
    this.bytes.set(addressBytes(facts.target), PACKET_AT + PACKET.dst_lo);
    this.view.setUint8(PACKET_AT + PACKET.l3num, facts.source.family);
    this.view.setUint8(PACKET_AT + PACKET.protonum, facts.protonum ?? 17);
    this.view.setUint8(PACKET_AT + PACKET.ttl, facts.ttl ?? 64);
    this.view.setUint8(PACKET_AT + PACKET.pkttype, facts.pkttype ?? 0);
    this.view.setUint16(PACKET_AT + PACKET.iif, facts.iif ?? 0, true);
    this.exports.path(PACKET_AT, WORLD_AT);
    const predicted = this.view.getUint8(PACKET_AT + PACKET.path);
    const before = this.view.getUint16(PACKET_AT + PACKET.oif, true);
    const reason = this.exports.decide(PACKET_AT, WORLD_AT);
    return {
      predicted,
      before,
      reason,
      path: this.view.getUint8(PACKET_AT + PACKET.path),
      iif: this.view.getUint16(PACKET_AT + PACKET.iif, true),
      oif: this.view.getUint16(PACKET_AT + PACKET.oif, true),
    };
  }

  private address(address: Address): number {
    this.bytes.fill(0, ADDRESS_AT, ADDRESS_AT + 16);
    this.bytes.set(addressBytes(address), ADDRESS_AT);
    return ADDRESS_AT;
  }
}

/** The interface numbers of a test: each name gets the next one. */
export class Names {
  readonly known: string[] = [];

  index(name: string): number {
    const at = this.known.indexOf(name);
    return at >= 0 ? at + 1 : this.known.push(name);
  }
}

/** A file of the material that tests share with other projects, undefined (and said so) where it is not there. */
export function sharedFile(path: string): string | undefined {
  const file = fileURLToPath(new URL(`../../../shared/${path}`, import.meta.url));
  try {
    return readFileSync(file, 'utf8');
  } catch {
    console.warn(`skipped: ${file} is not there`);
    return undefined;
  }
}
