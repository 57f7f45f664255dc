// Do the engine and the slow model say the same of any traffic? Same verdicts, states, reasons and entries packet by
// packet, same events with the same timeouts, whatever the batches, the hash seed and the size of the event area.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EngineBuild } from '../../src/engine/engine.ts';
import { FLOW, FLOW_SHORT } from '../../src/engine/layout.ts';
import { Random } from '../model/random.ts';
import { drawSettings, sysctlsOf } from '../model/settings.ts';
import { TCP_STATES } from '../model/tcp.ts';
import { type ModelEvent, ModelTracker, type ModelVerdict } from '../model/tracker.ts';
import { Traffic } from '../model/traffic.ts';
import { BUILDS, type EventView, type Frame, openEngine, SECOND, type TestEngine } from '../support/engine.ts';

const SEEDS = 50;
const PACKETS = 2000;

/** More seeds from elsewhere: ENGINE_SEEDS=first-last. */
const range = process.env.ENGINE_SEEDS?.split('-').map(Number) ?? [1, SEEDS];

/** What the traffic has to bring about: every reason that tracking gives, every state of an entry from both sides. */
const OUTCOMES = [
  ...['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'TRUNCATED_L4', 'TCP_FLAGS', 'TCP_INVALID_NEW'],
  ...[
    'TCP_NOT_LOOSE',
    'TCP_INVALID_STATE',
    'TCP_IGNORED_STATE',
    'TCP_CHALLENGE_ACK',
    'TCP_INVALID_RST',
    'TCP_OVERSHOT',
  ],
  ...['TCP_SEQ_OVER', 'TCP_ACK_OVER', 'TCP_SEQ_UNDER', 'TCP_ACK_UNDER', 'ICMP_INVALID_NEW', 'ICMP_BAD_TYPE'],
  ...['ICMP_ERROR_SHORT', 'ICMP_ERROR_UNKNOWN_PROTO', 'ICMP_ERROR_NO_FLOW', 'ICMP_ERROR_WRONG_SENDER'],
  ...TCP_STATES.filter((state) => state !== 'NONE').flatMap((state) => [`${state} ORIGINAL`, `${state} REPLY`]),
];

const KEPT = ['SEEN_REPLY', 'ASSURED'];

/** What is compared of a packet and of an event, from either side. */
const packetFacts = (
  p: Pick<ModelVerdict, 'ctState' | 'whyValue' | 'dir' | 'status' | 'tcpState' | 'flowId' | 'reason'>,
) =>
  [
    p.ctState,
    p.reason,
    p.whyValue,
    p.dir,
    p.status.filter((bit) => KEPT.includes(bit)).join('+'),
    p.tcpState,
    p.flowId,
  ].join(' ');

/** Such a packet is judged and then not forwarded: routing's reason stands in place of connection tracking's. */
const fromLinkLocal = (bytes: Uint8Array): boolean =>
  bytes[0]! >> 4 === 6 && bytes[8] === 0xfe && (bytes[9]! & 0xc0) === 0x80;

const eventFacts = (e: {
  time: bigint;
  kind: string;
  bits: string[];
  timeout: number;
  status: string[];
  tcpState: string;
  id: number;
  original: { sport: number; dport: number };
}) =>
  [
    e.time,
    e.kind,
    e.bits.join('+'),
    e.timeout,
    e.status.filter((bit) => KEPT.includes(bit)).join('+'),
    e.tcpState,
    e.id,
    e.original.sport,
    e.original.dport,
  ].join(' ');

type Facts = Parameters<typeof eventFacts>[0];

function eventText(event: Facts, [packetsOriginal, bytesOriginal, packetsReply, bytesReply]: number[]): string {
  return `${eventFacts(event)} [${packetsOriginal} ${bytesOriginal} ${packetsReply} ${bytesReply}]`;
}

/** The first difference of two lists of lines. */
function difference(got: string[], wanted: string[]): string | undefined {
  for (let i = 0; i < Math.max(got.length, wanted.length); i++) {
    if (got[i] !== wanted[i]) return `line ${i}:\n engine ${got[i] ?? 'nothing'}\n model  ${wanted[i] ?? 'nothing'}`;
  }
  return undefined;
}

/** Replays one seed's traffic through both; returns the first difference. Outcomes that came up go to `met`. */
function compare(engine: TestEngine, seed: number, met: Set<string>): string | undefined {
  const random = new Random(seed);
  const settings = drawSettings(random);
  const model = new ModelTracker(settings);
  const traffic = new Traffic(random, model);
  const frames: Frame[] = [];
  const wanted: string[] = [];
  /** Packets that are not forwarded. */
  const ending = new Set<number>();
  for (let i = 0; i < PACKETS; i++) {
    const { time, bytes } = traffic.draw();
    frames.push({ time, data: bytes });
    const verdict = model.judge(bytes, time);
    if (fromLinkLocal(bytes)) ending.add(wanted.length);
    wanted.push(packetFacts(ending.has(wanted.length) ? { ...verdict, reason: 'BEYOND_SCOPE' } : verdict));
    met.add(verdict.reason).add(verdict.ctState).add(`${verdict.tcpState} ${verdict.dir}`);
  }
  const end = frames[frames.length - 1]!.time + 500n * 86_400n * SECOND;
  model.expire(end);
  const by = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
  const events = model.events
    .map((event, i) => ({ event, i }))
    .sort(
      (a, b) =>
        by(a.event.time, b.event.time) || a.event.klass - b.event.klass || a.event.order - b.event.order || a.i - b.i,
    )
    .map(({ event }) => event);

  engine.reset();
  const areas = {
    events: 8 + random.below(64),
    flowBytes: random.pick([FLOW_SHORT, FLOW.size]),
    index: { first: random.pick([1, 4, 16]), buckets: 2048, overflows: 512 },
  };
  const world = engine.world({ sysctls: sysctlsOf(settings), ...areas });
  const size = random.pick([1, 7, 100, PACKETS]);
  const sweeping = random.pick([1, 0.5, 0]);
  let announced = 0;
  const found: EventView[] = [];
  const caughtUp = (time: bigint, number: number): string | undefined => {
    const happened = (e: ModelEvent) => e.time <= time && (e.klass === 0 || e.order <= number);
    found.push(...world.takeEvents());
    found.sort((a, b) => by(a.time, b.time) || a.klass - b.klass || a.order - b.order || a.sequence - b.sequence);
    const from = announced;
    while (announced < events.length && happened(events[announced]!)) announced++;
    const got = found
      .splice(0)
      .map((e) => eventText(e, [e.packetsOriginal, e.bytesOriginal, e.packetsReply, e.bytesReply]));
    return difference(
      got,
      events.slice(from, announced).map((e) => eventText(e, [e.packets[0], e.bytes[0], e.packets[1], e.bytes[1]])),
    );
  };
  for (let i = 0; i < PACKETS; i += size) {
    const batch = frames.slice(i, i + size);
    const sweep = random.chance(sweeping);
    const got = world.feed(batch, { sweep });
    for (const [j, packet] of got.entries()) {
      const facts = packetFacts(packet as ModelVerdict);
      const verdict = ending.has(i + j) ? 'DROP' : 'ACCEPT';
      if (facts === wanted[i + j] && packet.verdict === verdict) continue;
      const bytes = Buffer.from(batch[j]!.data).toString('hex');
      return `packet ${i + j + 1} at ${batch[j]!.time} (${bytes}): engine ${packet.verdict} ${facts}, model ${wanted[i + j]}`;
    }
    if (!sweep) continue;
    const differs = caughtUp(batch[batch.length - 1]!.time, i + batch.length);
    if (differs) return `events up to packet ${i + size}, ${differs}`;
  }
  world.sweep(end);
  engine.checkCanaries();
  const differs = caughtUp(end, PACKETS);
  if (differs) return `events up to the end, ${differs}`;
  return world.flowCount === 0 ? undefined : `${world.flowCount} entries never expired`;
}

for (const build of BUILDS) {
  describe(`${build} build`, () => {
    let engine: TestEngine;
    beforeAll(async () => {
      engine = await openEngine({ build: build as EngineBuild, seed: [7, 9] });
    });
    afterAll(() => engine.reset());

    it(`agrees with the model on ${range[1]! - range[0]! + 1} seeds of ${PACKETS} packets`, () => {
      const met = new Set<string>();
      for (let seed = range[0]!; seed <= range[1]!; seed++) {
        const differs = compare(engine, seed, met);
        expect(differs && `seed ${seed}: ${differs}`).toBeUndefined();
      }
      // Agreement means little about what never came up.
      expect(OUTCOMES.filter((outcome) => !met.has(outcome))).toEqual([]);
    });
  });
}
