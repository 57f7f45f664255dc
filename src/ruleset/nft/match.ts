import { own } from '../iptables/names.ts';
import type { Expression, Match, Range, Statement, Typed } from './ast.ts';
import { readBits, readBounds, readParts } from './constants.ts';
import type { Context } from './context.ts';
import { isBitmask, typed } from './datatypes.ts';
import { readExpression, readOperand, startsExpression, typesOf } from './expressions.ts';
import { readSetUse } from './sets.ts';
import { refuseAt } from './text.ts';

const RELATIONS: Readonly<Record<string, Match['op']>> = {
  '==': '==', eq: '==', '!=': '!=', ne: '!=', '<': '<', lt: '<', '>': '>', gt: '>', '<=': '<=', le: '<=',
  '>=': '>=', ge: '>=', '!': 'none',
}; // biome-ignore format: a table

/** A test, or what begins like one: a verdict map, or a value that is set. */
export function readMatch(context: Context): Statement {
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
