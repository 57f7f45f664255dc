// Which IP options does Linux refuse? IPv4: __ip_options_compile() and ip_rcv_options(), after PREROUTING. IPv6:
// ipv6_parse_hopopts() and ip6_parse_tlv(), before it. RFC 791 section 3.1, RFC 8200 sections 4.2 and 4.3.

import { be32 } from "../bytes";

const IPV4_HEADER: u32 = 20;
const IPOPT_END: u32 = 0;
const IPOPT_NOOP: u32 = 1;
const IPOPT_RR: u32 = 7;
const IPOPT_TIMESTAMP: u32 = 68;
const IPOPT_LSRR: u32 = 131;
const IPOPT_CIPSO: u32 = 134;
const IPOPT_SSRR: u32 = 137;
const IPOPT_RA: u32 = 148;
const IPOPT_TS_TSANDADDR: u32 = 1;
const IPOPT_TS_PRESPEC: u32 = 3;

/** What is wrong with the options of an IPv4 header. */
export enum OptionFault {
  NONE = 0,
  MALFORMED = 1,
  /** They are well-formed and ask for a route (accept_source_route is 0). */
  SOURCE_ROUTE = 2,
}

/** Looks at the options of the IPv4 header at `l3`, all of which was captured. */
export function ipv4_options(l3: usize): OptionFault {
  const end = (<u32>load<u8>(l3) & 15) << 2;
  let at = IPV4_HEADER;
  let routes: u32 = 0;
  let records: u32 = 0;
  let stamps: u32 = 0;
  while (at < end) {
    const option = l3 + at;
    const kind = <u32>load<u8>(option);
    if (kind == IPOPT_END) break;
    if (kind == IPOPT_NOOP) {
      at++;
      continue;
    }
    const left = end - at;
    if (left < 2) return OptionFault.MALFORMED;
    const length = <u32>load<u8>(option, 1);
    if (length < 2 || length > left) return OptionFault.MALFORMED;
    if (kind == IPOPT_SSRR || kind == IPOPT_LSRR) {
      if (length < 3 || load<u8>(option, 2) < 4 || routes++ != 0) return OptionFault.MALFORMED;
    } else if (kind == IPOPT_RR) {
      if (records++ != 0 || length < 3 || !slot_fits(option, length, 4, 3)) return OptionFault.MALFORMED;
    } else if (kind == IPOPT_TIMESTAMP) {
      if (stamps++ != 0 || length < 4 || !timestamp_fits(option, length)) return OptionFault.MALFORMED;
    } else if (kind == IPOPT_RA) {
      if (length < 4) return OptionFault.MALFORMED;
    } else if (kind == IPOPT_CIPSO) {
      // Without a domain of interpretation that the host was told of, every such option is refused.
      return OptionFault.MALFORMED;
    }
    at += length;
  }
  return routes != 0 ? OptionFault.SOURCE_ROUTE : OptionFault.NONE;
}

/** The pointer of an option is `least` or more, and if it points into the option, `room` bytes follow it there. */
function slot_fits(option: usize, length: u32, least: u32, room: u32): bool {
  const pointer = <u32>load<u8>(option, 2);
  return pointer >= least && (pointer > length || pointer + room <= length);
}

function timestamp_fits(option: usize, length: u32): bool {
  const pointer = <u32>load<u8>(option, 2);
  const flags = <u32>load<u8>(option, 3);
  const flag = flags & 15;
  const wide = flag == IPOPT_TS_TSANDADDR || flag == IPOPT_TS_PRESPEC;
  if (!slot_fits(option, length, 5, wide ? 7 : 3)) return false;
  // A full option counts the hosts that found no room, up to 15.
  return pointer <= length || flag == IPOPT_TS_PRESPEC || flags >> 4 != 15;
}

const IPV6_HEADER: u32 = 40;
const TLV_PAD1: u32 = 0;
const TLV_PADN: u32 = 1;
const TLV_ROUTERALERT: u32 = 5;
const TLV_CALIPSO: u32 = 7;
const TLV_IOAM: u32 = 49;
const TLV_JUMBO: u32 = 194;
const IPV6_MAXPLEN: u32 = 0xffff;
/** Padding in a row, and options that are not padding (max_hbh_opts_number), in bytes and number. */
const PADDING_MAX: u32 = 7;
const OPTIONS_MAX: u32 = 8;

/** hop_by_hop(): the packet is dropped. */
export const HOP_BY_HOP_FAULT: u32 = 0;
/** hop_by_hop(): the packet goes on, and is as long as its headers say. */
export const HOP_BY_HOP_FINE: u32 = 1;

/**
 * Looks at the hop-by-hop options that follow the IPv6 header at `l3` and end at offset `end`, all of which were captured.
 * `wire` is the length of the packet on the wire, header included. Returns HOP_BY_HOP_FAULT, HOP_BY_HOP_FINE, or the
 * length that a jumbo payload option states, header included (always more than 65575).
 */
export function hop_by_hop(l3: usize, end: u32, wire: u32): u32 {
  let at = IPV6_HEADER + 2;
  let padding: u32 = 0;
  let options: u32 = 0;
  let answer = HOP_BY_HOP_FINE;
  while (at < end) {
    const option = l3 + at;
    const kind = <u32>load<u8>(option);
    if (kind == TLV_PAD1) {
      if (++padding > PADDING_MAX) return HOP_BY_HOP_FAULT;
      at++;
      continue;
    }
    if (end - at < 2) return HOP_BY_HOP_FAULT;
    const size = <u32>load<u8>(option, 1);
    if (size + 2 > end - at) return HOP_BY_HOP_FAULT;
    if (kind == TLV_PADN) {
      padding += size + 2;
      if (padding > PADDING_MAX) return HOP_BY_HOP_FAULT;
      for (let i: u32 = 0; i < size; i++) if (load<u8>(option + i, 2) != 0) return HOP_BY_HOP_FAULT;
    } else {
      if (++options > OPTIONS_MAX) return HOP_BY_HOP_FAULT;
      padding = 0;
      if (kind == TLV_ROUTERALERT) {
        if (size != 2) return HOP_BY_HOP_FAULT;
      } else if (kind == TLV_IOAM) {
        if (at & 3) return HOP_BY_HOP_FAULT;
      } else if (kind == TLV_JUMBO) {
        answer = jumbo(l3, at, size, wire);
        if (answer == HOP_BY_HOP_FAULT) return HOP_BY_HOP_FAULT;
      } else if (kind == TLV_CALIPSO) {
        // As for CIPSO: no host without a domain of interpretation lets it through.
        return HOP_BY_HOP_FAULT;
      } else if (kind >> 6 != 0) {
        // The two highest bits of an unknown option say what is to be done: 0 to pass over it.
        return HOP_BY_HOP_FAULT;
      }
    }
    at += size + 2;
  }
  return answer;
}

/** RFC 2675: four bytes, aligned to 4n + 2, more than 65535, and none in the IPv6 header; no more than there is. */
function jumbo(l3: usize, at: u32, size: u32, wire: u32): u32 {
  if (size != 4 || (at & 3) != 2) return HOP_BY_HOP_FAULT;
  const length = be32(l3 + at + 2);
  if (length <= IPV6_MAXPLEN || load<u16>(l3, 4) != 0 || length > wire - IPV6_HEADER) return HOP_BY_HOP_FAULT;
  return length + IPV6_HEADER;
}
