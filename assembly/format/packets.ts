// What became of each packet? A line of JSON for each, as `--packets` writes them; src/report/packets.ts says what the
// fields mean and adds the texts of packets that have some of their own (PacketExtra).

import { FormatJob, Packet, PacketExtra, Record } from "../layout";
import { CtState, PacketFlag, Reason, Status } from "../vocabulary";
import { CT_STATUS_BITS, CT_STATUS_LOW, Piece, Table } from "./text";
import { put, put_bytes, put_i64, put_stamp, put_u32 } from "./write";

const NO_RULE: u32 = 0xffffffff;

/** Writes lines from `index` on until all are there or the room is used up. */
export function format_packets(job: FormatJob): void {
  let to: usize = job.out;
  const limit: usize = job.out_limit;
  let extra = changetype<PacketExtra>(<usize>job.extra);
  let index = job.index;
  while (index < job.count && to < limit) {
    const record = changetype<Record>(<usize>job.records + <usize>index * offsetof<Record>());
    const p = changetype<Packet>(<usize>job.items + <usize>index * offsetof<Packet>());
    if (extra.index == index) {
      to = put_packet(to, record, p, extra);
      extra = changetype<PacketExtra>(changetype<usize>(extra) + offsetof<PacketExtra>());
    } else to = put_packet(to, record, p, null);
    index++;
  }
  job.extra = <u32>changetype<usize>(extra);
  job.index = index;
  job.out = <u32>to;
}

function put_packet(to: usize, record: Record, p: Packet, extra: PacketExtra | null): usize {
  to = put(to, Table.PIECE, Piece.FILE);
  to = put_u32(to, record.file);
  to = put(to, Table.PIECE, Piece.N);
  to = put_u32(to, record.n);
  to = put(to, Table.PIECE, Piece.TS);
  to = put_stamp(to, record.ts);
  to = put(to, Table.PIECE, Piece.QUOTE);
  to = put(to, Table.PATH, p.path);
  if (p.iif) to = put(to, Table.IN, p.iif);
  if (p.oif) to = put(to, Table.OUT, p.oif);
  if (p.ct_state != CtState.NONE) to = put_conntrack(to, p, extra);
  to = put(to, Table.VERDICT, (<u32>p.verdict << 5) | p.reject);
  if (p.rule != NO_RULE) to = put(to, Table.RULE, p.rule);
  if (p.reason != Reason.NONE) to = put(to, Table.WHY, p.reason);
  if (extra) to = put_bytes(to, extra.why, extra.why_length);
  if (p.flags & (PacketFlag.REASSEMBLED | PacketFlag.FRAGMENT_OF)) to = put_fragment(to, record, p);
  if (extra) to = put_bytes(to, extra.last, extra.last_length);
  to = put(to, Table.EVENTS, p.events & 7);
  return put(to, Table.PIECE, Piece.LINE_END);
}

function put_conntrack(to: usize, p: Packet, extra: PacketExtra | null): usize {
  if (p.ct_state == CtState.INVALID) return put(to, Table.PIECE, Piece.CT_INVALID);
  if (p.ct_state == CtState.UNTRACKED) return put(to, Table.PIECE, Piece.CT_UNTRACKED);
  if (p.flow_id) {
    to = put(to, Table.PIECE, Piece.CT_WITH_ID);
    to = put_i64(to, <i64>p.flow_id);
    to = put(to, Table.PIECE, Piece.COMMA);
  } else to = put(to, Table.PIECE, Piece.CT);
  to = put(to, Table.CT_STATE, (<u32>p.dir << 3) | p.ct_state);
  const helped: u32 = p.status & Status.HELPER ? 1 << CT_STATUS_BITS : 0;
  to = put(to, Table.CT_STATUS, (<u32>p.status & CT_STATUS_LOW) | helped);
  to = put(to, Table.CT_PROTOCOL_STATE, p.tcp_state);
  to = put_u32(to, p.ct_mark);
  if (extra) to = put_bytes(to, extra.ct, extra.ct_length);
  return put(to, Table.PIECE, Piece.CLOSE);
}

/** Which fragment completed the packet. */
function put_fragment(to: usize, record: Record, p: Packet): usize {
  const own = (p.flags & PacketFlag.REASSEMBLED) != 0;
  to = put(to, Table.PIECE, Piece.FRAG);
  to = put_u32(to, own ? record.file : <u32>load<u16>(changetype<usize>(p) + offsetof<Packet>("l4")));
  to = put(to, Table.PIECE, Piece.N);
  to = put_u32(to, own ? record.n : p.hash);
  return put(to, Table.PIECE, Piece.CLOSE);
}
