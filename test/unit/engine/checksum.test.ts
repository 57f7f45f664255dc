// When is a packet's checksum wrong, when is it only unfinished, and when does nobody look? Expectations: RFC 1071, 768,
// 8200 section 8.1; nf_conntrack_checksum looks at transport checksums on receipt (tcp_error(), udp_error(), ...), and a
// host that leaves the sum to its network card writes the sum of the pseudo header (CHECKSUM_PARTIAL).

import { beforeAll, describe, expect, it } from 'vitest';
import { Checksums } from '../../../assembly/vocabulary.ts';
import { BUILDS, openEngine, SECOND, type TestEngine } from '../../support/engine.ts';
import { concat, icmp, icmp6, internetChecksum, ip, type Transport, tcp, udp } from '../../support/packets.ts';

const V4 = ['192.0.2.1', '198.51.100.7'] as const;
const V6 = ['2001:db8::1', '2001:db8::2'] as const;
const { IGNORE, VERIFY, AUTO } = Checksums;
const NOW = 1_700_000_000n * SECOND;

const transports = (bad: boolean): [name: string, transport: Transport, hosts: readonly [string, string]][] => [
  ['TCP over IPv4', tcp({ sport: 1, dport: 2, flags: 'S', payload: 7, badChecksum: bad }), V4],
  ['TCP over IPv6', tcp({ sport: 1, dport: 2, flags: 'S', payload: 8, badChecksum: bad }), V6],
  ['UDP over IPv4', udp({ sport: 1, dport: 2, payload: 33, badChecksum: bad }), V4],
  ['UDP over IPv6', udp({ sport: 1, dport: 2, payload: 34, badChecksum: bad }), V6],
  ['ICMP', icmp({ type: 8, id: 1, payload: 5, badChecksum: bad }), V4],
  ['ICMPv6', icmp6({ type: 128, id: 1, payload: 5, badChecksum: bad }), V6],
];

/** The packet with its transport checksum field as given. */
function withChecksum(packet: Uint8Array, transport: Transport, value: number): Uint8Array {
  const data = packet.slice();
  const at = (data[0]! >> 4 === 6 ? 40 : 20) + transport.checksumAt!;
  data.set([value >> 8, value & 255], at);
  return data;
}

