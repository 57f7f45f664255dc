// What did the engine leave of packets for those who want them as they left (Sent records)?

import { SentKind } from '../../assembly/vocabulary.ts';
import { SENT } from '../engine/layout.ts';
import type { EventRun } from '../report/order.ts';

/** One Sent record. */
export interface SentPart {
  kind: SentKind;
  how: number;
  l4: number;
  ipLength: number;
  /** MSS. */
  value: number;
  /** What follows it: bytes of a packet, or a TUPLE. */
  bytes: Uint8Array;
}

/** Sent records by the address of their packet; in order. */
export type SentParts = ReadonlyMap<number, readonly SentPart[]>;

export const NOTHING_SENT: SentParts = new Map();

/** Indexes the records of runs; their bytes stay where they are. */
export function indexSent(runs: readonly EventRun[]): SentParts {
  if (runs.length === 0) return NOTHING_SENT;
  const index = new Map<number, SentPart[]>();
  for (const { view, bytes, start, end } of runs) {
    for (let at = start; at < end; at += view.getUint32(at + SENT.length, true)) {
      const packet = view.getUint32(at + SENT.packet, true);
      const kind = bytes[at + SENT.kind]! as SentKind;
      const length = view.getUint32(at + SENT.length, true) - SENT.size;
      const known = kind === SentKind.REWRITTEN ? view.getUint32(at + SENT.captured, true) : length;
      const part: SentPart = {
        kind,
        how: bytes[at + SENT.how]!,
        l4: view.getUint16(at + SENT.l4, true),
        value: view.getUint32(at + SENT.value, true),
        ipLength: view.getUint32(at + SENT.ip_len, true),
        bytes: bytes.subarray(at + SENT.size, at + SENT.size + known),
      };
      const list = index.get(packet);
      if (list) list.push(part);
      else index.set(packet, [part]);
    }
  }
  return index;
}
