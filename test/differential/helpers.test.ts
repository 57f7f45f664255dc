// Do the kernel and ctreplay expect the same connections, and give what comes the same state? As kernel.test.ts, for
// generated conversations and captures with helpers.

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { traffic } from './craft.ts';
import { framesOf } from './frames.ts';
import { h323Rules, h323Traffic } from './h323-traffic.ts';
import { helperRules, helperTraffic } from './helper-traffic.ts';
import { compareTraffic } from './judge.ts';
import { missing, type Question } from './kernel.ts';
import { commandLine } from './ours.ts';
import { readCapture } from './read-capture.ts';

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

async function agree(asked: Question): Promise<number> {
  const stories: string[] = [];
  const { comparison, kernel } = await compareTraffic(asked, {
    workers: 2,
    limit: 2,
    print: (text) => void stories.push(text),
  });
  expect(comparison.packets).toBe(asked.frames.length);
  if (comparison.differences.length) {
    throw new Error(`${comparison.differences.length} differences\n${stories.join('\n')}`);
  }
  return kernel.expectations.length;
}

describe.skipIf(lacks.length > 0)('generated conversations: the kernel and ctreplay agree', AGAIN, () => {
  it.each(Array.from({ length: SEEDS }, (_, index) => index + 1))('seed %i', async (seed) => {
    const { steps, rules4 = [], rules6 = [] } = helperTraffic(seed, PACKETS);
    const asked = { ...traffic(steps), rules4, rules6, sysctls: {}, interfaces: ['lan', 'wan'] as const };
    expect(await agree(asked)).toBeGreaterThan(10);
  });
});

describe.skipIf(lacks.length > 0)('generated conversations of H.323: the kernel and ctreplay agree', AGAIN, () => {
  it.each(Array.from({ length: Math.ceil(SEEDS / 2) }, (_, index) => index + 1))('seed %i', async (seed) => {
    const { steps, rules4 = [], rules6 = [] } = h323Traffic(seed, PACKETS);
    const asked = { ...traffic(steps), rules4, rules6, sysctls: {}, interfaces: ['lan', 'wan'] as const };
    expect(await agree(asked)).toBeGreaterThan(10);
  });
});

describe.skipIf(lacks.length > 0 || !existsSync(shared))('captures: the kernel and ctreplay agree', AGAIN, () => {
  it('h323-call.pcap', async () => {
    const rules = { rules4: [h323Rules()], rules6: [h323Rules()] };
    await agree({
      ...framesOf(readCapture(`${shared}h323-call.pcap`)),
      ...rules,
      sysctls: {},
      interfaces: ['lan', 'wan'],
    });
  });
  it.each(CAPTURES)('%s', async (file) => {
    const rules = { rules4: [helperRules(4)], rules6: [helperRules(6)] };
    await agree({ ...framesOf(readCapture(shared + file)), ...rules, sysctls: {}, interfaces: ['lan', 'wan'] });
  });
});
