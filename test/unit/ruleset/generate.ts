// Random rulesets that iptables-restore accepts, with every match and target that is supported.

type Next = () => number;

/** Values that generated packets have, or nearly have. */
const V4 = {
  networks: [
    '10.0.0.0/8',
    '10.0.0.1',
    '192.168.1.0/24',
    '0.0.0.0/0',
    '10.0.0.1/255.0.0.255',
    '8.8.8.8/31',
    '127.0.0.0/8',
  ],
  ranges: ['10.0.0.1-10.0.0.200', '192.168.1.7', '8.0.0.0-11.0.0.0', '10.0.0.9-10.0.0.1', '0.0.0.0-255.255.255.255'],
};
const V6 = {
  networks: ['2001:db8::/32', '2001:db8::1', '::/0', 'fd00::/8', 'fe80::1:2/ffff::ffff:ffff', 'ff00::/8', '::1/128'],
  ranges: [
    '2001:db8::1-2001:db8::1',
    '::-2001:db8::1',
    '2001:db8::2-ffff::',
    '2001:db8::2-2001:db8::1',
    'fd00::-fd00::ff',
  ],
};
const INTERFACES = ['eth0', 'eth+', 'lo', '+', 'ppp0', 'wlan+', 'e+', 'nosuch'];
const PORTS = ['22', '0:1023', '1024:65535', '80', '443', '53', ':80', '0', '65535', '81:442'];
const MARKS = ['0', '0x1', '0x10/0xff', '0xff00/0xff00', '0x11/0x10', '0xffffffff'];

/** Sets of each type that generated rules look into, for values that generated packets have. */
export const GENERATED_SETS = `
create v4ip hash:ip
add v4ip 10.0.0.1
add v4ip 192.168.1.7
create v4masked hash:ip netmask 16
add v4masked 10.0.0.0
create v4holes hash:ip bitmask 255.0.0.255
add v4holes 10.0.0.1
add v4holes 10.0.0.7
create v4net hash:net
add v4net 10.0.0.0/8
add v4net 10.0.0.0/24 nomatch
add v4net 10.0.0.1
add v4net 8.8.8.8/31
create v4ipport hash:ip,port
add v4ipport 10.0.0.1,tcp:22
add v4ipport 10.0.0.1,udp:53
add v4ipport 10.0.0.1,icmp:echo-request
add v4ipport 8.8.8.8,udplite:80
add v4ipport 10.1.2.3,gre:0
create v4netport hash:net,port
add v4netport 10.0.0.0/8,tcp:443
add v4netport 10.0.0.0/8,udp:0
add v4netport 10.0.0.0/24,tcp:443 nomatch
add v4netport 192.168.0.0/16,sctp:80
create v4triple hash:ip,port,ip
add v4triple 10.0.0.1,tcp:80,10.0.0.255
add v4triple 10.0.0.1,udp:53,10.0.0.1
create v4ipportnet hash:ip,port,net
add v4ipportnet 10.0.0.1,tcp:22,10.0.0.0/8
add v4ipportnet 10.1.2.3,udp:1024,8.0.0.0/6 nomatch
add v4ipportnet 10.1.2.3,udp:1024,0.0.0.0/1
create v4range bitmap:ip range 10.0.0.0-10.0.0.255
add v4range 10.0.0.1
create v6ip hash:ip family inet6
add v6ip 2001:db8::1
create v6net hash:net family inet6
add v6net 2001:db8::/32
add v6net 2001:db8::2 nomatch
add v6net fe80::/10
create v6netport hash:net,port family inet6
add v6netport 2001:db8::/48,tcp:80
add v6netport fe80::/64,udp:53
add v6netport ::/1,icmpv6:135/0
create v6triple hash:ip,port,ip family inet6
add v6triple 2001:db8::1,tcp:22,fd00::9
create ports bitmap:port range 0-65535
add ports 22
add ports 53
add ports 0
create list list:set
add list v4ip
add list v6net
add list ports
`;
const SETS = {
  4: ['v4ip', 'v4masked', 'v4holes', 'v4net', 'v4ipport', 'v4netport', 'v4triple', 'v4ipportnet', 'v4range'],
  6: ['v6ip', 'v6net', 'v6netport', 'v6triple'],
  both: ['ports', 'list'],
};

/**
 * `conservative` leaves out what iptables cannot keep: the nf_tables back end refuses the inversion of what matches every
 * address, and `-i +` is an interface test to the kernel and none to iptables-save.
 */
