// How long do others take for the same bytes: a copy in memory, pcap-parser, tcpdump?

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { median, spreadOf } from '../src/bench/statistics.ts';
import type { CaptureFile } from './captures.ts';
import type { Measure } from './measure.ts';
import { runProcess } from './process.ts';

const WINDOW = 64 << 20;

/** Copies the capture's bytes from one buffer to another, a window at a time; reading the file is not counted. */
export function memoryCopy(capture: CaptureFile, repeats: number): Measure {
  const source = Buffer.alloc(WINDOW);
  const target = Buffer.alloc(WINDOW);
  const file = openSync(capture.path, 'r');
  const seconds: number[] = [];
  try {
    for (let repeat = 0; repeat < repeats; repeat++) {
      let took = 0;
      for (let at = 0; at < capture.bytes; at += WINDOW) {
        const length = readSync(file, source, 0, WINDOW, at);
        const start = performance.now();
        source.copy(target, 0, 0, length);
        took += performance.now() - start;
      }
      seconds.push(took / 1000);
    }
  } finally {
    closeSync(file);
  }
  return asMeasure(`baseline / memory copy, ${capture.mode}`, capture, seconds);
}

/** A process that reads the capture; undefined if the program is not installed. */
export async function processBaseline(
  name: 'pcap-parser' | 'tcpdump',
  capture: CaptureFile,
  repeats: number,
): Promise<Measure | undefined> {
  const [program, args] = name === 'tcpdump' ? tcpdump(capture.path) : pcapParser(capture.path);
  if (program === undefined) return undefined;
  const seconds: number[] = [];
  let peak = 0;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const run = await runProcess(program, args);
    seconds.push(run.seconds);
    peak = Math.max(peak, run.usage?.peak ?? 0);
  }
  const measure = asMeasure(`baseline / ${name}, ${capture.mode}`, capture, seconds);
  return peak > 0 ? { ...measure, peakMiB: peak / 1024 } : measure;
}

function pcapParser(path: string): [string, string[]] {
  return [process.execPath, [fileURLToPath(new URL('./count-packets.js', import.meta.url)), path]];
}

/** As root tcpdump becomes another user, who may not read a private temporary folder: -Z root keeps it as it is. */
function tcpdump(path: string): [string | undefined, string[]] {
  const installed = spawnSync('tcpdump', ['--version'], { stdio: 'ignore' }).status === 0;
  const root = process.getuid?.() === 0 ? ['-Z', 'root'] : [];
  return [installed ? 'tcpdump' : undefined, [...root, '-r', path, '-w', '/dev/null']];
}

export function asMeasure(name: string, capture: CaptureFile, seconds: readonly number[]): Measure {
  return {
    name,
    nsPerPacket: (median(seconds) * 1e9) / capture.packets,
    spread: spreadOf(seconds),
    samples: seconds.length,
    bytesPerPacket: capture.bytes / capture.packets - 16,
  };
}
