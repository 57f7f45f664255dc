// What does an entry have that a helper looks after, or that was expected? Its Help, from the first packet to the end.
// Kernel: init_conntrack(), __nf_ct_try_assign_helper(), nf_ct_remove_expectations().
//
// Only such entries have one: their status says so (HELPER, EXPECTED), and the others pay nothing. What an entry expects ends
// with it; its Help stays as long as entries are there that it has expected, which name it.

import { flow_number, flow_tuple } from "./flow-pool";
import { Expectation, Flow, Help, Packet, World } from "./layout";
import { default_helper } from "./helper/policy";
import { pptp_end_calls, pptp_expected, pptp_forget_call } from "./helper/pptp";
import { find_expectation, helping_of, unlink_expectation } from "./expect";
import { nat_expected } from "./nat-expect";
import { sysctl } from "./sysctl";
import { template_expevents, template_helper } from "./template";
import { trace_expected } from "./trace";
import { Dir, Helper, Proto, Status, Sysctl } from "./vocabulary";

/** Most expectations that an entry has at a time, whatever its helper. */
export const EXPECTATIONS_PER_FLOW: usize = 256;

// @ts-ignore: decorator
@inline function slot_of(w: World, flow: Flow): usize {
  return <usize>helping_of(w).slots + flow_number(w, flow) * 4;
}

// @ts-ignore: decorator
@inline export function has_help(flow: Flow): bool {
  return (flow.status & (Status.HELPER | Status.EXPECTED)) != 0;
}

/** The Help of an entry that has one. */
export function help_of(w: World, flow: Flow): Help {
  const at: usize = changetype<usize>(flow) == <usize>w.unconfirmed ? helping_of(w).begun : load<u32>(slot_of(w, flow));
  return changetype<Help>(at);
}

/** Helper of a living entry, NONE for none. */
export function helper_of(w: World, flow: Flow): u8 {
  return has_help(flow) && !(flow.status & Status.DYING) ? help_of(w, flow).helper : <u8>Helper.NONE;
}

/**
 * Completes an entry that was begun: was it expected, or does a CT rule or the kernel itself give it a helper? False if there
 * is no room.
 */
export function begin_help(w: World, flow: Flow, p: Packet): bool {
  drop_begun(w);
  const expected = find_expectation(w, flow, zone_of(flow));
  if (changetype<usize>(expected) == 0) {
    const helper = template_helper(w, p);
    return give(w, flow, helper == Helper.NONE ? own_helper(w, flow) : helper);
  }
  const help = allocate(w, flow);
  if (changetype<usize>(help) == 0) return false;
  // That the status has HELPER means a helper of its own.
  help.helper = expected.assign_helper;
  flow.status |= <u16>Status.EXPECTED;
  const master = changetype<Help>(<usize>expected.master);
  help.master = <u32>changetype<usize>(master);
  master.children++;
  flow.mark = changetype<Flow>(<usize>master.flow).mark;
  if (w.trace) trace_expected(w, changetype<Flow>(<usize>master.flow), expected.helper);
  if (expected.helper == Helper.PPTP) pptp_expected(w, expected);
  nat_expected(w, p, flow, expected);
  return true;
}

// @ts-ignore: decorator
@inline function zone_of(flow: Flow): u16 {
  return flow.zone ? flow.zone : flow.reply_zone;
}

/** Gives a new entry a helper, NONE for none. False if there is no room. */
function give(w: World, flow: Flow, helper: u32): bool {
  if (helper == Helper.NONE) return true;
  const help = allocate(w, flow);
  if (changetype<usize>(help) == 0) return false;
  set_helper(flow, help, helper);
  return true;
}

/** Gives a helper to a new entry that has none. False if there is no room. */
export function give_helper(w: World, flow: Flow, helper: u32): bool {
  if (!has_help(flow)) return give(w, flow, helper);
  const help = help_of(w, flow);
  if (help.helper == Helper.NONE) set_helper(flow, help, helper);
  return true;
}

function set_helper(flow: Flow, help: Help, helper: u32): void {
  if (helper == Helper.NONE) return;
  help.helper = <u8>helper;
  flow.status |= <u16>Status.HELPER;
}

