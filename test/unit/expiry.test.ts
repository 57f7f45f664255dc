// Do thousands of connections that end at one moment end in order, however often their lanes have to stop for room, and
// whatever else an entry hangs in (a limited table, NAT)?

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { EVENT } from '../../src/engine/layout.ts';
import { type EventReport, loadHost, replay } from '../../src/index.ts';
import { EVENT_AREA } from '../../src/pool/ring.ts';
import { ethernet, ip, type TimedPacket, udp, writePcap } from '../support/packets.ts';

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-expiry-'));
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true }));

const SECOND = 1_000_000_000n;
const START = 1_700_000_000n * SECOND;
/** Their deaths fill the event area of each of two lanes three times. */
const FLOWS = 2 * 3 * (EVENT_AREA / EVENT.size);

const query = (n: number): Uint8Array =>
  ethernet(ip(`10.0.${n >> 8}.${n & 255}`, '198.51.100.1', udp({ sport: 1024 + n, dport: 53 })));

const capture = join(folder, 'moment.pcap');
const flood: TimedPacket[] = Array.from({ length: FLOWS }, (_, n) => ({ time: START, data: query(n) }));
writeFileSync(capture, writePcap([...flood, { time: START + 86_400n * SECOND, data: query(0) }]));

const rules = join(folder, 'rules');
writeFileSync(rules, '*nat\n:POSTROUTING ACCEPT [0:0]\n-A POSTROUTING -p udp -j SNAT --to-source 192.0.2.1\nCOMMIT\n');

async function eventsOf(workers: number, host: ReturnType<typeof loadHost>): Promise<EventReport[]> {
  const events: EventReport[] = [];
  for await (const batch of replay({ captures: [capture], host, workers })) events.push(...batch.events);
  return events;
}

describe.each([1, 2])('%i workers', (workers) => {
  test.each([
    ['no rules', () => loadHost({})],
    ['a limited table', () => loadHost({ sysctls: [`net.netfilter.nf_conntrack_max=${FLOWS + 100}`] })],
    ['SNAT', () => loadHost({ rules: [rules] })],
  ])('%s', { timeout: 60_000 }, async (_name, host) => {
    vi.stubEnv('CTREPLAY_TEST_WORKERS', 'all');
    const events = await eventsOf(workers, host());
    const id = (n: number) => n + 1;
    const begun = flood.map((_, n) => ['NEW', id(n), '1700000000.000000000']);
    // An unanswered query lives for 30 s; entries of one moment die in the order of their ids.
    const ended = flood.map((_, n) => ['DESTROY', id(n), '1700000030.000000000']);
    expect(events.map(({ event, id, ts }) => [event, id, ts])).toEqual([
      ...begun,
      ...ended,
      ['NEW', FLOWS + 1, '1700086400.000000000'],
    ]);
  });
});
