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

import { EventBit, EventKind, Helper, Proto, Status } from '../../assembly/vocabulary.ts';
import { EVENT, TUPLE } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import { addressText } from './address.ts';
import { conntrackProtocol, entryStateName, familyName } from './names.ts';
import { microsText, nanosAt, secondsAt, u64At } from './time.ts';

/** Which of conntrack's `-o` modes a line is printed with. */
export interface ConntrackModes {
  /** `-o extended`: the layer 3 protocol comes first. */
  extended?: boolean;
  /** `-o timestamp`: `[seconds.microseconds]` and a tab come first (events only). */
  timestamp?: boolean;
  /** `-o id`. */
  id?: boolean;
}

/** Offsets within the 40 bytes of a tuple, which EVENT holds twice. */
const SRC = 0;
const DST = 16;
const SPORT = 32;
const DPORT = 34;
const PROTONUM = EVENT.original_0 + 36;
const L3NUM = EVENT.original_0 + 37;

const EVENT_TAGS: Record<number, string> = {
  [EventKind.NEW]: '    [NEW] ',
  [EventKind.UPDATE]: ' [UPDATE] ',
  [EventKind.DESTROY]: '[DESTROY] ',
};

/** `tcp      6 `: the name padded to eight columns, as every protocol begins a line. */
const PROTOCOLS = Array.from({ length: 256 }, (_, n) => `${conntrackProtocol(n).padEnd(8)} ${n} `);
const FAMILIES = Array.from({ length: 256 }, (_, n) => `${familyName(n).padEnd(8)} ${n} `);

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

export function tupleText(bytes: Uint8Array, at: number, l3num: number, protonum: number): string {
  const addresses = `src=${addressText(bytes, at + SRC, l3num)} dst=${addressText(bytes, at + DST, l3num)} `;
  switch (protonum) {
    case Proto.TCP:
    case Proto.UDP:
    case Proto.UDPLITE:
    case Proto.SCTP:
    case Proto.DCCP:
      return `${addresses}sport=${wordAt(bytes, at + SPORT)} dport=${wordAt(bytes, at + DPORT)} `;
    case Proto.ICMP:
    case Proto.ICMPV6:
      return `${addresses}type=${bytes[at + DPORT]} code=${bytes[at + DPORT + 1]} id=${wordAt(bytes, at + SPORT)} `;
    case Proto.GRE:
      return (
        `${addresses}srckey=0x${wordAt(bytes, at + SPORT).toString(16)} ` +
        `dstkey=0x${wordAt(bytes, at + DPORT).toString(16)} `
      );
    default:
      return addresses;
  }
}

function countersText(view: DataView, packets: number, bytes: number): string {
  return `packets=${u64At(view, packets)} bytes=${u64At(view, bytes)} `;
}

function entryText(view: DataView, bytes: Uint8Array, at: number, modes: ConntrackModes, listed: boolean): string {
  const parts = messageParts(view, bytes, at, listed);
  const protonum = bytes[at + PROTONUM]!;
  const l3num = bytes[at + L3NUM]!;
  const status = view.getUint32(at + EVENT.status, true);
  let text = modes.extended ? FAMILIES[l3num]! + PROTOCOLS[protonum]! : PROTOCOLS[protonum]!;
  if (parts.timeout) text += `${view.getUint32(at + EVENT.timeout_s, true)} `;
  if (parts.state) text += `${entryStateName(protonum, bytes[at + EVENT.tcp_state]!)} `;
  const zones = zonesAt(view, at);
  text += tupleText(bytes, at + EVENT.original_0, l3num, protonum);
  if (zones.original) text += `zone-orig=${zones.original} `;
  if (parts.counters) text += countersText(view, at + EVENT.packets_original, at + EVENT.bytes_original);
  if (!(status & Status.SEEN_REPLY)) text += '[UNREPLIED] ';
  text += tupleText(bytes, at + EVENT.reply_0, l3num, protonum);
  if (zones.reply) text += `zone-reply=${zones.reply} `;
  if (parts.counters) text += countersText(view, at + EVENT.packets_reply, at + EVENT.bytes_reply);
  if (status & Status.ASSURED) text += '[ASSURED] ';
  if (parts.mark) text += `mark=${view.getUint32(at + EVENT.mark, true)} `;
  if (zones.both) text += `zone=${zones.both} `;
  if (parts.start) text += `delta-time=${deltaSeconds(view, at)} `;
  if (parts.helper) text += `helper=${helperName(bytes[at + EVENT.helper]!)} `;
  if (parts.use) text += 'use=1 ';
  if (modes.id) text += `id=${u64At(view, at + EVENT.id)} `;
  return text.slice(0, -1);
}

/**
 * A line of `conntrack -E` for the EVENT record at `at`, without its newline. The timestamp is the event's time, cut to
 * microseconds; conntrack pads its seconds to eight digits.
 */
export function eventText(view: DataView, bytes: Uint8Array, at: number, modes: ConntrackModes): string {
  const text = EVENT_TAGS[bytes[at + EVENT.kind]!]! + entryText(view, bytes, at, modes, false);
  if (!modes.timestamp) return text;
  const seconds = String(secondsAt(view, at + EVENT.time)).padStart(8, '0');
  return `[${seconds}.${microsText(nanosAt(view, at + EVENT.time))}]\t${text}`;
}

/**
 * A line of `conntrack -L` for the EVENT-shaped record at `at`, whose `time` is the moment of the listing, without its
 * newline. `use=1`: nothing else holds an entry while no packet is in the hooks.
 */
export function tableText(view: DataView, bytes: Uint8Array, at: number, modes: ConntrackModes): string {
  return entryText(view, bytes, at, modes, true);
}
