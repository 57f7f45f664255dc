// What is a set or map to the engine, and how does it lie in memory (assembly/layout/set.ts)?
//
// A key is a row of numbers, one for each part, and an element has a range of each. A number takes one double word, or two
// if it is wider than 64 bits, the more significant one first.
import { SetKind } from '../../assembly/vocabulary.ts';
import { KEY_SET, LIVE_SET } from '../engine/layout.ts';

export interface SetProgram {
  /** As nft names it; of a set in a rule what it has. */
  name: string;
  /** Double words of each part of the key. */
  parts: readonly number[];
  /** Double words that an element has behind its key. */
  dataWords: number;
  elements: readonly SetElement[];
  /** Data of what no element has. */
  otherwise?: readonly bigint[];
  /** A set that rules change. */
  live?: LiveProgram;
}

export interface SetElement {
  /** By part, both ends included. */
  low: readonly bigint[];
  high: readonly bigint[];
  /** Double words. */
  data: readonly bigint[];
  /** Jiffies that it has left when the replay begins. */
  left?: bigint;
}

export interface LiveProgram {
  /** Offset of its LiveSet in World.rule_state. */
  state: number;
  /** Elements that it may have. */
  size: number;
}

const U64 = 0xffff_ffff_ffff_ffffn;
/** As hash() of assembly/rules/set.ts. */
const SPREAD = 0x9e3779b97f4a7c15n;
const NEVER = U64;

export function keyWords({ parts }: SetProgram): number {
  return parts.reduce((sum, words) => sum + words, 0);
}

/** Double words of the numbers of a key. */
function words(set: SetProgram, numbers: readonly bigint[]): bigint[] {
  return set.parts.flatMap((count, part) => {
    const number = numbers[part] ?? 0n;
    return count === 1 ? [number] : [number >> 64n, number & U64];
  });
}

function hash(key: readonly bigint[]): number {
  let h = 0n;
  for (const word of key) {
    h = ((h ^ word) * SPREAD) & U64;
    h ^= h >> 32n;
  }
  return Number(h & 0xffff_ffffn);
}

function isSingle({ low, high }: SetElement): boolean {
  return low.every((number, part) => number === high[part]);
}

function slotsFor(elements: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, elements) * 2));
}

/** Where tables are written: `take` gives room at a multiple of 8 that is filled with 0. */
export interface TableRoom {
  take(size: number): number;
  /** Over everything that was taken so far. */
  view(): DataView;
}

/** Writes a KeySet; returns its offset. */
export function writeKeySet(set: SetProgram, room: TableRoom): number {
  const at = room.take(KEY_SET.size);
  const set32 = (field: number, value: number): void => room.view().setUint32(at + field, value, true);
  const put = (to: number, numbers: readonly bigint[]): void => {
    const view = room.view();
    for (const [index, number] of numbers.entries()) view.setBigUint64(to + index * 8, number, true);
  };
  const width = keyWords(set);
  set32(KEY_SET.key_words, width);
  set32(KEY_SET.data_words, set.dataWords);
  if (set.otherwise) {
    const otherwise = room.take(Math.max(8, set.otherwise.length * 8));
    put(otherwise, set.otherwise);
    set32(KEY_SET.otherwise, otherwise);
  }
  if (set.elements.every(isSingle)) {
    const slots = slotsFor(set.elements.length);
    const size = (1 + width + set.dataWords) * 8;
    const table = room.take(slots * size);
    const view = room.view();
    for (const element of set.elements) {
      const key = words(set, element.low);
      let slot = hash(key) & (slots - 1);
      while (view.getBigUint64(table + slot * size, true) !== 0n) slot = (slot + 1) & (slots - 1);
      put(table + slot * size, [1n, ...key, ...element.data]);
    }
    set32(KEY_SET.kind, SetKind.HASH);
    set32(KEY_SET.count, slots - 1);
    set32(KEY_SET.elements, table);
    return at;
  }
  const one = set.parts.length === 1;
  const elements = one
    ? [...set.elements].sort((a, b) => (a.low[0]! < b.low[0]! ? -1 : Number(a.low[0]! > b.low[0]!)))
    : set.elements;
  const list = room.take(elements.length * (width * 2 + set.dataWords) * 8);
  for (const [index, element] of elements.entries()) {
    const numbers = [...words(set, element.low), ...words(set, element.high), ...element.data];
    put(list + index * numbers.length * 8, numbers);
  }
  set32(KEY_SET.kind, one ? SetKind.RANGES : SetKind.PARTS);
  set32(KEY_SET.count, elements.length);
  set32(KEY_SET.elements, list);
  if (!one) {
    const parts = room.take(set.parts.length * 4);
    for (const [index, count] of set.parts.entries()) room.view().setUint32(parts + index * 4, count, true);
    set32(KEY_SET.parts, parts);
    set32(KEY_SET.parts_count, set.parts.length);
  }
  return at;
}

/** Bytes of a LiveSet with its slots. */
export function liveSetBytes(set: Pick<SetProgram, 'parts' | 'dataWords'>, size: number): number {
  const width = set.parts.reduce((sum, count) => sum + count, 0);
  return LIVE_SET.size + slotsFor(size) * (1 + width + set.dataWords) * 8;
}

/** Writes a LiveSet as it is when the clock shows `jiffies`. */
export function writeLiveSet(set: SetProgram, live: LiveProgram, view: DataView, jiffies: bigint): void {
  const width = keyWords(set);
  const slots = slotsFor(live.size);
  const size = (1 + width + set.dataWords) * 8;
  const at = live.state;
  view.setUint32(at + LIVE_SET.key_words, width, true);
  view.setUint32(at + LIVE_SET.data_words, set.dataWords, true);
  view.setUint32(at + LIVE_SET.mask, slots - 1, true);
  view.setUint32(at + LIVE_SET.limit, live.size, true);
  view.setUint32(at + LIVE_SET.used, set.elements.length, true);
  const first = at + LIVE_SET.size;
  for (let slot = 0; slot < slots; slot++) view.setBigUint64(first + slot * size, 0n, true);
  for (const { low, data, left } of set.elements) {
    const key = words(set, low);
    let slot = hash(key) & (slots - 1);
    while (view.getBigUint64(first + slot * size, true) !== 0n) slot = (slot + 1) & (slots - 1);
    const numbers = [left === undefined ? NEVER : jiffies + left, ...key, ...data];
    for (const [index, number] of numbers.entries()) view.setBigUint64(first + slot * size + index * 8, number, true);
  }
}
