// What does emitted code do with a packet: verdicts, chains, counters, states, marks, limits?
import { describe, expect, it } from 'vitest';
import { ChainVerdict, CtState, Dir, EventBit, Proto, RejectWith, Status } from '../../../assembly/vocabulary.ts';
import { WORLD } from '../../../src/engine/layout.ts';
import { ruleName } from '../../../src/ruleset/index.ts';
import { ipv4, ipv6, RuleBench, type TestPacket } from './rule-bench.ts';

const SECOND = 1_000_000_000n;

const SYN: TestPacket = {
  family: 2,
  source: ipv4('10.0.0.1'),
  destination: ipv4('192.168.1.7'),
  sport: 40000,
  dport: 80,
  protocol: Proto.TCP,
  length: 60,
};

function filter(...rules: string[]): string {
  return `*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n${rules.join('\n')}\nCOMMIT\n`;
}

/** Names of the rules that counted, with how often, and the rule that decided. */
async function path(
  text: string,
  packet: TestPacket = SYN,
): Promise<{ verdict: ChainVerdict; rule: string; hits: string[] }> {
  const bench = await RuleBench.open(text);
  const { verdict, rule } = bench.run('filter/FORWARD', packet);
  const names = bench.compiled.rules.map((info) => ruleName(info).replace('filter/', ''));
  const hits = names.flatMap((name, index) => (bench.counter(index).packets > 0n ? [name] : []));
  return { verdict, rule: names[rule] ?? '', hits };
}

/** Whether the tests of a rule hold. */
async function holds(tests: string, packet: TestPacket, table = 'filter', chain = 'FORWARD'): Promise<boolean> {
  const bench = await RuleBench.open(`*${table}\n-A ${chain} ${tests} -j DROP\nCOMMIT\n`, { family: packet.family });
  return bench.run(`${table}/${chain}`, packet).verdict === ChainVerdict.DROP;
}

describe('chains', () => {
  it('fall through to the policy, which counts', async () => {
    expect(await path(filter('-P FORWARD DROP', '-A FORWARD -p udp -j ACCEPT', '-A FORWARD'))).toEqual({
      verdict: ChainVerdict.DROP,
      rule: 'FORWARD/policy',
      hits: ['FORWARD/2', 'FORWARD/policy'],
    });
  });

  it('go on behind a jump when the chain ends or returns', async () => {
    const text = filter('-N a', '-A FORWARD -j a', '-A FORWARD -j DROP', '-A a -j RETURN', '-A a -j ACCEPT');
    expect(await path(text)).toEqual({
      verdict: ChainVerdict.DROP,
      rule: 'FORWARD/2',
      hits: ['FORWARD/1', 'FORWARD/2', 'a/1'],
    });
  });

  it('go on behind the caller after a goto', async () => {
    const text = filter(
      ...['-N a', '-N b', '-A FORWARD -j a', '-A FORWARD -j DROP'],
      ...['-A a -g b', '-A a -j ACCEPT', '-A b -p tcp'],
    );
    expect(await path(text)).toMatchObject({ rule: 'FORWARD/2', hits: ['FORWARD/1', 'FORWARD/2', 'a/1', 'b/1'] });
  });

  it('end with the policy after a goto or RETURN in a base chain', async () => {
    expect(await path(filter('-N a', '-A FORWARD -g a', '-A FORWARD -j DROP', '-A a'))).toMatchObject({
      verdict: ChainVerdict.ACCEPT,
      rule: 'FORWARD/policy',
    });
    expect(await path(filter('-A FORWARD -p tcp -j RETURN', '-A FORWARD -j DROP'))).toMatchObject({
      verdict: ChainVerdict.ACCEPT,
      hits: ['FORWARD/1', 'FORWARD/policy'],
    });
  });

  it('of a thousand rules return from any part', async () => {
    const misses = (from: number) =>
      Array.from({ length: 400 }, (_, index) => `-A a -m mark --mark ${from + index + 1}`);
    const text = filter(
      '-N a',
      '-A FORWARD -j a',
      '-A FORWARD -j DROP',
      ...misses(0),
      '-A a -p tcp -j RETURN',
      ...misses(400),
      '-A a -j ACCEPT',
    );
    expect(await path(text)).toMatchObject({ rule: 'FORWARD/2', hits: ['FORWARD/1', 'FORWARD/2', 'a/401'] });
    expect(await path(text, { ...SYN, protocol: Proto.UDP })).toMatchObject({ rule: 'a/802' });
  });

  it('name the kind of reject', async () => {
    const bench = await RuleBench.open(
      filter('-A FORWARD -p tcp -j REJECT --reject-with tcp-reset', '-A FORWARD -j REJECT'),
    );
    expect(bench.run('filter/FORWARD', SYN)).toMatchObject({
      verdict: ChainVerdict.REJECT,
      reject: RejectWith.TCP_RESET,
    });
    const udp = { ...SYN, protocol: Proto.UDP };
    expect(bench.run('filter/FORWARD', udp)).toMatchObject({ rule: 2, reject: RejectWith.ICMP_PORT_UNREACHABLE });
    expect(bench.counter(1)).toEqual({ packets: 1n, bytes: 60n });
  });
});

