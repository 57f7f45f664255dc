// How do messages of H.245 look? Seeded ones, written by the rules of ITU-T H.245: every part that may be left out is there
// or not, alternatives are drawn.

import { DataTypes } from './h323-data-types.ts';
import { addressBytes } from './packets.ts';
import { ABSENT, type Write } from './per.ts';

export class H245 extends DataTypes {
  protected readonly transport245: Write = (to) => {
    const { address, port } = this.place();
    const bytes = addressBytes(address);
    const six = bytes.length === 16;
    const ip = (octets: ArrayLike<number>): Write => {
      return (it) => void it.sequence([(a) => void a.octets(octets), (a) => void a.word(port)], this.additions());
    };
    const ipx: Write = (it) =>
      void it.sequence(
        [(a) => void a.octets(this.octets(6)), (a) => void a.octets(this.octets(4)), this.bits(16)],
        this.additions(),
      );
    const routed: Write = (it) =>
      void it.sequence(
        [
          this.oneOf(2, 1, 2, false),
          (a) => void a.octets(this.octets(4)),
          this.word,
          this.several((a) => void a.octets(this.octets(4))),
        ],
        this.additions(),
      );
    const nsap: Write = (it) => void it.sized(7, 1, 5, 8, () => this.random.below(256));
    const alternatives = [
      ip(six ? this.octets(4) : bytes),
      ipx,
      ip(six ? bytes : this.octets(16)),
      this.guid,
      routed,
      nsap,
    ];
    const index = this.random.chance(0.9) ? (six ? 2 : 0) : this.random.below(alternatives.length);
    const unicast: Write = (it) => void it.choice(index, 5, 3, true, alternatives[index]!);
    const multicast: Write = (it) => void it.choice(six ? 1 : 0, 2, 1, true, ip(bytes));
    const group = this.random.chance(0.08);
    to.choice(group ? 1 : 0, 2, 1, true, group ? multicast : unicast);
  };

  /** H2250LogicalChannelParameters. */
  protected readonly h2250: Write = (to) => {
    to.sequence(
      [
        this.maybe(this.several(this.nonStandard245), 0.2),
        this.octet,
        this.maybe(this.bits(8)),
        this.maybe(this.transport245, 0.7),
        this.maybe(this.boolean),
        this.maybe(this.transport245, 0.7),
        this.maybe(this.boolean),
        this.maybe(this.boolean),
        ABSENT,
        this.maybe(this.bits(5)),
        ABSENT,
        ABSENT,
        ABSENT,
      ],
      this.additions(),
    );
  };

  protected readonly h222: Write = (to) => {
    to.sequence(
      [this.word, this.word, this.maybe(this.word), this.maybe(this.string), this.maybe(this.string)],
      this.additions(),
    );
  };

  protected readonly h223: Write = (to) => {
    const al3: Write = (it) => void it.sequence([this.bits(2), this.long]);
    const nothing: Write = () => {};
    const layer = this.drawn([this.nonStandard245, nothing, nothing, nothing, nothing, al3, this.string], 6, 3);
    to.sequence([layer, this.boolean], this.additions());
  };

  protected readonly v76: Write = (to) => {
    const crc: Write = (it) => void it.sequence([this.oneOf(3, 2, 3), this.word, this.boolean], this.additions());
    const recovery: Write = (it) => void it.sequence([this.bits(7), this.oneOf(3, 2, 3)], this.additions());
    const v75: Write = (it) => void it.sequence([this.boolean], this.additions());
    to.sequence(
      [crc, this.oneOf(3, 2, 3), this.boolean, this.drawn([recovery, () => {}], 2, 1), v75],
      this.additions(),
    );
  };

  /** Multiplex parameters, mostly the last ones: those of H.225.0. */
  protected multiplex(others: readonly Write[], bits: number, last = others.length): Write {
    const index = this.random.chance(0.8) ? last : this.random.below(others.length);
    return (to) => void to.choice(index, others.length, bits, true, others[index] ?? this.h2250);
  }

