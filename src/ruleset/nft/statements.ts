// What does a rule do: its statements, from the left to the right?

import type { LogOptions } from '../ast.ts';
import { LOG_LEVELS, own } from '../iptables/names.ts';
import type { Place, SetReference, SetUpdate, Statement, VerdictValue } from './ast.ts';
import type { Context } from './context.ts';
import { numberByName, typed } from './datatypes.ts';
import { readExpression, readNumber, startsExpression, typesOf } from './expressions.ts';
import { readMatch } from './match.ts';
import { readNat } from './nat.ts';
import { declaredSet, declareSet, readData, readDuration, readIdentifier, readTemplate } from './sets.ts';
import { readObjectAssignment, readStateful } from './stateful.ts';
import { refuseAt } from './text.ts';

/** Statements that act on packets in a way that is not simulated. */
const UNSUPPORTED: ReadonlySet<string> = new Set(['dup', 'fwd', 'tproxy', 'synproxy', 'flow', 'set', 'secmark']);

/** NF_LOG_PREFIXLEN - 1 */
const LOG_PREFIX_MAX = 127;

/** Reads one statement, undefined where none begins. */
export function readStatement(context: Context): Statement {
  const { cursor } = context;
  const token = cursor.peek();
  if (token.kind === 'word') {
    const verdict = readVerdict(context);
    if (verdict !== undefined) return verdict;
    const stateful = readStateful(context);
    if (stateful !== undefined) return stateful;
    const { text, at } = token;
    if (UNSUPPORTED.has(text)) refuseAt('RULESET_UNSUPPORTED', `'${text}' is not supported`, at);
    switch (text) {
      case 'log':
        return readLog(context);
      case 'reject':
        return readReject(context);
      case 'notrack':
        return { kind: 'notrack', at: cursor.take().at };
      case 'snat':
      case 'dnat':
      case 'masquerade':
      case 'redirect':
        return readNat(context, text);
      case 'add':
      case 'update':
      case 'delete':
        return readSetUpdate(context, text);
      case 'meter':
        return readMeter(context);
      case 'reset':
        return readReset(context);
      case 'xt':
        return refuseAt(
          'RULESET_UNSUPPORTED',
          "nft cannot say what this rule of iptables-nft does: give the host's iptables-save and ip6tables-save, too",
          at,
        );
      default:
        break;
    }
    const assigned = readObjectAssignment(context);
    if (assigned !== undefined) return assigned;
  }
  return readMatch(context);
}

/** accept, drop, continue, return, jump, goto and queue. */
export function readVerdict(context: Context): VerdictValue | undefined {
  const { cursor, links, table } = context;
  const token = cursor.peek();
  if (token.kind !== 'word') return undefined;
  switch (token.text) {
    case 'accept':
    case 'drop':
    case 'continue':
    case 'return':
      return { kind: 'verdict', verdict: token.text, at: cursor.take().at };
    case 'jump':
    case 'goto': {
      const verdict = { kind: 'verdict', verdict: cursor.take().text } as VerdictValue & { verdict: 'jump' };
      const name = readIdentifier(context, 'the name of a chain');
      verdict.at = cursor.since(token.at);
      links.chain(table, verdict, name.text, name.at);
      return verdict;
    }
    case 'queue':
      return readQueue(context);
    default:
      return undefined;
  }
}

const QUEUE_FLAGS: readonly string[] = ['bypass', 'fanout'];

/** `queue [flags bypass,fanout] [to N[-M]]`, or as older versions print it `queue num N[-M] bypass,fanout`. */
function readQueue(context: Context): VerdictValue {
  const { cursor } = context;
  const first = cursor.expect('queue');
  const flags: string[] = [];
  let from = 0;
  let to = 0;
  for (;;) {
    if (cursor.accept('to') || cursor.accept('num')) {
      if (cursor.peek().kind !== 'number') {
        refuseAt('RULESET_UNSUPPORTED', 'a queue number that is computed is not supported', cursor.peek().at);
      }
      from = readNumber(context, 0xffff);
      to = cursor.accept('-') ? readNumber(context, 0xffff) : from;
      if (to < from) refuseAt('RULESET_INVALID', 'the range ends before it starts', cursor.since(first.at));
    } else if (cursor.accept('flags') || QUEUE_FLAGS.some((flag) => cursor.is(flag))) {
      do {
        if (!QUEUE_FLAGS.some((flag) => cursor.is(flag))) cursor.unexpected("'bypass' or 'fanout'");
        flags.push(cursor.take().text);
      } while (cursor.accept(','));
    } else {
      return { kind: 'verdict', verdict: 'queue', from, to, flags, at: cursor.since(first.at) };
    }
  }
}

