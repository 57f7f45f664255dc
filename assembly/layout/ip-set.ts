// How does an IP set lie in memory (assembly/rules/ip-set.ts)?

/** Words of a key at most: two addresses of IPv6 and a port. */
export const IP_SET_WORDS: u32 = 9;

// IpSet: a set that packets are looked up in (28 bytes). Offsets count from World.dispatch.
//   Words of addresses are as they lie in the packet, ports protocol << 16 | port, or the port alone.
@unmanaged export class IpSet {
  /** L3, 0 for packets of both families. */
  family: u8;
  /** Only TCP and UDP have ports, and the protocol is no part of the key. */
  bare_ports: u8;
  /** IpSetPart of each part of the key, 0 behind the last. */
  part_0: u8;
  part_1: u8;
  part_2: u8;
  pad_0: u8;
  pad_1: u16;
  /** Words of a key. */
  words: u32;
  /** u32[words] for each shape: the bits that count. Networks of one length make a shape, the longest come first. */
  shapes: u32; // 12
  shape_count: u32;
  /** Slots of SLOT_HEADER bytes and a masked key: the value is 0 in a free one. Their number is a power of two. */
  slots: u32; // 20
  slot_mask: u32;
}
if (offsetof<IpSet>() != 28) ERROR("IpSet is 28 bytes");

// IpSetSlot: what stands before the key (8 bytes)
@unmanaged export class IpSetSlot {
  /** IP_SET_USED, IP_SET_NOMATCH, and the seconds after which the element is gone, 0 if it stays. */
  value: u32;
  /** Number of its shape. */
  shape: u32;
}
if (offsetof<IpSetSlot>() != 8) ERROR("IpSetSlot is 8 bytes");
export const IP_SET_USED: u32 = 0x40000000;
export const IP_SET_NOMATCH: u32 = 0x80000000;
