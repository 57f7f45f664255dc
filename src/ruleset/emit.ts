// How does an expression list become WebAssembly?
//
// A chain is a function (packet, world) -> ChainVerdict; a long one is cut into functions of RULES_PER_FUNCTION rules
// that are called in turn, because V8 optimises those soonest. A function loads the packet fields that its rules test
// into locals once. Within a rule, cheap tests are joined by i32.and into one branch (on random traffic that is twice
// as fast as a branch per test); what calls the engine or keeps state stands behind a branch of its own.
import { ChainVerdict, CtState, L3, PacketFlag } from '../../assembly/vocabulary.ts';
import { COUNTER, PACKET, WORLD } from '../engine/layout.ts';
import type { Action, ChainProgram, Program, RuleProgram, Test } from './expression.ts';
import { Fields } from './fields.ts';
import { Code, type FunctionType, I32, ModuleBuilder } from './wasm.ts';

const RULES_PER_FUNCTION = 256;

/** Cost of tests that are still joined into one branch, in compares. */
const JOINED_COST_MAX = 8;

/** What a part of a chain returns for RETURN, besides ChainVerdict: the rest of the chain is skipped. */
const RETURNED = 5;

const COUNTER_TYPE: FunctionType = { parameters: [I32, I32, I32] };
const PACKET_TYPE: FunctionType = { parameters: [I32], result: I32 };
const CHAIN_TYPE: FunctionType = { parameters: [I32, I32], result: I32 };
const P = 0;
const W = 1;

function engineType(parameters: number, result: boolean): FunctionType {
  return { parameters: new Array<typeof I32>(parameters).fill(I32), ...(result && { result: I32 }) };
}

/** Where the fragment offset lies in an IPv4 header, its bits, and the offset of one unit, loaded in wire order. */
const IPV4_FRAGMENT_OFFSET = 6;
const FRAGMENT_OFFSET_BITS = 0xff1f;
const FRAGMENT_OFFSET_ONE = 0x0100;

/** Functions of the engine that rules call (assembly/rules/, assembly/trace.ts). */
const ENGINE_FUNCTIONS: Readonly<Record<string, FunctionType>> = {
  rule_route_types: engineType(4, true),
  rule_connlabel: engineType(4, true),
  rule_helper: engineType(3, true),
  rule_limit: engineType(5, true),
  rule_log: engineType(3, false),
  rule_set_ct_mark: engineType(3, false),
  rule_save_mark: engineType(3, false),
  rule_restore_mark: engineType(3, false),
  rule_tcp_option: engineType(2, true),
  rule_tcp_mss: engineType(1, true),
};
const TRACE_FUNCTION = engineType(4, false);

export type EngineFunction =
  | 'rule_route_types'
  | 'rule_connlabel'
  | 'rule_helper'
  | 'rule_limit'
  | 'rule_log'
  | 'rule_set_ct_mark'
  | 'rule_save_mark'
  | 'rule_restore_mark'
  | 'rule_tcp_option'
  | 'rule_tcp_mss';

export interface EmitOptions {
  trace: boolean;
  /** Address of the pattern-by-interface byte table. */
  interfaceTable: number;
  /** First slot of the engine's function table that is free. */
  tableBase: number;
}

/** The module's bytes, and the chain of each slot, counted from `tableBase`. */
export interface Emitted {
  wasm: Uint8Array;
  slots: ChainProgram[];
}

/** Custom section with the length that the engine's table must have (u32). */
export const TABLE_LENGTH_SECTION = 'table-length';

/** Name of the import module that the emitted code expects. */
export const IMPORT_MODULE = 'engine';

export function emitProgram(program: Program, options: EmitOptions): Emitted {
  return new Emitter(program, options).emit();
}

/** Where control goes when a chain's rules are through, or RETURN is met. */
type Ending = 'policy' | 'continue' | 'part';

class Emitter {
  private readonly module = new ModuleBuilder(IMPORT_MODULE);
  private readonly engine = new Map<string, number>();
  private readonly chains: number[];
  private readonly helpers: Helpers;

