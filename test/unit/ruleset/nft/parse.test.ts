// Which tables, chains, sets and rules does an nft text have, and what is refused, and where?
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Hook } from '../../../../assembly/vocabulary.ts';
import { RulesetError } from '../../../../src/errors.ts';
import type { Match, NftSource, Statement, Value } from '../../../../src/ruleset/nft/ast.ts';
import { numberOf } from '../../../../src/ruleset/nft/ast.ts';
import { parseNftJson } from '../../../../src/ruleset/nft/json.ts';
import { parseNft } from '../../../../src/ruleset/nft/parse.ts';

const RULESETS = fileURLToPath(new URL('../../../../../shared/rulesets/', import.meta.url));

/** A rule in a chain of an inet table, its line and column being 3 and 1. */
function inChain(rule: string, family = 'inet'): string {
  return `table ${family} t {\nset s { type ipv4_addr; }; map m { type ipv4_addr : mark; }; chain x { }; chain c {\n${rule}\n}\n}\n`;
}

function statementsOf(rule: string, family = 'inet'): Statement[] {
  const chains = parseNft('f', inChain(rule, family)).tables[0]?.chains ?? [];
  return chains.find(({ name }) => name === 'c')?.rules[0]?.statements ?? [];
}

/** `line:column message`, of what is refused. */
function refusal(text: string, parse: (file: string, text: string) => NftSource = parseNft): string {
  try {
    parse('f', text);
  } catch (error) {
    if (!(error instanceof RulesetError)) throw error;
    return error.message.split('\n')[0]?.replace(/^f:/, '') ?? '';
  }
  return 'taken';
}

/** Rules of each chain as one text. */
function chainsOf(text: string): Record<string, string[]> {
  const chains = parseNft('f', text).tables.flatMap((table) =>
    table.chains.map(({ name, rules }) => [`${table.family} ${table.name} ${name}`, rules.map((rule) => rule.text)]),
  );
  return Object.fromEntries(chains) as Record<string, string[]>;
}

function valueOfMatch(rule: string, family?: string): Value {
  const [match] = statementsOf(rule, family);
  const { right } = match as Match;
  if (right.kind !== 'value') throw new Error(`${rule}: ${right.kind}`);
  return right;
}

