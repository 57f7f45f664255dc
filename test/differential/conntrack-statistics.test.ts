// Does `list -S` count what the kernel counts? The same malformed and unexpected packets through both. Needs root and conntrack;
// without them it is skipped, or fails when CTREPLAY_REQUIRE_KERNEL=1 (CI).

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { loadHost } from '../../src/host.ts';
import { ConntrackStatistics } from '../../src/report/statistics.ts';
import { run } from '../../src/run.ts';
import { pcapFile } from '../support/captures.ts';
import { ip } from './craft.ts';
import { missing } from './kernel.ts';

const lacks = missing();
const required = process.env.CTREPLAY_REQUIRE_KERNEL === '1';
if (lacks.length > 0 && !required) console.warn(`asking for statistics SKIPPED; missing: ${lacks.join('; ')}`);

const LINKTYPE_RAW = 101;
const ENDS = { source: Buffer.from([10, 0, 0, 2]), target: Buffer.from([10, 0, 0, 1]) };

/** A packet whose transport checksum at `place` is wrong if `bad`. */
function packet(protocol: number, transport: Buffer, place: number, bad = false): Buffer {
  const made = ip(ENDS, protocol, transport, place);
  if (bad) made[20 + place]! ^= 0x55;
  return made;
}

function tcp(sport: number, flags: number, bad = false): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(sport, 0);
  header.writeUInt16BE(80, 2);
  header.writeUInt32BE(1000, 4);
  header.writeUInt8(0x50, 12);
  header.writeUInt8(flags, 13);
  header.writeUInt16BE(1000, 14);
  return packet(6, header, 16, bad);
}

function udp(dport: number, bad = false): Buffer {
  return packet(17, Buffer.from([0, 9, 0, dport, 0, 8, 0, 0]), 6, bad);
}

function icmp(type: number, code: number, body: Buffer, bad = false): Buffer {
  const message = Buffer.concat([Buffer.from([type, code, 0, 0]), body]);
  let sum = 0;
  const even = message.length % 2 ? Buffer.concat([message, Buffer.alloc(1)]) : message;
  for (let at = 0; at < even.length; at += 2) sum += even.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  message.writeUInt16BE((~sum & 0xffff) ^ (bad ? 0x55 : 0), 2);
  return packet(1, message, -1);
}

const query = (id: number) => Buffer.from([0, id, 0, 1]);
const quoting = (quoted: Buffer) => Buffer.concat([Buffer.alloc(4), quoted]);

const PACKETS = [
  tcp(1, 0x02), // SYN
  tcp(2, 0x01), // FIN alone: flags that are never right
  tcp(3, 0x04), // RST of no connection
  tcp(4, 0x02, true),
  tcp(5, 0x29),
  tcp(6, 0x12), // SYN/ACK of no connection
  icmp(8, 0, query(1)),
  icmp(8, 0, query(2), true),
  icmp(0, 0, query(3)), // answer to no question
  icmp(200, 0, query(3)),
  icmp(42, 0, query(3)),
  icmp(3, 1, quoting(tcp(77, 0x02).subarray(0, 28))), // error about no connection
  icmp(3, 1, quoting(tcp(77, 0x02).subarray(0, 24))),
  icmp(3, 1, quoting(Buffer.alloc(0))),
  icmp(11, 0, quoting(Buffer.alloc(28, 0x45))),
  icmp(5, 0, quoting(tcp(78, 0x02).subarray(0, 28))),
  udp(9),
  udp(10, true),
  packet(17, Buffer.from([0, 1, 0, 2]), -1), // cut headers
  packet(1, Buffer.from([8, 0]), -1),
  packet(6, Buffer.alloc(10), -1),
  packet(132, Buffer.from([0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]), -1),
  packet(136, Buffer.from([0, 1, 0, 2, 0, 3, 0, 0]), -1),
];

/** Sums over all processors. */
function counters(text: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const [, name, count] of text.replace(/^cpu=\d+/gm, '').matchAll(/(\w+)=(\d+) /g))
    sums[name!] = (sums[name!] ?? 0) + Number(count);
  return sums;
}

test.skipIf(lacks.length > 0 && !required)('conntrack -S counts the same packets alike', async () => {
  const script = fileURLToPath(new URL('conntrack-statistics.py', import.meta.url));
  const input = JSON.stringify(PACKETS.map((bytes) => bytes.toString('hex')));
  const kernel = spawnSync('unshare', ['-n', 'python3', script], { input, encoding: 'utf8' });
  expect(kernel.stderr).toBe('');
  const folder = mkdtempSync(join(tmpdir(), 'ctreplay-statistics-'));
  try {
    const path = join(folder, 'a.pcap');
    const packets = PACKETS.map((data) => ({ seconds: 1_700_000_000, fraction: 0, data }));
    writeFileSync(path, pcapFile(packets, { link: LINKTYPE_RAW }));
    const statistics = new ConntrackStatistics();
    const hosts = [loadHost({ locals: ['10.0.0.1/24'] })] as const;
    const options = { captures: [{ path }], hosts, checksums: 'verify', wantEvents: false } as const;
    const result = await run(options, ({ bytes, worlds, count }) => {
      statistics.add(bytes, worlds[0]!.packets, count);
    });
    const ours = counters(statistics.line(result.worlds[0]!.earlyDropped));
    expect(ours).toEqual(counters(kernel.stdout));
    expect(ours.invalid! + ours.error!).toBe(PACKETS.length - 3);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
