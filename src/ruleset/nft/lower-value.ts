// How do nft's expressions become values, and what must hold before they can be computed?
//
// An expression that finds nothing ends its rule (NFT_BREAK), so that each brings tests with it: that the packet has the
// header, or a connection. So do the dependencies that nft adds by itself: `tcp dport` tests the protocol first.
import { Carried, CarriedBy, Hook, L3, Proto } from '../../../assembly/vocabulary.ts';
import type { Action, NumberField, Program, Test, Value } from '../expression.ts';
import { LIMIT_STATE } from '../expression.ts';
import type { Family } from '../source.ts';
import type {
  Binary,
  Ct,
  Expression,
  Exthdr,
  Fib,
  Hash,
  MapLookup,
  Meta,
  Numgen,
  Payload,
  PayloadProtocol,
  Place,
} from './ast.ts';
import { boundsOf } from './lower-set.ts';
import { refuseAt } from './text.ts';

/** The rule does not go on behind this for packets of this family. */
export class Never extends Error {}

const PROTOCOLS: Readonly<Partial<Record<PayloadProtocol, number>>> = {
  icmp: Proto.ICMP,
  igmp: 2,
  icmpv6: Proto.ICMPV6,
  ah: Proto.AH,
  esp: Proto.ESP,
  comp: 108,
  udp: Proto.UDP,
  udplite: Proto.UDPLITE,
  tcp: Proto.TCP,
  dccp: Proto.DCCP,
  sctp: Proto.SCTP,
};
const FAMILIES: Readonly<Partial<Record<PayloadProtocol, Family>>> = {
  ip: L3.IPV4,
  ip6: L3.IPV6,
  icmp: L3.IPV4,
  igmp: L3.IPV4,
  icmpv6: L3.IPV6,
};
/** Types of messages that have a field, where nft tests them by itself. */
const ICMP_TYPES: Readonly<Record<string, readonly number[]>> = {
  'icmp id': [0, 8],
  'icmp sequence': [0, 8],
  'icmp gateway': [5],
  'icmp mtu': [3],
  'icmpv6 parameter-problem': [4],
  'icmpv6 packet-too-big': [2],
  'icmpv6 mtu': [2],
  'icmpv6 id': [128, 129],
  'icmpv6 sequence': [128, 129],
  'icmpv6 max-delay': [130],
};
const PORT_PROTOCOLS: ReadonlySet<number> = new Set([Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP]);
/** Bytes of a transport header that are there if the packet has them: a capture that has fewer is not judged. */
const CAPTURED: Readonly<Record<number, number>> = {
  [Proto.TCP]: 20,
  [Proto.UDP]: 8,
  [Proto.UDPLITE]: 8,
  [Proto.SCTP]: 12,
  [Proto.ICMP]: 8,
  [Proto.ICMPV6]: 8,
};
const CAPTURED_ALWAYS = 4;
const NETWORK_BITS: Readonly<Record<Family, number>> = { [L3.IPV4]: 160, [L3.IPV6]: 320 };

const ETHERTYPES: Readonly<Record<Family, bigint>> = { [L3.IPV4]: 0x0800n, [L3.IPV6]: 0x86ddn };

const WITHOUT_SOCKET = (1 << Hook.PREROUTING) | (1 << Hook.FORWARD);
const WITH_LINK = (1 << Hook.PREROUTING) | (1 << Hook.INPUT) | (1 << Hook.FORWARD);

/** Refuses what is not executed. */
export function unsupported(what: string, at: Place): never {
  return refuseAt('RULESET_UNSUPPORTED', `${what} is not supported`, at);
}

/** What a rule is lowered in. */
export interface Surroundings {
  program: Program;
  family: Family;
  /** Hooks from which its chain can be reached (1 << Hook). */
  hooks: number;
  rule: number;
  /** State of a statement or expression: the same in both families of an inet table. */
  state(of: object, bytes: number, words: readonly bigint[]): number;
  /** Bytes in World.rule_state where keys are put together. */
  scratch(): number;
  /** The set of a look-up. */
  look(map: MapLookup): { set: number; words: readonly { word: number; bits: number }[]; counter: number | undefined };
}

/** The steps of one rule, as they come. */
export class ValueLowering {
  readonly steps: (Action | Test)[] = [];
  private registers = 0;
  private need = 0;
  private tracked = false;
  /** Transport protocols that the packet can still have. */
  private protocols: ReadonlySet<number> | undefined;

