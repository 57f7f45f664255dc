// Do captures made by others read as other readers read them?
//
// Judges: the README of the collection (packets and link types as tshark counts them), `tcpdump -r` (times and lengths
// of every packet) and the npm package pcap-parser (bytes of every packet).
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'pcap-parser';
import { describe, expect, it } from 'vitest';
import { type ReadResult, readAll } from './read-all.ts';

const FOLDER = fileURLToPath(new URL('../../../../shared/captures/', import.meta.url));
const present = existsSync(FOLDER);
if (!present) console.warn(`SKIPPED: no captures in ${FOLDER}; comparisons with foreign captures did not run`);
const hasTcpdump = spawnSync('tcpdump', ['--version']).status === 0;
if (!hasTcpdump) console.warn('SKIPPED: tcpdump is not installed; comparisons with it did not run');

const names = present ? readdirSync(FOLDER).filter((name) => !name.endsWith('.md')) : [];

/** Rows of the README's tables: `| name | source | licence | origin | linktype | format | packets | ...`. */
function readme(): Map<string, { links: number[]; packets: number }> {
  const rows = new Map<string, { links: number[]; packets: number }>();
  for (const line of readFileSync(`${FOLDER}README.md`, 'utf8').split('\n')) {
    const cells = line.split(' | ').map((cell) => cell.replace(/^\| /, ''));
    const name = /^`(.+)`$/.exec(cells[0] ?? '')?.[1];
    if (name === undefined || cells.length < 7) continue;
    const links = [...(cells[4] ?? '').matchAll(/\b(\d+) [A-Z]/g)].map((match) => Number(match[1]));
    rows.set(name, { links, packets: Number(cells[6]) });
  }
  return rows;
}

function read(name: string): Promise<ReadResult> {
  return readAll([{ path: FOLDER + name }]);
}

/** What is refused, and what is wrong with those that end early. Offsets by the records before, numbers as tcpdump's. */
const REFUSED: Record<string, string> = {
  'fmt-snoop-unsupported.snoop': 'snoop',
  'l2-80211-unsupported.pcap': 'link type 105 (IEEE802_11) is not supported',
  'l2-netlink-conntrack.pcap': 'link type 253 (NETLINK) is not supported',
  'l2-nflog-ebtables.pcapng': 'link type 239 (NFLOG) is not supported',
  'l2-ppp-big-endian.pcap': 'link type 9 (PPP) is not supported',
};
const ENDS_EARLY: Record<string, { code: string; packet: number; offset: number; message: unknown }> = {
  'fmt-cut-short.pcap': {
    code: 'capture-cut',
    packet: 15,
    offset: 2880 - 16 - 67,
    message: expect.stringContaining('67 of 668 captured bytes'),
  },
  'fmt-absurd-caplen.pcap': {
    code: 'capture-length',
    packet: 3,
    offset: 24 + 16 + 60 + 16 + 1,
    message: expect.stringContaining('claims 1131376244 captured bytes'),
  },
};

describe.skipIf(!present)('the collection', () => {
  const rows = present ? readme() : new Map();

  it('is described by its README', () => {
    expect(rows.size).toBe(names.length);
  });

  it.each(names)('%s', async (name) => {
    const { packets, error, files } = await read(name);
    const refused = REFUSED[name];
    if (refused !== undefined) {
      expect(error?.message).toContain(refused);
      expect(packets).toEqual([]);
      return;
    }
    if (ENDS_EARLY[name] === undefined) expect(error).toBeUndefined();
    else expect(error).toMatchObject(ENDS_EARLY[name]);
    const row = rows.get(name);
    expect(packets.length).toBe(row?.packets);
    const links = [...new Set(packets.map(({ link }) => link))];
    for (const link of links) expect(row?.links).toContain(link);
    expect([...(files[0]?.links ?? [])].sort()).toEqual(files[0]?.format === 'pcap' ? row?.links : links.sort());
  });
});

/**
 * Files that tcpdump reads only in part: it insists on one link type and snapshot length, and prints no time for a packet
 * that claims to have been 1.3 GB long (fmt-absurd-caplen).
 */
const NOT_FOR_TCPDUMP =
  /^(fmt-absurd-caplen|fmt-pcapng-(10-sections|11-interfaces|be-and-le|tsoffset)|fmt-pcap-modified|fmt-snoop|big-http)/;

