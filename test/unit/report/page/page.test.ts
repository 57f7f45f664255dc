// Has the page the numbers of the summary, whatever the captures and rules hold, and the same for any number of workers?

import { copyFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { numberOf, ROOT, replayPage, tableRows, textOf } from '../../../support/page.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ctreplay-page-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BUNDLED = readdirSync(`${ROOT}captures`)
  .filter((name) => /\.pcap/.test(name))
  .map((name) => `captures/${name}`);
const FTP = 'captures/gateway/ftp-active';
const RUNS: Record<string, string[]> = {
  'a host with rules': ['--host', 'captures/demo-host-new', ...BUNDLED],
  'no rules': BUNDLED,
  'NAT and a helper': ['--host', `${FTP}/host`, `lan=${FTP}/lan.pcap`, `wan=${FTP}/wan.pcap`],
};

const sum = (numbers: readonly number[]) => numbers.reduce((all, number) => all + number, 0);
const column = (rows: string[][], index: number) => rows.map((row) => numberOf(row[index]!));

describe.each(Object.entries(RUNS))('%s', (name, args) => {
  let page: string;
  let summary: ReturnType<typeof replayPage>['summary'];
  beforeAll(() => {
    ({ page, summary } = replayPage(join(folder, 'report.html'), args));
  });

  test('packets by state, verdict and protocol', () => {
    const verdicts = Object.keys(summary.verdicts);
    const rows = tableRows(page, 'Packets by conntrack state');
    const states = Object.entries(summary.states).map(([state, of]) => [
      state === 'NONE' ? 'not tracked' : state,
      ...verdicts.map((verdict) => of.verdicts[verdict] ?? 0),
      of.packets,
      of.flows,
    ]);
    expect(rows.slice(0, -3).map(([state, ...cells]) => [state, ...cells.slice(0, -1).map(numberOf)])).toEqual(states);
    const protocols = summary.protocols.map(({ family, protocol, packets, flows }) => [
      `${protocol} ${family}`,
      packets,
      flows,
    ]);
    const shown = tableRows(page, 'Packets by protocol').map(([of, ...cells]) => [of, ...cells.map(numberOf)]);
    expect(shown).toEqual(protocols);
  });

  test('packets over time are all packets, the last size of the table is what is left', () => {
    const rows = tableRows(page, 'Packets by verdict, ');
    const head = /id="packets-over-time">.*?<thead>(.*?)<\/thead>/s.exec(page)![1]!;
    const names = head.split('</th>').map(textOf).slice(1, -1);
    const counts = Object.fromEntries(names.map((verdict, i) => [verdict, sum(column(rows, i + 1))]));
    expect(counts).toEqual(
      Object.fromEntries(Object.entries(summary.verdicts).map(([verdict, { packets }]) => [verdict, packets])),
    );
    const entries = tableRows(page, 'Conntrack entries, ');
    const [made, ended] = [sum(column(entries, 1)), sum(column(entries, 2))];
    const left = numberOf(/<strong>([\d,]+)<\/strong><span>entries in the table at the end/.exec(page)![1]!);
    expect(made - ended).toBe(left);
  });

  test('reasons, rules and transitions', () => {
    const reasons = ([title, list]: [string, { why: string; packets: number }[]]) => {
      expect(tableRows(page, `${title}: `).map((row) => [numberOf(row[0]!), row[1]])).toEqual(
        list.map(({ why, packets }) => [packets, why]),
      );
    };
    const lists: [string, { why: string; packets: number }[]][] = [
      ['INVALID', summary.invalid],
      ['Dropped without a rule', summary.dropped],
      ['Let through without being believed', summary.ignored],
      ['Not judged', summary.notJudged],
    ];
    lists.forEach(reasons);
    const decided = tableRows(page, 'Packets that a rule or policy decided');
    expect(column(decided, 0)).toEqual(summary.rules.decided.map(({ packets }) => packets));
    expect(decided.map((row) => row[4])).toEqual(summary.rules.decided.map(({ text }) => text));
    expect(tableRows(page, 'Rules in the order').map((row) => row[1])).toEqual(
      summary.rules.neverMatched.map(({ text }) => text),
    );
    const transitions = [...summary.transitions, ...summary.sctpTransitions];
    expect(tableRows(page, 'TCP: ').concat(tableRows(page, 'SCTP: '))).toEqual(
      transitions.map(({ from, to, packets }) => [String(packets), from ?? 'no entry', to]),
    );
  });

  test('talkers together are all that was judged', () => {
    const judged = Object.entries(summary.verdicts).filter(([verdict]) => verdict !== 'NONE');
    const packets = sum(judged.map(([, count]) => count.packets));
    const flows = sum(judged.map(([, count]) => count.flows));
    const refused = packets - (summary.verdicts.ACCEPT?.packets ?? 0);
    const rows = tableRows(page, 'The greatest by packets');
    // Both tables have each packet.
    expect(sum(column(rows, 1))).toBe(2 * packets);
    expect(sum(column(rows, 3))).toBe(2 * flows);
    expect(sum(column(rows, 4))).toBe(2 * refused);
  });

  test('workers change nothing', () => {
    const env = { CTREPLAY_TEST_WORKERS: 'all' };
    for (const workers of ['1', '2', '3']) {
      expect(replayPage(join(folder, `${workers}.html`), ['--workers', workers, ...args], env).page, name).toBe(page);
    }
  });
});

test('NAT, helpers and what they expected', () => {
  const { page } = replayPage(join(folder, 'ftp.html'), RUNS['NAT and a helper']!);
  expect(tableRows(page, 'Sources: ')).toEqual([['2', '10.1.2.3', '198.51.100.32']]);
  expect(tableRows(page, 'Destinations: ').map(([flows, from]) => [flows, from!.replace(/\d+$/, '')])).toEqual([
    ['1', 'tcp 198.51.100.32 port '],
    ['1', 'tcp 198.51.100.32 port '],
  ]);
  expect(tableRows(page, 'Flows with a helper')).toEqual([['ftp', '2', '50', '2']]);
  expect(page).toContain('2 flows came because a helper expected them.');
  // Replies count for who opened the flow, by the addresses that it had before NAT.
  expect(tableRows(page, 'The greatest').map(([who]) => who)).not.toContain('198.51.100.32');
});

describe('what captures and rules contain', () => {
  const HOSTILE = '</script><img src=x onerror=alert(1)>';
  const rules = (lines: readonly string[]) =>
    `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n${lines.join('\n')}\nCOMMIT\n`;

  test('stays text', () => {
    const [capture, ruleset] = [join(folder, '<img src=x onerror=alert(2)>.pcap'), join(folder, '<b>"rules\u202e')];
    copyFileSync(`${ROOT}captures/dns.pcap`, capture);
    const comment = `-m comment --comment "${HOSTILE}"`;
    writeFileSync(ruleset, rules([`-A FORWARD -p udp ${comment} -j DROP`, `-A FORWARD -p 99 ${comment} -j DROP`]));
    const { page } = replayPage(join(folder, 'hostile.html'), ['--rules', ruleset, capture]);
    expect(page).not.toMatch(/<img|<b>|\u202e/);
    expect(page.match(/<script>/g)).toHaveLength(1);
    expect(page.match(/<\/script>/g)).toHaveLength(1);
    expect(page).toContain('rules\\u{202e}');
    for (const caption of ['Packets that a rule', 'Rules in the order']) {
      expect(tableRows(page, caption)[0]!.join(' ')).toContain(HOSTILE);
    }
  });

  test.each(['&', '\u202e', '-a '])('is cut: 3,000 rules full of %j and many files are less than 1 MB', (unit) => {
    const ruleset = join(folder, 'many');
    const comment = unit.repeat(Math.floor(250 / unit.length));
    const lines = Array.from(
      { length: 3000 },
      (_, i) => `-A FORWARD -p udp --dport ${i + 1} -m comment --comment "${comment}" -j DROP`,
    );
    writeFileSync(ruleset, rules(lines));
    const captures = Array.from({ length: 200 }, () => 'captures/dns.pcap');
    const { page, summary } = replayPage(join(folder, 'many.html'), ['--rules', ruleset, ...captures]);
    expect(summary.rules.neverMatched.length).toBeGreaterThan(2900);
    expect(page).toContain(`And ${(summary.rules.neverMatched.length - 200).toLocaleString('en')} more rules`);
    expect(Buffer.byteLength(page)).toBeLessThan(1e6);
  });
});

test('a capture without packets has a page, too', () => {
  const empty = join(folder, 'empty.pcap');
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(1, 20);
  writeFileSync(empty, header);
  expect(replayPage(join(folder, 'empty.html'), [empty]).page).toContain('No packets.');
});
