// Lanes in piscina workers, each of which runs one task as long as the run lasts.

import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { packageFile } from '../built.ts';
import { EngineError } from '../errors.ts';
import type { Chunk, LanePlan } from './lane.ts';
import { ChunkStore, type Lanes } from './pool.ts';
import { CONTROL } from './ring.ts';
import type { LaneEnd } from './worker.ts';

export class LanePool implements Lanes {
  private readonly words: Int32Array;
  private readonly control: number;
  private readonly store = new ChunkStore();
  private readonly pool: Piscina;
  private readonly tasks: Promise<unknown>;
  private failure: EngineError | undefined;
  private wakeChunks: () => void = () => {};

  constructor(private readonly plan: LanePlan) {
    this.words = new Int32Array(plan.memory.buffer);
    this.control = plan.ring.control / 4;
    this.pool = new Piscina({
      filename: packageFile('build/program/lane.js'),
      workerData: plan,
      minThreads: plan.lanes,
      maxThreads: plan.lanes,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    const tasks = Array.from({ length: plan.lanes }, async (_, index) => {
      const { port1, port2 } = new MessageChannel();
      port1.on('message', (chunk: Chunk) => {
        this.store.add(chunk);
        this.wakeChunks();
      });
      try {
        const end: LaneEnd = await this.pool.run({ index, port: port2 }, { transferList: [port2] });
        if (end.failure) this.fail(new EngineError(end.failure.code, end.failure.message));
      } catch (error) {
        this.fail(new EngineError('worker-failed', `a worker failed: ${String(error)}`, { cause: error }));
      } finally {
        port1.close();
      }
    });
    this.tasks = Promise.all(tasks);
  }

  private fail(error: EngineError): void {
    this.failure ??= error;
    Atomics.store(this.words, this.control + CONTROL.ABORT, 1);
    this.published();
    Atomics.add(this.words, this.control + CONTROL.DONE, 1);
    Atomics.notify(this.words, this.control + CONTROL.DONE);
    this.wakeChunks();
  }

  published(): void {
    Atomics.add(this.words, this.control + CONTROL.EPOCH, 1);
    Atomics.notify(this.words, this.control + CONTROL.EPOCH);
  }

  isTracked(number: number): boolean {
    for (let lane = 0; lane < this.plan.lanes; lane++) {
      if (Atomics.load(this.words, this.control + CONTROL.TRACKED + lane) <= number) return false;
    }
    return true;
  }

  async tracked(number: number): Promise<void> {
    while (true) {
      if (this.failure) throw this.failure;
      const done = Atomics.load(this.words, this.control + CONTROL.DONE);
      if (this.isTracked(number)) return;
      const waited = Atomics.waitAsync(this.words, this.control + CONTROL.DONE, done, 1000);
      if (waited.async) await waited.value;
    }
  }

  async chunks(batch: number, count: number): Promise<Chunk[]> {
    while (this.store.count(batch) < count) {
      if (this.failure) throw this.failure;
      await new Promise<void>((resolve) => {
        this.wakeChunks = resolve;
      });
    }
    return this.store.take(batch);
  }

  async close(): Promise<void> {
    Atomics.store(this.words, this.control + CONTROL.ABORT, 1);
    this.published();
    await this.tasks;
    await this.pool.destroy();
  }
}
