// What does one rule line (`-A FORWARD ...`) say?
import type { AddressTest, Counters, Header, Match, Target } from '../ast.ts';
import { type Family, type HostNames, type Line, position, refuse, type Token } from '../source.ts';
import { findMatch, type MatchExtension, protocolMatch } from './matches.ts';
import { type OptionSpec, Use } from './options.ts';
import { findTarget, type TargetExtension } from './targets.ts';
import { invalid, parseNetwork, parseNumber, parseProtocol, type Value } from './values.ts';

/** IFNAMSIZ - 1 */
const INTERFACE_NAME_MAX = 15;

/** One rule as the line means it; a line with address lists means several. */
export interface ParsedRule {
  header: Header;
  matches: Match[];
  target: Target;
  text: string;
}

export type Command =
  | { kind: 'append'; chain: Token; rules: ParsedRule[]; counters?: Counters }
  | { kind: 'insert'; chain: Token; at: number; atToken: Token; rules: ParsedRule[]; counters?: Counters }
  | { kind: 'new-chain'; chain: Token }
  | { kind: 'policy'; chain: Token; policy: Token; counters?: Counters }
  /** Marked -4 or -6 for the other family: iptables-restore passes over it. */
  | { kind: 'other-family' };

/** The options of ip(6)tables itself: every spelling and the letter it stands for. */
const MAIN_OPTIONS: readonly (OptionSpec & { letter: string })[] = [
  { names: ['append'], letter: 'A', values: 1 },
  { names: ['insert'], letter: 'I', values: 1 },
  { names: ['new-chain'], letter: 'N', values: 1 },
  { names: ['policy'], letter: 'P', values: 2 },
  { names: ['protocol'], letter: 'p', values: 1, invert: true },
  { names: ['source', 'src'], letter: 's', values: 1, invert: true },
  { names: ['destination', 'dst'], letter: 'd', values: 1, invert: true },
  { names: ['in-interface'], letter: 'i', values: 1, invert: true },
  { names: ['out-interface'], letter: 'o', values: 1, invert: true },
  { names: ['fragments'], letter: 'f', values: 0, invert: true },
  { names: ['match'], letter: 'm', values: 1 },
  { names: ['jump'], letter: 'j', values: 1 },
  { names: ['goto'], letter: 'g', values: 1 },
  { names: ['set-counters'], letter: 'c', values: 2 },
  { names: ['ipv4'], letter: '4', values: 0 },
  { names: ['ipv6'], letter: '6', values: 0 },
];

interface Addresses {
  token: Token;
  tests: { test: AddressTest; text: string }[];
}

/** Reads the words of one command. Throws RulesetError; `declared` tells chain names from misspelt targets. */
export function parseCommand(
  line: Line,
  tokens: Token[],
  family: Family,
  declared: (chain: string) => boolean,
  names: HostNames = {},
): Command {
  return new RuleReader(line, tokens, family, declared, names).read();
}

class RuleReader {
  private next = 0;
  private command: Token | undefined;
  private commandLetter = '';
  private insertAt: Token | undefined;
  private policy: Token | undefined;
  private counters: Counters | undefined;
  private readonly counterTokens: Token[] = [];
  private readonly header: Header = {};
  private readonly addresses: { source?: Addresses; destination?: Addresses } = {};
  private readonly matches: { use: Use; extension: MatchExtension }[] = [];
  private target: { use: Use; extension?: TargetExtension; name: string; goto: boolean } | undefined;
  /** Extensions in use, the latest first: its options win where names meet. */
  private readonly uses: Use[] = [];
  private readonly seen = new Set<string>();

  constructor(
    private readonly line: Line,
    private readonly tokens: Token[],
    private readonly family: Family,
    private readonly declared: (chain: string) => boolean,
    private readonly names: HostNames,
  ) {}

  read(): Command {
    while (this.next < this.tokens.length) {
      const token = this.take();
      let invert: Token | undefined;
      let option = token;
      if (token.text === '!' && !token.quoted) {
        invert = token;
        option = this.take(token, 'nothing follows');
      }
      if (option.quoted || !option.text.startsWith('-') || option.text === '-') {
        this.fail(`unexpected '${option.text}'`, option);
      }
      this.option(option, invert);
    }
    return this.finish();
  }

