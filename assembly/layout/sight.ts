// What is kept to tell what arrived at the host from what left it?

// Sights: the host's links, and what arrived a short while ago (48 bytes); one for all lanes
@unmanaged export class Sights {
  /** SightLink[links_mask + 1], found by link-layer address; 0 if none is known. */
  links: u32; // 0
  links_mask: u32;
  /** u16[indices_count]: interface by the kernel's index, 0 unknown. */
  indices: u32;
  indices_count: u32;
  /** World whose routes tell directions where captures do not; 0 without a topology. */
  world: u32; // 16
  /** Interface of 127.0.0.1, 0 unknown. */
  loopback: u32;
  /** Recent: packets that arrived. */
  arrivals: u32;
  /** u64[INTERFACES_MAX]: number of the first packet that arrived by each interface, 0 if none did. */
  first_arrivals: u32;
  pad_0: u64; // 32
  pad_1: u64;
}
if (offsetof<Sights>() != 48) ERROR("Sights is 48 bytes");

// SightLink: a link-layer address of the host's own (16 bytes)
@unmanaged export class SightLink {
  /** The six bytes as they lie in a frame, 0 for an empty place. */
  address: u64;
  /** The interface that has it, 0 if several do. */
  iface: u32;
  pad: u32;
}
if (offsetof<SightLink>() != 16) ERROR("SightLink is 16 bytes");

// Recent: keys of the last RECENT_MAX packets that were remembered (16 bytes; assembly/recent.ts)
@unmanaged export class Recent {
  /** u32[RECENT_MAX]: newest position of each bucket, 0 for none. */
  buckets: u32;
  /** RecentEntry[RECENT_MAX], used round and round. */
  entries: u32;
  /** Position of the newest entry, from 1. */
  top: u32;
  pad: u32;
}
if (offsetof<Recent>() != 16) ERROR("Recent is 16 bytes");
/** Packets that are remembered at a time, and the distance in packets within which one is found again. */
export const RECENT_MAX: u32 = 65536;

// RecentEntry: one packet that was remembered (32 bytes)
@unmanaged export class RecentEntry {
  key: u64;
  /** Replay time. */
  clock: u64;
  /** Record.number. */
  number: u64;
  /** Position of this entry, and of the next older one of its bucket. */
  position: u32;
  next: u32;
}
if (offsetof<RecentEntry>() != 32) ERROR("RecentEntry is 32 bytes");
