// Do the kernel and ctreplay agree? Compares packet by packet, event by event per flow and over all, the table at the
// end and the rule counters. The differences that are the kernel's own chance are known here and nowhere else:
//
//   expiry     the kernel's collector destroys expired entries late and in its own order: those lines are compared as a
//              set. Reading the table evicts what is left; what expired after the last packet is still in our table.
//   jiffy      a jiffy passed while a packet was under way: whole seconds left may then differ by one for its flow.
//   silent     a REJECT that answers nothing looks like a DROP from outside.
//   port       where a flow's port is taken, the kernel looks for another beginning at random: compared by its range.
//   error      an ICMP error of the host's own is to our side the answer to what it quotes and RELATED to that, even where no
//              entry of it was ever confirmed (icmp_glue_bits()); one from a raw socket is an answer to nothing.
//   table      the table is read some milliseconds after the last packet (longer on a busy machine): that much less, and
//              one second for what was cut off, is the same.

import type { EventLine, KernelAnswer, KernelAnswers } from './answers.ts';
import { compareExpectations } from './compare-expectations.ts';
import type { Departures, SentExcuses } from './compare-sent.ts';
import type { Announced } from './kernel.ts';
import { namedRanges, withoutMovedPort } from './moved-ports.ts';
import { statesOf } from './nft.ts';
import { sameWhy } from './why.ts';

/** One line of `ctreplay replay --packets`, as far as it is compared. */
export interface OurPacket {
  n: number;
  path?: string;
  ct?: {
    id?: number;
    state: string;
    dir?: string;
    status?: string[];
    tcp?: string;
    sctp?: string;
    mark?: number;
    helper?: string;
    master?: number;
  };
  verdict: string;
  with?: string;
  rule?: string;
  why?: string;
  frag?: { n: number };
  events?: string[];
}

/** What ctreplay said: packets in order, `--events` lines, and, where asked for, table and counters. */
export interface OurAnswers {
  packets: OurPacket[];
  /** `conntrack -E -o timestamp` lines. */
  events: string[];
  /** Lines of `--expectations`, and of `list --expected`. */
  expectations: string[];
  pending: string[];
  table?: string[];
  counters4?: string;
  counters6?: string;
  nft?: string;
  /** What left, where that is compared. */
  departures?: Departures;
}

/** One disagreement. `n` is the packet it shows at, 0 if none can be named. */
export interface Difference {
  n: number;
  what: string;
  kernel: string;
  ours: string;
}

export interface Comparison {
  differences: Difference[];
  packets: number;
  events: number;
  /** Packets that left and whose bytes were compared. */
  sent: number;
  /** Differences that are the kernel's chance, by kind, how often each was met. */
  excused: {
    expiry: number;
    jiffy: number;
    silent: number;
    error: number;
    table: number;
    port: number;
  } & Partial<SentExcuses>;
}

/** What has to be known of packet n itself. */
export interface PacketFacts {
  /** Does a REJECT of this kind (as `--reject-with` names it) answer it with nothing? */
  isSilent: (n: number, kind: string) => boolean;
  /** Is it an ICMP error that the host sends? */
  isOwnError: (n: number) => boolean;
  /** Ports that the traffic announces to helpers, as far as that is known. */
  announced?: Announced | undefined;
}

export const NO_FACTS: PacketFacts = { isSilent: () => false, isOwnError: () => false };

/** Compares all there is. Both sides must have been given the same packets. */
export function compare(
  kernel: KernelAnswers,
  ours: OurAnswers,
  { isSilent, isOwnError, announced }: PacketFacts = NO_FACTS,
  rules: readonly string[] = [],
): Comparison {
  const named = namedRanges(rules);
  const plain = (line: string): string => withoutMovedPort(line, named, announced?.get('pptp'));
  const result: Comparison = {
    differences: [],
    packets: kernel.packets.length,
    events: kernel.events.length,
    sent: 0,
    excused: { expiry: 0, jiffy: 0, silent: 0, error: 0, table: 0, port: 0 },
  };
  const report = (n: number, what: string, theirs: unknown, own: unknown): void => {
    result.differences.push({ n, what, kernel: show(theirs), ours: show(own) });
  };
  if (ours.packets.length !== kernel.packets.length) {
    report(0, 'number of packets', kernel.packets.length, ours.packets.length);
  }
  for (const [index, answer] of kernel.packets.entries()) {
    const own = ours.packets[index];
    if (!own) continue;
    if (waits(own)) {
      comparePart(answer, report);
      continue;
    }
    if (isUntied(answer, own) && isOwnError(answer.n)) {
      result.excused.error++;
      continue;
    }
    const silent = answer.verdict === 'DROP' && own.verdict === 'REJECT' && isSilent(answer.n, own.with ?? '');
    if (silent) result.excused.silent++;
    else if (verdict(answer) !== verdict(own)) report(answer.n, 'verdict', verdict(answer), verdict(own));
    comparePacket(answer, own, report);
  }
  result.excused.port = kernel.events.filter(({ kind, line }) => kind === 'NEW' && plain(line) !== line).length;
  const theirs = {
    ...kernel,
    events: kernel.events.map((event) => ({ ...event, line: plain(event.line) })),
    table: kernel.table.map(plain),
  };
  const own = { ...ours, events: ours.events.map(plain), ...(ours.table && { table: ours.table.map(plain) }) };
  compareEvents(theirs, own, result, report);
  compareExpectations(kernel, ours, result, report, announced);
  if (own.table) compareTable(theirs.table, own.table, kernel.tableDelay, result, report);
  const { counters4, counters6 } = ours;
  // The rules met those errors in another state.
  const untied = result.excused.error > 0;
  if (counters4 !== undefined && !untied) compareCounters('iptables', kernel.counters4, counters4, report);
  if (counters6 !== undefined && !untied) compareCounters('ip6tables', kernel.counters6, counters6, report);
  if (kernel.nft && !untied) compareNft(kernel.nft, ours.nft ?? '', report);
  result.differences.sort((a, b) => (a.n || Number.MAX_SAFE_INTEGER) - (b.n || Number.MAX_SAFE_INTEGER));
  return result;
}

