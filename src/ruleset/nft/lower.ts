// How do nft's tables become chains of the engine: an inet chain once for each family, with one state for both?
import { Hook } from '../../../assembly/vocabulary.ts';
import type { TrackingTemplate } from '../ast.ts';
import type { ChainProgram, Program, Value, VerdictAction } from '../expression.ts';
import type { Family } from '../source.ts';
import type {
  Element,
  Expression,
  MapLookup,
  NftChain,
  NftSet,
  NftSource,
  NftTable,
  Place,
  SetUpdate,
  SetUse,
  Statement,
  Verdict,
  VerdictValue,
} from './ast.ts';
import { familiesOf, tableName } from './info.ts';
import { type ElementKinds, elementState, hasRange, initialState, lowerRule } from './lower-rule.ts';
import { bitsOf, counterWord, type DataLayout, type Lookup, lowerLiveSet, lowerSet, partsOf } from './lower-set.ts';
import { unsupported } from './lower-value.ts';
import { refuseAt } from './text.ts';

/** Where connection tracking and what goes with it sit: which comes first depends on when each was registered. */
const AMBIGUOUS: Readonly<Record<number, readonly Hook[]>> = {
  [-200]: [Hook.PREROUTING, Hook.OUTPUT],
  [-400]: [Hook.PREROUTING, Hook.OUTPUT],
};
const CONNTRACK_PRIORITY = -200;
/** Bytes of the longest key, its data, or a NatRange. */
const SCRATCH_BYTES = 512;

/** What lowering the rest of a ruleset provides. */
export interface Shared {
  program: Program;
  pattern(text: string): number;
  template(template: TrackingTemplate, at: Place): number;
}

/** Adds the chains of nft's sources to a program. */
export function lowerNft(sources: readonly NftSource[], shared: Shared): void {
  const lowering = new NftLowering(shared);
  const tables = sources.flatMap((source) => source.tables).filter(({ dormant }) => !dormant);
  for (const table of tables) lowering.table(table);
}

class NftLowering {
  private readonly states = new Map<object, number>();
  private readonly sets = new Map<object, { set: number; lookup: Lookup; verdicts: VerdictValue[] }>();
  private readonly reached = new Set<NftChain>();
  private readonly updates = new Map<NftSet, SetUpdate[]>();
  private scratchAt: number | undefined;

  constructor(private readonly shared: Shared) {
    shared.program.reached = this.reached;
  }

  private get program(): Program {
    return this.shared.program;
  }

  table(table: NftTable): void {
    for (const { rules } of table.chains) {
      for (const statement of rules.flatMap(({ statements }) => statements)) {
        if (statement.kind !== 'set update') continue;
        const { set } = statement.set;
        this.updates.set(set, [...(this.updates.get(set) ?? []), statement]);
      }
    }
    const ways = waysTo(table);
    for (const chain of ways.keys()) this.reached.add(chain);
    for (const chain of table.chains) if (chain.base) checkBase(chain, chain.base);
    for (const family of familiesOf(table.family)) this.family(table, family, ways);
  }

  private family(table: NftTable, family: Family, ways: ReadonlyMap<NftChain, NftChain[]>): void {
    const numbers = new Map<NftChain, number>();
    // Chains are appended as one block, so that jumps know their numbers before the chains are lowered.
    for (const chain of ways.keys()) {
      const program: ChainProgram = { family, table: tableName(table), name: chain.name, rules: [] };
      if (chain.base) {
        const { hook, priority, policy, index, type } = chain.base;
        const decides = type === 'filter' && hook !== Hook.PREROUTING && hook !== Hook.POSTROUTING;
        program.base = { hook, priority, policy, index, type, decides };
      }
      numbers.set(chain, this.program.chains.push(program) - 1);
    }
    for (const [chain, bases] of ways) {
      const program = this.program.chains[numbers.get(chain) ?? 0]!;
      const around = {
        program: this.program,
        family,
        hooks: bases.reduce((bits, { base }) => bits | (base ? 1 << base.hook : 0), 0),
        priorities: bases.map(({ base }) => base?.priority ?? 0),
        pattern: (text: string) => this.shared.pattern(text),
        template: (template: TrackingTemplate, at: Place) => this.shared.template(template, at),
        state: (of: object, bytes: number, words: readonly bigint[]) => this.state(of, bytes, words),
        scratch: () => this.scratch(),
        look: (map: MapLookup) => this.look(map),
        set: (use: SetUse, key: readonly Value[]) => this.set(use, key),
        verdicts: (use: SetUse, key: readonly Value[]) => this.verdicts(use, key, numbers),
        verdict: (verdict: Verdict) => verdictOf(verdict, numbers),
        elementKinds: (set: NftSet) => this.elementKinds(set),
      };
      const natOnly = bases.every(({ base }) => base?.type === 'nat');
      for (const rule of chain.rules) {
        const translating = rule.statements.find(({ kind }) => kind === 'nat');
        if (translating && !natOnly) {
          refuseAt('RULESET_INVALID', 'NAT in a chain that is reached from another than of type nat', translating.at);
        }
        program.rules.push({ index: rule.index, ...lowerRule(rule, { ...around, rule: rule.index }) });
      }
    }
  }

