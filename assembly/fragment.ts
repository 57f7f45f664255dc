// Reassembly before tracking: a batch's fragments in, whole packets in the records of the fragments that completed them
// out. Kernel: net/ipv4/ip_fragment.c, net/ipv6/netfilter/nf_conntrack_reasm.c (hooks at priority -400).
//
// Only one lane at a time runs this, batch after batch in order. Completed packets are built in a ring that is longer
// than all that can be completed in the batches that are not reported yet (src/engine/defrag.ts).
//
// Not the kernel's, on purpose: an expiry happens at its exact time (kernel timers of half a minute are up to two seconds
// late), and what a fragment counts against the memory limits is what a TAP port makes it count (a network card's
// driver decides it in truth, and frames larger than a page count more).

import { be16, be32 } from "./bytes";
import {
  check_place, expire_queues, FIRST_IN, find_queue, has_room, Insert, insert_piece, kill_queue, LAST_IN, restart_queue, too_far,
} from "./fragment-queue";
import { add_bytes, begin_bytes, copy_bytes, take_block } from "./fragment-store";
import { Assembled, ASSEMBLED_ROOM, BATCH_PACKETS, Defrag, FragmentPiece, FragmentQueue, Packet, Record } from "./layout";
import { clear, decode_ipv4, decode_ipv6 } from "./packet";
import { deals_pairs, lane_of } from "./shard";
import { L3, PacketFlag, Proto, Reason, Verdict } from "./vocabulary";
import { fold, sum_bytes } from "./wire/checksum";

const IP_DF: u32 = 0x4000;
const IP_MF: u32 = 0x2000;
const IP_OFFSET: u32 = 0x1fff;
const IPV6_HEADER: u32 = 40;
const FRAGMENT_HEADER: u32 = 8;
const PACKET_MAX: u32 = 65535;
const MAC_BYTES: u32 = 14;

/** INET_ECN_CE, and the bits of FragmentQueue.ecn. */
const CE: u32 = 3;
const SEEN_NOT_ECT: u32 = 1;
const SEEN_ECT: u32 = 6;
const SEEN_CE: u32 = 8;

// IPv6 extension headers (RFC 8200 section 4).
const NEXT_HOP_BY_HOP: u32 = 0;
const NEXT_ROUTING: u32 = 43;
const NEXT_FRAGMENT: u32 = 44;
const NEXT_AUTH: u32 = 51;
const NEXT_NONE: u32 = 59;
const NEXT_DESTINATION: u32 = 60;

/**
 * Takes the batch's fragments (`length` packet indices at `queue`) in, appends packets that are whole to the queues of
 * their lanes, and lets queues expire up to `clock` (ns, as two words). The batch is described in the Defrag record.
 */
export function defrag_batch(defrag: usize, queue: usize, length: u32, clock_lo: u32, clock_hi: u32): void {
  const d = changetype<Defrag>(defrag);
  for (let i: u32 = 0; i < length; i++) {
    const index = <u32>load<u16>(queue + <usize>i * 2);
    const p = changetype<Packet>(<usize>d.packets + <usize>index * offsetof<Packet>());
    if (p.reason == Reason.EGRESS_COPY) continue;
    expire_queues(d, p.clock);
    const reason = p.l3num == L3.IPV6 ? gather6(d, p, index) : gather4(d, p, index);
    if (reason == Reason.NONE || reason == Reason.FRAGMENT_PENDING) continue;
    p.reason = <u8>reason;
    p.verdict = <u8>Verdict.DROP;
  }
  expire_queues(d, ((<u64>clock_hi) << 32) | clock_lo);
}

