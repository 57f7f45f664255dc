// Does the program start with what was made of it when it was built, and as well without? Does it load what it needs only, and does
// the package have all of it?

import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, test, vi } from 'vitest';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const PROGRAM = join(ROOT, 'build/program');
const CACHE = join(PROGRAM, `program-${process.version}-${process.arch}.cache`);
const REPLAY = [join(PROGRAM, 'main.js'), 'replay', '--host', join(ROOT, 'captures/demo-host-new'), '--events', '-'];
const CAPTURE = join(ROOT, 'captures/ssh-session.pcap');

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-program-'));
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function node(...args: string[]): string {
  return execFileSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } });
}

/** Whether V8 refuses the cache under these flags of Node. */
function refused(...flags: string[]): boolean {
  const script = `const { readFileSync } = require('node:fs');
    const cachedData = readFileSync('${CACHE}');
    const { Script } = require('node:vm');
    console.log(new Script(readFileSync('${PROGRAM}/program.js', 'utf8'), { cachedData }).cachedDataRejected);`;
  return JSON.parse(node(...flags, '-e', script));
}

test('this Node takes the cache of the program', () => {
  expect(refused()).toBe(false);
});

test('a Node that does not take the cache runs the program all the same', () => {
  // V8 takes no cache that was written under other flags, which stand for another version here.
  expect(refused('--no-opt')).toBe(true);
  const events = node(...REPLAY, '--quiet', CAPTURE);
  expect(events).toContain('dport=22 [UNREPLIED]');
  expect(node('--no-opt', ...REPLAY, '--quiet', CAPTURE)).toBe(events);
});

test('without a cache the program runs all the same; without the program there is trouble, not a difference', () => {
  const copy = join(folder, 'build/program');
  cpSync(PROGRAM, copy, { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'));
  const version = () => spawnSync(process.execPath, [join(copy, 'main.js'), '--version'], { encoding: 'utf8' });
  writeFileSync(join(copy, basename(CACHE)), readFileSync(CACHE).subarray(0, 1000));
  expect(version().status).toBe(0);
  rmSync(join(copy, basename(CACHE)));
  expect(version().status).toBe(0);
  rmSync(join(copy, 'program.js'));
  expect(version()).toMatchObject({ status: 2, stderr: expect.stringContaining('program.js') });
});

test('the program finds its workers', () => {
  const replay = [join(PROGRAM, 'main.js'), 'replay', '--quiet', '--events', '-', CAPTURE];
  const alone = node(...replay, '--workers', '1');
  vi.stubEnv('CTREPLAY_TEST_WORKERS', 'all');
  expect(node(...replay, '--workers', '2')).toBe(alone);
});

test('a worker that cannot start ends the run with its error', () => {
  const root = join(folder, 'no-worker');
  cpSync(join(ROOT, 'build'), join(root, 'build'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(root, 'package.json'));
  rmSync(join(root, 'build/program/lane.js'));
  const args = [join(root, 'build/program/main.js'), 'replay', '--quiet', '--workers', '2', CAPTURE];
  const env = { ...process.env, CTREPLAY_TEST_WORKERS: 'all' };
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env, timeout: 60_000 });
  expect(status).toBe(2);
  expect(stderr).toMatch(/a worker failed: .*lane\.js/);
});

test("a quiet replay loads none of Node's modules that it does not need", () => {
  const hook = join(folder, 'loaded.cjs');
  const loaded = join(folder, 'loaded.json');
  writeFileSync(
    hook,
    `const { writeFileSync } = require('node:fs');
    process.on('exit', () => writeFileSync('${loaded}', JSON.stringify(process.moduleLoadList)));`,
  );
  node('--require', hook, ...REPLAY.slice(0, 4), '--quiet', CAPTURE);
  const modules: string[] = JSON.parse(readFileSync(loaded, 'utf8'));
  expect(modules).toContain('NativeModule vm');
  const slow = ['child_process', 'crypto', 'fs/promises', 'perf_hooks', 'worker_threads', 'zlib'];
  expect(slow.filter((name) => modules.includes(`NativeModule ${name}`))).toEqual([]);
});

test('the package has every file that its modules import', () => {
  const { files }: { files: string[] } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const modules = readdirSync(join(ROOT, 'build/src'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.js'),
  );
  const imported = modules.flatMap((name) => {
    const file = join(ROOT, 'build/src', name);
    const paths = readFileSync(file, 'utf8').matchAll(/(?:from |import\()["'](\.[^"']*)["']/g);
    return [...paths].map(([, path]) => relative(ROOT, join(dirname(file), path!)));
  });
  expect(imported).toContain('build/src/run.js');
  expect(imported.filter((path) => !files.some((folder) => path.startsWith(`${folder}/`)))).toEqual([]);
});
