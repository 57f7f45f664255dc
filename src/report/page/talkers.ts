// Who had the most traffic? Counts by address, or by protocol, address and port, for reports.
//
// Exact for up to a stated number of keys. Where there are more, the half with fewer packets is forgotten time and again
// (its sums stay in one line), so that who becomes great late is found nevertheless: counts are lower bounds then.

import { hasPorts } from '../describe.ts';

/** Keys that are told apart. */
export const TALKERS_MAX = 1 << 17;

/** Words of a key: four of the address, one of port, protocol and family. */
const KEY_WORDS = 5;
/** Counts of a key: packets by verdict ACCEPT, DROP, REJECT, QUEUE; bytes; conversations. */
const COUNTS = 6;
const BYTES = 4;
const FLOWS = 5;

/** The packet is a later fragment, which has no ports. */
const PIECE = 0x80;

export interface TalkerCounts {
  /** Packets by verdict: ACCEPT, DROP, REJECT, QUEUE. */
  verdicts: [number, number, number, number];
  packets: number;
  bytes: number;
  flows: number;
}

export interface Talker extends TalkerCounts {
  /** The address, as in a tuple: 16 bytes. */
  address: Uint8Array;
  l3num: number;
  /** 0 where talkers are addresses alone. */
  protonum: number;
  /** Undefined for protocols without ports, and later fragments. */
  port: number | undefined;
  piece: boolean;
}

export interface TopTalkers {
  /** The greatest by packets, by bytes, by conversations and by packets not accepted, together; by falling packets. */
  top: Talker[];
  /** All others in one. */
  rest: TalkerCounts & { talkers: number };
  /** Some were forgotten: counts of `top` are lower bounds, and rest.talkers may count some of the forgotten twice. */
  forgotten: boolean;
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

/** The last word of a key. */
export function talkerTail(l3num: number, protonum: number, port: number, piece: boolean): number {
  return ((port << 16) | (protonum << 8) | l3num | (piece ? PIECE : 0)) >>> 0;
}

export class Talkers {
  readonly #limit: number;
  #count = 0;
  #keys = new Uint32Array(1024 * KEY_WORDS);
  #counts = new Float64Array(1024 * COUNTS);
  /** Index of the key plus one, by hash; 0 is free. Never more than half full. */
  #slots = new Uint32Array(2048);
  readonly #forgotten = new Float64Array(COUNTS);
  #forgottenKeys = 0;

  /** @param limit keys that are told apart, a power of two */
  constructor(limit = TALKERS_MAX) {
    this.#limit = limit;
  }

  /**
   * Counts a packet, and a conversation if it began one.
   *
   * @param address offset of the 16 bytes of the address in `view`
   * @param tail from talkerTail()
   * @param verdict not NONE
   */
  add(view: DataView, address: number, tail: number, verdict: number, bytes: number, began: boolean): void {
    const at = this.#find(view, address, tail) * COUNTS;
    const counts = this.#counts;
    counts[at + verdict - 1]!++;
    counts[at + BYTES]! += bytes;
    if (began) counts[at + FLOWS]!++;
  }

