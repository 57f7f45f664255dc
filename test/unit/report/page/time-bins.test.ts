// Is everything counted in the bin of its time, whatever the span, in no more bins than asked for?

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TimeBins } from '../../../../src/report/page/time-bins.ts';

const NOON = Date.UTC(2026, 10, 21, 12) * 1000;
const SECOND = 1e6;

function binsOf(times: readonly number[]) {
  const bins = new TimeBins(2);
  times.forEach((time, i) => {
    bins.add(time, i % 2);
    bins.level(time, i);
  });
  return bins.series(120)!;
}

describe('bins of time', () => {
  test('hold each count and each level where a division puts it', () => {
    const gaps = fc.array(fc.double({ min: 0, max: 14, noNaN: true }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(gaps, (exponents) => {
        let now = NOON;
        const times = exponents.map((exponent) => {
          now += Math.floor(10 ** exponent);
          return now;
        });
        const { start, width, counts, levels } = binsOf(times);
        expect(levels.length).toBeLessThanOrEqual(120);
        expect(start % width).toBe(0);
        const expected = [0, 1].map(() => new Array(levels.length).fill(0));
        const greatest: (number | undefined)[] = new Array(levels.length).fill(undefined);
        times.forEach((time, i) => {
          const bin = Math.floor((time - start) / width);
          expected[i % 2]![bin]++;
          greatest[bin] = i;
        });
        expect(counts.map((column) => [...column])).toEqual(expected);
        expect(levels).toEqual(greatest);
      }),
    );
  });

  test.each([
    [30 * SECOND, 0.5 * SECOND],
    [100 * SECOND, SECOND],
    [60 * 60 * SECOND, 60 * SECOND],
    [86_400 * SECOND, 20 * 60 * SECOND],
    [40 * 86_400 * SECOND, 12 * 3600 * SECOND],
  ])('a span of %d µs has bins of %d µs', (span, width) => {
    expect(binsOf([NOON, NOON + span]).width).toBe(width);
  });

  test('what happened before the first packet counts with it; nothing has no bins', () => {
    expect(binsOf([NOON, NOON - 5 * SECOND]).counts.map((column) => [...column])).toEqual([[1], [1]]);
    expect(new TimeBins(1).series(120)).toBeUndefined();
  });

  test('all the time that a capture can state', () => {
    const last = Number((1n << 64n) / 1000n);
    const { counts, levels } = binsOf([0, NOON, last, last]);
    expect(levels.length).toBeLessThanOrEqual(120);
    expect(counts.map((column) => column.reduce((sum, count) => sum + count, 0))).toEqual([2, 2]);
  });
});