export function generateRuleset(family: 2 | 10, next: Next, options: { conservative?: boolean } = {}): string {
  const text = new Generator(family, next).ruleset();
  if (!options.conservative) return text;
  return text.replaceAll(/! (-[sd] (0\.0\.0\.0|::)\/0)/g, '$1').replaceAll(/(! )?-[io] \+/g, '');
}

/** One rule's matches and target for `-A chain`, without `-j` of user chains. */
export function generateRule(family: 2 | 10, next: Next, table: string): string {
  return new Generator(family, next).rule(table, 'FORWARD', []);
}

const TRACKING = [
  '-j CT --notrack',
  '-j NOTRACK',
  '-j CT',
  '-j CT --zone 7',
  '-j CT --zone mark',
  '-j CT --zone-orig 1',
  '-j CT --ctevents new,destroy --zone-reply 3',
];

class Generator {
  constructor(
    private readonly family: 2 | 10,
    private readonly next: Next,
  ) {}

  private pick<T>(choices: readonly T[]): T {
    return choices[this.next() % choices.length] as T;
  }

  private one(chance: number): boolean {
    return this.next() % chance === 0;
  }

  private not(): string {
    return this.one(4) ? '! ' : '';
  }

  ruleset(): string {
    const lines: string[] = [];
    const tables: [string, string[]][] = [
      ['filter', ['INPUT', 'FORWARD']],
      [this.pick(['raw', 'mangle', 'security']), []],
    ];
    for (const [table, listed] of tables) {
      const only = { raw: 'PREROUTING', security: 'OUTPUT' }[table] ?? 'FORWARD';
      const bases = listed.length > 0 ? listed : [only];
      lines.push(`*${table}`);
      for (const base of bases) lines.push(`:${base} ${this.pick(['ACCEPT', 'DROP'])} [0:0]`);
      const users = ['one', 'two', 'three'].slice(0, this.next() % 4);
      for (const user of users) lines.push(`:${user} - [0:0]`);
      for (const chain of [...bases, ...users]) {
        const below = users.slice(users.indexOf(chain) + 1);
        // Some chains are longer than one emitted function.
        const rules = this.one(60) ? 300 : 1 + (this.next() % 5);
        for (let count = 0; count < rules; count++) {
          const [short] = [`-A ${chain} -m mark --mark 0x${(count % 7).toString(16)}0000`];
          lines.push(rules === 300 ? short : `-A ${chain} ${this.rule(table, chain, below)}`.replaceAll(/ +/g, ' '));
        }
        if (rules === 300) lines.push(`-A ${chain} -j ${this.pick(['ACCEPT', 'RETURN', 'DROP'])}`);
      }
      lines.push('COMMIT');
    }
    return `${lines.join('\n')}\n`;
  }

  rule(table: string, chain: string, users: readonly string[]): string {
    const parts: string[] = [];
    const networks = (this.family === 2 ? V4 : V6).networks;
    if (this.one(3)) parts.push(`${this.not()}-s ${this.pick(networks)}`);
    if (this.one(3)) parts.push(`${this.not()}-d ${this.pick(networks)}`);
    const named = chain.toLowerCase() === chain || chain === 'FORWARD' || chain === 'OUTPUT';
    if (this.one(4) && chain !== 'OUTPUT') parts.push(`${this.not()}-i ${this.pick(INTERFACES)}`);
    if (this.one(5) && named) parts.push(`${this.not()}-o ${this.pick(INTERFACES)}`);
    if (table === 'raw' && this.one(4)) {
      const options = ['--loose', '--validmark', '--accept-local', '--invert'].filter(() => this.one(2));
      parts.push(`-m rpfilter ${options.join(' ')}`);
    }
    const { text, protocol } = this.protocol();
    parts.push(text);
    const count = this.pick([0, 1, 1, 1, 2]);
    for (let each = 0; each < count; each++) {
      const match = this.match();
      // Of that table only OUTPUT is generated, where packets have no sender's address, and a sender.
      parts.push(table === 'security' && match.startsWith('-m mac') ? this.owner() : match);
    }
    parts.push(this.target(table, protocol, users));
    return parts.filter(Boolean).join(' ');
  }

