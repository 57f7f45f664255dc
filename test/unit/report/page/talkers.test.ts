// Are talkers counted as a plain map counts them, and is nothing lost where there are too many?

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { L3, Proto, Verdict } from '../../../../assembly/vocabulary.ts';
import { type TalkerCounts, Talkers, talkerTail } from '../../../../src/report/page/talkers.ts';

const bytes = new Uint8Array(16);
const view = new DataView(bytes.buffer);

function count(talkers: Talkers, host: number, port: number, verdict: Verdict, length: number, began: boolean): void {
  bytes.set([10, 0, host >> 8, host & 255]);
  talkers.add(view, 0, talkerTail(L3.IPV4, Proto.TCP, port, false), verdict, length, began);
}

function sum(counts: readonly TalkerCounts[]): number[] {
  const total = (what: 'packets' | 'bytes' | 'flows') => counts.reduce((all, each) => all + each[what], 0);
  return [total('packets'), total('bytes'), total('flows')];
}

const packet = fc.record({
  host: fc.integer({ min: 0, max: 300 }),
  port: fc.constantFrom(22, 80, 443),
  verdict: fc.constantFrom(Verdict.ACCEPT, Verdict.DROP, Verdict.REJECT, Verdict.QUEUE),
  length: fc.integer({ min: 20, max: 65535 }),
  began: fc.boolean(),
});

test('each key has its counts, the rest is in one', () => {
  fc.assert(
    fc.property(fc.array(packet, { minLength: 1, maxLength: 2000 }), (packets) => {
      const talkers = new Talkers();
      const plain = new Map<string, { packets: number; bytes: number; flows: number; accepted: number }>();
      for (const { host, port, verdict, length, began } of packets) {
        count(talkers, host, port, verdict, length, began);
        const key = `${host >> 8}.${host & 255}:${port}`;
        const own = plain.get(key) ?? { packets: 0, bytes: 0, flows: 0, accepted: 0 };
        plain.set(key, own);
        own.packets++;
        own.bytes += length;
        if (began) own.flows++;
        if (verdict === Verdict.ACCEPT) own.accepted++;
      }
      const { top, rest, forgotten } = talkers.top(5);
      expect(forgotten).toBe(false);
      expect(top.length + rest.talkers).toBe(plain.size);
      for (const { address, port, ...counts } of top) {
        const { packets, bytes, flows, accepted } = plain.get(`${address[2]}.${address[3]}:${port}`)!;
        expect(counts).toMatchObject({ packets, bytes, flows });
        expect(counts.verdicts[0]).toBe(accepted);
      }
      const all = [...plain.values()];
      const bytesMost = Math.max(...all.map((own) => own.bytes));
      expect(top[0]!.packets).toBe(Math.max(...all.map((own) => own.packets)));
      expect(top.some((each) => each.bytes === bytesMost)).toBe(true);
      const lengths = packets.reduce((total, { length }) => total + length, 0);
      expect(sum([...top, rest])).toEqual([packets.length, lengths, packets.filter(({ began }) => began).length]);
    }),
  );
});

test('beyond the limit the small are forgotten, a late great one is found, and sums stay', () => {
  const talkers = new Talkers(1024);
  for (let i = 0; i < 10_000; i++) count(talkers, i, 80, Verdict.DROP, 40, true);
  for (let i = 0; i < 500; i++) count(talkers, 20_000, 80, Verdict.ACCEPT, 100, false);
  const { top, rest, forgotten } = talkers.top(3);
  expect(forgotten).toBe(true);
  expect(top[0]).toMatchObject({ packets: 500, bytes: 50_000, port: 80 });
  expect(sum([...top, rest])).toEqual([10_500, 450_000, 10_000]);
});
