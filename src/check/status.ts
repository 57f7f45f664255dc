// Which bits of an entry's status are meant? `BIT,BIT`: all of them, as --status; UNREPLIED is not SEEN_REPLY.

import { Status } from '../../assembly/vocabulary.ts';
import { statusNames } from '../report/names.ts';
import { namesOf, readName } from './values.ts';

/** The bits that --packets names, by what it calls them. */
const BITS = new Map([...namesOf(0, 32, (bit) => statusNames(1 << bit)[0])].map(([name, bit]) => [name, 1 << bit]));
const NAMES = new Map([...BITS, ['UNREPLIED', Status.SEEN_REPLY]]);

/** @throws UsageError */
export function readStatus(what: string, text: string): { set: number; clear: number } {
  const status = { set: 0, clear: 0 };
  for (const name of text.split(',')) {
    const bit = readName(what, name.trim(), NAMES);
    if (name.trim() === 'UNREPLIED') status.clear |= bit;
    else status.set |= bit;
  }
  return status;
}
