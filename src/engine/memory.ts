// The one linear memory of a run, and who gets which part of it.
//
// All 4 GiB are reserved at once, which costs nothing until touched, and are handed out from the bottom: static data of
// the engine, what all lanes share, each lane's own records, the batch ring, and last the connection tables, which get
// all that is left.

import { EngineError } from '../errors.ts';

const PAGE = 65536;
const PAGES = 65536;

/** Below this address lies the engine's static data. */
const STATIC_END = PAGE;

export function createMemory(): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
  } catch (error) {
    throw new EngineError('no-memory', '4 GiB of address space could not be reserved; is `ulimit -v` set?', {
      cause: error,
    });
  }
}

/** Hands out addresses, never takes any back. Fresh memory is zero. */
export class Allocator {
  private top = STATIC_END;

  /** `bytes` at a multiple of `align` (a power of two, 64 by default: a cache line). */
  take(bytes: number, align = 64): number {
    const at = Math.ceil(this.top / align) * align;
    this.top = at + bytes;
    if (this.top > PAGES * PAGE) throw new EngineError('no-memory', 'the 4 GiB of the engine are used up');
    return at;
  }

  /** Bytes that are still free. */
  get left(): number {
    return PAGES * PAGE - this.top;
  }
}
