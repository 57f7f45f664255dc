// Are deaths that several lanes report, cut anywhere, in order of time, then of id, and where they belong among packets?

import { describe, expect, it } from 'vitest';
import { EventKind } from '../../../assembly/vocabulary.ts';
import { EVENT } from '../../../src/engine/layout.ts';
import { type EventRun, orderEvents } from '../../../src/report/order.ts';
import { Random } from '../../model/random.ts';

interface Told {
  time: bigint;
  /** Of the entry; of a packet's event: 0. */
  id: bigint;
  /** Of the packet; of a death: 0. */
  packet: bigint;
}

function run(events: readonly Told[]): EventRun {
  const bytes = new Uint8Array(events.length * EVENT.size);
  const view = new DataView(bytes.buffer);
  events.forEach(({ time, id, packet }, index) => {
    const at = index * EVENT.size;
    view.setBigUint64(at + EVENT.time, time, true);
    view.setBigInt64(at + EVENT.id, id, true);
    view.setBigUint64(at + EVENT.order, packet || BigInt.asUintN(64, id), true);
    view.setUint8(at + EVENT.klass, packet ? 1 : 0);
    view.setUint8(at + EVENT.kind, packet ? EventKind.NEW : EventKind.DESTROY);
  });
  return { view, bytes, start: 0, end: bytes.length };
}

const ordered = (runs: readonly EventRun[]): [time: bigint, id: bigint, packet: bigint][] =>
  orderEvents(runs).map(({ view, at }) => {
    const packet = view.getUint8(at + EVENT.klass) ? view.getBigUint64(at + EVENT.order, true) : 0n;
    return [view.getBigUint64(at + EVENT.time, true), view.getBigInt64(at + EVENT.id, true), packet];
  });

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);

describe('order of events', () => {
  it.each(Array.from({ length: 20 }, (_, seed) => seed))('cut into runs of several lanes (seed %i)', (seed) => {
    const random = new Random(seed);
    // Both words of a time and of an id matter, and entries that were there at the start have negative ids.
    const times = [0n, 5n, 0xffff_ffffn, 0x1_0000_0000n, 0x7fff_ffff_ffff_ffffn, 0xffff_ffff_0000_0000n];
    const ids = new Set(
      Array.from({ length: 200 }, () => BigInt(random.below(300)) * random.pick([1n, 0x1_0000_0001n]) - 100n),
    );
    const deaths = [...ids].map((id): Told => ({ time: random.pick(times), id, packet: 0n }));
    const packets = Array.from({ length: 30 }, () => random.pick(times))
      .sort(compare)
      .map((time, n): Told => ({ time, id: 0n, packet: BigInt(n + 1) }));
    const runs: EventRun[] = [];
    for (let at = 0; at < deaths.length; ) {
      const end = at + 1 + random.below(50);
      runs.push(run(deaths.slice(at, end)));
      at = end;
    }
    runs.splice(random.below(runs.length), 0, run(packets));

    // A death comes before the first packet whose time is not before it.
    const expected = [...deaths, ...packets].sort(
      (a, b) =>
        compare(a.time, b.time) ||
        compare(a.packet && 1n, b.packet && 1n) ||
        compare(a.id, b.id) ||
        compare(a.packet, b.packet),
    );
    expect(ordered(runs)).toEqual(expected.map(({ time, id, packet }) => [time, id, packet]));
  });
});
