// How do tokens of H.235 look, in messages of H.225.0? With the addresses and names that they have.

import { H245 } from './h323-h245.ts';
import { addressBytes } from './packets.ts';
import type { Optional, Write } from './per.ts';

export class Tokens extends H245 {
  protected readonly nonStandard: Write = (to) => {
    const h221: Write = (it) => void it.sequence([this.octet, this.octet, this.word], this.additions());
    to.sequence([this.drawn([this.object, h221], 2, 1), this.string]);
  };

  /** TransportAddress. */
  readonly transport: Write = (to) => {
    const { address, port } = this.place();
    const bytes = addressBytes(address);
    const six = bytes.length === 16;
    const ip = (additions?: (Write | Optional)[]): Write => {
      return (it) => void it.sequence([(a) => void a.octets(bytes), (a) => void a.word(port)], additions);
    };
    const routed: Write = (it) =>
      void it.sequence(
        [
          (a) => void a.octets(this.octets(4)),
          this.word,
          this.several((a) => void a.octets(this.octets(4))),
          this.oneOf(2, 1, 2),
        ],
        this.additions(),
      );
    const ipx: Write = (it) =>
      void it.sequence([(a) => void a.octets(this.octets(6)), (a) => void a.octets(this.octets(4)), this.bits(16)]);
    const nsap: Write = (it) => void it.sized(1 + this.random.below(20), 1, 5, 8, () => 3);
    const index = this.random.chance(0.92) ? (six ? 3 : 0) : this.random.pick([1, 2, 4, 5, 6, 7]);
    const alternatives: Record<number, Write> = {
      0: ip(),
      1: routed,
      2: ipx,
      3: ip(this.additions()),
      4: this.guid,
      5: nsap,
      6: this.nonStandard,
      7: this.string,
    };
    to.choice(index, 7, 3, true, alternatives[index]!);
  };

  protected readonly alias: Write = (to) => {
    const digits: Write = (it) => void it.sized(1 + this.random.below(30), 1, 7, 4, () => this.random.below(12));
    const id: Write = (it) => {
      const text = Array.from({ length: 1 + this.random.below(12) }, () => this.random.below(65_536));
      it.octets([text.length - 1]);
      for (const character of text) it.number(character, 16);
    };
    this.drawn([digits, id, this.string, this.transport, this.string, this.string], 2, 1)(to);
  };

  protected readonly aliases: Write = (to) => this.several(this.alias)(to);

  protected readonly token: Write = (to) => {
    const short: Write = (it) => {
      const count = this.random.below(40);
      it.word(count);
      for (let i = 0; i < count; i++) it.bit(this.random.chance(0.5));
    };
    const diffieHellman: Write = (it) => void it.sequence([short, short, short], this.additions());
    const certificate: Write = (it) => void it.sequence([this.object, this.string], this.additions());
    const nonStandard: Write = (it) => void it.sequence([this.object, this.string]);
    to.sequence(
      [
        this.object,
        this.maybe(this.long),
        this.maybe(this.name),
        this.maybe(diffieHellman),
        this.maybe((it) => void it.sized(8 + this.random.below(20), 8, 7, 8, () => 9)),
        this.maybe(this.string),
        this.maybe(certificate),
        this.maybe(this.name),
        this.maybe(nonStandard),
      ],
      this.additions(this.maybe(this.string), this.maybe(this.name)),
    );
  };

  protected readonly parameters: Write = (to) =>
    void to.sequence(
      [this.maybe(this.string), this.maybe((it) => void it.octets(this.octets(8)))],
      this.additions(this.maybe(this.guid)),
    );
  protected readonly hashed: Write = (to) => void to.sequence([this.object, this.parameters, this.bitString]);
  protected readonly encrypted: Write = (to) => void to.sequence([this.object, this.parameters, this.string]);
  protected readonly signed: Write = (to) =>
    void to.sequence([(it) => void it.open(this.string), this.object, this.parameters, this.bitString]);

  protected readonly cryptoToken: Write = (to) => {
    const hash = (of: Write): Write => {
      return (it) => void it.sequence([of, this.long, this.hashed]);
    };
    const nested = (token: Write): Write => {
      return (it) => void it.sequence([this.object, token]);
    };
    const both: Write = (it) => void it.sequence([this.object, this.token, this.hashed]);
    const other = this.drawn([nested(this.encrypted), nested(this.signed), both, this.encrypted], 4, 2);
    const alternatives = [hash(this.alias), hash(this.name), this.encrypted, this.encrypted, this.signed, this.signed];
    this.drawn([...alternatives, this.signed, other], 8, 3)(to);
  };
}
