// What do rules cost a packet that passes all of them until the last, by number and form?

import { COMMON, type Traffic } from '../src/bench/traffic.ts';
import { Lab, Stream, tableBytes } from './lab.ts';
import { type Effort, type Measure, measure } from './measure.ts';
import { FORMS, ruleset } from './rulesets.ts';
import { trackTask } from './tcp.bench.ts';

const COUNTS = [0, 10, 100, 1000, 10_000];
const FLOWS = 1000;
const BATCHES = 16;

export async function benchRules(effort: Effort): Promise<Measure[]> {
  const results: Measure[] = [];
  for (const form of FORMS) {
    for (const count of COUNTS) {
      if (count === 0 && form !== FORMS[0]) continue;
      const lab = await Lab.open();
      const world = lab.world(tableBytes(FLOWS), { rules: count === 0 ? '' : ruleset(count, form) });
      const traffic: Traffic = { ...COMMON, packets: 2 ** 31, flows: FLOWS, frameBytes: 97, handshakesFirst: true };
      const stream = new Stream(traffic);
      lab.play(world, stream, FLOWS * 3);
      const batches = lab.keep(stream, BATCHES);
      const name = count === 0 ? 'rules / none' : `rules / ${count} ${form.name}`;
      results.push(...measure([trackTask(lab, world, batches, name)], effort));
    }
  }
  return results;
}
