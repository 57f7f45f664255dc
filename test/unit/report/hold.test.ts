// How long does a fragment wait to be told what became of its packet? Batches are made up: records say what was captured.

import { describe, expect, test } from 'vitest';
import { Reason, Verdict } from '../../../assembly/vocabulary.ts';
import type { BatchView } from '../../../src/batch.ts';
import { InterfaceNames } from '../../../src/capture/interfaces.ts';
import { FRAGMENT_END, PACKET, RECORD } from '../../../src/engine/layout.ts';
import { FragmentHold, HOLD_BYTES } from '../../../src/report/hold.ts';

const ENDS = 1 << 16;

/** A batch of packets with so many captured bytes each; those at `pending` wait for others. */
function batchOf(caplens: number[], pending: number[] = []): BatchView {
  const bytes = new Uint8Array(1 << 17);
  const view = new DataView(bytes.buffer);
  const packets = caplens.length * RECORD.size;
  caplens.forEach((caplen, index) => {
    view.setUint32(index * RECORD.size + RECORD.caplen, caplen, true);
    bytes[packets + index * PACKET.size + PACKET.verdict] = Verdict.ACCEPT;
  });
  for (const index of pending) bytes[packets + index * PACKET.size + PACKET.reason] = Reason.FRAGMENT_PENDING;
  const world = {
    packets,
    translations: 0,
    events: [],
    expectations: [],
    logs: () => [],
    master: () => undefined,
    sent: new Map(),
    rules: [],
    uncounted: false,
  };
  return {
    view,
    bytes,
    records: 0,
    count: caplens.length,
    worlds: [world],
    interfaces: new InterfaceNames(),
    sided: false,
  };
}

/** The packet at index `by` completed that of fragment 1. */
function completes({ view }: BatchView, by: number): { ends: number; endsBytes: number } {
  view.setBigUint64(ENDS + FRAGMENT_END.number, 1n, true);
  view.setUint32(ENDS + FRAGMENT_END.by, by, true);
  view.setUint32(ENDS + FRAGMENT_END.reason, Reason.NONE, true);
  return { ends: ENDS, endsBytes: FRAGMENT_END.size };
}

const nothing = { ends: 0, endsBytes: 0 };

/** Reason of packet 1, and when it was handed over: behind how many batches. */
async function fate(caplens: number[], by?: number): Promise<{ reason: number; after: number }> {
  const handed: BatchView[] = [];
  const hold = new FragmentHold((batch) => {
    handed.push(batch);
  }, false);
  await hold.add(batchOf([100], [0]), { first: 1, any: true, ...nothing });
  expect(handed).toHaveLength(0);
  const second = batchOf(caplens);
  await hold.add(second, { first: 2, any: false, ...(by === undefined ? nothing : completes(second, by)) });
  const after = handed.length;
  await hold.end();
  const [{ bytes, worlds }] = handed as [BatchView];
  return { reason: bytes[worlds[0]!.packets + PACKET.reason]!, after };
}

describe('a fragment', () => {
  test('is told its fate within so many bytes', async () => {
    expect(await fate([HOLD_BYTES / 2, HOLD_BYTES / 2], 1)).toEqual({ reason: Reason.NONE, after: 2 });
  });

  test('is not told it one byte later', async () => {
    expect(await fate([HOLD_BYTES / 2, HOLD_BYTES / 2 + 1], 1)).toEqual({ reason: Reason.FRAGMENT_PENDING, after: 2 });
  });

  test('waits no longer, and is not called incomplete at the end', async () => {
    expect(await fate([HOLD_BYTES, 1])).toEqual({ reason: Reason.FRAGMENT_PENDING, after: 2 });
    expect(await fate([HOLD_BYTES - 1])).toEqual({ reason: Reason.FRAGMENT_INCOMPLETE, after: 0 });
  });
});
