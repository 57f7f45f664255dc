// Which types do values have, and which names stand for which values? (Types and names as `nft describe TYPE` lists them.)
import { own, PROTOCOLS, servicePort } from '../iptables/names.ts';
import type { Datatype, Typed } from './ast.ts';

/** Width in bits; 0 where the expression decides, or for strings. */
const BITS: Readonly<Record<Datatype, number>> = {
  integer: 0,
  string: 0,
  boolean: 1,
  verdict: 0,
  nf_proto: 8,
  ipv4_addr: 32,
  ipv6_addr: 128,
  ether_addr: 48,
  ether_type: 16,
  inet_proto: 8,
  inet_service: 16,
  mark: 32,
  ifname: 0,
  iface_index: 32,
  iface_type: 16,
  devgroup: 32,
  uid: 32,
  gid: 32,
  realm: 32,
  classid: 32,
  cgroupsv2: 64,
  pkt_type: 8,
  icmp_type: 8,
  icmp_code: 8,
  icmpv6_type: 8,
  icmpv6_code: 8,
  icmpx_code: 8,
  igmp_type: 8,
  mh_type: 8,
  tcp_flag: 8,
  dccp_pkttype: 4,
  ct_state: 32,
  ct_dir: 8,
  ct_status: 32,
  ct_label: 128,
  ct_event: 32,
  dscp: 6,
  ecn: 2,
  fib_addrtype: 32,
  time: 64,
  day: 8,
  hour: 32,
  timestamp: 64,
};

/** Types of which a plain list stands for the bits of all its members. */
const BITMASKS: ReadonlySet<Datatype> = new Set(['ct_state', 'ct_status', 'ct_label', 'ct_event', 'tcp_flag']);

export function isBitmask(type: Datatype): boolean {
  return BITMASKS.has(type);
}

export function typed(type: Datatype, bits = BITS[type]): Typed {
  return { type, bits };
}

/** A type as sets declare it; types of which a set cannot consist are undefined. */
export function typeByName(name: string): Typed | undefined {
  if (name === 'time') return typed('timestamp');
  if (name === 'timestamp' || name === 'boolean') return undefined;
  return Object.hasOwn(BITS, name) ? typed(name as Datatype) : undefined;
}

type Names = Readonly<Record<string, number>>;

const ICMP_CODES: Names = {
  'net-unreachable': 0, 'host-unreachable': 1, 'prot-unreachable': 2, 'port-unreachable': 3, 'frag-needed': 4,
  'net-prohibited': 9, 'host-prohibited': 10, 'admin-prohibited': 13,
}; // biome-ignore format: a table

const ICMPV6_CODES: Names = {
  'no-route': 0, 'admin-prohibited': 1, 'addr-unreachable': 3, 'port-unreachable': 4, 'policy-fail': 5,
  'reject-route': 6,
}; // biome-ignore format: a table

