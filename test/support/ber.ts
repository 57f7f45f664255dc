// How is a message of SNMP written (BER, ITU-T X.690; RFC 1157, RFC 3416)? Every way of writing lengths is drawn.

import type { Random } from '../model/random.ts';
import { concat } from './packets.ts';

export class Ber {
  constructor(private readonly random: Random) {}

  element(tag: number, value: Uint8Array): Uint8Array {
    const { random } = this;
    const size = value.length;
    const how = random.weighted({ short: 20, one: 2, two: 2, none: (tag & 0x20) === 0 ? 0 : 1.5 });
    if (how === 'none') return concat(Uint8Array.from([tag, 0x80]), value, Uint8Array.from([0, 0]));
    if (how === 'two' || size > 255) return concat(Uint8Array.from([tag, 0x82, size >> 8, size & 255]), value);
    if (how === 'one' || size > 127) return concat(Uint8Array.from([tag, 0x81, size]), value);
    return concat(Uint8Array.from([tag, size]), value);
  }

  integer(value: number): Uint8Array {
    return this.element(2, Uint8Array.from(value < 128 ? [value] : [value >> 8, value & 255]));
  }

  /** Name and value of a variable; `addresses` may be values. */
  variable(addresses: readonly Uint8Array[]): Uint8Array {
    const { random } = this;
    const bytes = (most: number): Uint8Array =>
      Uint8Array.from({ length: random.below(most) }, () => random.below(256));
    const value = (): Uint8Array => {
      const kind = random.weighted({ address: 6, number: 3, text: 2, nothing: 2, none: 0.3 });
      if (kind === 'address') return this.element(0x40, random.pick(addresses));
      if (kind === 'number') return this.element(random.pick([2, 0x41, 0x42, 0x43, 0x46]), bytes(5));
      if (kind === 'text')
        return this.element(random.pick([4, 6, 0x44]), random.chance(0.3) ? random.pick(addresses) : bytes(200));
      if (kind === 'nothing') return this.element(random.pick([5, 0x80, 0x81, 0x82]), new Uint8Array(0));
      return new Uint8Array(0);
    };
    const values = random.chance(0.08) ? [value(), value()] : [value()];
    return this.element(0x30, concat(this.element(6, Uint8Array.from([43, 6, 1, 2, 1])), ...values));
  }

  /** A whole message: mostly of SNMPv2c, with one PDU. */
  message(addresses: readonly Uint8Array[]): Uint8Array {
    const { random } = this;
    const tags = [0xa0, 0xa1, 0xa2, 0xa2, 0xa2, 0xa3, 0xa5, 0xa6, 0xa7, 0xa7, 0xa8, 0xa4, 0xa9];
    const pdu = (): Uint8Array => {
      const variables = Array.from({ length: random.pick([1, 1, 1, 2, 3, 3, 5, 0]) }, () => this.variable(addresses));
      const head = [this.integer(random.below(30_000)), this.integer(0), this.integer(0)];
      return this.element(random.pick(tags), concat(...head, this.element(0x30, concat(...variables))));
    };
    const count = random.pick([1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2]);
    const community = this.element(4, Uint8Array.from(Buffer.from('public')));
    const body = concat(
      this.integer(random.pick([1, 1, 1, 0, 0, 3])),
      community,
      ...Array.from({ length: count }, pdu),
    );
    return this.element(0x30, body);
  }
}
