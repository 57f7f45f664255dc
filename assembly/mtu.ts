// Does a forwarded packet fit through the link that it leaves by, and if it does not, may it be cut into fragments?
// Kernel: ip_exceeds_mtu() (net/ipv4/ip_forward.c), ip_fragment(), ip6_pkt_too_big(), ip6_fragment().
//
// A packet that is longer than its way in carries was merged from several by the network card or its driver (GRO), and is cut
// into these again: it fits. Path MTUs that were learned, and those of single routes, are not known.

import { be16 } from "./bytes";
import { Assembled, ASSEMBLED_ROOM, Packet, World } from "./layout";
import { L3, PacketFlag } from "./vocabulary";

const IP_DF: u32 = 0x4000;
const IPV4_MAX: u32 = 65535;
const IPV6_MIN_MTU: u32 = 1280;

// @ts-ignore: decorator
@inline export function mtu_of(w: World, iface: u32): u32 {
  return load<u32>(<usize>w.mtus + <usize>iface * 4);
}

/**
 * Is the packet to be answered by "too big", rather than sent? It came with the length `received`, and what it came as is at
 * `l3`: a helper may have rewritten it since.
 */
export function exceeds_mtu(w: World, p: Packet, received: u32, l3: usize): bool {
  if (w.mtus == 0) return false;
  const known = mtu_of(w, p.oif);
  const v6 = p.l3num == L3.IPV6;
  const mtu = v6 ? max(known, IPV6_MIN_MTU) : min(known, IPV4_MAX);
  if (known == 0 || p.ip_len <= mtu || p.flags & PacketFlag.LEAVING) return false;
  if (!v6 && !(be16(p.l3 + 6) & IP_DF)) return false;
  if (p.flags & PacketFlag.REASSEMBLED) return largest_fragment(l3) > mtu;
  const way_in = mtu_of(w, p.iif);
  return way_in == 0 || received <= way_in;
}

/** The largest fragment that the packet came in (frag_max_size). */
function largest_fragment(l3: usize): u32 {
  const assembled = changetype<Assembled>(l3 - ASSEMBLED_ROOM);
  return max(assembled.max_size, assembled.max_df_size);
}
