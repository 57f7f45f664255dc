// How long does `ctreplay replay` take for a whole capture, as its own process, from its start to its end?

import { fileURLToPath } from 'node:url';
import { median } from '../src/bench/statistics.ts';
import { asMeasure } from './baselines.ts';
import type { CaptureFile } from './captures.ts';
import type { Measure } from './measure.ts';
import { ROOT } from './parts.ts';
import { runProcess } from './process.ts';

const MAIN = fileURLToPath(new URL('../program/main.js', import.meta.url));
/** The ten-rule stateful firewall. */
const HOST = `${ROOT}bench/host`;

/** Median of `repeats` runs with a number of workers, and with the ten rules or with those of a file. */
export async function wholeRun(
  capture: CaptureFile,
  workers: number,
  repeats: number,
  rules?: { name: string; path: string },
): Promise<Measure> {
  const host = rules ? ['--rules', rules.path] : ['--host', HOST];
  const args = [MAIN, 'replay', '--quiet', ...host, '--workers', String(workers), capture.path];
  const seconds: number[] = [];
  const cpu: number[] = [];
  let peak = 0;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const run = await runProcess(process.execPath, args);
    seconds.push(run.seconds);
    cpu.push(run.usage?.cpu ?? Number.NaN);
    peak = Math.max(peak, run.usage?.peak ?? 0);
  }
  return {
    ...asMeasure(
      `${rules ? 'ruleset' : 'replay'} / ${capture.mode}, ${rules?.name ?? `${workers} worker${workers === 1 ? '' : 's'}`}`,
      capture,
      seconds,
    ),
    cpuNsPerPacket: (median(cpu) * 1e9) / capture.packets,
    peakMiB: peak / 1024,
  };
}
