// What do types of H.323's protocols have in common? Seeded values, written by the rules of PER.

import type { Random } from '../model/random.ts';
import type { Optional, Write } from './per.ts';

/** A transport address. */
export interface Place {
  address: string;
  port: number;
}

const OBJECT = [0, 8, 0x91, 0x4a, 0, 4];

/** Draws values; `place` says what the next address is. */
export class Values {
  constructor(
    protected readonly random: Random,
    protected readonly place: () => Place,
  ) {}

  protected readonly octets = (count: number): number[] => Array.from({ length: count }, () => this.random.below(256));
  protected readonly some = (most: number): number[] => this.octets(this.random.below(most));

  /** There with this probability. */
  protected maybe(write: Write, probability = 0.4): Optional {
    return { optional: this.random.chance(probability) && write };
  }

  protected several(item: Write): Write {
    return (to) => void to.list(Array.from({ length: this.random.below(4) }, () => item));
  }

  protected readonly boolean: Write = (to) => void to.bit(this.random.chance(0.5));
  protected readonly word: Write = (to) => void to.word(this.random.below(65_536));
  protected readonly octet: Write = (to) => void to.octets(this.octets(1));
  protected readonly long: Write = (to) => void to.long(this.random.below(2 ** this.random.below(32)) + 1, 1);
  protected readonly string: Write = (to) => void to.string(this.some(200));
  protected readonly object: Write = (to) => void to.object(OBJECT);
  protected readonly guid: Write = (to) => void to.octets(this.octets(16));
  protected readonly bits = (count: number): Write => {
    return (to) => void to.number(this.random.below(2 ** count), count);
  };
  protected readonly bitString: Write = (to) => {
    const bits = this.random.below(130);
    to.length(bits);
    for (let i = 0; i < bits; i++) to.bit(this.random.chance(0.5));
  };
  protected readonly name: Write = (to) => {
    to.sized(1 + this.random.below(20), 1, 7, 16, () => this.random.below(65_536));
  };
  protected readonly shortString: Write = (to) => {
    const bytes = this.octets(1 + this.random.below(30));
    to.octets([bytes.length - 1]).octets(bytes);
  };
  /** One of as many alternatives without a value, some of them additions. */
  protected readonly oneOf = (root: number, bits: number, all: number, extensible = true): Write => {
    return (to) => void to.choice(this.random.below(all), root, bits, extensible);
  };
  /** What ends the list of additions: some that are not known. */
  protected later(): (Write | Optional)[] {
    return this.random.chance(0.15) ? [this.maybe(this.string), this.string] : [];
  }
  protected readonly additions = (...known: (Write | Optional)[]): (Write | Optional)[] => {
    return this.random.chance(0.7) ? known.slice(0, this.random.below(known.length + 1)) : [...known, ...this.later()];
  };

  /** One of these alternatives, the first `root` of which are numbered in `bits` bits. */
  protected drawn(alternatives: readonly Write[], root: number, bits: number, extensible = true): Write {
    const index = this.random.below(alternatives.length);
    return (to) => void to.choice(index, root, bits, extensible, alternatives[index]!);
  }
}
