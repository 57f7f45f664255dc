// What did the user say? The command line as data, before anything is opened.

import { existsSync } from 'node:fs';
import { Argument, Command, CommanderError, Option } from 'commander';
import { Verdict } from '../../assembly/vocabulary.ts';
import type { Mode } from '../bench/traffic.ts';
import type { CaptureSpec } from '../capture/reader.ts';
import { LANES_MAX } from '../engine/layout.ts';
import { UsageError } from '../errors.ts';
import { parseMoment } from '../moment.ts';
import type { OutputMode } from '../report/events.ts';
import { isNatTarget } from '../report/filter-values.ts';
import type { FlowLogFormat } from '../report/flow-log.ts';
import type { Moment } from '../run.ts';
import { camelCase, type FilterValues } from './filter.ts';
import { FILTER_FLAGS } from './filter-flags.ts';
import {
  COMMAND_HELP,
  COMMANDS,
  type CommandName,
  capturesHelp,
  EXIT_HELP,
  FLAGS,
  type Flag,
  TRAFFIC_MODES,
} from './flags.ts';
import { type EventFormat, parseOutput } from './outputs.ts';

/** Options of all commands; those that a command does not have stay at their defaults. */
export interface Options {
  host?: string;
  old?: string;
  new?: string;
  rules: string[];
  sysctl: string[];
  local: string[];
  iface: string[];
  owner?: string;
  checksums: 'auto' | 'verify' | 'ignore';
  /** Files of expectations. */
  expect: string[];
  junit?: string;
  tap: boolean;
  at?: Moment;
  packet?: { file: number; n: number };
  events?: string;
  eventsFormat: EventFormat;
  expectations?: string;
  expected: boolean;
  table?: string;
  counters?: string;
  packets?: string;
  write?: string;
  /** Verdicts of --write-verdict. */
  writeVerdict?: ReadonlySet<Verdict>;
  asSent: boolean;
  report?: string;
  flowLog?: string;
  flowLogFormat: FlowLogFormat;
  /** Modes of -o. */
  output?: ReadonlySet<OutputMode>;
  /** What flowFilter() makes a filter of, once the names of labels are known. */
  filters: FilterValues;
  count: boolean;
  stats: boolean;
  json: boolean;
  quiet: boolean;
  workers?: number;
  seed: bigint;
  /** What bench generates. */
  traffic: { mode: Mode; packets: number };
  runs: number;
}

/** A command to run, or text that was asked for (help, version). */
export type Parsed =
  | { kind: 'command'; command: CommandName; options: Options; captures: CaptureSpec[] }
  | { kind: 'text'; text: string };

/** Packets that are generated if no number is given. */
const TRAFFIC_PACKETS = 1_000_000;

function usage(message: string): UsageError {
  return new UsageError('usage', message);
}

/** The option of a flag under one of its names. */
function option(flag: Flag, name: string): Option {
  const names = flag.letter !== undefined && name === flag.name ? `-${flag.letter}, --${name}` : `--${name}`;
  const value = flag.optional ? `[${flag.value}]` : `<${flag.value}>`;
  const made = new Option(flag.value === undefined ? names : `${names} ${value}`, flag.short);
  if (name !== flag.name) made.hideHelp();
  if (flag.choices) made.choices([...flag.choices]);
  if (flag.default !== undefined) made.default(flag.default);
  if (flag.required) made.makeOptionMandatory();
  if (flag.repeat) made.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value]);
  else if (FILTER_FLAGS.includes(flag)) {
    made.argParser((value: string, before: string | undefined) => {
      if (before !== undefined) throw usage(`--${name} is given twice`);
      return value;
    });
  }
  return made;
}

const NAT_FLAGS = FILTER_FLAGS.filter(({ optional }) => optional);

/** The value of a NAT filter may be left out: the next argument is one only if it looks like one. */
function joinNatTargets(argv: readonly string[]): readonly string[] {
  if (!FILTER_FLAGS[0]!.commands.some((command) => command === argv[0])) return argv;
  const joined: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const flag = NAT_FLAGS.find(({ name, letter }) => argv[i] === `--${name}` || argv[i] === `-${letter}`);
    if (flag === undefined) {
      joined.push(argv[i]!);
      continue;
    }
    const next = argv[i + 1];
    const target = next !== undefined && isNatTarget(next);
    joined.push(`--${flag.name}=${target ? next : ''}`);
    if (target) i++;
  }
  return joined;
}

/** What was given under the other names of a filter, under its own. */
function filterValues(raw: Raw): FilterValues {
  const values: Raw = { ...raw };
  for (const { name, aliases } of FILTER_FLAGS) {
    for (const alias of aliases ?? []) {
      const value = raw[camelCase(alias)];
      if (value === undefined) continue;
      if (values[camelCase(name)] !== undefined) throw usage(`--${name} is given twice`);
      values[camelCase(name)] = value;
    }
  }
  return values;
}

