// How does a diff of two firewalls read on a terminal or in a log?

import picocolors from 'picocolors';
import { alignRows, countText } from './align.ts';
import type { DiffReport } from './diff.ts';
import { changeKinds } from './diff-kinds.ts';
import { decision, ruleText, states } from './judgement-text.ts';

/** Flows that are printed; `--json` has all that are kept. */
const FLOWS_SHOWN = 50;
const CHANGES_SHOWN = 20;

/** The change in a few lines, however many flows it hits. */
function changes(report: DiffReport): string[] {
  const kinds = changeKinds(report.flows);
  const rows = kinds
    .slice(0, CHANGES_SHOWN)
    .map(({ flows, packets, text }) => [countText(flows), countText(packets), text]);
  const more = kinds.length - CHANGES_SHOWN;
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
