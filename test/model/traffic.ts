// Which packets does a tracker find hard? Seeded traffic: weights as well as values are drawn per seed, so that some
// runs have no FIN, some little but RST. It looks into the model for the edges of windows and for the moments at which
// entries expire, and aims at them and at their neighbours.

import { icmp, icmp6, ip, quote, raw, type TcpSpec, type Transport, tcp, udp } from '../support/packets.ts';
import { type SctpChunkSpec, sctp } from '../support/sctp.ts';
import type { Random } from './random.ts';
import type { ModelTracker } from './tracker.ts';

interface End {
  address: string;
  port: number;
  /** Next sequence number to send. */
  next: number;
  /** What it has seen of the other side. */
  received: number;
  window: number;
  scale: number | undefined;
  sack: boolean;
  /** SCTP: the tag that it has chosen. */
  tag: number;
}

interface Conversation {
  ends: [End, End];
  /** Datagrams and segments sent so far, for retransmission and quoting: raw IP packets. */
  history: { bytes: Uint8Array; from: 0 | 1 }[];
  /** What well-behaved ends would send next. */
  plan: { action: (typeof TCP_ACTIONS)[number]; from: 0 | 1 }[];
  chunks: { chunks: SctpChunkSpec[]; from: 0 | 1 }[];
}

const WORDS = 2 ** 32;
const u32 = (value: number): number => ((value % WORDS) + WORDS) % WORDS;

const TCP_ACTIONS = [
  'open',
  'answer',
  'ack',
  'data',
  'sack',
  'duplicate',
  'repeat',
  'lost',
  'zero',
  'keepalive',
  'fin',
  'rstExact',
  'rstNear',
  'rstZero',
  'rstOdd',
  'edge',
  'stray',
  'flags',
  'options',
  'broken',
  'reopen',
  'simultaneous',
  'challenge',
  'midstream',
] as const;
const SCTP_TYPES = [
  'DATA',
  'INIT',
  'INIT_ACK',
  'SACK',
  'HEARTBEAT',
  'HEARTBEAT_ACK',
  'ABORT',
  'SHUTDOWN',
  'SHUTDOWN_ACK',
  'ERROR',
  'COOKIE_ECHO',
  'COOKIE_ACK',
  'SHUTDOWN_COMPLETE',
];
const KINDS = ['tcp', 'sctp', 'udp', 'icmp', 'generic', 'error', 'replay'] as const;
const STEPS = ['none', 'ns', 'us', 'ms', 'second', 'seconds', 'minutes', 'days', 'edge'] as const;

/** What a user of the traffic may settle instead of having it drawn. */
export interface TrafficOptions {
  /** Weights of the steps in time between packets. */
  steps?: Partial<Record<(typeof STEPS)[number], number>>;
  /** 0 to 255: hosts of different networks share no address. */
  network?: number;
}

/** Draws packets one after the other. `model` must have judged each before the next is drawn. */
export class Traffic {
  private readonly kinds: Record<(typeof KINDS)[number], number>;
  private readonly actions: Record<(typeof TCP_ACTIONS)[number], number>;
  private readonly steps: Record<(typeof STEPS)[number], number>;
  private readonly conversations: Conversation[] = [];
  private readonly late: Uint8Array[] = [];
  private readonly reorder: number;
  private readonly persistence: number;
  private readonly follow: number;
  private readonly order: number;
  private current = 0;
  private time = 1_700_000_000_000_000_000n;

  constructor(
    private readonly random: Random,
    private readonly model: ModelTracker,
    private readonly options: TrafficOptions = {},
  ) {
    this.kinds = random.weights(KINDS);
    if (random.chance(0.7)) this.kinds[random.chance(0.7) ? 'tcp' : 'sctp'] += 4;
    this.actions = random.weights(TCP_ACTIONS);
    this.actions.open += 0.1;
    this.steps = random.weights(STEPS);
    if (random.chance(0.7)) this.steps.ms += 10;
    if (options.steps) for (const key of STEPS) this.steps[key] = options.steps[key] ?? 0;
    this.reorder = random.chance(0.5) ? 0 : random.next() * 0.2;
    this.persistence = random.chance(0.5) ? 0.97 : random.next();
    this.follow = random.next();
    this.order = random.chance(0.3) ? 0 : random.next();
    const count = 1 + random.below(random.chance(0.5) ? 3 : 40);
    for (let i = 0; i < count; i++) this.conversations.push(this.converse());
  }

