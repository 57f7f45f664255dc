// How does conntrack 1.4.7 print an event or an entry with `-o save`? As the options that make it again
// (`conntrack --load-file`).
//
// The tool knows no options for marks and labels here, so they are lost, as with the tool.

import { EventKind, Proto, Status } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';
import { addressText } from './address.ts';
import { messageParts, wordAt, zonesAt } from './conntrack-text.ts';
import { conntrackProtocol, entryStateName } from './names.ts';

const ORIGINAL = EVENT.original_0;
const REPLY = EVENT.reply_0;
const SRC = 0;
const DST = 16;

const COMMANDS: Record<number, string> = {
  [EventKind.NEW]: '-A',
  [EventKind.UPDATE]: '-U',
  [EventKind.DESTROY]: '-D',
};

const STATUS: readonly (readonly [bit: number, name: string])[] = [
  [Status.EXPECTED, 'EXPECTED'],
  [Status.SEEN_REPLY, 'SEEN_REPLY'],
  [Status.ASSURED, 'ASSURED'],
  [Status.FIXED_TIMEOUT, 'FIXED_TIMEOUT'],
];

function statusSave(status: number): string {
  const names = STATUS.filter(([bit]) => status & bit).map(([, name]) => name);
  return names.length === 0 ? 'UNSET' : names.join(',');
}

function protocolSave(view: DataView, bytes: Uint8Array, at: number, state: string | undefined): string {
  const protonum = bytes[at + ORIGINAL + 36]!;
  const word = (tuple: number, offset: number) => wordAt(bytes, at + tuple + offset);
  switch (protonum) {
    case Proto.TCP:
    case Proto.UDP:
    case Proto.UDPLITE:
    case Proto.SCTP: {
      const ports =
        ` --sport ${word(ORIGINAL, 32)} --dport ${word(ORIGINAL, 34)}` +
        ` --reply-port-src ${word(REPLY, 32)} --reply-port-dst ${word(REPLY, 34)}`;
      if (state === undefined) return ports;
      if (protonum !== Proto.SCTP) return `${ports} --state ${state}`;
      const [original, reply] = [view.getUint32(at + EVENT.vtag_original), view.getUint32(at + EVENT.vtag_reply)];
      return `${ports} --state ${state} --orig-vtag ${original} --reply-vtag ${reply}`;
    }
    case Proto.ICMP:
    case Proto.ICMPV6: {
      const name = protonum === Proto.ICMP ? 'icmp' : 'icmpv6';
      const [type, code] = [bytes[at + ORIGINAL + 34], bytes[at + ORIGINAL + 35]];
      return ` --${name}-type ${type} --${name}-code ${code} --${name}-id ${word(ORIGINAL, 32)}`;
    }
    case Proto.GRE:
      return (
        ` --srckey ${word(ORIGINAL, 32)} --dstkey ${word(ORIGINAL, 34)}` +
        ` --reply-key-src ${word(REPLY, 32)} --reply-key-dst ${word(REPLY, 34)}`
      );
    default:
      return '';
  }
}

/** The options of the EVENT record at `at`, without newline. */
export function flowSave(view: DataView, bytes: Uint8Array, at: number, listed: boolean): string {
  const parts = messageParts(view, bytes, at, listed);
  const zones = zonesAt(view, at);
  const protonum = bytes[at + ORIGINAL + 36]!;
  const l3num = bytes[at + ORIGINAL + 37]!;
  const address = (tuple: number, offset: number) => addressText(bytes, at + tuple + offset, l3num);
  const [source, target] = [address(ORIGINAL, SRC), address(ORIGINAL, DST)];
  const [replySource, replyTarget] = [address(REPLY, SRC), address(REPLY, DST)];
  const state = parts.state ? entryStateName(protonum, bytes[at + EVENT.tcp_state]!) : undefined;
  const protocol = conntrackProtocol(protonum);
  let text = listed ? '-A' : COMMANDS[bytes[at + EVENT.kind]!]!;
  if (parts.timeout) text += ` -t ${view.getUint32(at + EVENT.timeout_s, true)}`;
  text += ` -u ${statusSave(view.getUint32(at + EVENT.status, true))}`;
  if (zones.both) text += ` -w ${zones.both}`;
  if (zones.original) text += ` --orig-zone ${zones.original}`;
  if (zones.reply) text += ` --reply-zone ${zones.reply}`;
  text += ` -s ${source} -d ${target}`;
  text += replySource === target ? ` -r ${replySource}` : ` -g ${replySource}`;
  text += replyTarget === source ? ` -q ${replyTarget}` : ` -n ${replyTarget}`;
  text += ` -p ${protocol === 'unknown' ? protonum : protocol}`;
  return text + protocolSave(view, bytes, at, state);
}
