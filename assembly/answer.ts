// What does the host itself send in answer to a packet: which RST, which ICMP error, and to whom none?
//
// REJECT and routing answer a packet with one of the host's own. It leaves through OUTPUT and POSTROUTING like any other
// (hook.ts), so rules meet it and what they do to its flow (CONNMARK, say) holds. It bears the flow of the packet that it
// answers, from the other side (nf_ct_attach()); where there is none, connection tracking looks at it like at any packet.
//
// Not known here: options that an ICMP error echoes, and the address that an ICMP error is sent from, unless the packet
// was for the host. How many errors the host is willing to send (icmp_ratelimit) is not asked.

import { bswap16, copy16 } from "./bytes";
import { Account, Flow, Packet, World } from "./layout";
import { segment_end } from "./track/tcp-window";
import { route_goes_to_all } from "./route";
import { CtState, L3, PacketFlag, Path, PktType, Proto, Reason, RejectWith } from "./vocabulary";
import { ICMP_HEADER, icmp_inverse } from "./wire/icmp";
import { TCP_ACK, TCP_HEADER_MIN, TCP_RST } from "./wire/tcp";

const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;
/** An IPv4 error is at most 576 bytes long, an IPv6 error 1280 (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4). */
const IPV4_QUOTE_MAX: u32 = 576 - 28;
const IPV6_QUOTE_MAX: u32 = 1280 - 48;
/** Third word of ::ffff:0.0.0.0/96, in wire order. */
const IPV4_MAPPED: u32 = 0xffff0000;
const HOP_LIMIT: u8 = 64;
/** Room for the bytes of a RST. */
const SECOND_BYTES: usize = 64;
/** Precedence of ICMP errors (RFC 1812 section 4.3.2.5). */
const INTERNETWORK_CONTROL: u8 = 0xc0;
const TOS_MASK: u8 = 0x1e;

/** An ICMP error's type << 8 | code. */
type IcmpError = u32;

/** The error by which REJECT answers (net/ipv4/netfilter/ipt_REJECT.c, net/ipv6/netfilter/ip6t_REJECT.c). */
export function reject_error(kind: u32): IcmpError {
  switch (kind) {
    case RejectWith.ICMP_NET_UNREACHABLE: return 0x300;
    case RejectWith.ICMP_HOST_UNREACHABLE: return 0x301;
    case RejectWith.ICMP_PROTO_UNREACHABLE: return 0x302;
    case RejectWith.ICMP_NET_PROHIBITED: return 0x309;
    case RejectWith.ICMP_HOST_PROHIBITED: return 0x30a;
    case RejectWith.ICMP_ADMIN_PROHIBITED: return 0x30d;
    case RejectWith.ICMP6_NO_ROUTE: return 0x100;
    case RejectWith.ICMP6_ADM_PROHIBITED: return 0x101;
    case RejectWith.ICMP6_ADDR_UNREACHABLE: return 0x103;
    case RejectWith.ICMP6_PORT_UNREACHABLE: return 0x104;
    case RejectWith.ICMP6_POLICY_FAIL: return 0x105;
    case RejectWith.ICMP6_REJECT_ROUTE: return 0x106;
    default: return 0x303;
  }
}

/** The error by which routing tells the sender, 0 if it says nothing (ip_error(), ip_forward(), ip6_forward(), ip6_pkt_drop()). */
export function routing_error(reason: u32, l3num: u32): IcmpError {
  const v6 = l3num == L3.IPV6;
  switch (reason) {
    case Reason.TTL_EXCEEDED: return v6 ? 0x300 : 0xb00;
    case Reason.MTU_EXCEEDED: return v6 ? 0x200 : 0x304;
    case Reason.NO_ROUTE: return v6 ? 0x100 : 0x300;
    case Reason.ROUTE_UNREACHABLE: return v6 ? 0x100 : 0x301;
    case Reason.ROUTE_PROHIBIT: return v6 ? 0x101 : 0x30d;
    // A link-local source has no way back from another link (RFC 4443 section 3.1, code 2).
    case Reason.BEYOND_SCOPE: return 0x102;
    default: return 0;
  }
}

