// What does H.323 look like on the wire, well-behaved and not? Seeded conversations as in helper-traffic.ts: messages that
// follow the rules (test/support/h323.ts), the same with bytes changed or missing, TPKTs in pieces, and what may come of it.

import { Random } from '../model/random.ts';
import { H323 } from '../support/h323.ts';
import { q931, tpkt } from '../support/h323-h225.ts';
import { concat } from '../support/packets.ts';
import { perBytes } from '../support/per.ts';
import { Connection, datagram, type Side } from './helper-connection.ts';
import {
  CLIENTS,
  drawHelperNat,
  type Meeting,
  meet,
  movedPort,
  type Nat,
  NO_NAT,
  natRules,
  outsideAddresses,
} from './helper-nat.ts';
import type { HelperTraffic } from './helper-traffic.ts';

/** Ports that are announced: few, so that they meet. */
const PORTS = [40_000, 40_001, 40_002, 40_003, 40_004, 0];
/** So far from the first of them media may move. */
const NEAR_PORTS = 24;

/** Rules that give the helpers their ports; UDP with H.245 is what the kernel allows, though nobody does it. */
export function h323Rules(nat: Nat = NO_NAT): string {
  return [
    '*raw',
    ':PREROUTING ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    `-A PREROUTING -p tcp -m tcp --dport ${movedPort(1720, nat)} -j CT --helper Q.931`,
    `-A PREROUTING -p udp -m udp --dport ${movedPort(1719, nat)} -j CT --helper RAS`,
    '-A PREROUTING -p udp -m udp --dport 2720 -j CT --helper H.245',
    'COMMIT',
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    '-A FORWARD -m helper --helper H.245 -m conntrack --ctstate RELATED -j CONNMARK --set-xmark 0x2/0xffffffff',
    '-A FORWARD -m helper --helper Q.931 -j ACCEPT',
    'COMMIT',
    '',
  ].join('\n');
}

/** The message, often with bytes changed, cut off or put in. */
export function damaged(random: Random, message: Uint8Array, probability: number): Uint8Array {
  const out = Array.from(message);
  while (random.chance(probability)) {
    const at = random.below(out.length);
    const kind = random.weighted({ change: 4, bit: 6, cut: 1, put: 1, drop: 1 });
    if (kind === 'change') out[at] = random.pick([0, 255, 0x80, random.below(256)]);
    else if (kind === 'bit') out[at]! ^= 1 << random.below(8);
    else if (kind === 'put') out.splice(at, 0, random.below(256));
    else if (kind === 'drop') out.splice(at, 1);
    else if (at > 0) out.length = at;
    if (out.length === 0) out.push(0);
  }
  return Uint8Array.from(out);
}

/** A conversation between two hosts, with all that they announce to each other. */
class Call {
  readonly random: Random;
  readonly meeting: Meeting;
  private readonly damage: number;

  constructor(random: Random, nat: Nat) {
    this.random = random;
    this.meeting = meet(random, true, nat);
    this.damage = random.pick([0, 0.3, 0.6, 0.8]);
  }

  /** Messages of one side: mostly it announces its own address; behind NAT also the port that it speaks from. */
  messages(side: Side, ownPort = 0, loopback = false): H323 {
    const { random, meeting } = this;
    const [own, other] = meeting.way(side);
    return new H323(random, () => {
      const wrong = random.chance(0.03);
      const family = wrong ? (meeting.family === 4 ? 6 : 4) : meeting.family;
      const foreign = random.chance(0.12);
      const address = wrong || foreign ? random.pick([...CLIENTS[family], ...(wrong ? [] : [other])]) : own;
      const port = random.pick(PORTS);
      if (!meeting.translated || wrong) return { address, port };
      const what = random.weighted({ own: 5, speaking: 3, other: 2, loopback: loopback ? 1 : 0 });
      if (what === 'other') return { address: other, port };
      if (what === 'loopback') return { address: '127.0.0.1', port };
      return what === 'speaking' ? { address, port: ownPort } : { address, port };
    });
  }

  damaged(message: Uint8Array): Uint8Array {
    return damaged(this.random, message, this.damage);
  }

  /** TPKTs in one segment, or in more than one, sometimes the header alone. */
  segments(messages: readonly Uint8Array[]): Uint8Array[] {
    const { random } = this;
    const whole = concat(...messages.map(tpkt));
    const how = random.weighted({ whole: 8, header: 2, pieces: 1, wrong: 0.7 });
    if (how === 'header') return [whole.subarray(0, 4), whole.subarray(4)];
    if (how === 'pieces') {
      const at = 1 + random.below(whole.length - 1);
      return [whole.subarray(0, at), whole.subarray(at)];
    }
    if (how === 'wrong') whole[random.pick([0, 1, 2, 3])]! += random.pick([1, 255, 2]);
    return [whole];
  }

