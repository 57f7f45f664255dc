// How is a difference told so that one can act on it? The packet, both answers, and how the flow got there.

import { type KernelAnswer, type KernelAnswers, packetsOfFlow } from './answers.ts';
import type { Difference } from './compare.ts';
import type { Frame } from './frames.ts';
import { describe } from './packet.ts';

const PACKETS_BEFORE = 8;

/** A difference as lines of text: what differs, then the flow's last packets with what the kernel made of each. */
export function story(difference: Difference, frames: Frame[], kernel: KernelAnswers): string {
  const { n, what } = difference;
  const frame = frames[n - 1];
  const place = frame ? `packet ${n} (${frame.origin} in the capture)` : 'at the end';
  const lines = [`${place}: ${what}`, `  kernel  ${difference.kernel}`, `  ours    ${difference.ours}`];
  if (!frame) return lines.join('\n');
  for (const number of packetsOfFlow(frames, n, PACKETS_BEFORE)) {
    const start = number === n ? '>' : ' ';
    lines.push(`  ${start} ${number} ${describe(frames[number - 1]!.packet)}`);
    lines.push(`      ${kernelLine(kernel.packets[number - 1]!)}`);
  }
  return lines.join('\n');
}

/** What the kernel did with a packet, in one line. */
export function kernelLine(answer: KernelAnswer): string {
  const { entry, ct } = answer;
  const words = [answer.verdict, answer.with, ct?.state, ct?.dir];
  if (entry) {
    const bits = entry.status.length ? `[${entry.status.join(' ')}]` : '';
    words.push('| entry', `of ${entry.flow ?? '?'}:`, String(entry.timeout), entry.tcp, bits);
    if (entry.mark) words.push(`mark ${entry.mark}`);
  } else words.push('| no entry');
  if (answer.why) words.push(`| ${answer.why}`);
  if (answer.events.length) words.push('| events', ...answer.events);
  return words.filter(Boolean).join(' ');
}
