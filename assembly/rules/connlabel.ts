// The test of `-m connlabel`: net/netfilter/xt_connlabel.c, connlabel_mt().

import { account_of } from "../account";
import { Account, Flow, Packet, World } from "../layout";
import { EventBit } from "../vocabulary";

/**
 * 1 if the packet's entry has the label `bit`, or has it now because `set` is not 0; 0 also without an entry. Accounts
 * have room for every label that a rule names (World.account_bytes).
 */
export function rule_connlabel(packet: usize, world: usize, bit: u32, set: u32): u32 {
  const p = changetype<Packet>(packet);
  if (p.flow == 0) return 0;
  const flow = changetype<Flow>(<usize>p.flow);
  const account = changetype<usize>(account_of(changetype<World>(world), flow));
  const at = account + offsetof<Account>("labels_lo") + <usize>(bit >> 6) * 8;
  const label: u64 = (<u64>1) << (bit & 63);
  const labels = load<u64>(at);
  if (labels & label) return 1;
  if (set == 0) return 0;
  store<u64>(at, labels | label);
  flow.pending_events |= <u16>EventBit.LABEL;
  return 1;
}
