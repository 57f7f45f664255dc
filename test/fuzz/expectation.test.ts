// Can any text make the reader of expectations do something else than return or throw ExpectationError with a place in the text?

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readExpectations } from '../../src/check/expectation.ts';
import { ExpectationError } from '../../src/errors.ts';

const EXAMPLE = readFileSync(new URL('../../captures/demo-host.expect.yaml', import.meta.url), 'utf8');
const ABOUT = { captures: ['captures/internet.pcap'], labels: new Map() };

/** Pieces that readers stumble over. */
const SCRAPS = [
  ...[
    '{',
    '}',
    '[',
    ']',
    ':',
    ': ',
    ',',
    '- ',
    '? ',
    '|',
    '>',
    '>-',
    '"',
    "'",
    '#',
    ' #',
    '\n',
    '\r\n',
    '\t',
    '  ',
    '\0',
    '\uFEFF',
  ],
  ...[
    '&a ',
    '*a',
    '*a ',
    '<<: ',
    '!!int ',
    '!x ',
    '%YAML 1.1\n---\n',
    '---\n',
    '...\n',
    '~',
    'null',
    'true',
    '.inf',
    '0x',
    '1e9',
  ],
  ...[
    'not: ',
    'packets: ',
    'flows: ',
    'at: +1',
    'count: ',
    '..',
    '1..',
    'constructor',
    '__proto__',
    'toString: ',
    '\u{1f600}',
    '\uD800',
  ],
];

const edit = fc.record({
  at: fc.nat(EXAMPLE.length),
  remove: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(40)),
  insert: fc.array(fc.constantFrom(...SCRAPS), { maxLength: 3 }).map((scraps) => scraps.join('')),
});

test('changed files are read, or refused at a place in them', () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
      let text = EXAMPLE;
      for (const { at, remove, insert } of edits) text = text.slice(0, at) + insert + text.slice(at + remove);
      try {
        expect(readExpectations('e', text, ABOUT).length).toBeGreaterThan(0);
      } catch (error) {
        if (!(error instanceof ExpectationError)) throw error;
        const { line, column, length, text: source } = error.at;
        expect(line).toBeGreaterThan(0);
        expect(source).toBe(text.split(/\r?\n/)[line - 1]);
        expect(column).toBeGreaterThan(0);
        expect(column - 1).toBeLessThanOrEqual(source!.length);
        expect(length).toBeGreaterThan(0);
      }
    }),
    { numRuns: 2000 },
  );
});
