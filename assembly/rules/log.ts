// The record that LOG and NFLOG leave: which packet met which rule.

import { LogRecord, Packet, World } from "../layout";

/** Appends a record to the world's log area. The caller of the rules has made room (World.logs_reserve). */
export function rule_log(packet: usize, world: usize, rule: u32): void {
  const w = changetype<World>(world);
  const top = w.logs_top;
  if (top + <u32>offsetof<LogRecord>() > w.logs_end) unreachable();
  const record = changetype<LogRecord>(<usize>top);
  record.packet = <u32>packet;
  record.rule = rule;
  w.logs_top = top + <u32>offsetof<LogRecord>();
  changetype<Packet>(packet).logs++;
}