  private protocol(): { text: string; protocol: string } {
    const icmp = this.family === 2 ? 'icmp' : 'ipv6-icmp';
    switch (this.next() % 10) {
      case 9:
        return { text: `-p sctp -m sctp ${this.ports()} ${this.chunks()}`, protocol: 'sctp' };
      case 0:
      case 1:
        return { text: `-p tcp ${this.tcp()}`, protocol: 'tcp' };
      case 2:
        return { text: `-p udp -m udp ${this.ports()}`, protocol: 'udp' };
      case 3: {
        const types =
          this.family === 2 ? ['8', '3/1', 'any', '0/0', 'time-exceeded'] : ['128', '1/3', '135', '1', 'echo-reply'];
        const [match, option] = this.family === 2 ? ['icmp', 'icmp-type'] : ['icmp6', 'icmpv6-type'];
        return { text: `-p ${icmp} -m ${match} ${this.not()}--${option} ${this.pick(types)}`, protocol: icmp };
      }
      case 4: {
        const protocol = this.pick(['tcp', 'udp', 'udplite', 'sctp']);
        const option = this.pick(['sports', 'dports', 'ports']);
        const list = this.pick(['22,80,443', '0:100,443', '53', '1,2,3,4,5,6,7,8,9,10,11,12,13,22,80', '1024:65535']);
        return { text: `-p ${protocol} -m multiport ${this.not()}--${option} ${list}`, protocol };
      }
      case 5:
        return { text: `${this.not()}-p ${this.pick(['tcp', 'udp', icmp, '47'])}`, protocol: '' };
      case 6:
        return { text: this.family === 2 && this.one(2) ? `${this.not()}-f` : '', protocol: '' };
      default:
        return { text: '', protocol: '' };
    }
  }

  private chunks(): string {
    if (this.one(4)) return '';
    const list = this.pick([
      'DATA',
      'INIT,INIT_ACK',
      'DATA:Be,SACK',
      'DATA:e',
      'ABORT:T,SHUTDOWN_COMPLETE:t,DATA',
      'ALL',
      'NONE',
      'COOKIE_ECHO,DATA:UB',
      'ASCONF,ASCONF_ACK,FORWARD_TSN,RE_CONFIG,DATA',
    ]);
    return `${this.not()}--chunk-types ${this.pick(['any', 'all', 'only'])} ${list}`;
  }

  private ports(): string {
    const sport = this.one(3) ? `${this.not()}--sport ${this.pick(PORTS)}` : '';
    return `${sport} ${this.one(2) ? `${this.not()}--dport ${this.pick(PORTS)}` : ''}`;
  }

  private tcp(): string {
    const flags = this.pick([
      '',
      '',
      '--syn',
      '--tcp-flags ALL NONE',
      '--tcp-flags SYN,RST SYN',
      '--tcp-flags ACK ACK',
    ]);
    const tests = `-m tcp ${this.ports()} ${flags && this.not()}${flags}`;
    const option = this.one(4) ? `${this.not()}--tcp-option ${this.pick(['2', '5', '3', '1'])}` : '';
    const mss = this.one(4) ? `-m tcpmss ${this.not()}--mss ${this.pick(['1460', '500:600', '0:65535'])}` : '';
    return `${tests} ${option} ${mss}`;
  }

