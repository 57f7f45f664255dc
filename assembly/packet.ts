// Decode: captured bytes -> Packet record, or a reason why the packet is not judged. All lengths are checked here, so
// that trackers and rules may load header fields without looking again.
//
// What is checked is what Linux checks before netfilter sees a packet (net/ipv4/ip_input.c, net/ipv6/ip6_input.c).
// Lengths come from the IP header: a packet that the capture cut short counts as whole, as long as its headers are
// there to decide by.

import { be16, copy16 } from "./bytes";
import { Packet, Record, Tuple } from "./layout";
import { UDPLITE_HEADER, udplite_coverage } from "./track/udplite";
import { has_ports, tuple_hash, tuple_invert } from "./tuple";
import { Checksums, L3, PacketFlag, Proto, Reason, Verdict } from "./vocabulary";
import { fold, pseudo_sum, sum_bytes, sums_right } from "./wire/checksum";
import {
  ETHERTYPE_CUT, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_NO_LINK, LINK_ETHERNET, link_payload, link_pkttype,
} from "./wire/ethernet";
import { gre_call_id, gre_has_tuple, gre_tuple_bytes } from "./wire/gre";
import { ICMP_HEADER, ICMPV6_REDIRECT, icmp_is_error, icmpv6_is_error } from "./wire/icmp";
import { HOP_BY_HOP_FAULT, HOP_BY_HOP_FINE, hop_by_hop } from "./wire/ip-options";
import { SCTP_HEADER, sctp_checksum_right, sctp_chunks_captured } from "./wire/sctp";
import { is_plain_ack, TCP_HEADER_MIN, tcp_flags, tcp_header_length } from "./wire/tcp";

const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;
const FRAGMENT_OFFSET_AND_MORE: u32 = 0x3fff;
const FRAGMENT_OFFSET: u32 = 0x1fff;

// IPv6 extension headers (RFC 8200 section 4; IANA).
const NEXT_HOP_BY_HOP: u32 = 0;
const NEXT_ROUTING: u32 = 43;
const NEXT_FRAGMENT: u32 = 44;
const NEXT_AUTH: u32 = 51;
const NEXT_NONE: u32 = 59;
const NEXT_DESTINATION: u32 = 60;

// ICMPv6 redirect: header, target and destination; then the option that holds the redirected packet behind 8 bytes.
const REDIRECT_HEADER: u32 = 40;
const REDIRECT_QUOTE: u32 = 48;
const ND_OPT_REDIRECTED_HEADER: u32 = 4;

/** Fills `p` from `record`. Returns true if the packet goes on to tracking, false if it stays unjudged (p.reason). */
export function decode(p: Packet, record: Record, checksums: u32): bool {
  clear(p);
  p.clock = record.clock;
  p.iif = record.iface;
  const reason = decode_frame(p, record, checksums);
  assert(p.l4_captured <= p.l4_len && p.l4_len <= p.ip_len, "lengths nest");
  if (reason == Reason.NONE) return true;
  p.reason = <u8>reason;
  p.verdict = <u8>Verdict.NONE;
  return false;
}

export function clear(p: Packet): void {
  const at = changetype<usize>(p);
  const zero = i64x2.splat(0);
  v128.store(at, zero);
  v128.store(at, zero, 16);
  v128.store(at, zero, 32);
  v128.store(at, zero, 48);
  v128.store(at, zero, 64);
  v128.store(at, zero, 80);
  v128.store(at, zero, 96);
  v128.store(at, zero, 112);
  p.rule = 0xffffffff;
}

