// Where in a message stands what was asked for? A reader of the aligned packed encoding of ASN.1 (PER, ITU-T X.691), over
// descriptions of types that say as much as it takes to skip the rest. Kernel: net/netfilter/nf_conntrack_h323_asn1.c.
//
// A description is a row of words: a kind, its sizes, and for SEQUENCE and CHOICE their parts, two words each (what is
// special about it, its type), up to END. DOTS stands where the definition has its "...". Parts behind the last one
// listed are additions that are skipped by their length; alternatives that are not listed carry nothing.
//
// The reader goes wrong where the kernel's does, and where both do is said below: which messages are whole, and what is
// found in a damaged one, must come out the same. It never reads behind the message, and as deep as descriptions nest.

import { be32 } from "../bytes";
import { Find, FINDS_MAX } from "../layout";

/** What was found. */
export enum FindKind {
  IPV4 = 0,
  IPV6 = 1,
  NUMBER = 2,
}

/** So many bits: BOOLEAN, small whole numbers, short strings of fixed size. [BITS, bits] */
export const BITS: u32 = 1;
/** So many whole octets. [OCTETS, octets] */
export const OCTETS: u32 = 2;
/** The same, to be found. [ADDRESS, octets] */
export const ADDRESS: u32 = 3;
/** Strings of varying size. [STRING, how the size is written, the smallest size, bits of an element] */
export const STRING: u32 = 4;
/** A whole number from 1 up to 2^32, to be found. [NUMBER] */
export const NUMBER: u32 = 5;
/** SEQUENCE OF. [LIST, of how many of them something is found, attributes, type] */
export const LIST: u32 = 6;
/** [SEQUENCE, bits that say which options are there, additions that are known, parts ...] */
export const SEQUENCE: u32 = 7;
/** [CHOICE, bits of the number, alternatives before the "...", alternatives that are known, parts ...] */
export const CHOICE: u32 = 8;

/** With SEQUENCE and CHOICE: there is a "...", */
export const EXTENSIBLE: u32 = 0x100;
/** and that there was one, and which alternative, is a find. */
export const TOLD: u32 = 0x200;

/** With CHOICE: of the known alternatives those that are not listed are not read, additions neither. */
export const ONLY: u32 = 0x400;

/** How the size of a STRING is written, if not in up to 8 bits: in one octet, in two, as a length determinant. */
export const IN_OCTET: u32 = 64;
export const IN_WORD: u32 = 65;
export const IN_LENGTH: u32 = 66;

/** Attributes of a part: nothing special, */
export const PLAIN: u32 = 0;
/** it may be left out, */
export const OPTIONAL: u32 = 1;
/** it and what follows is not read, whether it is there or not, */
export const STOP: u32 = 2;
/** something in it is to be found, */
export const LIVE: u32 = 4;
/** it is preceded by its length, as additions are. */
export const OPEN: u32 = 8;
export const DOTS: u32 = 0x10;
export const END: u32 = 0x20;
/** Attribute of a live part: a number times this says what finds in it are for, unless a part within says otherwise. */
export const FOR: u32 = 0x100;

const PART: usize = 8;

/** The message in work, the bit that comes next, and the first behind it; finds, and how many there are. */
let message: usize = 0;
let at: u32 = 0;
let end: u32 = 0;
let finds: usize = 0;
let found: u32 = 0;
/** Number of the item of a list in work. */
let item: u32 = 0;

/** Reads a message; returns how many finds there are at `target` (Find[FINDS_MAX]), -1 if the message is broken. */
export function read_message(type: usize, role: u32, start: usize, length: u32, target: usize): i32 {
  message = start;
  at = 0;
  end = length << 3;
  finds = target;
  found = 0;
  return walk(type, true, role) ? <i32>found : -1;
}

function find(role: u32, kind: FindKind, value: u32): void {
  if (found == FINDS_MAX) return;
  const f = changetype<Find>(finds + <usize>found * offsetof<Find>());
  found++;
  f.role = <u8>role;
  f.kind = <u8>kind;
  f.item = <u16>item;
  f.value = value;
}

// @ts-ignore: decorator
@inline function has(bits: u32): bool {
  return at + bits <= end;
}

// @ts-ignore: decorator
@inline function align(): void {
  at = (at + 7) & ~7;
}

/** The next bits, up to 32 of them, as a number. They must be there. */
function take(count: u32): u32 {
  let value: u32 = 0;
  for (; count > 0; count--, at++) value = value << 1 | ((load<u8>(message + (at >> 3)) >> (7 - (at & 7))) & 1);
  return value;
}

/**
 * A length determinant (X.691 section 11.9) of up to 16383, -1 if there are no two octets for it, even where it needs
 * only one. It begins at the octet in work, aligned or not.
 */
function take_length(): i32 {
  if (!has(16)) return -1;
  let length: i32 = load<u8>(message + (at >> 3));
  at += 8;
  if (length & 0x80) {
    length = (length & 0x3f) << 8 | load<u8>(message + (at >> 3));
    at += 8;
  }
  return length;
}

/** Where something ends that is preceded by its length; 0 if that is not within the message. */
function take_end(): u32 {
  const length = take_length();
  return length < 0 || !has(<u32>length << 3) ? 0 : at + (<u32>length << 3);
}

/** Goes over a value. False if the message ends before it does, or says what cannot be. */
function walk(type: usize, live: bool, role: u32): bool {
  switch (load<u32>(type) & 0xff) {
    case BITS:
      at += load<u32>(type, 4);
      return has(0);
    case OCTETS:
      align();
      at += load<u32>(type, 4) << 3;
      return has(0);
    case ADDRESS: {
      align();
      const octets = load<u32>(type, 4);
      if (live) find(role, octets == 4 ? FindKind.IPV4 : FindKind.IPV6, at >> 3);
      at += octets << 3;
      return has(0);
    }
    case STRING: return walk_string(type);
    case NUMBER: return walk_number(live, role);
    case LIST: return walk_list(type, live, role);
    case SEQUENCE: return walk_sequence(type, live, role);
    case CHOICE: return walk_choice(type, live, role);
    default: return unreachable();
  }
}

