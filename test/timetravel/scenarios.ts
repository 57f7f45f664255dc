// Does a kernel that lives through the whole conversation do what a scenario says? Turns scenarios into jobs for the
// machine and what its kernel said into the form that test/scenario/kernel.ts compares.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { answersOf } from '../differential/answers.ts';
import { placed } from '../differential/frames.ts';
import type { KernelRecord } from '../differential/kernel.ts';
import { kernelExpiries } from '../differential/moments.ts';
import { differences, type KernelResult } from '../scenario/kernel.ts';
import { layOut, parseScenarios, type Scenario } from '../scenario/scenario-file.ts';
import { buildSteps } from '../scenario/scenario-packets.ts';
import type { Job } from './machine.ts';
import { resetFlows } from './resets.ts';

/** Scenarios that the machine can be given: with nothing but packets to forward and sysctls that a namespace has. */
export function readScenarios(which: 'virtual' | 'all'): Scenario[] {
  const places = ['../scenario', '../../../test/scenario'];
  const folder = places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((place) => existsSync(join(place, 'udp.md')));
  if (!folder) throw new Error('test/scenario is not where it should be');
  const files = readdirSync(folder).filter((name) => name.endsWith('.md'));
  return files
    .sort()
    .flatMap((name) => parseScenarios(name, readFileSync(join(folder, name), 'utf8')))
    .filter((scenario) => (which === 'all' && scenario.interfaces.length === 0) || scenario.virtual)
    .filter((scenario) => scenario.askable);
}

const millis = (ns: bigint): number => Number(ns / 1_000_000n);

/** A scenario as a job. Frames that are not IP only let time pass, on which the machine does not depend. */
export function scenarioJob(scenario: Scenario): Job {
  let now = 0;
  const packets = buildSteps(scenario.file, scenario.steps).flatMap(({ step, packet }) => {
    if (!packet) return [];
    const wait = millis(step.time) - now;
    now += wait;
    return [{ origin: step.n, packet: Buffer.from(packet), wait }];
  });
  return {
    name: `${scenario.file}: ${scenario.name}`,
    question: {
      ...placed(packets),
      rules4: scenario.rules4 ? [scenario.rules4] : [],
      rules6: scenario.rules6 ? [scenario.rules6] : [],
      sysctls: { ...scenario.sysctls },
      interfaces: ['lan', 'wan'],
    },
    after: millis(scenario.steps.at(-1)!.time) - now,
  };
}

export interface Verdict {
  differences: string[];
  /** Differences were found, and the scenario turns on what 6.12 does with an RST (resets.ts). */
  excused: boolean;
  packets: number;
  /** Expiries that came at the very millisecond that the scenario names. */
  expiries: number;
}

/** Compares what the machine's kernel said with the scenario. */
export function judgeScenario(scenario: Scenario, job: Job, record: KernelRecord): Verdict {
  const answers = answersOf(job.question.frames, record);
  const start = answers.packets[0]?.ts ?? 0n;
  const expiries = kernelExpiries(answers, record).map(({ line, at }) => ({ at: at - start, line }));
  const result: KernelResult = {
    packets: scenario.steps.map(({ time }) => ({ at: Number(time) / 1e9, events: [] })),
    expiries: expiries.map(({ at, line }) => ({ at: Number(at) / 1e9, line })),
    table: answers.table,
  };
  for (const { origin, n, ct, path, verdict } of answers.packets) {
    result.packets[origin - 1] = {
      at: 0,
      state: ct?.state ?? 'NONE',
      dir: ct?.dir ?? null,
      path: path === 'none' ? null : path,
      accepted: verdict === 'ACCEPT',
      replies: record.logs.filter(({ n: at, log }) => at === n && log.prefix === 'O').map(hexOfReply),
      events: answers.events.filter((event) => event.n === n && !event.expired).map(({ line }) => line),
    };
  }
  const found = differences(withoutRules(scenario), result);
  for (const [index, { time, text, line }] of scenario.expiries.entries()) {
    const actual = expiries[index];
    if (actual && actual.line === layOut(text) && actual.at !== time)
      found.push(`${scenario.file}:${line}: expected at ${Number(time) / 1e9} s, kernel: ${Number(actual.at) / 1e9} s`);
  }
  const excused = found.length > 0 && resetFlows(job.question.frames, answers).size > 0;
  return { differences: found, excused, packets: answers.packets.length, expiries: scenario.expiries.length };
}

function hexOfReply({ log }: KernelRecord['logs'][number]): string {
  return log.payload.toString('hex');
}

/** Which rule decided is seen from counters after every packet, which nobody reads here. */
function withoutRules(scenario: Scenario): Scenario {
  const steps = scenario.steps.map((step) => {
    if (!step.packet?.more.rule) return step;
    const { rule: _, ...more } = step.packet.more;
    return { ...step, packet: { ...step.packet, more } };
  });
  return { ...scenario, steps };
}
