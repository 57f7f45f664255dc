// Did a captured packet arrive at the host, or leave it? A capture taken at the host itself shows what it forwards twice,
// before and after translation, and tracking it twice would be wrong.
//
//   look            while decoding: what the capture says (direction), or the host's own link-layer addresses
//   match_sights    one thread at a time, batch after batch: what only addresses and interfaces say, and which packet that
//                   arrived is the one that leaves here
//   seen_elsewhere  while tracking: what leaves and was not found, but came by an interface that is captured, or is an
//                   answer that the host gave (REJECT, routing) and that was tracked with the packet that it answers
//
// What leaves is replayed only if it is all that the captures show of the packet: the host's own sending, or a forwarded
// packet whose way in was not captured. That goes the way it went: it is given the addresses it had on arrival.

import { be16, be32 } from "./bytes";
import { find_live } from "./conntrack";
import { found_dir } from "./flow-table";
import { INTERFACES_MAX, Flow, Packet, Record, Recent, Sights, SightLink, Tuple, World } from "./layout";
import { nat_of } from "./nat";
import { recall, remember } from "./recent";
import { is_nameless, route_lookup } from "./route";
import { enter_zone } from "./template";
import { tuple_equal, tuple_hash, tuple_invert } from "./tuple";
import { AddrType, Dir, L3, PacketFlag, Proto, Reason, Status, Verdict } from "./vocabulary";
import { LINK_ETHERNET, LINK_LINUX_SLL, LINK_LINUX_SLL2, link_direction } from "./wire/ethernet";
import { ICMP_HEADER } from "./wire/icmp";
import { SCTP_HEADER } from "./wire/sctp";
import { TCP_HEADER_MIN, tcp_header_length } from "./wire/tcp";

const MIX: u64 = 0x9e3779b97f4a7c15;
const MAC_BITS: u64 = 0x0000ffffffffffff;
/** Directions as captures state them (Record.direction). */
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;
/** Bytes of payload that tell packets apart. */
const PAYLOAD_BYTES: u32 = 16;

// @ts-ignore: decorator
@inline function link_of(s: Sights, address: u64): usize {
  let at = <u32>((address * MIX) >> 40) & s.links_mask;
  while (true) {
    const link = changetype<SightLink>(<usize>s.links + <usize>at * offsetof<SightLink>());
    if (link.address == address) return changetype<usize>(link);
    if (link.address == 0) return 0;
    at = (at + 1) & s.links_mask;
  }
}

/** May look() find anything? Usual captures name neither direction nor interface, and most hosts no link-layer addresses. */
// @ts-ignore: decorator
@inline export function may_tell(s: Sights, record: Record): bool {
  return record.link != LINK_ETHERNET || (record.direction | record.iface | s.links) != 0;
}

/** Notes the side that the capture or the link layer states, and the interface. True if match_sights() has to look. */
export function look(s: Sights, p: Packet, record: Record): bool {
  if (p.l3num == 0) return false;
  const data: usize = record.data;
  const link: u32 = record.link;
  let direction: u32 = record.direction;
  let iface: u32 = 0;
  if (link == LINK_LINUX_SLL || link == LINK_LINUX_SLL2) {
    if (direction == 0) direction = link_direction(link, data);
    const index = link == LINK_LINUX_SLL2 ? be32(data + 4) : 0;
    if (index < s.indices_count) iface = load<u16>(<usize>s.indices + <usize>index * 2);
  } else if (link == LINK_ETHERNET && s.links) {
    const source = direction == INBOUND ? 0 : link_of(s, load<u64>(data, 4) >> 16);
    const target = direction == OUTBOUND || source ? 0 : link_of(s, load<u64>(data) & MAC_BITS);
    if (source | target) {
      direction = source ? OUTBOUND : INBOUND;
      iface = changetype<SightLink>(source | target).iface;
    }
  }
  if (record.iface == 0 && iface != 0) {
    record.iface = <u16>iface;
    p.iif = <u16>iface;
  }
  if (direction != 0) p.flags |= <u16>(direction == OUTBOUND ? PacketFlag.LEAVING : PacketFlag.ARRIVING);
  return direction != 0 || (record.iface != 0 && s.world != 0);
}

