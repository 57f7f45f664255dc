// Which word comes next, with `$name` replaced by what it was defined as?
import type { Place } from './ast.ts';
import { Lexer, type Token } from './lex.ts';
import { type NftText, refuseAt, span } from './text.ts';

/** Words that all definitions together may put into the text: a few lines can otherwise stand for any number. */
const EXPANDED_MAX = 4_000_000;

/** Names in a block, and in the blocks around it. */
interface Scope {
  names: Map<string, Token[]>;
  outer: Scope | undefined;
}

export class Cursor {
  private readonly lexer: Lexer;
  /** Words read ahead, from `head` on. */
  private readonly ahead: Token[] = [];
  private head = 0;
  private scope: Scope = { names: new Map(), outer: undefined };
  private expanded = 0;
  /** The last word that was taken. */
  last: Token;

  constructor(readonly text: NftText) {
    this.lexer = new Lexer(text);
    this.last = { kind: 'newline', text: '', at: { text, start: 0, end: 0 } };
  }

  peek(distance = 0): Token {
    while (this.ahead.length - this.head <= distance) this.fill();
    return this.ahead[this.head + distance] as Token;
  }

  take(): Token {
    const token = this.peek();
    this.last = token;
    if (token.kind === 'end') return token;
    this.head++;
    if (this.head === this.ahead.length) {
      this.ahead.length = 0;
      this.head = 0;
    }
    return token;
  }

  /** Whether the next word, not in quotes, is this. */
  is(text: string, distance = 0): boolean {
    const token = this.peek(distance);
    return token.text === text && (token.kind === 'symbol' || token.kind === 'word');
  }

  accept(text: string): boolean {
    if (!this.is(text)) return false;
    this.take();
    return true;
  }

  expect(text: string): Token {
    if (!this.is(text)) this.unexpected(`'${text}'`);
    return this.take();
  }

  /** Whether a statement ends here. */
  atEnd(): boolean {
    const { kind } = this.peek();
    return kind === 'newline' || kind === 'end' || this.is('}');
  }

  skipNewlines(): void {
    while (this.peek().kind === 'newline') this.take();
  }

  unexpected(wanted: string): never {
    const token = this.peek();
    const found =
      token.kind === 'end' ? 'the text ends' : token.kind === 'newline' ? 'the line ends' : `found '${token.text}'`;
    return refuseAt('RULESET_SYNTAX', `expected ${wanted}, but ${found}`, token.at);
  }

  /** From the start of `from` to the end of the last word taken. */
  since(from: Place): Place {
    return span(from, this.last.at);
  }

  openBlock(): void {
    this.scope = { names: new Map(), outer: this.scope };
  }

  closeBlock(): void {
    this.scope = this.scope.outer ?? this.scope;
  }

  /** Reads the value of a definition, up to the end of its line. */
  define(name: string): void {
    const tokens: Token[] = [];
    for (let depth = 0; depth > 0 || !this.atEnd(); ) {
      const token = this.take();
      if (token.kind === 'end') refuseAt('RULESET_SYNTAX', `the definition of '${name}' does not end`, token.at);
      if (token.kind === 'newline') continue;
      if (token.kind === 'symbol' && token.text === '{') depth++;
      if (token.kind === 'symbol' && token.text === '}') depth--;
      tokens.push(token);
      this.spend(1, token.at);
    }
    this.scope.names.set(name, tokens);
  }

  undefine(name: Token): void {
    if (!this.scope.names.delete(name.text)) refuseAt('RULESET_INVALID', `'${name.text}' is not defined`, name.at);
  }

  private fill(): void {
    const token = this.lexer.next();
    if (token.kind !== 'symbol' || token.text !== '$') {
      this.ahead.push(token);
      return;
    }
    const name = this.lexer.next();
    const at = span(token.at, name.at);
    for (let scope: Scope | undefined = this.scope; scope !== undefined; scope = scope.outer) {
      const value = scope.names.get(name.text);
      if (value === undefined) continue;
      this.spend(value.length, at);
      for (const each of value) this.ahead.push({ ...each, at, defined: true });
      return;
    }
    refuseAt('RULESET_INVALID', `'${name.text}' is not defined`, at);
  }

  private spend(words: number, at: Place): void {
    this.expanded += words;
    if (this.expanded > EXPANDED_MAX) {
      refuseAt('RULESET_UNSUPPORTED', `definitions stand for more than ${EXPANDED_MAX} words`, at);
    }
  }
}
