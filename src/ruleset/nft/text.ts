// Where in a source of nft rules does a place lie?
import type { TextPosition } from '../../errors.ts';
import { position, type Refusal, refuse } from '../source.ts';
import type { Place } from './ast.ts';

/** One file, or the text that an object of a JSON file says in nft's language. */
export class NftText {
  /** Offsets of the first characters of all lines, once asked for. */
  private lines: number[] | undefined;

  constructor(
    readonly file: string,
    readonly text: string,
    /** The JSON object that this text was made of. */
    readonly origin?: Place,
  ) {}

  /** Line (from 1) and column (from 1) of an offset, with the line's text. */
  locate(offset: number): { line: number; column: number; text: string } {
    this.lines ??= lineStarts(this.text);
    let low = 0;
    let high = this.lines.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.lines[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    const start = this.lines[low] ?? 0;
    const end = this.lines[low + 1] ?? this.text.length + 1;
    return { line: low + 1, column: offset - start + 1, text: this.text.slice(start, end - 1).replace(/\r$/, '') };
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) starts.push(end + 1);
  return starts;
}

/** The characters from the start of one place to the end of another in the same text. */
export function span(from: Place, to: Place): Place {
  return { text: from.text, start: from.start, end: Math.max(from.end, to.end) };
}

/** Characters of a line that an error shows around its place: JSON is printed in one line. */
const SHOWN_MAX = 400;

/**
 * File, line and column of a place. Of a place of several lines the rest of the first one is marked; a line that is too
 * long to be read is left out, and so is what stands for a JSON object.
 */
export function positionOf(at: Place): TextPosition {
  if (at.text.origin !== undefined) return positionOf(at.text.origin);
  const { line, column, text } = at.text.locate(at.start);
  if (text.length > SHOWN_MAX) return { file: at.text.file, line, column };
  const length = Math.max(1, Math.min(at.end - at.start, text.length - column + 1));
  return position({ file: at.text.file, number: line, text }, { column, length });
}

/** Throws a RulesetError; behind a place in JSON the words of nft's language that are meant are named, too. */
export function refuseAt(refusal: Refusal, message: string, at: Place): never {
  const { text, origin } = at.text;
  const words = origin === undefined ? '' : text.slice(at.start, Math.min(at.end, at.start + SHOWN_MAX)).trim();
  return refuse(refusal, words === '' ? message : `${message} (in: ${words})`, positionOf(at));
}