  constructor(protected readonly around: Surroundings) {}

  register(): number {
    return this.registers++;
  }

  protected get family(): Family {
    return this.around.family;
  }

  /** The packet has a connection. */
  connection(): void {
    if (this.tracked) return;
    this.steps.push({ op: 'connection' });
    this.tracked = true;
  }

  /** The rule has tested the transport protocol. */
  protected knowProtocols(protocols: readonly number[]): void {
    this.protocols = new Set(protocols);
  }

  /** Tests the transport protocol, once: here, or where a later statement asks for it at the beginning of the rule. */
  protocol(number: number, first = false): void {
    if (this.protocols?.size === 1 && this.protocols.has(number)) return;
    this.steps.splice(first ? 0 : this.steps.length, 0, {
      op: 'cmp',
      field: 'l4proto',
      mask: 0xff,
      value: number,
      invert: false,
    });
    this.protocols = new Set([number]);
  }

  /** The transport header has so many bytes. */
  private header(need: number): void {
    if (need <= this.need) return;
    const [protocol = 0] = this.protocols?.size === 1 ? this.protocols : [];
    const captured = need > (CAPTURED[protocol] ?? CAPTURED_ALWAYS);
    this.steps.push({ op: 'header', need, captured });
    this.need = need;
  }

  /** Adds what must hold, and returns the value. */
  value(expression: Expression): Value {
    switch (expression.kind) {
      case 'value':
        return { op: 'constant', value: boundsOf(expression, expression.bits)[0], bits: expression.bits };
      case 'name':
        return { op: 'constant', value: boundsOf(expression, 128)[0], bits: 128 };
      case 'payload':
        return this.payload(expression);
      case 'meta':
        return this.meta(expression);
      case 'ct':
        return this.ct(expression);
      case 'fib':
        return this.fib(expression);
      case 'numgen':
        return this.numgen(expression);
      case 'hash':
        return this.hash(expression);
      case 'binary':
        return this.binary(expression);
      case 'map':
        return this.map(expression)[0]!;
      case 'exthdr':
        return this.exthdr(expression);
      case 'rt':
        if (expression.key === 'ipsec') return { op: 'constant', value: 0n, bits: 8 };
        return unsupported(`'rt ${expression.key}'`, expression.at);
      default:
        return unsupported(`a ${expression.kind} in this place`, expression.at);
    }
  }

  /** All parts of what a map has for a key. */
  map(expression: MapLookup): Value[] {
    const key = this.key(expression.key);
    const { set, words, counter } = this.around.look(expression);
    const register = this.register();
    this.steps.push({ op: 'look up', set, key, scratch: this.around.scratch(), register });
    if (counter !== undefined) this.steps.push({ op: 'count element', register, word: counter });
    return words.map(({ word, bits }) => ({ op: 'data', register, word, bits }));
  }

  /** The parts of a key. */
  key(expression: Expression): Value[] {
    return expression.kind === 'concat' ? expression.parts.flatMap((part) => this.key(part)) : [this.value(expression)];
  }

  private payload(payload: Payload): Value {
    const { protocol, base } = payload;
    const family = protocol && FAMILIES[protocol];
    if (family !== undefined && family !== this.family) throw new Never();
    if (payload.field === 'checksum') {
      unsupported(`'${protocol} checksum', which NAT and every hop change,`, payload.at);
    }
    const number = protocol && PROTOCOLS[protocol];
    if (number !== undefined) this.protocol(number);
    switch (base) {
      case 'network':
        return this.network(payload);
      case 'transport':
        return this.transport(payload);
      case 'link':
        return this.link(payload);
      default:
        return unsupported("what lies behind the transport header ('@ih')", payload.at);
    }
  }

  private link(payload: Payload): Value {
    const { protocol, offset, bits, at } = payload;
    if (this.around.hooks & ~WITH_LINK) unsupported('the header of the link where packets leave', at);
    if (protocol === 'vlan' || offset + bits > 112) unsupported('a header of the link behind that of Ethernet', at);
    this.steps.push({ op: 'ether header' });
    return { op: 'payload', base: 'ether', offset, bits };
  }

