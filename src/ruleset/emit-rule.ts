// How does one rule become code?
//
// Cheap tests are joined by i32.and into one branch (on random traffic that is twice as fast as a branch per test); what
// calls the engine or keeps state stands behind a branch of its own.
import { ChainVerdict, CtState, L3 } from '../../assembly/vocabulary.ts';
import { PACKET } from '../engine/layout.ts';
import { ValueWriter } from './emit-value.ts';
import { type EngineFunction, type Helpers, P, type RuleFunctions, W } from './engine-functions.ts';
import {
  type Action,
  isAction,
  type Program,
  type RuleProgram,
  type StatePlace,
  type Test,
  type VerdictAction,
} from './expression.ts';
import type { Fields } from './fields.ts';
import { recentFlags } from './keyed.ts';
import { type Code, I32 } from './wasm.ts';

/** Cost of tests that are still joined into one branch, in compares. */
const JOINED_COST_MAX = 8;

/** What a part of a chain returns for RETURN, besides ChainVerdict: the rest of the chain is skipped. */
export const RETURNED = 5;
/** What stands for --clamp-mss-to-pmtu (XT_TCPMSS_CLAMP_PMTU). */
const CLAMP_MSS = 0xffff;

/** Where control goes when a chain's rules are through, or RETURN is met. */
export type Ending = 'policy' | 'continue' | 'part';

/** What a module has besides its functions. */
export interface RuleTables {
  program: Program;
  /** Offset of each set's KeySet from World.dispatch; 0 of those that rules change. */
  sets: readonly number[];
  /** Offset of the interfaces' names. */
  names: number;
}

/** Writes the rules of one function. Outside them is one block, whose end is the end of the chain. */
export class RuleWriter {
  private readonly engine: ReadonlyMap<string, number>;
  private readonly chains: readonly number[];
  private readonly helpers: Helpers;
  private readonly values: ValueWriter;
  private readonly ipSets: readonly number[];

  constructor(
    private readonly code: Code,
    private readonly fields: Fields,
    private readonly ending: Ending,
    functions: RuleFunctions,
    private readonly tables: RuleTables,
  ) {
    this.engine = functions.engine;
    this.chains = functions.chains;
    this.helpers = functions.helpers;
    this.values = new ValueWriter(code, fields, functions.engine, tables.names);
    this.ipSets = functions.ipSets;
  }

  /**
   * Without trace:  block $next  tests: br_if $next  actions  end
   * With trace:     block $next  block $fail  tests: br_if $fail  trace 1  actions  br $next  end  trace 0  end
   * Either way a failing test leaves by depth 0, and the chain's end is `leave` levels out.
   *
   * A rule that xtables drops the packet of although it goes on (`sctp chunks` inverted) has a flag for it: the packet is
   * dropped instead of a verdict or jump, or behind the rule, whether that matched or not.
   *
   * A rule counts as matched behind its last test, wherever that stands.
   */
  rule(rule: RuleProgram): void {
    const { code } = this;
    const trace = this.engine.get('trace_rule');
    const leave = trace === undefined ? 1 : 2;
    const dropped = rule.tests.some((test) => test.op === 'sctp chunks' && test.invert)
      ? this.fields.variable('dropped')
      : undefined;
    if (dropped !== undefined) code.i32(0).set(dropped);
    code.block();
    if (trace !== undefined) code.block();
    this.tests(rule.tests, rule.index);
    let left = rule.actions.findLastIndex((step) => !isAction(step)) + 1;
    const match = (): void => {
      if (trace !== undefined) code.get(P).get(W).i32(rule.index).i32(1).call(trace);
    };
    if (left === 0) match();
    let open = true;
    let tests: Test[] = [];
    for (const step of rule.actions) {
      if (!isAction(step)) {
        tests.push(step);
        if (--left === 0) {
          this.tests(tests, rule.index);
          match();
        }
        continue;
      }
      if (left-- > 0) {
        this.tests(tests, rule.index);
        tests = [];
      }
      if (dropped !== undefined && DECIDING.has(step.op)) this.dropIf(dropped, rule.index);
      open = this.action(step, rule.index, leave);
    }
    if (trace !== undefined) {
      if (open) code.br(1);
      code.op('end');
      code.get(P).get(W).i32(rule.index).i32(0).call(trace);
    }
    code.op('end');
    if (dropped !== undefined) this.dropIf(dropped, rule.index);
  }

  private dropIf(dropped: number, rule: number): void {
    this.code.get(dropped).if();
    this.decide(rule, ChainVerdict.DROP);
    this.code.op('end');
  }

  private call(name: EngineFunction): Code {
    const index = this.engine.get(name);
    if (index === undefined) throw new Error(`${name} is not imported`);
    return this.code.call(index);
  }

