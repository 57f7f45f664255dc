// SIP: who registers may be called by his registrar; who calls or answers says where media shall go (RFC 3261, RFC 4566).
// Kernel: net/netfilter/nf_conntrack_sip.c with its module parameters at their defaults: signalling and media between
// the two ends of the connection only.

import {
  expect_related_of_any, expect_source, expect_target, helping_of, look_for_expectation, Refused, unlink_expectation,
} from "../expect";
import { help_of } from "../help";
import { Expectation, Flow, Help, Packet, Tuple, World } from "../layout";
import { set_expiry } from "../timer";
import { CtState, Dir, ExpectFlag, Helper, HelperFault, Proto, Status } from "../vocabulary";
import { ALL, expect, expectation_of, payload, payload_length, refuse, scratch, tuple_of } from "./helper";
import { SipClass } from "./policy";
import {
  end_of_number, end_of_value, find_header, find_line, find_parameter, found_at, found_length, found_port, Header, is_letter, is_like,
  Line, read_number, Search, walk_contacts,
} from "./sip-text";
import { is_text } from "./text";

/** How long an entry lives that talks SIP. */
const MASTER_TIMEOUT: u64 = 3_600_000_000_000;
/** `SIP/2.0 200` */
const MESSAGE_MIN: u32 = 11;
const NANOSECONDS_PER_JIFFY: i64 = 4_000_000; // HZ = 250
const JIFFIES_PER_SECOND: u32 = 250;

/** How many media of a message are looked at. */
const MEDIA_MAX: u32 = 3;

/** Offset in Help.data of the numbers of the last REGISTER and INVITE. */
const REGISTER_CSEQ: usize = 0;
const INVITE_CSEQ: usize = 4;

/** Methods that matter, in the kernel's order. */
enum Method {
  NONE = 0,
  INVITE = 1,
  UPDATE = 2,
  ACK = 3,
  PRACK = 4,
  BYE = 5,
  REGISTER = 6,
}

export function sip_help(w: World, flow: Flow, p: Packet): bool {
  const tcp = flow.protonum == Proto.TCP;
  if (tcp && p.ct_state != CtState.ESTABLISHED) return true;
  const length = payload_length(p, tcp, ALL);
  if (length == 0) return true;
  if (flow.status & Status.CONFIRMED) set_expiry(w, flow, w.now + MASTER_TIMEOUT);
  else flow.expires = MASTER_TIMEOUT;
  if (length < MESSAGE_MIN) return true;
  const text = payload(p, tcp);
  return tcp ? read_stream(w, flow, p, text, length) : read_message(w, flow, p, text, length);
}

/** Messages follow each other; each says how long its body is. One that is not complete is not read. */
function read_stream(w: World, flow: Flow, p: Packet, text: usize, length: u32): bool {
  while (true) {
    if (find_header(text, 0, length, Header.CONTENT_LENGTH, flow.l3num, scratch(w)) != Search.FOUND) return true;
    const at = found_at();
    const body = read_number(text, at, length);
    let end = end_of_number();
    if (end == at || body > length) return true;
    while (end + 4 <= length && load<u32>(text + end) != 0x0a0d0a0d) end++;
    if (end + 4 > length || end + 4 + body > length) return true;
    end += 4 + body;
    if (!read_message(w, flow, p, text, end)) return false;
    text += end;
    length -= end;
  }
}

function read_message(w: World, flow: Flow, p: Packet, text: usize, length: u32): bool {
  const version = memory.data<u8>([115, 105, 112, 47, 50, 46, 48, 32]); // "sip/2.0 "
  if (length >= 8 && is_like(text, version, 8)) return read_response(w, flow, p, text, length);
  return read_request(w, flow, p, text, length);
}

