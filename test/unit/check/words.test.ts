// Do expectations select what they say? Counted once by `check`, once by hand in what replay() reports of every packet, ended flow
// and entry of bundled captures: with and without NAT, helpers, fragments' like, and copies of what left.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  check,
  type EventReport,
  type Host,
  loadHost,
  type PacketReport,
  type RuleExample,
  replay,
} from '../../../src/index.ts';

const CAPTURES = fileURLToPath(new URL('../../../captures', import.meta.url));

interface Replayed {
  captures: string[];
  host: Host;
  packets: PacketReport[];
  /** Entries that ended, and those that were there at the end. */
  flows: Omit<EventReport, 'line' | 'event'>[];
  table: Omit<EventReport, 'line' | 'event'>[];
}

async function replayed(captures: string[], host: Host): Promise<Replayed> {
  const packets: PacketReport[] = [];
  const ended: EventReport[] = [];
  const batches = replay({ captures, host });
  for (;;) {
    const step = await batches.next();
    if (step.done) return { captures, host, packets, flows: [...ended, ...step.value.table], table: step.value.table };
    packets.push(...step.value.packets);
    ended.push(...step.value.events.filter(({ event }) => event === 'DESTROY'));
  }
}

const runs: Record<string, Replayed> = {};
beforeAll(async () => {
  const demo = readdirSync(CAPTURES).filter((name) => /\.pcap(ng)?(\.gz)?$/.test(name));
  const old = loadHost({ host: join(CAPTURES, 'demo-host-old') });
  const captures = demo.sort().map((name) => join(CAPTURES, name));
  runs.demo = await replayed(captures, old);
  runs.new = await replayed(captures, loadHost({ host: join(CAPTURES, 'demo-host-new') }));
  for (const name of ['web', 'ftp-active', 'hairpin']) {
    const folder = join(CAPTURES, 'gateway', name);
    const captures = ['lan.pcap', 'wan.pcap'].map((file) => join(folder, file));
    runs[name] = await replayed(captures, loadHost({ host: join(folder, 'host') }));
  }
});

async function selected(run: Replayed, subject: string, description: string): Promise<number> {
  const text = `- name: n\n  ${subject}: ${description}\n  count: 1\n`;
  const report = await check({ captures: run.captures, host: run.host, expect: [{ file: 'e', text }] });
  return report.results[0]!.selected;
}

type PacketTest = (packet: PacketReport & { ct?: { helper?: string } }) => boolean;
const NONE = () => false;
const judged = ({ verdict }: PacketReport): boolean => verdict !== 'NONE';