describe('headers that cannot be examined', () => {
  // ip_tables.c: hotdrop drops the packet without counting the rule; the test in front of it still decides first.
  it('of 12 bytes of TCP are dropped by a tcp match, and not by -p tcp', async () => {
    const short = { ...SYN, transport: new Uint8Array(12) };
    expect(await path(filter('-A FORWARD -p tcp', '-A FORWARD -p tcp -m tcp --dport 80', '-A FORWARD'), short)).toEqual(
      {
        verdict: ChainVerdict.DROP,
        rule: 'FORWARD/2',
        hits: ['FORWARD/1'],
      },
    );
    expect(await path(filter('-A FORWARD -s 9.9.9.9 -p tcp -m tcp --dport 80'), short)).toMatchObject({
      verdict: ChainVerdict.ACCEPT,
    });
    expect(await path(filter('-A FORWARD -p tcp -m multiport --dports 80 -j DROP'), short)).toMatchObject({
      hits: ['FORWARD/1'],
    });
  });

  it('of later fragments match no ports; offset 1 of TCP is dropped', async () => {
    const text = filter('-A FORWARD -f', '-A FORWARD -p tcp -m tcp ! --dport 9', '-A FORWARD ! -f');
    expect(await path(text, { ...SYN, fragmentOffset: 185 })).toMatchObject({ hits: ['FORWARD/1', 'FORWARD/policy'] });
    expect(await path(text, { ...SYN, fragmentOffset: 1 })).toMatchObject({
      verdict: ChainVerdict.DROP,
      hits: ['FORWARD/1'],
    });
    expect(await path(text)).toMatchObject({ hits: ['FORWARD/2', 'FORWARD/3', 'FORWARD/policy'] });
  });
});

describe('interfaces', () => {
  it('that are unknown match + and what is not a name', async () => {
    for (const [tests, expected] of [
      ['-i +', true],
      ['-i eth0', false],
      ['! -i eth0', true],
      ['-i eth+', false],
    ] as const) {
      expect(await holds(tests, { ...SYN, iif: 0 }), tests).toBe(expected);
    }
    expect(await holds('-i eth+', { ...SYN, iif: 3 })).toBe(true);
    expect(await holds('! -i +', { ...SYN, iif: 3 })).toBe(false);
  });
});

