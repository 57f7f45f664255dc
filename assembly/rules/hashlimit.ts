// A bucket of credits for each host, network or pair of ports: net/netfilter/xt_hashlimit.c, hashlimit_mt_common().
//
// Numbers of a table come from src/ruleset/hashlimit.ts, which computes them as the kernel does. The collector comes at
// whole multiples of its interval: in the kernel it begins with the first rule of the name, which no capture shows.

import { HashlimitBucket, HashlimitTable, Packet } from "../layout";
import { has_ports } from "../tuple";
import { HashlimitFlag, L3, PacketFlag, Proto } from "../vocabulary";
import { HZ, jiffies } from "./jiffies";
import { keyed_find, keyed_insert, keyed_remove, keyed_table, keyed_touch } from "./keyed-table";

/** What rule_hashlimit() answers where the kernel drops the packet: its ports cannot be read, or the table is full. */
const DROPPED: u32 = 2;

/** CREDITS_PER_JIFFY, and the same where bytes are counted. */
const CREDITS: u64 = 1 << 39;
const BYTE_CREDITS: u64 = 1 << 24;
const BYTE_CREDITS_MAX: u64 = BYTE_CREDITS * HZ;
/** Bytes are counted in chunks of 16 (XT_HASHLIMIT_BYTE_SHIFT). */
const BYTE_SHIFT: u32 = 4;
/** Both ports. */
const PORTS_BYTES: u32 = 4;
/** Behind the first word of an AH header follows the SPI. */
const AH_PORTS: u32 = 4;
/** What ports_of() answers where there should be some. */
const NO_PORTS: u64 = -1;

/** 1 if the packet is within the limit of the table at offset `table`, 0 if not, 2 if it is to be dropped. */
export function rule_hashlimit(packet: usize, world: usize, table: u32): u32 {
  const p = changetype<Packet>(packet);
  const t = changetype<HashlimitTable>(keyed_table(world, table));
  if (!make_key(t, p)) return DROPPED;
  const now = jiffies(p);
  collect(t, now);
  const at = keyed_find(t);
  let b = changetype<HashlimitBucket>(at);
  if (at == 0) {
    if (t.count >= t.max) return DROPPED;
    b = changetype<HashlimitBucket>(keyed_insert(t));
    b.previous = now;
    b.credit = t.credit;
    b.left = (t.flags & (HashlimitFlag.BYTES | HashlimitFlag.RATE)) == HashlimitFlag.BYTES ? t.cap : 0;
  } else {
    keyed_touch(t, b);
    refill(t, b, now);
  }
  b.expires = now + t.expire;
  if (t.flags & HashlimitFlag.RATE) return within_rate(t, b, p.ip_len);
  const cost = t.flags & HashlimitFlag.BYTES ? byte_cost(t, b, p.ip_len) : t.cost;
  if (b.credit < cost) return 0;
  b.credit -= cost;
  return 1;
}

/** What hashlimit_init_dst() makes of the packet; false if the ports that are asked for cannot be read. */
function make_key(t: HashlimitTable, p: Packet): bool {
  const key = t.key();
  key.src_lo = p.src_lo & t.source_lo;
  key.src_hi = p.src_hi & t.source_hi;
  key.dst_lo = p.dst_lo & t.target_lo;
  key.dst_hi = p.dst_hi & t.target_hi;
  if (!(t.flags & (HashlimitFlag.SPORT | HashlimitFlag.DPORT))) return true;
  const ports = ports_of(p);
  if (ports == NO_PORTS) return false;
  key.sport = t.flags & HashlimitFlag.SPORT ? <u16>ports : 0;
  key.dport = t.flags & HashlimitFlag.DPORT ? <u16>(ports >> 16) : 0;
  return true;
}

/** Both ports in wire order, the source in the lower half; 0 for protocols without any. NAT has changed those of the tuple. */
function ports_of(p: Packet): u64 {
  if (p.flags & PacketFlag.LATER_FRAGMENT) return 0;
  // An IPv6 packet whose headers end before a transport begins.
  if (p.l4 == 0) return NO_PORTS;
  const first = proto_ports_offset(p.protonum);
  if (first < 0) return 0;
  if (p.l4_len < <u32>first + PORTS_BYTES) return NO_PORTS;
  if (has_ports(p.protonum)) return <u64>p.sport | (<u64>p.dport << 16);
  return p.l4_captured < <u32>first + PORTS_BYTES ? 0 : load<u32>(<usize>p.l4 + first);
}

/** Where the transport header has ports, or what the kernel takes for them; -1 where it has none. */
function proto_ports_offset(protonum: u32): i32 {
  if (has_ports(protonum) || protonum == Proto.DCCP || protonum == Proto.ESP) return 0;
  return protonum == Proto.AH ? AH_PORTS : -1;
}

/** The collector takes what had expired when it came last. Buckets stand in the order of their expiry. */
function collect(t: HashlimitTable, now: u64): void {
  const last = now - (now % t.gc_interval);
  while (t.oldest != 0 && changetype<HashlimitBucket>(<usize>t.oldest).expires <= last) {
    keyed_remove(t, changetype<HashlimitBucket>(<usize>t.oldest));
  }
}

/** rateinfo_recalc() */
function refill(t: HashlimitTable, b: HashlimitBucket, now: u64): void {
  const passed = now - b.previous;
  if (passed == 0) return;
  if (t.flags & HashlimitFlag.RATE) {
    if (passed < t.interval) return;
    b.left = b.credit * t.interval > passed * t.cost ? 1 : 0;
    b.credit = 0;
    b.previous = now;
    return;
  }
  b.previous = now;
  const before = b.credit;
  if (t.flags & HashlimitFlag.BYTES) {
    b.credit += BYTE_CREDITS * passed;
    if (b.credit <= before || b.credit > BYTE_CREDITS_MAX) b.credit = BYTE_CREDITS_MAX;
  } else {
    b.credit += passed * CREDITS;
    if (b.credit > t.cap) b.credit = t.cap;
  }
}

/** --hashlimit-rate-match: counts, and says whether this interval and the one before are within the rate. */
function within_rate(t: HashlimitTable, b: HashlimitBucket, length: u32): u32 {
  b.credit += t.flags & HashlimitFlag.BYTES ? length : 1;
  return b.left == 0 && b.credit <= t.cap ? 1 : 0;
}

/** What the packet costs; where that is more than is there, one of the burst's fillings goes first. */
function byte_cost(t: HashlimitTable, b: HashlimitBucket, length: u32): u64 {
  const cost = min(<u64>((length >> BYTE_SHIFT) + 1) * t.cost, BYTE_CREDITS_MAX);
  if (b.credit < cost && b.left != 0) {
    b.left--;
    b.credit = BYTE_CREDITS_MAX;
  }
  return cost;
}
