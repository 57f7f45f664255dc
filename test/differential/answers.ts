// What did the kernel decide about each packet? Turns the raw record of a run into one answer per packet, in the terms of
// DESIGN section 6 (`--packets`), and one line per event.

import { getSystemErrorName } from 'node:util';
import type { Frame } from './frames.ts';
import { type HostFiles, isAsSent } from './host.ts';
import { INVALID_GROUP, type KernelRecord, LOOPBACK_SOURCE, WATCH_GROUP } from './kernel.ts';
import type { EntryInfo } from './netlink.ts';
import { flowKey, isTooBig, rejectKind } from './packet.ts';

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
  /** forward, input, output; none when the packet came no further than PREROUTING. */
  path: 'forward' | 'input' | 'output' | 'none';
  /** The host could not send it: the kernel's error. */
  refused?: string;
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
  /** What nft lists of the question's tables before the first packet and after the last. */
  nft?: { before: string; after: string } | undefined;
  /** What `ip -j` printed of the router. */
  host?: HostFiles | undefined;
}

const HOOKS = new Map([
  ['R', 'PREROUTING'],
  ['F', 'FORWARD'],
  ['I', 'INPUT'],
  ['O', 'OUTPUT'],
  ['S', 'POSTROUTING'],
]);

/** IPS_* bits by name, without CONFIRMED: an entry that is in the table has it. */
const STATUS: [number, string][] = [
  [1, 'EXPECTED'],
  [2, 'SEEN_REPLY'],
  [4, 'ASSURED'],
  [16, 'SRC_NAT'],
  [32, 'DST_NAT'],
  [64, 'SEQ_ADJUST'],
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
  for (const packet of packets) {
    // Behind the last hook, what a helper made longer may turn out to be too long for the link.
    const sent = record.left.get(packet.n) ?? [];
    const passed = packet.verdict === 'ACCEPT' && packet.path === 'forward';
    if (passed && sent.length > 0 && sent.every(isTooBig) && !isTooBig(frames[packet.n - 1]!.packet))
      packet.verdict = 'DROP';
  }
  const events = readEvents(record, packets, frames);
  for (const [n, code] of record.refusals) {
    const name = getSystemErrorName(-code);
    if (!NO_WAY.has(name)) throw new Error(`a raw socket does not take packet ${n}: ${name}`);
    Object.assign(packets[n - 1]!, { refused: name, path: 'output', verdict: 'DROP' });
  }
  const expectations = record.expectationLines.map((line, index) => ({ n: record.expectations[index] ?? 0, line }));
  const { pending, table, tableDelay, host } = record;
  const { counters4, counters6, nft } = record;
  return { packets, events, expectations, pending, table, tableDelay, host, counters4, counters6, nft };
}

/** Errors by which routing says that there is no way for a packet of the host's own. */
const NO_WAY = new Set(['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL']);

/** Maps beginnings of jiffies to capture time in whole jiffies. */
function jiffyClock({ sent, tick }: KernelRecord): (jiffy: bigint) => bigint {
  const first = sent[0]?.before ?? 0n;
  return (jiffy) => EPOCH + BigInt(Math.round(Number(jiffy - first) / tick)) * BigInt(tick);
}

function readLogs(record: KernelRecord, packets: KernelAnswer[], frames: Frame[]): void {
  for (const { n, log } of record.logs) {
    const packet = packets[n - 1];
    if (log.group === INVALID_GROUP && log.prefix.startsWith('nf_ct_')) {
      // What a helper says stands in place of what was said before. It sees the packet where its hop was counted.
      const helper = / dropping packet: (.*)/.exec(log.prefix)?.[1];
      // The router's own answers are tracked, too, while the packet is under way: their bytes are others.
      const about = frames[n - 1];
      if (packet && helper !== undefined) packet.why = helper.trim();
      else if (packet && about && isAbout(about, log.payload))
        packet.why ??= log.prefix.replace(/^nf_ct_proto_\d+: /, '').trim();
      continue;
    }
    if (log.group !== WATCH_GROUP) continue;
    const sent = log.prefix.startsWith('=');
    const point = sent ? log.prefix.slice(1) : log.prefix;
    if (point === 'O' && !sent) {
      const kind = rejectKind(log.payload);
      const judged = packet?.hooks.some((hook) => hook !== 'PREROUTING');
      // An answer that the rules reject is answered in its turn: the first one is the packet's.
      if (packet && kind && judged && packet.verdict !== 'REJECT') {
        packet.verdict = 'REJECT';
        packet.with = kind;
      }
      continue;
    }
    // Records without a sender are the router's own answers on their way out, or to itself.
    if (!packet || (!sent && (log.source === undefined || log.source === LOOPBACK_SOURCE))) continue;
    // A copy of what goes to a group or to everybody comes back; what the rules say of that is not said of the packet.
    const copy = sent && frames[n - 1]?.own === 'link' && packet.hooks.includes('POSTROUTING');
    if (copy && point !== 'S') continue;
    const hook = HOOKS.get(point);
    if (hook) packet.hooks.push(hook);
    if (point === 'R' || point === 'O') packet.verdict = 'DROP';
    if (point === 'F') packet.path = 'forward';
    // What goes on over loopback was sent all the same.
    if (point === 'I' && packet.path === 'none') packet.path = 'input';
    if (point === 'O') packet.path = 'output';
    if (point === 'S' || point === 'i') packet.verdict = 'ACCEPT';
    const [word, state, dir] = point.split(' ');
    if (word === 'ct' && state) packet.ct = { state: state.toUpperCase(), ...(dir && { dir: dir as 'original' }) };
  }
}

/** Is this the start of the frame's packet? The router's own answers are others. */
function isAbout(frame: Frame, shown: Buffer): boolean {
  return frame.own ? isAsSent(frame.packet, shown) : frame.packet.subarray(0, shown.length).equals(shown);
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
