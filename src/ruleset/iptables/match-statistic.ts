// What does `-m statistic` test? Every n-th packet, or each with some probability.
import type { MatchExtension } from './matches.ts';
import { firstValue } from './options.ts';
import { invalid, parseNumber, type Value } from './values.ts';

const U32_MAX = 0xffffffff;
/** A probability of 1 in the kernel's 31 bits. */
const CERTAIN = 2 ** 31;

function parseProbability(value: Value): number {
  const known = /^\+?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$/.test(value.text);
  const probability = known ? Number(value.text) : Number.NaN;
  return probability <= 1 ? Math.round(probability * CERTAIN) : invalid(value, 'not a probability from 0 to 1');
}

export const STATISTIC: MatchExtension = {
  options: [
    { names: ['mode'], values: 1 },
    { names: ['probability'], values: 1, invert: true },
    { names: ['every'], values: 1, invert: true },
    { names: ['packet'], values: 1 },
  ],
  build(use) {
    const mode = firstValue(use.one('mode'));
    if (mode.text === 'random') {
      use.atMostOne('probability', 'every', 'packet');
      const given = use.one('probability');
      return {
        kind: 'chance',
        below: parseProbability(firstValue(given)),
        invert: given.invert,
      };
    }
    if (mode.text !== 'nth') invalid(mode, 'neither random nor nth');
    use.atMostOne('every', 'probability');
    const every = use.one('every');
    const period = parseNumber(firstValue(every), U32_MAX, '--every');
    if (period === 0) invalid(firstValue(every), '--every is not a number from 1');
    const packet = firstValue(use.one('packet'));
    const place = parseNumber(packet, U32_MAX, '--packet');
    if (place >= period) invalid(packet, '--packet is not below --every');
    return {
      kind: 'nth',
      last: period - 1,
      start: period - 1 - place,
      invert: every.invert,
    };
  },
};
