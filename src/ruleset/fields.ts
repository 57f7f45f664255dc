// How is a field of the packet or its connection read, and a cheap test of it written, in WebAssembly?
//
// What a function reads of the packet, and rules cannot change, is loaded once into a local, before the first rule that
// tests it. Marks and the ct state can change on the way and are loaded where they are tested. A connection that is not
// there reads as whatever lies at the bottom of memory, harmlessly: the test's `absent` decides then.
import { PacketFlag, Proto, Status } from '../../assembly/vocabulary.ts';
import { FLOW, INTERFACES_MAX, PACKET } from '../engine/layout.ts';
import type { AddressField, ConntrackField, NumberField, PacketField, Test } from './expression.ts';
import { HZ, NANOSECONDS_PER_JIFFY } from './jiffies.ts';
import type { Family } from './source.ts';
import { Code, I32, I64, type ValueType } from './wasm.ts';

const P = 0;

/** Protocols whose ports are in a packet's tuple. */
const PORT_PROTOCOLS = [Proto.TCP, Proto.UDP, Proto.SCTP, Proto.UDPLITE] as const;

/** Bytes of a transport header from which on a packet's tuple has ports. */
const PORTS_BYTES = 4;

/** No Ethernet header: no address has more than 48 bits. */
const NO_MAC = -1n;

export class Fields {
  /** Types of the locals behind the parameters; grows while the function is written. */
  readonly locals: ValueType[] = [];
  private readonly cached = new Map<string, number>();
  private loads = new Code();

  constructor(
    private readonly interfaceTable: number,
    readonly family: Family,
    /** Parameters of the function: locals come behind them. */
    private readonly parameters = 2,
  ) {}

  /** The code that fills the locals that are new since the last call. To be put before the code that was written meanwhile. */
  takeLoads(): Code {
    const { loads } = this;
    this.loads = new Code();
    return loads;
  }

  /** A local for an intermediate value, one per type: its value lasts until the next use. */
  scratch(type: ValueType): number {
    return this.local(`scratch ${type}`, type, undefined);
  }

  /** A local of its own for what lasts longer than one test. */
  variable(name: string): number {
    return this.local(`variable ${name}`, I32, undefined);
  }

  local(key: string, type: ValueType, load: ((code: Code) => void) | undefined): number {
    const found = this.cached.get(key);
    if (found !== undefined) return found;
    // The load may need other locals, which must be filled before.
    const code = new Code();
    load?.(code);
    const index = this.parameters + this.locals.push(type) - 1;
    this.cached.set(key, index);
    if (load) this.loads.append(code.set(index));
    return index;
  }

  field(key: string, offset: number, load: 'i32.load' | 'i32.load16_u' | 'i32.load8_u' = 'i32.load'): number {
    return this.local(key, I32, (code) => code.get(P).memory(load, offset));
  }

  flow(): number {
    return this.field('flow', PACKET.flow);
  }

  /** 1 in a later fragment. */
  later(): number {
    return this.local('later', I32, (code) => {
      const bit = Math.log2(PacketFlag.LATER_FRAGMENT);
      code.get(P).memory('i32.load16_u', PACKET.flags).i32(bit).op('i32.shr_u').i32(1).op('i32.and');
    });
  }

  /** 1 if extensions that need so many bytes of transport header cannot look at the packet. */
  odd(need: number): number {
    return this.local(`odd ${need}`, I32, (code) => {
      const later = this.later();
      code.get(later).get(P).memory('i32.load', PACKET.l4_len).i32(need).op('i32.lt_u', 'i32.or');
    });
  }

