// Random nft rulesets with every expression and statement that is executed, over values that generated packets have.

type Next = () => number;

const V4 = ['10.0.0.1', '10.0.0.255', '10.0.0.0/8', '192.168.1.0-192.168.1.9', '8.8.8.0/24', '127.0.0.1', '0.0.0.0/0'];
const V6 = ['2001:db8::1', '2001:db8::/32', 'fd00::-fd00::ff', 'ff02::1', '::1', 'fe80::/10', '::/0'];
const SINGLE4 = ['10.0.0.1', '10.0.0.255', '192.168.1.7', '8.8.8.8'];
const SINGLE6 = ['2001:db8::1', '2001:db8::2', 'fd00::9', 'ff02::1'];
const PORTS = ['22', '53', '80', '443', '0-1023', '1024-65535', '65535', '0'];
const SINGLE_PORTS = ['22', '53', '80', '443', '1024', '40000'];
const INTERFACES = ['"eth0"', '"eth1"', '"lo"', '"ppp0"', '"wlan0"', '"nosuch"'];
const NUMBERS = ['0x0', '0x1', '0x10', '0xff00', '0xffffffff'];
const VERDICTS = ['accept', 'drop', 'continue', 'return'];

export function generateNft(family: 2 | 10, next: Next): string {
  return new Generator(family, next).ruleset();
}

class Generator {
  private readonly v4: boolean;

  constructor(
    family: 2 | 10,
    private readonly next: Next,
  ) {
    this.v4 = family === 2;
  }

  private pick<T>(choices: readonly T[]): T {
    return choices[this.next() % choices.length] as T;
  }

  private one(chance: number): boolean {
    return this.next() % chance === 0;
  }

  private some<T>(choices: readonly T[], most: number): T[] {
    const wanted = 1 + (this.next() % most);
    return [...new Set(Array.from({ length: wanted }, () => this.pick(choices)))];
  }

  ruleset(): string {
    const family = this.pick(['inet', 'inet', this.v4 ? 'ip' : 'ip6']);
    const type = this.v4 ? 'ipv4_addr' : 'ipv6_addr';
    const single = this.v4 ? SINGLE4 : SINGLE6;
    const users = ['one', 'two', 'three'].slice(0, this.next() % 4);
    const lines = [
      `table ${family} t {`,
      `set hosts { type ${type}; flags interval; auto-merge; elements = { ${this.some(this.v4 ? V4.slice(0, 5) : V6.slice(0, 4), 4).join(', ')} }; }`,
      `set exact { type ${type}; elements = { ${this.some(single, 4).join(', ')} }; }`,
      `set pairs { type ${type} . inet_service; flags interval; elements = { ${this.some(single, 2)
        .map((each) => `${each} . ${this.pick(PORTS)}`)
        .join(', ')} }; }`,
      `set names { type ifname; flags interval; elements = { "eth*", ${this.pick(INTERFACES.slice(2))} }; }`,
      `map marks { type inet_service : mark; flags interval; elements = { 0-100 : ${this.pick(NUMBERS)}, 443 : 0x2, 1024-2000 : 0xff }; }`,
      `map ways { type inet_proto . inet_service : verdict; elements = { ${['tcp', 'udp', 'sctp'].map((each) => `${each} . ${this.pick(SINGLE_PORTS)} : ${this.verdict([])}`).join(', ')} }; }`,
      `map jumps { type inet_proto . inet_service : verdict; elements = { ${['tcp', 'udp', 'sctp'].map((each) => `${each} . ${this.pick(SINGLE_PORTS)} : ${this.verdict(users)}`).join(', ')} }; }`,
      `set seen { type ${type}; size ${this.pick([1, 2, 3])}; flags dynamic,timeout; timeout ${this.pick([1, 3, 10])}s; }`,
      `map kept { type ${type} : mark; size 4; flags dynamic; }`,
      'counter total { packets 0 bytes 0 }',
      `limit few { rate ${this.pick(['1/second', '3/minute', 'over 100 bytes/second'])} }`,
      'quota much { over 3000 bytes }',
    ];
    for (const [index, user] of users.entries()) lines.push(...this.chain(user, '', users.slice(0, index)));
    const hook = this.pick(['forward', 'input']);
    const policy = this.pick(['accept', 'drop']);
    lines.push(...this.chain('base', `type filter hook ${hook} priority 0; policy ${policy};`, users), '}');
    return `${lines.join('\n')}\n`;
  }