/** The long help of a command's flags. */
function details(command: CommandName): string {
  const texts = FLAGS.filter((flag) => flag.long !== undefined && flag.commands.includes(command));
  const blocks = texts.map((flag) => `--${flag.name} ${flag.value ?? ''}\n${wrap(flag.long!, 78)}`);
  return `\n${[...blocks, EXIT_HELP].join('\n\n')}\n`;
}

function wrap(text: string, width: number): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(`    ${word}`);
  }
  return lines.join('\n');
}

/**
 * A capture argument: a path, `-`, or `IFACE=FILE`. A file that exists under the whole name is that file.
 */
export function parseCapture(argument: string, exists: (path: string) => boolean = existsSync): CaptureSpec {
  const named = /^([A-Za-z0-9][A-Za-z0-9_.@:-]{0,14})=(.+)$/.exec(argument);
  if (named === null || exists(argument)) return { path: argument };
  return { path: named[2]!, iface: named[1]! };
}

/**
 * `FILE:N` of --packet: FILE is a number in command-line order or the path of one of the captures.
 *
 * @throws UsageError
 */
export function parsePacket(text: string, captures: readonly CaptureSpec[]): { file: number; n: number } {
  const [, place, number] = /^(.+):(\d+)$/.exec(text) ?? [];
  if (place === undefined || number === undefined) throw usage(`--packet: '${text}' is not FILE:N`);
  const n = Number(number);
  if (n < 1 || n > 0xffffffff) throw usage(`--packet: packets are numbered from 1, not ${number}`);
  const byPath = captures.findIndex(({ path }) => path === place);
  if (byPath >= 0) return { file: byPath + 1, n };
  if (!/^\d+$/.test(place)) throw usage(`--packet: '${place}' is none of the captures`);
  const file = Number(place);
  if (file < 1 || file > captures.length) {
    throw usage(`--packet: there is no capture ${place}, only 1 to ${captures.length}`);
  }
  return { file, n };
}

function parseWorkers(text: string): number {
  const workers = /^\d+$/.test(text) ? Number(text) : 0;
  if (workers < 1 || workers > LANES_MAX) throw usage(`--workers: '${text}' is not a number from 1 to ${LANES_MAX}`);
  return workers;
}

function parseSeed(text: string): bigint {
  const seed = /^\d{1,20}$/.test(text) ? BigInt(text) : -1n;
  if (seed < 0n || seed >= 1n << 64n) throw usage(`--seed: '${text}' is not a number of 64 bits`);
  return seed;
}

function parseAt(text: string): Moment {
  const moment = parseMoment(text);
  if (moment === undefined) throw usage(`--at: '${text}' is not a time: seconds since 1970, +SECONDS, or ISO 8601`);
  return moment;
}

function parseTraffic(text: string): Options['traffic'] {
  const [, mode, number] = /^([a-z]+)(?::(\d{1,10}))?$/.exec(text) ?? [];
  const known = TRAFFIC_MODES.find((name) => name === mode);
  const packets = Number(number ?? TRAFFIC_PACKETS);
  if (known === undefined)
    throw usage(`--traffic: '${text}' is not MODE or MODE:PACKETS, with ${TRAFFIC_MODES.join(', ')}`);
  if (packets < 1 || packets > 0xffffffff) throw usage(`--traffic: ${number} packets cannot be generated`);
  return { mode: known, packets };
}

function parseRuns(text: string): number {
  const runs = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (runs < 1) throw usage(`--runs: '${text}' is not a number from 1 to 9999`);
  return runs;
}

/** The verdicts of --write-verdict. */
function parseVerdicts(text: string): ReadonlySet<Verdict> {
  const names = Object.keys(Verdict).filter((name) => Number.isNaN(Number(name)));
  const verdicts = text.split(',').map((name) => {
    if (!names.includes(name)) throw usage(`--write-verdict: '${name}' is none of ${names.join(', ')}`);
    return Verdict[name as keyof typeof Verdict];
  });
  return new Set(verdicts);
}

/** What says more about --write needs it, and only what was accepted has left. */
function checkWrite({ write, writeVerdict, asSent }: Options): void {
  const lone = write !== undefined ? undefined : writeVerdict ? '--write-verdict' : asSent ? '--as-sent' : undefined;
  if (lone) throw usage(`${lone} needs --write`);
  if (asSent && writeVerdict && !writeVerdict.has(Verdict.ACCEPT)) {
    throw usage('--as-sent: only packets with the verdict ACCEPT have left');
  }
}

