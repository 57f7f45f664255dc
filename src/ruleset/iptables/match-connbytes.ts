// What does `-m connbytes` test? What a connection has carried so far, in packets, bytes or bytes per packet.
import { Carried, CarriedBy } from '../../../assembly/vocabulary.ts';
import type { MatchExtension } from './matches.ts';
import { own } from './names.ts';
import { firstValue } from './options.ts';
import { invalid, parseNumber64, type Value } from './values.ts';

const U64_MAX = 0xffff_ffff_ffff_ffffn;

const DIRECTIONS: Readonly<Record<string, CarriedBy>> = {
  original: CarriedBy.ORIGINAL,
  reply: CarriedBy.REPLY,
  both: CarriedBy.BOTH,
};
const MODES: Readonly<Record<string, Carried>> = {
  packets: Carried.PACKETS,
  bytes: Carried.BYTES,
  avgpkt: Carried.AVERAGE,
};

function bound(value: Value, text: string, absent: bigint): bigint {
  return text === '' ? absent : parseNumber64({ text, at: value.at }, 'the count');
}

export const CONNBYTES: MatchExtension = {
  options: [
    { names: ['connbytes'], values: 1, invert: true },
    { names: ['connbytes-dir'], values: 1 },
    { names: ['connbytes-mode'], values: 1 },
  ],
  build(use) {
    const given = use.one('connbytes');
    const value = firstValue(given);
    const direction = firstValue(use.one('connbytes-dir'));
    const mode = firstValue(use.one('connbytes-mode'));
    const [from = '', to = '', ...rest] = value.text.split(':');
    if (rest.length > 0 || value.text === '') invalid(value, 'not a count or a range of counts');
    const low = bound(value, from, 0n);
    const high = bound(value, to, U64_MAX);
    if (low > high) invalid(value, 'the range ends before it starts');
    return {
      kind: 'connbytes',
      carried: own(MODES, mode.text) ?? invalid(mode, 'neither packets, bytes nor avgpkt'),
      by: own(DIRECTIONS, direction.text) ?? invalid(direction, 'neither original, reply nor both'),
      low,
      high,
      // Inverted, the kernel is given the ends in reverse, which a single number does not show.
      invert: given.invert && low !== high,
    };
  },
};
