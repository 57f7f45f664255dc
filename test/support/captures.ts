// How does a test write a capture, byte by byte as the format's document says?
//
// Writers for classic pcap (pcap-savefile(5)) and pcapng (draft-ietf-opsawg-pcapng) that can also write what is wrong:
// every length can be given as it should stand in the file.

/** One packet of a classic capture. */
export interface PcapPacket {
  seconds: number;
  /** Microseconds or nanoseconds, as the magic says. */
  fraction: number;
  data: Uint8Array;
  /** As they should stand in the file; default data.length. */
  caplen?: number;
  len?: number;
  /** Modified header: the kernel's packet type. */
  packetType?: number;
}

export interface PcapOptions {
  magic?: number;
  bigEndian?: boolean;
  version?: readonly [major: number, minor: number];
  snaplen?: number;
  /** The whole 32-bit field, with the FCS bits. */
  link?: number;
}

class Writer {
  private readonly parts: Uint8Array[] = [];
  constructor(private readonly bigEndian: boolean) {}

  private number(bytes: number, value: bigint): this {
    const part = new Uint8Array(bytes);
    for (let index = 0; index < bytes; index++) {
      part[this.bigEndian ? bytes - 1 - index : index] = Number((value >> BigInt(8 * index)) & 0xffn);
    }
    this.parts.push(part);
    return this;
  }
  u8(value: number): this {
    return this.number(1, BigInt(value));
  }
  u16(value: number): this {
    return this.number(2, BigInt(value));
  }
  u32(value: number): this {
    return this.number(4, BigInt(value));
  }
  u64(value: bigint): this {
    return this.number(8, value);
  }
  raw(bytes: Uint8Array): this {
    this.parts.push(bytes);
    return this;
  }
  /** Zeros up to a multiple of four of what was written since `from` bytes. */
  pad(length: number): this {
    return this.raw(new Uint8Array((4 - (length % 4)) % 4));
  }
  bytes(): Uint8Array {
    return concat(this.parts);
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

/** A classic pcap file. */
export function pcapFile(packets: readonly PcapPacket[], options: PcapOptions = {}): Uint8Array {
  const { magic = 0xa1b2c3d4, bigEndian = false, version = [2, 4], snaplen = 65535, link = 1 } = options;
  const writer = new Writer(bigEndian);
  writer.u32(magic).u16(version[0]).u16(version[1]).u32(0).u32(0).u32(snaplen).u32(link);
  for (const packet of packets) {
    const { data, caplen = data.length, len = Math.max(data.length, caplen) } = packet;
    const first = version[1] < 3 ? len : caplen;
    const second = version[1] < 3 ? caplen : len;
    writer.u32(packet.seconds).u32(packet.fraction).u32(first).u32(second);
    if (magic === 0xa1b2cd34)
      writer
        .u32(3)
        .u16(0x0800)
        .u8(packet.packetType ?? 0)
        .u8(0);
    writer.raw(data);
  }
  return writer.bytes();
}

/** An option of a pcapng block: its code and value. */
export type PcapngOption = readonly [code: number, value: Uint8Array];

/** Writes the blocks of pcapng sections of one byte order. */
export class PcapngWriter {
  constructor(private readonly bigEndian = false) {}

  /** Any block; the lengths at its start and end as they should stand, default the true one. */
  block(type: number, body: Uint8Array, lengths: { start?: number; end?: number } = {}): Uint8Array {
    const padded = body.length + ((4 - (body.length % 4)) % 4);
    const length = padded + 12;
    return new Writer(this.bigEndian)
      .u32(type)
      .u32(lengths.start ?? length)
      .raw(body)
      .pad(body.length)
      .u32(lengths.end ?? length)
      .bytes();
  }

  section(options: readonly PcapngOption[] = [], version: readonly [number, number] = [1, 0]): Uint8Array {
    const body = new Writer(this.bigEndian).u32(0x1a2b3c4d).u16(version[0]).u16(version[1]).u64(0xffff_ffff_ffff_ffffn);
    return this.block(0x0a0d0d0a, body.raw(this.options(options)).bytes());
  }

  interface(link: number, options: readonly PcapngOption[] = [], snaplen = 0): Uint8Array {
    const body = new Writer(this.bigEndian).u16(link).u16(0).u32(snaplen).raw(this.options(options));
    return this.block(1, body.bytes());
  }

  /** Enhanced Packet Block. */
  packet(
    iface: number,
    time: bigint,
    data: Uint8Array,
    options: readonly PcapngOption[] = [],
    lengths: { caplen?: number; len?: number } = {},
  ): Uint8Array {
    const { caplen = data.length, len = data.length } = lengths;
    const body = new Writer(this.bigEndian);
    body
      .u32(iface)
      .u32(Number(time >> 32n))
      .u32(Number(time & 0xffff_ffffn))
      .u32(caplen)
      .u32(len);
    return this.block(6, body.raw(data).pad(data.length).raw(this.options(options)).bytes());
  }

  /** Simple Packet Block: `len` bytes on the wire, of which `data` was captured. */
  simple(data: Uint8Array, len = data.length): Uint8Array {
    return this.block(3, new Writer(this.bigEndian).u32(len).raw(data).bytes());
  }

  /** The obsolete Packet Block. */
  obsolete(iface: number, time: bigint, data: Uint8Array, options: readonly PcapngOption[] = []): Uint8Array {
    const body = new Writer(this.bigEndian).u16(iface).u16(7);
    body
      .u32(Number(time >> 32n))
      .u32(Number(time & 0xffff_ffffn))
      .u32(data.length)
      .u32(data.length);
    return this.block(2, body.raw(data).pad(data.length).raw(this.options(options)).bytes());
  }

  u8(value: number): Uint8Array {
    return new Writer(this.bigEndian).u8(value).bytes();
  }
  u32(value: number): Uint8Array {
    return new Writer(this.bigEndian).u32(value).bytes();
  }
  u64(value: bigint): Uint8Array {
    return new Writer(this.bigEndian).u64(value).bytes();
  }

  private options(options: readonly PcapngOption[]): Uint8Array {
    const writer = new Writer(this.bigEndian);
    for (const [code, value] of options) writer.u16(code).u16(value.length).raw(value).pad(value.length);
    if (options.length > 0) writer.u16(0).u16(0);
    return writer.bytes();
  }
}

/** `length` bytes that tell packets apart. */
export function payload(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (seed * 31 + index * 7) & 0xff);
}

/** `length` bytes that do not compress (a 32-bit xorshift from `seed`). */
export function noise(length: number, seed: number): Uint8Array {
  let state = seed + 0x9e3779b9;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}
