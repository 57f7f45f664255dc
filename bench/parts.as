// Which of the engine's inner functions are measured alone? AssemblyScript, compiled by bench/parts.ts from the same
// sources and with the same options as the engine, and instantiated over the same memory.
//
// The name does not end in .ts because tsc reads every such file of this folder.

import { allocate_flow, release_flow } from "../assembly/flow-pool";
import { find_flow, insert_flow, remove_flow } from "../assembly/flow-table";
import { Flow, Packet, Tuple, World } from "../assembly/layout";
import { seed_hash, tuple_hash } from "../assembly/tuple";
import { fold, sum_bytes } from "../assembly/wire/checksum";

/** The hash seed of the engine that wrote the packets. */
export function init_parts(seed_lo: u32, seed_hi: u32): void {
  seed_hash(((<u64>seed_hi) << 32) | seed_lo);
}

/** Looks up the tuple of each of `count` packets; returns how many were found. */
export function find_many(world: usize, packets: usize, count: u32): u32 {
  const w = changetype<World>(world);
  let found: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const p = packets + <usize>i * offsetof<Packet>();
    if (find_flow(w, changetype<Tuple>(p), changetype<Packet>(p).hash)) found++;
  }
  return found;
}

/** Hashes the tuple of each packet; returns something that depends on all of them. */
export function hash_many(packets: usize, count: u32): u32 {
  let all: u32 = 0;
  for (let i: u32 = 0; i < count; i++) all ^= tuple_hash(changetype<Tuple>(packets + <usize>i * offsetof<Packet>()));
  return all;
}

/** Puts an entry for each packet's tuple into the index and leaves its address in Packet.flow; returns how many. */
export function insert_many(world: usize, packets: usize, count: u32): u32 {
  const w = changetype<World>(world);
  let inserted: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const p = packets + <usize>i * offsetof<Packet>();
    const at = allocate_flow(w);
    if (at == 0) return inserted;
    v128.store(at, v128.load(p));
    v128.store(at, v128.load(p, 16), 16);
    store<u64>(at, load<u64>(p, 32), 32);
    const flow = changetype<Flow>(at);
    flow.status = 0;
    if (!insert_flow(w, flow, changetype<Packet>(p).hash)) return inserted;
    changetype<Packet>(p).flow = <u32>at;
    inserted++;
  }
  return inserted;
}

/** Takes the entries that insert_many() made out of the index again. */
export function remove_many(world: usize, packets: usize, count: u32): void {
  const w = changetype<World>(world);
  for (let i: u32 = 0; i < count; i++) {
    const flow = changetype<Flow>(<usize>changetype<Packet>(packets + <usize>i * offsetof<Packet>()).flow);
    remove_flow(w, flow);
    release_flow(w, flow);
  }
}

/** Internet checksum of `count` runs of `length` bytes, `stride` bytes apart; returns something that depends on all. */
export function sum_many(at: usize, length: u32, stride: u32, count: u32): u32 {
  let all: u32 = 0;
  for (let i: u32 = 0; i < count; i++) all ^= fold(sum_bytes(at + <usize>i * stride, length));
  return all;
}
