// Every record in linear memory. `src/engine/layout.ts` is generated from this file at build (emit-layout.mjs).
//
// Addresses and ports are kept in wire order, as the bytes lie in the packet. Times are nanoseconds since 1970.
// Pointers are u32 addresses in the one shared memory; 0 is "none".

/** Limits that regions are sized by. */
export const BATCH_PACKETS: u32 = 4096;
export const BATCH_BYTES: u32 = 0x180000; // 1.5 MiB of capture bytes
export const LANES_MAX: u32 = 64;
export const WORLDS_MAX: u32 = 2;
export const INTERFACES_MAX: u32 = 1024;

// Record: one captured packet as the walker found it (48 bytes)
//   0   8      16    20      24   28  30      32    34     36  40
//   ts  clock  data  caplen  len  n.. link    file  iface  n   number
@unmanaged export class Record {
  /** Capture time, ns since 1970. */
  ts: u64;
  /** Replay time: the greatest ts seen so far, over all captures of the run. Never goes back. */
  clock: u64;
  /** Address of the first captured byte. */
  data: u32;
  /** Captured bytes. */
  caplen: u32;
  /** Bytes on the wire. */
  len: u32;
  /** Frame number in its file, from 1. */
  n: u32;
  /** Link type (LINKTYPE_*). */
  link: u16;
  /** File number in command-line order, from 1. */
  file: u16;
  /** Interface the capture names, an index into the run's interface names; 0 unknown. */
  iface: u16;
  /** Bytes of frame check sequence at the end of the frame, from the capture's header (0 or 4 ...). */
  fcs: u8;
  /** Direction that the capture states (epb_flags bits 0-1; cooked capture type 4 is outbound): 0 unknown, 1 in, 2 out. */
  direction: u8;
  /** Number of the packet in replay order, from 1. */
  number: u64;
}
if (offsetof<Record>() != 48) ERROR("Record is 48 bytes");

// Tuple: what identifies one direction of a flow (40 bytes; the first 40 bytes of Packet and of Flow)
//   0    16   32     34     36     37     38
//   src  dst  sport  dport  proto  l3num  zone
// IPv4 addresses fill the first four bytes, the rest is zero. ICMP: sport is the id, dport the type and code bytes.
@unmanaged export class Tuple {
  src_lo: u64;
  src_hi: u64;
  dst_lo: u64;
  dst_hi: u64;
  sport: u16;
  dport: u16;
  protonum: u8;
  l3num: u8;
  zone: u16;
}
if (offsetof<Tuple>() != 40) ERROR("Tuple is 40 bytes");

