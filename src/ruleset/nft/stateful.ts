import { own } from '../iptables/names.ts';
import type { Counter, LimitValues, NftObject, ObjectKind, Place, QuotaValues, Statement } from './ast.ts';
import { readInteger } from './constants.ts';
import type { Context } from './context.ts';
import { typed } from './datatypes.ts';
import { readExpression, readNumber, startsExpression, typesOf } from './expressions.ts';
import { readDuration, readIdentifier, readSetUse } from './sets.ts';
import { refuseAt } from './text.ts';

/** Statements with a state of their own, which elements of sets may have, too. */
export function readStateful(context: Context): Statement | undefined {
  const { cursor } = context;
  const token = cursor.peek();
  if (token.kind !== 'word') return undefined;
  switch (token.text) {
    case 'counter':
      cursor.take();
      if (cursor.is('name')) return readObject(context, 'counter', token.at);
      return { kind: 'counter', counter: readCounter(context), at: cursor.since(token.at) };
    case 'limit':
      cursor.take();
      if (cursor.is('name')) return readObject(context, 'limit', token.at);
      return { kind: 'limit', limit: readLimit(context), at: cursor.since(token.at) };
    case 'quota':
      cursor.take();
      if (cursor.is('name')) return readObject(context, 'quota', token.at);
      return { kind: 'quota', quota: readQuota(context), at: cursor.since(token.at) };
    case 'last':
      cursor.take();
      if (cursor.accept('used') && !cursor.accept('never')) readDuration(context);
      return { kind: 'last', at: cursor.since(token.at) };
    case 'ct':
      return cursor.is('count', 1) ? readCtCount(context) : undefined;
    default:
      return undefined;
  }
}

function readCtCount(context: Context): Statement {
  const { cursor } = context;
  const first = cursor.expect('ct');
  cursor.expect('count');
  const over = cursor.accept('over');
  const count = readNumber(context);
  return { kind: 'ct count', count, over, at: cursor.since(first.at) };
}

/** What stands behind `counter`: nothing, or `packets N bytes N`. */
function readCounter(context: Context): Counter {
  const { cursor } = context;
  const keyword = cursor.last;
  if (keyword.defined) refuseAt('RULESET_UNSUPPORTED', 'a counter within a definition is not supported', keyword.at);
  const counter: Counter = { index: -1 };
  const { end } = keyword.at;
  if (!cursor.is('packets')) {
    context.counters.push({ counter, start: end, end, before: ' ', after: '', json: false });
    return counter;
  }
  const { start } = cursor.peek().at;
  readCounterValues(context, counter);
  context.counters.push({ counter, start, end: cursor.last.at.end, before: '', after: '', json: false });
  return counter;
}

/** `packets N bytes N` */
export function readCounterValues(context: Context, counter: Counter): void {
  const { cursor } = context;
  cursor.expect('packets');
  const packets = readLong(context);
  cursor.expect('bytes');
  counter.stated = { packets, bytes: readLong(context) };
}

/** A number of up to 64 bits. */
export function readLong({ cursor }: Context): bigint {
  const token = cursor.peek();
  const number = token.kind === 'number' ? readInteger(token.text) : undefined;
  if (number === undefined) return cursor.unexpected('a number');
  cursor.take();
  if (number >> 64n !== 0n) refuseAt('RULESET_INVALID', `'${token.text}' does not fit into 64 bits`, token.at);
  return number;
}

const BYTE_UNITS: Readonly<Record<string, bigint>> = { bytes: 1n, kbytes: 1024n, mbytes: 1024n * 1024n };
const TIME_UNITS: Readonly<Record<string, number>> = { second: 1, minute: 60, hour: 3600, day: 86_400, week: 604_800 };

/** Packets that may come at once if nothing is said (nft's own default). */
const BURST_PACKETS = 5n;

