// Which hand-made packets must the kernel and ctreplay agree on? Every TCP state met with every kind of segment that
// decides something there, and what captures rarely hold: pauses, dropped and rejected packets, marks, expiry.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ends, icmp, ip, type Segment, tcp, udp } from './craft.ts';

export interface Sequence {
  name: string;
  /** Packets, and pauses in milliseconds. */
  steps: (Buffer | number)[];
  rules4?: string[];
  rules6?: string[];
  sysctls?: Record<string, string>;
}

/** A ruleset of test/differential/rules, from the sources even when this file was compiled into build/. */
export function ruleset(name: string): string {
  const source = import.meta.url.replace('/build/test/differential/', '/test/differential/');
  return readFileSync(fileURLToPath(new URL(`./rules/${name}`, source)), 'utf8');
}

/** Adds rules to the chains of one table of an otherwise accepting ruleset. */
function table(name: 'filter' | 'mangle' | 'raw', ...rules: string[]): string {
  const chains = {
    raw: ['PREROUTING', 'OUTPUT'],
    mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
    filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  }[name];
  return [`*${name}`, ...chains.map((chain) => `:${chain} ACCEPT [0:0]`), ...rules, 'COMMIT', ''].join('\n');
}

/** One TCP connection's usual segments: client 1000, server 5000. */
export function connection(family: 4 | 6, sport: number) {
  const client = (segment: Segment): Buffer => tcp({ family, sport, ...segment });
  const server = (segment: Segment): Buffer => tcp({ family, sport, back: true, ...segment });
  const syn = client({ flags: 'S', seq: 1000 });
  const synAck = server({ flags: 'S.', seq: 5000, ack: 1001 });
  const ack = client({ flags: '.', seq: 1001, ack: 5001 });
  const fin = client({ flags: 'F.', seq: 1001, ack: 5001 });
  const finAck = server({ flags: '.', seq: 5001, ack: 1002 });
  const serverFin = server({ flags: 'F.', seq: 5001, ack: 1002 });
  const lastAck = client({ flags: '.', seq: 1002, ack: 5002 });
  return { client, server, syn, synAck, ack, fin, finAck, serverFin, lastAck };
}

type Connection = ReturnType<typeof connection>;

/** How to get an entry into each state. */
export const STATES: Record<string, (c: Connection) => Buffer[]> = {
  SYN_SENT: (c) => [c.syn],
  SYN_RECV: (c) => [c.syn, c.synAck],
  SYN_SENT2: (c) => [c.syn, c.server({ flags: 'S', seq: 5000 })],
  ESTABLISHED: (c) => [c.syn, c.synAck, c.ack],
  'ESTABLISHED with data under way': (c) => [
    ...STATES.ESTABLISHED!(c),
    c.client({ flags: 'P.', seq: 1001, ack: 5001, length: 100 }),
  ],
  FIN_WAIT: (c) => [c.syn, c.synAck, c.ack, c.fin],
  CLOSE_WAIT: (c) => [c.syn, c.synAck, c.ack, c.fin, c.finAck],
  LAST_ACK: (c) => [c.syn, c.synAck, c.ack, c.fin, c.finAck, c.serverFin],
  TIME_WAIT: (c) => [c.syn, c.synAck, c.ack, c.fin, c.finAck, c.serverFin, c.lastAck],
  CLOSE: (c) => [c.syn, c.synAck, c.ack, c.client({ flags: 'R', seq: 1001 })],
  'picked up': (c) => [c.ack],
  'picked up and answered': (c) => [c.ack, c.server({ flags: '.', seq: 5001, ack: 1001 })],
  'after an ignored SYN': (c) => [...STATES.ESTABLISHED!(c), c.client({ flags: 'S', seq: 900_000 })],
};

