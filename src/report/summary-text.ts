// How does a summary read on a terminal or in a log?

import { basename } from 'node:path';
import picocolors from 'picocolors';
import { alignRows, countText, shareText } from './align.ts';
import type { RuleCounts, Summary } from './summary.ts';
import { spanText, stampNs, utcText } from './time.ts';

/** Rows of a list that are shown; the rest is counted. */
const LIST_MAX = 15;
/** Columns that a rule's text may take. */
const RULE_TEXT_MAX = 90;

type Colors = ReturnType<typeof picocolors.createColors>;

function headText(summary: Summary, colors: Colors): string[] {
  const names = summary.captures.map((path) => (path === '-' ? 'standard input' : basename(path)));
  const shown = names.length > 3 ? `${names.slice(0, 2).join(', ')} and ${names.length - 2} more` : names.join(', ');
  const lines = [`${colors.bold(shown)}: ${plural(summary.packets, 'packet')}`];
  if (summary.first !== undefined && summary.last !== undefined) {
    const [first, last] = [stampNs(summary.first), stampNs(summary.last)];
    lines.push(`from ${utcText(first)}, ${spanText(last > first ? last - first : 0n)}`);
  }
  return lines;
}

/** Packets by ct state and verdict in one table, with sums and conversations. */
function matrixText(summary: Summary): string[] {
  const verdicts = Object.keys(summary.verdicts);
  const rows = [['ct state', ...verdicts, 'packets', '', 'flows']];
  for (const [state, counts] of Object.entries(summary.states)) {
    const cells = verdicts.map((verdict) => countText(counts.verdicts[verdict] ?? 0));
    const name = state === 'NONE' ? 'not tracked' : state;
    rows.push([name, ...cells, countText(counts.packets), shareText(counts.packets, summary.packets), flows(counts)]);
  }
  const each = verdicts.map((verdict) => summary.verdicts[verdict]!);
  const allFlows = each.reduce((sum, counts) => sum + counts.flows, 0);
  rows.push(['packets', ...each.map((counts) => countText(counts.packets)), countText(summary.packets), '', '']);
  rows.push(['flows', ...each.map((counts) => countText(counts.flows)), '', '', countText(allFlows)]);
  return alignRows(rows, `l${'r'.repeat(verdicts.length)}rrr`);
}

/** `1 packet`, `2,000 packets`. */
function plural(count: number, what: string): string {
  return `${countText(count)} ${what}${count === 1 ? '' : 's'}`;
}

function flows(counts: { flows: number }): string {
  return counts.flows === 0 ? '' : countText(counts.flows);
}

function limited(lines: string[], what: string): string[] {
  if (lines.length <= LIST_MAX) return lines;
  return [...lines.slice(0, LIST_MAX), `  and ${countText(lines.length - LIST_MAX)} more ${what}`];
}

function ruleRows(rules: readonly RuleCounts[], hits: boolean, colors: Colors): string[] {
  const shown = rules.slice(0, LIST_MAX);
  const both = new Set(rules.map(({ family }) => family)).size > 1;
  const rows = shown.map(({ rule, family, packets, text, unreachable }) => {
    const cut = text.length > RULE_TEXT_MAX ? `${text.slice(0, RULE_TEXT_MAX - 3)}...` : text;
    const name = (both ? `${rule} ${family}` : rule) + (unreachable ? ' (unreachable)' : '');
    return hits ? [countText(packets), name, colors.dim(cut)] : [name, colors.dim(cut)];
  });
  const lines = alignRows(rows, hits ? 'rl' : 'l');
  return rules.length > LIST_MAX ? [...lines, `  and ${countText(rules.length - LIST_MAX)} more`] : lines;
}

function reasonRows(reasons: readonly { why: string; packets: number }[]): string[] {
  return limited(
    alignRows(
      reasons.map(({ why, packets }) => [countText(packets), why]),
      'rl',
    ),
    'reasons',
  );
}

function protocolRows(summary: Summary): string[] {
  const rows = summary.protocols.map((counts) => [
    `${counts.protocol} ${counts.family}`,
    countText(counts.packets),
    shareText(counts.packets, summary.packets),
    flows(counts),
  ]);
  return limited(alignRows([['protocol', 'packets', '', 'flows'], ...rows], 'lrrr'), 'protocols');
}

/** What left, held against the replay. */
function copyRows({ copies }: Summary): string[] {
  if (copies === undefined) return [];
  const { packets, found, answers } = copies;
  const counts: [number, string][] = [
    [found, 'forwarded'],
    [answers, 'answers of the host'],
    [packets - found - answers, 'arrival not found'],
  ];
  const rows = [
    ...counts.filter(([count]) => count > 0).map(([count, what]) => [countText(count), what, '']),
    ...copies.contradictions.map(({ what, packets: count, first }) => [countText(count), what, `first ${first}`]),
  ];
  return alignRows(rows, 'rll');
}

function transitionRows(transitions: Summary['transitions']): string[] {
  const rows = transitions.map(({ from, to, packets }) => [countText(packets), from ?? '(new)', `-> ${to}`]);
  return alignRows(rows, 'rl');
}

/**
 * The summary as text for people.
 *
 * @param color bold headings and dim rule texts: for terminals
 */
export function summaryText(summary: Summary, color: boolean): string {
  const colors = picocolors.createColors(color);
  const lines = headText(summary, colors);
  const section = (title: string, body: string[]) => {
    if (body.length > 0) lines.push('', colors.bold(title), ...body);
  };
  if (summary.packets > 0) {
    section('Packets by conntrack state and verdict', matrixText(summary));
    section('Packets by protocol', protocolRows(summary));
  }
  section('TCP state transitions', transitionRows(summary.transitions));
  section('SCTP state transitions', transitionRows(summary.sctpTransitions));
  section('INVALID, by reason', reasonRows(summary.invalid));
  section('Let through without being believed', reasonRows(summary.ignored));
  section('Dropped without a rule', reasonRows(summary.dropped));
  section('Not judged, by reason', reasonRows(summary.notJudged));
  section('Copies of what left, and what they contradict', copyRows(summary));
  const { decided, neverMatched, total } = summary.rules;
  section('Rules and policies that decided', ruleRows(decided, true, colors));
  section(
    `Rules that never matched (${countText(neverMatched.length)} of ${countText(total)})`,
    ruleRows(neverMatched, false, colors),
  );
  const notes = [...summary.notes];
  if (summary.flowsAtLeast)
    notes.push('more flows without an entry than are told apart: counts of flows are lower bounds');
  section(
    'Notes',
    notes.map((note) => `  ${note}`),
  );
  return `${lines.join('\n')}\n`;
}
