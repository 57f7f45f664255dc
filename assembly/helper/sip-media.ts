// SIP: where media of a call shall go, as session descriptions say it (RFC 4566).
// Kernel: process_sdp() and set_expected_rtp_rtcp() in net/netfilter/nf_conntrack_sip.c; what is changed of it behind NAT:
// net/netfilter/nf_nat_sip.c. Only media to the one who speaks is expected (sip_direct_media).

import { bswap16 } from "../bytes";
import {
  expect_related_of_any, expect_source, look_for_expectation, Refused, unlink_expectation,
} from "../expect";
import { Expectation, Flow, Help, Packet, Tuple, World } from "../layout";
import { ExpectNat, HelperFault, Proto } from "../vocabulary";
import { expectation_of, refuse, scratch, tuple_of } from "./helper";
import { SipClass } from "./policy";
import { is_translated } from "./rewrite";
import {
  change_address, change_content_length, change_number, message_at, message_length,
} from "./sip-message";
import { end_of_number, find_line, found_at, found_length, Line, read_number, Search } from "./sip-text";
import { is_text } from "./text";

/** How many media of a message are looked at. */
const MEDIA_MAX: u32 = 3;
/** `audio ` */
const KIND_BYTES: u32 = 6;

/** The session's own address, and where the media in work goes: in the world's scratch memory, behind what is read. */
// @ts-ignore: decorator
@inline function session_address(w: World): usize {
  return scratch(w) + 32;
}
// @ts-ignore: decorator
@inline function media_address(w: World): usize {
  return scratch(w) + 48;
}

// @ts-ignore: decorator
@inline function copy_address(target: usize, source: usize): void {
  v128.store(target, v128.load(source));
}

// @ts-ignore: decorator
@inline function same_address(a: usize, b: usize): bool {
  return load<u64>(a) == load<u64>(b) && load<u64>(a, 8) == load<u64>(b, 8);
}

// @ts-ignore: decorator
@inline function find(w: World, p: Packet, from: u32, line: Line, stop: Line): bool {
  return find_line(message_at(p), from, message_length(), line, stop, p.l3num, scratch(w)) == Search.FOUND;
}

/** Reads the message's session description, if it has one. False if the packet may not pass. */
export function read_session(w: World, flow: Flow, help: Help, p: Packet): bool {
  if (!find(w, p, 0, Line.VERSION, Line.NONE)) return true;
  const session = found_at();
  const translated = is_translated(flow);
  const common = find(w, p, session, Line.CONNECTION, Line.MEDIA);
  if (common) {
    copy_address(session_address(w), scratch(w));
    copy_address(media_address(w), scratch(w));
  }
  let addressed = common;
  let at = session;
  for (let media: u32 = 0; media < MEDIA_MAX; ) {
    if (!find(w, p, at, Line.MEDIA, Line.NONE)) break;
    at = found_at();
    const size = found_length();
    const klass = media_class(message_at(p) + at, size);
    if (klass == 0) {
      at += size;
      continue;
    }
    at += KIND_BYTES;
    const port = read_number(message_at(p), at, message_length());
    if (port == 0 || end_of_number() == at) continue;
    if (port < 1024 || port > 65535) {
      p.why_value = 256 + port;
      return false;
    }
    // Its own address goes before that of the session.
    const own = find(w, p, at, Line.CONNECTION, Line.MEDIA);
    if (!own && !common) return refuse(p, HelperFault.SIP_BAD_SDP);
    copy_address(media_address(w), own ? scratch(w) : session_address(w));
    addressed = true;
    if (!expect_media(w, flow, help, p, port, klass, at, size - KIND_BYTES)) return refuse(p, HelperFault.SIP_NO_MEDIA);
    if (own && translated && !(change_line(w, p, at, Line.CONNECTION) && change_content_length(w, p))) {
      return refuse(p, HelperFault.SIP_CANNOT_MANGLE_SDP);
    }
    media++;
  }
  return !translated || !addressed || change_session(w, p, session) || refuse(p, HelperFault.SILENT);
}

/** Writes where the last media goes into a line up to the next media; false if there is no such line. */
function change_line(w: World, p: Packet, from: u32, line: Line): bool {
  return find(w, p, from, line, Line.MEDIA) && change_address(w, p, found_at(), found_length(), media_address(w), false);
}

/** Writes it into the session's owner, and its connection if it has one (nf_nat_sdp_session()). */
function change_session(w: World, p: Packet, session: u32): bool {
  if (!change_line(w, p, session, Line.OWNER)) return false;
  if (find(w, p, session, Line.CONNECTION, Line.MEDIA) && !change_line(w, p, session, Line.CONNECTION)) return false;
  return change_content_length(w, p);
}

/** SipClass of a media line, 0 for other media. */
function media_class(at: usize, length: u32): u32 {
  // "audio video image "
  const names = memory.data<u8>([97, 117, 100, 105, 111, 32, 118, 105, 100, 101, 111, 32, 105, 109, 97, 103, 101, 32]);
  if (length < KIND_BYTES) return 0;
  for (let i: u32 = 0; i < 3; i++) {
    if (is_text(at, names + i * KIND_BYTES, KIND_BYTES)) return SipClass.AUDIO + i;
  }
  return 0;
}

