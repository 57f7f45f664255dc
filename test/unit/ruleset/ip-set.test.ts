// Is the output of `ipset save` read as ipset means it? The real tool where it is installed, and what is refused.
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { RulesetError } from '../../../src/errors.ts';
import { parseRulesets } from '../../../src/ruleset/index.ts';
import type { IpSets } from '../../../src/ruleset/ipset/ipset.ts';
import { parseIpSets } from '../../../src/ruleset/ipset/parse.ts';
import { GENERATED_SETS } from './generate.ts';

const installed =
  process.getuid?.() === 0 &&
  ['ipset', 'unshare'].every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0);
if (!installed) console.warn('SKIPPED: sets that ipset saves (needs root, ipset and unshare)');

/** Sets by name, without the order of their elements and the places of their lines. */
function content(sets: IpSets): unknown {
  const ordered = [...sets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  return ordered.map((set) => {
    if (set.kind === 'list') return [set.name, set.type, set.members.map(({ name }) => name)];
    const { name, type, parts, family, mask, barePorts } = set;
    const elements = set.elements.map((element) => JSON.stringify(element)).sort();
    return { name, type, parts, family, mask, barePorts, elements };
  });
}

function refusal(text: string): string {
  try {
    parseIpSets('sets', text);
  } catch (error) {
    if (error instanceof RulesetError) return error.message.replace('sets:', '');
    throw error;
  }
  return '';
}

describe('ipset save', () => {
  it.skipIf(!installed)('of the real tool means what was given to it', () => {
    const options = `
create timed hash:ip,port timeout 100 counters comment skbinfo maxelem 10
add timed 10.0.0.1,tcp:1 timeout 0 packets 3 bytes 4 comment "a b"
add timed 10.0.0.2,udplite:7 timeout 0 skbmark 0x1/0xff skbprio 1:2 skbqueue 3
create ported hash:net,port family inet6
add ported 2001:db8::/33,icmpv6:neighbour-solicitation
add ported 2001:db8::/33,icmpv6:200/3
add ported ::/1,esp:0
`;
    const saved = spawnSync('unshare', ['--net', 'sh', '-c', 'ipset restore && ipset save'], {
      input: GENERATED_SETS + options,
      encoding: 'utf8',
    });
    expect(saved.stderr).toBe('');
    expect(content(parseIpSets('saved', saved.stdout))).toEqual(
      content(parseIpSets('given', GENERATED_SETS + options)),
    );
  });

  it('has a word per address, port and mark', () => {
    const sets = parseIpSets(
      'sets',
      'create s hash:net,port,net\nadd s 10.1.2.3/16,udp:53,10.0.0.0/9 timeout 7 nomatch\n' +
        'create m hash:mac\nadd m 02:00:00:00:00:01\ncreate k hash:ip,mark\nadd k 1.2.3.4,0xff\n' +
        'create n hash:net,net family inet6\nadd n 2001:db8::1/32,::1\n',
    );
    const elements = [...sets.values()].map((set) => (set.kind === 'elements' ? set.elements : []));
    expect(elements).toEqual([
      // 10.1.0.0 and 10.0.0.0 as a little-endian machine loads them.
      [{ words: [0x0000010a, (17 << 16) | 53, 0x0000000a], lengths: [16, 9], nomatch: true, left: 7 }],
      [{ words: [0x00000002, 0x00000100], lengths: [], nomatch: false }],
      [{ words: [0x04030201, 0xff], lengths: [], nomatch: false }],
      [{ words: [0xb80d0120, 0, 0, 0, 0, 0, 0, 0x01000000], lengths: [32, 128], nomatch: false }],
    ]);
  });

  it('is refused with the place of what is wrong', () => {
    const set = 'create s hash:ip\n';
    const cases: [string, string][] = [
      ['destroy s', "1:1: expected 'create' or 'add'"],
      ['create s', "1:1: 'create' lacks something"],
      ['create s hash:ips', '1:10: unknown type of a set'],
      ['create s hash:net,iface', '1:10: sets of type hash:net,iface are not supported'],
      ['create s hash:ip family inet7', "1:25: the family is neither 'inet' nor 'inet6'"],
      ['create s hash:ip netmask 33', '1:26: the netmask is not a number up to 32'],
      ['create s hash:ip colour red', "1:18: option 'colour' of a set"],
      ['create s hash:ip netmask', "1:18: 'netmask' needs a value"],
      ['create s hash:ip,mark markmask 0xf', "1:32: option 'markmask' of a set"],
      [`create ${'n'.repeat(32)} hash:ip`, '1:8: the name is too long'],
      [`${set}${set}`, "2:8: set 's' exists already"],
      ['add s 10.0.0.1', "1:5: set 's' does not exist"],
      [`${set}add s 10.0.0.256`, "2:7: '10.0.0.256' is not an address of this set"],
      [`${set}add s ::1`, "2:7: '::1' is not an address of this set"],
      [`${set}add s 10.0.0.1,tcp:80`, '2:7: not an element of a set of type hash:ip'],
      [`${set}add s 10.0.0.1 nomatch`, "2:16: 'nomatch' in a set of type hash:ip"],
      [`${set}add s 10.0.0.1 timeout x`, '2:24: the timeout is not a number'],
      [`${set}add s 10.0.0.1 timeout 1 timeout 2`, "2:26: 'timeout' is given twice"],
      ['create s hash:net\nadd s 10.0.0.0/33', "2:7: '10.0.0.0/33' is not a network"],
      ['create s hash:ip,port\nadd s 10.0.0.1,tcp:http8', "2:7: 'tcp:http8' is not a protocol and port"],
      ['create s hash:ip,port\nadd s 10.0.0.1,gre:1', "2:7: 'gre:1' is not a protocol and port"],
      ['create s bitmap:port range 0-9\nadd s 65536', '2:7: the port is not a number up to 65535'],
      ['create s bitmap:ip,mac range 10.0.0.0/24\nadd s 10.0.0.1', '2:7: an element that waits for its MAC address'],
      ['create s hash:mac\nadd s 02:00:00:00:00', "2:7: '02:00:00:00:00' is not a MAC address"],
      ['create l list:set\nadd l s', "2:7: set 's' does not exist"],
      [`${set}create l list:set\nadd l s before t`, "3:16: option 'before' of a member of a list"],
    ];
    const said = cases.map(([text, message]) => [text, refusal(text).slice(0, message.length)]);
    expect(said).toEqual(cases);
  });
});

describe('-m set', () => {
  const sets = parseIpSets(
    'sets',
    'create four hash:ip\ncreate six hash:ip family inet6\ncreate ports bitmap:port range 0-1\n',
  );

  function said(options: string, known: IpSets | undefined = sets): string {
    const text = `*filter\n-A FORWARD -m set ${options}\nCOMMIT\n`;
    try {
      parseRulesets([{ file: 'rules', text, family: 2, ...(known && { sets: known }) }]);
    } catch (error) {
      if (error instanceof RulesetError) return error.message.replace('rules:2:', '');
      throw error;
    }
    return '';
  }

  it('needs a set of the rule’s family that the host has', () => {
    expect(said('--match-set four src')).toBe('');
    expect(said('--match-set ports dst,src')).toBe('');
    expect(said('--match-set five src')).toMatch(/^31: there is no such set: 'five'/);
    expect(said('--match-set six src')).toMatch(/^31: the set is of the other family: 'six'/);
    expect(said('--match-set four from')).toMatch(/^36: neither 'src' nor 'dst'/);
    expect(said('--match-set four src,src,src,src')).toMatch(/^36: more than 3/);
    expect(said('--match-set four src --packets-gt 3')).toMatch(/^40: .*packets-gt.* not supported/);
    expect(said('--return-nomatch')).toMatch(/needs --match-set/);
  });

  it('needs the ipset file', () => {
    const text = '*filter\n-A FORWARD -m set --match-set four src\nCOMMIT\n';
    expect(() => parseRulesets([{ file: 'rules', text, family: 2 }])).toThrow(/what is in the set is not known/);
  });
});