  constructor(
    private readonly program: Program,
    private readonly options: EmitOptions,
  ) {
    for (const name of this.used()) {
      this.engine.set(name, this.module.import(name, ENGINE_FUNCTIONS[name] ?? TRACE_FUNCTION));
    }
    this.helpers = defineHelpers(this.module);
    this.chains = program.chains.map(() => this.module.reserve());
  }

  /** Engine functions that this program calls: nothing else is imported. */
  private used(): Set<string> {
    const used = new Set<string>();
    const byTest = new Map<string, EngineFunction>([
      ['fib', 'rule_route_types'],
      ['ct label', 'rule_connlabel'],
      ['ct helper', 'rule_helper'],
      ['limit', 'rule_limit'],
      ['tcp option', 'rule_tcp_option'],
      ['tcp mss', 'rule_tcp_mss'],
    ]);
    const byAction = new Map<string, EngineFunction>([
      ['log', 'rule_log'],
      ['set ct mark', 'rule_set_ct_mark'],
      ['save mark', 'rule_save_mark'],
      ['restore mark', 'rule_restore_mark'],
    ]);
    for (const chain of this.program.chains) {
      for (const rule of chain.rules) {
        for (const test of rule.tests) used.add(byTest.get(test.op) ?? '');
        for (const action of rule.actions) used.add(byAction.get(action.op) ?? '');
      }
    }
    used.delete('');
    if (this.options.trace) used.add('trace_rule');
    return used;
  }

  emit(): Emitted {
    const slots: ChainProgram[] = [];
    const bases: number[] = [];
    for (const [number, chain] of this.program.chains.entries()) {
      this.chain(chain, this.chains[number] ?? 0);
      if (chain.base) {
        slots.push(chain);
        bases.push(this.chains[number] ?? 0);
      }
    }
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, this.options.tableBase + bases.length, true);
    this.module.custom(TABLE_LENGTH_SECTION, length);
    return { wasm: this.module.build(this.options.tableBase, bases), slots };
  }

  private chain(chain: ChainProgram, index: number): void {
    const name = `${chain.family === L3.IPV6 ? 'ip6' : 'ip'} ${chain.table} ${chain.name}`;
    const ending: Ending = chain.base ? 'policy' : 'continue';
    if (chain.rules.length <= RULES_PER_FUNCTION) {
      this.function(chain, chain.rules, ending, index, name);
      return;
    }
    const code = new Code();
    const fields = new Fields(this.options.interfaceTable, chain.family);
    const verdict = fields.scratch(I32);
    code.block();
    for (let start = 0; start < chain.rules.length; start += RULES_PER_FUNCTION) {
      const part = this.module.reserve();
      const rules = chain.rules.slice(start, start + RULES_PER_FUNCTION);
      this.function(chain, rules, 'part', part, `${name} from rule ${start + 1}`);
      code.get(P).get(W).call(part).tee(verdict).if();
      code.get(verdict).i32(RETURNED).op('i32.eq').brIf(1);
      code.get(verdict).op('return', 'end');
    }
    code.op('end');
    this.end(chain, ending, code);
    this.module.define(index, CHAIN_TYPE, fields.locals, fields.prologue().append(code), name);
  }

  private function(chain: ChainProgram, rules: RuleProgram[], ending: Ending, index: number, name: string): void {
    const fields = new Fields(this.options.interfaceTable, chain.family);
    const code = new Code();
    const writer = new RuleWriter(code, fields, ending, this.engine, this.chains, this.helpers);
    code.block();
    for (const rule of rules) writer.rule(rule);
    code.op('end');
    this.end(chain, ending, code);
    this.module.define(index, CHAIN_TYPE, fields.locals, fields.prologue().append(code), name);
  }

  /** What happens when no rule decided: the policy, or the caller goes on. */
  private end(chain: ChainProgram, ending: Ending, code: Code): void {
    const { base } = chain;
    if (ending !== 'policy' || !base) {
      code.i32(ChainVerdict.CONTINUE);
      return;
    }
    const trace = this.engine.get('trace_rule');
    if (trace !== undefined) code.get(P).get(W).i32(base.index).i32(1).call(trace);
    code.get(P).get(W).i32(base.index).call(this.helpers.count);
    code.get(P).i32(base.index).memory('i32.store', PACKET.rule);
    code.i32(base.policy === 'accept' ? ChainVerdict.ACCEPT : ChainVerdict.DROP);
  }
}