/** Why the fragment is dropped; PENDING if it waits, NONE if it goes on, as a whole packet or as it is. */
function gather4(d: Defrag, p: Packet, index: u32): Reason {
  if (!has_room(d, false)) return Reason.FRAGMENT_MEMORY;
  const l3: usize = p.l3;
  const q = find_queue(d, p, be16(l3 + 4), (<u32>L3.IPV4 << 16) | user(p) | p.protonum);
  if (too_far(d, q)) restart_queue(d, q, p.clock, index);
  const field = be16(l3 + 6);
  const offset = (field & IP_OFFSET) << 3;
  let end = offset + p.l4_len;
  if (field & IP_MF) {
    end &= ~7;
    if (end > q.length) {
      if (q.flags & LAST_IN) return discard(d, q, Reason.FRAGMENT_BAD_LENGTH, index);
      q.length = end;
    }
  } else {
    if (end < q.length || (q.flags & LAST_IN && end != q.length)) return discard(d, q, Reason.FRAGMENT_BAD_LENGTH, index);
    q.flags |= LAST_IN;
    q.length = end;
  }
  if (end == offset) return discard(d, q, Reason.FRAGMENT_BAD_LENGTH, index);
  const place = check_place(q, offset, end);
  if (place == Insert.DUPLICATE) return Reason.FRAGMENT_DUPLICATE;
  if (place == Insert.OVERLAP) return discard(d, q, Reason.FRAGMENT_OVERLAP, index);
  const header = p.l4 - p.l3;
  keep(d, q, p, index, offset, end - offset, header);
  const size = end - offset + header;
  if (size > q.max_size) q.max_size = size;
  if (field & IP_DF && size > q.max_df_size) q.max_df_size = size;
  return complete(q) ? reassemble4(d, q, p, index) : Reason.FRAGMENT_PENDING;
}

/** What the host sends waits apart from what it receives (IP_DEFRAG_CONNTRACK_OUT, IP_DEFRAG_CONNTRACK_IN). */
function user(p: Packet): u32 {
  return p.flags & PacketFlag.LEAVING ? 1 << 24 : 0;
}

function discard(d: Defrag, q: FragmentQueue, reason: Reason, index: u32): Reason {
  kill_queue(d, q, reason, index);
  return reason;
}

/** Copies a fragment into its queue. `header`: bytes in front of a first fragment's data that the whole packet keeps. */
function keep(d: Defrag, q: FragmentQueue, p: Packet, index: u32, offset: u32, length: u32, header: u32): FragmentPiece {
  const record = changetype<Record>(<usize>d.records + <usize>index * offsetof<Record>());
  const piece = changetype<FragmentPiece>(take_block(d));
  piece.offset = offset;
  piece.length = length;
  piece.captured = min(p.l4_captured, length);
  piece.memory = buffer_size(p.ip_len + MAC_BYTES);
  piece.number = record.number;
  begin_bytes(piece);
  if (offset == 0) {
    piece.header = header;
    piece.pkttype = p.pkttype;
    piece.mac = p.mac ? 1 : 0;
    if (p.mac) add_bytes(d, p.mac, MAC_BYTES);
    add_bytes(d, p.l3, header);
    q.flags |= FIRST_IN;
  }
  add_bytes(d, p.l4, piece.captured);
  insert_piece(d, q, piece);
  q.meat += length;
  q.ecn |= 1 << (p.tos & 3);
  return piece;
}

/** skb->truesize of a received frame up to a page: its buffer with what the kernel adds to it, and its struct sk_buff. */
function buffer_size(length: u32): u32 {
  return ((length + 64 + 63) & ~63) + 320 + 256;
}

function complete(q: FragmentQueue): bool {
  return q.flags == (FIRST_IN | LAST_IN) && q.meat == q.length;
}

/** RFC 3168 section 5.3; ip_frag_ecn_table. True if the fragments contradict each other. */
function ecn_clash(q: FragmentQueue): bool {
  return (q.ecn & SEEN_NOT_ECT) != 0 && (q.ecn & ~SEEN_NOT_ECT) != 0;
}

function congestion(q: FragmentQueue): u32 {
  return q.ecn & SEEN_CE && q.ecn & SEEN_ECT ? CE : 0;
}

