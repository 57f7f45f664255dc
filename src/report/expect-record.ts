// What does an EVENT record of the kinds EXPECT_NEW and EXPECT_DESTROY say (assembly/layout/event.ts)?

import { ExpectFlag, L3 } from '../../assembly/vocabulary.ts';
import { EVENT, TUPLE } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';

/** Where a tuple lies: addresses, ports or keys, protocol and family as in TUPLE. */
export interface TuplePlace {
  bytes: Uint8Array;
  at: number;
}

/** An expectation, as all formats print it. */
export interface ExpectRecord {
  timeout: number;
  l3num: number;
  protonum: number;
  /** The kernel tells nobody (ctnetlink_exp_dump_expect()). */
  zone: number;
  expected: TuplePlace;
  /** Of the target all bits count. */
  mask: TuplePlace;
  /** Original tuple of the entry that expects. */
  master: TuplePlace;
  /** NF_CT_EXPECT_*, by name. */
  flags: string[];
  klass: number;
  helper: string;
}

const FLAGS = [
  [ExpectFlag.PERMANENT, 'PERMANENT'],
  [ExpectFlag.INACTIVE, 'INACTIVE'],
  [ExpectFlag.USERSPACE, 'USERSPACE'],
] as const;

function maskTuple(bytes: Uint8Array, at: number, l3num: number, protonum: number): TuplePlace {
  const mask = new Uint8Array(TUPLE.size);
  mask.set(bytes.subarray(at + EVENT.packets_original, at + EVENT.packets_original + 16), TUPLE.src_lo);
  mask.fill(0xff, TUPLE.dst_lo, TUPLE.dst_lo + (l3num === L3.IPV6 ? 16 : 4));
  mask.set(bytes.subarray(at + EVENT.packets_reply, at + EVENT.packets_reply + 2), TUPLE.sport);
  mask.fill(0xff, TUPLE.dport, TUPLE.dport + 2);
  mask[TUPLE.l3num] = l3num;
  mask[TUPLE.protonum] = protonum;
  return { bytes: mask, at: 0 };
}

/** Reads the EVENT record at `at`. */
export function expectRecord(view: DataView, bytes: Uint8Array, at: number): ExpectRecord {
  const expected = at + EVENT.original_0;
  const l3num = bytes[expected + TUPLE.l3num]!;
  const protonum = bytes[expected + TUPLE.protonum]!;
  const flags = view.getUint32(at + EVENT.status, true);
  return {
    timeout: view.getUint32(at + EVENT.timeout_s, true),
    l3num,
    protonum,
    zone: view.getUint16(expected + TUPLE.zone, true),
    expected: { bytes, at: expected },
    mask: maskTuple(bytes, at, l3num, protonum),
    master: { bytes, at: at + EVENT.reply_0 },
    flags: FLAGS.flatMap(([bit, name]) => (flags & bit ? [name] : [])),
    klass: view.getUint32(at + EVENT.mark, true),
    helper: helperName(bytes[at + EVENT.helper]!) ?? '',
  };
}
