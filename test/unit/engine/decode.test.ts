// Is a frame of each link type read as an IP packet, and does each broken, cut or unsupported one get its reason?
// Expectations: https://www.tcpdump.org/linktypes.html, RFC 791, 8200, 2516, IEEE 802.1Q; the checks are those of
// ip_rcv_core() and ip6_rcv_core().

import { beforeAll, describe, expect, it } from 'vitest';
import { Checksums } from '../../../assembly/vocabulary.ts';
import { BUILDS, type Frame, openEngine, type TestEngine } from '../../support/engine.ts';
import { concat, ethernet, icmp, icmp6, ip, quote, raw, tcp, udp } from '../../support/packets.ts';

const V4 = ['192.0.2.1', '198.51.100.7'] as const;
const V6 = ['2001:db8::1', '2001:db8::2'] as const;
const datagram = udp({ sport: 1000, dport: 53, payload: 10 });
const packet4 = ip(...V4, datagram);
const packet6 = ip(...V6, datagram);
const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const be16 = (value: number): number[] => [value >> 8, value & 255];

const ETHERNET = 1;
const NULL = 0;
const LOOP = 108;
const SLL = 113;
const SLL2 = 276;

/** Cooked header v1: packet type, ARPHRD, address length, address, protocol. */
const sll = (payload: Uint8Array, type: number, ethertype: number) =>
  concat(bytes(...be16(type), 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, ...be16(ethertype)), payload);
/** Cooked header v2: protocol, reserved, interface, ARPHRD, packet type, address length, address. */
const sll2 = (payload: Uint8Array, type: number, ethertype: number) =>
  concat(bytes(...be16(ethertype), 0, 0, 0, 0, 0, 3, 0, 1, type, 6, 2, 0, 0, 0, 0, 1, 0, 0), payload);
/** PPPoE session header and PPP protocol (RFC 2516 section 4). */
const pppoe = (payload: Uint8Array, protocol: number) =>
  concat(bytes(0x11, 0, 0, 9, ...be16(payload.length + 2), ...be16(protocol)), payload);
const vlan = (tpid: number) => ({ vid: 5, tpid });