  /** The next IP packet and its time in ns. */
  draw(): { time: bigint; bytes: Uint8Array } {
    this.time += this.step();
    const { random } = this;
    if (this.late.length > 0 && random.chance(0.3)) {
      return { time: this.time, bytes: this.late.splice(random.below(this.late.length), 1)[0]! };
    }
    const bytes = this.packet();
    if (random.chance(this.reorder)) {
      this.late.push(bytes);
      return { time: this.time, bytes: this.packet() };
    }
    return { time: this.time, bytes };
  }

  private step(): bigint {
    const { random } = this;
    const some = (unit: number): bigint => BigInt(Math.floor(random.next() * 1000 * unit));
    switch (random.weighted(this.steps)) {
      case 'none':
        return 0n;
      case 'ns':
        return BigInt(random.below(3));
      case 'us':
        return some(1);
      case 'ms':
        return some(1e3);
      case 'second':
        return BigInt(random.pick([1, 2, 3])) * 1_000_000_000n + BigInt(random.below(3) - 1);
      case 'seconds':
        return some(6e7);
      case 'minutes':
        return some(1e9);
      case 'days':
        return some(1e12);
      case 'edge': {
        const { table } = this.model;
        if (table.length === 0) return 0n;
        const entry = random.pick(table);
        const moment = random.chance(0.3) ? entry.created + 2_000_000_000n : entry.expires;
        const step = moment - this.time + BigInt(random.below(3) - 1);
        return step > 0n ? step : 0n;
      }
    }
  }

  private converse(): Conversation {
    const { random } = this;
    const six = random.chance(0.3);
    const host = (n: number): string => this.host(six, n + 1);
    const first = random.below(3);
    const end = (n: number): End => ({
      address: host(n),
      port: random.pick([0, 80, 443, 1024 + random.below(4), 65535]),
      next: this.isn(),
      received: 0,
      window: random.pick([0, 1, 100, 1460, 29200, 65535, random.below(65536)]),
      scale: random.pick([undefined, undefined, 0, 2, 7, 14, 15, 200]),
      sack: random.chance(0.5),
      tag: 1 + random.below(5),
    });
    return { ends: [end(first), end((first + 1 + random.below(2)) % 3)], history: [], plan: [], chunks: [] };
  }

  private host(six: boolean, n: number): string {
    const { network = 0 } = this.options;
    return six ? `2001:db8:0:${network.toString(16)}::${n}` : `10.0.${network}.${n}`;
  }

  private isn(): number {
    const { random } = this;
    if (random.chance(0.3)) return u32(-random.below(3000));
    if (random.chance(0.1)) return u32(2 ** 31 - random.below(3000));
    return random.below(WORDS);
  }

  private conversation(): Conversation {
    if (!this.random.chance(this.persistence)) this.current = this.random.below(this.conversations.length);
    return this.conversations[this.current]!;
  }

  private packet(): Uint8Array {
    const kind = this.random.weighted(this.kinds);
    const talk = this.conversation();
    const from = this.random.below(2) as 0 | 1;
    switch (kind) {
      case 'tcp':
        return this.segment(talk, from);
      case 'sctp':
        return this.association(talk, from);
      case 'udp': {
        const ends = this.ports(talk, from);
        const length = this.random.chance(0.05) ? { length: this.random.pick([0, 7, 8, 9, 500]) } : {};
        return this.send(talk, from, udp({ ...ends, payload: this.random.below(20), ...length }));
      }
      case 'icmp':
        return this.query(talk, from);
      case 'generic':
        return this.send(talk, from, raw(this.random.pick([4, 33, 50, 89, 103, 253]), this.random.below(30)));
      case 'error':
        return this.error(talk);
      case 'replay':
        return talk.history.length > 0 ? this.random.pick(talk.history).bytes : this.segment(talk, from);
    }
  }

