// FTP: the data connection that a PORT or EPRT command, or the answer to PASV or EPSV, announces (RFC 959, RFC 2428).
// Kernel: net/netfilter/nf_conntrack_ftp.c.
//
// Commands count only at the beginning of a line: for each direction the two latest sequence numbers behind a newline are
// remembered, and a segment that begins elsewhere is not looked at. So the first line of each side is never read. A
// command whose end is in the next segment is dropped, to come again in one piece.
//
// Of a translated connection (net/netfilter/nf_nat_ftp.c) the other side is told its own view of address and port.

import { bswap16 } from "../bytes";
import { expect_source, expect_target, unlink_expectation } from "../expect";
import { put_u32 } from "../format/write";
import { help_of } from "../help";
import { Flow, Help, Packet, Tuple, World } from "../layout";
import { CtState, Dir, HelperFault, L3, Proto } from "../vocabulary";
import { tcp_seq } from "../wire/tcp";
import { ALL, expect, expect_port, expectation_of, payload, payload_length, refuse, scratch, tuple_of } from "./helper";
import { follow_master, is_translated, replace_in_stream, written } from "./rewrite";
import { ipv6_address, is_digit, is_text, is_word } from "./text";
import { write_address, write_full_ipv6 } from "./write";

// What is remembered (Help.data): u32[2][2], sequence numbers behind a newline by direction; u8[2], how many of them.
const KNOWN: usize = 16;
const REMEMBERED: u32 = 2;

const NEWLINE: u32 = 10;
const RETURN: u32 = 13;
const SPACE: u32 = 32;
const COMMA: u32 = 44;
const DOT: u32 = 46;
const PARENTHESIS: u32 = 40;
const BAR: u8 = 124;

/** What a line holds. */
enum Found {
  NOTHING = 0,
  /** The beginning of something that goes on in the next segment. */
  PART = 1,
  ADDRESS = 2,
}

/** How a line puts it. */
enum Form {
  /** `10,0,0,1,4,1` */
  NUMBERS = 0,
  /** `|1|10.0.0.1|1025|` */
  EXTENDED = 1,
  /** `|||1025|` */
  PORT = 2,
}

// What the line announces: address (16 bytes, wire order), port (wire order); how, and where in the payload.
let announced: usize = 0;
let announced_port: u16 = 0;
let form: Form = Form.NUMBERS;
let place: u32 = 0;
let size: u32 = 0;

export function ftp_help(w: World, flow: Flow, p: Packet): bool {
  if (p.ct_state != CtState.ESTABLISHED) return true;
  const length = payload_length(p, true, ALL);
  if (length == 0) return true;
  const text = payload(p, true);
  const help = help_of(w, flow);
  const dir: u32 = p.dir;
  const seq = tcp_seq(p.l4);
  let passes = true;
  if (is_line_start(help, dir, seq)) {
    announced = scratch(w);
    memory.copy(announced, changetype<usize>(tuple_of(flow, dir)), 16);
    const found = dir == Dir.ORIGINAL ? read_command(p, text, length) : read_answer(p, text, length);
    if (found == Found.PART) return false;
    if (found == Found.ADDRESS) passes = expect_data(w, help, flow, p);
  }
  if (load<u8>(text + length - 1) == NEWLINE) remember(help, dir, seq + length);
  return passes;
}

function is_line_start(help: Help, dir: u32, seq: u32): bool {
  const at = help.memory();
  const count = load<u8>(at + KNOWN + dir);
  for (let i: u32 = 0; i < count; i++) {
    if (load<u32>(at + (dir * REMEMBERED + i) * 4) == seq) return true;
  }
  return false;
}

/** The older of the two numbers makes room, unless it is the newer one's (update_nl_seq()). */
function remember(help: Help, dir: u32, seq: u32): void {
  if (is_line_start(help, dir, seq)) return;
  const at = help.memory() + dir * REMEMBERED * 4;
  const known = help.memory() + KNOWN + dir;
  const count = load<u8>(known);
  if (count < REMEMBERED) {
    store<u32>(at + count * 4, seq);
    store<u8>(known, count + 1);
    return;
  }
  const oldest = at + (<i32>(load<u32>(at) - load<u32>(at, 4)) < 0 ? 0 : 4);
  if (<i32>(load<u32>(oldest) - seq) < 0) store<u32>(oldest, seq);
}

