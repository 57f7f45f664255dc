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
import { ip, tcp } from '../support/packets.ts';
import { type Replay, replayed } from '../support/replay.ts';
import { difference, eventOfLine, eventOfModel, inOrder, packetOfLine, packetOfModel } from './model-lines.ts';

/** More seeds from elsewhere: NAT_SEEDS=first-last. */
const range = process.env.NAT_SEEDS?.split('-').map(Number) ?? [1, 25];
const PACKETS = 1500;

interface Said {
  replay: Replay;
  packets: string[];
  events: string[];
}

/** Judges packets one after the other, as each is drawn. Outcomes that came up go to `met`. */
function told(
  model: ModelTracker,
  count: number,
  draw: () => Packet,
  given: Omit<Replay, 'packets'>,
  met: Set<string>,
): Said {
  const said: string[] = [];
  const packets = Array.from({ length: count }, () => {
    const packet = draw();
    const verdict = model.judge(packet.bytes, packet.time);
    said.push(packetOfModel(verdict, tupleOf(readPacket(packet.bytes))));
    met.add(verdict.clashed ? 'clash' : verdict.status.filter((bit) => bit.endsWith('NAT')).join('+'));
    return packet;
  });
  for (const { original, reply } of model.events) if (original.sport !== reply.dport) met.add('another port');
  return { replay: { ...given, packets }, packets: said, events: inOrder(model.events).map(eventOfModel) };
}

type Packet = Replay['packets'][number];

function generate(seed: number, met: Set<string>): Said {
  const random = new Random(seed);
  const { rules, text } = drawNatRules(random);
  const settings = drawSettings(random);
  const model = new ModelTracker(settings, { nat: { rules, seed: BigInt(seed) } });
  const traffic = new Traffic(random, model, {});
  const given = { rules: text, sysctls: sysctlsOf(settings), seed: BigInt(seed) };
  return told(model, PACKETS, () => drawTranslated(random, traffic, model), given, met);
}

async function agree({ replay, packets, events }: Said, name: string): Promise<void> {
  const ours = await replayed(replay);
  expect(difference(ours.packets.map(packetOfLine), packets), `packets of ${name}`).toBeUndefined();
  expect(difference(ours.events.map(eventOfLine), events), `events of ${name}`).toBeUndefined();
}

describe('ctreplay and the model of NAT', () => {
  it(`agree on ${range[1]! - range[0]! + 1} seeds of ${PACKETS} packets`, { timeout: 300_000 }, async () => {
    const met = new Set<string>();
    for (let seed = range[0]!; seed <= range[1]!; seed++) await agree(generate(seed, met), `seed ${seed}`);
    // Agreement means little about what never came up.
    for (const outcome of ['clash', 'SRC_NAT', 'DST_NAT', 'SRC_NAT+DST_NAT', 'another port'])
      expect(met).toContain(outcome);
  });

  it.each([1, 2, 3])('agree on who gives way where all ports are taken, seed %i', async (seed) => {
    const settings = drawSettings(new Random(1));
    const to = { address: 'c612ff01', ports: [2000, 2001] as const };
    const model = new ModelTracker(settings, {
      nat: { rules: [{ end: 'source', family: 4, protocol: 6, to }], seed: BigInt(seed) },
    });
    const rule = '-A POSTROUTING -p tcp -j SNAT --to-source 198.18.255.1:2000-2001';
    const segment = (host: number, flags: string, seq: number): Uint8Array =>
      ip(`10.0.0.${host}`, '192.0.2.9', tcp({ sport: 4000 + host, dport: 80, flags, seq, ack: 1 }));
    const answer = (host: number, ack: number): Uint8Array => {
      const flow = model.table.find(({ original }) => original.sport === 4000 + host)!;
      const ports = { sport: 80, dport: flow.reply.dport };
      return ip('192.0.2.9', '198.18.255.1', tcp({ ...ports, flags: 'SA', seq: 7000, ack }));
    };
    // Two connect and are reset. Who begins below where they ended finds no port; who is beyond takes one over, the next the other.
    const steps = [
      () => segment(1, 'S', 1000),
      () => answer(1, 1001),
      () => segment(2, 'S', 2000),
      () => answer(2, 2001),
      () => segment(3, 'S', 10),
      () => segment(1, 'R', 1001),
      () => segment(2, 'R', 2001),
      () => segment(3, 'S', 10),
      () => segment(4, 'S', 9000),
      () => segment(5, 'S', 9000),
      () => segment(6, 'S', 9000),
    ];
    let step = 0;
    const draw = () => ({ time: 1_700_000_000_000_000_000n + BigInt(step) * 1_000_000n, bytes: steps[step++]!() });
    const given = {
      rules: { 4: `*nat\n${rule}\nCOMMIT\n`, 6: '*nat\nCOMMIT\n' },
      sysctls: sysctlsOf(settings),
      seed: BigInt(seed),
    };
    const said = told(model, steps.length, draw, given, new Set());
    const clash = 'DROP nat-clash';
    expect(said.packets.flatMap((line, at) => (line === clash ? [at] : []))).toEqual([4, 7, 10]);
    expect(model.events.filter(({ kind, klass }) => kind === 'DESTROY' && klass === 1)).toHaveLength(2);
    await agree(said, `seed ${seed}`);
  });
});
