// The life of an entry as packets meet it: resolve, track, confirm, refresh, die.
// Kernel: net/netfilter/nf_conntrack_core.c.
//
// A packet of an unknown flow gets the world's one unconfirmed entry. It becomes part of the table only when the packet
// has passed every hook (confirm), so a flow whose first packet the rules drop leaves no trace.

import { account_of, account_packet } from "./account";
import { death_event, packet_event } from "./event";
import { has_room } from "./expect";
import { allocate_flow, flow_tuple, release_flow } from "./flow-pool";
import { find_flow, found_dir, insert_flow, original_hash, remove_flow } from "./flow-table";
import {
  adopt_help, begin_help, drop_begun, end_help, events_at_stake, has_help, helper_of, preload_help,
} from "./help";
import { gre_quoted_key, gre_source_key } from "./helper/pptp";
import { Account, Flow, FLOW_SHORT, Packet, Tuple, World } from "./layout";
import { early_drop } from "./limit";
import { reply_taken } from "./nat-tuple";
import { quoted_tuple, redirect_fault } from "./packet";
import { sysctl } from "./sysctl";
import { arm, arm_first, disarm, set_expiry, sweep } from "./timer";
import { begin_with_template, enter_zone } from "./template";
import { trace_flow } from "./trace";
import { PeerFlag, TcpFlagClass } from "./track/tcp-states";
import { SctpFlag } from "./track/sctp";
import { tcp_established } from "./track/tcp";
import { shown_state, track, Track } from "./track/tracker";
import { has_ports, tuple_has_inverse, tuple_hash, tuple_invert } from "./tuple";
import { CtState, Dir, EventBit, EventKind, Helper, L3, PacketFlag, Path, Proto, Reason, Status, Sysctl } from "./vocabulary";
import { gre_has_tuple } from "./wire/gre";
import { ICMP_HEADER, ICMP_TYPE_MAX, ICMPV6_REDIRECT, icmpv6_is_untracked } from "./wire/icmp";

/**
 * The conntrack hook: gives the packet its flow, direction and state (kernel: nf_conntrack_in()). A packet with the
 * reason TABLE_FULL is to be dropped.
 */
export function conntrack_in(w: World, p: Packet): void {
  // Untracked, or seen before its way over loopback. A template makes a packet NEW before it was seen.
  if (p.ct_state == CtState.UNTRACKED || p.flow != 0 || p.ct_state == CtState.RELATED) return;
  if (w.templates) enter_zone(w, p);
  if (p.l4 == 0) return invalid(p, Reason.TRUNCATED_L4);
  if (p.protonum == Proto.ICMP || p.protonum == Proto.ICMPV6) {
    if (handle_icmp(w, p)) return;
  } else if (p.l4_len < 4 && has_ports(p.protonum)) {
    return invalid(p, Reason.TRUNCATED_L4);
  } else if (p.protonum == Proto.GRE && !gre_has_tuple(p.l4, p.l4_len)) {
    return invalid(p, Reason.GRE_NOT_PPP);
  }
  if (w.helping && p.protonum == Proto.GRE && gre_source_key(w, changetype<Tuple>(p), p.l4, p.l4_len)) {
    p.hash = tuple_hash(changetype<Tuple>(p));
  }
  resolve(w, p, find_live(w, changetype<Tuple>(p), p.hash));
}

/** Gives a packet that has a tuple its flow: the entry `known` (an address), or a new one if that is 0. */
export function resolve(w: World, p: Packet, known: usize): void {
  while (true) {
    const flow = known ? changetype<Flow>(known) : begin_flow(w, p);
    if (changetype<usize>(flow) == 0) {
      p.why_value = p.dport & 0xff;
      return invalid(p, Reason.ICMP_BAD_TYPE);
    }
    if (w.limits && known == 0 && !early_drop(w, flow, p)) {
      p.reason = <u8>Reason.TABLE_FULL;
      p.ct_state = <u8>CtState.NONE;
      return;
    }
    if (w.helping && known == 0 && !begin_help(w, flow, p)) {
      p.reason = <u8>Reason.TABLE_FULL;
      w.table_full = 1;
      return;
    }
    const dir = known ? found_dir() : <u32>Dir.ORIGINAL;
    if (known && !w.trace && tcp_established(w, flow, p, dir)) return attach(p, flow, dir);
    if (w.trace && known) trace_flow(w, flow, 0);
    const answer = track(w, flow, p, dir, known == 0);
    if (w.trace) trace_flow(w, flow, 1);
    if (answer == Track.REPEAT) {
      known = find_live(w, changetype<Tuple>(p), p.hash);
      continue;
    }
    if (answer == Track.INVALID) {
      p.ct_state = <u8>CtState.INVALID;
      p.tcp_before = 0;
      return;
    }
    attach(p, flow, dir);
    if (dir == Dir.REPLY && !(flow.status & Status.SEEN_REPLY)) {
      flow.status |= <u16>Status.SEEN_REPLY;
      flow.pending_events |= <u16>EventBit.REPLY;
    }
    return;
  }
}

