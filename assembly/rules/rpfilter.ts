// Does the way back to a packet's source leave by the interface that it came by? Kernel: net/ipv4/netfilter/ipt_rpfilter.c,
// net/ipv6/netfilter/ip6t_rpfilter.c.

import { be32, be64 } from "../bytes";
import { INTERFACES_MAX, Packet, ReversePath, ReversePaths, World } from "../layout";
import { loopback_oif } from "../route";
import { AddrType, L3, Path, RpfilterFlag } from "../vocabulary";

/** 1 if it does, or as far as `flags` (RpfilterFlag bits) care. */
export function rule_rpfilter(packet: usize, world: usize, flags: u32): u32 {
  const p = changetype<Packet>(packet);
  const w = changetype<World>(world);
  // What the host sent comes back over loopback, or as a copy for the host itself (PACKET_LOOPBACK).
  if (p.path == Path.OUTPUT || p.iif == loopback_oif(w, p.l3num)) return 1;
  const paths = changetype<ReversePaths>(<usize>w.reverse);
  if (p.l3num == L3.IPV6) {
    if ((p.src_lo | p.src_hi) == 0) return 1;
    const found = path_from(paths.sources6, paths.sources6_count, be64(packet), be64(packet + 8));
    // A local source is not asked by which interface.
    if (found.type == AddrType.LOCAL) return (flags & RpfilterFlag.ACCEPT_LOCAL) != 0;
    return found.type == AddrType.UNICAST && fits(paths, found, p.iif, flags);
  }
  if (asks_for_address(packet)) return 1;
  const found = path_from(paths.sources4, paths.sources4_count, 0, be32(packet));
  if (found.type == AddrType.LOCAL && !(flags & RpfilterFlag.ACCEPT_LOCAL)) return 0;
  return (found.type == AddrType.UNICAST || found.type == AddrType.LOCAL) && fits(paths, found, p.iif, flags);
}

/** From nobody yet to everybody, or to a group of the link alone. */
function asks_for_address(packet: usize): bool {
  const target = be32(packet + offsetof<Packet>("dst_lo"));
  return load<u32>(packet) == 0 && (target == 0xffffffff || target >> 8 == 0xe00000);
}

function fits(paths: ReversePaths, found: ReversePath, iif: u32, flags: u32): bool {
  if (flags & RpfilterFlag.LOOSE) return true;
  return load<u8>(<usize>paths.sets + <usize>found.set * INTERFACES_MAX + iif) != 0;
}

/** The interval that an address lies in; the first one starts at address 0. */
function path_from(first: usize, count: u32, hi: u64, lo: u64): ReversePath {
  let at = first;
  let left = count;
  while (left > 1) {
    const half = left >> 1;
    const middle = at + <usize>half * offsetof<ReversePath>();
    const path = changetype<ReversePath>(middle);
    const reached = path.start_hi < hi || (path.start_hi == hi && path.start_lo <= lo);
    at = reached ? middle : at;
    left -= half;
  }
  return changetype<ReversePath>(at);
}
