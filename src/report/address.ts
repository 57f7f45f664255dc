// How is an address of a packet or a tuple written? As inet_ntop of glibc writes it, for conntrack prints through it.

import { L3 } from '../../assembly/vocabulary.ts';

const OCTETS = Array.from({ length: 256 }, (_, octet) => String(octet));

/**
 * Text of the IPv4 address whose four bytes lie at `at` in wire order.
 */
export function ipv4Text(bytes: Uint8Array, at: number): string {
  return `${OCTETS[bytes[at]!]}.${OCTETS[bytes[at + 1]!]}.${OCTETS[bytes[at + 2]!]}.${OCTETS[bytes[at + 3]!]}`;
}

/**
 * Text of the IPv6 address whose sixteen bytes lie at `at` in wire order (RFC 5952): the first longest run of two or
 * more zero groups becomes `::`. Like glibc's inet_ntop, IPv4-mapped addresses (::ffff:a.b.c.d) and those whose first
 * six groups are the run (::a.b.c.d) end in dotted form.
 */
export function ipv6Text(bytes: Uint8Array, at: number): string {
  let best = -1;
  let bestLength = 1;
  let start = -1;
  for (let group = 0; group < 8; group++) {
    if (bytes[at + group * 2]! | bytes[at + group * 2 + 1]!) {
      start = -1;
      continue;
    }
    if (start < 0) start = group;
    if (group - start + 1 > bestLength) {
      best = start;
      bestLength = group - start + 1;
    }
  }
  const dotted =
    best === 0 && (bestLength === 6 || (bestLength === 5 && bytes[at + 10] === 0xff && bytes[at + 11] === 0xff));
  const groups = dotted ? 6 : 8;
  let text = '';
  for (let group = 0; group < groups; group++) {
    if (group === best) {
      text += '::';
      group += bestLength - 1;
      continue;
    }
    if (text !== '' && !text.endsWith('::')) text += ':';
    text += ((bytes[at + group * 2]! << 8) | bytes[at + group * 2 + 1]!).toString(16);
  }
  if (!dotted) return text;
  return `${text.endsWith('::') ? text : `${text}:`}${ipv4Text(bytes, at + 12)}`;
}

/**
 * Text of an address as tuples hold it: IPv4 in the first four of sixteen bytes, IPv6 in all.
 */
export function addressText(bytes: Uint8Array, at: number, l3num: number): string {
  return l3num === L3.IPV4 ? ipv4Text(bytes, at) : ipv6Text(bytes, at);
}
