// What do the JSON documents of a file hold, and where in the text does each object start?
//
// JSON.parse names no place in some of its errors, and none at all for a value that is well-formed but wrong. Host files
// also hold several documents one after the other where someone printed IPv4 and IPv6 into one file.
import { refuseHost } from './place.ts';

export type JsonObject = Record<string, unknown>;

export interface JsonOptions {
  /** Throws for a text that is not JSON; without it a HostError is thrown. */
  refuse?: (message: string, offset: number) => never;
  /** Whole numbers that a double cannot hold come as bigint. */
  bigints?: boolean;
}

/** Values within each other: no tool prints many, and each takes from our stack. */
const DEPTH_MAX = 500;

/** RFC 8259; any number of values, separated by nothing but white space. */
export class JsonFile {
  readonly file: string;
  readonly documents: unknown[] = [];
  private readonly text: string;
  private readonly places = new WeakMap<object, { start: number; end: number }>();
  private at = 0;
  private depth = 0;

  /** @throws HostError `host-syntax` with line and column */
  constructor(
    file: string,
    text: string,
    private readonly options: JsonOptions = {},
  ) {
    this.file = file;
    this.text = text.replace(/^\uFEFF/, '');
    this.space();
    while (this.at < this.text.length) {
      this.documents.push(this.value());
      this.space();
    }
  }

  /**
   * The objects of all documents, which must be arrays of objects as `ip -j` prints them. Empty objects, which ip
   * prints for what its filter left out, are skipped.
   */
  objects(): JsonObject[] {
    const found: JsonObject[] = [];
    for (const document of this.documents) {
      if (!Array.isArray(document))
        refuseHost('host-syntax', 'expected an array, as `ip -j` prints it', this.file, 1, 1);
      for (const item of document) {
        if (!isObject(item)) refuseHost('host-syntax', 'expected an array of objects', this.file, 1, 1);
        if (Object.keys(item).length > 0) found.push(item);
      }
    }
    return found;
  }

  /** Throws a HostError that points to where `object` starts. */
  refuse(code: 'host-value' | 'host-unsupported', message: string, object: object): never {
    const { line, column } = this.position(this.place(object).start);
    return refuseHost(code, message, this.file, line, column);
  }

  /** Where an object stands in the text: offsets of its first character and behind its last one. */
  place(object: object): { start: number; end: number } {
    return this.places.get(object) ?? { start: 0, end: 0 };
  }

  private position(offset: number): { line: number; column: number } {
    const before = this.text.slice(0, offset);
    const line = before.split('\n').length;
    return { line, column: offset - before.lastIndexOf('\n') };
  }

  private fail(message: string, offset = this.at): never {
    this.options.refuse?.(`not JSON: ${message}`, offset);
    const { line, column } = this.position(offset);
    return refuseHost('host-syntax', `not JSON: ${message}`, this.file, line, column);
  }

  private space(): void {
    while (/[ \t\r\n]/.test(this.text[this.at] ?? '')) this.at++;
  }

  private value(): unknown {
    const character = this.text[this.at];
    if (character === '{') return this.object();
    if (character === '[') return this.array();
    if (character === '"') return this.string();
    const word = /[-+.\w]*/y;
    word.lastIndex = this.at;
    const found = word.exec(this.text)?.[0] ?? '';
    if (found === 'true') return this.skip(4, true);
    if (found === 'false') return this.skip(5, false);
    if (found === 'null') return this.skip(4, null);
    if (/^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?$/.test(found)) return this.number(found);
    if (character === undefined) return this.fail('the text ends where a value was expected');
    return this.fail(`unexpected ${JSON.stringify(found === '' ? character : found)}`);
  }

  private number(text: string): number | bigint {
    const number = Number(text);
    const exact = !this.options.bigints || Number.isSafeInteger(number) || !/^-?\d+$/.test(text);
    return this.skip(text.length, exact ? number : BigInt(text));
  }

  private skip<T>(length: number, value: T): T {
    this.at += length;
    return value;
  }

  private object(): JsonObject {
    const result: JsonObject = {};
    const start = this.at;
    this.list('}', () => {
      if (this.text[this.at] !== '"') this.fail('expected a name in quotes');
      const name = this.string();
      this.space();
      if (this.text[this.at] !== ':') this.fail('expected ":"');
      this.at++;
      this.space();
      const value = this.value();
      Object.defineProperty(result, name, { value, enumerable: true, configurable: true, writable: true });
    });
    this.places.set(result, { start, end: this.at });
    return result;
  }

  private array(): unknown[] {
    const result: unknown[] = [];
    this.list(']', () => result.push(this.value()));
    return result;
  }

  private list(end: string, item: () => void): void {
    const start = this.at++;
    if (++this.depth > DEPTH_MAX) this.fail(`nested deeper than ${DEPTH_MAX}`, start);
    this.items(start, end, item);
    this.depth--;
  }

  private items(start: number, end: string, item: () => void): void {
    this.space();
    if (this.text[this.at] === end) {
      this.at++;
      return;
    }
    for (;;) {
      item();
      this.space();
      const character = this.text[this.at];
      if (character === undefined) this.fail(`the text ends before the ${JSON.stringify(end)} of this`, start);
      if (character !== ',' && character !== end) this.fail(`expected "," or ${JSON.stringify(end)}`);
      this.at++;
      if (character === end) return;
      this.space();
    }
  }

  private string(): string {
    const start = this.at++;
    while (this.text[this.at] !== '"') {
      if (this.at >= this.text.length) this.fail('the text ends within this string', start);
      this.at += this.text[this.at] === '\\' ? 2 : 1;
    }
    this.at++;
    try {
      return JSON.parse(this.text.slice(start, this.at)) as string;
    } catch {
      return this.fail('a string that JSON does not allow', start);
    }
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A member that is text, undefined if it is absent or something else. */
export function textOf(object: JsonObject, name: string): string | undefined {
  const value = object[name];
  return typeof value === 'string' ? value : undefined;
}

/** A member that is a number, undefined if it is absent or something else. */
export function numberOf(object: JsonObject, name: string): number | undefined {
  const value = object[name];
  return typeof value === 'number' ? value : undefined;
}

/** A member that is an array of texts, empty if it is absent; other items are left out. */
export function textsOf(object: JsonObject, name: string): string[] {
  const value = object[name];
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** A member that is an array of objects, empty if it is absent; other items are left out. */
export function objectsOf(object: JsonObject, name: string): JsonObject[] {
  const value = object[name];
  return Array.isArray(value) ? value.filter(isObject) : [];
}
