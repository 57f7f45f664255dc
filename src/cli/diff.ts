// What does `ctreplay diff` do? One pass over the captures through two firewalls; lists the flows they treat differently.

import type { CaptureSpec } from '../capture/reader.ts';
import { writeStandardOutput } from '../output.ts';
import { DiffCollector, diffJson } from '../report/diff.ts';
import { diffText } from '../report/diff-text.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { colorful, speedText } from './replay.ts';
import { conclude, hostFrom, runCaptures, tell } from './start.ts';

export async function diffCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  const hosts = [hostFrom(options, options.old), hostFrom(options, options.new)] as const;
  const collector = new DiffCollector();
  const result = await runCaptures(options, captures, { hosts, wantEvents: false }, (batch) => {
    const [before, after] = [batch.worlds[0]!, batch.worlds[1]!];
    const rules = [before.rules, after.rules] as const;
    collector.add(batch.view, batch.bytes, batch.records, before.packets, after.packets, batch.count, rules);
  });
  const report = collector.report();
  const files = captures.map(({ path }) => path);
  if (options.json) await writeStandardOutput(diffJson(report));
  else if (!options.quiet) await writeStandardOutput(diffText(report, files, colorful(process.stdout)));
  for (const note of new Set(result.notes)) await tell(options, note);
  await tell(options, speedText(result));
  return conclude(result, report.flowsDiffer === 0 ? EXIT.DONE : EXIT.DIFFERENT);
}
