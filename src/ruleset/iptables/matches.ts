// Which matches (-m) are supported, with which options, and what do they test?
//
// Names and limits are those of iptables 1.8 (iptables-extensions(8)); what the kernel checks beyond that, such as the
// protocol or hook a match is valid for, is in ../check.ts.
import { CtState, Dir, Status } from '../../../assembly/vocabulary.ts';
import type { AddressTest, ConntrackTest, InvertedRange, MatchTest, Range } from '../ast.ts';
import { helpersLike } from '../helpers.ts';
import { type Family, refuse } from '../source.ts';
import { CONNBYTES } from './match-connbytes.ts';
import { CONNLIMIT } from './match-connlimit.ts';
import { HASHLIMIT } from './match-hashlimit.ts';
import { OWNER } from './match-owner.ts';
import { PHYSDEV } from './match-physdev.ts';
import { RECENT } from './match-recent.ts';
import { RPFILTER } from './match-rpfilter.ts';
import { SCTP } from './match-sctp.ts';
import { SET } from './match-set.ts';
import { STATISTIC } from './match-statistic.ts';
import { DSCP, ECN, TOS } from './match-tos.ts';
import { ADDRESS_TYPES, byPrefix, ICMP_TYPES, ICMP6_TYPES, own, PACKET_TYPES, TCP_FLAGS } from './names.ts';
import { firstValue, type Given, type OptionSpec, type Use } from './options.ts';
import {
  invalid,
  inverted,
  parseAddressRange,
  parseBits,
  parseMac,
  parseMark,
  parseNetwork,
  parseNumber,
  parseNumber64,
  parsePort,
  parsePorts,
  parseProtocol,
  parseRange,
  readNumber,
  type Value,
} from './values.ts';

export interface MatchExtension {
  /** The only family it exists for. */
  family?: Family;
  options: readonly OptionSpec[];
  build(use: Use): MatchTest;
}

/** XT_LIMIT_SCALE */
const LIMIT_SCALE = 10_000;
/** XT_MULTI_PORTS: a range takes two places. */
const MULTI_PORTS = 15;
const COMMENT_MAX = 255;
/** NF_CT_LABELS_MAX_SIZE: 16 bytes of bits. */
/** Longest name that struct xt_helper_info holds. */
const HELPER_NAME_MAX = 29;
const LABEL_MAX = 127;

/** A packet that connection tracking has not seen yet, as in raw PREROUTING, is INVALID to the kernel. */
const STATES: Readonly<Record<string, number>> = {
  INVALID: (1 << CtState.INVALID) | (1 << CtState.NONE),
  NEW: 1 << CtState.NEW,
  ESTABLISHED: 1 << CtState.ESTABLISHED,
  RELATED: 1 << CtState.RELATED,
  UNTRACKED: 1 << CtState.UNTRACKED,
};
const NAT_STATES: Readonly<Record<string, number>> = { SNAT: Status.SRC_NAT, DNAT: Status.DST_NAT };
const STATUSES: Readonly<Record<string, number>> = {
  NONE: 0,
  EXPECTED: Status.EXPECTED,
  SEEN_REPLY: Status.SEEN_REPLY,
  ASSURED: Status.ASSURED,
  CONFIRMED: Status.CONFIRMED,
};

const SPORT: OptionSpec = { names: ['source-port', 'sport'], values: 1, invert: true };
const DPORT: OptionSpec = { names: ['destination-port', 'dport'], values: 1, invert: true };
const MARK: OptionSpec = { names: ['mark'], values: 1, invert: true };

function ports(given: Given | undefined): InvertedRange | undefined {
  return given && inverted(parsePorts(firstValue(given), true), given.invert);
}

/** The ports of a tcp or udp match, absent ones left out. */
function portTests(use: Use): { sport?: InvertedRange; dport?: InvertedRange } {
  const sport = ports(use.get('source-port'));
  const dport = ports(use.get('destination-port'));
  return { ...(sport && { sport }), ...(dport && { dport }) };
}

