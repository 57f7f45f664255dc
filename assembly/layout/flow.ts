// What is an entry of the connection table, and how is it found?

// Peer: what one side of a TCP connection has shown (20 bytes, kernel: struct ip_ct_tcp_state)
//   0        4           8           12          16      17     18
//   td_end   td_maxend   td_maxwin   td_maxack   scale   flags  pad
@unmanaged export class Peer {
  /** Highest seq + len sent by this side. */
  td_end: u32;
  /** Highest ack + window that the other side granted to this side. */
  td_maxend: u32;
  /** Largest window (scaled) that this side announced, at least 1 once anything was seen. */
  td_maxwin: u32;
  /** Highest ack sent by this side. */
  td_maxack: u32;
  /** Window scale of this side. */
  td_scale: u8;
  /** PeerFlag bits (track/tcp-states.ts). */
  flags: u8;
  /** Flow keeps other fields here. */
  pad: u16;
}
if (offsetof<Peer>() != 20) ERROR("Peer is 20 bytes");

// SctpState: what the ends of an SCTP association have shown (12 bytes, kernel: struct ip_ct_sctp)
@unmanaged export class SctpState {
  /** Verification tags, as they lie in packets of the original and of the reply direction; 0 not known. */
  vtag_original: u32;
  vtag_reply: u32;
  /** Directions (bits) from which an INIT opened this association and no COOKIE ACK has ended the opening. */
  init: u8;
  /** SctpFlag bits (track/sctp.ts). */
  flags: u8;
  /** Direction of the last HEARTBEAT with a wrong tag. */
  last_dir: u8;
  pad: u8;

  @inline vtag(dir: u32): u32 {
    return load<u32>(changetype<usize>(this) + <usize>dir * 4);
  }
  @inline set_vtag(dir: u32, vtag: u32): void {
    store<u32>(changetype<usize>(this) + <usize>dir * 4, vtag);
  }
}
if (offsetof<SctpState>() != 12) ERROR("SctpState is 12 bytes");

// Flow: one entry of the connection table (two cache lines, and a third in tables that need it)
//   line 0   tuple of the original direction, timer, expiry, mark, protocol state, status
//   line 1   TCP window state of both sides; what waits to be announced; identity
//   line 2   reply tuple, template. A table has it (World.flow_bytes) if reply tuples may be other than the inverse of the
//            original one, or if rules attach templates
@unmanaged export class Flow {
  src_lo: u64; // 0: Tuple
  src_hi: u64;
  dst_lo: u64;
  dst_hi: u64;
  sport: u16;
  dport: u16;
  protonum: u8;
  l3num: u8;
  zone: u16;
  /**
   * Tick (timer.ts; low 32 bits) for which the entry sits on the timing wheel; its expiry may be later, never earlier. Before
   * confirm: the hash of its tuple.
   */
  armed: u32; // 40
  /** Address of the entry's place on the timing wheel, 0 if it has none. Links the free list. */
  timer: u32;
  /** Expiry, ns since 1970. Before confirm: the timeout in ns. */
  expires: u64; // 48
  mark: u32; // 56
  /** TcpConntrack; SctpConntrack if the protocol is SCTP. */
  tcp_state: u8; // 60
  /** Direction of the last packet that was accepted or ignored (see last_seq). */
  last_dir: u8;
  /** Status bits. */
  status: u16;

  // line 1 (64): TCP: both peers inline, ORIGINAL first; see peer(). SCTP: see sctp(). UDP: a time.
  /** UDP: an answered flow that is active after this time (ns) is a stream. */
  udp_stream_after: u64;
  peers_1: u64;
  peers_2: u16;
  /** What the remembered packet said of its sender (see last_seq): in the gaps that the peers leave. */
  last_wscale: u8; // 82
  last_flags: u8;
  peers_3: u32;
  peers_4: u64;
  peers_5: u32;
  peers_6: u16;
  /** Identical ACKs in a row. */
  retrans: u8; // 102
  /** Flag class (TcpFlagClass) of the last packet that was accepted or ignored. */
  last_index: u8;
  /** That packet: its seq, ack, end, raw window (kernel: struct ip_ct_tcp.last_*). */
  last_seq: u32; // 104
  last_ack: u32;
  last_end: u32;
  last_win: u16;
  /** EventBit bits that wait for the next accepted packet (kernel: nf_conntrack_ecache.cache). */
  pending_events: u16; // 118
  /** Number of the packet that created the entry (Record.number): its identity in every output, also of each packet. */
  id: u64; // 120

