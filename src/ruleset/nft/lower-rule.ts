// How does a rule of nft become the steps that the engine takes?
import { Hook, L3, Proto, RejectWith, TemplateFlag } from '../../../assembly/vocabulary.ts';
import type { TrackingTemplate } from '../ast.ts';
import type {
  Action,
  AddressField,
  NumberField,
  StatePlace,
  Test,
  TokenBucket,
  Value,
  VerdictAction,
} from '../expression.ts';
import { isAction, LIMIT_STATE } from '../expression.ts';
import { findHelper, helperNumber, helpersLike } from '../helpers.ts';
import type {
  Constant,
  Element,
  Expression,
  LimitValues,
  Match,
  Name,
  Nat,
  NftRule,
  NftSet,
  Place,
  QuotaValues,
  SetUpdate,
  SetUse,
  Statement,
  Verdict,
  VerdictValue,
} from './ast.ts';
import { lowerNat } from './lower-nat.ts';
import { type Bounds, bigintOf, boundsOf, jiffiesOf, partsOf } from './lower-set.ts';
import { Never, type Surroundings, unsupported, ValueLowering } from './lower-value.ts';
import { refuseAt } from './text.ts';

/** More ranges than these are looked up in a table. */
const RANGES_MAX = 8;
const NEVER: Test = { op: 'range', field: 'l4proto', low: 1, high: 0, invert: false };
const CONNTRACK_PRIORITY = -200;

/** Answers of reject by code: for ICMP, ICMPv6, and of icmpx for each of them. */
const REJECT_ICMP: Readonly<Record<number, RejectWith>> = {
  0: RejectWith.ICMP_NET_UNREACHABLE,
  1: RejectWith.ICMP_HOST_UNREACHABLE,
  2: RejectWith.ICMP_PROTO_UNREACHABLE,
  3: RejectWith.ICMP_PORT_UNREACHABLE,
  9: RejectWith.ICMP_NET_PROHIBITED,
  10: RejectWith.ICMP_HOST_PROHIBITED,
  13: RejectWith.ICMP_ADMIN_PROHIBITED,
};
const REJECT_ICMPV6: Readonly<Record<number, RejectWith>> = {
  0: RejectWith.ICMP6_NO_ROUTE,
  1: RejectWith.ICMP6_ADM_PROHIBITED,
  3: RejectWith.ICMP6_ADDR_UNREACHABLE,
  4: RejectWith.ICMP6_PORT_UNREACHABLE,
  5: RejectWith.ICMP6_POLICY_FAIL,
  6: RejectWith.ICMP6_REJECT_ROUTE,
};
const REJECT_ICMPX: Readonly<Record<number, readonly [v4: RejectWith, v6: RejectWith]>> = {
  0: [RejectWith.ICMP_NET_UNREACHABLE, RejectWith.ICMP6_NO_ROUTE],
  1: [RejectWith.ICMP_PORT_UNREACHABLE, RejectWith.ICMP6_PORT_UNREACHABLE],
  2: [RejectWith.ICMP_HOST_UNREACHABLE, RejectWith.ICMP6_ADDR_UNREACHABLE],
  3: [RejectWith.ICMP_ADMIN_PROHIBITED, RejectWith.ICMP6_ADM_PROHIBITED],
};

/** What the elements of a set that rules fill can do: each has the statements of one kind. */
export interface ElementKinds {
  /** Word of the data that says which kind, from 0: none. */
  word: number;
  /** By number from 1: the update that makes it, and its statements with the offset of their state in the data. */
  kinds: { by: SetUpdate | undefined; statements: { statement: Statement; offset: number }[] }[];
}

