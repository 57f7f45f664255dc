// PPTP: the control connection agrees on two call ids, then data flows as enhanced GRE in both directions (RFC 2637).
// Kernel: net/netfilter/nf_conntrack_pptp.c, net/ipv4/netfilter/nf_nat_pptp.c, and the keymap of
// net/netfilter/nf_conntrack_proto_gre.c.
//
// A GRE packet holds only the call id of its receiver. While a call is known, the sender's is looked up by it, so that
// both directions are one flow. Clients (PNS) are taken to be those who connect, servers (PAC) those who answer. Behind NAT
// a client's calls bear the port of its control connection as id, which no other client has.

import { be16 } from "../bytes";
import { end_flow, evict_flow } from "../conntrack";
import {
  expect_related, expect_source, expect_sport, expect_target, helping_of, look_for_expectation, Refused, unlink_expectation,
} from "../expect";
import { find_flow, find_in_zones } from "../flow-table";
import { help_of } from "../help";
import { Expectation, Flow, Help, Helping, Packet, Tuple, World } from "../layout";
import { tuple_hash } from "../tuple";
import { CtState, Dir, ExpectNat, L3, Proto } from "../vocabulary";
import { is_enhanced } from "../wire/gre";
import { expectation_of, payload, payload_length, scratch, tuple_of } from "./helper";
import { is_translated, replace, written } from "./rewrite";

/** Length, packet type, magic cookie; message type, reserved. */
const HEADER: u32 = 12;
const CONTROL: u32 = 1;
/** 0x1a2b3c4d as it lies in the packet. */
const MAGIC_COOKIE: u32 = 0x4d3c2b1a;
/** The largest message, an incoming call's request. */
const MESSAGE_MAX: u32 = 208;

/** Message types. */
enum Message {
  START_SESSION_REQUEST = 1,
  START_SESSION_REPLY = 2,
  STOP_SESSION_REQUEST = 3,
  STOP_SESSION_REPLY = 4,
  OUT_CALL_REQUEST = 7,
  OUT_CALL_REPLY = 8,
  IN_CALL_REQUEST = 9,
  IN_CALL_REPLY = 10,
  IN_CALL_CONNECT = 11,
  CALL_CLEAR_REQUEST = 12,
  CALL_DISCONNECT_NOTIFY = 13,
  WAN_ERROR_NOTIFY = 14,
  SET_LINK_INFO = 15,
  LAST = 15,
}

enum Session {
  NONE = 0,
  ERROR = 1,
  STOP_REQUESTED = 2,
  REQUESTED = 3,
  CONFIRMED = 4,
}

enum Call {
  NONE = 0,
  OUT_REQUESTED = 2,
  OUT_CONFIRMED = 3,
  IN_REQUESTED = 4,
  IN_REPLIED = 5,
  IN_CONFIRMED = 6,
  CLEAR_REQUESTED = 7,
}

/** Result code of all answers: yes. */
const OK: u32 = 1;

// What is remembered (Help.data): call ids in wire order
@unmanaged class Calls {
  session: u8;
  call: u8;
  /** The client's and the server's. */
  pns: u16;
  pac: u16;
  /** 1 while this connection's calls are in the keymap. */
  mapped: u8;
  pad: u8;
  /** The next connection with calls in the keymap: Help. */
  next: u32;
  /** IPv4 addresses, and call ids of the sender and of the receiver, by direction. */
  original_source: u32;
  original_target: u32;
  original_keys: u32;
  reply_source: u32;
  reply_target: u32;
  reply_keys: u32;
  /** Behind NAT: the client's call id as the client knows it; `pns` is then what the server knows. */
  nat_pns: u16;
  pad_1: u16;
}
if (offsetof<Calls>() > 48) ERROR("Calls fits into Help.data");

// @ts-ignore: decorator
@inline function calls_of(help: Help): Calls {
  return changetype<Calls>(help.memory());
}

export function pptp_help(w: World, flow: Flow, p: Packet): bool {
  if (p.ct_state != CtState.ESTABLISHED) return true;
  const length = payload_length(p, true, HEADER + MESSAGE_MAX);
  if (length < HEADER) return true;
  const at = payload(p, true);
  if (be16(at + 2) != CONTROL || load<u32>(at, 4) != MAGIC_COOKIE) return true;
  const message = be16(at + 8);
  if (message <= <u32>Message.LAST && length - HEADER < message_size(message)) return true;
  const help = help_of(w, flow);
  const calls = calls_of(help);
  const valid = p.dir == Dir.ORIGINAL
    ? from_client(calls, message, at + HEADER)
    : from_server(w, flow, help, p, message, at + HEADER);
  if (!valid || !is_translated(flow)) return true;
  return p.dir == Dir.ORIGINAL ? rename_for_server(w, flow, p, calls, message) : rename_for_client(w, p, calls, message);
}

