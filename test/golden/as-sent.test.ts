// What real gateways sent is in captures/gateway, where each packet was captured as it arrived and as it left: does
// `--write --as-sent` make of the one exactly the other?
//
// What the gateway's programs sent through veth interfaces has checksums that were left to be completed: transport checksums are
// compared only where the captured one is right.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import type { PacketReport } from '../../src/index.ts';
import { departuresOf } from '../differential/compare-sent.ts';
import { parse, pseudoHeader, wordSum } from '../differential/packet.ts';
import { readCapture } from '../differential/read-capture.ts';

const MAIN = fileURLToPath(new URL('../../build/program/main.js', import.meta.url));
const RECORDINGS = fileURLToPath(new URL('../../captures/gateway/', import.meta.url));
const ETHERNET_HEADER = 14;
const CHECKSUM_AT: Readonly<Record<number, number>> = { 1: 2, 6: 16, 17: 6, 58: 2 };

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-as-sent-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The packet, its transport checksum cleared if it is not right. */
function comparable(packet: Buffer, captured: Buffer): string {
  const copy = Buffer.from(packet);
  const parsed = parse(captured);
  const place = parsed && CHECKSUM_AT[parsed.protocol];
  if (parsed && place !== undefined) {
    const sum = wordSum(...pseudoHeader(parsed, parsed.transport.length), parsed.transport);
    if (sum !== 0xffff) copy.writeUInt16BE(0, copy.length - parsed.transport.length + place);
  }
  return copy.toString('hex');
}

describe('as it was captured leaving', () => {
  test.each([
    ['web', 30],
    ['https', 20],
    ['hairpin', 10],
    ['ftp-active', 20],
    ['ftp-passive', 20],
  ])('%s', async (name, least) => {
    const legs = ['lan.pcap', 'wan.pcap'].map((leg) => join(RECORDINGS, name, leg));
    const out = (what: string): string => join(folder, `${name}.${what}`);
    await promisify(execFile)(process.execPath, [
      MAIN,
      'replay',
      ...['--quiet', '--host', join(RECORDINGS, name, 'host')],
      ...['--packets', out('packets'), '--write', out('pcapng'), '--as-sent'],
      ...legs,
    ]);
    const captured = legs.map(readCapture);
    const departures = [1, 2].map((file) => departuresOf(readFileSync(out('pcapng')), ETHERNET_HEADER, file));
    const lines = readFileSync(out('packets'), 'utf8').trimEnd().split('\n');
    let compared = 0;
    for (const line of lines) {
      const { file, n, of } = JSON.parse(line) as PacketReport;
      if (of === undefined) continue;
      const frame = captured[file - 1]![n - 1]!.bytes.subarray(ETHERNET_HEADER);
      const length = frame.readUInt8(0) >> 4 === 4 ? frame.readUInt16BE(2) : 40 + frame.readUInt16BE(4);
      const copy = frame.subarray(0, length);
      const [sent] = departures[of.file - 1]!.get(of.n) ?? [];
      expect(sent && comparable(sent, copy), `${file}:${n} of ${of.file}:${of.n}`).toBe(comparable(copy, copy));
      compared++;
    }
    expect(compared).toBeGreaterThan(least);
  });
});
