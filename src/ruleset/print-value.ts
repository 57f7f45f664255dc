// How are nft's expressions printed in an expression list?
import { Carried, CarriedBy } from '../../assembly/vocabulary.ts';
import type { Action, Program, StatePlace, Test, Value, VerdictAction } from './expression.ts';

type OfNft = Extract<
  Test | Action,
  {
    op:
      | 'header'
      | 'ether header'
      | 'connection'
      | 'within'
      | 'in'
      | 'look up'
      | 'add'
      | 'tokens'
      | 'quota'
      | 'count element'
      | 'lower mss'
      | 'assign'
      | 'set ct label'
      | 'give helper'
      | 'remove'
      | 'branch';
  }
>;

export function valueText(value: Value): string {
  switch (value.op) {
    case 'constant':
      return `0x${value.value.toString(16)}`;
    case 'number':
    case 'address':
      return value.field;
    case 'payload':
      return `payload ${value.bits} bits @ ${value.base} header + ${value.offset}`;
    case 'ct state':
      return 'ct state';
    case 'ct counter':
      return `ct ${CarriedBy[value.by]} ${Carried[value.carried]}`.toLowerCase();
    case 'ifname':
      return `${value.field}name`;
    case 'clock':
      return `clock ${value.unit}`;
    case 'fib type':
    case 'fib oif':
      return `fib ${value.field}${value.interface ? ` . ${value.interface}` : ''} ${value.op.slice(4)}`;
    case 'and':
    case 'or':
    case 'xor':
      return `( ${valueText(value.left)} ${{ and: '&', or: '|', xor: '^' }[value.op]} ${valueText(value.right)} )`;
    case 'shl':
    case 'shr':
      return `( ${valueText(value.value)} ${value.op === 'shl' ? '<<' : '>>'} ${value.by} )`;
    case 'data':
      return `reg ${value.register} + ${value.word * 8}`;
    case 'random':
      return `numgen random mod ${value.modulus} offset ${value.offset}`;
    case 'numgen':
      return `numgen inc mod ${value.modulus} offset ${value.offset}`;
  }
}

function keyText(key: readonly Value[]): string {
  return key.map(valueText).join(' . ');
}

function rangeText([low, high]: readonly [bigint, bigint]): string {
  const text = (number: bigint): string => `0x${number.toString(16)}`;
  return low === high ? text(low) : `${text(low)}-${text(high)}`;
}

function placeText(at: StatePlace): string {
  return 'state' in at ? `state ${at.state}` : `reg ${at.register} + ${at.offset}`;
}

/** What one of nft's steps does. */
export function stepText(program: Program, step: OfNft): string {
  const set = 'set' in step ? `set ${program.sets[step.set]?.name}` : '';
  switch (step.op) {
    case 'header':
      return `transport header has ${step.need}b`;
    case 'ether header':
      return 'ether header is there';
    case 'connection':
      return 'ct is there';
    case 'within':
      return `${valueText(step.value)} ${step.invert ? 'not in' : 'in'} { ${step.ranges.map(rangeText).join(', ')} }`;
    case 'in':
      return `lookup ${keyText(step.key)} ${step.invert ? 'not in' : 'in'} ${set}`;
    case 'look up':
      return `lookup ${keyText(step.key)} in ${set} => reg ${step.register}`;
    case 'add':
      return `dynset ${step.renew ? 'update' : 'add'} ${keyText(step.key)} ${set} timeout ${step.timeout} => reg ${step.register}`;
    case 'remove':
      return `dynset delete ${keyText(step.key)} ${set}`;
    case 'tokens':
      return `limit ${step.invert ? 'over ' : ''}${step.rate} ${step.unit} per ${step.period} ns max ${step.max} ${placeText(step.at)}`;
    case 'quota':
      return `quota ${step.over ? 'over ' : ''}${step.quota} ${placeText(step.at)}`;
    case 'count element':
      return `counter reg ${step.register} + ${step.word * 8}`;
    case 'lower mss':
      return `tcp option maxseg size set ${step.mss === 'clamp' ? 'rt mtu' : step.mss}, if there`;
    case 'assign':
      return `${step.target === 'mark' ? 'meta' : 'ct'} set mark with ${valueText(step.value)}`;
    case 'set ct label':
      return `ct set label ${step.bits.join(',')}`;
    case 'give helper':
      return `ct set helper ${step.helper} protocol ${step.protocol}`;
    case 'branch':
      return `immediate reg 0 by reg ${step.register}: ${step.verdicts.map((each) => verdictText(program, each)).join(', ')}`;
  }
}

function verdictText(program: Program, verdict: VerdictAction): string {
  if (verdict === undefined) return 'continue';
  return verdict.op === 'verdict' ? verdict.verdict : `${verdict.op} -> ${program.chains[verdict.chain]?.name}`;
}
