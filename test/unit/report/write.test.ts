// Is what `--write` writes the capture again, with what became of each packet, in a file that others can read?

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import type { PacketReport } from '../../../src/index.ts';
import { readCapture } from '../../differential/read-capture.ts';
import * as build from '../../support/packets.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ctreplay-write-'));
afterAll(() => rmSync(folder, { recursive: true }));
const place = (name: string): string => join(folder, name);
const bundled = (name: string): string => join(ROOT, 'captures', name);

async function replay(...words: string[]): Promise<string> {
  const program = join(ROOT, 'build/program/main.js');
  const all = [program, 'replay', '--quiet', ...words];
  return (await promisify(execFile)(process.execPath, all, { encoding: 'latin1', maxBuffer: 1 << 28 })).stdout;
}

interface Block {
  iface: number;
  flags: number | undefined;
  comment: string;
  verdict: string | undefined;
}

/** Interfaces and packet blocks, with the options that ours have; every block must end as it began. */
function blocksOf(file: Buffer): { interfaces: [link: number, name: string | undefined][]; packets: Block[] } {
  const interfaces: [number, string | undefined][] = [];
  const packets: Block[] = [];
  for (let at = 0; at < file.length; ) {
    const length = file.readUInt32LE(at + 4);
    expect(file.readUInt32LE(at + length - 4)).toBe(length);
    const type = file.readUInt32LE(at);
    const start = at + (type === 6 ? 28 + ((file.readUInt32LE(at + 20) + 3) & ~3) : 16);
    const options = new Map<number, Buffer>();
    for (let option = start; type !== 0x0a0d0d0a && option < at + length - 4; ) {
      const size = file.readUInt16LE(option + 2);
      options.set(file.readUInt16LE(option), file.subarray(option + 4, option + 4 + size));
      option += 4 + ((size + 3) & ~3);
    }
    if (type === 1) interfaces.push([file.readUInt16LE(at + 8), options.get(2)?.toString()]);
    if (type === 6) {
      packets.push({
        iface: file.readUInt32LE(at + 8),
        flags: options.get(2)?.readUInt32LE(0),
        comment: options.get(1)!.toString(),
        verdict: options.get(7)?.toString('hex'),
      });
    }
    at += length;
  }
  return { interfaces, packets };
}

const host = ['--host', bundled('demo-host-new')];

describe('--write', () => {
  test.each([
    'dns.pcap',
    'interfaces.pcapng',
    'null.pcap',
    'pppoe.pcap',
    'qinq.pcap',
    'raw.pcap.gz',
    'sll.pcap',
    'sll2.pcap',
  ])('%s: the same packets, with verdict and comment', async (name) => {
    const [written, packets] = [place(`${name}.w`), place(`${name}.p`)];
    await replay(...host, '--write', written, '--packets', packets, bundled(name));
    expect(readCapture(written)).toEqual(readCapture(bundled(name)));
    const reports = readFileSync(packets, 'utf8').trimEnd().split('\n');
    const blocks = blocksOf(readFileSync(written)).packets;
    expect(blocks).toHaveLength(reports.length);
    reports.forEach((line, index) => {
      const { file, n, verdict, rule, why, with: kind, ct } = JSON.parse(line) as PacketReport;
      const { comment, verdict: option } = blocks[index]!;
      const head = [`${file}:${n} ${verdict}`, kind && `with ${kind}`, rule, why && `(${why})`]
        .filter(Boolean)
        .join(' ');
      expect(comment.startsWith(head), `${comment} for ${line}`).toBe(true);
      if (ct) expect(comment).toContain(`, ${ct.state}`);
      // 1: eBPF of tc, then TC_ACT_OK or TC_ACT_SHOT as 64 bits.
      const action = { ACCEPT: '00', DROP: '02', REJECT: '02', QUEUE: '05', NONE: undefined }[verdict];
      expect(option).toBe(action && `01${action}00000000000000`);
    });
  });

  test('several captures of several link types become one file, an interface for each link type and name', async () => {
    const files = ['dns.pcap', 'sll2.pcap', 'interfaces.pcapng'].map(bundled);
    await replay('--write', place('many'), `lan0=${files[0]}`, ...files.slice(1));
    const { interfaces, packets } = blocksOf(readFileSync(place('many')));
    expect(new Set(interfaces.map(String)).size).toBe(interfaces.length);
    expect(interfaces).toContainEqual([1, 'lan0']);
    expect(interfaces.map(([link]) => link)).toContain(276);
    expect(new Set(packets.map(({ comment }) => comment[0]))).toEqual(new Set(['1', '2', '3']));
    const total = files.reduce((sum, file) => sum + readCapture(file).length, 0);
    expect(packets).toHaveLength(total);
  });

  test('only some verdicts, on standard output', async () => {
    const all = blocksOf(Buffer.from(await replay(...host, '--write', '-', bundled('dns.pcap')), 'latin1')).packets;
    const some = ['--write-verdict', 'DROP,REJECT'];
    const { packets } = blocksOf(
      Buffer.from(await replay(...host, '--write', '-', ...some, bundled('dns.pcap')), 'latin1'),
    );
    expect(packets).toEqual(all.filter(({ comment }) => / (DROP|REJECT)/.test(comment)));
    expect(packets.length).toBeGreaterThan(0);
  });
});

