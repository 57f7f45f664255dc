// A replay with one worker and with several: what do they put out, byte for byte?

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const MAIN = join(ROOT, 'build/program/main.js');
const OUTPUTS = ['packets', 'events', 'table', 'counters', 'expectations', 'write'] as const;
const WORKERS = [1, 2, 3, 8];

/** A folder that goes when the test file has run. */
export const scratch = mkdtempSync(join(tmpdir(), 'ctreplay-workers-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

export function capturesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /\.(pcap|pcapng|snoop)(\.gz)?$/.test(name))
    .map((name) => join(folder, name));
}

export function sharedCaptures(): string[] {
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
  /** Lines of that file. */
  expectations: number;
}

/** Runs a replay and returns everything that it put out, files as hashes. */
async function replay(captures: readonly string[], workers: number, options: readonly string[]): Promise<Outcome> {
  const folder = mkdtempSync(join(scratch, 'run-'));
  const files = OUTPUTS.map((name) => [name, join(folder, name)] as const);
  const args = ['replay', '--json', '--workers', String(workers), ...options];
  for (const [name, file] of files) args.push(`--${name}`, file);
  const outcome = await new Promise<Omit<Outcome, 'hashes' | 'expectations'>>((resolve) => {
    // Two workers and eight do everything; of three threads the main thread is one.
    const env = { ...process.env, ...(workers !== 3 && { CTREPLAY_TEST_WORKERS: 'all' }) };
    execFile(process.execPath, [MAIN, ...args, ...captures], { timeout: 120_000, env }, (error, stdout, stderr) => {
      // The speed is the one thing that may differ.
      resolve({
        exit: typeof error?.code === 'number' ? error.code : error ? -1 : 0,
        stdout,
        stderr: stderr.replace(/^.* packets\/s$/gm, ''),
      });
    });
  });
  const hashes: Record<string, string> = {};
  let expectations = 0;
  for (const [name, file] of files) {
    const bytes = existsSync(file) ? readFileSync(file) : undefined;
    hashes[name] = bytes ? createHash('sha256').update(bytes).digest('hex') : 'absent';
    if (name === 'expectations') expectations = (bytes?.toString().split('\n').length ?? 1) - 1;
  }
  rmSync(folder, { recursive: true });
  return { ...outcome, hashes, expectations };
}

/** The same comes out with any number of workers. Returns how many lines `--expectations` has. */
export async function expectSame(captures: readonly string[], options: readonly string[]): Promise<number> {
  const [first = 1, ...more] = WORKERS;
  const alone = await replay(captures, first, options);
  // Some captures are not to be read to their end, which is trouble, too.
  expect([0, 2], alone.stderr).toContain(alone.exit);
  for (const workers of more) expect(await replay(captures, workers, options), `${workers} workers`).toEqual(alone);
  return alone.expectations;
}
