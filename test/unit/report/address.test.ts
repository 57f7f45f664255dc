// Are addresses written as glibc's inet_ntop writes them, and times split exactly?

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ipv4Text, ipv6Text } from '../../../src/report/address.ts';
import { microsText, nanosAt, nanosText, secondsAt, stampAt, stampText, utcText } from '../../../src/report/time.ts';
import { addressBytes } from './records.ts';

/** Groups -> text, by inet_ntop(AF_INET6) of glibc 2.36. */
const INET_NTOP: [string, string][] = [
  ['0000000000000000 0000000000000000', '::'],
  ['0000000000000000 0000000000000001', '::1'],
  ['0000000000000000 0000000000010002', '::0.1.0.2'],
  ['0000000000000000 0000ffff0a000001', '::ffff:10.0.0.1'],
  ['0000000000000000 0000ffff00000000', '::ffff:0.0.0.0'],
  ['0000000000000000 ffff00000a000001', '::ffff:0:a00:1'],
  ['20010db800000000 0000000000000002', '2001:db8::2'],
  ['20010db800000001 0000000000000002', '2001:db8:0:1::2'],
  ['20010db800010000 0001000000000002', '2001:db8:1:0:1::2'],
  ['20010db800000000 0001000000000002', '2001:db8::1:0:0:2'],
  ['fe80000000000000 0000000000000000', 'fe80::'],
  ['0001000200030004 0005000600070008', '1:2:3:4:5:6:7:8'],
  ['0000000200030004 0005000600070008', '0:2:3:4:5:6:7:8'],
  ['0064ff9b00000000 00000000c0000201', '64:ff9b::c000:201'],
];

test.each(INET_NTOP)('%s is %s', (hex, text) => {
  expect(ipv6Text(Buffer.from(hex.replace(' ', ''), 'hex'), 0)).toBe(text);
});

test('IPv6 text is read back by a plain parser', () => {
  const groups = fc.array(fc.oneof(fc.constant(0), fc.constant(0xffff), fc.nat(0xffff)), {
    minLength: 8,
    maxLength: 8,
  });
  fc.assert(
    fc.property(groups, (words) => {
      const bytes = new Uint8Array(20);
      words.forEach((word, i) => {
        bytes[4 + i * 2] = word >> 8;
        bytes[5 + i * 2] = word & 0xff;
      });
      expect([...addressBytes(ipv6Text(bytes, 4))]).toEqual([...bytes.subarray(4)]);
    }),
  );
});

test('IPv4', () => {
  expect(ipv4Text(new Uint8Array([9, 255, 0, 10, 1]), 1)).toBe('255.0.10.1');
});

test('nanoseconds split as BigInt division splits them', () => {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (ns) => {
      view.setBigUint64(8, ns, true);
      expect(secondsAt(view, 8)).toBe(Number(ns / 1_000_000_000n));
      expect(nanosAt(view, 8)).toBe(Number(ns % 1_000_000_000n));
      expect(stampAt(view, 8)).toBe(stampText(ns));
    }),
    { numRuns: 2000 },
  );
});

test('fractions keep their zeros, microseconds are cut', () => {
  expect(nanosText(123_456)).toBe('000123456');
  expect(microsText(999_999_999)).toBe('999999');
  expect(microsText(42_999)).toBe('000042');
  expect(utcText(1795236731519092001n)).toBe('2026-11-21 04:52:11.519092001 UTC');
});
