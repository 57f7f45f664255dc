// Do ctreplay and a kernel that lives in the capture's time agree? The program behind run.sh.
//
// Exit code 0: they agree; 1: they differ; 2: trouble.

import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { answersOf } from '../differential/answers.ts';
import { compare } from '../differential/compare.ts';
import type { KernelRecord } from '../differential/kernel.ts';
import { compareMoments, kernelExpiries, ourExpiries } from '../differential/moments.ts';
import { OurRun } from '../differential/ours.ts';
import { isSilentReject } from '../differential/packet.ts';
import { story } from '../differential/story.ts';
import { askMachine, defaultKernel, type Job } from './machine.ts';
import { excuseResets, resetFlows } from './resets.ts';
import { judgeScenario, readScenarios, scenarioJob } from './scenarios.ts';
import { type TimedTraffic, timedTraffic } from './timed-capture.ts';

const HELP = `usage: test/timetravel/run.sh [options] [CAPTURE...]
  --scenarios WHICH     virtual (default without captures), all (of those without interfaces), none
  --rules FILE          iptables-save text for the captures (repeatable)
  --rules6 FILE         ip6tables-save text (repeatable)
  --sysctl KEY=VALUE    for example net.netfilter.nf_conntrack_tcp_loose=0 (repeatable)
  --after SECONDS       how long to live on after a capture's last packet (default 432001: five days)
  --kernel FILE         default ${defaultKernel()}
  --limit N             differences to tell in full per capture (default 5)
`;

const print = (text: string): void => void process.stdout.write(`${text}\n`);
const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;

function span(ms: number): string {
  const s = ms / 1000;
  return s < 1000 ? `${s.toFixed(3)} s` : `${s.toFixed(0)} s (${(s / 86400).toFixed(2)} days)`;
}

async function runScenarios(kernel: string, which: 'virtual' | 'all'): Promise<boolean> {
  const scenarios = readScenarios(which);
  const jobs = scenarios.map(scenarioJob);
  const since = performance.now();
  const records = await askMachine(kernel, jobs);
  const took = seconds(since);
  const total = { packets: 0, expiries: 0, different: 0, excused: 0, virtual: 0 };
  for (const [index, scenario] of scenarios.entries()) {
    const job = jobs[index]!;
    const verdict = judgeScenario(scenario, job, records[index]!);
    total.packets += verdict.packets;
    total.expiries += verdict.expiries;
    total.virtual += job.question.frames.reduce((sum, frame) => sum + frame.wait, job.after);
    if (verdict.excused) total.excused++;
    else if (verdict.differences.length) total.different++;
    if (!verdict.differences.length) continue;
    print(`${verdict.excused ? '(6.12 and an RST) ' : ''}${job.name}\n${verdict.differences.join('\n')}`);
  }
  print(
    `scenarios (${which}): ${scenarios.length}, ${total.packets} packets, ${total.expiries} expiries to the millisecond, ` +
      `${span(total.virtual)} of virtual time in ${took}; ${total.different} differ, ${total.excused} by what 6.12 does with an RST`,
  );
  return total.different === 0;
}

async function judgeCapture(file: string, traffic: TimedTraffic, job: Job, record: KernelRecord, limit: number) {
  const { frames } = traffic;
  const kernel = answersOf(frames, record);
  const ours = new OurRun(
    job.question,
    kernel.packets.map((packet) => packet.ts),
  );
  try {
    const answer = await ours.replay(2);
    const isSilent = (n: number, kind: string): boolean => isSilentReject(frames[n - 1]!.packet, kind);
    const comparison = compare(kernel, answer, { isSilent, isOwnError: () => false });
    const moments = compareMoments(kernelExpiries(kernel, record), ourExpiries(answer.events));
    comparison.differences.push(...moments.differences);
    const resets = resetFlows(frames, kernel);
    const excused = excuseResets(comparison, resets, frames);
    for (const difference of comparison.differences.slice(0, limit)) {
      print(`\n${story(difference, frames, kernel)}`);
      if (difference.n > 0) print((await ours.trace(difference.n)).trimEnd().replace(/^/gm, '      '));
    }
    const ticked = kernel.packets.filter((packet) => packet.ticked).length;
    const left = new Map<string, number>();
    for (const { why } of traffic.skipped) left.set(why, (left.get(why) ?? 0) + 1);
    const notes = [
      traffic.filled && `${traffic.filled} filled up`,
      traffic.late && `${traffic.late} stamped before an earlier one`,
      ticked && `${ticked} with a jiffy ending inside`,
      traffic.skipped.length && `left out: ${[...left].map(([why, count]) => `${count} ${why}`).join(', ')}`,
      excused && `${excused} differences of ${resets.size} flows by what 6.12 does with an RST`,
      comparison.excused.jiffy && `excused by a jiffy: ${comparison.excused.jiffy}`,
    ].filter(Boolean);
    print(
      `${basename(file)}: ${frames.length} packets, ${kernel.events.length} events, ${moments.same} expiries at the same ` +
        `millisecond, ${span(traffic.span)} of virtual time; ${comparison.differences.length} differences` +
        notes.map((note) => `; ${note}`).join(''),
    );
    return comparison.differences.length === 0;
  } finally {
    ours.close();
  }
}

async function main(): Promise<number> {
  const text = { type: 'string' } as const;
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      scenarios: text,
      rules: { ...text, multiple: true, default: [] },
      rules6: { ...text, multiple: true, default: [] },
      sysctl: { ...text, multiple: true, default: [] },
      after: { ...text, default: '432001' },
      kernel: { ...text, default: defaultKernel() },
      limit: { ...text, default: '5' },
      help: { type: 'boolean', default: false },
    },
  });
  const which = values.scenarios ?? (positionals.length ? 'none' : 'virtual');
  if (values.help || (which !== 'virtual' && which !== 'all' && which !== 'none')) {
    process.stdout.write(HELP);
    return values.help ? 0 : 2;
  }
  if (!existsSync(values.kernel)) throw new Error(`${values.kernel} is missing: test/timetravel/build-kernel.sh`);
  let same = true;
  if (which !== 'none') same = await runScenarios(values.kernel, which);
  const read = (file: string): string => readFileSync(file, 'utf8');
  const captures = positionals.map((file) => {
    const traffic = timedTraffic(file, Number(values.after) * 1000);
    const job: Job = {
      name: file,
      question: {
        ...traffic,
        rules4: values.rules.map(read),
        rules6: values.rules6.map(read),
        sysctls: Object.fromEntries(values.sysctl.map(keyAndValue)),
        interfaces: ['lan', 'wan'],
      },
      after: 0,
    };
    return { file, traffic, job };
  });
  if (captures.length === 0) return same ? 0 : 1;
  const since = performance.now();
  const jobs = captures.map(({ job }) => job);
  const records = await askMachine(values.kernel, jobs);
  const took = seconds(since);
  for (const [index, { file, traffic, job }] of captures.entries()) {
    same = (await judgeCapture(file, traffic, job, records[index]!, Number(values.limit))) && same;
  }
  print(`the kernel took ${took} for all captures`);
  return same ? 0 : 1;
}

function keyAndValue(pair: string): [string, string] {
  const [key = '', ...rest] = pair.split('=');
  return [key.trim(), rest.join('=').trim()];
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  },
);