/** The other side will connect to what was announced: only to the one who announced it (`loose` is off). */
function expect_data(w: World, help: Help, flow: Flow, p: Packet): bool {
  const own = tuple_of(flow, p.dir);
  if (load<u64>(announced) != own.src_lo || load<u64>(announced, 8) != own.src_hi) return true;
  const other = tuple_of(flow, p.dir ^ 1);
  const e = expectation_of(w, help, Proto.TCP, 0);
  expect_source(e, other);
  expect_target(e, other, announced_port);
  if (!is_translated(flow)) return expect(w, p, e);
  follow_master(e, p.dir ^ 1, announced_port);
  const made = expect_port(w, p, e, announced_port);
  if (changetype<usize>(made) == 0) return false;
  const text = written(w);
  if (replace_in_stream(w, flow, p, place, size, text, write_announcement(text, other, made.dport))) return true;
  unlink_expectation(w, made, 0, true);
  return refuse(p, HelperFault.CANNOT_MANGLE);
}

/** The line's announcement with the target of a tuple as address; returns how many bytes. */
function write_announcement(start: usize, t: Tuple, dport: u16): u32 {
  const bars: u32 = 0x7c7c7c; // "|||"
  const address = changetype<usize>(t) + offsetof<Tuple>("dst_lo");
  const port = bswap16(dport);
  let to = start;
  if (form == Form.NUMBERS) {
    for (let i: u32 = 0; i < 4; i++) {
      to = put_u32(to, load<u8>(address + i));
      store<u8>(to++, COMMA);
    }
    to = put_u32(to, port >> 8);
    store<u8>(to, COMMA);
    return <u32>(put_u32(to + 1, port & 0xff) - start);
  }
  store<u32>(to, bars);
  to += 3;
  if (form == Form.EXTENDED) {
    const v6 = t.l3num == L3.IPV6;
    store<u8>(start, v6 ? 50 : 49, 1);
    to = v6 ? write_full_ipv6(to, address) : write_address(to, address, L3.IPV4);
    store<u8>(to++, BAR);
  }
  to = put_u32(to, port);
  store<u8>(to++, BAR);
  return <u32>(to - start);
}

/** `PORT 10,0,0,1,4,1` and `EPRT |1|10.0.0.1|1025|`. */
function read_command(p: Packet, text: usize, length: u32): Found {
  const port = memory.data<u8>([112, 111, 114, 116]); // "port"
  const eprt = memory.data<u8>([101, 112, 114, 116]); // "eprt"
  const isPort = is_word(text, port, min<u32>(length, 4));
  if (!isPort && !is_word(text, eprt, min<u32>(length, 4))) return Found.NOTHING;
  const partial = isPort ? HelperFault.PARTIAL_PORT : HelperFault.PARTIAL_EPRT;
  if (length <= 4) return part(p, partial);
  const start = behind(text, 4, length, SPACE);
  if (start == 0) return part(p, partial);
  const rest = length - start;
  place = start;
  form = isPort ? Form.NUMBERS : Form.EXTENDED;
  const read = isPort ? read_numbers(text + start, rest, RETURN) : read_extended(p, text + start, rest);
  return read ? Found.ADDRESS : part(p, partial);
}

/** `227 Entering Passive Mode (10,0,0,2,4,1)` and `229 Entering Extended Passive Mode (|||1025|)`. */
function read_answer(p: Packet, text: usize, length: u32): Found {
  const code = memory.data<u8>([50, 50, 55, 32, 50, 50, 57, 32]); // "227 229 "
  for (let i: u32 = 0; i < 2; i++) {
    if (!is_text(text, code + i * 4, min<u32>(length, 4))) continue;
    const partial = i == 0 ? HelperFault.PARTIAL_227 : HelperFault.PARTIAL_229;
    if (length <= 4) return part(p, partial);
    form = i == 0 ? Form.NUMBERS : Form.PORT;
    if (i == 0) return read_passive(text, 4, length) ? Found.ADDRESS : part(p, partial);
    const start = behind(text, 4, length, PARENTHESIS);
    if (start == 0) return part(p, partial);
    place = start;
    return read_delimited_port(text + start, length - start) ? Found.ADDRESS : part(p, partial);
  }
  return Found.NOTHING;
}

