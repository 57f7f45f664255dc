// How is one capture read, whatever its format and wherever its bytes come from?
//
// A reader keeps a window of unread bytes in linear memory, [position, end) of its Source record. The walker consumes
// it from the front; the feed says where it may grow. What the walker cannot do is done here: file headers, section
// headers, interfaces, blocks that do not fit into memory, and turning what is wrong into an error with its place.
import type { Readable } from 'node:stream';
import { CaptureError, EngineError } from '../errors.ts';
import { cutMessage, type Front, recordFault, trailerMessage } from './fault.ts';
import { type CaptureFormat, detectFormat, MAGIC_BYTES } from './format.ts';
import { GunzipSource, isGzip } from './gzip.ts';
import type { InterfaceNames } from './interfaces.ts';
import { isSupportedLink, linkTypeName } from './linktype.ts';
import { LengthOrder, PCAP_HEADER_BYTES, parsePcapHeader } from './pcap.ts';
import {
  BlockType,
  INTERFACE_DESCRIPTION_MIN,
  type InterfaceDescription,
  parseInterface,
  parseSectionHeader,
  SECTION_HEADER_MIN,
  writeInterface,
} from './pcapng.ts';
import { type ByteSource, openSource, readFully, SourceFailure } from './source.ts';
import {
  type Arena,
  BLOCK_MAX,
  INTERFACE,
  identity,
  NO_BOUND,
  SECTION_INTERFACES_MAX,
  SLOT_RECORDS_MAX,
  type Slot,
  SOURCE,
  STOP,
} from './walker.ts';

/** A capture as the user names it. */
export interface CaptureSpec {
  /** A file, or `-` for standard input. */
  path: string;
  /** The interface its packets were captured on; goes before what the file says. */
  iface?: string;
  /** Read instead of the file; `path` then only names it. Closed with the feed. */
  stream?: Readable;
}

/** What is known of a capture so far. */
export interface CaptureFile {
  readonly path: string;
  /** Number in command-line order, from 1. */
  readonly file: number;
  format: CaptureFormat | undefined;
  gzip: boolean;
  /** Packets delivered. */
  packets: number;
  /** Earliest and latest time stamp delivered, ns since 1970. */
  first?: bigint;
  last?: bigint;
  /** Link types of the packets, in the order they appear. */
  readonly links: number[];
}

/** Bytes asked for at a time to look at the beginning of a capture. */
const CHUNK_BYTES = 64 * 1024;

export class CaptureReader {
  private readonly view: DataView;
  /** Offset in the decompressed file of the window's end. */
  private endOffset = 0;
  /** Bytes of a block that are still to be skipped up to its trailer, -1 outside of one. */
  private skipping = -1;
  private blockLength = 0;
  private blockOffset = 0;
  private bigEndian = false;
  private descriptions: InterfaceDescription[] = [];
  /** Whether a packet of a supported link type was seen. */
  supported = false;

  private constructor(
    private readonly arena: Arena,
    private readonly slot: Slot,
    readonly source: ByteSource,
    private readonly spec: CaptureSpec,
    readonly info: CaptureFile,
    private readonly names: InterfaceNames,
  ) {
    this.view = arena.view;
  }

  /**
   * Opens a capture and reads its file header.
   * @throws CaptureError when it cannot be opened, is no capture, or is a classic one of a link type not supported
   */
  static async open(arena: Arena, slot: Slot, spec: CaptureSpec, info: CaptureFile, names: InterfaceNames) {
    let source: ByteSource | undefined;
    try {
      source = await openSource(spec.path, spec.stream);
      let head = await peek(source);
      info.gzip = isGzip(head);
      if (info.gzip) {
        source = new GunzipSource(source);
        head = await peek(source);
      }
      info.format = detectFormat(head);
      const reader = new CaptureReader(arena, slot, source, spec, info, names);
      if (info.format === 'pcap') await reader.readPcapHeader(head);
      else arena.view.setUint32(slot.source + SOURCE.format, 1, true);
      return reader;
    } catch (error) {
      await source?.close();
      throw error instanceof SourceFailure ? new CaptureError(error.code, error.message, { file: spec.path }) : error;
    }
  }