  private take(after?: Token, message = 'a value is missing'): Token {
    const token = this.tokens[this.next++];
    if (token) return token;
    return refuse('RULESET_SYNTAX', message, position(this.line, after));
  }

  private fail(message: string, token: Token): never {
    return refuse('RULESET_SYNTAX', message, position(this.line, token));
  }

  private option(token: Token, invert: Token | undefined): void {
    let name = token.text;
    let attached: Token | undefined;
    const equals = name.startsWith('--') ? name.indexOf('=') : -1;
    if (equals > 0) {
      attached = {
        text: name.slice(equals + 1),
        column: token.column + equals + 1,
        length: Math.max(1, token.length - equals - 1),
        quoted: false,
      };
      name = name.slice(0, equals);
    }
    const found = this.find(name, token);
    const values: Token[] = attached ? [attached] : [];
    let inverted = invert !== undefined;
    while (values.length < found.spec.values) {
      const value = this.take(token);
      // `--dport ! 80`: how iptables before 1.4.3 wrote it.
      if (value.text === '!' && !value.quoted && found.spec.invert && values.length === 0 && !inverted) inverted = true;
      else values.push(value);
    }
    if (values.length > found.spec.values) this.fail(`option '${name}' takes no value`, token);
    if (inverted && !found.spec.invert) {
      refuse('RULESET_INVALID', `option '${name}' cannot be inverted`, position(this.line, invert ?? token));
    }
    if (found.letter !== undefined) {
      this.mainOption(found.letter, token, values, inverted);
      return;
    }
    const { use, spec } = found;
    const canonical = spec.names[0] ?? name;
    if (use.given.has(canonical)) {
      refuse(
        'RULESET_INVALID',
        `option '${name}' of ${use.kind} '${use.name}' is given twice`,
        position(this.line, token),
      );
    }
    use.given.set(canonical, {
      name: canonical,
      invert: inverted,
      values: values.map((value) => this.value(value)),
      at: position(this.line, token),
    });
  }

  private value(token: Token): Value {
    return { text: token.text, at: position(this.line, token) };
  }

  /** The option a word names: by letter, by full name, or as getopt_long does by a beginning that only one has. */
  private find(
    name: string,
    token: Token,
  ): { spec: OptionSpec; letter: string } | { spec: OptionSpec; letter?: undefined; use: Use } {
    if (!name.startsWith('--')) {
      const main = MAIN_OPTIONS.find(({ letter }) => name === `-${letter}`);
      if (main) return { spec: main, letter: main.letter };
      return refuse('RULESET_UNSUPPORTED', `option '${name}' is not supported in a rule`, position(this.line, token));
    }
    const wanted = name.slice(2);
    for (const exact of [true, false]) {
      const matches = (spec: OptionSpec) =>
        spec.names.some((each) => (exact ? each === wanted : each.startsWith(wanted)));
      const found: ReturnType<RuleReader['find']>[] = [];
      for (const use of this.uses) {
        for (const spec of use.options) if (matches(spec)) found.push({ spec, use });
      }
      for (const spec of MAIN_OPTIONS) if (matches(spec)) found.push({ spec, letter: spec.letter });
      const [first, ...others] = found;
      if (!first || wanted === '') continue;
      if (!exact && others.some(({ spec }) => spec.names[0] !== first.spec.names[0])) {
        this.fail(`option '${name}' is ambiguous`, token);
      }
      if (first.spec.unsupported && first.letter === undefined) {
        const { use } = first;
        refuse(
          'RULESET_UNSUPPORTED',
          `option '${name}' of ${use.kind} '${use.name}' is not supported`,
          position(this.line, token),
        );
      }
      return first;
    }
    const implied = this.header.protocol && protocolMatch(this.header.protocol.number, this.family);
    if (implied !== undefined && !this.matches.some(({ use }) => use.name === implied)) {
      const extension = findMatch(implied, this.family);
      if (extension) {
        const use = this.addMatch(implied, extension, token);
        if (use.options.some((spec) => spec.names.some((each) => each.startsWith(wanted))))
          return this.find(name, token);
        this.matches.pop();
        this.uses.shift();
      }
    }
    if (this.target && !this.target.extension && !this.declared(this.target.name)) {
      refuse('RULESET_UNSUPPORTED', `target '${this.target.name}' is not supported`, this.target.use.at);
    }
    const [latest] = this.uses;
    const owner = latest ? ` of ${latest.kind} '${latest.name}'` : '';
    return refuse('RULESET_UNSUPPORTED', `option '${name}'${owner} is not supported`, position(this.line, token));
  }

