// Does time do the same to the kernel's entries and to ours? Real time, short timeouts, everything at once; besides what every
// comparison holds, the moment of each death. Needs what kernel.test.ts needs.

import { describe, expect, it } from 'vitest';
import { traffic } from './craft.ts';
import { compareTraffic } from './judge.ts';
import { missing } from './kernel.ts';
import { commandLine } from './ours.ts';
import { TIMED_SEQUENCES } from './timed-sequences.ts';

/** On a busy machine a jiffy may end while a packet is under way: such a comparison is made again. */
const AGAIN = { retry: 2, timeout: 120_000 };

const lacks = [...missing(), ...(commandLine() ? [] : ['a built ctreplay (npm run build)'])];
if (lacks.length) console.warn(`timed comparison with the kernel SKIPPED; missing: ${lacks.join('; ')}`);
if (lacks.length && process.env.CTREPLAY_REQUIRE_KERNEL === '1') {
  it('time can be compared with the kernel', () => {
    throw new Error(`missing: ${lacks.join('; ')}`);
  });
}

describe.skipIf(lacks.length > 0)('time: the kernel and ctreplay agree', AGAIN, () => {
  it.concurrent.each(TIMED_SEQUENCES)('$name', async ({ steps, sysctls = {}, deaths }) => {
    const stories: string[] = [];
    const options = { workers: 2, limit: 3, print: (text: string) => void stories.push(text) };
    const asked = { ...traffic(steps), rules4: [], rules6: [], sysctls, interfaces: ['lan', 'wan'] as const };
    const { comparison, moments } = await compareTraffic(asked, options);
    expect(comparison.packets).toBe(asked.frames.length);
    if (comparison.differences.length) {
      throw new Error(`${comparison.differences.length} differences\n${stories.join('\n')}`);
    }
    expect(moments).toBeGreaterThanOrEqual(deaths);
  });
});
