// Would the kernel take this ruleset? Jumps, loops, and what matches and targets demand of their rule.
//
// What iptables leaves to the kernel: mark_source_chains in net/ipv4/netfilter/ip_tables.c (loops, hooks a rule can be
// reached from), xt_check_match and xt_check_target in net/netfilter/x_tables.c (table, hooks, protocol), and the
// checkentry functions of the extensions.
import { AddrType, Hook, L3, NatKind, Proto, RejectWith } from '../../assembly/vocabulary.ts';
import type { TextPosition } from '../errors.ts';
import { type Chain, isNft, type Match, type Rule, type Ruleset, type SourceTree, type Table } from './ast.ts';
import { hashlimitNumbers } from './hashlimit.ts';
import { findHelper } from './helpers.ts';
import { hookName } from './iptables/parse.ts';
import { HZ } from './jiffies.ts';
import type { NftSource } from './nft/ast.ts';
import { numberNft } from './nft/number.ts';
import { position, refuse } from './source.ts';

/** Jumps on the way to a rule. The kernel has no limit; ours keeps the stack of the emitted code small. */
const DEPTH_MAX = 512;

const MAC_HOOKS = (1 << Hook.PREROUTING) | (1 << Hook.INPUT) | (1 << Hook.FORWARD);
const CLAMP_HOOKS = (1 << Hook.FORWARD) | (1 << Hook.OUTPUT) | (1 << Hook.POSTROUTING);
const NO_OUTPUT_INTERFACE = (1 << Hook.PREROUTING) | (1 << Hook.INPUT);
const NO_INPUT_INTERFACE = (1 << Hook.OUTPUT) | (1 << Hook.POSTROUTING);
const PORT_PROTOCOLS: readonly number[] = [Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP, Proto.DCCP];
/** Protocols with which iptables lets NAT targets name ports. */
const NAT_PORT_PROTOCOLS: readonly number[] = [Proto.TCP, Proto.UDP, Proto.SCTP, Proto.ICMP];
const DNAT_HOOKS = (1 << Hook.PREROUTING) | (1 << Hook.OUTPUT);
const SNAT_HOOKS = (1 << Hook.POSTROUTING) | (1 << Hook.INPUT);
/** Hooks from which a NAT target may be reached (struct xt_target.hooks). */
const NAT_HOOKS: Readonly<Record<NatKind, number>> = {
  [NatKind.SNAT]: SNAT_HOOKS,
  [NatKind.DNAT]: DNAT_HOOKS,
  [NatKind.MASQUERADE]: 1 << Hook.POSTROUTING,
  [NatKind.REDIRECT]: DNAT_HOOKS,
  [NatKind.NETMAP]: DNAT_HOOKS | SNAT_HOOKS,
};
/** Address types that xt_addrtype refuses for IPv6. */
const NOT_IPV6 = ~((1 << AddrType.PROHIBIT) - 1) | (1 << AddrType.BLACKHOLE) | (1 << AddrType.BROADCAST);

/** Numbers rules and policies, checks everything, and returns the whole. Throws RulesetError. */
export function checkRuleset(sources: (SourceTree | NftSource)[]): Ruleset {
  const ruleset: Ruleset = { sources, entries: [], counters: 0 };
  const given = new Map<string, Table>();
  for (const source of sources) {
    if (isNft(source)) continue;
    for (const table of source.tables) {
      const key = `${table.family}/${table.name}`;
      const other = given.get(key);
      if (other) {
        const at = `${other.line.file}:${other.line.number}`;
        refuse('RULESET_INVALID', `table '${table.name}' is already given in ${at}`, position(table.line));
      }
      given.set(key, table);
      number(ruleset, table);
      new TableCheck(table).check();
    }
  }
  numberNft(ruleset);
  return ruleset;
}

function number(ruleset: Ruleset, table: Table): void {
  for (const chain of table.chains) {
    for (const [position, rule] of chain.rules.entries()) {
      rule.number = position + 1;
      rule.index = ruleset.entries.length;
      ruleset.entries.push({ table, chain, rule });
    }
    if (chain.policy) {
      chain.policy.index = ruleset.entries.length;
      ruleset.entries.push({ table, chain });
    }
  }
}

