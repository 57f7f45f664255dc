// Which expression of a packet or its connection does a rule name?

import { own } from '../iptables/names.ts';
import type {
  Binary,
  Ct,
  Expression,
  Fib,
  Hash,
  Meta,
  Numgen,
  Payload,
  PayloadProtocol,
  Place,
  Rt,
  Typed,
} from './ast.ts';
import { compute, OPERATORS, readInteger, readScalar } from './constants.ts';
import { type Context, nest } from './context.ts';
import { numberByName, typed } from './datatypes.ts';
import { readExtensionHeader, readExthdrExists, readOption } from './exthdr.ts';
import { EXTENSION_HEADERS, type Field, field, HEADERS } from './headers.ts';
import type { Token } from './lex.ts';
import { refuseAt } from './text.ts';

/** Operators of one expression: as many as make sense, and no more than a tree may be deep. */
const OPERATORS_MAX = 64;

/** Keys of `meta`; those with `bare` need no `meta` before them. */
const META: Readonly<Record<string, Typed & { bare?: boolean }>> = {
  length: typed('integer', 32),
  protocol: typed('ether_type'),
  nfproto: typed('nf_proto'),
  l4proto: typed('inet_proto'),
  priority: typed('classid'),
  mark: { ...typed('mark'), bare: true },
  iif: { ...typed('iface_index'), bare: true },
  iifname: { ...typed('ifname'), bare: true },
  iiftype: { ...typed('iface_type'), bare: true },
  oif: { ...typed('iface_index'), bare: true },
  oifname: { ...typed('ifname'), bare: true },
  oiftype: { ...typed('iface_type'), bare: true },
  skuid: { ...typed('uid'), bare: true },
  skgid: { ...typed('gid'), bare: true },
  nftrace: { ...typed('integer', 1), bare: true },
  rtclassid: { ...typed('realm'), bare: true },
  ibrname: { ...typed('ifname'), bare: true },
  obrname: { ...typed('ifname'), bare: true },
  pkttype: { ...typed('pkt_type'), bare: true },
  cpu: { ...typed('integer', 32), bare: true },
  iifgroup: { ...typed('devgroup'), bare: true },
  oifgroup: { ...typed('devgroup'), bare: true },
  cgroup: { ...typed('integer', 32), bare: true },
  iifkind: typed('ifname'),
  oifkind: typed('ifname'),
  sdif: typed('iface_index'),
  sdifname: typed('ifname'),
  random: typed('integer', 32),
  ipsec: typed('boolean'),
  time: typed('timestamp'),
  day: typed('day'),
  hour: typed('hour'),
};

const CT: Readonly<Record<string, Typed>> = {
  state: typed('ct_state'),
  direction: typed('ct_dir'),
  status: typed('ct_status'),
  mark: typed('mark'),
  expiration: typed('time', 32),
  helper: typed('string'),
  label: typed('ct_label'),
  l3proto: typed('nf_proto'),
  protocol: typed('inet_proto'),
  'proto-src': typed('inet_service'),
  'proto-dst': typed('inet_service'),
  packets: typed('integer', 64),
  bytes: typed('integer', 64),
  avgpkt: typed('integer', 64),
  zone: typed('integer', 16),
  id: typed('integer', 32),
  event: typed('ct_event'),
  secmark: typed('integer', 32),
};

/** Expressions that need what no capture shows, or that only other families have. */
const UNSUPPORTED: ReadonlySet<string> = new Set([
  'socket', 'osf', 'ipsec', 'tunnel', 'vxlan', 'geneve', 'gre', 'gretap', 'arp', 'xfrm',
]); // biome-ignore format: a list

/** Reads an expression with its binary operators and concatenations, and a map behind it. */
export function readExpression(context: Context): Expression {
  const first = readBinary(context, 0);
  const { cursor } = context;
  if (!cursor.is('.')) return first;
  const parts = [first];
  while (cursor.accept('.')) parts.push(readBinary(context, 0));
  return { kind: 'concat', parts, at: cursor.since(first.at) };
}

/** The types of what an expression gives; a concatenation gives one for each part. */
export function typesOf(expression: Expression): Typed[] {
  switch (expression.kind) {
    case 'concat':
      return expression.parts.flatMap(typesOf);
    case 'map':
    case 'anonymous set':
    case 'set reference':
    case 'verdict':
    case 'wildcard':
      return [typed('integer', 32)];
    case 'name':
      return [typed(expression.type)];
    case 'prefix':
      return typesOf(expression.value);
    case 'range':
      return typesOf(expression.low);
    default:
      return [{ type: expression.type, bits: expression.bits }];
  }
}

