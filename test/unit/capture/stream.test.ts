// Does a capture read the same however its bytes arrive: in any pieces, compressed, or from a stream?
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { concat, noise, PcapngWriter, payload, pcapFile } from '../../support/captures.ts';
import { BUILDS, type ReadOptions, type ReadResult, readAll, readBytes, temporary } from './read-all.ts';

const PCAP = pcapFile(
  [1, 2, 3].map((seconds) => ({ seconds, fraction: 7, data: payload(seconds * 11, seconds) })),
  { bigEndian: true },
);

const big = new PcapngWriter(true);
const little = new PcapngWriter(false);
const PCAPNG = concat([
  big.section([[2, payload(9, 1)]]),
  big.interface(1, [
    [2, Buffer.from('lan')],
    [9, big.u8(0x94)],
  ]),
  big.packet(0, 123_456_789n, payload(13, 1), [[2, big.u32(2)]]),
  big.block(4, payload(30, 2)),
  little.section(),
  little.block(0x1234, payload(21, 3)),
  little.interface(101),
  little.packet(0, 77n, payload(6, 2)),
  little.simple(payload(5, 3)),
  little.obsolete(0, 99n, payload(3, 4)),
]);

/** Gives the pieces one by one, each only when the reader had time to take the one before. */
function inPieces(pieces: readonly Uint8Array[]): Readable {
  async function* generate(): AsyncGenerator<Uint8Array> {
    for (const piece of pieces) {
      if (piece.length > 0) yield piece;
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return Readable.from(generate());
}

function readStream(pieces: readonly Uint8Array[], options: ReadOptions = {}): Promise<ReadResult> {
  return readAll([{ path: 'stream', stream: inPieces(pieces) }], options);
}

describe.each(BUILDS)('split input, %s build', (build) => {
  for (const [name, bytes] of [
    ['pcap', PCAP],
    ['pcapng', PCAPNG],
  ] as const) {
    it(`${name}, two pieces, at every byte`, async () => {
      const whole = await readBytes(bytes, { build });
      expect(whole.error).toBeUndefined();
      expect(whole.packets.length).toBeGreaterThan(2);
      for (let at = 1; at < bytes.length; at++) {
        const { packets, error } = await readStream([bytes.subarray(0, at), bytes.subarray(at)], { build });
        expect(error, `split at ${at}`).toBeUndefined();
        expect(packets, `split at ${at}`).toEqual(whole.packets);
      }
    });

    it(`${name}, one byte at a time`, async () => {
      const pieces = Array.from({ length: bytes.length }, (_, at) => bytes.subarray(at, at + 1));
      const { packets, error } = await readStream(pieces, { build });
      expect(error).toBeUndefined();
      expect(packets).toEqual((await readBytes(bytes, { build })).packets);
    });

    it(`${name}, two gzip members, at every byte`, async () => {
      const whole = await readBytes(bytes, { build });
      for (let at = 0; at <= bytes.length; at += 3) {
        const members = concat([gzipSync(bytes.subarray(0, at)), gzipSync(bytes.subarray(at))]);
        const { packets, error, files } = await readBytes(members, { build });
        expect(error, `members meet at ${at}`).toBeUndefined();
        expect(packets, `members meet at ${at}`).toEqual(whole.packets);
        expect(files[0]?.gzip).toBe(true);
      }
    });
  }

  it('batches of every size', async () => {
    const whole = await readBytes(PCAPNG, { build });
    for (let capacity = 1; capacity <= 5; capacity++) {
      expect((await readBytes(PCAPNG, { build, capacity })).packets).toEqual(whole.packets);
      expect((await readStream([PCAPNG], { build, capacity })).packets).toEqual(whole.packets);
    }
  });
});

describe('gzip', () => {
  const packets = Array.from({ length: 400 }, (_, index) => ({
    seconds: index,
    fraction: 0,
    data: noise(200 + index, index),
  }));
  const plain = pcapFile(packets);
  const packed = gzipSync(plain);

  it('cut anywhere: what could be decompressed is delivered, then the error names its place', async () => {
    let most = 0;
    for (let length = 20; length < packed.length; length += 997) {
      const { packets: read, error } = await readBytes(packed.subarray(0, length));
      expect(error, `${length} bytes`).toMatchObject({ code: 'capture-cut' });
      expect(read, `${length} bytes`).toEqual((await readBytes(plain)).packets.slice(0, read.length));
      expect(read.length).toBeGreaterThanOrEqual(most);
      most = read.length;
      if (read.length > 0) expect(error?.packet).toBe(read.length + 1);
    }
    expect(most).toBeGreaterThan(200);
  });

  it('cut in its checksum: everything is delivered, then the error', async () => {
    for (let missing = 1; missing <= 8; missing++) {
      const { packets: read, error } = await readBytes(packed.subarray(0, packed.length - missing));
      expect(read.length).toBe(400);
      expect(error).toMatchObject({ code: 'capture-cut', packet: 401, offset: plain.length });
    }
  });

  it('damaged: an error before its end', async () => {
    const damaged = Uint8Array.from(packed);
    damaged.fill(0xff, 20_000, 20_050);
    const { packets: read, error } = await readBytes(damaged);
    expect(error?.code).toMatch(/^capture-(gzip|length|cut)$/);
    expect(read.length).toBeLessThan(400);
  });

  it('through a stream', async () => {
    const half = packed.length >> 1;
    const { packets: read, error } = await readStream([packed.subarray(0, half), packed.subarray(half)]);
    expect(error).toBeUndefined();
    expect(read).toEqual((await readBytes(plain)).packets);
  });

  it('compressed twice is refused by name', async () => {
    expect((await readBytes(gzipSync(packed))).error?.message).toContain('compressed twice');
  });

  it('an empty one is refused as empty', async () => {
    expect((await readBytes(gzipSync(new Uint8Array(0)))).error?.message).toContain('empty');
  });
});

describe('streams', () => {
  it('skip blocks of any length', async () => {
    const block = little.block(10, new Uint8Array(3_000_000));
    const bytes = concat([little.section(), little.interface(1), block, little.packet(0, 1n, payload(4, 1)), block]);
    const pieces = Array.from({ length: Math.ceil(bytes.length / 65_536) }, (_, at) =>
      bytes.subarray(at * 65_536, (at + 1) * 65_536),
    );
    const { packets, error } = await readStream(pieces);
    expect(error).toBeUndefined();
    expect(packets.length).toBe(1);
  });

  it('deliver what is there without waiting for more', async () => {
    let release: () => void = () => {};
    const later = new Promise<void>((resolve) => {
      release = resolve;
    });
    const stream = Readable.from(
      (async function* () {
        yield PCAP.subarray(0, 24 + 27);
        await later;
        yield PCAP.subarray(24 + 27);
      })(),
    );
    let batches = 0;
    const { packets } = await readAll([{ path: 'stream', stream }], {
      onBatch: () => {
        batches++;
        release();
      },
    });
    expect(packets.length).toBe(3);
    expect(batches).toBeGreaterThan(2);
  });

  it('that fail name what went wrong', async () => {
    const stream = Readable.from(
      (async function* () {
        yield PCAP.subarray(0, 60);
        throw new Error('the cable was pulled');
      })(),
    );
    const { packets, error } = await readAll([{ path: 'stream', stream }]);
    expect(packets.length).toBe(1);
    expect(error).toMatchObject({ code: 'capture-read', packet: 2, offset: 24 + 27 });
    expect(error?.message).toContain('the cable was pulled');
  });

  it('without any supported link type are refused at their end', async () => {
    const bytes = concat([little.section(), little.interface(105), little.packet(0, 1n, payload(4, 1))]);
    const { error } = await readStream([bytes]);
    expect(error).toMatchObject({ code: 'capture-link-type' });
  });
});

describe('paths', () => {
  it('that do not exist, are directories, or cannot be opened', async () => {
    expect((await readAll([{ path: '/nonexistent/a.pcap' }])).error).toMatchObject({
      code: 'capture-open',
      file: '/nonexistent/a.pcap',
    });
    expect((await readAll([{ path: '/' }])).error?.message).toContain('is a directory');
  });

  it('know how many bytes there are and were read', async () => {
    const path = temporary(PCAP);
    const packed = temporary(gzipSync(PCAPNG));
    const size = PCAP.length + gzipSync(PCAPNG).length;
    expect(await readAll([{ path }, { path: packed }])).toMatchObject({ bytesTotal: size, bytesRead: size });
    expect((await readStream([PCAP])).bytesTotal).toBeUndefined();
  });
});
