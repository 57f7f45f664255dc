// What number is an IP address written as text, and which addresses does a prefix cover?

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
  if (!text.includes(':')) {
    const value = quad(text);
    return value === undefined ? undefined : { family: IPV4, value };
  }
  const value = colonAddress(text);
  return value === undefined ? undefined : { family: IPV6, value };
}

/** Four bytes in decimal without leading zeros. */
function quad(text: string): bigint | undefined {
  const bytes = text.split('.');
  if (bytes.length !== 4 || !bytes.every((byte) => /^(0|[1-9]\d{0,2})$/.test(byte) && Number(byte) < 256))
    return undefined;
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** Eight words in hexadecimal; `::` stands for one zero word or more, a quad for the last two words. */
function colonAddress(text: string): bigint | undefined {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const before = words(head, tail === undefined);
  const after = words(tail ?? '', true);
  if (before === undefined || after === undefined) return undefined;
  const gap = 8 - before.length - after.length;
  if (tail === undefined ? gap !== 0 : gap < 1) return undefined;
  const all = [...before, ...new Array<bigint>(gap).fill(0n), ...after];
  return all.reduce((value, word) => (value << 16n) | word, 0n);
}

function words(text: string, last: boolean): bigint[] | undefined {
  const all: bigint[] = [];
  if (text === '') return all;
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    const dotted = last && index === parts.length - 1 ? quad(part) : undefined;
    if (dotted !== undefined) all.push(dotted >> 16n, dotted & 0xffffn);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) all.push(BigInt(`0x${part}`));
    else return undefined;
  }
  return all;
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
