// Does the library do what its types say: batches, events, summary, table, differences, raw packets, errors, abort?

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import type { EventReport, PacketReport, ReplayOptions, ReplayResult } from '../../src/index.ts';
import { CaptureError, diff, loadHost, openCaptures, RulesetError, replay } from '../../src/index.ts';
import { ethernet, ip, type TimedPacket, tcp, udp, writePcap } from '../support/packets.ts';

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-library-'));
afterEach(() => vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true }));

const SECOND = 1_000_000_000n;
const START = 1_700_000_000n * SECOND;

function put(name: string, data: Uint8Array | string): string {
  const file = join(folder, name);
  writeFileSync(file, data);
  return file;
}

function capture(name: string, packets: readonly [bigint, Uint8Array][]): string {
  const timed: TimedPacket[] = packets.map(([time, bytes]) => ({ time: START + time, data: ethernet(bytes) }));
  return put(name, writePcap(timed));
}

const QUERY = ip('10.0.0.1', '10.0.0.2', udp({ sport: 5000, dport: 53, payload: 20 }));
const ANSWER = ip('10.0.0.2', '10.0.0.1', udp({ sport: 53, dport: 5000, payload: 40 }));
const SYN = ip('10.0.0.1', '10.0.0.2', tcp({ sport: 4000, dport: 80, flags: 'S', seq: 1000, win: 1000 }));
const small = capture('small.pcap', [
  [0n, QUERY],
  [SECOND, ANSWER],
  [2n * SECOND, SYN],
  [40n * SECOND, QUERY],
]);
const DROP_DNS = put(
  'drop-dns',
  '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -m udp --dport 53 -j DROP\nCOMMIT\n',
);

async function all(
  options: ReplayOptions,
): Promise<{ packets: PacketReport[]; events: EventReport[]; result: ReplayResult }> {
  const packets: PacketReport[] = [];
  const events: EventReport[] = [];
  const batches = replay(options);
  while (true) {
    const step = await batches.next();
    if (step.done) return { packets, events, result: step.value };
    packets.push(...step.value.packets);
    events.push(...step.value.events);
  }
}

