// The SIP message in work: where it lies in its packet, and how to change it. Places in it are offsets from its beginning,
// since a message that is rewritten moves.

import { put_u32 } from "../format/write";
import { Packet, World } from "../layout";
import { L3, Proto } from "../vocabulary";
import { payload, scratch } from "./helper";
import { replace, written } from "./rewrite";
import { find_header, find_line, found_at, found_length, Header, Line, Search } from "./sip-text";
import { write_address } from "./write";

const COLON: u8 = 58;
/** `v=` */
const LINE_NAME: u32 = 2;

/** Where the message begins in the payload, and its bytes. */
let start: u32 = 0;
let length: u32 = 0;

export function begin_message(at: u32, bytes: u32): void {
  start = at;
  length = bytes;
}

// @ts-ignore: decorator
@inline export function message_at(p: Packet): usize {
  return payload(p, p.protonum == Proto.TCP) + start;
}

// @ts-ignore: decorator
@inline export function message_length(): u32 {
  return length;
}

/** Puts `bytes` of text in place of `size` bytes at `offset`; false if the packet would become too long. */
function change(w: World, p: Packet, offset: u32, size: u32, end: usize): bool {
  const bytes = <u32>(end - written(w));
  if (!replace(w, p, start + offset, size, written(w), bytes)) return false;
  length += bytes - size;
  return true;
}

/** The address at `address`; IPv6 in brackets if wanted. */
function put_address(to: usize, address: usize, l3num: u32, bracketed: bool): usize {
  if (l3num == L3.IPV4 || !bracketed) return write_address(to, address, l3num);
  store<u8>(to, 91); // [
  to = write_address(to + 1, address, l3num);
  store<u8>(to, 93); // ]
  return to + 1;
}

export function change_address(w: World, p: Packet, offset: u32, size: u32, address: usize, bracketed: bool): bool {
  return change(w, p, offset, size, put_address(written(w), address, p.l3num, bracketed));
}

/** Address and port (in host order). */
export function change_endpoint(w: World, p: Packet, offset: u32, size: u32, address: usize, port: u32): bool {
  const end = put_address(written(w), address, p.l3num, true);
  store<u8>(end, COLON);
  return change(w, p, offset, size, put_u32(end + 1, port));
}

export function change_number(w: World, p: Packet, offset: u32, size: u32, value: u32): bool {
  return change(w, p, offset, size, put_u32(written(w), value));
}

/** Says how long the session description is by now (mangle_content_len()). False if there is none, or nowhere to say it. */
export function change_content_length(w: World, p: Packet): bool {
  const text = message_at(p);
  const target = scratch(w);
  if (find_line(text, 0, length, Line.VERSION, Line.NONE, p.l3num, target) != Search.FOUND) return false;
  const body = length - found_at() + LINE_NAME;
  if (find_header(text, 0, length, Header.CONTENT_LENGTH, p.l3num, target) != Search.FOUND) return false;
  return change_number(w, p, found_at(), found_length(), body);
}
