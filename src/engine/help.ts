// What helpers need in linear memory: room for expectations and for what entries have, and what they ask of the host.

import { Helper, Sysctl } from '../../assembly/vocabulary.ts';
import type { InterfaceNames } from '../capture/interfaces.ts';
import { HostError } from '../errors.ts';
import type { Host } from '../host.ts';
import { helperNumber } from '../ruleset/helpers.ts';
import type { CompiledRuleset } from '../ruleset/index.ts';
import { IPV4, IPV6 } from '../topology/addresses.ts';
import { compileNextHops } from '../topology/compile.ts';
import {
  BROADCAST,
  EXPECTATION,
  EXPECTATION_BUCKETS,
  FIND,
  FINDS_MAX,
  H323,
  HELP,
  HELPER_SCRATCH,
  HELPING,
  NEXT_HOP,
  REWRITE_BYTES,
} from './layout.ts';
import type { Allocator } from './memory.ts';

/** Who may get a helper. */
interface Helped {
  host: Host;
  rules: CompiledRuleset;
}

/** Bytes of an address of a Help. */
const SLOT_OF_HELP = 4;
/** Bytes per flow of a table with helpers. */
export const HELP_BYTES = SLOT_OF_HELP + HELP.size;

/** Can an entry have a helper: from a rule, from the kernel itself, or from the start? */
export function usesHelpers({ host: { conntrack, sysctls }, rules }: Helped): boolean {
  const given = sysctls[Sysctl.HELPER] === 1 || conntrack.some(({ helper }) => helper !== undefined);
  return given || rules.helping.length > 0 || rules.templates.some(({ helper }) => helper !== undefined);
}

/**
 * A helper rewrites what NAT changes, and without the rules the engine has nothing to do it with.
 *
 * @throws HostError naming the first entry of the host's table that would need them
 */
export function requireNatTable({ conntrack }: Host): void {
  const found = conntrack.find(({ translated, helper }) => translated && helper !== undefined);
  if (found === undefined) return;
  const place = `line ${found.line} of the host's conntrack table`;
  throw new HostError('host-missing', `${place}: an entry with a helper that NAT changed needs the host's nat table`);
}

/**
 * Most expectations that each of several lanes has room for. Where more are allowed, one lane takes over to make them, as if
 * that were the limit.
 */
export const LANE_EXPECTATIONS_MAX = 16_384;

/** Writes a lane's Helping record: room for `max` expectations, and with NAT room to rewrite a packet. */
export function buildHelping(
  memory: WebAssembly.Memory,
  allocator: Allocator,
  helped: Helped,
  names: InterfaceNames,
  { translates, max }: { translates: boolean; max: number },
): number {
  const view = new DataView(memory.buffer);
  const { host } = helped;
  const shared = HELPING.size + 2 * EXPECTATION.size + HELPER_SCRATCH;
  const at = allocator.take(shared + H323.size + FINDS_MAX * FIND.size);
  if (forwardsCalls(helped)) writeNextHops(memory, allocator, host, at + shared);
  const expectations = allocator.take(max * EXPECTATION.size);
  const set = (field: number, value: number) => view.setUint32(at + field, value, true);
  set(HELPING.rewritten, translates ? allocator.take(REWRITE_BYTES) : 0);
  set(HELPING.max, max);
  set(HELPING.expectations, expectations);
  set(HELPING.expectations_top, expectations);
  set(HELPING.expectations_end, expectations + max * EXPECTATION.size);
  set(HELPING.buckets, allocator.take(EXPECTATION_BUCKETS * 4));
  set(HELPING.broadcasts, writeBroadcasts(view, allocator, host, names));
  return at;
}

/** Gives a Helping record what grows with the connection table: what entries have that a helper looks after. */
export function buildHelps(view: DataView, helping: number, allocator: Allocator, flows: number): void {
  const helps = allocator.take(flows * HELP.size);
  view.setUint32(helping + HELPING.slots, allocator.take(flows * SLOT_OF_HELP), true);
  view.setUint32(helping + HELPING.helps_top, helps, true);
  view.setUint32(helping + HELPING.helps_end, helps + flows * HELP.size, true);
}

/** May there be a connection whose helper asks for routes: one of Q.931, or one of RAS that expects such? */
function forwardsCalls({ host, rules }: Helped): boolean {
  const asks = (helper: Helper | undefined): boolean => helper === Helper.RAS || helper === Helper.Q931;
  return (
    rules.templates.some(({ helper = '' }) => asks(helperNumber(helper))) ||
    rules.helping.some(({ helper }) => asks(helperNumber(helper))) ||
    host.conntrack.some(({ helper }) => asks(helper))
  );
}

/** The ways to others, for helpers of H.323, where routes are known. */
function writeNextHops(memory: WebAssembly.Memory, allocator: Allocator, { topology }: Host, at: number): void {
  if (topology === undefined) return;
  const view = new DataView(memory.buffer);
  for (const family of [IPV4, IPV6] as const) {
    const hops = compileNextHops(topology, family);
    const address = allocator.take(hops.length);
    new Uint8Array(memory.buffer).set(hops, address);
    view.setUint32(at + (family === IPV4 ? H323.hops4 : H323.hops6), address, true);
    const count = family === IPV4 ? H323.hops4_count : H323.hops6_count;
    view.setUint32(at + count, hops.length / NEXT_HOP.size, true);
  }
}

/** Whom a broadcast of the host's reaches. */
function writeBroadcasts(view: DataView, allocator: Allocator, { topology }: Host, names: InterfaceNames): number {
  const known = (topology?.addresses ?? []).filter(
    ({ broadcast, secondary, length }) => broadcast !== undefined && !secondary && length > 0,
  );
  const start = allocator.take((known.length + 1) * BROADCAST.size);
  known.forEach(({ broadcast, length, device }, index) => {
    const at = start + index * BROADCAST.size;
    view.setUint32(at + BROADCAST.address, Number(broadcast), false);
    view.setUint32(at + BROADCAST.mask, 0xffffffff << (32 - length), false);
    view.setUint16(at + BROADCAST.iface, device === undefined ? 0 : names.index(device), true);
  });
  return start;
}
