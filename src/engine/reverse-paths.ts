// What `-m rpfilter` needs in linear memory: by which interfaces packets from every address may come.
import type { InterfaceNames } from '../capture/interfaces.ts';
import { HostError } from '../errors.ts';
import type { CompiledRuleset } from '../ruleset/index.ts';
import { type Family, IPV4, IPV6 } from '../topology/addresses.ts';
import { type ReversePath, reversePaths } from '../topology/reverse-paths.ts';
import type { Topology } from '../topology/topology.ts';
import { INTERFACES_MAX, REVERSE_PATH, REVERSE_PATHS } from './layout.ts';
import type { Allocator } from './memory.ts';

/**
 * Writes ReversePaths and returns its address; 0 if no rule asks.
 * @throws HostError naming the first rule that asks, if the host's routes are not known
 */
export function buildReversePaths(
  memory: WebAssembly.Memory,
  allocator: Allocator,
  rules: CompiledRuleset,
  topology: Topology | undefined,
  names: InterfaceNames,
): number {
  if (rules.reversing.length === 0) return 0;
  const view = new DataView(memory.buffer);
  const sets = new Map<string, { number: number; devices: ReversePath['devices'] }>();
  const numberOf = (devices: ReversePath['devices']): number => {
    const set = sets.get(String(devices)) ?? { number: sets.size, devices };
    sets.set(String(devices), set);
    return set.number;
  };
  const at = allocator.take(REVERSE_PATHS.size);
  const write = (family: Family, sources: number, count: number): void => {
    const asking = rules.reversing.find((rule) => rule.family === family);
    if (asking === undefined) return;
    const paths = topology && reversePaths(topology, family);
    if (paths === undefined) {
      throw new HostError(
        'host-missing',
        `${asking.file}:${asking.line}: -m rpfilter asks for the routes of the host, and none are known: ` +
          'give route.json, or --iface with all networks',
      );
    }
    const first = allocator.take(paths.length * REVERSE_PATH.size);
    paths.forEach((path, index) => {
      const place = first + index * REVERSE_PATH.size;
      view.setBigUint64(place + REVERSE_PATH.start_hi, path.first >> 64n, true);
      view.setBigUint64(place + REVERSE_PATH.start_lo, path.first & 0xffff_ffff_ffff_ffffn, true);
      view.setUint8(place + REVERSE_PATH.type, path.type);
      view.setUint32(place + REVERSE_PATH.set, numberOf(path.devices), true);
    });
    view.setUint32(at + sources, first, true);
    view.setUint32(at + count, paths.length, true);
  };
  write(IPV4, REVERSE_PATHS.sources4, REVERSE_PATHS.sources4_count);
  write(IPV6, REVERSE_PATHS.sources6, REVERSE_PATHS.sources6_count);
  const start = allocator.take(sets.size * INTERFACES_MAX);
  const bytes = new Uint8Array(memory.buffer);
  for (const { number, devices } of sets.values()) {
    const set = start + number * INTERFACES_MAX;
    if (devices === 'any') bytes.fill(1, set, set + INTERFACES_MAX);
    else for (const device of devices) bytes[set + names.index(device)] = 1;
  }
  view.setUint32(at + REVERSE_PATHS.sets, start, true);
  return at;
}
