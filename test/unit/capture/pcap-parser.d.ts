// What of the npm package pcap-parser 0.2.1, which brings no types, is used here?
declare module 'pcap-parser' {
  import type { EventEmitter } from 'node:events';
  import type { Readable } from 'node:stream';

  /** Emits `packet` with its header and data, then `end`; `error` instead when the file is none of its kind. */
  export function parse(input: string | Readable): EventEmitter;
}
