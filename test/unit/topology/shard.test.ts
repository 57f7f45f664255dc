// Does one rule with shared state in any ruleset put everything into one lane?
import { expect, test } from 'vitest';
import { EntryLimit, LimitReached, planShards } from '../../../src/plan/shard.ts';

test('flows are dealt freely unless a rule of either firewall needs all of them', () => {
  const limit = { oneLane: { rule: 'filter/INPUT/3', reason: 'limit' } };
  expect(planShards([{}, {}])).toEqual({ key: 'tuple' });
  expect(planShards([{}, limit])).toEqual({ key: 'one-lane', rule: 'filter/INPUT/3', reason: 'limit' });
});

test('lanes stop before a batch in which the table of one of the firewalls could become full', () => {
  const limit = new EntryLimit([0, 100]);
  expect(limit.stated).toBe(true);
  expect(() => limit.check(0, 1000, 50, 0)).not.toThrow();
  expect(() => limit.check(1, 60, 39, 4096)).not.toThrow();
  expect(() => limit.check(1, 60, 40, 4096)).toThrow(new LimitReached(4096));
  expect(new EntryLimit([0, 0]).stated).toBe(false);
});
