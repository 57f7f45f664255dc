// What do the engine's trace records of one packet say?

import { Proto, Status, TraceKind } from '../../assembly/vocabulary.ts';
import type { InterfaceNames } from '../capture/interfaces.ts';
import { TRACE_RECORD, TUPLE, WORLD } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import { addressText } from './address.ts';
import { wordAt } from './conntrack-text.ts';
import { hasPorts } from './describe.ts';
import { pathName } from './names.ts';
import { helperMessage, whyText } from './reason.ts';
import type { TraceEntry, TracePeer, TraceTcp } from './trace.ts';
import { expectedText, expectText, rewriteText } from './trace-helper.ts';

type Chain = { table: string; chain: string };
type CtEntry = Extract<TraceEntry, { kind: 'ct' }>;

/** One record: its kind and its numbers a to o. */
interface Raw {
  kind: number;
  n: number[];
}

const WORDS = TRACE_RECORD.size / 4 - 1;
const NO_RULE = 0xffffffff;

/**
 * The trace that a lane left of the traced packet; empty if it was another lane's packet.
 * @param world address of the lane's World
 * @param chainOf base chain behind a slot of the function table
 */
export function readTrace(
  view: DataView,
  world: number,
  chainOf: (slot: number) => Chain | undefined,
  names: InterfaceNames,
): TraceEntry[] {
  const start = view.getUint32(world + WORLD.trace_area, true);
  const end = view.getUint32(world + WORLD.trace_top, true);
  const entries: TraceEntry[] = [];
  let hook = 0;
  let seen: Seen = {};
  for (let at = start; at < end; at += TRACE_RECORD.size) {
    const raw: Raw = {
      kind: view.getUint32(at, true),
      n: Array.from({ length: WORDS }, (_, word) => view.getUint32(at + 4 + word * 4, true)),
    };
    const [a = 0, b = 0, c = 0, d = 0] = raw.n;
    switch (raw.kind) {
      case TraceKind.HOOK:
        hook = a;
        entries.push({ kind: 'hook', hook });
        break;
      case TraceKind.CHAIN: {
        const chain = chainOf(a);
        entries.push({ kind: 'hook', hook, ...(chain && { table: chain.table, chain: chain.chain }) });
        break;
      }
      case TraceKind.RULE:
        entries.push({ kind: 'rule', rule: a, matched: b !== 0 });
        break;
      case TraceKind.CHAIN_END:
        entries.push({ kind: 'chain', verdict: a, ...(b !== NO_RULE && { rule: b }) });
        break;
      case TraceKind.ROUTE:
        entries.push({ kind: 'route', text: routeText(a, b, c, d, names) });
        break;
      case TraceKind.ANSWER:
        entries.push({ kind: 'answer', text: answerText(a, b) });
        break;
      case TraceKind.NAT:
        entries.push({
          kind: 'nat',
          text: natText(a, b, view, at + TRACE_RECORD.c),
        });
        break;
      case TraceKind.EXPECTED:
        entries.push({ kind: 'expected', text: expectedText(a, c * 2 ** 32 + b) });
        break;
      case TraceKind.HELPER:
        entries.push({ kind: 'helper', text: helperName(a) ?? '?' });
        break;
      case TraceKind.EXPECT:
        entries.push({ kind: 'helped', text: expectText(view, at) });
        break;
      case TraceKind.REWRITE:
        entries.push({ kind: 'helped', text: rewriteText(view, at) });
        break;
      case TraceKind.REFUSED:
        entries.push({ kind: 'helped', text: `does not let it pass: ${helperMessage(a)}` });
        break;
      case TraceKind.CONNTRACK:
        entries.push(ctEntry(raw.n, seen));
        seen = {};
        break;
      default:
        seen = remember(seen, raw);
    }
  }
  return entries;
}

/** Records of the tracker that make up one `ct` entry. */
interface Seen {
  before?: number[];
  after?: number[];
  peersBefore?: number[];
  peersAfter?: number[];
  window?: number[];
}

function remember(seen: Seen, { kind, n }: Raw): Seen {
  const after = n[0] === 1;
  if (kind === TraceKind.FLOW) return after ? { ...seen, after: n } : { before: n };
  if (kind === TraceKind.PEERS) return after ? { ...seen, peersAfter: n } : { ...seen, peersBefore: n };
  return { ...seen, window: n };
}

