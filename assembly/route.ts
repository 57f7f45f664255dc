// Which hooks does a packet meet, by which interfaces, and does routing drop it on the way?
//
// The kernel decides in two places, and so do the two functions here:
//
//   route_path    before any hook: did the host send the packet itself (OUTPUT), or was it received, and where?
//   route_decide  received: after PREROUTING (ip_route_input_slow(), ip6_route_input(), then ip_forward() or
//                 ip6_forward() up to their FORWARD hook); own packets: before OUTPUT (ip_route_output_key_hash_rcu())
//
// A source address of the host's own is taken as its own sending; that such a packet was received (spoofed: IPv4 drops
// it as martian, IPv6 lets it pass) is not told from that. Without a topology (World.topology == 0) every packet is forwarded,
// between interfaces that only the capture can name.
//
// Not judged here, because no host file that is read so far decides it: reverse path filtering, policy routing,
// frames for another station's link-layer address, and the size of the outgoing link.

import { be32, be64 } from "./bytes";
import { Packet, Route4, Route6, World } from "./layout";
import { exceeds_mtu } from "./mtu";
import { sysctl } from "./sysctl";
import { AddrType, L3, PacketFlag, Path, PktType, Reason, Sysctl } from "./vocabulary";

const IPPROTO_IGMP: u32 = 2;
const LIMITED_BROADCAST: u32 = 0xffffffff;
const LOOPBACK4: u32 = 0x7f000001;

/**
 * The interval that an address lies in: AddrType << 16 | interface. `address` points to 4 or 16 bytes in wire order.
 * The interface is that of the route; for the host's own addresses and joined groups the one they belong to, 0 if
 * there are several.
 */
export function route_lookup(w: World, l3num: u32, address: usize): u32 {
  return l3num == L3.IPV6 ? lookup6(w, be64(address), be64(address + 8)) : lookup4(w, be32(address));
}

function lookup4(w: World, address: u32): u32 {
  if (w.networks4 == 0) return 0;
  const network: usize = w.networks4 + <usize>(address >> 16) * 4;
  const first = load<u32>(network);
  let count = load<u32>(network, 4) - first + 1;
  let at: usize = w.routes4 + <usize>first * offsetof<Route4>();
  while (count > 1) {
    const half = count >> 1;
    const middle = at + <usize>half * offsetof<Route4>();
    at = changetype<Route4>(middle).start <= address ? middle : at;
    count -= half;
  }
  const found = changetype<Route4>(at);
  return (<u32>found.type << 16) | found.oif;
}

function lookup6(w: World, hi: u64, lo: u64): u32 {
  let count = w.routes6_count;
  if (count == 0) return 0;
  let at: usize = w.routes6;
  while (count > 1) {
    const half = count >> 1;
    const middle = at + <usize>half * offsetof<Route6>();
    const route = changetype<Route6>(middle);
    const reached = route.start_hi < hi || (route.start_hi == hi && route.start_lo <= lo);
    at = reached ? middle : at;
    count -= half;
  }
  const found = changetype<Route6>(at);
  return (<u32>found.type << 16) | found.oif;
}

/** Sets path, iif and oif as far as they are known before the first hook. Expects the capture's interface in p.iif. */
// @ts-ignore: decorator
@inline export function route_path(p: Packet, w: World): void {
  p.oif = 0;
  p.path = <u8>Path.FORWARD;
  if (w.topology) find_path(p, w);
}

function find_path(p: Packet, w: World): void {
  const source = route_lookup(w, p.l3num, changetype<usize>(p));
  if ((source >> 16 == AddrType.LOCAL && !strays(p, source & 0xffff)) || is_nameless(p)) {
    // The capture's interface is the one it left by: a hint where the destination does not say (multicast).
    p.path = <u8>Path.OUTPUT;
    p.oif = p.iif;
    p.iif = 0;
    // Only what comes from a link is for more than one station to the kernel, whatever the address.
    p.pkttype = <u8>PktType.HOST;
    return;
  }
  if (p.iif == 0) p.iif = <u16>source;
  p.path = <u8>(delivered(destination(p, w) >> 16) ? Path.INPUT : Path.FORWARD);
}

/** What leaves without a source address: who has none yet asks for one (DHCP, duplicate address detection). */
// @ts-ignore: decorator
@inline export function is_nameless(p: Packet): bool {
  return (p.flags & PacketFlag.LEAVING) != 0 && (p.src_lo | p.src_hi) == 0;
}

/** A loopback source elsewhere than on loopback: no host sends that (__mkroute_output()), so it was received. */
// @ts-ignore: decorator
@inline function strays(p: Packet, loopback: u32): bool {
  return p.iif != 0 && p.iif != loopback && p.l3num == L3.IPV4 && load<u8>(changetype<usize>(p)) == 127;
}

