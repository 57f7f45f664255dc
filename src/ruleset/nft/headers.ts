// Where in a packet lie the fields that nft has names for?
//
// Offsets and widths in bits from the start of the header: RFC 791 and 2474 (ip), 8200 (ip6), 792 (icmp), 4443 and 2710
// (icmpv6), 9293 (tcp), 768 (udp), 3828 (udplite), 9260 (sctp), 4340 (dccp), 4302 (ah), 4303 (esp), 3173 (comp),
// 2236 (igmp), IEEE 802.1Q (vlan).
import type { Datatype, Payload, PayloadProtocol } from './ast.ts';

export interface Field {
  offset: number;
  bits: number;
  type: Datatype;
}

export type Fields = Readonly<Record<string, Field>>;

export function field(offset: number, bits: number, type: Datatype = 'integer'): Field {
  return { offset, bits, type };
}

const PORTS = { sport: field(0, 16, 'inet_service'), dport: field(16, 16, 'inet_service') };

export const HEADERS: Readonly<Record<PayloadProtocol, { base: Payload['base']; fields: Fields }>> = {
  ether: {
    base: 'link',
    fields: {
      daddr: field(0, 48, 'ether_addr'),
      saddr: field(48, 48, 'ether_addr'),
      type: field(96, 16, 'ether_type'),
    },
  },
  vlan: {
    base: 'link',
    fields: {
      pcp: field(112, 3),
      dei: field(115, 1),
      cfi: field(115, 1),
      id: field(116, 12),
      type: field(128, 16, 'ether_type'),
    },
  },
  ip: {
    base: 'network',
    fields: {
      version: field(0, 4),
      hdrlength: field(4, 4),
      dscp: field(8, 6, 'dscp'),
      ecn: field(14, 2, 'ecn'),
      length: field(16, 16),
      id: field(32, 16),
      'frag-off': field(48, 16),
      ttl: field(64, 8),
      protocol: field(72, 8, 'inet_proto'),
      checksum: field(80, 16),
      saddr: field(96, 32, 'ipv4_addr'),
      daddr: field(128, 32, 'ipv4_addr'),
    },
  },
  ip6: {
    base: 'network',
    fields: {
      version: field(0, 4),
      dscp: field(4, 6, 'dscp'),
      ecn: field(10, 2, 'ecn'),
      flowlabel: field(12, 20),
      length: field(32, 16),
      nexthdr: field(48, 8, 'inet_proto'),
      hoplimit: field(56, 8),
      saddr: field(64, 128, 'ipv6_addr'),
      daddr: field(192, 128, 'ipv6_addr'),
    },
  },
  icmp: {
    base: 'transport',
    fields: {
      type: field(0, 8, 'icmp_type'),
      code: field(8, 8, 'icmp_code'),
      checksum: field(16, 16),
      id: field(32, 16),
      sequence: field(48, 16),
      gateway: field(32, 32),
      mtu: field(48, 16),
    },
  },
  icmpv6: {
    base: 'transport',
    fields: {
      type: field(0, 8, 'icmpv6_type'),
      code: field(8, 8, 'icmpv6_code'),
      checksum: field(16, 16),
      'parameter-problem': field(32, 32),
      'param-problem': field(32, 32),
      'packet-too-big': field(32, 32),
      mtu: field(32, 32),
      id: field(32, 16),
      sequence: field(48, 16),
      'max-delay': field(32, 16),
      taddr: field(64, 128, 'ipv6_addr'),
      daddr: field(192, 128, 'ipv6_addr'),
    },
  },
  igmp: {
    base: 'transport',
    fields: {
      type: field(0, 8, 'igmp_type'),
      mrt: field(8, 8),
      checksum: field(16, 16),
      group: field(32, 32),
    },
  },
  ah: {
    base: 'transport',
    fields: {
      nexthdr: field(0, 8, 'inet_proto'),
      hdrlength: field(8, 8),
      reserved: field(16, 16),
      spi: field(32, 32),
      sequence: field(64, 32),
    },
  },
  esp: { base: 'transport', fields: { spi: field(0, 32), sequence: field(32, 32) } },
  comp: {
    base: 'transport',
    fields: { nexthdr: field(0, 8, 'inet_proto'), flags: field(8, 8), cpi: field(16, 16) },
  },
  udp: { base: 'transport', fields: { ...PORTS, length: field(32, 16), checksum: field(48, 16) } },
  udplite: {
    base: 'transport',
    fields: { ...PORTS, csumcov: field(32, 16), checksum: field(48, 16) },
  },
  tcp: {
    base: 'transport',
    fields: {
      ...PORTS,
      sequence: field(32, 32),
      ackseq: field(64, 32),
      doff: field(96, 4),
      reserved: field(100, 4),
      flags: field(104, 8, 'tcp_flag'),
      window: field(112, 16),
      checksum: field(128, 16),
      urgptr: field(144, 16),
    },
  },
  dccp: { base: 'transport', fields: { ...PORTS, type: field(67, 4, 'dccp_pkttype') } },
  sctp: { base: 'transport', fields: { ...PORTS, vtag: field(32, 32), checksum: field(64, 32) } },
  th: { base: 'transport', fields: PORTS },
};

/** A header, option or chunk that has to be looked for. */
export interface Searched {
  /** Protocol number, option kind or chunk type. */
  number: number;
  fields: Fields;
}

