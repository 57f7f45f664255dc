// Wire-order loads and comparisons of raw bytes. Nothing here checks bounds: lengths are checked in packet.ts.

// @ts-ignore: decorator
@inline export function be16(at: usize): u32 {
  return <u32>bswap<u16>(load<u16>(at));
}

// @ts-ignore: decorator
@inline export function be32(at: usize): u32 {
  return bswap<u32>(load<u32>(at));
}

// @ts-ignore: decorator
@inline export function be64(at: usize): u64 {
  return bswap<u64>(load<u64>(at));
}

/** Copies 16 bytes. */
// @ts-ignore: decorator
@inline export function copy16(target: usize, source: usize): void {
  v128.store(target, v128.load(source));
}

/** A 16-bit number as its bytes lie in a packet. */
// @ts-ignore: decorator
@inline export function bswap16(value: u32): u32 {
  return ((value & 0xff) << 8) | ((value >> 8) & 0xff);
}
