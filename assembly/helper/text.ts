// Numbers and addresses in the text of protocols, read within bounds: `at` up to, not including, `end`.

// @ts-ignore: decorator
@inline export function is_digit(c: u32): bool {
  return c - 48 < 10;
}

/** Are the `length` letters at `at` these, whatever their case? `pattern` is in lower case and holds letters only. */
export function is_word(at: usize, pattern: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    if ((<u32>load<u8>(at + i) | 0x20) != load<u8>(pattern + i)) return false;
  }
  return true;
}

/** Are the `length` bytes at `at` these? */
export function is_text(at: usize, text: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    if (load<u8>(at + i) != load<u8>(text + i)) return false;
  }
  return true;
}

/** Where a number ended that decimal() read. */
let decimal_end: usize = 0;

// @ts-ignore: decorator
@inline export function end_of_decimal(): usize {
  return decimal_end;
}

/** The decimal digits at `at` as a number, wrapping round in 64 bits; 0 without any. */
export function decimal(at: usize, end: usize): u64 {
  let value: u64 = 0;
  while (at < end && is_digit(load<u8>(at))) {
    value = value * 10 + load<u8>(at) - 48;
    at++;
  }
  decimal_end = at;
  return value;
}

// @ts-ignore: decorator
@inline function hex_digit(c: u32): i32 {
  if (is_digit(c)) return c - 48;
  const letter = (c | 0x20) - 97;
  return letter < 6 ? <i32>letter + 10 : -1;
}

/** As delimiter: whatever is no part of an address ends it. */
export const ANY: u32 = 0xffff;

const COLON: u32 = 58;
const DOT: u32 = 46;

/** The character at `at`; the end of the text and a zero are an end like the delimiter. */
// @ts-ignore: decorator
@inline function character(at: usize, end: usize, delimiter: u32): u32 {
  const c: u32 = at < end ? load<u8>(at) : 0;
  if (delimiter == ANY) return hex_digit(c) >= 0 || c == COLON || c == DOT ? c : 0;
  return c == delimiter ? 0 : c;
}

/**
 * Reads an IPv6 address (RFC 4291 section 2.2) that ends before `delimiter`, or at `end` (kernel: in6_pton()). Returns
 * its length in the text, 0 if there is none; `target` then has 16 bytes. It needs room for 32.
 */
export function ipv6_address(start: usize, end: usize, delimiter: u32, target: usize): u32 {
  // Bytes before and behind the "::" are put together behind the target first.
  const bytes = target + 16;
  let at = start;
  let count: u32 = 0;
  let gap: i32 = -1;
  if (character(at, end, delimiter) == COLON) {
    if (character(at + 1, end, delimiter) != COLON) return 0;
    gap = 0;
    at += 2;
  }
  while (count < 16) {
    const group = at;
    let value: u32 = 0;
    let digit = hex_digit(character(at, end, delimiter));
    if (digit < 0) {
      // Nothing may follow the "::".
      if (character(at, end, delimiter) == 0 && gap == <i32>count) break;
      return 0;
    }
    while (digit >= 0) {
      if (value & 0xf000) return 0;
      value = value << 4 | digit;
      at++;
      digit = hex_digit(character(at, end, delimiter));
    }
    const next = character(at, end, delimiter);
    if (next == DOT) {
      if (!(gap >= 0 ? count + 4 <= 16 : count + 4 == 16)) return 0;
      at = dotted_quad(group, end, delimiter, bytes + count);
      if (at == 0) return 0;
      count += 4;
      break;
    }
    store<u16>(bytes + count, bswap<u16>(<u16>value));
    count += 2;
    if (next == 0) {
      if (gap < 0 && count < 16) return 0;
      break;
    }
    if (next != COLON || count == 16) return 0;
    at++;
    if (character(at, end, delimiter) == COLON) {
      if (gap >= 0) return 0;
      gap = count;
      at++;
    }
  }
  const head: u32 = gap < 0 ? count : gap;
  memory.fill(target, 0, 16);
  memory.copy(target, bytes, head);
  memory.copy(target + 16 - (count - head), bytes + head, count - head);
  return <u32>(at - start);
}

/** Four numbers up to 255; returns where they end, 0 if they are none. */
function dotted_quad(at: usize, end: usize, delimiter: u32, target: usize): usize {
  for (let i: u32 = 0; i < 4; i++) {
    let value: u32 = 0;
    if (!is_digit(character(at, end, delimiter))) return 0;
    for (; is_digit(character(at, end, delimiter)); at++) {
      value = value * 10 + load<u8>(at) - 48;
      if (value > 255) return 0;
    }
    store<u8>(target + i, <u8>value);
    if (character(at, end, delimiter) != (i < 3 ? DOT : 0)) return 0;
    if (i < 3) at++;
  }
  return at;
}

/**
 * Where an IPv4 address ends that begins at `at` and is followed by anything but a digit, a dot or a letter from a to f
 * (kernel: in4_pton()); 0 if there is none. `target` gets 16 bytes.
 */
export function ipv4_address(at: usize, end: usize, target: usize): usize {
  store<u64>(target, 0);
  store<u64>(target, 0, 8);
  for (let i: u32 = 0; i < 4; i++) {
    let value: u32 = 0;
    const start = at;
    for (; at < end && is_digit(load<u8>(at)); at++) {
      value = value * 10 + load<u8>(at) - 48;
      if (value > 255) return 0;
    }
    if (at == start) return 0;
    store<u8>(target + i, <u8>value);
    const next = character(at, end, ANY);
    if (i < 3 ? next != DOT : next != 0 && next != COLON) return 0;
    if (i < 3) at++;
  }
  return at;
}
