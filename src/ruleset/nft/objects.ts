// What does a named object hold: counters, quotas, limits, helpers and timeouts of connections?
import { own, PROTOCOLS } from '../iptables/names.ts';
import type { Counter, CtHelper, CtTimeout, NftObject, ObjectKind, Place } from './ast.ts';
import type { Context } from './context.ts';
import { readDuration, readIdentifier } from './sets.ts';
import { readCounterValues, readLimit, readQuota } from './stateful.ts';
import { refuseAt } from './text.ts';

export interface ObjectName {
  name: string;
  at: Place;
}

/** Reads what stands behind the name of an object: a block, the same on one line, or nothing. */
export function readNamedObject(context: Context, object: ObjectKind, { name, at }: ObjectName): NftObject {
  const { cursor, table } = context;
  const common = { table: table.name, family: table.family, name, at };
  const end = cursor.last.at.end;
  const block = cursor.accept('{');
  const inside = cursor.last.at.end;
  const { handle } = cursor.peek();
  let found: NftObject;
  switch (object) {
    case 'counter': {
      const counter: Counter = { index: -1 };
      const empty = { start: block ? inside : end, end: block ? inside : end };
      const braces = block ? { before: ' ', after: '' } : { before: ' { ', after: ' }' };
      const place = { counter, ...empty, ...braces, json: false };
      found = { ...common, object, counter };
      readEntries(context, block, found, () => {
        if (!cursor.is('packets')) return false;
        const { start } = cursor.peek().at;
        readCounterValues(context, counter);
        Object.assign(place, { start, end: cursor.last.at.end, before: '', after: '' });
        return true;
      });
      context.counters.push(place);
      break;
    }
    case 'quota': {
      found = { ...common, object, quota: { bytes: 0n, used: 0n, over: false } };
      const quota = found;
      readEntries(context, block, found, () => {
        quota.quota = readQuota(context);
        return true;
      });
      break;
    }
    case 'limit': {
      found = { ...common, object, limit: { rate: 0n, unit: 'packets', seconds: 1, burst: 0n, over: false } };
      const limit = found;
      readEntries(context, block, found, () => {
        limit.limit = readLimit(context);
        return true;
      });
      if (limit.limit.rate === 0n) refuseAt('RULESET_SYNTAX', `the rate of limit '${name}' is missing`, at);
      break;
    }
    case 'ct helper':
      found = readHelper(context, common, block);
      break;
    case 'ct timeout':
      found = readTimeout(context, common, block);
      break;
    default:
      found = { ...common, object };
      if (block) skipBlock(context);
      break;
  }
  if (handle !== undefined) found.handle = handle;
  return found;
}

/** Entries of a block up to its closing brace, or of a line. */
function readEntries(context: Context, block: boolean, object: NftObject, read: () => boolean): void {
  const { cursor } = context;
  if (!block) {
    if (!cursor.atEnd()) read();
    return;
  }
  for (cursor.skipNewlines(); !cursor.accept('}'); cursor.skipNewlines()) {
    if (cursor.accept('comment')) object.comment = readIdentifier(context, 'a comment').text;
    else if (cursor.peek().kind === 'end' || !read())
      cursor.unexpected(`a property of ${object.object} '${object.name}'`);
  }
}

type Common = Pick<NftObject, 'table' | 'family' | 'name' | 'at'>;

function readProtocol(context: Context): number {
  const token = context.cursor.take();
  const number = token.kind === 'number' ? Number(token.text) : own(PROTOCOLS, token.text);
  if (number === undefined || number > 255)
    return refuseAt('RULESET_SYNTAX', `'${token.text}' is not a protocol`, token.at);
  return number;
}

function readFamily(context: Context): 'ip' | 'ip6' | undefined {
  const token = context.cursor.take();
  if (token.text === 'inet') return undefined;
  if (token.text !== 'ip' && token.text !== 'ip6') {
    return refuseAt('RULESET_SYNTAX', `'${token.text}' is not ip, ip6 or inet`, token.at);
  }
  return token.text;
}

function readHelper(context: Context, common: Common, block: boolean): NftObject {
  const { cursor } = context;
  const helper: CtHelper = { type: '', protocol: 0 };
  const found: NftObject = { ...common, object: 'ct helper', helper };
  readEntries(context, block, found, () => {
    if (cursor.accept('type')) {
      helper.type = readIdentifier(context, 'the name of a helper').text;
      cursor.expect('protocol');
      helper.protocol = readProtocol(context);
      return true;
    }
    if (!cursor.accept('l3proto')) return false;
    const family = readFamily(context);
    if (family !== undefined) helper.l3proto = family;
    return true;
  });
  if (helper.type === '') refuseAt('RULESET_SYNTAX', `the type of helper '${common.name}' is missing`, common.at);
  return found;
}

function readTimeout(context: Context, common: Common, block: boolean): NftObject {
  const { cursor } = context;
  const timeout: CtTimeout = { protocol: 0, policy: [] };
  const found: NftObject = { ...common, object: 'ct timeout', timeout };
  readEntries(context, block, found, () => {
    if (cursor.accept('protocol')) timeout.protocol = readProtocol(context);
    else if (cursor.accept('l3proto')) {
      const family = readFamily(context);
      if (family !== undefined) timeout.l3proto = family;
    } else if (cursor.accept('policy')) readTimeoutPolicy(context, timeout);
    else return false;
    return true;
  });
  if (timeout.protocol === 0)
    refuseAt('RULESET_SYNTAX', `the protocol of timeout '${common.name}' is missing`, common.at);
  return found;
}

function readTimeoutPolicy(context: Context, timeout: CtTimeout): void {
  const { cursor } = context;
  cursor.expect('=');
  cursor.expect('{');
  for (cursor.skipNewlines(); !cursor.accept('}'); cursor.skipNewlines()) {
    const state = readIdentifier(context, 'a state');
    cursor.expect(':');
    const seconds = readDuration(context) / 1000;
    timeout.policy.push({ state: state.text, seconds, at: cursor.since(state.at) });
    cursor.skipNewlines();
    if (!cursor.accept(',') && !cursor.is('}')) cursor.unexpected("',' or '}'");
  }
}

/** What stands between a brace that was taken and the one that closes it. */
export function skipBlock({ cursor }: Context): void {
  for (let depth = 1; depth > 0; ) {
    const token = cursor.take();
    if (token.kind === 'end') refuseAt('RULESET_SYNTAX', "the text ends before the '}' of this", token.at);
    if (token.kind !== 'symbol') continue;
    if (token.text === '{') depth++;
    if (token.text === '}') depth--;
  }
}
