// What should connection tracking say about a packet? A small slow tracker: Maps of plain objects, bigint times, one
// packet at a time, every expired entry removed before the next packet is looked at. It knows UDP, TCP, SCTP, ICMP,
// ICMPv6 and everything else as generic; checksums, fragments and extension headers are not its business.
//
// Kernel: nf_conntrack_core.c and the trackers beside it, as of 6.18.

import { ModelExpectations } from './expectations.ts';
import { type Helped, hear } from './helpers.ts';
import { classify, inverseOf, keyOf, type ModelTuple, mayBegin, tupleOf } from './icmp.ts';
import { ModelNat, type NatRule } from './nat.ts';
import { be16, type ModelPacket, readPacket, readSegment } from './packet.ts';
import { freshAssociation, type SctpAssociation, type SctpState, type SctpTimeouts, trackSctp } from './sctp.ts';
import { beginTcp, type TcpConnection, type TcpSettings, type TcpState, tcpHeaderFault, trackTcp } from './tcp.ts';

const SECOND = 1_000_000_000n;

/** Timeouts in seconds. */
export interface ModelSettings extends TcpSettings {
  udp: number;
  udpStream: number;
  icmp: number;
  icmpv6: number;
  generic: number;
  sctp: SctpTimeouts;
}

export interface ModelEvent {
  time: bigint;
  kind: 'NEW' | 'UPDATE' | 'DESTROY';
  /** Parts of the entry that changed (IPCT_*), in ascending order. */
  bits: string[];
  /** 0 an expiry, 1 caused by a packet; `order` and `sequence` sort within. */
  klass: number;
  order: number;
  sequence: number;
  timeout: number;
  status: string[];
  tcpState: TcpState | SctpState;
  id: number;
  original: ModelTuple;
  reply: ModelTuple;
  packets: [number, number];
  bytes: [number, number];
}

export interface ModelVerdict {
  ctState: 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';
  reason: string;
  whyValue: number;
  dir: 'ORIGINAL' | 'REPLY';
  status: string[];
  tcpState: TcpState | SctpState;
  flowId: number;
  /** What it became: its tuple as NAT changed it; undefined for what belongs to no entry. */
  sent?: ModelTuple | undefined;
  /** It could not have a tuple of its own. */
  clashed?: true;
  /** A helper did not let it pass. */
  refused?: true;
}

interface Entry extends Helped {
  id: number;
  seenReply: boolean;
  assured: boolean;
  sourceChanged: boolean;
  targetChanged: boolean;
  dying: boolean;
  /** Ns since 1970. */
  expires: bigint;
  created: bigint;
  changes: Set<string>;
  tcp: TcpConnection | undefined;
  sctp: SctpAssociation | undefined;
  packets: [number, number];
  bytes: [number, number];
}

type Outcome =
  | { kind: 'accept'; reason?: string; value?: number }
  | { kind: 'invalid'; reason: string; value?: number }
  | { kind: 'repeat' };

const BIT_ORDER = ['NEW', 'DESTROY', 'REPLY', 'ASSURED', 'PROTOINFO'];

export class ModelTracker {
  private readonly entries = new Map<string, { entry: Entry; dir: 0 | 1 }>();
  private readonly live = new Set<Entry>();
  readonly events: ModelEvent[] = [];
  private number = 0;
  private sequence = 0;
  private now = 0n;

  readonly expectations = new ModelExpectations();
  private readonly nat: ModelNat | undefined;
  private readonly helpers: boolean;

  /** `nat`: rules of a nat table, and the seed of what is random in the kernel. `helpers`: of FTP and TFTP at their ports. */
  constructor(
    private readonly settings: ModelSettings,
    { nat, helpers = false }: { nat?: { rules: readonly NatRule[]; seed: bigint }; helpers?: boolean } = {},
  ) {
    this.helpers = helpers;
    const table = {
      find: (tuple: ModelTuple) => this.entries.get(keyOf(tuple)),
      newest: () => [...this.live].reverse(),
      evict: (entry: unknown) => this.kill(entry as Entry),
    };
    this.nat = nat && new ModelNat(nat.rules, table, nat.seed);
  }

