// Which rule lowers the MSS to what the path carries?
import type { TextPosition } from '../errors.ts';
import type { Ruleset } from './ast.ts';
import { positionOf } from './nft/text.ts';

/** Where the first such rule says so. */
export function clampingPlace({ entries }: Ruleset): TextPosition | undefined {
  for (const entry of entries) {
    if (!('nft' in entry)) {
      const target = entry.rule?.target;
      if (target?.kind === 'mss' && target.mss === 'clamp') return target.at;
      continue;
    }
    for (const statement of entry.nft.rule?.statements ?? []) {
      if (statement.kind === 'set' && statement.value.kind === 'rt') return positionOf(statement.at);
    }
  }
  return undefined;
}
