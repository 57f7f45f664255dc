// Which tables, chains and rules does an iptables-save text hold?
//
// The language is what iptables-restore reads: `*table`, `:chain policy [packets:bytes]`, `[packets:bytes] -A chain …`,
// COMMIT, comments and blank lines; -I, -N and -P work as there. Rules outside any table are taken as the output of
// `iptables -S`, that is, as the filter table.
import { Hook } from '../../../assembly/vocabulary.ts';
import type { Chain, Counters, Item, Rule, SourceTree, Table, TableName } from '../ast.ts';
import { type Family, type HostNames, type Line, position, refuse, type Token } from '../source.ts';
import { tokenize } from './lex.ts';
import { type Command, parseCommand, readCounters } from './rule.ts';

/** Base chains of each table in hook order (the kernel's valid_hooks). */
export const BASE_CHAINS: Readonly<Record<TableName, readonly Hook[]>> = {
  raw: [Hook.PREROUTING, Hook.OUTPUT],
  mangle: [Hook.PREROUTING, Hook.INPUT, Hook.FORWARD, Hook.OUTPUT, Hook.POSTROUTING],
  nat: [Hook.PREROUTING, Hook.INPUT, Hook.OUTPUT, Hook.POSTROUTING],
  filter: [Hook.INPUT, Hook.FORWARD, Hook.OUTPUT],
  security: [Hook.INPUT, Hook.FORWARD, Hook.OUTPUT],
};

const HOOK_NAMES: readonly (readonly [Hook, string])[] = [
  [Hook.PREROUTING, 'PREROUTING'],
  [Hook.INPUT, 'INPUT'],
  [Hook.FORWARD, 'FORWARD'],
  [Hook.OUTPUT, 'OUTPUT'],
  [Hook.POSTROUTING, 'POSTROUTING'],
];

/** XT_EXTENSION_MAXNAMELEN - 1 */
const CHAIN_NAME_MAX = 28;

export function hookName(hook: Hook): string {
  return HOOK_NAMES.find(([each]) => each === hook)?.[1] ?? '';
}

/** Reads one source. Throws RulesetError at the first thing that iptables-restore or this program would refuse. */
export function parseIptables(file: string, lines: Line[], family: Family, names: HostNames = {}): SourceTree {
  return new SourceReader(file, family, names).read(lines);
}

class SourceReader {
  private readonly tables: Table[] = [];
  private readonly items: Item[] = [];
  private table: Table | undefined;
  /** Chains of the open table by name. */
  private chains = new Map<string, Chain>();
  private readonly explicit = new Set<Chain>();
  private implicit = false;

  constructor(
    private readonly file: string,
    private readonly family: Family,
    private readonly names: HostNames,
  ) {}

  read(lines: Line[]): SourceTree {
    for (const line of lines) this.line(line);
    if (this.table && !this.implicit) {
      refuse('RULESET_SYNTAX', `COMMIT of table '${this.table.name}' is missing`, position(this.table.line));
    }
    if (this.implicit) this.items.push({ kind: 'text', text: 'COMMIT' });
    // The text after the last line end is not a line of its own.
    const last = this.items.at(-1);
    if (last?.kind === 'text' && last.text === '') this.items.pop();
    return { file: this.file, family: this.family, tables: this.tables, items: this.items };
  }

  private line(line: Line): void {
    const text = line.text.trim();
    if (text === '' || text.startsWith('#')) {
      this.items.push({ kind: 'text', text: line.text });
    } else if (text.startsWith('*')) {
      this.openTable(line, text.slice(1));
    } else if (text === 'COMMIT') {
      if (!this.table || this.implicit) refuse('RULESET_SYNTAX', 'COMMIT without a table', position(line));
      this.table = undefined;
      this.items.push({ kind: 'text', text: 'COMMIT' });
    } else if (text.startsWith(':')) {
      this.chainLine(line);
    } else if (text.startsWith('-') || text.startsWith('[') || text.startsWith('!')) {
      this.commandLine(line);
    } else {
      refuse('RULESET_SYNTAX', 'neither a table, a chain nor a rule', position(line));
    }
  }

  private openTable(line: Line, name: string): Table {
    if (this.table && !this.implicit) {
      refuse('RULESET_SYNTAX', `COMMIT of table '${this.table.name}' is missing before this`, position(line));
    }
    if (this.implicit) refuse('RULESET_SYNTAX', 'a table after rules that belong to none', position(line));
    if (!Object.hasOwn(BASE_CHAINS, name)) {
      refuse('RULESET_UNSUPPORTED', `table '${name}' is not supported`, position(line));
    }
    if (this.tables.some((table) => table.name === name)) {
      refuse('RULESET_INVALID', `table '${name}' is given twice`, position(line));
    }
    const table: Table = { family: this.family, name: name as TableName, line, chains: [] };
    this.table = table;
    this.tables.push(table);
    this.items.push({ kind: 'table', table });
    this.chains = new Map();
    this.explicit.clear();
    // A table has all its base chains, whether the text mentions them or not.
    for (const hook of BASE_CHAINS[table.name]) {
      const chain: Chain = {
        name: hookName(hook),
        hook,
        policy: { verdict: 'ACCEPT', index: 0 },
        rules: [],
        line,
        hooks: 1 << hook,
      };
      this.chains.set(chain.name, chain);
      table.chains.push(chain);
    }
    return table;
  }