/** What a rule needs besides what its values do. */
export interface RuleSurroundings extends Surroundings {
  /** Priorities of the base chains from which its chain can be reached. */
  priorities: readonly number[];
  pattern(text: string): number;
  template(template: TrackingTemplate, at: Place): number;
  verdict(verdict: Verdict, at: Place): VerdictAction;
  /** A set to test for a key of so many bits by part. */
  set(use: SetUse, key: readonly Value[]): { set: number; counter: number | undefined; reference: NftSet | undefined };
  /** A verdict map, and its verdicts by number. */
  verdicts(use: SetUse, key: readonly Value[]): { set: number; counter: number | undefined; verdicts: VerdictAction[] };
  /** Statements that elements of a set may have, by the update that adds them; undefined: those that the set states. */
  elementKinds(set: NftSet): ElementKinds;
}

/** Tests up to the first action, then the rest; a rule counts where its own counter stands, else behind its last test. */
export function lowerRule(rule: NftRule, around: RuleSurroundings): { tests: Test[]; actions: (Action | Test)[] } {
  const lowering = new RuleLowering(around);
  let never = false;
  try {
    for (const statement of rule.statements) lowering.statement(statement);
  } catch (error) {
    if (!(error instanceof Never)) throw error;
    never = true;
    if (error instanceof NeverAtAll) lowering.steps.length = 0;
    lowering.steps.push(NEVER);
  }
  const { steps } = lowering;
  const counted = rule.statements.some((each) => each.kind === 'counter');
  const last = steps.findLastIndex((step) => !isAction(step)) + 1;
  if (!counted && !never) steps.splice(last, 0, { op: 'counter' });
  const first = steps.findIndex(isAction);
  const split = first < 0 ? steps.length : first;
  return { tests: steps.slice(0, split) as Test[], actions: steps.slice(split) };
}

/** As Never, by a test that nft puts to the beginning of the rule. */
class NeverAtAll extends Never {}

class RuleLowering extends ValueLowering {
  constructor(protected override readonly around: RuleSurroundings) {
    super(around);
  }

  private test(...tests: Test[]): void {
    this.steps.push(...tests);
  }

  private act(...actions: Action[]): void {
    this.steps.push(...actions);
  }

  statement(statement: Statement): void {
    const { around } = this;
    switch (statement.kind) {
      case 'match':
        this.match(statement);
        return;
      case 'counter':
        this.act({ op: 'counter', cell: statement.counter.index });
        return;
      case 'verdict': {
        const verdict = around.verdict(statement, statement.at);
        if (verdict) this.act(verdict);
        return;
      }
      case 'vmap': {
        const key = this.key(statement.key);
        const { set, counter, verdicts } = around.verdicts(statement.map, key);
        const register = this.register();
        this.test({ op: 'look up', set, key, scratch: around.scratch(), register });
        if (counter !== undefined) this.act({ op: 'count element', register, word: counter });
        this.act({ op: 'branch', register, verdicts });
        return;
      }
      case 'set':
        this.assign(statement);
        return;
      case 'limit':
        this.limit(statement.limit, { state: this.tokens(statement, statement.limit) });
        return;
      case 'quota':
        this.quota(statement.quota, { state: this.bytes(statement, statement.quota) });
        return;
      case 'log':
        this.act({ op: 'log', log: statement.log });
        return;
      case 'reject':
        this.reject(statement);
        return;
      case 'notrack':
        this.act({ op: 'notrack' });
        return;
      case 'nat':
        this.nat(statement);
        return;
      case 'object':
        this.object(statement);
        return;
      case 'set update':
        this.update(statement);
        return;
      case 'last':
        return;
      default:
        unsupported(`'${statement.kind}'`, statement.at);
    }
  }

