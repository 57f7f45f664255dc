// Errors that users can meet: one class per kind, each with a stable `code` that scripts may test.

/** Where in a text (ruleset, host file) an error lies. Lines and columns count from 1. */
export interface TextPosition {
  file: string;
  line: number;
  column: number;
  /** The line itself, for carets under the place. */
  text?: string;
  /** Length of the marked place in characters. */
  length?: number;
}

export class CtreplayError extends Error {
  readonly code: string;
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A capture that cannot be read, or not to its end. Everything before `offset` was delivered. */
export class CaptureError extends CtreplayError {
  readonly file: string;
  /** Number of the packet that could not be read, from 1; absent when the file's header is at fault. */
  readonly packet: number | undefined;
  /** Byte offset in the (decompressed) file. */
  readonly offset: number | undefined;
  constructor(code: string, message: string, at: { file: string; packet?: number; offset?: number }) {
    const place = [
      at.file,
      at.packet === undefined ? '' : `packet ${at.packet}`,
      at.offset === undefined ? '' : `byte offset ${at.offset}`,
    ];
    super(code, `${place.filter(Boolean).join(', ')}: ${message}`);
    this.file = at.file;
    this.packet = at.packet;
    this.offset = at.offset;
  }
}

/** A ruleset that cannot be executed as it stands: syntax, names, or a construct that is not supported. */
export class RulesetError extends CtreplayError {
  readonly at: TextPosition;
  constructor(code: string, message: string, at: TextPosition) {
    super(code, placed(message, at));
    this.at = at;
  }
}

/** A file of expectations that does not say what is to hold: syntax, unknown keys, values that mean nothing. */
export class ExpectationError extends CtreplayError {
  readonly at: TextPosition;
  constructor(code: string, message: string, at: TextPosition) {
    super(code, placed(message, at));
    this.at = at;
  }
}

/** A message behind its place, above the line with carets under what is meant. */
function placed(message: string, at: TextPosition): string {
  const marked =
    at.text === undefined
      ? ''
      : `\n  ${at.text}\n  ${' '.repeat(at.column - 1)}${'^'.repeat(Math.max(1, at.length ?? 1))}`;
  return `${at.file}:${at.line}:${at.column}: ${message}${marked}`;
}

/** A host file (sysctl, addresses, routes, conntrack table) that cannot be used. */
export class HostError extends CtreplayError {}

/** A command line or options object that makes no sense. */
export class UsageError extends CtreplayError {}

/** The engine or a worker failed: always our mistake or the machine's, never the input's. */
export class EngineError extends CtreplayError {}
