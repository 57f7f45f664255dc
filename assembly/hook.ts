// The path of one packet through the hooks, and its final verdict.
//
// A hook is a list of steps in priority order, made by src/engine/world.ts from the base chains of the ruleset and the
// place of connection tracking. Each base chain is one function of the emitted rule code.

import { announce, bury, confirm, conntrack_in, find_live } from "./conntrack";
import { Flow, Packet, Step, STEPS_MAX, Tuple, World } from "./layout";
import { reject_verifies } from "./packet";
import { send_reset } from "./reset";
import { route_decide, route_loops, route_path } from "./route";
import { trace_chain, trace_chain_end, trace_conntrack, trace_hook, trace_route } from "./trace";
import { tcp_set_closing } from "./track/tcp";
import { shown_state } from "./track/tracker";
import {
  ChainVerdict, CtState, Hook, L3, PacketFlag, Path, Proto, Reason, RejectWith, Status, StepKind, Verdict,
} from "./vocabulary";
import { ICMP_HEADER } from "./wire/icmp";
import { ipv4_options, OptionFault } from "./wire/ip-options";
import { TCP_HEADER_MIN, TCP_RST } from "./wire/tcp";

const NO_RULE: u32 = 0xffffffff;

/** The rule of the filter table that accepted the packet so far. */
let filter_rule: u32 = NO_RULE;

/** Judges one decoded packet: fills verdict, rule, state and reason, and moves its flow on. */
export function judge(w: World, p: Packet): void {
  filter_rule = NO_RULE;
  route_path(p, w);
  const verdict = p.path == Path.OUTPUT ? send(w, p) : receive(w, p);
  p.verdict = <u8>verdict;
  if (verdict == Verdict.ACCEPT && filter_rule != NO_RULE) p.rule = filter_rule;
  if (verdict == Verdict.REJECT) reject(w, p);
  describe(w, p);
  bury(w);
}

/** A packet from outside: PREROUTING, the routing decision, then INPUT or FORWARD and POSTROUTING. */
function receive(w: World, p: Packet): u32 {
  let verdict = run(w, p, Hook.PREROUTING);
  if (verdict != Verdict.ACCEPT) return verdict;
  if (p.flags & PacketFlag.IP_OPTIONS && p.l3num == L3.IPV4) {
    const fault = ipv4_options(p.l3);
    if (fault != OptionFault.NONE) return drop(p, fault == OptionFault.MALFORMED ? Reason.IP_OPTIONS : Reason.SOURCE_ROUTE);
  }
  const reason = route(w, p);
  if (reason != Reason.NONE) {
    if (answered(reason)) answer(w, p);
    return drop(p, reason);
  }
  if (p.path == Path.INPUT) {
    verdict = run(w, p, Hook.INPUT);
  } else {
    // ip_forward() and ip6_forward() count the hop before the hook.
    p.ttl--;
    verdict = run(w, p, Hook.FORWARD);
    if (verdict == Verdict.ACCEPT) verdict = run(w, p, Hook.POSTROUTING);
  }
  return verdict == Verdict.ACCEPT ? finish(w, p) : verdict;
}

/** A packet that the host itself sends. */
function send(w: World, p: Packet): u32 {
  const reason = route(w, p);
  if (reason != Reason.NONE) return drop(p, reason);
  let verdict = run(w, p, Hook.OUTPUT);
  if (verdict == Verdict.ACCEPT) verdict = run(w, p, Hook.POSTROUTING);
  if (verdict == Verdict.ACCEPT) verdict = finish(w, p);
  return verdict == Verdict.ACCEPT && route_loops(p, w) ? loop_back(w, p) : verdict;
}

/**
 * A packet of the host's own to itself goes on as received on loopback. It keeps what connection tracking and the rules
 * gave it, mark included; only what was INVALID is looked at again (kernel: loopback_xmit(), nf_conntrack_in()).
 */
function loop_back(w: World, p: Packet): u32 {
  p.iif = p.oif;
  p.oif = 0;
  if (p.ct_state == CtState.INVALID) {
    p.ct_state = <u8>CtState.NONE;
    p.template = 0;
  }
  let verdict = run(w, p, Hook.PREROUTING);
  if (verdict == Verdict.ACCEPT) verdict = run(w, p, Hook.INPUT);
  return verdict == Verdict.ACCEPT ? finish(w, p) : verdict;
}

