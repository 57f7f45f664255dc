// How is an nft source printed: as it was given, with the counters of the replay?
import type { CounterValues, NftSource } from './ast.ts';

/**
 * The source with other numbers in its counters; a counter that the text states without numbers gets some. Everything
 * else stays as it is, character for character.
 * @param counters by Counter.index
 */
export function printNftCounters({ text, counters }: NftSource, values: (index: number) => CounterValues): string {
  const parts: string[] = [];
  let from = 0;
  for (const { counter, start, end, before, after, json } of counters) {
    const { packets, bytes } = counter.index < 0 ? { packets: 0n, bytes: 0n } : values(counter.index);
    const numbers = json ? `"packets": ${packets}, "bytes": ${bytes}` : `packets ${packets} bytes ${bytes}`;
    parts.push(text.text.slice(from, start), before, numbers, after);
    from = end;
  }
  parts.push(text.text.slice(from));
  return parts.join('');
}