  private chain(name: string, head: string, users: readonly string[]): string[] {
    // Some chains are longer than one emitted function, or long enough to be found by what they test.
    const long = this.one(12);
    const count = long ? 120 : 1 + (this.next() % 6);
    const rules = Array.from({ length: count }, (_, index) =>
      long && index % 8 !== 0
        ? `tcp dport ${index * 7} ${this.v4 ? 'ip' : 'ip6'} saddr ${this.pick(this.v4 ? SINGLE4 : SINGLE6)} counter`
        : this.rule(users, head !== ''),
    );
    return [`chain ${name} {`, ...(head ? [head] : []), ...rules, '}'];
  }

  private verdict(users: readonly string[]): string {
    const jumps = users.map((user) => `${this.pick(['jump', 'goto'])} ${user}`);
    return this.pick([...VERDICTS, ...jumps]);
  }

  private rule(users: readonly string[], base: boolean): string {
    const parts = Array.from({ length: this.next() % 4 }, () => this.match());
    for (const part of [this.one(2) ? 'counter' : '', this.one(3) ? this.change() : '']) {
      parts.splice(this.next() % (parts.length + 1), 0, part);
    }
    parts.push(this.ending(users, base));
    const text = parts.filter(Boolean).join(' ');
    return text === '' ? 'counter' : text;
  }

  private ending(users: readonly string[], base: boolean): string {
    const verdicts = [...new Set([0, 1, 2].map(() => this.pick(SINGLE_PORTS)))].map(
      (port) => `${port} : ${this.verdict(users)}`,
    );
    return this.pick([
      '',
      this.verdict(users),
      this.verdict(users),
      'reject with icmpx port-unreachable',
      `th dport vmap { ${verdicts.join(', ')} }`,
      `meta l4proto . th dport vmap ${base ? '@jumps' : '@ways'}`,
      `ct state vmap { new : ${this.verdict(users)}, established : ${this.verdict(users)}, * : continue }`,
      `tcp sport vmap { ${verdicts.join(', ')} }`,
    ]);
  }

  private not(): string {
    return this.one(4) ? '!= ' : '';
  }