/** The client's call id becomes what the server shall know; from a request on, the port of this connection. */
function rename_for_server(w: World, flow: Flow, p: Packet, calls: Calls, message: u32): bool {
  switch (message) {
    case Message.OUT_CALL_REQUEST:
      calls.nat_pns = calls.pns;
      calls.pns = tuple_of(flow, Dir.REPLY).dport;
      break;
    case Message.IN_CALL_REPLY:
    case Message.CALL_CLEAR_REQUEST:
      break;
    default:
      return true;
  }
  return write_call(w, p, HEADER, calls.pns);
}

/** The client's call id becomes its own again. */
function rename_for_client(w: World, p: Packet, calls: Calls, message: u32): bool {
  switch (message) {
    case Message.OUT_CALL_REPLY:
      return write_call(w, p, HEADER + 2, calls.nat_pns);
    case Message.IN_CALL_CONNECT:
    case Message.CALL_DISCONNECT_NOTIFY:
    case Message.WAN_ERROR_NOTIFY:
    case Message.SET_LINK_INFO:
      return write_call(w, p, HEADER, calls.nat_pns);
    default:
      return true;
  }
}

function write_call(w: World, p: Packet, offset: u32, id: u16): bool {
  store<u16>(written(w), id);
  return replace(w, p, offset, 2, written(w), 2);
}

/** Bytes behind the header that a message must have. */
function message_size(message: u32): u32 {
  const sizes = memory.data<u8>([0, 144, 144, 4, 4, 0, 0, 156, 20, 208, 12, 16, 4, 136, 28, 12]);
  return load<u8>(sizes + message);
}

/** What a message says; false if it is none that may come now. */
function from_client(calls: Calls, message: u32, at: usize): bool {
  switch (message) {
    case Message.START_SESSION_REQUEST:
      if (calls.session != Session.NONE) return false;
      calls.session = <u8>Session.REQUESTED;
      return true;
    case Message.STOP_SESSION_REQUEST:
      calls.session = <u8>Session.STOP_REQUESTED;
      return true;
    case Message.OUT_CALL_REQUEST:
      if (calls.session != Session.CONFIRMED) return false;
      calls.call = <u8>Call.OUT_REQUESTED;
      calls.pns = load<u16>(at);
      return true;
    case Message.IN_CALL_REPLY:
      if ((calls.call != Call.IN_REQUESTED && calls.call != Call.IN_REPLIED) || calls.pac != load<u16>(at, 2)) return false;
      if (load<u8>(at, 4) != OK) {
        calls.call = <u8>Call.NONE;
        return true;
      }
      calls.call = <u8>Call.IN_REPLIED;
      calls.pns = load<u16>(at);
      return true;
    case Message.CALL_CLEAR_REQUEST:
      if (calls.session != Session.CONFIRMED) return false;
      calls.call = <u8>Call.CLEAR_REQUESTED;
      return true;
    default:
      return message == Message.SET_LINK_INFO;
  }
}

function from_server(w: World, flow: Flow, help: Help, p: Packet, message: u32, at: usize): bool {
  const calls = calls_of(help);
  switch (message) {
    case Message.START_SESSION_REPLY:
      if (calls.session < <u8>Session.REQUESTED) return false;
      calls.session = <u8>(load<u8>(at, 2) == OK ? Session.CONFIRMED : Session.ERROR);
      return true;
    case Message.STOP_SESSION_REPLY:
      if (calls.session > <u8>Session.STOP_REQUESTED) return false;
      calls.session = <u8>(load<u8>(at) == OK ? Session.NONE : Session.ERROR);
      return true;
    case Message.OUT_CALL_REPLY:
      if (calls.session != Session.CONFIRMED || calls.pns != load<u16>(at, 2)) return false;
      if (calls.call != Call.OUT_REQUESTED && calls.call != Call.OUT_CONFIRMED) return false;
      if (load<u8>(at, 4) != OK) {
        calls.call = <u8>Call.NONE;
        return true;
      }
      calls.call = <u8>Call.OUT_CONFIRMED;
      calls.pac = load<u16>(at);
      expect_call(w, flow, help);
      return true;
    case Message.IN_CALL_REQUEST:
      if (calls.session != Session.CONFIRMED) return false;
      calls.call = <u8>Call.IN_REQUESTED;
      calls.pac = load<u16>(at);
      return true;
    case Message.IN_CALL_CONNECT:
      if (calls.session != Session.CONFIRMED || calls.pns != load<u16>(at)) return false;
      if (calls.call != Call.IN_REPLIED && calls.call != Call.IN_CONFIRMED) return false;
      calls.call = <u8>Call.IN_CONFIRMED;
      expect_call(w, flow, help);
      return true;
    case Message.CALL_DISCONNECT_NOTIFY:
      calls.call = <u8>Call.NONE;
      pptp_end_calls(w, flow, help, w.now, p);
      return true;
    default:
      return message == Message.WAN_ERROR_NOTIFY || message == Message.SET_LINK_INFO;
  }
}

