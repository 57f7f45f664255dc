// How do messages of calls look (ITU-T H.225.0, in Q.931)? As those of H.245.

import type { Random } from '../model/random.ts';
import { Tokens } from './h323-tokens.ts';
import { concat } from './packets.ts';
import { ABSENT, type Optional, type Per, type Write } from './per.ts';

export class H225 extends Tokens {
  protected readonly vendor: Write = (to) => {
    const h221: Write = (it) => void it.sequence([this.octet, this.octet, this.word], this.additions());
    to.sequence([h221, this.maybe(this.shortString), this.maybe(this.shortString)], this.additions());
  };

  protected readonly endpoint: Write = (to) => {
    const info = (...additions: (Write | Optional)[]): Write => {
      return (it) => void it.sequence([this.maybe(this.nonStandard)], this.additions(...additions));
    };
    const capability = info(this.maybe(this.string), this.string);
    const protocol: Write = (it) => {
      const index = this.random.below(11);
      it.choice(index, 9, 4, true, index === 0 ? this.nonStandard : index < 9 ? capability : this.string);
    };
    const gateway: Write = (it) =>
      void it.sequence([this.maybe(this.several(protocol)), this.maybe(this.nonStandard)], this.additions());
    to.sequence(
      [
        this.maybe(this.nonStandard, 0.2),
        this.maybe(this.vendor),
        this.maybe(info(), 0.2),
        this.maybe(gateway, 0.2),
        this.maybe(info(this.maybe(this.string)), 0.2),
        this.maybe(info()),
        this.boolean,
        this.boolean,
      ],
      this.additions(
        this.maybe((it) => void it.align().number(5, 32)),
        this.maybe(this.string),
      ),
    );
  };

  /** H.245 starts at once: what the caller offers, or the called accepts. */
  protected readonly fastStart: Write = (to) => {
    const count = this.random.chance(0.03) ? 33 : this.random.below(4);
    to.list(Array.from({ length: count }, () => (it: Per) => void it.open(this.channel)));
  };

  protected readonly callIdentifier: Write = (to) => void to.sequence([this.guid], this.additions());

  protected readonly setup: Write = (to) => {
    const q954: Write = (it) => void it.sequence([this.boolean, this.boolean], this.additions());
    const services: Write = (it) => void it.sequence([this.bits(7), q954], this.additions());
    to.sequence(
      [
        this.object,
        this.maybe(this.transport, 0.6),
        this.maybe(this.aliases),
        this.endpoint,
        this.maybe(this.aliases),
        this.maybe(this.transport),
        this.maybe(this.aliases, 0.2),
        this.maybe(this.several(this.word), 0.2),
        this.boolean,
        this.guid,
        this.oneOf(3, 2, 5),
        this.maybe(services, 0.2),
        this.oneOf(4, 2, 4),
      ],
      this.additions(
        this.maybe(this.transport),
        this.maybe(this.alias, 0.2),
        this.callIdentifier,
        this.maybe(this.string, 0.2),
        this.maybe(this.string, 0.2),
        this.maybe(this.string, 0.2),
        this.maybe(this.fastStart, 0.8),
        this.boolean,
        this.boolean,
        this.maybe(this.name, 0.2),
        this.boolean,
        this.boolean,
      ),
    );
  };

  /** What the answers to Setup have behind their "...". */
  protected answers(): (Write | Optional)[] {
    return this.additions(
      this.callIdentifier,
      this.maybe(this.oneOf(4, 2, 4)),
      this.maybe(this.string, 0.2),
      this.maybe(this.string, 0.2),
      this.maybe(this.fastStart, 0.8),
      this.boolean,
      this.boolean,
      ABSENT,
      this.maybe(this.string),
    );
  }

  protected readonly proceeding: Write = (to) => {
    to.sequence([this.object, this.endpoint, this.maybe(this.transport, 0.7)], this.answers());
  };

  protected readonly connect: Write = (to) => {
    to.sequence([this.object, this.maybe(this.transport, 0.7), this.endpoint, this.guid], this.answers());
  };

