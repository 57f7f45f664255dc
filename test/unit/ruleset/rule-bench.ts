// How do tests run emitted rule code without the rest of the engine? A memory, a table, worlds and packets of our own,
// and assembly/rules/ compiled by itself.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';
import {
  AddrType,
  type ChainVerdict,
  CtState,
  L3,
  PacketFlag,
  Proto,
  RpfilterFlag,
  Sysctl,
} from '../../../assembly/vocabulary.ts';
import {
  ACCOUNT,
  COUNTER,
  FLOW,
  INTERFACES_MAX,
  IP_SET_WORDS,
  LOG_RECORD,
  PACKET,
  WORLD,
} from '../../../src/engine/layout.ts';
import type { Range } from '../../../src/ruleset/ast.ts';
import {
  type CompiledRuleset,
  compileRuleset,
  instantiateRuleset,
  interfaceClass,
  matchesInterface,
  parseRulesets,
  type Ruleset,
} from '../../../src/ruleset/index.ts';
import type { IpSets } from '../../../src/ruleset/ipset/ipset.ts';
import { lowerRuleset } from '../../../src/ruleset/lower.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Where things lie in the memory of a bench. */
const HEADERS = 0x4000;
const PACKETS = 0x8000;
const SYSCTLS = 0x7000;
const FLOWS = 0xa000;
const WORLDS = 0xc000;
const LOGS = 0x10000;
const COUNTERS = 0x20000;
const STATES = 0x80000;
const INTERFACE_TABLE = 0x100000;
const CANDIDATES = 0x1f0000;
const CANDIDATES_BYTES = 0x8000;
const DISPATCH = 0x200000;
/** World.keyed of each world: 64 MiB, which is touched as far as it is used. */
const KEYED = 0x4000000;
const KEYED_BYTES = 0x4000000;
const LOG_BYTES = 0x4000;
const COUNTER_BYTES = 0x30000;
/** What chance follows from. */
const SEED = 5n;
const STATE_BYTES = 0x10000;

let rulesModule: Promise<WebAssembly.Module> | undefined;