  /** Compares a test costs, undefined if it calls the engine. */
  cost(test: Test): number | undefined {
    switch (test.op) {
      case 'limit':
      case 'allowance':
      case 'owner':
      case 'rpfilter':
      case 'nth':
      case 'chance':
      case 'recent':
      case 'connlimit':
      case 'hashlimit':
      case 'ip set':
      case 'ct bytes':
      case 'ct label':
      case 'sctp chunks':
      case 'ct helper':
      case 'fib':
      case 'tcp option':
      case 'tcp mss':
      case 'within':
      case 'in':
      case 'look up':
      case 'add':
      case 'tokens':
      case 'quota':
        return undefined;
      case 'lookup':
        return test.fields.length * test.ranges.length;
      case 'address':
        return this.family === 2 ? 1 : 2;
      case 'address range':
        return this.family === 2 ? 1 : 6;
      case 'guard':
        return 1;
      case 'cmp':
      case 'range':
        return test.field === 'ct expiration' ? 8 : 1;
      default:
        return 1;
    }
  }

  /** Leaves 1 or 0 on the stack: whether the test holds. */
  test(code: Code, test: Test): void {
    switch (test.op) {
      case 'cmp': {
        const width = test.field === 'icmp type' || BYTES.has(test.field) ? 0xff : 0xffffffff;
        this.number(code, test.field);
        if ((test.mask & width) >>> 0 !== width) code.i32(test.mask).op('i32.and');
        if (test.value === 0) code.op('i32.eqz');
        else code.i32(test.value).op('i32.eq');
        this.finish(code, test.field, test);
        return;
      }
      case 'range':
        this.inRange(code, (each) => this.number(each, test.field), test.low, test.high);
        this.finish(code, test.field, test);
        return;
      case 'lookup': {
        let first = true;
        for (const field of test.fields) {
          for (const [low, high] of test.ranges) {
            this.inRange(code, (each) => this.number(each, field), low, high);
            if (!first) code.op('i32.or');
            first = false;
          }
        }
        if (test.invert) code.op('i32.eqz');
        return;
      }
      case 'address':
        this.address(code, test.field, test.mask, test.value);
        this.finish(code, test.field, test);
        return;
      case 'address range':
        if (this.family === 2) this.range4(code, test.field, test.low, test.high);
        else this.range6(code, test.field, test.low, test.high);
        if (test.invert) code.op('i32.eqz');
        return;
      case 'ether saddr': {
        const mac = this.mac();
        const value = littleEndian(test.value, 0, 6);
        if (test.invert) code.get(mac).i64(value).op('i64.ne').get(mac).i64(NO_MAC).op('i64.ne', 'i32.and');
        else code.get(mac).i64(value).op('i64.eq');
        return;
      }
      case 'ifname': {
        const name = test.field === 'iif' ? 'iif' : 'oif';
        code.get(this.field(name, PACKET[name], 'i32.load16_u'));
        code.memory('i32.load8_u', this.interfaceTable + test.pattern * INTERFACES_MAX);
        if (test.invert) code.op('i32.eqz');
        return;
      }
      case 'ct state':
        code.i32(test.states).get(P).memory('i32.load8_u', PACKET.ct_state).op('i32.shr_u').i32(1).op('i32.and');
        if (test.status !== 0) {
          const flow = this.flow();
          code.get(flow).memory('i32.load16_u', FLOW.status).i32(test.status).op('i32.and').i32(0).op('i32.ne');
          code.get(flow).i32(0).op('i32.ne', 'i32.and', 'i32.or');
        }
        if (test.invert) code.op('i32.eqz');
        return;
      case 'header':
        if (test.captured) {
          code.get(this.field('l4 captured', PACKET.l4_captured)).i32(test.need).op('i32.ge_u');
          code.get(this.later()).op('i32.eqz', 'i32.and');
        } else code.get(this.odd(test.need)).op('i32.eqz');
        return;
      case 'ether header':
        code.get(this.field('mac header', PACKET.mac)).i32(0).op('i32.ne');
        return;
      case 'connection':
        code.get(this.flow()).i32(0).op('i32.ne');
        return;
      default:
        throw new Error(`${test.op} is not a cheap test`);
    }
  }

  /** Applies `invert`, and what a missing connection means. */
  private finish(code: Code, field: NumberField | AddressField, test: { invert: boolean; absent?: boolean }): void {
    if (test.invert) code.op('i32.eqz');
    if (!field.startsWith('ct ')) return;
    code.get(this.flow());
    if (test.absent) code.op('i32.eqz', 'i32.or');
    else code.i32(0).op('i32.ne', 'i32.and');
  }

