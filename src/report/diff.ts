// Which flows does a firewall change treat differently, by which rules, and which packet shows it first?
//
// Two worlds judge the same packets. A flow differs when a packet of it has another verdict (or another REJECT answer),
// another conntrack state, TCP state, status or mark. That another rule decided the same is no difference: rules get
// other numbers by every insertion.

import { CtState, Dir } from '../../assembly/vocabulary.ts';
import { PACKET, RECORD } from '../engine/layout.ts';
import { flowText, packetText } from './describe.ts';
import { FlowSet, flowKey } from './flow-key.ts';
import { ctStateName, packetState, rejectName, statusNames, verdictName } from './names.ts';
import { whyText } from './reason.ts';
import { NO_RULE, type ReportRule, ruleLabel } from './rules.ts';
import { stampAt } from './time.ts';

/** What one world made of a packet. */
export interface Judgement {
  verdict: string;
  with?: string;
  rule?: string;
  /** The rule as it stands in its ruleset, and where. */
  text?: string;
  file?: string;
  line?: number;
  why?: string;
  state: string;
  tcp?: string;
  sctp?: string;
  status?: string[];
  mark?: number;
}

/** A flow that the two worlds treat differently. */
export interface FlowDifference {
  /** The tuple of the original direction: `tcp 10.0.0.1:4000 -> 10.0.0.2:80`. */
  flow: string;
  /** What differs in the packet below. */
  differs: ('verdict' | 'state' | 'tcp' | 'sctp' | 'status' | 'mark')[];
  /** Packets of the flow that differ. */
  packets: number;
  /** The first packet with another verdict, or, where none has, the first that differs at all. */
  first: { file: number; n: number; ts: string; packet: string };
  old: Judgement;
  new: Judgement;
}

export interface DiffReport {
  packets: number;
  /** Packets that differ in all. */
  packetsDiffer: number;
  /** Flows that differ in all; a lower bound if `flowsAtLeast`. */
  flowsDiffer: number;
  flowsAtLeast?: true;
  /** In the order of the first packet that shows it; at most the limit of the collector. */
  flows: FlowDifference[];
}

/** Flows that are kept with their details. */
export const DIFF_FLOWS_MAX = 10_000;

function differences(view: DataView, bytes: Uint8Array, a: number, b: number): FlowDifference['differs'] {
  const differs: FlowDifference['differs'] = [];
  const same = (field: number) => bytes[a + field] === bytes[b + field];
  if (!same(PACKET.verdict) || !same(PACKET.reject)) differs.push('verdict');
  if (!same(PACKET.ct_state)) differs.push('state');
  const [one, other] = [bytes[a + PACKET.tcp_state]!, bytes[b + PACKET.tcp_state]!];
  if (one !== other) differs.push(packetState(Math.max(one, other))[0]);
  if (view.getUint16(a + PACKET.status, true) !== view.getUint16(b + PACKET.status, true)) differs.push('status');
  // What is INVALID has no mark.
  const mark = (at: number): number =>
    bytes[at + PACKET.ct_state] === CtState.INVALID ? 0 : view.getUint32(at + PACKET.ct_mark, true);
  if (mark(a) !== mark(b)) differs.push('mark');
  return differs;
}

/** What a world made of the PACKET at `at`. */
export function judgement(view: DataView, bytes: Uint8Array, at: number, rules: readonly ReportRule[]): Judgement {
  const state = bytes[at + PACKET.ct_state]!;
  const judged: Judgement = { verdict: verdictName(bytes[at + PACKET.verdict]!), state: ctStateName(state) };
  const reject = rejectName(bytes[at + PACKET.reject]!);
  if (reject !== undefined) judged.with = reject;
  const index = view.getUint32(at + PACKET.rule, true);
  if (index !== NO_RULE) {
    judged.rule = ruleLabel(rules, index);
    const rule = rules[index];
    if (rule !== undefined) Object.assign(judged, { text: rule.text, file: rule.file, line: rule.line });
  }
  const reason = bytes[at + PACKET.reason]!;
  if (reason !== 0) {
    const [value, tag] = [PACKET.why_value, PACKET.ct_mark].map((field) => view.getUint32(at + field, true));
    judged.why = whyText(reason, value!, tag!);
  }
  if (state === CtState.NONE || state === CtState.INVALID || state === CtState.UNTRACKED) return judged;
  if (bytes[at + PACKET.tcp_state]) {
    const [protocol, name] = packetState(bytes[at + PACKET.tcp_state]!);
    judged[protocol] = name;
  }
  judged.status = statusNames(view.getUint16(at + PACKET.status, true));
  judged.mark = view.getUint32(at + PACKET.ct_mark, true);
  return judged;
}

