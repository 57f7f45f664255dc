// How far is a long replay? A bar on standard error, for terminals only, once the work takes more than a second.

import type { SingleBar } from 'cli-progress';
import { countText } from '../report/align.ts';
import type { Progress } from '../run.ts';

/** Work that is shorter shows no bar, ms. */
const PATIENCE_MS = 1000;

export interface ProgressBar {
  update(progress: Progress): void;
  /** Removes the bar. */
  stop(): void;
}

/** A bar on standard error, or nothing if that is no terminal or the user wants quiet. */
export async function progressBar(quiet: boolean): Promise<ProgressBar> {
  if (quiet || !process.stderr.isTTY) return { update() {}, stop() {} };
  // A terminal that is gone is no trouble.
  process.stderr.on('error', () => {});
  const begin = performance.now();
  const { default: cliProgress } = await import('cli-progress');
  let bar: SingleBar | undefined;
  return {
    update({ bytesRead, bytesTotal, packets }) {
      if (bar === undefined) {
        if (performance.now() - begin < PATIENCE_MS) return;
        const known = bytesTotal === undefined ? '' : '[{bar}] {percentage}% ';
        bar = new cliProgress.SingleBar({
          format: `${known}{packets} packets`,
          stream: process.stderr,
          clearOnComplete: true,
          hideCursor: true,
          barCompleteChar: '=',
          barIncompleteChar: ' ',
        });
        bar.start(bytesTotal ?? 1, 0, { packets: '0' });
      }
      bar.update(bytesTotal === undefined ? 0 : Math.min(bytesRead, bytesTotal), { packets: countText(packets) });
    },
    stop() {
      bar?.stop();
    },
  };
}
