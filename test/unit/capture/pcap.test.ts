// Does every kind of classic pcap file read as pcap-savefile(5) describes it?
import { describe, expect, it } from 'vitest';
import { concat, type PcapOptions, type PcapPacket, payload, pcapFile } from '../../support/captures.ts';
import { BUILDS, hex, readBytes } from './read-all.ts';

const PACKETS: readonly PcapPacket[] = [
  { seconds: 1_700_000_000, fraction: 123_456, data: payload(60, 1) },
  { seconds: 1_700_000_001, fraction: 0, data: payload(61, 2), len: 1500 },
  { seconds: 0xffff_ffff, fraction: 999_999, data: payload(0, 3), len: 40 },
  { seconds: 0, fraction: 1, data: payload(9000, 4) },
];

const MAGICS = [
  { name: 'µs', magic: 0xa1b2c3d4, unit: 1000n },
  { name: 'ns', magic: 0xa1b23c4d, unit: 1n },
  { name: 'modified', magic: 0xa1b2cd34, unit: 1000n },
] as const;

describe.each(BUILDS)('classic pcap, %s build', (build) => {
  for (const { name, magic, unit } of MAGICS) {
    for (const bigEndian of [false, true]) {
      it(`${name}, ${bigEndian ? 'big' : 'little'}-endian`, async () => {
        const { packets, error, files } = await readBytes(pcapFile(PACKETS, { magic, bigEndian }), { build });
        expect(error).toBeUndefined();
        expect(packets).toEqual(
          PACKETS.map(({ seconds, fraction, data, len = data.length }, index) => ({
            file: 1,
            n: index + 1,
            ts: BigInt(seconds) * 1_000_000_000n + BigInt(fraction) * unit,
            link: 1,
            iface: undefined,
            fcs: 0,
            direction: 0,
            len,
            data: hex(data),
          })),
        );
        expect(files).toMatchObject([{ format: 'pcap', gzip: false, packets: 4, first: unit, links: [1] }]);
      });
    }
  }

  it.each([0, 1, 2, 3, 4])('version 2.%i has its lengths in the right order', async (minor) => {
    const { packets, error } = await readBytes(pcapFile(PACKETS, { version: [2, minor], bigEndian: true }), { build });
    expect(error).toBeUndefined();
    expect(packets.map(({ data, len }) => [data.length / 2, len])).toEqual([
      [60, 60],
      [61, 1500],
      [0, 40],
      [9000, 9000],
    ]);
  });

  it('version 2.3 with the lengths of 2.2', async () => {
    const data = payload(20, 1);
    // Written in the order of 2.2, but the header says 2.3: 100 captured of 20 makes no sense.
    const bytes = pcapFile([{ seconds: 1, fraction: 0, data, caplen: 100, len: 20 }], { version: [2, 3] });
    expect((await readBytes(bytes, { build })).packets).toMatchObject([{ len: 100, data: hex(data) }]);
  });

  it('the modified header says what the host sent', async () => {
    const packets = [0, 1, 2, 3, 4].map((packetType) => ({ seconds: 1, fraction: 0, data: payload(4, 1), packetType }));
    const result = await readBytes(pcapFile(packets, { magic: 0xa1b2cd34 }), { build });
    expect(result.packets.map(({ direction }) => direction)).toEqual([0, 0, 0, 0, 2]);
  });
});

describe('the link field', () => {
  it.each([0, 1, 12, 14, 101, 108, 113, 228, 229, 276])('link type %i is read', async (link) => {
    const { packets } = await readBytes(pcapFile(PACKETS, { link }));
    expect(packets.map((packet) => packet.link)).toEqual([link, link, link, link]);
  });

  it.each([
    [105, 'link type 105 (IEEE802_11) is not supported'],
    [9, 'link type 9 (PPP) is not supported'],
    [50, 'link type 50 (PPP_HDLC) is not supported'],
    [51, 'link type 51 (PPP_ETHER) is not supported'],
    [4711, 'link type 4711 (no name known) is not supported'],
  ])('link type %i is refused by name', async (link, message) => {
    const { error, packets } = await readBytes(pcapFile(PACKETS, { link }));
    expect(error).toMatchObject({ code: 'capture-link-type', packet: undefined, offset: undefined });
    expect(error?.message).toContain(message);
    expect(packets).toEqual([]);
  });

  // Bit 26 says that bits 28 to 31 hold the number of 16-bit words.
  it.each([
    [0x2400_0001, 4],
    [0x1400_0001, 2],
    [0x2000_0001, 0],
    [0x0400_0001, 0],
  ])('field %i means an FCS of %i bytes', async (link, fcs) => {
    const { packets } = await readBytes(pcapFile(PACKETS, { link }));
    expect(packets.map((packet) => [packet.link, packet.fcs])).toEqual(PACKETS.map(() => [1, fcs]));
  });

  it('the interface of the command line is every packet’s', async () => {
    const { packets } = await readBytes(pcapFile(PACKETS), { iface: 'wan0' });
    expect(packets.map(({ iface }) => iface)).toEqual(['wan0', 'wan0', 'wan0', 'wan0']);
  });
});

