// Does the engine put fragments together as the plain model does? Storms of fragments, cut into batches anywhere; nothing
// is written outside its memory, and nothing is left behind.

import { describe, expect, test } from 'vitest';
import { DEFRAG } from '../../src/engine/layout.ts';
import { type Fate, Reassembly } from '../model/reassembly.ts';
import { BUILDS, type FragmentEndView, openEngine, SECOND } from '../support/engine.ts';
import { fragmentStorm, random } from '../support/fragments.ts';
import * as build from '../support/packets.ts';

const SEEDS = Number(process.env.CTREPLAY_FRAGMENT_SEEDS ?? 40);

/** Without the IPv4 header checksum, which reassembly computes anew. */
function comparable(packet: Uint8Array): string {
  const copy = packet.slice();
  if (copy[0]! >> 4 === 4) copy.fill(0, 10, 12);
  return Buffer.from(copy).toString('hex');
}

function datagram(n: number, pick: (max: number) => number): Uint8Array {
  const payload = Uint8Array.from({ length: pick(300) }, () => pick(256));
  const transport = build.udp({ sport: 1000 + n, dport: 53, payload });
  return pick(2)
    ? build.ip(`10.0.0.${1 + pick(3)}`, '10.0.1.1', transport, { df: false })
    : build.ip(`2001:db8::${1 + pick(3)}`, '2001:db8:1::1', transport);
}

describe.each(BUILDS)('%s build', (kind) => {
  test(`${SEEDS} storms: the same packets, the same reasons`, { timeout: 120_000 }, async () => {
    const engine = await openEngine({ build: kind });
    let wholes = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      engine.reset();
      const next = random(seed ^ 0x5eed);
      const sysctls = { IPFRAG_TIME: 2, FRAG6_TIMEOUT: 3, IPFRAG_MAX_DIST: [0, 5, 64][seed % 3]! };
      const world = engine.world({ sysctls });
      const model = new Reassembly({ four: 2n * SECOND, six: 3n * SECOND }, sysctls.IPFRAG_MAX_DIST);
      let time = 1_000n * SECOND;
      const frames = fragmentStorm(seed, 60, datagram).map((data) => {
        // Sometimes long enough for queues to expire, some of them to the nanosecond.
        time +=
          next() < 0.03 ? BigInt(Math.floor(next() * 4)) * SECOND : BigInt(Math.floor(next() * 2)) * (SECOND / 100n);
        return { time, data };
      });
      const ends: FragmentEndView[] = [];
      for (let at = 0; at < frames.length; ) {
        const batch = frames.slice(at, at + 1 + Math.floor(next() * 40));
        const got = world.feed(batch);
        batch.forEach((frame, i) => {
          const n = at + i + 1;
          const fate = model.take(n, frame.time, frame.data);
          const packet = got[i]!;
          const seen: Fate = packet.flags.includes('REASSEMBLED')
            ? { kind: 'whole', packet: engine.ipBytes(i) }
            : packet.reason === 'FRAGMENT_PENDING'
              ? { kind: 'waits' }
              : packet.verdict === 'DROP'
                ? { kind: 'dropped', reason: packet.reason }
                : { kind: 'passes' };
          const text = (one: Fate) => JSON.stringify(one.kind === 'whole' ? { whole: comparable(one.packet) } : one);
          expect(text(seen), `seed ${seed}, packet ${n}`).toBe(text(fate));
          if (fate.kind === 'whole') wholes++;
        });
        ends.push(...world.takeEnds());
        at += batch.length;
      }
      const sorted = <T extends { n: number }>(list: readonly T[]) => [...list].sort((a, b) => a.n - b.n);
      expect(sorted(ends), `seed ${seed}`).toEqual(sorted(model.ends));
      world.feed([{ time: time + 10n * SECOND, data: new Uint8Array(20) }]);
      expect(world.defragState(DEFRAG.memory_4)).toBe(0);
      expect(world.defragState(DEFRAG.memory_6)).toBe(0);
      engine.checkCanaries();
    }
    expect(wholes).toBeGreaterThan(SEEDS * 5);
  });

  test('hostile fragments: bounded memory, nothing outside it', { timeout: 60_000 }, async () => {
    const engine = await openEngine({ build: kind });
    for (let seed = 1; seed <= 4; seed++) {
      engine.reset();
      const limit = [1000, 20_000, 300_000, 0][seed % 4]!;
      const world = engine.world({ sysctls: { IPFRAG_HIGH_THRESH: limit, FRAG6_HIGH_THRESH: limit } });
      const next = random(seed);
      const pick = (max: number) => Math.floor(next() * max);
      for (let round = 0; round < 20; round++) {
        const frames = Array.from({ length: 500 }, (_, i) => {
          const whole = datagram(i, pick);
          const six = whole[0]! >> 4 === 6;
          const data = six ? new Uint8Array(48 + pick(200)) : new Uint8Array(20 + pick(200));
          data.set(whole.subarray(0, data.length));
          const view = new DataView(data.buffer);
          // Any identification, offset, length and extension header that fits the frame or does not.
          if (six) {
            data[6] = [44, 44, 44, 0, 60, 43][pick(6)]!;
            view.setUint16(4, pick(4) ? data.length - 40 : pick(300));
            for (let at = 40; at < Math.min(64, data.length); at++) data[at] = [44, 17, 0, 60, pick(256)][pick(5)]!;
            view.setUint16(42, pick(3) ? pick(64) * 8 + pick(2) : pick(65536));
          } else {
            if (pick(4) === 0) data[0] = 0x45 + pick(11);
            view.setUint16(2, pick(4) ? data.length : pick(300));
            view.setUint16(4, pick(1 << (round % 16)));
            view.setUint16(6, pick(3) ? (pick(2) << 13) | pick(64) : pick(65536));
          }
          const captured = pick(8) ? data.length : pick(data.length + 1);
          return { time: SECOND * BigInt(1 + round), data: data.subarray(0, captured), length: data.length };
        });
        world.feed(frames);
        // The limit is looked at before a fragment is taken in, so one may pass it: its bytes, its buffer and its queue.
        for (const field of [DEFRAG.memory_4, DEFRAG.memory_6]) {
          expect(world.defragState(field)).toBeLessThanOrEqual(limit + 1200);
        }
      }
      engine.checkCanaries();
    }
  });
});
