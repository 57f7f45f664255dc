// What did a helper do with the traced packet, in words?

import { TRACE_RECORD, TUPLE } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import { addressText } from './address.ts';
import { wordAt } from './conntrack-text.ts';
import { protocolName } from './names.ts';

/** Bytes of what was written that a record has. */
const SHOWN = 48;

/** @param master id of the entry that expected this one */
export function expectedText(helper: number, master: number): string {
  return `by flow ${master}, ${helperName(helper) ?? '?'}`;
}

/** The connection that a TraceKind.EXPECT record tells of. */
export function expectText(view: DataView, record: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const tuple = record + TRACE_RECORD.c;
  const l3num = bytes[tuple + TUPLE.l3num]!;
  const known = view.getUint32(record + TRACE_RECORD.a, true) !== 0;
  const source = known ? addressText(bytes, tuple + TUPLE.src_lo, l3num) : 'anybody';
  const from = view.getUint32(record + TRACE_RECORD.b, true) === 0 ? '' : ` port ${wordAt(bytes, tuple + TUPLE.sport)}`;
  const target = addressText(bytes, tuple + TUPLE.dst_lo, l3num);
  const protocol = protocolName(bytes[tuple + TUPLE.protonum]!);
  return `expects ${protocol} from ${source}${from} to ${target} port ${wordAt(bytes, tuple + TUPLE.dport)}`;
}

/** What a TraceKind.REWRITE record says was written, as text if it is text, else in hexadecimal digits. */
export function rewriteText(view: DataView, record: number): string {
  const word = (field: number): number => view.getUint32(record + field, true);
  const [offset, length, size] = [word(TRACE_RECORD.a), word(TRACE_RECORD.b), word(TRACE_RECORD.c)];
  const start = view.byteOffset + record + TRACE_RECORD.d;
  const written = Buffer.from(new Uint8Array(view.buffer, start, Math.min(size, SHOWN)));
  const readable = written.every((byte) => byte >= 32 && byte < 127);
  const text = readable ? JSON.stringify(written.toString('latin1')) : written.toString('hex');
  return `writes ${text}${size > SHOWN ? '...' : ''} (${size} bytes instead of ${length} at byte ${offset} of the payload)`;
}