  private match(): string {
    const { family } = this;
    const { networks: all, ranges } = family === 2 ? V4 : V6;
    // iptables-save loses conntrack's masks with holes.
    const networks = all.filter((network) => !/\/.*[.:]/.test(network));
    switch (this.next() % 22) {
      case 18:
      case 19:
        return this.recent();
      case 20:
      case 21:
        return this.hashlimit();
      case 15:
      case 16: {
        const set = this.pick([...SETS[family === 2 ? 4 : 6], ...SETS.both]);
        const flags = Array.from({ length: this.pick([1, 2, 2, 3, 3, 3]) }, () => this.pick(['src', 'dst'])).join(',');
        return `-m set ${this.not()}--match-set ${set} ${flags}${this.pick(['', '', '', ' --return-nomatch'])}`;
      }
      case 17:
        if (this.one(3)) return `-m physdev ${this.not()}--physdev-in br+ ${this.pick(['', '! --physdev-is-bridged'])}`;
        if (this.one(4)) return `-m quota ${this.not()}--quota ${this.pick(['0', '1000', '0x2000'])}`;
        return this.one(2)
          ? `-m statistic --mode random ${this.not()}--probability ${this.pick(['0', '0.5', '1', '.3333', '2e-1'])}`
          : `-m statistic --mode nth ${this.not()}--every ${this.pick(['1 --packet 0', '3 --packet 2', '0x2 --packet 0'])}`;
      case 14: {
        const range = this.pick(['0:10', '5', '100:1000', '3:3', '0:', '1000000:', '4294967295:4294967297']);
        const mode = this.pick(['packets', 'bytes', 'avgpkt']);
        const direction = this.pick(['original', 'reply', 'both']);
        return `-m connbytes ${this.not()}--connbytes ${range} --connbytes-mode ${mode} --connbytes-dir ${direction}`;
      }
      case 13:
        return `-m connlabel ${this.not()}--label "${this.pick([0, 1, 63, 64, 127])}"${this.pick(['', ' --set'])}`;
      case 0:
        return `-m state ${this.not()}--state ${this.pick(['NEW', 'RELATED,ESTABLISHED', 'INVALID', 'UNTRACKED'])}`;
      case 1:
      case 2: {
        const tests = [
          `${this.not()}--ctstate ${this.pick(['NEW,INVALID', 'ESTABLISHED', 'SNAT', 'DNAT,NEW', 'UNTRACKED'])}`,
          `${this.not()}--ctproto ${this.pick(['tcp', '17'])}`,
          `${this.not()}--ctorigsrc ${this.pick(networks)}`,
          `${this.not()}--ctrepldst ${this.pick(networks)}`,
          `${this.not()}--ctorigdst ${this.pick(networks)}`,
          `${this.not()}--ctreplsrc ${this.pick(networks)}`,
          `${this.not()}--ctorigsrcport ${this.pick(['22', '0:1024'])}`,
          `${this.not()}--ctorigdstport ${this.pick(['80', '1024:65535'])}`,
          `${this.not()}--ctreplsrcport ${this.pick(['443', '0:1024'])}`,
          `${this.not()}--ctrepldstport ${this.pick(['53', '1:2'])}`,
          `${this.not()}--ctstatus ${this.pick(['ASSURED', 'NONE', 'CONFIRMED,EXPECTED', 'SEEN_REPLY'])}`,
          `${this.not()}--ctexpire ${this.pick(['0', '1:30', '5'])}`,
          `--ctdir ${this.pick(['ORIGINAL', 'REPLY'])}`,
        ];
        const first = this.next() % tests.length;
        const second = this.next() % tests.length;
        const chosen = first === second ? [first] : [first, second];
        return `-m conntrack ${chosen.map((index) => tests[index]).join(' ')}`;
      }
      case 3:
        return `-m mark ${this.not()}--mark ${this.pick(MARKS)}`;
      case 4:
        return `-m connmark ${this.not()}--mark ${this.pick(MARKS)}`;
      case 5:
        return '-m comment --comment "a rule"';
      case 6: {
        const types =
          family === 2
            ? ['LOCAL', 'UNICAST', 'BROADCAST,MULTICAST', 'ANYCAST']
            : ['LOCAL', 'UNICAST', 'MULTICAST', 'UNICAST,UNREACHABLE', 'UNSPEC'];
        return `-m addrtype ${this.not()}--${this.pick(['src', 'dst'])}-type ${this.pick(types)}`;
      }
      case 7:
        return `-m iprange ${this.not()}--${this.pick(['src', 'dst'])}-range ${this.pick(ranges)}`;
      case 8:
        return `-m mac ${this.not()}--mac-source 02:00:00:00:00:0${this.next() % 3}`;
      case 9:
        if (this.one(2)) return this.service();
        return `-m pkttype ${this.not()}--pkt-type ${this.pick(['unicast', 'broadcast', 'multicast', 'otherhost'])}`;
      case 10:
        return `-m length ${this.not()}--length ${this.pick(['40', '0:576', '577:', '1500'])}`;
      case 11: {
        const name = family === 2 ? 'ttl' : 'hl';
        const test = this.pick(['eq 64', 'lt 5', 'gt 64', 'gt 255', 'lt 0']);
        return `-m ${name} ${test.startsWith('eq') ? this.not() : ''}--${name}-${test}`;
      }
      default:
        return `-m limit --limit ${this.pick(['1/s', '10/min', '3/hour', '1000/second'])} --limit-burst ${this.pick([1, 3, 5])}`;
    }
  }

  private service(): string {
    const not = this.not();
    switch (this.next() % 3) {
      case 0:
        return `-m tos ${not}--tos ${this.pick(['0x10/0x3f', '0xb8', 'Normal-Service', '0x11/0x10', '0/0', '1/0x3'])}`;
      case 1:
        return `-m dscp ${not}--${this.pick(['dscp 0x2e', 'dscp 4', 'dscp-class CS1', 'dscp-class ef', 'dscp-class BE'])}`;
      default:
        return `-m ecn ${not}--ecn-ip-ect ${this.next() % 4}`;
    }
  }

