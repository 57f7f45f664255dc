// How does conntrack 1.4.7 print an expectation (`-E expect`, `-L expect`), and how does /proc/net/nf_conntrack_expect?
//
// The records are EVENT records of the kinds EXPECT_NEW and EXPECT_DESTROY (assembly/layout.ts says what they hold).

import { EventKind, ExpectFlag, L3, Proto } from '../../assembly/vocabulary.ts';
import { EVENT, TUPLE } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import { addressText } from './address.ts';
import { wordAt } from './conntrack-text.ts';
import type { EventPlace } from './order.ts';
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

/** A tuple as in the lines of entries; what is expected, and expects, is TCP, UDP or GRE. */
function tupleText(bytes: Uint8Array, at: number): string {
  const l3num = bytes[at + TUPLE.l3num]!;
  const [sport, dport] = [wordAt(bytes, at + TUPLE.sport), wordAt(bytes, at + TUPLE.dport)];
  const ports =
    bytes[at + TUPLE.protonum] === Proto.GRE
      ? `srckey=0x${sport.toString(16)} dstkey=0x${dport.toString(16)} `
      : `sport=${sport} dport=${dport} `;
  return `src=${addressText(bytes, at + TUPLE.src_lo, l3num)} dst=${addressText(bytes, at + TUPLE.dst_lo, l3num)} ${ports}`;
}

/** The mask as a tuple: of the target all bits count. */
function maskText(bytes: Uint8Array, at: number, l3num: number, protonum: number): string {
  const mask = new Uint8Array(TUPLE.size);
  mask.set(bytes.subarray(at + EVENT.packets_original, at + EVENT.packets_original + 16), TUPLE.src_lo);
  mask.fill(0xff, TUPLE.dst_lo, TUPLE.dst_lo + (l3num === L3.IPV6 ? 16 : 4));
  mask.set(bytes.subarray(at + EVENT.packets_reply, at + EVENT.packets_reply + 2), TUPLE.sport);
  mask.fill(0xff, TUPLE.dport, TUPLE.dport + 2);
  mask[TUPLE.l3num] = l3num;
  mask[TUPLE.protonum] = protonum;
  return tupleText(mask, 0).replace('src=', 'mask-src=').replace('dst=', 'mask-dst=');
}

/** A line of `conntrack -L expect`, without its newline. */
export function expectationText(view: DataView, bytes: Uint8Array, at: number): string {
  const tuple = at + EVENT.original_0;
  const master = at + EVENT.reply_0;
  const l3num = bytes[tuple + TUPLE.l3num]!;
  const protonum = bytes[tuple + TUPLE.protonum]!;
  const zone = view.getUint16(tuple + TUPLE.zone, true);
  const flags = flagNames(view, at);
  const asker = tupleText(bytes, master);
  return (
    `${view.getUint32(at + EVENT.timeout_s, true)} proto=${protonum} ${tupleText(bytes, tuple)}` +
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
export function* expectationEventLines(places: Iterable<EventPlace>): Generator<string> {
  for (const { view, bytes, at } of places) yield `${expectationEventText(view, bytes, at)}\n`;
}

/** `list --expected` */
export function* expectationLines(places: Iterable<EventPlace>): Generator<string> {
  for (const { view, bytes, at } of places) yield `${expectationText(view, bytes, at)}\n`;
}
