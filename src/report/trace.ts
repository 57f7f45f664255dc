// What happened to one packet, hook by hook and rule by rule, and which numbers decided?

import picocolors from 'picocolors';
import { ChainVerdict, Hook, Reason, TcpConntrack, Verdict } from '../../assembly/vocabulary.ts';
import { alignRows } from './align.ts';
import { tcpFlagsText } from './describe.ts';
import { ctStateName, dirName, rejectName, sctpStateName, statusNames, tcpStateName, verdictName } from './names.ts';
import { flagClassName, whyText } from './reason.ts';
import { type ReportRule, ruleLabel } from './rules.ts';

/** What one side of a TCP connection has shown (kernel: struct ip_ct_tcp_state); sequence numbers are u32. */
export interface TracePeer {
  td_end: number;
  td_maxend: number;
  td_maxwin: number;
  td_maxack: number;
  td_scale: number;
  /** IP_CT_TCP_FLAG_* bits. */
  flags: number;
}

/** What the TCP tracker saw and did. Pairs are the original direction's side first. */
export interface TraceTcp {
  /** TCP flags byte, 0 if not known. */
  flags: number;
  /** Flag class by which the transition table was read (enum tcp_bit_set); means nothing without flags. */
  index: number;
  seq: number;
  ack: number;
  /** Sequence number after the segment. */
  end: number;
  /** Window after scaling. */
  win: number;
  /** Highest SACK edge; equal to ack without a SACK option. */
  sack: number;
  /** TcpConntrack before and after; NONE before for a new entry. */
  before: number;
  after: number;
  peersBefore: readonly [TracePeer, TracePeer];
  peersAfter: readonly [TracePeer, TracePeer];
  /** The four bounds as tcp_in_window computed them; absent, like the segment's numbers, where it was not called. */
  bounds?: { seqUpper: number; seqLower: number; ackUpper: number; ackLower: number };
}

/** One step of a traced packet, in the order in which it happened. */
export type TraceEntry =
  /** A hook is entered; with table and chain: a base chain of it. */
  | { kind: 'hook'; hook: number; table?: string; chain?: string }
  /** A rule was tried. */
  | { kind: 'rule'; rule: number; matched: boolean }
  /** A base chain returned (ChainVerdict); `rule` is the rule or policy that decided. */
  | { kind: 'chain'; verdict: number; rule?: number }
  /** Connection tracking was done. */
  | {
      kind: 'ct';
      /** CtState, Dir. */
      state: number;
      dir: number;
      /** Flow.id; absent without an entry. */
      id?: number;
      statusBefore: number;
      statusAfter: number;
      /** Seconds left; `timeoutBefore` is absent for a new entry. */
      timeoutBefore?: number;
      timeoutAfter?: number;
      reason: number;
      reasonValue: number;
      reasonTag: number;
      tcp?: TraceTcp;
      sctp?: TraceSctp;
    }
  /** The route that was chosen: AddrType name or interface name in words. */
  | { kind: 'route'; text: string }
  /** NAT has bound the new flow. */
  | { kind: 'nat'; text: string }
  /** The new flow was expected. */
  | { kind: 'expected'; text: string }
  /** A helper looks at the packet; then what it does with it. */
  | { kind: 'helper'; text: string }
  | { kind: 'helped'; text: string }
  /** The host answers the packet; what follows happens to the answer. */
  | { kind: 'answer'; text: string }
  /** The entry was confirmed: it is in the table from here on. */
  | { kind: 'confirm'; id: number };

/** What the SCTP tracker did. */
export interface TraceSctp {
  /** SctpConntrack before and after; no `before` for a new entry. */
  before?: number;
  after: number;
  /** Verification tags that packets of the original and of the reply direction bear from now on; 0 not known. */
  tags: [number, number];
}

/** The packet that was traced, and what became of it. */
export interface TracedPacket {
  file: number;
  n: number;
  /** Capture's path. */
  path: string;
  /** `seconds.nanoseconds` of its record. */
  ts: string;
  /** One line about it (describe.ts). */
  text: string;
  /** Verdict, RejectWith, Reason of the packet, and what completes it (Packet.why_value, Packet.ct_mark). */
  verdict: number;
  reject: number;
  reason: number;
  reasonValue: number;
  reasonTag: number;
  /** Rule that decided; absent if none. */
  rule?: number;
}

