// What does a rule do: its statements, from the left to the right?

import type { LogOptions } from '../ast.ts';
import { LOG_LEVELS, own } from '../iptables/names.ts';
import type {
  Counter,
  Expression,
  LimitValues,
  Match,
  NftObject,
  ObjectKind,
  Place,
  QuotaValues,
  Range,
  SetUpdate,
  Statement,
  Typed,
  VerdictValue,
} from './ast.ts';
import { readBits, readBounds, readInteger, readParts } from './constants.ts';
import type { Context } from './context.ts';
import { isBitmask, numberByName, typed } from './datatypes.ts';
import { readExpression, readNumber, readOperand, startsExpression, typesOf } from './expressions.ts';
import { readNat } from './nat.ts';
import { declaredSet, readData, readDuration, readIdentifier, readSetUse, readTemplate } from './sets.ts';
import { refuseAt } from './text.ts';

/** Statements that act on packets in a way that is not simulated. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  'dup',
  'fwd',
  'tproxy',
  'synproxy',
  'flow',
  'meter',
  'set',
  'secmark',
]);

/** NF_LOG_PREFIXLEN - 1 */
const LOG_PREFIX_MAX = 127;

/** Reads one statement, undefined where none begins. */
export function readStatement(context: Context): Statement {
  const { cursor } = context;
  const token = cursor.peek();
  if (token.kind === 'word') {
    const verdict = readVerdict(context);
    if (verdict !== undefined) return verdict;
    const stateful = readStateful(context);
    if (stateful !== undefined) return stateful;
    const { text, at } = token;
    if (UNSUPPORTED.has(text)) refuseAt('RULESET_UNSUPPORTED', `'${text}' is not supported`, at);
    switch (text) {
      case 'log':
        return readLog(context);
      case 'reject':
        return readReject(context);
      case 'notrack':
        return { kind: 'notrack', at: cursor.take().at };
      case 'snat':
      case 'dnat':
      case 'masquerade':
      case 'redirect':
        return readNat(context, text);
      case 'add':
      case 'update':
      case 'delete':
        return readSetUpdate(context, text);
      case 'reset':
        return readReset(context);
      case 'xt':
        return refuseAt(
          'RULESET_UNSUPPORTED',
          "nft cannot say what this rule of iptables-nft does: give the host's iptables-save and ip6tables-save, too",
          at,
        );
      default:
        break;
    }
    const assigned = readObjectAssignment(context);
    if (assigned !== undefined) return assigned;
  }
  return readMatch(context);
}

/** accept, drop, continue, return, jump, goto and queue. */
export function readVerdict(context: Context): VerdictValue | undefined {
  const { cursor, links, table } = context;
  const token = cursor.peek();
  if (token.kind !== 'word') return undefined;
  switch (token.text) {
    case 'accept':
    case 'drop':
    case 'continue':
    case 'return':
      return { kind: 'verdict', verdict: token.text, at: cursor.take().at };
    case 'jump':
    case 'goto': {
      const verdict = { kind: 'verdict', verdict: cursor.take().text } as VerdictValue & { verdict: 'jump' };
      const name = readIdentifier(context, 'the name of a chain');
      verdict.at = cursor.since(token.at);
      links.chain(table, verdict, name.text, name.at);
      return verdict;
    }
    case 'queue':
      return readQueue(context);
    default:
      return undefined;
  }
}

const QUEUE_FLAGS: readonly string[] = ['bypass', 'fanout'];

