// What of SCTP, UDP-Lite and GRE can a scenario not show? CRC32c against its published values, offloaded checksums, packets
// that the capture cut short, and associations that were there before the first packet.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { Checksums } from '../../../assembly/vocabulary.ts';
import { BUILDS, openEngine, SECOND, type TestEngine } from '../../support/engine.ts';
import { ip, raw, writePcap } from '../../support/packets.ts';
import { crc32c, gre, type SctpSpec, sctp, udplite } from '../../support/sctp.ts';

const [A, B] = ['192.0.2.1', '198.51.100.7'] as const;
const NOW = 1_700_000_000n * SECOND;
const ports = { sport: 4000, dport: 80 };
const packet = (spec: Partial<SctpSpec>): Uint8Array =>
  ip(A, B, sctp({ ...ports, chunks: [{ type: 'INIT', tag: 1 }], ...spec }));

describe('CRC32c of the test builder', () => {
  // RFC 3720 appendix B.4 (bytes in transmission order there), and the check value of the CRC catalogue.
  it.each([
    ['32 zeros', new Uint8Array(32), 0x8a9136aa],
    ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['0 to 31', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    ['123456789', Buffer.from('123456789'), 0xe3069283],
  ])('%s', (_, bytes, crc) => {
    expect(crc32c(bytes)).toBe(crc);
  });
});

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });
  const decode = (data: Uint8Array, checksums: Checksums, length = data.length) =>
    engine.decode([{ time: NOW, data, length }], { checksums })[0]!;

  it('takes the checksum of every length for right, and any flipped bit for wrong', () => {
    for (let size = 0; size < 40; size++) {
      const value = Uint8Array.from({ length: size }, (_, i) => i * 37 + size);
      const data = packet({ chunks: [{ type: 'DATA', value }] });
      expect(decode(data, Checksums.VERIFY).flags, `${size} bytes`).toEqual([]);
      const broken = data.slice();
      broken[20 + (size % (data.length - 20))]! ^= 1 << (size % 8);
      expect(decode(broken, Checksums.VERIFY).flags, `${size} bytes`).toEqual(['BAD_CHECKSUM']);
      expect(decode(broken, Checksums.IGNORE).flags).toEqual([]);
    }
  });

  it('a zero checksum was left to the network card', () => {
    const data = packet({});
    data.fill(0, 28, 32);
    expect(decode(data, Checksums.AUTO).flags).toEqual(['OFFLOADED']);
    expect(decode(data, Checksums.VERIFY).flags).toEqual(['BAD_CHECKSUM']);
  });

  it('a packet that the capture cut short is judged if its chunk headers are there', () => {
    const whole = packet({
      vtag: 7,
      chunks: [
        { type: 'COOKIE_ECHO', value: 100 },
        { type: 'DATA', value: 500 },
      ],
    });
    const header = 20 + 12;
    const cut = (bytes: number) => decode(whole.slice(0, bytes), Checksums.VERIFY, whole.length).reason;
    expect(cut(header + 104 + 4)).toBe('NONE');
    expect(cut(header + 104 + 3)).toBe('CUT_SHORT');
    expect(cut(header + 3)).toBe('CUT_SHORT');
    expect(cut(header - 1)).toBe('CUT_SHORT');
    const init = packet({});
    expect(decode(init.slice(0, header + 19), Checksums.VERIFY, init.length).reason).toBe('CUT_SHORT');
  });

  it("UDP-Lite: with UDP's number in the pseudo header, as Linux has it, over what is covered", () => {
    const lite = (spec: { coverage?: number; pseudoProtocol?: number }) =>
      ip(A, B, udplite(A, B, { ...ports, payload: Uint8Array.from([1, 2, 3, 4, 5]), ...spec }));
    for (const coverage of [0, 8, 9, 12, 13]) {
      const data = lite({ coverage, pseudoProtocol: 17 });
      expect(decode(data, Checksums.VERIFY).flags).toEqual([]);
      data[data.length - 1]! ^= 1;
      expect(decode(data, Checksums.VERIFY).flags).toEqual([0, 13].includes(coverage) ? ['BAD_CHECKSUM'] : []);
      expect(decode(lite({ coverage }), Checksums.AUTO).flags).toEqual(['BAD_CHECKSUM']);
    }
  });

  it('GRE is judged by four bytes, enhanced GRE by eight', () => {
    const plain = ip(A, B, gre({ payload: 20 }));
    const enhanced = ip(A, B, gre({ version: 1, key: 5, payload: 20 }));
    expect(decode(enhanced.slice(0, 28), Checksums.VERIFY, enhanced.length).reason).toBe('NONE');
    expect(decode(enhanced.slice(0, 27), Checksums.VERIFY, enhanced.length).reason).toBe('CUT_SHORT');
    expect(decode(plain.slice(0, 28), Checksums.VERIFY, plain.length).reason).toBe('NONE');
    expect(decode(ip(A, B, raw(47, 3)), Checksums.VERIFY)).toMatchObject({ reason: 'NONE', tuple: { dport: 0 } });
  });
});

const program = fileURLToPath(new URL('../../../build/program/main.js', import.meta.url));

describe.skipIf(!existsSync(program))('an association of the host that the first packets tell the tags of', () => {
  const ends = `src=${A} dst=${B} sport=4000 dport=80 src=${B} dst=${A} sport=80 dport=4000`;

  /** States of the packets; `true` sends from B. */
  function replay(sent: [back: boolean, vtag: number, type: string, flags?: number][]): string[] {
    const folder = mkdtempSync(join(tmpdir(), 'ctreplay-sctp-'));
    try {
      const frames = sent.map(([back, vtag, type, flags = 0], i) => {
        const transport = sctp({ sport: back ? 80 : 4000, dport: back ? 4000 : 80, vtag, chunks: [{ type, flags }] });
        return { time: NOW + BigInt(i), data: back ? ip(B, A, transport) : ip(A, B, transport) };
      });
      writeFileSync(join(folder, 'capture.pcap'), writePcap(frames, { link: 101 }));
      writeFileSync(join(folder, 'conntrack'), `sctp     132 209 ESTABLISHED ${ends} [ASSURED] mark=0 use=1\n`);
      const options = ['--quiet', '--host', folder, '--packets', join(folder, 'packets')];
      execFileSync(process.execPath, [program, 'replay', ...options, join(folder, 'capture.pcap')]);
      const lines = readFileSync(join(folder, 'packets'), 'utf8').trim().split('\n');
      return lines.map((line) => {
        const { ct } = JSON.parse(line) as { ct: { state: string; sctp?: string } };
        return ct.sctp === undefined ? ct.state : `${ct.state} ${ct.sctp}`;
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('each direction has its own', () => {
    const sent: Parameters<typeof replay>[0] = [
      [false, 200, 'DATA'],
      [true, 100, 'SACK'],
      [false, 201, 'DATA'],
      [true, 200, 'DATA'],
      [false, 200, 'DATA'],
    ];
    const right = 'ESTABLISHED ESTABLISHED';
    expect(replay(sent)).toEqual([right, right, 'INVALID', 'INVALID', right]);
  });

  it('an ABORT with the T flag bears that of the other direction', () => {
    expect(
      replay([
        [false, 100, 'ABORT', 1],
        [true, 101, 'DATA'],
      ]),
    ).toEqual(['ESTABLISHED CLOSED', 'INVALID']);
  });
});
