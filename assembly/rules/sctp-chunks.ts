// The chunks that rules look for: net/netfilter/xt_sctp.c, match_packet().
//
// Rules ask only for packets that have the whole common header (their guard); the decoder has captured every chunk header
// that lies in the packet.

import { Packet, World } from "../layout";
import { ChunkMatch } from "../vocabulary";
import {
  sctp_chunk_flags, sctp_chunk_raw_length, sctp_chunk_step, sctp_chunk_type, sctp_has_chunk, SCTP_HEADER,
} from "../wire/sctp";

/** What rule_sctp_chunks() answers when a chunk is cut short or claims no length: xtables drops the packet. */
const MALFORMED: u32 = 2;

const FLAG_TESTS: usize = 4;

// ChunkTest (48 bytes, in World.rule_state; src/ruleset/expression.ts SCTP_TEST)
//   0              32
//   chunk types    four times: type, value, mask, 1 if in use
@unmanaged class ChunkTest {
  types_0: u64;
  types_1: u64;
  types_2: u64;
  types_3: u64;
  flags_0: u64;
  flags_1: u64;
}
if (offsetof<ChunkTest>() != 48) ERROR("ChunkTest is 48 bytes");

/** Do the flags of a chunk of this type have the values that the rule asks for? Of most types it asks for none. */
function flags_fit(test: ChunkTest, type: u32, flags: u32): bool {
  const first = changetype<usize>(test) + offsetof<ChunkTest>("flags_0");
  for (let each: usize = 0; each < FLAG_TESTS; each++) {
    const at = first + each * 4;
    if (load<u8>(at, 3) && <u32>load<u8>(at) == type) return (flags & <u32>load<u8>(at, 2)) == <u32>load<u8>(at, 1);
  }
  return true;
}

/** 1 if the chunks are as the test at offset `state` wants them, 0 if not, 2 if the packet is malformed. */
export function rule_sctp_chunks(packet: usize, world: usize, state: u32, mode: u32): u32 {
  const p = changetype<Packet>(packet);
  const test = changetype<ChunkTest>(<usize>changetype<World>(world).rule_state + state);
  // Of ALL: the types that were not met yet.
  let left_0 = test.types_0;
  let left_1 = test.types_1;
  let left_2 = test.types_2;
  let left_3 = test.types_3;
  let offset = SCTP_HEADER;
  do {
    if (!sctp_has_chunk(offset, p.l4_len)) return MALFORMED;
    const chunk = <usize>p.l4 + offset;
    if (sctp_chunk_raw_length(chunk) == 0) return MALFORMED;
    offset += sctp_chunk_step(chunk);
    const type = sctp_chunk_type(chunk);
    const bit: u64 = (<u64>1) << (type & 63);
    const word = load<u64>(changetype<usize>(test) + <usize>(type >> 6) * 8);
    if (!(word & bit)) {
      if (mode == ChunkMatch.ONLY) return 0;
      continue;
    }
    if (!flags_fit(test, type, sctp_chunk_flags(chunk))) {
      if (mode == ChunkMatch.ONLY) return 0;
      continue;
    }
    if (mode == ChunkMatch.ANY) return 1;
    switch (type >> 6) {
      case 0: left_0 &= ~bit; break;
      case 1: left_1 &= ~bit; break;
      case 2: left_2 &= ~bit; break;
      default: left_3 &= ~bit; break;
    }
  } while (offset < p.l4_len);
  if (mode == ChunkMatch.ALL) return (left_0 | left_1 | left_2 | left_3) == 0;
  return mode == ChunkMatch.ONLY;
}
