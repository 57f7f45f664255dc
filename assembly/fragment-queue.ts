// Which fragments belong together, which of them are there, and since when? Queues of one packet's fragments.
// Kernel: net/ipv4/inet_fragment.c; the distance of a source's fragments: ip_frag_too_far() in net/ipv4/ip_fragment.c.

import { free_block, free_piece, take_block } from "./fragment-store";
import {
  DEFRAG_BUCKETS, Defrag, FragmentEnd, FragmentPeer, FragmentPiece, FragmentQueue, Packet, Record,
} from "./layout";
import { L3, Reason } from "./vocabulary";

const SECOND: u64 = 1_000_000_000;
/** What a queue counts against the limit: struct ipq and struct frag_queue on 64-bit machines. */
const QUEUE_MEMORY_4: u32 = 200;
const QUEUE_MEMORY_6: u32 = 184;

export const FIRST_IN: u32 = 1;
export const LAST_IN: u32 = 2;

/** What became of an insertion. */
export const enum Insert { OK, DUPLICATE, OVERLAP }

function is_six(q: FragmentQueue): bool {
  return (q.kind >> 16 & 0xff) == L3.IPV6;
}

function hash_of(p: Packet, id: u32, kind: u32): u32 {
  let h = (p.src_lo ^ (<u64>id << 32 | kind)) * 0x9e3779b97f4a7c15;
  h = (h ^ (h >> 32) ^ p.dst_lo ^ p.src_hi) * 0xff51afd7ed558ccd;
  h = (h ^ (h >> 29) ^ p.dst_hi) * 0x9e3779b97f4a7c15;
  return <u32>(h >> 32);
}

/** May another fragment of this family be kept (inet_frag_find())? */
export function has_room(d: Defrag, six: bool): bool {
  const limit = six ? d.high_6 : d.high_4;
  return limit != 0 && (six ? d.memory_6 : d.memory_4) <= limit;
}

function account(d: Defrag, six: bool, bytes: u32): void {
  if (six) d.memory_6 += bytes;
  else d.memory_4 += bytes;
}

/** The queue that a fragment belongs to, a new one if there is none. */
export function find_queue(d: Defrag, p: Packet, id: u32, kind: u32): FragmentQueue {
  const hash = hash_of(p, id, kind);
  const bucket = <usize>d.buckets + <usize>(hash & (DEFRAG_BUCKETS - 1)) * 4;
  let at: usize = load<u32>(bucket);
  while (at) {
    const known = changetype<FragmentQueue>(at);
    if (known.hash == hash && known.id == id && known.kind == kind && known.src_lo == p.src_lo && known.src_hi == p.src_hi &&
      known.dst_lo == p.dst_lo && known.dst_hi == p.dst_hi) return known;
    at = known.next;
  }
  const block = take_block(d);
  const q = changetype<FragmentQueue>(block);
  q.next = load<u32>(bucket);
  store<u32>(bucket, <u32>block);
  q.hash = hash;
  q.id = id;
  q.kind = kind;
  q.src_lo = p.src_lo;
  q.src_hi = p.src_hi;
  q.dst_lo = p.dst_lo;
  q.dst_hi = p.dst_hi;
  const six = is_six(q);
  account(d, six, six ? QUEUE_MEMORY_6 : QUEUE_MEMORY_4);
  if (!six && d.max_dist) q.peer = hold_peer(d, <u32>p.src_lo);
  start_timer(d, q, p.clock);
  return q;
}

/** Puts a queue, new or taken off the list, behind all others of its family: they live equally long. */
function start_timer(d: Defrag, q: FragmentQueue, now: u64): void {
  const at = <u32>changetype<usize>(q);
  const six = is_six(q);
  q.expires = now + <u64>(six ? d.timeout_6 : d.timeout_4) * SECOND;
  const before = six ? d.newest_6 : d.newest_4;
  q.older = before;
  q.younger = 0;
  if (before) changetype<FragmentQueue>(<usize>before).younger = at;
  else if (six) d.oldest_6 = at;
  else d.oldest_4 = at;
  if (six) d.newest_6 = at;
  else d.newest_4 = at;
}

