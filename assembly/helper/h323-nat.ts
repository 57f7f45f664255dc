// H.323 behind NAT: what a message says of its sender becomes what the other end knows him by, and what is expected because
// of it is brought to him. Kernel: net/ipv4/netfilter/nf_nat_h323.c.
//
// Only IPv4 is rewritten. Where no port is free the message passes as it is, and nothing is expected.

import { bswap16 } from "../bytes";
import { expect_related, Refused, unlink_expectation } from "../expect";
import { Expectation, Find, Flow, Help, Packet, PAIRS_MAX, Tuple, World } from "../layout";
import { ExpectNat, L3, Reason } from "../vocabulary";
import { Role } from "./h245";
import { change_address, find_at, is_address, message_at, read_address, read_port } from "./h323";
import { find_port, newest_of, tuple_of } from "./helper";
import { FindKind } from "./per";
import { follow_master, is_translated } from "./rewrite";

const LOOPBACK: u8 = 127;

// What is remembered (Help.data, behind what is there in any case; all in wire order): u16[2], by direction, the port that a
// side's signalling is called at, or that the other one calls instead; u16[CHANNELS][2], the same of media.
const SIGNAL_PORTS: usize = 8;
const MEDIA_PORTS: usize = 12;
/** So many media of a connection are remembered (H323_RTP_CHANNEL_MAX). */
const CHANNELS: u32 = 4;

// @ts-ignore: decorator
@inline export function signal_port(help: Help, dir: u32): u16 {
  return load<u16>(help.memory() + SIGNAL_PORTS + <usize>dir * 2);
}

function remember_signal(help: Help, dir: u32, own: u16, seen: u16): void {
  store<u16>(help.memory() + SIGNAL_PORTS + <usize>dir * 2, own);
  store<u16>(help.memory() + SIGNAL_PORTS + <usize>(dir ^ 1) * 2, seen);
}

export function forget_ports(help: Help): void {
  store<u32>(help.memory() + SIGNAL_PORTS, 0);
}

// @ts-ignore: decorator
@inline function media_port(help: Help, channel: u32, dir: u32): usize {
  return help.memory() + MEDIA_PORTS + <usize>(channel * 2 + dir) * 2;
}

/** Are messages of the connection changed? */
// @ts-ignore: decorator
@inline export function is_rewritten(flow: Flow): bool {
  return flow.l3num == L3.IPV4 && is_translated(flow);
}

/** The address by which the other end knows the sender. */
// @ts-ignore: decorator
@inline export function seen_as(flow: Flow, p: Packet): u64 {
  return tuple_of(flow, p.dir ^ 1).dst_lo;
}

/** Does the other end know the sender by another address? */
export function is_hidden(flow: Flow, p: Packet): bool {
  return is_rewritten(flow) && tuple_of(flow, p.dir).src_lo != seen_as(flow, p);
}

/** Where a Setup says that the call goes, and where it comes from (process_setup()). */
export function change_called(w: World, flow: Flow, p: Packet, find: Find): void {
  const other = tuple_of(flow, p.dir ^ 1);
  if (read_address(flow, find) && !is_address(changetype<usize>(other))) change_address(w, p, find, other.src_lo, other.sport);
}
export function change_caller(w: World, flow: Flow, p: Packet, find: Find): void {
  const other = tuple_of(flow, p.dir ^ 1);
  if (read_address(flow, find) && !is_address(target_of(other))) change_address(w, p, find, other.dst_lo, other.dport);
}

// @ts-ignore: decorator
@inline function target_of(t: Tuple): usize {
  return changetype<usize>(t) + offsetof<Tuple>("dst_lo");
}

/** The first address for RAS that the packet comes from (set_ras_addr()). */
export function change_ras_address(w: World, flow: Flow, p: Packet, count: i32): void {
  const own = tuple_of(flow, p.dir);
  const other = tuple_of(flow, p.dir ^ 1);
  for (let i: i32 = 0; i < count; i++) {
    const find = find_at(w, i);
    if (find.role != Role.RAS_ADDRESS || !read_address(flow, find)) continue;
    if (!is_address(changetype<usize>(own)) || read_port() != own.sport) continue;
    change_address(w, p, find, other.dst_lo, other.dport);
    return;
  }
}

/** The first address for calls that is the one which was expected of either end (set_sig_addr()). */
export function change_call_signal(w: World, flow: Flow, help: Help, p: Packet, count: i32): void {
  const own = tuple_of(flow, p.dir);
  const other = tuple_of(flow, p.dir ^ 1);
  const seen = signal_port(help, p.dir ^ 1);
  for (let i: i32 = 0; i < count; i++) {
    const find = find_at(w, i);
    if (find.role != Role.CALL_SIGNAL || !read_address(flow, find) || read_port() != signal_port(help, p.dir)) continue;
    if (is_address(changetype<usize>(own))) {
      const first = loopback_before(w, find, count);
      change_address(w, p, changetype<usize>(first) ? first : find, other.dst_lo, seen);
      return;
    }
    if (is_address(target_of(own))) {
      change_address(w, p, find, other.src_lo, seen);
      return;
    }
  }
}