/** An operand that may be a constant of a type, or an expression: the value that a statement sets. */
export function readOperand(context: Context, type: Typed, strength = 0): Expression {
  const { cursor } = context;
  const left =
    startsExpression(cursor.peek(), type) || cursor.is('(')
      ? readBinaryOperand(context, type)
      : readScalar(context, type, 4);
  return readOperators(context, left, strength);
}

function readBinaryOperand(context: Context, type: Typed): Expression {
  const { cursor } = context;
  if (!cursor.is('(')) return readPrimary(context);
  const open = cursor.take();
  const inner = nest(context, open.at, () => readOperand(context, type));
  cursor.expect(')');
  return inner;
}

function readBinary(context: Context, strength: number): Expression {
  const { cursor } = context;
  const open = cursor.peek();
  let left: Expression;
  if (cursor.accept('(')) {
    left = nest(context, open.at, () => readBinary(context, 0));
    cursor.expect(')');
  } else {
    left = readPrimary(context);
  }
  return readOperators(context, left, strength);
}

type Operator = (typeof OPERATORS)[string];

/** The operators behind an operand that bind more tightly than `strength`. */
function readOperators(context: Context, first: Expression, strength: number): Expression {
  let left = first;
  for (let count = 0; ; count++) {
    const next = readOperator(context, strength);
    if (next === undefined) return left;
    if (count === OPERATORS_MAX) refuseAt('RULESET_UNSUPPORTED', `more than ${OPERATORS_MAX} operators`, left.at);
    left = join(context, left, next);
  }
}

/** Takes the next operator if it binds more tightly than `strength`. */
function readOperator({ cursor }: Context, strength: number): Operator | undefined {
  const token = cursor.peek();
  if (token.kind !== 'symbol' && token.kind !== 'word') return undefined;
  const operator = own(OPERATORS, token.text);
  if (operator === undefined || operator.strength <= strength) return undefined;
  cursor.take();
  return operator;
}

function join(context: Context, left: Expression, { op, strength }: Operator): Expression {
  const [type = typed('integer', 32)] = typesOf(left);
  const shift = op === '<<' || op === '>>';
  const right = readOperand(context, shift ? typed('integer', 32) : type, strength);
  if (left.kind === 'value' && right.kind === 'value') return compute(op, left, right);
  const binary: Binary = { kind: 'binary', op, left, right, ...type, at: context.cursor.since(left.at) };
  return binary;
}

/** Whether a word begins an expression rather than naming a value of the type. */
export function startsExpression(token: Token, { type }: Typed): boolean {
  if (token.kind === 'symbol') return token.text === '@';
  if (token.kind !== 'word' || numberByName(type, token.text) !== undefined) return false;
  return isKeyword(token.text);
}

function isKeyword(word: string): boolean {
  return (
    ['meta', 'ct', 'fib', 'rt', 'numgen', 'jhash', 'symhash', 'exthdr'].includes(word) ||
    own(META, word)?.bare === true ||
    Object.hasOwn(HEADERS, word) ||
    Object.hasOwn(EXTENSION_HEADERS, word) ||
    UNSUPPORTED.has(word)
  );
}

function readPrimary(context: Context): Expression {
  const { cursor } = context;
  const token = cursor.peek();
  if (token.kind === 'symbol' && token.text === '@') return readRawPayload(context);
  if (token.kind !== 'word') return cursor.unexpected('an expression');
  const { text } = token;
  if (UNSUPPORTED.has(text)) refuseAt('RULESET_UNSUPPORTED', `'${text}' is not supported`, token.at);
  switch (text) {
    case 'meta':
      cursor.take();
      return readMeta(context, token);
    case 'ct':
      return readCt(context);
    case 'fib':
      return readFib(context);
    case 'numgen':
      return readNumgen(context);
    case 'jhash':
    case 'symhash':
      return readHash(context, text);
    case 'exthdr':
      return readExthdrExists(context);
    case 'rt':
      if (cursor.peek(1).kind === 'word' && !Object.hasOwn(routing(), cursor.peek(1).text)) return readRt(context);
      break;
    default:
      break;
  }
  if (own(META, text)?.bare) return readMeta(context, token);
  if (cursor.is('option', 1) || cursor.is('chunk', 1)) return readOption(context);
  if (Object.hasOwn(EXTENSION_HEADERS, text)) return readExtensionHeader(context);
  if (Object.hasOwn(HEADERS, text)) return readPayload(context);
  return cursor.unexpected('a statement');
}