  private network({ offset, bits, at }: Payload): Value {
    const v4 = this.family === L3.IPV4;
    const end = offset + bits;
    if (end > NETWORK_BITS[this.family]) unsupported('what lies behind the fixed header', at);
    const is = (first: number, width: number): boolean => offset === first && bits === width;
    if (v4 ? is(64, 8) : is(56, 8)) return { op: 'number', field: 'ttl', bits: 8 };
    if (v4 && is(72, 8)) return { op: 'number', field: 'l4proto', bits: 8 };
    if (v4 && is(16, 16)) return { op: 'number', field: 'length', bits: 16 };
    const width = v4 ? 32 : 128;
    const source = v4 ? 96 : 64;
    if (is(source, width)) return { op: 'address', field: 'saddr', bits: width };
    if (is(source + width, width)) return { op: 'address', field: 'daddr', bits: width };
    // What hops and NAT change does not lie in the packet as it was captured.
    const changes = v4 ? [[64, 72], [80, 160]] : [[56, 320]]; // biome-ignore format: pairs
    if (changes.some(([first = 0, last = 0]) => offset < last && end > first)) {
      unsupported('a part of a field that hops or NAT change', at);
    }
    if (bits > 64) unsupported('a payload of more than 64 bits', at);
    return { op: 'payload', base: 'network', offset, bits };
  }

  private transport(payload: Payload): Value {
    const { protocol, field, offset, bits, at } = payload;
    const types = ICMP_TYPES[`${protocol} ${field}`];
    if (types) {
      this.header(1);
      this.steps.push({
        op: 'lookup',
        fields: ['icmp type'],
        ranges: types.map((type) => [type, type]),
        invert: false,
      });
    }
    this.header(Math.ceil((offset + bits) / 8));
    const message = protocol === 'icmp' || protocol === 'icmpv6';
    if (message && field === 'id') return { op: 'number', field: 'sport', bits: 16 };
    if (message && offset === 0 && bits === 8) return { op: 'number', field: 'icmp type', bits: 8 };
    if (bits === 16 && (offset === 0 || offset === 16) && !message && protocol !== 'igmp') {
      return { op: 'number', field: this.port(offset === 0 ? 'sport' : 'dport'), bits: 16 };
    }
    if (protocol === undefined && offset === 0 && bits === 32) {
      const sport: Value = { op: 'number', field: this.port('sport'), bits: 32 };
      const dport: Value = { op: 'number', field: this.port('dport'), bits: 32 };
      return { op: 'or', left: { op: 'shl', value: sport, by: 16, bits: 32 }, right: dport, bits: 32 };
    }
    if (protocol === undefined && offset < 32) unsupported('a part of the ports', at);
    if (bits > 64 && bits !== 128) unsupported('a payload of more than 64 bits', at);
    return { op: 'payload', base: 'transport', offset, bits };
  }

  private port(side: 'sport' | 'dport'): NumberField {
    const { protocols } = this;
    // A header of two bytes has a source port that the packet's tuple does not know.
    if (side === 'dport' && protocols && [...protocols].every((each) => PORT_PROTOCOLS.has(each))) return side;
    if (protocols && [...protocols].every((each) => !PORT_PROTOCOLS.has(each))) return `th ${side}`;
    return `any ${side}`;
  }

  private meta({ key, at }: Meta): Value {
    switch (key) {
      case 'length':
        return { op: 'number', field: 'length', bits: 32 };
      case 'protocol':
        return { op: 'constant', value: ETHERTYPES[this.family], bits: 16 };
      case 'nfproto':
        return { op: 'constant', value: BigInt(this.family), bits: 8 };
      case 'l4proto':
        return { op: 'number', field: 'l4proto', bits: 8 };
      case 'mark':
        return { op: 'number', field: 'mark', bits: 32 };
      case 'pkttype':
        return { op: 'number', field: 'pkttype', bits: 8 };
      case 'iif':
      case 'iifname':
        return { op: 'ifname', field: 'iif', bits: 128 };
      case 'oif':
      case 'oifname':
        return { op: 'ifname', field: 'oif', bits: 128 };
      case 'time':
        return { op: 'clock', unit: 'ns', bits: 64 };
      case 'day':
      case 'hour':
        return { op: 'clock', unit: key, bits: 64 };
      case 'ipsec':
        // No capture shows what was encrypted.
        return { op: 'constant', value: 0n, bits: 8 };
      case 'skuid':
      case 'skgid':
        // A forwarded packet belongs to no process.
        if (this.around.hooks & ~WITHOUT_SOCKET) return unsupported(`'meta ${key}' of packets of the host's own`, at);
        throw new Never();
      default:
        return unsupported(`'meta ${key}'`, at);
    }
  }