function decode_frame(p: Packet, record: Record, checksums: u32): Reason {
  const link: u32 = record.link;
  const data: usize = record.data;
  const found = link_payload(link, data, record.caplen);
  const ethertype = <u32>found;
  const offset = <u32>(found >> 32);
  if (ethertype == ETHERTYPE_CUT) return record.len > record.caplen ? Reason.CUT_SHORT : Reason.NOT_IP;
  if (ethertype == ETHERTYPE_NO_LINK) return Reason.UNKNOWN_LINK_HEADER;
  p.pkttype = <u8>link_pkttype(link, data);
  if (link == LINK_ETHERNET) p.mac = <u32>data;
  // The wire may be longer than the packet (padding, frame check sequence), never shorter.
  const trailer: u32 = record.fcs;
  const captured = record.caplen - offset;
  const wire = record.len > offset + trailer ? record.len - offset - trailer : 0;
  if (ethertype == ETHERTYPE_IPV4) return decode_ipv4(p, data + offset, captured, wire, checksums);
  if (ethertype == ETHERTYPE_IPV6) return decode_ipv6(p, data + offset, captured, wire, checksums, false);
  return Reason.NOT_IP;
}

/** RFC 791; ip_rcv_core(). */
export function decode_ipv4(p: Packet, l3: usize, captured: u32, wire: u32, checksums: u32): Reason {
  if (captured < IPV4_HEADER) return wire < IPV4_HEADER ? Reason.BAD_IP_HEADER : Reason.CUT_SHORT;
  const version_ihl = <u32>load<u8>(l3);
  const header = (version_ihl & 15) << 2;
  if (version_ihl >> 4 != 4 || header < IPV4_HEADER || header > wire) return Reason.BAD_IP_HEADER;
  if (header > captured) return Reason.CUT_SHORT;
  if (checksums != Checksums.IGNORE && !sums_right(header_sum(l3, header))) {
    if (checksums != Checksums.AUTO || load<u16>(l3, 10) != 0) return Reason.BAD_IP_CHECKSUM;
    p.flags |= <u16>PacketFlag.OFFLOADED;
  }
  let length = be16(l3 + 2);
  // A zero length is a segment that the sending host left to its network card to cut (TSO).
  if (length == 0 && checksums != Checksums.VERIFY) length = wire;
  if (length < header) return Reason.BAD_IP_HEADER;
  if (length > wire) return Reason.IP_TRUNCATED;

  store<u32>(changetype<usize>(p), load<u32>(l3, 12), offsetof<Packet>("src_lo"));
  store<u32>(changetype<usize>(p), load<u32>(l3, 16), offsetof<Packet>("dst_lo"));
  p.l3num = <u8>L3.IPV4;
  p.protonum = load<u8>(l3, 9);
  p.l3 = <u32>l3;
  p.ip_len = length;
  p.ttl = load<u8>(l3, 8);
  p.tos = load<u8>(l3, 1);
  p.l4 = <u32>(l3 + header);
  p.l4_len = length - header;
  p.l4_captured = min(captured, length) - header;
  if (header > IPV4_HEADER) p.flags |= <u16>PacketFlag.IP_OPTIONS;
  const fragment = be16(l3 + 6);
  if (fragment & FRAGMENT_OFFSET_AND_MORE) {
    p.flags |= <u16>(fragment & FRAGMENT_OFFSET ? PacketFlag.FRAGMENT | PacketFlag.LATER_FRAGMENT : PacketFlag.FRAGMENT);
    return Reason.FRAGMENT_PENDING;
  }
  return decode_transport(p, checksums);
}

/** A header without options, the usual one, is five words. */
// @ts-ignore: decorator
@inline function header_sum(l3: usize, header: u32): u64 {
  if (header != IPV4_HEADER) return sum_bytes(l3, header);
  return <u64>load<u32>(l3) + load<u32>(l3, 4) + load<u32>(l3, 8) + load<u32>(l3, 12) + load<u32>(l3, 16);
}

/**
 * RFC 8200; ip6_rcv_core(), ipv6_skip_exthdr(). `whole`: a packet that reassembly is done with; a fragment header in it
 * is walked over like any other extension header.
 */
