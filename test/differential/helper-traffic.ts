// What do connections with helpers look like, well-behaved and not? Seeded conversations of every helper, several at a
// time, between few hosts and over few ports, so that what they announce meets, clashes, comes true and is repeated.

import { Random } from '../model/random.ts';
import { ip, tcp, udp } from '../support/packets.ts';
import { gre } from '../support/sctp.ts';
import type { Sequence } from './sequences.ts';

const CLIENTS = { 4: ['10.0.0.2', '10.0.0.3'], 6: ['2001:db8:1::2', '2001:db8:1::3'] } as const;
const SERVERS = { 4: ['192.0.2.80', '192.0.2.81'], 6: ['2001:db8:2::80', '2001:db8:2::81'] } as const;

/** Ports that data connections are announced on: few, so that they meet. */
const PORTS = [40_000, 40_001, 40_002, 40_003];

const HELPERS: Record<string, { protocol: 'tcp' | 'udp'; port: number; six: boolean }> = {
  sip: { protocol: 'udp', port: 5060, six: true },
  ftp: { protocol: 'tcp', port: 21, six: true },
  irc: { protocol: 'tcp', port: 6667, six: false },
  sane: { protocol: 'tcp', port: 6566, six: true },
  pptp: { protocol: 'tcp', port: 1723, six: false },
  tftp: { protocol: 'udp', port: 69, six: true },
  amanda: { protocol: 'udp', port: 10_080, six: true },
};

/** Rules that give each helper its port, and look at what comes of it. */
export function helperRules(family: 4 | 6): string {
  const given = Object.entries(HELPERS)
    .filter(([, { six }]) => six || family === 4)
    .map(
      ([name, { protocol, port }]) =>
        `-A PREROUTING -p ${protocol} -m ${protocol} --dport ${port} -j CT --helper ${name}`,
    );
  return [
    '*raw',
    ':PREROUTING ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ...given,
    '-A PREROUTING -p tcp -m tcp --dport 5060 -j CT --helper sip',
    'COMMIT',
    '*filter',
    ':INPUT ACCEPT [0:0]',
    ':FORWARD ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    '-A FORWARD -m helper --helper ftp -m conntrack --ctstate RELATED -j ACCEPT',
    '-A FORWARD -m helper --helper tftp-x -j ACCEPT',
    '-A FORWARD -m conntrack --ctstate RELATED --ctstatus EXPECTED -j CONNMARK --set-xmark 0x1/0xffffffff',
    '-A FORWARD -p tcp -m tcp --dport 40003 -m conntrack --ctstate NEW,RELATED -j DROP',
    '-A FORWARD -p tcp -m tcp --dport 21 -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x7/0xffffffff',
    'COMMIT',
    '',
  ].join('\n');
}

export type Side = 'client' | 'server';

/** A TCP connection that both ends keep in step, unless they are told not to. */
export class Connection {
  private readonly next: Record<Side, number>;
  private last: Buffer | undefined;

  constructor(
    private readonly ends: Record<Side, string>,
    private readonly ports: Record<Side, number>,
    random: Random,
  ) {
    this.next = { client: random.below(2 ** 32), server: random.below(2 ** 32) };
  }

  open(): Buffer[] {
    const syn = this.segment('client', 'S');
    this.advance('client', 1);
    const answer = this.segment('server', 'SA');
    this.advance('server', 1);
    return [syn, answer, this.segment('client', 'A')];
  }

  say(side: Side, payload: Uint8Array): Buffer {
    this.last = this.segment(side, 'PA', payload);
    this.advance(side, payload.length);
    return this.last;
  }

  /** Something that the sender forgets at once: what follows has the same number. */
  lose(side: Side, payload: Uint8Array): Buffer {
    return this.segment(side, 'PA', payload);
  }

  again(): Buffer[] {
    return this.last ? [this.last] : [];
  }

  reset(): Buffer {
    return this.segment('server', 'R');
  }

  private advance(side: Side, bytes: number): void {
    this.next[side] = (this.next[side] + bytes) >>> 0;
  }

