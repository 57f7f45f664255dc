// What did a process use? Loaded into it with `node --import`: at its end it writes one line of JSON to descriptor 3.

import { readFileSync, writeSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

/** What a process says of itself when it ends. */
export interface Usage {
  /** Largest resident set, KiB. */
  peak: number;
  /** Time on processors, all threads, s. */
  cpu: number;
}

const DESCRIPTOR = 3;

/** Linux counts ru_maxrss from the fork on, with the parent's pages; VmHWM begins with the program (proc(5)). */
function peakKib(): number {
  try {
    const [, peak] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    if (peak !== undefined) return Number(peak);
  } catch {
    // Not Linux: what getrusage() says has to do.
  }
  return process.resourceUsage().maxRSS;
}

if (isMainThread) {
  process.on('exit', () => {
    const { userCPUTime, systemCPUTime } = process.resourceUsage();
    const usage: Usage = { peak: peakKib(), cpu: (userCPUTime + systemCPUTime) / 1e6 };
    writeSync(DESCRIPTOR, JSON.stringify(usage));
  });
}