/** Whether the rule ends every packet's way through the chain: no test at all, and a verdict or RETURN. */
function isUnconditionalVerdict(rule: Rule): boolean {
  const { header, matches, target } = rule;
  if (Object.keys(header).length > 0 || matches.length > 0) return false;
  return target.kind === 'verdict' && target.name !== 'NFQUEUE';
}

class TableCheck {
  private readonly chains: Map<string, Chain>;
  /** Longest way below a chain in jumps, once known. */
  private readonly depth = new Map<Chain, number>();

  constructor(private readonly table: Table) {
    this.chains = new Map(table.chains.map((chain) => [chain.name, chain]));
  }

  check(): void {
    for (const chain of this.table.chains) for (const rule of chain.rules) this.checkJump(rule);
    for (const chain of this.table.chains) {
      for (const rule of chain.rules) {
        rule.reachable = true;
        if (isUnconditionalVerdict(rule)) break;
      }
    }
    for (const chain of this.table.chains) {
      if (chain.hook === undefined) continue;
      this.depth.clear();
      this.reach(chain, 1 << chain.hook, [], undefined);
    }
    for (const chain of this.table.chains) for (const rule of chain.rules) this.checkRule(chain, rule);
  }

  private checkJump(rule: Rule): void {
    const { target } = rule;
    if (target.kind !== 'jump') return;
    const chain = this.chains.get(target.chain);
    if (!chain) {
      if (target.goto || /^[^A-Z]|[a-z]/.test(target.chain)) {
        refuse('RULESET_INVALID', `chain '${target.chain}' does not exist in table '${this.table.name}'`, target.at);
      }
      refuse(
        'RULESET_UNSUPPORTED',
        `'${target.chain}' is neither a supported target nor a chain of table '${this.table.name}'`,
        target.at,
      );
    } else if (chain.hook !== undefined) {
      refuse('RULESET_INVALID', `'${target.chain}' is a base chain and cannot be jumped to`, target.at);
    }
  }

  /** Marks what a hook reaches; refuses loops and ways that are too deep. Returns the longest way below. */
  private reach(chain: Chain, hook: number, way: Chain[], from: TextPosition | undefined): number {
    if (way.includes(chain)) {
      const loop = [...way.slice(way.indexOf(chain)), chain].map(({ name }) => name).join(' -> ');
      refuse('RULESET_INVALID', `the chains form a loop: ${loop}`, from ?? position(chain.line));
    }
    const known = this.depth.get(chain);
    if (way.length + (known ?? 0) > DEPTH_MAX) {
      refuse('RULESET_UNSUPPORTED', `chains nest deeper than ${DEPTH_MAX} jumps`, from ?? position(chain.line));
    }
    if (known !== undefined) return known;
    chain.hooks |= hook;
    let deepest = 0;
    const next = [...way, chain];
    for (const rule of chain.rules) {
      if (!rule.reachable) break;
      if (rule.target.kind !== 'jump') continue;
      const callee = this.chains.get(rule.target.chain);
      if (callee) deepest = Math.max(deepest, 1 + this.reach(callee, hook, next, rule.target.at));
    }
    this.depth.set(chain, deepest);
    return deepest;
  }

  private checkRule(chain: Chain, rule: Rule): void {
    const hooks = rule.reachable ? chain.hooks : 0;
    // iptables itself refuses these in base chains; in user chains they just never match.
    if (chain.hook !== undefined) {
      if (rule.header.input && NO_INPUT_INTERFACE & (1 << chain.hook)) {
        refuse('RULESET_INVALID', `-i cannot be used in chain '${chain.name}'`, position(rule.line));
      }
      if (rule.header.output && NO_OUTPUT_INTERFACE & (1 << chain.hook)) {
        refuse('RULESET_INVALID', `-o cannot be used in chain '${chain.name}'`, position(rule.line));
      }
    }
    for (const match of rule.matches) this.checkMatch(rule, match, hooks);
    this.checkTarget(rule, hooks);
  }

