// Which words does a line of iptables-save consist of?
import { type Line, position, refuse, type Token } from '../source.ts';

/**
 * Splits a line as iptables-restore does: blanks separate, double quotes hold a word together, a backslash escapes one
 * character inside quotes only, and the closing quote ends the word. Throws RulesetError if a quote stays open.
 */
export function tokenize(line: Line, start = 0): Token[] {
  const { text } = line;
  const tokens: Token[] = [];
  let offset = start;
  while (offset < text.length) {
    const first = text[offset];
    if (first === ' ' || first === '\t') {
      offset++;
      continue;
    }
    const begin = offset;
    let word = '';
    let quoted = false;
    for (; offset < text.length; offset++) {
      const character = text[offset];
      if (character === ' ' || character === '\t') break;
      if (character !== '"') {
        word += character;
        continue;
      }
      quoted = true;
      let closed = false;
      for (offset++; offset < text.length; offset++) {
        const inside = text[offset];
        if (inside === '"') {
          closed = true;
          offset++;
          break;
        }
        if (inside === '\\' && offset + 1 < text.length) offset++;
        word += text[offset];
      }
      if (!closed) {
        refuse(
          'RULESET_SYNTAX',
          'the quote is not closed',
          position(line, { column: begin + 1, length: offset - begin }),
        );
      }
      break;
    }
    tokens.push({ text: word, column: begin + 1, length: offset - begin, quoted });
  }
  return tokens;
}
