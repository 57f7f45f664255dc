// Can any text make the ruleset parser do something else than return or throw RulesetError with a place in the text?
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { RulesetError } from '../../src/errors.ts';
import { compileRuleset, parseRulesets } from '../../src/ruleset/index.ts';
import { parseIpSets } from '../../src/ruleset/ipset/parse.ts';
import { GENERATED_SETS, generateRuleset } from '../unit/ruleset/generate.ts';
import { numbers } from '../unit/ruleset/random.ts';
import { mutate } from './mutate.ts';

const RULESETS = fileURLToPath(new URL('../../../shared/rulesets/', import.meta.url));
const RUNS = 1500;
const SETS = parseIpSets('sets', GENERATED_SETS);

/** Pieces that parsers stumble over. */
const SCRAPS = [
  ...[
    '"',
    '\\',
    '!',
    '-',
    '--',
    '[',
    ']',
    ':',
    '*',
    '#',
    '\t',
    '\r\n',
    '\n',
    ' ',
    ',',
    '/',
    '=',
    '\0',
    '\u{1f600}',
    'ß',
  ],
  ...[
    '-m',
    '-j',
    '-g',
    '-A',
    '-I',
    '-P',
    '-N',
    '-c',
    '-4',
    '-6',
    '-p',
    'COMMIT',
    '*nat',
    '*filter',
    ':x - [0:0]',
    '[1:2] ',
  ],
  ...['-A INPUT', '-j x', '! !', '--dport', '--', '0x', '99999999999999999999', '-1', '::', '1.2.3.4/', '255.255', '+'],
  ...['constructor', '__proto__', 'toString', '-m __proto__', '-j constructor', '--constructor', ':__proto__ - [0:0]'],
];

/** Whether the text was taken. Throws for any error but one that names a place in the text. */
function swallow(text: string, family?: 2 | 10): boolean {
  try {
    const ruleset = parseRulesets([{ file: 'fuzz', text, sets: SETS, ...(family && { family }) }]);
    const compiled = compileRuleset(ruleset, { interfaceTable: 65536, tableBase: 1 });
    expect(WebAssembly.validate(compiled.wasm as BufferSource)).toBe(true);
    return true;
  } catch (error) {
    expectPlace(error, text);
    return false;
  }
}

/** An error that names a place in the text; any other is thrown on. */
function expectPlace(error: unknown, text: string): void {
  if (!(error instanceof RulesetError)) throw error;
  const lines = text.split('\n');
  expect(error.at.line).toBeGreaterThan(0);
  expect(error.at.line).toBeLessThanOrEqual(Math.max(1, lines.length));
  expect(error.at.column).toBeGreaterThan(0);
  expect(error.at.column).toBeLessThanOrEqual((lines[error.at.line - 1] ?? '').length + 1);
}

describe('ruleset parser', () => {
  it(`survives ${RUNS} changed rulesets`, () => {
    let taken = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const next = numbers(seed);
      const family = next() % 2 === 0 ? 2 : 10;
      const text = mutate(generateRuleset(family, next), SCRAPS, next);
      try {
        if (swallow(text, next() % 2 === 0 ? family : undefined)) taken++;
      } catch (error) {
        throw new Error(`seed ${seed}\n${text}`, { cause: error });
      }
    }
    // Both outcomes happen, or the changes are too small or too large.
    expect(taken).toBeGreaterThan(RUNS / 100);
    expect(taken).toBeLessThan(RUNS * 0.9);
  });

  it(`survives ${RUNS} changed sets`, () => {
    const rules = generateRuleset(2, numbers(1)) + generateRuleset(2, numbers(2));
    let taken = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const next = numbers(seed);
      const text = mutate(GENERATED_SETS, SCRAPS, next);
      try {
        const sets = parseIpSets('fuzz', text);
        taken++;
        // A set that rules look into may be gone.
        if (sets.size !== SETS.size) continue;
        compileRuleset(parseRulesets([{ file: 'rules', text: rules, family: 2, sets }]), {
          interfaceTable: 0,
          tableBase: 1,
        });
      } catch (error) {
        if (error instanceof RulesetError && error.at.file === 'rules') continue;
        expectPlace(error, text);
      }
    }
    expect(taken).toBeGreaterThan(RUNS / 100);
    expect(taken).toBeLessThan(RUNS * 0.9);
  });

  it('survives deep, long and odd texts', () => {
    const chains = Array.from({ length: 3000 }, (_, index) => `:c${index} - [0:0]`);
    const jumps = Array.from({ length: 2999 }, (_, index) => `-A c${index} -j c${index + 1}`);
    const deep = ['*filter', ':INPUT ACCEPT [0:0]', ...chains, '-A INPUT -j c0', ...jumps, 'COMMIT', ''].join('\n');
    expect(() => parseRulesets([{ file: 'deep', text: deep }])).toThrow(/nest deeper/);
    for (const text of [
      '',
      '\n',
      '#',
      '\0',
      '"',
      '*',
      ':',
      '-A',
      '[',
      '[1:1]',
      'x'.repeat(100_000),
      '*filter',
      'COMMIT',
    ]) {
      swallow(text);
    }
    swallow(`*filter\n-A INPUT -m comment --comment "${'\\'.repeat(50_000)}`);
    swallow(`*filter\n-A INPUT ${'-m tcp '.repeat(5_000)}-j ACCEPT\nCOMMIT\n`);
    swallow(`*filter\n-A INPUT -s ${'1.1.1.1,'.repeat(300)}1.1.1.1 -d ${'2.2.2.2,'.repeat(30)}2.2.2.2\nCOMMIT\n`);
  });

  const available = existsSync(RULESETS);
  if (!available) console.warn(`SKIPPED: real rulesets (no ${RULESETS})`);
  it.skipIf(!available)('reads every real ruleset, cut and changed', () => {
    for (const file of readdirSync(RULESETS)) {
      if (file === 'hosts' || file.startsWith('big-')) continue;
      const text = readFileSync(`${RULESETS}${file}`, 'utf8');
      swallow(text);
      const next = numbers(file.length);
      for (let count = 0; count < 10; count++) swallow(mutate(text, SCRAPS, next));
      for (let count = 0; count < 10; count++) swallow(text.slice(0, next() % text.length));
    }
  });
});
