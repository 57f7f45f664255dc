// What did the kernel decide about each packet? Turns the raw record of a run into one answer per packet, in the terms of
// DESIGN section 6 (`--packets`), and one line per event.

import type { Frame } from './frames.ts';
import { INVALID_GROUP, type KernelRecord, WATCH_GROUP } from './kernel.ts';
import type { EntryInfo } from './netlink.ts';
import { flowKey, rejectKind } from './packet.ts';

/** What the kernel did with one packet. */
export interface KernelAnswer {
  n: number;
  /** Number in the capture the packet came from. */
  origin: number;
  /** Time our side is to see it at, ns: a whole number of jiffies, the moment the kernel had it. */
  ts: bigint;
  /** A jiffy passed while the packet was under way, so times of its flow may be off by one jiffy from here on. */
  ticked: boolean;
  hooks: string[];
  /** forward, input; none when the packet came no further than PREROUTING. */
  path: 'forward' | 'input' | 'none';
  ct?: { state: string; dir?: 'original' | 'reply' };
  /** The flow's entry right after the packet, if there is one; `flow` is the packet that created it. */
  entry?: {
    flow: number | undefined;
    status: string[];
    tcp?: string;
    sctp?: string;
    mark: number;
    helper?: string;
    expected: boolean;
    timeout: number;
    scale?: [number, number];
    flags?: [number, number];
  };
  verdict: 'ACCEPT' | 'DROP' | 'REJECT' | 'NONE';
  with?: string;
  /** nf_conntrack_log_invalid's words about this packet, the first if there are several. */
  why?: string;
  /** Kinds of the events of this packet, without those of entries that had expired before. */
  events: string[];
  /**
   * DESTROY events without time left that came while the packet was under way: of entries that had expired, or of one
   * that the packet destroyed in its last second.
   */
  deaths?: number;
}

/** One event, in the words of `conntrack -E`. */
export interface EventLine {
  /** Packet that caused it; for an expiry the packet it happened to come with. Our side may not know: 0. */
  n: number;
  kind: string;
  line: string;
  /** A DESTROY because the time was up: when it comes is up to the kernel's collector. */
  expired: boolean;
}

export interface KernelAnswers {
  packets: KernelAnswer[];
  events: EventLine[];
  /** Lines of `conntrack -E expect`, each with the packet that caused it, and of `conntrack -L expect` at the end. */
  expectations: { n: number; line: string }[];
  pending: string[];
  table: string[];
  tableDelay: number;
  counters4: string;
  counters6: string;
}

const HOOKS = new Map([
  ['R', 'PREROUTING'],
  ['F', 'FORWARD'],
  ['I', 'INPUT'],
  ['S', 'POSTROUTING'],
]);

/** IPS_* bits by name, without CONFIRMED: an entry that is in the table has it. */
const STATUS: [number, string][] = [
  [1, 'EXPECTED'],
  [2, 'SEEN_REPLY'],
  [4, 'ASSURED'],
  [16, 'SRC_NAT'],
  [32, 'DST_NAT'],
  [512, 'DYING'],
  [1024, 'FIXED_TIMEOUT'],
  [8192, 'HELPER'],
];
const TCP_STATES = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
];

const SCTP_STATES = [
  'NONE',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_SENT',
  'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
];

/** Capture time of the first packet, ns. */
const EPOCH = 1_700_000_000_000_000_000n;

/** One answer per frame, and the events in order. */
export function answersOf(frames: Frame[], record: KernelRecord): KernelAnswers {
  const clock = jiffyClock(record);
  const packets = frames.map((frame, index): KernelAnswer => {
    const { before, after } = record.sent[index]!;
    return {
      n: frame.n,
      origin: frame.origin,
      ts: clock(before),
      ticked: before !== after,
      hooks: [],
      path: 'none',
      verdict: 'NONE',
      events: [],
    };
  });
  readLogs(record, packets, frames);
  const events = readEvents(record, packets, frames);
  const expectations = record.expectationLines.map((line, index) => ({ n: record.expectations[index] ?? 0, line }));
  const { pending } = record;
  return {
    packets,
    events,
    expectations,
    pending,
    table: record.table,
    tableDelay: record.tableDelay,
    ...counters(record),
  };
}

function counters({ counters4, counters6 }: KernelRecord): { counters4: string; counters6: string } {
  return { counters4, counters6 };
}

/** Maps the coarse clock to capture time in whole jiffies. */
function jiffyClock({ sent, tick }: KernelRecord): (coarse: bigint) => bigint {
  const first = sent[0]?.before ?? 0n;
  return (coarse) => EPOCH + BigInt(Math.round(Number(coarse - first) / tick)) * BigInt(tick);
}

