// Which differences are those of 6.12 from the kernels that ctreplay follows, and not ctreplay's?
//
//   reset      An RST that passes but keeps ESTABLISHED leaves at most tcp_timeout_unacknowledged (300 s) in 6.12 and
//              tcp_timeout_close (10 s) in 6.18. From such a packet on, nothing about its flow is held against anyone.

import type { KernelAnswers } from '../differential/answers.ts';
import type { Comparison, Difference } from '../differential/compare.ts';
import type { Frame } from '../differential/frames.ts';
import { flowKey, parse } from '../differential/packet.ts';

const TCP = 6;
const RST = 4;

/** Flows that an RST left ESTABLISHED: key of the flow -> number of the first such packet. */
export function resetFlows(frames: Frame[], kernel: KernelAnswers): Map<string, number> {
  const found = new Map<string, number>();
  for (const { n, ct, entry } of kernel.packets) {
    const packet = frames[n - 1]!.packet;
    const parsed = parse(packet);
    if (parsed?.protocol !== TCP || !((parsed.transport[13] ?? 0) & RST)) continue;
    const key = flowKey(packet);
    if (ct?.state === 'ESTABLISHED' && entry?.tcp === 'ESTABLISHED' && !found.has(key)) found.set(key, n);
  }
  return found;
}

/**
 * Takes the differences out that 6.12 is known for; returns how many.
 *
 * @param resets as `resetFlows` returns it
 */
export function excuseResets(comparison: Comparison, resets: Map<string, number>, frames: Frame[]): number {
  const texts = new Map<string, number>();
  for (const frame of frames) {
    const first = resets.get(flowKey(frame.packet));
    if (first !== undefined) texts.set(tupleText(frame), first);
  }
  const isExcused = ({ n, kernel, ours }: Difference): boolean => {
    const frame = frames[n - 1];
    const since = frame && resets.get(flowKey(frame.packet));
    if (since !== undefined && n >= since) return true;
    return [kernel, ours].some((text) => {
      const tuple = /src=\S+ dst=\S+ sport=\d+ dport=\d+/.exec(text)?.[0];
      const first = tuple === undefined ? undefined : texts.get(tuple);
      return first !== undefined && (n === 0 || n >= first);
    });
  };
  const before = comparison.differences.length;
  comparison.differences = comparison.differences.filter((difference) => !isExcused(difference));
  return before - comparison.differences.length;
}

/** The tuple of a TCP packet as conntrack prints it (IPv4; IPv6 flows are known by their packets alone). */
function tupleText({ packet }: Frame): string {
  const { source, target, transport } = parse(packet)!;
  const ports = `sport=${transport.readUInt16BE(0)} dport=${transport.readUInt16BE(2)}`;
  return `src=${source.join('.')} dst=${target.join('.')} ${ports}`;
}