export type Report = (n: number, what: string, kernel: unknown, ours: unknown) => void;

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** An ICMP error that is RELATED to our side alone, without an entry. */
function isUntied(kernel: KernelAnswer, ours: OurPacket): boolean {
  return kernel.ct?.state === 'INVALID' && ours.ct?.state === 'RELATED' && ours.ct.id === undefined;
}

/** A fragment that did not complete its packet: it bears the verdict of a packet to come, or of none. */
function waits(ours: OurPacket): boolean {
  return ours.frag ? ours.frag.n !== ours.n : ours.why?.startsWith('fragment-') === true;
}

/** Of such a fragment the kernel shows nothing behind the place where packets are put together. */
function comparePart(kernel: KernelAnswer, report: Report): void {
  if (kernel.ct || !/^(PREROUTING|OUTPUT)$/.test(kernel.hooks.join()))
    report(kernel.n, 'reassembly', kernel.ct ?? kernel.hooks, 'a fragment');
  if (kernel.events.length) report(kernel.n, 'events', kernel.events.join(' '), '');
}

function comparePacket(kernel: KernelAnswer, ours: OurPacket, report: Report): void {
  const { n } = kernel;
  const check = (what: string, theirs: unknown, own: unknown): void => {
    if (show(theirs) !== show(own)) report(n, what, theirs, own);
  };
  // A packet that never left PREROUTING has no path on the kernel's side: the route was not asked for.
  if (kernel.path !== 'none') check('path', kernel.path, ours.path);
  // What CT --notrack said of a packet that the raw table then dropped, nobody saw.
  const unseen = kernel.ct === undefined && ours.rule?.startsWith('raw/') && ours.ct?.state === 'UNTRACKED';
  // The kernel is asked right behind connection tracking; what was INVALID there nft's notrack may still untrack.
  const untracked = kernel.ct?.state === 'INVALID' && ours.ct?.state === 'UNTRACKED' && ours.why !== undefined;
  if (!unseen && !untracked) check('ct.state', kernel.ct?.state, ours.ct?.state);
  if (kernel.ct?.dir) check('ct.dir', kernel.ct.dir, ours.ct?.dir);
  const { entry } = kernel;
  // Without a confirmed entry, or for a packet that does not belong to it, there is nothing to compare with.
  if (entry && kernel.ct?.dir) {
    if (entry.flow !== undefined) check('ct.id', entry.flow, ours.ct?.id);
    check('ct.status', entry.status, ours.ct?.status ?? []);
    check('ct.tcp', entry.tcp, ours.ct?.tcp);
    check('ct.sctp', entry.sctp, ours.ct?.sctp);
    check('ct.mark', entry.mark, ours.ct?.mark ?? 0);
    check('ct.helper', entry.helper, ours.ct?.helper);
    check('has a master', entry.expected, ours.ct?.master !== undefined);
  }
  // What is said of a packet that conntrack never saw is not conntrack's.
  // The kernel's message about a packet put together from fragments bears no frame's number.
  const told = kernel.why !== undefined || ours.frag === undefined;
  if (kernel.ct && told && !sameWhy(kernel.why, ours.why)) report(n, 'why', kernel.why, ours.why);
  const events = [...(ours.events ?? [])];
  const death = events.indexOf('DESTROY');
  if (kernel.deaths && death >= 0 && !kernel.events.includes('DESTROY')) events.splice(death, 1);
  // Two calls may end with one packet: which lines there are is compared elsewhere.
  check('events', [...new Set(kernel.events)].join(' '), events.join(' '));
}

