// What does `-m recent` do? It keeps lists of addresses, and asks when and how often they were seen (libxt_recent).
import type { RecentTest } from '../ast.ts';
import type { Family } from '../source.ts';
import { refuse } from '../source.ts';
import type { MatchExtension } from './matches.ts';
import { firstValue, type Use } from './options.ts';
import { invalid, parseNumber, readIpv4, readIpv6, type Value } from './values.ts';

/** XT_RECENT_NAME_LEN, less the end. */
const NAME_MAX = 199;
/** XT_RECENT_MAX_NSTAMPS - 1 */
const HITS_MAX = 65_535;
const U32_MAX = 0xffff_ffff;

/** A name that can be a file of /proc (xt_check_proc_name()). */
export function procName(value: Value, longest: number): string {
  const { text } = value;
  if (text === '' || text === '.' || text === '..' || text.includes('/')) invalid(value, 'not a name the kernel takes');
  return text.length > longest ? invalid(value, `the name is longer than ${longest} characters`) : text;
}

function readMask(value: Value, family: Family): Uint8Array {
  // The C library also reads short and octal forms of IPv4 addresses, which iptables-save never prints.
  const plain = family === 10 || /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(value.text);
  const mask = family === 2 ? readIpv4(value.text) : readIpv6(value.text);
  return plain && mask ? mask : invalid(value, 'not a netmask');
}

function build(use: Use): { kind: 'recent'; test: RecentTest } {
  const does = use.one('set', 'rcheck', 'update', 'remove');
  const asks = does.name === 'rcheck' || does.name === 'update';
  const [name, mask, seconds, hits] = ['name', 'mask', 'seconds', 'hitcount'].map((option) => use.get(option));
  const test: RecentTest = {
    list: name ? procName(firstValue(name), NAME_MAX) : 'DEFAULT',
    does: does.name as RecentTest['does'],
    // The last one holds.
    side:
      [...use.given.keys()].filter((each) => each === 'rsource' || each === 'rdest').at(-1) === 'rdest'
        ? 'destination'
        : 'source',
    mask: mask ? readMask(firstValue(mask), use.family) : new Uint8Array(use.family === 2 ? 4 : 16).fill(255),
    seconds: seconds ? parseNumber(firstValue(seconds), U32_MAX, 'the time') : 0,
    hits: hits ? parseNumber(firstValue(hits), HITS_MAX, 'the number of hits') : 0,
    ttl: use.has('rttl'),
    reap: use.has('reap'),
    invert: does.invert,
  };
  if (seconds && test.seconds === 0) invalid(firstValue(seconds), 'the time is not at least a second');
  if (test.reap && !seconds) refuse('RULESET_INVALID', '--reap needs --seconds', use.get('reap')!.at);
  if (!asks) {
    const other = ['seconds', 'hitcount', 'rttl', 'reap'].find(
      (each) => use.has(each) && (each !== 'hitcount' || test.hits > 0),
    );
    if (other) refuse('RULESET_INVALID', `--${other} needs --rcheck or --update`, use.get(other)!.at);
  }
  return { kind: 'recent', test };
}

export const RECENT: MatchExtension = {
  options: [
    ...['set', 'rcheck', 'update', 'remove'].map((name) => ({
      names: [name],
      values: 0 as const,
      invert: true,
    })),
    ...['reap', 'rttl', 'rsource', 'rdest'].map((name) => ({
      names: [name],
      values: 0 as const,
    })),
    ...['seconds', 'hitcount', 'name', 'mask'].map((name) => ({
      names: [name],
      values: 1 as const,
    })),
  ],
  build,
};
