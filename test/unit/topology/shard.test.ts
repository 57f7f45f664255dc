// Does one rule with shared state in any ruleset put everything into one lane?
import { expect, test } from 'vitest';
import { planShards } from '../../../src/plan/shard.ts';

test('flows are dealt freely unless a rule of either firewall needs all of them', () => {
  const limit = { oneLane: { rule: 'filter/INPUT/3', reason: 'limit' } };
  expect(planShards([{}, {}])).toEqual({ key: 'tuple' });
  expect(planShards([{}, limit])).toEqual({ key: 'one-lane', rule: 'filter/INPUT/3', reason: 'limit' });
});
