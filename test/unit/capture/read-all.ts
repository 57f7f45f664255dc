// How does a test read captures? Through the compiled engine, batch by batch, into plain objects.
//
// On the way it holds what every batch promises: packets lie in the batch's own memory, numbers run on, the clock
// never goes back, and what an earlier call delivered is not touched by the next.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect } from 'vitest';
import { type BatchTarget, CaptureFeed } from '../../../src/capture/feed.ts';
import { InterfaceNames } from '../../../src/capture/interfaces.ts';
import type { CaptureFile, CaptureSpec } from '../../../src/capture/reader.ts';
import { captureAreaBytes, type Walker } from '../../../src/capture/walker.ts';
import { RECORD } from '../../../src/engine/layout.ts';
import { CaptureError } from '../../../src/errors.ts';

export const BUILDS = ['debug', 'release'] as const;
export type Build = (typeof BUILDS)[number];

export interface ReadPacket {
  file: number;
  n: number;
  ts: bigint;
  link: number;
  iface: string | undefined;
  fcs: number;
  direction: number;
  len: number;
  data: string;
}

export interface ReadResult {
  packets: ReadPacket[];
  error: CaptureError | undefined;
  files: readonly CaptureFile[];
  clock: bigint;
  bytesRead: number;
  bytesTotal: number | undefined;
}

export interface ReadOptions {
  build?: Build;
  /** Records of one batch. */
  capacity?: number;
  dataBytes?: number;
  /** Called after each batch. */
  onBatch?: () => void;
}

const AREA = 0x100000;
/** Two batch areas that take turns, far up: addresses have all 32 bits. */
const BATCHES = [0xe000_0000, 0xe100_0000] as const;
const DATA_BYTES = 0xa0000;

const memories = new Map<Build, { memory: WebAssembly.Memory; walker: Walker }>();

/** The engine of a build over a memory of its own, one per test file. */
export function engine(build: Build): { memory: WebAssembly.Memory; walker: Walker } {
  let known = memories.get(build);
  if (known === undefined) {
    const memory = new WebAssembly.Memory({ initial: 65536, maximum: 65536, shared: true });
    const path = fileURLToPath(new URL(`../../../build/engine/${build}.wasm`, import.meta.url));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(path)), {
      env: { memory, abort: () => expect.unreachable('engine assertion') },
    });
    known = { memory, walker: exports as unknown as Walker };
    memories.set(build, known);
  }
  return known;
}

/** Reads everything; a CaptureError is part of the result, any other error is the test's. */
export async function readAll(specs: readonly CaptureSpec[], options: ReadOptions = {}): Promise<ReadResult> {
  const { build = 'release', capacity = 4096, dataBytes = DATA_BYTES, onBatch } = options;
  const { memory, walker } = engine(build);
  const names = new InterfaceNames();
  const packets: ReadPacket[] = [];
  const view = new DataView(memory.buffer);
  let clock = 0n;
  let error: CaptureError | undefined;
  let feed: CaptureFeed | undefined;
  try {
    const area = { address: AREA, bytes: captureAreaBytes(specs.length) };
    feed = await CaptureFeed.open(specs, memory, walker, names, area);
    for (let batch = 0; ; batch++) {
      const data = batch % 2 === 0 ? BATCHES[0] : BATCHES[1];
      const target = { data, dataBytes, records: data + dataBytes, capacity };
      const before = batch % 2 === 0 ? BATCHES[1] : BATCHES[0];
      const kept = batch > 0 && batch < 4 ? new Uint8Array(memory.buffer, before, dataBytes) : new Uint8Array(0);
      const copy = Buffer.from(kept);
      const count = await feed.next(target);
      expect(copy.equals(kept), 'the batch before is as it was').toBe(true);
      onBatch?.();
      if (count === 0) break;
      for (let index = 0; index < count; index++) {
        clock = readRecord(view, target, index, names, packets, clock);
      }
    }
  } catch (thrown) {
    if (!(thrown instanceof CaptureError)) throw thrown;
    error = thrown;
  } finally {
    await feed?.close();
  }
  const files = feed?.files ?? [];
  return { packets, error, files, clock, bytesRead: feed?.bytesRead ?? 0, bytesTotal: feed?.bytesTotal };
}

function readRecord(
  view: DataView,
  target: BatchTarget,
  index: number,
  names: InterfaceNames,
  packets: ReadPacket[],
  clockBefore: bigint,
): bigint {
  const record = target.records + index * RECORD.size;
  const data = view.getUint32(record + RECORD.data, true);
  const caplen = view.getUint32(record + RECORD.caplen, true);
  const ts = view.getBigUint64(record + RECORD.ts, true);
  const clock = view.getBigUint64(record + RECORD.clock, true);
  if (data < target.data || data + caplen > target.data + target.dataBytes) {
    throw new Error(`packet at ${data} is not in the batch at ${target.data}`);
  }
  if (clock !== (ts > clockBefore ? ts : clockBefore)) throw new Error(`clock ${clock} after ${clockBefore} at ${ts}`);
  packets.push({
    file: view.getUint16(record + RECORD.file, true),
    n: view.getUint32(record + RECORD.n, true),
    ts,
    link: view.getUint16(record + RECORD.link, true),
    iface: names.name(view.getUint16(record + RECORD.iface, true)),
    fcs: view.getUint8(record + RECORD.fcs),
    direction: view.getUint8(record + RECORD.direction),
    len: view.getUint32(record + RECORD.len, true),
    data: Buffer.from(view.buffer, data, caplen).toString('hex'),
  });
  const number = Number(view.getBigUint64(record + RECORD.number, true));
  if (number !== packets.length) throw new Error(`number ${number} of packet ${packets.length}`);
  return clock;
}

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-capture-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

/** Writes a file that lives as long as the test file runs. */
export function temporary(bytes: Uint8Array, name = `${++files}.cap`): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Reads one capture given as bytes. */
export function readBytes(bytes: Uint8Array, options: ReadOptions & { iface?: string } = {}): Promise<ReadResult> {
  const path = temporary(bytes);
  return readAll([options.iface === undefined ? { path } : { path, iface: options.iface }], options);
}

export function hex(data: Uint8Array): string {
  return Buffer.from(data).toString('hex');
}
