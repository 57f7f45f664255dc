// How are the addresses and routes of the host laid out?

// Route4 / Route6: one interval of destination addresses, sorted by start; a lookup takes the last interval whose start
// is not above the address. Addresses as numbers (host order) so that they compare.
@unmanaged export class Route4 {
  start: u32;
  /** AddrType. */
  type: u8;
  pad: u8;
  /** Interface the route leaves by. */
  oif: u16;
}
if (offsetof<Route4>() != 8) ERROR("Route4 is 8 bytes");
/** Networks of 16 bits, each of which says where among the intervals to look: in most there is no more than one. */
export const NETWORKS4: u32 = 65536;

@unmanaged export class Route6 {
  start_hi: u64;
  start_lo: u64;
  type: u8;
  pad: u8;
  oif: u16;
  pad_1: u32;
}
if (offsetof<Route6>() != 24) ERROR("Route6 is 24 bytes");

// ReversePath: one interval of source addresses of either family, sorted by start (24 bytes)
@unmanaged export class ReversePath {
  start_hi: u64;
  start_lo: u64;
  /** Which of the sets of interfaces the way back leads by. */
  set: u32;
  /** AddrType. */
  type: u8;
  pad_0: u8;
  pad_1: u16;
}
if (offsetof<ReversePath>() != 24) ERROR("ReversePath is 24 bytes");

// ReversePaths: by which interfaces packets from an address may come (24 bytes)
@unmanaged export class ReversePaths {
  /** ReversePath[] of IPv4 and of IPv6. */
  sources4: u32;
  sources4_count: u32;
  sources6: u32;
  sources6_count: u32;
  /** u8[sets][INTERFACES_MAX]: 1 for the interfaces of a set. */
  sets: u32;
  pad: u32;
}
if (offsetof<ReversePaths>() != 24) ERROR("ReversePaths is 24 bytes");

// HostAddress: an address of the host, in the order of its interfaces (32 bytes, kernel: in_ifaddr, inet6_ifaddr)
@unmanaged export class HostAddress {
  lo: u64; // 0
  hi: u64;
  /** The other end of a point-to-point link, else the address itself (IPv4, wire order): its network is around this one. */
  peer: u32; // 16
  iface: u16;
  /** Bits of its network. */
  length: u8;
  /** Scope (IPv4: RT_SCOPE_*). */
  scope: u8;
  /** AddressFlag bits. */
  flags: u8; // 24
  pad_0: u8;
  pad_1: u16;
  pad_2: u32;
}
if (offsetof<HostAddress>() != 32) ERROR("HostAddress is 32 bytes");

// Gateway4: the next hop of an interval of IPv4 destinations, sorted by start (8 bytes)
@unmanaged export class Gateway4 {
  /** As a number. */
  start: u32;
  /** In wire order; 0 if the destinations are neighbours. */
  gateway: u32;
}
if (offsetof<Gateway4>() != 8) ERROR("Gateway4 is 8 bytes");
