// Every n-th packet, or some of them: net/netfilter/xt_statistic.c, statistic_mt().

import { PER_DRAW, PER_PACKET, splitmix } from "../chance";
import { World } from "../layout";

// Nth (8 bytes, in World.rule_state; src/ruleset/expression.ts NTH_STATE): packets since the last one that matched, and pad

/** 1 for every packet that finds `last` in the count at offset `state`, which begins anew then. */
export function rule_nth(world: usize, state: u32, last: u32): u32 {
  const count = <usize>changetype<World>(world).rule_state + state;
  const before = load<u32>(count);
  const next = before == last ? 0 : before + 1;
  store<u32>(count, next);
  return next == 0;
}

// Chance (24 bytes, in World.rule_state; src/ruleset/expression.ts CHANCE_STATE)
//   0     8       16      20
//   base  number  visits  pad
@unmanaged
class Chance {
  /** The run's seed, and which of the tests this is. */
  base: u64;
  /** World.number of the packet that was here last, plus one. */
  number: u64;
  /** How often that packet was here before. */
  visits: u32;
  pad: u32;
}
if (offsetof<Chance>() != 24) ERROR("Chance is 24 bytes");

/** 1 if 31 bits that chance throws are below `below`, which is at most 1 << 31. */
export function rule_chance(world: usize, state: u32, below: u32): u32 {
  const w = changetype<World>(world);
  const chance = changetype<Chance>(<usize>w.rule_state + state);
  // A packet that comes here again, by another hook or chain, throws again.
  if (chance.number == w.number + 1) {
    chance.visits++;
  } else {
    chance.number = w.number + 1;
    chance.visits = 0;
  }
  const z = splitmix(
    chance.base + w.number * PER_PACKET + <u64>chance.visits * PER_DRAW,
  );
  return <u32>(z >> 33) < below;
}