export function decode_ipv6(p: Packet, l3: usize, captured: u32, wire: u32, checksums: u32, whole: bool): Reason {
  if (captured < IPV6_HEADER) return wire < IPV6_HEADER ? Reason.BAD_IP_HEADER : Reason.CUT_SHORT;
  if (load<u8>(l3) >> 4 != 6) return Reason.BAD_IP_HEADER;
  let next = <u32>load<u8>(l3, 6);
  const payload = be16(l3 + 4);
  // Zero is a jumbogram, or a segment left to the network card to cut.
  const unsized = payload == 0 && (next == NEXT_HOP_BY_HOP || checksums != Checksums.VERIFY);
  let length = unsized ? wire : payload + IPV6_HEADER;
  if (length > wire) return Reason.IP_TRUNCATED;
  copy16(changetype<usize>(p), l3 + 8);
  copy16(changetype<usize>(p) + 16, l3 + 24);
  if (!ipv6_addresses_sane(l3)) return Reason.MARTIAN_ADDRESS;
  if (next == NEXT_HOP_BY_HOP) {
    if (length < IPV6_HEADER + 8) return Reason.HOP_BY_HOP;
    if (captured < IPV6_HEADER + 8) return Reason.CUT_SHORT;
    const options_end = IPV6_HEADER + ((<u32>load<u8>(l3, IPV6_HEADER + 1) + 1) << 3);
    if (options_end > length) return Reason.HOP_BY_HOP;
    if (options_end > captured) return Reason.CUT_SHORT;
    const found = hop_by_hop(l3, options_end, length);
    if (found == HOP_BY_HOP_FAULT) return Reason.HOP_BY_HOP;
    if (found != HOP_BY_HOP_FINE) length = found;
  }

  p.l3num = <u8>L3.IPV6;
  p.l3 = <u32>l3;
  p.ip_len = length;
  p.ttl = load<u8>(l3, 7);
  p.tos = <u8>(be16(l3) >> 4);
  const end = min(captured, length);
  let at = IPV6_HEADER;
  while (next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_AUTH || next == NEXT_DESTINATION || next == NEXT_FRAGMENT) {
    if (next == NEXT_FRAGMENT) {
      if (at + 8 > length) return no_transport(p, next);
      if (at + 8 > end) return Reason.CUT_SHORT;
      const later = be16(l3 + at + 2) & 0xfff8;
      p.flags |= <u16>(later ? PacketFlag.FRAGMENT | PacketFlag.LATER_FRAGMENT : PacketFlag.FRAGMENT);
      // A packet without a payload length is not looked at by reassembly.
      if (!whole && payload != 0) {
        p.protonum = load<u8>(l3 + at);
        p.l4 = <u32>(l3 + at + 8);
        p.l4_len = length - at - 8;
        p.l4_captured = end - at - 8;
        return Reason.FRAGMENT_PENDING;
      }
      next = load<u8>(l3 + at);
      if (later) return no_transport(p, next);
      at += 8;
      continue;
    }
    if (at + 2 > length) return no_transport(p, next);
    if (at + 2 > end) return Reason.CUT_SHORT;
    p.flags |= <u16>PacketFlag.IP_OPTIONS;
    const units = <u32>load<u8>(l3 + at, 1);
    const size = next == NEXT_AUTH ? (units + 2) << 2 : (units + 1) << 3;
    next = load<u8>(l3 + at);
    at += size;
  }
  p.protonum = <u8>next;
  if (next == NEXT_NONE) return no_transport(p, next);
  // An extension header that claims more than there is leaves a transport without bytes: enough for the protocols that
  // are tracked by their addresses alone.
  if (at > length) at = length;
  if (at > end) return Reason.CUT_SHORT;
  p.l4 = <u32>(l3 + at);
  p.l4_len = length - at;
  p.l4_captured = end - at;
  return decode_transport(p, checksums);
}

/** Nothing that could be tracked: the packet meets the rules as INVALID. */
function no_transport(p: Packet, next: u32): Reason {
  p.protonum = <u8>next;
  p.hash = 1;
  return Reason.NONE;
}

