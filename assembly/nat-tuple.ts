// Which tuple does a new flow get, given what a rule allows? Kernel: get_unique_tuple() and below it in
// net/netfilter/nf_nat_core.c, as of 6.18.
//
// The tuple must be new in the direction of the answers: no entry may have its inverse, in either direction. Where the
// kernel draws random numbers (which free port is tried first), ours follow from the run's seed and the number of the
// packet, so that they depend neither on other flows nor on lanes.

import { be32, be64, bswap16 } from "./bytes";
import { PER_DRAW, PER_PACKET, splitmix } from "./chance";
import { evict_flow, expire_flow, find_live } from "./conntrack";
import { find_in_zones, found_dir, same_tuple } from "./flow-table";
import { Flow, Nat, NatRange, Packet, Tuple, World } from "./layout";
import { next_mapping } from "./nat-source";
import { has_ports, tuple_hash, tuple_invert } from "./tuple";
import { Dir, L3, NatFlag, Proto, Status, TcpConntrack } from "./vocabulary";

/** Which half of the tuple a hook changes (NF_NAT_MANIP_*). */
export enum Manip {
  SRC = 0,
  DST = 1,
}

/** Ports that are tried in a row (NF_NAT_MAX_ATTEMPTS), and how few are left when closed connections give way. */
const ATTEMPTS_MAX: u32 = 128;
const ATTEMPTS_MIN: u32 = 16;
const ATTEMPTS_HARDER: u32 = ATTEMPTS_MAX / 4;

/** Entries that one packet can come across expired, or evict, while ports are tried: 128 + 64 + 32 + 16, twice. */
export const NAT_EVENTS_MAX: usize = 512;

/** Whether NAT or a helper changes packets of an entry. */
const TRANSLATED: u32 = Status.SRC_NAT | Status.DST_NAT | Status.SEQ_ADJUST;
const RANDOM: u32 = NatFlag.PROTO_RANDOM | NatFlag.PROTO_RANDOM_FULLY;

/** A number from 0 to 65535 (splitmix64 over seed, packet and draw). */
function draw(w: World, n: Nat): u32 {
  const z = splitmix(n.seed + w.number * PER_PACKET + <u64>n.draws * PER_DRAW);
  n.draws++;
  return <u32>(z >> 48);
}

/** Numbers for helpers begin here, those for bindings at Manip << 16. */
const HELPER_DRAWS: u32 = 2 << 16;

export function begin_helper_draws(w: World): void {
  changetype<Nat>(<usize>w.nat).draws = HELPER_DRAWS;
}

/** The next number below `count`, which is at most 65536, for the packet in work. */
export function draw_below(w: World, count: u32): u32 {
  return (draw(w, changetype<Nat>(<usize>w.nat)) * count) >> 16;
}

/** Would answers to `t`, a tuple for this new entry, be taken for another entry's (kernel: nf_nat_used_tuple())? */
function is_used(w: World, n: Nat, t: Tuple, flow: Flow): bool {
  const reply = n.reply();
  tuple_invert(reply, t);
  return is_taken(w, reply, flow);
}

/**
 * Is the tuple of a new entry's answers that of another entry? Where the new one has a zone in one direction only, it is filed
 * where nothing but answers of others are (kernel: nf_conntrack_tuple_taken()).
 */
function is_taken(w: World, reply: Tuple, flow: Flow): bool {
  if (w.templates == 0) return find_live(w, reply, tuple_hash(reply)) != 0;
  return find_in_zones_of(w, reply, flow, flow.zone == flow.reply_zone) != 0;
}

/** The living entry that has this tuple in the zones of a new one, 0 if there is none. */
function find_in_zones_of(w: World, t: Tuple, flow: Flow, originals: bool): usize {
  // It may be the entry's own reply tuple, which has its zone there.
  const replies = flow.reply_zone;
  t.zone = flow.zone;
  const found = find_in_zones(w, t, tuple_hash(t), replies, originals);
  if (found == 0 || changetype<Flow>(found).expires > w.now) return found;
  expire_flow(w, changetype<Flow>(found));
  return 0;
}