/** Finds what leaves among what arrived. Copies are given their verdict here: the reason EGRESS_COPY. */
export function match_sights(sights: usize, records: usize, packets: usize, count: u32): void {
  const s = changetype<Sights>(sights);
  for (let i: u32 = 0; i < count; i++) {
    const p = changetype<Packet>(packets + <usize>i * offsetof<Packet>());
    const record = changetype<Record>(records + <usize>i * offsetof<Record>());
    if (p.l3num == 0 || (p.reason != Reason.NONE && p.reason != Reason.FRAGMENT_PENDING)) continue;
    if (!(p.flags & (PacketFlag.ARRIVING | PacketFlag.LEAVING)) && record.iface != 0 && s.world) {
      p.flags |= <u16>side_by_addresses(changetype<World>(<usize>s.world), p, s.loopback);
    }
    if (p.flags & PacketFlag.ARRIVING) arrive(s, p, record.number);
    else if (p.flags & PacketFlag.LEAVING) {
      const twin = recall(changetype<Recent>(<usize>s.arrivals), sight_key(p, p.ttl), p.clock, record.number);
      if (twin) become_copy(p, twin);
    }
  }
}

/**
 * The side that interface and addresses tell: a packet whose source is behind another interface, and whose target is behind
 * this one, leaves by it. 0 if they tell nothing.
 */
function side_by_addresses(w: World, p: Packet, loopback: u32): u32 {
  const iface: u32 = p.iif;
  if (iface == loopback) return 0;
  const source = route_lookup(w, p.l3num, changetype<usize>(p));
  if (source >> 16 == AddrType.LOCAL) return PacketFlag.LEAVING;
  if (source >> 16 != AddrType.UNICAST) return 0;
  const from = source & 0xffff;
  const target = route_lookup(w, p.l3num, changetype<usize>(p) + offsetof<Packet>("dst_lo"));
  if (target >> 16 == AddrType.LOCAL) return from == iface ? PacketFlag.ARRIVING : 0;
  const to = target & 0xffff;
  if (target >> 16 != AddrType.UNICAST || from == 0 || to == 0 || from == to) return 0;
  return from == iface ? PacketFlag.ARRIVING : to == iface ? PacketFlag.LEAVING : 0;
}

function arrive(s: Sights, p: Packet, number: u64): void {
  let iface: u32 = p.iif;
  if (iface == 0 && s.world) iface = route_lookup(changetype<World>(<usize>s.world), p.l3num, changetype<usize>(p)) & 0xffff;
  const first = <usize>s.first_arrivals + <usize>(iface & (INTERFACES_MAX - 1)) * 8;
  if (load<u64>(first) == 0) store<u64>(first, number);
  if (p.ttl > 1) remember(changetype<Recent>(<usize>s.arrivals), sight_key(p, p.ttl - 1), p.clock, number);
}

/** Is the interface captured, as far as one can tell: has a packet arrived by it before packet `number`? */
function arrived_before(s: Sights, iface: u32, number: u64): bool {
  const first = load<u64>(<usize>s.first_arrivals + <usize>(iface & (INTERFACES_MAX - 1)) * 8);
  return iface != 0 && first != 0 && first < number;
}

/** Not judged: `twin` is the number of the packet as it arrived, or of the one that was answered; 0 if it was not found. */
function become_copy(p: Packet, twin: u64): void {
  p.verdict = <u8>Verdict.NONE;
  p.reason = <u8>Reason.EGRESS_COPY;
  p.oif = p.iif;
  p.iif = 0;
  p.flow_id = twin;
}

// @ts-ignore: decorator
@inline function add(key: u64, value: u64): u64 {
  const h = (key ^ value) * MIX;
  return h ^ (h >> 29);
}

/** Up to PAYLOAD_BYTES bytes from `offset` of the transport on; 0 where not all that there are were captured. */
function payload(p: Packet, offset: u32): u64 {
  if (p.l4_len <= offset) return 1;
  const length = min(p.l4_len - offset, PAYLOAD_BYTES);
  if (p.l4_captured < offset + length) return 0;
  const at: usize = p.l4 + offset;
  let key: u64 = length;
  if (length == PAYLOAD_BYTES) return add(add(key, load<u64>(at)), load<u64>(at, 8));
  for (let i: u32 = 0; i < length; i++) key = add(key, load<u8>(at + i));
  return key;
}

