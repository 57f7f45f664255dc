// Is a host read from its files and options, and is everything it cannot be refused by name?
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { AddrType, Sysctl } from '../../assembly/vocabulary.ts';
import { type HostOptions, loadHost } from '../../src/host.ts';
import { parseRulesets } from '../../src/ruleset/index.ts';
import { type Family, IPV4, IPV6, parseAddress } from '../../src/topology/addresses.ts';
import { flatten } from '../../src/topology/compile.ts';
import type { Topology } from '../../src/topology/topology.ts';
import { sharedFile } from '../support/host.ts';

const DEMO = fileURLToPath(new URL('../../captures/demo-host-old', import.meta.url));

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ctreplay-host-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function write(files: Record<string, string>): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
  return directory;
}

function failure(options: HostOptions): { code: string; message: string } {
  try {
    loadHost(options);
  } catch (error) {
    const { code, message } = error as Error & { code: string };
    return { code, message: message.replaceAll(`${directory}/`, '').replaceAll(directory, 'DIR') };
  }
  return expect.fail('it was accepted');
}

/** What a lookup of the host finds, as `TYPE interface`. */
function where(topology: Topology | undefined, text: string): string {
  const address = parseAddress(text)!;
  const intervals = flatten(topology!.routes, address.family);
  const found = intervals.findLast((interval) => interval.first <= address.value)!;
  return [AddrType[found.type], found.device].filter((part) => part !== undefined).join(' ');
}

const RULES4 = '*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.0.0.0/8 -j ACCEPT\nCOMMIT\n';
const RULES6 = '*filter\n:INPUT DROP [0:0]\n-A INPUT -p ipv6-icmp -j ACCEPT\nCOMMIT\n';

describe('no host', () => {
  test('no rules, default sysctls, no topology', () => {
    const host = loadHost();
    expect(host).toMatchObject({ rulesets: [], topology: undefined, conntrack: [], notes: [], ignored: [] });
    expect(host.sysctls[Sysctl.IP_FORWARD]).toBe(1);
    expect(host.sysctls[Sysctl.TCP_TIMEOUT_ESTABLISHED]).toBe(432000);
  });
});

describe('the demo host, as the tools printed it', () => {
  test('rules of both families, sysctls, topology, no notes', () => {
    const host = loadHost({ host: DEMO });
    expect(host.notes).toEqual([]);
    expect(host.ignored).toEqual([]);
    expect(host.rulesets.map(({ file, family }) => [file, family])).toEqual([
      [join(DEMO, 'ip6tables-save'), IPV6],
      [join(DEMO, 'iptables-save'), IPV4],
    ]);
    expect(host.sysctls[Sysctl.TCP_TIMEOUT_ESTABLISHED]).toBe(86400);
    expect(host.sysctls[Sysctl.ACCT]).toBe(1);
    expect(host.topology?.interfaces).toEqual(['lo', 'eth0', 'eth1', 'eth2']);
  });

  // `ip route get ADDRESS` on that host.
  test.each([
    ['192.168.10.20', 'UNICAST eth1'],
    ['192.168.10.1', 'LOCAL eth1'],
    ['192.168.10.255', 'BROADCAST eth1'],
    ['192.168.11.1', 'UNREACHABLE'],
    ['203.0.113.5', 'UNICAST eth2'],
    ['203.0.113.15', 'BROADCAST eth2'],
    ['203.0.113.16', 'UNICAST eth0'],
    ['198.51.100.7', 'UNICAST eth0'],
    ['198.51.100.254', 'LOCAL eth0'],
    ['8.8.8.8', 'UNICAST eth0'],
    ['10.1.2.3', 'UNREACHABLE'],
    ['127.5.5.5', 'LOCAL lo'],
    ['255.255.255.255', 'BROADCAST'],
    ['224.0.0.1', 'MULTICAST'],
    ['224.0.0.2', 'UNSPEC'],
    ['2001:db8:10::20', 'UNICAST eth1'],
    ['2001:db8:10::1', 'LOCAL eth1'],
    ['2001:db8:10::', 'ANYCAST eth1'],
    ['2001:db8:2::5', 'UNICAST eth2'],
    ['2001:db8:99::7', 'UNICAST eth0'],
    ['2600::1', 'UNICAST eth0'],
    ['fd00::1', 'UNREACHABLE'],
    ['::1', 'LOCAL lo'],
    ['fe80::ff:fe00:fe01', 'LOCAL eth1'],
    ['fe80::1234', 'UNICAST'],
    ['ff02::1', 'MULTICAST'],
    ['ff02::2', 'MULTICAST'],
    ['ff02::1:ff00:20', 'UNSPEC'],
  ])('%s is %s', (text, expected) => {
    expect(where(loadHost({ host: DEMO }).topology, text)).toBe(expected);
  });

  test('after the change: the same place, other rules', () => {
    const before = loadHost({ host: DEMO });
    const after = loadHost({ host: DEMO.replace('old', 'new') });
    expect(after.topology).toEqual(before.topology);
    expect(after.sysctls).toEqual(before.sysctls);
    expect(after.rulesets.map(({ text }) => text)).not.toEqual(before.rulesets.map(({ text }) => text));
  });
});

