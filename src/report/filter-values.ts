// What do the values of filters mean? Texts as conntrack takes them, to what records are compared with.
//
// `what` names the value in messages: an option of the command line, a key of an expectation.

import { L3, Status } from '../../assembly/vocabulary.ts';
import { UsageError } from '../errors.ts';
import type { LabelNames } from '../ruleset/source.ts';
import { type Address, addressBytes, IPV4, parseAddress, parseAddressWithLength } from '../topology/addresses.ts';
import type { AddressFilter, NatFilter } from './filter.ts';
import { conntrackProtocol } from './names.ts';

function usage(message: string): UsageError {
  return new UsageError('usage', message);
}

/** A number, decimal or with 0x. @throws UsageError */
export function numberOf(what: string, text: string, maximum: number): number {
  const value = /^(0[xX][0-9a-fA-F]+|\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= maximum)) throw usage(`${what}: '${text}' is not a number from 0 to ${maximum}`);
  return value;
}

/** An address as records have it: sixteen bytes, IPv4 in the first four. */
export function bytes16(address: Address): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set(addressBytes(address));
  return bytes;
}

function maskOf(length: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => 0xff00 >> Math.max(0, Math.min(8, length - i * 8)));
}

/** `ADDR` or `ADDR/LEN`. @throws UsageError */
export function addressOf(what: string, text: string): AddressFilter {
  const parsed = parseAddressWithLength(text);
  if (parsed === undefined) throw usage(`${what}: '${text}' is not an address`);
  return {
    l3num: parsed.family === IPV4 ? L3.IPV4 : L3.IPV6,
    bytes: bytes16(parsed),
    mask: maskOf(parsed.length),
  };
}

/** `ADDR` alone. @throws UsageError */
export function hostOf(what: string, text: string): AddressFilter {
  if (text.includes('/')) throw usage(`${what} takes an address without a length`);
  return addressOf(what, text);
}

/** `ADDR`, `ADDR:PORT`, `[ADDR6]:PORT`, or nothing. */
const NAT_TARGET = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)|([0-9a-fA-F:.]+))(?::(\d+))?$/;

/** Whether a word behind `--any-nat` is its value, not the next argument. */
export function isNatTarget(text: string): boolean {
  const [, bracketed, v4, v6] = NAT_TARGET.exec(text) ?? [];
  return parseAddress(bracketed ?? v4 ?? v6 ?? '') !== undefined || parseAddressWithLength(text) !== undefined;
}

/** To what address and port something was translated; any translation for an empty text. @throws UsageError */
export function natOf(what: string, text: string): NatFilter {
  if (text === '') return {};
  if (text.includes('/')) throw usage(`${what} takes an address without a length`);
  if (parseAddress(text)) return { address: addressOf(what, text) };
  const [, bracketed, v4, , port] = NAT_TARGET.exec(text) ?? [];
  const address = bracketed ?? v4;
  if (address === undefined) throw usage(`${what}: '${text}' is not an address`);
  return {
    address: addressOf(what, address),
    ...(port === undefined ? {} : { port: numberOf(what, port, 0xffff) }),
  };
}

/** A protocol by the name that conntrack knows, or by its number. @throws UsageError */
export function protocolOf(what: string, text: string): number {
  for (let protonum = 0; protonum < 256; protonum++) {
    const name = conntrackProtocol(protonum);
    if (name !== 'unknown' && name === text.toLowerCase()) return protonum;
  }
  if (/^\d+$/.test(text)) return numberOf(what, text, 255);
  throw usage(`${what}: '${text}' is not a protocol that conntrack knows`);
}

/** `ipv4` or `ipv6`. @throws UsageError */
export function familyOf(what: string, text: string): L3 {
  if (text === 'ipv4') return L3.IPV4;
  if (text === 'ipv6') return L3.IPV6;
  throw usage(`${what}: '${text}' is not ipv4 or ipv6`);
}

const STATUS_BITS: Record<string, number> = {
  ASSURED: Status.ASSURED,
  SEEN_REPLY: Status.SEEN_REPLY,
  FIXED_TIMEOUT: Status.FIXED_TIMEOUT,
  EXPECTED: Status.EXPECTED,
};

/** `BIT,BIT`: all of them; UNREPLIED is not SEEN_REPLY. @throws UsageError */
export function statusOf(what: string, text: string): { set: number; clear: number } {
  const status = { set: 0, clear: 0 };
  for (const name of text.toUpperCase().split(',')) {
    const bit = STATUS_BITS[name];
    if (bit !== undefined) status.set |= bit;
    else if (name === 'UNREPLIED') status.clear |= Status.SEEN_REPLY;
    else if (name === 'UNSET') throw usage(`${what}: UNSET selects nothing that could be listed`);
    else throw usage(`${what}: '${name}' is none of ${Object.keys(STATUS_BITS).join(', ')}, UNREPLIED`);
  }
  return status;
}

/** `MARK` or `MARK/MASK`. @throws UsageError */
export function markOf(what: string, text: string): { value: number; mask: number } {
  const [value = '', mask] = text.split('/', 2);
  return {
    value: numberOf(what, value, 0xffffffff),
    mask: mask === undefined ? 0xffffffff : numberOf(what, mask, 0xffffffff),
  };
}

/** `LABEL,LABEL`: their bits. @throws UsageError */
export function labelsOf(what: string, text: string, names: LabelNames): number[] {
  return text.split(',').map((name) => {
    const bit = names.get(name);
    if (bit === undefined) throw usage(`${what}: '${name}' is not in the host's connlabel.conf`);
    return bit;
  });
}
