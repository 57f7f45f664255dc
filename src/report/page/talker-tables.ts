// Who opened the conversations, and what with?

import { addressText } from '../address.ts';
import { countText } from '../align.ts';
import { protocolName } from '../names.ts';
import { type Html, html } from './html.ts';
import type { PageSource } from './source.ts';
import { bar, bytesText, type Column, table } from './table.ts';
import { TALKERS_MAX, type Talker, type TalkerCounts, type TopTalkers } from './talkers.ts';

const VERDICTS = ['ACCEPT', 'DROP', 'REJECT', 'QUEUE'];

function talkerName({ address, l3num, protonum, port, piece }: Talker): Html {
  const text = addressText(address, 0, l3num);
  if (protonum === 0) return html`<code>${text}</code>`;
  const end = port === undefined ? text : l3num === 2 ? `${text}:${port}` : `[${text}]:${port}`;
  return html`<code>${protocolName(protonum)} ${end}</code>${piece ? ' (fragments)' : ''}`;
}

function cells(counts: TalkerCounts, whole: number) {
  const refused = counts.packets - counts.verdicts[0];
  return [
    counts.packets,
    { shown: bytesText(counts.bytes), value: counts.bytes },
    counts.flows,
    refused,
    bar(
      counts.verdicts.map((part, i) => ({ kind: VERDICTS[i]!, part })),
      whole,
    ),
  ];
}

function talkerTable(title: string, what: string, { top, rest, forgotten }: TopTalkers): Html {
  const columns: Column[] = [
    { name: what },
    { name: 'Packets', number: true },
    { name: 'Bytes', number: true },
    { name: 'Flows', number: true },
    { name: 'Not accepted', number: true },
    { name: '' },
  ];
  const most = top[0]?.packets ?? 0;
  const rows = top.map((talker) => [talkerName(talker), ...cells(talker, most)]);
  const others = `${forgotten ? 'about ' : ''}${countText(rest.talkers)} others`;
  const foot = rest.talkers === 0 ? [] : [[others, ...cells(rest, 0).slice(0, 4), '']];
  const bound = forgotten
    ? html`<p class="quiet">More than ${countText(TALKERS_MAX)} were seen: those with few packets were forgotten meanwhile, so that the counts above the last line are lower bounds.</p>`
    : undefined;
  return html`<h3>${title}</h3>
${table({ caption: 'The greatest by packets, bytes, flows and packets not accepted, together', columns, rows, foot, sortable: true })}${bound}`;
}

export function talkerTables({ gathered }: PageSource): Html | undefined {
  const { sources, services } = gathered;
  if (sources.top.length === 0) return undefined;
  return html`<section id="talkers">
<h2>Top talkers</h2>
<p class="lead">Packets of both directions count for who opened the flow, and for what was asked for, before NAT. What was not judged is left out.</p>
${talkerTable('By source', 'Source', sources)}${talkerTable('By destination and port', 'Destination', services)}</section>
`;
}