function verdict(answer: { verdict: string; with?: string }): string {
  return answer.with ? `${answer.verdict} ${answer.with}` : answer.verdict;
}

/** `[NEW] tcp      6 120 SYN_SENT src=...`: kind, protocol, seconds left if any, the rest. */
const EVENT = /^\s*\[(NEW|UPDATE|DESTROY)\]\s+(\S+\s+\d+) (?:(\d+) )?(.*)$/;

interface ParsedLine {
  n: number;
  kind: string;
  line: string;
  seconds: number | undefined;
  /** The line without the seconds. */
  rest: string;
  /** Protocol and original tuple. */
  flow: string;
}

function parseLine(line: string, n: number): ParsedLine {
  const match = EVENT.exec(line);
  const [, kind = '', protocol = '', seconds, rest = ''] = match ?? [];
  const tuple = /src=\S+ dst=\S+(?: (?:sport|dport|srckey|dstkey|type|code|id)=\S+)*/.exec(rest)?.[0] ?? rest;
  return {
    n,
    kind,
    line,
    seconds: seconds === undefined ? undefined : Number(seconds),
    rest: `[${kind}] ${protocol} ${rest}`,
    flow: `${protocol} ${tuple}`,
  };
}

function compareEvents(kernel: KernelAnswers, ours: OurAnswers, result: Comparison, report: Report): void {
  const ticked = tickedFlows(kernel);
  const theirs = kernel.events.map(({ line, n }: EventLine) => parseLine(line, n));
  const own = ours.events.map((line) => parseLine(line.replace(/^\[\s*\d+\.\d+\s*\]\t?/, ''), 0));
  const isExpiry = ({ kind, seconds }: ParsedLine): boolean => kind === 'DESTROY' && seconds === undefined;
  const [theirOrder, ownOrder] = [theirs, own].map((list) => list.filter((line) => !isExpiry(line)));
  compareExpiries(theirs.filter(isExpiry), own.filter(isExpiry), lateIn(kernel, ours), result, report);

  const ownFlows = groupBy(ownOrder!);
  const theirFlows = groupBy(theirOrder!);
  let same = true;
  for (const flow of new Set([...theirFlows.keys(), ...ownFlows.keys()])) {
    const [a, b] = [theirFlows.get(flow) ?? [], ownFlows.get(flow) ?? []];
    for (let index = 0; index < Math.max(a.length, b.length); index++) {
      const [left, right] = [a[index], b[index]];
      if (left?.line === right?.line) continue;
      if (left && right && isJiffy(left, right) && (ticked.get(flow) ?? Number.MAX_SAFE_INTEGER) <= left.n) {
        result.excused.jiffy++;
        continue;
      }
      same = false;
      report(left?.n ?? a.at(-1)?.n ?? 0, 'event', left?.line, right?.line);
      break;
    }
  }
  if (!same) return;
  const wrong = theirOrder!.findIndex((line, index) => line.flow !== ownOrder![index]?.flow);
  if (wrong >= 0) report(theirOrder![wrong]!.n, 'order of events', theirOrder![wrong]!.line, ownOrder![wrong]?.line);
}

function isJiffy(left: ParsedLine, right: ParsedLine): boolean {
  const gap = Math.abs((left.seconds ?? Number.NaN) - (right.seconds ?? Number.NaN));
  return left.rest === right.rest && gap === 1;
}

/** First packet of each flow during which a jiffy passed. */
function tickedFlows(kernel: KernelAnswers): Map<string, number> {
  const at = new Set(kernel.packets.filter((packet) => packet.ticked).map((packet) => packet.n));
  const flowOfEntry = new Map<number, string>();
  for (const { n, kind, line } of kernel.events) if (kind === 'NEW') flowOfEntry.set(n, parseLine(line, n).flow);
  const first = new Map<string, number>();
  // An entry that the packet itself destroyed is known by its event alone.
  for (const { n, line } of kernel.events) {
    const { flow } = parseLine(line, n);
    if (at.has(n) && !first.has(flow)) first.set(flow, n);
  }
  for (const { n, entry } of kernel.packets) {
    const flow = at.has(n) && entry?.flow !== undefined ? flowOfEntry.get(entry.flow) : undefined;
    if (flow && (first.get(flow) ?? Number.MAX_SAFE_INTEGER) > n) first.set(flow, n);
  }
  return first;
}

function groupBy(list: ParsedLine[]): Map<string, ParsedLine[]> {
  const groups = new Map<string, ParsedLine[]>();
  for (const line of list) {
    const group = groups.get(line.flow);
    if (group) group.push(line);
    else groups.set(line.flow, [line]);
  }
  return groups;
}

