// Are the lines of `conntrack -L` and of /proc/net/nf_conntrack read, and refused by name where they need more?
//
// The tables below were printed by conntrack 1.4.7 and Linux 6.18 about entries made with `conntrack -I`.
import { describe, expect, test } from 'vitest';
import { Helper, SctpConntrack, TcpConntrack } from '../../../assembly/vocabulary.ts';
import { type ConntrackEntry, parseConntrackTable } from '../../../src/topology/conntrack-table.ts';
import { sharedFile } from '../../support/host.ts';

const PLAIN = `conntrack v1.4.7 (conntrack-tools): 7 flow entries have been shown.
tcp      6 100 SYN_SENT2 src=10.0.1.2 dst=192.0.2.2 sport=45614 dport=8080 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45614 packets=0 bytes=0 mark=0 use=1
unknown  50 289 src=10.0.1.2 dst=192.0.2.2 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 packets=0 bytes=0 mark=0 use=1
icmp     1 28 src=10.0.1.2 dst=192.0.2.2 type=8 code=0 id=4660 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 type=0 code=0 id=4660 packets=0 bytes=0 mark=0 use=1
udp      17 29 src=2001:db8::1 dst=2001:db8::2 sport=5 dport=53 packets=0 bytes=0 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 sport=53 dport=5 packets=0 bytes=0 mark=0 use=1
icmpv6   58 28 src=2001:db8::1 dst=2001:db8::2 type=128 code=0 id=77 packets=0 bytes=0 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 type=129 code=0 id=77 packets=0 bytes=0 mark=0 use=1
tcp      6 431997 ESTABLISHED src=10.0.1.2 dst=192.0.2.2 sport=45612 dport=8080 packets=0 bytes=0 src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45612 packets=0 bytes=0 [ASSURED] mark=7 use=1
tcp      6 99 SYN_SENT src=10.0.1.2 dst=192.0.2.2 sport=45613 dport=8080 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45613 packets=0 bytes=0 mark=0 use=1
`;

const EXTENDED = `ipv4     2 tcp      6 100 SYN_SENT2 src=10.0.1.2 dst=192.0.2.2 sport=45614 dport=8080 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45614 packets=0 bytes=0 mark=0 use=1 id=3797689245
ipv4     2 unknown  50 289 src=10.0.1.2 dst=192.0.2.2 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 packets=0 bytes=0 mark=0 use=1 id=1358183783
ipv4     2 icmp     1 28 src=10.0.1.2 dst=192.0.2.2 type=8 code=0 id=4660 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 type=0 code=0 id=4660 packets=0 bytes=0 mark=0 delta-time=3 [start=Sat Nov 21 04:52:11 2026] use=1 id=2157138556
ipv6     10 udp      17 29 src=2001:db8::1 dst=2001:db8::2 sport=5 dport=53 packets=0 bytes=0 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 sport=53 dport=5 packets=0 bytes=0 mark=0 use=1 id=1077271242
ipv6     10 icmpv6   58 28 src=2001:db8::1 dst=2001:db8::2 type=128 code=0 id=77 packets=0 bytes=0 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 type=129 code=0 id=77 packets=0 bytes=0 mark=0 use=1 id=579281936
ipv4     2 tcp      6 431997 ESTABLISHED src=10.0.1.2 dst=192.0.2.2 sport=45612 dport=8080 packets=0 bytes=0 src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45612 packets=0 bytes=0 [ASSURED] mark=7 use=1 id=969729561
ipv4     2 tcp      6 99 SYN_SENT src=10.0.1.2 dst=192.0.2.2 sport=45613 dport=8080 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45613 packets=0 bytes=0 mark=0 use=1 id=639952762
`;

const PROC = `ipv4     2 tcp      6 100 SYN_SENT2 src=10.0.1.2 dst=192.0.2.2 sport=45614 dport=8080 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45614 packets=0 bytes=0 mark=0 zone=0 use=2
ipv4     2 unknown  50 289 src=10.0.1.2 dst=192.0.2.2 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 packets=0 bytes=0 mark=0 zone=0 use=2
ipv4     2 icmp     1 28 src=10.0.1.2 dst=192.0.2.2 type=8 code=0 id=4660 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 type=0 code=0 id=4660 packets=0 bytes=0 mark=0 zone=0 use=2
ipv6     10 udp      17 29 src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=2001:0db8:0000:0000:0000:0000:0000:0002 sport=5 dport=53 packets=0 bytes=0 [UNREPLIED] src=2001:0db8:0000:0000:0000:0000:0000:0002 dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=53 dport=5 packets=0 bytes=0 mark=0 zone=0 use=2
ipv6     10 icmpv6   58 28 src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=2001:0db8:0000:0000:0000:0000:0000:0002 type=128 code=0 id=77 packets=0 bytes=0 [UNREPLIED] src=2001:0db8:0000:0000:0000:0000:0000:0002 dst=2001:0db8:0000:0000:0000:0000:0000:0001 type=129 code=0 id=77 packets=0 bytes=0 mark=0 zone=0 use=2
ipv4     2 tcp      6 431997 ESTABLISHED src=10.0.1.2 dst=192.0.2.2 sport=45612 dport=8080 packets=0 bytes=0 src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45612 packets=0 bytes=0 [ASSURED] mark=7 zone=0 use=2
ipv4     2 tcp      6 99 SYN_SENT src=10.0.1.2 dst=192.0.2.2 sport=45613 dport=8080 packets=0 bytes=0 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 sport=8080 dport=45613 packets=0 bytes=0 mark=0 zone=0 use=2
`;