  /** Judges an IP packet. */
  judge(bytes: Uint8Array, time: bigint): ModelVerdict {
    if (time > this.now) this.now = time;
    this.number++;
    this.sequence = 0;
    this.expire(this.now);
    const packet = readPacket(bytes);
    const hopLimit = packet.family === 6 ? bytes[7]! : bytes[8]!;
    if (packet.protocol === 1 || packet.protocol === 58) {
      const message = classify(packet, hopLimit);
      if (message.kind === 'invalid') return this.invalid(message.reason, message.value);
      if (message.kind === 'untracked') return { ...this.invalid('NONE'), ctState: 'UNTRACKED' };
      if (message.kind === 'error') return this.relate(packet, message.at);
    }
    return this.track(packet);
  }

  /** Removes what is due at `time`, in order of expiry and then of creation. */
  expire(time: bigint): void {
    const due = [...this.live].filter((entry) => entry.expires <= time);
    due.sort((a, b) => (a.expires < b.expires ? -1 : a.expires > b.expires ? 1 : a.id - b.id));
    for (const entry of due) {
      this.expectations.expire(entry.expires);
      this.event(entry, 'DESTROY', ['DESTROY'], { time: entry.expires, klass: 0, order: entry.id, sequence: 0 });
      this.forget(entry, entry.expires);
    }
    this.expectations.expire(time);
  }

  /** Live entries, in order of creation: generators look here for the edges of windows and lifetimes. */
  get table(): readonly Pick<Entry, 'original' | 'reply' | 'expires' | 'created' | 'tcp' | 'sctp'>[] {
    return [...this.live];
  }

  private track(packet: ModelPacket): ModelVerdict {
    const tuple = tupleOf(packet);
    if (!tuple) return this.invalid('TRUNCATED_L4');
    while (true) {
      const known = this.entries.get(keyOf(tuple));
      const reply = inverseOf(tuple);
      if (!known && !reply) return this.invalid('ICMP_BAD_TYPE', packet.body[0]!);
      const entry = known?.entry ?? this.begin(tuple, reply!);
      const dir = known?.dir ?? 0;
      const outcome = this.meet(entry, packet, dir);
      if (outcome.kind === 'repeat') {
        this.kill(entry);
        continue;
      }
      if (outcome.kind === 'invalid') {
        this.abandon(entry);
        return this.invalid(outcome.reason, outcome.value);
      }
      const begins = entry.master ? 'RELATED' : 'NEW';
      const ctState = dir === 1 || entry.seenReply ? 'ESTABLISHED' : begins;
      if (dir === 1 && !entry.seenReply) {
        entry.seenReply = true;
        entry.changes.add('REPLY');
      }
      if (this.nat && !entry.confirmed && !entry.dying) {
        this.nat.bind(entry, this.number);
        if (this.entries.has(keyOf(entry.reply))) return { ...this.invalid('NAT_CLASH'), clashed: true };
      }
      if (entry.helper && !entry.dying && !this.help(entry, packet, dir, ctState)) {
        this.abandon(entry);
        return { ...this.describe(entry, dir, ctState), refused: true };
      }
      this.confirm(entry);
      return this.describe(entry, dir, ctState, outcome.reason, outcome.value);
    }
  }

  /** The entry's protocol judges the packet. */
  private meet(entry: Entry, packet: ModelPacket, dir: 0 | 1): Outcome {
    switch (packet.protocol) {
      case 6:
        return this.meetTcp(entry, packet, dir);
      case 17:
        return this.meetUdp(entry, packet, dir);
      case 132:
        return this.meetSctp(entry, packet, dir);
      case 1:
      case 58: {
        const right = (packet.protocol === 1) === (packet.family === 4);
        if (!right || !mayBegin(entry.original)) {
          return { kind: 'invalid', reason: 'ICMP_INVALID_NEW', value: entry.original.dport >> 8 };
        }
        this.refresh(entry, packet, dir, packet.family === 4 ? this.settings.icmp : this.settings.icmpv6);
        return { kind: 'accept' };
      }
      default:
        this.refresh(entry, packet, dir, this.settings.generic);
        return { kind: 'accept' };
    }
  }

  private meetUdp(entry: Entry, packet: ModelPacket, dir: 0 | 1): Outcome {
    const { body } = packet;
    const stated = body.length >= 8 ? be16(body, 4) : 0;
    if (stated < 8 || stated > body.length) return { kind: 'invalid', reason: 'TRUNCATED_L4' };
    const stream = entry.seenReply && this.now > entry.created + 2n * SECOND;
    this.refresh(entry, packet, dir, stream ? this.settings.udpStream : this.settings.udp);
    if (stream && !entry.assured) {
      entry.assured = true;
      entry.changes.add('ASSURED');
    }
    return { kind: 'accept' };
  }

