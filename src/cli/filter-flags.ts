// Which filters of conntrack are there? Their names are the tool's (conntrack 1.4.7), and so is what they mean.

import type { Flag } from './flags.ts';

const SHOWN = ['events', 'list'] as const;

const PROTOCOL_FLAGS: readonly (readonly [name: string, short: string, ...aliases: string[]])[] = [
  ['sport', 'source port of the original direction (tcp, udp, udplite, sctp)', 'orig-port-src'],
  ['dport', 'destination port of the original direction', 'orig-port-dst'],
  ['reply-port-src', 'source port of the reply direction'],
  ['reply-port-dst', 'destination port of the reply direction'],
  ['icmp-type', 'ICMP type'],
  ['icmp-code', 'ICMP code'],
  ['icmp-id', 'ICMP id'],
  ['icmpv6-type', 'ICMPv6 type'],
  ['icmpv6-code', 'ICMPv6 code'],
  ['icmpv6-id', 'ICMPv6 id'],
];

export const FILTER_FLAGS: readonly Flag[] = [
  {
    name: 'src',
    letter: 's',
    aliases: ['orig-src'],
    value: 'ADDR[/LEN]',
    short: 'source address of the original direction',
    commands: SHOWN,
  },
  {
    name: 'dst',
    letter: 'd',
    aliases: ['orig-dst'],
    value: 'ADDR[/LEN]',
    short: 'destination address of the original direction',
    commands: SHOWN,
  },
  { name: 'reply-src', letter: 'r', value: 'ADDR', short: 'source address of the reply direction', commands: SHOWN },
  {
    name: 'reply-dst',
    letter: 'q',
    value: 'ADDR',
    short: 'destination address of the reply direction',
    commands: SHOWN,
  },
  { name: 'mask-src', value: 'MASK', short: 'which bits of --src count', commands: SHOWN },
  { name: 'mask-dst', value: 'MASK', short: 'which bits of --dst count', commands: SHOWN },
  {
    name: 'protonum',
    letter: 'p',
    aliases: ['proto'],
    value: 'PROTO',
    short: 'layer 4 protocol, name or number',
    commands: SHOWN,
  },
  { name: 'family', letter: 'f', value: 'ipv4|ipv6', short: 'layer 3 protocol', commands: SHOWN },
  ...PROTOCOL_FLAGS.map(([name, short, ...aliases]): Flag => ({ name, aliases, value: 'N', short, commands: SHOWN })),
  { name: 'state', value: 'STATE', short: 'state of TCP or SCTP, with -p', commands: SHOWN },
  {
    name: 'status',
    letter: 'u',
    value: 'BIT[,BIT]',
    short:
      'status bits, all of which are set: ASSURED, SEEN_REPLY, FIXED_TIMEOUT, EXPECTED; UNREPLIED is not SEEN_REPLY',
    long: 'UNSET is refused, as the kernel refuses it when conntrack lists with it.',
    commands: ['list'],
  },
  {
    name: 'src-nat',
    letter: 'n',
    value: 'ADDR[:PORT]',
    optional: true,
    short: 'source NAT, to this address',
    commands: SHOWN,
  },
  {
    name: 'dst-nat',
    letter: 'g',
    value: 'ADDR[:PORT]',
    optional: true,
    short: 'destination NAT, to this address',
    commands: SHOWN,
  },
  {
    name: 'any-nat',
    letter: 'j',
    value: 'ADDR[:PORT]',
    optional: true,
    short: 'source or destination NAT, to this address',
    commands: SHOWN,
  },
  { name: 'mark', letter: 'm', value: 'MARK[/MASK]', short: 'connection mark', commands: SHOWN },
  { name: 'zone', letter: 'w', value: 'N', short: 'zone of both directions', commands: SHOWN },
  { name: 'orig-zone', value: 'N', short: 'zone of the original direction alone', commands: SHOWN },
  { name: 'reply-zone', value: 'N', short: 'zone of the reply direction alone', commands: SHOWN },
  {
    name: 'label',
    letter: 'l',
    value: 'LABEL[,LABEL]',
    repeat: true,
    short: 'labels, all of which are set, by their names in connlabel.conf (repeatable)',
    commands: SHOWN,
  },
];