describe('replay', () => {
  test('packets, events, summary and table of a small capture', async () => {
    const { packets, events, result } = await all({ captures: [small] });
    expect(packets.map(({ n, verdict, ct }) => [n, verdict, ct?.state, ct?.dir])).toEqual([
      [1, 'ACCEPT', 'NEW', 'original'],
      [2, 'ACCEPT', 'ESTABLISHED', 'reply'],
      [3, 'ACCEPT', 'NEW', 'original'],
      [4, 'ACCEPT', 'NEW', 'original'],
    ]);
    // The first query's entry lives 30 s from the answer on and dies at second 31.
    expect(events.map(({ event, proto, ts }) => [event, proto, ts])).toEqual([
      ['NEW', 'udp', '1700000000.000000000'],
      ['UPDATE', 'udp', '1700000001.000000000'],
      ['NEW', 'tcp', '1700000002.000000000'],
      ['DESTROY', 'udp', '1700000031.000000000'],
      ['NEW', 'udp', '1700000040.000000000'],
    ]);
    expect(events[0]!.line).toBe(
      '[1700000000.000000]\t    [NEW] udp      17 30 src=10.0.0.1 dst=10.0.0.2 sport=5000 dport=53 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=53 dport=5000',
    );
    expect(result.summary.packets).toBe(4);
    expect(result.table.map(({ id, timeout }) => [id, timeout])).toEqual([
      [3, 82],
      [4, 30],
    ]);
  });

  test('rules judge, and what they drop leaves no entry', async () => {
    const { packets, events } = await all({ captures: [small], host: loadHost({ rules: [DROP_DNS] }) });
    expect(packets.map(({ verdict, rule }) => [verdict, rule])).toEqual([
      ['DROP', 'filter/FORWARD/1'],
      ['ACCEPT', 'filter/FORWARD/policy'],
      ['ACCEPT', 'filter/FORWARD/policy'],
      ['DROP', 'filter/FORWARD/1'],
    ]);
    expect(events.filter(({ event }) => event === 'NEW').map(({ original }) => original.src)).toEqual([
      '10.0.0.2',
      '10.0.0.1',
    ]);
  });

  test('until stops the clock and the table shows that moment', async () => {
    const { packets, result } = await all({ captures: [small], until: START + 5n * SECOND });
    expect(packets.length).toBe(3);
    expect(result.table.map(({ timeout }) => timeout)).toEqual([26, 117]);
  });

  test('a cut capture is replayed up to the cut, then told', async () => {
    const whole = writePcap([QUERY, ANSWER].map((bytes, i) => ({ time: START + BigInt(i), data: ethernet(bytes) })));
    const { packets, result } = await all({ captures: [put('cut.pcap', whole.subarray(0, whole.length - 5))] });
    expect(packets.length).toBe(1);
    expect(result.error).toBeInstanceOf(CaptureError);
    expect(result.error?.message).toMatch(/cut\.pcap, packet 2, byte offset \d+/);
  });

  test('checksums left to the network card are right unless they are to be verified, and are counted', async () => {
    const bytes = Uint8Array.from(SYN);
    // A TCP checksum of zero: the host left it to its card.
    bytes.set([0, 0], 20 + 16);
    const offloaded = capture('offloaded.pcap', [[0n, bytes]]);
    const auto = await all({ captures: [offloaded] });
    expect(auto.packets[0]!.ct?.state).toBe('NEW');
    expect(auto.result.summary.notes.join()).toMatch(/1 packet has a checksum .*offload/);
    const verified = await all({ captures: [offloaded], checksums: 'verify' });
    expect([verified.packets[0]!.ct?.state, verified.packets[0]!.why]).toEqual(['INVALID', 'invalid-checksum']);
    expect(verified.result.summary.notes).toEqual([]);
  });

  test('a consumer that stops early, and an abort signal, end the run', async () => {
    for await (const batch of replay({ captures: [small], workers: 2 })) {
      expect(batch.packets.length).toBeGreaterThan(0);
      break;
    }
    const reason = new Error('enough');
    await expect(all({ captures: [small], signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('errors have their class', async () => {
    const rules = put('bad-rules', '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -m u32 --u32 0=0 -j ACCEPT\nCOMMIT\n');
    await expect(all({ captures: [small], host: loadHost({ rules: [rules] }) })).rejects.toBeInstanceOf(RulesetError);
    await expect(all({ captures: [join(folder, 'absent')] })).rejects.toBeInstanceOf(CaptureError);
  });

  test('more deaths at once than an event area holds: all are told, in order, for any number of workers', async () => {
    const flows = 9000;
    const packets: [bigint, Uint8Array][] = [];
    for (let i = 0; i < flows; i++) {
      const query = ip(
        '10.0.0.1',
        `10.1.${i >> 8}.${i & 255}`,
        udp({ sport: 1000 + (i % 50000), dport: 53, payload: 1 }),
      );
      packets.push([BigInt(i) * 1000n, query]);
    }
    packets.push([3600n * SECOND, QUERY]);
    const many = capture('many.pcap', packets);
    const one = await all({ captures: [many], workers: 1, packets: false });
    const deaths = one.events.filter(({ event }) => event === 'DESTROY');
    expect(deaths.map(({ id }) => id)).toEqual(Array.from({ length: flows }, (_, i) => i + 1));
    expect(deaths.every(({ ts }, i) => ts === `1700000030.${String(i * 1000).padStart(9, '0')}`)).toBe(true);
    vi.stubEnv('CTREPLAY_TEST_WORKERS', 'all');
    const two = await all({ captures: [many], workers: 2, packets: false });
    expect(two.events.map(({ line }) => line)).toEqual(one.events.map(({ line }) => line));
  });
});

describe('diff', () => {
  test('flows that two hosts treat differently', async () => {
    const report = await diff({ captures: [small], old: loadHost(), new: loadHost({ rules: [DROP_DNS] }) });
    expect(report.packetsDiffer).toBe(3);
    expect(report.flows.map(({ flow, old, new: later }) => [flow, old.verdict, later.verdict])).toEqual([
      ['udp 10.0.0.1:5000 -> 10.0.0.2:53', 'ACCEPT', 'DROP'],
    ]);
    expect(report.flows[0]!.first.n).toBe(1);
  });

  test('no difference', async () => {
    const host = () => loadHost({ rules: [DROP_DNS] });
    expect((await diff({ captures: [small], old: host(), new: host() })).flowsDiffer).toBe(0);
  });
});

describe('openCaptures', () => {
  test('two captures as one stream', async () => {
    const early = capture('early.pcap', [[500_000_000n, ANSWER]]);
    const seen: [number, number, bigint][] = [];
    for await (const { file, n, ts, data, length } of openCaptures([small, early])) {
      seen.push([file, n, ts - START]);
      expect(data.length).toBe(length);
    }
    expect(seen.slice(0, 3)).toEqual([
      [1, 1, 0n],
      [2, 1, 500_000_000n],
      [1, 2, SECOND],
    ]);
  });
});