describe('rulesets', () => {
  test.each([
    ['iptables-save', IPV4],
    ['iptables-save-c', IPV4],
    ['iptables-save-c.txt', IPV4],
    ['rules.v4', IPV4],
    ['router.iptables-save', IPV4],
    ['ip6tables-save', IPV6],
    ['ip6tables-save-c', IPV6],
    ['rules.v6', IPV6],
    ['router.ip6tables-save', IPV6],
  ] as [string, Family][])('%s in a directory is of family %i', (name, family) => {
    const host = loadHost({ host: write({ [name]: RULES4 }) });
    expect(host.rulesets).toEqual([{ file: join(directory, name), text: RULES4, family }]);
  });

  test.each([
    ['# Generated by ip6tables-save v1.8.9 on Sat\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n', IPV6],
    ['# Generated by iptables-save v1.8.9 on Sat\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n', IPV4],
    [RULES4, IPV4],
    [RULES6, IPV6],
    ['*raw\n-A PREROUTING -d fe80::/10 -j DROP\nCOMMIT\n', IPV6],
    ['*filter\nCOMMIT\n', IPV4],
  ] as [string, Family][])('--rules is told by its content: %j', (text, family) => {
    write({ r: text });
    const host = loadHost({ rules: [join(directory, 'r')] });
    expect(host.rulesets).toEqual([{ file: join(directory, 'r'), text, family }]);
    expect(loadHost({ host: join(directory, 'r') }).rulesets).toEqual(host.rulesets);
  });

  test('--rules follow those of the host', () => {
    write({ 'h/iptables-save': RULES4, more: RULES4 });
    const files = loadHost({ host: join(directory, 'h'), rules: [join(directory, 'more')] }).rulesets.map(
      ({ file }) => file,
    );
    expect(files).toEqual([join(directory, 'h/iptables-save'), join(directory, 'more')]);
  });

  test('two files for the same rules are one too many', () => {
    write({ 'iptables-save': RULES4, 'rules.v4': RULES4 });
    expect(failure({ host: directory })).toEqual({
      code: 'host-ambiguous',
      message: 'DIR: iptables-save and rules.v4 are for the same thing: keep one of them',
    });
  });

  test('nft and ipset: empty is fine, content is refused by name', () => {
    write({
      nft: '# nothing\n\n',
      ipset: '\n',
      'iptables-save': RULES4,
      'nft.json': '{"nftables": [{"metainfo": {"version": "1.0.6"}}]}',
    });
    expect(loadHost({ host: directory }).rulesets).toHaveLength(1);
    write({ nft: 'table inet filter {\n}\n' });
    expect(failure({ host: directory })).toEqual({
      code: 'host-unsupported',
      message: 'nft: unsupported: nft rulesets',
    });
    write({ r: 'table inet filter {\n}\n', j: '{"nftables": [{"table": {"family": "inet"}}]}' });
    for (const file of ['r', 'j']) {
      expect(failure({ rules: [join(directory, file)] })).toMatchObject({
        message: `${file}: unsupported: nft rulesets`,
      });
    }
  });

  test('sets are those of all files, and rules of all files may look into them', () => {
    write({
      ipset: 'create blocked hash:ip family inet\nadd blocked 192.0.2.1\n',
      'more.ipset': 'create ports bitmap:port range 0-9\n',
      'iptables-save': RULES4,
    });
    write({ r: '*mangle\n-A FORWARD -m set --match-set blocked src -m set --match-set ports dst\nCOMMIT\n' });
    write({ s: 'create third hash:net\n' });
    const { rulesets } = loadHost({ host: directory, rules: ['r', 's'].map((file) => join(directory, file)) });
    expect(rulesets.map(({ sets }) => [...sets!.keys()])).toEqual([
      ['blocked', 'ports', 'third'],
      ['blocked', 'ports', 'third'],
    ]);
    expect(() => parseRulesets(rulesets)).not.toThrow();
  });

  test('tables that iptables-nft keeps in nftables are those of iptables-save', () => {
    const nft =
      '# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter {\n\tchain INPUT {\n\t}\n}\n';
    write({ nft, 'iptables-save': RULES4 });
    expect(loadHost({ host: directory }).notes).toEqual([expect.stringContaining('iptables-nft')]);
    write({ nft: `${nft}table inet mine {\n}\n` });
    expect(failure({ host: directory }).code).toBe('host-unsupported');
  });
});

