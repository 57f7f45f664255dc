// What does `ctreplay check` do? One pass over the captures through one firewall; says which expectations do not hold.

import type { CaptureSpec } from '../capture/reader.ts';
import { Checker } from '../check/checker.ts';
import { readExpectationFiles } from '../check/files.ts';
import { type CheckReport, checkJson } from '../check/report.ts';
import { type Output, openOutput, writeStandardError, writeStandardOutput } from '../output.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { colorful, speedText } from './replay.ts';
import { hostFrom, runCaptures, tell } from './start.ts';

export async function checkCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  const host = hostFrom(options, options.host);
  const paths = captures.map(({ path }) => path);
  const checker = new Checker(readExpectationFiles(options.expect, paths, host), paths, host);
  const junit = options.junit === undefined ? undefined : await openOutput(options.junit);
  try {
    const result = await checker.replay((command, sink) =>
      runCaptures(options, captures, { hosts: [host], ...command }, sink),
    );
    const report = checker.report();
    await print(options, report, junit);
    for (const note of result.notes) await tell(options, note);
    await tell(options, speedText(result));
    return report.holds ? EXIT.DONE : EXIT.DIFFERENT;
  } finally {
    await junit?.discard();
  }
}

async function print(options: Options, report: CheckReport, junit: Output | undefined): Promise<void> {
  if (junit) {
    const { checkJUnit } = await import('../report/check-junit.ts');
    await junit.write(checkJUnit(report));
    await junit.finish();
  }
  if (options.json) return writeStandardOutput(checkJson(report));
  if (options.tap) {
    const { checkTap } = await import('../report/check-tap.ts');
    return writeStandardOutput(checkTap(report));
  }
  // Quiet is who finds nothing wrong.
  if (options.quiet && report.holds) return;
  const { checkText } = await import('../report/check-text.ts');
  if (options.junit === '-') await writeStandardError(checkText(report, colorful(process.stderr)));
  else await writeStandardOutput(checkText(report, colorful(process.stdout)));
}
