// Which bytes does a line of a conversation stand for? Words of a packet line to an IP packet.

import { fragment } from '../support/fragments.ts';
import * as build from '../support/packets.ts';
import * as more from '../support/sctp.ts';
import type { Step } from './scenario-file.ts';

/** A step as bytes. `packet` is absent for `tick`: a frame that is not IP and only lets time pass. */
export interface BuiltStep {
  step: Step;
  source?: string;
  target?: string;
  packet?: Uint8Array;
  /** Of a fragment: the packet that it was cut from. */
  whole?: Uint8Array;
}

/** ICMP types and codes by the names of iptables' `--icmp-type` (and ip6tables' `--icmpv6-type`). */
const ICMP_NAMES: Record<string, [type: number, code: number]> = {
  'echo-reply': [0, 0],
  'network-unreachable': [3, 0],
  'host-unreachable': [3, 1],
  'protocol-unreachable': [3, 2],
  'port-unreachable': [3, 3],
  'fragmentation-needed': [3, 4],
  'source-quench': [4, 0],
  'host-redirect': [5, 1],
  'echo-request': [8, 0],
  'router-advertisement': [9, 0],
  'router-solicitation': [10, 0],
  'ttl-exceeded': [11, 0],
  'parameter-problem': [12, 0],
  'timestamp-request': [13, 0],
  'timestamp-reply': [14, 0],
  'information-request': [15, 0],
  'information-reply': [16, 0],
  'address-mask-request': [17, 0],
  'address-mask-reply': [18, 0],
};
const ICMP6_NAMES: Record<string, [type: number, code: number]> = {
  'no-route': [1, 0],
  'port-unreachable': [1, 4],
  'packet-too-big': [2, 0],
  'ttl-exceeded': [3, 0],
  'parameter-problem': [4, 0],
  'echo-request': [128, 0],
  'echo-reply': [129, 0],
  'listener-query': [130, 0],
  'listener-report': [131, 0],
  'router-solicitation': [133, 0],
  'router-advertisement': [134, 0],
  'neighbour-solicitation': [135, 0],
  'neighbour-advertisement': [136, 0],
  redirect: [137, 0],
  'listener-report-v2': [143, 0],
};

/** Words of `key value` pairs and flags, taken off one by one; what is left at the end is an error. */
class Words {
  readonly #words: string[];
  constructor(words: readonly string[]) {
    this.#words = [...words];
  }
  next(): string {
    const word = this.#words.shift();
    if (word === undefined) throw new Error('the line ends too early');
    return word;
  }
  flag(name: string): boolean {
    const at = this.#words.indexOf(name);
    if (at >= 0) this.#words.splice(at, 1);
    return at >= 0;
  }
  text(name: string): string | undefined {
    const at = this.#words.indexOf(name);
    if (at < 0) return undefined;
    const value = this.#words[at + 1];
    if (value === undefined) throw new Error(`${name} needs a value`);
    this.#words.splice(at, 2);
    return value;
  }
  number(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0) throw new Error(`${name} needs a number, not ${text}`);
    return value;
  }
  done(): void {
    if (this.#words.length > 0) throw new Error(`not understood: ${this.#words.join(' ')}`);
  }
}

/** `10.0.0.1:80`, `[2001:db8::1]:80`, `2001:db8::1`, `10.0.0.1` to address and port. */
function endpoint(text: string): { address: string; port: number | undefined } {
  const bracketed = /^\[(.+)\](?::(\d+))?$/.exec(text);
  const plain = /^([\d.]+)(?::(\d+))?$/.exec(text);
  const match = bracketed ?? plain;
  return match
    ? { address: match[1]!, port: match[2] === undefined ? undefined : Number(match[2]) }
    : { address: text, port: undefined };
}

/** Option fields of the record that have a value. */
const present = <T extends object>(record: T): { [K in keyof T]: NonNullable<T[K]> } =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: NonNullable<T[K]>;
  };

/** Payload: `len N` bytes, or what stands behind `data`, a byte a character, or behind `hex`. */
function data(words: Words): build.Payload | undefined {
  const text = words.text('data');
  if (text !== undefined) return Uint8Array.from(Buffer.from(text, 'latin1'));
  const hex = hexBytes(words.text('hex'));
  return hex ? Uint8Array.from(hex) : words.number('len');
}

