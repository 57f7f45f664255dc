// What do Q.931 and H.245 announce? Messages of both come in TPKTs (RFC 1006) over TCP.
// Kernel: q931_help(), h245_help() and below in net/netfilter/nf_conntrack_h323_main.c.

import { be16 } from "../bytes";
import { expect_related, look_for_expectation, Refused, unlink_expectation } from "../expect";
import { help_of } from "../help";
import { Find, FINDS_MAX, Flow, Help, Packet, World } from "../layout";
import { CtState, ExpectFlag, Helper, HelperFault, Proto, Reason } from "../vocabulary";
import { CALL_FORWARDED, USER_INFORMATION } from "./h225";
import { CONTROL_MESSAGE, Role, SEPARATE_LAN_STACK } from "./h245";
import {
  find_at, from_other_end, from_other_end_to, h323_of, is_senders, message_at, read_address, read_port, set_message,
} from "./h323";
import {
  begin_pairs, change_called, change_caller, expect_data, expect_forwarded_call, expect_pair, expect_signalling, is_hidden, is_rewritten,
} from "./h323-nat";
import { stays_on_its_side } from "./h323-route";
import { ALL, expect, payload, payload_length, refuse } from "./helper";
import { read_message } from "./per";

const TPKT_HEADER: u32 = 4;
/** A helper of the name H.245 can be given to UDP only, and takes what it gets for TCP all the same. */
const TCP_HEADER: u32 = 20;

/** u16 per direction in Help.data: bytes that a TPKT header announced which came alone. */
// @ts-ignore: decorator
@inline function announced(help: Help, p: Packet): usize {
  return help.memory() + <usize>p.dir * 2;
}

export function q931_help(w: World, flow: Flow, p: Packet): bool {
  return read_stream(w, flow, p, false) || refuse(p, HelperFault.Q931_MESSAGE);
}

export function h245_help(w: World, flow: Flow, p: Packet): bool {
  return read_stream(w, flow, p, true) || refuse(p, HelperFault.H245_MESSAGE);
}

/** The message that was read last could not be. */
let broken: bool = false;
/** Finds in the segment so far. */
let found: u32 = 0;

/** Reads the TPKTs of a segment; one that is not whole ends it (get_tpkt_data()). False if an expectation failed. */
function read_stream(w: World, flow: Flow, p: Packet, h245: bool): bool {
  found = 0;
  begin_pairs();
  if (p.ct_state != CtState.ESTABLISHED) return true;
  if (flow.protonum != Proto.TCP && !is_like_tcp(flow, p)) return true;
  const help = help_of(w, flow);
  const length = payload_length(p, true, ALL);
  const start = payload(p, true);
  const before: u32 = load<u16>(announced(help, p));
  let at: u32 = 0;
  let size: u32 = 0;
  if (length >= TPKT_HEADER && be16(start) == 0x300) {
    store<u16>(announced(help, p), 0);
    size = be16(start + 2);
    if (length == TPKT_HEADER && size > TPKT_HEADER) store<u16>(announced(help, p), <u16>(size - TPKT_HEADER));
    if (size < TPKT_HEADER || size > length) return true;
    at = TPKT_HEADER;
    size -= TPKT_HEADER;
  } else {
    store<u16>(announced(help, p), 0);
    if (before == 0 || before > length) return true;
    size = before;
  }
  let data = start + at;
  while (true) {
    if (!read_tpkt(w, flow, help, p, data, at, size, h245)) return false;
    if (broken) return true;
    // Where something was changed the message has moved.
    data = (h245 ? message_at() : payload(p, true) + at) + size;
    at += size;
    if (length - at <= TPKT_HEADER || be16(data) != 0x300) return true;
    size = be16(data + 2);
    if (size < TPKT_HEADER || size > length - at) return true;
    data += TPKT_HEADER;
    at += TPKT_HEADER;
    size -= TPKT_HEADER;
  }
}

/**
 * Has a datagram what would be a header of TCP? Where it says that there is less than the header of UDP, the kernel would change
 * bytes behind the packet.
 */
function is_like_tcp(flow: Flow, p: Packet): bool {
  return p.l4_captured >= TCP_HEADER && (!is_rewritten(flow) || payload(p, true) >= payload(p, false));
}

/** Reads the message at `start`, `offset` bytes behind the header, and does what it says. False if an expectation failed. */
function read_tpkt(w: World, flow: Flow, help: Help, p: Packet, start: usize, offset: u32, length: u32, h245: bool): bool {
  let size = length;
  if (!h245) {
    const skipped = user_information(start, length);
    if (skipped == 0) {
      broken = true;
      return true;
    }
    size = be16(start + skipped - 3) - 1;
    start += skipped;
    offset += skipped;
  }
  const type = h245 ? CONTROL_MESSAGE : USER_INFORMATION;
  const finds = read_message(type, h245 ? Role.CONTROL : Role.NONE, start, size, h323_of(w).finds());
  broken = finds < 0;
  if (broken) return true;
  found += finds;
  if (found > FINDS_MAX) {
    // More than anybody announces, and more events than there is room for.
    if (p.reason == Reason.NONE) p.reason = <u8>Reason.HELPER_CUT_SHORT;
    broken = true;
    return true;
  }
  set_message(start, offset);
  return follow(w, flow, help, p, finds);
}