  private segment(side: Side, flags: string, payload: Uint8Array = new Uint8Array(0)): Buffer {
    const other = side === 'client' ? 'server' : 'client';
    const acknowledges = flags.includes('A') ? { ack: this.next[other] } : {};
    const [sport, dport] = [this.ports[side], this.ports[other]];
    const header = tcp({ sport, dport, flags, seq: this.next[side], ...acknowledges, payload });
    return Buffer.from(ip(this.ends[side], this.ends[other], header));
  }
}

/** One helper's conversation: what it says next, and what may come of it. */
class Talk {
  constructor(readonly random: Random) {}

  bytes(text: string): Uint8Array {
    return Uint8Array.from(Buffer.from(text, 'latin1'));
  }

  /** The text, often with a mistake in it. */
  changed(text: string, alphabet: string): Uint8Array {
    const { random } = this;
    let out = text;
    while (random.chance(0.2)) {
      const at = random.below(out.length + 1);
      const piece = random.chance(0.6) ? random.pick([...alphabet]) : '';
      out = out.slice(0, at) + piece + out.slice(at + random.below(2));
    }
    if (random.chance(0.06)) out = out.slice(0, random.below(out.length) + 1);
    return this.bytes(out.length > 0 ? out : '\n');
  }
}

export interface Meeting {
  family: 4 | 6;
  client: string;
  server: string;
}

export function meet(random: Random, six: boolean): Meeting {
  const family = six && random.chance(0.3) ? 6 : 4;
  return { family, client: random.pick(CLIENTS[family]), server: random.pick(SERVERS[family]) };
}

/** A SYN that an expectation may be waiting for, in either direction. */
function dataConnection(random: Random, { client, server }: Meeting): Buffer[] {
  const active = random.chance(0.6);
  const [from, to] = active ? [server, client] : [client, server];
  const ends = { client: from, server: to };
  const ports = {
    client: active ? random.pick([20, 20, 2000]) : random.pick([50_000, 50_001]),
    server: random.pick(PORTS),
  };
  const connection = new Connection(ends, ports, random);
  const opened = connection.open();
  if (random.chance(0.3)) opened.push(connection.reset());
  return random.chance(0.5) ? opened : opened.slice(0, 1);
}

function ftpLine(talk: Talk, { family, client, server }: Meeting, side: Side): Uint8Array {
  const { random } = talk;
  const port = random.pick(PORTS);
  const low = `${port >> 8},${port & 255}`;
  const own = side === 'client' ? client : server;
  const address = random.chance(0.9) ? own : random.pick([...CLIENTS[family], ...SERVERS[family]]);
  const dotted = family === 4 ? address.replaceAll('.', ',') : '10,0,0,2';
  const kind = family === 4 ? 1 : 2;
  const lines =
    side === 'client'
      ? [
          `PORT ${dotted},${low}\r\n`,
          `EPRT |${kind}|${address}|${port}|\r\n`,
          'PASV\r\n',
          'EPSV\r\n',
          'NOOP\r\nSTAT\r\n',
        ]
      : [
          `227 Entering Passive Mode (${dotted},${low})\r\n`,
          `229 Fine (|||${port}|)\r\n`,
          '200 ok\r\n',
          '150-a\r\n150 b\r\n',
        ];
  return talk.changed(random.pick(lines), ' ,.|()/0189aPpE\r\n:');
}

function* ftp(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = meet(random, true);
  const ports = { client: random.pick([33_000, 33_001]), server: 21 };
  for (let life = 0; life < 2; life++) {
    const connection = new Connection(meeting, ports, random);
    yield connection.open();
    yield [connection.say('server', talk.bytes('220 ready\r\n')), connection.say('client', talk.bytes('USER x\r\n'))];
    for (let i = random.below(25); i >= 0; i--) {
      const side = random.chance(0.6) ? 'client' : 'server';
      const line = ftpLine(talk, meeting, side);
      const what = random.weighted({ say: 12, again: 2, lose: 2, data: 6 });
      if (what === 'say') yield [connection.say(side, line)];
      else if (what === 'again') yield connection.again();
      else if (what === 'lose') yield [connection.lose(side, line), connection.say(side, line)];
      else yield dataConnection(random, meeting);
    }
    if (random.chance(0.5)) yield [connection.reset()];
  }
}

