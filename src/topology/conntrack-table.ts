// Which entries does a table hold that `conntrack -L` or /proc/net/nf_conntrack printed?
//
// A line is: family with its number (`-o extended` and /proc only), protocol with its number, seconds left, state, the
// original tuple with counters, [UNREPLIED], the reply tuple with counters, [ASSURED], and what else is known of the
// entry (libnetfilter_conntrack snprintf_default.c, nf_conntrack_standalone.c ct_seq_show()).
import { type Helper, Proto, SctpConntrack, TcpConntrack } from '../../assembly/vocabulary.ts';
import { findEntryHelper } from '../ruleset/helpers.ts';
import { type Address, addressBytes, type Family, IPV4, parseAddress } from './addresses.ts';
import { refuseHost, textLines } from './place.ts';

/** One direction. ICMP and ICMPv6: sport is the id, dport type << 8 | code. GRE: the keys. */
export interface EntryTuple {
  /** 4 or 16 bytes in wire order. */
  src: Uint8Array;
  dst: Uint8Array;
  sport: number;
  dport: number;
  /** Conntrack zone of this direction, if not 0. */
  zone?: number;
}

export interface EntryCounters {
  packets: bigint;
  bytes: bigint;
}

export interface ConntrackEntry {
  /** Line in the file, from 1. */
  line: number;
  family: Family;
  /** IP protocol number. */
  protocol: number;
  /** Seconds left. */
  timeout: number;
  /** Only for TCP. */
  tcpState?: TcpConntrack;
  /** Only for SCTP. */
  sctpState?: SctpConntrack;
  original: EntryTuple;
  reply: EntryTuple;
  /** NAT changed the flow: the reply is not the inverse of the original direction. */
  translated: boolean;
  unreplied: boolean;
  assured: boolean;
  mark?: number;
  helper?: Helper;
  /** Only with accounting. */
  counters?: { original: EntryCounters; reply: EntryCounters };
}

const TCP_STATES: Record<string, TcpConntrack> = {
  NONE: TcpConntrack.NONE,
  SYN_SENT: TcpConntrack.SYN_SENT,
  SYN_RECV: TcpConntrack.SYN_RECV,
  ESTABLISHED: TcpConntrack.ESTABLISHED,
  FIN_WAIT: TcpConntrack.FIN_WAIT,
  CLOSE_WAIT: TcpConntrack.CLOSE_WAIT,
  LAST_ACK: TcpConntrack.LAST_ACK,
  TIME_WAIT: TcpConntrack.TIME_WAIT,
  CLOSE: TcpConntrack.CLOSE,
  // Older releases of conntrack call it by the number's former meaning.
  LISTEN: TcpConntrack.SYN_SENT2,
  SYN_SENT2: TcpConntrack.SYN_SENT2,
};

const SCTP_STATES: Record<string, SctpConntrack> = {
  NONE: SctpConntrack.NONE,
  CLOSED: SctpConntrack.CLOSED,
  COOKIE_WAIT: SctpConntrack.COOKIE_WAIT,
  COOKIE_ECHOED: SctpConntrack.COOKIE_ECHOED,
  ESTABLISHED: SctpConntrack.ESTABLISHED,
  SHUTDOWN_SENT: SctpConntrack.SHUTDOWN_SENT,
  SHUTDOWN_RECD: SctpConntrack.SHUTDOWN_RECD,
  SHUTDOWN_ACK_SENT: SctpConntrack.SHUTDOWN_ACK_SENT,
  HEARTBEAT_SENT: SctpConntrack.HEARTBEAT_SENT,
  // A state of its own up to 6.0: the answered path is what later kernels call established.
  HEARTBEAT_ACKED: SctpConntrack.ESTABLISHED,
};

/** Protocols that some kernels track by ports and states and others by addresses alone. */
const NOT_YET: Record<number, string> = { [Proto.DCCP]: 'DCCP' };

/** Protocols with ports in their tuples. */
const WITH_PORTS: readonly number[] = [Proto.TCP, Proto.UDP, Proto.SCTP, Proto.UDPLITE];

/** Type of the answer to each ICMP or ICMPv6 query (icmp_invert_tuple(), icmpv6_invert_tuple()). */
const ICMP_ANSWER: Record<number, number> = { 0: 8, 8: 0, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17 };
const ICMPV6_ANSWER: Record<number, number> = { 128: 129, 129: 128, 139: 140, 140: 139 };

/** What a line may say behind the tuples that changes nothing in a replay. */
const WITHOUT_EFFECT = new Set(['delta-time', 'use', 'id', 'secctx', 'secmark', 'labels']);

/**
 * Reads a table in text form.
 * @throws HostError `host-syntax` for a line of another form, `host-unsupported` naming what an entry has that is not
 * tracked yet (some helpers, offload, DCCP), both with file and line
 */
