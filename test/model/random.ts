// Where do generators get their numbers? A small seeded source, the same on every machine.

/** Deterministic numbers from a seed (mulberry32). */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = (seed * 2654435761 + 12345) >>> 0;
  }
  /** 0 <= x < 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  /** An integer below `bound`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  /** One of the keys, with the given weights. */
  weighted<K extends string>(weights: Record<K, number>): K {
    const keys = Object.keys(weights) as K[];
    let left = this.next() * keys.reduce((sum, key) => sum + weights[key], 0);
    for (const key of keys) {
      left -= weights[key];
      if (left < 0) return key;
    }
    return keys[keys.length - 1]!;
  }
  /** Weights for the keys: some zero, some small, some large. */
  weights<K extends string>(keys: readonly K[]): Record<K, number> {
    const out = {} as Record<K, number>;
    for (const key of keys) out[key] = this.chance(0.25) ? 0 : this.next() ** 3;
    out[this.pick(keys)] += 0.3;
    return out;
  }
}
