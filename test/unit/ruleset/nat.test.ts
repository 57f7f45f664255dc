// NAT rules: what is read, and what is refused as iptables or the kernel refuses it (tried with iptables 1.8.9).

import { describe, expect, it } from 'vitest';
import { NatFlag, NatKind } from '../../../assembly/vocabulary.ts';
import { compileRuleset, explain, parseRulesets, printCounters } from '../../../src/ruleset/index.ts';

function parse(rule: string, family: 2 | 10 = 2) {
  return parseRulesets([{ file: 'r', text: `*nat\n${rule}\nCOMMIT\n`, family }]);
}

function binding(rule: string, family: 2 | 10 = 2) {
  const [nat] = compileRuleset(parse(rule, family), { interfaceTable: 0, tableBase: 1 }).nats;
  return nat!.binding;
}

const { MAP_IPS, PROTO_SPECIFIED, PROTO_RANDOM, PROTO_RANDOM_FULLY, PERSISTENT, PROTO_OFFSET } = NatFlag;

describe('NAT rules', () => {
  it.each([
    ['-A POSTROUTING -j SNAT --to-source 1.2.3.4', NatKind.SNAT, MAP_IPS, [1, 2, 3, 4], [1, 2, 3, 4], undefined],
    [
      '-A POSTROUTING -p udp -j SNAT --to-source 1.2.3.4-1.2.3.9:5-6 --random --random-fully --persistent',
      NatKind.SNAT,
      MAP_IPS | PROTO_SPECIFIED | PROTO_RANDOM | PROTO_RANDOM_FULLY | PERSISTENT,
      [1, 2, 3, 4],
      [1, 2, 3, 9],
      { low: 5, high: 6 },
    ],
    [
      '-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:1000-1100/2000',
      NatKind.DNAT,
      MAP_IPS | PROTO_SPECIFIED | PROTO_OFFSET,
      [10, 0, 0, 1],
      [10, 0, 0, 1],
      { low: 1000, high: 1100, base: 2000 },
    ],
    [
      '-A PREROUTING -p tcp -j DNAT --to-destination :http',
      NatKind.DNAT,
      PROTO_SPECIFIED,
      undefined,
      undefined,
      { low: 80, high: 80 },
    ],
    [
      '-A POSTROUTING -p icmp -j MASQUERADE --to-ports 5-6 --random-fully',
      NatKind.MASQUERADE,
      PROTO_SPECIFIED | PROTO_RANDOM_FULLY,
      undefined,
      undefined,
      { low: 5, high: 6 },
    ],
    ['-A PREROUTING -j REDIRECT', NatKind.REDIRECT, 0, undefined, undefined, undefined],
    [
      '-A PREROUTING -j NETMAP --to 192.168.1.7/24',
      NatKind.NETMAP,
      MAP_IPS,
      [192, 168, 1, 0],
      [192, 168, 1, 255],
      undefined,
    ],
  ])('%s', (rule, kind, flags, low, high, ports) => {
    const found = binding(rule);
    expect({ kind: found.kind, flags: found.flags, ports: found.ports }).toEqual({ kind, flags, ports });
    expect(found.addresses && [[...found.addresses.low], [...found.addresses.high]]).toEqual(low && [low, high]);
  });

  it.each([
    ['-A PREROUTING -p tcp -j DNAT --to-destination [2001:db8::1]:1000-1100/2000', '1 -> 1', 1000, 2000],
    ['-A POSTROUTING -p udp -j SNAT --to-source [2001:db8::1-2001:db8::9]:80', '1 -> 9', 80, undefined],
    ['-A POSTROUTING -j SNAT --to-source 2001:db8::1-2001:db8::9', '1 -> 9', undefined, undefined],
    ['-A PREROUTING -p tcp -j DNAT --to-destination :80', '', 80, undefined],
    ['-A PREROUTING -p tcp -j DNAT --to-destination []:80', '', 80, undefined],
  ])('%s (IPv6)', (rule, ends, port, base) => {
    const { addresses, ports } = binding(rule, 10);
    expect(addresses ? `${addresses.low.at(-1)} -> ${addresses.high.at(-1)}` : '').toBe(ends);
    expect([ports?.low, ports?.base]).toEqual([port, base]);
  });

  it.each([
    ['-A PREROUTING -j DROP', "refuses DROP in table 'nat'"],
    ['-A POSTROUTING -p udplite -j SNAT --to-source 1.2.3.4:5-6', 'needs -p tcp, udp, sctp or icmp'],
    ['-A POSTROUTING -j MASQUERADE --to-ports 5', 'needs -p tcp, udp, sctp or icmp'],
    ['-A POSTROUTING -p dccp -j SNAT --to-source 1.2.3.4:5', 'ports of DCCP'],
    ['-A POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4:90-80', 'ends before it starts'],
    ['-A PREROUTING -p tcp -j REDIRECT --to-ports 80-90/100', 'not a port or port range'],
    ['-A POSTROUTING -p tcp -j SNAT --to-source 1.2.3.4:80-90/100', 'not a port or port range'],
    ['-A PREROUTING -p tcp -j DNAT --to-destination 1.2.3.4:80/90', 'not a port or port range'],
    ['-A PREROUTING -j SNAT --to-source 1.2.3.4', "target 'SNAT' is not valid in PREROUTING"],
    ['-A POSTROUTING -j DNAT --to-destination 1.2.3.4', "target 'DNAT' is not valid in POSTROUTING"],
    ['-A INPUT -j MASQUERADE', "target 'MASQUERADE' is not valid in INPUT"],
    ['-A POSTROUTING -j SNAT', 'needs --to-source'],
    ['-A PREROUTING -p tcp -j REJECT', "valid only in table 'filter'"],
  ])('%s is refused', (rule, message) => {
    expect(() => parse(rule)).toThrow(message);
  });

  it('make one lane track everything, and say which rule does', () => {
    const compiled = (rule: string) => compileRuleset(parse(rule), { interfaceTable: 0, tableBase: 1 }).oneLane;
    expect(compiled('-A POSTROUTING -j ACCEPT')).toBeUndefined();
    expect(compiled('-A POSTROUTING -j ACCEPT\n-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE')).toBeUndefined();
    expect(compiled('-A POSTROUTING -s 10.0.0.0/8 -j MASQUERADE')).toMatchObject({
      reason: 'NAT: rule nat/POSTROUTING/1',
    });
  });

  it('are explained and counted', () => {
    const ruleset = parse('-A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:1000-1100/2000');
    expect(explain(ruleset)).toContain('[ nat dnat addr 0x0a000001 proto 1000-1100/2000 flags 0x00000023 ]');
    expect(explain(ruleset)).toContain('ip nat POSTROUTING hook postrouting priority 100 policy accept');
    expect(printCounters(ruleset, () => ({ packets: 3n, bytes: 4n }))).toContain(
      '[3:4] -A PREROUTING -p tcp -j DNAT --to-destination 10.0.0.1:1000-1100/2000',
    );
  });
});
