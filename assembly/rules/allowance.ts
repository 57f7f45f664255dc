// Bytes that rules let pass until they are used up: net/netfilter/xt_quota.c, quota_mt().

import { Packet, World } from "../layout";

/** 1 if the quota at offset `state` (u64 bytes left) covers the packet, which is taken off. What does not fit ends it. */
export function rule_allowance(packet: usize, world: usize, state: u32): u32 {
  const at = <usize>changetype<World>(world).rule_state + state;
  const left = load<u64>(at);
  const length = <u64>changetype<Packet>(packet).ip_len;
  const covers = left >= length;
  store<u64>(at, covers ? left - length : 0);
  return covers;
}
