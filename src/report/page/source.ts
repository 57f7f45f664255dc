// What is the page of a replay made of?

import type { CaptureFile } from '../../capture/reader.ts';
import type { ReportRule } from '../rules.ts';
import type { Summary } from '../summary.ts';
import type { Gathered } from './gather.ts';
import type { Setting } from './opening.ts';

export interface PageSource {
  /** Of ctreplay. */
  version: string;
  summary: Summary;
  gathered: Gathered;
  files: readonly Pick<CaptureFile, 'path' | 'packets' | 'first' | 'last'>[];
  rules: readonly ReportRule[];
  /** What it was replayed with. */
  settings: readonly Setting[];
  /** Entries at the end. */
  flows: number;
  /** Entries that went early so that others found room. */
  earlyDropped: number;
  /** Why a capture could not be read to its end. */
  error?: string | undefined;
}

/** Letters that a path, a rule or a note may take: pages are bounded whatever is in them. */
export const PATH_LETTERS = 100;
export const RULE_LETTERS = 240;
export const NOTE_LETTERS = 500;