/** Two things written to standard output would be mixed up. */
function checkOutputs(options: Options): void {
  const paths = new Map<string, string>();
  for (const name of [
    'events',
    'expectations',
    'table',
    'counters',
    'packets',
    'flow-log',
    'write',
    'report',
    'junit',
  ] as const) {
    const path = options[name === 'flow-log' ? 'flowLog' : name];
    if (path === undefined) continue;
    const other = paths.get(path);
    const place = path === '-' ? 'standard output' : path;
    if (other !== undefined) throw usage(`--${other} and --${name} cannot both go to ${place}`);
    if (path === '-' && options.json) throw usage(`--json and --${name} cannot both go to standard output`);
    paths.set(path, name);
  }
}

/** Expectations have no filters. */
function checkExpected(options: Options): void {
  const filter = FILTER_FLAGS.find(({ name }) => options.filters[camelCase(name) as keyof FilterValues] !== undefined);
  const other = (['count', 'stats'] as const).find((name) => options[name]) ?? filter?.name;
  if (other !== undefined) throw usage(`--expected and --${other} cannot both be given`);
}

type Raw = Record<string, string | string[] | boolean | undefined>;

function interpret(raw: Raw, command: CommandName, captures: readonly CaptureSpec[]): Options {
  const list = (name: string) => (raw[name] as string[] | undefined) ?? [];
  const options = {
    ...raw,
    rules: list('rules'),
    sysctl: list('sysctl'),
    local: list('local'),
    iface: list('iface'),
    expect: list('expect'),
    tap: raw.tap === true,
    checksums: raw.checksums ?? 'auto',
    eventsFormat: raw.eventsFormat ?? 'text',
    seed: parseSeed((raw.seed as string | undefined) ?? '0'),
    traffic: parseTraffic((raw.traffic as string | undefined) ?? 'small'),
    runs: parseRuns((raw.runs as string | undefined) ?? '5'),
    flowLogFormat: raw.flowLogFormat ?? 'conntrackd',
    filters: filterValues(raw),
    count: raw.count === true,
    stats: raw.stats === true,
    json: raw.json === true,
    ...(raw.output === undefined ? {} : { output: parseOutput(raw.output as string, command) }),
    expected: raw.expected === true,
    quiet: raw.quiet === true,
    ...(raw.at === undefined ? {} : { at: parseAt(raw.at as string) }),
    ...(raw.workers === undefined ? {} : { workers: parseWorkers(raw.workers as string) }),
    asSent: raw.asSent === true,
    ...(raw.writeVerdict === undefined ? {} : { writeVerdict: parseVerdicts(raw.writeVerdict as string) }),
    ...(raw.packet === undefined ? {} : { packet: parsePacket(raw.packet as string, captures) }),
  } as Options;
  checkOutputs(options);
  checkWrite(options);
  if (options.expected) checkExpected(options);
  if (options.json && options.tap) throw usage('--json and --tap cannot both be given');
  if (options.tap && options.junit === '-') throw usage('--tap and --junit cannot both go to standard output');
  if (options.json && options.output) throw usage('--json and --output cannot both be given');
  if (captures.filter(({ path }) => path === '-').length > 1) throw usage('standard input (-) can be read only once');
  return options;
}

/**
 * Parses the arguments after the program's name.
 *
 * @param version of the package, for --version
 * @throws UsageError that names the option at fault
 */
export function parseArguments(argv: readonly string[], version: string): Parsed {
  let text = '';
  let parsed: Parsed | undefined;
  const collect = { writeOut: (part: string) => (text += part), writeErr: () => {} };
  const program = new Command('ctreplay')
    .description('Replay packet captures through a Linux firewall that is not there.')
    .version(version, '--version', 'print the version')
    .helpOption('--help', 'print help, also for each command')
    .helpCommand(false)
    .exitOverride()
    .configureOutput(collect)
    .addHelpText('after', `\n${EXIT_HELP}\n`);
  for (const name of COMMANDS) {
    const command = program
      .command(name)
      .description(COMMAND_HELP[name])
      .helpOption('--help', 'print this help')
      .addArgument(
        new Argument(name === 'plan' || name === 'bench' ? '[capture...]' : '<capture...>', capturesHelp(name)),
      )
      .exitOverride()
      .configureOutput(collect)
      .addHelpText('after', details(name))
      .action((paths: string[], raw: Raw) => {
        const captures = paths.map((path) => parseCapture(path));
        parsed = { kind: 'command', command: name, options: interpret(raw, name, captures), captures };
      });
    for (const flag of FLAGS) {
      if (!flag.commands.includes(name)) continue;
      for (const flagName of [flag.name, ...(flag.aliases ?? [])]) command.addOption(option(flag, flagName));
    }
  }
  if (argv.length === 0) throw usage(`say a command: ${COMMANDS.join(', ')} (ctreplay --help)`);
  try {
    program.parse(joinNatTargets(argv), { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'text', text };
    throw usage(error.message.replace(/^error: /, ''));
  }
  return parsed ?? { kind: 'text', text };
}
