// Random chains long enough to be found by what their rules test: stretches of like rules with values that packets have
// or nearly have, with verdicts, side effects and jumps between them.
import { generateRule } from './generate.ts';

type Next = () => number;

const V4 = ['10.0.0.1', '10.0.0.255', '10.1.2.3', '192.168.1.7', '127.0.0.1', '224.0.0.5', '8.8.8.8'];
const V6 = ['2001:db8::1', '2001:db8::2', 'fd00::9', 'ff02::1', '::1', '::', 'fe80::1:2'];
const PORTS = [0, 22, 53, 80, 443, 1024, 40000, 65535];
const INTERFACES = ['lo', 'eth0', 'eth1', 'ppp0', 'wlan0', 'eth+', 'e+', 'p+', '+'];
const MARKS = ['0x0', '0x1', '0x10', '0xff00', '0x11', '0xffffffff', '0x10/0xff', '0xff00/0xff00'];
const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'NEW,RELATED', 'SNAT', 'DNAT,NEW'];

/** `rules` rules of filter/FORWARD, user chains `one` (short) and `two` (long). */
export function generateLongRuleset(family: 2 | 10, next: Next, rules: number): string {
  return new LongChain(family, next).ruleset(rules);
}

class LongChain {
  constructor(
    private readonly family: 2 | 10,
    private readonly next: Next,
  ) {}

  ruleset(rules: number): string {
    const lines = ['*filter', `:FORWARD ${this.pick(['ACCEPT', 'DROP'])} [0:0]`, ':one - [0:0]', ':two - [0:0]'];
    lines.push(...this.chain('FORWARD', rules, ['one', 'one', 'one', 'two']));
    lines.push(...this.chain('one', 3, []));
    lines.push(...this.chain('two', 150, ['one']));
    return `${[...lines, 'COMMIT'].join('\n')}\n`;
  }

  private pick<T>(choices: readonly T[]): T {
    return choices[this.next() % choices.length] as T;
  }

  private one(chance: number): boolean {
    return this.next() % chance === 0;
  }

  private chain(name: string, rules: number, below: readonly string[]): string[] {
    const lines: string[] = [];
    while (lines.length < rules) {
      const forms = Array.from({ length: this.pick([1, 1, 2, 4]) }, () => this.next() % 13);
      // Some stretches change what others test.
      const marking = this.one(4);
      for (let left = this.pick([5, 40, 90, 200]); left > 0 && lines.length < rules; left--) {
        lines.push(`-A ${name} ${this.rule(this.pick(forms), below, marking)}`.replaceAll(/ +/g, ' '));
      }
    }
    return lines;
  }

  private rule(form: number, below: readonly string[], marking: boolean): string {
    const not = this.one(12) ? '!' : '';
    switch (form) {
      case 0:
        return `${not} -s ${this.address()} ${this.target(below, marking)}`;
      case 1:
        return `${not} -d ${this.network()} ${this.target(below, marking)}`;
      case 2:
        return `-p tcp -m tcp ${not} --dport ${this.ports()} ${this.target(below, marking)}`;
      case 3:
        return `${this.pick(['-p udp -m udp', '-p sctp -m sctp'])} ${not} --sport ${this.ports()} ${this.target(below, marking)}`;
      case 4: {
        const protocol = this.pick(['tcp', 'udp', 'udplite', 'sctp']);
        const list = [this.port(), this.port(), this.ports()].join(',');
        return `-p ${protocol} -m multiport ${not} --${this.pick(['dports', 'sports', 'ports'])} ${list} ${this.target(below, marking)}`;
      }
      case 5:
        return `${not} -${this.pick(['i', 'o'])} ${this.interface()} ${this.target(below, marking)}`;
      case 6:
        return `-m mark ${not} --mark ${this.pick(MARKS)} ${this.target(below, true)}`;
      case 7:
        return `-s ${this.network()} -p tcp -m tcp --dport ${this.ports()} -m conntrack ${not} --ctstate ${this.pick(STATES)} ${this.target(below, marking)}`;
      case 8:
        return `-m iprange ${not} --src-range ${this.range()} ${this.target(below, marking)}`;
      case 9:
        return `-s ${this.address()} -d ${this.network()} -p udp -m udp --dport ${this.ports()} -m mark --mark ${this.pick(MARKS)} ${this.target(below, marking)}`;
      case 10:
        return `-p tcp -m tcp --dport ${this.port()} --tcp-flags ${this.pick(['SYN,ACK SYN', 'ALL NONE', 'ACK ACK'])} ${this.target(below, marking)}`;
      case 11:
        return `-s ${this.address()} -m conntrack ${not} --ctstate ${this.pick(STATES)} ${this.target(below, marking)}`;
      default: {
        // Anything that a rule may be; most of what would end the packet's way is left out.
        const rule = generateRule(this.family, this.next, 'filter');
        return this.one(10) ? rule : rule.replace(/-j (ACCEPT|DROP|RETURN|REJECT.*|NFQUEUE.*)$/, '');
      }
    }
  }

  private address(): string {
    const last = this.next() % 40;
    const near = this.family === 2 ? [`10.0.0.${last}`, `10.1.2.${last}`] : [`2001:db8::${last}`, `fd00::${last}`];
    return this.pick([this.pick(this.family === 2 ? V4 : V6), ...near]);
  }

  private network(): string {
    const length = this.pick(
      this.family === 2 ? [0, 7, 8, 15, 16, 24, 30, 31, 32] : [0, 7, 10, 32, 63, 64, 65, 127, 128],
    );
    if (this.one(30)) return this.family === 2 ? '10.0.0.1/255.0.0.255' : 'fe80::1:2/ffff::ffff:ffff';
    return `${this.address()}/${length}`;
  }

  private range(): string {
    return `${this.address()}-${this.address()}`;
  }

  private port(): number {
    return this.one(2) ? this.pick(PORTS) : this.next() % 200;
  }

  private ports(): string {
    const low = this.port();
    const high = Math.min(65535, low + this.pick([1, 30, 1000, 65535]));
    return high > low && this.one(3) ? `${low}:${high}` : `${low}`;
  }

  private interface(): string {
    return this.one(2) ? this.pick(INTERFACES) : `eth${this.next() % 50}`;
  }

  private target(below: readonly string[], marking: boolean): string {
    if (this.one(40)) return this.pick(['-j ACCEPT', '-j DROP', '-j REJECT', '-j RETURN', '-j NFQUEUE --queue-num 1']);
    if (marking && this.one(8)) {
      return this.pick(['-j MARK --set-mark 0x1', '-j MARK --set-xmark 0x10/0xff', '-j CONNMARK --restore-mark']);
    }
    if (this.one(20))
      return `-${this.pick(['j', 'j', 'g'])} ${this.pick(below) ?? 'FORWARD'}`.replace(/-. FORWARD$/, '');
    return this.pick([
      '',
      '',
      '-j LOG',
      '-j NFLOG --nflog-group 1',
      '-j CONNMARK --set-mark 0x10/0xf0',
      '-j CONNMARK --save-mark',
      '-m limit --limit 1/s --limit-burst 2',
      '-m connlabel --label "3" --set',
    ]);
  }
}
