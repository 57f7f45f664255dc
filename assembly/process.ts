// Batches: decode one and deal its packets to lanes; track a lane's share of one; sweep at its end.
//
// Every function takes a bounded amount of work and returns, because V8 optimises a function only when it is called
// again.

import { decode_usual } from "./decode-usual";
import { fill_event, fill_expectation, EVENTS_PER_PACKET } from "./event";
import { expectations_may_run_out, sweep_expectations } from "./expect";
import { set_reply_scratch } from "./flow-pool";
import { FETCH, fetch_lines, set_fetch_scratch } from "./flow-table";
import { EXPECTATIONS_PER_FLOW } from "./help";
import { judge, judge_usual, usual_world, USUAL_NEVER } from "./hook";
import { EVICTIONS_MAX, table_is_full } from "./limit";
import { BATCH_PACKETS, Event, Expectation, FINDS_MAX, Flow, LogRecord, Packet, PAIRS_MAX, Record, Sights, World } from "./layout";
import { NAT_EVENTS_MAX } from "./nat-tuple";
import { decode, set_inner_scratch } from "./packet";
import { SENT_ROOM } from "./sent";
import { deals_pairs, lane_of, set_quoted_scratch } from "./shard";
import { look, may_tell } from "./sight";
import { set_error_scratch } from "./conntrack";
import { tally } from "./tally";
import { set_group_scratch, sweep } from "./timer";
import { set_peer_scratch } from "./track/tcp";
import { seed_hash } from "./tuple";
import { Reason, Status } from "./vocabulary";

const PACKET: usize = offsetof<Packet>();
const RECORD: usize = offsetof<Record>();

/**
 * Most events of expectations that one packet can cause: those of a connection that ends, new ones that replace others, and
 * those that are given up because of their pair.
 */
const EXPECTATION_EVENTS: usize = EXPECTATIONS_PER_FLOW + 4 * FINDS_MAX + 3 * PAIRS_MAX;

/** Prepares this instance: 1344 bytes of scratch memory of its own, and the run's hash seed. */
export function init_instance(scratch: usize, seed_lo: u32, seed_hi: u32): void {
  set_inner_scratch(scratch);
  set_error_scratch(scratch + 64);
  set_peer_scratch(scratch + 128);
  set_reply_scratch(scratch + 192);
  set_fetch_scratch(scratch + 256);
  set_quoted_scratch(scratch + 512);
  set_group_scratch(scratch + 576);
  seed_hash(((<u64>seed_hi) << 32) | seed_lo);
}

/**
 * Decodes `count` records into packets and appends each that goes on to the queue of its lane: `queues` holds a
 * u16[BATCH_PACKETS] of packet indices per lane, `lengths` a u32 per lane, `shards` is a shard table. Fragments are appended
 * to the queue behind those of the lanes, number `fragments`: defrag_batch() has to see them. `sights` is a Sights record
 * or 0. True if match_sights() has to see the batch.
 */
export function decode_batch(
  records: usize, count: u32, packets: usize, checksums: u32, queues: usize, lengths: usize, shards: usize, fragments: u32,
  sights: usize,
): bool {
  const pairs = deals_pairs(shards);
  let sided = false;
  for (let i: u32 = 0; i < count; i++) {
    const p = changetype<Packet>(packets + <usize>i * PACKET);
    const record = changetype<Record>(records + <usize>i * RECORD);
    const judged = decode_usual(p, record, checksums) || decode(p, record, checksums);
    if (sights && may_tell(changetype<Sights>(sights), record) && look(changetype<Sights>(sights), p, record)) sided = true;
    if (!judged && p.reason != Reason.FRAGMENT_PENDING) continue;
    const lane = <usize>(judged ? lane_of(shards, p, pairs) : fragments);
    const length = load<u32>(lengths + lane * 4);
    store<u16>(queues + (lane * BATCH_PACKETS + length) * 2, <u16>i);
    store<u32>(lengths + lane * 4, length + 1);
  }
  return sided;
}

