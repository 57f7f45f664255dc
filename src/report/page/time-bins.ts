// How much happened when? Counts in bins of time whose width grows with the captures, so that memory does not.

/** Widths in microseconds, each a multiple of the one before: decimal up to 10 s, then minutes, hours and days. */
const WIDTHS = [
  1, 10, 100, 1e3, 10e3, 100e3, 1e6, 10e6, 60e6, 600e6, 3600e6, 86_400e6, 864_000e6, 8_640_000e6, 86_400_000e6,
] as const;

/** Widths that people count in: 1, 2 and 5 seconds, 10, 20 and 30 minutes, 1, 2, 3, 4, 6, 8 and 12 hours ... */
const NICE_WIDTHS = WIDTHS.flatMap((width, step) => {
  const ratio = (WIDTHS[step + 1] ?? width * 10) / width;
  return Array.from({ length: ratio - 1 }, (_, i) => i + 1)
    .filter((part) => ratio % part === 0)
    .map((part) => width * part);
});

/** Bins that are kept while counting. */
const BINS_MAX = 1200;

/** Bins for people to look at: all of one width, at multiples of it. */
export interface TimeSeries {
  /** Start of the first bin, microseconds since 1970. */
  start: number;
  /** Width of a bin, microseconds. */
  width: number;
  /** By column, by bin. */
  counts: Float64Array[];
  /** Greatest level that was reached in a bin, if one was told. */
  levels: (number | undefined)[];
}

/** Counts by time, in several columns. */
export class TimeBins {
  readonly #columns: number;
  #counts: Float64Array;
  #levels = new Float64Array(BINS_MAX).fill(Number.NEGATIVE_INFINITY);
  #step = 0;
  /** Number of the first bin, counted from 1970 in bins; undefined before the first count. */
  #first: number | undefined;
  #used = 0;
  /** The bin that was last counted in, and the time it covers. */
  #bin = 0;
  #from = 0;
  #to = 0;

  constructor(columns: number) {
    this.#columns = columns;
    this.#counts = new Float64Array(BINS_MAX * columns);
  }

  /** Adds to a column at a time, microseconds since 1970; what is before the first time counts in its bin. */
  add(micros: number, column: number): void {
    if (micros < this.#from || micros >= this.#to) this.#seek(micros);
    const at = this.#bin * this.#columns + column;
    this.#counts[at] = this.#counts[at]! + 1;
  }

  /** Tells a level at a time: the greatest of a bin is kept. */
  level(micros: number, level: number): void {
    if (micros < this.#from || micros >= this.#to) this.#seek(micros);
    if (level > this.#levels[this.#bin]!) this.#levels[this.#bin] = level;
  }

  #seek(micros: number): void {
    let width = WIDTHS[this.#step]!;
    this.#first ??= Math.floor(micros / width);
    while (Math.floor(micros / width) - this.#first >= BINS_MAX && this.#step + 1 < WIDTHS.length) {
      this.#coarsen();
      width = WIDTHS[this.#step]!;
    }
    const bin = Math.floor(micros / width) - this.#first;
    this.#bin = Math.max(0, Math.min(BINS_MAX - 1, bin));
    this.#from = (this.#first + bin) * width;
    this.#to = this.#from + width;
    this.#used = Math.max(this.#used, this.#bin + 1);
  }

  /** Goes on to the next width. */
  #coarsen(): void {
    const ratio = WIDTHS[this.#step + 1]! / WIDTHS[this.#step]!;
    const merged = this.#merge(ratio);
    this.#first = Math.floor(this.#first! / ratio);
    this.#counts = new Float64Array(BINS_MAX * this.#columns);
    this.#levels.fill(Number.NEGATIVE_INFINITY);
    merged.counts.forEach((counts, column) => {
      for (let bin = 0; bin < counts.length; bin++) this.#counts[bin * this.#columns + column] = counts[bin]!;
    });
    this.#levels.set(merged.levels);
    this.#used = merged.levels.length;
    this.#step++;
  }

  #merge(ratio: number): { counts: Float64Array[]; levels: Float64Array } {
    const shift = this.#first! - Math.floor(this.#first! / ratio) * ratio;
    const length = Math.ceil((shift + this.#used) / ratio);
    const counts = Array.from({ length: this.#columns }, () => new Float64Array(length));
    const levels = new Float64Array(length).fill(Number.NEGATIVE_INFINITY);
    for (let bin = 0; bin < this.#used; bin++) {
      const target = Math.floor((bin + shift) / ratio);
      levels[target] = Math.max(levels[target]!, this.#levels[bin]!);
      counts.forEach((column, index) => {
        column[target] = column[target]! + this.#counts[bin * this.#columns + index]!;
      });
    }
    return { counts, levels };
  }

  /** What was counted, in `most` bins at most (20 or more); undefined if nothing was. */
  series(most: number): TimeSeries | undefined {
    if (this.#first === undefined) return undefined;
    const width = WIDTHS[this.#step]!;
    const wide = (nice: number) => nice >= width && (this.#used * width) / nice + 1 <= most;
    const ratio = (NICE_WIDTHS.find(wide) ?? width) / width;
    const { counts, levels } = this.#merge(ratio);
    return {
      start: Math.floor(this.#first / ratio) * ratio * width,
      width: ratio * width,
      counts,
      levels: Array.from(levels, (level) => (level === Number.NEGATIVE_INFINITY ? undefined : level)),
    };
  }
}