/** a < b in sequence space (kernel: before()). */
function seqBefore(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** One of the four tests of tcp_in_window, in words. */
function boundRow(name: string, holds: boolean, left: string, relation: string, bound: number): string[] {
  return [name, `${left} ${relation} ${bound}`, holds ? 'ok' : 'VIOLATED'];
}

/**
 * The four bounds. Kernel: seq < upper + 1, end > lower - 1, ack < upper + 1, ack > lower - 1, all in sequence space;
 * the bounds here are the last good values.
 */
function boundRows(tcp: TraceTcp): string[][] {
  const { bounds } = tcp;
  if (bounds === undefined) return [];
  return [
    boundRow('SEQ upper', !seqBefore(bounds.seqUpper, tcp.seq), `seq ${tcp.seq}`, '<=', bounds.seqUpper),
    boundRow('SEQ lower', !seqBefore(tcp.end, bounds.seqLower), `end ${tcp.end}`, '>=', bounds.seqLower),
    boundRow('ACK upper', !seqBefore(bounds.ackUpper, tcp.sack), `sack ${tcp.sack}`, '<=', bounds.ackUpper),
    boundRow('ACK lower', !seqBefore(tcp.ack, bounds.ackLower), `ack ${tcp.ack}`, '>=', bounds.ackLower),
  ];
}

function peerRows(tcp: TraceTcp): string[][] {
  const rows = [['', 'td_end', 'td_maxend', 'td_maxwin', 'td_maxack', 'td_scale', 'flags']];
  const row = (name: string, peer: TracePeer) => [
    name,
    String(peer.td_end),
    String(peer.td_maxend),
    String(peer.td_maxwin),
    String(peer.td_maxack),
    String(peer.td_scale),
    `0x${peer.flags.toString(16)}`,
  ];
  for (const dir of [0, 1] as const) {
    rows.push(row(`${dirName(dir)} before`, tcp.peersBefore[dir]), row(`${dirName(dir)} after`, tcp.peersAfter[dir]));
  }
  return rows;
}

function tcpLines(tcp: TraceTcp): string[] {
  const before = tcp.before === TcpConntrack.NONE ? '(new)' : tcpStateName(tcp.before);
  const segment = tcp.flags === 0 ? '' : ` [${tcpFlagsText(tcp.flags)}] as ${flagClassName(tcp.index)}`;
  const numbers = `      seq ${tcp.seq}  end ${tcp.end}  ack ${tcp.ack}  sack ${tcp.sack}  win ${tcp.win}`;
  return [
    `      tcp${segment}: ${before} -> ${tcpStateName(tcp.after)}`,
    ...(tcp.bounds === undefined ? [] : [numbers]),
    ...alignRows(boundRows(tcp), 'lll', '      '),
    ...alignRows(peerRows(tcp), 'lrrrrrr', '      '),
  ];
}

function sctpLines({ before, after, tags }: TraceSctp): string[] {
  const from = before === undefined ? '(new)' : sctpStateName(before);
  const [original, reply] = tags.map((tag) => `0x${tag.toString(16).padStart(8, '0')}`);
  return [
    `      sctp: ${from} -> ${sctpStateName(after)}`,
    `      verification tags: original ${original}, reply ${reply}`,
  ];
}

function ctLines(entry: Extract<TraceEntry, { kind: 'ct' }>): string[] {
  const names = (status: number) => statusNames(status).join(' ') || '-';
  const whose = entry.id === undefined ? '' : ` of flow ${entry.id}, ${dirName(entry.dir)} direction`;
  const lines = [`    conntrack: ${ctStateName(entry.state)}${whose}`];
  if (entry.reason !== Reason.NONE) lines.push(`      ${whyText(entry.reason, entry.reasonValue, entry.reasonTag)}`);
  if (entry.statusBefore !== entry.statusAfter) {
    lines.push(`      status ${names(entry.statusBefore)} -> ${names(entry.statusAfter)}`);
  } else if (entry.id !== undefined) lines.push(`      status ${names(entry.statusAfter)}`);
  if (entry.timeoutAfter !== undefined) {
    const before = entry.timeoutBefore === undefined ? '' : `${entry.timeoutBefore} -> `;
    lines.push(`      timeout ${before}${entry.timeoutAfter} s`);
  }
  if (entry.sctp !== undefined) lines.push(...sctpLines(entry.sctp));
  return entry.tcp === undefined ? lines : [...lines, ...tcpLines(entry.tcp)];
}

function verdictLine(packet: TracedPacket, rules: readonly ReportRule[]): string {
  const reject = rejectName(packet.reject);
  const verdict = verdictName(packet.verdict) + (reject === undefined ? '' : ` with ${reject}`);
  const by = packet.rule === undefined ? '' : ` by ${ruleLabel(rules, packet.rule)}`;
  const why = packet.reason === Reason.NONE ? '' : `: ${whyText(packet.reason, packet.reasonValue, packet.reasonTag)}`;
  return `${verdict}${by}${why}`;
}

/**
 * The trace as text for people.
 *
 * @param color for terminals
 */
export function traceText(
  packet: TracedPacket,
  entries: readonly TraceEntry[],
  rules: readonly ReportRule[],
  color: boolean,
): string {
  const colors = picocolors.createColors(color);
  const lines = [colors.bold(`${packet.path}:${packet.n}  ${packet.ts}`), `  ${packet.text}`];
  let hook = -1;
  for (const entry of entries) {
    switch (entry.kind) {
      case 'hook':
        if (entry.hook !== hook) lines.push(colors.bold(`  ${Hook[entry.hook] ?? entry.hook}`));
        hook = entry.hook;
        if (entry.table !== undefined) lines.push(`    ${entry.table}/${entry.chain ?? ''}`);
        break;
      case 'rule': {
        const mark = entry.matched ? colors.green('match') : colors.dim('  -  ');
        const text = rules[entry.rule]?.text ?? '';
        lines.push(`      ${mark}  ${ruleLabel(rules, entry.rule)}  ${entry.matched ? text : colors.dim(text)}`);
        break;
      }
      case 'chain': {
        const by = entry.rule === undefined ? '' : ` by ${ruleLabel(rules, entry.rule)}`;
        lines.push(`      => ${ChainVerdict[entry.verdict] ?? entry.verdict}${by}`);
        break;
      }
      case 'ct':
        lines.push(...ctLines(entry));
        break;
      case 'route':
        lines.push(`    route: ${entry.text}`);
        break;
      case 'nat':
        lines.push(`    nat: ${entry.text}`);
        break;
      case 'expected':
      case 'helper':
        lines.push(`    ${entry.kind}: ${entry.text}`);
        break;
      case 'helped':
        lines.push(`      ${entry.text}`);
        break;
      case 'answer':
        lines.push(`  answers with ${entry.text}`);
        hook = -1;
        break;
      case 'confirm':
        lines.push(`    confirm: flow ${entry.id} is in the table`);
        break;
    }
  }
  const accepted = packet.verdict === Verdict.ACCEPT;
  const verdict = verdictLine(packet, rules);
  lines.push(colors.bold(accepted ? colors.green(verdict) : colors.red(verdict)));
  return `${lines.join('\n')}\n`;
}

/** The trace as `--json` prints it: one object on one line, enums by name. */
export function traceJson(packet: TracedPacket, entries: readonly TraceEntry[], rules: readonly ReportRule[]): string {
  const steps = entries.map((entry) => {
    switch (entry.kind) {
      case 'hook':
        return { ...entry, hook: Hook[entry.hook] ?? entry.hook };
      case 'rule':
        return { ...entry, rule: ruleLabel(rules, entry.rule), text: rules[entry.rule]?.text };
      case 'chain': {
        const rule = entry.rule === undefined ? undefined : ruleLabel(rules, entry.rule);
        return { kind: entry.kind, verdict: ChainVerdict[entry.verdict], rule };
      }
      case 'ct': {
        const { reason, reasonValue, reasonTag, statusBefore, statusAfter, tcp, sctp, ...rest } = entry;
        return {
          ...rest,
          state: ctStateName(entry.state),
          dir: entry.id === undefined ? undefined : dirName(entry.dir),
          statusBefore: statusNames(statusBefore),
          statusAfter: statusNames(statusAfter),
          why: reason === Reason.NONE ? undefined : whyText(reason, reasonValue, reasonTag),
          tcp: tcp && {
            ...tcp,
            flags: tcp.flags === 0 ? undefined : tcpFlagsText(tcp.flags),
            index: tcp.flags === 0 ? undefined : flagClassName(tcp.index),
            before: tcp.before === TcpConntrack.NONE ? undefined : tcpStateName(tcp.before),
            after: tcpStateName(tcp.after),
          },
          sctp: sctp && {
            before: sctp.before === undefined ? undefined : sctpStateName(sctp.before),
            after: sctpStateName(sctp.after),
            tags: sctp.tags,
          },
        };
      }
      default:
        return entry;
    }
  });
  const { file, n, ts, text } = packet;
  const result = {
    file,
    n,
    ts,
    packet: text,
    steps,
    verdict: verdictName(packet.verdict),
    with: rejectName(packet.reject),
    rule: packet.rule === undefined ? undefined : ruleLabel(rules, packet.rule),
    why: packet.reason === Reason.NONE ? undefined : whyText(packet.reason, packet.reasonValue, packet.reasonTag),
  };
  return `${JSON.stringify(result)}\n`;
}