  private ct(ct: Ct): Value {
    const { key, direction, at } = ct;
    if (key === 'state') return { op: 'ct state', bits: 32 };
    const number = (field: NumberField, bits: number): Value => ({ op: 'number', field, bits });
    this.connection();
    switch (key) {
      case 'mark':
        return number('ct mark', 32);
      case 'status':
        return number('ct status', 32);
      case 'direction':
        return number('ct direction', 8);
      case 'expiration':
        return number('ct expiration ms', 32);
      case 'l3proto':
        return number('ct l3proto', 8);
      case 'protocol':
        return number('ct protocol', 8);
      case 'zone':
        return number(direction === undefined ? 'ct zone' : `ct ${direction} zone`, 16);
      case 'packets':
      case 'bytes':
      case 'avgpkt': {
        const carried = { packets: Carried.PACKETS, bytes: Carried.BYTES, avgpkt: Carried.AVERAGE }[key];
        const by =
          direction === undefined ? CarriedBy.BOTH : direction === 'original' ? CarriedBy.ORIGINAL : CarriedBy.REPLY;
        return { op: 'ct counter', carried, by, bits: 64 };
      }
      case 'proto-src':
      case 'proto-dst':
        if (direction === undefined) break;
        return number(`ct ${direction} ${key}`, 16);
      case 'saddr':
      case 'daddr':
        if (direction === undefined) break;
        if ((ct.family === 'ip') !== (this.family === L3.IPV4)) throw new Never();
        return { op: 'address', field: `ct ${direction} ${key}`, bits: this.family === L3.IPV4 ? 32 : 128 };
      default:
        break;
    }
    return unsupported(`'ct ${direction === undefined ? '' : `${direction} `}${key}' in this place`, at);
  }

  private fib({ flags, result, check, at }: Fib): Value {
    const field = flags.includes('saddr') ? 'saddr' : 'daddr';
    const on = flags.includes('iif') ? 'iif' : flags.includes('oif') ? 'oif' : undefined;
    if (result === 'type') return { op: 'fib type', field, bits: 32, ...(on && { interface: on }) };
    if (on === 'oif') return unsupported("fib with 'oif' that finds an interface", at);
    return { op: check ? 'fib check' : 'fib oif', field, bits: check ? 8 : 128, ...(on && { interface: on }) };
  }

  private numgen(numgen: Numgen): Value {
    const { program, rule } = this.around;
    const { modulus, offset } = numgen;
    if (numgen.mode === 'random') {
      // One of one number is no chance.
      if (modulus === 1) return { op: 'constant', value: BigInt(offset), bits: 32 };
      return { op: 'random', salt: numgen.at.start, modulus, offset, bits: 32 };
    }
    const state = this.around.state(numgen, LIMIT_STATE.size, [BigInt(modulus - 1)]);
    program.shared.push({ rule, what: 'numgen inc, whose numbers all flows share' });
    return { op: 'numgen', state, modulus, offset, bits: 32 };
  }

  private hash(hash: Hash): Value {
    return unsupported(`'${hash.algorithm}'`, hash.at);
  }

  private exthdr(exthdr: Exthdr): Value {
    return unsupported(`'${exthdr.of} ${exthdr.name ?? exthdr.number}'`, exthdr.at);
  }

  private binary(binary: Binary): Value {
    const { op, left, right, at } = binary;
    const value = this.value(left);
    if (op === '<<' || op === '>>') {
      if (right.kind !== 'value' || value.bits > 64) return unsupported('a shift by this', at);
      const by = Number(boundsOf(right, 32)[0]);
      if (by > 63) return { op: 'constant', value: 0n, bits: value.bits };
      return { op: op === '<<' ? 'shl' : 'shr', value, by, bits: value.bits };
    }
    return { op: OPERATORS[op], left: value, right: this.value(right), bits: value.bits };
  }
}

const OPERATORS = { '&': 'and', '|': 'or', '^': 'xor' } as const;
