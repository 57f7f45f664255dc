// The Internet checksum (RFC 1071) over captured bytes.
//
// Sums are kept in memory order (little-endian 16-bit words): the one's complement sum does not depend on byte order as
// long as the result is compared in the same order.

import { bswap16 } from "../bytes";

/** One's complement sum of `length` bytes, not folded to 16 bits yet (a 64-bit accumulator). */
export function sum_bytes(at: usize, length: u32): u64 {
  let sum: u64 = 0;
  let lanes = i64x2.splat(0);
  let p = at;
  let left = length;
  while (left >= 16) {
    const words = v128.load(p);
    // Widen the four 32-bit words pairwise to 64 bits: no carry is lost.
    lanes = i64x2.add(lanes, i64x2.add(i64x2.extend_low_i32x4_u(words), i64x2.extend_high_i32x4_u(words)));
    p += 16;
    left -= 16;
  }
  sum = i64x2.extract_lane(lanes, 0) + i64x2.extract_lane(lanes, 1);
  while (left >= 4) {
    sum += load<u32>(p);
    p += 4;
    left -= 4;
  }
  if (left >= 2) {
    sum += load<u16>(p);
    p += 2;
    left -= 2;
  }
  if (left) sum += load<u8>(p);
  return sum;
}

/** Folds an accumulator to 16 bits. */
export function fold(accumulator: u64): u32 {
  let sum = (accumulator >> 32) + (accumulator & 0xffffffff);
  sum = (sum >> 32) + (sum & 0xffffffff);
  let word = (sum >> 16) + (sum & 0xffff);
  word = (word >> 16) + (word & 0xffff);
  return <u32>((word >> 16) + (word & 0xffff));
}

/** Sum of the pseudo header: addresses (already summed), protocol and length (RFC 793, RFC 8200 section 8.1). */
// @ts-ignore: decorator
@inline export function pseudo_sum(addresses: u64, protonum: u32, length: u32): u64 {
  return addresses + bswap16(protonum) + bswap<u32>(length);
}