/** `queue [flags bypass,fanout] [to N[-M]]`, or as older versions print it `queue num N[-M] bypass,fanout`. */
function readQueue(context: Context): VerdictValue {
  const { cursor } = context;
  const first = cursor.expect('queue');
  const flags: string[] = [];
  let from = 0;
  let to = 0;
  for (;;) {
    if (cursor.accept('to') || cursor.accept('num')) {
      if (cursor.peek().kind !== 'number') {
        refuseAt('RULESET_UNSUPPORTED', 'a queue number that is computed is not supported', cursor.peek().at);
      }
      from = readNumber(context, 0xffff);
      to = cursor.accept('-') ? readNumber(context, 0xffff) : from;
      if (to < from) refuseAt('RULESET_INVALID', 'the range ends before it starts', cursor.since(first.at));
    } else if (cursor.accept('flags') || QUEUE_FLAGS.some((flag) => cursor.is(flag))) {
      do {
        if (!QUEUE_FLAGS.some((flag) => cursor.is(flag))) cursor.unexpected("'bypass' or 'fanout'");
        flags.push(cursor.take().text);
      } while (cursor.accept(','));
    } else {
      return { kind: 'verdict', verdict: 'queue', from, to, flags, at: cursor.since(first.at) };
    }
  }
}

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
function readObjectAssignment(context: Context): Statement | undefined {
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

function readLog(context: Context): Statement {
  const { cursor } = context;
  const first = cursor.expect('log');
  const log: LogOptions = { kind: 'LOG' };
  const flags = new Set<string>();
  for (;;) {
    if (cursor.accept('prefix')) {
      const prefix = readIdentifier(context, 'a prefix');
      if (Buffer.byteLength(prefix.text) > LOG_PREFIX_MAX) {
        refuseAt('RULESET_INVALID', `a prefix has at most ${LOG_PREFIX_MAX} characters`, prefix.at);
      }
      log.prefix = prefix.text;
    } else if (cursor.accept('level')) {
      const level = cursor.take();
      const number = own(LOG_LEVELS, level.text === 'warn' ? 'warning' : level.text);
      if (number === undefined) {
        refuseAt('RULESET_UNSUPPORTED', `log level '${level.text}' is not supported`, level.at);
      }
      log.level = number;
    } else if (cursor.accept('group')) {
      log.kind = 'NFLOG';
      log.group = readNumber(context, 0xffff);
    } else if (cursor.accept('snaplen')) log.size = readNumber(context);
    else if (cursor.accept('queue-threshold')) log.threshold = readNumber(context, 0xffff);
    else if (cursor.accept('flags')) readLogFlags(context, flags);
    else break;
  }
  if (log.kind === 'LOG') {
    log.level ??= own(LOG_LEVELS, 'warning') ?? 0;
    if (flags.size > 0) log.flags = LOG_FLAGS.filter((flag) => flags.has(flag));
  }
  return { kind: 'log', log, at: cursor.since(first.at) };
}

/** In the words of LOG's options. */
const LOG_FLAGS: readonly string[] = ['tcp-sequence', 'tcp-options', 'ip-options', 'uid', 'macdecode'];

function readLogFlags({ cursor }: Context, flags: Set<string>): void {
  const word = cursor.take();
  switch (word.text) {
    case 'all':
      for (const flag of LOG_FLAGS) flags.add(flag);
      return;
    case 'skuid':
      flags.add('uid');
      return;
    case 'ether':
      flags.add('macdecode');
      return;
    case 'ip':
      cursor.expect('options');
      flags.add('ip-options');
      return;
    case 'tcp':
      do {
        if (!cursor.is('sequence') && !cursor.is('options')) cursor.unexpected("'sequence' or 'options'");
        flags.add(`tcp-${cursor.take().text}`);
      } while (cursor.accept(','));
      return;
    default:
      refuseAt('RULESET_SYNTAX', `'${word.text}' is not a log flag`, word.at);
  }
}

const REJECTS = {
  icmp: { type: typed('icmp_code'), port: 3 },
  icmpv6: { type: typed('icmpv6_code'), port: 4 },
  icmpx: { type: typed('icmpx_code'), port: 1 },
} as const;

/** Without more words: port unreachable in the family of the table. */
function readReject(context: Context): Statement {
  const { cursor, table } = context;
  const first = cursor.expect('reject');
  if (!cursor.accept('with')) {
    const kind = table.family === 'ip' ? 'icmp' : table.family === 'ip6' ? 'icmpv6' : 'icmpx';
    return { kind: 'reject', with: kind, code: REJECTS[kind].port, at: first.at };
  }
  const word = cursor.take();
  if (word.text === 'tcp') {
    cursor.expect('reset');
    return { kind: 'reject', with: 'tcp reset', at: cursor.since(first.at) };
  }
  if (word.text !== 'icmp' && word.text !== 'icmpv6' && word.text !== 'icmpx') {
    return refuseAt('RULESET_SYNTAX', `'${word.text}' is not what reject answers with`, word.at);
  }
  if (cursor.is('type') && cursor.peek(1).kind !== 'newline') cursor.take();
  const token = cursor.take();
  const code = token.kind === 'number' ? Number(token.text) : numberByName(REJECTS[word.text].type.type, token.text);
  if (code === undefined || code > 255) return refuseAt('RULESET_SYNTAX', `'${token.text}' is not a code`, token.at);
  const at = cursor.since(first.at);
  if ((word.text === 'icmp' && table.family === 'ip6') || (word.text === 'icmpv6' && table.family === 'ip')) {
    refuseAt('RULESET_INVALID', `${word.text} in a table of family ${table.family}`, at);
  }
  return { kind: 'reject', with: word.text, code, at };
}

function readReset(context: Context): Statement {
  const { cursor } = context;
  const first = cursor.expect('reset');
  const target = readExpression(context);
  const at = cursor.since(first.at);
  if (target.kind !== 'exthdr' || target.of !== 'tcp option' || target.field !== undefined) {
    return refuseAt('RULESET_SYNTAX', 'reset removes a TCP option', at);
  }
  return { kind: 'reset', target, at };
}

/** `update @set { key timeout 1m counter : data }` */
function readSetUpdate(context: Context, op: SetUpdate['op']): Statement {
  const { cursor, links, table } = context;
  const first = cursor.take();
  const sign = cursor.expect('@');
  const name = readIdentifier(context, 'the name of a set');
  const set = links.reference(table, name.text, cursor.since(sign.at));
  cursor.expect('{');
  cursor.skipNewlines();
  const key = readExpression(context);
  const update: SetUpdate = { kind: 'set update', op, set, key, statements: [], at: first.at };
  for (;;) {
    const statement = readTemplate(context);
    if (statement !== undefined) update.statements.push(statement);
    else if (cursor.accept('timeout')) update.timeout = readDuration(context);
    else if (cursor.accept('comment')) readIdentifier(context, 'a comment');
    else break;
  }
  if (cursor.accept(':')) {
    const { data } = declaredSet(context, name.text, name.at);
    if (data?.kind !== 'values') return refuseAt('RULESET_INVALID', `'${name.text}' is not a map of values`, name.at);
    update.data = startsExpression(cursor.peek(), data.types[0] ?? typed('integer', 32))
      ? readExpression(context)
      : readData(context, data);
  }
  cursor.skipNewlines();
  cursor.expect('}');
  update.at = cursor.since(first.at);
  // The JSON of some versions leaves the flag out.
  links.later(table, () => {
    set.set.flags.dynamic = true;
  });
  return update;
}

const RELATIONS: Readonly<Record<string, Match['op']>> = {
  '==': '==', eq: '==', '!=': '!=', ne: '!=', '<': '<', lt: '<', '>': '>', gt: '>', '<=': '<=', le: '<=',
  '>=': '>=', ge: '>=', '!': 'none',
}; // biome-ignore format: a table

/** A test, or what begins like one: a verdict map, or a value that is set. */
function readMatch(context: Context): Statement {
  const { cursor } = context;
  const left = readExpression(context);
  if (cursor.is('set')) return readAssignment(context, left);
  if (cursor.accept('vmap')) {
    const map = readSetUse(context, typesOf(left), { kind: 'verdict' });
    return { kind: 'vmap', key: left, map, at: cursor.since(left.at) };
  }
  const token = cursor.peek();
  const written = token.kind === 'quoted' ? undefined : own(RELATIONS, token.text);
  if (written !== undefined) cursor.take();
  return readRight(context, left, written);
}

function readRight(context: Context, left: Expression, written: Match['op'] | undefined): Match {
  const { cursor } = context;
  const types = typesOf(left);
  const [type = typed('integer', 32)] = types;
  const match = (op: Match['op'], right: Expression, on = left): Match => {
    return { kind: 'match', op, left: on, right, at: cursor.since(left.at) };
  };
  const op = written ?? '==';
  if (cursor.is('exists') || cursor.is('missing')) {
    if (left.kind === 'fib') Object.assign(left, { check: true, result: 'oif', ...typed('boolean') });
    const [answer = type] = typesOf(left);
    if (answer.type !== 'boolean') cursor.unexpected(`a value of type ${answer.type}`);
    return match(op, readParts(context, [answer]));
  }
  if (cursor.is('@') || cursor.is('{')) {
    if (op !== '==' && op !== '!=') cursor.unexpected('a value');
    return match(op, readSetUse(context, types));
  }
  if (types.length > 1) return match(op, readParts(context, types));
  if (isBitmask(type.type)) return readBitMatch(context, left, type, written, match);
  const right = readBounds(context, type);
  if (right.kind === 'range' && wrapped(right)) return nightMatch(right, op, match);
  return match(op, right);
}

type MakeMatch = (op: Match['op'], right: Expression, on?: Expression) => Match;

/** `tcp flags syn`, `tcp flags ! syn`, `tcp flags syn / syn,ack`, and with a comparison the value as a whole. */
function readBitMatch(
  context: Context,
  left: Expression,
  type: Typed,
  written: Match['op'] | undefined,
  match: MakeMatch,
): Match {
  const { cursor } = context;
  const bits = readBits(context, type);
  if (cursor.accept('/')) {
    const right = readBits(context, type);
    const masked: Expression = { kind: 'binary', op: '&', left, right, ...type, at: cursor.since(left.at) };
    return match(written ?? '==', bits, masked);
  }
  return match(written ?? (left.kind === 'binary' ? '==' : 'any'), bits);
}

function wrapped({ low, high }: Range): boolean {
  return Buffer.compare(low.bytes, high.bytes) > 0;
}

/** Hours from an evening to a morning: what is not between that morning and that evening. */
function nightMatch({ low, high, at }: Range, op: Match['op'], match: MakeMatch): Match {
  if (low.type !== 'hour' || (op !== '==' && op !== '!=')) {
    return refuseAt('RULESET_INVALID', 'the range ends before it starts', at);
  }
  return match(op === '==' ? '!=' : '==', { kind: 'range', low: high, high: low, at });
}

function readAssignment(context: Context, target: Expression): Statement {
  const { cursor } = context;
  const settable =
    target.kind === 'payload' || target.kind === 'meta' || target.kind === 'ct' || target.kind === 'exthdr';
  if (!settable) return refuseAt('RULESET_SYNTAX', 'this cannot be set', target.at);
  cursor.expect('set');
  const [type = typed('integer', 32)] = typesOf(target);
  const value = readValue(context, type);
  return { kind: 'set', target, value, at: cursor.since(target.at) };
}

/** What something is set to: a constant, an expression, or what a map has for one. */
export function readValue(context: Context, type: Typed): Expression {
  const { cursor } = context;
  let value: Expression;
  if (startsExpression(cursor.peek(), type)) value = readExpression(context);
  else if (isBitmask(type.type)) value = readBits(context, type);
  else value = readOperand(context, type);
  if (!cursor.accept('map')) return value;
  const data = { kind: 'values' as const, types: [type], interval: false };
  const map = readSetUse(context, typesOf(value), data);
  return { kind: 'map', key: value, map, at: cursor.since(value.at) };
}
