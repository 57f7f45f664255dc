// What do `ctreplay events` and `ctreplay list` do? They print what conntrack -E and conntrack -L would have printed.

import type { Sink } from '../batch.ts';
import type { CaptureSpec } from '../capture/reader.ts';
import { type Output, openOutput } from '../output.ts';
import { countText } from '../report/align.ts';
import { type OutputMode, recordFormat } from '../report/events.ts';
import { expectationFormat } from '../report/expectations.ts';
import { type FlowFilter, flowMatches } from '../report/filter.ts';
import type { EventPlace } from '../report/order.ts';
import { ConntrackStatistics } from '../report/statistics.ts';
import type { RunResult } from '../run.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { flowFilter } from './filter.ts';
import { formatNames } from './outputs.ts';
import { writeLines } from './replay.ts';
import { conclude, hostFrom, runCaptures, tell } from './start.ts';

const JSON_LINES: ReadonlySet<OutputMode> = new Set(['json']);
const TIMESTAMPED: ReadonlySet<OutputMode> = new Set(['timestamp']);
const PLAIN: ReadonlySet<OutputMode> = new Set();

/** As the tool, who filters by labels sees them. */
function modesOf({ json, output, filters }: Options, usual: ReadonlySet<OutputMode>): ReadonlySet<OutputMode> {
  const modes = json ? JSON_LINES : (output ?? usual);
  return filters.label === undefined ? modes : new Set([...modes, 'labels']);
}

async function tellNotes(options: Options, result: RunResult): Promise<void> {
  for (const note of result.notes) await tell(options, note);
}

export async function eventsCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  const host = hostFrom(options, options.host);
  const output = await openOutput('-');
  const modes = modesOf(options, TIMESTAMPED);
  const format = recordFormat(modes, false, formatNames(host));
  const filter = flowFilter(options.filters, host.labels);
  const gone = new AbortController();
  let count = 0;
  const sink: Sink = async ({ worlds }) => {
    const all = worlds[0]!.events;
    const events = filter ? all.filter(({ view, bytes, at }) => flowMatches(view, bytes, at, false, filter)) : all;
    count += events.length;
    await writeLines(output, format.lines(events));
    if (output.closed) gone.abort();
  };
  await output.write(format.header);
  const result = await runUnlessClosed(output, () =>
    runCaptures(options, captures, { hosts: [host], wantEvents: true, signal: gone.signal }, sink),
  );
  if (result === undefined) return EXIT.DONE;
  await output.write(format.footer);
  await output.finish();
  await tellNotes(options, result);
  await tell(options, `${countText(count)} flow events have been shown.`);
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
  const filter = flowFilter(options.filters, host.labels);
  const statistics = new ConntrackStatistics();
  const sink: Sink = ({ bytes, worlds, count }) => {
    if (options.stats) statistics.add(bytes, worlds[0]!.packets, count);
  };
  const result = await runCaptures(options, captures, { hosts: [host], wantEvents: false }, sink);
  const output = await openOutput('-');
  const world = result.worlds[0]!;
  const shown = new Shown(options.expected ? world.expectations() : world.table(), filter);
  if (options.stats) output.write(statistics.line(world.earlyDropped));
  else if (options.count) output.write(`${world.flows}\n`);
  else {
    const modes = modesOf(options, PLAIN);
    const format = options.expected ? expectationFormat(modes) : recordFormat(modes, true, formatNames(host));
    await output.write(format.header);
    await writeLines(output, format.lines(shown));
    await output.write(format.footer);
  }
  await output.finish();
  await tellNotes(options, result);
  const things = options.expected ? 'expectations' : 'flow entries';
  if (!options.stats && !options.count) await tell(options, `${countText(shown.count)} ${things} have been shown.`);
  return conclude(result, EXIT.DONE);
}

/** The entries (or expectations) that a filter lets through, counted. */
class Shown implements Iterable<EventPlace> {
  count = 0;

  constructor(
    private readonly entries: Iterable<EventPlace>,
    private readonly filter: FlowFilter | undefined,
  ) {}

  *[Symbol.iterator](): Generator<EventPlace> {
    for (const entry of this.entries) {
      if (this.filter && !flowMatches(entry.view, entry.bytes, entry.at, true, this.filter)) continue;
      this.count++;
      yield entry;
    }
  }
}
