// Do ctreplay and the slow model expect the same of FTP and TFTP, and say the same of what comes? Generated conversations, damaged
// lines among them, over hours in which expectations and connections end.

import { describe, expect, it } from 'vitest';
import { helperTraffic } from '../differential/helper-traffic.ts';
import type { ExpectationEvent } from '../model/expectations.ts';
import { tupleOf } from '../model/icmp.ts';
import { readPacket } from '../model/packet.ts';
import { Random } from '../model/random.ts';
import { drawSettings, sysctlsOf } from '../model/settings.ts';
import { ModelTracker } from '../model/tracker.ts';
import { type Replay, replayed } from '../support/replay.ts';
import {
  addressText,
  difference,
  eventOfLine,
  eventOfModel,
  inOrder,
  packetOfLine,
  packetOfModel,
  shown,
  stamp,
} from './model-lines.ts';

/** More seeds from elsewhere: EXPECTATION_SEEDS=first-last. */
const range = process.env.EXPECTATION_SEEDS?.split('-').map(Number) ?? [1, 25];
const PACKETS = 1500;
const START = 1_700_000_000_000_000_000n;

const RULES = [
  '*raw',
  '-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp',
  '-A PREROUTING -p udp -m udp --dport 69 -j CT --helper tftp',
  'COMMIT',
  '',
].join('\n');

/** An expectation's birth or death: when, what, who expects whom. */
function lineOfModel({ kind, time, timeout, expectation }: ExpectationEvent): string {
  const { master, source, target, dport } = expectation;
  const expected = { src: addressText(source), dst: addressText(target), sport: 0, dport };
  return JSON.stringify([
    stamp(time),
    kind.replace('EXPECT_', ''),
    timeout,
    expected,
    shown(master.original),
    master.helper,
  ]);
}

function lineOfOurs(line: string): string {
  const { ts, event, timeout, expected, master, helper } = JSON.parse(line);
  return JSON.stringify([ts, event, timeout, expected, master, helper]);
}

/** Mostly a moment, sometimes until things expire. */
function pause(random: Random): bigint {
  if (random.chance(0.97)) return BigInt(random.below(40_000_000));
  return BigInt(random.pick([1, 30, 119, 120, 299, 300, 301])) * 1_000_000_000n + BigInt(random.below(3)) - 1n;
}

interface Said {
  replay: Replay;
  packets: string[];
  events: string[];
  expectations: string[];
}

/** The conversations of a seed, and what the model says of them. Outcomes that came up go to `met`. */
function generate(seed: number, met: Set<string>): Said {
  const random = new Random(seed + 5000);
  const settings = drawSettings(random);
  const model = new ModelTracker(settings, { helpers: true });
  const { steps } = helperTraffic(seed, PACKETS, false, ['ftp', 'tftp']);
  const said: string[] = [];
  let time = START;
  const packets = steps.map((step) => {
    time += pause(random);
    const bytes = Uint8Array.from(step as Buffer);
    const verdict = model.judge(bytes, time);
    said.push(packetOfModel(verdict, tupleOf(readPacket(bytes))));
    met.add(verdict.refused ? 'refused' : verdict.ctState);
    return { time, bytes };
  });
  for (const { kind, klass, expectation } of model.expectations.events)
    met.add(`${kind} ${klass} ${expectation.master.helper} ${expectation.family}`);
  return {
    replay: { packets, rules: { 4: RULES, 6: RULES }, sysctls: sysctlsOf(settings) },
    packets: said,
    events: inOrder(model.events).map(eventOfModel),
    expectations: inOrder(model.expectations.events).map(lineOfModel),
  };
}

const OUTCOMES = ['ftp', 'tftp'].flatMap((helper) =>
  [4, 6].flatMap((family) => [0, 1].map((klass) => `EXPECT_DESTROY ${klass} ${helper} ${family}`)),
);

describe('ctreplay and the model of expectations', () => {
  it(`agree on ${range[1]! - range[0]! + 1} seeds of ${PACKETS} packets`, { timeout: 300_000 }, async () => {
    const met = new Set<string>();
    for (let seed = range[0]!; seed <= range[1]!; seed++) {
      const said = generate(seed, met);
      const ours = await replayed(said.replay);
      expect(difference(ours.packets.map(packetOfLine), said.packets), `packets of seed ${seed}`).toBeUndefined();
      expect(difference(ours.events.map(eventOfLine), said.events), `events of seed ${seed}`).toBeUndefined();
      const expectations = difference(ours.expectations.map(lineOfOurs), said.expectations);
      expect(expectations, `expectations of seed ${seed}`).toBeUndefined();
    }
    for (const outcome of ['refused', 'RELATED', ...OUTCOMES]) expect(met).toContain(outcome);
  });
});