const NAMES: Partial<Readonly<Record<Datatype, Names>>> = {
  boolean: { exists: 1, missing: 0, true: 1, false: 0 },
  nf_proto: { ipv4: 2, ipv6: 10 },
  ether_type: { ip: 0x0800, arp: 0x0806, ip6: 0x86dd, '8021q': 0x8100, vlan: 0x8100, '8021ad': 0x88a8 },
  iface_type: { ether: 1, ppp: 512, ipip: 768, ipip6: 769, loopback: 772, sit: 776, ipgre: 778 },
  devgroup: { default: 0 },
  pkt_type: { host: 0, unicast: 0, broadcast: 1, multicast: 2, other: 3 },
  icmp_type: {
    'echo-reply': 0, 'destination-unreachable': 3, 'source-quench': 4, redirect: 5, 'echo-request': 8,
    'router-advertisement': 9, 'router-solicitation': 10, 'time-exceeded': 11, 'parameter-problem': 12,
    'timestamp-request': 13, 'timestamp-reply': 14, 'info-request': 15, 'info-reply': 16,
    'address-mask-request': 17, 'address-mask-reply': 18,
  }, // biome-ignore format: a table
  icmp_code: ICMP_CODES,
  icmpv6_type: {
    'destination-unreachable': 1, 'packet-too-big': 2, 'time-exceeded': 3, 'parameter-problem': 4,
    'echo-request': 128, 'echo-reply': 129, 'mld-listener-query': 130, 'mld-listener-report': 131,
    'mld-listener-done': 132, 'mld-listener-reduction': 132, 'nd-router-solicit': 133, 'nd-router-advert': 134,
    'nd-neighbor-solicit': 135, 'nd-neighbor-advert': 136, 'nd-redirect': 137, 'router-renumbering': 138,
    'ind-neighbor-solicit': 141, 'ind-neighbor-advert': 142, 'mld2-listener-report': 143,
  }, // biome-ignore format: a table
  icmpv6_code: ICMPV6_CODES,
  icmpx_code: { 'no-route': 0, 'port-unreachable': 1, 'host-unreachable': 2, 'admin-prohibited': 3 },
  igmp_type: {
    'membership-query': 17, 'membership-report-v1': 18, 'membership-report-v2': 22, 'leave-group': 23,
    'membership-report-v3': 34,
  }, // biome-ignore format: a table
  mh_type: {
    'binding-refresh-request': 0, 'home-test-init': 1, 'careof-test-init': 2, 'home-test': 3, 'careof-test': 4,
    'binding-update': 5, 'binding-acknowledgement': 6, 'binding-error': 7, 'fast-binding-update': 8,
    'fast-binding-acknowledgement': 9, 'fast-binding-advertisement': 10, 'experimental-mobility-header': 11,
    'home-agent-switch-message': 12,
  }, // biome-ignore format: a table
  tcp_flag: { fin: 0x01, syn: 0x02, rst: 0x04, psh: 0x08, ack: 0x10, urg: 0x20, ecn: 0x40, cwr: 0x80 },
  dccp_pkttype: {
    request: 0, response: 1, data: 2, ack: 3, dataack: 4, closereq: 5, close: 6, reset: 7, sync: 8, syncack: 9,
  }, // biome-ignore format: a table
  ct_state: { invalid: 0x01, established: 0x02, related: 0x04, new: 0x08, untracked: 0x40 },
  ct_dir: { original: 0, reply: 1 },
  ct_status: { expected: 1, 'seen-reply': 2, assured: 4, confirmed: 8, snat: 0x10, dnat: 0x20, dying: 0x200 },
  ct_event: {
    new: 0x01, related: 0x02, destroy: 0x04, reply: 0x08, assured: 0x10, protoinfo: 0x20, helper: 0x40, mark: 0x80,
    seqadj: 0x100, secmark: 0x200, label: 0x400,
  }, // biome-ignore format: a table
  dscp: {
    cs0: 0, df: 0, be: 0, lephb: 1, 'le': 1, cs1: 8, af11: 10, af12: 12, af13: 14, cs2: 16, af21: 18, af22: 20, af23: 22,
    cs3: 24, af31: 26, af32: 28, af33: 30, cs4: 32, af41: 34, af42: 36, af43: 38, cs5: 40, va: 44, ef: 46, cs6: 48,
    cs7: 56,
  }, // biome-ignore format: a table
  ecn: { 'not-ect': 0, ect1: 1, ect0: 2, ce: 3 },
  fib_addrtype: {
    unspec: 0, unicast: 1, local: 2, broadcast: 3, anycast: 4, multicast: 5, blackhole: 6, unreachable: 7,
    prohibit: 8,
  }, // biome-ignore format: a table
};

const DAYS = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

/** The number that a name stands for; undefined if the type does not have it. */
export function numberByName(type: Datatype, name: string): number | undefined {
  switch (type) {
    case 'inet_service':
      return servicePort(name);
    case 'inet_proto':
      return own(PROTOCOLS, name.toLowerCase());
    case 'day': {
      const found = DAYS.findIndex((day) => day.startsWith(name.toLowerCase()));
      return found < 0 || name === '' ? undefined : found;
    }
    default: {
      const names = NAMES[type];
      return names && own(names, name);
    }
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/** `1d2h3m4s5ms` or a number of seconds, in milliseconds; undefined if it is neither. */
export function parseTime(text: string): number | undefined {
  if (/^\d{1,15}$/.test(text)) return Number(text) * 1000;
  if (!/^(?:\d{1,15}(?:d|h|ms|m|s))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number, unit] of text.matchAll(/(\d+)(ms|[dhms])/g))
    total += Number(number) * (UNITS_MS[unit ?? ''] ?? 0);
  return total;
}

/** `HH:MM[:SS]` in seconds since midnight. */
export function parseHour(text: string): number | undefined {
  const [, hours, minutes, seconds = '0'] = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(text) ?? [];
  if (hours === undefined || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
}

/** `YYYY-MM-DD[ HH:MM[:SS]]` in seconds since 1970. */
export function parseDate(text: string): number | undefined {
  const [, date, time = '00:00'] = /^(\d{4}-\d{2}-\d{2})(?: (\d{2}:\d{2}(?::\d{2})?))?$/.exec(text) ?? [];
  const milliseconds = date === undefined ? Number.NaN : Date.parse(`${date}T${time}Z`);
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000;
}
