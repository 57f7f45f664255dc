// What does the RST do that answers a rejected packet of no flow?
//
// REJECT --reject-with tcp-reset of an INVALID or UNTRACKED packet: the kernel's RST is then attached to no flow, leaves
// through OUTPUT, and is tracked as a segment of the flow whose tuple it has (net/ipv4/netfilter/nf_reject_ipv4.c,
// nf_send_reset()). It is judged here as far as connection tracking goes; what OUTPUT rules do to it is not looked at.

import { confirm, conntrack_in } from "./conntrack";
import { Account, Flow, Packet, World } from "./layout";
import { segment_end } from "./track/tcp-window";
import { L3, Path } from "./vocabulary";
import { TCP_ACK, TCP_HEADER_MIN, TCP_RST } from "./wire/tcp";

const IPV4_HEADER: u32 = 20;
const IPV6_HEADER: u32 = 40;

/** Sends the RST that answers `p` past connection tracking; its events count as caused by `p`. */
export function send_reset(w: World, p: Packet): void {
  // The packet and its header lie behind the unconfirmed entry, which a RST never needs.
  const at = <usize>w.unconfirmed + offsetof<Flow>() + offsetof<Account>();
  const l4 = at + offsetof<Packet>();
  memory.fill(at, 0, offsetof<Packet>() + TCP_HEADER_MIN);
  const rst = changetype<Packet>(at);
  rst.src_lo = p.dst_lo;
  rst.src_hi = p.dst_hi;
  rst.dst_lo = p.src_lo;
  rst.dst_hi = p.src_hi;
  rst.sport = p.dport;
  rst.dport = p.sport;
  rst.protonum = p.protonum;
  rst.l3num = p.l3num;
  rst.zone = p.zone;
  rst.hash = p.hash;
  rst.clock = p.clock;
  rst.path = <u8>Path.OUTPUT;
  rst.l4 = <u32>l4;
  rst.l4_len = TCP_HEADER_MIN;
  rst.l4_captured = TCP_HEADER_MIN;
  rst.ip_len = TCP_HEADER_MIN + (p.l3num == L3.IPV6 ? IPV6_HEADER : IPV4_HEADER);
  // RFC 9293 section 3.10.7.1: at the number that was acknowledged, or acknowledging the segment.
  const acknowledges = (p.tcp_flags & TCP_ACK) != 0;
  if (acknowledges) store<u32>(l4, load<u32>(p.l4, 8), 4);
  else store<u32>(l4, bswap<u32>(segment_end(p)), 8);
  rst.tcp_flags = <u8>(acknowledges ? TCP_RST : TCP_RST | TCP_ACK);
  store<u8>(l4, <u8>((TCP_HEADER_MIN >> 2) << 4), 12);
  store<u8>(l4, rst.tcp_flags, 13);
  conntrack_in(w, rst);
  confirm(w, rst);
  p.events |= rst.events;
}
