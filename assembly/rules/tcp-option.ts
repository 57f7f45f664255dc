// The TCP options that rules look for: xt_tcpudp.c tcp_find_option(), xt_tcpmss.c tcpmss_mt().
//
// Rules ask only for packets that have at least 20 bytes of TCP header (their guard); the decoder has captured all that
// the header claims, as far as the packet on the wire has it.

import { be16 } from "../bytes";
import { Packet } from "../layout";

const TCP_HEADER: u32 = 20;
const KIND_NOP: u32 = 1;
const KIND_MSS: u32 = 2;
const MSS_LENGTH: u32 = 4;

/** What rule_tcp_option() answers when the header is malformed: xtables drops the packet. */
const MALFORMED: u32 = 2;

/** Bytes of options, or -1 if the header claims less than itself or more than the packet has. */
function options_length(p: Packet): i32 {
  const header = <u32>(load<u8>(<usize>p.l4, 12) >> 4) << 2;
  if (header < TCP_HEADER || header > p.l4_len) return -1;
  return header - TCP_HEADER;
}

/** The option behind the one at `i`. An option that claims no length counts as one byte. */
// @ts-ignore: decorator
@inline function next_option(options: usize, i: u32, length: u32): u32 {
  if (<u32>load<u8>(options + i) <= KIND_NOP || i == length - 1) return i + 1;
  const size = <u32>load<u8>(options + i, 1);
  return i + (size ? size : 1);
}

/** 1 if the header has an option of this kind, 0 if not, 2 if the header is malformed. */
export function rule_tcp_option(packet: usize, kind: u32): u32 {
  const p = changetype<Packet>(packet);
  const length = options_length(p);
  if (length < 0) return MALFORMED;
  const options = <usize>p.l4 + TCP_HEADER;
  for (let i: u32 = 0; i < <u32>length; i = next_option(options, i, length)) {
    if (<u32>load<u8>(options + i) == kind) return 1;
  }
  return 0;
}

/** The MSS that the header announces, -1 if it has none, -2 if it is malformed. */
export function rule_tcp_mss(packet: usize): i32 {
  const p = changetype<Packet>(packet);
  const length = options_length(p);
  if (length < 0) return -2;
  const options = <usize>p.l4 + TCP_HEADER;
  for (let i: u32 = 0; i < <u32>length; i = next_option(options, i, length)) {
    if (<u32>load<u8>(options + i) != KIND_MSS || <u32>length - i < MSS_LENGTH) continue;
    if (<u32>load<u8>(options + i, 1) == MSS_LENGTH) return be16(options + i + 2);
  }
  return -1;
}
