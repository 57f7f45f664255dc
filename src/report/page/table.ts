// How does a table of the page look? Captions, numbers to the right, verdicts in colour and in words, bars.

import { countText } from '../align.ts';
import { type Content, Html, html } from './html.ts';

export interface Column {
  name: string;
  /** Numbers stand to the right, and rows can be put in their order. */
  number?: true;
  /** Code: rules, addresses. */
  code?: true;
  /** Takes the room that is left. */
  wide?: true;
}

/** A cell: what is shown, and for numbers what it is sorted by. */
export type Cell = Content | { shown: Content; value: number };

function cell(content: Cell, { number, code, wide }: Column): Html {
  const valued = typeof content === 'object' && 'value' in content;
  const shown: Content = valued
    ? content.shown
    : typeof content === 'number'
      ? countText(content)
      : (content as Content);
  const value = valued ? content.value : typeof content === 'number' ? content : undefined;
  const sort = value === undefined ? undefined : html` data-value="${value}"`;
  if (number) return html`<td class="number"${sort}>${shown}</td>`;
  if (wide) return html`<td class="wide"${sort}>${shown}</td>`;
  return code ? html`<td${sort}><code>${shown}</code></td>` : html`<td${sort}>${shown}</td>`;
}

export interface TableOptions {
  /** Read out by screen readers, and shown above the table. */
  caption: Content;
  columns: readonly Column[];
  rows: readonly (readonly Cell[])[];
  /** Rows that stay below the others: what is left, sums. */
  foot?: readonly (readonly Cell[])[];
  /** Rows can be put in another order by their numbers. */
  sortable?: true;
  id?: string;
}

/** A table that can be scrolled sideways where it is too wide. */
export function table({ caption, columns, rows, foot = [], sortable, id }: TableOptions): Html {
  const heads = columns.map(({ name, number, wide }) => {
    const kind = [number && 'number', wide && 'wide'].filter(Boolean).join(' ');
    return kind === '' ? html`<th scope="col">${name}</th>` : html`<th scope="col" class="${kind}">${name}</th>`;
  });
  const line = (cells: readonly Cell[]) => html`<tr>${cells.map((content, i) => cell(content, columns[i]!))}</tr>\n`;
  const feet = foot.length > 0 ? html`<tfoot>\n${foot.map(line)}</tfoot>\n` : undefined;
  return html`<div class="scroll" tabindex="0" role="group" aria-label="${caption}"><table${id && html` id="${id}"`}${sortable && html` class="sortable"`}>
<caption>${caption}</caption>
<thead><tr>${heads}</tr></thead>
<tbody>
${rows.map(line)}</tbody>
${feet}</table></div>
`;
}

/** `1,234 (5.6%)` in two parts, the share quiet. */
export function shareCell(part: number, whole: number): Html {
  if (whole === 0) return html`${countText(part)}`;
  return html`${countText(part)} <span class="share">${percentText(part, whole)}</span>`;
}

/** Per cent with one decimal; what is neither nothing nor all does not read so. */
export function percentText(part: number, whole: number): string {
  const percent = whole === 0 ? 0 : (part * 100) / whole;
  if (part > 0 && percent < 0.1) return '<0.1%';
  if (part < whole && percent > 99.9) return '>99.9%';
  return `${percent.toFixed(1)}%`;
}

/** Bytes in units of 1000: `1.2 MB`. */
export function bytesText(bytes: number): string {
  let [unit, shown] = [0, bytes];
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  for (; shown >= 999.5 && unit < units.length - 1; unit++) shown /= 1000;
  return `${unit === 0 || shown >= 99.5 ? Math.round(shown) : shown.toFixed(1)} ${units[unit]}`;
}

/** A verdict by colour and name. */
export function verdictBadge(verdict: string): Html {
  return html`<span class="verdict">${keyMark(verdict)}${verdict}</span>`;
}

/** The colour of a kind, as legends show it. */
export function keyMark(kind: string): Html {
  return html`<svg class="key ${kind}" width="10" height="10" aria-hidden="true"><rect width="10" height="10" rx="2"/></svg>`;
}

/** A bar of `parts` of a whole, each in the colour of its class, of the look `look`. Numbers stand beside it. */
export function bar(parts: readonly { kind: string; part: number }[], whole: number, look = 'bar'): Html {
  let left = 0;
  const rects = parts.flatMap(({ kind, part }) => {
    if (part <= 0 || whole <= 0) return [];
    const rect = html`<rect class="${kind}" x="${percent(left, whole)}" width="${percent(part, whole)}" height="100%"/>`;
    left += part;
    return [rect];
  });
  return html`<svg class="${look}" aria-hidden="true">${rects}</svg>`;
}

/** A coordinate: `12.345%`. */
export function percent(part: number, whole: number): string {
  return `${Number(((part * 100) / whole).toFixed(3))}%`;
}

/** What follows a list that was cut. */
export function moreText(shown: number, all: number, what: string): Html {
  return all <= shown ? new Html('') : html`<p class="quiet">And ${countText(all - shown)} more ${what}.</p>`;
}
