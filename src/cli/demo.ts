// What does `npm start` show? The bundled captures through a bundled firewall: summary, events, a firewall change, expectations.

import { readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import picocolors from 'picocolors';
import { packageFile } from '../built.ts';
import { loadHost } from '../host.ts';
import { writeStandardError, writeStandardOutput } from '../output.ts';
import { ConntrackLines } from '../report/conntrack-text.ts';
import { run } from '../run.ts';
import { parseArguments } from './args.ts';
import { COMMAND_FUNCTIONS } from './commands.ts';
import { EXIT, type ExitCode, errorText } from './exit.ts';
import { colorful } from './replay.ts';

/** Events that are shown. */
const EVENTS_SHOWN = 12;

function capturesFolder(): string {
  return relative(process.cwd(), packageFile('captures')) || '.';
}

async function title(command: string): Promise<void> {
  const colors = picocolors.createColors(colorful(process.stdout));
  await writeStandardOutput(`\n${colors.cyan(`$ npx ctreplay ${command}`)}\n`);
}

/** Runs a command line as the user would have typed it; `shown` abbreviates it in the title. */
async function runLine(argv: string[], shown: string): Promise<ExitCode> {
  await title(shown);
  const parsed = parseArguments(argv, '');
  if (parsed.kind !== 'command') return EXIT.TROUBLE;
  const command = await COMMAND_FUNCTIONS[parsed.command]();
  return command(parsed.options, parsed.captures);
}

async function firstEvents(host: string, captures: string[], shown: string): Promise<void> {
  await title(`events ${shown} | head -n ${EVENTS_SHOWN}`);
  const lines = new ConntrackLines({ timestamp: true });
  let text = '';
  let count = 0;
  const options = {
    captures: captures.map((path) => ({ path })),
    hosts: [loadHost({ host })] as const,
    checksums: 'auto',
    wantEvents: true,
  } as const;
  await run(options, ({ worlds }) => {
    const events = worlds[0]!.events.slice(0, EVENTS_SHOWN - count);
    count += events.length;
    for (const some of lines.events(events)) text += Buffer.from(some).toString('latin1');
  });
  await writeStandardOutput(text);
}

async function demo(): Promise<ExitCode> {
  const folder = capturesFolder();
  const captures = readdirSync(folder)
    .filter((name) => /\.pcap(ng)?(\.gz)?$/.test(name))
    .sort()
    .map((name) => join(folder, name));
  const [before, after] = [join(folder, 'demo-host-old'), join(folder, 'demo-host-new')];
  const shown = join(folder, '*.pcap*');
  const code = await runLine(['replay', '--host', before, ...captures], `replay --host ${before} ${shown}`);
  if (code !== EXIT.DONE) return code;
  await firstEvents(before, captures, `--host ${before} ${shown}`);
  const diff = await runLine(
    ['diff', '--old', before, '--new', after, ...captures],
    `diff --old ${before} --new ${after} ${shown}`,
  );
  if (diff === EXIT.TROUBLE) return EXIT.TROUBLE;
  const expect = join(folder, 'demo-host.expect.yaml');
  const check = await runLine(
    ['check', '--host', after, '--expect', expect, ...captures],
    `check --host ${after} --expect ${expect} ${shown}`,
  );
  return check === EXIT.TROUBLE ? EXIT.TROUBLE : EXIT.DONE;
}

try {
  process.exitCode = await demo();
} catch (error) {
  await writeStandardError(errorText(error));
  process.exitCode = EXIT.TROUBLE;
}
