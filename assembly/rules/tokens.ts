// State that nft's statements keep: net/netfilter/nft_limit.c, nft_quota.c, nft_numgen.c.

import { PER_DRAW, PER_PACKET, splitmix } from "../chance";
import { Packet, World } from "../layout";

// Tokens (16 bytes): ns of tokens, and the time of the last packet (ns since 1970)
const LAST: usize = 8;

/**
 * Takes what the packet costs out of a token bucket; 1 if there was enough. `cost` in ns, of which a bucket holds up to
 * `max`; with `rate` the packet costs that for every byte, divided by it.
 */
export function rule_tokens(packet: usize, at: usize, cost: u64, max: u64, rate: u64): u32 {
  const p = changetype<Packet>(packet);
  const price = rate ? cost * <u64>p.ip_len / rate : cost;
  let tokens = load<u64>(at) + p.clock - load<u64>(at, LAST);
  if (tokens > max) tokens = max;
  store<u64>(at, p.clock, LAST);
  const passes = <i64>(tokens - price) >= 0;
  store<u64>(at, passes ? tokens - price : tokens);
  return passes;
}

/** Counts the packet's bytes; 1 if they are now more than `quota`. */
export function rule_quota(packet: usize, at: usize, quota: u64): u32 {
  const used = load<u64>(at) + changetype<Packet>(packet).ip_len;
  store<u64>(at, used);
  return used > quota;
}

/** The next number below `modulus`; the last one lies at `state` in World.rule_state. */
export function rule_next_number(world: usize, state: u32, modulus: u32): u32 {
  const at: usize = <usize>changetype<World>(world).rule_state + state;
  const last = load<u32>(at);
  const next = last + 1 < modulus ? last + 1 : 0;
  store<u32>(at, next);
  return next;
}

/**
 * A number below `modulus` in place of what the kernel draws: it follows from the run's seed, the packet, and the place in the
 * ruleset (splitmix64).
 */
export function rule_random(world: usize, salt: u32, modulus: u32): u32 {
  const w = changetype<World>(world);
  const z = splitmix(w.seed + w.number * PER_PACKET + <u64>(salt + 1) * PER_DRAW);
  return <u32>(((z >> 32) * <u64>modulus) >> 32);
}