/** Loopback and multicast sources, and multicast scopes 0 and 1, are dropped on receipt (RFC 4291 sections 2.5.3, 2.7). */
function ipv6_addresses_sane(l3: usize): bool {
  if (load<u8>(l3, 8) == 0xff) return false;
  if (load<u8>(l3, 24) == 0xff && (load<u8>(l3, 25) & 15) <= 1) return false;
  const loopback: u64 = 0x0100000000000000;
  // From ::1 to ::1 is seen on loopback only.
  if ((load<u64>(l3, 8) | load<u64>(l3, 24)) == 0 && load<u64>(l3, 16) == loopback && load<u64>(l3, 32) == loopback) return true;
  if (load<u64>(l3, 8) == 0 && load<u64>(l3, 16) == loopback) return false;
  return !(load<u64>(l3, 24) == 0 && load<u64>(l3, 32) == loopback);
}

function decode_transport(p: Packet, checksums: u32): Reason {
  const l4: usize = p.l4;
  switch (<u32>p.protonum) {
    case Proto.TCP: {
      if (p.l4_captured < TCP_HEADER_MIN) {
        if (p.l4_len >= TCP_HEADER_MIN) return Reason.CUT_SHORT;
      } else {
        const header = tcp_header_length(l4);
        if (header <= p.l4_len && header > p.l4_captured) return Reason.CUT_SHORT;
        p.tcp_flags = <u8>tcp_flags(l4);
        if (header >= TCP_HEADER_MIN && header <= p.l4_len && is_plain_ack(p.tcp_flags)) p.flags |= <u16>PacketFlag.PLAIN_ACK;
      }
      return with_ports(p, l4, checksums, load<u16>(l4, 16), 18);
    }
    case Proto.UDP: {
      if (p.l4_captured < min(<u32>8, p.l4_len)) return Reason.CUT_SHORT;
      // A zero checksum means that there is none.
      const check = p.l4_len >= 8 ? load<u16>(l4, 6) : 0;
      return with_ports(p, l4, check == 0 ? <u32>Checksums.IGNORE : checksums, check, 8);
    }
    case Proto.ICMP:
    case Proto.ICMPV6:
      return decode_icmp(p, l4, checksums);
    case Proto.SCTP:
      return decode_sctp(p, l4, checksums);
    case Proto.UDPLITE:
      return decode_udplite(p, l4, checksums);
    case Proto.GRE:
      if (p.l4_captured < gre_tuple_bytes(p.l4_len)) return Reason.CUT_SHORT;
      p.dport = gre_call_id(l4, p.l4_len);
      p.hash = tuple_hash(changetype<Tuple>(p));
      return Reason.NONE;
    case Proto.DCCP:
      // Tracked by address alone, but rules may look at its ports.
      if (p.l4_captured < min<u32>(4, p.l4_len)) return Reason.CUT_SHORT;
    default:
      p.hash = tuple_hash(changetype<Tuple>(p));
      return Reason.NONE;
  }
}

function set_ports(p: Packet, l4: usize): void {
  if (p.l4_captured >= 4) store<u32>(changetype<usize>(p), load<u32>(l4), offsetof<Packet>("sport"));
  p.hash = tuple_hash(changetype<Tuple>(p));
}

function with_ports(p: Packet, l4: usize, checksums: u32, check: u32, header: u32): Reason {
  set_ports(p, l4);
  if (checksums != Checksums.IGNORE && p.l4_captured == p.l4_len && p.l4_len >= header) verify(p, checksums, check, pseudo(p));
  return Reason.NONE;
}

/** The chunks' headers decide, so they must all be there. A checksum of 0 was left to the network card. */
function decode_sctp(p: Packet, l4: usize, checksums: u32): Reason {
  if (p.l4_captured < min(SCTP_HEADER, p.l4_len)) return Reason.CUT_SHORT;
  set_ports(p, l4);
  if (p.l4_len < SCTP_HEADER) return Reason.NONE;
  if (!sctp_chunks_captured(l4, p.l4_captured, p.l4_len)) return Reason.CUT_SHORT;
  if (checksums == Checksums.IGNORE || p.l4_captured < p.l4_len || sctp_checksum_right(l4, p.l4_len)) return Reason.NONE;
  const offloaded = checksums == Checksums.AUTO && load<u32>(l4, 8) == 0;
  p.flags |= <u16>(offloaded ? PacketFlag.OFFLOADED : PacketFlag.BAD_CHECKSUM);
  return Reason.NONE;
}

