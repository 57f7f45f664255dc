// Does every block of a pcapng file read as draft-ietf-opsawg-pcapng describes it?
import { describe, expect, it } from 'vitest';
import { concat, type PcapngOption, PcapngWriter, payload } from '../../support/captures.ts';
import { BUILDS, hex, readBytes } from './read-all.ts';

const TS_MAX = 2n ** 63n - 1n;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const IF_FCSLEN = 13;
const IF_TSOFFSET = 14;

function text(value: string): Uint8Array {
  return new Uint8Array(Buffer.from(value));
}

describe.each(BUILDS)('blocks, %s build', (build) => {
  for (const bigEndian of [false, true]) {
    const order = bigEndian ? 'big-endian' : 'little-endian';
    const w = new PcapngWriter(bigEndian);

    it(`packets of three kinds and several interfaces, ${order}`, async () => {
      const bytes = concat([
        w.section([[1, text('a comment')]]),
        w.interface(1, [[IF_NAME, text('eth0')]], 50),
        w.interface(101, [
          [IF_NAME, text('tun0\0')],
          [IF_TSRESOL, w.u8(9)],
        ]),
        w.packet(0, 1_700_000_000_000_001n, payload(41, 1), [], { len: 999 }),
        w.packet(1, 1_700_000_000_000_001_007n, payload(42, 2)),
        w.simple(payload(43, 3)),
        w.simple(payload(50, 4), 1400),
        w.obsolete(1, 1_700_000_000_000_002_009n, payload(44, 5)),
        w.interface(113),
        w.packet(2, 5n, payload(45, 6)),
      ]);
      const { packets, error, files } = await readBytes(bytes, { build });
      expect(error).toBeUndefined();
      expect(packets).toMatchObject([
        { n: 1, ts: 1_700_000_000_000_001_000n, link: 1, iface: 'eth0', len: 999, data: hex(payload(41, 1)) },
        { n: 2, ts: 1_700_000_000_000_001_007n, link: 101, iface: 'tun0', len: 42, data: hex(payload(42, 2)) },
        // A Simple Packet Block has no time: it gets that of the packet before it.
        { n: 3, ts: 1_700_000_000_000_001_007n, link: 1, iface: 'eth0', len: 43, data: hex(payload(43, 3)) },
        { n: 4, ts: 1_700_000_000_000_001_007n, link: 1, iface: 'eth0', len: 1400, data: hex(payload(50, 4)) },
        { n: 5, ts: 1_700_000_000_000_002_009n, link: 101, iface: 'tun0', len: 44, data: hex(payload(44, 5)) },
        { n: 6, ts: 5000n, link: 113, iface: undefined, len: 45, data: hex(payload(45, 6)) },
      ]);
      expect(files).toMatchObject([
        { format: 'pcapng', packets: 6, first: 5000n, last: 1_700_000_000_000_002_009n, links: [1, 101, 113] },
      ]);
    });

    it(`options of packets and interfaces, known and unknown, ${order}`, async () => {
      const noise: PcapngOption[] = [
        [1, text('comment of odd length')],
        [2989, text('xyz')],
        [0x8bad, new Uint8Array(1000)],
      ];
      const bytes = concat([
        w.section(),
        w.interface(1, [...noise, [IF_FCSLEN, w.u8(4)], [IF_NAME, text('a')], [3, text('description')]]),
        w.interface(1, [[IF_FCSLEN, w.u8(32)], ...noise]),
        w.packet(0, 1n, payload(5, 1), [...noise, [2, w.u32(1)]]),
        w.packet(0, 2n, payload(6, 1), [[2, w.u32(2)], ...noise]),
        w.packet(0, 3n, payload(7, 1), [[2, w.u32((2 << 5) | 3)]]),
        w.packet(0, 4n, payload(8, 1), noise),
        w.packet(1, 5n, payload(8, 1), [[2, w.u32(0)]]),
        w.obsolete(1, 6n, payload(9, 1), [[2, w.u32(0xffff_0002)]]),
      ]);
      const { packets, error } = await readBytes(bytes, { build });
      expect(error).toBeUndefined();
      expect(packets.map(({ direction, fcs }) => [direction, fcs])).toEqual([
        [1, 4],
        [2, 4],
        [0, 2],
        [0, 4],
        [0, 4],
        [2, 4],
      ]);
    });

    it(`an option that reaches beyond its packet's block ends the options, ${order}`, async () => {
      const body = concat([
        w.u32(0),
        w.u64(0n),
        w.u32(4),
        w.u32(4),
        payload(4, 1),
        w.u32(bigEndian ? 0x0001_ff00 : 0xff00_0001),
        w.u64(0n),
      ]);
      const bytes = concat([w.section(), w.interface(1), w.block(6, body), w.packet(0, 1n, payload(5, 1))]);
      const { packets, error } = await readBytes(bytes, { build });
      expect(error).toBeUndefined();
      expect(packets.length).toBe(2);
    });
  }

  it('sections of both byte orders, each with interfaces of its own', async () => {
    const little = new PcapngWriter(false);
    const big = new PcapngWriter(true);
    const section = (w: PcapngWriter, name: string, link: number): Uint8Array =>
      concat([
        w.section(),
        w.interface(link, [[IF_NAME, text(name)]]),
        w.packet(0, 1n, payload(3, link)),
        w.block(5, payload(40, 1)),
      ]);
    const bytes = concat([
      section(little, 'a', 1),
      section(big, 'b', 101),
      section(little, 'c', 113),
      section(big, 'a', 0),
    ]);
    const { packets, error } = await readBytes(bytes, { build });
    expect(error).toBeUndefined();
    expect(packets.map(({ n, iface, link }) => [n, iface, link])).toEqual([
      [1, 'a', 1],
      [2, 'b', 101],
      [3, 'c', 113],
      [4, 'a', 0],
    ]);
  });
});