  private async readPcapHeader(head: Uint8Array): Promise<void> {
    const header = parsePcapHeader(head);
    if (!isSupportedLink(header.link)) throw this.unsupported([header.link]);
    await readFully(this.source, head.subarray(0, PCAP_HEADER_BYTES));
    this.endOffset = PCAP_HEADER_BYTES;
    this.supported = true;
    if (!this.info.links.includes(header.link)) this.info.links.push(header.link);
    const { view } = this;
    const { source } = this.slot;
    const iface = this.spec.iface === undefined ? 0 : this.names.index(this.spec.iface, this.spec.path);
    view.setUint32(source + SOURCE.swap, header.bigEndian ? 1 : 0, true);
    view.setUint32(source + SOURCE.scale, header.scale, true);
    view.setUint32(source + SOURCE.header, header.recordHeader, true);
    view.setUint32(source + SOURCE.lengths, header.lengthOrder, true);
    view.setBigUint64(source + SOURCE.identity, identity(header.link, this.info.file, iface, header.fcs), true);
  }

  /** Address of the reader's Source. */
  get address(): number {
    return this.slot.source;
  }

  get stop(): number {
    return this.view.getUint32(this.slot.source + SOURCE.stop, true);
  }

  /** Time of the record at the front, valid after a walk that ended with BOUND. */
  get head(): bigint {
    return this.view.getBigUint64(this.slot.source + SOURCE.head, true);
  }

  private get position(): number {
    return this.view.getUint32(this.slot.source + SOURCE.position, true);
  }
  private set position(address: number) {
    this.view.setUint32(this.slot.source + SOURCE.position, address, true);
  }
  private get end(): number {
    return this.view.getUint32(this.slot.source + SOURCE.end, true);
  }
  private set end(address: number) {
    this.view.setUint32(this.slot.source + SOURCE.end, address, true);
  }

  /** Bytes in the window. */
  get unread(): number {
    return this.end - this.position;
  }

  /** Offset in the decompressed file of the first unread byte. */
  get offset(): number {
    return this.endOffset - this.unread;
  }

  /** Packets delivered so far. */
  private get packets(): number {
    return this.view.getUint32(this.slot.source + SOURCE.n, true);
  }

  /** Walks as assembly/walk.ts describes, unless a block is being skipped. */
  walk(records: number, max: number, bound: bigint): number {
    if (this.skipping >= 0) {
      this.view.setUint32(this.slot.source + SOURCE.stop, STOP.BLOCK, true);
      return 0;
    }
    return this.arena.walker.walk(this.slot.source, this.arena.run, records, max, bound);
  }

  /**
   * Does what the last walk stopped for. Returns whether it can go on at once; otherwise it needs more bytes first.
   * @throws CaptureError for what is wrong with the record or block at the front
   */
  handle(): boolean {
    try {
      if (this.skipping >= 0) return this.skipOn();
      const { stop } = this;
      if (stop === STOP.NEED_HEADER || stop === STOP.NEED_BODY) return false;
      if (stop === STOP.BLOCK) return this.block();
      if (stop === STOP.INTERFACE) return this.meetInterface();
    } catch (error) {
      throw error instanceof SourceFailure ? this.failure(error.code, error.message) : error;
    }
    const fault = recordFault(this.stop, this.front());
    throw this.cut(fault.code, fault.message);
  }

  /** Moves the window to `base`, so that more can be read behind it. */
  moveTo(base: number): void {
    const { position, end } = this;
    if (position === base) return;
    if (position !== end) this.arena.bytes.copyWithin(base, position, end);
    this.position = base;
    this.end = base + (end - position);
  }

  /**
   * Reads at most `want` more bytes behind the window and before `limit`. Returns false at the end of the capture.
   * @throws CaptureError when the source fails and all it gave before is used up
   */
  async fill(limit: number, want: number): Promise<boolean> {
    const { end } = this;
    const room = Math.min(want, limit - end);
    if (room <= 0) throw new EngineError('engine-capture', `${this.spec.path}: a record does not fit into its buffer`);
    let count: number;
    try {
      count = await this.source.read(this.arena.bytes.subarray(end, end + room));
    } catch (error) {
      throw error instanceof SourceFailure ? this.cut(error.code, error.message) : error;
    }
    this.end = end + count;
    this.endOffset += count;
    return count > 0;
  }

