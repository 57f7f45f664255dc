// Which runs are found in a chain, and by which fields? Plans as they are printed, with the reason for each piece.
import { describe, expect, it } from 'vitest';
import { DispatchPlanner, printPieces } from '../../src/ruleset/dispatch.ts';
import { parseRulesets } from '../../src/ruleset/index.ts';
import { lowerRuleset } from '../../src/ruleset/lower.ts';

/** The plan of filter/FORWARD with these rules. */
function plan(rules: readonly string[], more: readonly string[] = [], family: 2 | 10 = 2): string {
  return planOf(
    ['*filter', ':FORWARD DROP [0:0]', ...more, ...rules.map((rule) => `-A FORWARD ${rule}`), 'COMMIT', ''],
    'FORWARD',
    family,
  );
}

function planOf(lines: readonly string[], name: string, family: 2 | 10): string {
  const program = lowerRuleset(parseRulesets([{ file: 'rules', text: lines.join('\n'), family }]));
  const chain = program.chains.find((each) => each.name === name);
  if (!chain) throw new Error(`no chain ${name}`);
  return printPieces(new DispatchPlanner(program).plan(chain));
}

const times = (count: number, rule: (n: number) => string): string[] =>
  Array.from({ length: count }, (_, n) => rule(n));

describe('plan of a chain', () => {
  it('leaves short chains as they are', () => {
    expect(plan(times(79, (n) => `-s 10.0.0.${n} -j DROP`))).toBe('rules 1 to 79: one after the other\n');
  });

  it('finds a block list by its addresses, behind the head that most packets end in', () => {
    const rules = [
      '-m conntrack --ctstate ESTABLISHED -j ACCEPT',
      ...times(999, (n) => `-s 10.0.${n >> 8}.${n & 255} -j DROP`),
    ];
    expect(plan(rules)).toBe(
      ['rules 1 to 16: one after the other', 'rules 17 to 1000: by saddr (984 rules, 984 different)', ''].join('\n'),
    );
  });

  it('looks at every field that enough rules test, the most different one first', () => {
    const rules = times(
      80,
      (n) => `-s 10.0.${n}.0/24 -i eth${n % 4} -p tcp -m tcp --dport ${1000 + (n % 40)} -j ACCEPT`,
    );
    expect(plan(rules)).toBe(
      [
        'rules 1 to 16: one after the other',
        'rules 17 to 80: by saddr (64 rules, 64 different), dport (64 rules, 40 different), iif (64 rules, 4 different), l4proto (64 rules, 1 different)',
        '',
      ].join('\n'),
    );
  });

  it('keeps rules linear whose tests are all alike, and goes on behind them', () => {
    const rules = [
      ...times(16, () => '-p tcp'),
      ...times(128, () => '-p tcp -m limit --limit 1/s'),
      ...times(128, (n) => `-d 2001:db8::${n.toString(16)} -j DROP`),
    ];
    expect(plan(rules, [], 10)).toBe(
      ['rules 1 to 144: one after the other', 'rules 145 to 272: by daddr (128 rules, 128 different)', ''].join('\n'),
    );
  });

  it('finds nothing by what a rule before may have changed', () => {
    const rules = times(200, (n) => `-A POSTROUTING -s 10.0.0.${n} -j SNAT --to-source 192.0.2.1`);
    const lines = ['*nat', ':POSTROUTING ACCEPT [0:0]', ...rules, 'COMMIT', ''];
    expect(planOf(lines, 'POSTROUTING', 2)).toBe('rules 1 to 200: one after the other\n');
  });

  it('cuts what is longer than a bit map', () => {
    expect(plan(times(16 + 4096 + 100, (n) => `-p udp -m udp --dport ${n} -j DROP`))).toBe(
      [
        'rules 1 to 16: one after the other',
        'rules 17 to 4112: by dport (4096 rules, 4096 different), l4proto (4096 rules, 1 different)',
        'rules 4113 to 4212: by dport (100 rules, 100 different), l4proto (100 rules, 1 different)',
        '',
      ].join('\n'),
    );
  });

  it('does not use a mark that a rule before may have changed, in the chain itself or in one it jumps to', () => {
    const tests = (n: number) => `-s 10.0.0.${n} -m mark --mark ${n}`;
    const by = (count: number) =>
      [
        'rules 1 to 16: one after the other',
        `rules 17 to 80: by saddr (64 rules, 64 different)${count > 0 ? `, mark (${count} rules, ${count} different)` : ''}`,
        '',
      ].join('\n');
    expect(plan(times(80, (n) => `${tests(n)} -j DROP`))).toContain('mark (64 rules, 64 different)');
    // Rule 49 is the 33rd of the run and the last that may look at the mark.
    expect(plan(times(80, (n) => `${tests(n)} ${n === 48 ? '-j MARK --set-mark 1' : ''}`))).toBe(by(33));
    const user = [':user - [0:0]', ':below - [0:0]', '-A user -j below', '-A below -j CONNMARK --restore-mark'];
    expect(
      plan(
        times(80, (n) => `${tests(n)} ${n === 48 ? '-j user' : ''}`),
        user,
      ),
    ).toBe(by(33));
  });

  it('does not look past what takes a token or may drop: such rules are met by what they test before', () => {
    const rules = times(80, (n) => `-s 10.0.0.${n} -m limit --limit 1/s -m mark --mark ${n} -j DROP`);
    expect(plan(rules)).toBe(
      ['rules 1 to 16: one after the other', 'rules 17 to 80: by saddr (64 rules, 64 different)', ''].join('\n'),
    );
  });
});
