// What became of each captured packet? `--packets`: one JSON object per packet and line, in capture order.
//
// Millions of lines are normal, so a line is put together from cached pieces: names, states and rules are turned into
// JSON text once and concatenated afterwards; only numbers are formatted per packet.

import { CtState, EventKind, Helper, PacketFlag, Reason, Status } from '../../assembly/vocabulary.ts';
import { PACKET, RECORD } from '../engine/layout.ts';
import { helperName } from '../ruleset/helpers.ts';
import type { WorldView } from '../run.ts';
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
   * @param logs what LOG and NFLOG rules recorded about the packet at an address; asked only for packets that have some
   * @param master the entry that expected the packet's; asked only where one did
   */
  line(
    view: DataView,
    bytes: Uint8Array,
    record: number,
    packet: number,
    logs: WorldView['logs'],
    master: WorldView['master'] = () => undefined,
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
    line += this.#conntrack(view, bytes, packet, master);
    line += cached(this.#verdicts, (bytes[packet + PACKET.verdict]! << 8) | bytes[packet + PACKET.reject]!, (both) => {
      const reject = rejectName(both & 0xff);
      return `,"verdict":"${verdictName(both >> 8)}"${reject === undefined ? '' : `,"with":"${reject}"`}`;
    });
    const rule = view.getUint32(packet + PACKET.rule, true);
    if (rule !== NO_RULE) line += cached(this.#rules, rule, (index) => `,"rule":${this.#ruleJson(index)}`);
    const reason = bytes[packet + PACKET.reason]!;
    if (reason !== Reason.NONE) line += `,"why":"${whyText(reason, view.getUint32(packet + PACKET.why_value, true))}"`;
    const flags = view.getUint16(packet + PACKET.flags, true);
    if (flags & PacketFlag.REASSEMBLED) line += fragmentOf(view, record + RECORD.file, record + RECORD.n);
    else if (flags & PacketFlag.FRAGMENT_OF) line += fragmentOf(view, packet + PACKET.l4, packet + PACKET.hash);
    if (view.getUint16(packet + PACKET.logs, true) !== 0) line += this.#logged(logs(packet));
    return `${line}${EVENTS[bytes[packet + PACKET.events]! & 7]}}\n`;
  }

  #interface(key: string, index: number): string {
    const name = this.#names.interfaceName(index);
    return name === undefined ? '' : `,"${key}":${JSON.stringify(name)}`;
  }

  #conntrack(view: DataView, bytes: Uint8Array, packet: number, master: WorldView['master']): string {
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
    const helper = bytes[packet + PACKET.template]!;
    const helped = helper === Helper.NONE ? '' : `,"helper":"${helperName(helper)}"`;
    const id = idAt(view, packet + PACKET.flow_id);
    const mark = view.getUint32(packet + PACKET.ct_mark, true);
    const number = status & Status.EXPECTED ? master(packet) : undefined;
    const expected = number === undefined ? '' : `,"master":${number}`;
    return id === 0 ? `,"ct":{${text}${mark}${helped}}` : `,"ct":{"id":${id},${text}${mark}${expected}${helped}}`;
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
