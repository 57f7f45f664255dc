// The lanes of a run, seen from the main thread: inside it (one lane) or in piscina workers (lane-pool.ts).

import { availableParallelism } from 'node:os';
import { FirstTouch } from './first-touch.ts';
import { type Chunk, Lane, type LanePlan } from './lane.ts';

/** How the main thread drives lanes. */
export interface Lanes {
  /** Tells lanes that a batch was filled, or that none will follow. */
  published(): void;
  /** Whether batch `number` is tracked by every lane. */
  isTracked(number: number): boolean;
  /** Resolves when it is; rejects if a lane failed. */
  tracked(number: number): Promise<void>;
  /** Takes the chunks that lanes sent for a batch; `count` of them are known to be under way. */
  chunks(batch: number, count: number): Promise<Chunk[]>;
  close(): Promise<void>;
}

/** Starts the lanes of a run. Piscina is loaded only where there are workers: it takes as long as 80,000 packets. */
export async function startLanes(plan: LanePlan): Promise<Lanes> {
  if (plan.lanes === 1) return new OneLane(plan);
  const { LanePool } = await import('./lane-pool.ts');
  return new LanePool(plan);
}

/** Chunks by batch, until they are asked for. */
export class ChunkStore {
  private readonly waiting = new Map<number, Chunk[]>();

  add(chunk: Chunk): void {
    const list = this.waiting.get(chunk.batch);
    if (list) list.push(chunk);
    else this.waiting.set(chunk.batch, [chunk]);
  }

  count(batch: number): number {
    return this.waiting.get(batch)?.length ?? 0;
  }

  take(batch: number): Chunk[] {
    const list = this.waiting.get(batch) ?? [];
    this.waiting.delete(batch);
    return list;
  }
}

class OneLane implements Lanes {
  private readonly store = new ChunkStore();
  private readonly lane: Lane;
  private readonly firstTouch: FirstTouch;

  constructor(plan: LanePlan) {
    this.lane = new Lane(plan, 0, (chunk) => this.store.add(chunk));
    // A single core has nobody to do it meanwhile.
    this.firstTouch = new FirstTouch(plan.memory, availableParallelism() > 1 ? plan.worlds[0]! : []);
  }

  published(): void {
    while (this.firstTouch.leavesRoom() && this.lane.step()) this.firstTouch.goAhead();
  }

  isTracked(number: number): boolean {
    return this.lane.tracked > number;
  }

  async tracked(number: number): Promise<void> {
    while (!this.isTracked(number)) {
      await this.firstTouch.room();
      this.published();
    }
  }

  async chunks(batch: number): Promise<Chunk[]> {
    return this.store.take(batch);
  }

  async close(): Promise<void> {
    await this.firstTouch.close();
  }
}
