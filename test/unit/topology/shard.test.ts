// What does it take that packets of several flows meet in one lane, and when do several lanes give up?
import { expect, test } from 'vitest';
import { LaneLimits, LimitReached, planShards, type ShardPlan } from '../../../src/plan/shard.ts';

const tuple: ShardPlan = { key: 'tuple' };
const pair: ShardPlan = { key: 'pair', rule: 'raw/PREROUTING/1', reason: 'a helper' };
const limit: ShardPlan = { key: 'one-lane', rule: 'filter/INPUT/3', reason: 'limit' };

test('the firewall that needs the coarsest key decides', () => {
  expect(planShards([tuple, tuple])).toEqual(tuple);
  expect(planShards([tuple, pair])).toEqual(pair);
  expect(planShards([limit, pair])).toEqual(limit);
});

test('lanes stop before a batch in which the table of one of the firewalls could become full', () => {
  const limits = new LaneLimits([{ entries: 0 }, { entries: 100 }]);
  expect(limits.stated).toBe(true);
  const table = (entries: number) => ({ entries, expected: 0, beyond: 0 });
  expect(() => limits.check(0, table(1000), 50, 0)).not.toThrow();
  expect(() => limits.check(1, table(60), 39, 4096)).not.toThrow();
  expect(() => limits.check(1, table(60), 40, 4096)).toThrow(new LimitReached(4096));
  expect(new LaneLimits([{ entries: 0 }, { entries: 0 }]).stated).toBe(false);
});

test('and where expectations could have run out, or are of others', () => {
  const limits = new LaneLimits([{ entries: 0, expectations: 10 }]);
  expect(limits.stated).toBe(true);
  expect(() => limits.check(0, { entries: 1000, expected: 9, beyond: 0 }, 50, 0)).not.toThrow();
  expect(() => limits.check(0, { entries: 1000, expected: 10, beyond: 0 }, 50, 0)).toThrow(new LimitReached(0));
  expect(() => limits.check(0, { entries: 1000, expected: 1, beyond: 1 }, 50, 7)).toThrow(new LimitReached(7));
});
