// How does nft's own language say what its JSON says (libnftables-json(5))? JSON is read by putting it into words, so that
// there is one place where types and names are known.
import { isObject, type JsonObject } from '../../topology/json.ts';
import { OPERATORS } from './constants.ts';

/** Refuses what has no words here, pointing to the object of the file that it stands in. */
export type Refuse = (message: string) => never;

/** Words that read the same with or without quotes. */
const PLAIN = /^[\w./:-]+$/;
const NAME = /^[A-Za-z_][\w/.-]*$/;

/** Meta keys that nft writes without `meta`. */
const BARE_META: ReadonlySet<string> = new Set([
  'iif', 'iifname', 'iiftype', 'iifgroup', 'oif', 'oifname', 'oiftype', 'oifgroup', 'ibrname', 'obrname',
]); // biome-ignore format: a list

/** What of a packet is compared with names, hours and dates, which are in quotes. */
const QUOTED_META: ReadonlySet<string> = new Set([
  'iif', 'iifname', 'oif', 'oifname', 'ibrname', 'obrname', 'iifkind', 'oifkind', 'sdif', 'sdifname', 'day', 'hour', 'time',
]); // biome-ignore format: a list
const QUOTED_TYPES: ReadonlySet<string> = new Set(['ifname', 'iface_index', 'string', 'day', 'hour', 'time']);
/** What stands for the bits of a list: nft leaves `==` out elsewhere. */
const BITMASK_CT: ReadonlySet<string> = new Set(['state', 'status', 'label', 'event']);

export function single(object: JsonObject): [name: string, value: unknown] {
  const [entry] = Object.entries(object);
  return entry ?? ['', undefined];
}

export function listOf(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : [value];
}

/** A name as a word, or in quotes. */
export function nameWord(name: unknown, refuse: Refuse): string {
  if (typeof name !== 'string' || name === '') return refuse('a name is missing');
  return NAME.test(name) ? name : quote(name, refuse);
}

export function quote(text: unknown, refuse: Refuse): string {
  if (typeof text !== 'string') return refuse('a text is missing');
  if (text.includes('"')) refuse('quotes within a name or text are not supported');
  return `"${text}"`;
}

export function numberWord(value: unknown, refuse: Refuse): string {
  if (typeof value === 'bigint' && value >= 0n) return `${value}`;
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return `${value}`;
  return refuse('a number is missing');
}

/** Seconds, as JSON has times. */
export function secondsWord(value: unknown, refuse: Refuse): string {
  return `${numberWord(value, refuse)}s`;
}

/** Names of the parts of a type: of keys in an array, of data in one text. */
export function typeNames(type: unknown): unknown[] {
  return listOf(type).flatMap((part) => (typeof part === 'string' ? part.split(' . ') : [part]));
}

/** For each part of a type by name, whether its values are in quotes. */
export function quotedTypes(types: unknown): boolean[] {
  return typeNames(types).map((type) => typeof type === 'string' && QUOTED_TYPES.has(type));
}

/** For each part of an expression, whether what it is compared with is in quotes. */
function quotedParts(expression: unknown): boolean[] {
  if (!isObject(expression)) return [false];
  const [name, value] = single(expression);
  if (name === 'concat') return listOf(value).flatMap(quotedParts);
  if (!isObject(value)) return [false];
  if (name === 'meta') return [QUOTED_META.has(String(value.key))];
  if (name === 'ct') return [value.key === 'helper'];
  if (name === 'fib') return [value.result !== 'type'];
  return [false];
}

function isBits(expression: unknown): boolean {
  if (!isObject(expression)) return false;
  const [name, value] = single(expression);
  if (Object.hasOwn(OPERATORS, name)) return true;
  if (!isObject(value)) return false;
  if (name === 'ct') return BITMASK_CT.has(String(value.key));
  return name === 'payload' && value.field === 'flags';
}

export class JsonWords {
  /** The JSON objects that hold a counter's numbers, or should, in the order of the words. */
  readonly counters: JsonObject[] = [];

  constructor(
    private readonly refuse: Refuse,
    private readonly family: string,
  ) {}

  /** A value or expression; `quoted` for each part of a concatenation. */
  expression(value: unknown, quoted: readonly boolean[] = [false]): string {
    if (typeof value === 'string') return this.text(value, quoted[0] ?? false);
    if (typeof value === 'number' || typeof value === 'bigint') return numberWord(value, this.refuse);
    if (typeof value === 'boolean') return value ? 'exists' : 'missing';
    if (Array.isArray(value)) return value.map((each) => this.expression(each, quoted)).join(',');
    if (!isObject(value)) return this.refuse('a value is missing');
    return this.structure(value, quoted);
  }

