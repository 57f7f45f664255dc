// Where in a SIP message or a session description does a value stand? (RFC 3261 section 7.3, RFC 4566 section 5)
// Kernel: the parsing half of net/netfilter/nf_conntrack_sip.c.
//
// A message is `at` with `length` bytes; places in it are offsets. What a search found lies in the functions below until
// the next search. Where the kernel's searches end a byte early, so do these: announcements at the very end of a message
// are missed by both.

import { L3 } from "../vocabulary";
import { ANY, ipv4_address, ipv6_address, is_digit } from "./text";

/** What a search came to. */
export enum Search {
  /** The header is there, its value cannot be read. */
  BROKEN = -1,
  NONE = 0,
  FOUND = 1,
}

export enum Header {
  CSEQ = 0,
  CONTACT = 1,
  EXPIRES = 2,
  CONTENT_LENGTH = 3,
  FROM = 4,
  TO = 5,
  VIA_UDP = 6,
  VIA_TCP = 7,
}

/** Lines of a session description. */
export enum Line {
  NONE = 0,
  VERSION = 118, // v
  OWNER = 111, // o
  CONNECTION = 99, // c
  MEDIA = 109, // m
}

const DEFAULT_PORT: u32 = 5060;
const PORT_MIN: u32 = 1024;

const SPACE: u32 = 32;
const TAB: u32 = 9;
const RETURN: u32 = 13;
const NEWLINE: u32 = 10;
const COLON: u32 = 58;

let offset: u32 = 0;
let size: u32 = 0;
let port: u32 = 0;
let number_end: u32 = 0;

/** Where the value found begins, and its bytes. */
// @ts-ignore: decorator
@inline export function found_at(): u32 {
  return offset;
}
// @ts-ignore: decorator
@inline export function found_length(): u32 {
  return size;
}
/** The port of the address found. */
// @ts-ignore: decorator
@inline export function found_port(): u32 {
  return port;
}

export function is_letter(c: u32): bool {
  const letter = c | 0x20;
  return (letter - 97 < 26 && c < 128) || (c >= 192 && c != 215 && c != 247);
}

// @ts-ignore: decorator
@inline function is_end_of_line(c: u32): bool {
  return c == RETURN || c == NEWLINE;
}
// @ts-ignore: decorator
@inline function is_blank(c: u32): bool {
  return c == SPACE || c == TAB;
}

/** Are these the bytes of `text` (in lower case), whatever the case of letters? The caller knows that they are there. */
export function is_like(at: usize, text: usize, length: u32): bool {
  for (let i: u32 = 0; i < length; i++) {
    const c = <u32>load<u8>(at + i);
    if (c != load<u8>(text + i) && !(c - 65 < 26 && (c | 0x20) == load<u8>(text + i))) return false;
  }
  return true;
}

/** Behind the end of a line, the first character of its continuation; 0 if the next line is another one. */
function continuation(at: usize, limit: usize): usize {
  if (++at >= limit) return 0;
  if (load<u8>(at - 1) == RETURN && load<u8>(at) == NEWLINE && ++at >= limit) return 0;
  if (!is_blank(load<u8>(at))) return 0;
  while (at < limit && is_blank(load<u8>(at))) at++;
  return at;
}

function skip_blanks(at: usize, limit: usize): usize {
  while (at < limit && is_blank(load<u8>(at))) at++;
  if (at < limit && is_end_of_line(load<u8>(at))) at = continuation(at, limit);
  return at < limit ? at : 0;
}

/** The first place of `text` in the value of a header, which may go on in further lines; 0 if it is not there. */
function search_value(at: usize, limit: usize, text: usize, length: u32): usize {
  limit -= length;
  for (; at < limit; at++) {
    if (is_end_of_line(load<u8>(at))) {
      at = continuation(at, limit);
      if (at == 0) return 0;
    } else if (is_like(at, text, length)) {
      return at;
    }
  }
  return 0;
}

