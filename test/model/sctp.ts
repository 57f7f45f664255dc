// What should connection tracking say about an SCTP packet (RFC 9260)? The tracker of the slow model: chunks are read into
// objects first, states are names, and of the transitions only those are written down that change something.
//
// Kernel: nf_conntrack_proto_sctp.c, as of 6.18.

import { be16, be32 } from './packet.ts';

export type SctpState =
  | 'NONE'
  | 'CLOSED'
  | 'COOKIE_WAIT'
  | 'COOKIE_ECHOED'
  | 'ESTABLISHED'
  | 'SHUTDOWN_SENT'
  | 'SHUTDOWN_RECD'
  | 'SHUTDOWN_ACK_SENT'
  | 'HEARTBEAT_SENT';

/** Timeouts in seconds by state. */
export type SctpTimeouts = Record<SctpState, number>;

export const SCTP_STATES: readonly SctpState[] = [
  'NONE',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_SENT',
  'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
];

export interface SctpAssociation {
  state: SctpState;
  /** The tag that packets of a direction bear; 0 not known. */
  tags: [number, number];
  /** Who has sent an INIT since the last COOKIE ACK. */
  opening: [boolean, boolean];
  /** Direction of a HEARTBEAT with a wrong tag that waits for its answer. */
  probing: 0 | 1 | undefined;
}

interface Chunk {
  name: string;
  type: number;
  reflected: boolean;
  length: number;
  /** Initiate tag of INIT and INIT ACK; undefined if the chunk is too short for one. */
  tag: number | undefined;
}

const NAMES: Record<number, string> = {
  0: 'DATA',
  1: 'INIT',
  2: 'INIT_ACK',
  4: 'HEARTBEAT',
  5: 'HEARTBEAT_ACK',
  6: 'ABORT',
  7: 'SHUTDOWN',
  8: 'SHUTDOWN_ACK',
  9: 'ERROR',
  10: 'COOKIE_ECHO',
  11: 'COOKIE_ACK',
  14: 'SHUTDOWN_COMPLETE',
};

/** Chunks that move states; others never do. */
const MOVERS = new Set(Object.values(NAMES).filter((name) => name !== 'DATA'));

type Moves = Record<string, Partial<Record<SctpState, SctpState>>>;

/** What chunks of the original direction do to a known association; where nothing is said the state stays. */
const ORIGINAL: Moves = {
  INIT: { SHUTDOWN_SENT: 'CLOSED', SHUTDOWN_RECD: 'CLOSED', HEARTBEAT_SENT: 'COOKIE_WAIT' },
  INIT_ACK: { HEARTBEAT_SENT: 'CLOSED' },
  SHUTDOWN: { ESTABLISHED: 'SHUTDOWN_SENT', HEARTBEAT_SENT: 'CLOSED' },
  SHUTDOWN_ACK: {
    SHUTDOWN_SENT: 'SHUTDOWN_ACK_SENT',
    SHUTDOWN_RECD: 'SHUTDOWN_ACK_SENT',
    HEARTBEAT_SENT: 'SHUTDOWN_ACK_SENT',
  },
  ERROR: { HEARTBEAT_SENT: 'CLOSED' },
  COOKIE_ECHO: { COOKIE_WAIT: 'COOKIE_ECHOED', HEARTBEAT_SENT: 'CLOSED' },
  COOKIE_ACK: { COOKIE_ECHOED: 'ESTABLISHED', HEARTBEAT_SENT: 'CLOSED' },
  SHUTDOWN_COMPLETE: { SHUTDOWN_ACK_SENT: 'CLOSED', HEARTBEAT_SENT: 'CLOSED' },
};

