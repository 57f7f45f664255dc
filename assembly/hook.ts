// The path of one packet through the hooks, and its final verdict.
//
// A hook is a list of steps in priority order, made by src/engine/world.ts from the base chains of the ruleset and the
// place of connection tracking. Each base chain is one function of the emitted rule code.

import { deserves_error, deserves_reset, echo_of, error_for, mark_echo, reject_error, reset_for, routing_error } from "./answer";
import { announce, bury, confirm, conntrack_in, end_flow, find_live, resolve } from "./conntrack";
import { fetched_flow, found_dir } from "./flow-table";
import { help_of, helper_of } from "./help";
import { help } from "./helper/helper";
import { outgrows_mtu, restore_packet } from "./helper/rewrite";
import { Flow, Help, LogRecord, Packet, Step, STEPS_MAX, Tuple, World } from "./layout";
import { nat_packet, restore_captured } from "./nat";
import { reject_verifies } from "./packet";
import { route_decide, route_echoes, route_loops, route_path } from "./route";
import { trace_answer, trace_chain, trace_chain_end, trace_conntrack, trace_hook, trace_route } from "./trace";
import { note_answer, seen_elsewhere } from "./sight";
import { tcp_established, tcp_set_closing } from "./track/tcp";
import { shown_state } from "./track/tracker";
import {
  ChainVerdict, CtState, Helper, Hook, L3, PacketFlag, Path, Proto, Reason, RejectWith, Status, StepKind, TcpConntrack, Verdict,
} from "./vocabulary";
import { ipv4_options, OptionFault } from "./wire/ip-options";

const NO_RULE: u32 = 0xffffffff;

/** The rule of the filter table that accepted the packet so far. */
let filter_rule: u32 = NO_RULE;

/** Judges one decoded packet: fills verdict, rule, state and reason, and moves its flow on. */
export function judge(w: World, p: Packet): void {
  if (p.flags & PacketFlag.LEAVING && w.sights && seen_elsewhere(w, p)) return;
  route_path(p, w);
  judge_routed(w, p);
}

/** The same for a packet of which it is known who sent it. */
function judge_routed(w: World, p: Packet): void {
  filter_rule = NO_RULE;
  conclude(w, p, p.path == Path.OUTPUT ? send(w, p) : receive(w, p));
}

/** What remains when the verdict is known. */
// @ts-ignore: decorator
@inline function conclude(w: World, p: Packet, verdict: u32): void {
  p.verdict = <u8>verdict;
  if (verdict == Verdict.ACCEPT && filter_rule != NO_RULE) p.rule = filter_rule;
  if (verdict == Verdict.REJECT) reject(w, p);
  describe(w, p);
  if (p.flags & PacketFlag.TRANSLATED) restore_captured(w, p);
  if (w.helping) {
    restore_packet(w, p);
    end_life(w, p);
  }
  bury(w);
}

/** What judge_usual() is to know of a world: whether it may be used, and the one chain that packets on it meet. */
export const USUAL_NEVER: u32 = 0xffffffff;
const USUAL_NO_CHAIN: u32 = 0xfffffffe;

/**
 * Looks for the usual world: an IPv4 packet that is forwarded meets connection tracking first, and between that and its
 * end no more than one chain of the filter table. Returns that chain's slot or one of the above.
 */
export function usual_world(w: World): u32 {
  if (w.trace_area | w.templates | w.nat | w.helping) return USUAL_NEVER;
  const prerouting = step_at(w, Hook.PREROUTING, 0);
  if (prerouting.kind != StepKind.CONNTRACK || step_at(w, Hook.PREROUTING, 1).kind != StepKind.END) return USUAL_NEVER;
  if (step_at(w, Hook.POSTROUTING, 0).kind != StepKind.END) return USUAL_NEVER;
  const forward = step_at(w, Hook.FORWARD, 0);
  if (forward.kind == StepKind.END) return USUAL_NO_CHAIN;
  if (forward.kind != StepKind.FILTER_CHAIN || step_at(w, Hook.FORWARD, 1).kind != StepKind.END) return USUAL_NEVER;
  return forward.slot;
}

/** A step of an IPv4 hook. */
// @ts-ignore: decorator
@inline function step_at(w: World, hook: u32, number: u32): Step {
  return changetype<Step>(<usize>w.steps + (hook * STEPS_MAX + number) * <u32>offsetof<Step>());
}

