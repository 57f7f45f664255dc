// What does a set or map hold: elements in braces, in a rule or of a declaration, and what the declaration says?
import type {
  AnonymousSet,
  Concat,
  Constant,
  Element,
  NftSet,
  NftTable,
  ObjectKind,
  Place,
  SetUse,
  Statement,
  Typed,
  VerdictValue,
} from './ast.ts';
import { readConstant, readParts } from './constants.ts';
import { type Context, lookup, nest } from './context.ts';
import { parseTime, typeByName, typed } from './datatypes.ts';
import { readExpression, readNumber, typesOf } from './expressions.ts';
import type { Token } from './lex.ts';
import { readStateful } from './stateful.ts';
import { readVerdict } from './statements.ts';
import { refuseAt } from './text.ts';

/** What stands behind the colon of a map's element; `address`: of either family, and perhaps a port. */
export type DataType = NonNullable<NftSet['data']> | { kind: 'address'; type: Typed | undefined };

/** `@name` or `{ ... }`. */
export function readSetUse(context: Context, key: readonly Typed[], data?: DataType): SetUse {
  const { cursor, links, table } = context;
  const first = cursor.peek();
  if (cursor.accept('@')) {
    const name = readIdentifier(context, 'the name of a set');
    return links.reference(table, name.text, cursor.since(first.at));
  }
  const set: AnonymousSet = { kind: 'anonymous set', elements: [], at: first.at };
  readElements(context, key, data, set.elements);
  set.at = cursor.since(first.at);
  return set;
}

/** A name: a word, or anything in quotes. */
export function readIdentifier({ cursor }: Context, what: string): Token {
  const { kind } = cursor.peek();
  if (kind !== 'word' && kind !== 'quoted') cursor.unexpected(what);
  return cursor.take();
}

/** Elements in braces; those of a set within the set are its own, too. */
export function readElements(
  context: Context,
  key: readonly Typed[],
  data: DataType | undefined,
  elements: Element[],
): void {
  const { cursor } = context;
  const open = cursor.expect('{');
  cursor.skipNewlines();
  while (!cursor.is('}')) {
    if (cursor.is('{')) nest(context, open.at, () => readElements(context, key, data, elements));
    else elements.push(readElement(context, key, data));
    cursor.skipNewlines();
    if (!cursor.accept(',') && !cursor.is('}')) cursor.unexpected("',' or '}'");
    cursor.skipNewlines();
  }
  cursor.expect('}');
}

function readElement(context: Context, types: readonly Typed[], data: DataType | undefined): Element {
  const { cursor } = context;
  const { at } = cursor.peek();
  const key: Element['key'] = cursor.accept('*') ? { kind: 'wildcard', at } : readParts(context, types);
  const element: Element = { key, statements: [], at };
  readElementOptions(context, element);
  if (data !== undefined) {
    cursor.expect(':');
    cursor.skipNewlines();
    element.data = readData(context, data);
    readElementOptions(context, element);
  }
  element.at = cursor.since(at);
  return element;
}

function readElementOptions(context: Context, element: Element): void {
  const { cursor } = context;
  for (;;) {
    if (cursor.accept('timeout')) element.timeout = readDuration(context);
    else if (cursor.accept('expires')) element.expires = readDuration(context);
    else if (cursor.accept('comment')) element.comment = readIdentifier(context, 'a comment').text;
    else {
      const statement = readStateful(context);
      if (statement === undefined) return;
      element.statements.push(statement);
    }
  }
}

/** Milliseconds. */
export function readDuration({ cursor }: Context): number {
  const token = cursor.take();
  const time =
    token.kind === 'number' || token.kind === 'time' || token.kind === 'quoted' ? parseTime(token.text) : undefined;
  return time ?? refuseAt('RULESET_SYNTAX', `'${token.text}' is not a time`, token.at);
}

export function readData(context: Context, data: DataType): Constant | Concat | VerdictValue {
  const { cursor } = context;
  switch (data.kind) {
    case 'verdict':
      return readVerdict(context) ?? cursor.unexpected('a verdict');
    case 'object': {
      const { text, at } = readIdentifier(context, `the name of a ${data.object}`);
      return { kind: 'name', type: 'string', text, prefix: false, at };
    }
    case 'address': {
      const address = readConstant(context, data.type ?? addressType(context));
      if (!cursor.accept('.')) return address;
      const port = readConstant(context, typed('inet_service'));
      return { kind: 'concat', parts: [address, port], at: cursor.since(address.at) };
    }
    case 'values':
      return readParts(context, data.types);
  }
}

/** The type of the address that comes next, by how it is written. */
export function addressType({ cursor }: Context): Typed {
  return typed(cursor.peek().kind === 'ipv6' || cursor.is('[') ? 'ipv6_addr' : 'ipv4_addr');
}

const OBJECTS: readonly ObjectKind[] = ['counter', 'quota', 'limit', 'synproxy', 'secmark'];
const FLAGS = ['constant', 'interval', 'timeout', 'dynamic'] as const;

/** Most that a set may hold (u32). */
const SIZE_MAX = 0xffff_ffff;

/** The block of a set or map, up to its closing brace, into a new set. */
export function readSetBlock(context: Context, set: NftSet, map: boolean): void {
  const { cursor } = context;
  cursor.skipNewlines();
  while (!cursor.is('}')) {
    readSetEntry(context, set, map);
    if (!cursor.atEnd()) cursor.unexpected('the end of the line');
    cursor.skipNewlines();
  }
  checkType(set, map);
}

