// How are texts and numbers written as bytes? Every function writes at an address and returns the address behind it.
//
// Texts are copied in steps of 16 bytes, so up to 15 bytes behind a text are overwritten; the next text goes there.

import { Table } from "./text";

/** u32[Table.COUNT]: addresses of the tables, each of pairs of address and length. */
const TABLES: usize = memory.data(80);
if (<i32>Table.COUNT * 4 > 80) ERROR("there is room for all tables");

/** "00" to "99". */
const PAIRS: usize = memory.data<u8>([
  48,48, 48,49, 48,50, 48,51, 48,52, 48,53, 48,54, 48,55, 48,56, 48,57,
  49,48, 49,49, 49,50, 49,51, 49,52, 49,53, 49,54, 49,55, 49,56, 49,57,
  50,48, 50,49, 50,50, 50,51, 50,52, 50,53, 50,54, 50,55, 50,56, 50,57,
  51,48, 51,49, 51,50, 51,51, 51,52, 51,53, 51,54, 51,55, 51,56, 51,57,
  52,48, 52,49, 52,50, 52,51, 52,52, 52,53, 52,54, 52,55, 52,56, 52,57,
  53,48, 53,49, 53,50, 53,51, 53,52, 53,53, 53,54, 53,55, 53,56, 53,57,
  54,48, 54,49, 54,50, 54,51, 54,52, 54,53, 54,54, 54,55, 54,56, 54,57,
  55,48, 55,49, 55,50, 55,51, 55,52, 55,53, 55,54, 55,55, 55,56, 55,57,
  56,48, 56,49, 56,50, 56,51, 56,52, 56,53, 56,54, 56,55, 56,56, 56,57,
  57,48, 57,49, 57,50, 57,51, 57,52, 57,53, 57,54, 57,55, 57,56, 57,57,
]);

const BILLION: u64 = 1_000_000_000;

export function set_table(table: u32, address: usize): void {
  store<u32>(TABLES + <usize>table * 4, <u32>address);
}

/** Copies `length` bytes. */
// @ts-ignore: decorator
@inline export function put_bytes(to: usize, from: usize, length: usize): usize {
  let at: usize = 0;
  do {
    v128.store(to + at, v128.load(from + at));
    at += 16;
  } while (at < length);
  return to + length;
}

/** Copies a text of a table. */
// @ts-ignore: decorator
@inline export function put(to: usize, table: u32, index: u32): usize {
  const entry: usize = <usize>load<u32>(TABLES + <usize>table * 4) + <usize>index * 8;
  return put_bytes(to, load<u32>(entry), load<u32>(entry, 4));
}

// @ts-ignore: decorator
@inline function pair(to: usize, value: u32): void {
  store<u16>(to, load<u16>(PAIRS + <usize>value * 2));
}

// @ts-ignore: decorator
@inline function four(to: usize, value: u32): void {
  const high = value / 100;
  pair(to, high);
  pair(to + 2, value - high * 100);
}

/** Eight digits. */
function eight(to: usize, value: u32): void {
  const high = value / 10000;
  four(to, high);
  four(to + 4, value - high * 10000);
}

/** One to four digits. */
// @ts-ignore: decorator
@inline function upToFour(to: usize, value: u32): usize {
  if (value < 10) {
    store<u8>(to, <u8>(48 + value));
    return to + 1;
  }
  if (value < 100) {
    pair(to, value);
    return to + 2;
  }
  const high = value / 100;
  if (value < 1000) {
    store<u8>(to, <u8>(48 + high));
    pair(to + 1, value - high * 100);
    return to + 3;
  }
  pair(to, high);
  pair(to + 2, value - high * 100);
  return to + 4;
}

/** A number of up to eight digits. */
function upToEight(to: usize, value: u32): usize {
  if (value < 10000) return upToFour(to, value);
  const high = value / 10000;
  to = upToFour(to, high);
  four(to, value - high * 10000);
  return to + 4;
}

export function put_u32(to: usize, value: u32): usize {
  if (value < 10000) return upToFour(to, value);
  if (value < 100_000_000) return upToEight(to, value);
  const high = value / 100_000_000;
  to = upToFour(to, high);
  eight(to, value - high * 100_000_000);
  return to + 8;
}

export function put_u64(to: usize, value: u64): usize {
  if (value <= <u64>u32.MAX_VALUE) return put_u32(to, <u32>value);
  const high = value / 100_000_000;
  to = put_u64(to, high);
  eight(to, <u32>(value - high * 100_000_000));
  return to + 8;
}

/** With a minus if it is negative. */
export function put_i64(to: usize, value: i64): usize {
  if (value >= 0) return put_u64(to, <u64>value);
  store<u8>(to, 45);
  return put_u64(to + 1, <u64>(0 - value));
}

/** Hexadecimal without leading zeros, as %x. */
export function put_hex16(to: usize, value: u32): usize {
  let shift: i32 = value > 0xfff ? 12 : value > 0xff ? 8 : value > 0xf ? 4 : 0;
  for (; shift >= 0; shift -= 4) {
    const digit = (value >> shift) & 15;
    store<u8>(to, <u8>(digit < 10 ? 48 + digit : 87 + digit));
    to++;
  }
  return to;
}

/** Start of the second that was split last: times come in order, so that most need no division. */
let second_start: u64 = 0;
let second: u64 = 0;

/** Splits ns since 1970 into whole seconds, which second_of() tells, and nanoseconds. */
function split(time: u64): u32 {
  const since = time - second_start;
  if (since < BILLION) return <u32>since;
  second = time / BILLION;
  second_start = second * BILLION;
  return <u32>(time - second_start);
}

/** `seconds.nanoseconds` of ns since 1970. */
export function put_stamp(to: usize, time: u64): usize {
  const nanos = split(time);
  to = put_u64(to, second);
  store<u8>(to, 46);
  const high = nanos / 10;
  eight(to + 1, high);
  store<u8>(to + 9, <u8>(48 + nanos - high * 10));
  return to + 10;
}

/** `seconds.microseconds`, the seconds with at least eight digits; the rest of the time is cut. */
export function put_micros(to: usize, time: u64): usize {
  const micros = split(time) / 1000;
  if (second < 100_000_000) {
    eight(to, <u32>second);
    to += 8;
  } else to = put_u64(to, second);
  store<u8>(to, 46);
  const high = micros / 10000;
  pair(to + 1, high);
  four(to + 3, micros - high * 10000);
  return to + 7;
}

/** Whole seconds of a moment. */
export function seconds_of(time: u64): u64 {
  split(time);
  return second;
}