/** Flags that leave a packet usual. */
const USUAL_FLAGS: u32 = PacketFlag.ARRIVING | PacketFlag.OFFLOADED | PacketFlag.PLAIN_ACK;

/**
 * judge() in a usual world, with a way of its own for what most packets are: forwarded TCP and UDP over IPv4, and the
 * straightest of all for what an established connection sends. `place`: as fetched_flow() wants it.
 */
export function judge_usual(w: World, p: Packet, chain: u32, place: u32): void {
  if (p.flags & ~USUAL_FLAGS || p.l3num != L3.IPV4) return judge(w, p);
  if (!(p.flags & PacketFlag.PLAIN_ACK)) {
    if ((p.protonum != Proto.TCP && p.protonum != Proto.UDP) || p.l4 == 0 || p.l4_len < 4) return judge(w, p);
  }
  route_path(p, w);
  if (p.path != Path.FORWARD) return judge_routed(w, p);
  let known = fetched_flow(changetype<Tuple>(p), place);
  if (known == 0 || changetype<Flow>(known).expires <= w.now) known = find_live(w, changetype<Tuple>(p), p.hash);
  if (known != 0 && tcp_established(w, changetype<Flow>(known), p, found_dir())) {
    p.flow = <u32>known;
    p.dir = <u8>found_dir();
    p.ct_state = <u8>CtState.ESTABLISHED;
  } else {
    resolve(w, p, known);
    if (p.reason == Reason.TABLE_FULL) return conclude(w, p, drop(p, Reason.TABLE_FULL));
    known = 0;
  }
  filter_rule = NO_RULE;
  const reason = route_decide(p, w);
  if (reason != Reason.NONE) return conclude(w, p, turn_away(w, p, reason));
  let verdict: u32 = Verdict.ACCEPT;
  if (p.path != Path.FORWARD) {
    verdict = run(w, p, Hook.INPUT);
  } else {
    p.ttl--;
    if (chain != USUAL_NO_CHAIN) {
      verdict = call_indirect<u32>(chain, changetype<usize>(p), changetype<usize>(w));
      filter_rule = p.rule;
    }
  }
  if (known == 0 || verdict != Verdict.ACCEPT) return conclude(w, p, verdict == Verdict.ACCEPT ? finish(w, p) : verdict);
  // Nothing has begun or ended: what is left of finish() and conclude().
  const flow = changetype<Flow>(known);
  announce(w, flow, p);
  p.verdict = <u8>Verdict.ACCEPT;
  if (filter_rule != NO_RULE) p.rule = filter_rule;
  p.tcp_state = <u8>TcpConntrack.ESTABLISHED;
  show_flow(p, flow);
}

/** A packet from outside: PREROUTING, the routing decision, then INPUT or FORWARD and POSTROUTING. */
// @ts-ignore: decorator
@inline function receive(w: World, p: Packet): u32 {
  let verdict = run(w, p, Hook.PREROUTING);
  if (verdict != Verdict.ACCEPT) return verdict;
  if (p.flags & PacketFlag.IP_OPTIONS && p.l3num == L3.IPV4) {
    const fault = ipv4_options(p.l3);
    if (fault != OptionFault.NONE) return drop(p, fault == OptionFault.MALFORMED ? Reason.IP_OPTIONS : Reason.SOURCE_ROUTE);
  }
  const reason = route(w, p);
  if (reason != Reason.NONE) return turn_away(w, p, reason);
  if (p.path == Path.INPUT) {
    verdict = run(w, p, Hook.INPUT);
  } else {
    // ip_forward() and ip6_forward() count the hop before the hook.
    p.ttl--;
    verdict = run(w, p, Hook.FORWARD);
    if (verdict == Verdict.ACCEPT) verdict = run(w, p, Hook.POSTROUTING);
  }
  if (verdict == Verdict.ACCEPT) verdict = finish(w, p);
  // A helper may have made it longer than the link carries.
  const grown = verdict == Verdict.ACCEPT && w.helping != 0 && p.path == Path.FORWARD && outgrows_mtu(w, p);
  return grown ? turn_away(w, p, Reason.MTU_EXCEEDED) : verdict;
}

/** Drops what does not get on, and tells its sender so. */
function turn_away(w: World, p: Packet, reason: Reason): u32 {
  const error = routing_error(reason, p.l3num);
  if (error != 0 && deserves_error(w, p)) answer(w, p, error_for(w, p, error));
  return drop(p, reason);
}

