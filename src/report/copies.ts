// Captures taken at the gateway itself show what left it: does that agree with what the replay says left?
//
// A copy (Reason.EGRESS_COPY) names the packet that arrived and is the same. What became of that is remembered for as long
// as the engine looks for it (assembly/recent.ts), so that memory is bounded, and the copy is held against it. A packet that
// ought to have left by an interface, and was not seen there while others were, is counted when it is forgotten.

import { PacketFlag, Path, Proto, Reason, Verdict } from '../../assembly/vocabulary.ts';
import type { BatchView } from '../batch.ts';
import { INTERFACES_MAX, PACKET, RECENT_MAX, RECORD, TUPLE } from '../engine/layout.ts';

/** Packets that are remembered: those that can be found, and a batch. A power of two. */
const REMEMBERED = 2 * RECENT_MAX;
/** How long a packet can be found, ns (assembly/recent.ts), and what a clock kept as a double may be off. */
const RECENT_NS = 1_000_001_000;

/** How what was captured and what was replayed contradict each other. */
export type ContradictionKind =
  /** It left, and was dropped or rejected in the replay. */
  | 'left-but-dropped'
  /** It left, and was for the host itself. */
  | 'left-but-delivered'
  /** It left with other addresses or ports. */
  | 'left-otherwise-translated'
  /** It left by another interface. */
  | 'left-by-other-interface'
  /** It was accepted, and did not leave by the interface that the route says, while that was captured. */
  | 'not-seen-leaving';

export interface Contradiction {
  what: ContradictionKind;
  packets: number;
  /** The first of them, `file:n`; as it arrived for not-seen-leaving. */
  first: string;
}

/** What the summary says of copies. */
export interface CopyCounts {
  packets: number;
  /** Those whose arrival was found. */
  found: number;
  /** Those that the host gave as an answer (REJECT, routing). */
  answers: number;
  /** In the order of the kinds. */
  contradictions: Contradiction[];
}

/** What a copy's line says besides. */
export interface CopyFacts {
  /** As it arrived. */
  of?: { file: number; n: number };
  /** An answer of the host: the packet that it answers. */
  answers?: { file: number; n: number };
  contradicts?: ContradictionKind;
}

/** The kinds that a copy shows. */
const KINDS: readonly ContradictionKind[] = [
  'left-but-dropped',
  'left-but-delivered',
  'left-otherwise-translated',
  'left-by-other-interface',
];

/** Flags of packets that are compared byte by byte with what leaves only in part. */
const IN_PIECES = PacketFlag.FRAGMENT | PacketFlag.REASSEMBLED | PacketFlag.FRAGMENT_OF;

/** What is known of an interface that packets leave by. */
interface Exit {
  /** Time of the first packet that left. */
  first: number;
  /** Length of the longest one. */
  longest: number;
  /** By the hash of their tuple, packets that did not leave; those of MISSING_MAX conversations at most. */
  missing: Map<number, Missing>;
  /** Those of them that have packets since the last one that left: only earlier ones count. */
  pending: Missing[];
}

interface Missing {
  packets: number;
  pending: number;
  /** Number and name of the first. */
  number: number;
  first: string;
}

/** Conversations per interface that are remembered for having lost packets. */
const MISSING_MAX = 4096;

/** Type and code of the ICMP and ICMPv6 errors by which a host says that the next hop does not answer. */
const HOST_UNREACHABLE: Record<number, readonly [number, number]> = { [Proto.ICMP]: [3, 1], [Proto.ICMPV6]: [1, 3] };

/** Holds the copies of one world against what it says, in replay order. */
export class CopyCheck {
  #packets = 0;
  #found = 0;
  #answers = 0;
  readonly #contradictions = new Map<ContradictionKind, Contradiction>();
  /** Packets by number modulo REMEMBERED: Packet and Record, and Tuple as they left. */
  #memory: { packets: Uint8Array; records: Uint8Array; tuples: Uint8Array; view: DataView } | undefined;
  readonly #numbers = new Float64Array(REMEMBERED);
  readonly #times = new Float64Array(REMEMBERED);
  readonly #seen = new Uint8Array(REMEMBERED);
  readonly #exits: (Exit | undefined)[] = new Array(INTERFACES_MAX);
  /** Number of the oldest packet that may still be found. */
  #due = 1;

