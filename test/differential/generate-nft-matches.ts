// What do rules of generated nft rulesets ask of a packet? Tests that fit what the rule has said already, with values that the traffic has
// (test/model/traffic.ts).
//
// Left out is what time decides, since both sides count it in other steps, and what an answer of the router's own shows otherwise by
// intent (docs/fidelity.md): the source of an ICMP error, and its identification.

import type { Random } from '../model/random.ts';

export type L3 = 4 | 6;
export type L4 = 'tcp' | 'udp' | 'sctp' | 'udplite' | 'icmp' | undefined;
export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

/** What a rule has said of its packets so far: nft refuses what contradicts it. */
export interface Scope {
  hook: Hook | undefined;
  l3: L3 | undefined;
  l4: L4;
  /** The source of what the router itself sends is not looked at. */
  answers: boolean;
}

export const PORTS = [0, 80, 443, 1024, 1025, 1026, 1027, 65535];
const STATES = ['new', 'established', 'related', 'invalid', 'untracked'] as const;
const STATUSES = ['seen-reply', 'assured', 'confirmed', 'expected', 'snat', 'dnat'] as const;
const FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg'] as const;
const KINDS = [
  'address',
  'header',
  'ports',
  'transport',
  'icmp',
  'meta',
  'interface',
  'ct',
  'ctTuple',
  'marks',
  'concat',
  'named',
  'numbers',
  'state',
  'raw',
] as const;

/** Some of the list, at least one, at most `most`. */
export function some<T>(random: Random, list: readonly T[], most: number): T[] {
  const left = [...list];
  return Array.from({ length: 1 + random.below(most) }, () => left.splice(random.below(left.length), 1)[0]!);
}

/** Draws tests, with weights of its own. */
export class Matches {
  readonly #kinds: Record<(typeof KINDS)[number], number>;

  constructor(private readonly random: Random) {
    this.#kinds = random.weights(KINDS);
  }

  private not(): string {
    return this.random.chance(0.25) ? '!= ' : '';
  }

  private address(l3: L3): string {
    const { random } = this;
    const net = random.below(10);
    const host = 1 + random.below(3);
    if (l3 === 4)
      return random.pick([
        `10.0.${net}.${host}`,
        `10.0.${net}.0/24`,
        `10.0.0.0-10.0.${net}.${host}`,
        `{ 10.0.${net}.1, 10.0.${(net + 3) % 10}.2 }`,
        `{ 10.0.${net}.1-10.0.${net}.2, 10.0.${(net + 1) % 10}.0/30 }`,
        '@hosts4',
      ]);
    const hex = net.toString(16);
    return random.pick([
      `2001:db8:0:${hex}::${host}`,
      `2001:db8:0:${hex}::/64`,
      `2001:db8::-2001:db8:0:${hex}::${host}`,
      `{ 2001:db8:0:${hex}::1, 2001:db8:0:${((net + 3) % 10).toString(16)}::2 }`,
      '@hosts6',
    ]);
  }

  private port(): string {
    const { random } = this;
    return random.pick([
      String(random.pick(PORTS)),
      '1024-1026',
      '0-443',
      '{ 80, 443 }',
      '{ 0, 1024-1025, 65535 }',
      '@ports',
      '< 1024',
      '>= 1025',
    ]);
  }

  private compare(field: string, value: string): string {
    return /^[<>]/.test(value) ? `${field} ${value}` : `${field} ${this.not()}${value}`;
  }

  private source(scope: Scope): 'saddr' | 'daddr' {
    return scope.answers ? 'daddr' : this.random.pick(['saddr', 'daddr']);
  }

