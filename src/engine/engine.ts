// The engine's module, compiled once per run, and its instances, one per thread. The only place that calls its exports by
// name is typed here; numbers that mean failure become errors here and in the pool.

import { readFileSync } from 'node:fs';
import { packageFile } from '../built.ts';

/** Exports of assembly/index.ts. Addresses are unsigned 32-bit numbers that V8 hands out signed: see `unsigned`. */
export interface EngineExports extends WebAssembly.Exports {
  readonly table: WebAssembly.Table;
  init_instance(scratch: number, seedLow: number, seedHigh: number): void;
  decode_batch(
    records: number,
    count: number,
    packets: number,
    checksums: number,
    queues: number,
    lengths: number,
    shards: number,
    fragments: number,
    sights: number,
  ): number;
  match_sights(sights: number, records: number, packets: number, count: number): void;
  defrag_batch(defrag: number, queue: number, length: number, clockLow: number, clockHigh: number): void;
  copy_packets(target: number, source: number, count: number): void;
  track_queue(world: number, packets: number, queue: number, from: number, length: number, firstNumber: number): number;
  sweep_world(world: number, clockLow: number, clockHigh: number): number;
  next_flow(world: number, flow: number): number;
  describe_flow(world: number, flow: number, event: number, nowLow: number, nowHigh: number): void;
  next_expectation(world: number, expectation: number): number;
  describe_expectation(expectation: number, event: number, nowLow: number, nowHigh: number): void;
  preload_flow(world: number, template: number, helper: number): number;
  lane_of_tuple(shards: number, tuple: number): number;
}

/** Shards that packets are dealt into, and bytes of a shard table (assembly/shard.ts). */
export const SHARDS = 4096;
export const SHARD_TABLE_BYTES = SHARDS + 1;
/** Bytes of scratch memory that init_instance() wants. */
export const SCRATCH_BYTES = 1344;
/** Buckets and bytes of a timing wheel (assembly/timer.ts). */
export const WHEEL_BUCKETS = 83_200;
export const WHEEL_BYTES = WHEEL_BUCKETS * 4 + 64;

/** An address as JavaScript counts it: wasm hands out i32. */
export function unsigned(address: number): number {
  return address >>> 0;
}

export type EngineBuild = 'release' | 'debug';

export async function compileEngine(build: EngineBuild = 'release'): Promise<WebAssembly.Module> {
  return WebAssembly.compile(readFileSync(packageFile(`build/engine/${build}.wasm`)));
}

/** A fresh instance over the run's memory. `scratch`: SCRATCH_BYTES of its own; `seed`: the run's hash seed. */
export function instantiateEngine(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  scratch: number,
  seed: readonly [number, number],
): EngineExports {
  const abort = (_message: number, _file: number, line: number, column: number): never => {
    throw new Error(`engine assertion failed at line ${line}, column ${column}`);
  };
  const exports = new WebAssembly.Instance(module, { env: { memory, abort } }).exports as EngineExports;
  exports.init_instance(scratch, seed[0], seed[1]);
  return exports;
}