/** Does a packet of the host's own go to the host itself, over loopback? Asked after routing. */
export function route_loops(p: Packet, w: World): bool {
  return w.topology != 0 && p.oif != 0 && p.oif == loopback_oif(w, p.l3num);
}

/** Does a received packet come from the host itself? */
export function route_loops_back(w: World, p: Packet): bool {
  return w.topology != 0 && p.iif != 0 && p.iif == loopback_oif(w, p.l3num);
}

/** The interface that 127.0.0.1 and ::1 belong to. */
export function loopback_oif(w: World, l3num: u32): u32 {
  return (l3num == L3.IPV6 ? lookup6(w, 0, 1) : lookup4(w, LOOPBACK4)) & 0xffff;
}

/** Is the destination the broadcast address of one of the host's networks, or nobody yet (from 0.0.0.0 to 0.0.0.0)? */
export function route_goes_to_all(p: Packet, w: World): bool {
  if (!w.topology) return false;
  if (p.l3num == L3.IPV4 && (p.src_lo | p.dst_lo) == 0) return true;
  return route_lookup(w, p.l3num, changetype<usize>(p) + offsetof<Packet>("dst_lo")) >> 16 == AddrType.BROADCAST;
}

/**
 * Does a copy of a packet of the host's own come back by the link it leaves by, because the host listens there, too? So
 * it is with broadcasts and joined groups (__mkroute_output(), ip6_finish_output2()), unless the sender has switched
 * IP_MULTICAST_LOOP off, which no capture shows.
 */
export function route_echoes(p: Packet, w: World): bool {
  if (!w.topology || route_loops(p, w)) return false;
  const target = changetype<usize>(p) + offsetof<Packet>("dst_lo");
  const type = here(route_lookup(w, p.l3num, target), p.oif) >> 16;
  return type == AddrType.BROADCAST || type == AddrType.MULTICAST;
}

/** Routes a packet: sets path and oif for good. NONE if it goes on to the next hook, else why it is dropped. */
// @ts-ignore: decorator
@inline export function route_decide(p: Packet, w: World): Reason {
  if (!w.topology && p.path == Path.FORWARD && p.l3num == L3.IPV4) return p.ttl <= 1 ? Reason.TTL_EXCEEDED : Reason.NONE;
  return decide(p, w);
}

function decide(p: Packet, w: World): Reason {
  if (!w.topology) {
    // The host's own answers go back to where the packet came from, but for link-local neighbours: nothing says that the
    // host has an address on their link.
    if (p.path == Path.OUTPUT) {
      const link_local = p.l3num == L3.IPV6 && is_link_local6(be64(changetype<usize>(p) + offsetof<Packet>("dst_lo")));
      return link_local ? Reason.NO_ROUTE : Reason.NONE;
    }
    if (p.ttl <= 1) return Reason.TTL_EXCEEDED;
    return p.l3num == L3.IPV6 && load<u8>(changetype<usize>(p), offsetof<Packet>("dst_lo")) != 0xff ? scope6(p) : Reason.NONE;
  }
  if (p.path == Path.OUTPUT) return decide_output(p, w);
  return p.l3num == L3.IPV6 ? decide6(p, w) : decide4(p, w);
}

/**
 * Where a received packet goes: AddrType << 16 | interface, with what depends on more than the destination address.
 * UNSPEC for groups that were not joined.
 */
function destination(p: Packet, w: World): u32 {
  const at = changetype<usize>(p) + offsetof<Packet>("dst_lo");
  if (p.l3num == L3.IPV4) {
    if (load<u32>(at) == 0 && load<u32>(changetype<usize>(p)) == 0) return <u32>AddrType.BROADCAST << 16;
    return here(lookup4(w, be32(at)), p.iif);
  }
  const hi = be64(at);
  const found = lookup6(w, hi, be64(at + 8));
  if (!is_link_local6(hi)) return here(found, p.iif);
  // A link-local address means the link that the packet came by (rt6_need_strict()): an own address of another link is
  // a neighbour there.
  const oif = found & 0xffff;
  if (found >> 16 == AddrType.LOCAL && oif != 0 && p.iif != 0 && oif != p.iif) return (<u32>AddrType.UNICAST << 16) | p.iif;
  return found >> 16 == AddrType.UNICAST && p.iif != 0 ? (<u32>AddrType.UNICAST << 16) | p.iif : found;
}

/** A group joined on one interface only is not joined on another. */
function here(found: u32, iif: u32): u32 {
  const joined = found & 0xffff;
  return found >> 16 == AddrType.MULTICAST && joined != 0 && iif != 0 && joined != iif ? 0 : found;
}

// @ts-ignore: decorator
@inline function delivered(type: u32): bool {
  return type == AddrType.LOCAL || type == AddrType.BROADCAST || type == AddrType.MULTICAST || type == AddrType.ANYCAST;
}