function routeText(path: number, iif: number, oif: number, reason: number, names: InterfaceNames): string {
  if (reason !== 0) return whyText(reason, 0, 0);
  const part = (word: string, index: number) => (index === 0 ? '' : ` ${word}=${names.name(index) ?? '?'}`);
  return `${pathName(path) ?? 'nowhere'}${part('in', iif)}${part('out', oif)}`;
}

/** @param reply address of the entry's reply TUPLE */
function natText(manip: number, status: number, view: DataView, reply: number): string {
  const end = manip === 0 ? 'source' : 'destination';
  if (!(status & (manip === 0 ? Status.SRC_NAT : Status.DST_NAT))) return `${end} stays`;
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const [address, word] = manip === 0 ? [TUPLE.dst_lo, TUPLE.dport] : [TUPLE.src_lo, TUPLE.sport];
  const protonum = bytes[reply + TUPLE.protonum]!;
  const text = addressText(bytes, reply + address, bytes[reply + TUPLE.l3num]!);
  if (protonum === Proto.ICMP || protonum === Proto.ICMPV6)
    return `${end} -> ${text} id ${wordAt(bytes, reply + TUPLE.sport)}`;
  return hasPorts(protonum) ? `${end} -> ${text} port ${wordAt(bytes, reply + word)}` : `${end} -> ${text}`;
}

/** @param dport ICMP type and code as they lie in the packet */
function answerText(protonum: number, dport: number): string {
  return protonum === Proto.TCP ? 'tcp-reset' : `ICMP type ${dport & 0xff} code ${dport >> 8}`;
}

function ctEntry(n: readonly number[], seen: Seen): CtEntry {
  const [state = 0, dir = 0, reason = 0, reasonValue = 0, attached = 0, flags = 0, index = 0, reasonTag = 0] = n;
  const { before, after } = seen;
  const entry: CtEntry = {
    kind: 'ct',
    state,
    dir,
    statusBefore: before?.[1] ?? 0,
    statusAfter: 0,
    reason,
    reasonValue,
    reasonTag,
  };
  if (after === undefined) return entry;
  const id = after[4]! * 2 ** 32 + after[3]!;
  entry.statusAfter = after[1]!;
  entry.timeoutAfter = after[2]!;
  if (before) entry.timeoutBefore = before[2]!;
  if (attached && id) entry.id = id;
  if (after[6] === Proto.SCTP && seen.peersAfter) {
    const tags = [seen.peersAfter[1]!, seen.peersAfter[2]!].map(swapBytes) as [number, number];
    entry.sctp = { ...(before && { before: before[5]! }), after: after[5]!, tags };
  }
  if (after[6] === Proto.TCP && seen.peersAfter)
    entry.tcp = { flags, index, ...tcp(seen, before?.[5] ?? 0, after[5]!) };
  return entry;
}

/** A word as it lies in the packet, read in the engine's byte order, as the number that it is. */
function swapBytes(word: number): number {
  const swapped = ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
  return swapped >>> 0;
}

function tcp(seen: Seen, before: number, after: number): Omit<TraceTcp, 'flags' | 'index'> {
  const peersAfter = peers(seen.peersAfter!);
  const w = seen.window;
  return {
    seq: w?.[0] ?? 0,
    ack: w?.[1] ?? 0,
    sack: w?.[2] ?? 0,
    end: w?.[3] ?? 0,
    win: w?.[4] ?? 0,
    before,
    after,
    peersBefore: seen.peersBefore ? peers(seen.peersBefore) : [EMPTY, EMPTY],
    peersAfter,
    ...(w && { bounds: { seqUpper: w[5]!, seqLower: w[6]!, ackUpper: w[7]!, ackLower: w[8]! } }),
  };
}

const EMPTY: TracePeer = { td_end: 0, td_maxend: 0, td_maxwin: 0, td_maxack: 0, td_scale: 0, flags: 0 };

function peers(n: readonly number[]): [TracePeer, TracePeer] {
  const peer = (at: number): TracePeer => ({
    td_end: n[at]!,
    td_maxend: n[at + 1]!,
    td_maxwin: n[at + 2]!,
    td_maxack: n[at + 3]!,
    td_scale: n[at + 4]! & 0xff,
    flags: n[at + 4]! >>> 8,
  });
  return [peer(1), peer(6)];
}