  private text(value: string, quoted: boolean): string {
    if (value === '*') return value;
    if (value.startsWith('@')) return `@${nameWord(value.slice(1), this.refuse)}`;
    if (quoted ? /^\d+$/.test(value) : PLAIN.test(value)) return value;
    return quote(value, this.refuse);
  }

  private structure(object: JsonObject, quoted: readonly boolean[]): string {
    const [name, value] = single(object);
    if (Object.hasOwn(OPERATORS, name)) return this.binary(name, listOf(value), quoted);
    const members = isObject(value) ? value : {};
    switch (name) {
      case 'concat':
        return listOf(value)
          .map((part, index) => this.expression(part, [quoted[index] ?? false]))
          .join(' . ');
      case 'set':
        return this.elements(value, quoted, undefined);
      case 'map':
        return this.map('map', members);
      case 'prefix':
        return `${this.expression(members.addr)}/${numberWord(members.len, this.refuse)}`;
      case 'range':
        return listOf(value)
          .map((bound) => this.expression(bound, quoted))
          .join('-');
      case 'payload':
        if (members.base === undefined) return `${this.word(members.protocol)} ${this.word(members.field)}`;
        return `@${this.word(members.base)},${this.number(members.offset)},${this.number(members.len)}`;
      case 'exthdr':
        return members.field === undefined
          ? `exthdr ${this.word(members.name)}`
          : `${this.word(members.name)} ${this.field(members.field)}`;
      case 'tcp option':
        if (members.base !== undefined) {
          return `tcp option @${this.number(members.base)},${this.number(members.offset)},${this.number(members.len)}`;
        }
        return this.option(name, members.name, members.field);
      case 'ip option':
      case 'sctp chunk':
        return this.option(name, members.name, members.field);
      case 'dccp option':
        return `${name} ${this.number(members.type)}`;
      case 'meta': {
        const key = this.word(members.key);
        return BARE_META.has(key) ? key : `meta ${key}`;
      }
      case 'ct':
        return ['ct', ...this.words(members.dir, members.family), this.phrase(members.key)].join(' ');
      case 'rt':
        return ['rt', ...this.words(members.family), this.word(members.key)].join(' ');
      case 'fib':
        return `fib ${listOf(members.flags)
          .map((flag) => this.word(flag))
          .join(' . ')} ${this.word(members.result)}`;
      case 'numgen':
        return `numgen ${this.word(members.mode)} mod ${this.number(members.mod)}${this.offset(members)}`;
      case 'symhash':
        return `symhash mod ${this.number(members.mod)}${this.offset(members)}`;
      case 'jhash': {
        const seed = members.seed === undefined ? '' : ` seed ${this.number(members.seed)}`;
        const key = this.expression(members.expr);
        return `jhash ${key} mod ${this.number(members.mod)}${seed}${this.offset(members)}`;
      }
      case 'accept':
      case 'drop':
      case 'continue':
      case 'return':
        return name;
      case 'jump':
      case 'goto':
        return `${name} ${nameWord(members.target, this.refuse)}`;
      case 'queue':
        return this.queue(members);
      default:
        return this.refuse(`'${name}' is not supported`);
    }
  }

  private word(value: unknown): string {
    return typeof value === 'string' && PLAIN.test(value) ? value : this.refuse('a name is missing');
  }

  /** Several words in one string, as `ip saddr`. */
  private phrase(value: unknown): string {
    return typeof value === 'string' && /^[\w-]+( [\w-]+)*$/.test(value) ? value : this.refuse('a name is missing');
  }

  private words(...values: unknown[]): string[] {
    return values.filter((value) => value !== undefined).map((value) => this.word(value));
  }

  private field(value: unknown): string {
    return typeof value === 'string' && /^[\w-]+(\[\d+\])?$/.test(value) ? value : this.refuse('a field is missing');
  }

  private number(value: unknown): string {
    return numberWord(value, this.refuse);
  }

  private offset({ offset }: JsonObject): string {
    return offset === undefined || offset === 0 ? '' : ` offset ${this.number(offset)}`;
  }

  private option(kind: string, name: unknown, field: unknown): string {
    return `${kind} ${this.word(name)}${field === undefined ? '' : ` ${this.field(field)}`}`;
  }