/**
 * Is `p` a packet that hosts send ICMP errors about (RFC 1122 section 3.2.2, RFC 4443 section 2.4; icmp_send(),
 * icmp6_send())? Of ICMP only queries and their answers are; the kernel takes types that it does not use for errors.
 */
export function deserves_error(w: World, p: Packet): bool {
  if (!is_between_hosts(w, p)) return false;
  const type: u32 = p.dport & 0xff;
  if (p.l3num == L3.IPV4) return p.protonum != Proto.ICMP || (p.l4_len >= ICMP_HEADER && icmp_inverse(type) >= 0);
  return p.protonum != Proto.ICMPV6 || (p.l4_len >= ICMP_HEADER && type >= 128);
}

/** Is `p` a segment that a RST answers? A reset is never answered by a reset, nor is an IPv4-mapped source. */
export function deserves_reset(w: World, p: Packet): bool {
  if (p.protonum != Proto.TCP || p.tcp_flags & TCP_RST || p.l4_len < TCP_HEADER_MIN || !is_between_hosts(w, p)) return false;
  return p.l3num == L3.IPV4 || p.src_lo != 0 || <u32>p.src_hi != IPV4_MAPPED;
}

/** From one host to one host. */
function is_between_hosts(w: World, p: Packet): bool {
  if (p.pkttype == PktType.BROADCAST || p.pkttype == PktType.MULTICAST || route_goes_to_all(p, w)) return false;
  const source = load<u8>(changetype<usize>(p));
  const target = load<u8>(changetype<usize>(p), offsetof<Packet>("dst_lo"));
  if (p.l3num == L3.IPV4) return target >> 4 != 14 && load<u32>(changetype<usize>(p), offsetof<Packet>("dst_lo")) != 0xffffffff;
  return source != 0xff && target != 0xff && (p.src_lo | p.src_hi) != 0;
}

/** Room for one more packet, behind the unconfirmed entry and its account; bytes of its own follow it. */
// @ts-ignore: decorator
@inline function second_packet(w: World): usize {
  return <usize>w.unconfirmed + offsetof<Flow>() + offsetof<Account>();
}

/** Room for the answer to `p`. A RST that is rejected itself is answered behind its own bytes; that error by nothing. */
// @ts-ignore: decorator
@inline function answer_room(w: World, p: Packet): usize {
  return second_packet(w) + (p.flags & PacketFlag.ANSWER ? offsetof<Packet>() + SECOND_BYTES : 0);
}

/** The copy that comes back of what goes to everybody or to a group. */
export function echo_of(w: World, p: Packet): Packet {
  const at = second_packet(w);
  memory.copy(at, changetype<usize>(p), offsetof<Packet>());
  const echo = changetype<Packet>(at);
  echo.events = 0;
  echo.logs = 0;
  echo.flags |= <u16>PacketFlag.ECHO;
  return echo;
}

/** Received, its kind is PACKET_LOOPBACK, which `-m pkttype` and `meta pkttype` replace by what the address says. */
export function mark_echo(echo: Packet): void {
  const first = load<u8>(changetype<usize>(echo), offsetof<Packet>("dst_lo"));
  const grouped = echo.l3num == L3.IPV6 || first >> 4 == 14;
  echo.pkttype = <u8>(grouped ? PktType.MULTICAST : PktType.BROADCAST);
}

/** A packet on its way back to where `p` came from. */
function begin(w: World, p: Packet, protonum: u32, length: u32): Packet {
  const at = answer_room(w, p);
  const v6 = p.l3num == L3.IPV6;
  const header = v6 ? IPV6_HEADER : IPV4_HEADER;
  memory.fill(at, 0, offsetof<Packet>() + header + TCP_HEADER_MIN);
  const own = changetype<Packet>(at);
  own.src_lo = p.dst_lo;
  own.src_hi = p.dst_hi;
  own.dst_lo = p.src_lo;
  own.dst_hi = p.src_hi;
  own.protonum = <u8>protonum;
  own.l3num = p.l3num;
  own.zone = p.zone;
  own.hash = p.hash;
  own.clock = p.clock;
  own.path = <u8>Path.OUTPUT;
  own.flags = <u16>PacketFlag.ANSWER;
  own.rule = 0xffffffff;
  own.ttl = HOP_LIMIT;
  own.l3 = <u32>(at + offsetof<Packet>());
  own.l4 = own.l3 + header;
  own.l4_len = length;
  own.ip_len = header + length;
  // Without a topology it goes back the way that the packet came; a link-local address means that link, too.
  const link_local = v6 && (p.src_lo & 0xc0ff) == 0x80fe;
  if (!w.topology || link_local) own.oif = p.iif != 0 ? p.iif : p.flags & PacketFlag.ANSWER ? <u16>0 : p.oif;
  if (p.flow) {
    own.flow = p.flow;
    own.dir = p.dir ^ 1;
    own.ct_state = <u8>CtState.RELATED;
  }
  return own;
}