  private chainLine(line: Line): undefined {
    const { table } = this;
    if (!table || this.implicit) return refuse('RULESET_SYNTAX', 'a chain outside any table', position(line));
    const offset = line.text.indexOf(':') + 1;
    const tokens = tokenize(line, offset);
    const [name, policy, counters, extra] = tokens;
    if (!name || !policy) return refuse('RULESET_SYNTAX', 'a chain needs a name and a policy', position(line));
    if (extra) refuse('RULESET_SYNTAX', `unexpected '${extra.text}'`, position(line, extra));
    const read = counters && this.bracketed(line, counters);
    const chain = policy.text === '-' ? this.declare(line, name) : this.setPolicy(line, name, policy);
    if (read) chain.counters = read;
    this.items.push({ kind: 'chain', table, chain });
  }

  private bracketed(line: Line, token: Token): Counters {
    const match = /^\[(\d+):(\d+)\]$/.exec(token.text);
    if (!match) return refuse('RULESET_SYNTAX', 'counters are two numbers, [packets:bytes]', position(line, token));
    return readCounters(line, token, match[1] ?? '', match[2] ?? '');
  }

  private declare(line: Line, name: Token): Chain {
    const at = position(line, name);
    const existing = this.chains.get(name.text);
    if (existing) {
      if (this.explicit.has(existing)) refuse('RULESET_INVALID', `chain '${name.text}' is declared twice`, at);
      this.explicit.add(existing);
      existing.at = at;
      existing.line = line;
      return existing;
    }
    if (name.text === '' || /^[-!]/.test(name.text) || /\s/.test(name.text)) {
      refuse('RULESET_INVALID', `'${name.text}' is not a chain name`, at);
    }
    if (new TextEncoder().encode(name.text).length > CHAIN_NAME_MAX) {
      refuse('RULESET_INVALID', `a chain name has at most ${CHAIN_NAME_MAX} characters`, at);
    }
    const chain: Chain = { name: name.text, rules: [], at, line, hooks: 0 };
    this.chains.set(chain.name, chain);
    this.explicit.add(chain);
    this.table?.chains.push(chain);
    return chain;
  }

  private setPolicy(line: Line, name: Token, policy: Token): Chain {
    const chain = this.chains.get(name.text);
    if (!chain?.policy) {
      return refuse(
        'RULESET_INVALID',
        `'${name.text}' is not a base chain of table '${this.table?.name}'`,
        position(line, name),
      );
    }
    if (this.explicit.has(chain))
      refuse('RULESET_INVALID', `chain '${name.text}' is declared twice`, position(line, name));
    if (policy.text !== 'ACCEPT' && policy.text !== 'DROP') {
      return refuse('RULESET_INVALID', `policy '${policy.text}' is neither ACCEPT nor DROP`, position(line, policy));
    }
    chain.policy = { verdict: policy.text, index: 0 };
    chain.at = position(line, name);
    chain.line = line;
    this.explicit.add(chain);
    return chain;
  }

  private commandLine(line: Line): void {
    if (!this.table) {
      this.openTable({ ...line, text: '' }, 'filter');
      this.implicit = true;
    }
    const { table } = this;
    if (!table) return;
    let tokens = tokenize(line);
    const [first] = tokens;
    let counters: Counters | undefined;
    if (first?.text.startsWith('[')) {
      counters = this.bracketed(line, first);
      tokens = tokens.slice(1);
    }
    const command = parseCommand(line, tokens, this.family, (chain) => this.chains.has(chain), this.names);
    this.execute(line, table, command, counters);
  }

  private execute(line: Line, table: Table, command: Command, before: Counters | undefined): undefined {
    switch (command.kind) {
      case 'other-family':
        this.items.push({ kind: 'text', text: line.text });
        return;
      case 'new-chain': {
        const existing = this.chains.get(command.chain.text);
        if (existing) {
          refuse('RULESET_INVALID', `chain '${command.chain.text}' exists already`, position(line, command.chain));
        }
        this.items.push({ kind: 'chain', table, chain: this.declare(line, command.chain) });
        return;
      }
      case 'policy': {
        const declared = this.chains.get(command.chain.text);
        const again = declared !== undefined && this.explicit.delete(declared);
        const chain = this.setPolicy(line, command.chain, command.policy);
        if (command.counters) chain.counters = command.counters;
        // The line that declared the chain shows the policy it ends up with.
        if (!again) this.items.push({ kind: 'chain', table, chain });
        return;
      }
      default: {
        const chain = this.chains.get(command.chain.text);
        if (!chain) {
          const message = `chain '${command.chain.text}' does not exist in table '${table.name}'`;
          return refuse('RULESET_INVALID', message, position(line, command.chain));
        }
        const counters = command.counters ?? before;
        const rules = command.rules.map(({ header, matches, target, text }): Rule => {
          const rule: Rule = { header, matches, target, text, line, number: 0, index: 0, reachable: false };
          if (counters) rule.counters = counters;
          return rule;
        });
        if (command.kind === 'append') {
          chain.rules.push(...rules);
        } else {
          if (command.at > chain.rules.length + 1) {
            refuse(
              'RULESET_INVALID',
              'the rule number is beyond the end of the chain',
              position(line, command.atToken),
            );
          }
          // Each rule of an address list goes to the same place, so that the last comes first.
          chain.rules.splice(command.at - 1, 0, ...[...rules].reverse());
        }
        this.items.push({ kind: 'rules', rules });
      }
    }
  }
}
