// What do nft's sets hold? Lists of elements, and for sets that rules fill maps by key, written plainly; the double words that
// statements of elements keep are those of the element itself.
import { PACKET, WORLD } from '../../src/engine/layout.ts';
import type { Program, StatePlace, Test } from '../../src/ruleset/expression.ts';
import type { SetProgram } from '../../src/ruleset/set-program.ts';

const JIFFY_NS = 4_000_000n;
const U64 = 0xffff_ffff_ffff_ffffn;

interface Live {
  /** Jiffy in which it is over; undefined: never. */
  expires: bigint | undefined;
  data: BigUint64Array;
}

type Registers = ReadonlyMap<number, BigUint64Array>;

export class SetInterpreter {
  private readonly live = new Map<number, Map<string, Live>>();

  constructor(
    private readonly view: DataView,
    private readonly program: Program,
  ) {
    program.sets.forEach((set, index) => {
      if (!set.live) return;
      const elements = set.elements.map(({ low, data }): [string, Live] => [
        words(set, low).join(),
        { expires: undefined, data: BigUint64Array.from(data) },
      ]);
      this.live.set(index, new Map(elements));
    });
  }

  private now(p: number): bigint {
    return this.view.getBigUint64(p + PACKET.clock, true) / JIFFY_NS;
  }

  /** The data of a key, in double words. */
  find({ set }: { set: number }, key: readonly bigint[], p: number, _w: number): BigUint64Array | undefined {
    const program = this.program.sets[set]!;
    const live = this.live.get(set);
    if (live) {
      const found = live.get(key.join());
      return found && (found.expires === undefined || found.expires > this.now(p)) ? found.data : undefined;
    }
    const numbers = join(program, key);
    const element = program.elements.find(({ low, high }) =>
      numbers.every((number, part) => number >= low[part]! && number <= high[part]!),
    );
    const data = element?.data ?? program.otherwise;
    return data && BigUint64Array.from(data);
  }

  add(
    test: Extract<Test, { op: 'add' }>,
    key: readonly bigint[],
    data: readonly bigint[],
    p: number,
    w: number,
  ): BigUint64Array | undefined {
    const set = this.live.get(test.set)!;
    const now = this.now(p);
    const known = set.get(key.join());
    const expires = test.timeout === 0n ? undefined : now + test.timeout;
    if (known && this.find(test, key, p, w)) {
      if (test.renew && expires !== undefined && known.expires !== undefined) known.expires = expires;
      return known.data;
    }
    if (!known) {
      const { size } = this.program.sets[test.set]!.live!;
      if (set.size >= size) {
        for (const [each, element] of set) {
          if (element.expires !== undefined && element.expires <= now) set.delete(each);
        }
      }
      if (set.size >= size) return undefined;
    }
    const added = { expires, data: BigUint64Array.from(data) };
    set.set(key.join(), added);
    return added.data;
  }

  remove(set: number, key: readonly bigint[], _w: number): void {
    this.live.get(set)!.delete(key.join());
  }

  tokens(test: Extract<Test, { op: 'tokens' }>, registers: Registers, p: number, w: number): boolean {
    if (!this.applies(test.at, registers)) return true;
    const length = BigInt(this.view.getUint32(p + PACKET.ip_len, true));
    const now = this.view.getBigUint64(p + PACKET.clock, true);
    const cost = test.unit === 'bytes' ? (test.period * length) / test.rate : test.period / test.rate;
    const [left, last] = this.state(test.at, 2, registers, w) as [bigint, bigint];
    const gained = BigInt.asUintN(64, left + now - last);
    const tokens = gained > test.max ? test.max : gained;
    const passes = BigInt.asIntN(64, tokens - cost) >= 0n;
    this.keep(test.at, [passes ? tokens - cost : tokens, now], registers, w);
    return passes !== test.invert;
  }

  quota(test: Extract<Test, { op: 'quota' }>, registers: Registers, p: number, w: number): boolean {
    if (!this.applies(test.at, registers)) return true;
    const [before = 0n] = this.state(test.at, 1, registers, w);
    const used = before + BigInt(this.view.getUint32(p + PACKET.ip_len, true));
    this.keep(test.at, [used], registers, w);
    return used > test.quota === test.over;
  }

  private applies(at: StatePlace, registers: Registers): boolean {
    return 'state' in at || registers.get(at.register)![at.kind] === BigInt(at.is);
  }

  private state(at: StatePlace, count: number, registers: Registers, w: number): bigint[] {
    if ('register' in at) return Array.from(registers.get(at.register)!.subarray(at.offset / 8, at.offset / 8 + count));
    const from = this.view.getUint32(w + WORLD.rule_state, true) + at.state;
    return Array.from({ length: count }, (_, index) => this.view.getBigUint64(from + index * 8, true));
  }

  private keep(at: StatePlace, numbers: readonly bigint[], registers: Registers, w: number): void {
    if ('register' in at) {
      registers.get(at.register)!.set(numbers, at.offset / 8);
      return;
    }
    const from = this.view.getUint32(w + WORLD.rule_state, true) + at.state;
    for (const [index, number] of numbers.entries()) this.view.setBigUint64(from + index * 8, number, true);
  }
}

/** The numbers of a key's parts as double words, and back. */
function words(set: SetProgram, numbers: readonly bigint[]): bigint[] {
  return set.parts.flatMap((count, part) => {
    const number = numbers[part]!;
    return count === 1 ? [number] : [number >> 64n, number & U64];
  });
}

function join(set: SetProgram, key: readonly bigint[]): bigint[] {
  let at = 0;
  return set.parts.map((count) => {
    const first = key[at]!;
    const number = count === 1 ? first : (first << 64n) | key[at + 1]!;
    at += count;
    return number;
  });
}
