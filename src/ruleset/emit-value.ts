// How is a value of nft's registers computed in WebAssembly? As one double word, or two if it is wider than 64 bits.
import { NAT_RANGE, PACKET, WORLD } from '../engine/layout.ts';
import { type EngineFunction, P, W } from './engine-functions.ts';
import type { NatValues, StatePlace, Value } from './expression.ts';
import { type Fields, swap32, swap64 } from './fields.ts';
import { type Code, I32, I64 } from './wasm.ts';

type Half = 'upper' | 'lower';

const U64 = 0xffff_ffff_ffff_ffffn;
const NANOSECONDS_PER_SECOND = 1_000_000_000n;
const SECONDS_PER_DAY = 86_400n;
/** 1 January 1970 was a Thursday. */
const FIRST_WEEKDAY = 4n;

/** NF_CT_STATE_BIT() and its like by CtState, a byte each: what no tracker has seen counts as invalid. */
const STATE_BITS = [1, 8, 2, 4, 1, 64].reduceRight((bytes, bits) => (bytes << 8n) | BigInt(bits), 0n);

export function isWide(value: Value): boolean {
  return value.bits > 64;
}

/** Writes values into the code of one function. */
export class ValueWriter {
  constructor(
    private readonly code: Code,
    private readonly fields: Fields,
    private readonly engine: ReadonlyMap<string, number>,
    /** Offset of the interfaces' names from World.dispatch. */
    private readonly names: number,
  ) {}

  /** The local of a register: where the data of an element lie. */
  register(number: number): number {
    return this.fields.variable(`register ${number}`);
  }

  private call(name: EngineFunction): void {
    this.code.call(this.engine.get(name)!);
  }

  /** Leaves one half of a value on the stack, as 64 bits. */
  push(value: Value, half: Half = 'lower'): void {
    const { code, fields } = this;
    if (half === 'upper' && !isWide(value)) {
      code.i64(0n);
      return;
    }
    switch (value.op) {
      case 'constant':
        code.i64(half === 'upper' ? value.value >> 64n : value.value & U64);
        return;
      case 'number':
        fields.number(code, value.field);
        code.op('i64.extend_i32_u');
        return;
      case 'address':
        if (value.bits === 32) code.get(fields.host4(value.field)).op('i64.extend_i32_u');
        else code.get(fields.host6(value.field, half === 'upper' ? 0 : 8));
        return;
      case 'payload':
        this.payload(value, half);
        return;
      case 'ct state':
        code.i64(STATE_BITS).get(P).memory('i64.load8_u', PACKET.ct_state).i64(3n).op('i64.shl', 'i64.shr_u');
        code.i64(0xffn).op('i64.and');
        return;
      case 'ct counter':
        code.get(P).get(W).i32(value.carried).i32(value.by);
        this.call('rule_ct_counter');
        return;
      case 'ifname':
        code.get(W).memory('i32.load', WORLD.dispatch).get(P).memory('i32.load16_u', PACKET[value.field]);
        code
          .i32(4)
          .op('i32.shl', 'i32.add')
          .memory('i64.load', this.names + (half === 'upper' ? 0 : 8));
        return;
      case 'clock':
        this.clock(value.unit);
        return;
      case 'fib type':
        code
          .get(P)
          .get(W)
          .i32(value.field === 'saddr' ? PACKET.src_lo : PACKET.dst_lo);
        this.interface(value.interface);
        this.call('rule_fib_type');
        code.op('i64.extend_i32_u');
        return;
      case 'fib oif':
        code
          .get(P)
          .get(W)
          .i32(value.field === 'saddr' ? 1 : 0);
        this.interface(value.interface);
        this.call('rule_fib_oif');
        code.op('i64.extend_i32_u');
        return;
      case 'and':
      case 'or':
      case 'xor':
        this.push(value.left, half);
        this.push(value.right, half);
        code.op(`i64.${value.op}`);
        return;
      case 'shl':
        this.push(value.value);
        code.i64(BigInt(value.by)).op('i64.shl');
        if (value.bits < 64) code.i64((1n << BigInt(value.bits)) - 1n).op('i64.and');
        return;
      case 'shr':
        this.push(value.value);
        code.i64(BigInt(value.by)).op('i64.shr_u');
        return;
      case 'data':
        code.get(this.register(value.register));
        code.memory('i64.load', (value.word + (isWide(value) && half === 'lower' ? 1 : 0)) * 8);
        return;
      case 'random':
        code.get(W).i32(value.salt).i32(value.modulus);
        this.call('rule_random');
        code.i32(value.offset).op('i32.add', 'i64.extend_i32_u');
        return;
      case 'numgen':
        code.get(W).i32(value.state).i32(value.modulus);
        this.call('rule_next_number');
        code.i32(value.offset).op('i32.add', 'i64.extend_i32_u');
        return;
    }
  }

  private interface(name: 'iif' | 'oif' | undefined): void {
    if (name === undefined) this.code.i32(0);
    else this.code.get(P).memory('i32.load16_u', PACKET[name]);
  }

  private clock(unit: 'ns' | 'day' | 'hour'): void {
    const { code } = this;
    code.get(P).memory('i64.load', PACKET.clock);
    if (unit === 'ns') return;
    code.i64(NANOSECONDS_PER_SECOND).op('i64.div_u').i64(SECONDS_PER_DAY);
    if (unit === 'hour') code.op('i64.rem_u');
    else code.op('i64.div_u').i64(FIRST_WEEKDAY).op('i64.add').i64(7n).op('i64.rem_u');
  }

