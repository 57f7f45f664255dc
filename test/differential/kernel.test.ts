// Do the kernel and ctreplay agree on real captures and on hand-made packets? Needs root, the Debian packages named by
// `missing()` and a built ctreplay; without them it is skipped, or fails when CTREPLAY_REQUIRE_KERNEL=1 (CI).

import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { answersOf, type KernelAnswers } from './answers.ts';
import { icmp, tcp, traffic, udp } from './craft.ts';
import type { Traffic } from './frames.ts';
import { placedAround } from './host.ts';
import { HOST_SEQUENCES } from './host-sequences.ts';
import { compareTraffic } from './judge.ts';
import { askKernel, missing, type Question } from './kernel.ts';
import { questionOf, SETTINGS } from './matrix.ts';
import { commandLine } from './ours.ts';
import { PROTOCOL_SEQUENCES } from './protocol-sequences.ts';
import { readCapture } from './read-capture.ts';
import { runSeeds } from './seeds.ts';
import { SEQUENCES } from './sequences.ts';

/** On a busy machine a second may pass between a packet and the kernel's clock: such a comparison is made again. */
const AGAIN = { retry: 2, timeout: 120_000 };

const required = process.env.CTREPLAY_REQUIRE_KERNEL === '1';
const lacks = missing();
const unbuilt = commandLine() ? [] : ['a built ctreplay (npm run build)'];
const shared = fileURLToPath(new URL('../../../shared/captures/', import.meta.url));

function skipOrFail(what: string, reasons: string[]): boolean {
  if (reasons.length === 0) return false;
  const text = `${what} SKIPPED; missing: ${reasons.join('; ')}`;
  if (required) {
    it(`${what} can run`, () => {
      throw new Error(text);
    });
  } else console.warn(text);
  return true;
}

function question(given: Traffic, extra: Partial<Question> = {}): Question {
  return { ...given, rules4: [], rules6: [], sysctls: {}, interfaces: ['lan', 'wan'], ...extra };
}

async function ask(steps: (Buffer | number)[], extra: Partial<Question> = {}): Promise<KernelAnswers> {
  const given = traffic(steps);
  return answersOf(given.frames, await askKernel(question(given, extra)));
}

const noKernel = skipOrFail('asking the kernel', lacks);

describe.skipIf(noKernel)('what the kernel is seen to do', AGAIN, () => {
  const syn = tcp({ flags: 'S', seq: 1000 });
  const synAck = tcp({ flags: 'S.', back: true, seq: 5000, ack: 1001 });
  const ack = tcp({ flags: '.', seq: 1001, ack: 5001 });
  const rules = (...lines: string[]): string[] => [
    ['*filter', ':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', ...lines, 'COMMIT', ''].join(
      '\n',
    ),
  ];

  it('sees a handshake with every event where it belongs', async () => {
    const answers = await ask([syn, synAck, ack]);
    expect(answers.packets.map(({ ct, entry, verdict, events }) => ({ ct, entry, verdict, events }))).toMatchObject([
      {
        ct: { state: 'NEW', dir: 'original' },
        entry: { flow: 1, tcp: 'SYN_SENT' },
        verdict: 'ACCEPT',
        events: ['NEW'],
      },
      { ct: { state: 'ESTABLISHED', dir: 'reply' }, entry: { flow: 1, tcp: 'SYN_RECV' }, events: ['UPDATE'] },
      { ct: { state: 'ESTABLISHED', dir: 'original' }, entry: { flow: 1, tcp: 'ESTABLISHED' }, events: ['UPDATE'] },
    ]);
    expect(answers.packets.map(({ hooks }) => hooks.join())).toEqual(Array(3).fill('PREROUTING,FORWARD,POSTROUTING'));
    const ends = 'src=10.0.0.2 dst=192.0.2.80 sport=4000 dport=80';
    const back = 'src=192.0.2.80 dst=10.0.0.2 sport=80 dport=4000';
    expect(answers.events.map(({ line }) => line)).toEqual([
      `    [NEW] tcp      6 120 SYN_SENT ${ends} [UNREPLIED] ${back}`,
      ` [UPDATE] tcp      6 60 SYN_RECV ${ends} ${back}`,
      ` [UPDATE] tcp      6 432000 ESTABLISHED ${ends} ${back} [ASSURED]`,
    ]);
    expect(answers.table).toHaveLength(1);
  });

  it('tells DROP, REJECT and its kind, UNTRACKED and INVALID apart, and counts rules', async () => {
    const steps = [syn, udp({}), udp({ dport: 69 }), icmp({ type: 8, rest: 1 }), synAck, ack];
    const raw =
      '*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -p udp --dport 69 -j CT --notrack\nCOMMIT\n';
    const answers = await ask(steps, {
      rules4: [
        raw +
          rules(
            '-A FORWARD -m conntrack --ctstate INVALID -j DROP',
            '-A FORWARD -p tcp -j REJECT --reject-with tcp-reset',
            '-A FORWARD -p icmp -j REJECT --reject-with icmp-host-prohibited',
            '-A FORWARD -p udp --dport 53 -j DROP',
          )[0],
      ],
    });
    expect(answers.packets.map(({ verdict, with: kind, ct }) => [verdict, kind, ct?.state])).toEqual([
      ['REJECT', 'tcp-reset', 'NEW'],
      ['DROP', undefined, 'NEW'],
      ['ACCEPT', undefined, 'UNTRACKED'],
      ['REJECT', 'icmp-host-prohibited', 'NEW'],
      ['DROP', undefined, 'INVALID'],
      ['REJECT', 'tcp-reset', 'NEW'],
    ]);
    expect(answers.packets.map(({ entry }) => entry)).toEqual(Array(6).fill(undefined));
    expect(answers.events).toEqual([]);
    expect(answers.counters4).toContain('[2:80] -A FORWARD -p tcp -j REJECT --reject-with tcp-reset');
  });

  it('keeps pauses: UDP becomes a stream after two seconds', async () => {
    const answers = await ask([udp({ family: 6 }), udp({ family: 6, back: true }), 2100, udp({ family: 6 })]);
    expect(answers.packets.map(({ entry }) => [entry?.timeout, entry?.status.join()])).toEqual([
      [30, ''],
      [30, 'SEEN_REPLY'],
      [120, 'SEEN_REPLY,ASSURED'],
    ]);
  });
});

