// Which zones do the conversations with helpers take place in? What comes by each interface, or of each client, has one: for
// both directions or for one alone, the same as the answers' or another.

import type { Random } from '../model/random.ts';
import { CLIENTS } from './helper-nat.ts';

type Family = 4 | 6;

const WAYS = [
  '',
  '--zone 1',
  '--zone 2',
  '--zone-orig 1',
  '--zone-orig 2',
  '--zone-reply 1',
  '--zone-reply 2',
] as const;

/** What packets have in common that are in a zone, and the zone's option; the first that is met holds. */
type Zones = readonly { of: Record<Family, string>; way: string }[];

const both = (match: string): Record<Family, string> => ({ 4: match, 6: match });

/** Some zone at any rate. Most often answers find their flows. */
export function drawZones(random: Random): Zones {
  const [first, second] = [random.pick(WAYS.slice(1)), random.pick(WAYS)];
  const other = first.startsWith('--zone ') ? first : '';
  const back = random.weighted({ [other]: 6, [second]: 2 });
  const client = { 4: `-s ${CLIENTS[4][0]}`, 6: `-s ${CLIENTS[6][0]}` };
  const customers = random.chance(0.3) ? [{ of: client, way: random.pick(WAYS) }] : [];
  return [...customers, { of: both('-i lan'), way: first }, { of: both('-i wan'), way: back }];
}

/** Rules that give helpers, in zones; and zones for all else, since the first CT rule that a packet meets decides. */
export function zoned(text: string, family: Family, zones: Zones): string {
  const rule = (match: string, words: string): string => `-A PREROUTING${match} -j CT ${words}`;
  return text.replace(/((?:^-A PREROUTING .*-j CT --helper .*\n)+)/m, (rules: string) => {
    const given = rules
      .trimEnd()
      .split('\n')
      .flatMap((line) => zones.map(({ of, way }) => `${line} ${way}`.replace(' -p ', ` ${of[family]} -p `).trimEnd()));
    const others = zones.flatMap(({ of, way }) => (way ? [rule(` ${of[family]}`, way)] : []));
    return `${[...given, ...others].join('\n')}\n`;
  });
}
