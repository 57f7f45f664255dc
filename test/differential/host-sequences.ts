// Which hand-made packets to and from the host must the kernel and ctreplay agree on? Every kind of address as source and
// as destination, received, sent and looped back, under rules that look at what differs between them.

import { addressBytes, parseAddress } from '../../src/topology/addresses.ts';
import { ip } from './craft.ts';
import type { LocalAddress } from './host.ts';
import { plainAddress } from './host.ts';
import { ruleset, type Sequence } from './sequences.ts';

/** A sequence whose router has addresses of its own. */
export interface HostSequence extends Sequence {
  locals: LocalAddress[];
}

const LOCALS: LocalAddress[] = [
  { address: '192.0.2.1', length: 24, side: 0 },
  { address: '198.51.100.1', length: 24, side: 1 },
  { address: plainAddress('2001:db8:1::1'), length: 64, side: 0 },
  { address: plainAddress('2001:db8:2::1'), length: 64, side: 1 },
];

const bytes = (text: string): Buffer => Buffer.from(addressBytes(parseAddress(text)!));

function udp(source: string, target: string, sport = 5000, dport = 53): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt16BE(sport, 0);
  header.writeUInt16BE(dport, 2);
  header.writeUInt16BE(16, 4);
  return ip({ source: bytes(source), target: bytes(target) }, 17, header, 6);
}

const SYN = 2;
const RST = 4;
const ACK = 16;

function tcp(source: string, target: string, flags: number, seq: number, ack = 0, ports = [4000, 80]): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(ports[0]!, 0);
  header.writeUInt16BE(ports[1]!, 2);
  header.writeUInt32BE(seq, 4);
  header.writeUInt32BE(ack, 8);
  header.writeUInt8(5 << 4, 12);
  header.writeUInt8(flags, 13);
  header.writeUInt16BE(8192, 14);
  return ip({ source: bytes(source), target: bytes(target) }, 6, header, 16);
}

function echo(source: string, target: string, reply = false): Buffer {
  const six = source.includes(':');
  const types = six ? [128, 129] : [8, 0];
  const header = Buffer.from([types[reply ? 1 : 0]!, 0, 0, 0, 0, 7, 0, 1]);
  return ip({ source: bytes(source), target: bytes(target) }, six ? 58 : 1, header, 2);
}

/** Each packet of a connection attempt, as the other side sees it when it answers. */
function talk(one: string, other: string, ports: [number, number]): Buffer[] {
  const back = [ports[1], ports[0]];
  return [
    tcp(one, other, SYN, 100, 0, ports),
    tcp(other, one, SYN | ACK, 500, 101, back),
    tcp(one, other, ACK, 101, 501, ports),
    tcp(other, one, RST, 501, 0, back),
    udp(one, other, ports[0]),
    udp(other, one, 53, ports[0]),
    udp(one, other, ports[0], 9),
    echo(one, other),
    echo(other, one, true),
  ];
}

/**
 * Own broadcast addresses as sources are left out: whether they are looked at depends on send_redirects, which is off here.
 * 10.x and 2001:db8:a/b are elsewhere: which side, their last digit says.
 */
const SOURCES4 = [
  '192.0.2.8',
  '198.51.100.8',
  '10.0.0.2',
  '0.0.0.0',
  '0.1.2.3',
  '127.0.0.1',
  '127.0.0.9',
  '224.0.0.5',
].concat(['255.255.255.255', '192.0.2.1', '198.51.100.1', '240.0.0.1', '169.254.1.2']);
const TARGETS4 = ['192.0.2.1', '198.51.100.1', '192.0.2.255', '198.51.100.255', '255.255.255.255', '224.0.0.1']
  .concat(['224.0.0.251', '239.1.1.1', '127.0.0.1', '192.0.2.9', '10.0.0.5', '0.0.0.0', '240.0.0.2', '192.0.2.0'])
  .concat(['169.254.1.1', '127.255.255.255']);
const SOURCES6 = [
  '2001:db8:1::8',
  '2001:db8:2::9',
  '2001:db8:a::2',
  'fe80::8',
  '::',
  '::1',
  'ff02::5',
  '2001:db8:1::1',
].concat(['2001:db8:2::1', 'fe80::ff:feff:fe00:1', 'fec0::1', '::ffff:10.0.0.1', 'fd00::3']);
const TARGETS6 = [
  '2001:db8:1::1',
  '2001:db8:2::1',
  'ff02::1',
  'ff02::2',
  'ff05::2',
  'ff01::1',
  'ff02::fb',
  'ff02::1:ff00:1',
]
  .concat(['ff0e::1', '2001:db8:1::', 'fe80::ff:feff:fe00:1', 'fe80::ff:feff:fe00:2', 'fe80::77', '::1'])
  .concat(['2001:db8:1::9', '2001:db8:b::5', '::', 'ff02::16']);

const LINK_LOCAL = 'fe80::ff:feff:fe00:1';
const OTHER_LINK = new Set(['2001:db8:2::1', 'fe80::ff:feff:fe00:2']);

function everyPair(sources: string[], targets: string[]): Buffer[] {
  let port = 1000;
  return sources.flatMap((source) =>
    targets.flatMap((target) => {
      port++;
      // What answers that is sent to a neighbour of the other link: the kernel takes the link from the address (icmp6_iif()).
      if (source === LINK_LOCAL && OTHER_LINK.has(target)) return [];
      return [
        udp(source, target, port),
        udp(source, target, port, 9),
        echo(source, target),
        tcp(source, target, SYN, 1, 0, [port, 25]),
      ];
    }),
  );
}

const PAIRS = [...everyPair(SOURCES4, TARGETS4), ...everyPair(SOURCES6, TARGETS6)];