function readLog(context: Context): Statement {
  const { cursor } = context;
  const first = cursor.expect('log');
  const log: LogOptions = { kind: 'LOG' };
  const flags = new Set<string>();
  for (;;) {
    if (cursor.accept('prefix')) {
      const prefix = readIdentifier(context, 'a prefix');
      if (Buffer.byteLength(prefix.text) > LOG_PREFIX_MAX) {
        refuseAt('RULESET_INVALID', `a prefix has at most ${LOG_PREFIX_MAX} characters`, prefix.at);
      }
      log.prefix = prefix.text;
    } else if (cursor.accept('level')) {
      const level = cursor.take();
      const number = own(LOG_LEVELS, level.text === 'warn' ? 'warning' : level.text);
      if (number === undefined) {
        refuseAt('RULESET_UNSUPPORTED', `log level '${level.text}' is not supported`, level.at);
      }
      log.level = number;
    } else if (cursor.accept('group')) {
      log.kind = 'NFLOG';
      log.group = readNumber(context, 0xffff);
    } else if (cursor.accept('snaplen')) log.size = readNumber(context);
    else if (cursor.accept('queue-threshold')) log.threshold = readNumber(context, 0xffff);
    else if (cursor.accept('flags')) readLogFlags(context, flags);
    else break;
  }
  if (log.kind === 'LOG') {
    log.level ??= own(LOG_LEVELS, 'warning') ?? 0;
    if (flags.size > 0) log.flags = LOG_FLAGS.filter((flag) => flags.has(flag));
  }
  return { kind: 'log', log, at: cursor.since(first.at) };
}

/** In the words of LOG's options. */
const LOG_FLAGS: readonly string[] = ['tcp-sequence', 'tcp-options', 'ip-options', 'uid', 'macdecode'];

function readLogFlags({ cursor }: Context, flags: Set<string>): void {
  const word = cursor.take();
  switch (word.text) {
    case 'all':
      for (const flag of LOG_FLAGS) flags.add(flag);
      return;
    case 'skuid':
      flags.add('uid');
      return;
    case 'ether':
      flags.add('macdecode');
      return;
    case 'ip':
      cursor.expect('options');
      flags.add('ip-options');
      return;
    case 'tcp':
      do {
        if (!cursor.is('sequence') && !cursor.is('options')) cursor.unexpected("'sequence' or 'options'");
        flags.add(`tcp-${cursor.take().text}`);
      } while (cursor.accept(','));
      return;
    default:
      refuseAt('RULESET_SYNTAX', `'${word.text}' is not a log flag`, word.at);
  }
}

const REJECTS = {
  icmp: { type: typed('icmp_code'), port: 3 },
  icmpv6: { type: typed('icmpv6_code'), port: 4 },
  icmpx: { type: typed('icmpx_code'), port: 1 },
} as const;

/** Without more words: port unreachable in the family of the table. */
function readReject(context: Context): Statement {
  const { cursor, table } = context;
  const first = cursor.expect('reject');
  if (!cursor.accept('with')) {
    const kind = table.family === 'ip' ? 'icmp' : table.family === 'ip6' ? 'icmpv6' : 'icmpx';
    return { kind: 'reject', with: kind, code: REJECTS[kind].port, at: first.at };
  }
  const word = cursor.take();
  if (word.text === 'tcp') {
    cursor.expect('reset');
    return { kind: 'reject', with: 'tcp reset', at: cursor.since(first.at) };
  }
  if (word.text !== 'icmp' && word.text !== 'icmpv6' && word.text !== 'icmpx') {
    return refuseAt('RULESET_SYNTAX', `'${word.text}' is not what reject answers with`, word.at);
  }
  if (cursor.is('type') && cursor.peek(1).kind !== 'newline') cursor.take();
  const token = cursor.take();
  const code = token.kind === 'number' ? Number(token.text) : numberByName(REJECTS[word.text].type.type, token.text);
  if (code === undefined || code > 255) return refuseAt('RULESET_SYNTAX', `'${token.text}' is not a code`, token.at);
  const at = cursor.since(first.at);
  if ((word.text === 'icmp' && table.family === 'ip6') || (word.text === 'icmpv6' && table.family === 'ip')) {
    refuseAt('RULESET_INVALID', `${word.text} in a table of family ${table.family}`, at);
  }
  return { kind: 'reject', with: word.text, code, at };
}

