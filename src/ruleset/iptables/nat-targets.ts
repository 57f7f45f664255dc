// What do the targets of the nat table say: SNAT, DNAT, MASQUERADE, REDIRECT, NETMAP?
import { L3, NatFlag, NatKind } from '../../../assembly/vocabulary.ts';
import type { NatBinding } from '../ast.ts';
import { firstValue, type OptionSpec, type Use } from './options.ts';
import type { TargetExtension } from './targets.ts';
import { invalid, parseAddressRange, parseNetwork, parsePort, type Value } from './values.ts';

const RANDOM: OptionSpec = { names: ['random'], values: 0 };
const RANDOM_FULLY: OptionSpec = { names: ['random-fully'], values: 0 };
const PERSISTENT: OptionSpec = { names: ['persistent'], values: 0 };

/** `port[-port[/base]]`; only DNAT knows the base, the port that the first one stands for. */
function parsePortRange(value: Value, text: string, shifts: boolean): NonNullable<NatBinding['ports']> {
  const [, low = '', high, base] = /^([^-/]+)(?:-([^-/]+)(?:\/([^-/]+))?)?$/.exec(text) ?? [];
  if (low === '' || (base !== undefined && !shifts)) invalid({ text, at: value.at }, 'not a port or port range');
  const first = parsePort(value, low);
  const last = high === undefined ? first : parsePort(value, high);
  if (last < first) invalid({ text, at: value.at }, 'the port range ends before it starts');
  return {
    low: first,
    high: last,
    ...(base !== undefined && { base: parsePort(value, base) }),
  };
}

/** `[address[-address]][:ports]`; addresses of IPv6 stand in brackets if ports follow. */
function parseTarget(use: Use, value: Value, shifts: boolean): Pick<NatBinding, 'addresses' | 'ports'> {
  let { text } = value;
  let ports: NatBinding['ports'];
  const colon =
    use.family === L3.IPV4 ? text.indexOf(':') : /^(\[[^\]]*\])?:(?!:)/.exec(text) ? text.lastIndexOf(':') : -1;
  if (colon >= 0) {
    ports = parsePortRange(value, text.slice(colon + 1), shifts);
    text = text.slice(0, colon);
  }
  const inner = use.family === L3.IPV6 ? text.replace(/^\[(.*)\]$/, '$1') : text;
  if (inner === '' && !ports) invalid(value, 'neither an address nor a port');
  const range = inner === '' ? undefined : parseAddressRange({ text: inner, at: value.at }, use.family, false);
  return {
    ...(range && { addresses: { low: range.low, high: range.high } }),
    ...(ports && { ports }),
  };
}

function binding(use: Use, kind: NatKind, where: Pick<NatBinding, 'addresses' | 'ports'>): NatBinding {
  const flags =
    (where.addresses ? NatFlag.MAP_IPS : 0) |
    (where.ports ? NatFlag.PROTO_SPECIFIED : 0) |
    (where.ports?.base === undefined ? 0 : NatFlag.PROTO_OFFSET) |
    (use.has('random') ? NatFlag.PROTO_RANDOM : 0) |
    (use.has('random-fully') ? NatFlag.PROTO_RANDOM_FULLY : 0) |
    (use.has('persistent') ? NatFlag.PERSISTENT : 0);
  return { kind, flags, ...where };
}

function toPorts(use: Use): Pick<NatBinding, 'ports'> {
  const value = use.value('to-ports');
  return value ? { ports: parsePortRange(value, value.text, false) } : {};
}

export const NAT_TARGETS: Readonly<Record<string, TargetExtension>> = {
  SNAT: {
    options: [{ names: ['to-source'], values: 1 }, RANDOM, RANDOM_FULLY, PERSISTENT],
    build(use) {
      const where = parseTarget(use, firstValue(use.one('to-source')), false);
      return { kind: 'nat', nat: binding(use, NatKind.SNAT, where) };
    },
  },
  DNAT: {
    options: [{ names: ['to-destination'], values: 1 }, RANDOM, PERSISTENT],
    build(use) {
      const where = parseTarget(use, firstValue(use.one('to-destination')), true);
      return { kind: 'nat', nat: binding(use, NatKind.DNAT, where) };
    },
  },
  MASQUERADE: {
    options: [{ names: ['to-ports'], values: 1 }, RANDOM, RANDOM_FULLY],
    build: (use) => ({
      kind: 'nat',
      nat: binding(use, NatKind.MASQUERADE, toPorts(use)),
    }),
  },
  REDIRECT: {
    options: [{ names: ['to-ports'], values: 1 }, RANDOM],
    build: (use) => ({
      kind: 'nat',
      nat: binding(use, NatKind.REDIRECT, toPorts(use)),
    }),
  },
  NETMAP: {
    options: [{ names: ['to'], values: 1 }],
    build(use) {
      const { address, mask } = parseNetwork(firstValue(use.one('to')), use.family, false);
      const addresses = {
        low: address,
        high: address.map((byte, index) => byte | (~(mask[index] ?? 0) & 0xff)),
      };
      return { kind: 'nat', nat: binding(use, NatKind.NETMAP, { addresses }) };
    },
  },
};