const REPLY: Moves = {
  INIT_ACK: { CLOSED: 'COOKIE_WAIT' },
  SHUTDOWN: { ESTABLISHED: 'SHUTDOWN_RECD' },
  SHUTDOWN_ACK: { SHUTDOWN_SENT: 'SHUTDOWN_ACK_SENT', SHUTDOWN_RECD: 'SHUTDOWN_ACK_SENT' },
  ERROR: { COOKIE_ECHOED: 'CLOSED' },
  COOKIE_ECHO: { COOKIE_WAIT: 'COOKIE_ECHOED' },
  COOKIE_ACK: { COOKIE_ECHOED: 'ESTABLISHED' },
  SHUTDOWN_COMPLETE: { SHUTDOWN_ACK_SENT: 'CLOSED' },
  HEARTBEAT_ACK: { HEARTBEAT_SENT: 'ESTABLISHED' },
};

/** The state after a chunk; undefined if the chunk cannot come now. */
function moved(dir: 0 | 1, name: string, state: SctpState): SctpState | undefined {
  if (!MOVERS.has(name)) return state;
  if (state === 'NONE') {
    if (dir === 1) return undefined;
    return name === 'HEARTBEAT' ? 'HEARTBEAT_SENT' : name === 'SHUTDOWN_ACK' ? 'SHUTDOWN_ACK_SENT' : 'CLOSED';
  }
  if (dir === 1 && state === 'HEARTBEAT_SENT' && !name.startsWith('HEARTBEAT')) return undefined;
  if (name === 'ABORT') return 'CLOSED';
  return (dir === 0 ? ORIGINAL : REPLY)[name]?.[state] ?? state;
}

/** Chunks of a packet; `fault` is the value of the reason SCTP_CHUNKS. */
function readChunks(body: Uint8Array): { chunks: Chunk[]; fault?: number } {
  const chunks: Chunk[] = [];
  let alone = false;
  for (let at = 12; at + 4 <= body.length; ) {
    const type = body[at]!;
    const name = NAMES[type] ?? 'OTHER';
    const length = be16(body, at + 2);
    if (['INIT', 'INIT_ACK', 'SHUTDOWN_COMPLETE'].includes(name)) alone = true;
    const misplaced = chunks.length > 0 && (alone || name === 'COOKIE_ECHO' || name === 'COOKIE_ACK');
    if (misplaced || length === 0) {
      // The kernel prints the length as it lies in the packet, read by a little-endian machine.
      const raw = ((length & 0xff) << 8) | (length >> 8);
      const fault = Math.min(chunks.length, 127) * 2 ** 25 + (alone ? 2 ** 24 : 0) + type * 65536 + raw;
      return { chunks, fault };
    }
    const tag = at + 20 <= body.length ? be32(body, at + 4) : undefined;
    chunks.push({ name, type, reflected: (body[at + 1]! & 1) !== 0, length, tag });
    at += Math.ceil(length / 4) * 4;
  }
  return { chunks };
}

export type SctpAnswer =
  | { kind: 'invalid'; reason: string; value?: number }
  /** `timeout` in seconds is absent where the packet does not renew it. */
  | { kind: 'accepted'; timeout?: number };

/** What a packet brought about, even one that is refused half-way. */
export interface SctpEffects {
  stateChanged: boolean;
  established: boolean;
}

export const freshAssociation = (): SctpAssociation => ({
  state: 'NONE',
  tags: [0, 0],
  opening: [false, false],
  probing: undefined,
});

const swapped = (tag: number): number =>
  ((tag & 0xff) * 2 ** 24 + ((tag >>> 8) & 0xff) * 65536 + ((tag >>> 16) & 0xff) * 256 + (tag >>> 24)) >>> 0;