/** The method whose name begins at `at`; its length is in the lower byte of the entry. */
function method_at(text: usize, at: u32, length: u32, more: u32, response: bool): u32 {
  const names = memory.data<u8>([
    6, 105, 110, 118, 105, 116, 101, 0, 0, // invite
    6, 117, 112, 100, 97, 116, 101, 0, 0, // update
    3, 97, 99, 107, 0, 0, 0, 0, 0, // ack
    5, 112, 114, 97, 99, 107, 0, 0, 0, // prack
    3, 98, 121, 101, 0, 0, 0, 0, 0, // bye
    8, 114, 101, 103, 105, 115, 116, 101, 114, // register
  ]);
  for (let method: u32 = Method.INVITE; method <= <u32>Method.REGISTER; method++) {
    if (response && (method == Method.ACK || method == Method.BYE)) continue;
    const name = names + (method - 1) * 9;
    const size = <u32>load<u8>(name);
    if (length < at + size + more || !is_like(text + at, name + 1, size)) continue;
    if (response || (load<u8>(text + at + size) == 32 && is_letter(load<u8>(text + at + size + 1)))) return method;
  }
  return Method.NONE;
}

let cseq: u32 = 0;

/** Reads the number of the request; false if the packet may not pass without one. */
function read_cseq(w: World, flow: Flow, p: Packet, text: usize, length: u32): bool {
  if (find_header(text, 0, length, Header.CSEQ, flow.l3num, scratch(w)) != Search.FOUND) return refuse(p, HelperFault.SIP_NO_CSEQ);
  cseq = read_number(text, found_at(), length);
  return end_of_number() != found_at() || refuse(p, HelperFault.SIP_BAD_CSEQ);
}

function read_request(w: World, flow: Flow, p: Packet, text: usize, length: u32): bool {
  const method = method_at(text, 0, length, 2, false);
  if (method == Method.NONE) return true;
  if (!read_cseq(w, flow, p, text, length)) return false;
  const help = help_of(w, flow);
  switch (method) {
    case Method.INVITE: {
      const number = cseq;
      flush(w, help, true);
      if (!read_session(w, flow, help, p, text, length)) return false;
      store<u32>(help.memory() + INVITE_CSEQ, number);
      return true;
    }
    case Method.BYE:
      flush(w, help, true);
      return true;
    case Method.REGISTER:
      return read_registration(w, flow, help, p, text, length);
    default:
      return read_session(w, flow, help, p, text, length);
  }
}

function read_response(w: World, flow: Flow, p: Packet, text: usize, length: u32): bool {
  const code = read_number(text, 8, length);
  if (code == 0) return refuse(p, HelperFault.SIP_NO_CODE);
  if (!read_cseq(w, flow, p, text, length)) return false;
  const method = method_at(text, found_at() + found_length() + 1, length, 0, true);
  if (method == Method.NONE) return true;
  const help = help_of(w, flow);
  if (method == Method.REGISTER) return read_registered(w, flow, help, p, text, length, code);
  if (code >= 100 && code <= 299) return read_session(w, flow, help, p, text, length);
  if (load<u32>(help.memory() + INVITE_CSEQ) == cseq) flush(w, help, true);
  return true;
}

/** Ends what is expected of media, or the newest signalling (flush_expectations()). */
function flush(w: World, help: Help, media: bool): void {
  let next: usize = help.expectations;
  while (next) {
    const e = changetype<Expectation>(next);
    next = e.sibling;
    if ((e.klass != SipClass.SIGNALLING) != media) continue;
    unlink_expectation(w, e, 0, true);
    if (!media) return;
  }
}

/** Is the address that was read the one at `address`? */
// @ts-ignore: decorator
@inline function is_read_address(w: World, address: usize): bool {
  return load<u64>(scratch(w)) == load<u64>(address) && load<u64>(scratch(w), 8) == load<u64>(address, 8);
}

/** `transport=` of a Contact: false if it is not the connection's own (ct_sip_parse_transport()). */
function same_transport(flow: Flow, text: usize, from: u32, length: u32): bool {
  const name = memory.data<u8>([116, 114, 97, 110, 115, 112, 111, 114, 116, 61]); // "transport="
  const tcp = memory.data<u8>([116, 99, 112]);
  const udp = memory.data<u8>([117, 100, 112]);
  const at = find_parameter(text, from, length, name, 10);
  if (at == 0) return true;
  return at + 3 <= length && is_like(text + at, flow.protonum == Proto.TCP ? tcp : udp, 3);
}

