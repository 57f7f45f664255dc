// Do the kernel and ctreplay agree about this traffic? Asks both and tells what differs.

import { answersOf, type KernelAnswers } from './answers.ts';
import { type Comparison, compare, type Report } from './compare.ts';
import { compareSent } from './compare-sent.ts';
import { isForMany } from './host.ts';
import { askKernel, type Question, rulesOf } from './kernel.ts';
import { compareMoments, kernelExpiries, ourExpiries } from './moments.ts';
import { namedRanges, withoutMovedPort } from './moved-ports.ts';
import { OurRun } from './ours.ts';
import { isIcmpError, isSilentReject } from './packet.ts';
import { story } from './story.ts';

/**
 * How many jiffies the kernel's stop stamp may be away from the expiry: it is the precise clock less whole jiffies, and one may
 * end between the reading of the two.
 */
const STAMP_JIFFIES = 1;

/**
 * Compares one capture or sequence; the story of each of the first `limit` differences goes to `print`. `chance` is the seed of
 * what is random in the kernel.
 */
export async function compareTraffic(
  question: Question,
  options: { workers: number; limit: number; print: (text: string) => void; chance?: number },
): Promise<{ comparison: Comparison; kernel: KernelAnswers; moments: number }> {
  const record = await askKernel(question);
  const kernel = answersOf(question.frames, record);
  const ours = new OurRun(
    question,
    kernel.packets.map((packet) => packet.ts),
    kernel.host,
    kernel.nft?.before,
  );
  const rules = rulesOf(question);
  const isSilent = (n: number, kind: string): boolean => {
    const frame = question.frames[n - 1]!;
    return isForMany(frame, question.locals) || isSilentReject(frame.packet, kind);
  };
  try {
    const answers = await ours.replay(options.workers, options.chance);
    const isOwnError = (n: number): boolean => {
      const { own, packet } = question.frames[n - 1]!;
      return own !== undefined && isIcmpError(packet);
    };
    const comparison = compare(kernel, answers, { isSilent, isOwnError, announced: question.announced }, rules);
    const tolerance = BigInt(STAMP_JIFFIES * record.tick);
    const named = namedRanges(rules);
    const plain = (line: string): string => withoutMovedPort(line, named);
    const report: Report = (n, what, theirs, mine) => {
      comparison.differences.push({ n, what, kernel: String(theirs), ours: String(mine) });
    };
    const sent = compareSent(
      kernel,
      record.left,
      answers,
      question.frames,
      { named, announced: question.announced },
      report,
    );
    Object.assign(comparison.excused, sent.excused);
    comparison.sent = sent.packets;
    const moments = compareMoments(kernelExpiries(kernel, record), ourExpiries(answers.events), tolerance, plain);
    comparison.differences.push(...moments.differences);
    for (const difference of comparison.differences.slice(0, options.limit)) {
      options.print(`\n${story(difference, question.frames, kernel)}`);
      if (difference.n > 0) options.print(indent(await ours.trace(difference.n)));
    }
    return { comparison, kernel, moments: moments.same };
  } finally {
    ours.close();
  }
}

function indent(text: string): string {
  return text.trimEnd().replace(/^/gm, '      ');
}
