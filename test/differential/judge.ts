// Do the kernel and ctreplay agree about this traffic? Asks both and tells what differs.

import { answersOf, type KernelAnswers } from './answers.ts';
import { type Comparison, compare } from './compare.ts';
import { askKernel, type Question } from './kernel.ts';
import { OurRun } from './ours.ts';
import { isSilentReject } from './packet.ts';
import { story } from './story.ts';

/** Compares one capture or sequence; the story of each of the first `limit` differences goes to `print`. */
export async function compareTraffic(
  question: Question,
  options: { workers: number; limit: number; print: (text: string) => void },
): Promise<{ comparison: Comparison; kernel: KernelAnswers }> {
  const kernel = answersOf(question.frames, await askKernel(question));
  const ours = new OurRun(
    question,
    kernel.packets.map((packet) => packet.ts),
  );
  const rules = [...question.rules4, ...question.rules6];
  const isSilent = (n: number, kind: string): boolean => isSilentReject(question.frames[n - 1]!.packet, kind);
  try {
    const comparison = compare(kernel, await ours.replay(options.workers), isSilent, rules);
    for (const difference of comparison.differences.slice(0, options.limit)) {
      options.print(`\n${story(difference, question.frames, kernel)}`);
      if (difference.n > 0) options.print(indent(await ours.trace(difference.n)));
    }
    return { comparison, kernel };
  } finally {
    ours.close();
  }
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '      ');
}
