// The tables by which a run of rules is found, as they lie in memory (assembly/layout.ts: Dispatch and what it points to).
//
// For each field, the values at which some rule begins or ceases to be possible cut the field's range into intervals.
// A sweep over them keeps the bit map of the rules that are possible, and every different bit map becomes a row.
import { DispatchField } from '../../assembly/vocabulary.ts';
import {
  CANDIDATES,
  DIMENSION,
  DISPATCH,
  DISPATCH_ROW,
  DISPATCH_WORDS,
  INTERFACES_MAX,
  INTERVAL_MAP,
  POINT_SLOT,
  POINT_SLOT16,
} from '../engine/layout.ts';
import type { Run } from './dispatch.ts';
import { type Allowed, after, greatest, type Value } from './dispatch-fields.ts';
import type { Program } from './expression.ts';
import { compileIpSet } from './ipset/compile.ts';
import type { ElementSet } from './ipset/ipset.ts';

/** Halves of the words of a bit map: 32 rules each. */
const HALVES = DISPATCH_WORDS * 2;
const RUN_BITS = DISPATCH_WORDS * 64;
const PAGE_VALUES = 256;
const CANDIDATES_BYTES = CANDIDATES.size + DISPATCH_WORDS * 8;

/** What the rule of each bit allows; undefined for a rule that does not test the field. */
type Tests = readonly (Allowed | undefined)[];

/** The multiplier of the engine's hash of values. */
const SPREAD = 0x9e3779b97f4a7c15n;
const U64 = 0xffff_ffff_ffff_ffffn;

/** The classes of interfaces, which come first. */
const NOTHING = INTERFACES_MAX * 2;

/** Collects the tables of all runs of a program. Offsets count from their beginning (World.dispatch). */
export class DispatchTables {
  private bytes = new Uint8Array(1 << 16);
  private view = new DataView(this.bytes.buffer);
  private top = NOTHING;
  private runs = 0;

  constructor(private readonly program: Program) {}

  /** All tables; empty if there are none. */
  get content(): Uint8Array {
    return this.top === NOTHING ? new Uint8Array(0) : this.bytes.subarray(0, this.top);
  }

  /** Bytes of Candidates that a lane needs. */
  get candidatesBytes(): number {
    return this.runs * CANDIDATES_BYTES;
  }

  /** Writes a run's tables. Returns the offsets of its Dispatch, and of its Candidates from World.candidates. */
  add({ dimensions, order }: Run): { dispatch: number; candidates: number } {
    const written = dimensions.map(({ field, allowed }) =>
      this.dimension(
        field,
        order.map((place) => allowed[place]),
      ),
    );
    const candidates = this.runs++ * CANDIDATES_BYTES;
    const places = this.small(Uint16Array.from(order));
    const dispatch = this.take(DISPATCH.size + dimensions.length * DIMENSION.size);
    this.u32(dispatch + DISPATCH.candidates, candidates);
    this.u32(dispatch + DISPATCH.places, places);
    this.u32(dispatch + DISPATCH.dimensions, dimensions.length);
    for (const [index, { field, map, rows, base }] of written.entries()) {
      const at = dispatch + DISPATCH.size + index * DIMENSION.size;
      this.u32(at + DIMENSION.field, field);
      this.u32(at + DIMENSION.map, map);
      this.u32(at + DIMENSION.rows, rows);
      this.u32(at + DIMENSION.base, base);
    }
    return { dispatch, candidates };
  }

  /** Writes an IP set. Returns its offset. */
  addIpSet(set: ElementSet): number {
    const at = this.take(0);
    const bytes = compileIpSet(set, at);
    this.bytes.set(bytes, this.take(bytes.length));
    return at;
  }

  private dimension(field: DispatchField, tests: Tests) {
    const rows = new Rows(tests);
    const { starts, numbers } = sweep(tests, rows, greatest(field, this.program));
    const map = this.map(field, starts, numbers);
    return { field, map, ...this.rows(rows) };
  }

  private map(field: DispatchField, starts: readonly Value[], rows: readonly number[]): number {
    switch (field) {
      case DispatchField.L4PROTO:
      case DispatchField.CT_STATE:
      case DispatchField.TCP_FLAGS:
      case DispatchField.IIF:
      case DispatchField.OIF:
        return this.small(spread(starts, rows, Number(greatest(field, this.program)) + 1));
      case DispatchField.SPORT:
      case DispatchField.DPORT:
      case DispatchField.TH_SPORT:
      case DispatchField.TH_DPORT:
        return this.paged(spread(starts, rows, PAGE_VALUES * PAGE_VALUES));
      default:
        return this.intervals(field, starts, rows);
    }
  }

