// What a kernel said of the programs recorded in captures/gateway/: does a replay of what was captured there say the same?
//
// Not compared, because the kernel's collector decides it: when an expired entry is destroyed, and in which order. Seconds
// that are left may differ by one: the kernel counts jiffies, and its table was listed a little after the moment noted.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import type { Summary } from '../../src/index.ts';
import { expectEvents, expectSeconds, unstamped } from '../support/kernel-lines.ts';

const MAIN = fileURLToPath(new URL('../../build/program/main.js', import.meta.url));
const RECORDINGS = fileURLToPath(new URL('../../captures/gateway/', import.meta.url));

/** Captures that each show all that passed. */
const ANY = ['any.pcap'];
const LEGS = ['lan.pcap', 'wan.pcap'];
const NAMED = ['lan=lan.pcap', 'wan=wan.pcap'];
const CAPTURES: Record<string, string[][]> = {
  web: [ANY, LEGS, NAMED],
  https: [LEGS, NAMED],
  ping: [ANY],
  dns: [ANY],
  hairpin: [ANY, LEGS],
  'ftp-active': [LEGS],
  'ftp-passive': [LEGS],
  tftp: [ANY],
};

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-recorded-'));
afterAll(() => rmSync(folder, { recursive: true }));

const lines = (text: string): string[] => text.split('\n').filter(Boolean);

/** Entries that died because their time had come show none that is left. */
const EXPIRED = /^\[DESTROY\] \S+ +\d+ \S+ +\d+ ([A-Z][A-Z_]* )?src=/;

/** Events that packets caused, in order; and entries that ended without one, in any. */
function split(events: string[]): { caused: string[]; expired: string[] } {
  return {
    caused: events.filter((line) => !EXPIRED.test(line)),
    expired: events.filter((line) => EXPIRED.test(line)).sort(),
  };
}

const TIMEOUT = /^(\S+ +\d+ \S+ +\d+ )(\d+)( .*)$/;

/** The table in an order of its own, and the seconds left of each entry. */
function table(text: string): { entries: string[]; timeouts: number[] } {
  const parts = lines(text)
    .map((line) => TIMEOUT.exec(line)!.slice(1))
    .sort((a, b) => (a[0]! + a[2]! < b[0]! + b[2]! ? -1 : 1));
  return { entries: parts.map(([a, , b]) => a! + b!), timeouts: parts.map(([, timeout]) => Number(timeout)) };
}

const cases = Object.entries(CAPTURES).flatMap(([name, all]) => all.map((captures) => [name, captures] as const));

describe('as the kernel said', () => {
  test.each(cases)('%s: %j', async (name, captures) => {
    const file = (path: string): string => join(RECORDINGS, name, path);
    const kernel = (path: string): string => readFileSync(file(path), 'utf8');
    const out = (what: string): string => join(folder, what);
    const names = ['events', 'expectations', 'table', 'counters', 'packets'];
    const moment = kernel('moment').trim();
    const { stdout } = await promisify(execFile)(process.execPath, [
      MAIN,
      'replay',
      '--json',
      ...['--host', file('host'), '--events-format', 'extended'],
      ...['--at', `${moment.slice(0, -9)}.${moment.slice(-9)}`],
      ...names.flatMap((what) => [`--${what}`, out(what)]),
      ...captures.map((text) => text.replace(/[^=]+$/, (path) => file(path))),
    ]);
    const ours = (what: string): string => readFileSync(out(what), 'utf8');
    const [said, saw] = [split(unstamped(kernel('events'))), split(unstamped(ours('events')))];
    expectEvents(saw.caused, said.caused);
    expect(saw.expired).toEqual(said.expired);
    expectEvents(unstamped(ours('expectations')), unstamped(kernel('expectations')));
    expect(ours('counters')).toBe(kernel('counters'));
    const [expected, actual] = [table(kernel('table')), table(ours('table'))];
    expect(actual.entries).toEqual(expected.entries);
    expectSeconds(actual.timeouts, expected.timeouts);
    // What the gateway sent contradicts nothing. It was all found, but for what a helper changed.
    const { packets, found, answers, contradictions } = (JSON.parse(stdout) as Summary).copies!;
    expect(contradictions).toEqual([]);
    if (!kernel('host/iptables-save').includes('--helper')) expect(found + answers).toBe(packets);
  });
});
