// Sysctls of a world: one u32 each, in the order of vocabulary.Sysctl.

import { World } from "./layout";

const SECOND: u64 = 1_000_000_000;

// @ts-ignore: decorator
@inline export function sysctl(w: World, index: u32): u32 {
  return load<u32>(<usize>w.sysctls + <usize>index * 4);
}

/** A timeout in ns. */
// @ts-ignore: decorator
@inline export function timeout_ns(w: World, index: u32): u64 {
  return <u64>sysctl(w, index) * SECOND;
}
