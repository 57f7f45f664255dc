// What does tracking a TCP packet cost: all hooks, no rules, by direction and by size of the table?

import { COMMON, MODES, type Traffic } from '../src/bench/traffic.ts';
import { BATCH_PACKETS } from '../src/engine/layout.ts';
import { type Batches, Lab, Stream, tableBytes } from './lab.ts';
import { type Effort, type Measure, measure, type Task } from './measure.ts';

const SIZES = [
  { name: '10 k', flows: 10_000 },
  { name: '1 M', flows: 1_000_000 },
];
const DIRECTIONS = [
  { name: 'original', replies: 0 },
  { name: 'reply', replies: 1 },
  { name: 'both', replies: 0.5 },
];
const BATCHES = 32;

export async function benchTcp(effort: Effort): Promise<Measure[]> {
  const results: Measure[] = [];
  for (const { name, flows } of SIZES) {
    for (const direction of DIRECTIONS) {
      const lab = await Lab.open();
      const world = lab.world(tableBytes(flows));
      const traffic: Traffic = {
        ...COMMON,
        packets: 2 ** 31,
        flows,
        frameBytes: 97,
        handshakesFirst: true,
        replies: direction.replies,
      };
      const stream = new Stream(traffic);
      lab.play(world, stream, flows * 3);
      const batches = lab.keep(stream, BATCHES);
      const task = trackTask(lab, world, batches, `tcp / established ${direction.name}, ${name} entries`);
      results.push(...measure([task], effort));
    }
  }
  const lab = await Lab.open();
  const world = lab.world(tableBytes(BATCHES * BATCH_PACKETS));
  const batches = lab.keep(new Stream(MODES.synflood), BATCHES);
  results.push(...measure([trackTask(lab, world, batches, 'tcp / SYN of a new flow')], effort));
  return results;
}

/** Tracks batch after batch; when all are used up, table and packets are as before the first. */
export function trackTask(lab: Lab, world: number, batches: Batches, name: string): Task {
  const rewind = lab.snapshot(world);
  let next = 0;
  return {
    name,
    packets: BATCH_PACKETS,
    before: () => {
      if (next < batches.count) return;
      rewind();
      lab.decodeAll(batches);
      next = 0;
    },
    run: () => lab.track(world, batches, next++),
  };
}
