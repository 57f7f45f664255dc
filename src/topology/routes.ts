// Which routes does a host have (`ip -j route`), and does it look them up the plain way (`ip -j rule`)?
import { AddrType } from '../../assembly/vocabulary.ts';
import { type Family, IPV4, IPV6, type Prefix, parsePrefix } from './addresses.ts';
import { type JsonFile, type JsonObject, numberOf, objectsOf, textOf, textsOf } from './json.ts';

/** Tables that the default rules look up, in this order. */
export type TableName = 'local' | 'main' | 'default';

/** The lookup goes on in the next table (RTN_THROW). */
export const THROW = -1;

/** One route of one table, as far as a lookup by destination depends on it. */
export interface Route {
  prefix: Prefix;
  table: TableName;
  /** Kind of the route (RTN_*), or THROW. */
  type: AddrType | typeof THROW;
  /** Interface; undefined if it has none or if it is not known. */
  device: string | undefined;
  /** Interfaces of further next hops. */
  others?: string[];
  /** Next hop, if it is not the destination itself; none if it is of the other family. */
  gateway?: bigint;
  /** Of several routes to one prefix the smallest wins, then the first. */
  metric: number;
}

export interface ParsedRoutes {
  routes: Route[];
  /** Preferred source addresses, which are the host's own (fib_valid_prefsrc()). */
  ownAddresses: Prefix[];
  notes: string[];
}

const TYPES: Record<string, AddrType | typeof THROW> = {
  unicast: AddrType.UNICAST,
  local: AddrType.LOCAL,
  broadcast: AddrType.BROADCAST,
  anycast: AddrType.ANYCAST,
  multicast: AddrType.MULTICAST,
  blackhole: AddrType.BLACKHOLE,
  unreachable: AddrType.UNREACHABLE,
  prohibit: AddrType.PROHIBIT,
  throw: THROW,
};

/** Where the routes of a table that the default rules never look up are named in a note. */
const TABLES: Record<string, TableName> = {
  local: 'local',
  main: 'main',
  default: 'default',
  253: 'default',
  254: 'main',
  255: 'local',
};

/** Router preference (RFC 4191) decides among IPv6 routes of one metric: added to the metric as a fraction. */
const PREFERENCE: Record<string, number> = { high: -0.25, medium: 0, low: 0.25 };

/**
 * Reads `ip -j route`, `ip -j -6 route` or `ip -j route show table all`, IPv4 and IPv6 mixed as they come.
 * `family` is what a "default" without any address stands for.
 * @throws HostError with the place, `host-unsupported` for routes that depend on more than the destination
 */
export function parseRoutes(json: JsonFile, family: Family | undefined): ParsedRoutes {
  const result: ParsedRoutes = { routes: [], ownAddresses: [], notes: [] };
  const skipped = new Set<string>();
  for (const object of json.objects()) {
    const text = textOf(object, 'dst');
    if (text === undefined)
      json.refuse('host-value', 'expected a route with "dst", as `ip -j route` prints it', object);
    const tableName = String(object.table ?? 'main');
    const table = TABLES[tableName];
    if (table === undefined) {
      skipped.add(tableName);
      continue;
    }
    refuseUnsupported(json, object, text);
    const prefix = text === 'default' ? defaultPrefix(object, family) : parsePrefix(text);
    if (prefix === undefined)
      json.refuse('host-value', `"dst" ${JSON.stringify(text)} is no address or prefix`, object);
    const own = parsePrefix(textOf(object, 'prefsrc') ?? '');
    if (own !== undefined) result.ownAddresses.push(own);
    const route = parseRoute(json, object, prefix, table, result.notes);
    if (route !== undefined) result.routes.push(route);
  }
  for (const table of skipped)
    result.notes.push(`${json.file}: routes of table ${table} are not used: no rule looks it up`);
  return result;
}