/** Tells whether a flow is in our table with no more time left than it took the kernel's table to be read. */
function lateIn(kernel: KernelAnswers, ours: OurAnswers): (line: ParsedLine) => boolean {
  const soon = new Set<string>();
  for (const line of ours.table ?? []) {
    const [, , seconds = '0', rest = ''] = ENTRY.exec(line) ?? [];
    if (Number(seconds) <= kernel.tableDelay) soon.add(parseLine(`[DESTROY] x 0 ${rest}`, 0).flow);
  }
  return ({ flow }) => soon.has(flow.replace(/^\S+\s+\d+/, 'x 0'));
}

/** Deaths of expired entries: the same lines on both sides, in any order. */
function compareExpiries(
  theirs: ParsedLine[],
  own: ParsedLine[],
  isLate: (line: ParsedLine) => boolean,
  result: Comparison,
  report: Report,
): void {
  const left = new Map<string, number>();
  for (const { rest } of own) left.set(rest, (left.get(rest) ?? 0) + 1);
  for (const expiry of theirs) {
    const count = left.get(expiry.rest) ?? 0;
    if (count > 0) left.set(expiry.rest, count - 1);
    else if (!isLate(expiry)) {
      report(expiry.n, 'expiry', expiry.line, undefined);
      continue;
    }
    result.excused.expiry++;
  }
  for (const [rest, count] of left) if (count > 0) report(0, 'expiry', undefined, rest);
}

/** `ipv4     2 tcp      6 119 TIME_WAIT src=...`: what comes before the seconds, the seconds, the rest. */
const ENTRY = /^(\S+\s+\d+ \S+\s+\d+) (\d+) (.*)$/;

function compareTable(theirs: string[], own: string[], delay: number, result: Comparison, report: Report): void {
  const parse = (lines: string[]): Map<string, { line: string; seconds: number }> => {
    const found = new Map<string, { line: string; seconds: number }>();
    for (const line of lines) {
      const [, head = '', seconds = '0', rest = line] = ENTRY.exec(line) ?? [];
      // The number of references says who else looked at that moment.
      found.set(`${head} ${rest.replace(/ use=\d+/, '').trimEnd()}`, { line, seconds: Number(seconds) });
    }
    return found;
  };
  const right = parse(own);
  for (const [key, { line, seconds }] of parse(theirs)) {
    const mine = right.get(key);
    right.delete(key);
    if (mine && mine.seconds === seconds) continue;
    const late = mine ? mine.seconds - seconds : -1;
    if (late >= 1 && late <= 1 + delay) result.excused.table++;
    else report(0, 'table', line, mine?.line);
  }
  for (const { line, seconds } of right.values()) {
    if (seconds > delay) report(0, 'table', undefined, line);
    else result.excused.table++;
  }
}

interface Chain {
  /** `[packets:bytes]` of the policy and of each rule. */
  counts: string[];
  rules: string[];
}

function chainsOf(text: string): Map<string, Chain> {
  const chains = new Map<string, Chain>();
  let table = '';
  const chain = (name: string): Chain => {
    const key = `${table}/${name}`;
    const found = chains.get(key) ?? { counts: [], rules: [] };
    chains.set(key, found);
    return found;
  };
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    const policy = /^:(\S+) (\S+) (\[\d+:\d+\])/.exec(line);
    // Chains without a policy are not counted.
    if (policy && policy[2] !== '-') chain(policy[1]!).counts.push(policy[3]!);
    const rule = /^(\[\d+:\d+\]) -A (\S+)(.*)$/.exec(line);
    if (!rule) continue;
    const into = chain(rule[2]!);
    into.counts.push(rule[1]!);
    into.rules.push(rule[3]!.trim());
  }
  return chains;
}

function compareCounters(tool: string, theirs: string, own: string, report: Report): void {
  const kernel = chainsOf(theirs);
  const ours = chainsOf(own);
  for (const [name, chain] of kernel) {
    // A table that the rules do not mention is not printed by our side; untouched chains say nothing.
    const mine = ours.get(name);
    if (!mine && chain.rules.length === 0) continue;
    chain.counts.forEach((count, index) => {
      const isPolicy = chain.counts.length > chain.rules.length && index === 0;
      const rule = isPolicy ? 'policy' : chain.rules[index - (chain.counts.length - chain.rules.length)];
      if (mine?.counts[index] !== count) report(0, `${tool} counter ${name}: ${rule}`, count, mine?.counts[index]);
    });
  }
}

/** Rules, objects and elements with their counters; our side does not print elements that packets added. */
function compareNft(theirs: { before: string; after: string }, own: string, report: Report): void {
  const [kernel, ours] = [statesOf(theirs.after), statesOf(own)];
  for (const key of new Set([...statesOf(theirs.before).keys(), ...ours.keys()])) {
    const [state, mine] = [kernel.get(key), ours.get(key)];
    if (state !== mine) report(0, `nft ${key}`, state, mine);
  }
}
