// What does an expression list say about a packet? The plain reading of src/ruleset/expression.ts, one expression after
// the other over the engine's memory, that the emitted code is checked against.
import {
  Carried,
  CarriedBy,
  ChainVerdict,
  ChunkMatch,
  CtState,
  EventBit,
  L3,
  PacketFlag,
  Proto,
  Status,
  Sysctl,
} from '../../assembly/vocabulary.ts';
import { ACCOUNT, COUNTER, FLOW, HELP, HELPING, LOG_RECORD, PACKET, WORLD } from '../../src/engine/layout.ts';
import type { Range } from '../../src/ruleset/ast.ts';
import {
  type Action,
  type AddressField,
  type ChainProgram,
  isAction,
  LIMIT_STATE,
  type NumberField,
  type Program,
  type RuleProgram,
  type Test,
} from '../../src/ruleset/expression.ts';
import { matchesInterface } from '../../src/ruleset/interface-pattern.ts';
import { HashlimitTables } from './hashlimit.ts';
import { askIpSet } from './ip-set.ts';
import { RecentLists } from './recent.ts';
import { SetInterpreter } from './set-interpreter.ts';
import { ValueInterpreter } from './value-interpreter.ts';

export interface Surroundings {
  /** Name of an interface by index; index 0 has none. */
  interfaceName(index: number): string;
  /** Types of an address as bits by AddrType (assembly/rules/route.ts). */
  routeTypes(l3num: number, address: Uint8Array, iface: number): number;
  /** What `-m owner` finds, by OwnerFlag bits (assembly/rules/owner.ts). */
  sentBy(asked: number, inverted: number, uid: Range, gid: Range): boolean;
  /** What `-m rpfilter` finds, `flags` as RpfilterFlag bits (assembly/rules/rpfilter.ts). */
  leadsBack(address: Uint8Array, iface: number, flags: number): boolean;
}

const PORT_PROTOCOLS: readonly number[] = [Proto.TCP, Proto.UDP, Proto.SCTP, Proto.UDPLITE];
const JIFFY_NS = 4_000_000n;
const CREDITS_PER_JIFFY = 128n;
const U32 = 0xffff_ffffn;
const U64 = 0xffff_ffff_ffff_ffffn;

/** A rule's packet cannot be examined: the packet is dropped by that rule. */
class Hotdrop extends Error {}

type Outcome = ChainVerdict | 'return';

export class RuleInterpreter {
  /** The packet is dropped although the rule goes on (hotdrop of a test that is inverted). */
  private dropped = false;
  private readonly recents = new RecentLists();
  private readonly hashlimits = new HashlimitTables();
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  /** Rules looked at, as trace_rule is told of them. */
  readonly trace: [rule: number, matched: boolean][] = [];
  private readonly values: ValueInterpreter;
  private readonly sets: SetInterpreter;

