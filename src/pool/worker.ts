// A piscina worker's one long task: be a lane until the run ends.

import { type MessagePort, workerData } from 'node:worker_threads';
import { EngineError } from '../errors.ts';
import { type Chunk, Lane, type LanePlan } from './lane.ts';

export interface LaneTask {
  index: number;
  port: MessagePort;
}

/** How a lane ended: errors lose their class between threads, so they travel as what they say. */
export interface LaneEnd {
  failure?: { code: string; message: string };
}

export default function lane({ index, port }: LaneTask): LaneEnd {
  const send = (chunk: Chunk) => port.postMessage(chunk, [chunk.bytes.buffer as ArrayBuffer]);
  try {
    new Lane(workerData as LanePlan, index, send).run();
    return {};
  } catch (error) {
    const code = error instanceof EngineError ? error.code : 'worker-failed';
    return { failure: { code, message: error instanceof Error ? error.message : String(error) } };
  } finally {
    port.close();
  }
}
