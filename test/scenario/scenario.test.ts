// Do ctreplay and the running kernel do what the scenarios say? Reads every *.md of this folder; docs/scenarios.md
// describes them.
//
// CTREPLAY_REQUIRE_KERNEL=1  fail where the kernel cannot be asked, instead of skipping
// CTREPLAY_KERNEL_SLOW=1     let the kernel live through `time: virtual` scenarios too, those of up to half an hour

import { describe, expect, test } from 'vitest';
import { statesOf } from '../differential/nft.ts';
import {
  expectedEvents,
  expectedExpectations,
  type Outputs,
  packetPair,
  programMissing,
  replayThroughCtreplay,
  sortedTable,
} from './ctreplay.ts';
import { differences, kernelMissing, replayThroughKernel, tooLong } from './kernel.ts';
import { readScenarios, type Scenario } from './scenario-file.ts';

const scenarios = readScenarios();
const noProgram = programMissing();
const noKernel = kernelMissing();
/** Length of a scenario. */
const seconds = (scenario: Scenario): number => Number(scenario.steps.at(-1)!.time) / 1e9;
const slow = process.env.CTREPLAY_KERNEL_SLOW === '1';

if (noProgram) console.warn(`SKIPPED: scenarios through ctreplay: ${noProgram}`);
if (noKernel) console.warn(`SKIPPED: scenarios through the running kernel: ${noKernel}`);

test('the kernel can be asked where that is required', () => {
  if (process.env.CTREPLAY_REQUIRE_KERNEL === '1') expect(noKernel).toBeUndefined();
});

test('every scenario has a name of its own, and is marked if it is too long for the kernel', () => {
  const names = scenarios.map((scenario) => `${scenario.file}: ${scenario.name}`);
  expect(new Set(names).size).toBe(names.length);
  expect(
    scenarios.filter((scenario) => tooLong(scenario) && !scenario.virtual && scenario.askable).map((item) => item.name),
  ).toEqual([]);
});

describe.skipIf(noProgram !== undefined).concurrent('ctreplay', () => {
  for (const scenario of scenarios) {
    test(`${scenario.file}: ${scenario.name}`, async ({ expect }) => {
      const outputs = await replayThroughCtreplay(scenario, 1);
      expect(outputs.events).toBe(expectedEvents(scenario));
      expect(outputs.expectations).toBe(expectedExpectations(scenario));
      const packets = outputs.packets.split('\n').filter(Boolean);
      expect(packets.length).toBe(scenario.steps.length);
      for (const step of scenario.steps) {
        if (!step.packet) continue;
        const [wanted, actual] = packetPair(step.packet, packets[step.n - 1]!);
        expect(actual, `${scenario.file}:${step.packet.line}, packet ${step.n}`).toEqual(wanted);
      }
      if (scenario.table) {
        expect(outputs.table.split('\n').filter(Boolean).sort()).toEqual(sortedTable(scenario.table));
      }
      const rules = statesOf(outputs.counters);
      for (const { line, rule, counted } of scenario.counters) {
        expect(rules.get(rule), `${scenario.file}:${line}, counter of ${rule}`).toContain(`counter ${counted}`);
      }
      if (scenario.pending) expect(outputs.pending.split('\n').filter(Boolean)).toEqual(scenario.pending);
      expect(await replayThroughCtreplay(scenario, 2)).toEqual<Outputs>(outputs);
    });
  }
});

describe.skipIf(noKernel !== undefined).concurrent('kernel', () => {
  const askable = scenarios.filter((item) => item.askable && (!item.virtual || (slow && seconds(item) < 1800)));
  for (const scenario of askable) {
    // Kernel time goes in steps of 4 ms (CONFIG_HZ=250): if a step falls between a packet and its event, the event shows a
    // second less. That is rare, so a scenario may be tried again; a difference that stays is one.
    const patience = { retry: 3, timeout: scenario.virtual ? 2_000_000 : 30_000 };
    test(`${scenario.file}: ${scenario.name}`, patience, async ({ expect }) => {
      const found = differences(scenario, await replayThroughKernel(scenario));
      expect(found.join('\n')).toBe('');
    });
  }
});
