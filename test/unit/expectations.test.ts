// What happens when more expectations of one target have expired than a packet has room for events?

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { ethernet, ip, tcp, writePcap } from '../support/packets.ts';

const MAIN = fileURLToPath(new URL('../../build/program/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ctreplay-expectations-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** More than the event area of a lane holds (EVENT_AREA), in a batch with the packet that meets them. */
const SERVERS = 2400;
const CLIENT = '10.0.0.1';
const PORT = Buffer.from('PORT 10,0,0,1,200,1\r\n');

test('all end at their own time, and nothing else is written over', () => {
  const packets: { time: bigint; data: Uint8Array }[] = [];
  let time = 1_700_000_000_000_000_000n;
  const add = (packet: Uint8Array) =>
    packets.push({ time: time + BigInt(packets.length) * 1000n, data: ethernet(packet) });
  const server = (i: number) => `10.1.${i >> 8}.${i & 255}`;
  const say = (i: number, flags: string, seq: number, payload: Uint8Array = new Uint8Array(0)) =>
    add(ip(CLIENT, server(i), tcp({ sport: 3000, dport: 21, flags, seq, ack: 501, payload })));
  /** The same port of the client is announced to each server: one target, another source each time. */
  const announce = (i: number) => {
    say(i, 'S', 100);
    add(ip(server(i), CLIENT, tcp({ sport: 21, dport: 3000, flags: 'SA', seq: 500, ack: 101 })));
    say(i, 'A', 101, Buffer.from('\r\n'));
    say(i, 'PA', 103, PORT);
  };
  for (let i = 0; i < SERVERS; i++) announce(i);
  add(ip(server(7), CLIENT, tcp({ sport: 20, dport: 51_201, flags: 'S', seq: 1 })));
  const [data, master] = [packets.length, 7 * 4 + 1];
  time += 400_000_000_000n;
  announce(SERVERS);

  const [capture, rules, lines, expected] = ['capture', 'rules', 'packets', 'expected'].map((name) =>
    join(folder, name),
  );
  writeFileSync(capture!, writePcap(packets));
  writeFileSync(rules!, '*raw\n-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp\nCOMMIT\n');
  const words = ['--rules', rules!, '--packets', lines!, '--expectations', expected!];
  execFileSync(process.execPath, [MAIN, 'replay', '--quiet', '--workers', '1', ...words, capture!]);
  const related = JSON.parse(readFileSync(lines!, 'utf8').split('\n')[data - 1]!);
  expect(related).toMatchObject({ n: data, ct: { state: 'RELATED', master } });
  const events = readFileSync(expected!, 'utf8').trimEnd().split('\n');
  expect(events.filter((line) => line.includes('[NEW]'))).toHaveLength(SERVERS + 1);
  expect(events.filter((line) => line.includes('[DESTROY]'))).toHaveLength(SERVERS);
  expect(events.at(-1)).toContain('[NEW]');
});