  /** Copies of the batch by index, with what their lines say besides. */
  add(batch: BatchView): ReadonlyMap<number, CopyFacts> {
    const facts = new Map<number, CopyFacts>();
    const { view, bytes, records, count, worlds, sided } = batch;
    if (count === 0 || (!sided && !this.#memory)) return facts;
    const { packets } = worlds[0]!;
    const first = Number(view.getBigUint64(records + RECORD.number, true));
    if (!sided) {
      this.#forget(first + count - 1, timeAt(view, records + (count - 1) * RECORD.size));
      return facts;
    }
    this.#remember(batch, first);
    for (let i = 0; i < count; i++) {
      const at = packets + i * PACKET.size;
      const slot = (first + i) % REMEMBERED;
      this.#forget(first + i, this.#times[slot]!);
      if (!(view.getUint16(at + PACKET.flags, true) & PacketFlag.LEAVING)) continue;
      this.#leave(view.getUint16(at + PACKET.oif, true), this.#times[slot]!, view.getUint32(at + PACKET.ip_len, true));
      if (bytes[at + PACKET.reason] !== Reason.EGRESS_COPY) {
        this.#excuse(view, at);
        continue;
      }
      this.#packets++;
      facts.set(i, this.#compare(slot));
    }
    return facts;
  }

  /** The counts so far; undefined if there were no copies. */
  counts(): CopyCounts | undefined {
    if (this.#packets === 0) return undefined;
    const missing = this.#missing();
    const contradictions = KINDS.flatMap((kind) => this.#contradictions.get(kind) ?? []);
    if (missing) contradictions.push(missing);
    return { packets: this.#packets, found: this.#found, answers: this.#answers, contradictions };
  }

  #remember({ view, bytes, records, count, worlds }: BatchView, first: number): void {
    const { packets, translations } = worlds[0]!;
    this.#memory ??= makeMemory();
    const { packets: kept, records: keptRecords, tuples } = this.#memory;
    for (let from = 0; from < count; ) {
      const slot = (first + from) % REMEMBERED;
      const some = Math.min(count - from, REMEMBERED - slot);
      const copy = (target: Uint8Array, source: number, size: number) =>
        target.set(bytes.subarray(source + from * size, source + (from + some) * size), slot * size);
      copy(kept, packets, PACKET.size);
      copy(keptRecords, records, RECORD.size);
      if (translations) copy(tuples, translations, TUPLE.size);
      for (let i = 0; i < some; i++) {
        this.#numbers[slot + i] = first + from + i;
        this.#times[slot + i] = timeAt(view, records + (from + i) * RECORD.size);
      }
      this.#seen.fill(0, slot, slot + some);
      from += some;
    }
  }

  /** What arrived so long before packet `number` that it is not found any more, and was not found before. */
  #forget(number: number, time: number): void {
    for (; this.#due < number; this.#due++) {
      const slot = this.#due % REMEMBERED;
      if (this.#numbers[slot] !== this.#due) {
        // Nothing of it was remembered, nor of all that came before what was.
        this.#due = Math.max(this.#due, number - REMEMBERED);
        continue;
      }
      if (this.#times[slot]! + RECENT_NS >= time && this.#due + RECENT_MAX > number) return;
      if (this.#seen[slot] === 0) this.#miss(slot);
    }
  }

  #miss(slot: number): void {
    const { view } = this.#memory!;
    const at = slot * PACKET.size;
    const flags = view.getUint16(at + PACKET.flags, true);
    if (!(flags & PacketFlag.ARRIVING) || flags & IN_PIECES) return;
    if (view.getUint8(at + PACKET.verdict) !== Verdict.ACCEPT || view.getUint8(at + PACKET.path) !== Path.FORWARD)
      return;
    // A helper may have changed what it carries, and so may whoever cuts large packets.
    if (view.getUint8(at + PACKET.template) !== 0) return;
    const exit = this.#exits[view.getUint16(at + PACKET.oif, true)];
    if (!exit || this.#times[slot]! < exit.first || view.getUint32(at + PACKET.ip_len, true) > exit.longest) return;
    const hash = view.getUint32(at + PACKET.hash, true);
    let missing = exit.missing.get(hash);
    if (!missing) {
      if (exit.missing.size >= MISSING_MAX) return;
      missing = { packets: 0, pending: 0, number: this.#numbers[slot]!, first: this.#name(slot) };
      exit.missing.set(hash, missing);
    }
    if (missing.pending++ === 0) exit.pending.push(missing);
  }

  #leave(iface: number, time: number, length: number): void {
    if (iface === 0) return;
    this.#exits[iface] ??= { first: time, longest: 0, missing: new Map(), pending: [] };
    const exit = this.#exits[iface];
    if (length > exit.longest) exit.longest = length;
    for (const missing of exit.pending) {
      missing.packets += missing.pending;
      missing.pending = 0;
    }
    exit.pending.length = 0;
  }

  /** A next hop that does not answer is a reason not to leave: the host says so, in time. */
  #excuse(view: DataView, at: number): void {
    if (!(view.getUint16(at + PACKET.flags, true) & PacketFlag.ICMP_ERROR)) return;
    const [type, code] = HOST_UNREACHABLE[view.getUint8(at + PACKET.protonum)] ?? [];
    if (view.getUint8(at + PACKET.dport) !== type || view.getUint8(at + PACKET.dport + 1) !== code) return;
    // The hash of an error is that of the flow that it quotes.
    for (const exit of this.#exits) exit?.missing.delete(view.getUint32(at + PACKET.hash, true));
  }

  #missing(): Contradiction | undefined {
    const all = this.#exits
      .flatMap((exit) => (exit ? [...exit.missing.values()] : []))
      .filter(({ packets }) => packets);
    if (all.length === 0) return undefined;
    const packets = all.reduce((sum, missing) => sum + missing.packets, 0);
    const { first } = all.reduce((a, b) => (a.number < b.number ? a : b));
    return { what: 'not-seen-leaving', packets, first };
  }

  #compare(copy: number): CopyFacts {
    const { view } = this.#memory!;
    const place = copy * PACKET.size + PACKET.flow_id;
    const number = view.getUint32(place + 4, true) * 2 ** 32 + view.getUint32(place, true);
    if (number === 0) return {};
    const twin = number % REMEMBERED;
    const record = this.#record(twin);
    if (view.getUint16(copy * PACKET.size + PACKET.flags, true) & PacketFlag.ANSWER) {
      this.#answers++;
      return { answers: record };
    }
    this.#seen[twin] = 1;
    this.#found++;
    const kind = this.#contradiction(twin, copy);
    if (kind) this.#count(kind, this.#name(copy));
    return { of: record, ...(kind && { contradicts: kind }) };
  }

  #contradiction(twin: number, copy: number): ContradictionKind | undefined {
    const { view } = this.#memory!;
    const at = twin * PACKET.size;
    const verdict = view.getUint8(at + PACKET.verdict);
    if (verdict === Verdict.DROP || verdict === Verdict.REJECT) return 'left-but-dropped';
    if (verdict !== Verdict.ACCEPT) return undefined;
    if (view.getUint8(at + PACKET.path) !== Path.FORWARD) return 'left-but-delivered';
    if (!this.#leftAlike(twin, copy)) return 'left-otherwise-translated';
    const [expected, actual] = [at, copy * PACKET.size].map((place) => view.getUint16(place + PACKET.oif, true));
    return expected && actual && expected !== actual ? 'left-by-other-interface' : undefined;
  }

  /** Did the copy leave with the addresses and ports that the replay gave to the packet? */
  #leftAlike(twin: number, copy: number): boolean {
    const { view, packets, tuples } = this.#memory!;
    const flags = view.getUint16(twin * PACKET.size + PACKET.flags, true);
    const translated = (flags & PacketFlag.TRANSLATED) !== 0;
    const [expected, from] = translated ? [tuples, twin * TUPLE.size] : [packets, twin * PACKET.size];
    // Fragments are compared by their addresses.
    const length = flags & IN_PIECES ? TUPLE.sport : TUPLE.protonum;
    for (let i = 0; i < length; i++) {
      if (expected[from + i] !== packets[copy * PACKET.size + i]) return false;
    }
    return true;
  }

  #record(slot: number): { file: number; n: number } {
    const { records } = this.#memory!;
    const record = new DataView(records.buffer, slot * RECORD.size);
    return { file: record.getUint16(RECORD.file, true), n: record.getUint32(RECORD.n, true) };
  }

  #name(slot: number): string {
    const { file, n } = this.#record(slot);
    return `${file}:${n}`;
  }

  #count(what: ContradictionKind, first: string): void {
    const known = this.#contradictions.get(what);
    if (known) known.packets++;
    else this.#contradictions.set(what, { what, packets: 1, first });
  }
}

/** Replay time of a record, ns, as a double: off by some 128 ns at most. */
function timeAt(view: DataView, record: number): number {
  return view.getUint32(record + RECORD.clock + 4, true) * 2 ** 32 + view.getUint32(record + RECORD.clock, true);
}

function makeMemory() {
  const packets = new Uint8Array(REMEMBERED * PACKET.size);
  return {
    packets,
    records: new Uint8Array(REMEMBERED * RECORD.size),
    tuples: new Uint8Array(REMEMBERED * TUPLE.size),
    view: new DataView(packets.buffer),
  };
}
