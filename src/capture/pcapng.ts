// What do the blocks of a pcapng file say that describe packets rather than carry them?
// (draft-ietf-opsawg-pcapng: 4.1 Section Header Block, 4.2 Interface Description Block)
import { SourceFailure } from './source.ts';
import { INTERFACE, TS_MAX } from './walker.ts';

export const BlockType = {
  SECTION_HEADER: 0x0a0d0d0a,
  INTERFACE_DESCRIPTION: 1,
  PACKET: 2,
  SIMPLE_PACKET: 3,
  ENHANCED_PACKET: 6,
} as const;

export const SECTION_HEADER_MIN = 28;
export const INTERFACE_DESCRIPTION_MIN = 20;

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const OPTION = { END: 0, IF_NAME: 2, IF_TSRESOL: 9, IF_FCSLEN: 13, IF_TSOFFSET: 14 } as const;
/** Longest interface name, bytes: Linux has 15, Windows names about 50. */
const NAME_MAX = 1024;

const U64_MAX = 0xffff_ffff_ffff_ffffn;
const SECOND = 1_000_000_000n;

/**
 * Reads the fixed part of a Section Header Block.
 * @throws SourceFailure `capture-block`, `capture-version`
 */
export function parseSectionHeader(view: DataView, address: number): { bigEndian: boolean; length: number } {
  const bigEndian = view.getUint32(address + 8) === BYTE_ORDER_MAGIC;
  if (!bigEndian && view.getUint32(address + 8, true) !== BYTE_ORDER_MAGIC) {
    const magic = view
      .getUint32(address + 8)
      .toString(16)
      .padStart(8, '0');
    throw new SourceFailure('capture-block', `the section header's byte order magic is 0x${magic}, not 0x1a2b3c4d`);
  }
  const length = view.getUint32(address + 4, !bigEndian);
  if (length < SECTION_HEADER_MIN || length % 4 !== 0) {
    throw new SourceFailure('capture-block', `a section header block cannot be ${length} bytes long`);
  }
  const major = view.getUint16(address + 12, !bigEndian);
  const minor = view.getUint16(address + 14, !bigEndian);
  // Version 1.2 was written by some programs and means the same (draft, 4.1).
  if (major !== 1 || (minor !== 0 && minor !== 2)) {
    throw new SourceFailure('capture-version', `pcapng version ${major}.${minor} is not supported (1.0 is)`);
  }
  return { bigEndian, length };
}

/** What an Interface Description Block says. */
export interface InterfaceDescription {
  link: number;
  /** 0: no limit. */
  snaplen: number;
  name: string | undefined;
  /** if_tsresol as it stands: units of 10^-n s, or with bit 7 set of 2^-n s. */
  tsresol: number;
  /** Seconds to add to every time stamp. */
  tsoffset: bigint;
  /** Bytes of frame check sequence. */
  fcs: number;
}

/**
 * Reads an Interface Description Block of `length` bytes, at least INTERFACE_DESCRIPTION_MIN.
 * @throws SourceFailure `capture-block` when an option does not fit
 */
export function parseInterface(
  view: DataView,
  address: number,
  length: number,
  bigEndian: boolean,
): InterfaceDescription {
  const little = !bigEndian;
  const description: InterfaceDescription = {
    link: view.getUint16(address + 8, little),
    snaplen: view.getUint32(address + 12, little),
    name: undefined,
    tsresol: 6,
    tsoffset: 0n,
    fcs: 0,
  };
  const end = address + length - 4;
  let position = address + 16;
  while (end - position >= 4) {
    const code = view.getUint16(position, little);
    const size = view.getUint16(position + 2, little);
    if (code === OPTION.END) break;
    position += 4;
    if (size > end - position) {
      throw new SourceFailure(
        'capture-block',
        `option ${code} of ${size} bytes reaches beyond its interface description`,
      );
    }
    if (code === OPTION.IF_NAME) description.name = interfaceName(view, position, size);
    else if (code === OPTION.IF_TSRESOL && size === 1) description.tsresol = view.getUint8(position);
    else if (code === OPTION.IF_TSOFFSET && size === 8) description.tsoffset = view.getBigInt64(position, little);
    else if (code === OPTION.IF_FCSLEN && size === 1) description.fcs = fcsBytes(view.getUint8(position));
    position += (size + 3) & ~3;
  }
  return description;
}