function tcpWords(flags: string, words: Words, sport: number, dport: number): build.Transport {
  const sack = words.text('sack');
  const ts = words.text('ts');
  const pair = (text: string, by: string): [number, number] => {
    const [one, other] = text.split(by).map(Number);
    return [one!, other!];
  };
  return build.tcp({
    sport,
    dport,
    flags,
    sackOK: words.flag('sackOK'),
    badChecksum: words.flag('bad-checksum'),
    ...present({
      seq: words.number('seq'),
      ack: words.number('ack'),
      win: words.number('win'),
      urgent: words.number('urg'),
      mss: words.number('mss'),
      wscale: words.number('wscale'),
      payload: data(words),
      dataOffset: words.number('data-offset'),
      sack: sack?.split(',').map((block) => pair(block, '-')),
      ts: ts === undefined ? undefined : pair(ts, ','),
    }),
  });
}

/** `INIT=100,DATA/3:20`: chunks as NAME or number, then `/flags`, `:bytes` of the value, `=tag`, or `!` for length 0. */
function chunkList(text: string): more.SctpChunkSpec[] {
  return text.split(',').map((word) => {
    const match = /^([A-Z_]+|\d+)(?:\/(\d+))?(?::(\d+))?(?:=(\d+))?(!)?$/.exec(word);
    if (!match) throw new Error(`not a chunk: ${word}`);
    const [, type = '', flags, value, tag, broken] = match;
    if (!/^\d/.test(type) && more.SCTP_CHUNKS[type] === undefined) throw new Error(`no chunk type: ${type}`);
    const number = (digits: string | undefined): number | undefined =>
      digits === undefined ? undefined : Number(digits);
    return {
      type: /^\d/.test(type) ? Number(type) : type,
      ...present({ flags: number(flags), value: number(value), tag: number(tag), length: broken ? 0 : undefined }),
    };
  });
}

function sctpWords(words: Words, sport: number, dport: number): build.Transport {
  const chunks = chunkList(words.next());
  const badChecksum = words.flag('bad-checksum');
  return more.sctp({
    sport,
    dport,
    chunks,
    badChecksum,
    ...present({ vtag: words.number('vtag'), cut: words.number('cut') }),
  });
}

function udpliteWords(words: Words, from: string, to: string, sport: number, dport: number): build.Transport {
  const noChecksum = words.flag('no-checksum');
  const udpPseudoHeader = words.flag('udp-pseudo-header');
  return more.udplite(from, to, {
    sport,
    dport,
    noChecksum,
    ...(udpPseudoHeader && { pseudoProtocol: 17 }),
    ...present({ payload: words.number('len'), coverage: words.number('coverage') }),
  });
}

function greWords(words: Words): build.Transport {
  return more.gre(
    present({
      version: words.number('version'),
      protocol: words.number('protocol'),
      key: words.number('key'),
      payload: words.number('len'),
    }),
  );
}

function icmpWords(words: Words, six: boolean, earlier: readonly BuiltStep[]): build.Transport {
  const kind = words.next();
  const names = six ? ICMP6_NAMES : ICMP_NAMES;
  const named = kind === 'type' ? [Number(words.next()), words.number('code') ?? 0] : names[kind];
  if (!named) throw new Error(`no ICMP type: ${kind}`);
  const quoting = words.number('quoting');
  const bytes = words.number('quoted-bytes');
  const mtu = words.number('mtu');
  const length = words.number('len');
  let payload: build.Payload = length ?? 0;
  if (quoting !== undefined) {
    const quoted = earlier[quoting - 1]?.packet;
    if (!quoted) throw new Error(`there is no packet ${quoting} to quote`);
    payload = behindNat(build.quote(quoted, bytes), words.text('quoted-from'), words.text('quoted-to'));
  }
  const badChecksum = words.flag('bad-checksum');
  return (six ? build.icmp6 : build.icmp)({
    type: named[0]!,
    code: named[1]!,
    payload,
    badChecksum,
    ...present({ id: words.number('id'), seq: words.number('seq'), rest: mtu }),
  });
}

/** A quoted packet as NAT made it: with another source, with another target. */
function behindNat(quoted: Uint8Array, from: string | undefined, to: string | undefined): Uint8Array {
  const six = quoted[0]! >> 4 === 6;
  const [addresses, length, ports] = six ? [8, 16, 40] : [12, 4, (quoted[0]! & 15) * 4];
  const bytes = quoted.slice();
  [from, to].forEach((text, end) => {
    if (text === undefined) return;
    const { address, port } = endpoint(text);
    bytes.set(build.addressBytes(address), addresses + end * length);
    if (port !== undefined) bytes.set([port >> 8, port & 255], ports + end * 2);
  });
  return bytes;
}

