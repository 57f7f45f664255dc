// What does a scenario file say? The parser of test/scenario/*.md; docs/scenarios.md describes the format.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A line of the conversation that puts something on the wire, and what is expected to come of it. */
export interface Step {
  /** Number of the packet in its scenario, from 1. */
  n: number;
  line: number;
  /** Time since the first packet, ns. */
  time: bigint;
  /** Words after the time: source, target, what. `tick` stands alone. */
  words: readonly string[];
  /** Expected event lines that this packet causes, and those of expectations. */
  events: ExpectedLine[];
  expectations: ExpectedLine[];
  /** Expected properties of the packet; undefined: not asked for. */
  packet?: ExpectedPacket;
}

export interface ExpectedLine {
  line: number;
  text: string;
  /** Time since the first packet, ns: expiries. */
  time: bigint;
}

/** Any subset of what `--packets` says of a packet. */
export interface ExpectedPacket {
  line: number;
  state?: string;
  dir?: string;
  verdict?: string;
  /** path, rule, why, with, tcp, sctp, status ("SEEN_REPLY,ASSURED"), mark, frag (the packet's number), helper, master (as frag), by name. */
  more: Readonly<Record<string, string>>;
}

export interface Interface {
  name: string;
  /** Networks behind the interface, CIDR. */
  networks: readonly string[];
  /** Addresses of the host itself. */
  addresses: readonly string[];
  /** Of those that have a network with a broadcast address of its own: its prefix length. */
  lengths: ReadonlyMap<string, number>;
}

export interface Scenario {
  file: string;
  name: string;
  line: number;
  /** Only in the capture's time: too long for the kernel to live through. */
  virtual: boolean;
  /** The kernel can be asked in a network namespace. */
  askable: boolean;
  rules4?: string;
  rules6?: string;
  /** `ipset save` text. */
  sets?: string;
  sysctls: Readonly<Record<string, string>>;
  interfaces: readonly Interface[];
  steps: readonly Step[];
  /** Events of entries that ended by themselves, in time order. */
  expiries: readonly ExpectedLine[];
  /** Events of expectations that ended by themselves, in time order. */
  expired: readonly ExpectedLine[];
  /** Expectations at the end, oldest first; undefined: not asked for. */
  pending?: readonly string[];
  /** Expected table at the end, any order; undefined: not asked for. */
  table?: readonly string[];
}