  constructor(
    memory: WebAssembly.Memory,
    private readonly program: Program,
    private readonly surroundings: Surroundings,
  ) {
    this.view = new DataView(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
    this.sets = new SetInterpreter(this.view, program);
    this.values = new ValueInterpreter(this.view, surroundings, {
      number: (field, p) => this.number(field, p),
      address: (field, length, p) => this.address(field, length, p),
      account: (p, w) => this.account(p, w),
    });
  }

  /** Runs a base chain. */
  run(chain: ChainProgram, p: number, w: number): ChainVerdict {
    const { base } = chain;
    if (!base) throw new Error('not a base chain');
    const verdict = this.rules(chain, p, w);
    if (verdict !== ChainVerdict.CONTINUE) return verdict;
    this.trace.push([base.index, true]);
    this.count(p, w, base.index);
    this.view.setUint32(p + PACKET.rule, base.index, true);
    return base.policy === 'accept' ? ChainVerdict.ACCEPT : ChainVerdict.DROP;
  }

  private rules(chain: ChainProgram, p: number, w: number): ChainVerdict {
    for (const rule of chain.rules) {
      const outcome = this.rule(chain, rule, p, w);
      if (outcome === 'return') return ChainVerdict.CONTINUE;
      if (outcome !== ChainVerdict.CONTINUE) return outcome;
    }
    return ChainVerdict.CONTINUE;
  }

  private rule(chain: ChainProgram, rule: RuleProgram, p: number, w: number): Outcome {
    const drop = (): ChainVerdict => {
      this.view.setUint32(p + PACKET.rule, rule.index, true);
      return ChainVerdict.DROP;
    };
    this.dropped = false;
    try {
      for (const test of rule.tests) {
        if (this.holds(chain, test, p, w)) continue;
        this.trace.push([rule.index, false]);
        return this.dropped ? drop() : ChainVerdict.CONTINUE;
      }
    } catch (error) {
      if (!(error instanceof Hotdrop)) throw error;
      this.trace.push([rule.index, false]);
      return drop();
    }
    let left = rule.actions.filter((step) => !isAction(step)).length;
    if (left === 0) this.trace.push([rule.index, true]);
    for (const step of rule.actions) {
      if (!isAction(step)) {
        if (!this.holds(chain, step, p, w)) {
          this.trace.push([rule.index, false]);
          return ChainVerdict.CONTINUE;
        }
        if (--left === 0) this.trace.push([rule.index, true]);
        continue;
      }
      if (this.dropped && ['verdict', 'jump', 'goto'].includes(step.op)) return drop();
      const outcome = this.act(step, rule.index, p, w);
      if (outcome !== ChainVerdict.CONTINUE) return outcome;
    }
    return this.dropped ? drop() : ChainVerdict.CONTINUE;
  }

  private u16be(at: number): number {
    return this.view.getUint16(at, false);
  }

  private flow(p: number): number {
    return this.view.getUint32(p + PACKET.flow, true);
  }

  private number(field: NumberField, p: number): number {
    const { view } = this;
    const l4 = view.getUint32(p + PACKET.l4, true);
    const flow = this.flow(p);
    switch (field) {
      case 'l4proto':
        return view.getUint8(p + PACKET.protonum);
      case 'sport':
        return this.u16be(p + PACKET.sport);
      case 'dport':
        return this.u16be(p + PACKET.dport);
      case 'th sport':
        return this.u16be(l4);
      case 'th dport':
        return this.u16be(l4 + 2);
      case 'any sport':
      case 'any dport': {
        const ported = PORT_PROTOCOLS.includes(view.getUint8(p + PACKET.protonum));
        // With fewer bytes a tuple has no ports, but the header may have one.
        const decoded = ported && view.getUint32(p + PACKET.l4_captured, true) >= 4;
        if (field === 'any sport') return decoded ? this.number('sport', p) : this.number('th sport', p);
        return decoded ? this.number('dport', p) : this.number('th dport', p);
      }
      case 'tcp flags':
        return view.getUint8(p + PACKET.tcp_flags);
      case 'icmp type':
        return view.getUint8(l4);
      case 'icmp type and code':
        return view.getUint8(l4) * 256 + view.getUint8(l4 + 1);
      case 'length':
        return view.getUint32(p + PACKET.ip_len, true);
      case 'tos':
        return view.getUint8(p + PACKET.tos);
      case 'ttl':
        return view.getUint8(p + PACKET.ttl);
      case 'pkttype':
        return view.getUint8(p + PACKET.pkttype);
      case 'mark':
        return view.getUint32(p + PACKET.mark, true);
      case 'later fragment':
        return this.later(p) ? 1 : 0;
      case 'ct mark':
        return view.getUint32(flow + FLOW.mark, true);
      case 'ct status':
        return view.getUint16(flow + FLOW.status, true);
      case 'ct direction':
        return view.getUint8(p + PACKET.dir);
      case 'ct protocol':
        return view.getUint8(flow + FLOW.protonum);
      case 'ct original proto-src':
        return this.u16be(flow + FLOW.sport);
      case 'ct original proto-dst':
        return this.u16be(flow + FLOW.dport);
      case 'ct reply proto-src':
        return this.u16be(flow + FLOW.reply_sport);
      case 'ct reply proto-dst':
        return this.u16be(flow + FLOW.reply_dport);
      case 'ct expiration':
        return Number(this.ticksLeft(p) / 250n);
      case 'ct expiration ms':
        return Number(this.ticksLeft(p) * 4n);
      case 'ct l3proto':
        return view.getUint8(flow + FLOW.l3num);
      case 'ct zone':
        return view.getUint16(flow + FLOW.zone, true) || view.getUint16(flow + FLOW.reply_zone, true);
      case 'ct original zone':
        return view.getUint16(flow + FLOW.zone, true);
      case 'ct reply zone':
        return view.getUint16(flow + FLOW.reply_zone, true);
    }
  }

  private ticksLeft(p: number): bigint {
    const flow = this.flow(p);
    if (!(this.view.getUint16(flow + FLOW.status, true) & Status.CONFIRMED)) return 0n;
    const end = this.view.getBigUint64(flow + FLOW.expires, true) / JIFFY_NS;
    const now = this.view.getBigUint64(p + PACKET.clock, true) / JIFFY_NS;
    return end > now ? end - now : 0n;
  }

  private later(p: number): boolean {
    return (this.view.getUint16(p + PACKET.flags, true) & PacketFlag.LATER_FRAGMENT) !== 0;
  }

  private address(field: AddressField, length: number, p: number): Uint8Array {
    const flow = this.flow(p);
    const at = {
      saddr: p + PACKET.src_lo,
      daddr: p + PACKET.dst_lo,
      'ct original saddr': flow + FLOW.src_lo,
      'ct original daddr': flow + FLOW.dst_lo,
      'ct reply saddr': flow + FLOW.reply_src_lo,
      'ct reply daddr': flow + FLOW.reply_dst_lo,
    }[field];
    return this.bytes.slice(at, at + length);
  }

  private holds(chain: ChainProgram, test: Test, p: number, w: number): boolean {
    const { view } = this;
    const field = 'field' in test ? test.field : '';
    if (field.startsWith('ct ') && this.flow(p) === 0) return ('absent' in test && test.absent) ?? false;
    switch (test.op) {
      case 'cmp':
        return ((this.number(test.field, p) & test.mask) >>> 0 === test.value >>> 0) !== test.invert;
      case 'range': {
        const number = this.number(test.field, p);
        return (number >= test.low && number <= test.high) !== test.invert;
      }
      case 'lookup': {
        const numbers = test.fields.map((each) => this.number(each, p));
        const found = test.ranges.some(([low, high]) => numbers.some((number) => number >= low && number <= high));
        return found !== test.invert;
      }
      case 'address': {
        const address = this.address(test.field, test.value.length, p);
        return address.every((byte, index) => (byte & (test.mask[index] ?? 0)) === test.value[index]) !== test.invert;
      }
      case 'address range': {
        const address = Buffer.from(this.address(test.field, test.low.length, p));
        const inside = Buffer.compare(address, test.low) >= 0 && Buffer.compare(address, test.high) <= 0;
        return inside !== test.invert;
      }
      case 'ether saddr': {
        const header = view.getUint32(p + PACKET.mac, true);
        if (header === 0) return false;
        return test.value.every((byte, index) => this.bytes[header + 6 + index] === byte) !== test.invert;
      }
      case 'ifname': {
        const index = view.getUint16(p + (test.field === 'iif' ? PACKET.iif : PACKET.oif), true);
        const name = index === 0 ? '' : this.surroundings.interfaceName(index);
        return matchesInterface(this.program.patterns[test.pattern] ?? '', name) !== test.invert;
      }
      case 'ct state': {
        const state = view.getUint8(p + PACKET.ct_state);
        const flow = this.flow(p);
        const translated = flow !== 0 && (view.getUint16(flow + FLOW.status, true) & test.status) !== 0;
        return ((test.states & (1 << state)) !== 0 || translated) !== test.invert;
      }
      case 'fib':
        return this.fib(chain, test, p);
      case 'guard':
        if (this.later(p)) {
          const l3 = view.getUint32(p + PACKET.l3, true);
          if (test.evil && chain.family === L3.IPV4 && (this.u16be(l3 + 6) & 0x1fff) === 1) throw new Hotdrop();
          return false;
        }
        if (view.getUint32(p + PACKET.l4_len, true) < test.need) throw new Hotdrop();
        return true;
      case 'tcp option':
        return this.options(p).some(({ kind }) => kind === test.option) !== test.invert;
      case 'tcp mss': {
        const mss = this.options(p).find(({ kind, body }) => kind === 2 && body.length === 4);
        if (!mss) return test.invert;
        const value = (mss.body[2] ?? 0) * 256 + (mss.body[3] ?? 0);
        return (value >= test.low && value <= test.high) !== test.invert;
      }
      case 'ct label':
        return this.label(test, p, w) !== test.invert;
      case 'ct bytes':
        return this.carried(test, p, w);
      case 'sctp chunks':
        return this.chunks(test, p);
      case 'ip set': {
        const { ipSets } = this.program;
        const asked = ({ set, answer }: (typeof test.sets)[number]) =>
          askIpSet(this.bytes, ipSets[set]!, test.sources, p, w) === answer;
        return test.sets.some(asked) !== test.invert;
      }
      case 'ct helper':
        return this.helper(test, p, w) !== test.invert;
      case 'recent': {
        const field = test.test.side === 'source' ? 'saddr' : 'daddr';
        const address = this.address(field, chain.family === L3.IPV4 ? 4 : 16, p);
        const now = Number(view.getBigUint64(p + PACKET.clock, true) / JIFFY_NS);
        // Packets of these tests are not forwarded: nobody has counted down their TTL.
        return this.recents.ask(test.list, test.test, address, view.getUint8(p + PACKET.ttl), now);
      }
      case 'hashlimit': {
        const within = this.hashlimits.ask(test.table, {
          source: this.address('saddr', chain.family === L3.IPV4 ? 4 : 16, p),
          destination: this.address('daddr', chain.family === L3.IPV4 ? 4 : 16, p),
          ports: this.ports(p),
          length: view.getUint32(p + PACKET.ip_len, true),
          now: view.getBigUint64(p + PACKET.clock, true) / JIFFY_NS,
        });
        if (within === undefined) throw new Hotdrop();
        return within !== test.invert;
      }
      case 'connlimit':
        throw new Error('what connlimit counts lies in the connection table, which these tests do not have');
      case 'limit':
        return this.limit(test, p, w);
      case 'header': {
        const field = test.captured ? PACKET.l4_captured : PACKET.l4_len;
        return !this.later(p) && view.getUint32(p + field, true) >= test.need;
      }
      case 'ether header':
        return view.getUint32(p + PACKET.mac, true) !== 0;
      case 'connection':
        return this.flow(p) !== 0;
      case 'within': {
        const value = this.values.of(test.value, p, w);
        return test.ranges.some(([low, high]) => value >= low && value <= high) !== test.invert;
      }
      case 'in':
        return (this.sets.find(test, this.values.all(test.key, p, w), p, w) !== undefined) !== test.invert;
      case 'look up': {
        const found = this.sets.find(test, this.values.all(test.key, p, w), p, w);
        if (found) this.values.registers.set(test.register, found);
        return found !== undefined;
      }
      case 'add': {
        const key = this.values.all(test.key, p, w);
        const data = this.values.all(test.data, p, w);
        const found = this.sets.add(test, key, data, p, w);
        if (found) this.values.registers.set(test.register, found);
        return found !== undefined;
      }
      case 'tokens':
        return this.sets.tokens(test, this.values.registers, p, w);
      case 'quota':
        return this.sets.quota(test, this.values.registers, p, w);
      case 'owner':
        return this.surroundings.sentBy(test.asked, test.inverted, test.uid, test.gid);
      case 'rpfilter': {
        const iface = view.getUint16(p + PACKET.iif, true);
        const length = chain.family === L3.IPV4 ? 4 : 16;
        return this.surroundings.leadsBack(this.address('saddr', length, p), iface, test.flags) !== test.invert;
      }
      case 'nth': {
        const at = view.getUint32(w + WORLD.rule_state, true) + test.state;
        const count = view.getUint32(at, true);
        view.setUint32(at, count === test.last ? 0 : count + 1, true);
        return (count === test.last) !== test.invert;
      }
      case 'allowance': {
        const at = view.getUint32(w + WORLD.rule_state, true) + test.state;
        const left = view.getBigUint64(at, true) - BigInt(view.getUint32(p + PACKET.ip_len, true));
        view.setBigUint64(at, left < 0n ? 0n : left, true);
        return left >= 0n !== test.invert;
      }
      case 'chance':
        return this.chance(test.state, w) < test.below !== test.invert;
    }
  }

  /** Ports as hashlimit takes them: of the tuple, where the protocol has some; undefined if the packet ends before. */
  private ports(p: number): [number, number] | undefined {
    const { view } = this;
    const protocol = view.getUint8(p + PACKET.protonum);
    const first = { 6: 0, 17: 0, 33: 0, 50: 0, 51: 4, 132: 0, 136: 0 }[protocol];
    if (this.later(p) || first === undefined) return [0, 0];
    if (view.getUint32(p + PACKET.l4_len, true) < first + 4) return undefined;
    if ([6, 17, 132, 136].includes(protocol)) return [this.u16be(p + PACKET.sport), this.u16be(p + PACKET.dport)];
    const l4 = view.getUint32(p + PACKET.l4, true);
    return [this.u16be(l4 + first), this.u16be(l4 + first + 2)];
  }

  private fib(chain: ChainProgram, test: Extract<Test, { op: 'fib' }>, p: number): boolean {
    const address = this.address(test.field, chain.family === L3.IPV4 ? 4 : 16, p);
    const iface = test.interface ? this.view.getUint16(p + PACKET[test.interface], true) : 0;
    const types = this.surroundings.routeTypes(chain.family, address, iface);
    if (chain.family === L3.IPV4) return ((types & test.types) !== 0) !== test.invert;
    const own = [0, 1, 5].filter((bit) => test.types & (1 << bit)).every((bit) => types & (1 << bit));
    const asked = [2, 3, 4, 6, 7, 8, 9, 10, 11].filter((bit) => test.types & (1 << bit));
    const routed = asked.length === 0 || asked.some((bit) => types & (1 << bit));
    return (own && routed) !== test.invert;
  }

  /** Options with their kind, the claimed length included, as far as they lie in the header. */
  private options(p: number): { kind: number; body: Uint8Array }[] {
    const l4 = this.view.getUint32(p + PACKET.l4, true);
    const header = (this.view.getUint8(l4 + 12) >> 4) * 4;
    if (header < 20 || header > this.view.getUint32(p + PACKET.l4_len, true)) throw new Hotdrop();
    const area = this.bytes.slice(l4 + 20, l4 + header);
    const found: { kind: number; body: Uint8Array }[] = [];
    let at = 0;
    while (at < area.length) {
      const kind = area[at] ?? 0;
      const long = kind >= 2 && at + 1 < area.length;
      const length = long ? area[at + 1] || 1 : 1;
      // A length of 0 counts as one byte for going on, and is not the 4 that an MSS option needs.
      found.push({ kind, body: area.slice(at, at + (long ? (area[at + 1] ?? 0) : 1)) });
      at += length;
    }
    return found;
  }

  private chunks({ match, test, invert }: Extract<Test, { op: 'sctp chunks' }>, p: number): boolean {
    const end = this.view.getUint32(p + PACKET.l4_len, true);
    const l4 = this.view.getUint32(p + PACKET.l4, true);
    const found: { type: number; fits: boolean }[] = [];
    for (let at = 12; at === 12 || at < end; ) {
      const length = at + 4 <= end ? this.u16be(l4 + at + 2) : 0;
      if (length === 0) {
        if (!invert) throw new Hotdrop();
        this.dropped = true;
        return true;
      }
      const type = this.view.getUint8(l4 + at);
      const flags = test.flags.find((each) => each.type === type);
      const fits = !flags || (this.view.getUint8(l4 + at + 1) & flags.mask) === flags.value;
      found.push({ type, fits: fits && test.types.includes(type) });
      // The kernel has its answer before it comes to what is malformed.
      if (match === ChunkMatch.ANY && found.at(-1)?.fits) return !invert;
      if (match === ChunkMatch.ONLY && !found.at(-1)?.fits) return invert;
      at += Math.ceil(length / 4) * 4;
    }
    const met = (type: number): boolean => found.some((chunk) => chunk.type === type && chunk.fits);
    const answer = match === ChunkMatch.ALL ? test.types.every(met) : match === ChunkMatch.ONLY;
    return answer !== invert;
  }

  private carried(test: Extract<Test, { op: 'ct bytes' }>, p: number, w: number): boolean {
    const account = this.account(p, w);
    if (
      account === 0 ||
      this.view.getUint32(this.view.getUint32(w + WORLD.sysctls, true) + Sysctl.ACCT * 4, true) === 0
    )
      return false;
    const read = (offset: number): bigint => this.view.getBigUint64(account + offset, true);
    const sides = [
      [read(ACCOUNT.packets_original), read(ACCOUNT.bytes_original)] as const,
      [read(ACCOUNT.packets_reply), read(ACCOUNT.bytes_reply)] as const,
    ].filter((_, dir) => test.by === CarriedBy.BOTH || (test.by === CarriedBy.ORIGINAL) === (dir === 0));
    const packets = sides.reduce((sum, [count]) => sum + count, 0n);
    const bytes = sides.reduce((sum, [, count]) => sum + count, 0n);
    const average = packets === 0n ? 0n : bytes / packets;
    const value = test.carried === Carried.PACKETS ? packets : test.carried === Carried.BYTES ? bytes : average;
    return (value >= test.low && value <= test.high) !== test.invert;
  }

  /** Whether an entry with one of these helpers expected the packet's. */
  private helper(test: Extract<Test, { op: 'ct helper' }>, p: number, w: number): boolean {
    const { view } = this;
    const flow = this.flow(p);
    if (flow === 0 || !(view.getUint16(flow + FLOW.status, true) & Status.EXPECTED)) return false;
    const helping = view.getUint32(w + WORLD.helping, true);
    const number = (flow - view.getUint32(w + WORLD.flows, true)) / view.getUint32(w + WORLD.flow_bytes, true);
    const begun = flow === view.getUint32(w + WORLD.unconfirmed, true);
    const slots = view.getUint32(helping + HELPING.slots, true);
    const help = view.getUint32(begun ? helping + HELPING.begun : slots + number * 4, true);
    const master = view.getUint32(help + HELP.master, true);
    return ((test.helpers >> view.getUint8(master + HELP.helper)) & 1) === 1;
  }

  /** Labels lie in the flow's account: behind the flow if it is the unconfirmed one, else in the parallel table. */
  private account(p: number, w: number): number {
    const flow = this.flow(p);
    const world = (field: number): number => this.view.getUint32(w + field, true);
    if (flow === 0) return 0;
    if (flow === world(WORLD.unconfirmed)) return flow + FLOW.size;
    return world(WORLD.accounts) + ((flow - world(WORLD.flows)) / world(WORLD.flow_bytes)) * world(WORLD.account_bytes);
  }

  private label(test: Extract<Test, { op: 'ct label' }>, p: number, w: number): boolean {
    const { view } = this;
    const flow = this.flow(p);
    const account = this.account(p, w);
    if (account === 0) return false;
    const byte = account + ACCOUNT.labels_lo + Math.floor(test.bit / 8);
    const before = view.getUint8(byte);
    const bit = 1 << (test.bit % 8);
    if (before & bit) return true;
    if (!test.set) return false;
    view.setUint8(byte, before | bit);
    const pending = view.getUint16(flow + FLOW.pending_events, true);
    view.setUint16(flow + FLOW.pending_events, pending | EventBit.LABEL, true);
    return true;
  }

  /** 31 bits as docs/nat.md says; how often the packet was here is remembered. */
  private chance(state: number, w: number): number {
    const at = this.view.getUint32(w + WORLD.rule_state, true) + state;
    const number = this.view.getBigUint64(w + WORLD.number, true);
    const again = this.view.getBigUint64(at + 8, true) === number + 1n;
    const visits = again ? this.view.getUint32(at + 16, true) + 1 : 0;
    this.view.setBigUint64(at + 8, number + 1n, true);
    this.view.setUint32(at + 16, visits, true);
    const base = this.view.getBigUint64(at, true);
    let z = U64 & (base + number * 0x9e3779b97f4a7c15n + BigInt(visits) * 0xd1342543de82ef95n);
    z = U64 & ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = U64 & ((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return Number(z >> 33n);
  }

  private limit(test: Extract<Test, { op: 'limit' }>, p: number, w: number): boolean {
    const bucket = this.view.getUint32(w + WORLD.rule_state, true) + test.state;
    const now = this.view.getBigUint64(p + PACKET.clock, true) / JIFFY_NS;
    const previous = this.view.getBigUint64(bucket + LIMIT_STATE.previous, true);
    const gained = ((now - previous) * CREDITS_PER_JIFFY) & U32;
    let credit = (BigInt(this.view.getUint32(bucket + LIMIT_STATE.credit, true)) + gained) & U32;
    if (credit > BigInt(test.cap)) credit = BigInt(test.cap);
    const passes = credit >= BigInt(test.cost);
    if (passes) credit -= BigInt(test.cost);
    this.view.setBigUint64(bucket + LIMIT_STATE.previous, now, true);
    this.view.setUint32(bucket + LIMIT_STATE.credit, Number(credit), true);
    return passes;
  }

  private count(p: number, w: number, rule: number): void {
    const at = this.view.getUint32(w + WORLD.counters, true) + rule * COUNTER.size;
    const length = BigInt(this.view.getUint32(p + PACKET.ip_len, true));
    const add = (offset: number, amount: bigint) =>
      this.view.setBigUint64(at + offset, this.view.getBigUint64(at + offset, true) + amount, true);
    add(COUNTER.packets, 1n);
    add(COUNTER.bytes, length);
  }

  private setConnectionMark(p: number, change: (mark: number) => number): void {
    const flow = this.flow(p);
    if (flow === 0) return;
    const before = this.view.getUint32(flow + FLOW.mark, true);
    const after = change(before) >>> 0;
    if (before === after) return;
    this.view.setUint32(flow + FLOW.mark, after, true);
    const pending = this.view.getUint16(flow + FLOW.pending_events, true);
    this.view.setUint16(flow + FLOW.pending_events, pending | EventBit.MARK, true);
  }

  private act(action: Action, rule: number, p: number, w: number): Outcome {
    const { view } = this;
    const decide = (verdict: ChainVerdict): ChainVerdict => {
      view.setUint32(p + PACKET.rule, rule, true);
      return verdict;
    };
    const mark = view.getUint32(p + PACKET.mark, true);
    switch (action.op) {
      case 'counter':
        this.count(p, w, action.cell ?? rule);
        return ChainVerdict.CONTINUE;
      case 'count element': {
        const cell = Number(this.values.registers.get(action.register)?.[action.word] ?? 0n);
        if (cell > 0) this.count(p, w, cell - 1);
        return ChainVerdict.CONTINUE;
      }
      case 'lower mss':
        return ChainVerdict.CONTINUE;
      case 'assign': {
        const value = Number(this.values.of(action.value, p, w) & U32);
        if (action.target === 'mark') view.setUint32(p + PACKET.mark, value, true);
        else this.setConnectionMark(p, () => value);
        return ChainVerdict.CONTINUE;
      }
      case 'set ct label':
        for (const bit of action.bits) this.label({ op: 'ct label', bit, set: true, invert: false }, p, w);
        return ChainVerdict.CONTINUE;
      case 'give helper':
        // What a helper then does is the engine's.
        return ChainVerdict.CONTINUE;
      case 'remove':
        this.sets.remove(action.set, this.values.all(action.key, p, w), w);
        return ChainVerdict.CONTINUE;
      case 'branch': {
        const number = Number(this.values.registers.get(action.register)?.[0] ?? 0n);
        const verdict = action.verdicts[number];
        return verdict === undefined ? ChainVerdict.CONTINUE : this.act(verdict, rule, p, w);
      }
      case 'log': {
        const top = view.getUint32(w + WORLD.logs_top, true);
        view.setUint32(top + LOG_RECORD.packet, p, true);
        view.setUint32(top + LOG_RECORD.rule, rule, true);
        view.setUint32(w + WORLD.logs_top, top + LOG_RECORD.size, true);
        view.setUint16(p + PACKET.logs, view.getUint16(p + PACKET.logs, true) + 1, true);
        return ChainVerdict.CONTINUE;
      }
      case 'set mark':
        view.setUint32(p + PACKET.mark, ((mark & ~action.mask) ^ action.value) >>> 0, true);
        return ChainVerdict.CONTINUE;
      case 'set mss':
        return ChainVerdict.CONTINUE;
      case 'set ct mark':
        this.setConnectionMark(p, (before) => (before & ~action.mask) ^ action.value);
        return ChainVerdict.CONTINUE;
      case 'save mark':
        this.setConnectionMark(p, (before) => (before & ~action.ctmask) ^ (mark & action.nfmask));
        return ChainVerdict.CONTINUE;
      case 'restore mark': {
        const flow = this.flow(p);
        if (flow === 0) return ChainVerdict.CONTINUE;
        const connection = view.getUint32(flow + FLOW.mark, true);
        view.setUint32(p + PACKET.mark, ((mark & ~action.nfmask) ^ (connection & action.ctmask)) >>> 0, true);
        return ChainVerdict.CONTINUE;
      }
      case 'notrack': {
        const state = view.getUint8(p + PACKET.ct_state);
        if (state === CtState.NONE || state === CtState.INVALID) {
          view.setUint8(p + PACKET.ct_state, CtState.UNTRACKED);
        }
        return ChainVerdict.CONTINUE;
      }
      case 'template':
        if (view.getUint8(p + PACKET.ct_state) !== CtState.NONE) return ChainVerdict.CONTINUE;
        view.setUint8(p + PACKET.template, action.template + 1);
        view.setUint8(p + PACKET.ct_state, CtState.NEW);
        return ChainVerdict.CONTINUE;
      case 'nat':
        // What the binding does is the engine's; the chain ends here.
        return decide(ChainVerdict.ACCEPT);
      case 'reject':
        view.setUint8(p + PACKET.reject, action.with);
        return decide(ChainVerdict.REJECT);
      case 'verdict':
        if (action.verdict === 'return') return 'return';
        return decide(
          { accept: ChainVerdict.ACCEPT, drop: ChainVerdict.DROP, queue: ChainVerdict.QUEUE }[action.verdict],
        );
      case 'jump':
      case 'goto': {
        const callee = this.program.chains[action.chain];
        if (!callee) throw new Error('no such chain');
        const verdict = this.rules(callee, p, w);
        return verdict === ChainVerdict.CONTINUE && action.op === 'goto' ? 'return' : verdict;
      }
    }
  }
}
