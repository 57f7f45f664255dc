// The test of `-m helper`: net/netfilter/xt_helper.c, helper_mt(). And nft's helper objects: nft_ct_helper_obj_eval().

import { give_helper, help_of } from "../help";
import { Flow, Help, Packet, World } from "../layout";
import { Status } from "../vocabulary";

/** 1 if the packet's entry was expected by one whose helper is among `helpers` (bits by Helper). */
export function rule_helper(packet: usize, world: usize, helpers: u32): u32 {
  const p = changetype<Packet>(packet);
  if (p.flow == 0) return 0;
  const flow = changetype<Flow>(<usize>p.flow);
  if (!(flow.status & Status.EXPECTED)) return 0;
  const master = changetype<Help>(<usize>help_of(changetype<World>(world), flow).master);
  return (helpers >> master.helper) & 1;
}

/** Gives a helper to a connection of this protocol that has none and is not part of the table yet. */
export function rule_give_helper(packet: usize, world: usize, helper: u32, protonum: u32): void {
  const p = changetype<Packet>(packet);
  if (p.flow == 0) return;
  const flow = changetype<Flow>(<usize>p.flow);
  if (flow.status & Status.CONFIRMED || flow.protonum != protonum) return;
  const w = changetype<World>(world);
  if (!give_helper(w, flow, helper)) w.table_full = 1;
}
