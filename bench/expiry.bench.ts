// What does it take when a million connections end at one moment: in the engine, and until the next batch is there?

import { Readable } from 'node:stream';
import { median, spreadOf } from '../src/bench/statistics.ts';
import { COMMON, capture, MODES, type Traffic } from '../src/bench/traffic.ts';
import { Host } from '../src/host.ts';
import { EVENT_AREA } from '../src/pool/ring.ts';
import { run } from '../src/run.ts';
import { Lab, Stream, tableBytes } from './lab.ts';
import type { Measure } from './measure.ts';

const ENDLESS = { packets: 2 ** 31, flows: 2 ** 31 };
/** Longer than any timeout, in seconds. */
const GAP_S = 10 * 86_400;
const FILE_HEADER = 24;
/** More than the processor's caches hold. */
const COLD_BYTES = 96 << 20;

/** All of `flows` connections end, `repeats` times each way. */
export async function benchExpiry(flows: number, repeats: number): Promise<Measure[]> {
  const shapes: [name: string, traffic: Traffic, packets: number][] = [
    ['of one moment', { ...MODES.synflood, ...ENDLESS, rate: 1e9 }, flows],
    ['of a flood, in a gap', { ...MODES.synflood, ...ENDLESS }, flows],
    [
      'with traffic, in a gap',
      { ...COMMON, ...ENDLESS, flows, concurrent: flows, frameBytes: 97, handshakesFirst: true },
      flows * 5,
    ],
  ];
  const measures: Measure[] = [];
  for (const [name, traffic, packets] of shapes) {
    for (const events of [false, true]) {
      measures.push(row(`${name}${events ? ', events' : ''}`, await ends(traffic, packets, events, repeats)));
    }
  }
  for (const workers of [1, 2]) {
    for (const events of [false, true]) {
      const samples: number[] = [];
      for (let repeat = 0; repeat < repeats; repeat++) samples.push(await slowest(flows, workers, events));
      const name = `slowest batch as a whole, ${workers} worker${workers === 1 ? '' : 's'}${events ? ', events' : ''}`;
      measures.push(row(name, samples));
    }
  }
  return measures;
}

/** ns per entry of a table when all of them end. */
async function ends(traffic: Traffic, packets: number, events: boolean, repeats: number): Promise<number[]> {
  const lab = await Lab.open();
  const world = lab.world(tableBytes(Math.min(traffic.flows, packets)));
  const area = events ? lab.allocator.take(EVENT_AREA) : 0;
  lab.play(world, new Stream(traffic), packets);
  const flows = lab.flows(world);
  const end = lab.clock + BigInt(GAP_S) * 1_000_000_000n;
  const rewind = lab.snapshot(world);
  const cold = new Uint8Array(COLD_BYTES);
  const samples: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat++) {
    cold.fill(repeat + 1);
    const begin = performance.now();
    lab.expire(world, end, area);
    samples.push(((performance.now() - begin) * 1e6) / flows);
    rewind();
  }
  return samples;
}

/** The longest time between two batches of a run over a flood, and one more packet after the gap, ns. */
async function slowest(flows: number, workers: number, wantEvents: boolean): Promise<number> {
  const host = new Host();
  const text = '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\nCOMMIT\n';
  host.rulesets.push({ file: 'bench', text, family: 2 });
  const captures = [{ path: 'flood', stream: Readable.from(floodAndGap(flows), { objectMode: false }) }];
  let longest = 0;
  let last = performance.now();
  await run({ captures, hosts: [host], workers, checksums: 'ignore', wantEvents }, () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  });
  return longest * 1e6;
}

function* floodAndGap(flows: number): Generator<Buffer> {
  yield* capture({ ...MODES.synflood, packets: flows, flows });
  const late = Buffer.concat([...capture({ ...MODES.synflood, packets: 1, flows: 1, firstFlow: flows })]).subarray(
    FILE_HEADER,
  );
  late.writeUInt32LE(late.readUInt32LE(0) + GAP_S, 0);
  yield late;
}

function row(name: string, samples: readonly number[]): Measure {
  return { name: `expiry / ${name}`, nsPerPacket: median(samples), spread: spreadOf(samples), samples: samples.length };
}