function* irc(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = meet(random, false);
  const connection = new Connection(meeting, { client: random.pick([34_000, 34_001]), server: 6667 }, random);
  yield connection.open();
  for (let i = random.below(20); i >= 0; i--) {
    const address = Buffer.from(
      (random.chance(0.9) ? meeting.client : meeting.server).split('.').map(Number),
    ).readUInt32BE(0);
    const kind = random.pick(['SEND', 'CHAT', 'MOVE', 'TSEND', 'SCHAT', 'RESUME']);
    const word = random.pick(['PRIVMSG', 'privmsg', ' \r\nPRIVMSG', 'NOTICE']);
    const text = random.pick([' :', ' hello :', ' #x :ab :']);
    const line = `${word} bob${text}\u0001DCC ${kind} file ${address} ${random.pick(PORTS)}\u0001\n`;
    const side = random.chance(0.85) ? 'client' : 'server';
    yield [connection.say(side, talk.changed(line, ' :\u0001\n0189D'))];
    if (random.chance(0.4)) yield dataConnection(random, meeting);
  }
}

function* sane(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = meet(random, true);
  const connection = new Connection(meeting, { client: random.pick([35_000, 35_001]), server: 6566 }, random);
  yield connection.open();
  for (let i = random.below(12); i >= 0; i--) {
    const request = Buffer.alloc(random.chance(0.9) ? 8 : 12);
    request.writeUInt32BE(random.pick([7, 7, 7, 3]), 0);
    yield [connection.say('client', Uint8Array.from(request))];
    const answer = Buffer.alloc(random.pick([8, 12, 12, 4]));
    if (random.chance(0.1)) answer.writeUInt32BE(2, 0);
    if (answer.length >= 8) answer.writeUInt16BE(random.pick(PORTS), 6);
    if (answer.length >= 8 && random.chance(0.1)) answer.writeUInt16BE(1, 4);
    yield [connection.say('server', Uint8Array.from(answer))];
    if (random.chance(0.6)) yield dataConnection(random, meeting);
  }
}

/** Bytes behind the header of each PPTP message (RFC 2637 section 2). */
const PPTP_SIZES = [0, 144, 144, 4, 4, 4, 8, 156, 20, 208, 12, 16, 4, 136, 28, 12];

function pptpMessage(random: Random, type: number, body: Buffer): Uint8Array {
  const size = Math.max(0, PPTP_SIZES[type]! - (random.chance(0.03) ? 1 : 0));
  const message = Buffer.alloc(12 + size);
  message.writeUInt16BE(message.length, 0);
  message.writeUInt16BE(random.chance(0.97) ? 1 : 2, 2);
  message.writeUInt32BE(random.chance(0.97) ? 0x1a2b3c4d : 1, 4);
  message.writeUInt16BE(type, 8);
  body.copy(message, 12, 0, size);
  return Uint8Array.from(message);
}

/** A body of call ids and result codes, mostly as the type wants them. */
function pptpBody(random: Random, type: number, own: number, peer: number): Buffer {
  const body = Buffer.alloc(16);
  const result = random.chance(0.9) ? 1 : 2;
  if (type === 2) body.writeUInt8(result, 2);
  else if (type === 4) body.writeUInt8(result, 0);
  else if (type === 11) body.writeUInt16BE(peer, 0);
  else {
    body.writeUInt16BE(own, 0);
    if (type === 8 || type === 10) body.writeUInt16BE(peer, 2);
    if (type === 8 || type === 10) body.writeUInt8(result, 4);
  }
  return body;
}

const PPTP_CLIENT = [1, 3, 7, 10, 12, 13, 15, 5];
const PPTP_SERVER = [2, 4, 8, 9, 11, 13, 14, 6];

