// Do the commands do with the results of a run what they promise: outputs, messages, exit codes? The run is made up.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CtState, EventBit, EventKind, L3, Proto, TcpConntrack, Verdict } from '../../../assembly/vocabulary.ts';
import type { BatchView, Sink } from '../../../src/batch.ts';
import { parseArguments } from '../../../src/cli/args.ts';
import { COMMAND_FUNCTIONS } from '../../../src/cli/commands.ts';
import { EVENT, PACKET } from '../../../src/engine/layout.ts';
import { CaptureError, EngineError } from '../../../src/errors.ts';
import type { RunOptions, RunResult } from '../../../src/run.ts';
import { captureRecord, memory, packetRecord, writeTuple } from '../report/records.ts';

const RECORDS = 64;
const OLD = 1024;
const NEW = 2048;
const EVENTS = 4096;
const TABLE = 8192;

const tuple = { src: '10.0.0.1', dst: '10.0.0.2', protonum: Proto.TCP, sport: 4000, dport: 80 };
const inverse = { src: '10.0.0.2', dst: '10.0.0.1', protonum: Proto.TCP, sport: 80, dport: 4000 };
const RULES = [
  {
    family: L3.IPV4,
    table: 'filter',
    chain: 'FORWARD',
    number: 1,
    text: '-A FORWARD -j ACCEPT',
    file: 'f',
    line: 3,
    target: '',
  },
];

const ran: { options: RunOptions[]; error?: CaptureError; fails?: Error; differ: boolean } = {
  options: [],
  differ: false,
};
const standard = { text: '', closeAfter: Number.POSITIVE_INFINITY, closed: false };
let errors = '';

vi.mock('../../../src/run.ts', () => ({
  run: async (options: RunOptions, sink: Sink): Promise<RunResult> => {
    ran.options.push(options);
    const place = memory();
    const { view, bytes } = place;
    captureRecord(place, RECORDS, 1, 1, 5_000_000_042n, 1n);
    const syn = { ct_state: CtState.NEW, verdict: Verdict.ACCEPT, tcp_state: TcpConntrack.SYN_SENT, events: 1 };
    packetRecord(place, OLD, { tuple, u8: syn, u32: { rule: 0 }, flowId: 1n });
    const other = ran.differ ? { ...syn, verdict: Verdict.DROP, events: 0 } : syn;
    packetRecord(place, NEW, { tuple, u8: other, u32: { rule: 0 }, flowId: 1n });
    for (const [at, kind] of [
      [EVENTS, EventKind.NEW],
      [TABLE, EventKind.NONE],
    ] as const) {
      view.setBigUint64(at + EVENT.time, 5_000_000_042n, true);
      bytes[at + EVENT.kind] = kind;
      bytes[at + EVENT.tcp_state] = TcpConntrack.SYN_SENT;
      view.setUint32(at + EVENT.bits, EventBit.NEW | EventBit.PROTOINFO, true);
      view.setUint32(at + EVENT.timeout_s, 120, true);
      writeTuple(place, at + EVENT.original_0, tuple);
      writeTuple(place, at + EVENT.reply_0, inverse);
    }
    const batch = {
      view,
      bytes,
      records: RECORDS,
      count: 1,
      interfaces: { name: () => undefined },
      worlds: [OLD, NEW].slice(0, options.hosts.length).map((packets) => ({
        packets,
        events: options.wantEvents ? [{ view, bytes, at: EVENTS }] : [],
        expectations: [],
        logs: () => [],
        rules: RULES,
        uncounted: true,
      })),
    } as unknown as BatchView;
    await sink(batch);
    options.signal?.throwIfAborted();
    if (ran.fails) throw ran.fails;
    return {
      worlds: options.hosts.map(() => ({
        rules: RULES,
        counters: () => ({ packets: 1n, bytes: 60n }),
        table: () => [{ view, bytes, at: TABLE }],
        tallies: { view, addresses: [] },
        flows: 1,
        trace: [],
      })),
      packets: 1,
      first: 5_000_000_042n,
      last: 5_000_000_042n,
      seconds: 0.5,
      files: [{ path: 'a.pcap', file: 1, packets: 1, links: [1] }],
      notes: ['something to know'],
      error: ran.error,
    } as unknown as RunResult;
  },
}));

