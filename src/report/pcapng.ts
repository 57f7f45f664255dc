// How is a pcapng file written? Blocks as bytes, little endian, times in nanoseconds.
// (draft-ietf-opsawg-pcapng: 4.1 Section Header Block, 4.2 Interface Description Block, 4.3 Enhanced Packet Block)

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

const OPTION = {
  COMMENT: 1,
  SECTION_APPLICATION: 4,
  INTERFACE_NAME: 2,
  INTERFACE_RESOLUTION: 9,
  PACKET_FLAGS: 2,
  PACKET_VERDICT: 7,
} as const;

/** 10^-9 seconds. */
const NANOSECONDS = Uint8Array.of(9);
/** Longest option value, bytes; longer texts are cut. */
const OPTION_MAX = 0xfff8;

/** Room for blocks, and how much of it may be taken before the next one: no block is longer than the rest. */
const ROOM = 1 << 20;
const FULL = 1 << 19;

/** A packet as an Enhanced Packet Block has it. */
export interface PacketBlock {
  /** Number of its Interface Description Block, from 0. */
  iface: number;
  /** ns since 1970, as two words. */
  tsHigh: number;
  tsLow: number;
  /** Captured bytes, in parts that follow each other. */
  data: readonly Uint8Array[];
  /** Bytes on the wire. */
  length: number;
  /** epb_flags, 0 for none. */
  flags: number;
  comment: string;
  /** epb_verdict, undefined for none. */
  verdict: Uint8Array | undefined;
}

/** Blocks that follow each other in memory of its own. */
export class BlockWriter {
  readonly #bytes = new Uint8Array(ROOM);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #encoder = new TextEncoder();
  #start = 0;
  #top = 0;

  /** Has so much been written that it should be taken? */
  get full(): boolean {
    return this.#top > FULL;
  }

  /** What has been written since the last time: valid until the next block. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#top);
    this.#top = 0;
    return taken;
  }

  section(): void {
    this.#begin(SECTION_HEADER);
    this.#word(BYTE_ORDER_MAGIC);
    // Version 1.0; the section's length is not known yet.
    this.#word(1);
    this.#word(0xffffffff);
    this.#word(0xffffffff);
    this.#text(OPTION.SECTION_APPLICATION, 'ctreplay');
    this.#end();
  }

  interface(link: number, name: string | undefined): void {
    this.#begin(INTERFACE_DESCRIPTION);
    this.#word(link);
    this.#word(0);
    if (name !== undefined) this.#text(OPTION.INTERFACE_NAME, name);
    this.#option(OPTION.INTERFACE_RESOLUTION, NANOSECONDS);
    this.#end();
  }

  packet({ iface, tsHigh, tsLow, data, length, flags, comment, verdict }: PacketBlock): void {
    this.#begin(ENHANCED_PACKET);
    this.#word(iface);
    this.#word(tsHigh);
    this.#word(tsLow);
    this.#word(data.reduce((sum, part) => sum + part.length, 0));
    this.#word(length);
    for (const part of data) {
      this.#bytes.set(part, this.#top);
      this.#top += part.length;
    }
    this.#pad();
    this.#text(OPTION.COMMENT, comment);
    if (flags !== 0) {
      this.#word(OPTION.PACKET_FLAGS | (4 << 16));
      this.#word(flags);
    }
    if (verdict) this.#option(OPTION.PACKET_VERDICT, verdict);
    this.#end();
  }

  /** Type and length, which is filled in at the end and stands there again. */
  #begin(type: number): void {
    this.#start = this.#top;
    this.#word(type);
    this.#word(0);
  }

  #end(): void {
    this.#word(0);
    const length = this.#top + 4 - this.#start;
    this.#word(length);
    this.#view.setUint32(this.#start + 4, length, true);
  }

  #word(value: number): void {
    this.#view.setUint32(this.#top, value, true);
    this.#top += 4;
  }

  /** Bodies and values of options end at multiples of four. */
  #pad(): void {
    while (this.#top % 4 !== 0) this.#bytes[this.#top++] = 0;
  }

  #option(code: number, value: Uint8Array): void {
    this.#word(code | (value.length << 16));
    this.#bytes.set(value, this.#top);
    this.#top += value.length;
    this.#pad();
  }

  #text(code: number, text: string): void {
    const at = this.#top + 4;
    const { written } = this.#encoder.encodeInto(text, this.#bytes.subarray(at, at + OPTION_MAX));
    this.#word(code | (written << 16));
    this.#top += written;
    this.#pad();
  }
}