function* pptp(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = meet(random, false);
  const { client, server } = meeting;
  const connection = new Connection(meeting, { client: random.pick([36_000, 36_001]), server: 1723 }, random);
  const say = (side: Side, type: number, ids: [number, number]): Buffer[] => {
    const [own, peer] = side === 'client' ? ids : [ids[1], ids[0]];
    return [connection.say(side, pptpMessage(random, type, pptpBody(random, type, own, peer)))];
  };
  const call = (): [number, number] => [random.pick([256, 257]), random.pick([512, 513])];
  const data = (ids: [number, number]): Buffer[] => {
    const back = random.chance(0.5);
    const header = gre({ version: 1, protocol: 0x880b, key: ids[back ? 0 : 1], payload: 4 });
    return [Buffer.from(back ? ip(server, client, header) : ip(client, server, header))];
  };
  yield connection.open();
  yield say('client', 1, [0, 0]);
  yield say('server', 2, [0, 0]);
  for (let i = random.below(8); i >= 0; i--) {
    const ids = call();
    if (random.chance(0.6)) {
      yield say('client', 7, ids);
      yield say('server', 8, ids);
    } else {
      yield say('server', 9, ids);
      yield say('client', 10, ids);
      yield say('server', 11, ids);
    }
    for (let k = random.below(5); k > 0; k--) yield data(random.chance(0.8) ? ids : call());
    if (random.chance(0.4)) yield say('client', random.pick(PPTP_CLIENT), call());
    if (random.chance(0.4)) yield say('server', random.pick(PPTP_SERVER), call());
    if (random.chance(0.2)) yield connection.again();
    if (random.chance(0.5)) yield say('server', 13, ids);
  }
  if (random.chance(0.5)) yield [connection.reset()];
}

export function datagram(from: string, to: string, sport: number, dport: number, payload: Uint8Array): Buffer {
  return Buffer.from(ip(from, to, udp({ sport, dport, payload })));
}

function* tftp(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const { client, server } = meet(random, true);
  for (let i = random.below(12); i >= 0; i--) {
    const port = random.pick([2000, 2001]);
    const opcode = random.weighted({ 1: 4, 2: 3, 3: 1, 4: 1, 5: 1 });
    const request = Uint8Array.from([0, Number(opcode), 120, 0, 110, 0].slice(0, random.chance(0.9) ? 6 : 1));
    yield [datagram(client, server, port, 69, request)];
    const from = random.pick([3000, 3001, 69]);
    if (random.chance(0.7)) yield [datagram(server, client, from, port, Uint8Array.from([0, 3, 0, 1, 1, 2]))];
    if (random.chance(0.3)) yield [datagram(client, server, port, from, Uint8Array.from([0, 4, 0, 1]))];
  }
}

function* amanda(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = meet(random, true);
  const { client, server } = meeting;
  const port = random.pick([850, 851]);
  for (let i = random.below(8); i >= 0; i--) {
    yield [datagram(client, server, port, 10_080, talk.bytes('Amanda 2.4 REQ\n'))];
    const [data, mesg, index] = [random.pick(PORTS), random.pick(PORTS), random.pick(PORTS)];
    const line = `Amanda 2.4 REP\nCONNECT DATA ${data} MESG ${mesg} INDEX ${index}\nOPTIONS ;\n`;
    yield [datagram(server, client, 10_080, port, talk.changed(line, ' \n0189XSTATE'))];
    if (random.chance(0.7)) yield dataConnection(random, meeting);
  }
}

function session(random: Random, address: string, family: 4 | 6): string {
  const media = random.pick(['audio', 'audio', 'video', 'image', 'text']);
  const port = random.pick([40_000, 40_002, 40_001, 40_003, 0, 80, 70_000]);
  const name = `IN IP${family} ${address}`;
  const connection = random.chance(0.85) ? `c=${name}\r\n` : '';
  const second = random.chance(0.3) ? `m=video ${random.pick(PORTS)} RTP/AVP 9\r\nc=${name}\r\n` : '';
  return `v=0\r\no=- 1 1 ${name}\r\ns=x\r\n${connection}t=0 0\r\nm=${media} ${port} RTP/AVP 0\r\n${second}`;
}

