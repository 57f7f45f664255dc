// How do programs read an event or an entry? One JSON object per line, with all that the record knows.

import { EventKind, Proto } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import { addressText } from './address.ts';
import { deltaSeconds, messageParts, wordAt, zonesAt } from './conntrack-text.ts';
import { conntrackProtocol, entryStateName, familyName, statusNames } from './names.ts';
import { idAt, stampAt, u64At } from './time.ts';

export function portsJson(bytes: Uint8Array, at: number, protonum: number): string {
  switch (protonum) {
    case Proto.TCP:
    case Proto.UDP:
    case Proto.UDPLITE:
    case Proto.SCTP:
      return `,"sport":${wordAt(bytes, at + 32)},"dport":${wordAt(bytes, at + 34)}`;
    case Proto.ICMP:
    case Proto.ICMPV6:
      return `,"type":${bytes[at + 34]},"code":${bytes[at + 35]},"id":${wordAt(bytes, at + 32)}`;
    case Proto.GRE:
      return `,"srckey":${wordAt(bytes, at + 32)},"dstkey":${wordAt(bytes, at + 34)}`;
    default:
      return '';
  }
}

function tupleJson(view: DataView, bytes: Uint8Array, at: number, zone: number, counters: number): string {
  const protonum = bytes[at + 36]!;
  const l3num = bytes[at + 37]!;
  const counted = counters === 0 ? '' : `,"packets":${u64At(view, counters)},"bytes":${u64At(view, counters + 8)}`;
  return (
    `{"src":"${addressText(bytes, at, l3num)}","dst":"${addressText(bytes, at + 16, l3num)}"` +
    `${portsJson(bytes, at, protonum)}${zone ? `,"zone":${zone}` : ''}${counted}}`
  );
}

/**
 * The EVENT record at `at` as one JSON object without newline: `{"ts":"1700000000.000123456","event":"NEW","id":3,
 * "family":"ipv4","proto":"tcp","protonum":6,"timeout":120,"state":"SYN_SENT","original":{...},"reply":{...},
 * "status":[...],"mark":0}`. Unlike conntrack's text it always has the state (TCP and SCTP) and the mark.
 *
 * @param listed an entry of the table: no `event`, `ts` is the moment of the listing
 */
export function flowJson(view: DataView, bytes: Uint8Array, at: number, listed: boolean): string {
  const parts = messageParts(view, bytes, at, listed);
  const zones = zonesAt(view, at);
  const original = at + EVENT.original_0;
  const protonum = bytes[original + 36]!;
  const state = entryStateName(protonum, bytes[at + EVENT.tcp_state]!);
  const status = statusNames(view.getUint32(at + EVENT.status, true))
    .map((name) => `"${name}"`)
    .join(',');
  return (
    `{"ts":"${stampAt(view, at + EVENT.time)}"` +
    (listed ? '' : `,"event":"${EventKind[bytes[at + EVENT.kind]!]}"`) +
    `,"id":${idAt(view, at + EVENT.id)},"family":"${familyName(bytes[original + 37]!)}"` +
    `,"proto":"${conntrackProtocol(protonum)}","protonum":${protonum}` +
    `,"timeout":${view.getUint32(at + EVENT.timeout_s, true)}` +
    (state === undefined ? '' : `,"state":"${state}"`) +
    `,"original":${tupleJson(view, bytes, original, zones.original, parts.counters ? at + EVENT.packets_original : 0)}` +
    `,"reply":${tupleJson(view, bytes, at + EVENT.reply_0, zones.reply, parts.counters ? at + EVENT.packets_reply : 0)}` +
    `,"status":[${status}],"mark":${view.getUint32(at + EVENT.mark, true)}` +
    (zones.both ? `,"zone":${zones.both}` : '') +
    (parts.helper ? `,"helper":"${helperName(bytes[at + EVENT.helper]!)}"` : '') +
    (parts.start ? `,"start":"${stampAt(view, at + EVENT.start)}","age":${deltaSeconds(view, at)}` : '') +
    '}'
  );
}