// Packet: a decoded packet, and what became of it (128 bytes, two cache lines). Line one is written by decode and read
// by everything; line two is written by tracking and the rules and read by reports.
@unmanaged export class Packet {
  src_lo: u64; // 0
  src_hi: u64;
  dst_lo: u64; // 16
  dst_hi: u64;
  sport: u16; // 32
  dport: u16;
  protonum: u8; // 36
  l3num: u8;
  zone: u16;
  /**
   * Symmetric hash of the tuple (of the quoted packet's tuple for ICMP errors): chooses shard and table slot. With
   * FRAGMENT_OF: frame number of the fragment that completed the packet, whose file number is in l4.
   */
  hash: u32; // 40
  /** Completes `reason` where it has a number. */
  why_value: u32; // 44
  /** Replay time (Record.clock). */
  clock: u64; // 48
  /** Address of the IP header. */
  l3: u32; // 56
  /** Address of the transport header (after IPv6 extension headers), 0 in later fragments. */
  l4: u32; // 60
  /** Captured bytes from l4 on, never more than l4_len. */
  l4_captured: u32; // 64
  /** Bytes of the IP packet on the wire, header included (skb->len at the hooks). */
  ip_len: u32; // 68
  /** Bytes from l4 to the end of the IP packet on the wire. */
  l4_len: u32; // 72
  /** Address of the Ethernet header, 0 if the link type has none. */
  mac: u32; // 76
  /** skb->mark, set by MARK and CONNMARK --restore-mark. */
  mark: u32; // 80
  /** Interfaces (index into the run's interface names), 0 none or unknown. */
  iif: u16; // 84
  oif: u16;
  /** PacketFlag bits. */
  flags: u16; // 88
  /** Reason. */
  reason: u8;
  /** Path. */
  path: u8;
  ttl: u8; // 92
  tos: u8;
  /** PktType. */
  pkttype: u8;
  /** TCP flags byte (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128); 0 for others. */
  tcp_flags: u8;
  /** Flow entry of the packet while it is in the hooks, 0 if none (INVALID, UNTRACKED). Meaningless afterwards. */
  flow: u32; // 96
  /** Rule that decided: index into the world's rules, 0xffffffff if none. */
  rule: u32; // 100
  /** Number of the packet that created the flow's entry (Flow.id); 0 if the packet has no entry. */
  flow_id: u64; // 104
  /** Status bits of the entry after the packet. */
  status: u16; // 112
  /** CtState. */
  ct_state: u8;
  /** Dir. */
  dir: u8;
  /** TcpConntrack or SCTP_STATE_BASE + SctpConntrack of the entry after the packet; 0 for others. */
  tcp_state: u8; // 116
  /** Verdict. */
  verdict: u8;
  /** RejectWith. */
  reject: u8;
  /** Kinds of events caused by this packet: bit 0 NEW, 1 UPDATE, 2 DESTROY (1 << EventKind - 1). */
  events: u8;
  /** Connection mark of the entry after the packet. With SCTP_VTAG_ORIGINAL and _REPLY, which have none: the packet's tag. */
  ct_mark: u32; // 120
  /** Number of log records (LOG, NFLOG) that this packet left in the world's log area in this batch. */
  logs: u16; // 124
  /** State as above before the packet; 0 for others and for new entries. */
  tcp_before: u8;
  /**
   * Template that a CT rule attached: index into World.templates from 1, 0 for none. After the verdict: Helper of the
   * packet's entry.
   */
  template: u8;
}
if (offsetof<Packet>() != 128) ERROR("Packet is 128 bytes");
if (offsetof<Packet>("flow") != 96) ERROR("Packet line two starts at rule output");

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

// Flow: one entry of the connection table (192 bytes, three cache lines)
//   line 0   tuple of the original direction, status, expiry, mark, protocol state
//   line 1   TCP window state of both sides; identity
//   line 2   reply tuple, hash, timer links: touched when an entry is created, armed or dies
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
  /** Second for which the entry sits on the timing wheel; its expiry may be later, never earlier. */
  armed_s: u32; // 40
  /** Status bits. */
  status: u32;
  /** Expiry, ns since 1970. Before confirm: the timeout in ns. */
  expires: u64; // 48
  mark: u32; // 56
  /** TcpConntrack; SctpConntrack if the protocol is SCTP. */
  tcp_state: u8; // 60
  /** 1 while the entry sits on the timing wheel. */
  armed: u8;
  /** EventBit bits that wait for the next accepted packet (kernel: nf_conntrack_ecache.cache). */
  pending_events: u16;

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
  pad_0: u8;
  /** Last packet that was accepted or ignored: its seq, ack, end, raw window (kernel: struct ip_ct_tcp.last_*). */
  last_seq: u32; // 104
  last_ack: u32;
  last_end: u32;
  last_win: u16;
  /** Flag class (TcpFlagClass) and direction of that packet. */
  last_index: u8; // 118
  last_dir: u8;
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
  /** Symmetric hash of the original tuple. */
  hash: u32; // 168
  pad_1: u32;
  /** Neighbours on the timing wheel's bucket list; flow addresses. next also links the free list. */
  next: u32; // 176
  prev: u32;
  /** Bucket the entry sits in: address of the bucket's head. */
  bucket: u32;
  /** Template that the entry was begun with, 0 for none. */
  template: u32;

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

// Account: what accounting, timestamps and labels add to a flow (64 bytes, parallel to the flows; nf_conntrack_acct,
// nf_conntrack_timestamp, -m connlabel)
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
  pad: u64;
}
if (offsetof<Account>() != 64) ERROR("Account is 64 bytes");