/** `83070400000000` or `83:07:04`: bytes in hexadecimal. */
function hexBytes(text: string | undefined): number[] | undefined {
  if (text === undefined) return undefined;
  if (!/^([0-9a-f]{2}:?)*$/.test(text)) throw new Error(`not bytes in hexadecimal: ${text}`);
  return [...Buffer.from(text.replaceAll(':', ''), 'hex')];
}

/** Options of IPv6, in the order in which the headers stand in the packet. */
function extensionWords(words: Words): { protocol: number; bytes: number[] }[] | undefined {
  const headers = [
    { protocol: 0, bytes: hexBytes(words.text('hop-by-hop')) },
    { protocol: 60, bytes: hexBytes(words.text('destination-options')) },
  ];
  const given = headers.flatMap(({ protocol, bytes }) => (bytes ? [{ protocol, bytes }] : []));
  return given.length > 0 ? given : undefined;
}

/** The words after `frag`: what of the packet is in the fragment. */
function fragmentWords(whole: Uint8Array, text: readonly string[]): Uint8Array {
  const words = new Words(text);
  const offset = words.number('offset') ?? 0;
  const length = words.number('len');
  if (length === undefined || offset % 8 !== 0)
    throw new Error('frag needs len, and an offset that is a multiple of 8');
  const spec = { offset, length, more: words.flag('more'), df: words.flag('df') };
  const more = present({ id: words.number('id'), tos: words.number('tos') });
  words.done();
  return fragment(whole, { ...spec, ...more });
}

function buildStep(step: Step, earlier: readonly BuiltStep[]): BuiltStep {
  if (step.words.join(' ') === 'tick') return { step };
  const cut = step.words.indexOf('frag');
  if (cut >= 0) {
    const built = buildStep({ ...step, words: step.words.slice(0, cut) }, earlier);
    return { ...built, step, whole: built.packet!, packet: fragmentWords(built.packet!, step.words.slice(cut + 1)) };
  }
  const words = new Words(step.words);
  const from = endpoint(words.next());
  if (words.next() !== '->') throw new Error('a packet line reads: > SOURCE -> TARGET ...');
  const to = endpoint(words.next());
  const six = from.address.includes(':');
  const ports = (): [number, number] => {
    if (from.port === undefined || to.port === undefined) throw new Error('ports are missing');
    return [from.port, to.port];
  };
  const kind = words.next();
  const ip: build.IpSpec = {
    badIpChecksum: words.flag('bad-ip-checksum'),
    ...present({ ttl: words.number('ttl'), tos: words.number('tos'), options: hexBytes(words.text('ip-options')) }),
    ...present({ extensions: extensionWords(words) }),
  };
  let transport: build.Transport;
  if (kind === 'udp') {
    const [sport, dport] = ports();
    transport = build.udp({
      sport,
      dport,
      payload: data(words) ?? 0,
      badChecksum: words.flag('bad-checksum'),
      noChecksum: words.flag('no-checksum'),
    });
  } else if (kind === 'sctp') transport = sctpWords(words, ...ports());
  else if (kind === 'udplite') transport = udpliteWords(words, from.address, to.address, ...ports());
  else if (kind === 'gre') transport = greWords(words);
  else if (kind === 'icmp') transport = icmpWords(words, six, earlier);
  else if (kind === 'proto') transport = build.raw(Number(words.next()), words.number('len') ?? 0);
  else transport = tcpWords(kind, words, ...ports());
  words.done();
  return { step, source: from.address, target: to.address, packet: build.ip(from.address, to.address, transport, ip) };
}

/** The conversation as packets. Throws an Error naming the line that is not understood. */
export function buildSteps(file: string, steps: readonly Step[]): BuiltStep[] {
  const built: BuiltStep[] = [];
  for (const step of steps) {
    try {
      built.push(buildStep(step, built));
    } catch (error) {
      throw new Error(`${file}:${step.line}: ${(error as Error).message}`);
    }
  }
  return built;
}

/** 2023-11-14 22:13:20 UTC: when the first packet of every scenario was captured. */
export const START = 1_700_000_000_000_000_000n;

/** The conversation as a capture (nanoseconds, Ethernet). A tick is an ARP-typed frame of zeros. */
export function toPcap(built: readonly BuiltStep[]): Uint8Array {
  return build.writePcap(
    built.map(({ step, packet }) => ({
      time: START + step.time,
      data: packet ? build.ethernet(packet) : build.ethernet(new Uint8Array(46), { ethertype: 0x0806 }),
    })),
  );
}
