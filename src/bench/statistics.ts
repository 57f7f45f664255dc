// What is said of several measurements of one thing?

/** Distance of the quartiles in percent of the median. */
export function spreadOf(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  return at(0.5) === 0 ? 0 : ((at(0.75) - at(0.25)) / at(0.5)) * 100;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length & 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
