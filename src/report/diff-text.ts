// How does a diff of two firewalls read on a terminal or in a log?

import picocolors from 'picocolors';
import { alignRows, countText } from './align.ts';
import type { DiffReport, FlowDifference, Judgement } from './diff.ts';

/** Flows that are printed; `--json` has all that are kept. */
const FLOWS_SHOWN = 50;
const CHANGES_SHOWN = 20;

/** `DROP filter/FORWARD/2`, `REJECT with tcp-reset filter/INPUT/7`, `DROP (no-route)`. */
export function decision(judged: Judgement): string {
  const verdict = judged.with === undefined ? judged.verdict : `${judged.verdict} with ${judged.with}`;
  const by = judged.rule ?? (judged.why === undefined ? undefined : `(${judged.why})`);
  return by === undefined ? verdict : `${verdict} ${by}`;
}

/** State, and TCP or SCTP state; status and mark where they differ between two sides. */
export function states(judged: Judgement, differs: FlowDifference['differs'] = []): string {
  const parts = [judged.state];
  const entryState = judged.tcp ?? judged.sctp;
  if (entryState !== undefined) parts.push(entryState);
  if (differs.includes('status')) parts.push(`[${(judged.status ?? []).join(' ')}]`);
  if (differs.includes('mark')) parts.push(`mark=${judged.mark ?? 0}`);
  return parts.join(' ');
}

/** The rule that decided, and where it stands. */
export function ruleText(judged: Judgement): string {
  return judged.text === undefined ? '' : `${judged.text}  (${judged.file}:${judged.line})`;
}

/** Flows by what decided on each side: the change in a few lines, however many flows it hits. */
function changes(report: DiffReport): string[] {
  const counts = new Map<string, { flows: number; packets: number }>();
  for (const flow of report.flows) {
    const [before, after] = [decision(flow.old), decision(flow.new)];
    const name = flow.differs.includes('verdict')
      ? `${before} -> ${after}`
      : `${flow.differs.join(', ')} only: ${after}`;
    const count = counts.get(name) ?? { flows: 0, packets: 0 };
    count.flows++;
    count.packets += flow.packets;
    counts.set(name, count);
  }
  const sorted = [...counts].sort(([a, x], [b, y]) => y.flows - x.flows || (a < b ? -1 : 1));
  const rows = sorted
    .slice(0, CHANGES_SHOWN)
    .map(([name, count]) => [countText(count.flows), countText(count.packets), name]);
  const more = sorted.length - CHANGES_SHOWN;
  return [
    ...alignRows([['flows', 'packets', 'old -> new'], ...rows], 'rrl'),
    ...(more > 0 ? [`  and ${countText(more)} more kinds of change`] : []),
  ];
}

/**
 * The report as text for people.
 *
 * @param files the captures' paths in command-line order
 * @param color red for the old side, green for the new: for terminals
 */
export function diffText(report: DiffReport, files: readonly string[], color: boolean): string {
  const colors = picocolors.createColors(color);
  const { flowsDiffer, packetsDiffer, packets } = report;
  if (flowsDiffer === 0) return `no difference in ${countText(packets)} ${packets === 1 ? 'packet' : 'packets'}\n`;
  const many = report.flowsAtLeast ? `at least ${countText(flowsDiffer)}` : countText(flowsDiffer);
  const lines = [
    colors.bold(
      `${many} ${flowsDiffer === 1 ? 'flow differs' : 'flows differ'}, ` +
        `${countText(packetsDiffer)} of ${countText(packets)} packets`,
    ),
    '',
    ...changes(report),
  ];
  for (const flow of report.flows.slice(0, FLOWS_SHOWN)) {
    const { file, n, ts, packet } = flow.first;
    const sides = alignRows(
      [
        ['-', decision(flow.old), states(flow.old, flow.differs), ruleText(flow.old)],
        ['+', decision(flow.new), states(flow.new, flow.differs), ruleText(flow.new)],
      ],
      'lll',
    );
    lines.push(
      '',
      `${colors.bold(flow.flow)}  (${countText(flow.packets)} ${flow.packets === 1 ? 'packet' : 'packets'})`,
      `  ${files[file - 1] ?? file}:${n}  ${ts}  ${packet}`,
      colors.red(sides[0]!),
      colors.green(sides[1]!),
    );
  }
  const hidden = flowsDiffer - Math.min(report.flows.length, FLOWS_SHOWN);
  if (hidden > 0) lines.push('', `and ${countText(hidden)} more flows`);
  return `${lines.join('\n')}\n`;
}
