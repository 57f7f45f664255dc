// What does a file of expectations say, as plain text with places? YAML without types: every scalar is a text.
//
// Anchors and aliases are followed here, within bounds: a short file can stand for an endless one.

import { type Alias, isAlias, isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument, Scalar } from 'yaml';
import { ExpectationError, type TextPosition } from '../errors.ts';

/** Characters of a file. */
const TEXT_MAX = 1 << 20;
/** Nodes, those behind aliases counted wherever they stand. */
const NODES_MAX = 100_000;
const DEPTH_MAX = 64;

/** Where a value stands. */
export interface Place {
  source: Source;
  /** UTF-16 units from the start of the text. */
  start: number;
  end: number;
}

export interface Entry {
  key: string;
  keyPlace: Place;
  value: Value;
}

export type Value = Place &
  ({ kind: 'text'; text: string } | { kind: 'list'; items: Value[] } | { kind: 'map'; entries: Entry[] });

/** A text and its lines. */
export class Source {
  readonly #lines = new LineCounter();

  constructor(
    readonly file: string,
    readonly text: string,
  ) {}

  /** Reads the YAML document. @throws ExpectationError `expectation-syntax` */
  read(): Value {
    if (this.text.length > TEXT_MAX) {
      refuse('expectation-syntax', `more than ${TEXT_MAX} characters`, { source: this, start: 0, end: 0 });
    }
    const document = parseDocument(this.text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      schema: 'failsafe',
      uniqueKeys: false,
    });
    const [fault] = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0]);
    if (fault) refuse('expectation-syntax', fault.message, { source: this, start: fault.pos[0], end: fault.pos[1] });
    if (document.contents === null) {
      refuse('expectation-syntax', 'there is nothing in it', { source: this, start: 0, end: 0 });
    }
    return new Reader(this).read(document.contents, 0);
  }

  position({ start, end }: Pick<Place, 'start' | 'end'>): TextPosition {
    const { line, col } = this.#lines.lineStarts.length ? this.#lines.linePos(start) : { line: 1, col: 1 };
    const first = this.#lines.lineStarts[line - 1] ?? 0;
    const [text] = this.text.slice(first).split(/\r?\n/, 1);
    const length = Math.max(1, Math.min(end - start, text!.length - (col - 1)));
    return { file: this.file, line, column: col, text: text!, length };
  }

  /** The text of a place on one line, cut where it becomes long. */
  excerpt({ start, end }: Pick<Place, 'start' | 'end'>, maximum = 160): string {
    const line = this.text.slice(start, end).replace(/\s+/g, ' ').trim();
    return line.length > maximum ? `${line.slice(0, maximum - 3)}...` : line;
  }
}

/** @throws ExpectationError at `place` */
export function refuse(code: 'expectation-syntax' | 'expectation-value', message: string, place: Place): never {
  throw new ExpectationError(code, message, place.source.position(place));
}

class Reader {
  private count = 0;
  /** What an alias stands for is the last node before it with that anchor. */
  private readonly anchors = new Map<string, ParsedNode>();

  constructor(private readonly source: Source) {}

  read(node: ParsedNode, depth: number): Value {
    const place = this.place(node);
    if (++this.count > NODES_MAX)
      refuse('expectation-syntax', `more than ${NODES_MAX} values, aliases followed`, place);
    if (depth > DEPTH_MAX) refuse('expectation-syntax', `more than ${DEPTH_MAX} levels deep`, place);
    if (isAlias(node)) return { ...this.read(this.target(node, place), depth + 1), ...place };
    if (node.anchor !== undefined) this.anchors.set(node.anchor, node);
    if (isScalar(node)) return { ...place, kind: 'text', text: this.text(node, place) };
    if (isSeq(node)) return { ...place, kind: 'list', items: node.items.map((item) => this.read(item, depth + 1)) };
    if (!isMap(node)) refuse('expectation-syntax', 'neither text, list nor map', place);
    const entries: Entry[] = [];
    const keys = new Set<string>();
    for (const { key, value } of node.items) {
      const keyPlace = this.place(key);
      if (!isScalar(key)) refuse('expectation-syntax', 'a key is a word', keyPlace);
      const name = this.text(key, keyPlace);
      if (keys.has(name)) refuse('expectation-syntax', `${name} is given twice`, keyPlace);
      keys.add(name);
      if (value === null || isMissing(value)) refuse('expectation-value', `${name} has no value`, keyPlace);
      entries.push({ key: name, keyPlace, value: this.read(value, depth + 1) });
    }
    return { ...place, kind: 'map', entries };
  }

  private text(node: Scalar, place: Place): string {
    if (isMissing(node)) refuse('expectation-value', 'a value is missing', place);
    return node.source ?? '';
  }

  private target(alias: Alias, place: Place): ParsedNode {
    return this.anchors.get(alias.source) ?? refuse('expectation-syntax', `no anchor is called ${alias.source}`, place);
  }

  private place({ range }: ParsedNode): Place {
    return { source: this.source, start: range[0], end: range[1] };
  }
}

function isMissing(node: ParsedNode | Scalar): boolean {
  return isScalar(node) && node.type === Scalar.PLAIN && (node.source ?? '') === '';
}
