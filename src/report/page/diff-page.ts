// Which page says what a change of the rules does to the captured traffic?

import { countText } from '../align.ts';
import type { DiffReport, FlowDifference, Judgement } from '../diff.ts';
import { changeKinds } from '../diff-kinds.ts';
import { decision, states } from '../judgement-text.ts';
import { documentText } from './document.ts';
import { cutText, type Html, html } from './html.ts';
import { capturesText, notesSection, type Opening, opening, type Setting, settingsList, tile } from './opening.ts';
import { shortPaths } from './paths.ts';
import { ruleText } from './rule-tables.ts';
import { RULE_LETTERS } from './source.ts';
import { type Column, moreText, table, verdictBadge } from './table.ts';
import { packetName } from './verdicts.ts';

const KINDS_SHOWN = 60;
const FLOWS_SHOWN = 100;

export interface DiffPageSource extends Omit<Opening, 'kind'> {
  /** Of ctreplay. */
  version: string;
  report: DiffReport;
  /** What it was replayed with. */
  settings: readonly Setting[];
  notes: readonly string[];
}

/** What a change means for those who send. */
const MEANINGS: readonly [name: string, holds: (flow: FlowDifference) => boolean][] = [
  ['accepted before, and not any more', ({ old, new: now }) => old.verdict === 'ACCEPT' && now.verdict !== 'ACCEPT'],
  ['accepted now, and not before', ({ old, new: now }) => old.verdict !== 'ACCEPT' && now.verdict === 'ACCEPT'],
];

function tiles({ report }: DiffPageSource): Html {
  const { flows, flowsDiffer, flowsAtLeast, packetsDiffer, packets } = report;
  const more = flowsAtLeast || flowsDiffer > flows.length ? 'at least ' : '';
  const meant = MEANINGS.map(([name, holds]) =>
    tile(`${more}${countText(flows.filter(holds).length)}`, `flows ${name}`),
  );
  return html`<ul class="tiles">${[
    tile(
      `${flowsAtLeast ? 'at least ' : ''}${countText(flowsDiffer)}`,
      flowsDiffer === 1 ? 'flow differs' : 'flows differ',
    ),
    tile(packetsDiffer, `of ${countText(packets)} packets differ`),
    meant,
  ]}</ul>\n`;
}

/** Verdict, rule, its text and place, and what conntrack says. */
function side(judged: Judgement, differs: FlowDifference['differs'], rulesets: ReadonlyMap<string, string>): Html {
  const { verdict, with: answer, rule, text, file, line, why } = judged;
  const by = rule === undefined ? why : cutText(rule, RULE_LETTERS);
  const place = file === undefined ? undefined : html` <span class="quiet">${rulesets.get(file)}:${line}</span>`;
  return html`${verdictBadge(verdict)}${answer && ` with ${answer}`} ${by}${place}${text && html`<br>${ruleText(text)}`}<br><span class="quiet">${states(judged, differs)}</span>`;
}

function kinds({ report }: DiffPageSource, names: readonly string[]): Html {
  const all = changeKinds(report.flows);
  const rows = all.slice(0, KINDS_SHOWN).map(({ flows, packets, example }) => {
    const verdict = example.differs.includes('verdict');
    return [
      flows,
      packets,
      verdict ? cutText(decision(example.old), RULE_LETTERS) : html`${example.differs.join(', ')} only`,
      cutText(decision(example.new), RULE_LETTERS),
      packetName(names, example.first),
    ];
  });
  const columns: Column[] = [
    { name: 'Flows', number: true },
    { name: 'Packets', number: true },
    { name: 'Old' },
    { name: 'New' },
    { name: 'For example' },
  ];
  const counted =
    report.flows.length < report.flowsDiffer ? ` of the first ${countText(report.flows.length)} flows` : '';
  return html`<section id="kinds">
<h2>What changes</h2>
${table({ caption: `Flows${counted} by what decided before and after`, columns, rows, sortable: true })}${moreText(KINDS_SHOWN, all.length, 'kinds of change')}</section>
`;
}

function flows({ report }: DiffPageSource, names: readonly string[]): Html {
  const sides = report.flows.flatMap((flow) => [flow.old, flow.new]);
  const files = [...new Set(sides.flatMap(({ file }) => (file === undefined ? [] : [file])))];
  const short = shortPaths(files);
  const rulesets = new Map(files.map((file, i) => [file, short[i]!]));
  const rows = report.flows
    .slice(0, FLOWS_SHOWN)
    .map((flow) => [
      html`<code>${flow.flow}</code><br><span class="quiet">${countText(flow.packets)} ${flow.packets === 1 ? 'packet' : 'packets'}, first</span> ${packetName(names, flow.first)}`,
      side(flow.old, flow.differs, rulesets),
      side(flow.new, flow.differs, rulesets),
    ]);
  return html`<section id="flows">
<h2>Flows that differ</h2>
<p class="lead">With the first packet that shows it; <code>ctreplay trace --packet</code> follows it through hooks and rules.</p>
${table({
  caption: 'Flows in the order of their packets',
  columns: [{ name: 'Flow' }, { name: 'Old', wide: true }, { name: 'New', wide: true }],
  rows,
})}${moreText(FLOWS_SHOWN, report.flowsDiffer, 'flows (diff --json lists more)')}</section>
`;
}

/** The page of a diff. */
export function diffPage(source: DiffPageSource): string {
  const { report, captures, version, settings, notes } = source;
  const names = shortPaths(captures);
  const differs = report.flowsDiffer > 0;
  const body = html`${opening({ ...source, kind: 'Firewall change' })}${tiles(source)}${settingsList(captures, settings, version)}<main>
${differs ? [kinds(source, names), flows(source, names)] : html`<p><strong>The change makes no difference to this traffic.</strong></p>\n`}${notesSection(notes)}</main>
`;
  return documentText(`Firewall change: ${capturesText(captures)}`, body);
}