/** ip_frag_reasm(). */
function reassemble4(d: Defrag, q: FragmentQueue, p: Packet, index: u32): Reason {
  if (ecn_clash(q)) return discard(d, q, Reason.FRAGMENT_ECN, index);
  const first = changetype<FragmentPiece>(<usize>q.runs);
  const header = first.header;
  const length = header + q.length;
  if (length > PACKET_MAX) return discard(d, q, Reason.FRAGMENT_TOO_BIG, index);
  const captured = header + captured_bytes(q);
  const l3 = build(d, q, captured, link_length(d, p, index));
  store16(l3 + 2, length);
  store<u8>(l3, load<u8>(l3, 1) | <u8>congestion(q), 1);
  store16(l3 + 6, q.max_df_size == q.max_size ? IP_DF : 0);
  store<u16>(l3, 0, 10);
  store<u16>(l3, <u16>(fold(sum_bytes(l3, header)) ^ 0xffff), 10);
  become(d, p, index, first, l3);
  go_on(d, p, index, decode_ipv4(p, l3, captured, length, d.checksums));
  kill_queue(d, q, Reason.NONE, index);
  return Reason.NONE;
}

/** nf_ct_frag6_gather(), nf_ct_frag6_queue(). */
function gather6(d: Defrag, p: Packet, index: u32): Reason {
  const l3: usize = p.l3;
  const fragment: usize = p.l4 - FRAGMENT_HEADER;
  const field = be16(fragment + 2);
  const offset = field & 0xfff8;
  if (offset == 0 && lacks_transport(p)) return as_it_is(d, p, index);
  if (!has_room(d, true)) return Reason.FRAGMENT_MEMORY;
  // Groups and link-local addresses mean another packet on another link.
  const scoped = load<u8>(l3, 24) == 0xff || (load<u8>(l3, 24) == 0xfe && (load<u8>(l3, 25) & 0xc0) == 0x80);
  const q = find_queue(d, p, be32(fragment + 4), (<u32>L3.IPV6 << 16) | user(p) | (scoped ? <u32>p.iif : 0));
  const end = offset + p.l4_len;
  if (end > PACKET_MAX) return Reason.FRAGMENT_TOO_BIG;
  if (field & 1) {
    if (end & 7) {
      kill_queue(d, q, Reason.FRAGMENT_BAD_LENGTH, index);
      return as_it_is(d, p, index);
    }
    if (end > q.length) {
      if (q.flags & LAST_IN) return Reason.FRAGMENT_BAD_LENGTH;
      q.length = end;
    }
  } else {
    if (end < q.length || (q.flags & LAST_IN && end != q.length)) return Reason.FRAGMENT_BAD_LENGTH;
    q.flags |= LAST_IN;
    q.length = end;
  }
  if (end == offset) return Reason.FRAGMENT_BAD_LENGTH;
  const place = check_place(q, offset, end);
  if (place == Insert.DUPLICATE) return Reason.FRAGMENT_DUPLICATE;
  if (place == Insert.OVERLAP) return discard(d, q, Reason.FRAGMENT_OVERLAP, index);
  const header = <u32>(fragment - l3);
  const piece = keep(d, q, p, index, offset, end - offset, header);
  if (p.ip_len > q.max_size) q.max_size = p.ip_len;
  piece.next_header_at = next_header_at(l3, header);
  piece.next_header = load<u8>(fragment);
  return complete(q) ? reassemble6(d, q, p, index) : Reason.FRAGMENT_PENDING;
}

