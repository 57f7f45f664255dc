// Do the kernel and ctreplay expect the same connections, and give what comes the same state? As kernel.test.ts, for
// generated conversations and captures with helpers.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Random } from '../model/random.ts';
import { traffic } from './craft.ts';
import { addresses, addressText, framesOf, type Traffic } from './frames.ts';
import { h323Rules, h323Traffic } from './h323-traffic.ts';
import { type HelperTraffic, helperRules, helperTraffic } from './helper-traffic.ts';
import { compareTraffic } from './judge.ts';
import { missing, type Question } from './kernel.ts';
import { PUBLISHED, published, ROUTER, seenThrough } from './nat-view.ts';
import { commandLine } from './ours.ts';
import { readCapture } from './read-capture.ts';
import { ruleset } from './sequences.ts';
import { snmpTraffic } from './snmp-traffic.ts';
import { drawZones, zoned } from './zone-rules.ts';

const SEEDS = Number(process.env.CTREPLAY_HELPER_SEEDS ?? 12);
const PACKETS = 1500;
const AGAIN = { retry: 2, timeout: 120_000 };

const shared = fileURLToPath(new URL('../../../shared/captures/', import.meta.url));
const CAPTURES = [
  'ftp-500-ports-expected.pcap',
  'ftp-80-conns-v4v6.pcap',
  'ftp-active-passive-v4.pcap',
  'ftp-bounce.pcap',
  'ftp-eprt-epsv-v6.pcap',
  'ftp-epsv-v4.pcap',
  'ftp-port-loss-sack.pcap',
  'irc-dcc-send.pcapng',
  'pptp-gre.pcap',
  'sip-register-call-rtp.pcap',
  'tftp-write.pcap',
];

const lacks = [...missing(), ...(commandLine() ? [] : ['a built ctreplay (npm run build)'])];
if (lacks.length) {
  console.warn(`helpers SKIPPED; missing: ${lacks.join('; ')}`);
  if (process.env.CTREPLAY_REQUIRE_KERNEL === '1') {
    it('helpers can be compared', () => {
      throw new Error(lacks.join('; '));
    });
  }
}

/** Chance of our side: another one each time, so that a port that both drew, or that was announced, is not drawn again. */
let chance = 0;

async function agree(question: Question): Promise<number> {
  const stories: string[] = [];
  const { comparison, kernel } = await compareTraffic(question, {
    workers: 2,
    chance: chance++,
    limit: 2,
    print: (text) => void stories.push(text),
  });
  expect(comparison.packets).toBe(question.frames.length);
  if (comparison.differences.length) {
    throw new Error(`${comparison.differences.length} differences\n${stories.join('\n')}`);
  }
  return kernel.expectations.length;
}

function asked({ steps, rules4 = [], rules6 = [], outside, announced }: HelperTraffic): Question {
  const question = { ...traffic(steps, outside), rules4, rules6, sysctls: {}, interfaces: ['lan', 'wan'] as const };
  return announced ? { ...question, announced } : question;
}

describe.skipIf(lacks.length > 0)('generated conversations: the kernel and ctreplay agree', AGAIN, () => {
  it.each(Array.from({ length: SEEDS }, (_, index) => index + 1))('seed %i', async (seed) => {
    expect(await agree(asked(helperTraffic(seed, PACKETS)))).toBeGreaterThan(10);
  });

  it.each(Array.from({ length: SEEDS }, (_, index) => index + 1))('seed %i through NAT', async (seed) => {
    expect(await agree(asked(helperTraffic(seed, PACKETS, true)))).toBeGreaterThan(10);
  });
});

/** The same in zones that another draw decides. */
function inZones(seed: number, question: Question): Question {
  const zones = drawZones(new Random(seed + 1000));
  const rules = (family: 4 | 6, texts: readonly string[]) => texts.map((text) => zoned(text, family, zones));
  return { ...question, rules4: rules(4, question.rules4), rules6: rules(6, question.rules6) };
}