const A = Uint8Array.of(10, 0, 1, 2);
const B = Uint8Array.of(192, 0, 2, 2);
const six = (last: number) => Uint8Array.of(0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last);
const idle = { packets: 0n, bytes: 0n };

function entry(
  facts: Partial<ConntrackEntry> & Pick<ConntrackEntry, 'protocol' | 'timeout'>,
  ports: [number, number],
  replyPorts: [number, number] = [ports[1], ports[0]],
): Omit<ConntrackEntry, 'line'> {
  const [src, dst] = facts.family === 10 ? [six(1), six(2)] : [A, B];
  return {
    family: 2,
    mark: 0,
    translated: false,
    unreplied: true,
    assured: false,
    counters: { original: idle, reply: idle },
    original: { src, dst, sport: ports[0], dport: ports[1] },
    reply: { src: dst, dst: src, sport: replyPorts[0], dport: replyPorts[1] },
    ...facts,
  };
}

const EXPECTED = [
  entry({ protocol: 6, timeout: 100, tcpState: TcpConntrack.SYN_SENT2 }, [45614, 8080]),
  entry({ protocol: 50, timeout: 289 }, [0, 0]),
  entry({ protocol: 1, timeout: 28 }, [4660, 8 << 8], [4660, 0]),
  entry({ family: 10, protocol: 17, timeout: 29 }, [5, 53]),
  entry({ family: 10, protocol: 58, timeout: 28 }, [77, 128 << 8], [77, 129 << 8]),
  entry(
    { protocol: 6, timeout: 431997, tcpState: TcpConntrack.ESTABLISHED, unreplied: false, assured: true, mark: 7 },
    [45612, 8080],
  ),
  entry({ protocol: 6, timeout: 99, tcpState: TcpConntrack.SYN_SENT }, [45613, 8080]),
];

test.each([
  ['conntrack -L', PLAIN, 2],
  ['conntrack -L -o extended,id,ktimestamp', EXTENDED, 1],
  ['/proc/net/nf_conntrack', PROC, 1],
])('%s', (_, text, firstLine) => {
  expect(parseConntrackTable('conntrack', text)).toEqual(
    EXPECTED.map((expected, index) => ({ ...expected, line: firstLine + index })),
  );
});

test('without accounting and marks there are neither', () => {
  const [found] = parseConntrackTable(
    'f',
    'udp      17 29 src=1.1.1.1 dst=2.2.2.2 sport=5 dport=53 src=2.2.2.2 dst=1.1.1.1 sport=53 dport=5 [ASSURED] use=1',
  );
  expect(found).toMatchObject({ unreplied: false, assured: true });
  expect(found).not.toHaveProperty('counters');
  expect(found).not.toHaveProperty('mark');
});

test('SCTP has a state, GRE has keys, UDP-Lite has ports', () => {
  const ends = 'src=1.1.1.1 dst=2.2.2.2 sport=5 dport=53 src=2.2.2.2 dst=1.1.1.1 sport=53 dport=5';
  const [sctp, lite, gre] = parseConntrackTable(
    'f',
    [
      `sctp     132 209 ESTABLISHED ${ends} [ASSURED] mark=0 use=1`,
      `udplite  136 119 ${ends} [ASSURED] mark=0 use=1`,
      'gre      47 29 src=1.1.1.1 dst=2.2.2.2 srckey=0x0 dstkey=0x1000 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 srckey=0x1000 dstkey=0x0 use=1',
    ].join('\n'),
  );
  expect(sctp).toMatchObject({ protocol: 132, timeout: 209, sctpState: SctpConntrack.ESTABLISHED, assured: true });
  expect(sctp!.original).toMatchObject({ sport: 5, dport: 53 });
  expect(lite).toMatchObject({ protocol: 136, timeout: 119, original: { sport: 5, dport: 53 } });
  expect(gre).toMatchObject({ protocol: 47, unreplied: true, original: { sport: 0, dport: 0x1000 } });
  expect(gre!.reply).toMatchObject({ sport: 0x1000, dport: 0 });
});

