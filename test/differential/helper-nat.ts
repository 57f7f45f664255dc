// Who talks to whom through which gateway? Hosts of the conversations with helpers, what NAT shows each of the other, and
// the rules that do it.

import type { Random } from '../model/random.ts';
import { ip, udp } from '../support/packets.ts';
import { addresses } from './frames.ts';
import type { Side } from './helper-connection.ts';

type Family = 4 | 6;

export const CLIENTS = { 4: ['10.0.0.2', '10.0.0.3'], 6: ['2001:db8:1::2', '2001:db8:1::3'] } as const;
export const SERVERS = { 4: ['192.0.2.80', '192.0.2.81'], 6: ['2001:db8:2::80', '2001:db8:2::81'] } as const;

/** Where the servers live (text of `addressText`): a translated one is not found out by who talks to it. */
export function outsideAddresses(): string[] {
  return [...SERVERS[4], ...SERVERS[6]].map(
    (server) => addresses(Buffer.from(ip(server, server, udp({ sport: 1, dport: 1 }))))[0],
  );
}

/** What a server sees of clients, and by what clients know the servers. Of another length than what it stands for. */
const OUTSIDE = { 4: ['198.18.255.101', '198.18.255.2'], 6: ['2001:2:0:ee::1', '2001:2:0:ee:a:b:c:2'] } as const;
const PUBLISHED = { 4: ['203.0.113.180', '203.0.113.8'], 6: ['2001:db8:77:1:2:3:4:80', '2001:db8:77::81'] } as const;

/** Ports that servers are asked at, and those that clients ask from, by protocol. */
const ASKED = { tcp: [21, 6667, 6566, 1723, 5060, 1720], udp: [69, 10_080, 5060, 1719, 161, 162] } as const;
const ASKING = { tcp: [33_000, 34_000, 35_000, 36_000, 37_000], udp: [2000, 850, 5060, 1800, 3800] } as const;
/** How many ports behind each of those clients ask from. */
const ASKING_PORTS = 4;
/** How far such ports are moved where they are. */
const ASKED_SHIFT = 1000;
const ASKING_SHIFT = 10_000;

/** Which ends are translated: clients to one address or to one each, servers from one each; and their ports with them. */
export interface Nat {
  clients: 'no' | 'one' | 'each';
  servers: boolean;
  ports: boolean;
}

export const NO_NAT: Nat = { clients: 'no', servers: false, ports: false };

/** Some NAT at any rate. */
export function drawHelperNat(random: Random): Nat {
  const ends = random.pick([
    { clients: 'one', servers: false },
    { clients: 'each', servers: false },
    { clients: 'no', servers: true },
    { clients: 'one', servers: true },
    { clients: 'each', servers: true },
  ] as const);
  return { ...ends, ports: random.chance(0.4) };
}

/** All ports that clients ask from, as the outside sees them. */
export function seenPorts(nat: Nat): number[] {
  const own = Object.values(ASKING)
    .flat()
    .flatMap((first) => Array.from({ length: ASKING_PORTS }, (_, index) => first + index));
  return own.map((port) => (nat.ports && nat.clients !== 'no' ? port + ASKING_SHIFT : port));
}

/** A nat table for it; empty without NAT. */
export function natRules(family: Family, { clients, servers, ports }: Nat): string {
  const rules: string[] = [];
  const at = (address: string, port: number): string => (family === 6 ? `[${address}]:${port}` : `${address}:${port}`);
  for (const [index, own] of (servers ? SERVERS[family] : []).entries()) {
    const rule = `-A PREROUTING -d ${PUBLISHED[family][index]}`;
    for (const [protocol, list] of Object.entries(ports ? ASKED : {})) {
      for (const port of list) {
        rules.push(`${rule} -p ${protocol} --dport ${port + ASKED_SHIFT} -j DNAT --to-destination ${at(own, port)}`);
      }
    }
    rules.push(`${rule} -j DNAT --to-destination ${own}`);
  }
  for (const [index, own] of (clients === 'no' ? [] : CLIENTS[family]).entries()) {
    const rule = `-A POSTROUTING -s ${own} -o wan`;
    const shown = OUTSIDE[family][clients === 'each' ? index : 0]!;
    for (const [protocol, list] of Object.entries(ports ? ASKING : {})) {
      for (const port of list.flatMap((first) => Array.from({ length: ASKING_PORTS }, (_, more) => first + more))) {
        rules.push(`${rule} -p ${protocol} --sport ${port} -j SNAT --to-source ${at(shown, port + ASKING_SHIFT)}`);
      }
    }
    rules.push(`${rule} -j SNAT --to-source ${shown}`);
  }
  if (rules.length === 0) return '';
  const chains = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`);
  return ['*nat', ...chains, ...rules, 'COMMIT', ''].join('\n');
}

/** Ports that the helpers' servers are asked at, beside their own, where those are moved. */
export function movedPort(port: number, { ports, servers }: Nat): number {
  return ports && servers ? port + ASKED_SHIFT : port;
}

/** A client and a server, and the addresses and ports by which each knows the other. */
export class Meeting {
  private readonly movedClient: boolean;
  private readonly movedServer: boolean;

  constructor(
    readonly family: Family,
    readonly client: string,
    readonly server: string,
    readonly clientSeen: string,
    readonly serverSeen: string,
    private readonly nat: Nat,
  ) {
    this.movedClient = nat.ports && nat.clients !== 'no';
    this.movedServer = nat.ports && nat.servers;
  }

  get translated(): boolean {
    return this.client !== this.clientSeen || this.server !== this.serverSeen;
  }

  /** Source and target of what a side sends. */
  way(side: Side): [source: string, target: string] {
    return side === 'client' ? [this.client, this.serverSeen] : [this.server, this.clientSeen];
  }

  /** A port of the other side as this side knows it. */
  known(side: Side, port: number): number {
    if (side === 'client') return this.movedServer && isOne(ASKED, port, 1) ? port + ASKED_SHIFT : port;
    return this.movedClient && isOne(ASKING, port, ASKING_PORTS) ? port + ASKING_SHIFT : port;
  }

  /** With NAT clients ask from so many ports each, so that none has to move: how far this one's are from the first. */
  portShift(many: number): number {
    return this.nat === NO_NAT ? 0 : CLIENTS[this.family].indexOf(this.client as never) * many;
  }

  /** The same two, the other one beginning: neither of these ports is moved. */
  turned(): Meeting {
    return new Meeting(this.family, this.server, this.client, this.serverSeen, this.clientSeen, {
      ...this.nat,
      ports: false,
    });
  }
}

function isOne(lists: Record<string, readonly number[]>, port: number, many: number): boolean {
  return Object.values(lists).some((list) => list.some((first) => port >= first && port < first + many));
}

export function meet(random: Random, six: boolean, nat: Nat): Meeting {
  const family = six && random.chance(0.3) ? 6 : 4;
  const client = random.pick(CLIENTS[family]);
  const server = random.pick(SERVERS[family]);
  const shown = nat.clients === 'each' ? CLIENTS[family].indexOf(client as never) : 0;
  const clientSeen = nat.clients === 'no' ? client : OUTSIDE[family][shown]!;
  const serverSeen = nat.servers ? PUBLISHED[family][SERVERS[family].indexOf(server as never)]! : server;
  return new Meeting(family, client, server, clientSeen, serverSeen, nat);
}
