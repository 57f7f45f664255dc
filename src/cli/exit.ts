// How does the program end? Exit codes, and errors as the user reads them.

import { CtreplayError, EngineError } from '../errors.ts';

export const EXIT = {
  /** Done. */
  DONE: 0,
  /** What was asked about does not hold: diff found differences, an expectation of check fails. */
  DIFFERENT: 1,
  /** Trouble: usage, an input that cannot be read or executed, an output that cannot be written. */
  TROUBLE: 2,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** An error as it is printed on standard error, with a newline. */
export function errorText(error: unknown): string {
  if (error instanceof EngineError) return `ctreplay: internal error: ${error.stack ?? error.message}\n`;
  if (error instanceof CtreplayError) return `ctreplay: ${error.message}\n`;
  return `ctreplay: internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
}
