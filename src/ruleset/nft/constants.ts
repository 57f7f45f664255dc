// Which value does a constant stand for, given the type that the other side asks for?
import { parseAddress } from '../../topology/addresses.ts';
import type { Concat, Constant, Name, Place, Range, Typed, Value } from './ast.ts';
import { type Context, nest } from './context.ts';
import { isBitmask, numberByName, parseDate, parseHour, parseTime } from './datatypes.ts';
import type { Token } from './lex.ts';
import { refuseAt, span } from './text.ts';

/** Binary operators by how tightly they bind; the words are those of nft's input language. */
export const OPERATORS: Readonly<Record<string, { op: '|' | '^' | '&' | '<<' | '>>'; strength: number }>> = {
  '|': { op: '|', strength: 1 },
  or: { op: '|', strength: 1 },
  '^': { op: '^', strength: 2 },
  xor: { op: '^', strength: 2 },
  '&': { op: '&', strength: 3 },
  and: { op: '&', strength: 3 },
  '<<': { op: '<<', strength: 4 },
  lshift: { op: '<<', strength: 4 },
  '>>': { op: '>>', strength: 4 },
  rshift: { op: '>>', strength: 4 },
};

/** IFNAMSIZ - 1 */
const IFNAME_MAX = 15;

export function bytesOf(number: bigint, bits: number): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(bits / 8));
  for (let index = bytes.length - 1, rest = number; index >= 0; index--, rest >>= 8n)
    bytes[index] = Number(rest & 0xffn);
  return bytes;
}

export function bigintOf({ bytes }: Value): bigint {
  let number = 0n;
  for (const byte of bytes) number = (number << 8n) | BigInt(byte);
  return number;
}

/** A number without a type of its own gets as many bits as the kernel's registers hold. */
function width({ bits }: Typed): number {
  return bits === 0 ? 32 : bits;
}

export function makeValue(type: Typed, number: bigint, at: Place): Value {
  const bits = width(type);
  if (number >> BigInt(bits) !== 0n) refuseAt('RULESET_INVALID', `the value does not fit into ${bits} bits`, at);
  return { kind: 'value', type: type.type, bits, bytes: bytesOf(number, bits), at };
}

/** A number as nft reads it: decimal, 0x hexadecimal, 0 octal; undefined if it is none. */
export function readInteger(text: string): bigint | undefined {
  if (/^0[xX][0-9a-fA-F]{1,64}$/.test(text)) return BigInt(text);
  if (/^0[0-7]{1,64}$/.test(text)) return BigInt(`0o${text}`);
  return /^\d{1,64}$/.test(text) ? BigInt(text) : undefined;
}

/** Reads `low-high`, `address/length`, or a plain value. Bits may be joined: `syn | ack`. */
export function readConstant(context: Context, type: Typed): Constant {
  const range = readBounds(context, type);
  if (range.kind === 'range' && bigintOf(range.low) > bigintOf(range.high)) {
    refuseAt('RULESET_INVALID', 'the range ends before it starts', range.at);
  }
  return range;
}

/** As readConstant, but a range may end before it starts: the hours of a night do. */
export function readBounds(context: Context, type: Typed): Constant {
  const { cursor } = context;
  const low = readScalar(context, type);
  if (low.kind === 'name') return low;
  if (cursor.is('/') && !isBitmask(type.type)) return readPrefix(context, low);
  if (!cursor.accept('-')) return low;
  const high = readScalar(context, type);
  if (high.kind === 'name') return refuseAt('RULESET_INVALID', 'a range has two values', high.at);
  return rangeOf(low, high);
}

function rangeOf(low: Value, high: Value): Value | Range {
  const at = span(low.at, high.at);
  return bigintOf(low) === bigintOf(high) ? { ...low, at } : { kind: 'range', low, high, at };
}

function readPrefix({ cursor }: Context, value: Value): Constant {
  cursor.expect('/');
  const token = cursor.take();
  const length = token.kind === 'number' ? Number(token.text) : Number.NaN;
  const at = span(value.at, token.at);
  if (!(length <= value.bits)) refuseAt('RULESET_INVALID', `a prefix of this has at most ${value.bits} bits`, at);
  if (length === value.bits) return { ...value, at };
  const rest = BigInt(value.bits - length);
  const masked = (bigintOf(value) >> rest) << rest;
  return { kind: 'prefix', value: { ...value, bytes: bytesOf(masked, value.bits), at }, length, at };
}