  // line 2 (128): reply tuple in the order of Tuple.
  reply_src_lo: u64;
  reply_src_hi: u64;
  reply_dst_lo: u64;
  reply_dst_hi: u64;
  reply_sport: u16;
  reply_dport: u16;
  reply_protonum: u8;
  reply_l3num: u8;
  reply_zone: u16;
  /** Template that the entry was begun with, 0 for none. */
  template: u32; // 168
  pad_0: u32;
  pad_1: u64;
  pad_2: u64;

  @inline peer(dir: u32): Peer {
    return changetype<Peer>(changetype<usize>(this) + offsetof<Flow>("udp_stream_after") + <usize>dir * 20);
  }
  @inline sctp(): SctpState {
    return changetype<SctpState>(changetype<usize>(this) + offsetof<Flow>("udp_stream_after"));
  }
}
if (offsetof<Flow>() != 192) ERROR("Flow is 192 bytes");
if (offsetof<Flow>("last_wscale") != 64 + offsetof<Peer>("pad")) ERROR("Flow.last_wscale lies behind the first peer's fields");
if (offsetof<Flow>("retrans") != 64 + 20 + offsetof<Peer>("pad")) ERROR("Flow.retrans lies behind the second peer's fields");
if (offsetof<Flow>("udp_stream_after") != 64) ERROR("Flow line 1 starts with the peers");
if (offsetof<Flow>("reply_src_lo") != 128) ERROR("Flow line 2 starts with the reply tuple");
if (offsetof<Flow>("status") != offsetof<Flow>("tcp_state") + 2) ERROR("State and status are read as one word (track/tcp.ts)");
/** Bytes of a flow without line 2. */
export const FLOW_SHORT: u32 = 128;

// TimerChunk: a cache line of a bucket of the timing wheel (64 bytes)
@unmanaged export class TimerChunk {
  /** Address of the chunk before it, which is full; 0 if it is the bucket's first. Links the free ones. */
  before: u32;
  /** Address of the bucket's head. */
  head: u32;
  /** u32[14]: addresses of flows. */
  flow_0: u32; // 8
  flow_1: u32;
  flow_2: u64;
  flow_4: u64;
  flow_6: u64;
  flow_8: u64;
  flow_10: u64;
  flow_12: u64;
}
if (offsetof<TimerChunk>() != 64) ERROR("TimerChunk is 64 bytes");

// Account: what accounting, timestamps and labels add to a flow (56 bytes, parallel to the flows; nf_conntrack_acct,
// nf_conntrack_timestamp, -m connlabel). A table has as much of it as it needs (World.account_bytes)
@unmanaged export class Account {
  packets_original: u64;
  bytes_original: u64;
  packets_reply: u64;
  bytes_reply: u64;
  /** Creation time, ns since 1970. */
  start: u64;
  /** Label bits 0 to 63, and 64 to 127. */
  labels_lo: u64;
  labels_hi: u64;
}
if (offsetof<Account>() != 56) ERROR("Account is 56 bytes");
/** Bytes of an account where no rule looks at labels. */
export const ACCOUNT_SHORT: u32 = 40;
/** Bytes of an account where rules look at labels 0 to 63 only. */
export const ACCOUNT_LABELS: u32 = 48;

// IndexBucket: a cache line of the index (64 bytes)
//   0       28   32       60
//   tags[7]  0   values[7]  overflow
@unmanaged export class IndexBucket {
  /** Hashes of tuples, 0 where nothing is: of a flow's reply tuple if its value has SLOT_REPLY. */
  tag_0: u32;
  tag_1: u32;
  tag_2: u32;
  tag_3: u32;
  tag_4: u32;
  tag_5: u32;
  tag_6: u32;
  pad: u32;
  /** Addresses of flows and SLOT_* bits. */
  value_0: u32; // 32
  value_1: u32;
  value_2: u32;
  value_3: u32;
  value_4: u32;
  value_5: u32;
  value_6: u32;
  /** Address of the bucket with what found no room here, 0 if there is none. Links the free ones. */
  overflow: u32; // 60
}
if (offsetof<IndexBucket>() != 64) ERROR("IndexBucket is 64 bytes");
if (offsetof<IndexBucket>("overflow") != offsetof<IndexBucket>("value_0") + 28) ERROR("IndexBucket ends with overflow");
export const BUCKET_VALUES: u32 = 7;
/** Low bits of a value for an entry that NAT changed, which stands in the index for each direction. */
export const SLOT_ORIGINAL: u32 = 1;
export const SLOT_REPLY: u32 = 2;