  /** An SCTP packet: the next of a well-behaved association, or anything. */
  private association(talk: Conversation, anyone: 0 | 1): Uint8Array {
    const { random } = this;
    const usual = random.chance(this.order + 0.2);
    if (usual && talk.chunks.length === 0) this.associate(talk, anyone);
    const planned = usual ? talk.chunks.shift() : undefined;
    const from = planned?.from ?? anyone;
    const [me, peer] = [talk.ends[from], talk.ends[from === 0 ? 1 : 0]];
    if (random.chance(0.02)) me.tag = 1 + random.below(5);
    const chunks = (planned?.chunks ?? this.chunks()).map((chunk) =>
      chunk.type === 'INIT' || chunk.type === 'INIT_ACK'
        ? { ...chunk, tag: random.chance(0.95) ? me.tag : random.below(6) }
        : chunk,
    );
    const opens = chunks[0]?.type === 'INIT';
    const right = opens ? 0 : chunks[0]?.flags === 1 ? me.tag : peer.tag;
    const vtag = random.chance(planned ? 0.97 : 0.75) ? right : random.pick([0, me.tag, peer.tag, random.below(6)]);
    const cut = random.chance(0.02) ? { cut: random.below(60) } : {};
    return this.send(talk, from, sctp({ ...this.ports(talk, from), vtag, chunks, ...cut }));
  }

  private associate(talk: Conversation, from: 0 | 1): void {
    const { random } = this;
    const to = from === 0 ? 1 : 0;
    const says = (side: 0 | 1, ...types: string[]) => ({ from: side, chunks: types.map((type) => ({ type })) });
    const collision = random.chance(0.15) ? [says(to, 'INIT'), says(from, 'INIT_ACK')] : [];
    const data = Array.from({ length: random.below(4) }, () =>
      says(random.below(2) as 0 | 1, random.pick(['DATA', 'SACK', 'HEARTBEAT', 'HEARTBEAT_ACK'])),
    );
    const last = random.below(2) as 0 | 1;
    const end = [says(last, 'SHUTDOWN'), says(last === 0 ? 1 : 0, 'SHUTDOWN_ACK'), says(last, 'SHUTDOWN_COMPLETE')];
    const path = [says(from, 'HEARTBEAT'), says(to, 'HEARTBEAT_ACK'), says(from, 'DATA')];
    talk.chunks = random.chance(0.25)
      ? path
      : [
          says(from, 'INIT'),
          ...collision,
          says(to, 'INIT_ACK'),
          says(from, 'COOKIE_ECHO', ...(random.chance(0.3) ? ['DATA'] : [])),
          says(to, 'COOKIE_ACK', ...(random.chance(0.3) ? ['SACK'] : [])),
          ...data,
          ...(random.chance(0.7) ? end : []),
        ];
  }

  private chunks(): SctpChunkSpec[] {
    const { random } = this;
    const one = (): SctpChunkSpec => ({
      type: random.chance(0.97) ? random.pick(SCTP_TYPES) : random.below(256),
      ...(random.chance(0.3) ? { flags: 1 } : {}),
      ...(random.chance(0.1) ? { value: random.below(24) } : {}),
      ...(random.chance(0.03) ? { length: random.pick([0, 1, 3, 5, 400]) } : {}),
    });
    return Array.from({ length: random.pick([1, 1, 1, 1, 2, 3]) }, one);
  }

  private ports(talk: Conversation, from: 0 | 1): { sport: number; dport: number } {
    return { sport: talk.ends[from].port, dport: talk.ends[from === 0 ? 1 : 0].port };
  }

  private send(talk: Conversation, from: 0 | 1, transport: Transport, hopLimit = 64): Uint8Array {
    const [source, target] = [talk.ends[from], talk.ends[from === 0 ? 1 : 0]];
    const bytes = ip(source.address, target.address, transport, { ttl: hopLimit });
    talk.history.push({ bytes, from });
    if (talk.history.length > 30) talk.history.shift();
    return bytes;
  }

