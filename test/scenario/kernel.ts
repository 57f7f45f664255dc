// Does the running kernel do what a scenario says? Replays the conversation through a network namespace of its own
// (kernel-replay.py) and compares event by event, packet by packet.

import { execFileSync, spawn } from 'node:child_process';
import { isIPv6 } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Interface, Scenario } from './scenario-file.ts';
import { layOut, layOutExpectation } from './scenario-file.ts';
import { type BuiltStep, buildSteps } from './scenario-packets.ts';

export interface KernelPacket {
  at: number;
  state?: string;
  dir?: string | null;
  path?: string | null;
  accepted?: boolean;
  /** Packets that the host sent because of this one (REJECT's answers, ICMP errors), hex. */
  replies?: string[];
  events: string[];
  /** The same of expectations; undefined: nobody asked. */
  expectations?: string[];
  /** `iptables-save -c` after the packet. */
  counters?: string;
}

export interface KernelResult {
  packets: KernelPacket[];
  expiries: { at: number; line: string }[];
  table: string[];
  /** `conntrack -L expect` at the end. */
  pending?: string[];
}

/** Longest silence that the kernel is made to live through, ns. */
const LONGEST_GAP = 3_500_000_000n;
/** How late the kernel may say that an entry has expired: our polling, not its clock, sets this. Seconds. */
const EXPIRY_LATE = 0.5;

const REQUIRED = [
  'unshare',
  'ip',
  'nft',
  'conntrack',
  'iptables-legacy-restore',
  'ip6tables-legacy-restore',
  'ipset',
  'python3',
];