  private meetSctp(entry: Entry, packet: ModelPacket, dir: 0 | 1): Outcome {
    const fresh = entry.sctp === undefined;
    entry.sctp ??= freshAssociation();
    const effects = { stateChanged: false, established: false };
    const answer = trackSctp(entry.sctp, packet.body, dir, fresh, this.settings.sctp, effects);
    if (effects.stateChanged) entry.changes.add('PROTOINFO');
    if (effects.established && !entry.assured) {
      entry.assured = true;
      entry.changes.add('ASSURED');
    }
    if (answer.kind === 'invalid') return answer;
    if (answer.timeout !== undefined) this.refresh(entry, packet, dir, answer.timeout);
    return { kind: 'accept' };
  }

  private meetTcp(entry: Entry, packet: ModelPacket, dir: 0 | 1): Outcome {
    const segment = readSegment(packet.body);
    const fault = tcpHeaderFault(segment);
    if (fault || !segment) return { kind: 'invalid', reason: fault ?? 'TRUNCATED_L4' };
    if (!entry.tcp) {
      const begun = beginTcp(segment, this.settings);
      if (typeof begun === 'string') return { kind: 'invalid', reason: begun };
      entry.tcp = begun;
    }
    const view = {
      seenReply: entry.seenReply,
      assured: entry.assured,
      tcp: entry.tcp,
      left: Number(entry.expires - this.now) / 1e9,
    };
    const answer = trackTcp(view, segment, dir, this.settings);
    switch (answer.kind) {
      case 'repeat':
        return answer;
      case 'invalid':
        if (answer.shorten !== undefined) entry.expires = this.now + BigInt(answer.shorten) * SECOND;
        return answer;
      case 'ignored':
        return { ...answer, kind: 'accept' };
      case 'killed':
        if (answer.stateChanged) entry.changes.add('PROTOINFO');
        this.count(entry, packet, dir);
        this.kill(entry);
        return { kind: 'accept' };
      case 'accepted':
        if (answer.stateChanged) entry.changes.add('PROTOINFO');
        if (answer.becameAssured) {
          entry.assured = true;
          entry.changes.add('ASSURED');
        }
        if (answer.timeout !== undefined) this.refresh(entry, packet, dir, answer.timeout);
        return { kind: 'accept' };
    }
  }

  /** An ICMP error: related to the flow that it quotes. */
  private relate(packet: ModelPacket, at: number): ModelVerdict {
    const header = packet.family === 4 ? 20 : 40;
    const bytes = packet.body.slice(at);
    if (bytes.length < header) return this.invalid('ICMP_ERROR_SHORT');
    const quoted = readPacket(bytes, true);
    const tuple = tupleOf(quoted);
    if (!tuple) return this.invalid('ICMP_ERROR_SHORT');
    // The error travels against the packet that it quotes.
    const back = inverseOf(tuple);
    if (!back) return this.invalid('ICMP_ERROR_UNKNOWN_PROTO');
    const known = this.entries.get(keyOf(back));
    if (!known) return this.invalid('ICMP_ERROR_NO_FLOW');
    const { entry, dir } = known;
    const expected = dir === 0 ? entry.original.target : entry.reply.target;
    if (packet.target !== expected) return this.invalid('ICMP_ERROR_WRONG_SENDER');
    this.confirm(entry);
    return this.describe(entry, dir, 'RELATED');
  }

  /** A new entry: was it expected, or does it have a helper? */
  private begin(original: ModelTuple, reply: ModelTuple): Entry {
    const entry = this.draft(original, reply);
    if (!this.helpers) return entry;
    entry.master = this.expectations.fulfil(original, this.now, this.number);
    if (entry.master) entry.master.children++;
    else if (original.protocol === 6 && original.dport === 21) entry.helper = 'ftp';
    else if (original.protocol === 17 && original.dport === 69) entry.helper = 'tftp';
    return entry;
  }

  /** A new entry comes to nothing. */
  private abandon(entry: Entry): void {
    if (!entry.confirmed && !entry.dying) this.expectations.release(entry, this.now, this.number);
  }

