// The library: what scripts import from "ctreplay". The command line is a thin layer over the same functions.

import { CaptureFeed } from './capture/feed.ts';
import { InterfaceNames } from './capture/interfaces.ts';
import type { CaptureSpec } from './capture/reader.ts';
import { captureAreaBytes, type Walker } from './capture/walker.ts';
import type { ExpectationSource } from './check/files.ts';
import type { CheckReport } from './check/report.ts';
import { compileEngine, instantiateEngine, SCRATCH_BYTES } from './engine/engine.ts';
import { BATCH_BYTES, BATCH_PACKETS, RECORD } from './engine/layout.ts';
import { Allocator, createMemory } from './engine/memory.ts';
import { handOver } from './hand-over.ts';
import { type Host, loadHost } from './host.ts';
import { flowJson } from './report/conntrack-json.ts';
import { ConntrackLines } from './report/conntrack-text.ts';
import { type ContradictionKind, CopyCheck } from './report/copies.ts';
import { DiffCollector, type DiffReport } from './report/diff.ts';
import { PacketLines } from './report/packets.ts';
import { type Summary, summarizeRun } from './report/summary.ts';
import { PacketTally } from './report/tally.ts';
import { type RunOptions, type RunResult, run } from './run.ts';

export type { CaptureSpec } from './capture/reader.ts';
export type { ExpectationSource } from './check/files.ts';
export type {
  CheckReport,
  Example,
  ExpectationResult,
  Failure,
  FlowExample,
  PacketExample,
  RuleExample,
} from './check/report.ts';
export * from './errors.ts';
export { type Host, type HostOptions, loadHost } from './host.ts';
export type { Contradiction, ContradictionKind, CopyCounts } from './report/copies.ts';
export type { DiffReport, FlowDifference, Judgement } from './report/diff.ts';
export type { Summary } from './report/summary.ts';

/** What replay() and diff() have in common. */
export interface CommonOptions {
  /** Paths (pcap, pcapng, gzip; `-` is standard input), or a path with the interface it was captured on. */
  captures: readonly (string | CaptureSpec)[];
  /** Threads; by default as many as the machine has cores and the captures are worth. Never changes the result. */
  workers?: number;
  /** Decides what is random in the kernel (docs/nat.md); 0 if not given. */
  seed?: bigint;
  /** Default `auto`: a wrong checksum that bears the marks of transmit offload counts as right. */
  checksums?: 'auto' | 'verify' | 'ignore';
  /** Ends the run with the signal's reason. */
  signal?: AbortSignal;
}

export interface ReplayOptions extends CommonOptions {
  /** The firewall; without it every packet is forwarded and nothing is filtered. */
  host?: Host;
  /** Replay time at which to stop, ns since 1970. */
  until?: bigint;
  /** Yield packets, events: both by default. What is not asked for costs nothing. */
  packets?: boolean;
  events?: boolean;
}

/** One captured packet and what became of it, as a line of `--packets` has it. */
export interface PacketReport {
  file: number;
  n: number;
  /** `seconds.nanoseconds` */
  ts: string;
  path?: 'forward' | 'input' | 'output';
  in?: string;
  out?: string;
  ct?: {
    id?: number;
    state: string;
    dir?: 'original' | 'reply';
    status?: string[];
    tcp?: string;
    sctp?: string;
    mark?: number;
  };
  verdict: 'ACCEPT' | 'DROP' | 'REJECT' | 'QUEUE' | 'NONE';
  with?: string;
  rule?: string;
  why?: string;
  /** What address translation changed. */
  nat?: { src?: string; dst?: string; sport?: number; dport?: number; id?: number; key?: number };
  /**
   * A copy of what left (`why` is `egress-copy`): the packet as it arrived, or the one that the host answered, and what the
   * replay says otherwise.
   */
  of?: { file: number; n: number };
  answers?: { file: number; n: number };
  contradicts?: ContradictionKind;
  /** A fragment: the one that completed the packet, whose verdict this is. */
  frag?: { file: number; n: number };
  events?: ('NEW' | 'UPDATE' | 'DESTROY')[];
  logs?: { kind: 'LOG' | 'NFLOG'; prefix?: string; rule: string }[];
}

