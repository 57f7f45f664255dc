// Captures of a gateway, damaged at random: whatever leaves, arrives, or says it does, each packet has a verdict or a reason,
// and no input makes the engine fail.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { loadHost, replay } from '../../src/index.ts';
import { Random } from '../model/random.ts';

const RECORDINGS = fileURLToPath(new URL('../../captures/gateway/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ctreplay-fuzz-gateway-'));
afterAll(() => rmSync(folder, { recursive: true }));

const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/** Changes bytes of packets, link headers included, and leaves the records whole. Returns the number of packets. */
function damage(bytes: Buffer, random: Random): number {
  let packets = 0;
  for (let at = FILE_HEADER; at < bytes.length; packets++) {
    const length = bytes.readUInt32LE(at + 8);
    const start = at + RECORD_HEADER;
    at = start + length;
    // Mostly the headers: link, IP and transport.
    for (let i = random.below(4); i > 0; i--) bytes[start + random.below(Math.min(length, 80))] = random.below(256);
  }
  return packets;
}

test.each([
  ['web', 'any.pcap'],
  ['web', 'lan.pcap'],
  ['dns', 'any.pcap'],
  ['hairpin', 'any.pcap'],
  ['ftp-active', 'wan.pcap'],
  ['tftp', 'any.pcap'],
])('%s/%s', async (name, file) => {
  const host = join(RECORDINGS, name, 'host');
  for (let seed = 1; seed <= 6; seed++) {
    const random = new Random(seed);
    const bytes = Buffer.from(readFileSync(join(RECORDINGS, name, file)));
    const packets = damage(bytes, random);
    const path = join(folder, `${name}-${seed}`);
    writeFileSync(path, bytes);
    let lines = 0;
    for await (const batch of replay({ captures: [path], host: loadHost({ host }), checksums: 'ignore' })) {
      lines += batch.packets.length;
      for (const { verdict, why, of } of batch.packets) {
        if (verdict === 'NONE') expect(why, `seed ${seed}`).toBeDefined();
        if (of) expect(of.n, `seed ${seed}`).toBeLessThanOrEqual(packets);
      }
    }
    expect(lines, `seed ${seed}`).toBe(packets);
  }
});
