// By which interfaces does the way back to every address lead, as `-m rpfilter` asks (fib_lookup(), ip6_route_lookup())?
import { AddrType } from '../../assembly/vocabulary.ts';
import { addressBits, type Family, IPV4 } from './addresses.ts';
import { flatten } from './compile.ts';
import type { Route } from './routes.ts';
import { isLinkLocal, type Topology } from './topology.ts';

/** One interval of sources: from `first` to just before the next one's. */
export interface ReversePath {
  first: bigint;
  type: AddrType;
  /** Interfaces that the way back leads by; 'any' for those that every interface has a route to. */
  devices: readonly string[] | 'any';
}

/** Cannot stand in the name of an interface. */
const BETWEEN = '/';
const EVERYBODY4 = 0xffffffffn;

/**
 * All sources of a family as intervals, the first one from 0; undefined if some route's interface is not known.
 *
 * Of several IPv4 routes to one prefix only the first counts, with all its next hops; IPv6 finds any that leaves by the
 * interface that is asked for.
 */
export function reversePaths(topology: Pick<Topology, 'routes'>, family: Family): ReversePath[] | undefined {
  const routes = topology.routes.filter((route) => route.prefix.family === family && isRoute(route));
  const intervals = flatten(family === IPV4 ? routes.map(joined) : together(routes), family);
  const paths = intervals.map(({ first, type, device }): ReversePath | undefined => {
    if (type !== AddrType.UNICAST && type !== AddrType.LOCAL) return { first, type, devices: [] };
    if (device !== undefined) return { first, type, devices: device.split(BETWEEN) };
    if (type === AddrType.LOCAL) return { first, type, devices: [] };
    return isLinkLocal({ family, first, length: addressBits(family) }) ? { first, type, devices: 'any' } : undefined;
  });
  return paths.every((path) => path !== undefined) ? paths : undefined;
}

/** What the kernel's tables have: not groups and 255.255.255.255, which are looked up apart. */
function isRoute({ type, table, prefix }: Route): boolean {
  if (type === AddrType.MULTICAST || (table === 'local' && type === AddrType.UNSPEC)) return false;
  return type !== AddrType.BROADCAST || prefix.first !== EVERYBODY4;
}

/** The route with all its interfaces in place of the one. */
function joined(route: Route): Route {
  const { device, others = [] } = route;
  return device === undefined ? route : { ...route, device: [...new Set([device, ...others])].sort().join(BETWEEN) };
}

/** Routes to the same prefix as one, that of the smallest metric. */
function together(routes: readonly Route[]): Route[] {
  const byPrefix = new Map<string, Route>();
  for (const route of routes) {
    const key = `${route.table} ${route.prefix.first}/${route.prefix.length}`;
    const other = byPrefix.get(key);
    if (other === undefined) {
      byPrefix.set(key, route);
      continue;
    }
    const [first, second] = route.metric < other.metric ? [route, other] : [other, route];
    const further = second.type === first.type && second.device !== undefined ? [second.device] : [];
    byPrefix.set(key, { ...first, others: [...(first.others ?? []), ...(second.others ?? []), ...further] });
  }
  return [...byPrefix.values()].map(joined);
}
