// What does the running kernel do with these frames? Builds a router in a network namespace of its own, has kernel.py
// push the frames through it, and returns the raw record of everything the kernel said.
//
// The namespace belongs to the kernel.py process (`unshare --net`) and disappears with it; nothing connects it to the
// host. Observing rules sit at priorities where they see packets before and after everything else and change nothing.

import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fragmentInfo } from './fragments.ts';
import type { Frame } from './frames.ts';
import { PORT_MTU } from './frames.ts';
import { type HostFiles, hostFiles, hostScript, isAsSent, type LocalAddress, needsInterface } from './host.ts';
import {
  type EntryInfo,
  entryInfo,
  entryRequest,
  type LogInfo,
  logInfo,
  messages,
  type NetlinkMessage,
  NFNL_SUBSYS_CTNETLINK_EXP,
  NLMSG_ERROR,
} from './netlink.ts';
import { flowOf } from './packet.ts';

const run = promisify(execFile);
const OUTPUT_BYTES = 1 << 30;
const GRE = 47;
/** How often `conntrack -E` is looked at again, 20 ms apart, when it prints nothing new. */
const LISTENER_PATIENCE = 250;

/** What to ask the kernel. */
export interface Question {
  frames: Frame[];
  /** Side of each address, for the routes. */
  sides: Map<string, 0 | 1>;
  /** iptables-save texts. */
  rules4: string[];
  /** ip6tables-save texts. */
  rules6: string[];
  /** `ipset save` texts. */
  sets?: string[];
  /** Sysctls as `net.netfilter.nf_conntrack_tcp_loose` -> `0`. */
  sysctls: Record<string, string>;
  /** Names of the two interfaces: lan, wan. */
  interfaces: readonly [string, string];
  /** Addresses of the router itself: it sends and receives. Without any, it only forwards. */
  locals?: LocalAddress[];
  /** The rules give an address of the router's own to flows: our side is told of those it has in any case, too. */
  masquerades?: boolean;
  /** MTU of the interfaces, lan and wan, where it is not the largest that they can have; our side is told of it. */
  mtus?: readonly [number, number];
  /** Ports that the frames announce to helpers, as far as that is known. */
  announced?: Announced;
}

/** Ports, and ids of calls, that are announced to each helper; NAT chooses others at random where they are taken. */
export type Announced = ReadonlyMap<string, ReadonlySet<number>>;

/** Everything the kernel said, with the number of the frame being delivered at that moment. */
export interface KernelRecord {
  /** Length of a jiffy, ns. */
  tick: number;
  /** CLOCK_REALTIME minus CLOCK_MONOTONIC, ns. */
  wall: bigint;
  /** Beginning of the jiffy before and after each frame's delivery (CLOCK_MONOTONIC), ns, by frame number - 1. */
  sent: { before: bigint; after: bigint }[];
  logs: { n: number; log: LogInfo }[];
  events: { n: number; message: NetlinkMessage; entry: EntryInfo }[];
  /** The entry of each frame's flow right after the frame, by frame number - 1; undefined if there is none. */
  entries: (EntryInfo | undefined)[];
  /** Why the kernel did not take what the host was to send: errno by frame number. */
  refusals: Map<number, number>;
  /** What `ip -j` prints of the router, where it has addresses of its own that matter. */
  host?: HostFiles | undefined;
  /** IP packets that left while a frame was under way, by its number. */
  left: Map<number, Buffer[]>;
  /** Frame of each event of an expectation. */
  expectations: number[];
  /** `conntrack -E` lines. */
  eventLines: string[];
  /** `conntrack -E expect` lines, and those of `conntrack -L expect` after the last frame. */
  expectationLines: string[];
  pending: string[];
  /** `conntrack -L -o extended` lines, read right after the last frame; seconds from the last frame to then. */
  table: string[];
  tableDelay: number;
  /** `iptables-save -c` and `ip6tables-save -c`. */
  counters4: string;
  counters6: string;
}

/** Our NFLOG group; 0 is where nf_conntrack_log_invalid writes. */
export const WATCH_GROUP = 4242;
export const INVALID_GROUP = 0;

/** Link-layer source of what comes by loopback. */
export const LOOPBACK_SOURCE = '000000000000';

/** skb->priority of what the host sends, which nothing else has: tells it from the kernel's own answers. */
export const OWN_PRIORITY = 0x7e570000;