/** Seconds that a Contact asks for; what the whole message asks for (`otherwise`) if it does not say. */
let seconds: u32 = 0;

/** False if there is a parameter without a number. */
function read_expires(text: usize, from: u32, length: u32, otherwise: u32): bool {
  const name = memory.data<u8>([101, 120, 112, 105, 114, 101, 115, 61]); // "expires="
  seconds = otherwise;
  const at = find_parameter(text, from, length, name, 8);
  if (at == 0) return true;
  seconds = read_number(text, at, end_of_value(text, from, length));
  return end_of_number() != at;
}

function expires_header(w: World, flow: Flow, text: usize, length: u32): u32 {
  const found = find_header(text, 0, length, Header.EXPIRES, flow.l3num, scratch(w)) == Search.FOUND;
  return found ? read_number(text, found_at(), length) : 0;
}

/** A REGISTER request: calls may come, once the registrar has agreed. */
function read_registration(w: World, flow: Flow, help: Help, p: Packet, text: usize, length: u32): bool {
  const number = cseq;
  if (flow.status & Status.EXPECTED) return true;
  const otherwise = expires_header(w, flow, text, length);
  if (!walk_contacts(text, 0, length, false, flow.l3num, scratch(w))) return true;
  const own = tuple_of(flow, p.dir);
  if (!is_read_address(w, changetype<usize>(own))) return true;
  const port = found_port();
  const behind = found_at() + found_length();
  if (!same_transport(flow, text, behind, length)) return true;
  if (!read_expires(text, behind, length, otherwise)) return refuse(p, HelperFault.SIP_BAD_EXPIRES);
  if (seconds != 0) {
    const e = expectation_of(w, help, flow.protonum, 0);
    const other = tuple_of(flow, p.dir ^ 1);
    e.klass = <u8>SipClass.SIGNALLING;
    e.flags = <u8>(ExpectFlag.PERMANENT | ExpectFlag.INACTIVE);
    e.assign_helper = <u8>Helper.SIP;
    expect_source(e, other);
    e.dst_lo = own.src_lo;
    e.dst_hi = own.src_hi;
    e.dport = bswap<u16>(<u16>port);
    if (!expect(w, p, e)) return false;
  }
  store<u32>(help.memory() + REGISTER_CSEQ, number);
  return true;
}

/** The answer to a REGISTER request: what the registrar agrees to holds, else nothing. */
function read_registered(w: World, flow: Flow, help: Help, p: Packet, text: usize, length: u32, code: u32): bool {
  if (load<u32>(help.memory() + REGISTER_CSEQ) != cseq || (code >= 100 && code <= 199)) return true;
  if (code >= 200 && code <= 299) {
    const otherwise = expires_header(w, flow, text, length);
    let from: u32 = 0;
    let within = false;
    while (walk_contacts(text, from, length, within, flow.l3num, scratch(w))) {
      within = true;
      const port = bswap<u16>(<u16>found_port());
      from = found_at() + found_length();
      const behind = from;
      if (!is_read_address(w, changetype<usize>(tuple_of(flow, p.dir)) + 16) || !same_transport(flow, text, behind, length)) continue;
      if (!read_expires(text, behind, length, otherwise)) return refuse(p, HelperFault.SIP_BAD_EXPIRES);
      if (seconds == 0) break;
      if (renew(w, help, flow.protonum, port)) return true;
    }
  }
  flush(w, help, false);
  return true;
}

/** Activates the registration of the address that was read (refresh_signalling_expectation()). */
function renew(w: World, help: Help, protonum: u32, port: u16): bool {
  for (let next: usize = help.expectations; next; next = changetype<Expectation>(next).sibling) {
    const e = changetype<Expectation>(next);
    if (e.klass != SipClass.SIGNALLING || e.protonum != protonum || e.dport != port || !is_read_address(w, next + 16)) continue;
    // Jiffies have 32 bits: what is too long has passed.
    const jiffies = <i32>(seconds * JIFFIES_PER_SECOND);
    e.expires = w.now + <u64>(<i64>max(jiffies, 0) * NANOSECONDS_PER_JIFFY);
    e.flags &= ~<u8>ExpectFlag.INACTIVE;
    helping_of(w).next_expiry = min(helping_of(w).next_expiry, e.expires);
    return true;
  }
  return false;
}

