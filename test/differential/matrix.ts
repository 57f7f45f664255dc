// Do the kernel and ctreplay agree about each capture under each of the settings that matter most? One line per run.

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { framesOf, type Skipped, type Traffic } from './frames.ts';
import { busiestAddresses, framesAround } from './host.ts';
import { compareTraffic } from './judge.ts';
import type { Question } from './kernel.ts';
import { type Outside, ROUTER, seenThrough } from './nat-view.ts';
import { namesInterfaces } from './ours.ts';
import { type CapturedFrame, readCapture } from './read-capture.ts';
import { ruleset } from './sequences.ts';

/** `isHost`: the router has addresses of its own, chosen from the capture. */
type Setting = Pick<Question, 'rules4' | 'rules6' | 'masquerades'> & {
  sysctls: Record<string, string>;
  isHost?: true;
  /** Who outside hosts take flows from inside to come from. */
  outside?: Outside;
};

const rules = (name: string): Pick<Question, 'rules4' | 'rules6'> => ({
  rules4: [ruleset(`${name}.iptables-save`)],
  rules6: [ruleset(`${name}.ip6tables-save`)],
});
const tracked = (sysctl: string): Setting => ({
  ...rules('conntrack'),
  sysctls: { [`net.netfilter.nf_conntrack_${sysctl}`]: sysctl === 'tcp_loose' ? '0' : '1' },
});

export const SETTINGS: Record<string, Setting> = {
  'a conntrack rule': { ...rules('conntrack'), sysctls: {} },
  'a gateway': { ...rules('gateway'), sysctls: {} },
  'a host': { ...rules('host'), sysctls: {}, isHost: true },
  'tcp_loose=0': tracked('tcp_loose'),
  'tcp_be_liberal=1': tracked('tcp_be_liberal'),
  'a masquerading gateway': { ...rules('masquerade'), sysctls: {}, outside: ROUTER, masquerades: true },
  'published servers': { ...rules('port-forward'), sysctls: {} },
};

/** What was left out or could not be sent as captured, by reason, as the end of a line; empty if nothing. */
export function leftOut({ skipped, changed = [] }: Pick<Traffic, 'skipped' | 'changed'>): string {
  const byReason = (list: Skipped[]): string => {
    const counts = new Map<string, number>();
    for (const { why } of list) counts.set(why, (counts.get(why) ?? 0) + 1);
    return [...counts].map(([why, count]) => `${count} ${why}`).join(', ');
  };
  const left = skipped.length ? `; left out: ${byReason(skipped)}` : '';
  return changed.length ? `${left}; changed by the raw socket: ${byReason(changed)}` : left;
}

/** What the comparison excused, as the end of a line; empty if nothing. */
export function chanceNote(excused: Record<string, number>): string {
  const met = Object.entries(excused).filter(([, count]) => count > 0);
  return met.length ? `; the kernel's chance: ${met.map(([why, count]) => `${count} ${why}`).join(', ')}` : '';
}

/** The question of one capture under one setting. */
export function questionOf(capture: CapturedFrame[], setting: Setting): Question & Traffic {
  const { isHost, outside, ...rest } = setting;
  const interfaces = ['lan', 'wan'] as const;
  if (isHost) {
    const locals = busiestAddresses(capture);
    return { ...framesAround(capture, locals), ...rest, interfaces, locals };
  }
  const looksAtInterfaces = [...setting.rules4, ...setting.rules6].some(namesInterfaces);
  const traffic = framesOf(capture, !looksAtInterfaces);
  const frames = outside ? seenThrough(traffic.frames, traffic.sides, outside) : traffic.frames;
  return { ...traffic, frames, ...rest, interfaces };
}

/** Runs every capture, folders taken as the files in them; returns the number of runs that differ. */
export async function runMatrix(
  places: string[],
  options: { workers: number; limit: number; print: (text: string) => void },
): Promise<number> {
  const { print } = options;
  const files = places.flatMap((place) =>
    statSync(place).isDirectory()
      ? readdirSync(place)
          .filter((name) => /\.(pcap|pcapng|snoop|cap)(\.gz)?$/.test(name))
          .sort()
          .map((name) => join(place, name))
      : [place],
  );
  const total = { runs: 0, packets: 0, sent: 0, events: 0, differing: 0, unread: 0 };
  for (const file of files) {
    let capture: CapturedFrame[];
    try {
      capture = readCapture(file);
    } catch (error) {
      print((error as Error).message);
      total.unread++;
      continue;
    }
    for (const [name, setting] of Object.entries(SETTINGS)) {
      const asked = questionOf(capture, setting);
      const left = leftOut(asked);
      if (asked.frames.length === 0) {
        print(`${file} with ${name}: nothing that a router can be given${left}`);
        continue;
      }
      const { comparison } = await compareTraffic(asked, options);
      const { packets, events, sent, differences, excused } = comparison;
      const notes = `${left}${chanceNote(excused)}`;
      print(
        `${file} with ${name}: ${packets} packets, ${sent} sent, ${events} events, ${differences.length} differences${notes}`,
      );
      total.runs++;
      total.packets += packets;
      total.sent += sent;
      total.events += events;
      total.differing += differences.length > 0 ? 1 : 0;
    }
  }
  print(
    `${files.length} captures (${total.unread} not readable), ${total.runs} runs: ${total.packets} packets, ` +
      `${total.sent} sent, ${total.events} events, ${total.differing} runs differ`,
  );
  return total.differing;
}
