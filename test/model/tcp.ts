// How does Linux track a TCP connection? The model's answer, written to be read beside the kernel's
// nf_conntrack_proto_tcp.c (6.18) and RFC 9293, without regard to speed.

import type { Segment } from './packet.ts';
import { before, blankSide, inWindow, type Side, takeOptions, wrap } from './tcp-window.ts';

export type TcpState =
  | 'NONE'
  | 'SYN_SENT'
  | 'SYN_RECV'
  | 'ESTABLISHED'
  | 'FIN_WAIT'
  | 'CLOSE_WAIT'
  | 'LAST_ACK'
  | 'TIME_WAIT'
  | 'CLOSE'
  | 'SYN_SENT2';

export const TCP_STATES: readonly TcpState[] = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
];

/** Classes of segments in the kernel's numbering (enum tcp_bit_set). */
const CLASSES = ['syn', 'synack', 'fin', 'ack', 'rst', 'none'] as const;
type SegmentClass = (typeof CLASSES)[number];

/** The next state by class and direction, a column per old state in the order of TCP_STATES; -- invalid, ?? ignored. */
const NEXT: Record<SegmentClass, readonly [original: string, reply: string]> = {
  syn: ['SS SS ?? ?? ?? ?? ?? SS SS S2', '-- S2 -- -- -- -- -- SS -- S2'],
  synack: ['-- -- SR -- -- -- -- -- -- SR', '-- SR ?? ?? ?? ?? ?? ?? ?? SR'],
  fin: ['-- -- FW FW LA LA LA TW CL --', '-- -- FW FW LA LA LA TW CL --'],
  ack: ['ES -- ES ES CW CW TW TW CL --', '-- ?? SR ES CW CW TW TW CL ??'],
  rst: ['-- CL CL CL CL CL CL CL CL CL', '-- CL CL CL CL CL CL CL CL CL'],
  none: ['-- -- -- -- -- -- -- -- -- --', '-- -- -- -- -- -- -- -- -- --'],
};
const SHORT: Record<string, TcpState | 'invalid' | 'ignore'> = {
  SS: 'SYN_SENT',
  SR: 'SYN_RECV',
  ES: 'ESTABLISHED',
  FW: 'FIN_WAIT',
  CW: 'CLOSE_WAIT',
  LA: 'LAST_ACK',
  TW: 'TIME_WAIT',
  CL: 'CLOSE',
  S2: 'SYN_SENT2',
  '--': 'invalid',
  '??': 'ignore',
};

function nextState(kind: SegmentClass, dir: 0 | 1, old: TcpState): TcpState | 'invalid' | 'ignore' {
  return SHORT[NEXT[kind][dir].split(' ')[TCP_STATES.indexOf(old)]!]!;
}

function classOf({ flags }: Segment): SegmentClass {
  if (flags.rst) return 'rst';
  if (flags.syn) return flags.ack ? 'synack' : 'syn';
  if (flags.fin) return 'fin';
  return flags.ack ? 'ack' : 'none';
}

/** Are these flags a combination that some TCP sends? PSH, ECE and CWR do not matter; URG goes with SYN and data only. */
function sensibleFlags(byte: number): boolean {
  const [FIN, SYN, RST, ACK, URG] = [1, 2, 4, 16, 32];
  const sensible = [SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG];
  return sensible.includes(byte & (FIN | SYN | RST | ACK | URG));
}

export interface TcpConnection {
  state: TcpState;
  sides: [Side, Side];
  last: {
    dir: 0 | 1;
    kind: SegmentClass;
    seq: number;
    ack: number;
    end: number;
    window: number;
    retransmissions: number;
    scale: number;
    scaling: boolean;
    sack: boolean;
    challengeExpected: boolean;
    simultaneous: boolean;
  };
}

const blankConnection = (): TcpConnection => ({
  state: 'NONE',
  sides: [blankSide(), blankSide()],
  last: {
    dir: 0,
    kind: 'none',
    seq: 0,
    ack: 0,
    end: 0,
    window: 0,
    retransmissions: 0,
    scale: 0,
    scaling: false,
    sack: false,
    challengeExpected: false,
    simultaneous: false,
  },
});

export interface TcpSettings {
  /** Seconds by state, and for the two special cases. */
  timeouts: Record<TcpState | 'MAX_RETRANS' | 'UNACKNOWLEDGED', number>;
  loose: boolean;
  liberal: boolean;
  ignoreInvalidRst: boolean;
  maxRetrans: number;
}

/** What TCP needs to know and may change of the entry. */
export interface TcpEntry {
  seenReply: boolean;
  assured: boolean;
  tcp: TcpConnection;
  /** Seconds that are left, as a fraction. */
  left: number;
}