  private take(bytes: number): number {
    const at = Math.ceil(this.program.stateBytes / 8) * 8;
    this.program.stateBytes = at + bytes;
    return at;
  }

  private state(of: object, bytes: number, words: readonly bigint[]): number {
    let state = this.states.get(of);
    if (state === undefined) {
      state = this.take(bytes);
      this.states.set(of, state);
      this.program.states.push({ state, words });
    }
    return state;
  }

  private scratch(): number {
    this.scratchAt ??= this.take(SCRATCH_BYTES);
    return this.scratchAt;
  }

  /** The set of a use, lowered once. Of one in a rule the key is as wide as what is compared with it. */
  private lowered(use: SetUse, key: readonly number[], layout: DataLayout, verdicts: boolean) {
    const owner = use.kind === 'set reference' ? use.set : use;
    const known = this.sets.get(owner);
    if (known) return known;
    const numbered: VerdictValue[] = [];
    const lookup: Lookup = {
      name: use.kind === 'set reference' ? use.name : '__set',
      key: use.kind === 'set reference' ? use.set.key.map(bitsOf) : key,
      layout,
      elements: use.kind === 'set reference' ? use.set.elements : use.elements,
      at: use.at,
      ...(verdicts && { verdict: (verdict: VerdictValue) => numberOf(verdict, numbered) }),
    };
    const program = use.kind === 'set reference' && isLive(use.set) ? this.live(use.set, lookup) : lowerSet(lookup);
    const found = { set: this.program.sets.push(program) - 1, lookup, verdicts: numbered };
    this.sets.set(owner, found);
    return found;
  }

  private live(set: NftSet, lookup: Lookup) {
    const kinds = this.elementKinds(set);
    const stated = kinds.kinds.findIndex(({ by }) => by === undefined);
    const { bytes, ...program } = lowerLiveSet(lookup, set, elementState(kinds, stated), 0);
    program.live.state = this.take(bytes);
    return program;
  }

  /** Kinds of elements: as the set states them, then those of updates with statements of their own. */
  private elementKinds(set: NftSet): ElementKinds {
    const updates = this.updates.get(set) ?? [];
    const sources: { by: SetUpdate | undefined; statements: Statement[] }[] = [
      { by: undefined, statements: set.statements },
    ];
    for (const by of updates) if (by.statements.length > 0) sources.push({ by, statements: by.statements });
    const word = set.data?.kind === 'values' ? wordsOf(dataLayout(set)) : set.data ? 1 : 0;
    const kinds: ElementKinds['kinds'] = [];
    let offset = (word + 1) * 8;
    for (const { by, statements } of sources) {
      const stateful: { statement: Statement; offset: number }[] = [];
      for (const statement of statements) {
        // Nobody asks what elements that come and go have counted.
        if (statement.kind === 'counter' || statement.kind === 'last') continue;
        if (statement.kind !== 'limit' && statement.kind !== 'quota') {
          unsupported(`'${statement.kind}' of elements`, statement.at);
        }
        stateful.push({ statement, offset });
        offset += initialState(statement).length * 8;
      }
      // Counters alone are a kind, too: an element that has them does not get others later.
      if (by || stateful.length > 0) kinds.push({ by, statements: stateful });
    }
    return kinds.some(({ statements }) => statements.length > 0) ? { word, kinds } : { word, kinds: [] };
  }

  private counter(lookup: Lookup): number | undefined {
    return lookup.elements.some(({ statements }) => statements.length > 0) ? counterWord(lookup) : undefined;
  }

  private set(use: SetUse, key: readonly Value[]) {
    const found = this.lowered(
      use,
      key.map(({ bits }) => bits),
      layoutOf(use),
      false,
    );
    const reference = use.kind === 'set reference' && isLive(use.set) ? use.set : undefined;
    return { set: found.set, counter: reference ? undefined : this.counter(found.lookup), reference };
  }

  private verdicts(use: SetUse, key: readonly Value[], numbers: ReadonlyMap<NftChain, number>) {
    const found = this.lowered(
      use,
      key.map(({ bits }) => bits),
      { parts: [], interval: false },
      true,
    );
    const verdicts = found.verdicts.map((verdict) => verdictOf(verdict, numbers));
    return {
      set: found.set,
      counter: this.counter(found.lookup),
      verdicts: verdicts.length > 0 ? verdicts : [undefined],
    };
  }

