// How are sets and maps laid out (assembly/rules/set.ts)?

// KeySet: a set that rules do not change (32 bytes). Offsets in it count from World.dispatch.
//   A key is a row of u64, most significant first; so are the data of an element.
@unmanaged export class KeySet {
  /** SetKind. */
  kind: u32;
  /** Words of a key, and of what an element holds behind it. */
  key_words: u32;
  data_words: u32;
  /** HASH: slots less 1, which are a power of two. Others: elements. */
  count: u32;
  /** HASH: 1 if in use, key, data. RANGES, in ascending order, and PARTS: lowest key, highest key, data. */
  elements: u32;
  /** Data of what no element has ('*'), 0 for none. */
  otherwise: u32;
  /** PARTS: u32[], words of each part of the key. */
  parts: u32;
  parts_count: u32;
}
if (offsetof<KeySet>() != 32) ERROR("KeySet is 32 bytes");

// LiveSet: a set that rules change (24 bytes, then its slots), in World.rule_state
//   A slot: the jiffy in which it expires (0 free, -1 never), key, data.
@unmanaged export class LiveSet {
  key_words: u32;
  data_words: u32;
  /** Slots less 1: a power of two less 1, and at least twice `limit`. */
  mask: u32;
  /** Elements that it may have. */
  limit: u32;
  /** Slots in use, those that have expired included. */
  used: u32;
  pad: u32;
}
if (offsetof<LiveSet>() != 24) ERROR("LiveSet is 24 bytes");
