// By which fields can a rule be found, and which of their values does it allow?
//
// A rule may be passed over for a packet if one of its tests is certain to fail, and neither that test nor one before it
// does anything else: drops the packet, takes a token, sets a label. A guard before a test of the transport header may
// drop; packets that it could drop are told apart by the engine (assembly/rules/dispatch.ts, odd()), which takes every
// rule for them. What may be changed by a rule of the same run is not used behind that rule.
import { DispatchField, L3 } from '../../assembly/vocabulary.ts';
import { type Action, isAction, type Program, type RuleProgram, type Test } from './expression.ts';
import { patternClasses } from './interface-pattern.ts';
import type { Family } from './source.ts';

/** Numbers of up to 32 bits, and addresses of 16 bytes as bigint. */
export type Value = number | bigint;

/** Values low to high, both included. */
export type Interval = readonly [low: Value, high: Value];

/** What a test leaves over: values in ascending order, intervals neither overlapping nor touching. */
export interface Allowed {
  field: DispatchField;
  intervals: readonly Interval[];
  /** The test says what the value must not be, so that it allows most. */
  invert: boolean;
  /** Field and intervals, to compare by. */
  key: string;
}

const U32_MAX = 0xffffffff;
const U128_MAX = (1n << 128n) - 1n;

/** Greatest value of a field; for interfaces it depends on how many names the rules use. */
export function greatest(field: DispatchField, program: Program): Value {
  switch (field) {
    case DispatchField.L4PROTO:
    case DispatchField.CT_STATE:
    case DispatchField.TCP_FLAGS:
      return 0xff;
    case DispatchField.SPORT:
    case DispatchField.DPORT:
    case DispatchField.TH_SPORT:
    case DispatchField.TH_DPORT:
      return 0xffff;
    case DispatchField.MARK:
    case DispatchField.SADDR:
    case DispatchField.DADDR:
      return U32_MAX;
    case DispatchField.SADDR6:
    case DispatchField.DADDR6:
      return U128_MAX;
    case DispatchField.IIF:
    case DispatchField.OIF:
      return program.patterns.length;
  }
}

const NUMBERS: ReadonlyMap<string, DispatchField> = new Map<string, DispatchField>([
  ['l4proto', DispatchField.L4PROTO],
  ['tcp flags', DispatchField.TCP_FLAGS],
  ['sport', DispatchField.SPORT],
  ['dport', DispatchField.DPORT],
  ['th sport', DispatchField.TH_SPORT],
  ['th dport', DispatchField.TH_DPORT],
  ['mark', DispatchField.MARK],
]);

/** Fields that the engine does not look at where a guard may drop the packet. Only these are used behind a guard. */
const TRANSPORT: ReadonlySet<DispatchField> = new Set([
  DispatchField.TCP_FLAGS,
  DispatchField.SPORT,
  DispatchField.DPORT,
  DispatchField.TH_SPORT,
  DispatchField.TH_DPORT,
]);

const FIELDS4 = { saddr: DispatchField.SADDR, daddr: DispatchField.DADDR } as const;
const FIELDS6 = { saddr: DispatchField.SADDR6, daddr: DispatchField.DADDR6 } as const;

/** The longest header that a guard may ask for (HEADER_MAX of assembly/rules/dispatch.ts). */
const GUARDED_MAX = 20;

/** Tests that do nothing but answer. A test that is not named here ends what a rule can be found by. */
const PURE: ReadonlySet<string> = new Set<Test['op']>([
  'cmp',
  'range',
  'lookup',
  'address',
  'address range',
  'ether saddr',
  'ifname',
  'ct state',
  'fib',
  'guard',
  'header',
  'ether header',
  'connection',
  'within',
  'in',
  'look up',
]);

