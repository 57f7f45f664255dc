// Are the credits of -m hashlimit the kernel's?
import { expect, it } from 'vitest';
import { hashlimitNumbers } from '../../../src/ruleset/hashlimit.ts';
import { parseRulesets } from '../../../src/ruleset/index.ts';

/** As /proc/net/ipt_hashlimit shows them on Linux 6.18 with HZ=250: the most credits of a bucket and the cost of a packet. */
const SHOWN = [
  ['--hashlimit-upto 10/sec', 68719476500000n, 13743895300000n],
  ['--hashlimit-upto 7/min --hashlimit-burst 100', 117804809003488400n, 1178048090034884n],
  ['--hashlimit-upto 3/day --hashlimit-burst 3', 11874725539200000000n, 3958241846400000000n],
  ['--hashlimit-upto 1kb/s', 0n, 64527752n],
  ['--hashlimit-upto 512kb/s --hashlimit-burst 1mb', 2n, 127996n],
  ['--hashlimit-upto 100b/s --hashlimit-burst 1000', 11n, 599186285n],
] as const;

for (const [options, cap, cost] of SHOWN) {
  it(options, () => {
    const text = `*filter\n-A OUTPUT -m hashlimit ${options} --hashlimit-name t\nCOMMIT\n`;
    const { entries } = parseRulesets([{ file: 'test', text, family: 2 }]);
    const match = entries.flatMap(({ rule }) => rule?.matches ?? []).find(({ kind }) => kind === 'hashlimit');
    if (match?.kind !== 'hashlimit') throw new Error('no hashlimit');
    expect(hashlimitNumbers(match.test)).toMatchObject({ cap, cost });
  });
}
