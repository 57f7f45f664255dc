// How does a run of rules become code that tests only the candidates?
//
// The run is a function that asks the engine for words of candidates (assembly/rules/dispatch.ts) and calls a function for
// each: it has the 64 rules of the word, and goes through the bits that are set. Rules are written whole, as in a linear
// chain. Which words there are lies in tables, so that the code is as long as that of a linear chain.
import { ChainVerdict } from '../../assembly/vocabulary.ts';
import { CANDIDATES, WORLD } from '../engine/layout.ts';
import { type Run, WORD } from './dispatch.ts';
import { type RuleTables, RuleWriter } from './emit-rule.ts';
import { P, type RuleFunctions, W } from './engine-functions.ts';
import { Fields } from './fields.ts';
import type { Family } from './source.ts';
import { Code, type FunctionType, I32, I64, type ModuleBuilder } from './wasm.ts';

const RUN_TYPE: FunctionType = { parameters: [I32, I32], result: I32 };
const WORD_TYPE: FunctionType = { parameters: [I32, I32, I64], result: I32 };
const BITS = 2;
const NONE = -1;

/** Where a run's tables lie: offsets from World.dispatch and World.candidates. */
export interface RunTables {
  dispatch: number;
  candidates: number;
}

export class RunEmitter {
  constructor(
    private readonly module: ModuleBuilder,
    private readonly functions: RuleFunctions,
    private readonly interfaceTable: number,
    private readonly tables: RuleTables,
  ) {}

  /** Defines the functions of a run; returns the index of the one to call, which answers as a part of a chain does. */
  emit(run: Run, family: Family, tables: RunTables, name: string): number {
    const words: number[] = [];
    for (let start = 0; start < run.rules.length; start += WORD) {
      words.push(this.word(run, start, family, `${name} from rule ${run.start + start + 1}`));
    }
    const code = new Code();
    const word = 2;
    const verdict = 3;
    const engine = (call: 'rule_candidates' | 'rule_more_candidates'): void => {
      code.call(this.functions.engine.get(call) ?? 0).set(word);
    };
    code.get(P).get(W).i32(tables.dispatch);
    engine('rule_candidates');
    code.block().loop();
    code.get(word).i32(NONE).op('i32.eq').brIf(1);
    code.block();
    for (const _ of words) code.block();
    code.get(word).brTable(words.map((_, index) => index));
    for (const [index, each] of words.entries()) {
      code.op('end').get(P).get(W);
      code
        .get(W)
        .memory('i32.load', WORLD.candidates)
        .memory('i64.load', tables.candidates + CANDIDATES.bits);
      code.call(each).set(verdict);
      code.br(words.length - 1 - index);
    }
    code.op('end').get(verdict).if().get(verdict).op('return', 'end');
    code.get(W).i32(tables.dispatch);
    engine('rule_more_candidates');
    code.br(0).op('end', 'end').i32(ChainVerdict.CONTINUE);
    const index = this.module.reserve();
    this.module.define(index, RUN_TYPE, [I32, I32], code, `${name} run from rule ${run.start + 1}`);
    return index;
  }

  /** (packet, world, bits): the rules of a word whose bits are set. */
  private word(run: Run, start: number, family: Family, name: string): number {
    const rules = run.rules.slice(start, start + WORD);
    const fields = new Fields(this.interfaceTable, family, WORD_TYPE.parameters.length);
    const code = new Code();
    const writer = new RuleWriter(code, fields, 'part', this.functions, this.tables);
    const place = fields.scratch(I64);
    code.loop();
    code.get(BITS).op('i64.eqz').if().i32(ChainVerdict.CONTINUE).op('return', 'end');
    code.get(BITS).op('i64.ctz').set(place);
    code.get(BITS).get(BITS).i64(1n).op('i64.sub', 'i64.and').set(BITS);
    for (const _ of rules) code.block();
    code
      .get(place)
      .op('i32.wrap_i64')
      .brTable(rules.map((_, index) => index));
    for (const [index, rule] of rules.entries()) {
      code.op('end');
      writer.rule(rule);
      code.br(rules.length - 1 - index);
    }
    code.op('end', 'unreachable');
    const index = this.module.reserve();
    this.module.define(index, WORD_TYPE, fields.locals, fields.takeLoads().append(code), name);
    return index;
  }
}
