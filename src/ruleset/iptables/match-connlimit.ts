// What does `-m connlimit` test? How many connections an address or a network has (libxt_connlimit).
import type { MatchExtension } from './matches.ts';
import { firstValue } from './options.ts';
import { invalid, parseNumber, readIpv4, type Value } from './values.ts';

const U32_MAX = 0xffff_ffff;

/** A prefix length, for IPv4 also as a netmask without holes. */
function readPrefix(value: Value, bits: number): number {
  const mask = bits === 32 && value.text.split('.').length === 4 ? readIpv4(value.text) : undefined;
  if (!mask) return parseNumber(value, bits, 'the prefix length');
  const ones = [...mask].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(ones) ? ones.replaceAll('0', '').length : invalid(value, 'a netmask with holes');
}

export const CONNLIMIT: MatchExtension = {
  options: [
    { names: ['connlimit-upto'], values: 1, invert: true },
    { names: ['connlimit-above'], values: 1, invert: true },
    { names: ['connlimit-mask'], values: 1 },
    { names: ['connlimit-saddr'], values: 0 },
    { names: ['connlimit-daddr'], values: 0 },
  ],
  build(use) {
    const limit = use.one('connlimit-upto', 'connlimit-above');
    const side = use.atMostOne('connlimit-saddr', 'connlimit-daddr');
    const mask = use.value('connlimit-mask');
    const bits = use.family === 2 ? 32 : 128;
    return {
      kind: 'connlimit',
      most: parseNumber(firstValue(limit), U32_MAX, 'the number of connections'),
      side: side?.name === 'connlimit-daddr' ? 'destination' : 'source',
      bits: mask ? readPrefix(mask, bits) : bits,
      // Inverted, "up to" is "above".
      invert: (limit.name === 'connlimit-upto') !== limit.invert,
    };
  },
};
