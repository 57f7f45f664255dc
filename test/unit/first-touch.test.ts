// Which pages are touched before the lane gets there, and can that ever show?

import { createHash } from 'node:crypto';
import fs, { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { Sysctl } from '../../assembly/vocabulary.ts';
import { BATCH_PACKETS, FLOW_SHORT, INDEX_BUCKET, WORLD } from '../../src/engine/layout.ts';
import { createMemory } from '../../src/engine/memory.ts';
import { loadHost } from '../../src/host.ts';
import { FirstTouch } from '../../src/pool/first-touch.ts';
import { flowJson } from '../../src/report/conntrack-json.ts';
import { PacketLines } from '../../src/report/packets.ts';
import { run } from '../../src/run.ts';
import { ethernet, internetChecksum, ip, udp, writePcap } from '../support/packets.ts';

const ON_LINUX = process.platform === 'linux';
const MIB = 1 << 20;

afterEach(() => {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
});

describe.runIf(ON_LINUX)('the pages that are touched', () => {
  const WORLD_AT = 65536;
  const FLOWS = 16 * MIB;
  const INDEX = 128 * MIB;
  const END = 160 * MIB;
  /** What a batch can add: two entries per packet; two values per entry, four to a bucket. */
  const FLOWS_GROWTH = 2 * BATCH_PACKETS * FLOW_SHORT;
  const INDEX_GROWTH = BATCH_PACKETS * INDEX_BUCKET.size;

  /** A table of so many entries, in memory that says where it was touched. */
  function table(flows: number, flowsMax: number) {
    const memory = createMemory();
    const bytes = new Uint8Array(memory.buffer, 0, END);
    const words = new Uint32Array(memory.buffer);
    bytes.fill(0xff, FLOWS, END);
    const set = (field: number, value: number) => {
      words[(WORLD_AT + field) / 4] = value;
    };
    const grow = (count: number) => {
      set(WORLD.flows_top, FLOWS + count * FLOW_SHORT);
      set(WORLD.index_used, count);
      set(WORLD.index_count, Math.ceil(count / 4));
    };
    set(WORLD.flows, FLOWS);
    set(WORLD.flow_bytes, FLOW_SHORT);
    set(WORLD.flows_end, FLOWS + flowsMax * FLOW_SHORT);
    set(WORLD.index, INDEX);
    set(WORLD.index_max, flowsMax / 4);
    grow(flows);
    /** Touched ranges of a part, from its start. */
    const touched = (start: number, end: number): [number, number][] => {
      const ranges: [number, number][] = [];
      for (let at = bytes.indexOf(0, start); at >= 0 && at < end; ) {
        let next = bytes.indexOf(0xff, at);
        if (next < 0 || next > end) next = end;
        ranges.push([at - start, next - start]);
        at = bytes.indexOf(0, next);
      }
      return ranges;
    };
    return {
      touch: new FirstTouch(memory, [WORLD_AT]),
      grow,
      flows: () => touched(FLOWS, INDEX),
      index: () => touched(INDEX, END),
    };
  }

  test('a large table: from where the next batch cannot get to, twelve batches ahead', async () => {
    const { touch, flows, index } = table(420_100, 860_000);
    touch.goAhead();
    await touch.room();
    const page = (address: number) => Math.ceil(address / 4096) * 4096;
    const top = 420_100 * FLOW_SHORT;
    expect(flows()).toEqual([[page(top + FLOWS_GROWTH), page(top + 12 * FLOWS_GROWTH) - 4096]]);
    const buckets = (420_100 / 4 + 1) * INDEX_BUCKET.size;
    expect(index()).toEqual([[page(buckets + INDEX_GROWTH), page(buckets + 12 * INDEX_GROWTH) - 4096]]);
    await touch.close();
  });

  test('a small table: nothing; one in between: not beyond twice its size', async () => {
    const { touch, grow, flows, index } = table(20_000, 300_000);
    touch.goAhead();
    await touch.room();
    expect([flows(), index()]).toEqual([[], []]);
    grow(32_768);
    touch.goAhead();
    await touch.room();
    expect([flows(), index()]).toEqual([[[6 * MIB, 8 * MIB]], []]);
    await touch.close();
  });

  test('never beyond the end of the reservation', async () => {
    const { touch, flows } = table(150_000, 180_000);
    touch.goAhead();
    await touch.room();
    expect(flows()).toEqual([[Math.ceil((150_000 * FLOW_SHORT + FLOWS_GROWTH) / 4096) * 4096, 180_000 * FLOW_SHORT]]);
    await touch.close();
  });

  test('a batch that could get to what is being touched has to wait; one that got there is an error', async () => {
    const { touch, grow } = table(150_000, 300_000);
    let finish = () => {};
    vi.spyOn(fs, 'readv').mockImplementation(((_fd: number, _views: unknown, _at: unknown, done: () => void) => {
      finish = done;
    }) as unknown as typeof fs.readv);
    syncBuiltinESMExports();
    touch.goAhead();
    expect(touch.leavesRoom()).toBe(true);
    grow(150_000 + 100);
    expect(touch.leavesRoom()).toBe(false);
    grow(150_000 + 2 * BATCH_PACKETS + 100);
    expect(() => touch.leavesRoom()).toThrow('more to a table than it can');
    finish();
    await touch.room();
    expect(touch.leavesRoom()).toBe(true);
    await touch.close();
  });

  test('without the device nothing is touched', async () => {
    const { touch, flows } = table(150_000, 300_000);
    vi.spyOn(fs, 'openSync').mockImplementation(() => {
      throw new Error('ENOENT');
    });
    syncBuiltinESMExports();
    touch.goAhead();
    await touch.room();
    touch.goAhead();
    expect(fs.openSync).toHaveBeenCalledTimes(1);
    expect(touch.leavesRoom()).toBe(true);
    expect(flows()).toEqual([]);
    await touch.close();
  });
});

describe.runIf(ON_LINUX && availableParallelism() > 1)('a table that grows in bursts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ctreplay-first-touch-'));
  const path = join(folder, 'bursts.pcap');
  const BURSTS = 9;
  const BURST = 15_000;
  beforeAll(() => writeFileSync(path, bursts()));
  afterAll(() => rmSync(folder, { recursive: true }));

  /**
   * New flows, then answers to some of them, time and again. After the fourth burst all flows time out, so that the next four
   * find room where they were, and the last one goes on behind it.
   */
  function bursts(): Uint8Array {
    const asked = ethernet(ip('10.0.0.0', '192.0.2.1', udp({ sport: 1, dport: 53 })));
    const answer = ethernet(ip('192.0.2.1', '10.0.0.0', udp({ sport: 53, dport: 1 })));
    const header = writePcap([]);
    const bytes = Buffer.alloc(header.length + BURSTS * BURST * 1.2 * (16 + asked.length));
    bytes.set(header);
    let used = header.length;
    let time = 0;
    /** The same frame with another client: its address and port at `at`, and the IP checksum. */
    const add = (frame: Uint8Array, at: { address: number; port: number }, burst: number, flow: number) => {
      const data = bytes.subarray(used + 16, used + 16 + frame.length);
      data.set(frame);
      data[at.address + 1] = burst;
      data.writeUInt16BE(flow, at.address + 2);
      data.writeUInt16BE(1024 + flow, at.port);
      data.writeUInt16BE(0, 24);
      data.writeUInt16BE(internetChecksum(data.subarray(14, 34)), 24);
      bytes.writeUInt32LE(1_700_000_000 + Math.floor(time / 1e6), used);
      bytes.writeUInt32LE((time % 1e6) * 1000, used + 4);
      bytes.writeUInt32LE(frame.length, used + 8);
      bytes.writeUInt32LE(frame.length, used + 12);
      used += 16 + frame.length;
      time += 10;
    };
    for (let burst = 0; burst < BURSTS; burst++) {
      if (burst === 4) time += 200e6;
      for (let flow = 0; flow < BURST; flow++) add(asked, { address: 26, port: 34 }, burst, flow);
      for (let flow = 0; flow < BURST; flow += 5) add(answer, { address: 30, port: 36 }, burst, flow);
    }
    return bytes;
  }

  /** A hash of everything that a replay says. */
  async function told(workers: number): Promise<string> {
    const host = loadHost({});
    host.sysctls[Sysctl.ACCT] = 1;
    const hash = createHash('sha256');
    const options = { captures: [{ path }], hosts: [host], checksums: 'ignore', wantEvents: true, workers } as const;
    const result = await run(options, (batch) => {
      const world = batch.worlds[0]!;
      const text = new PacketLines({ rules: world.rules, interfaces: batch.interfaces });
      for (const piece of text.lines(batch, world)) hash.update(piece);
      for (const { view, bytes, at } of world.events) hash.update(flowJson(view, bytes, at, false));
    });
    for (const { view, bytes, at } of result.worlds[0]!.table()) hash.update(flowJson(view, bytes, at, false));
    expect(result.packets).toBe(BURSTS * BURST * 1.2);
    return hash.digest('hex');
  }

  test('says the same with pages that are touched before, late, and by nobody', async () => {
    // Lanes in workers touch their pages themselves.
    const alone = await told(2);

    const read = vi.spyOn(fs, 'readv');
    syncBuiltinESMExports();
    expect(await told(1)).toEqual(alone);
    expect(read.mock.calls.length).toBeGreaterThan(3);

    // A read that lasts until somebody waits for it, and may write whenever it likes.
    let finish = () => {};
    read.mockReset().mockImplementation(((_fd: number, views: Uint8Array[], _at: unknown, done: () => void) => {
      for (const view of views) view.fill(0xa5);
      finish = () => {
        finish = () => {};
        for (const view of views) view.fill(0);
        done();
      };
    }) as unknown as typeof fs.readv);
    syncBuiltinESMExports();
    const { room, close } = FirstTouch.prototype;
    const wait = vi.spyOn(FirstTouch.prototype, 'room').mockImplementation(function (this: FirstTouch) {
      finish();
      return room.call(this);
    });
    vi.spyOn(FirstTouch.prototype, 'close').mockImplementation(function (this: FirstTouch) {
      finish();
      return close.call(this);
    });
    expect(await told(1)).toEqual(alone);
    expect(wait).toHaveBeenCalled();
  });

  test('leaves nothing open when a run ends, fails or is aborted', async () => {
    const open = () =>
      readdirSync('/proc/self/fd')
        .map((fd) => {
          try {
            return readlinkSync(`/proc/self/fd/${fd}`);
          } catch {
            return '';
          }
        })
        .filter((file) => ['/dev/zero', path].includes(file));
    const read = vi.spyOn(fs, 'readv');
    syncBuiltinESMExports();
    const start = (signal: AbortSignal, whenTouched: () => void) =>
      run(
        { captures: [{ path }], hosts: [loadHost({})], checksums: 'ignore', wantEvents: false, workers: 1, signal },
        () => {
          if (read.mock.calls.length > 0) whenTouched();
        },
      );
    await start(new AbortController().signal, () => {});
    expect(read).toHaveBeenCalled();
    expect(open()).toEqual([]);
    read.mockClear();
    const failure = new Error('the sink fails');
    const failing = start(new AbortController().signal, () => {
      throw failure;
    });
    await expect(failing).rejects.toBe(failure);
    expect(open()).toEqual([]);
    read.mockClear();
    const controller = new AbortController();
    const aborted = start(controller.signal, () => controller.abort(failure));
    await expect(aborted).rejects.toBe(failure);
    expect(open()).toEqual([]);
  });
});
