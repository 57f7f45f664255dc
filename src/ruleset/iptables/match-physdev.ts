// What does `-m physdev` test? By which ports of a bridge a packet comes and leaves.
import type { PhysdevQuestion } from '../ast.ts';
import { refuse } from '../source.ts';
import type { MatchExtension } from './matches.ts';
import { firstValue } from './options.ts';
import { invalid } from './values.ts';

const INTERFACE_NAME_MAX = 15;
const QUESTIONS: readonly PhysdevQuestion[] = ['in', 'out', 'is-in', 'is-out', 'is-bridged'];

export const PHYSDEV: MatchExtension = {
  options: QUESTIONS.map((what) => ({
    names: [`physdev-${what}`],
    values: what === 'in' || what === 'out' ? 1 : 0,
    invert: true,
  })),
  build(use) {
    const asked = QUESTIONS.flatMap((what) => {
      const given = use.get(`physdev-${what}`);
      if (!given) return [];
      const name = firstValue(given);
      if (name.text.length > INTERFACE_NAME_MAX) {
        invalid(name, `an interface name has at most ${INTERFACE_NAME_MAX} characters`);
      }
      return [{ what, invert: given.invert }];
    });
    if (asked.length === 0) refuse('RULESET_INVALID', "match 'physdev' needs at least one option", use.at);
    return { kind: 'physdev', asked };
  },
};
