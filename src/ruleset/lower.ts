// How does a checked tree become an expression list?
//
// The order of tests is the kernel's: the header of the rule first (ip_packet_match: source, destination, interfaces,
// protocol, fragment), then the extensions in the order of the rule. It matters where a test drops or keeps state.
import { Hook, IpSetAnswer, Proto } from '../../assembly/vocabulary.ts';
import { IP_SET_WORDS } from '../engine/layout.ts';
import type { TextPosition } from '../errors.ts';
import {
  type AddressTest,
  type Chain,
  type ConntrackTest,
  type Header,
  type InvertedRange,
  isNft,
  type Match,
  type Rule,
  type Ruleset,
  type Table,
  type TrackingTemplate,
} from './ast.ts';
import { limitCost } from './check.ts';
import {
  type Action,
  type AddressField,
  CHANCE_STATE,
  type ChainProgram,
  LIMIT_STATE,
  NTH_STATE,
  type NumberField,
  type PacketField,
  type Program,
  QUOTA_STATE,
  type RuleProgram,
  SCTP_TEST,
  type Test,
} from './expression.ts';
import { layOutKeyed } from './keyed.ts';
import { lowerNft } from './nft/lower.ts';
import { positionOf } from './nft/text.ts';
import { type Family, refuse } from './source.ts';

/** Priorities of the tables at their hooks (enum nf_ip_hook_priorities). */
const PRIORITIES: Readonly<Record<Exclude<Table['name'], 'nat'>, number>> = {
  raw: -300,
  mangle: -150,
  filter: 0,
  security: 50,
};
const NAT_DESTINATION_PRIORITY = -100;
const NAT_SOURCE_PRIORITY = 100;

function priorityOf(table: Table['name'], hook: Hook): number {
  if (table !== 'nat') return PRIORITIES[table];
  return hook === Hook.PREROUTING || hook === Hook.OUTPUT ? NAT_DESTINATION_PRIORITY : NAT_SOURCE_PRIORITY;
}

/** Bytes of transport header that the extensions ask for (sizeof of the kernel's header structs). */
const TCP_HEADER = 20;
const UDP_HEADER = 8;
const ICMP_HEADER = 8;
const SCTP_HEADER = 12;
const PORTS = 4;
const PORT_MAX = 65535;
/** Room for a key of an IP set, in eights. */
const KEY_BYTES = Math.ceil(IP_SET_WORDS / 2) * 8;
/** Packet.template is a byte, 0 for none. */
const TEMPLATES_MAX = 255;

export function lowerRuleset(ruleset: Ruleset): Program {
  const lowering = new Lowering(ruleset);
  for (const source of ruleset.sources) {
    if (!isNft(source)) for (const table of source.tables) lowering.table(table);
  }
  lowerNft(ruleset.sources.filter(isNft), {
    program: lowering.program,
    pattern: (text) => lowering.pattern(text),
    template: (template, at) => lowering.template(template, positionOf(at)),
  });
  return lowering.program;
}

class Lowering {
  readonly program: Program;
  private readonly patterns = new Map<string, number>();
  /** Of the table in work. */
  private family: Family = 2;
  /** Where keys of IP sets are put together, in World.rule_state. */
  private keyScratch: number | undefined;

  constructor(ruleset: Ruleset) {
    this.program = {
      chains: [],
      patterns: [],
      stateBytes: 0,
      limits: [],
      nths: [],
      quotas: [],
      chances: [],
      chunkTests: [],
      ipSets: [],
      ...layOutKeyed(ruleset),
      templates: [],
      nats: [],
      sets: [],
      states: [],
      shared: [],
      reached: new Set(),
    };
  }

  table(table: Table): void {
    this.family = table.family;
    const reached = table.chains.filter((chain) => chain.hooks !== 0);
    const numbers = new Map(reached.map((chain, index) => [chain.name, this.program.chains.length + index]));
    // Chains are appended as one block, so that jumps know their numbers before the chains are lowered.
    this.program.chains.push(...reached.map((chain) => this.chain(table, chain, numbers)));
  }

