// Where are the generated captures? In the temporary folder of the system, made once and found again.

import { mkdirSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GENERATOR_VERSION, MODES, type Mode, scaled, writeCapture } from '../src/bench/traffic.ts';

export interface CaptureFile {
  mode: Mode;
  path: string;
  packets: number;
  flows: number;
  bytes: number;
}

/**
 * The capture of a mode, `divisor` times shorter. The name tells everything it was made from, and a file has its name
 * only once it is whole, so one that is there is right.
 */
export async function captureFile(mode: Mode, divisor: number): Promise<CaptureFile> {
  const traffic = scaled(mode, MODES[mode].packets / divisor);
  const folder = join(tmpdir(), 'ctreplay-bench');
  const path = join(folder, `${mode}-${traffic.packets}-${traffic.flows}-${traffic.seed}-v${GENERATOR_VERSION}.pcap`);
  mkdirSync(folder, { recursive: true });
  if (statSync(path, { throwIfNoEntry: false }) === undefined) {
    process.stderr.write(`generating ${path}\n`);
    await writeCapture(traffic, path);
  }
  return { mode, path, packets: traffic.packets, flows: traffic.flows, bytes: statSync(path).size };
}
