// How are long runs of rules laid out (assembly/rules/dispatch.ts)?

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
