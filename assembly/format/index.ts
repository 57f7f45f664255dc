// What the formatter offers to src/report/format.ts, its only caller: a module of its own over a memory of its own, for
// it needs nothing of the engine but the shape of its records.

export { format_flows } from "./flows";
export { format_packets } from "./packets";
export { set_table } from "./write";
