// The trace of one packet: hooks, chains, rules, the entry and the window arithmetic, as records for `ctreplay trace`.

import { Expectation, Flow, Packet, TraceRecord, World } from "./layout";
import { flag_class } from "./track/tcp-states";
import { Status, TraceKind } from "./vocabulary";

const SECOND: u64 = 1_000_000_000;
const REWRITTEN_SHOWN: u32 = 48;

/** A fresh record; the last one is used again when the area is full. */
function next_record(w: World, kind: u32): TraceRecord {
  const record = changetype<TraceRecord>(<usize>w.trace_top);
  if (<usize>w.trace_top + offsetof<TraceRecord>() < <usize>w.trace_end) w.trace_top += <u32>offsetof<TraceRecord>();
  record.kind = kind;
  return record;
}

/** A hook begins (Hook). */
export function trace_hook(w: World, hook: u32): void {
  next_record(w, TraceKind.HOOK).a = hook;
}

/** A base chain begins: its slot in the function table. */
export function trace_chain(w: World, slot: u32): void {
  next_record(w, TraceKind.CHAIN).a = slot;
}

/** A base chain has returned: ChainVerdict and the rule that decided. */
export function trace_chain_end(w: World, verdict: u32, rule: u32): void {
  const record = next_record(w, TraceKind.CHAIN_END);
  record.a = verdict;
  record.b = rule;
}

/** A rule was looked at; called by rule code compiled for tracing. */
export function trace_rule(p: usize, world: usize, rule: u32, matched: u32): void {
  const w = changetype<World>(world);
  if (w.trace == 0) return;
  const record = next_record(w, TraceKind.RULE);
  record.a = rule;
  record.b = matched;
}

/** Where routing sends the packet: path, interfaces, and the reason if it goes nowhere. */
export function trace_route(w: World, p: Packet, reason: u32): void {
  const record = next_record(w, TraceKind.ROUTE);
  record.a = p.path;
  record.b = p.iif;
  record.c = p.oif;
  record.d = reason;
}

/** The host answers the packet: ICMP type and code as they lie in the error, 0 for a RST. */
export function trace_answer(w: World, own: Packet): void {
  const record = next_record(w, TraceKind.ANSWER);
  record.a = own.protonum;
  record.b = own.dport;
}

/**
 * Connection tracking has answered: state, direction, reason and its value, whether the packet has an entry, TCP flags and
 * flag class, and what completes the reason besides (Packet.ct_mark).
 */
export function trace_conntrack(w: World, p: Packet): void {
  const record = next_record(w, TraceKind.CONNTRACK);
  record.a = p.ct_state;
  record.b = p.dir;
  record.c = p.reason;
  record.d = p.why_value;
  record.e = p.flow ? 1 : 0;
  record.f = p.tcp_flags;
  record.g = flag_class(p.tcp_flags);
  record.h = p.ct_mark;
}

/** NAT has bound a new flow: which end (Manip), and what answers look like from now on (five double words). */
export function trace_nat(w: World, flow: Flow, manip: u32): void {
  const record = next_record(w, TraceKind.NAT);
  record.a = manip;
  record.b = flow.status;
  memory.copy(changetype<usize>(record) + offsetof<TraceRecord>("c"), changetype<usize>(flow) + offsetof<Flow>("reply_src_lo"), 40);
}

/** The entry was expected: by which entry, because of which helper. */
export function trace_expected(w: World, master: Flow, helper: u32): void {
  const record = next_record(w, TraceKind.EXPECTED);
  record.a = helper;
  record.b = <u32>master.id;
  record.c = <u32>(master.id >> 32);
}

/** A helper looks at the packet. */
export function trace_helper(w: World, helper: u32): void {
  next_record(w, TraceKind.HELPER).a = helper;
}

/** It expects a connection: whether from one address and from one port only, its tuple (five double words). */
export function trace_expect(w: World, e: Expectation): void {
  const record = next_record(w, TraceKind.EXPECT);
  record.a = (e.mask_lo | e.mask_hi) != 0 ? 1 : 0;
  record.b = e.mask_sport;
  memory.copy(changetype<usize>(record) + offsetof<TraceRecord>("c"), changetype<usize>(e), 40);
}

/** It puts `size` bytes in place of `length` at `offset` of the payload: the first 48 of them. */
export function trace_rewrite(w: World, offset: u32, length: u32, text: usize, size: u32): void {
  const record = next_record(w, TraceKind.REWRITE);
  record.a = offset;
  record.b = length;
  record.c = size;
  memory.copy(changetype<usize>(record) + offsetof<TraceRecord>("d"), text, min<u32>(size, REWRITTEN_SHOWN));
}

/** It does not let the packet pass (HelperFault). */
export function trace_refused(w: World, fault: u32): void {
  next_record(w, TraceKind.REFUSED).a = fault;
}

/**
 * An entry as it is before (when = 0) or after (1) the tracker: status, seconds left, identity, state, both peers. For SCTP
 * the first two numbers of the peers (b, c) are the verification tags.
 */
export function trace_flow(w: World, flow: Flow, when: u32): void {
  const confirmed = (flow.status & Status.CONFIRMED) != 0;
  const left = confirmed ? (flow.expires > w.now ? flow.expires - w.now : 0) : flow.expires;
  const record = next_record(w, TraceKind.FLOW);
  record.a = when;
  record.b = flow.status;
  record.c = <u32>(left / SECOND);
  record.d = <u32>flow.id;
  record.e = <u32>(flow.id >> 32);
  record.f = flow.tcp_state;
  record.g = flow.protonum;
  const peers = next_record(w, TraceKind.PEERS);
  peers.a = when;
  const original = flow.peer(0);
  peers.b = original.td_end;
  peers.c = original.td_maxend;
  peers.d = original.td_maxwin;
  peers.e = original.td_maxack;
  peers.f = <u32>original.td_scale | (<u32>original.flags << 8);
  const reply = flow.peer(1);
  peers.g = reply.td_end;
  peers.h = reply.td_maxend;
  peers.i = reply.td_maxwin;
  peers.j = reply.td_maxack;
  peers.k = <u32>reply.td_scale | (<u32>reply.flags << 8);
}

/** The numbers that tcp_in_window() judges by, and its four bounds as last good values. */
export function trace_window(
  w: World, seq: u32, ack: u32, sack: u32, end: u32, win: u32,
  seq_upper: u32, seq_lower: u32, ack_upper: u32, ack_lower: u32,
): void {
  const record = next_record(w, TraceKind.WINDOW);
  record.a = seq;
  record.b = ack;
  record.c = sack;
  record.d = end;
  record.e = win;
  record.f = seq_upper;
  record.g = seq_lower;
  record.h = ack_upper;
  record.i = ack_lower;
}
