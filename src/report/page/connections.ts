// What did connection tracking, NAT and helpers do?

import { countText } from '../align.ts';
import type { Summary } from '../summary.ts';
import { type Html, html } from './html.ts';
import { plural } from './opening.ts';
import type { PageSource } from './source.ts';
import { stateDiagram } from './state-diagram.ts';
import { type Column, table } from './table.ts';

const TRANSLATIONS_SHOWN = 30;

const TRANSITION_COLUMNS: Column[] = [{ name: 'Packets', number: true }, { name: 'From' }, { name: 'To' }];

function transitionTable(caption: string, transitions: Summary['transitions']): Html {
  const rows = transitions.map(({ from, to, packets }) => [packets, from ?? 'no entry', to]);
  return table({ caption, columns: TRANSITION_COLUMNS, rows });
}

export function stateSection({ summary }: PageSource): Html | undefined {
  const { transitions, sctpTransitions } = summary;
  if (transitions.length === 0 && sctpTransitions.length === 0) return undefined;
  const tcp =
    transitions.length === 0
      ? undefined
      : html`<div class="columns">${stateDiagram(transitions)}<div>${transitionTable('TCP: packets that changed the state of their connection', transitions)}</div></div>\n`;
  const sctp =
    sctpTransitions.length === 0
      ? undefined
      : transitionTable('SCTP: packets that changed the state of their association', sctpTransitions);
  return html`<section id="states">
<h2>Connection states</h2>
${tcp}${sctp}</section>
`;
}

export function natSection({ gathered }: PageSource): Html | undefined {
  const { packets, flows, translations, more } = gathered.translated;
  if (packets === 0) return undefined;
  const tables = (['source', 'destination'] as const).map((kind) => {
    const own = translations.filter((each) => each.kind === kind);
    if (own.length === 0) return undefined;
    const shown = own.slice(0, TRANSLATIONS_SHOWN);
    const rest = own.slice(TRANSLATIONS_SHOWN).reduce((sum, each) => sum + each.flows, 0);
    return table({
      caption:
        kind === 'source'
          ? 'Sources: the address as it came, and as it left'
          : 'Destinations: where it was sent, and where it went',
      columns: [
        { name: 'Flows', number: true },
        { name: 'From', code: true },
        { name: 'To', code: true },
      ],
      rows: shown.map(({ flows, from, to }) => [flows, from, to]),
      foot: rest === 0 ? [] : [[rest, `${countText(own.length - shown.length)} others`, '']],
    });
  });
  const left =
    more === 0 ? undefined : html`<p class="quiet">${plural(more, 'flow')} with other translations still.</p>`;
  return html`<section id="nat">
<h2>NAT</h2>
<p class="lead">${plural(packets, 'packet')} translated, of which ${countText(flows)} made ${flows === 1 ? 'an entry' : 'entries'}.</p>
<div class="columns">${tables}</div>${left}</section>
`;
}

export function helperSection({ gathered }: PageSource): Html | undefined {
  const { helpers, expected } = gathered;
  if (helpers.length === 0) return undefined;
  return html`<section id="helpers">
<h2>Helpers</h2>
<p class="lead">${plural(expected, 'flow')} came because a helper expected ${expected === 1 ? 'it' : 'them'}.</p>
${table({
  caption: 'Flows with a helper, and what it expected',
  columns: [
    { name: 'Helper' },
    { name: 'Flows', number: true },
    { name: 'Packets', number: true },
    { name: 'Expectations', number: true },
  ],
  rows: helpers.map(({ helper, flows, packets, expectations }) => [helper, flows, packets, expectations]),
})}</section>
`;
}
