// Do the engine's two routing decisions send every kind of packet where the kernel sent it?
//
// The table below was observed in a network namespace with exactly this host (Linux 6.18): UDP packets were put on the
// wire of `lan` one by one, and rule counters in all five mangle chains said which hooks each of them met.
import { beforeAll, describe, expect, test } from 'vitest';
import { AddrType, Path, PktType, Reason, Sysctl } from '../../../assembly/vocabulary.ts';
import { type Address, parseAddress } from '../../../src/topology/addresses.ts';
import { compileTopology } from '../../../src/topology/compile.ts';
import { parseInterfaces } from '../../../src/topology/interfaces.ts';
import { JsonFile } from '../../../src/topology/json.ts';
import { parseRoutes } from '../../../src/topology/routes.ts';
import { defaultSysctls } from '../../../src/topology/sysctl.ts';
import { buildTopology } from '../../../src/topology/topology.ts';
import { Names, RouteEngine } from '../../support/host.ts';

const ADDR = JSON.stringify([
  {
    ifname: 'lo',
    flags: ['LOOPBACK', 'UP', 'LOWER_UP'],
    addr_info: [
      { family: 'inet', local: '127.0.0.1', prefixlen: 8 },
      { family: 'inet6', local: '::1', prefixlen: 128 },
      { family: 'inet6', local: '2001:db8:f::aa', prefixlen: 128 },
    ],
  },
  {
    ifname: 'lan',
    flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    addr_info: [
      { family: 'inet', local: '10.1.0.1', prefixlen: 24, broadcast: '10.1.0.255' },
      { family: 'inet6', local: '2001:db8:1::1', prefixlen: 64 },
      { family: 'inet6', local: 'fe80::1', prefixlen: 64 },
    ],
  },
  {
    ifname: 'wan',
    flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    addr_info: [
      { family: 'inet', local: '10.2.0.1', prefixlen: 24 },
      { family: 'inet6', local: '2001:db8:2::1', prefixlen: 64 },
      { family: 'inet6', local: 'fe80::2', prefixlen: 64 },
    ],
  },
]);

const ROUTE4 = JSON.stringify([
  { dst: '10.1.0.0/24', dev: 'lan' },
  { dst: '10.2.0.0/24', dev: 'wan' },
  { dst: '10.6.0.0/24', gateway: '10.1.0.9', dev: 'lan' },
  { type: 'blackhole', dst: '10.9.1.0/24' },
  { type: 'unreachable', dst: '10.9.2.0/24' },
  { type: 'prohibit', dst: '10.9.3.0/24' },
  { type: 'throw', dst: '10.9.4.0/24' },
]);

const ROUTE6 = JSON.stringify([
  { dst: '2001:db8:1::/64', dev: 'lan', metric: 256 },
  { dst: '2001:db8:2::/64', dev: 'wan', metric: 256 },
  { type: 'blackhole', dst: '2001:db8:9:1::/64', dev: 'lo', metric: 1024 },
  { type: 'unreachable', dst: '2001:db8:9:2::/64', dev: 'lo', metric: 1024 },
  { type: 'prohibit', dst: '2001:db8:9:3::/64', dev: 'lo', metric: 1024 },
  { dst: 'fe80::/64', dev: 'lan', metric: 256 },
  { dst: 'fe80::/64', dev: 'wan', metric: 256 },
]);

/** Default route by wan in the table `default`, which the kernel looks up last. */
const ROUTE_DEFAULT = JSON.stringify([{ dst: 'default', gateway: '10.2.0.2', dev: 'wan', table: 'default' }]);

const LAN = 1;
const WAN = 2;
const LO = 3;

function address(text: string): Address {
  return parseAddress(text) ?? expect.fail(`${text} is no address`);
}

