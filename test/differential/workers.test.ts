// Same input, same bytes out, for any number of workers: on every capture that the tests have.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = join(ROOT, 'build/src/cli/main.js');
const OUTPUTS = ['packets', 'events', 'table', 'counters'] as const;
const WORKERS = [1, 2, 3, 8];

const scratch = mkdtempSync(join(tmpdir(), 'ctreplay-workers-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function capturesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /\.(pcap|pcapng|snoop)(\.gz)?$/.test(name))
    .map((name) => join(folder, name));
}

function sharedCaptures(): string[] {
  const folder = join(ROOT, '../shared/captures');
  if (existsSync(folder)) return capturesIn(folder);
  console.warn(`SKIPPED: ${folder} is not there, so only the captures of the repository are compared`);
  return [];
}

interface Outcome {
  exit: number;
  stdout: string;
  stderr: string;
  hashes: Record<string, string>;
}

/** Runs a replay and returns everything that it put out, files as hashes. */
async function replay(captures: readonly string[], workers: number, options: readonly string[]): Promise<Outcome> {
  const folder = mkdtempSync(join(scratch, 'run-'));
  const files = OUTPUTS.map((name) => [name, join(folder, name)] as const);
  const args = ['replay', '--json', '--workers', String(workers), ...options];
  for (const [name, file] of files) args.push(`--${name}`, file);
  const outcome = await new Promise<Omit<Outcome, 'hashes'>>((resolve) => {
    execFile(process.execPath, [MAIN, ...args, ...captures], { timeout: 120_000 }, (error, stdout, stderr) => {
      // The speed is the one thing that may differ.
      resolve({
        exit: typeof error?.code === 'number' ? error.code : error ? -1 : 0,
        stdout,
        stderr: stderr.replace(/^.* packets\/s$/gm, ''),
      });
    });
  });
  const hashes: Record<string, string> = {};
  for (const [name, file] of files) {
    hashes[name] = existsSync(file) ? createHash('sha256').update(readFileSync(file)).digest('hex') : 'absent';
  }
  rmSync(folder, { recursive: true });
  return { ...outcome, hashes };
}

const own = capturesIn(join(ROOT, 'captures'));
const host = ['--host', join(ROOT, 'captures/demo-host-old'), '--sysctl', 'net.netfilter.nf_conntrack_acct=1'];

/** A capture (raw IPv4, big-endian) of one UDP packet per flow, 10 us apart. */
function manyFlows(count: number): Uint8Array {
  const file = Buffer.alloc(24 + count * (16 + 28));
  file.writeUInt32BE(0xa1b2c3d4, 0);
  file.writeUInt32BE(0x0002_0004, 4);
  file.writeUInt32BE(0xffff, 16);
  file.writeUInt32BE(101, 20);
  for (let i = 0; i < count; i++) {
    const at = 24 + i * 44;
    file.writeUInt32BE(1_700_000_000, at);
    file.writeUInt32BE(i * 10, at + 4);
    file.writeUInt32BE(28, at + 8);
    file.writeUInt32BE(28, at + 12);
    file.write('4500001c00000000401100000a0900010a090101', at + 16, 'hex');
    file.writeUInt16BE(1024 + i, at + 36);
    file.writeUInt16BE(53, at + 38);
    file.writeUInt16BE(8, at + 40);
  }
  return file;
}

describe('any number of workers', () => {
  const cases: [string, string[], string[]][] = [
    ...[...own, ...sharedCaptures()].map((file): [string, string[], string[]] => [
      file.slice(file.lastIndexOf('/') + 1),
      [file],
      host,
    ]),
    ['all captures of the repository as one', own, host],
    ['all captures of the repository without a host', own, []],
  ];

  // New flows only: the limit is reached in the third batch of 4096, when several lanes have delivered the first.
  const flood = join(scratch, 'flood.pcap');
  writeFileSync(flood, manyFlows(20_000));
  const limit = (max: number, buckets: number) =>
    [`max=${max}`, `buckets=${buckets}`].flatMap((text) => ['--sysctl', `net.netfilter.nf_conntrack_${text}`]);
  cases.push(
    ['a limit that is reached, with early drop', [flood], limit(9000, 9000)],
    ['a limit that is reached, with drops', [flood], limit(9000, 262_144)],
    ['a limit that is not reached', [flood], limit(30_000, 30_000)],
  );

  test.concurrent.each(cases)('%s', { timeout: 300_000 }, async (_name, captures, options) => {
    const first = await replay(captures, WORKERS[0]!, options);
    expect(first.exit).toBeGreaterThanOrEqual(0);
    for (const workers of WORKERS.slice(1)) {
      expect(await replay(captures, workers, options), `${workers} workers`).toEqual(first);
    }
  });
});
