// What does a message in the basic encoding of ASN.1 hold (BER, ITU-T X.690)? A reader that its caller leads from element to
// element. Kernel: lib/asn1_decoder.c.
//
// Tags are of one byte, lengths of up to two. An element that consists of others need not say so in its tag. Once something
// is wrong nothing more is found. It never reads behind the message.

import { be16 } from "../bytes";

/** Bit of a tag: the element consists of others. */
const CONSTRUCTED: u32 = 0x20;
/** The number in a tag that says that the tag goes on. */
const LONG_TAG: u32 = 0x1f;
const INDEFINITE: u32 = 0x80;

/** The message in work; the offset that comes next, and the one behind what contains it. */
let message: usize = 0;
let at: u32 = 0;
let end: u32 = 0;
/** Bytes of the element that was found last; an indefinite length is known when its end is met. */
let size: u32 = 0;
let indefinite: bool = false;
/** What was looked for last was there. */
let matched: bool = false;
let broken: bool = false;

export function begin_ber(start: usize, length: u32): void {
  message = start;
  at = 0;
  end = length;
  broken = false;
}

/** The message has become this copy. */
export function move_ber(start: usize): void {
  message = start;
}

/** Offset of the value of the element that was found last, and its bytes. */
// @ts-ignore: decorator
@inline export function value_at(): u32 {
  return at;
}
// @ts-ignore: decorator
@inline export function value_size(): u32 {
  return size;
}

/** Was what was looked for last, or what had to be there before that, there? */
// @ts-ignore: decorator
@inline export function has_matched(): bool {
  return matched && !broken;
}

function fail(): bool {
  broken = true;
  return false;
}

/** Reads the head of an element that has to be there. */
export function enter(tag: u32): bool {
  return take(tag) || fail();
}

/** Skips an element that has to be there. */
export function skip(tag: u32): bool {
  if (!enter(tag)) return false;
  pass();
  return true;
}

/** Reads the head of an element if it is the next one. */
export function find(tag: u32): bool {
  return at != end && take(tag);
}

/** Goes on behind the value that was found last. */
// @ts-ignore: decorator
@inline export function pass(): void {
  at += size;
}

function take(tag: u32): bool {
  matched = false;
  if (broken || end - at < 2) return fail();
  const found = <u32>load<u8>(message + at);
  if ((found & LONG_TAG) == LONG_TAG) return fail();
  if ((found ^ tag) & ~(tag & CONSTRUCTED)) return false;
  size = load<u8>(message + at, 1);
  at += 2;
  indefinite = size == INDEFINITE;
  if (indefinite) {
    if (!(found & CONSTRUCTED) || end - at < 2) return fail();
  } else {
    if (size > INDEFINITE) {
      const octets = size - INDEFINITE;
      if (octets > 2 || octets > end - at) return fail();
      size = octets == 1 ? <u32>load<u8>(message + at) : be16(message + at);
      at += octets;
    }
    if (size > end - at) return fail();
  }
  matched = true;
  return true;
}

/** Goes into the element that was found last. Returns what leave() is to know: where its container ends, 0 if it says so itself. */
export function go_in(): u32 {
  if (indefinite) return 0;
  const outer = end;
  end = at + size;
  return outer;
}

/** Is there more in the list that go_in() has told this of? */
export function goes_on(outer: u32): bool {
  if (broken) return false;
  if (outer != 0) return at < end;
  return end - at < 2 ? fail() : load<u8>(message + at) != 0;
}

/** Leaves an element; false if it does not end here. */
export function leave(outer: u32): bool {
  if (broken) return false;
  matched = true;
  if (outer != 0) {
    const ends = at == end;
    end = outer;
    return ends || fail();
  }
  if (end - at < 2 || load<u16>(message + at) != 0) return fail();
  at += 2;
  return true;
}