/** The helper that the kernel gives by itself. */
function own_helper(w: World, flow: Flow): u32 {
  return sysctl(w, Sysctl.HELPER) ? default_helper(w, flow_tuple(w, flow, Dir.REPLY)) : <u32>Helper.NONE;
}

/**
 * NAT has changed where the answers to a new entry come from: a helper that the kernel gave by itself is looked for again
 * (nf_conntrack_alter_reply() before 6.0). Another one is not given in its place. False if there is no room.
 */
export function give_again(w: World, flow: Flow, p: Packet): bool {
  if (!sysctl(w, Sysctl.HELPER) || flow.status & Status.EXPECTED || template_helper(w, p) != Helper.NONE) return true;
  const before: u32 = flow.status & Status.HELPER ? help_of(w, flow).helper : <u8>Helper.NONE;
  const helper = own_helper(w, flow);
  drop_begun(w);
  flow.status &= ~<u16>Status.HELPER;
  return give(w, flow, before == Helper.NONE || before == helper ? helper : <u32>Helper.NONE);
}

/** Gives an entry that was there before the first packet its helper, which has read nothing yet. False if there is no room. */
export function preload_help(w: World, flow: Flow, helper: u32): bool {
  if (!give(w, flow, helper)) return false;
  adopt_help(w, flow);
  return true;
}

/** The unconfirmed entry has become part of the table at `flow`. */
export function adopt_help(w: World, flow: Flow): void {
  const h = helping_of(w);
  const help = changetype<Help>(<usize>h.begun);
  store<u32>(slot_of(w, flow), h.begun);
  h.begun = 0;
  help.flow = <u32>changetype<usize>(flow);
  help.id = flow.id;
}

/** The unconfirmed entry is given up. */
export function drop_begun(w: World): void {
  const h = helping_of(w);
  if (h.begun == 0) return;
  const help = changetype<Help>(<usize>h.begun);
  h.begun = 0;
  help.flow = 0;
  release(w, help, w.now, true);
}

/** An entry dies: because of the packet in work, or, without one, at `when`. */
export function end_help(w: World, flow: Flow, when: u64, p: Packet): void {
  const help = help_of(w, flow);
  // Calls that end with their control connection must not let go of its Help before it does so itself.
  if (help.helper == Helper.PPTP) pptp_end_calls(w, flow, help, when, p);
  help.flow = 0;
  release(w, help, when, changetype<usize>(p) != 0);
}

/** How many events may the end of the entry cause: its own, of a call's flow, of expectations? */
export function events_at_stake(w: World, flow: Flow): usize {
  let count: usize = 3;
  for (let at: usize = help_of(w, flow).expectations; at; at = changetype<Expectation>(at).sibling) count++;
  return count;
}

/** Ends the expectations of an entry that is dead, and lets go of those that expected it as far as nobody else needs them. */
function release(w: World, help: Help, when: u64, by_packet: bool): void {
  while (true) {
    if (help.flow != 0) return;
    while (help.expectations) unlink_expectation(w, changetype<Expectation>(<usize>help.expectations), when, by_packet);
    if (help.children != 0) return;
    const master = changetype<Help>(<usize>help.master);
    help.next = helping_of(w).helps_free;
    helping_of(w).helps_free = <u32>changetype<usize>(help);
    if (changetype<usize>(master) == 0) return;
    master.children--;
    if (help.protonum == Proto.GRE && master.helper == Helper.PPTP) pptp_forget_call(w, master);
    help = master;
  }
}

/** The Help of the entry in the making, null if there is no room. */
function allocate(w: World, flow: Flow): Help {
  const h = helping_of(w);
  let at: usize = h.helps_free;
  if (at) {
    h.helps_free = changetype<Help>(at).next;
  } else {
    at = h.helps_top;
    if (at + offsetof<Help>() > <usize>h.helps_end) return changetype<Help>(0);
    h.helps_top = <u32>(at + offsetof<Help>());
  }
  memory.fill(at, 0, offsetof<Help>());
  memory.copy(at, changetype<usize>(flow), 40);
  const help = changetype<Help>(at);
  help.zone = zone_of(flow);
  help.expevents = template_expevents(w, flow);
  // Not the final address: the entry is not part of the table yet.
  help.flow = <u32>changetype<usize>(flow);
  h.begun = <u32>at;
  return help;
}