  private query(talk: Conversation, from: 0 | 1): Uint8Array {
    const { random } = this;
    const six = talk.ends[0].address.includes(':');
    const asked = talk.history[talk.history.length - 1];
    const body = asked?.bytes.slice(six ? 40 : 20);
    if (asked && asked.from !== from && asked.bytes[six ? 6 : 9] === (six ? 58 : 1) && body && random.chance(0.6)) {
      const answers: Record<number, number> = { 8: 0, 13: 14, 15: 16, 17: 18, 128: 129, 139: 140 };
      const id = (body[4]! << 8) | body[5]!;
      return this.send(talk, from, (six ? icmp6 : icmp)({ type: answers[body[0]!] ?? body[0]!, code: body[1]!, id }));
    }
    const usual = six ? [128, 129, 139, 140] : [8, 0, 13, 14, 15, 16, 17, 18];
    const odd = six ? [127, 130, 134, 136, 137, 138, 143, 151, 152, 153, 255] : [1, 2, 9, 10, 19, 40, 255];
    const type = random.chance(0.85) ? random.pick(usual) : random.pick(odd);
    const spec = {
      type,
      code: random.chance(0.9) ? 0 : 1,
      id: random.below(3),
      seq: random.below(5),
      payload: random.below(9),
    };
    const right = !random.chance(0.03);
    return this.send(talk, from, six === right ? icmp6(spec) : icmp(spec));
  }

  /** An ICMP error that quotes an earlier packet, or something that looks like one. */
  private error(talk: Conversation): Uint8Array {
    const { random } = this;
    const quoted =
      talk.history.length > 0 ? random.pick(talk.history) : { bytes: this.segment(talk, 0), from: 0 as const };
    const six = talk.ends[0].address.includes(':');
    const header = six ? 40 : 20;
    const size = random.chance(0.7) ? undefined : header + random.pick([-1, 0, 3, 4, 7, 8, 20]);
    const payload = quote(quoted.bytes, size);
    const type = six ? random.pick([1, 2, 3, 4, 100, 137]) : random.pick([3, 3, 4, 5, 11, 12]);
    const sender = random.chance(0.5) ? talk.ends[quoted.from === 0 ? 1 : 0].address : this.host(six, 99);
    const target = random.chance(0.9) ? talk.ends[quoted.from].address : this.host(six, 98);
    if (type !== 137) {
      const bytes = ip(sender, target, (six ? icmp6 : icmp)({ type, code: random.below(4), payload }));
      if (random.chance(0.2)) talk.history.push({ bytes, from: quoted.from === 0 ? 1 : 0 });
      return bytes;
    }
    // A redirect: target and destination address, then the option that holds the redirected packet.
    const option = [random.chance(0.8) ? 4 : 1, random.chance(0.9) ? 1 + (payload.length >> 3) : 0, 0, 0, 0, 0, 0, 0];
    const body = Uint8Array.from([...new Uint8Array(32), ...option, ...payload]).slice(
      0,
      random.chance(0.9) ? undefined : 33,
    );
    const router = random.chance(0.8) ? 'fe80::1' : this.host(true, 99);
    const code = random.chance(0.9) ? 0 : 1;
    return ip(router, target, icmp6({ type, code, payload: body }), { ttl: random.chance(0.9) ? 255 : 254 });
  }

  /** What the model believes of this conversation's TCP connection, seen from the sender of the next segment. */
  private belief(talk: Conversation, from: 0 | 1) {
    const { sport, dport } = this.ports(talk, from);
    const known = this.model.table.find(
      ({ original: { protocol, sport: a, dport: b } }) =>
        protocol === 6 && ((a === sport && b === dport) || (a === dport && b === sport)),
    );
    if (!known?.tcp) return undefined;
    const dir = known.original.sport === sport ? 0 : 1;
    return { mine: known.tcp.sides[dir], other: known.tcp.sides[dir === 0 ? 1 : 0], last: known.tcp.last };
  }

