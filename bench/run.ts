// How fast is all of it on this machine? `npm run bench [-- --quick] [--only TEXT] [--json FILE] [--against FILE]`

import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { MODES, type Mode } from '../src/bench/traffic.ts';
import { memoryCopy, processBaseline } from './baselines.ts';
import { captureFile } from './captures.ts';
import { benchChecksum } from './checksum.bench.ts';
import { benchDecode } from './decode.bench.ts';
import { benchExpiry } from './expiry.bench.ts';
import { benchGrowth } from './growth.bench.ts';
import { kernelBaseline } from './kernel.ts';
import { benchLoad } from './load.bench.ts';
import { benchLookup } from './lookup.bench.ts';
import { FULL, type Measure, QUICK } from './measure.ts';
import { benchOutput } from './output.bench.ts';
import { ROOT } from './parts.ts';
import { benchRules } from './rules.bench.ts';
import { MIXED, ruleset } from './rulesets.ts';
import { benchStages } from './stages.bench.ts';
import { type Report, table } from './table.ts';
import { benchTcp } from './tcp.bench.ts';
import { benchWalk } from './walk.bench.ts';
import { wholeRun } from './whole.ts';

const HELP = `usage: npm run bench -- [options]
  --quick          ten times fewer packets, three runs instead of five, less time per stage
  --only TEXT      groups whose name contains TEXT: checksum walk decode lookup tcp expiry growth rules output load
                   ruleset stage replay
  --json FILE      also write the numbers to a file
  --against FILE   show the change against such a file
`;

const WORKERS = [1, 2];
/** Captures whose stages are timed one by one. */
const STAGED: readonly Mode[] = ['small', 'large'];
/** Captures that are replayed with rulesets of these sizes. */
const FILTERED: readonly Mode[] = ['small', 'synflood'];
const RULES = [10, 1000, 10_000];

interface Group {
  name: string;
  run: () => Promise<Measure[]>;
}

function groups(quick: boolean): Group[] {
  const effort = quick ? QUICK : FULL;
  const divisor = quick ? 10 : 1;
  const repeats = quick ? 3 : 5;
  const rules = readFileSync(`${ROOT}bench/host/iptables-save`, 'utf8');
  return [
    { name: 'checksum', run: () => benchChecksum(effort) },
    { name: 'walk', run: () => benchWalk(effort) },
    { name: 'decode', run: () => benchDecode(effort) },
    { name: 'lookup', run: () => benchLookup(effort) },
    { name: 'tcp', run: () => benchTcp(effort) },
    { name: 'expiry', run: () => benchExpiry(1_000_000 / divisor, repeats * 3) },
    { name: 'growth', run: () => benchGrowth(10_000_000 / divisor) },
    { name: 'rules', run: () => benchRules(effort) },
    { name: 'output', run: () => benchOutput(effort) },
    { name: 'load', run: async () => benchLoad(repeats) },
    ...FILTERED.map((mode) => ({ name: 'ruleset', run: () => filtered(mode, divisor, repeats) })),
    ...STAGED.map((mode) => ({
      name: 'stage',
      run: async () => benchStages(await captureFile(mode, divisor), rules, 3),
    })),
    ...(Object.keys(MODES) as Mode[]).map((mode) => ({ name: 'replay', run: () => whole(mode, divisor, repeats) })),
  ];
}

/** Whole runs over one capture, and the baselines over the same. */
async function whole(mode: Mode, divisor: number, repeats: number): Promise<Measure[]> {
  const capture = await captureFile(mode, divisor);
  const baselines = [memoryCopy(capture, repeats)];
  // pcap-parser takes long: one capture tells how it does.
  const parser = mode === 'small' ? await processBaseline('pcap-parser', capture, Math.min(repeats, 3)) : undefined;
  const tcpdump = await processBaseline('tcpdump', capture, repeats);
  const kernel = kernelBaseline(capture, repeats);
  for (const baseline of [parser, tcpdump, kernel]) if (baseline) baselines.push(baseline);
  const runs: Measure[] = [];
  for (const workers of WORKERS) runs.push(await wholeRun(capture, workers, repeats));
  return [...baselines, ...runs];
}

/** Whole runs with more and more rules that a new flow has to pass, the first of which accepts what has an entry. */
async function filtered(mode: Mode, divisor: number, repeats: number): Promise<Measure[]> {
  const capture = await captureFile(mode, divisor);
  const measures: Measure[] = [];
  for (const count of RULES) {
    const path = join(dirname(capture.path), `mixed-${count}.iptables-save`);
    writeFileSync(path, ruleset(count, MIXED, { stateful: true }));
    measures.push(await wholeRun(capture, 1, repeats, { name: `${count} rules`, path }));
  }
  return measures;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', default: '' },
      json: { type: 'string' },
      against: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return;
  }
  const earlier =
    values.against === undefined ? undefined : (JSON.parse(readFileSync(values.against, 'utf8')) as Report);
  const chosen = groups(values.quick).filter(({ name }) => name.includes(values.only));
  if (chosen.length === 0) throw new RangeError(`no group is named ${values.only}\n${HELP}`);
  const measures: Measure[] = [];
  for (const { name, run } of chosen) {
    process.stderr.write(`${name} ...\n`);
    measures.push(...(await run()));
  }
  const report: Report = {
    date: new Date().toISOString(),
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown processor'}`,
    node: process.version,
    quick: values.quick,
    measures,
  };
  process.stdout.write(`${report.date}  ${report.cpu}  Node ${report.node}${report.quick ? '  quick' : ''}\n\n`);
  process.stdout.write(table(measures, earlier));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
