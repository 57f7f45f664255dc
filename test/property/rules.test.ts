// Does the emitted code agree with the plain interpreter on any rules and any packets?
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WORLD } from '../../src/engine/layout.ts';
import { parseRulesets } from '../../src/ruleset/index.ts';
import { parseIpSets } from '../../src/ruleset/ipset/parse.ts';
import { lowerRuleset } from '../../src/ruleset/lower.ts';
import { RuleInterpreter } from '../model/rule-interpreter.ts';
import { GENERATED_SETS, generateRuleset } from '../unit/ruleset/generate.ts';
import { generatePacket } from '../unit/ruleset/generate-packet.ts';
import { numbers } from '../unit/ruleset/random.ts';
import { EXPECTED_INTERFACES, leadsBack, RuleBench, routeTypes, sentBy } from '../unit/ruleset/rule-bench.ts';

const SETS = parseIpSets('sets', GENERATED_SETS);
const START = 1_700_000_000n * 1_000_000_000n;

async function agree(family: 2 | 10, seed: number, traced: boolean): Promise<{ hits: number; logs: number }> {
  const next = numbers(seed);
  const text = generateRuleset(family, next);
  const ruleset = parseRulesets([{ file: 'generated', text, family, sets: SETS }]);
  const bench = await RuleBench.of(ruleset, { trace: traced, start: START });
  const program = lowerRuleset(ruleset);
  const model = new RuleInterpreter(bench.memory, program, {
    interfaceName: (index) => EXPECTED_INTERFACES[index] ?? '',
    routeTypes,
    leadsBack,
    sentBy,
  });
  let clock = START;
  let logs = 0;
  for (let count = 0; count < 24; count++) {
    clock += BigInt(next() % 4_000) * 1_000_000n;
    const packet = generatePacket(family, next, clock);
    for (const index of [0, 1]) bench.view.setBigUint64(bench.world(index) + WORLD.number, BigInt(count), true);
    for (const chain of program.chains) {
      if (!chain.base) continue;
      const ours = bench.place(packet, 0);
      const theirs = bench.place(packet, 1);
      bench.trace = [];
      model.trace.length = 0;
      const emitted = bench.outcome(bench.call(`${chain.table}/${chain.name}`, ours, bench.world(0), family), ours, 0);
      const expected = bench.outcome(model.run(chain, theirs, bench.world(1)), theirs, 1);
      expect(emitted, `${text}\n${chain.table}/${chain.name}`).toEqual(expected);
      if (traced) expect(bench.trace, text).toEqual(model.trace);
      logs += emitted.logs.length;
    }
  }
  let hits = 0;
  for (const index of ruleset.entries.keys()) {
    expect(bench.counter(index, 0), `${text}\ncounter ${index}`).toEqual(bench.counter(index, 1));
    if (bench.counter(index).packets > 0n) hits++;
  }
  expect(bench.state(0)).toEqual(bench.state(1));
  return { hits, logs };
}

describe('emitted rules', () => {
  for (const family of [2, 10] as const) {
    for (const traced of [false, true]) {
      it(`agree with the interpreter, ${family === 2 ? 'IPv4' : 'IPv6'}${traced ? ', traced' : ''}`, async () => {
        let hits = 0;
        let logs = 0;
        await fc.assert(
          fc.asyncProperty(fc.integer(), async (seed) => {
            const found = await agree(family, seed, traced);
            hits += found.hits;
            logs += found.logs;
          }),
          { numRuns: traced ? 40 : 120, endOnFailure: true },
        );
        // Rules that nothing matches would prove nothing.
        expect(hits).toBeGreaterThan(traced ? 300 : 900);
        expect(logs).toBeGreaterThan(0);
      });
    }
  }
});