  private match(match: Match): void {
    const { left, right, op, at } = match;
    if (left.kind === 'ct' && left.key === 'helper') {
      this.helper(match);
      return;
    }
    if (left.kind === 'ct' && left.key === 'label') {
      this.label(match);
      return;
    }
    const key = this.key(left);
    if (
      key.length > 1 ||
      right.kind === 'set reference' ||
      (right.kind === 'anonymous set' && !isSmall(right.elements))
    ) {
      this.inSet(match, key);
      return;
    }
    const [value] = key as [Value];
    if (value.op === 'ifname' && right.kind === 'name') {
      this.interface(value.field, right, op === '!=');
      return;
    }
    const bits = value.bits;
    const most = (1n << BigInt(bits)) - 1n;
    const bounds = right.kind === 'anonymous set' ? right.elements.map(({ key: each }) => each as Constant) : [right];
    const ranges = bounds.map((each) => {
      if (!isConstant(each)) return unsupported('a comparison with what is no constant', each.at);
      return boundsOf(each, bits);
    });
    const [[low, high] = [0n, 0n]] = ranges;
    switch (op) {
      case '==':
      case '!=':
        this.compare(value, ranges, op === '!=');
        return;
      case '<':
        this.compare(value, low === 0n ? [] : [[0n, low - 1n]], false);
        return;
      case '<=':
        this.compare(value, [[0n, high]], false);
        return;
      case '>':
        this.compare(value, high >= most ? [] : [[high + 1n, most]], false);
        return;
      case '>=':
        this.compare(value, [[low, most]], false);
        return;
      case 'any':
      case 'none': {
        if (value.op === 'ct state') {
          this.states((state) => (state & low) !== 0n, op === 'none');
          return;
        }
        const mask: Value = { op: 'constant', value: low, bits };
        this.compare({ op: 'and', left: value, right: mask, bits }, [[0n, 0n]], op === 'any');
        return;
      }
      default:
        unsupported(`'${op}'`, at);
    }
  }

  private inSet(match: Match, key: Value[]): void {
    const { right, op, at } = match;
    if (op !== '==' && op !== '!=') unsupported(`'${op}' with a set`, at);
    if (right.kind !== 'set reference' && right.kind !== 'anonymous set') {
      this.concatenated(right, key, op === '!=');
      return;
    }
    const { set, counter, reference } = this.around.set(right, key);
    const scratch = this.around.scratch();
    const kinds = reference && this.around.elementKinds(reference);
    if (op === '!=' || (counter === undefined && (kinds?.kinds ?? []).length === 0)) {
      this.test({ op: 'in', set, key, scratch, invert: op === '!=' });
      return;
    }
    const register = this.register();
    this.test({ op: 'look up', set, key, scratch, register });
    if (counter !== undefined) this.act({ op: 'count element', register, word: counter });
    if (kinds) this.ofElement(kinds, register);
  }

  /** A concatenation that is compared with one constant: all parts are, or with != not all of them. */
  private concatenated(right: Expression, key: Value[], invert: boolean): void {
    const parts = partsOf(right);
    const elements: Element[] = [{ key: { kind: 'concat', parts, at: right.at }, statements: [], at: right.at }];
    const { set } = this.around.set({ kind: 'anonymous set', elements, at: right.at }, key);
    this.test({ op: 'in', set, key, scratch: this.around.scratch(), invert });
  }

  /** The value lies in one of the ranges: as a test of one field where it can be. */
  private compare(value: Value, ranges: readonly Bounds[], invert: boolean): void {
    const [only] = ranges.length === 1 ? ranges : [];
    if (value.op === 'constant') {
      if (ranges.some(([low, high]) => value.value >= low && value.value <= high) === invert) throw new Never();
      return;
    }
    if (value.op === 'ct state') {
      this.states((state) => ranges.some(([low, high]) => state >= low && state <= high), invert);
      return;
    }
    if (value.op === 'number' && value.field === 'l4proto' && !invert) {
      const single = ranges.every(([low, high]) => low === high);
      if (single) this.knowProtocols(ranges.map(([low]) => Number(low)));
    }
    if (value.op === 'number' && this.number(value.field, ranges, invert)) return;
    if (
      value.op === 'and' &&
      only &&
      value.left.op === 'number' &&
      value.right.op === 'constant' &&
      only[0] === only[1]
    ) {
      const wanted = Number(only[0]);
      const mask = Number(value.right.value);
      this.test({ op: 'cmp', field: value.left.field, mask, value: wanted, invert });
      return;
    }
    if (value.op === 'address' && only && this.address(value.field, value.bits, only, invert)) return;
    this.test({ op: 'within', value, ranges, invert });
  }