describe.skipIf(!present || !hasTcpdump)('tcpdump agrees', () => {
  it.each(names.filter((name) => !NOT_FOR_TCPDUMP.test(name) && REFUSED[name] === undefined))('%s', async (name) => {
    const args = ['-r', FOLDER + name, '-tt', '-nn', '-q', '-e', '--nano', '-#'];
    const { stdout } = spawnSync('tcpdump', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
    const lines = stdout.split('\n').flatMap((line) => {
      // A fraction of more than nine digits is a record's nonsense, printed as it stands.
      const match = /^ *\d+ {2}(\d+)\.(\d{9,}) (?:\S+ > \S+, IPv[46], length (\d+):)?/.exec(line);
      return match === null ? [] : [match];
    });
    const { packets } = await read(name);
    expect(lines.map(([, seconds = '', fraction = '']) => BigInt(seconds) * 1_000_000_000n + BigInt(fraction))).toEqual(
      packets.map(({ ts }) => ts),
    );
    lines.forEach(([line, , , length], index) => {
      if (length !== undefined && packets[index]?.link === 1) expect(packets[index].len, line).toBe(Number(length));
    });
  });

  it('on what each packet of a pcapng with one interface holds', async () => {
    const name = 'tcp-winscale-examples.pcapng';
    const dump = execFileSync('tcpdump', ['-r', FOLDER + name, '-w', '-'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const wanted: string[] = [];
    for (let at = 24; at < dump.length; at += 16 + dump.readUInt32LE(at + 8)) {
      wanted.push(dump.subarray(at + 16, at + 16 + dump.readUInt32LE(at + 8)).toString('hex'));
    }
    expect((await read(name)).packets.map(({ data }) => data)).toEqual(wanted);
  });
});

interface ParsedPacket {
  header: { timestampSeconds: number; timestampMicroseconds: number; capturedLength: number; originalLength: number };
  data: Buffer;
}

function parseWithPackage(path: string): Promise<ParsedPacket[]> {
  return new Promise((resolve, reject) => {
    const packets: ParsedPacket[] = [];
    const parser = parse(path);
    parser.on('packet', (packet: ParsedPacket) => packets.push(packet));
    parser.on('end', () => resolve(packets));
    parser.on('error', reject);
  });
}

/** The package reads versions 2.x in µs, whatever the link type, and copies as it goes: small files only. */
const FOR_PACKAGE = names.filter((name) => {
  const head = readFileSync(FOLDER + name);
  const magic = head.subarray(0, 4).toString('hex');
  return (magic === 'a1b2c3d4' || magic === 'd4c3b2a1') && head.length < 1_000_000 && ENDS_EARLY[name] === undefined;
});

describe.skipIf(!present)('pcap-parser agrees', () => {
  it('has enough to compare', () => {
    expect(FOR_PACKAGE.length).toBeGreaterThan(60);
  });

  it.each(FOR_PACKAGE.filter((name) => REFUSED[name] === undefined))('%s', async (name) => {
    const { packets } = await read(name);
    const theirs = await parseWithPackage(FOLDER + name);
    expect(packets.map(({ ts, data, len }) => [ts, data, len])).toEqual(
      theirs.map(({ header, data }) => [
        BigInt(header.timestampSeconds) * 1_000_000_000n + BigInt(header.timestampMicroseconds) * 1000n,
        data.toString('hex'),
        header.originalLength,
      ]),
    );
  });
});

interface PlainPacket {
  ts: bigint | undefined;
  link: number;
  name: string | undefined;
  len: number;
  data: string;
}

/** Pcapng as slowly as the draft reads: one block after the other, every number a bigint where it may be large. */
function readPlainly(bytes: Buffer): PlainPacket[] {
  const packets: PlainPacket[] = [];
  let big = false;
  let interfaces: { link: number; snaplen: number; name: string | undefined; resolution: number; offset: bigint }[] =
    [];
  const u16 = (at: number): number => (big ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at));
  const u32 = (at: number): number => (big ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at));
  for (let at = 0; at < bytes.length; at += u32(at + 4)) {
    if (bytes.readUInt32BE(at) === 0x0a0d0d0a) {
      big = bytes.readUInt32BE(at + 8) === 0x1a2b3c4d;
      interfaces = [];
    }
    const end = at + u32(at + 4) - 4;
    const type = u32(at);
    if (type === 1) {
      const described = {
        link: u16(at + 8),
        snaplen: u32(at + 12),
        name: undefined as string | undefined,
        resolution: 6,
        offset: 0n,
      };
      for (let option = at + 16; option < end && u16(option) !== 0; option += 4 + Math.ceil(u16(option + 2) / 4) * 4) {
        const value = bytes.subarray(option + 4, option + 4 + u16(option + 2));
        if (u16(option) === 2) described.name = value.toString().split('\0')[0];
        if (u16(option) === 9) described.resolution = value.readUInt8();
        if (u16(option) === 14) described.offset = big ? value.readBigInt64BE() : value.readBigInt64LE();
      }
      interfaces.push(described);
    }
    if (type !== 2 && type !== 3 && type !== 6) continue;
    const face = interfaces[type === 3 ? 0 : type === 6 ? u32(at + 8) : u16(at + 8)];
    if (face === undefined) throw new Error(`no such interface at ${at}`);
    const { link, name, resolution, offset } = face;
    if (type === 3) {
      const len = u32(at + 8);
      const caplen = face.snaplen === 0 ? len : Math.min(len, face.snaplen);
      packets.push({ ts: undefined, link, name, len, data: bytes.toString('hex', at + 12, at + 12 + caplen) });
      continue;
    }
    const raw = (BigInt(u32(at + 12)) << 32n) | BigInt(u32(at + 16));
    const second = resolution < 128 ? 10n ** BigInt(resolution) : 2n ** BigInt(resolution - 128);
    const ts = (raw * 1_000_000_000n) / second + offset * 1_000_000_000n;
    packets.push({ ts, link, name, len: u32(at + 24), data: bytes.toString('hex', at + 28, at + 28 + u32(at + 20)) });
  }
  return packets;
}

const PCAPNG = names.filter((name) => readFileSync(FOLDER + name).readUInt32BE() === 0x0a0d0d0a);

describe.skipIf(!present)('a plain reading of pcapng agrees', () => {
  it('has enough to compare', () => {
    expect(PCAPNG.length).toBeGreaterThan(10);
  });

  it.each(PCAPNG.filter((name) => REFUSED[name] === undefined))('%s', async (name) => {
    const { packets } = await read(name);
    const plain = readPlainly(readFileSync(FOLDER + name));
    expect(
      packets.map(({ ts, link, iface, len, data }, index) => ({
        ts: plain[index]?.ts === undefined ? undefined : ts,
        link,
        name: iface,
        len,
        data,
      })),
    ).toEqual(plain);
  });
});