  /** The next action: what the two ends have planned, or anything. */
  private segment(talk: Conversation, anyone: 0 | 1): Uint8Array {
    const planned = this.random.chance(this.order) ? talk.plan.shift() : undefined;
    const action = planned?.action ?? this.random.weighted(this.actions);
    const from = planned?.from ?? anyone;
    const to = from === 0 ? 1 : 0;
    const talkOver: Conversation['plan'] = Array.from({ length: this.random.below(4) }, () => ({
      action: this.random.pick(['data', 'ack'] as const),
      from: this.random.below(2) as 0 | 1,
    }));
    if (!planned && (action === 'open' || action === 'reopen')) {
      const close = this.random.chance(0.7)
        ? [
            { action: 'fin' as const, from },
            { action: 'ack' as const, from: to },
          ]
        : [];
      const closed = this.random.chance(0.7)
        ? [
            { action: 'fin' as const, from: to },
            { action: 'ack' as const, from },
          ]
        : [];
      talk.plan = [
        { action: 'answer', from: to },
        { action: 'ack', from },
        ...talkOver,
        ...close,
        ...closed,
      ] as Conversation['plan'];
    }
    if (!planned && action === 'simultaneous') {
      talk.plan = [
        { action, from: to },
        ...this.random
          .pick([
            ['answer', 'answer'],
            ['ack', 'ack'],
            ['answer', 'ack'],
          ] as const)
          .map((next, i) => ({ action: next, from: (i === 0 ? from : to) as 0 | 1 })),
        ...talkOver,
      ];
    }
    return this.act(talk, from, action);
  }