/**
 * The kernel computes the pseudo header with UDP's protocol number, not with UDP-Lite's own (RFC 3828 section 3.1), so
 * what senders compute is wrong to it as long as nf_conntrack_checksum is on (udplite_error(), nf_checksum_partial()).
 */
function decode_udplite(p: Packet, l4: usize, checksums: u32): Reason {
  if (p.l4_captured < min(UDPLITE_HEADER, p.l4_len)) return Reason.CUT_SHORT;
  set_ports(p, l4);
  const coverage: u32 = p.l4_len < UDPLITE_HEADER ? 0 : udplite_coverage(l4, p.l4_len);
  if (checksums == Checksums.IGNORE || coverage == 0 || coverage > p.l4_captured) return Reason.NONE;
  const pseudo_header = pseudo_sum(sum_bytes(changetype<usize>(p), 32), Proto.UDP, p.l4_len);
  if (!sums_right(sum_bytes(l4, coverage) + pseudo_header)) p.flags |= <u16>PacketFlag.BAD_CHECKSUM;
  return Reason.NONE;
}

function decode_icmp(p: Packet, l4: usize, checksums: u32): Reason {
  if (p.l4_captured < min(ICMP_HEADER, p.l4_len)) return Reason.CUT_SHORT;
  p.hash = 1;
  if (p.l4_len < ICMP_HEADER) return Reason.NONE;
  p.sport = load<u16>(l4, 4);
  p.dport = load<u16>(l4);
  const v6 = p.l3num == L3.IPV6;
  if (checksums != Checksums.IGNORE && p.l4_captured == p.l4_len) {
    verify(p, checksums, load<u16>(l4, 2), v6 ? pseudo(p) : 0);
  }
  const type = <u32>load<u8>(l4);
  if (v6 && p.protonum == Proto.ICMPV6 && type == ICMPV6_REDIRECT && p.l4_captured < min(REDIRECT_QUOTE, p.l4_len)) return Reason.CUT_SHORT;
  if (p.protonum == Proto.ICMP ? v6 || !icmp_is_error(type) : !v6 || !(icmpv6_is_error(type) || quotes_as_redirect(p))) {
    p.hash = tuple_hash(changetype<Tuple>(p));
    return Reason.NONE;
  }
  p.flags |= <u16>PacketFlag.ICMP_ERROR;
  // The flow is that of the quoted packet, and so is the shard. The tuple itself is looked at again when tracking.
  const inner = changetype<Tuple>(inner_scratch);
  const quoted = quoted_tuple(inner, p);
  if (quoted == Reason.CUT_SHORT) return Reason.CUT_SHORT;
  if (quoted == Reason.NONE) p.hash = tuple_hash(inner);
  return Reason.NONE;
}

/**
 * A redirect that conntrack believes: from a neighbour's link-local address, never forwarded, with the redirected packet
 * as its first option (RFC 4861 section 4.5; nf_conntrack_icmpv6_redirect()).
 */
function quotes_as_redirect(p: Packet): bool {
  const l4: usize = p.l4;
  const link_local = load<u8>(p.l3, 8) == 0xfe && (load<u8>(p.l3, 9) & 0xc0) == 0x80;
  return load<u8>(l4) == ICMPV6_REDIRECT && load<u8>(l4, 1) == 0 && p.ttl == 255 && link_local &&
    p.l4_captured >= REDIRECT_QUOTE && load<u8>(l4, REDIRECT_HEADER) == ND_OPT_REDIRECTED_HEADER && load<u8>(l4, REDIRECT_HEADER + 1) != 0;
}