  /** low <= value <= high, unsigned. `push` leaves the value on the stack. */
  inRange(code: Code, push: (code: Code) => void, low: number, high: number): void {
    if (low > high) {
      code.i32(0);
      return;
    }
    push(code);
    if (low === high) code.i32(low).op('i32.eq');
    else if (low === 0) code.i32(high).op('i32.le_u');
    else if (high === 0xffffffff) code.i32(low).op('i32.ge_u');
    else
      code
        .i32(low)
        .op('i32.sub')
        .i32(high - low)
        .op('i32.le_u');
  }

  number(code: Code, field: NumberField): void {
    switch (field) {
      case 'l4proto':
        code.get(this.field(field, PACKET.protonum, 'i32.load8_u'));
        return;
      case 'sport':
        code.get(this.port(field, P, PACKET.sport));
        return;
      case 'dport':
        code.get(this.port(field, P, PACKET.dport));
        return;
      case 'th sport':
      case 'icmp type and code':
        code.get(this.port('th 0', this.field('l4', PACKET.l4), 0));
        return;
      case 'th dport':
        code.get(this.port('th 2', this.field('l4', PACKET.l4), 2));
        return;
      case 'any sport':
        this.anyPort(code, 'sport', 'th sport');
        return;
      case 'any dport':
        this.anyPort(code, 'dport', 'th dport');
        return;
      case 'tcp flags':
        code.get(this.field(field, PACKET.tcp_flags, 'i32.load8_u'));
        return;
      case 'icmp type': {
        const l4 = this.field('l4', PACKET.l4);
        code.get(this.local(field, I32, (load) => load.get(l4).memory('i32.load8_u', 0)));
        return;
      }
      case 'length':
        code.get(this.field(field, PACKET.ip_len));
        return;
      case 'ttl':
        code.get(this.field(field, PACKET.ttl, 'i32.load8_u'));
        return;
      case 'tos':
        code.get(this.field(field, PACKET.tos, 'i32.load8_u'));
        return;
      case 'pkttype':
        code.get(this.field(field, PACKET.pkttype, 'i32.load8_u'));
        return;
      case 'mark':
        code.get(P).memory('i32.load', PACKET.mark);
        return;
      case 'later fragment':
        code.get(this.later());
        return;
      default:
        this.connection(code, field);
    }
  }

  private anyPort(code: Code, ofTuple: PacketField, ofHeader: PacketField): void {
    this.number(code, ofTuple);
    this.number(code, ofHeader);
    for (const [index, protocol] of PORT_PROTOCOLS.entries()) {
      this.number(code, 'l4proto');
      code.i32(protocol).op('i32.eq');
      if (index > 0) code.op('i32.or');
    }
    code.get(P).memory('i32.load', PACKET.l4_captured).i32(PORTS_BYTES).op('i32.ge_u', 'i32.and');
    code.op('select');
  }

  private connection(code: Code, field: ConntrackField): void {
    const port = (offset: number): void => {
      code.get(this.port(field, this.flow(), offset));
    };
    switch (field) {
      case 'ct mark':
        code.get(this.flow()).memory('i32.load', FLOW.mark);
        return;
      case 'ct status':
        code.get(this.flow()).memory('i32.load16_u', FLOW.status);
        return;
      case 'ct direction':
        code.get(P).memory('i32.load8_u', PACKET.dir);
        return;
      case 'ct protocol':
        code.get(this.flow()).memory('i32.load8_u', FLOW.protonum);
        return;
      case 'ct original proto-src':
        port(FLOW.sport);
        return;
      case 'ct original proto-dst':
        port(FLOW.dport);
        return;
      case 'ct reply proto-src':
        port(FLOW.reply_sport);
        return;
      case 'ct reply proto-dst':
        port(FLOW.reply_dport);
        return;
      case 'ct expiration':
        this.expiration(code, HZ);
        return;
      case 'ct expiration ms':
        this.expiration(code, undefined);
        return;
      case 'ct l3proto':
        code.get(this.flow()).memory('i32.load8_u', FLOW.l3num);
        return;
      case 'ct zone': {
        // What holds for one direction alone is 0 in the other.
        const zone = this.scratch(I32);
        code.get(this.flow()).memory('i32.load16_u', FLOW.zone).tee(zone);
        code.get(this.flow()).memory('i32.load16_u', FLOW.reply_zone).get(zone).op('select');
        return;
      }
      case 'ct original zone':
        code.get(this.flow()).memory('i32.load16_u', FLOW.zone);
        return;
      case 'ct reply zone':
        code.get(this.flow()).memory('i32.load16_u', FLOW.reply_zone);
        return;
    }
  }

