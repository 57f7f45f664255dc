// What do log records say of the packets of a batch: which LOG and NFLOG rules they met, and who expected their entries?

import type { LogEntry, WorldView } from '../batch.ts';
import { LOG_RECORD } from '../engine/layout.ts';
import type { EventRun } from './order.ts';
import { NO_RULE } from './rules.ts';
import { idAt } from './time.ts';

/** Log records by packet; a lane leaves a packet's records in the order in which it met the rules. */
export function indexLogs(runs: readonly EventRun[]): Pick<WorldView, 'logs' | 'master'> {
  if (runs.length === 0) return { logs: () => [], master: () => undefined };
  const index = new Map<number, LogEntry[]>();
  const masters = new Map<number, number>();
  for (const { view, start, end } of runs) {
    for (let at = start; at < end; at += LOG_RECORD.size) {
      const packet = view.getUint32(at + LOG_RECORD.packet, true);
      const rule = view.getUint32(at + LOG_RECORD.rule, true);
      if (rule === NO_RULE) {
        masters.set(packet, idAt(view, at + LOG_RECORD.master));
        continue;
      }
      const entry = { rule };
      const list = index.get(packet);
      if (list) list.push(entry);
      else index.set(packet, [entry]);
    }
  }
  return { logs: (packet) => index.get(packet) ?? [], master: (packet) => masters.get(packet) };
}
