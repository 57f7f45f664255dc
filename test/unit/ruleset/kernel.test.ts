// Does the kernel match the same rules as the emitted code? Sends frames into a network namespace of its own whose raw
// table has a counter behind many generated tests, without connection tracking, so that fragments and headers that are
// too short reach the rules as they are. Needs root, iptables, iproute2 and python3; skipped loudly without.
import { type ChildProcessWithoutNullStreams, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createInterface, type Interface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Proto } from '../../../assembly/vocabulary.ts';
import { parseIpSets } from '../../../src/ruleset/ipset/parse.ts';
import { GENERATED_SETS, generateRule } from './generate.ts';
import { TOS } from './generate-packet.ts';
import { numbers } from './random.ts';
import { ipv4, ipv6, RuleBench, sctpChunks, type TestPacket } from './rule-bench.ts';

const SENDER = `ctreplay-send-${process.pid}`;
const RECEIVER = `ctreplay-recv-${process.pid}`;
const RECEIVER_MAC = [2, 0, 0, 0, 1, 1];
/** Index of eth0 among the interfaces of the bench. */
const ETH0 = 2;
const RULES = 350;
const SETS = parseIpSets('sets', GENERATED_SETS);
const PACKETS = 120;

/** Sends each line of hexadecimal as a frame and answers with a line. */
const SEND_FRAMES = `
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("out0", 0))
for line in sys.stdin:
    s.send(bytes.fromhex(line))
    print("sent", flush=True)
`;