  /** What may have been announced: media, data, a call, H.245 with a message of its own. */
  *follows(): Generator<Buffer[]> {
    const { random, meeting } = this;
    const back = random.chance(0.5);
    const port = random.pick(PORTS) + (meeting.translated ? random.pick([0, 0, 2, 4, 6]) : 0);
    if (random.chance(0.5)) {
      const ports = [random.pick([30_000, 30_001]), port] as const;
      yield [datagram(meeting, back ? 'server' : 'client', ports, Uint8Array.from([0x80, 0, 0, 1]))];
      return;
    }
    const ports = { client: random.pick([50_000, 50_001]), server: port };
    const connection = new Connection(back ? meeting.turned() : meeting, ports, random);
    yield connection.open();
    for (let i = random.below(3); i > 0; i--) {
      const side = random.chance(0.5) ? 'client' : 'server';
      const messages = this.messages(back === (side === 'client') ? 'server' : 'client');
      const control = random.chance(0.8);
      const message = control ? perBytes(messages.control) : q931(random, perBytes(messages.userInformation));
      for (const segment of this.segments([this.damaged(message)])) yield [connection.say(side, segment)];
    }
    if (random.chance(0.5)) yield [connection.reset()];
  }
}

function* signalling(call: Call): Generator<Buffer[]> {
  const { random, meeting } = call;
  const ports = { client: random.pick([33_000, 33_001]) + meeting.portShift(2), server: 1720 };
  const connection = new Connection(meeting, ports, random);
  yield connection.open();
  for (let i = random.below(14); i >= 0; i--) {
    const side = random.chance(0.5) ? 'client' : 'server';
    const messages = Array.from({ length: random.pick([1, 1, 1, 2, 3]) }, () => {
      return call.damaged(q931(random, perBytes(call.messages(side, ports[side]).userInformation)));
    });
    for (const segment of call.segments(messages)) yield [connection.say(side, segment)];
    if (random.chance(0.1)) yield connection.again();
    if (random.chance(0.5)) yield* call.follows();
  }
  if (random.chance(0.5)) yield [connection.reset()];
}

function* registration(call: Call): Generator<Buffer[]> {
  const { random, meeting } = call;
  const port = meeting.translated ? random.pick([1800, 1801]) + meeting.portShift(2) : random.pick([1719, 1800]);
  for (let i = random.below(20); i >= 0; i--) {
    const side = random.chance(0.55) ? 'client' : 'server';
    const message = call.damaged(
      perBytes(call.messages(side, side === 'client' ? port : 1719, meeting.family === 4).ras),
    );
    yield [datagram(meeting, side, side === 'client' ? [port, 1719] : [1719, port], message)];
    if (random.chance(0.3)) yield* call.follows();
  }
}

/**
 * H.245 over UDP: where the header of TCP would be, the datagram has what was drawn. Behind NAT no header of less than eight
 * bytes: then the kernel writes behind the packet.
 */
function* misplaced(call: Call): Generator<Buffer[]> {
  const { random, meeting } = call;
  const [lengths, headers] = meeting.translated
    ? [
        [12, 12, 16, 8],
        [0x50, 0x60, 0x20, 0x40],
      ]
    : [
        [12, 12, 16, 3],
        [0x50, 0x60, 0],
      ];
  for (let i = random.below(6); i >= 0; i--) {
    const side = random.chance(0.5) ? 'client' : 'server';
    const before = Uint8Array.from({ length: random.pick(lengths) }, (_, at) => (at === 4 ? random.pick(headers) : 0));
    const message = concat(before, tpkt(call.damaged(perBytes(call.messages(side).control))));
    yield [datagram(meeting, side, [2720, 2720], message)];
    if (random.chance(0.3)) yield* call.follows();
  }
}

/** Several conversations at a time, of about `packets` packets in all; through some NAT if `translated`. */
export function h323Traffic(seed: number, packets: number, translated = false): HelperTraffic {
  const random = new Random(seed);
  const nat = translated ? drawHelperNat(random) : NO_NAT;
  const steps: Buffer[] = [];
  const open: Generator<Buffer[]>[] = [];
  while (steps.length < packets) {
    if (open.length < 4) {
      const kind = random.weighted({ signalling: 6, registration: 3, misplaced: 0.5 });
      open.push({ signalling, registration, misplaced }[kind](new Call(random, nat)));
    }
    const at = random.below(open.length);
    const { value, done } = open[at]!.next();
    if (done) open.splice(at, 1);
    else steps.push(...value);
  }
  const rules = (family: 4 | 6): string[] => [h323Rules(nat) + natRules(family, nat)];
  // Media goes up from what was announced, pair by pair; signalling and data are looked for at random.
  const near = new Set(Array.from({ length: NEAR_PORTS }, (_, index) => PORTS[0]! + index));
  const announced = new Map(['Q.931', 'H.245', 'RAS'].map((helper) => [helper, near]));
  const traffic = { name: `seed ${seed}`, steps, rules4: rules(4), rules6: rules(6), outside: outsideAddresses() };
  return translated ? { ...traffic, announced } : traffic;
}
