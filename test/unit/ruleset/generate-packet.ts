// Random packets whose values are those that generated rules ask for, often enough.
import { CtState, Proto, Status } from '../../../assembly/vocabulary.ts';
import { EXPECTED_INTERFACES, ipv4, ipv6, sctpChunks, type TestPacket } from './rule-bench.ts';

type Pick<T> = (choices: readonly T[]) => T;

const SECOND = 1_000_000_000n;

export const ADDRESSES4 = [
  '10.0.0.1',
  '10.0.0.255',
  '10.1.2.3',
  '192.168.1.7',
  '127.0.0.1',
  '224.0.0.5',
  '8.8.8.8',
].map(ipv4);
export const ADDRESSES6 = ['2001:db8::1', '2001:db8::2', 'fd00::9', 'ff02::1', '::1', '::', 'fe80::1:2'].map(ipv6);
const PROTOCOLS = [
  Proto.TCP,
  Proto.TCP,
  Proto.UDP,
  Proto.ICMP,
  Proto.ICMPV6,
  Proto.UDPLITE,
  Proto.SCTP,
  Proto.SCTP,
  47,
];
export const TOS = [0, 0x10, 0xb8, 0xbb, 0x20, 0x01];
export const PORTS = [0, 22, 53, 80, 443, 1024, 40000, 65535];
const TRANSPORTS: readonly (readonly number[])[] = [
  [],
  [2, 4, 0x05, 0xb4],
  [1, 1, 5, 2],
  [2, 4, 0x02, 0x18, 4, 2, 1, 1],
  [8, 0, 2, 4],
  [3, 9, 1, 2],
  [1, 1, 1, 2],
];

/** A packet whose values are those that generated rules ask for, often enough. */
export function generatePacket(family: 2 | 10, next: () => number, clock: bigint): TestPacket {
  const pick = <T>(choices: readonly T[]): T => choices[next() % choices.length] as T;
  const addresses = family === 2 ? ADDRESSES4 : ADDRESSES6;
  const protocol = pick(PROTOCOLS);
  const sport = pick(PORTS);
  const dport = pick(PORTS);
  const generated = generateTransport(protocol, sport, dport, pick);
  const transport = protocol === Proto.SCTP ? sctpChunks(sport, dport, next) : generated;
  const cut = pick([0, 0, 0, 0, 0, 0, 3, 9, 12]);
  const tracked = pick([true, true, false]);
  const packet: TestPacket = {
    family,
    source: pick(addresses),
    destination: pick(addresses),
    sport,
    dport,
    protocol,
    transport: cut > 0 ? transport.slice(0, cut) : transport,
    length: pick([28, 40, 60, 576, 1500]),
    fragmentOffset: family === 2 ? pick([0, 0, 0, 0, 0, 1, 185]) : 0,
    mark: pick([0, 1, 0x10, 0xff00, 0xffffffff]),
    iif: next() % EXPECTED_INTERFACES.length,
    oif: next() % EXPECTED_INTERFACES.length,
    ttl: pick([1, 5, 64, 255]),
    tos: pick(TOS),
    pkttype: next() % 4,
    clock,
    ctState: tracked
      ? pick([CtState.NEW, CtState.ESTABLISHED, CtState.RELATED])
      : pick([CtState.NONE, CtState.INVALID, CtState.UNTRACKED]),
    direction: next() % 2,
  };
  if (pick([true, true, false])) packet.mac = Uint8Array.from([2, 0, 0, 0, 0, next() % 3]);
  if (tracked) {
    packet.flow = {
      mark: pick([0, 1, 0x10, 0xff00]),
      carried: [next() % 12, next() % 20000, next() % 6, next() % 400].map(BigInt) as [bigint, bigint, bigint, bigint],
      status: pick([0, Status.CONFIRMED, 14, 14 | Status.SRC_NAT, 9 | Status.DST_NAT]),
      expires: clock + BigInt(pick([-5, 0, 1, 5, 29, 30, 600])) * SECOND + BigInt(next() % 5_000_000),
      original: { source: pick(addresses), destination: pick(addresses), sport: pick(PORTS), dport: pick(PORTS) },
    };
  }
  return packet;
}

function generateTransport(
  protocol: number,
  sport: number,
  dport: number,
  pick: Pick<number> & Pick<readonly number[]>,
) {
  if (protocol === Proto.TCP) {
    const options = pick(TRANSPORTS);
    const length = 20 + options.length;
    const bytes = new Uint8Array(length);
    bytes.set([sport >> 8, sport & 255, dport >> 8, dport & 255]);
    bytes.set([pick([length << 2, length << 2, length << 2, 0x40, 0xf0]), pick([2, 16, 18, 4, 0, 41, 63])], 12);
    bytes.set(options, 20);
    return bytes;
  }
  const bytes = new Uint8Array(8);
  if (protocol === Proto.ICMP || protocol === Proto.ICMPV6) {
    bytes.set([pick([0, 3, 8, 11, 128, 135, 1]), pick([0, 1, 3, 4])]);
  } else {
    bytes.set([sport >> 8, sport & 255, dport >> 8, dport & 255]);
  }
  return bytes;
}