/** A session description: where media shall go (process_sdp()). */
function read_session(w: World, flow: Flow, help: Help, p: Packet, text: usize, length: u32): bool {
  const target = scratch(w);
  if (find_line(text, 0, length, Line.VERSION, Line.NONE, flow.l3num, target) != Search.FOUND) return true;
  const session = found_at();
  let at = session;
  for (let media: u32 = 0; media < MEDIA_MAX; ) {
    if (find_line(text, at, length, Line.MEDIA, Line.NONE, flow.l3num, target) != Search.FOUND) return true;
    at = found_at();
    const klass = media_class(text + at, found_length());
    if (klass == 0) {
      at += found_length();
      continue;
    }
    at += 6;
    const port = read_number(text, at, length);
    if (port == 0) continue;
    if (port < 1024 || port > 65535) {
      p.why_value = 256 + port;
      return false;
    }
    // That of the media goes before that of the session.
    if (
      find_line(text, at, length, Line.CONNECTION, Line.MEDIA, flow.l3num, target) != Search.FOUND &&
      find_line(text, session, length, Line.CONNECTION, Line.MEDIA, flow.l3num, target) != Search.FOUND
    ) return refuse(p, HelperFault.SIP_BAD_SDP);
    if (!expect_media(w, flow, help, p, port, klass)) return refuse(p, HelperFault.SIP_NO_MEDIA);
    media++;
  }
  return true;
}

/** SipClass of a media line, 0 for other media. */
function media_class(at: usize, length: u32): u32 {
  const names = memory.data<u8>([97, 117, 100, 105, 111, 32, 118, 105, 100, 101, 111, 32, 105, 109, 97, 103, 101, 32]); // "audio video image "
  if (length < 6) return 0;
  for (let i: u32 = 0; i < 3; i++) {
    if (is_text(at, names + i * 6, 6)) return SipClass.AUDIO + i;
  }
  return 0;
}

/** Expects media and its control (RTP and RTCP) from the other end, if it goes to this one (set_expected_rtp_rtcp()). */
function expect_media(w: World, flow: Flow, help: Help, p: Packet, port: u32, klass: u32): bool {
  const own = tuple_of(flow, p.dir);
  if (!is_read_address(w, changetype<usize>(own))) return true;
  const rtp = media_expectation(w, help, flow, p, port, klass, 0);
  const known = look_for_expectation(w, changetype<usize>(rtp), rtp.zone);
  if (changetype<usize>(known) && known.master != rtp.master && known.klass == klass) {
    // Another connection expects the same media; SIP over TCP and over UDP are two helpers.
    if (known.helper == rtp.helper && changetype<Help>(<usize>known.master).protonum == help.protonum) return true;
  }
  rtp.dport = bswap<u16>(<u16>(port & ~1));
  const first = expect_related_of_any(w, rtp);
  if (first != Refused.NO && first != Refused.ALREADY) return false;
  const rtcp = media_expectation(w, help, flow, p, port | 1, klass, 1);
  const second = expect_related_of_any(w, rtcp);
  if (second == Refused.NO || second == Refused.ALREADY) return true;
  if (first == Refused.NO) {
    const made = look_for_expectation(w, changetype<usize>(rtp), rtp.zone);
    if (changetype<usize>(made)) unlink_expectation(w, made, 0, true);
  }
  return false;
}

function media_expectation(w: World, help: Help, flow: Flow, p: Packet, port: u32, klass: u32, number: u32): Expectation {
  const e = expectation_of(w, help, Proto.UDP, number);
  const own = tuple_of(flow, p.dir);
  e.klass = <u8>klass;
  expect_source(e, tuple_of(flow, p.dir ^ 1));
  e.dst_lo = own.src_lo;
  e.dst_hi = own.src_hi;
  e.dport = bswap<u16>(<u16>port);
  return e;
}
