// What is kept of a captured packet: where it lies, what it is, what became of it?

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
  /**
   * Number of the packet that created the flow's entry (Flow.id); 0 if the packet has no entry. EGRESS_COPY: number of the
   * packet as it arrived, with ANSWER of the one that was answered; 0 unknown.
   */
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
