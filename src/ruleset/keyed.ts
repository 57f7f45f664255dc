// What do rules remember by address, and where in World.keyed does it lie?
import { HashlimitFlag, RecentFlag } from '../../assembly/vocabulary.ts';
import {
  CONNLIMIT_LIST,
  CONNLIMIT_MAX,
  CONNLIMIT_NODE,
  CONNLIMIT_TABLE,
  HASHLIMIT_BUCKET,
  HASHLIMIT_TABLE,
  KEYED_TABLE,
  RECENT_ADDRESS,
  RECENT_LIST,
} from '../engine/layout.ts';
import type { HashlimitTest, RecentTest, Rule, Ruleset } from './ast.ts';
import type { ConnlimitTable, HashlimitTable, Program, RecentList } from './expression.ts';
import { hashlimitEntries, hashlimitNumbers } from './hashlimit.ts';
import { HZ, jiffiesOf } from './jiffies.ts';
import { refuse } from './source.ts';

/** Addresses on a list of -m recent (ip_list_tot of xt_recent). */
export const RECENT_ADDRESSES = 100;
/** Stamps of an address where no rule asks for more. */
const RECENT_STAMPS = 32;
const RECENT_BUCKETS = 128;
const CONNLIMIT_BUCKETS = CONNLIMIT_MAX / 2;
const CONNLIMIT_BYTES =
  CONNLIMIT_TABLE.size + CONNLIMIT_BUCKETS * 4 + CONNLIMIT_MAX * (CONNLIMIT_LIST.size + CONNLIMIT_NODE.size);
const MASK_BYTES = 16;
/** Tables begin at cache lines. */
const ALIGNMENT = 64;

/** Lays out what the rules remember. Rules behind an unconditional verdict count: the kernel makes their lists, too. */
export function layOutKeyed(ruleset: Ruleset): Pick<Program, 'keyedBytes' | 'recents' | 'hashlimits' | 'connlimits'> {
  let keyedBytes = 0;
  const place = (bytes: number): number => {
    const at = keyedBytes;
    keyedBytes += Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    return at;
  };
  const recents = recentLists(ruleset).map((list) => ({
    ...list,
    at: place(recentBytes(list)),
  }));
  const hashlimits = hashlimitTables(ruleset).map((table) => ({ ...table, at: place(hashlimitBytes(table.test)) }));
  const connlimits = connlimitTable(ruleset, place);
  return { keyedBytes, recents, hashlimits, connlimits };
}

/** One table for all rules: each has lists of its own, by the place of its mask. */
function connlimitTable(ruleset: Ruleset, place: (bytes: number) => number): ConnlimitTable | undefined {
  const masks: ConnlimitTable['masks'] = [];
  let first: number | undefined;
  for (const { rule, table } of ruleset.entries) {
    for (const match of rule?.matches ?? []) {
      if (!rule || match.kind !== 'connlimit') continue;
      first ??= rule.index;
      masks.push({ at: place(MASK_BYTES), bits: match.bits, rule: rule.index, match });
      if (table.name === 'raw' && ruleset.entries.some((entry) => hasZone(entry.rule))) {
        refuse('RULESET_UNSUPPORTED', "match 'connlimit' in table 'raw', with zones", match.at);
      }
    }
  }
  return first === undefined ? undefined : { at: place(CONNLIMIT_BYTES), masks, rule: first };
}

function hasZone(rule: Rule | undefined): boolean {
  return rule?.target.kind === 'template' && rule.target.template.zone !== 0;
}

function initConnlimit(view: DataView, { at, masks }: ConnlimitTable): void {
  const table = { headBytes: CONNLIMIT_TABLE.size, buckets: CONNLIMIT_BUCKETS, max: CONNLIMIT_MAX };
  initTable(view, at, { ...table, entryBytes: CONNLIMIT_LIST.size });
  view.setUint32(at + CONNLIMIT_TABLE.nodes, CONNLIMIT_BYTES - CONNLIMIT_MAX * CONNLIMIT_NODE.size, true);
  view.setUint32(at + CONNLIMIT_TABLE.nodes_max, CONNLIMIT_MAX, true);
  for (const { at: mask, bits } of masks) initMask(view, mask, bits);
}

/** The tables by family and name. */
function hashlimitTables(ruleset: Ruleset): Omit<HashlimitTable, 'at'>[] {
  const tables = new Map<string, Omit<HashlimitTable, 'at'>>();
  for (const { rule, table } of ruleset.entries) {
    for (const match of rule?.matches ?? []) {
      if (!rule || match.kind !== 'hashlimit') continue;
      const { test } = match;
      const key = `${table.family} ${test.name}`;
      const known = tables.get(key);
      if (known === undefined) tables.set(key, { family: table.family, test, rule: rule.index });
      else if (!sameTable(known.test, test)) {
        // The kernel has the numbers of the first rule that is loaded, and which one that is does not show.
        refuse('RULESET_UNSUPPORTED', `rules with --hashlimit-name '${test.name}' differ in their options`, match.at);
      }
    }
  }
  return [...tables.values()];
}

function sameTable(one: HashlimitTest, other: HashlimitTest): boolean {
  const keys = Object.keys(one) as (keyof HashlimitTest)[];
  return keys.every((key) => key === 'invert' || one[key] === other[key]);
}

function hashlimitBytes(test: HashlimitTest): number {
  const entries = hashlimitEntries(test);
  return HASHLIMIT_TABLE.size + hashlimitBuckets(entries) * 4 + entries * HASHLIMIT_BUCKET.size;
}

