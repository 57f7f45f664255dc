// Does the connection table find every entry that is in it and none that is not, while it grows, empties and is filled
// again, under any hash seed?

import { beforeAll, describe, expect, it } from 'vitest';
import { SHARD_TABLE_BYTES, SHARDS } from '../../../src/engine/engine.ts';
import { WORLD } from '../../../src/engine/layout.ts';
import { Random } from '../../model/random.ts';
import { BUILDS, type Frame, openEngine, SECOND, type TestEngine } from '../../support/engine.ts';
import { ip, tcp, udp } from '../../support/packets.ts';

const NOW = 1_700_000_000n * SECOND;
const address = (n: number): string => `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`;
/** The first packet of flow n, or an answer to it. */
const flow = (n: number, time = NOW, answer = false): Frame => {
  const transport = udp(answer ? { sport: 53, dport: 1024 + (n % 7) } : { sport: 1024 + (n % 7), dport: 53 });
  const hosts = [address(n), '192.0.2.1'] as const;
  return { time, data: answer ? ip(hosts[1], hosts[0], transport) : ip(...hosts, transport) };
};
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
const isNew = (states: { ctState: string }[]): string => [...new Set(states.map((p) => p.ctState))].join();

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });

  it('grows its index with its entries and loses nothing', () => {
    engine.reset();
    const world = engine.world({ flows: 4096, index: { first: 1, buckets: 1024, overflows: 256 } });
    for (let n = 0; n < 4000; n++) {
      expect(world.one(flow(n)).ctState).toBe('NEW');
      // One bucket more with every four entries.
      expect(world.get(WORLD.index_count)).toBe(Math.floor(n / 4) + 1);
    }
    expect(world.flowCount).toBe(4000);
    expect(isNew(world.feed(range(0, 4000).map((n) => flow(n, NOW, true))))).toBe('ESTABLISHED');
    expect(world.table().map((entry) => entry.id)).toEqual(range(1, 4001));
    engine.checkCanaries();
  });

  it('uses all of its index for the entries of one lane of eight', () => {
    engine.reset();
    const shards = engine.take(SHARD_TABLE_BYTES);
    for (let shard = 0; shard < SHARDS; shard++) engine.bytes[shards + shard] = Math.floor((shard * 8) / SHARDS);
    const mine = range(0, 32_000).filter((n) => {
      const { packets } = engine.decodeBatch([flow(n)]);
      return engine.exports.lane_of_tuple(shards, packets) === 3;
    });
    expect(mine.length).toBeGreaterThan(3000);
    // Buckets for all of these, but not nearly as many overflow buckets as if most of the others stayed empty.
    const world = engine.world({ flows: 8192, index: { first: 1, buckets: 2048, overflows: 200 } });
    for (const n of mine) world.one(flow(n));
    expect(world.flowCount).toBe(mine.length);
    engine.checkCanaries();
  });

  it('counts neither direction twice', () => {
    engine.reset();
    const world = engine.world();
    world.feed([flow(1), flow(1, NOW, true), flow(1), flow(2, NOW, true), flow(2)]);
    expect(world.flowCount).toBe(2);
  });

  it('a full pool stops the run with table_full, and not one entry earlier', () => {
    engine.reset();
    const world = engine.world({ flows: 10, index: { first: 4, buckets: 4, overflows: 1 } });
    world.feed(range(0, 10).map((n) => flow(n)));
    expect(world.flowCount).toBe(10);
    expect(() => world.one(flow(10))).toThrow('the table is full');
    engine.checkCanaries();
  });

  it('a full index stops the run before look-ups would never end', () => {
    engine.reset();
    const world = engine.world({ flows: 100, index: { first: 1, buckets: 2, overflows: 1 } });
    expect(() => world.feed(range(0, 30).map((n) => flow(n)))).toThrow('the table is full');
    // Two buckets and the one behind them.
    expect(world.flowCount).toBeLessThanOrEqual(21);
    engine.checkCanaries();
  });

  it('entries that die leave room for new ones', () => {
    engine.reset();
    const world = engine.world({ flows: 16, index: { first: 8, buckets: 8, overflows: 2 } });
    for (let round = 0; round < 200; round++) {
      const now = NOW + BigInt(round) * 31n * SECOND;
      world.sweep(now);
      world.feed(range(0, 16).map((n) => flow(round * 16 + n, now)));
      expect(world.flowCount).toBe(16);
    }
  });

  it.each([1, 2, 3, 4])(
    'finds exactly what is there after random births and deaths in a crowded index (seed %i)',
    async (seed) => {
      // Few buckets, so that most have others behind them and a death has to close the gap in front of those.
      const random = new Random(seed);
      const seeded = await openEngine({ build, seed: [random.below(2 ** 32), random.below(2 ** 32)] });
      const world = seeded.world({ flows: 256, index: { first: 1, buckets: random.pick([1, 2, 5]), overflows: 40 } });
      const alive = new Set<number>();
      const talk = (n: number, flags: string) =>
        world.one({ time: NOW, data: ip(address(n), '192.0.2.1', tcp({ sport: 1, dport: 80, flags, seq: 100 })) });
      for (let step = 0; step < 6000; step++) {
        const n = random.below(110);
        if (alive.has(n)) {
          // A reset before any answer destroys the entry at once.
          expect(talk(n, 'R').events).toEqual(['DESTROY']);
          alive.delete(n);
        } else if (alive.size < 90) {
          expect(talk(n, 'S')).toMatchObject({ events: ['NEW'], ctState: 'NEW' });
          alive.add(n);
        }
        if (step % 500 === 0) {
          expect(world.flowCount).toBe(alive.size);
          for (let i = 0; i < 110; i++) expect(talk(i, 'A').reason).toBe(alive.has(i) ? 'TCP_INVALID_STATE' : 'NONE');
          for (let i = 0; i < 110; i++) if (!alive.has(i)) talk(i, 'R');
        }
      }
      seeded.checkCanaries();
    },
  );

  it('the hash seed changes hashes and nothing else', async () => {
    const frames = range(0, 300).flatMap((n) => [flow(n), flow(n, NOW, n % 2 === 0)]);
    const outcome = async (seed: readonly [number, number]) => {
      const seeded = await openEngine({ build, seed });
      const packets = seeded.world().feed(frames);
      return { hashes: packets.map((p) => p.hash), rest: packets.map((p) => ({ ...p, hash: 0 })) };
    };
    const [a, b] = [await outcome([1, 2]), await outcome([0xffffffff, 0x80000000])];
    expect(b.rest).toEqual(a.rest);
    expect(b.hashes).not.toEqual(a.hashes);
  });

  it('both directions hash alike and never to zero; hashes spread over the shards', () => {
    const there = engine.decode(range(0, 4000).map((n) => flow(n)));
    const back = engine.decode(range(0, 4000).map((n) => flow(n, NOW, true)));
    expect(back.map((p) => p.hash)).toEqual(there.map((p) => p.hash));
    expect(there.some((p) => p.hash === 0)).toBe(false);
    const shards = new Map<number, number>();
    for (const { hash } of there) shards.set(hash & 63, (shards.get(hash & 63) ?? 0) + 1);
    // 62.5 expected per group; a spread of more than six standard deviations (7.8) would be a broken hash.
    expect(Math.max(...shards.values())).toBeLessThan(110);
    expect(Math.min(...shards.values())).toBeGreaterThan(15);
  });
});