/** What is wrong with an ICMPv6 redirect that quotes nothing (kernel: nf_conntrack_icmpv6_redirect()). */
export function redirect_fault(p: Packet): Reason {
  const l4: usize = p.l4;
  if (p.l4_len < REDIRECT_HEADER) return Reason.ICMPV6_REDIRECT_SHORT;
  if (load<u8>(l4, 1) != 0) return Reason.ICMP_BAD_TYPE;
  const link_local = load<u8>(p.l3, 8) == 0xfe && (load<u8>(p.l3, 9) & 0xc0) == 0x80;
  if (p.ttl != 255 || !link_local) return Reason.ICMPV6_REDIRECT_SENDER;
  const has_option = p.l4_len >= REDIRECT_HEADER + 2 && load<u8>(l4, REDIRECT_HEADER + 1) != 0;
  return has_option ? Reason.ICMP_BAD_TYPE : Reason.ICMPV6_REDIRECT_OPTIONS;
}

/** Where the quoted packet begins. */
function quote_offset(p: Packet): u32 {
  return p.l3num == L3.IPV6 && load<u8>(p.l4) == ICMPV6_REDIRECT ? REDIRECT_QUOTE : ICMP_HEADER;
}

/** A tuple's worth of memory of this instance's own. */
let inner_scratch: usize = 0;

export function set_inner_scratch(at: usize): void {
  inner_scratch = at;
}

let quoted_length: u32 = 0;

/** Bytes from the transport header on of the packet that quoted_tuple() last looked at. */
export function quoted_transport_length(): u32 {
  return quoted_length;
}

/**
 * The tuple that a packet quoted by an ICMP error would have met conntrack with, inverted: the direction in which the
 * error travels (nf_conntrack_inet_error()). Returns NONE, CUT_SHORT, or the reason why there is none.
 */
export function quoted_tuple(inner: Tuple, p: Packet): Reason {
  const offset = quote_offset(p);
  const l3: usize = p.l4 + offset;
  const wire: u32 = p.l4_len - offset;
  const captured: u32 = p.l4_captured - offset;
  const at = changetype<usize>(inner);
  v128.store(at, i64x2.splat(0));
  v128.store(at, i64x2.splat(0), 16);
  store<u64>(at, 0, 32);
  let l4: u32 = 0;
  let protonum: u32 = 0;
  if (p.l3num == L3.IPV4) {
    if (wire < IPV4_HEADER) return Reason.ICMP_ERROR_SHORT;
    if (captured < IPV4_HEADER) return Reason.CUT_SHORT;
    if (be16(l3 + 6) & FRAGMENT_OFFSET) return Reason.ICMP_ERROR_UNKNOWN_PROTO;
    l4 = (<u32>load<u8>(l3) & 15) << 2;
    if (l4 > wire) return Reason.ICMP_ERROR_SHORT;
    protonum = load<u8>(l3, 9);
    store<u32>(at, load<u32>(l3, 12));
    store<u32>(at, load<u32>(l3, 16), 16);
  } else {
    if (wire < IPV6_HEADER) return Reason.ICMP_ERROR_SHORT;
    if (captured < IPV6_HEADER) return Reason.CUT_SHORT;
    copy16(at, l3 + 8);
    copy16(at + 16, l3 + 24);
    protonum = load<u8>(l3, 6);
    l4 = IPV6_HEADER;
    while (protonum == NEXT_HOP_BY_HOP || protonum == NEXT_ROUTING || protonum == NEXT_AUTH || protonum == NEXT_DESTINATION || protonum == NEXT_FRAGMENT) {
      // Of an extension header no more than what is asked for has to be there (ipv6_skip_exthdr()).
      const needed: u32 = protonum == NEXT_FRAGMENT ? 4 : 2;
      if (l4 + needed > wire) return Reason.ICMP_ERROR_SHORT;
      if (l4 + needed > captured) return Reason.CUT_SHORT;
      const units = <u32>load<u8>(l3 + l4, 1);
      if (protonum == NEXT_FRAGMENT && be16(l3 + l4 + 2) & 0xfff8) return Reason.ICMP_ERROR_UNKNOWN_PROTO;
      const size = protonum == NEXT_FRAGMENT ? 8 : protonum == NEXT_AUTH ? (units + 2) << 2 : (units + 1) << 3;
      protonum = load<u8>(l3 + l4);
      l4 += size;
    }
    if (protonum == NEXT_NONE) return Reason.ICMP_ERROR_UNKNOWN_PROTO;
  }
  inner.l3num = p.l3num;
  inner.protonum = <u8>protonum;
  quoted_length = wire - l4;
  if (has_ports(protonum)) {
    if (l4 + 4 > wire) return Reason.ICMP_ERROR_SHORT;
    if (l4 + 4 > captured) return Reason.CUT_SHORT;
    store<u32>(at, load<u32>(l3 + l4), offsetof<Tuple>("sport"));
  } else if (protonum == Proto.ICMP || protonum == Proto.ICMPV6) {
    if (l4 + ICMP_HEADER > wire) return Reason.ICMP_ERROR_SHORT;
    if (l4 + ICMP_HEADER > captured) return Reason.CUT_SHORT;
    inner.sport = load<u16>(l3 + l4, 4);
    inner.dport = load<u16>(l3 + l4);
  } else if (protonum == Proto.GRE) {
    if (l4 + gre_tuple_bytes(wire - l4) > captured) return Reason.CUT_SHORT;
    if (!gre_has_tuple(l3 + l4, wire - l4)) return Reason.ICMP_ERROR_SHORT;
    inner.dport = gre_call_id(l3 + l4, wire - l4);
  }
  return tuple_invert(inner, inner) ? Reason.NONE : Reason.ICMP_ERROR_UNKNOWN_PROTO;
}

