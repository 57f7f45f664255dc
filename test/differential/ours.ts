// What does ctreplay say about the same packets? Runs the command line as a user would, over a capture of the frames the
// kernel got, and reads its outputs.

import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { OurAnswers, OurPacket } from './compare.ts';
import { departuresOf } from './compare-sent.ts';
import type { HostFiles } from './host.ts';
import { type Question, routerAddresses } from './kernel.ts';
import { pcapngOf } from './write-capture.ts';

const run = promisify(execFile);
const ETHERNET_HEADER = 14;

/** The built command line: build/program/main.js, seen from test/differential or build/test/differential. */
export function commandLine(): string | undefined {
  const places = ['../../build/program/main.js', '../../program/main.js'];
  return places.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((place) => existsSync(place));
}

/** True if a ruleset asks where packets come from or go to. */
export function namesInterfaces(rules: string): boolean {
  return /(^|\s)-(-in-interface|-out-interface|[io])\s/m.test(rules);
}

/** One run of ctreplay that stays open for `trace` until it is closed. */
export class OurRun {
  readonly #folder: string;
  readonly #options: string[];
  readonly #program: string;
  /** Some rule gives a helper. */
  readonly #helped: boolean;

  constructor(question: Question, times: bigint[], host?: HostFiles) {
    const program = commandLine();
    if (!program) throw new Error('build/program/main.js is missing: npm run build');
    this.#program = program;
    this.#folder = mkdtempSync(join(tmpdir(), 'ctreplay-ours-'));
    writeFileSync(this.#path('capture.pcapng'), pcapngOf(question.frames, times, question.interfaces));
    const rules = [
      ...question.rules4.map((text) => ['iptables-save', text]),
      ...question.rules6.map((text) => ['ip6tables-save', text]),
    ];
    this.#options = ['--checksums', 'verify', '--quiet'];
    rules.forEach(([tool, text], index) => {
      const file = this.#path(`${index}.${tool}`);
      writeFileSync(file, withHeader(tool!, text!));
      this.#options.push('--rules', file);
    });
    for (const [index, text] of (question.sets ?? []).entries()) {
      writeFileSync(this.#path(`${index}.ipset`), text);
      this.#options.push('--rules', this.#path(`${index}.ipset`));
    }
    for (const [key, value] of Object.entries(question.sysctls)) {
      // The kernel wants it lowered before the upper threshold, and does nothing else with it.
      if (key.endsWith('_low_thresh')) continue;
      this.#options.push('--sysctl', `${key}=${value}`);
    }
    if (host) {
      mkdirSync(this.#path('host'));
      for (const [name, text] of Object.entries(host)) writeFileSync(join(this.#path('host'), name), text);
      this.#options.push('--host', this.#path('host'));
    }
    const texts = [...question.rules4, ...question.rules6];
    this.#helped = texts.some((text) => text.includes('--helper '));
    const named = question.mtus !== undefined || texts.some(namesInterfaces);
    if (!question.locals && named) this.#options.push(...networks(question));
    if (question.masquerades) {
      const { v4, v6 } = routerAddresses(question);
      this.#options.push('--local', v4, '--local', v6);
    }
  }

  /** Replays and reads everything that is compared. */
  async replay(workers: number, seed = 0): Promise<OurAnswers> {
    const names = ['packets', 'events', 'expectations', 'table', 'counters'];
    const files = names.flatMap((name) => [`--${name}`, name]);
    const outputs = files.map((word, index) => (index % 2 ? this.#path(word) : word));
    const sent = ['--write', this.#path('sent'), '--as-sent'];
    await this.#run('replay', [...outputs, ...sent, '--workers', String(workers), '--seed', String(seed)]);
    const lines = (name: string): string[] => readFileSync(this.#path(name), 'utf8').split('\n').filter(Boolean);
    const counters = this.#options.includes('--rules') ? readFileSync(this.#path('counters'), 'utf8') : undefined;
    return {
      packets: lines('packets').map((line) => JSON.parse(line) as OurPacket),
      events: lines('events'),
      expectations: lines('expectations'),
      pending: this.#helped
        ? (await this.#run('list', ['--expected', '--seed', String(seed)])).split('\n').filter(Boolean)
        : [],
      table: lines('table'),
      departures: departuresOf(readFileSync(this.#path('sent')), ETHERNET_HEADER),
      ...countersByTool(counters),
    };
  }

  /** `ctreplay trace` of one packet, or why there is none. */
  async trace(n: number): Promise<string> {
    try {
      return await this.#run('trace', ['--packet', `1:${n}`]);
    } catch (error) {
      return `(no trace: ${String(error).split('\n')[0]})`;
    }
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async #run(command: string, options: string[]): Promise<string> {
    const words = [this.#program, command, ...this.#options, ...options, this.#path('capture.pcapng')];
    return (await run(process.execPath, words, { maxBuffer: 1 << 30 })).stdout;
  }
}

/** Rules are told apart by content, which an IPv6 ruleset without an address in it does not show: the header does. */
function withHeader(tool: string, text: string): string {
  return text.startsWith('# Generated by') ? text : `# Generated by ${tool}\n${text}`;
}

/** Which networks lie behind which interface, as far as a router without a table of routes can be told. */
function networks({ sides, interfaces: [lan, wan] }: Question): string[] {
  const inside = [...sides]
    .filter(([, side]) => side === 0)
    .map(([address]) => `${address}/${address.includes(':') ? 128 : 32}`);
  return ['--iface', `${lan}=${inside.join(',')}`, '--iface', `${wan}=0.0.0.0/0,::/0`];
}

/** The counters file holds both families one after the other, each under its tool's header. */
function countersByTool(text: string | undefined): { counters4?: string; counters6?: string } {
  if (text === undefined) return {};
  const found: Record<'4' | '6', string[]> = { 4: [], 6: [] };
  let family: '4' | '6' = '4';
  for (const line of text.split('\n')) {
    const header = /^# Generated by (ip6?tables)/.exec(line);
    if (header) family = header[1] === 'ip6tables' ? '6' : '4';
    found[family].push(line);
  }
  return {
    ...(found[4].some((line) => line.startsWith('*')) && { counters4: found[4].join('\n') }),
    ...(found[6].some((line) => line.startsWith('*')) && { counters6: found[6].join('\n') }),
  };
}
