// The Internet checksum (RFC 1071) over captured bytes.
//
// Sums are kept in memory order (little-endian 16-bit words): the one's complement sum does not depend on byte order as
// long as the result is compared in the same order.

import { bswap16 } from "../bytes";

/**
 * One's complement sum of `length` bytes, not folded to 16 bits yet (a 64-bit accumulator). At most 256 KiB, and 15 bytes
 * behind them are read, too, though not counted.
 */
export function sum_bytes(at: usize, length: u32): u64 {
  // Each 32-bit lane takes two 16-bit words of every vector: 2^15 vectors before it could overflow.
  let lanes = i32x4.splat(0);
  let p = at;
  const whole = at + (length & ~15);
  while (p < whole) {
    lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(v128.load(p)));
    p += 16;
  }
  const counted = i8x16.lt_u(i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i8x16.splat(<i8>(length & 15)));
  const tail = v128.and(v128.load(p), counted);
  lanes = i32x4.add(lanes, i32x4.extadd_pairwise_i16x8_u(tail));
  const low = i64x2.extract_lane(lanes, 0);
  const high = i64x2.extract_lane(lanes, 1);
  return (low & 0xffffffff) + (<u64>low >> 32) + (high & 0xffffffff) + (<u64>high >> 32);
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
