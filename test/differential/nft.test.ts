// Are listings of nft read and changed as the comparison needs them? The texts are as nft 1.0.6 prints them.

import { describe, expect, it } from 'vitest';
import { statesOf, withCounters, withoutOwnTables } from './nft.ts';

const LISTING = `table inet ctreplay_watch {
	chain received {
		type filter hook prerouting priority -2000000000; policy accept;
		log prefix "R" group 4242
	}
}
table ip fw {
	counter total {
		packets 3 bytes 84
	}

	set seen {
		type ipv4_addr
		size 64
		flags dynamic,timeout
		timeout 1m
		elements = { 10.0.0.1 expires 59s996ms, 10.0.0.2 counter packets 2 bytes 56 timeout 5s expires 1s,
			     10.0.0.3 }
	}

	chain forward { # handle 1
		type filter hook forward priority filter; policy accept;
		tcp dport { 80, 443,
			    8080 } accept # handle 4
		ip saddr 10.0.0.1 counter packets 2 bytes 56 drop comment "with { a brace"
		meta mark set 0x00000001
	}
}
`;

const JSON_LISTING = JSON.stringify({
  nftables: [
    { metainfo: { version: '1.0.6' } },
    { table: { family: 'inet', name: 'ctreplay_watch', handle: 1 } },
    { chain: { family: 'inet', table: 'ctreplay_watch', name: 'received', handle: 1 } },
    { counter: { family: 'ip', name: 'total', table: 'fw', handle: 2, packets: 3, bytes: 84 } },
    {
      set: { family: 'ip', name: 'seen', table: 'fw', elem: ['10.0.0.3', { elem: { val: '10.0.0.1', expires: 59 } }] },
    },
    {
      rule: { family: 'ip', table: 'fw', chain: 'forward', handle: 4, expr: [{ counter: { packets: 1, bytes: 28 } }] },
    },
    { rule: { family: 'ip', table: 'fw', chain: 'forward', handle: 9, expr: [{ drop: null }] } },
  ],
});

describe('listings of nft', () => {
  it('lose the tables of the comparison', () => {
    expect(withoutOwnTables(LISTING)).toBe(LISTING.slice(LISTING.indexOf('table ip fw')));
    expect(withoutOwnTables(JSON_LISTING)).not.toContain('ctreplay_watch');
    expect(withoutOwnTables(JSON_LISTING)).toContain('"handle":9');
  });

  it('say what was counted, by rule, object and element', () => {
    expect(Object.fromEntries(statesOf(LISTING.slice(LISTING.indexOf('table ip fw'))))).toEqual({
      'counter ip fw/total': 'packets 3 bytes 84',
      'ip fw/seen 10.0.0.1': '',
      'ip fw/seen 10.0.0.2': 'counter packets 2 bytes 56 timeout 5s',
      'ip fw/seen 10.0.0.3': '',
      'ip fw/forward/1': 'tcp dport { 80, 443, 8080 } accept',
      'ip fw/forward/2': 'ip saddr 10.0.0.1 counter packets 2 bytes 56 drop comment "with { a brace"',
      'ip fw/forward/3': 'meta mark set 0x00000001',
    });
    expect(Object.fromEntries(statesOf(JSON_LISTING))).toEqual({
      'counter ip fw/total': '{"packets":3,"bytes":84}',
      'ip fw/seen "10.0.0.3"': '{}',
      'ip fw/seen "10.0.0.1"': '{}',
      'ip fw/forward/1': '[{"counter":{"packets":1,"bytes":28}}]',
      'ip fw/forward/2': '[{"drop":null}]',
    });
  });
});

describe('a counter for each rule', () => {
  const rule = (text: string): string =>
    withCounters(`table ip fw {\n\tchain forward {\n\t\t${text}\n\t}\n}\n`).split('\n')[2]!.trim();

  it.each([
    ['accept', 'counter accept'],
    ['tcp dport 80 drop comment "a"', 'tcp dport 80 counter drop comment "a"'],
    ['jump more', 'counter jump more'],
    ['iifname "lan" reject with icmp port-unreachable', 'iifname "lan" counter reject with icmp port-unreachable'],
    ['tcp dport 80 dnat to 10.0.0.1:8080', 'tcp dport 80 counter dnat to 10.0.0.1:8080'],
    ['oifname "wan" masquerade', 'oifname "wan" counter masquerade'],
    ['tcp dport vmap { 80 : accept, 81 : drop }', 'counter tcp dport vmap { 80 : accept, 81 : drop }'],
    ['meta mark set 0x1', 'meta mark set 0x1 counter'],
    ['tcp dport 80 counter packets 0 bytes 0 accept', 'tcp dport 80 counter packets 0 bytes 0 accept'],
    [
      'type filter hook forward priority filter; policy accept;',
      'type filter hook forward priority filter; policy accept;',
    ],
  ])('%s', (before, after) => {
    expect(rule(before)).toBe(after);
  });

  it('not in sets', () => {
    const set = 'table ip fw {\n\tset seen {\n\t\ttype ipv4_addr\n\t\tsize 64\n\t}\n}\n';
    expect(withCounters(set)).toBe(set);
  });
});
