// Do the kernel and ctreplay agree about generated traffic? Runs seeds group by group, a few groups at a time, and
// shrinks what differs to the smallest list of packets that still does.

import type { Difference } from './compare.ts';
import { placed } from './frames.ts';
import { type Generated, groupOf, interleaved, networkOf, packetsOf, settingsOf } from './generate.ts';
import { placedAround } from './host.ts';
import { compareTraffic } from './judge.ts';
import type { Question } from './kernel.ts';
import { OUTSIDE, seenThrough } from './nat-view.ts';
import { flowKey } from './packet.ts';

export interface SeedOptions {
  first: number;
  last: number;
  /** Packets per seed. */
  packets: number;
  /** Groups that are under way at a time. */
  jobs: number;
  workers: number;
  /** Groups that differ are shrunk until so many have been told; then they are only counted. */
  limit: number;
  print: (text: string) => void;
}

export interface SeedResult {
  seeds: number;
  packets: number;
  /** Packets that left and whose bytes were compared. */
  sent: number;
  events: number;
  /** Seeds that differ, in order; a difference that no seed can be named for counts for the first of its group. */
  failing: number[];
  excused: Record<string, number>;
}

const RERUNS = 4;
/** Comparisons that shrinking may take. */
const SHRINK_BUDGET = 120;

/** Runs the seeds `first` to `last`. Throws when the kernel cannot be asked. */
export async function runSeeds(options: SeedOptions): Promise<SeedResult> {
  const groups: number[][] = [];
  for (let seed = options.first; seed <= options.last; seed++) {
    const last = groups.at(-1);
    if (last && groupOf(last[0]!) === groupOf(seed)) last.push(seed);
    else groups.push([seed]);
  }
  const result: SeedResult = { seeds: 0, packets: 0, sent: 0, events: 0, failing: [], excused: {} };
  let told = 0;
  const lane = async (): Promise<void> => {
    for (let seeds = groups.shift(); seeds; seeds = groups.shift()) {
      const differing = await runGroup(seeds, options, result);
      for (const [seed, difference] of differing) {
        result.failing.push(seed);
        if (told++ < options.limit) await tell(seed, difference, options);
      }
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, lane));
  result.failing.sort((a, b) => a - b);
  return result;
}

function question(packets: Generated[]): Question {
  const { translates, ...settings } = settingsOf(groupOf(packets[0]!.seed)).settings;
  const plain = packets.map(({ packet }, index) => ({ origin: index + 1, packet, wait: 0 }));
  const traffic = settings.locals ? placedAround(plain, settings.locals) : placed(plain);
  const frames = translates ? seenThrough(traffic.frames, traffic.sides, OUTSIDE) : traffic.frames;
  return { ...traffic, frames, ...settings, interfaces: ['lan', 'wan'] };
}

/** The first difference of each seed of the group that has one. */
async function runGroup(seeds: number[], options: SeedOptions, result: SeedResult): Promise<Map<number, Difference>> {
  const packets = interleaved(seeds, options.packets);
  const quiet = { workers: options.workers, limit: 0, print: () => {} };
  const asked = question(packets);
  const { translates } = settingsOf(groupOf(seeds[0]!)).settings;
  let { comparison } = await compareTraffic(asked, quiet);
  let { differences } = comparison;
  const mayBeChance = (): boolean => (translates ? differences.length > 0 : isSecondsOnly(differences));
  for (let again = 1; again <= RERUNS && mayBeChance(); again++) {
    ({ comparison } = await compareTraffic(asked, { ...quiet, chance: again }));
    differences = translates ? stayed(differences, comparison.differences) : comparison.differences;
    result.excused.rerun = (result.excused.rerun ?? 0) + 1;
  }
  const found = new Map<number, Difference>();
  for (const difference of differences) {
    const seed = packets[originOf(asked, difference) - 1]?.seed ?? seedByAddress(seeds, difference) ?? seeds[0]!;
    if (!found.has(seed)) found.set(seed, difference);
  }
  result.seeds += seeds.length;
  result.packets += comparison.packets;
  result.sent += comparison.sent;
  result.events += comparison.events;
  for (const [why, times] of Object.entries(comparison.excused)) {
    result.excused[why] = (result.excused[why] ?? 0) + times;
  }
  return found;
}

/** Place of a difference in the list of packets, from 1; 0 if it belongs to none. */
function originOf({ frames }: Question, { n }: Difference): number {
  return frames[n - 1]?.origin ?? 0;
}

