import type { LabelNames } from '../source.ts';
import type { CounterPlace, NftChain, NftFamily, NftSet, NftSource, NftTable, ObjectKind, Place } from './ast.ts';
import { readBaseChain, readRule } from './chain.ts';
import { checkJumps } from './check.ts';
import { type Context, Links, lookup, objectKey, tableName } from './context.ts';
import { Cursor } from './cursor.ts';
import type { Token } from './lex.ts';
import { readNamedObject, skipBlock } from './objects.ts';
import { checkElements, declareSet, readElements, readIdentifier, readSetBlock } from './sets.ts';
import { NftText, refuseAt } from './text.ts';

export interface NftOptions {
  labels?: LabelNames | undefined;
  /** As RulesetSource.saved. */
  saved?: ReadonlyMap<string, boolean> | undefined;
}

/** Reads an nft text. Throws RulesetError at the first thing that nft or this program would refuse. */
export function parseNft(file: string, text: string, options: NftOptions = {}): NftSource {
  const reader = new NftReader(new NftText(file, text), options);
  reader.readAll();
  return reader.finish();
}

const FAMILIES: readonly string[] = ['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev'];

/** Objects that stand in a table by name; `ct` ones have a second word. */
const OBJECTS: readonly string[] = ['counter', 'quota', 'limit', 'synproxy', 'secmark', 'tunnel'];
const CT_OBJECTS: readonly string[] = ['helper', 'timeout', 'expectation'];

/** Commands that ask a running kernel. */
const NOT_A_RULESET: readonly string[] = [
  'list',
  'reset',
  'rename',
  'monitor',
  'describe',
  'export',
  'import',
  'get',
  'replace',
];

/** Reads one source after another into the same tables. */
export class NftReader {
  private readonly tables: NftTable[] = [];
  private readonly counters: CounterPlace[] = [];
  private readonly links = new Links();
  private readonly left = new Set<string>();
  private cursor: Cursor;

  constructor(
    private readonly source: NftText,
    private readonly options: NftOptions,
  ) {
    this.cursor = new Cursor(source);
  }

  readAll(): void {
    let managed = false;
    for (;;) {
      const token = this.cursor.peek();
      if (token.kind === 'end') return;
      if (token.kind === 'newline') {
        managed ||= token.managed === true;
        this.cursor.take();
        continue;
      }
      this.command(managed);
      managed = false;
      if (this.cursor.peek().kind !== 'newline' && this.cursor.peek().kind !== 'end') {
        this.cursor.unexpected('the end of the line');
      }
    }
  }

  finish(): NftSource {
    this.links.resolve();
    for (const table of this.tables) {
      for (const { rules } of table.chains) for (const [index, rule] of rules.entries()) rule.number = index + 1;
      for (const set of table.sets) checkElements(set);
      checkJumps(table);
    }
    this.counters.sort((a, b) => a.start - b.start);
    return { text: this.source, tables: this.tables, counters: this.counters };
  }

  /** Reads from another text from here on: what a JSON object says. */
  turnTo(text: NftText): Cursor {
    this.cursor = new Cursor(text);
    return this.cursor;
  }

  private command(managed: boolean): void {
    const { cursor } = this;
    const token = cursor.peek();
    if (token.kind !== 'word') cursor.unexpected('a command or a table');
    if (this.definition()) return;
    switch (token.text) {
      case 'flush':
        cursor.take();
        this.flush();
        return;
      case 'delete':
      case 'destroy':
        cursor.take();
        if (!cursor.is('table')) this.unsupported(token, `${token.text} ${cursor.peek().text}`);
        cursor.take();
        this.removeTable(this.tableName());
        return;
      case 'insert':
        cursor.take();
        if (!cursor.is('rule')) cursor.unexpected("'rule'");
        cursor.take();
        this.addRule(true);
        return;
      case 'add':
      case 'create':
        cursor.take();
        this.add(managed);
        return;
      case 'include':
        refuseAt('RULESET_UNSUPPORTED', "'include' is not supported: give what nft list ruleset prints", token.at);
        break;
      default:
        if (NOT_A_RULESET.includes(token.text)) this.unsupported(token, token.text);
        this.add(managed);
    }
  }