/** Indices of functions that every module has. What rules rarely need stays out of the code that packets walk past. */
interface Helpers {
  /** (packet, world, rule): counts one packet and its IP length in bytes (ADD_COUNTER with skb->len). */
  count: number;
  /** (packet) -> 1 if it is no later fragment: its transport header is then too short for the match that asks. */
  whole: number;
  /** As `whole`, but also 1 for a later fragment at offset 8, which tcp_mt drops (RFC 1858, section 4.2). */
  evil: number;
}

function defineHelpers(module: ModuleBuilder): Helpers {
  const helpers = { count: module.reserve(), whole: module.reserve(), evil: module.reserve() };
  const rule = 2;
  const counter = 3;
  const count = new Code();
  count.get(W).memory('i32.load', WORLD.counters).get(rule).i32(COUNTER.size).op('i32.mul', 'i32.add').tee(counter);
  count.get(counter).memory('i64.load', COUNTER.packets).i64(1n).op('i64.add').memory('i64.store', COUNTER.packets);
  count.get(counter).get(counter).memory('i64.load', COUNTER.bytes).get(P).memory('i64.load32_u', PACKET.ip_len);
  count.op('i64.add').memory('i64.store', COUNTER.bytes);
  module.define(helpers.count, COUNTER_TYPE, [I32], count, 'count');

  const later = (code: Code): Code =>
    code.get(P).memory('i32.load16_u', PACKET.flags).i32(PacketFlag.LATER_FRAGMENT).op('i32.and');
  module.define(helpers.whole, PACKET_TYPE, [], later(new Code()).op('i32.eqz'), 'whole');

  // IPv6 counts the offset in bytes (ipv6_find_hdr), so that none is 1.
  const evil = later(new Code()).op('i32.eqz').get(P).memory('i32.load8_u', PACKET.l3num).i32(L3.IPV4).op('i32.eq');
  evil.get(P).memory('i32.load', PACKET.l3).memory('i32.load16_u', IPV4_FRAGMENT_OFFSET).i32(FRAGMENT_OFFSET_BITS);
  evil.op('i32.and').i32(FRAGMENT_OFFSET_ONE).op('i32.eq', 'i32.and', 'i32.or');
  module.define(helpers.evil, PACKET_TYPE, [], evil, 'evil');
  return helpers;
}

/** Writes the rules of one function. Outside them is one block, whose end is the end of the chain. */
class RuleWriter {
  constructor(
    private readonly code: Code,
    private readonly fields: Fields,
    private readonly ending: Ending,
    private readonly engine: ReadonlyMap<string, number>,
    private readonly chains: readonly number[],
    private readonly helpers: Helpers,
  ) {}

  /**
   * Without trace:  block $next  tests: br_if $next  actions  end
   * With trace:     block $next  block $fail  tests: br_if $fail  trace 1  actions  br $next  end  trace 0  end
   * Either way a failing test leaves by depth 0, and the chain's end is `leave` levels out.
   */
  rule(rule: RuleProgram): void {
    const { code } = this;
    const trace = this.engine.get('trace_rule');
    const leave = trace === undefined ? 1 : 2;
    code.block();
    if (trace !== undefined) code.block();
    this.tests(rule);
    if (trace !== undefined) code.get(P).get(W).i32(rule.index).i32(1).call(trace);
    let open = true;
    for (const action of rule.actions) open = this.action(action, rule.index, leave);
    if (trace !== undefined) {
      if (open) code.br(1);
      code.op('end');
      code.get(P).get(W).i32(rule.index).i32(0).call(trace);
    }
    code.op('end');
  }

  private call(name: EngineFunction): Code {
    const index = this.engine.get(name);
    if (index === undefined) throw new Error(`${name} is not imported`);
    return this.code.call(index);
  }

  private tests(rule: RuleProgram): void {
    let joined: Test[] = [];
    let cost = 0;
    const flush = (): void => {
      if (joined.length > 0) this.joined(joined, rule.index);
      joined = [];
      cost = 0;
    };
    for (const test of rule.tests) {
      const price = this.fields.cost(test);
      if (price === undefined) {
        flush();
        this.called(test, rule.index);
        continue;
      }
      if (cost + price > JOINED_COST_MAX) flush();
      joined.push(test);
      cost += price;
    }
    flush();
  }

