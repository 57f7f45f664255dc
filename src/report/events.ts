// In which format does an event stream or a table leave? One writer per format: what precedes, a line, what follows.

import { flowJson } from './conntrack-json.ts';
import { eventText, tableText } from './conntrack-text.ts';
import { flowXml, XML_FOOTER, XML_HEADER } from './conntrack-xml.ts';

/** `--events-format`. */
export const EVENT_FORMATS = ['text', 'extended', 'xml', 'json'] as const;
export type EventFormat = (typeof EVENT_FORMATS)[number];

/** A format: text before, between and after; `line` ends with a newline. */
export interface RecordFormat {
  header: string;
  line(view: DataView, bytes: Uint8Array, at: number): string;
  footer: string;
}

/** Events: `conntrack -E -o timestamp`, `-o timestamp,extended`, `-o timestamp,xml` (in UTC), or JSON lines. */
export function eventFormat(format: EventFormat): RecordFormat {
  switch (format) {
    case 'text':
    case 'extended': {
      const modes = { timestamp: true, extended: format === 'extended' };
      return { header: '', line: (view, bytes, at) => `${eventText(view, bytes, at, modes)}\n`, footer: '' };
    }
    case 'xml':
      return {
        header: XML_HEADER,
        line: (view, bytes, at) => `${flowXml(view, bytes, at, false, true)}\n`,
        footer: XML_FOOTER,
      };
    case 'json':
      return { header: '', line: (view, bytes, at) => `${flowJson(view, bytes, at, false)}\n`, footer: '' };
  }
}

/** Entries of the table: `conntrack -L`, `-L -o extended`, `-L -o xml`, or JSON lines. */
export function tableFormat(format: EventFormat): RecordFormat {
  switch (format) {
    case 'text':
    case 'extended': {
      const modes = { extended: format === 'extended' };
      return { header: '', line: (view, bytes, at) => `${tableText(view, bytes, at, modes)}\n`, footer: '' };
    }
    case 'xml':
      return {
        header: XML_HEADER,
        line: (view, bytes, at) => `${flowXml(view, bytes, at, true, false)}\n`,
        footer: XML_FOOTER,
      };
    case 'json':
      return { header: '', line: (view, bytes, at) => `${flowJson(view, bytes, at, true)}\n`, footer: '' };
  }
}