describe('time stamps', () => {
  const raws = [
    0n,
    1n,
    2n,
    999n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
    1_700_000_000_123_456_789n,
    2n ** 63n,
    2n ** 64n - 1n,
  ];
  const offsets = [
    0n,
    1n,
    -1n,
    3600n,
    1_700_000_000n,
    -1_700_000_000n,
    2n ** 33n,
    -(2n ** 33n),
    2n ** 63n - 1n,
    -(2n ** 63n),
  ];
  const w = new PcapngWriter();

  // The rule of the draft in whole numbers of any size: seconds = raw * resolution + offset, as ns, rounded down.
  const expected = (resolution: number, offset: bigint, raw: bigint): bigint => {
    const unitsPerSecond = resolution >= 128 ? 2n ** BigInt(resolution - 128) : 10n ** BigInt(resolution);
    const ns = (raw * 1_000_000_000n) / unitsPerSecond + offset * 1_000_000_000n;
    return ns < 0n ? 0n : ns > TS_MAX ? TS_MAX : ns;
  };

  it.each([...BUILDS])('every if_tsresol with offsets of every size, %s build', async (build) => {
    for (let resolution = 0; resolution < 256; resolution++) {
      const parts = [w.section()];
      const wanted: bigint[] = [];
      offsets.forEach((offset, iface) => {
        parts.push(
          w.interface(1, [
            [IF_TSRESOL, w.u8(resolution)],
            [IF_TSOFFSET, w.u64(BigInt.asUintN(64, offset))],
          ]),
        );
        for (const raw of raws) {
          parts.push(w.packet(iface, raw, payload(1, 1)));
          wanted.push(expected(resolution, offset, raw));
        }
      });
      const { packets, error } = await readBytes(concat(parts), { build });
      expect(error).toBeUndefined();
      expect(
        packets.map(({ ts }) => ts),
        `if_tsresol ${resolution}`,
      ).toEqual(wanted);
    }
  });
});