  private tests(tests: readonly Test[], rule: number): void {
    let joined: Test[] = [];
    let cost = 0;
    const flush = (): void => {
      if (joined.length > 0) this.joined(joined, rule);
      joined = [];
      cost = 0;
    };
    for (const test of tests) {
      const price = this.fields.cost(test);
      if (price === undefined) {
        flush();
        this.called(test, rule);
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
      case 'recent': {
        const { seconds, hits } = test.test;
        code.get(P).get(W).i32(test.list.at).i32(recentFlags(test.test)).i32(seconds).i32(hits);
        this.call('rule_recent');
        code.op('i32.eqz').brIf(0);
        return;
      }
      case 'hashlimit':
        code.get(P).get(W).i32(test.table.at);
        this.call('rule_hashlimit');
        this.orDrop(test.invert, rule);
        return;
      case 'connlimit': {
        const field = test.field === 'saddr' ? PACKET.src_lo : PACKET.dst_lo;
        code.get(P).get(W).i32(test.table).i32(test.mask).i32(field).i32(test.most);
        this.call('rule_connlimit');
        this.orDrop(test.invert, rule);
        return;
      }
      case 'owner': {
        const { asked, inverted, uid, gid } = test;
        code.get(P).get(W).i32(rule).i32(asked).i32(inverted);
        code.i32(uid.low).i32(uid.high).i32(gid.low).i32(gid.high);
        this.call('rule_owner');
        code.op('i32.eqz').brIf(0);
        return;
      }
      case 'rpfilter':
        code.get(P).get(W).i32(test.flags);
        this.call('rule_rpfilter');
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'nth':
        code.get(W).i32(test.state).i32(test.last);
        this.call('rule_nth');
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'allowance':
        code.get(P).get(W).i32(test.state);
        this.call('rule_allowance');
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'chance':
        code.get(W).i32(test.state).i32(test.below);
        this.call('rule_chance');
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
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
      case 'ct bytes':
        code.get(P).get(W).i32(test.carried).i32(test.by).i64(test.low).i64(test.high);
        this.call('rule_connbytes');
        code
          .i32(test.invert ? 0 : 1)
          .op('i32.ne')
          .brIf(0);
        return;
      case 'ip set': {
        code.i32(0);
        for (const { set, answer: wanted } of test.sets) {
          code.get(P).get(W).i32(this.ipSets[set]!).i32(test.sources).i32(test.scratch);
          this.call('rule_ip_set');
          code.i32(wanted).op('i32.eq', 'i32.or');
        }
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      }
      case 'ct helper':
        code.get(P).get(W).i32(test.helpers);
        this.call('rule_helper');
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'sctp chunks':
        code.get(P).get(W).i32(test.state).i32(test.match);
        this.call('rule_sctp_chunks');
        code.tee(answer).i32(2).op('i32.eq').if();
        if (test.invert) code.i32(1).set(fields.variable('dropped'));
        else this.hotdrop(rule);
        code.op('end').get(answer).i32(1);
        code.op(test.invert ? 'i32.eq' : 'i32.ne').brIf(0);
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
      case 'within':
        this.values.within(test.value, test.ranges);
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'in':
        this.lookUp(test);
        if (!test.invert) code.op('i32.eqz');
        code.brIf(0);
        return;
      case 'look up':
        this.lookUp(test);
        code.tee(this.values.register(test.register)).op('i32.eqz').brIf(0);
        return;
      case 'add':
        this.add(test);
        return;
      case 'tokens':
        this.ofKind(test.at);
        code.get(P);
        this.values.place(test.at);
        code.i64(test.unit === 'packets' ? test.period / test.rate : test.period).i64(test.max);
        code.i64(test.unit === 'packets' ? 0n : test.rate);
        this.call('rule_tokens');
        if (!test.invert) code.op('i32.eqz');
        code.brIf(1).op('end');
        return;
      case 'quota':
        this.ofKind(test.at);
        code.get(P);
        this.values.place(test.at);
        code.i64(test.quota);
        this.call('rule_quota');
        if (test.over) code.op('i32.eqz');
        code.brIf(1).op('end');
        return;
      default:
        throw new Error(`${test.op} is not a call`);
    }
  }

  /** Of an answer on the stack: 0 or 1, or 2 if the packet is dropped. */
  private orDrop(invert: boolean, rule: number): void {
    const { code } = this;
    const answer = this.fields.scratch(I32);
    code.tee(answer).i32(2).op('i32.eq').if();
    this.hotdrop(rule);
    code.op('end').get(answer);
    if (!invert) code.op('i32.eqz');
    code.brIf(0);
  }

  /** Begins a block that is left at once where an element does not have this statement. */
  private ofKind(at: StatePlace): void {
    const { code } = this;
    code.block();
    if ('state' in at) return;
    code.get(this.values.register(at.register)).memory('i32.load', at.kind * 8);
    code.i32(at.is).op('i32.ne').brIf(0);
  }

  /** Leaves the address of the data of a key, 0 if the set does not have it. */
  private lookUp({ set, key, scratch }: Pick<Extract<Test, { op: 'in' }>, 'set' | 'key' | 'scratch'>): void {
    const { code, tables } = this;
    const live = tables.program.sets[set]?.live;
    if (live) code.get(P).get(W).i32(live.state);
    else code.get(W).i32(tables.sets[set] ?? 0);
    this.values.key(key, scratch);
    this.call(live ? 'rule_look_up_live' : 'rule_look_up');
  }

  private add({ set, key, data, scratch, register, timeout, renew }: Extract<Test, { op: 'add' }>): void {
    const { code } = this;
    code
      .get(P)
      .get(W)
      .i32(this.tables.program.sets[set]?.live?.state ?? 0);
    this.values.key([...key, ...data], scratch);
    code.i64(timeout).i32(renew ? 1 : 0);
    this.call('rule_add');
    code.tee(this.values.register(register)).op('i32.eqz').brIf(0);
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
        code
          .get(P)
          .get(W)
          .i32(action.cell ?? rule)
          .call(this.helpers.count);
        return true;
      case 'count element': {
        const cell = this.fields.scratch(I32);
        code
          .get(this.values.register(action.register))
          .memory('i32.load', action.word * 8)
          .tee(cell)
          .if();
        code.get(P).get(W).get(cell).i32(1).op('i32.sub').call(this.helpers.count).op('end');
        return true;
      }
      case 'log':
        code.get(P).get(W).i32(rule);
        this.call('rule_log');
        return true;
      case 'set mark':
        code.get(P).get(P).memory('i32.load', PACKET.mark);
        code.i32(~action.mask).op('i32.and').i32(action.value).op('i32.xor').memory('i32.store', PACKET.mark);
        return true;
      case 'set mss':
      case 'lower mss':
        code
          .get(P)
          .get(W)
          .i32(action.mss === 'clamp' ? CLAMP_MSS : action.mss);
        this.call(action.op === 'set mss' ? 'rule_set_mss' : 'rule_lower_mss');
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
        // An INVALID packet has no connection either (nft_notrack_eval(); those of iptables come before there is any).
        code.get(P).memory('i32.load8_u', PACKET.ct_state).op('i32.eqz');
        code.get(P).memory('i32.load8_u', PACKET.ct_state).i32(CtState.INVALID).op('i32.eq', 'i32.or').if();
        code.get(P).i32(CtState.UNTRACKED).memory('i32.store8', PACKET.ct_state).op('end');
        return true;
      case 'template':
        // Only where no rule before has decided on it in this way (skb->_nfct is 0). A packet with a template is NEW to rules
        // until connection tracking has seen it (nf_ct_set()).
        code.get(P).memory('i32.load8_u', PACKET.ct_state).op('i32.eqz').if();
        code
          .get(P)
          .i32(action.template + 1)
          .memory('i32.store8', PACKET.template);
        code.get(P).i32(CtState.NEW).memory('i32.store8', PACKET.ct_state).op('end');
        return true;
      case 'nat':
        code.get(P).i32(rule).memory('i32.store', PACKET.rule);
        code.get(P).get(W);
        if (action.to) {
          const { kind, flags } = this.tables.program.nats[action.nat]!.binding;
          this.values.natRange(action.to, kind, flags);
          this.call('rule_nat_range').op('return');
        } else {
          code.i32(action.nat);
          this.call('rule_nat').op('return');
        }
        return false;
      case 'assign':
        code.get(P);
        this.values.push(action.value);
        code.op('i32.wrap_i64');
        if (action.target === 'mark') code.memory('i32.store', PACKET.mark);
        else {
          code.i32(-1);
          this.call('rule_set_ct_mark');
        }
        return true;
      case 'set ct label':
        for (const bit of action.bits) {
          code.get(P).get(W).i32(bit).i32(1);
          this.call('rule_connlabel').op('drop');
        }
        return true;
      case 'give helper':
        code.get(P).get(W).i32(action.helper).i32(action.protocol);
        this.call('rule_give_helper');
        return true;
      case 'remove':
        code.get(W).i32(this.tables.program.sets[action.set]?.live?.state ?? 0);
        this.values.key(action.key, action.scratch);
        this.call('rule_remove');
        return true;
      case 'branch':
        this.branch(action.verdicts, action.register, rule, leave);
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

  /** A verdict by number: block for each, br_table, then what each does; what decides nothing goes on behind them. */
  private branch(verdicts: readonly VerdictAction[], register: number, rule: number, leave: number): void {
    const { code } = this;
    const last = verdicts.length;
    for (let block = 0; block <= last; block++) code.block();
    code.get(this.values.register(register)).memory('i32.load', 0);
    code.brTable(verdicts.map((_, index) => index));
    for (const [index, verdict] of verdicts.entries()) {
      code.op('end');
      // Blocks that are still open stand between here and the end of the rule.
      const open = verdict === undefined || this.action(verdict, rule, leave + last - index);
      if (open) code.br(last - 1 - index);
    }
    code.op('end');
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

/** Actions by which a packet leaves the chain; what REJECT sends goes out all the same. */
const DECIDING: ReadonlySet<Action['op']> = new Set<Action['op']>(['verdict', 'jump', 'goto', 'nat']);

const VERDICTS = { accept: ChainVerdict.ACCEPT, drop: ChainVerdict.DROP, queue: ChainVerdict.QUEUE } as const;

/** UNSPEC, UNICAST and MULTICAST: what an IPv6 address is by itself. */
export const FIB_OWN_TYPES = (1 << 0) | (1 << 1) | (1 << 5);
