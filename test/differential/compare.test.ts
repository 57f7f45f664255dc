// Does the comparison see what differs, and only that? Made-up answers of both sides; no kernel and no engine needed.

import { describe, expect, it } from 'vitest';
import type { KernelAnswer, KernelAnswers } from './answers.ts';
import { compare, NO_FACTS, type OurAnswers, type OurPacket } from './compare.ts';
import { shrink } from './seeds.ts';
import { sameWhy } from './why.ts';

const ENDS = 'src=10.0.0.2 dst=192.0.2.80 sport=4000 dport=80';
const BACK = 'src=192.0.2.80 dst=10.0.0.2 sport=80 dport=4000';
const NEW = `    [NEW] tcp      6 120 SYN_SENT ${ENDS} [UNREPLIED] ${BACK}`;
const UPDATE = ` [UPDATE] tcp      6 60 SYN_RECV ${ENDS} ${BACK}`;
const OTHER =
  '    [NEW] udp      17 30 src=10.0.0.2 dst=192.0.2.80 sport=9 dport=53 [UNREPLIED] src=192.0.2.80 dst=10.0.0.2 sport=53 dport=9';
const EXPECTED = 'proto=6 src=192.0.2.80 dst=10.0.0.2 sport=0 dport=40001 class=0 helper=ftp';
const DEATH = `[DESTROY] udp      17 ${OTHER.slice(OTHER.indexOf('src='))}`;

function kernelPacket(n: number, more: Partial<KernelAnswer> = {}): KernelAnswer {
  return {
    n,
    origin: n,
    ts: BigInt(n),
    ticked: false,
    hooks: ['PREROUTING', 'FORWARD', 'POSTROUTING'],
    path: 'forward',
    ct: { state: 'NEW', dir: 'original' },
    entry: { flow: 1, status: [], tcp: 'SYN_SENT', mark: 0, expected: false, timeout: 120 },
    verdict: 'ACCEPT',
    events: [],
    ...more,
  };
}

function ourPacket(n: number, more: Partial<OurPacket> = {}): OurPacket {
  return {
    n,
    path: 'forward',
    ct: { id: 1, state: 'NEW', dir: 'original', status: [], tcp: 'SYN_SENT', mark: 0 },
    verdict: 'ACCEPT',
    ...more,
  };
}

/** Two packets of one flow on both sides, in full agreement. */
function agreement(): { kernel: KernelAnswers; ours: OurAnswers } {
  const reply = { state: 'ESTABLISHED', dir: 'reply' } as const;
  const kernel: KernelAnswers = {
    packets: [
      kernelPacket(1, { events: ['NEW'] }),
      kernelPacket(2, {
        ct: reply,
        entry: { flow: 1, status: ['SEEN_REPLY'], tcp: 'SYN_RECV', mark: 0, expected: false, timeout: 60 },
        events: ['UPDATE'],
      }),
    ],
    events: [
      { n: 1, kind: 'NEW', line: NEW, expired: false },
      { n: 2, kind: 'UPDATE', line: UPDATE, expired: false },
    ],
    table: [`ipv4     2 tcp      6 59 SYN_RECV ${ENDS} ${BACK} mark=0 use=1`],
    expectations: [{ n: 1, line: `    [NEW] 300 ${EXPECTED}` }],
    pending: [`299 ${EXPECTED}`],
    tableDelay: 0.02,
    counters4: '*filter\n:FORWARD ACCEPT [2:80]\n[1:40] -A FORWARD -j LOG\nCOMMIT\n',
    counters6: '',
  };
  const ours: OurAnswers = {
    packets: [
      ourPacket(1, { events: ['NEW'] }),
      ourPacket(2, { ct: { id: 1, ...reply, status: ['SEEN_REPLY'], tcp: 'SYN_RECV' }, events: ['UPDATE'] }),
    ],
    events: [`[1700000000.000001]\t${NEW}`, `[1700000000.000002]\t${UPDATE}`],
    expectations: [`[1700000000.000001]\t    [NEW] 300 ${EXPECTED}`],
    pending: [`300 ${EXPECTED}`],
    table: [`ipv4     2 tcp      6 60 SYN_RECV ${ENDS} ${BACK} mark=0 use=1`],
    counters4: '*filter\n:FORWARD ACCEPT [2:80]\n[1:40] -A FORWARD -j LOG\nCOMMIT\n',
  };
  return { kernel, ours };
}