  private look({ key, map }: MapLookup) {
    const layout = layoutOf(map);
    const found = this.lowered(map, keyBits(key, map), layout, false);
    const words: { word: number; bits: number }[] = [];
    let word = 0;
    for (let end = 0; end < (layout.interval ? 2 : 1); end++) {
      for (const bits of layout.parts) {
        words.push({ word, bits });
        word += bits > 64 ? 2 : 1;
      }
    }
    const live = map.kind === 'set reference' && isLive(map.set);
    return { set: found.set, words, counter: live ? undefined : this.counter(found.lookup) };
  }
}

/** Bits of the parts of a key, of which an element in the rule itself may be the only sign. */
function keyBits(key: Expression, map: SetUse): number[] {
  if (map.kind === 'set reference') return map.set.key.map(bitsOf);
  return partsOf(key).map((part) => ('bits' in part ? bitsOf(part) : 32));
}

function layoutOf(use: SetUse): DataLayout {
  if (use.kind === 'set reference') return dataLayout(use.set);
  const [first] = use.elements;
  const data = first?.data;
  if (data === undefined || data.kind === 'verdict') return { parts: [], interval: false };
  const interval = use.elements.some((element) => element.data !== undefined && hasRange(element.data));
  return { parts: partsOf(data).map(bitsOfConstant), interval };
}

function dataLayout({ data }: NftSet): DataLayout {
  return data?.kind === 'values'
    ? { parts: data.types.map(bitsOf), interval: data.interval }
    : { parts: [], interval: false };
}

function wordsOf({ parts, interval }: DataLayout): number {
  return parts.reduce((sum, bits) => sum + (bits > 64 ? 2 : 1), 0) * (interval ? 2 : 1);
}

function bitsOfConstant(constant: Expression): number {
  switch (constant.kind) {
    case 'value':
      return bitsOf(constant);
    case 'prefix':
      return bitsOf(constant.value);
    case 'range':
      return bitsOf(constant.low);
    default:
      return 128;
  }
}

/** Whether elements come or go while packets pass. */
function isLive({ flags, elements, timeout }: NftSet): boolean {
  return (
    flags.dynamic ||
    timeout !== undefined ||
    elements.some((each) => each.timeout !== undefined || each.expires !== undefined)
  );
}

function numberOf(verdict: VerdictValue, known: VerdictValue[]): number {
  const same = (other: VerdictValue): boolean =>
    other.verdict === verdict.verdict && ('chain' in other && other.chain) === ('chain' in verdict && verdict.chain);
  const found = known.findIndex(same);
  return found >= 0 ? found : known.push(verdict) - 1;
}

function verdictOf(verdict: Verdict, numbers: ReadonlyMap<NftChain, number>): VerdictAction {
  switch (verdict.verdict) {
    case 'continue':
      return undefined;
    case 'jump':
    case 'goto':
      return { op: verdict.verdict, chain: numbers.get(verdict.chain) ?? 0 };
    default:
      return { op: 'verdict', verdict: verdict.verdict };
  }
}

/** Chains that a hook reaches, each with the base chains from which it does; base chains first. */
function waysTo(table: NftTable): Map<NftChain, NftChain[]> {
  const ways = new Map<NftChain, NftChain[]>();
  const callees = new Map(table.chains.map((chain) => [chain, calledFrom(chain)]));
  for (const base of table.chains) {
    if (!base.base) continue;
    const open = [base];
    const seen = new Set(open);
    for (let chain = open.pop(); chain; chain = open.pop()) {
      const bases = ways.get(chain);
      if (bases) bases.push(base);
      else ways.set(chain, [base]);
      for (const callee of callees.get(chain) ?? []) {
        if (seen.has(callee)) continue;
        seen.add(callee);
        open.push(callee);
      }
    }
  }
  return ways;
}

function calledFrom({ rules }: NftChain): Set<NftChain> {
  const called = new Set<NftChain>();
  const take = (verdict: Partial<Verdict>): void => {
    if ('chain' in verdict && verdict.chain) called.add(verdict.chain);
  };
  for (const { statements } of rules) {
    for (const statement of statements) {
      if (statement.kind === 'verdict') take(statement);
      if (statement.kind !== 'vmap') continue;
      const elements: readonly Element[] =
        statement.map.kind === 'set reference' ? statement.map.set.elements : statement.map.elements;
      for (const { data } of elements) if (data?.kind === 'verdict') take(data);
    }
  }
  return called;
}

function checkBase(chain: NftChain, { hook, priority, type, at }: NonNullable<NftChain['base']>): void {
  if (AMBIGUOUS[priority]?.includes(hook)) {
    refuseAt('RULESET_UNSUPPORTED', `chain '${chain.name}' at the priority of connection tracking (${priority})`, at);
  }
  if (type !== 'nat') return;
  if (priority <= CONNTRACK_PRIORITY) {
    refuseAt('RULESET_INVALID', 'a chain of type nat comes behind connection tracking (-200)', at);
  }
  if (hook === Hook.FORWARD) refuseAt('RULESET_INVALID', 'there is no chain of type nat in forward', at);
}
