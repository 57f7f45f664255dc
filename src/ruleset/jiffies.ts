// How does the kernel's clock tick for rules that count in ticks?

/** Ticks per second, as distributions configure it (CONFIG_HZ). */
export const HZ = 250;
export const NANOSECONDS_PER_JIFFY = BigInt(1_000_000_000 / HZ);

/** Longer times never end. */
const MILLISECONDS_MAX = 0x7fff_ffff;
const NEVER = 1n << 62n;

/** Ticks, rounded up (msecs_to_jiffies()). */
export function jiffiesOf(milliseconds: number): bigint {
  return milliseconds > MILLISECONDS_MAX ? NEVER : BigInt(Math.ceil((milliseconds * HZ) / 1000));
}