/** net/ipv4/route.c, ip_route_input_rcu() and ip_route_input_slow(); net/ipv4/ip_forward.c. */
function decide4(p: Packet, w: World): Reason {
  const source = be32(changetype<usize>(p));
  const target = be32(changetype<usize>(p) + offsetof<Packet>("dst_lo"));
  const found = destination(p, w);
  const type = found >> 16;
  if (is_multicast4(target)) {
    if (type != AddrType.MULTICAST) return Reason.NOT_FOR_US;
    return input(p, martian_to_group(p, source, target));
  }
  if (is_multicast4(source) || source == LIMITED_BROADCAST) return Reason.MARTIAN;
  if (target == LIMITED_BROADCAST || (source | target) == 0) return input(p, false);
  if (source == 0 || target == 0 || is_loopback4(source) || is_loopback4(target)) return Reason.MARTIAN;
  if (type == AddrType.LOCAL || type == AddrType.BROADCAST) return input(p, false);
  const unreachable = no_way(type);
  if (unreachable != Reason.NONE) return unreachable;
  // The kernel turns what is not for a host that does not forward into a silent "host unreachable".
  if (!sysctl(w, Sysctl.IP_FORWARD)) return Reason.NOT_FOR_US;
  if (type != AddrType.UNICAST) return Reason.MARTIAN;
  // Out by the way it came in: only then, with rp_filter off, the source is looked up (fib_validate_source()).
  const oif = found & 0xffff;
  if (oif == p.iif && oif != 0 && lookup4(w, source) >> 16 == AddrType.BROADCAST) return Reason.MARTIAN;
  return forward_fitting(p, w, oif);
}

/** ip_mc_validate_source(). */
function martian_to_group(p: Packet, source: u32, group: u32): bool {
  if (is_multicast4(source) || source == LIMITED_BROADCAST || is_loopback4(source)) return true;
  const link_local_group = group >> 8 == 0xe00000;
  return source == 0 && !link_local_group && p.protonum != IPPROTO_IGMP;
}

/** net/ipv6/ip6_input.c, net/ipv6/ip6_output.c ip6_forward(). Sources that no stack accepts are dropped by decode. */
function decide6(p: Packet, w: World): Reason {
  const at = changetype<usize>(p);
  const found = destination(p, w);
  const type = found >> 16;
  if (load<u8>(at, offsetof<Packet>("dst_lo")) == 0xff) {
    return type == AddrType.MULTICAST ? input(p, false) : Reason.NOT_FOR_US;
  }
  if (type == AddrType.LOCAL || type == AddrType.ANYCAST) return input(p, false);
  const unreachable = no_way(type);
  if (unreachable != Reason.NONE) return unreachable;
  if (!sysctl(w, Sysctl.IPV6_FORWARDING)) return Reason.NOT_FOR_US;
  const oif = found & 0xffff;
  const reason = forward(p, oif);
  if (reason != Reason.NONE) return reason;
  const beyond = oif == p.iif && oif != 0 ? Reason.NONE : scope6(p);
  return beyond != Reason.NONE ? beyond : exceeds_mtu(w, p, p.ip_len, p.l3) ? Reason.MTU_EXCEEDED : Reason.NONE;
}

/** Between links, a source must mean something on the other one. A link-local destination is on the link of arrival. */
function scope6(p: Packet): Reason {
  const at = changetype<usize>(p);
  if (is_link_local6(be64(at + offsetof<Packet>("dst_lo")))) return Reason.NONE;
  const hi = be64(at);
  if (is_link_local6(hi)) return Reason.BEYOND_SCOPE;
  return hi == 0 && load<u64>(at, 8) == 0 ? Reason.MARTIAN : Reason.NONE;
}

/** ip_local_deliver(): the INPUT hook comes next. */
function input(p: Packet, martian: bool): Reason {
  if (martian) return Reason.MARTIAN;
  p.path = <u8>Path.INPUT;
  p.oif = 0;
  return Reason.NONE;
}

/** ip_forward(), ip6_forward(): what both check before the FORWARD hook. */
function forward(p: Packet, oif: u32): Reason {
  // A frame for every station of a link is not forwarded. Frames for one other station cannot be told from those for
  // the host, whose link-layer addresses are not known here.
  if (p.pkttype == PktType.BROADCAST || p.pkttype == PktType.MULTICAST) return Reason.NOT_FOR_US;
  if (p.ttl <= 1) return Reason.TTL_EXCEEDED;
  p.path = <u8>Path.FORWARD;
  p.oif = <u16>oif;
  return Reason.NONE;
}

function forward_fitting(p: Packet, w: World, oif: u32): Reason {
  const reason = forward(p, oif);
  return reason == Reason.NONE && exceeds_mtu(w, p, p.ip_len, p.l3) ? Reason.MTU_EXCEEDED : reason;
}

