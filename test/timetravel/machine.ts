// What does a kernel whose clock is the capture's do with these frames? Boots User Mode Linux with time travel once for
// any number of jobs, each replayed by guest.py in a network namespace of its own, and reads what each left behind.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  frameFile,
  INVALID_GROUP,
  type KernelRecord,
  OWN_PRIORITY,
  type Question,
  readAnswers,
  setUpScript,
  WATCH_GROUP,
  withoutAge,
} from '../differential/kernel.ts';

/** What to ask. The `wait` of each frame is the time between it and the frame before in the capture, ms. */
export interface Job {
  name: string;
  question: Question;
  /** How long to live on after the last frame, ms. */
  after: number;
}

const MEMORY = '512M';
/** A jiffy of the machine, ns: HZ is 1000. */
const JIFFY = 1_000_000;

/** Where build-kernel.sh puts the kernel. */
export function defaultKernel(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'ctreplay', 'uml', 'linux');
}

/** Boots the kernel, runs the jobs in order, and returns their records. Throws with the log of the job that failed. */
export async function askMachine(kernel: string, jobs: Job[]): Promise<KernelRecord[]> {
  const folder = mkdtempSync(join(tmpdir(), 'ctreplay-timetravel-'));
  try {
    for (const [index, job] of jobs.entries()) writeJob(join(folder, String(index)), `/mnt/${index}`, job);
    writeFileSync(join(folder, 'jobs'), jobs.map((_, index) => `${index}\n`).join(''));
    const console = await boot(kernel, folder);
    return jobs.map((job, index) => readJob(join(folder, String(index)), job, console));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** guest.sh and guest.py in the sources, from here or from build/. */
function guestFile(name: string): string {
  const places = [`./${name}`, `../../../test/timetravel/${name}`];
  const found = places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((place) => existsSync(place));
  if (!found) throw new Error(`${name} is not where it should be`);
  return found;
}

function writeJob(folder: string, inside: string, { question, after }: Job): void {
  mkdirSync(folder);
  const put = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text);
    return `${inside}/${name}`;
  };
  put('setup.sh', setUpScript(question, put));
  put(
    'job.json',
    JSON.stringify({
      ports: question.interfaces,
      groups: [INVALID_GROUP, WATCH_GROUP],
      priority: OWN_PRIORITY,
      after_ms: after,
    }),
  );
  writeFileSync(join(folder, 'frames'), frameFile(question.frames));
}

/** Runs the machine until it switches itself off; returns what its console said. */
function boot(kernel: string, folder: string): Promise<string> {
  const words = [
    `mem=${MEMORY}`,
    'rootfstype=hostfs',
    'rootflags=/',
    'ro',
    `init=${guestFile('guest.sh')}`,
    `ctreplay_run=${folder}`,
    `ctreplay_guest=${guestFile('guest.py')}`,
    'time-travel=inf-cpu',
    `uml_dir=${folder}/`,
    'umid=machine',
    'con=null',
    'con0=null,fd:1',
    'quiet',
  ];
  return new Promise((resolve, reject) => {
    const child = spawn(kernel, words, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TMPDIR: folder } });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
    }
    child.on('error', reject);
    child.on('close', () => resolve(text));
  });
}

function readJob(folder: string, { name, question }: Job, console: string): KernelRecord {
  const text = (file: string): string =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8') : '(none)';
  if (text('code').trim() !== '0') {
    throw new Error(`${name}: the machine failed, code ${text('code').trim()}\n${text('log')}\n${console}`);
  }
  const record = readAnswers(readFileSync(join(folder, 'answers')), question.frames);
  const lines = (file: string): string[] => text(file).split('\n').filter(Boolean).map(withoutAge);
  const eventLines = lines('events');
  if (eventLines.length !== record.events.length) {
    throw new Error(`${name}: conntrack -E printed ${eventLines.length} of ${record.events.length} events`);
  }
  const { offset } = JSON.parse(text('clock.json')) as { offset: string };
  return {
    ...record,
    tick: JIFFY,
    wall: BigInt(offset),
    eventLines,
    table: lines('table'),
    expectationLines: [],
    pending: [],
    tableDelay: 0,
    counters4: text('counters4'),
    counters6: text('counters6'),
  };
}