const TALKS = [
  ['192.0.2.8', '192.0.2.1'],
  ['192.0.2.1', '192.0.2.8'],
  ['198.51.100.1', '10.0.0.2'],
  ['10.0.0.2', '192.0.2.1'],
  ['192.0.2.1', '198.51.100.1'],
  ['127.0.0.1', '127.0.0.1'],
  ['192.0.2.1', '192.0.2.1'],
  ['127.0.0.1', '192.0.2.1'],
  ['2001:db8:1::8', '2001:db8:1::1'],
  ['2001:db8:2::1', '2001:db8:a::2'],
  ['2001:db8:1::1', '2001:db8:2::1'],
  ['::1', '::1'],
  ['fe80::8', 'fe80::ff:feff:fe00:1'],
].flatMap(([one, other], index) => talk(one!, other!, [7000 + index, 80]));

const HOST = { rules4: [ruleset('host.iptables-save')], rules6: [ruleset('host.ip6tables-save')] };

/** Rules for both families; `X` stands for the family's unreachable. */
function rules(text: string): { rules4: string[]; rules6: string[] } {
  const whole = (tool: string, reject: string): string =>
    `# Generated by ${tool} v1.8.9\n${text.replaceAll('REJECT-X', `REJECT --reject-with ${reject}`)}`;
  return {
    rules4: [whole('iptables-save', 'icmp-host-prohibited')],
    rules6: [whole('ip6tables-save', 'icmp6-adm-prohibited')],
  };
}

const chains = (...names: string[]): string => names.map((name) => `:${name} ACCEPT [0:0]\n`).join('');
const MANGLE = `*mangle\n${chains('PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING')}`;
const FILTER = `*filter\n${chains('INPUT', 'FORWARD', 'OUTPUT')}`;
const RAW = `*raw\n${chains('PREROUTING', 'OUTPUT')}`;

/** One counting rule of every kind in every chain. */
const COUNTS = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']
  .flatMap((chain) => [
    ...['unicast', 'broadcast', 'multicast'].map((type) => `-A ${chain} -m pkttype --pkt-type ${type}`),
    ...['LOCAL', 'BROADCAST', 'MULTICAST', 'UNICAST'].map((type) => `-A ${chain} -m addrtype --dst-type ${type}`),
    ...['NEW', 'ESTABLISHED', 'INVALID', 'UNTRACKED'].map((state) => `-A ${chain} -m conntrack --ctstate ${state}`),
    ...['lan', 'wan', 'lo'].flatMap((name) => [
      ...(/INPUT|PREROUTING|FORWARD/.test(chain) ? [`-A ${chain} -i ${name}`] : []),
      ...(/OUTPUT|POSTROUTING|FORWARD/.test(chain) ? [`-A ${chain} -o ${name}`] : []),
    ]),
  ])
  // ip6tables knows no broadcast addresses.
  .join('\n');
const COUNTING = {
  rules4: rules(`${MANGLE}${COUNTS}\nCOMMIT\n`).rules4,
  rules6: rules(`${MANGLE}${COUNTS.replaceAll(/^.*dst-type BROADCAST\n/gm, '')}\nCOMMIT\n`).rules6,
};

export const HOST_SEQUENCES: HostSequence[] = [
  { name: 'every kind of address, behind a host ruleset', steps: PAIRS, locals: LOCALS, ...HOST },
  { name: 'every kind of address, counted everywhere', steps: PAIRS, locals: LOCALS, ...COUNTING },
  { name: 'talks with the host, behind a host ruleset', steps: TALKS, locals: LOCALS, ...HOST },
  { name: 'talks with the host, counted everywhere', steps: TALKS, locals: LOCALS, ...COUNTING },
  {
    name: 'every kind of address, rejected in OUTPUT and INPUT',
    steps: [...PAIRS, ...TALKS],
    locals: LOCALS,
    ...rules(
      `${FILTER}-A INPUT -p udp -m udp --dport 9 -j REJECT-X\n-A INPUT -p tcp -m tcp --dport 25 -j REJECT --reject-with tcp-reset\n` +
        `-A FORWARD -p udp -j REJECT-X\n-A OUTPUT -m conntrack --ctstate RELATED\n-A OUTPUT -p udp -m udp --dport 53 -j REJECT-X\n` +
        `-A OUTPUT -p tcp -m tcp --dport 80 -j REJECT --reject-with tcp-reset\n-A OUTPUT -m conntrack --ctstate INVALID\nCOMMIT\n`,
    ),
  },
  {
    name: 'every kind of address, dropped in POSTROUTING, INPUT and the raw table',
    steps: [...PAIRS, ...TALKS],
    locals: LOCALS,
    ...rules(
      // A mark has the kernel route IPv6 anew, and then it finds no way to its own link-local addresses.
      `${RAW}-A OUTPUT -p udp -m udp --dport 9 -j CT --notrack\n-A PREROUTING -p tcp -m tcp --sport 80 -j DROP\nCOMMIT\n` +
        `${MANGLE}-A OUTPUT -p udp -m addrtype ! --dst-type LOCAL -j MARK --set-xmark 0x5/0xffffffff\n-A POSTROUTING -m mark --mark 0x5 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff\n` +
        `-A POSTROUTING -o lan -p icmp -j DROP\n-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n` +
        `-A INPUT -m mark --mark 0x5 -j CONNMARK --set-xmark 0x7/0xffffffff\nCOMMIT\n` +
        `${FILTER}-A INPUT -p udp -j DROP\n-A INPUT -i lo -p tcp -j DROP\nCOMMIT\n`,
    ),
  },
  { name: 'every kind of address, without rules', steps: [...PAIRS, ...TALKS], locals: LOCALS },
];
