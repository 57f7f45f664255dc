// Which packets are meant? The fields of a line of --packets under their names, and who talks to whom.

import {
  CtState,
  Dir,
  PacketFlag,
  Path,
  Proto,
  Reason,
  RejectWith,
  SCTP_STATE_BASE,
  SctpConntrack,
  TcpConntrack,
  Verdict,
} from '../../assembly/vocabulary.ts';
import type { BatchView, WorldView } from '../batch.ts';
import { PACKET, RECORD, TUPLE } from '../engine/layout.ts';
import { wordAt } from '../report/conntrack-text.ts';
import { type AddressFilter, addressMatches } from '../report/filter.ts';
import { addressOf, markOf, numberOf } from '../report/filter-values.ts';
import { ctStateName, dirName, pathName, rejectName, sctpStateName, tcpStateName } from '../report/names.ts';
import { reasonLabel, reasonWord } from '../report/reason.ts';
import { type Implied, nested, oneOf, readEach, type Test, type Word, type Words } from './description.ts';
import { HELPERS } from './flow-words.ts';
import { readRules } from './rule-words.ts';
import { readStatus } from './status.ts';
import { END_WORDS, ICMP_WORDS, type TuplePlace, wordsAt } from './tuple-words.ts';
import { inRange, matchesPattern, namesOf, readName, readRange, readTruth, refuseValue } from './values.ts';

/** A judged packet. One object stands for packet after packet. */
export interface PacketItem {
  view: DataView;
  bytes: Uint8Array;
  /** Addresses of RECORD and PACKET, and of the TUPLE that NAT made of it. */
  record: number;
  packet: number;
  translation: number;
  world: Pick<WorldView, 'rules' | 'logs'>;
  interfaces: Pick<BatchView['interfaces'], 'name'>;
}

/** A word about a byte of PACKET that stands for something with a name. */
function named(field: number, names: ReadonlyMap<string, number>): Word<PacketItem> {
  return oneOf((text, key) => {
    const value = readName(key, text, names);
    return ({ bytes, packet }) => bytes[packet + field] === value;
  });
}

/** `FILE` of FILE:N: the number of a capture, its path, or how its path ends. */
function fileNumber(key: string, text: string, captures: readonly string[]): number {
  if (/^\d+$/.test(text)) {
    const number = numberOf(key, text, captures.length);
    return number > 0 ? number : refuseValue(`${key}: captures are numbered from 1`);
  }
  const exact = captures.indexOf(text);
  if (exact >= 0) return exact + 1;
  const ending = captures.flatMap((path, index) => (path.endsWith(`/${text}`) ? [index + 1] : []));
  if (ending.length > 1) refuseValue(`${key}: the paths of ${ending.length} captures end in '${text}'`);
  return ending[0] ?? refuseValue(`${key}: '${text}' is none of the captures`);
}

function interfaceWord(field: number): Word<PacketItem> {
  return (value, _, scope) => {
    const patterns = readEach(value, (text) => text);
    const matches = (name: string) => patterns.some((pattern) => matchesPattern(name, pattern));
    scope.names.push({ kind: 'interface', place: value, exists: ({ interfaces }) => interfaces.some(matches) });
    const known: boolean[] = [];
    return ({ view, packet, interfaces }) => {
      const index = view.getUint16(packet + field, true);
      if (index === 0) return false;
      known[index] ??= matches(interfaces.name(index) ?? '');
      return known[index];
    };
  };
}

/** Reasons by their stable word, or by the word with what the kernel says. */
function reasonsOf(key: string, text: string): ReadonlySet<number> {
  const reasons = new Set<number>();
  for (let reason = 1; reason < 256; reason++) {
    if (Reason[reason] !== undefined && [reasonWord(reason), reasonLabel(reason)].includes(text)) reasons.add(reason);
  }
  if (reasons.size === 0) refuseValue(`${key}: '${text}' is no reason that a packet can have`);
  return reasons;
}

/** Is the packet one of an entry, so that it has a direction, a status, a mark? */
function ofEntry({ bytes, packet }: PacketItem): boolean {
  const state = bytes[packet + PACKET.ct_state];
  return state === CtState.NEW || state === CtState.ESTABLISHED || state === CtState.RELATED;
}

function ofEntryAnd(word: Word<PacketItem>): Word<PacketItem> {
  return (value, key, scope) => {
    const test = word(value, key, scope);
    return (item) => ofEntry(item) && test(item);
  };
}

const CT_WORDS: Words<PacketItem> = {
  state: named(PACKET.ct_state, namesOf(CtState.NEW, CtState.UNTRACKED + 1, ctStateName)),
  dir: ofEntryAnd(named(PACKET.dir, namesOf(Dir.ORIGINAL, Dir.REPLY + 1, dirName))),
  status: ofEntryAnd(
    oneOf((text, key) => {
      const { set, clear } = readStatus(key, text);
      return ({ view, packet }) => {
        const bits = view.getUint16(packet + PACKET.status, true);
        return (bits & set) === set && (bits & clear) === 0;
      };
    }),
  ),
  tcp: ofEntryAnd(named(PACKET.tcp_state, namesOf(1, TcpConntrack.MAX, tcpStateName))),
  sctp: ofEntryAnd(
    named(
      PACKET.tcp_state,
      namesOf(SCTP_STATE_BASE + 1, SCTP_STATE_BASE + SctpConntrack.MAX, (code) =>
        sctpStateName(code - SCTP_STATE_BASE),
      ),
    ),
  ),
  mark: ofEntryAnd(
    oneOf((text, key) => {
      const { value, mask } = markOf(key, text);
      return ({ view, packet }) => (view.getUint32(packet + PACKET.ct_mark, true) & mask) >>> 0 === value;
    }),
  ),
  helper: ofEntryAnd(named(PACKET.template, HELPERS)),
};