function route(w: World, p: Packet): Reason {
  const reason = route_decide(p, w);
  if (w.trace) trace_route(w, p, reason);
  return reason;
}

function finish(w: World, p: Packet): u32 {
  if (confirm(w, p)) return Verdict.ACCEPT;
  w.table_full = 1;
  return drop(p, Reason.TABLE_FULL);
}

function drop(p: Packet, reason: Reason): u32 {
  p.reason = <u8>reason;
  p.rule = NO_RULE;
  filter_rule = NO_RULE;
  return Verdict.DROP;
}

/** Runs a hook's steps until one does not accept. */
function run(w: World, p: Packet, hook: u32): u32 {
  if (w.trace) trace_hook(w, hook);
  const family: u32 = p.l3num == L3.IPV6 ? 1 : 0;
  let at: usize = w.steps + (family * 5 + hook) * STEPS_MAX * <u32>offsetof<Step>();
  while (true) {
    const step = changetype<Step>(at);
    const kind = step.kind;
    if (kind == StepKind.END) return Verdict.ACCEPT;
    if (kind == StepKind.CONNTRACK) {
      conntrack_in(w, p);
      if (w.trace) trace_conntrack(w, p);
      if (p.reason == Reason.TABLE_FULL) return drop(p, Reason.TABLE_FULL);
    } else {
      if (w.trace) trace_chain(w, step.slot);
      const verdict = call_indirect<u32>(step.slot, changetype<usize>(p), changetype<usize>(w));
      if (w.trace) trace_chain_end(w, verdict, p.rule);
      if (verdict != ChainVerdict.ACCEPT) return verdict;
      if (kind == StepKind.FILTER_CHAIN) filter_rule = p.rule;
    }
    at += offsetof<Step>();
  }
}

/** Does routing tell the sender? (ip_error(), ip_forward(), ip6_forward(), ip6_pkt_discard()) */
function answered(reason: Reason): bool {
  return reason == Reason.TTL_EXCEEDED || reason == Reason.NO_ROUTE || reason == Reason.ROUTE_UNREACHABLE ||
    reason == Reason.ROUTE_PROHIBIT || reason == Reason.BEYOND_SCOPE;
}

/**
 * An ICMP error goes back to the sender. It passes the hooks itself and is RELATED to the flow of the packet, or, if that
 * was INVALID or UNTRACKED, to the flow that has its tuple: what waited to be announced there is announced. Errors are
 * not answered (RFC 1122 section 3.2.2).
 */
function answer(w: World, p: Packet): void {
  if (p.flags & PacketFlag.ICMP_ERROR) return;
  const found: usize = p.flow ? <usize>p.flow : flow_quoted(w, p);
  if (found == 0) return;
  const flow = changetype<Flow>(found);
  if (flow.status & Status.CONFIRMED) announce(w, flow, p);
}

/** The live entry that an error about this packet finds, 0 if none. */
function flow_quoted(w: World, p: Packet): usize {
  if (p.l4 == 0 || p.l4_len < (p.protonum == Proto.ICMP || p.protonum == Proto.ICMPV6 ? ICMP_HEADER : 4)) return 0;
  return find_live(w, changetype<Tuple>(p), p.hash);
}

/** What REJECT's answer does to the flow; a TCP reset also closes the entry (nf_send_reset()). */
function reject(w: World, p: Packet): void {
  if (!reject_verifies(p)) return;
  if (p.reject == RejectWith.TCP_RESET) {
    // A reset is never answered by a reset.
    if (p.protonum != Proto.TCP || p.tcp_flags & TCP_RST || p.l4_len < TCP_HEADER_MIN) return;
    if (p.flow == 0) return send_reset(w, p);
    const flow = changetype<Flow>(<usize>p.flow);
    if (flow.status & Status.CONFIRMED) tcp_set_closing(w, flow);
  }
  answer(w, p);
}

/** Copies what reports show of the entry into the packet. */
function describe(w: World, p: Packet): void {
  if (p.flow == 0) return;
  const flow = changetype<Flow>(<usize>p.flow);
  p.tcp_state = shown_state(flow);
  p.status = <u16>(flow.status & ~<u32>Status.CONFIRMED);
  p.ct_mark = flow.mark;
  p.flow_id = flow.status & Status.CONFIRMED ? flow.id : 0;
}
