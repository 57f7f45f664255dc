// What is random in the kernel: numbers that follow from the run's seed and the packet, so that they depend neither on
// other flows nor on lanes (docs/nat.md).

/** What the number of a packet, and of a draw for it, adds to the seed. */
export const PER_PACKET: u64 = 0x9e3779b97f4a7c15;
export const PER_DRAW: u64 = 0xd1342543de82ef95;

/** splitmix64's output for this state; the upper bits are the best. */
// @ts-ignore: decorator
@inline export function splitmix(state: u64): u64 {
  let z = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z;
}
