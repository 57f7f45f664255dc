// What does `ctreplay replay` do? Runs captures through one firewall, writes what is asked for, prints the summary.

import type { CaptureSpec } from '../capture/reader.ts';
import type { Host } from '../host.ts';
import { type Output, openOutput, writeStandardError, writeStandardOutput } from '../output.ts';
import { countText } from '../report/align.ts';
import { CopyCheck } from '../report/copies.ts';
import { recordFormat } from '../report/events.ts';
import { expectationFormat } from '../report/expectations.ts';
import { FlowLog } from '../report/flow-log.ts';
import { PacketLines } from '../report/packets.ts';
import { type Summary, summarizeRun, summaryJson } from '../report/summary.ts';
import { PacketTally } from '../report/tally.ts';
import type { CaptureWriter } from '../report/write.ts';
import { parseRulesets, printCounters } from '../ruleset/index.ts';
import { refuse } from '../ruleset/source.ts';
import type { RunResult } from '../run.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { eventFormatModes, formatNames } from './outputs.ts';
import type { ReportPage } from './report-page.ts';
import { conclude, hostFrom, runCaptures, tell } from './start.ts';

/** The outputs of one replay, all or none of which stay. */
class Outputs {
  readonly #open: Output[] = [];

  async open(path: string | undefined): Promise<Output | undefined> {
    if (path === undefined) return undefined;
    const output = await openOutput(path);
    this.#open.push(output);
    return output;
  }

  async finish(): Promise<void> {
    for (const output of this.#open) await output.finish();
  }

  async discard(): Promise<void> {
    for (const output of this.#open) await output.discard();
  }
}

/** Writes lines, a line or many at a time; stops early when the reader has gone. */
export async function writeLines(output: Output, lines: Iterable<string | Uint8Array>): Promise<void> {
  for (const some of lines) {
    const writing = output.write(some);
    if (writing) await writing;
    if (output.closed) return;
  }
}

/** `82,582 packets in 0.05 s, 1.65 million packets/s`: the only figures that depend on the machine. */
export function speedText({ packets, seconds }: RunResult): string {
  const rate = seconds > 0 ? packets / seconds : 0;
  const shown = rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} million` : countText(Math.round(rate));
  return `${countText(packets)} packets in ${seconds.toFixed(2)} s, ${shown} packets/s`;
}

/** Whether text for people may be coloured on a stream. */
export function colorful(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY === true && !process.env.NO_COLOR;
}

export async function replayCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  const host = hostFrom(options, options.host);
  if (options.asSent) refuseUnknownMtu(host);
  const outputs = new Outputs();
  const tally = new PacketTally();
  const check = new CopyCheck();
  // Whether there is a summary to read.
  const told = options.json || !options.quiet || options.report !== undefined;
  try {
    const events = await outputs.open(options.events);
    const packets = await outputs.open(options.packets);
    const expectations = await outputs.open(options.expectations);
    const table = await outputs.open(options.table);
    const counters = await outputs.open(options.counters);
    const flows = await outputs.open(options.flowLog);
    const capture = await outputs.open(options.write);
    const writer = capture && (await captureWriter(options, host));
    const page = await outputs.open(options.report);
    const report = page && (await reportPage(options, host));
    const names = formatNames(host);
    const modes = eventFormatModes(options.eventsFormat);
    const format = recordFormat(modes, false, names);
    const expectFormat = expectationFormat(modes);
    const flowLog = new FlowLog(options.flowLogFormat);
    let lines: PacketLines | undefined;
    if (writer) await capture.write(writer.header());
    await events?.write(format.header);
    await expectations?.write(expectFormat.header);
    const result = await runCaptures(
      options,
      captures,
      {
        hosts: [host],
        wantEvents: events !== undefined || flows !== undefined || expectations !== undefined || page !== undefined,
        wantFragments: true,
        wantBytes: writer !== undefined,
        wantSent: options.asSent,
        wantSummary: true,
      },
      async (batch) => {
        const world = batch.worlds[0]!;
        const began = report?.began();
        if (world.uncounted) tally.add(batch.view, batch.bytes, batch.records, world.packets, batch.count, began);
        report?.add(batch);
        const copies = packets || told ? check.add(batch) : undefined;
        if (events) await writeLines(events, format.lines(world.events));
        if (flows) await writeLines(flows, flowLog.lines(world.events));
        if (expectations) await writeLines(expectations, expectFormat.lines(world.expectations));
        if (writer) await writeLines(capture, writer.blocks(batch, world));
        if (!packets) return;
        lines ??= new PacketLines({ rules: world.rules, interfaces: batch.interfaces });
        await writeLines(packets, lines.lines(batch, world, copies));
      },
    );
    const world = result.worlds[0]!;
    await events?.write(format.footer);
    await expectations?.write(expectFormat.footer);
    if (table) await writeLines(table, recordFormat(new Set(['extended']), true, names).lines(world.table()));
    await counters?.write(printCounters(parseRulesets(host.rulesets), world.counters));
    const summary = summarizeRun(tally, check, result);
    if (report) await page.write(report.text(summary, result));
    await outputs.finish();
    await tellSummary(options, result, summary);
    return conclude(result, EXIT.DONE);
  } catch (error) {
    await outputs.discard();
    throw error;
  }
}

/**
 * A rule that clamps to what links carry needs to know that.
 * @throws RulesetError that names it
 */
function refuseUnknownMtu(host: Host): void {
  if (host.topology && host.links.some(({ mtu }) => mtu !== undefined)) return;
  for (const { rule } of parseRulesets(host.rulesets).entries) {
    if (rule?.target.kind !== 'mss' || rule.target.mss !== 'clamp') continue;
    refuse('RULESET_UNSUPPORTED', '--as-sent: what the path carries is not known: link.json says it', rule.target.at);
  }
}

/** What --write writes with: loaded where it is asked for. */
async function captureWriter({ writeVerdict, asSent }: Options, host: Host): Promise<CaptureWriter> {
  const { CaptureWriter } = await import('../report/write.ts');
  if (!asSent) return new CaptureWriter({ verdicts: writeVerdict });
  const { AsSent } = await import('../sent/as-sent.ts');
  const mtus = new Map(host.links.map(({ name, mtu }) => [name, mtu]));
  return new CaptureWriter({ verdicts: writeVerdict, asSent: new AsSent(mtus) });
}

/** What --report gathers and writes: loaded where it is asked for. */
async function reportPage(options: Options, host: Host): Promise<ReportPage> {
  const { ReportPage } = await import('./report-page.ts');
  return new ReportPage(options, host);
}

/** Prints the summary: on standard output, or beside it if an output goes there. */
async function tellSummary(options: Options, result: RunResult, summary: Summary): Promise<void> {
  const { events, expectations, packets, table, counters, flowLog, write, report } = options;
  const taken = [events, expectations, packets, table, counters, flowLog, write, report].includes('-');
  if (options.json) await writeStandardOutput(summaryJson(summary));
  else if (!options.quiet) {
    const { summaryText } = await import('../report/summary-text.ts');
    if (taken) await writeStandardError(summaryText(summary, colorful(process.stderr)));
    else await writeStandardOutput(summaryText(summary, colorful(process.stdout)));
  }
  await tell(options, speedText(result));
}
