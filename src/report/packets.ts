// What became of each captured packet? `--packets`: one JSON object per packet and line, in capture order.
//
// Millions of lines are normal, so they are written by assembly/format/: names, states and rules are turned into JSON text
// once, here. Packets that need a text of their own (a number in `why`, log records) are few, and get it here, too.

import { CT_STATUS_BITS, CT_STATUS_LOW, Piece, Table } from '../../assembly/format/text.ts';
import {
  CtState,
  Dir,
  EventKind,
  Helper,
  PacketFlag,
  Path,
  Proto,
  Reason,
  RejectWith,
  Status,
  Verdict,
} from '../../assembly/vocabulary.ts';
import type { BatchView, WorldView } from '../batch.ts';
import type { InterfaceNames } from '../capture/interfaces.ts';
import { INTERFACES_MAX, PACKET, TUPLE } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import { addressText } from './address.ts';
import { wordAt } from './conntrack-text.ts';
import type { CopyFacts } from './copies.ts';
import { Formatter, type PacketTexts } from './format.ts';
import { ctStateName, dirName, packetState, pathName, rejectName, statusNames, verdictName } from './names.ts';
import { hasNumber, reasonWord, whyText } from './reason.ts';
import { type ReportRule, ruleLabel } from './rules.ts';

/** What the lines of one world need besides the packets. */
export interface PacketNames {
  rules: readonly ReportRule[];
  /** Names of interfaces, which may become more as captures go on. */
  interfaces: Pick<InterfaceNames, 'count' | 'name'>;
}

/** A packet that the kernel lets reopen its connection destroys the old entry before it makes the new one. */
const EVENT_ORDER = [EventKind.DESTROY, EventKind.NEW, EventKind.UPDATE];

const PIECES: Partial<Record<Piece, string>> = {
  [Piece.FILE]: '{"file":',
  [Piece.N]: ',"n":',
  [Piece.TS]: ',"ts":"',
  [Piece.QUOTE]: '"',
  [Piece.CT]: ',"ct":{',
  [Piece.CT_WITH_ID]: ',"ct":{"id":',
  [Piece.COMMA]: ',',
  [Piece.CT_INVALID]: ',"ct":{"state":"INVALID"}',
  [Piece.CT_UNTRACKED]: ',"ct":{"state":"UNTRACKED"}',
  [Piece.FRAG]: ',"frag":{"file":',
  [Piece.CLOSE]: '}',
  [Piece.LINE_END]: '}\n',
};

/** `count` texts, empty where `make` finds none. */
function list(count: number, make: (index: number) => string | undefined): string[] {
  return Array.from({ length: count }, (_, index) => make(index) ?? '');
}

function eventsJson(kinds: number): string {
  const names = EVENT_ORDER.filter((kind) => kinds & (1 << (kind - 1))).map((kind) => `"${EventKind[kind]}"`);
  return names.length === 0 ? '' : `,"events":[${names.join(',')}]`;
}

function verdictJson(verdict: number, reject: number): string | undefined {
  if (Verdict[verdict] === undefined || RejectWith[reject] === undefined) return undefined;
  const name = rejectName(reject);
  return `,"verdict":"${verdictName(verdict)}"${name === undefined ? '' : `,"with":"${name}"`}`;
}

function stateJson(dir: number, state: number): string | undefined {
  return CtState[state] === undefined
    ? undefined
    : `"state":"${ctStateName(state)}","dir":"${dirName(dir)}","status":[`;
}

function protocolStateJson(state: number): string {
  if (state === 0) return '],"mark":';
  const [protocol, name] = packetState(state);
  return `],"${protocol}":"${name}","mark":`;
}

/** Addresses, ports and ids that NAT changed; empty if it changed them back. Fragments have addresses alone. */
function natText(bytes: Uint8Array, packet: number, translation: number, pieces: boolean): string {
  const protonum = bytes[packet + PACKET.protonum]!;
  const l3num = bytes[packet + PACKET.l3num]!;
  const parts: string[] = [];
  const changed = (at: number, length: number): boolean => {
    for (let i = at; i < at + length; i++) if (bytes[packet + i] !== bytes[translation + i]) return true;
    return false;
  };
  const address = (name: string, at: number): void => {
    if (changed(at, 16)) parts.push(`"${name}":"${addressText(bytes, translation + at, l3num)}"`);
  };
  const word = (name: string, at: number): void => {
    if (changed(at, 2)) parts.push(`"${name}":${wordAt(bytes, translation + at)}`);
  };
  address('src', TUPLE.src_lo);
  address('dst', TUPLE.dst_lo);
  if (pieces) return parts.length === 0 ? '' : `,"nat":{${parts.join(',')}}`;
  const icmp = protonum === Proto.ICMP || protonum === Proto.ICMPV6;
  word(icmp ? 'id' : 'sport', TUPLE.sport);
  word(protonum === Proto.GRE ? 'key' : 'dport', TUPLE.dport);
  return parts.length === 0 ? '' : `,"nat":{${parts.join(',')}}`;
}

/** The packet that this is a copy of, and what of the copy is not as the replay says. */
function copyText({ of, answers, contradicts }: CopyFacts): string {
  if (answers) return `,"answers":{"file":${answers.file},"n":${answers.n}}`;
  const which = of ? `,"of":{"file":${of.file},"n":${of.n}}` : '';
  return contradicts ? `${which},"contradicts":"${contradicts}"` : which;
}

