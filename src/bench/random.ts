// Which numbers does a seed give? A small generator (sfc32), so that a capture is the same on every machine.
//
// Source: Chris Doty-Humphrey, PractRand (sfc32). Not for secrets.

export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  /** @param seed an integer, 0 to 2^32 - 1 */
  constructor(seed: number) {
    this.a = 0;
    this.b = seed | 0;
    this.c = 0x9e3779b9 | 0;
    for (let round = 0; round < 12; round++) this.word();
  }

  /** 32 random bits as a signed integer: what V8 keeps without allocating. */
  word(): number {
    const word = (this.a + this.b + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + word) | 0;
    return word;
  }

  /** An integer from 0 to `limit` - 1, where `limit` is at most 2^31. */
  below(limit: number): number {
    return Math.floor(((this.word() >>> 0) / 0x1_0000_0000) * limit);
  }
}

/** A 32-bit value that depends on all bits of `value` (murmur3's finalizer). */
export function scramble(value: number): number {
  let hash = value | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