describe.each(BUILDS)('%s build', (build) => {
  let engine: TestEngine;
  beforeAll(async () => {
    engine = await openEngine({ build });
  });

  const decode = (data: Uint8Array, frame: Partial<Frame> = {}, checksums = Checksums.VERIFY) =>
    engine.decode([{ time: 0n, data, ...frame }], { checksums })[0]!;

  /** Frame, link type, offset of the IP header in it. */
  const frames: [name: string, data: Uint8Array, link: number, l3At: number][] = [
    ['Ethernet, IPv4', ethernet(packet4), ETHERNET, 14],
    ['Ethernet, IPv6', ethernet(packet6), ETHERNET, 14],
    ['Ethernet, one VLAN tag', ethernet(packet4, { tags: [vlan(0x8100)] }), ETHERNET, 18],
    ['Ethernet, 802.1ad over 802.1Q', ethernet(packet6, { tags: [vlan(0x88a8), vlan(0x8100)] }), ETHERNET, 22],
    ['Ethernet, old QinQ number', ethernet(packet4, { tags: [vlan(0x9100), vlan(0x8100)] }), ETHERNET, 22],
    ['Ethernet, four tags', ethernet(packet4, { tags: Array(4).fill(vlan(0x8100)) }), ETHERNET, 30],
    ['PPPoE, IPv4', ethernet(pppoe(packet4, 0x21), { ethertype: 0x8864 }), ETHERNET, 22],
    ['PPPoE, IPv6', ethernet(pppoe(packet6, 0x57), { ethertype: 0x8864 }), ETHERNET, 22],
    ['PPPoE in a VLAN', ethernet(pppoe(packet4, 0x21), { ethertype: 0x8864, tags: [vlan(0x8100)] }), ETHERNET, 26],
    ['cooked v1, IPv4', sll(packet4, 0, 0x800), SLL, 16],
    ['cooked v1, IPv6', sll(packet6, 4, 0x86dd), SLL, 16],
    ['cooked v1, VLAN', sll(concat(bytes(0, 5, 8, 0), packet4), 0, 0x8100), SLL, 20],
    ['cooked v2, IPv4', sll2(packet4, 0, 0x800), SLL2, 20],
    ['cooked v2, IPv6', sll2(packet6, 0, 0x86dd), SLL2, 20],
    ['NULL, little endian IPv4', concat(bytes(2, 0, 0, 0), packet4), NULL, 4],
    ['NULL, big endian IPv4', concat(bytes(0, 0, 0, 2), packet4), NULL, 4],
    ['NULL, IPv6 of FreeBSD', concat(bytes(28, 0, 0, 0), packet6), NULL, 4],
    ['NULL, IPv6 of NetBSD, big endian', concat(bytes(0, 0, 0, 24), packet6), NULL, 4],
    ['NULL, IPv6 of macOS', concat(bytes(30, 0, 0, 0), packet6), NULL, 4],
    ['NULL, IPv6 of Linux', concat(bytes(10, 0, 0, 0), packet6), NULL, 4],
    ['LOOP, IPv4', concat(bytes(0, 0, 0, 2), packet4), LOOP, 4],
    ['LOOP, IPv6', concat(bytes(0, 0, 0, 24), packet6), LOOP, 4],
    ['raw 12', packet4, 12, 0],
    ['raw 14', packet6, 14, 0],
    ['raw 101, IPv4', packet4, 101, 0],
    ['raw 101, IPv6', packet6, 101, 0],
    ['IPV4', packet4, 228, 0],
    ['IPV6', packet6, 229, 0],
  ];

  it.each(frames)('reads %s', (_, data, link, l3At) => {
    const p = decode(data, { link });
    expect(p).toMatchObject({ queued: true, reason: 'NONE', flags: [], l3At, macAt: link === ETHERNET ? 0 : -1 });
    const six = p.tuple.l3num === 10;
    expect(p.l4At).toBe(l3At + (six ? 40 : 20));
    expect(p).toMatchObject({ ipLen: (six ? 40 : 20) + 18, l4Len: 18, l4Captured: 18, ttl: 64, tos: 0 });
    expect(p.tuple).toEqual({
      src: six ? '20010db8000000000000000000000001' : 'c0000201',
      dst: six ? '20010db8000000000000000000000002' : 'c6336407',
      sport: 1000,
      dport: 53,
      protonum: 17,
      l3num: six ? 10 : 2,
    });
  });

  it.each(frames)(
    'says that %s is cut when the capture ends anywhere before the UDP header does',
    (_, data, link, l3At) => {
      const l4At = l3At + (data[l3At]! >> 4 === 6 ? 40 : 20);
      for (let size = 0; size < data.length; size++) {
        const p = decode(data.slice(0, size), { link, length: data.length });
        expect(`${size}: ${p.reason}`).toBe(`${size}: ${size < l4At + 8 ? 'CUT_SHORT' : 'NONE'}`);
        expect(p.queued).toBe(size >= l4At + 8);
        expect(p.verdict).toBe('NONE');
      }
    },
  );

  it.each(frames)('never calls %s cut when the wire itself was that short', (_, data, link) => {
    for (let size = 0; size < data.length; size++) {
      const { reason, queued } = decode(data.slice(0, size), { link });
      expect(['NOT_IP', 'BAD_IP_HEADER', 'IP_TRUNCATED']).toContain(reason);
      expect(queued).toBe(false);
    }
  });

  it('reads the pkttype of Ethernet and cooked headers (PACKET_HOST 0, BROADCAST 1, MULTICAST 2, OTHERHOST 3)', () => {
    const to = (target: string) => decode(ethernet(packet4, { target }), { link: ETHERNET }).pkttype;
    expect([
      to('02:00:00:00:00:02'),
      to('ff:ff:ff:ff:ff:ff'),
      to('01:00:5e:00:00:01'),
      to('33:33:00:00:00:01'),
    ]).toEqual([0, 1, 2, 2]);
    const cooked = [0, 1, 2, 3, 4].map((type) => decode(sll(packet4, type, 0x800), { link: SLL }).pkttype);
    const cooked2 = [0, 1, 2, 3, 4].map((type) => decode(sll2(packet4, type, 0x800), { link: SLL2 }).pkttype);
    expect(cooked).toEqual([0, 1, 2, 3, 0]);
    expect(cooked2).toEqual(cooked);
  });

  it.each([
    ['ARP', ethernet(bytes(...Array(28).fill(0)), { ethertype: 0x0806 }), ETHERNET],
    ['an 802.3 length', ethernet(packet4, { ethertype: 100 }), ETHERNET],
    ['MPLS', ethernet(packet4, { ethertype: 0x8847 }), ETHERNET],
    ['PPPoE discovery', ethernet(packet4, { ethertype: 0x8863 }), ETHERNET],
    ['PPP LCP', ethernet(pppoe(bytes(1, 1, 0, 4), 0xc021), { ethertype: 0x8864 }), ETHERNET],
    ['AppleTalk on NULL', concat(bytes(16, 0, 0, 0), packet4), NULL],
    ['raw IP of version 5', bytes(0x50, ...packet4.slice(1)), 101],
  ])('%s is not IP', (_, data, link) => {
    expect(decode(data, { link })).toMatchObject({ reason: 'NOT_IP', queued: false, verdict: 'NONE' });
  });

  it('PPP protocol numbers are not ethertypes', () => {
    const data = ethernet(pppoe(packet4, 0x0800), { ethertype: 0x8864 });
    expect(decode(data, { link: ETHERNET })).toMatchObject({ reason: 'NOT_IP', queued: false });
  });

  it('names a link type that it does not know', () => {
    expect(decode(packet4, { link: 147 })).toMatchObject({ reason: 'UNKNOWN_LINK_HEADER', queued: false });
  });

  describe('IPv4 header', () => {
    const change = (at: number, ...values: number[]) => {
      const data = packet4.slice();
      data.set(values, at);
      return data;
    };
    const check = (data: Uint8Array, frame: Partial<Frame> = {}) => decode(data, frame, Checksums.IGNORE).reason;

    it('version 6 where the ethertype says IPv4', () => {
      expect(decode(ethernet(packet6, { ethertype: 0x800 }), { link: ETHERNET }).reason).toBe('BAD_IP_HEADER');
      expect(decode(ethernet(packet4, { ethertype: 0x86dd }), { link: ETHERNET }).reason).toBe('BAD_IP_HEADER');
    });
    it('a header length below 20 bytes', () => expect(check(change(0, 0x44))).toBe('BAD_IP_HEADER'));
    it('a header longer than the packet on the wire', () => {
      const data = packet4.slice(0, 24);
      data.set([0x4f, 0, 0, 24]);
      expect(check(data)).toBe('BAD_IP_HEADER');
    });
    it('a header that the capture cut', () => {
      const long = ip(...V4, datagram, { options: Array(40).fill(1) });
      expect(check(long.slice(0, 40), { length: long.length })).toBe('CUT_SHORT');
    });
    it('a total length below the header length', () => expect(check(change(2, 0, 19))).toBe('BAD_IP_HEADER'));
    it('a total length beyond the wire', () => expect(check(change(2, 0, packet4.length + 1))).toBe('IP_TRUNCATED'));
    it('a total length beyond the wire stays truncated when the capture was cut, too', () => {
      expect(check(change(2, 1, 0).slice(0, 30), { length: 60 })).toBe('IP_TRUNCATED');
    });
    it('padding behind the packet is not part of it', () => {
      const padded = concat(packet4, new Uint8Array(20));
      expect(decode(padded)).toMatchObject({ reason: 'NONE', ipLen: 38, l4Len: 18, l4Captured: 18 });
    });
    it('a frame check sequence is not part of the packet', () => {
      const framed = concat(change(2, 0, packet4.length + 2), bytes(1, 2, 3, 4));
      expect(check(framed, { fcs: 4 })).toBe('IP_TRUNCATED');
      expect(check(framed)).toBe('NONE');
    });
    it('options', () => {
      const p = decode(ip(...V4, datagram, { options: [7, 7, 4, 0, 0, 0, 0, 1] }));
      expect(p).toMatchObject({ reason: 'NONE', flags: ['IP_OPTIONS'], l4At: 28, ipLen: 46, l4Len: 18 });
    });
    it('TTL and TOS', () => {
      expect(decode(ip(...V4, datagram, { ttl: 3, tos: 0xb8 }))).toMatchObject({ ttl: 3, tos: 0xb8 });
      expect(decode(ip(...V6, datagram, { ttl: 9, tos: 0xb8 }))).toMatchObject({ ttl: 9, tos: 0xb8 });
    });
    it('a total length of zero is a segment that was left to the network card, unless checksums are insisted on', () => {
      const data = change(2, 0, 0);
      expect(decode(data, {}, Checksums.IGNORE)).toMatchObject({ reason: 'NONE', ipLen: 38 });
      expect(check(data)).toBe('NONE');
      const valid = ip(...V4, datagram, { length: 0 });
      expect(decode(valid, {}, Checksums.VERIFY).reason).toBe('BAD_IP_HEADER');
      expect(decode(valid, {}, Checksums.AUTO)).toMatchObject({ reason: 'NONE', ipLen: 38 });
    });
    it.each([
      ['the first fragment', { offset: 0, more: true }, ['FRAGMENT']],
      ['a later fragment', { offset: 8, more: true }, ['FRAGMENT', 'LATER_FRAGMENT']],
      ['the last fragment', { offset: 8, more: false }, ['FRAGMENT', 'LATER_FRAGMENT']],
    ])('%s is not judged yet', (_, fragment, flags) => {
      expect(decode(ip(...V4, datagram, { fragment }))).toMatchObject({
        reason: 'FRAGMENT_PENDING',
        flags,
        queued: false,
      });
    });
  });

  describe('IPv6 header', () => {
    const change = (at: number, ...values: number[]) => {
      const data = packet6.slice();
      data.set(values, at);
      return data;
    };
    const check = (data: Uint8Array, frame: Partial<Frame> = {}) => decode(data, frame, Checksums.IGNORE).reason;

    it('a payload length beyond the wire', () => expect(check(change(4, 0, 19))).toBe('IP_TRUNCATED'));
    it('a shorter payload length cuts the packet', () => {
      expect(decode(change(4, 0, 12), {}, Checksums.IGNORE)).toMatchObject({
        reason: 'NONE',
        l4Len: 12,
        l4Captured: 12,
        ipLen: 52,
      });
    });
    it('a payload length of zero is a segment left to the network card, unless checksums are insisted on', () => {
      expect(decode(change(4, 0, 0), {}, Checksums.VERIFY)).toMatchObject({ reason: 'NONE', ipLen: 40, l4Len: 0 });
      expect(decode(change(4, 0, 0), {}, Checksums.AUTO)).toMatchObject({ reason: 'NONE', l4Len: 18 });
    });
    it.each([
      ['a multicast source', 'ff02::1', V6[1]],
      ['a loopback source', '::1', V6[1]],
      ['a loopback destination', V6[0], '::1'],
      ['an interface-local group', V6[0], 'ff01::1'],
      ['a group of scope 0', V6[0], 'ff00::1'],
    ])('%s is dropped on receipt', (_, from, to) => {
      expect(decode(ip(from, to, datagram))).toMatchObject({ reason: 'MARTIAN_ADDRESS', queued: false });
    });

    it('what is sent over loopback is not', () => {
      expect(decode(ip('::1', '::1', datagram))).toMatchObject({ reason: 'NONE', queued: true });
    });
    it('a jumbo payload option states the length (RFC 2675)', () => {
      const jumbo = { protocol: 0, bytes: [194, 4, 0, 1, 0x11, 0x70] };
      const data = ip(...V6, datagram, { extensions: [jumbo], length: 0 });
      // 70000 bytes behind the IPv6 header, of which 8 are the options; more on the wire is padding.
      const found = decode(data, { length: 40 + 70_010 }, Checksums.IGNORE);
      expect(found).toMatchObject({ reason: 'NONE', ipLen: 70_040, l4Len: 69_992 });
      expect(decode(data, { length: 40 + 69_999 }, Checksums.IGNORE)).toMatchObject({ reason: 'HOP_BY_HOP' });
    });

    const options = { protocol: 60, bytes: [1, 4, 0, 0, 0, 0] };
    it.each([
      ['hop-by-hop', [{ protocol: 0, bytes: [1, 4, 0, 0, 0, 0] }], 48],
      ['destination options', [options], 48],
      ['routing', [{ protocol: 43, bytes: [4, 0, 0, 0, 0, 0] }], 48],
      [
        'three of them',
        [{ protocol: 0, bytes: [1, 4, 0, 0, 0, 0] }, { protocol: 43, bytes: [4, 0, 0, 0, 0, 0] }, options],
        64,
      ],
      ['a long one', [{ protocol: 60, bytes: [1, 20, ...Array(20).fill(0)] }], 64],
    ])('extension headers: %s', (_, extensions, l4At) => {
      expect(decode(ip(...V6, datagram, { extensions }))).toMatchObject({
        reason: 'NONE',
        l4At,
        flags: ['IP_OPTIONS'],
        l4Len: 18,
        tuple: { protonum: 17, sport: 1000, dport: 53 },
      });
    });
    it('an authentication header counts in words of four bytes', () => {
      // RFC 4302 section 2.2: payload length 4 is 24 bytes.
      const auth = bytes(17, 4, 0, 0, ...Array(20).fill(0));
      const data = ip(...V6, raw(51, concat(auth, datagram.bytes)));
      expect(decode(data, {}, Checksums.IGNORE)).toMatchObject({
        reason: 'NONE',
        l4At: 64,
        tuple: { protonum: 17, sport: 1000 },
      });
    });
    it('extension headers that the capture cut', () => {
      const data = ip(...V6, datagram, { extensions: [options, options] });
      for (let size = 40; size < data.length; size++) {
        const { reason } = decode(data.slice(0, size), { length: data.length });
        expect(`${size}: ${reason}`).toBe(`${size}: ${size < 64 ? 'CUT_SHORT' : 'NONE'}`);
      }
    });
    it('a fragment is not judged yet', () => {
      for (const fragment of [
        { offset: 0, more: true },
        { offset: 16, more: false },
        { offset: 0, more: false },
      ]) {
        const p = decode(ip(...V6, datagram, { fragment }));
        expect(p).toMatchObject({ reason: 'FRAGMENT_PENDING', queued: false });
        expect(p.flags).toContain('FRAGMENT');
      }
    });
  });

  describe('transport header', () => {
    it.each([
      ['TCP', tcp({ sport: 1, dport: 2, flags: 'S', mss: 1460, wscale: 7 }), 28],
      ['UDP', datagram, 8],
      ['ICMP', icmp({ type: 8, id: 5, payload: 10 }), 8],
    ])('%s that the capture cut', (_, transport, header) => {
      const data = ip(...V4, transport);
      for (let size = 20; size < data.length; size++) {
        const p = decode(data.slice(0, size), { length: data.length });
        expect(`${size}: ${p.reason}`).toBe(`${size}: ${size < 20 + header ? 'CUT_SHORT' : 'NONE'}`);
      }
    });
    it('a TCP header that is longer than its packet goes on to tracking, which refuses it', () => {
      const p = decode(ip(...V4, tcp({ sport: 1, dport: 2, flags: 'S', dataOffset: 15 })));
      expect(p).toMatchObject({ queued: true, reason: 'NONE', tcpFlags: 2 });
    });
    it('flags byte', () => {
      for (let flags = 0; flags < 256; flags++) {
        expect(decode(ip(...V4, tcp({ sport: 1, dport: 2, flags }))).tcpFlags).toBe(flags);
      }
    });
    it('an ACK without SYN, FIN and RST whose header is whole is told from all others', () => {
      const isPlain = (spec: { flags: string | number; dataOffset?: number }) =>
        ([V4, V6] as (readonly [string, string])[]).map((hosts) =>
          decode(ip(...hosts, tcp({ sport: 1, dport: 2, ...spec }))).flags.includes('PLAIN_ACK'),
        );
      for (const flags of ['A', 'PA', 'UA', 'UPA']) expect(isPlain({ flags }), flags).toEqual([true, true]);
      for (const flags of ['-', 'P', 'S', 'SA', 'FA', 'RA', 'R', 'F'])
        expect(isPlain({ flags }), flags).toEqual([false, false]);
      for (const dataOffset of [0, 4, 6, 15]) expect(isPlain({ flags: 'A', dataOffset })).toEqual([false, false]);
    });
    it('ICMP has its id as source and type and code as destination', () => {
      expect(decode(ip(...V4, icmp({ type: 8, code: 3, id: 0x1234 }))).tuple).toMatchObject({
        sport: 0x1234,
        dport: 0x803,
      });
      expect(decode(ip(...V6, icmp6({ type: 129, code: 1, id: 7 }))).tuple).toMatchObject({ sport: 7, dport: 0x8101 });
    });
    it('SCTP and UDP-Lite have their ports', () => {
      for (const protocol of [132, 136]) {
        const bytes = Uint8Array.from([0x12, 0x34, 0, 80, ...new Uint8Array(16)]);
        expect(decode(ip(...V4, raw(protocol, bytes))).tuple).toMatchObject({ sport: 0x1234, dport: 80 });
        expect(decode(ip(...V6, raw(protocol, bytes))).tuple).toMatchObject({ sport: 0x1234, dport: 80 });
      }
    });
    it('GRE has the call id of enhanced GRE (RFC 2637), and no key otherwise', () => {
      const tuple = (...bytes: number[]) => decode(ip(...V4, raw(47, Uint8Array.from(bytes)))).tuple;
      expect(tuple(0x30, 0x01, 0x88, 0x0b, 0, 4, 0x12, 0x34)).toMatchObject({ sport: 0, dport: 0x1234 });
      expect(tuple(0x20, 0x00, 0x08, 0x00, 0, 0, 0x12, 0x34)).toMatchObject({ sport: 0, dport: 0 });
      expect(tuple(0x30, 0x01, 0x88, 0x0b, 0, 4, 0x12)).toMatchObject({ sport: 0, dport: 0 });
    });
    it.each([0, 2, 4, 33, 50, 89, 103, 253, 255])('protocol %i is tracked without ports', (protocol) => {
      const p = decode(ip(...V4, raw(protocol, 20)));
      expect(p).toMatchObject({ queued: true, reason: 'NONE', tuple: { protonum: protocol, sport: 0, dport: 0 } });
    });
    it('ICMP errors that the capture cut before their flow shows', () => {
      const inner = ip(...V4, tcp({ sport: 1, dport: 2, flags: 'S' }));
      const data = ip(V4[1], V4[0], icmp({ type: 3, code: 1, payload: quote(inner) }));
      for (let size = 28; size < data.length; size++) {
        const p = decode(data.slice(0, size), { length: data.length });
        expect(`${size}: ${p.reason}`).toBe(`${size}: ${size < 28 + 24 ? 'CUT_SHORT' : 'NONE'}`);
      }
    });
    it('ICMPv6 errors that the capture cut before their flow shows', () => {
      const inner = ip(...V6, datagram, { extensions: [{ protocol: 60, bytes: [1, 4, 0, 0, 0, 0] }] });
      const data = ip(V6[1], V6[0], icmp6({ type: 1, payload: quote(inner) }));
      for (let size = 48; size < data.length; size++) {
        const p = decode(data.slice(0, size), { length: data.length });
        expect(`${size}: ${p.reason}`).toBe(`${size}: ${size < 48 + 52 ? 'CUT_SHORT' : 'NONE'}`);
      }
    });
    it('an IPv6 redirect that the capture cut before its flow shows', () => {
      const inner = ip(...V6, datagram);
      const option = [4, 1 + Math.ceil(inner.length / 8), 0, 0, 0, 0, 0, 0];
      const payload = concat(new Uint8Array(32), bytes(...option), inner);
      const data = ip('fe80::1', V6[0], icmp6({ type: 137, payload }), { ttl: 255 });
      for (let size = 48; size < data.length; size++) {
        const p = decode(data.slice(0, size), { length: data.length });
        expect(`${size}: ${p.reason}`).toBe(`${size}: ${size < 40 + 48 + 44 ? 'CUT_SHORT' : 'NONE'}`);
      }
    });
  });
});
