// In which order do the packets of several captures come?
import { readdirSync } from 'node:fs';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CaptureFeed } from '../../../src/capture/feed.ts';
import { InterfaceNames } from '../../../src/capture/interfaces.ts';
import { captureAreaBytes } from '../../../src/capture/walker.ts';
import { concat, PcapngWriter, payload, pcapFile } from '../../support/captures.ts';
import { BUILDS, engine, type ReadOptions, type ReadResult, readAll, temporary } from './read-all.ts';

/** A capture whose packets have these times, in seconds. */
function capture(times: readonly number[]): Uint8Array {
  return pcapFile(times.map((seconds, index) => ({ seconds, fraction: 0, data: payload(4, index) })));
}

async function order(captures: readonly (readonly number[])[], options: ReadOptions = {}): Promise<string[]> {
  const { packets, error } = await readAll(
    captures.map((times) => ({ path: temporary(capture(times)) })),
    options,
  );
  expect(error).toBeUndefined();
  return packets.map(places);
}

function places({ file, n }: { file: number; n: number }): string {
  return `${file}:${n}`;
}

/** The rule in plain words: always the capture whose next packet is earliest, the first named if several are. */
function model(captures: readonly (readonly number[])[]): string[] {
  const next = captures.map(() => 0);
  const result: string[] = [];
  while (true) {
    let best = -1;
    captures.forEach((times, index) => {
      const time = times[next[index] ?? 0];
      const least = captures[best]?.[next[best] ?? 0];
      if (time !== undefined && (least === undefined || time < least)) best = index;
    });
    if (best < 0) return result;
    next[best] = (next[best] ?? 0) + 1;
    result.push(`${best + 1}:${next[best]}`);
  }
}

describe.each(BUILDS)('order, %s build', (build) => {
  it('files that follow each other come in the order of time', async () => {
    expect(
      await order(
        [
          [20, 21],
          [1, 2],
          [10, 11],
        ],
        { build },
      ),
    ).toEqual(['2:1', '2:2', '3:1', '3:2', '1:1', '1:2']);
  });

  it('files that overlap are merged, ties in the order of the command line', async () => {
    expect(
      await order(
        [
          [1, 3, 5, 5],
          [1, 2, 5, 6],
        ],
        { build },
      ),
    ).toEqual(['1:1', '2:1', '2:2', '1:2', '1:3', '1:4', '2:3', '2:4']);
  });

  it('within a file its own order stands, even where time steps back', async () => {
    expect(
      await order(
        [
          [10, 1, 12],
          [5, 11],
        ],
        { build },
      ),
    ).toEqual(['2:1', '1:1', '1:2', '2:2', '1:3']);
  });

  it('empty files and files of one packet', async () => {
    expect(await order([[], [5], [], [4]], { build })).toEqual(['4:1', '2:1']);
    expect(await order([[], []], { build })).toEqual([]);
  });

  it('any captures, any batch size', async () => {
    const times = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(times, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 9 }),
        async (captures, capacity) => {
          expect(await order(captures, { build, capacity })).toEqual(model(captures));
        },
      ),
      { seed: 2, numRuns: 150 },
    );
  });
});

describe('many captures', () => {
  const paths = (count: number, times: (index: number) => number[]): { path: string }[] =>
    Array.from({ length: count }, (_, index) => ({ path: temporary(capture(times(index))) }));

  it('a rotation of 1,000 files, named backwards, holds few of them open', async () => {
    const specs = paths(1000, (index) => [(1000 - index) * 10, (1000 - index) * 10 + 9]);
    const before = readdirSync('/proc/self/fd').length;
    let most = 0;
    const { packets, error } = await readAll(specs, {
      onBatch: () => {
        most = Math.max(most, readdirSync('/proc/self/fd').length - before);
      },
    });
    expect(error).toBeUndefined();
    expect(packets.map(({ file }) => file)).toEqual(Array.from({ length: 2000 }, (_, index) => 1000 - (index >> 1)));
    expect(most).toBeLessThan(4);
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before + 1);
  });

  it('more that overlap than there is room for are refused', async () => {
    const { error } = await readAll(paths(257, () => [1, 9]));
    expect(error).toMatchObject({ code: 'capture-overlap' });
  });

  it('256 that overlap', async () => {
    const { packets, error } = await readAll(paths(256, (index) => [1, 1000 - index]));
    expect(error).toBeUndefined();
    const expected = Array.from({ length: 256 }, (_, index) => index + 1);
    expect(packets.map(({ file }) => file)).toEqual([...expected, ...expected.toReversed()]);
  });
});

