// What kind of file is this, and if it is none that is read, what is it?
import { SourceFailure } from './source.ts';

/** Bytes of the beginning that tell the formats apart. */
export const MAGIC_BYTES = 24;

export type CaptureFormat = 'pcap' | 'pcapng';

/** Magic numbers of pcap as they are read in the file's own byte order. */
const PCAP_MAGICS: ReadonlySet<number> = new Set([0xa1b2c3d4, 0xa1b23c4d, 0xa1b2cd34]);

const FOREIGN: readonly (readonly [magic: string, name: string])[] = [
  ['snoop\0\0\0', 'a snoop capture (RFC 1761)'],
  ['btsnoop\0', 'a Bluetooth snoop capture'],
  ['iptrace ', 'an AIX iptrace capture'],
  ['RTSS', 'a Microsoft Network Monitor 1 capture'],
  ['GMBU', 'a Microsoft Network Monitor 2 capture'],
  ['TRSNIFF data', 'a Sniffer capture'],
  ['XCP\0', 'a NetXRay capture'],
  ['\x7fver', 'an EtherPeek capture'],
  ['\x54\x52\x00\x64', 'an HP-UX nettl capture'],
  ['PSCAP', 'a Sysdig capture'],
  ['\x28\xb5\x2f\xfd', 'Zstandard compressed (decompress it, or pipe it in: zstd -dc FILE | ctreplay ... -)'],
  ['\xfd7zXZ\0', 'xz compressed (decompress it, or pipe it in: xz -dc FILE | ctreplay ... -)'],
  ['BZh', 'bzip2 compressed (decompress it, or pipe it in: bzip2 -dc FILE | ctreplay ... -)'],
  ['\x04\x22\x4d\x18', 'LZ4 compressed (decompress it, or pipe it in: lz4 -dc FILE | ctreplay ... -)'],
  ['PK\x03\x04', 'a ZIP archive'],
  ['7z\xbc\xaf\x27\x1c', 'a 7-Zip archive'],
  ['\x1f\x8b', 'gzip compressed twice, or with an unknown method'],
  ['\x7fELF', 'an ELF program'],
];

/**
 * Tells pcap from pcapng by the first bytes (MAGIC_BYTES of them, fewer if the file is shorter).
 * @throws SourceFailure `capture-format`, with the name of what the file is instead
 */
export function detectFormat(head: Uint8Array): CaptureFormat {
  if (head.length === 0) throw new SourceFailure('capture-format', 'the file is empty, not even a file header');
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  if (head.length >= 4) {
    if (view.getUint32(0) === 0x0a0d0d0a) return 'pcapng';
    if (PCAP_MAGICS.has(view.getUint32(0)) || PCAP_MAGICS.has(view.getUint32(0, true))) return 'pcap';
  }
  throw new SourceFailure('capture-format', `${foreignName(head)}; ctreplay reads pcap and pcapng`);
}

function foreignName(head: Uint8Array): string {
  const text = Buffer.from(head).toString('latin1');
  for (const [magic, name] of FOREIGN) if (text.startsWith(magic)) return `the file is ${name}`;
  if (/^(\xef\xbb\xbf)?[\t\n\r\x20-\x7e\x80-\xff]*$/.test(text) && /[\x20-\x7e]{4}/.test(text)) {
    return `the file is text (${JSON.stringify(text.slice(0, 16))}), not a capture`;
  }
  const bytes = [...head.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return `the file is not a capture of a known format (it begins with ${bytes})`;
}
