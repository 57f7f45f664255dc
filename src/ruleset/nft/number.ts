// By what number is each rule, policy and counter of nft's rulesets known?
import { isNft, type Ruleset } from '../ast.ts';
import type { Counter, Element, NftTable, Statement } from './ast.ts';

/**
 * Numbers what is executed or could be, behind what the ruleset has already: rules and policies, then counters. The first
 * counter of a rule is the rule's own; others, of objects and elements too, have numbers behind those of all rules.
 */
export function numberNft(ruleset: Ruleset): void {
  const tables = ruleset.sources.filter(isNft).flatMap((source) => source.tables);
  for (const table of tables) {
    for (const chain of table.chains) {
      for (const rule of chain.rules) rule.index = ruleset.entries.push({ nft: { chain, rule } }) - 1;
      if (chain.base) chain.base.index = ruleset.entries.push({ nft: { chain } }) - 1;
    }
  }
  ruleset.counters = ruleset.entries.length;
  const number = (counter: Counter): void => {
    counter.index = ruleset.counters++;
  };
  for (const table of tables) numberTable(table, number);
}

function numberTable(table: NftTable, number: (counter: Counter) => void): void {
  for (const object of table.objects) if (object.object === 'counter') number(object.counter);
  for (const set of table.sets) numberElements(set.elements, number);
  for (const chain of table.chains) {
    for (const rule of chain.rules) {
      let own: number | undefined = rule.index;
      for (const statement of rule.statements) {
        if (statement.kind === 'counter' && own !== undefined) {
          statement.counter.index = own;
          own = undefined;
        } else if (statement.kind === 'counter') number(statement.counter);
        for (const set of anonymousSets(statement)) numberElements(set, number);
      }
    }
  }
}

function numberElements(elements: readonly Element[], number: (counter: Counter) => void): void {
  for (const { statements } of elements) {
    for (const statement of statements) if (statement.kind === 'counter') number(statement.counter);
  }
}

/** Elements of the sets that a statement looks into where they stand. */
function anonymousSets(statement: Statement): Element[][] {
  if (statement.kind === 'vmap') return statement.map.kind === 'anonymous set' ? [statement.map.elements] : [];
  if (statement.kind === 'match') return statement.right.kind === 'anonymous set' ? [statement.right.elements] : [];
  return [];
}