  private unsupported(token: Token, words: string): never {
    return refuseAt('RULESET_UNSUPPORTED', `'${words}' is not supported: give what nft list ruleset prints`, token.at);
  }

  private add(managed: boolean): void {
    const { cursor } = this;
    const word = cursor.peek();
    const object = this.objectKind();
    if (object !== undefined) {
      const context = this.context(this.existing(this.tableName()));
      this.object(context, object);
      return;
    }
    cursor.take();
    switch (word.text) {
      case 'table':
        this.table(managed);
        return;
      case 'chain': {
        const context = this.context(this.existing(this.tableName()));
        this.chain(context);
        return;
      }
      case 'rule':
        this.addRule(false);
        return;
      case 'set':
      case 'map':
        this.set(this.context(this.existing(this.tableName())), word.text === 'map');
        return;
      case 'element':
        this.element();
        return;
      case 'flowtable':
        this.existing(this.tableName());
        this.flowtable();
        return;
      default:
        refuseAt('RULESET_SYNTAX', `'${word.text}' is neither a command nor a table`, word.at);
    }
  }

  /** `define x = ...` and its like. */
  private definition(): boolean {
    const { cursor } = this;
    const word = cursor.peek();
    if (word.kind !== 'word' || !['define', 'redefine', 'undefine'].includes(word.text)) return false;
    cursor.take();
    const name = cursor.take();
    if (name.kind !== 'word') refuseAt('RULESET_SYNTAX', 'the name of a definition is missing', name.at);
    if (word.text === 'undefine') {
      cursor.undefine(name);
      return true;
    }
    cursor.expect('=');
    cursor.define(name.text);
    return true;
  }

  private flush(): void {
    const { cursor } = this;
    const what = cursor.take();
    if (what.text === 'ruleset') {
      this.flushAll(cursor.peek().kind === 'word' ? cursor.take().text : undefined);
    } else if (what.text === 'table') {
      const table = this.find(this.tableName());
      for (const chain of table?.chains ?? []) chain.rules.length = 0;
      if (table) this.links.forget(table);
    } else if (what.text === 'set' || what.text === 'map') {
      this.namedSet().set.elements.length = 0;
    } else {
      this.unsupported(what, `flush ${what.text}`);
    }
  }

  /** Drops all tables, or those of a family. */
  flushAll(family?: string): void {
    for (const table of [...this.tables]) if (family === undefined || table.family === family) this.remove(table);
  }

  private removeTable(name: TableName): void {
    const table = this.find(name);
    if (table) this.remove(table);
  }

  private remove(table: NftTable): void {
    this.tables.splice(this.tables.indexOf(table), 1);
    this.links.forget(table);
  }

  /** `[family] name`; without a family it is ip. */
  private tableName(): TableName {
    const { cursor } = this;
    const first = cursor.peek();
    const named = first.kind === 'word' && FAMILIES.includes(first.text);
    const family = named && ['word', 'quoted'].includes(cursor.peek(1).kind) ? cursor.take().text : 'ip';
    const { kind } = cursor.peek();
    if (kind !== 'word' && kind !== 'quoted') cursor.unexpected('the name of a table');
    const { text: name } = cursor.take();
    return { family, name, at: cursor.since(first.at) };
  }

  private find({ family, name }: TableName): NftTable | undefined {
    return this.tables.find((table) => table.family === family && table.name === name);
  }

  existing(name: TableName): NftTable {
    const found = this.find(name);
    return found ?? refuseAt('RULESET_INVALID', `table ${name.family} ${name.name} does not exist`, name.at);
  }

  /** Whether a table was left to iptables-save. */
  isLeft(family: string, name: string): boolean {
    return this.left.has(`${family} ${name}`);
  }

