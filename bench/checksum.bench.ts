// What does the Internet checksum cost by length?

import { COMMON } from '../src/bench/traffic.ts';
import { Lab, Stream } from './lab.ts';
import { type Effort, type Measure, measure } from './measure.ts';

/** An IPv4 header, a small, a medium and a full packet. */
const LENGTHS = [20, 64, 576, 1480];
const RUNS = 1024;

export async function benchChecksum(effort: Effort): Promise<Measure[]> {
  const lab = await Lab.open();
  const stream = new Stream({ ...COMMON, packets: 2 ** 31, flows: 1000, frameBytes: 1400 });
  const { data, bytes } = lab.keep(stream, 1);
  const tasks = LENGTHS.map((length) => {
    // Starts two bytes behind a multiple of four, as an IP header in an Ethernet frame does.
    const stride = length + 2 + ((2 - length) & 3);
    if (stride * RUNS > bytes) throw new Error('not enough bytes to sum');
    return {
      name: `checksum / ${length} B`,
      packets: RUNS,
      bytesPerPacket: length,
      run: () => {
        lab.parts.sum_many(data + 14, length, stride, RUNS);
      },
    };
  });
  return measure(tasks, effort);
}
