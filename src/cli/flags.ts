// Which options are there? One entry per flag; the parser, the help and the documentation come from this list.

import type { Mode } from '../bench/traffic.ts';
import { FLOW_LOG_FORMATS } from '../report/flow-log.ts';
import { FILTER_FLAGS } from './filter-flags.ts';
import { EVENT_FORMATS } from './outputs.ts';

export const COMMANDS = ['replay', 'events', 'list', 'trace', 'diff', 'check', 'bench', 'plan'] as const;
export type CommandName = (typeof COMMANDS)[number];

/** Traffic that bench can generate (src/bench/traffic.ts). */
export const TRAFFIC_MODES: readonly Mode[] = ['small', 'large', 'imix', 'synflood'];

export interface Flag {
  /** Name without dashes; its camel case is the property of the parsed options. */
  name: string;
  /** Short name. */
  letter?: string;
  /** Other names that conntrack has for it. */
  aliases?: readonly string[];
  /** What stands for the value in the help; without one the flag is a switch. */
  value?: string;
  /** The value may be left out. */
  optional?: true;
  /** May be given several times; the property is a list. */
  repeat?: true;
  /** Must be given. */
  required?: true;
  choices?: readonly string[];
  default?: string;
  /** One line. */
  short: string;
  /** More, for those who ask about one command. */
  long?: string;
  commands: readonly CommandName[];
}

const ALL = COMMANDS;
const ONE_HOST: readonly CommandName[] = ['replay', 'events', 'list', 'trace', 'check', 'bench', 'plan'];
/** Those that replay captures. */
const REPLAYING: readonly CommandName[] = ['replay', 'events', 'list', 'trace', 'diff', 'check', 'bench'];