  /** Bytes of a header do not change under the rules: they are loaded once. */
  private payload(value: Extract<Value, { op: 'payload' }>, half: Half): void {
    const { base } = value;
    const bits = isWide(value) ? 64 : value.bits;
    const offset = value.offset + (isWide(value) && half === 'lower' ? 64 : 0);
    const field = { network: PACKET.l3, transport: PACKET.l4, ether: PACKET.mac }[base];
    const key = { network: 'l3', transport: 'l4', ether: 'mac header' }[base];
    const header = this.fields.field(key, field);
    const loaded = this.fields.local(`payload ${base} ${offset} ${bits}`, I64, (code) => {
      const first = offset >> 3;
      const count = ((offset + bits - 1) >> 3) - first + 1;
      for (let byte = 0; byte < count; byte++) {
        if (byte > 0) code.i64(8n).op('i64.shl');
        code.get(header).memory('i64.load8_u', first + byte);
        if (byte > 0) code.op('i64.or');
      }
      const behind = count * 8 - (offset & 7) - bits;
      if (behind > 0) code.i64(BigInt(behind)).op('i64.shr_u');
      if (offset & 7) code.i64((1n << BigInt(bits)) - 1n).op('i64.and');
    });
    this.code.get(loaded);
  }

  /** Leaves 1 or 0: whether the value lies in one of the ranges. */
  within(value: Value, ranges: readonly (readonly [low: bigint, high: bigint])[]): void {
    const { code, fields } = this;
    if (ranges.length === 0) {
      code.i32(0);
      return;
    }
    const lower = fields.local('within lower', I64, undefined);
    this.push(value);
    code.set(lower);
    if (!isWide(value)) {
      for (const [index, [low, high]] of ranges.entries()) {
        code.get(lower);
        if (low === high) code.i64(low).op('i64.eq');
        else if (low === 0n) code.i64(high).op('i64.le_u');
        else
          code
            .i64(low)
            .op('i64.sub')
            .i64(high - low)
            .op('i64.le_u');
        if (index > 0) code.op('i32.or');
      }
      return;
    }
    const upper = fields.local('within upper', I64, undefined);
    this.push(value, 'upper');
    code.set(upper);
    for (const [index, [low, high]] of ranges.entries()) {
      this.beyond(upper, lower, low, 'i64.gt_u', 'i64.ge_u');
      this.beyond(upper, lower, high, 'i64.lt_u', 'i64.le_u');
      code.op('i32.and');
      if (index > 0) code.op('i32.or');
    }
  }

  private beyond(
    upper: number,
    lower: number,
    bound: bigint,
    strict: 'i64.gt_u' | 'i64.lt_u',
    loose: 'i64.ge_u' | 'i64.le_u',
  ): void {
    const { code } = this;
    const first = bound >> 64n;
    code.get(upper).i64(first).op(strict);
    code.get(upper).i64(first).op('i64.eq').get(lower);
    code.i64(bound & U64).op(loose, 'i32.and', 'i32.or');
  }

  /** Puts numbers beside each other in World.rule_state, and leaves their address on the stack. */
  key(parts: readonly Value[], scratch: number): void {
    const { code, fields } = this;
    const address = fields.local('key', I32, undefined);
    code.get(W).memory('i32.load', WORLD.rule_state).i32(scratch).op('i32.add').set(address);
    let offset = 0;
    for (const part of parts) {
      for (const half of isWide(part) ? (['upper', 'lower'] as const) : (['lower'] as const)) {
        code.get(address);
        this.push(part, half);
        code.memory('i64.store', offset);
        offset += 8;
      }
    }
    code.get(address);
  }

  /** Leaves the address of a statement's state. */
  place(at: StatePlace): void {
    const { code } = this;
    if ('state' in at) code.get(W).memory('i32.load', WORLD.rule_state).i32(at.state).op('i32.add');
    else code.get(this.register(at.register)).i32(at.offset).op('i32.add');
  }

  /** Puts a NatRange together, and leaves its address. */
  natRange({ scratch, addresses, ports }: NatValues, kind: number, flags: number): void {
    const { code, fields } = this;
    const range = fields.local('nat range', I32, undefined);
    code.get(W).memory('i32.load', WORLD.rule_state).i32(scratch).op('i32.add').set(range);
    for (let offset = 0; offset < NAT_RANGE.size; offset += 8) code.get(range).i64(0n).memory('i64.store', offset);
    if (addresses) {
      this.storeAddress(range, NAT_RANGE.min_lo, addresses.low);
      this.storeAddress(range, NAT_RANGE.max_lo, addresses.high);
    }
    if (ports) {
      for (const [offset, port] of [
        [NAT_RANGE.min_proto, ports.low],
        [NAT_RANGE.max_proto, ports.high],
      ] as const) {
        code.get(range);
        this.push(port);
        code.op('i32.wrap_i64').memory('i32.store16', offset);
      }
    }
    code.get(range).i32(kind).memory('i32.store8', NAT_RANGE.kind);
    code.get(range).i32(flags).memory('i32.store8', NAT_RANGE.flags);
    code.get(range);
  }

  /** In wire order. */
  private storeAddress(range: number, offset: number, value: Value): void {
    const { code, fields } = this;
    if (!isWide(value)) {
      const word = fields.local('address word', I32, undefined);
      this.push(value);
      code.op('i32.wrap_i64').set(word).get(range);
      swap32(code, word);
      code.memory('i32.store', offset);
      return;
    }
    const word = fields.local('address half', I64, undefined);
    for (const half of ['upper', 'lower'] as const) {
      this.push(value, half);
      code.set(word).get(range);
      swap64(code, word, fields.scratch(I64));
      code.memory('i64.store', offset + (half === 'upper' ? 0 : 8));
    }
  }
}
