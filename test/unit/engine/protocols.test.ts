// UDP, ICMP and ICMPv6 queries, and protocols without a tracker: states, timeouts, events, accounting. Expectations:
// nf_conntrack_proto_udp.c, _icmp.c, _icmpv6.c, _generic.c, and what a kernel 6.18 was seen to do.

import { beforeAll, describe, expect, it } from 'vitest';
import { BUILDS, openEngine, SECOND, type Sysctls, type TestEngine } from '../../support/engine.ts';
import { icmp, icmp6, ip, raw, type Transport, tcp, udp } from '../../support/packets.ts';

const NOW = 1_700_000_000n * SECOND;
const [A, B] = ['192.0.2.1', '198.51.100.7'] as const;
const [A6, B6] = ['2001:db8::1', '2001:db8::2'] as const;

/** Name, builder, hosts, queries with their answers, types that begin nothing and answer nothing. */
type Family = [string, typeof icmp, string, string, [query: number, answer: number][], number[]];
const FAMILIES: Family[] = [
  [
    'ICMP',
    icmp,
    A,
    B,
    [
      [8, 0],
      [13, 14],
      [15, 16],
      [17, 18],
    ],
    [1, 2, 6, 7, 9, 10],
  ],
  [
    'ICMPv6',
    icmp6,
    A6,
    B6,
    [
      [128, 129],
      [139, 140],
    ],
    [138, 141, 142, 144, 150, 153, 200, 255],
  ],
];

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });

  /** A world in which packets are sent `at` ns after the start; answers are `STATE kind-of-events`. */
  const open = (sysctls: Partial<Sysctls> = {}) => {
    engine.reset();
    const world = engine.world({ sysctls });
    const send = (from: string, to: string, transport: Transport, at = 0n) =>
      world.one({ time: NOW + at, data: ip(from, to, transport) });
    const events = () =>
      world
        .takeEvents()
        .map((e) =>
          `[${e.kind}] ${e.timeout} ${e.bits.join('+')} ${e.status.filter((bit) => bit !== 'CONFIRMED').join('+')}`.trim(),
        );
    const left = (at = 0n) => world.table(NOW + at)[0]?.timeout;
    return { world, send, events, left };
  };

  describe('UDP', () => {
    const query = udp({ sport: 5353, dport: 53, payload: 4 });
    const answer = udp({ sport: 53, dport: 5353, payload: 9 });

    it('NEW until it is answered, ESTABLISHED from the answer on', () => {
      const { send, events, left } = open();
      expect(send(A, B, query)).toMatchObject({ ctState: 'NEW', dir: 'ORIGINAL', status: [] });
      expect(send(A, B, query)).toMatchObject({ ctState: 'NEW' });
      expect(send(B, A, answer)).toMatchObject({ ctState: 'ESTABLISHED', dir: 'REPLY', status: ['SEEN_REPLY'] });
      expect(send(A, B, query)).toMatchObject({ ctState: 'ESTABLISHED', dir: 'ORIGINAL' });
      expect(left()).toBe(30);
      expect(events()).toEqual(['[NEW] 30 NEW', '[UPDATE] 30 REPLY SEEN_REPLY']);
    });

    it('a stream once it is still active more than two seconds after its birth, not at two seconds', () => {
      const { send, events, left } = open();
      send(A, B, query);
      send(B, A, answer, 1n);
      send(A, B, query, 2n * SECOND);
      expect(left(2n * SECOND)).toBe(30);
      events();
      expect(send(B, A, answer, 2n * SECOND + 1n).status).toEqual(['SEEN_REPLY', 'ASSURED']);
      expect(left(2n * SECOND + 1n)).toBe(120);
      expect(events()).toEqual(['[UPDATE] 120 ASSURED SEEN_REPLY+ASSURED']);
    });

    it('the first answer does not make a stream, however late it is', () => {
      const { send, left } = open();
      send(A, B, query);
      expect(send(B, A, answer, 20n * SECOND).status).toEqual(['SEEN_REPLY']);
      expect(left(20n * SECOND)).toBe(30);
      expect(send(A, B, query, 20n * SECOND).status).toEqual(['SEEN_REPLY', 'ASSURED']);
    });

    it('timeouts are sysctls', () => {
      const { send, left } = open({ UDP_TIMEOUT: 7, UDP_TIMEOUT_STREAM: 9 });
      send(A, B, query);
      expect(left()).toBe(7);
      send(B, A, answer, SECOND);
      send(A, B, query, 3n * SECOND);
      expect(left(3n * SECOND)).toBe(9);
    });

    it.each([0, 7, 13])('a length field of %i in twelve bytes: INVALID', (length) => {
      const { world, send } = open();
      const said = send(A, B, udp({ sport: 1, dport: 2, payload: 4, length }));
      expect(said).toMatchObject({ ctState: 'INVALID', reason: 'TRUNCATED_L4', verdict: 'ACCEPT' });
      expect(world.flowCount).toBe(0);
    });
    it.each([8, 11, 12])('a length field of %i in twelve bytes is fine', (length) => {
      expect(open().send(A, B, udp({ sport: 1, dport: 2, payload: 4, length })).ctState).toBe('NEW');
    });
    it('fewer than eight bytes: INVALID', () => {
      for (let size = 0; size < 8; size++) {
        expect(open().send(A, B, raw(17, size))).toMatchObject({ ctState: 'INVALID', reason: 'TRUNCATED_L4' });
      }
    });
    it('ports may be 0', () => {
      expect(open().send(A, B, udp({ sport: 0, dport: 0 })).ctState).toBe('NEW');
    });
    it('other ports, other addresses, other protocols are other flows', () => {
      const { world, send } = open();
      for (const [from, to, sport, dport] of [
        [A, B, 1, 2],
        [A, B, 1, 3],
        [A, B, 3, 2],
        [A, '198.51.100.8', 1, 2],
        ['192.0.2.9', B, 1, 2],
      ] as const) {
        expect(send(from, to, udp({ sport, dport })).ctState).toBe('NEW');
      }
      expect(send(A, B, tcp({ sport: 1, dport: 2, flags: 'S' })).ctState).toBe('NEW');
      expect(send('2001:db8::', '2001:db8::1', udp({ sport: 1, dport: 2 })).ctState).toBe('NEW');
      expect(world.flowCount).toBe(7);
    });
  });

  describe.each(FAMILIES)('%s', (name, message, from, to, queries, others) => {
    it.each(queries)('query %i is answered by %i', (query, answer) => {
      const { send, events, left } = open();
      expect(send(from, to, message({ type: query, id: 7 }))).toMatchObject({ ctState: 'NEW', events: ['NEW'] });
      expect(send(to, from, message({ type: answer, id: 8 }))).toMatchObject({
        ctState: 'INVALID',
        reason: 'ICMP_INVALID_NEW',
        whyValue: answer,
      });
      expect(send(to, from, message({ type: answer, code: 1, id: 7 })).ctState).toBe('INVALID');
      expect(send(to, from, message({ type: answer, id: 7 }))).toMatchObject({ ctState: 'ESTABLISHED', dir: 'REPLY' });
      expect(send(to, from, message({ type: answer, id: 7 })).events).toEqual([]);
      expect(send(from, to, message({ type: query, id: 7 }))).toMatchObject({
        ctState: 'ESTABLISHED',
        dir: 'ORIGINAL',
      });
      expect(left()).toBe(30);
      expect(events()).toEqual(['[NEW] 30 NEW', '[UPDATE] 30 REPLY SEEN_REPLY']);
    });
    it.each(queries)('both sides may ask %i with one id: two flows', (query) => {
      const { world, send } = open();
      send(from, to, message({ type: query, id: 7 }));
      expect(send(to, from, message({ type: query, id: 7 })).ctState).toBe('NEW');
      expect(world.flowCount).toBe(2);
    });
    it.each(queries)('answer without a query (%i: %i): INVALID', (_, answer) => {
      expect(open().send(from, to, message({ type: answer, id: 1 }))).toMatchObject({
        ctState: 'INVALID',
        reason: 'ICMP_INVALID_NEW',
      });
    });
    it.each(others.map((type) => [type]))('type %i: INVALID', (type) => {
      const { world, send } = open();
      expect(send(from, to, message({ type, id: 1 }))).toMatchObject({ ctState: 'INVALID', reason: 'ICMP_BAD_TYPE' });
      expect(world.flowCount).toBe(0);
    });
    it('fewer than eight bytes: INVALID', () => {
      for (let size = 0; size < 8; size++) {
        const transport = raw(name === 'ICMP' ? 1 : 58, size);
        expect(open().send(from, to, transport)).toMatchObject({ ctState: 'INVALID', reason: 'TRUNCATED_L4' });
      }
    });
    it('its timeout is a sysctl', () => {
      const { send, left } = open({ ICMP_TIMEOUT: 5, ICMPV6_TIMEOUT: 6 });
      send(from, to, message({ type: queries[0]![0], id: 1 }));
      expect(left()).toBe(name === 'ICMP' ? 5 : 6);
    });
  });

  it('ICMP types above 18 are refused by number (NR_ICMP_TYPES)', () => {
    for (const type of [19, 30, 40, 128, 255]) {
      expect(open().send(A, B, icmp({ type }))).toMatchObject({
        ctState: 'INVALID',
        reason: 'ICMP_BAD_TYPE',
        whyValue: type,
      });
    }
  });
  it('ICMPv6 over IPv4 and ICMP over IPv6: INVALID', () => {
    expect(open().send(A, B, raw(58, Uint8Array.from([128, 0, 0, 0, 0, 1, 0, 0]))).ctState).toBe('INVALID');
    expect(open().send(A6, B6, raw(1, Uint8Array.from([8, 0, 0, 0, 0, 1, 0, 0]))).ctState).toBe('INVALID');
  });
  it.each([130, 131, 132, 133, 134, 135, 136, 143, 151, 152])('ICMPv6 type %i: UNTRACKED', (type) => {
    const { world, send, events } = open();
    expect(send(A6, B6, icmp6({ type, payload: 16 }))).toMatchObject({
      ctState: 'UNTRACKED',
      verdict: 'ACCEPT',
      flowId: 0,
    });
    expect([world.flowCount, events()]).toEqual([0, []]);
  });

  describe('protocols without a tracker', () => {
    it.each([4, 33, 50, 89, 253])('%i: a flow of two addresses for 600 seconds', (protocol) => {
      const { world, send, events, left } = open();
      expect(send(A, B, raw(protocol, 30)).ctState).toBe('NEW');
      expect(send(A, B, raw(protocol, 0)).ctState).toBe('NEW');
      expect(left()).toBe(600);
      expect(send(B, A, raw(protocol, Uint8Array.from([9, 9, 9, 9])), SECOND)).toMatchObject({
        ctState: 'ESTABLISHED',
        dir: 'REPLY',
      });
      expect(left(SECOND)).toBe(600);
      expect(events()).toEqual(['[NEW] 600 NEW', '[UPDATE] 600 REPLY SEEN_REPLY']);
      expect(world.table()[0]!.original).toMatchObject({ sport: 0, dport: 0, protonum: protocol });
    });
    it('over IPv6, without any payload', () => {
      expect(open().send(A6, B6, raw(253, 0)).ctState).toBe('NEW');
    });
    it('IPv6 without a next header (59): INVALID', () => {
      expect(open().send(A6, B6, raw(59, 8))).toMatchObject({ ctState: 'INVALID', reason: 'TRUNCATED_L4' });
    });
  });

  describe('IPv6 extension headers that promise more than there is', () => {
    // Seen on 6.18: the offset of the transport lies behind the packet, which only matters to protocols that read it.
    const beyond = (protocol: number) => {
      const data = ip(A6, B6, raw(protocol, 8), { extensions: [{ protocol: 60, bytes: [1, 4, 0, 0, 0, 0] }] });
      data[41] = 9;
      return { time: NOW, data };
    };
    it.each([6, 17, 58])('protocol %i: INVALID', (protocol) => {
      expect(open().world.one(beyond(protocol))).toMatchObject({ ctState: 'INVALID', reason: 'TRUNCATED_L4' });
    });
    it('protocol 252: tracked', () => {
      expect(open().world.one(beyond(252))).toMatchObject({ ctState: 'NEW', events: ['NEW'] });
    });
    it('two bytes of a header that names protocol 251: tracked; one byte: INVALID', () => {
      expect(open().send(A6, B6, raw(60, Uint8Array.from([251, 0]))).ctState).toBe('NEW');
      expect(open().send(A6, B6, raw(60, Uint8Array.from([251]))).ctState).toBe('INVALID');
    });
  });

  describe('a host and port that talk to themselves', () => {
    // Seen on 6.18: original and reply tuple are one, and the reply is found first.
    it.each([
      ['UDP', udp({ sport: 5, dport: 5 })],
      ['TCP', tcp({ sport: 5, dport: 5, flags: 'S', seq: 1 })],
      ['protocol 253', raw(253, 4)],
    ])('%s: the second packet is a reply', (_, transport) => {
      const { send } = open();
      expect(send(A, A, transport)).toMatchObject({ ctState: 'NEW', dir: 'ORIGINAL', events: ['NEW'] });
      expect(send(A, A, transport)).toMatchObject({ ctState: 'ESTABLISHED', dir: 'REPLY', events: ['UPDATE'] });
      expect(send(A, A, transport)).toMatchObject({ ctState: 'ESTABLISHED', dir: 'REPLY' });
    });
    it('ICMP: a query is never its own answer; other ports are another direction', () => {
      const { send } = open();
      send(A, A, icmp({ type: 8, id: 1 }));
      expect(send(A, A, icmp({ type: 8, id: 1 }))).toMatchObject({ ctState: 'NEW', dir: 'ORIGINAL' });
      expect(send(A, A, icmp({ type: 0, id: 1 }))).toMatchObject({ ctState: 'ESTABLISHED', dir: 'REPLY' });
      send(A, A, udp({ sport: 5, dport: 6 }));
      expect(send(A, A, udp({ sport: 5, dport: 6 }))).toMatchObject({ ctState: 'NEW', dir: 'ORIGINAL' });
    });
  });

  describe('accounting', () => {
    const counts = (world: ReturnType<typeof open>['world']) => {
      const { packetsOriginal, bytesOriginal, packetsReply, bytesReply } = world.table()[0]!;
      return [packetsOriginal, bytesOriginal, packetsReply, bytesReply];
    };
    it('counts IP bytes by direction, in the entry and in its DESTROY', () => {
      const { world, send } = open({ ACCT: 1 });
      send(A, B, udp({ sport: 1, dport: 2, payload: 10 }));
      send(B, A, udp({ sport: 2, dport: 1, payload: 20 }));
      send(B, A, udp({ sport: 2, dport: 1 }));
      expect(counts(world)).toEqual([1, 38, 2, 48 + 28]);
      world.sweep(NOW + 30n * SECOND);
      expect(world.takeEvents().at(-1)).toMatchObject({
        kind: 'DESTROY',
        packetsOriginal: 1,
        bytesOriginal: 38,
        packetsReply: 2,
        bytesReply: 76,
      });
    });
    it('padding does not count, what the capture cut does', () => {
      const { world } = open({ ACCT: 1 });
      const data = ip(A, B, udp({ sport: 1, dport: 2, payload: 100 }));
      world.one({ time: NOW, data: data.slice(0, 40), length: data.length });
      world.one({ time: NOW, data: Uint8Array.from([...data, 0, 0, 0]) });
      expect(counts(world)).toEqual([2, 256, 0, 0]);
    });
    it('a repeated SYN, INVALID packets and ICMP errors are not counted; a reset that destroys is', () => {
      const { world, send } = open({ ACCT: 1 });
      const syn = tcp({ sport: 1, dport: 2, flags: 'S' });
      send(A, B, syn);
      send(A, B, syn);
      send(A, B, tcp({ sport: 1, dport: 2, flags: 'FA' }));
      send('203.0.113.1', A, icmp({ type: 3, code: 1, payload: ip(A, B, syn) }));
      expect(counts(world)).toEqual([1, 40, 0, 0]);
      send(B, A, tcp({ sport: 2, dport: 1, flags: 'RA', ack: 1 }));
      expect(world.takeEvents().at(-1)).toMatchObject({
        kind: 'DESTROY',
        packetsOriginal: 1,
        packetsReply: 1,
        bytesReply: 40,
      });
    });
    it('an entry that takes the place of a dead one starts at zero', () => {
      const { world, send } = open({ ACCT: 1 });
      for (let i = 0n; i < 3n; i++) send(A, B, udp({ sport: 1, dport: 2 }), i);
      world.sweep(NOW + 100n * SECOND);
      send(A, B, udp({ sport: 3, dport: 4 }), 101n * SECOND);
      expect(counts(world)).toEqual([1, 28, 0, 0]);
    });
    it('timestamps: the time of confirmation; without either sysctl nothing is kept', () => {
      const { world, send } = open({ TIMESTAMP: 1 });
      send(A, B, udp({ sport: 1, dport: 2 }), 5n);
      expect(world.table()[0]!.start).toBe(NOW + 5n);
      const bare = open();
      bare.send(A, B, udp({ sport: 1, dport: 2 }));
      expect(bare.world.table()[0]).toMatchObject({ start: 0n, packetsOriginal: 0, bytesOriginal: 0 });
    });
  });
});