  /**
   * t1 & (odd | (t2 & t3)): a guard lets odd packets (later fragments, headers that are too short) pass the branch, and
   * what the kernel does with them is decided behind it, off the usual way.
   */
  private joined(tests: readonly Test[], rule: number): void {
    const { code, fields } = this;
    const closing: ('i32.and' | 'i32.or')[] = [];
    for (const [position, test] of tests.entries()) {
      const last = position === tests.length - 1;
      if (test.op === 'guard') {
        if (last) {
          // Nothing behind the guard: it lets every packet that is not odd pass.
          code.i32(1);
        } else {
          code.get(fields.odd(test.need));
          closing.push('i32.or');
        }
      } else {
        fields.test(code, test);
        if (!last) closing.push('i32.and');
      }
    }
    if (!(tests.length === 1 && tests[0]?.op === 'guard')) {
      code.op(...closing.reverse(), 'i32.eqz').brIf(0);
    } else {
      code.op('drop');
    }
    for (const test of tests) if (test.op === 'guard') this.guard(test, rule);
  }

  private guard(test: Extract<Test, { op: 'guard' }>, rule: number): void {
    const { code, fields } = this;
    code.get(fields.odd(test.need)).if();
    // A first fragment that is too short is dropped, and so is one that is evil; other later ones do not match.
    code
      .get(P)
      .call(test.evil ? this.helpers.evil : this.helpers.whole)
      .op('i32.eqz')
      .brIf(1);
    this.hotdrop(rule);
    code.op('end');
  }

  /** What cannot be examined is dropped; the rule did not match, so it is not counted (ipt_do_table). */
  private hotdrop(rule: number): void {
    const trace = this.engine.get('trace_rule');
    if (trace !== undefined) this.code.get(P).get(W).i32(rule).i32(0).call(trace);
    this.decide(rule, ChainVerdict.DROP);
  }

  private decide(rule: number, verdict: ChainVerdict): void {
    this.code.get(P).i32(rule).memory('i32.store', PACKET.rule).i32(verdict).op('return');
  }

  /** Tests that ask the engine. */
  private called(test: Test, rule: number): void {
    const { code, fields } = this;
    const answer = fields.scratch(I32);
    switch (test.op) {
      case 'limit':
        code.get(P).get(W).i32(test.state).i32(test.cost).i32(test.cap);
        this.call('rule_limit');
        code.op('i32.eqz').brIf(0);
        return;
      case 'ct label':
        code
          .get(P)
          .get(W)
          .i32(test.bit)
          .i32(test.set ? 1 : 0);
        this.call('rule_connlabel');
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'ct helper':
        code.get(P).get(W).i32(test.helpers);
        this.call('rule_helper');
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'fib':
        this.fib(test);
        return;
      case 'tcp option':
        code.get(P).i32(test.option);
        this.call('rule_tcp_option');
        code.tee(answer).i32(2).op('i32.eq').if();
        this.hotdrop(rule);
        code.op('end').get(answer);
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'tcp mss':
        code.get(P);
        this.call('rule_tcp_mss');
        code.tee(answer).i32(-2).op('i32.eq').if();
        this.hotdrop(rule);
        code.op('end');
        // A missing option is 0xffffffff, which is in no range of 16 bits.
        fields.inRange(code, (each) => each.get(answer), test.low, test.high);
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      default:
        throw new Error(`${test.op} is not a call`);
    }
  }