  /** One test that fits the scope; nothing where none of the drawn kind does. */
  match(scope: Scope): string {
    const { random } = this;
    const { l3, l4 } = scope;
    const ip = l3 === 4 ? 'ip' : 'ip6';
    const ported = l4 === 'tcp' || l4 === 'udp' || l4 === 'sctp' || l4 === 'udplite';
    switch (random.weighted(this.#kinds)) {
      case 'address':
        if (!l3) return `meta nfproto ${this.not()}${random.pick(['ipv4', 'ipv6'])}`;
        if (random.chance(0.2))
          return l3 === 4
            ? `ip ${this.source(scope)} & 0.0.0.255 ${random.pick(['==', '!='])} 0.0.0.${1 + random.below(3)}`
            : `ip6 ${this.source(scope)} & ::ff == ::${1 + random.below(3)}`;
        return this.compare(`${ip} ${this.source(scope)}`, this.address(l3));
      case 'header':
        return this.header(scope);
      case 'ports':
        if (ported) return this.compare(`${l4} ${random.pick(['sport', 'dport'])}`, this.port());
        return l4 === undefined ? this.compare(`th ${random.pick(['sport', 'dport'])}`, this.port()) : '';
      case 'transport':
        return this.transport(scope);
      case 'icmp':
        if (l4 !== 'icmp') return '';
        if (l3 === 4)
          return random.pick([
            `icmp type ${this.not()}${random.pick(['echo-request', 'echo-reply', 'destination-unreachable', '{ echo-request, time-exceeded }'])}`,
            `icmp code ${this.not()}${random.below(4)}`,
            `icmp id < ${random.pick([2, 4000])}`,
          ]);
        return random.pick([
          `icmpv6 type ${this.not()}${random.pick(['echo-request', 'echo-reply', 'destination-unreachable', '{ echo-request, time-exceeded }'])}`,
          `icmpv6 code ${this.not()}${random.below(4)}`,
        ]);
      case 'meta':
        return random.pick([
          `meta length ${random.pick(['< 60', '60-100', '!= 40-60', '{ 28, 40, 60-80 }'])}`,
          ...(l4 === undefined
            ? [`meta l4proto ${this.not()}${random.pick(['tcp', 'udp', '{ tcp, udp }', '{ icmp, ipv6-icmp }', '132'])}`]
            : []),
          ...(l3 === undefined
            ? ['meta nfproto { ipv4, ipv6 }', `meta protocol ${this.not()}${random.pick(['ip', 'ip6'])}`]
            : []),
        ]);
      case 'interface': {
        const name = random.pick(['"lan"', '"wan"', '"l*"', '{ "lan", "eth0" }', '"eth1"']);
        return random.pick([`iifname ${this.not()}${name}`, `oifname ${this.not()}${name}`, `iif ${this.not()}"wan"`]);
      }
      case 'ct':
        return random.pick([
          `ct state ${this.not()}${random.pick(STATES)}`,
          `ct state ${some(random, STATES, 3).join(',')}`,
          `ct state { ${some(random, STATES, 3).join(', ')} }`,
          `ct status ${random.pick(['', '! '])}${random.pick(STATUSES)}`,
          `ct status & (seen-reply | assured) == seen-reply`,
          `ct direction ${this.not()}${random.pick(['original', 'reply'])}`,
          `ct protocol ${l4 === undefined ? random.pick(['tcp', '!= udp', '{ tcp, sctp }']) : '!= 50'}`,
          'ct zone 0',
        ]);
      case 'ctTuple': {
        // No ports, and no `ct l3proto`: nft 1.0.6 takes what names a protocol for implied by what follows, and does not list it.
        if (!l3) return '';
        const end = random.pick(['saddr', 'daddr']);
        return `ct ${random.pick(['original', 'reply'])} ${ip} ${end} ${this.not()}${this.address(l3).replace(/^@.*/, l3 === 4 ? '10.0.0.1' : '2001:db8::1')}`;
      }
      case 'marks':
        return `${random.pick(['meta', 'ct'])} mark ${random.pick(['0', '!= 0', '1', '{ 1, 2, 0xff }', '& 0x2 == 0x2', '> 1', '0-2'])}`;
      case 'concat':
        return this.concatenation(scope);
      case 'named':
        if (l4 === undefined) return `meta l4proto . th dport ${this.not()}@pairs`;
        return ported ? `${l4} dport ${this.not()}@ports` : '';
      case 'numbers':
        return `numgen inc mod ${2 + random.below(5)} ${random.pick(['0', '1', '!= 1'])}`;
      case 'state':
        return random.pick([
          `limit rate ${random.pick(['', 'over '])}1/day burst ${1 + random.below(60)} packets`,
          `quota ${random.pick(['', 'over '])}${random.pick([100, 5000, 50_000])} bytes`,
          'quota name "some"',
          'limit name "few"',
        ]);
      case 'raw':
        return `@th,${random.pick(['0,16', '16,16'])} ${this.not()}${random.pick(PORTS)}`;
    }
  }

  private header({ l3, l4, answers }: Scope): string {
    const { random } = this;
    if (l3 === 4)
      return random.pick([
        'ip version 4',
        'ip hdrlength 5',
        `ip length ${random.pick(['< 60', '!= 40-60', '{ 28, 40-52 }'])}`,
        ...(answers
          ? []
          : [
              `ip ttl ${random.pick(['64', '< 64', '!= 1', '63-64'])}`,
              `ip dscp ${this.not()}cs0`,
              'ip frag-off & 0x1fff 0',
            ]),
        ...(l4 === undefined ? [`ip protocol ${random.pick(['tcp', '!= tcp', '{ udp, icmp }', '> 100'])}`] : []),
      ]);
    if (l3 === 6)
      return random.pick([
        'ip6 version 6',
        `ip6 length ${random.pick(['< 40', '!= 20-40', '{ 8, 20-52 }'])}`,
        ...(answers
          ? []
          : [
              `ip6 hoplimit ${random.pick(['64', '< 64', '!= 1', '63-64'])}`,
              `ip6 dscp ${this.not()}cs0`,
              'ip6 flowlabel 0',
            ]),
        ...(l4 === undefined ? [`ip6 nexthdr ${random.pick(['tcp', '!= tcp', '{ udp, ipv6-icmp }', '> 100'])}`] : []),
      ]);
    return '';
  }

  private transport({ l4 }: Scope): string {
    const { random } = this;
    const flags = (): string => some(random, FLAGS, 3).join(' | ');
    if (l4 === 'tcp')
      return random.pick([
        `tcp flags & (${flags()}) == ${random.pick(FLAGS)}`,
        `tcp flags & (${flags()}) != 0`,
        `tcp flags ${this.not()}${random.pick(FLAGS)}`,
        'tcp flags { syn, syn | ack, ack }',
        `tcp window ${random.pick(['0', '> 0', '< 1000'])}`,
        `tcp doff ${random.pick(['5', '> 5'])}`,
        'tcp sequence > 0x7fffffff',
        'tcp ackseq 0',
        'tcp urgptr 0',
      ]);
    if (l4 === 'udp') return random.pick(['udp length < 20', 'udp length 8-30']);
    if (l4 === 'sctp') return `sctp vtag ${random.pick(['0', '!= 0'])}`;
    return '';
  }

  private concatenation({ l3, l4, answers }: Scope): string {
    const { random } = this;
    const net = random.below(10);
    const end = answers ? 'daddr' : random.pick(['saddr', 'daddr']);
    const ported = l4 === 'tcp' || l4 === 'udp';
    if (l3 === 4 && ported)
      return random.pick([
        `ip ${end} . ${l4} dport { 10.0.${net}.1 . 80, 10.0.${net}.2 . 443, 10.0.${net}.3 . 0 }`,
        `ip ${end} . ${l4} dport ${this.not()}{ 10.0.${net}.0/24 . 0-443, 10.0.${(net + 2) % 10}.1-10.0.${(net + 2) % 10}.2 . 1024 }`,
      ]);
    if (l3 === 6 && ported)
      return `ip6 ${end} . ${l4} dport ${this.not()}{ 2001:db8:0:${net}::/64 . 0-443, 2001:db8:0:${(net + 2) % 10}::1 . 1024 }`;
    return random.pick([
      'ct state . ct direction { new . original, established . reply }',
      `meta mark . ct mark ${this.not()}{ 0 . 0, 1 . 1, 2 . 0 }`,
      'iifname . oifname { "lan" . "wan", "wan" . "eth0" }',
      ...(l4 === undefined ? ['meta l4proto . meta mark { tcp . 0, udp . 1 }'] : []),
    ]);
  }
}
