// How do helpers write addresses? As the kernel's %pI4, %pI6 and %pI6c do (lib/vsprintf.c). Every function writes at an
// address and returns the address behind it.

import { be16 } from "../bytes";
import { put_hex16, put_u32 } from "../format/write";
import { L3 } from "../vocabulary";

const DOT: u8 = 46;
const COLON: u8 = 58;

/** The address at `at`, as tuples hold it; IPv6 in its short form. */
export function write_address(to: usize, at: usize, l3num: u32): usize {
  return l3num == L3.IPV4 ? write_ipv4(to, at) : write_short_ipv6(to, at);
}

function write_ipv4(to: usize, at: usize): usize {
  for (let i: u32 = 0; i < 4; i++) {
    if (i > 0) store<u8>(to++, DOT);
    to = put_u32(to, load<u8>(at + i));
  }
  return to;
}

/** All digits of all groups. */
export function write_full_ipv6(to: usize, at: usize): usize {
  for (let group: u32 = 0; group < 8; group++) {
    if (group > 0) store<u8>(to++, COLON);
    const value = be16(at + group * 2);
    for (let shift: i32 = 12; shift >= 0; shift -= 4) to = put_hex16(to, (value >> shift) & 15);
  }
  return to;
}

/** The first longest run of two or more zero groups becomes `::`; mapped and ISATAP addresses end in dotted form. */
function write_short_ipv6(to: usize, at: usize): usize {
  const mapped = load<u64>(at) == 0 && load<u32>(at, 8) == 0xffff0000;
  const isatap = (load<u32>(at, 8) | 2) == 0xfe5e0002;
  const groups: i32 = mapped || isatap ? 6 : 8;
  let best: i32 = -1;
  let longest: i32 = 1;
  let run: i32 = 0;
  for (let group: i32 = 0; group < groups; group++) {
    run = load<u16>(at + group * 2) ? 0 : run + 1;
    if (run <= longest) continue;
    longest = run;
    best = group - run + 1;
  }
  let colon = false;
  for (let group: i32 = 0; group < groups; group++) {
    if (colon || group == best) store<u8>(to++, COLON);
    colon = group != best;
    if (!colon) {
      store<u8>(to++, COLON);
      group += longest - 1;
    } else {
      to = put_hex16(to, be16(at + group * 2));
    }
  }
  if (groups == 8) return to;
  if (colon) store<u8>(to++, COLON);
  return write_ipv4(to, at + 12);
}