function pseudo(p: Packet): u64 {
  const at = changetype<usize>(p);
  // The unused bytes of IPv4 addresses are zero, but need not be added.
  const addresses = p.l3num == L3.IPV4 ? <u64>load<u32>(at) + load<u32>(at, 16) : sum_bytes(at, 32);
  return pseudo_sum(addresses, p.protonum, p.l4_len);
}

/** Sets BAD_CHECKSUM, or OFFLOADED where the field holds what a host leaves for its card to complete. */
function verify(p: Packet, checksums: u32, check: u32, pseudo_header: u64): void {
  if (sums_right(sum_bytes(p.l4, p.l4_len) + pseudo_header)) return;
  p.flags |= <u16>transport_fault(checksums, check, pseudo_header);
}

/** The flag of a packet whose transport checksum is not right. */
export function transport_fault(checksums: u32, check: u32, pseudo_header: u64): u32 {
  const offloaded = checksums == Checksums.AUTO && (check == 0 || (pseudo_header != 0 && check == fold(pseudo_header)));
  return offloaded ? PacketFlag.OFFLOADED : PacketFlag.BAD_CHECKSUM;
}

/**
 * Is the Internet checksum of a payload right, whatever is in it? IPv4 knows a pseudo header only for TCP and UDP, and adds
 * up the IP header, too, which is all ones by itself: a payload of zeros passes.
 */
function sums_to_nothing(p: Packet): bool {
  if (p.l4_captured < p.l4_len) return true;
  const payload = sum_bytes(p.l4, p.l4_len);
  if (p.l3num == L3.IPV6 || p.protonum == Proto.TCP || p.protonum == Proto.UDP) return sums_right(payload + pseudo(p));
  return payload == 0 || sums_right(payload);
}

/**
 * Does REJECT find the packet undamaged enough to answer? Of a protocol without a checksum that it knows it still wants
 * the Internet checksum of the payload to be right (nf_reject_verify_csum(), nf_ip_checksum(), nf_ip6_checksum()), which
 * chance alone makes so. What was not captured is taken to be right.
 */
export function reject_verifies(p: Packet): bool {
  switch (<u32>p.protonum) {
    case Proto.TCP:
    case Proto.UDP:
    case Proto.ICMP:
    case Proto.ICMPV6:
      // Decode does not look at what is too short to hold a checksum.
      return p.l4_len < (p.protonum == Proto.TCP ? TCP_HEADER_MIN : 8) ? sums_to_nothing(p) : !(p.flags & PacketFlag.BAD_CHECKSUM);
    case Proto.GRE:
    case Proto.ESP:
    case Proto.AH:
    case Proto.SCTP:
    case Proto.UDPLITE:
      return p.l3num == L3.IPV4 || p.l4_len > 0;
    default:
      return sums_to_nothing(p);
  }
}
