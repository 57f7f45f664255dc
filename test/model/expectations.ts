// Which connections are expected? The model's answer, as nf_conntrack_expect.c gives it for helpers that expect one at a time,
// of the same two hosts, from any port.

import type { ModelTuple } from './icmp.ts';

const SECOND = 1_000_000_000n;
const TIMEOUT = 300n * SECOND;

/** The entry that expects. */
export interface Expecting {
  original: ModelTuple;
  helper?: string | undefined;
  master?: Expecting | undefined;
  /** Entries that came of what it expected, and live. */
  children: number;
  confirmed: boolean;
  /** When it ended, once it has. */
  ended?: bigint | undefined;
}

export interface Expectation {
  master: Expecting;
  family: 4 | 6;
  protocol: number;
  source: string;
  target: string;
  dport: number;
  expires: bigint;
  number: number;
}

export interface ExpectationEvent {
  kind: 'EXPECT_NEW' | 'EXPECT_DESTROY';
  time: bigint;
  timeout: number;
  /** 0 an expiry, or the end of its master's, 1 caused by a packet; `order` and `sequence` sort within. */
  klass: number;
  order: number;
  sequence: number;
  expectation: Expectation;
}

export class ModelExpectations {
  /** Oldest first. */
  private living: Expectation[] = [];
  private made = 0;
  readonly events: ExpectationEvent[] = [];

  /** What the first packet of a flow fulfils, the newest first; it is over then, unless its master is not there. */
  fulfil(tuple: ModelTuple, now: bigint, packet: number): Expecting | undefined {
    const found = this.living.findLast((each) => sameTarget(each, tuple) && each.source === tuple.source);
    if (!found?.master.confirmed || found.master.ended !== undefined) return undefined;
    this.end(found, now, packet);
    return found.master;
  }

  /** False if another entry expects the same. */
  expect(wanted: Omit<Expectation, 'expires' | 'number'>, now: bigint, packet: number): boolean {
    const equal = this.living.filter((each) => sameTarget(each, wanted) && each.source === wanted.source);
    if (equal.some(({ master }) => master !== wanted.master)) return false;
    for (const old of this.living.filter(({ master }) => master === wanted.master)) this.end(old, now, packet);
    const expectation = { ...wanted, expires: now + TIMEOUT, number: ++this.made };
    this.living.push(expectation);
    this.say('EXPECT_NEW', expectation, now, packet);
    return true;
  }

  /** When the next one expires. */
  get due(): bigint | undefined {
    return this.living.reduce<bigint | undefined>(
      (first, { expires }) => (first === undefined || expires < first ? expires : first),
      undefined,
    );
  }

  expire(now: bigint): void {
    for (const each of this.living.filter(({ expires }) => expires <= now)) this.end(each, each.expires);
  }

  /** An entry has ended: what it expects ends with the last of those that it has expected. */
  release(entry: Expecting, when: bigint, packet?: number): void {
    entry.ended = when;
    for (
      let each: Expecting | undefined = entry;
      each?.ended !== undefined && each.children === 0;
      each = each.master
    ) {
      for (const own of this.living.filter(({ master }) => master === each)) this.end(own, when, packet);
      if (each.master) each.master.children--;
    }
  }

  private end(expectation: Expectation, when: bigint, packet?: number): void {
    this.living = this.living.filter((each) => each !== expectation);
    this.say('EXPECT_DESTROY', expectation, when, packet);
  }

  private say(kind: ExpectationEvent['kind'], expectation: Expectation, time: bigint, packet?: number): void {
    const left = expectation.expires - time;
    this.events.push({
      kind,
      time,
      timeout: Number(left / SECOND),
      klass: packet === undefined ? 0 : 1,
      order: packet ?? expectation.number,
      sequence: this.events.length,
      expectation,
    });
  }
}

function sameTarget(a: Pick<Expectation, 'family' | 'protocol' | 'target' | 'dport'>, b: typeof a): boolean {
  return a.family === b.family && a.protocol === b.protocol && a.target === b.target && a.dport === b.dport;
}
