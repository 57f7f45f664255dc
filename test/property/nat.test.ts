// What holds of NAT whatever the traffic? No two live entries share a tuple, whichever ports were chosen; bindings are what
// the rules allow; every entry that was made ends; and the seed decides about nothing but ports.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { Random } from '../model/random.ts';
import { drawSettings } from '../model/settings.ts';
import { ModelTracker } from '../model/tracker.ts';
import { Traffic } from '../model/traffic.ts';
import { ethernet, writePcap } from '../support/packets.ts';

const MAIN = fileURLToPath(new URL('../../build/program/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ctreplay-nat-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const SEEDS = [1, 2, 3, 4];
const PACKETS = 3000;
const OUTSIDE = '198.18.255.1';

/** Half of the hosts are translated, to so few ports that they run out. */
const RULES = `*nat
-A PREROUTING -p udp --dport 1:1023 -j DNAT --to-destination 10.0.0.77:8080
-A POSTROUTING -s 10.0.0.0/30 -p tcp -j SNAT --to-source ${OUTSIDE}:2000-2003
-A POSTROUTING -s 10.0.0.0/29 -p tcp -j SNAT --to-source ${OUTSIDE} --random
-A POSTROUTING -s 10.0.0.0/30 -j SNAT --to-source ${OUTSIDE}
COMMIT
`;

interface Outcome {
  events: string[];
  packets: string[];
}

function replay(capture: string, seed: number): Outcome {
  const files = ['events', 'packets'].map((name) => join(folder, name));
  const rules = join(folder, 'rules');
  writeFileSync(rules, RULES);
  // Long after the last packet, so that everything expires.
  const words = [
    '--rules',
    rules,
    '--events',
    files[0]!,
    '--packets',
    files[1]!,
    '--seed',
    String(seed),
    '--at',
    '+2000000',
  ];
  execFileSync(process.execPath, [MAIN, 'replay', '--quiet', '--checksums', 'ignore', ...words, capture]);
  const [events, packets] = files.map((file) => readFileSync(file, 'utf8').split('\n').filter(Boolean));
  return { events: events!, packets: packets! };
}

function traffic(seed: number): string {
  const random = new Random(seed);
  const model = new ModelTracker(drawSettings(random));
  const source = new Traffic(random, model, {});
  const packets = Array.from({ length: PACKETS }, () => {
    const { time, bytes } = source.draw();
    model.judge(bytes, time);
    return { time, data: ethernet(bytes) };
  });
  const file = join(folder, `${seed}.pcap`);
  writeFileSync(file, writePcap(packets));
  return file;
}

const EVENT = /\[(NEW|UPDATE|DESTROY)\] (\S+ +\d+) (?:\d+ )?(?:[A-Z_0-9]+ )?(src=.*)$/;

/** Both tuples of an event, with the protocol. */
function tuplesOf(line: string): { kind: string; original: string; reply: string } {
  const [, kind = '', protocol = '', rest = ''] = EVENT.exec(line.replace(/\[(UNREPLIED|ASSURED)\] ?/g, '')) ?? [];
  const [original = '', reply = ''] = rest.split(/ (?=src=)/);
  return {
    kind,
    original: `${protocol} ${original.trim()}`,
    reply: `${protocol} ${reply.trim().replace(/ mark=.*/, '')}`,
  };
}

const withoutPorts = (text: string): string => text.replace(/(port|id)("?[=:])\d+/g, '$1$2~');

describe.each(SEEDS)('traffic of seed %s', (seed) => {
  const capture = traffic(seed);
  const { events, packets } = replay(capture, 1);

  it('no two entries share a tuple, and all of them end', () => {
    const live = new Map<string, string>();
    let made = 0;
    for (const line of events) {
      const { kind, original, reply } = tuplesOf(line);
      if (kind === 'NEW') {
        made++;
        for (const tuple of new Set([original, reply])) {
          expect(live.get(tuple), `${tuple} is taken: ${line}`).toBeUndefined();
          live.set(tuple, original);
        }
      }
      if (kind !== 'DESTROY') continue;
      expect(live.get(original), line).toBe(original);
      live.delete(original);
      live.delete(reply);
    }
    expect(made).toBeGreaterThan(50);
    expect([...live.keys()]).toEqual([]);
  });

  it('bindings are what the rules allow', () => {
    let bound = 0;
    for (const line of events.filter((each) => each.includes('[NEW]'))) {
      const { original, reply } = tuplesOf(line);
      const source = /src=10\.0\.0\.(\d+) /.exec(original)?.[1];
      const target = / dst=(\S+)/.exec(reply)?.[1];
      if (source === undefined || Number(source) > 3 || !/^(tcp|udp|icmp) /.test(original)) continue;
      expect(target, line).toBe(OUTSIDE);
      bound++;
      if (!original.startsWith('tcp')) continue;
      const port = Number(/ dport=(\d+)/.exec(reply)?.[1]);
      expect(port >= 2000 && port <= 2003, line).toBe(true);
    }
    expect(bound).toBeGreaterThan(10);
  });

  it('says what it changed, and only of packets that it let through so far', () => {
    const translated = packets.map((line) => JSON.parse(line)).filter(({ nat }) => nat);
    expect(translated.length).toBeGreaterThan(10);
    for (const { ct, nat } of translated) {
      expect(['NEW', 'ESTABLISHED', 'RELATED']).toContain(ct.state);
      expect(Object.keys(nat).length).toBeGreaterThan(0);
    }
  });

  it('the same seed gives the same bytes', () => {
    expect(replay(capture, 1)).toEqual({ events, packets });
  });
});

it('another seed chooses other ports, and nothing else', () => {
  const capture = join(folder, 'clash.pcap');
  const host = (n: number) => Uint8Array.from([10, 0, 0, 4 + n]);
  // Two hosts of 10.0.0.4/30 with one port each: --random moves both.
  const packets = [0, 1].map((n) => {
    const bytes = new Uint8Array(40);
    bytes.set([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, ...host(n), 192, 0, 2, 9]);
    bytes.set([0x0f, 0xa0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff], 20);
    return { time: BigInt(n) * 1_000_000n, data: ethernet(bytes) };
  });
  writeFileSync(capture, writePcap(packets));
  const [one, other] = [replay(capture, 1), replay(capture, 2)];
  expect(one.events).not.toEqual(other.events);
  expect(one.events.map(withoutPorts)).toEqual(other.events.map(withoutPorts));
  expect(one.packets.map(withoutPorts)).toEqual(other.packets.map(withoutPorts));
});
