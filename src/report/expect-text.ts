// How does conntrack 1.4.7 print an expectation (`-E expect`, `-L expect`), and how does /proc/net/nf_conntrack_expect?
//
// The records are EVENT records of the kinds EXPECT_NEW and EXPECT_DESTROY (assembly/layout.ts says what they hold).

import { EventKind, ExpectFlag, L3 } from '../../assembly/vocabulary.ts';
import { EVENT, TUPLE } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import { tupleText } from './conntrack-text.ts';
import type { RecordFormat } from './events.ts';
import { microsText, nanosAt, secondsAt } from './time.ts';

const TAGS: Record<number, string> = {
  [EventKind.EXPECT_NEW]: '    [NEW] ',
  [EventKind.EXPECT_DESTROY]: '[DESTROY] ',
};

const FLAGS = [
  [ExpectFlag.PERMANENT, 'PERMANENT'],
  [ExpectFlag.INACTIVE, 'INACTIVE'],
  [ExpectFlag.USERSPACE, 'USERSPACE'],
] as const;

function flagNames(view: DataView, at: number): string {
  const flags = view.getUint32(at + EVENT.status, true);
  return FLAGS.flatMap(([bit, name]) => (flags & bit ? [name] : [])).join(',');
}

/** The mask as a tuple: of the target all bits count. */
function maskText(bytes: Uint8Array, at: number, l3num: number, protonum: number): string {
  const mask = new Uint8Array(TUPLE.size);
  mask.set(bytes.subarray(at + EVENT.packets_original, at + EVENT.packets_original + 16), TUPLE.src_lo);
  mask.fill(0xff, TUPLE.dst_lo, TUPLE.dst_lo + (l3num === L3.IPV6 ? 16 : 4));
  mask.set(bytes.subarray(at + EVENT.packets_reply, at + EVENT.packets_reply + 2), TUPLE.sport);
  mask.fill(0xff, TUPLE.dport, TUPLE.dport + 2);
  return tupleText(mask, 0, l3num, protonum).replace('src=', 'mask-src=').replace('dst=', 'mask-dst=');
}

/** A line of `conntrack -L expect`, without its newline. */
export function expectationText(view: DataView, bytes: Uint8Array, at: number): string {
  const tuple = at + EVENT.original_0;
  const master = at + EVENT.reply_0;
  const l3num = bytes[tuple + TUPLE.l3num]!;
  const protonum = bytes[tuple + TUPLE.protonum]!;
  const zone = view.getUint16(tuple + TUPLE.zone, true);
  const flags = flagNames(view, at);
  const asker = tupleText(bytes, master, bytes[master + TUPLE.l3num]!, bytes[master + TUPLE.protonum]!);
  return (
    `${view.getUint32(at + EVENT.timeout_s, true)} proto=${protonum} ${tupleText(bytes, tuple, l3num, protonum)}` +
    maskText(bytes, at, l3num, protonum) +
    asker.replace('src=', 'master-src=').replace('dst=', 'master-dst=') +
    (zone ? `zone=${zone} ` : '') +
    (flags ? `${flags} ` : '') +
    `class=${view.getUint32(at + EVENT.mark, true)} helper=${helperName(bytes[at + EVENT.helper]!)}`
  );
}

/** A line of `conntrack -E expect -o timestamp`, without its newline. */
export function expectationEventText(view: DataView, bytes: Uint8Array, at: number): string {
  const seconds = String(secondsAt(view, at + EVENT.time)).padStart(8, '0');
  const stamp = `[${seconds}.${microsText(nanosAt(view, at + EVENT.time))}]\t`;
  return stamp + TAGS[bytes[at + EVENT.kind]!] + expectationText(view, bytes, at);
}

/** `--expectations` */
export const EXPECTATION_EVENTS: RecordFormat = {
  header: '',
  line: (view, bytes, at) => `${expectationEventText(view, bytes, at)}\n`,
  footer: '',
};

/** `list --expected` */
export const EXPECTATION_TABLE: RecordFormat = {
  header: '',
  line: (view, bytes, at) => `${expectationText(view, bytes, at)}\n`,
  footer: '',
};