  private chain(table: Table, chain: Chain, numbers: Map<string, number>): ChainProgram {
    const rules = chain.rules.filter((rule) => rule.reachable).map((rule) => this.rule(rule, numbers));
    const program: ChainProgram = { family: table.family, table: table.name, name: chain.name, rules };
    if (chain.hook !== undefined && chain.policy) {
      const policy = chain.policy.verdict === 'ACCEPT' ? 'accept' : 'drop';
      program.base = {
        hook: chain.hook,
        priority: priorityOf(table.name, chain.hook),
        policy,
        index: chain.policy.index,
        type: table.name === 'nat' ? 'nat' : 'filter',
        decides: table.name === 'filter',
      };
    }
    return program;
  }

  private rule(rule: Rule, numbers: Map<string, number>): RuleProgram {
    const protocol = rule.header.protocol;
    const transport = protocol && !protocol.invert ? protocol.number : 0;
    const tests = this.header(rule.header);
    for (const match of rule.matches) tests.push(...this.match(match, rule, transport));
    return { index: rule.index, tests, actions: [{ op: 'counter' }, ...this.target(rule, numbers)] };
  }

  private header(header: Header): Test[] {
    const tests: Test[] = [];
    if (header.source) tests.push(address('saddr', header.source));
    if (header.destination) tests.push(address('daddr', header.destination));
    if (header.input) tests.push(...this.interface('iif', header.input));
    if (header.output) tests.push(...this.interface('oif', header.output));
    if (header.protocol) {
      const { number, invert } = header.protocol;
      tests.push({ op: 'cmp', field: 'l4proto', mask: 0xff, value: number, invert });
    }
    if (header.fragment) {
      tests.push({ op: 'cmp', field: 'later fragment', mask: 1, value: 1, invert: header.fragment.invert });
    }
    return tests;
  }

  private interface(field: 'iif' | 'oif', { pattern, invert }: { pattern: string; invert: boolean }): Test[] {
    if (pattern === '+' && !invert) return [];
    return [{ op: 'ifname', field, pattern: this.pattern(pattern), invert }];
  }

  pattern(text: string): number {
    let number = this.patterns.get(text);
    if (number === undefined) {
      number = this.program.patterns.length;
      this.patterns.set(text, number);
      this.program.patterns.push(text);
    }
    return number;
  }

