// Does the JSON reader read what JSON.parse reads, and does it name the place where it cannot?
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HostError } from '../../../src/errors.ts';
import { JsonFile } from '../../../src/topology/json.ts';

test('reads every value as JSON.parse does, with and without white space', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2, '\t'), (value, indent) => {
      const text = JSON.stringify(value, null, indent);
      expect(new JsonFile('f', text).documents).toEqual([JSON.parse(text)]);
    }),
  );
});

test('several documents follow each other, none at all is none', () => {
  expect(new JsonFile('f', '[1]\n[2,3]').documents).toEqual([[1], [2, 3]]);
  expect(new JsonFile('f', ' \n').documents).toEqual([]);
});

test('refuses exactly the texts that JSON.parse refuses', () => {
  const near = fc
    .tuple(fc.jsonValue(), fc.nat(), fc.constantFrom('', ',', ':', '"', '[', '}', 'x', '0', '-', '\\', '\u0001'))
    .map(([value, place, change]) => {
      const text = JSON.stringify([value]);
      const at = place % text.length;
      return text.slice(0, at) + change + text.slice(at + 1);
    });
  fc.assert(
    fc.property(near, (text) => {
      let expected: unknown;
      try {
        expected = JSON.parse(text);
      } catch {
        // Two documents in a row are no JSON text, but a host file: only a single one can be compared.
        let found: unknown[] = [];
        try {
          found = new JsonFile('f', text).documents;
        } catch (error) {
          expect(error).toBeInstanceOf(HostError);
          return;
        }
        expect(found.length).not.toBe(1);
        return;
      }
      expect(new JsonFile('f', text).documents).toEqual([expected]);
    }),
    { numRuns: 500 },
  );
});

test.each([
  ['[{"a":1},\n {"b":}]', 'f:2:7: not JSON: unexpected "}"'],
  ['[1,\n2', 'f:1:1: not JSON: the text ends before the "]" of this'],
  ['{"a" 1}', 'f:1:6: not JSON: expected ":"'],
  ['[nul]', 'f:1:2: not JSON: unexpected "nul"'],
  ['["a\\q"]', 'f:1:2: not JSON: a string that JSON does not allow'],
  ['["abc', 'f:1:2: not JSON: the text ends within this string'],
  ['[01]', 'f:1:2: not JSON: unexpected "01"'],
])('names the place in %j', (text, message) => {
  expect(() => new JsonFile('f', text)).toThrow(expect.objectContaining({ code: 'host-syntax', message }));
});

test('an object named __proto__ is a member like others', () => {
  const [value] = new JsonFile('f', '{"__proto__": {"a": 1}}').documents;
  expect(Object.keys(value as object)).toEqual(['__proto__']);
});