export type TcpAnswer =
  | { kind: 'invalid'; reason: string; value?: number; shorten?: number }
  | { kind: 'repeat' }
  /** Let through without being believed. */
  | { kind: 'ignored'; reason: string; value?: number }
  | { kind: 'killed'; stateChanged: boolean }
  | { kind: 'accepted'; stateChanged: boolean; becameAssured: boolean; timeout: number | undefined };

/** The connection that a first segment begins; undefined and a reason if it cannot begin one. */
export function beginTcp(segment: Segment, settings: TcpSettings): TcpConnection | string {
  const kind = classOf(segment);
  if (kind !== 'syn' && kind !== 'ack') return 'TCP_INVALID_NEW';
  const connection = blankConnection();
  const [opener, answerer] = connection.sides;
  opener.end = segment.end;
  opener.maxWindow = Math.max(segment.window, 1);
  opener.maxEnd = segment.end;
  if (kind === 'syn') {
    takeOptions(opener, segment);
    return connection;
  }
  if (!settings.loose) return 'TCP_NOT_LOOSE';
  opener.maxEnd = wrap(segment.end + opener.maxWindow);
  for (const side of [opener, answerer]) {
    side.sack = true;
    side.liberal = true;
  }
  return connection;
}

/** The header's own sanity, before any state is looked at. Undefined: fine. */
export function tcpHeaderFault(segment: Segment | undefined): string | undefined {
  if (!segment) return 'TRUNCATED_L4';
  return sensibleFlags(segment.flagByte) ? undefined : 'TCP_FLAGS';
}

/** A segment that its state does not believe, but that may tell where the two ends really are. */
function ignore(connection: TcpConnection, segment: Segment, kind: SegmentClass, dir: 0 | 1, old: TcpState): TcpAnswer {
  const { last } = connection;
  Object.assign(last, { kind, dir, seq: segment.seq, end: segment.end, window: segment.window });
  if (kind === 'syn' && dir === 0) {
    const options = blankSide();
    takeOptions(options, segment);
    last.scaling = options.scaling;
    last.scale = options.scale;
    last.sack = options.sack;
    last.simultaneous = false;
    last.challengeExpected = old === 'LAST_ACK';
  }
  if (old === 'SYN_SENT' && kind === 'ack' && dir === 1) last.ack = segment.ack;
  const value = CLASSES.indexOf(kind) * 65536 + dir * 256 + TCP_STATES.indexOf(old);
  return { kind: 'ignored', reason: 'TCP_IGNORED_STATE', value };
}

/** A SYN/ACK to a SYN that was ignored: the ends agree and we did not; go on from what they agree on. */
function resynchronise(connection: TcpConnection, dir: 0 | 1): void {
  const { last } = connection;
  last.challengeExpected = false;
  const opener = connection.sides[last.dir];
  Object.assign(opener, blankSide(), {
    end: last.end,
    maxEnd: last.end,
    maxWindow: Math.max(last.window, 1),
    maxAck: opener.maxAck,
    scale: last.scale,
    scaling: last.scaling,
    sack: last.sack,
  });
  const answerer = connection.sides[dir];
  Object.assign(answerer, blankSide(), { liberal: answerer.liberal });
}

/** Judges a reset: undefined if it is invalid, else the state it leads to and whether the windows are asked. */
function judgeReset(entry: TcpEntry, segment: Segment, dir: 0 | 1, settings: TcpSettings) {
  const { state, last, sides } = entry.tcp;
  const close = { state: 'CLOSE' as TcpState, window: true };
  if (['FIN_WAIT', 'CLOSE_WAIT', 'LAST_ACK', 'TIME_WAIT', 'CLOSE'].includes(state)) return { ...close, window: false };
  const other = sides[dir === 0 ? 1 : 0];
  const established = state === 'ESTABLISHED' && entry.assured;
  let next = close;
  if (other.maxAckSet && last.kind !== 'syn') {
    if (segment.seq === 0 && !established) return close;
    if (before(segment.seq, other.maxAck) && !settings.ignoreInvalidRst) return undefined;
    if (!established || segment.seq === other.maxAck) return close;
    if (last.kind === 'ack' && last.dir === dir && segment.seq === last.end) return close;
    // RFC 5961 section 3.2: not the exact number; the receiver may answer with a challenge ACK.
    next = { state, window: true };
  }
  const answersIgnored =
    (entry.seenReply && last.kind === 'syn' && last.dir !== dir) || (!entry.assured && last.kind === 'ack');
  if (answersIgnored && segment.ack === last.end) return { ...next, window: false };
  const answersChallenge = state === 'SYN_SENT' && last.kind === 'ack' && last.dir === 1 && segment.seq === last.ack;
  return answersChallenge ? { ...next, window: false } : next;
}