const NEXT = { nexthdr: field(0, 8, 'inet_proto'), hdrlength: field(8, 8) };
const ROUTING = { ...NEXT, type: field(16, 8), 'seg-left': field(24, 8) };

/** Addresses of a routing header, of which nft names two: `addr[1]`, `sid[2]`. */
function addresses(name: string): Fields {
  return { [`${name}[1]`]: field(64, 128, 'ipv6_addr'), [`${name}[2]`]: field(192, 128, 'ipv6_addr') };
}

/** IPv6 extension headers: RFC 8200, 4302, 6275 (mh), 8754 (srh). */
export const EXTENSION_HEADERS: Readonly<Record<string, Searched>> = {
  hbh: { number: 0, fields: NEXT },
  rt: { number: 43, fields: ROUTING },
  rt0: { number: 43, fields: addresses('addr') },
  rt2: { number: 43, fields: { addr: field(64, 128, 'ipv6_addr') } },
  srh: {
    number: 43,
    fields: { 'last-entry': field(32, 8), flags: field(40, 8), tag: field(48, 16), ...addresses('sid') },
  },
  frag: {
    number: 44,
    fields: {
      nexthdr: field(0, 8, 'inet_proto'),
      reserved: field(8, 8),
      'frag-off': field(16, 13),
      reserved2: field(29, 2),
      'more-fragments': field(31, 1),
      id: field(32, 32),
    },
  },
  dst: { number: 60, fields: NEXT },
  mh: {
    number: 135,
    fields: { ...NEXT, type: field(16, 8, 'mh_type'), reserved: field(24, 8), checksum: field(32, 16) },
  },
};

const OPTION = { length: field(8, 8) };

function sack(block: number): Searched {
  return { number: 5, fields: { ...OPTION, left: field(16 + 64 * block, 32), right: field(48 + 64 * block, 32) } };
}

/** RFC 9293, 7323, 2018, 2385, 7413, 8684. */
export const TCP_OPTIONS: Readonly<Record<string, Searched>> = {
  eol: { number: 0, fields: {} },
  nop: { number: 1, fields: {} },
  maxseg: { number: 2, fields: { ...OPTION, size: field(16, 16) } },
  window: { number: 3, fields: { ...OPTION, count: field(16, 8) } },
  'sack-perm': { number: 4, fields: OPTION },
  sack: sack(0),
  sack0: sack(0),
  sack1: sack(1),
  sack2: sack(2),
  sack3: sack(3),
  timestamp: { number: 8, fields: { ...OPTION, tsval: field(16, 32), tsecr: field(48, 32) } },
  md5sig: { number: 19, fields: OPTION },
  mptcp: { number: 30, fields: { ...OPTION, subtype: field(16, 4) } },
  fastopen: { number: 34, fields: OPTION },
};

const ROUTE_OPTION = { type: field(0, 8), length: field(8, 8), ptr: field(16, 8), addr: field(24, 32) };

/** RFC 791, 2113. */
export const IP_OPTIONS: Readonly<Record<string, Searched>> = {
  rr: { number: 7, fields: ROUTE_OPTION },
  lsrr: { number: 131, fields: ROUTE_OPTION },
  ssrr: { number: 137, fields: ROUTE_OPTION },
  ra: { number: 148, fields: { type: field(0, 8), length: field(8, 8), value: field(16, 16) } },
};

const CHUNK = { type: field(0, 8), flags: field(8, 8), length: field(16, 16) };
const INIT_CHUNK = {
  ...CHUNK,
  'init-tag': field(32, 32),
  'a-rwnd': field(64, 32),
  'num-outbound-streams': field(96, 16),
  'num-inbound-streams': field(112, 16),
  'initial-tsn': field(128, 32),
};

/** RFC 9260, 5061, 3758. */
export const SCTP_CHUNKS: Readonly<Record<string, Searched>> = {
  data: {
    number: 0,
    fields: { ...CHUNK, tsn: field(32, 32), stream: field(64, 16), ssn: field(80, 16), ppid: field(96, 32) },
  },
  init: { number: 1, fields: INIT_CHUNK },
  'init-ack': { number: 2, fields: INIT_CHUNK },
  sack: {
    number: 3,
    fields: {
      ...CHUNK,
      'cum-tsn-ack': field(32, 32),
      'a-rwnd': field(64, 32),
      'num-gap-ack-blocks': field(96, 16),
      'num-dup-tsns': field(112, 16),
    },
  },
  heartbeat: { number: 4, fields: CHUNK },
  'heartbeat-ack': { number: 5, fields: CHUNK },
  abort: { number: 6, fields: CHUNK },
  shutdown: { number: 7, fields: { ...CHUNK, 'cum-tsn-ack': field(32, 32) } },
  'shutdown-ack': { number: 8, fields: CHUNK },
  error: { number: 9, fields: CHUNK },
  'cookie-echo': { number: 10, fields: CHUNK },
  'cookie-ack': { number: 11, fields: CHUNK },
  ecne: { number: 12, fields: { ...CHUNK, 'lowest-tsn': field(32, 32) } },
  cwr: { number: 13, fields: { ...CHUNK, 'lowest-tsn': field(32, 32) } },
  'shutdown-complete': { number: 14, fields: CHUNK },
  'asconf-ack': { number: 128, fields: { ...CHUNK, seqno: field(32, 32) } },
  'forward-tsn': { number: 192, fields: { ...CHUNK, 'new-cum-tsn': field(32, 32) } },
  asconf: { number: 193, fields: { ...CHUNK, seqno: field(32, 32) } },
};
