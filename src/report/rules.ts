// How do reports speak of rules? By name, text and place.

import { type RuleInfo, ruleName } from '../ruleset/index.ts';

/** What reports need to know of a rule or policy. */
export type ReportRule = Pick<RuleInfo, 'family' | 'table' | 'chain' | 'number' | 'text' | 'file' | 'line' | 'log'> & {
  reachable?: boolean;
};

/** `Packet.rule` where no rule decided. */
export const NO_RULE = 0xffffffff;

/** `filter/FORWARD/2`, `filter/FORWARD/policy`; `rule-N` for an index that the ruleset does not have. */
export function ruleLabel(rules: readonly ReportRule[], index: number): string {
  const rule = rules[index];
  return rule === undefined ? `rule-${index}` : ruleName(rule);
}