/** A packet that the host itself sends. */
function send(w: World, p: Packet): u32 {
  const reason = route(w, p);
  if (reason != Reason.NONE) return drop(p, reason);
  let verdict = run(w, p, Hook.OUTPUT);
  if (verdict != Verdict.ACCEPT) return verdict;
  if (route_echoes(p, w)) return send_to_all(w, p);
  verdict = leave(w, p);
  return verdict == Verdict.ACCEPT && route_loops(p, w) ? loop_back(w, p) : verdict;
}

function leave(w: World, p: Packet): u32 {
  const verdict = run(w, p, Hook.POSTROUTING);
  return verdict == Verdict.ACCEPT ? finish(w, p) : verdict;
}

/**
 * A packet that a copy of comes back: the copy passes POSTROUTING and is received by the same interface, in IPv4 before
 * the packet itself passes POSTROUTING (ip_mc_output()), in IPv6 after that and only if it may leave
 * (ip6_finish_output2()). netif_rx() delivers at once where a process sends. The verdict is that of what left.
 */
function send_to_all(w: World, p: Packet): u32 {
  if (p.l3num == L3.IPV4) {
    echo(w, p);
    return leave(w, p);
  }
  const verdict = leave(w, p);
  if (verdict == Verdict.ACCEPT) echo(w, p);
  return verdict;
}

function echo(w: World, p: Packet): void {
  const logs: usize = w.logs_top;
  const rule = filter_rule;
  const copy = echo_of(w, p);
  const left = leave(w, copy) == Verdict.ACCEPT;
  // Confirmed by the copy, the entry is the packet's, too.
  p.flow = copy.flow;
  if (left) {
    mark_echo(copy);
    loop_back(w, copy);
  }
  filter_rule = rule;
  take_over(w, p, copy, logs);
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
  return verdict == Verdict.ACCEPT ? finish(w, p, true) : verdict;
}

// @ts-ignore: decorator
@inline function route(w: World, p: Packet): Reason {
  const reason = route_decide(p, w);
  if (w.trace) trace_route(w, p, reason);
  return reason;
}

/** The last hook: helpers see the packet (nf_confirm()), then its entry becomes part of the table. */
// @ts-ignore: decorator
@inline function finish(w: World, p: Packet, looped: bool = false): u32 {
  if (w.helping) {
    const reason = help(w, p, looped);
    if (reason != Reason.NONE) return drop(p, reason);
  }
  if (confirm(w, p)) return Verdict.ACCEPT;
  if (p.reason == Reason.NAT_CLASH) return drop(p, Reason.NAT_CLASH);
  w.table_full = 1;
  return drop(p, Reason.TABLE_FULL);
}

function drop(p: Packet, reason: Reason): u32 {
  p.reason = <u8>reason;
  p.rule = NO_RULE;
  filter_rule = NO_RULE;
  return Verdict.DROP;
}

/** Runs a hook's steps until one does not accept. Many hooks have none. */
// @ts-ignore: decorator
@inline function run(w: World, p: Packet, hook: u32): u32 {
  if (w.trace) trace_hook(w, hook);
  const family: u32 = p.l3num == L3.IPV6 ? 1 : 0;
  const first: usize = w.steps + (family * 5 + hook) * STEPS_MAX * <u32>offsetof<Step>();
  return changetype<Step>(first).kind == StepKind.END ? <u32>Verdict.ACCEPT : run_steps(w, p, hook, first);
}

function run_steps(w: World, p: Packet, hook: u32, first: usize): u32 {
  let at = first;
  while (true) {
    const step = changetype<Step>(at);
    const kind = step.kind;
    if (kind == StepKind.END) return Verdict.ACCEPT;
    if (kind == StepKind.CONNTRACK) {
      conntrack_in(w, p);
      if (w.trace) trace_conntrack(w, p);
      if (p.reason == Reason.TABLE_FULL) return drop(p, Reason.TABLE_FULL);
    } else if (kind == StepKind.NAT) {
      const verdict = translate(w, p, hook, at);
      if (verdict != ChainVerdict.ACCEPT) return verdict;
    } else if (kind != StepKind.NAT_CHAIN) {
      if (w.trace) trace_chain(w, step.slot);
      const verdict = call_indirect<u32>(step.slot, changetype<usize>(p), changetype<usize>(w));
      if (w.trace) trace_chain_end(w, verdict, p.rule);
      if (verdict != ChainVerdict.ACCEPT) return verdict;
      if (kind == StepKind.FILTER_CHAIN) filter_rule = p.rule;
    }
    at += offsetof<Step>();
  }
}

