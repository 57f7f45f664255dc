// Did every entry expire at the same moment on both sides? The kernel's word is the stop stamp of nf_conntrack_timestamp: the
// moment when the time was up, whenever the collector came by.

import type { KernelAnswers } from './answers.ts';
import type { Difference } from './compare.ts';
import type { KernelRecord } from './kernel.ts';

/** The difference of the kernel's clocks is known to less than this, ns. */
const CLOCK_ERROR = 10_000n;

/** An entry that ended because its time was up. */
interface Expiry {
  /** The event without its time stamp. */
  line: string;
  /** ns since 1970, in the time that both sides are told. */
  at: bigint;
}

/** Entries that expired, with the kernel's stop stamps in whole jiffies as moments, in the order of those. */
export function kernelExpiries(answers: KernelAnswers, record: KernelRecord): Expiry[] {
  const start = answers.packets[0]?.ts ?? 0n;
  const origin = record.wall + (record.sent[0]?.before ?? 0n);
  const tick = BigInt(record.tick);
  const found = answers.events.flatMap(({ expired, line }, index): Expiry[] => {
    const { stop } = record.events[index]!.entry;
    if (!expired) return [];
    if (stop === undefined) throw new Error(`an expired entry without a stop stamp: ${line}`);
    const at = start + ((stop - origin + CLOCK_ERROR) / tick) * tick;
    // A helper that gives so many seconds that jiffies run over ends an entry at a moment before the first packet.
    return at < start ? [] : [{ line, at }];
  });
  return found.sort((one, other) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0));
}

/** Entries that expired, from `--events` lines. */
export function ourExpiries(events: string[]): Expiry[] {
  return events.flatMap((text): Expiry[] => {
    const match = /^\[\s*(\d+)\.(\d{6})\d*\s*\]\s?(.*)$/.exec(text);
    const line = match?.[3];
    if (!match || !line || !/^\s*\[DESTROY\]\s+\S+\s+\d+ (?!\d+ )/.test(line)) return [];
    return [{ line, at: (BigInt(match[1]!) * 1_000_000n + BigInt(match[2]!)) * 1000n }];
  });
}

export interface Moments {
  /** Expiries that both sides put at the same moment. */
  same: number;
  differences: Difference[];
}

/**
 * Compares moments of the same entries. Those that only one side has are told by compare.ts.
 *
 * @param tolerance how far apart the same moments may be, ns
 * @param plain what of a line tells entries apart: not the port that chance chose
 */
export function compareMoments(
  kernel: Expiry[],
  ours: Expiry[],
  tolerance = 0n,
  plain: (line: string) => string = (line) => line,
): Moments {
  const left = new Map<string, bigint[]>();
  for (const { line, at } of ours) left.set(plain(line), [...(left.get(plain(line)) ?? []), at]);
  const result: Moments = { same: 0, differences: [] };
  // A tuple can live and expire several times: both lists are in the order of time.
  for (const { line, at } of kernel) {
    const own = left.get(plain(line))?.shift();
    if (own === undefined) continue;
    const apart = own < at ? at - own : own - at;
    if (apart <= tolerance) result.same++;
    else {
      const text = (moment: bigint): string => `${line.trim()} at ${Number(moment) / 1e9}`;
      result.differences.push({ n: 0, what: 'moment of expiry', kernel: text(at), ours: text(own) });
    }
  }
  return result;
}
