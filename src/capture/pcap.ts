// What does the file header of a classic pcap file say? (pcap-savefile(5), draft-ietf-opsawg-pcap)
import { SourceFailure } from './source.ts';

export const PCAP_HEADER_BYTES = 24;

/** Order of the two lengths of a record header. */
export const LengthOrder = { CAPLEN_FIRST: 0, LEN_FIRST: 1, UNKNOWN: 2 } as const;

export interface PcapHeader {
  bigEndian: boolean;
  /** Nanoseconds per unit of the second half of a time stamp. */
  scale: 1 | 1000;
  /** Bytes of a record header: 16, or 24 in the modified format (magic 0xa1b2cd34). */
  recordHeader: 16 | 24;
  lengthOrder: number;
  link: number;
  /** Bytes of frame check sequence behind each packet, 0 if none or unknown. */
  fcs: number;
}

/**
 * Reads the 24 bytes at the start of a file whose magic number is known to be one of pcap's. The time zone field is
 * ignored, as tcpdump and Wireshark do: time stamps are UTC. Before version 2.3 the length on the wire stood before
 * the captured length; files of 2.3 exist both ways (libpcap, sf-pcap.c).
 * @throws SourceFailure `capture-cut`, `capture-version`
 */
export function parsePcapHeader(head: Uint8Array): PcapHeader {
  if (head.length < PCAP_HEADER_BYTES) {
    throw new SourceFailure(
      'capture-cut',
      `the file header is cut short: ${head.length} of ${PCAP_HEADER_BYTES} bytes`,
    );
  }
  const view = new DataView(head.buffer, head.byteOffset, PCAP_HEADER_BYTES);
  const bigEndian = view.getUint16(0) === 0xa1b2;
  const magic = view.getUint32(0, !bigEndian);
  const major = view.getUint16(4, !bigEndian);
  const minor = view.getUint16(6, !bigEndian);
  if (major !== 2 || minor > 4) {
    throw new SourceFailure('capture-version', `pcap version ${major}.${minor} is not supported (2.0 to 2.4 are)`);
  }
  const link = view.getUint32(20, !bigEndian);
  return {
    bigEndian,
    scale: magic === 0xa1b23c4d ? 1 : 1000,
    recordHeader: magic === 0xa1b2cd34 ? 24 : 16,
    lengthOrder: minor < 3 ? LengthOrder.LEN_FIRST : minor === 3 ? LengthOrder.UNKNOWN : LengthOrder.CAPLEN_FIRST,
    link: link & 0xffff,
    // Bit 26: bits 28 to 31 count the 16-bit words of the FCS.
    fcs: (link & 0x0400_0000) === 0 ? 0 : (link >>> 28) * 2,
  };
}
