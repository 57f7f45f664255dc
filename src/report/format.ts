// How do millions of lines become bytes? The formatter (assembly/format/) copies texts and writes numbers in a memory of its
// own; here records are put into that memory, and the texts they refer to.

import { readFileSync } from 'node:fs';
import type { Table } from '../../assembly/format/text.ts';
import { packageFile } from '../built.ts';
import { EVENT, FLOW_EXTRA, FORMAT_JOB, PACKET, PACKET_EXTRA, RECORD } from '../engine/layout.ts';
import { EngineError } from '../errors.ts';
import type { EventPlace } from './order.ts';

interface FormatExports extends WebAssembly.Exports {
  set_table(table: number, address: number): void;
  format_packets(job: number): void;
  format_flows(job: number): void;
}

/** Pages of 64 KiB that a formatter reserves; what is not used costs nothing. */
const PAGES = 8192;
/** Where our own data begins: what the module itself keeps lies below. */
const BASE = 65536;
/** Bytes of lines that are handed out at a time. */
const OUT_BYTES = 1 << 20;
/** Longest part of a line that is numbers, addresses and names of fixed sets. */
const LINE_BASE = 2048;
/** Table texts that one line may hold. */
const TEXTS_PER_LINE = 4;
/** Flows that are formatted at a time. */
const FLOWS_PER_JOB = 1024;

/** Texts that one packet's line has for itself. */
export interface PacketTexts {
  /** Index of the packet among those to be formatted. */
  index: number;
  why: string;
  /** What comes last of the entry: who expected it, its helper. */
  ct: string;
  /** What comes last but the events: log records, what NAT changed. */
  last: string;
}

/** Words that one flow's line has for itself, each with a space behind it. */
export interface FlowTexts {
  times: string;
  labels: string;
}

/** Records that lie one behind the other. */
interface Run {
  place: EventPlace;
  length: number;
}

function* singles(places: Iterable<EventPlace>): Generator<Run> {
  for (const place of places) yield { place, length: 1 };
}

/** Neighbours are copied at once; only a list stays valid while its neighbours are looked at. */
function* runs(places: Iterable<EventPlace>): Generator<Run> {
  if (!Array.isArray(places)) {
    yield* singles(places);
    return;
  }
  for (let from = 0; from < places.length; ) {
    const place: EventPlace = places[from];
    const limit = Math.min(places.length, from - (from % FLOWS_PER_JOB) + FLOWS_PER_JOB);
    let to = from + 1;
    while (to < limit && places[to].bytes === place.bytes && places[to].at === place.at + (to - from) * EVENT.size)
      to++;
    yield { place, length: to - from };
    from = to;
  }
}

let compiled: WebAssembly.Module | undefined;

function module(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(packageFile('build/engine/format.wasm')));
  return compiled;
}

/** One instance of the formatter. Tables must be filled before a line refers to them. */
export class Formatter {
  readonly #exports: FormatExports;
  readonly #view: DataView;
  readonly #bytes: Buffer;
  readonly #job: number;
  /** Records, items, extras and lines of the work at hand begin here. */
  #top = BASE;
  #longest = 0;
  readonly #tables = new Map<Table, { address: number; capacity: number }>();

  constructor() {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
    this.#exports = new WebAssembly.Instance(module(), { env: { memory } }).exports as FormatExports;
    this.#view = new DataView(memory.buffer);
    this.#bytes = Buffer.from(memory.buffer);
    this.#job = this.#take(FORMAT_JOB.size);
  }

  /** Reserves a table; its texts are empty at first. */
  table(table: Table, capacity: number): void {
    const address = this.#take(capacity * 8);
    this.#tables.set(table, { address, capacity });
    this.#exports.set_table(table, address);
  }

  /** Sets one text of a table. */
  text(table: Table, index: number, text: string): void {
    const { address, capacity } = this.#tables.get(table)!;
    if (index >= capacity) throw new EngineError('format-table', `text ${index} of table ${table} is one too many`);
    const length = Buffer.byteLength(text);
    // Texts are read in steps of 16 bytes.
    const at = this.#take(length + 16);
    this.#bytes.write(text, at);
    this.#view.setUint32(address + index * 8, at, true);
    this.#view.setUint32(address + index * 8 + 4, length, true);
    this.#longest = Math.max(this.#longest, length);
  }

  /** A whole table. */
  texts(table: Table, texts: readonly string[]): void {
    this.table(table, texts.length);
    texts.forEach((text, index) => {
      this.text(table, index, text);
    });
  }

