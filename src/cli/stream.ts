// What do `ctreplay events` and `ctreplay list` do? They print what conntrack -E and conntrack -L would have printed.

import type { CaptureSpec } from '../capture/reader.ts';
import { type Output, openOutput } from '../output.ts';
import { countText } from '../report/align.ts';
import { eventFormat, tableFormat } from '../report/events.ts';
import { EXPECTATION_TABLE } from '../report/expect-text.ts';
import type { RunResult, Sink } from '../run.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { writeRecords } from './replay.ts';
import { conclude, hostFrom, runCaptures, tell } from './start.ts';

function tellNotes(options: Options, result: RunResult): void {
  for (const note of result.notes) tell(options, note);
}

export async function eventsCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  const host = hostFrom(options, options.host);
  const output = await openOutput('-');
  const format = eventFormat(options.json ? 'json' : options.eventsFormat);
  const gone = new AbortController();
  let count = 0;
  const sink: Sink = async ({ worlds }) => {
    const { events } = worlds[0]!;
    count += events.length;
    await writeRecords(output, format, events);
    if (output.closed) gone.abort();
  };
  await output.write(format.header);
  const result = await runUnlessClosed(output, () =>
    runCaptures(options, captures, { hosts: [host], wantEvents: true, signal: gone.signal }, sink),
  );
  if (result === undefined) return EXIT.DONE;
  await output.write(format.footer);
  await output.finish();
  tellNotes(options, result);
  tell(options, `${countText(count)} flow events have been shown.`);
  return conclude(result, EXIT.DONE);
}

/** A run that ends because nobody reads its output any more is over without trouble. */
async function runUnlessClosed(output: Output, run: () => Promise<RunResult>): Promise<RunResult | undefined> {
  try {
    return await run();
  } catch (error) {
    if (!output.closed) throw error;
    return undefined;
  }
}

export async function listCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  const host = hostFrom(options, options.host);
  const result = await runCaptures(options, captures, { hosts: [host], wantEvents: false }, () => {});
  const output = await openOutput('-');
  const world = result.worlds[0]!;
  const listed = options.expected
    ? await writeRecords(output, EXPECTATION_TABLE, world.expectations())
    : await writeRecords(output, tableFormat(options.json ? 'json' : 'text'), world.table());
  await output.finish();
  tellNotes(options, result);
  tell(options, `${countText(listed)} ${options.expected ? 'expectations' : 'flow entries'} have been shown.`);
  return conclude(result, EXIT.DONE);
}