export function checkType(set: NftSet, map: boolean): void {
  const what = map ? 'map' : 'set';
  if (set.key.length === 0) refuseAt('RULESET_INVALID', `the type of ${what} '${set.name}' is missing`, set.at);
  if (map && set.data === undefined) refuseAt('RULESET_INVALID', `what map '${set.name}' holds is missing`, set.at);
}

function readSetEntry(context: Context, set: NftSet, map: boolean): void {
  const { cursor } = context;
  const word = cursor.peek();
  if (word.kind === 'word') {
    switch (word.text) {
      case 'type':
      case 'typeof':
        cursor.take();
        readType(context, set, map, word.text === 'typeof');
        return;
      case 'flags':
        cursor.take();
        do readFlag(context, set);
        while (cursor.accept(','));
        return;
      case 'timeout':
        cursor.take();
        set.timeout = readDuration(context);
        // nft leaves the flag out where it prints the time.
        set.flags.timeout = true;
        return;
      case 'gc-interval':
        cursor.take();
        set.gcInterval = readDuration(context);
        return;
      case 'size':
        cursor.take();
        set.size = readNumber(context, SIZE_MAX);
        return;
      case 'policy': {
        cursor.take();
        if (!cursor.is('performance') && !cursor.is('memory')) cursor.unexpected("'performance' or 'memory'");
        set.policy = cursor.take().text as 'performance' | 'memory';
        return;
      }
      case 'auto-merge':
        cursor.take();
        set.autoMerge = true;
        return;
      case 'comment':
        cursor.take();
        set.comment = readIdentifier(context, 'a comment').text;
        return;
      case 'elements':
        cursor.take();
        cursor.expect('=');
        checkType(set, map);
        readElements(context, set.key, set.data, set.elements);
        return;
      default:
        break;
    }
  }
  set.statements.push(readTemplate(context) ?? cursor.unexpected('a property of a set'));
}

/** A statement that elements are to get: its counter counts nothing itself. */
export function readTemplate(context: Context): Statement | undefined {
  const { length } = context.counters;
  const statement = readStateful(context);
  context.counters.length = length;
  return statement;
}

function readFlag({ cursor }: Context, set: NftSet): void {
  const flag = FLAGS.find((each) => cursor.is(each)) ?? cursor.unexpected('constant, interval, timeout or dynamic');
  set.flags[flag] = true;
  cursor.take();
}

/** `type a . b [: data]`, `typeof expression [: data]` */
function readType(context: Context, set: NftSet, map: boolean, typeOf: boolean): void {
  const { cursor } = context;
  set.key = readTypes(context, typeOf);
  if (!map) return;
  cursor.expect(':');
  const interval = cursor.accept('interval');
  const word = cursor.peek();
  if (cursor.accept('verdict')) {
    set.data = { kind: 'verdict' };
    return;
  }
  const object = OBJECTS.find((each) => cursor.is(each));
  if (object !== undefined && (!typeOf || cursor.peek(1).kind === 'newline')) {
    cursor.take();
    set.data = { kind: 'object', object };
    return;
  }
  if (cursor.is('ct') && (cursor.is('helper', 1) || cursor.is('timeout', 1) || cursor.is('expectation', 1))) {
    if (cursor.peek(2).kind === 'newline') {
      cursor.take();
      set.data = { kind: 'object', object: `ct ${cursor.take().text}` as ObjectKind };
      return;
    }
  }
  const types = readTypes(context, typeOf);
  if (types.length > 2) refuseAt('RULESET_UNSUPPORTED', 'data of more than two parts', cursor.since(word.at));
  set.data = { kind: 'values', types, interval };
}

function readTypes(context: Context, typeOf: boolean): Typed[] {
  const { cursor } = context;
  if (typeOf) {
    const expression = readExpression(context);
    return typesOf(expression);
  }
  const types: Typed[] = [];
  do {
    const word = readIdentifier(context, 'a type');
    const type = typeByName(word.text);
    if (type === undefined) refuseAt('RULESET_UNSUPPORTED', `type '${word.text}' is not supported`, word.at);
    if (word.text === 'integer') {
      refuseAt('RULESET_UNSUPPORTED', "'integer' does not say how many bits: use typeof", word.at);
    }
    types.push(type);
  } while (cursor.accept('.'));
  return types;
}

/** Intervals need a set that is declared to have them. */
export function checkElements(set: NftSet): void {
  if (set.flags.interval) return;
  for (const { key } of set.elements) {
    for (const part of key.kind === 'concat' ? key.parts : [key]) {
      if (part.kind === 'range' || part.kind === 'prefix' || (part.kind === 'name' && part.prefix)) {
        refuseAt('RULESET_INVALID', `an interval in set '${set.name}', which has no 'flags interval'`, part.at);
      }
    }
  }
}

/** The set of that name, new if there is none. */
export function declareSet(table: NftTable, name: string, at: Place): NftSet {
  const { sets } = lookup(table);
  const found = sets.get(name);
  if (found !== undefined) return found;
  const set: NftSet = {
    family: table.family,
    table: table.name,
    name,
    key: [],
    flags: { constant: false, interval: false, timeout: false, dynamic: false },
    autoMerge: false,
    statements: [],
    elements: [],
    at,
  };
  sets.set(name, set);
  table.sets.push(set);
  return set;
}

/** The set that a statement of a rule names with `@`, which must be declared before it. */
export function declaredSet(context: Context, name: string, at: Place): NftSet {
  const set = lookup(context.table).sets.get(name);
  return set ?? refuseAt('RULESET_INVALID', `set '${name}' is not declared before this`, at);
}