function available(): boolean {
  if (process.getuid?.() !== 0) return false;
  return ['iptables-legacy-save', 'ip6tables-legacy-save', 'ip', 'ipset', 'python3'].every(
    (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0,
  );
}

const canAsk = available();
if (!canAsk) console.warn('SKIPPED: rules against the kernel (needs root, iptables, iproute2 and python3)');

function receiver(command: string, input?: string): string {
  return execFileSync('ip', ['netns', 'exec', RECEIVER, 'sh', '-c', command], { input, encoding: 'utf8' });
}

const ADDRESSES4 = ['10.0.0.1', '10.0.0.255', '10.1.2.3', '192.168.1.7', '127.0.0.1', '224.0.0.5', '8.8.8.8'].map(ipv4);
const SOURCES6 = ['2001:db8::1', '2001:db8::2', 'fe80::1:2', 'fe80::9:9'].map(ipv6);
const DESTINATIONS6 = ['2001:db8::1', '2001:db8::2', 'fd00::9', 'ff02::1', 'fe80::1:2'].map(ipv6);
const PORTS = [0, 22, 53, 80, 443, 1024, 40000, 65535];
const TCP_OPTIONS: readonly (readonly number[])[] = [
  [],
  [2, 4, 0x05, 0xb4],
  [1, 1, 5, 2],
  [2, 4, 0x02, 0x18, 4, 2, 1, 1],
  [8, 0, 2, 4, 2, 4, 1, 1],
  [3, 9, 1, 2],
  [1, 1, 1, 2],
  [1, 1, 2, 4],
];

/** A packet, and the frame it is. */
function generateFrame(family: 2 | 10, next: () => number): { packet: TestPacket; frame: Uint8Array } {
  const pick = <T>(choices: readonly T[]): T => choices[next() % choices.length] as T;
  const protocol = pick([
    Proto.TCP,
    Proto.TCP,
    Proto.TCP,
    Proto.UDP,
    Proto.UDP,
    Proto.ICMP,
    Proto.ICMPV6,
    Proto.UDPLITE,
    Proto.SCTP,
    Proto.SCTP,
    47,
  ]);
  const source = pick(family === 2 ? ADDRESSES4 : SOURCES6);
  const destination = pick(family === 2 ? ADDRESSES4 : DESTINATIONS6);
  const sport = pick(PORTS);
  const dport = pick(PORTS);
  let transport = new Uint8Array(8 + (next() % 3) * 16);
  transport.set([sport >> 8, sport & 255, dport >> 8, dport & 255]);
  if (protocol === Proto.TCP) {
    const options = pick(TCP_OPTIONS);
    const header = 20 + options.length;
    const data = pick([0, 0, 20]);
    transport = new Uint8Array(header + data);
    transport.set([sport >> 8, sport & 255, dport >> 8, dport & 255]);
    const claimed = pick([header << 2, header << 2, header << 2, header << 2, 0x40, 0xf0]);
    transport.set([claimed, pick([2, 16, 18, 4, 0, 41, 63])], 12);
    transport.set(options, 20);
  } else if (protocol === Proto.ICMP || protocol === Proto.ICMPV6) {
    transport.set([pick([0, 3, 8, 11, 128, 135, 1]), pick([0, 1, 3, 4])]);
  }
  if (protocol === Proto.SCTP) transport = sctpChunks(sport, dport, next);
  const cut = pick([0, 0, 0, 0, 0, 3, 4, 7, 12]);
  if (cut > 0) transport = transport.slice(0, cut);
  const fragmentOffset = family === 2 ? pick([0, 0, 0, 0, 0, 1, 185]) : 0;
  const mac = Uint8Array.from([2, 0, 0, 0, 0, next() % 3]);
  const ttl = pick([1, 5, 64, 255]);
  const tos = pick(TOS);
  const pkttype = pick([0, 0, 0, 1, 2]);
  const target = [RECEIVER_MAC, [255, 255, 255, 255, 255, 255], [1, 0, 0x5e, 0, 0, 5]][pkttype] ?? RECEIVER_MAC;
  const header =
    family === 2
      ? header4(protocol, source, destination, transport.length, { ttl, tos, offset: fragmentOffset })
      : header6(protocol, source, destination, transport.length, { ttl, tos });
  const frame = Uint8Array.from([
    ...target,
    ...mac,
    ...(family === 2 ? [8, 0] : [0x86, 0xdd]),
    ...header,
    ...transport,
  ]);
  const packet: TestPacket = {
    family,
    source,
    destination,
    sport,
    dport,
    protocol,
    transport,
    fragmentOffset,
    mac,
    ttl,
    tos,
    pkttype,
    iif: ETH0,
  };
  return { packet, frame };
}

function header4(
  protocol: number,
  source: Uint8Array,
  destination: Uint8Array,
  length: number,
  { ttl, tos, offset }: { ttl: number; tos: number; offset: number },
) {
  const total = 20 + length;
  const bytes = [
    0x45,
    tos,
    total >> 8,
    total & 255,
    0,
    7,
    offset >> 8,
    offset & 255,
    ttl,
    protocol,
    0,
    0,
    ...source,
    ...destination,
  ];
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = ~((sum & 0xffff) + (sum >> 16)) & 0xffff;
  bytes[10] = sum >> 8;
  bytes[11] = sum & 255;
  return bytes;
}

function header6(
  protocol: number,
  source: Uint8Array,
  destination: Uint8Array,
  length: number,
  { ttl, tos }: { ttl: number; tos: number },
) {
  return [
    0x60 | (tos >> 4),
    (tos << 4) & 0xff,
    0,
    0,
    length >> 8,
    length & 255,
    protocol,
    ttl,
    ...source,
    ...destination,
  ];
}

/**
 * Rules without target whose tests need neither connections nor time, in a user chain so that -o may stand in them. The
 * policy drops what was counted, so that the kernel answers nothing.
 */
function generateText(family: 2 | 10, seed: number): string {
  const next = numbers(seed);
  const rules: string[] = [];
  while (rules.length < RULES) {
    const rule = generateRule(family, next, 'filter')
      .replace(/ ?-[jg] .*$/, '')
      .replaceAll(/ +/g, ' ')
      .trim();
    if (/-m (state|conn(track|mark|label|bytes|limit)|limit|recent|hashlimit|statistic|quota)/.test(rule)) continue;
    rules.push(`-A all ${rule}`);
  }
  const lines = [
    '*raw',
    ':PREROUTING DROP [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':all - [0:0]',
    '-A PREROUTING',
    '-A PREROUTING -j all',
  ];
  return `${[...lines, ...rules, 'COMMIT'].join('\n')}\n`;
}

describe.skipIf(!canAsk)('the kernel', () => {
  let sender: ChildProcessWithoutNullStreams;
  let answers: Interface;

  beforeAll(() => {
    const ip = (...words: string[]) => execFileSync('ip', words);
    ip('netns', 'add', SENDER);
    ip('netns', 'add', RECEIVER);
    ip('-n', SENDER, 'link', 'add', 'out0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', RECEIVER);
    execFileSync('ip', ['netns', 'exec', SENDER, 'sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=1']);
    receiver(
      'sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth0.router_solicitations=0',
    );
    ip('-n', RECEIVER, 'link', 'set', 'eth0', 'address', RECEIVER_MAC.map((byte) => byte.toString(16)).join(':'));
    ip('-n', RECEIVER, 'link', 'set', 'lo', 'up');
    ip('-n', RECEIVER, 'addr', 'add', '10.0.0.1/24', 'brd', '+', 'dev', 'eth0');
    ip('-n', RECEIVER, 'link', 'set', 'eth0', 'up');
    ip('-n', RECEIVER, 'addr', 'add', '2001:db8::1/64', 'dev', 'eth0', 'nodad');
    receiver('ipset restore', GENERATED_SETS);
    ip('-n', SENDER, 'link', 'set', 'out0', 'up');
    sender = spawn('ip', ['netns', 'exec', SENDER, 'python3', '-c', SEND_FRAMES]);
    answers = createInterface({ input: sender.stdout });
  });

  afterAll(() => {
    sender?.stdin.end();
    for (const name of [SENDER, RECEIVER]) spawnSync('ip', ['netns', 'del', name]);
  });

  async function send(frame: Uint8Array): Promise<void> {
    const answered = new Promise((resolve) => answers.once('line', resolve));
    sender.stdin.write(`${Buffer.from(frame).toString('hex')}\n`);
    await answered;
  }

  for (const family of [2, 10] as const) {
    it(`counts what we count, ${family === 2 ? 'IPv4' : 'IPv6'}`, async () => {
      const tool = family === 2 ? 'iptables-legacy' : 'ip6tables-legacy';
      const seed = Number(process.env.CTREPLAY_SEED ?? 7) + family;
      const text = generateText(family, seed);
      receiver(`${tool}-restore`, text);
      const bench = await RuleBench.open(text, { family, sets: SETS });
      const next = numbers(seed + 1);
      const counters = (): [bigint, bigint][] =>
        [...receiver(`${tool}-save -c -t raw`).matchAll(/^\[(\d+):(\d+)\] -A/gm)].map((line) => [
          BigInt(line[1] ?? 0),
          BigInt(line[2] ?? 0),
        ]);
      const used = new Set<number>();
      let before = counters();
      for (let count = 0; count < PACKETS; count++) {
        const { packet, frame } = generateFrame(family, next);
        await send(frame);
        let after = counters();
        for (let tries = 0; after[0]?.[0] === before[0]?.[0] && tries < 20; tries++) after = counters();
        const ours = bench.ruleset.entries
          .filter(({ rule }) => rule)
          .map(({ rule }) => bench.counter(rule?.index ?? 0));
        bench.run('raw/PREROUTING', packet);
        const differences: string[] = [];
        let index = 0;
        for (const { chain, rule } of bench.ruleset.entries) {
          if (!rule) continue;
          const now = bench.counter(rule.index);
          const was = ours[index] ?? now;
          const theirs = (after[index]?.[0] ?? 0n) - (before[index]?.[0] ?? 0n);
          const bytes = (after[index]?.[1] ?? 0n) - (before[index]?.[1] ?? 0n);
          if (theirs > 0n) used.add(index);
          if (now.packets - was.packets !== theirs || now.bytes - was.bytes !== bytes) {
            differences.push(
              `${chain.name} ${rule.number}: ${rule.text}: kernel ${theirs}, we ${now.packets - was.packets}`,
            );
          }
          index++;
        }
        const shown = JSON.stringify({ ...packet, transport: Buffer.from(packet.transport ?? []).toString('hex') });
        expect(differences, `seed ${seed}, packet ${count}: ${shown}`).toEqual([]);
        before = after;
      }
      // Tests that no packet passes prove little.
      expect(used.size).toBeGreaterThan(RULES / 4);
    });
  }
});
