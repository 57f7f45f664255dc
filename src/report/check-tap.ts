// How does a program that knows TAP read a check? Test Anything Protocol, version 14 (testanything.org).

import type { CheckReport, ExpectationResult } from '../check/report.ts';
import { failureLines } from './check-text.ts';

/** Lines end where they seem to. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '?');
}

/** A number sign would begin a directive. */
function escaped(text: string): string {
  return printable(text).replace(/[\\#]/g, '\\$&');
}

/** Why an expectation fails, as YAML. JSON strings are YAML. */
function diagnostics({ file, line, selected, failures }: ExpectationResult): string[] {
  return [
    '  ---',
    `  at: ${JSON.stringify(`${file}:${line}`)}`,
    `  selected: ${selected}`,
    '  message: |',
    ...failures.flatMap((failure) => failureLines(file, failure)).map((text) => `    ${printable(text)}`),
    '  ...',
  ];
}

export function checkTap({ results }: CheckReport): string {
  const lines = ['TAP version 14', `1..${results.length}`];
  results.forEach((result, index) => {
    lines.push(`${result.holds ? 'ok' : 'not ok'} ${index + 1} - ${escaped(result.name)}`);
    if (!result.holds) lines.push(...diagnostics(result));
  });
  return `${lines.join('\n')}\n`;
}
