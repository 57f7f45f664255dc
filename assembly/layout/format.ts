// What is given to the formatter (assembly/format/)?

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
