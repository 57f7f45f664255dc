// What does one lane know of one firewall?

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

// World: one firewall as one lane sees it. A lane of `replay` has one, a lane of `diff` has two (old, new).
// Pointers to what is shared by all lanes (sysctls, steps, routes) and to what is the lane's own.
@unmanaged export class World {
  /** u32[Sysctl.COUNT] */
  sysctls: u32; // 0
  /** Step[2][5][STEPS_MAX]: family (IPv4, IPv6), then hook. */
  steps: u32;
  /** Route4[]; and u32[NETWORKS4 + 1]: number of the interval that each /16 begins in, then that of the last one. 0 without. */
  routes4: u32;
  networks4: u32;
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
  /** Account[] parallel to the flows, 0 if neither accounting nor timestamps nor labels are wanted. */
  accounts: u32; // 56
  /** Confirmed entries. */
  flow_count: u32;
  /** Index: IndexBucket[count], which grows in place up to `max` buckets. */
  index: u32; // 64
  index_count: u32;
  /** The least power of two above `index_count`, less one. */
  index_mask: u32;
  index_max: u32;
  /** Timing wheel: bucket heads; `wheel_now`: the moment (ns) up to which it was swept last, or is being swept. */
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
  /** Full: the run cannot go on. */
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
  /** Values in the index: an entry that NAT changed has two. */
  index_used: u32;
  /** Entries that went so that others found room (nf_conntrack_stat.early_drop). */
  early_dropped: u32; // 208
  /** Helping; 0 if no entry can have a helper. */
  helping: u32;
  /** Overflow buckets of the index: head of the free list, high-water mark, end of the reservation. */
  overflow_free: u32; // 216
  overflow_top: u32;
  overflow_end: u32;
  /** Bytes of a flow in the pool: FLOW_SHORT, or all of Flow. */
  flow_bytes: u32;
  /** TimerChunk[]: head of the free list, high-water mark. */
  timers_free: u32; // 232
  timers_top: u32;
  /** Sights, and Recent: answers that the host gave. 0 where no side of a packet is ever told. */
  sights: u32; // 240
  answers: u32;
  /** Bytes of one of the `accounts`: ACCOUNT_SHORT, ACCOUNT_LABELS, or all of Account. */
  account_bytes: u32; // 248
  /** u32[INTERFACES_MAX]: MTU of each interface, 0 unknown; 0 where none is known. */
  mtus: u32;
  /** Area of Sent records: start, end, write position; 0 unless somebody wants packets as they left. */
  sent: u32; // 256
  sent_end: u32;
  sent_top: u32; // 264
  /** What rules remember by address (KeyedTable ...), laid out by the rule compiler: this lane's. */
  keyed: u32;
  /** The moment (ns) up to which the timing wheel was swept to the end: `wheel_now`, unless events had no room. */
  wheel_swept: u64; // 272
  /** Decides what rules draw by chance in the kernel (--seed). */
  seed: u64; // 280
  /** Time of the first packet, ns since 1970. */
  began: u64; // 288
  /** ReversePaths, 0 if no rule asks for the way back to a packet's source. */
  reverse: u32; // 296
  /** 1 if it is known who sends the host's own packets, user and group. */
  owned: u32;
  uid: u32; // 304
  gid: u32;
  /** Number of the first packet, plus one, whose unknown sender a rule asked for, and that rule; 0 if there was none. */
  unowned: u64; // 312
  unowned_rule: u32; // 320
  pad_1: u32;
}
if (offsetof<World>() != 328) ERROR("World is 328 bytes");

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
