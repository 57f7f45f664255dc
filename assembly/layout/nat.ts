// What does address translation need besides the entries?

import { Tuple } from "./packet";

// Nat: what address translation needs besides the entries (64 bytes, then NAT_SCRATCH bytes; assembly/nat.ts)
@unmanaged export class Nat {
  /** NatRange[]: one per NAT rule. */
  ranges: u32; // 0
  /** u32[sources_mask + 1]: entries by their original source, newest first; BucketNode per flow, parallel to the flows. */
  sources: u32;
  sources_mask: u32;
  sources_nodes: u32;
  /** HostAddress[], by family. */
  addresses4: u32; // 16
  addresses4_count: u32;
  addresses6: u32;
  addresses6_count: u32;
  /** Gateway4[]. */
  gateways4: u32; // 32
  gateways4_count: u32;
  /** Hook whose chain is being walked. */
  hook: u32;
  /** Random numbers drawn for the binding in work. */
  draws: u32;
  /** Decides what is random in the kernel (--seed). */
  seed: u64; // 48
  /** The batch in work: first packet of it, and Tuple[BATCH_PACKETS] for what translated packets became. */
  packets: u32; // 56
  translations: u32;

  /** Tuple of the new flow as it would be without the binding in work. */
  @inline current(): Tuple {
    return changetype<Tuple>(changetype<usize>(this) + 64);
  }
  /** The tuple that is tried. */
  @inline chosen(): Tuple {
    return changetype<Tuple>(changetype<usize>(this) + 104);
  }
  /** Its inverse, which must be free. */
  @inline reply(): Tuple {
    return changetype<Tuple>(changetype<usize>(this) + 144);
  }
  /** A range that is made up for one packet. */
  @inline range(): NatRange {
    return changetype<NatRange>(changetype<usize>(this) + 192);
  }
}
if (offsetof<Nat>() != 64) ERROR("Nat is 64 bytes");
export const NAT_SCRATCH: u32 = 192;

// NatRange: what a binding may map to (48 bytes, kernel: struct nf_nat_range2)
@unmanaged export class NatRange {
  /** Addresses in wire order. */
  min_lo: u64; // 0
  min_hi: u64;
  max_lo: u64;
  max_hi: u64;
  /** Ports in host order; base_proto is the port that min_proto stands for in a shifted range. */
  min_proto: u16; // 32
  max_proto: u16;
  base_proto: u16;
  /** NatKind. */
  kind: u8;
  /** NatFlag bits. */
  flags: u8;
  pad: u64; // 40
}
if (offsetof<NatRange>() != 48) ERROR("NatRange is 48 bytes");
