// What does `ctreplay diff` do? One pass over the captures through two firewalls; lists the flows they treat differently.

import { packageVersion } from '../built.ts';
import type { CaptureSpec } from '../capture/reader.ts';
import type { Host } from '../host.ts';
import { openOutput, writeStandardError, writeStandardOutput } from '../output.ts';
import { DiffCollector, type DiffReport, diffJson } from '../report/diff.ts';
import { diffText } from '../report/diff-text.ts';
import type { RunResult } from '../run.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { colorful, speedText } from './replay.ts';
import { conclude, hostFrom, runCaptures, tell } from './start.ts';

export async function diffCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  const hosts = [hostFrom(options, options.old), hostFrom(options, options.new)] as const;
  const collector = new DiffCollector();
  const page = options.report === undefined ? undefined : await openOutput(options.report);
  try {
    const result = await runCaptures(options, captures, { hosts, wantEvents: false }, (batch) => {
      const [before, after] = [batch.worlds[0]!, batch.worlds[1]!];
      const rules = [before.rules, after.rules] as const;
      collector.add(batch.view, batch.bytes, batch.records, before.packets, after.packets, batch.count, rules);
    });
    const report = collector.report();
    const files = captures.map(({ path }) => path);
    if (page) await page.write(await pageText(options, hosts, files, report, result));
    await page?.finish();
    if (options.json) await writeStandardOutput(diffJson(report));
    else if (!options.quiet) {
      const text = (stream: NodeJS.WriteStream) => diffText(report, files, colorful(stream));
      if (options.report === '-') await writeStandardError(text(process.stderr));
      else await writeStandardOutput(text(process.stdout));
    }
    for (const note of new Set(result.notes)) await tell(options, note);
    await tell(options, speedText(result));
    return conclude(result, report.flowsDiffer === 0 ? EXIT.DONE : EXIT.DIFFERENT);
  } catch (error) {
    await page?.discard();
    throw error;
  }
}

/** The page of --report: loaded where it is asked for. */
async function pageText(
  options: Options,
  [before, after]: readonly [Host, Host],
  captures: readonly string[],
  report: DiffReport,
  { first, last, notes, error }: RunResult,
): Promise<string> {
  const { diffPage } = await import('../report/page/diff-page.ts');
  const { given, hostSettings, optionSettings } = await import('./report-settings.ts');
  const named = (side: string, path: string | undefined, host: Host) =>
    given(hostSettings(path, host)).map(([name, values]) => [`${side}: ${name.toLowerCase()}`, values] as const);
  return diffPage({
    version: packageVersion(),
    report,
    captures,
    first,
    last,
    settings: [
      ...named('Old', options.old, before),
      ...named('New', options.new, after),
      ...given(optionSettings(options)),
    ],
    notes: [...new Set(notes)],
    error: error?.message,
  });
}