/** assembly/rules/ as a module of its own. */
function compileRuleFunctions(): Promise<WebAssembly.Module> {
  rulesModule ??= (async () => {
    let wasm: Uint8Array | undefined;
    const { error, stderr } = await asc.main(
      [
        ...['assembly/rules/index.ts', '--runtime', 'assembly/runtime/index', '-O3', '--noAssert', '--bindings', 'raw'],
        ...['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536', '--noExportMemory'],
        ...['--exportTable', '--enable', 'threads', '--enable', 'simd', '--outFile', 'rules.wasm'],
      ],
      {
        readFile: (name, base) => {
          try {
            return readFileSync(`${base || ROOT}/${name}`.replace(/^\.\//, `${ROOT}/`), 'utf8');
          } catch {
            return null;
          }
        },
        writeFile: (name, contents) => {
          if (name.endsWith('.wasm')) wasm = contents as Uint8Array;
        },
        listFiles: () => [],
      },
    );
    if (error || !wasm) throw new Error(`assembly/rules does not compile: ${error?.message}\n${stderr.toString()}`);
    return WebAssembly.compile(wasm as BufferSource);
  })();
  return rulesModule;
}

/** What decode would have found in a packet. Addresses are bytes; ports and lengths numbers in host order. */
export interface TestPacket {
  family: 2 | 10;
  source: Uint8Array;
  destination: Uint8Array;
  sport?: number;
  dport?: number;
  protocol: number;
  /** Transport header as captured. */
  transport?: Uint8Array;
  /** Bytes of transport on the wire; as captured if absent. */
  transportLength?: number;
  length?: number;
  /** Fragment offset field of the IPv4 header, in units of eight bytes. */
  fragmentOffset?: number;
  mac?: Uint8Array;
  mark?: number;
  iif?: number;
  oif?: number;
  ttl?: number;
  tos?: number;
  pkttype?: number;
  /** ns since 1970 */
  clock?: bigint;
  ctState?: CtState;
  direction?: number;
  flow?: TestFlow;
}

/** A connection: the original tuple is the packet's unless it says otherwise. */
export interface TestFlow {
  mark?: number;
  /** Packets and bytes of the original and the reply direction. */
  carried?: readonly [bigint, bigint, bigint, bigint];
  status?: number;
  /** ns since 1970 */
  expires?: bigint;
  protocol?: number;
  original?: { source: Uint8Array; destination: Uint8Array; sport: number; dport: number };
  reply?: { source: Uint8Array; destination: Uint8Array; sport: number; dport: number };
}

/** What a packet and its world look like after a chain. */
export interface Outcome {
  verdict: ChainVerdict;
  rule: number;
  reject: number;
  mark: number;
  ctState: number;
  /** Packet.template. */
  template: number;
  /** Label bits 0 to 63 and 64 to 127. */
  labels: [bigint, bigint];
  ctMark: number;
  pending: number;
  /** Rules of log records. */
  logs: number[];
}

export const EXPECTED_INTERFACES = ['', 'lo', 'eth0', 'eth1', 'ppp0', 'wlan0'];

/** The one of these types (bits) that nft's fib expression gives: what routes say comes before what an address is by itself. */
export function fibType(types: number): AddrType {
  const ranked = [
    AddrType.UNREACHABLE,
    AddrType.ANYCAST,
    AddrType.LOCAL,
    AddrType.MULTICAST,
    AddrType.BROADCAST,
    AddrType.UNICAST,
  ];
  return ranked.find((type) => types & (1 << type)) ?? AddrType.UNSPEC;
}

/** IPv4: 127/8 and 10.0.0.1 are local, 10.0.0.255 broadcast, 224/4 multicast. IPv6: ::1 and 2001:db8::1 are local. */
export function routeTypes(l3num: number, address: Uint8Array, iface: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = address;
  if (l3num === L3.IPV4) {
    if (a === 127) return 1 << AddrType.LOCAL;
    if (a >= 224 && a < 240) return 1 << AddrType.MULTICAST;
    if (a === 10 && b === 0 && c === 0 && d === 1)
      return 1 << (iface === 0 || iface === 2 ? AddrType.LOCAL : AddrType.UNICAST);
    if (a === 10 && b === 0 && c === 0 && d === 255) return 1 << AddrType.BROADCAST;
    return 1 << AddrType.UNICAST;
  }
  if (a === 255) return 1 << AddrType.MULTICAST;
  if (address.every((byte) => byte === 0)) return 1 << AddrType.UNSPEC;
  const local = address.slice(4, 15).every((byte) => byte === 0) && address[15] === 1;
  if (local && (iface === 0 || iface === 2)) return (1 << AddrType.UNICAST) | (1 << AddrType.LOCAL);
  return a === 0xfd ? (1 << AddrType.UNICAST) | (1 << AddrType.UNREACHABLE) : 1 << AddrType.UNICAST;
}

/** Whoever sent it: a number that all of the test goes into. */
export function sentBy(asked: number, inverted: number, uid: Range, gid: Range): boolean {
  return (asked * 3 + inverted * 5 + uid.low + uid.high * 7 + gid.low + gid.high * 3) % 2 === 0;
}

/** A route to every source, by the interface whose number its last byte tells. */
export function leadsBack(address: Uint8Array, iface: number, flags: number): boolean {
  return (flags & RpfilterFlag.LOOSE) !== 0 || (address.at(-1) ?? 0) % 4 === iface;
}

export class RuleBench {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  private readonly calls = new Map<string, (p: number, w: number) => number>();
  /** Rules looked at by the traced build. */
  trace: [rule: number, matched: boolean][] = [];
  private logMark = [LOGS, LOGS + LOG_BYTES];

  private constructor(
    readonly memory: WebAssembly.Memory,
    readonly ruleset: Ruleset,
    readonly compiled: CompiledRuleset,
  ) {
    this.view = new DataView(memory.buffer);
    this.bytes = new Uint8Array(memory.buffer);
  }

  /** Parses, compiles and instantiates. Throws RulesetError. */
  static async open(
    text: string,
    options: { family?: 2 | 10; trace?: boolean; start?: bigint; sets?: IpSets } = {},
  ): Promise<RuleBench> {
    const { family, sets } = options;
    const ruleset = parseRulesets([{ file: 'test', text, ...(family && { family }), ...(sets && { sets }) }]);
    return RuleBench.of(ruleset, options);
  }

  static async of(ruleset: Ruleset, options: { trace?: boolean; start?: bigint } = {}): Promise<RuleBench> {
    const memory = new WebAssembly.Memory({ initial: 3072, maximum: 65536, shared: true });
    const abort = () => {
      throw new Error('abort');
    };
    const functions = new WebAssembly.Instance(await compileRuleFunctions(), { env: { memory, abort } }).exports;
    const table = functions.table as WebAssembly.Table;
    const tableBase = table.length;
    const compiled = compileRuleset(ruleset, {
      interfaceTable: INTERFACE_TABLE,
      tableBase,
      trace: options.trace ?? false,
    });
    const bench = new RuleBench(memory, ruleset, compiled);
    const module = new WebAssembly.Module(compiled.wasm as BufferSource);
    instantiateRuleset(module, memory, {
      ...functions,
      rule_route_types: bench.imported((_w, l3num, address, iface) => {
        const bytes = bench.bytes.slice(address, address + (l3num === L3.IPV4 ? 4 : 16));
        return routeTypes(l3num, bytes, iface);
      }),
      rule_fib_type: bench.imported((p, _w, offset, iface) => {
        const family = bench.view.getUint8(p + PACKET.l3num);
        const bytes = bench.bytes.slice(p + offset, p + offset + (family === L3.IPV4 ? 4 : 16));
        return fibType(routeTypes(family, bytes, iface));
      }),
      rule_owner: ((_p: number, _w: number, _rule: number, asked: number, inverted: number, ...ids: number[]) => {
        const [uidLow = 0, uidHigh = 0, gidLow = 0, gidHigh = 0] = ids.map((id) => id >>> 0);
        return sentBy(asked, inverted, { low: uidLow, high: uidHigh }, { low: gidLow, high: gidHigh }) ? 1 : 0;
      }) as unknown as WebAssembly.ExportValue,
      rule_rpfilter: bench.imported((p, _w, flags) => {
        const length = bench.bytes[p + PACKET.l3num] === L3.IPV4 ? 4 : 16;
        const address = bench.bytes.slice(p + PACKET.src_lo, p + PACKET.src_lo + length);
        return leadsBack(address, bench.view.getUint16(p + PACKET.iif, true), flags) ? 1 : 0;
      }),
      trace_rule: bench.imported((_p, _w, rule, matched) => {
        bench.trace.push([rule, matched === 1]);
        return 0;
      }),
    });
    for (const { family, table: name, chain, slot } of compiled.chains) {
      const call = table.get(tableBase + slot) as (p: number, w: number) => number;
      bench.calls.set(`${family}/${name}/${chain}`, call);
    }
    compiled.interfacePatterns.forEach((pattern, row) => {
      EXPECTED_INTERFACES.forEach((name, index) => {
        bench.bytes[INTERFACE_TABLE + row * INTERFACES_MAX + index] = matchesInterface(pattern, name) ? 1 : 0;
      });
    });
    bench.bytes.set(compiled.tables, DISPATCH);
    EXPECTED_INTERFACES.forEach((name, index) => {
      bench.view.setUint16(DISPATCH + index * 2, interfaceClass(compiled.interfacePatterns, name), true);
      if (compiled.interfaceNames > 0) bench.writeName(DISPATCH + compiled.interfaceNames + index * 16, name);
    });
    for (const index of [0, 1]) bench.initWorld(index, options.start ?? 0n);
    return bench;
  }

  /** A JavaScript function as an export that another module may import. */
  private imported(call: (a: number, b: number, c: number, d: number) => number): WebAssembly.ExportValue {
    return call as unknown as WebAssembly.ExportValue;
  }

  /** As rule code compares names: two numbers, the upper half first. */
  private writeName(at: number, name: string): void {
    const bytes = Buffer.alloc(16);
    bytes.write(name);
    for (const half of [0, 8]) this.view.setBigUint64(at + half, bytes.readBigUInt64BE(half), true);
  }

  /** Address of one of two worlds, which share nothing. */
  world(index: number): number {
    return WORLDS + index * 0x200;
  }

  /** Address of the account of a world's one flow; its labels last from packet to packet. */
  private account(index: number): number {
    return FLOWS + 0x400 + index * 0x100;
  }

  private initWorld(index: number, start: bigint): void {
    const w = this.world(index);
    this.view.setUint32(w + WORLD.dispatch, DISPATCH, true);
    this.view.setBigUint64(w + WORLD.seed, 7n, true);
    this.view.setBigUint64(w + WORLD.began, start, true);
    this.view.setUint32(w + WORLD.candidates, CANDIDATES + index * CANDIDATES_BYTES, true);
    this.view.setUint32(w + WORLD.counters, COUNTERS + index * COUNTER_BYTES, true);
    const state = STATES + index * STATE_BYTES;
    this.view.setUint32(w + WORLD.rule_state, state, true);
    this.compiled.initState(this.bytes.subarray(state, state + this.compiled.stateBytes), start, SEED);
    const keyed = KEYED + index * KEYED_BYTES;
    this.view.setUint32(w + WORLD.keyed, keyed, true);
    this.compiled.initKeyed(this.bytes.subarray(keyed, keyed + this.compiled.keyedBytes));
    // Accounting is on.
    this.view.setUint32(w + WORLD.sysctls, SYSCTLS, true);
    this.view.setUint32(SYSCTLS + Sysctl.ACCT * 4, 1, true);
    this.view.setUint32(w + WORLD.flows, FLOWS + index * 0x100, true);
    this.view.setUint32(w + WORLD.flow_bytes, FLOW.size, true);
    this.view.setUint32(w + WORLD.accounts, this.account(index), true);
    this.view.setUint32(w + WORLD.account_bytes, ACCOUNT.size, true);
    const logs = LOGS + index * LOG_BYTES;
    this.view.setUint32(w + WORLD.logs, logs, true);
    this.view.setUint32(w + WORLD.logs_top, logs, true);
    this.view.setUint32(w + WORLD.logs_end, logs + LOG_BYTES, true);
    this.logMark[index] = logs;
  }

  /** Writes a packet with its headers and flow; returns its address. */
  place(packet: TestPacket, index = 0): number {
    const { view, bytes } = this;
    const p = PACKETS + index * 0x100;
    const l3 = HEADERS + index * 0x400;
    const transport = packet.transport ?? defaultTransport(packet);
    const l4 = l3 + 64;
    bytes.fill(0, p, p + PACKET.size);
    bytes.fill(0, l3, l3 + 0x400);
    bytes.set(packet.source, p + PACKET.src_lo);
    bytes.set(packet.destination, p + PACKET.dst_lo);
    view.setUint16(p + PACKET.sport, packet.sport ?? 0, false);
    view.setUint16(p + PACKET.dport, packet.dport ?? 0, false);
    view.setUint8(p + PACKET.protonum, packet.protocol);
    view.setUint8(p + PACKET.l3num, packet.family);
    view.setBigUint64(p + PACKET.clock, packet.clock ?? 0n, true);
    const offset = packet.fragmentOffset ?? 0;
    if (packet.family === L3.IPV4) view.setUint16(l3 + 6, offset, false);
    if (offset > 0) view.setUint16(p + PACKET.flags, PacketFlag.FRAGMENT | PacketFlag.LATER_FRAGMENT, true);
    bytes.set(transport, l4);
    view.setUint32(p + PACKET.l3, l3, true);
    view.setUint32(p + PACKET.l4, offset > 0 ? 0 : l4, true);
    view.setUint32(p + PACKET.l4_captured, transport.length, true);
    const wire = packet.transportLength ?? transport.length;
    view.setUint32(p + PACKET.l4_len, wire, true);
    view.setUint32(p + PACKET.ip_len, packet.length ?? wire + (packet.family === L3.IPV4 ? 20 : 40), true);
    if (packet.mac) {
      bytes.set(packet.mac, l3 + 0x200 + 6);
      view.setUint32(p + PACKET.mac, l3 + 0x200, true);
    }
    view.setUint32(p + PACKET.mark, packet.mark ?? 0, true);
    view.setUint16(p + PACKET.iif, packet.iif ?? 0, true);
    view.setUint16(p + PACKET.oif, packet.oif ?? 0, true);
    view.setUint8(p + PACKET.ttl, packet.ttl ?? 64);
    view.setUint8(p + PACKET.tos, packet.tos ?? 0);
    view.setUint8(l3 + (packet.family === L3.IPV4 ? 8 : 7), packet.ttl ?? 64);
    view.setUint8(p + PACKET.pkttype, packet.pkttype ?? 0);
    if (packet.protocol === Proto.TCP && offset === 0) view.setUint8(p + PACKET.tcp_flags, transport[13] ?? 0);
    view.setUint32(p + PACKET.rule, 0xffffffff, true);
    view.setUint8(p + PACKET.ct_state, packet.ctState ?? CtState.NONE);
    view.setUint8(p + PACKET.dir, packet.direction ?? 0);
    if (packet.flow) view.setUint32(p + PACKET.flow, this.placeFlow(packet, packet.flow, index), true);
    return p;
  }

  private placeFlow(packet: TestPacket, flow: TestFlow, index: number): number {
    const { view, bytes } = this;
    const at = FLOWS + index * 0x100;
    bytes.fill(0, at, at + FLOW.size);
    const original = flow.original ?? {
      source: packet.source,
      destination: packet.destination,
      sport: packet.sport ?? 0,
      dport: packet.dport ?? 0,
    };
    const reply = flow.reply ?? {
      source: original.destination,
      destination: original.source,
      sport: original.dport,
      dport: original.sport,
    };
    bytes.set(original.source, at + FLOW.src_lo);
    bytes.set(original.destination, at + FLOW.dst_lo);
    view.setUint16(at + FLOW.sport, original.sport, false);
    view.setUint16(at + FLOW.dport, original.dport, false);
    bytes.set(reply.source, at + FLOW.reply_src_lo);
    bytes.set(reply.destination, at + FLOW.reply_dst_lo);
    view.setUint16(at + FLOW.reply_sport, reply.sport, false);
    view.setUint16(at + FLOW.reply_dport, reply.dport, false);
    view.setUint8(at + FLOW.protonum, flow.protocol ?? packet.protocol);
    view.setUint16(at + FLOW.status, flow.status ?? 0, true);
    view.setBigUint64(at + FLOW.expires, flow.expires ?? 0n, true);
    view.setUint32(at + FLOW.mark, flow.mark ?? 0, true);
    const account = this.account(index);
    const places = [ACCOUNT.packets_original, ACCOUNT.bytes_original, ACCOUNT.packets_reply, ACCOUNT.bytes_reply];
    places.forEach((place, each) => {
      view.setBigUint64(account + place, flow.carried?.[each] ?? 0n, true);
    });
    return at;
  }

  /** Runs the emitted code of a chain (`filter/INPUT`) on a placed packet. */
  call(chain: string, p: number, w: number, family: 2 | 10 = 2): ChainVerdict {
    const call = this.calls.get(`${family}/${chain}`);
    if (!call) throw new Error(`no chain ${chain}`);
    return call(p, w);
  }

  /** Places a packet, runs a chain on it and reads what became of it. */
  run(chain: string, packet: TestPacket): Outcome {
    const p = this.place(packet);
    return this.outcome(this.call(chain, p, this.world(0), packet.family), p, 0);
  }

  outcome(verdict: ChainVerdict, p: number, index: number): Outcome {
    const { view } = this;
    const flow = view.getUint32(p + PACKET.flow, true);
    const logs: number[] = [];
    const top = view.getUint32(this.world(index) + WORLD.logs_top, true);
    for (let at = this.logMark[index] ?? 0; at < top; at += LOG_RECORD.size) {
      if (view.getUint32(at + LOG_RECORD.packet, true) === p) logs.push(view.getUint32(at + LOG_RECORD.rule, true));
    }
    if (logs.length !== view.getUint16(p + PACKET.logs, true)) throw new Error('Packet.logs is wrong');
    view.setUint32(this.world(index) + WORLD.logs_top, this.logMark[index] ?? 0, true);
    return {
      verdict,
      rule: view.getUint32(p + PACKET.rule, true),
      reject: view.getUint8(p + PACKET.reject),
      mark: view.getUint32(p + PACKET.mark, true),
      ctState: view.getUint8(p + PACKET.ct_state),
      template: view.getUint8(p + PACKET.template),
      labels: [ACCOUNT.labels_lo, ACCOUNT.labels_hi].map((half) =>
        view.getBigUint64(this.account(index) + half, true),
      ) as [bigint, bigint],
      ctMark: flow === 0 ? 0 : view.getUint32(flow + FLOW.mark, true),
      pending: flow === 0 ? 0 : view.getUint16(flow + FLOW.pending_events, true),
      logs,
    };
  }

  counter(rule: number, index = 0): { packets: bigint; bytes: bigint } {
    const at = this.view.getUint32(this.world(index) + WORLD.counters, true) + rule * COUNTER.size;
    return {
      packets: this.view.getBigUint64(at + COUNTER.packets, true),
      bytes: this.view.getBigUint64(at + COUNTER.bytes, true),
    };
  }

  /** What the rules of a world keep, without the room in which they put keys together. */
  state(index: number): Uint8Array {
    const at = STATES + index * STATE_BYTES;
    const state = this.bytes.slice(at, at + this.compiled.stateBytes);
    for (const { rules } of lowerRuleset(this.ruleset).chains) {
      for (const test of rules.flatMap((rule) => rule.tests)) {
        if (test.op === 'ip set') state.fill(0, test.scratch, test.scratch + IP_SET_WORDS * 4);
      }
    }
    return state;
  }
}

/** A transport header with ports where the protocol has them, TCP with an ACK and no options. */
function defaultTransport({ protocol, sport = 0, dport = 0 }: TestPacket): Uint8Array {
  const bytes = new Uint8Array(protocol === Proto.TCP ? 20 : 8);
  bytes.set([sport >> 8, sport & 255, dport >> 8, dport & 255]);
  if (protocol === Proto.TCP) bytes.set([0x50, 0x10], 12);
  return bytes;
}

/** An SCTP header and some chunks, now and then one without length or cut short. */
export function sctpChunks(sport: number, dport: number, next: () => number): Uint8Array<ArrayBuffer> {
  const pick = (choices: readonly number[]): number => choices[next() % choices.length] as number;
  const bytes = [sport >> 8, sport & 255, dport >> 8, dport & 255, 0, 0, 0, 1, 0, 0, 0, 0];
  for (let count = next() % 4; count > 0; count--) {
    const length = pick([4, 4, 16, 16, 5, 7, 3, 1, next() % 8 ? 8 : 0]);
    bytes.push(pick([0, 0, 0, 1, 2, 3, 6, 10, 14, 193, 255]), next() % 8, 0, length);
    bytes.push(...new Array<number>(Math.max(0, Math.ceil(length / 4) * 4 - 4)).fill(0));
  }
  // Cut behind or within the last chunk's header, or its value.
  return Uint8Array.from(next() % 6 ? bytes : bytes.slice(0, Math.max(12, bytes.length - 1 - (next() % 4))));
}

export function ipv4(text: string): Uint8Array {
  return Uint8Array.from(text.split('.'), Number);
}

/** Sixteen bytes from eight groups. */
export function ipv6(text: string): Uint8Array {
  const [head = '', tail] = text.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((each) => Number.parseInt(each, 16));
  const first = groups(head);
  const last = tail === undefined ? [] : groups(tail);
  const all = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 255]));
}