/** Is there an entry that answers to the reply tuple of this new one belong to already (kernel: __nf_conntrack_confirm())? */
export function reply_taken(w: World, flow: Flow): bool {
  const reply = changetype<Tuple>(changetype<usize>(flow) + offsetof<Flow>("reply_src_lo"));
  const zone = flow.reply_zone;
  const taken = is_taken(w, reply, flow);
  flow.reply_zone = zone;
  return taken;
}

/**
 * As is_used(), of the tuple that a new entry has anyhow. One of UDP, or that is tracked by its addresses, may have it though the
 * other way round it is another's, if neither is translated: when it joins the table is soon enough to find out (kernel:
 * nf_nat_used_tuple_new()). Only zones can let it come so far.
 */
function is_used_unchanged(w: World, n: Nat, t: Tuple, flow: Flow): bool {
  if (!is_used(w, n, t, flow)) return false;
  if (w.templates == 0 || flow.status & TRANSLATED || !may_clash(flow.protonum)) return true;
  const reply = changetype<Tuple>(changetype<usize>(flow) + offsetof<Flow>("reply_src_lo"));
  const found = find_in_zones_of(w, n.reply(), flow, true);
  if (found == 0) return false;
  const other = changetype<Flow>(found);
  return (other.status & TRANSLATED) != 0 || !same_tuple(found, changetype<usize>(reply));
}

/** Protocols of which packets of both directions may begin an entry at the same time (kernel: allow_clash). */
function may_clash(protonum: u32): bool {
  return protonum != Proto.TCP && protonum != Proto.SCTP && protonum != Proto.ICMP && protonum != Proto.ICMPV6;
}

/**
 * As is_used(), but when few attempts are left, a connection in TIME_WAIT or CLOSE gives way to a SYN whose sequence
 * number is beyond it: its packets can be told apart (kernel: nf_nat_used_tuple_harder()).
 */
function is_used_harder(w: World, n: Nat, t: Tuple, flow: Flow, p: Packet, left: u32): bool {
  if (!is_used(w, n, t, flow)) return false;
  if (left > ATTEMPTS_HARDER || t.protonum != Proto.TCP || flow.tcp_state != TcpConntrack.SYN_SENT) return true;
  const reply = n.reply();
  const found = w.templates ? find_in_zones_of(w, reply, flow, true) : find_live(w, reply, tuple_hash(reply));
  if (found_dir() == Dir.ORIGINAL) return true;
  const old = changetype<Flow>(found);
  if (<u32>old.tcp_state < <u32>TcpConntrack.TIME_WAIT || old.status & (Status.FIXED_TIMEOUT | Status.DYING)) return true;
  if (!(old.status & Status.SRC_NAT)) return true;
  if (<i32>(flow.peer(Dir.ORIGINAL).td_end - old.peer(Dir.ORIGINAL).td_end) <= 0) return true;
  evict_flow(w, old, p);
  return false;
}

/** Is the number between those of the range, both included? What a protocol has to map: ports, the id, the call id. */
function proto_in_range(t: Tuple, manip: u32, range: NatRange): bool {
  let word: u32 = 0;
  if (t.protonum == Proto.ICMP || t.protonum == Proto.ICMPV6) word = t.sport;
  else if (has_ports(t.protonum) || t.protonum == Proto.GRE) word = manip == Manip.SRC ? t.sport : t.dport;
  else return true;
  const number = bswap16(word);
  return number >= range.min_proto && number <= range.max_proto;
}

/** Compares two addresses of 16 bytes in wire order: -1, 0, 1. */
function compare6(a: usize, b: usize): i32 {
  const high_a = be64(a);
  const high_b = be64(b);
  if (high_a != high_b) return high_a < high_b ? -1 : 1;
  const low_a = be64(a + 8);
  const low_b = be64(b + 8);
  return low_a == low_b ? 0 : low_a < low_b ? -1 : 1;
}

