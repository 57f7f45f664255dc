// How does conntrack 1.4.7 (libnetfilter_conntrack 1.0.9) print an entry or an event?
//
// What stands in a line depends on the attributes that the kernel puts into the netlink message
// (net/netfilter/nf_conntrack_netlink.c):
//
//                     timeout        protocol state      counters, start   mark               use
//   NEW, UPDATE       always         if PROTOINFO is     never             if not 0, or if    never
//                                    among the events                      MARK is among them
//   DESTROY           if not 0       always              if kept           as above           never
//   table (-L)        always         always              if kept           always             always
//
// The name of the entry's helper is in all but DESTROY.
//
// An entry is never without its first packet, so "counters are kept" is "a packet was counted".

import { FlowMode, Piece, Table } from '../../assembly/format/text.ts';
import { EventBit, EventKind, Helper, Proto } from '../../assembly/vocabulary.ts';
import { EVENT, TUPLE } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import type { LabelNames } from '../ruleset/source.ts';
import { Formatter } from './format.ts';
import { labelNames, tellsLabels } from './labels.ts';
import { conntrackProtocol, familyName, sctpStateName, tcpStateName } from './names.ts';
import type { EventPlace } from './order.ts';
import { secondsAt, u64At } from './time.ts';

/** Which of conntrack's `-o` modes lines are printed with. */
export interface ConntrackModes {
  /** `-o extended`: the layer 3 protocol comes first. */
  extended?: boolean;
  /** `-o timestamp`: `[seconds.microseconds]` and a tab come first (events only). */
  timestamp?: boolean;
  /** `-o id`. */
  id?: boolean;
  /** `-o ktimestamp`: when the entry began and ended, in UTC. */
  ktimestamp?: boolean;
  /** `-o labels`: names of the labels that are set. */
  labels?: LabelNames;
}

const PROTONUM = EVENT.original_0 + 36;

const PIECES: Partial<Record<Piece, string>> = {
  [Piece.SRC]: 'src=',
  [Piece.DST]: 'dst=',
  [Piece.SPORT]: 'sport=',
  [Piece.DPORT]: 'dport=',
  [Piece.TYPE]: 'type=',
  [Piece.CODE]: 'code=',
  [Piece.ICMP_ID]: 'id=',
  [Piece.SRCKEY]: 'srckey=0x',
  [Piece.DSTKEY]: 'dstkey=0x',
  [Piece.ZONE_ORIG]: 'zone-orig=',
  [Piece.ZONE_REPLY]: 'zone-reply=',
  [Piece.ZONE]: 'zone=',
  [Piece.PACKETS]: 'packets=',
  [Piece.BYTES]: 'bytes=',
  [Piece.UNREPLIED]: '[UNREPLIED] ',
  [Piece.ASSURED]: '[ASSURED] ',
  [Piece.MARK]: 'mark=',
  [Piece.DELTA_TIME]: 'delta-time=',
  [Piece.USE]: 'use=',
  [Piece.ID]: 'id=',
};

const KINDS: Record<number, string> = {
  [EventKind.NEW]: '    [NEW] ',
  [EventKind.UPDATE]: ' [UPDATE] ',
  [EventKind.DESTROY]: '[DESTROY] ',
};

/** Which parts of an entry are in the message; see the table above. */
export interface MessageParts {
  timeout: boolean;
  state: boolean;
  counters: boolean;
  start: boolean;
  mark: boolean;
  helper: boolean;
  use: boolean;
}

/**
 * What the kernel's message about the EVENT record at `at` holds.
 *
 * @param listed the record is an entry of the table (`conntrack -L`), not an event
 */
export function messageParts(view: DataView, bytes: Uint8Array, at: number, listed: boolean): MessageParts {
  const bits = view.getUint32(at + EVENT.bits, true);
  const destroy = bytes[at + EVENT.kind] === EventKind.DESTROY;
  const complete = listed || destroy;
  return {
    timeout: !destroy || listed || view.getUint32(at + EVENT.timeout_s, true) !== 0,
    state: hasStates(bytes[at + PROTONUM]!) && (complete || (bits & EventBit.PROTOINFO) !== 0),
    counters: complete && u64At(view, at + EVENT.packets_original) !== 0,
    start: complete && u64At(view, at + EVENT.start) !== 0,
    mark: listed || (bits & EventBit.MARK) !== 0 || view.getUint32(at + EVENT.mark, true) !== 0,
    helper: !destroy && bytes[at + EVENT.helper] !== Helper.NONE,
    use: listed,
  };
}

function hasStates(protonum: number): boolean {
  return protonum === Proto.TCP || protonum === Proto.SCTP;
}

