// Which files say what is expected?

import { readFileSync } from 'node:fs';
import { UsageError } from '../errors.ts';
import type { Host } from '../host.ts';
import { readFault } from '../read-fault.ts';
import { type Expectation, readExpectations } from './expectation.ts';

/** A file of expectations: its path, or its text under a name for messages. */
export type ExpectationSource = string | { file: string; text: string };

/**
 * Reads files of expectations about captures and a host.
 *
 * @param captures their paths in command-line order
 * @throws ExpectationError; UsageError `expectation-missing` for a file that cannot be read
 */
export function readExpectationFiles(
  sources: readonly ExpectationSource[],
  captures: readonly string[],
  { labels }: Pick<Host, 'labels'>,
): Expectation[] {
  return sources.flatMap((source) => {
    const { file, text } = typeof source === 'string' ? { file: source, text: readText(source) } : source;
    return readExpectations(file, text, { captures, labels });
  });
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UsageError('expectation-missing', `${path}: ${readFault(cause)}`, { cause });
  }
}
