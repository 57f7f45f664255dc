// How long does a replay take on this machine, stage by stage, and with how many threads?
//
// Whole runs in this process, as `replay` does them, one after the other: with one thread, where stages follow each other on the
// main thread and can be told apart, then with more. The first run of each kind warms up and does not count.

import { UsageError } from '../errors.ts';
import { type RunOptions, run, type Stage } from '../run.ts';
import { median, spreadOf } from './statistics.ts';

export interface Timing {
  /** A stage of a run with one thread, or `N workers` for whole runs. */
  name: string;
  /** Median of the runs. */
  nsPerPacket: number;
  /** Distance of the quartiles, percent of the median. */
  spread: number;
}

export interface BenchResult {
  packets: number;
  /** Bytes of the captures per packet, headers of the file format included. */
  bytesPerPacket: number;
  stages: Timing[];
  whole: (Timing & { workers: number })[];
  /** Largest resident size of this process so far, bytes. */
  peakBytes: number;
  notes: readonly string[];
}

/** What stands in the table for each stage; preparing is no matter of packets. */
const STAGES: Record<Exclude<Stage, 'prepare'>, string> = {
  read: 'read and walk',
  decode: 'decode',
  reassemble: 'reassemble',
  track: 'track, with rules',
  report: 'count and report',
};

/**
 * Measures `repeats` runs with each number of workers.
 * @throws what run() throws; CaptureError if a capture is cut; UsageError if there are no packets
 */
export async function bench(
  options: Omit<RunOptions, 'workers' | 'onLap' | 'wantEvents'>,
  workers: readonly number[],
  repeats: number,
): Promise<BenchResult> {
  const names = Object.keys(STAGES) as (keyof typeof STAGES)[];
  const laps = new Map<keyof typeof STAGES, number[]>(names.map((name) => [name, []]));
  const result: BenchResult = { packets: 0, bytesPerPacket: 0, stages: [], whole: [], peakBytes: 0, notes: [] };
  for (const count of workers) {
    const samples: number[] = [];
    for (let repeat = 0; repeat <= repeats; repeat++) {
      const { packets, seconds, spent, bytes, notes } = await once(options, count);
      if (packets === 0) throw new UsageError('usage', 'the captures hold no packets: there is nothing to measure');
      result.packets = packets;
      result.bytesPerPacket = bytes / packets;
      result.notes = notes;
      if (repeat === 0) continue;
      const perPacket = 1e9 / packets;
      samples.push(seconds * perPacket);
      if (count === 1) for (const name of names) laps.get(name)!.push((spent.get(name) ?? 0) * perPacket);
    }
    result.whole.push({ workers: count, ...timing(`${count} worker${count === 1 ? '' : 's'}`, samples) });
  }
  if (workers.includes(1)) result.stages = names.map((name) => timing(STAGES[name], laps.get(name)!));
  result.peakBytes = process.resourceUsage().maxRSS * 1024;
  return result;
}

function timing(name: string, samples: readonly number[]): Timing {
  return { name, nsPerPacket: median(samples), spread: spreadOf(samples) };
}

async function once(options: Parameters<typeof bench>[0], workers: number) {
  const spent = new Map<Stage, number>();
  const onLap = (stage: Stage, seconds: number) => {
    spent.set(stage, (spent.get(stage) ?? 0) + seconds);
  };
  let bytes = 0;
  const onProgress = ({ bytesRead }: { bytesRead: number }) => {
    bytes = bytesRead;
  };
  const { packets, seconds, notes, error } = await run(
    { ...options, workers, wantEvents: false, wantSummary: true, wantFragments: true, onLap, onProgress },
    () => {},
  );
  if (error) throw error;
  // What is prepared once is no matter of packets.
  return { packets, seconds: seconds - (spent.get('prepare') ?? 0), spent, bytes, notes };
}