// Slot: one place of the open-addressing index (8 bytes, eight to a cache line)
@unmanaged export class Slot {
  /** Hash of the flow's tuple; of its reply tuple if `flow` has SLOT_REPLY. */
  tag: u32;
  /** Address of the flow and SLOT_* bits, 0 if the slot is empty. */
  flow: u32;
}
if (offsetof<Slot>() != 8) ERROR("Slot is 8 bytes");
/** Low bits of Slot.flow for an entry that NAT changed, which has a slot for each direction. */
export const SLOT_ORIGINAL: u32 = 1;
export const SLOT_REPLY: u32 = 2;

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
  pad_1: u16;
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

// Counter: hits of one rule or policy (16 bytes), an array per lane and world, indexed by rule
@unmanaged export class Counter {
  packets: u64;
  bytes: u64;
}
if (offsetof<Counter>() != 16) ERROR("Counter is 16 bytes");

// Step: one stage of a hook (8 bytes); a hook's steps are in priority order and end with StepKind.END
@unmanaged export class Step {
  /** StepKind (hook.ts): a chain to call, connection tracking, or the end. */
  kind: u32;
  /** Chain: slot in the engine's function table. */
  slot: u32;
}
if (offsetof<Step>() != 8) ERROR("Step is 8 bytes");

// Route4 / Route6: one interval of destination addresses, sorted by start; a lookup takes the last interval whose start
// is not above the address. Addresses as numbers (host order) so that they compare.
@unmanaged export class Route4 {
  start: u32;
  /** AddrType. */
  type: u8;
  pad: u8;
  /** Interface the route leaves by. */
  oif: u16;
}
if (offsetof<Route4>() != 8) ERROR("Route4 is 8 bytes");
@unmanaged export class Route6 {
  start_hi: u64;
  start_lo: u64;
  type: u8;
  pad: u8;
  oif: u16;
  pad_1: u32;
}
if (offsetof<Route6>() != 24) ERROR("Route6 is 24 bytes");

// World: one firewall as one lane sees it. A lane of `replay` has one, a lane of `diff` has two (old, new).
// Pointers to what is shared by all lanes (sysctls, steps, routes) and to what is the lane's own.
@unmanaged export class World {
  /** u32[Sysctl.COUNT] */
  sysctls: u32; // 0
  /** Step[2][5][STEPS_MAX]: family (IPv4, IPv6), then hook. */
  steps: u32;
  /** Route4[], count. */
  routes4: u32;
  routes4_count: u32;
  /** Route6[], count. */
  routes6: u32; // 16
  routes6_count: u32;
  /** 1 if the host has a topology (addresses or routes); otherwise every packet is forwarded. */
  topology: u32;
  /** Limits, 0 without a limit on the number of entries. */
  limits: u32;

  /** Counter[rules]: this lane's. */
  counters: u32; // 32
  /** Rule state shared by packets of the lane (limit buckets ...), laid out by the rule compiler. */
  rule_state: u32;
  /** Flow pool: first flow, end of the reservation, high-water mark, head of the free list. */
  flows: u32; // 40
  flows_end: u32;
  flows_top: u32;
  flows_free: u32;
  /** Account[] parallel to the flows, 0 if neither accounting nor timestamps are on. */
  accounts: u32; // 56
  /** Confirmed entries. */
  flow_count: u32;
  /** Index: Slot[mask + 1]; two reservations, grown into alternately. */
  index: u32; // 64
  index_mask: u32;
  index_spare: u32;
  index_mask_max: u32;
  /** Timing wheel: bucket heads, and the second up to which it was swept. */
  wheel: u32; // 80
  /** Flow killed by the packet in work: out of the table, but still the packet's until it is judged. */
  dying: u32;
  wheel_now: u64; // 88
  /** Entry of a flow that is not confirmed yet (one per world: a packet is judged to its end before the next). */
  unconfirmed: u32; // 96
  /** Event area: start, end, write position. */
  events: u32;
  events_end: u32;
  events_top: u32;
  /** Log area: start, end, write position. */
  logs: u32; // 112
  logs_end: u32;
  logs_top: u32;
  /** Counts of the lane's packets for the summary (TALLY_*), 0 if nobody wants one. */
  tally: u32;
  /** Trace area: 0 when not tracing. */
  trace: u32; // 128
  trace_end: u32;
  trace_top: u32;
  /** Log records that one packet may need room for. */
  logs_reserve: u32;
  /** Number of the packet to trace (Record.number), 0 for none; `trace` is set while it is in work. */
  trace_number: u64;
  trace_area: u32;
  /** Next event's sequence within its packet. */
  event_sequence: u32;
  /** Number of the packet in work (Record.number) and its time. */
  number: u64; // 160
  now: u64; // 168
  /** Set when an entry found no room in the lane's table: the run cannot go on. */
  table_full: u32; // 176
  /** Template[]; 0 if no rule attaches one and no entry is in a zone. */
  templates: u32;
  /** What fetch_lines() read: stored, so that the optimiser keeps the loads. */
  fetched: u64;
  /** Tables of the rules that are found by what they test (Dispatch and what it points to), shared by the lanes. */
  dispatch: u32; // 192
  /** Candidates[], one for each Dispatch: this lane's. */
  candidates: u32;
  /** Nat, 0 without a nat table. */
  nat: u32; // 200
  /** Slots of the index that are in use: an entry that NAT changed has two. */
  index_used: u32;
  /** Entries that went so that others found room (nf_conntrack_stat.early_drop). */
  early_dropped: u32; // 208
  /** Helping; 0 if no entry can have a helper. */
  helping: u32;
}
if (offsetof<World>() != 216) ERROR("World is 216 bytes");