export function parseConntrackTable(file: string, text: string): ConntrackEntry[] {
  const entries: ConntrackEntry[] = [];
  textLines(text).forEach((line, index) => {
    // The tool ends with "conntrack v1.4.7 (conntrack-tools): 7 flow entries have been shown."
    if (line.trim() === '' || /^conntrack v[\d.]+ \(/.test(line)) return;
    entries.push(new EntryLine(file, index + 1, line).parse());
  });
  return entries;
}

/** True if a line looks like one of a conntrack table. */
export function looksLikeConntrack(line: string): boolean {
  return /^\s*((ipv4|ipv6)\s+\d+\s+)?[\w-]+\s+\d+\s+(\d+\s+)?(\w+\s+)?src=\S+\s+dst=/.test(line);
}

/** Values of one direction, by name. */
type Fields = Map<string, string>;

class EntryLine {
  private readonly words: string[];
  private at = 0;

  constructor(
    private readonly file: string,
    private readonly line: number,
    text: string,
  ) {
    // [start=Sat Nov 21 04:52:11 2026] is the only word with spaces.
    this.words = text.trim().match(/\[[^\]]*\]|\S+/g) ?? [];
  }

  parse(): ConntrackEntry {
    const named = /^ipv[46]$/.test(this.words[0] ?? '') ? this.next() : undefined;
    if (named !== undefined) this.number('the number of the family');
    this.next();
    const protocol = this.number('the number of the protocol');
    const unsupported = NOT_YET[protocol];
    if (unsupported !== undefined) this.unsupported(`${unsupported} entries`);
    if (this.words.includes('[OFFLOAD]') || this.words.includes('[HW_OFFLOAD]')) this.unsupported('offloaded entries');
    const timeout = this.number('the seconds left');
    const state = this.words[this.at]?.includes('=') ? undefined : this.next();
    const tcpState = protocol === Proto.TCP ? this.state('a TCP', TCP_STATES, state) : undefined;
    const sctpState = protocol === Proto.SCTP ? this.state('an SCTP', SCTP_STATES, state) : undefined;
    const first = this.tuple();
    const unreplied = this.flag('[UNREPLIED]');
    const second = this.tuple();
    const assured = this.flag('[ASSURED]');
    const { mark, zone, helper: name } = this.rest();
    const original = this.readTuple(first, protocol);
    const reply = this.readTuple(second, protocol);
    const zones = {
      original: zone ?? this.zone(first, 'zone-orig'),
      reply: zone ?? this.zone(second, 'zone-reply'),
    };
    const family = original.source.family;
    if (reply.source.family !== family || (named !== undefined && (named === 'ipv4') !== (family === IPV4))) {
      this.syntax('the addresses are of different families');
    }
    const counters = this.counters(first, second);
    const helper = name === undefined ? undefined : findEntryHelper(name, family, protocol);
    if (name !== undefined && helper === undefined) this.unsupported(`entries with the helper ${name}`);
    return {
      line: this.line,
      family,
      protocol,
      timeout,
      original: { ...original.tuple, ...(zones.original && { zone: zones.original }) },
      reply: { ...reply.tuple, ...(zones.reply && { zone: zones.reply }) },
      translated: !inverse(original.tuple, reply.tuple, protocol),
      unreplied,
      assured,
      ...(tcpState === undefined ? {} : { tcpState }),
      ...(sctpState === undefined ? {} : { sctpState }),
      ...(mark === undefined ? {} : { mark }),
      ...(helper !== undefined && { helper }),
      ...(counters === undefined ? {} : { counters }),
    };
  }

  private syntax(message: string): never {
    return refuseHost('host-syntax', `not a line of a conntrack table: ${message}`, this.file, this.line);
  }

  private unsupported(what: string): never {
    return refuseHost('host-unsupported', `${what} are not supported yet`, this.file, this.line);
  }

  private next(): string {
    return this.words[this.at++] ?? this.syntax('it ends too early');
  }

  private number(what: string): number {
    const word = this.next();
    const value = Number(word);
    if (!/^\d+$/.test(word) || value > 0xffffffff) this.syntax(`expected ${what}, found ${JSON.stringify(word)}`);
    return value;
  }

  private flag(word: string): boolean {
    if (this.words[this.at] !== word) return false;
    this.at++;
    return true;
  }

  private state<State>(kind: string, states: Record<string, State>, state: string | undefined): State {
    const found = states[state ?? ''];
    return found ?? this.syntax(`expected ${kind} state, found ${JSON.stringify(state ?? this.words[this.at])}`);
  }

  /** The words `name=value` of one direction: from src= to the next src=, flag, or field of the entry. */
  private tuple(): Fields {
    const fields: Fields = new Map();
    for (let word = this.words[this.at]; word !== undefined; word = this.words[this.at]) {
      const [, name, value] = /^([\w-]+)=(.*)$/.exec(word) ?? [];
      if (name === undefined || value === undefined) break;
      if (!TUPLE_FIELDS.has(name) || fields.has(name)) {
        break;
      }
      fields.set(name, value);
      this.at++;
    }
    return fields;
  }

  private readTuple(fields: Fields, protocol: number): { source: Address; tuple: EntryTuple } {
    const source = this.address(fields, 'src');
    const target = this.address(fields, 'dst');
    const icmp = protocol === Proto.ICMP || protocol === Proto.ICMPV6;
    const value = (name: string, maximum: number): number => this.value(fields, name, maximum);
    const tuple = { src: addressBytes(source), dst: addressBytes(target), sport: 0, dport: 0 };
    if (icmp) {
      tuple.sport = value('id', 0xffff);
      tuple.dport = (value('type', 0xff) << 8) | value('code', 0xff);
    } else if (WITH_PORTS.includes(protocol)) {
      tuple.sport = value('sport', 0xffff);
      tuple.dport = value('dport', 0xffff);
    } else if (protocol === Proto.GRE) {
      tuple.sport = this.key(fields, 'srckey');
      tuple.dport = this.key(fields, 'dstkey');
    }
    return { source, tuple };
  }

  private address(fields: Fields, name: string): Address {
    const text = fields.get(name);
    if (text === undefined) this.syntax(`expected ${name}=, found ${JSON.stringify(this.words[this.at] ?? 'nothing')}`);
    return parseAddress(text) ?? this.syntax(`${name}=${text} is no address`);
  }

  private value(fields: Fields, name: string, maximum: number): number {
    const text = fields.get(name);
    if (text === undefined) this.syntax(`${name}= is missing`);
    if (!/^\d+$/.test(text) || Number(text) > maximum) this.syntax(`${name}=${text} is no number up to ${maximum}`);
    return Number(text);
  }

  private key(fields: Fields, name: string): number {
    const text = fields.get(name);
    if (text === undefined) this.syntax(`${name}= is missing`);
    return /^0x[0-9a-f]{1,4}$/.test(text) ? Number(text) : this.syntax(`${name}=${text} is no key`);
  }

  private zone(fields: Fields, name: string): number {
    return fields.has(name) ? this.value(fields, name, 0xffff) : 0;
  }

  private counters(original: Fields, reply: Fields): ConntrackEntry['counters'] {
    if (!original.has('packets')) return undefined;
    const read = (fields: Fields, name: string): bigint => {
      const text = fields.get(name) ?? this.syntax(`${name}= is missing`);
      return /^\d+$/.test(text) ? BigInt(text) : this.syntax(`${name}=${text} is no number`);
    };
    const both = (fields: Fields): EntryCounters => ({
      packets: read(fields, 'packets'),
      bytes: read(fields, 'bytes'),
    });
    return { original: both(original), reply: both(reply) };
  }

  /** What follows the tuples. */
  private rest(): { mark: number | undefined; zone: number | undefined; helper: string | undefined } {
    let mark: number | undefined;
    let zone: number | undefined;
    let helper: string | undefined;
    for (; this.at < this.words.length; this.at++) {
      const word = this.words[this.at]!;
      const [, name = '', value = ''] = /^([\w-]+)=(.*)$/.exec(word) ?? [];
      if (name === 'mark') mark = this.value(new Map([[name, value]]), 'mark', 0xffffffff);
      else if (name === 'helper') helper = value;
      else if (name === 'zone') zone = this.value(new Map([[name, value]]), 'zone', 0xffff);
      else if (!WITHOUT_EFFECT.has(name) && !/^\[(start|stop)=/.test(word)) {
        this.syntax(`unexpected ${JSON.stringify(word)}`);
      }
    }
    return { mark, zone, helper };
  }
}

const TUPLE_FIELDS = new Set([
  'zone-orig',
  'zone-reply',
  'src',
  'dst',
  'sport',
  'dport',
  'srckey',
  'dstkey',
  'type',
  'code',
  'id',
  'packets',
  'bytes',
]);

/** Is the reply what the original direction's packets are answered with (nf_ct_invert_tuple())? */
function inverse(original: EntryTuple, reply: EntryTuple, protocol: number): boolean {
  if (!equalBytes(original.src, reply.dst) || !equalBytes(original.dst, reply.src)) return false;
  if (protocol !== Proto.ICMP && protocol !== Proto.ICMPV6) {
    return original.sport === reply.dport && original.dport === reply.sport;
  }
  const answers = protocol === Proto.ICMP ? ICMP_ANSWER : ICMPV6_ANSWER;
  const answer = answers[original.dport >> 8];
  return (
    original.sport === reply.sport && reply.dport >> 8 === answer && (original.dport & 0xff) === (reply.dport & 0xff)
  );
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