function load(engine: RouteEngine, options: { forwarding: boolean; defaultTable?: boolean }): void {
  const texts = options.defaultTable ? [ROUTE4, ROUTE6, ROUTE_DEFAULT] : [ROUTE4, ROUTE6];
  const topology = buildTopology(
    {
      interfaces: parseInterfaces(new JsonFile('addr.json', ADDR)),
      groups: undefined,
      routes: texts.flatMap((text) => parseRoutes(new JsonFile('route.json', text), undefined).routes),
      routedFamilies: new Set([2, 10]),
      own: [],
      behind: [],
      forwarding6: options.forwarding,
    },
    [],
  );
  const names = new Names();
  for (const name of ['lan', 'wan', 'lo']) names.index(name);
  const sysctls = defaultSysctls();
  sysctls[Sysctl.IP_FORWARD] = options.forwarding ? 1 : 0;
  sysctls[Sysctl.IPV6_FORWARDING] = options.forwarding ? 1 : 0;
  engine.load(sysctls, compileTopology(topology, names));
}

const V4 = '10.1.0.2';
const V6 = '2001:db8:1::2';
type Facts = { ttl?: number; pkttype?: number };
type Row = [name: string, source: string, target: string, hooks: 'INPUT' | 'FORWARD' | '', why: Reason, facts?: Facts];