  /** Reads at most `want` more bytes into the reader's own staging buffer. */
  async stage(want = CHUNK_BYTES): Promise<boolean> {
    const { slot } = this;
    this.moveTo(slot.buffer);
    return this.fill(slot.limit, want);
  }

  /** Whether the window lies in the reader's own staging buffer. */
  get staged(): boolean {
    const { position } = this;
    return position >= this.slot.buffer && position <= this.slot.limit;
  }

  /** Leaves a window that lies elsewhere and reads the same bytes again, into the staging buffer. */
  restage(): void {
    if (this.staged) return;
    this.endOffset = this.offset;
    this.source.seek(this.endOffset);
    this.position = this.slot.buffer;
    this.end = this.slot.buffer;
  }

  /**
   * Makes the time of the next record known (`head`), from the staging buffer. Returns false at the end of the capture.
   * @throws CaptureError
   */
  async ready(): Promise<boolean> {
    while (true) {
      this.walk(this.slot.records, 0, 0n);
      if (this.stop === STOP.BOUND) return true;
      if (!this.handle() && !(await this.stage())) {
        this.finish();
        return false;
      }
    }
  }

  /**
   * Reads ahead until a packet of a supported link type appears. The reader is of no use afterwards.
   * @throws CaptureError `capture-link-type` when there is none
   */
  async findSupported(): Promise<void> {
    try {
      while (!this.supported) {
        this.walk(this.slot.records, SLOT_RECORDS_MAX, NO_BOUND);
        if (this.stop === STOP.FULL) continue;
        if (!this.handle() && !(await this.stage())) break;
      }
    } catch (error) {
      if (this.supported || !(error instanceof CaptureError)) throw error;
    }
    if (!this.supported) throw this.unsupported(this.info.links);
  }

  /**
   * Called at the end of the bytes: everything must be used up.
   * @throws CaptureError `capture-cut`, or `capture-link-type` when no packet was of a supported link type
   */
  finish(): void {
    if (this.skipping >= 0)
      throw this.failure('capture-cut', `the capture is cut short in a block of ${this.blockLength} bytes`);
    if (this.unread > 0) throw this.cut('capture-cut', cutMessage(this.front()));
    if (!this.supported && this.packets > 0) throw this.unsupported(this.info.links);
  }

  /** Copies what is counted in linear memory to `info`. */
  account(): void {
    const { info, packets, view } = this;
    if (packets === 0 || packets === info.packets) return;
    info.packets = packets;
    info.first = view.getBigUint64(this.slot.source + SOURCE.earliest, true);
    info.last = view.getBigUint64(this.slot.source + SOURCE.latest, true);
  }

  async close(): Promise<void> {
    await this.source.close();
  }

  /** Slot to give back after close. */
  get place(): Slot {
    return this.slot;
  }

  // Blocks: all return whether the walk can go on at once.

  private block(): boolean {
    const { position, unread, view } = this;
    const type = view.getUint32(position, !this.bigEndian);
    if (type === BlockType.SECTION_HEADER) {
      if (unread < SECTION_HEADER_MIN) return false;
      const section = parseSectionHeader(view, position);
      this.bigEndian = section.bigEndian;
      this.descriptions = [];
      view.setUint32(this.slot.source + SOURCE.swap, section.bigEndian ? 1 : 0, true);
      view.setUint32(this.slot.source + SOURCE.interfaceCount, 0, true);
      return this.skip(section.length);
    }
    const length = view.getUint32(position + 4, !this.bigEndian);
    return type === BlockType.INTERFACE_DESCRIPTION ? this.describe(length) : this.skip(length);
  }