  /** The helper reads a packet that passes. False if it does not let it. */
  private help(entry: Entry, packet: ModelPacket, dir: 0 | 1, ctState: ModelVerdict['ctState']): boolean {
    const heard = hear(entry, packet, dir, ctState === 'ESTABLISHED');
    if (heard === 'nothing') return true;
    return heard !== 'partial' && this.expectations.expect({ ...heard, master: entry }, this.now, this.number);
  }

  private draft(original: ModelTuple, reply: ModelTuple): Entry {
    return {
      id: 0,
      original,
      reply,
      children: 0,
      lines: [[], []],
      confirmed: false,
      seenReply: false,
      assured: false,
      sourceChanged: false,
      targetChanged: false,
      dying: false,
      expires: 0n,
      created: this.now,
      changes: new Set(),
      tcp: undefined,
      sctp: undefined,
      packets: [0, 0],
      bytes: [0, 0],
    };
  }

  private refresh(entry: Entry, packet: ModelPacket, dir: 0 | 1, seconds: number): void {
    entry.expires = this.now + BigInt(seconds) * SECOND;
    this.count(entry, packet, dir);
  }

  private count(entry: Entry, packet: ModelPacket, dir: 0 | 1): void {
    entry.packets[dir]++;
    entry.bytes[dir] += packet.length;
  }

  /** The packet leaves: its entry is in the table from now on, and what changed is announced. */
  private confirm(entry: Entry): void {
    if (entry.dying) return;
    if (!entry.confirmed) {
      entry.confirmed = true;
      entry.id = this.number;
      entry.changes.add('NEW');
      this.entries.set(keyOf(entry.original), { entry, dir: 0 });
      this.entries.set(keyOf(entry.reply), { entry, dir: 1 });
      this.live.add(entry);
    }
    if (entry.changes.size === 0) return;
    const bits = BIT_ORDER.filter((bit) => entry.changes.has(bit));
    entry.changes.clear();
    this.event(entry, bits.includes('NEW') ? 'NEW' : 'UPDATE', bits);
  }

  private kill(entry: Entry): void {
    this.event(entry, 'DESTROY', ['DESTROY']);
    entry.dying = true;
    this.forget(entry, this.now, this.number);
  }

  private forget(entry: Entry, when: bigint, packet?: number): void {
    this.expectations.release(entry, when, packet);
    this.live.delete(entry);
    this.entries.delete(keyOf(entry.original));
    this.entries.delete(keyOf(entry.reply));
  }

  private event(entry: Entry, kind: ModelEvent['kind'], bits: string[], when: Partial<ModelEvent> = {}): void {
    const time = when.time ?? this.now;
    const left = entry.expires - time;
    this.events.push({
      time,
      kind,
      bits,
      klass: 1,
      order: this.number,
      sequence: when.klass === 0 ? 0 : this.sequence++,
      timeout: left > 0n ? Number(left / SECOND) : 0,
      status: this.status(entry),
      tcpState: entry.tcp?.state ?? entry.sctp?.state ?? 'NONE',
      id: entry.id,
      original: entry.original,
      reply: entry.reply,
      packets: [...entry.packets],
      bytes: [...entry.bytes],
      ...when,
    });
  }

  private status(entry: Entry): string[] {
    const bits = { SEEN_REPLY: entry.seenReply, ASSURED: entry.assured };
    const nat = { SRC_NAT: entry.sourceChanged, DST_NAT: entry.targetChanged };
    const helped = { EXPECTED: entry.master !== undefined, HELPER: entry.helper !== undefined };
    return Object.entries({ ...bits, ...nat, ...helped }).flatMap(([bit, set]) => (set ? [bit] : []));
  }

  private invalid(reason: string, value = 0): ModelVerdict {
    return {
      ctState: 'INVALID',
      reason,
      whyValue: value,
      dir: 'ORIGINAL',
      status: [],
      tcpState: 'NONE',
      flowId: 0,
    };
  }

  private describe(
    entry: Entry,
    dir: 0 | 1,
    ctState: ModelVerdict['ctState'],
    reason = 'NONE',
    value = 0,
  ): ModelVerdict {
    return {
      ctState,
      reason,
      whyValue: value,
      dir: dir === 0 ? 'ORIGINAL' : 'REPLY',
      status: this.status(entry),
      tcpState: entry.tcp?.state ?? entry.sctp?.state ?? 'NONE',
      flowId: entry.id,
      sent: inverseOf(dir === 0 ? entry.reply : entry.original),
    };
  }
}
