// What does finding the packets of a capture in memory cost?

import { COMMON } from '../src/bench/traffic.ts';
import { BATCH_PACKETS } from '../src/engine/layout.ts';
import { Lab, Stream } from './lab.ts';
import { type Effort, type Measure, measure } from './measure.ts';

/** As many as the ring of one lane holds: their bytes are in the cache, where reading has just put them. */
const BATCHES = 4;

/** Record headers of a classic pcap, at the frame sizes of the small and the mixed capture. */
export async function benchWalk(effort: Effort): Promise<Measure[]> {
  const tasks = [];
  for (const frameBytes of [97, 410]) {
    const lab = await Lab.open();
    const stream = new Stream({ ...COMMON, packets: 2 ** 31, flows: 1000, frameBytes });
    const batches = lab.keep(stream, BATCHES);
    const end = batches.data + batches.bytes;
    const count = BATCHES * BATCH_PACKETS;
    tasks.push({
      name: `walk / pcap, ${frameBytes} B`,
      packets: count,
      bytesPerPacket: lab.frameBytes(batches),
      // Batch by batch, into the records of one batch, as a run does it.
      run: () => {
        let position = batches.data;
        for (let batch = 0; batch < BATCHES; batch++) {
          position = lab.walk(position, end, batches.records, BATCH_PACKETS);
        }
        if (position !== end) throw new Error('the walk did not reach the end');
      },
    });
  }
  return measure(tasks, effort);
}