  /**
   * Lines of packets, in pieces that are valid until the next is asked for.
   *
   * @param records address of RECORD[count] in `bytes`
   * @param packets address of PACKET[count]
   * @param extras texts of single packets, in order
   */
  *packets(
    bytes: Uint8Array,
    records: number,
    packets: number,
    count: number,
    extras: readonly PacketTexts[],
  ): Generator<Uint8Array> {
    const top = this.#top;
    try {
      const job = {
        records: this.#copy(bytes, records, count * RECORD.size),
        items: this.#copy(bytes, packets, count * PACKET.size),
        count,
        modes: 0,
      };
      const list = this.#take((extras.length + 1) * PACKET_EXTRA.size);
      let longest = 0;
      extras.forEach(({ index, why, ct, last }, nth) => {
        const at = list + nth * PACKET_EXTRA.size;
        this.#view.setUint32(at + PACKET_EXTRA.index, index, true);
        const texts = [
          [PACKET_EXTRA.why, why],
          [PACKET_EXTRA.ct, ct],
          [PACKET_EXTRA.last, last],
        ] as const;
        longest = Math.max(
          longest,
          texts.reduce((sum, [field, text]) => sum + this.#extra(at + field, text), 0),
        );
      });
      this.#view.setUint32(list + extras.length * PACKET_EXTRA.size + PACKET_EXTRA.index, 0xffffffff, true);
      yield* this.#run((address) => this.#exports.format_packets(address), { ...job, extra: list }, longest);
    } finally {
      this.#top = top;
    }
  }

  /**
   * Lines of events or entries, in pieces that are valid until the next is asked for.
   *
   * @param places EVENT records; each needs to be valid only until the next is asked for
   * @param modes FlowMode bits
   * @param texts words that a line has for itself, if there are modes that want some
   */
  *flows(places: Iterable<EventPlace>, modes: number, texts?: (place: EventPlace) => FlowTexts): Generator<Uint8Array> {
    const top = this.#top;
    try {
      const items = this.#take(FLOWS_PER_JOB * EVENT.size);
      const extra = texts ? this.#take(FLOWS_PER_JOB * FLOW_EXTRA.size) : 0;
      const start = this.#top;
      let count = 0;
      let longest = 0;
      const format = (job: number) => this.#exports.format_flows(job);
      for (const { place, length } of texts ? singles(places) : runs(places)) {
        const { bytes, at } = place;
        this.#bytes.set(bytes.subarray(at, at + length * EVENT.size), items + count * EVENT.size);
        if (texts) longest = Math.max(longest, this.#flowExtra(extra + count * FLOW_EXTRA.size, texts(place)));
        count += length;
        if (count < FLOWS_PER_JOB) continue;
        yield* this.#run(format, { records: 0, items, count, modes, extra }, longest);
        count = 0;
        this.#top = start;
      }
      yield* this.#run(format, { records: 0, items, count, modes, extra }, longest);
    } finally {
      this.#top = top;
    }
  }

  #flowExtra(at: number, { times, labels }: FlowTexts): number {
    return this.#extra(at + FLOW_EXTRA.times, times) + this.#extra(at + FLOW_EXTRA.labels, labels);
  }

  *#run(
    format: (job: number) => void,
    job: { records: number; items: number; count: number; modes: number; extra: number },
    longestExtra: number,
  ): Generator<Uint8Array> {
    const room = LINE_BASE + TEXTS_PER_LINE * this.#longest + longestExtra;
    const out = this.#take(OUT_BYTES + room);
    const set = (field: number, value: number) => this.#view.setUint32(this.#job + field, value, true);
    set(FORMAT_JOB.records, job.records);
    set(FORMAT_JOB.items, job.items);
    set(FORMAT_JOB.count, job.count);
    set(FORMAT_JOB.modes, job.modes);
    set(FORMAT_JOB.extra, job.extra);
    set(FORMAT_JOB.index, 0);
    set(FORMAT_JOB.out_limit, out + OUT_BYTES);
    while (this.#view.getUint32(this.#job + FORMAT_JOB.index, true) < job.count) {
      set(FORMAT_JOB.out, out);
      format(this.#job);
      yield this.#bytes.subarray(out, this.#view.getUint32(this.#job + FORMAT_JOB.out, true));
    }
  }

  #take(bytes: number): number {
    const address = this.#top;
    this.#top += (bytes + 15) & ~15;
    if (this.#top > PAGES * 65536)
      throw new EngineError('format-memory', 'the texts of rules and packets are too long');
    return address;
  }

  #copy(bytes: Uint8Array, at: number, length: number): number {
    const address = this.#take(length);
    this.#bytes.set(bytes.subarray(at, at + length), address);
    return address;
  }

  /** Puts a text where two fields (address and length) say so; returns its length. */
  #extra(fields: number, text: string): number {
    const length = Buffer.byteLength(text);
    const at = this.#take(length + 16);
    this.#bytes.write(text, at);
    this.#view.setUint32(fields, at, true);
    this.#view.setUint32(fields + 4, length, true);
    return length;
  }
}
