// What is described? A map of words, all of which must hold; a list of such maps, any of which may.
//
//     { proto: tcp, dport: [80, 443], not: { src: 10.0.0.0/8 } }
//
// A word has a value or a list of values, any of which may hold. Words differ with what is described (packets, flows,
// rules); `not` is known everywhere.

import { UsageError } from '../errors.ts';
import type { RuleInfo } from '../ruleset/index.ts';
import type { LabelNames } from '../ruleset/source.ts';
import { type Place, refuse, type Value } from './yaml.ts';

export type Test<Item> = (item: Item) => boolean;

/** What words need to know besides their value. */
export interface Scope {
  /** Paths of the captures in command-line order. */
  captures: readonly string[];
  /** Names of connection labels. */
  labels: LabelNames;
  /** Names that must turn out to exist, lest the expectation could not fail. */
  names: NameCheck[];
}

export interface NameCheck {
  kind: 'rule' | 'interface';
  place: Place;
  /** Whether one of the names is meant, or a rule of that index. */
  exists: (names: KnownNames) => boolean;
}

/** What is known after a replay. */
export interface KnownNames {
  rules: readonly RuleInfo[];
  interfaces: readonly string[];
}

/** Makes a test of the value of a word. */
export type Word<Item> = (value: Value, key: string, scope: Scope) => Test<Item>;
export type Words<Item> = Readonly<Record<string, Word<Item>>>;

/** What holds of an item where a description does not say otherwise. */
export interface Implied<Item> {
  /** Unless it has this word. */
  unless: string;
  test: Test<Item>;
}

const ALWAYS = (): boolean => true;

/** @throws ExpectationError */
export function readDescription<Item>(
  value: Value,
  words: Words<Item>,
  scope: Scope,
  implied?: Implied<Item>,
): Test<Item> {
  if (value.kind === 'text') refuse('expectation-value', 'expected a description: { WORD: VALUE, ... }', value);
  if (value.kind === 'list') {
    if (value.items.length === 0) refuse('expectation-value', 'an empty list describes nothing', value);
    return any(
      value.items.map((item) => {
        if (item.kind !== 'map') refuse('expectation-value', 'expected a description: { WORD: VALUE, ... }', item);
        return readDescription(item, words, scope, implied);
      }),
    );
  }
  const tests: Test<Item>[] = [];
  for (const { key, keyPlace, value: own } of value.entries) {
    if (key === 'not') {
      const test = readDescription(own, words, scope);
      tests.push((item) => !test(item));
    } else if (Object.hasOwn(words, key)) tests.push(words[key]!(own, key, scope));
    else
      refuse('expectation-value', `unknown: ${key}; known are ${[...Object.keys(words), 'not'].join(', ')}`, keyPlace);
  }
  if (implied && !value.entries.some(({ key }) => key === implied.unless)) tests.push(implied.test);
  return all(tests);
}

function all<Item>(tests: readonly Test<Item>[]): Test<Item> {
  if (tests.length === 0) return ALWAYS;
  if (tests.length === 1) return tests[0]!;
  return (item) => {
    for (const test of tests) if (!test(item)) return false;
    return true;
  };
}

function any<Item>(tests: readonly Test<Item>[]): Test<Item> {
  if (tests.length === 1) return tests[0]!;
  return (item) => {
    for (const test of tests) if (test(item)) return true;
    return false;
  };
}

/** The texts of a value or a list of values, each read by `read`, whose UsageErrors get their place here. */
export function readEach<Read>(value: Value, read: (text: string) => Read): Read[] {
  if (value.kind === 'map') refuse('expectation-value', 'expected a value or a list of values', value);
  const items = value.kind === 'list' ? value.items : [value];
  if (items.length === 0) refuse('expectation-value', 'an empty list describes nothing', value);
  return items.map((item) => {
    if (item.kind !== 'text') refuse('expectation-value', 'expected a value', item);
    try {
      return read(item.text);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return refuse('expectation-value', error.message, item);
    }
  });
}

/** A word whose values are each read to a test. */
export function oneOf<Item>(read: (text: string, key: string, scope: Scope) => Test<Item>): Word<Item> {
  return (value, key, scope) => any(readEach(value, (text) => read(text, key, scope)));
}

/** A word whose value is a description of its own: `{ state: NEW }`. */
export function nested<Item, Inner = Item>(words: Words<Inner>, of: (test: Test<Inner>) => Test<Item>): Word<Item> {
  return (value, key, scope) => {
    if (value.kind === 'map' && value.entries.length === 0)
      refuse('expectation-value', `${key}: nothing is said`, value);
    return of(readDescription(value, words, scope));
  };
}
