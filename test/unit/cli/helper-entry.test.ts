// Does an entry of the host's conntrack table keep its helper?

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { ip, udp, writePcap } from '../../support/packets.ts';

const MAIN = fileURLToPath(new URL('../../../build/program/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ctreplay-helper-entry-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const TUPLES =
  'src=10.0.0.2 dst=192.0.2.80 sport=2000 dport=69 [UNREPLIED] src=192.0.2.80 dst=10.0.0.2 sport=69 dport=2000';

/** A file of the test's folder, and its path. */
function file(name: string, data: string | Uint8Array): string {
  writeFileSync(join(folder, name), data);
  return join(folder, name);
}

test('a read request of a TFTP client that is known makes its server expected', () => {
  const table = file('conntrack', `udp 17 29 ${TUPLES} mark=0 helper=tftp use=1\n`);
  const request = udp({ sport: 2000, dport: 69, payload: Uint8Array.from([0, 1, 0x61, 0, 0x62, 0]) });
  const data = udp({ sport: 3000, dport: 2000, payload: Uint8Array.from([0, 3, 0, 1, 0x61]) });
  const packets = [
    { time: 1_700_000_000n * 1_000_000_000n, data: ip('10.0.0.2', '192.0.2.80', request) },
    { time: 1_700_000_001n * 1_000_000_000n, data: ip('192.0.2.80', '10.0.0.2', data) },
  ];
  const capture = file('tftp.pcap', writePcap(packets, { link: 101 }));
  const lines = execFileSync(
    process.execPath,
    [MAIN, 'replay', '--quiet', '--host', table, '--packets', '-', '--expectations', join(folder, 'expected'), capture],
    { encoding: 'utf8' },
  );
  expect(
    lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).ct),
  ).toMatchObject([
    { id: -1, state: 'NEW', helper: 'tftp' },
    { state: 'RELATED', master: -1 },
  ]);
  expect(
    JSON.parse(execFileSync(process.execPath, [MAIN, 'plan', '--json', '--host', table], { encoding: 'utf8' })),
  ).toEqual({
    key: 'pair',
    reason: "the entry in line 1 of the host's conntrack table gives the helper tftp",
    expected: 4096,
  });
});

test('one that NAT changed needs the rules that did it', () => {
  const translated = TUPLES.replace('dst=10.0.0.2', 'dst=198.51.100.1');
  const table = file('conntrack', `udp 17 29 ${translated} mark=0 helper=tftp use=1\n`);
  const capture = file('none.pcap', writePcap([], { link: 101 }));
  const { status, stderr } = spawnSync(process.execPath, [MAIN, 'replay', '--host', table, capture], {
    encoding: 'utf8',
  });
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr:
      "ctreplay: line 1 of the host's conntrack table: an entry with a helper that NAT changed needs the host's nat table\n",
  });
});
