// IRC: a client that offers a file or a chat to another one (DCC) says where it listens, and anybody may come.
// Kernel: net/netfilter/nf_conntrack_irc.c, nf_nat_irc.c.

import { bswap16 } from "../bytes";
import { expect_target, unlink_expectation } from "../expect";
import { put_u32 } from "../format/write";
import { help_of } from "../help";
import { Flow, Packet, World } from "../layout";
import { CtState, Dir, HelperFault, Proto } from "../vocabulary";
import { expect, expect_port, expectation_of, payload, payload_length, refuse, tuple_of } from "./helper";
import { follow_master, is_translated, replace_in_stream, written } from "./rewrite";
import { decimal, end_of_decimal, is_text, is_word } from "./text";

/** Bytes of a segment that are looked at. */
const SEARCH_MAX: u32 = 4095;
/** `PRIVMSG x ` */
const COMMAND_MIN: usize = 10;
/** ` :`, 1, `DCC `, the shortest kind, `t AAAAAAAA P`, 1, newline */
const OFFER_MIN: usize = 26;
/** `AAAAAAAA P`, 1, newline */
const ADDRESS_MIN: usize = 12;

const SPACE: u32 = 32;
const NEWLINE: u32 = 10;
const RETURN: u32 = 13;

// What an offer says: where (host order); and where that stands.
let offered_address: u32 = 0;
let offered_port: u32 = 0;
let offer_start: usize = 0;
let offer_end: usize = 0;

export function irc_help(w: World, flow: Flow, p: Packet): bool {
  if (p.dir == Dir.REPLY || p.ct_state != CtState.ESTABLISHED) return true;
  const length = payload_length(p, true, SEARCH_MAX);
  if (length == 0) return true;
  const text = payload(p, true);
  if (!find_offer(text, text + min(length, SEARCH_MAX))) return true;
  // The address may be the one inside or, with NAT, the one outside.
  const address = bswap<u32>(offered_address);
  const other = tuple_of(flow, Dir.REPLY);
  if ((<u32>flow.src_lo != address && <u32>other.dst_lo != address) || offered_port == 0) return true;
  const e = expectation_of(w, help_of(w, flow), Proto.TCP, 0);
  const port = bswap<u16>(<u16>offered_port);
  expect_target(e, other, port);
  if (!is_translated(flow)) return expect(w, p, e);
  follow_master(e, Dir.REPLY, port);
  const made = expect_port(w, p, e, port);
  if (changetype<usize>(made) == 0) return false;
  const offer = written(w);
  let end = put_u32(offer, bswap<u32>(<u32>other.dst_lo));
  store<u8>(end++, SPACE);
  end = put_u32(end, bswap16(made.dport));
  const size = <u32>(end - offer);
  if (replace_in_stream(w, flow, p, <u32>(offer_start - text), <u32>(offer_end - offer_start), offer, size)) return true;
  unlink_expectation(w, made, 0, true);
  return refuse(p, HelperFault.CANNOT_MANGLE);
}

/** Looks for `PRIVMSG who :` followed by 1, `DCC SEND name address port`, 1. Only the first offer counts. */
function find_offer(at: usize, end: usize): bool {
  const privmsg = memory.data<u8>([112, 114, 105, 118, 109, 115, 103]); // "privmsg"
  const message = memory.data<u8>([32, 58]); // " :"
  const dcc = memory.data<u8>([1, 68, 67, 67, 32]); // 1 "DCC "
  while (at + COMMAND_MIN < end && is_blank(load<u8>(at))) at++;
  if (at + COMMAND_MIN < end) {
    if (!is_word(at, privmsg, 7) || load<u8>(at, 7) != SPACE) return false;
    at += 8;
  }
  while (at + OFFER_MIN < end) {
    if (!is_text(at, message, 2)) {
      at++;
      continue;
    }
    at += 2;
    if (!is_text(at, dcc, 5)) return false;
    at += 5;
    const kind = offer_kind(at);
    if (kind != 0) return read_offer(at + kind, end);
  }
  return false;
}

// @ts-ignore: decorator
@inline function is_blank(c: u32): bool {
  return c == SPACE || c == RETURN || c == NEWLINE;
}

/** Length of the word and blank that say what is offered; 0 if it is something else. */
function offer_kind(at: usize): u32 {
  const five = memory.data<u8>([83, 69, 78, 68, 32, 67, 72, 65, 84, 32, 77, 79, 86, 69, 32]); // "SEND CHAT MOVE "
  const six = memory.data<u8>([84, 83, 69, 78, 68, 32, 83, 67, 72, 65, 84, 32]); // "TSEND SCHAT "
  for (let i: u32 = 0; i < 3; i++) {
    if (is_text(at, five + i * 5, 5)) return 5;
  }
  return is_text(at, six, 6) || is_text(at, six + 6, 6) ? 6 : 0;
}

/** Name, address and port of the offer, on one line. */
function read_offer(at: usize, end: usize): bool {
  while (load<u8>(at++) != SPACE) {
    if (at + ADDRESS_MIN > end) return false;
  }
  let newline = at;
  while (newline < end && load<u8>(newline) != NEWLINE) newline++;
  if (newline >= end) return false;
  offer_start = at;
  offered_address = <u32>decimal(at, newline);
  at = end_of_decimal();
  while (load<u8>(at) == SPACE) at++;
  offered_port = <u32>decimal(at, newline) & 0xffff;
  offer_end = end_of_decimal();
  return true;
}