/** One event: the line as `conntrack -E -o timestamp` prints it, and its parts. */
export interface EventReport {
  line: string;
  /** `seconds.nanoseconds` */
  ts: string;
  event: 'NEW' | 'UPDATE' | 'DESTROY';
  id: number;
  family: 'ipv4' | 'ipv6';
  proto: string;
  protonum: number;
  timeout: number;
  state?: string;
  original: Record<string, unknown>;
  reply: Record<string, unknown>;
  status: string[];
  mark: number;
}

/** Some packets in replay order, and the events up to the last of them. */
export interface ReplayBatch {
  packets: PacketReport[];
  events: EventReport[];
}

/** What replay() returns when all batches were taken. */
export interface ReplayResult {
  summary: Summary;
  /** The connection table at the end, oldest entry first. */
  table: Omit<EventReport, 'line' | 'event'>[];
  /** A capture that could not be read to its end: everything before was replayed. */
  error?: Error;
}

/**
 * Replays captures through a host. Yields batches in replay order, returns the summary and the table at the end.
 *
 *     for await (const { packets } of replay({ captures: ['a.pcap'], host })) for (const p of packets) console.log(p.verdict);
 *
 * @throws CaptureError, RulesetError, HostError, EngineError, or the abort signal's reason
 */
export async function* replay(options: ReplayOptions): AsyncGenerator<ReplayBatch, ReplayResult> {
  const host = options.host ?? (await loadHost({}));
  const wantPackets = options.packets ?? true;
  const wantEvents = options.events ?? true;
  const tally = new PacketTally();
  const check = new CopyCheck();
  const eventLines = new ConntrackLines({ timestamp: true });
  let lines: PacketLines | undefined;
  const batches = handOver<ReplayBatch, RunResult>(options.signal, (signal, give) =>
    run(
      runOptions(options, [host], {
        wantEvents,
        wantFragments: true,
        wantSummary: true,
        until: options.until === undefined ? undefined : { at: options.until },
        signal,
      }),
      async (batch) => {
        const { view, bytes, records, count } = batch;
        const world = batch.worlds[0]!;
        if (world.uncounted) tally.add(view, bytes, records, world.packets, count);
        const copies = check.add(batch);
        lines ??= new PacketLines({ rules: world.rules, interfaces: batch.interfaces });
        const packets: PacketReport[] = wantPackets
          ? linesOf(lines.lines(batch, world, copies)).map((line) => JSON.parse(line))
          : [];
        const texts = linesOf(eventLines.events(world.events));
        const events = world.events.map((event, index) => ({
          line: texts[index]!,
          ...JSON.parse(flowJson(event.view, event.bytes, event.at, false)),
        }));
        await give({ packets, events });
      },
    ),
  );
  const result = yield* batches;
  const world = result.worlds[0]!;
  const table = Array.from(world.table(), (entry) => JSON.parse(flowJson(entry.view, entry.bytes, entry.at, true)));
  return { summary: summarizeRun(tally, check, result), table, ...(result.error && { error: result.error }) };
}

/**
 * Replays captures through two hosts at once and returns the flows that they treat differently.
 * @throws as replay(); also when a capture is cut, since "no difference" would not be true
 */
export async function diff(options: CommonOptions & { old: Host; new: Host }): Promise<DiffReport> {
  const collector = new DiffCollector();
  const hosts = [options.old, options.new] as const;
  const result = await run(
    runOptions(options, hosts, { wantEvents: false, signal: options.signal }),
    ({ view, bytes, records, count, worlds }) => {
      collector.add(view, bytes, records, worlds[0]!.packets, worlds[1]!.packets, count, [
        worlds[0]!.rules,
        worlds[1]!.rules,
      ]);
    },
  );
  if (result.error) throw result.error;
  return collector.report();
}

/**
 * Replays captures through a host and says which expectations hold (docs/check.md).
 *
 *     const { holds, results } = await check({ captures: ['a.pcap'], host, expect: ['firewall.expect.yaml'] });
 *
 * @throws ExpectationError with file, line and column; otherwise as diff()
 */
