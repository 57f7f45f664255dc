// What does NAT make of a new flow? The model's answer, as docs/nat.md says it: plain searches through all entries.
//
// It knows SNAT and DNAT to one address, with or without ports, and what happens to flows that no rule speaks of. Ranges of
// addresses, MASQUERADE, REDIRECT, NETMAP, PPTP and zones are not its business.

import { inverseOf, keyOf, type ModelTuple } from './icmp.ts';

/** Changes the source (POSTROUTING) or the target (PREROUTING) of the flows that it matches; the first one does. */
export interface NatRule {
  end: 'source' | 'target';
  family: 4 | 6;
  protocol?: number;
  /** Hex digits that addresses of the sender begin with. */
  from?: string;
  /** Ports that are asked for, both included. */
  dports?: readonly [number, number];
  to: NatRange;
}

export interface NatRange {
  /** Hex digits. */
  address: string;
  ports?: readonly [number, number];
  /** --random: the port that the flow has is not tried. */
  random?: boolean;
}

/** What NAT looks at of an entry. */
export interface NatEntry {
  original: ModelTuple;
  reply: ModelTuple;
  sourceChanged: boolean;
  targetChanged: boolean;
  /** TCP alone: may another flow take over its tuple, and the number behind what the originator has sent. */
  tcp?: { state: string; sides: readonly { end: number }[] } | undefined;
}

/** Entries of the table. */
export interface NatTable {
  /** Who has this tuple in either direction? */
  find(tuple: ModelTuple): { entry: NatEntry; dir: 0 | 1 } | undefined;
  /** Newest first. */
  newest(): Iterable<NatEntry>;
  evict(entry: NatEntry): void;
}

const PORTS = [6, 17, 132, 136];
const ICMP = [1, 58];

/** Ports stay among their kind. */
const KINDS: readonly (readonly [number, number])[] = [
  [1, 511],
  [600, 1023],
  [1024, 65_535],
];
/** Ports tried in a row, fewest of a row, and how few are left when closed connections give way. */
const ROW = 128;
const ROW_MIN = 16;
const ROW_HARDER = 32;

const CLOSED = ['TIME_WAIT', 'CLOSE', 'SYN_SENT2'];

const MASK = (1n << 64n) - 1n;

export class ModelNat {
  constructor(
    private readonly rules: readonly NatRule[],
    private readonly table: NatTable,
    private readonly seed: bigint,
  ) {}

  /** Decides the reply tuple of a new entry, begun by packet `number`. */
  bind(entry: NatEntry, number: number): void {
    for (const end of ['target', 'source'] as const) {
      const now = inverseOf(entry.reply)!;
      const rule = this.rules.find((each) => each.end === end && matches(each, now));
      const range = rule?.to ?? { address: end === 'source' ? now.source : now.target };
      const chosen = new Choice(this.table, entry, end, range, this.draws(number, end)).tuple(now);
      if (keyOf(chosen) === keyOf(now)) continue;
      entry.reply = inverseOf(chosen)!;
      if (end === 'source') entry.sourceChanged = true;
      else entry.targetChanged = true;
    }
  }

  /** Numbers from 0 to 65535 for one end of the flow that packet `number` begins. */
  private *draws(number: number, end: NatRule['end']): Generator<number> {
    for (let k = end === 'source' ? 0n : 65_536n; ; k++) {
      let z = (this.seed + BigInt(number) * 0x9e3779b97f4a7c15n + k * 0xd1342543de82ef95n) & MASK;
      z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
      z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & MASK;
      yield Number(z >> 48n);
    }
  }
}

function matches({ family, protocol, from, dports }: NatRule, tuple: ModelTuple): boolean {
  if (family !== tuple.family || (protocol !== undefined && protocol !== tuple.protocol)) return false;
  if (from !== undefined && !tuple.source.startsWith(from)) return false;
  return dports === undefined || (tuple.dport >= dports[0] && tuple.dport <= dports[1]);
}

