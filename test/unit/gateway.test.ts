// Captures taken at the gateway itself: is what leaves told from what arrives, and nothing tracked twice?

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { loadHost, type PacketReport, replay } from '../../src/index.ts';
import { FORMS, type Sight, writeGateway, writeGatewayWithoutLinks } from '../support/gateway.ts';
import { icmp, ip, quote, tcp, udp } from '../support/packets.ts';

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-gateway-'));
afterAll(() => rmSync(folder, { recursive: true }));

const MASQUERADE = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o wan -j MASQUERADE
COMMIT
`;
const REJECT = `*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A FORWARD -p tcp -m tcp --dport 23 -j REJECT --reject-with tcp-reset
-A FORWARD -p udp -m udp --dport 69 -j REJECT --reject-with icmp-port-unreachable
COMMIT
`;
const masquerading = writeGateway(join(folder, 'masquerading'), MASQUERADE);
const nameless = writeGatewayWithoutLinks(join(folder, 'nameless'), MASQUERADE);
const rejecting = writeGateway(join(folder, 'rejecting'), REJECT);

const US = 1000n;
const MS = 1_000_000n;

/** Forwarded through masquerading: as it arrived and as it left, 20 us later. */
function through(time: bigint, dir: 'original' | 'reply', make: (client: string) => Uint8Array[]): Sight[] {
  const [arriving, leaving] = [make('10.0.1.2')[0]!, make('192.0.2.1')[1]!];
  return dir === 'original'
    ? [
        { time, leg: 'lan', side: 'in', bytes: arriving },
        { time: time + 20n * US, leg: 'wan', side: 'out', bytes: leaving },
      ]
    : [
        { time, leg: 'wan', side: 'in', bytes: make('192.0.2.1')[0]! },
        { time: time + 20n * US, leg: 'lan', side: 'out', bytes: make('10.0.1.2')[1]! },
      ];
}

const SERVER = '198.51.100.7';
let id = 100;
const query = (time: bigint, seq: number, options: Partial<Parameters<typeof tcp>[0]>): Sight[] => {
  const own = id++;
  return through(time, 'original', (client) =>
    [64, 63].map((ttl) =>
      ip(client, SERVER, tcp({ sport: 4000, dport: 443, seq, win: 64240, ...options }), { ttl, id: own }),
    ),
  );
};
const answer = (time: bigint, seq: number, options: Partial<Parameters<typeof tcp>[0]>): Sight[] =>
  through(time, 'reply', (client) =>
    [64, 63].map((ttl) => ip(SERVER, client, tcp({ sport: 443, dport: 4000, seq, win: 65160, ...options }), { ttl })),
  );
const OWN_QUERY = ip('192.0.2.1', '198.51.100.53', udp({ sport: 5300, dport: 53, payload: 30 }));
const OWN_ANSWER = ip('198.51.100.53', '192.0.2.1', udp({ sport: 53, dport: 5300, payload: 90 }));

/** A masqueraded connection, and a query of the gateway's own. */
const CONVERSATION: Sight[] = [
  ...query(0n, 1000, { flags: 'S' }),
  ...answer(10n * MS, 5000, { flags: 'SA', ack: 1001 }),
  ...query(20n * MS, 1001, { flags: 'A', ack: 5001 }),
  { time: 25n * MS, leg: 'wan', side: 'out', bytes: OWN_QUERY },
  ...query(30n * MS, 1001, { flags: 'PA', ack: 5001, payload: 100 }),
  ...answer(40n * MS, 5001, { flags: 'PA', ack: 1101, payload: 700 }),
  { time: 45n * MS, leg: 'wan', side: 'in', bytes: OWN_ANSWER },
];
/** As conntrack prints them. */
const TCP = 'src=10.0.1.2 dst=198.51.100.7 sport=4000 dport=443';
const TCP_REPLY = 'src=198.51.100.7 dst=192.0.2.1 sport=443 dport=4000';
const UDP = 'src=192.0.2.1 dst=198.51.100.53 sport=5300 dport=53';
const UDP_REPLY = 'src=198.51.100.53 dst=192.0.2.1 sport=53 dport=5300';
const EVENTS = [
  `    [NEW] tcp      6 120 SYN_SENT ${TCP} [UNREPLIED] ${TCP_REPLY}`,
  ` [UPDATE] tcp      6 60 SYN_RECV ${TCP} ${TCP_REPLY}`,
  ` [UPDATE] tcp      6 432000 ESTABLISHED ${TCP} ${TCP_REPLY} [ASSURED]`,
  `    [NEW] udp      17 30 ${UDP} [UNREPLIED] ${UDP_REPLY}`,
  ` [UPDATE] udp      17 30 ${UDP} ${UDP_REPLY}`,
];

let written = 0;
/** Writes the files of a form; `named`: with the interface on the command line. */
function put(files: Record<string, Uint8Array>, named: boolean): string[] {
  return Object.entries(files).map(([name, bytes]) => {
    const path = join(folder, `${written++}.cap`);
    writeFileSync(path, bytes);
    return named ? `${name}=${path}` : path;
  });
}

async function play(host: string, captures: string[]) {
  const packets: PacketReport[] = [];
  const events: string[] = [];
  const specs = captures.map((text) => {
    const [iface, path] = text.split('=');
    return path === undefined ? text : { iface: iface!, path };
  });
  const batches = replay({ captures: specs, host: loadHost({ host }) });
  while (true) {
    const step = await batches.next();
    if (step.done) return { packets, events, result: step.value };
    packets.push(...step.value.packets);
    events.push(...step.value.events.map(({ line }) => line.replace(/^\[[^\]]*\]\t/, '')));
  }
}

const copies = (packets: PacketReport[]) => packets.filter(({ why }) => why === 'egress-copy');

describe('the same conversation, however it was captured', () => {
  test.each(Object.keys(FORMS))('%s', async (form) => {
    const captures = put(FORMS[form]!(CONVERSATION), form === 'raw');
    const host = form === 'raw' || form === 'names' ? nameless : masquerading;
    const { packets, events, result } = await play(host, captures);
    expect(events).toEqual(EVENTS);
    // Everything that was forwarded, once; paths and interfaces as they were.
    expect(copies(packets)).toHaveLength(5);
    expect(packets.filter(({ path }) => path === 'forward').map((packet) => `${packet.in}>${packet.out}`)).toEqual([
      'lan>wan',
      'wan>lan',
      'lan>wan',
      'lan>wan',
      'wan>lan',
    ]);
    expect(packets.filter(({ path }) => path === 'output').map(({ out }) => out)).toEqual(['wan']);
    expect(packets.filter(({ path }) => path === 'input').map(({ in: by }) => by)).toEqual(['wan']);
    expect(result.summary.notJudged).toEqual([{ why: 'egress-copy', packets: 5 }]);
    expect(result.summary.verdicts.NONE).toMatchObject({ packets: 5, flows: 0 });
  });

  test('without a host, what leaves is known by what arrived', async () => {
    const plain = CONVERSATION.filter(({ bytes }) => bytes !== OWN_QUERY && bytes !== OWN_ANSWER);
    const batches = replay({ captures: put(FORMS.sll2!(plain), false) });
    const { value } = await batches.next();
    expect(copies((value as { packets: PacketReport[] }).packets)).toHaveLength(5);
  });

  test('any number of workers', async () => {
    const captures = put(FORMS.ethernet!(CONVERSATION), false);
    const main = join(import.meta.dirname, '../../build/program/main.js');
    const outputs = [1, 2, 3].map(async (workers) => {
      const out = join(folder, `workers-${workers}`);
      const options = ['--host', rejecting, '--workers', String(workers), '--packets', out];
      const env = { ...process.env, CTREPLAY_TEST_WORKERS: 'all' };
      await promisify(execFile)(process.execPath, [main, 'replay', ...options, ...captures], { env });
      return readFileSync(out, 'utf8');
    });
    const [one, ...others] = await Promise.all(outputs);
    for (const other of others) expect(other).toBe(one);
  });
});

describe('what is captured on one side only', () => {
  test('of the client: answers leave, and are tracked as they arrived', async () => {
    const lan = CONVERSATION.filter(({ leg }) => leg === 'lan');
    const { packets, events } = await play(masquerading, put(FORMS.sll2!(lan), false));
    expect(events).toEqual(EVENTS.slice(0, 3));
    expect(copies(packets)).toEqual([]);
    const back = packets.filter(({ ct }) => ct?.dir === 'reply');
    expect(back.map((packet) => `${packet.in}>${packet.out} ${packet.verdict}`)).toEqual([
      'wan>lan ACCEPT',
      'wan>lan ACCEPT',
    ]);
    expect(back[0]).toMatchObject({ nat: { dst: '10.0.1.2' } });
  });

  test('a packet that leaves with a TTL of 1 arrived with 2', async () => {
    const bytes = ip(SERVER, '10.0.1.2', udp({ sport: 1, dport: 2 }), { ttl: 1 });
    const { packets } = await play(rejecting, put(FORMS.sll2!([{ time: 0n, leg: 'lan', side: 'out', bytes }]), false));
    expect(packets).toMatchObject([{ path: 'forward', in: 'wan', out: 'lan', verdict: 'ACCEPT' }]);
  });

  test('an arrival that the capture lost: its copy is not tracked, the side is known to be captured', async () => {
    const lost = CONVERSATION.filter((_, index) => index !== 2);
    const { packets, events } = await play(masquerading, put(FORMS.ethernet!(lost), false));
    // The SYN/ACK is missing: nothing has arrived on wan before, so its copy is all there is of it.
    expect(events).toEqual(EVENTS);
    expect(copies(packets)).toHaveLength(4);
    const later = CONVERSATION.filter((_, index) => index !== 9);
    const second = await play(masquerading, put(FORMS.ethernet!(later), false));
    expect(copies(second.packets)).toHaveLength(5);
    expect(second.packets.filter(({ ct }) => ct?.dir === 'reply')).toHaveLength(2);
  });
});

describe('what the host answers', () => {
  const SYN = ip('10.0.1.2', SERVER, tcp({ sport: 4001, dport: 23, flags: 'S', seq: 7000 }), { id: 9 });
  const RST = ip(SERVER, '10.0.1.2', tcp({ sport: 23, dport: 4001, flags: 'RA', seq: 0, ack: 7001, win: 0 }));
  const ASKED = ip('10.0.1.2', SERVER, udp({ sport: 4002, dport: 69, payload: 20 }), { id: 10 });
  const ERROR = ip('10.0.1.1', '10.0.1.2', icmp({ type: 3, code: 3, payload: quote(ASKED) }));

  test('is known, and not sent a second time', async () => {
    const sights: Sight[] = [
      { time: 0n, leg: 'lan', side: 'in', bytes: SYN },
      { time: 30n * US, leg: 'lan', side: 'out', bytes: RST },
      { time: MS, leg: 'lan', side: 'in', bytes: ASKED },
      { time: MS + 30n * US, leg: 'lan', side: 'out', bytes: ERROR },
    ];
    const { packets } = await play(rejecting, put(FORMS.ethernet!(sights), false));
    expect(packets.map(({ verdict, why }) => why ?? verdict)).toEqual([
      'REJECT',
      'egress-copy',
      'REJECT',
      'egress-copy',
    ]);
  });

  test('but an error that no rule sent is its own', async () => {
    const other = ip('10.0.1.1', '10.0.1.2', icmp({ type: 3, code: 1, payload: quote(ASKED) }));
    const sights: Sight[] = [{ time: 0n, leg: 'lan', side: 'out', bytes: other }];
    const { packets } = await play(rejecting, put(FORMS.ethernet!(sights), false));
    expect(packets).toMatchObject([{ path: 'output', out: 'lan', ct: { state: 'RELATED' } }]);
  });
});

describe('fragments', () => {
  const part = (client: string, ttl: number, offset: number, more: boolean, from: number, to: number) => {
    const whole = udp({ sport: 4003, dport: 9, payload: 1600 });
    return ip(client, SERVER, { ...whole, bytes: whole.bytes.subarray(from, to), checksumAt: undefined } as never, {
      ttl,
      id: 77,
      df: false,
      fragment: { offset, more },
    });
  };
  const pieces = (client: string, ttl: number) => [
    part(client, ttl, 0, true, 0, 800),
    part(client, ttl, 800, false, 800, 1608),
  ];

  test('that left are not put together with those that arrived', async () => {
    const sights: Sight[] = [
      ...pieces('10.0.1.2', 64).map((bytes, i) => ({ time: BigInt(i) * US, leg: 'lan', side: 'in', bytes }) as const),
      ...pieces('192.0.2.1', 63).map(
        (bytes, i) => ({ time: BigInt(20 + i) * US, leg: 'wan', side: 'out', bytes }) as const,
      ),
    ];
    const { packets, events } = await play(masquerading, put(FORMS.ethernet!(sights), false));
    expect(events).toEqual([
      '    [NEW] udp      17 30 src=10.0.1.2 dst=198.51.100.7 sport=4003 dport=9 [UNREPLIED] src=198.51.100.7 dst=192.0.2.1 sport=9 dport=4003',
    ]);
    expect(copies(packets)).toHaveLength(2);
  });

  test('show the addresses that NAT changed, and the one that completed the packet the ports, too', async () => {
    const ports = MASQUERADE.replace('-o wan -j', '-o wan -p udp -j').replace(
      'MASQUERADE\n',
      'MASQUERADE --to-ports 5000\n',
    );
    const host = writeGateway(join(folder, 'ports'), ports);
    const arriving = pieces('10.0.1.2', 64).map(
      (bytes, i) => ({ time: BigInt(i) * US, leg: 'lan', side: 'in', bytes }) as const,
    );
    const { packets } = await play(host, put(FORMS.ethernet!(arriving), false));
    expect(packets.map(({ nat }) => nat)).toEqual([{ src: '192.0.2.1' }, { src: '192.0.2.1', sport: 5000 }]);
  });
});

describe('what contradicts the replay', () => {
  const nat = (...rules: string[]) => MASQUERADE.replace('-A POSTROUTING -o wan -j MASQUERADE', rules.join('\n'));
  const filter = (rule: string) =>
    `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n${rule}\nCOMMIT\n`;
  const datagram = (from: string, to: string, ttl: number, own: number) =>
    ip(from, to, udp({ sport: 4010, dport: 99, payload: 40 }), { ttl, id: own });
  /** One packet from the client, and how it left. */
  const passed = (left: Partial<Sight> = {}, from = '192.0.2.1'): Sight[] => [
    { time: 0n, leg: 'lan', side: 'in', bytes: datagram('10.0.1.2', SERVER, 64, 5) },
    { time: 30n * US, leg: 'wan', side: 'out', bytes: datagram(from, SERVER, 63, 5), ...left },
  ];
  const sayings: [string, string, Sight[]][] = [
    ['left-but-dropped', MASQUERADE + filter('-A FORWARD -p udp -j DROP'), passed()],
    ['left-but-dropped', MASQUERADE + filter('-A FORWARD -p udp -j REJECT'), passed()],
    ['left-but-delivered', nat('-A PREROUTING -p udp -j REDIRECT --to-ports 53'), passed({}, '10.0.1.2')],
    ['left-otherwise-translated', nat('-A POSTROUTING -o wan -j SNAT --to-source 192.0.2.9'), passed()],
    ['left-otherwise-translated', filter(''), passed()],
    ['left-by-other-interface', MASQUERADE, passed({ leg: 'lan' }, '10.0.1.2')],
  ];
  // The last one: MASQUERADE holds for wan alone, so that the addresses are not what differs there.
  sayings[5]![1] = nat('-A POSTROUTING -s 10.9.9.0/24 -o wan -j MASQUERADE');

  test.each(sayings)('%s', async (what, rules, sights) => {
    const host = writeGateway(join(folder, `host-${written++}`), rules);
    const { packets, result } = await play(host, put(FORMS.sll2!(sights), false));
    expect(packets[1]).toMatchObject({ why: 'egress-copy', of: { file: 1, n: 1 }, contradicts: what });
    expect(result.summary.copies).toEqual({
      packets: 1,
      found: 1,
      answers: 0,
      contradictions: [{ what, packets: 1, first: '1:2' }],
    });
  });

  const other = (time: bigint, own: number): Sight[] =>
    passed().map((sight, index) => ({
      ...sight,
      time: time + sight.time,
      bytes: ip(index ? '192.0.2.1' : '10.0.1.2', SERVER, udp({ sport: 4011, dport: 98, payload: 40 }), {
        ttl: 64 - index,
        id: own,
      }),
    }));
  const SECOND = 1000n * MS;

  test('not seen leaving, where others did before and after', async () => {
    const lost: Sight = { time: SECOND, leg: 'lan', side: 'in', bytes: datagram('10.0.1.2', SERVER, 64, 8) };
    const sights = [...other(0n, 6), lost, ...other(3n * SECOND, 7)];
    const { packets, result } = await play(masquerading, put(FORMS.ethernet!(sights), false));
    expect(copies(packets)).toHaveLength(2);
    expect(result.summary.copies!.contradictions).toEqual([{ what: 'not-seen-leaving', packets: 1, first: '1:2' }]);
    // Where nothing leaves afterwards the capture may have ended.
    const ended = await play(masquerading, put(FORMS.ethernet!(sights.slice(0, 3)), false));
    expect(ended.result.summary.copies!.contradictions).toEqual([]);
  });

  test('a next hop that does not answer is a reason not to leave', async () => {
    const bytes = datagram('10.0.1.2', '192.0.2.77', 64, 8);
    const error = ip('10.0.1.1', '10.0.1.2', icmp({ type: 3, code: 1, payload: quote(bytes) }));
    const sights: Sight[] = [
      ...other(0n, 6),
      { time: SECOND, leg: 'lan', side: 'in', bytes },
      ...other(3n * SECOND, 7),
      { time: 4n * SECOND, leg: 'lan', side: 'out', bytes: error },
    ];
    const { result } = await play(masquerading, put(FORMS.ethernet!(sights), false));
    expect(result.summary.copies!.contradictions).toEqual([]);
  });
});

test('a flood of equal packets is neither slow nor remembered for ever', async () => {
  // 70,000 arrivals that are all alike, and copies of most of them half a second later: beyond what is remembered.
  const bytes = [64, 63].map((ttl) => ip('10.0.1.2', SERVER, udp({ sport: 1, dport: 2 }), { ttl, id: 1 }));
  const sights: Sight[] = [];
  for (let i = 0n; i < 70_000n; i++) sights.push({ time: i * 2n * US, leg: 'lan', side: 'in', bytes: bytes[0]! });
  for (let i = 0n; i < 40_000n; i++) {
    sights.push({ time: 500n * MS + i * 2n * US, leg: 'wan', side: 'out', bytes: bytes[1]! });
  }
  const { packets, result } = await play(rejecting, put(FORMS.ethernet!(sights), false));
  expect(copies(packets)).toHaveLength(40_000);
  // Of the last 65,536 packets when the first copy comes, one is forgotten for each that follows: half of them are found.
  expect(result.summary.copies!.found).toBe(65_536 / 2);
}, 60_000);
