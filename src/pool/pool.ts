// The threads of a run, seen from the main thread, which is one of them.

import { availableParallelism } from 'node:os';
import { EngineError } from '../errors.ts';
import { FirstTouch } from './first-touch.ts';
import { type Chunk, type LanePlan, LaneThread, type Work } from './lane.ts';
import { CONTROL } from './ring.ts';
import type { WorkerPool } from './worker-pool.ts';

/** How the main thread drives lanes, and works on them itself. */
export class Lanes {
  private readonly words: Int32Array;
  private readonly control: number;
  private readonly thread: LaneThread;
  private readonly firstTouch: FirstTouch;
  /** Tests of workers have them do everything: before they are there, the main thread is done with a small capture. */
  private readonly leaves: boolean;
  private readonly chunksOf = new Map<number, Chunk[]>();
  private workers: WorkerPool | undefined;
  private failure: EngineError | undefined;
  private waiting: Promise<void> | undefined;
  private wakeChunks: () => void = () => {};

  private constructor(private readonly plan: LanePlan) {
    this.words = new Int32Array(plan.memory.buffer);
    this.control = plan.ring.control / 4;
    this.thread = new LaneThread(plan, 0, this.take);
    this.leaves = plan.threads > 1 && process.env.CTREPLAY_TEST_WORKERS === 'all';
    // A single core has nobody to do it meanwhile, and several threads have no core to spare.
    const touches = plan.threads === 1 && availableParallelism() > 1;
    this.firstTouch = new FirstTouch(plan.memory, touches ? plan.worlds[0]! : []);
  }

  /**
   * Starts the threads of a run. Workers come when they are ready, until then the main thread does all. Piscina is loaded only
   * where there are any: it takes as long as 80,000 packets.
   */
  static async start(plan: LanePlan): Promise<Lanes> {
    const lanes = new Lanes(plan);
    if (plan.threads > 1) {
      const { WorkerPool } = await import('./worker-pool.ts');
      lanes.workers = new WorkerPool(plan, lanes.take, lanes.fail);
    }
    return lanes;
  }

  private readonly take = (chunk: Chunk): void => {
    const list = this.chunksOf.get(chunk.batch);
    if (list) list.push(chunk);
    else this.chunksOf.set(chunk.batch, [chunk]);
    this.wakeChunks();
  };

  private readonly fail = (error: EngineError): void => {
    this.failure ??= error;
    this.abort();
    Atomics.add(this.words, this.control + CONTROL.DONE, 1);
    Atomics.notify(this.words, this.control + CONTROL.DONE);
    this.wakeChunks();
  };

  private abort(): void {
    Atomics.store(this.words, this.control + CONTROL.ABORT, 1);
    this.published();
  }

  /** Tells workers that a batch was filled, or that none will follow. */
  published(): void {
    Atomics.add(this.words, this.control + CONTROL.EPOCH, 1);
    Atomics.notify(this.words, this.control + CONTROL.EPOCH);
  }

  /** Whether batch `number` is tracked in every lane. */
  isTracked(number: number): boolean {
    for (let lane = 0; lane < this.plan.lanes; lane++) {
      if (Atomics.load(this.words, this.control + CONTROL.TRACKED + lane) <= number) return false;
    }
    return true;
  }

  /**
   * Does one thing that workers could do as well and says what. Undefined if there is nothing to do. What was reported before an error depends on
   * who came how far.
   * @throws EngineError if a worker failed, or the table is full
   */
  help(): Work | undefined {
    if (this.failure) throw this.failure;
    if (this.leaves || !this.firstTouch.leavesRoom()) return undefined;
    let work: Work | undefined;
    try {
      work = this.thread.step();
    } catch (error) {
      if (error instanceof EngineError) throw error;
      throw new EngineError('worker-failed', `a lane failed: ${String(error)}`, { cause: error });
    }
    if (work) this.firstTouch.goAhead();
    return work;
  }

  /** How much was tracked, to be asked before anything that is waited for. */
  get progress(): number {
    return Atomics.load(this.words, this.control + CONTROL.DONE);
  }

  /** Resolves when `progress` is another, or where a thread is alone when it can go on. */
  progressFrom(progress: number): Promise<void> {
    if (this.plan.threads === 1) return this.firstTouch.room();
    if (this.waiting) return this.waiting;
    const waited = Atomics.waitAsync(this.words, this.control + CONTROL.DONE, progress, 1000);
    if (!waited.async) return Promise.resolve();
    this.waiting = waited.value.then(() => {
      this.waiting = undefined;
    });
    return this.waiting;
  }

  /**
   * Takes the chunks that were sent for a batch; `count` of them are known to be under way.
   * @throws EngineError if a worker failed
   */
  async chunks(batch: number, count: number): Promise<Chunk[]> {
    while ((this.chunksOf.get(batch)?.length ?? 0) < count) {
      if (this.failure) throw this.failure;
      await new Promise<void>((resolve) => {
        this.wakeChunks = resolve;
      });
    }
    const chunks = this.chunksOf.get(batch) ?? [];
    this.chunksOf.delete(batch);
    return chunks;
  }

  async close(): Promise<void> {
    this.abort();
    await this.firstTouch.close();
    await this.workers?.close();
  }
}
