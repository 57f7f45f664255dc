// Which packets belong to an entry of the host's conntrack table that NAT changed? Those of its two tuples, and no others: the
// inverse of its original tuple is nobody's (nf_conntrack_find_get()).

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ip, udp, writePcap } from '../../support/packets.ts';

const MAIN = fileURLToPath(new URL('../../../build/program/main.js', import.meta.url));

test('an entry that was translated is found by its own tuples alone, also where no rules translate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ctreplay-translated-entry-'));
  try {
    const table = join(folder, 'conntrack');
    const entry = 'src=10.0.0.2 dst=192.0.2.80 sport=2000 dport=53 src=192.0.2.80 dst=198.51.100.1 sport=53 dport=2000';
    writeFileSync(table, `udp 17 29 ${entry} mark=0 use=1\n`);
    const answer = udp({ sport: 53, dport: 2000, payload: 4 });
    const packets = ['198.51.100.1', '10.0.0.2'].map((target, index) => ({
      time: BigInt(1_700_000_000 + index) * 1_000_000_000n,
      data: ip('192.0.2.80', target, answer),
    }));
    const capture = join(folder, 'answers.pcap');
    writeFileSync(capture, writePcap(packets, { link: 101 }));
    const args = [MAIN, 'replay', '--quiet', '--host', table, '--packets', '-', capture];
    const lines = execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line).ct)).toMatchObject([
      { id: -1, state: 'ESTABLISHED', dir: 'reply' },
      { id: 2, state: 'NEW', dir: 'original' },
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