/** Collects the differences while batches go by; memory is bounded whatever the captures hold. */
export class DiffCollector {
  #packets = 0;
  #packetsDiffer = 0;
  readonly #flows = new Map<string, FlowDifference>();
  /** Flows beyond the limit, told apart only to count them. */
  readonly #others = new FlowSet();
  readonly #limit: number;

  /** @param limit flows kept with their details */
  constructor(limit = DIFF_FLOWS_MAX) {
    this.#limit = limit;
  }

  /**
   * Compares a batch.
   *
   * @param records address of RECORD[count]
   * @param before address of PACKET[count] in the old world
   * @param after address of PACKET[count] in the new world
   * @param rules rules of the old and the new world
   */
  add(
    view: DataView,
    bytes: Uint8Array,
    records: number,
    before: number,
    after: number,
    count: number,
    rules: readonly [readonly ReportRule[], readonly ReportRule[]],
  ): void {
    this.#packets += count;
    for (let i = 0; i < count; i++) {
      const a = before + i * PACKET.size;
      const b = after + i * PACKET.size;
      if (
        bytes[a + PACKET.verdict] === bytes[b + PACKET.verdict] &&
        view.getUint32(a + PACKET.status, true) === view.getUint32(b + PACKET.status, true) &&
        bytes[a + PACKET.tcp_state] === bytes[b + PACKET.tcp_state] &&
        bytes[a + PACKET.reject] === bytes[b + PACKET.reject] &&
        view.getUint32(a + PACKET.ct_mark, true) === view.getUint32(b + PACKET.ct_mark, true)
      ) {
        continue;
      }
      this.#differ(view, bytes, records + i * RECORD.size, a, b, rules);
    }
  }

  #differ(
    view: DataView,
    bytes: Uint8Array,
    record: number,
    a: number,
    b: number,
    rules: readonly [readonly ReportRule[], readonly ReportRule[]],
  ): void {
    const differs = differences(view, bytes, a, b);
    if (differs.length === 0) return;
    this.#packetsDiffer++;
    const key = flowKey(view, bytes, a);
    const known = this.#flows.get(key);
    if (known !== undefined) {
      known.packets++;
      if (!differs.includes('verdict') || known.differs.includes('verdict')) return;
    } else if (this.#flows.size >= this.#limit) {
      this.#others.add(view, bytes, a);
      return;
    }
    this.#flows.set(key, {
      flow: flowText(bytes, a, isReply(bytes, a) || isReply(bytes, b)),
      differs,
      packets: known?.packets ?? 1,
      first: {
        file: view.getUint16(record + RECORD.file, true),
        n: view.getUint32(record + RECORD.n, true),
        ts: stampAt(view, record + RECORD.ts),
        packet: packetText(view, bytes, a),
      },
      old: judgement(view, bytes, a, rules[0]),
      new: judgement(view, bytes, b, rules[1]),
    });
  }

  /** What was found so far. */
  report(): DiffReport {
    return {
      packets: this.#packets,
      packetsDiffer: this.#packetsDiffer,
      flowsDiffer: this.#flows.size + this.#others.count,
      ...(this.#others.full ? { flowsAtLeast: true as const } : {}),
      flows: [...this.#flows.values()],
    };
  }
}

/** Only a packet of a known flow has a direction. */
function isReply(bytes: Uint8Array, at: number): boolean {
  const state = bytes[at + PACKET.ct_state];
  return state !== CtState.INVALID && state !== CtState.UNTRACKED && bytes[at + PACKET.dir] === Dir.REPLY;
}

/** The report as `--json` prints it: one object on one line. */
export function diffJson(report: DiffReport): string {
  return `${JSON.stringify(report)}\n`;
}
