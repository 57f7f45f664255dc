// What does the user filter by? From the values of conntrack's filters to a FlowFilter.
//
// What conntrack passes over in silence (a port that is no number, a zone that does not fit, an option that is given
// twice) is refused here: a filter that selects something else than was meant is worse than none.

import { EventKind, L3, Proto, SctpConntrack, Status, TcpConntrack } from '../../assembly/vocabulary.ts';
import { UsageError } from '../errors.ts';
import {
  type AddressFilter,
  type FlowFilter,
  type NatFilter,
  PROTOCOL_WORDS,
  type WordFilter,
} from '../report/filter.ts';
import { conntrackProtocol } from '../report/names.ts';
import type { LabelNames } from '../ruleset/source.ts';
import { type Address, addressBytes, IPV4, parseAddress, parseAddressWithLength } from '../topology/addresses.ts';

/** Values of the filter options by their names, as they were given. */
export type FilterValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

function usage(message: string): UsageError {
  return new UsageError('usage', message);
}

function numberOf(option: string, text: string, maximum: number): number {
  const value = /^(0[xX][0-9a-fA-F]+|\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= maximum)) throw usage(`--${option}: '${text}' is not a number from 0 to ${maximum}`);
  return value;
}

function bytes16(address: Address): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set(addressBytes(address));
  return bytes;
}

function maskOf(length: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => 0xff00 >> Math.max(0, Math.min(8, length - i * 8)));
}

function addressFilter(option: string, text: string, mask: string | undefined, prefixes: boolean): AddressFilter {
  if (!prefixes && text.includes('/')) throw usage(`--${option} takes an address without a length`);
  const parsed = parseAddressWithLength(text);
  if (parsed === undefined) throw usage(`--${option}: '${text}' is not an address`);
  const l3num = parsed.family === IPV4 ? L3.IPV4 : L3.IPV6;
  const bytes = bytes16(parsed);
  if (mask === undefined) return { l3num, bytes, mask: maskOf(parsed.length) };
  const maskAddress = parseAddress(mask);
  if (text.includes('/')) throw usage(`--mask-${option}: --${option} has a length already`);
  if (maskAddress?.family !== parsed.family) throw usage(`--mask-${option}: '${mask}' is not a mask of --${option}`);
  return { l3num, bytes, mask: bytes16(maskAddress) };
}

/** `ADDR`, `ADDR:PORT`, `[ADDR6]:PORT`, or nothing. */
const NAT_TARGET = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)|([0-9a-fA-F:.]+))(?::(\d+))?$/;

/** Whether a word behind `--any-nat` is its value, not the next argument. */
export function isNatTarget(text: string): boolean {
  const [, bracketed, v4, v6] = NAT_TARGET.exec(text) ?? [];
  return parseAddress(bracketed ?? v4 ?? v6 ?? '') !== undefined || parseAddressWithLength(text) !== undefined;
}

function natFilter(option: string, value: string | true): NatFilter {
  if (value === true || value === '') return {};
  if (value.includes('/')) throw usage(`--${option} takes an address without a length`);
  if (parseAddress(value)) return { address: addressFilter(option, value, undefined, false) };
  const [, bracketed, v4, , port] = NAT_TARGET.exec(value) ?? [];
  const address = bracketed ?? v4;
  if (address === undefined) throw usage(`--${option}: '${value}' is not an address`);
  return {
    address: addressFilter(option, address, undefined, false),
    ...(port === undefined ? {} : { port: numberOf(option, port, 0xffff) }),
  };
}

function protocolOf(text: string): number {
  for (let protonum = 0; protonum < 256; protonum++) {
    const name = conntrackProtocol(protonum);
    if (name !== 'unknown' && name === text.toLowerCase()) return protonum;
  }
  if (/^\d+$/.test(text)) return numberOf('protonum', text, 255);
  throw usage(`--protonum: '${text}' is not a protocol that conntrack knows`);
}

function stateOf(text: string, protonum: number | undefined): number {
  if (protonum !== Proto.TCP && protonum !== Proto.SCTP) throw usage('--state needs -p tcp or -p sctp');
  const tcp = protonum === Proto.TCP;
  // The tool's older name of the state in which both sides have sent a SYN.
  const name = tcp && text === 'LISTEN' ? 'SYN_SENT2' : text;
  const states: Record<string, unknown> = tcp ? TcpConntrack : SctpConntrack;
  const state = states[name];
  const maximum = tcp ? TcpConntrack.MAX : SctpConntrack.MAX;
  if (typeof state === 'number' && state < maximum) return state;
  throw usage(`--state: '${text}' is not a state of ${tcp ? 'TCP' : 'SCTP'}`);
}

const STATUS_BITS: Record<string, number> = {
  ASSURED: Status.ASSURED,
  SEEN_REPLY: Status.SEEN_REPLY,
  FIXED_TIMEOUT: Status.FIXED_TIMEOUT,
  EXPECTED: Status.EXPECTED,
};