  private small(rows: Uint16Array): number {
    const at = this.take(rows.byteLength);
    this.bytes.set(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength), at);
    return at;
  }

  private paged(rows: Uint16Array): number {
    const numbers = new Uint16Array(PAGE_VALUES);
    const known = new Map<string, number>();
    const pages: Uint16Array[] = [];
    for (let page = 0; page < PAGE_VALUES; page++) {
      const content = rows.subarray(page * PAGE_VALUES, (page + 1) * PAGE_VALUES);
      const key = Buffer.from(content.buffer, content.byteOffset, content.byteLength).toString('latin1');
      let number = known.get(key);
      if (number === undefined) {
        number = pages.push(content) - 1;
        known.set(key, number);
      }
      numbers[page] = number;
    }
    const at = this.small(numbers);
    // Pages follow each other without a gap: each is a multiple of the alignment.
    for (const page of pages) this.small(page);
    return at;
  }

  /** Single values go into a hash table; what is left are intervals, to be searched. */
  private intervals(field: DispatchField, starts: readonly Value[], rows: readonly number[]): number {
    const wide = field === DispatchField.SADDR6 || field === DispatchField.DADDR6;
    const most = greatest(field, this.program);
    const points: { value: Value; row: number }[] = [];
    const kept: { start: Value; row: number }[] = [];
    for (const [index, start] of starts.entries()) {
      const row = rows[index] ?? 0;
      const next = starts[index + 1];
      const single = start === most || (next !== undefined && after(start) === next);
      if (single && kept.length > 0) points.push({ value: start, row });
      else if (kept.at(-1)?.row !== row) kept.push({ start, row });
    }
    const slots = 2 ** Math.ceil(Math.log2(Math.max(1, points.length) * 2));
    const slot = wide ? POINT_SLOT16 : POINT_SLOT;
    const map = this.take(INTERVAL_MAP.size);
    const table = this.take(slots * slot.size);
    this.u32(map + INTERVAL_MAP.hash_mask, slots - 1);
    this.u32(map + INTERVAL_MAP.points, table);
    for (const { value, row } of points) {
      let place = hash(value) & (slots - 1);
      while (this.view.getUint32(table + place * slot.size + slot.row, true) !== 0) place = (place + 1) & (slots - 1);
      const at = table + place * slot.size;
      if (wide) this.halves(at, POINT_SLOT16.upper, POINT_SLOT16.lower, BigInt(value));
      else this.u32(at + POINT_SLOT.value, Number(value));
      this.u32(at + slot.row, row + 1);
    }
    const width = wide ? 16 : 4;
    const list = this.take(kept.length * (width + 2));
    this.u32(map + INTERVAL_MAP.intervals, kept.length);
    this.u32(map + INTERVAL_MAP.starts, list);
    for (const [index, { start, row }] of kept.entries()) {
      if (wide) this.halves(list + index * width, 0, 8, BigInt(start));
      else this.u32(list + index * width, Number(start));
      this.view.setUint16(list + kept.length * width + index * 2, row, true);
    }
    return map;
  }

  private rows({ list, base }: Rows): { rows: number; base: number } {
    const baseAt = this.take(HALVES * 4);
    for (let half = 0; half < HALVES; half++) this.u32(baseAt + half * 4, base[half] ?? 0);
    const rows = this.take(list.length * DISPATCH_ROW.size);
    const words = this.take(list.reduce((sum, each) => sum + each.words.length * 4, 0));
    let next = words;
    for (const [index, row] of list.entries()) {
      const at = rows + index * DISPATCH_ROW.size;
      for (const half of [0, 1]) {
        this.u32(at + DISPATCH_ROW.filled + half * 4, row.filled[half] ?? 0);
        this.u32(at + DISPATCH_ROW.differs + half * 4, row.differs[half] ?? 0);
      }
      this.u32(at + DISPATCH_ROW.words, next);
      for (const word of row.words) {
        this.u32(next, word);
        next += 4;
      }
    }
    return { rows, base: baseAt };
  }

  private halves(at: number, upper: number, lower: number, value: bigint): void {
    this.view.setBigUint64(at + upper, value >> 64n, true);
    this.view.setBigUint64(at + lower, value & U64, true);
  }

  private u32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  /** Room at a multiple of 8, filled with 0. */
  private take(size: number): number {
    const at = Math.ceil(this.top / 8) * 8;
    this.top = at + size;
    if (this.top > this.bytes.length) {
      const larger = new Uint8Array(2 ** Math.ceil(Math.log2(this.top)));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return at;
  }
}