function interfaceName(view: DataView, position: number, size: number): string | undefined {
  if (size > NAME_MAX) throw new SourceFailure('capture-block', `an interface name of ${size} bytes`);
  const bytes = new Uint8Array(view.buffer, view.byteOffset + position, size);
  // A decoder takes no shared memory, so the name is copied out first. Some writers count a closing zero.
  const [name = ''] = Buffer.from(bytes).toString('utf8').split('\0');
  return name === '' ? undefined : name;
}

/** The draft once said bits and its example says 4: no link has an FCS of 8 bytes or more, so the two do not meet. */
function fcsBytes(value: number): number {
  return value < 8 ? value : value >>> 3;
}

/** The time fields of an Interface record: ns = units in ns + offset for units from rawMin to rawMax. */
export interface TimeConversion {
  rawMin: bigint;
  rawMax: bigint;
  factor: bigint;
  offset: bigint;
  /** 0 units * factor, 1 units / factor, 2 units of 2^-shift s. */
  unit: 0 | 1 | 2;
  shift: number;
}

/** How the time stamps of an interface become ns since 1970: exactly, rounded down, within 0 and TS_MAX. */
export function timeConversion(tsresol: number, tsoffset: bigint): TimeConversion {
  const binary = tsresol >= 128;
  const exponent = tsresol & 127;
  const unitsPerSecond = binary ? 1n << BigInt(exponent) : 10n ** BigInt(exponent);
  const offset = tsoffset * SECOND;
  // ns(raw) = floor(raw * 10^9 / unitsPerSecond) + offset grows with raw: the ends of the range that fits are
  // ns >= k  <=>  raw >= ceil(k * unitsPerSecond / 10^9).
  const leastFor = (ns: bigint): bigint => (ns <= 0n ? 0n : (ns * unitsPerSecond + SECOND - 1n) / SECOND);
  const rawMin = leastFor(-offset);
  const rawMax = leastFor(TS_MAX - offset + 1n) - 1n;
  // Every value too early, or every one too late: a constant says it.
  if (rawMin > U64_MAX) return { rawMin: 0n, rawMax: U64_MAX, factor: 0n, offset: 0n, unit: 0, shift: 0 };
  if (rawMax < 0n) return { rawMin: 0n, rawMax: U64_MAX, factor: 0n, offset: TS_MAX, unit: 0, shift: 0 };
  const range = { rawMin, rawMax: rawMax > U64_MAX ? U64_MAX : rawMax, offset: BigInt.asUintN(64, offset) };
  if (binary) return { ...range, factor: 0n, unit: 2, shift: exponent };
  if (exponent <= 9) return { ...range, factor: 10n ** BigInt(9 - exponent), unit: 0, shift: 0 };
  const divisor = 10n ** BigInt(exponent - 9);
  // Units so small that 2^64 of them are less than a nanosecond.
  if (divisor > U64_MAX) return { ...range, factor: 0n, unit: 0, shift: 0 };
  return { ...range, factor: divisor, unit: 1, shift: 0 };
}

/** Writes an Interface record at `address`, not known yet: src/capture/reader.ts names it at its first packet. */
export function writeInterface(view: DataView, address: number, description: InterfaceDescription): void {
  const time = timeConversion(description.tsresol, description.tsoffset);
  view.setBigUint64(address + INTERFACE.rawMin, time.rawMin, true);
  view.setBigUint64(address + INTERFACE.rawMax, time.rawMax, true);
  view.setBigUint64(address + INTERFACE.factor, time.factor, true);
  view.setBigUint64(address + INTERFACE.offset, time.offset, true);
  view.setBigUint64(address + INTERFACE.identity, 0n, true);
  view.setUint32(address + INTERFACE.unit, time.unit, true);
  view.setUint32(address + INTERFACE.shift, time.shift, true);
  view.setUint32(address + INTERFACE.snaplen, description.snaplen, true);
  view.setUint32(address + INTERFACE.known, 0, true);
}
