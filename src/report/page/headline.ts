// What does somebody see who opens the page: which traffic, through which firewall, and what became of it?

import { basename } from 'node:path';
import { countText } from '../align.ts';
import type { Summary } from '../summary.ts';
import { spanText, stampNs, utcText } from '../time.ts';
import { cutText, type Html, html } from './html.ts';
import { fileName } from './paths.ts';
import { NOTE_LETTERS, type PageSource } from './source.ts';
import { bar, bytesText, moreText, percentText, table, verdictBadge } from './table.ts';

const FILES_SHOWN = 40;
const VALUES_SHOWN = 20;
/** Captures that are named at once where there are more. */
const CAPTURES_SHOWN = 8;

/** `dns.pcap, http.pcap and 4 more`. */
export function capturesText(captures: readonly string[]): string {
  const names = captures.map((path) => fileName(basename(path)));
  return names.length > 3
    ? `${names.slice(0, 2).join(', ')} and ${countText(names.length - 2)} more`
    : names.join(', ');
}

/** `1 packet`, `2,000 packets`. */
export function plural(count: number, what: string): string {
  return `${countText(count)} ${what}${count === 1 ? '' : 's'}`;
}

function lead({ first, last }: Summary): Html {
  if (first === undefined || last === undefined) return html`<p class="lead">No packets.</p>`;
  const [begin, end] = [stampNs(first), stampNs(last)];
  const clock = utcText(begin).replace(/\.\d+ UTC$/, ' UTC');
  return html`<p class="lead">From ${clock}, ${spanText(end > begin ? end - begin : 0n)} of traffic.</p>`;
}

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

function tile(number: Html | string | number, text: string): Html {
  return html`<li><strong>${typeof number === 'number' ? countText(number) : number}</strong><span>${text}</span></li>`;
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

function settings({ settings, version, summary }: PageSource): Html {
  const value = (values: readonly string[], most: number) => {
    const shown = values.slice(0, most).map((text, i) => html`${i > 0 ? ', ' : ''}<code>${fileName(text)}</code>`);
    const more = values.length - shown.length;
    return html`${shown}${more > 0 ? ` and ${countText(more)} more` : ''}`;
  };
  return html`<dl>
<dt>Captures</dt><dd>${value(summary.captures, CAPTURES_SHOWN)}</dd>
${settings.map(([name, values]) => html`<dt>${name}</dt><dd>${value(values, VALUES_SHOWN)}</dd>\n`)}<dt>Made by</dt><dd>ctreplay ${version}</dd>
</dl>
`;
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
  const { summary, error } = source;
  return html`<header>
<p class="over">Firewall replay</p>
<h1>${capturesText(summary.captures)}</h1>
${lead(summary)}${error === undefined ? undefined : html`<p><strong>A capture was not read to its end:</strong> ${cutText(error, NOTE_LETTERS)}</p>`}
</header>
${summary.packets > 0 ? verdictBar(summary) : undefined}${tiles(source)}${settings(source)}${files(source)}`;
}
