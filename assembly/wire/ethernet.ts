// Link layers: where does the IP packet start in a captured frame, and how was it addressed?
//
// One function per link type would repeat the ethertype walk, so there is one walk (VLAN tags, PPPoE) and a switch on
// how each link type leads to it. Results come back in the Link scratch record.

import { be16 } from "../bytes";
import { PktType } from "../vocabulary";

/** Link types (https://www.tcpdump.org/linktypes.html). */
export const LINK_NULL: u32 = 0;
export const LINK_ETHERNET: u32 = 1;
export const LINK_RAW_BSD: u32 = 12;
export const LINK_RAW_OPENBSD: u32 = 14;
export const LINK_RAW: u32 = 101;
export const LINK_LOOP: u32 = 108;
export const LINK_LINUX_SLL: u32 = 113;
export const LINK_IPV4: u32 = 228;
export const LINK_IPV6: u32 = 229;
export const LINK_LINUX_SLL2: u32 = 276;

export const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_VLAN: u32 = 0x8100;
export const ETHERTYPE_IPV6: u32 = 0x86dd;
const ETHERTYPE_QINQ: u32 = 0x88a8;
const ETHERTYPE_QINQ_OLD: u32 = 0x9100;
const ETHERTYPE_PPPOE_SESSION: u32 = 0x8864;
const PPP_IPV4: u32 = 0x0021;
const PPP_IPV6: u32 = 0x0057;

/** ethertype when the frame is too short to have one. */
export const ETHERTYPE_CUT: u32 = 0xffffffff;
/** ethertype when the link type is not known. */
export const ETHERTYPE_NO_LINK: u32 = 0xfffffffe;

/** Packet types of cooked captures (LINUX_SLL): sent by the capturing host. */
const SLL_OUTGOING: u32 = 4;

/**
 * Finds the network header. Returns offset << 32 | ethertype: the offset of the first byte behind all link headers and
 * the ethertype that says what it is (ETHERTYPE_CUT when the captured bytes end before that).
 */
export function link_payload(link: u32, data: usize, caplen: u32): u64 {
  switch (link) {
    case LINK_ETHERNET:
      return ethertype_walk(data, caplen, 12);
    case LINK_LINUX_SLL:
      return ethertype_walk(data, caplen, 14);
    case LINK_LINUX_SLL2:
      if (caplen < 20) return ETHERTYPE_CUT;
      return ethertype_after(data, caplen, 20, be16(data));
    case LINK_NULL:
    case LINK_LOOP:
      return null_family(data, caplen);
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
      return ip_version(data, caplen);
    default:
      return ETHERTYPE_NO_LINK;
  }
}

/** How the frame was addressed (PktType); HOST where the link layer does not say. */
export function link_pkttype(link: u32, data: usize): u32 {
  if (link == LINK_ETHERNET) {
    if (load<u32>(data) == 0xffffffff && load<u16>(data, 4) == 0xffff) return PktType.BROADCAST;
    return load<u8>(data) & 1 ? PktType.MULTICAST : PktType.HOST;
  }
  if (link == LINK_LINUX_SLL) return cooked_pkttype(be16(data));
  if (link == LINK_LINUX_SLL2) return cooked_pkttype(<u32>load<u8>(data, 10));
  return PktType.HOST;
}

/** Direction that a cooked header states: 1 in, 2 out, 0 for other link types. */
export function link_direction(link: u32, data: usize): u32 {
  if (link == LINK_LINUX_SLL) return be16(data) == SLL_OUTGOING ? 2 : 1;
  if (link == LINK_LINUX_SLL2) return load<u8>(data, 10) == SLL_OUTGOING ? 2 : 1;
  return 0;
}

function cooked_pkttype(type: u32): u32 {
  // Types 0 to 3 of cooked captures are PACKET_HOST, _BROADCAST, _MULTICAST, _OTHERHOST; outgoing ones have no such type.
  return type <= 3 ? type : <u32>PktType.HOST;
}

/** `at` is the offset of an ethertype field: skips any stack of VLAN tags and a PPPoE session header. */
function ethertype_walk(data: usize, caplen: u32, at: u32): u64 {
  if (caplen < at + 2) return ETHERTYPE_CUT;
  return ethertype_after(data, caplen, at + 2, be16(data + at));
}

/** `offset` is where what `type` names begins. */
function ethertype_after(data: usize, caplen: u32, start: u32, first: u32): u64 {
  let offset = start;
  let type = first;
  while (type == ETHERTYPE_VLAN || type == ETHERTYPE_QINQ || type == ETHERTYPE_QINQ_OLD) {
    if (caplen < offset + 4) return ETHERTYPE_CUT;
    type = be16(data + offset + 2);
    offset += 4;
  }
  if (type == ETHERTYPE_PPPOE_SESSION) {
    // RFC 2516: version/type, code, session, length, then the PPP protocol.
    if (caplen < offset + 8) return ETHERTYPE_CUT;
    const protocol = be16(data + offset + 6);
    offset += 8;
    type = protocol == PPP_IPV4 ? ETHERTYPE_IPV4 : protocol == PPP_IPV6 ? ETHERTYPE_IPV6 : 0;
  }
  return ((<u64>offset) << 32) | type;
}

/** NULL and LOOP: an address family in either byte order; 24, 28 and 30 are AF_INET6 of the BSDs, 10 of Linux. */
function null_family(data: usize, caplen: u32): u64 {
  if (caplen < 4) return ETHERTYPE_CUT;
  const word = load<u32>(data);
  const family = word & 0xffff ? word : bswap<u32>(word);
  const offset: u64 = (<u64>4) << 32;
  if (family == 2) return offset | ETHERTYPE_IPV4;
  if (family == 24 || family == 28 || family == 30 || family == 10) return offset | ETHERTYPE_IPV6;
  return offset;
}

function ip_version(data: usize, caplen: u32): u64 {
  if (caplen < 1) return ETHERTYPE_CUT;
  const version = load<u8>(data) >> 4;
  return version == 4 ? ETHERTYPE_IPV4 : version == 6 ? ETHERTYPE_IPV6 : 0;
}
