// What does the report page say besides the summary? Gathered while batches go by, in bounded memory.

import {
  CtState,
  Dir,
  EventKind,
  type Helper,
  PacketFlag,
  Reason,
  Status,
  Verdict,
} from '../../../assembly/vocabulary.ts';
import type { BatchView, WorldView } from '../../batch.ts';
import { EVENT, PACKET, RECORD, TUPLE } from '../../engine/layout.ts';
import { helperName } from '../../ruleset/helpers.ts';
import { addressText } from '../address.ts';
import { wordAt } from '../conntrack-text.ts';
import { flowText, hasPorts, tcpFlagsText } from '../describe.ts';
import { protocolName } from '../names.ts';
import { reasonLabel, whyText } from '../reason.ts';
import { NO_RULE } from '../rules.ts';
import { nanosAt, secondsAt } from '../time.ts';
import { Talkers, type TopTalkers, talkerTail } from './talkers.ts';
import { TimeBins, type TimeSeries } from './time-bins.ts';

/** Columns of the bins: packets by Verdict, then entries made and entries ended. */
export const ENTRIES_MADE = 5;
export const ENTRIES_ENDED = 6;
const COLUMNS = 7;
/** Bins that are shown. */
const BINS_SHOWN = 120;

/** Talkers that are shown of each kind of count. */
const TALKERS_SHOWN = 15;

/** Pairs of addresses that NAT translated which are told apart. */
const TRANSLATIONS_MAX = 4096;

/** Bit of Packet.events for EventKind.NEW: the packet made an entry. */
const MADE_ENTRY = 1;

/** The first packet of its kind. */
export interface Example {
  file: number;
  n: number;
  /** `tcp 10.0.0.1:4000 -> 10.0.0.2:80 [S]`. */
  packet: string;
  /** As --packets says it. */
  why?: string;
}

/** The first packet that a rule decided. */
export interface Decided {
  file: number;
  n: number;
  verdict: Verdict;
}

/** A translation, by the entries that have it. */
export interface Translation {
  kind: 'source' | 'destination';
  from: string;
  to: string;
  flows: number;
}

export interface HelperCounts {
  helper: string;
  flows: number;
  packets: number;
  expectations: number;
}

export interface Gathered {
  /** Levels are entries more (or fewer) than before the first packet. */
  time: TimeSeries | undefined;
  sources: TopTalkers;
  services: TopTalkers;
  /** First packets by reasonKey(). */
  reasons: Map<string, Example>;
  /** First packet that a rule decided, by its index. */
  rules: Map<number, Decided>;
  translated: { packets: number; flows: number; translations: Translation[]; more: number };
  helpers: HelperCounts[];
  /** Entries that a helper had expected. */
  expected: number;
  /** Entries made and ended, by their events. */
  made: number;
  ended: number;
}

/** Key of an example in Gathered.reasons: the reason without numbers, and whether the packet was INVALID. */
export function reasonKey(label: string, invalid: boolean): string {
  return `${invalid ? 'invalid' : 'other'} ${label}`;
}

function microsAt(view: DataView, at: number): number {
  return secondsAt(view, at) * 1e6 + Math.floor(nanosAt(view, at) / 1000);
}

/** Gathers from the packets and events of one world. */
export class Gatherer {
  readonly #bins = new TimeBins(COLUMNS);
  readonly #sources = new Talkers();
  readonly #services = new Talkers();
  readonly #reasons = new Map<number, Example>();
  readonly #rules = new Map<number, Decided>();
  readonly #translations = new Map<string, Translation>();
  readonly #helpers = new Map<Helper, Omit<HelperCounts, 'helper'>>();
  #translated = 0;
  #translatedFlows = 0;
  #translationsMore = 0;
  #expected = 0;
  #made = 0;
  #ended = 0;