/** What then arrives: from the client (c) or the server (s). */
const PROBES: Record<string, (c: Connection) => Buffer> = {
  'c R exact': (c) => c.client({ flags: 'R', seq: 1001 }),
  'c R one ahead': (c) => c.client({ flags: 'R', seq: 1002 }),
  'c R ahead in window': (c) => c.client({ flags: 'R.', seq: 1051, ack: 5001 }),
  'c R behind data': (c) => c.client({ flags: 'R', seq: 1101 }),
  'c R overshot': (c) => c.client({ flags: 'R', seq: 71_001 }),
  'c R far ahead': (c) => c.client({ flags: 'R', seq: 900_000 }),
  'c R seq 0': (c) => c.client({ flags: 'R.', seq: 0, ack: 5001 }),
  's R exact': (c) => c.server({ flags: 'R.', seq: 5001, ack: 1001 }),
  's R ahead': (c) => c.server({ flags: 'R', seq: 5051 }),
  's R seq 0': (c) => c.server({ flags: 'R.', seq: 0, ack: 1001 }),
  's R answering the ignored SYN': (c) => c.server({ flags: 'R.', seq: 0, ack: 900_001 }),
  'c S again': (c) => c.syn,
  'c S new': (c) => c.client({ flags: 'S', seq: 900_000 }),
  'c S in window': (c) => c.client({ flags: 'S', seq: 1100 }),
  's S': (c) => c.server({ flags: 'S', seq: 5000 }),
  's S new': (c) => c.server({ flags: 'S', seq: 777_000 }),
  's S.': (c) => c.synAck,
  's S. answering the ignored SYN': (c) => c.server({ flags: 'S.', seq: 800_000, ack: 900_001 }),
  'c S.': (c) => c.client({ flags: 'S.', seq: 1000, ack: 5001 }),
  'c F': (c) => c.fin,
  's F': (c) => c.server({ flags: 'F.', seq: 5001, ack: 1001 }),
  'c .': (c) => c.ack,
  's .': (c) => c.server({ flags: '.', seq: 5001, ack: 1001 }),
  's . of a stranger': (c) => c.server({ flags: '.', seq: 123_456, ack: 654_321 }),
  's window 0': (c) => c.server({ flags: '.', seq: 5001, ack: 1001, window: 0 }),
  'c data': (c) => c.client({ flags: 'P.', seq: 1001, ack: 5001, length: 100 }),
  'c data old': (c) => c.client({ flags: 'P.', seq: 901, ack: 5001, length: 50 }),
  'c data overshot': (c) => c.client({ flags: 'P.', seq: 66_500, ack: 5001, length: 1000 }),
  'c data over': (c) => c.client({ flags: 'P.', seq: 200_000, ack: 5001, length: 1000 }),
  'c ack over': (c) => c.client({ flags: '.', seq: 1001, ack: 900_000 }),
  'c ack old': (c) => c.client({ flags: '.', seq: 1001, ack: 4900 }),
  'c no flags': (c) => c.client({ flags: '', seq: 1001 }),
  'c SF': (c) => c.client({ flags: 'SF', seq: 1001 }),
};

/** Each state, each probe, then data both ways to see what the probe left behind; one port per case. */
function statesAndProbes(family: 4 | 6): Sequence {
  const steps: Buffer[] = [];
  let port = 10_000;
  for (const reach of Object.values(STATES)) {
    for (const probe of Object.values(PROBES)) {
      const c = connection(family, port++);
      const after = [
        c.client({ flags: 'P.', seq: 1001, ack: 5001, length: 10 }),
        c.server({ flags: '.', seq: 5001, ack: 1011 }),
      ];
      steps.push(...reach(c), probe(c), ...after);
    }
  }
  return { name: `each TCP state met by each segment, IPv${family}`, steps };
}

const CT = 'net.netfilter.nf_conntrack_';
const open = connection(4, 4000);
const handshake = [open.syn, open.synAck, open.ack];
const closing = [open.fin, open.finAck, open.serverFin, open.lastAck];
const data = (from: number): Buffer => open.client({ flags: 'P.', seq: 1001 + from, ack: 5001, length: 100 });
const both = (back: boolean): Buffer[] => [udp({ family: 4, back }), udp({ family: 6, back })];
const ping = (family: 4 | 6, back: boolean, id = 7): Buffer =>
  icmp({ family, back, type: family === 4 ? (back ? 0 : 8) : back ? 129 : 128, rest: id * 65536 + 1 });
const unreachable = (family: 4 | 6, about: Buffer, length = about.length): Buffer =>
  icmp({ family, back: true, type: family === 4 ? 3 : 1, code: family === 4 ? 3 : 4, body: about.subarray(0, length) });

