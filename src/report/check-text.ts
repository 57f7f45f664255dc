// How does a check read on a terminal or in a log? A line if all holds, otherwise what fails and what shows it.

import picocolors from 'picocolors';
import type { CheckReport, Example, ExpectationResult, Failure } from '../check/report.ts';
import { countText } from './align.ts';
import { decision, ruleText, states } from './judgement-text.ts';

function plural(count: number, what: string): string {
  return `${countText(count)} ${what}${count === 1 ? '' : 's'}`;
}

/** What shows a failure, a line or two. */
function exampleLines(example: Example): string[] {
  if ('flow' in example) return [example.flow];
  if ('capture' in example) {
    const { capture, n, ts, packet } = example;
    const text = ruleText(example);
    const judged = `${decision(example)}, ${states(example)}${text && `  ${text}`}`;
    return [`${capture}:${n}  ${ts}  ${packet}`, `  ${judged}`];
  }
  const { rule, family, packets, bytes, text, file, line } = example;
  return [`${rule} ${family}, ${plural(packets, 'packet')}, ${plural(bytes, 'byte')}  ${text}  (${file}:${line})`];
}

/** A failure as lines: its place, what is wrong, and the first that show it. */
export function failureLines(file: string, { line, column, claim, message, total, first }: Failure): string[] {
  const hidden = total - first.length;
  return [
    `${file}:${line}:${column}: ${claim}: ${message}`,
    ...first.flatMap(exampleLines).map((text) => `  ${text}`),
    ...(hidden > 0 && first.length > 0 ? [`  and ${countText(hidden)} more`] : []),
  ];
}

/** The report as text for people. */
export function checkText({ packets, failed, results }: CheckReport, color: boolean): string {
  const colors = picocolors.createColors(color);
  const lines: string[] = [];
  const told = ({ name, file, failures }: ExpectationResult): string[] => [
    colors.red(`FAIL  ${name}`),
    ...failures.flatMap((failure) => failureLines(file, failure)).map((line) => `  ${line}`),
    '',
  ];
  for (const result of results) if (!result.holds) lines.push(...told(result));
  const of = `in ${plural(packets, 'packet')}`;
  if (failed === 0)
    lines.push(
      colors.green(`${plural(results.length, 'expectation')} ${results.length === 1 ? 'holds' : 'hold'} ${of}`),
    );
  else
    lines.push(
      colors.bold(
        `${countText(failed)} of ${plural(results.length, 'expectation')} ${failed === 1 ? 'fails' : 'fail'} ${of}`,
      ),
    );
  return `${lines.join('\n')}\n`;
}