describe('what is not read', () => {
  const w = new PcapngWriter();
  const start = [w.section(), w.interface(1), w.packet(0, 1n, payload(10, 1))];
  const offset = concat(start).length;

  it('unknown blocks of any length are skipped without being held', async () => {
    const huge = new Uint8Array(20_000_000);
    const bytes = concat([
      ...start,
      w.block(10, huge),
      w.packet(0, 2n, payload(11, 2)),
      w.block(0x8000_0001, new Uint8Array(0)),
      w.block(4, huge),
    ]);
    const { packets, error } = await readBytes(bytes);
    expect(error).toBeUndefined();
    expect(packets.map(({ ts }) => ts)).toEqual([1000n, 2000n]);
  });

  it('a block with a wrong length at its end, small or huge', async () => {
    for (const size of [8, 3_000_000]) {
      const bytes = concat([...start, w.block(10, new Uint8Array(size), { end: 16 }), w.packet(0, 2n, payload(1, 1))]);
      const { packets, error } = await readBytes(bytes);
      expect(packets.length).toBe(1);
      expect(error).toMatchObject({ code: 'capture-block', offset });
      expect(error?.message).toContain(`the block's length is ${size + 12} at its start and 16 at its end`);
    }
  });

  it.each([
    [
      'a packet block of no length',
      w.block(6, payload(40, 1), { start: 0 }),
      'capture-block',
      'cannot be 0 bytes long',
    ],
    ['of 29 bytes', w.block(6, payload(40, 1), { start: 29 }), 'capture-block', 'cannot be 29 bytes long'],
    ['of 28 bytes', w.block(6, payload(16, 1)), 'capture-block', 'cannot be 28 bytes long'],
    [
      'an unknown block of 8 bytes',
      w.block(99, payload(40, 1), { start: 8 }),
      'capture-block',
      'cannot be 8 bytes long',
    ],
    [
      'a packet block of 4 GB',
      w.block(6, payload(40, 1), { start: 0xffff_fffc }),
      'capture-length',
      'claims 4294967292 bytes',
    ],
    [
      'an interface of 4 GB',
      w.block(1, payload(40, 1), { start: 0xffff_fffc }),
      'capture-block',
      'cannot be 4294967292 bytes long',
    ],
    ['an interface of 16 bytes', w.block(1, payload(4, 1)), 'capture-block', 'cannot be 16 bytes long'],
    [
      'a section header of 24 bytes',
      w.block(0x0a0d0d0a, concat([w.u32(0x1a2b3c4d), payload(36, 1)]), { start: 24 }),
      'capture-block',
      'cannot be 24 bytes long',
    ],
    ['a section of no byte order', w.block(0x0a0d0d0a, payload(20, 1)), 'capture-block', 'byte order magic'],
    ['a section of another version', w.section([], [2, 0]), 'capture-version', 'pcapng version 2.0'],
    ['a packet of no interface', w.packet(1, 2n, payload(1, 1)), 'capture-interface', 'does not describe'],
    [
      'more captured than the block has',
      w.packet(0, 2n, payload(10, 1), [], { caplen: 13, len: 13 }),
      'capture-length',
      'claims 13 captured bytes, which do not fit',
    ],
    [
      'more captured than 256 KiB',
      w.packet(0, 2n, payload(10, 1), [], { caplen: 0x40001, len: 0x40001 }),
      'capture-length',
      'more than 262144',
    ],
    [
      'more captured than sent',
      w.packet(0, 2n, payload(10, 1), [], { len: 9 }),
      'capture-length',
      'claims 10 captured bytes of a packet of 9',
    ],
    ['a simple packet longer than its block', w.simple(payload(10, 1), 13), 'capture-length', 'which do not fit'],
    [
      'a packet with another length at its end',
      w.block(6, concat([new Uint8Array(12), w.u32(0), w.u32(0)]), { end: 36 }),
      'capture-block',
      'is 32 at its start and 36 at its end',
    ],
    [
      'an interface option that reaches beyond it',
      w.block(1, concat([w.u32(1), w.u32(0), Uint8Array.of(2, 0, 9, 0), payload(8, 1)])),
      'capture-block',
      'option 2 of 9 bytes reaches beyond',
    ],
  ])('%s', async (_name, block, code, message) => {
    const { packets, error } = await readBytes(concat([...start, block, w.packet(0, 3n, payload(1, 1))]));
    expect(packets.length).toBe(1);
    expect(error).toMatchObject({ code, offset });
    expect(error?.message).toContain(message);
  });

  it('a cut delivers what stands before it, wherever it is', async () => {
    const parts = [
      ...start,
      w.block(10, payload(20, 1)),
      w.interface(1),
      w.packet(1, 2n, payload(5, 1), [[2, w.u32(1)]]),
      w.simple(payload(9, 1)),
    ];
    const bytes = concat(parts);
    const packetEnds = [3, 6, 7].map((count) => concat(parts.slice(0, count)).length);
    const blockEnds = new Set(parts.map((_, index) => concat(parts.slice(0, index + 1)).length));
    for (let length = 1; length < bytes.length; length++) {
      const { packets, error } = await readBytes(bytes.subarray(0, length));
      expect(packets.length, `${length} bytes`).toBe(packetEnds.filter((end) => end <= length).length);
      if (blockEnds.has(length)) expect(error, `${length} bytes`).toBeUndefined();
      else if (length >= 4) expect(error?.code, `${length} bytes`).toBe('capture-cut');
    }
  });

  it('a huge block that is cut', async () => {
    const bytes = concat([...start, w.block(10, new Uint8Array(2_000_000))]);
    for (const length of [bytes.length - 1, bytes.length - 4, bytes.length - 1_000_000]) {
      const { packets, error } = await readBytes(bytes.subarray(0, length));
      expect(packets.length).toBe(1);
      expect(error).toMatchObject({ code: 'capture-cut', offset });
    }
  });

  it('more interfaces in a section than there is room for', async () => {
    const bytes = concat([w.section(), ...Array.from({ length: 2049 }, () => w.interface(1))]);
    expect((await readBytes(bytes)).error).toMatchObject({ code: 'capture-interfaces', offset: 28 + 2048 * 20 });
  });

  it('a packet whose block is larger than any packet’s', async () => {
    const options: PcapngOption[] = Array.from({ length: 9 }, () => [1, new Uint8Array(65_535)]);
    const { error } = await readBytes(concat([...start, w.packet(0, 2n, payload(1, 1), options)]));
    expect(error).toMatchObject({ code: 'capture-length', packet: 2, offset });
  });
});