/** The packet with its last byte, and so its checksum, wrong. */
function broken(packet: Buffer): Buffer {
  const wrong = Buffer.from(packet);
  wrong.writeUInt8(wrong.readUInt8(wrong.length - 1) ^ 1, wrong.length - 1);
  return wrong;
}

/** A datagram whose source is its target. */
function mirrored(family: 4 | 6): Buffer {
  const { source } = ends(family, false);
  const header = Buffer.from([0x30, 0x39, 0x30, 0x39, 0, 8, 0, 0]);
  return ip({ source, target: source }, 17, header, 6);
}

/** A packet to the server from a neighbour's link-local address: a datagram, an echo request or anything else. */
function fromLinkLocal(protocol: number, checksum: number, ttl = 64): Buffer {
  const header = Buffer.from(protocol === 58 ? [128, 0, 0, 0, 0, 7, 0, 1] : [0x0f, 0xa0, 0, 53, 0, 8, 0, 0]);
  const source = Buffer.from('fe80000000000000000000000000abcd', 'hex');
  return ip({ source, target: ends(6, false).target }, protocol, header, checksum, ttl);
}

/** Timeouts of all sorts that differ from each other, to see which one is used. */
const ODD_TIMEOUTS = {
  [`${CT}tcp_timeout_close`]: '33',
  [`${CT}tcp_timeout_unacknowledged`]: '20',
  [`${CT}tcp_timeout_max_retrans`]: '55',
  [`${CT}tcp_timeout_syn_recv`]: '61',
  [`${CT}tcp_timeout_established`]: '1000',
};

