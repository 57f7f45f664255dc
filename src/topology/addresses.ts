// What number is an IP address written as text, and which addresses does a prefix cover?
import { isIPv4, isIPv6 } from 'node:net';

/** NFPROTO_IPV4 or NFPROTO_IPV6. */
export type Family = 2 | 10;

export const IPV4: Family = 2;
export const IPV6: Family = 10;

export interface Address {
  family: Family;
  /** The address as a number, most significant byte first on the wire. */
  value: bigint;
}

/** All addresses that agree with `first` in their first `length` bits; the other bits of `first` are zero. */
export interface Prefix {
  family: Family;
  first: bigint;
  length: number;
}

export function addressBits(family: Family): number {
  return family === IPV4 ? 32 : 128;
}

/** Mask of the bits behind the first `length` ones. */
export function hostMask(family: Family, length: number): bigint {
  return (1n << BigInt(addressBits(family) - length)) - 1n;
}

/** The last address of a prefix. */
export function lastAddress(prefix: Prefix): bigint {
  return prefix.first | hostMask(prefix.family, prefix.length);
}

export function contains(prefix: Prefix, address: Address): boolean {
  if (prefix.family !== address.family) return false;
  return (address.value & ~hostMask(prefix.family, prefix.length)) === prefix.first;
}

/** Reads an address (RFC 4291 section 2.2 for IPv6, dotted quad for IPv4); undefined if it is none. No zone index. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return { family: IPV4, value: quad(text) };
  if (!isIPv6(text) || text.includes('%')) return undefined;
  let words = text;
  const dotted = /(\d+\.\d+\.\d+\.\d+)$/.exec(words);
  if (dotted?.[1] !== undefined) {
    const value = quad(dotted[1]);
    words = `${words.slice(0, -dotted[1].length)}${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
  }
  const [head = '', tail] = words.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...new Array<string>(gap).fill('0'), ...after];
  return { family: IPV6, value: all.reduce((value, word) => (value << 16n) | BigInt(`0x${word}`), 0n) };
}

function quad(text: string): bigint {
  return text.split('.').reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Reads `address` or `address/length`; undefined if it is neither. Bits behind the prefix are cleared. */
export function parsePrefix(text: string): Prefix | undefined {
  const parts = parseAddressWithLength(text);
  if (parts === undefined) return undefined;
  const { family, value, length } = parts;
  return { family, length, first: value & ~hostMask(family, length) };
}

/** Reads `address` or `address/length` and keeps the address; without a length it is the whole address. */
export function parseAddressWithLength(text: string): (Address & { length: number }) | undefined {
  const [before = '', after] = text.split('/', 2);
  const address = parseAddress(before);
  if (address === undefined) return undefined;
  const bits = addressBits(address.family);
  if (after === undefined) return { ...address, length: bits };
  const length = Number(after);
  if (!/^\d{1,3}$/.test(after) || length > bits) return undefined;
  return { ...address, length };
}

/** Bytes of an address in wire order: 4 or 16. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = new Uint8Array(addressBits(address.family) / 8);
  let rest = address.value;
  for (let index = bytes.length - 1; index >= 0; index--) {
    bytes[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}