  /** The table of that name, new if there is none; undefined if it is left to iptables-save. */
  declareTable(name: TableName, managed: boolean): NftTable | undefined {
    if (name.family === 'bridge' || name.family === 'netdev') {
      refuseAt('RULESET_UNSUPPORTED', `tables of family ${name.family} are not supported`, name.at);
    }
    if (this.isSaved(name, managed)) {
      this.left.add(`${name.family} ${name.name}`);
      return undefined;
    }
    const found = this.find(name);
    if (found !== undefined) return found;
    const family = name.family as NftFamily;
    const table: NftTable = { family, name: name.name, dormant: false, chains: [], sets: [], objects: [], at: name.at };
    this.tables.push(table);
    return table;
  }

  /** Whether a table is one of iptables-nft, as nft or iptables-save says, and given as iptables-save, too. */
  private isSaved({ family, name }: TableName, marked: boolean): boolean {
    const nft = this.options.saved?.get(`${family} ${name}`);
    return nft !== undefined && (marked || nft);
  }

  context(table: NftTable): Context {
    const { cursor, links, counters } = this;
    return { cursor, table, labels: this.options.labels, links, counters, depth: 0 };
  }

  private table(managed: boolean): void {
    const { cursor } = this;
    const name = this.tableName();
    const table = this.declareTable(name, managed);
    if (!cursor.accept('{')) return;
    const { handle } = cursor.peek();
    if (table === undefined || table.family === 'arp') {
      this.skip();
      return;
    }
    if (handle !== undefined) table.handle = handle;
    this.block(() => this.tableEntry(this.context(table)));
  }

  private skip(): void {
    skipBlock({ cursor: this.cursor } as Context);
  }

  /** Entries up to the closing brace, each on lines of its own. */
  private block(entry: () => void): void {
    const { cursor } = this;
    cursor.openBlock();
    for (cursor.skipNewlines(); !cursor.is('}'); cursor.skipNewlines()) {
      if (cursor.peek().kind === 'end') cursor.unexpected("'}'");
      entry();
      if (!cursor.atEnd()) cursor.unexpected('the end of the line');
    }
    cursor.closeBlock();
    cursor.expect('}');
  }

  private tableEntry(context: Context): void {
    const { cursor } = this;
    if (this.definition()) return;
    const object = this.objectKind();
    if (object !== undefined) {
      this.object(context, object);
      return;
    }
    const word = cursor.peek();
    switch (word.kind === 'word' ? word.text : '') {
      case 'chain':
        cursor.take();
        this.chain(context);
        return;
      case 'set':
      case 'map':
        cursor.take();
        this.set(context, word.text === 'map');
        return;
      case 'flowtable':
        cursor.take();
        this.flowtable();
        return;
      case 'comment':
        cursor.take();
        context.table.comment = readIdentifier(context, 'a comment').text;
        return;
      case 'flags':
        cursor.take();
        do this.tableFlag(context.table);
        while (cursor.accept(','));
        return;
      default:
        cursor.unexpected('a chain, set or object');
    }
  }

  /** `owner` and `persist` say who may change the table. */
  private tableFlag(table: NftTable): void {
    const flag = this.cursor.take();
    if (flag.text === 'dormant') table.dormant = true;
    else if (flag.text !== 'owner' && flag.text !== 'persist') {
      refuseAt('RULESET_SYNTAX', `'${flag.text}' is not a flag of a table`, flag.at);
    }
  }

  /** Takes the words that begin an object. */
  private objectKind(): ObjectKind | undefined {
    const { cursor } = this;
    const word = cursor.peek();
    if (word.kind !== 'word') return undefined;
    if (OBJECTS.includes(word.text)) return cursor.take().text as ObjectKind;
    if (word.text !== 'ct' || !CT_OBJECTS.includes(cursor.peek(1).text)) return undefined;
    cursor.take();
    return `ct ${cursor.take().text}` as ObjectKind;
  }

