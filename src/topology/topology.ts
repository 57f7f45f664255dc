// What does a host know of the network: which addresses are its own, and where does every other one lead?
//
// The outcome is the routing tables as the kernel would have them: what `ip` printed, and where it printed only part of
// that (routes without the local table, addresses without routes), what the kernel derives from the rest.
import { AddrType } from '../../assembly/vocabulary.ts';
import { addressBits, contains, type Family, hostMask, IPV4, IPV6, lastAddress, type Prefix } from './addresses.ts';
import type { Interface, InterfaceAddress, JoinedGroup } from './interfaces.ts';
import type { Route } from './routes.ts';

/** Routes of all tables and both families. */
export interface Topology {
  routes: Route[];
  /** Names of all interfaces that are known by name. */
  interfaces: string[];
  /** The host's own addresses, in the order of the interfaces and of each one's addresses. */
  addresses: OwnAddress[];
}

/** An address that the host may send from. */
export interface OwnAddress {
  /** Undefined if it is not known where the address is. */
  device: string | undefined;
  family: Family;
  value: bigint;
  /** The other end of a point-to-point link, else the address itself. */
  peer: bigint;
  length: number;
  /** IPv4: address of everybody on its network, where the interface has been told. */
  broadcast: bigint | undefined;
  /** RT_SCOPE_*. */
  scope: number;
  secondary: boolean;
  deprecated: boolean;
  temporary: boolean;
}

/** What the files and options of a host said. */
export interface TopologySources {
  /** From addr.json or link.json; undefined if neither was there. */
  interfaces: Interface[] | undefined;
  /** From maddr.json. */
  groups: JoinedGroup[] | undefined;
  routes: Route[];
  /** Families whose routes were printed, even if there were none. */
  routedFamilies: ReadonlySet<Family>;
  /** Own addresses from options and preferred sources. */
  own: { family: Family; value: bigint; length: number }[];
  /** Networks that options place behind an interface. */
  behind: { device: string; prefix: Prefix }[];
  /** sysctl net.ipv6.conf.all.forwarding: a router answers for more addresses than a host. */
  forwarding6: boolean;
}

const ALL_ONES = 0xffffffffn;
const LOOPBACK4: Prefix = { family: IPV4, first: 0x7f000000n, length: 8 };
const GROUPS4: Prefix = { family: IPV4, first: 0xe0000000n, length: 4 };
const GROUPS6: Prefix = { family: IPV6, first: 0xffn << 120n, length: 8 };
const LINK_LOCAL6: Prefix = { family: IPV6, first: 0xfe80n << 112n, length: 10 };
/** 224.0.0.1 and ff02::1, which every host joins; ff02::2 and ff05::2, which IPv6 routers join (RFC 4291 section 2.7.1). */
const ALL_HOSTS4 = 0xe0000001n;
const ALL_NODES6 = (0xff02n << 112n) | 1n;
const ALL_ROUTERS6 = [(0xff02n << 112n) | 2n, (0xff05n << 112n) | 2n];
const SOLICITED_NODE = (0xff02n << 112n) | 0x1ff000000n;

/** Puts the tables together; `notes` receives what was assumed. */
export function buildTopology(sources: TopologySources, notes: string[]): Topology {
  const tables = new Tables();
  const known = (sources.interfaces ?? []).filter((entry) => entry.addresses.length > 0);
  for (const entry of known) {
    if (entry.up) addInterface(tables, entry, sources);
    else notes.push(`interface ${entry.name} is down: its addresses are not answered for`);
  }
  for (const route of sources.routes) tables.add(route);
  if (known.length === 0 && sources.groups === undefined) joinByRoutes(tables, sources);
  for (const { device, prefix } of sources.behind) tables.main(prefix, AddrType.UNICAST, device);
  for (const own of sources.own) addOwn(tables, own, sources.behind);
  addEverywhere(tables, sources);
  leaveLinkLocalOpen(tables);
  for (const family of [IPV4, IPV6]) completeRoutes(tables, family, sources, notes);
  const names = new Set<string>([...(sources.interfaces ?? []).map((entry) => entry.name), ...tables.devices()]);
  return {
    routes: tables.routes,
    interfaces: [...names],
    addresses: ownAddresses(sources),
  };
}

