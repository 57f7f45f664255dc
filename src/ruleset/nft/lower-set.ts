// How do sets and maps of nft become what the engine looks up?
import type { LiveProgram, SetElement, SetProgram } from '../set-program.ts';
import { liveSetBytes } from '../set-program.ts';
import type { Constant, Element, Expression, NftSet, Place, Typed, Value, VerdictValue } from './ast.ts';
import { refuseAt } from './text.ts';

/** The least and the greatest number that a constant stands for. */
export type Bounds = readonly [low: bigint, high: bigint];

const NAME_BYTES = 16;
const JIFFY_MS = 4;
/** Elements of a set that rules fill: more would take too much of the memory that connections need. */
const LIVE_MAX = 1 << 20;

export function bigintOf({ bytes }: Pick<Value, 'bytes'>): bigint {
  return bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

function ones(bits: number): bigint {
  return (1n << BigInt(bits)) - 1n;
}

/** A name as the number that its sixteen bytes are, the first one most significant. */
export function nameNumber(text: string): bigint {
  const bytes = new TextEncoder().encode(text);
  let number = 0n;
  for (let index = 0; index < NAME_BYTES; index++) number = (number << 8n) | BigInt(bytes[index] ?? 0);
  return number;
}

/** Bits of a number of this type; names of interfaces are compared as such, indices of interfaces by their names. */
export function bitsOf({ type, bits }: Typed): number {
  return type === 'ifname' || type === 'iface_index' || type === 'string' ? 128 : bits;
}

export function boundsOf(constant: Constant, bits: number): Bounds {
  switch (constant.kind) {
    case 'value': {
      if (constant.type === 'iface_index') {
        refuseAt('RULESET_UNSUPPORTED', 'an interface that only has a number is not known here', constant.at);
      }
      const number = bigintOf(constant);
      return [number, number];
    }
    case 'prefix': {
      const low = bigintOf(constant.value);
      return [low, low | ones(constant.value.bits - constant.length)];
    }
    case 'range':
      return [bigintOf(constant.low), bigintOf(constant.high)];
    case 'name': {
      const low = nameNumber(constant.text);
      const length = new TextEncoder().encode(constant.text).length;
      return constant.prefix ? [low, low | ones((NAME_BYTES - length) * 8)] : [low, low];
    }
    case 'wildcard':
      return [0n, ones(bits)];
  }
}

export function partsOf(key: Expression): Expression[] {
  return key.kind === 'concat' ? key.parts.flatMap(partsOf) : [key];
}

function wordsOf(bits: number): number {
  return bits > 64 ? 2 : 1;
}

/** Double words of a number of so many bits. */
function split(number: bigint, bits: number): bigint[] {
  return bits > 64 ? [number >> 64n, number & ones(64)] : [number];
}

/** How the data of a map lie: what each word is. */
export interface DataLayout {
  /** Bits of each part; none for sets and verdict maps. */
  parts: number[];
  /** Both ends of a range, one after the other. */
  interval: boolean;
}

/** Elements to be looked up, and what their data are. */
export interface Lookup {
  name: string;
  /** Bits of each part of the key. */
  key: readonly number[];
  layout: DataLayout;
  elements: readonly Element[];
  /** The number that stands for a verdict. */
  verdict?: (verdict: VerdictValue) => number;
  /** The cell of what an element counts with, undefined if it has no counter. */
  at: Place;
}

/** Word of an element's data in which its counter's number + 1 lies. */
export function counterWord({ layout, verdict }: Pick<Lookup, 'layout' | 'verdict'>): number {
  const words = layout.parts.reduce((sum, bits) => sum + wordsOf(bits), 0) * (layout.interval ? 2 : 1);
  return words + (verdict ? 1 : 0);
}

function counts(elements: readonly Element[]): boolean {
  return elements.some(({ statements }) => statements.length > 0);
}

function dataOf(lookup: Lookup, element: Element): bigint[] {
  const { data } = element;
  const words: bigint[] = [];
  if (lookup.verdict) {
    if (data?.kind !== 'verdict') return refuseAt('RULESET_INVALID', 'the element has no verdict', element.at);
    words.push(BigInt(lookup.verdict(data)));
  } else if (data && data.kind !== 'verdict') {
    const parts = partsOf(data) as Constant[];
    const bounds = parts.map((part, index) => boundsOf(part, lookup.layout.parts[index] ?? 32));
    for (const end of lookup.layout.interval ? ([0, 1] as const) : ([0] as const)) {
      for (const [index, each] of bounds.entries()) words.push(...split(each[end], lookup.layout.parts[index] ?? 32));
    }
  }
  if (counts(lookup.elements)) {
    let cell = 0;
    for (const statement of element.statements) {
      if (statement.kind !== 'counter') {
        refuseAt('RULESET_UNSUPPORTED', `'${statement.kind}' of an element is not supported`, statement.at);
      }
      cell = statement.counter.index + 1;
    }
    words.push(BigInt(cell));
  }
  return words;
}

function elementOf(lookup: Lookup, element: Element): SetElement {
  const bounds = partsOf(element.key).map((part, index) => boundsOf(part as Constant, lookup.key[index] ?? 32));
  return { low: bounds.map(([low]) => low), high: bounds.map(([, high]) => high), data: dataOf(lookup, element) };
}

/** A set that no rule changes. */
export function lowerSet(lookup: Lookup): SetProgram {
  const rest = lookup.elements.find(({ key }) => key.kind === 'wildcard');
  const elements = lookup.elements.filter((each) => each !== rest).map((element) => elementOf(lookup, element));
  const single = lookup.key.length === 1;
  return {
    name: lookup.name,
    parts: lookup.key.map(wordsOf),
    dataWords: counterWord(lookup) + (counts(lookup.elements) ? 1 : 0),
    elements: single ? flatten(elements, lookup) : elements,
    ...(rest && { otherwise: dataOf(lookup, rest) }),
  };
}

/** Ranges that overlap are one, as nft makes them; with different data nft refuses them. */
function flatten(elements: readonly SetElement[], { at }: Lookup): SetElement[] {
  const first = (element: SetElement): bigint => element.low[0] ?? 0n;
  const sorted = [...elements].sort((a, b) => (first(a) < first(b) ? -1 : Number(first(a) > first(b))));
  const kept: SetElement[] = [];
  for (const element of sorted) {
    const last = kept.at(-1);
    if (last === undefined || first(element) > (last.high[0] ?? 0n)) {
      kept.push(element);
      continue;
    }
    if (last.data.join() !== element.data.join()) refuseAt('RULESET_INVALID', 'elements overlap', at);
    if ((element.high[0] ?? 0n) > (last.high[0] ?? 0n)) kept[kept.length - 1] = { ...last, high: element.high };
  }
  return kept;
}

/** What rules may do to a set: then it has room for its size, behind its elements for their own state. */
export function lowerLiveSet(
  lookup: Lookup,
  set: NftSet,
  states: readonly bigint[],
  state: number,
): SetProgram & { live: LiveProgram; bytes: number } {
  const { size } = set;
  if (size === undefined || size === 0) {
    return refuseAt('RULESET_UNSUPPORTED', `set '${set.name}' is filled by rules and states no size`, set.at);
  }
  if (size > LIVE_MAX) {
    return refuseAt('RULESET_UNSUPPORTED', `set '${set.name}' may have more than ${LIVE_MAX} elements`, set.at);
  }
  if (set.flags.interval) {
    return refuseAt('RULESET_UNSUPPORTED', `set '${set.name}' of intervals has elements that come or go`, set.at);
  }
  if (set.elements.length > size)
    refuseAt('RULESET_INVALID', `set '${set.name}' has more elements than its size`, set.at);
  const elements = set.elements.map((element): SetElement => {
    if (element.key.kind === 'wildcard') {
      refuseAt('RULESET_UNSUPPORTED', "'*' in a set whose elements come or go is not supported", element.at);
    }
    for (const statement of element.statements) {
      if (statement.kind !== 'counter' && statement.kind !== 'last') {
        refuseAt('RULESET_UNSUPPORTED', `'${statement.kind}' of an element is not supported`, statement.at);
      }
    }
    const plain = elementOf({ ...lookup, elements: [{ ...element, statements: [] }] }, { ...element, statements: [] });
    const timeout = element.expires ?? element.timeout ?? set.timeout;
    return {
      ...plain,
      data: [...plain.data, ...states],
      ...(timeout !== undefined && { left: BigInt(Math.floor(timeout / JIFFY_MS)) }),
    };
  });
  const program = {
    name: lookup.name,
    parts: lookup.key.map(wordsOf),
    dataWords: counterWord(lookup) + states.length,
    elements,
    live: { state, size },
  };
  return { ...program, bytes: liveSetBytes(program, size) };
}

/** Jiffies of a timeout in milliseconds. */
export function jiffiesOf(timeout: number | undefined): bigint {
  return BigInt(Math.floor((timeout ?? 0) / JIFFY_MS));
}