/** What an action changes of these fields. One that is not named here may change them all. */
const CHANGING: Readonly<Partial<Record<Action['op'], readonly DispatchField[]>>> = {
  counter: [],
  log: [],
  'set mark': [DispatchField.MARK],
  'set ct mark': [],
  'save mark': [],
  'restore mark': [DispatchField.MARK],
  notrack: [DispatchField.CT_STATE],
  template: [DispatchField.CT_STATE],
  verdict: [],
  reject: [],
  'lower mss': [],
  'count element': [],
  assign: [DispatchField.MARK],
  'set ct label': [],
  'give helper': [],
  remove: [],
};

export class DispatchFields {
  private readonly below = new Map<number, ReadonlySet<DispatchField> | 'all'>();
  private readonly classes: readonly (readonly number[])[];

  constructor(private readonly program: Program) {
    this.classes = patternClasses(program.patterns);
  }

  /** What the rule's tests allow, the first test of each field. */
  allowed(rule: RuleProgram, family: Family): Allowed[] {
    const found: Allowed[] = [];
    let guarded = false;
    for (const test of rule.tests) {
      if (!PURE.has(test.op)) break;
      if (test.op === 'guard') {
        if (test.need > GUARDED_MAX) break;
        guarded = true;
      }
      const allowed = this.test(test, family);
      if (guarded && allowed && !TRANSPORT.has(allowed.field)) continue;
      if (allowed && !found.some(({ field }) => field === allowed.field)) found.push(allowed);
    }
    return found;
  }

  /** Fields that the rule's actions may change for the rules behind it. */
  changes(rule: RuleProgram): ReadonlySet<DispatchField> | 'all' {
    const changed = new Set<DispatchField>();
    for (const step of rule.actions) {
      if (!isAction(step)) continue;
      for (const action of step.op === 'branch' ? step.verdicts : [step]) {
        if (action === undefined) continue;
        const fields = action.op === 'jump' || action.op === 'goto' ? this.chain(action.chain) : CHANGING[action.op];
        if (fields === undefined || fields === 'all') return 'all';
        for (const field of fields) changed.add(field);
      }
    }
    return changed;
  }

  /** What a chain and all that it jumps to may change. Jumps go in no circle. */
  private chain(number: number): ReadonlySet<DispatchField> | 'all' {
    const known = this.below.get(number);
    if (known !== undefined) return known;
    let changed: Set<DispatchField> | 'all' = new Set<DispatchField>();
    for (const rule of this.program.chains[number]?.rules ?? []) {
      const fields = this.changes(rule);
      if (fields === 'all') {
        changed = 'all';
        break;
      }
      for (const field of fields) changed.add(field);
    }
    this.below.set(number, changed);
    return changed;
  }

  private test(test: Test, family: Family): Allowed | undefined {
    switch (test.op) {
      case 'cmp': {
        const field = NUMBERS.get(test.field);
        if (field === undefined) return undefined;
        const intervals = masked(test.mask >>> 0, test.value >>> 0, Number(greatest(field, this.program)));
        return intervals && this.finish(field, intervals, test.invert);
      }
      case 'range': {
        const field = NUMBERS.get(test.field);
        return field === undefined ? undefined : this.finish(field, [[test.low, test.high]], test.invert);
      }
      case 'lookup': {
        const [name] = test.fields;
        const field = test.fields.length === 1 && name !== undefined ? NUMBERS.get(name) : undefined;
        return field === undefined ? undefined : this.finish(field, test.ranges, test.invert);
      }
      case 'address': {
        if (test.field !== 'saddr' && test.field !== 'daddr') return undefined;
        return family === L3.IPV4 ? this.network4(test.field, test) : this.network6(test.field, test);
      }
      case 'address range':
        if (family === L3.IPV4) {
          return this.finish(FIELDS4[test.field], [[number4(test.low), number4(test.high)]], test.invert);
        }
        return this.finish(FIELDS6[test.field], [[number6(test.low), number6(test.high)]], test.invert);
      case 'ifname': {
        const field = test.field === 'iif' ? DispatchField.IIF : DispatchField.OIF;
        return this.finish(field, singles(this.classes[test.pattern] ?? []), test.invert);
      }
      case 'ct state': {
        if (test.status !== 0) return undefined;
        const states = [0, 1, 2, 3, 4, 5, 6, 7].filter((state) => (test.states & (1 << state)) !== 0);
        return this.finish(DispatchField.CT_STATE, singles(states), test.invert);
      }
      default:
        return undefined;
    }
  }

