// How does an expression list become WebAssembly?
//
// A chain is a function (packet, world) -> ChainVerdict; a long one is cut into functions of RULES_PER_FUNCTION rules
// that are called in turn, because V8 optimises those soonest. A function loads the packet fields that its rules test
// into locals once.
import { ChainVerdict, L3 } from '../../assembly/vocabulary.ts';
import { PACKET } from '../engine/layout.ts';
import { type Ending, RETURNED, RuleWriter } from './emit-rule.ts';
import { defineHelpers, type Helpers, importFunctions, P, W } from './engine-functions.ts';
import type { ChainProgram, Program, RuleProgram } from './expression.ts';
import { Fields } from './fields.ts';
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

class Emitter {
  private readonly module = new ModuleBuilder(IMPORT_MODULE);
  private readonly engine: ReadonlyMap<string, number>;
  private readonly chains: number[];
  private readonly helpers: Helpers;

  constructor(
    private readonly program: Program,
    private readonly options: EmitOptions,
  ) {
    this.engine = importFunctions(this.module, program, options.trace);
    this.helpers = defineHelpers(this.module);
    this.chains = program.chains.map(() => this.module.reserve());
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