// @ts-ignore: decorator
@inline function attach(p: Packet, flow: Flow, dir: u32): void {
  p.flow = <u32>changetype<usize>(flow);
  p.dir = <u8>dir;
  if (dir == Dir.REPLY || flow.status & Status.SEEN_REPLY) p.ct_state = <u8>CtState.ESTABLISHED;
  else p.ct_state = flow.status & Status.EXPECTED ? <u8>CtState.RELATED : <u8>CtState.NEW;
}

function invalid(p: Packet, reason: Reason): void {
  p.ct_state = <u8>CtState.INVALID;
  p.reason = <u8>reason;
}

/** Is the transport checksum good enough? It is looked at only on receipt. Otherwise p.reason is set. */
// @ts-ignore: decorator
@inline export function accept_checksum(w: World, p: Packet): bool {
  if (!(p.flags & PacketFlag.BAD_CHECKSUM) || p.path == Path.OUTPUT || !sysctl(w, Sysctl.CHECKSUM)) return true;
  p.reason = <u8>Reason.BAD_CHECKSUM;
  return false;
}

/**
 * ICMP before the ordinary look-up: errors belong to the flow they quote, some ICMPv6 is never tracked. True if the
 * packet's state is decided (kernel: nf_conntrack_handle_icmp()).
 */
function handle_icmp(w: World, p: Packet): bool {
  const v6 = p.l3num == L3.IPV6;
  if (p.l4_len < ICMP_HEADER) {
    invalid(p, Reason.TRUNCATED_L4);
    return true;
  }
  // ICMP over IPv6 and the reverse are left to the tracker, which refuses them.
  if (v6 != (p.protonum == Proto.ICMPV6)) return false;
  if (!accept_checksum(w, p)) {
    p.ct_state = <u8>CtState.INVALID;
    return true;
  }
  const type: u32 = p.dport & 0xff;
  if (!v6 && type > ICMP_TYPE_MAX) {
    p.why_value = type;
    invalid(p, Reason.ICMP_BAD_TYPE);
    return true;
  }
  if (v6 && icmpv6_is_untracked(type)) {
    p.ct_state = <u8>CtState.UNTRACKED;
    return true;
  }
  if (p.flags & PacketFlag.ICMP_ERROR) {
    relate_error(w, p);
    return true;
  }
  if (v6 && type == ICMPV6_REDIRECT) {
    const fault = redirect_fault(p);
    if (fault == Reason.ICMP_BAD_TYPE) p.why_value = type;
    invalid(p, fault);
    return true;
  }
  return false;
}

/** An error is RELATED to the flow it quotes, if it is sent to the one who sent the quoted packet. */
function relate_error(w: World, p: Packet): void {
  const inner = changetype<Tuple>(inner_scratch);
  const quoted = quoted_tuple(inner, p);
  if (quoted != Reason.NONE) return invalid(p, quoted);
  inner.zone = p.zone;
  if (w.helping && inner.protonum == Proto.GRE) gre_quoted_key(w, inner);
  const found = find_live(w, inner, tuple_hash(inner));
  if (found == 0) {
    if (p.path != Path.OUTPUT || p.flags & PacketFlag.ANSWER) return invalid(p, Reason.ICMP_ERROR_NO_FLOW);
    // The host's own errors in the capture bear the flow of the packet they answer, also one that was never confirmed
    // (icmp_glue_bits()).
    p.dir = <u8>Dir.REPLY;
    p.ct_state = <u8>CtState.RELATED;
    return;
  }
  const flow = changetype<Flow>(found);
  const dir = found_dir();
  const quoted_way = flow_tuple(w, flow, dir);
  if (quoted_way.dst_lo != p.dst_lo || quoted_way.dst_hi != p.dst_hi) {
    return invalid(p, Reason.ICMP_ERROR_WRONG_SENDER);
  }
  p.flow = <u32>found;
  p.dir = <u8>dir;
  p.ct_state = <u8>CtState.RELATED;
  p.tcp_before = shown_state(flow);
}