/** Addresses of interfaces as they were printed, then those that only options and routes name. */
function ownAddresses(sources: TopologySources): OwnAddress[] {
  const printed = (sources.interfaces ?? []).flatMap(({ name, up, addresses }) =>
    up ? addresses.map((address): OwnAddress => ({ ...address, device: name })) : [],
  );
  const further = sources.own.map(({ family, value, length }): OwnAddress => {
    const device = nearest(sources.behind, family, value);
    return {
      device,
      family,
      value,
      peer: value,
      length,
      // Addresses that nobody printed are taken to be as network managers configure them.
      broadcast: family === IPV4 && length < 31 ? lastAddress(around({ family, length }, value)) : undefined,
      scope: 0,
      secondary: false,
      deprecated: false,
      temporary: false,
    };
  });
  return [...printed, ...further];
}

/** The interface behind which the smallest network lies that an address belongs to. */
function nearest(behind: TopologySources['behind'], family: Family, value: bigint): string | undefined {
  const fitting = behind.filter(({ prefix }) => contains(prefix, { family, value }) && prefix.length > 0);
  return fitting.sort((a, b) => b.prefix.length - a.prefix.length)[0]?.device;
}

/**
 * Routes in the order in which they were added. In the local table one prefix has one meaning; when it belongs to
 * several interfaces (a group, fe80::/64, an address that was assigned twice) none is named.
 */
class Tables {
  readonly routes: Route[] = [];
  private readonly local = new Map<string, Route>();

  add(route: Route): void {
    if (route.table !== 'local') {
      this.routes.push(route);
      return;
    }
    const { family, first, length } = route.prefix;
    const key = `${family} ${first} ${length}`;
    const before = this.local.get(key);
    if (before === undefined) {
      this.local.set(key, { ...route });
      this.routes.push(this.local.get(key)!);
    } else if (before.device !== route.device && route.device !== undefined) {
      before.device = undefined;
    }
  }

  own(prefix: Prefix, type: AddrType, device: string | undefined): void {
    this.add({ prefix, type, device, table: 'local', metric: 0 });
  }

  main(prefix: Prefix, type: AddrType, device: string | undefined, metric = 0): void {
    this.add({ prefix, type, device, table: 'main', metric });
  }

  devices(): string[] {
    return this.routes.flatMap((route) => route.device ?? []);
  }
}

function whole(family: Family, value: bigint): Prefix {
  return { family, first: value, length: addressBits(family) };
}

function around(address: { family: Family; length: number }, value: bigint): Prefix {
  return { family: address.family, length: address.length, first: value & ~hostMask(address.family, address.length) };
}

/** Local routes of an interface's addresses: fib_add_ifaddr() for IPv4, addrconf_add_linklocal() and kin for IPv6. */
function addInterface(tables: Tables, entry: Interface, sources: TopologySources): void {
  for (const address of entry.addresses) {
    tables.own(whole(address.family, address.value), AddrType.LOCAL, entry.name);
    if (address.family === IPV4) addBroadcasts(tables, entry, address);
    else if (sources.forwarding6) addRouterAnycast(tables, entry, address);
    if (connects(address) && !address.noPrefixRoute && !entry.loopback && !routed(sources, address.family)) {
      tables.main(around(address, address.peer), AddrType.UNICAST, entry.name, address.family === IPV6 ? 256 : 0);
    }
    if (sources.groups !== undefined) continue;
    joinGroups(tables, entry.name, address, {
      router: sources.forwarding6 && !entry.loopback,
      resolves: entry.resolves,
    });
  }
}

/** Does an address bring a prefix with it? */
function connects(address: InterfaceAddress): boolean {
  if (address.secondary) return false;
  return address.length < addressBits(address.family) || address.peer !== address.value;
}

function addBroadcasts(tables: Tables, entry: Interface, address: InterfaceAddress): void {
  const prefix = around(address, address.peer);
  if (address.broadcast !== undefined && address.broadcast !== ALL_ONES) {
    tables.own(whole(IPV4, address.broadcast), AddrType.BROADCAST, entry.name);
  }
  if (!connects(address) || prefix.first === 0n) return;
  if (entry.loopback) tables.own(prefix, AddrType.LOCAL, entry.name);
  if (address.length < 31) tables.own(whole(IPV4, lastAddress(prefix)), AddrType.BROADCAST, entry.name);
}

/** addrconf_join_anycast(): the subnet-router anycast address, but not of links with two ends (RFC 6164). */
function addRouterAnycast(tables: Tables, entry: Interface, address: InterfaceAddress): void {
  const { first } = around(address, address.value);
  if (address.length < 127 && first !== 0n) tables.own(whole(IPV6, first), AddrType.ANYCAST, entry.name);
}

