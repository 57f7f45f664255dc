// Which uses of helpers does the kernel take (xt_ct_set_helper() in net/netfilter/xt_CT.c), and what do they compile to?
import { describe, expect, it } from 'vitest';
import { Helper } from '../../../assembly/vocabulary.ts';
import { RulesetError } from '../../../src/errors.ts';
import { helpersLike } from '../../../src/ruleset/helpers.ts';
import { compileRuleset, parseRulesets } from '../../../src/ruleset/index.ts';

const raw = (rule: string): string => `*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING ${rule}\nCOMMIT\n`;

const compiled = (text: string, family: 2 | 10 = 2) =>
  compileRuleset(parseRulesets([{ file: 'rules', text, family }]), { interfaceTable: 0, tableBase: 1 });

function refusal(text: string, family: 2 | 10 = 2): string {
  try {
    compiled(text, family);
  } catch (error) {
    if (error instanceof RulesetError) return error.message;
    throw error;
  }
  return '';
}

describe('CT --helper', () => {
  it('is a template of a rule that gives a helper', () => {
    const { templates, oneLane, helping } = compiled(raw('-p tcp -m tcp --dport 21 -j CT --helper ftp'));
    expect(templates).toMatchObject([{ helper: 'ftp', zone: 0 }]);
    expect(oneLane).toBeUndefined();
    expect(helping).toMatchObject([{ rule: { chain: 'PREROUTING', number: 1 }, helper: 'ftp' }]);
  });

  it('needs one protocol, and a helper of that protocol and family', () => {
    expect(refusal(raw('-j CT --helper ftp'))).toContain('rules:3:30: --helper needs -p');
    expect(refusal(raw('! -p udp -j CT --helper ftp'))).toContain('--helper needs -p');
    expect(refusal(raw('-p udp -j CT --helper ftp'))).toContain("no helper 'ftp' for this protocol");
    expect(refusal(raw('-p tcp -j CT --helper FTP'))).toContain("no helper 'FTP'");
    expect(refusal(raw('-p tcp -j CT --helper irc'))).toBe('');
    expect(refusal(raw('-p tcp -j CT --helper irc'), 10)).toContain("no helper 'irc'");
  });
});

describe('CT --helper of H.323', () => {
  it.each([
    ['RAS', 'udp', 'tcp'],
    ['Q.931', 'tcp', 'udp'],
    ['H.245', 'udp', 'tcp'], // the kernel registers it so
  ])('%s is a helper of %s, in both families', (name, protocol, other) => {
    expect(refusal(raw(`-p ${protocol} -j CT --helper ${name}`))).toBe('');
    expect(refusal(raw(`-p ${protocol} -j CT --helper ${name}`), 10)).toBe('');
    expect(refusal(raw(`-p ${other} -j CT --helper ${name}`))).toContain(`no helper '${name}'`);
  });
});

describe('-m helper', () => {
  it('means the helpers whose name the text begins with, all if it is empty', () => {
    expect(helpersLike('ftp')).toBe(1 << Helper.FTP);
    expect(helpersLike('ftp-2121')).toBe(1 << Helper.FTP);
    expect(helpersLike('ft')).toBe(0);
    expect(helpersLike('tftp')).toBe(1 << Helper.TFTP);
    expect(helpersLike('Q.931')).toBe(1 << Helper.Q931);
    expect(helpersLike('snmp_trap')).toBe((1 << Helper.SNMP) | (1 << Helper.SNMP_TRAP));
    expect(helpersLike('') & (1 << Helper.AMANDA)).not.toBe(0);
  });
});