function walk_string(type: usize): bool {
  const size = load<u32>(type, 4);
  let count: i32 = 0;
  if (size <= 8) {
    if (!has(size)) return false;
    count = take(size);
    align();
  } else {
    align();
    if (!has(size == IN_OCTET ? 8 : 16)) return false;
    count = size == IN_LENGTH ? take_length() : <i32>take(size == IN_OCTET ? 8 : 16);
  }
  at += (<u32>count + load<u32>(type, 8)) * load<u32>(type, 12);
  return has(0);
}

/** Behind one that is found the kernel skips as many octets as it has, once more. */
function walk_number(live: bool, role: u32): bool {
  if (!has(2)) return false;
  const octets = take(2) + 1;
  if (!has(octets << 3)) return false;
  align();
  if (live) find(role, FindKind.NUMBER, take(octets << 3) + 1);
  at += octets << 3;
  return has(0);
}

function walk_list(type: usize, live: bool, role: u32): bool {
  align();
  const count = take_length();
  if (count < 0) return false;
  const wanted = load<u32>(type, 4);
  const attributes = load<u32>(type, 8);
  const type_of_item: usize = load<u32>(type, 12);
  for (let i: u32 = 0; i < <u32>count; i++) {
    if (attributes & OPEN) align();
    item = i;
    if (!walk_part(attributes, type_of_item, live, live && i < wanted, role)) return false;
  }
  return true;
}

/** A part that is there; one with a length is only looked at if the whole is live. */
function walk_part(attributes: u32, type: usize, whole_live: bool, live: bool, role: u32): bool {
  const part_live = live && (attributes & LIVE) != 0;
  const part_role = attributes >= FOR ? attributes / FOR : role;
  if (!(attributes & OPEN)) return walk(type, part_live, part_role);
  const behind = take_end();
  if (behind == 0) return false;
  if (whole_live && attributes & LIVE) {
    if (!walk(type, part_live, part_role)) return false;
    at = behind & ~7;
  } else {
    at = behind;
  }
  return true;
}

function walk_sequence(type: usize, live: bool, role: u32): bool {
  if (!has(1)) return false;
  const head = load<u32>(type);
  const extended = (head & EXTENSIBLE) != 0 && take(1) != 0;
  const options = load<u32>(type, 4);
  if (!has(options)) return false;
  let present = options ? take(options) << (32 - options) : 0;
  if (live && head & TOLD) find(role, FindKind.NUMBER, 0);
  let part = type + 12;
  for (; !(load<u32>(part) & (DOTS | END)); part += PART) {
    const attributes = load<u32>(part);
    if (attributes & STOP) return true;
    if (attributes & OPTIONAL) {
      const there = <i32>present < 0;
      present <<= 1;
      if (!there) continue;
    }
    if (!walk_part(attributes, load<u32>(part, 4), live, live, role)) return false;
  }
  return !extended || walk_additions(part, load<u32>(type, 8), live, role);
}

/** What stands behind the "..."; `part` is the description there. */
function walk_additions(part: usize, known: u32, live: bool, role: u32): bool {
  if (!has(7)) return false;
  const count = take(7) + 1;
  if (count > 32 || !has(count)) return false;
  let present = take_bitmap(count);
  align();
  for (let i: u32 = 0; i < count; i++, present <<= 1) {
    let attributes: u32 = PLAIN;
    if (i < known) {
      if (!(load<u32>(part) & END)) part += PART;
      attributes = load<u32>(part);
      if (attributes & STOP) return true;
      if (<i32>present >= 0) continue;
    }
    // Additions that are not known are taken to be there, though their bit may say that they are not.
    if (!walk_part(attributes | OPEN, attributes & END ? 0 : load<u32>(part, 4), live, live, role)) return false;
  }
  return true;
}

/** Which additions are there, from the highest bit down. The kernel gets it wrong where 32 bits end with the bitmap. */
function take_bitmap(count: u32): u32 {
  const first = at;
  const bits = take(count) << (32 - count);
  return (first & 7) != 0 && (first & 7) + count == 32 ? be32(message + (first >> 3)) & (-1 << (32 - count)) : bits;
}

function walk_choice(type: usize, live: bool, role: u32): bool {
  if (!has(1)) return false;
  const head = load<u32>(type);
  const extended = (head & EXTENSIBLE) != 0 && take(1) != 0;
  const bits: u32 = extended ? 7 : load<u32>(type, 4);
  const root = load<u32>(type, 8);
  if (!has(bits)) return false;
  const alternative = take(bits) + (extended ? root : 0);
  if (!extended && alternative >= root) return false;
  if (live && head & TOLD) find(role, FindKind.NUMBER, alternative);
  const known = alternative < load<u32>(type, 12);
  const part = known ? part_of(type + 16, alternative) : 0;
  if (known && part == 0 && head & ONLY) return true;
  const attributes = part ? load<u32>(part) : PLAIN;
  if (extended) {
    align();
    return walk_part(attributes | OPEN, part ? load<u32>(part, 4) : 0, live, live, role);
  }
  return part == 0 || walk_part(attributes, load<u32>(part, 4), live, live, role);
}

/** The part of this number, 0 if it is not listed. */
function part_of(part: usize, number: u32): usize {
  for (; number > 0; number--, part += PART) {
    if (load<u32>(part) & END) return 0;
  }
  return load<u32>(part) & END ? 0 : part;
}