/** Expects GRE in both directions, or in none (exp_gre()). */
function expect_call(w: World, flow: Flow, help: Help): void {
  const calls = calls_of(help);
  const translated = is_translated(flow);
  const own = translated ? calls.nat_pns : calls.pns;
  const from_pns = expect_direction(w, help, tuple_of(flow, Dir.ORIGINAL), own, calls.pac, 0);
  if (translated) follow_call(from_pns, Dir.ORIGINAL, calls.pns);
  if (expect_related(w, from_pns) != Refused.NO) return;
  const pns = made_of(w, from_pns);
  const from_pac = expect_direction(w, help, tuple_of(flow, Dir.REPLY), calls.pac, calls.pns, 1);
  if (translated) follow_call(from_pac, Dir.REPLY, own);
  if (expect_related(w, from_pac) != Refused.NO) return unexpect(w, pns);
  if (add_keys(w, help, from_pns, from_pac)) return;
  unexpect(w, made_of(w, from_pac));
  unexpect(w, pns);
}

function expect_direction(w: World, help: Help, tuple: Tuple, source: u16, target: u16, number: u32): Expectation {
  const e = expectation_of(w, help, Proto.GRE, number);
  expect_source(e, tuple);
  expect_sport(e, source);
  expect_target(e, tuple, target);
  return e;
}

/** The call comes from one end of its control connection; the other one knows the client's id as this one. */
function follow_call(e: Expectation, dir: u32, pns: u16): void {
  e.follow = <u8>ExpectNat.CALL;
  e.dir = <u8>dir;
  e.saved_proto = pns;
}

/** The expectation that was made of this one a moment ago. */
function made_of(w: World, e: Expectation): Expectation {
  return look_for_expectation(w, changetype<usize>(e), e.zone);
}

function unexpect(w: World, e: Expectation): void {
  if (changetype<usize>(e)) unlink_expectation(w, e, 0, true);
}

/** One direction of a call has come: it is the original one of its flow, so the other is not expected any more. */
export function pptp_expected(w: World, e: Expectation): void {
  const other = changetype<Tuple>(scratch(w));
  other.protonum = e.protonum;
  other.l3num = e.l3num;
  if (e.follow == ExpectNat.CALL) {
    const master = changetype<Help>(<usize>e.master);
    const calls = calls_of(master);
    call_tuple(other, tuple_of(changetype<Flow>(<usize>master.flow), e.dir ^ 1));
    // The kernel looks for what the client would send in the new flow's memory instead of the control connection's.
    other.sport = e.dir == Dir.ORIGINAL ? calls.pac : 0;
    other.dport = e.dir == Dir.ORIGINAL ? calls.pns : 0;
  } else {
    other.src_lo = e.dst_lo;
    other.src_hi = e.dst_hi;
    other.dst_lo = e.src_lo;
    other.dst_hi = e.src_hi;
    other.sport = e.dport;
    other.dport = e.sport;
  }
  unexpect(w, look_for_expectation(w, changetype<usize>(other), e.zone));
}

/** The addresses of one direction of the control connection. */
function call_tuple(t: Tuple, control: Tuple): void {
  t.src_lo = control.src_lo;
  t.src_hi = 0;
  t.dst_lo = control.dst_lo;
  t.dst_hi = 0;
}

/**
 * Ends the calls of a connection, with the packet that says so or with the connection: flows, and what is expected
 * (pptp_destroy_siblings()).
 */
export function pptp_end_calls(w: World, flow: Flow, help: Help, when: u64, p: Packet): void {
  pptp_forget_call(w, help);
  end_direction(w, flow, help, when, p, Dir.ORIGINAL);
  end_direction(w, flow, help, when, p, Dir.REPLY);
}

