// What does finding, missing and inserting an entry cost, by size of the table?

import { COMMON, type Traffic } from '../src/bench/traffic.ts';
import { BATCH_PACKETS, PACKET } from '../src/engine/layout.ts';
import { Lab, Stream, tableBytes } from './lab.ts';
import { type Effort, type Measure, measure, type Task } from './measure.ts';

const SIZES = [
  { name: '1 k', flows: 1000 },
  { name: '100 k', flows: 100_000 },
  { name: '1 M', flows: 1_000_000 },
];
/** Packets are drawn from this many batches, so that those of a large table are not in the cache. */
const BATCHES = 32;
/** Connection numbers of packets that no table holds. */
const STRANGERS = { ...COMMON, packets: 2 ** 31, flows: 2 ** 31, concurrent: 1, frameBytes: 74, firstFlow: 2 ** 30 };

export async function benchLookup(effort: Effort): Promise<Measure[]> {
  const results: Measure[] = [];
  for (const { name, flows } of SIZES) {
    const lab = await Lab.open();
    const world = lab.world(tableBytes(flows));
    const traffic: Traffic = { ...COMMON, packets: 2 ** 31, flows, frameBytes: 97, handshakesFirst: true };
    const stream = new Stream(traffic);
    // Opened by three packets each.
    lab.play(world, stream, flows * 3);
    if (lab.flows(world) !== flows) throw new Error(`${lab.flows(world)} entries instead of ${flows}`);
    const known = lab.keep(stream, BATCHES);
    const strangers = new Stream(STRANGERS);
    const absent = lab.keep(strangers, BATCHES);
    const fresh = lab.keep(strangers, BATCHES);
    let batch = 0;
    const next = () => {
      batch = (batch + 1) % BATCHES;
      return batch * BATCH_PACKETS * PACKET.size;
    };
    const expect = (found: number, wanted: number) => {
      if (found !== wanted) throw new Error(`${found} of ${BATCH_PACKETS} found instead of ${wanted}`);
    };
    let inserted = 0;
    const tasks: Task[] = [
      {
        name: `lookup / hit, ${name} entries`,
        packets: BATCH_PACKETS,
        run: () => expect(lab.parts.find_many(world, known.packets + next(), BATCH_PACKETS), BATCH_PACKETS),
      },
      {
        name: `lookup / miss, ${name} entries`,
        packets: BATCH_PACKETS,
        run: () => expect(lab.parts.find_many(world, absent.packets + next(), BATCH_PACKETS), 0),
      },
      {
        name: `lookup / insert, ${name} entries`,
        packets: BATCH_PACKETS,
        before: () => {
          if (inserted !== 0) lab.parts.remove_many(world, inserted, BATCH_PACKETS);
          inserted = fresh.packets + next();
        },
        run: () => expect(lab.parts.insert_many(world, inserted, BATCH_PACKETS), BATCH_PACKETS),
      },
    ];
    if (flows === SIZES[0]!.flows) {
      tasks.push({
        name: 'lookup / hash of a tuple',
        packets: BATCH_PACKETS,
        run: () => {
          lab.parts.hash_many(known.packets + next(), BATCH_PACKETS);
        },
      });
    }
    results.push(...measure(tasks, effort));
  }
  return results;
}
