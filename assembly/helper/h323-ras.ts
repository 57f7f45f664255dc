// What do terminals and their gatekeeper say to each other? (RAS, ITU-T H.225.0 section 7.7 and further)
// Kernel: ras_help() and below in net/netfilter/nf_conntrack_h323_main.c.

import { unlink_expectation } from "../expect";
import { help_of } from "../help";
import { Expectation, Find, Flow, Help, Packet, Tuple, World } from "../layout";
import { set_expiry } from "../timer";
import { ExpectFlag, Helper, HelperFault, Proto, Status } from "../vocabulary";
import { RAS_MESSAGE, RasMessage } from "./h225";
import { Role } from "./h245";
import {
  change_address, find_at, from_other_end, from_other_end_to, h323_of, is_address, is_senders, read_address, read_port, set_message,
} from "./h323";
import {
  change_call_signal, change_loopback, change_ras_address, expect_signalling, forget_ports, is_rewritten, seen_as,
  signal_port,
} from "./h323-nat";
import { ALL, expect, payload, payload_length, refuse, tuple_of } from "./helper";
import { read_message } from "./per";

/** A registration lives as long if nobody says how long (default_rrq_ttl). */
const DEFAULT_LIFETIME: u32 = 300;
/** So long an answer may take to who wants to go. */
const UNREGISTRATION: u32 = 30;
const JIFFIES_PER_SECOND: u32 = 250; // HZ
const NANOSECONDS_PER_JIFFY: u64 = 4_000_000;

export function ras_help(w: World, flow: Flow, p: Packet): bool {
  const length = payload_length(p, false, ALL);
  if (length == 0) return true;
  const message = payload(p, false);
  const count = read_message(RAS_MESSAGE, Role.RAS_MESSAGE, message, length, h323_of(w).finds());
  if (count <= 0) return true;
  set_message(message, 0);
  return follow(w, flow, help_of(w, flow), p, count) || refuse(p, HelperFault.RAS_MESSAGE);
}

/** Seconds in Help.data that the last registration asked for. */
// @ts-ignore: decorator
@inline function lifetime_at(help: Help): usize {
  return help.memory() + 4;
}

/** Does what a message says; which one it is is the first find. */
function follow(w: World, flow: Flow, help: Help, p: Packet, count: i32): bool {
  const rewritten = is_rewritten(flow);
  switch (find_at(w, 0).value) {
    case RasMessage.GATEKEEPER_REQUEST:
    case RasMessage.LOCATION_REQUEST:
      if (rewritten) change_ras_address(w, flow, p, count);
      return true;
    case RasMessage.GATEKEEPER_CONFIRM: {
      const find = find_of(w, count, Role.RAS_ADDRESS);
      if (changetype<usize>(find) == 0 || !read_address(flow, find)) return true;
      const sender = tuple_of(flow, p.dir);
      const here = is_address(changetype<usize>(sender)) && read_port() == sender.sport;
      // A connection that was expected so does not expect others.
      if (here || flow.status & Status.EXPECTED) return true;
      const e = from_other_end_to(w, flow, help, p, Proto.UDP);
      e.assign_helper = <u8>Helper.RAS;
      return expect(w, p, e);
    }
    case RasMessage.REGISTRATION_REQUEST: {
      if (!expect_calls(w, flow, help, p, count)) return false;
      if (rewritten) change_ras_address(w, flow, p, count);
      const asked = find_of(w, count, Role.LIFETIME);
      store<u32>(lifetime_at(help), changetype<usize>(asked) ? asked.value : DEFAULT_LIFETIME);
      return true;
    }
    case RasMessage.REGISTRATION_CONFIRM: {
      if (rewritten) change_call_signal(w, flow, help, p, count);
      // The kernel also looks for what is expected, to give it the same time, but not from whom: it finds nothing.
      const granted = find_of(w, count, Role.LIFETIME);
      if (changetype<usize>(granted)) store<u32>(lifetime_at(help), granted.value);
      const seconds = load<u32>(lifetime_at(help));
      if (seconds > 0) live_for(w, flow, seconds);
      return true;
    }
    case RasMessage.UNREGISTRATION_REQUEST:
      if (rewritten) change_call_signal(w, flow, help, p, count);
      while (help.expectations) unlink_expectation(w, changetype<Expectation>(<usize>help.expectations), 0, true);
      forget_ports(help);
      live_for(w, flow, UNREGISTRATION);
      return true;
    case RasMessage.ADMISSION_REQUEST:
      if (rewritten) change_admission(w, flow, help, p, count);
      return true;
    case RasMessage.ADMISSION_CONFIRM:
    case RasMessage.LOCATION_CONFIRM: {
      const find = find_of(w, count, Role.CALL_SIGNAL);
      if (changetype<usize>(find) == 0 || !read_address(flow, find)) return true;
      // Who is asked whether he may answer need not be told where he is.
      const own = tuple_of(flow, p.dir);
      if (find_at(w, 0).value == RasMessage.ADMISSION_CONFIRM && is_address(changetype<usize>(own) + offsetof<Tuple>("dst_lo"))) {
        if (rewritten) change_call_signal(w, flow, help, p, count);
        return true;
      }
      return expect(w, p, calls(from_other_end_to(w, flow, help, p, Proto.TCP)));
    }
    case RasMessage.INFO_RESPONSE:
      if (!rewritten) return true;
      change_ras_address(w, flow, p, count);
      change_call_signal(w, flow, help, p, count);
      return true;
    default:
      return true;
  }
}

