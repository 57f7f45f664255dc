// Do we read the same from what nft lists as text, with handles, with numbers and as JSON, and does nft load what we print?
// Asks nft of this machine in a network namespace of its own. Needs root and the nftables package; skipped loudly without.
import { execFileSync, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { NftSource } from '../../../../src/ruleset/nft/ast.ts';
import {
  EXTENSION_HEADERS,
  HEADERS,
  IP_OPTIONS,
  SCTP_CHUNKS,
  type Searched,
  TCP_OPTIONS,
} from '../../../../src/ruleset/nft/headers.ts';
import { parseNftJson } from '../../../../src/ruleset/nft/json.ts';
import { parseNft } from '../../../../src/ruleset/nft/parse.ts';
import { printNftCounters } from '../../../../src/ruleset/nft/print.ts';
import { DECLARATIONS, DESTINATIONS, FORWARDS, RULES, rulesOf, SOURCES } from './rules.ts';

/** Loads a ruleset into a new namespace, there runs the commands, and gives what each printed. */
function inNamespace(load: string, input: string, ...commands: string[]): string[] {
  const script = ['set -e', load, ...commands.flatMap((command) => ['echo; echo ----', command])].join('\n');
  const printed = execFileSync('unshare', ['--net', 'sh', '-c', script], { input, encoding: 'utf8', stdio: 'pipe' });
  return printed.split('\n----\n').slice(1);
}

function list(input: string): { text: string; numbers: string; stateless: string; json: string } {
  const [text = '', numbers = '', stateless = '', json = ''] = inNamespace(
    'nft -f -',
    input,
    ...['nft -a list ruleset', 'nft -a -n list ruleset', 'nft -a -s list ruleset', 'nft -j list ruleset'],
  );
  return { text, numbers, stateless, json };
}

const missing = spawnSync('unshare', ['--net', 'nft', 'list', 'ruleset']).status !== 0;
if (missing && process.env.CTREPLAY_REQUIRE_KERNEL === '1') throw new Error('nft cannot be asked here');
if (missing) console.warn('SKIPPED: nft cannot be asked: it needs root and the nftables package');

/** A table with each rule in a chain of its own, so that a verdict hides none. */
function ruleset(rules: readonly string[], type: string): string {
  const chains = rules.map((rule, index) => `\tchain c${index} {\n\t\ttype ${type};\n\t\t${rule}\n\t}`);
  return `table inet test {\n${DECLARATIONS}\n${chains.join('\n')}\n}\n`;
}

/** What JSON of this version says differently, or leaves out. */
const UNSAID: ReadonlySet<string> = new Set(['at', 'text', 'index', 'expires', 'autoMerge', 'dynamic']);

/** A tree without places; what it refers to by its name. Comments of tables, chains and sets are not in the JSON. */
function plain(source: NftSource, also: ReadonlySet<string> = new Set()): unknown {
  const value = (node: unknown): unknown => {
    if (typeof node === 'bigint') return `${node}n`;
    if (node instanceof Uint8Array) return Buffer.from(node).toString('hex');
    if (Array.isArray(node)) return node.map(value);
    if (typeof node !== 'object' || node === null) return node;
    const found: Record<string, unknown> = {};
    for (const [key, each] of Object.entries(node)) {
      if (UNSAID.has(key) || also.has(key)) continue;
      const refers = ['table', 'chain', 'reference'].includes(key) || (key === 'set' && 'name' in (each as object));
      found[key] = refers && typeof each === 'object' ? (each as { name: string }).name : value(each);
    }
    return found;
  };
  return source.tables.map((table) => value(table));
}

describe.skipIf(missing)('what nft lists', () => {
  describe.each([
    ['tests and statements', RULES, 'filter hook prerouting priority 0'],
    ['destinations', DESTINATIONS, 'nat hook prerouting priority dstnat'],
    ['sources', SOURCES, 'nat hook postrouting priority srcnat'],
    ['verdicts', FORWARDS, 'filter hook forward priority security + 5; policy drop'],
  ])('%s', (_, rules, type) => {
    const input = ruleset(rulesOf(rules), type);
    const listed = missing ? { text: '', numbers: '', stateless: '', json: '' } : list(input);

    it('is the same tree as text and as JSON', () => {
      expect(plain(parseNftJson('j', listed.json))).toEqual(plain(parseNft('t', listed.text)));
    });

    it('is the same tree with names and with numbers', () => {
      // With numbers `missing` is 0, and the look is for the interface's number: 0 if there is none.
      const text = listed.text.replaceAll('missing', '0').replaceAll('exists', '1');
      expect(plain(parseNft('n', listed.numbers))).toEqual(plain(parseNft('t', text)));
    });

    it('is the same tree with and without the numbers of counters', () => {
      const without = new Set(['stated', 'used']);
      expect(plain(parseNft('s', listed.stateless), without)).toEqual(plain(parseNft('t', listed.text), without));
    });

    it('means what was written', () => {
      // nft orders elements and merges what stands side by side, so that only the rest can be compared.
      const written = parseNft('w', input).tables.flatMap(({ chains }) => chains);
      const again = parseNft('t', listed.text).tables.flatMap(({ chains }) => chains);
      expect(again.map(({ name, base }) => [name, base?.type, base?.hook, base?.priority, base?.policy])).toEqual(
        written.map(({ name, base }) => [name, base?.type, base?.hook, base?.priority, base?.policy]),
      );
      expect(again.map((chain) => chain.rules.length)).toEqual(written.map((chain) => chain.rules.length));
    });

    it.each(['text', 'json'] as const)('prints %s with other counters, which nft loads and lists again', (format) => {
      const source = (format === 'json' ? parseNftJson : parseNft)('c', listed[format]);
      const number = (each: NftSource): void => {
        each.counters.forEach(({ counter }, index) => {
          counter.index = index;
        });
      };
      number(source);
      const values = (index: number): { packets: bigint; bytes: bigint } => {
        return { packets: BigInt(index + 1), bytes: BigInt(index + 1) << 33n };
      };
      const printed = printNftCounters(source, values);
      const stated = (each: NftSource): unknown => each.counters.map(({ counter }) => counter.stated);
      const parse = format === 'json' ? parseNftJson : parseNft;
      const expected = source.counters.map((_each, index) => values(index));
      expect(stated(parse('p', printed))).toEqual(expected);
      expect(plain(parse('p', printed), new Set(['stated']))).toEqual(plain(source, new Set(['stated'])));
      if (format === 'json') return;
      const [again = ''] = inNamespace('nft -f -', printed, 'nft list ruleset');
      expect(stated(parseNft('a', again))).toEqual(expected);
    });
  });
});

describe.skipIf(missing)('fields', () => {
  /** What this version of nft cannot describe. */
  const UNKNOWN: ReadonlySet<string> = new Set([
    ...[
      'icmpv6 parameter-problem',
      'icmpv6 packet-too-big',
      'icmpv6 taddr',
      'icmpv6 daddr',
      'tcp option md5sig length',
      'rt2 addr',
    ],
  ]);
  const names = Object.entries(HEADERS).flatMap(([header, { fields }]) =>
    Object.entries(fields).map(([name, field]) => ({ words: `${header} ${name}`, field })),
  );
  const searched = (kind: string, headers: Readonly<Record<string, Searched>>): typeof names =>
    Object.entries(headers).flatMap(([header, { fields }]) =>
      Object.entries(fields).map(([name, field]) => ({ words: `${kind}${header} ${name}`, field })),
    );
  const all = [
    ...names,
    ...searched('', EXTENSION_HEADERS),
    ...searched('tcp option ', TCP_OPTIONS),
    ...searched('ip option ', IP_OPTIONS),
    ...searched('sctp chunk ', SCTP_CHUNKS),
  ].filter(({ words }) => !UNKNOWN.has(words));

  it('have the types and widths that nft describes', () => {
    const script = all.map(({ words }) => `echo "$(nft describe '${words}' 2>&1 | head -n 1)"`).join('\n');
    const described = execFileSync('sh', ['-c', script], { encoding: 'utf8' }).trimEnd().split('\n');
    const [mine, nfts] = [[], []] as [string[], string[]];
    for (const [index, { words, field }] of all.entries()) {
      const [, type, bits] = /datatype (\w+) .*, (\d+) bits$/.exec(described[index] ?? '') ?? [];
      mine.push(`${words}: ${field.type} ${field.bits}`);
      nfts.push(`${words}: ${type?.replace('bitmask', 'integer')} ${bits}`);
    }
    expect(mine).toEqual(nfts);
  });
});
