// What does somebody see who opens the page of a replay: which traffic, through which firewall, and what became of it?

import { countText } from '../align.ts';
import type { Summary } from '../summary.ts';
import { stampNs, utcText } from '../time.ts';
import { type Html, html } from './html.ts';
import { opening, plural, settingsList, tile } from './opening.ts';
import { fileName } from './paths.ts';
import type { PageSource } from './source.ts';
import { bar, bytesText, moreText, percentText, table, verdictBadge } from './table.ts';

const FILES_SHOWN = 40;

function verdictBar({ verdicts, packets }: Summary): Html {
  const counts = Object.entries(verdicts);
  const parts = counts.map(([kind, { packets: part }]) => ({ kind, part }));
  const legend = counts.map(
    ([verdict, count]) =>
      html`<li>${verdictBadge(verdict)} <strong>${countText(count.packets)}</strong> <span class="quiet">${percentText(count.packets, packets)}, ${bytesText(count.bytes)}</span></li>`,
  );
  return html`${bar(parts, packets, 'split')}
<ul class="legend">${legend}</ul>
`;
}

function tiles({ summary, flows }: PageSource): Html {
  const { verdicts, states, dropped, rules } = summary;
  const conversations = Object.values(verdicts).reduce((sum, count) => sum + count.flows, 0);
  const passed = verdicts.ACCEPT?.flows ?? 0;
  const withoutRule = dropped.reduce((sum, { packets }) => sum + packets, 0);
  const atLeast = summary.flowsAtLeast ? 'at least ' : '';
  const shown = [
    tile(summary.packets, 'packets'),
    tile(`${atLeast}${countText(conversations)}`, `flows, ${countText(passed)} of them accepted`),
    tile(states.INVALID?.packets ?? 0, 'packets INVALID'),
    tile(withoutRule, 'packets dropped without a rule'),
    tile(flows, 'entries in the table at the end'),
  ];
  if (rules.total > 0) {
    shown.push(tile(rules.neverMatched.length, `of ${plural(rules.total, 'rule')} never matched`));
  }
  return html`<ul class="tiles">${shown}</ul>\n`;
}

/** Captures one by one, where there are several. */
function files({ files }: PageSource): Html | undefined {
  if (files.length < 2) return undefined;
  const time = (ns: bigint | undefined) => (ns === undefined ? '' : utcText(ns));
  const rows = files
    .slice(0, FILES_SHOWN)
    .map(({ path, packets, first, last }, i) => [
      i + 1,
      html`<code>${fileName(path)}</code>`,
      packets,
      time(first),
      time(last),
    ]);
  return html`<details><summary>The captures one by one</summary>
${table({
  caption: 'Captures in the order in which they were given',
  columns: [
    { name: 'No.', number: true },
    { name: 'File' },
    { name: 'Packets', number: true },
    { name: 'First' },
    { name: 'Last' },
  ],
  rows,
})}${moreText(FILES_SHOWN, files.length, 'captures')}</details>
`;
}

export function headline(source: PageSource): Html {
  const { summary, error, settings, version } = source;
  const { captures, first, last, packets } = summary;
  const begin = first === undefined ? undefined : stampNs(first);
  const end = last === undefined ? undefined : stampNs(last);
  return html`${opening({ kind: 'Firewall replay', captures, first: begin, last: end, error })}${packets > 0 && verdictBar(summary)}${tiles(source)}${settingsList(captures, settings, version)}${files(source)}`;
}