/**
 * Differences that are there again when the same packets meet other chance. Of a few hundred ports that come into question one
 * may be taken for one side alone, and all that follows for its flows differs; but not the next time.
 */
function stayed(before: Difference[], now: Difference[]): Difference[] {
  const place = ({ what, n, kernel }: Difference): string => `${what} ${n || kernel}`;
  const again = new Set(now.map(place));
  return before.filter((difference) => again.has(place(difference)));
}

/**
 * True if there are differences and each is one second in an event. On a busy virtual machine a tick may be
 * counted late, and the comparison does not always see that. A difference that stays
 * when the same packets are sent again is none of those.
 */
function isSecondsOnly(differences: Difference[]): boolean {
  const seconds = (line: string): number => Number(/^\s*\[\w+\]\s+\S+\s+\d+ (\d+) /.exec(line)?.[1] ?? Number.NaN);
  const rest = (line: string): string => line.replace(/^(\s*\[\w+\]\s+\S+\s+\d+) \d+ /, '$1 ');
  return (
    differences.length > 0 &&
    differences.every(
      ({ what, kernel, ours }) =>
        what === 'event' && rest(kernel) === rest(ours) && Math.abs(seconds(kernel) - seconds(ours)) === 1,
    )
  );
}

function seedByAddress(seeds: number[], { kernel, ours }: Difference): number | undefined {
  const text = `${kernel} ${ours}`;
  return seeds.find((seed) => {
    const network = networkOf(seed);
    return text.includes(`=10.0.${network}.`) || text.includes(`=2001:db8:0:${network.toString(16)}::`);
  });
}

/** Shrinks a seed's difference and prints its story and its packets. */
async function tell(seed: number, difference: Difference, options: SeedOptions): Promise<void> {
  const { print, workers } = options;
  const quiet = { workers: 1, limit: 0, print: () => {} };
  /** The first packet that differs in the same way, 0 if the difference belongs to none, undefined without any. */
  const place = async (packets: Generated[]): Promise<number | undefined> => {
    const asked = question(packets);
    const { comparison } = await compareTraffic(asked, quiet);
    const same = comparison.differences.find(({ what }) => what === difference.what);
    return same && originOf(asked, same);
  };
  const differs = async (packets: Generated[]): Promise<boolean> => (await place(packets)) !== undefined;
  const all = packetsOf(seed, options.packets);
  print(`\nseed ${seed} differs: ${difference.what}: kernel ${difference.kernel}, ours ${difference.ours}`);
  const at = await place(all);
  if (at === undefined) {
    print(`  not when seed ${seed} runs alone: run its group, ${groupOf(seed) * 10 + 1}-${groupOf(seed) * 10 + 10}`);
    return;
  }
  // What comes after it and what belongs to other flows rarely matters: two tries that save many.
  let start = at > 0 ? all.slice(0, at) : all;
  const key = at > 0 ? flowKey(all[at - 1]!.packet) : '';
  const flow = start.filter(({ packet }) => flowKey(packet) === key);
  if (key && (await differs(flow))) start = flow;
  const least = await shrink(start, differs, SHRINK_BUDGET);
  print(`${least.length} of ${all.length} packets are left of it:`);
  const { settings } = settingsOf(groupOf(seed));
  await compareTraffic(question(least), { workers, limit: 2, print });
  for (const { packet } of least) print(`  ${packet.toString('hex')}`);
  for (const text of [...settings.rules4, ...settings.rules6, settings.nft ?? '']) print(text);
  print(JSON.stringify(settings.sysctls));
}

/**
 * The smallest part of a list for which `holds` still does, as far as `budget` tries go: halves, quarters, ... are left
 * out in turn (delta debugging, Zeller and Hildebrandt 2002).
 */
export async function shrink<T>(
  list: readonly T[],
  holds: (part: T[]) => Promise<boolean>,
  budget: number,
): Promise<T[]> {
  let left = [...list];
  let size = Math.ceil(left.length / 2);
  let tries = 0;
  while (left.length > 1 && tries < budget) {
    let smaller = false;
    for (let end = left.length; end > 0 && tries < budget; end -= size) {
      const start = Math.max(0, end - size);
      const without = [...left.slice(0, start), ...left.slice(end)];
      tries++;
      if (without.length > 0 && (await holds(without))) {
        left = without;
        smaller = true;
      }
    }
    if (size === 1 && !smaller) break;
    size = Math.max(1, Math.ceil(size / 2));
  }
  return left;
}