describe('connections', () => {
  const established: TestPacket = {
    ...SYN,
    ctState: CtState.ESTABLISHED,
    direction: Dir.REPLY,
    flow: {
      mark: 0x10,
      status: Status.CONFIRMED | Status.SEEN_REPLY,
      original: { source: ipv4('192.168.1.7'), destination: ipv4('10.0.0.1'), sport: 80, dport: 40000 },
    },
  };
  const invalid: TestPacket = { ...SYN, ctState: CtState.INVALID };

  for (const [tests, packet, expected] of [
    ['-m state --state INVALID', invalid, true],
    ['-m state --state INVALID', { ...SYN, ctState: CtState.NONE }, true],
    ['-m state --state INVALID', { ...SYN, ctState: CtState.UNTRACKED }, false],
    ['-m conntrack --ctstate UNTRACKED', { ...SYN, ctState: CtState.UNTRACKED }, true],
    ['-m conntrack ! --ctstate NEW', established, true],
    ['-m conntrack --ctstate DNAT', established, false],
    ['-m conntrack --ctstate DNAT', { ...established, flow: { status: Status.DST_NAT } }, true],
    // Without an entry only the state counts: nothing else is looked at if it is asked for, and nothing matches if not.
    ['-m conntrack --ctstate INVALID --ctproto udp --ctdir REPLY', invalid, true],
    ['-m conntrack --ctproto tcp', invalid, false],
    ['-m conntrack ! --ctproto udp', invalid, false],
    ['-m conntrack --ctdir REPLY', established, true],
    ['-m conntrack --ctorigsrc 192.168.1.0/24 --ctrepldst 192.168.1.7', established, true],
    ['-m conntrack --ctorigsrcport 80 ! --ctrepldstport 81', established, true],
    ['-m conntrack --ctstatus ASSURED', established, false],
    ['-m conntrack --ctstatus ASSURED,SEEN_REPLY', established, true],
    ['-m conntrack --ctstatus NONE', established, false],
    ['-m connmark --mark 0x10/0xf0', established, true],
    ['-m connmark ! --mark 0x1', invalid, false],
  ] as const) {
    it(`${expected ? 'match' : 'do not match'} ${tests} in state ${CtState[packet.ctState ?? 0]}`, async () => {
      expect(await holds(tests, packet)).toBe(expected);
    });
  }

  it('have all their seconds right after they were refreshed', async () => {
    const now = 1_700_000_000n * SECOND + 3_999_999n;
    const flow = { status: Status.CONFIRMED, expires: now + 30n * SECOND };
    expect(await holds('-m conntrack --ctexpire 30', { ...established, clock: now, flow })).toBe(true);
    expect(await holds('-m conntrack --ctexpire 29', { ...established, clock: now + 4_000_000n, flow })).toBe(true);
    expect(await holds('-m conntrack --ctexpire 0', { ...established, clock: now, flow: { ...flow, status: 0 } })).toBe(
      true,
    );
  });

  it('keep marks as CONNMARK sets, saves and restores them', async () => {
    const text = '*mangle\n-A FORWARD -j CONNMARK --set-xmark 0x3/0xf\nCOMMIT\n';
    const run = async (rule: string, mark: number) => {
      const bench = await RuleBench.open(text.replace(/-j.*/, `-j CONNMARK ${rule}`));
      const { ctMark, pending, mark: packet } = bench.run('mangle/FORWARD', { ...established, mark });
      return { ctMark, pending, mark: packet };
    };
    expect(await run('--set-xmark 0x3/0xf', 0)).toEqual({ ctMark: 0x13, pending: EventBit.MARK, mark: 0 });
    expect(await run('--set-mark 0x10', 0)).toEqual({ ctMark: 0x10, pending: 0, mark: 0 });
    expect(await run('--save-mark', 0x77)).toEqual({ ctMark: 0x77, pending: EventBit.MARK, mark: 0x77 });
    expect(await run('--save-mark --nfmask 0xf --ctmask 0xf0', 0x77)).toEqual({
      ctMark: 7,
      pending: EventBit.MARK,
      mark: 0x77,
    });
    expect(await run('--restore-mark --nfmask 0xff --ctmask 0xff', 0x7700)).toEqual({
      ctMark: 0x10,
      pending: 0,
      mark: 0x7710,
    });
    const bench = await RuleBench.open(text);
    expect(bench.run('mangle/FORWARD', { ...invalid, mark: 5 })).toMatchObject({ mark: 5, ctMark: 0 });
  });

  it('are not tracked behind NOTRACK', async () => {
    const bench = await RuleBench.open(
      '*raw\n-A PREROUTING -p tcp -j CT --notrack\n-A PREROUTING -m state --state UNTRACKED -j DROP\nCOMMIT\n',
    );
    expect(bench.run('raw/PREROUTING', SYN)).toMatchObject({ ctState: CtState.UNTRACKED, verdict: ChainVerdict.DROP });
    expect(bench.run('raw/PREROUTING', { ...SYN, protocol: Proto.UDP })).toMatchObject({ ctState: CtState.NONE });
  });
});

