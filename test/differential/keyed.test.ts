// Does the kernel agree with what rules remember by address (-m recent, hashlimit, connlimit)? Drawn rules, over the bundled
// captures. Needs what kernel.test.ts needs. CTREPLAY_KEYED_CAPTURES=FILE,FILE,... instead of the bundled ones,
// CTREPLAY_KEYED_SEEDS=N for other and more rules.

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Random } from '../model/random.ts';
import { framesOf } from './frames.ts';
import { keyedRules } from './generate-keyed-rules.ts';
import { compareTraffic } from './judge.ts';
import { missing } from './kernel.ts';
import { commandLine } from './ours.ts';
import { readCapture } from './read-capture.ts';

const captures = fileURLToPath(new URL('../../captures/', import.meta.url));
const bundled = ['internet.pcap', 'dns.pcap', 'http.pcap', 'ipv6.pcap', 'ssh-session.pcap', 'ping-traceroute.pcap'];
const files = process.env.CTREPLAY_KEYED_CAPTURES?.split(',') ?? bundled.map((file) => captures + file);
const seeds = Number(process.env.CTREPLAY_KEYED_SEEDS ?? 3);
const CASES = files.flatMap((file, place) =>
  Array.from({ length: seeds }, (_, seed) => ({
    file,
    name: file.replace(/.*\//, ''),
    seed: place * seeds + seed + 1,
  })),
);
const lacks = [...missing(), ...(commandLine() ? [] : ['a built ctreplay (npm run build)'])];

if (lacks.length > 0) {
  const text = `comparing what rules remember with the kernel SKIPPED; missing: ${lacks.join('; ')}`;
  if (process.env.CTREPLAY_REQUIRE_KERNEL === '1') {
    it('comparing what rules remember can run', () => {
      throw new Error(text);
    });
  } else console.warn(text);
}

// A jiffy that ends while a packet is under way may bring a credit, or a look at a list, one packet later: such a run is
// tried again.
describe.skipIf(lacks.length > 0)('what rules remember', { retry: 3, timeout: 120_000 }, () => {
  it.each(CASES)('$name, seed $seed: the kernel and ctreplay agree', async ({ file, seed }) => {
    const traffic = framesOf(readCapture(file), true);
    const random = new Random(seed);
    const rules4 = keyedRules(4, random);
    const rules6 = keyedRules(6, random);
    const stories: string[] = [];
    const { comparison, kernel } = await compareTraffic(
      { ...traffic, rules4: [rules4], rules6: [rules6], sysctls: {}, interfaces: ['lan', 'wan'] },
      { workers: 2, limit: 3, print: (text) => void stories.push(text) },
    );
    expect(comparison.packets).toBe(traffic.frames.length);
    expect(comparison.differences, stories.join('\n')).toEqual([]);
    const hit = [...`${kernel.counters4}${kernel.counters6}`.matchAll(/^\[[1-9]\d*:\d+\] -A (FORWARD|both)/gm)].length;
    expect(hit).toBeGreaterThan(0);
  });
});