/** Rules that one bit map spans, in words of 64, and fields that one Dispatch looks at. */
export const DISPATCH_WORDS: u32 = 64;
export const DIMENSIONS_MAX: u32 = 8;

// Dispatch: a run of up to 4,096 rules, found by the fields that they test (12 bytes, then its Dimensions)
//   Offsets in it and below count from World.dispatch.
@unmanaged export class Dispatch {
  /** Offset of its Candidates from World.candidates. */
  candidates: u32;
  /** u16[]: the rule's place in the run for each bit of the bit maps. */
  places: u32;
  /** Dimensions that follow, 1 to DIMENSIONS_MAX. */
  dimensions: u32;
}
if (offsetof<Dispatch>() != 12) ERROR("Dispatch is 12 bytes");

// Dimension: one field, and which rules each of its values may match (16 bytes)
@unmanaged export class Dimension {
  /** DispatchField. */
  field: u32;
  /** From value to row: what lies there depends on the field's width (assembly/rules/dispatch.ts). */
  map: u32;
  /** DispatchRow[]; row 0 is that of packets whose transport header is too short to look at: it has every rule. */
  rows: u32;
  /** u64[DISPATCH_WORDS]: the rules that the field says nothing about. */
  base: u32;
}
if (offsetof<Dimension>() != 16) ERROR("Dimension is 16 bytes");

// DispatchRow: the bit map of the rules that a value may match, as its difference from the base (24 bytes)
@unmanaged export class DispatchRow {
  /** Words of the bit map that are not 0. */
  filled: u64;
  /** Words that differ from the base. */
  differs: u64;
  /** u64[]: the words that differ, each exclusive-or the base's. */
  words: u32;
  pad: u32;
}
if (offsetof<DispatchRow>() != 24) ERROR("DispatchRow is 24 bytes");

// IntervalMap: rows by 32 bit value, for Dimension.map (16 bytes)
@unmanaged export class IntervalMap {
  /** Slots of the table of single values, less 1: a power of two less 1. */
  hash_mask: u32;
  /** Intervals, at least 1. */
  intervals: u32;
  /** PointSlot[] (PointSlot16[] for addresses of 16 bytes): values that have a row of their own. */
  points: u32;
  /** u32[] (u64[2][], upper half first): where each interval starts, the first at 0; then u16[], their rows. */
  starts: u32;
}
if (offsetof<IntervalMap>() != 16) ERROR("IntervalMap is 16 bytes");

@unmanaged export class PointSlot {
  value: u32;
  /** Row + 1; 0 for a free slot. */
  row: u32;
}
if (offsetof<PointSlot>() != 8) ERROR("PointSlot is 8 bytes");

@unmanaged export class PointSlot16 {
  upper: u64;
  lower: u64;
  /** Row + 1; 0 for a free slot. */
  row: u32;
  pad: u32;
}
if (offsetof<PointSlot16>() != 24) ERROR("PointSlot16 is 24 bytes");

