// What is kept of packets that come in fragments?

// Defrag: reassembly of a run (128 bytes); one for all lanes, used by whoever has the turn (src/pool/lane.ts)
@unmanaged export class Defrag {
  /** u32[DEFRAG_BUCKETS]: first queue of each bucket; then u32[DEFRAG_BUCKETS]: first peer of each bucket. */
  buckets: u32; // 0
  /** Blocks of DEFRAG_BLOCK bytes: free list, first never used, end. */
  blocks_free: u32;
  blocks_top: u32;
  blocks_end: u32;
  /** Where reassembled packets are built, round and round: start, end, next. */
  ring: u32; // 16
  ring_end: u32;
  ring_top: u32;
  /** ipfrag_max_dist. */
  max_dist: u32;
  /** Bytes that count against the limit, by family: IPv4, IPv6. */
  memory_4: u32; // 32
  memory_6: u32;
  /** ipfrag_high_thresh, nf_conntrack_frag6_high_thresh. */
  high_4: u32;
  high_6: u32;
  /** ipfrag_time, nf_conntrack_frag6_timeout, seconds. */
  timeout_4: u32; // 48
  timeout_6: u32;
  /** Queues in the order of their expiry, by family. */
  oldest_4: u32;
  newest_4: u32;
  oldest_6: u32; // 64
  newest_6: u32;
  /** The batch in work: records, packets, and where to write FragmentEnd records. */
  records: u32;
  packets: u32;
  ends: u32; // 80
  ends_end: u32;
  /** Packets of the batch. */
  count: u32;
  checksums: u32;
  /** Lane queues of the batch as decode_batch() has them. */
  queues: u32; // 96
  lengths: u32;
  /** Shard table. */
  shards: u32;
  pad_0: u32;
  pad_1: u64; // 112
  pad_2: u64;
}
if (offsetof<Defrag>() != 128) ERROR("Defrag is 128 bytes");
export const DEFRAG_BUCKETS: u32 = 16384;
export const DEFRAG_BLOCK: u32 = 256;

// FragmentQueue: fragments of one packet that is not complete (112 bytes, in a block of its own; kernel: inet_frag_queue)
@unmanaged export class FragmentQueue {
  /** Next queue of the bucket. */
  next: u32; // 0
  hash: u32;
  /**
   * Key: addresses, identification; protocol (IPv4) or interface (IPv6, where it counts), family above bit 16, and bit 24 for what
   * leaves.
   */
  src_lo: u64;
  src_hi: u64; // 16
  dst_lo: u64;
  dst_hi: u64; // 32
  id: u32;
  kind: u32;
  /** ns since 1970. */
  expires: u64; // 48
  /** Neighbours in the order of expiry. */
  older: u32;
  younger: u32;
  /** First run, last run, last piece. */
  runs: u32; // 64
  last_run: u32;
  tail: u32;
  /** Length of the packet's data as far as it is known, and bytes that are there. */
  length: u32;
  meat: u32; // 80
  /** 1: the first fragment is there; 2: the last. */
  flags: u32;
  /** Bits 1 << ECN field of all fragments. */
  ecn: u32;
  /** Largest fragment, and largest with DF set. */
  max_size: u32;
  max_df_size: u32; // 96
  /** FragmentPeer of the source, and its count when the queue last got a fragment. */
  peer: u32;
  rid: u32;
  pad: u32;
}
if (offsetof<FragmentQueue>() != 112) ERROR("FragmentQueue is 112 bytes");

// FragmentPiece: one fragment in its queue, then its bytes, which go on in further blocks (64 bytes)
@unmanaged export class FragmentPiece {
  /** Next block with bytes of this fragment. */
  block: u32; // 0
  /** Next piece of the run; and, in the first piece of a run, the next run and where this one ends. */
  next: u32;
  next_run: u32;
  run_end: u32;
  /** Place in the packet's data, and length. */
  offset: u32; // 16
  length: u32;
  /** Bytes of data that were captured. */
  captured: u32;
  /** What it counts against the limit. */
  memory: u32;
  /** Record.number. */
  number: u64; // 32
  /** First fragment: bytes of IP header in front of the data, without the fragment header. */
  header: u32; // 40
  /** First fragment: where the header names what follows (IPv6), and what that is. */
  next_header_at: u32;
  next_header: u32; // 48
  pkttype: u32;
  /** First fragment: 1 if 14 bytes of Ethernet header precede the IP header. */
  mac: u32;
  pad: u32;
}
if (offsetof<FragmentPiece>() != 64) ERROR("FragmentPiece is 64 bytes");

// FragmentPeer: a source of IPv4 fragments that has queues (16 bytes, in a block; kernel: inet_peer)
@unmanaged export class FragmentPeer {
  next: u32;
  address: u32;
  /** Fragments seen. */
  rid: u32;
  queues: u32;
}
if (offsetof<FragmentPeer>() != 16) ERROR("FragmentPeer is 16 bytes");

// FragmentEnd: what became of a fragment that was queued (16 bytes)
@unmanaged export class FragmentEnd {
  /** Record.number of the fragment. */
  number: u64;
  /** Index in the batch of the packet that decided. */
  by: u32;
  /** NONE: the fragment became part of that packet. Else the Reason why it was dropped. */
  reason: u32;
}
if (offsetof<FragmentEnd>() != 16) ERROR("FragmentEnd is 16 bytes");

// Assembled: how the fragments of a packet came, in front of it (32 bytes, then 16 for an Ethernet header, then the packet and,
// at the next even address, u16[count]: bytes of data of each fragment in order)
@unmanaged export class Assembled {
  /** Bytes of the packet that are there. */
  captured: u32;
  /** Largest fragment with its header, and largest with DF set (frag_max_size). */
  max_size: u32;
  max_df_size: u32;
  count: u32;
  /** Bytes of link-layer header of the fragment that completed it. */
  link: u32; // 16
  pad_0: u32;
  pad_1: u64;
}
if (offsetof<Assembled>() != 32) ERROR("Assembled is 32 bytes");
export const ASSEMBLED_ROOM: u32 = 48;