/** Judges a packet; `association` and `effects` are changed. */
export function trackSctp(
  association: SctpAssociation,
  body: Uint8Array,
  dir: 0 | 1,
  fresh: boolean,
  timeouts: SctpTimeouts,
  effects: SctpEffects,
): SctpAnswer {
  if (body.length < 12) return { kind: 'invalid', reason: 'TRUNCATED_L4' };
  const { chunks, fault } = readChunks(body);
  if (fault !== undefined) return { kind: 'invalid', reason: 'SCTP_CHUNKS', value: fault };
  if (chunks.length === 0) return { kind: 'invalid', reason: 'TRUNCATED_L4' };
  const vtag = be32(body, 4);
  const names = new Set(chunks.map((chunk) => chunk.name));
  const { tags } = association;
  const other = dir === 0 ? 1 : 0;
  const wrong = (type: number): SctpAnswer => ({ kind: 'invalid', reason: 'SCTP_VTAG_CHUNK', value: type });

  if (fresh) {
    const stray = ['ABORT', 'SHUTDOWN_COMPLETE', 'COOKIE_ACK'].some((name) => names.has(name));
    const still = chunks.some(({ name }) => moved(0, name, 'NONE') === 'NONE');
    const badInit = chunks.some(({ name, tag }) => name === 'INIT' && (vtag !== 0 || tag === undefined));
    if (stray || still || badInit) return { kind: 'invalid', reason: 'SCTP_INVALID_NEW' };
    for (const { name, tag } of chunks) {
      if (name === 'INIT') tags[1] = tag!;
      if (name === 'HEARTBEAT') tags[0] = vtag;
      if (name === 'SHUTDOWN_ACK') tags[1] = vtag;
    }
  }
  const special = [
    'INIT',
    'SHUTDOWN_COMPLETE',
    'COOKIE_ECHO',
    'ABORT',
    'SHUTDOWN_ACK',
    'HEARTBEAT',
    'HEARTBEAT_ACK',
  ].some((name) => names.has(name));
  if (!special && vtag !== tags[dir]) {
    return { kind: 'invalid', reason: dir === 0 ? 'SCTP_VTAG_ORIGINAL' : 'SCTP_VTAG_REPLY', value: swapped(tags[dir]) };
  }

  let renews = true;
  for (const { name, type, reflected, tag } of chunks) {
    if (name === 'INIT' && vtag !== 0) return wrong(type);
    if ((name === 'ABORT' || name === 'SHUTDOWN_COMPLETE') && vtag !== tags[reflected ? other : dir])
      return wrong(type);
    if (name === 'COOKIE_ECHO' && vtag !== tags[dir]) return wrong(type);
    if (name === 'COOKIE_ACK') association.opening = [false, false];
    if (name === 'HEARTBEAT' || name === 'HEARTBEAT_ACK') {
      if (tags[dir] === 0) tags[dir] = vtag;
      else if (vtag === tags[dir]) association.probing = undefined;
      else {
        if (names.has('DATA') || !renews) return wrong(type);
        if (name === 'HEARTBEAT') {
          association.probing = dir;
          renews = false;
          continue;
        }
        if (association.probing !== other) return wrong(type);
        association.probing = undefined;
        tags[dir] = vtag;
        tags[other] = 0;
      }
    }
    const before = association.state;
    const after = moved(dir, name, before);
    if (after === undefined) {
      const value = SCTP_STATES.indexOf(before) * 65536 + dir * 256 + type;
      return { kind: 'invalid', reason: 'SCTP_INVALID_STATE', value };
    }
    if (name === 'INIT' || name === 'INIT_ACK') {
      if (tag === undefined) return { kind: 'invalid', reason: 'TRUNCATED_L4' };
      const { opening } = association;
      if (name === 'INIT') {
        if (before === 'NONE' || tags[other] !== tag) {
          if (opening[0] && opening[1]) opening[other] = false;
          opening[dir] = true;
        }
        if (before === 'CLOSED' && after === 'CLOSED' && !fresh) renews = false;
      } else if (tags[other] !== tag) {
        const expected = opening[other] ? opening[dir] : tags[other] !== 0;
        if (expected) return wrong(type);
      }
      tags[other] = tag;
    }
    association.state = after;
    if (after === before) continue;
    effects.stateChanged = true;
    if (after === 'ESTABLISHED') effects.established = true;
  }
  return renews ? { kind: 'accepted', timeout: timeouts[association.state] } : { kind: 'accepted' };
}