  /**
   * nf_ct_expires() in seconds of so many ticks, or else in milliseconds. The kernel subtracts ticks, so that an entry that was just refreshed has all its seconds.
   * Before confirmation it subtracts the clock from a mere duration; that is 0 here.
   */
  private expiration(code: Code, ticks: number | undefined): void {
    const flow = this.flow();
    const jiffies = (base: number, offset: number): void => {
      code.get(base).memory('i64.load', offset).i64(NANOSECONDS_PER_JIFFY).op('i64.div_u');
    };
    code.get(flow).memory('i32.load16_u', FLOW.status).i32(Status.CONFIRMED).op('i32.and').i32(0).op('i32.ne');
    code.get(flow).memory('i64.load', FLOW.expires).get(P).memory('i64.load', PACKET.clock).op('i64.gt_u', 'i32.and');
    code.if(I32);
    jiffies(flow, FLOW.expires);
    jiffies(P, PACKET.clock);
    code.op('i64.sub');
    if (ticks === undefined)
      code
        .op('i32.wrap_i64')
        .i32(1000 / HZ)
        .op('i32.mul');
    else code.i64(BigInt(ticks)).op('i64.div_u', 'i32.wrap_i64');
    code.op('else').i32(0).op('end');
  }

  /** A 16 bit number in wire order, as a local in host order. */
  private port(key: string, base: number, offset: number): number {
    return this.local(key, I32, (code) => {
      const word = this.scratch(I32);
      code.get(base).memory('i32.load16_u', offset).tee(word).i32(8).op('i32.shr_u');
      code.get(word).i32(0xff).op('i32.and').i32(8).op('i32.shl', 'i32.or');
    });
  }

  private mac(): number {
    return this.local('mac', I64, (code) => {
      const header = this.field('mac header', PACKET.mac);
      code.get(header).if(I64).get(header).memory('i64.load', 6).i64(0xffff_ffff_ffffn).op('i64.and', 'else');
      code.i64(NO_MAC).op('end');
    });
  }

  /** Base and offset of an address. */
  private place(field: AddressField): { base: number; offset: number } {
    switch (field) {
      case 'saddr':
        return { base: P, offset: PACKET.src_lo };
      case 'daddr':
        return { base: P, offset: PACKET.dst_lo };
      case 'ct original saddr':
        return { base: this.flow(), offset: FLOW.src_lo };
      case 'ct original daddr':
        return { base: this.flow(), offset: FLOW.dst_lo };
      case 'ct reply saddr':
        return { base: this.flow(), offset: FLOW.reply_src_lo };
      case 'ct reply daddr':
        return { base: this.flow(), offset: FLOW.reply_dst_lo };
    }
  }

  private address(code: Code, field: AddressField, mask: Uint8Array, value: Uint8Array): void {
    const { base, offset } = this.place(field);
    if (this.family === 2) {
      const bits = littleEndian(mask, 0, 4);
      code.get(this.local(field, I32, (load) => load.get(base).memory('i32.load', offset)));
      if (bits !== 0xffff_ffffn) code.i32(Number(bits)).op('i32.and');
      code.i32(Number(littleEndian(value, 0, 4))).op('i32.eq');
      return;
    }
    let halves = 0;
    for (const half of [0, 8]) {
      const bits = littleEndian(mask, half, 8);
      if (bits === 0n) continue;
      code.get(this.half(field, base, offset, half));
      if (bits !== 0xffff_ffff_ffff_ffffn) code.i64(bits).op('i64.and');
      code.i64(littleEndian(value, half, 8)).op('i64.eq');
      if (halves++ > 0) code.op('i32.and');
    }
    if (halves === 0) code.i32(1);
  }

