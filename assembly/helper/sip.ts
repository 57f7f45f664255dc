// SIP: who registers may be called by his registrar; who calls or answers says where media shall go (RFC 3261).
// Kernel: net/netfilter/nf_conntrack_sip.c with its module parameters at their defaults: signalling and media between
// the two ends of the connection only. Session descriptions: sip-media.ts; what NAT changes of a message: sip-nat.ts.

import { bswap16 } from "../bytes";
import { expect_source, helping_of, unlink_expectation } from "../expect";
import { help_of } from "../help";
import { Expectation, Flow, Help, Packet, World } from "../layout";
import { set_expiry } from "../timer";
import { CtState, ExpectFlag, Helper, HelperFault, Proto, Reason, Status } from "../vocabulary";
import { ALL, expect, expect_port, expectation_of, payload, payload_length, refuse, scratch, tuple_of } from "./helper";
import { SipClass } from "./policy";
import { is_translated, move_stream } from "./rewrite";
import { follow_sip, read_session } from "./sip-media";
import { begin_message, change_endpoint, message_at, message_length } from "./sip-message";
import { change_message, forced_port, learn_forced_port } from "./sip-nat";
import {
  end_of_number, end_of_value, find_header, find_parameter, found_at, found_length, found_port, Header, is_letter, is_like,
  read_number, Search, walk_contacts,
} from "./sip-text";

/** How long an entry lives that talks SIP. */
const MASTER_TIMEOUT: u64 = 3_600_000_000_000;
/** `SIP/2.0 200` */
const MESSAGE_MIN: u32 = 11;
const NANOSECONDS_PER_JIFFY: i64 = 4_000_000; // HZ = 250
const JIFFIES_PER_SECOND: u32 = 250;

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
  if (tcp) return read_stream(w, flow, p, length);
  begin_message(0, length);
  return read_message(w, flow, p);
}

/** More than any segment announces: behind that it is not read on, for there is room for so many events of a packet only. */
const ANNOUNCED_MAX: u32 = 128;

/** Messages follow each other; each says how long its body is. One that is not complete is not read. */
function read_stream(w: World, flow: Flow, p: Packet, length: u32): bool {
  const made = helping_of(w).made;
  let start: u32 = 0;
  let grown: i32 = 0;
  while (true) {
    if (helping_of(w).made - made > ANNOUNCED_MAX) {
      if (p.reason == Reason.NONE) p.reason = <u8>Reason.HELPER_CUT_SHORT;
      break;
    }
    const text = payload(p, true) + start;
    if (find_header(text, 0, length, Header.CONTENT_LENGTH, flow.l3num, scratch(w)) != Search.FOUND) break;
    const at = found_at();
    const body = read_number(text, at, length);
    let end = end_of_number();
    if (end == at || body > length) break;
    while (end + 4 <= length && load<u32>(text + end) != 0x0a0d0a0d) end++;
    if (end + 4 > length) break;
    end += 4 + body;
    // The kernel forgets here by how much the messages before this one have grown.
    if (end > length) return true;
    begin_message(start, end);
    if (!read_message(w, flow, p)) return false;
    grown += message_length() - end;
    start += message_length();
    length -= end;
  }
  if (is_translated(flow)) move_stream(w, flow, p, grown);
  return true;
}

