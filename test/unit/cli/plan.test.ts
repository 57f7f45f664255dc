// Does `ctreplay plan` name the rule that decides about lanes?

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, test } from 'vitest';

const MAIN = fileURLToPath(new URL('../../../build/program/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'ctreplay-plan-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function plan(rules: string, ...words: string[]): string {
  const file = join(folder, 'rules');
  writeFileSync(file, `*nat\n${rules}\nCOMMIT\n`);
  return execFileSync(process.execPath, [MAIN, 'plan', '--rules', file, ...words], { encoding: 'utf8' });
}

test('a NAT rule needs one lane, and is named with its place', () => {
  const rule = '-A POSTROUTING -s 10.0.0.0/8 -j SNAT --to-source 192.0.2.1';
  expect(plan(rule)).toBe(
    'key     one-lane: one lane tracks everything; reading and decoding go on in parallel\n' +
      `forced  NAT: rule nat/POSTROUTING/1\nrule    ${join(folder, 'rules')}:2  ${rule}\n`,
  );
  expect(JSON.parse(plan(rule, '--json'))).toEqual({
    key: 'one-lane',
    rule: 'nat/POSTROUTING/1',
    reason: 'NAT: rule nat/POSTROUTING/1',
  });
});

test('a nat table without NAT rules leaves all lanes', () => {
  expect(JSON.parse(plan('-A POSTROUTING -j ACCEPT', '--json'))).toEqual({ key: 'tuple' });
});

/** The plan with these rules of the raw table. */
function planRaw(rules: string, ...words: string[]): string {
  const file = join(folder, 'raw');
  writeFileSync(file, `*raw\n${rules}\nCOMMIT\n`);
  return execFileSync(process.execPath, [MAIN, 'plan', '--rules', file, ...words], { encoding: 'utf8' });
}

test('a helper that expects its own two hosts brings together what they send', () => {
  const ftp = '-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp';
  expect(planRaw(ftp)).toBe(
    'key     pair: flows between the same two addresses are dealt to the same lane\n' +
      `forced  raw/PREROUTING/1 gives the helper ftp\nrule    ${join(folder, 'raw')}:2  ${ftp}\n` +
      'until   a batch could reach 4096 expectations: one lane from there on\n',
  );
  const limits = ['nf_conntrack_max=50', 'nf_conntrack_expect_max=9'];
  const sysctls = limits.flatMap((text) => ['--sysctl', `net.netfilter.${text}`]);
  expect(JSON.parse(planRaw(ftp, '--json', ...sysctls))).toEqual({
    key: 'pair',
    rule: 'raw/PREROUTING/1',
    reason: 'raw/PREROUTING/1 gives the helper ftp',
    limit: 50,
    expected: 9,
  });
});

test('a helper that may expect others is named', () => {
  const irc = '-A PREROUTING -p tcp -m tcp --dport 6667 -j CT --helper irc';
  const ftp = '-A PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp';
  expect(planRaw(`${ftp}\n${irc}`)).toContain(
    'until   somebody else is expected, as raw/PREROUTING/2 gives the helper irc: one lane from there on\n',
  );
  expect(JSON.parse(planRaw('', '--json', '--sysctl', 'net.netfilter.nf_conntrack_helper=1'))).toEqual({
    key: 'pair',
    reason: 'nf_conntrack_helper=1 gives the helper ftp',
    others: 'nf_conntrack_helper=1 gives the helper irc',
    expected: 4096,
  });
});

test('an entry of the host with a helper is named', () => {
  const table = join(folder, 'helped');
  const there = 'tcp 6 99 ESTABLISHED src=10.0.1.2 dst=192.0.2.2 sport=5 dport=21';
  writeFileSync(table, `${there} src=192.0.2.2 dst=10.0.1.2 sport=21 dport=5 [ASSURED] helper=ftp\n`);
  expect(JSON.parse(planRaw('', '--host', table, '--json'))).toMatchObject({
    key: 'pair',
    reason: "the entry in line 1 of the host's conntrack table gives the helper ftp",
  });
});

test('an entry that NAT changed needs one lane', () => {
  const table = join(folder, 'conntrack');
  const entry = 'udp 17 29 src=10.0.1.2 dst=192.0.2.2 sport=5 dport=53 src=192.0.2.2 dst=192.0.2.1 sport=53 dport=5';
  writeFileSync(table, `${entry}\n`);
  expect(JSON.parse(plan('-A POSTROUTING -j ACCEPT', '--host', table, '--json'))).toEqual({
    key: 'one-lane',
    reason: "NAT: the entry in line 1 of the host's conntrack table",
  });
});