/** Digits as a number, 0 and no digits if it has more than 32 bits. `end_of_number` says where it ends. */
export function read_number(message: usize, from: u32, length: u32): u32 {
  let value: u64 = 0;
  let i = from;
  while (i < length && is_digit(load<u8>(message + i))) {
    value = value * 10 + load<u8>(message + i) - 48;
    i++;
    if (i - from > 11 || value > 0xffffffff) {
      number_end = from;
      return 0;
    }
  }
  number_end = i;
  return <u32>value;
}

// @ts-ignore: decorator
@inline export function end_of_number(): u32 {
  return number_end;
}

/**
 * Where an address ends that begins at `at`, 0 if none does; `target` gets it (room for 32 bytes). IPv6 is in brackets, or
 * may be.
 */
function read_address(at: usize, limit: usize, l3num: u32, target: usize, bracketed: bool): usize {
  if (l3num == L3.IPV4) return ipv4_address(at, limit, target);
  const opened = at < limit && load<u8>(at) == 91;
  if (!opened && bracketed) return 0;
  if (opened) at++;
  const length = ipv6_address(at, limit, ANY, target);
  if (length == 0) return 0;
  at += length;
  const closed = at < limit && load<u8>(at) == 93;
  return closed ? at + 1 : bracketed ? 0 : at;
}

/** Where an address with or without a port ends, 0 if there is none. */
function read_endpoint(at: usize, limit: usize, l3num: u32, target: usize): usize {
  let end = read_address(at, limit, l3num, target, true);
  if (end == 0 || end >= limit) return 0;
  port = DEFAULT_PORT;
  if (load<u8>(end) != COLON) return end;
  const digits = ++end;
  port = 0;
  while (end < limit && is_digit(load<u8>(end))) {
    port = port * 10 + load<u8>(end) - 48;
    if (++end - digits > 5) return 0;
  }
  return end == digits || end >= limit || port < PORT_MIN || port > 65535 ? 0 : end;
}

/** The host part of a URI: behind the user and `@`, if the line has one. */
function skip_user(at: usize, limit: usize): usize {
  let i = at;
  while (i < limit && load<u8>(i) != 64 && !is_end_of_line(load<u8>(i))) i++;
  return i < limit && load<u8>(i) == 64 ? i + 1 : at;
}

/** Name of a header and its length; compact form, 0 for none. */
function name_of(header: Header): usize {
  switch (header) {
    case Header.CSEQ: return memory.data<u8>([4, 0, 99, 115, 101, 113]); // "cseq"
    case Header.CONTACT: return memory.data<u8>([7, 109, 99, 111, 110, 116, 97, 99, 116]); // "contact", "m"
    case Header.FROM: return memory.data<u8>([4, 102, 102, 114, 111, 109]); // "from", "f"
    case Header.TO: return memory.data<u8>([2, 116, 116, 111]); // "to", "t"
    case Header.VIA_UDP:
    case Header.VIA_TCP: return memory.data<u8>([3, 118, 118, 105, 97]); // "via", "v"
    case Header.EXPIRES: return memory.data<u8>([7, 0, 101, 120, 112, 105, 114, 101, 115]); // "expires"
    default: return memory.data<u8>([14, 108, 99, 111, 110, 116, 101, 110, 116, 45, 108, 101, 110, 103, 116, 104]); // "content-length", "l"
  }
}

/** Finds a header from `from` on: digits, the host part of a SIP URI, or a Via's host (ct_sip_get_header()). */
export function find_header(message: usize, from: u32, length: u32, header: Header, l3num: u32, target: usize): Search {
  const limit = message + length;
  const name = name_of(header);
  const name_length = <u32>load<u8>(name);
  const compact = <u32>load<u8>(name, 1);
  for (let at = message + from; at < limit; at++) {
    if (!is_end_of_line(load<u8>(at))) continue;
    if (++at >= limit) break;
    if (load<u8>(at - 1) == RETURN && load<u8>(at) == NEWLINE && ++at >= limit) break;
    if (is_blank(load<u8>(at))) continue;
    if (limit - at >= name_length && is_like(at, name + 2, name_length)) at += name_length;
    else if (compact != 0 && limit - at >= 2 && (<u32>load<u8>(at) | 0x20) == compact && !is_letter(load<u8>(at, 1))) at++;
    else continue;
    at = skip_blanks(at, limit);
    if (at == 0 || load<u8>(at) != COLON || ++at >= limit) break;
    at = skip_blanks(at, limit);
    if (at == 0) break;
    offset = <u32>(at - message);
    switch (header) {
      case Header.CONTACT:
      case Header.FROM:
      case Header.TO: return find_uri(message, at, limit, l3num, target);
      case Header.VIA_UDP:
      case Header.VIA_TCP: return find_via(message, at, limit, header, l3num, target);
      default: return find_digits(message, at, limit);
    }
  }
  return Search.NONE;
}

