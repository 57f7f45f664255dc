// What does `ctreplay bench` do? It measures replays of given or generated captures on this machine.

import { rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BenchResult, bench, type Timing } from '../bench/bench.ts';
import { scaled, writeCapture } from '../bench/traffic.ts';
import type { CaptureSpec } from '../capture/reader.ts';
import { LANES_MAX } from '../engine/layout.ts';
import { UsageError } from '../errors.ts';
import { unwatch, watch, writeStandardOutput } from '../output.ts';
import { alignRows, countText } from '../report/align.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { hostFrom, tell } from './start.ts';

export async function benchCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  if (captures.some(({ path }) => path === '-')) {
    throw new UsageError('usage', 'bench reads captures several times: standard input (-) cannot be one of them');
  }
  const host = hostFrom(options, options.host);
  const workers = workerCounts(options.workers ?? availableParallelism());
  const { traffic, runs, checksums, seed } = options;
  const measure = async (each: readonly CaptureSpec[]): Promise<ExitCode> => {
    const result = await bench({ captures: each, hosts: [host], checksums, seed }, workers, runs);
    for (const note of result.notes) await tell(options, note);
    const what = captures.length > 0 ? captures.map(({ path }) => path).join(', ') : `generated ${traffic.mode}`;
    await writeStandardOutput(options.json ? json(result, what, runs) : text(result, what, runs));
    return EXIT.DONE;
  };
  return captures.length > 0 ? measure(captures) : generated(traffic, (path) => measure([{ path }]));
}

/** Writes generated traffic to a temporary file for as long as it is needed. */
async function generated(
  { mode, packets }: Options['traffic'],
  use: (path: string) => Promise<ExitCode>,
): Promise<ExitCode> {
  const path = join(tmpdir(), `ctreplay-bench-${process.pid}.pcap`);
  watch(path);
  try {
    await writeCapture(scaled(mode, packets), path);
    return await use(path);
  } finally {
    await rm(path, { force: true });
    unwatch(path);
  }
}

/** 1, 2, 4 ... and the most. */
function workerCounts(most: number): number[] {
  const counts: number[] = [];
  const max = Math.min(most, LANES_MAX);
  for (let count = 1; count < max; count *= 2) counts.push(count);
  return [...counts, max];
}

function rateText(perSecond: number): string {
  return perSecond >= 1e6 ? `${(perSecond / 1e6).toFixed(2)} M` : countText(Math.round(perSecond));
}

function text({ packets, bytesPerPacket, stages, whole, peakBytes }: BenchResult, what: string, runs: number): string {
  const row = ({ name, nsPerPacket, spread }: Timing) => [
    name,
    nsPerPacket.toFixed(1),
    rateText(1e9 / nsPerPacket),
    `${spread.toFixed(0)}%`,
  ];
  const rows = [['', 'ns/packet', 'packets/s', 'spread'], ...[...stages, ...whole].map(row)];
  const lines = [
    `${what}: ${countText(packets)} packets of ${bytesPerPacket.toFixed(0)} bytes`,
    `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}`,
    `medians of ${runs} run${runs === 1 ? '' : 's'} after one to warm up; the start of the program is not in them`,
    '',
    ...alignRows(rows, 'lrrr'),
    '',
    `at most ${countText(Math.round(peakBytes / (1 << 20)))} MiB in memory`,
  ];
  return `${lines.join('\n')}\n`;
}

function json(result: BenchResult, what: string, runs: number): string {
  const machine = { processors: cpus().length, processor: cpus()[0]?.model, node: process.version };
  return `${JSON.stringify({ captures: what, runs, ...machine, ...result })}\n`;
}