  private match(match: Match, rule: Rule, protocol: number): Test[] {
    switch (match.kind) {
      case 'comment':
        return [];
      case 'tcp': {
        const tests: Test[] = [{ op: 'guard', need: TCP_HEADER, evil: true }, ...ports(match)];
        if (match.flags) {
          const { mask, compare, invert } = match.flags;
          tests.push({ op: 'cmp', field: 'tcp flags', mask, value: compare, invert });
        }
        if (match.option) tests.push({ op: 'tcp option', option: match.option.number, invert: match.option.invert });
        return tests;
      }
      case 'udp':
        return [{ op: 'guard', need: UDP_HEADER, evil: false }, ...ports(match)];
      case 'sctp': {
        const tests: Test[] = [{ op: 'guard', need: SCTP_HEADER, evil: false }];
        tests.push(...portRange('th sport', match.sport), ...portRange('th dport', match.dport));
        if (match.chunks) {
          const state = this.state(SCTP_TEST.size);
          this.program.chunkTests.push({ state, test: match.chunks });
          const { match: how, invert } = match.chunks;
          tests.push({ op: 'sctp chunks', match: how, state, test: match.chunks, invert });
        }
        return tests;
      }
      case 'multiport': {
        const decoded = protocol !== Proto.DCCP;
        const source: PacketField = decoded ? 'sport' : 'th sport';
        const destination: PacketField = decoded ? 'dport' : 'th dport';
        const fields = { source: [source], destination: [destination], either: [source, destination] }[match.side];
        const list = match.ports.map(({ low, high }): [number, number] => [low, high]);
        return [
          { op: 'guard', need: PORTS, evil: false },
          { op: 'lookup', fields, ranges: list, invert: match.invert },
        ];
      }
      case 'icmp':
      case 'icmp6':
        return [{ op: 'guard', need: ICMP_HEADER, evil: false }, ...icmp(match)];
      case 'conntrack':
        return conntrack(match.test);
      case 'mark':
        return [{ op: 'cmp', field: 'mark', mask: match.mask, value: match.value, invert: match.invert }];
      case 'connmark':
        return [
          { op: 'cmp', field: 'ct mark', mask: match.mask, value: match.value, invert: match.invert, absent: false },
        ];
      case 'connlabel':
        return [{ op: 'ct label', bit: match.bit, set: match.set, invert: match.invert }];
      case 'connbytes': {
        const { carried, by, low, high, invert } = match;
        return [{ op: 'ct bytes', carried, by, low, high, invert }];
      }
      case 'set':
        return [this.ipSet(match)];
      case 'helper':
        return [{ op: 'ct helper', helpers: match.helpers, invert: match.invert }];
      case 'addrtype': {
        const { source, destination, limit } = match.test;
        const tests: Test[] = [];
        const on = limit && ({ interface: limit === 'in' ? 'iif' : 'oif' } as const);
        if (source) tests.push({ op: 'fib', field: 'saddr', ...source, ...on });
        if (destination) tests.push({ op: 'fib', field: 'daddr', ...destination, ...on });
        return tests;
      }
      case 'iprange': {
        const tests: Test[] = [];
        if (match.source) tests.push({ op: 'address range', field: 'saddr', ...match.source });
        if (match.destination) tests.push({ op: 'address range', field: 'daddr', ...match.destination });
        return tests;
      }
      case 'mac':
        return [{ op: 'ether saddr', value: match.address, invert: match.invert }];
      case 'pkttype':
        return [{ op: 'cmp', field: 'pkttype', mask: 0xff, value: match.type, invert: match.invert }];
      case 'tos':
        return [{ op: 'cmp', field: 'tos', mask: match.mask, value: match.value, invert: match.invert }];
      case 'length':
        return range('length', match.range);
      case 'ttl':
        return range('ttl', match.range);
      case 'tcpmss':
        return [
          { op: 'guard', need: TCP_HEADER, evil: false },
          { op: 'tcp mss', ...match.range },
        ];
      case 'recent': {
        const list = this.program.recents.find(({ name }) => name === match.test.list)!;
        return [{ op: 'recent', list, test: match.test }];
      }
      case 'hashlimit': {
        const { name, invert } = match.test;
        const table = this.program.hashlimits.find((each) => each.test.name === name && each.family === this.family)!;
        return [{ op: 'hashlimit', table, invert }];
      }
      case 'connlimit': {
        const { at, masks } = this.program.connlimits!;
        const { most, side, bits, invert } = match;
        const mask = masks.find((each) => each.match === match && each.rule === rule.index)!.at;
        return [{ op: 'connlimit', table: at, mask, field: side === 'source' ? 'saddr' : 'daddr', bits, most, invert }];
      }
      case 'limit': {
        const limit = limitCost(match.average, match.burst) ?? { cost: 0, cap: 0 };
        const state = this.state(LIMIT_STATE.size);
        this.program.limits.push({ state, cap: limit.cap, rule: rule.index });
        return [{ op: 'limit', state, ...limit }];
      }
      case 'physdev':
        // No packet comes by a port of a bridge: what is asked for is not so.
        if (match.asked.every(({ invert }) => invert)) return [];
        return range('length', { low: 1, high: 0, invert: false });
      case 'owner': {
        const { asked, inverted, uid, gid } = match;
        return [{ op: 'owner', asked, inverted, uid, gid }];
      }
      case 'rpfilter':
        return [{ op: 'rpfilter', flags: match.flags, invert: match.invert }];
      case 'nth': {
        const { last, start, invert } = match;
        const state = this.state(NTH_STATE.size);
        this.program.nths.push({ state, start, rule: rule.index });
        return [{ op: 'nth', state, last, invert }];
      }
      case 'quota': {
        const state = this.state(QUOTA_STATE.size);
        this.program.quotas.push({ state, bytes: match.bytes, rule: rule.index });
        return [{ op: 'allowance', state, invert: match.invert }];
      }
      case 'chance': {
        const state = this.state(CHANCE_STATE.size);
        this.program.chances.push(state);
        return [{ op: 'chance', state, below: match.below, invert: match.invert }];
      }
    }
  }