/** Why scenarios cannot be confirmed on this machine; undefined if they can. */
export function kernelMissing(): string | undefined {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (process.getuid?.() !== 0) return 'it needs root (network namespaces, raw sockets)';
  for (const tool of REQUIRED) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`], { stdio: 'ignore' });
    } catch {
      return `${tool} is not installed (apt install iproute2 nftables conntrack iptables ipset python3)`;
    }
  }
  try {
    execFileSync('unshare', ['--net', 'true'], { stdio: 'ignore' });
  } catch {
    return 'network namespaces are not permitted';
  }
  return undefined;
}

type Leg = 'lan' | 'wan';

const prefixBits = (address: string, length: number): string => {
  const six = isIPv6(address);
  const groups = six
    ? expandIpv6(address)
    : address.split('.').map((part) => Number(part).toString(2).padStart(8, '0'));
  return groups.join('').slice(0, length);
};

const expandIpv6 = (address: string): string[] => {
  const [head, tail] = address.split('::');
  const words = (side: string | undefined): string[] => (side ? side.split(':') : []);
  const [left, right] = [words(head), words(tail)];
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...new Array<string>(zeros).fill('0'), ...right].map((word) =>
    Number.parseInt(word, 16).toString(2).padStart(16, '0'),
  );
};

function legByInterface(address: string, interfaces: readonly Interface[]): Leg | undefined {
  let best: { leg: Leg; length: number } | undefined;
  for (const { name, networks } of interfaces) {
    for (const network of networks) {
      const [base, text] = network.split('/');
      const length = Number(text);
      if (isIPv6(base!) !== isIPv6(address) || length < (best?.length ?? 0)) continue;
      if (prefixBits(base!, length) === prefixBits(address, length)) best = { leg: name as Leg, length };
    }
  }
  return best?.leg;
}

/**
 * Which side of the router each address lives on: where the `interfaces` block puts it, else the first source is on
 * `lan` and whoever talks to an address of one side lives on the other.
 */
function assignLegs(built: readonly BuiltStep[], scenario: Scenario): Map<string, Leg> {
  const own = new Set(scenario.interfaces.flatMap((item) => item.addresses));
  const legs = new Map<string, Leg>();
  const other = (leg: Leg): Leg => (leg === 'lan' ? 'wan' : 'lan');
  for (const { source, target } of built) {
    if (source === undefined || target === undefined) continue;
    for (const address of [source, target]) {
      const leg = legByInterface(address, scenario.interfaces);
      if (leg && !own.has(address)) legs.set(address, leg);
    }
    const known = legs.get(source);
    const knownTarget = legs.get(target);
    if (!own.has(source) && !known) legs.set(source, knownTarget ? other(knownTarget) : 'lan');
    if (!own.has(target) && !knownTarget) legs.set(target, other(legs.get(source) ?? 'lan'));
  }
  return legs;
}

const isMulticast = (address: string): boolean =>
  /^(22[4-9]|23\d)\.|^ff/i.test(address) || address === '255.255.255.255';

/** Replays the scenario through the kernel. Rejects if the harness itself fails. Takes as long as the conversation. */
export function replayThroughKernel(scenario: Scenario): Promise<KernelResult> {
  const built = buildSteps(scenario.file, scenario.steps);
  const legs = assignLegs(built, scenario);
  const own = new Set(scenario.interfaces.flatMap((item) => item.addresses));
  const job = {
    routes: [...legs].filter(([address]) => !isMulticast(address)).map(([address, dev]) => ({ address, dev })),
    local: scenario.interfaces.flatMap((item) =>
      item.addresses.map((address) => ({ address, length: item.lengths.get(address), dev: item.name })),
    ),
    sysctls: scenario.sysctls,
    rules4: scenario.rules4,
    rules6: scenario.rules6,
    sets: scenario.sets,
    counters: scenario.steps.some((step) => step.packet?.more.rule !== undefined),
    packets: built.map(({ step, source, packet, whole }) => ({
      at: Number(step.time) / 1e9,
      from: source === undefined ? 'lan' : own.has(source) ? 'local' : legs.get(source),
      tick: packet === undefined,
      hex: packet && Buffer.from(packet).toString('hex'),
      whole: whole && Buffer.from(whole).toString('hex'),
    })),
  };
  const script = fileURLToPath(new URL('kernel-replay.py', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn('unshare', ['--net', 'python3', script], { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let trouble = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      trouble += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(out) as KernelResult);
      else reject(new Error(`kernel-replay.py: ${trouble.trim()}`));
    });
    child.stdin.end(JSON.stringify(job));
  });
}

/** Packets that each rule of an `iptables-save -c` text has counted, by `table/chain/number` and `.../policy`. */
export function ruleCounts(text: string): Map<string, number> {
  const counts = new Map<string, number>();
  const position = new Map<string, number>();
  let table = '';
  for (const line of text.split('\n')) {
    const policy = /^:(\S+) \S+ \[(\d+):\d+\]/.exec(line);
    const rule = /^\[(\d+):\d+\] -A (\S+)/.exec(line);
    if (line.startsWith('*')) table = line.slice(1);
    else if (policy) counts.set(`${table}/${policy[1]}/policy`, Number(policy[2]));
    else if (rule) {
      const chain = `${table}/${rule[2]}`;
      position.set(chain, (position.get(chain) ?? 0) + 1);
      counts.set(`${chain}/${position.get(chain)}`, Number(rule[1]));
    }
  }
  return counts;
}

/** The kind of REJECT that an answer of the host is, by iptables' name. */
function answerKind(hex: string): string {
  const packet = Buffer.from(hex, 'hex');
  const six = packet[0]! >> 4 === 6;
  const protocol = six ? packet[6]! : packet[9]!;
  const at = six ? 40 : (packet[0]! & 15) * 4;
  if (protocol === 6) return 'tcp-reset';
  const key = `${packet[at]}/${packet[at + 1]}`;
  const names: Record<string, string> = six
    ? {
        '1/0': 'icmp6-no-route',
        '1/1': 'icmp6-adm-prohibited',
        '1/3': 'icmp6-addr-unreachable',
        '1/4': 'icmp6-port-unreachable',
        '1/5': 'icmp6-policy-fail',
        '1/6': 'icmp6-reject-route',
      }
    : {
        '3/0': 'icmp-net-unreachable',
        '3/1': 'icmp-host-unreachable',
        '3/2': 'icmp-proto-unreachable',
        '3/3': 'icmp-port-unreachable',
        '3/9': 'icmp-net-prohibited',
        '3/10': 'icmp-host-prohibited',
        '3/13': 'icmp-admin-prohibited',
      };
  return names[key] ?? `icmp ${key}`;
}

/** A table line with its timeout (the number after the protocol's) taken out. */
function splitTimeout(line: string): { timeout: number; rest: string } {
  const match = /^(ipv[46] +\d+ \S+ +\d+ )(\d+) (.*)$/.exec(line);
  return match ? { timeout: Number(match[2]), rest: match[1]! + match[3]! } : { timeout: -1, rest: line };
}

/**
 * Differences between a scenario and what the kernel did, one line each; none if the kernel agrees. Not compared,
 * because the kernel does not show it: `why`, `tcp`, `status` and `mark` of packets (events and table have them), and
 * a packet without a verdict.
 */
export function differences(scenario: Scenario, result: KernelResult): string[] {
  const found: string[] = [];
  const say = (line: number, expected: string, actual: string): void => {
    found.push(`${scenario.file}:${line}: expected ${expected}\n${' '.repeat(16)}kernel: ${actual}`);
  };
  // What the rules of each family had counted before the packet.
  const counted = { ip: new Map<string, number>(), ip6: new Map<string, number>() };
  for (const [i, step] of scenario.steps.entries()) {
    const packet = result.packets[i]!;
    const expected = step.events.map((event) => layOut(event.text));
    for (let k = 0; k < Math.max(expected.length, packet.events.length); k += 1) {
      if (expected[k] === packet.events[k]) continue;
      say(step.events[k]?.line ?? step.line, expected[k] ?? 'no event', packet.events[k] ?? 'no event');
    }
    compareExpectations(step, packet, say);
    const family = packet.counters?.includes('ip6tables-save') ? 'ip6' : 'ip';
    const before = counted[family];
    if (packet.counters !== undefined) counted[family] = ruleCounts(packet.counters);
    const wanted = step.packet;
    // A fragment bears the verdict of a packet that the kernel does not know yet.
    const part = wanted?.more.frag !== undefined && Number(wanted.more.frag) !== step.n;
    if (part && packet.state !== 'NONE') say(wanted.line, 'a fragment that waits', packet.state ?? '');
    else if (wanted && !part && wanted.verdict !== 'NONE') comparePacket(wanted, packet, before, counted[family], say);
  }
  compareExpiries(scenario, result, say);
  if (scenario.table) compareTable(scenario, result.table, say);
  if (scenario.pending && result.pending) comparePending(scenario, result.pending, say);
  return found;
}

function comparePacket(
  wanted: NonNullable<Scenario['steps'][number]['packet']>,
  packet: KernelPacket,
  before: ReadonlyMap<string, number>,
  counts: ReadonlyMap<string, number>,
  say: (line: number, expected: string, actual: string) => void,
): void {
  if (wanted.state && wanted.state !== packet.state) say(wanted.line, wanted.state, packet.state ?? 'NONE');
  if (wanted.dir && wanted.dir !== packet.dir) say(wanted.line, wanted.dir, packet.dir ?? 'no direction');
  const accepted = wanted.verdict === 'ACCEPT';
  if (wanted.verdict && accepted !== packet.accepted) {
    say(wanted.line, wanted.verdict, packet.accepted ? 'passed' : 'did not pass');
  }
  const { path, rule, with: answer } = wanted.more;
  if (path && packet.path && path !== packet.path) say(wanted.line, `path=${path}`, packet.path);
  if (rule && (counts.get(rule) ?? 0) <= (before.get(rule) ?? 0))
    say(wanted.line, `rule=${rule}`, 'it counted nothing');
  if (answer) {
    const kinds = (packet.replies ?? []).map(answerKind);
    if (!kinds.includes(answer)) say(wanted.line, `with=${answer}`, kinds.join(', ') || 'no answer');
  }
}

function compareExpectations(
  step: Scenario['steps'][number],
  packet: KernelPacket,
  say: (line: number, expected: string, actual: string) => void,
): void {
  const expected = step.expectations.map((event) => layOutExpectation(event.text));
  const actual = packet.expectations ?? expected;
  for (let k = 0; k < Math.max(expected.length, actual.length); k += 1) {
    if (expected[k] === actual[k]) continue;
    const line = step.expectations[k]?.line ?? step.line;
    say(line, expected[k] ?? 'no expectation', actual[k] ?? 'no expectation');
  }
}

/** Lines of `conntrack -L expect`, whatever their order and seconds left. */
function comparePending(
  scenario: Scenario,
  actual: readonly string[],
  say: (line: number, expected: string, actual: string) => void,
): void {
  const sorted = (lines: readonly string[]) => lines.map((line) => line.replace(/^\d+ /, '')).sort();
  const [wanted, seen] = [sorted(scenario.pending!), sorted(actual)];
  for (let k = 0; k < Math.max(wanted.length, seen.length); k += 1) {
    if (wanted[k] !== seen[k]) say(scenario.line, `expectations: ${wanted[k] ?? 'none'}`, seen[k] ?? 'none');
  }
}

function compareExpiries(
  scenario: Scenario,
  result: KernelResult,
  say: (line: number, expected: string, actual: string) => void,
): void {
  const { expiries } = scenario;
  for (let k = 0; k < Math.max(expiries.length, result.expiries.length); k += 1) {
    const [wanted, actual] = [expiries[k], result.expiries[k]];
    const line = wanted?.line ?? scenario.line;
    if (!wanted || !actual || layOut(wanted.text) !== actual.line) {
      say(line, wanted ? layOut(wanted.text) : 'no expiry', actual?.line ?? 'no expiry');
      continue;
    }
    const late = actual.at - Number(wanted.time) / 1e9;
    if (late < -0.03 || late > EXPIRY_LATE)
      say(line, `at ${Number(wanted.time) / 1e9} s`, `seen at ${actual.at.toFixed(3)} s`);
  }
}

function compareTable(
  scenario: Scenario,
  actual: readonly string[],
  say: (line: number, expected: string, actual: string) => void,
): void {
  const sorted = (lines: readonly string[]) =>
    lines.map(splitTimeout).sort((one, other) => (one.rest < other.rest ? -1 : 1));
  const wanted = sorted(scenario.table!.map(layOut));
  const seen = sorted(actual);
  for (let k = 0; k < Math.max(wanted.length, seen.length); k += 1) {
    // The table is listed some milliseconds after the last packet: a second has begun.
    const drift = (wanted[k]?.timeout ?? 0) - (seen[k]?.timeout ?? 0);
    if (wanted[k]?.rest === seen[k]?.rest && drift >= 0 && drift <= 1) continue;
    say(scenario.line, `table: ${JSON.stringify(wanted[k] ?? null)}`, JSON.stringify(seen[k] ?? null));
  }
}

/**
 * Can the kernel live through this scenario in a test's time? What is longer is `time: virtual`.
 */
export function tooLong(scenario: Scenario): boolean {
  return scenario.steps.some((step, i) => i > 0 && step.time - scenario.steps[i - 1]!.time > LONGEST_GAP);
}