/** A second firewall judges a copy of each packet. */
export function copy_packets(target: usize, source: usize, count: u32): void {
  const end = source + <usize>count * PACKET;
  while (source < end) {
    v128.store(target, v128.load(source));
    source += 16;
    target += 16;
  }
}

/**
 * Tracks the packets `from` to `length` of a lane's queue. `first` is the number of the batch's first packet. Returns
 * where it stopped: `length`, or earlier if the event, log or sent area has no room for another packet, or if the table is full.
 */
export function track_queue(world: usize, packets: usize, queue: usize, from: u32, length: u32, first: f64): u32 {
  const w = changetype<World>(world);
  const base = <u64>first;
  const events_room = <u32>(
    (EVENTS_PER_PACKET + (w.limits ? EVICTIONS_MAX : 0) + (w.nat ? NAT_EVENTS_MAX : 0) + (w.helping ? EXPECTATION_EVENTS : 0)) *
    offsetof<Event>()
  );
  const logs_room = w.logs_reserve * <u32>offsetof<LogRecord>();
  const usual = usual_world(w);
  const helping = w.helping != 0;
  const careful = (w.events | logs_room | w.sent | w.limits | w.helping | w.trace_area) != 0;
  let fetching = from;
  let fetched = from;
  for (let i = from; i < length; i++) {
    if (i == fetched) {
      fetching = i;
      fetched = min(i + FETCH, length);
      fetch_lines(w, packets, queue, i, fetched);
    }
    const index = <u32>load<u16>(queue + <usize>i * 2);
    const p = changetype<Packet>(packets + <usize>index * PACKET);
    w.number = base + index;
    w.now = p.clock;
    w.event_sequence = 0;
    if (careful) {
      if (w.events && w.events_end - w.events_top < events_room) return i;
      if (w.logs_end - w.logs_top < logs_room) return i;
      if (w.sent && w.sent_end - w.sent_top < SENT_ROOM) return i;
      // Entries whose time has come do not count against the limit.
      if (w.limits && table_is_full(w) && !sweep(w, w.now)) return i;
      if (helping && expectations_may_run_out(w) && !sweep_expectations(w, w.now)) return i;
      w.trace = w.number == w.trace_number ? w.trace_area : 0;
    }
    if (p.reason != Reason.EGRESS_COPY) {
      if (usual == USUAL_NEVER) judge(w, p);
      else judge_usual(w, p, usual, i - fetching);
    }
    if (w.table_full) return i;
    if (w.tally) tally(w, p);
  }
  w.trace = 0;
  return length;
}

/** Lets everything expire that is due at `clock` (ns, as two words). False if the event area filled up: call again. */
export function sweep_world(world: usize, clock_lo: u32, clock_hi: u32): bool {
  const w = changetype<World>(world);
  const now = ((<u64>clock_hi) << 32) | clock_lo;
  return sweep(w, now) && (w.helping == 0 || sweep_expectations(w, now));
}

/** The first live entry at or behind `flow`, 0 if there is none: walks the table. */
export function next_flow(world: usize, flow: usize): usize {
  const end: usize = changetype<World>(world).flows_top;
  while (flow < end) {
    const status = changetype<Flow>(flow).status;
    if (status & Status.CONFIRMED && !(status & Status.DYING)) return flow;
    flow += changetype<World>(world).flow_bytes;
  }
  return 0;
}

/** Describes an entry as it is at `now` (ns, as two words) in an Event record. */
export function describe_flow(world: usize, flow: usize, event: usize, now_lo: u32, now_hi: u32): void {
  fill_event(changetype<World>(world), changetype<Event>(event), changetype<Flow>(flow), ((<u64>now_hi) << 32) | now_lo);
}

/** The same of an expectation. */
export function describe_expectation(expectation: usize, event: usize, now_lo: u32, now_hi: u32): void {
  fill_expectation(changetype<Event>(event), changetype<Expectation>(expectation), ((<u64>now_hi) << 32) | now_lo);
}