/** Seconds that an accepted segment gives the entry. */
function timeoutOf(connection: TcpConnection, kind: SegmentClass, state: TcpState, settings: TcpSettings): number {
  const { timeouts } = settings;
  const usual = timeouts[state];
  if (connection.last.retransmissions >= settings.maxRetrans && usual > timeouts.MAX_RETRANS) {
    return timeouts.MAX_RETRANS;
  }
  if (kind === 'rst') return timeouts.CLOSE;
  if (connection.sides.some((side) => side.unacknowledged) && usual > timeouts.UNACKNOWLEDGED) {
    return timeouts.UNACKNOWLEDGED;
  }
  if (connection.last.window === 0 && usual > timeouts.MAX_RETRANS) return timeouts.MAX_RETRANS;
  return usual;
}

/** An out-of-window FIN or RST, then one from the other side: the entry is probably dead, so let it go earlier. */
function suspectDeath(entry: TcpEntry, kind: SegmentClass, dir: 0 | 1, settings: TcpSettings): number | undefined {
  const { last } = entry.tcp;
  if (!entry.assured || (kind !== 'rst' && kind !== 'fin')) return undefined;
  if (last.dir !== dir && (last.kind === 'fin' || last.kind === 'rst')) {
    return entry.left >= 120 && entry.left > settings.timeouts.UNACKNOWLEDGED
      ? settings.timeouts.UNACKNOWLEDGED
      : undefined;
  }
  last.kind = kind;
  last.dir = dir;
  return undefined;
}

/** A segment whose header is fine meets its entry. */
export function trackTcp(entry: TcpEntry, segment: Segment, dir: 0 | 1, settings: TcpSettings): TcpAnswer {
  const connection = entry.tcp;
  const { last } = connection;
  const kind = classOf(segment);
  let old = connection.state;
  let next = nextState(kind, dir, old);
  let askWindow = true;

  if (next === 'SYN_SENT' && TCP_STATES.indexOf(old) >= TCP_STATES.indexOf('TIME_WAIT')) {
    const closed = connection.sides.some((side) => side.closeInit);
    if (closed || (last.dir === dir && last.kind === 'rst')) return { kind: 'repeat' };
    next = 'ignore';
  }
  if (next === 'ignore') {
    const inSync = kind === 'synack' && last.kind === 'syn' && last.dir !== dir && segment.ack === last.end;
    if (!inSync) return ignore(connection, segment, kind, dir, old);
    resynchronise(connection, dir);
    old = 'SYN_SENT';
    next = 'SYN_RECV';
  } else if (next === 'invalid') {
    const value = CLASSES.indexOf(kind) * 65536 + dir * 256 + TCP_STATES.indexOf(old);
    return { kind: 'invalid', reason: 'TCP_INVALID_STATE', value };
  } else if (next === 'TIME_WAIT') {
    // RFC 5961 section 4: the answer to an ignored SYN does not acknowledge the last FIN.
    if (old === 'LAST_ACK' && kind === 'ack' && last.dir !== dir && last.kind === 'syn' && last.challengeExpected) {
      last.challengeExpected = false;
      return { kind: 'ignored', reason: 'TCP_CHALLENGE_ACK' };
    }
  } else if (next === 'SYN_SENT2') {
    last.simultaneous = true;
  } else if (next === 'SYN_RECV') {
    if (dir === 1 && kind === 'ack' && last.simultaneous) next = 'ESTABLISHED';
  } else if (next === 'CLOSE' && kind === 'rst') {
    const judged = judgeReset(entry, segment, dir, settings);
    if (!judged) return { kind: 'invalid', reason: 'TCP_INVALID_RST' };
    next = judged.state;
    askWindow = judged.window;
  }

  if (askWindow) {
    const window = inWindow(connection, segment, dir, settings);
    if (window.kind === 'ignored') return window as TcpAnswer;
    if (window.kind === 'invalid') {
      const shorten = suspectDeath(entry, kind, dir, settings);
      return { ...window, kind: 'invalid', ...(shorten === undefined ? {} : { shorten }) };
    }
  }

  last.kind = kind;
  last.dir = dir;
  connection.state = next;
  if (old !== next && next === 'FIN_WAIT') connection.sides[dir].closeInit = true;
  let timeout: number | undefined = timeoutOf(connection, kind, next, settings);
  let becameAssured = false;
  const stateChanged = old !== next;
  if (!entry.seenReply) {
    if (segment.flags.rst) return { kind: 'killed', stateChanged };
    if (kind === 'syn' && old === 'SYN_SENT') timeout = undefined;
    else if (next === 'ESTABLISHED') timeout = Math.min(timeout, settings.timeouts.UNACKNOWLEDGED);
  } else if (!entry.assured && (old === 'SYN_RECV' || old === 'ESTABLISHED') && next === 'ESTABLISHED') {
    entry.assured = true;
    becameAssured = true;
  }
  return { kind: 'accepted', stateChanged, becameAssured, timeout };
}
