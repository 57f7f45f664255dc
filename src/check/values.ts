// What do values of expectations mean that filters of conntrack do not have: ranges, patterns, names from a list?

import { UsageError } from '../errors.ts';

/** @throws UsageError, which gets its place where the value is known */
export function refuseValue(message: string): never {
  throw new UsageError('usage', message);
}

/** Numbers from `first` to `last`. */
export interface Range {
  first: number;
  last: number;
}

/** `5`, `5..10`, `5..`, `..10`. @throws UsageError */
export function readRange(what: string, text: string, maximum = Number.MAX_SAFE_INTEGER): Range {
  const [, from, dots, to] = /^(\d+)?(\.\.)?(\d+)?$/.exec(text) ?? [];
  if (dots === undefined ? from === undefined || to !== undefined : from === undefined && to === undefined) {
    refuseValue(`${what}: '${text}' is neither a number nor a range (5, 5..10, 5.., ..10)`);
  }
  const first = Number(from ?? 0);
  const last = dots === undefined ? first : to === undefined ? Number.POSITIVE_INFINITY : Number(to);
  if (first > maximum || (last > maximum && to !== undefined)) refuseValue(`${what}: at most ${maximum} is possible`);
  if (first > last) refuseValue(`${what}: '${text}' is empty: its end is before its start`);
  return { first, last };
}

export function inRange(value: number, { first, last }: Range): boolean {
  return value >= first && value <= last;
}

/** Whether a text is like a pattern, in which `*` stands for any characters or none. */
export function matchesPattern(text: string, pattern: string): boolean {
  let at = 0;
  let from = 0;
  // Where the last star stands, and the text that it does not stand for begins.
  let star = -1;
  let rest = 0;
  while (at < text.length) {
    if (pattern[from] === '*') {
      star = from++;
      rest = at;
    } else if (pattern[from] === text[at]) {
      from++;
      at++;
    } else if (star >= 0) {
      from = star + 1;
      at = ++rest;
    } else return false;
  }
  while (pattern[from] === '*') from++;
  return from === pattern.length;
}

/** The number behind a name. @throws UsageError that lists the names */
export function readName(what: string, text: string, names: ReadonlyMap<string, number>): number {
  return names.get(text) ?? refuseValue(`${what}: '${text}' is none of ${[...names.keys()].join(', ')}`);
}

/** Names of `count` numbers from `first` on, where they have one. */
export function namesOf(first: number, end: number, name: (number: number) => string | undefined): Map<string, number> {
  const names = new Map<string, number>();
  for (let number = first; number < end; number++) {
    const text = name(number);
    if (text !== undefined) names.set(text, number);
  }
  return names;
}

/** `true` or `false`, undefined for other texts. */
export function readTruth(text: string): boolean | undefined {
  return text === 'true' ? true : text === 'false' ? false : undefined;
}
