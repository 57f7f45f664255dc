// What do all pages begin and end with: title, time, settings, notes?

import { basename } from 'node:path';
import { countText } from '../align.ts';
import { spanText, utcText } from '../time.ts';
import { cutText, type Html, html } from './html.ts';
import { fileName } from './paths.ts';
import { NOTE_LETTERS } from './source.ts';
import { moreText } from './table.ts';

const VALUES_SHOWN = 20;
/** Captures that are named at once where there are more. */
const CAPTURES_SHOWN = 8;
const NOTES_SHOWN = 50;

/** What the user gave that decides what comes out: host, rulesets, options. */
export type Setting = readonly [name: string, values: readonly string[]];

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

export interface Opening {
  /** What kind of page it is. */
  kind: string;
  captures: readonly string[];
  /** Time stamps of the first and the last packet, ns since 1970. */
  first?: bigint | undefined;
  last?: bigint | undefined;
  /** Why a capture could not be read to its end. */
  error?: string | undefined;
}

export function opening({ kind, captures, first, last, error }: Opening): Html {
  const span = first === undefined || last === undefined || last < first ? 0n : last - first;
  const clock = first === undefined ? '' : utcText(first).replace(/\.\d+ UTC$/, ' UTC');
  const time = first === undefined ? 'No packets.' : `From ${clock}, ${spanText(span)} of traffic.`;
  const cut =
    error && html`<p><strong>A capture was not read to its end:</strong> ${cutText(error, NOTE_LETTERS)}</p>\n`;
  return html`<header>
<p class="over">${kind}</p>
<h1>${capturesText(captures)}</h1>
<p class="lead">${time}</p>
${cut}</header>
`;
}

/** A number that matters, and what it counts. */
export function tile(number: string | number, text: string): Html {
  return html`<li><strong>${typeof number === 'number' ? countText(number) : number}</strong><span>${text}</span></li>`;
}

export function settingsList(captures: readonly string[], settings: readonly Setting[], version: string): Html {
  const value = (values: readonly string[], most: number) => {
    const shown = values.slice(0, most).map((text, i) => html`${i > 0 ? ', ' : ''}<code>${fileName(text)}</code>`);
    const more = values.length - shown.length;
    return html`${shown}${more > 0 && ` and ${countText(more)} more`}`;
  };
  return html`<dl>
<dt>Captures</dt><dd>${value(captures, CAPTURES_SHOWN)}</dd>
${settings.map(([name, values]) => html`<dt>${name}</dt><dd>${value(values, VALUES_SHOWN)}</dd>\n`)}<dt>Made by</dt><dd>ctreplay ${version}</dd>
</dl>
`;
}

export function notesSection(notes: readonly string[]): Html | undefined {
  if (notes.length === 0) return undefined;
  return html`<section id="notes">
<h2>Notes</h2>
<ul class="notes">${notes.slice(0, NOTES_SHOWN).map((note) => html`<li>${cutText(note, NOTE_LETTERS)}</li>`)}</ul>
${moreText(NOTES_SHOWN, notes.length, 'notes')}</section>
`;
}
