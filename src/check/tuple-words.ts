// Who talks to whom? Words about addresses, protocols and ports of a tuple, wherever it lies.

import { Proto } from '../../assembly/vocabulary.ts';
import { TUPLE } from '../engine/layout.ts';
import { wordAt } from '../report/conntrack-text.ts';
import { hasPorts } from '../report/describe.ts';
import { type AddressFilter, addressMatches } from '../report/filter.ts';
import { addressOf, familyOf, numberOf } from '../report/filter-values.ts';
import { protocolName } from '../report/names.ts';
import { oneOf, type Test, type Word, type Words } from './description.ts';
import { inRange, namesOf, readName, readRange } from './values.ts';

/** A tuple, or the same the other way round. */
export interface TuplePlace {
  bytes: Uint8Array;
  at: number;
  reversed: boolean;
  /** Whether there are ports, or what ICMP has in their place: not in fragments. */
  whole: boolean;
}

const PROTOCOLS = namesOf(0, 256, (protonum) => {
  const name = protocolName(protonum);
  return name.startsWith('proto-') ? undefined : name;
});

function protocolNumber(key: string, text: string): number {
  return /^\d+$/.test(text) ? numberOf(key, text, 255) : readName(key, text.toLowerCase(), PROTOCOLS);
}

function addressTest(end: number, filter: AddressFilter): Test<TuplePlace> {
  const other = end === TUPLE.src_lo ? TUPLE.dst_lo : TUPLE.src_lo;
  return ({ bytes, at, reversed }) =>
    bytes[at + TUPLE.l3num] === filter.l3num && addressMatches(bytes, at + (reversed ? other : end), filter);
}

const address = (end: number): Word<TuplePlace> => oneOf((text, key) => addressTest(end, addressOf(key, text)));

function port(end: number): Word<TuplePlace> {
  const other = end === TUPLE.sport ? TUPLE.dport : TUPLE.sport;
  return oneOf((text, key) => {
    const range = readRange(key, text, 0xffff);
    return ({ bytes, at, reversed, whole }) =>
      whole && hasPorts(bytes[at + TUPLE.protonum]!) && inRange(wordAt(bytes, at + (reversed ? other : end)), range);
  });
}

/** Words that tell a conversation from others. */
export const END_WORDS: Words<TuplePlace> = {
  family: oneOf((text, key) => {
    const l3num = familyOf(key, text);
    return ({ bytes, at }) => bytes[at + TUPLE.l3num] === l3num;
  }),
  proto: oneOf((text, key) => {
    const protonum = protocolNumber(key, text);
    return ({ bytes, at }) => bytes[at + TUPLE.protonum] === protonum;
  }),
  src: address(TUPLE.src_lo),
  dst: address(TUPLE.dst_lo),
  sport: port(TUPLE.sport),
  dport: port(TUPLE.dport),
};

/** Type, code and id of ICMP stand where others have ports (assembly/packet.ts). */
function icmp(protonum: Proto, offset: number, size: 1 | 2): Word<TuplePlace> {
  return oneOf((text, key) => {
    const range = readRange(key, text, size === 1 ? 0xff : 0xffff);
    return ({ bytes, at, whole }) =>
      whole &&
      bytes[at + TUPLE.protonum] === protonum &&
      inRange(size === 1 ? bytes[at + offset]! : wordAt(bytes, at + offset), range);
  });
}

export const ICMP_WORDS: Words<TuplePlace> = {
  'icmp-type': icmp(Proto.ICMP, TUPLE.dport, 1),
  'icmp-code': icmp(Proto.ICMP, TUPLE.dport + 1, 1),
  'icmp-id': icmp(Proto.ICMP, TUPLE.sport, 2),
  'icmpv6-type': icmp(Proto.ICMPV6, TUPLE.dport, 1),
  'icmpv6-code': icmp(Proto.ICMPV6, TUPLE.dport + 1, 1),
  'icmpv6-id': icmp(Proto.ICMPV6, TUPLE.sport, 2),
};

/** The words of tuples as words of what has a tuple. */
export function wordsAt<Item>(words: Words<TuplePlace>, tuple: (item: Item) => TuplePlace): Words<Item> {
  const made: Record<string, Word<Item>> = {};
  for (const [name, word] of Object.entries(words)) {
    made[name] = (value, key, scope) => {
      const test = word(value, key, scope);
      return (item) => test(tuple(item));
    };
  }
  return made;
}
