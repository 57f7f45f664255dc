// What do lists of -m recent hold? The plain reading of net/netfilter/xt_recent.c that the engine is checked against.

import type { RecentTest } from '../../src/ruleset/ast.ts';
import type { RecentList } from '../../src/ruleset/expression.ts';

const ADDRESSES = 100;
const HZ = 250;

interface Entry {
  ttl: number;
  /** In jiffies; a ring. */
  stamps: number[];
  next: number;
}

/** Lists by name; entries in the order of their last use. */
export class RecentLists {
  private readonly lists = new Map<string, Map<string, Entry>>();

  /** Whether the rule matches. `address` as it is in the packet, `ttl` as it arrived, time in jiffies. */
  ask(list: RecentList, test: RecentTest, address: Uint8Array, ttl: number, now: number): boolean {
    const entries = this.lists.get(list.name) ?? new Map<string, Entry>();
    this.lists.set(list.name, entries);
    const key = address.map((byte, index) => byte & (list.mask[index] ?? 255)).join('.');
    const known = entries.get(key);
    const entry = known && test.ttl && ttl !== known.ttl && ttl !== 0 && known.ttl !== 0 ? undefined : known;
    const use = (each: Entry): void => {
      each.stamps[each.next] = now;
      each.next = (each.next + 1) % list.stamps;
      each.ttl = ttl;
      entries.delete(key);
      entries.set(key, each);
    };
    if (test.does === 'set') {
      if (!entry && entries.size === ADDRESSES) entries.delete([...entries.keys()][0]!);
      use(entry ?? { ttl, stamps: [], next: 0 });
      return !test.invert;
    }
    if (!entry) return test.invert;
    if (test.does === 'remove') {
      entries.delete(key);
      return !test.invert;
    }
    const since = now - test.seconds * HZ;
    const fresh = entry.stamps.filter((stamp) => test.seconds === 0 || stamp >= since).length;
    const matches = fresh >= Math.max(1, test.hits) !== test.invert;
    const updates = test.does === 'update' && matches;
    if (test.reap) {
      const [oldest, { stamps, next }] = [...entries][0]!;
      const last = stamps[(next + list.stamps - 1) % list.stamps]!;
      if (!(oldest === key && updates) && last < since) entries.delete(oldest);
    }
    if (updates) use(entry);
    return matches;
  }
}