function tcpFlags(value: Value): number {
  return parseBits(value, (name) => own(TCP_FLAGS, name), 'TCP flag');
}

function icmpType(value: Value, names: Readonly<Record<string, readonly [number, number, number]>>) {
  const found = byPrefix(names, value.text);
  if (found === null) invalid(value, 'more than one ICMP type begins with this');
  if (found) return { type: found[0], codes: { low: found[1], high: found[2] } };
  const [type = '', code, ...rest] = value.text.split('/');
  if (rest.length > 0) invalid(value, 'unknown ICMP type');
  const number = parseNumber({ text: type, at: value.at }, 255, 'unknown ICMP type: it');
  if (code === undefined) return { type: number, codes: { low: 0, high: 255 } };
  const exact = parseNumber({ text: code, at: value.at }, 255, 'the ICMP code');
  return { type: number, codes: { low: exact, high: exact } };
}

function conntrackStates(given: Given, nat: boolean): NonNullable<ConntrackTest['state']> {
  let states = 0;
  let status = 0;
  const value = firstValue(given);
  for (const name of value.text.split(',')) {
    const state = own(STATES, name.toUpperCase());
    const translated = nat ? own(NAT_STATES, name.toUpperCase()) : undefined;
    if (state === undefined && translated === undefined) invalid({ text: name, at: value.at }, 'unknown state');
    states |= state ?? 0;
    status |= translated ?? 0;
  }
  return { states, status, invert: given.invert };
}

function buildConntrack(use: Use): MatchTest {
  if (use.given.size === 0) refuse('RULESET_INVALID', "match 'conntrack' needs at least one option", use.at);
  const test: ConntrackTest = {};
  const address = (name: string, set: (address: AddressTest) => void): void => {
    const given = use.get(name);
    if (given) set(parseNetwork(firstValue(given), use.family, given.invert));
  };
  const port = (name: string, set: (range: InvertedRange) => void): void => {
    const given = use.get(name);
    if (given) set(inverted(parsePorts(firstValue(given), false), given.invert));
  };
  const state = use.get('ctstate');
  if (state) test.state = conntrackStates(state, true);
  const protocol = use.get('ctproto');
  if (protocol) test.protocol = { number: parseProtocol(firstValue(protocol)), invert: protocol.invert };
  address('ctorigsrc', (found) => {
    test.originalSource = found;
  });
  address('ctorigdst', (found) => {
    test.originalDestination = found;
  });
  address('ctreplsrc', (found) => {
    test.replySource = found;
  });
  address('ctrepldst', (found) => {
    test.replyDestination = found;
  });
  port('ctorigsrcport', (found) => {
    test.originalSourcePort = found;
  });
  port('ctorigdstport', (found) => {
    test.originalDestinationPort = found;
  });
  port('ctreplsrcport', (found) => {
    test.replySourcePort = found;
  });
  port('ctrepldstport', (found) => {
    test.replyDestinationPort = found;
  });
  const status = use.get('ctstatus');
  if (status) {
    const bits = parseBits(firstValue(status), (name) => own(STATUSES, name), 'status');
    test.status = { bits, invert: status.invert };
  }
  const expires = use.get('ctexpire');
  if (expires) test.expires = inverted(parseRange(firstValue(expires), 0xffffffff, 'the time'), expires.invert);
  const direction = use.value('ctdir');
  if (direction) {
    const name = direction.text.toUpperCase();
    if (name !== 'ORIGINAL' && name !== 'REPLY') invalid(direction, 'unknown direction');
    test.direction = name === 'ORIGINAL' ? Dir.ORIGINAL : Dir.REPLY;
  }
  return { kind: 'conntrack', test };
}

