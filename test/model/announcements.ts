// What do FTP and TFTP announce in a packet's payload? Read as nf_conntrack_ftp.c and nf_conntrack_tftp.c read it (RFC 959,
// 1123, 1350, 2428), in regular expressions.

import { isIPv6 } from 'node:net';
import { addressBytes } from '../support/packets.ts';

/** partial: begins like an announcement, but is none. Hex digits of the address, or of its beginning; none: the speaker's. */
export type Announced = 'nothing' | 'partial' | { address?: string; port: number };

interface Command {
  word: string;
  /** What stands between the word and the numbers. */
  skip?: string;
  read: (text: string, family: 4 | 6) => { address?: string; port: number } | undefined;
}

const word32 = (bytes: readonly number[]): string =>
  (bytes.reduce((sum, byte, i) => (sum | (byte << (24 - 8 * i))) >>> 0, 0) >>> 0).toString(16).padStart(8, '0');

/** So many numbers with something between them; what follows must be `end`, or anything at all but another of them. */
function numbers(text: string, count: number, between: string, end: string | undefined) {
  const gap = between.replace(/[^\w]/g, '\\$&');
  const found = new RegExp(`^([0-9]*(?:${gap}[0-9]*){${count - 1}})([^0-9])`).exec(text);
  if (!found || found[2] === between || (end !== undefined && found[2] !== end)) return undefined;
  const values = found[1]!.split(between).map((digits) => Number(BigInt(digits || '0') & 0xffffffffn));
  return { values, length: found[1]!.length };
}

/** Digits up to the delimiter. */
function port(text: string, delimiter: string): number | undefined {
  const digits = /^[0-9]*/.exec(text)![0];
  const value = Number(BigInt(digits || '0') & 0xffffn);
  return text[digits.length] === delimiter && value !== 0 ? value : undefined;
}

function hostPort(text: string, end: string | undefined) {
  const found = numbers(text, 6, ',', end);
  if (!found) return undefined;
  const [high = 0, low = 0] = found.values.slice(4);
  return { address: word32(found.values.slice(0, 4)), port: ((high << 8) | low) & 0xffff };
}

function delimiter(text: string): string | undefined {
  const [first = ''] = text;
  return text.length > 3 && first >= '!' && first <= '~' && !/[0-9]/.test(first) ? first : undefined;
}

function extended(text: string, family: 4 | 6) {
  const mark = delimiter(text);
  if (mark === undefined || text[2] !== mark || text[1] !== (family === 4 ? '1' : '2')) return undefined;
  const rest = text.slice(3);
  const own = family === 4 ? numbers(rest, 4, '.', mark) : undefined;
  const length = family === 4 ? own?.length : rest.indexOf(mark);
  if (length === undefined || length < 1) return undefined;
  const shown = rest.slice(0, length);
  if (family === 6 && !isIPv6(shown)) return undefined;
  const address = own ? word32(own.values) : Buffer.from(addressBytes(shown)).toString('hex');
  const number = port(rest.slice(length + 1), mark);
  return number === undefined ? undefined : { address, port: number };
}

/** By direction. */
const COMMANDS: readonly (readonly Command[])[] = [
  [
    { word: 'PORT', skip: ' ', read: (text) => hostPort(text, '\r') },
    { word: 'EPRT', skip: ' ', read: extended },
  ],
  [
    {
      word: '227 ',
      read: (text) => {
        const first = text.search(/[0-9]/);
        return first < 0 ? undefined : hostPort(text.slice(first), undefined);
      },
    },
    {
      word: '229 ',
      skip: '(',
      read: (text) => {
        const mark = delimiter(text);
        const number = mark && text[1] === mark && text[2] === mark ? port(text.slice(3), mark) : undefined;
        return number === undefined ? undefined : { port: number };
      },
    },
  ],
];

/** What the payload of a segment announces that begins a line. */
export function readFtp(payload: Uint8Array, dir: 0 | 1, family: 4 | 6): Announced {
  const text = Buffer.from(payload).toString('latin1');
  const upper = text.toUpperCase();
  for (const { word, skip, read } of COMMANDS[dir]!) {
    if (text.length <= word.length) {
      if (word.startsWith(upper)) return 'partial';
      continue;
    }
    if (!upper.startsWith(word)) continue;
    const from = skip === undefined ? word.length : text.indexOf(skip, word.length) + 1;
    if (from === 0) return 'partial';
    return read(text.slice(from), family) ?? 'partial';
  }
  return 'nothing';
}

/** Does the datagram ask for a transfer? */
export function isTftpRequest(payload: Uint8Array): boolean {
  return payload.length >= 2 && payload[0] === 0 && (payload[1] === 1 || payload[1] === 2);
}