  private match(): string {
    const ip = this.v4 ? 'ip' : 'ip6';
    const side = this.pick(['saddr', 'daddr']);
    const port = this.pick(['sport', 'dport']);
    const l4 = this.pick(['tcp', 'udp', 'sctp', 'udplite', 'th']);
    const addresses = this.v4 ? V4 : V6;
    return this.pick([
      () => `${ip} ${side} ${this.not()}${this.pick(addresses)}`,
      () => `${ip} ${side} ${this.not()}{ ${this.some(addresses.slice(0, 4), 3).join(', ')} }`,
      () => `${ip} ${side} ${this.not()}${this.pick(['@hosts', '@exact', '@seen'])}`,
      () => `${ip} ${side} . ${l4} ${port} ${this.not()}@pairs`,
      () =>
        `${ip} ${side} & ${this.v4 ? '255.0.0.255' : 'ffff::ffff'} ${this.pick(['==', '!='])} ${this.v4 ? '10.0.0.1' : '2001::1'}`,
      () => `${l4} ${port} ${this.pick(['', '!= ', '< ', '> ', '<= ', '>= '])}${this.pick(SINGLE_PORTS)}`,
      () => `${l4} ${port} ${this.not()}${this.pick(PORTS)}`,
      () => `${l4} ${port} ${this.not()}{ ${this.some(PORTS, 4).join(', ')} }`,
      () =>
        `tcp flags ${this.pick(['syn', '! syn', 'syn,ack', '& (fin|syn) == syn', '== ack', '!= 0x0', '& (syn|rst|ack|fin) == syn'])}`,
      () => `tcp ${this.pick(['window > 0', 'doff 5', 'doff > 5', 'sequence 0', 'urgptr 0'])}`,
      () => `udp length ${this.pick(['> 8', '0', '!= 8'])}`,
      () =>
        this.v4
          ? `icmp type ${this.not()}{ echo-request, 3 }`
          : `icmpv6 type ${this.not()}{ echo-request, nd-neighbor-solicit }`,
      () => (this.v4 ? 'icmp code 1' : 'icmpv6 code 0'),
      () =>
        this.v4
          ? `ip ${this.pick(['ttl 64', 'ttl < 64', 'version 0', 'protocol tcp', 'protocol != udp', 'length > 100', 'frag-off & 0x1fff != 0', 'dscp 0x00', 'hdrlength 0', 'id 0'])}`
          : `ip6 ${this.pick(['hoplimit 64', 'hoplimit > 5', 'nexthdr 0', 'flowlabel 0', 'version 0', 'dscp 0x00'])}`,
      () => `meta l4proto ${this.not()}${this.pick(['tcp', '{ tcp, udp }', '47'])}`,
      () => `meta mark ${this.pick(['', '!= ', '> '])}${this.pick(NUMBERS)}`,
      () => `meta mark & ${this.pick(NUMBERS)} ${this.pick(['==', '!='])} ${this.pick(NUMBERS)}`,
      () => `meta mark ^ 0x1 ${this.pick(['==', '!='])} 0x1`,
      () => `meta length ${this.pick(['40', '> 576', '40-60', '!= 1500'])}`,
      () => `meta pkttype ${this.not()}${this.pick(['host', 'broadcast', 'multicast', 'other'])}`,
      () => `meta nfproto ${this.v4 ? 'ipv4' : 'ipv6'}`,
      () => `meta day ${this.not()}${this.pick(['"Tuesday"', '"Wednesday"'])}`,
      () => `meta hour ${this.pick(['>= "12:00"', '"22:00"-"23:00"'])}`,
      () => `${this.pick(['iifname', 'oifname', 'iif', 'oif'])} ${this.not()}${this.pick(INTERFACES)}`,
      () =>
        `${this.pick(['iifname', 'oifname'])} ${this.not()}${this.pick(['"eth*"', '@names', `{ ${this.some(INTERFACES, 3).join(', ')} }`])}`,
      () =>
        `ct state ${this.pick(['', '! ', '!= '])}${this.pick(['new', 'established,related', 'invalid', 'untracked'])}`,
      () => `ct state { new, untracked }`,
      () => `ct status ${this.pick(['assured', '! assured', 'snat,dnat', 'confirmed', '!= 0x0'])}`,
      () => `ct direction ${this.pick(['original', 'reply'])}`,
      () => `ct mark ${this.not()}${this.pick(NUMBERS)}`,
      () => `ct mark ${this.not()}{ 0x1, 0x10 }`,
      () => `ct mark & 0x11 == ${this.pick(NUMBERS)}`,
      () => `ct expiration ${this.pick(['> 5s', '30s', '1s-1m'])}`,
      () => `ct protocol ${this.not()}${this.pick(['tcp', 'udp'])}`,
      () => `ct l3proto ${this.v4 ? 'ipv4' : 'ipv6'}`,
      () => `ct ${this.pick(['original', 'reply'])} ${ip} ${side} ${this.not()}${this.pick(addresses)}`,
      () =>
        `ct ${this.pick(['original', 'reply'])} proto-${this.pick(['src', 'dst'])} ${this.not()}${this.pick(PORTS)}`,
      () =>
        `ct ${this.pick(['original ', 'reply ', ''])}${this.pick(['bytes > 400', 'packets 3', 'packets < 6', 'avgpkt > 100'])}`,
      () => `ct label ${this.pick(['1', '! 64', '127'])}`,
      () =>
        `fib ${side}${this.pick(['', ' . iif'])} type ${this.not()}${this.pick(['local', 'unicast', '{ multicast, broadcast }'])}`,
      () => (this.v4 ? '@nh,8,8 0' : '@nh,4,8 0'),
      () => '@th,0,32 > 0x160000',
      () => `@th,32,16 ${this.not()}0`,
      () => `ether saddr ${this.not()}02:00:00:00:00:0${this.next() % 3}`,
      () =>
        `limit rate ${this.pick(['over ', ''])}${this.pick(['1/second', '10/minute burst 3 packets', '500 bytes/second'])}`,
      () => `quota ${this.pick(['', 'over '])}2000 bytes`,
      () => `limit name "few"`,
      () => 'quota name "much"',
    ])();
  }

  private change(): string {
    const ip = this.v4 ? 'ip' : 'ip6';
    return this.pick([
      () => `meta mark set ${this.pick(NUMBERS)}`,
      () => 'meta mark set ct mark',
      () => `meta mark set meta mark | ${this.pick(NUMBERS)}`,
      () => `ct mark set ${this.pick(NUMBERS)}`,
      () => 'ct mark set meta mark & 0x10',
      () => 'meta mark set tcp dport map @marks',
      () => 'meta mark set udp sport map { 22 : 0x1, 53 : 0x10 }',
      () => `meta mark set numgen ${this.pick(['inc', 'random'])} mod ${2 + (this.next() % 3)} offset 1`,
      () => `ct label set ${this.pick(['1', '64'])}`,
      () => 'log prefix "drawn "',
      () => 'counter name "total"',
      () =>
        `${this.pick(['add', 'update'])} @seen { ${ip} saddr${this.pick([' ', ' timeout 2s '])}limit rate over 1/second burst 2 packets }`,
      () => `add @seen { ${ip} daddr }`,
      () => `delete @seen { ${ip} saddr }`,
      () => `add @kept { ${ip} saddr : 0x10 }`,
      () => `meta mark set ${ip} daddr map @kept`,
    ])();
  }
}
