// Do the jumps of a table lead anywhere the kernel would not let them lead?
import type { Element, NftChain, NftTable, Place, SetUse, Statement } from './ast.ts';
import { refuseAt } from './text.ts';

/** NFT_JUMP_STACK_SIZE */
const DEPTH_MAX = 16;

/** Refuses loops, and more jumps within each other than the kernel has room for. */
export function checkJumps(table: NftTable): void {
  const depths = new Map<NftChain, number>();
  for (const chain of table.chains) if (chain.base !== undefined) depth(chain, [], depths, chain.at);
}

/** Jumps within each other below a chain. */
function depth(chain: NftChain, way: readonly NftChain[], depths: Map<NftChain, number>, from: Place): number {
  if (way.includes(chain)) {
    const loop = [...way.slice(way.indexOf(chain)), chain].map(({ name }) => name).join(' -> ');
    refuseAt('RULESET_INVALID', `the chains form a loop: ${loop}`, from);
  }
  const known = depths.get(chain);
  if (way.length + (known ?? 0) >= DEPTH_MAX) {
    refuseAt('RULESET_INVALID', `more than ${DEPTH_MAX} chains jump to each other`, from);
  }
  if (known !== undefined) return known;
  let deepest = 0;
  for (const { target, at } of jumps(chain)) {
    deepest = Math.max(deepest, 1 + depth(target, [...way, chain], depths, at));
  }
  depths.set(chain, deepest);
  return deepest;
}

interface Jump {
  target: NftChain;
  at: Place;
}

function* jumps(chain: NftChain): Generator<Jump> {
  for (const { statements } of chain.rules) for (const statement of statements) yield* jumpsOf(statement);
}

function* jumpsOf(statement: Statement): Generator<Jump> {
  if (statement.kind === 'verdict' && (statement.verdict === 'jump' || statement.verdict === 'goto')) {
    yield { target: statement.chain, at: statement.at };
  }
  if (statement.kind !== 'vmap') return;
  for (const { data } of elementsOf(statement.map)) {
    if (data?.kind === 'verdict' && (data.verdict === 'jump' || data.verdict === 'goto')) {
      yield { target: data.chain, at: data.at };
    }
  }
}

function elementsOf(use: SetUse): readonly Element[] {
  return use.kind === 'anonymous set' ? use.elements : use.set.elements;
}
