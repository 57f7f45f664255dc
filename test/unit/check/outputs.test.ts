// Do results reach people, CI servers and programs: text, JUnit XML, TAP, JSON, exit codes, the same for any number of workers?

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DOMParser, type Element, Node } from '@xmldom/xmldom';
import { Parser } from 'tap-parser';
import { afterAll, describe, expect, test } from 'vitest';
import type { CheckReport, Failure } from '../../../src/index.ts';
import { check, ExpectationError, loadHost } from '../../../src/index.ts';
import { checkJUnit } from '../../../src/report/check-junit.ts';
import { checkTap } from '../../../src/report/check-tap.ts';
import { fragment } from '../../support/fragments.ts';
import { ethernet, ip, udp, writePcap } from '../../support/packets.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const DEMO = 'captures/demo-host.expect.yaml';
const CAPTURES = ['dns', 'http', 'internet', 'ipv6', 'ping-traceroute', 'ssh-session'].map(
  (name) => `captures/${name}.pcap`,
);

const folder = mkdtempSync(join(tmpdir(), 'ctreplay-check-'));
afterAll(() => rmSync(folder, { recursive: true }));

function put(name: string, text: string): string {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

/** Runs the program in the root of the repository. */
function program(args: readonly string[], env = {}): { status: number | null; stdout: string; stderr: string } {
  const argv = [join(ROOT, 'build/program/main.js'), 'check', ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, argv, {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

const demo = (host: string, ...more: string[]): string[] => [
  '--host',
  `captures/${host}`,
  '--expect',
  DEMO,
  ...more,
  ...CAPTURES,
];

/** A report with everything that a format could stumble over. */
const ODD: CheckReport = {
  packets: 1,
  holds: false,
  failed: 1,
  results: [
    { name: 'a # TODO <&">', file: 'a&b.yaml', line: 1, subject: 'packets', selected: 2, holds: true, failures: [] },
    {
      name: 'b \\ \u0001\uD800 é 🙂',
      file: 'a&b.yaml',
      line: 5,
      subject: 'rules',
      selected: 1,
      holds: false,
      failures: [
        {
          claim: 'all',
          line: 7,
          column: 3,
          message: '1 of 1 rule does not meet { text: "]]> # \u0000" }',
          total: 7,
          first: [
            { rule: 'r', family: 'ipv4', packets: 1, bytes: 60, text: '-A x <b>\r', file: 'f', line: 1 },
            { flow: 'tcp      6' },
          ],
        },
        { claim: 'count', line: 6, column: 1, message: 'selects 1 rule, not 2', total: 1, first: [] },
      ],
    },
    { name: 'c', file: 'other', line: 1, subject: 'table', selected: 0, holds: true, failures: [] },
  ],
};

describe('text', () => {
  test('what holds is a line', () => {
    const all = put('all.yaml', '- name: a\n  packets: {}\n  none: { verdict: QUEUE }\n');
    const { status, stdout, stderr } = program(['--expect', all, 'captures/dns.pcap']);
    expect([status, stdout]).toEqual([0, '1 expectation holds in 32 packets\n']);
    expect(stderr).toMatch(/^ctreplay: 32 packets in /);
    expect(program(['--quiet', '--expect', all, 'captures/dns.pcap'])).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  test('what fails says where, which packets show it, and which rule decided', () => {
    const { status, stdout } = program(demo('demo-host-old', '--quiet'));
    expect(status).toBe(1);
    expect(stdout.split('\n').map((line) => line.trim().slice(0, 90))).toEqual([
      'FAIL  from the internet only what is published is new',
      `${DEMO}:22:5: all: 1 of 6 packets does not meet - { dst: [203.0.113.5, "2001:`.slice(0, 90),
      'captures/internet.pcap:28  1795254984.201358026  tcp 198.51.100.7:57164 -> 203.0.113.5:22 ',
      'ACCEPT filter/dmz-in/2, NEW SYN_SENT  -A dmz-in -d 203.0.113.5/32 -p tcp -m tcp --dport 22',
      '',
      '1 of 8 expectations fails in 588 packets',
      '',
    ]);
  });

  test('the demo of the changed firewall fails where the change went too far', () => {
    const report: CheckReport = JSON.parse(program(demo('demo-host-new', '--json')).stdout);
    expect(report.results.filter(({ holds }) => !holds).map(({ name }) => name)).toEqual([
      'the lan asks the DNS server over UDP and TCP',
    ]);
  });
});

describe('exit status 2, and nothing is reported', () => {
  test.each([
    [
      'a file that is not there',
      ['--expect', 'none.yaml', 'captures/dns.pcap'],
      'none.yaml: no such file or directory',
    ],
    ['a folder', ['--expect', 'captures', 'captures/dns.pcap'], 'captures: is a directory'],
    ['no capture', ['--expect', DEMO, 'none.pcap'], "file: 'internet.pcap' is none of the captures"],
  ])('%s', (_, args, message) => {
    const junit = join(folder, 'trouble.xml');
    const { status, stdout, stderr } = program(['--junit', junit, ...args]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(existsSync(junit)).toBe(false);
  });

  test('a capture that is cut', () => {
    const cut = join(folder, 'cut.pcap');
    writeFileSync(cut, readFileSync(join(ROOT, 'captures/dns.pcap')));
    truncateSync(cut, 1000);
    const junit = join(folder, 'cut.xml');
    const all = put('all.yaml', '- name: a\n  packets: {}\n  none: { verdict: QUEUE }\n');
    const { status, stdout, stderr } = program(['--junit', junit, '--expect', all, cut]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(cut);
    expect(existsSync(junit)).toBe(false);
  });

  test('standard input, where a moment needs the captures twice', () => {
    const text = '- name: a\n  table: {}\n  at: +1\n  count: 1\n';
    const { status, stderr } = program(['--expect', put('at.yaml', text), '-']);
    expect(status).toBe(2);
    expect(stderr).toContain('at.yaml:3:7: the captures are read once more for this');
  });
});

// What junit-10.xsd of Jenkins' xUnit plugin and surefire-test-report.xsd of Maven Surefire say alike: elements in elements, and
// the attributes that must be there.
const JUNIT: Record<string, { children: string[]; required: string[]; optional?: string[] }> = {
  testsuites: { children: ['testsuite'], required: [], optional: ['name', 'time', 'tests', 'failures', 'errors'] },
  testsuite: {
    children: ['testcase'],
    required: ['name', 'tests', 'failures', 'errors', 'skipped'],
    optional: ['time'],
  },
  testcase: { children: ['failure'], required: ['name', 'time'], optional: ['classname'] },
  failure: { children: [], required: ['type'], optional: ['message'] },
};
const NUMBERS = ['tests', 'failures', 'errors', 'skipped'];

function elements(of: Element): Element[] {
  return Array.from(of.childNodes).filter((node): node is Element => node.nodeType === Node.ELEMENT_NODE);
}

function validate(element: Element): void {
  const form = JUNIT[element.tagName]!;
  const names = Array.from(element.attributes, ({ name }) => name);
  for (const name of form.required) expect(names).toContain(name);
  for (const name of names) expect([...form.required, ...(form.optional ?? [])]).toContain(name);
  for (const name of NUMBERS) if (names.includes(name)) expect(element.getAttribute(name)).toMatch(/^\d+$/);
  // SUREFIRE_TIME
  if (names.includes('time'))
    expect(element.getAttribute('time')).toMatch(/^(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]{0,3})?$/);
  for (const child of elements(element)) {
    expect(form.children).toContain(child.tagName);
    validate(child);
  }
  if (element.tagName === 'failure') return;
  const text = Array.from(element.childNodes).filter((node) => node.nodeType === Node.TEXT_NODE);
  expect(text.map((node) => node.nodeValue!.trim()).join('')).toBe('');
}

/** Parses as strictly as the parser can. */
function junit(xml: string): Element {
  const onError = (level: string, message: string) => {
    throw new Error(`${level}: ${message}`);
  };
  const root = new DOMParser({ onError }).parseFromString(xml, 'text/xml').documentElement!;
  validate(root);
  return root;
}

describe('JUnit', () => {
  test('a suite for each file, a case for each expectation, a failure for what fails', () => {
    const path = join(folder, 'report.xml');
    expect(
      program(
        demo('demo-host-new', '--junit', path, '--expect', put('b.yaml', '- name: b\n  flows: {}\n  count: 1..\n')),
      ).status,
    ).toBe(1);
    const root = junit(readFileSync(path, 'utf8'));
    const suites = elements(root);
    expect(suites.map((suite) => suite.getAttribute('name'))).toEqual([DEMO, join(folder, 'b.yaml')]);
    expect(suites.map((suite) => [suite.getAttribute('tests'), suite.getAttribute('failures')])).toEqual([
      ['8', '1'],
      ['1', '0'],
    ]);
    expect([root.getAttribute('tests'), root.getAttribute('failures')]).toEqual(['9', '1']);
    const failing = elements(suites[0]!).filter((each) => elements(each).length > 0);
    expect(failing.map((each) => each.getAttribute('name'))).toEqual(['the lan asks the DNS server over UDP and TCP']);
    const [failure] = elements(failing[0]!);
    expect(failure!.getAttribute('message')).toBe('all: 6 of 15 packets do not meet { verdict: ACCEPT }');
    expect(failure!.textContent).toContain(
      'captures/dns.pcap:9  1795254918.711050015  tcp 192.168.10.20:35324 -> 203.0.113.6:53 [S]',
    );
    expect(failure!.textContent).toContain('(captures/demo-host-new/iptables-save:27)');
  });

  test('names and texts of any characters', () => {
    const [first, second] = elements(junit(checkJUnit(ODD)));
    const names = elements(first!).map((each) => each.getAttribute('name'));
    expect(names).toEqual(['a # TODO <&">', 'b \\ ?? é 🙂']);
    expect(elements(elements(first!)[1]!)[0]!.textContent).toContain(
      '  r ipv4, 1 packet, 60 bytes  -A x <b>\r  (f:1)\n',
    );
    expect([first!.getAttribute('name'), second!.getAttribute('name')]).toEqual(['a&b.yaml', 'other']);
  });
});

describe('TAP', () => {
  test('is read by a parser as it was meant', () => {
    const { status, stdout } = program(demo('demo-host-new', '--tap'));
    expect(status).toBe(1);
    const points: {
      ok: boolean;
      id: number;
      name: string;
      diag: { at: string; selected: number; message: string } | null;
    }[] = [];
    const parser = new Parser({ strict: true });
    parser.on('assert', (point) => points.push(point));
    parser.end(stdout);
    expect(parser.failures.map(({ name }) => name)).toEqual(['the lan asks the DNS server over UDP and TCP']);
    expect([parser.count, parser.pass, parser.planEnd, parser.bailedOut]).toEqual([8, 7, 8, false]);
    expect(points[1]!.diag).toMatchObject({ at: `${DEMO}:15`, selected: 15 });
    expect(points[1]!.diag!.message).toContain(
      `${DEMO}:17:8: all: 6 of 15 packets do not meet { verdict: ACCEPT }\n  captures/dns.pcap:9  `,
    );
  });

  test('names are no directives', () => {
    const names: string[] = [];
    const parser = new Parser({ strict: true });
    parser.on('assert', ({ name, todo, skip }) => names.push(`${name}${todo || skip ? ' directive' : ''}`));
    parser.end(checkTap(ODD));
    expect(names).toEqual(['a # TODO <&">', expect.stringMatching(/^b \\ /), 'c']);
    expect([parser.pass, parser.fail]).toEqual([2, 1]);
  });
});

describe('any number of workers', () => {
  test('makes no difference', () => {
    const outputs = ['1', '2'].flatMap((workers) => {
      const path = join(folder, `workers-${workers}.xml`);
      const env = { CTREPLAY_TEST_WORKERS: 'all' };
      const text = program(demo('demo-host-new', '--workers', workers, '--quiet', '--junit', path), env);
      const json = program(demo('demo-host-new', '--workers', workers, '--json', '--quiet'), env);
      expect([text.status, json.status]).toEqual([1, 1]);
      return [[text.stdout, json.stdout, readFileSync(path, 'utf8')]];
    });
    expect(outputs[1]).toEqual(outputs[0]);
  });
});

describe('library', () => {
  const dns = relative(process.cwd(), join(ROOT, 'captures/dns.pcap'));
  const text = (lines: string) => ({ file: 'e.yaml', text: lines });

  async function failures(lines: string, rules = ''): Promise<Failure[]> {
    const host = loadHost({});
    if (rules) host.rulesets.push({ file: 'rules', text: rules, family: 2 });
    const report = await check({ captures: [dns], host, expect: [text(`- name: n\n${lines}`)] });
    expect(report.packets).toBe(32);
    return report.results[0]!.failures;
  }
  const messages = async (lines: string, rules?: string) =>
    (await failures(lines, rules)).map(({ line, column, claim, message, total, first }) => [
      `${line}:${column}`,
      claim,
      message,
      total,
      first.length,
    ]);

  test('what selects nothing fails, unless it says otherwise', async () => {
    const nobody = '  packets: { src: 192.0.2.1 }\n  none: { verdict: ACCEPT }\n';
    expect(await messages(nobody)).toEqual([['2:12', 'count', 'selects no packet', 0, 0]]);
    expect(await messages(`${nobody}  count: 0..\n`)).toEqual([]);
    expect(await messages(nobody.replace('none', 'all'))).toHaveLength(1);
    expect(await messages('  flows: { proto: sctp }\n  some: { status: ASSURED }\n')).toEqual([
      ['2:10', 'count', 'selects no flow', 0, 0],
    ]);
  });

  // tcpdump -r captures/http.pcap arp: 2
  test('packets without a verdict are told of', async () => {
    const http = relative(process.cwd(), join(ROOT, 'captures/http.pcap'));
    const lines = '- name: n\n  packets: { why: not-ip }\n  count: 1..\n';
    const { results } = await check({ captures: [http], expect: [text(lines)] });
    const [{ message, total, first }] = results[0]!.failures as [Failure];
    expect(message).toBe(
      'selects no packet, not 1..; 2 packets that it describes have no verdict and would be selected with verdict: NONE',
    );
    expect(total).toBe(2);
    expect(first).toHaveLength(2);
    expect(first[0]).toMatchObject({ capture: http, verdict: 'NONE', why: 'not-ip', packet: 'not an IP packet' });
    const asked = lines.replace('why', 'verdict: NONE, why').replace('1..', '2');
    expect((await check({ captures: [http], expect: [text(asked)] })).holds).toBe(true);
  });

  // tcpdump -r captures/dns.pcap dst port 53: 18, of them 12 of UDP
  test('counts, and the first of what is too many', async () => {
    expect(await messages('  packets: { dport: 53 }\n  count: ..3\n')).toEqual([
      ['3:10', 'count', 'selects 18 packets, not ..3', 18, 5],
    ]);
    expect(await messages('  packets: { dport: 53 }\n  count: 1000..\n')).toEqual([
      ['3:10', 'count', 'selects 18 packets, not 1000..', 0, 0],
    ]);
    expect(await messages('  packets: { dport: 53 }\n  count: 18\n')).toEqual([]);
  });

  test('some, all and none may be claimed together', async () => {
    const lines =
      '  packets: { dport: 53 }\n  all: { verdict: ACCEPT }\n  none: { proto: udp }\n  some: { proto: sctp }\n';
    const [none, some, ...rest] = await messages(lines);
    expect(none).toEqual(['4:9', 'none', '12 of 18 packets meet { proto: udp }', 12, 5]);
    expect(some).toEqual(['5:9', 'some', 'none of 18 packets meets { proto: sctp }', 18, 5]);
    expect(rest).toEqual([]);
  });

  test('names of rules and interfaces that mean nothing: a claim that could not fail', async () => {
    const rules = '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -j ACCEPT\nCOMMIT\n';
    expect(await messages('  packets: {}\n  none: { rule: filter/FORWARD/2 }\n', rules)).toEqual([
      ['3:17', 'name', 'the ruleset has no such rule: filter/FORWARD/2', 0, 0],
    ]);
    expect(await messages('  packets: {}\n  some: { rule: [filter/FORWARD/2, filter/FORWARD/1] }\n', rules)).toEqual(
      [],
    );
    expect(await messages('  packets: {}\n  none: { out: eht0 }\n')).toEqual([
      ['3:16', 'name', 'there is no such interface: eht0', 0, 0],
    ]);
  });

  test('flows, where rules keep from being told that they end', async () => {
    const rules = '*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j CT --ctevents new\nCOMMIT\n';
    const error: ExpectationError = await failures('  flows: {}\n  count: 1\n', rules).then(
      () => expect.unreachable(),
      (caught) => caught,
    );
    expect(error).toBeInstanceOf(ExpectationError);
    expect(error.message).toContain(
      'e.yaml:2:10: flows are looked at when they end, and rules:3 keeps that from being told',
    );
    expect(await messages('  flows: {}\n  count: 1..\n', rules.replace('new', 'destroy'))).toEqual([]);
  });

  test('fragments bear the verdict of their packet, and have no ports', async () => {
    const packet = ip('10.0.0.1', '10.0.0.2', udp({ sport: 5000, dport: 6000, payload: 2000 }));
    const parts = [0, 800, 1600].map((offset) =>
      fragment(packet, { offset, length: offset < 1600 ? 800 : 408, more: offset < 1600 }),
    );
    const path = join(folder, 'fragments.pcap');
    const timed = parts.map((bytes, i) => ({ time: BigInt(i), data: ethernet(bytes) }));
    writeFileSync(path, writePcap(timed));
    const host = loadHost({});
    const rules = '*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -p udp -m udp --dport 6000 -j DROP\nCOMMIT\n';
    host.rulesets.push({ file: 'rules', text: rules, family: 2 });
    const lines = [
      '- { name: all, packets: { dst: 10.0.0.2 }, none: { rule: filter/FORWARD/1 } }',
      // The last one completes the packet, and stands for all of it.
      '- { name: ports, packets: { flow: { dport: 6000 } }, count: 0 }',
      '- { name: none, packets: { flow: { dport: 0..5999 } }, count: 0 }',
    ].join('\n');
    const { results } = await check({ captures: [path], host, expect: [text(lines)] });
    const [all, ports, none] = results.map(({ failures }) => failures[0]);
    expect(all!.first.map((each) => 'packet' in each && [each.n, each.verdict, each.packet])).toEqual([
      [1, 'DROP', `udp 10.0.0.1 -> 10.0.0.2, fragment of ${path}:3`],
      [2, 'DROP', `udp 10.0.0.1 -> 10.0.0.2, fragment of ${path}:3`],
      [3, 'DROP', 'udp 10.0.0.1:5000 -> 10.0.0.2:6000 length 2000'],
    ]);
    expect(ports!.first.map((each) => 'n' in each && each.n)).toEqual([3]);
    expect(none).toBeUndefined();
  });

  test('the table at moments', async () => {
    const lines = [
      // tcpdump -r captures/dns.pcap: three queries in the first tenth of a second.
      '- { name: first, table: {}, at: +0.1, count: 3 }',
      // A query that was answered lives for 30 s, one that was not as well (nf_conntrack_udp_timeout): gone after a day.
      '- { name: day, table: {}, at: +86400, count: 0 }',
      '- { name: end, table: { proto: udp }, count: 1.. }',
      '- { name: wrong, table: {}, at: +0.1, count: 2 }',
    ].join('\n');
    const { results } = await check({ captures: [dns], expect: [text(lines)] });
    expect(results.map(({ name, holds }) => [name, holds])).toEqual([
      ['first', true],
      ['day', true],
      ['end', true],
      ['wrong', false],
    ]);
    const { message, first } = results[3]!.failures[0]!;
    expect(message).toBe('selects 3 entries, not 2');
    expect(first).toEqual(
      [50069, 49387, 51667].map((port) => ({ flow: expect.stringMatching(`^udp +17 29 .* sport=${port} .* use=1$`) })),
    );
  });
});
