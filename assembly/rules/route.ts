// What rules ask of the routes: `-m addrtype`, and nft's fib expression (nft_fib_ipv4.c, nft_fib_ipv6.c).

import { be32 } from "../bytes";
import { Packet, World } from "../layout";
import { route_loops_back, route_lookup, route_types } from "../route";
import { AddrType, L3, Proto } from "../vocabulary";

/** Kinds of the address at `address` as bits by AddrType; `iface` limits local ones to that interface, 0 does not. */
export function rule_route_types(w: usize, l3num: u32, address: usize, iface: u32): u32 {
  return route_types(changetype<World>(w), l3num, address, iface);
}

/** The one type (AddrType) that nft's fib expression finds for the address at this offset of the packet. */
export function rule_fib_type(packet: usize, world: usize, offset: u32, iface: u32): u32 {
  const p = changetype<Packet>(packet);
  const types = route_types(changetype<World>(world), p.l3num, packet + offset, iface);
  if (p.l3num == L3.IPV4) return ctz(types);
  // What the routes say comes before what the address is by itself.
  if (types & (1 << AddrType.UNREACHABLE)) return AddrType.UNREACHABLE;
  if (types & (1 << AddrType.ANYCAST)) return AddrType.ANYCAST;
  if (types & (1 << AddrType.LOCAL)) return AddrType.LOCAL;
  if (types & (1 << AddrType.MULTICAST)) return AddrType.MULTICAST;
  return types & (1 << AddrType.UNICAST) ? AddrType.UNICAST : AddrType.UNSPEC;
}

/**
 * 1 if the routes lead to the packet's source (`source` is not 0) or destination: by this interface, or with 0 by any. What
 * arrives from the host itself, and what asks for an address, always passes.
 */
export function rule_fib_oif(packet: usize, world: usize, source: u32, iface: u32): u32 {
  const w = changetype<World>(world);
  const p = changetype<Packet>(packet);
  if (p.oif == 0 && route_loops_back(w, p)) return 1;
  const v6 = p.l3num == L3.IPV6;
  if (v6 ? asks_for_address6(p) : asks_for_address4(p)) return 1;
  const at = packet + (source ? offsetof<Packet>("src_lo") : offsetof<Packet>("dst_lo"));
  // Every interface leads to its own link-local addresses.
  if (v6 && (be32(at) >> 22) == 0x3fa) return 1;
  const found = route_lookup(w, p.l3num, at);
  const type = found >> 16;
  const oif = found & 0xffff;
  if (oif == 0 || type == AddrType.LOCAL || (v6 && type == AddrType.ANYCAST)) return 0;
  if (type == AddrType.UNSPEC || type >= <u32>AddrType.BLACKHOLE) return 0;
  return iface == 0 || oif == iface;
}

function asks_for_address4(p: Packet): bool {
  const target = be32(changetype<usize>(p) + offsetof<Packet>("dst_lo"));
  return (p.src_lo & 0xff) == 0 && (target == 0xffffffff || target >> 8 == 0xe00000);
}

/** Without an address of its own, to a link-local one. */
function asks_for_address6(p: Packet): bool {
  if (p.protonum != Proto.ICMPV6 || (p.src_lo | p.src_hi) != 0) return false;
  return be32(changetype<usize>(p) + offsetof<Packet>("dst_lo")) >> 22 == 0x3fa;
}