/** The entry that expected the packet's, if that was confirmed. */
function masterText(id: number | undefined): string {
  return id === undefined ? '' : `,"master":${id}`;
}

function helperText(helper: number): string {
  return helper === Helper.NONE ? '' : `,"helper":"${helperName(helper)}"`;
}

/** Formats the packets of one world (one firewall). */
export class PacketLines {
  readonly #names: PacketNames;
  readonly #formatter = new Formatter();
  readonly #logs = new Map<number, string>();
  #interfaces = 0;

  constructor(names: PacketNames) {
    this.#names = names;
    const formatter = this.#formatter;
    formatter.texts(
      Table.PIECE,
      list(Piece.COUNT, (piece) => PIECES[piece as Piece]),
    );
    formatter.texts(
      Table.PATH,
      list(4, (path) => (Path[path] && pathName(path) ? `,"path":"${pathName(path)}"` : undefined)),
    );
    formatter.texts(
      Table.VERDICT,
      list(8 << 5, (both) => verdictJson(both >> 5, both & 31)),
    );
    formatter.texts(
      Table.RULE,
      names.rules.map((_, rule) => `,"rule":${this.#ruleJson(rule)}`),
    );
    formatter.texts(
      Table.WHY,
      list(256, (reason) => (reason === Reason.NONE || hasNumber(reason) ? '' : `,"why":"${reasonWord(reason)}"`)),
    );
    formatter.texts(
      Table.CT_STATE,
      list(16, (both) => stateJson(both >> 3 ? Dir.REPLY : Dir.ORIGINAL, both & 7)),
    );
    formatter.texts(
      Table.CT_STATUS,
      list(2 << CT_STATUS_BITS, (status) =>
        statusNames(status >> CT_STATUS_BITS ? (status & CT_STATUS_LOW) | Status.HELPER : status)
          .map((name) => `"${name}"`)
          .join(','),
      ),
    );
    formatter.texts(Table.CT_PROTOCOL_STATE, list(256, protocolStateJson));
    formatter.texts(Table.EVENTS, list(8, eventsJson));
    formatter.table(Table.IN, INTERFACES_MAX);
    formatter.table(Table.OUT, INTERFACES_MAX);
  }

  /**
   * The lines of a batch, in pieces that are valid until the next is asked for.
   *
   * @param copies by index, what CopyCheck.add() found of the batch
   */
  lines(
    { view, bytes, records, count }: Pick<BatchView, 'view' | 'bytes' | 'records' | 'count'>,
    { packets, translations, logs, master }: Pick<WorldView, 'packets' | 'translations' | 'logs' | 'master'>,
    copies: ReadonlyMap<number, CopyFacts> = new Map(),
  ): Generator<Uint8Array> {
    this.#nameInterfaces();
    const extras: PacketTexts[] = [];
    for (let index = 0; index < count; index++) {
      const packet = packets + index * PACKET.size;
      const reason = bytes[packet + PACKET.reason]!;
      const numbered = reason !== Reason.NONE && hasNumber(reason);
      const logged = view.getUint16(packet + PACKET.logs, true) !== 0;
      const flags = view.getUint16(packet + PACKET.flags, true);
      const translated = (flags & PacketFlag.TRANSLATED) !== 0;
      const copy = copies.get(index);
      const helper = bytes[packet + PACKET.template]!;
      const expected = (view.getUint16(packet + PACKET.status, true) & Status.EXPECTED) !== 0;
      if (!numbered && !logged && !translated && !expected && !copy && helper === Helper.NONE) continue;
      const [value, tag] = [PACKET.why_value, PACKET.ct_mark].map((field) => view.getUint32(packet + field, true));
      extras.push({
        index,
        why: numbered ? `,"why":"${whyText(reason, value!, tag!)}"` : '',
        ct: (expected ? masterText(master(packet)) : '') + helperText(helper),
        last:
          (logged ? this.#logged(logs(packet)) : '') +
          (translated
            ? natText(bytes, packet, translations + index * TUPLE.size, (flags & PacketFlag.FRAGMENT_OF) !== 0)
            : '') +
          (copy ? copyText(copy) : ''),
      });
    }
    return this.#formatter.packets(bytes, records, packets, count, extras);
  }

  #nameInterfaces(): void {
    const { interfaces } = this.#names;
    while (this.#interfaces < interfaces.count) {
      const index = ++this.#interfaces;
      const name = JSON.stringify(interfaces.name(index));
      this.#formatter.text(Table.IN, index, `,"in":${name}`);
      this.#formatter.text(Table.OUT, index, `,"out":${name}`);
    }
  }

  #ruleJson(rule: number): string {
    return JSON.stringify(ruleLabel(this.#names.rules, rule));
  }

  #logged(entries: ReturnType<WorldView['logs']>): string {
    const texts = entries.map(({ rule }) => {
      let text = this.#logs.get(rule);
      if (text === undefined) {
        const log = this.#names.rules[rule]?.log;
        const prefix = log?.prefix === undefined ? '' : `,"prefix":${JSON.stringify(log.prefix)}`;
        text = `{"kind":"${log?.kind ?? 'LOG'}"${prefix},"rule":${this.#ruleJson(rule)}}`;
        this.#logs.set(rule, text);
      }
      return text;
    });
    return `,"logs":[${texts.join(',')}]`;
  }
}
