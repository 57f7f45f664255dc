// Where ruleset text comes from, and how a place in it is named in an error.
import { RulesetError, type TextPosition } from '../errors.ts';
import type { IpSets } from './ipset/ipset.ts';

/** Layer 3 family of a ruleset: NFPROTO_IPV4 or NFPROTO_IPV6. */
export type Family = 2 | 10;

/** What rules call by names that other files of the host explain. */
export interface HostNames {
  labels?: LabelNames;
  /** IP sets; undefined if no file says what they hold. */
  sets?: IpSets;
}

/** One file of rules as production prints it. `family` states what content alone cannot always tell. */
export interface RulesetSource extends HostNames {
  file: string;
  text: string;
  family?: Family;
}

/** Bits of connection labels by name (connlabel.conf). */
export type LabelNames = ReadonlyMap<string, number>;

/** One line of a source. */
export interface Line {
  file: string;
  /** From 1. */
  number: number;
  text: string;
}

/** A word of a line. */
export interface Token {
  /** The word with quotes and escapes resolved. */
  text: string;
  /** Column of its first character (the quote, if it starts with one), from 1. */
  column: number;
  /** Characters it takes up in the line. */
  length: number;
  quoted: boolean;
}

/** Why a ruleset is refused: it cannot be read, it is not supported here, or the kernel would refuse it too. */
export type Refusal = 'RULESET_SYNTAX' | 'RULESET_UNSUPPORTED' | 'RULESET_INVALID';

export function position(line: Line, token?: { column: number; length: number }): TextPosition {
  const text = line.text.replaceAll('\t', ' ');
  if (token) return { file: line.file, line: line.number, column: token.column, length: token.length, text };
  const start = text.length - text.trimStart().length;
  return {
    file: line.file,
    line: line.number,
    column: start + 1,
    length: Math.max(1, text.trimEnd().length - start),
    text,
  };
}

export function refuse(refusal: Refusal, message: string, at: TextPosition): never {
  throw new RulesetError(refusal, message, at);
}

export function splitLines(source: RulesetSource): Line[] {
  return source.text.split('\n').map((text, index) => ({
    file: source.file,
    number: index + 1,
    text: text.endsWith('\r') ? text.slice(0, -1) : text,
  }));
}

/** The language a text is written in, by its first line that is neither blank nor a comment. */
export function detectFormat(lines: Line[]): { format: 'iptables' | 'nft' | 'empty' | 'unknown'; line?: Line } {
  const line = lines.find((candidate) => !/^\s*(#|$)/.test(candidate.text));
  if (!line) return { format: 'empty' };
  if (/^\s*[*:[-]/.test(line.text) || line.text.trim() === 'COMMIT') {
    // `[{"nftables":...` is not an iptables counter.
    return { format: /^\s*\[\s*(\{|$)/.test(line.text) ? 'nft' : 'iptables', line };
  }
  const nft =
    /^\s*(\{|table\b|flush\b|add\b|create\b|insert\b|delete\b|destroy\b|define\b|include\b|chain\b|set\b|map\b)/;
  return { format: nft.test(line.text) ? 'nft' : 'unknown', line };
}

const GENERATED_V6 = /^#.*\bip6tables/;
const GENERATED_V4 = /^#.*\biptables/;
const ADDRESS_OPTION =
  /(?:^|\s)(?:-s|-d|--source|--destination|--src|--dst|--(?:src|dst)-range|--ct\w+(?:src|dst))\s+(?:!\s+)?(\S+)/g;
const WORDS_V6 =
  /\s(?:-p\s+(?:ipv6-icmp|icmpv6|58)|-m\s+(?:icmp6|icmpv6|hl|frag|rt|hbh|dst|ipv6header|eui64|mh)|--icmpv6-type|--reject-with\s+icmp6-\S+)(?=\s|$)/;
const WORDS_V4 = /\s(?:-p\s+icmp|-m\s+(?:icmp|ttl)|--icmp-type|--reject-with\s+icmp-\S+|-f)(?=\s|$)/;

/**
 * The family of an iptables-save text, by what it says: addresses first, then words that only one family has, then the
 * comment of the program that printed it; IPv4 if nothing tells. Lines marked -4 or -6 say nothing about the others.
 */
export function detectFamily(lines: Line[]): Family {
  let words: Family | undefined;
  let generated: Family | undefined;
  for (const { text } of lines) {
    if (text.startsWith('#')) {
      if (GENERATED_V6.test(text)) generated ??= 10;
      else if (GENERATED_V4.test(text)) generated ??= 2;
      continue;
    }
    if (/^\s*(\[\d+:\d+\]\s*)?(-4|-6|--ipv4|--ipv6)\s/.test(text)) continue;
    for (const match of text.matchAll(ADDRESS_OPTION)) {
      const address = match[1] ?? '';
      if (/^[0-9a-fA-F]*:[0-9a-fA-F:.]*(\/|-|,|$)/.test(address)) return 10;
      if (/^\d+(\.\d+)+/.test(address)) return 2;
    }
    if (words === undefined) {
      if (WORDS_V6.test(text)) words = 10;
      else if (WORDS_V4.test(text)) words = 2;
    }
  }
  return words ?? generated ?? 2;
}