/** A list of bits, or one value: `established,related`. */
export function readBits(context: Context, type: Typed): Value | Name {
  const first = readScalar(context, type);
  if (first.kind === 'name' || !context.cursor.is(',')) return first;
  let number = bigintOf(first);
  while (context.cursor.accept(',')) {
    const next = readScalar(context, type);
    if (next.kind === 'value') number |= bigintOf(next);
  }
  return makeValue(type, number, context.cursor.since(first.at));
}

/** A constant for each part, joined by dots. */
export function readParts(context: Context, types: readonly Typed[]): Constant | Concat {
  const [first] = types;
  if (first === undefined) return context.cursor.unexpected('no value');
  if (types.length === 1) return readConstant(context, first);
  const parts = types.map((type, index) => {
    if (index > 0) context.cursor.expect('.');
    return readConstant(context, type);
  });
  return { kind: 'concat', parts, at: span((parts[0] as Constant).at, context.cursor.last.at) };
}

/** A value without range or prefix; binary operators are computed. */
export function readScalar(context: Context, type: Typed, strength = 0): Value | Name {
  const { cursor } = context;
  let left = readOperand(context, type);
  for (;;) {
    const operator = Object.hasOwn(OPERATORS, cursor.peek().text) ? OPERATORS[cursor.peek().text] : undefined;
    if (operator === undefined || operator.strength <= strength || cursor.peek().kind === 'quoted') return left;
    const token = cursor.take();
    const shift = operator.strength === 4;
    const right = readScalar(context, shift ? { type: 'integer', bits: 32 } : type, operator.strength);
    if (left.kind === 'name' || right.kind === 'name') {
      return refuseAt('RULESET_INVALID', `'${token.text}' needs numbers on both sides`, token.at);
    }
    left = compute(operator.op, left, right);
  }
}

export function compute(op: '|' | '^' | '&' | '<<' | '>>', left: Value, right: Value): Value {
  const at = span(left.at, right.at);
  const [a, b] = [bigintOf(left), bigintOf(right)];
  const results: Record<typeof op, () => bigint> = {
    '|': () => a | b,
    '^': () => a ^ b,
    '&': () => a & b,
    '<<': () => (b < 256n ? (a << b) & ((1n << BigInt(left.bits)) - 1n) : 0n),
    '>>': () => (b < 256n ? a >> b : 0n),
  };
  return makeValue(left, results[op](), at);
}

function readOperand(context: Context, type: Typed): Value | Name {
  const { cursor } = context;
  const open = cursor.peek();
  if (cursor.accept('(')) {
    const inner = nest(context, open.at, () =>
      isBitmask(type.type) ? readList(context, type) : readScalar(context, type),
    );
    cursor.expect(')');
    return inner;
  }
  if (type.type === 'ipv6_addr' && cursor.accept('[')) {
    const inner = readToken(context, type, cursor.take());
    cursor.expect(']');
    return { ...inner, at: cursor.since(open.at) };
  }
  if (type.type === 'classid') return readClass(context);
  if (open.kind === 'symbol' || open.kind === 'newline' || open.kind === 'end') cursor.unexpected('a value');
  return readToken(context, type, cursor.take());
}

/** Bits within parentheses: `(fin, syn)`, `(fin | syn)`. */
function readList(context: Context, type: Typed): Value | Name {
  let left = readScalar(context, type);
  while (left.kind === 'value' && context.cursor.accept(',')) {
    const right = readScalar(context, type);
    if (right.kind === 'value') left = compute('|', left, right);
  }
  return left;
}