  private act(talk: Conversation, from: 0 | 1, action: (typeof TCP_ACTIONS)[number]): Uint8Array {
    const { random } = this;
    const me = talk.ends[from];
    const peer = talk.ends[from === 0 ? 1 : 0];
    const base = { ...this.ports(talk, from), seq: me.next, ack: me.received, win: me.window };
    const options = {
      ...(me.scale === undefined ? {} : { wscale: me.scale }),
      ...(me.sack ? { sackOK: true } : {}),
      ...(random.chance(0.3) ? { mss: 1460 } : {}),
    };
    const emit = (spec: Partial<TcpSpec>, arrives = true): Uint8Array => {
      const full = { ...base, ...spec };
      const flags = String(full.flags ?? '');
      const length = typeof full.payload === 'number' ? full.payload : 0;
      me.next = u32(full.seq + length + (/S/.test(flags) ? 1 : 0) + (/F/.test(flags) ? 1 : 0));
      if (arrives || random.chance(this.follow)) peer.received = me.next;
      return this.send(talk, from, tcp(full));
    };
    /** A segment that its sender does not remember. */
    const stray = (spec: Partial<TcpSpec>): Uint8Array => this.send(talk, from, tcp({ ...base, ...spec }));
    const belief = this.belief(talk, from);
    const near = (): number => random.pick([-1, 0, 1, 2, -2]);

    switch (action) {
      case 'open':
        return emit({ flags: 'S', ack: random.chance(0.1) ? 5 : 0, ...options });
      case 'reopen':
        me.next = random.chance(0.5) ? this.isn() : u32(me.next + random.below(100000));
        return emit({ flags: 'S', ack: 0, ...options });
      case 'simultaneous':
        return emit({ flags: 'S', ack: 0, ...(random.chance(0.5) ? options : {}) });
      case 'answer':
        if (random.chance(0.2) && belief) return emit({ flags: 'SA', ack: u32(belief.last.end), ...options });
        return emit({ flags: 'SA', ...options, ...(random.chance(0.1) ? { payload: 3 } : {}) });
      case 'ack':
        return emit({ flags: 'A' });
      case 'data':
        return emit({ flags: random.chance(0.5) ? 'PA' : 'A', payload: random.pick([1, 10, 536, 1460, 3000]) });
      case 'sack': {
        const left = u32(me.received + random.below(3000));
        const blocks = Array.from({ length: 1 + random.below(3) }, (_, i): [number, number] => [
          u32(left + i * 3000),
          u32(left + i * 3000 + random.below(3000)),
        ]);
        if (random.chance(0.3) && belief) blocks[0] = [left, u32(belief.other.end + near())];
        return stray({ flags: 'A', sack: blocks, ...(random.chance(0.3) ? { ts: [1, 2] } : {}) });
      }
      case 'duplicate': {
        const mine = talk.history.filter((sent) => sent.from === from);
        return mine.length > 0 ? mine[mine.length - 1]!.bytes : emit({ flags: 'A' });
      }
      case 'repeat':
        return talk.history.length > 0 ? random.pick(talk.history).bytes : emit({ flags: 'A' });
      case 'lost':
        me.next = u32(me.next + random.pick([1, 1460, 20000, 70000]));
        if (random.chance(0.5)) peer.received = me.next;
        return emit({ flags: 'A', payload: 100 });
      case 'zero':
        me.window = random.chance(0.5) ? 0 : random.pick([1, 500, 65535]);
        return emit({ flags: 'A', win: me.window });
      case 'keepalive':
        return stray({ flags: 'A', seq: u32(me.next - 1), payload: random.below(2) });
      case 'fin':
        return emit({ flags: 'FA', payload: random.chance(0.8) ? 0 : 100 });
      case 'rstExact':
        return stray({ flags: random.chance(0.5) ? 'R' : 'RA', seq: belief ? u32(belief.other.maxAck) : me.next });
      case 'rstNear': {
        const at = belief
          ? random.pick([belief.other.maxAck, belief.last.end, belief.mine.end, belief.mine.maxEnd])
          : me.next;
        return stray({ flags: random.chance(0.5) ? 'R' : 'RA', seq: u32(at + near()) });
      }
      case 'rstZero':
        return stray({
          flags: random.chance(0.5) ? 'R' : 'RA',
          seq: random.chance(0.7) ? 0 : me.next,
          ack: random.chance(0.4) ? 0 : belief ? u32(belief.last.end) : me.received,
        });
      case 'rstOdd':
        return stray({
          flags: 'RA',
          seq: belief ? u32(random.pick([belief.last.ack, belief.last.seq])) : random.below(WORDS),
          ack: belief ? u32(belief.last.end) : 0,
        });
      case 'edge': {
        if (!belief) return emit({ flags: 'A' });
        const { mine, other } = belief;
        const payload = random.pick([0, 0, 1, 100, 1460]);
        const late = Math.max(mine.maxWindow, 66000);
        const seq = u32(
          random.pick([
            mine.maxEnd,
            mine.maxEnd + other.maxWindow - payload,
            mine.end,
            mine.end - other.maxWindow - payload,
            me.next,
          ]) + near(),
        );
        const ack = u32(random.pick([other.end, other.end, other.end - late, me.received]) + near());
        return stray({ flags: random.pick(['A', 'PA', 'FA', 'RA', 'R', 'SA', 'S']), seq, ack, payload });
      }
      case 'stray':
        return stray({
          flags: random.pick(['A', 'PA', 'FA', 'RA', 'R', 'SA', 'S']),
          seq: u32(me.next + random.below(200000) - 100000),
          ack: u32(me.received + random.below(200000) - 100000),
        });
      case 'flags':
        return stray({ flags: random.below(256), payload: random.below(3) });
      case 'options': {
        const count = random.below(11) * 4;
        const bytes = Array.from({ length: count }, () =>
          random.pick([0, 1, 1, 2, 3, 3, 4, 5, 8, 10, 18, random.below(256)]),
        );
        return stray({ flags: random.pick(['S', 'SA', 'A', 'A']), raw: bytes });
      }
      case 'broken': {
        const whole = { ...base, flags: 'A', payload: random.below(10) };
        if (random.chance(0.5)) return stray({ flags: 'A', dataOffset: random.below(16) });
        return this.send(talk, from, raw(6, tcp(whole).bytes.slice(0, random.below(24))));
      }
      case 'challenge':
        return stray({
          flags: 'A',
          ack: belief ? u32(belief.other.end + random.pick([0, 0, 1])) : me.received,
          seq: belief ? u32(belief.mine.end) : me.next,
        });
      case 'midstream':
        me.next = this.isn();
        me.received = this.isn();
        return emit({ flags: 'A', payload: random.below(2) * 1000 });
    }
  }
}
