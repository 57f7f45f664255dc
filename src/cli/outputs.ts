// In which modes does the user want events and entries? `--events-format` of replay and `-o` of list and events.

import { Sysctl } from '../../assembly/vocabulary.ts';
import { UsageError } from '../errors.ts';
import type { Host } from '../host.ts';
import { type FormatNames, OUTPUT_MODES, type OutputMode } from '../report/events.ts';

/** `--events-format`, and the modes it stands for. */
export const EVENT_FORMATS = ['text', 'extended', 'xml', 'json'] as const;
export type EventFormat = (typeof EVENT_FORMATS)[number];

const FORMAT_MODES: Record<EventFormat, readonly OutputMode[]> = {
  text: ['timestamp'],
  extended: ['timestamp', 'extended'],
  xml: ['timestamp', 'xml'],
  json: ['json'],
};

export function eventFormatModes(format: EventFormat): ReadonlySet<OutputMode> {
  return new Set(FORMAT_MODES[format]);
}

/** Modes that cannot be combined with any other. */
const ALONE: readonly OutputMode[] = ['save', 'json', 'proc'];

/**
 * The modes of `-o`.
 *
 * @param command that has the option
 * @throws UsageError
 */
export function parseOutput(text: string, command: string): ReadonlySet<OutputMode> {
  const modes = new Set<OutputMode>();
  for (const name of text.split(',')) {
    const mode = OUTPUT_MODES.find((known) => known === name.toLowerCase());
    if (mode === undefined) throw new UsageError('usage', `--output: '${name}' is none of ${OUTPUT_MODES.join(', ')}`);
    modes.add(mode);
  }
  for (const mode of ALONE) {
    if (modes.has(mode) && modes.size > 1) {
      throw new UsageError('usage', `--output: ${mode} cannot be combined with other modes`);
    }
  }
  if (modes.has('proc') && command !== 'list') throw new UsageError('usage', '--output: proc is a format of list only');
  return modes;
}

/** What formats need to know of the host. */
export function formatNames(host: Host): FormatNames {
  const { labels, sysctls } = host;
  return {
    labels,
    gre: { timeout: sysctls[Sysctl.GRE_TIMEOUT]!, stream: sysctls[Sysctl.GRE_TIMEOUT_STREAM]! },
  };
}
