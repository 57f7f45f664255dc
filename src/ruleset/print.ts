// How is a ruleset printed: as iptables-save -c with the counters of the replay, and as its expression list?
import {
  AddrType,
  Carried,
  CarriedBy,
  ChunkMatch,
  CtState,
  HashlimitFlag,
  Helper,
  IpSetAnswer,
  L3,
  NatKind,
  OwnerFlag,
  RejectWith,
  RpfilterFlag,
  TemplateFlag,
} from '../../assembly/vocabulary.ts';
import {
  type Chain,
  type Counters,
  type Item,
  isNft,
  type NatBinding,
  type Ruleset,
  type SourceTree,
  type Table,
  type TrackingTemplate,
} from './ast.ts';
import { type Action, type ChainProgram, isAction, type NatValues, type Program, type Test } from './expression.ts';
import { lowerRuleset } from './lower.ts';
import { printNftCounters } from './nft/print.ts';
import { stepText, valueText } from './print-value.ts';

/**
 * The input with counters, as `iptables-save -c` prints them: `[packets:bytes]` in front of every rule and behind every
 * policy. Lines keep their order and comments; a file of several families or tables is printed as a whole, several
 * sources one after the other.
 * @param counters by rule index
 */
export function printCounters(ruleset: Ruleset, counters: (index: number) => Counters): string {
  const lines: string[] = [];
  for (const source of ruleset.sources) {
    if (isNft(source)) lines.push(printNftCounters(source, counters).replace(/\n$/, ''));
    else for (const item of source.items) lines.push(...itemLines(source, item, counters));
  }
  return lines.map((line) => `${line}\n`).join('');
}

function itemLines(source: SourceTree, item: Item, counters: (index: number) => Counters): string[] {
  switch (item.kind) {
    case 'text':
      return [item.text];
    case 'table':
      // Base chains that the text leaves out have counters too.
      return [`*${item.table.name}`, ...missing(source, item.table).map((chain) => chainLine(chain, counters))];
    case 'chain':
      return [chainLine(item.chain, counters)];
    case 'rules':
      return item.rules.map((rule) => `${bracketed(counters(rule.index))} ${rule.text}`);
  }
}

function missing(source: SourceTree, table: Table): Chain[] {
  const printed = new Set(source.items.flatMap((item) => (item.kind === 'chain' ? [item.chain] : [])));
  return table.chains.filter((chain) => chain.policy && !printed.has(chain));
}

function chainLine(chain: Chain, counters: (index: number) => Counters): string {
  // User chains have no counters.
  if (!chain.policy) return `:${chain.name} - [0:0]`;
  return `:${chain.name} ${chain.policy.verdict} ${bracketed(counters(chain.policy.index))}`;
}

function bracketed({ packets, bytes }: Counters): string {
  return `[${packets}:${bytes}]`;
}

