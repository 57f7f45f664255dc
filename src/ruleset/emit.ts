// How does an expression list become WebAssembly?
//
// A chain is a function (packet, world) -> ChainVerdict; a long one is cut into functions of RULES_PER_FUNCTION rules
// that are called in turn, because V8 optimises those soonest. A function loads the packet fields that its rules test
// into locals once. Runs of rules that dispatch.ts found have a form of their own (emit-dispatch.ts).
import { ChainVerdict, L3 } from '../../assembly/vocabulary.ts';
import { PACKET } from '../engine/layout.ts';
import { DispatchPlanner, isLong, type LinearPiece, type Piece } from './dispatch.ts';
import { DispatchTables } from './dispatch-table.ts';
import { RunEmitter } from './emit-dispatch.ts';
import { type Ending, RETURNED, RuleWriter } from './emit-rule.ts';
import { defineHelpers, importFunctions, P, type RuleFunctions, W } from './engine-functions.ts';
import type { ChainProgram, Program, RuleProgram } from './expression.ts';
import { Fields } from './fields.ts';
import { IMPORT_MODULE, TABLE_LENGTH_SECTION } from './link.ts';
import { Code, type FunctionType, I32, ModuleBuilder } from './wasm.ts';

const RULES_PER_FUNCTION = 256;

const CHAIN_TYPE: FunctionType = { parameters: [I32, I32], result: I32 };

export interface EmitOptions {
  trace: boolean;
  /** Address of the pattern-by-interface byte table. */
  interfaceTable: number;
  /** First slot of the engine's function table that is free. */
  tableBase: number;
}

export interface Emitted {
  /** The module's bytes. */
  wasm: Uint8Array;
  /** The chain of each slot, counted from `tableBase`. */
  slots: ChainProgram[];
  /** What World.dispatch points to, and the bytes behind World.candidates. */
  tables: Uint8Array;
  candidatesBytes: number;
}

export function emitProgram(program: Program, options: EmitOptions): Emitted {
  return new Emitter(program, options).emit();
}

class Emitter {
  private readonly module = new ModuleBuilder(IMPORT_MODULE);
  private readonly functions: RuleFunctions;
  private readonly tables: DispatchTables;
  private readonly runs: RunEmitter;
  private readonly planner: DispatchPlanner;

  constructor(
    private readonly program: Program,
    private readonly options: EmitOptions,
  ) {
    this.planner = new DispatchPlanner(program);
    this.tables = new DispatchTables(program);
    const long = !options.trace && program.chains.some(isLong);
    this.functions = {
      engine: importFunctions(this.module, program, [
        ...(options.trace ? ['trace_rule'] : []),
        ...(long ? ['rule_candidates', 'rule_more_candidates'] : []),
      ]),
      helpers: defineHelpers(this.module),
      chains: program.chains.map(() => this.module.reserve()),
      ipSets: program.ipSets.map((set) => this.tables.addIpSet(set)),
    };
    this.runs = new RunEmitter(this.module, this.functions, options.interfaceTable);
  }

  emit(): Emitted {
    const slots: ChainProgram[] = [];
    const bases: number[] = [];
    for (const [number, chain] of this.program.chains.entries()) {
      const index = this.functions.chains[number] ?? 0;
      this.chain(chain, index);
      if (chain.base) {
        slots.push(chain);
        bases.push(index);
      }
    }
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, this.options.tableBase + bases.length, true);
    this.module.custom(TABLE_LENGTH_SECTION, length);
    return {
      wasm: this.module.build(this.options.tableBase, bases),
      slots,
      tables: this.tables.content,
      candidatesBytes: this.tables.candidatesBytes,
    };
  }

  /** The chain's function has its first rules; what is behind them are parts that it calls. */
  private chain(chain: ChainProgram, index: number): void {
    // A trace names every rule that is looked at.
    const pieces = this.options.trace ? [wholeChain(chain)] : this.planner.plan(chain);
    const name = `${chain.family === L3.IPV6 ? 'ip6' : 'ip'} ${chain.table} ${chain.name}`;
    const ending: Ending = chain.base ? 'policy' : 'continue';
    const [first, ...others] = pieces.flatMap((piece): Piece[] => (piece.kind === 'run' ? [piece] : cut(piece)));
    const head = first?.kind === 'linear' ? first.rules : [];
    const rest = first?.kind === 'run' ? [first, ...others] : others;
    const parts = rest.map((piece) =>
      piece.kind === 'run'
        ? this.runs.emit(piece, chain.family, this.tables.add(piece), name)
        : this.part(chain, piece, `${name} from rule ${piece.start + 1}`),
    );
    this.function(chain, head, parts, ending, index, name);
  }

  private part(chain: ChainProgram, { rules }: LinearPiece, name: string): number {
    const part = this.module.reserve();
    this.function(chain, rules, [], 'part', part, name);
    return part;
  }

  private function(
    chain: ChainProgram,
    rules: readonly RuleProgram[],
    parts: readonly number[],
    ending: Ending,
    index: number,
    name: string,
  ): void {
    const fields = new Fields(this.options.interfaceTable, chain.family);
    const code = new Code();
    code.block();
    for (const rule of rules) {
      // Most packets of a stateful ruleset end at its first rules: what later ones test is not loaded for them.
      const own = new Code();
      new RuleWriter(own, fields, ending, this.functions).rule(rule);
      code.append(fields.takeLoads()).append(own);
    }
    for (const part of parts) {
      const verdict = fields.scratch(I32);
      code.get(P).get(W).call(part).tee(verdict).if();
      code.get(verdict).i32(RETURNED).op('i32.eq').brIf(1);
      code.get(verdict).op('return', 'end');
    }
    code.op('end');
    this.end(chain, ending, code);
    this.module.define(index, CHAIN_TYPE, fields.locals, code, name);
  }

  /** What happens when no rule decided: the policy, or the caller goes on. */
  private end(chain: ChainProgram, ending: Ending, code: Code): void {
    const { base } = chain;
    if (ending !== 'policy' || !base) {
      code.i32(ChainVerdict.CONTINUE);
      return;
    }
    const trace = this.functions.engine.get('trace_rule');
    if (trace !== undefined) code.get(P).get(W).i32(base.index).i32(1).call(trace);
    code.get(P).get(W).i32(base.index).call(this.functions.helpers.count);
    code.get(P).i32(base.index).memory('i32.store', PACKET.rule);
    code.i32(base.policy === 'accept' ? ChainVerdict.ACCEPT : ChainVerdict.DROP);
  }
}

function wholeChain({ rules }: ChainProgram): LinearPiece {
  return { kind: 'linear', start: 0, rules };
}

function cut({ start, rules }: LinearPiece): LinearPiece[] {
  const pieces: LinearPiece[] = [];
  for (let from = 0; from < rules.length; from += RULES_PER_FUNCTION) {
    pieces.push({ kind: 'linear', start: start + from, rules: rules.slice(from, from + RULES_PER_FUNCTION) });
  }
  return pieces;
}