/** Where a Q.931 message has its user-user information (ITU-T Q.931 section 4), 0 if nowhere (DecodeQ931()). */
function user_information(start: usize, length: u32): u32 {
  if (length < 2 || load<u8>(start) != 8) return 0;
  let at: u32 = 2 + load<u8>(start, 1);
  if (length < at + 2) return 0;
  // The type of the message; a byte above 127 behind it is skipped, too.
  at += load<u8>(start + at, 1) & 0x80 ? 2 : 1;
  while (at < length) {
    if (load<u8>(start + at) == 0x7e) {
      if (length < at + 3) return 0;
      const size = be16(start + at + 1);
      // Of the element the first byte says that what follows is ASN.1.
      return size < 2 || length < at + 3 + size ? 0 : at + 4;
    }
    if (length < at + 2) return 0;
    at += 2 + load<u8>(start + at, 1);
  }
  return 0;
}

/** Expects what a message announces (process_q931(), process_h245()). */
function follow(w: World, flow: Flow, help: Help, p: Packet, count: i32): bool {
  let acknowledges = false;
  let separate = false;
  let forwarded = false;
  let target = changetype<Find>(0);
  let late = changetype<Find>(0);
  for (let i: i32 = 0; i < count; i++) {
    const find = find_at(w, i);
    const role: u32 = find.role;
    if (role == Role.CHANNEL || role == Role.CHANNEL_ACK || role == Role.CONTROL) {
      // T.120 of an acknowledgement comes behind media there, though it stands before them.
      if (!expect_t120(w, flow, help, p, late)) return false;
      late = changetype<Find>(0);
      separate = false;
      acknowledges = role == Role.CHANNEL_ACK;
      // A forwarded call's own channels do not count, but what is tunnelled does.
      if (role == Role.CONTROL) forwarded = false;
    } else if (role == Role.FORWARDED_TO) {
      target = find;
    } else if (role == Role.FACILITY_REASON) {
      forwarded = find.value == CALL_FORWARDED;
      if (forwarded && changetype<usize>(target) && !expect_forwarded(w, flow, help, p, target)) return false;
    } else if (forwarded) {
      continue;
    } else if (role == Role.CALLED) {
      if (is_rewritten(flow)) change_called(w, flow, p, find);
    } else if (role == Role.CALLER) {
      if (is_rewritten(flow)) change_caller(w, flow, p, find);
    } else if (role == Role.H245) {
      if (!expect_h245(w, flow, help, p, find)) return false;
    } else if (role == Role.DATA_PROTOCOL) {
      separate = find.value == SEPARATE_LAN_STACK;
    } else if (role == Role.MEDIA) {
      if (!expect_media(w, flow, help, p, find)) return false;
    } else if (role == Role.T120) {
      if (acknowledges) late = find;
      else if (separate && !expect_t120(w, flow, help, p, find)) return false;
    }
  }
  return expect_t120(w, flow, help, p, late);
}

/** H.245 will be spoken (expect_h245()). */
function expect_h245(w: World, flow: Flow, help: Help, p: Packet, find: Find): bool {
  if (!read_address(flow, find) || !is_senders(flow, p)) return true;
  const e = from_other_end(w, flow, help, p, Proto.TCP, 0);
  e.assign_helper = <u8>Helper.H245;
  if (!is_hidden(flow, p)) return expect(w, p, e);
  expect_signalling(w, flow, help, p, e, find);
  return true;
}

/** The other end shall call somebody else (expect_callforwarding()). */
function expect_forwarded(w: World, flow: Flow, help: Help, p: Packet, find: Find): bool {
  if (!read_address(flow, find) || read_port() == 0) return true;
  const e = from_other_end_to(w, flow, help, p, Proto.TCP);
  if (stays_on_its_side(w, e)) return true;
  e.assign_helper = <u8>Helper.Q931;
  if (!is_hidden(flow, p)) return expect(w, p, e);
  expect_forwarded_call(w, flow, p, e, find);
  return true;
}

/** Data comes, maybe in several connections; nothing if there is no find (expect_t120()). */
function expect_t120(w: World, flow: Flow, help: Help, p: Packet, find: Find): bool {
  if (changetype<usize>(find) == 0 || !read_address(flow, find) || !is_senders(flow, p)) return true;
  const e = from_other_end(w, flow, help, p, Proto.TCP, 0);
  e.flags = <u8>ExpectFlag.PERMANENT;
  if (!is_hidden(flow, p)) return expect(w, p, e);
  expect_data(w, flow, p, e, find);
  return true;
}

/** Media and their control come, or neither (expect_rtp_rtcp()). */
function expect_media(w: World, flow: Flow, help: Help, p: Packet, find: Find): bool {
  if (!read_address(flow, find) || !is_senders(flow, p)) return true;
  const rtp = from_other_end(w, flow, help, p, Proto.UDP, 0);
  const rtcp = from_other_end(w, flow, help, p, Proto.UDP, 1);
  const number = bswap<u16>(read_port());
  rtp.dport = bswap<u16>(number & ~1);
  rtcp.dport = bswap<u16>(number | 1);
  if (is_hidden(flow, p)) {
    expect_pair(w, flow, help, p, rtp, rtcp, find);
    return true;
  }
  if (expect_related(w, rtp) != Refused.NO) return false;
  if (expect_related(w, rtcp) == Refused.NO) return true;
  const made = look_for_expectation(w, changetype<usize>(rtp), rtp.zone);
  if (changetype<usize>(made)) unlink_expectation(w, made, 0, true);
  return false;
}
