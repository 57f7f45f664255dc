// What does `-m set` test? Whether what a packet shows is in an IP set (libxt_set, iptables 1.8.9).
import type { ElementSet } from '../ipset/ipset.ts';
import type { MatchExtension } from './matches.ts';
import type { Use } from './options.ts';
import { invalid, type Value } from './values.ts';

/** IPSET_DIM_MAX */
const PARTS_MAX = 3;

/** The sets that are asked in turn: what a list holds, without those that have more parts than the rule has flags. */
function members({ names: { sets }, family }: Use, name: Value, parts: number): ElementSet[] {
  if (!sets) return invalid(name, "what is in the set is not known (the host's ipset file would say it)");
  const set = sets.get(name.text);
  if (!set) return invalid(name, 'there is no such set');
  if (set.kind === 'elements' && set.family !== undefined && set.family !== family) {
    return invalid(name, 'the set is of the other family');
  }
  const asked = set.kind === 'list' ? set.members.map((member) => sets.get(member.name)!) : [set];
  return asked.filter((each): each is ElementSet => each.kind === 'elements' && each.parts.length <= parts);
}

/** A bit for each of `src` in a list of `src` and `dst`, the first the lowest. */
function sourceBits(flags: Value): { parts: number; sources: number } {
  const names = flags.text.split(',');
  if (names.length > PARTS_MAX) invalid(flags, `more than ${PARTS_MAX} of 'src' and 'dst'`);
  let sources = 0;
  for (const [index, name] of names.entries()) {
    if (name !== 'src' && name !== 'dst') invalid(flags, "neither 'src' nor 'dst'");
    if (name === 'src') sources |= 1 << index;
  }
  return { parts: names.length, sources };
}

export const SET: MatchExtension = {
  options: [
    { names: ['match-set'], values: 2, invert: true },
    { names: ['return-nomatch'], values: 0 },
    // What is counted in sets is shown nowhere.
    { names: ['update-counters'], values: 0, invert: true },
    { names: ['update-subcounters'], values: 0, invert: true },
    { names: ['packets-eq'], values: 1, invert: true, unsupported: true },
    { names: ['packets-lt'], values: 1, unsupported: true },
    { names: ['packets-gt'], values: 1, unsupported: true },
    { names: ['bytes-eq'], values: 1, invert: true, unsupported: true },
    { names: ['bytes-lt'], values: 1, unsupported: true },
    { names: ['bytes-gt'], values: 1, unsupported: true },
  ],
  build(use) {
    const given = use.one('match-set');
    const [name, flags] = given.values;
    if (!name || !flags) throw new Error('--match-set has two values');
    const { parts, sources } = sourceBits(flags);
    return {
      kind: 'set',
      sets: members(use, name, parts),
      sources,
      nomatch: use.has('return-nomatch'),
      invert: given.invert,
    };
  },
};
