// Which document is the report? One file that needs nothing else, asks nobody for anything, and runs no script but its own.

import { createHash } from 'node:crypto';
import { helperSection, natSection, stateSection } from './connections.ts';
import { capturesText, headline, plural } from './headline.ts';
import { cutText, Html, html } from './html.ts';
import { overTime } from './over-time.ts';
import { ruleTables } from './rule-tables.ts';
import { SCRIPT } from './script.ts';
import { NOTE_LETTERS, type PageSource } from './source.ts';
import { STYLE } from './style.ts';
import { moreText } from './table.ts';
import { talkerTables } from './talker-tables.ts';
import { reasonTables, verdictTables } from './verdicts.ts';

const NOTES_SHOWN = 50;

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** A page with this title and body. */
export function documentText(title: string, body: Html): string {
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(SCRIPT)}`,
    `style-src ${hashOf(STYLE)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${new Html(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${new Html(STYLE)}</style>
</head>
<body>
${body}<script>${new Html(SCRIPT)}</script>
</body>
</html>
`.text;
}

function notes({ summary, earlyDropped }: PageSource): Html | undefined {
  const all = [...summary.notes];
  if (summary.flowsAtLeast)
    all.push('More flows without an entry than are told apart: counts of flows are lower bounds.');
  if (earlyDropped > 0)
    all.push(
      `The table was full: ${plural(earlyDropped, 'entry').replace(/entrys$/, 'entries')} went early so that others found room.`,
    );
  if (all.length === 0) return undefined;
  return html`<section id="notes">
<h2>Notes</h2>
<ul class="notes">${all.slice(0, NOTES_SHOWN).map((note) => html`<li>${cutText(note, NOTE_LETTERS)}</li>`)}</ul>
${moreText(NOTES_SHOWN, all.length, 'notes')}</section>
`;
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
    ['notes', 'Notes', notes(source)],
  ];
  const shown = sections.filter(([, , section]) => section !== undefined);
  const links = shown.map(([id, name]) => html`<li><a href="#${id}">${name}</a></li>`);
  const body = html`${headline(source)}<nav aria-label="Sections"><ul>${links}</ul></nav>
<main>
${shown.map(([, , section]) => section)}</main>
`;
  return documentText(`Firewall replay: ${capturesText(source.summary.captures)}`, body);
}