function sipMessage(talk: Talk, { family, client, server }: Meeting, side: Side): string {
  const { random } = talk;
  const own = random.chance(0.92) ? (side === 'client' ? client : server) : random.pick(CLIENTS[family]);
  const shown = (address: string): string => (family === 6 ? `[${address}]` : address);
  const method = random.pick(['INVITE', 'INVITE', 'UPDATE', 'ACK', 'PRACK', 'BYE', 'REGISTER', 'REGISTER', 'OPTIONS']);
  const cseq = random.pick([1, 2]);
  const first = random.chance(0.5)
    ? `${method} sip:bob@${shown(side === 'client' ? server : client)} SIP/2.0`
    : `SIP/2.0 ${random.pick([100, 180, 200, 200, 200, 404, 603])} text`;
  const contact = first.startsWith('SIP') && random.chance(0.9) ? (side === 'client' ? server : client) : own;
  const port = random.pick([':5060', '', ':5062', ':80']);
  const parameters = random.pick([
    '',
    '',
    ';expires=60',
    ';expires=0',
    ';transport=udp',
    ';transport=tcp',
    ';expires=x',
  ]);
  const other = random.chance(0.2) ? `<sip:x@${shown(own)}:5064>;q=1, ` : '';
  const body = random.chance(0.7) ? session(random, own, family) : '';
  const lines = [
    first,
    `Via: SIP/2.0/UDP ${shown(own)}:5060;branch=x`,
    `${random.pick(['CSeq', 'cseq', 'CSeq '])}: ${cseq} ${method}`,
    `${random.pick(['Contact', 'm', 'Contact', 'X-Contact'])}: ${other}"b" <sip:bob@${shown(contact)}${port}>${parameters}`,
    ...(random.chance(0.5) ? [`Expires: ${random.pick([3600, 0, 60])}`] : []),
    ...(random.chance(0.2) ? ['Subject: a\r\n b'] : []),
    `${random.pick(['Content-Length', 'l'])}: ${body.length}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}

function* sip(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = meet(random, true);
  const { client, server } = meeting;
  const alphabet = ' \r\n:;,<>@0189asipxm=[]';
  const media = (): Buffer[] => {
    const back = random.chance(0.5);
    const [from, to] = back ? [server, client] : [client, server];
    const ports: [number, number] = random.chance(0.8)
      ? [30_000, random.pick(PORTS)]
      : [5060, random.pick([5060, 5062])];
    return [datagram(from, to, ports[0], ports[1], talk.bytes('media, or a call'))];
  };
  if (random.chance(0.3)) {
    const connection = new Connection(meeting, { client: random.pick([37_000, 37_001]), server: 5060 }, random);
    yield connection.open();
    for (let i = random.below(15); i >= 0; i--) {
      const side = random.chance(0.5) ? 'client' : 'server';
      const more = random.chance(0.2) ? sipMessage(talk, meeting, side) : '';
      yield [connection.say(side, talk.changed(sipMessage(talk, meeting, side) + more, alphabet))];
      if (random.chance(0.5)) yield media();
    }
    return;
  }
  const port = random.pick([5060, 5061]);
  for (let i = random.below(25); i >= 0; i--) {
    const side = random.chance(0.5) || i === 0 ? 'client' : 'server';
    const payload = talk.changed(sipMessage(talk, meeting, side), alphabet);
    yield [
      side === 'client' ? datagram(client, server, port, 5060, payload) : datagram(server, client, 5060, port, payload),
    ];
    if (random.chance(0.6)) yield media();
  }
}

const TALKS = { ftp, irc, sane, tftp, amanda, pptp, sip };

/** Several conversations at a time, of about `packets` packets in all. */
export function helperTraffic(seed: number, packets: number): Sequence {
  const random = new Random(seed);
  const weights = random.weights(Object.keys(TALKS) as (keyof typeof TALKS)[]);
  const steps: Buffer[] = [];
  const open: Generator<Buffer[]>[] = [];
  while (steps.length < packets) {
    if (open.length < 4) open.push(TALKS[random.weighted(weights)](new Talk(random)));
    const at = random.below(open.length);
    const { value, done } = open[at]!.next();
    if (done) open.splice(at, 1);
    else steps.push(...value);
  }
  return { name: `seed ${seed}`, steps, rules4: [helperRules(4)], rules6: [helperRules(6)] };
}