  private number(field: NumberField, ranges: readonly Bounds[], invert: boolean): boolean {
    const [only] = ranges.length === 1 ? ranges : [];
    if (only) {
      const [low, high] = [Number(only[0]), Number(only[1])];
      if (low === high) this.test({ op: 'cmp', field, mask: 0xffff_ffff, value: low, invert });
      else this.test({ op: 'range', field, low, high, invert });
      return true;
    }
    if (field.startsWith('ct ') || ranges.length === 0) return false;
    const list = ranges.map(([low, high]): [number, number] => [Number(low), Number(high)]);
    this.test({ op: 'lookup', fields: [field as Exclude<NumberField, `ct ${string}`>], ranges: list, invert });
    return true;
  }

  private address(field: AddressField, bits: number, [low, high]: Bounds, invert: boolean): boolean {
    const free = low ^ high;
    const bytes = (number: bigint): Uint8Array =>
      Uint8Array.from({ length: bits / 8 }, (_, index) => Number((number >> BigInt(bits - 8 - index * 8)) & 0xffn));
    if ((free & (free + 1n)) === 0n && (low & free) === 0n) {
      const mask = ((1n << BigInt(bits)) - 1n) ^ free;
      this.test({ op: 'address', field, mask: bytes(mask), value: bytes(low), invert });
      return true;
    }
    if (field !== 'saddr' && field !== 'daddr') return false;
    this.test({ op: 'address range', field, low: bytes(low), high: bytes(high), invert });
    return true;
  }

  private interface(field: 'iif' | 'oif', { text, prefix, at }: Name, invert: boolean): void {
    if (text.endsWith('+') && !prefix) unsupported("a name of an interface with '+' at its end", at);
    this.test({ op: 'ifname', field, pattern: this.around.pattern(prefix ? `${text}+` : text), invert });
  }

  /** Which of the states that a packet can have hold: what no tracker has seen is invalid, as nft has it. */
  private states(holds: (bits: bigint) => boolean, invert: boolean): void {
    const states = STATES.reduce((found, bits, state) => found | (holds(bits) !== invert ? 1 << state : 0), 0);
    this.test({ op: 'ct state', states, status: 0, invert: false });
  }

  private helper({ right, op, at }: Match): void {
    if (right.kind !== 'name' || (op !== '==' && op !== '!=')) unsupported('this use of ct helper', at);
    this.connection();
    // Without a master that has a helper the rule ends, whatever is asked.
    const bits = right.text === '' ? 0 : 1 << helperNumber(right.text);
    this.test({ op: 'ct helper', helpers: op === '==' ? bits : helpersLike('') & ~bits, invert: false });
  }

  private label({ right, op, at }: Match): void {
    const bits = right.kind === 'value' ? labelBits(bigintOf(right)) : [];
    const [bit] = bits;
    if (bits.length !== 1 || bit === undefined || (op !== 'any' && op !== 'none')) {
      unsupported('this use of ct label', at);
    }
    this.connection();
    this.test({ op: 'ct label', bit, set: false, invert: op === 'none' });
  }

  private assign({ target, value, at }: Extract<Statement, { kind: 'set' }>): void {
    if (target.kind === 'meta') {
      this.assignMeta(target.key, value, at);
      return;
    }
    if (target.kind === 'ct') {
      this.assignCt(target, value, at);
      return;
    }
    if (target.kind === 'exthdr' && target.of === 'tcp option' && target.name === 'maxseg') {
      this.protocol(Proto.TCP);
      if (value.kind === 'value') this.act({ op: 'lower mss', mss: Number(bigintOf(value)) });
      else if (value.kind === 'rt' && value.key === 'mtu') this.act({ op: 'lower mss', mss: 'clamp' });
      else unsupported('this maximum segment size', value.at);
      return;
    }
    unsupported('changing this part of a packet', at);
  }

