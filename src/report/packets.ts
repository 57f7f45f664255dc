// What became of each captured packet? `--packets`: one JSON object per packet and line, in capture order.
//
// Millions of lines are normal, so a line is put together from cached pieces: names, states and rules are turned into
// JSON text once and concatenated afterwards; only numbers are formatted per packet.

import { CtState, EventKind, PacketFlag, Proto, Reason } from '../../assembly/vocabulary.ts';
import { PACKET, RECORD, TUPLE } from '../engine/layout.ts';
import type { LogEntry } from '../run.ts';
import { addressText } from './address.ts';
import { wordAt } from './conntrack-text.ts';
import { ctStateName, dirName, packetState, pathName, rejectName, statusNames, verdictName } from './names.ts';
import { whyText } from './reason.ts';
import { NO_RULE, type ReportRule, ruleLabel } from './rules.ts';
import { idAt, nanosAt, nanosText, secondsAt } from './time.ts';

/** What the lines of one world need besides the packets. */
export interface PacketNames {
  rules: readonly ReportRule[];
  /** Name of an interface index; undefined for 0 and for interfaces without a name. */
  interfaceName(index: number): string | undefined;
}

/** A packet that the kernel lets reopen its connection destroys the old entry before it makes the new one. */
const EVENT_ORDER = [EventKind.DESTROY, EventKind.NEW, EventKind.UPDATE];

const EVENTS = Array.from({ length: 8 }, (_, kinds) => {
  const names = EVENT_ORDER.filter((kind) => kinds & (1 << (kind - 1))).map((kind) => `"${EventKind[kind]}"`);
  return names.length === 0 ? '' : `,"events":[${names.join(',')}]`;
});

/** Values of `cache` by small index, made on first use. */
function cached(cache: (string | undefined)[], index: number, make: (index: number) => string): string {
  const known = cache[index];
  if (known !== undefined) return known;
  const made = make(index);
  cache[index] = made;
  return made;
}

/** Which fragment completed the packet: addresses of its file and frame number. */
function fragmentOf(view: DataView, file: number, n: number): string {
  return `,"frag":{"file":${view.getUint16(file, true)},"n":${view.getUint32(n, true)}}`;
}

/** Addresses, ports and ids that NAT changed; empty if it changed them back. */
function natText(bytes: Uint8Array, packet: number, translation: number): string {
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
  const icmp = protonum === Proto.ICMP || protonum === Proto.ICMPV6;
  word(icmp ? 'id' : 'sport', TUPLE.sport);
  word(protonum === Proto.GRE ? 'key' : 'dport', TUPLE.dport);
  return parts.length === 0 ? '' : `,"nat":{${parts.join(',')}}`;
}

/** Formats the packets of one world (one firewall). */
export class PacketLines {
  readonly #names: PacketNames;
  readonly #inbound: (string | undefined)[] = [];
  readonly #outbound: (string | undefined)[] = [];
  readonly #paths: (string | undefined)[] = [];
  readonly #verdicts: (string | undefined)[] = [];
  readonly #rules: (string | undefined)[] = [];
  readonly #logs = new Map<number, string>();
  readonly #states = new Map<number, string>();
  #second = -1;
  #secondText = '';

  constructor(names: PacketNames) {
    this.#names = names;
  }

