// How long does the running kernel take to forward the same packets through the same ten rules?

import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { asMeasure } from './baselines.ts';
import type { CaptureFile } from './captures.ts';
import type { Measure } from './measure.ts';
import { ROOT } from './parts.ts';

/**
 * Entries that the kernel has room for unless the machine was told otherwise: captures with more flows are cut, or left out
 * if all their flows begin at once.
 */
const FLOWS_MAX = 200_000;
const PACKETS_MAX = 1_000_000;

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
/** Ethernet address of the router's port (forward.sh). */
const ROUTER = Buffer.from([2, 0, 0, 0, 0, 0xfe]);

/** Programs that it takes, besides root. */
const TOOLS = ['unshare', 'ip', 'iptables-legacy-restore', 'tcpreplay'];

/**
 * Time per packet that came through: a busy machine drops some. Undefined where it cannot be measured. The time of
 * sending, a system call per packet, is part of it.
 */
export function kernelBaseline(capture: CaptureFile, repeats: number): Measure | undefined {
  const installed = TOOLS.every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0);
  if (!installed || process.getuid?.() !== 0) return undefined;
  const perFlow = capture.packets / capture.flows;
  if (capture.flows > FLOWS_MAX && perFlow > 1) return undefined;
  const packets = Math.min(capture.packets, PACKETS_MAX, FLOWS_MAX * perFlow);
  const path = `${capture.path}.kernel`;
  try {
    const bytes = addressed(capture.path, path, packets);
    const seconds = Array.from({ length: repeats }, () => forward(path, packets));
    return { ...asMeasure(`baseline / kernel, ${capture.mode}`, { ...capture, packets, bytes }, seconds) };
  } finally {
    rmSync(path, { force: true });
  }
}

/** Writes the first packets of a capture with the router's address as the destination. Returns the bytes of the file. */
function addressed(from: string, to: string, packets: number): number {
  const source = openSync(from, 'r');
  const target = openSync(to, 'w');
  const block = Buffer.alloc(8 << 20);
  let left = packets;
  let written = 0;
  try {
    for (let at = 0, header = FILE_HEADER; left > 0; header = 0) {
      const length = readSync(source, block, 0, block.length, at);
      let end = header;
      while (left > 0 && end + RECORD_HEADER <= length) {
        const next = end + RECORD_HEADER + block.readUInt32LE(end + 8);
        if (next > length) break;
        ROUTER.copy(block, end + RECORD_HEADER);
        end = next;
        left--;
      }
      if (end === header) throw new Error(`${from} ends early`);
      written += writeSync(target, block, 0, end);
      at += end;
    }
  } finally {
    closeSync(source);
    closeSync(target);
  }
  return written;
}

/** Seconds that all packets would have taken, had all come through. */
function forward(path: string, packets: number): number {
  const args = ['--net', 'sh', `${ROOT}bench/forward.sh`, path, `${ROOT}bench/host/iptables-save`];
  const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' });
  const [seconds, statistics] = stdout.split('\n');
  if (status !== 0 || !seconds || !statistics) throw new Error(`forward.sh ended with ${status}: ${stderr}`);
  const [link] = JSON.parse(statistics) as { stats64: { rx: { packets: number } } }[];
  const left = link?.stats64.rx.packets;
  if (!left) throw new Error(`the kernel forwarded none of ${packets} packets: ${stderr}`);
  return (Number(seconds) * packets) / left;
}