/** Is the source of a tuple as the range wants it (kernel: nf_in_range())? */
function source_in_range(t: Tuple, range: NatRange): bool {
  if (range.flags & NatFlag.MAP_IPS) {
    const at = changetype<usize>(t);
    const low = changetype<usize>(range);
    const high = low + offsetof<NatRange>("max_lo");
    if (t.l3num == L3.IPV4) {
      const address = be32(at);
      if (address < be32(low) || address > be32(high)) return false;
    } else if (compare6(at, low) < 0 || compare6(at, high) > 0) return false;
  }
  return !(range.flags & NatFlag.PROTO_SPECIFIED) || proto_in_range(t, Manip.SRC, range);
}

// @ts-ignore: decorator
@inline function scale(value: u32, count: u32): u32 {
  return <u32>(((<u64>value) * count) >> 32);
}

/** Jenkins' hash of the four words of an address (lookup3, hashword()); the kernel's jhash2() gives the same. */
function hash_address(at: usize, initial: u32): u32 {
  let a: u32 = 0xdeadbeef + 16 + initial;
  let b = a;
  let c = a;
  a += load<u32>(at);
  b += load<u32>(at, 4);
  c += load<u32>(at, 8);
  a -= c; a ^= rotl<u32>(c, 4); c += b;
  b -= a; b ^= rotl<u32>(a, 6); a += c;
  c -= b; c ^= rotl<u32>(b, 8); b += a;
  a -= c; a ^= rotl<u32>(c, 16); c += b;
  b -= a; b ^= rotl<u32>(a, 19); a += c;
  c -= b; c ^= rotl<u32>(b, 4); b += a;
  a += load<u32>(at, 12);
  c ^= b; c -= rotl<u32>(b, 14);
  a ^= c; a -= rotl<u32>(c, 11);
  b ^= a; b -= rotl<u32>(a, 25);
  c ^= b; c -= rotl<u32>(b, 16);
  a ^= c; a -= rotl<u32>(c, 4);
  b ^= a; b -= rotl<u32>(a, 14);
  c ^= b; c -= rotl<u32>(b, 24);
  return c;
}

/**
 * Writes the address of the range that this pair of hosts is given into the tuple: the same one each time, spread over
 * the range by a hash without a key. Word by word, the range of a word counts only as long as the words before it are
 * the highest of the range (kernel: find_best_ips_proto()).
 */
function choose_address(t: Tuple, range: NatRange, zone: u32, manip: u32): void {
  if (!(range.flags & NatFlag.MAP_IPS)) return;
  const source = changetype<usize>(t);
  const target = source + offsetof<Tuple>("dst_lo");
  const at = manip == Manip.SRC ? source : target;
  if (range.min_lo == range.max_lo && range.min_hi == range.max_hi) {
    store<u64>(at, range.min_lo);
    store<u64>(at, range.min_hi, 8);
    return;
  }
  const last: usize = t.l3num == L3.IPV4 ? 0 : 12;
  const persistent = (range.flags & NatFlag.PERSISTENT) != 0;
  let h = hash_address(source, persistent ? 0 : load<u32>(target + last) ^ zone);
  let free = false;
  for (let word: usize = 0; word <= last; word += 4) {
    let low: u32 = 0;
    let count: u32 = 0xffffffff;
    if (!free) {
      low = be32(changetype<usize>(range) + word);
      count = be32(changetype<usize>(range) + offsetof<NatRange>("max_lo") + word) - low + 1;
    }
    const chosen = bswap<u32>(low + scale(h, count));
    store<u32>(at + word, chosen);
    if (chosen != load<u32>(changetype<usize>(range) + word, offsetof<NatRange>("max_lo"))) free = true;
    if (!persistent) h ^= load<u32>(target + word);
  }
}