describe('what is wrong with a classic pcap', () => {
  const good = PACKETS.slice(0, 2);
  const start = 24 + 16 + 60 + 16 + 61;

  it('a cut delivers what stands before it, wherever it is', async () => {
    const bytes = pcapFile(good);
    const ends = [24, 24 + 16 + 60, start];
    for (let length = 24; length <= bytes.length; length++) {
      const { packets, error } = await readBytes(bytes.subarray(0, length));
      const whole = ends.filter((end) => end <= length).length - 1;
      expect(packets.length, `${length} bytes`).toBe(whole);
      if (ends.includes(length)) expect(error, `${length} bytes`).toBeUndefined();
      else
        expect(error, `${length} bytes`).toMatchObject({ code: 'capture-cut', packet: whole + 1, offset: ends[whole] });
    }
  });

  it.each([
    ['more than 256 KiB', { caplen: 0x40001, len: 0x40001 }, 'claims 262145 captured bytes, more than 262144'],
    ['2^31', { caplen: 0x8000_0000, len: 0x8000_0000 }, 'claims 2147483648 captured bytes'],
    ['2^32 - 1', { caplen: 0xffff_ffff, len: 0xffff_ffff }, 'claims 4294967295 captured bytes'],
    ['more captured than sent', { caplen: 10, len: 9 }, 'claims 10 captured bytes of a packet of 9'],
  ])('a record of %s', async (_name, lengths, message) => {
    for (const bigEndian of [false, true]) {
      const lying = { seconds: 3, fraction: 0, data: payload(10, 3), ...lengths };
      const { packets, error } = await readBytes(pcapFile([...good, lying, ...good], { bigEndian }));
      expect(packets.length).toBe(2);
      expect(error).toMatchObject({ code: 'capture-length', packet: 3, offset: start });
      expect(error?.message).toContain(message);
    }
  });

  it('the largest packet there can be', async () => {
    const data = payload(0x40000, 7);
    const packets = [1, 2, 3].map((seconds) => ({ seconds, fraction: 0, data }));
    const result = await readBytes(pcapFile(packets));
    expect(result.error).toBeUndefined();
    expect(result.packets.map((packet) => packet.data === hex(data))).toEqual([true, true, true]);
  });

  const versions: [PcapOptions['version'] & object, string][] = [
    [[1, 2], 'pcap version 1.2 is not supported'],
    [[3, 0], 'pcap version 3.0 is not supported'],
    [[2, 5], 'pcap version 2.5 is not supported'],
  ];
  it.each(versions)('version %j', async (version, message) => {
    const { error } = await readBytes(pcapFile(good, { version }));
    expect(error).toMatchObject({ code: 'capture-version' });
    expect(error?.message).toContain(message);
  });

  it.each([
    ['nothing', new Uint8Array(0), 'empty'],
    ['a text', Buffer.from('# comment\nfoo bar baz qux quux\n'), 'is text'],
    ['snoop', Buffer.from('snoop\0\0\0\0\0\0\x02\0\0\0\x04aaaaaaaaaaaaaaaa', 'latin1'), 'snoop'],
    ['zstd', Buffer.from('28b52ffd0458000000000000000000000000000000000000', 'hex'), 'Zstandard'],
    ['zeros', new Uint8Array(100), 'not a capture of a known format (it begins with 00 00 00 00 00 00 00 00)'],
    ['one byte', Uint8Array.of(0xd4), 'it begins with d4'],
  ])('%s is no capture', async (_name, bytes, message) => {
    const { error } = await readBytes(bytes);
    expect(error?.code).toBe('capture-format');
    expect(error?.message).toContain(message);
  });

  it('a header cut short', async () => {
    const { error } = await readBytes(concat([pcapFile([]).subarray(0, 23)]));
    expect(error?.code).toBe('capture-cut');
  });
});
