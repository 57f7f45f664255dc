// How long does a ruleset take to load, by size and form: its text read and checked, compiled, and V8's part? In place of
// packets, rules are counted.

import { median, spreadOf } from '../src/bench/statistics.ts';
import { compileRuleset, parseRulesets } from '../src/ruleset/index.ts';
import type { Measure } from './measure.ts';
import { FORMS, ruleset } from './rulesets.ts';

const COUNTS = [10_000, 100_000];
const STEPS = ['parse', 'compile', 'module', 'all'] as const;

export function benchLoad(repeats: number): Measure[] {
  return COUNTS.flatMap((count) =>
    FORMS.flatMap((form) => load(`${count} ${form.name}`, ruleset(count, form), count, repeats)),
  );
}

function load(name: string, text: string, rules: number, repeats: number): Measure[] {
  const samples = STEPS.map((): number[] => []);
  const cpu: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    const before = process.cpuUsage();
    const times = [performance.now()];
    const parsed = parseRulesets([{ file: 'bench', text }]);
    times.push(performance.now());
    const { wasm } = compileRuleset(parsed, { interfaceTable: 65536, tableBase: 1 });
    times.push(performance.now());
    new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
    times.push(performance.now());
    const { user, system } = process.cpuUsage(before);
    cpu.push(user + system);
    const [start = 0, ...ends] = times;
    ends.forEach((end, step) => {
      samples[step]?.push(((end - (times[step] ?? 0)) * 1e6) / rules);
    });
    samples.at(-1)?.push((((times.at(-1) ?? 0) - start) * 1e6) / rules);
  }
  return STEPS.map((step, index) => ({
    name: `load / ${name}, ${step}`,
    nsPerPacket: median(samples[index] ?? []),
    spread: spreadOf(samples[index] ?? []),
    samples: repeats,
    ...(step === 'all' && { cpuNsPerPacket: (median(cpu) * 1000) / rules }),
  }));
}
