// Which nft rulesets do the generated packets meet? Seeded: tables of one family and of both, chains at any priority, and rules
// over headers, connections, sets, maps and state of their own, whose values the traffic has (test/model/traffic.ts).
//
// Each rule has a counter, at any place in it. Left out is what time decides, since both sides count it in other steps, and what an answer
// of the router's own shows otherwise by intent (docs/fidelity.md): the source of an ICMP error, and its identification.

import type { Random } from '../model/random.ts';
import { addressText } from './frames.ts';
import { OUTSIDE } from './nat-view.ts';

type L3 = 4 | 6;
type L4 = 'tcp' | 'udp' | 'sctp' | 'udplite' | 'icmp' | undefined;
type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

/** What a rule has said of its packets so far: nft refuses what contradicts it. */
interface Scope {
  hook: Hook | undefined;
  l3: L3 | undefined;
  l4: L4;
  /** The source of what the router itself sends is not looked at. */
  answers: boolean;
}

const PORTS = [0, 80, 443, 1024, 1025, 1026, 1027, 65535];
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
  'hash',
  'state',
  'raw',
] as const;
const VERDICTS = ['none', 'accept', 'drop', 'reject', 'call', 'return', 'continue', 'vmap'] as const;

const PRIORITIES: Record<Hook, string[]> = {
  prerouting: ['raw', 'raw - 10', '-250', 'mangle', '-120', 'dstnat + 5', 'filter', '10'],
  input: ['mangle', 'filter', 'filter + 1', 'security'],
  forward: ['-300', 'mangle', 'filter - 1', 'filter', 'filter', 'filter + 1', 'security'],
  output: ['raw', 'mangle', 'filter', 'security'],
  postrouting: ['mangle', 'filter', '90', '200'],
};

/** Draws one table. */
class Table {
  readonly #kinds: Record<(typeof KINDS)[number], number>;
  readonly #verdicts: Record<(typeof VERDICTS)[number], number>;
  readonly #calls: string[] = [];

  constructor(
    private readonly random: Random,
    private readonly family: 'ip' | 'ip6' | 'inet',
    private readonly translates: boolean,
  ) {
    this.#kinds = random.weights(KINDS);
    this.#verdicts = random.weights(VERDICTS);
    this.#verdicts.none += 0.5;
    this.#verdicts.accept += 0.2;
  }

  text(): string {
    const { random } = this;
    const called = Array.from({ length: random.below(4) }, (_, index) => `more${index}`);
    // A chain calls only those before it: no loops.
    const plain = called.map((name) => {
      const chain = this.chain(name, undefined, 1 + random.below(5));
      this.#calls.push(name);
      return chain;
    });
    const hooks: Hook[] = ['forward'];
    for (const hook of ['prerouting', 'prerouting', 'forward', 'input', 'output', 'postrouting'] as const)
      if (random.chance(0.45)) hooks.push(hook);
    const bases = hooks.map((hook, index) => this.chain(`${hook}${index}`, hook, 1 + random.below(7)));
    return [`table ${this.family} t {`, ...this.declared(), ...plain, ...bases, ...this.nat(), '}', ''].join('\n');
  }

  /** Sets, maps and objects that rules name. */
  private declared(): string[] {
    const { random } = this;
    const verdicts = ['accept', 'drop', 'continue', 'return'];
    const ports = some(random, PORTS, 4);
    const addresses = this.family === 'ip6' ? [] : [`10.0.${random.below(10)}.1`, '10.0.1.2-10.0.4.1', '10.0.7.0/24'];
    const addresses6 =
      this.family === 'ip' ? [] : ['2001:db8:0:1::1', '2001:db8:0:2::/63', '2001:db8:0:5::1-2001:db8:0:6::2'];
    return [
      'set hosts4 { type ipv4_addr; flags interval; auto-merge;',
      ...(addresses.length ? [`elements = { ${addresses.join(', ')} };`] : []),
      '}',
      'set hosts6 { type ipv6_addr; flags interval; auto-merge;',
      ...(addresses6.length ? [`elements = { ${addresses6.join(', ')} };`] : []),
      '}',
      `set ports { type inet_service; elements = { ${ports.join(', ')} }; }`,
      'set pairs { type inet_proto . inet_service; flags interval;',
      `elements = { tcp . 0-${random.pick([79, 80, 442])}, udp . ${random.pick(PORTS)}, ${random.pick(['tcp', 'sctp'])} . 1024-1026 }; }`,
      `map ways { type inet_service : verdict; elements = { ${ports.map((port) => `${port} : ${random.pick(verdicts)}`).join(', ')} }; }`,
      `map marks { type inet_service : mark; flags interval; elements = { 0-100 : ${random.below(4)}, 443 : 2, 1024-1025 : 0xff }; }`,
      'set seen4 { type ipv4_addr; size 64; flags dynamic; }',
      'set seen6 { type ipv6_addr; size 64; flags dynamic; }',
      `set flows { type inet_proto . inet_service; size ${random.pick([4, 1000])}; flags dynamic; }`,
      'counter total { }',
      'quota some { over 20000 bytes; }',
      'limit few { rate 1/day burst 30 packets; }',
    ];
  }