/** nf_ct_frag6_reasm(). */
function reassemble6(d: Defrag, q: FragmentQueue, p: Packet, index: u32): Reason {
  if (ecn_clash(q)) return discard(d, q, Reason.FRAGMENT_ECN, index);
  const first = changetype<FragmentPiece>(<usize>q.runs);
  const header = first.header;
  const length = header + q.length;
  if (length - IPV6_HEADER > PACKET_MAX) return discard(d, q, Reason.FRAGMENT_TOO_BIG, index);
  const captured = header + captured_bytes(q);
  const l3 = build(d, q, captured, link_length(d, p, index));
  store<u8>(l3 + first.next_header_at, <u8>first.next_header);
  store16(l3 + 4, length - IPV6_HEADER);
  store<u8>(l3, load<u8>(l3, 1) | <u8>(congestion(q) << 4), 1);
  become(d, p, index, first, l3);
  go_on(d, p, index, decode_ipv6(p, l3, captured, length, d.checksums, true));
  kill_queue(d, q, Reason.NONE, index);
  return Reason.NONE;
}

/** A fragment that reassembly lets pass: it meets tracking and rules as what it is. */
function as_it_is(d: Defrag, p: Packet, index: u32): Reason {
  const l3 = p.l3;
  const mac = p.mac;
  const pkttype = p.pkttype;
  const length = p.ip_len;
  const captured = p.l4 - l3 + p.l4_captured;
  begin_again(d, p, index);
  p.mac = mac;
  p.pkttype = pkttype;
  go_on(d, p, index, decode_ipv6(p, l3, captured, length, d.checksums, true));
  return Reason.NONE;
}

/** Does a first fragment end before the transport header does (ipv6frag_thdr_truncated())? */
function lacks_transport(p: Packet): bool {
  const l3: usize = p.l3;
  const length = p.ip_len;
  const end = p.l4 - p.l3 + p.l4_captured;
  let at = p.l4 - p.l3;
  let next = <u32>load<u8>(l3 + at - FRAGMENT_HEADER);
  while (next == NEXT_HOP_BY_HOP || next == NEXT_ROUTING || next == NEXT_FRAGMENT || next == NEXT_AUTH || next == NEXT_DESTINATION) {
    const need: u32 = next == NEXT_FRAGMENT ? 8 : 2;
    // Headers that cannot be read, because the packet ends or the capture does, are no reason to let the fragment pass.
    if (at + need > length || at + need > end) return false;
    if (next == NEXT_FRAGMENT && be16(l3 + at + 2) & 0xfff8) return false;
    const units = <u32>load<u8>(l3 + at, 1);
    const size = next == NEXT_FRAGMENT ? 8 : next == NEXT_AUTH ? (units + 2) << 2 : (units + 1) << 3;
    next = load<u8>(l3 + at);
    at += size;
  }
  if (next == NEXT_NONE) return false;
  if (next == Proto.TCP) at += 20;
  else if (next == Proto.UDP || next == Proto.ICMPV6) at += 8;
  else at += 1;
  return at > length;
}

/** Where the header in front of the fragment header names it; the kernel keeps eight bits of that. */
function next_header_at(l3: usize, fragment: u32): u32 {
  let place: u32 = 6;
  let next = <u32>load<u8>(l3, 6);
  let at = IPV6_HEADER;
  while (at < fragment) {
    const units = <u32>load<u8>(l3 + at, 1);
    place = at;
    at += next == NEXT_AUTH ? (units + 2) << 2 : (units + 1) << 3;
    next = load<u8>(l3 + place);
  }
  return place & 0xff;
}

/** Bytes of the packet's data from its start that were captured without a gap. */
function captured_bytes(q: FragmentQueue): u32 {
  let total: u32 = 0;
  let run: usize = q.runs;
  while (run) {
    let at = run;
    while (at) {
      const piece = changetype<FragmentPiece>(at);
      total += piece.captured;
      if (piece.captured < piece.length) return total;
      at = piece.next;
    }
    run = changetype<FragmentPiece>(run).next_run;
  }
  return total;
}

/**
 * Lays the captured part of a complete packet into the ring: Assembled, Ethernet header, packet, lengths of its fragments.
 * Returns where IP begins.
 */
