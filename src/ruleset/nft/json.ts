// Which tables, chains, sets, objects and rules does the JSON of `nft -j list ruleset` hold (libnftables-json(5))?
import { isObject, JsonFile, type JsonObject } from '../../topology/json.ts';
import type { CounterPlace, NftSource, NftTable, ObjectKind, Place } from './ast.ts';
import { readRule } from './chain.ts';
import { type Context, lookup, tableName } from './context.ts';
import {
  JsonWords,
  listOf,
  nameWord,
  numberWord,
  quote,
  quotedTypes,
  type Refuse,
  secondsWord,
  single,
  typeNames,
} from './json-words.ts';
import { type NftOptions, NftReader } from './parse.ts';
import { NftText, refuseAt } from './text.ts';

/** Reads nft's JSON. Throws RulesetError at the first thing that nft or this program would refuse. */
export function parseNftJson(file: string, text: string, options: NftOptions = {}): NftSource {
  return new NftJsonReader(new NftText(file, text), options).read();
}

const OBJECTS: readonly string[] = [
  'counter', 'quota', 'limit', 'ct helper', 'ct timeout', 'ct expectation', 'synproxy', 'secmark', 'tunnel',
]; // biome-ignore format: a list

class NftJsonReader {
  private readonly reader: NftReader;
  private readonly json: JsonFile;
  private readonly counters: CounterPlace[] = [];
  /** Tables with rules that only iptables can say. */
  private readonly managed = new Set<string>();

  constructor(
    private readonly source: NftText,
    options: NftOptions,
  ) {
    this.reader = new NftReader(source, options);
    this.json = new JsonFile(source.file, source.text, {
      bigints: true,
      refuse: (message, offset) =>
        refuseAt('RULESET_SYNTAX', message, { text: source, start: offset, end: offset + 1 }),
    });
  }

  read(): NftSource {
    const items: JsonObject[] = [];
    for (const document of this.json.documents) {
      const list = isObject(document) ? document.nftables : document;
      if (!Array.isArray(list) || !list.every(isObject)) {
        refuseAt('RULESET_SYNTAX', 'expected an array "nftables" of objects', { text: this.source, start: 0, end: 1 });
      }
      for (const item of list as JsonObject[]) items.push(item);
    }
    for (const item of items) this.findManaged(item);
    for (const item of items) this.item(item);
    const result = this.reader.finish();
    return { ...result, counters: this.counters.sort((a, b) => a.start - b.start) };
  }

  private place(object: object): Place {
    return { text: this.source, ...this.json.place(object) };
  }

  private findManaged({ rule }: JsonObject): void {
    if (!isObject(rule) || !Array.isArray(rule.expr)) return;
    if (rule.expr.some((statement) => isObject(statement) && 'xt' in statement)) {
      this.managed.add(`${String(rule.family)} ${String(rule.table)}`);
    }
  }

  private item(item: JsonObject): void {
    const [name, value] = single(item);
    if (name === 'metainfo') return;
    if (!isObject(value)) refuseAt('RULESET_SYNTAX', `'${name}' is not an object`, this.place(item));
    if (name === 'add' || name === 'create') {
      this.item(value);
      return;
    }
    if (name === 'flush' && 'ruleset' in value) {
      this.reader.flushAll();
      return;
    }
    const at = this.place(value);
    const family = String(value.family);
    const table = name === 'table' ? value.name : value.table;
    if (typeof table !== 'string') refuseAt('RULESET_SYNTAX', `a name is missing in '${name}'`, at);
    if (name === 'table') {
      this.table(value, at);
      return;
    }
    if (this.reader.isLeft(family, table) || family === 'arp') return;
    this.inTable(name, value, this.reader.existing({ family, name: table, at }), at);
  }

  private table(value: JsonObject, at: Place): void {
    const family = String(value.family);
    const name = String(value.name);
    const table = this.reader.declareTable({ family, name, at }, this.managed.has(`${family} ${name}`));
    if (table === undefined) return;
    if (typeof value.handle === 'number') table.handle = value.handle;
    if (typeof value.comment === 'string') table.comment = value.comment;
    table.dormant = listOf(value.flags).includes('dormant');
  }

