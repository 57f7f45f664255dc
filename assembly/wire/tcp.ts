// TCP header (RFC 9293 section 3.1): offsets and options.

import { be16, be32 } from "../bytes";

export const TCP_FIN: u32 = 1;
export const TCP_SYN: u32 = 2;
export const TCP_RST: u32 = 4;
export const TCP_ACK: u32 = 16;
export const TCP_URG: u32 = 32;

export const TCP_HEADER_MIN: u32 = 20;

// @ts-ignore: decorator
@inline export function tcp_seq(l4: usize): u32 {
  return be32(l4 + 4);
}
// @ts-ignore: decorator
@inline export function tcp_ack(l4: usize): u32 {
  return be32(l4 + 8);
}
/** Header length in bytes as the header states it. */
// @ts-ignore: decorator
@inline export function tcp_header_length(l4: usize): u32 {
  return (<u32>load<u8>(l4, 12) >> 4) << 2;
}
// @ts-ignore: decorator
@inline export function tcp_flags(l4: usize): u32 {
  return load<u8>(l4, 13);
}
/** Do these flags say ACK, and neither SYN, FIN nor RST? */
// @ts-ignore: decorator
@inline export function is_plain_ack(flags: u32): bool {
  return (flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK)) == TCP_ACK;
}
/** Window as it stands in the header, unscaled. */
// @ts-ignore: decorator
@inline export function tcp_window(l4: usize): u32 {
  return be16(l4 + 14);
}

/** Options (kinds) that connection tracking reads. */
export const TCPOPT_EOL: u32 = 0;
export const TCPOPT_NOP: u32 = 1;
export const TCPOPT_WINDOW: u32 = 3;
export const TCPOPT_SACK_PERMITTED: u32 = 4;
export const TCPOPT_SACK: u32 = 5;
/** NOP, NOP, timestamp, length 10: the option block of nearly every segment, as four wire bytes. */
export const TCPOPT_ALIGNED_TIMESTAMP: u32 = 0x0a080101;