/** The different bit maps of one field. */
class Rows {
  /** The rules that the field says nothing about, and those that rule out only a few values. */
  readonly base = new Uint32Array(HALVES);
  readonly list: { filled: [number, number]; differs: [number, number]; words: number[] }[] = [];
  private readonly known = new Map<string, number>();

  constructor(tests: Tests) {
    const every = new Uint32Array(HALVES);
    for (const [bit, test] of tests.entries()) {
      flip(every, bit);
      if (!test || test.invert) flip(this.base, bit);
    }
    this.number(every);
  }

  /** The row of a bit map. */
  number(map: Uint32Array): number {
    const row = { filled: [0, 0] as [number, number], differs: [0, 0] as [number, number], words: [] as number[] };
    let key = '';
    for (let word = 0; word < DISPATCH_WORDS; word++) {
      const low = map[word * 2] ?? 0;
      const high = map[word * 2 + 1] ?? 0;
      const half = word < 32 ? 0 : 1;
      if ((low | high) !== 0) row.filled[half] |= 1 << (word & 31);
      const lower = (low ^ (this.base[word * 2] ?? 0)) >>> 0;
      const upper = (high ^ (this.base[word * 2 + 1] ?? 0)) >>> 0;
      if ((lower | upper) === 0) continue;
      row.differs[half] |= 1 << (word & 31);
      row.words.push(lower, upper);
      key += `${word},${lower},${upper};`;
    }
    const found = this.known.get(key);
    if (found !== undefined) return found;
    const number = this.list.push(row) - 1;
    this.known.set(key, number);
    return number;
  }
}

/** Where the bit map changes over the field's values, the first at 0, and the row from there on. */
function sweep(tests: Tests, rows: Rows, most: Value): { starts: Value[]; numbers: number[] } {
  const map = new Uint32Array(HALVES);
  for (const [bit, test] of tests.entries()) if (!test) flip(map, bit);
  const starts: Value[] = [];
  const numbers: number[] = [];
  const reach = (value: Value): void => {
    const number = rows.number(map);
    if (numbers.at(-1) === number) return;
    starts.push(value);
    numbers.push(number);
  };
  let reached: Value = typeof most === 'bigint' ? 0n : 0;
  for (const { value, bit } of changes(tests, most)) {
    if (value !== reached) reach(reached);
    reached = value;
    flip(map, bit);
  }
  reach(reached);
  return { starts, numbers };
}

/** Every value at which a rule begins or ceases to be possible, in ascending order. */
function* changes(tests: Tests, most: Value): Iterable<{ value: Value; bit: number }> {
  if (typeof most === 'bigint') {
    const found: { value: Value; bit: number }[] = [];
    for (const [bit, test] of tests.entries()) {
      for (const [low, high] of test?.intervals ?? []) found.push({ value: low, bit }, { value: after(high), bit });
    }
    yield* found
      .filter(({ value }) => value <= most)
      .sort((a, b) => (a.value < b.value ? -1 : Number(a.value > b.value)));
    return;
  }
  // A value of 32 bits and a bit's number fit into the 53 bits of a double, which sorts without objects.
  const count = tests.reduce((sum, test) => sum + (test?.intervals.length ?? 0) * 2, 0);
  const packed = new Float64Array(count);
  let next = 0;
  for (const [bit, test] of tests.entries()) {
    for (const [low, high] of test?.intervals ?? []) {
      packed[next++] = Number(low) * RUN_BITS + bit;
      packed[next++] = (Number(high) + 1) * RUN_BITS + bit;
    }
  }
  for (const each of packed.sort()) {
    const value = Math.floor(each / RUN_BITS);
    if (value > most) return;
    yield { value, bit: each % RUN_BITS };
  }
}

/** The row of each value from 0 to `count` - 1. */
function spread(starts: readonly Value[], rows: readonly number[], count: number): Uint16Array {
  const numbers = new Uint16Array(count);
  for (const [index, start] of starts.entries()) {
    numbers.fill(rows[index] ?? 0, Number(start), Number(starts[index + 1] ?? count));
  }
  return numbers;
}

function flip(map: Uint32Array, bit: number): void {
  map[bit >> 5] = ((map[bit >> 5] ?? 0) ^ (1 << (bit & 31))) >>> 0;
}

/** As interval() and interval16() of the engine do. */
function hash(value: Value): number {
  const wide = typeof value === 'bigint' ? (((value >> 64n) * SPREAD) & U64) ^ (value & U64) : BigInt(value);
  return Number(((wide * SPREAD) & U64) >> 32n) | 0;
}
