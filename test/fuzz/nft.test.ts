// Can any text make the reader of nft rulesets do something else than return or throw RulesetError with a place in the text?
import { describe, expect, it } from 'vitest';
import { RulesetError } from '../../src/errors.ts';
import { compileRuleset, parseRulesets } from '../../src/ruleset/index.ts';
import type { NftSource } from '../../src/ruleset/nft/ast.ts';
import { parseNftJson } from '../../src/ruleset/nft/json.ts';
import { parseNft } from '../../src/ruleset/nft/parse.ts';
import { DECLARATIONS, DESTINATIONS, FORWARDS, RULES, rulesOf, SOURCES } from '../unit/ruleset/nft/rules.ts';
import { numbers } from '../unit/ruleset/random.ts';
import { mutate } from './mutate.ts';

const RUNS = 1500;

const TYPES: readonly (readonly [rules: string[], type: string])[] = [
  [rulesOf(RULES), 'filter hook prerouting priority 0'],
  [rulesOf(DESTINATIONS), 'nat hook prerouting priority dstnat'],
  [rulesOf(SOURCES), 'nat hook postrouting priority srcnat'],
  [rulesOf(FORWARDS), 'filter hook forward priority 0'],
];

/** Pieces that readers stumble over. */
const SCRAPS = [
  ...[
    '{',
    '}',
    '(',
    ')',
    '[',
    ']',
    '"',
    '#',
    '\\\n',
    '\n',
    ';',
    ',',
    ':',
    '.',
    '-',
    '/',
    '@',
    '$',
    '!',
    '*',
    '&',
    '|',
    '<<',
  ],
  ...[
    '\0',
    '\u{1f600}',
    'ß',
    '\t',
    '0x',
    '99999999999999999999999',
    '1.2.3.4/',
    '::',
    '::1',
    '1d2h',
    '00:11:22:33:44:55',
  ],
  ...[
    'map',
    'vmap',
    'set',
    'jump x',
    'counter',
    'comment "x"',
    'add @',
    'ip',
    'ct',
    'meta',
    'th',
    'jhash ',
    'elements = {',
  ],
  ...[
    'define a = { $a }',
    '$a',
    'flush ruleset',
    'table inet test {',
    'chain c0 {',
    '@nh,0,',
    '@__proto__',
    'constructor',
  ],
  ...[
    '__proto__',
    'toString',
    'ip constructor',
    'meta __proto__',
    'ct toString',
    'type __proto__;',
    'tcp option constructor',
  ],
];
const JSON_SCRAPS = [
  ...[
    'null',
    '{}',
    '[]',
    '""',
    '1e400',
    '-1',
    '1.5',
    'true',
    '"__proto__"',
    '"constructor"',
    '{"set": []}',
    '{"map": {}}',
  ],
  ...[
    '"\\u0000"',
    '"a\\"b"',
    '"$x"',
    '"}"',
    '"; drop"',
    '99999999999999999999',
    '{"elem": null}',
    '{"concat": []}',
    '[[[[',
  ],
  ...['{"|": []}', '{"counter": null}', '{"range": [1]}', '{"prefix": {}}', '{"toString": 1}', '"x\\ny"'],
];

function draw(next: () => number): string {
  const [rules, type] = TYPES[next() % TYPES.length] ?? [[], ''];
  const chains = Array.from({ length: 1 + (next() % 4) }, (_, index) => {
    const lines = Array.from({ length: 1 + (next() % 3) }, () => rules[next() % rules.length]);
    return `\tchain c${index} {\n\t\ttype ${type};\n\t\t${lines.join('\n\t\t')}\n\t}`;
  });
  return `table inet test {\n${DECLARATIONS}\n${chains.join('\n')}\n}\n`;
}

/** Whether the text was taken. Throws for any error but one that names a place in the text. */
function swallow(text: string, read: () => unknown): boolean {
  try {
    read();
    return true;
  } catch (error) {
    if (!(error instanceof RulesetError)) throw error;
    const lines = text.split('\n');
    expect(error.at.line).toBeGreaterThan(0);
    expect(error.at.line).toBeLessThanOrEqual(lines.length);
    expect(error.at.column).toBeGreaterThan(0);
    expect(error.at.column).toBeLessThanOrEqual((lines[error.at.line - 1] ?? '').length + 1);
    return false;
  }
}

