// Do files of expectations say what they seem to say, and is everything else refused at its place?

import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readExpectations } from '../../../src/check/expectation.ts';
import { matchesPattern, readRange } from '../../../src/check/values.ts';
import { ExpectationError } from '../../../src/errors.ts';

const ABOUT = { captures: ['in/a.pcap', 'in/b.pcap', 'out/b.pcap'], labels: new Map([['web', 1]]) };

function read(text: string) {
  return readExpectations('e.yaml', text, ABOUT);
}

/** What is wrong with a file: `LINE:COLUMN marked text: message`. */
function fault(text: string): string {
  try {
    read(text);
  } catch (error) {
    if (!(error instanceof ExpectationError)) throw error;
    const { file, line, column, text: source, length } = error.at;
    expect(file).toBe('e.yaml');
    expect(text.split('\n')[line - 1]).toBe(source);
    const [message] = error.message.slice(`e.yaml:${line}:${column}: `.length).split('\n');
    return `${line}:${column} ${source!.slice(column - 1, column - 1 + length!)}: ${message}`;
  }
  return 'nothing';
}

const one = (selection: string, claim = 'count: 1') => `- name: n\n  ${selection}\n  ${claim}\n`;

describe('what is read', () => {
  test('names, subjects, counts and moments', () => {
    const text = [
      '- name: |',
      '    two',
      '    lines',
      '  packets: {}',
      '  none: { verdict: DROP }',
      '- { name: b, table: { proto: tcp }, at: +10.5, count: 2..3 }',
      '- { name: c, flows: {}, count: ..4 }',
      '- { name: d, rules: {}, all: { packets: 1.. }, some: { bytes: 0 } }',
    ].join('\n');
    const found = read(text).map(({ name, subject, count, at, claims }) => {
      const quantifiers = claims.map(({ quantifier }) => quantifier);
      return [name, subject, count.first, count.last, quantifiers, at?.moment];
    });
    expect(found).toEqual([
      ['two lines', 'packets', 1, Number.POSITIVE_INFINITY, ['none'], undefined],
      ['b', 'table', 2, 3, [], { afterFirst: 10_500_000_000n }],
      ['c', 'flows', 0, 4, [], undefined],
      ['d', 'rules', 1, Number.POSITIVE_INFINITY, ['all', 'some'], undefined],
    ]);
  });

  test('what YAML may take for something else is text: octal, hexadecimal, times, no', () => {
    expect(fault(one('packets: { n: 010, in: no, ct: { mark: 0x1F/0xff }, src: ::1, sport: 0..10 }'))).toBe('nothing');
    expect(fault(one('packets: { in: "true", out: null, dst: 2001:db8::/32 }'))).toBe('nothing');
  });

  test('aliases stand for what they name, the last of it before them', () => {
    const text = `${one('packets: &it { dport: 1 }')}- { name: b, packets: *it, none: &it { dport: 2 } }
- { name: c, packets: *it, count: 0 }\n`;
    expect(read(text).map(({ selection }) => selection.source.excerpt(selection))).toEqual([
      '{ dport: 1 }',
      '*it',
      '*it',
    ]);
    expect(fault(text.replace('dport: 2', 'dport: x'))).toMatch(/^4:47 x: dport:/);
  });

  test('a capture is its number, its path, or the end of its path', () => {
    expect(fault(one('packets: { file: [2, in/a.pcap, a.pcap] }'))).toBe('nothing');
  });
});