/** What a host leaves to its network card: the folded sum of the pseudo header, not complemented. */
function partial(packet: Uint8Array, protocol: number): number {
  const six = packet[0]! >> 4 === 6;
  const addresses = six ? packet.slice(8, 40) : packet.slice(12, 20);
  const length = packet.length - (six ? 40 : 20);
  return ~internetChecksum(addresses, Uint8Array.from([0, 0, length >> 8, length & 255, 0, 0, 0, protocol])) & 0xffff;
}

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });
  const flags = (data: Uint8Array, checksums: Checksums, length = data.length) =>
    engine.decode([{ time: NOW, data, length }], { checksums })[0]!.flags;

  it.each(transports(false))('%s, right', (_, transport, hosts) => {
    for (const mode of [IGNORE, VERIFY, AUTO]) expect(flags(ip(...hosts, transport), mode)).toEqual([]);
  });

  it('right for every length of payload', () => {
    for (let payload = 0; payload < 70; payload++) {
      const body = Uint8Array.from({ length: payload }, (_, i) => (i * 97 + 211) & 255);
      expect(flags(ip(...V4, udp({ sport: 1, dport: 2, payload: body })), VERIFY)).toEqual([]);
      expect(flags(ip(...V6, tcp({ sport: 1, dport: 2, flags: 'S', payload: body })), VERIFY)).toEqual([]);
    }
  });

  it.each(transports(true))('%s, wrong', (_, transport, hosts) => {
    const data = ip(...hosts, transport);
    expect(flags(data, IGNORE)).toEqual([]);
    expect(flags(data, VERIFY)).toEqual(['BAD_CHECKSUM']);
    expect(flags(data, AUTO)).toEqual(['BAD_CHECKSUM']);
  });

  it.each(transports(true))('%s, wrong, is INVALID unless nf_conntrack_checksum is 0', (_, transport, hosts) => {
    const frame = { time: NOW, data: ip(...hosts, transport) };
    const looking = engine.world({ checksums: VERIFY });
    expect(looking.one(frame)).toMatchObject({ ctState: 'INVALID', reason: 'BAD_CHECKSUM', verdict: 'ACCEPT' });
    expect(looking.flowCount).toBe(0);
    const blind = engine.world({ checksums: VERIFY, sysctls: { CHECKSUM: 0 } });
    expect(blind.one(frame)).toMatchObject({ ctState: 'NEW', reason: 'NONE' });
  });

  it.each(transports(true))('%s, wrong, cannot be told once the capture was cut', (_, transport, hosts) => {
    const data = ip(...hosts, transport);
    expect(flags(data.slice(0, data.length - 1), VERIFY, data.length)).toEqual([]);
  });

  it.each(transports(false).filter(([, { covers }]) => covers === 'pseudo'))(
    '%s, left to the network card',
    (_, transport, hosts) => {
      const whole = ip(...hosts, transport);
      const data = withChecksum(whole, transport, partial(whole, transport.protocol));
      expect(flags(data, VERIFY)).toEqual(['BAD_CHECKSUM']);
      expect(flags(data, AUTO)).toEqual(['OFFLOADED']);
    },
  );

  it('a zero checksum: none for UDP, offload for TCP and ICMP', () => {
    for (const [name, transport, hosts] of transports(false)) {
      const data = withChecksum(ip(...hosts, transport), transport, 0);
      const none = name.startsWith('UDP');
      expect([name, flags(data, VERIFY)]).toEqual([name, none ? [] : ['BAD_CHECKSUM']]);
      expect([name, flags(data, AUTO)]).toEqual([name, none ? [] : ['OFFLOADED']]);
    }
  });

  it('UDP is summed over the whole IP payload, whatever its own length says', () => {
    // nf_ip_checksum() takes skb->len: what lies behind a shorter datagram is counted.
    const inner = udp({ sport: 1, dport: 2, payload: 4 });
    const data = ip(...V4, { ...inner, bytes: concat(inner.bytes, Uint8Array.from([0, 0])) });
    expect(flags(data, VERIFY)).toEqual([]);
    data[data.length - 1] = 9;
    expect(flags(data, VERIFY)).toEqual(['BAD_CHECKSUM']);
  });

  it('bytes behind the packet are not summed', () => {
    const data = ip(...V4, udp({ sport: 1, dport: 2, payload: 5 }));
    expect(flags(concat(data, Uint8Array.from([7, 7, 7])), VERIFY)).toEqual([]);
  });

  it('IPv4 header checksum', () => {
    const segment = udp({ sport: 1, dport: 2 });
    const bad = ip(...V4, segment, { badIpChecksum: true });
    const decode = (data: Uint8Array, checksums: Checksums) => engine.decode([{ time: NOW, data }], { checksums })[0]!;
    expect(decode(bad, IGNORE)).toMatchObject({ reason: 'NONE', queued: true });
    expect(decode(bad, VERIFY)).toMatchObject({ reason: 'BAD_IP_CHECKSUM', queued: false });
    expect(decode(bad, AUTO)).toMatchObject({ reason: 'BAD_IP_CHECKSUM', queued: false });
    const zero = bad.slice();
    zero.set([0, 0], 10);
    expect(decode(zero, VERIFY)).toMatchObject({ reason: 'BAD_IP_CHECKSUM' });
    expect(decode(zero, AUTO)).toMatchObject({ reason: 'NONE', flags: ['OFFLOADED'] });
    const options = ip(...V4, segment, { options: [1, 1, 1, 0] });
    expect(decode(options, VERIFY)).toMatchObject({ reason: 'NONE', flags: ['IP_OPTIONS'] });
    options[22] = 0;
    expect(decode(options, VERIFY)).toMatchObject({ reason: 'BAD_IP_CHECKSUM' });
  });
});