/** Writes the IP header, once the Packet says all that is in it. */
function write_header(own: Packet): void {
  const l3: usize = own.l3;
  const at = changetype<usize>(own);
  if (own.l3num == L3.IPV6) {
    store<u8>(l3, 0x60);
    store<u16>(l3, <u16>bswap16(own.l4_len), 4);
    store<u8>(l3, own.protonum, 6);
    store<u8>(l3, own.ttl, 7);
    copy16(l3 + 8, at);
    copy16(l3 + 24, at + offsetof<Packet>("dst_lo"));
    return;
  }
  store<u8>(l3, 0x45);
  store<u8>(l3, own.tos, 1);
  store<u16>(l3, <u16>bswap16(own.ip_len), 2);
  store<u8>(l3, own.ttl, 8);
  store<u8>(l3, own.protonum, 9);
  store<u32>(l3, load<u32>(at), 12);
  store<u32>(l3, load<u32>(at, offsetof<Packet>("dst_lo")), 16);
}

/** The RST that answers `p` (nf_send_reset(); RFC 9293 section 3.10.7.1). */
export function reset_for(w: World, p: Packet): Packet {
  const rst = begin(w, p, Proto.TCP, TCP_HEADER_MIN);
  rst.l4_captured = TCP_HEADER_MIN;
  rst.sport = p.dport;
  rst.dport = p.sport;
  // At the number that was acknowledged, or acknowledging the segment.
  const acknowledges = (p.tcp_flags & TCP_ACK) != 0;
  rst.tcp_flags = <u8>(acknowledges ? TCP_RST : TCP_RST | TCP_ACK);
  const l4: usize = rst.l4;
  store<u16>(l4, rst.sport);
  store<u16>(l4, rst.dport, 2);
  if (acknowledges) store<u32>(l4, load<u32>(p.l4, 8), 4);
  else store<u32>(l4, bswap<u32>(segment_end(p)), 8);
  store<u8>(l4, <u8>((TCP_HEADER_MIN >> 2) << 4), 12);
  store<u8>(l4, rst.tcp_flags, 13);
  write_header(rst);
  return rst;
}

/** The ICMP error about `p` (icmp_send(), icmp6_send()). */
export function error_for(w: World, p: Packet, error: IcmpError): Packet {
  const v6 = p.l3num == L3.IPV6;
  const quoted = min(p.ip_len, v6 ? IPV6_QUOTE_MAX : IPV4_QUOTE_MAX);
  const own = begin(w, p, v6 ? Proto.ICMPV6 : Proto.ICMP, ICMP_HEADER + quoted);
  const captured = p.l4 ? p.l4 - p.l3 + p.l4_captured : v6 ? IPV6_HEADER : IPV4_HEADER;
  own.l4_captured = ICMP_HEADER + min(quoted, captured);
  own.flags |= <u16>PacketFlag.ICMP_ERROR;
  own.dport = <u16>(error >> 8 | error << 8);
  if (p.path != Path.INPUT) {
    own.src_lo = 0;
    own.src_hi = 0;
  }
  if (!v6) own.tos = (p.tos & TOS_MASK) | INTERNETWORK_CONTROL;
  const l4: usize = own.l4;
  store<u16>(l4, own.dport);
  memory.copy(l4 + ICMP_HEADER, p.l3, own.l4_captured - ICMP_HEADER);
  write_header(own);
  return own;
}