// Candidates: the rules of a Dispatch that a packet may match (48 bytes, then u64[DISPATCH_WORDS])
//   Behind it lies the bit map of the candidates in the order of the rules, all 0 but for words that are left.
@unmanaged export class Candidates {
  /** Words of the bit map that were not asked for yet. */
  left: u64;
  /** Rules of the word that was asked for last. */
  bits: u64;
  /** Address of the DispatchRow of each dimension. */
  rows: u32;
  pad_1: u32;
  pad_2: u64;
  pad_3: u64;
  pad_4: u64;
}
if (offsetof<Candidates>() != 16 + DIMENSIONS_MAX * 4) ERROR("Candidates has a row for each dimension");

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

// HostAddress: an address of the host, in the order of its interfaces (32 bytes, kernel: in_ifaddr, inet6_ifaddr)
@unmanaged export class HostAddress {
  lo: u64; // 0
  hi: u64;
  /** The other end of a point-to-point link, else the address itself (IPv4, wire order): its network is around this one. */
  peer: u32; // 16
  iface: u16;
  /** Bits of its network. */
  length: u8;
  /** Scope (IPv4: RT_SCOPE_*). */
  scope: u8;
  /** AddressFlag bits. */
  flags: u8; // 24
  pad_0: u8;
  pad_1: u16;
  pad_2: u32;
}
if (offsetof<HostAddress>() != 32) ERROR("HostAddress is 32 bytes");

// Gateway4: the next hop of an interval of IPv4 destinations, sorted by start (8 bytes)
@unmanaged export class Gateway4 {
  /** As a number. */
  start: u32;
  /** In wire order; 0 if the destinations are neighbours. */
  gateway: u32;
}
if (offsetof<Gateway4>() != 8) ERROR("Gateway4 is 8 bytes");

// Template: what a CT rule gives to the entries that its packets begin (16 bytes, kernel: nf_ct_tmpl_alloc())
@unmanaged export class Template {
  /** Event bits that are announced (--ctevents), 0xffffffff for all. */
  ctevents: u32;
  /** Events of expectations that are announced (--expevents): 1 NEW. */
  expevents: u32;
  /** Zone (--zone, --zone-orig, --zone-reply). */
  zone: u16;
  /** TemplateFlag bits. */
  flags: u8;
  /** Helper (--helper), NONE for none. */
  helper: u8;
  pad_1: u32;
}
if (offsetof<Template>() != 16) ERROR("Template is 16 bytes");

// Helping: helpers and expectations of a world (80 bytes), then two Expectations in the making
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
  /** Expectations made so far: the number of the last one. */
  made: u64;
  /** Connections that have calls in the keymap of GRE: the first one's Help (helper/pptp.ts). */
  keymap: u32; // 64
  pad_0: u32;
  pad_1: u64;
}
if (offsetof<Helping>() != 80) ERROR("Helping is 80 bytes");
export const EXPECTATION_BUCKETS: u32 = 1024;

// Help: what an entry with a helper, or one that was expected, has beyond its Flow (160 bytes; kernel: struct nf_conn_help).
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
  /** Next of the free list. */
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
  data_6: u64;
  data_7: u64;
  data_8: u64;

  @inline memory(): usize {
    return changetype<usize>(this) + offsetof<Help>("data");
  }
}
if (offsetof<Help>() != 160) ERROR("Help is 160 bytes");

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
  /** Number in order of making, from 1; 0: the record is free. */
  id: u64; // 72
  /** Help of the entry that expects. */
  master: u32; // 80
  /** Next in its bucket, and of its master. */
  next: u32;
  sibling: u32; // 88
  pad_1: u32;
  pad_2: u64; // 96
  pad_3: u64;
  pad_4: u64;
  pad_5: u64;
}
if (offsetof<Expectation>() != 128) ERROR("Expectation is 128 bytes");

// Limits: a table with a limit on its entries (nf_conntrack_max), and the buckets among which early drop looks (16 bytes)
@unmanaged export class Limits {
  /** Entries that the table may hold, the unconfirmed one included (nf_conntrack_max). */
  max: u32;
  /** Buckets of the kernel's hash table (nf_conntrack_buckets). */
  bucket_count: u32;
  /** u32[bucket_count]: address of the first node of each bucket, 0 if it is empty. */
  buckets: u32;
  /** BucketNode[2] per flow, parallel to the flows: original direction, then reply. */
  nodes: u32;
}
if (offsetof<Limits>() != 16) ERROR("Limits is 16 bytes");