/** What is needed and missing to ask the kernel, in words for the user; empty if nothing is. */
export function missing(): string[] {
  const lacks: string[] = [];
  if (process.platform !== 'linux') return ['Linux'];
  if (process.getuid?.() !== 0) lacks.push('root (run as root or with sudo)');
  const find = (name: string): boolean =>
    [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'].some((dir) => dir && existsSync(join(dir, name)));
  const tools: [string, string][] = [
    ['conntrack', 'conntrack'],
    ['nft', 'nftables'],
    ['iptables-legacy-restore', 'iptables'],
    ['ipset', 'ipset'],
    ['ip', 'iproute2'],
    ['python3', 'python3'],
    ['unshare', 'util-linux'],
    ['nsenter', 'util-linux'],
  ];
  for (const [tool, debian] of tools) if (!find(tool)) lacks.push(`${tool} (apt-get install ${debian})`);
  if (!existsSync('/dev/net/tun')) lacks.push('/dev/net/tun (modprobe tun)');
  return lacks;
}

/** Runs the frames through the kernel. Throws when anything fails or any record was lost. */
export async function askKernel(question: Question): Promise<KernelRecord> {
  const folder = mkdtempSync(join(tmpdir(), 'ctreplay-kernel-'));
  const path = (name: string): string => join(folder, name);
  let router: Router | undefined;
  let listener: Listener | undefined;
  let expecting: Listener | undefined;
  try {
    const says = (word: string): boolean =>
      [...question.rules4, ...question.rules6].some((text) => text.includes(word));
    writeFileSync(path('frames'), frameFile(question.frames, { calls: says('--helper pptp'), zones: says('--zone') }));
    const job = {
      frames: path('frames'),
      answers: path('answers'),
      ports: question.interfaces,
      groups: [INVALID_GROUP, WATCH_GROUP],
      priority: OWN_PRIORITY,
      outgoing: true,
    };
    writeFileSync(path('job.json'), JSON.stringify(job));
    router = new Router(path('job.json'));
    const [, tick, wall] = (await router.line('ready')) as [string, string, string];
    await setUp(router, question, path);
    const ip = async (...args: string[]): Promise<string> => (await router!.inside('ip', args)).stdout;
    const links = question.mtus && { 'link.json': await ip('-j', 'link') };
    const host = question.locals ? await hostFiles(ip) : links;
    listener = await listen(router, path('events'), []);
    expecting = await listen(router, path('expectations'), ['expect']);
    router.say(`go ${listener.child.pid} ${expecting.child.pid}`);
    await router.line('sent');
    const table = (await router.inside('conntrack', ['-L', '-o', 'extended'])).stdout;
    const readAt = process.hrtime.bigint();
    let pending = '';
    for (const family of ['ipv4', 'ipv6']) {
      pending += (await router.inside('conntrack', ['-L', 'expect', '-f', family])).stdout;
    }
    const counters4 = (await router.inside('iptables-legacy-save', ['-c'])).stdout;
    const counters6 = (await router.inside('ip6tables-legacy-save', ['-c'])).stdout;
    router.say('end');
    await router.line('done');
    const record = readAnswers(readFileSync(path('answers')), question.frames);
    // Both are CLOCK_MONOTONIC; the word "sent" may wait for a busy process.
    const tableDelay = Number(readAt - (record.sent.at(-1)?.before ?? readAt)) / 1e9;
    const eventLines = await lines(listener, path('events'), record.events.length);
    const expectationLines = await lines(expecting, path('expectations'), record.expectations.length);
    return {
      tick: Number(tick),
      wall: BigInt(wall),
      ...record,
      host,
      eventLines: eventLines.map(withoutAge),
      expectationLines,
      pending: pending.split('\n').filter(Boolean),
      table: table.split('\n').filter(Boolean).map(withoutAge),
      tableDelay,
      counters4,
      counters6,
    };
  } finally {
    listener?.child.kill();
    expecting?.child.kill();
    router?.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The line without the length of the entry's life, which conntrack prints where it is known: stop stamps say more. */
export function withoutAge(line: string): string {
  return line.replace(/ delta-time=\d+/, '');
}

/** The kernel.py process and with it the namespace. */
class Router {
  readonly process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  #errors = '';

  constructor(job: string) {
    this.process = spawn('unshare', ['--net', '--', python(), script(), job]);
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.#lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  /** Waits for a line that starts with `word` and returns its words. */
  async line(word: string): Promise<string[]> {
    const { value, done } = await this.#lines.next();
    const words = String(value).split(' ');
    if (done || words[0] !== word) throw new Error(`kernel.py ended before "${word}":\n${this.#errors}`);
    return words;
  }

  say(word: string): void {
    this.process.stdin.write(`${word}\n`);
  }

  /** Runs a command in the router's namespace; throws with its standard error when it fails. */
  inside(command: string, args: string[], input?: string): Promise<{ stdout: string; stderr: string }> {
    const { all, options } = this.command(command, args);
    const promise = run('nsenter', all, options);
    promise.child.stdin?.on('error', () => {});
    promise.child.stdin?.end(input ?? '');
    return promise;
  }

  command(command: string, args: string[]) {
    const all = ['--net', '--target', String(this.process.pid), '--', command, ...args];
    const env = { ...process.env, LC_ALL: 'C', PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin` };
    return { all, options: { env, maxBuffer: OUTPUT_BYTES } };
  }

  kill(): void {
    this.process.kill('SIGKILL');
  }
}

function python(): string {
  return existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3';
}

/** kernel.py beside this file, or in the sources when this file was compiled into build/. */
function script(): string {
  const places = ['./kernel.py', '../../../test/differential/kernel.py'];
  const found = places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((place) => existsSync(place));
  if (!found) throw new Error('kernel.py is not where it should be');
  return found;
}

/** Ethernet address of the router's port, and of the sender of frame n. */
function portAddress(side: 0 | 1): Buffer {
  return Buffer.from([0x02, 0xff, 0, 0, 0, side + 1]);
}

export function senderAddress(n: number): Buffer {
  const address = Buffer.from([0x02, 0, 0, 0, 0, 0]);
  address.writeUInt32BE(n, 2);
  return address;
}

/** A frame as the router's port receives it. */
export function ethernetFrame(frame: Frame): Buffer {
  const ethertype = Buffer.from(frame.packet.readUInt8(0) >> 4 === 4 ? [0x08, 0x00] : [0x86, 0xdd]);
  return Buffer.concat([frame.group ?? portAddress(frame.side), senderAddress(frame.n), ethertype, frame.packet]);
}

/** Flags of kernel.py's `port`: an IP packet for the raw socket, and whether the socket has to be told the interface. */
const OWN = 0x100;
const NAMED = 0x200;

function portOf({ side, own, packet }: Frame): number {
  return own === undefined ? side : side | OWN | (own === 'link' && needsInterface(packet) ? NAMED : 0);
}

/**
 * The frames as kernel.py reads them, with the question for each one's entry: not with `zones`, in which there may be another one of
 * the same tuple, nor with `calls` of GRE, which has keys that only the kernel knows.
 */
export function frameFile(frames: Frame[], { calls = false, zones = false } = {}): Buffer {
  const parts: Buffer[] = [];
  // The flow of a fragment is that of the packet's first fragment, if that is known by then.
  const flows = new Map<string, ReturnType<typeof flowOf>>();
  for (const frame of frames) {
    const bytes = frame.own ? frame.packet : ethernetFrame(frame);
    const fragment = fragmentInfo(frame.packet);
    if (fragment?.offset === 0) flows.set(fragment.key, flowOf(fragment.alone));
    const flow = fragment ? flows.get(fragment.key) : flowOf(frame.packet);
    const asks = flow && !zones && !(calls && flow.protocol === GRE);
    const query = asks ? entryRequest(flow) : Buffer.alloc(0);
    const header = Buffer.alloc(14);
    header.writeUInt32LE(frame.n, 0);
    header.writeUInt32LE(frame.wait, 4);
    header.writeUInt16LE(portOf(frame), 8);
    header.writeUInt16LE(bytes.length, 10);
    header.writeUInt16LE(query.length, 12);
    parts.push(header, bytes, query);
  }
  return Buffer.concat(parts);
}

/** Candidates for the router's own addresses; the first that no packet uses is taken. */
const ROUTER_ADDRESSES = Array.from({ length: 250 }, (_, index) => ({
  v4: `198.19.255.${index + 1}`,
  v6: `2001:2:0:ffff:0:0:0:${(index + 1).toString(16)}`,
}));

const SYSCTLS: Record<string, string> = {
  'net.ipv4.ip_forward': '1',
  'net.ipv6.conf.all.forwarding': '1',
  'net.ipv4.conf.all.rp_filter': '0',
  'net.ipv4.conf.default.rp_filter': '0',
  'net.ipv4.conf.all.send_redirects': '0',
  'net.ipv4.conf.default.send_redirects': '0',
  'net.ipv4.conf.all.accept_local': '1',
  // With lo down, 127.0.0.0/8 is like any other network once this is set: captures from loopbacks can be forwarded.
  'net.ipv4.conf.all.route_localnet': '1',
  'net.ipv6.conf.all.accept_dad': '0',
  'net.ipv6.conf.default.accept_dad': '0',
  // Answers are evidence: none may be withheld.
  'net.ipv4.icmp_ratemask': '0',
  'net.ipv6.icmp.ratelimit': '0',
  // No type is limited; an empty write would be no write.
  'net.ipv6.icmp.ratemask': '\n',
  // Reasons for INVALID come as NFLOG records.
  'net.netfilter.nf_log.2': 'nfnetlink_log',
  'net.netfilter.nf_log.10': 'nfnetlink_log',
  'net.netfilter.nf_conntrack_log_invalid': '255',
  // Entries say when they ended.
  'net.netfilter.nf_conntrack_timestamp': '1',
};

/** With addresses of its own it has a loopback of its own, too. */
const HOST_SYSCTLS: Record<string, string> = { 'net.ipv4.conf.all.route_localnet': '0' };

/**
 * Points of observation, told apart by prefix: R received; `ct STATE DIRECTION` right after connection tracking; F, I,
 * O first in FORWARD, INPUT, OUTPUT; i the end of INPUT, S the end of POSTROUTING, behind confirm. Before the prefix
 * stands `=` for what the host was told to send. `ct` in a rule is what makes the kernel track connections at all.
 */
function watchRules(): string {
  const log = (letter: string, bytes = 1): string => `log prefix "${letter}" group ${WATCH_GROUP} snaplen ${bytes}`;
  const own = `meta priority ${OWN_PRIORITY}`;
  const both = (letter: string, bytes = 1): string[] => [
    `${own} ${log(`=${letter}`, bytes)} accept`,
    log(letter, bytes),
  ];
  const first = -2_000_000_000;
  // Behind confirm, where helpers drop: of hooks with one priority, the one that was registered last comes first.
  const last = 2_147_483_647;
  const chain = (name: string, hook: string, priority: number, ...rules: string[]): string =>
    `  chain ${name} {\n    type filter hook ${hook} priority ${priority}; policy accept;\n    ${rules.join('\n    ')}\n  }`;
  const tracked = (before: string): string[] => [
    ...['untracked', 'invalid'].map((state) => `ct state ${state} ${log(`${before}ct ${state}`)} accept`),
    ...['established', 'new', 'related'].flatMap((state) =>
      ['original', 'reply'].map(
        (dir) => `ct direction ${dir} ct state ${state} ${log(`${before}ct ${state} ${dir}`)} accept`,
      ),
    ),
  ];
  return [
    'table inet ctreplay_watch {',
    `  chain own_tracked {\n    ${tracked('=').join('\n    ')}\n  }`,
    chain('received', 'prerouting', first, ...both('R')),
    chain('tracked', 'prerouting', -199, `${own} goto own_tracked`, ...tracked('')),
    chain('forward', 'forward', first, log('F')),
    chain('input', 'input', first, ...both('I')),
    chain('output', 'output', first, ...both('O', 128)),
    chain('tracked_output', 'output', -199, `${own} goto own_tracked`),
    chain('input_end', 'input', last, ...both('i')),
    chain('postrouting_end', 'postrouting', last, ...both('S')),
    '}',
    '',
  ].join('\n');
}

/**
 * What keeps the router's own stack quiet: it gets no packet, and what it says of its own accord (MLD, NDP, IGMP, ends of
 * reassembly) gets nowhere.
 * A new hook comes before those of the same priority: with the greatest there is, and loaded before anything that needs
 * connection tracking, this one stays behind confirm.
 */
function quietRules(): string {
  const chatter = [
    'meta l4proto igmp',
    'icmpv6 type { 131, 132, 133, 134, 135, 136, 137, 143 }',
    // Fragments waited too long: caused by time.
    'icmpv6 type 3 icmpv6 code 1',
  ];
  return [
    'table inet ctreplay_quiet {',
    '  chain input { type filter hook input priority 2147483647; policy drop; }',
    '  chain output {',
    '    type filter hook output priority -2147483648; policy accept;',
    ...chatter.map((what) => `    meta priority != ${OWN_PRIORITY} ${what} drop`),
    '  }',
    '}',
    '',
  ].join('\n');
}

async function setUp(router: Router, question: Question, path: (name: string) => string): Promise<void> {
  const put = (name: string, text: string): string => {
    writeFileSync(path(name), text);
    return path(name);
  };
  await router.inside('sh', ['-s'], setUpScript(question, put));
}

/** The router's own addresses: some that the capture does not use. */
export function routerAddresses({ sides }: Question): { v4: string; v6: string } {
  const own = ROUTER_ADDRESSES.find(({ v4, v6 }) => !sides.has(v4) && !sides.has(v6));
  if (!own) throw new Error('the capture uses every address that the router could have');
  return own;
}

/**
 * The shell script that turns a namespace with its two ports into the router of the question. `put` keeps a file that
 * the script needs and returns the path by which the shell finds it.
 */
export function setUpScript(question: Question, put: (name: string, text: string) => string): string {
  const sysctls = { ...SYSCTLS, ...(question.locals && HOST_SYSCTLS), ...question.sysctls };
  const writes = Object.entries(sysctls).map(
    ([key, value]) => `printf %s '${value}' > /proc/sys/${key.replaceAll('.', '/')}`,
  );
  const own = routerAddresses(question);
  const [, wan] = question.interfaces;
  const up = question.interfaces.flatMap((name, side) => [
    `ip link set dev ${name} address ${portAddress(side === 0 ? 0 : 1)
      .toString('hex')
      .replace(/..\B/g, '$&:')}`,
    `ip link set dev ${name} mtu ${question.mtus?.[side] ?? PORT_MTU} arp off multicast ${question.locals ? 'on' : 'off'} addrgenmode none up`,
  ]);
  // Own addresses bring a network each: its members on the other side need a route, too.
  const routes = [...question.sides]
    .filter(([, side]) => side === 0 || question.locals)
    .map(([address, side]) => `route add ${address} dev ${question.interfaces[side]}\n`);
  const restore = (tool: string, name: string, texts: string[]): string[] =>
    texts.map((text, index) => `${tool} ${index ? '-n ' : ''}< ${put(`${name}.${index}`, text)}`);
  return [
    'set -e',
    ...writes,
    ...up,
    `ip address add ${own.v4}/32 dev ${wan}`,
    `ip -6 address add ${own.v6}/128 dev ${wan} nodad`,
    `ip route add default dev ${wan}`,
    `ip -6 route add default dev ${wan}`,
    ...(question.locals ? hostScript(question.locals, question.interfaces) : []),
    `ip -batch ${put('routes', routes.join(''))}`,
    `nft -f ${put('quiet.nft', quietRules())}`,
    `nft -f ${put('watch.nft', watchRules())}`,
    ...(question.sets ?? []).map((text, index) => `ipset restore < ${put(`sets.${index}`, text)}`),
    ...restore('iptables-legacy-restore', 'rules4', question.rules4),
    ...restore('ip6tables-legacy-restore', 'rules6', question.rules6),
    '',
  ].join('\n');
}

/** A running `conntrack -E` and what it complained about. */
interface Listener {
  child: ChildProcessWithoutNullStreams;
  errors: string;
}

/** Starts `conntrack -E` and waits until it listens. */
async function listen(router: Router, output: string, table: string[]): Promise<Listener> {
  const { all, options } = router.command('conntrack', ['-E', ...table]);
  const before = listeners(router);
  const child = spawn('nsenter', all, {
    env: options.env,
    stdio: ['pipe', openSync(output, 'w'), 'pipe'],
  }) as ChildProcessWithoutNullStreams;
  const listener: Listener = { child, errors: '' };
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    listener.errors += text;
  });
  for (let tries = 0; listeners(router) <= before; tries++) {
    if (child.exitCode !== null || tries > 500) throw new Error(`conntrack -E does not listen: ${listener.errors}`);
    await sleep(10);
  }
  return listener;
}

/** Number of netfilter netlink sockets in the namespace that have joined multicast groups. */
function listeners(router: Router): number {
  const text = readFileSync(`/proc/${router.process.pid}/net/netlink`, 'utf8');
  const rows = text.split('\n').map((row) => row.trim().split(/\s+/));
  return rows.filter((row) => row[1] === '12' && Number.parseInt(row[3] ?? '0', 16) !== 0).length;
}

/** Waits until `conntrack -E` has printed as many lines as there were events. */
async function lines(listener: Listener, output: string, count: number): Promise<string[]> {
  let found: string[] = [];
  for (let idle = 0; idle < LISTENER_PATIENCE && listener.child.exitCode === null; idle++) {
    const now = readFileSync(output, 'utf8').split('\n').slice(0, -1);
    if (now.length > found.length) idle = 0;
    found = now;
    if (found.length >= count) return found;
    await sleep(20);
  }
  throw new Error(`conntrack -E printed ${found.length} of ${count} events ${listener.errors}`);
}

const KIND = { NFLOG: 1, EVENT: 2, SENT: 3, LEFT: 4, ENTRY: 5, REFUSED: 6 } as const;
const ETHERNET_HEADER = 14;

/** What kernel.py kept, for a run of these frames. Throws when a record was lost or belongs to another frame. */
export function readAnswers(
  data: Buffer,
  frames: Frame[],
): Pick<KernelRecord, 'sent' | 'logs' | 'events' | 'entries' | 'expectations' | 'refusals' | 'left'> {
  const count = frames.length;
  const sent: KernelRecord['sent'] = [];
  const logs: KernelRecord['logs'] = [];
  const events: KernelRecord['events'] = [];
  const expectations: number[] = [];
  const entries: KernelRecord['entries'] = new Array(count).fill(undefined);
  const refusals: KernelRecord['refusals'] = new Map();
  const left: KernelRecord['left'] = new Map();
  const next = new Map<number, number>();
  for (let at = 0; at + 9 <= data.length; ) {
    const kind = data.readUInt8(at);
    const n = data.readUInt32LE(at + 1);
    const start = at + 9;
    at = start + data.readUInt32LE(at + 5);
    const bytes = data.subarray(start, at);
    if (kind === KIND.SENT) sent.push({ before: bytes.readBigUInt64LE(0), after: bytes.readBigUInt64LE(8) });
    if (kind === KIND.LEFT) left.set(n, [...(left.get(n) ?? []), bytes.subarray(1 + ETHERNET_HEADER)]);
    if (kind === KIND.REFUSED) refusals.set(n, bytes.readInt32LE(0));
    if (kind === KIND.ENTRY) {
      const [answer] = messages(bytes);
      if (answer && answer.type !== NLMSG_ERROR) entries[n - 1] = entryInfo(answer.body);
    }
    if (kind === KIND.EVENT) {
      for (const message of messages(bytes)) {
        if (message.type >> 8 === NFNL_SUBSYS_CTNETLINK_EXP) expectations.push(n);
        else events.push({ n, message, entry: entryInfo(message.body) });
      }
    }
    if (kind === KIND.NFLOG) {
      for (const message of messages(bytes)) {
        const log = logInfo(message);
        const expected = next.get(log.group) ?? 0;
        if (log.sequence !== expected) throw new Error(`NFLOG group ${log.group} lost records before frame ${n}`);
        next.set(log.group, expected + 1);
        const frame = frames[n - 1];
        if (isStray(log, n, frame)) throw new Error(`a record of another frame came while frame ${n} was delivered`);
        logs.push({ n, log });
      }
    }
  }
  if (sent.length !== count) throw new Error(`${sent.length} of ${count} frames were sent`);
  return { sent, logs, events, entries, expectations, refusals, left };
}

/** Does this record belong to another frame than the one under way? */
function isStray(log: LogInfo, n: number, frame: Frame | undefined): boolean {
  if (log.prefix.startsWith('=')) {
    if (frame?.own === undefined) return true;
    return log.prefix === '=O' && !isAsSent(frame.packet, log.payload);
  }
  // Loopback has no addresses; a packet put together from fragments has the link header of the first one.
  const named = log.source !== undefined && log.source !== LOOPBACK_SOURCE;
  return named && log.source !== senderAddress(n).toString('hex') && !(frame && fragmentInfo(frame.packet));
}
