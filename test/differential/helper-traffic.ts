// What do connections with helpers look like, well-behaved and not? Seeded conversations of every helper, several at a
// time, between few hosts and over few ports, so that what they announce meets, clashes, comes true and is repeated.

import { Random } from '../model/random.ts';
import { ip } from '../support/packets.ts';
import { gre } from '../support/sctp.ts';
import { FtpLines } from './ftp-lines.ts';
import { Connection, datagram, type Side } from './helper-connection.ts';
import {
  CLIENTS,
  drawHelperNat,
  type Meeting,
  meet,
  movedPort,
  type Nat,
  NO_NAT,
  natRules,
  outsideAddresses,
  SERVERS,
  seenPorts,
} from './helper-nat.ts';
import type { Announced } from './kernel.ts';
import type { Sequence } from './sequences.ts';

/** Ports that data connections are announced on: few, so that they meet. */
const PORTS = [40_000, 40_001, 40_002, 40_003];

/** Ports of calls. */
const SIP_PORTS = [5060, 5061, 5062, 5063, 5064];

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
export function helperRules(family: 4 | 6, nat: Nat = NO_NAT): string {
  const given = Object.entries(HELPERS)
    .filter(([, { six }]) => six || family === 4)
    .map(
      ([name, { protocol, port }]) =>
        `-A PREROUTING -p ${protocol} -m ${protocol} --dport ${movedPort(port, nat)} -j CT --helper ${name}`,
    );
  return [
    '*raw',
    ':PREROUTING ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ...given,
    `-A PREROUTING -p tcp -m tcp --dport ${movedPort(5060, nat)} -j CT --helper sip`,
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

/** One helper's conversation: what it says next, and what may come of it. */
class Talk {
  constructor(
    readonly random: Random,
    readonly nat: Nat,
  ) {}

  meet(six: boolean): Meeting {
    return meet(this.random, six, this.nat);
  }

  /** A client's port: with NAT clients have ports of their own, so that none has to move. */
  port(meeting: Meeting, ports: readonly number[]): number {
    return this.random.pick(ports) + meeting.portShift(ports.length);
  }

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

/** A SYN that an expectation may be waiting for, in either direction. */
function dataConnection(random: Random, meeting: Meeting, announced: readonly number[] = PORTS): Buffer[] {
  const active = random.chance(0.6);
  const ports = {
    client: active ? random.pick([20, 20, 2000]) : random.pick([50_000, 50_001]),
    server: random.pick(announced),
  };
  const connection = new Connection(active ? meeting.turned() : meeting, ports, random);
  const opened = connection.open();
  if (random.chance(0.3)) opened.push(connection.reset());
  return random.chance(0.5) ? opened : opened.slice(0, 1);
}

function ftpLine(talk: Talk, { family, client, server }: Meeting, side: Side, few: readonly number[]): Uint8Array {
  const { random } = talk;
  const port = random.pick(PORTS);
  // Behind NAT another port than this may be told, which nobody can know before: it has as many digits.
  const own = few === PORTS ? port : random.pick(few);
  const low = `${own >> 8},${own & 255}`;
  const speaker = side === 'client' ? client : server;
  const address = random.chance(0.9) ? speaker : random.pick([...CLIENTS[family], ...SERVERS[family]]);
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
  const meeting = talk.meet(true);
  const ports = { client: talk.port(meeting, [33_000, 33_001]), server: 21 };
  const few = talk.nat === NO_NAT ? PORTS : PORTS.map((port) => port + 4 * (ports.client - 32_999));
  for (let life = 0; life < 2; life++) {
    const connection = new Connection(meeting, ports, random, new FtpLines(meeting));
    yield connection.open();
    yield [connection.say('server', talk.bytes('220 ready\r\n')), connection.say('client', talk.bytes('USER x\r\n'))];
    for (let i = random.below(25); i >= 0; i--) {
      const side = random.chance(0.6) ? 'client' : 'server';
      const line = ftpLine(talk, meeting, side, few);
      const what = random.weighted({ say: 12, again: 2, lose: 2, data: 6 });
      if (what === 'say') yield [connection.say(side, line)];
      else if (what === 'again') yield connection.again();
      else if (what === 'lose') yield [connection.lose(side, line), connection.say(side, line)];
      else yield dataConnection(random, meeting, random.chance(0.5) ? few : PORTS);
      if (meeting.translated && random.chance(0.5)) yield [connection.probe(side === 'client' ? 'server' : 'client')];
    }
    if (random.chance(0.5)) yield [connection.reset()];
  }
}

function* irc(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = talk.meet(false);
  const connection = new Connection(
    meeting,
    { client: talk.port(meeting, [34_000, 34_001]), server: 6667 },
    random,
    meeting.translated ? 'unknown' : undefined,
  );
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
    if (meeting.translated) yield [connection.probe('server')];
    if (random.chance(0.4)) yield dataConnection(random, meeting);
  }
}

function* sane(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = talk.meet(true);
  const connection = new Connection(meeting, { client: talk.port(meeting, [35_000, 35_001]), server: 6566 }, random);
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
  const meeting = talk.meet(false);
  const ports = { client: talk.port(meeting, [36_000, 36_001]), server: 1723 };
  const connection = new Connection(meeting, ports, random);
  /** Behind NAT the server knows a call that the client asked for by the port of the connection. */
  let asked = false;
  const known = (id: number): number =>
    asked && meeting.translated && random.chance(0.9) ? meeting.known('server', ports.client) : id;
  const say = (side: Side, type: number, ids: [number, number]): Buffer[] => {
    const [own, peer] = side === 'client' ? ids : [ids[1], known(ids[0])];
    return [connection.say(side, pptpMessage(random, type, pptpBody(random, type, own, peer)))];
  };
  const call = (): [number, number] => [random.pick([256, 257]), random.pick([512, 513])];
  const data = (ids: [number, number]): Buffer[] => {
    const back = random.chance(0.5);
    const header = gre({ version: 1, protocol: 0x880b, key: back ? known(ids[0]) : ids[1], payload: 4 });
    return [Buffer.from(ip(...meeting.way(back ? 'server' : 'client'), header))];
  };
  yield connection.open();
  yield say('client', 1, [0, 0]);
  yield say('server', 2, [0, 0]);
  for (let i = random.below(8); i >= 0; i--) {
    const ids = call();
    asked = random.chance(0.6);
    if (asked) {
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

function* tftp(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = talk.meet(true);
  for (let i = random.below(12); i >= 0; i--) {
    const port = talk.port(meeting, [2000, 2001]);
    const opcode = random.weighted({ 1: 4, 2: 3, 3: 1, 4: 1, 5: 1 });
    const request = Uint8Array.from([0, Number(opcode), 120, 0, 110, 0].slice(0, random.chance(0.9) ? 6 : 1));
    yield [datagram(meeting, 'client', [port, 69], request)];
    const from = random.pick([3000, 3001, 69]);
    if (random.chance(0.7)) yield [datagram(meeting, 'server', [from, port], Uint8Array.from([0, 3, 0, 1, 1, 2]))];
    if (random.chance(0.3)) yield [datagram(meeting, 'client', [port, from], Uint8Array.from([0, 4, 0, 1]))];
  }
}

function* amanda(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = talk.meet(true);
  const port = talk.port(meeting, [850, 851]);
  for (let i = random.below(8); i >= 0; i--) {
    yield [datagram(meeting, 'client', [port, 10_080], talk.bytes('Amanda 2.4 REQ\n'))];
    const [data, mesg, index] = [random.pick(PORTS), random.pick(PORTS), random.pick(PORTS)];
    const line = `Amanda 2.4 REP\nCONNECT DATA ${data} MESG ${mesg} INDEX ${index}\nOPTIONS ;\n`;
    yield [datagram(meeting, 'server', [10_080, port], talk.changed(line, ' \n0189XSTATE'))];
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

/** @param ports of the client and the server, as they are */
function sipMessage(talk: Talk, meeting: Meeting, side: Side, ports: Record<Side, number>): string {
  const { random } = talk;
  const { family } = meeting;
  const [real, peer] = meeting.way(side);
  const peerPort = meeting.known(side, ports[side === 'client' ? 'server' : 'client']);
  const own = random.chance(0.92) ? real : random.pick(CLIENTS[family]);
  const shown = (address: string): string => (family === 6 ? `[${address}]` : address);
  const method = random.pick(['INVITE', 'INVITE', 'UPDATE', 'ACK', 'PRACK', 'BYE', 'REGISTER', 'REGISTER', 'OPTIONS']);
  const cseq = random.pick([1, 2]);
  const isRequest = random.chance(0.5);
  const first = isRequest
    ? `${method} sip:bob@${shown(peer)} SIP/2.0`
    : `SIP/2.0 ${random.pick([100, 180, 200, 200, 200, 404, 603])} text`;
  const contact = first.startsWith('SIP') && random.chance(0.9) ? peer : own;
  const port = random.pick([':5060', '', meeting.translated ? `:${ports[side]}` : ':5062', ':80']);
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
    meeting.translated ? via() : `Via: SIP/2.0/UDP ${shown(own)}:5060;branch=x`,
    ...(meeting.translated ? ends() : []),
    `${random.pick(['CSeq', 'cseq', 'CSeq '])}: ${cseq} ${method}`,
    `${random.pick(['Contact', 'm', 'Contact', 'X-Contact'])}: ${other}"b" <sip:bob@${shown(contact)}${port}>${parameters}`,
    ...(random.chance(0.5) ? [`Expires: ${random.pick([3600, 0, 60])}`] : []),
    ...(random.chance(0.2) ? ['Subject: a\r\n b'] : []),
    `${random.pick(['Content-Length', 'l'])}: ${body.length}`,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;

  /** What requests and answers say of the way that they go: the sender of the request, with port, as the speaker knows it. */
  function via(): string {
    const [host, at] = isRequest ? [real, ports[side]] : [peer, peerPort];
    const named = random.weighted({ own: 8, default: 2, other: 2 });
    const text = named === 'own' ? `${shown(host)}:${at}` : named === 'default' ? shown(host) : `${shown(host)}:5099`;
    const more = [
      random.chance(0.3) ? `;maddr=${shown(random.pick([real, peer]))}` : '',
      random.chance(0.3) ? `;received=${random.pick([real, peer, shown(peer)])}` : '',
      random.chance(0.3) ? `;rport=${random.pick([ports[side], peerPort, 5060, 80])}` : '',
    ];
    return `${random.pick(['Via', 'v'])}: SIP/2.0/${random.pick(['UDP', 'UDP', 'TCP'])} ${text};branch=x${more.join('')}`;
  }

  function ends(): string[] {
    const text = (host: string, at: number): string => `<sip:a@${shown(host)}${random.pick(['', `:${at}`])}>`;
    const [one, two] = [text(real, ports[side]), text(peer, peerPort)];
    return random.chance(0.5) ? [`From: ${one};tag=1`, `To: ${two}`] : [`f: ${two}`, `t: ${one}`];
  }
}

function* sip(talk: Talk): Generator<Buffer[]> {
  const { random } = talk;
  const meeting = talk.meet(true);
  const alphabet = ' \r\n:;,<>@0189asipxm=[]';
  const media = (): Buffer[] => {
    const side = random.chance(0.5) ? 'server' : 'client';
    const ports: [number, number] = random.chance(0.8)
      ? [30_000, random.pick(PORTS)]
      : [5060, random.pick([5060, 5062])];
    return [datagram(meeting, side, ports, talk.bytes('media, or a call'))];
  };
  if (random.chance(0.3)) {
    const ports = { client: talk.port(meeting, [37_000, 37_001]), server: 5060 };
    const connection = new Connection(meeting, ports, random, meeting.translated ? 'unknown' : undefined);
    yield connection.open();
    for (let i = random.below(15); i >= 0; i--) {
      const side = random.chance(0.5) ? 'client' : 'server';
      const more = random.chance(0.2) ? sipMessage(talk, meeting, side, ports) : '';
      yield [connection.say(side, talk.changed(sipMessage(talk, meeting, side, ports) + more, alphabet))];
      if (meeting.translated) yield [connection.probe(random.chance(0.5) ? 'client' : 'server')];
      if (random.chance(0.5)) yield media();
    }
    return;
  }
  const port = talk.port(meeting, [5060, 5061]);
  for (let i = random.below(25); i >= 0; i--) {
    const side = random.chance(0.5) || i === 0 ? 'client' : 'server';
    const payload = talk.changed(sipMessage(talk, meeting, side, { client: port, server: 5060 }), alphabet);
    yield [datagram(meeting, side, side === 'client' ? [port, 5060] : [5060, port], payload)];
    if (random.chance(0.6)) yield media();
  }
}

const TALKS = { ftp, irc, sane, tftp, amanda, pptp, sip };

export type HelperName = keyof typeof TALKS;

export interface HelperTraffic extends Sequence {
  /** Where the servers live (text of `addressText`): a translated one is not found out by who talks to it. */
  outside: string[];
  /** With NAT; other ports are the gateway's choice. */
  announced?: Announced;
}

/** Several conversations at a time, of about `packets` packets in all; through some NAT if `translated`. */
export function helperTraffic(
  seed: number,
  packets: number,
  translated = false,
  helpers = Object.keys(TALKS) as HelperName[],
): HelperTraffic {
  const random = new Random(seed);
  const nat = translated ? drawHelperNat(random) : NO_NAT;
  const weights = random.weights(helpers);
  const steps: Buffer[] = [];
  const open: Generator<Buffer[]>[] = [];
  while (steps.length < packets) {
    if (open.length < 4) open.push(TALKS[random.weighted(weights)](new Talk(random, nat)));
    const at = random.below(open.length);
    const { value, done } = open[at]!.next();
    if (done) open.splice(at, 1);
    else steps.push(...value);
  }
  const rules = (family: 4 | 6): string[] => [helperRules(family, nat) + natRules(family, nat)];
  const own = Array.from({ length: PORTS.length * 4 }, (_, index) => PORTS[3]! + 1 + index);
  const announced = new Map<string, Set<number>>([
    ['ftp', new Set([...PORTS, ...own])],
    ['irc', new Set(PORTS)],
    ['amanda', new Set(PORTS)],
    ['sip', new Set([...PORTS, ...PORTS.map((port) => port + 4), ...SIP_PORTS, ...seenPorts(nat)])],
    ['tftp', new Set(seenPorts(nat))],
    ['pptp', new Set(seenPorts(nat))],
  ]);
  return {
    name: `seed ${seed}`,
    steps,
    rules4: rules(4),
    rules6: rules(6),
    outside: outsideAddresses(),
    ...(translated && { announced }),
  };
}