  private assignMeta(key: string, expression: Expression, at: Place): void {
    // Neither shows in what becomes of a packet, nor can rules ask for it here.
    if (key === 'nftrace' || key === 'priority') {
      if (expression.kind !== 'value') unsupported(`'meta ${key} set' to what is no constant`, at);
      return;
    }
    if (key !== 'mark') unsupported(`'meta ${key} set'`, at);
    const value = this.value(expression);
    if (value.op === 'constant') this.act({ op: 'set mark', mask: 0xffff_ffff, value: Number(value.value) });
    else this.act({ op: 'assign', target: 'mark', value });
  }

  private assignCt({ key, direction }: { key: string; direction?: string }, expression: Expression, at: Place): void {
    switch (key) {
      case 'mark': {
        const value = this.value(expression);
        if (value.op === 'constant') this.act({ op: 'set ct mark', mask: 0xffff_ffff, value: Number(value.value) });
        else this.act({ op: 'assign', target: 'ct mark', value });
        return;
      }
      case 'label':
        if (expression.kind !== 'value') unsupported('ct label set to what is no constant', at);
        else this.act({ op: 'set ct label', bits: labelBits(bigintOf(expression)) });
        return;
      case 'zone':
        this.zone(expression, direction, at);
        return;
      default:
        unsupported(`'ct ${key} set'`, at);
    }
  }

  private zone(expression: Expression, direction: string | undefined, at: Place): void {
    if (expression.kind !== 'value') unsupported('ct zone set to what is no constant', at);
    const early = (1 << Hook.PREROUTING) | (1 << Hook.OUTPUT);
    if (this.around.hooks & ~early || this.around.priorities.some((priority) => priority >= CONNTRACK_PRIORITY)) {
      unsupported('ct zone set behind connection tracking', at);
    }
    const flags = direction === 'original' ? ZONE_ORIGINAL : direction === 'reply' ? ZONE_REPLY : ZONE_BOTH;
    const template = this.around.template({ zone: Number(bigintOf(expression)), flags }, at);
    this.act({ op: 'template', template });
  }

  private tokens(of: object, limit: LimitValues): number {
    const { program, rule } = this.around;
    program.shared.push({ rule, what: 'a limit, whose tokens all flows share' });
    return this.around.state(of, LIMIT_STATE.size, [bucketOf(limit).max, 0n]);
  }

  private limit(limit: LimitValues, at: StatePlace): void {
    this.test({ op: 'tokens', at, invert: limit.over, ...bucketOf(limit) });
  }

  private bytes(of: object, quota: QuotaValues): number {
    const { program, rule } = this.around;
    program.shared.push({ rule, what: 'a quota, which all flows share' });
    return this.around.state(of, 8, [quota.used]);
  }

  private quota({ bytes, over }: QuotaValues, at: StatePlace): void {
    this.test({ op: 'quota', at, quota: bytes, over });
  }

  private reject(statement: Extract<Statement, { kind: 'reject' }>): void {
    const v4 = this.family === L3.IPV4;
    if (this.around.hooks & (1 << Hook.POSTROUTING)) {
      refuseAt('RULESET_INVALID', 'reject is not valid in postrouting, which this rule is reached from', statement.at);
    }
    // What a reject implies is tested at the beginning of the rule (nft: stmt_reject_gen_dependency()).
    if (statement.with === 'tcp reset') {
      this.protocol(Proto.TCP, true);
      this.act({ op: 'reject', with: RejectWith.TCP_RESET });
      return;
    }
    if ((statement.with === 'icmp' && !v4) || (statement.with === 'icmpv6' && v4)) throw new NeverAtAll();
    const codes = { icmp: REJECT_ICMP, icmpv6: REJECT_ICMPV6 };
    const found =
      statement.with === 'icmpx' ? REJECT_ICMPX[statement.code]?.[v4 ? 0 : 1] : codes[statement.with][statement.code];
    if (found === undefined) unsupported(`a reject with code ${statement.code}`, statement.at);
    this.act({ op: 'reject', with: found });
  }

