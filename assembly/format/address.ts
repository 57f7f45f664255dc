// How is an address written? As inet_ntop of glibc writes it; src/report/address.ts does the same for texts that are not
// written by the million, and both are held against each other by a test.

import { be16 } from "../bytes";
import { L3 } from "../vocabulary";
import { put_hex16, put_u32 } from "./write";

const DOT: u8 = 46;
const COLON: u8 = 58;

function put_ipv4(to: usize, at: usize): usize {
  to = put_u32(to, load<u8>(at));
  store<u8>(to, DOT);
  to = put_u32(to + 1, load<u8>(at, 1));
  store<u8>(to, DOT);
  to = put_u32(to + 1, load<u8>(at, 2));
  store<u8>(to, DOT);
  return put_u32(to + 1, load<u8>(at, 3));
}

/**
 * RFC 5952: the first longest run of two or more zero groups becomes `::`. ::ffff:a.b.c.d and ::a.b.c.d end in dotted form.
 */
function put_ipv6(to: usize, at: usize): usize {
  let best: i32 = -1;
  let best_length: i32 = 1;
  let start: i32 = -1;
  for (let group: i32 = 0; group < 8; group++) {
    if (load<u16>(at + <usize>group * 2)) {
      start = -1;
      continue;
    }
    if (start < 0) start = group;
    if (group - start + 1 > best_length) {
      best = start;
      best_length = group - start + 1;
    }
  }
  const dotted = best == 0 && (best_length == 6 || (best_length == 5 && load<u16>(at, 10) == 0xffff));
  const groups: i32 = dotted ? 6 : 8;
  let colon = false;
  for (let group: i32 = 0; group < groups; group++) {
    if (group == best) {
      store<u16>(to, <u16>COLON | (<u16>COLON << 8));
      to += 2;
      colon = false;
      group += best_length - 1;
      continue;
    }
    if (colon) {
      store<u8>(to, COLON);
      to++;
    }
    to = put_hex16(to, be16(at + <usize>group * 2));
    colon = true;
  }
  if (!dotted) return to;
  if (colon) {
    store<u8>(to, COLON);
    to++;
  }
  return put_ipv4(to, at + 12);
}

/** An address as tuples hold it: IPv4 in the first four of sixteen bytes, IPv6 in all. */
export function put_address(to: usize, at: usize, l3num: u32): usize {
  return l3num == L3.IPV4 ? put_ipv4(to, at) : put_ipv6(to, at);
}