/** A tree as JSON that can be changed at any of its values. */
const JSON_RULESET = JSON.stringify({
  nftables: [
    { table: { family: 'ip', name: 't' } },
    { chain: { family: 'ip', table: 't', name: 'c', type: 'filter', hook: 'forward', prio: 0, policy: 'accept' } },
    { set: { family: 'ip', table: 't', name: 's', type: ['ipv4_addr', 'inet_service'], flags: ['interval'], elem: [
      { concat: ['10.0.0.1', { range: [1, 5] }] }, { elem: { val: { concat: [{ prefix: { addr: '10.0.0.0', len: 8 } }, 5] }, comment: 'x' } },
    ] } },
    { map: { family: 'ip', table: 't', name: 'm', type: 'ipv4_addr', map: 'verdict', elem: [['10.0.0.1', { accept: null }]] } },
    { counter: { family: 'ip', table: 't', name: 'n', packets: 1, bytes: 2 } },
    { rule: { family: 'ip', table: 't', chain: 'c', handle: 3, comment: 'y', expr: [
      { match: { op: 'in', left: { ct: { key: 'state' } }, right: ['new', 'established'] } },
      { match: { op: '==', left: { '&': [{ meta: { key: 'mark' } }, 255] }, right: 3 } },
      { match: { op: '!=', left: { concat: [{ payload: { protocol: 'ip', field: 'saddr' } }, { payload: { protocol: 'th', field: 'dport' } }] }, right: '@s' } },
      { vmap: { key: { payload: { protocol: 'ip', field: 'saddr' } }, data: '@m' } },
      { counter: { packets: 1, bytes: 2 } }, { limit: { rate: 5, per: 'second', burst: 5 } }, { log: { prefix: 'p', flags: 'all' } },
      { mangle: { key: { meta: { key: 'mark' } }, value: { '|': [{ meta: { key: 'mark' } }, 1] } } }, { accept: null },
    ] } },
  ],
}); // biome-ignore format: a table

describe('nft reader', () => {
  it(`survives ${RUNS} changed texts`, () => {
    let taken = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const next = numbers(seed);
      const text = mutate(draw(next), SCRAPS, next);
      if (swallow(text, () => parseNft('fuzz', text))) taken++;
    }
    expect(taken).toBeGreaterThan(RUNS / 5);
    expect(taken).toBeLessThan(RUNS);
  });

  it(`survives ${RUNS} changed JSON texts`, () => {
    let taken = 0;
    for (let seed = 1; seed <= RUNS; seed++) {
      const next = numbers(seed);
      const text = mutate(JSON_RULESET, JSON_SCRAPS, next);
      if (swallow(text, () => parseNftJson('fuzz', text))) taken++;
    }
    expect(taken).toBeGreaterThan(RUNS / 10);
    expect(taken).toBeLessThan(RUNS);
  });

  it('compiles what it takes, or refuses it by its place', () => {
    let taken = 0;
    for (let seed = 1; seed <= RUNS / 3; seed++) {
      const next = numbers(seed);
      const text = mutate(draw(next), SCRAPS, next);
      const compile = (): void => {
        const compiled = compileRuleset(parseRulesets([{ file: 'fuzz', text }]), {
          interfaceTable: 65536,
          tableBase: 1,
        });
        expect(WebAssembly.validate(compiled.wasm as BufferSource)).toBe(true);
      };
      if (swallow(text, compile)) taken++;
    }
    expect(taken).toBeLessThan(RUNS);
  });

  /** As many of a thing as make any recursion fail. */
  const MANY = 100_000;
  const inChain = (rule: string): string => `table ip t { set s { type ipv4_addr; } ; chain c {\n${rule}\n} }`;
  it.each<[string, string, (text: string) => NftSource]>([
    ['braces', inChain(`ip saddr ${'{'.repeat(MANY)}`), (text) => parseNft('f', text)],
    ['parentheses', inChain(`meta mark ${'('.repeat(MANY)}`), (text) => parseNft('f', text)],
    ['operators', inChain(`meta mark ${'| mark '.repeat(MANY)} 1`), (text) => parseNft('f', text)],
    ['hashes', inChain('jhash '.repeat(MANY)), (text) => parseNft('f', text)],
    ['concatenations', inChain(`ip saddr ${'. ip saddr '.repeat(MANY)} 1`), (text) => parseNft('f', text)],
    ['elements', inChain(`ip saddr { ${'1.1.1.1, '.repeat(MANY)}`), (text) => parseNft('f', text)],
    ['statements', inChain('counter '.repeat(MANY)), (text) => parseNft('f', text)],
    ['blocks', 'table ip t {'.repeat(MANY), (text) => parseNft('f', text)],
    ['brackets of JSON', `{"nftables": ${'['.repeat(MANY)}`, (text) => parseNftJson('f', text)],
    ['additions', `{"nftables": [${'{"add":'.repeat(MANY)}`, (text) => parseNftJson('f', text)],
    [
      'chains',
      `table ip t {\n${Array.from({ length: MANY / 10 }, (_, index) => `chain c${index} { jump c${index + 1}; }`).join('\n')}\n}`,
      (text) => parseNft('f', text),
    ],
  ])(`survives ${MANY} %s`, (_, text, read) => {
    swallow(text, () => read(text));
  });
});
