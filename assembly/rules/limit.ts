// The token bucket of `-m limit`: net/netfilter/xt_limit.c, with the capture's clock as jiffies.
//
// Arithmetic is the kernel's in 32 bits, with HZ = 250 (src/ruleset/check.ts computes cost and cap for the same HZ): a
// bucket that was not asked for 37 hours may have wrapped, there as here.

import { Packet, World } from "../layout";
import { jiffies } from "./jiffies";

const CREDITS_PER_JIFFY: u32 = 128;

// Bucket (16 bytes, in World.rule_state; src/ruleset/expression.ts LIMIT_STATE)
//   0         8       12
//   previous  credit  pad
@unmanaged class Bucket {
  /** Jiffies of the last packet. */
  previous: u64;
  credit: u32;
  pad: u32;
}
if (offsetof<Bucket>() != 16) ERROR("Bucket is 16 bytes");

/** 1 if the bucket at offset `state` has `cost` credits left, which are then taken. */
export function rule_limit(p: usize, w: usize, state: u32, cost: u32, cap: u32): u32 {
  const bucket = changetype<Bucket>(<usize>changetype<World>(w).rule_state + state);
  const now = jiffies(changetype<Packet>(p));
  const gained = <u32>(now - bucket.previous) * CREDITS_PER_JIFFY;
  bucket.previous = now;
  let credit = bucket.credit + gained;
  if (credit > cap) credit = cap;
  const passes = credit >= cost;
  bucket.credit = passes ? credit - cost : credit;
  return passes;
}