describe('what is documented', () => {
  const docs = (name: string) => readFileSync(new URL(`../../../${name}`, import.meta.url), 'utf8');
  /** Indented blocks of a page that hold expectations. */
  const blocks = docs('docs/check.md')
    .match(/(?:^ {4}.*\n|^\n)+/gm)!
    .filter((block) => /^ {4}- name:/m.test(block));

  test('every example of docs/check.md can be read', () => {
    expect(blocks).toHaveLength(2);
    const about = { captures: ['monday.pcap'], labels: new Map() };
    const [one, many] = blocks.map((block) => readExpectations('docs', block.replace(/^ {4}/gm, ''), about).length);
    expect([one, many]).toEqual([1, 12]);
  });

  test('every word is told of in docs/check.md', () => {
    const text = docs('docs/check.md');
    const told = (section: string) =>
      new Set(
        text
          .split(/^## /m)
          .find((each) => each.startsWith(section))!
          .match(/[a-z]+[a-z6-]*/g),
      );
    const known = (block: string) => /known are (.*), not/.exec(fault(block))![1]!.split(', ');
    for (const [section, subject] of [
      ['Packets', 'packets: { x: 1 }'],
      ['Packets', 'packets: { ct: { x: 1 } }'],
      ['Packets', 'packets: { nat: { x: 1 } }'],
      ['Packets', 'packets: { flow: { x: 1 } }'],
      ['Rules', 'rules: { x: 1 }'],
      ['Flows', 'flows: { x: 1 }'],
    ] as const) {
      const words = known(one(subject)).filter((word) => section !== 'Flows' || !word.startsWith('icmp'));
      expect([...told(section)]).toEqual(expect.arrayContaining(words));
    }
  });
});

describe('what is refused, and where', () => {
  test.each([
    ['', '1:1 : there is nothing in it'],
    ['# a comment\n', '1:1 #: there is nothing in it'],
    ['[]', '1:1 []: nothing is expected'],
    ['a: b', '1:1 a: b: expected a list of expectations: - name: ...'],
    ['- a', '1:3 a: expected an expectation: name: ...'],
    ['- packets: {}\n  count: 1', '1:3 p: an expectation needs a name'],
    ['- name: [a]\n  packets: {}\n  count: 1', '1:9 [a]: expected a text'],
    ['- name: a\n  count: 1', '1:3 name: what is it about? One of packets, flows, rules, table'],
    ['- name: a\n  packets: {}', '2:3 packets: what is claimed? One of all, none, some, count'],
    ['- name: a\n  packets: {}\n  flows: {}\n  count: 1', '3:3 flows: it is about packets already'],
    ['- name: a\n  packet: {}\n  count: 1', '2:3 packet: unknown: packet; an expectation has name, packets,'],
    ['- name: a\n  <<: {}\n  count: 1', '2:3 <<: unknown: <<;'],
    [one('packets: {}').repeat(2), '4:9 n: the expectation in line 1 has the same name'],
    [one('packets: {}', 'at: +5\n  count: 1'), '3:3 at: only the table is asked at a moment'],
    [one('table: {}', 'at: noon\n  count: 1'), "3:7 noon: 'noon' is not a time"],
    [one('packets: {}', 'count: 0..'), '3:10 0..: any count is right: this cannot fail'],
    [one('packets: {}', 'count: 5..2'), "3:10 5..2: count: '5..2' is empty"],
    [one('packets: {}', 'count: -1'), "3:10 -1: count: '-1' is neither a number nor a range"],
    [one('packets: {}', 'count: [1, 3]'), '3:10 [1, 3]: expected a text'],
    [one('packets: {}', 'all: {}'), '3:8 {}: all: nothing is claimed'],
    [one('packets: {}', 'all: []'), '3:8 []: an empty list describes nothing'],
    [one('packets: a.pcap:7'), '2:12 a.pcap:7: expected a description'],
    [one('packets: [a]'), '2:13 a: expected a description'],
    [one('packets: { ct: {} }'), '2:18 {}: ct: nothing is said'],
    [
      one('packets: { ct: { tpc: X } }'),
      '2:20 tpc: unknown: tpc; known are state, dir, status, tcp, sctp, mark, helper, not',
    ],
    [one('packets: { constructor: 1 }'), '2:14 constructor: unknown: constructor;'],
    [one('packets: { verdict: }'), '2:14 verdict: verdict has no value'],
    [one('packets: { verdict: [DROP, !!str ] }'), '2:36 ]: a value is missing'],
    [one('packets: { verdict: [] }'), '2:23 []: an empty list describes nothing'],
    [one('packets: { verdict: { is: DROP } }'), '2:23 { is: DROP }: expected a value or a list of values'],
    [one('packets: { verdict: [DROP, [REJECT]] }'), '2:30 [REJECT]: expected a value'],
    [one('packets: { verdict: drop }'), "2:23 drop: verdict: 'drop' is none of NONE, ACCEPT, DROP, REJECT, QUEUE"],
    [one('packets: { with: rst }'), "2:20 rst: with: 'rst' is none of icmp-net-unreachable,"],
    [one('packets: { why: bored }'), "2:19 bored: why: 'bored' is no reason that a packet can have"],
    [one('packets: { src: 10.0.0.256 }'), "2:19 10.0.0.256: src: '10.0.0.256' is not an address"],
    [one('packets: { src: 10.0.0.0/33 }'), "2:19 10.0.0.0/33: src: '10.0.0.0/33' is not an address"],
    [one('packets: { dport: 65536 }'), '2:21 65536: dport: at most 65535 is possible'],
    [one('packets: { dport: [80, http] }'), "2:26 http: dport: 'http' is neither a number nor a range"],
    [one('packets: { proto: tpc }'), "2:21 tpc: proto: 'tpc' is none of icmp,"],
    [one('packets: { proto: 256 }'), "2:21 256: proto: '256' is not a number from 0 to 255"],
    [one('packets: { file: b.pcap }'), "2:20 b.pcap: file: the paths of 2 captures end in 'b.pcap'"],
    [one('packets: { file: 4 }'), "2:20 4: file: '4' is not a number from 0 to 3"],
    [one('packets: { file: 0 }'), '2:20 0: file: captures are numbered from 1'],
    [one('packets: { ct: { status: "ASSURED,SEEN" } }'), '2:28 "ASSURED,SEEN": status: \'SEEN\' is none of'],
    [one('packets: { ct: { helper: http } }'), "2:28 http: helper: 'http' is none of ftp,"],
    [one('flows: { verdict: DROP }'), '2:12 verdict: unknown: verdict; known are family,'],
    [one('flows: { state: LISTENING }'), "2:19 LISTENING: state: 'LISTENING' is none of"],
    [one('flows: { dst-nat: 10.0.0.1:99999 }'), "2:21 10.0.0.1:99999: dst-nat: '99999' is not a number"],
    [one('flows: { label: voip }'), "2:19 voip: label: 'voip' is not in the host's connlabel.conf"],
    [one('flows: { zone: 65536 }'), "2:18 65536: zone: '65536' is not a number from 0 to 65535"],
    [one('rules: { family: inet }'), "2:20 inet: family: 'inet' is not ipv4 or ipv6"],
    [one('packets: { src: *nobody }'), '2:19 *nobody: no anchor is called nobody'],
    [one('packets: &a { not: *a }'), '2:22 *a: more than 64 levels deep'],
    [one('packets: { src: 10.0.0.1, src: 10.0.0.2 }'), '2:29 src: src is given twice'],
    [one('packets: { ? [a] : b }'), '2:16 [a]: a key is a word'],
    [one('packets: { src: !ip 10.0.0.1 }'), '2:19 !ip: Unresolved tag: !ip'],
    [one('packets: { src: [10.0.0.1 }'), '2:29 }: Flow sequence'],
    ['- name: a\n\tpackets: {}', '2:2 '],
    ['--- []\n--- []\n', '2:1 --- []: Source contains multiple documents'],
  ])('%s', (text, expected) => {
    expect(fault(text).slice(0, expected.length)).toBe(expected);
  });

  test('files that stand for too much, or go too deep', () => {
    const doubled = Array.from({ length: 30 }, (_, i) => `      - &a${i} { not: [*a${i - 1}, *a${i - 1}] }`).slice(1);
    const bomb = `- name: n\n  packets:\n    not:\n      - &a0 { dport: 1 }\n${doubled.join('\n')}\n  count: 1\n`;
    expect(fault(bomb)).toContain('more than 100000 values, aliases followed');
    expect(fault('['.repeat(100_000))).toMatch(/^1:\d+ \[/);
    expect(fault('#'.repeat((1 << 20) + 1))).toContain('more than 1048576 characters');
    expect(fault(`- ${'{a: '.repeat(70)}${'}'.repeat(70)}`)).toContain('more than 64 levels deep');
  });
});

describe('values', () => {
  test.each([
    ['5', 5, 5],
    ['5..7', 5, 7],
    ['5..', 5, Number.POSITIVE_INFINITY],
    ['..7', 0, 7],
  ])('range %s', (text, first, last) => {
    expect(readRange('n', text)).toEqual({ first, last });
  });

  test.each(['', '..', '5-7', '1.5', 'x', '5...7', '0x10', ' 5'])('no range: %s', (text) => {
    expect(() => readRange('n', text)).toThrow('neither a number nor a range');
  });

  // The same language as a regular expression in which a star is `.*`.
  test('patterns', () => {
    const words = ['', 'a', 'b', 'ab', 'ba', 'aab', 'abab', '*', 'a*', '**', '*a', 'a*b', '*b*', 'a*b*a'];
    for (const pattern of words) {
      const parts = pattern.split('*').map((part) => part.replace(/\W/g, '\\$&'));
      const expression = new RegExp(`^${parts.join('.*')}$`);
      for (const text of words) expect(matchesPattern(text, pattern), `${text} ${pattern}`).toBe(expression.test(text));
    }
  });
});
