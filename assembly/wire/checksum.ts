// The Internet checksum (RFC 1071) over captured bytes.
//
// Sums are kept in memory order (little-endian 16-bit words): the one's complement sum does not depend on byte order as
// long as the result is compared in the same order.

import { bswap16 } from "../bytes";

/**
 * One's complement sum of `length` bytes, not folded to 16 bits yet (a 64-bit accumulator). At most 256 KiB, and 32 bytes
 * behind them may be read, too, though not counted.
 */
export function sum_bytes(at: usize, length: u32): u64 {
  // Each 32-bit lane takes two 16-bit words of every vector: 2^15 vectors before it could overflow.
  let even = i32x4.splat(0);
  let odd = i32x4.splat(0);
  let p = at;
  const whole = at + (length & ~31);
  while (p < whole) {
    even = i32x4.add(even, i32x4.extadd_pairwise_i16x8_u(v128.load(p)));
    odd = i32x4.add(odd, i32x4.extadd_pairwise_i16x8_u(v128.load(p, 16)));
    p += 32;
  }
  const rest = i8x16.splat(<i8>(length & 31));
  const first = i8x16.lt_u(i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), rest);
  const second = i8x16.lt_u(i8x16(16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31), rest);
  even = i32x4.add(even, i32x4.extadd_pairwise_i16x8_u(v128.and(v128.load(p), first)));
  odd = i32x4.add(odd, i32x4.extadd_pairwise_i16x8_u(v128.and(v128.load(p, 16), second)));
  const lanes = i64x2.add(i64x2.extend_low_i32x4_u(even), i64x2.extend_high_i32x4_u(even));
  const others = i64x2.add(i64x2.extend_low_i32x4_u(odd), i64x2.extend_high_i32x4_u(odd));
  const sums = i64x2.add(lanes, others);
  return i64x2.extract_lane(sums, 0) + i64x2.extract_lane(sums, 1);
}

/** Is a sum with its checksum that of undamaged bytes, all ones when folded? */
// @ts-ignore: decorator
@inline export function sums_right(accumulator: u64): bool {
  const sum = (accumulator >> 32) + (accumulator & 0xffffffff);
  const word = (sum >> 16) + (sum & 0xffff);
  // At most 18 bits are left, so that all ones cannot come as twice 0xffff any more.
  return (word >> 16) + (word & 0xffff) == 0xffff;
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