  /**
   * Gathers from a batch.
   *
   * @param began addresses of packets without an entry that began a conversation (PacketTally.add)
   */
  add({ view, bytes, records, count }: BatchView, world: WorldView, began: ReadonlySet<number>): void {
    for (let i = 0; i < count; i++) {
      const record = records + i * RECORD.size;
      const packet = world.packets + i * PACKET.size;
      const verdict = bytes[packet + PACKET.verdict]!;
      this.#bins.add(microsAt(view, record + RECORD.clock), verdict);
      if (bytes[packet + PACKET.reason] !== Reason.NONE) this.#reason(view, bytes, record, packet);
      if (verdict === Verdict.NONE) continue;
      const flags = view.getUint16(packet + PACKET.flags, true);
      const made = (bytes[packet + PACKET.events]! & MADE_ENTRY) !== 0;
      const translation = flags & PacketFlag.TRANSLATED ? world.translations + i * TUPLE.size : 0;
      this.#talk(view, bytes, packet, translation, flags, made || began.has(packet));
      if (!(flags & PacketFlag.FRAGMENT_OF)) this.#rule(view, record, packet, verdict);
      if (translation) this.#translate(view, bytes, packet, translation, made);
      const helper = bytes[packet + PACKET.template]!;
      if (helper) this.#help(helper, 'packets');
      if (!made) continue;
      if (helper) this.#help(helper, 'flows');
      if (view.getUint16(packet + PACKET.status, true) & Status.EXPECTED) this.#expected++;
    }
    for (const event of world.events) this.#event(event.view, event.bytes, event.at);
    for (const event of world.expectations) {
      if (event.bytes[event.at + EVENT.kind] === EventKind.EXPECT_NEW)
        this.#help(event.bytes[event.at + EVENT.helper]!, 'expectations');
    }
  }

