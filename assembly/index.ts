// What the engine offers to src/engine/engine.ts, its only caller. No logic here.

export {
  copy_packets, decode_batch, describe_expectation, describe_flow, init_instance, next_flow, sweep_world, track_queue,
} from "./process";
export { defrag_batch } from "./fragment";
export { lane_of_tuple, SHARDS } from "./shard";
export { match_sights } from "./sight";
export { next_expectation } from "./expect";
export { preload_flow } from "./conntrack";
export { WHEEL_BUCKETS, WHEEL_BYTES } from "./timer";
export { trace_rule } from "./trace";
export { merge, walk } from "./walk";
export * from "./rules/index";