/** The first address of a list, if it is one of loopback and `find` comes later; else null. Gnomemeeting begins its lists so. */
function loopback_before(w: World, find: Find, count: i32): Find {
  for (let i: i32 = 0; i < count; i++) {
    const first = find_at(w, i);
    if (first.role != find.role) continue;
    const loopback = first.item == 0 && first.kind == FindKind.IPV4 && load<u8>(message_at() + first.value) == LOOPBACK;
    return find.item > 0 && loopback ? first : changetype<Find>(0);
  }
  return changetype<Find>(0);
}

/** Who was expected at an address of this list is expected at its first one, too, if that is one of loopback (nat_q931()). */
export function change_loopback(w: World, flow: Flow, help: Help, p: Packet, find: Find, count: i32): void {
  const first = loopback_before(w, find, count);
  if (changetype<usize>(first)) change_address(w, p, first, seen_as(flow, p), signal_port(help, p.dir ^ 1));
}

/**
 * Expects signalling of the sender's where it was expected before, or at the port that was read, and says so in place of the
 * find. False if it is not expected (nat_h245(), nat_q931()).
 */
export function expect_signalling(w: World, flow: Flow, help: Help, p: Packet, e: Expectation, find: Find): bool {
  const port = read_port();
  follow_master(e, p.dir ^ 1, port);
  const made = find_port(w, e, signal_port(help, p.dir) == port ? signal_port(help, p.dir ^ 1) : port);
  if (changetype<usize>(made) == 0) return false;
  change_address(w, p, find, seen_as(flow, p), made.dport);
  remember_signal(help, p.dir, port, made.dport);
  return true;
}

/** Expects data of the sender's (nat_t120()). */
export function expect_data(w: World, flow: Flow, p: Packet, e: Expectation, find: Find): void {
  follow_master(e, p.dir ^ 1, read_port());
  const made = find_port(w, e, read_port());
  if (changetype<usize>(made)) change_address(w, p, find, seen_as(flow, p), made.dport);
}

/** Expects the call to somebody else at the sender's, who brings it there (nat_callforwarding()). */
export function expect_forwarded_call(w: World, flow: Flow, p: Packet, e: Expectation, find: Find): void {
  e.saved_lo = e.dst_lo;
  e.saved_hi = e.dst_hi;
  e.saved_proto = read_port();
  e.dst_lo = seen_as(flow, p);
  e.dir = <u8>(p.dir ^ 1);
  e.follow = <u8>ExpectNat.FORWARDED;
  const made = find_port(w, e, read_port());
  if (changetype<usize>(made)) change_address(w, p, find, e.dst_lo, made.dport);
}

/** Pairs of ports of the packet in work that were tried in vain. */
let pairs: u32 = 0;

export function begin_pairs(): void {
  pairs = 0;
}

/**
 * Expects media and their control at the announced ports, or the next pair that is free, and says so in place of the find: of
 * the one of both that it announces (nat_rtp_rtcp()).
 */
export function expect_pair(w: World, flow: Flow, help: Help, p: Packet, rtp: Expectation, rtcp: Expectation, find: Find): void {
  const dir: u32 = p.dir;
  const announced = rtp.dport;
  const odd = read_port() != announced;
  follow_master(rtp, dir ^ 1, rtp.dport);
  follow_master(rtcp, dir ^ 1, rtcp.dport);
  let channel: u32 = 0;
  for (; channel < CHANNELS; channel++) {
    const known = load<u16>(media_port(help, channel, dir));
    if (known == announced || known == 0) break;
  }
  if (channel == CHANNELS) return;
  // The last pair of all is followed by none.
  for (let port = bswap16(announced); port != 0; port = (port + 2) & 0xffff) {
    rtp.dport = <u16>bswap16(port);
    rtcp.dport = <u16>bswap16(port + 1);
    let refused = expect_related(w, rtp);
    if (refused == Refused.NO) {
      const made = newest_of(rtp);
      refused = expect_related(w, rtcp);
      if (refused == Refused.NO) {
        change_address(w, p, find, seen_as(flow, p), odd ? rtcp.dport : rtp.dport);
        store<u16>(media_port(help, channel, dir), announced);
        store<u16>(media_port(help, channel, dir ^ 1), rtp.dport);
        return;
      }
      unlink_expectation(w, made, 0, true);
      pairs++;
    }
    if (refused != Refused.CLASH) return;
    if (pairs == PAIRS_MAX) {
      if (p.reason == Reason.NONE) p.reason = <u8>Reason.HELPER_CUT_SHORT;
      return;
    }
  }
}