/** Reads the message in work and changes it as NAT demands. */
function read_message(w: World, flow: Flow, p: Packet): bool {
  const version = memory.data<u8>([115, 105, 112, 47, 50, 46, 48, 32]); // "sip/2.0 "
  const response = message_length() >= 8 && is_like(message_at(p), version, 8);
  if (!(response ? read_response(w, flow, p) : read_request(w, flow, p))) return false;
  return !is_translated(flow) || change_message(w, flow, p) || refuse(p, HelperFault.SIP_CANNOT_NAT);
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
function read_cseq(w: World, flow: Flow, p: Packet): bool {
  const text = message_at(p);
  const length = message_length();
  if (find_header(text, 0, length, Header.CSEQ, flow.l3num, scratch(w)) != Search.FOUND) return refuse(p, HelperFault.SIP_NO_CSEQ);
  cseq = read_number(text, found_at(), length);
  return end_of_number() != found_at() || refuse(p, HelperFault.SIP_BAD_CSEQ);
}

function read_request(w: World, flow: Flow, p: Packet): bool {
  learn_forced_port(w, flow, p);
  const method = method_at(message_at(p), 0, message_length(), 2, false);
  if (method == Method.NONE) return true;
  if (!read_cseq(w, flow, p)) return false;
  const help = help_of(w, flow);
  switch (method) {
    case Method.INVITE: {
      const number = cseq;
      flush(w, help, true);
      if (!read_session(w, flow, help, p)) return false;
      store<u32>(help.memory() + INVITE_CSEQ, number);
      return true;
    }
    case Method.BYE:
      flush(w, help, true);
      return true;
    case Method.REGISTER:
      return read_registration(w, flow, help, p);
    default:
      return read_session(w, flow, help, p);
  }
}

function read_response(w: World, flow: Flow, p: Packet): bool {
  const code = read_number(message_at(p), 8, message_length());
  if (code == 0) return refuse(p, HelperFault.SIP_NO_CODE);
  if (!read_cseq(w, flow, p)) return false;
  const method = method_at(message_at(p), found_at() + found_length() + 1, message_length(), 0, true);
  if (method == Method.NONE) return true;
  const help = help_of(w, flow);
  if (method == Method.REGISTER) return read_registered(w, flow, help, p, code);
  if (code >= 100 && code <= 299) return read_session(w, flow, help, p);
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
function read_registration(w: World, flow: Flow, help: Help, p: Packet): bool {
  const text = message_at(p);
  const length = message_length();
  const number = cseq;
  if (flow.status & Status.EXPECTED) return true;
  const otherwise = expires_header(w, flow, text, length);
  if (!walk_contacts(text, 0, length, false, flow.l3num, scratch(w))) return true;
  const own = tuple_of(flow, p.dir);
  if (!is_read_address(w, changetype<usize>(own))) return true;
  const port = <u16>bswap16(found_port());
  const at = found_at();
  const size = found_length();
  const behind = at + size;
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
    e.dport = port;
    if (!(is_translated(flow) ? expect_calls(w, flow, p, e, at, size) : expect(w, p, e))) return false;
  }
  store<u32>(help.memory() + REGISTER_CSEQ, number);
  return true;
}

/** Expects calls where the registrar sees the telephone, and writes that into its Contact (nf_nat_sip_expect()). */
function expect_calls(w: World, flow: Flow, p: Packet, e: Expectation, at: u32, size: u32): bool {
  const forced = forced_port(w, flow);
  // Where it announces the port that it sends from, the one that the registrar sees.
  const own = e.dport == (forced ? forced : tuple_of(flow, p.dir).sport);
  const port = own ? tuple_of(flow, p.dir ^ 1).dport : e.dport;
  follow_sip(flow, p, e);
  const made = expect_port(w, p, e, port);
  if (changetype<usize>(made) == 0) return refuse(p, HelperFault.SIP_ALL_PORTS_IN_USE);
  if (made.dst_lo == made.saved_lo && made.dst_hi == made.saved_hi && made.dport == made.saved_proto) return true;
  const address = changetype<usize>(made) + offsetof<Expectation>("dst_lo");
  if (change_endpoint(w, p, at, size, address, bswap16(made.dport))) return true;
  unlink_expectation(w, made, 0, true);
  return refuse(p, HelperFault.CANNOT_MANGLE);
}

/** The answer to a REGISTER request: what the registrar agrees to holds, else nothing. */
function read_registered(w: World, flow: Flow, help: Help, p: Packet, code: u32): bool {
  const text = message_at(p);
  const length = message_length();
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
