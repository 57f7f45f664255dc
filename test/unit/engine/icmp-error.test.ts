// Which ICMP errors are RELATED to the flow that they quote, and which are INVALID? Expectations: RFC 792, 4443, 4861,
// nf_conntrack_inet_error() and what a kernel 6.18 was seen to do.

import { beforeAll, describe, expect, it } from 'vitest';
import { BUILDS, openEngine, SECOND, type TestEngine } from '../../support/engine.ts';
import { concat, icmp, icmp6, ip, quote, raw, tcp, udp } from '../../support/packets.ts';

const NOW = 1_700_000_000n * SECOND;
const ROUTER = '203.0.113.1';
const [A, B] = ['192.0.2.1', '198.51.100.7'] as const;
const [A6, B6] = ['2001:db8::1', '2001:db8::2'] as const;

const OFFERS = [
  ['TCP', tcp({ sport: 1, dport: 2, flags: 'S' }), tcp({ sport: 2, dport: 1, flags: 'SA', ack: 1 })],
  ['UDP', udp({ sport: 1, dport: 2 }), udp({ sport: 2, dport: 1 })],
  ['ICMP', icmp({ type: 8, id: 3 }), icmp({ type: 0, id: 3 })],
  ['protocol 253', raw(253, 8), raw(253, 8)],
] as const;

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });
  const open = (...packets: Uint8Array[]) => {
    engine.reset();
    const world = engine.world();
    const send = (data: Uint8Array, at = 0n) => world.one({ time: NOW + at, data });
    for (const packet of packets) send(packet);
    return { world, send };
  };
  const error = (to: string, quoted: Uint8Array, type = 3, from: string = ROUTER) =>
    ip(from, to, icmp({ type, code: 1, payload: quoted }));

  describe.each(OFFERS)('quoting %s', (_, there, back) => {
    const first = ip(A, B, there);
    it.each([3, 4, 5, 11, 12])('type %i, quoting the original direction: RELATED, in the reply direction', (type) => {
      const { world, send } = open(first);
      world.takeEvents();
      expect(send(error(A, quote(first), type))).toMatchObject({
        ctState: 'RELATED',
        dir: 'REPLY',
        flowId: 1,
        events: [],
        flags: ['ICMP_ERROR'],
        verdict: 'ACCEPT',
      });
      expect(world.takeEvents()).toEqual([]);
      expect(world.flowCount).toBe(1);
    });
    it('quoting the reply direction: RELATED, in the original direction', () => {
      const answer = ip(B, A, back);
      expect(open(first, answer).send(error(B, quote(answer)))).toMatchObject({ ctState: 'RELATED', dir: 'ORIGINAL' });
    });
    it('does not keep the flow alive, and is no answer', () => {
      const { world, send } = open(first);
      const before = world.table()[0]!.timeout;
      send(error(A, quote(first)), 5n * SECOND);
      expect(world.table(NOW + 5n * SECOND)[0]).toMatchObject({ timeout: before - 5, status: ['CONFIRMED'] });
    });
    it('sent to another than the sender of the quoted packet: INVALID', () => {
      expect(open(first).send(error('192.0.2.99', quote(first)))).toMatchObject({
        ctState: 'INVALID',
        reason: 'ICMP_ERROR_WRONG_SENDER',
        flowId: 0,
      });
    });
    it('of no known flow: INVALID', () => {
      expect(open().send(error(A, quote(first)))).toMatchObject({ ctState: 'INVALID', reason: 'ICMP_ERROR_NO_FLOW' });
    });
    it('of a flow that has just expired: INVALID, and the entry is gone', () => {
      const { world, send } = open(first);
      const end = BigInt(world.table()[0]!.timeout) * SECOND;
      expect(send(error(A, quote(first)), end)).toMatchObject({ ctState: 'INVALID', reason: 'ICMP_ERROR_NO_FLOW' });
      expect(world.flowCount).toBe(0);
    });
    it('as nobody would have answered it, against the direction: INVALID', () => {
      // A quoted packet of the reply direction has to be sent to B.
      expect(open(first).send(error(A, quote(ip(B, A, back)))).ctState).toBe('INVALID');
    });
  });

  describe('how much has to be quoted', () => {
    // A flow is told by its ports or its ICMP id: four bytes behind the header for TCP and UDP, eight for ICMP.
    it.each([
      ['TCP', OFFERS[0][1], 4],
      ['UDP', OFFERS[1][1], 4],
      ['ICMP', OFFERS[2][1], 8],
      ['protocol 253', OFFERS[3][1], 0],
    ] as const)('%s', (_, transport, needed) => {
      const first = ip(A, B, transport);
      for (let size = 0; size <= 28; size++) {
        const said = open(first).send(error(A, first.slice(0, size)));
        expect(`${size} ${said.ctState} ${said.reason}`).toBe(
          `${size} ${size >= 20 + needed ? 'RELATED NONE' : 'INVALID ICMP_ERROR_SHORT'}`,
        );
      }
    });
    it('options of the quoted header count', () => {
      const first = ip(A, B, OFFERS[0][1], { options: [1, 1, 1, 0] });
      expect(open(first).send(error(A, first.slice(0, 27))).reason).toBe('ICMP_ERROR_SHORT');
      expect(open(first).send(error(A, first.slice(0, 28))).ctState).toBe('RELATED');
    });
    it('IPv6, with extension headers in the quoted packet', () => {
      const extensions = [
        { protocol: 0, bytes: [1, 4, 0, 0, 0, 0] },
        { protocol: 60, bytes: [1, 4, 0, 0, 0, 0] },
      ];
      const first = ip(A6, B6, udp({ sport: 1, dport: 2 }), { extensions });
      for (let size = 0; size <= first.length; size++) {
        const said = open(first).send(ip('2001:db8::9', A6, icmp6({ type: 1, payload: first.slice(0, size) })));
        expect(`${size} ${said.ctState}`).toBe(`${size} ${size >= 60 ? 'RELATED' : 'INVALID'}`);
      }
    });
  });

  it('of a quoted IPv6 extension header two bytes are enough where the protocol has no ports', () => {
    const first = ip(A6, B6, raw(254, 0), { extensions: [{ protocol: 60, bytes: [1, 4, 0, 0, 0, 0] }] });
    const said = [41, 42, 48].map((size) =>
      open(first).send(ip(B6, A6, icmp6({ type: 1, payload: first.slice(0, size) }))),
    );
    expect(said.map((p) => p.ctState)).toEqual(['INVALID', 'RELATED', 'RELATED']);
  });
  it('the version of what is quoted does not matter', () => {
    const first = ip(A, B, OFFERS[1][1]);
    const odd = first.slice();
    odd[0] = 0x65;
    expect(open(first).send(error(A, odd)).ctState).toBe('RELATED');
  });
  it('a quoted later fragment shows no flow: INVALID', () => {
    const first = ip(A, B, OFFERS[1][1]);
    const later = ip(A, B, OFFERS[1][1], { fragment: { offset: 8, more: false } });
    expect(open(first).send(error(A, later))).toMatchObject({ ctState: 'INVALID', reason: 'ICMP_ERROR_UNKNOWN_PROTO' });
  });
  it('a quoted first fragment does', () => {
    const first = ip(A, B, OFFERS[1][1]);
    const begun = ip(A, B, OFFERS[1][1], { fragment: { offset: 0, more: true } });
    expect(open(first).send(error(A, begun)).ctState).toBe('RELATED');
  });
  it('an error that quotes an error: INVALID', () => {
    const first = ip(A, B, OFFERS[1][1]);
    expect(open(first).send(error(ROUTER, error(A, first), 3, A))).toMatchObject({
      ctState: 'INVALID',
      reason: 'ICMP_ERROR_UNKNOWN_PROTO',
    });
  });
  it('the hash of an error is that of its flow', () => {
    const first = ip(A, B, OFFERS[0][1]);
    const hashes = engine.decode([first, error(A, first)].map((data) => ({ time: NOW, data }))).map((p) => p.hash);
    expect(hashes[0]).toBe(hashes[1]);
  });

  describe('ICMPv6', () => {
    const first = ip(A6, B6, udp({ sport: 1, dport: 2, payload: 16 }));
    it.each([1, 2, 3, 4, 0, 100, 101, 127])('type %i is an error: RELATED', (type) => {
      const said = open(first).send(ip('2001:db8::9', A6, icmp6({ type, payload: quote(first) })));
      expect(said).toMatchObject({ ctState: 'RELATED', dir: 'REPLY', flowId: 1 });
    });

    /** Between neighbours: a link-local source is not forwarded to another link. */
    const near = 'fe80::a';
    const neighbours = ip(near, 'fe80::b', udp({ sport: 1, dport: 2, payload: 16 }));
    /** A redirect from `from`: target, destination, then an option with the redirected packet. */
    const redirect = ({ from = 'fe80::1', ttl = 255, code = 0, option = 4, units = 9 } = {}) => {
      const payload = concat(new Uint8Array(32), Uint8Array.from([option, units, 0, 0, 0, 0, 0, 0]), neighbours);
      return ip(from, near, icmp6({ type: 137, code, payload }), { ttl });
    };
    it('a redirect by a router of the link: RELATED', () => {
      expect(open(neighbours).send(redirect())).toMatchObject({ ctState: 'RELATED', flowId: 1 });
    });
    it.each([
      ['from another address', { from: '2001:db8::9' }, 'ICMPV6_REDIRECT_SENDER'],
      ['forwarded', { ttl: 254 }, 'ICMPV6_REDIRECT_SENDER'],
      ['with a code', { code: 1 }, 'ICMP_BAD_TYPE'],
      ['without the redirected packet', { option: 2 }, 'ICMP_BAD_TYPE'],
      ['with an option of length 0', { units: 0 }, 'ICMPV6_REDIRECT_OPTIONS'],
    ])('a redirect %s: INVALID', (_, changes, reason) => {
      expect(open(neighbours).send(redirect(changes))).toMatchObject({ ctState: 'INVALID', flowId: 0, reason });
    });
    it('a redirect without options: INVALID', () => {
      const data = redirect();
      const bare = ip('fe80::1', near, icmp6({ type: 137, payload: new Uint8Array(32) }), { ttl: 255 });
      expect(open(neighbours).send(bare)).toMatchObject({ ctState: 'INVALID', reason: 'ICMPV6_REDIRECT_OPTIONS' });
      const short = ip('fe80::1', near, icmp6({ type: 137, payload: new Uint8Array(31) }), { ttl: 255 });
      expect(open(neighbours).send(short)).toMatchObject({ ctState: 'INVALID', reason: 'ICMPV6_REDIRECT_SHORT' });
      expect(open(neighbours).send(data).ctState).toBe('RELATED');
    });
  });
});
