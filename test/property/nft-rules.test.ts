// Does the emitted code agree with the plain interpreter on any rules of nft and any packets?
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseRulesets } from '../../src/ruleset/index.ts';
import { lowerRuleset } from '../../src/ruleset/lower.ts';
import { RuleInterpreter } from '../model/rule-interpreter.ts';
import { generateNft } from '../unit/ruleset/generate-nft.ts';
import { generatePacket } from '../unit/ruleset/generate-packet.ts';
import { numbers } from '../unit/ruleset/random.ts';
import { EXPECTED_INTERFACES, leadsBack, RuleBench, routeTypes, sentBy } from '../unit/ruleset/rule-bench.ts';

const START = 1_700_000_000n * 1_000_000_000n;

async function agree(family: 2 | 10, seed: number, traced: boolean): Promise<number> {
  const next = numbers(seed);
  const text = generateNft(family, next);
  const ruleset = parseRulesets([{ file: 'generated', text }]);
  const bench = await RuleBench.of(ruleset, { trace: traced, start: START });
  const program = lowerRuleset(ruleset);
  const model = new RuleInterpreter(bench.memory, program, {
    interfaceName: (index) => EXPECTED_INTERFACES[index] ?? '',
    routeTypes,
    leadsBack,
    sentBy,
  });
  let clock = START;
  for (let count = 0; count < 32; count++) {
    clock += BigInt(next() % 1_500) * 1_000_000n;
    const packet = generatePacket(family, next, clock);
    for (const chain of program.chains) {
      if (!chain.base || chain.family !== family) continue;
      const ours = bench.place(packet, 0);
      const theirs = bench.place(packet, 1);
      bench.trace = [];
      model.trace.length = 0;
      const emitted = bench.outcome(bench.call(`${chain.table}/${chain.name}`, ours, bench.world(0), family), ours, 0);
      const expected = bench.outcome(model.run(chain, theirs, bench.world(1)), theirs, 1);
      expect(
        emitted,
        `${text}\n${JSON.stringify(packet, (_, value) => (typeof value === 'bigint' ? `${value}` : value))}`,
      ).toEqual(expected);
      if (traced) expect(bench.trace, text).toEqual(model.trace);
    }
  }
  let hits = 0;
  for (let index = 0; index < ruleset.counters; index++) {
    expect(bench.counter(index, 0), `${text}\ncounter ${index}`).toEqual(bench.counter(index, 1));
    if (bench.counter(index).packets > 0n) hits++;
  }
  for (const { state, words } of program.states) {
    const kept = [0, 1].map((world) => bench.state(world).slice(state, state + words.length * 8));
    expect(kept[0], text).toEqual(kept[1]);
  }
  return hits;
}

describe('emitted rules of nft', () => {
  for (const family of [2, 10] as const) {
    for (const traced of [false, true]) {
      it(`agree with the interpreter, ${family === 2 ? 'IPv4' : 'IPv6'}${traced ? ', traced' : ''}`, async () => {
        let hits = 0;
        await fc.assert(
          fc.asyncProperty(fc.integer(), async (seed) => {
            hits += await agree(family, seed, traced);
          }),
          { numRuns: traced ? 60 : 150, endOnFailure: true },
        );
        // Rules that nothing matches would prove nothing.
        expect(hits).toBeGreaterThan(traced ? 150 : 400);
      });
    }
  }
});