  private chain(name: string, hook: Hook | undefined, rules: number): string {
    const { random } = this;
    const policy = hook === 'forward' && random.chance(0.15) ? 'drop' : 'accept';
    const head = hook ? [`type filter hook ${hook} priority ${random.pick(PRIORITIES[hook])}; policy ${policy};`] : [];
    const body = Array.from({ length: rules }, () => this.rule(hook));
    return [`chain ${name} {`, ...head, ...body, '}'].join('\n');
  }

  private rule(hook: Hook | undefined): string {
    const { random, family } = this;
    const l3 = family === 'inet' ? random.pick([4, 6, undefined] as const) : family === 'ip' ? 4 : 6;
    const l4 = random.pick(['tcp', 'tcp', 'udp', 'udp', 'sctp', 'udplite', 'icmp', undefined, undefined] as const);
    const answers = hook === undefined || hook === 'output' || hook === 'postrouting';
    const scope: Scope = { hook, l3, l4: l4 === 'icmp' && l3 === undefined ? undefined : l4, answers };
    const parts = Array.from({ length: random.below(4) }, () => this.match(scope)).filter(Boolean);
    if (random.chance(0.25)) parts.splice(random.below(parts.length + 1), 0, this.change(scope));
    parts.splice(random.below(parts.length + 1), 0, 'counter');
    if (random.chance(0.05)) parts.push('counter name "total"');
    return [...parts, this.verdict(scope)].filter(Boolean).join(' ');
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
  private match(scope: Scope): string {
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
          `ct l3proto ${l3 === undefined ? this.not() : ''}${l3 === 6 ? 'ipv6' : 'ipv4'}`,
          `ct protocol ${l4 === undefined ? random.pick(['tcp', '!= udp', '{ tcp, sctp }']) : '!= 50'}`,
          'ct zone 0',
        ]);
      case 'ctTuple': {
        if (!l3 && (l4 === undefined || l4 === 'tcp' || l4 === 'udp'))
          return `ct l3proto ${random.pick(['ipv4', 'ipv6'])} ct protocol ${l4 === 'udp' ? 'udp' : 'tcp'} ct ${random.pick(['original', 'reply'])} proto-${random.pick(['src', 'dst'])} ${this.port()}`;
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
      case 'hash':
        return random.pick([
          ...(l3 === 4
            ? [
                `jhash ip daddr . ip protocol mod ${2 + random.below(6)} seed 0x${(1 + random.below(1 << 30)).toString(16)} ${random.pick(['0', '1', '> 1'])}`,
              ]
            : []),
          ...(l3 === 6
            ? [
                `jhash ip6 daddr mod ${2 + random.below(6)} seed 0x${(1 + random.below(1 << 30)).toString(16)} ${random.pick(['0', '1', '> 1'])}`,
              ]
            : []),
          `numgen inc mod ${2 + random.below(5)} ${random.pick(['0', '1', '!= 1'])}`,
        ]);
      case 'state':
        return random.pick([
          `limit rate ${random.pick(['', 'over '])}1/day burst ${1 + random.below(60)} packets`,
          `quota ${random.pick(['', 'over '])}${random.pick([100, 5000, 50_000])} bytes`,
          'quota name "some"',
          'limit name "few"',
        ]);
      case 'raw':
        return random.pick([
          `@th,${random.pick(['0,16', '16,16'])} ${this.not()}${random.pick(PORTS)}`,
          '@th,0,8 0',
          ...(l3 === 4 ? ['@nh,72,8 { 6, 17 }'] : []),
          ...(l3 === 6 ? ['@nh,48,8 { 6, 17, 58 }'] : []),
        ]);
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
        `tcp option maxseg ${random.pick(['exists', 'missing', 'size > 1000'])}`,
        `tcp option ${random.pick(['sack-perm', 'timestamp', 'window', 'sack'])} ${random.pick(['exists', 'missing'])}`,
      ]);
    if (l4 === 'udp') return random.pick(['udp length < 20', 'udp length 8-30', 'udp checksum != 0']);
    if (l4 === 'sctp')
      return random.pick(['sctp vtag 0', 'sctp vtag != 0', 'sctp chunk init exists', 'sctp chunk data missing']);
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
      ...(l4 === undefined ? ['meta l4proto . meta length { tcp . 40-60, udp . 28 }'] : []),
    ]);
  }

  /** What a rule does besides counting and deciding. */
  private change(scope: Scope): string {
    const { random } = this;
    const { hook, l3, l4 } = scope;
    const ported = l4 === 'tcp' || l4 === 'udp';
    const value = `0x${random.pick([0, 1, 2, 3, 0xff, 0xf0000000]).toString(16)}`;
    return random.pick([
      `meta mark set ${value}`,
      `ct mark set ${value}`,
      'meta mark set ct mark',
      'ct mark set meta mark',
      `meta mark set meta mark & 0xfffffffe | ${value}`,
      `ct mark set ct mark ^ ${value}`,
      `ct mark set ct mark | ${value}`,
      `meta mark set numgen inc mod ${2 + random.below(3)} offset 1`,
      'log prefix "drawn "',
      ...(hook === 'prerouting' ? ['notrack'] : []),
      ...(ported
        ? [`meta mark set ${l4} dport map @marks`, `ct mark set ${l4} sport map { 80 : 1, 443 : 2, 1024 : 3 }`]
        : []),
      ...(l4 === undefined
        ? ['update @flows { meta l4proto . th dport }', 'add @flows { meta l4proto . th dport counter }']
        : []),
      ...(l3 === 4
        ? [
            'add @seen4 { ip daddr }',
            'update @seen4 { ip daddr limit rate over 1/day burst 5 packets }',
            'delete @seen4 { ip daddr }',
            'ip daddr @seen4',
          ]
        : []),
      ...(l3 === 6 ? ['add @seen6 { ip6 daddr }', 'delete @seen6 { ip6 daddr }', 'ip6 daddr @seen6'] : []),
      ...(l3 === 4 ? [`meta mark set jhash ip daddr mod 4 seed 0x${(1 + random.below(1 << 30)).toString(16)}`] : []),
    ]);
  }

  private verdict(scope: Scope): string {
    const { random } = this;
    const { hook, l4 } = scope;
    const call = this.#calls.length ? random.pick(this.#calls) : undefined;
    const kind = random.weighted(this.#verdicts);
    switch (kind) {
      case 'none':
        return '';
      case 'call':
        return call ? `${random.pick(['jump', 'jump', 'goto'])} ${call}` : '';
      case 'reject':
        return this.reject(scope);
      case 'vmap': {
        const way = (): string =>
          call && random.chance(0.4) ? `jump ${call}` : random.pick(['accept', 'drop', 'continue', 'return']);
        if (l4 === 'tcp' || l4 === 'udp')
          return random.pick([
            `${l4} dport vmap @ways`,
            `${l4} sport vmap { 0-442 : ${way()}, 443 : ${way()}, 1025 : ${way()} }`,
          ]);
        return random.pick([
          `ct state vmap { new : ${way()}, established : ${way()}, invalid : ${way()} }`,
          `ct state . ct direction vmap { established . reply : ${way()}, new . original : ${way()} }`,
          `meta mark vmap { 0 : ${way()}, 1-3 : ${way()} }`,
          ...(l4 === undefined ? [`meta l4proto vmap { tcp : ${way()}, udp : ${way()}, icmp : ${way()} }`] : []),
        ]);
      }
      default:
        // Some packets have to go on: dropped early they show nothing.
        return kind === 'drop' && hook !== 'forward' && random.chance(0.6) ? '' : kind;
    }
  }

  private reject({ hook, l3, l4 }: Scope): string {
    const { random } = this;
    // Postrouting has no reject; what prerouting rejects is answered without a route.
    if (hook !== 'forward' && hook !== 'input') return '';
    if (l4 === 'tcp' && random.chance(0.6)) return 'reject with tcp reset';
    if (l3 === 4)
      return `reject with icmp ${random.pick(['net-unreachable', 'host-unreachable', 'prot-unreachable', 'port-unreachable', 'net-prohibited'])}`;
    if (l3 === 6)
      return `reject with icmpv6 ${random.pick(['no-route', 'admin-prohibited', 'addr-unreachable', 'port-unreachable'])}`;
    return `reject with icmpx ${random.pick(['no-route', 'admin-prohibited', 'host-unreachable', 'port-unreachable'])}`;
  }

  /** Chains that translate, as those of generate-nat.ts. */
  private nat(): string[] {
    const { random, family } = this;
    if (!this.translates) return [];
    const own4 = addressText(OUTSIDE.v4);
    const own6 = addressText(OUTSIDE.v6);
    const few = random.pick(['2000-2003', '1-60', '40000-40200']);
    const inet = family === 'inet';
    const [ip, ip6] = inet ? ['ip ', 'ip6 '] : ['', ''];
    const source4 = [
      `snat ${ip}to ${own4}`,
      `meta l4proto { tcp, udp } snat ${ip}to ${own4}:${few}`,
      `snat ${ip}to ${own4} ${random.pick(['random', 'fully-random'])}`,
      `snat ${ip}to ${own4}-198.18.255.2${random.pick([' persistent', ''])}`,
      `snat ${ip}to ip daddr map { 10.0.0.0/22 : ${own4}, 10.0.4.0/24 : 198.18.255.2 }`,
    ];
    const source6 = [`snat ${ip6}to ${own6}`, `meta l4proto { tcp, udp } snat ${ip6}to [${own6}]:${few}`];
    const target4 = [
      `tcp dport 0-1023 dnat ${ip}to 10.0.0.77:8080`,
      `dnat ${ip}to tcp dport map { 80 : 10.0.0.77, 443 : 10.0.0.78 }`,
      `dnat ${ip}to udp dport map { 80 : 10.0.0.77 . 8080, 443 : 10.0.0.78 . 8443 }`,
    ];
    const target6 = ['udp dport 0-1023 dnat ip6 to [2001:db8::77]:8080'.replace('ip6 to', `${ip6}to`)];
    const draw = (list: string[]): string[] => list.filter(() => random.chance(0.4));
    const [four, six] = [family !== 'ip6', family !== 'ip'];
    return [
      'chain nat_in {',
      `type nat hook prerouting priority ${random.pick(['dstnat', '-90', '-150'])}; policy accept;`,
      ...[...(four ? draw(target4) : []), ...(six ? draw(target6) : [])].map((rule) => `counter ${rule}`),
      '}',
      'chain nat_out {',
      `type nat hook postrouting priority ${random.pick(['srcnat', 'srcnat + 5'])}; policy accept;`,
      ...[...(four ? draw(source4) : []), ...(six ? draw(source6) : [])].map((rule) => `oifname "wan" counter ${rule}`),
      'counter',
      '}',
    ];
  }
}

/** Some of the list, at least one, at most `most`. */
function some<T>(random: Random, list: readonly T[], most: number): T[] {
  const left = [...list];
  return Array.from({ length: 1 + random.below(most) }, () => left.splice(random.below(left.length), 1)[0]!);
}

/** A ruleset for `nft -f`. `translates` is whether some of it is NAT; what outside hosts answer goes to OUTSIDE then (nat-view.ts). */
export function drawNft(random: Random, translates: boolean): string {
  const families = random.pick([['inet'], ['inet'], ['ip', 'ip6'], ['inet', 'ip']] as const);
  return families
    .map((family, index) => new Table(random, family, translates && (index === 0 || family === 'ip6')).text())
    .join('');
}
