// What do lanes report besides packets?

// Event: one line of `conntrack -E`, complete in itself (192 bytes)
//
// The kinds EXPECT_NEW and EXPECT_DESTROY are lines of `conntrack -E expect`. In them the original tuple is the expected
// one, the reply tuple the original tuple of the entry that expects; `status` are the expectation's flags, `mark` its
// class, `id` its number; the masks of source address and port lie in packets_original, bytes_original, packets_reply.
@unmanaged export class Event {
  /** Replay time of the event: the packet's clock, or the exact expiry. */
  time: u64;
  /** Order among events of one time: 0 expiry, 1 packet; then `order`, then `sequence`. */
  order: u64; // 8: packet number, or the dying flow's id
  klass: u8; // 16
  /** EventKind. */
  kind: u8;
  sequence: u16;
  /** EventBit bits: which parts of the entry the kernel puts into the message. */
  bits: u32;
  /** Seconds left at that time. */
  timeout_s: u32; // 24
  status: u32;
  mark: u32; // 32
  /** TcpConntrack; SctpConntrack if the protocol is SCTP. */
  tcp_state: u8;
  /** Helper of the entry, or of the one that expects. */
  helper: u8;
  /** Entries that it expected, each of which holds it. */
  children: u16;
  /** Original tuple, then reply tuple, as in Tuple. */
  original_0: u64; // 40
  original_1: u64;
  original_2: u64;
  original_3: u64;
  original_4: u64;
  reply_0: u64; // 80
  reply_1: u64;
  reply_2: u64;
  reply_3: u64;
  reply_4: u64;
  /** Flow.id. */
  id: u64; // 120
  packets_original: u64; // 128
  bytes_original: u64;
  packets_reply: u64;
  bytes_reply: u64;
  /** Creation time of the entry, ns since 1970 (nf_conntrack_timestamp), 0 if not kept. */
  start: u64; // 160
  /** Labels, as in Account. */
  labels_lo: u64;
  labels_hi: u64;
  /** SCTP: verification tags of both directions, as they lie in packets. */
  vtag_original: u32;
  vtag_reply: u32;
}
if (offsetof<Event>() != 192) ERROR("Event is 192 bytes");

// LogRecord: a LOG or NFLOG rule that a packet met, or which entry expected the packet's entry (16 bytes)
@unmanaged export class LogRecord {
  /** Address of the packet (world's copy). */
  packet: u32;
  /** Rule index; 0xffffffff: it is about the entry that expected. */
  rule: u32;
  /** Flow.id of the entry that expected the packet's entry. */
  master: u64;
}
if (offsetof<LogRecord>() != 16) ERROR("LogRecord is 16 bytes");