  private addMatch(name: string, extension: MatchExtension, token: Token): Use {
    const at = position(this.line, token);
    const use = new Use('match', name, this.family, extension.options, at, this.names);
    this.matches.push({ use, extension });
    this.uses.unshift(use);
    return use;
  }

  private mainOption(letter: string, token: Token, values: Token[], invert: boolean): void {
    if (letter !== 'm') {
      const once = 'AINP'.includes(letter) ? 'command' : letter === 'g' ? 'j' : letter;
      if (this.seen.has(once))
        this.fail(once === 'command' ? 'more than one command' : `option '${token.text}' is given twice`, token);
      this.seen.add(once);
    }
    const [first = token, second] = values;
    const value = this.value(first);
    switch (letter) {
      case 'A':
      case 'N':
        this.setCommand(letter, first);
        break;
      case 'I': {
        this.setCommand(letter, first);
        const number = this.tokens[this.next];
        if (number && /^\d+$/.test(number.text)) {
          this.insertAt = number;
          this.next++;
        }
        break;
      }
      case 'P':
        this.setCommand(letter, first);
        this.policy = second;
        break;
      case 'p': {
        const number = parseProtocol(value);
        if (number === 0 && invert) invalid(value, 'the rule would never match protocol');
        if (number !== 0) this.header.protocol = { number, invert };
        break;
      }
      case 's':
        this.addresses.source = this.addressList(first, invert);
        break;
      case 'd':
        this.addresses.destination = this.addressList(first, invert);
        break;
      case 'i':
        this.header.input = { pattern: this.interfacePattern(value), invert };
        break;
      case 'o':
        this.header.output = { pattern: this.interfacePattern(value), invert };
        break;
      case 'f':
        if (this.family === 10) {
          refuse('RULESET_INVALID', "option '-f' does not exist for IPv6", position(this.line, token));
        }
        this.header.fragment = { invert };
        break;
      case 'm':
        this.match(first);
        break;
      case 'j':
      case 'g':
        this.jump(first, letter === 'g');
        break;
      case 'c':
        this.counters = readCounters(this.line, first, first.text, second?.text ?? '');
        this.counterTokens.push(token, ...values);
        break;
      default:
        break;
    }
  }

  private setCommand(letter: string, chain: Token): void {
    this.commandLetter = letter;
    this.command = chain;
  }

  private addressList(token: Token, invert: boolean): Addresses {
    const texts = token.text.split(',');
    const value = this.value(token);
    if (invert && texts.length > 1) invalid(value, "'!' is not allowed with several addresses");
    return {
      token,
      tests: texts.map((text) => ({ text, test: parseNetwork({ text, at: value.at }, this.family, invert) })),
    };
  }

  private interfacePattern(value: Value): string {
    if (value.text === '') invalid(value, 'the interface name is empty');
    if (value.text.length > INTERFACE_NAME_MAX) {
      invalid(value, `an interface name has at most ${INTERFACE_NAME_MAX} characters`);
    }
    return value.text;
  }

  private match(token: Token): void {
    const extension = findMatch(token.text, this.family);
    if (!extension) {
      const other = findMatch(token.text, this.family === 2 ? 10 : 2);
      const family = other ? ` for ${this.family === 2 ? 'IPv4' : 'IPv6'}` : '';
      refuse('RULESET_UNSUPPORTED', `match '${token.text}' is not supported${family}`, position(this.line, token));
    }
    this.addMatch(token.text, extension, token);
  }

  private jump(token: Token, goto: boolean): void {
    const at = position(this.line, token);
    const found = goto ? undefined : findTarget(token.text);
    if (found === 'unsupported' && !this.declared(token.text)) {
      refuse('RULESET_UNSUPPORTED', `target '${token.text}' is not supported`, at);
    }
    const extension = found === 'unsupported' ? undefined : found;
    const use = new Use('target', token.text, this.family, extension?.options ?? [], at);
    this.target = { use, name: token.text, goto, ...(extension && { extension }) };
    if (extension) this.uses.unshift(use);
  }

