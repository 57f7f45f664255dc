// How are the values of options read: numbers, ports, addresses, marks, lists?
import type { TextPosition } from '../../errors.ts';
import type { AddressRange, AddressTest, InvertedRange, Range } from '../ast.ts';
import { type Family, refuse } from '../source.ts';
import { own, PROTOCOLS, servicePort } from './names.ts';

/** A value together with its place, for the error. */
export interface Value {
  text: string;
  at: TextPosition;
}

export function invalid(value: Value, what: string): never {
  return refuse('RULESET_INVALID', `${what}: '${value.text}'`, value.at);
}

/** An unsigned number as strtoul(…, 0) reads it: decimal, 0x hexadecimal, 0 octal; undefined if it is none. */
export function readNumber(text: string, maximum: number): number | undefined {
  let number: number;
  if (/^0[xX][0-9a-fA-F]{1,16}$/.test(text)) number = Number.parseInt(text.slice(2), 16);
  else if (/^0[0-7]{0,22}$/.test(text)) number = Number.parseInt(text, 8);
  else if (/^[1-9][0-9]{0,19}$/.test(text)) number = Number(text);
  else return undefined;
  return number <= maximum ? number : undefined;
}

export function parseNumber(value: Value, maximum: number, what: string): number {
  return readNumber(value.text, maximum) ?? invalid(value, `${what} is not a number from 0 to ${maximum}`);
}

/** As parseNumber, up to 64 bits. */
export function parseNumber64(value: Value, what: string): bigint {
  const octal = /^0[0-7]+$/.test(value.text);
  const known = octal || /^(0[xX][0-9a-fA-F]{1,16}|0|[1-9]\d{0,19})$/.test(value.text);
  const number = known ? BigInt(octal ? `0o${value.text.slice(1)}` : value.text) : -1n;
  const fits = number >= 0n && number < 1n << 64n;
  return fits ? number : invalid(value, `${what} is not a number of 64 bits`);
}

/** `low`, `low:high`, `:high` or `low:`; low may exceed high, which matches nothing. */
export function parseRange(value: Value, maximum: number, what: string): Range {
  const parts = value.text.split(':');
  if (parts.length > 2 || value.text === ':') invalid(value, `${what} is not a number or range`);
  const [first = '', second] = parts;
  const bound = (text: string, absent: number): number =>
    text === ''
      ? absent
      : (readNumber(text, maximum) ?? invalid(value, `${what} is not a number or range from 0 to ${maximum}`));
  if (first === '' && second === undefined) invalid(value, `${what} is missing`);
  const low = bound(first, 0);
  return { low, high: second === undefined ? low : bound(second, maximum) };
}

export function parsePort(value: Value, text: string): number {
  return readNumber(text, 65535) ?? servicePort(text) ?? invalid({ text, at: value.at }, 'unknown port or service');
}

/** One port or `low:high`, either end open. With `ordered`, low > high is refused, as the tcp and udp matches do. */
export function parsePorts(value: Value, ordered: boolean): Range {
  const parts = value.text.split(':');
  if (parts.length > 2) invalid(value, 'not a port or port range');
  const [first = '', second] = parts;
  if (second === undefined) {
    const port = parsePort(value, first);
    return { low: port, high: port };
  }
  const low = first === '' ? 0 : parsePort(value, first);
  const high = second === '' ? 65535 : parsePort(value, second);
  if (ordered && low > high) invalid(value, 'the port range ends before it starts');
  return { low, high };
}

export function inverted(range: Range, invert: boolean): InvertedRange {
  return { ...range, invert };
}

export function parseProtocol(value: Value): number {
  return readNumber(value.text, 255) ?? own(PROTOCOLS, value.text.toLowerCase()) ?? invalid(value, 'unknown protocol');
}

/** `value[/mask]`; the mask is all ones if absent. */
export function parseMark(value: Value): { value: number; mask: number } {
  const slash = value.text.indexOf('/');
  const what = 'not a mark (number[/mask])';
  const read = (text: string): number => readNumber(text, 0xffffffff) ?? invalid(value, what);
  return slash < 0
    ? { value: read(value.text), mask: 0xffffffff }
    : { value: read(value.text.slice(0, slash)), mask: read(value.text.slice(slash + 1)) };
}