/** "" : the packet met PREROUTING and nothing else. */
const KERNEL: Row[] = [
  ['ttl 2', V4, '10.2.0.2', 'FORWARD', Reason.NONE, { ttl: 2 }],
  ['ttl 1', V4, '10.2.0.2', '', Reason.TTL_EXCEEDED, { ttl: 1 }],
  ['ttl 0', V4, '10.2.0.2', '', Reason.TTL_EXCEEDED, { ttl: 0 }],
  ['hop limit 2', V6, '2001:db8:2::2', 'FORWARD', Reason.NONE, { ttl: 2 }],
  ['hop limit 1', V6, '2001:db8:2::2', '', Reason.TTL_EXCEEDED, { ttl: 1 }],
  ['ttl 0 to the host', V4, '10.1.0.1', 'INPUT', Reason.NONE, { ttl: 0 }],
  ['hop limit 0 to the host', V6, '2001:db8:1::1', 'INPUT', Reason.NONE, { ttl: 0 }],
  ['address of the other interface', V4, '10.2.0.1', 'INPUT', Reason.NONE, { ttl: 1 }],
  ['blackhole', V4, '10.9.1.1', '', Reason.ROUTE_BLACKHOLE],
  ['unreachable', V4, '10.9.2.1', '', Reason.ROUTE_UNREACHABLE],
  ['prohibit', V4, '10.9.3.1', '', Reason.ROUTE_PROHIBIT],
  ['no route', V4, '11.0.0.1', '', Reason.NO_ROUTE],
  ['IPv6 no route', V6, '2001:db8:77::1', '', Reason.NO_ROUTE],
  ['IPv6 blackhole', V6, '2001:db8:9:1::1', '', Reason.ROUTE_BLACKHOLE],
  ['IPv6 prohibit', V6, '2001:db8:9:3::1', '', Reason.ROUTE_PROHIBIT],
  ['subnet broadcast', V4, '10.1.0.255', 'INPUT', Reason.NONE, { pkttype: PktType.BROADCAST }],
  ['network address', V4, '10.1.0.0', '', Reason.NOT_FOR_US, { pkttype: PktType.BROADCAST }],
  ["other subnet's broadcast", V4, '10.2.0.255', 'INPUT', Reason.NONE],
  ['limited broadcast', V4, '255.255.255.255', 'INPUT', Reason.NONE, { pkttype: PktType.BROADCAST }],
  ['limited broadcast from nobody', '0.0.0.0', '255.255.255.255', 'INPUT', Reason.NONE, { pkttype: PktType.BROADCAST }],
  ['nobody to nobody', '0.0.0.0', '0.0.0.0', 'INPUT', Reason.NONE, { pkttype: PktType.BROADCAST }],
  ['to 0.0.0.0', V4, '0.0.0.0', '', Reason.MARTIAN],
  ['from 0.0.0.0', '0.0.0.0', '10.2.0.2', '', Reason.MARTIAN],
  ['from 0.1.2.3', '0.1.2.3', '10.2.0.2', 'FORWARD', Reason.NONE],
  ['from 0.0.0.0 to all hosts', '0.0.0.0', '224.0.0.1', 'INPUT', Reason.NONE],
  ['all hosts', V4, '224.0.0.1', 'INPUT', Reason.NONE, { ttl: 1, pkttype: PktType.MULTICAST }],
  ['a group that was not joined', V4, '224.0.0.251', '', Reason.NOT_FOR_US, { pkttype: PktType.MULTICAST }],
  ['from a group', '224.0.0.9', '10.2.0.2', '', Reason.MARTIAN],
  ['from the limited broadcast', '255.255.255.255', '10.2.0.2', '', Reason.MARTIAN],
  ['from loopback', '127.0.0.5', '10.2.0.2', '', Reason.MARTIAN],
  ['to loopback', V4, '127.0.0.1', '', Reason.MARTIAN],
  ['from 240.0.0.1', '240.0.0.1', '10.2.0.2', 'FORWARD', Reason.NONE],
  ['to 240.0.0.1', V4, '240.0.0.1', '', Reason.NO_ROUTE],
  ['from a subnet broadcast', '10.1.0.255', '10.2.0.2', 'FORWARD', Reason.NONE],
  ['from nowhere', '77.0.0.1', '10.2.0.2', 'FORWARD', Reason.NONE],
  ['in a broadcast frame', V4, '10.2.0.2', '', Reason.NOT_FOR_US, { pkttype: PktType.BROADCAST }],
  ['to the host in a broadcast frame', V4, '10.1.0.1', 'INPUT', Reason.NONE, { pkttype: PktType.BROADCAST }],
  ['out as it came', V4, '10.6.0.1', 'FORWARD', Reason.NONE],
  ['out as it came, from a broadcast', '10.1.0.255', '10.6.0.1', '', Reason.MARTIAN],
  ["out as it came, from the other subnet's broadcast", '10.2.0.255', '10.6.0.1', '', Reason.MARTIAN],
  ['out as it came, from nowhere', '77.0.0.1', '10.6.0.1', 'FORWARD', Reason.NONE],
  ['subnet-router anycast', V6, '2001:db8:1::', 'INPUT', Reason.NONE],
  ["other subnet's router anycast", V6, '2001:db8:2::', 'INPUT', Reason.NONE],
  ['all nodes', V6, 'ff02::1', 'INPUT', Reason.NONE, { ttl: 1, pkttype: PktType.MULTICAST }],
  ['all routers', V6, 'ff02::2', 'INPUT', Reason.NONE, { pkttype: PktType.MULTICAST }],
  ['all routers of the site', V6, 'ff05::2', 'INPUT', Reason.NONE, { pkttype: PktType.MULTICAST }],
  ['mDNS', V6, 'ff02::fb', '', Reason.NOT_FOR_US, { pkttype: PktType.MULTICAST }],
  ['own solicited-node group', V6, 'ff02::1:ff00:1', 'INPUT', Reason.NONE, { pkttype: PktType.MULTICAST }],
  ['solicited-node group of the anycast', V6, 'ff02::1:ff00:0', 'INPUT', Reason.NONE, { pkttype: PktType.MULTICAST }],
  [
    'a solicited-node group of loopback only',
    V6,
    'ff02::1:ff00:aa',
    '',
    Reason.NOT_FOR_US,
    { pkttype: PktType.MULTICAST },
  ],
  ['solicited-node group of wan only', V6, 'ff02::1:ff00:2', '', Reason.NOT_FOR_US, { pkttype: PktType.MULTICAST }],
  ['solicited-node group of another', V6, 'ff02::1:ff77:7777', '', Reason.NOT_FOR_US, { pkttype: PktType.MULTICAST }],
  [':: to all nodes', '::', 'ff02::1', 'INPUT', Reason.NONE, { pkttype: PktType.MULTICAST }],
  [':: to another host', '::', '2001:db8:2::2', '', Reason.MARTIAN],
  [':: to the host', '::', '2001:db8:1::1', 'INPUT', Reason.NONE],
  ['link-local to another link', 'fe80::77', '2001:db8:2::2', '', Reason.BEYOND_SCOPE],
  ['own link-local', 'fe80::77', 'fe80::1', 'INPUT', Reason.NONE],
  ['own link-local of the other link', 'fe80::77', 'fe80::2', 'FORWARD', Reason.NONE],
  ['link-local neighbour', 'fe80::77', 'fe80::88', 'FORWARD', Reason.NONE],
  ['global to link-local neighbour', V6, 'fe80::88', 'FORWARD', Reason.NONE],
  ['to ::', V6, '::', '', Reason.NO_ROUTE],
  ['IPv6 in a multicast frame', V6, '2001:db8:2::2', '', Reason.NOT_FOR_US, { pkttype: PktType.MULTICAST }],
];

