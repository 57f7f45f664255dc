// How do messages of RAS look (ITU-T H.225.0)? As those of calls.

import { H225 } from './h323-h225.ts';
import { ABSENT, type Write } from './per.ts';

/** Draws messages of H.323; `place` is what they announce, one after the other. */
export class H323 extends H225 {
  protected readonly transports: Write = (to) => {
    const count = this.random.pick([0, 1, 1, 1, 2, 3, 12]);
    to.list(Array.from({ length: count }, () => this.transport));
  };

  protected readonly registrationRequest: Write = (to) => {
    to.sequence(
      [
        this.word,
        this.object,
        this.maybe(this.nonStandard, 0.2),
        this.boolean,
        this.transports,
        this.transports,
        this.endpoint,
        this.maybe(this.aliases),
        this.maybe(this.name),
        this.vendor,
      ],
      this.additions(
        this.maybe(this.string),
        this.maybe(this.lifetime, 0.8),
        this.maybe(this.string),
        ABSENT,
        this.string,
      ),
    );
  };

  /** Seconds; the message goes on for a while, or ends soon. */
  protected readonly lifetime: Write = (to) => void to.long(this.random.pick([20, 60, 300, 3600, 65_536]), 1);

  protected readonly registrationConfirm: Write = (to) => {
    to.sequence(
      [
        this.word,
        this.object,
        this.maybe(this.nonStandard, 0.2),
        this.transports,
        this.maybe(this.aliases),
        this.maybe(this.name),
        this.name,
      ],
      this.additions(
        this.maybe(this.string),
        this.maybe(this.lifetime, 0.8),
        this.maybe(this.string),
        ABSENT,
        this.string,
      ),
    );
  };

  /** RasMessage. */
  readonly ras: Write = (to) => {
    const confirmed: Write = (it) =>
      void it.sequence(
        [this.word, this.object, this.maybe(this.nonStandard, 0.2), this.maybe(this.name), this.transport],
        this.additions(this.maybe(this.string), this.string),
      );
    const unregistration: Write = (it) =>
      void it.sequence(
        [this.word, this.transports, this.maybe(this.aliases), ABSENT, ABSENT],
        this.additions(this.maybe(this.string)),
      );
    const admitted: Write = (it) =>
      void it.sequence(
        [
          this.word,
          this.long,
          this.oneOf(2, 1, 2),
          this.transport,
          this.maybe(this.word),
          this.maybe(this.nonStandard),
        ],
        this.additions(this.maybe(this.string)),
      );
    const located: Write = (it) =>
      void it.sequence(
        [this.word, this.transport, this.transport, this.maybe(this.nonStandard)],
        this.additions(this.maybe(this.string)),
      );
    const asked: Write = (it) =>
      void it.sequence(
        [
          this.word,
          this.object,
          this.maybe(this.nonStandard, 0.2),
          this.transport,
          this.endpoint,
          ABSENT,
          ABSENT,
          ABSENT,
        ],
        this.additions(this.maybe(this.string)),
      );
    const admission: Write = (it) =>
      void it.sequence(
        [
          this.word,
          this.oneOf(4, 2, 4),
          this.maybe(this.oneOf(2, 1, 2)),
          this.name,
          this.maybe(this.aliases),
          this.maybe(this.transport, 0.6),
          this.maybe(this.aliases, 0.2),
          this.aliases,
          this.maybe(this.transport, 0.7),
          this.long,
          this.word,
          ABSENT,
          ABSENT,
          this.guid,
          this.boolean,
          this.boolean,
        ],
        this.additions(this.boolean, this.callIdentifier),
      );
    const location: Write = (it) =>
      void it.sequence(
        [this.word, this.maybe(this.name), this.aliases, this.maybe(this.nonStandard, 0.2), this.transport],
        this.additions(this.maybe(this.aliases), this.boolean),
      );
    const informed: Write = (it) =>
      void it.sequence(
        [
          this.maybe(this.nonStandard, 0.2),
          this.word,
          this.endpoint,
          this.name,
          this.transport,
          this.transports,
          this.maybe(this.aliases),
          ABSENT,
        ],
        this.additions(this.maybe(this.string)),
      );
    const known: Record<number, Write> = {
      0: asked,
      9: admission,
      18: location,
      22: informed,
      1: confirmed,
      3: this.registrationRequest,
      4: this.registrationConfirm,
      6: unregistration,
      10: admitted,
      19: located,
    };
    const index = this.random.pick([
      0, 0, 1, 1, 3, 3, 3, 3, 3, 4, 4, 6, 9, 9, 9, 10, 10, 18, 19, 19, 22, 22, 23, 24, 33,
    ]);
    to.choice(index, 24, 5, true, known[index] ?? this.string);
  };
}