/** What neither forwarding nor translation changes of a packet, but for the TTL, which is given. */
function sight_key(p: Packet, ttl: u32): u64 {
  const l3: usize = p.l3;
  const l4: usize = p.l4;
  const fragment = (p.flags & PacketFlag.FRAGMENT) != 0;
  let key = add(<u64>p.ip_len | (<u64>p.protonum << 32) | (<u64>p.l3num << 40) | (<u64>ttl << 48), MIX);
  // IPv4: id, flags and offset. IPv6: the flow label, and the offset of fragments, whose id is another one each time.
  if (p.l3num == L3.IPV4) key = add(key, load<u32>(l3, 4));
  else key = add(key, fragment && l4 ? be16(l4 - 6) : load<u32>(l3) & 0xffff0f00);
  if (p.flags & PacketFlag.LATER_FRAGMENT) return add(key, payload(p, 0));
  switch (<u32>p.protonum) {
    case Proto.TCP: {
      if (p.l4_captured < TCP_HEADER_MIN) return key;
      key = add(add(key, load<u64>(l4, 4)), load<u32>(l4, 12));
      return add(key, payload(p, tcp_header_length(l4)));
    }
    case Proto.UDP:
    case Proto.UDPLITE:
      return add(key, payload(p, 8));
    case Proto.SCTP:
      return p.l4_captured < SCTP_HEADER ? key : add(add(key, load<u32>(l4, 4)), payload(p, SCTP_HEADER));
    case Proto.ICMP:
    case Proto.ICMPV6:
      if (p.l4_captured < ICMP_HEADER) return key;
      key = add(key, load<u16>(l4));
      // The quoted packet is changed along with an error, but for its length and id.
      if (p.flags & PacketFlag.ICMP_ERROR) return p.l4_captured < ICMP_HEADER + 8 ? key : add(key, load<u32>(l4, ICMP_HEADER + 2));
      return add(add(key, load<u16>(l4, 6)), payload(p, ICMP_HEADER));
    case Proto.GRE:
      // The call id may change.
      return p.l4_captured < 8 ? key : add(add(key, load<u32>(l4)), payload(p, 8));
    default:
      return add(key, payload(p, 0));
  }
}

/**
 * A packet that leaves, and of which no arrival was found: is it known from elsewhere? If not, it is given the addresses
 * and the TTL that it arrived with, and is to be replayed.
 */
export function seen_elsewhere(w: World, p: Packet): bool {
  const s = changetype<Sights>(<usize>w.sights);
  const answered = recall(changetype<Recent>(<usize>w.answers), answer_key(p), w.now, w.number);
  if (answered) {
    become_copy(p, answered);
    p.flags |= <u16>PacketFlag.ANSWER;
    return true;
  }
  const arrival = w.nat && !(p.flags & PacketFlag.ICMP_ERROR) ? before_translation(w, p) : 0;
  const source = route_lookup(w, p.l3num, arrival ? arrival : changetype<usize>(p));
  if (source >> 16 != AddrType.LOCAL && !is_nameless(p)) {
    if (arrived_before(s, source & 0xffff, w.number)) {
      become_copy(p, 0);
      return true;
    }
    p.iif = 0;
    if (p.ttl < 255) p.ttl++;
  }
  if (arrival) {
    memory.copy(changetype<usize>(p), arrival, offsetof<Tuple>("protonum"));
    p.hash = tuple_hash(changetype<Tuple>(p));
  }
  return false;
}

/** The tuple that a packet of a translated flow had before it was changed; 0 if it is of no such flow. */
function before_translation(w: World, p: Packet): usize {
  const inverse = nat_of(w).current();
  if (w.templates) enter_zone(w, p);
  if (!tuple_invert(inverse, changetype<Tuple>(p))) return 0;
  const found = find_live(w, inverse, tuple_hash(inverse));
  if (found == 0 || !(changetype<Flow>(found).status & (Status.SRC_NAT | Status.DST_NAT))) return 0;
  const arrival = found + (found_dir() == Dir.ORIGINAL ? offsetof<Flow>("reply_src_lo") : 0);
  return tuple_equal(arrival, changetype<usize>(p)) ? 0 : arrival;
}

/** An answer that the host gave: what leaves shortly after is known. */
export function note_answer(w: World, own: Packet): void {
  if (w.answers) remember(changetype<Recent>(<usize>w.answers), answer_key(own), w.now, w.number);
}

/** To whom the answer goes, and what it says: an ICMP error's type and code and the flow it quotes, a reset's numbers. */
function answer_key(p: Packet): u64 {
  const key = add(add(p.dst_lo, p.dst_hi), p.protonum);
  if (p.l4_captured < ICMP_HEADER) return key;
  if (p.protonum != Proto.TCP) return add(add(key, p.hash), load<u16>(p.l4));
  return p.l4_captured < TCP_HEADER_MIN ? key : add(add(key, load<u32>(changetype<usize>(p), offsetof<Packet>("sport"))), load<u64>(p.l4, 4));
}