// Lines of `conntrack -L -o extended` (1.4.7, Linux 6.18) for entries begun behind CT --zone, --zone-orig and --zone-reply.
const ZONES = [
  'ipv4     2 udp      17 28 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=1 packets=1 bytes=29 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=1 dport=4000 packets=0 bytes=0 mark=4 zone=5 delta-time=1 use=1',
  'ipv4     2 udp      17 28 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=2 zone-orig=6 packets=1 bytes=29 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=2 dport=4000 packets=0 bytes=0 mark=4 delta-time=1 use=1',
  'ipv4     2 udp      17 28 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=3 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=3 dport=4000 zone-reply=7 packets=0 bytes=0 mark=4 delta-time=1 use=1',
];

test('zones', () => {
  const found = parseConntrackTable('f', ZONES.join('\n'));
  expect(found.map(({ original, reply }) => [original.zone, reply.zone])).toEqual([
    [5, 5],
    [6, undefined],
    [undefined, 7],
  ]);
  expect(found.map(({ mark }) => mark)).toEqual([4, 4, 4]);
});

describe('refused with file and line', () => {
  const udp =
    'udp      17 29 src=10.0.1.2 dst=192.0.2.2 sport=5 dport=53 [UNREPLIED] src=192.0.2.2 dst=10.0.1.2 sport=53 dport=5';
  test.each([
    [`${udp} mark=0 helper=ftp use=1`, 'host-unsupported', 'f:3: entries with the helper ftp are not supported yet'],
    [`${udp} mark=0 zone=65536 use=1`, 'host-syntax', 'f:3: not a line of a conntrack table: zone=65536 is no number'],
    [udp.replace('dport=53', 'dport=53 zone-orig=x'), 'host-syntax', 'zone-orig=x is no number up to 65535'],
    [udp.replace('dport=53', 'dport=53 zone-out=3'), 'host-syntax', 'zone-out'],
    [udp.replace('[UNREPLIED]', '[OFFLOAD]'), 'host-unsupported', 'offloaded entries'],
    [udp.replace('udp      17', 'dccp     33'), 'host-unsupported', 'f:3: DCCP entries are not supported yet'],
    [udp.replace('udp      17', 'sctp     132'), 'host-syntax', 'expected an SCTP state, found "src=10.0.1.2"'],
    [udp.replace('udp      17', 'gre      47'), 'host-syntax', 'srckey= is missing'],
    [
      udp.replace('17 29', '17 x'),
      'host-syntax',
      'f:3: not a line of a conntrack table: expected the seconds left, found "x"',
    ],
    [udp.replace('udp      17', 'tcp      6'), 'host-syntax', 'expected a TCP state, found "src=10.0.1.2"'],
    [udp.replace('udp      17 29', 'tcp      6 29 OPEN'), 'host-syntax', 'expected a TCP state, found "OPEN"'],
    [udp.replace('sport=5 ', ''), 'host-syntax', 'sport= is missing'],
    [udp.replace('sport=5 ', 'sport=65536 '), 'host-syntax', 'sport=65536'],
    [udp.replace('src=10.0.1.2', 'src=10.0.1'), 'host-syntax', 'src=10.0.1 is no address'],
    [udp.replace(/ src=192.*/, ''), 'host-syntax', 'expected src=, found "nothing"'],
    [`${udp} colour=red`, 'host-syntax', 'unexpected "colour=red"'],
    [`ipv6     10 ${udp}`, 'host-syntax', 'different families'],
    ['udp', 'host-syntax', 'it ends too early'],
    ['hello world', 'host-syntax', 'not a line'],
  ])('%s', (line, code, message) => {
    expect(() => parseConntrackTable('f', `\n${udp}\n${line}`)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });
});

test('a live table: every line is read, translated or not, with its helper', () => {
  for (const name of [
    'conntrack-L.txt',
    'conntrack-L-o-extended.txt',
    'conntrack-L-o-id_extended_ktimestamp.txt',
    'proc-net-nf_conntrack.txt',
  ]) {
    const text = sharedFile(`formats/lab1/${name}`);
    if (text === undefined) return;
    let read = 0;
    for (const line of text.split('\n').filter((part) => part !== '')) {
      // The lab's router masquerades IPv4 as 192.0.2.1.
      for (const { translated, helper } of parseConntrackTable(name, line)) {
        expect(helper).toBe(line.includes('helper=ftp') ? Helper.FTP : undefined);
        expect(translated).toBe(line.includes('dst=192.0.2.1 '));
        read++;
      }
    }
    expect(read).toBeGreaterThan(1);
  }
});
