// How do the TCP tests speak? A connection between 10.0.0.1:40000 and 10.0.0.2:80 in a world of its own: one call per
// segment, an answer in a few words, and shortcuts to each state.

import {
  type EventView,
  type Frame,
  SECOND,
  type Sysctls,
  type TestEngine,
  type TestWorld,
} from '../../support/engine.ts';
import { ip, type TcpSpec, tcp } from '../../support/packets.ts';

export const START = 1_700_000_000n * SECOND;
/** Initial sequence numbers of client and server. */
export const C = 1000;
export const S = 5000;

type Extra = Partial<Omit<TcpSpec, 'flags' | 'seq' | 'ack'>>;

export class Conversation {
  readonly world: TestWorld;
  private time = START;

  constructor(engine: TestEngine, sysctls: Partial<Sysctls> = {}) {
    engine.reset();
    this.world = engine.world({ sysctls });
  }

  /** Lets time pass. */
  wait(seconds: number): this {
    this.time += BigInt(Math.round(seconds * 1e9));
    return this;
  }

  frame(dir: 0 | 1, flags: string, seq: number, ack: number, extra: Extra = {}): Frame {
    const [sport, dport] = dir === 0 ? [40000, 80] : [80, 40000];
    const hosts = ['10.0.0.1', '10.0.0.2'];
    const spec = { sport, dport, flags, seq: seq >>> 0, ack: ack >>> 0, win: 1000, ...extra };
    return { time: this.time, data: ip(hosts[dir]!, hosts[1 - dir]!, tcp(spec)) };
  }

  /** The client sends. `NEW|ESTABLISHED|INVALID STATE seconds [reason]`, state and seconds of the entry if there is one. */
  c(flags: string, seq: number, ack = 0, extra: Extra = {}): string {
    return this.send(0, flags, seq, ack, extra);
  }

  /** The server sends. */
  s(flags: string, seq: number, ack = 0, extra: Extra = {}): string {
    return this.send(1, flags, seq, ack, extra);
  }

  private send(dir: 0 | 1, flags: string, seq: number, ack: number, extra: Extra): string {
    const p = this.world.one(this.frame(dir, flags, seq, ack, extra));
    const reason = p.reason === 'NONE' ? '' : ` ${p.reason}`;
    return `${p.ctState} ${this.entry}${reason}`;
  }

  /** `STATE seconds` of the entry, or `-`. */
  get entry(): string {
    const [entry] = this.world.table(this.time);
    return entry ? `${entry.tcpState} ${entry.timeout}` : '-';
  }

  get status(): string {
    return (
      this.world
        .table(this.time)[0]
        ?.status.filter((bit) => bit !== 'CONFIRMED')
        .join(' ') ?? '-'
    );
  }

  /** Events since the last call, as `conntrack -E` would tell them. */
  events(): string[] {
    return this.world.takeEvents().map(describe);
  }

  synSent(): this {
    this.c('S', C);
    return this;
  }
  synRecv(): this {
    this.synSent().s('SA', S, C + 1);
    return this;
  }
  established(): this {
    this.synRecv().c('A', C + 1, S + 1);
    return this;
  }
  finWait(): this {
    this.established().c('FA', C + 1, S + 1);
    return this;
  }
  closeWait(): this {
    this.finWait().s('A', S + 1, C + 2);
    return this;
  }
  lastAck(): this {
    this.closeWait().s('FA', S + 1, C + 2);
    return this;
  }
  timeWait(): this {
    this.lastAck().c('A', C + 2, S + 2);
    return this;
  }
  close(): this {
    this.established().c('R', C + 1);
    return this;
  }
  synSent2(): this {
    this.synSent().s('S', S);
    return this;
  }
}

function describe(event: EventView): string {
  const replied = event.status.includes('SEEN_REPLY') ? '' : ' [UNREPLIED]';
  const assured = event.status.includes('ASSURED') ? ' [ASSURED]' : '';
  const named = event.kind === 'DESTROY' || event.bits.includes('PROTOINFO');
  const state = named ? ` ${event.tcpState}` : '';
  const timeout = event.kind === 'DESTROY' && event.timeout === 0 ? '' : ` ${event.timeout}`;
  return `[${event.kind}]${timeout}${state}${replied}${assured}`;
}
