// What became of the packets, by conntrack state, protocol and reason?

import { countText } from '../align.ts';
import type { Summary } from '../summary.ts';
import { type Gathered, reasonKey } from './gather.ts';
import { type Html, html } from './html.ts';
import { shortPaths } from './paths.ts';
import type { PageSource } from './source.ts';
import { bar, bytesText, type Column, moreText, shareCell, table } from './table.ts';

const PROTOCOLS_SHOWN = 30;

function matrix(summary: Summary): Html {
  const verdicts = Object.keys(summary.verdicts);
  const counts = verdicts.map((verdict) => summary.verdicts[verdict]!);
  const rows = Object.entries(summary.states).map(([state, of]) => [
    state === 'NONE' ? 'not tracked' : state,
    ...verdicts.map((verdict) => of.verdicts[verdict] ?? 0),
    { shown: shareCell(of.packets, summary.packets), value: of.packets },
    of.flows,
    bar(
      verdicts.map((kind) => ({ kind, part: of.verdicts[kind] ?? 0 })),
      of.packets,
    ),
  ]);
  const flows = counts.reduce((sum, each) => sum + each.flows, 0);
  const columns: Column[] = ['Conntrack state', ...verdicts, 'Packets', 'Flows', ''].map((name, i) =>
    i === 0 || name === '' ? { name } : { name, number: true },
  );
  return table({
    caption: 'Packets by conntrack state and verdict',
    columns,
    rows,
    foot: [
      ['packets', ...counts.map(({ packets }) => packets), summary.packets, '', ''],
      ['bytes', ...counts.map(({ bytes }) => bytesText(bytes)), '', '', ''],
      ['flows', ...counts.map((each) => each.flows), '', flows, ''],
    ],
  });
}

function protocols({ protocols, packets }: Summary): Html {
  const rows = protocols
    .slice(0, PROTOCOLS_SHOWN)
    .map((each) => [
      `${each.protocol} ${each.family}`,
      { shown: shareCell(each.packets, packets), value: each.packets },
      each.flows,
    ]);
  const columns: Column[] = [{ name: 'Protocol' }, { name: 'Packets', number: true }, { name: 'Flows', number: true }];
  return html`${table({ caption: 'Packets by protocol', columns, rows })}${moreText(PROTOCOLS_SHOWN, protocols.length, 'protocols')}`;
}

export function verdictTables({ summary }: PageSource): Html | undefined {
  if (summary.packets === 0) return undefined;
  return html`<section id="verdicts">
<h2>States and verdicts</h2>
<div class="beside"><div>${matrix(summary)}</div><div>${protocols(summary)}</div></div>
</section>
`;
}

/** `http.pcap:9`. @param names of the captures in their order */
export function packetName(names: readonly string[], { file, n }: { file: number; n: number }): Html {
  return html`<code>${names[file - 1] ?? file}:${n}</code>`;
}

function reasons(
  title: string,
  list: readonly { why: string; packets: number }[],
  invalid: boolean,
  names: readonly string[],
  examples: Gathered['reasons'],
): Html | undefined {
  if (list.length === 0) return undefined;
  const rows = list.map(({ why, packets }) => {
    const example = examples.get(reasonKey(why, invalid));
    const said =
      example?.why === undefined || example.why === why
        ? undefined
        : html`<br><span class="quiet">${example.why}</span>`;
    return [
      packets,
      why,
      ...(example ? [packetName(names, example), html`<code>${example.packet}</code>${said}`] : ['', '']),
    ];
  });
  const sum = list.reduce((all, { packets }) => all + packets, 0);
  return table({
    caption: html`<strong>${title}</strong>: ${countText(sum)} ${sum === 1 ? 'packet' : 'packets'}`,
    columns: [{ name: 'Packets', number: true }, { name: 'Reason', wide: true }, { name: 'First' }, { name: '' }],
    rows,
  });
}

function copies({ copies }: Summary): Html | undefined {
  if (!copies) return undefined;
  const { packets, found, answers, contradictions } = copies;
  const counts: [number, string, string][] = [
    [found, 'forwarded', ''],
    [answers, 'answers of the host', ''],
    [packets - found - answers, 'arrival not found', ''],
    ...contradictions.map(({ what, packets, first }): [number, string, string] => [packets, what, first]),
  ];
  return table({
    caption: 'Copies of what left the host, and what they contradict',
    columns: [{ name: 'Packets', number: true }, { name: 'What' }, { name: 'First' }],
    rows: counts.filter(([count]) => count > 0),
  });
}

export function reasonTables({ summary, gathered }: PageSource): Html | undefined {
  const { invalid, dropped, ignored, notJudged, captures } = summary;
  const names = shortPaths(captures);
  const shown = [
    reasons('INVALID', invalid, true, names, gathered.reasons),
    reasons('Dropped without a rule', dropped, false, names, gathered.reasons),
    reasons('Let through without being believed', ignored, false, names, gathered.reasons),
    reasons('Not judged', notJudged, false, names, gathered.reasons),
    copies(summary),
  ].filter((each) => each !== undefined);
  if (shown.length === 0) return undefined;
  return html`<section id="reasons">
<h2>INVALID and dropped, by reason</h2>
<p class="lead">With the first packet of each reason; <code>ctreplay trace --packet</code> follows it through hooks and rules.</p>
${shown}</section>
`;
}