export const SEQUENCES: Sequence[] = [
  statesAndProbes(4),
  statesAndProbes(6),
  { ...statesAndProbes(4), name: 'the same with tcp_be_liberal', sysctls: { [`${CT}tcp_be_liberal`]: '1' } },
  { ...statesAndProbes(4), name: 'the same without tcp_loose', sysctls: { [`${CT}tcp_loose`]: '0' } },
  {
    ...statesAndProbes(4),
    name: 'the same with tcp_ignore_invalid_rst',
    sysctls: { [`${CT}tcp_ignore_invalid_rst`]: '1' },
  },
  { ...statesAndProbes(4), name: 'the same with odd timeouts', sysctls: ODD_TIMEOUTS },
  {
    ...statesAndProbes(4),
    name: 'the same with a gateway',
    rules4: [ruleset('gateway.iptables-save')],
  },
  ...([4, 6] as const).map(
    (family): Sequence => ({
      ...statesAndProbes(family),
      name: `the same with a reset for whatever is INVALID, IPv${family}`,
      [family === 4 ? 'rules4' : 'rules6']: [
        table('filter', '-A FORWARD -p tcp -m conntrack --ctstate INVALID -j REJECT --reject-with tcp-reset'),
      ],
    }),
  ),
  {
    name: 'the reset that answers an INVALID or UNTRACKED packet is tracked itself',
    steps: [4, 6].flatMap((family) => {
      const invalid = (port: number, probe: (c: Connection) => Buffer): Buffer[] => {
        const c = connection(family as 4 | 6, port);
        const after = [
          c.client({ flags: 'P.', seq: 1001, ack: 5001, length: 10 }),
          c.server({ flags: '.', seq: 5001 }),
        ];
        return [c.syn, c.synAck, c.ack, probe(c), ...after];
      };
      return [
        // At the server's next number: the flow closes. Elsewhere: it stays, for as long as CLOSE would have.
        ...invalid(4000, (c) => c.client({ flags: '.', seq: 900_000, ack: 5001 })),
        ...invalid(4001, (c) => c.client({ flags: '.', seq: 1001, ack: 900_000 })),
        ...invalid(4002, (c) => c.client({ flags: '.', seq: 900_000, ack: 4000 })),
        // Nothing was acknowledged: the reset acknowledges, SYN and FIN being a number each.
        ...invalid(4003, (c) => c.client({ flags: 'F', seq: 1001, length: 5 })),
        ...invalid(4004, (c) => c.client({ flags: 'SF', seq: 900_000 })),
        ...invalid(4005, (c) => c.server({ flags: '.', seq: 900_000, ack: 1001 })),
        // Of no flow at all, and passed by connection tracking.
        connection(family as 4 | 6, 4006).synAck,
        ...invalid(5000, (c) => c.client({ flags: '.', seq: 1001, ack: 5001 })),
        ...invalid(5001, (c) => c.client({ flags: '.', seq: 900_000, ack: 5001 })),
      ];
    }),
    ...(() => {
      const rules = [
        table('raw', '-A PREROUTING -p tcp -m tcp --sport 5000:5001 --tcp-flags SYN,PSH,ACK ACK -j CT --notrack'),
        table('filter', '-A FORWARD -p tcp -m conntrack --ctstate INVALID,UNTRACKED -j REJECT --reject-with tcp-reset'),
      ].join('');
      return { rules4: [rules], rules6: [rules] };
    })(),
  },
  {
    name: 'UDP becomes a stream two seconds after it began',
    steps: [
      ...[false, false, true, true].flatMap((back) => both(back)),
      2100,
      ...[false, true, false].flatMap((back) => both(back)),
    ],
  },
  {
    name: 'UDP: the first reply comes late',
    steps: [
      udp({}),
      udp({ sport: 4001 }),
      2100,
      udp({ back: true }),
      udp({ sport: 4001 }),
      udp({ back: true }),
      udp({}),
    ],
  },
  {
    name: 'pings and errors',
    steps: [
      ...[4, 6].flatMap((family) => {
        const f = family as 4 | 6;
        const question = udp({ family: f, length: 40 });
        return [
          ping(f, false),
          ping(f, true),
          ping(f, false),
          ping(f, true),
          ping(f, true, 9),
          question,
          unreachable(f, question),
          unreachable(f, question, (f === 4 ? 20 : 40) + 8),
          unreachable(f, question, f === 4 ? 20 : 40),
          unreachable(f, question, (f === 4 ? 20 : 40) + 4),
          unreachable(f, udp({ family: f, sport: 9999 })),
          unreachable(f, ping(f, false)),
          unreachable(f, unreachable(f, question)),
          icmp({ family: f, back: true, type: f === 4 ? 11 : 3, body: question }),
          icmp({ family: f, type: f === 4 ? 11 : 3, body: question }),
        ];
      }),
      ...[4, 5, 9, 10, 12, 13, 14, 15, 17, 18, 30, 42, 43].map((type) => icmp({ type, rest: 0x70001 + type * 65536 })),
      ...[2, 4, 5, 127, 130, 133, 136, 137, 138, 139, 140, 143, 151, 155, 160, 255].map((type) =>
        icmp({ family: 6, type, rest: 0x70001 + type * 65536 }),
      ),
    ],
  },
  {
    name: 'dropped packets still count; their events come with the next accepted one',
    steps: [open.syn, open.synAck, open.synAck, open.ack, data(0), ...closing, open.syn],
    rules4: [
      table(
        'filter',
        '-A FORWARD -p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK -j DROP',
        '-A FORWARD -p tcp -m tcp --tcp-flags FIN FIN -j DROP',
      ),
    ],
  },
  {
    name: 'a dropped first packet leaves nothing, a dropped RST kills',
    steps: [
      udp({ dport: 69 }),
      udp({ back: true, dport: 69 }),
      open.syn,
      open.server({ flags: 'R.', ack: 1001 }),
      open.syn,
    ],
    rules4: [table('filter', '-A FORWARD -p udp -j DROP', '-A FORWARD -p tcp -m tcp --tcp-flags RST RST -j DROP')],
  },
  {
    name: 'REJECT with tcp-reset closes the entry',
    steps: [open.ack, ...handshake, data(0), data(100), open.server({ flags: '.', seq: 5001, ack: 1101 }), open.syn],
    rules4: [table('filter', '-A FORWARD -p tcp -m length --length 140 -j REJECT --reject-with tcp-reset')],
  },
  ...['icmp-net-unreachable', 'icmp-host-prohibited', 'icmp-proto-unreachable', 'icmp-admin-prohibited'].map(
    (kind): Sequence => ({
      name: `REJECT with ${kind}`,
      steps: [...handshake, data(0), data(100), udp({}), ping(4, false), unreachable(4, udp({}))],
      rules4: [table('filter', `-A FORWARD -m length ! --length 40 -j REJECT --reject-with ${kind}`)],
    }),
  ),
  ...['icmp6-no-route', 'icmp6-adm-prohibited', 'icmp6-addr-unreachable', 'icmp6-port-unreachable'].map(
    (kind): Sequence => ({
      name: `REJECT with ${kind}`,
      steps: [udp({ family: 6 }), ping(6, false), tcp({ family: 6, flags: 'S', seq: 1000 })],
      rules6: [table('filter', `-A FORWARD -j REJECT --reject-with ${kind}`)],
    }),
  ),
  {
    name: 'marks: set, set to the same, to another, to zero',
    steps: [...handshake, data(0), data(100), ...closing, udp({}), udp({ back: true }), udp({})],
    rules4: [
      table(
        'mangle',
        '-A FORWARD -p tcp -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x6/0xffffffff',
        '-A FORWARD -p tcp -m conntrack --ctdir REPLY -j CONNMARK --set-xmark 0x9/0xffffffff',
        '-A FORWARD -p tcp -m length --length 140 -j CONNMARK --set-xmark 0x0/0xffffffff',
        '-A POSTROUTING -p udp -m conntrack --ctstate ESTABLISHED -j CONNMARK --set-xmark 0x7/0xffffffff',
      ),
    ],
  },
  {
    name: 'from a port to itself: both directions are one tuple',
    steps: [4, 6].flatMap((family) => {
      const itself = mirrored(family as 4 | 6);
      return [itself, itself, 2100, itself, itself];
    }),
  },
  {
    name: 'what connections have carried',
    steps: [0, 40, 1, 300, 7, 40].flatMap((length) => [
      udp({ length }),
      udp({ length: length * 3, back: true }),
      udp({ sport: 4001, length: 700 }),
      ping(4, false),
    ]),
    rules4: [
      table(
        'filter',
        ...['original', 'reply', 'both'].flatMap((direction) =>
          ['packets', 'bytes', 'avgpkt'].flatMap((mode) =>
            ['0', '1:3', '4:4', '100:800'].flatMap((range) =>
              ['', '! '].map(
                (not) =>
                  `-A FORWARD -m connbytes ${not}--connbytes ${range} --connbytes-mode ${mode} --connbytes-dir ${direction}`,
              ),
            ),
          ),
        ),
      ),
    ],
  },
  {
    name: 'not tracked',
    steps: [udp({}), udp({ back: true }), unreachable(4, udp({})), ...handshake],
    rules4: [
      table('raw', '-A PREROUTING -p udp -j CT --notrack'),
      table('filter', '-A FORWARD -m conntrack --ctstate UNTRACKED -j ACCEPT', '-A FORWARD -p icmp -j DROP'),
    ],
  },
  {
    name: 'time to live',
    steps: [1, 2, 64].flatMap((ttl) => [
      tcp({ flags: 'S', seq: 1000, ttl, sport: 5000 + ttl }),
      tcp({ family: 6, flags: 'S', seq: 1000, ttl, sport: 5000 + ttl }),
    ]),
  },
  {
    name: "the router's own ICMP errors bring the events of the flow they are about",
    steps: [4, 6].flatMap((family) => {
      const c = connection(family as 4 | 6, 4000);
      const late = connection(family as 4 | 6, 4001);
      return [
        c.syn,
        c.server({ flags: 'S.', seq: 5000, ack: 1001, ttl: 1 }),
        c.ack,
        late.syn,
        late.server({ flags: 'S.', seq: 5000, ack: 1001, length: 3 }),
        late.ack,
        late.client({ flags: 'P.', seq: 1001, ack: 5001, length: 3, ttl: 1 }),
      ];
    }),
    rules4: [table('filter', '-A FORWARD -m length --length 43 -j REJECT --reject-with icmp-host-unreachable')],
    rules6: [table('filter', '-A FORWARD -m length --length 63 -j REJECT --reject-with icmp6-addr-unreachable')],
  },
  {
    name: "the router's own ICMP errors find the flow of an INVALID packet, and of a damaged one",
    steps: [4, 6].flatMap((family) => {
      const dying = (port: number, probe: (c: Connection) => Buffer): Buffer[] => {
        const c = connection(family as 4 | 6, port);
        // Not accepted, so its event waits; then a packet that ends here is answered.
        return [c.syn, c.server({ flags: '.', seq: 7000, ack: 1001, length: 3 }), probe(c)];
      };
      return [
        ...dying(4000, (c) => c.client({ flags: '.', seq: 1001, ack: 5001, ttl: 1 })),
        ...dying(4001, (c) => broken(c.client({ flags: '.', seq: 1001, ack: 5001, length: 5, ttl: 1 }))),
        ...dying(4002, (c) => c.client({ flags: '.', seq: 1001, ack: 5001, length: 7 })),
        ...dying(4003, (c) => broken(c.client({ flags: '.', seq: 1001, ack: 5001, length: 7 }))),
      ];
    }),
    rules4: [
      table(
        'filter',
        '-A FORWARD -m length --length 43 -j DROP',
        '-A FORWARD -m length --length 47 -j REJECT --reject-with icmp-host-unreachable',
      ),
    ],
    rules6: [
      table(
        'filter',
        '-A FORWARD -m length --length 63 -j DROP',
        '-A FORWARD -m length --length 67 -j REJECT --reject-with icmp6-addr-unreachable',
      ),
    ],
  },
  {
    name: "the router's own ICMP errors about damaged packets that conntrack believes",
    steps: [4, 6].flatMap((family) => {
      const c = connection(family as 4 | 6, 4000);
      return [c.syn, c.synAck, broken(c.client({ flags: '.', seq: 1001, ack: 5001, length: 5, ttl: 1 }))];
    }),
    sysctls: { [`${CT}checksum`]: '0' },
  },
  {
    name: 'REJECT of protocols that it knows no checksum of',
    steps: [50, 89, 103, 253].flatMap((protocol) =>
      ([4, 6] as const).flatMap((family) => [
        ip(ends(family, false), protocol, Buffer.alloc(16), -1),
        ip(ends(family, false), protocol, Buffer.from([0xff, 0xff, 0, 0]), -1),
        ip(ends(family, true), protocol, Buffer.from([1, 2, 3, 4]), -1),
      ]),
    ),
    rules4: [table('filter', '-A FORWARD -j REJECT --reject-with icmp-port-unreachable')],
    rules6: [table('filter', '-A FORWARD -j REJECT --reject-with icmp6-port-unreachable')],
  },
  {
    name: 'link-local sources are not forwarded',
    steps: [
      ...[fromLinkLocal(17, 6), fromLinkLocal(17, 6)],
      ...[fromLinkLocal(58, 2), fromLinkLocal(253, -1), fromLinkLocal(17, 6, 1)],
      udp({ family: 6 }),
    ],
    rules6: [
      table('raw', '-A PREROUTING -p 253 -j CT --notrack') +
        table('filter', '-A FORWARD -m conntrack --ctstate NEW -j ACCEPT'),
    ],
  },
  {
    name: 'ICMPv6 redirects that are not believed',
    steps: [0, 31, 32, 34, 40, 48].map((length) => icmp({ family: 6, type: 137, body: Buffer.alloc(length) })),
  },
  {
    name: 'REJECT that answers nothing',
    steps: [
      ...handshake,
      open.client({ flags: 'R', seq: 1051 }),
      broken(data(0)),
      broken(udp({})),
      udp({ length: 40 }),
      unreachable(4, udp({ length: 40 })),
      unreachable(6, udp({ family: 6, length: 40 })),
      icmp({ type: 42, rest: 7 }),
    ],
    rules4: [
      table(
        'filter',
        '-A FORWARD -p tcp -m tcp --tcp-flags RST RST -j REJECT --reject-with tcp-reset',
        '-A FORWARD -p tcp -m length --length 140 -j REJECT --reject-with tcp-reset',
        '-A FORWARD -p udp -m length --length 36 -j REJECT --reject-with icmp-port-unreachable',
        '-A FORWARD -p icmp -j REJECT --reject-with icmp-port-unreachable',
      ),
    ],
    rules6: [table('filter', '-A FORWARD -p ipv6-icmp -j REJECT --reject-with icmp6-port-unreachable')],
  },
  {
    name: 'expiry of each kind of entry',
    steps: [
      udp({}),
      ping(4, false),
      open.syn,
      connection(4, 4001).syn,
      1500,
      udp({}),
      connection(4, 4001).syn,
      ping(4, true),
      2500,
      udp({ sport: 4009 }),
    ],
    sysctls: {
      [`${CT}udp_timeout`]: '1',
      [`${CT}icmp_timeout`]: '1',
      [`${CT}tcp_timeout_syn_sent`]: '1',
    },
  },
];