  protected readonly facility: Write = (to) => {
    const reason = this.random.pick([0, 1, 1, 1, 2, 3, 5, 12]);
    to.sequence(
      [
        this.object,
        this.maybe(this.transport, 0.7),
        this.maybe(this.aliases),
        this.maybe(this.guid),
        (it) => void it.choice(reason, 4, 2, true),
      ],
      this.additions(
        this.callIdentifier,
        this.maybe(this.string, 0.2),
        this.maybe(this.alias, 0.2),
        this.maybe(this.string, 0.2),
        this.maybe(this.string, 0.2),
        this.maybe(this.string, 0.2),
        this.maybe(this.transport, 0.7),
        this.maybe(this.fastStart, 0.7),
        this.boolean,
      ),
    );
  };

  protected readonly progress: Write = (to) => {
    const mode = this.drawn([this.nonStandard, () => {}, () => {}], 3, 2);
    const capabilities: Write = (it) =>
      void it.sequence([this.maybe(this.nonStandard), mode, mode, mode], this.additions());
    const security = this.drawn([this.nonStandard, () => {}, capabilities, capabilities], 4, 2);
    to.sequence(
      [
        this.object,
        this.endpoint,
        this.maybe(this.transport, 0.7),
        this.callIdentifier,
        this.maybe(security),
        this.maybe(this.several(this.token), 0.3),
        this.maybe(this.several(this.cryptoToken), 0.3),
        this.maybe(this.fastStart, 0.8),
      ],
      this.additions(this.boolean, this.boolean),
    );
  };

  /** H323-UserInformation. */
  readonly userInformation: Write = (to) => {
    const simple: Write = (it) => void it.sequence([this.object], this.additions(this.callIdentifier));
    const release: Write = (it) =>
      void it.sequence([this.object, this.maybe(this.oneOf(12, 4, 17))], this.additions(this.callIdentifier));
    const alternatives = [
      this.setup,
      this.proceeding,
      this.connect,
      this.proceeding, // Alerting is alike
      simple,
      release,
      this.facility,
      this.progress,
      () => {},
      this.string,
      this.string,
      this.string,
      this.string,
      this.string,
    ];
    const index = this.random.pick([0, 0, 0, 1, 2, 2, 3, 4, 5, 6, 6, 6, 7, 7, 8, 9, 13]);
    const tunnelled: Write = (it) => {
      const count = this.random.chance(0.05) ? 6 : this.random.below(4);
      it.list(Array.from({ length: count }, () => (each: Per) => void each.open(this.control)));
    };
    const pdu: Write = (it) =>
      void it.sequence(
        [(a) => void a.choice(index, 7, 3, true, alternatives[index]!), this.maybe(this.nonStandard, 0.2)],
        this.additions(
          this.maybe(this.several(this.string), 0.2),
          this.boolean,
          this.maybe(tunnelled, 0.7),
          this.maybe(this.string, 0.2),
        ),
      );
    to.sequence([pdu, this.maybe(this.string, 0.2)], this.additions());
  };
}

/** A Q.931 message (ITU-T Q.931 section 4) around user-user information. */
export function q931(random: Random, information: Uint8Array): Uint8Array {
  const reference = random.pick([[2, 0, 1], [1, 5], [0]]);
  const type = [random.pick([5, 2, 1, 7, 0x62, 3]), ...(random.chance(0.1) ? [0x90] : [])];
  const others = random.chance(0.7) ? [4, 3, 0x88, 0x93, 0xa5, 0x28, 3, 0x62, 0x6f, 0x62] : [];
  const size = information.length + 1;
  const userUser = Uint8Array.from([0x7e, size >> 8, size & 255, 5]);
  return concat(Uint8Array.from([8, ...reference, ...type, ...others]), userUser, information);
}

/** TPKT (RFC 1006 section 6) around a message. */
export function tpkt(message: Uint8Array): Uint8Array {
  const length = message.length + 4;
  return concat(Uint8Array.from([3, 0, length >> 8, length & 255]), message);
}