const DEFAULT_GAP = 10_000_000n;
const STATES = new Set(['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'NONE']);
const VERDICTS = new Set(['ACCEPT', 'DROP', 'REJECT', 'UNJUDGED']);
const PACKET_KEYS = new Set([
  'path',
  'rule',
  'why',
  'with',
  'tcp',
  'sctp',
  'status',
  'mark',
  'frag',
  'helper',
  'master',
]);

/** `0.5s`, `20ms`, `120s` to ns. Throws on anything else. */
export function duration(text: string): bigint {
  const match = /^(\d+)(?:\.(\d{1,9}))?(s|ms)$/.exec(text);
  if (!match) throw new Error(`no duration: ${text}`);
  const digits = match[1]! + (match[2] ?? '').padEnd(9, '0');
  return match[3] === 's' ? BigInt(digits) : BigInt(digits) / 1000n;
}

interface Blocks {
  rules4?: string;
  rules6?: string;
  sets?: string;
  sysctls: Record<string, string>;
  interfaces: Interface[];
}

/**
 * Parses one file. Blocks before the first second-level heading hold for all scenarios of the file; each
 * second-level heading with a conversation is one scenario.
 *
 * @throws Error naming file and line on anything in a fenced block that is not understood.
 */
export function parseScenarios(file: string, text: string): Scenario[] {
  const scenarios: Scenario[] = [];
  let shared: Blocks = { sysctls: {}, interfaces: [] };
  let blocks = shared;
  let name = '';
  let nameLine = 0;
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i += 1) {
    const heading = /^## (.+)$/.exec(lines[i]!);
    if (heading) {
      if (name === '') shared = blocks;
      name = heading[1]!.trim();
      nameLine = i + 1;
      blocks = { ...shared, sysctls: { ...shared.sysctls }, interfaces: [...shared.interfaces] };
      continue;
    }
    const fence = /^```(\S*)$/.exec(lines[i]!);
    if (!fence) continue;
    const first = i + 1;
    i = lines.indexOf('```', first);
    if (i < 0) throw new Error(`${file}:${first}: the fenced block has no end`);
    const body = lines.slice(first, i);
    try {
      if (fence[1] === 'conversation') {
        if (name === '') throw new Error(`${first}: a conversation needs a heading`);
        const parsed = new ConversationParser().parse(body, first + 1);
        scenarios.push({ file, name, line: nameLine, ...blocks, ...parsed });
      } else {
        parseBlock(fence[1]!, body, first + 1, blocks);
      }
    } catch (error) {
      throw new Error(`${file}:${(error as Error).message}`);
    }
  }
  return scenarios;
}

function parseBlock(kind: string, body: readonly string[], line: number, blocks: Blocks): void {
  if (kind === 'iptables-save') blocks.rules4 = `${body.join('\n')}\n`;
  else if (kind === 'ip6tables-save') blocks.rules6 = `${body.join('\n')}\n`;
  else if (kind === 'ipset') blocks.sets = `${body.join('\n')}\n`;
  else if (kind === 'sysctl') {
    for (const [i, text] of body.entries()) {
      const match = /^\s*(\S+)\s*=\s*(\S+)\s*$/.exec(text);
      if (!match) throw new Error(`${line + i}: not a sysctl line: ${text}`);
      blocks.sysctls[match[1]!] = match[2]!;
    }
  } else if (kind === 'interfaces') {
    for (const text of body) {
      const [name, ...words] = text.trim().split(/\s+/);
      const own = words.filter((word) => !word.includes('/')).map((word) => word.split('@'));
      blocks.interfaces.push({
        name: name!,
        networks: words.filter((word) => word.includes('/')),
        addresses: own.map(([address]) => address!),
        lengths: new Map(own.flatMap(([address, length]) => (length ? [[address!, Number(length)]] : []))),
      });
    }
  } else throw new Error(`${line - 1}: unknown kind of block: ${kind}`);
}

class ConversationParser {
  #time = 0n;
  #virtual = false;
  #askable = true;
  readonly #steps: Step[] = [];
  readonly #expiries: ExpectedLine[] = [];
  readonly #expired: ExpectedLine[] = [];
  #pending: string[] | undefined;
  #table: string[] | undefined;

  parse(
    body: readonly string[],
    firstLine: number,
  ): Pick<Scenario, 'virtual' | 'askable' | 'steps' | 'expiries' | 'expired'> & {
    table?: string[];
    pending?: string[];
  } {
    for (const [i, text] of body.entries()) {
      try {
        this.#line(text.replace(/\s+#[^"]*$|^#.*$/, '').trim(), firstLine + i);
      } catch (error) {
        throw new Error(`${firstLine + i}: ${(error as Error).message}`);
      }
    }
    if (this.#steps.length === 0) throw new Error(`${firstLine}: a conversation without packets`);
    return {
      virtual: this.#virtual,
      askable: this.#askable,
      steps: this.#steps,
      expiries: this.#expiries,
      expired: this.#expired,
      ...(this.#pending && { pending: this.#pending }),
      ...(this.#table && { table: this.#table }),
    };
  }

  #line(text: string, line: number): void {
    if (text === '') return;
    if (text === 'time: virtual') this.#virtual = true;
    else if (text === 'kernel: not in a namespace') this.#askable = false;
    else if (text.startsWith('> ')) this.#packet(text.slice(2), line);
    else if (text.startsWith('event: '))
      this.#last().events.push({ line, text: text.slice(7).trim(), time: this.#time });
    else if (text.startsWith('event @')) this.#expiries.push(expiry(text, 'event', line));
    else if (text.startsWith('expect: '))
      this.#last().expectations.push({ line, text: text.slice(8).trim(), time: this.#time });
    else if (text.startsWith('expect @')) this.#expired.push(expiry(text, 'expect', line));
    else if (text.startsWith('expectations: ')) {
      this.#pending ??= [];
      if (text !== 'expectations: none') this.#pending.push(text.slice(14).trim());
    } else if (text.startsWith('packet: ')) this.#last().packet = parseExpectedPacket(text.slice(8), line);
    else if (text.startsWith('table: ')) {
      this.#table ??= [];
      if (text !== 'table: empty') this.#table.push(text.slice(7).trim());
    } else throw new Error(`not understood: ${text}`);
  }

  #last(): Step {
    const step = this.#steps.at(-1);
    if (!step) throw new Error('this needs a packet before it');
    return step;
  }

  #packet(text: string, line: number): void {
    const words = packetWords(text);
    const time = /^[+@]/.test(words[0]!) ? words.shift()! : undefined;
    if (time?.startsWith('@')) this.#time = duration(time.slice(1));
    else if (time) this.#time += duration(time.slice(1));
    else if (this.#steps.length > 0) this.#time += DEFAULT_GAP;
    const before = this.#steps.at(-1);
    if (before && before.time > this.#time) throw new Error('time runs backwards');
    if (!before && this.#time !== 0n) throw new Error('the first packet is at 0s');
    this.#steps.push({ n: this.#steps.length + 1, line, time: this.#time, words, events: [], expectations: [] });
  }
}

function expiry(text: string, word: string, line: number): ExpectedLine {
  const match = new RegExp(`^${word} @(\\S+): (.+)$`).exec(text);
  if (!match) throw new Error(`an expiry reads: ${word} @30s: [DESTROY] ...`);
  return { line, text: match[2]!.trim(), time: duration(match[1]!) };
}

/** Words of a packet's line; text in quotation marks is one word, with the escapes of JSON. */
function packetWords(text: string): string[] {
  return (text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).map((word) =>
    word.startsWith('"') ? (JSON.parse(word) as string) : word,
  );
}

function parseExpectedPacket(text: string, line: number): ExpectedPacket {
  const more: Record<string, string> = {};
  const expected: ExpectedPacket = { line, more };
  for (const word of text.trim().split(/\s+/)) {
    const [key, value] = word.split(/=(.*)/s);
    if (value !== undefined && PACKET_KEYS.has(key!)) more[key!] = value;
    else if (STATES.has(word)) expected.state = word;
    else if (VERDICTS.has(word)) expected.verdict = word === 'UNJUDGED' ? 'NONE' : word;
    else if (word === 'original' || word === 'reply') expected.dir = word;
    else throw new Error(`not understood: ${word}`);
  }
  return expected;
}

/**
 * The line as conntrack 1.4.7 lays it out: the kind right-aligned in nine columns, the protocol's name left-aligned in
 * eight (extended lines: the layer 3 name too). Scenarios write single spaces.
 */
export function layOut(text: string): string {
  const words = text.trim().split(/\s+/);
  let line = '';
  if (words[0]!.startsWith('[')) line += `${words.shift()!.padStart(9)} `;
  if (/^ipv[46]$/.test(words[0]!)) line += `${words.shift()!.padEnd(8)} ${words.shift()} `;
  line += `${words.shift()!.padEnd(8)} ${words.shift()} `;
  return line + words.join(' ');
}

/** A line of `conntrack -E expect`: the kind right-aligned in nine columns. */
export function layOutExpectation(text: string): string {
  const words = text.trim().split(/\s+/);
  return `${words.shift()!.padStart(9)} ${words.join(' ')}`;
}

/** All scenarios of the folder, files in name order. */
export function readScenarios(): Scenario[] {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  return readdirSync(folder)
    .filter((name) => name.endsWith('.md'))
    .sort()
    .flatMap((name) => parseScenarios(name, readFileSync(folder + name, 'utf8')));
}
