// Which functions does rule code call: the engine's (assembly/rules/, assembly/trace.ts), and those that every module has?
import { L3, PacketFlag } from '../../assembly/vocabulary.ts';
import { COUNTER, PACKET, WORLD } from '../engine/layout.ts';
import { type Action, type Program, type Test, valuesOf } from './expression.ts';
import { Code, type FunctionType, I32, I64, type ModuleBuilder } from './wasm.ts';

/** Locals of the parameters that every function of rules has: packet and world. */
export const P = 0;
export const W = 1;

function engineType(parameters: number, result: boolean): FunctionType {
  return { parameters: new Array<typeof I32>(parameters).fill(I32), ...(result && { result: I32 }) };
}

/** Functions of the engine that rules call (assembly/rules/, assembly/trace.ts). */
const ENGINE_FUNCTIONS: Readonly<Record<string, FunctionType>> = {
  rule_route_types: engineType(4, true),
  rule_connbytes: { parameters: [I32, I32, I32, I32, I64, I64], result: I32 },
  rule_chance: engineType(3, true),
  rule_connlabel: engineType(4, true),
  rule_connlimit: engineType(6, true),
  rule_hashlimit: engineType(3, true),
  rule_helper: engineType(3, true),
  rule_ip_set: engineType(5, true),
  rule_limit: engineType(5, true),
  rule_recent: engineType(6, true),
  rule_log: engineType(3, false),
  rule_nat: engineType(3, true),
  rule_nth: engineType(3, true),
  rule_owner: engineType(9, true),
  rule_allowance: engineType(3, true),
  rule_rpfilter: engineType(3, true),
  rule_set_ct_mark: engineType(3, false),
  rule_lower_mss: engineType(3, false),
  rule_set_mss: engineType(3, false),
  rule_save_mark: engineType(3, false),
  rule_restore_mark: engineType(3, false),
  rule_sctp_chunks: engineType(4, true),
  rule_tcp_option: engineType(2, true),
  rule_tcp_mss: engineType(1, true),
  rule_add: { parameters: [I32, I32, I32, I32, I64, I32], result: I32 },
  rule_ct_counter: { parameters: [I32, I32, I32, I32], result: I64 },
  rule_fib_oif: engineType(4, true),
  rule_fib_type: engineType(4, true),
  rule_give_helper: engineType(4, false),
  rule_look_up: engineType(3, true),
  rule_look_up_live: engineType(4, true),
  rule_nat_range: engineType(3, true),
  rule_next_number: engineType(3, true),
  rule_random: engineType(3, true),
  rule_quota: { parameters: [I32, I32, I64], result: I32 },
  rule_remove: engineType(3, false),
  rule_tokens: { parameters: [I32, I32, I64, I64, I64], result: I32 },
  rule_candidates: engineType(3, true),
  rule_more_candidates: engineType(2, true),
};
const TRACE_FUNCTION = engineType(4, false);

export type EngineFunction =
  | 'rule_route_types'
  | 'rule_connbytes'
  | 'rule_chance'
  | 'rule_connlabel'
  | 'rule_connlimit'
  | 'rule_hashlimit'
  | 'rule_helper'
  | 'rule_ip_set'
  | 'rule_limit'
  | 'rule_recent'
  | 'rule_log'
  | 'rule_nat'
  | 'rule_nth'
  | 'rule_owner'
  | 'rule_allowance'
  | 'rule_rpfilter'
  | 'rule_set_ct_mark'
  | 'rule_lower_mss'
  | 'rule_set_mss'
  | 'rule_save_mark'
  | 'rule_restore_mark'
  | 'rule_sctp_chunks'
  | 'rule_tcp_option'
  | 'rule_tcp_mss'
  | 'rule_add'
  | 'rule_ct_counter'
  | 'rule_fib_oif'
  | 'rule_fib_type'
  | 'rule_give_helper'
  | 'rule_look_up'
  | 'rule_look_up_live'
  | 'rule_nat_range'
  | 'rule_next_number'
  | 'rule_quota'
  | 'rule_random'
  | 'rule_remove'
  | 'rule_tokens'
  | 'rule_candidates'
  | 'rule_more_candidates';

const BY_TEST: ReadonlyMap<string, EngineFunction> = new Map([
  ['fib', 'rule_route_types'],
  ['ct bytes', 'rule_connbytes'],
  ['ct label', 'rule_connlabel'],
  ['ct helper', 'rule_helper'],
  ['ip set', 'rule_ip_set'],
  ['limit', 'rule_limit'],
  ['recent', 'rule_recent'],
  ['connlimit', 'rule_connlimit'],
  ['hashlimit', 'rule_hashlimit'],
  ['owner', 'rule_owner'],
  ['allowance', 'rule_allowance'],
  ['rpfilter', 'rule_rpfilter'],
  ['nth', 'rule_nth'],
  ['chance', 'rule_chance'],
  ['sctp chunks', 'rule_sctp_chunks'],
  ['tcp option', 'rule_tcp_option'],
  ['tcp mss', 'rule_tcp_mss'],
  ['add', 'rule_add'],
  ['tokens', 'rule_tokens'],
  ['quota', 'rule_quota'],
]);
const BY_ACTION: ReadonlyMap<string, EngineFunction> = new Map([
  ['log', 'rule_log'],
  ['nat', 'rule_nat'],
  ['set ct mark', 'rule_set_ct_mark'],
  ['set mss', 'rule_set_mss'],
  ['lower mss', 'rule_lower_mss'],
  ['save mark', 'rule_save_mark'],
  ['restore mark', 'rule_restore_mark'],
  ['remove', 'rule_remove'],
  ['give helper', 'rule_give_helper'],
  ['set ct label', 'rule_connlabel'],
]);
const BY_VALUE: ReadonlyMap<string, EngineFunction> = new Map([
  ['ct counter', 'rule_ct_counter'],
  ['fib type', 'rule_fib_type'],
  ['fib oif', 'rule_fib_oif'],
  ['fib check', 'rule_fib_oif'],
  ['numgen', 'rule_next_number'],
  ['random', 'rule_random'],
]);