function end_direction(w: World, control: Flow, help: Help, when: u64, p: Packet, dir: u32): void {
  const calls = calls_of(help);
  const tuple = changetype<Tuple>(scratch(w));
  const original = dir == Dir.ORIGINAL;
  call_tuple(tuple, tuple_of(control, dir));
  tuple.sport = original ? calls.pns : calls.pac;
  tuple.dport = original ? calls.pac : calls.pns;
  tuple.protonum = <u8>Proto.GRE;
  tuple.l3num = help.l3num;
  tuple.zone = control.zone;
  const by_packet = changetype<usize>(p) != 0;
  const hash = tuple_hash(tuple);
  const found = w.templates ? find_in_zones(w, tuple, hash, control.reply_zone, true) : find_flow(w, tuple, hash);
  if (found) {
    const flow = changetype<Flow>(found);
    if (flow.expires <= when) end_flow(w, flow, flow.expires, changetype<Packet>(0));
    else if (by_packet) evict_flow(w, flow, p);
    else end_flow(w, flow, when, changetype<Packet>(0));
    return;
  }
  const e = look_for_expectation(w, changetype<usize>(tuple), help.zone);
  if (changetype<usize>(e)) unlink_expectation(w, e, when, by_packet);
}

/** Enters a call into the keymap. False if the connection has another one there (nf_ct_gre_keymap_add()). */
function add_keys(w: World, help: Help, from_pns: Expectation, from_pac: Expectation): bool {
  const calls = calls_of(help);
  if (calls.mapped) {
    if (<u16>(calls.original_keys >> 16) != from_pns.dport) return false;
    if (<u16>(calls.reply_keys >> 16) == from_pac.dport) return true;
    // Half of the other call is found, half not: the kernel then forgets that one, too.
    pptp_forget_call(w, help);
    return false;
  }
  calls.mapped = 1;
  calls.original_source = <u32>from_pns.src_lo;
  calls.original_target = <u32>from_pns.dst_lo;
  calls.original_keys = <u32>from_pns.dport << 16 | from_pns.sport;
  calls.reply_source = <u32>from_pac.src_lo;
  calls.reply_target = <u32>from_pac.dst_lo;
  calls.reply_keys = <u32>from_pac.dport << 16 | from_pac.sport;
  calls.next = 0;
  store<u32>(last_link(w, 0), <u32>changetype<usize>(help));
  return true;
}

/** Takes a connection's call out of the keymap: also when a flow of it ends (destroy_gre_conntrack()). */
export function pptp_forget_call(w: World, help: Help): void {
  const calls = calls_of(help);
  if (!calls.mapped) return;
  calls.mapped = 0;
  store<u32>(last_link(w, <u32>changetype<usize>(help)), calls.next);
}

/** Address of the word in the keymap's list that holds `help`; 0: of its end. */
function last_link(w: World, help: u32): usize {
  let at = changetype<usize>(helping_of(w)) + offsetof<Helping>("keymap");
  while (load<u32>(at) != help) at = changetype<usize>(calls_of(changetype<Help>(<usize>load<u32>(at)))) + offsetof<Calls>("next");
  return at;
}

/** Completes the tuple of an enhanced GRE packet at `l4` by its sender's call id, if that is known. True if it was. */
export function gre_source_key(w: World, t: Tuple, l4: usize, length: u32): bool {
  if (helping_of(w).keymap == 0 || t.l3num != L3.IPV4 || !is_enhanced(l4, length)) return false;
  t.sport = source_key(w, <u32>t.src_lo, <u32>t.dst_lo, t.dport);
  return t.sport != 0;
}

/** The same of a quoted packet, whose tuple is inverted already. Calls with id 0 are not told from plain GRE. */
export function gre_quoted_key(w: World, inverted: Tuple): void {
  if (inverted.sport != 0) inverted.dport = source_key(w, <u32>inverted.dst_lo, <u32>inverted.src_lo, inverted.sport);
}

/** The sender's call id for a receiver's, 0 if no call is known (gre_keymap_lookup()). */
function source_key(w: World, source: u32, target: u32, key: u16): u16 {
  for (let next: usize = helping_of(w).keymap; next; ) {
    const calls = calls_of(changetype<Help>(next));
    if (calls.original_source == source && calls.original_target == target && <u16>(calls.original_keys >> 16) == key) {
      return <u16>calls.original_keys;
    }
    if (calls.reply_source == source && calls.reply_target == target && <u16>(calls.reply_keys >> 16) == key) {
      return <u16>calls.reply_keys;
    }
    next = calls.next;
  }
  return 0;
}
