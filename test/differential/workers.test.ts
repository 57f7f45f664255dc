// Same input, same bytes out, for any number of workers: on every capture that the tests have.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { fragment } from '../support/fragments.ts';
import * as build from '../support/packets.ts';
import { departuresOf } from './compare-sent.ts';
import { readCapture } from './read-capture.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = join(ROOT, 'build/src/cli/main.js');
const OUTPUTS = ['packets', 'events', 'table', 'counters', 'write'] as const;
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

  const gateway = ['iptables-save', 'ip6tables-save'].flatMap((tool) => [
    '--rules',
    join(ROOT, `test/differential/rules/port-forward.${tool}`),
  ]);
  cases.push(
    ['all captures of the repository through NAT', own, gateway],
    ['all captures of the repository as they left through NAT', own, [...gateway, '--as-sent']],
    ['all captures of the repository through NAT, with another seed', own, [...gateway, '--seed', '7']],
  );

  test.concurrent.each(cases)('%s', { timeout: 300_000 }, async (_name, captures, options) => {
    const first = await replay(captures, WORKERS[0]!, options);
    expect(first.exit).toBeGreaterThanOrEqual(0);
    for (const workers of WORKERS.slice(1)) {
      expect(await replay(captures, workers, options), `${workers} workers`).toEqual(first);
    }
  });

  test('fragments whose packet is complete many batches later', { timeout: 300_000 }, async () => {
    const { file, pairs } = farFragments();
    const first = await replay([file], 1, []);
    for (const workers of WORKERS.slice(1))
      expect(await replay([file], workers, []), `${workers} workers`).toEqual(first);
    const outputs = ['packets', 'events', 'rules', 'write', 'sent'].map((name) => join(scratch, `far.${name}`));
    const [packets, events, rules, written, sent] = outputs as [string, string, string, string, string];
    const chains = [':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', '-A FORWARD -j LOG'];
    writeFileSync(rules, ['# Generated by iptables-save', '*filter', ...chains, 'COMMIT', ''].join('\n'));
    const run = (...args: string[]) =>
      new Promise<string>((resolve) => {
        execFile(process.execPath, [MAIN, ...args, '--quiet', file], { maxBuffer: 1 << 28 }, (_, stdout) =>
          resolve(stdout),
        );
      });
    await run('replay', '--rules', rules, '--packets', packets, '--events', events, '--write', written);
    await run('replay', '--rules', rules, '--write', sent, '--as-sent');
    // Batches that were held back are copies: events as in a run that holds nothing back, log records with their packets.
    expect(readFileSync(events, 'utf8')).toBe(await run('events'));
    const lines = readFileSync(packets, 'utf8').split('\n');
    const waiting = 2 + pairs.length;
    expect(lines.filter((line) => line.includes('"logs":[{"kind":"LOG"')).length).toBe(COUNT - waiting);
    for (const { from, to } of pairs) {
      const [one, other] = [JSON.parse(lines[from - 1]!), JSON.parse(lines[to - 1]!)];
      expect(other).toMatchObject({ n: to, verdict: 'ACCEPT', ct: { id: to, state: 'NEW' }, frag: { file: 1, n: to } });
      if (to - from <= 65_536) {
        const { verdict, ct, frag, path, rule } = other;
        expect(one, `${from} to ${to}`).toEqual({ file: 1, n: from, ts: one.ts, verdict, ct, frag, path, rule });
      } else expect(one).toEqual({ file: 1, n: from, ts: one.ts, verdict: 'NONE', why: 'fragment-pending' });
    }
    // They hold what was captured, and what was put together.
    const [before, after] = [file, written].map(readCapture);
    expect(after!.map(({ bytes }) => bytes.toString('hex'))).toEqual(before!.map(({ bytes }) => bytes.toString('hex')));
    const left = departuresOf(readFileSync(sent), 14);
    expect(left.size).toBe(COUNT - 2 - pairs.length);
    pairs.forEach(({ to }, id) => {
      const data = left.get(to)!.map((piece) => piece.subarray(20));
      expect(Buffer.concat(data)).toEqual(Buffer.from(build.udp({ sport: 10_000 + id, dport: 53, payload: 24 }).bytes));
    });
    expect(JSON.parse(lines[LONE - 1]!)).toMatchObject({ verdict: 'DROP', why: 'fragment-timeout' });
    expect(JSON.parse(lines[COUNT - 2]!)).toMatchObject({ verdict: 'NONE', why: 'fragment-incomplete' });
  });
});

/** Packets of the capture below, and one of them that is a fragment without others. */
const COUNT = 150_000;
const LONE = 90_000;

/** A long capture, in which fragments of one packet are up to 100,000 packets apart. */
function farFragments(): { file: string; pairs: { from: number; to: number }[] } {
  const datagram = (sport: number) =>
    build.ip('10.0.0.1', '10.0.0.2', build.udp({ sport, dport: 53, payload: 24 }), { df: false });
  const distances = [1, 2, 4_096, 5_000, 40_000, 65_535, 65_536, 65_537, 100_000];
  const pairs = distances.map((distance, i) => ({ from: 1_001 + i * 700, to: 1_001 + i * 700 + distance }));
  const plain = build.ethernet(datagram(9));
  const special = new Map<number, Uint8Array>();
  const cut = (n: number, id: number, offset: number, more: boolean) =>
    special.set(n, build.ethernet(fragment(datagram(10_000 + id), { offset, length: 16, more, id })));
  pairs.forEach(({ from, to }, id) => {
    cut(from, id, 16, false);
    cut(to, id, 0, true);
  });
  cut(LONE, 100, 16, false);
  cut(COUNT - 1, 101, 16, false);
  // A microsecond apart, but for a pause in which the lone fragment's time runs out: 40 s, soon after it.
  const packets = Array.from({ length: COUNT }, (_, i) => ({
    time: BigInt(i) * 1000n + (i > LONE + 20_000 ? 40_000_000_000n : 0n),
    data: special.get(i + 1) ?? plain,
  }));
  const file = join(scratch, 'far.pcap');
  const header = build.writePcap([]);
  const parts: Uint8Array[] = [header];
  for (let i = 0; i < COUNT; i += 1000) parts.push(build.writePcap(packets.slice(i, i + 1000)).subarray(header.length));
  writeFileSync(file, Buffer.concat(parts));
  return { file, pairs };
}