  #event(view: DataView, bytes: Uint8Array, at: number): void {
    const kind = bytes[at + EVENT.kind];
    if (kind !== EventKind.NEW && kind !== EventKind.DESTROY) return;
    const micros = microsAt(view, at + EVENT.time);
    if (kind === EventKind.NEW) this.#made++;
    else this.#ended++;
    this.#bins.add(micros, kind === EventKind.NEW ? ENTRIES_MADE : ENTRIES_ENDED);
    this.#bins.level(micros, this.#made - this.#ended);
  }

  /** Counts for who opened the conversation, and what with: of a reply that is the other end, as it was before NAT. */
  #talk(view: DataView, bytes: Uint8Array, packet: number, translation: number, flags: number, began: boolean): void {
    const state = bytes[packet + PACKET.ct_state]!;
    const replies =
      bytes[packet + PACKET.dir] === Dir.REPLY &&
      (state === CtState.ESTABLISHED || state === CtState.RELATED) &&
      !(flags & PacketFlag.ICMP_ERROR);
    const tuple = replies && translation ? translation : packet;
    const protonum = bytes[packet + PACKET.protonum]!;
    const l3num = bytes[packet + PACKET.l3num]!;
    const piece = (flags & PacketFlag.LATER_FRAGMENT) !== 0;
    const port = hasPorts(protonum) && !piece ? wordAt(bytes, tuple + (replies ? TUPLE.sport : TUPLE.dport)) : 0;
    const verdict = bytes[packet + PACKET.verdict]!;
    const length = view.getUint32(packet + PACKET.ip_len, true);
    const source = tuple + (replies ? TUPLE.dst_lo : TUPLE.src_lo);
    const target = tuple + (replies ? TUPLE.src_lo : TUPLE.dst_lo);
    this.#sources.add(view, source, talkerTail(l3num, 0, 0, false), verdict, length, began);
    this.#services.add(view, target, talkerTail(l3num, protonum, port, piece), verdict, length, began);
  }

  #reason(view: DataView, bytes: Uint8Array, record: number, packet: number): void {
    const reason = bytes[packet + PACKET.reason]!;
    const key = reason * 2 + (bytes[packet + PACKET.ct_state] === CtState.INVALID ? 1 : 0);
    if (this.#reasons.has(key)) return;
    const [value, tag] = [PACKET.why_value, PACKET.ct_mark].map((field) => view.getUint32(packet + field, true));
    const flags = bytes[packet + PACKET.tcp_flags]!;
    const known = bytes[packet + PACKET.l3num] !== 0;
    this.#reasons.set(key, {
      ...placeOf(view, record),
      packet: known ? flowText(bytes, packet, false) + (flags ? ` [${tcpFlagsText(flags)}]` : '') : 'not an IP packet',
      why: whyText(reason, value!, tag!),
    });
  }

  #rule(view: DataView, record: number, packet: number, verdict: Verdict): void {
    const rule = view.getUint32(packet + PACKET.rule, true);
    if (rule === NO_RULE || this.#rules.has(rule)) return;
    this.#rules.set(rule, { ...placeOf(view, record), verdict });
  }

  #translate(view: DataView, bytes: Uint8Array, packet: number, translation: number, made: boolean): void {
    this.#translated++;
    if (!made) return;
    this.#translatedFlows++;
    const l3num = bytes[packet + PACKET.l3num]!;
    const same = (at: number, length: number): boolean => {
      for (let i = at; i < at + length; i += 2)
        if (view.getUint16(packet + i) !== view.getUint16(translation + i)) return false;
      return true;
    };
    const address = (tuple: number, at: number) => addressText(bytes, tuple + at, l3num);
    if (!same(TUPLE.src_lo, 16))
      this.#pair('source', address(packet, TUPLE.src_lo), address(translation, TUPLE.src_lo));
    const ports = hasPorts(bytes[packet + PACKET.protonum]!);
    if (same(TUPLE.dst_lo, 16) && !(ports && !same(TUPLE.dport, 2))) return;
    const protocol = protocolName(bytes[packet + PACKET.protonum]!);
    const end = (tuple: number) =>
      ports
        ? `${address(tuple, TUPLE.dst_lo)} port ${wordAt(bytes, tuple + TUPLE.dport)}`
        : address(tuple, TUPLE.dst_lo);
    this.#pair('destination', `${protocol} ${end(packet)}`, end(translation));
  }

  #pair(kind: Translation['kind'], from: string, to: string): void {
    const key = `${kind} ${from} ${to}`;
    const known = this.#translations.get(key);
    if (known) known.flows++;
    else if (this.#translations.size < TRANSLATIONS_MAX) this.#translations.set(key, { kind, from, to, flows: 1 });
    else this.#translationsMore++;
  }

  #help(helper: Helper, what: keyof Omit<HelperCounts, 'helper'>): void {
    let counts = this.#helpers.get(helper);
    if (!counts) {
      counts = { flows: 0, packets: 0, expectations: 0 };
      this.#helpers.set(helper, counts);
    }
    counts[what]++;
  }

  /** What was gathered so far. */
  gathered(): Gathered {
    const label = (key: number) => reasonKey(reasonLabel(key >> 1), (key & 1) === 1);
    return {
      time: this.#bins.series(BINS_SHOWN),
      sources: this.#sources.top(TALKERS_SHOWN),
      services: this.#services.top(TALKERS_SHOWN),
      reasons: new Map([...this.#reasons].map(([key, example]) => [label(key), example])),
      rules: this.#rules,
      translated: {
        packets: this.#translated,
        flows: this.#translatedFlows,
        translations: [...this.#translations.values()].sort((a, b) => b.flows - a.flows),
        more: this.#translationsMore,
      },
      helpers: [...this.#helpers]
        .sort(([a], [b]) => a - b)
        .map(([helper, counts]) => ({ helper: helperName(helper) ?? String(helper), ...counts })),
      expected: this.#expected,
      made: this.#made,
      ended: this.#ended,
    };
  }
}

function placeOf(view: DataView, record: number): { file: number; n: number } {
  return { file: view.getUint16(record + RECORD.file, true), n: view.getUint32(record + RECORD.n, true) };
}
