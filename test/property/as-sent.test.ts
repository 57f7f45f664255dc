// Packets as they left: what may not depend on how much of them was captured, and arithmetic that must agree with the plain way.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { complement, crcChange, sctpChecksum, sumWords, updated } from '../../src/sent/checksum.ts';
import { departuresOf } from '../differential/compare-sent.ts';
import { type CapturedFrame, readCapture } from '../differential/read-capture.ts';
import * as build from '../support/packets.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ctreplay-cut-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Packets as they left, by number; with `snaplen` as if no more of each had been captured. */
function departures(
  frames: { data: Uint8Array; length: number }[],
  link: number,
  bytes: number,
  rules: string[],
  snaplen?: number,
) {
  const [capture, written] = [join(folder, 'capture'), join(folder, 'written')];
  const packets = frames.map(({ data, length }, i) => ({
    time: BigInt(i) * 1_000_000n,
    data: data.slice(0, snaplen),
    length,
  }));
  writeFileSync(capture, build.writePcap(packets, { link }));
  execFileSync(process.execPath, [
    join(ROOT, 'build/program/main.js'),
    'replay',
    ...['--quiet', '--write', written, '--as-sent'],
    ...rules.flatMap((file) => ['--rules', file]),
    capture,
  ]);
  const records = readCapture(written);
  return { left: departuresOf(readFileSync(written), bytes), lengths: records.map(({ length }) => length) };
}

/** Each packet that was cut is the beginning of what it is when it was not. */
function expectBeginnings(
  frames: { data: Uint8Array; length: number }[],
  link: number,
  bytes: number,
  rules: string[],
  snaplen: number,
) {
  const [full, cut] = [undefined, snaplen].map((most) => departures(frames, link, bytes, rules, most));
  let shorter = 0;
  for (const [n, pieces] of cut!.left) {
    pieces.forEach((piece, index) => {
      const whole = full!.left.get(n)?.[index];
      expect(piece.toString('hex'), `packet ${n}`).toBe(whole?.toString('hex', 0, piece.length));
      if (whole && piece.length < whole.length) shorter++;
    });
  }
  return { shorter, full: full!, cut: cut! };
}

const plain = (frames: CapturedFrame[]) => frames.map(({ bytes, length }) => ({ data: bytes, length }));

describe('a capture that is cut', () => {
  const rules = ['iptables-save', 'ip6tables-save'].map((name) =>
    join(ROOT, 'test/differential/rules', `port-forward.${name}`),
  );
  test.each(['dns.pcap', 'http.pcap', 'ipv6.pcap', 'internet.pcap', 'ping-traceroute.pcap'])('%s', (name) => {
    const frames = plain(readCapture(join(ROOT, 'captures', name)));
    for (const snaplen of [70, 96, 110]) {
      const { shorter, full, cut } = expectBeginnings(frames, 1, 14, rules, snaplen);
      // What is cut so short that nothing can be decided has no verdict.
      if (snaplen > 100) expect(cut.lengths).toEqual(full.lengths);
      expect(shorter).toBeGreaterThan(0);
    }
  });

  test('SCTP behind NAT: the CRC of bytes that are not there', () => {
    const data = (size: number): Uint8Array => {
      const bytes = Buffer.alloc(12 + 16 + size);
      bytes.writeUInt16BE(9, 0);
      bytes.writeUInt16BE(80, 2);
      Buffer.from([1, 0, 0, 20]).copy(bytes, 12);
      bytes.writeUInt16BE(16 + size, 14);
      bytes.fill(size, 28);
      bytes.writeUInt32LE(sctpChecksum(bytes, 0, bytes.length), 8);
      return bytes;
    };
    const frames = [20, 33, 80].map((size) => build.ip('10.0.0.2', '192.0.2.9', build.raw(132, data(size))));
    const file = join(folder, 'sctp.rules');
    writeFileSync(
      file,
      '*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -p sctp -j SNAT --to-source 198.18.0.1:77\nCOMMIT\n',
    );
    const all = frames.map((packet) => ({ data: packet, length: packet.length }));
    const { shorter, full } = expectBeginnings(all, 101, 0, [file], 60);
    expect(shorter).toBeGreaterThan(0);
    for (const [packet] of full.left.values()) {
      expect(packet!.readUInt32LE(28)).toBe(sctpChecksum(packet!, 20, packet!.length));
      expect(packet!.readUInt16BE(20)).toBe(77);
    }
  });
});

describe('checksums', () => {
  const bytes = fc.uint8Array({ minLength: 2, maxLength: 64 });

  test('change as little as computing them anew', () => {
    fc.assert(
      fc.property(bytes, fc.nat(), fc.integer({ min: 0, max: 0xffff }), (data, place, word) => {
        const at = (place % (data.length >> 1)) * 2;
        const check = complement(sumWords(data, 0, data.length));
        const before = (data[at]! << 8) | data[at + 1]!;
        data[at] = word >> 8;
        data[at + 1] = word & 0xff;
        const sum = sumWords(data, 0, data.length);
        // 0 and 0xffff are the same number in one's complement.
        expect(updated(check, before, word) % 0xffff).toBe(complement(sum) % 0xffff);
      }),
    );
  });

  test('of SCTP are linear', () => {
    const packet = fc.uint8Array({ minLength: 12, maxLength: 90 });
    fc.assert(
      fc.property(packet, fc.uint8Array({ minLength: 4, maxLength: 4 }), (data, ports) => {
        const before = sctpChecksum(data, 0, data.length);
        const difference = ports.map((port, index) => port ^ data[index]!);
        data.set(ports);
        expect((before ^ crcChange(difference, data.length)) >>> 0).toBe(sctpChecksum(data, 0, data.length));
      }),
    );
  });
});
