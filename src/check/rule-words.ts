// Which rules are meant? Words about rules and policies, and what they counted.

import { familyOf } from '../report/filter-values.ts';
import { type RuleInfo, ruleName } from '../ruleset/index.ts';
import { oneOf, readDescription, readEach, type Scope, type Test, type Words } from './description.ts';
import { inRange, matchesPattern, readRange } from './values.ts';
import type { Value } from './yaml.ts';

/** A rule or policy, and how many packets and bytes it matched. */
export interface RuleItem {
  info: RuleInfo;
  packets: number;
  bytes: number;
}

const NAME_WORDS: Words<RuleInfo> = {
  rule: oneOf((text) => (info) => matchesPattern(ruleName(info), text)),
  family: oneOf((text, key) => {
    const l3num = familyOf(key, text);
    return ({ family }) => family === l3num;
  }),
  text: oneOf((text) => (info) => matchesPattern(info.text, text)),
};

const count = (of: (item: RuleItem) => number): Words<RuleItem>[string] =>
  oneOf((text, key) => {
    const range = readRange(key, text);
    return (item) => inRange(of(item), range);
  });

export const RULE_WORDS: Words<RuleItem> = {
  ...Object.fromEntries(
    Object.entries(NAME_WORDS).map(([name, word]): [string, Words<RuleItem>[string]] => [
      name,
      (value, key, scope) => {
        const test = word(value, key, scope);
        return ({ info }) => test(info);
      },
    ]),
  ),
  packets: count(({ packets }) => packets),
  bytes: count(({ bytes }) => bytes),
};

/**
 * Rules by their names, or by a description of rules: a test of an index into the rules of the replay. That some rule is
 * meant is checked when the rules are known.
 */
export function readRules(value: Value, scope: Scope): (rules: readonly RuleInfo[], index: number) => boolean {
  const test: Test<RuleInfo> =
    value.kind === 'map'
      ? readDescription(value, NAME_WORDS, scope)
      : (
          (patterns) => (info) =>
            patterns.some((pattern) => matchesPattern(ruleName(info), pattern))
        )(readEach(value, (text) => text));
  scope.names.push({ kind: 'rule', place: value, exists: ({ rules }) => rules.some(test) });
  const known: boolean[] = [];
  return (rules, index) => {
    const info = rules[index];
    if (info === undefined) return false;
    known[index] ??= test(info);
    return known[index];
  };
}
