// How is a wrong place in a host file named?
import { HostError } from '../errors.ts';

/** Stable codes of HostError. */
export type HostCode =
  /** A file or directory that is not there or cannot be read. */
  | 'host-missing'
  /** Text that does not have the form of its kind of file. */
  | 'host-syntax'
  /** A form that is right with a value that cannot be. */
  | 'host-value'
  /** Something that the kernel does and ctreplay does not do yet. */
  | 'host-unsupported'
  /** Two files for one thing. */
  | 'host-ambiguous';

/** Throws a HostError; `line` and `column` count from 1. */
export function refuseHost(code: HostCode, message: string, file: string, line?: number, column?: number): never {
  const place = [file, line, column].filter((part) => part !== undefined).join(':');
  throw new HostError(code, `${place}: ${message}`);
}

/** Lines of a text, without their ends. */
export function textLines(text: string): string[] {
  return text.replace(/^\uFEFF/, '').split(/\r?\n/);
}
