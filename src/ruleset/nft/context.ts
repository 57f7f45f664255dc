// What do the readers of rules and sets share: the text, the table they are in, and names that are resolved later?
import type { LabelNames } from '../source.ts';
import type { CounterPlace, NftChain, NftObject, NftSet, NftTable, ObjectKind, Place, SetReference } from './ast.ts';
import type { Cursor } from './cursor.ts';
import { refuseAt } from './text.ts';

export interface Context {
  cursor: Cursor;
  table: NftTable;
  labels: LabelNames | undefined;
  /** Names that a table must have once the whole text is read: a block may use what comes further down. */
  links: Links;
  counters: CounterPlace[];
  /** Parentheses, and what else stands within itself, that are open. */
  depth: number;
}

/** Such things within each other: no rule needs many, and each takes from our stack. */
const DEPTH_MAX = 32;

export function nest<T>(context: Context, at: Place, read: () => T): T {
  if (context.depth === DEPTH_MAX) refuseAt('RULESET_UNSUPPORTED', `nested deeper than ${DEPTH_MAX}`, at);
  context.depth++;
  const found = read();
  context.depth--;
  return found;
}

interface Waiting {
  table: NftTable;
  resolve: () => void;
}

/** Names of chains, sets and objects, and what waits for them. */
export class Links {
  private waiting: Waiting[] = [];

  /** Sets `target.chain` once the chain is known. */
  chain(table: NftTable, target: { chain: NftChain }, name: string, at: Place): void {
    this.later(table, () => {
      const chain = lookup(table).chains.get(name);
      if (chain === undefined) refuseAt('RULESET_INVALID', `chain '${name}' does not exist in ${tableName(table)}`, at);
      if (chain.base !== undefined)
        refuseAt('RULESET_INVALID', `'${name}' is a base chain and cannot be jumped to`, at);
      target.chain = chain;
    });
  }

  reference(table: NftTable, name: string, at: Place): SetReference {
    const reference = { kind: 'set reference', name, at } as SetReference;
    this.later(table, () => {
      const set = lookup(table).sets.get(name);
      if (set === undefined) refuseAt('RULESET_INVALID', `set '${name}' does not exist in ${tableName(table)}`, at);
      reference.set = set;
    });
    return reference;
  }

  object(table: NftTable, target: { reference: NftObject }, object: ObjectKind, name: string, at: Place): void {
    this.later(table, () => {
      target.reference = this.require(table, object, name, at);
    });
  }

  /** The object of that name. */
  require(table: NftTable, object: ObjectKind, name: string, at: Place): NftObject {
    const found = lookup(table).objects.get(objectKey(object, name));
    return found ?? refuseAt('RULESET_INVALID', `${object} '${name}' does not exist in ${tableName(table)}`, at);
  }

  /** Runs once all names are known. */
  later(table: NftTable, resolve: () => void): void {
    this.waiting.push({ table, resolve });
  }

  /** Drops what waits for names of a table that was deleted. */
  forget(table: NftTable): void {
    this.waiting = this.waiting.filter((each) => each.table !== table);
  }

  /** Throws for the first name, in the order of the text, that does not exist. */
  resolve(): void {
    for (const { resolve } of this.waiting) resolve();
    this.waiting = [];
  }
}

interface Names {
  chains: Map<string, NftChain>;
  sets: Map<string, NftSet>;
  objects: Map<string, NftObject>;
}

const NAMES = new WeakMap<NftTable, Names>();

/** What a table has, by name. */
export function lookup(table: NftTable): Names {
  let names = NAMES.get(table);
  if (names === undefined) {
    names = { chains: new Map(), sets: new Map(), objects: new Map() };
    NAMES.set(table, names);
  }
  return names;
}

export function objectKey(object: ObjectKind, name: string): string {
  return `${object} ${name}`;
}

export function tableName(table: NftTable): string {
  return `table ${table.family} ${table.name}`;
}
