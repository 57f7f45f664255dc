// How is one thing timed, and what is said about it?

import { Bench } from 'tinybench';
import { spreadOf } from '../src/bench/statistics.ts';

/** One line of the report. */
export interface Measure {
  /** What was measured, the same in every run: `group / detail`. */
  name: string;
  /** Median. */
  nsPerPacket: number;
  /** Quartile distance of the samples in percent of the median. */
  spread: number;
  samples: number;
  /** Mean captured bytes of the packets, where there are any. */
  bytesPerPacket?: number;
  /** Time on processors, all threads together: what other load on the machine disturbs least. */
  cpuNsPerPacket?: number;
  /** Largest resident size of the process, MiB. */
  peakMiB?: number;
}

/** A function that handles `packets` packets per call, and what has to happen before each call, untimed. */
export interface Task {
  name: string;
  packets: number;
  bytesPerPacket?: number;
  run: () => void;
  before?: () => void;
}

export interface Effort {
  /** Time that is measured for each task, ms. */
  time: number;
  /** Time without a new best that ends the warm-up, ms. */
  settle: number;
}

export const FULL: Effort = { time: 500, settle: 400 };
export const QUICK: Effort = { time: 100, settle: 100 };

/** Longest warm-up, ms. */
const SETTLE_MAX = 10_000;

/** Times tasks one after the other. Calls last at least tens of microseconds, so the clock does not matter. */
export function measure(tasks: readonly Task[], effort: Effort): Measure[] {
  const bench = new Bench({ time: effort.time, iterations: 16, warmup: false, retainSamples: true, throws: true });
  for (const { name, run, before } of tasks) {
    bench.add(name, run, { async: false, ...(before === undefined ? {} : { beforeEach: before }) });
  }
  return tasks.map((task, index) => {
    settle(task, effort);
    const { result } = bench.tasks[index]!.runSync();
    if (result.state !== 'completed') throw new Error(`${task.name}: ${result.state}`);
    return {
      name: task.name,
      nsPerPacket: (result.latency.p50 * 1e6) / task.packets,
      spread: spreadOf(result.latency.samples ?? []),
      samples: result.latency.samplesCount,
      ...(task.bytesPerPacket === undefined ? {} : { bytesPerPacket: task.bytesPerPacket }),
    };
  });
}

/**
 * Warms a task up until its times settle: V8 optimises a WebAssembly function in the background after some calls, a
 * large one after seconds. Settled is what has not become a twentieth faster during `effort.settle` ms.
 */
function settle({ run, before }: Task, effort: Effort): void {
  const begin = performance.now();
  let best = Number.POSITIVE_INFINITY;
  let since = begin;
  while (true) {
    before?.();
    const start = performance.now();
    run();
    const end = performance.now();
    if (end - start < best * 0.95) {
      best = end - start;
      since = end;
    }
    if (end - since > effort.settle || end - begin > SETTLE_MAX) return;
  }
}
