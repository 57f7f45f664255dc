// Has the page of a diff what --json says of it, and does it stay small and harmless?

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { diffPage, numberOf, tableRows } from '../../../support/page.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ctreplay-diff-page-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const CAPTURES = ['dns', 'http', 'internet', 'ipv6', 'ssh-session'].map((name) => `captures/${name}.pcap`);
const [OLD, NEW] = ['captures/demo-host-old', 'captures/demo-host-new'];

test('flows that differ, with both rules and the first packet; workers change nothing', () => {
  const args = ['--old', OLD, '--new', NEW, ...CAPTURES];
  const { page, diff } = diffPage(join(folder, 'diff.html'), args);
  expect(diff.flowsDiffer).toBeGreaterThan(1);
  const flows = tableRows(page, 'Flows in the order');
  expect(flows).toHaveLength(diff.flowsDiffer);
  diff.flows.forEach((flow, i) => {
    const [name, old, now] = flows[i]!;
    expect(name).toContain(flow.flow);
    expect(name).toContain(`${CAPTURES[flow.first.file - 1]!.replace('captures/', '')}:${flow.first.n}`);
    expect(old).toContain(`${flow.old.verdict} ${flow.old.rule}`);
    expect(old).toContain(flow.old.text);
    expect(now).toContain(flow.new.text);
    expect(now).toContain(`demo-host-new/iptables-save:${flow.new.line}`);
  });
  const kinds = tableRows(page, 'Flows by what decided');
  const sum = (column: number) => kinds.reduce((all, row) => all + numberOf(row[column]!), 0);
  expect([sum(0), sum(1)]).toEqual([diff.flowsDiffer, diff.packetsDiffer]);
  const lost = diff.flows.filter((flow) => flow.old.verdict === 'ACCEPT' && flow.new.verdict !== 'ACCEPT').length;
  expect(page).toContain(`<strong>${lost}</strong><span>flows accepted before, and not any more`);
  const env = { CTREPLAY_TEST_WORKERS: 'all' };
  expect(diffPage(join(folder, 'three.html'), ['--workers', '3', ...args], env).page).toBe(page);
});

test('no difference says so', () => {
  const { page } = diffPage(join(folder, 'same.html'), ['--old', OLD, '--new', OLD, ...CAPTURES]);
  expect(page).toContain('The change makes no difference to this traffic.');
  expect(tableRows(page, 'Flows')).toEqual([]);
});

test('what rules contain stays text', () => {
  const ruleset = join(folder, '<img src=x onerror=alert(1)>');
  const comment = '</script><img src=x onerror=alert(2)>';
  const rule = `-A FORWARD -p udp -m comment --comment "${comment}" -j DROP`;
  const chains = ['INPUT', 'FORWARD', 'OUTPUT'].map((chain) => `:${chain} ACCEPT [0:0]`);
  writeFileSync(ruleset, ['*filter', ...chains, rule, 'COMMIT', ''].join('\n'));
  const { page } = diffPage(join(folder, 'hostile.html'), ['--old', OLD, '--new', ruleset, ...CAPTURES]);
  expect(page).not.toContain('<img');
  expect(page.match(/<script>/g)).toHaveLength(1);
  expect(tableRows(page, 'Flows in the order').some(([, , now]) => now!.includes(comment))).toBe(true);
});