function routing(): Readonly<Record<string, Field>> {
  return EXTENSION_HEADERS.rt?.fields ?? {};
}

function readMeta({ cursor }: Context, first: Token): Meta {
  const key = cursor.take();
  const found = own(META, key.text === 'secpath' ? 'ipsec' : key.text);
  if (found === undefined) refuseAt('RULESET_UNSUPPORTED', `'meta ${key.text}' is not supported`, key.at);
  const name = key.text === 'secpath' ? 'ipsec' : key.text;
  return { kind: 'meta', key: name, type: found.type, bits: found.bits, at: cursor.since(first.at) };
}

function readCt({ cursor, table }: Context): Ct {
  const first = cursor.expect('ct');
  const direction = cursor.is('original') || cursor.is('reply') ? cursor.take().text : undefined;
  let family = cursor.is('ip') || cursor.is('ip6') ? cursor.take().text : undefined;
  const key = cursor.take();
  const address = key.text === 'saddr' || key.text === 'daddr';
  if (address && family === undefined && (table.family === 'ip' || table.family === 'ip6')) family = table.family;
  let type = own(CT, key.text);
  if (address) {
    // Without a family in an inet table the kernel's older key gives either.
    if (family === undefined) refuseAt('RULESET_UNSUPPORTED', "'ip' or 'ip6' is missing before the address", key.at);
    type = typed(family === 'ip' ? 'ipv4_addr' : 'ipv6_addr');
  }
  if (type === undefined) refuseAt('RULESET_UNSUPPORTED', `'ct ${key.text}' is not supported`, key.at);
  const ct: Ct = { kind: 'ct', key: key.text, ...type, at: cursor.since(first.at) };
  if (direction !== undefined) ct.direction = direction as 'original' | 'reply';
  if (address) ct.family = family as 'ip' | 'ip6';
  if (address && direction === undefined) {
    refuseAt('RULESET_SYNTAX', "'original' or 'reply' is missing before the address", ct.at);
  }
  return ct;
}

const FIB_FLAGS: readonly string[] = ['saddr', 'daddr', 'mark', 'iif', 'oif'];
const FIB_RESULTS: Readonly<Record<string, Typed>> = {
  type: typed('fib_addrtype'),
  oif: typed('iface_index'),
  oifname: typed('ifname'),
  check: typed('boolean'),
};

function readFib({ cursor }: Context): Fib {
  const first = cursor.expect('fib');
  const flags: Fib['flags'] = [];
  do {
    const flag = cursor.take();
    if (!FIB_FLAGS.includes(flag.text)) refuseAt('RULESET_SYNTAX', `'${flag.text}' is not what fib looks up`, flag.at);
    flags.push(flag.text as Fib['flags'][number]);
  } while (cursor.accept('.'));
  const result = cursor.take();
  const type = own(FIB_RESULTS, result.text);
  if (type === undefined) refuseAt('RULESET_SYNTAX', `'${result.text}' is not what fib finds`, result.at);
  const at = cursor.since(first.at);
  if (Number(flags.includes('saddr')) + Number(flags.includes('daddr')) !== 1) {
    refuseAt('RULESET_INVALID', 'fib looks up saddr or daddr', at);
  }
  const check = result.text === 'check';
  return { kind: 'fib', flags, result: (check ? 'oif' : result.text) as Fib['result'], check, ...type, at };
}

function readRt({ cursor, table }: Context): Rt {
  const first = cursor.expect('rt');
  const written = cursor.is('ip') || cursor.is('ip6') ? (cursor.take().text as 'ip' | 'ip6') : undefined;
  const key = cursor.take();
  const family = written ?? (table.family === 'ip' || table.family === 'ip6' ? table.family : undefined);
  const types: Readonly<Record<Rt['key'], Typed>> = {
    classid: typed('realm'),
    nexthop: typed(family === 'ip6' ? 'ipv6_addr' : 'ipv4_addr'),
    mtu: typed('integer', 16),
    ipsec: typed('boolean'),
  };
  const type = own(types, key.text);
  if (type === undefined) refuseAt('RULESET_SYNTAX', `'rt ${key.text}' is not known`, key.at);
  const rt: Rt = { kind: 'rt', key: key.text as Rt['key'], ...type, at: cursor.since(first.at) };
  if (key.text === 'nexthop') {
    if (family === undefined) refuseAt('RULESET_INVALID', "'ip' or 'ip6' is missing before nexthop", key.at);
    rt.family = family;
  }
  return rt;
}

