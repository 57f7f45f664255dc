// What happened in this replay, as an engineer wants to see it first? One object, printed as text or as JSON.
//
// Everything in it is a function of the captures, the host and the options; how fast it went is told elsewhere.

import { CtState, L3, Verdict } from '../../assembly/vocabulary.ts';
import type { RunResult } from '../run.ts';
import { countText } from './align.ts';
import type { CopyCheck, CopyCounts } from './copies.ts';
import { ctStateName, familyName, packetState, protocolName, verdictName } from './names.ts';
import { reasonLabel } from './reason.ts';
import { type ReportRule, ruleLabel } from './rules.ts';
import { PacketTally, STATE_CODES } from './tally.ts';
import { stampText } from './time.ts';

/** Packets, and conversations: entries made, and for packets without an entry the distinct tuples. */
export interface Counts {
  packets: number;
  flows: number;
}

export interface RuleCounts {
  rule: string;
  family: string;
  /** Packets that the rule decided, or matched where the list says so. */
  packets: number;
  text: string;
  file: string;
  line: number;
  /** The rule stands behind an unconditional verdict, or in a chain that nothing jumps to. */
  unreachable?: true;
}

/** The summary of one world, as `--json` prints it. Lists are in order of falling counts, then of names. */
export interface Summary {
  captures: string[];
  packets: number;
  /** Time of the first and last packet, `seconds.nanoseconds`; absent without packets. */
  first?: string;
  last?: string;
  verdicts: Record<string, Counts & { bytes: number }>;
  states: Record<string, Counts & { verdicts: Record<string, number> }>;
  protocols: (Counts & { family: string; protocol: string })[];
  /** TCP state changes; `from` is absent where the packet made the entry. */
  transitions: { from?: string; to: string; packets: number }[];
  /** SCTP state changes, likewise. */
  sctpTransitions: { from?: string; to: string; packets: number }[];
  /** Packets INVALID, by reason. */
  invalid: { why: string; packets: number }[];
  /** Packets that conntrack let through without believing them. */
  ignored: { why: string; packets: number }[];
  /** Packets dropped without a rule. */
  dropped: { why: string; packets: number }[];
  /** Packets without a verdict. */
  notJudged: { why: string; packets: number }[];
  /** What captures taken at the host itself show leaving it; absent where they show none. */
  copies?: CopyCounts;
  rules: {
    total: number;
    decided: RuleCounts[];
    neverMatched: RuleCounts[];
  };
  /** True if there were more conversations without an entry than are told apart: counts of flows are lower bounds. */
  flowsAtLeast?: true;
  notes: string[];
}

/** What the summary is made of besides the tally. */
export interface SummarySource {
  captures: readonly string[];
  packets: number;
  first?: bigint | undefined;
  last?: bigint | undefined;
  rules: readonly ReportRule[];
  /** Packets and bytes that matched a rule or policy. */
  counters: (rule: number) => { packets: bigint; bytes: bigint };
  notes: readonly string[];
  copies?: CopyCounts | undefined;
}

const VERDICTS = [Verdict.ACCEPT, Verdict.DROP, Verdict.REJECT, Verdict.QUEUE, Verdict.NONE];
const STATES = [CtState.NEW, CtState.ESTABLISHED, CtState.RELATED, CtState.INVALID, CtState.UNTRACKED, CtState.NONE];

/** First Reason of each kind (assembly/vocabulary.ts). */
const FIRST_DROPPED = 32;
const FIRST_INVALID = 64;

function byCount<T extends { packets: number }>(name: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => b.packets - a.packets || (name(a) < name(b) ? -1 : name(a) > name(b) ? 1 : 0);
}

function verdictCounts(tally: PacketTally): Summary['verdicts'] {
  const counts: Summary['verdicts'] = {};
  for (const verdict of VERDICTS) {
    const packets = PacketTally.row(tally.packets, verdict);
    if (packets === 0) continue;
    const flows = PacketTally.row(tally.flows, verdict);
    counts[verdictName(verdict)] = { packets, flows, bytes: tally.bytes[verdict]! };
  }
  return counts;
}

function stateCounts(tally: PacketTally): Summary['states'] {
  const counts: Summary['states'] = {};
  for (const state of STATES) {
    const packets = PacketTally.column(tally.packets, state);
    if (packets === 0) continue;
    const verdicts: Record<string, number> = {};
    for (const verdict of VERDICTS) {
      const judged = tally.packets[verdict * 8 + state]!;
      if (judged > 0) verdicts[verdictName(verdict)] = judged;
    }
    counts[ctStateName(state)] = { packets, flows: PacketTally.column(tally.flows, state), verdicts };
  }
  return counts;
}

