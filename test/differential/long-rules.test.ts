// Does the kernel, which tests rule after rule, agree with runs of rules that are found by what they test? Verdicts, marks and
// the counters of 1,000 rules, over the bundled captures. Needs what kernel.test.ts needs.

import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DispatchPlanner } from '../../src/ruleset/dispatch.ts';
import { parseRulesets } from '../../src/ruleset/index.ts';
import { lowerRuleset } from '../../src/ruleset/lower.ts';
import { Random } from '../model/random.ts';
import { framesOf } from './frames.ts';
import { longRules } from './generate-long-rules.ts';
import { compareTraffic } from './judge.ts';
import { missing } from './kernel.ts';
import { commandLine } from './ours.ts';
import { readCapture } from './read-capture.ts';

const RULES = 1000;
const CASES = ['internet.pcap', 'dns.pcap', 'http.pcap', 'ipv6.pcap', 'tcp-odd.pcap'].flatMap((file, place) =>
  [1, 2].map((seed) => ({ file, seed: place * 10 + seed })),
);
const captures = fileURLToPath(new URL('../../captures/', import.meta.url));
const lacks = [...missing(), ...(commandLine() ? [] : ['a built ctreplay (npm run build)'])];

if (lacks.length > 0) {
  const text = `comparing long rulesets with the kernel SKIPPED; missing: ${lacks.join('; ')}`;
  if (process.env.CTREPLAY_REQUIRE_KERNEL === '1') {
    it('comparing long rulesets can run', () => {
      throw new Error(text);
    });
  } else console.warn(text);
}

/** Rules of the text that lie in runs. */
function dispatched(text: string, family: 2 | 10): number {
  const program = lowerRuleset(parseRulesets([{ file: 'long', text, family }]));
  const planner = new DispatchPlanner(program);
  const pieces = program.chains.flatMap((chain) => planner.plan(chain));
  return pieces.reduce((sum, { kind, rules }) => sum + (kind === 'run' ? rules.length : 0), 0);
}

describe.skipIf(lacks.length > 0)('long rulesets', { retry: 2, timeout: 120_000 }, () => {
  it.each(CASES)('$file, seed $seed: the kernel and ctreplay agree', async ({ file, seed }) => {
    const traffic = framesOf(readCapture(captures + file), false);
    const random = new Random(seed);
    const addresses = [...traffic.sides.keys()];
    const rules4 = longRules(
      4,
      addresses.filter((each) => !each.includes(':')),
      RULES,
      random,
    );
    const rules6 = longRules(
      6,
      addresses.filter((each) => each.includes(':')),
      RULES,
      random,
    );
    // Without runs there would be nothing to compare.
    expect(dispatched(rules4, 2) + dispatched(rules6, 10)).toBeGreaterThan(RULES);
    const stories: string[] = [];
    const { comparison, kernel } = await compareTraffic(
      { ...traffic, rules4: [rules4], rules6: [rules6], sysctls: {}, interfaces: ['lan', 'wan'] },
      { workers: 2, limit: 3, print: (text) => void stories.push(text) },
    );
    expect(comparison.packets).toBe(traffic.frames.length);
    expect(comparison.differences, stories.join('\n')).toEqual([]);
    const hit = [...`${kernel.counters4}${kernel.counters6}`.matchAll(/^\[[1-9]\d*:\d+\] -A FORWARD/gm)].length;
    expect(hit).toBeGreaterThan(20);
  });
});
