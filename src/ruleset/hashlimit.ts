// What are the numbers of a table of -m hashlimit? Computed as net/netfilter/xt_hashlimit.c does, in 64 or 32 bits.
import { HashlimitFlag } from '../../assembly/vocabulary.ts';
import type { HashlimitTest } from './ast.ts';
import { HZ } from './jiffies.ts';

const U32_MAX = 0xffff_ffffn;
/** XT_HASHLIMIT_SCALE_v2 */
const SCALE = 1_000_000n;
/** CREDITS_PER_JIFFY: the greatest power of two of which a day has less than 2^64, and the same of a second and 2^32. */
const CREDITS_PER_SECOND = BigInt(HZ) << 39n;
const BYTE_CREDITS_PER_SECOND = BigInt(HZ) << 24n;
/** XT_HASHLIMIT_BYTE_SHIFT */
const BYTE_SHIFT = 4n;
/** HASHLIMIT_MAX_SIZE */
const ENTRIES_MAX = 1_048_576;
/** Buckets of a table on a machine with more than 1 GiB. */
const BUCKETS = 8192;

export interface HashlimitNumbers {
  cost: bigint;
  cap: bigint;
  /** Credits of a new bucket. */
  credit: bigint;
}

/** undefined where hashlimit_mt_check_common() refuses. */
export function hashlimitNumbers({ flags, average, burst }: HashlimitTest): HashlimitNumbers | undefined {
  if (flags & HashlimitFlag.RATE) {
    if (average === 0n || average > U32_MAX) return undefined;
    if (!(flags & HashlimitFlag.BYTES)) {
      const rate = SCALE / average;
      return { cost: rate, cap: burst + rate, credit: 0n };
    }
    const rate = (U32_MAX / average - 1n) << BYTE_SHIFT;
    return { cost: rate, cap: burst === 0n ? rate : burst * rate, credit: 0n };
  }
  if (flags & HashlimitFlag.BYTES) {
    const cost = (average * BYTE_CREDITS_PER_SECOND) >> 32n;
    return cost === 0n ? undefined : { cost, cap: burst, credit: BYTE_CREDITS_PER_SECOND };
  }
  const credits = (user: bigint): bigint => BigInt.asUintN(64, user * (CREDITS_PER_SECOND / SCALE));
  const cost = credits(average);
  const cap = credits(average * burst);
  return cap < cost ? undefined : { cost, cap, credit: cap };
}

/** Entries that the table holds at most. */
export function hashlimitEntries({ buckets, most }: HashlimitTest): number {
  const size = Math.min(buckets, ENTRIES_MAX) || BUCKETS;
  return most === 0 ? 8 * size : Math.max(size, Math.min(most, ENTRIES_MAX));
}
