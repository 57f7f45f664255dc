// What happens to a run when a worker fails?

import { expect, test } from 'vitest';
import { compileEngine, SHARD_TABLE_BYTES } from '../../src/engine/engine.ts';
import { WORLD } from '../../src/engine/layout.ts';
import { Allocator, createMemory } from '../../src/engine/memory.ts';
import { EngineError } from '../../src/errors.ts';
import type { LanePlan } from '../../src/pool/lane.ts';
import { startLanes } from '../../src/pool/pool.ts';
import { layOutRing } from '../../src/pool/ring.ts';

test('a worker that cannot start ends the wait with an error instead of a hang', async () => {
  const memory = createMemory();
  const allocator = new Allocator();
  // A module that imports what no engine has: instantiating it fails in the worker.
  const foreign = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 7, 1, 1, 97, 1, 98, 0, 0]);
  const plan: LanePlan = {
    memory,
    engine: await compileEngine(),
    rules: [new WebAssembly.Module(foreign)],
    ring: layOutRing(allocator, 2, 1, {
      events: false,
      logs: false,
      sent: false,
      endsBytes: 64,
      translations: [false],
    }),
    lanes: 2,
    seed: [1, 2],
    scratch: [allocator.take(256), allocator.take(256)],
    worlds: [[allocator.take(WORLD.size)], [allocator.take(WORLD.size)]],
    shards: allocator.take(SHARD_TABLE_BYTES),
    checksums: 0,
    defrag: { address: allocator.take(128), endsBytes: 64 },
    sights: 0,
  };
  const lanes = await startLanes(plan);
  try {
    await expect(lanes.tracked(0)).rejects.toThrow(EngineError);
  } finally {
    await lanes.close();
  }
});