/** `rate [over] N[ mbytes]/second [burst N packets|kbytes]` */
export function readLimit(context: Context): LimitValues {
  const { cursor } = context;
  cursor.expect('rate');
  const over = cursor.accept('over');
  if (!over) cursor.accept('until');
  const first = cursor.peek();
  const number = readLong(context);
  // nft's own lexer takes `mbytes/second` for one word, too.
  const [bytes, glued] = cursor.peek().kind === 'word' ? cursor.take().text.split('/') : [];
  if (glued === undefined) cursor.expect('/');
  const unit = glued === undefined ? cursor.take().text : glued;
  const seconds = own(TIME_UNITS, unit);
  const scale = bytes === undefined ? 1n : own(BYTE_UNITS, bytes);
  const at = cursor.since(first.at);
  if (seconds === undefined || scale === undefined) return refuseAt('RULESET_SYNTAX', 'the rate has no known unit', at);
  const rate = number * scale;
  if (rate === 0n) refuseAt('RULESET_INVALID', 'a rate of 0', at);
  const limit: LimitValues = {
    rate,
    unit: bytes === undefined ? 'packets' : 'bytes',
    seconds,
    burst: bytes === undefined ? BURST_PACKETS : 0n,
    over,
  };
  if (cursor.accept('burst')) limit.burst = readBurst(context, limit.unit);
  return limit;
}

function readBurst(context: Context, unit: LimitValues['unit']): bigint {
  const { cursor } = context;
  const burst = readLong(context);
  const word = cursor.take();
  const scale = unit === 'packets' ? own({ packets: 1n }, word.text) : own(BYTE_UNITS, word.text);
  return burst * (scale ?? refuseAt('RULESET_INVALID', `a burst of ${word.text} for a rate of ${unit}`, word.at));
}

/** `[over|until] N mbytes [used N bytes]` */
export function readQuota(context: Context): QuotaValues {
  const { cursor } = context;
  const over = cursor.accept('over');
  if (!over) cursor.accept('until');
  const bytes = readByteCount(context);
  return { bytes, used: cursor.accept('used') ? readByteCount(context) : 0n, over };
}

function readByteCount(context: Context): bigint {
  const number = readLong(context);
  const unit = context.cursor.take();
  const scale = own(BYTE_UNITS, unit.text);
  return number * (scale ?? refuseAt('RULESET_SYNTAX', `'${unit.text}' is not bytes, kbytes or mbytes`, unit.at));
}

/** `name "x"`, or `name tcp dport map { 80 : "x" }`. */
function readObject(context: Context, object: ObjectKind, from: Place): Statement {
  context.cursor.expect('name');
  return readObjectUse(context, object, from);
}

/** `ct helper set "x"` and the like. */
export function readObjectAssignment(context: Context): Statement | undefined {
  const { cursor } = context;
  const first = cursor.peek();
  if (!cursor.is('ct') || !cursor.is('set', 2)) return undefined;
  const key = cursor.peek(1).text;
  if (key !== 'helper' && key !== 'timeout' && key !== 'expectation') return undefined;
  for (let words = 0; words < 3; words++) cursor.take();
  return readObjectUse(context, `ct ${key}`, first.at);
}

function readObjectUse(context: Context, object: ObjectKind, from: Place): Statement {
  const { cursor, links, table } = context;
  if (cursor.peek().kind === 'word' && startsExpression(cursor.peek(), typed('string'))) {
    const key = readExpression(context);
    cursor.expect('map');
    const map = readSetUse(context, typesOf(key), { kind: 'object', object });
    const statement: Statement = { kind: 'object map', object, key, map, at: cursor.since(from) };
    links.later(context.table, () => checkObjects(context, statement));
    return statement;
  }
  const name = readIdentifier(context, `the name of a ${object}`);
  const statement = { kind: 'object', object, name: name.text, at: cursor.since(from) } as Statement & {
    reference: NftObject;
  };
  links.object(table, statement, object, name.text, name.at);
  return statement;
}

/** The objects that a map names must exist. */
function checkObjects({ links, table }: Context, { map, object }: Statement & { kind: 'object map' }): void {
  const elements = map.kind === 'anonymous set' ? map.elements : [];
  for (const { data } of elements) {
    if (data?.kind === 'name') links.require(table, object, data.text, data.at);
  }
}