function buildMultiport(use: Use): MatchTest {
  const given = use.one('source-ports', 'destination-ports', 'ports');
  const value = firstValue(given);
  const list: Range[] = [];
  let places = 0;
  for (const text of value.text.split(',')) {
    const [first = '', last, ...rest] = text.split(':');
    if (rest.length > 0) invalid({ text, at: value.at }, 'not a port or port range');
    const low = parsePort(value, first);
    const high = last === undefined ? low : parsePort(value, last);
    if (last !== undefined && low >= high) invalid({ text, at: value.at }, 'the port range ends before it starts');
    list.push({ low, high });
    places += last === undefined ? 1 : 2;
  }
  if (places > MULTI_PORTS) invalid(value, `more than ${MULTI_PORTS} ports (a range counts as two)`);
  const side = given.name === 'ports' ? 'either' : given.name === 'source-ports' ? 'source' : 'destination';
  return { kind: 'multiport', side, ports: list, invert: given.invert };
}

/** `number[/second|minute|hour|day]`, the unit cut short as one likes. */
function limitAverage(value: Value): number {
  const [amount = '', unit, ...rest] = value.text.split('/');
  const units: readonly (readonly [string, number])[] = [
    ['second', 1],
    ['minute', 60],
    ['hour', 3600],
    ['day', 86400],
  ];
  const found =
    unit === undefined ? units[0] : units.find(([name]) => unit !== '' && name.startsWith(unit.toLowerCase()));
  const rate = /^\d{1,9}$/.test(amount) ? Number(amount) : 0;
  if (rest.length > 0 || !found || rate === 0)
    return invalid(value, 'not a rate (number/second, /minute, /hour or /day)');
  const average = Math.floor((LIMIT_SCALE * found[1]) / rate);
  return average > 0 ? average : invalid(value, 'the rate is too fast');
}

function buildLimit(use: Use): MatchTest {
  const rate = use.value('limit');
  const burst = use.value('limit-burst');
  return {
    kind: 'limit',
    average: rate ? limitAverage(rate) : (LIMIT_SCALE * 3600) / 3,
    burst: burst ? parseNumber(burst, 10_000, 'the burst') : 5,
  };
}

function hopLimit(prefix: 'ttl' | 'hl'): MatchExtension {
  return {
    family: prefix === 'ttl' ? 2 : 10,
    options: [
      { names: [`${prefix}-eq`, prefix], values: 1, invert: true },
      { names: [`${prefix}-lt`], values: 1 },
      { names: [`${prefix}-gt`], values: 1 },
    ],
    build(use) {
      const given = use.one(`${prefix}-eq`, `${prefix}-lt`, `${prefix}-gt`);
      const number = parseNumber(firstValue(given), 255, `the ${prefix === 'ttl' ? 'TTL' : 'hop limit'}`);
      const range = given.name.endsWith('-eq')
        ? { low: number, high: number }
        : given.name.endsWith('-lt')
          ? { low: 0, high: number - 1 }
          : { low: number + 1, high: 255 };
      return { kind: 'ttl', range: inverted(range, given.invert) };
    },
  };
}

function ranged(kind: 'length' | 'tcpmss', option: string): MatchExtension {
  return {
    options: [{ names: [option], values: 1, invert: true }],
    build(use) {
      const given = use.one(option);
      return { kind, range: inverted(parseRange(firstValue(given), 65535, `the ${kind}`), given.invert) };
    },
  };
}

const ICMP6: MatchExtension = {
  family: 10,
  options: [{ names: ['icmpv6-type'], values: 1, invert: true }],
  build(use) {
    const given = use.one('icmpv6-type');
    return { kind: 'icmp6', ...icmpType(firstValue(given), ICMP6_TYPES), invert: given.invert };
  },
};

