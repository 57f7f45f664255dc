// How do checksums change with what they cover? One's complement arithmetic over bytes in wire order (RFC 1071, RFC 1624), and
// the CRC of SCTP (RFC 9260 appendix A).

/** Sum of 16-bit words, not folded; an odd byte at the end is padded with zero. Exact for up to 2^37 words. */
export function sumWords(bytes: Uint8Array, from: number, to: number): number {
  let sum = 0;
  let at = from;
  for (; at + 1 < to; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  return at < to ? sum + (bytes[at]! << 8) : sum;
}

/** A sum as one word; 0 only for a sum of nothing but zeros. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}

/**
 * The checksum when what it covers had the sum `before` and has the sum `after`: as right, or as wrong, as it was. Never
 * 0xffff (kernel: csum_replace4(), inet_proto_csum_replace4()).
 */
export function updated(check: number, before: number, after: number): number {
  return 0xffff - fold(0xffff + (0xffff - check) + (0xffff - fold(before)) + fold(after));
}

/** The IPv4 header checksum after one hop (kernel: ip_decrease_ttl()). */
export function afterHop(check: number): number {
  const sum = fold(check + 0x0100);
  return sum === 0xffff ? 0 : sum;
}

/** The checksum of words with this sum. */
export function complement(sum: number): number {
  return 0xffff - fold(sum);
}

/** Sum of the pseudo header (RFC 768, RFC 9293 section 3.1, RFC 8200 section 8.1): addresses, protocol, length. */
export function pseudoSum(addresses: number, protonum: number, length: number): number {
  return addresses + protonum + (length >>> 16) + (length & 0xffff);
}

/** Castagnoli's polynomial, reflected. */
const CRC32C = 0x82f63b78;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ CRC32C : crc >>> 1;
  return crc;
});

function crcOver(crc: number, bytes: Uint8Array, from: number, to: number): number {
  let value = crc;
  for (let at = from; at < to; at++) value = CRC_TABLE[(value ^ bytes[at]!) & 0xff]! ^ (value >>> 8);
  return value;
}

/** The checksum of an SCTP packet at `from` to `to`, as a little-endian number; the field itself counts as zero. */
export function sctpChecksum(bytes: Uint8Array, from: number, to: number): number {
  const zero = new Uint8Array(4);
  const crc = crcOver(crcOver(crcOver(0xffffffff, bytes, from, from + 8), zero, 0, 4), bytes, from + 12, to);
  return ~crc >>> 0;
}

/**
 * By how much the CRC changes (exclusive or) when the first bytes of `length` change by `difference`: known without the other
 * bytes, since the CRC is linear.
 */
export function crcChange(difference: Uint8Array, length: number): number {
  let value = crcOver(0, difference, 0, difference.length);
  for (let left = length - difference.length; left > 0; left--) value = CRC_TABLE[value & 0xff]! ^ (value >>> 8);
  return value >>> 0;
}