  private half(field: AddressField, base: number, offset: number, half: number): number {
    return this.local(`${field} ${half}`, I64, (load) => load.get(base).memory('i64.load', offset + half));
  }

  /** A local with an IPv4 address as a number. */
  host4(field: AddressField): number {
    const { base, offset } = this.place(field);
    return this.local(`${field} host`, I32, (load) => {
      const word = this.local(field, I32, (each) => each.get(base).memory('i32.load', offset));
      swap32(load, word);
    });
  }

  /** A local with one half (0 or 8) of an IPv6 address as a number. */
  host6(field: AddressField, half: 0 | 8): number {
    const { base, offset } = this.place(field);
    return this.local(`${field} ${half} host`, I64, (load) =>
      swap64(load, this.half(field, base, offset, half), this.scratch(I64)),
    );
  }

  private range4(code: Code, field: 'saddr' | 'daddr', low: Uint8Array, high: Uint8Array): void {
    const host = this.host4(field);
    this.inRange(code, (each) => each.get(host), Number(bigEndian(low, 0, 4)), Number(bigEndian(high, 0, 4)));
  }

  private range6(code: Code, field: 'saddr' | 'daddr', low: Uint8Array, high: Uint8Array): void {
    const upper = this.host6(field, 0);
    const lower = this.host6(field, 8);
    const beyond = (bound: Uint8Array, strict: 'i64.gt_u' | 'i64.lt_u', loose: 'i64.ge_u' | 'i64.le_u'): void => {
      const first = bigEndian(bound, 0, 8);
      code.get(upper).i64(first).op(strict);
      code
        .get(upper)
        .i64(first)
        .op('i64.eq')
        .get(lower)
        .i64(bigEndian(bound, 8, 8))
        .op(loose, 'i32.and', 'i32.or');
    };
    beyond(low, 'i64.gt_u', 'i64.ge_u');
    beyond(high, 'i64.lt_u', 'i64.le_u');
    code.op('i32.and');
  }
}

/** Fields that are one byte. */
const BYTES: ReadonlySet<NumberField> = new Set<NumberField>([
  'l4proto',
  'tcp flags',
  'ttl',
  'tos',
  'pkttype',
  'later fragment',
  'ct direction',
  'ct l3proto',
  'ct protocol',
]);

/** Leaves the bytes of a 32 bit local in reverse order on the stack. */
export function swap32(code: Code, word: number): void {
  code.get(word).i32(8).op('i32.rotl').i32(0x00ff00ff).op('i32.and');
  code.get(word).i32(24).op('i32.rotl').i32(0xff00ff00).op('i32.and', 'i32.or');
}

/** Leaves the bytes of a 64 bit local in reverse order on the stack. */
export function swap64(code: Code, word: number, scratch: number): void {
  const step = (source: number, mask: bigint, shift: bigint): void => {
    code.get(source).i64(mask).op('i64.and').i64(shift).op('i64.shl');
    code.get(source).i64(shift).op('i64.shr_u').i64(mask).op('i64.and', 'i64.or');
  };
  // Bytes within 16 bits, those within 32, then the halves.
  step(word, 0x00ff_00ff_00ff_00ffn, 8n);
  code.set(scratch);
  step(scratch, 0x0000_ffff_0000_ffffn, 16n);
  code.i64(32n).op('i64.rotl');
}

function littleEndian(bytes: Uint8Array, start: number, count: number): bigint {
  let value = 0n;
  for (let index = count - 1; index >= 0; index--) value = (value << 8n) | BigInt(bytes[start + index] ?? 0);
  return value;
}

function bigEndian(bytes: Uint8Array, start: number, count: number): bigint {
  let value = 0n;
  for (let index = 0; index < count; index++) value = (value << 8n) | BigInt(bytes[start + index] ?? 0);
  return value;
}
