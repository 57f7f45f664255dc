// What number is a value of nft's registers? The plain reading of Value, with big numbers.
import { type AddrType, Carried, CarriedBy, CtState, L3 } from '../../assembly/vocabulary.ts';
import { ACCOUNT, PACKET, WORLD } from '../../src/engine/layout.ts';
import type { AddressField, NumberField, Value } from '../../src/ruleset/expression.ts';
import { fibType } from '../unit/ruleset/rule-bench.ts';
import type { Surroundings } from './rule-interpreter.ts';

interface Readers {
  number(field: NumberField, p: number): number;
  address(field: AddressField, length: number, p: number): Uint8Array;
  /** Address of the account of the packet's flow, 0 without. */
  account(p: number, w: number): number;
}

const STATES: Readonly<Record<CtState, bigint>> = {
  [CtState.NONE]: 1n,
  [CtState.NEW]: 8n,
  [CtState.ESTABLISHED]: 2n,
  [CtState.RELATED]: 4n,
  [CtState.INVALID]: 1n,
  [CtState.UNTRACKED]: 64n,
};

function bigEndian(bytes: Uint8Array): bigint {
  return bytes.reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

export class ValueInterpreter {
  /** Data of the elements that were found, in double words. */
  readonly registers = new Map<number, BigUint64Array>();

  constructor(
    private readonly view: DataView,
    private readonly surroundings: Surroundings,
    private readonly read: Readers,
  ) {}

  all(values: readonly Value[], p: number, w: number): bigint[] {
    return values.flatMap((value) => {
      const number = this.of(value, p, w);
      return value.bits > 64 ? [number >> 64n, BigInt.asUintN(64, number)] : [number];
    });
  }

  of(value: Value, p: number, w: number): bigint {
    const { view } = this;
    switch (value.op) {
      case 'constant':
        return value.value;
      case 'number':
        return BigInt(this.read.number(value.field, p) >>> 0);
      case 'address':
        return bigEndian(this.read.address(value.field, value.bits / 8, p));
      case 'payload': {
        const header = view.getUint32(
          p + { network: PACKET.l3, transport: PACKET.l4, ether: PACKET.mac }[value.base],
          true,
        );
        let number = 0n;
        for (let bit = value.offset; bit < value.offset + value.bits; bit++) {
          number = (number << 1n) | BigInt((view.getUint8(header + (bit >> 3)) >> (7 - (bit & 7))) & 1);
        }
        return number;
      }
      case 'ct state':
        return STATES[view.getUint8(p + PACKET.ct_state) as CtState];
      case 'ct counter':
        return this.carried(value, p, w);
      case 'ifname': {
        const index = view.getUint16(p + PACKET[value.field], true);
        const bytes = new Uint8Array(16);
        bytes.set(new TextEncoder().encode(index === 0 ? '' : this.surroundings.interfaceName(index)));
        return bigEndian(bytes);
      }
      case 'clock': {
        const clock = view.getBigUint64(p + PACKET.clock, true);
        const date = new Date(Number(clock / 1_000_000n));
        if (value.unit === 'day') return BigInt(date.getUTCDay());
        if (value.unit === 'ns') return clock;
        return BigInt(date.getUTCHours() * 3600 + date.getUTCMinutes() * 60 + date.getUTCSeconds());
      }
      case 'fib type':
        return BigInt(this.fib(value, p));
      case 'and':
        return this.of(value.left, p, w) & this.of(value.right, p, w);
      case 'or':
        return this.of(value.left, p, w) | this.of(value.right, p, w);
      case 'xor':
        return this.of(value.left, p, w) ^ this.of(value.right, p, w);
      case 'shl':
        return BigInt.asUintN(value.bits, this.of(value.value, p, w) << BigInt(value.by));
      case 'shr':
        return this.of(value.value, p, w) >> BigInt(value.by);
      case 'data': {
        const data = this.registers.get(value.register)!;
        const first = data[value.word]!;
        return value.bits > 64 ? (first << 64n) | data[value.word + 1]! : first;
      }
      case 'random': {
        const number = view.getBigUint64(w + WORLD.number, true);
        const seed = view.getBigUint64(w + WORLD.seed, true);
        let z = seed + number * 0x9e3779b97f4a7c15n + BigInt(value.salt + 1) * 0xd1342543de82ef95n;
        z = BigInt.asUintN(64, z);
        z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
        z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
        return (((z >> 32n) * BigInt(value.modulus)) >> 32n) + BigInt(value.offset);
      }
      case 'numgen': {
        const at = view.getUint32(w + WORLD.rule_state, true) + value.state;
        const next = (view.getUint32(at, true) + 1) % value.modulus;
        view.setUint32(at, next, true);
        return BigInt(next + value.offset);
      }
      default:
        throw new Error(`no model of ${value.op}`);
    }
  }

  private carried({ carried, by }: Extract<Value, { op: 'ct counter' }>, p: number, w: number): bigint {
    const account = this.read.account(p, w);
    if (account === 0) return 0n;
    const read = (offset: number): bigint => this.view.getBigUint64(account + offset, true);
    let packets = 0n;
    let bytes = 0n;
    if (by !== CarriedBy.REPLY) {
      packets += read(ACCOUNT.packets_original);
      bytes += read(ACCOUNT.bytes_original);
    }
    if (by !== CarriedBy.ORIGINAL) {
      packets += read(ACCOUNT.packets_reply);
      bytes += read(ACCOUNT.bytes_reply);
    }
    if (carried === Carried.AVERAGE) return packets === 0n ? 0n : bytes / packets;
    return carried === Carried.PACKETS ? packets : bytes;
  }

  private fib(value: Extract<Value, { op: 'fib type' }>, p: number): AddrType {
    const family = this.view.getUint8(p + PACKET.l3num);
    const address = this.read.address(value.field, family === L3.IPV4 ? 4 : 16, p);
    const iface = value.interface ? this.view.getUint16(p + PACKET[value.interface], true) : 0;
    const types = this.surroundings.routeTypes(family, address, iface);
    return fibType(types);
  }
}
