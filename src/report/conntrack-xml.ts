// How does conntrack 1.4.7 print an event or an entry with `-o xml`?
//
// `-o xml,timestamp` writes the moment of the event as a broken-down local time of whole seconds; ours is UTC, so that
// the same capture gives the same bytes on every machine.

import { EventKind, Proto, Status } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import type { LabelNames } from '../ruleset/source.ts';
import { addressText } from './address.ts';
import { deltaSeconds, messageParts, wordAt, zonesAt } from './conntrack-text.ts';
import { labelNames, tellsLabels } from './labels.ts';
import { conntrackProtocol, familyName, tcpStateName } from './names.ts';
import { idAt, secondsAt, u64At } from './time.ts';

/** What stands before the first and after the last flow. */
export const XML_HEADER = '<?xml version="1.0" encoding="utf-8"?>\n<conntrack>\n';
export const XML_FOOTER = '</conntrack>\n';

const FLOW_TAGS: Record<number, string> = {
  [EventKind.NEW]: '<flow type="new">',
  [EventKind.UPDATE]: '<flow type="update">',
  [EventKind.DESTROY]: '<flow type="destroy">',
};

export function portsXml(bytes: Uint8Array, at: number, protonum: number): string {
  switch (protonum) {
    case Proto.TCP:
    case Proto.UDP:
    case Proto.UDPLITE:
    case Proto.SCTP:
    case Proto.DCCP:
      return `<sport>${wordAt(bytes, at + 32)}</sport><dport>${wordAt(bytes, at + 34)}</dport>`;
    case Proto.GRE:
      return (
        `<srckey>0x${wordAt(bytes, at + 32).toString(16)}</srckey>` +
        `<dstkey>0x${wordAt(bytes, at + 34).toString(16)}</dstkey>`
      );
    default:
      return '';
  }
}

function tupleXml(bytes: Uint8Array, at: number, direction: string, zone: number, counters: string): string {
  const protonum = bytes[at + 36]!;
  const l3num = bytes[at + 37]!;
  return (
    `<meta direction="${direction}">` +
    `<layer3 protonum="${l3num}" protoname="${familyName(l3num)}">` +
    `<src>${addressText(bytes, at, l3num)}</src><dst>${addressText(bytes, at + 16, l3num)}</dst></layer3>` +
    `<layer4 protonum="${protonum}" protoname="${conntrackProtocol(protonum)}">${portsXml(bytes, at, protonum)}` +
    `</layer4>${zone ? `<zone>${zone}</zone>` : ''}${counters}</meta>`
  );
}

function countersXml(view: DataView, packets: number, bytes: number): string {
  return `<counters><packets>${u64At(view, packets)}</packets><bytes>${u64At(view, bytes)}</bytes></counters>`;
}

export function whenXml(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (n: number) => String(n).padStart(2, '0');
  return (
    `<when><hour>${date.getUTCHours()}</hour><min>${two(date.getUTCMinutes())}</min>` +
    `<sec>${two(date.getUTCSeconds())}</sec><wday>${date.getUTCDay() + 1}</wday><day>${date.getUTCDate()}</day>` +
    `<month>${date.getUTCMonth() + 1}</month><year>${date.getUTCFullYear()}</year></when>`
  );
}

/** What `-o xml` is combined with. */
export interface XmlModes {
  /** `-o xml,timestamp`: append `<when>` (events only). */
  timestamp?: boolean;
  /** `-o xml,ktimestamp`: when the entry began and ended, ns since 1970. */
  ktimestamp?: boolean;
  /** `-o xml,labels`. */
  labels?: LabelNames;
}

/**
 * The state as the tool names it: it looks up those of SCTP among those of TCP (libnetfilter_conntrack
 * snprintf_xml.c), so that an established association reads FIN_WAIT.
 */
function stateXml(state: number): string {
  return `<state>${tcpStateName(state)}</state>`;
}

function timesXml(view: DataView, at: number, listed: boolean): string {
  const start = `<start>${view.getBigUint64(at + EVENT.start, true)}</start>`;
  const stop = listed ? '' : `<stop>${view.getBigUint64(at + EVENT.time, true)}</stop>`;
  return `<timestamp>${start}${stop}</timestamp>`;
}

function labelsXml(names: readonly string[]): string {
  return `<labels>${names.map((name) => `<label>${name}</label>`).join('')}</labels>`;
}

/**
 * The `<flow>` element of the EVENT record at `at`, without its newline.
 *
 * @param listed an entry of the table (`conntrack -L -o xml`), not an event
 */
export function flowXml(view: DataView, bytes: Uint8Array, at: number, listed: boolean, modes: XmlModes): string {
  const parts = messageParts(view, bytes, at, listed);
  const status = view.getUint32(at + EVENT.status, true);
  const original = parts.counters ? countersXml(view, at + EVENT.packets_original, at + EVENT.bytes_original) : '';
  const reply = parts.counters ? countersXml(view, at + EVENT.packets_reply, at + EVENT.bytes_reply) : '';
  const zones = zonesAt(view, at);
  let text = listed ? '<flow>' : FLOW_TAGS[bytes[at + EVENT.kind]!]!;
  text += tupleXml(bytes, at + EVENT.original_0, 'original', zones.original, original);
  text += tupleXml(bytes, at + EVENT.reply_0, 'reply', zones.reply, reply);
  text += '<meta direction="independent">';
  if (parts.state) text += stateXml(bytes[at + EVENT.tcp_state]!);
  if (parts.timeout) text += `<timeout>${view.getUint32(at + EVENT.timeout_s, true)}</timeout>`;
  if (parts.mark) text += `<mark>${view.getUint32(at + EVENT.mark, true)}</mark>`;
  const { labels } = modes;
  if (labels && tellsLabels(view, bytes, at, listed)) text += labelsXml(labelNames(view, at, labels));
  if (zones.both) text += `<zone>${zones.both}</zone>`;
  if (parts.use) text += `<use>${1 + view.getUint16(at + EVENT.children, true)}</use>`;
  text += `<id>${idAt(view, at + EVENT.id)}</id>`;
  if (status & Status.ASSURED) text += '<assured/>';
  if (!(status & Status.SEEN_REPLY)) text += '<unreplied/>';
  if (parts.start && modes.ktimestamp) text += timesXml(view, at, listed);
  if (parts.start) text += `<deltatime>${deltaSeconds(view, at)}</deltatime>`;
  text += '</meta>';
  if (parts.helper) text += `<helper>${helperName(bytes[at + EVENT.helper]!)}</helper>`;
  if (modes.timestamp && !listed) text += whenXml(secondsAt(view, at + EVENT.time));
  return `${text}</flow>`;
}