describe('packets', () => {
  test.each<[run: string, description: string, meant: PacketTest]>([
    ['demo', '{}', judged],
    ['demo', '{ verdict: NONE }', (p) => !judged(p)],
    ['demo', '{ verdict: [NONE, DROP] }', (p) => ['NONE', 'DROP'].includes(p.verdict)],
    ['demo', '{ verdict: NONE, why: not-ip }', (p) => p.why === 'not-ip'],
    ['demo', '{ why: not-ip }', NONE],
    [
      'demo',
      '{ file: dns.pcap, n: 5..9 }',
      (p) => runs.demo!.captures[p.file - 1]!.endsWith('/dns.pcap') && p.n >= 5 && p.n <= 9 && judged(p),
    ],
    ['demo', '{ path: input }', (p) => p.path === 'input'],
    ['demo', '{ path: [input, output] }', (p) => p.path === 'input' || p.path === 'output'],
    ['demo', '{ in: eth1 }', (p) => p.in === 'eth1' && judged(p)],
    ['demo', '{ in: "e*", out: eth2 }', (p) => p.in?.startsWith('e') === true && p.out === 'eth2'],
    ['demo', '{ not: { in: "*" } }', (p) => p.in === undefined && judged(p)],
    ['demo', '{ verdict: REJECT, with: tcp-reset }', (p) => p.with === 'tcp-reset'],
    ['demo', '{ rule: filter/FORWARD/1 }', (p) => p.rule === 'filter/FORWARD/1'],
    ['demo', '{ rule: "filter/*-*/*" }', (p) => /^filter\/.*-.*\//.test(p.rule ?? '')],
    ['demo', '{ rule: "*/policy" }', (p) => p.rule?.endsWith('/policy') === true],
    ['demo', '{ not: { rule: "*" } }', (p) => p.rule === undefined && judged(p)],
    ['demo', '{ why: [ttl-exceeded, invalid-new] }', (p) => p.why === 'ttl-exceeded' || p.why === 'invalid-new'],
    ['demo', '{ why: out-of-window }', (p) => p.why?.startsWith('out-of-window') === true],
    ['demo', '{ ct: { state: INVALID } }', (p) => p.ct?.state === 'INVALID'],
    ['demo', '{ ct: { not: { state: INVALID } } }', (p) => judged(p) && p.ct?.state !== 'INVALID'],
    ['demo', '{ ct: { dir: original } }', (p) => p.ct?.dir === 'original'],
    [
      'demo',
      '{ ct: { status: "SEEN_REPLY,ASSURED" } }',
      (p) => ['SEEN_REPLY', 'ASSURED'].every((bit) => p.ct?.status?.includes(bit)),
    ],
    ['demo', '{ ct: { status: UNREPLIED } }', (p) => p.ct?.status?.includes('SEEN_REPLY') === false],
    ['demo', '{ ct: { tcp: [SYN_SENT, SYN_RECV] } }', (p) => /^SYN_(SENT|RECV)$/.test(p.ct?.tcp ?? '')],
    ['demo', '{ ct: { sctp: ESTABLISHED } }', NONE],
    ['demo', '{ ct: { mark: 0 } }', (p) => p.ct?.mark === 0],
    ['demo', '{ ct: { mark: 1/1 } }', NONE],
    [
      'demo',
      '[{ path: input, verdict: DROP }, { ct: { state: RELATED } }]',
      (p) => (p.path === 'input' && p.verdict === 'DROP') || p.ct?.state === 'RELATED',
    ],
    [
      'demo',
      '{ not: [{ path: forward }, { verdict: ACCEPT }] }',
      (p) => judged(p) && p.path !== 'forward' && p.verdict !== 'ACCEPT',
    ],
    ['new', '{ logs: "*" }', (p) => (p.logs?.length ?? 0) > 0],
    [
      'new',
      '{ logs: { text: "*forward-drop*" } }',
      (p) => p.logs?.some(({ prefix }) => prefix?.startsWith('forward-drop')) === true,
    ],
    ['demo', '{ nat: true }', NONE],
    ['web', '{}', judged],
    ['web', '{ verdict: NONE, why: egress-copy }', (p) => p.why === 'egress-copy'],
    ['web', '{ nat: true }', (p) => p.nat !== undefined],
    ['web', '{ nat: false }', (p) => judged(p) && p.nat === undefined],
    ['web', '{ nat: { src: 0.0.0.0/0 } }', (p) => p.nat?.src !== undefined],
    ['web', '{ nat: { dst: 0.0.0.0/0 } }', (p) => p.nat?.dst !== undefined],
    [
      'hairpin',
      '{ nat: { src: 0.0.0.0/0, dst: 0.0.0.0/0 } }',
      (p) => p.nat?.src !== undefined && p.nat.dst !== undefined,
    ],
    ['hairpin', '{ nat: { dport: 0..79 } }', NONE],
    ['hairpin', '{ nat: { dport: 80 } }', (p) => p.nat?.dport === 80],
    ['hairpin', '{ nat: { sport: 8000..8999 } }', (p) => p.nat?.sport === 8080],
    ['ftp-active', '{ ct: { helper: ftp } }', (p) => p.ct?.helper === 'ftp'],
    ['ftp-active', '{ ct: { status: EXPECTED } }', (p) => p.ct?.status?.includes('EXPECTED') === true],
  ])('%s %s', async (name, description, meant) => {
    const run = runs[name]!;
    const count = run.packets.filter(meant).length;
    expect(count > 0).toBe(meant !== NONE);
    expect(await selected(run, 'packets', description)).toBe(count);
  });
});

type FlowTest = (flow: Replayed['flows'][number]) => boolean;
interface Ends {
  src: string;
  dst: string;
  sport?: number;
  dport?: number;
  type?: number;
  code?: number;
  id?: number;
}
const original = (flow: Replayed['flows'][number]) => flow.original as unknown as Ends;
const reply = (flow: Replayed['flows'][number]) => flow.reply as unknown as Ends;
const translated = (flow: Replayed['flows'][number]) => {
  const [o, r] = [original(flow), reply(flow)];
  return {
    src: o.src !== r.dst || (o.sport ?? 0) !== (r.dport ?? 0),
    dst: o.dst !== r.src || (o.dport ?? 0) !== (r.sport ?? 0),
  };
};

describe('flows, and the table', () => {
  test.each<[run: string, description: string, meant: FlowTest]>([
    ['demo', '{}', () => true],
    ['demo', '{ family: ipv6 }', (f) => f.family === 'ipv6'],
    ['demo', '{ proto: [udp, icmp] }', (f) => f.proto === 'udp' || f.proto === 'icmp'],
    ['demo', '{ proto: 6 }', (f) => f.proto === 'tcp'],
    ['demo', '{ src: 192.168.10.0/24 }', (f) => original(f).src.startsWith('192.168.10.')],
    [
      'demo',
      '{ dst: [203.0.113.5, "2001:db8:2::5"] }',
      (f) => ['203.0.113.5', '2001:db8:2::5'].includes(original(f).dst),
    ],
    ['demo', '{ dport: 53 }', (f) => original(f).dport === 53],
    [
      'demo',
      '{ sport: 40000..50000, proto: tcp }',
      (f) => f.proto === 'tcp' && original(f).sport! >= 40000 && original(f).sport! <= 50000,
    ],
    ['demo', '{ icmp-type: 8 }', (f) => f.proto === 'icmp' && original(f).type === 8],
    ['demo', '{ icmpv6-type: 128 }', (f) => f.proto === 'icmpv6' && original(f).type === 128],
    ['demo', '{ icmp-id: 1.. }', (f) => f.proto === 'icmp' && original(f).id! > 0],
    ['demo', '{ state: TIME_WAIT }', (f) => f.state === 'TIME_WAIT'],
    ['demo', '{ state: [SYN_SENT, CLOSE] }', (f) => f.state === 'SYN_SENT' || f.state === 'CLOSE'],
    ['demo', '{ status: ASSURED }', (f) => f.status.includes('ASSURED')],
    ['demo', '{ status: UNREPLIED }', (f) => !f.status.includes('SEEN_REPLY')],
    ['demo', '{ mark: 0 }', (f) => f.mark === 0],
    ['demo', '{ any-nat: true }', NONE],
    ['demo', '{ zone: 0 }', () => true],
    ['web', '{ any-nat: true }', (f) => translated(f).src || translated(f).dst],
    ['web', '{ src-nat: true, proto: tcp }', (f) => f.proto === 'tcp' && translated(f).src],
    ['web', '{ src-nat: false }', (f) => !translated(f).src],
    ['hairpin', '{ dst-nat: true }', (f) => translated(f).dst],
    ['hairpin', '{ reply-port-src: 0..1023 }', (f) => (reply(f).sport ?? 65536) < 1024],
    [
      'hairpin',
      '{ reply-src: 10.1.2.80, reply-dst: 10.1.2.1 }',
      (f) => reply(f).src === '10.1.2.80' && reply(f).dst === '10.1.2.1',
    ],
    ['ftp-active', '{ status: EXPECTED }', (f) => f.status.includes('EXPECTED')],
    ['ftp-active', '{ helper: ftp }', (f) => (f as { helper?: string }).helper === 'ftp'],
  ])('%s %s', async (name, description, meant) => {
    const run = runs[name]!;
    const count = run.flows.filter(meant).length;
    expect(count > 0).toBe(meant !== NONE);
    expect(await selected(run, 'flows', description)).toBe(count);
    expect(await selected(run, 'table', description)).toBe(run.table.filter(meant).length);
  });

  test('NAT to an address and a port', async () => {
    const run = runs.hairpin!;
    const flow = run.flows.find((each) => each.proto === 'tcp' && translated(each).dst)!;
    const { src, sport } = reply(flow);
    const to = (each: Replayed['flows'][number]) => translated(each).dst && reply(each).src === src;
    expect(await selected(run, 'flows', `{ dst-nat: ${src} }`)).toBe(run.flows.filter(to).length);
    expect(await selected(run, 'flows', `{ dst-nat: ["${src}:${sport}"], proto: tcp }`)).toBeGreaterThan(0);
    expect(await selected(run, 'flows', `{ dst-nat: "${src}:1" }`)).toBe(0);
  });
});

describe('a flow of packets', () => {
  // The entry's number tells which packets are of it; those of none are told by their addresses.
  test('is known by its original direction, whatever NAT makes of the answers', async () => {
    for (const [name, ends] of [
      ['web', { proto: 'tcp', nat: 'src' }],
      ['hairpin', { proto: 'tcp', nat: 'dst' }],
    ] as const) {
      const run = runs[name]!;
      const flow = run.flows.find((each) => each.proto === ends.proto && translated(each)[ends.nat])!;
      const { src, dst, sport, dport } = original(flow);
      const own = run.packets.filter(({ ct }) => ct?.id === flow.id);
      expect(new Set(own.map(({ ct }) => ct!.dir))).toEqual(new Set(['original', 'reply']));
      const description = `{ flow: { src: ${src}, dst: ${dst}, proto: tcp, sport: ${sport}, dport: ${dport} }, not: { ct: { state: INVALID } } }`;
      expect(await selected(run, 'packets', description)).toBe(own.length);
    }
  });

  test('has packets of both directions also where nothing is tracked', async () => {
    const { captures } = runs.demo!;
    const capture = captures.find((path) => path.endsWith('/dns.pcap'))!;
    const text = '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j NOTRACK\nCOMMIT\n';
    const host = loadHost({});
    host.rulesets.push({ file: 'notrack', text, family: 2 });
    const run = await replayed([capture], host);
    const both = '{ ct: { state: UNTRACKED }, dst: 203.0.113.6 }';
    const [there, back] = [
      await selected(run, 'packets', both),
      await selected(run, 'packets', both.replace('dst', 'src')),
    ];
    expect(Math.min(there, back)).toBeGreaterThan(0);
    expect(await selected(run, 'packets', '{ flow: { dst: 203.0.113.6 } }')).toBe(there + back);
  });
});

describe('rules', () => {
  async function counted(run: Replayed, description: string): Promise<RuleExample[]> {
    const text = `- name: n\n  rules: ${description}\n  none: { packets: 0.., bytes: 0.. }\n`;
    const report = await check({ captures: run.captures, host: run.host, expect: [{ file: 'e', text }] });
    return report.results[0]!.failures[0]!.first as RuleExample[];
  }

  test('what they matched is what they decided, where every match decides', async () => {
    const run = runs.demo!;
    const rules = await counted(run, '{ rule: filter/FORWARD/1 }');
    expect(rules.map(({ rule, family }) => [rule, family])).toEqual([
      ['filter/FORWARD/1', 'ipv6'],
      ['filter/FORWARD/1', 'ipv4'],
    ]);
    const decided = run.packets.filter(({ rule }) => rule === 'filter/FORWARD/1').length;
    expect(rules[0]!.packets + rules[1]!.packets).toBe(decided);
    const { packets, bytes } = rules[1]!;
    const selection = `{ rule: filter/FORWARD/1, family: ipv4, packets: ${packets}, bytes: ${bytes} }`;
    expect(await selected(run, 'rules', selection)).toBe(1);
    expect(await selected(run, 'rules', selection.replace(/packets: \d+/, `packets: ${packets + 1}..`))).toBe(0);
    expect(await selected(run, 'rules', selection.replace(/bytes: \d+/, `bytes: ..${bytes - 1}`))).toBe(0);
  });

  test('text is that of the file, family and name tell rules apart', async () => {
    const run = runs.demo!;
    const texts = run.host.rulesets.flatMap(({ text }) => text.split('\n')).filter((line) => line.startsWith('-A '));
    expect(await selected(run, 'rules', '{ not: { rule: "*/policy" } }')).toBe(texts.length);
    const rejecting = texts.filter((line) => line.includes('-j REJECT')).length;
    expect(await selected(run, 'rules', '{ text: "*-j REJECT*" }')).toBe(rejecting);
  });
});