/** A number of up to 32 bits. */
export function readNumber({ cursor }: Context, maximum = 0xffff_ffff): number {
  const token = cursor.peek();
  if (token.kind !== 'number') cursor.unexpected('a number');
  cursor.take();
  const number = readInteger(token.text);
  if (number === undefined || number > BigInt(maximum)) {
    refuseAt('RULESET_INVALID', `'${token.text}' is not a number from 0 to ${maximum}`, token.at);
  }
  return Number(number);
}

/** `mod N`; the kernel refuses 0, and an offset that leads beyond 32 bits. */
function readModulus(context: Context): number {
  const { at } = context.cursor.expect('mod');
  const modulus = readNumber(context);
  if (modulus === 0) refuseAt('RULESET_INVALID', 'the modulus is 0', context.cursor.since(at));
  return modulus;
}

function checkOffset(modulus: number, offset: number, at: Place): void {
  if (modulus - 1 + offset > 0xffff_ffff) refuseAt('RULESET_INVALID', 'the numbers go beyond 32 bits', at);
}

function readNumgen(context: Context): Numgen {
  const { cursor } = context;
  const first = cursor.expect('numgen');
  if (!cursor.is('inc') && !cursor.is('random')) cursor.unexpected("'inc' or 'random'");
  const mode = cursor.take().text as 'inc' | 'random';
  const modulus = readModulus(context);
  const offset = cursor.accept('offset') ? readNumber(context) : 0;
  const at = cursor.since(first.at);
  checkOffset(modulus, offset, at);
  return { kind: 'numgen', mode, modulus, offset, ...typed('integer', 32), at };
}

function readHash(context: Context, algorithm: 'jhash' | 'symhash'): Hash {
  const { cursor } = context;
  const first = cursor.take();
  const key = algorithm === 'jhash' ? nest(context, first.at, () => readExpression(context)) : undefined;
  const modulus = readModulus(context);
  const hash: Hash = { kind: 'hash', algorithm, modulus, offset: 0, ...typed('integer', 32), at: first.at };
  if (key !== undefined) hash.key = key;
  if (algorithm === 'jhash' && cursor.accept('seed')) hash.seed = readNumber(context);
  if (cursor.accept('offset')) hash.offset = readNumber(context);
  hash.at = cursor.since(first.at);
  checkOffset(modulus, hash.offset, hash.at);
  return hash;
}

function readPayload({ cursor }: Context): Payload {
  const first = cursor.take();
  const protocol = first.text as PayloadProtocol;
  const { base, fields } = HEADERS[protocol];
  const name = cursor.take();
  const found = own(fields, name.text);
  if (found === undefined) {
    return refuseAt('RULESET_UNSUPPORTED', `'${protocol} ${name.text}' is not supported`, cursor.since(first.at));
  }
  return { kind: 'payload', base, protocol, field: name.text, ...found, at: cursor.since(first.at) };
}

const RAW_BASES: Readonly<Record<string, Payload['base']>> = {
  ll: 'link',
  nh: 'network',
  th: 'transport',
  ih: 'inner',
};

/** Longest raw load: what a register holds. */
const RAW_BITS_MAX = 128;

/** `OFFSET,BITS`, the end of what began at `from`. */
export function readRawRange(context: Context, from: Place): { offset: number; bits: number; at: Place } {
  const { cursor } = context;
  const offset = readNumber(context, 0xffff);
  cursor.expect(',');
  const bits = readNumber(context, RAW_BITS_MAX);
  const at = cursor.since(from);
  if (bits === 0) refuseAt('RULESET_INVALID', 'a length of 0 bits', at);
  return { offset, bits, at };
}

function readRawPayload(context: Context): Payload {
  const { cursor } = context;
  const first = cursor.expect('@');
  const name = cursor.take();
  const base = own(RAW_BASES, name.text);
  if (base === undefined) refuseAt('RULESET_SYNTAX', `'${name.text}' is not ll, nh, th or ih`, name.at);
  cursor.expect(',');
  const { offset, bits, at } = readRawRange(context, first.at);
  const type = typed('integer', bits);
  if (base === 'transport' && bits === 16 && (offset === 0 || offset === 16)) {
    // What nft prints for this, and so what JSON has: the same load.
    return {
      kind: 'payload',
      base,
      protocol: 'th',
      field: offset === 0 ? 'sport' : 'dport',
      ...field(offset, 16, 'inet_service'),
      at,
    };
  }
  return { kind: 'payload', base, offset, ...type, at };
}
