// How does conntrack 1.4.7 print events and entries? Lines of `conntrack -E` and `conntrack -L` from EVENT records.
//
// What stands in a line depends on the attributes that the kernel puts into the netlink message
// (net/netfilter/nf_conntrack_netlink.c), which src/report/conntrack-text.ts lists.

import { be16 } from "../bytes";
import { Event, FlowExtra, FormatJob, Tuple } from "../layout";
import { EventBit, EventKind, Proto, Status } from "../vocabulary";
import { put_address } from "./address";
import { FlowMode, Piece, Table } from "./text";
import { put, put_bytes, put_hex16, put_i64, put_micros, put_u32, put_u64, seconds_of } from "./write";

const SPACE: u8 = 32;
const TAB: u8 = 9;
const NEWLINE: u8 = 10;
const OPEN: u8 = 91;
const SHUT: u8 = 93;

/** Writes lines from `index` on until all are there or the room is used up. `extra` is 0 or FlowExtra[count]. */
export function format_flows(job: FormatJob): void {
  let to: usize = job.out;
  const limit: usize = job.out_limit;
  const modes = job.modes;
  let index = job.index;
  while (index < job.count && to < limit) {
    const e = changetype<Event>(<usize>job.items + <usize>index * offsetof<Event>());
    const extra: usize = job.extra ? <usize>job.extra + <usize>index * offsetof<FlowExtra>() : 0;
    if (modes & FlowMode.TIMESTAMP) to = put_time(to, e.time);
    if (!(modes & FlowMode.LISTED)) to = put(to, Table.KIND, e.kind);
    to = put_entry(to, e, modes, changetype<FlowExtra | null>(extra));
    // Every word brings a space behind it; the last one's is the end of the line.
    store<u8>(to - 1, NEWLINE);
    index++;
  }
  job.index = index;
  job.out = <u32>to;
}

function put_time(to: usize, time: u64): usize {
  store<u8>(to, OPEN);
  to = put_micros(to + 1, time);
  store<u8>(to, SHUT);
  store<u8>(to, TAB, 1);
  return to + 2;
}

function put_entry(to: usize, e: Event, modes: u32, extra: FlowExtra | null): usize {
  const listed = (modes & FlowMode.LISTED) != 0;
  const destroy = e.kind == EventKind.DESTROY;
  const complete = listed || destroy;
  const original = changetype<Tuple>(changetype<usize>(e) + offsetof<Event>("original_0"));
  const reply = changetype<Tuple>(changetype<usize>(e) + offsetof<Event>("reply_0"));
  const protonum: u32 = original.protonum;
  const counted = complete && e.packets_original != 0;
  const one_zone = original.zone == reply.zone;
  if (modes & FlowMode.EXTENDED) to = put(to, Table.FAMILY, original.l3num);
  to = put(to, Table.PROTOCOL, protonum);
  if (!destroy || listed || e.timeout_s != 0) to = word(put_u32(to, e.timeout_s));
  if (complete || e.bits & EventBit.PROTOINFO) {
    if (protonum == Proto.TCP) to = put(to, Table.TCP_STATE, e.tcp_state);
    else if (protonum == Proto.SCTP) to = put(to, Table.SCTP_STATE, e.tcp_state);
  }
  to = put_tuple(to, original);
  if (!one_zone && original.zone) to = number(to, Piece.ZONE_ORIG, original.zone);
  if (counted) to = put_counters(to, e.packets_original, e.bytes_original);
  if (!(e.status & Status.SEEN_REPLY)) to = put(to, Table.PIECE, Piece.UNREPLIED);
  to = put_tuple(to, reply);
  if (!one_zone && reply.zone) to = number(to, Piece.ZONE_REPLY, reply.zone);
  if (counted) to = put_counters(to, e.packets_reply, e.bytes_reply);
  if (e.status & Status.ASSURED) to = put(to, Table.PIECE, Piece.ASSURED);
  if (listed || e.mark != 0 || e.bits & EventBit.MARK) to = number(to, Piece.MARK, e.mark);
  if (one_zone && original.zone) to = number(to, Piece.ZONE, original.zone);
  if (complete && e.start) {
    const start = seconds_of(e.start);
    to = put(to, Table.PIECE, Piece.DELTA_TIME);
    to = word(put_i64(to, <i64>(seconds_of(e.time) - start)));
  }
  if (extra) to = put_bytes(to, extra.times, extra.times_length);
  if (!destroy && e.helper) to = put(to, Table.HELPER, e.helper);
  if (listed) to = number(to, Piece.USE, 1 + e.children);
  if (modes & FlowMode.ID) {
    to = put(to, Table.PIECE, Piece.ID);
    to = word(put_i64(to, <i64>e.id));
  }
  if (extra) to = put_bytes(to, extra.labels, extra.labels_length);
  return to;
}

// @ts-ignore: decorator
@inline function word(to: usize): usize {
  store<u8>(to, SPACE);
  return to + 1;
}

function number(to: usize, name: Piece, value: u32): usize {
  return word(put_u32(put(to, Table.PIECE, name), value));
}

function hex(to: usize, name: Piece, value: u32): usize {
  return word(put_hex16(put(to, Table.PIECE, name), value));
}

function put_counters(to: usize, packets: u64, bytes: u64): usize {
  to = word(put_u64(put(to, Table.PIECE, Piece.PACKETS), packets));
  return word(put_u64(put(to, Table.PIECE, Piece.BYTES), bytes));
}

function put_tuple(to: usize, t: Tuple): usize {
  const at = changetype<usize>(t);
  const sport = be16(at + offsetof<Tuple>("sport"));
  const dport = be16(at + offsetof<Tuple>("dport"));
  to = put(to, Table.PIECE, Piece.SRC);
  to = word(put_address(to, at, t.l3num));
  to = put(to, Table.PIECE, Piece.DST);
  to = word(put_address(to, at + offsetof<Tuple>("dst_lo"), t.l3num));
  switch (<u32>t.protonum) {
    case Proto.TCP:
    case Proto.UDP:
    case Proto.UDPLITE:
    case Proto.SCTP:
    case Proto.DCCP:
      return number(number(to, Piece.SPORT, sport), Piece.DPORT, dport);
    case Proto.ICMP:
    case Proto.ICMPV6:
      to = number(number(to, Piece.TYPE, dport >> 8), Piece.CODE, dport & 0xff);
      return number(to, Piece.ICMP_ID, sport);
    case Proto.GRE:
      return hex(hex(to, Piece.SRCKEY, sport), Piece.DSTKEY, dport);
    default:
      return to;
  }
}
