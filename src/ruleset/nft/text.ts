// Where in a source of nft rules does a place lie?
import type { TextPosition } from '../../errors.ts';
import { position, type Refusal, refuse } from '../source.ts';
import type { Place } from './ast.ts';

/** One file, and where its lines begin. */
export class NftText {
  /** Offsets of the first characters of all lines. */
  private readonly lines: number[] = [0];

  constructor(
    readonly file: string,
    readonly text: string,
  ) {
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) this.lines.push(end + 1);
  }

  /** Line (from 1) and column (from 1) of an offset, with the line's text. */
  locate(offset: number): { line: number; column: number; text: string } {
    let low = 0;
    let high = this.lines.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.lines[middle]! <= offset) low = middle;
      else high = middle - 1;
    }
    const start = this.lines[low]!;
    const end = this.lines[low + 1] ?? this.text.length + 1;
    return {
      line: low + 1,
      column: offset - start + 1,
      text: this.text.slice(start, end - 1).replace(/\r$/, ''),
    };
  }
}

/** File, line and column of a place; of a place of several lines the rest of the first one is marked. */
export function positionOf(at: Place): TextPosition {
  const { line, column, text } = at.text.locate(at.start);
  const length = Math.max(1, Math.min(at.end - at.start, text.length - column + 1));
  return position({ file: at.text.file, number: line, text }, { column, length });
}

export function refuseAt(refusal: Refusal, message: string, at: Place): never {
  return refuse(refusal, message, positionOf(at));
}