describe.each(['debug', 'release'] as const)('%s build', (target) => {
  let engine: RouteEngine;
  beforeAll(async () => {
    engine = await RouteEngine.open(target);
  }, 60_000);

  const judge = (row: Row) => {
    const [, source, to, , , facts] = row;
    return engine.route({ source: address(source), target: address(to), iif: LAN, ...facts });
  };

  test.each(KERNEL)('a received packet, as the kernel does: %s', (...row) => {
    load(engine, { forwarding: true });
    const found = judge(row);
    expect(found.reason).toBe(row[4]);
    expect(found.iif).toBe(LAN);
    expect(found.before).toBe(0);
    if (row[3] === '') return;
    expect(Path[found.path]).toBe(row[3]);
    expect(found.predicted).toBe(found.path);
    expect(found.oif).toBe(expectedOutput(row));
  });

  test('a throw route and no route lead to the table default', () => {
    load(engine, { forwarding: true, defaultTable: true });
    for (const to of ['10.9.4.1', '11.0.0.1']) {
      const found = engine.route({ source: address(V4), target: address(to), iif: LAN });
      expect(found).toMatchObject({ reason: Reason.NONE, path: Path.FORWARD, oif: WAN });
    }
    expect(engine.route({ source: address(V4), target: address('10.9.2.1'), iif: LAN }).reason).toBe(
      Reason.ROUTE_UNREACHABLE,
    );
  });

  test('forwarding off: only what is for the host gets on', () => {
    load(engine, { forwarding: false });
    const reason = (source: string, to: string) =>
      engine.route({ source: address(source), target: address(to), iif: LAN }).reason;
    expect(reason(V4, '10.2.0.2')).toBe(Reason.NOT_FOR_US);
    expect(reason(V4, '10.2.0.1')).toBe(Reason.NONE);
    expect(reason(V6, '2001:db8:2::2')).toBe(Reason.NOT_FOR_US);
    // Neither the anycast address nor the routers' group is a host's (2001:db8:1::/64 is then a neighbour like others).
    expect(reason(V6, '2001:db8:1::')).toBe(Reason.NOT_FOR_US);
    expect(reason(V6, 'ff02::2')).toBe(Reason.NOT_FOR_US);
  });

  test('without an interface in the capture, the route back to the source tells it', () => {
    load(engine, { forwarding: true });
    const found = engine.route({ source: address('10.2.0.2'), target: address(V4) });
    expect(found).toMatchObject({ path: Path.FORWARD, iif: WAN, oif: LAN });
    expect(engine.route({ source: address('77.0.0.1'), target: address(V4) })).toMatchObject({ iif: 0, oif: LAN });
    // Which link a link-local neighbour is on, nobody knows then, but it is the one that the packet came by.
    const neighbours = engine.route({ source: address('fe80::77'), target: address('fe80::88') });
    expect(neighbours).toMatchObject({ path: Path.FORWARD, iif: 0, oif: 0, reason: Reason.NONE });
  });

  test("the host's own packets: OUTPUT by the route, over loopback to itself, groups by the source's interface", () => {
    load(engine, { forwarding: true });
    const out = (source: string, to: string, iif = 0) =>
      engine.route({ source: address(source), target: address(to), iif, ttl: 1 });
    expect(out('10.1.0.1', '10.2.0.2', LAN)).toMatchObject({
      predicted: Path.OUTPUT,
      path: Path.OUTPUT,
      iif: 0,
      oif: WAN,
    });
    expect(out('10.1.0.1', '10.2.0.1')).toMatchObject({ path: Path.OUTPUT, oif: LO });
    expect(out('2001:db8:1::1', '2001:db8:2::1')).toMatchObject({ path: Path.OUTPUT, oif: LO });
    expect(out('10.1.0.1', '224.0.0.5')).toMatchObject({ reason: Reason.NONE, oif: LAN });
    expect(out('10.1.0.1', '224.0.0.5', WAN)).toMatchObject({ reason: Reason.NONE, oif: WAN });
    expect(out('10.1.0.1', '255.255.255.255')).toMatchObject({ reason: Reason.NONE, oif: LAN });
    expect(out('fe80::1', 'fe80::88', LAN)).toMatchObject({ reason: Reason.NONE, oif: LAN });
    expect(out('10.1.0.1', '11.0.0.1')).toMatchObject({ reason: Reason.NO_ROUTE });
    expect(out('10.1.0.1', '11.0.0.1', LAN)).toMatchObject({ reason: Reason.NONE, oif: LAN });
  });

  test('without a topology everything is forwarded, as long as it may live', () => {
    engine.load(defaultSysctls(), undefined);
    const found = engine.route({ source: address('224.0.0.9'), target: address('255.255.255.255'), iif: WAN });
    expect(found).toMatchObject({ path: Path.FORWARD, iif: WAN, oif: 0, reason: Reason.NONE });
    expect(engine.route({ source: address(V4), target: address(V4), ttl: 1 }).reason).toBe(Reason.TTL_EXCEEDED);
  });

  test('-m addrtype: IPv4 asks the local table only, IPv6 any route', () => {
    load(engine, { forwarding: true });
    const bits = (text: string, iface = 0) => engine.types(address(text), iface);
    const only = (...types: AddrType[]) => types.reduce((sum, type) => sum | (1 << type), 0);
    expect(bits('10.2.0.1')).toBe(only(AddrType.LOCAL));
    expect(bits('127.9.9.9')).toBe(only(AddrType.LOCAL));
    expect(bits('10.1.0.255')).toBe(only(AddrType.BROADCAST));
    expect(bits('255.255.255.255')).toBe(only(AddrType.BROADCAST));
    expect(bits('0.0.0.0')).toBe(only(AddrType.BROADCAST));
    expect(bits('239.1.2.3')).toBe(only(AddrType.MULTICAST));
    for (const text of ['10.1.0.2', '11.0.0.1', '10.9.1.1', '10.9.2.1', '10.1.0.0']) {
      expect(bits(text), text).toBe(only(AddrType.UNICAST));
    }
    expect(bits('10.2.0.1', WAN)).toBe(only(AddrType.LOCAL));
    expect(bits('10.2.0.1', LAN)).toBe(only(AddrType.UNICAST));
    expect(bits('2001:db8:2::1')).toBe(only(AddrType.UNICAST, AddrType.LOCAL));
    expect(bits('2001:db8:2::1', LAN)).toBe(only(AddrType.UNICAST));
    expect(bits('2001:db8:2::')).toBe(only(AddrType.UNICAST, AddrType.ANYCAST));
    expect(bits('2001:db8:9:1::1')).toBe(only(AddrType.UNICAST, AddrType.UNREACHABLE));
    expect(bits('2001:db8:77::1')).toBe(only(AddrType.UNICAST, AddrType.UNREACHABLE));
    expect(bits('2001:db8:2::2')).toBe(only(AddrType.UNICAST));
    expect(bits('ff02::77')).toBe(only(AddrType.MULTICAST));
  });
});

/** Interface by which the table's forwarded packets leave: their route's, on lan what is link-local or behind 10.1.0.9. */
function expectedOutput([, , target, hooks]: Row): number {
  if (hooks === 'INPUT') return 0;
  return target.startsWith('fe80') || target.startsWith('10.6.') ? LAN : WAN;
}