/** What a step calls by something else than its name. */
function calledBy(step: Test | Action, { sets }: Program): EngineFunction | undefined {
  if (step.op === 'in' || step.op === 'look up') return sets[step.set]?.live ? 'rule_look_up_live' : 'rule_look_up';
  if (step.op === 'nat' && step.to) return 'rule_nat_range';
  if (step.op === 'assign' && step.target === 'ct mark') return 'rule_set_ct_mark';
  return BY_TEST.get(step.op) ?? BY_ACTION.get(step.op);
}

/**
 * Imports the functions of the engine that this program calls, and nothing else; returns their indices. `more` are those
 * that the form of the code asks for.
 */
export function importFunctions(
  module: ModuleBuilder,
  program: Program,
  more: readonly string[],
): ReadonlyMap<string, number> {
  const used = new Set<string | undefined>();
  for (const chain of program.chains) {
    for (const rule of chain.rules) {
      for (const test of rule.tests) used.add(calledBy(test, program));
      for (const step of rule.actions) used.add(calledBy(step, program));
      for (const { op } of valuesOf(rule)) used.add(BY_VALUE.get(op));
    }
  }
  for (const name of more) used.add(name);
  const indices = new Map<string, number>();
  for (const name of used) {
    if (name !== undefined) indices.set(name, module.import(name, ENGINE_FUNCTIONS[name] ?? TRACE_FUNCTION));
  }
  return indices;
}

const COUNTER_TYPE: FunctionType = { parameters: [I32, I32, I32] };
const PACKET_TYPE: FunctionType = { parameters: [I32], result: I32 };

/** Where the fragment offset lies in an IPv4 header, its bits, and the offset of one unit, loaded in wire order. */
const IPV4_FRAGMENT_OFFSET = 6;
const FRAGMENT_OFFSET_BITS = 0xff1f;
const FRAGMENT_OFFSET_ONE = 0x0100;

/** Indices of functions that every module has. What rules rarely need stays out of the code that packets walk past. */
export interface Helpers {
  /** (packet, world, rule): counts one packet and its IP length in bytes (ADD_COUNTER with skb->len). */
  count: number;
  /** (packet) -> 1 if it is no later fragment: its transport header is then too short for the match that asks. */
  whole: number;
  /** As `whole`, but also 1 for a later fragment at offset 8, which tcp_mt drops (RFC 1858, section 4.2). */
  evil: number;
}

export function defineHelpers(module: ModuleBuilder): Helpers {
  const helpers = { count: module.reserve(), whole: module.reserve(), evil: module.reserve() };
  const rule = 2;
  const counter = 3;
  const count = new Code();
  count.get(W).memory('i32.load', WORLD.counters).get(rule).i32(COUNTER.size).op('i32.mul', 'i32.add').tee(counter);
  count.get(counter).memory('i64.load', COUNTER.packets).i64(1n).op('i64.add').memory('i64.store', COUNTER.packets);
  count.get(counter).get(counter).memory('i64.load', COUNTER.bytes).get(P).memory('i64.load32_u', PACKET.ip_len);
  count.op('i64.add').memory('i64.store', COUNTER.bytes);
  module.define(helpers.count, COUNTER_TYPE, [I32], count, 'count');

  const later = (code: Code): Code =>
    code.get(P).memory('i32.load16_u', PACKET.flags).i32(PacketFlag.LATER_FRAGMENT).op('i32.and');
  module.define(helpers.whole, PACKET_TYPE, [], later(new Code()).op('i32.eqz'), 'whole');

  // IPv6 counts the offset in bytes (ipv6_find_hdr), so that none is 1.
  const evil = later(new Code()).op('i32.eqz').get(P).memory('i32.load8_u', PACKET.l3num).i32(L3.IPV4).op('i32.eq');
  evil.get(P).memory('i32.load', PACKET.l3).memory('i32.load16_u', IPV4_FRAGMENT_OFFSET).i32(FRAGMENT_OFFSET_BITS);
  evil.op('i32.and').i32(FRAGMENT_OFFSET_ONE).op('i32.eq', 'i32.and', 'i32.or');
  module.define(helpers.evil, PACKET_TYPE, [], evil, 'evil');
  return helpers;
}

/** Functions that rule code may call, by their indices in the module. */
export interface RuleFunctions {
  /** Those of the engine that the program uses, by name. */
  engine: ReadonlyMap<string, number>;
  helpers: Helpers;
  /** By index into Program.chains. */
  chains: readonly number[];
  /** Offsets of IP sets from World.dispatch, by index into Program.ipSets. */
  ipSets: readonly number[];
}
