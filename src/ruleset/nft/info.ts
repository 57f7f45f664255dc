// What do reports and the engine need to know of nft's rules?
import { L3 } from '../../../assembly/vocabulary.ts';
import type { NftEntry } from '../ast.ts';
import type { RuleInfo } from '../compile.ts';
import type { Family } from '../source.ts';
import type { NftChain, NftFamily, NftSource, NftTable, Statement } from './ast.ts';
import { positionOf } from './text.ts';

/** NFPROTO_INET */
export const INET = 1;

/** `inet filter` */
export function tableName({ family, name }: Pick<NftTable, 'family' | 'name'>): string {
  return `${family} ${name}`;
}

/** Families whose packets a table sees. */
export function familiesOf(family: NftFamily): Family[] {
  return { ip: [L3.IPV4 as Family], ip6: [L3.IPV6 as Family], inet: [L3.IPV4 as Family, L3.IPV6 as Family], arp: [] }[
    family
  ];
}

export function infoOf({ chain, rule }: NftEntry['nft'], reached: ReadonlySet<NftChain>): RuleInfo {
  const { table } = chain;
  const families = familiesOf(table.family);
  const [family = INET] = families;
  const at = positionOf(rule?.at ?? chain.base?.at ?? chain.at);
  const info: RuleInfo = {
    family: families.length === 1 ? family : INET,
    table: tableName(table),
    chain: chain.name,
    number: rule ? (rule.handle ?? rule.number) : 'policy',
    text: rule ? rule.text : `policy ${chain.base?.policy}`,
    file: at.file,
    line: at.line,
    target: rule ? lastWord(rule.statements) : (chain.base?.policy ?? ''),
    reachable: reached.has(chain) && (rule === undefined || isReached(chain, rule)),
  };
  for (const statement of rule?.statements ?? []) {
    if (statement.kind === 'log') info.log = statement.log;
    if (statement.kind === 'counter' && statement.counter.stated) info.input ??= statement.counter.stated;
  }
  return info;
}

/** No rule before it ends every packet's way through the chain. */
function isReached(chain: NftChain, rule: NftChain['rules'][number]): boolean {
  const before = chain.rules.slice(0, chain.rules.indexOf(rule));
  return !before.some(({ statements }) => statements.every((each) => PLAIN.has(each.kind)) && ends(statements.at(-1)));
}

/** Statements after which a rule always goes on. */
const PLAIN: ReadonlySet<string> = new Set<Statement['kind']>(['counter', 'log', 'verdict', 'reject']);

function ends(statement: Statement | undefined): boolean {
  if (statement?.kind === 'reject') return statement.with !== 'tcp reset' && statement.with !== 'icmp';
  if (statement?.kind !== 'verdict') return false;
  return ['accept', 'drop', 'return', 'goto'].includes(statement.verdict);
}

/** What a rule does in the end: `accept`, the chain it jumps to, `masquerade`. */
function lastWord(statements: readonly Statement[]): string {
  const last = statements.at(-1);
  if (last?.kind === 'verdict') return 'chain' in last ? last.chain.name : last.verdict;
  if (last?.kind === 'nat') return last.nat;
  return last?.kind === 'match' || last === undefined ? '' : last.kind;
}

/** What loading these sources turns on, whether or not a packet ever comes to the rules. */
export function usesOf(sources: readonly NftSource[]): { conntrack: Set<Family>; accounting: boolean } {
  const conntrack = new Set<Family>();
  let accounting = false;
  for (const table of sources.flatMap(({ tables }) => tables)) {
    for (const { rules } of table.chains) {
      for (const { statements } of rules) {
        visit(statements, (node) => {
          if (!TRACKING.has(node.kind)) return;
          for (const family of familiesOf(table.family)) conntrack.add(family);
          if (node.kind === 'ct' && ['bytes', 'packets', 'avgpkt'].includes(String(node.key))) accounting = true;
        });
      }
    }
  }
  return { conntrack, accounting };
}

/** Expressions whose init calls nf_ct_netns_get(). */
const TRACKING: ReadonlySet<string> = new Set(['ct', 'nat', 'ct count']);
/** What leads out of a rule. */
const OUTSIDE: ReadonlySet<string> = new Set(['chain', 'set', 'reference', 'at']);

/** Calls `see` with every node below a part of the tree that belongs to the rule itself. */
export function visit(part: unknown, see: (node: { kind: string; key?: unknown }) => void): void {
  if (typeof part !== 'object' || part === null || part instanceof Uint8Array) return;
  if ('kind' in part && typeof part.kind === 'string') see(part as { kind: string });
  for (const [key, value] of Object.entries(part)) {
    if (!OUTSIDE.has(key) || Array.isArray(part)) visit(value, see);
    // `set` is the name of a reference's target, and of the reference in an update.
    else if (key === 'set' && 'kind' in part && part.kind === 'set update') visit(value, see);
  }
}