describe('link types that are not supported', () => {
  const w = new PcapngWriter();
  const wifi = w.interface(105);
  const ethernet = w.interface(1);

  it('beside one that is: delivered with their number', async () => {
    const bytes = concat([
      w.section(),
      wifi,
      w.packet(0, 1n, payload(4, 1)),
      w.packet(0, 2n, payload(4, 1)),
      ethernet,
      w.packet(1, 3n, payload(4, 1)),
    ]);
    const { packets, error } = await readBytes(bytes);
    expect(error).toBeUndefined();
    expect(packets.map(({ link }) => link)).toEqual([105, 105, 1]);
  });

  it('alone: refused by name before any packet, however far one has to look', async () => {
    const many = Array.from({ length: 3000 }, (_, index) => w.packet(0, BigInt(index), payload(100, 1)));
    const bytes = concat([w.section(), wifi, w.interface(239), ...many, w.packet(1, 1n, payload(4, 1)), ethernet]);
    const { packets, error } = await readBytes(bytes);
    expect(packets).toEqual([]);
    expect(error).toMatchObject({ code: 'capture-link-type' });
    expect(error?.message).toContain('link types 105 (IEEE802_11), 239 (NFLOG) are not supported');
  });

  it('an interface without packets does not count', async () => {
    expect((await readBytes(concat([w.section(), wifi]))).error).toBeUndefined();
  });
});