function readReset(context: Context): Statement {
  const { cursor } = context;
  const first = cursor.expect('reset');
  const target = readExpression(context);
  const at = cursor.since(first.at);
  if (target.kind !== 'exthdr' || target.of !== 'tcp option' || target.field !== undefined) {
    return refuseAt('RULESET_SYNTAX', 'reset removes a TCP option', at);
  }
  return { kind: 'reset', target, at };
}

/** `update @set { key timeout 1m counter : data }` */
function readSetUpdate(context: Context, op: SetUpdate['op']): Statement {
  const { cursor, links, table } = context;
  const first = cursor.take();
  const sign = cursor.expect('@');
  const name = readIdentifier(context, 'the name of a set');
  const set = links.reference(table, name.text, cursor.since(sign.at));
  const update: SetUpdate = { kind: 'set update', op, set, ...readUpdated(context), at: first.at };
  if (cursor.accept(':')) {
    const { data } = declaredSet(context, name.text, name.at);
    if (data?.kind !== 'values') return refuseAt('RULESET_INVALID', `'${name.text}' is not a map of values`, name.at);
    update.data = startsExpression(cursor.peek(), data.types[0] ?? typed('integer', 32))
      ? readExpression(context)
      : readData(context, data);
  }
  closeUpdate(context, update, first.at);
  // The JSON of some versions leaves the flag out.
  links.later(table, () => {
    set.set.flags.dynamic = true;
  });
  return update;
}

/** What a set that the text does not declare holds at most. */
const METER_SIZE = 65_535;

/** `meter name size N { key limit rate ... }`: an update of a set that is declared with it. */
function readMeter(context: Context): Statement {
  const { cursor, table } = context;
  const first = cursor.expect('meter');
  const { text: name, at } = readIdentifier(context, 'the name of a meter');
  const size = cursor.accept('size') ? readNumber(context) : METER_SIZE;
  const updated = readUpdated(context);
  const declared = declareSet(table, name, at);
  if (declared.key.length > 0) refuseAt('RULESET_INVALID', `set '${name}' is declared twice`, at);
  declared.key = typesOf(updated.key);
  declared.size = size;
  declared.flags.dynamic = true;
  declared.flags.timeout = updated.timeout !== undefined;
  const op = updated.timeout === undefined ? 'add' : 'update';
  const set: SetReference = { kind: 'set reference', name, set: declared, at };
  const update: SetUpdate = { kind: 'set update', op, set, ...updated, at: first.at };
  closeUpdate(context, update, first.at);
  return update;
}

/** The key that is added, and what its element gets. */
function readUpdated(context: Context): Pick<SetUpdate, 'key' | 'timeout' | 'statements'> {
  const { cursor } = context;
  cursor.expect('{');
  cursor.skipNewlines();
  const updated: Pick<SetUpdate, 'key' | 'timeout' | 'statements'> = { key: readExpression(context), statements: [] };
  for (;;) {
    const statement = readTemplate(context);
    if (statement !== undefined) updated.statements.push(statement);
    else if (cursor.accept('timeout')) updated.timeout = readDuration(context);
    else if (cursor.accept('comment')) readIdentifier(context, 'a comment');
    else return updated;
  }
}

function closeUpdate({ cursor }: Context, update: SetUpdate, from: Place): void {
  cursor.skipNewlines();
  cursor.expect('}');
  update.at = cursor.since(from);
}