vi.mock('../../../src/output.ts', async (original) => {
  const actual = await original<typeof import('../../../src/output.ts')>();
  return {
    ...actual,
    writeStandardOutput: async (text: string) => {
      standard.text += text;
    },
    writeStandardError: async (text: string) => {
      errors += text;
    },
    openOutput: async (path: string) => {
      if (path !== '-') return actual.openOutput(path);
      return {
        path,
        get closed() {
          return standard.closed;
        },
        write: (text: string) => {
          if (standard.text.length > standard.closeAfter) standard.closed = true;
          else standard.text += text;
          return undefined;
        },
        finish: async () => {},
        discard: async () => {},
      };
    },
  };
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ctreplay-commands-'));
  Object.assign(ran, { options: [], error: undefined, fails: undefined, differ: false });
  Object.assign(standard, { text: '', closeAfter: Number.POSITIVE_INFINITY, closed: false });
  errors = '';
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

async function command(...argv: string[]): Promise<number> {
  const parsed = parseArguments(argv, '0');
  if (parsed.kind !== 'command') throw new Error('not a command');
  const run = await COMMAND_FUNCTIONS[parsed.command]();
  return run(parsed.options, parsed.captures);
}

const TUPLES =
  'src=10.0.0.1 dst=10.0.0.2 sport=4000 dport=80 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 sport=80 dport=4000';

describe('replay', () => {
  const outputs = () => ['events', 'packets', 'table'].flatMap((name) => [`--${name}`, join(folder, name)]);

  test('writes what is asked for, the summary, and its speed apart', async () => {
    expect(await command('replay', 'a.pcap', ...outputs())).toBe(0);
    expect(readFileSync(join(folder, 'events'), 'utf8')).toBe(
      `[00000005.000000]\t    [NEW] tcp      6 120 SYN_SENT ${TUPLES}\n`,
    );
    expect(readFileSync(join(folder, 'table'), 'utf8')).toBe(
      `ipv4     2 tcp      6 120 SYN_SENT ${TUPLES} mark=0 use=1\n`,
    );
    expect(JSON.parse(readFileSync(join(folder, 'packets'), 'utf8'))).toMatchObject({
      ts: '5.000000042',
      rule: 'filter/FORWARD/1',
    });
    expect(standard.text).toContain('1 packet\n');
    expect(standard.text).toContain('something to know');
    expect(standard.text).not.toContain('packets/s');
    expect(errors).toContain('2 packets/s');
  });

  test('--json prints one object, --quiet nothing', async () => {
    await command('replay', 'a.pcap', '--json');
    expect(JSON.parse(standard.text)).toMatchObject({ packets: 1, verdicts: { ACCEPT: { packets: 1, flows: 1 } } });
    standard.text = '';
    errors = '';
    await command('replay', 'a.pcap', '--quiet');
    expect([standard.text, errors]).toEqual(['', '']);
  });

  test('an output on standard output is alone there', async () => {
    await command('replay', 'a.pcap', '--events', '-', '--events-format', 'extended');
    expect(standard.text).toBe(`[00000005.000000]\t    [NEW] ipv4     2 tcp      6 120 SYN_SENT ${TUPLES}\n`);
    expect(errors).toContain('something to know');
  });

  test('a capture that is cut: outputs are complete, then the error, exit 2', async () => {
    ran.error = new CaptureError('capture-cut', 'the record is cut short', { file: 'a.pcap', packet: 2, offset: 99 });
    expect(await command('replay', 'a.pcap', ...outputs())).toBe(2);
    expect(readdirSync(folder).sort()).toEqual(['events', 'packets', 'table']);
    expect(readFileSync(join(folder, 'events'), 'utf8')).toContain('[NEW]');
    expect(errors).toContain('ctreplay: a.pcap, packet 2, byte offset 99: the record is cut short\n');
  });

  test('--report writes its page, whole or not at all, and the summary as without it', async () => {
    const path = join(folder, 'report.html');
    await command('replay', 'a.pcap', '--quiet', '--report', path);
    expect(readFileSync(path, 'utf8')).toMatch(/^<!DOCTYPE html>.*<strong>1<\/strong><span>packets<.*<\/html>\n$/s);
    expect(standard.text).toBe('');
    ran.fails = new EngineError('engine', 'trap');
    const other = join(folder, 'other.html');
    await expect(command('replay', 'a.pcap', '--report', other)).rejects.toThrow('trap');
    const rules = join(folder, 'rules.v4');
    writeFileSync(rules, '*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n');
    await expect(command('diff', '--old', rules, '--new', rules, 'a.pcap', '--report', other)).rejects.toThrow('trap');
    expect(readdirSync(folder)).toEqual(['report.html', 'rules.v4']);
    delete ran.fails;
    await command('replay', 'a.pcap', '--report', '-');
    expect(standard.text).toContain('<h1>a.pcap</h1>');
    expect(errors).toContain('1 packet\n');
  });

  test('a run that fails leaves no output behind', async () => {
    ran.fails = new EngineError('engine', 'trap');
    await expect(command('replay', 'a.pcap', ...outputs())).rejects.toThrow('trap');
    expect(readdirSync(folder)).toEqual([]);
  });

  test('an output that cannot be opened stops before the run and leaves no other', async () => {
    const bad = join(folder, 'no', 'packets');
    await expect(command('replay', 'a.pcap', '--events', join(folder, 'events'), '--packets', bad)).rejects.toThrow(
      bad,
    );
    expect(ran.options).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('--at', () => {
  test('a moment is passed on', async () => {
    await command('list', 'a.pcap', '--at', '7.5');
    expect(ran.options.map(({ until }) => until)).toEqual([{ at: 7_500_000_000n }]);
  });

  test('+SECONDS counts from the first packet, also of standard input', async () => {
    await command('list', 'a.pcap', '--at', '+1');
    await command('list', '-', '--at', '+1.5');
    expect(ran.options.map(({ until }) => until)).toEqual([
      { afterFirst: 1_000_000_000n },
      { afterFirst: 1_500_000_000n },
    ]);
  });
});

describe('events and list', () => {
  test('events prints them', async () => {
    expect(await command('events', 'a.pcap', '--quiet')).toBe(0);
    expect(standard.text).toBe(`[00000005.000000]\t    [NEW] tcp      6 120 SYN_SENT ${TUPLES}\n`);
  });

  test('events --json', async () => {
    await command('events', 'a.pcap', '--json');
    expect(JSON.parse(standard.text)).toMatchObject({
      ts: '5.000000042',
      event: 'NEW',
      state: 'SYN_SENT',
      original: { src: '10.0.0.1', sport: 4000 },
      reply: { src: '10.0.0.2', dport: 4000 },
    });
  });

  test('a reader that has gone ends events without trouble', async () => {
    standard.closeAfter = -1;
    expect(await command('events', 'a.pcap')).toBe(0);
    expect(ran.options[0]?.signal?.aborted).toBe(true);
  });

  test('list prints the table and how many there are', async () => {
    expect(await command('list', 'a.pcap')).toBe(0);
    expect(standard.text).toBe(`tcp      6 120 SYN_SENT ${TUPLES} mark=0 use=1\n`);
    expect(errors).toContain('1 flow entries have been shown.');
  });
});

describe('trace', () => {
  test('names the packet', async () => {
    expect(await command('trace', '--packet', '1:1', 'a.pcap')).toBe(0);
    expect(standard.text).toContain('a.pcap:1');
    expect(standard.text).toContain('ACCEPT by filter/FORWARD/1');
    expect(ran.options[0]?.trace).toEqual({ file: 1, n: 1 });
  });

  test('a packet that the capture does not have', async () => {
    await expect(command('trace', '--packet', '1:2', 'a.pcap')).rejects.toThrow('a.pcap has no packet 2, only 1 to 1');
  });
});

describe('diff', () => {
  const hosts = ['--old', 'test/unit/cli', '--new', 'test/unit/cli'];

  test('two hosts that cannot be read are trouble', async () => {
    await expect(command('diff', ...hosts, 'a.pcap')).rejects.toThrow('test/unit/cli');
  });

  test.each([
    [false, 0, 'no difference in 1 packet'],
    [true, 1, 'ACCEPT filter/FORWARD/1 -> DROP filter/FORWARD/1'],
  ])('exit code when the worlds differ: %s', async (differ, code, text) => {
    ran.differ = differ;
    const rules = join(folder, 'rules.v4');
    writeFileSync(rules, '*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n');
    expect(await command('diff', '--old', rules, '--new', rules, 'a.pcap')).toBe(code);
    expect(standard.text).toContain(text);
  });
});

test('PACKET and EVENT areas of the made-up run do not overlap', () => {
  expect(OLD + PACKET.size <= NEW && NEW + PACKET.size <= EVENTS && EVENTS + EVENT.size <= TABLE).toBe(true);
});
