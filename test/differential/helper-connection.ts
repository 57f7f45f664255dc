// A TCP connection through a gateway whose helpers rewrite what is said: both ends keep in step with what they get.

import type { Random } from '../model/random.ts';
import { ip, type TcpOptions, tcp, udp } from '../support/packets.ts';
import type { Meeting } from './helper-nat.ts';

export type Side = 'client' | 'server';

/** A datagram from and to these ports, as the other side has them. */
export function datagram(meeting: Meeting, side: Side, ports: readonly [number, number], payload: Uint8Array): Buffer {
  const [sport, dport] = [ports[0], meeting.known(side, ports[1])];
  return Buffer.from(ip(...meeting.way(side), udp({ sport, dport, payload })));
}

/** What a helper does to the lines of a connection. */
export interface Rewriting {
  /** Bytes by which it makes this segment longer, which begins so many bytes behind the side's first one. */
  growth(side: Side, position: number, payload: Uint8Array): number;
}

const UNTOUCHED: Rewriting = { growth: () => 0 };

export class Connection {
  private readonly next: Record<Side, number>;
  private readonly first: Record<Side, number>;
  /** By how much what the other side gets is longer than what was sent. */
  private readonly grown: Record<Side, number> = { client: 0, server: 0 };
  private readonly said: Buffer[] = [];

  /** @param rewriting what is known of it; `unknown`: the ends acknowledge nothing, so that they cannot be wrong */
  constructor(
    private readonly meeting: Meeting,
    private readonly ports: Record<Side, number>,
    private readonly random: Random,
    private readonly rewriting: Rewriting | 'unknown' = UNTOUCHED,
  ) {
    this.first = { client: random.below(2 ** 32), server: random.below(2 ** 32) };
    this.next = { ...this.first };
  }

  open(): Buffer[] {
    const syn = this.segment('client', 'S');
    this.advance('client', 1);
    const answer = this.segment('server', 'SA');
    this.advance('server', 1);
    return [syn, answer, this.segment('client', 'A')];
  }

  say(side: Side, payload: Uint8Array): Buffer {
    const segment = this.lose(side, payload);
    this.advance(side, payload.length);
    if (this.said.push(segment) > 4) this.said.shift();
    return segment;
  }

  /** Something that the sender forgets at once: what follows has the same number. */
  lose(side: Side, payload: Uint8Array): Buffer {
    const segment = this.segment(side, 'PA', payload);
    if (this.rewriting !== 'unknown') {
      this.grown[side] += this.rewriting.growth(side, (this.next[side] - this.first[side]) >>> 0, payload);
    }
    return segment;
  }

  /** The last segment once more. */
  again(): Buffer[] {
    return this.said.slice(-1);
  }

  /** One of the last segments once more, whatever came behind it. */
  earlier(): Buffer[] {
    return this.said.length ? [this.random.pick(this.said)] : [];
  }

  /** An acknowledgement about where the other side's bytes end: nearly right, so that it shows where the gateway thinks they do. */
  probe(side: Side): Buffer {
    const { random } = this;
    const other = side === 'client' ? 'server' : 'client';
    const known = this.rewriting !== 'unknown';
    const off = (): number => (known ? random.pick([-40, -7, -3, -2, -1, 0, 0, 1, 2, 3, 7]) : random.below(80) - 20);
    const near = (): number => this.next[other] + this.grown[other] + off();
    const options = random.weighted({ none: 6, sack: 2, broken: 1 });
    const edge = near();
    const more: TcpOptions =
      options === 'sack'
        ? { sack: [[(edge - 5) >>> 0, edge >>> 0]] }
        : options === 'broken'
          ? { raw: random.pick([[5], [1, 9, 1], [8, 10, 0, 0, 0, 0, 0, 0], [5, 10, 1, 1]]) }
          : {};
    return this.segment(side, 'A', undefined, { ack: near() >>> 0, ...more });
  }

  reset(): Buffer {
    return this.segment('server', 'R');
  }

  /** Number behind what has come from a side, as the other side knows it. */
  private got(side: Side): number {
    if (this.rewriting === 'unknown') return this.first[side] + 1;
    return this.next[side] + this.grown[side];
  }

  private advance(side: Side, bytes: number): void {
    this.next[side] = (this.next[side] + bytes) >>> 0;
  }

  private segment(
    side: Side,
    flags: string,
    payload: Uint8Array = new Uint8Array(0),
    more: TcpOptions & { ack?: number } = {},
  ): Buffer {
    const other = side === 'client' ? 'server' : 'client';
    const acknowledges = flags.includes('A') ? { ack: this.got(other) >>> 0 } : {};
    const permission: TcpOptions = flags.includes('S') && this.meeting.translated ? { sackOK: true } : {};
    const [sport, dport] = [this.ports[side], this.meeting.known(side, this.ports[other])];
    const seq = this.next[side];
    const header = tcp({ sport, dport, flags, seq, ...permission, ...acknowledges, ...more, payload });
    return Buffer.from(ip(...this.meeting.way(side), header));
  }
}