function stop_timer(d: Defrag, q: FragmentQueue): void {
  const six = is_six(q);
  if (q.older) changetype<FragmentQueue>(<usize>q.older).younger = q.younger;
  else if (six) d.oldest_6 = q.younger;
  else d.oldest_4 = q.younger;
  if (q.younger) changetype<FragmentQueue>(<usize>q.younger).older = q.older;
  else if (six) d.newest_6 = q.older;
  else d.newest_4 = q.older;
}

/** Forgets a queue; every fragment in it ends for `reason`, by packet `by` of the batch. */
export function kill_queue(d: Defrag, q: FragmentQueue, reason: u32, by: u32): void {
  flush(d, q, reason, by);
  stop_timer(d, q);
  let link = <usize>d.buckets + <usize>(q.hash & (DEFRAG_BUCKETS - 1)) * 4;
  while (<usize>load<u32>(link) != changetype<usize>(q)) link = <usize>load<u32>(link) + offsetof<FragmentQueue>("next");
  store<u32>(link, q.next);
  if (q.peer) drop_peer(d, changetype<FragmentPeer>(<usize>q.peer));
  const six = is_six(q);
  account(d, six, 0 - (six ? QUEUE_MEMORY_6 : QUEUE_MEMORY_4));
  free_block(d, changetype<usize>(q));
}

/** Empties a queue that lives on, with its time begun anew (ip_frag_reinit()). */
export function restart_queue(d: Defrag, q: FragmentQueue, now: u64, by: u32): void {
  flush(d, q, Reason.FRAGMENT_TOO_FAR, by);
  stop_timer(d, q);
  start_timer(d, q, now);
  q.flags = 0;
  q.length = 0;
  q.meat = 0;
  q.ecn = 0;
}

function flush(d: Defrag, q: FragmentQueue, reason: u32, by: u32): void {
  const six = is_six(q);
  let run: usize = q.runs;
  while (run) {
    const next_run: usize = changetype<FragmentPiece>(run).next_run;
    let at = run;
    while (at) {
      const piece = changetype<FragmentPiece>(at);
      at = piece.next;
      report(d, piece.number, by, reason);
      account(d, six, 0 - piece.memory);
      free_piece(d, piece);
    }
    run = next_run;
  }
  q.runs = 0;
  q.last_run = 0;
  q.tail = 0;
}

function report(d: Defrag, number: u64, by: u32, reason: u32): void {
  if (d.ends + <u32>offsetof<FragmentEnd>() > d.ends_end) unreachable();
  const end = changetype<FragmentEnd>(<usize>d.ends);
  end.number = number;
  end.by = by;
  end.reason = reason;
  d.ends += <u32>offsetof<FragmentEnd>();
}

/** Kills the queues whose time is up at `now`. */
export function expire_queues(d: Defrag, now: u64): void {
  while (d.oldest_4 && changetype<FragmentQueue>(<usize>d.oldest_4).expires <= now) time_out(d, d.oldest_4);
  while (d.oldest_6 && changetype<FragmentQueue>(<usize>d.oldest_6).expires <= now) time_out(d, d.oldest_6);
}

function time_out(d: Defrag, at: usize): void {
  const q = changetype<FragmentQueue>(at);
  kill_queue(d, q, Reason.FRAGMENT_TIMEOUT, first_at(d, q.expires));
}

/** Index of the first packet of the batch that is not before `time`; the last one's if all are. */
function first_at(d: Defrag, time: u64): u32 {
  let from: u32 = 0;
  let to = d.count;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (changetype<Record>(<usize>d.records + <usize>middle * offsetof<Record>()).clock < time) from = middle + 1;
    else to = middle;
  }
  return d.count && from == d.count ? from - 1 : from;
}

