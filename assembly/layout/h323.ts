// What is kept while a message of H.323 is read?

// Find: something that a message holds (8 bytes; assembly/helper/per.ts)
@unmanaged export class Find {
  /** What it is for (Role in assembly/helper/h245.ts). */
  role: u8;
  /** FindKind (assembly/helper/per.ts). */
  kind: u8;
  /** Which of the items of the list around it, from 0; means nothing without a list. */
  item: u16;
  /** Of an address: where in the message it stands, in bytes; else the number, or which alternative. */
  value: u32;
}
if (offsetof<Find>() != 8) ERROR("Find is 8 bytes");

/** More than any message can hold: 30 channels and 4 messages of H.245 with seven each, and what stands before them. */
export const FINDS_MAX: u32 = 256;

/** How many pairs of ports for media are tried in vain for a packet's announcements. */
export const PAIRS_MAX: u32 = 256;

// NextHop: the way that an interval of addresses is reached by, sorted by start (24 bytes). Addresses as numbers, of IPv4 in `lo`.
@unmanaged export class NextHop {
  start_hi: u64;
  start_lo: u64;
  /** HopKind, or a number that stands for gateway and interface. */
  hop: u32;
  pad: u32;
}
if (offsetof<NextHop>() != 24) ERROR("NextHop is 24 bytes");

// H323: memory for the helpers of H.323 (16 bytes, then Find[FINDS_MAX]); it lies behind what all helpers share.
@unmanaged export class H323 {
  /** NextHop[], by family; none where nothing is known of routes. */
  hops4: u32; // 0
  hops4_count: u32;
  hops6: u32;
  hops6_count: u32;

  @inline finds(): usize {
    return changetype<usize>(this) + 16;
  }
}
if (offsetof<H323>() != 16) ERROR("H323 is 16 bytes");
