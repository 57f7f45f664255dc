// Rulesets: text in, checked tree, code for the engine, text out. The rest of the program imports from here only, but
// for workers, which only link.
import type { Ruleset, SourceTree } from './ast.ts';
import { checkRuleset } from './check.ts';
import { parseIptables } from './iptables/parse.ts';
import { detectFamily, detectFormat, position, type RulesetSource, refuse, splitLines } from './source.ts';

export type { LogOptions, Ruleset, TableName } from './ast.ts';
export {
  type BaseChain,
  type CompiledRuleset,
  type CompileOptions,
  compileRuleset,
  type OneLane,
  type RuleInfo,
  ruleName,
} from './compile.ts';
export { interfaceClass, matchesInterface } from './interface-pattern.ts';
export { instantiateRuleset } from './link.ts';
export { explain, printCounters } from './print.ts';
export type { Family, RulesetSource } from './source.ts';

/**
 * Reads and checks rulesets, each in the text of iptables-save or ip6tables-save.
 * @returns the checked tree of all of them, rules numbered through in the order of the sources
 * @throws RulesetError with file, line and column for what cannot be read, is not supported, or the kernel would refuse
 */
export function parseRulesets(sources: readonly RulesetSource[]): Ruleset {
  return checkRuleset(sources.map((source) => parseSource(source)));
}

function parseSource(source: RulesetSource): SourceTree {
  const lines = splitLines(source);
  const { format, line } = detectFormat(lines);
  const place = line ?? { file: source.file, number: 1, text: '' };
  if (format === 'nft') refuse('RULESET_UNSUPPORTED', 'nft rulesets are not supported yet', position(place));
  if (format === 'unknown') refuse('RULESET_SYNTAX', 'neither iptables-save nor nft text', position(place));
  return parseIptables(source.file, lines, source.family ?? detectFamily(lines), source);
}
