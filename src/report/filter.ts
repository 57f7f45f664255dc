// Which events and entries does the user want to see? The filters of conntrack 1.4.7, asked of EVENT records.
//
// As with the tool, a record is compared only with what the kernel's message holds: an event without a mark or a state is
// not found by one. Everything given must hold.

import { type EventKind, Proto, Status } from '../../assembly/vocabulary.ts';
import { EVENT } from '../engine/layout.ts';
import { messageParts, wordAt, zonesAt } from './conntrack-text.ts';
import { hasLabel, tellsLabels } from './labels.ts';

/** An address, and which of its bits count. Sixteen bytes each, IPv4 in the first four. */
export interface AddressFilter {
  l3num: number;
  bytes: Uint8Array;
  mask: Uint8Array;
}

/** `--src-nat` and its like: any translation, or one to an address, to a port. */
export interface NatFilter {
  address?: AddressFilter;
  port?: number;
}

/** Words of a tuple that protocols give a name: ports, or type, code and id of ICMP. */
export interface WordFilter {
  tuple: 'original' | 'reply';
  /** Byte within the tuple, and whether one byte or two. */
  offset: number;
  size: 1 | 2;
  value: number;
}

export interface FlowFilter {
  /** `-f` */
  l3num?: number;
  /** `-p` */
  protonum?: number;
  /** `-s`, `-d`, `-r`, `-q` */
  origSrc?: AddressFilter;
  origDst?: AddressFilter;
  replySrc?: AddressFilter;
  replyDst?: AddressFilter;
  words: readonly WordFilter[];
  /** `--state`: TcpConntrack or SctpConntrack. */
  state?: number;
  /** `-n`, `-g`, `-j` */
  srcNat?: NatFilter;
  dstNat?: NatFilter;
  anyNat?: NatFilter;
  /** `-m MARK[/MASK]` */
  mark?: { value: number; mask: number };
  /** `-u`: bits that are set, bits that are not. */
  status?: { set: number; clear: number };
  /** `-w`, `--orig-zone`, `--reply-zone` */
  zone?: number;
  origZone?: number;
  replyZone?: number;
  /** `-l`: bits, all of which are set. */
  labels: readonly number[];
  /** `-e`: kinds of events that are shown. */
  kinds?: ReadonlySet<EventKind>;
}

const ORIGINAL = EVENT.original_0;
const REPLY = EVENT.reply_0;
const SRC = 0;
const DST = 16;
const SPORT = 32;
const DPORT = 34;

export function addressMatches(bytes: Uint8Array, at: number, filter: AddressFilter): boolean {
  for (let i = 0; i < 16; i++) if ((bytes[at + i]! ^ filter.bytes[i]!) & filter.mask[i]!) return false;
  return true;
}

function sameAddress(bytes: Uint8Array, a: number, b: number): boolean {
  for (let i = 0; i < 16; i++) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}

/** One side of a translation: the end of the original tuple, and the end of the reply tuple that answers to it. */
interface Side {
  status: number;
  address: number;
  replyAddress: number;
  port: number;
  replyPort: number;
}

const SOURCE_SIDE: Side = {
  status: Status.SRC_NAT,
  address: ORIGINAL + SRC,
  replyAddress: REPLY + DST,
  port: ORIGINAL + SPORT,
  replyPort: REPLY + DPORT,
};
const TARGET_SIDE: Side = {
  status: Status.DST_NAT,
  address: ORIGINAL + DST,
  replyAddress: REPLY + SRC,
  port: ORIGINAL + DPORT,
  replyPort: REPLY + SPORT,
};

/**
 * Is this side translated (to what the filter says)? An address that is asked for must be the new one, likewise a port;
 * with both, both must have changed (conntrack.c filter_nat()).
 */
function natMatches(view: DataView, bytes: Uint8Array, at: number, side: Side, filter: NatFilter): boolean {
  if (!(view.getUint32(at + EVENT.status, true) & side.status)) return false;
  const addressChanged = !sameAddress(bytes, at + side.address, at + side.replyAddress);
  const portChanged = wordAt(bytes, at + side.port) !== wordAt(bytes, at + side.replyPort);
  const { address, port } = filter;
  if (address === undefined && port === undefined) return addressChanged || portChanged;
  if (address !== undefined && !(addressChanged && addressMatches(bytes, at + side.replyAddress, address)))
    return false;
  return port === undefined || (portChanged && wordAt(bytes, at + side.replyPort) === port);
}

function natFound(view: DataView, bytes: Uint8Array, at: number, filter: FlowFilter): boolean {
  const { srcNat, dstNat, anyNat } = filter;
  if (anyNat) {
    return natMatches(view, bytes, at, SOURCE_SIDE, anyNat) || natMatches(view, bytes, at, TARGET_SIDE, anyNat);
  }
  if (srcNat && !natMatches(view, bytes, at, SOURCE_SIDE, srcNat)) return false;
  return !dstNat || natMatches(view, bytes, at, TARGET_SIDE, dstNat);
}