/** Buckets of our own index: two entries in each, about. */
function hashlimitBuckets(entries: number): number {
  return 2 ** Math.max(0, Math.ceil(Math.log2(entries)) - 1);
}

/** The lists by name, which all families and tables share. */
function recentLists(ruleset: Ruleset): Omit<RecentList, 'at'>[] {
  const lists = new Map<string, Omit<RecentList, 'at'>>();
  for (const { rule } of ruleset.entries) {
    for (const match of rule?.matches ?? []) {
      if (!rule || match.kind !== 'recent') continue;
      const { list: name, mask, hits } = match.test;
      const stamps = hits === 0 ? RECENT_STAMPS : 2 ** Math.ceil(Math.log2(hits));
      const known = lists.get(name);
      if (known === undefined) lists.set(name, { name, mask, stamps, rule: rule.index });
      else {
        known.stamps = Math.max(known.stamps, stamps);
        if (!sameMask(known.mask, mask)) {
          // The first rule that is loaded decides for all, and which one that is does not show.
          refuse('RULESET_UNSUPPORTED', `list '${name}' of match 'recent' has different masks`, match.at);
        }
      }
    }
  }
  return [...lists.values()];
}

/** Masks of two families agree only if they keep whole addresses. */
function sameMask(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length === other.length) return one.every((byte, index) => byte === other[index]);
  return [...one, ...other].every((byte) => byte === 255);
}

function recentBytes({ stamps }: Omit<RecentList, 'at'>): number {
  return RECENT_LIST.size + RECENT_BUCKETS * 4 + RECENT_ADDRESSES * recentEntryBytes(stamps);
}

function recentEntryBytes(stamps: number): number {
  return RECENT_ADDRESS.size + stamps * 8;
}

interface TableNumbers {
  headBytes: number;
  buckets: number;
  max: number;
  entryBytes: number;
}

const RECENT_FLAGS = {
  set: RecentFlag.SET,
  rcheck: RecentFlag.CHECK,
  update: RecentFlag.UPDATE,
  remove: RecentFlag.REMOVE,
} as const;

/** What the engine is told to do (RecentFlag). */
export function recentFlags({ does, side, ttl, reap, invert }: RecentTest): number {
  return (
    RECENT_FLAGS[does] |
    (side === 'destination' ? RecentFlag.DESTINATION : 0) |
    (ttl ? RecentFlag.TTL : 0) |
    (reap ? RecentFlag.REAP : 0) |
    (invert ? RecentFlag.INVERT : 0)
  );
}

function initHashlimit(view: DataView, { at, test }: HashlimitTable): void {
  const max = hashlimitEntries(test);
  const entryBytes = HASHLIMIT_BUCKET.size;
  initTable(view, at, { headBytes: HASHLIMIT_TABLE.size, buckets: hashlimitBuckets(max), max, entryBytes });
  const numbers = hashlimitNumbers(test)!;
  const set = (field: number, value: bigint) => view.setBigUint64(at + field, BigInt.asUintN(64, value), true);
  if (test.flags & HashlimitFlag.SOURCE) initMask(view, at + HASHLIMIT_TABLE.source_lo, test.sourceBits);
  if (test.flags & HashlimitFlag.DESTINATION) initMask(view, at + HASHLIMIT_TABLE.target_lo, test.destinationBits);
  set(HASHLIMIT_TABLE.expire, jiffiesOf(test.expire_ms));
  set(HASHLIMIT_TABLE.gc_interval, jiffiesOf(test.gcInterval_ms));
  set(HASHLIMIT_TABLE.cost, numbers.cost);
  set(HASHLIMIT_TABLE.cap, numbers.cap);
  set(HASHLIMIT_TABLE.credit, numbers.credit);
  // The kernel multiplies in 32 bits.
  set(HASHLIMIT_TABLE.interval, BigInt.asUintN(32, BigInt(test.interval_s) * BigInt(HZ)));
  view.setUint32(at + HASHLIMIT_TABLE.flags, test.flags, true);
}

/** So many ones, from the left. */
function initMask(view: DataView, at: number, bits: number): void {
  for (let bit = 0; bit < bits; bit++) {
    const byte = at + (bit >> 3);
    view.setUint8(byte, view.getUint8(byte) | (0x80 >> (bit & 7)));
  }
}

/** Writes what tables begin with into fresh memory, which is zero. */
export function initKeyed(program: Program, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const { at, mask, stamps } of program.recents) {
    const entryBytes = recentEntryBytes(stamps);
    initTable(view, at, {
      headBytes: RECENT_LIST.size,
      buckets: RECENT_BUCKETS,
      max: RECENT_ADDRESSES,
      entryBytes,
    });
    // What an IPv4 address does not fill is zero.
    bytes.fill(255, at + RECENT_LIST.mask_lo, at + RECENT_LIST.mask_lo + 16);
    bytes.set(mask, at + RECENT_LIST.mask_lo);
    view.setUint32(at + RECENT_LIST.stamps_mask, stamps - 1, true);
  }
  for (const table of program.hashlimits) initHashlimit(view, table);
  if (program.connlimits) initConnlimit(view, program.connlimits);
}

function initTable(view: DataView, at: number, { headBytes, buckets, max, entryBytes }: TableNumbers): void {
  view.setUint32(at + KEYED_TABLE.buckets, headBytes, true);
  view.setUint32(at + KEYED_TABLE.entries, headBytes + buckets * 4, true);
  view.setUint32(at + KEYED_TABLE.bucket_mask, buckets - 1, true);
  view.setUint32(at + KEYED_TABLE.entry_bytes, entryBytes, true);
  view.setUint32(at + KEYED_TABLE.max, max, true);
}