describe.skipIf(lacks.length > 0)('generated conversations in zones: the kernel and ctreplay agree', AGAIN, () => {
  const seeds = Array.from({ length: SEEDS }, (_, index) => index + 1);

  it.each(seeds)('seed %i', async (seed) => {
    await agree(inZones(seed, asked(helperTraffic(seed, PACKETS))));
  });

  it.each(seeds)('seed %i through NAT', async (seed) => {
    await agree(inZones(seed, asked(helperTraffic(seed, PACKETS, true))));
  });
});

describe.skipIf(lacks.length > 0)('generated conversations of H.323: the kernel and ctreplay agree', AGAIN, () => {
  it.each(Array.from({ length: Math.ceil(SEEDS / 2) }, (_, index) => index + 1))('seed %i', async (seed) => {
    expect(await agree(asked(h323Traffic(seed, PACKETS)))).toBeGreaterThan(10);
  });

  it.each(Array.from({ length: SEEDS }, (_, index) => index + 1))('seed %i through NAT', async (seed) => {
    expect(await agree(asked(h323Traffic(seed, PACKETS, true)))).toBeGreaterThan(10);
  });
});

describe.skipIf(lacks.length > 0)(
  'generated messages of SNMP through NAT: the kernel and ctreplay agree',
  AGAIN,
  () => {
    it.each(Array.from({ length: Math.ceil(SEEDS / 2) }, (_, index) => index + 1))('seed %i', async (seed) => {
      await agree(asked(snmpTraffic(seed, PACKETS)));
    });
  },
);

describe.skipIf(lacks.length > 0 || !existsSync(shared))('captures: the kernel and ctreplay agree', AGAIN, () => {
  const interfaces = ['lan', 'wan'] as const;
  it('h323-call.pcap', async () => {
    const rules = { rules4: [h323Rules()], rules6: [h323Rules()] };
    await agree({
      ...framesOf(readCapture(`${shared}h323-call.pcap`)),
      ...rules,
      sysctls: {},
      interfaces,
    });
  });
  it.each(CAPTURES)('%s', async (file) => {
    const rules = { rules4: [helperRules(4)], rules6: [helperRules(6)] };
    await agree({ ...framesOf(readCapture(shared + file)), ...rules, sysctls: {}, interfaces });
  });

  /** Each with its rules by family. */
  const translated = [
    ...CAPTURES.map((file) => [file, helperRules(4), helperRules(6)] as const),
    ['h323-call.pcap', h323Rules(), h323Rules()] as const,
  ];

  it.each(translated)('%s behind a masquerading gateway', async (file, given4, given6) => {
    const given = framesOf(readCapture(shared + file), false);
    const frames = seenThrough(given.frames, given.sides, ROUTER, true);
    const rules4 = [given4, ruleset('masquerade.iptables-save')].map(withoutFilter);
    const rules6 = [given6, ruleset('masquerade.ip6tables-save')].map(withoutFilter);
    await agree({ ...given, frames, rules4, rules6, sysctls: {}, interfaces, masquerades: true });
  });

  it.each(translated)('%s before a published server', async (file, given4, given6) => {
    const given = framesOf(readCapture(shared + file), false);
    const server = busiestServer(given);
    const family = server.includes(':') ? 6 : 4;
    const address = family === 6 ? PUBLISHED.v6 : PUBLISHED.v4;
    const frames = published(given.frames, server, PUBLISHED);
    const nat = `*nat\n-A PREROUTING -d ${addressText(address)} -j DNAT --to-destination ${server}\nCOMMIT\n`;
    const rules = (own: 4 | 6): string[] => [own === 4 ? given4 : given6, ...(own === family ? [nat] : [])];
    await agree({ ...given, frames, rules4: rules(4), rules6: rules(6), sysctls: {}, interfaces });
  });
});

/** Where packets from inside go most often. */
function busiestServer({ frames }: Traffic): string {
  const counts = new Map<string, number>();
  for (const { side, packet } of frames) {
    const [, target] = addresses(packet);
    if (side === 0) counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  return [...counts].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
}

/** Two texts may not have a table in common: the gateway's filter goes. */
function withoutFilter(text: string, index: number): string {
  return index === 0 ? text : text.replace(/\*filter\n.*?COMMIT\n/s, '');
}