  private describe(length: number): boolean {
    const { position, view } = this;
    if (length < INTERFACE_DESCRIPTION_MIN || length % 4 !== 0 || length > BLOCK_MAX) {
      throw new SourceFailure('capture-block', `an interface description block cannot be ${length} bytes long`);
    }
    if (this.unread < length) return false;
    this.checkTrailer(position + length - 4, length);
    const count = this.descriptions.length;
    if (count >= SECTION_INTERFACES_MAX) {
      throw new SourceFailure('capture-interfaces', `more than ${SECTION_INTERFACES_MAX} interfaces in one section`);
    }
    const description = parseInterface(view, position, length, this.bigEndian);
    writeInterface(view, this.slot.interfaces + count * INTERFACE.size, description);
    this.descriptions.push(description);
    view.setUint32(this.slot.source + SOURCE.interfaceCount, count + 1, true);
    this.position = position + length;
    return true;
  }

  /** The packet at the front is its interface's first: the interface gets its number. */
  private meetInterface(): boolean {
    const { position, view } = this;
    const little = !this.bigEndian;
    const type = view.getUint32(position, little);
    const id =
      type === BlockType.SIMPLE_PACKET
        ? 0
        : type === BlockType.PACKET
          ? view.getUint16(position + 8, little)
          : view.getUint32(position + 8, little);
    const description = this.descriptions[id];
    if (description === undefined) throw new EngineError('engine-capture', `interface ${id} is not described`);
    const name = this.spec.iface ?? description.name;
    const index = name === undefined ? 0 : this.names.index(name, this.spec.path);
    const address = this.slot.interfaces + id * INTERFACE.size;
    const bits = identity(description.link, this.info.file, index, description.fcs);
    view.setBigUint64(address + INTERFACE.identity, bits, true);
    view.setUint32(address + INTERFACE.known, 1, true);
    if (isSupportedLink(description.link)) this.supported = true;
    if (!this.info.links.includes(description.link)) this.info.links.push(description.link);
    return true;
  }

  private skip(length: number): boolean {
    this.blockLength = length;
    this.blockOffset = this.offset;
    this.skipping = length - 4;
    return this.skipOn();
  }

  private skipOn(): boolean {
    const step = Math.min(this.skipping, this.unread);
    this.position += step;
    this.skipping -= step;
    if (this.skipping > 0 && this.source.seekable) {
      this.endOffset += this.skipping;
      this.source.seek(this.endOffset);
      this.skipping = 0;
    }
    if (this.skipping > 0 || this.unread < 4) return false;
    this.checkTrailer(this.position, this.blockLength);
    this.position += 4;
    this.skipping = -1;
    return true;
  }

  private checkTrailer(address: number, length: number): void {
    const trailer = this.view.getUint32(address, !this.bigEndian);
    if (trailer !== length) throw new SourceFailure('capture-block', trailerMessage(length, trailer));
  }

  // Errors: the place is the record or block at the front.

  private failure(code: string, message: string): CaptureError {
    const offset = this.skipping >= 0 ? this.blockOffset : this.offset;
    return new CaptureError(code, message, { file: this.spec.path, offset });
  }

  private front(): Front {
    const { source } = this.slot;
    const { info, position, unread, view } = this;
    const flag = (field: number): number => view.getUint32(source + field, true);
    return {
      format: info.format,
      view,
      position,
      unread,
      bigEndian: flag(SOURCE.swap) === 1,
      header: flag(SOURCE.header),
      lenFirst: flag(SOURCE.lengths) === LengthOrder.LEN_FIRST,
    };
  }

  /** With the number of the packet at the front, if that is what stands there. */
  private cut(code: string, message: string): CaptureError {
    if (this.skipping >= 0) return this.failure(code, message);
    return new CaptureError(code, message, { file: this.spec.path, packet: this.packets + 1, offset: this.offset });
  }

  private unsupported(links: readonly number[]): CaptureError {
    const list = links.map(linkTypeName);
    const message =
      list.length === 1 ? `link type ${list[0]} is not supported` : `link types ${list.join(', ')} are not supported`;
    return new CaptureError('capture-link-type', message, { file: this.spec.path });
  }
}

async function peek(source: ByteSource): Promise<Uint8Array> {
  const head = new Uint8Array(MAGIC_BYTES);
  const count = await readFully(source, head);
  const bytes = head.slice(0, count);
  source.unread(bytes);
  return bytes;
}
