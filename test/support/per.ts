// How is a value written in aligned PER (ITU-T X.691)? What tests need of it to write messages of H.225.0 and H.245.

export type Write = (to: Per) => void;

/** A component that may be left out, or is. */
export interface Optional {
  optional: Write | false;
}
export const ABSENT: Optional = { optional: false };

export class Per {
  private readonly bits: number[] = [];

  bit(value: boolean): this {
    this.bits.push(value ? 1 : 0);
    return this;
  }

  /** A whole number in `count` bits. */
  number(value: number, count: number): this {
    for (let i = count - 1; i >= 0; i--) this.bits.push(Math.floor(value / 2 ** i) & 1);
    return this;
  }

  align(): this {
    while (this.bits.length % 8) this.bits.push(0);
    return this;
  }

  /** Octets, aligned: of a fixed size above two (section 17.7), or behind a length. */
  octets(bytes: ArrayLike<number>): this {
    this.align();
    for (const byte of Array.from(bytes)) this.number(byte, 8);
    return this;
  }

  /** A whole number of a range of 257 to 64K values (section 11.5.7.3). */
  word(value: number): this {
    return this.align().number(value, 16);
  }

  /** A whole number of a larger range (section 11.5.7.4): in as few octets as it takes. */
  long(value: number, lower = 0): this {
    const offset = value - lower;
    const octets = offset < 2 ** 8 ? 1 : offset < 2 ** 16 ? 2 : offset < 2 ** 24 ? 3 : 4;
    return this.number(octets - 1, 2)
      .align()
      .number(offset, octets * 8);
  }

  /** A length determinant without bounds (section 11.9). */
  length(value: number): this {
    this.align();
    return value < 128 ? this.number(value, 8) : this.number(0x8000 | value, 16);
  }

  /** OCTET STRING without bounds. */
  string(bytes: ArrayLike<number>): this {
    return this.length(bytes.length).octets(bytes);
  }

  /** Elements of a string whose length has `lower` as its least value and fits in `lengthBits`. */
  sized(count: number, lower: number, lengthBits: number, elementBits: number, element: (i: number) => number): this {
    this.number(count - lower, lengthBits).align();
    for (let i = 0; i < count; i++) this.number(element(i), elementBits);
    return this;
  }

  /** OBJECT IDENTIFIER, of octets that stand for one. */
  object(bytes: ArrayLike<number>): this {
    return this.string(bytes);
  }

  list(items: readonly Write[]): this {
    this.length(items.length);
    for (const item of items) item(this);
    return this;
  }

  /** A SEQUENCE: its components in order, then additions if it has a "...". */
  sequence(components: readonly (Write | Optional)[], additions?: readonly (Write | Optional)[]): this {
    const added = additions?.map(written);
    const extended = added?.some((addition) => addition !== false) ?? false;
    if (additions !== undefined) this.bit(extended);
    for (const component of components) if (typeof component === 'object') this.bit(component.optional !== false);
    for (const component of components.map(written)) if (component !== false) component(this);
    if (added === undefined || !extended) return this;
    this.number(added.length - 1, 7);
    for (const addition of added) this.bit(addition !== false);
    for (const addition of added) if (addition !== false) this.open(addition);
    return this;
  }

  /** A CHOICE whose first `root` alternatives are numbered in `bits` bits; later ones are additions. */
  choice(index: number, root: number, bits: number, extensible: boolean, value: Write = () => {}): this {
    if (index >= root) {
      this.bit(true).number(index - root, 7);
      return this.open(value);
    }
    if (extensible) this.bit(false);
    this.number(index, bits);
    value(this);
    return this;
  }

  /** An open type (section 11.2): whole octets, at least one, behind their length. */
  open(value: Write): this {
    const inner = new Per();
    value(inner);
    const bytes = inner.bytes();
    return this.string(bytes.length ? bytes : [0]);
  }

  bytes(): Uint8Array {
    const out = new Uint8Array(Math.ceil(this.bits.length / 8));
    this.bits.forEach((bit, i) => {
      out[i >> 3]! |= bit << (7 - (i & 7));
    });
    return out;
  }
}

function written(component: Write | Optional): Write | false {
  return typeof component === 'object' ? component.optional : component;
}

/** What `write` writes, as whole octets. */
export function perBytes(write: Write): Uint8Array {
  const per = new Per();
  write(per);
  return per.bytes();
}