/**
 * Looks for a port (ICMP: an id) that makes the tuple unique: in the range of the rule, else among those of the same
 * kind as the old one. If there is none, the last one tried stays (kernel: nf_nat_l4proto_unique_tuple()).
 */
function choose_port(w: World, n: Nat, t: Tuple, range: NatRange, flow: Flow, p: Packet, manip: u32): void {
  const icmp = t.protonum == Proto.ICMP || t.protonum == Proto.ICMPV6;
  const call = t.protonum == Proto.GRE;
  // GRE without PPTP keeps its call ids, and other protocols have nothing to tell flows apart by.
  if (call ? !(flow.status & Status.EXPECTED) : !icmp && !has_ports(t.protonum)) return;
  const specified = (range.flags & NatFlag.PROTO_SPECIFIED) != 0;
  if (!icmp && !call && !specified && manip == Manip.DST) return;
  const key = changetype<usize>(t) + (icmp || manip == Manip.SRC ? offsetof<Tuple>("sport") : offsetof<Tuple>("dport"));
  const old = bswap16(load<u16>(key));
  let first: u32 = range.min_proto;
  let last: u32 = range.max_proto;
  if (!specified) {
    first = icmp ? 0 : call || old < 512 ? 1 : old < 1024 ? 600 : 1024;
    last = icmp || call ? 65535 : old < 512 ? 511 : old < 1024 ? 1023 : 65535;
  } else if (last < first) {
    first = range.max_proto;
    last = range.min_proto;
  }
  const size = last - first + 1;
  let offset: u32 = 0;
  if (range.flags & NatFlag.PROTO_OFFSET) offset = old - range.base_proto;
  else if (range.flags & RANDOM || manip == Manip.SRC) offset = draw(w, n);
  let attempts = min(size, ATTEMPTS_MAX);
  while (true) {
    for (let i: u32 = 0; i < attempts; i++, offset++) {
      store<u16>(key, <u16>bswap16(first + (offset & 0xffff) % size));
      if (!is_used_harder(w, n, t, flow, p, attempts - i)) return;
    }
    if (attempts >= size || attempts < ATTEMPTS_MIN) return;
    attempts >>= 1;
    offset = draw(w, n);
  }
}

/**
 * Finds the tuple for a new flow and leaves it in Nat.chosen(); Nat.current() is the one that it has without
 * (kernel: get_unique_tuple()).
 */
export function choose_tuple(w: World, n: Nat, range: NatRange, flow: Flow, p: Packet, manip: u32): void {
  const current = n.current();
  const chosen = n.chosen();
  const random = (range.flags & RANDOM) != 0;
  if (manip == Manip.SRC && !random) {
    if (source_in_range(current, range)) {
      if (!is_used_unchanged(w, n, current, flow)) return copy_tuple(chosen, current);
    } else {
      for (let node = next_mapping(w, current, flow, chosen, 0); node; node = next_mapping(w, current, flow, chosen, node)) {
        if (!source_in_range(chosen, range)) continue;
        if (!is_used(w, n, chosen, flow)) return;
        break;
      }
    }
  }
  copy_tuple(chosen, current);
  choose_address(chosen, range, flow.zone ? flow.zone : flow.reply_zone, manip);
  if (!random) {
    if (!(range.flags & NatFlag.PROTO_SPECIFIED)) {
      if (!is_used(w, n, chosen, flow)) return;
    } else if (!(range.flags & NatFlag.PROTO_OFFSET) && proto_in_range(chosen, manip, range)) {
      if (range.min_proto == range.max_proto || !is_used(w, n, chosen, flow)) return;
    }
  }
  choose_port(w, n, chosen, range, flow, p, manip);
}

function copy_tuple(target: Tuple, source: Tuple): void {
  memory.copy(changetype<usize>(target), changetype<usize>(source), offsetof<Tuple>());
}
