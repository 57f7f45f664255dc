// Which words does an nft text consist of?
import { isIPv6 } from 'node:net';
import type { Place } from './ast.ts';
import { type NftText, refuseAt } from './text.ts';

export type TokenKind =
  | 'word'
  | 'quoted'
  | 'number'
  | 'ipv4'
  | 'ipv6'
  | 'mac'
  /** `1d2h3m4s5ms` */
  | 'time'
  | 'symbol'
  /** The end of a line, or `;`. */
  | 'newline'
  | 'end';

export interface Token {
  kind: TokenKind;
  /** The word; of a quoted one what is between the quotes. */
  text: string;
  at: Place;
  /** Of a newline: the handle that `nft -a` printed before it. */
  handle?: number;
  /** Of a newline: nft says before it that the table behind it is one of iptables-nft. */
  managed?: boolean;
  /** It was put in the place of a `$name`. */
  defined?: boolean;
}

const SPACE = /(?:[ \t\r\f\v]|\\\r?\n)*/y;
const COMMENT = /#[^\n]*/y;
const HANDLE = /^# handle (\d{1,15})\s*$/;
const MANAGED = /^# Warning: table .* is managed by iptables-nft/;
const MAC = /(?:[0-9a-fA-F]{1,2}:){5}[0-9a-fA-F]{1,2}(?![0-9a-fA-F:])/y;
const IPV6 = /[0-9a-fA-F]{0,4}:[0-9a-fA-F:.]*/y;
const IPV4 = /\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?![0-9])/y;
/** Ethertypes by name, the only words that begin with a digit. */
const WORD = /8021(?:ad|q)\b|[A-Za-z_][\w/.-]*(?:\\?\*)?/y;
const TIME = /(?=\d)(?:\d+d)?(?:\d+h)?(?:\d+m(?!s))?(?:\d+s)?(?:\d+ms)?(?![\w])/y;
const NUMBER = /0[xX][0-9a-fA-F]+|\d+/y;
const SYMBOL = /[=!<>]=|<<|>>|[-{}()[\],:./+@$=<>&|^!*]/y;

/** Reads words one after the other. */
export class Lexer {
  private offset = 0;

  constructor(private readonly source: NftText) {}

  next(): Token {
    const { text } = this.source;
    this.match(SPACE);
    const start = this.offset;
    const character = text[start];
    if (character === undefined) return this.token('end', '', start);
    if (character === '#') {
      const comment = this.match(COMMENT) ?? '';
      const handle = HANDLE.exec(comment)?.[1];
      const token = this.newline(start);
      if (handle !== undefined) token.handle = Number(handle);
      if (MANAGED.test(comment)) token.managed = true;
      return token;
    }
    if (character === '\n' || character === ';') return this.newline(start);
    if (character === '"') return this.quoted(start);
    return (
      this.address(start) ??
      this.read('word', WORD, start) ??
      this.read('time', TIME, start) ??
      this.read('number', NUMBER, start) ??
      this.read('symbol', SYMBOL, start) ??
      refuseAt('RULESET_SYNTAX', `unexpected '${character}'`, { text: this.source, start, end: start + 1 })
    );
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.offset;
    const found = pattern.exec(this.source.text)?.[0];
    if (found !== undefined) this.offset += found.length;
    return found;
  }

  private token(kind: TokenKind, text: string, start: number): Token {
    return { kind, text, at: { text: this.source, start, end: this.offset } };
  }

  private read(kind: TokenKind, pattern: RegExp, start: number): Token | undefined {
    const found = this.match(pattern);
    return found === undefined || found === '' ? undefined : this.token(kind, found, start);
  }

  private newline(start: number): Token {
    const end = this.source.text[this.offset];
    if (end === '\n' || end === ';') this.offset++;
    return this.token('newline', end === ';' ? ';' : '', start);
  }

  private quoted(start: number): Token {
    const end = this.source.text.indexOf('"', start + 1);
    if (end < 0) {
      const at = { text: this.source, start, end: this.source.text.length };
      return refuseAt('RULESET_SYNTAX', 'the quote is not closed', at);
    }
    this.offset = end + 1;
    return this.token('quoted', this.source.text.slice(start + 1, end), start);
  }

  /** The longest address that begins here. */
  private address(start: number): Token | undefined {
    const mac = this.read('mac', MAC, start);
    if (mac !== undefined) return mac;
    const candidate = this.match(IPV6);
    if (candidate !== undefined) {
      this.offset = start;
      // A colon behind an address separates what follows.
      for (const text of [candidate, candidate.replace(/:$/, '')]) {
        if (!isIPv6(text)) continue;
        this.offset = start + text.length;
        return this.token('ipv6', text, start);
      }
    }
    return this.read('ipv4', IPV4, start);
  }
}
