// What do nft's NAT statements bind a flow to?
import { L3, NatFlag, NatKind } from '../../../assembly/vocabulary.ts';
import type { NatBinding } from '../ast.ts';
import type { Family } from '../source.ts';
import type { Constant, Expression, Nat } from './ast.ts';
import { boundsOf } from './lower-set.ts';

const KINDS = {
  snat: NatKind.SNAT,
  dnat: NatKind.DNAT,
  masquerade: NatKind.MASQUERADE,
  redirect: NatKind.REDIRECT,
} as const;

const FLAGS = {
  random: NatFlag.PROTO_RANDOM,
  'fully-random': NatFlag.PROTO_RANDOM_FULLY,
  persistent: NatFlag.PERSISTENT,
  netmap: 0,
} as const;

function isConstant(expression: Expression): expression is Constant {
  return ['value', 'prefix', 'range'].includes(expression.kind);
}

/** The binding with what is constant of it, and which parts are not. */
export function lowerNat(nat: Nat, family: Family): { binding: NatBinding; computed: boolean } {
  const { address, port } = nat;
  const netmap = nat.flags.includes('netmap');
  const flags =
    nat.flags.reduce((bits, flag) => bits | FLAGS[flag], 0) |
    (address ? NatFlag.MAP_IPS : 0) |
    (port || nat.addressAndPort ? NatFlag.PROTO_SPECIFIED : 0);
  const binding: NatBinding = { kind: netmap ? NatKind.NETMAP : KINDS[nat.nat], flags };
  if (address && isConstant(address)) {
    const length = family === L3.IPV4 ? 4 : 16;
    const [low, high] = boundsOf(address, length * 8);
    binding.addresses = { low: bytesOf(low, length), high: bytesOf(high, length) };
  }
  if (port && isConstant(port)) {
    const [low, high] = boundsOf(port, 16);
    binding.ports = { low: Number(low), high: Number(high) };
  }
  const computed = (address !== undefined && !isConstant(address)) || (port !== undefined && !isConstant(port));
  return { binding, computed };
}

function bytesOf(number: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => Number((number >> BigInt((length - 1 - index) * 8)) & 0xffn));
}
