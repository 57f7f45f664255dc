// How does conntrack 1.4.7 print an expectation (`-E expect`, `-L expect`)? It knows no modes for them but timestamp and xml, and no zones.

import { EventKind, Proto } from '../../assembly/vocabulary.ts';
import { EVENT, TUPLE } from '../engine/layout.ts';
import { addressText } from './address.ts';
import { wordAt } from './conntrack-text.ts';
import { expectRecord, type TuplePlace } from './expect-record.ts';
import { nanosAt, secondsAt } from './time.ts';

const TAGS: Record<number, string> = {
  [EventKind.EXPECT_NEW]: '    [NEW] ',
  [EventKind.EXPECT_DESTROY]: '[DESTROY] ',
};

/** A tuple as in the lines of entries; what is expected, and expects, is TCP, UDP or GRE. */
function tupleText({ bytes, at }: TuplePlace, prefix = ''): string {
  const l3num = bytes[at + TUPLE.l3num]!;
  const [sport, dport] = [wordAt(bytes, at + TUPLE.sport), wordAt(bytes, at + TUPLE.dport)];
  const ports =
    bytes[at + TUPLE.protonum] === Proto.GRE
      ? `srckey=0x${sport.toString(16)} dstkey=0x${dport.toString(16)} `
      : `sport=${sport} dport=${dport} `;
  const [source, target] = [addressText(bytes, at + TUPLE.src_lo, l3num), addressText(bytes, at + TUPLE.dst_lo, l3num)];
  return `${prefix}src=${source} ${prefix}dst=${target} ${ports}`;
}

/** The tool writes times of expectations as numbers on the left of their columns, `[1700000000.60000 ]`: no zeros in front. */
function stampText(view: DataView, at: number): string {
  const micros = Math.floor(nanosAt(view, at) / 1000);
  return `[${String(secondsAt(view, at)).padEnd(8)}.${String(micros).padEnd(6)}]\t`;
}

/**
 * A line of `conntrack -L expect` or `conntrack -E expect`, without its newline.
 *
 * @param timestamp `-o timestamp`: begins with the event's time, cut to microseconds
 */
export function expectText(view: DataView, bytes: Uint8Array, at: number, timestamp: boolean): string {
  const e = expectRecord(view, bytes, at);
  const stamp = timestamp ? stampText(view, at + EVENT.time) : '';
  return (
    `${stamp}${TAGS[bytes[at + EVENT.kind]!] ?? ''}${e.timeout} proto=${e.protonum} ` +
    tupleText(e.expected) +
    tupleText(e.mask, 'mask-') +
    tupleText(e.master, 'master-') +
    (e.flags.length > 0 ? `${e.flags.join(',')} ` : '') +
    `class=${e.klass} helper=${e.helper}`
  );
}