export async function check(
  options: CommonOptions & {
    /** The firewall; without it every packet is forwarded and nothing is filtered. */
    host?: Host;
    /** Files of expectations: paths, or texts under a name. */
    expect: readonly ExpectationSource[];
  },
): Promise<CheckReport> {
  // What reads YAML is loaded when it is needed.
  const [{ Checker }, { readExpectationFiles }] = await Promise.all([
    import('./check/checker.ts'),
    import('./check/files.ts'),
  ]);
  const host = options.host ?? loadHost({});
  const paths = options.captures.map((capture) => spec(capture).path);
  const checker = new Checker(readExpectationFiles(options.expect, paths, host), paths, host);
  await checker.replay((more, sink) => run(runOptions(options, [host], { ...more, signal: options.signal }), sink));
  return checker.report();
}

/** A packet as it was captured. */
export interface CapturedPacket {
  /** File number in the order given, and frame number in its file, both from 1. */
  file: number;
  n: number;
  /** ns since 1970. */
  ts: bigint;
  /** LINKTYPE_* */
  link: number;
  /** Interface the capture names. */
  iface?: string;
  /** Bytes on the wire. */
  length: number;
  /** Captured bytes. */
  data: Uint8Array;
}

/**
 * Reads captures as replay() does - several are one stream in order of time - without judging them.
 * @throws CaptureError after everything before the fault was yielded
 */
export async function* openCaptures(captures: readonly (string | CaptureSpec)[]): AsyncGenerator<CapturedPacket> {
  const memory = createMemory();
  const allocator = new Allocator();
  const engine = instantiateEngine(await compileEngine(), memory, allocator.take(SCRATCH_BYTES), [0, 0]);
  const names = new InterfaceNames();
  const bytes = captureAreaBytes(captures.length);
  const area = { address: allocator.take(bytes), bytes };
  const walker = engine as unknown as Walker;
  const feed = await CaptureFeed.open(captures.map(spec), memory, walker, names, area);
  const targets = [0, 1].map(() => ({
    data: allocator.take(BATCH_BYTES),
    dataBytes: BATCH_BYTES,
    records: allocator.take(BATCH_PACKETS * RECORD.size),
    capacity: BATCH_PACKETS,
  }));
  const view = new DataView(memory.buffer);
  try {
    for (let turn = 0; ; turn++) {
      const target = targets[turn % 2]!;
      const count = await feed.next(target);
      if (count === 0) return;
      for (let at = target.records; at < target.records + count * RECORD.size; at += RECORD.size) {
        yield capturedPacket(view, at, names);
      }
    }
  } finally {
    await feed.close();
  }
}

function capturedPacket(view: DataView, at: number, names: InterfaceNames): CapturedPacket {
  const start = view.getUint32(at + RECORD.data, true);
  const iface = names.name(view.getUint16(at + RECORD.iface, true));
  return {
    file: view.getUint16(at + RECORD.file, true),
    n: view.getUint32(at + RECORD.n, true),
    ts: view.getBigUint64(at + RECORD.ts, true),
    link: view.getUint16(at + RECORD.link, true),
    ...(iface !== undefined && { iface }),
    length: view.getUint32(at + RECORD.len, true),
    data: new Uint8Array(view.buffer).slice(start, start + view.getUint32(at + RECORD.caplen, true)),
  };
}

/** Lines that were written as bytes. */
function linesOf(pieces: Iterable<Uint8Array>): string[] {
  const lines: string[] = [];
  for (const piece of pieces) lines.push(...Buffer.from(piece).toString().split('\n').slice(0, -1));
  return lines;
}

function spec(capture: string | CaptureSpec): CaptureSpec {
  return typeof capture === 'string' ? { path: capture } : capture;
}

function runOptions(
  options: CommonOptions,
  hosts: RunOptions['hosts'],
  more: Pick<RunOptions, 'wantEvents' | 'wantSummary' | 'wantFragments' | 'wantBytes' | 'until' | 'signal'>,
): RunOptions {
  return {
    captures: options.captures.map(spec),
    hosts,
    workers: options.workers,
    seed: options.seed,
    checksums: options.checksums ?? 'auto',
    ...more,
  };
}