  private protocol(rule: Rule): number {
    const { protocol } = rule.header;
    return protocol && !protocol.invert ? protocol.number : 0;
  }

  private needProtocol(rule: Rule, match: Match, protocol: number, option: string): void {
    if (this.protocol(rule) !== protocol) {
      refuse('RULESET_INVALID', `match '${match.name}' needs '-p ${option}' in the same rule`, match.at);
    }
  }

  private needHooks(what: string, at: TextPosition, hooks: number, allowed: number): void {
    for (let hook = Hook.PREROUTING; hook <= Hook.POSTROUTING; hook++) {
      if (hooks & ~allowed & (1 << hook)) {
        refuse('RULESET_INVALID', `${what} is not valid in ${hookName(hook)}, which this rule is reached from`, at);
      }
    }
  }

  private checkMatch(rule: Rule, match: Match, hooks: number): void {
    switch (match.kind) {
      case 'tcp':
      case 'tcpmss':
        this.needProtocol(rule, match, Proto.TCP, 'tcp');
        break;
      case 'sctp':
        this.needProtocol(rule, match, Proto.SCTP, 'sctp');
        break;
      case 'udp':
        this.needProtocol(rule, match, Proto.UDP, 'udp');
        break;
      case 'icmp':
        this.needProtocol(rule, match, Proto.ICMP, 'icmp');
        break;
      case 'icmp6':
        this.needProtocol(rule, match, Proto.ICMPV6, 'ipv6-icmp');
        break;
      case 'multiport':
        if (!PORT_PROTOCOLS.includes(this.protocol(rule))) {
          refuse(
            'RULESET_INVALID',
            "match 'multiport' needs -p tcp, udp, udplite, sctp or dccp in the same rule",
            match.at,
          );
        }
        break;
      case 'mac':
        this.needHooks("match 'mac'", match.at, hooks, MAC_HOOKS);
        break;
      case 'addrtype': {
        const { limit, source, destination } = match.test;
        if (limit === 'in') this.needHooks('--limit-iface-in', match.at, hooks, ~NO_INPUT_INTERFACE);
        if (limit === 'out') this.needHooks('--limit-iface-out', match.at, hooks, ~NO_OUTPUT_INTERFACE);
        if (this.table.family === L3.IPV6 && ((source?.types ?? 0) | (destination?.types ?? 0)) & NOT_IPV6) {
          refuse('RULESET_INVALID', 'an address type that IPv6 does not have', match.at);
        }
        break;
      }
      case 'owner':
        this.needHooks("match 'owner'", match.at, hooks, (1 << Hook.OUTPUT) | (1 << Hook.POSTROUTING));
        break;
      case 'physdev': {
        // physdev_mt_check(): on its way out of the host, a packet does not know yet by which port it leaves the bridge.
        const leaving = match.asked.some(({ what }) => what === 'out' || what === 'is-out');
        const bridged = match.asked.some(({ what, invert }) => what === 'is-bridged' && !invert);
        if (leaving && !bridged) {
          this.needHooks(
            '--physdev-out or --physdev-is-out without --physdev-is-bridged',
            match.at,
            hooks,
            ~(1 << Hook.OUTPUT),
          );
        }
        break;
      }
      case 'rpfilter':
        if (this.table.name !== 'raw' && this.table.name !== 'mangle') {
          refuse('RULESET_INVALID', "match 'rpfilter' is valid only in tables 'raw' and 'mangle'", match.at);
        }
        this.needHooks("match 'rpfilter'", match.at, hooks, 1 << Hook.PREROUTING);
        break;
      case 'limit':
        if (limitCost(match.average, match.burst) === undefined) {
          refuse('RULESET_INVALID', 'the kernel refuses this rate with this burst (overflow)', match.at);
        }
        break;
      case 'hashlimit':
        if (hashlimitNumbers(match.test) === undefined) {
          refuse('RULESET_INVALID', 'the kernel refuses this rate with this burst (overflow)', match.at);
        }
        break;
      default:
        break;
    }
  }