  private owner(): string {
    const tests = [
      `${this.not()}--uid-owner ${this.pick(['0', '0-5', '1000', '0x10-4294967294'])}`,
      `${this.not()}--gid-owner ${this.pick(['0', '5-8'])}`,
      `--gid-owner 7 --suppl-groups`,
      `${this.not()}--socket-exists`,
      `${this.not()}--socket-exists ${this.not()}--uid-owner 3 ${this.not()}--gid-owner 7`,
    ];
    return `-m owner ${this.pick(tests)}`;
  }

  private recent(): string {
    const mask = this.family === 2 ? '255.255.255.0' : 'ffff:ffff::';
    const name = this.pick(['--name one', '--name two', '', `--name net --mask ${mask}`]);
    const side = this.pick(['--rsource', '--rdest', '']);
    const does = this.pick(['set', 'set', 'rcheck', 'update', 'remove']);
    if (does === 'set' || does === 'remove') return `-m recent ${this.not()}--${does} ${name} ${side}`;
    const seconds = this.pick(['', '--seconds 2', '--seconds 10', '--seconds 20 --reap', '--seconds 1 --reap']);
    const hits = this.pick(['', '--hitcount 2', '--hitcount 5', '--hitcount 40']);
    return `-m recent ${this.not()}--${does} ${seconds} ${hits} ${this.pick(['', '', '--rttl'])} ${name} ${side}`;
  }

  /** Tables by their numbers: rules that share one must agree on everything else. */
  private hashlimit(): string {
    const bits = this.family === 2 ? 24 : 32;
    const [name, options] = this.pick([
      ['a', '10/sec --hashlimit-mode srcip'],
      ['b', `2/min --hashlimit-burst 3 --hashlimit-mode srcip,dstport --hashlimit-srcmask ${bits}`],
      ['c', `1/s --hashlimit-mode dstip --hashlimit-dstmask ${bits} --hashlimit-htable-expire 3000`],
      ['d', '512b/s --hashlimit-mode srcip,srcport,dstip,dstport'],
      ['e', '1kb/s --hashlimit-burst 3k --hashlimit-mode dstip'],
      ['f', '5/min --hashlimit-htable-size 1 --hashlimit-htable-max 3 --hashlimit-mode srcport'],
      ['g', '20/sec --hashlimit-rate-match --hashlimit-rate-interval 2 --hashlimit-mode srcip'],
      ['h', '100b/s --hashlimit-rate-match'],
      ['i', '7/hour --hashlimit-burst 1 --hashlimit-htable-expire 500 --hashlimit-htable-gcinterval 10000'],
    ] as const);
    return `-m hashlimit --hashlimit-${this.pick(['upto', 'above'])} ${options} --hashlimit-name ${name}`;
  }

  private target(table: string, protocol: string, users: readonly string[]): string {
    const kinds =
      this.family === 2
        ? ['icmp-net-unreachable', 'icmp-port-unreachable', 'icmp-admin-prohibited']
        : ['icmp6-no-route', 'icmp6-adm-prohibited', 'icmp6-policy-fail'];
    switch (this.next() % 16) {
      case 0:
      case 1:
        return '';
      case 2:
        return '-j ACCEPT';
      case 3:
        return '-j DROP';
      case 4:
        return '-j RETURN';
      case 5:
        if (table !== 'filter') return '-j ACCEPT';
        return `-j REJECT --reject-with ${protocol === 'tcp' && this.one(2) ? 'tcp-reset' : this.pick(kinds)}`;
      case 6:
        return '-j LOG --log-prefix "seen: " --log-level 4';
      case 7:
        return '-j NFLOG --nflog-group 3';
      case 8:
        return `-j MARK --${this.pick(['set-xmark 0x10/0xff', 'set-mark 0x1', 'and-mark 0xf0', 'or-mark 0x3', 'xor-mark 0x11'])}`;
      case 9:
      case 10:
        return `-j CONNMARK --${this.pick(['set-mark 0x10/0xf0', 'save-mark', 'restore-mark', 'or-mark 0x4', 'set-xmark 0x1/0xff', 'save-mark --nfmask 0xff --ctmask 0xff00', 'restore-mark --mask 0xff'])}`;
      case 11:
        return table === 'raw' ? this.pick(TRACKING) : '-j NFQUEUE --queue-num 2';
      case 12:
        return this.pick(['-j ACCEPT', '']);
      default:
        return users.length === 0 ? '' : `-${this.pick(['j', 'j', 'g'])} ${this.pick(users)}`;
    }
  }
}
