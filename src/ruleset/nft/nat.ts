// What do snat, dnat, masquerade and redirect map a flow to?
import type { Expression, Nat, Typed } from './ast.ts';
import { readConstant } from './constants.ts';
import type { Context } from './context.ts';
import { typed } from './datatypes.ts';
import { readExpression, startsExpression, typesOf } from './expressions.ts';
import { addressType, readSetUse } from './sets.ts';
import { refuseAt } from './text.ts';

const FLAGS: readonly string[] = ['random', 'fully-random', 'persistent'];

/**
 * `snat [ip|ip6] [addr . port|prefix|interval] to ADDRESS[:PORT] [flags]`, `dnat ...`, `masquerade [to :PORT] [flags]`,
 * `redirect [to :PORT] [flags]`
 */
export function readNat(context: Context, kind: Nat['nat']): Nat {
  const { cursor, table } = context;
  const first = cursor.take();
  const nat: Nat = { kind: 'nat', nat: kind, addressAndPort: false, flags: [], at: first.at };
  const addressed = kind === 'snat' || kind === 'dnat';
  if (addressed) {
    const family = (cursor.is('ip') || cursor.is('ip6')) && !startsAddress(context) ? cursor.take().text : undefined;
    if (family !== undefined) nat.family = family as 'ip' | 'ip6';
    else if (table.family === 'ip' || table.family === 'ip6') nat.family = table.family;
    if (cursor.accept('addr')) {
      cursor.expect('.');
      cursor.expect('port');
    } else if (cursor.accept('prefix')) nat.flags.push('netmap');
    else cursor.accept('interval');
  }
  const to = cursor.accept('to');
  if (addressed || to) readTarget(context, nat, addressed);
  readFlags(context, nat);
  nat.at = cursor.since(first.at);
  if (nat.family !== undefined && table.family !== 'inet' && nat.family !== table.family) {
    refuseAt('RULESET_INVALID', `an address of family ${nat.family} in a table of family ${table.family}`, nat.at);
  }
  return nat;
}

/** `snat ip saddr map ...`, as older versions write it, and not `snat ip to ...`. */
function startsAddress({ cursor }: Context): boolean {
  return !['to', 'addr', 'prefix', 'interval'].some((word) => cursor.is(word, 1));
}

function readTarget(context: Context, nat: Nat, addressed: boolean): void {
  const { cursor } = context;
  if (!addressed) {
    cursor.expect(':');
    nat.port = readPort(context);
    return;
  }
  if (cursor.accept(':')) {
    nat.port = readPort(context);
    return;
  }
  nat.address = readAddress(context, nat);
  if (cursor.accept(':')) nat.port = readPort(context);
}

function readAddress(context: Context, nat: Nat): Expression {
  const { cursor, links } = context;
  const known: Typed | undefined =
    nat.family === undefined ? undefined : typed(nat.family === 'ip' ? 'ipv4_addr' : 'ipv6_addr');
  if (!startsExpression(cursor.peek(), known ?? typed('ipv4_addr'))) {
    const type = known ?? addressType(context);
    nat.family = type.type === 'ipv4_addr' ? 'ip' : 'ip6';
    return readConstant(context, type);
  }
  const key = readExpression(context);
  if (!cursor.accept('map')) return key;
  const map = readSetUse(context, typesOf(key), { kind: 'address', type: known });
  links.later(context.table, () => {
    const data = map.kind === 'set reference' ? map.set.data : undefined;
    const types = data?.kind === 'values' ? data.types.length : 0;
    const parts = map.kind === 'anonymous set' && map.elements.some((element) => element.data?.kind === 'concat');
    nat.addressAndPort = types > 1 || parts;
    if (map.kind === 'set reference' && data?.kind !== 'values') {
      refuseAt('RULESET_INVALID', `'${map.name}' is not a map of addresses`, map.at);
    }
  });
  return { kind: 'map', key, map, at: cursor.since(key.at) };
}

/** A port, a range of ports, or what a map has. */
function readPort(context: Context): Expression {
  const { cursor } = context;
  const type = typed('inet_service');
  if (!startsExpression(cursor.peek(), type)) return readConstant(context, type);
  const key = readExpression(context);
  if (!cursor.accept('map')) return key;
  const map = readSetUse(context, typesOf(key), { kind: 'values', types: [type], interval: true });
  return { kind: 'map', key, map, at: cursor.since(key.at) };
}

function readFlags({ cursor }: Context, nat: Nat): void {
  if (!FLAGS.some((flag) => cursor.is(flag))) return;
  do {
    const flag = cursor.take();
    if (!FLAGS.includes(flag.text)) refuseAt('RULESET_SYNTAX', `'${flag.text}' is not a flag of NAT`, flag.at);
    nat.flags.push(flag.text as Nat['flags'][number]);
  } while (cursor.accept(','));
}