function protocolCounts(tally: PacketTally): Summary['protocols'] {
  const counts: Summary['protocols'] = [];
  for (const family of [L3.IPV4, L3.IPV6]) {
    for (let protonum = 0; protonum < 256; protonum++) {
      const packets = tally.protocolPackets[family * 256 + protonum]!;
      if (packets === 0) continue;
      const flows = tally.protocolFlows[family * 256 + protonum]!;
      counts.push({ family: familyName(family), protocol: protocolName(protonum), packets, flows });
    }
  }
  return counts.sort(byCount((item) => `${item.protocol} ${item.family}`));
}

function transitionCounts(tally: PacketTally): Pick<Summary, 'transitions' | 'sctpTransitions'> {
  const counts: Record<'tcp' | 'sctp', Summary['transitions']> = { tcp: [], sctp: [] };
  for (let before = 0; before < STATE_CODES; before++) {
    for (let after = 0; after < STATE_CODES; after++) {
      const packets = tally.transitions[before * STATE_CODES + after]!;
      if (packets === 0) continue;
      const [protocol, to] = packetState(after);
      counts[protocol].push(before === 0 ? { to, packets } : { from: packetState(before)[1], to, packets });
    }
  }
  return { transitions: counts.tcp, sctpTransitions: counts.sctp };
}

function reasonCounts(tally: PacketTally): Pick<Summary, 'invalid' | 'ignored' | 'dropped' | 'notJudged'> {
  const counts: Pick<Summary, 'invalid' | 'ignored' | 'dropped' | 'notJudged'> = {
    invalid: [],
    ignored: [],
    dropped: [],
    notJudged: [],
  };
  for (let reason = 1; reason < 256; reason++) {
    const all = tally.reasons.subarray(reason * 8, reason * 8 + 8);
    const packets = all.reduce((sum, count) => sum + count, 0);
    if (packets === 0) continue;
    const why = reasonLabel(reason);
    if (reason < FIRST_DROPPED) counts.notJudged.push({ why, packets });
    else if (reason < FIRST_INVALID) counts.dropped.push({ why, packets });
    else {
      const invalid = all[CtState.INVALID]!;
      if (invalid > 0) counts.invalid.push({ why, packets: invalid });
      if (packets > invalid) counts.ignored.push({ why, packets: packets - invalid });
    }
  }
  for (const list of Object.values(counts)) list.sort(byCount((item) => item.why));
  return counts;
}

function ruleCounts(tally: PacketTally, source: SummarySource): Summary['rules'] {
  const describe = (index: number, packets: number): RuleCounts => {
    const { family, text, file, line, reachable } = source.rules[index]!;
    const named = { rule: ruleLabel(source.rules, index), family: familyName(family), packets, text, file, line };
    return reachable === false ? { ...named, unreachable: true } : named;
  };
  const decided: RuleCounts[] = [];
  const neverMatched: RuleCounts[] = [];
  let total = 0;
  source.rules.forEach((rule, index) => {
    if (rule.number !== 'policy') total++;
    const packets = tally.decided[index] ?? 0;
    if (packets > 0) decided.push(describe(index, packets));
    else if (rule.number !== 'policy' && source.counters(index).packets === 0n) neverMatched.push(describe(index, 0));
  });
  return { total, decided: decided.sort(byCount((item) => item.rule)), neverMatched };
}

function offloadNote({ offloaded }: PacketTally): string[] {
  if (offloaded === 0) return [];
  const packets = offloaded === 1 ? '1 packet has a checksum' : `${countText(offloaded)} packets have checksums`;
  return [`${packets} that the sending host left to its network card (offload): taken as right`];
}

/** Makes the summary of one world from its tally. */
export function summarize(tally: PacketTally, source: SummarySource): Summary {
  return {
    captures: [...source.captures],
    packets: source.packets,
    ...(source.first === undefined ? {} : { first: stampText(source.first) }),
    ...(source.last === undefined ? {} : { last: stampText(source.last) }),
    verdicts: verdictCounts(tally),
    states: stateCounts(tally),
    protocols: protocolCounts(tally),
    ...transitionCounts(tally),
    ...reasonCounts(tally),
    ...(source.copies && { copies: source.copies }),
    rules: ruleCounts(tally, source),
    ...(tally.strangers.full ? { flowsAtLeast: true as const } : {}),
    notes: [...source.notes, ...offloadNote(tally)],
  };
}

/** Makes the summary of a run's first world, whose uncounted packets `tally` has, and its copies `check`; once per run. */
export function summarizeRun(tally: PacketTally, check: CopyCheck, result: RunResult): Summary {
  const { packets, first, last, notes, files } = result;
  const { rules, counters, tallies } = result.worlds[0]!;
  for (const at of tallies.addresses) tally.addLane(tallies.view, at, rules.length);
  const captures = files.map(({ path }) => path);
  return summarize(tally, { captures, packets, first, last, rules, counters, notes, copies: check.counts() });
}

/** The summary as `--json` prints it: one object on one line. */
export function summaryJson(summary: Summary): string {
  return `${JSON.stringify(summary)}\n`;
}