  private inTable(name: string, value: JsonObject, table: NftTable, at: Place): void {
    const refuse: Refuse = (message) => refuseAt('RULESET_UNSUPPORTED', message, at);
    const words = new JsonWords(refuse, table.family);
    switch (name) {
      case 'chain':
        this.reading(table, at, words, chainWords(value, refuse), (context) => {
          const chain = this.reader.chain(context);
          if (typeof value.handle === 'number') chain.handle = value.handle;
        });
        return;
      case 'rule':
        this.rule(value, table, at, words);
        return;
      case 'set':
      case 'map':
        this.reading(table, at, words, setWords(value, name === 'map', words, refuse), (context) => {
          const set = this.reader.set(context, name === 'map');
          if (typeof value.handle === 'number') set.handle = value.handle;
        });
        return;
      case 'element':
        this.element(value, table, at, words);
        return;
      case 'flowtable':
        return;
      default:
        if (!OBJECTS.includes(name)) refuse(`'${name}' is not supported`);
        if (name === 'counter') words.counters.push(value);
        this.reading(table, at, words, objectWords(name, value, words, refuse), (context) => {
          this.reader.object(context, name as ObjectKind);
          const object = table.objects.at(-1);
          if (object !== undefined && typeof value.handle === 'number') object.handle = value.handle;
        });
    }
  }

  /** Reads words in place of a JSON object. */
  private reading(table: NftTable, at: Place, words: JsonWords, text: string, read: (context: Context) => void): void {
    this.reader.turnTo(new NftText(this.source.file, text, at));
    const context = this.reader.context(table);
    const before = context.counters.length;
    read(context);
    if (!context.cursor.atEnd()) context.cursor.unexpected('the end');
    for (const [index, { counter }] of context.counters.splice(before).entries()) {
      const object = words.counters[index];
      if (object !== undefined) this.counters.push(this.counterPlace(counter, object));
    }
  }

  /** An object that holds numbers is written anew, and so is one with `"counter": null`. */
  private counterPlace(counter: CounterPlace['counter'], object: JsonObject): CounterPlace {
    const { start, end } = this.json.place(object);
    const { packets: _, bytes: __, ...others } = object;
    const numbers = 'packets' in object;
    const rest = numbers ? others : { ...others, counter: undefined };
    const text = jsonText(rest);
    const before = numbers ? `{${text}${text === '' ? '' : ', '}` : `{${text}${text === '' ? '' : ', '}"counter": {`;
    return { counter, start, end, before, after: numbers ? '}' : '}}', json: true };
  }

  private rule(value: JsonObject, table: NftTable, at: Place, words: JsonWords): void {
    const { chains } = lookup(table);
    const name = String(value.chain);
    const chain =
      chains.get(name) ?? refuseAt('RULESET_INVALID', `chain '${name}' does not exist in ${tableName(table)}`, at);
    const statements = listOf(value.expr).map((statement) => words.statement(statement));
    const refuse: Refuse = (message) => refuseAt('RULESET_SYNTAX', message, at);
    if (value.comment !== undefined) statements.push(`comment ${quote(value.comment, refuse)}`);
    this.reading(table, at, words, statements.join(' '), (context) => {
      const rule = readRule(context);
      if (typeof value.handle === 'number') rule.handle = value.handle;
      chain.rules.push(rule);
    });
  }

  private element(value: JsonObject, table: NftTable, at: Place, words: JsonWords): void {
    const name = String(value.name);
    const set =
      lookup(table).sets.get(name) ??
      refuseAt('RULESET_INVALID', `set '${name}' does not exist in ${tableName(table)}`, at);
    const quoted = quotedTypes(set.key.map(({ type }) => type));
    const data =
      set.data && (set.data.kind === 'values' ? quotedTypes(set.data.types.map(({ type }) => type)) : [false]);
    this.reading(table, at, words, words.elements(value.elem, quoted, data), (context) => {
      this.reader.elements(context, set);
    });
  }
}