describe('captures of different kinds', () => {
  it('plain, compressed, pcapng and a stream are one flow space', async () => {
    const w = new PcapngWriter(true);
    const section = concat([w.section(), w.interface(101, [[2, Buffer.from('tun0')]])]);
    const ng = concat([section, ...[3n, 7n, 11n].map((seconds) => w.packet(0, seconds * 1_000_000n, payload(9, 1)))]);
    const read = (capacity: number): Promise<ReadResult> =>
      readAll(
        [
          { path: temporary(capture([1, 5, 9])), iface: 'eth0' },
          { path: temporary(gzipSync(capture([2, 6, 10]))), iface: 'eth1' },
          { path: temporary(ng) },
          { path: 'stream', stream: Readable.from([capture([4, 8, 12])]) },
        ],
        { capacity },
      );
    for (const capacity of [1, 3, 4096]) {
      const { packets, error, files } = await read(capacity);
      expect(error).toBeUndefined();
      expect(packets.map(({ ts }) => ts / 1_000_000_000n)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n, 10n, 11n, 12n]);
      expect(packets.slice(0, 4).map(({ iface, link }) => [iface, link])).toEqual([
        ['eth0', 1],
        ['eth1', 1],
        ['tun0', 101],
        [undefined, 1],
      ]);
      expect(files.map(({ packets, gzip, format }) => [packets, gzip, format])).toEqual([
        [3, false, 'pcap'],
        [3, true, 'pcap'],
        [3, false, 'pcapng'],
        [3, false, 'pcap'],
      ]);
    }
  });

  it('large captures that overlap for a while, are alone for a while', async () => {
    const long = (first: number, count: number, step: number): number[] =>
      Array.from({ length: count }, (_, index) => first + index * step);
    const captures = [long(0, 20_000, 2), long(30_001, 15_000, 2), long(90_000, 30_000, 1), long(100_000, 10, 1000)];
    expect(await order(captures)).toEqual(model(captures));
  });
});

describe('errors among several captures', () => {
  it('a cut stops the replay where the capture ends', async () => {
    const cut = capture([2, 4, 6]);
    const { packets, error } = await readAll([
      { path: temporary(capture([1, 3, 5, 7, 9])) },
      { path: temporary(cut.subarray(0, cut.length - 1)) },
    ]);
    // The third packet of file 2 has the time 6: everything before that is delivered.
    expect(packets.map(places)).toEqual(['1:1', '2:1', '1:2', '2:2', '1:3']);
    expect(error).toMatchObject({ code: 'capture-cut', packet: 3, offset: 24 + 2 * 20 });
  });

  it('a capture without even one record header left comes last', async () => {
    const cut = capture([2]).subarray(0, 30);
    const { packets, error } = await readAll([{ path: temporary(cut) }, { path: temporary(capture([1, 3])) }]);
    expect(packets.map(places)).toEqual(['2:1', '2:2']);
    expect(error).toMatchObject({ code: 'capture-cut', packet: 1, offset: 24 });
  });

  it('a file that is no capture stops everything before it starts', async () => {
    const { packets, error } = await readAll([
      { path: temporary(capture([1])) },
      { path: temporary(Buffer.from('not a capture')) },
    ]);
    expect(packets).toEqual([]);
    expect(error?.code).toBe('capture-format');
  });

  it('standard input twice', async () => {
    await expect(readAll([{ path: '-' }, { path: '-' }])).rejects.toMatchObject({ code: 'usage-captures' });
  });

  it('stop ends the replay without an error, also while it waits', async () => {
    const { memory, walker } = engine('release');
    const stream = new Readable({ read: () => {} });
    stream.push(capture([1]));
    const area = { address: 0x100000, bytes: captureAreaBytes(1) };
    const feed = await CaptureFeed.open([{ path: 'stream', stream }], memory, walker, new InterfaceNames(), area);
    const target = { data: 0x1000_0000, dataBytes: 0x180000, records: 0x1020_0000, capacity: 10 };
    expect(await feed.next(target)).toBe(1);
    const waiting = feed.next(target);
    feed.stop();
    expect(await waiting).toBe(0);
    expect(await feed.next(target)).toBe(0);
    await feed.close();
    expect(stream.destroyed).toBe(true);
  });

  it('an error is thrown again by every later call', async () => {
    const { memory, walker } = engine('release');
    const path = temporary(capture([1]).subarray(0, 42));
    const area = { address: 0x100000, bytes: captureAreaBytes(1) };
    const feed = await CaptureFeed.open([{ path }], memory, walker, new InterfaceNames(), area);
    const target = { data: 0x1000_0000, dataBytes: 0x180000, records: 0x1020_0000, capacity: 10 };
    await expect(feed.next(target)).rejects.toMatchObject({ code: 'capture-cut' });
    await expect(feed.next(target)).rejects.toMatchObject({ code: 'capture-cut' });
    await feed.close();
  });
});

describe('interface names', () => {
  it('are numbered from 1 as they appear, and as many as a run can hold', () => {
    const names = new InterfaceNames();
    expect(names.index('eth0')).toBe(1);
    expect(names.index('eth1')).toBe(2);
    expect(names.index('eth0')).toBe(1);
    expect([names.name(1), names.name(2), names.name(3), names.name(0), names.count]).toEqual([
      'eth0',
      'eth1',
      undefined,
      undefined,
      2,
    ]);
    for (let index = 3; index < 1024; index++) expect(names.index(`if${index}`)).toBe(index);
    expect(() => names.index('one more', 'a.pcap')).toThrow(/a\.pcap: interface "one more" is one too many/);
    expect(names.index('if1023')).toBe(1023);
  });
});
