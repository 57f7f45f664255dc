// Which page says what a firewall did to the captured traffic?

import { countText } from '../align.ts';
import { helperSection, natSection, stateSection } from './connections.ts';
import { documentText } from './document.ts';
import { headline } from './headline.ts';
import { type Html, html } from './html.ts';
import { capturesText, notesSection } from './opening.ts';
import { overTime } from './over-time.ts';
import { ruleTables } from './rule-tables.ts';
import type { PageSource } from './source.ts';
import { talkerTables } from './talker-tables.ts';
import { reasonTables, verdictTables } from './verdicts.ts';

/** What a reader should know besides. */
function notes({ summary, earlyDropped }: PageSource): string[] {
  const all = [...summary.notes];
  if (summary.flowsAtLeast) {
    all.push('More flows without an entry than are told apart: counts of flows are lower bounds.');
  }
  if (earlyDropped > 0) {
    all.push(`The table was full: entries that went early so that others found room: ${countText(earlyDropped)}.`);
  }
  return all;
}

/** The page of a replay. */
export function replayPage(source: PageSource): string {
  const sections: [string, string, Html | undefined][] = [
    ['time', 'Over time', overTime(source)],
    ['verdicts', 'States and verdicts', verdictTables(source)],
    ['reasons', 'Reasons', reasonTables(source)],
    ['rules', 'Rules', ruleTables(source)],
    ['talkers', 'Top talkers', talkerTables(source)],
    ['states', 'Connection states', stateSection(source)],
    ['nat', 'NAT', natSection(source)],
    ['helpers', 'Helpers', helperSection(source)],
    ['notes', 'Notes', notesSection(notes(source))],
  ];
  const shown = sections.filter(([, , section]) => section !== undefined);
  const links = shown.map(([id, name]) => html`<li><a href="#${id}">${name}</a></li>`);
  const body = html`${headline(source)}<nav aria-label="Sections"><ul>${links}</ul></nav>
<main>
${shown.map(([, , section]) => section)}</main>
`;
  return documentText(`Firewall replay: ${capturesText(source.summary.captures)}`, body);
}
