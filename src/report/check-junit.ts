// How does a CI server read a check? JUnit XML as Maven Surefire and the xUnit plugin of Jenkins describe it: a suite for
// each file of expectations, a case for each of them.
//
// Times are 0: a schema demands them, and the same replay gives the same bytes.

import type { CheckReport, ExpectationResult } from '../check/report.ts';
import { failureLines } from './check-text.ts';

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
  '\t': '&#9;',
  '\r': '&#13;',
};

/** Characters that no XML 1.0 document may have become question marks. */
function legal(text: string): string {
  return text.replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '?');
}

function attribute(text: string): string {
  return legal(text).replace(/[&<>"\n\t\r]/g, (character) => ENTITIES[character]!);
}

function content(text: string): string {
  return legal(text).replace(/[&<>\r]/g, (character) => ENTITIES[character]!);
}

function testCase({ name, file, holds, failures }: ExpectationResult): string {
  const head = `    <testcase name="${attribute(name)}" classname="${attribute(file)}" time="0"`;
  if (holds) return `${head}/>\n`;
  const message = failures.map(({ claim, message }) => `${claim}: ${message}`).join('; ');
  const text = failures.flatMap((failure) => failureLines(file, failure)).join('\n');
  return (
    `${head}>\n      <failure type="${failures[0]!.claim}" message="${attribute(message)}">` +
    `${content(text)}</failure>\n    </testcase>\n`
  );
}

function counts(results: readonly ExpectationResult[]): string {
  const failed = results.filter(({ holds }) => !holds).length;
  return `tests="${results.length}" failures="${failed}" errors="0"`;
}

export function checkJUnit({ results }: CheckReport): string {
  const suites = new Map<string, ExpectationResult[]>();
  for (const result of results) suites.set(result.file, [...(suites.get(result.file) ?? []), result]);
  const texts = [...suites].map(
    ([file, own]) =>
      `  <testsuite name="${attribute(file)}" ${counts(own)} skipped="0" time="0">\n` +
      `${own.map(testCase).join('')}  </testsuite>\n`,
  );
  return (
    '<?xml version="1.0" encoding="UTF-8"?>\n' +
    `<testsuites name="ctreplay check" ${counts(results)} time="0">\n${texts.join('')}</testsuites>\n`
  );
}