/** Why routes of this type lead nowhere, NONE for those that lead somewhere. */
function no_way(type: u32): Reason {
  switch (type) {
    case AddrType.UNSPEC: return Reason.NO_ROUTE;
    case AddrType.BLACKHOLE: return Reason.ROUTE_BLACKHOLE;
    case AddrType.UNREACHABLE: return Reason.ROUTE_UNREACHABLE;
    case AddrType.PROHIBIT: return Reason.ROUTE_PROHIBIT;
    default: return Reason.NONE;
  }
}

/**
 * The way out of a packet of the host's own: the route's interface. Where the destination alone does not say (groups,
 * 255.255.255.255, link-local neighbours, no route at all) the sender named the interface, which is the one that the
 * capture saw; without it groups leave by the interface of the source address (ip_route_output_key_hash_rcu()).
 */
function decide_output(p: Packet, w: World): Reason {
  const source = changetype<usize>(p);
  const target = source + offsetof<Packet>("dst_lo");
  const v6 = p.l3num == L3.IPV6;
  const seen: u32 = p.oif;
  const found = route_lookup(w, p.l3num, target);
  const type = found >> 16;
  const loopback = loopback_oif(w, p.l3num);
  if (type == AddrType.LOCAL || (type == AddrType.ANYCAST && v6)) {
    // A link-local address of another link's is a neighbour on the one that the sender named.
    const owner = found & 0xffff;
    const neighbour = v6 && is_link_local6(be64(target)) && seen != 0 && seen != loopback && owner != 0 && owner != seen;
    if (!neighbour) p.oif = <u16>loopback;
    return Reason.NONE;
  }
  const everywhere = v6 ? load<u8>(target) == 0xff : is_multicast4(be32(target)) || be32(target) == LIMITED_BROADCAST;
  if (everywhere) {
    if (seen == 0) p.oif = <u16>route_lookup(w, p.l3num, source);
    return Reason.NONE;
  }
  if (v6 && is_link_local6(be64(target)) && seen != 0) return Reason.NONE;
  const reason = no_way(type);
  if (reason == Reason.NO_ROUTE && seen != 0) return Reason.NONE;
  if ((found & 0xffff) != 0) p.oif = <u16>found;
  return reason;
}

// @ts-ignore: decorator
@inline function is_multicast4(address: u32): bool {
  return address >> 28 == 14;
}

// @ts-ignore: decorator
@inline function is_loopback4(address: u32): bool {
  return address >> 24 == 127;
}

// @ts-ignore: decorator
@inline function is_link_local6(hi: u64): bool {
  return hi >> 54 == 0x3fa;
}

/**
 * Which of AddrType's kinds an address is to `-m addrtype`, as bits (1 << AddrType); `address` as for route_lookup().
 * `iface` is the interface of --limit-iface-in or -out, 0 without.
 *
 * IPv4 (inet_dev_addr_type()): exactly one bit, and only the local table counts: an address without a route, or with a
 * blackhole route, is UNICAST. IPv6 (match_type6()): what the address is by itself (UNICAST, MULTICAST or UNSPEC for
 * `::`) and what routing says of it (LOCAL, ANYCAST, UNREACHABLE); the kernel wants every asked bit of the first three,
 * and any asked bit of the others.
 */
export function route_types(w: World, l3num: u32, address: usize, iface: u32): u32 {
  const found = route_lookup(w, l3num, address);
  const type = found >> 16;
  const oif = found & 0xffff;
  const on_iface = iface == 0 || oif == 0 || oif == iface;
  if (l3num == L3.IPV4) {
    const number = be32(address);
    if (number == 0 || number == LIMITED_BROADCAST) return 1 << AddrType.BROADCAST;
    if (is_multicast4(number)) return 1 << AddrType.MULTICAST;
    const local = type == AddrType.LOCAL || type == AddrType.BROADCAST || type == AddrType.ANYCAST;
    return local && on_iface ? 1 << type : 1 << AddrType.UNICAST;
  }
  let bits: u32 = 1 << AddrType.UNICAST;
  if (load<u8>(address) == 0xff) return 1 << AddrType.MULTICAST;
  if (load<u64>(address) == 0 && load<u64>(address, 8) == 0) bits = 1 << AddrType.UNSPEC;
  // IPv4-mapped addresses are of no kind (__ipv6_addr_type()).
  if (load<u64>(address) == 0 && be32(address + 8) == 0xffff) bits = 0;
  if (type == AddrType.LOCAL) return on_iface ? bits | (1 << AddrType.LOCAL) : bits;
  if (type == AddrType.ANYCAST) return bits | (1 << AddrType.ANYCAST);
  return w.topology && no_way(type) != Reason.NONE ? bits | (1 << AddrType.UNREACHABLE) : bits;
}