describe('--as-sent', () => {
  const capture = (name: string, packets: { data: Uint8Array }[]): string => {
    writeFileSync(place(name), build.writePcap(packets.map((packet, i) => ({ time: BigInt(i), ...packet }))));
    return place(name);
  };
  const sent = async (...words: string[]) => {
    await replay('--write', place('sent'), '--as-sent', ...words);
    return { frames: readCapture(place('sent')), ...blocksOf(readFileSync(place('sent'))) };
  };
  const rules = (name: string, text: string): string[] => {
    writeFileSync(place(name), text);
    return ['--rules', place(name)];
  };

  test('what was forwarded has one hop less, by the interface it leaves by; what was dropped or is for the host is not there', async () => {
    const packet = (target: string, ttl: number) =>
      build.ethernet(build.ip('10.0.0.2', target, build.udp({ sport: 1, dport: 2, payload: 3 }), { ttl }));
    const file = capture('hops', [
      { data: packet('192.0.2.1', 9) },
      { data: packet('192.0.2.1', 1) },
      { data: packet('10.0.0.1', 9) },
    ]);
    const networks = ['--iface', 'lan=10.0.0.0/8', '--iface', 'wan=0.0.0.0/0', '--local', '10.0.0.1'];
    const { frames, interfaces, packets } = await sent(...networks, file);
    // Frames are padded to 60 bytes where they are sent; what is behind the packet is not written.
    expect(frames.map(({ bytes }) => bytes.toString('hex'))).toEqual([
      Buffer.from(packet('192.0.2.1', 8))
        .toString('hex')
        .slice(0, 2 * (14 + 31)),
    ]);
    expect(interfaces).toEqual([[1, 'wan']]);
    expect(packets).toMatchObject([{ flags: 2, comment: '1:1 ACCEPT, NEW original of 1' }]);
  });

  test('PPPoE counts the bytes of what a helper made longer', async () => {
    const ends = { sport: 5000, dport: 21 };
    const text = (words: string): Uint8Array => Buffer.from(words);
    const segments = [
      build.ip('10.0.0.2', '192.0.2.9', build.tcp({ ...ends, flags: 'S', seq: 100 })),
      build.ip('198.18.255.101', '10.0.0.2', build.tcp({ sport: 1, dport: 1 })),
      build.ip('192.0.2.9', '198.18.255.101', build.tcp({ sport: 21, dport: 5000, flags: 'SA', seq: 7, ack: 101 })),
      build.ip(
        '10.0.0.2',
        '192.0.2.9',
        build.tcp({ ...ends, flags: 'PA', seq: 101, ack: 8, payload: text('USER a\r\n') }),
      ),
      build.ip(
        '10.0.0.2',
        '192.0.2.9',
        build.tcp({ ...ends, flags: 'PA', seq: 109, ack: 8, payload: text('PORT 10,0,0,2,9,9\r\n') }),
      ),
    ];
    const pppoe = (packet: Uint8Array): Uint8Array => {
      const head = Buffer.alloc(22);
      head.writeUInt16BE(0x8864, 12);
      head.writeUInt16BE(0x1100, 14);
      head.writeUInt16BE(packet.length + 2, 18);
      head.writeUInt16BE(0x0021, 20);
      return Buffer.concat([head, packet]);
    };
    const file = capture(
      'pppoe',
      segments.map((packet) => ({ data: pppoe(packet) })),
    );
    const ruleset = rules(
      'ftp',
      '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp\nCOMMIT\n' +
        '*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -s 10.0.0.2/32 -j SNAT --to-source 198.18.255.101\nCOMMIT\n',
    );
    const { frames } = await sent(...ruleset, file);
    const last = frames.at(-1)!.bytes;
    expect(last.toString('latin1', 62)).toBe('PORT 198,18,255,101,9,9\r\n');
    expect([last.readUInt16BE(18), last.readUInt16BE(24)]).toEqual([last.length - 20, last.length - 22]);
    expect(frames.at(-1)!.length).toBe(last.length);
  });
});
