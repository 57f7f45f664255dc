// GRE (RFC 2784) and enhanced GRE as PPTP uses it (RFC 2637 section 4.1): which key does connection tracking take?
//
// Only version 1 has one for the kernel, the call id; the key field of RFC 2890 is not looked at, so all version 0
// tunnels between two hosts are one flow. Kernel: gre_pkt_to_tuple() in nf_conntrack_proto_gre.c.

import { be16 } from "../bytes";

/** Flags, version and protocol; enhanced GRE goes on with payload length and call id. */
const GRE_ENHANCED_HEADER: u32 = 8;
const GRE_VERSION_MASK: u32 = 7;
const GRE_PROTOCOL_PPP: u32 = 0x880b;

/** Bytes of a GRE packet that its tuple is read from. */
// @ts-ignore: decorator
@inline export function gre_tuple_bytes(length: u32): u32 {
  return min(length, GRE_ENHANCED_HEADER);
}

/** Is it enhanced GRE (RFC 2637 section 4.1)? */
// @ts-ignore: decorator
@inline export function is_enhanced(l4: usize, length: u32): bool {
  return length >= GRE_ENHANCED_HEADER && (be16(l4) & GRE_VERSION_MASK) == 1;
}

export function gre_version(l4: usize): u32 {
  return be16(l4) & GRE_VERSION_MASK;
}

/** False for enhanced GRE that carries anything but PPP: it has no tuple. */
export function gre_has_tuple(l4: usize, length: u32): bool {
  return !is_enhanced(l4, length) || be16(l4 + 2) == GRE_PROTOCOL_PPP;
}

/** The destination key in wire order: the call id of enhanced GRE, else 0. */
export function gre_call_id(l4: usize, length: u32): u16 {
  return is_enhanced(l4, length) ? load<u16>(l4, 6) : 0;
}