  #find(view: DataView, address: number, tail: number): number {
    const a = view.getUint32(address, true);
    const b = view.getUint32(address + 4, true);
    const c = view.getUint32(address + 8, true);
    const d = view.getUint32(address + 12, true);
    const hash = mix(mix(mix(mix(mix(1, a), b), c), d), tail);
    const keys = this.#keys;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (let index = this.#slots[slot]!; index !== 0; index = this.#slots[slot]!) {
      const key = (index - 1) * KEY_WORDS;
      if (
        keys[key] === a &&
        keys[key + 4] === tail &&
        keys[key + 1] === b &&
        keys[key + 2] === c &&
        keys[key + 3] === d
      ) {
        return index - 1;
      }
      slot = (slot + 1) & mask;
    }
    if (this.#count === this.#limit) this.#forget();
    else if (this.#count * KEY_WORDS === keys.length) this.#grow();
    const index = this.#count++;
    this.#keys.set([a, b, c, d, tail], index * KEY_WORDS);
    this.#enter(index);
    return index;
  }

  #enter(index: number): void {
    let hash = 1;
    for (let word = 0; word < KEY_WORDS; word++) hash = mix(hash, this.#keys[index * KEY_WORDS + word]!);
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    while (this.#slots[slot] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot] = index + 1;
  }

  #grow(): void {
    const [keys, counts] = [this.#keys, this.#counts];
    this.#keys = new Uint32Array(keys.length * 2);
    this.#keys.set(keys);
    this.#counts = new Float64Array(counts.length * 2);
    this.#counts.set(counts);
    this.#slots = new Uint32Array(this.#slots.length * 2);
    for (let index = 0; index < this.#count; index++) this.#enter(index);
  }

  /** Packets of a key. */
  #packets(index: number): number {
    const at = index * COUNTS;
    return this.#counts[at]! + this.#counts[at + 1]! + this.#counts[at + 2]! + this.#counts[at + 3]!;
  }

  /** Indices of keys by a falling number; of equals, what came first is first. */
  #order(by: (index: number) => number): Uint32Array {
    return Uint32Array.from({ length: this.#count }, (_, index) => index).sort((a, b) => by(b) - by(a) || a - b);
  }

  /** Makes room: the half with fewer packets goes. */
  #forget(): void {
    const kept = this.#order((index) => this.#packets(index))
      .slice(0, this.#count >> 1)
      .sort();
    const [keys, counts] = [this.#keys, this.#counts];
    this.#keys = new Uint32Array(keys.length);
    this.#counts = new Float64Array(counts.length);
    this.#slots.fill(0);
    for (let at = 0; at < this.#count * COUNTS; at++) this.#forgotten[at % COUNTS]! += counts[at]!;
    this.#forgottenKeys += this.#count - kept.length;
    this.#count = kept.length;
    kept.forEach((from, to) => {
      this.#keys.set(keys.subarray(from * KEY_WORDS, from * KEY_WORDS + KEY_WORDS), to * KEY_WORDS);
      for (let i = 0; i < COUNTS; i++) {
        this.#counts[to * COUNTS + i] = counts[from * COUNTS + i]!;
        this.#forgotten[i]! -= counts[from * COUNTS + i]!;
      }
      this.#enter(to);
    });
  }

  /** The greatest: `each` by each kind of count. */
  top(each: number): TopTalkers {
    const count = (what: number) => (index: number) => this.#counts[index * COUNTS + what]!;
    const packets = (index: number) => this.#packets(index);
    const chosen = new Set<number>();
    for (const by of [packets, count(BYTES), count(FLOWS), (index: number) => packets(index) - count(0)(index)]) {
      for (const index of this.#order(by).subarray(0, each)) if (by(index) > 0) chosen.add(index);
    }
    const rest = new Float64Array(this.#forgotten);
    for (let index = 0; index < this.#count; index++) {
      if (chosen.has(index)) continue;
      for (let i = 0; i < COUNTS; i++) rest[i]! += this.#counts[index * COUNTS + i]!;
    }
    return {
      top: [...chosen].sort((a, b) => packets(b) - packets(a) || a - b).map((index) => this.#talker(index)),
      rest: { ...countsOf(rest, 0), talkers: this.#count - chosen.size + this.#forgottenKeys },
      forgotten: this.#forgottenKeys > 0,
    };
  }

  #talker(index: number): Talker {
    const [a, b, c, d, tail] = this.#keys.subarray(index * KEY_WORDS, index * KEY_WORDS + KEY_WORDS);
    const address = new Uint8Array(16);
    const view = new DataView(address.buffer);
    [a, b, c, d].forEach((word, i) => {
      view.setUint32(i * 4, word!, true);
    });
    const protonum = (tail! >>> 8) & 255;
    const piece = (tail! & PIECE) !== 0;
    const port = hasPorts(protonum) && !piece ? tail! >>> 16 : undefined;
    return { address, l3num: tail! & 15, protonum, port, piece, ...countsOf(this.#counts, index * COUNTS) };
  }
}

function countsOf(counts: Float64Array, at: number): TalkerCounts {
  const [accept, drop, reject, queue, bytes, flows] = counts.subarray(at, at + COUNTS);
  return {
    verdicts: [accept!, drop!, reject!, queue!],
    packets: accept! + drop! + reject! + queue!,
    bytes: bytes!,
    flows: flows!,
  };
}