  private binary(operator: string, operands: unknown[], quoted: readonly boolean[]): string {
    const strength = OPERATORS[operator]?.strength ?? 0;
    const words = operands.map((operand, index) => {
      const text = Array.isArray(operand)
        ? operand.map((each) => this.expression(each, quoted)).join(' | ')
        : this.expression(operand, quoted);
      const inner = Array.isArray(operand) ? '|' : isObject(operand) ? single(operand)[0] : '';
      const weak = Object.hasOwn(OPERATORS, inner) ? (OPERATORS[inner]?.strength ?? 0) : 9;
      // To the right an operator of the same strength would be read the other way round.
      return weak < strength || (index > 0 && weak === strength) ? `(${text})` : text;
    });
    return words.join(` ${operator} `);
  }

  /** `key map { ... }`, `key vmap @name` */
  private map(word: 'map' | 'vmap', { key, data }: JsonObject): string {
    const quoted = quotedParts(key);
    const set = isObject(data) && 'set' in data ? this.elements(data.set, quoted, [false]) : this.expression(data);
    return `${this.expression(key)} ${word} ${set}`;
  }

  /** Elements in braces; those of a map are pairs, and `data` says for each part of the data whether it is in quotes. */
  elements(value: unknown, quoted: readonly boolean[], data: readonly boolean[] | undefined): string {
    const elements = listOf(value).map((each) => {
      if (data === undefined || !Array.isArray(each)) return this.element(each, quoted);
      return `${this.element(each[0], quoted)} : ${this.expression(each[1], data)}`;
    });
    return elements.length === 0 ? '{ }' : `{ ${elements.join(', ')} }`;
  }

  private element(value: unknown, quoted: readonly boolean[]): string {
    if (Array.isArray(value)) return `(${value.map((bit) => this.expression(bit, quoted)).join(' | ')})`;
    if (!isObject(value) || !isObject(value.elem)) return this.expression(value, quoted);
    const { val, timeout, expires, comment, ...statements } = value.elem;
    const words = [this.expression(val, quoted)];
    for (const [name, statement] of Object.entries(statements)) {
      words.push(this.statement({ [name]: statement }, value.elem, name));
    }
    if (timeout !== undefined) words.push(`timeout ${secondsWord(timeout, this.refuse)}`);
    if (expires !== undefined) words.push(`expires ${secondsWord(expires, this.refuse)}`);
    if (comment !== undefined) words.push(`comment ${quote(comment, this.refuse)}`);
    return words.join(' ');
  }

  /** A statement, in an object of its own or as a member `name` of another. */
  statement(object: unknown, holder?: JsonObject, member?: string): string {
    // What nft has no JSON for it prints in its own words.
    if (typeof object === 'string') return object;
    if (!isObject(object)) return this.refuse('a statement is missing');
    const [name, value] = single(object);
    const members = isObject(value) ? value : {};
    switch (name) {
      case 'match':
        return this.match(members);
      case 'counter':
        if (value !== null && !('packets' in members)) return `counter name ${this.objectUse(value)}`;
        this.counters.push(value === null ? (holder ?? object) : members);
        return value === null
          ? 'counter'
          : `counter packets ${this.number(members.packets)} bytes ${this.number(members.bytes)}`;
      case 'quota':
        return isObject(value) && !('map' in value) ? this.quota(members) : `quota name ${this.objectUse(value)}`;
      case 'limit':
        return isObject(value) && !('map' in value) ? this.limit(members) : `limit name ${this.objectUse(value)}`;
      case 'ct helper':
      case 'ct timeout':
      case 'ct expectation':
        return `${name} set ${this.objectUse(value)}`;
      case 'mangle': {
        const quoted = quotedParts(members.key);
        return `${this.expression(members.key)} set ${this.expression(members.value, quoted)}`;
      }
      case 'vmap':
        return this.map('vmap', members);
      case 'snat':
      case 'dnat':
      case 'masquerade':
      case 'redirect':
        return this.nat(name, members);
      case 'reject':
        return this.reject(members);
      case 'set':
      case 'map':
        return this.update(members);
      case 'meter': {
        const size = members.size === undefined ? '' : ` size ${this.number(members.size)}`;
        return `meter ${nameWord(members.name, this.refuse)}${size} ${this.updated(members.key, members.stmt)}`;
      }
      case 'log':
        return this.log(members);
      case 'ct count':
        return `ct count ${members.inv === true ? 'over ' : ''}${this.number(members.val)}`;
      case 'reset':
        return `reset ${this.expression(value)}`;
      case 'last':
      case 'notrack':
        return name;
      case 'xt':
        return 'xt';
      case 'accept':
      case 'drop':
      case 'continue':
      case 'return':
      case 'jump':
      case 'goto':
      case 'queue':
        return this.expression(object);
      default:
        return this.refuse(`'${member ?? name}' is not supported`);
    }
  }

