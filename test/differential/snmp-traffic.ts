// What does SNMP look like on the wire, well-behaved and not? Seeded requests, answers and traps whose values are addresses
// of both ends as each knows them (test/support/ber.ts), many with bytes changed or missing, and errors about them.

import { Random } from '../model/random.ts';
import { Ber } from '../support/ber.ts';
import { addressBytes, icmp, ip, quote, raw, udp } from '../support/packets.ts';
import { damaged } from './h323-traffic.ts';
import { datagram, type Side } from './helper-connection.ts';
import { drawHelperNat, meet, movedPort, type Nat, natRules, outsideAddresses } from './helper-nat.ts';
import type { HelperTraffic } from './helper-traffic.ts';

const REQUESTS = 161;
const TRAPS = 162;

function rules(nat: Nat): string {
  return [
    '*raw',
    ':PREROUTING ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    `-A PREROUTING -p udp -m udp --dport ${movedPort(REQUESTS, nat)} -j CT --helper snmp`,
    `-A PREROUTING -p udp -m udp --dport ${movedPort(TRAPS, nat)} -j CT --helper snmp_trap`,
    `-A PREROUTING -p udp -m udp --dport 5000 --sport ${REQUESTS} -j CT --helper snmp`,
    'COMMIT',
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    '-A FORWARD -m helper --helper snmp_trap -j ACCEPT',
    'COMMIT',
    '',
  ].join('\n');
}

/** A datagram whose length field is not that of the packet. */
function mismeasured(packet: Buffer, by: number): Buffer {
  const header = (packet.readUInt8(0) & 15) * 4;
  const bytes = packet.subarray(header);
  const length = bytes.readUInt16BE(4) + by;
  const out = Buffer.from(bytes);
  out.writeUInt16BE(length, 4);
  // Without a checksum nobody minds.
  out.writeUInt16BE(0, 6);
  const text = (at: number): string => [...packet.subarray(at, at + 4)].join('.');
  return Buffer.from(ip(text(12), text(16), raw(17, out)));
}

function* conversation(random: Random, nat: Nat): Generator<Buffer[]> {
  const meeting = meet(random, false, nat);
  const ber = new Ber(random);
  const damage = random.pick([0, 0, 0.3, 0.6]);
  const asks = 3800 + random.below(2) + meeting.portShift(2);
  const [client, server] = random.pick([
    [asks, REQUESTS],
    [asks, REQUESTS],
    [asks, TRAPS],
    [REQUESTS, TRAPS],
    [REQUESTS, 5000],
  ] as const);
  const known = [meeting.client, meeting.clientSeen, meeting.server, meeting.serverSeen, '198.51.100.1'];
  const addresses = [...known.map(addressBytes), Uint8Array.from([1, 2, 3])];
  for (let i = random.below(14); i >= 0; i--) {
    const side: Side = i > 0 && random.chance(0.5) ? 'client' : 'server';
    const from: Side = i % 7 === 0 ? 'client' : side;
    const message = ber.message(random.chance(0.9) ? addresses.slice(0, known.length) : addresses);
    const payload = random.chance(0.03) ? new Uint8Array(0) : damaged(random, message, damage);
    const ports = { client, server };
    const back = from === 'client' ? 'server' : 'client';
    const packet = datagram(meeting, from, [ports[from], ports[back]], payload);
    yield [random.chance(0.04) ? mismeasured(packet, random.pick([-1, -2, -8])) : packet];
    if (random.chance(0.08)) {
      // An error quotes the packet as it arrived.
      const [own, other] = meeting.way(back);
      const arrived = ip(other, own, udp({ sport: meeting.known(back, ports[from]), dport: ports[back], payload }));
      yield [Buffer.from(ip(own, other, icmp({ type: 3, code: 3, payload: quote(arrived) })))];
    }
  }
}

/** Several conversations at a time, of about `packets` packets in all, through this NAT or some. */
export function snmpTraffic(seed: number, packets: number, given?: Nat): HelperTraffic {
  const random = new Random(seed);
  const nat = given ?? drawHelperNat(random);
  const steps: Buffer[] = [];
  const open: Generator<Buffer[]>[] = [];
  while (steps.length < packets) {
    if (open.length < 4) open.push(conversation(random, nat));
    const at = random.below(open.length);
    const { value, done } = open[at]!.next();
    if (done) open.splice(at, 1);
    else steps.push(...value);
  }
  return {
    name: `seed ${seed}`,
    steps,
    rules4: [rules(nat) + natRules(4, nat)],
    rules6: [],
    outside: outsideAddresses(),
    announced: new Map(),
  };
}
