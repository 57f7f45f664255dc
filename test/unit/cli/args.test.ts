// Is the command line read as the user means it, and is every mistake named?

import { describe, expect, test } from 'vitest';
import { parseArguments, parseCapture, parsePacket } from '../../../src/cli/args.ts';
import { errorText } from '../../../src/cli/exit.ts';
import { COMMANDS, FLAGS } from '../../../src/cli/flags.ts';
import { EngineError, HostError, UsageError } from '../../../src/errors.ts';
import { parseMoment } from '../../../src/moment.ts';

function command(line: string) {
  const parsed = parseArguments(line.split(' ').filter(Boolean), '1.2.3');
  if (parsed.kind !== 'command') throw new Error(`text: ${parsed.text}`);
  return parsed;
}

function text(line: string): string {
  const parsed = parseArguments(line.split(' ').filter(Boolean), '1.2.3');
  if (parsed.kind !== 'text') throw new Error('a command');
  return parsed.text;
}

describe('options', () => {
  test('stand before and after captures', () => {
    const parsed = command('replay --host h a.pcap --quiet b.pcap --workers 3');
    expect(parsed.captures).toEqual([{ path: 'a.pcap' }, { path: 'b.pcap' }]);
    expect(parsed.options).toMatchObject({ host: 'h', quiet: true, json: false, workers: 3 });
  });

  test('have defaults', () => {
    const { options } = command('replay a.pcap');
    expect(options).toMatchObject({ checksums: 'auto', eventsFormat: 'text', rules: [], quiet: false });
    expect(options.workers).toBeUndefined();
  });

  test('repeat where they may', () => {
    const { options } = command(
      'replay --rules a --rules b --sysctl x=1 --sysctl f --local 10.0.0.1 --iface lan=10.0.0.0/8 --iface wan=0.0.0.0/0 c',
    );
    expect(options).toMatchObject({
      rules: ['a', 'b'],
      sysctl: ['x=1', 'f'],
      local: ['10.0.0.1'],
      iface: ['lan=10.0.0.0/8', 'wan=0.0.0.0/0'],
    });
  });

  test('of every command are accepted by it and by no other', () => {
    const values: Record<string, string> = {
      at: '5',
      packet: '1:1',
      workers: '2',
      traffic: 'imix:5',
      runs: '3',
      seed: '7',
      checksums: 'verify',
      'events-format': 'xml',
      'flow-log-format': 'ulogd',
      output: 'id',
      'write-verdict': 'DROP --write f',
      'as-sent': '--write f',
    };
    const required: Record<string, string> = { trace: '--packet 1:1', diff: '--old a --new b', check: '--expect e' };
    for (const name of COMMANDS) {
      for (const flag of FLAGS) {
        const words = `--${flag.name} ${values[flag.name] ?? (flag.value === undefined ? '' : 'f')}`;
        const line = `${name} ${required[name] ?? ''} ${words} c`;
        if (flag.commands.includes(name)) expect(command(line).command).toBe(name);
        else expect(() => command(line)).toThrow(`unknown option '--${flag.name}'`);
      }
    }
  });
});

