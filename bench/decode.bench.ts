// What does a packet cost from its record to its decoded form, by kind of packet, with and without checksums?

import { Checksums } from '../assembly/vocabulary.ts';
import type { Carrier } from '../src/bench/frame.ts';
import { COMMON } from '../src/bench/traffic.ts';
import { BATCH_PACKETS } from '../src/engine/layout.ts';
import { Lab, Stream } from './lab.ts';
import { type Effort, type Measure, measure, type Task } from './measure.ts';

const KINDS: readonly { name: string; carrier: Carrier; frameBytes: number }[] = [
  { name: 'TCP/IPv4', carrier: {}, frameBytes: 97 },
  { name: 'UDP/IPv4', carrier: { udp: true }, frameBytes: 97 },
  { name: 'TCP/IPv6', carrier: { ipv6: true }, frameBytes: 97 },
  { name: 'TCP/IPv4, VLAN', carrier: { vlan: true }, frameBytes: 97 },
  { name: 'TCP/IPv4, mixed sizes', carrier: {}, frameBytes: 410 },
];
const CHECKS = [
  { name: 'checksums off', mode: Checksums.IGNORE },
  { name: 'checksums on', mode: Checksums.VERIFY },
];
/** As many as the ring of one lane holds: their bytes are in the cache, where reading has just put them. */
const BATCHES = 4;

export async function benchDecode(effort: Effort): Promise<Measure[]> {
  const lab = await Lab.open();
  const tasks: Task[] = [];
  for (const { name, carrier, frameBytes } of KINDS) {
    const stream = new Stream({ ...COMMON, packets: 2 ** 31, flows: 1000, frameBytes }, carrier);
    const batches = lab.keep(stream, BATCHES);
    for (const check of CHECKS) {
      let batch = 0;
      tasks.push({
        name: `decode / ${name}, ${check.name}`,
        packets: BATCH_PACKETS,
        bytesPerPacket: lab.frameBytes(batches),
        run: () => {
          lab.decode(batches, batch, check.mode);
          batch = (batch + 1) % BATCHES;
        },
      });
    }
  }
  return measure(tasks, effort);
}
