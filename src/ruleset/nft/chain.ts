// Where does a base chain stand among the others, and which rules does a chain have?
import { Hook } from '../../../assembly/vocabulary.ts';
import { own } from '../iptables/names.ts';
import type { CounterPlace, NftChain, NftRule, Place } from './ast.ts';
import type { Context } from './context.ts';
import { readNumber } from './expressions.ts';
import { readIdentifier } from './sets.ts';
import { readStatement } from './statements.ts';
import { refuseAt } from './text.ts';

const CHAIN_TYPES = ['filter', 'nat', 'route'] as const;

const HOOKS: Readonly<Record<string, Hook>> = {
  prerouting: Hook.PREROUTING,
  input: Hook.INPUT,
  forward: Hook.FORWARD,
  output: Hook.OUTPUT,
  postrouting: Hook.POSTROUTING,
};

/** NF_IP_PRI_* */
const PRIORITIES: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
};

/** NF_IP_PRI_CONNTRACK: chains of type nat come later. */
const CONNTRACK_PRIORITY = -200;

/** `type filter hook forward priority filter - 5` */
export function readBaseChain(context: Context, chain: NftChain): void {
  const { cursor } = context;
  const first = cursor.expect('type');
  const word = cursor.take();
  const type =
    CHAIN_TYPES.find((each) => each === word.text) ??
    refuseAt('RULESET_INVALID', `'${word.text}' is not a type of chains`, word.at);
  cursor.expect('hook');
  const hookName = cursor.take();
  if (hookName.text === 'ingress' || hookName.text === 'egress') {
    refuseAt('RULESET_UNSUPPORTED', `chains at hook ${hookName.text} are not supported`, hookName.at);
  }
  const hook =
    own(HOOKS, hookName.text) ?? refuseAt('RULESET_INVALID', `'${hookName.text}' is not a hook`, hookName.at);
  cursor.expect('priority');
  const start = cursor.peek().at;
  const priority = readPriority(context);
  const priorityAt = cursor.since(start);
  const at = cursor.since(first.at);
  if ((type === 'nat' && hook === Hook.FORWARD) || (type === 'route' && hook !== Hook.OUTPUT)) {
    refuseAt('RULESET_INVALID', `chains of type ${type} are not at hook ${hookName.text}`, at);
  }
  if (type === 'nat' && priority <= CONNTRACK_PRIORITY) {
    const message = `chains of type nat come behind connection tracking: a priority above ${CONNTRACK_PRIORITY}`;
    refuseAt('RULESET_INVALID', message, priorityAt);
  }
  chain.base = { type, hook, priority, policy: chain.base?.policy ?? 'accept', index: -1, at };
}

function readPriority(context: Context): number {
  const { cursor } = context;
  const word = cursor.peek();
  let base = 0;
  if (word.kind === 'word') {
    base = own(PRIORITIES, word.text) ?? refuseAt('RULESET_INVALID', `'${word.text}' is not a priority`, word.at);
    cursor.take();
    if (!cursor.is('+') && !cursor.is('-')) return base;
  }
  const sign = cursor.accept('-') ? -1 : 1;
  if (sign === 1) cursor.accept('+');
  return base + sign * readNumber(context, 0x7fff_ffff);
}

/** The statements of one line. */
export function readRule(context: Context): NftRule {
  const { cursor } = context;
  const { at } = cursor.peek();
  const rule: NftRule = { statements: [], text: '', number: 0, index: -1, at };
  const first = context.counters.length;
  while (!cursor.atEnd()) {
    if (rule.comment !== undefined) cursor.unexpected('the end of the rule');
    if (cursor.accept('comment')) rule.comment = readIdentifier(context, 'a comment').text;
    else rule.statements.push(readStatement(context));
  }
  rule.at = cursor.since(at);
  if (rule.statements.length === 0) cursor.unexpected('a rule');
  const { handle } = cursor.peek();
  if (handle !== undefined) rule.handle = handle;
  rule.text = ruleText(rule.at, context.counters.slice(first));
  return rule;
}

/** A rule on one line, without the numbers of its counters. */
function ruleText(at: Place, counters: CounterPlace[]): string {
  let text = '';
  let { start } = at;
  for (const counter of counters) {
    text += at.text.text.slice(start, counter.start).trimEnd();
    start = counter.end;
  }
  text += at.text.text.slice(start, at.end);
  return text.replace(/"[^"]*"|(?:\s|\\\r?\n|#[^\n]*)+/g, (found) => (found.startsWith('"') ? found : ' ')).trim();
}