function part(p: Packet, fault: HelperFault): Found {
  refuse(p, fault);
  return Found.PART;
}

/** The place behind the first `skip` from `i` on, 0 if there is none. */
function behind(text: usize, i: u32, length: u32, skip: u32): u32 {
  for (; i < length; i++) {
    if (load<u8>(text + i) == skip) return i + 1;
  }
  return 0;
}

/**
 * `count` numbers, each but the last followed by `separator`: four are an address, two more a port (RFC 959). Behind the last
 * stands `end`, or anything if that is 0. Returns their length, 0 if that is not what stands there. A number that is too large
 * for a byte runs over into the one before it, as in the kernel (try_number()).
 */
function read_row(text: usize, length: u32, count: u32, separator: u32, end: u32): u32 {
  let address: u32 = 0;
  let port: u32 = 0;
  let value: u32 = 0;
  let index: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    const c = <u32>load<u8>(text + i);
    if (is_digit(c)) {
      value = value * 10 + c - 48;
      continue;
    }
    const last = index == count - 1;
    if (c == separator ? last : !last || (end != 0 && c != end)) return 0;
    if (index < 4) address |= value << (24 - index * 8);
    else port |= value << (40 - index * 8);
    if (last) {
      store<u32>(announced, bswap<u32>(address));
      announced_port = bswap<u16>(<u16>port);
      return i;
    }
    value = 0;
    index++;
  }
  return 0;
}

/** As PORT and 227 have them. */
function read_numbers(text: usize, length: u32, end: u32): bool {
  size = read_row(text, length, 6, COMMA, end);
  return size != 0;
}

/** The numbers begin at the first digit (RFC 1123 section 4.1.2.6). */
function read_passive(text: usize, i: u32, length: u32): bool {
  while (i < length && !is_digit(load<u8>(text + i))) i++;
  place = i;
  return i < length && read_numbers(text + i, length - i, 0);
}

// @ts-ignore: decorator
@inline function is_delimiter(c: u32): bool {
  return c >= 33 && c <= 126 && !is_digit(c);
}

/** `|1|132.235.1.2|6275|` or `|2|1080::8:800:200C:417A|5282|` (RFC 2428). */
function read_extended(p: Packet, text: usize, length: u32): bool {
  if (length <= 3) return false;
  const delimiter = <u32>load<u8>(text);
  if (!is_delimiter(delimiter) || load<u8>(text, 2) != delimiter) return false;
  const v6 = p.l3num == L3.IPV6;
  if (load<u8>(text, 1) != (v6 ? 50 : 49)) return false;
  const address = v6
    ? ipv6_address(text + 3, text + length, delimiter, announced)
    : read_row(text + 3, length - 3, 4, DOT, delimiter);
  if (address == 0) return false;
  return read_port(text, 3 + address + 1, length, delimiter);
}

/** `|||6446|`: three delimiters, the port, the delimiter (RFC 2428). */
function read_delimited_port(text: usize, length: u32): bool {
  if (length <= 3) return false;
  const delimiter = <u32>load<u8>(text);
  if (!is_delimiter(delimiter) || load<u8>(text, 1) != delimiter || load<u8>(text, 2) != delimiter) return false;
  return read_port(text, 3, length, delimiter);
}

/** A port other than 0, in 16 bits, up to the delimiter. */
function read_port(text: usize, i: u32, length: u32, delimiter: u32): bool {
  let port: u16 = 0;
  for (; i < length; i++) {
    const c = <u32>load<u8>(text + i);
    if (c == delimiter) {
      if (port == 0) return false;
      announced_port = bswap<u16>(port);
      size = i + 1;
      return true;
    }
    if (!is_digit(c)) return false;
    port = <u16>(<u32>port * 10 + c - 48);
  }
  return false;
}
