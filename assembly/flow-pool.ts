// The pool of flows: where an entry lies, and what it leaves out.
//
// Entries are allocated in the order of their arrival, so that those of a time share pages. Most tables need no reply
// tuples, since the inverse of the original tuple is the same: their entries have two cache lines instead of three
// (World.flow_bytes).

import { Flow, FLOW_SHORT, Tuple, World } from "./layout";
import { tuple_invert } from "./tuple";
import { Dir } from "./vocabulary";

/** A Tuple's worth of memory of this instance's own. */
let reply_scratch: usize = 0;

export function set_reply_scratch(at: usize): void {
  reply_scratch = at;
}

/** The tuple of one direction of an entry. That of a reply may be gone with the next call. */
export function flow_tuple(w: World, flow: Flow, dir: u32): Tuple {
  const at = changetype<usize>(flow);
  if (dir == Dir.ORIGINAL) return changetype<Tuple>(at);
  if (w.flow_bytes > FLOW_SHORT) return changetype<Tuple>(at + offsetof<Flow>("reply_src_lo"));
  const reply = changetype<Tuple>(reply_scratch);
  tuple_invert(reply, changetype<Tuple>(at));
  return reply;
}

/** Writes the tuple of an entry's replies to `target`. */
export function copy_reply(w: World, flow: Flow, target: Tuple): void {
  const source = changetype<usize>(flow);
  if (w.flow_bytes == FLOW_SHORT) {
    tuple_invert(target, changetype<Tuple>(source));
    return;
  }
  const at = changetype<usize>(target);
  v128.store(at, v128.load(source, offsetof<Flow>("reply_src_lo")));
  v128.store(at, v128.load(source, offsetof<Flow>("reply_dst_lo")), 16);
  store<u64>(at, load<u64>(source, offsetof<Flow>("reply_sport")), 32);
}

/** Room for a flow, which may hold anything; 0 if the reservation is used up. */
export function allocate_flow(w: World): usize {
  let flow: usize = w.flows_free;
  if (flow) {
    w.flows_free = changetype<Flow>(flow).timer;
  } else {
    flow = w.flows_top;
    if (flow + w.flow_bytes > <usize>w.flows_end) return 0;
    w.flows_top = <u32>flow + w.flow_bytes;
  }
  return flow;
}

export function release_flow(w: World, flow: Flow): void {
  flow.status = 0;
  flow.timer = w.flows_free;
  w.flows_free = <u32>changetype<usize>(flow);
}

/** Number of a flow in the pool, from 0: its place in tables that are parallel to the flows. */
export function flow_number(w: World, flow: Flow): usize {
  return (changetype<usize>(flow) - <usize>w.flows) / w.flow_bytes;
}

export function numbered_flow(w: World, number: usize): Flow {
  return changetype<Flow>(<usize>w.flows + number * w.flow_bytes);
}
