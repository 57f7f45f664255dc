// The threads of a run beside the main thread: piscina workers, each of which runs one task as long as the run lasts.

import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { packageFile } from '../built.ts';
import { EngineError } from '../errors.ts';
import type { Chunk, LanePlan } from './lane.ts';
import type { LaneEnd } from './worker.ts';

export class WorkerPool {
  private readonly pool: Piscina;
  private closed = false;

  /**
   * Starts the workers: all threads but the first, which is the main thread.
   * @param take is given what workers send
   * @param fail is told why a worker ended before the run did
   */
  constructor(
    plan: LanePlan,
    private readonly take: (chunk: Chunk) => void,
    private readonly fail: (error: EngineError) => void,
  ) {
    this.pool = new Piscina({
      filename: packageFile('build/program/lane.js'),
      workerData: plan,
      minThreads: plan.threads - 1,
      maxThreads: plan.threads - 1,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
    });
    for (let thread = 1; thread < plan.threads; thread++) void this.run(thread);
  }

  private async run(thread: number): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    port1.on('message', this.take);
    try {
      const end: LaneEnd = await this.pool.run({ thread, port: port2 }, { transferList: [port2] });
      if (end.failure) this.fail(new EngineError(end.failure.code, end.failure.message));
    } catch (error) {
      if (this.closed) return;
      this.fail(new EngineError('worker-failed', `a worker failed: ${String(error)}`, { cause: error }));
    } finally {
      port1.close();
    }
  }

  /** Ends the workers, also those that are only starting. */
  async close(): Promise<void> {
    this.closed = true;
    await this.pool.destroy();
  }
}
