// What is expected? A file of expectations: a list, each with a name, what it selects, and what is claimed of that.
//
//     - name: nobody from the guest net reaches the servers
//       packets: { src: 192.168.66.0/24, dst: 203.0.113.0/28 }
//       none: { verdict: ACCEPT }
//
// docs/check.md is the definition.

import { parseMoment } from '../moment.ts';
import type { EventPlace } from '../report/order.ts';
import type { Moment } from '../run.ts';
import { type Implied, readDescription, readEach, type Scope, type Test, type Words } from './description.ts';
import { FLOW_WORDS } from './flow-words.ts';
import { JUDGED, PACKET_WORDS, type PacketItem } from './packet-words.ts';
import { RULE_WORDS, type RuleItem } from './rule-words.ts';
import { type Range, readRange } from './values.ts';
import { type Entry, type Place, refuse, Source, type Value } from './yaml.ts';

/** What expectations are about, and what one of it is. */
export interface Items {
  packets: PacketItem;
  /** An entry as it ended, or as it is at the end of the captures. */
  flows: EventPlace;
  rules: RuleItem;
  /** An entry of the table at a moment. */
  table: EventPlace;
}
export type Subject = keyof Items;

export const QUANTIFIERS = ['all', 'none', 'some'] as const;
export type Quantifier = (typeof QUANTIFIERS)[number];

export interface Claim<Item> {
  quantifier: Quantifier;
  test: Test<Item>;
  place: Place;
}

interface Of<Kind extends Subject> {
  subject: Kind;
  name: string;
  /** Of the name. */
  place: Place;
  /** Of the selection. */
  selection: Place;
  selects: Test<Items[Kind]>;
  /** The selection, what is implied left out. */
  describes: Test<Items[Kind]>;
  claims: readonly Claim<Items[Kind]>[];
  /** How many must be selected. */
  count: Range & { place: Place };
  names: Scope['names'];
  /** Of the table: the moment, the end if not given. */
  at?: { moment: Moment; place: Place } | undefined;
}

export type Expectation = { [Kind in Subject]: Of<Kind> }[Subject];

const SUBJECTS = ['packets', 'flows', 'rules', 'table'] as const satisfies readonly Subject[];
const KEYS: readonly string[] = ['name', ...SUBJECTS, ...QUANTIFIERS, 'count', 'at'];

/**
 * Reads a file of expectations.
 *
 * @param file its name in messages
 * @throws ExpectationError `expectation-syntax`, `expectation-value`
 */
export function readExpectations(file: string, text: string, about: Omit<Scope, 'names'>): Expectation[] {
  const list = new Source(file, text).read();
  if (list.kind !== 'list') refuse('expectation-syntax', 'expected a list of expectations: - name: ...', list);
  if (list.items.length === 0) refuse('expectation-syntax', 'nothing is expected', list);
  const names = new Map<string, Place>();
  return list.items.map((item) => {
    const expectation = readExpectation(item, { ...about, names: [] });
    const before = names.get(expectation.name);
    if (before) {
      const { line } = before.source.position(before);
      refuse('expectation-value', `the expectation in line ${line} has the same name`, expectation.place);
    }
    names.set(expectation.name, expectation.place);
    return expectation;
  });
}

function readExpectation(item: Value, scope: Scope): Expectation {
  if (item.kind !== 'map') refuse('expectation-syntax', 'expected an expectation: name: ...', item);
  const entries = new Map<string, Entry>();
  for (const entry of item.entries) {
    if (!KEYS.includes(entry.key)) {
      refuse('expectation-value', `unknown: ${entry.key}; an expectation has ${KEYS.join(', ')}`, entry.keyPlace);
    }
    entries.set(entry.key, entry);
  }
  const name = entries.get('name') ?? refuse('expectation-value', 'an expectation needs a name', firstOf(item));
  const subjects = SUBJECTS.filter((subject) => entries.has(subject));
  const [subject, other] = subjects;
  if (subject === undefined) {
    refuse('expectation-value', `what is it about? One of ${SUBJECTS.join(', ')}`, name.keyPlace);
  }
  if (other) refuse('expectation-value', `it is about ${subject} already`, entries.get(other)!.keyPlace);
  const parts: Parts = { name: readText(name.value), place: name.value, entries, scope };
  switch (subject) {
    case 'packets':
      return readAbout(subject, PACKET_WORDS, parts, JUDGED);
    case 'rules':
      return readAbout(subject, RULE_WORDS, parts);
    default:
      return readAbout(subject, FLOW_WORDS, parts);
  }
}

interface Parts {
  name: string;
  place: Place;
  entries: ReadonlyMap<string, Entry>;
  scope: Scope;
}

/** Where an expectation begins: marking all of it would say nothing. */
function firstOf({ source, start }: Place): Place {
  return { source, start, end: start + 1 };
}

function readAbout<Kind extends Subject>(
  subject: Kind,
  words: Words<Items[Kind]>,
  { name, place, entries, scope }: Parts,
  implied?: Implied<Items[Kind]>,
): Of<Kind> {
  const selection = entries.get(subject)!;
  const selects = readDescription(selection.value, words, scope, implied);
  const claims = QUANTIFIERS.flatMap((quantifier): Claim<Items[Kind]>[] => {
    const entry = entries.get(quantifier);
    if (entry === undefined) return [];
    if (entry.value.kind === 'map' && entry.value.entries.length === 0) {
      refuse('expectation-value', `${quantifier}: nothing is claimed; how many there are says count`, entry.value);
    }
    return [{ quantifier, test: readDescription(entry.value, words, scope), place: entry.value }];
  });
  const count = entries.get('count');
  if (claims.length === 0 && !count) {
    refuse('expectation-value', `what is claimed? One of ${QUANTIFIERS.join(', ')}, count`, selection.keyPlace);
  }
  const range = count ? readCount(count) : { first: 1, last: Number.POSITIVE_INFINITY };
  if (claims.length === 0 && range.first === 0 && range.last === Number.POSITIVE_INFINITY) {
    refuse('expectation-value', 'any count is right: this cannot fail', count!.value);
  }
  const at = entries.get('at');
  if (at && subject !== 'table') refuse('expectation-value', 'only the table is asked at a moment', at.keyPlace);
  return {
    subject,
    name,
    place,
    selection: selection.value,
    selects,
    // Names are asked for once.
    describes: readDescription(selection.value, words, { ...scope, names: [] }),
    claims,
    count: { ...range, place: count?.value ?? selection.value },
    names: scope.names,
    at: at && { moment: readMoment(at.value), place: at.value },
  };
}

function readText(value: Value): string {
  if (value.kind !== 'text' || value.text.trim() === '') return refuse('expectation-value', 'expected a text', value);
  return value.text.trim().replace(/\s+/g, ' ');
}

function readCount({ value }: Entry): Range {
  readText(value);
  return readEach(value, (text) => readRange('count', text))[0]!;
}

function readMoment(value: Value): Moment {
  const text = readText(value);
  return (
    parseMoment(text) ??
    refuse('expectation-value', `'${text}' is not a time: seconds since 1970, +SECONDS, or ISO 8601`, value)
  );
}
