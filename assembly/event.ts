// Events: what `conntrack -E` would print, filled into the world's event area as records that are complete in
// themselves. The caller of process() keeps room for one packet's worth; what order they come in among lanes is decided
// by (time, klass, order, sequence) afterwards.

import { account_of } from "./account";
import { copy_reply } from "./flow-pool";
import { has_help, help_of, helper_of } from "./help";
import { ACCOUNT_LABELS, Event, Expectation, Flow, Help, Packet, Tuple, World } from "./layout";
import { sysctl } from "./sysctl";
import { is_announced } from "./template";
import { EventBit, EventKind, Proto, Status, Sysctl } from "./vocabulary";

const SECOND: u64 = 1_000_000_000;

/** Most events that one packet can cause: an expired entry found, a killed one, a new one, an update; rounded up. */
export const EVENTS_PER_PACKET: usize = 8;

/** An event of the packet in work. */
export function packet_event(w: World, flow: Flow, p: Packet, kind: u32, bits: u32): void {
  if (!is_announced(w, flow, bits)) return;
  p.events |= <u8>(1 << <u8>(kind - 1));
  if (w.events == 0) return;
  const event = changetype<Event>(<usize>w.events_top);
  w.events_top += <u32>offsetof<Event>();
  assert(w.events_top <= w.events_end, "process() keeps room for one packet's events");
  fill_event(w, event, flow, w.now);
  if (kind == EventKind.DESTROY) event.status |= <u32>Status.DYING;
  event.klass = 1;
  event.order = w.number;
  event.sequence = <u16>w.event_sequence;
  w.event_sequence++;
  event.kind = <u8>kind;
  event.bits = bits;
}

/** The death of an entry at `when`, its expiry as a rule. False if there is no room for the event. */
export function death_event(w: World, flow: Flow, when: u64): bool {
  if (w.events == 0 || !is_announced(w, flow, EventBit.DESTROY)) return true;
  if (<usize>w.events_top + offsetof<Event>() > <usize>w.events_end) return false;
  const event = changetype<Event>(<usize>w.events_top);
  w.events_top += <u32>offsetof<Event>();
  fill_event(w, event, flow, when);
  event.status |= <u32>Status.DYING;
  event.klass = 0;
  event.order = flow.id;
  event.sequence = 0;
  event.kind = <u8>EventKind.DESTROY;
  event.bits = 1 << 2;
  return true;
}

/** The part of an event that describes the entry as it is at `now`. */
export function fill_event(w: World, event: Event, flow: Flow, now: u64): void {
  const target = changetype<usize>(event);
  const source = changetype<usize>(flow);
  event.time = now;
  event.timeout_s = flow.expires > now ? <u32>((flow.expires - now) / SECOND) : 0;
  event.status = flow.status;
  event.mark = flow.mark;
  event.tcp_state = flow.tcp_state;
  v128.store(target + offsetof<Event>("original_0"), v128.load(source));
  v128.store(target + offsetof<Event>("original_2"), v128.load(source, 16));
  event.original_4 = load<u64>(source, 32);
  copy_reply(w, flow, changetype<Tuple>(target + offsetof<Event>("reply_0")));
  event.id = flow.id;
  if (flow.protonum == Proto.SCTP) {
    event.vtag_original = flow.sctp().vtag_original;
    event.vtag_reply = flow.sctp().vtag_reply;
  }
  event.helper = w.helping ? helper_of(w, flow) : 0;
  event.children = w.helping && has_help(flow) ? <u16>min<u32>(help_of(w, flow).children, 0xffff) : 0;
  if (w.accounts == 0) {
    event.packets_original = 0;
    event.bytes_original = 0;
    event.packets_reply = 0;
    event.bytes_reply = 0;
    event.start = 0;
    event.labels_lo = 0;
    event.labels_hi = 0;
    return;
  }
  const account = account_of(w, flow);
  event.packets_original = account.packets_original;
  event.bytes_original = account.bytes_original;
  event.packets_reply = account.packets_reply;
  event.bytes_reply = account.bytes_reply;
  event.start = sysctl(w, Sysctl.TIMESTAMP) ? account.start : 0;
  event.labels_lo = w.account_bytes >= ACCOUNT_LABELS ? account.labels_lo : 0;
  event.labels_hi = w.account_bytes > ACCOUNT_LABELS ? account.labels_hi : 0;
}

/** The birth or death of an expectation at `time`: caused by the packet in work, or of itself. The caller keeps room. */
export function expectation_event(w: World, e: Expectation, kind: u32, time: u64, by_packet: bool): void {
  const master = changetype<Help>(<usize>e.master);
  if (w.events == 0 || !(master.expevents & (1 << (kind - EventKind.EXPECT_NEW)))) return;
  const event = changetype<Event>(<usize>w.events_top);
  w.events_top += <u32>offsetof<Event>();
  assert(w.events_top <= w.events_end, "there is room for the events of expectations");
  fill_expectation(event, e, time);
  event.klass = by_packet ? 1 : 0;
  event.order = by_packet ? w.number : e.id;
  event.sequence = 0;
  if (by_packet) {
    event.sequence = <u16>w.event_sequence;
    w.event_sequence++;
  }
  event.kind = <u8>kind;
  event.bits = 0;
}

/** The part of an event that describes the expectation as it is at `now`. */
export function fill_expectation(event: Event, e: Expectation, now: u64): void {
  const target = changetype<usize>(event);
  const source = changetype<usize>(e);
  const master: usize = e.master;
  event.time = now;
  event.timeout_s = e.expires > now ? <u32>((e.expires - now) / SECOND) : 0;
  event.status = e.flags;
  event.mark = e.klass;
  event.tcp_state = 0;
  event.helper = e.helper;
  memory.copy(target + offsetof<Event>("original_0"), source, 40);
  memory.copy(target + offsetof<Event>("reply_0"), master, 40);
  event.id = e.id;
  event.packets_original = e.mask_lo;
  event.bytes_original = e.mask_hi;
  event.packets_reply = e.mask_sport;
  event.bytes_reply = 0;
  event.start = 0;
}
