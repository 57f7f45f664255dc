// What time is it to rules that count in ticks of the kernel's clock? HZ is 250, as src/ruleset/check.ts has it.

import { Packet } from "../layout";

export const HZ: u64 = 250;
const NANOSECONDS_PER_JIFFY: u64 = 1_000_000_000 / HZ;

// @ts-ignore: decorator
@inline export function jiffies(p: Packet): u64 {
  return p.clock / NANOSECONDS_PER_JIFFY;
}
