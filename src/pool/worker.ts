// A piscina worker's one long task: be a thread of a run until it ends.

import { type MessagePort, workerData } from 'node:worker_threads';
import { EngineError } from '../errors.ts';
import { type Chunk, type LanePlan, LaneThread } from './lane.ts';

export interface LaneTask {
  /** Number of the thread. */
  thread: number;
  port: MessagePort;
}

/** How it ended: errors lose their class between threads, so they travel as what they say. */
export interface LaneEnd {
  failure?: { code: string; message: string };
}

export default function lane({ thread, port }: LaneTask): LaneEnd {
  const send = (chunk: Chunk) => port.postMessage(chunk, [chunk.bytes.buffer as ArrayBuffer]);
  try {
    new LaneThread(workerData as LanePlan, thread, send).run();
    return {};
  } catch (error) {
    const code = error instanceof EngineError ? error.code : 'worker-failed';
    return { failure: { code, message: error instanceof Error ? error.message : String(error) } };
  } finally {
    port.close();
  }
}