describe('mistakes are named', () => {
  test.each([
    ['', 'say a command'],
    ['frobnicate a', "unknown command 'frobnicate'"],
    ['replay', "missing required argument 'capture'"],
    ['events --write f a', "unknown option '--write'"],
    ['replay --as-sent a', '--as-sent needs --write'],
    ['replay --write-verdict DROP a', '--write-verdict needs --write'],
    ['replay --write f --write-verdict drop a', "'drop' is none of NONE, ACCEPT, DROP, REJECT, QUEUE"],
    ['replay --write f --as-sent --write-verdict DROP a', 'only packets with the verdict ACCEPT have left'],
    ['replay --write f --packets f a', '--packets and --write cannot both go to f'],
    ['replay --write - --json a', '--json and --write cannot both go to standard output'],
    ['replay a --host', "option '--host <DIR|FILE>' argument missing"],
    ['replay --checksums maybe a', '--checksums'],
    ['replay --events-format yaml a', '--events-format'],
    ['replay --workers 0 a', '--workers'],
    ['replay --workers 65 a', '--workers'],
    ['replay --workers 1.5 a', '--workers'],
    ['replay --at yesterday a', '--at'],
    ['replay --events - --packets - a', '--events and --packets cannot both go to standard output'],
    ['replay --events f --expectations f a', '--events and --expectations cannot both go to f'],
    ['replay --events f --table f a', '--events and --table cannot both go to f'],
    ['replay --json --events - a', '--json and --events'],
    ['replay - -', 'standard input'],
    ['trace a', "required option '--packet <FILE:N>'"],
    ['trace --packet 7 a', '--packet'],
    ['trace --packet 2:7 a', '--packet'],
    ['trace --packet b.pcap:7 a.pcap', '--packet'],
    ['diff --old a c', "required option '--new <DIR|FILE>'"],
    ['check c', "required option '--expect <FILE>'"],
    ['check --expect e --tap --json c', '--json and --tap cannot both be given'],
    ['check --expect e --tap --junit - c', '--tap and --junit cannot both go to standard output'],
    ['check --expect e --json --junit - c', '--json and --junit cannot both go to standard output'],
  ])('%s', (line, message) => {
    let caught: unknown;
    try {
      command(line);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(UsageError);
    expect((caught as Error).message).toContain(message);
    expect((caught as Error).message).not.toMatch(/^error:/);
  });
});

describe('help', () => {
  test('lists every command', () => {
    for (const name of COMMANDS) expect(text('--help')).toContain(name);
    expect(text('--help')).toContain('Exit status');
  });

  test.each(COMMANDS)('of %s lists its flags', (name) => {
    const help = text(`${name} --help`);
    for (const flag of FLAGS) {
      if (flag.commands.includes(name)) expect(help).toContain(flag.short.split(' ')[0]);
      expect(new RegExp(`^  (-\\w, )?--${flag.name}(?![\\w-])`, 'm').test(help)).toBe(flag.commands.includes(name));
    }
  });

  test('version', () => {
    expect(text('--version')).toBe('1.2.3\n');
  });
});

describe('captures', () => {
  const none = () => false;

  test('iface=file names the interface', () => {
    expect(parseCapture('eth0.100=/data/a=b.pcap', none)).toEqual({ path: '/data/a=b.pcap', iface: 'eth0.100' });
  });

  test('a file that exists under the whole name is that file', () => {
    expect(parseCapture('a=b.pcap', (path) => path === 'a=b.pcap')).toEqual({ path: 'a=b.pcap' });
  });

  test('a path with = behind a slash, and standard input', () => {
    expect(parseCapture('/data/x=1/a.pcap', none)).toEqual({ path: '/data/x=1/a.pcap' });
    expect(parseCapture('-', none)).toEqual({ path: '-' });
  });

  test('a packet is named by number or by path, even if the path has colons', () => {
    const captures = [{ path: 'a.pcap' }, { path: '/d/10:30.pcap' }, { path: '2' }];
    expect(parsePacket('2:9', captures)).toEqual({ file: 3, n: 9 });
    expect(parsePacket('1:9', captures)).toEqual({ file: 1, n: 9 });
    expect(parsePacket('/d/10:30.pcap:4294967295', captures)).toEqual({ file: 2, n: 4294967295 });
    expect(() => parsePacket('1:0', captures)).toThrow('from 1');
  });
});

describe('--at', () => {
  test.each([
    ['1700000000', { at: 1_700_000_000_000_000_000n }],
    ['1700000000.000000001', { at: 1_700_000_000_000_000_001n }],
    ['0.5', { at: 500_000_000n }],
    ['+12.5', { afterFirst: 12_500_000_000n }],
    ['+0', { afterFirst: 0n }],
    // date -u -d @1795236731: 2026-11-21 04:52:11
    ['2026-11-21T04:52:11Z', { at: 1_795_236_731_000_000_000n }],
    ['2026-11-21 04:52:11.519092001', { at: 1_795_236_731_519_092_001n }],
    ['2026-11-21T05:52:11.5+01:00', { at: 1_795_236_731_500_000_000n }],
    ['2026-11-21T03:22:11-0130', { at: 1_795_236_731_000_000_000n }],
    ['2026-11-21', { at: 1_795_219_200_000_000_000n }],
  ])('%s', (given, moment) => {
    expect(parseMoment(given)).toEqual(moment);
  });

  test.each(['', '-5', '1e9', '2026-13-01', '12:30', '+-1', '2026-11-21T25:00'])('not a time: %s', (given) => {
    expect(parseMoment(given)).toBeUndefined();
    expect(() => parseArguments(['list', '--at', given, 'a.pcap'], '')).toThrow(UsageError);
  });
});

describe('errors', () => {
  test("the user's read as one line", () => {
    expect(errorText(new HostError('host-missing', 'no such folder'))).toBe('ctreplay: no such folder\n');
  });

  test('ours bring the stack', () => {
    expect(errorText(new EngineError('engine', 'trap'))).toMatch(/^ctreplay: internal error: [\s\S]*args\.test/);
  });
});