/** Bytes of an IPv4 address; missing parts at the end are zero, as iptables reads `10.1`. */
export function readIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.');
  if (parts.length > 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, part] of parts.entries()) {
    const number = readNumber(part, 255);
    if (number === undefined) return undefined;
    bytes[index] = number;
  }
  return bytes;
}

/** Bytes of an IPv6 address (RFC 4291, section 2.2). */
export function readIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::');
  if (halves.length > 2 || !text.includes(':')) return undefined;
  const groups = (half: string, last: boolean): number[] | undefined => {
    if (half === '') return [];
    const bytes: number[] = [];
    const parts = half.split(':');
    for (const [index, part] of parts.entries()) {
      if (last && index === parts.length - 1 && /^\d{1,3}(\.\d{1,3}){3}$/.test(part)) {
        const quad = part.split('.').map(Number);
        if (quad.some((byte) => byte > 255)) return undefined;
        bytes.push(...quad);
      } else {
        if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
        const group = Number.parseInt(part, 16);
        bytes.push(group >> 8, group & 255);
      }
    }
    return bytes;
  };
  const [first = '', second] = halves;
  const head = groups(first, second === undefined);
  const tail = second === undefined ? [] : groups(second, true);
  if (!head || !tail) return undefined;
  const missing = 16 - head.length - tail.length;
  if (second === undefined ? missing !== 0 : missing < 2) return undefined;
  return Uint8Array.from([...head, ...new Array<number>(missing).fill(0), ...tail]);
}

function parseAddress(value: Value, text: string, family: Family): Uint8Array {
  const bytes = family === 2 ? readIpv4(text) : readIpv6(text);
  if (bytes) return bytes;
  if (family === 2 && readIpv6(text)) return invalid(value, 'an IPv6 address in a ruleset for IPv4');
  if (family === 10 && readIpv4(text) && text.includes('.')) {
    return invalid(value, 'an IPv4 address in a ruleset for IPv6');
  }
  return invalid(value, 'not an address (host and network names are not looked up)');
}

function parseMask(value: Value, text: string, family: Family): Uint8Array {
  const bits = family === 2 ? 32 : 128;
  if (/^\d{1,3}$/.test(text)) {
    const length = Number(text);
    if (length > bits) invalid(value, 'the prefix is too long');
    return Uint8Array.from({ length: bits / 8 }, (_, index) => {
      const ones = Math.min(8, Math.max(0, length - index * 8));
      return (0xff00 >> ones) & 0xff;
    });
  }
  const mask = family === 2 ? (text.split('.').length === 4 ? readIpv4(text) : undefined) : readIpv6(text);
  return mask ?? invalid(value, 'not a netmask');
}

/** `address[/mask]`, the mask a prefix length or an address, also with holes. */
export function parseNetwork(value: Value, family: Family, invert: boolean): AddressTest {
  const slash = value.text.indexOf('/');
  const address = parseAddress(value, slash < 0 ? value.text : value.text.slice(0, slash), family);
  const mask =
    slash < 0 ? new Uint8Array(address.length).fill(255) : parseMask(value, value.text.slice(slash + 1), family);
  return { address: address.map((byte, index) => byte & (mask[index] ?? 0)), mask, invert };
}

/** `first[-last]` */
export function parseAddressRange(value: Value, family: Family, invert: boolean): AddressRange {
  const dash = value.text.indexOf('-');
  const low = parseAddress(value, dash < 0 ? value.text : value.text.slice(0, dash), family);
  return { low, high: dash < 0 ? low : parseAddress(value, value.text.slice(dash + 1), family), invert };
}

/** A comma list of names, each turned into a bit set. Names are compared without regard to case. */
export function parseBits(value: Value, bits: (name: string) => number | undefined, what: string): number {
  let set = 0;
  for (const name of value.text.split(',')) {
    set |= bits(name.toUpperCase()) ?? invalid({ text: name, at: value.at }, `unknown ${what}`);
  }
  return set;
}

/** Six bytes as `xx:xx:xx:xx:xx:xx`; a leading zero may be missing. */
export function parseMac(value: Value): Uint8Array {
  if (!/^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}$/.test(value.text)) invalid(value, 'not a MAC address');
  return Uint8Array.from(value.text.split(':'), (byte) => Number.parseInt(byte, 16));
}