  private checkTarget(rule: Rule, hooks: number): void {
    const { target } = rule;
    const needTable = (name: string): void => {
      if (this.table.name !== name) {
        refuse('RULESET_INVALID', `target '${target.name}' is valid only in table '${name}'`, target.at);
      }
    };
    if (target.name === 'CT' || target.name === 'NOTRACK') needTable('raw');
    if (target.name === 'CHECKSUM') needTable('mangle');
    if (this.table.name === 'nat' && target.name === 'DROP') {
      refuse('RULESET_INVALID', "iptables refuses DROP in table 'nat', which is not for filtering", target.at);
    }
    if (target.kind === 'nat') {
      needTable('nat');
      this.needHooks(`target '${target.name}'`, target.at, hooks, NAT_HOOKS[target.nat.kind]);
      this.checkNatPorts(rule);
    }
    if (target.kind === 'reject') {
      needTable('filter');
      if (target.with === RejectWith.TCP_RESET && this.protocol(rule) !== Proto.TCP) {
        refuse('RULESET_INVALID', "--reject-with tcp-reset needs '-p tcp' in the same rule", target.at);
      }
    }
    if (target.kind === 'template' && target.helperAt !== undefined) {
      this.checkHelper(rule, target.template.helper ?? '', target.helperAt);
    }
    if (target.name === 'TCPMSS') {
      if (this.protocol(rule) !== Proto.TCP) {
        refuse('RULESET_INVALID', "target 'TCPMSS' needs '-p tcp' in the same rule", target.at);
      }
      if (target.kind === 'mss' && target.mss === 'clamp')
        this.needHooks('--clamp-mss-to-pmtu', target.at, hooks, CLAMP_HOOKS);
    }
  }

  private checkNatPorts({ header, target }: Rule): void {
    if (target.kind !== 'nat' || !target.nat.ports) return;
    const protocol = header.protocol?.number ?? 0;
    if (protocol === Proto.DCCP) {
      refuse(
        'RULESET_UNSUPPORTED',
        'ports of DCCP, which is tracked by addresses alone, are not translated',
        target.at,
      );
    }
    if (!NAT_PORT_PROTOCOLS.includes(protocol)) {
      refuse('RULESET_INVALID', `target '${target.name}' with ports needs -p tcp, udp, sctp or icmp`, target.at);
    }
  }

  /** xt_ct_set_helper() */
  private checkHelper(rule: Rule, name: string, at: TextPosition): void {
    const protocol = this.protocol(rule);
    if (protocol === 0) refuse('RULESET_INVALID', '--helper needs -p with one protocol in the same rule', at);
    const helper = findHelper(name, this.table.family, protocol);
    if (helper === undefined) refuse('RULESET_INVALID', `the kernel has no helper '${name}' for this protocol`, at);
  }
}

/** CREDITS_PER_JIFFY of net/netfilter/xt_limit.c: the greatest power of two that one a day still allows. */
export const CREDITS_PER_JIFFY = 2 ** Math.floor(Math.log2(Math.floor(0xffffffff / (HZ * 86400))));

/**
 * What xt_limit charges per packet and holds at most, in credits, computed as user2credits does in 32 bits.
 * undefined where limit_mt_check refuses.
 */
export function limitCost(average: number, burst: number): { cost: number; cap: number } | undefined {
  const credits = (user: number): number => {
    const perSecond = HZ * CREDITS_PER_JIFFY;
    if (user > Math.floor(0xffffffff / perSecond)) return (Math.floor(user / 10_000) * perSecond) % 2 ** 32;
    return Math.floor((user * perSecond) / 10_000);
  };
  const cost = credits(average);
  const cap = credits((average * burst) % 2 ** 32);
  return burst === 0 || cap < cost ? undefined : { cost, cap };
}