  private objectUse(value: unknown): string {
    if (isObject(value)) return this.expression(value);
    return quote(value, this.refuse);
  }

  private match({ op, left, right }: JsonObject): string {
    const quoted = quotedParts(left);
    const set = isObject(right) && 'set' in right;
    const operator = op === undefined || op === 'in' || (op === '==' && (set || !isBits(left))) ? [] : [String(op)];
    if (operator.some((each) => !/^([=!<>]=|[<>!])$/.test(each))) this.refuse(`'${operator}' compares nothing`);
    return [this.expression(left), ...operator, this.expression(right, quoted)].join(' ');
  }

  quota({ val, val_unit, used, used_unit, inv }: JsonObject): string {
    const rest = used === undefined ? '' : ` used ${this.number(used)} ${this.word(used_unit ?? 'bytes')}`;
    return `quota ${inv === true ? 'over ' : ''}${this.number(val)} ${this.word(val_unit ?? 'bytes')}${rest}`;
  }

  limit({ rate, rate_unit = 'packets', per, burst, burst_unit, inv }: JsonObject): string {
    const unit = rate_unit === 'packets' ? '' : ` ${this.word(rate_unit)}`;
    const held =
      burst === undefined || (burst === 0 && unit !== '')
        ? ''
        : ` burst ${this.number(burst)} ${this.word(burst_unit ?? rate_unit)}`;
    return `limit rate ${inv === true ? 'over ' : ''}${this.number(rate)}${unit}/${this.word(per ?? 'second')}${held}`;
  }

  private queue({ num, flags }: JsonObject): string {
    const to = num === undefined ? '' : ` to ${this.expression(num)}`;
    const list = listOf(flags).map((flag) => this.word(flag));
    return `queue${list.length > 0 ? ` flags ${list.join(',')}` : ''}${to}`;
  }

  private nat(kind: string, { family, addr, port, flags, type_flags }: JsonObject): string {
    const words = [kind];
    if (family !== undefined && this.family === 'inet') words.push(this.word(family));
    const types = listOf(type_flags);
    const given = listOf(flags);
    if (types.includes('concat')) words.push('addr . port');
    else if (types.includes('prefix') || given.includes('netmap')) words.push('prefix');
    else if (types.includes('interval')) words.push('interval');
    if (addr !== undefined || port !== undefined) {
      const address = addr === undefined ? '' : this.expression(addr);
      const bracket = port !== undefined && typeof addr === 'string' && addr.includes(':');
      const behind = port === undefined ? '' : `:${this.expression(port)}`;
      words.push('to', `${bracket ? `[${address}]` : address}${behind}`);
    }
    const list = given.filter((flag) => flag !== 'netmap').map((flag) => this.word(flag));
    if (list.length > 0) words.push(list.join(','));
    return words.join(' ');
  }

  private reject({ type, expr }: JsonObject): string {
    if (type === undefined) return 'reject';
    if (type === 'tcp reset') return 'reject with tcp reset';
    return `reject with ${this.word(type)} ${this.expression(expr)}`;
  }

  private update({ op, elem, data, set, map, stmt }: JsonObject): string {
    return `${this.word(op)} ${this.expression(set ?? map)} ${this.updated(elem, stmt, data)}`;
  }

  /** What an update adds: the statements that its elements are to get have no numbers of their own. */
  private updated(elem: unknown, stmt: unknown, data?: unknown): string {
    const before = this.counters.length;
    const key = this.element(elem, [false]);
    const statements = listOf(stmt).map((each) => ` ${this.statement(each)}`);
    this.counters.length = before;
    return `{ ${key}${statements.join('')}${data === undefined ? '' : ` : ${this.expression(data)}`} }`;
  }

  private log(members: JsonObject): string {
    const { prefix, group, snaplen, level, flags } = members;
    const threshold = members['queue-threshold'];
    const words = ['log'];
    if (prefix !== undefined) words.push('prefix', quote(prefix, this.refuse));
    if (group !== undefined) words.push('group', this.number(group));
    if (snaplen !== undefined) words.push('snaplen', this.number(snaplen));
    if (threshold !== undefined) words.push('queue-threshold', this.number(threshold));
    if (level !== undefined) words.push('level', this.word(level));
    for (const flag of listOf(flags)) words.push('flags', this.phrase(flag));
    return words.join(' ');
  }
}