  /**
   * xt_addrtype. IPv4: the one type of the address is asked for. IPv6: of UNSPEC, UNICAST and MULTICAST all that are
   * asked for must hold, of the others any.
   */
  private fib(test: Extract<Test, { op: 'fib' }>): void {
    const { code, fields } = this;
    const bits = fields.scratch(I32);
    code
      .get(W)
      .i32(fields.family)
      .get(P)
      .i32(test.field === 'saddr' ? PACKET.src_lo : PACKET.dst_lo)
      .op('i32.add');
    if (test.interface) code.get(P).memory('i32.load16_u', test.interface === 'iif' ? PACKET.iif : PACKET.oif);
    else code.i32(0);
    this.call('rule_route_types');
    if (fields.family === L3.IPV4) {
      code.i32(test.types).op('i32.and').i32(0).op('i32.ne');
    } else {
      const own = test.types & FIB_OWN_TYPES;
      const routed = test.types & ~FIB_OWN_TYPES;
      code.tee(bits).i32(own).op('i32.and').i32(own).op('i32.eq');
      if (routed !== 0) code.get(bits).i32(routed).op('i32.and').i32(0).op('i32.ne', 'i32.and');
    }
    if (!test.invert) code.op('i32.eqz');
    code.brIf(0);
  }

  /** Writes an action; false if control does not come out behind it. */
  private action(action: Action, rule: number, leave: number): boolean {
    const { code } = this;
    switch (action.op) {
      case 'counter':
        code.get(P).get(W).i32(rule).call(this.helpers.count);
        return true;
      case 'log':
        code.get(P).get(W).i32(rule);
        this.call('rule_log');
        return true;
      case 'set mark':
        code.get(P).get(P).memory('i32.load', PACKET.mark);
        code.i32(~action.mask).op('i32.and').i32(action.value).op('i32.xor').memory('i32.store', PACKET.mark);
        return true;
      case 'set ct mark':
        code.get(P).i32(action.value).i32(action.mask);
        this.call('rule_set_ct_mark');
        return true;
      case 'save mark':
        code.get(P).i32(action.ctmask).i32(action.nfmask);
        this.call('rule_save_mark');
        return true;
      case 'restore mark':
        code.get(P).i32(action.ctmask).i32(action.nfmask);
        this.call('rule_restore_mark');
        return true;
      case 'notrack':
        this.firstOfAll(() => code.get(P).i32(CtState.UNTRACKED).memory('i32.store8', PACKET.ct_state));
        return true;
      case 'template':
        // A packet with a template is NEW to rules until connection tracking has seen it (nf_ct_set()).
        this.firstOfAll(() => {
          code
            .get(P)
            .i32(action.template + 1)
            .memory('i32.store8', PACKET.template);
          code.get(P).i32(CtState.NEW).memory('i32.store8', PACKET.ct_state);
        });
        return true;
      case 'reject':
        code.get(P).i32(action.with).memory('i32.store8', PACKET.reject);
        this.decide(rule, ChainVerdict.REJECT);
        return false;
      case 'jump':
      case 'goto':
        return this.enter(action, leave);
      case 'verdict':
        if (action.verdict === 'return') return this.leaveChain(leave);
        this.decide(rule, VERDICTS[action.verdict]);
        return false;
    }
  }

  /** Only for a packet that no rule before has decided on in this way (skb->_nfct is 0). */
  private firstOfAll(write: () => void): void {
    this.code.get(P).memory('i32.load8_u', PACKET.ct_state).op('i32.eqz').if();
    write();
    this.code.op('end');
  }

  /** RETURN: to the policy of a base chain, or out of the function. */
  private leaveChain(leave: number): false {
    if (this.ending === 'policy') this.code.br(leave);
    else this.code.i32(this.ending === 'part' ? RETURNED : ChainVerdict.CONTINUE).op('return');
    return false;
  }

  /** A chain that is jumped to comes back here if it does not decide; after a goto it comes back to our caller. */
  private enter(action: { op: 'jump' | 'goto'; chain: number }, leave: number): boolean {
    const { code, fields } = this;
    code
      .get(P)
      .get(W)
      .call(this.chains[action.chain] ?? 0);
    if (action.op === 'goto' && this.ending === 'continue') {
      code.op('return');
      return false;
    }
    const verdict = fields.scratch(I32);
    code.tee(verdict).if();
    code.get(verdict).op('return', 'end');
    return action.op === 'jump' ? true : this.leaveChain(leave);
  }
}

const VERDICTS = { accept: ChainVerdict.ACCEPT, drop: ChainVerdict.DROP, queue: ChainVerdict.QUEUE } as const;

/** UNSPEC, UNICAST and MULTICAST: what an IPv6 address is by itself. */
export const FIB_OWN_TYPES = (1 << 0) | (1 << 1) | (1 << 5);
