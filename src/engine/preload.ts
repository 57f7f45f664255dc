// The connection table that a run starts with (the host's `conntrack -L`).
//
// What the tool prints is not all there is: window state is lost, so such a TCP flow is tracked like one picked up in
// mid-stream; so are the verification tags of SCTP, which its next packets tell, and what helpers have read and expect. Entries
// are numbered -1, -2, ... in the order of the file.

import { Helper, Proto, Status } from '../../assembly/vocabulary.ts';
import { EngineError } from '../errors.ts';
import type { LanePlan } from '../pool/lane.ts';
import type { ConntrackEntry, EntryTuple } from '../topology/conntrack-table.ts';
import type { EngineExports } from './engine.ts';
import { FLOW, TUPLE, WORLD } from './layout.ts';
import type { WorldImage } from './world.ts';

const SECOND = 1_000_000_000n;

/** Puts the host's entries into the lanes' tables; their timeouts count from `start` (ns since 1970). */
export function preloadTable(image: WorldImage, engine: EngineExports, plan: LanePlan, start: bigint): void {
  const view = new DataView(plan.memory.buffer);
  const bytes = new Uint8Array(plan.memory.buffer);
  image.plan.host.conntrack.forEach((entry, index) => {
    // The unconfirmed entry of the first lane is free while nothing is tracked yet.
    const template = view.getUint32(image.lanes[0]! + WORLD.unconfirmed, true);
    bytes.fill(0, template, template + FLOW.size);
    writeTuple(view, bytes, template, entry, entry.original);
    writeTuple(view, bytes, template + FLOW.reply_src_lo, entry, entry.reply);
    view.setUint16(template + FLOW.status, statusBits(entry), true);
    view.setUint32(template + FLOW.mark, entry.mark ?? 0, true);
    view.setUint8(template + FLOW.tcp_state, entry.tcpState ?? entry.sctpState ?? 0);
    view.setBigUint64(template + FLOW.expires, start + BigInt(entry.timeout) * SECOND, true);
    view.setBigInt64(template + FLOW.id, BigInt(-1 - index), true);
    const world = image.lanes[engine.lane_of_tuple(plan.shards, template)]!;
    if (!engine.preload_flow(world, template, entry.helper ?? Helper.NONE)) {
      throw new EngineError('table-full', `the host's conntrack table does not fit into memory (entry ${index + 1})`);
    }
  });
}

function statusBits(entry: ConntrackEntry): number {
  const done = Status.SRC_NAT_DONE | Status.DST_NAT_DONE;
  return (entry.unreplied ? 0 : Status.SEEN_REPLY) | (entry.assured ? Status.ASSURED : 0) | natBits(entry) | done;
}

/** Which ends NAT changed, told from the tuples. An ICMP id is that of the source (nf_nat_setup_info()). */
function natBits({ protocol, original, reply }: ConntrackEntry): number {
  const icmp = protocol === Proto.ICMP || protocol === Proto.ICMPV6;
  const same = (a: Uint8Array, b: Uint8Array) => a.every((byte, index) => byte === b[index]);
  const sport = icmp ? reply.sport : reply.dport;
  const source = !same(original.src, reply.dst) || original.sport !== sport;
  const target = !same(original.dst, reply.src) || (!icmp && original.dport !== reply.sport);
  return (source ? Status.SRC_NAT : 0) | (target ? Status.DST_NAT : 0);
}

function writeTuple(view: DataView, bytes: Uint8Array, at: number, entry: ConntrackEntry, tuple: EntryTuple): void {
  bytes.set(tuple.src, at + TUPLE.src_lo);
  bytes.set(tuple.dst, at + TUPLE.dst_lo);
  view.setUint16(at + TUPLE.sport, tuple.sport, false);
  view.setUint16(at + TUPLE.dport, tuple.dport, false);
  view.setUint16(at + TUPLE.zone, tuple.zone ?? 0, true);
  view.setUint8(at + TUPLE.protonum, entry.protocol);
  view.setUint8(at + TUPLE.l3num, entry.family);
}
