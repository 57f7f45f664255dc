// What does an extension (match or target) declare about its options, and how does it get at what was given?
import type { TextPosition } from '../../errors.ts';
import { type Family, type HostNames, refuse } from '../source.ts';
import type { Value } from './values.ts';

export interface OptionSpec {
  /** Long names without dashes; the first is the one that errors use. */
  names: readonly string[];
  /** Values that follow. */
  values: 0 | 1 | 2;
  /** Whether `!` is allowed. */
  invert?: boolean;
  /** The option exists and is not supported. */
  unsupported?: boolean;
}

export interface Given {
  name: string;
  invert: boolean;
  values: Value[];
  at: TextPosition;
}

/** An extension as a rule uses it. */
export class Use {
  readonly given = new Map<string, Given>();
  constructor(
    readonly kind: 'match' | 'target',
    readonly name: string,
    readonly family: Family,
    readonly options: readonly OptionSpec[],
    readonly at: TextPosition,
    readonly names: HostNames = {},
  ) {}

  get(name: string): Given | undefined {
    return this.given.get(name);
  }

  /** First value of an option, if given. */
  value(name: string): Value | undefined {
    return this.given.get(name)?.values[0];
  }

  has(name: string): boolean {
    return this.given.has(name);
  }

  /** The one option of these that is given: RulesetError if there is none, or more than one. */
  one(...names: string[]): Given {
    const found = names.flatMap((name) => this.given.get(name) ?? []);
    const [first, second] = found;
    const list = names.map((name) => `--${name}`).join(', ');
    if (!first)
      return refuse(
        'RULESET_INVALID',
        `${this.kind} '${this.name}' needs ${names.length > 1 ? 'one of ' : ''}${list}`,
        this.at,
      );
    if (second) {
      refuse('RULESET_INVALID', `--${first.name} and --${second.name} exclude each other`, second.at);
    }
    return first;
  }

  /** As `one`, but none is fine. */
  atMostOne(...names: string[]): Given | undefined {
    return names.some((name) => this.given.has(name)) ? this.one(...names) : undefined;
  }
}

/** The value of an option that takes one. */
export function firstValue(given: Given): Value {
  return given.values[0] ?? { text: '', at: given.at };
}
