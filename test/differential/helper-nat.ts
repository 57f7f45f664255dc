// Who talks to whom through which gateway? Hosts of the conversations with helpers, what NAT shows each of the other, and
// the rules that do it.

import type { Random } from '../model/random.ts';
import type { Side } from './helper-connection.ts';

type Family = 4 | 6;

export const CLIENTS = { 4: ['10.0.0.2', '10.0.0.3'], 6: ['2001:db8:1::2', '2001:db8:1::3'] } as const;
export const SERVERS = { 4: ['192.0.2.80', '192.0.2.81'], 6: ['2001:db8:2::80', '2001:db8:2::81'] } as const;

/** What a server sees of clients, and by what clients know the servers. Of another length than what it stands for. */
const OUTSIDE = { 4: ['198.18.255.101', '198.18.255.2'], 6: ['2001:2:0:ee::1', '2001:2:0:ee:a:b:c:2'] } as const;
const PUBLISHED = { 4: ['203.0.113.180', '203.0.113.8'], 6: ['2001:db8:77:1:2:3:4:80', '2001:db8:77::81'] } as const;

/** Which ends are translated: clients to one address or to one each, servers from one each. */
export interface Nat {
  clients: 'no' | 'one' | 'each';
  servers: boolean;
}

export const NO_NAT: Nat = { clients: 'no', servers: false };

/** Some NAT at any rate. */
export function drawHelperNat(random: Random): Nat {
  return random.pick([
    { clients: 'one', servers: false },
    { clients: 'each', servers: false },
    { clients: 'no', servers: true },
    { clients: 'one', servers: true },
    { clients: 'each', servers: true },
  ] as const);
}

/** A nat table for it; empty without NAT. */
export function natRules(family: Family, { clients, servers }: Nat): string {
  const shown = (index: number): string => OUTSIDE[family][clients === 'each' ? index : 0]!;
  const out = CLIENTS[family].map(
    (own, index) => `-A POSTROUTING -s ${own} -o wan -j SNAT --to-source ${shown(index)}`,
  );
  const into = SERVERS[family].map(
    (own, index) => `-A PREROUTING -d ${PUBLISHED[family][index]} -j DNAT --to-destination ${own}`,
  );
  const rules = [...(servers ? into : []), ...(clients === 'no' ? [] : out)];
  if (rules.length === 0) return '';
  const chains = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]`);
  return ['*nat', ...chains, ...rules, 'COMMIT', ''].join('\n');
}

/** A client and a server, and the addresses by which each knows the other. */
export class Meeting {
  constructor(
    readonly family: Family,
    readonly client: string,
    readonly server: string,
    readonly clientSeen: string,
    readonly serverSeen: string,
  ) {}

  get translated(): boolean {
    return this.client !== this.clientSeen || this.server !== this.serverSeen;
  }

  /** Source and target of what a side sends. */
  way(side: Side): [source: string, target: string] {
    return side === 'client' ? [this.client, this.serverSeen] : [this.server, this.clientSeen];
  }

  /** The same two, the other one beginning. */
  turned(): Meeting {
    return new Meeting(this.family, this.server, this.client, this.serverSeen, this.clientSeen);
  }
}

export function meet(random: Random, six: boolean, { clients, servers }: Nat): Meeting {
  const family = six && random.chance(0.3) ? 6 : 4;
  const client = random.pick(CLIENTS[family]);
  const server = random.pick(SERVERS[family]);
  const shown = clients === 'each' ? CLIENTS[family].indexOf(client as never) : 0;
  const clientSeen = clients === 'no' ? client : OUTSIDE[family][shown]!;
  const serverSeen = servers ? PUBLISHED[family][SERVERS[family].indexOf(server as never)]! : server;
  return new Meeting(family, client, server, clientSeen, serverSeen);
}