describe.skipIf(!existsSync(RULESETS))('rulesets of real hosts', () => {
  const files = existsSync(RULESETS) ? readdirSync(RULESETS).filter((name) => name.endsWith('.nft')) : [];

  it.each(files)('%s', (name) => {
    const text = readFileSync(`${RULESETS}${name}`, 'utf8')
      // Flowtables are not simulated: the rule that uses one is refused, the rest is read.
      .replace(/^.*flow offload @ft;$/m, '');
    const source = parseNft(name, text);
    const lines = text.split('\n');
    const count = (pattern: RegExp): number => lines.filter((line) => pattern.test(line)).length;
    const chains = source.tables.flatMap((table) => table.chains);
    expect(chains).toHaveLength(count(/^\tchain /));
    expect(source.tables.flatMap(({ sets }) => sets)).toHaveLength(count(/^\t(set|map) /));
    // What stands on a line of its own within a chain and is no declaration.
    let rules = 0;
    let within = false;
    for (const line of lines) {
      if (/^\tchain /.test(line)) within = true;
      else if (/^\t}/.test(line)) within = false;
      else if (within && !/^\s*($|#|type |policy |comment )/.test(line)) rules++;
    }
    expect(chains.flatMap((chain) => chain.rules)).toHaveLength(rules);
    expect(source.counters).toHaveLength(text.match(/\bcounter\b(?![";])/g)?.length ?? 0);
  });
});

describe('the input language', () => {
  it('has commands, blocks, definitions and comments, which mean the same', () => {
    const blocks = `table inet t {
      chain y { }
      chain c {
        type filter hook forward priority mangle + 5; policy drop;
        iifname "eth0" ip saddr { 10.0.0.1, 10.0.0.2 } tcp dport 80 accept
        tcp dport { 22, 80 } drop
      }
    }`;
    const commands = `#!/usr/sbin/nft -f
      table inet t   # declared
      delete table inet t
      table inet old { chain c { accept; } }
      flush ruleset
      define lan = "eth0"; define one = 10.0.0.1
      define both = { $one,
                      10.0.0.2 }   # over lines
      add table inet t
      add chain inet t y
      add chain inet t c { type filter hook forward priority mangle + 5; policy drop; }
      add rule inet t c tcp dport { 22, 80 } drop
      insert rule inet t c iifname $lan ip saddr $both \\
        tcp dport 80 accept
    `;
    const plain = (source: NftSource): unknown =>
      source.tables.map(({ family, name, chains }) => [
        family,
        name,
        chains.map((chain) => [
          chain.name,
          { ...chain.base, at: 0 },
          chain.rules.map(({ statements }) => JSON.stringify(statements, (key, value) => (key === 'at' ? 0 : value))),
        ]),
      ]);
    expect(plain(parseNft('f', commands))).toEqual(plain(parseNft('f', blocks)));
    expect(chainsOf(commands)['inet t c']).toEqual([
      'iifname $lan ip saddr $both tcp dport 80 accept',
      'tcp dport { 22, 80 } drop',
    ]);
  });

  it.each([
    ['priority 0', 0],
    ['priority -300', -300],
    ['priority filter - 5', -5],
    ['priority raw+10', -290],
    ['priority dstnat', -100],
    ['priority srcnat - 1', 99],
    ['priority security', 50],
    ['priority mangle', -150],
  ])('%s', (text, priority) => {
    const source = parseNft('f', `table ip t { chain c { type filter hook output ${text}; } }`);
    expect(source.tables[0]?.chains[0]?.base).toMatchObject({ hook: Hook.OUTPUT, priority, policy: 'accept' });
  });

  it('keeps handles, comments, places and texts of rules', () => {
    const text = `table ip t { # handle 3
	chain c { # handle 7
		type filter hook input priority filter; policy accept;
		ip saddr {	10.0.0.1,
			10.0.0.2 }   counter packets 3 bytes 4 log prefix "two  blanks # no comment" comment "why" # handle 12
	}
}
`;
    const [table] = parseNft('f', text).tables;
    expect([table?.handle, table?.chains[0]?.handle]).toEqual([3, 7]);
    const [rule] = table?.chains[0]?.rules ?? [];
    expect(rule).toMatchObject({ handle: 12, number: 1, comment: 'why' });
    expect(rule?.text).toBe(
      'ip saddr { 10.0.0.1, 10.0.0.2 } counter log prefix "two  blanks # no comment" comment "why"',
    );
    expect(rule?.statements.map(({ at }) => text.slice(at.start, at.end).slice(0, 8))).toEqual([
      'ip saddr',
      'counter ',
      'log pref',
    ]);
  });

  it('leaves out what is dormant, or never sees a packet, only when it is executed', () => {
    const [first, second] = parseNft(
      'f',
      'table ip d { flags dormant; chain c { accept; } }\ntable arp a { chain c { arp operation 1; } }',
    ).tables;
    expect(first).toMatchObject({ dormant: true, chains: [{ name: 'c' }] });
    expect(second).toMatchObject({ family: 'arp', chains: [] });
  });

  it.each([
    ['tcp dport ssh', 22],
    ['tcp dport 0x16', 22],
    ['tcp dport 026', 22],
    ['meta mark 0x1 | 0x10', 17],
    ['meta mark (1 << 4) & 0xf0', 16],
    ['ip protocol icmp', 1],
    ['meta l4proto esp', 50],
    ['icmp type echo-request', 8],
    ['icmpv6 type nd-router-advert', 134],
    ['icmp code host-prohibited', 10],
    ['ip dscp cs1', 8],
    ['ip6 ecn ce', 3],
    ['ct state established,related', 6],
    ['ct state (new | untracked)', 72],
    ['ct status dnat', 32],
    ['ct direction reply', 1],
    ['ct expiration 1m30s', 90_000],
    ['ct expiration 30', 30_000],
    ['meta pkttype multicast', 2],
    ['meta day "Saturday"', 6],
    ['meta day sun', 0],
    ['meta hour "01:02:03"', 3723],
    ['meta nfproto ipv6', 10],
    ['meta protocol ip6', 0x86dd],
    ['meta priority 1:2', 0x10002],
    ['fib daddr type local', 2],
    ['tcp flags syn,ack', 18],
    ['ip saddr 10.0.0.1', 0x0a000001],
    ['igmp type membership-query', 17],
    ['dccp type reset', 7],
  ])('%s', (rule, number) => {
    expect(numberOf(valueOfMatch(rule))).toBe(number);
  });

  it.each([
    ['tcp flags syn', 'any'],
    ['tcp flags syn,ack', 'any'],
    ['tcp flags ! syn', 'none'],
    ['tcp flags == syn', '=='],
    ['tcp flags != syn,ack', '!='],
    ['tcp flags syn / syn,ack', '=='],
    ['tcp flags & (syn | ack) == syn', '=='],
    ['ct state new', 'any'],
    ['ct state { new, established }', '=='],
    ['meta mark 5', '=='],
    ['meta hour "22:00"-"02:00"', '!='],
    ['tcp dport ne 5', '!='],
    ['tcp dport ge 5', '>='],
  ])('%s compares by %s', (rule, op) => {
    expect(statementsOf(rule)[0]).toMatchObject({ kind: 'match', op });
  });

  it('takes the networks of prefixes and the ends of ranges', () => {
    const right = (rule: string): unknown => (statementsOf(rule)[0] as Match).right;
    expect(right('ip saddr 10.1.2.3/8')).toMatchObject({
      kind: 'prefix',
      length: 8,
      value: { bytes: Uint8Array.of(10, 0, 0, 0) },
    });
    expect(right('ip saddr 10.1.2.3/32')).toMatchObject({ kind: 'value', bytes: Uint8Array.of(10, 1, 2, 3) });
    expect(right('tcp dport 5-6')).toMatchObject({ kind: 'range', low: { bytes: Uint8Array.of(0, 5) } });
    expect(right('iifname "eth*"')).toMatchObject({ kind: 'name', text: 'eth', prefix: true });
    expect(right('iifname "eth\\*"')).toMatchObject({ kind: 'name', text: 'eth*', prefix: false });
  });

  it('takes names of labels from connlabel.conf', () => {
    const text = inChain('ct label odd');
    expect(refusal(text)).toMatch(/^3:10: label 'odd' is not known/);
    const source = parseNft('f', text, { labels: new Map([['odd', 9]]) });
    const match = source.tables[0]?.chains.find(({ name }) => name === 'c')?.rules[0]?.statements[0] as Match;
    expect(numberOf(match.right as Value)).toBe(512);
  });
});

describe('refusals', () => {
  it.each([
    ['tcp dport 70000', '3:11: the value does not fit into 16 bits'],
    ['tcp dport nosuch', "3:11: 'nosuch' is not a value of type inet_service"],
    ['tcp dport 90-80', '3:11: the range ends before it starts'],
    ['tcp nosuch 5', "3:1: 'tcp nosuch' is not supported"],
    ['ip saddr fe80::1', "3:10: 'fe80::1' is not an IPv4 address"],
    ['ip saddr gateway', "3:10: 'gateway' is not an IPv4 address: names of hosts are not resolved"],
    ['ip saddr 10.0.0.0/33', '3:10: a prefix of this has at most 32 bits'],
    ['ip saddr @nosuch', "3:10: set 'nosuch' does not exist in table inet t"],
    ['jump nosuch', "3:6: chain 'nosuch' does not exist in table inet t"],
    ['goto c', '1:1'],
    ['counter name "nosuch"', "3:14: counter 'nosuch' does not exist in table inet t"],
    ['meta nosuch 5', "3:6: 'meta nosuch' is not supported"],
    ['ct nosuch 5', "3:4: 'ct nosuch' is not supported"],
    ['ip daddr 10.0.0.1 tproxy to :80', "3:19: 'tproxy' is not supported"],
    ['socket transparent 1', "3:1: 'socket' is not supported"],
    ['flow add @ft', "3:1: 'flow' is not supported"],
    ['xt match "recent"', '3:1: nft cannot say what this rule of iptables-nft does'],
    ['log level audit', "3:11: log level 'audit' is not supported"],
    ['numgen inc mod 0 1', '3:12: the modulus is 0'],
    ['limit rate 5/fortnight', '3:12: the rate has no known unit'],
    ['reject with icmp nosuch', "3:18: 'nosuch' is not a code"],
    ['add @m { ip saddr : nosuch }', "3:21: 'nosuch' is not a value of type mark"],
    ['accept 5', "3:8: expected an expression, but found '5'"],
    ['tcp dport', '3:10: expected a value, but the line ends'],
    ['tcp dport { 22 80 }', "3:16: expected ',' or '}', but found '80'"],
    ['tcp dport "', '3:11: the quote is not closed'],
    ['accept comment "a" accept', "3:20: expected the end of the rule, but found 'accept'"],
    ['tcp dport $port', "3:11: 'port' is not defined"],
    [`meta mark ${'('.repeat(100)}1`, '3:43: nested deeper than 32'],
    [`meta mark & ${'1 & '.repeat(100)} 1 == 1`, '3:1: more than 64 operators'],
    ['§', "3:1: unexpected '§'"],
  ])('%s', (rule, message) => {
    const found = refusal(inChain(rule));
    // A jump to the chain itself is only a loop where something reaches it.
    if (rule === 'goto c') expect(found).toBe('taken');
    else expect(found).toContain(message);
  });

  it.each([
    ['table bridge b { }', '1:7: tables of family bridge are not supported'],
    ['table netdev n { }', '1:7: tables of family netdev are not supported'],
    ['include "/etc/nftables.d/*"', "1:1: 'include' is not supported"],
    ['list ruleset', "1:1: 'list' is not supported: give what nft list ruleset prints"],
    ['delete rule ip t c handle 5', "1:1: 'delete rule' is not supported"],
    ['add rule ip t c accept', '1:10: table ip t does not exist'],
    ['nonsense', "1:1: 'nonsense' is neither a command nor a table"],
    ['table ip t {\n chain c {', "2:11: expected '}', but the text ends"],
    [
      'table ip t {\n chain c { type filter hook ingress priority 0; }\n}',
      '2:29: chains at hook ingress are not supported',
    ],
    [
      'table ip t {\n chain c { type nat hook forward priority 0; }\n}',
      '2:12: chains of type nat are not at hook forward',
    ],
    ['table ip t {\n chain c { type nat hook output priority raw; }\n}', '2:42: chains of type nat come behind'],
    ['table ip t {\n chain c { policy drop; }\n}', '2:12: only base chains have a policy'],
    ['table ip t {\n chain c { type filter hook input priority 0; jump c; }\n}', "2:52: 'c' is a base chain"],
    [
      'table ip t {\n chain a { type filter hook input priority 0; jump b; }\n chain b { jump d; }\n chain d { ip saddr vmap { 1.1.1.1 : goto b }; }\n}',
      '4:38: the chains form a loop: b -> d -> b',
    ],
    ['table ip t {\n set s { flags interval; }\n}', "2:6: the type of set 's' is missing"],
    ['table ip t {\n set s { type nosuch; }\n}', "2:15: type 'nosuch' is not supported"],
    ['table ip t {\n set s { type ipv4_addr; elements = { 10.0.0.0/8 }; }\n}', '2:39: an interval in set'],
    ['table ip t {\n map m { type ipv4_addr; }\n}', "2:24: expected ':', but the line ends"],
    ['table ip t {\n ct helper h { }\n}', "2:12: the type of helper 'h' is missing"],
    ['define a = { 1, 2', "1:18: the definition of 'a' does not end"],
  ])('%s', (text, message) => {
    expect(refusal(text)).toContain(message);
  });

  it('tells how deep chains may call each other', () => {
    const chain = (index: number): string => `chain c${index} { ${index < 20 ? `jump c${index + 1};` : ''} }`;
    const chains = Array.from({ length: 20 }, (_, index) => chain(index + 1)).join('\n');
    expect(refusal(`table ip t {\nchain b { type filter hook input priority 0; jump c1; }\n${chains}\n}`)).toContain(
      'more than 16 chains jump to each other',
    );
  });

  it('does not let definitions grow without end', () => {
    const doubled = Array.from({ length: 40 }, (_, index) => `define a${index + 1} = { $a${index}, $a${index} }`);
    expect(refusal(`define a0 = 1\n${doubled.join('\n')}\n`)).toContain('definitions stand for more than');
  });

  it.each([
    [
      '{"nftables": [{"table": {"family": "ip", "name": "t"}},\n {"rule": {"family": "ip", "table": "t", "chain": "c", "expr": []}}]}',
      "2:11: chain 'c' does not exist",
    ],
    ['{"nftables": [{"table": {"family": "netdev", "name": "t"}}]}', '1:25: tables of family netdev are not supported'],
    [
      '{"nftables": [{"table": {"family": "ip", "name": "t"}}, {"chain": {"family": "ip", "table": "t", "name": "c"}},\n' +
        '{"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": "nosuch"}}]}}]}',
      "2:10: 'nosuch' is not a value of type inet_service (in: nosuch)",
    ],
    ['{"nftables": [{"table": {"family": "ip"', '1:25: not JSON'],
    ['{"nftables": 5}', '1:1: expected an array "nftables"'],
    [
      '{"nftables": [{"table": {"family": "ip", "name": "t"}}, {"chain": {"family": "ip", "table": "t", "name": "c"}}, {"rule": {"family": "ip", "table": "t", "chain": "c", "expr": [{"xt": {"type": "match", "name": "recent"}}]}}]}',
      'nft cannot say what this rule of iptables-nft does',
    ],
  ])('%s', (text, message) => {
    expect(refusal(text, parseNftJson)).toContain(message);
  });

  it('leaves tables of iptables-nft to iptables-save', () => {
    const text =
      '# Warning: table ip filter is managed by iptables-nft, do not touch!\ntable ip filter {\n\tchain INPUT {\n\t\txt match "recent"\n\t}\n}\ntable ip own {\n}\n';
    expect(refusal(text)).toContain('4:3: nft cannot say what');
    const source = parseNft('f', text, { saved: new Map([['ip filter', false]]) });
    expect(source.tables.map(({ name }) => name)).toEqual(['own']);
  });
});