function build(d: Defrag, q: FragmentQueue, captured: u32, link: u32): usize {
  const lengths = (captured + 1) & ~1;
  const room = (ASSEMBLED_ROOM + lengths + count_pieces(q) * 2 + 15) & ~15;
  if (d.ring_top + room > d.ring_end) d.ring_top = d.ring;
  const l3: usize = d.ring_top + ASSEMBLED_ROOM;
  d.ring_top += room;
  const assembled = changetype<Assembled>(l3 - ASSEMBLED_ROOM);
  assembled.captured = captured;
  assembled.link = link;
  describe_pieces(q, assembled, l3 + lengths);
  let target = l3;
  let run: usize = q.runs;
  while (run) {
    let at = run;
    while (at) {
      const piece = changetype<FragmentPiece>(at);
      if (piece.offset == 0) {
        const mac = piece.mac ? MAC_BYTES : 0;
        copy_bytes(piece, l3 - mac, mac + piece.header + piece.captured);
        target += piece.header + piece.captured;
      } else {
        copy_bytes(piece, target, piece.captured);
        target += piece.captured;
      }
      if (piece.captured < piece.length) return l3;
      at = piece.next;
    }
    run = changetype<FragmentPiece>(run).next_run;
  }
  return l3;
}

function link_length(d: Defrag, p: Packet, index: u32): u32 {
  return p.l3 - changetype<Record>(<usize>d.records + <usize>index * offsetof<Record>()).data;
}

function count_pieces(q: FragmentQueue): u32 {
  let count: u32 = 0;
  for (let run: usize = q.runs; run; run = changetype<FragmentPiece>(run).next_run) {
    for (let at = run; at; at = changetype<FragmentPiece>(at).next) count++;
  }
  return count;
}

/** Who sends the packet on cuts it as it came. */
function describe_pieces(q: FragmentQueue, assembled: Assembled, lengths: usize): void {
  assembled.max_size = q.max_size;
  assembled.max_df_size = q.max_df_size;
  let next = lengths;
  for (let run: usize = q.runs; run; run = changetype<FragmentPiece>(run).next_run) {
    for (let at = run; at; at = changetype<FragmentPiece>(at).next) {
      store<u16>(next, <u16>changetype<FragmentPiece>(at).length);
      next += 2;
    }
  }
  assembled.count = <u32>(next - lengths) >> 1;
}

/** Makes the record of the completing fragment that of the whole packet: link header and kind are the first one's. */
function become(d: Defrag, p: Packet, index: u32, first: FragmentPiece, l3: usize): void {
  begin_again(d, p, index);
  p.flags |= <u16>PacketFlag.REASSEMBLED;
  p.mac = first.mac ? <u32>l3 - MAC_BYTES : 0;
  p.pkttype = <u8>first.pkttype;
}

function begin_again(d: Defrag, p: Packet, index: u32): void {
  const record = changetype<Record>(<usize>d.records + <usize>index * offsetof<Record>());
  const side = p.flags & (PacketFlag.ARRIVING | PacketFlag.LEAVING);
  clear(p);
  p.flags = <u16>side;
  p.clock = record.clock;
  p.iif = record.iface;
}

/** A packet that was decoded anew goes on to its lane, in packet order, or has no verdict. */
function go_on(d: Defrag, p: Packet, index: u32, reason: Reason): void {
  if (reason != Reason.NONE) {
    p.reason = <u8>reason;
    return;
  }
  const lane = <usize>lane_of(d.shards, p, deals_pairs(d.shards));
  const counter = <usize>d.lengths + lane * 4;
  const length = load<u32>(counter);
  const queue = <usize>d.queues + lane * BATCH_PACKETS * 2;
  let at = queue + <usize>length * 2;
  while (at > queue && <u32>load<u16>(at - 2) > index) {
    store<u16>(at, load<u16>(at - 2));
    at -= 2;
  }
  store<u16>(at, <u16>index);
  store<u32>(counter, length + 1);
}

function store16(at: usize, value: u32): void {
  store<u16>(at, bswap<u16>(<u16>value));
}