/** What the kernel joins by itself on an interface with this address (ip_mc_init_dev(), addrconf_join_solict()). */
function joinGroups(
  tables: Tables,
  device: string | undefined,
  address: { family: Family; value: bigint; length: number },
  how: { router: boolean; resolves: boolean },
): void {
  const join = (group: bigint) => tables.own(whole(address.family, group), AddrType.MULTICAST, device);
  if (address.family === IPV4) {
    join(ALL_HOSTS4);
    return;
  }
  join(ALL_NODES6);
  if (how.router) ALL_ROUTERS6.forEach(join);
  if (!how.resolves) return;
  join(SOLICITED_NODE | (address.value & 0xffffffn));
  if (how.router && address.length < 127) join(SOLICITED_NODE | (around(address, address.value).first & 0xffffffn));
}

/** Where no addresses were printed, the local table has them. */
function joinByRoutes(tables: Tables, sources: TopologySources): void {
  for (const { type, prefix, device } of sources.routes) {
    if (type !== AddrType.LOCAL || prefix.length < addressBits(prefix.family) || device === 'lo') continue;
    const address = { ...prefix, value: prefix.first };
    joinGroups(tables, device, address, { router: sources.forwarding6, resolves: true });
  }
}

/** An own address that no interface is known for, unless an option says what lies behind which. */
function addOwn(tables: Tables, own: TopologySources['own'][number], behind: TopologySources['behind']): void {
  const device = nearest(behind, own.family, own.value);
  tables.own(whole(own.family, own.value), AddrType.LOCAL, device);
  if (own.family === IPV4 && own.length < 31) {
    tables.own(whole(IPV4, lastAddress(around(own, own.value))), AddrType.BROADCAST, device);
  }
  joinGroups(tables, device, own, { router: false, resolves: true });
}

/** What holds on every host: loopback, the limited broadcast, and groups, which are never routed as addresses are. */
function addEverywhere(tables: Tables, sources: TopologySources): void {
  tables.own(LOOPBACK4, AddrType.LOCAL, 'lo');
  tables.own(whole(IPV4, lastAddress(LOOPBACK4)), AddrType.BROADCAST, 'lo');
  tables.own(whole(IPV6, 1n), AddrType.LOCAL, 'lo');
  tables.own(whole(IPV4, ALL_ONES), AddrType.BROADCAST, undefined);
  tables.own(GROUPS4, AddrType.UNSPEC, undefined);
  tables.own(GROUPS6, AddrType.UNSPEC, undefined);
  for (const group of sources.groups ?? [])
    tables.own(whole(group.family, group.value), AddrType.MULTICAST, group.device);
}

/** Link-local networks are on every interface: where several have one, a destination there names none. */
function leaveLinkLocalOpen(tables: Tables): void {
  const linkLocal = tables.routes.filter(({ table, prefix }) => table === 'main' && isLinkLocal(prefix));
  if (new Set(linkLocal.map((route) => route.device)).size < 2) return;
  for (const route of linkLocal) route.device = undefined;
}

export function isLinkLocal(prefix: Prefix): boolean {
  return prefix.length >= LINK_LOCAL6.length && contains(LINK_LOCAL6, { family: prefix.family, value: prefix.first });
}

function routed(sources: TopologySources, family: Family): boolean {
  return sources.routedFamilies.has(family);
}

/**
 * Where nothing is known of a family's routes, packets are not lost for it: they are forwarded to wherever, by an
 * unknown interface.
 */
function completeRoutes(tables: Tables, family: Family, sources: TopologySources, notes: string[]): void {
  if (routed(sources, family)) return;
  const [name, all] = family === IPV4 ? ['IPv4', '0.0.0.0/0'] : ['IPv6', '::/0'];
  const placed = sources.behind.filter((network) => network.prefix.family === family);
  if (placed.length === 0) {
    notes.push(
      `no ${name} routes are known: ${name} packets that no connected network takes are forwarded by an unknown interface`,
    );
    tables.main({ family, first: 0n, length: 0 }, AddrType.UNICAST, undefined, Number.MAX_SAFE_INTEGER);
  } else if (!placed.some((network) => network.prefix.length === 0)) {
    notes.push(`no --iface takes all other ${name} addresses (NAME=${all}): they have no route`);
  }
}