  private nat(nat: Nat): void {
    const { program, rule, hooks } = this.around;
    const allowed = NAT_HOOKS[nat.nat];
    if (hooks & ~allowed)
      refuseAt('RULESET_INVALID', `${nat.nat} is not valid in a hook that this rule is reached from`, nat.at);
    if (nat.family !== undefined && (nat.family === 'ip') !== (this.family === L3.IPV4)) throw new Never();
    const { binding, computed } = lowerNat(nat, this.family);
    const bits = this.family === L3.IPV4 ? 32 : 128;
    if (!computed) {
      this.act({ op: 'nat', nat: program.nats.push({ binding, rule }) - 1 });
      return;
    }
    let addresses: { low: Value; high: Value } | undefined;
    let ports: { low: Value; high: Value } | undefined;
    const constants = (low: bigint, high: bigint, width: number): { low: Value; high: Value } => ({
      low: { op: 'constant', value: low, bits: width },
      high: { op: 'constant', value: high, bits: width },
    });
    if (nat.address && isConstant(nat.address)) addresses = constants(...boundsOf(nat.address, bits), bits);
    else if (nat.address) {
      const parts = nat.address.kind === 'map' ? this.map(nat.address) : [this.value(nat.address)];
      const half = parts.length / 2;
      const ends =
        nat.address.kind === 'map' && isInterval(nat.address.map)
          ? [parts.slice(0, half), parts.slice(half)]
          : [parts, parts];
      addresses = { low: ends[0]![0]!, high: ends[1]![0]! };
      if (nat.addressAndPort) ports = { low: ends[0]![1]!, high: ends[1]![1]! };
    }
    if (nat.port && isConstant(nat.port)) ports = constants(...boundsOf(nat.port, 16), 16);
    else if (nat.port) {
      const parts = nat.port.kind === 'map' ? this.map(nat.port) : [this.value(nat.port)];
      ports = { low: parts[0]!, high: parts.at(-1)! };
    }
    const to = { scratch: this.around.scratch(), ...(addresses && { addresses }), ...(ports && { ports }) };
    this.act({ op: 'nat', nat: program.nats.push({ binding, rule }) - 1, to });
  }

  private object({ object, reference, at }: Extract<Statement, { kind: 'object' }>): void {
    switch (reference.object) {
      case 'counter':
        this.act({ op: 'counter', cell: reference.counter.index });
        return;
      case 'limit':
        this.limit(reference.limit, { state: this.tokens(reference, reference.limit) });
        return;
      case 'quota':
        this.quota(reference.quota, { state: this.bytes(reference, reference.quota) });
        return;
      case 'ct helper': {
        const { type, protocol, l3proto } = reference.helper;
        if (l3proto !== undefined && (l3proto === 'ip') !== (this.family === L3.IPV4)) return;
        const helper = findHelper(type, this.family, protocol);
        if (helper === undefined) unsupported(`helper '${type}' for protocol ${protocol}`, at);
        this.act({ op: 'give helper', helper, protocol });
        return;
      }
      default:
        unsupported(`'${object}'`, at);
    }
  }

  private update(update: SetUpdate): void {
    const { around } = this;
    const reference = update.set.set;
    const key = this.key(update.key);
    const { set } = around.set(update.set, key);
    const scratch = around.scratch();
    around.program.shared.push({ rule: around.rule, what: `set ${reference.name}, which all flows share` });
    if (update.op === 'delete') {
      this.act({ op: 'remove', set, key, scratch });
      return;
    }
    const kinds = around.elementKinds(reference);
    const data = update.data ? this.key(update.data) : [];
    // Without statements of its own an update gives those that the set states.
    const own = kinds.kinds.findIndex(({ by }) => by === update);
    const kind = own >= 0 ? own : kinds.kinds.findIndex(({ by }) => by === undefined);
    const constants = elementState(kinds, kind).map((value): Value => ({ op: 'constant', value, bits: 64 }));
    const register = this.register();
    const timeout = jiffiesOf(update.timeout ?? reference.timeout);
    const renew = update.op === 'update';
    this.test({ op: 'add', set, key, data: [...data, ...constants], scratch, register, timeout, renew });
    this.ofElement(kinds, register);
  }

