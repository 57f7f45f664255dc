// What do rules remember by address: -m recent, hashlimit and connlimit?

import { Tuple } from "./packet";

// KeyedTable: entries found by a key and kept in the order of their last use (80 bytes, what the table's kind adds, then
// u32[bucket_mask + 1], then the entries; assembly/rules/keyed-table.ts)
@unmanaged export class KeyedTable {
  /** Offsets from the table: addresses of the first entry of each bucket, and the entries. */
  buckets: u32; // 0
  entries: u32;
  bucket_mask: u32;
  /** Bytes of an entry. */
  entry_bytes: u32;
  /** Entries that it may hold, that it holds, and places that were ever in use. */
  max: u32; // 16
  count: u32;
  top: u32;
  /** First of the places that are free again, linked by `next`. */
  free: u32;
  /** Ends of the list by last use. */
  oldest: u32; // 32
  newest: u32;
  /** The key that is looked for. */
  key_0: u64; // 40
  key_1: u64;
  key_2: u64;
  key_3: u64;
  key_4: u64;

  @inline key(): Tuple {
    return changetype<Tuple>(changetype<usize>(this) + offsetof<KeyedTable>("key_0"));
  }
}
if (offsetof<KeyedTable>() != 80) ERROR("KeyedTable is 80 bytes");

// KeyedEntry: what every entry begins with (56 bytes). The key is laid out as a tuple; what a table has no use for is 0.
@unmanaged export class KeyedEntry extends Tuple {
  /** Next entry of the bucket. */
  next: u32; // 40
  /** Neighbours in the list by last use. */
  older: u32;
  newer: u32;
  pad_1: u32;
}
if (offsetof<KeyedEntry>() != 56) ERROR("KeyedEntry is 56 bytes");

// RecentList: a list of -m recent (104 bytes, kernel: struct recent_table)
@unmanaged export class RecentList extends KeyedTable {
  /** What is looked at of addresses (--mask), in wire order. */
  mask_lo: u64; // 80
  mask_hi: u64;
  /** Time stamps of an address less one (nstamps_max_mask). */
  stamps_mask: u32; // 96
  pad_1: u32;
}
if (offsetof<RecentList>() != 104) ERROR("RecentList is 104 bytes");

// RecentAddress: an address on such a list (64 bytes, then u64[stamps_mask + 1] in jiffies; kernel: struct recent_entry)
@unmanaged export class RecentAddress extends KeyedEntry {
  /** Where the next stamp goes. */
  index: u16; // 56
  /** Stamps in use. */
  nstamps: u16;
  /** TTL that the packet arrived with. */
  ttl: u8;
  pad_2: u8;
  pad_3: u16;
}
if (offsetof<RecentAddress>() != 64) ERROR("RecentAddress is 64 bytes");

// HashlimitTable: the buckets of one -m hashlimit name (168 bytes, kernel: struct xt_hashlimit_htable)
@unmanaged export class HashlimitTable extends KeyedTable {
  /** What of addresses makes a bucket, in wire order; 0 where the mode has none. */
  source_lo: u64; // 80
  source_hi: u64;
  target_lo: u64;
  target_hi: u64;
  /** How long a bucket that is not used stays, and how often the collector comes, in jiffies. */
  expire: u64; // 112
  gc_interval: u64;
  /** Credits that a packet costs, or so many bytes; with RATE the packets or bytes of an interval that are too many. */
  cost: u64; // 128
  /** Credits at most; in BYTES how often they are filled up at once (the burst); with RATE no more than this passes. */
  cap: u64;
  /** Credits of a new bucket. */
  credit: u64; // 144
  /** Jiffies of an interval (RATE). */
  interval: u64;
  /** HashlimitFlag bits. */
  flags: u32; // 160
  pad_1: u32;
}
if (offsetof<HashlimitTable>() != 168) ERROR("HashlimitTable is 168 bytes");

// HashlimitBucket: what one host, network or connection has left (88 bytes, kernel: struct dsthash_ent)
@unmanaged export class HashlimitBucket extends KeyedEntry {
  /** Jiffies at which the collector may take it, and at which it was filled up last. */
  expires: u64; // 56
  previous: u64;
  /** Credits; with RATE what the interval has seen. */
  credit: u64; // 72
  /** In BYTES how often it may still be filled up at once; with RATE 1 if the interval before was over the rate. */
  left: u64;
}
if (offsetof<HashlimitBucket>() != 88) ERROR("HashlimitBucket is 88 bytes");

/** Connections that all rules with -m connlimit count at once, and addresses that they count them for. */
export const CONNLIMIT_MAX: u32 = 1048576;

// ConnlimitTable: the connections that rules with -m connlimit count, by rule and address (152 bytes)
@unmanaged export class ConnlimitTable extends KeyedTable {
  /** Offset of the ConnlimitNodes from the table; how many there may be, and how many places were ever in use. */
  nodes: u32; // 80
  nodes_max: u32;
  nodes_top: u32;
  /** First of the places that are free again, and nodes in use. */
  nodes_free: u32;
  nodes_count: u32; // 96
  pad_1: u32;
  /** The connection of the packet in work: original tuple, and the zone of its answers. */
  wanted_0: u64; // 104
  wanted_1: u64;
  wanted_2: u64;
  wanted_3: u64;
  wanted_4: u64;
  wanted_reply_zone: u16; // 144
  pad_2: u16;
  pad_3: u32;

  @inline wanted(): Tuple {
    return changetype<Tuple>(changetype<usize>(this) + offsetof<ConnlimitTable>("wanted_0"));
  }
}
if (offsetof<ConnlimitTable>() != 152) ERROR("ConnlimitTable is 152 bytes");

// ConnlimitList: what one rule counts of one address (80 bytes, kernel: struct nf_conncount_list)
@unmanaged export class ConnlimitList extends KeyedEntry {
  /** Its connections, the oldest first. */
  first: u32; // 56
  last: u32;
  count: u32;
  /** Connections that were left when dead ones were looked for last, and the jiffy in which that was. */
  last_gc_count: u32;
  last_gc: u64; // 72
}
if (offsetof<ConnlimitList>() != 80) ERROR("ConnlimitList is 80 bytes");

// ConnlimitNode: a connection that is counted (48 bytes, kernel: struct nf_conncount_tuple)
@unmanaged export class ConnlimitNode extends Tuple {
  next: u32; // 40
  reply_zone: u16;
  pad_1: u16;
}
if (offsetof<ConnlimitNode>() != 48) ERROR("ConnlimitNode is 48 bytes");