/** Addresses of an IPv4 filter are found only in IPv4 tuples. */
function endFound(
  bytes: Uint8Array,
  at: number,
  tuple: number,
  end: number,
  filter: AddressFilter | undefined,
): boolean {
  return (
    filter === undefined || (bytes[at + tuple + 37] === filter.l3num && addressMatches(bytes, at + tuple + end, filter))
  );
}

function addressesFound(bytes: Uint8Array, at: number, filter: FlowFilter): boolean {
  return (
    endFound(bytes, at, ORIGINAL, SRC, filter.origSrc) &&
    endFound(bytes, at, ORIGINAL, DST, filter.origDst) &&
    endFound(bytes, at, REPLY, SRC, filter.replySrc) &&
    endFound(bytes, at, REPLY, DST, filter.replyDst)
  );
}

function wordFound(bytes: Uint8Array, at: number, { tuple, offset, size, value }: WordFilter): boolean {
  const place = at + (tuple === 'original' ? ORIGINAL : REPLY) + offset;
  return (size === 1 ? bytes[place]! : wordAt(bytes, place)) === value;
}

function zonesFound(view: DataView, at: number, filter: FlowFilter): boolean {
  const { zone, origZone, replyZone } = filter;
  if (zone === undefined && origZone === undefined && replyZone === undefined) return true;
  const zones = zonesAt(view, at);
  if (zone !== undefined && zones.both !== zone) return false;
  if (origZone !== undefined && zones.original !== origZone) return false;
  return replyZone === undefined || zones.reply === replyZone;
}

/** Whether the filter lets the EVENT record at `at` through. */
export function flowMatches(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  listed: boolean,
  filter: FlowFilter,
): boolean {
  const { kinds, l3num, protonum, mark, status, state, labels } = filter;
  if (kinds && !kinds.has(bytes[at + EVENT.kind]! as EventKind)) return false;
  if (l3num !== undefined && bytes[at + ORIGINAL + 37] !== l3num) return false;
  if (protonum !== undefined && bytes[at + ORIGINAL + 36] !== protonum) return false;
  if (!addressesFound(bytes, at, filter)) return false;
  if (!filter.words.every((word) => wordFound(bytes, at, word))) return false;
  if (!natFound(view, bytes, at, filter) || !zonesFound(view, at, filter)) return false;
  if (status) {
    const bits = view.getUint32(at + EVENT.status, true);
    if ((bits & status.set) !== status.set || (bits & status.clear) !== 0) return false;
  }
  if (mark !== undefined || state !== undefined) {
    const parts = messageParts(view, bytes, at, listed);
    const own = view.getUint32(at + EVENT.mark, true);
    if (mark !== undefined && !(parts.mark && (own & mark.mask) >>> 0 === mark.value)) return false;
    if (state !== undefined && !(parts.state && bytes[at + EVENT.tcp_state] === state)) return false;
  }
  if (labels.length === 0) return true;
  return tellsLabels(view, bytes, at, listed) && labels.every((bit) => hasLabel(view, at, bit));
}

/**
 * Words that options of a protocol ask for (libct_proto_*.c): option, tuple, byte in it, size. Keys of GRE are not among
 * them: conntrack takes such options, but they select nothing.
 */
export const PROTOCOL_WORDS: readonly {
  option: string;
  protocols: readonly Proto[];
  word: Omit<WordFilter, 'value'>;
}[] = [
  ...(
    [
      ['sport', 'original', SPORT],
      ['dport', 'original', DPORT],
      ['reply-port-src', 'reply', SPORT],
      ['reply-port-dst', 'reply', DPORT],
    ] as const
  ).map(([option, tuple, offset]) => ({
    option,
    protocols: [Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP],
    word: { tuple, offset, size: 2 as const },
  })),
  { option: 'icmp-type', protocols: [Proto.ICMP], word: { tuple: 'original', offset: DPORT, size: 1 } },
  { option: 'icmp-code', protocols: [Proto.ICMP], word: { tuple: 'original', offset: DPORT + 1, size: 1 } },
  { option: 'icmp-id', protocols: [Proto.ICMP], word: { tuple: 'original', offset: SPORT, size: 2 } },
  { option: 'icmpv6-type', protocols: [Proto.ICMPV6], word: { tuple: 'original', offset: DPORT, size: 1 } },
  { option: 'icmpv6-code', protocols: [Proto.ICMPV6], word: { tuple: 'original', offset: DPORT + 1, size: 1 } },
  { option: 'icmpv6-id', protocols: [Proto.ICMPV6], word: { tuple: 'original', offset: SPORT, size: 2 } },
];