  /** Takes so many bytes of World.rule_state; returns their offset. */
  private state(size: number): number {
    const offset = this.program.stateBytes;
    this.program.stateBytes += size;
    return offset;
  }

  private ipSet({ sets, sources, nomatch, invert }: Extract<Match, { kind: 'set' }>): Test {
    const { program } = this;
    this.keyScratch ??= this.state(KEY_BYTES);
    const asked = sets.map((set) => {
      const known = program.ipSets.indexOf(set);
      // --return-nomatch says nothing about sets that can have no exceptions (ip_set_test(), IPSET_TYPE_NOMATCH).
      const exceptions = nomatch && set.parts.includes('net');
      return {
        set: known >= 0 ? known : program.ipSets.push(set) - 1,
        answer: exceptions ? IpSetAnswer.NOMATCH : IpSetAnswer.FOUND,
      };
    });
    return { op: 'ip set', sets: asked, sources, scratch: this.keyScratch, invert };
  }

  /** The template's index; equal ones share it. */
  template(template: TrackingTemplate, at: TextPosition): number {
    const { templates } = this.program;
    const text = JSON.stringify(template);
    const known = templates.findIndex((each) => JSON.stringify(each) === text);
    if (known >= 0) return known;
    if (templates.length === TEMPLATES_MAX) {
      refuse('RULESET_UNSUPPORTED', `more than ${TEMPLATES_MAX} different uses of CT`, at);
    }
    return templates.push(template) - 1;
  }

  private target(rule: Rule, numbers: Map<string, number>): Action[] {
    const { target } = rule;
    switch (target.kind) {
      case 'none':
      case 'checksum':
        return [];
      case 'mss':
        return [{ op: 'set mss', mss: target.mss }];
      case 'verdict':
        return [{ op: 'verdict', verdict: VERDICTS[target.verdict] }];
      case 'jump':
        return [{ op: target.goto ? 'goto' : 'jump', chain: numbers.get(target.chain) ?? 0 }];
      case 'reject':
        return [{ op: 'reject', with: target.with }];
      case 'log':
        return [{ op: 'log', log: target.log }];
      case 'mark':
        return [{ op: 'set mark', mask: target.mask, value: target.value }];
      case 'connmark': {
        const { ctmask, nfmask } = target;
        if (target.mode === 'set') return [{ op: 'set ct mark', mask: ctmask, value: target.value }];
        return [{ op: target.mode === 'save' ? 'save mark' : 'restore mark', ctmask, nfmask }];
      }
      case 'notrack':
        return [{ op: 'notrack' }];
      case 'template':
        return [{ op: 'template', template: this.template(target.template, target.at) }];
      case 'nat':
        return [
          {
            op: 'nat',
            nat:
              this.program.nats.push({
                binding: target.nat,
                rule: rule.index,
              }) - 1,
          },
        ];
    }
  }
}

const VERDICTS = { ACCEPT: 'accept', DROP: 'drop', QUEUE: 'queue', RETURN: 'return' } as const;

function address(field: AddressField, { mask, address: value, invert }: AddressTest): Test {
  return { op: 'address', field, mask, value, invert };
}