const MATCHES: Readonly<Record<string, MatchExtension>> = {
  tcp: {
    options: [
      SPORT,
      DPORT,
      { names: ['tcp-flags'], values: 2, invert: true },
      { names: ['syn'], values: 0, invert: true },
      { names: ['tcp-option'], values: 1, invert: true },
    ],
    build(use) {
      const flags = use.atMostOne('tcp-flags', 'syn');
      const [mask, compare] = flags?.values ?? [];
      const option = use.get('tcp-option');
      const number = option && parseNumber(firstValue(option), 255, 'the TCP option');
      if (option && number === 0) invalid(firstValue(option), 'TCP option 0 cannot be asked for');
      return {
        kind: 'tcp',
        ...portTests(use),
        ...(flags && {
          flags: {
            mask: mask ? tcpFlags(mask) : 0x17,
            compare: compare ? tcpFlags(compare) : 0x02,
            invert: flags.invert,
          },
        }),
        ...(option && number !== undefined && { option: { number, invert: option.invert } }),
      };
    },
  },
  udp: { options: [SPORT, DPORT], build: (use) => ({ kind: 'udp', ...portTests(use) }) },
  sctp: SCTP,
  multiport: {
    options: [
      { names: ['source-ports', 'sports'], values: 1, invert: true },
      { names: ['destination-ports', 'dports'], values: 1, invert: true },
      { names: ['ports'], values: 1, invert: true },
    ],
    build: buildMultiport,
  },
  icmp: {
    family: 2,
    options: [{ names: ['icmp-type'], values: 1, invert: true }],
    build(use) {
      const given = use.one('icmp-type');
      return { kind: 'icmp', ...icmpType(firstValue(given), ICMP_TYPES), invert: given.invert };
    },
  },
  icmp6: ICMP6,
  icmpv6: ICMP6,
  state: {
    options: [{ names: ['state'], values: 1, invert: true }],
    build: (use) => ({ kind: 'conntrack', test: { state: conntrackStates(use.one('state'), false) } }),
  },
  conntrack: {
    options: [
      ...['ctstate', 'ctproto', 'ctorigsrc', 'ctorigdst', 'ctreplsrc', 'ctrepldst', 'ctorigsrcport'],
      ...['ctorigdstport', 'ctreplsrcport', 'ctrepldstport', 'ctstatus', 'ctexpire'],
    ]
      .map((name): OptionSpec => ({ names: [name], values: 1, invert: true }))
      .concat({ names: ['ctdir'], values: 1 }),
    build: buildConntrack,
  },
  mark: {
    options: [MARK],
    build(use) {
      const given = use.one('mark');
      return { kind: 'mark', ...parseMark(firstValue(given)), invert: given.invert };
    },
  },
  connmark: {
    options: [MARK],
    build(use) {
      const given = use.one('mark');
      return { kind: 'connmark', ...parseMark(firstValue(given)), invert: given.invert };
    },
  },
  connlabel: {
    options: [
      { names: ['label'], values: 1, invert: true },
      { names: ['set'], values: 0 },
    ],
    build(use) {
      const given = use.one('label');
      const value = firstValue(given);
      // A name comes first, also one that looks like a number (libxt_connlabel).
      const bit = use.names.labels?.get(value.text) ?? readNumber(value.text, LABEL_MAX);
      if (bit === undefined) {
        const where = use.names.labels ? 'in connlabel.conf nor' : '(the host has no connlabel.conf) nor';
        return invalid(value, `the label is neither a name ${where} a number from 0 to ${LABEL_MAX}`);
      }
      return { kind: 'connlabel', bit, set: use.has('set'), invert: given.invert };
    },
  },
  connbytes: CONNBYTES,
  connlimit: CONNLIMIT,
  set: SET,
  helper: {
    options: [{ names: ['helper'], values: 1, invert: true }],
    build(use) {
      const given = use.one('helper');
      const value = firstValue(given);
      if (value.text.length > HELPER_NAME_MAX) invalid(value, `the name is longer than ${HELPER_NAME_MAX} characters`);
      return { kind: 'helper', helpers: helpersLike(value.text), invert: given.invert };
    },
  },
  comment: {
    options: [{ names: ['comment'], values: 1 }],
    build(use) {
      const value = firstValue(use.one('comment'));
      if (value.text.length > COMMENT_MAX) invalid(value, `the comment is longer than ${COMMENT_MAX} characters`);
      return { kind: 'comment', comment: value.text };
    },
  },
  addrtype: {
    options: [
      { names: ['src-type'], values: 1, invert: true },
      { names: ['dst-type'], values: 1, invert: true },
      { names: ['limit-iface-in'], values: 0 },
      { names: ['limit-iface-out'], values: 0 },
    ],
    build(use) {
      const types = (given: Given) => ({
        types: parseBits(
          firstValue(given),
          (name) => {
            const type = own(ADDRESS_TYPES, name);
            return type === undefined ? undefined : 1 << type;
          },
          'address type',
        ),
        invert: given.invert,
      });
      const source = use.get('src-type');
      const destination = use.get('dst-type');
      if (!source && !destination) {
        refuse('RULESET_INVALID', "match 'addrtype' needs --src-type or --dst-type", use.at);
      }
      const limit = use.atMostOne('limit-iface-in', 'limit-iface-out');
      return {
        kind: 'addrtype',
        test: {
          ...(source && { source: types(source) }),
          ...(destination && { destination: types(destination) }),
          ...(limit && { limit: limit.name === 'limit-iface-in' ? ('in' as const) : ('out' as const) }),
        },
      };
    },
  },
  iprange: {
    options: [
      { names: ['src-range'], values: 1, invert: true },
      { names: ['dst-range'], values: 1, invert: true },
    ],
    build(use) {
      const source = use.get('src-range');
      const destination = use.get('dst-range');
      if (!source && !destination) {
        refuse('RULESET_INVALID', "match 'iprange' needs --src-range or --dst-range", use.at);
      }
      return {
        kind: 'iprange',
        ...(source && { source: parseAddressRange(firstValue(source), use.family, source.invert) }),
        ...(destination && { destination: parseAddressRange(firstValue(destination), use.family, destination.invert) }),
      };
    },
  },
  mac: {
    options: [{ names: ['mac-source'], values: 1, invert: true }],
    build(use) {
      const given = use.one('mac-source');
      return { kind: 'mac', address: parseMac(firstValue(given)), invert: given.invert };
    },
  },
  pkttype: {
    options: [{ names: ['pkt-type'], values: 1, invert: true }],
    build(use) {
      const given = use.one('pkt-type');
      const value = firstValue(given);
      const type = own(PACKET_TYPES, value.text.toLowerCase()) ?? invalid(value, 'unknown packet type');
      return { kind: 'pkttype', type, invert: given.invert };
    },
  },
  hashlimit: HASHLIMIT,
  recent: RECENT,
  length: ranged('length', 'length'),
  ttl: hopLimit('ttl'),
  hl: hopLimit('hl'),
  tcpmss: ranged('tcpmss', 'mss'),
  limit: {
    options: [
      { names: ['limit'], values: 1 },
      { names: ['limit-burst'], values: 1 },
    ],
    build: buildLimit,
  },
  owner: OWNER,
  physdev: PHYSDEV,
  rpfilter: RPFILTER,
  statistic: STATISTIC,
  quota: {
    options: [{ names: ['quota'], values: 1, invert: true }],
    build(use) {
      const given = use.one('quota');
      return { kind: 'quota', bytes: parseNumber64(firstValue(given), 'the quota'), invert: given.invert };
    },
  },
  tos: TOS,
  dscp: DSCP,
  ecn: ECN,
};

/** The extension of that name, undefined if it is not supported for the family. */
export function findMatch(name: string, family: Family): MatchExtension | undefined {
  const extension = own(MATCHES, name);
  return extension?.family === undefined || extension.family === family ? extension : undefined;
}

/** The match that iptables loads by itself when an option is unknown and -p was given, by protocol number. */
export function protocolMatch(protocol: number, family: Family): string | undefined {
  if (protocol === 6) return 'tcp';
  if (protocol === 17) return 'udp';
  if (protocol === 132) return 'sctp';
  if (protocol === 1 && family === 2) return 'icmp';
  if (protocol === 58 && family === 10) return 'icmp6';
  return undefined;
}
