// Which runs of a long chain are found by what their rules test, instead of rule by rule?
//
// A chain is cut into pieces that are met one after the other. In a linear piece each rule is tested in its turn. In a
// run, the packet's value of a few fields gives the rules that it may match (assembly/rules/dispatch.ts), and only those
// are tested, in their order and whole: counters, side effects and the first match are those of the linear chain,
// because a rule that is passed over is one whose tests would have failed without doing anything.
import { DispatchField } from '../../assembly/vocabulary.ts';
import { DIMENSIONS_MAX, DISPATCH_WORDS } from '../engine/layout.ts';
import { type Allowed, DispatchFields } from './dispatch-fields.ts';
import type { ChainProgram, Program, RuleProgram } from './expression.ts';

/** Rules in one word of a bit map. */
export const WORD = 64;
/** Rules at the head of a chain that stay linear: where most packets of a stateful ruleset end. */
const HEAD = 16;
/** Shorter runs are no faster than testing every rule. */
const RUN_MIN = 64;
const RUN_MAX = WORD * DISPATCH_WORDS;
/** A test is selective if no more than so many rules of a word share it. */
const SHARED_MAX = 8;
/** A word of rules goes into a run if at most this part of them is not selective. */
const BROAD_PART = 1 / 4;
/** A field is looked at if at least this part of a run's rules test it. */
const TESTED_PART = 1 / 16;
/** Row numbers have 16 bits: more intervals are left out, so that their rules count as not testing the field. */
const INTERVALS_MAX = 30_000;

export interface LinearPiece {
  kind: 'linear';
  /** Position of the first rule in the chain, from 0. */
  start: number;
  rules: RuleProgram[];
}

export interface RunDimension {
  field: DispatchField;
  /** By place of the rule in the run; undefined for a rule that does not test the field. */
  allowed: (Allowed | undefined)[];
}

export interface Run {
  kind: 'run';
  start: number;
  rules: RuleProgram[];
  dimensions: RunDimension[];
  /** Places of the rules in the order of the bits that stand for them. */
  order: number[];
}

export type Piece = LinearPiece | Run;

/** Cuts a chain into pieces. */
export class DispatchPlanner {
  private readonly fields: DispatchFields;

  constructor(program: Program) {
    this.fields = new DispatchFields(program);
  }

  plan(chain: ChainProgram): Piece[] {
    const { rules, family } = chain;
    if (!isLong(chain)) return [{ kind: 'linear', start: 0, rules }];
    const pieces: Piece[] = [{ kind: 'linear', start: 0, rules: rules.slice(0, HEAD) }];
    // Words of one kind that follow each other make a piece. What tests allow is kept no longer than that takes.
    const word = (start: number): Allowed[][] =>
      rules.slice(start, start + WORD).map((rule) => this.fields.allowed(rule, family));
    let next = word(HEAD);
    for (let start = HEAD; start < rules.length; ) {
      const found = selective(next);
      const allowed = next;
      let end = start + next.length;
      next = word(end);
      while (next.length > 0 && (!found || end - start < RUN_MAX) && selective(next) === found) {
        if (found) allowed.push(...next);
        end += next.length;
        next = word(end);
      }
      const own = rules.slice(start, end);
      const before = pieces.at(-1);
      const run = found && own.length >= RUN_MIN ? this.run(own, allowed, start) : undefined;
      if (run) pieces.push(run);
      else if (before?.kind === 'linear') before.rules = before.rules.concat(own);
      else pieces.push({ kind: 'linear', start, rules: own });
      start = end;
    }
    return pieces;
  }

