// What CONNMARK does to the connection's mark and the packet's: net/netfilter/xt_connmark.c, connmark_tg_shift().
//
// A packet without an entry (INVALID, UNTRACKED, before connection tracking) is left alone. A changed mark is an event.

import { Flow, Packet } from "../layout";
import { EventBit } from "../vocabulary";

/** ct mark = (ct mark & ~mask) ^ value */
export function rule_set_ct_mark(packet: usize, value: u32, mask: u32): void {
  const p = changetype<Packet>(packet);
  if (p.flow == 0) return;
  const flow = changetype<Flow>(<usize>p.flow);
  change(flow, (flow.mark & ~mask) ^ value);
}

/** ct mark = (ct mark & ~ctmask) ^ (mark & nfmask) */
export function rule_save_mark(packet: usize, ctmask: u32, nfmask: u32): void {
  const p = changetype<Packet>(packet);
  if (p.flow == 0) return;
  const flow = changetype<Flow>(<usize>p.flow);
  change(flow, (flow.mark & ~ctmask) ^ (p.mark & nfmask));
}

/** mark = (mark & ~nfmask) ^ (ct mark & ctmask) */
export function rule_restore_mark(packet: usize, ctmask: u32, nfmask: u32): void {
  const p = changetype<Packet>(packet);
  if (p.flow == 0) return;
  const flow = changetype<Flow>(<usize>p.flow);
  p.mark = (p.mark & ~nfmask) ^ (flow.mark & ctmask);
}

// @ts-ignore: decorator
@inline function change(flow: Flow, mark: u32): void {
  if (flow.mark == mark) return;
  flow.mark = mark;
  flow.pending_events |= <u16>EventBit.MARK;
}
