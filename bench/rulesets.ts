// Rulesets of any size for benchmarks: what no generated packet matches, one form each, and the last rule accepts.

export interface Form {
  name: string;
  rule: (n: number) => string;
}

export const BY_SOURCE: Form = { name: 'by source', rule: (n) => `-s ${source(n)}/32 -j DROP` };
export const BY_PORT: Form = {
  name: 'by port',
  rule: (n) => `-p tcp -m tcp --dport ${20_000 + (n % 45_000)} -s 172.16.0.0/12 -j DROP`,
};
/** Five kinds of rules by turns. */
export const MIXED: Form = { name: 'mixed', rule: mixed };
export const FORMS: readonly Form[] = [BY_SOURCE, BY_PORT, MIXED];

export interface RulesetOptions {
  /** Packets of a flow that has an entry pass at the first rule. */
  stateful?: boolean;
}

/** iptables-save text of a filter table with `count` rules in FORWARD. */
export function ruleset(count: number, { rule }: Form, options: RulesetOptions = {}): string {
  const rules: string[] = options.stateful ? ['-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'] : [];
  for (let n = 0; rules.length < count - 1; n++) rules.push(rule(n));
  if (count > 0) rules.push('-j ACCEPT');
  return [
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD DROP [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ...rules.map((each) => `-A FORWARD ${each}`),
    'COMMIT',
    '',
  ].join('\n');
}

function source(n: number): string {
  return `172.${16 + ((n >> 16) & 15)}.${(n >> 8) & 255}.${n & 255}`;
}

function mixed(n: number): string {
  switch (n % 5) {
    case 0:
      return `-s ${source(n)}/32 -j DROP`;
    case 1:
      return `-d 192.0.2.${n & 255}/32 -p tcp -m tcp --dport 443 -j ACCEPT`;
    case 2:
      return `-p udp -m udp --dport ${1024 + (n % 60_000)} -j ACCEPT`;
    case 3:
      return `-i eth${n & 63} -p tcp -m multiport --dports 25,110,143 -j REJECT --reject-with tcp-reset`;
    default:
      return `-s 192.168.${n & 255}.0/24 -m conntrack --ctstate INVALID -j DROP`;
  }
}