// BucketNode: the place of one direction of an entry in its bucket (8 bytes)
@unmanaged export class BucketNode {
  /** Next node of the bucket, 0 at its end. */
  next: u32;
  /** Address of the word that points to this node: a bucket's head, or `next` of the node before. */
  from: u32;
}
if (offsetof<BucketNode>() != 8) ERROR("BucketNode is 8 bytes");

export const STEPS_MAX: u32 = 16;

// Tally: counts of the packets that a lane tracked, all u64 (tally.ts); offsets of its histograms
/** By Verdict * 8 + CtState: packets, and entries that they made. */
export const TALLY_PACKETS: u32 = 0;
export const TALLY_FLOWS: u32 = 512;
/** IP bytes by Verdict; packets by Path. */
export const TALLY_BYTES: u32 = 1024;
export const TALLY_PATHS: u32 = 1088;
/** Packets with PacketFlag.OFFLOADED; packets with PacketFlag.STRANGER. */
export const TALLY_OFFLOADED: u32 = 1120;
export const TALLY_STRANGERS: u32 = 1128;
/** Packets by Reason * 8 + CtState. */
export const TALLY_REASONS: u32 = 1152;
/** By L3 * 256 + protocol number: packets, and entries that they made. */
export const TALLY_PROTOCOL_PACKETS: u32 = 17536;
export const TALLY_PROTOCOL_FLOWS: u32 = 50304;
/** Packets by state before * 32 + state after (Packet.tcp_before, Packet.tcp_state). */
export const TALLY_TRANSITIONS: u32 = 83072;
/** Packets by the rule that decided: as many as the world has rules. */
export const TALLY_DECIDED: u32 = 91264;

// TraceRecord: one step of the traced packet (64 bytes); TraceKind says which numbers mean what (trace.ts)
@unmanaged export class TraceRecord {
  kind: u32;
  a: u32;
  b: u32;
  c: u32;
  d: u32;
  e: u32;
  f: u32;
  g: u32;
  h: u32;
  i: u32;
  j: u32;
  k: u32;
  l: u32;
  m: u32;
  n: u32;
  o: u32;
}
if (offsetof<TraceRecord>() != 64) ERROR("TraceRecord is 64 bytes");

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
  lanes: u32;
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
  /** Key: addresses, identification; protocol (IPv4) or interface (IPv6, where it counts), and family above bit 16. */
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

// FormatJob: lines to be written from records (32 bytes; assembly/format/). Addresses are in the formatter's memory.
@unmanaged export class FormatJob {
  /** Record[count], for packets. */
  records: u32; // 0
  /** Packet[count] or Event[count]. */
  items: u32;
  count: u32;
  /** Next item; moves on as lines are written. */
  index: u32;
  /** Packets: the next PacketExtra, their list ends with index 0xffffffff. Flows: FlowExtra[count], 0 for none. */
  extra: u32; // 16
  /** Where the next line goes; moves on. */
  out: u32;
  /** No line begins at or behind this address: there is room for the longest one. */
  out_limit: u32;
  /** FlowMode bits. */
  modes: u32;
}
if (offsetof<FormatJob>() != 32) ERROR("FormatJob is 32 bytes");

// PacketExtra: texts of one packet's line that are made for it alone (32 bytes)
@unmanaged export class PacketExtra {
  /** Index of the packet. */
  index: u32;
  /** Address and length: `why` with its number ... */
  why: u32;
  why_length: u32;
  /** ... what comes last of the entry: who expected it, its helper ... */
  ct: u32;
  ct_length: u32;
  /** ... and what comes last but the events: what logging rules recorded, what NAT changed. */
  last: u32;
  last_length: u32;
  pad: u32;
}
if (offsetof<PacketExtra>() != 32) ERROR("PacketExtra is 32 bytes");

// FlowExtra: words of one flow's line that are made for it alone, each with a space behind it (16 bytes)
@unmanaged export class FlowExtra {
  /** Address and length: start and stop ... */
  times: u32;
  times_length: u32;
  /** ... and labels. */
  labels: u32;
  labels_length: u32;
}
if (offsetof<FlowExtra>() != 16) ERROR("FlowExtra is 16 bytes");