function readLogs(record: KernelRecord, packets: KernelAnswer[], frames: Frame[]): void {
  for (const { n, log } of record.logs) {
    const packet = packets[n - 1];
    if (log.group === INVALID_GROUP && log.prefix.startsWith('nf_ct_')) {
      // What a helper says stands in place of what was said before. It sees the packet where its hop was counted.
      const helper = / dropping packet: (.*)/.exec(log.prefix)?.[1];
      // The router's own answers are tracked, too, while the packet is under way: their bytes are others.
      const about = frames[n - 1]?.packet.subarray(0, log.payload.length);
      if (packet && helper !== undefined) packet.why = helper.trim();
      else if (packet && about?.equals(log.payload)) packet.why ??= log.prefix.replace(/^nf_ct_proto_\d+: /, '').trim();
      continue;
    }
    if (log.group !== WATCH_GROUP) continue;
    if (log.prefix === 'O') {
      const kind = rejectKind(log.payload);
      const judged = packet?.hooks.includes('FORWARD') || packet?.hooks.includes('INPUT');
      if (packet && kind && judged) {
        packet.verdict = 'REJECT';
        packet.with = kind;
      }
      continue;
    }
    // Records without a sender are the router's own packets on their way out.
    if (!packet || log.source === undefined) continue;
    const hook = HOOKS.get(log.prefix);
    if (hook) packet.hooks.push(hook);
    if (log.prefix === 'R') packet.verdict = 'DROP';
    if (log.prefix === 'F') packet.path = 'forward';
    if (log.prefix === 'I') packet.path = 'input';
    if (log.prefix === 'S' || log.prefix === 'i') packet.verdict = 'ACCEPT';
    const [word, state, dir] = log.prefix.split(' ');
    if (word === 'ct' && state) packet.ct = { state: state.toUpperCase(), ...(dir && { dir: dir as 'original' }) };
  }
}

const IPCTNL_MSG_CT_DELETE = 2;
const NLM_F_CREATE_EXCL = 0x400 | 0x200;

function readEvents(record: KernelRecord, packets: KernelAnswer[], frames: Frame[]): EventLine[] {
  const creators = new Map<number, number>();
  const events: EventLine[] = [];
  const entries = record.entries;
  let at = 0;
  for (let n = 0; n <= packets.length; n++) {
    const packet = packets[n - 1];
    for (; at < record.events.length && record.events[at]!.n === n; at++) {
      const { message, entry } = record.events[at]!;
      const line = record.eventLines[at]!;
      const kind =
        (message.type & 0xff) === IPCTNL_MSG_CT_DELETE
          ? 'DESTROY'
          : message.flags & NLM_F_CREATE_EXCL
            ? 'NEW'
            : 'UPDATE';
      if (!line.trimStart().startsWith(`[${kind}]`)) throw new Error(`event ${at + 1} is not ${kind}: ${line}`);
      const expired = kind === 'DESTROY' && entry.timeout === undefined;
      if (kind === 'NEW') creators.set(entry.id, n);
      if (packet && !expired) packet.events.push(kind);
      if (packet && expired) packet.deaths = (packet.deaths ?? 0) + 1;
      events.push({ n, kind, line, expired });
    }
    const entry = entries[n - 1];
    if (packet && entry && frames[n - 1]) packet.entry = entryAnswer(entry, creators.get(entry.id));
  }
  return events;
}

function entryAnswer(entry: EntryInfo, flow: number | undefined): NonNullable<KernelAnswer['entry']> {
  const status = entry.status ?? 0;
  return {
    flow,
    status: STATUS.filter(([bit]) => status & bit).map(([, name]) => name),
    ...(entry.tcp !== undefined && { tcp: TCP_STATES[entry.tcp] ?? String(entry.tcp) }),
    ...(entry.sctp !== undefined && { sctp: SCTP_STATES[entry.sctp] ?? String(entry.sctp) }),
    mark: entry.mark ?? 0,
    ...(entry.helper !== undefined && { helper: entry.helper }),
    expected: entry.expected,
    timeout: entry.timeout ?? 0,
    ...(entry.scale && { scale: entry.scale }),
    ...(entry.flags && { flags: entry.flags }),
  };
}

/** Numbers of the packets of a frame's flow up to that frame, newest last. */
export function packetsOfFlow(frames: Frame[], n: number, most: number): number[] {
  const key = flowKey(frames[n - 1]!.packet);
  const found: number[] = [];
  for (let index = n - 1; index >= 0 && found.length < most; index--) {
    if (flowKey(frames[index]!.packet) === key) found.unshift(index + 1);
  }
  return found;
}
