// Which labels does an entry have (-m connlabel), and what are they called (connlabel.conf)?

import { EventBit, EventKind } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';
import type { LabelNames } from '../ruleset/source.ts';

/**
 * Whether the kernel's message about the EVENT record at `at` holds labels: events only tell them where they changed, and
 * DESTROY never does.
 */
export function tellsLabels(view: DataView, bytes: Uint8Array, at: number, listed: boolean): boolean {
  const told = (view.getUint32(at + EVENT.bits, true) & EventBit.LABEL) !== 0;
  if (!listed && (!told || bytes[at + EVENT.kind] === EventKind.DESTROY)) return false;
  for (let offset = 0; offset < 16; offset += 4) {
    if (view.getUint32(at + EVENT.labels_lo + offset, true) !== 0) return true;
  }
  return false;
}

/** Whether label `bit` is set. */
export function hasLabel(view: DataView, at: number, bit: number): boolean {
  return ((view.getUint8(at + EVENT.labels_lo + (bit >> 3)) >> (bit & 7)) & 1) !== 0;
}

/** Names of the labels that are set and have one, by rising bits. */
export function labelNames(view: DataView, at: number, names: LabelNames): string[] {
  return [...names]
    .filter(([, bit]) => hasLabel(view, at, bit))
    .sort(([, a], [, b]) => a - b)
    .map(([name]) => name);
}