  object(context: Context, object: ObjectKind): void {
    const { table } = context;
    const name = readIdentifier(context, `the name of a ${object}`);
    const found = readNamedObject(context, object, { name: name.text, at: name.at });
    const { objects } = lookup(table);
    const key = objectKey(object, found.name);
    if (objects.has(key)) refuseAt('RULESET_INVALID', `${object} '${found.name}' is declared twice`, name.at);
    objects.set(key, found);
    table.objects.push(found);
  }

  /** A flowtable does nothing until a rule gives it flows, which is refused. */
  private flowtable(): void {
    this.cursor.take();
    if (this.cursor.accept('{')) this.skip();
  }

  set(context: Context, map: boolean): NftSet {
    const { cursor, table } = context;
    const { text: name, at } = readIdentifier(context, 'the name of a set');
    const set = declareSet(table, name, at);
    cursor.expect('{');
    const { handle } = cursor.peek();
    if (handle !== undefined) set.handle = handle;
    readSetBlock(context, set, map);
    cursor.expect('}');
    return set;
  }

  private namedSet(): { set: NftSet; context: Context } {
    const context = this.context(this.existing(this.tableName()));
    const { text: name, at } = readIdentifier(context, 'the name of a set');
    const set = lookup(context.table).sets.get(name);
    if (set !== undefined) return { set, context };
    return refuseAt('RULESET_INVALID', `set '${name}' does not exist in ${tableName(context.table)}`, at);
  }

  private element(): void {
    const { set, context } = this.namedSet();
    this.elements(context, set);
  }

  elements(context: Context, set: NftSet): void {
    readElements(context, set.key, set.data, set.elements);
  }

  chain(context: Context): NftChain {
    const { cursor, table } = context;
    const { text: name, at } = readIdentifier(context, 'the name of a chain');
    const { chains } = lookup(table);
    let chain = chains.get(name);
    if (chain === undefined) {
      chain = { table, name, rules: [], at };
      chains.set(name, chain);
      table.chains.push(chain);
    }
    if (!cursor.accept('{')) return chain;
    const { handle } = cursor.peek();
    if (handle !== undefined) chain.handle = handle;
    const known = chain;
    this.block(() => this.chainEntry(context, known));
    return chain;
  }

  private chainEntry(context: Context, chain: NftChain): void {
    const { cursor } = this;
    if (this.definition()) return;
    const word = cursor.peek();
    switch (word.kind === 'word' ? word.text : '') {
      case 'type':
        readBaseChain(context, chain);
        return;
      case 'policy': {
        cursor.take();
        const policy = cursor.take();
        if (policy.text !== 'accept' && policy.text !== 'drop') {
          refuseAt('RULESET_INVALID', `policy '${policy.text}' is neither accept nor drop`, policy.at);
        }
        if (chain.base === undefined)
          refuseAt('RULESET_INVALID', 'only base chains have a policy', cursor.since(word.at));
        chain.base.policy = policy.text;
        return;
      }
      case 'comment':
        cursor.take();
        chain.comment = readIdentifier(context, 'a comment').text;
        return;
      default:
        chain.rules.push(readRule(context));
    }
  }

  private addRule(insert: boolean): void {
    const { cursor } = this;
    const table = this.existing(this.tableName());
    const context = this.context(table);
    const name = readIdentifier(context, 'the name of a chain');
    const chain =
      lookup(table).chains.get(name.text) ??
      refuseAt('RULESET_INVALID', `chain '${name.text}' does not exist in ${tableName(table)}`, name.at);
    const place = cursor.peek();
    if ((cursor.is('handle') || cursor.is('position') || cursor.is('index')) && cursor.peek(1).kind === 'number') {
      this.unsupported(place, `${place.text} ${cursor.peek(1).text}`);
    }
    const rule = readRule(context);
    if (insert) chain.rules.unshift(rule);
    else chain.rules.push(rule);
  }
}

interface TableName {
  family: string;
  name: string;
  at: Place;
}