/** Members of an object as nft prints them, without braces. */
function jsonText(object: JsonObject): string {
  return Object.entries(object)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}: ${jsonValue(value)}`)
    .join(', ');
}

function jsonValue(value: unknown): string {
  if (typeof value === 'bigint') return `${value}`;
  if (Array.isArray(value)) return `[${value.map(jsonValue).join(', ')}]`;
  return isObject(value) ? `{${jsonText(value)}}` : JSON.stringify(value);
}

function chainWords({ name, type, hook, prio, policy, comment }: JsonObject, refuse: Refuse): string {
  const words = [nameWord(name, refuse), '{'];
  if (type !== undefined) {
    if (typeof prio !== 'number' || !Number.isInteger(prio)) refuse('the priority is missing');
    const sign = Number(prio) < 0 ? '-' : '';
    words.push(
      `type ${nameWord(type, refuse)} hook ${nameWord(hook, refuse)} priority ${sign}${Math.abs(Number(prio))};`,
    );
  }
  if (policy !== undefined) words.push(`policy ${nameWord(policy, refuse)};`);
  if (comment !== undefined) words.push(`comment ${quote(comment, refuse)};`);
  return [...words, '}'].join(' ');
}

function typeWords(type: unknown, words: JsonWords, refuse: Refuse): string {
  if (isObject(type) && 'typeof' in type) return `typeof ${words.expression(type.typeof)}`;
  const names = typeNames(type).map((each) => nameWord(each, refuse));
  return `type ${names.join(' . ')}`;
}

function setWords(set: JsonObject, map: boolean, words: JsonWords, refuse: Refuse): string {
  const lines = [typeWords(set.type, words, refuse)];
  if (map) {
    const data = isObject(set.map) && 'typeof' in set.map ? words.expression(set.map.typeof) : undefined;
    lines[0] += ` : ${
      data ??
      typeNames(set.map)
        .map((each) => nameWord(each, refuse))
        .join(' . ')
    }`;
  }
  const flags = listOf(set.flags).map((flag) => nameWord(flag, refuse));
  if (flags.length > 0) lines.push(`flags ${flags.join(',')}`);
  if (set.timeout !== undefined) lines.push(`timeout ${secondsWord(set.timeout, refuse)}`);
  if (set['gc-interval'] !== undefined) lines.push(`gc-interval ${secondsWord(set['gc-interval'], refuse)}`);
  if (set.size !== undefined) lines.push(`size ${numberWord(set.size, refuse)}`);
  if (set.policy !== undefined) lines.push(`policy ${nameWord(set.policy, refuse)}`);
  if (set['auto-merge'] === true) lines.push('auto-merge');
  if (set.comment !== undefined) lines.push(`comment ${quote(set.comment, refuse)}`);
  for (const statement of listOf(set.stmt)) lines.push(words.statement(statement));
  // What elements are to get has no numbers of its own.
  words.counters.length = 0;
  if (set.elem !== undefined) {
    const data = map ? quotedTypes(set.map) : undefined;
    lines.push(`elements = ${words.elements(set.elem, quotedTypes(set.type), data)}`);
  }
  return `${nameWord(set.name, refuse)} { ${lines.join('; ')}; }`;
}

function objectWords(kind: string, object: JsonObject, words: JsonWords, refuse: Refuse): string {
  const lines: string[] = [];
  switch (kind) {
    case 'counter':
      if (object.packets !== undefined) {
        lines.push(`packets ${numberWord(object.packets, refuse)} bytes ${numberWord(object.bytes, refuse)}`);
      }
      break;
    case 'quota':
      lines.push(words.quota({ ...object, val: object.bytes }).slice('quota '.length));
      break;
    case 'limit':
      lines.push(words.limit(object).slice('limit '.length));
      break;
    case 'ct helper':
      lines.push(`type ${quote(object.type, refuse)} protocol ${nameWord(object.protocol, refuse)}`);
      if (object.l3proto !== undefined) lines.push(`l3proto ${nameWord(object.l3proto, refuse)}`);
      break;
    case 'ct timeout': {
      lines.push(`protocol ${nameWord(object.protocol, refuse)}`);
      if (object.l3proto !== undefined) lines.push(`l3proto ${nameWord(object.l3proto, refuse)}`);
      const policy = Object.entries(isObject(object.policy) ? object.policy : {});
      const states = policy.map(([state, seconds]) => `${nameWord(state, refuse)} : ${numberWord(seconds, refuse)}`);
      lines.push(`policy = { ${states.join(', ')} }`);
      break;
    }
    default:
      return `${nameWord(object.name, refuse)} { }`;
  }
  if (object.comment !== undefined) lines.push(`comment ${quote(object.comment, refuse)}`);
  return `${nameWord(object.name, refuse)} { ${lines.join('; ')} }`;
}