function find_digits(message: usize, at: usize, limit: usize): Search {
  let end = at;
  while (end < limit && is_digit(load<u8>(end))) end++;
  size = <u32>(end - at);
  offset = <u32>(at - message);
  return size == 0 ? Search.BROKEN : Search.FOUND;
}

function find_uri(message: usize, at: usize, limit: usize, l3num: u32, target: usize): Search {
  const scheme = memory.data<u8>([115, 105, 112, 58]); // "sip:"
  at = search_value(at, limit, scheme, 4);
  if (at == 0) return Search.BROKEN;
  return host_at(message, at + 4, limit, l3num, target);
}

function find_via(message: usize, at: usize, limit: usize, header: Header, l3num: u32, target: usize): Search {
  const transports = memory.data<u8>([117, 100, 112, 32, 116, 99, 112, 32]); // "udp tcp "
  at = search_value(at, limit, transports + (header == Header.VIA_TCP ? 4 : 0), 4);
  return at == 0 ? Search.BROKEN : endpoint_at(message, at + 4, limit, l3num, target);
}

function host_at(message: usize, at: usize, limit: usize, l3num: u32, target: usize): Search {
  return endpoint_at(message, skip_user(at, limit), limit, l3num, target);
}

function endpoint_at(message: usize, host: usize, limit: usize, l3num: u32, target: usize): Search {
  const end = read_endpoint(host, limit, l3num, target);
  if (end == 0) return Search.BROKEN;
  offset = <u32>(host - message);
  size = <u32>(end - host);
  return Search.FOUND;
}

/** The next value of the same header, behind a comma (ct_sip_next_header()). */
function next_contact(message: usize, from: u32, length: u32, l3num: u32, target: usize): Search {
  const comma = memory.data<u8>([44]);
  const scheme = memory.data<u8>([115, 105, 112, 58]); // "sip:"
  const limit = message + length;
  let at = search_value(message + from, limit, comma, 1);
  if (at == 0) return Search.NONE;
  at = search_value(at, limit, scheme, 4);
  if (at == 0) return Search.NONE;
  offset = <u32>(at + 4 - message);
  return host_at(message, at + 4, limit, l3num, target);
}

/**
 * The next Contact from `from` on that can be read, first in the same header if `within` (ct_sip_walk_headers()). False
 * if there is none.
 */
export function walk_contacts(message: usize, from: u32, length: u32, within: bool, l3num: u32, target: usize): bool {
  while (within) {
    const found = next_contact(message, from, length, l3num, target);
    if (found == Search.FOUND) return true;
    if (found == Search.NONE) break;
    from = offset;
  }
  return find_readable(message, from, length, Header.CONTACT, l3num, target);
}

/** The first header of a kind from `from` on that can be read; false if there is none. */
export function find_readable(message: usize, from: u32, length: u32, header: Header, l3num: u32, target: usize): bool {
  while (true) {
    const found = find_header(message, from, length, header, l3num, target);
    if (found == Search.FOUND) return true;
    if (found == Search.NONE) return false;
    from = offset;
  }
}

/** Finds the host part of a request's target: `INVITE sip:bob@10.0.0.1 SIP/2.0` (ct_sip_parse_request()). */
export function find_target(message: usize, length: u32, l3num: u32, target: usize): bool {
  const scheme = memory.data<u8>([115, 105, 112, 58]); // "sip:"
  const limit = message + length;
  let at = message;
  while (at < limit && is_letter(load<u8>(at))) at++;
  if (at == message || ++at >= limit) return false;
  for (; at + 4 < limit; at++) {
    if (is_end_of_line(load<u8>(at))) return false;
    if (is_like(at, scheme, 4)) {
      at += 4;
      break;
    }
  }
  return host_at(message, at, limit, l3num, target) == Search.FOUND;
}