/** NAT; a packet of the host's own that is sent elsewhere by it finds its way anew (kernel: nf_nat_ipv4_local_fn()). */
function translate(w: World, p: Packet, hook: u32, step: usize): u32 {
  const lo = p.dst_lo;
  const hi = p.dst_hi;
  const verdict = nat_packet(w, p, hook, step);
  if (verdict != ChainVerdict.ACCEPT) {
    filter_rule = NO_RULE;
    return verdict;
  }
  if (hook != Hook.OUTPUT || (p.dst_lo == lo && p.dst_hi == hi)) return ChainVerdict.ACCEPT;
  const reason = route(w, p);
  return reason == Reason.NONE ? ChainVerdict.ACCEPT : drop(p, reason);
}

/**
 * Sends what the host answers to `p`. What it does and what the rules say of it count as caused by `p`: events and log
 * records. A RST that the rules reject is answered in its turn, by an error that nothing answers.
 */
function answer(w: World, p: Packet, own: Packet): void {
  if (w.trace) trace_answer(w, own);
  const logs: usize = w.logs_top;
  const rule = filter_rule;
  const verdict = send(w, own);
  if (verdict == Verdict.ACCEPT) note_answer(w, own);
  else if (verdict == Verdict.REJECT) reject(w, own);
  filter_rule = rule;
  // Confirmed by an answer, the entry is the packet's, too.
  if (p.flow) p.flow = own.flow;
  take_over(w, p, own, logs);
}

/** What another packet did and what the rules logged of it (from `logs` on) counts as caused by `p`. */
function take_over(w: World, p: Packet, own: Packet, logs: usize): void {
  p.events |= own.events;
  p.logs += own.logs;
  for (let at = logs; at < <usize>w.logs_top; at += offsetof<LogRecord>()) {
    changetype<LogRecord>(at).packet = <u32>changetype<usize>(p);
  }
}

/** REJECT's answer; a TCP reset also closes the entry (nf_send_reset()). */
function reject(w: World, p: Packet): void {
  if (!reject_verifies(p)) return;
  if (p.reject != RejectWith.TCP_RESET) {
    if (deserves_error(w, p)) answer(w, p, error_for(w, p, reject_error(p.reject)));
    return;
  }
  if (!deserves_reset(w, p)) return;
  if (p.flow) {
    const flow = changetype<Flow>(<usize>p.flow);
    if (flow.status & Status.CONFIRMED) tcp_set_closing(w, flow);
  }
  answer(w, p, reset_for(w, p));
}

/** Copies what reports show of the entry into the packet. */
// @ts-ignore: decorator
@inline function describe(w: World, p: Packet): void {
  p.template = <u8>Helper.NONE;
  if (p.flow == 0) return;
  const flow = changetype<Flow>(<usize>p.flow);
  p.tcp_state = shown_state(flow);
  show_flow(p, flow);
  if (!(flow.status & Status.CONFIRMED)) p.flow_id = 0;
  if (w.helping) describe_help(w, flow, p);
}

/** What a packet shows of a confirmed entry. */
// @ts-ignore: decorator
@inline function show_flow(p: Packet, flow: Flow): void {
  p.status = <u16>(flow.status & ~<u32>(Status.CONFIRMED | Status.SRC_NAT_DONE | Status.DST_NAT_DONE));
  p.ct_mark = flow.mark;
  p.flow_id = flow.id;
}

/** An entry whose life a helper has ended is not there any more for another packet of the same moment, nor what it expects. */
function end_life(w: World, p: Packet): void {
  if (p.flow == 0) return;
  const flow = changetype<Flow>(<usize>p.flow);
  if ((flow.status & (Status.CONFIRMED | Status.DYING)) != Status.CONFIRMED || flow.expires > w.now + 1) return;
  end_flow(w, flow, flow.expires, p);
}

/** Which helper the entry has, and which entry expected it. */
function describe_help(w: World, flow: Flow, p: Packet): void {
  p.template = helper_of(w, flow);
  if ((flow.status & (Status.EXPECTED | Status.CONFIRMED | Status.DYING)) != (Status.EXPECTED | Status.CONFIRMED)) return;
  const record = changetype<LogRecord>(<usize>w.logs_top);
  w.logs_top += <u32>offsetof<LogRecord>();
  record.packet = <u32>changetype<usize>(p);
  record.rule = NO_RULE;
  record.master = changetype<Help>(<usize>help_of(w, flow).master).id;
}
