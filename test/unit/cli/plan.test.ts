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

test('an entry that NAT changed needs one lane', () => {
  const table = join(folder, 'conntrack');
  const entry = 'udp 17 29 src=10.0.1.2 dst=192.0.2.2 sport=5 dport=53 src=192.0.2.2 dst=192.0.2.1 sport=53 dport=5';
  writeFileSync(table, `${entry}\n`);
  expect(JSON.parse(plan('-A POSTROUTING -j ACCEPT', '--host', table, '--json'))).toEqual({
    key: 'one-lane',
    reason: "NAT: the entry in line 1 of the host's conntrack table",
  });
});