  /** What an element that was found or added does. */
  private ofElement({ word, kinds }: ElementKinds, register: number): void {
    for (const [index, { statements }] of kinds.entries()) {
      for (const { statement, offset } of statements) {
        const at = { register, offset, kind: word, is: index + 1 };
        if (statement.kind === 'limit') this.limit(statement.limit, at);
        else if (statement.kind === 'quota') this.quota(statement.quota, at);
      }
    }
  }
}

/** Double words behind the data of a new element: its kind (an index, -1 none), and the state of every kind. */
export function elementState({ kinds }: ElementKinds, kind: number): bigint[] {
  if (kinds.length === 0) return [];
  return [
    BigInt(kind + 1),
    ...kinds.flatMap(({ statements }) => statements.flatMap((each) => initialState(each.statement))),
  ];
}

/** Double words of a new element's statement. */
export function initialState(statement: Statement): bigint[] {
  if (statement.kind === 'limit') return [bucketOf(statement.limit).max, 0n];
  return statement.kind === 'quota' ? [statement.quota.used] : [];
}

const NANOSECONDS_PER_SECOND = 1_000_000_000n;

/** nft_limit_init() */
function bucketOf({ rate, unit, seconds, burst }: LimitValues): TokenBucket {
  const period = BigInt(seconds) * NANOSECONDS_PER_SECOND;
  if (unit === 'bytes') return { unit, period, rate, max: (period * (rate + burst)) / rate };
  return { unit, period, rate, max: (period / rate) * (burst === 0n ? DEFAULT_BURST : burst) };
}
const DEFAULT_BURST = 5n;

/** nft's bits of a state by CtState. */
const STATES = [1n, 8n, 2n, 4n, 1n, 64n] as const;

const ZONE_ORIGINAL = TemplateFlag.ZONE_ORIGINAL;
const ZONE_REPLY = TemplateFlag.ZONE_REPLY;
const ZONE_BOTH = ZONE_ORIGINAL | ZONE_REPLY;

const DNAT_HOOKS = (1 << Hook.PREROUTING) | (1 << Hook.OUTPUT);
const NAT_HOOKS: Readonly<Record<Nat['nat'], number>> = {
  dnat: DNAT_HOOKS,
  redirect: DNAT_HOOKS,
  snat: (1 << Hook.POSTROUTING) | (1 << Hook.INPUT),
  masquerade: 1 << Hook.POSTROUTING,
};

function isConstant(expression: Expression): expression is Constant {
  return ['value', 'name', 'prefix', 'range', 'wildcard'].includes(expression.kind);
}

/** Few elements that only say yes: tested one by one. */
function isSmall(elements: readonly Element[]): boolean {
  return (
    elements.length <= RANGES_MAX &&
    elements.every(({ key, statements }) => statements.length === 0 && isConstant(key) && key.kind !== 'wildcard')
  );
}

function isInterval(map: SetUse): boolean {
  if (map.kind === 'set reference') return map.set.data?.kind === 'values' && map.set.data.interval;
  return map.elements.some(({ data }) => data !== undefined && hasRange(data));
}

export function hasRange(data: Expression | VerdictValue): boolean {
  return partsOf(data).some(({ kind }) => kind === 'range' || kind === 'prefix');
}

function labelBits(number: bigint): number[] {
  return Array.from({ length: 128 }, (_, bit) => bit).filter((bit) => (number >> BigInt(bit)) & 1n);
}
