// Which nft rulesets do the generated packets meet? Seeded: tables of one family and of both, chains at any priority, and rules
// with tests, changes and verdicts (generate-nft-matches.ts has the tests).
// Each rule has a counter, at any place in it.

import type { Random } from '../model/random.ts';
import { addressText } from './frames.ts';
import { type Hook, Matches, PORTS, type Scope, some } from './generate-nft-matches.ts';
import { OUTSIDE } from './nat-view.ts';

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
  readonly #matches: Matches;
  readonly #verdicts: Record<(typeof VERDICTS)[number], number>;
  readonly #calls: string[] = [];

  constructor(
    private readonly random: Random,
    private readonly family: 'ip' | 'ip6' | 'inet',
    private readonly translates: boolean,
  ) {
    this.#matches = new Matches(random);
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
    const parts = Array.from({ length: random.below(4) }, () => this.#matches.match(scope)).filter(Boolean);
    if (random.chance(0.25)) parts.splice(random.below(parts.length + 1), 0, this.change(scope));
    parts.splice(random.below(parts.length + 1), 0, 'counter');
    if (random.chance(0.05)) parts.push('counter name "total"');
    const verdict = this.verdict(scope);
    // Else nft puts `meta l4proto tcp` to the beginning, and lists it where another place is meant.
    if (verdict === 'reject with tcp reset') parts.unshift('tcp dport != 1');
    return [...parts, verdict].filter(Boolean).join(' ');
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
/** A ruleset for `nft -f`. `translates` is whether some of it is NAT; what outside hosts answer goes to OUTSIDE then (nat-view.ts). */
export function drawNft(random: Random, translates: boolean): string {
  const families = random.pick([['inet'], ['inet'], ['ip', 'ip6'], ['inet', 'ip']] as const);
  return families
    .map((family, index) => new Table(random, family, translates && (index === 0 || family === 'ip6')).text())
    .join('');
}
