// Does every entry die at its exact expiry, whatever the time between packets, however many are due at once, and however
// its timeout was moved before?

import { beforeAll, describe, expect, it } from 'vitest';
import { Sysctl } from '../../../assembly/vocabulary.ts';
import { WHEEL_BUCKETS, WHEEL_BYTES } from '../../../src/engine/engine.ts';
import { Random } from '../../model/random.ts';
import {
  BUILDS,
  type Frame,
  openEngine,
  SECOND,
  type Sysctls,
  type TestEngine,
  type TestWorld,
} from '../../support/engine.ts';
import { ip, raw, tcp, udp } from '../../support/packets.ts';

const NOW = 1_700_000_000n * SECOND + 123_456_789n;
const MILLISECOND = 1_000_000n;
const DAY = 86_400n * SECOND;
const YEAR = 365n * DAY;
/** The latest time that a capture can have (assembly/walk.ts). */
const TIME_MAX = 2n ** 63n - 1n;

const host = (n: number): string => `10.0.${n >> 8}.${n & 255}`;
const datagram = (n: number, time: bigint): Frame => ({
  time,
  data: ip(host(n), '192.0.2.1', udp({ sport: 1, dport: 2 })),
});
/** A flow of protocol 253, whose only timeout is nf_conntrack_generic_timeout. */
const generic = (n: number, time: bigint): Frame => ({ time, data: ip(host(n), '192.0.2.1', raw(253, 8)) });
const deaths = (world: TestWorld): [time: bigint, id: number][] =>
  world
    .takeEvents()
    .filter((event) => event.kind === 'DESTROY')
    .map(({ time, id }) => [time, id]);

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });
  const open = (sysctls: Partial<Sysctls> = {}, events = 256) => {
    engine.reset();
    return engine.world({ sysctls, events });
  };

  const setGenericTimeout = (world: TestWorld, seconds: number): void => {
    engine.view.setUint32(engine.view.getUint32(world.at, true) + Sysctl.GENERIC_TIMEOUT * 4, seconds, true);
  };

  it.each([1, 2, 30, 255, 256, 257, 65_535, 65_536, 65_537, 16_777_215, 16_777_216, 21_474_836])(
    'a timeout of %i seconds: alive one ns before its end, dead at it',
    (seconds) => {
      const end = NOW + BigInt(seconds) * SECOND;
      const world = open({ GENERIC_TIMEOUT: seconds });
      world.one(generic(1, NOW));
      world.sweep(end - 1n);
      expect(world.flowCount).toBe(1);
      expect(world.table(end - 1n)).toHaveLength(1);
      world.sweep(end);
      expect(world.flowCount).toBe(0);
      expect(deaths(world)).toEqual([[end, 1]]);
    },
  );

  it.each([0n, 1n, 999_999_999n])('finds its expiry in steps of a second, too (offset %i ns)', (offset) => {
    const world = open({ GENERIC_TIMEOUT: 700 });
    world.one(generic(1, NOW));
    const end = NOW + 700n * SECOND;
    for (let time = NOW + offset; time < end + 2n * SECOND; time += SECOND) {
      world.sweep(time);
      expect(world.flowCount).toBe(time >= end ? 0 : 1);
    }
    expect(deaths(world)).toEqual([[end, 1]]);
  });

  it.each([1n, 3n, 50n, 200n])('jumps of %i years', (years) => {
    const world = open();
    world.one(datagram(1, NOW));
    const later = NOW + years * YEAR;
    expect(world.one(datagram(1, later))).toMatchObject({ ctState: 'NEW', events: ['NEW'] });
    world.sweep(later + 30n * SECOND);
    expect(deaths(world)).toEqual([
      [NOW + 30n * SECOND, 1],
      [later + 30n * SECOND, 2],
    ]);
  });

  it('a capture without a clock (times from 1970 on)', () => {
    const world = open();
    world.one(datagram(1, 0n));
    world.one(datagram(2, 29n * SECOND));
    world.one(datagram(3, 30n * SECOND));
    expect(world.flowCount).toBe(2);
    world.sweep(60n * SECOND);
    expect(deaths(world)).toEqual([
      [30n * SECOND, 1],
      [59n * SECOND, 2],
      [60n * SECOND, 3],
    ]);
  });

  it('the packet that comes at the moment of expiry is too late, the one before is not', () => {
    const end = NOW + 30n * SECOND;
    for (const sweep of [true, false]) {
      const world = open();
      world.feed([datagram(1, NOW)], { sweep });
      expect(world.feed([datagram(1, end - 1n)], { sweep })[0]!.events).toEqual([]);
      expect(world.feed([datagram(1, end)], { sweep })[0]!.events).toEqual([]);
      expect(world.feed([datagram(1, end + 30n * SECOND)], { sweep })[0]!).toMatchObject({
        events: ['NEW'],
        flowId: 4,
      });
      // The old entry died at the very moment; its death comes before the birth of the new one.
      const events = world.takeEvents().map(({ kind, time, id }) => [kind, time, id]);
      expect(events).toEqual([
        ['NEW', NOW, 1],
        ['DESTROY', end + 30n * SECOND, 1],
        ['NEW', end + 30n * SECOND, 4],
      ]);
    }
  });

  it('refreshed entries live on', () => {
    const world = open();
    for (let i = 0n; i < 100n; i++) expect(world.one(datagram(1, NOW + i * 29n * SECOND)).flowId).toBe(1);
    const end = NOW + (99n * 29n + 30n) * SECOND;
    world.sweep(end - 1n);
    expect(deaths(world)).toEqual([]);
    world.sweep(end);
    expect(deaths(world)).toEqual([[end, 1]]);
  });

  it('an entry whose timeout is lowered dies at its new expiry (ESTABLISHED, then a reset)', () => {
    const world = open();
    const segment = (from: number, flags: string, seq: number, ack: number, time: bigint): Frame => {
      const [sport, dport] = from ? [80, 9] : [9, 80];
      return { time, data: ip(host(from), host(1 - from), tcp({ sport, dport, flags, seq, ack })) };
    };
    world.feed([segment(0, 'S', 1, 0, NOW), segment(1, 'SA', 9, 2, NOW), segment(0, 'A', 2, 10, NOW)]);
    expect(world.table()[0]!.timeout).toBe(432_000);
    world.one(segment(0, 'R', 2, 10, NOW + SECOND));
    expect(world.table()[0]!.timeout).toBe(10);
    world.sweep(NOW + 11n * SECOND);
    expect(deaths(world)).toEqual([[NOW + 11n * SECOND, 1]]);
    expect(world.flowCount).toBe(0);
  });

  it('a thousand entries due at once, with room for eight events', () => {
    const world = open({}, 8);
    world.feed(Array.from({ length: 1000 }, (_, n) => datagram(n, NOW)));
    const before = world.spills;
    world.sweep(NOW + DAY);
    expect(world.spills - before).toBeGreaterThanOrEqual(124);
    expect(world.flowCount).toBe(0);
    expect(deaths(world)).toEqual(Array.from({ length: 1000 }, (_, n) => [NOW + 30n * SECOND, n + 1]));
    engine.checkCanaries();
  });

  it.each([1, 13, 14, 15, 63, 64, 65, 128, 129, 1000])(
    '%i entries of one pile, every third of which lives on, with room for few events and for many',
    (count) => {
      const soon = NOW + 10n * SECOND;
      const later = NOW + 15n * SECOND;
      const all = Array.from({ length: count }, (_, n) => n);
      const refreshed = all.filter((n) => n % 3 === 0);
      for (const events of [8, 9, 30, 2048]) {
        const world = open({ GENERIC_TIMEOUT: 10 }, events);
        world.feed(all.map((n) => generic(n, NOW)));
        world.feed(refreshed.map((n) => generic(n, NOW + 5n * SECOND)));
        world.takeEvents();
        world.sweep(soon);
        expect(deaths(world)).toEqual(all.filter((n) => n % 3 !== 0).map((n) => [soon, n + 1]));
        expect(world.table(soon).map(({ id }) => id)).toEqual(refreshed.map((n) => n + 1));
        world.sweep(later);
        expect(deaths(world)).toEqual(refreshed.map((n) => [later, n + 1]));
        expect(world.flowCount).toBe(0);
        engine.checkCanaries();
      }
    },
  );

  it('packets wait for room in the event area and lose nothing', () => {
    const world = open({}, 8);
    const frames = Array.from({ length: 500 }, (_, n) => datagram(n, NOW));
    expect(new Set(world.feed(frames).map((p) => p.ctState))).toEqual(new Set(['NEW']));
    expect(world.takeEvents().map((event) => event.id)).toEqual(frames.map((_, n) => n + 1));
  });

  it.each([0n, 1n, 63n, 64n, 4_095n, 4_096n, 262_144n, 16_777_215n, 16_777_216n, 17_000_000n])(
    'entries of one moment and those %i ns later: each dies when its own has come',
    (gap) => {
      const world = open({ GENERIC_TIMEOUT: 10 });
      const end = NOW + 10n * SECOND;
      for (let n = 0; n < 40; n++) world.one(generic(n, n < 20 ? NOW : NOW + gap));
      world.sweep(end - 1n);
      expect(world.flowCount).toBe(40);
      world.sweep(end);
      expect(world.flowCount).toBe(gap === 0n ? 0 : 20);
      world.sweep(end + gap - 1n);
      expect(world.flowCount).toBe(gap === 0n ? 0 : 20);
      world.sweep(end + gap);
      expect(world.flowCount).toBe(0);
    },
  );

  it('no time at all: dead with the sweep of the same moment', () => {
    const world = open({ GENERIC_TIMEOUT: 5 });
    world.one(generic(1, NOW));
    setGenericTimeout(world, 0);
    world.feed([generic(1, NOW)]);
    expect(deaths(world)).toEqual([[NOW, 1]]);
  });

  it('a bucket of its own for each of as many entries as the table has room for, and again when they are refreshed', () => {
    engine.reset();
    const world = engine.world({ flows: 2000, sysctls: { GENERIC_TIMEOUT: 200 } });
    let time = NOW;
    for (let packet = 0; packet < 6000; packet++, time += 18n * MILLISECOND) world.one(generic(packet % 2000, time));
    expect(world.flowCount).toBe(2000);
    engine.checkCanaries();
    world.sweep(time + 200n * SECOND);
    expect(world.flowCount).toBe(0);
  });

  it('the wheel has the size that src/engine knows', () => {
    const size = (name: string) => (engine.exports[name] as WebAssembly.Global).value;
    expect([size('WHEEL_BUCKETS'), size('WHEEL_BYTES')]).toEqual([WHEEL_BUCKETS, WHEEL_BYTES]);
  });

  it.each(Array.from({ length: 12 }, (_, seed) => seed))(
    'a plain list agrees: entries begun, refreshed, cut short and found dead, time in steps of all scales (seed %i)',
    (seed) => {
      const random = new Random(seed);
      engine.reset();
      const world = engine.world({ flows: 512, events: random.pick([8, 256]) });
      const hosts = random.pick([3, 40, 400]);
      const scale = random.pick([8, 30, 45, 62]);
      const alive = new Map<number, { id: number; end: bigint }>();
      let dead: [time: bigint, id: number][] = [];
      const die = (n: number): void => {
        const { id, end } = alive.get(n)!;
        dead.push([end, id]);
        alive.delete(n);
      };
      let time = random.pick([0n, NOW]);
      for (let packet = 1; packet <= 2500; packet++) {
        const step = BigInt(Math.floor(2 ** (random.next() * scale))) + BigInt(random.below(64));
        const end = random.pick([...alive.values()])?.end ?? 0n;
        const next = random.chance(0.3) ? end + BigInt(random.pick([-1, 0, 1])) : time + step;
        if (next > time && next <= TIME_MAX) time = next;
        const n = random.below(hosts);
        const timeout = random.chance(0.05) ? random.pick([0, 0xffff_ffff]) : random.below(2 ** random.below(33));
        setGenericTimeout(world, timeout);
        const sweep = random.chance(0.5);
        world.feed([generic(n, time)], { sweep });

        const known = alive.get(n);
        if (known && known.end <= time) die(n);
        const id = alive.get(n)?.id;
        const left = BigInt(timeout) * SECOND;
        alive.set(n, id === undefined ? { id: packet, end: time + (left || 1n) } : { id, end: time + left });
        if (!sweep) continue;
        for (const [other, entry] of alive) if (entry.end <= time) die(other);
        expect(deaths(world).sort(([, a], [, b]) => a - b)).toEqual(dead.sort(([, a], [, b]) => a - b));
        dead = [];
        expect(world.flowCount).toBe(alive.size);
      }
      engine.checkCanaries();
    },
  );
});
