// What does the user filter by? From the values of conntrack's filters to a FlowFilter.
//
// What conntrack passes over in silence (a port that is no number, a zone that does not fit, an option that is given
// twice) is refused here: a filter that selects something else than was meant is worse than none.

import { EventKind, L3, Proto, SctpConntrack, TcpConntrack } from '../../assembly/vocabulary.ts';
import { UsageError } from '../errors.ts';
import { type AddressFilter, type FlowFilter, PROTOCOL_WORDS, type WordFilter } from '../report/filter.ts';
import {
  addressOf,
  bytes16,
  familyOf,
  hostOf,
  labelsOf,
  markOf,
  natOf,
  numberOf,
  protocolOf,
  statusOf,
} from '../report/filter-values.ts';
import { conntrackProtocol } from '../report/names.ts';
import type { LabelNames } from '../ruleset/source.ts';
import { IPV4, parseAddress } from '../topology/addresses.ts';

/** Values of the filter options by their names, as they were given. */
export type FilterValues = Readonly<Record<string, string | readonly string[] | boolean | undefined>>;

function usage(message: string): UsageError {
  return new UsageError('usage', message);
}

/** `ADDR/LEN`, or `ADDR` and a mask of its own. */
function maskedOf(option: 'src' | 'dst', text: string, mask: string | undefined): AddressFilter {
  const filter = addressOf(`--${option}`, text);
  if (mask === undefined) return filter;
  const maskAddress = parseAddress(mask);
  if (text.includes('/')) throw usage(`--mask-${option}: --${option} has a length already`);
  if (maskAddress === undefined || (maskAddress.family === IPV4 ? L3.IPV4 : L3.IPV6) !== filter.l3num)
    throw usage(`--mask-${option}: '${mask}' is not a mask of --${option}`);
  return { ...filter, mask: bytes16(maskAddress) };
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

function wordFilters(values: FilterValues, protonum: number | undefined): WordFilter[] {
  const words: WordFilter[] = [];
  for (const { option, protocols, word } of PROTOCOL_WORDS) {
    const text = values[camelCase(option)];
    if (typeof text !== 'string') continue;
    if (protonum === undefined || !protocols.includes(protonum)) {
      throw usage(`--${option} needs -p ${protocols.map(conntrackProtocol).join(', ')}`);
    }
    words.push({ ...word, value: numberOf(`--${option}`, text, word.size === 1 ? 0xff : 0xffff) });
  }
  return words;
}

/** `reply-port-src` -> `replyPortSrc`, as the parser of arguments names options. */
export function camelCase(option: string): string {
  return option.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * The filter that the options describe, undefined if none was given.
 *
 * @param labels names of the host's labels
 * @throws UsageError
 */
export function flowFilter(values: FilterValues, labels: LabelNames): FlowFilter | undefined {
  const text = (option: string) => values[option] as string | undefined;
  const masked = (option: 'src' | 'dst', mask: string | undefined) => {
    const value = text(option);
    if (value !== undefined) return maskedOf(option, value, mask);
    if (mask !== undefined) throw usage(`--mask-${option} needs --${option}`);
    return undefined;
  };
  const given = <Value>(option: string, parse: (what: string, value: string) => Value) => {
    const value = values[camelCase(option)] as string | true | undefined;
    return value === undefined ? undefined : parse(`--${option}`, value === true ? '' : value);
  };
  const number = (option: string, maximum: number) => given(option, (what, value) => numberOf(what, value, maximum));
  const protonum = given('protonum', protocolOf);
  const filter = {
    l3num: given('family', familyOf),
    protonum,
    origSrc: masked('src', text('maskSrc')),
    origDst: masked('dst', text('maskDst')),
    replySrc: given('reply-src', hostOf),
    replyDst: given('reply-dst', hostOf),
    words: wordFilters(values, protonum),
    state: given('state', (_, state) => stateOf(state, protonum)),
    srcNat: given('src-nat', natOf),
    dstNat: given('dst-nat', natOf),
    anyNat: given('any-nat', natOf),
    mark: given('mark', markOf),
    status: given('status', statusOf),
    zone: number('zone', 0xffff),
    origZone: number('orig-zone', 0xffff),
    replyZone: number('reply-zone', 0xffff),
    labels: ((values.label as readonly string[] | undefined) ?? []).flatMap((text) =>
      labelsOf('--label', text, labels),
    ),
    kinds: given('event-mask', (_, kinds) => kindsOf(kinds)),
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
