// Can any input make a capture reader hang, crash, leak or fail without a typed error?
//
// Seeded: the seed of a failure is in its message, and belongs into CASES once the cause is found.
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { concat, PcapngWriter, payload, pcapFile } from '../support/captures.ts';
import { type ReadResult, readAll, temporary } from '../unit/capture/read-all.ts';

/** Seeds that failed once. */
const CASES: readonly number[] = [];
const RUNS = 900;

/** A number generator: mulberry32. */
function random(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

const MAGICS = [0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34];
const EDGES = [
  0, 1, 3, 4, 11, 12, 0x7f, 0xff, 0xffff, 0x40000, 0x40001, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
];

function validCapture(next: (limit: number) => number): Uint8Array {
  const bigEndian = next(2) === 1;
  const count = next(30);
  if (next(2) === 0) {
    const packets = Array.from({ length: count }, (_, index) => ({
      seconds: 1_700_000_000 + next(100),
      fraction: next(1_000_000),
      data: payload(next(next(10) === 0 ? 5000 : 80), index),
    }));
    return pcapFile(packets, {
      bigEndian,
      magic: MAGICS[next(3)] ?? 0,
      version: [2, next(5)],
      link: next(8) === 0 ? next(300) : 1,
    });
  }
  const w = new PcapngWriter(bigEndian);
  const options = (): [number, Uint8Array][] => Array.from({ length: next(4) }, () => [next(20), payload(next(12), 1)]);
  const parts = [w.section(options()), w.interface(1, options(), next(3) * 30)];
  for (let index = 0; index < count; index++) {
    const data = payload(next(100), index);
    const time = BigInt(next(2 ** 32)) * BigInt(next(2 ** 32));
    const kinds = [
      () => w.packet(0, time, data, options()),
      () => w.packet(next(2), time, data),
      () => w.simple(data),
      () => w.obsolete(0, time, data, options()),
      () => w.interface(next(4) === 0 ? next(300) : 1, options()),
      () => w.block(next(20), payload(next(3) === 0 ? 200_000 : 40, 1)),
      () => w.section(options()),
    ];
    parts.push(kinds[next(kinds.length)]?.() ?? new Uint8Array(0));
  }
  return concat(parts);
}

/** Changes bytes, words and lengths, cuts, repeats and inserts. */
function mutate(bytes: Uint8Array, next: (limit: number) => number): Uint8Array {
  let result: Uint8Array = Uint8Array.from(bytes);
  for (let change = next(6); change > 0 && result.length > 8; change--) {
    // Headers are where the interesting bytes are.
    const at = next(next(2) === 0 ? Math.min(result.length - 4, 120) : result.length - 4);
    const view = new DataView(result.buffer, result.byteOffset, result.length);
    switch (next(6)) {
      case 0:
        view.setUint8(at, next(256));
        break;
      case 1:
        view.setUint32(at & ~3, EDGES[next(EDGES.length)] ?? 0, next(2) === 0);
        break;
      case 2:
        view.setUint32(at & ~3, next(2 ** 32));
        break;
      case 3:
        result = result.slice(0, at);
        break;
      case 4:
        result = concat([result.subarray(0, at), payload(next(50), at), result.subarray(at)]);
        break;
      default:
        result = concat([result, result.subarray(at)]);
    }
  }
  return result;
}

function inputs(seed: number): Uint8Array[] {
  const next = random(seed);
  const count = next(4) === 0 ? 1 + next(4) : 1;
  return Array.from({ length: count }, () => {
    if (next(12) === 0) return Uint8Array.from({ length: next(400) }, () => next(256));
    const bytes = mutate(validCapture(next), next);
    return next(6) === 0 ? mutate(gzipSync(bytes), next) : bytes;
  });
}

/** Reads what a seed gives. The same input has the same result in batches of any size. */
async function run(seed: number): Promise<ReadResult> {
  const specs = inputs(seed).map((bytes, index) => ({ path: temporary(bytes, `fuzz-${index}.cap`) }));
  const result = await readAll(specs);
  const smaller = await readAll(specs, { capacity: 1 + (seed % 7) });
  expect(smaller.packets, `seed ${seed}`).toEqual(result.packets);
  expect(smaller.error?.message, `seed ${seed}`).toBe(result.error?.message);
  return result;
}

describe('any input', () => {
  it.each(CASES.map((seed) => ({ seed })))('seed $seed', async ({ seed }) => {
    await run(seed);
  });

  it(`${RUNS} seeds: packets or a typed error, in bounded memory`, async () => {
    const codes = new Map<string, number>();
    let packets = 0;
    let rss = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      let result: ReadResult;
      try {
        result = await run(seed);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
      packets += result.packets.length;
      const code = result.error?.code ?? 'none';
      codes.set(code, (codes.get(code) ?? 0) + 1);
      for (const { ts, link } of result.packets) {
        expect(ts <= 2n ** 63n - 1n).toBe(true);
        expect(link).toBeLessThan(65536);
      }
      // Everything that grows once has grown by then.
      if (seed === RUNS / 3) rss = process.memoryUsage().rss;
    }
    expect(packets).toBeGreaterThan(RUNS);
    // The seeds reach all that can go wrong, and what goes well.
    for (const code of ['none', 'block', 'cut', 'length', 'format', 'link-type', 'interface', 'version', 'gzip']) {
      expect([...codes.keys()], `codes reached: ${[...codes].join(' ')}`).toContain(
        code === 'none' ? code : `capture-${code}`,
      );
    }
    expect(process.memoryUsage().rss - rss).toBeLessThan(100e6);
  }, 120_000);

  it('a gzip bomb costs time, not memory', async () => {
    // Four unknown blocks of 64 MB of zeros in some 256 kB.
    const w = new PcapngWriter();
    const block = w.block(10, new Uint8Array(64_000_000));
    const path = temporary(
      gzipSync(concat([w.section(), block, block, block, block, w.interface(1), w.packet(0, 1n, payload(4, 1))])),
    );
    const before = process.memoryUsage().rss;
    const { packets, error } = await readAll([{ path }]);
    expect(error).toBeUndefined();
    expect(packets.length).toBe(1);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });
});
