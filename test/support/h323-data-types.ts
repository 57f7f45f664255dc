// What flows in a logical channel? Seeded values of DataType (ITU-T H.245).

import { Values } from './h323-values.ts';
import { ABSENT, type Write } from './per.ts';

export class DataTypes extends Values {
  protected readonly nonStandard245: Write = (to) => {
    const h221: Write = (it) => void it.sequence([this.octet, this.octet, this.word]);
    const object = this.random.chance(0.5);
    to.sequence([(it) => void it.choice(object ? 0 : 1, 2, 1, false, object ? this.object : h221), this.string]);
  };

  protected video(): Write {
    const mpi = this.bits(2);
    const h261: Write = (to) =>
      void to.sequence(
        [this.maybe(mpi), this.maybe(mpi), this.boolean, this.word, this.boolean],
        this.additions(this.maybe(this.boolean)),
      );
    const h263: Write = (to) =>
      void to.sequence(
        [
          ...[0, 1, 2, 3, 4].map(() => this.maybe(this.bits(5))),
          this.long,
          this.bits(5),
          this.maybe(this.long),
          this.maybe(this.word),
        ],
        this.additions(
          this.maybe(this.word),
          this.maybe(this.word),
          ABSENT,
          ABSENT,
          this.maybe(this.word),
          this.boolean,
          ABSENT,
        ),
      );
    const h262: Write = (to) =>
      void to.sequence(
        [
          this.bits(11),
          this.maybe(this.long),
          this.maybe(this.long),
          this.maybe(this.word),
          this.maybe(this.word),
          this.maybe(this.bits(4)),
          this.maybe(this.long),
        ],
        this.additions(this.maybe(this.boolean)),
      );
    const mpeg: Write = (to) =>
      void to.sequence(
        [
          this.boolean,
          this.maybe(this.long),
          this.maybe(this.long),
          this.maybe(this.word),
          this.maybe(this.word),
          this.maybe(this.bits(4)),
          this.maybe(this.long),
        ],
        this.additions(this.maybe(this.boolean)),
      );
    const alternatives = [this.nonStandard245, h261, h262, h263, mpeg, this.string];
    return this.drawn(alternatives, 5, 3);
  }

  protected audio(): Write {
    const g7231: Write = (to) => void to.sequence([this.octet, this.boolean]);
    const flags = (count: number): Write => {
      return (to) => void to.sequence([this.bits(count), this.word], this.additions());
    };
    const frames = this.octet;
    return this.drawn(
      [
        this.nonStandard245,
        ...[frames, frames, frames, frames, frames, frames, frames],
        g7231,
        ...[frames, frames, frames],
        flags(8),
        flags(20),
        ...[frames, frames],
        this.string,
      ],
      14,
      4,
    );
  }

  protected dataProtocol(): Write {
    const nothing: Write = () => {};
    const index = this.random.chance(0.6) ? 10 : this.random.below(14);
    return (to) => void to.choice(index, 7, 3, true, index === 0 ? this.nonStandard245 : nothing);
  }

  protected data(): Write {
    const t84: Write = (to) => {
      const restricted: Write = (it) => void it.sequence([this.bits(19)], []);
      to.sequence([this.dataProtocol(), this.drawn([() => {}, restricted], 2, 1, false)]);
    };
    const nlpid: Write = (to) => void to.sequence([this.dataProtocol(), this.string]);
    const index = this.random.chance(0.6) ? 1 : this.random.below(13);
    const special: Record<number, Write> = {
      0: this.nonStandard245,
      4: t84,
      7: nlpid,
      8: () => {},
      12: this.string,
    };
    const application: Write = (to) => void to.choice(index, 10, 4, true, special[index] ?? this.dataProtocol());
    return (to) => void to.sequence([application, this.long], this.additions());
  }

  protected dataType(): Write {
    const encryption = this.drawn([this.nonStandard245, () => {}], 2, 1);
    const alternatives = [
      this.nonStandard245,
      () => {},
      this.video(),
      this.audio(),
      this.data(),
      encryption,
      this.string,
    ];
    const index = this.random.pick([0, 1, 2, 3, 3, 4, 4, 4, 5, 6]);
    return (to) => void to.choice(index, 6, 3, true, alternatives[index]!);
  }
}