/**
 * Expects media and its control (RTP and RTCP) from the other end, if it goes to this one. Behind NAT the message then says
 * the port that was found for it, and media_address() where it goes. False if that failed.
 */
function expect_media(w: World, flow: Flow, help: Help, p: Packet, port: u32, klass: u32, at: u32, size: u32): bool {
  if (!same_address(media_address(w), changetype<usize>(tuple_of(flow, p.dir)))) return true;
  const translated = is_translated(flow);
  let direct = false;
  let expected = false;
  while (true) {
    // Another connection may expect the same media; SIP over TCP and over UDP are two helpers.
    const wanted = media_expectation(w, help, flow, p, port, klass, 0);
    const known = look_for_expectation(w, changetype<usize>(wanted), wanted.zone);
    if (changetype<usize>(known) == 0 || known.master == wanted.master || known.klass != klass) break;
    if (known.helper != wanted.helper || changetype<Help>(<usize>known.master).protonum != help.protonum) break;
    if (direct || !translated || !is_moved(known)) {
      expected = true;
      break;
    }
    // Both ends are behind this gateway: they talk to each other without it.
    copy_address(media_address(w), changetype<usize>(known) + offsetof<Expectation>("saved_lo"));
    port = bswap16(known.saved_proto);
    direct = true;
  }
  port &= ~1;
  if (direct && !change_port(w, p, at, size, port)) return false;
  if (expected) return true;
  const rtp = media_expectation(w, help, flow, p, port, klass, 0);
  const rtcp = media_expectation(w, help, flow, p, port | 1, klass, 1);
  return translated && !direct ? expect_moved(w, flow, p, rtp, rtcp, at, size) : expect_both(w, rtp, rtcp);
}

/** Is what is expected another address or port than what was announced? */
function is_moved(e: Expectation): bool {
  return e.saved_lo != e.dst_lo || e.saved_hi != e.dst_hi || e.saved_proto != e.dport;
}

function change_port(w: World, p: Packet, at: u32, size: u32, port: u32): bool {
  return change_number(w, p, at, size, port) && change_content_length(w, p);
}

function expect_both(w: World, rtp: Expectation, rtcp: Expectation): bool {
  const first = expect_related_of_any(w, rtp);
  if (first != Refused.NO && first != Refused.ALREADY) return false;
  const second = expect_related_of_any(w, rtcp);
  if (second == Refused.NO || second == Refused.ALREADY) return true;
  if (first == Refused.NO) forget(w, rtp);
  return false;
}

function forget(w: World, e: Expectation): void {
  const made = look_for_expectation(w, changetype<usize>(e), e.zone);
  if (changetype<usize>(made)) unlink_expectation(w, made, 0, true);
}

/** Expects both where the other end sends to, at these ports or the next pair that is free (nf_nat_sdp_media()). */
function expect_moved(w: World, flow: Flow, p: Packet, rtp: Expectation, rtcp: Expectation, at: u32, size: u32): bool {
  const announced = bswap16(rtp.dport);
  follow_sip(flow, p, rtp);
  follow_sip(flow, p, rtcp);
  copy_address(media_address(w), changetype<usize>(rtp) + offsetof<Expectation>("dst_lo"));
  for (let port = announced; port != 0; port = (port + 2) & 0xffff) {
    rtp.dport = <u16>bswap16(port);
    const first = expect_related_of_any(w, rtp);
    if (first == Refused.CLASH) continue;
    if (first != Refused.NO) return false;
    rtcp.dport = <u16>bswap16(port + 1);
    const second = expect_related_of_any(w, rtcp);
    if (second == Refused.NO) {
      if (port == announced || change_port(w, p, at, size, port)) return true;
      forget(w, rtp);
      forget(w, rtcp);
      return false;
    }
    forget(w, rtp);
    if (second != Refused.CLASH) return false;
  }
  return false;
}

/** What is expected comes to the address that the other end knows, and is brought to the one that was announced. */
export function follow_sip(flow: Flow, p: Packet, e: Expectation): void {
  const own = tuple_of(flow, p.dir);
  const other = tuple_of(flow, p.dir ^ 1);
  e.follow = <u8>ExpectNat.SIP;
  e.dir = p.dir ^ 1;
  e.saved_proto = e.dport;
  e.saved_lo = e.dst_lo;
  e.saved_hi = e.dst_hi;
  if (same_address(changetype<usize>(own), changetype<usize>(other) + offsetof<Tuple>("dst_lo"))) return;
  e.dst_lo = other.dst_lo;
  e.dst_hi = other.dst_hi;
}

/** Media from the other end to media_address() and this port. */
function media_expectation(w: World, help: Help, flow: Flow, p: Packet, port: u32, klass: u32, number: u32): Expectation {
  const e = expectation_of(w, help, Proto.UDP, number);
  const target = media_address(w);
  e.klass = <u8>klass;
  expect_source(e, tuple_of(flow, p.dir ^ 1));
  e.dst_lo = load<u64>(target);
  e.dst_hi = load<u64>(target, 8);
  e.dport = <u16>bswap16(port);
  return e;
}