  /** Nothing if no field tells enough of the rules apart: those behind a rule that changes it do not count. */
  private run(rules: RuleProgram[], allowed: readonly Allowed[][], start: number): Run | undefined {
    const byField = new Map<DispatchField, { allowed: (Allowed | undefined)[]; tested: number; intervals: number }>();
    const changed = new Set<DispatchField>();
    for (const [place, rule] of rules.entries()) {
      for (const each of allowed[place] ?? []) {
        if (changed.has(each.field)) continue;
        let dimension = byField.get(each.field);
        if (!dimension) {
          dimension = { allowed: new Array<undefined>(rules.length).fill(undefined), tested: 0, intervals: 0 };
          byField.set(each.field, dimension);
        }
        if (dimension.intervals + each.intervals.length > INTERVALS_MAX) continue;
        dimension.allowed[place] = each;
        dimension.tested++;
        dimension.intervals += each.intervals.length;
      }
      const fields = this.fields.changes(rule);
      for (const field of fields === 'all' ? ALL_FIELDS : fields) changed.add(field);
    }
    // The field with the most different tests comes first: it leaves the fewest rules over.
    const dimensions = [...byField]
      .filter(([, { tested }]) => tested >= rules.length * TESTED_PART)
      .map(([field, dimension]) => ({ field, allowed: dimension.allowed, different: different(dimension.allowed) }))
      .sort((a, b) => b.different - a.different || a.field - b.field)
      .slice(0, DIMENSIONS_MAX)
      .map(({ field, allowed: tests }) => ({ field, allowed: tests }));
    if (dimensions.length === 0) return undefined;
    return { kind: 'run', start, rules, dimensions, order: alike(dimensions, rules.length) };
  }
}

/** Whether a chain has enough rules for a run behind its head. */
export function isLong({ rules }: ChainProgram): boolean {
  return rules.length >= HEAD + RUN_MIN;
}

/** Brings rules together that test the same fields, and among them those that allow near values. */
function alike(dimensions: readonly RunDimension[], rules: number): number[] {
  const lowest = dimensions.map(({ allowed }) =>
    allowed.map((test) => (test && !test.invert ? test.intervals[0]?.[0] : undefined)),
  );
  const tested = Array.from({ length: rules }, (_, place) =>
    lowest.reduce((bits, values, bit) => bits | (values[place] === undefined ? 0 : 1 << bit), 0),
  );
  const compare = (a: number, b: number): number => {
    const fields = (tested[a] ?? 0) - (tested[b] ?? 0);
    if (fields !== 0) return fields;
    for (const values of lowest) {
      const first = values[a];
      const second = values[b];
      if (first !== undefined && second !== undefined && first !== second) return first < second ? -1 : 1;
    }
    return a - b;
  };
  return tested.map((_, place) => place).sort(compare);
}

function different(allowed: readonly (Allowed | undefined)[]): number {
  const keys = new Set<string>();
  for (const each of allowed) if (each) keys.add(each.key);
  return keys.size;
}

const ALL_FIELDS = Object.values(DispatchField).filter((each) => typeof each === 'number') as DispatchField[];

/** Whether most rules of a word have a test that few of the others share. */
function selective(word: readonly Allowed[][]): boolean {
  const shared = new Map<string, number>();
  for (const tests of word) {
    for (const { key, invert } of tests) if (!invert) shared.set(key, (shared.get(key) ?? 0) + 1);
  }
  const broad = word.filter(
    (tests) => !tests.some(({ key }) => (shared.get(key) ?? Number.POSITIVE_INFINITY) <= SHARED_MAX),
  );
  return broad.length <= word.length * BROAD_PART;
}

const FIELD_NAMES: Readonly<Record<DispatchField, string>> = {
  [DispatchField.L4PROTO]: 'l4proto',
  [DispatchField.CT_STATE]: 'ct state',
  [DispatchField.TCP_FLAGS]: 'tcp flags',
  [DispatchField.SPORT]: 'sport',
  [DispatchField.DPORT]: 'dport',
  [DispatchField.TH_SPORT]: 'th sport',
  [DispatchField.TH_DPORT]: 'th dport',
  [DispatchField.MARK]: 'mark',
  [DispatchField.SADDR]: 'saddr',
  [DispatchField.DADDR]: 'daddr',
  [DispatchField.SADDR6]: 'saddr',
  [DispatchField.DADDR6]: 'daddr',
  [DispatchField.IIF]: 'iif',
  [DispatchField.OIF]: 'oif',
};

/** A line for each piece: which rules it has (numbered from 1 in the chain's code), and how they are found. */
export function printPieces(pieces: readonly Piece[]): string {
  return pieces
    .map((piece) => {
      const range = `rules ${piece.start + 1} to ${piece.start + piece.rules.length}`;
      if (piece.kind === 'linear') return `${range}: one after the other\n`;
      const fields = piece.dimensions.map(({ field, allowed }) => {
        const tests = allowed.filter((each) => each !== undefined).length;
        return `${FIELD_NAMES[field]} (${tests} rules, ${different(allowed)} different)`;
      });
      return `${range}: by ${fields.join(', ')}\n`;
    })
    .join('');
}
