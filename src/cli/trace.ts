// What does `ctreplay trace` do? It follows one packet through hooks, rules and connection tracking.

import { PacketFlag, Reason } from '../../assembly/vocabulary.ts';
import type { BatchView } from '../batch.ts';
import type { CaptureSpec } from '../capture/reader.ts';
import { PACKET, RECORD } from '../engine/layout.ts';
import { UsageError } from '../errors.ts';
import { writeStandardOutput } from '../output.ts';
import { CopyCheck } from '../report/copies.ts';
import { packetText } from '../report/describe.ts';
import { NO_RULE } from '../report/rules.ts';
import { stampAt } from '../report/time.ts';
import { type TracedPacket, traceJson, traceText } from '../report/trace.ts';
import type { RunResult } from '../run.ts';
import type { Options } from './args.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { colorful } from './replay.ts';
import { conclude, hostFrom, runCaptures, tell } from './start.ts';

/** The packet in this batch, described; undefined if it is not here. */
function find(batch: BatchView, wanted: { file: number; n: number }, path: string): TracedPacket | undefined {
  const { view, bytes, records, count } = batch;
  for (let i = 0; i < count; i++) {
    const record = records + i * RECORD.size;
    if (view.getUint32(record + RECORD.n, true) !== wanted.n) continue;
    if (view.getUint16(record + RECORD.file, true) !== wanted.file) continue;
    const at = batch.worlds[0]!.packets + i * PACKET.size;
    const rule = view.getUint32(at + PACKET.rule, true);
    return {
      ...wanted,
      path,
      ts: stampAt(view, record + RECORD.ts),
      text: packetText(view, bytes, at),
      verdict: bytes[at + PACKET.verdict]!,
      reject: bytes[at + PACKET.reject]!,
      reason: bytes[at + PACKET.reason]!,
      reasonValue: view.getUint32(at + PACKET.why_value, true),
      reasonTag: view.getUint32(at + PACKET.ct_mark, true),
      ...(rule === NO_RULE ? {} : { rule }),
    };
  }
  return undefined;
}

function missing(result: RunResult, { file, n }: { file: number; n: number }): UsageError {
  const { path, packets } = result.files[file - 1]!;
  return new UsageError('no-such-packet', `--packet: ${path} has no packet ${n}, only 1 to ${packets}`);
}

/** The packet whose fate this one shares, and how: the fragment that completed it, what it is a copy of, what it answers. */
async function judgedWith(
  options: Options,
  captures: readonly CaptureSpec[],
): Promise<{ packet: { file: number; n: number }; how: string } | undefined> {
  const wanted = options.packet!;
  const host = hostFrom(options, options.host);
  const check = new CopyCheck();
  let found: Awaited<ReturnType<typeof judgedWith>>;
  const command = { hosts: [host], wantEvents: false, wantFragments: true } as const;
  await runCaptures(options, captures, command, (batch) => {
    const { view, records, count, worlds } = batch;
    const copies = check.add(batch);
    for (let i = 0; i < count; i++) {
      const record = records + i * RECORD.size;
      if (view.getUint32(record + RECORD.n, true) !== wanted.n) continue;
      if (view.getUint16(record + RECORD.file, true) !== wanted.file) continue;
      const { of, answers } = copies.get(i) ?? {};
      if (of) found = { packet: of, how: 'is a copy, as it left, of' };
      if (answers) found = { packet: answers, how: 'is what the host answered to' };
      const at = worlds[0]!.packets + i * PACKET.size;
      if (!(view.getUint16(at + PACKET.flags, true) & PacketFlag.FRAGMENT_OF)) continue;
      const packet = { file: view.getUint16(at + PACKET.l4, true), n: view.getUint32(at + PACKET.hash, true) };
      found = { packet, how: 'is a fragment of the packet that was complete with' };
    }
  });
  return found;
}

export async function traceCommand(options: Options, captures: readonly CaptureSpec[]): Promise<ExitCode> {
  const wanted = options.packet!;
  const path = captures[wanted.file - 1]!.path;
  const host = hostFrom(options, options.host);
  let packet: TracedPacket | undefined;
  const result = await runCaptures(options, captures, { hosts: [host], wantEvents: false, trace: wanted }, (batch) => {
    packet ??= find(batch, wanted, path);
  });
  if (packet === undefined) {
    const code = await conclude(result, EXIT.DONE);
    if (code === EXIT.DONE) throw missing(result, wanted);
    return code;
  }
  // Some packets are a matter of another one, which is traced instead. Standard input cannot be read again.
  const depends = packet.reason === Reason.FRAGMENT_PENDING || packet.reason === Reason.EGRESS_COPY;
  if (depends && captures.every((capture) => capture.path !== '-')) {
    const other = await judgedWith(options, captures);
    if (other) {
      await tell(
        options,
        `${path}:${wanted.n} ${other.how} ${captures[other.packet.file - 1]!.path}:${other.packet.n}`,
      );
      return traceCommand({ ...options, packet: other.packet }, captures);
    }
  }
  const { trace, rules } = result.worlds[0]!;
  const text = options.json
    ? traceJson(packet, trace, rules)
    : traceText(packet, trace, rules, colorful(process.stdout));
  await writeStandardOutput(text);
  return conclude(result, EXIT.DONE);
}
