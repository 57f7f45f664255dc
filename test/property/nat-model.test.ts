// Do ctreplay and the slow model make the same of any traffic through NAT? The same verdicts, entries, states and translated
// packets one by one, and the same events with both tuples, ports that are looked for at random included.

import { describe, expect, it } from 'vitest';
import { tupleOf } from '../model/icmp.ts';
import { drawNatRules, drawTranslated } from '../model/nat-traffic.ts';
import { readPacket } from '../model/packet.ts';
import { Random } from '../model/random.ts';
import { drawSettings, sysctlsOf } from '../model/settings.ts';
import { ModelTracker } from '../model/tracker.ts';
import { Traffic } from '../model/traffic.ts';
import { type Replay, replayed } from '../support/replay.ts';
import { difference, eventOfLine, eventOfModel, inOrder, packetOfLine, packetOfModel } from './model-lines.ts';

/** More seeds from elsewhere: NAT_SEEDS=first-last. */
const range = process.env.NAT_SEEDS?.split('-').map(Number) ?? [1, 25];
const PACKETS = 1500;

/** The traffic of a seed, and what the model says of it. Outcomes that came up go to `met`. */
function generate(seed: number, met: Set<string>): { replay: Replay; packets: string[]; events: string[] } {
  const random = new Random(seed);
  const { rules, text } = drawNatRules(random);
  const settings = drawSettings(random);
  const model = new ModelTracker(settings, { nat: { rules, seed: BigInt(seed) } });
  const traffic = new Traffic(random, model, {});
  const said: string[] = [];
  const packets = Array.from({ length: PACKETS }, () => {
    const packet = drawTranslated(random, traffic, model);
    const verdict = model.judge(packet.bytes, packet.time);
    said.push(packetOfModel(verdict, tupleOf(readPacket(packet.bytes))));
    met.add(verdict.clashed ? 'clash' : verdict.status.filter((bit) => bit.endsWith('NAT')).join('+'));
    return packet;
  });
  for (const { original, reply } of model.events) if (original.sport !== reply.dport) met.add('another port');
  const replay = { packets, rules: text, sysctls: sysctlsOf(settings), seed: BigInt(seed) };
  return { replay, packets: said, events: inOrder(model.events).map(eventOfModel) };
}

describe('ctreplay and the model of NAT', () => {
  it(`agree on ${range[1]! - range[0]! + 1} seeds of ${PACKETS} packets`, { timeout: 300_000 }, async () => {
    const met = new Set<string>();
    for (let seed = range[0]!; seed <= range[1]!; seed++) {
      const { replay, packets, events } = generate(seed, met);
      const ours = await replayed(replay);
      expect(difference(ours.packets.map(packetOfLine), packets), `packets of seed ${seed}`).toBeUndefined();
      expect(difference(ours.events.map(eventOfLine), events), `events of seed ${seed}`).toBeUndefined();
    }
    // Agreement means little about what never came up.
    for (const outcome of ['clash', 'SRC_NAT', 'DST_NAT', 'SRC_NAT+DST_NAT', 'another port'])
      expect(met).toContain(outcome);
  });
});
