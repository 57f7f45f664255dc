// Which of its addresses does the host give to a flow that leaves by an interface (MASQUERADE), or take in for one that
// came by it (REDIRECT)?
//
// Kernel: net/netfilter/nf_nat_masquerade.c and nf_nat_redirect.c; inet_select_addr() in net/ipv4/devinet.c,
// ipv6_dev_get_saddr() in net/ipv6/addrconf.c (RFC 6724 section 5, with the kernel's labels of net/ipv6/addrlabel.c).

import { be32, be64 } from "./bytes";
import { Gateway4, HostAddress, Nat, Packet } from "./layout";
import { AddressFlag } from "./vocabulary";

const SCOPE_GLOBAL4: u8 = 0;

/** Scopes of RFC 4007 (multicast numbering). */
const SCOPE_LINK_LOCAL: u32 = 2;
const SCOPE_SITE_LOCAL: u32 = 5;
const SCOPE_GLOBAL: u32 = 14;

// @ts-ignore: decorator
@inline function at4(n: Nat, i: u32): HostAddress {
  return changetype<HostAddress>(<usize>n.addresses4 + <usize>i * offsetof<HostAddress>());
}

// @ts-ignore: decorator
@inline function at6(n: Nat, i: u32): HostAddress {
  return changetype<HostAddress>(<usize>n.addresses6 + <usize>i * offsetof<HostAddress>());
}

/** The next hop to an IPv4 destination, in wire order. */
function next_hop4(n: Nat, target: usize): u32 {
  const address = be32(target);
  let gateway: u32 = 0;
  let low: u32 = 0;
  let high = n.gateways4_count;
  while (low < high) {
    const middle = (low + high) >> 1;
    const found = changetype<Gateway4>(<usize>n.gateways4 + <usize>middle * offsetof<Gateway4>());
    if (found.start <= address) {
      gateway = found.gateway;
      low = middle + 1;
    } else high = middle;
  }
  return gateway ? gateway : load<u32>(target);
}

function same_network(a: u32, address: HostAddress): bool {
  const length: u32 = address.length;
  return length == 0 || bswap<u32>(a ^ address.peer) >> (32 - length) == 0;
}

/**
 * The address for packets that leave by p.oif; 0 if the host has none. The first primary one, but rather that of the next
 * hop's network; an interface without addresses borrows one.
 */
export function masquerade_address4(n: Nat, p: Packet): HostAddress {
  const hop = next_hop4(n, changetype<usize>(p) + offsetof<Packet>("dst_lo"));
  let first: usize = 0;
  let borrowed: usize = 0;
  for (let i: u32 = 0; i < n.addresses4_count; i++) {
    const address = at4(n, i);
    if (address.flags & AddressFlag.SECONDARY || address.scope > SCOPE_GLOBAL4) continue;
    if (borrowed == 0) borrowed = changetype<usize>(address);
    if (address.iface != p.oif) continue;
    if (same_network(hop, address)) return address;
    if (first == 0) first = changetype<usize>(address);
  }
  return changetype<HostAddress>(p.oif ? (first ? first : borrowed) : 0);
}

/** The address that a redirected packet of IPv4 is sent to: the first of the interface. */
export function redirect_address4(n: Nat, p: Packet): HostAddress {
  for (let i: u32 = 0; i < n.addresses4_count; i++) if (at4(n, i).iface == p.iif && p.iif) return at4(n, i);
  return changetype<HostAddress>(0);
}

/** The address that a redirected packet of IPv6 is sent to: the first of the interface that reaches as far as the target. */
export function redirect_address6(n: Nat, p: Packet): HostAddress {
  const wanted = scope6(changetype<usize>(p) + offsetof<Packet>("dst_lo"));
  for (let i: u32 = 0; i < n.addresses6_count; i++) {
    const address = at6(n, i);
    if (address.iface != p.iif || p.iif == 0 || is_mapped(changetype<usize>(address))) continue;
    if (wanted == SCOPE_GLOBAL || wanted == scope6(changetype<usize>(address))) return address;
  }
  return changetype<HostAddress>(0);
}