/** What differs, as `packet what`. */
function differences(change: (both: { kernel: KernelAnswers; ours: OurAnswers }) => void): string[] {
  const both = agreement();
  change(both);
  return compare(both.kernel, both.ours).differences.map(({ n, what }) => `${n} ${what}`);
}

describe('comparison', () => {
  it('is content when both say the same', () => {
    const { kernel, ours } = agreement();
    expect(compare(kernel, ours)).toEqual({
      differences: [],
      packets: 2,
      events: 2,
      sent: 0,
      excused: { expiry: 0, jiffy: 0, silent: 0, error: 0, table: 1, port: 0 },
    });
  });

  it.each<[string, (packet: OurPacket) => void]>([
    ['2 verdict', (packet) => Object.assign(packet, { verdict: 'DROP' })],
    ['2 verdict', (packet) => Object.assign(packet, { with: 'tcp-reset' })],
    ['2 path', (packet) => Object.assign(packet, { path: 'input' })],
    ['2 ct.state', (packet) => Object.assign(packet.ct!, { state: 'RELATED' })],
    ['2 ct.dir', (packet) => Object.assign(packet.ct!, { dir: 'original' })],
    ['2 ct.id', (packet) => Object.assign(packet.ct!, { id: 2 })],
    ['2 ct.status', (packet) => Object.assign(packet.ct!, { status: ['SEEN_REPLY', 'ASSURED'] })],
    ['2 ct.tcp', (packet) => Object.assign(packet.ct!, { tcp: 'ESTABLISHED' })],
    ['2 ct.mark', (packet) => Object.assign(packet.ct!, { mark: 7 })],
    ['2 ct.helper', (packet) => Object.assign(packet.ct!, { helper: 'ftp' })],
    ['2 has a master', (packet) => Object.assign(packet.ct!, { master: 1 })],
    ['2 events', (packet) => Object.assign(packet, { events: [] })],
    ['2 why', (packet) => Object.assign(packet, { why: 'invalid-rst' })],
  ])('sees %s', (expected, change) => {
    expect(differences(({ ours }) => change(ours.packets[1]!))).toEqual([expected]);
  });

  it('sees what only one side expects, or expects in another way', () => {
    expect(differences(({ ours }) => (ours.expectations = []))).toEqual(['1 expectation']);
    expect(differences(({ ours }) => (ours.expectations[0] += '-x'))).toEqual(['1 expectation']);
    expect(differences(({ ours }) => (ours.pending = []))).toEqual(['0 expectation at the end']);
    // What has expired is the collector's.
    const death = `[DESTROY] 0 ${EXPECTED}`;
    expect(differences(({ kernel }) => kernel.expectations.push({ n: 2, line: death }))).toEqual([]);
  });

  it('takes a REJECT that answers nothing for a DROP, no other', () => {
    const { kernel, ours } = agreement();
    kernel.packets[1]!.verdict = 'DROP';
    Object.assign(ours.packets[1]!, { verdict: 'REJECT', with: 'tcp-reset' });
    expect(
      compare(kernel, ours, { ...NO_FACTS, isSilent: (n, kind) => n === 2 && kind === 'tcp-reset' }).differences,
    ).toEqual([]);
    expect(
      compare(kernel, ours, { ...NO_FACTS, isSilent: (n) => n === 1 }).differences.map(({ what }) => what),
    ).toEqual(['verdict']);
  });

  it("takes the host's own ICMP error that is tied to nothing for one from a raw socket, no other", () => {
    const { kernel, ours } = agreement();
    kernel.packets[1] = { ...kernel.packets[1]!, ct: { state: 'INVALID' }, entry: undefined, events: [] } as never;
    Object.assign(ours.packets[1]!, { ct: { state: 'RELATED', dir: 'reply' }, events: [] });
    kernel.events = kernel.events.filter(({ n }) => n !== 2);
    ours.events = ours.events.slice(0, 1);
    const what = (isOwnError: (n: number) => boolean): string[] =>
      compare(kernel, ours, { ...NO_FACTS, isOwnError }).differences.map((difference) => difference.what);
    expect(what((n) => n === 2)).not.toContain('ct.state');
    expect(what((n) => n === 1)).toContain('ct.state');
  });

  it('lets what the raw table untracked and then dropped be unseen, no other', () => {
    const dropped = (rule: string, state: string) => (both: { kernel: KernelAnswers; ours: OurAnswers }) => {
      const { ct: _ct, entry: _entry, ...unseen } = both.kernel.packets[1]!;
      both.kernel.packets[1] = { ...unseen, verdict: 'DROP' };
      Object.assign(both.ours.packets[1]!, { verdict: 'DROP', rule, ct: { state } });
    };
    expect(differences(dropped('raw/PREROUTING/2', 'UNTRACKED'))).toEqual([]);
    expect(differences(dropped('raw/PREROUTING/2', 'NEW'))).toEqual(['2 ct.state']);
    expect(differences(dropped('mangle/PREROUTING/2', 'UNTRACKED'))).toEqual(['2 ct.state']);
  });

  it('does not ask for an entry that the kernel does not have', () => {
    const noEntry = ({ kernel }: { kernel: KernelAnswers }): void => {
      delete kernel.packets[1]!.entry;
    };
    expect(differences(noEntry)).toEqual([]);
  });

  it('sees a missing packet, a missing event, another text, another order', () => {
    expect(differences(({ ours }) => ours.packets.pop())).toEqual(['0 number of packets']);
    expect(differences(({ ours }) => ours.events.pop())).toEqual(['2 event']);
    expect(differences(({ kernel }) => kernel.events.pop())).toEqual(['1 event']);
    const marked = ({ ours }: { ours: OurAnswers }): void => {
      ours.events[0] += ' mark=1';
    };
    expect(differences(marked)).toEqual(['1 event']);
    const swapped = ({ kernel, ours }: { kernel: KernelAnswers; ours: OurAnswers }): void => {
      kernel.events.push({ n: 2, kind: 'NEW', line: OTHER, expired: false });
      ours.events = [OTHER, NEW, UPDATE];
    };
    expect(differences(swapped)).toEqual(['1 order of events']);
  });

  it('lets one second be a jiffy only where a jiffy passed', () => {
    const earlier = UPDATE.replace(' 60 ', ' 59 ');
    const change = (ticked: boolean, line: string) => (both: { kernel: KernelAnswers }) => {
      both.kernel.packets[1]!.ticked = ticked;
      both.kernel.events[1]!.line = line;
    };
    expect(differences(change(true, earlier))).toEqual([]);
    expect(differences(change(false, earlier))).toEqual(['2 event']);
    expect(differences(change(true, UPDATE.replace(' 60 ', ' 58 ')))).toEqual(['2 event']);
    expect(differences(change(true, earlier.replace('SYN_RECV', 'CLOSE')))).toEqual(['2 event']);
  });

  it('compares deaths of expired entries as a set', () => {
    const dies = (expired: number, own: number) => (both: { kernel: KernelAnswers; ours: OurAnswers }) => {
      for (let i = 0; i < expired; i++) both.kernel.events.push({ n: 2, kind: 'DESTROY', line: DEATH, expired: true });
      for (let i = 0; i < own; i++) both.ours.events.unshift(`[1700000000.000000]\t${DEATH}`);
    };
    expect(differences(dies(1, 1))).toEqual([]);
    expect(differences(dies(2, 1))).toEqual(['2 expiry']);
    expect(differences(dies(0, 1))).toEqual(['0 expiry']);
  });

  it('takes a DESTROY without time left for that of the packet where ours is', () => {
    const killed = (deaths: number) => (both: { kernel: KernelAnswers; ours: OurAnswers }) => {
      if (deaths) both.kernel.packets[1]!.deaths = deaths;
      both.ours.packets[1]!.events = ['DESTROY', 'UPDATE'];
    };
    expect(differences(killed(1))).toEqual([]);
    expect(differences(killed(0))).toEqual(['2 events']);
  });

  it('takes a death for late when our table has the entry with no time left', () => {
    const late = (seconds: number) => (both: { kernel: KernelAnswers; ours: OurAnswers }) => {
      both.kernel.events.push({ n: 2, kind: 'DESTROY', line: DEATH, expired: true });
      both.ours.table!.push(`ipv4     2 udp      17 ${seconds} ${OTHER.slice(OTHER.indexOf('src='))} mark=0 use=1`);
    };
    expect(differences(late(0))).toEqual([]);
    expect(differences(late(5))).toEqual(['2 expiry', '0 table']);
  });

  it.each<[string | undefined, string | undefined, boolean]>([
    ['invalid rst', 'invalid-rst', true],
    ['invalid new', 'invalid-rst', false],
    ['invalid rst', undefined, false],
    [undefined, 'invalid-rst', false],
    [undefined, 'icmp-error-no-flow', true],
    ['3 bytes more than expected', 'out-of-window: 3 bytes more than expected', true],
    ['3 bytes more than expected', 'out-of-window: 4 bytes more than expected', false],
    ['ICMPv6 checksum failed', 'invalid-checksum', true],
    ['outer daddr 10.0.0.98 != inner 10.0.0.3', 'icmp-error-wrong-sender', true],
    ['invalid icmp type', 'icmp-invalid-type: type 42', true],
    ['invalid new', 'ttl-exceeded', true],
    [undefined, 'wrong-chunk-tag: chunk type 10', true],
    [undefined, 'dropped-by-helper', true],
    [undefined, 'dropped-by-helper: cannot add expectation', false],
  ])('kernel says "%s", we "%s": %s', (kernel, ours, same) => {
    expect(sameWhy(kernel, ours)).toBe(same);
  });

  it('sees differences of the table and of counters', () => {
    const older = ({ ours }: { ours: OurAnswers }): void => {
      ours.table = [ours.table![0]!.replace(' 60 ', ' 62 ')];
    };
    expect(differences(older)).toEqual(['0 table']);
    expect(differences(({ ours }) => ours.table!.pop())).toEqual(['0 table']);
    const counted = ({ ours }: { ours: OurAnswers }): void => {
      ours.counters4 = ours.counters4!.replace('[1:40]', '[2:80]');
    };
    expect(differences(counted)).toEqual(['0 iptables counter filter/FORWARD: -j LOG']);
  });
});

describe('shrinking', () => {
  const numbers = Array.from({ length: 200 }, (_, index) => index);
  it.each([[[0]], [[199]], [[17, 18]], [[3, 90, 160]]])('finds %s among 200', async (needed) => {
    const holds = async (part: number[]): Promise<boolean> => needed.every((one) => part.includes(one));
    expect(await shrink(numbers, holds, 500)).toEqual(needed);
  });

  it('keeps within its budget', async () => {
    let tries = 0;
    const left = await shrink(numbers, async (part) => ++tries > 0 && part.includes(3) && part.includes(150), 5);
    expect(tries).toBe(5);
    expect(left).toEqual(expect.arrayContaining([3, 150]));
  });
});