/** A tuple's worth of memory of this instance's own. */
let inner_scratch: usize = 0;

export function set_error_scratch(at: usize): void {
  inner_scratch = at;
}

/** Finds a flow that has not expired; one that has dies at the moment it expired. */
// @ts-ignore: decorator
@inline export function find_live(w: World, t: Tuple, hash: u32): usize {
  const found = find_flow(w, t, hash);
  if (found == 0) return 0;
  const flow = changetype<Flow>(found);
  if (flow.expires > w.now) return found;
  expire_flow(w, flow);
  return 0;
}

/** Makes the unconfirmed entry for a packet of an unknown flow; null if its protocol knows no answer to it. */
function begin_flow(w: World, p: Packet): Flow {
  const at: usize = w.unconfirmed;
  const flow = changetype<Flow>(at);
  const tuple = changetype<Tuple>(p);
  v128.store(at, v128.load(changetype<usize>(p)));
  v128.store(at, v128.load(changetype<usize>(p), 16), 16);
  v128.store(at, i64x2(load<u64>(changetype<usize>(p), 32), p.hash), 32);
  // The account lies behind all lines that an entry can have.
  const bytes: usize = w.accounts ? offsetof<Flow>() + offsetof<Account>() : w.flow_bytes;
  for (let offset: usize = 48; offset < bytes; offset += 16) v128.store(at + offset, i64x2.splat(0));
  if (w.flow_bytes == FLOW_SHORT) {
    if (!tuple_has_inverse(tuple)) return changetype<Flow>(0);
  } else if (!tuple_invert(changetype<Tuple>(at + offsetof<Flow>("reply_src_lo")), tuple)) return changetype<Flow>(0);
  if (w.templates) begin_with_template(w, flow, p);
  return flow;
}

/** Sets the timeout of an accepted packet and counts it (kernel: nf_ct_refresh_acct()). */
// @ts-ignore: decorator
@inline export function refresh(w: World, flow: Flow, p: Packet, dir: u32, timeout: u64): void {
  if (flow.status & Status.CONFIRMED) set_expiry(w, flow, w.now + timeout);
  else flow.expires = timeout;
  account_packet(w, flow, p, dir);
}

/**
 * The end of the path: an unconfirmed entry becomes part of the table, and what happened to the entry is announced.
 * False if there is no room, or NAT found no tuple of its own for it (kernel: nf_confirm(), __nf_conntrack_confirm()).
 */
// @ts-ignore: decorator
@inline export function confirm(w: World, p: Packet): bool {
  if (p.flow == 0) return true;
  let flow = changetype<Flow>(<usize>p.flow);
  if (!(flow.status & Status.CONFIRMED)) {
    if (p.dir != Dir.ORIGINAL) return true;
    if ((w.nat | w.templates) != 0 && reply_taken(w, flow)) {
      p.reason = <u8>Reason.NAT_CLASH;
      return false;
    }
    flow = adopt(w, flow);
    if (changetype<usize>(flow) == 0) return false;
    p.flow = <u32>changetype<usize>(flow);
    flow.pending_events |= <u16>(flow.status & Status.EXPECTED ? EventBit.RELATED : EventBit.NEW);
    if (helper_of(w, flow) != Helper.NONE) flow.pending_events |= <u16>EventBit.HELPER;
  }
  announce(w, flow, p);
  return true;
}

/** Announces what has happened to a confirmed entry since the last time (kernel: nf_ct_deliver_cached_events()). */
// @ts-ignore: decorator
@inline export function announce(w: World, flow: Flow, p: Packet): void {
  const bits: u32 = flow.pending_events;
  if (bits == 0 || flow.status & Status.DYING) return;
  flow.pending_events = 0;
  packet_event(w, flow, p, bits & (EventBit.NEW | EventBit.RELATED) ? EventKind.NEW : EventKind.UPDATE, bits);
}