function isWhole({ view, packet }: PacketItem): boolean {
  return (view.getUint16(packet + PACKET.flags, true) & PacketFlag.FRAGMENT) === 0;
}

function isTranslated({ view, packet }: PacketItem): boolean {
  return (view.getUint16(packet + PACKET.flags, true) & PacketFlag.TRANSLATED) !== 0;
}

function changed({ bytes, packet, translation }: PacketItem, at: number, length: number): boolean {
  for (let i = at; i < at + length; i++) if (bytes[packet + i] !== bytes[translation + i]) return true;
  return false;
}

/** Whether NAT changed something, back or forth. */
function anyChange(item: PacketItem): boolean {
  return isTranslated(item) && changed(item, 0, TUPLE.protonum);
}

function newAddress(at: number): Word<PacketItem> {
  return oneOf((text, key) => {
    const filter: AddressFilter = addressOf(key, text);
    return (item) =>
      item.bytes[item.packet + PACKET.l3num] === filter.l3num &&
      changed(item, at, 16) &&
      addressMatches(item.bytes, item.translation + at, filter);
  });
}

function newWord(at: number, has: (protonum: number) => boolean): Word<PacketItem> {
  return oneOf((text, key) => {
    const range = readRange(key, text, 0xffff);
    return (item) =>
      has(item.bytes[item.packet + PACKET.protonum]!) &&
      changed(item, at, 2) &&
      inRange(wordAt(item.bytes, item.translation + at), range);
  });
}

function isIcmp(protonum: number): boolean {
  return protonum === Proto.ICMP || protonum === Proto.ICMPV6;
}

const NAT_WORDS: Words<PacketItem> = {
  src: newAddress(TUPLE.src_lo),
  dst: newAddress(TUPLE.dst_lo),
  sport: newWord(TUPLE.sport, (protonum) => !isIcmp(protonum)),
  dport: newWord(TUPLE.dport, (protonum) => protonum !== Proto.GRE),
  id: newWord(TUPLE.sport, isIcmp),
  key: newWord(TUPLE.dport, (protonum) => protonum === Proto.GRE),
};

const natFields = nested<PacketItem>(NAT_WORDS, (test) => (item) => isTranslated(item) && test(item));

const natWord: Word<PacketItem> = (value, key, scope) => {
  const truth = value.kind === 'text' ? readTruth(value.text) : undefined;
  if (truth === undefined) return natFields(value, key, scope);
  return truth ? anyChange : (item) => !anyChange(item);
};

/**
 * The original direction of the packet's flow. A packet of no entry belongs to a flow if it could be of either of its
 * directions.
 */
const flowWord: Word<PacketItem> = nested<PacketItem, TuplePlace>(END_WORDS, (test) => (item) => {
  const { bytes, packet, translation } = item;
  const whole = isWhole(item);
  if (!ofEntry(item)) {
    const there = { bytes, at: packet, reversed: false, whole };
    return test(there) || test({ ...there, reversed: true });
  }
  const reversed = bytes[packet + PACKET.dir] === Dir.REPLY;
  return test({ bytes, at: reversed && isTranslated(item) ? translation : packet, reversed, whole });
});

export const PACKET_WORDS: Words<PacketItem> = {
  file: oneOf((text, key, { captures }) => {
    const number = fileNumber(key, text, captures);
    return ({ view, record }) => view.getUint16(record + RECORD.file, true) === number;
  }),
  n: oneOf((text, key) => {
    const range = readRange(key, text, 0xffffffff);
    return ({ view, record }) => inRange(view.getUint32(record + RECORD.n, true), range);
  }),
  ...wordsAt<PacketItem>({ ...END_WORDS, ...ICMP_WORDS }, (item) => ({
    bytes: item.bytes,
    at: item.packet,
    reversed: false,
    whole: isWhole(item),
  })),
  flow: flowWord,
  path: named(PACKET.path, namesOf(Path.FORWARD, Path.OUTPUT + 1, pathName)),
  in: interfaceWord(PACKET.iif),
  out: interfaceWord(PACKET.oif),
  ct: nested(CT_WORDS, (test) => test),
  verdict: named(
    PACKET.verdict,
    namesOf(Verdict.NONE, Verdict.QUEUE + 1, (verdict) => Verdict[verdict]),
  ),
  with: oneOf((text, key) => {
    const reject = readName(key, text, namesOf(RejectWith.NONE + 1, 64, rejectName));
    return ({ bytes, packet }) =>
      bytes[packet + PACKET.verdict] === Verdict.REJECT && bytes[packet + PACKET.reject] === reject;
  }),
  rule: (value, _, scope) => {
    const meant = readRules(value, scope);
    return ({ view, packet, world }) => meant(world.rules, view.getUint32(packet + PACKET.rule, true));
  },
  why: oneOf((text, key) => {
    const reasons = reasonsOf(key, text);
    return ({ bytes, packet }) => reasons.has(bytes[packet + PACKET.reason]!);
  }),
  nat: natWord,
  logs: (value, _, scope) => {
    const meant = readRules(value, scope);
    return ({ view, packet, world }) =>
      view.getUint16(packet + PACKET.logs, true) !== 0 &&
      world.logs(packet).some(({ rule }) => meant(world.rules, rule));
  },
};

/** Packets that nobody judged are meant only where that is said. */
export const JUDGED: Implied<PacketItem> = {
  unless: 'verdict',
  test: ({ bytes, packet }) => bytes[packet + PACKET.verdict] !== Verdict.NONE,
};

/** Whether the packet has no verdict. */
export const isUnjudged: Test<PacketItem> = (item) => !JUDGED.test(item);