describe('files', () => {
  test('what is no file of a host is listed', () => {
    write({ 'iptables-save': '', 'README.md': 'x', 'notes/iptables-save': RULES4, 'conntrack-E.txt': 'x' });
    expect(loadHost({ host: directory }).ignored).toEqual(['README.md', 'conntrack-E.txt', 'notes']);
  });

  test.each([
    [{ host: '/nonexistent/host' }, 'host-missing', '/nonexistent/host: no such file or directory'],
    [{ rules: ['/nonexistent/rules'] }, 'host-missing', '/nonexistent/rules: no such file or directory'],
    [{ sysctls: ['/nonexistent/sysctl'] }, 'host-missing', '/nonexistent/sysctl: no such file or directory'],
    [{ locals: ['10.0.0.256'] }, 'bad-local', '--local 10.0.0.256: expected ADDRESS or ADDRESS/LENGTH'],
    [{ locals: ['10.0.0.1/33'] }, 'bad-local', '--local'],
    [{ interfaces: ['eth0'] }, 'bad-iface', '--iface eth0: expected NAME=CIDR[,CIDR]'],
    [{ interfaces: ['eth0=10.0.0.0/8,'] }, 'bad-iface', '"" is no network'],
    [{ interfaces: ['a-name-of-sixteen=10.0.0.0/8'] }, 'bad-iface', 'expected NAME=CIDR'],
  ] as [HostOptions, string, string][])('%j', (options, code, message) => {
    expect(failure(options)).toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test('an empty directory is no host, and neither is a file of no known kind', () => {
    expect(failure({ host: directory })).toEqual({
      code: 'host-missing',
      message: 'DIR: no file of a host is in this directory',
    });
    write({ x: 'Dear all,\nplease find attached\n' });
    expect(failure({ host: join(directory, 'x') })).toMatchObject({ code: 'host-syntax' });
  });

  test.each([
    ['addr.json', '[{"ifname":"lo"},\n {"ifname"}]', 'addr.json:2:11: not JSON: expected ":"'],
    ['addr.json', '{"ifname":"lo"}', 'addr.json:1:1: expected an array'],
    ['addr.json', '[{"name":"lo"}]', 'addr.json:1:2: expected an interface'],
    [
      'addr.json',
      '[{"ifname":"a","addr_info":[\n{"family":"inet","local":"1.2.3","prefixlen":8}]}]',
      'addr.json:2:1: "local" "1.2.3" is no IPv4 address',
    ],
    [
      'addr.json',
      '[{"ifname":"a","addr_info":[{"family":"inet","local":"1.2.3.4","prefixlen":33}]}]',
      '"prefixlen" 33',
    ],
    ['route.json', '[{"dst":"10.0.0.0/8"}]', 'the route to 10.0.0.0/8 has no "dev"'],
    ['route.json', '[{"dst":"10.0.0.0/88","dev":"a"}]', '"dst" "10.0.0.0/88" is no address or prefix'],
    [
      'route.json',
      '[{"dst":"2001:db8::/32","from":"2001:db8:1::/48","dev":"a"}]',
      'unsupported: route to 2001:db8::/32 for packets from 2001:db8:1::/48 only',
    ],
    [
      'route.json',
      '[{"dst":"10.0.0.0/8","tos":"0x10","dev":"a"}]',
      'unsupported: route to 10.0.0.0/8 for TOS 0x10 only',
    ],
    ['route.json', '[{"type":"nat","dst":"10.0.0.0/8"}]', 'unsupported: route type "nat"'],
    [
      'rule.json',
      '[{"priority":0,"src":"all","table":"local"},\n{"priority":71743,"src":"192.168.21.18","table":"16"}]',
      'rule.json:2:1: unsupported: policy routing rule (priority 71743, src 192.168.21.18, table 16)',
    ],
    ['rule.json', '[{"priority":99,"src":"all","fwmark":"0x1","table":"main"}]', 'policy routing rule'],
    [
      'sysctl',
      'net.ipv4.ip_forward = 1\nnet.netfilter.nf_conntrack_acct = 9',
      'sysctl:2: net.netfilter.nf_conntrack_acct = 9',
    ],
    ['conntrack', '\nhello', 'conntrack:2: not a line of a conntrack table'],
  ])('%s: %j is refused with its place', (name, text, message) => {
    expect(failure({ host: write({ [name]: text }) }).message).toContain(message);
  });

  test('a single file is told by its content', () => {
    const one = (text: string) => loadHost({ host: join(write({ some: text }), 'some') });
    expect(one('net.netfilter.nf_conntrack_acct = 1\n').sysctls[Sysctl.ACCT]).toBe(1);
    expect(
      one('[{"ifname":"a","addr_info":[{"family":"inet","local":"10.0.0.1","prefixlen":24}]}]').topology,
    ).toBeDefined();
    expect(one('[{"dst":"10.0.0.0/8","dev":"a"}]').topology).toBeDefined();
    expect(
      one(
        'udp 17 29 src=1.1.1.1 dst=2.2.2.2 sport=5 dport=53 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=53 dport=5 use=1',
      ).conntrack,
    ).toHaveLength(1);
  });
});

describe('sysctls', () => {
  test('--sysctl overrides the host, later ones earlier ones', () => {
    write({
      'h/sysctl': 'net.netfilter.nf_conntrack_udp_timeout = 1\nnet.netfilter.nf_conntrack_acct = 1\n',
      file: 'net.netfilter.nf_conntrack_udp_timeout = 2\n',
    });
    const { sysctls } = loadHost({
      host: join(directory, 'h'),
      sysctls: [join(directory, 'file'), 'net.netfilter.nf_conntrack_icmp_timeout=3'],
    });
    expect([sysctls[Sysctl.UDP_TIMEOUT], sysctls[Sysctl.ACCT], sysctls[Sysctl.ICMP_TIMEOUT]]).toEqual([2, 1, 3]);
  });

  test('a host that does not forward, without addresses, is told', () => {
    write({ sysctl: 'net.ipv4.ip_forward = 0\n' });
    expect(loadHost({ host: directory }).notes).toEqual([
      expect.stringContaining('net.ipv4.ip_forward = 0 has no effect'),
    ]);
    expect(loadHost({ host: directory, locals: ['10.0.0.1', '2001:db8::1'] }).notes.join()).not.toContain('ip_forward');
  });
});

describe('topology from part of the files', () => {
  const ADDR = JSON.stringify([
    { ifname: 'a', flags: ['UP'], addr_info: [{ family: 'inet', local: '10.1.0.1', prefixlen: 24 }] },
    {
      ifname: 'p',
      flags: ['UP'],
      addr_info: [{ family: 'inet', local: '10.9.0.1', address: '10.9.0.2', prefixlen: 32 }],
    },
    { ifname: 'down', flags: [], addr_info: [{ family: 'inet', local: '10.2.0.1', prefixlen: 24 }] },
    {
      ifname: 'b',
      flags: ['UP'],
      addr_info: [{ family: 'inet6', local: '2001:db8::1', prefixlen: 64, tentative: true, dadfailed: true }],
    },
  ]);

  test('addresses only: connected networks, the rest by an unknown interface', () => {
    const { topology, notes } = loadHost({ host: write({ 'addr.json': ADDR }) });
    expect(where(topology, '10.1.0.1')).toBe('LOCAL a');
    expect(where(topology, '10.1.0.9')).toBe('UNICAST a');
    expect(where(topology, '10.1.0.255')).toBe('BROADCAST a');
    expect(where(topology, '10.9.0.1')).toBe('LOCAL p');
    expect(where(topology, '10.9.0.2')).toBe('UNICAST p');
    expect(where(topology, '10.2.0.1')).toBe('UNICAST');
    expect(where(topology, '8.8.8.8')).toBe('UNICAST');
    expect(where(topology, '2001:db8::1')).toBe('UNICAST');
    expect(notes).toEqual([
      'interface down is down: its addresses are not answered for',
      expect.stringContaining('no IPv4 routes are known'),
      expect.stringContaining('no IPv6 routes are known'),
    ]);
  });

  test('printed routes replace connected networks; an empty route6.json means that there are none', () => {
    write({ 'addr.json': ADDR, 'route.json': '[{"dst":"10.1.0.0/25","dev":"a"}]', 'route6.json': '[ ]' });
    const { topology, notes } = loadHost({ host: directory });
    expect(where(topology, '10.1.0.9')).toBe('UNICAST a');
    expect(where(topology, '10.1.0.200')).toBe('UNSPEC');
    expect(where(topology, '2600::1')).toBe('UNSPEC');
    expect(notes).toHaveLength(1);
  });

  test('both families in one file, tables that nothing looks up, several next hops, dead ones', () => {
    const routes4 = [
      { dst: 'default', gateway: '10.1.0.254', dev: 'a', metric: 100 },
      { dst: 'default', gateway: '10.3.0.254', dev: 'c', metric: 50 },
      {
        dst: '10.5.0.0/16',
        nexthops: [
          { dev: 'd', flags: ['dead', 'linkdown'] },
          { dev: 'e', flags: [] },
          { dev: 'f', flags: [] },
        ],
      },
      { dst: '10.6.0.0/16', dev: 'g', flags: ['dead', 'linkdown'] },
      { dst: '10.7.0.0/16', dev: 'h', table: '100' },
      { type: 'local', dst: '10.8.0.1', dev: 'i', table: 'local' },
    ];
    const routes6 = [
      { dst: 'default', gateway: 'fe80::1', dev: 'a', metric: 1024, pref: 'low' },
      { dst: 'default', gateway: 'fe80::2', dev: 'c', metric: 1024, pref: 'medium' },
    ];
    write({ 'route.json': `${JSON.stringify(routes4)}\n${JSON.stringify(routes6)}\n` });
    const { topology, notes } = loadHost({ host: directory });
    expect(where(topology, '8.8.8.8')).toBe('UNICAST c');
    expect(where(topology, '10.5.1.1')).toBe('UNICAST e');
    expect(where(topology, '10.6.1.1')).toBe('UNICAST c');
    expect(where(topology, '10.7.1.1')).toBe('UNICAST c');
    expect(where(topology, '10.8.0.1')).toBe('LOCAL i');
    expect(where(topology, '224.0.0.1')).toBe('MULTICAST i');
    expect(where(topology, '2600::1')).toBe('UNICAST c');
    expect(notes).toEqual([
      expect.stringContaining('the route to 10.5.0.0/16 has several next hops (e, f): the first one is used'),
      expect.stringContaining('routes of table 100 are not used'),
    ]);
  });

  test('a routing table of full size', () => {
    const routes = Array.from({ length: 150_000 }, (_, index) => ({
      dst: `${1 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}.0/24`,
      dev: `e${index % 3}`,
    }));
    write({ 'route.json': JSON.stringify(routes) });
    const { topology } = loadHost({ host: directory });
    expect(where(topology, '3.73.239.7')).toBe(`UNICAST e${149_999 % 3}`);
    expect(where(topology, '3.73.240.7')).toBe('UNSPEC');
  });

  test('without addresses, preferred sources are own ones', () => {
    write({ 'route.json': '[{"dst":"10.1.0.0/24","dev":"a","prefsrc":"10.1.0.1"}]' });
    const { topology, notes } = loadHost({ host: directory });
    expect(where(topology, '10.1.0.1')).toContain('LOCAL');
    expect(notes).toContainEqual(expect.stringContaining('preferred sources'));
  });

  test('--local and --iface', () => {
    const { topology, notes } = loadHost({
      locals: ['10.1.0.1/24', '2001:db8::1'],
      interfaces: ['lan=10.1.0.0/24,10.2.0.0/16', 'wan=0.0.0.0/0,::/0'],
    });
    expect(where(topology, '10.1.0.1')).toBe('LOCAL lan');
    expect(where(topology, '10.1.0.255')).toBe('BROADCAST lan');
    expect(where(topology, '10.1.0.2')).toBe('UNICAST lan');
    expect(where(topology, '10.2.9.9')).toBe('UNICAST lan');
    expect(where(topology, '8.8.8.8')).toBe('UNICAST wan');
    expect(where(topology, '2001:db8::1')).toBe('LOCAL');
    expect(where(topology, '2001:db8::2')).toBe('UNICAST wan');
    expect(notes).toEqual([]);
    expect(loadHost({ interfaces: ['lan=10.1.0.0/24'] }).notes).toContainEqual(
      expect.stringContaining('NAME=0.0.0.0/0'),
    );
  });

  test('groups that the host printed are those that are joined', () => {
    const maddr = [{ ifname: 'a', maddr: [{ link: '01:00:5e:00:00:05' }, { family: 'inet', address: '224.0.0.5' }] }];
    write({ 'addr.json': ADDR, 'maddr.json': JSON.stringify(maddr) });
    const { topology } = loadHost({ host: directory });
    expect(where(topology, '224.0.0.5')).toBe('MULTICAST a');
    expect(where(topology, '224.0.0.1')).toBe('UNSPEC');
  });

  test('the default rules of both families are accepted', () => {
    const rules = [
      { priority: 0, src: 'all', table: 'local' },
      { priority: 32766, src: 'all', table: 'main' },
      { priority: 32767, src: 'all', table: 'default' },
    ];
    write({ 'rule.json': JSON.stringify(rules), 'rule6.json': JSON.stringify(rules.slice(0, 2)) });
    expect(loadHost({ host: directory }).topology).toBeUndefined();
  });
});

test("a live router's files", () => {
  const names = [
    'ip-j-addr.json',
    'ip-j-link.json',
    'ip-j-route.json',
    'ip-j-6-route.json',
    'ip-j-rule.json',
    'sysctl.txt',
  ];
  const files = names.map((name) => [name, sharedFile(`formats/lab1/${name}`)] as const);
  if (files.some(([, text]) => text === undefined)) return;
  const { topology } = loadHost({ host: write(Object.fromEntries(files) as Record<string, string>) });
  expect(where(topology, '10.0.1.1')).toBe('LOCAL lan0');
  expect(where(topology, '10.0.1.2')).toBe('UNICAST lan0');
  expect(where(topology, '192.0.2.2')).toBe('UNICAST wan0');
  expect(where(topology, '8.8.8.8')).toBe('UNSPEC');
  expect(where(topology, '2001:db8:2::2')).toBe('UNICAST wan0');
  expect(where(topology, 'fe80::8cfe:c3ff:fedf:c897')).toBe('LOCAL lan0');
  expect(where(topology, '2600::1')).toBe('UNSPEC');
});

describe('names of labels', () => {
  const rules = (label: string): string =>
    `*filter\n:INPUT DROP [0:0]\n-A INPUT -m connlabel --label "${label}" -j ACCEPT\nCOMMIT\n`;
  const NAMES = '# a comment\n\n0\tzero\n1 one two\n 2 lead\n3\t7\n0x4 hex\n127 last  \n';
  const bitOf = (label: string): unknown => {
    const host = loadHost({ host: write({ 'connlabel.conf': NAMES, 'iptables-save': rules(label) }) });
    return parseRulesets(host.rulesets).entries[0]?.rule?.matches[0];
  };

  // As iptables 1.8.9 resolved them with this file; a name that looks like a number comes first.
  test.each([
    ['zero', 0],
    ['one two', 1],
    ['lead', 2],
    ['7', 3],
    ['hex', 4],
    ['last', 127],
    ['3', 3],
    ['0x10', 16],
  ])('%s', (label, bit) => {
    expect(bitOf(label)).toMatchObject({ kind: 'connlabel', bit });
  });

  test('a name that is not there, or written otherwise, is refused', () => {
    for (const label of ['one', 'ZERO', '128']) {
      expect(() => bitOf(label)).toThrow(
        /the label is neither a name in connlabel.conf nor a number from 0 to 127: '(one|ZERO|128)'/,
      );
    }
  });

  test.each([
    ['128 beyond', 'connlabel.conf:1: labels are numbered from 0 to 127', 'host-value'],
    ['1 one\n1 again', 'connlabel.conf:2: label 1 has a name already', 'host-value'],
    ['1 one\n2 one', "connlabel.conf:2: 'one' is the name of another label", 'host-value'],
    ['1', 'connlabel.conf:1: expected "NUMBER NAME"', 'host-syntax'],
    ['one 1', 'connlabel.conf:1: expected "NUMBER NAME"', 'host-syntax'],
  ])('%j is refused', (text, message, code) => {
    expect(failure({ host: write({ 'connlabel.conf': text }) })).toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });
});