/** Zones of an entry as the kernel says them: one for both directions, or one of a direction; 0 is no zone. */
export function zonesAt(view: DataView, at: number): { both: number; original: number; reply: number } {
  const original = view.getUint16(at + EVENT.original_0 + TUPLE.zone, true);
  const reply = view.getUint16(at + EVENT.reply_0 + TUPLE.zone, true);
  return original === reply ? { both: original, original: 0, reply: 0 } : { both: 0, original, reply };
}

/** Port or key of a tuple: two bytes in wire order. */
export function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

/** Seconds that the entry has lived: `delta-time`, whole seconds of the end less whole seconds of the start. */
export function deltaSeconds(view: DataView, at: number): number {
  return secondsAt(view, at + EVENT.time) - secondsAt(view, at + EVENT.start);
}

/** `labels=` and the names of the labels that are set. The tool drops the `=` if none of them has a name. */
function labelsText({ view, bytes, at }: EventPlace, names: LabelNames, listed: boolean): string {
  if (!tellsLabels(view, bytes, at, listed)) return '';
  const set = labelNames(view, at, names);
  return set.length === 0 ? 'labels ' : `labels=${set.join(',')} `;
}

/** A moment as ctime(3) writes it, in UTC: `Sat Nov 21 04:52:11 2026`. */
export function ctimeText(seconds: number): string {
  const date = new Date(seconds * 1000);
  const [weekday, day, month, year, time] = date.toUTCString().replace(',', '').split(' ');
  return `${weekday} ${month} ${String(Number(day)).padStart(2)} ${time} ${year}`;
}

/** `[start=...]`, and of what has ended `[stop=...]`. */
function timesText({ view, bytes, at }: EventPlace, listed: boolean): string {
  if (!messageParts(view, bytes, at, listed).start) return '';
  const start = `[start=${ctimeText(secondsAt(view, at + EVENT.start))}] `;
  return listed ? start : `${start}[stop=${ctimeText(secondsAt(view, at + EVENT.time))}] `;
}

/** Lines of `conntrack -E` or `conntrack -L`. */
export class ConntrackLines {
  #made: Formatter | undefined;
  readonly #modes: ConntrackModes;

  constructor(modes: ConntrackModes) {
    this.#modes = modes;
  }

  /** Made for the first line: many runs never print one. */
  get #formatter(): Formatter {
    this.#made ??= makeFormatter();
    return this.#made;
  }

  /** Of events: the timestamp is the event's time, cut to microseconds. */
  events(places: Iterable<EventPlace>): Generator<Uint8Array> {
    return this.#lines(places, this.#modes.timestamp ? FlowMode.TIMESTAMP : 0, false);
  }

  /** Of entries of the table, as EVENT-shaped records whose `time` is the moment of the listing. */
  entries(places: Iterable<EventPlace>): Generator<Uint8Array> {
    return this.#lines(places, FlowMode.LISTED, true);
  }

  #lines(places: Iterable<EventPlace>, mode: number, listed: boolean): Generator<Uint8Array> {
    const { extended, id, ktimestamp, labels } = this.#modes;
    const modes = mode | (extended ? FlowMode.EXTENDED : 0) | (id ? FlowMode.ID : 0);
    if (!ktimestamp && !labels) return this.#formatter.flows(places, modes);
    return this.#formatter.flows(places, modes, (place) => ({
      times: ktimestamp ? timesText(place, listed) : '',
      labels: labels ? labelsText(place, labels, listed) : '',
    }));
  }
}

/** A formatter with the texts of all lines. */
function makeFormatter(): Formatter {
  const formatter = new Formatter();
  const byNumber = (count: number, text: (number: number) => string) =>
    Array.from({ length: count }, (_, n) => text(n));
  const tables: [Table, string[]][] = [
    [Table.PIECE, byNumber(Piece.COUNT, (piece) => PIECES[piece as Piece] ?? '')],
    [Table.KIND, byNumber(256, (kind) => KINDS[kind] ?? '')],
    [Table.FAMILY, byNumber(256, (l3num) => `${familyName(l3num).padEnd(8)} ${l3num} `)],
    [Table.PROTOCOL, byNumber(256, (protonum) => `${conntrackProtocol(protonum).padEnd(8)} ${protonum} `)],
    [Table.TCP_STATE, byNumber(256, (state) => `${tcpStateName(state)} `)],
    [Table.SCTP_STATE, byNumber(256, (state) => `${sctpStateName(state)} `)],
    [Table.HELPER, byNumber(256, (helper) => `helper=${helperName(helper)} `)],
  ];
  for (const [table, texts] of tables) formatter.texts(table, texts);
  return formatter;
}