/** A handle of traffic control: `major:minor`, both hexadecimal. */
function readClass({ cursor }: Context): Value {
  const first = cursor.take();
  let text = first.text;
  while (cursor.peek().at.start === cursor.last.at.end && !cursor.atEnd()) text += cursor.take().text;
  const at = cursor.since(first.at);
  const [, major = '0', minor] = /^(?:([0-9a-fA-F]{1,4}):)?([0-9a-fA-F]{1,8})$/.exec(text) ?? [];
  if (minor === undefined) refuseAt('RULESET_INVALID', `not a class of traffic control: '${text}'`, at);
  const type: Typed = { type: 'classid', bits: 32 };
  return makeValue(type, (BigInt(`0x${major}`) << 16n) + BigInt(`0x${minor}`), at);
}

function readToken(context: Context, type: Typed, token: Token): Value | Name {
  const { text, at } = token;
  switch (type.type) {
    case 'ifname':
    case 'string':
      return readName(type.type, token);
    case 'iface_index':
      return token.kind === 'number' ? integer(type, token) : readName(type.type, token);
    case 'ipv4_addr':
    case 'ipv6_addr':
      return readAddress(type, token);
    case 'ether_addr':
      if (token.kind === 'mac') return makeValue(type, hardwareAddress(text), at);
      break;
    case 'time':
      return makeValue(type, BigInt(parseTime(text) ?? invalid(token, 'a time')), at);
    case 'hour':
      if (token.kind === 'quoted') return makeValue(type, BigInt(parseHour(text) ?? invalid(token, 'an hour')), at);
      break;
    case 'timestamp': {
      const seconds = token.kind === 'number' ? Number(text) : (parseDate(text) ?? invalid(token, 'a date'));
      return makeValue(type, BigInt(seconds) * 1_000_000_000n, at);
    }
    case 'ct_label':
      return readLabel(context, type, token);
    default:
      break;
  }
  if (token.kind === 'number') return integer(type, token);
  const number = token.kind === 'word' || token.kind === 'quoted' ? numberByName(type.type, text) : undefined;
  return number === undefined ? invalid(token, `a value of type ${type.type}`) : makeValue(type, BigInt(number), at);
}

function invalid(token: Token, what: string): never {
  return refuseAt('RULESET_INVALID', `'${token.text}' is not ${what}`, token.at);
}

function integer(type: Typed, token: Token): Value {
  return makeValue(type, readInteger(token.text) ?? invalid(token, 'a number'), token.at);
}

function readAddress(type: Typed, token: Token): Value {
  const six = type.type === 'ipv6_addr';
  if (token.kind === 'number') return integer(type, token);
  const address =
    token.kind === (six ? 'ipv6' : 'ipv4') || token.kind === 'quoted' ? parseAddress(token.text) : undefined;
  if (address === undefined || (address.family === 10) !== six) {
    const other = token.kind === 'word' ? ': names of hosts are not resolved' : '';
    return refuseAt('RULESET_INVALID', `'${token.text}' is not an ${six ? 'IPv6' : 'IPv4'} address${other}`, token.at);
  }
  return makeValue(type, address.value, token.at);
}

function hardwareAddress(text: string): bigint {
  return text.split(':').reduce((number, byte) => (number << 8n) | BigInt(`0x${byte}`), 0n);
}

/** A name, or what it begins with if a `*` follows; a backslash makes the star part of the name. */
function readName(type: Name['type'], token: Token): Name {
  const prefix = type === 'ifname' && /[^\\]\*$/.test(token.text);
  const text = (prefix ? token.text.slice(0, -1) : token.text).replace(/\\\*$/, '*');
  if (text === '') invalid(token, 'a name');
  if (type !== 'string' && Buffer.byteLength(text) > IFNAME_MAX) invalid(token, 'the name of an interface');
  return { kind: 'name', type, text, prefix, at: token.at };
}

function readLabel({ labels }: Context, type: Typed, token: Token): Value {
  const bit = token.kind === 'number' ? Number(token.text) : labels?.get(token.text);
  if (bit === undefined) {
    const message = `label '${token.text}' is not known: connlabel.conf of the host has the names of labels`;
    return refuseAt('RULESET_INVALID', message, token.at);
  }
  if (bit >= type.bits) invalid(token, `a label: they go from 0 to ${type.bits - 1}`);
  return makeValue(type, 1n << BigInt(bit), token.at);
}
