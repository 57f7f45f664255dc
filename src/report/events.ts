// In which format does an event stream or a table leave? One writer per format: what precedes, lines, what follows.

import type { LabelNames } from '../ruleset/source.ts';
import { flowJson } from './conntrack-json.ts';
import { flowSave } from './conntrack-save.ts';
import { ConntrackLines } from './conntrack-text.ts';
import { flowXml, XML_FOOTER, XML_HEADER } from './conntrack-xml.ts';
import type { EventPlace } from './order.ts';
import { type GreTimeouts, procText } from './proc-text.ts';

/** `-o`: how events and entries are printed. Those of conntrack 1.4.7, and two of our own (json, proc). */
export const OUTPUT_MODES = [
  'extended',
  'id',
  'ktimestamp',
  'labels',
  'save',
  'timestamp',
  'xml',
  'json',
  'proc',
] as const;
export type OutputMode = (typeof OUTPUT_MODES)[number];

/** A format: text before, between and after; what `lines` gives is valid until the next is asked for. */
export interface RecordFormat {
  header: string;
  lines(records: Iterable<EventPlace>): Iterable<string | Uint8Array>;
  footer: string;
}

/** What formats need to know of the host. */
export interface FormatNames {
  labels: LabelNames;
  gre: GreTimeouts;
}

type Line = (view: DataView, bytes: Uint8Array, at: number) => string;

/** A format of lines. */
export function lineFormat(line: Line, header = '', footer = ''): RecordFormat {
  return {
    header,
    footer,
    *lines(records) {
      for (const { view, bytes, at } of records) yield `${line(view, bytes, at)}\n`;
    },
  };
}

/**
 * The format of events (`conntrack -E -o MODES`) or of entries (`conntrack -L -o MODES`).
 *
 * @param listed entries of the table, not events
 */
export function recordFormat(modes: ReadonlySet<OutputMode>, listed: boolean, names: FormatNames): RecordFormat {
  const ktimestamp = modes.has('ktimestamp');
  const timestamp = modes.has('timestamp');
  const labels = modes.has('labels') ? { labels: names.labels } : {};
  if (modes.has('json')) return lineFormat((view, bytes, at) => flowJson(view, bytes, at, listed));
  if (modes.has('proc')) return lineFormat((view, bytes, at) => procText(view, bytes, at, names.gre));
  if (modes.has('save')) return lineFormat((view, bytes, at) => flowSave(view, bytes, at, listed));
  if (modes.has('xml')) {
    const xml = { ktimestamp, timestamp, ...labels };
    return lineFormat((view, bytes, at) => flowXml(view, bytes, at, listed, xml), XML_HEADER, XML_FOOTER);
  }
  const text = new ConntrackLines({
    extended: modes.has('extended'),
    id: modes.has('id'),
    timestamp,
    ktimestamp,
    ...labels,
  });
  return { header: '', lines: (records) => (listed ? text.entries(records) : text.events(records)), footer: '' };
}