const CAPTURES = [
  'tcp-winscale-examples.pcapng',
  'tcp-winscale-255.pcap',
  'tcp-syn-isn-storm.pcap',
  'tcp-zero-window.pcap',
  'tcp-every-packet-twice.pcap',
  'tcp-handshake-reorder.pcap',
  'tcp-reply-side-only.pcap',
  'tcp-fin-before-synack.pcap',
  'tcp-rst-injected-in-handshake.pcap',
  'tcp-server-rst.pcap',
  'tcp-chargen-halfclose-rst.pcap',
  'tcp-flags-one-way-all63.pcap',
  'tcp-split-handshake-4way.pcap',
  'tcp-fast-open.pcap',
  'tcp-long-idle.pcap',
  'tcp-null-fin-xmas-scan.pcap',
  'tcp-bad-checksum.pcap',
  'tcp-keepalives.pcap',
  'udp-gnutella-many-flows.pcap',
  'udp-quic-port-unreach.pcapng',
  'icmp-echo-dns-mix.pcapng',
  'icmp-linux-traceroute.pcap',
  'icmp-frag-needed.pcap',
  'icmp-all-types.pcapng',
  'icmpv6-mixed-errors.pcap',
  'l2-vlan-collisions.pcap',
  'sctp-init-collision.pcap',
  'sctp-addip-multihoming-sll.pcap',
  'sctp-two-assocs-unanswered-init.pcap',
  'gre-ip.pcap',
  'pptp-gre.pcap',
  'udplite-coverage.pcap',
  'udplite-illegal-coverage.pcap',
  'dccp-session-v6.pcap',
];

const noComparison = skipOrFail('comparing with the kernel', [...lacks, ...unbuilt]);
const noCaptures = !existsSync(shared);
if (noCaptures) console.warn(`captures SKIPPED: ${shared} is not there`);

async function agree(asked: Question): Promise<void> {
  const stories: string[] = [];
  const options = { workers: 2, limit: 3, print: (text: string) => void stories.push(text) };
  const { comparison } = await compareTraffic(asked, options);
  expect(comparison.packets).toBe(asked.frames.length);
  if (comparison.differences.length) {
    throw new Error(
      `${comparison.differences.length} differences in ${comparison.packets} packets\n${stories.join('\n')}`,
    );
  }
}

describe.skipIf(noComparison || noCaptures)('captures: the kernel and ctreplay agree', AGAIN, () => {
  for (const [name, setting] of Object.entries(SETTINGS)) {
    it.each(CAPTURES)(`%s with ${name}`, async (file) => {
      const asked = questionOf(readCapture(shared + file), setting);
      expect(asked.frames.length).toBeGreaterThan(0);
      await agree(asked);
    });
  }
});

const SEEDS = 50;

describe.skipIf(noComparison)('generated traffic: the kernel and ctreplay agree', AGAIN, () => {
  it(`on ${SEEDS} seeds`, { timeout: 300_000 }, async () => {
    const stories: string[] = [];
    const print = (text: string): void => void stories.push(text);
    const result = await runSeeds({ first: 1, last: SEEDS, packets: 2000, jobs: 1, workers: 2, limit: 1, print });
    expect(result).toMatchObject({ seeds: SEEDS, packets: SEEDS * 2000 });
    if (result.failing.length) throw new Error(`seeds ${result.failing.join(' ')} differ\n${stories.join('\n')}`);
  });
});

const bundled = fileURLToPath(new URL('../../captures/', import.meta.url));
const OWN = readdirSync(bundled).filter((file) => /\.pcap(ng)?(\.gz)?$/.test(file));

describe.skipIf(noComparison)('our own captures: the kernel and ctreplay agree', AGAIN, () => {
  it.each(OWN)('%s behind a gateway', async (file) => {
    const asked = questionOf(readCapture(bundled + file), SETTINGS['a gateway']!);
    expect(asked.frames.length).toBeGreaterThan(0);
    await agree(asked);
  });
});

describe.skipIf(noComparison)('hand-made packets: the kernel and ctreplay agree', AGAIN, () => {
  it.each([...SEQUENCES, ...PROTOCOL_SEQUENCES])('$name', async ({ steps, ...extra }) => {
    const { name: _, ...rest } = extra;
    await agree(question(traffic(steps), rest));
  });
});

describe.skipIf(noComparison)('packets to and from the host: the kernel and ctreplay agree', AGAIN, () => {
  it.each(HOST_SEQUENCES)('$name', async ({ name: _, steps, locals, ...rest }) => {
    const packets = steps.map((packet, index) => ({ origin: index + 1, packet: packet as Buffer, wait: 0 }));
    await agree(question(placedAround(packets, locals), { locals, ...rest }));
  });
});
