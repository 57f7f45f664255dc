// Do the kernel and ctreplay expect the same? Lines of `conntrack -E expect` in order, and `conntrack -L expect` at the end.
//
// What has expired is left out: the kernel destroys it when it comes across it, ctreplay at its expiry. Whole seconds may
// differ by one from the packet on during which a jiffy passed. Where the port that was announced is taken, NAT looks for
// another one at random: such a port is compared by that it was not announced.

import type { KernelAnswers } from './answers.ts';
import type { Comparison, OurAnswers, Report } from './compare.ts';
import type { Announced } from './kernel.ts';

/** `    [NEW] 300 proto=6 src=...`: kind, seconds left, the rest. */
const LINE = /^\s*\[(NEW|DESTROY)\] (\d+) (.*)$/;

interface Parsed {
  n: number;
  line: string;
  seconds: number;
  rest: string;
}

function parse(line: string, n: number): Parsed {
  const [, kind = '', seconds = '0', rest = line] = LINE.exec(line) ?? [];
  return { n, line, seconds: Number(seconds), rest: `[${kind}] ${rest}` };
}

const expired = ({ rest, seconds }: Parsed): boolean => rest.startsWith('[DESTROY]') && seconds === 0;

/** The lowest port that is looked for where one above it is taken (nf_nat_l4proto_unique_tuple()). */
const MOVED_MIN = 1024;

/** The line with a port that nobody announced as `~`. */
function withoutMovedPort(line: string, announced: Announced | undefined): string {
  if (announced === undefined) return line;
  const known = announced.get(/ helper=(\S+)/.exec(line)?.[1] ?? '');
  return line.replace(/ dport=(\d+)/, (text, port) =>
    Number(port) < MOVED_MIN || known?.has(Number(port)) ? text : ' dport=~',
  );
}

/** @param announced ports that the traffic announces, as far as that is known */
export function compareExpectations(
  kernel: KernelAnswers,
  ours: OurAnswers,
  result: Comparison,
  report: Report,
  announced?: Announced,
): void {
  const ticked = kernel.packets.find((packet) => packet.ticked)?.n ?? Number.MAX_SAFE_INTEGER;
  const theirs = kernel.expectations.map(({ n, line }) => parse(line, n)).filter((each) => !expired(each));
  const own = ours.expectations
    .map((line) => parse(line.replace(/^\[\d+ *\.\d+ *\]\t/, ''), 0))
    .filter((each) => !expired(each));
  for (let index = 0; index < Math.max(theirs.length, own.length); index++) {
    const [left, right] = [theirs[index], own[index]];
    if (left && right && withoutMovedPort(left.rest, announced) === withoutMovedPort(right.rest, announced)) {
      if (left.rest !== right.rest) result.excused.port++;
      if (left.seconds === right.seconds) continue;
      if (Math.abs(left.seconds - right.seconds) === 1 && ticked <= left.n) {
        result.excused.jiffy++;
        continue;
      }
    }
    report(left?.n ?? 0, 'expectation', left?.line, right?.line);
    return;
  }
  comparePending(kernel, ours, report, announced);
}

/** Seconds aside: the kernel's table is read some milliseconds after the last packet. */
function comparePending(
  kernel: KernelAnswers,
  ours: OurAnswers,
  report: Report,
  announced: Announced | undefined,
): void {
  const living = (lines: readonly string[]): string[] =>
    lines
      .filter((line) => Number.parseInt(line, 10) > kernel.tableDelay)
      .map((line) => withoutMovedPort(line.replace(/^\d+ /, ''), announced))
      .sort();
  const [theirs, own] = [living(kernel.pending), living(ours.pending)];
  for (let index = 0; index < Math.max(theirs.length, own.length); index++) {
    if (theirs[index] === own[index]) continue;
    report(0, 'expectation at the end', theirs[index], own[index]);
    return;
  }
}