  /**
   * The line of one packet, newline included.
   *
   * @param record address of its RECORD
   * @param packet address of its PACKET in this world
   * @param translation address of the TUPLE that NAT made of it, if it is TRANSLATED
   * @param logs what LOG and NFLOG rules recorded about the packet at an address; asked only for packets that have some
   */
  line(
    view: DataView,
    bytes: Uint8Array,
    record: number,
    packet: number,
    logs: (packetAddress: number) => readonly LogEntry[],
    translation: number,
  ): string {
    const second = secondsAt(view, record + RECORD.ts);
    if (second !== this.#second) {
      this.#second = second;
      this.#secondText = `,"ts":"${second}.`;
    }
    let line =
      `{"file":${view.getUint16(record + RECORD.file, true)},"n":${view.getUint32(record + RECORD.n, true)}` +
      `${this.#secondText}${nanosText(nanosAt(view, record + RECORD.ts))}"`;
    line += cached(this.#paths, bytes[packet + PACKET.path]!, (path) => {
      const name = pathName(path);
      return name === undefined ? '' : `,"path":"${name}"`;
    });
    line += cached(this.#inbound, view.getUint16(packet + PACKET.iif, true), (index) => this.#interface('in', index));
    line += cached(this.#outbound, view.getUint16(packet + PACKET.oif, true), (index) => this.#interface('out', index));
    line += this.#conntrack(view, bytes, packet);
    line += cached(this.#verdicts, (bytes[packet + PACKET.verdict]! << 8) | bytes[packet + PACKET.reject]!, (both) => {
      const reject = rejectName(both & 0xff);
      return `,"verdict":"${verdictName(both >> 8)}"${reject === undefined ? '' : `,"with":"${reject}"`}`;
    });
    const rule = view.getUint32(packet + PACKET.rule, true);
    if (rule !== NO_RULE) line += cached(this.#rules, rule, (index) => `,"rule":${this.#ruleJson(index)}`);
    const reason = bytes[packet + PACKET.reason]!;
    if (reason !== Reason.NONE) {
      const [value, tag] = [PACKET.why_value, PACKET.ct_mark].map((field) => view.getUint32(packet + field, true));
      line += `,"why":"${whyText(reason, value!, tag!)}"`;
    }
    const flags = view.getUint16(packet + PACKET.flags, true);
    if (flags & PacketFlag.REASSEMBLED) line += fragmentOf(view, record + RECORD.file, record + RECORD.n);
    else if (flags & PacketFlag.FRAGMENT_OF) line += fragmentOf(view, packet + PACKET.l4, packet + PACKET.hash);
    if (view.getUint16(packet + PACKET.logs, true) !== 0) line += this.#logged(logs(packet));
    if (flags & PacketFlag.TRANSLATED) line += natText(bytes, packet, translation);
    return `${line}${EVENTS[bytes[packet + PACKET.events]! & 7]}}\n`;
  }

  #interface(key: string, index: number): string {
    const name = this.#names.interfaceName(index);
    return name === undefined ? '' : `,"${key}":${JSON.stringify(name)}`;
  }

  #conntrack(view: DataView, bytes: Uint8Array, packet: number): string {
    const state = bytes[packet + PACKET.ct_state]!;
    switch (state) {
      case CtState.NONE:
        return '';
      case CtState.INVALID:
        return ',"ct":{"state":"INVALID"}';
      case CtState.UNTRACKED:
        return ',"ct":{"state":"UNTRACKED"}';
    }
    const dir = bytes[packet + PACKET.dir]!;
    const tcp = bytes[packet + PACKET.tcp_state]!;
    const status = view.getUint16(packet + PACKET.status, true);
    const key = (status << 10) | (tcp << 5) | (dir << 4) | state;
    let text = this.#states.get(key);
    if (text === undefined) {
      const bits = statusNames(status).map((name) => `"${name}"`);
      const [protocol, name] = packetState(tcp);
      text =
        `"state":"${ctStateName(state)}","dir":"${dirName(dir)}","status":[${bits.join(',')}]` +
        (tcp === 0 ? ',"mark":' : `,"${protocol}":"${name}","mark":`);
      this.#states.set(key, text);
    }
    const id = idAt(view, packet + PACKET.flow_id);
    const mark = view.getUint32(packet + PACKET.ct_mark, true);
    return id === 0 ? `,"ct":{${text}${mark}}` : `,"ct":{"id":${id},${text}${mark}}`;
  }

  #ruleJson(rule: number): string {
    return JSON.stringify(ruleLabel(this.#names.rules, rule));
  }

  #logged(entries: readonly LogEntry[]): string {
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
