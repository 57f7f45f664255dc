// What does a firewall share between flows, so that they must meet in one lane?

import { Sysctl } from '../../assembly/vocabulary.ts';
import type { Host } from '../host.ts';
import { type CompiledRuleset, ruleName } from '../ruleset/index.ts';
import type { SharedState } from './shard.ts';

/** What rules share, and what entries that the host's table has from the start do to the key. */
export function sharedState({ key }: CompiledRuleset, { conntrack, sysctls }: Host): SharedState {
  if (sysctls[Sysctl.HELPER] === 1) {
    return {
      oneLane: { rule: '', reason: 'nf_conntrack_helper gives helpers, whose expectations any flow may fulfil' },
    };
  }
  if (key.key !== 'tuple') return { oneLane: { rule: key.rule ? ruleName(key.rule) : '', reason: key.reason ?? '' } };
  const entry = conntrack.find(({ translated, helper }) => translated || helper !== undefined);
  if (!entry) return {};
  const what = entry.translated ? 'NAT' : 'a helper';
  return { oneLane: { rule: '', reason: `${what}: the entry in line ${entry.line} of the host's conntrack table` } };
}
