// What time is it to rules that count in ticks of the kernel's clock? HZ is 250, as src/ruleset/jiffies.ts has it.

import { Packet } from "../layout";

export const HZ: u64 = 250;
const NANOSECONDS_PER_JIFFY: u64 = 1_000_000_000 / HZ;

/** The tick that a moment (ns since 1970) lies in. */
// @ts-ignore: decorator
@inline export function tick_of(time: u64): u64 {
  return time / NANOSECONDS_PER_JIFFY;
}

// @ts-ignore: decorator
@inline export function jiffies(p: Packet): u64 {
  return tick_of(p.clock);
}