/** `default` is printed for both families; the rest of the line says which one is meant. */
function defaultPrefix(object: JsonObject, family: Family | undefined): Prefix {
  const hop = objectsOf(object, 'nexthops')[0] ?? {};
  const address = textOf(object, 'gateway') ?? textOf(hop, 'gateway') ?? textOf(object, 'prefsrc');
  const told = address === undefined ? undefined : parsePrefix(address)?.family;
  // Only IPv6 routes have a router preference.
  return { family: told ?? ('pref' in object ? IPV6 : (family ?? IPV4)), first: 0n, length: 0 };
}

function refuseUnsupported(json: JsonFile, object: JsonObject, text: string): void {
  const source = textOf(object, 'from') ?? textOf(object, 'src');
  if (source !== undefined && source !== 'all') {
    json.refuse('host-unsupported', `unsupported: route to ${text} for packets from ${source} only`, object);
  }
  if ('tos' in object && object.tos !== 0 && object.tos !== '0') {
    json.refuse('host-unsupported', `unsupported: route to ${text} for TOS ${String(object.tos)} only`, object);
  }
}

function parseRoute(
  json: JsonFile,
  object: JsonObject,
  prefix: Prefix,
  table: TableName,
  notes: string[],
): Route | undefined {
  const typeName = textOf(object, 'type') ?? 'unicast';
  const type = TYPES[typeName];
  if (type === undefined)
    json.refuse('host-unsupported', `unsupported: route type ${JSON.stringify(typeName)}`, object);
  // Groups are delivered by what was joined, and never forwarded without a multicast routing daemon.
  if (type === AddrType.MULTICAST) return undefined;
  const metric = (numberOf(object, 'metric') ?? 0) + (PREFERENCE[textOf(object, 'pref') ?? 'medium'] ?? 0);
  const hops = objectsOf(object, 'nexthops');
  const alive = (hops.length > 0 ? hops : [object]).filter((hop) => !textsOf(hop, 'flags').includes('dead'));
  const [hop] = alive;
  if (hop === undefined) return undefined;
  if (alive.length > 1) {
    const devices = alive.map((other) => textOf(other, 'dev') ?? '?').join(', ');
    notes.push(
      `${json.file}: the route to ${textOf(object, 'dst')} has several next hops (${devices}): the first one is used`,
    );
  }
  if (objectsOf(object, 'metrics').some((metrics) => 'mtu' in metrics)) {
    notes.push(
      `${json.file}: the MTU of the route to ${textOf(object, 'dst')} is not used: only that of its interface`,
    );
  }
  const device = textOf(hop, 'dev');
  if (device === undefined && type === AddrType.UNICAST) {
    json.refuse('host-value', `the route to ${textOf(object, 'dst')} has no "dev"`, object);
  }
  const gateway = parsePrefix(textOf(hop, 'gateway') ?? '');
  const others = alive.slice(1).flatMap((other) => textOf(other, 'dev') ?? []);
  return {
    prefix,
    table,
    type,
    metric,
    device,
    ...(others.length > 0 && { others }),
    ...(gateway?.family === prefix.family && { gateway: gateway.first }),
  };
}

/** Priorities of the rules that every network namespace starts with (fib_default_rules_init(), fib6_rules_net_init()). */
const DEFAULT_RULES: Record<string, number> = { local: 0, main: 32766, default: 32767 };

/**
 * Accepts the default rules of `ip -j rule`, of either family.
 * @throws HostError `host-unsupported` naming any other rule
 */
export function checkRules(json: JsonFile): void {
  for (const object of json.objects()) {
    const table = textOf(object, 'table') ?? '';
    const { priority, src, table: _, protocol: __, ...rest } = object;
    if (DEFAULT_RULES[table] === priority && src === 'all' && Object.keys(rest).length === 0) continue;
    const words = Object.entries(object).map(([name, value]) => (value === null ? name : `${name} ${String(value)}`));
    json.refuse('host-unsupported', `unsupported: policy routing rule (${words.join(', ')})`, object);
  }
}
