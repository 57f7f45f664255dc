// What do buckets of -m hashlimit hold? The plain reading of net/netfilter/xt_hashlimit.c that the engine is checked
// against, with a collector that comes at whole multiples of its interval.
import { HashlimitFlag } from '../../assembly/vocabulary.ts';
import type { HashlimitTable } from '../../src/ruleset/expression.ts';
import { hashlimitEntries, hashlimitNumbers } from '../../src/ruleset/hashlimit.ts';

const HZ = 250n;
const BYTES_FULL = HZ << 24n;

interface Bucket {
  expires: bigint;
  previous: bigint;
  credit: bigint;
  left: bigint;
}

export interface HashlimitPacket {
  source: Uint8Array;
  destination: Uint8Array;
  /** undefined where they cannot be read. */
  ports: readonly [source: number, destination: number] | undefined;
  length: number;
  /** Jiffies. */
  now: bigint;
}

export class HashlimitTables {
  private readonly tables = new Map<HashlimitTable, Map<string, Bucket>>();

  /** Whether the packet is within the limit; undefined: it is dropped. */
  ask(table: HashlimitTable, packet: HashlimitPacket): boolean | undefined {
    const { test } = table;
    const has = (flag: HashlimitFlag): boolean => (test.flags & flag) !== 0;
    if ((has(HashlimitFlag.SPORT) || has(HashlimitFlag.DPORT)) && !packet.ports) return undefined;
    const key = [
      has(HashlimitFlag.SOURCE) ? prefix(packet.source, test.sourceBits) : '',
      has(HashlimitFlag.DESTINATION) ? prefix(packet.destination, test.destinationBits) : '',
      has(HashlimitFlag.SPORT) ? packet.ports?.[0] : '',
      has(HashlimitFlag.DPORT) ? packet.ports?.[1] : '',
    ].join(' ');
    const buckets = this.tables.get(table) ?? new Map<string, Bucket>();
    this.tables.set(table, buckets);
    const { now, length } = packet;
    const interval = BigInt(Math.ceil(test.gcInterval_ms / 4));
    const collected = (now / interval) * interval;
    for (const [each, { expires }] of buckets) if (expires <= collected) buckets.delete(each);
    const { cost, cap, credit } = hashlimitNumbers(test)!;
    const bytes = has(HashlimitFlag.BYTES);
    let bucket = buckets.get(key);
    if (!bucket) {
      if (buckets.size >= hashlimitEntries(test)) return undefined;
      bucket = { expires: 0n, previous: now, credit, left: bytes && !has(HashlimitFlag.RATE) ? cap : 0n };
      buckets.set(key, bucket);
    }
    bucket.expires = now + BigInt(Math.ceil(test.expire_ms / 4));
    const passed = now - bucket.previous;
    if (has(HashlimitFlag.RATE)) {
      const over = BigInt(test.interval_s) * HZ;
      if (passed >= over) {
        bucket.left = bucket.credit * over > passed * cost ? 1n : 0n;
        bucket.credit = 0n;
        bucket.previous = now;
      }
      bucket.credit += bytes ? BigInt(length) : 1n;
      return bucket.left === 0n && bucket.credit <= cap;
    }
    bucket.previous = now;
    const full = bytes ? BYTES_FULL : cap;
    const gained = bucket.credit + passed * (bytes ? 1n << 24n : 1n << 39n);
    bucket.credit = gained > full ? full : gained;
    let price = cost;
    if (bytes) {
      const wanted = BigInt((length >> 4) + 1) * cost;
      price = wanted > BYTES_FULL ? BYTES_FULL : wanted;
      if (bucket.credit < price && bucket.left > 0n) {
        bucket.left--;
        bucket.credit = BYTES_FULL;
      }
    }
    if (bucket.credit < price) return false;
    bucket.credit -= price;
    return true;
  }
}

function prefix(address: Uint8Array, bits: number): string {
  return [...address]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('')
    .slice(0, bits);
}