  protected readonly separateStack: Write = (to) => {
    const number: Write = (it) =>
      void it.sized(1 + this.random.below(10), 1, 4, 4, (i) => i); /* digits of Q.2931, four bits each */
    const nsap: Write = (it) => void it.sized(5, 1, 5, 8, (i) => i);
    const q2931: Write = (it) =>
      void it.sequence([this.drawn([number, nsap], 2, 1), this.maybe(nsap)], this.additions());
    const digits: Write = (it) => void it.sized(1 + this.random.below(20), 1, 7, 4, () => this.random.below(10));
    const index = this.random.pick([2, 2, 2, 2, 0, 1]);
    to.sequence(
      [
        this.maybe(this.oneOf(2, 1, 2)),
        (it) => void it.choice(index, 3, 2, true, [q2931, digits, this.transport245][index]!),
        this.boolean,
        this.maybe((it) => void it.sized(1 + this.random.below(50), 1, 8, 8, () => 7)),
      ],
      this.additions(this.maybe(this.oneOf(3, 2, 3))),
    );
  };

  /** OpenLogicalChannel. */
  readonly channel: Write = (to) => {
    const forward: Write = (it) =>
      void it.sequence(
        [this.maybe(this.word), this.dataType(), this.multiplex([this.h222, this.h223, this.v76], 2)],
        this.additions(this.maybe(this.word), this.maybe(this.word)),
      );
    const reverse: Write = (it) =>
      void it.sequence(
        [this.dataType(), this.maybe(this.multiplex([this.h223, this.v76], 1), 0.8)],
        this.additions(this.maybe(this.word), this.maybe(this.word)),
      );
    to.sequence(
      [this.word, forward, this.maybe(reverse)],
      this.additions(this.maybe(this.separateStack, 0.8), this.maybe(this.string, 0.3)),
    );
  };

  /** OpenLogicalChannelAck. */
  readonly channelAck: Write = (to) => {
    const reverse: Write = (it) =>
      void it.sequence(
        [this.word, this.maybe(this.word), this.maybe(this.multiplex([this.h222], 0), 0.8)],
        this.additions(this.maybe(this.word)),
      );
    const acknowledged: Write = (it) =>
      void it.sequence(
        [
          this.maybe(this.several(this.nonStandard245), 0.2),
          this.maybe(this.bits(8)),
          this.maybe(this.transport245, 0.8),
          this.maybe(this.transport245, 0.7),
          this.maybe(this.bits(5)),
        ],
        this.additions(this.boolean, this.maybe(this.word)),
      );
    to.sequence(
      [this.word, this.maybe(reverse)],
      this.additions(
        this.maybe(this.separateStack, 0.5),
        this.maybe((it) => void it.choice(0, 1, 0, true, acknowledged), 0.8),
        this.maybe(this.string, 0.3),
      ),
    );
  };

  /** MultimediaSystemControlMessage. */
  readonly control: Write = (to) => {
    const kind = this.random.weighted({ open: 5, ack: 4, request: 1, response: 1, command: 1, indication: 0.5 });
    if (kind === 'open') to.choice(0, 4, 2, true, (it) => void it.choice(3, 11, 4, true, this.channel));
    else if (kind === 'ack') to.choice(1, 4, 2, true, (it) => void it.choice(5, 19, 5, true, this.channelAck));
    else if (kind === 'request') {
      to.choice(
        0,
        4,
        2,
        true,
        (it) => void it.choice(this.random.pick([0, 1, 2, 9, 12, 16]), 11, 4, true, this.string),
      );
    } else if (kind === 'response') {
      to.choice(1, 4, 2, true, (it) => void it.choice(this.random.pick([1, 4, 16, 20, 25]), 19, 5, true, this.string));
    } else to.choice(kind === 'command' ? 2 : 3, 4, 2, true, this.string);
  };
}