/** The expression list of a ruleset, chain by chain, in the manner of `nft --debug=netlink`. */
export function explain(ruleset: Ruleset): string {
  const program = lowerRuleset(ruleset);
  const lines: string[] = [];
  for (const chain of program.chains) {
    const base = chain.base
      ? ` hook ${HOOKS[chain.base.hook]} priority ${chain.base.priority} policy ${chain.base.policy}`
      : '';
    lines.push(`${familyName(chain)} ${chain.table} ${chain.name}${base}`);
    for (const rule of chain.rules) {
      const entry = ruleset.entries[rule.index];
      const number = (entry && 'nft' in entry ? entry.nft.rule?.number : entry?.rule?.number) ?? rule.index;
      lines.push(`  rule ${number}`);
      for (const step of [...rule.tests, ...rule.actions]) {
        const shown = isAction(step) ? [actionLine(program, step)] : testLines(chain, program, step);
        for (const line of shown) lines.push(`    [ ${line} ]`);
      }
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}

const HOOKS = ['prerouting', 'input', 'forward', 'output', 'postrouting'];

function familyName(chain: ChainProgram): string {
  return chain.family === L3.IPV6 ? 'ip6' : 'ip';
}

/** Where nft would load a field from, for IPv4 and IPv6. */
const LOADS: Readonly<Record<string, readonly [string, string]>> = {
  l4proto: ['meta load l4proto', 'meta load l4proto'],
  sport: ['payload load 2b @ transport header + 0', 'payload load 2b @ transport header + 0'],
  dport: ['payload load 2b @ transport header + 2', 'payload load 2b @ transport header + 2'],
  'th sport': ['payload load 2b @ transport header + 0', 'payload load 2b @ transport header + 0'],
  'th dport': ['payload load 2b @ transport header + 2', 'payload load 2b @ transport header + 2'],
  'tcp flags': ['payload load 1b @ transport header + 13', 'payload load 1b @ transport header + 13'],
  'icmp type': ['payload load 1b @ transport header + 0', 'payload load 1b @ transport header + 0'],
  'icmp type and code': ['payload load 2b @ transport header + 0', 'payload load 2b @ transport header + 0'],
  length: ['meta load len', 'meta load len'],
  ttl: ['payload load 1b @ network header + 8', 'payload load 1b @ network header + 7'],
  tos: ['payload load 1b @ network header + 1', 'payload load 1b @ network header + 0, traffic class'],
  pkttype: ['meta load pkttype', 'meta load pkttype'],
  mark: ['meta load mark', 'meta load mark'],
  'later fragment': ['payload load 2b @ network header + 6, offset > 0', 'exthdr load frag-off, > 0'],
  saddr: ['payload load 4b @ network header + 12', 'payload load 16b @ network header + 8'],
  daddr: ['payload load 4b @ network header + 16', 'payload load 16b @ network header + 24'],
};

function load(chain: ChainProgram, field: string): string {
  const found = LOADS[field];
  if (found) return found[chain.family === L3.IPV6 ? 1 : 0];
  return field.startsWith('ct ') ? `ct load ${field.slice(3)}` : field;
}

function hex(number: number): string {
  return `0x${(number >>> 0).toString(16).padStart(8, '0')}`;
}

function hexBytes(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString('hex')}`;
}

function equal(invert: boolean): string {
  return invert ? 'neq' : 'eq';
}

function names(bits: number, table: Record<number, string>): string {
  const found: string[] = [];
  for (let bit = 0; bit < 12; bit++) if (bits & (1 << bit)) found.push((table[bit] ?? `${bit}`).toLowerCase());
  return found.join(',') || 'none';
}

function testLines(chain: ChainProgram, program: Program, test: Test): string[] {
  const absent = 'absent' in test && test.absent ? ', or no connection' : '';
  switch (test.op) {
    case 'cmp': {
      const masked = test.mask === 0xffffffff || test.mask === 0xff || test.mask === 0xffff;
      const bitwise = masked ? [] : [`bitwise reg 1 = ( reg 1 & ${hex(test.mask)} ) ^ 0x00000000`];
      return [
        `${load(chain, test.field)} => reg 1`,
        ...bitwise,
        `cmp ${equal(test.invert)} reg 1 ${hex(test.value)}${absent}`,
      ];
    }
    case 'range':
      return [
        `${load(chain, test.field)} => reg 1`,
        `range ${equal(test.invert)} reg 1 ${hex(test.low)} ${hex(test.high)}${absent}`,
      ];
    case 'lookup': {
      const set = test.ranges.map(([low, high]) => (low === high ? `${low}` : `${low}-${high}`)).join(', ');
      const loads = test.fields.map((field, index) => `${load(chain, field)} => reg ${index + 1}`);
      const registers = test.fields.map((_, index) => `reg ${index + 1}`).join(' or ');
      return [...loads, `lookup ${registers} ${test.invert ? 'not in' : 'in'} { ${set} }`];
    }
    case 'address':
      return [
        `${load(chain, test.field)} => reg 1`,
        ...(test.mask.every((byte) => byte === 255) ? [] : [`bitwise reg 1 = ( reg 1 & ${hexBytes(test.mask)} ) ^ 0`]),
        `cmp ${equal(test.invert)} reg 1 ${hexBytes(test.value)}${absent}`,
      ];
    case 'address range':
      return [
        `${load(chain, test.field)} => reg 1`,
        `range ${equal(test.invert)} reg 1 ${hexBytes(test.low)} ${hexBytes(test.high)}`,
      ];
    case 'ether saddr':
      return ['payload load 6b @ link header + 6 => reg 1', `cmp ${equal(test.invert)} reg 1 ${hexBytes(test.value)}`];
    case 'ifname':
      return [
        `meta load ${test.field}name => reg 1`,
        `cmp ${equal(test.invert)} reg 1 ${program.patterns[test.pattern]}`,
      ];
    case 'ct state': {
      const nat = test.status === 0 ? '' : ` or status & ${hex(test.status)}`;
      return [
        'ct load state => reg 1',
        `lookup reg 1 ${test.invert ? 'not in' : 'in'} { ${names(test.states, CtState)} }${nat}`,
      ];
    }
    case 'fib': {
      const on = test.interface ? ` . ${test.interface}` : '';
      return [
        `fib ${test.field}${on} type => reg 1`,
        `lookup reg 1 ${test.invert ? 'not in' : 'in'} { ${names(test.types, AddrType)} }`,
      ];
    }
    case 'tcp option':
      return [`exthdr load tcpopt ${test.option} present => reg 1`, `cmp ${equal(!test.invert)} reg 1 0x00000000`];
    case 'tcp mss':
      return [
        'exthdr load tcpopt 2b @ 2 + 2 => reg 1',
        `range ${equal(test.invert)} reg 1 ${hex(test.low)} ${hex(test.high)}`,
      ];
    case 'ct label': {
      const set = test.set ? ', set' : '';
      return [`ct load label ${test.bit}${set} => reg 1`, `cmp ${equal(!test.invert)} reg 1 0x00000000`];
    }
    case 'ct bytes': {
      const what = `${CarriedBy[test.by]} ${Carried[test.carried]}`.toLowerCase();
      return [`ct load ${what} => reg 1`, `range ${equal(test.invert)} reg 1 ${test.low} ${test.high}`];
    }
    case 'sctp chunks': {
      const flags = test.test.flags.map(
        ({ type, value, mask }) => `, flags of ${type} & ${hex(mask)} eq ${hex(value)}`,
      );
      const types = test.test.types.length === 256 ? 'every type' : test.test.types.join(', ');
      const found = `${ChunkMatch[test.match].toLowerCase()} { ${types} }${flags.join('')}`;
      return [`exthdr load sctp chunks ${found} => reg 1`, `cmp ${equal(!test.invert)} reg 1 0x00000000`];
    }
    case 'ip set': {
      const count = Math.max(0, ...test.sets.map(({ set }) => program.ipSets[set]!.parts.length));
      const parts = Array.from({ length: count }, (_, part) => (test.sources & (1 << part) ? 'src' : 'dst')).join(',');
      const asked = test.sets.map(({ set, answer }) => {
        const { name } = program.ipSets[set]!;
        return answer === IpSetAnswer.NOMATCH ? `exceptions of ${name}` : name;
      });
      return [`match set { ${asked.join(', ')} } ${parts} => reg 1`, `cmp ${equal(!test.invert)} reg 1 0x00000000`];
    }
    case 'ct helper':
      return [
        'ct load master helper => reg 1',
        `lookup reg 1 ${test.invert ? 'not in' : 'in'} { ${names(test.helpers, Helper)} }`,
      ];
    case 'recent': {
      const { does, side, mask, seconds, hits, ttl, reap, invert } = test.test;
      const asked = [
        ...(seconds === 0 ? [] : [`seconds ${seconds}`]),
        ...(hits === 0 ? [] : [`hits ${hits}`]),
        ...(ttl ? ['ttl'] : []),
        ...(reap ? ['reap'] : []),
      ];
      return [
        `${load(chain, side === 'source' ? 'saddr' : 'daddr')} => reg 1`,
        ...(mask.every((byte) => byte === 255) ? [] : [`bitwise reg 1 = ( reg 1 & ${hexBytes(mask)} ) ^ 0`]),
        [`recent ${does} reg 1 in "${test.list.name}"`, ...asked].join(', '),
        `cmp ${equal(!invert)} reg 1 0x00000000`,
      ];
    }
    case 'hashlimit': {
      const { name, flags, average, burst, sourceBits, destinationBits, expire_ms } = test.table.test;
      const keys: readonly (readonly [HashlimitFlag, string])[] = [
        [HashlimitFlag.SOURCE, `saddr/${sourceBits}`],
        [HashlimitFlag.SPORT, 'sport'],
        [HashlimitFlag.DESTINATION, `daddr/${destinationBits}`],
        [HashlimitFlag.DPORT, 'dport'],
      ];
      const key = keys.flatMap(([flag, text]) => (flags & flag ? [text] : [])).join(' . ') || 'all';
      const what = `${flags & HashlimitFlag.BYTES ? ' bytes' : ''}${flags & HashlimitFlag.RATE ? ' rate-match' : ''}`;
      const numbers = `average ${average} burst ${burst}${what} expire ${expire_ms} ms`;
      return [`hashlimit "${name}" { ${key} } ${numbers} => reg 1`, `cmp ${equal(!test.invert)} reg 1 0x00000000`];
    }
    case 'connlimit':
      return [
        `${load(chain, test.field)} => reg 1`,
        `connlimit reg 1/${test.bits} => reg 1`,
        `cmp ${test.invert ? 'lte' : 'gt'} reg 1 ${test.most}`,
      ];
    case 'limit':
      return [`limit cost ${test.cost} cap ${test.cap} state ${test.state}`];
    case 'owner': {
      const asked = (flag: OwnerFlag): boolean => (test.asked & flag) !== 0;
      const not = (flag: OwnerFlag): string => equal((test.inverted & flag) !== 0);
      const groups = asked(OwnerFlag.SUPPL_GROUPS) ? ' or its groups' : '';
      const lines: string[] = [];
      if (asked(OwnerFlag.SOCKET))
        lines.push('socket load exists => reg 1', `cmp ${not(OwnerFlag.SOCKET)} reg 1 0x00000001`);
      for (const [name, flag, range] of [
        ['skuid', OwnerFlag.UID, test.uid],
        [`skgid${groups}`, OwnerFlag.GID, test.gid],
      ] as const) {
        if (asked(flag))
          lines.push(`meta load ${name} => reg 1`, `range ${not(flag)} reg 1 ${hex(range.low)} ${hex(range.high)}`);
      }
      return lines;
    }
    case 'rpfilter': {
      const on = test.flags & RpfilterFlag.LOOSE ? '' : ' . iif';
      const local = test.flags & RpfilterFlag.ACCEPT_LOCAL ? ', local too' : '';
      return [`fib saddr${on} oif${local} => reg 1`, `cmp ${equal(!test.invert)} reg 1 0x00000000`];
    }
    case 'nth':
      return [
        `numgen inc mod ${test.last + 1} => reg 1, state ${test.state}`,
        `cmp ${equal(test.invert)} reg 1 0x00000000`,
      ];
    case 'allowance':
      return [`quota left => reg 1, state ${test.state}`, `cmp ${equal(!test.invert)} reg 1 0x00000000`];
    case 'chance':
      return [
        `numgen random mod 2147483648 => reg 1, state ${test.state}`,
        `cmp ${test.invert ? 'gte' : 'lt'} reg 1 ${hex(test.below)}`,
      ];
    case 'guard':
      return [`guard transport header ${test.need}b${test.evil ? ', fragment offset not 1' : ''}`];
    default:
      return [stepText(program, test)];
  }
}

function templateLine(template: TrackingTemplate | undefined): string {
  const { zone = 0, flags = 0, events, helper } = template ?? {};
  const directions: Record<number, string> = {
    [TemplateFlag.ZONE_ORIGINAL]: ' original',
    [TemplateFlag.ZONE_REPLY]: ' reply',
  };
  const direction = directions[flags & (TemplateFlag.ZONE_ORIGINAL | TemplateFlag.ZONE_REPLY)] ?? '';
  const masks = events ? ` events ${hex(events.entries)} expectations ${hex(events.expectations)}` : '';
  return `ct set zone${direction} ${flags & TemplateFlag.ZONE_MARK ? 'mark' : zone}${masks}${helper === undefined ? '' : ` helper ${helper}`}`;
}

function natLine({ kind, flags, addresses, ports }: NatBinding, to?: NatValues): string {
  const range = (low: string, high: string) => (low === high ? low : `${low}-${high}`);
  const parts = ['nat', NatKind[kind].toLowerCase()];
  if (addresses) parts.push(`addr ${range(hexBytes(addresses.low), hexBytes(addresses.high))}`);
  if (ports)
    parts.push(`proto ${range(`${ports.low}`, `${ports.high}`)}${ports.base === undefined ? '' : `/${ports.base}`}`);
  for (const part of [to?.addresses, to?.ports])
    if (part) parts.push(`${valueText(part.low)} - ${valueText(part.high)}`);
  return `${parts.join(' ')} flags ${hex(flags)}`;
}

function actionLine(program: Program, action: Action): string {
  switch (action.op) {
    case 'counter':
      return action.cell === undefined ? 'counter' : `counter ${action.cell}`;
    case 'log': {
      const { kind, prefix, level, group } = action.log;
      const options = [
        ...(prefix === undefined ? [] : [`prefix "${prefix}"`]),
        ...(level === undefined ? [] : [`level ${level}`]),
        ...(group === undefined ? [] : [`group ${group}`]),
      ];
      return ['log', kind === 'NFLOG' ? 'nflog' : 'syslog', ...options].join(' ');
    }
    case 'set mark':
      return `meta set mark with ( mark & ${hex(~action.mask)} ) ^ ${hex(action.value)}`;
    case 'set mss':
      return action.mss === 'clamp' ? 'tcp option maxseg size set rt mtu' : `tcp option maxseg size set ${action.mss}`;
    case 'set ct mark':
      return `ct set mark with ( ct mark & ${hex(~action.mask)} ) ^ ${hex(action.value)}`;
    case 'save mark':
      return `ct set mark with ( ct mark & ${hex(~action.ctmask)} ) ^ ( mark & ${hex(action.nfmask)} )`;
    case 'restore mark':
      return `meta set mark with ( mark & ${hex(~action.nfmask)} ) ^ ( ct mark & ${hex(action.ctmask)} )`;
    case 'notrack':
      return 'notrack';
    case 'template':
      return templateLine(program.templates[action.template]);
    case 'nat':
      return natLine(program.nats[action.nat]!.binding, action.to);
    case 'verdict':
      return `immediate reg 0 ${action.verdict}`;
    case 'reject':
      return `reject with ${RejectWith[action.with].toLowerCase().replaceAll('_', '-')}`;
    case 'jump':
    case 'goto':
      return `immediate reg 0 ${action.op} -> ${program.chains[action.chain]?.name}`;
    default:
      return stepText(program, action);
  }
}