function statusOf(text: string): { set: number; clear: number } {
  const status = { set: 0, clear: 0 };
  for (const name of text.toUpperCase().split(',')) {
    const bit = STATUS_BITS[name];
    if (bit !== undefined) status.set |= bit;
    else if (name === 'UNREPLIED') status.clear |= Status.SEEN_REPLY;
    else if (name === 'UNSET') throw usage('--status: UNSET selects nothing that could be listed');
    else throw usage(`--status: '${name}' is none of ${Object.keys(STATUS_BITS).join(', ')}, UNREPLIED`);
  }
  return status;
}

function markOf(text: string): { value: number; mask: number } {
  const [value = '', mask] = text.split('/', 2);
  return {
    value: numberOf('mark', value, 0xffffffff),
    mask: mask === undefined ? 0xffffffff : numberOf('mark', mask, 0xffffffff),
  };
}

const KINDS: Record<string, readonly EventKind[]> = {
  NEW: [EventKind.NEW],
  UPDATES: [EventKind.UPDATE],
  DESTROY: [EventKind.DESTROY],
  ALL: [EventKind.NEW, EventKind.UPDATE, EventKind.DESTROY],
};

function kindsOf(text: string): ReadonlySet<EventKind> {
  const kinds = new Set<EventKind>();
  for (const name of text.toUpperCase().split(',')) {
    const some = KINDS[name];
    if (some === undefined) throw usage(`--event-mask: '${name}' is none of ${Object.keys(KINDS).join(', ')}`);
    for (const kind of some) kinds.add(kind);
  }
  return kinds;
}

function labelBits(texts: readonly string[], names: LabelNames): number[] {
  return texts
    .flatMap((text) => text.split(','))
    .map((name) => {
      const bit = names.get(name);
      if (bit === undefined) throw usage(`--label: '${name}' is not in the host's connlabel.conf`);
      return bit;
    });
}

function wordFilters(values: FilterValues, protonum: number | undefined): WordFilter[] {
  const words: WordFilter[] = [];
  for (const { option, protocols, word } of PROTOCOL_WORDS) {
    const text = values[camelCase(option)];
    if (typeof text !== 'string') continue;
    if (protonum === undefined || !protocols.includes(protonum)) {
      throw usage(`--${option} needs -p ${protocols.map(conntrackProtocol).join(', ')}`);
    }
    words.push({ ...word, value: numberOf(option, text, word.size === 1 ? 0xff : 0xffff) });
  }
  return words;
}

/** `reply-port-src` -> `replyPortSrc`, as the parser of arguments names options. */
export function camelCase(option: string): string {
  return option.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function familyOf(text: string): number {
  if (text === 'ipv4') return L3.IPV4;
  if (text === 'ipv6') return L3.IPV6;
  throw usage(`--family: '${text}' is not ipv4 or ipv6`);
}

/**
 * The filter that the options describe, undefined if none was given.
 *
 * @param labels names of the host's labels
 * @throws UsageError
 */
export function flowFilter(values: FilterValues, labels: LabelNames): FlowFilter | undefined {
  const text = (option: string) => values[option] as string | undefined;
  const address = (option: string, mask?: string) => {
    const value = text(camelCase(option));
    if (value !== undefined) return addressFilter(option, value, mask, option === 'src' || option === 'dst');
    if (mask !== undefined) throw usage(`--mask-${option} needs --${option}`);
    return undefined;
  };
  const nat = (option: string) => {
    const value = values[camelCase(option)] as string | true | undefined;
    return value === undefined ? undefined : natFilter(option, value);
  };
  const number = (option: string, maximum: number) => {
    const value = text(camelCase(option));
    return value === undefined ? undefined : numberOf(option, value, maximum);
  };
  const given = <Value>(value: string | undefined, parse: (value: string) => Value) =>
    value === undefined ? undefined : parse(value);
  const protonum = given(text('protonum'), protocolOf);
  const filter = {
    l3num: given(text('family'), familyOf),
    protonum,
    origSrc: address('src', text('maskSrc')),
    origDst: address('dst', text('maskDst')),
    replySrc: address('reply-src'),
    replyDst: address('reply-dst'),
    words: wordFilters(values, protonum),
    state: given(text('state'), (state) => stateOf(state, protonum)),
    srcNat: nat('src-nat'),
    dstNat: nat('dst-nat'),
    anyNat: nat('any-nat'),
    mark: given(text('mark'), markOf),
    status: given(text('status'), statusOf),
    zone: number('zone', 0xffff),
    origZone: number('orig-zone', 0xffff),
    replyZone: number('reply-zone', 0xffff),
    labels: labelBits((values.label as readonly string[] | undefined) ?? [], labels),
    kinds: given(text('eventMask'), kindsOf),
  };
  if (filter.anyNat && (filter.srcNat || filter.dstNat)) {
    throw usage('--any-nat cannot be given with --src-nat or --dst-nat');
  }
  const families = [filter.origSrc, filter.origDst, filter.replySrc, filter.replyDst].flatMap(
    (end) => end?.l3num ?? [],
  );
  if (filter.l3num !== undefined) families.push(filter.l3num);
  if (new Set(families).size > 1) throw usage('addresses and --family are of different families');
  const none = Object.values(filter).every((value) => value === undefined || (Array.isArray(value) && !value.length));
  return none ? undefined : (filter as FlowFilter);
}