  private finish(): Command {
    const { command } = this;
    if (this.seen.has(this.family === 2 ? '6' : '4') && !this.seen.has(this.family === 2 ? '4' : '6')) {
      return { kind: 'other-family' };
    }
    if (!command) return refuse('RULESET_SYNTAX', 'no command (-A chain) in the line', position(this.line));
    const counters = this.counters && { counters: this.counters };
    if (this.commandLetter === 'N' || this.commandLetter === 'P') {
      if (this.seen.size > (this.counters ? 2 : 1) || this.uses.length > 0) {
        this.fail(`'-${this.commandLetter}' takes no rule`, command);
      }
      return this.policy
        ? { kind: 'policy', chain: command, policy: this.policy, ...counters }
        : { kind: 'new-chain', chain: command };
    }
    const rules = this.expand();
    if (this.commandLetter === 'A') return { kind: 'append', chain: command, rules, ...counters };
    const atToken = this.insertAt ?? command;
    const at = this.insertAt ? parseNumber(this.value(this.insertAt), 0x7fffffff, 'the rule number') : 1;
    if (at === 0) invalid(this.value(atToken), 'rule numbers start at 1');
    return { kind: 'insert', chain: command, at, atToken, rules, ...counters };
  }

  /** One rule per pair of addresses, in the order in which iptables adds them. */
  private expand(): ParsedRule[] {
    const matches = this.matches.map(
      ({ use, extension }): Match => ({ ...extension.build(use), name: use.name, at: use.at }),
    );
    const target = this.buildTarget();
    const { source, destination } = this.addresses;
    const rules: ParsedRule[] = [];
    for (const from of source?.tests ?? [undefined]) {
      for (const to of destination?.tests ?? [undefined]) {
        const header: Header = { ...this.header };
        if (from && !isEverything(from.test)) header.source = from.test;
        if (to && !isEverything(to.test)) header.destination = to.test;
        const replaced = this.counterTokens.map((token) => ({ token, text: '' }));
        if (source && source.tests.length > 1 && from) replaced.push({ token: source.token, text: from.text });
        if (destination && destination.tests.length > 1 && to) {
          replaced.push({ token: destination.token, text: to.text });
        }
        rules.push({ header, matches, target, text: this.textWith(replaced) });
      }
    }
    return rules;
  }

  private buildTarget(): Target {
    if (!this.target) return { kind: 'none', name: '', at: position(this.line) };
    const { use, extension, name, goto } = this.target;
    if (!extension) return { kind: 'jump', chain: name, goto, name, at: use.at };
    return { ...extension.build(use), name, at: use.at };
  }

  /** The line from its first word on, with some words replaced. */
  private textWith(replaced: { token: Token; text: string }[]): string {
    const [first] = this.tokens;
    let text = this.line.text.slice((first?.column ?? 1) - 1);
    const shift = (first?.column ?? 1) - 1;
    for (const { token, text: word } of replaced.sort((a, b) => b.token.column - a.token.column)) {
      const start = token.column - 1 - shift;
      // A word that goes takes the blank behind it along.
      const end = start + token.length + (word === '' ? 1 : 0);
      text = text.slice(0, start) + word + text.slice(end);
    }
    return text.trimEnd();
  }
}

/** An empty mask is no test at all, as for iptables; only its inversion says something, namely "never". */
function isEverything({ mask, invert }: AddressTest): boolean {
  return !invert && mask.every((byte) => byte === 0);
}

/** Counters as two words of digits that fit 64 bits. */
export function readCounters(line: Line, token: Token, packets: string, bytes: string): Counters {
  const read = (text: string): bigint => {
    const number = /^\d{1,20}$/.test(text) ? BigInt(text) : undefined;
    if (number === undefined || number > 0xffff_ffff_ffff_ffffn) {
      return refuse('RULESET_SYNTAX', 'counters are two numbers, [packets:bytes]', position(line, token));
    }
    return number;
  };
  return { packets: read(packets), bytes: read(bytes) };
}
