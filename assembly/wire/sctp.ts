// SCTP (RFC 9260 section 3): common header, chunks, checksum.
//
//   common header (12)   source port, destination port, verification tag, checksum
//   chunk (4 + value)    type, flags, length without padding; the next chunk begins at the next multiple of four
//   INIT, INIT ACK       the value begins with the initiate tag; the fixed part is 16 bytes

import { be16 } from "../bytes";
import { SctpChunk } from "../vocabulary";
import { crc32c, crc32c_zero_word } from "./crc32c";

export const SCTP_HEADER: u32 = 12;
const SCTP_CHUNK_HEADER: u32 = 4;
/** Chunk header and fixed part of INIT and INIT ACK. */
export const SCTP_INIT_CHUNK: u32 = 20;

/** The T flag of ABORT and SHUTDOWN COMPLETE: the verification tag is the receiver's of the packet answered. */
export const SCTP_T_FLAG: u32 = 1;

/** The verification tag as it lies in the packet: tags are only compared. */
// @ts-ignore: decorator
@inline export function sctp_vtag(l4: usize): u32 {
  return load<u32>(l4, 4);
}

// @ts-ignore: decorator
@inline export function sctp_chunk_type(chunk: usize): u32 {
  return load<u8>(chunk);
}

// @ts-ignore: decorator
@inline export function sctp_chunk_flags(chunk: usize): u32 {
  return load<u8>(chunk, 1);
}

/** The length as it lies in the packet, to tell whether it is zero. */
// @ts-ignore: decorator
@inline export function sctp_chunk_raw_length(chunk: usize): u32 {
  return load<u16>(chunk, 2);
}

/** Bytes from this chunk to the next. */
// @ts-ignore: decorator
@inline export function sctp_chunk_step(chunk: usize): u32 {
  return (be16(chunk + 2) + 3) & ~3;
}

/** The initiate tag of an INIT or INIT ACK, as it lies in the packet. */
// @ts-ignore: decorator
@inline export function sctp_init_tag(chunk: usize): u32 {
  return load<u32>(chunk, 4);
}

/** Is there a whole chunk header at `offset` (bytes from the common header)? */
// @ts-ignore: decorator
@inline export function sctp_has_chunk(offset: u32, l4_len: u32): bool {
  return offset + SCTP_CHUNK_HEADER <= l4_len;
}

/** Are all chunk headers, and the fixed parts of INIT and INIT ACK, among the captured bytes? */
export function sctp_chunks_captured(l4: usize, captured: u32, l4_len: u32): bool {
  if (captured == l4_len) return true;
  let offset = SCTP_HEADER;
  while (sctp_has_chunk(offset, l4_len)) {
    if (offset + SCTP_CHUNK_HEADER > captured) return false;
    const chunk = l4 + offset;
    const type = sctp_chunk_type(chunk);
    const init = type == SctpChunk.INIT || type == SctpChunk.INIT_ACK;
    if (init && offset + SCTP_INIT_CHUNK > captured && offset + SCTP_INIT_CHUNK <= l4_len) return false;
    const step = sctp_chunk_step(chunk);
    if (step == 0) return true;
    offset += step;
  }
  return true;
}

/** Is the checksum right? `length` bytes are all there, at least the common header. */
export function sctp_checksum_right(l4: usize, length: u32): bool {
  let crc = crc32c_zero_word(crc32c(0xffffffff, l4, 8));
  crc = crc32c(crc, l4 + SCTP_HEADER, length - SCTP_HEADER);
  return ~crc == load<u32>(l4, 8);
}