/**
 * Is there room in the queue for bytes `offset` to `end`? DUPLICATE if all of them are in one run already, OVERLAP if
 * some are (inet_frag_queue_insert()). Runs grow only at the end of the queue: neighbours elsewhere stay runs of their
 * own, and what repeats two of them is no duplicate.
 */
export function check_place(q: FragmentQueue, offset: u32, end: u32): Insert {
  if (q.tail == 0) return Insert.OK;
  const tail_end = changetype<FragmentPiece>(<usize>q.last_run).run_end;
  if (tail_end < end) return offset < tail_end ? Insert.OVERLAP : Insert.OK;
  let at: usize = q.runs;
  while (at) {
    const run = changetype<FragmentPiece>(at);
    if (end <= run.offset) return Insert.OK;
    if (offset < run.run_end) return offset >= run.offset && end <= run.run_end ? Insert.DUPLICATE : Insert.OVERLAP;
    at = run.next_run;
  }
  return Insert.OK;
}

/** Puts a piece where check_place() said it can go. */
export function insert_piece(d: Defrag, q: FragmentQueue, piece: FragmentPiece): void {
  const at = <u32>changetype<usize>(piece);
  const end = piece.offset + piece.length;
  account(d, is_six(q), piece.memory);
  piece.run_end = end;
  if (q.tail == 0) {
    q.runs = at;
    q.last_run = at;
    q.tail = at;
    return;
  }
  const last = changetype<FragmentPiece>(<usize>q.last_run);
  if (last.run_end < end) {
    if (piece.offset == last.run_end) {
      changetype<FragmentPiece>(<usize>q.tail).next = at;
      last.run_end = end;
    } else {
      last.next_run = at;
      q.last_run = at;
    }
    q.tail = at;
    return;
  }
  let link = changetype<usize>(q) + offsetof<FragmentQueue>("runs");
  while (changetype<FragmentPiece>(<usize>load<u32>(link)).offset < piece.offset) {
    link = <usize>load<u32>(link) + offsetof<FragmentPiece>("next_run");
  }
  piece.next_run = load<u32>(link);
  store<u32>(link, at);
}

/** Counts a fragment of the queue's source. Have too many others come since the queue's last (ip_frag_too_far())? */
export function too_far(d: Defrag, q: FragmentQueue): bool {
  if (q.peer == 0) return false;
  const peer = changetype<FragmentPeer>(<usize>q.peer);
  const before = q.rid;
  peer.rid++;
  q.rid = peer.rid;
  return q.tail != 0 && peer.rid - before > d.max_dist;
}

// @ts-ignore: decorator
@inline function peer_bucket(d: Defrag, address: u32): usize {
  return <usize>d.buckets + <usize>(DEFRAG_BUCKETS + ((address * 0x9e3779b1) >> 18)) * 4;
}

function hold_peer(d: Defrag, address: u32): u32 {
  const bucket = peer_bucket(d, address);
  let at: usize = load<u32>(bucket);
  while (at && changetype<FragmentPeer>(at).address != address) at = changetype<FragmentPeer>(at).next;
  if (at == 0) {
    at = take_block(d);
    changetype<FragmentPeer>(at).next = load<u32>(bucket);
    changetype<FragmentPeer>(at).address = address;
    store<u32>(bucket, <u32>at);
  }
  changetype<FragmentPeer>(at).queues++;
  return <u32>at;
}

/** A source without queues is forgotten: its count means nothing to queues to come. */
function drop_peer(d: Defrag, peer: FragmentPeer): void {
  if (--peer.queues) return;
  let link = peer_bucket(d, peer.address);
  while (<usize>load<u32>(link) != changetype<usize>(peer)) link = load<u32>(link);
  store<u32>(link, peer.next);
  free_block(d, changetype<usize>(peer));
}