  /** A mask with holes allows too many intervals. */
  private network4(field: 'saddr' | 'daddr', test: { mask: Uint8Array; value: Uint8Array; invert: boolean }) {
    const host = ~number4(test.mask) >>> 0;
    if ((host & (host + 1)) !== 0) return undefined;
    const low = number4(test.value);
    return this.finish(FIELDS4[field], [[low, (low | host) >>> 0]], test.invert);
  }

  private network6(field: 'saddr' | 'daddr', test: { mask: Uint8Array; value: Uint8Array; invert: boolean }) {
    const host = ~number6(test.mask) & U128_MAX;
    if ((host & (host + 1n)) !== 0n) return undefined;
    const low = number6(test.value);
    return this.finish(FIELDS6[field], [[low, low | host]], test.invert);
  }

  private finish(field: DispatchField, intervals: readonly Interval[], invert: boolean): Allowed {
    const joined = join(intervals);
    const kept = invert ? outside(joined, greatest(field, this.program)) : joined;
    let key = `${field}`;
    for (const [low, high] of kept) key += ` ${low}-${high}`;
    return { field, intervals: kept, invert, key };
  }
}

function singles(values: readonly number[]): Interval[] {
  return values.map((value) => [value, value]);
}

/** The values with (value & mask) == wanted, undefined if they are too many intervals to be useful. */
function masked(mask: number, wanted: number, most: number): Interval[] | undefined {
  const bits = (mask & most) >>> 0;
  if ((wanted & ~bits) !== 0) return [];
  const free = (~bits & most) >>> 0;
  // Free bits at the lower end only: one interval.
  if ((free & (free + 1)) === 0) return [[wanted, (wanted | free) >>> 0]];
  if (most > 0xff) return undefined;
  const values: Interval[] = [];
  for (let value = 0; value <= most; value++) if ((value & bits) === wanted) values.push([value, value]);
  return values;
}

function before(value: Value): Value {
  return typeof value === 'bigint' ? value - 1n : value - 1;
}

export function after(value: Value): Value {
  return typeof value === 'bigint' ? value + 1n : value + 1;
}

/** Sorted, without empty ones, and joined where they overlap or touch. */
function join(intervals: readonly Interval[]): Interval[] {
  if (intervals.length === 1) return intervals[0]![0] <= intervals[0]![1] ? [...intervals] : [];
  const sorted = intervals
    .filter(([low, high]) => low <= high)
    .sort((a, b) => (a[0] < b[0] ? -1 : Number(a[0] > b[0])));
  const joined: [Value, Value][] = [];
  for (const [low, high] of sorted) {
    const last = joined.at(-1);
    if (last && low <= after(last[1])) {
      if (high > last[1]) last[1] = high;
    } else {
      joined.push([low, high]);
    }
  }
  return joined;
}

function outside(intervals: readonly Interval[], most: Value): Interval[] {
  const zero: Value = typeof most === 'bigint' ? 0n : 0;
  const gaps: Interval[] = [];
  let start: Value = zero;
  for (const [low, high] of intervals) {
    if (low > start) gaps.push([start, before(low)]);
    start = after(high);
  }
  if (start <= most) gaps.push([start, most]);
  return gaps;
}

function number4(bytes: Uint8Array): number {
  let value = 0;
  for (let index = 0; index < 4; index++) value = value * 256 + (bytes[index] ?? 0);
  return value;
}

function number6(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8);
}