describe('limit', () => {
  // xt_limit: burst tokens at first, then one more per unit of time. 2/s is a token each 125 jiffies of 4 ms.
  it('passes the burst, then one packet per half second for 2/s', async () => {
    const bench = await RuleBench.open(filter('-A FORWARD -m limit --limit 2/s --limit-burst 3 -j DROP'), {
      start: 10n * SECOND,
    });
    const passes = (ms: number) =>
      bench.run('filter/FORWARD', { ...SYN, clock: 10n * SECOND + BigInt(ms) * 1_000_000n }).verdict ===
      ChainVerdict.DROP;
    expect([0, 0, 0, 0].map(passes)).toEqual([true, true, true, false]);
    expect([496, 500, 996, 1000].map(passes)).toEqual([false, true, false, true]);
    // Ten seconds later the bucket is full again, and holds no more than the burst.
    expect([11_000, 11_000, 11_000, 11_000].map(passes)).toEqual([true, true, true, false]);
    expect(bench.counter(1).packets).toBe(8n);
  });

  it('is asked only when all tests before it hold', async () => {
    const bench = await RuleBench.open(filter('-A FORWARD -p udp -m limit --limit 1/day --limit-burst 6 -j DROP'));
    for (let count = 0; count < 10; count++) bench.run('filter/FORWARD', SYN);
    expect(bench.run('filter/FORWARD', { ...SYN, protocol: Proto.UDP }).verdict).toBe(ChainVerdict.DROP);
  });
});

describe('chance', () => {
  // The count of a binomial distribution lies within five standard deviations but once in 1.7 million times.
  for (const [probability, tests] of [
    [0.5, '-m statistic --mode random --probability 0.5'],
    [0.1, '-m statistic --mode random --probability 0.1'],
    [0.9, '-m statistic --mode random ! --probability 0.1'],
    [0.25, '-m statistic --mode random --probability 0.5 -m statistic --mode random --probability 0.5'],
  ] as const) {
    it(`lets ${probability} of the packets pass for ${tests}`, async () => {
      const bench = await RuleBench.open(filter(`-A FORWARD ${tests}`));
      const packets = 10_000;
      for (let number = 0; number < packets; number++) {
        bench.view.setBigUint64(bench.world(0) + WORLD.number, BigInt(number), true);
        bench.run('filter/FORWARD', SYN);
      }
      const far = 5 * Math.sqrt(packets * probability * (1 - probability));
      expect(Math.abs(Number(bench.counter(1).packets) - packets * probability)).toBeLessThan(far);
    });
  }

  it('is thrown again when a packet comes to the rule again, and is the same for the same packet in another run', async () => {
    const text = filter(
      ...['-N half', '-A FORWARD -j half', '-A FORWARD -j half'],
      '-A half -m statistic --mode random --probability 0.5',
    );
    const matches = async (): Promise<bigint[]> => {
      const bench = await RuleBench.open(text);
      const half = bench.ruleset.entries.findIndex(({ chain }) => chain?.name === 'half');
      return Array.from({ length: 64 }, (_, number) => {
        bench.view.setBigUint64(bench.world(0) + WORLD.number, BigInt(number), true);
        const before = bench.counter(half).packets;
        bench.run('filter/FORWARD', SYN);
        return bench.counter(half).packets - before;
      });
    };
    const first = await matches();
    expect(first).toEqual(await matches());
    expect(new Set(first)).toEqual(new Set([0n, 1n, 2n]));
  });
});

describe('IPv6', () => {
  const ping: TestPacket = {
    family: 10,
    source: ipv6('2001:db8::1'),
    destination: ipv6('ff02::1'),
    protocol: Proto.ICMPV6,
    transport: Uint8Array.from([128, 0, 0, 0, 0, 1, 0, 1]),
    ttl: 255,
  };
  for (const [tests, expected] of [
    ['-s 2001:db8::/33 -d ff00::/8', true],
    ['-s 2001:db8:8000::/33', false],
    ['-m iprange --src-range 2001:db8::-2001:db8::1', true],
    ['-m iprange --src-range 2001:db8::2-2001:db8:1::', false],
    ['-m iprange --src-range 2001:db7:ffff::-2001:db9::', true],
    ['-p ipv6-icmp -m icmp6 --icmpv6-type echo-request', true],
    ['-p ipv6-icmp -m icmp6 ! --icmpv6-type 128/1', true],
    ['-m hl --hl-eq 255', true],
    ['-m hl --hl-gt 255', false],
    // All of UNICAST and MULTICAST are asked for, and no address is both.
    ['-m addrtype --dst-type MULTICAST', true],
    ['-m addrtype --dst-type UNICAST,MULTICAST', false],
    ['-m addrtype --src-type UNICAST,LOCAL', true],
    ['-m length --length 48', true],
  ] as const) {
    it(`${expected ? 'matches' : 'does not match'} ${tests}`, async () => {
      expect(await holds(tests, ping)).toBe(expected);
    });
  }
});