/** Moves the unconfirmed entry into the table. */
function adopt(w: World, unconfirmed: Flow): Flow {
  let at = allocate_flow(w);
  if (at == 0) {
    // Entries that have expired are removed batch by batch; their room may be needed before.
    sweep(w, w.now);
    at = allocate_flow(w);
    if (at == 0) return changetype<Flow>(0);
  }
  const source = changetype<usize>(unconfirmed);
  const bytes: usize = w.flow_bytes;
  for (let offset: usize = 0; offset < bytes; offset += 16) v128.store(at + offset, v128.load(source + offset));
  const flow = changetype<Flow>(at);
  flow.status |= <u16>Status.CONFIRMED;
  flow.expires = w.now + max<u64>(unconfirmed.expires, 1);
  flow.id = w.number;
  if (has_help(flow)) adopt_help(w, flow);
  if (w.accounts) {
    memory.copy(changetype<usize>(account_of(w, flow)), source + offsetof<Flow>(), w.account_bytes);
    account_of(w, flow).start = w.now;
  }
  if (!insert_flow(w, flow, unconfirmed.armed)) return changetype<Flow>(0);
  arm_first(w, flow);
  return flow;
}

/**
 * Puts an entry into the table that was there before the first packet. `template` is a Flow with tuples, status, mark,
 * state and absolute expiry filled in. What the windows were is not known, so they are not insisted on; SCTP's
 * verification tags are learnt from the first packets. False if there is no room.
 */
export function preload_flow(world: usize, template: usize, helper: u32): bool {
  const w = changetype<World>(world);
  const at = allocate_flow(w);
  if (at == 0) return false;
  memory.copy(at, template, w.flow_bytes);
  const flow = changetype<Flow>(at);
  flow.status |= <u16>Status.CONFIRMED;
  if (helper != Helper.NONE && !preload_help(w, flow, helper)) return false;
  if (flow.protonum == Proto.TCP) {
    flow.peer(Dir.ORIGINAL).flags = <u8>(PeerFlag.SACK_PERM | PeerFlag.BE_LIBERAL);
    flow.peer(Dir.REPLY).flags = <u8>(PeerFlag.SACK_PERM | PeerFlag.BE_LIBERAL);
    flow.last_index = <u8>TcpFlagClass.NONE;
  }
  if (flow.protonum == Proto.SCTP) flow.sctp().flags = <u8>(SctpFlag.VTAG_UNKNOWN | (SctpFlag.VTAG_UNKNOWN << 1));
  if (w.accounts) memory.fill(changetype<usize>(account_of(w, flow)), 0, w.account_bytes);
  if (!insert_flow(w, flow, original_hash(flow))) return false;
  arm(w, flow, flow.expires);
  return true;
}

/** Takes an entry out of the table at once and announces its death; it stays readable until the packet is judged. */
export function kill_flow(w: World, flow: Flow, p: Packet): void {
  packet_event(w, flow, p, EventKind.DESTROY, EventBit.DESTROY);
  remove_flow(w, flow);
  disarm(w, flow);
  if (has_help(flow)) end_help(w, flow, w.now, p);
  flow.status |= <u16>Status.DYING;
  w.dying = <u32>changetype<usize>(flow);
}

/** Takes an entry that is not the packet's out of the table for want of room, and announces its death. */
export function evict_flow(w: World, flow: Flow, p: Packet): void {
  packet_event(w, flow, p, EventKind.DESTROY, EventBit.DESTROY);
  remove_flow(w, flow);
  disarm(w, flow);
  if (has_help(flow)) end_help(w, flow, w.now, p);
  release_flow(w, flow);
}

/** Forgets the entries that the packet killed, or began in vain. */
export function bury(w: World): void {
  if (w.helping) drop_begun(w);
  if (w.dying == 0) return;
  release_flow(w, changetype<Flow>(<usize>w.dying));
  w.dying = 0;
}

/** Removes an entry whose time has come. False if its death could not be reported for want of room. */
export function expire_flow(w: World, flow: Flow): bool {
  if (has_help(flow) && !has_room(w, events_at_stake(w, flow))) return false;
  return end_flow(w, flow, flow.expires, changetype<Packet>(0));
}

/**
 * Removes an entry that ends at `when`: by itself, or because of the packet `p` (null if none), before another one comes. False
 * if its death could not be reported for want of room.
 */
export function end_flow(w: World, flow: Flow, when: u64, p: Packet): bool {
  if (!death_event(w, flow, when)) return false;
  remove_flow(w, flow);
  disarm(w, flow);
  if (has_help(flow)) end_help(w, flow, when, p);
  release_flow(w, flow);
  return true;
}
