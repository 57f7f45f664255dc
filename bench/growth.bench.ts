// What does a packet cost while the table grows from a thousand entries to ten million, and is there a moment at which it
// stands still?

import { median, spreadOf } from '../src/bench/statistics.ts';
import { COMMON, MODES } from '../src/bench/traffic.ts';
import { BATCH_PACKETS } from '../src/engine/layout.ts';
import { Lab, Stream, tableBytes } from './lab.ts';
import type { Measure } from './measure.ts';

const SIZES = [
  { name: '1 k', flows: 1000 },
  { name: '10 k', flows: 10_000 },
  { name: '100 k', flows: 100_000 },
  { name: '1 M', flows: 1_000_000 },
  { name: '10 M', flows: 10_000_000 },
];
/** A flood of new connections, without end. */
const FLOOD = { ...MODES.synflood, packets: 2 ** 31, flows: 2 ** 31 };
/** Seconds that connections of a flood live which begins and ends as many. */
const LIFE = 10;
/** Batches of known connections that are timed in a table of each size. */
const BATCHES = 256;

/** Tables of up to `largest` entries. */
export async function benchGrowth(largest: number): Promise<Measure[]> {
  const sizes = SIZES.filter(({ flows }) => flows <= largest);
  const measures: Measure[] = [];
  for (const { name, flows } of sizes) measures.push(row(`growth / known, ${name} entries`, await known(flows)));
  const lab = await Lab.open();
  const world = lab.world(tableBytes(largest));
  const stream = new Stream(FLOOD);
  let longest = 0;
  for (const { name, flows } of sizes) {
    const samples: number[] = [];
    while (lab.flows(world) < flows) lab.play(world, stream, BATCH_PACKETS, (ns) => samples.push(ns));
    longest = samples.reduce((most, ns) => Math.max(most, ns), longest);
    if (samples.length > 0) measures.push(row(`growth / new, up to ${name} entries`, samples));
  }
  measures.push(row('growth / slowest batch of new ones, as a whole', [longest * BATCH_PACKETS]));
  const samples = await expiring();
  measures.push(row('growth / new, while as many expire', samples));
  const slowest = samples.reduce((most, ns) => Math.max(most, ns), 0);
  measures.push(row('growth / slowest of these batches, as a whole', [slowest * BATCH_PACKETS]));
  return measures;
}

/** ns per packet of a flood whose connections live for LIFE seconds, once as many end as begin, batch by batch. */
async function expiring(): Promise<number[]> {
  const lab = await Lab.open();
  const alive = FLOOD.rate * LIFE;
  const world = lab.world(tableBytes(alive * 1.1), { synSent: LIFE });
  const stream = new Stream(FLOOD);
  lab.play(world, stream, alive * 1.1);
  const samples: number[] = [];
  lab.play(world, stream, alive, (ns) => samples.push(ns));
  return samples;
}

/** ns per packet of connections drawn at random from `flows`, batch by batch. */
async function known(flows: number): Promise<number[]> {
  const lab = await Lab.open();
  const world = lab.world(tableBytes(flows));
  const traffic = { ...COMMON, packets: 2 ** 31, flows, concurrent: flows, frameBytes: 97, handshakesFirst: true };
  const stream = new Stream(traffic);
  lab.play(world, stream, flows * 3);
  const samples: number[] = [];
  lab.play(world, stream, BATCHES * BATCH_PACKETS, (ns) => samples.push(ns));
  // While the smallest tables are measured first, V8 is still optimising.
  return samples.slice(BATCHES / 2);
}

function row(name: string, samples: readonly number[]): Measure {
  return { name, nsPerPacket: median(samples), spread: spreadOf(samples), samples: samples.length };
}