/** The search for the tuple of one end of one flow. */
class Choice {
  constructor(
    private readonly table: NatTable,
    private readonly entry: NatEntry,
    private readonly end: NatRule['end'],
    private readonly range: NatRange,
    private readonly draws: Generator<number>,
  ) {}

  tuple(now: ModelTuple): ModelTuple {
    const { end, range } = this;
    const { random = false, ports } = range;
    if (end === 'source' && !random) {
      const kept = this.isMeant(now) ? now : this.mapped(now);
      if (kept && this.isFree(kept)) return kept;
    }
    const moved = { ...now, [end]: range.address };
    if (!random) {
      if (ports === undefined) {
        if (this.isFree(moved)) return moved;
      } else if (this.hasPort(moved) && (ports[0] === ports[1] || this.isFree(moved))) return moved;
    }
    return this.search(moved);
  }

  /** Is the source one of the range? */
  private isMeant(tuple: ModelTuple): boolean {
    return tuple.source === this.range.address && (this.range.ports === undefined || this.hasPort(tuple));
  }

  private hasPort(tuple: ModelTuple): boolean {
    const [low, high] = this.range.ports!;
    if (!PORTS.includes(tuple.protocol) && !ICMP.includes(tuple.protocol)) return true;
    const port = tuple[this.field(tuple)];
    return port >= low && port <= high;
  }

  /** What tells flows of the same hosts apart: the id of ICMP is the source's. */
  private field(tuple: ModelTuple): 'sport' | 'dport' {
    return this.end === 'source' || ICMP.includes(tuple.protocol) ? 'sport' : 'dport';
  }

  /** What the newest entry of the same source was given that the range allows. */
  private mapped(now: ModelTuple): ModelTuple | undefined {
    for (const { original, reply } of this.table.newest()) {
      const { source, sport, protocol, family } = original;
      if (source !== now.source || sport !== now.sport || protocol !== now.protocol || family !== now.family) continue;
      const seen = inverseOf(reply)!;
      const tuple = { ...now, source: seen.source, sport: seen.sport };
      if (this.isMeant(tuple)) return tuple;
    }
    return undefined;
  }

  /** Does no entry have the answers to this tuple? */
  private isFree(tuple: ModelTuple): boolean {
    return this.table.find(inverseOf(tuple)!) === undefined;
  }

  /** A free port, in rows from somewhere on; if there is none, the last that was tried. */
  private search(tuple: ModelTuple): ModelTuple {
    const { range, end, draws } = this;
    const icmp = ICMP.includes(tuple.protocol);
    if (!icmp && !PORTS.includes(tuple.protocol)) return tuple;
    if (!icmp && end === 'target' && range.ports === undefined) return tuple;
    const field = this.field(tuple);
    const old = tuple[field];
    const kind = KINDS[old < 512 ? 0 : old < 1024 ? 1 : 2]!;
    const [low, high] = range.ports ?? (icmp ? [0, 65_535] : kind);
    const size = high - low + 1;
    let tried = tuple;
    let row = Math.min(size, ROW);
    let offset = range.random || end === 'source' ? draws.next().value : 0;
    while (true) {
      for (let i = 0; i < row; i++) {
        tried = { ...tuple, [field]: low + (((offset + i) & 0xffff) % size) };
        if (this.isFreed(tried, row - i)) return tried;
      }
      if (row >= size || row < ROW_MIN) return tried;
      row >>= 1;
      offset = draws.next().value;
    }
  }

  /** isFree(), or made so where few attempts are left: a closed connection gives way to a SYN beyond all that it has sent. */
  private isFreed(tuple: ModelTuple, left: number): boolean {
    const found = this.table.find(inverseOf(tuple)!);
    if (!found) return true;
    const { entry: old, dir } = found;
    const [mine, other] = [this.entry.tcp, old.tcp];
    if (left > ROW_HARDER || mine?.state !== 'SYN_SENT' || !other || dir === 0) return false;
    if (!CLOSED.includes(other.state) || !old.sourceChanged) return false;
    const beyond = (mine.sides[0]!.end - other.sides[0]!.end) | 0;
    if (beyond <= 0) return false;
    this.table.evict(old);
    return true;
  }
}
