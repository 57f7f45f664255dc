// Are addresses and prefixes read as RFC 4291 and every other tool read them?
import { BlockList, SocketAddress } from 'node:net';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  addressBytes,
  contains,
  IPV4,
  IPV6,
  lastAddress,
  parseAddress,
  parseAddressWithLength,
  parsePrefix,
} from '../../../src/topology/addresses.ts';

const words = fc.array(fc.constantFrom(0, 0, 0, 1, 0xff, 0xfe80, 0xffff), { minLength: 8, maxLength: 8 });

test('IPv6: full and shortened text mean the same bytes', () => {
  fc.assert(
    fc.property(words, (groups) => {
      const full = groups.map((word) => word.toString(16)).join(':');
      // Node shortens by RFC 5952; the expected bytes come from the groups.
      const short = new SocketAddress({ address: full, family: 'ipv6' }).address;
      const bytes = groups.flatMap((word) => [word >> 8, word & 0xff]);
      for (const text of [full, short]) {
        const address = parseAddress(text);
        expect(address && [...addressBytes(address)], text).toEqual(bytes);
      }
    }),
  );
});

test('IPv4 bytes lie in wire order', () => {
  expect(parseAddress('192.0.2.1')).toEqual({ family: IPV4, value: 0xc0000201n });
  expect([...addressBytes({ family: IPV4, value: 0xc0000201n })]).toEqual([192, 0, 2, 1]);
});

test('a dotted quad may end an IPv6 address', () => {
  expect(parseAddress('::ffff:192.0.2.1')).toEqual({ family: IPV6, value: 0xffffc0000201n });
  expect(parseAddress('64:ff9b::192.0.2.1')?.value).toBe((0x64ff9bn << 96n) | 0xc0000201n);
});

test.each(['', '1.2.3', '1.2.3.4.5', '1.2.3.256', ':::', '1:2', 'fe80::1%eth0', 'example.org', '01.2.3.4'])(
  '%j is no address',
  (text) => expect(parseAddress(text)).toBeUndefined(),
);

test.each(['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/x', '/8', '10.0.0.0/1e1'])(
  '%j is no prefix',
  (text) => expect(parsePrefix(text)).toBeUndefined(),
);

test('a prefix loses its host bits, an address with a length keeps them', () => {
  expect(parsePrefix('10.1.2.3/8')).toEqual({ family: IPV4, first: 0x0a000000n, length: 8 });
  expect(parseAddressWithLength('10.1.2.3/8')).toEqual({ family: IPV4, value: 0x0a010203n, length: 8 });
  expect(parsePrefix('10.1.2.3')?.length).toBe(32);
  expect(lastAddress(parsePrefix('10.1.2.3/8')!)).toBe(0x0affffffn);
});

test('contains agrees with net.BlockList', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 1, max: 32 }), fc.ipV4(), (network, length, probe) => {
      const list = new BlockList();
      list.addSubnet(network, length, 'ipv4');
      expect(contains(parsePrefix(`${network}/${length}`)!, parseAddress(probe)!)).toBe(list.check(probe, 'ipv4'));
    }),
  );
});
