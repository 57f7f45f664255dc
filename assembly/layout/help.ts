// What is kept of helpers and of what they expect?

// Helping: helpers and expectations of a world (112 bytes), then two Expectations in the making, then HELPER_SCRATCH bytes
@unmanaged export class Helping {
  /** u32 per flow, parallel to the flows: its Help. Meaningful where the status has HELPER or EXPECTED. */
  slots: u32; // 0
  /** Help[]: head of the free list, high-water mark, end. */
  helps_free: u32;
  helps_top: u32;
  helps_end: u32;
  /** Expectation[]: first, head of the free list, high-water mark, end. */
  expectations: u32; // 16
  expectations_free: u32;
  expectations_top: u32;
  expectations_end: u32;
  /** u32[EXPECTATION_BUCKETS]: the newest expectation of each bucket. */
  buckets: u32; // 32
  /** Expectations that there are, and may be (nf_conntrack_expect_max). */
  count: u32;
  max: u32;
  /** Help of the unconfirmed entry, 0 if it has none. */
  begun: u32;
  /** No expectation expires before, ns since 1970. */
  next_expiry: u64; // 48
  /** Expectation.id of the last one. */
  last_id: u64;
  /** Connections that have calls in the keymap of GRE: the first one's Help (helper/pptp.ts). */
  keymap: u32; // 64
  /** Broadcast[], one with mask 0 at the end. */
  broadcasts: u32;
  /** Copy of the packet that a helper rewrites (REWRITE_BYTES); 0 without NAT. */
  rewritten: u32;
  /** What the packet's record said before (helper/rewrite.ts). */
  captured_l3: u32;
  captured_l4: u32; // 80
  captured_bytes: u32;
  captured_ip_len: u32;
  captured_l4_len: u32;
  /** Expectations made so far. */
  made: u32; // 96
  /** Expectations wanted so far of others than the two hosts of the connection that announced them. */
  beyond: u32;
  /** 1 if bytes of the payload were replaced in the copy. */
  replaced: u32; // 104
  pad: u32;
}
if (offsetof<Helping>() != 112) ERROR("Helping is 112 bytes");
/** 64 bytes in which a helper may put together what it reads, then 96 for what it writes. */
export const HELPER_SCRATCH: u32 = 160;
/** The longest IP packet, its header included. */
export const REWRITE_BYTES: u32 = 0x10040;

// Broadcast: an address of the host's with which everybody on its network is reached (12 bytes, kernel: struct in_ifaddr)
@unmanaged export class Broadcast {
  /** IPv4 address and mask of the network, in wire order. */
  address: u32;
  mask: u32;
  iface: u16;
  pad: u16;
}
if (offsetof<Broadcast>() != 12) ERROR("Broadcast is 12 bytes");

export const EXPECTATION_BUCKETS: u32 = 1024;
/** More expectations than one packet makes: what they are numbered by does not depend on other packets. */
export const EXPECTATION_IDS: u64 = 2048;

// SeqAdjust: by how much the bytes of one direction have moved (12 bytes; kernel: struct nf_ct_seqadj)
@unmanaged export class SeqAdjust {
  /** Sequence number of the last segment that changed the offset. */
  correction_pos: u32;
  /** What is added to sequence numbers up to that, and to those behind it. */
  offset_before: i32;
  offset_after: i32;
}
if (offsetof<SeqAdjust>() != 12) ERROR("SeqAdjust is 12 bytes");

// Help: what an entry with a helper, or one that was expected, has beyond its Flow (168 bytes; kernel: struct nf_conn_help).
// It outlives its entry as long as entries are there that were expected by it.
@unmanaged export class Help {
  /** Tuple of the entry's original direction. */
  src_lo: u64; // 0
  src_hi: u64;
  dst_lo: u64; // 16
  dst_hi: u64;
  sport: u16; // 32
  dport: u16;
  protonum: u8;
  l3num: u8;
  /** Number of the entry's zone, whatever direction it holds for. */
  zone: u16;
  /** The entry; 0 once it is dead. */
  flow: u32; // 40
  /** Help of the entry that expected this one, 0 for none. */
  master: u32;
  /** Entries that this one has expected and that live. */
  children: u32; // 48
  /** Newest of its expectations. */
  expectations: u32;
  /** Events of expectations that are announced (1 << kind - EXPECT_NEW). */
  expevents: u32; // 56
  /** Helper. */
  helper: u8; // 60
  pad_0: u8;
  pad_1: u16;
  /** u8 per class: expectations that there are. */
  expecting: u32; // 64
  /** Next of the free list, or of what the same entry has expected. */
  next: u32;
  /** When it died, or the last of its children, ns since 1970. */
  gone: u64; // 72
  /** Flow.id of the entry. */
  id: u64; // 80
  /** What the helper remembers of the connection; zero at first. */
  data: u64; // 88
  data_1: u64;
  data_2: u64;
  data_3: u64;
  data_4: u64;
  data_5: u64;
  /** Where rewriting has moved the connection's sequence numbers: SeqAdjust[2], by direction. */
  seq_0: u64; // 136
  seq_1: u64;
  seq_2: u64;
  /** What the same entry has expected later, and the latest of what this one has. */
  previous: u32; // 160
  youngest: u32;

  @inline memory(): usize {
    return changetype<usize>(this) + offsetof<Help>("data");
  }
  @inline seq(dir: u32): SeqAdjust {
    return changetype<SeqAdjust>(changetype<usize>(this) + offsetof<Help>("seq_0") + <usize>dir * offsetof<SeqAdjust>());
  }
}
if (offsetof<Help>() != 168) ERROR("Help is 168 bytes");

// Expectation: a connection that a helper has heard announced (128 bytes; kernel: struct nf_conntrack_expect)
@unmanaged export class Expectation {
  /** Tuple that is expected; the zone is that of the entry that expects. */
  src_lo: u64; // 0
  src_hi: u64;
  dst_lo: u64; // 16
  dst_hi: u64;
  sport: u16; // 32
  dport: u16;
  protonum: u8;
  l3num: u8;
  zone: u16;
  /** Which bits of source address and port count. */
  mask_lo: u64; // 40
  mask_hi: u64;
  mask_sport: u16; // 56
  klass: u8;
  /** ExpectFlag bits. */
  flags: u8;
  /** Helper that made it, and the one that the expected entry gets. */
  helper: u8; // 60
  assign_helper: u8;
  pad_0: u16;
  /** Expiry, ns since 1970. */
  expires: u64; // 64
  /** Number of the packet that announced it * EXPECTATION_IDS, plus which of that packet's; 0: the record is free. */
  id: u64; // 72
  /** Help of the entry that expects. */
  master: u32; // 80
  /** Next in its bucket, and of its master. */
  next: u32;
  sibling: u32; // 88
  /** Port (call id) that the announcement had; NAT brings what comes there. */
  saved_proto: u16; // 92
  /** Dir: which side of the master's entry sends what is expected. */
  dir: u8;
  /** ExpectNat: how NAT treats what is expected. */
  follow: u8;
  /** Address that a SIP message had (kernel: saved_addr). */
  saved_lo: u64; // 96
  saved_hi: u64;
  pad_1: u64; // 112
  pad_2: u64;
}
if (offsetof<Expectation>() != 128) ERROR("Expectation is 128 bytes");