export const FLAGS: readonly Flag[] = [
  {
    name: 'host',
    value: 'DIR|FILE',
    short: 'the firewall: a folder of files that a host prints, or one file',
    long:
      'Files of the folder, each optional: iptables-save, ip6tables-save (also *.v4, *.v6, with or without counters), ' +
      'nft (nft list ruleset, text or JSON), ipset (ipset save), sysctl (lines of sysctl -a), addr.json, link.json, route.json, rule.json (ip -j ...), conntrack (the table to start from). ' +
      'Without a host there are no rules and every packet is forwarded.',
    commands: ONE_HOST,
  },
  {
    name: 'old',
    value: 'DIR|FILE',
    required: true,
    short: 'the firewall as it was: a host as for replay --host',
    commands: ['diff'],
  },
  {
    name: 'new',
    value: 'DIR|FILE',
    required: true,
    short: 'the firewall as it will be',
    commands: ['diff'],
  },
  {
    name: 'rules',
    value: 'FILE',
    repeat: true,
    short: 'a ruleset: output of iptables-save, ip6tables-save, nft list ruleset or ipset save (repeatable)',
    commands: ONE_HOST,
  },
  {
    name: 'sysctl',
    value: 'KEY=VALUE|FILE',
    repeat: true,
    short: 'a sysctl, or a file of them (repeatable; goes before the host)',
    long: 'For example --sysctl net.netfilter.nf_conntrack_tcp_loose=0.',
    commands: ALL,
  },
  {
    name: 'local',
    value: 'ADDR[/LEN]',
    repeat: true,
    short: 'an address of the host itself (repeatable)',
    commands: ALL,
  },
  {
    name: 'iface',
    value: 'NAME=CIDR[,CIDR]',
    repeat: true,
    short: 'networks behind an interface, instead of route.json (repeatable)',
    commands: ALL,
  },
  {
    name: 'owner',
    value: 'UID:GID',
    short: "who sends the host's own packets, for rules with -m owner",
    long: 'Packets that the kernel sends by itself are known without. docs/matches.md says more.',
    commands: ALL,
  },
  {
    name: 'checksums',
    value: 'MODE',
    choices: ['auto', 'verify', 'ignore'],
    default: 'auto',
    short: 'what a wrong checksum means',
    long:
      'verify: as on a host with nf_conntrack_checksum=1, a wrong checksum is INVALID. ' +
      'auto: but not one that bears the marks of transmit offload in the capture.',
    commands: REPLAYING,
  },
  {
    name: 'seed',
    value: 'N',
    default: '0',
    short: 'decides what is random in the kernel: the ports that NAT chooses, -m statistic, numgen random',
    long: 'Equal seeds give equal outputs. A number from 0 to 18446744073709551615; docs/nat.md says what it decides.',
    commands: REPLAYING,
  },
  {
    name: 'expect',
    value: 'FILE',
    required: true,
    repeat: true,
    short: 'what is to hold of packets, flows, rules and the table, in YAML (repeatable)',
    long:
      'A list of expectations, each with a name, a selection and a claim: - name: nobody is INVALID, packets: {}, ' +
      'none: { ct: { state: INVALID } }. docs/check.md says it all.',
    commands: ['check'],
  },
  {
    name: 'junit',
    value: 'FILE',
    short: 'write the results as JUnit XML, a suite for each file of expectations',
    commands: ['check'],
  },
  {
    name: 'tap',
    short: 'print the results as TAP (Test Anything Protocol, version 14) instead of text',
    commands: ['check'],
  },
  {
    name: 'at',
    value: 'TIME',
    short: 'stop at this moment',
    long:
      'Seconds since 1970 with an optional fraction, ISO 8601 (UTC unless it names a zone), or +SECONDS after the ' +
      'first packet. Packets after it are not replayed; entries that expire before it are gone.',
    commands: ['replay', 'events', 'list'],
  },
  {
    name: 'packet',
    value: 'FILE:N',
    required: true,
    short: 'the packet: number or path of its capture, and its number in it, both from 1',
    commands: ['trace'],
  },
  {
    name: 'events',
    value: 'FILE',
    short: 'write the event stream, as conntrack -E prints it',
    commands: ['replay'],
  },
  {
    name: 'events-format',
    value: 'FORMAT',
    choices: EVENT_FORMATS,
    default: 'text',
    short: 'how events are written',
    long:
      'text: conntrack -E -o timestamp; extended: -o timestamp,extended; xml: -o timestamp,xml (in UTC); ' +
      'json: one object per line.',
    commands: ['replay'],
  },
  {
    name: 'output',
    letter: 'o',
    value: 'MODE[,MODE]',
    short: 'how lines are written: extended, id, ktimestamp, labels, save, timestamp, xml, json, proc',
    long:
      'As conntrack -o, several at once: extended says the layer 3 protocol, id the number of the packet that made the entry, ' +
      'ktimestamp when the entry began and ended (nf_conntrack_timestamp), labels their names (connlabel.conf of the host), ' +
      'save options that make the entry again, timestamp the moment of an event. Two are our own: json, one object per ' +
      'line, and proc, lines of /proc/net/nf_conntrack (list only). events without this option shows timestamps. All ' +
      'times are UTC.',
    commands: ['events', 'list'],
  },
  {
    name: 'event-mask',
    letter: 'e',
    value: 'KIND[,KIND]',
    short: 'show only these events: NEW, UPDATES, DESTROY, ALL',
    commands: ['events'],
  },
  ...FILTER_FLAGS,
  {
    name: 'count',
    letter: 'C',
    short: 'print only the number of entries, as conntrack -C',
    commands: ['list'],
  },
  {
    name: 'stats',
    letter: 'S',
    short: 'print what conntrack -S would have counted',
    long:
      'invalid, drop, early_drop and error are counted as the kernel does. The others stay 0: found and insert count what ' +
      'user space or NAT looks up, the rest what processors do to each other and how long chains of the hash table are.',
    commands: ['list'],
  },
  {
    name: 'flow-log',
    value: 'FILE',
    short: 'write a line for every entry that ends, with its accounting',
    long: 'Packets and bytes are known where net.netfilter.nf_conntrack_acct is 1 (--sysctl).',
    commands: ['replay'],
  },
  {
    name: 'flow-log-format',
    value: 'FORMAT',
    choices: FLOW_LOG_FORMATS,
    default: 'conntrackd',
    short: 'how these lines are written: as conntrackd (Stats LogFile) or ulogd (NFCT, PRINTFLOW, LOGEMU) does, in UTC',
    commands: ['replay'],
  },
  {
    name: 'expectations',
    value: 'FILE',
    short: 'write what helpers expected, as conntrack -E expect prints it',
    commands: ['replay'],
  },
  {
    name: 'expected',
    short: 'print what helpers expect, as conntrack -L expect, instead of the entries',
    commands: ['list'],
  },
  {
    name: 'table',
    value: 'FILE',
    short: 'write the connection table at the end (or --at), as conntrack -L -o extended prints it',
    commands: ['replay'],
  },
  {
    name: 'counters',
    value: 'FILE',
    short: 'write the rulesets with the counters of the replay, as iptables-save -c or nft list ruleset',
    commands: ['replay'],
  },
  {
    name: 'packets',
    value: 'FILE',
    short: 'write one JSON object per captured packet',
    commands: ['replay'],
  },
  {
    name: 'write',
    value: 'FILE.pcapng',
    short: 'write the captures again as one pcapng file, each packet with its verdict',
    long:
      'Packets in replay order as they were captured. A comment names file and number, verdict, rule, reason and connection ' +
      'tracking state; the verdict option says TC_ACT_OK, TC_ACT_SHOT or TC_ACT_QUEUED. Wireshark shows both.',
    commands: ['replay'],
  },
  {
    name: 'write-verdict',
    value: 'VERDICT[,VERDICT]',
    short: 'with --write: only packets with these verdicts (ACCEPT, DROP, REJECT, QUEUE, NONE)',
    commands: ['replay'],
  },
  {
    name: 'as-sent',
    short: 'with --write: only packets that left, as they left',
    long:
      'One hop less, after NAT and helpers, with the checksums that follow from it, and fragments as they are sent on. ' +
      'docs/output.md says what that means exactly.',
    commands: ['replay'],
  },
  {
    name: 'report',
    value: 'FILE.html',
    short: 'write a page for people: verdicts over time, states, rules, top talkers; of a diff what changes, and why',
    long: 'One file that needs no other and no network. docs/report.md says what is in it.',
    commands: ['replay', 'diff'],
  },
  {
    name: 'traffic',
    value: 'MODE[:PACKETS]',
    default: 'small',
    short: 'what is generated where no capture is given: small, large, imix, synflood',
    long:
      'TCP connections whose sequence numbers and checksums are right. small: 97 bytes, 400 packets a connection; large: 92 ' +
      'bytes, 8 packets a connection; imix: 410 bytes, 20 packets a connection; synflood: each packet opens one. One million ' +
      'packets if no number is given.',
    commands: ['bench'],
  },
  {
    name: 'runs',
    value: 'N',
    default: '5',
    short: 'how many runs are measured',
    commands: ['bench'],
  },
  {
    name: 'json',
    short: 'print for programs: JSON instead of text',
    commands: ALL,
  },
  {
    name: 'quiet',
    short: 'print nothing but what was asked for and errors',
    commands: ALL,
  },
  {
    name: 'workers',
    value: 'N',
    short: 'threads that work in parallel (default: all cores); the output is the same for any number',
    commands: REPLAYING,
  },
];

export const COMMAND_HELP: Record<CommandName, string> = {
  replay: 'replay captures through a firewall and say what it did',
  events: 'print the conntrack event stream, as conntrack -E',
  list: 'print the connection table, as conntrack -L',
  trace: 'follow one packet through hooks and rules, with the TCP window arithmetic',
  diff: 'replay captures through two firewalls and list the flows they treat differently',
  check: 'replay captures through a firewall and say whether what is expected holds',
  bench: 'measure replays of captures, or of generated traffic, on this machine',
  plan: 'say how packets are dealt to lanes, and which rule forced it; captures play no part',
};

/** What a command reads. bench reads several times. */
export function capturesHelp(command: CommandName): string {
  const input = command === 'bench' ? '' : ', - for standard input';
  return `captures: pcap or pcapng, each also gzip compressed${input}; IFACE=FILE names the interface`;
}

export const EXIT_HELP =
  'Exit status: 0 done (diff: no difference; check: all holds), 1 diff found differences or an expectation fails, 2 trouble.';
