// Where does the time of a replay go? Every stage of one lane over a whole capture, batch by batch as a run does it.

import { open } from 'node:fs/promises';
import { Checksums } from '../assembly/vocabulary.ts';
import { median, spreadOf } from '../src/bench/statistics.ts';
import { BATCH_PACKETS } from '../src/engine/layout.ts';
import type { CaptureFile } from './captures.ts';
import { Lab, tableBytes } from './lab.ts';
import type { Measure } from './measure.ts';

const FILE_HEADER = 24;
const STAGES = ['read', 'walk', 'decode', 'track'] as const;

/**
 * Reads, walks, decodes (with checksums, as by default), tracks and counts for the summary; one median per stage over `repeats` passes.
 * The first pass warms up and does not count.
 */
export async function benchStages(capture: CaptureFile, rules: string, repeats: number): Promise<Measure[]> {
  const lab = await Lab.open();
  const samples: number[][] = STAGES.map(() => []);
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const spent = await pass(lab, capture, rules);
    if (repeat === 0) continue;
    spent.forEach((ms, stage) => {
      samples[stage]!.push((ms * 1e6) / capture.packets);
    });
  }
  return STAGES.map((stage, index) => ({
    name: `stage / ${stage}, ${capture.mode}`,
    nsPerPacket: median(samples[index]!),
    spread: spreadOf(samples[index]!),
    samples: repeats,
  }));
}

/** One pass with a firewall of its own; returns ms per stage. */
async function pass(lab: Lab, capture: CaptureFile, rules: string): Promise<number[]> {
  const spent = STAGES.map(() => 0);
  const world = lab.world(tableBytes(capture.flows), { rules, tally: true });
  const batches = lab.passing;
  const room = Math.ceil((capture.bytes / capture.packets) * BATCH_PACKETS * 1.05);
  const file = await open(capture.path);
  try {
    for (let offset = FILE_HEADER; offset < capture.bytes; ) {
      const times = [performance.now()];
      const lap = () => times.push(performance.now());
      const { bytesRead } = await file.read(lab.bytes, batches.data, room, offset);
      lap();
      const end = lab.walk(batches.data, batches.data + bytesRead, batches.records, BATCH_PACKETS);
      offset += end - batches.data;
      lap();
      const count = lab.walked;
      lab.decode(batches, 0, Checksums.AUTO, count);
      lap();
      lab.track(world, batches, 0, count);
      lap();
      batches.first += count;
      spent.forEach((_, stage) => {
        spent[stage]! += times[stage + 1]! - times[stage]!;
      });
    }
  } finally {
    await file.close();
  }
  return spent;
}