/** Finds an address as a parameter's value (ct_sip_parse_address_param()). */
export function find_address_parameter(
  message: usize, from: u32, length: u32, name: usize, name_length: u32, l3num: u32, target: usize, bracketed: bool,
): bool {
  const start = find_parameter(message, from, length, name, name_length);
  if (start == 0) return false;
  const end = read_address(message + start, message + end_of_value(message, from, length), l3num, target, bracketed);
  if (end == 0) return false;
  offset = start;
  size = <u32>(end - message) - start;
  return true;
}

/** Where a parameter's value begins among those of the value at `from`, 0 if it is not there. */
export function find_parameter(message: usize, from: u32, length: u32, name: usize, name_length: u32): u32 {
  const comma = memory.data<u8>([44]);
  const limit = message + length;
  const end = search_value(message + from, limit, comma, 1);
  const at = search_value(message + from, end == 0 ? limit : end, name, name_length);
  return at == 0 ? 0 : <u32>(at - message) + name_length;
}

/** Where the value that holds `from` ends: at a comma, or with the message. */
export function end_of_value(message: usize, from: u32, length: u32): u32 {
  const comma = memory.data<u8>([44]);
  const end = search_value(message + from, message + length, comma, 1);
  return end == 0 ? length : <u32>(end - message);
}

/** Finds a line of a session description, no further than a line of the kind `stop` (ct_sip_get_sdp_header()). */
export function find_line(message: usize, from: u32, length: u32, line: Line, stop: Line, l3num: u32, target: usize): Search {
  const limit = message + length;
  for (let at = message + from; at < limit; at++) {
    if (!is_end_of_line(load<u8>(at))) continue;
    if (++at >= limit) break;
    if (load<u8>(at - 1) == RETURN && load<u8>(at) == NEWLINE && ++at >= limit) break;
    const kind = limit - at >= 2 && load<u8>(at, 1) == 61 ? <u32>load<u8>(at) | 0x20 : 0;
    if (stop != Line.NONE && kind == <u32>stop) break;
    if (kind != <u32>line) continue;
    at += 2;
    offset = <u32>(at - message);
    if (line == Line.CONNECTION || line == Line.OWNER) return find_connection(message, at, limit, l3num, target);
    return line == Line.MEDIA ? find_media(message, at, limit) : find_digits(message, at, limit);
  }
  return Search.NONE;
}

/** `IN IP4 10.0.0.1` */
function find_connection(message: usize, at: usize, limit: usize, l3num: u32, target: usize): Search {
  const v4 = memory.data<u8>([73, 78, 32, 73, 80, 52, 32]); // "IN IP4 "
  const last: u32 = l3num == L3.IPV4 ? 52 : 54;
  for (; at < limit - 7 && !is_end_of_line(load<u8>(at)); at++) {
    let i: u32 = 0;
    while (i < 7 && load<u8>(at + i) == (i == 5 ? last : <u32>load<u8>(v4 + i))) i++;
    if (i < 7) continue;
    const start = at + 7;
    const end = l3num == L3.IPV4 ? ipv4_address(start, limit, target) : start + ipv6_address(start, limit, ANY, target);
    if (end == 0 || end == start) return Search.BROKEN;
    offset = <u32>(start - message);
    size = <u32>(end - start);
    return Search.FOUND;
  }
  return Search.BROKEN;
}

/** `audio 40000`: a word, a blank, digits. */
function find_media(message: usize, at: usize, limit: usize): Search {
  let end = at;
  while (end < limit && is_letter(load<u8>(end))) end++;
  if (end >= limit || load<u8>(end) != SPACE) return Search.BROKEN;
  end++;
  while (end < limit && is_digit(load<u8>(end))) end++;
  offset = <u32>(at - message);
  size = <u32>(end - at);
  return Search.FOUND;
}
