// How are lines that a kernel's conntrack printed compared with ours?

import { expect } from 'vitest';

/** Lines without the time that `-o timestamp` puts before them. */
export const unstamped = (text: string): string[] =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => line.replace(/^\[\d+\.[\d ]{6}\]\t/, ''));

/** The seconds that an event shows, of an entry (also `-o extended`) or an expectation. */
const LEFT = /^( *\[\w+\] (?:(?:\S+ +\d+ ){1,2})?)(\d+)( )/;

/** Seconds may differ by one: a jiffy may have ended on the way from the tap to the hooks, or not yet have. */
export function expectSeconds(actual: number[], expected: number[]): void {
  expect(actual).toHaveLength(expected.length);
  actual.forEach((seconds, index) => {
    expect(Math.abs(seconds - expected[index]!)).toBeLessThanOrEqual(1);
  });
}

/** The same events in the same order. */
export function expectEvents(actual: string[], expected: string[]): void {
  const [ours, theirs] = [actual, expected].map((events) => ({
    lines: events.map((line) => line.replace(LEFT, '$1$3')),
    left: events.flatMap((line) => LEFT.exec(line)?.[2] ?? []).map(Number),
  }));
  expect(ours!.lines).toEqual(theirs!.lines);
  expectSeconds(ours!.left, theirs!.left);
}
