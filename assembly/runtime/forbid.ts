// The engine's runtime: none. Any managed allocation (an array, a string, a class that is not @unmanaged) becomes a
// compile error here, because everything on the packet path lives in regions of linear memory.

// @ts-ignore: decorator
@inline const MESSAGE = "managed allocation in the engine: use an @unmanaged record in a region";

// @ts-ignore: decorator
@global @unsafe function __new(size: usize, id: u32): usize {
  ERROR(MESSAGE);
  return 0;
}
// @ts-ignore: decorator
@global @unsafe function __renew(ptr: usize, size: usize): usize {
  ERROR(MESSAGE);
  return 0;
}
// @ts-ignore: decorator
@global @unsafe function __link(parent: usize, child: usize, expect: bool): void {
  ERROR(MESSAGE);
}
// @ts-ignore: decorator
@global @unsafe function __pin(ptr: usize): usize {
  ERROR(MESSAGE);
  return 0;
}
// @ts-ignore: decorator
@global @unsafe function __unpin(ptr: usize): void {
  ERROR(MESSAGE);
}
// @ts-ignore: decorator
@global @unsafe function __collect(): void {
  ERROR(MESSAGE);
}