function range(field: PacketField, test: InvertedRange): Test[] {
  return [{ op: 'range', field, low: test.low, high: test.high, invert: test.invert }];
}

function ports(match: { sport?: InvertedRange; dport?: InvertedRange }): Test[] {
  return [...portRange('sport', match.sport), ...portRange('dport', match.dport)];
}

/** A range of ports; one that is inverted and reaches an end is the other side of it. */
function portRange(field: 'sport' | 'dport' | 'th sport' | 'th dport', test: InvertedRange | undefined): Test[] {
  if (!test) return [];
  const { low, high, invert } = test;
  if (low === 0 && high === PORT_MAX) return invert ? range(field, { low: 1, high: 0, invert: false }) : [];
  if (invert && low === 0) return range(field, { low: high + 1, high: PORT_MAX, invert: false });
  if (invert && high === PORT_MAX) return range(field, { low: 0, high: low - 1, invert: false });
  return range(field, test);
}

/** icmp_type_code_match and icmp6_type_code_match: type 255 is "any" for IPv4 only. */
function icmp(match: Extract<Match, { kind: 'icmp' | 'icmp6' }>): Test[] {
  const { type, codes, invert } = match;
  if (match.kind === 'icmp' && type === 255) {
    return invert ? [{ op: 'range', field: 'icmp type', low: 1, high: 0, invert: false }] : [];
  }
  if (codes.low === 0 && codes.high === 255)
    return [{ op: 'cmp', field: 'icmp type', mask: 0xff, value: type, invert }];
  // Type and code lie side by side, so that both are one number.
  if (codes.low === codes.high) {
    return [{ op: 'cmp', field: 'icmp type and code', mask: 0xffff, value: (type << 8) | codes.low, invert }];
  }
  const low = (type << 8) | codes.low;
  return [{ op: 'range', field: 'icmp type and code', low, high: (type << 8) | codes.high, invert }];
}

/**
 * conntrack_mt of net/netfilter/xt_conntrack.c. Without an entry only the state is looked at: if it is asked for and
 * fits, the whole match is true whatever else it asks, and if it is not asked for, the match is false.
 */
function conntrack(test: ConntrackTest): Test[] {
  const absent = test.state !== undefined;
  const tests: Test[] = [];
  const number = (field: NumberField, wanted: InvertedRange | undefined): void => {
    if (wanted) tests.push({ op: 'range', field, low: wanted.low, high: wanted.high, invert: wanted.invert, absent });
  };
  const tuple = (field: AddressField, wanted: AddressTest | undefined): void => {
    if (!wanted) return;
    const { mask, address: value, invert } = wanted;
    tests.push({ op: 'address', field, mask, value, invert, absent });
  };
  if (test.state) tests.push({ op: 'ct state', ...test.state });
  if (test.direction !== undefined) {
    tests.push({ op: 'cmp', field: 'ct direction', mask: 0xff, value: test.direction, invert: false, absent });
  }
  tuple('ct original saddr', test.originalSource);
  tuple('ct original daddr', test.originalDestination);
  tuple('ct reply saddr', test.replySource);
  tuple('ct reply daddr', test.replyDestination);
  if (test.protocol) {
    const { number: value, invert } = test.protocol;
    tests.push({ op: 'cmp', field: 'ct protocol', mask: 0xff, value, invert, absent });
  }
  number('ct original proto-src', test.originalSourcePort);
  number('ct original proto-dst', test.originalDestinationPort);
  number('ct reply proto-src', test.replySourcePort);
  number('ct reply proto-dst', test.replyDestinationPort);
  if (test.status) {
    // Any of the bits: "not none of them".
    const { bits, invert } = test.status;
    tests.push({ op: 'cmp', field: 'ct status', mask: bits, value: 0, invert: !invert, absent });
  }
  number('ct expiration', test.expires);
  return tests;
}
