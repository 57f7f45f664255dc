// What happens to a run when a worker fails?

import { expect, test } from 'vitest';
import { compileEngine, SCRATCH_BYTES, SHARD_TABLE_BYTES } from '../../src/engine/engine.ts';
import { WORLD } from '../../src/engine/layout.ts';
import { Allocator, createMemory } from '../../src/engine/memory.ts';
import { EngineError } from '../../src/errors.ts';
import type { LanePlan } from '../../src/pool/lane.ts';
import { Lanes } from '../../src/pool/pool.ts';
import { CONTROL, layOutRing } from '../../src/pool/ring.ts';

test('a worker that fails ends the wait for it, and the run', async () => {
  const memory = createMemory();
  const allocator = new Allocator();
  const plan: LanePlan = {
    memory,
    engine: await compileEngine(),
    rules: [],
    ring: layOutRing(allocator, {
      threads: 2,
      lanes: 2,
      worlds: 1,
      events: false,
      logs: false,
      sent: false,
      endsBytes: 64,
      translations: [false],
    }),
    threads: 2,
    lanes: 2,
    seed: [1, 2],
    scratch: [allocator.take(SCRATCH_BYTES), allocator.take(SCRATCH_BYTES)],
    // The worker's world lies where no memory is.
    worlds: [[allocator.take(WORLD.size)], [0xffff_fff0]],
    shards: allocator.take(SHARD_TABLE_BYTES),
    checksums: 0,
    defrag: { address: allocator.take(128), endsBytes: 64 },
    sights: 0,
  };
  const lanes = await Lanes.start(plan);
  try {
    const { progress } = lanes;
    const words = new Int32Array(memory.buffer);
    Atomics.store(words, plan.ring.control / 4 + CONTROL.DEFRAG_NEXT, 1);
    lanes.published();
    while (lanes.progress === progress) await lanes.progressFrom(progress);
    expect(() => lanes.help()).toThrow(EngineError);
    await expect(lanes.chunks(0, 1)).rejects.toThrow('memory access out of bounds');
  } finally {
    await lanes.close();
  }
});
