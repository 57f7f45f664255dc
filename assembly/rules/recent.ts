// Addresses that were seen lately: net/netfilter/xt_recent.c, recent_mt().

import { Packet, RecentAddress, RecentList, World } from "../layout";
import { L3, PacketFlag, Path, Proto, RecentFlag } from "../vocabulary";
import { HZ, jiffies } from "./jiffies";
import { keyed_find, keyed_insert, keyed_remove, keyed_table, keyed_touch } from "./keyed-table";

/** Where the TTL lies in the header of each family. */
const TTL4: usize = 8;
const HOP_LIMIT6: usize = 7;

/**
 * Does what `flags` (RecentFlag) say to the list at offset `list`, and says whether the rule matches. `seconds` and `hits`:
 * 0 if they are not asked for.
 */
export function rule_recent(packet: usize, world: usize, list: u32, flags: u32, seconds: u32, hits: u32): u32 {
  const p = changetype<Packet>(packet);
  const t = changetype<RecentList>(keyed_table(world, list));
  const address = packet + (flags & RecentFlag.DESTINATION ? offsetof<Packet>("dst_lo") : offsetof<Packet>("src_lo"));
  const key = t.key();
  key.src_lo = load<u64>(address) & t.mask_lo;
  key.src_hi = load<u64>(address, 8) & t.mask_hi;
  key.l3num = p.l3num;
  const ttl = arrival_ttl(changetype<World>(world), p);
  const now = jiffies(p);
  const inverted: u32 = flags & RecentFlag.INVERT ? 1 : 0;
  let at = keyed_find(t);
  if (at != 0 && flags & RecentFlag.TTL && !same_ttl(ttl, changetype<RecentAddress>(at).ttl)) at = 0;
  if (at == 0) {
    if (!(flags & RecentFlag.SET)) return inverted;
    if (t.count >= t.max) keyed_remove(t, changetype<RecentAddress>(<usize>t.oldest));
    const added = changetype<RecentAddress>(keyed_insert(t));
    added.index = 0;
    added.nstamps = 0;
    stamp(t, added, now, ttl);
    return inverted ^ 1;
  }
  const found = changetype<RecentAddress>(at);
  if (flags & RecentFlag.SET) {
    renew(t, found, now, ttl);
    return inverted ^ 1;
  }
  if (flags & RecentFlag.REMOVE) {
    keyed_remove(t, found);
    return inverted ^ 1;
  }
  // The kernel multiplies in 32 bits.
  const since = now - <u64>(seconds * <u32>HZ);
  const matches = inverted ^ <u32>seen_often(found, since, seconds != 0, max(hits, 1));
  const updates = (flags & RecentFlag.UPDATE) != 0 && matches != 0;
  if (flags & RecentFlag.REAP) reap(t, since, updates ? at : 0);
  if (updates) renew(t, found, now, ttl);
  return matches;
}

/** A TTL of 0 on either side fits any. */
// @ts-ignore: decorator
@inline function same_ttl(one: u32, other: u32): bool {
  return one == other || one == 0 || other == 0;
}

/** Does an address have so many stamps, with `bounded` no earlier than `since` jiffies? */
function seen_often(entry: RecentAddress, since: u64, bounded: bool, wanted: u32): bool {
  const first = changetype<usize>(entry) + offsetof<RecentAddress>();
  const end = first + <usize>entry.nstamps * 8;
  let count: u32 = 0;
  for (let at = first; at < end; at += 8) {
    if (bounded && is_before(load<u64>(at), since)) continue;
    if (++count >= wanted) return true;
  }
  return false;
}

// @ts-ignore: decorator
@inline function is_before(stamp: u64, since: u64): bool {
  return <i64>(stamp - since) < 0;
}

/**
 * Drops the address that was used least lately, unless it is `kept` or its last stamp is recent enough. With 65,536 stamps
 * the kernel's index becomes 0, and it looks at what lies before them, which is always long ago.
 */
function reap(t: RecentList, since: u64, kept: usize): void {
  const oldest: usize = t.oldest;
  if (oldest == kept) return;
  const entry = changetype<RecentAddress>(oldest);
  const behind = oldest + offsetof<RecentAddress>() + <usize>entry.index * 8;
  if (entry.index == 0 || is_before(load<u64>(behind - 8), since)) keyed_remove(t, entry);
}

function renew(t: RecentList, entry: RecentAddress, now: u64, ttl: u32): void {
  stamp(t, entry, now, ttl);
  keyed_touch(t, entry);
}

function stamp(t: RecentList, entry: RecentAddress, now: u64, ttl: u32): void {
  const index = entry.index & t.stamps_mask;
  store<u64>(changetype<usize>(entry) + offsetof<RecentAddress>() + <usize>index * 8, now);
  entry.index = <u16>(index + 1);
  if (entry.index > entry.nstamps) entry.nstamps = entry.index;
  entry.ttl = <u8>ttl;
}

/**
 * The TTL before the host counted it down. What the host sends has only its own; but a RST of REJECT, which belongs to no
 * socket, counts as forwarded to the kernel where it leaves.
 */
function arrival_ttl(w: World, p: Packet): u32 {
  if (p.path == Path.OUTPUT) {
    const reset = (p.flags & PacketFlag.ANSWER) != 0 && p.protonum == Proto.TCP && p.iif == 0;
    return <u8>(p.ttl + (reset ? 1 : 0));
  }
  const captured = <u32>load<u8>(<usize>p.l3 + (p.l3num == L3.IPV6 ? HOP_LIMIT6 : TTL4));
  // Of a packet that was captured only where it left, the header shows one less (seen_elsewhere()).
  return w.sights && p.flags & PacketFlag.LEAVING && captured < 255 ? captured + 1 : captured;
}
