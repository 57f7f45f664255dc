// Does `ctreplay bench` measure what it is told to, and leave nothing behind?

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import type { BenchResult } from '../../../src/bench/bench.ts';
import { capture, scaled } from '../../../src/bench/traffic.ts';

const MAIN = fileURLToPath(new URL('../../../build/program/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ctreplay-bench-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function bench(...words: string[]) {
  const env = { ...process.env, TMPDIR: folder };
  return spawnSync(process.execPath, [MAIN, 'bench', ...words], { encoding: 'utf8', env });
}

const generated = Buffer.concat([...capture(scaled('large', 20_000))]);
const given = join(folder, 'given.pcap');
writeFileSync(given, generated);

test('generated traffic is measured stage by stage, and its file is gone afterwards', () => {
  const { status, stdout } = bench('--traffic', 'large:20000', '--runs', '1', '--workers', '3', '--json');
  expect(status).toBe(0);
  const result = JSON.parse(stdout) as BenchResult;
  expect(result.packets).toBe(20_000);
  expect(result.bytesPerPacket).toBe(generated.length / 20_000);
  expect(result.whole.map(({ workers }) => workers)).toEqual([1, 2, 3]);
  // Laps share the time of the one run between them.
  const stages = result.stages.reduce((sum, { nsPerPacket }) => sum + nsPerPacket, 0);
  expect(result.stages.every(({ nsPerPacket }) => nsPerPacket >= 0)).toBe(true);
  expect(stages).toBeGreaterThan(0);
  expect(stages).toBeLessThanOrEqual(result.whole[0]!.nsPerPacket);
  expect(readdirSync(folder)).toEqual(['given.pcap']);
});

test('given captures are measured with rules, as a table', () => {
  const rules = join(folder, 'rules');
  writeFileSync(rules, '*filter\n-A FORWARD -p tcp -j ACCEPT\nCOMMIT\n');
  const { status, stdout } = bench('--rules', rules, '--runs', '2', '--workers', '1', given);
  rmSync(rules);
  expect(status).toBe(0);
  expect(stdout).toContain(`${given}: 20,000 packets of`);
  expect(stdout).toContain('medians of 2 runs');
  for (const name of ['read and walk', 'decode', 'track, with rules', '1 worker']) {
    expect(stdout).toMatch(new RegExp(`^  ${name} +\\d+\\.\\d +[\\d,.]+(?: M)? +\\d+%$`, 'm'));
  }
});

test.each([
  ['standard input', ['-'], 'bench reads captures several times'],
  ['an unknown mode', ['--traffic', 'medium'], "--traffic: 'medium' is not MODE"],
  ['no packets', ['--traffic', 'small:0'], '--traffic: 0 packets cannot be generated'],
  ['no runs', ['--runs', '0'], "--runs: '0' is not a number"],
  ['a capture that is not there', [join(folder, 'missing.pcap')], 'missing.pcap'],
])('%s is refused', (_, words, message) => {
  const { status, stdout, stderr } = bench(...words);
  expect(status).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(message);
});

test.each([
  ['empty', 24, 'the captures hold no packets'],
  ['cut', 30_000, 'cut.pcap'],
])('a capture that is %s cannot be measured', (name, bytes, message) => {
  const path = join(folder, `${name}.pcap`);
  writeFileSync(path, generated.subarray(0, bytes));
  const { status, stdout, stderr } = bench('--runs', '1', path);
  rmSync(path);
  expect(status).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(message);
});