/** The first find of this role, null if there is none. */
function find_of(w: World, count: i32, role: u32): Find {
  for (let i: i32 = 0; i < count; i++) {
    const find = find_at(w, i);
    if (find.role == role) return find;
  }
  return changetype<Find>(0);
}

/** Who asks whether he may call or answer says where he is (process_arq()). */
function change_admission(w: World, flow: Flow, help: Help, p: Packet, count: i32): void {
  const own = changetype<usize>(tuple_of(flow, p.dir));
  const called = find_of(w, count, Role.CALLED);
  if (changetype<usize>(called) && read_address(flow, called) && is_address(own) && read_port() == signal_port(help, p.dir)) {
    change_address(w, p, called, seen_as(flow, p), signal_port(help, p.dir ^ 1));
    return;
  }
  const caller = find_of(w, count, Role.CALLER);
  if (changetype<usize>(caller) && read_address(flow, caller) && is_address(own)) {
    change_address(w, p, caller, seen_as(flow, p), read_port());
  }
}

/** The first of the addresses of who registers that is his own: there he may be called (expect_q931()). */
function expect_calls(w: World, flow: Flow, help: Help, p: Packet, count: i32): bool {
  for (let i: i32 = 0; i < count; i++) {
    const find = find_at(w, i);
    if (find.role != Role.CALL_SIGNAL || !read_address(flow, find) || !is_senders(flow, p)) continue;
    const e = calls(from_other_end(w, flow, help, p, Proto.TCP, 0));
    if (!is_rewritten(flow)) return expect(w, p, e);
    if (expect_signalling(w, flow, help, p, e, find)) change_loopback(w, flow, help, p, find, count);
    return true;
  }
  return true;
}

/** Calls, any number of them. */
function calls(e: Expectation): Expectation {
  e.flags = <u8>ExpectFlag.PERMANENT;
  e.assign_helper = <u8>Helper.Q931;
  return e;
}

/** Gives the entry so many seconds from now. Jiffies have 32 bits: with what is too long it dies right behind the packet. */
function live_for(w: World, flow: Flow, seconds: u32): void {
  const jiffies = <i32>(seconds * JIFFIES_PER_SECOND);
  const time: u64 = jiffies > 0 ? <u64>jiffies * NANOSECONDS_PER_JIFFY : 1;
  if (flow.status & Status.CONFIRMED) set_expiry(w, flow, w.now + time);
  else flow.expires = time;
}