function is_mapped(at: usize): bool {
  return load<u64>(at) == 0 && be32(at + 8) == 0xffff;
}

/** How far an address reaches. */
function scope6(at: usize): u32 {
  const head = be32(at);
  if (head >> 24 == 0xff) return (head >> 16) & 15;
  if (head >> 22 == 0x3fa) return SCOPE_LINK_LOCAL;
  if (head >> 22 == 0x3fb) return SCOPE_SITE_LOCAL;
  return load<u64>(at) == 0 && be64(at + 8) == 1 ? SCOPE_LINK_LOCAL : SCOPE_GLOBAL;
}

/** The label of an address: source and destination should have the same. */
function label6(at: usize): u32 {
  const head = be32(at);
  if (load<u64>(at) == 0) {
    if (be64(at + 8) == 1) return 0;
    if (be32(at + 8) == 0) return 3;
    if (be32(at + 8) == 0xffff) return 4;
  }
  if (head >> 4 == 0x2001001) return 7;
  if (head == 0x20010000) return 6;
  if (head >> 16 == 0x3ffe) return 12;
  if (head >> 16 == 0x2002) return 2;
  if (head >> 22 == 0x3fb) return 11;
  return head >> 25 == 0x7e ? 5 : 1;
}

/** Leading bits that two addresses have in common. */
function common_bits(a: usize, b: usize): u32 {
  const high = be64(a) ^ be64(b);
  if (high) return <u32>clz<u64>(high);
  const low = be64(a + 8) ^ be64(b + 8);
  return low ? 64 + <u32>clz<u64>(low) : 128;
}

const RULES: u32 = 8;

/** How good an address is by one rule of RFC 6724 section 5; more is better. */
function merit(rule: u32, address: HostAddress, target: usize, oif: u32): i32 {
  const at = changetype<usize>(address);
  switch (rule) {
    case 0:
      return load<u64>(at) == load<u64>(target) && load<u64>(at, 8) == load<u64>(target, 8) ? 1 : 0;
    case 1: {
      const own = <i32>scope6(at);
      return own >= <i32>scope6(target) ? -own : own - 128;
    }
    case 2:
      return address.flags & AddressFlag.DEPRECATED ? 0 : 1;
    case 3:
      return address.iface == oif ? 1 : 0;
    case 4:
      return label6(at) == label6(target) ? 1 : 0;
    case 5:
      return address.flags & AddressFlag.TEMPORARY ? 0 : 1;
    case 6:
      return (be32(at) >> 4 == 0x2001001) == (be32(target) >> 4 == 0x2001001) ? 1 : 0;
    default:
      return <i32>min<u32>(common_bits(at, target), address.length);
  }
}

/** The address for IPv6 packets that leave by p.oif; 0 if the host has none. */
export function masquerade_address6(n: Nat, p: Packet): HostAddress {
  const target = changetype<usize>(p) + offsetof<Packet>("dst_lo");
  const near = load<u8>(target) == 0xff || scope6(target) <= SCOPE_LINK_LOCAL;
  let best: usize = 0;
  for (let i: u32 = 0; i < n.addresses6_count && p.oif; i++) {
    const address = at6(n, i);
    if (near && address.iface != p.oif) continue;
    if (best == 0 || is_better(address, changetype<HostAddress>(best), target, p.oif)) best = changetype<usize>(address);
  }
  return changetype<HostAddress>(best);
}

function is_better(a: HostAddress, b: HostAddress, target: usize, oif: u32): bool {
  for (let rule: u32 = 0; rule < RULES; rule++) {
    const difference = merit(rule, a, target, oif) - merit(rule, b, target, oif);
    if (difference != 0) return difference > 0;
  }
  return false;
}
