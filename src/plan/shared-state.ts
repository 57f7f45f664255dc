// What does a firewall share between flows, so that they must meet in one lane?

import { Sysctl } from '../../assembly/vocabulary.ts';
import { LANE_EXPECTATIONS_MAX, usesHelpers } from '../engine/help.ts';
import type { Host } from '../host.ts';
import { expectsOthers, helperName } from '../ruleset/helpers.ts';
import { type CompiledRuleset, type RuleInfo, ruleName } from '../ruleset/index.ts';
import type { HostLimits, ShardPlan } from './shard.ts';

/** What rules share, and what entries that the host's table has from the start do to the key. */
export function sharedState(rules: CompiledRuleset, host: Host): ShardPlan {
  const { oneLane, helping } = rules;
  if (oneLane) return { key: 'one-lane', ...named(oneLane.rule), reason: oneLane.reason };
  const translated = host.conntrack.find((entry) => entry.translated);
  if (translated) return { key: 'one-lane', reason: `NAT: ${place(translated.line)}` };

  // Who gives helpers: rules, the kernel by itself, or the table that the host begins with.
  const givers: Giver[] = helping.map(({ rule, helper }) => ({ rule, text: ruleName(rule), helper }));
  if (host.sysctls[Sysctl.HELPER] === 1) {
    givers.push(...AUTOMATIC.map((helper) => ({ text: 'nf_conntrack_helper=1', helper })));
  }
  for (const { helper, line } of host.conntrack) {
    if (helper !== undefined) givers.push({ text: place(line), helper: helperName(helper) ?? '' });
  }
  const [first] = givers;
  if (!first) return { key: 'tuple' };
  const others = givers.find(({ helper }) => expectsOthers(helper));
  return { key: 'pair', ...named(first.rule), reason: gives(first), ...(others && { others: gives(others) }) };
}

interface Giver {
  rule?: RuleInfo;
  text: string;
  helper: string;
}

/** Of those that kernels before 6.0 give by themselves, one that expects its own two hosts and one that expects others. */
const AUTOMATIC = ['ftp', 'irc'];

function gives({ text, helper }: Giver): string {
  return `${text} gives the helper ${helper}`;
}

function named(rule: RuleInfo | undefined): { rule?: string } {
  return rule ? { rule: ruleName(rule) } : {};
}

function place(line: number): string {
  return `the entry in line ${line} of the host's conntrack table`;
}

/** What several lanes must not reach. */
export function hostLimits(rules: CompiledRuleset, host: Host): HostLimits {
  const expectations = Math.min(host.sysctls[Sysctl.EXPECT_MAX]!, LANE_EXPECTATIONS_MAX);
  return { entries: host.sysctls[Sysctl.MAX]!, ...(usesHelpers({ host, rules }) && { expectations }) };
}
