// How is the output of `ipset save` read? ipset(8); names and limits are those of ipset 7.17.
import { ICMP_TYPES, ICMP6_TYPES, own, PROTOCOLS, servicePort } from '../iptables/names.ts';
import { readIpv4, readIpv6, readNumber } from '../iptables/values.ts';
import { type Family, type Line, position, refuse, splitLines } from '../source.ts';
import type { Element, ElementSet, IpSet, IpSets, Part } from './ipset.ts';

const IPV4 = 2;
const IPV6 = 10;
/** IPSET_MAXNAMELEN, with its end. */
const NAME_MAX = 31;
const U32 = 0xffff_ffff;
const PORT_MAX = 65535;

interface Type {
  parts: readonly Part[];
  /** It has no family of its own. */
  any?: true;
  barePorts?: true;
}

const TYPES: Readonly<Record<string, Type>> = {
  'bitmap:ip': { parts: ['ip'] },
  'bitmap:ip,mac': { parts: ['ip', 'mac'] },
  'bitmap:port': { parts: ['port'], any: true, barePorts: true },
  'hash:ip': { parts: ['ip'] },
  'hash:mac': { parts: ['mac'], any: true },
  'hash:ip,mac': { parts: ['ip', 'mac'] },
  'hash:ip,mark': { parts: ['ip', 'mark'] },
  'hash:ip,port': { parts: ['ip', 'port'] },
  'hash:ip,port,ip': { parts: ['ip', 'port', 'ip'] },
  'hash:ip,port,net': { parts: ['ip', 'port', 'net'] },
  'hash:net': { parts: ['net'] },
  'hash:net,net': { parts: ['net', 'net'] },
  'hash:net,port': { parts: ['net', 'port'] },
  'hash:net,port,net': { parts: ['net', 'port', 'net'] },
};
/** Types of which packets are not looked up here. */
const UNSUPPORTED = new Set(['hash:net,iface']);

/** Options of `create` and `add`: what number of values follows. Those that say nothing of what matches are passed over. */
const CREATE_OPTIONS: Readonly<Record<string, 0 | 1>> = {
  family: 1, hashsize: 1, maxelem: 1, bucketsize: 1, initval: 1, netmask: 1, bitmask: 1, markmask: 1, range: 1,
  size: 1, timeout: 1, counters: 0, comment: 0, skbinfo: 0, forceadd: 0,
}; // biome-ignore format: a table
const ADD_OPTIONS: Readonly<Record<string, 0 | 1>> = {
  timeout: 1, packets: 1, bytes: 1, comment: 1, skbmark: 1, skbprio: 1, skbqueue: 1, nomatch: 0,
}; // biome-ignore format: a table

interface Word {
  text: string;
  column: number;
  length: number;
}

/** The words of a line; a comment in quotes is one. */
function words(line: Line): Word[] {
  return Array.from(line.text.matchAll(/"[^"]*"|\S+/g), (match) => ({
    text: match[0],
    column: match.index + 1,
    length: match[0].length,
  }));
}

/**
 * Reads sets, and adds them to those that other files have.
 * @throws RulesetError with file, line and column for what cannot be read, is not supported, or the kernel would refuse
 */
export function parseIpSets(file: string, text: string, others?: IpSets): IpSets {
  const sets = new Map<string, IpSet>(others);
  for (const line of splitLines({ file, text })) {
    const [verb, name, ...rest] = words(line);
    if (verb === undefined || verb.text.startsWith('#')) continue;
    if (verb.text !== 'create' && verb.text !== 'add') {
      refuse('RULESET_SYNTAX', "expected 'create' or 'add', as ipset save prints them", position(line, verb));
    }
    if (name === undefined || rest.length === 0)
      refuse('RULESET_SYNTAX', `'${verb.text}' lacks something`, position(line));
    const reader = new LineReader(line, rest);
    if (verb.text === 'create') {
      if (name.text.length > NAME_MAX)
        refuse('RULESET_INVALID', 'the name is too long for a set', position(line, name));
      if (sets.has(name.text)) refuse('RULESET_INVALID', `set '${name.text}' exists already`, position(line, name));
      sets.set(name.text, create(reader, name.text));
      continue;
    }
    const set = sets.get(name.text);
    if (!set) return refuse('RULESET_INVALID', `set '${name.text}' does not exist`, position(line, name));
    if (set.kind === 'elements') set.elements.push(element(reader, set));
    else set.members.push(member(reader, sets));
  }
  return sets;
}

/** What stands behind the name of a set: a type or an element, then options. */
class LineReader {
  readonly first: Word;
  private readonly rest: readonly Word[];

  constructor(
    readonly line: Line,
    [first, ...rest]: readonly Word[],
  ) {
    this.first = first!;
    this.rest = rest;
  }

  options(known: Readonly<Record<string, 0 | 1>>): Map<string, Word> {
    const found = new Map<string, Word>();
    for (let i = 0; i < this.rest.length; i++) {
      const option = this.rest[i]!;
      const values = own(known, option.text);
      if (values === undefined) refuse('RULESET_UNSUPPORTED', `option '${option.text}' of a set`, this.at(option));
      const value = values === 0 ? option : this.rest[++i];
      if (value === undefined) return refuse('RULESET_SYNTAX', `'${option.text}' needs a value`, this.at(option));
      if (found.has(option.text)) refuse('RULESET_SYNTAX', `'${option.text}' is given twice`, this.at(option));
      found.set(option.text, value);
    }
    return found;
  }

  at(word: Word) {
    return position(this.line, word);
  }

  number(word: Word, maximum: number, what: string): number {
    return (
      readNumber(word.text, maximum) ??
      refuse('RULESET_INVALID', `${what} is not a number up to ${maximum}`, this.at(word))
    );
  }
}

function create(reader: LineReader, name: string): IpSet {
  const { first, line } = reader;
  const options = reader.options(CREATE_OPTIONS);
  const at = position(line);
  if (first.text === 'list:set') return { kind: 'list', name, type: 'list:set', members: [], at };
  const type = own(TYPES, first.text);
  if (!type) {
    const known = UNSUPPORTED.has(first.text);
    return refuse(
      known ? 'RULESET_UNSUPPORTED' : 'RULESET_INVALID',
      known ? `sets of type ${first.text} are not supported` : 'unknown type of a set',
      reader.at(first),
    );
  }
  const markmask = options.get('markmask');
  if (markmask) refuse('RULESET_UNSUPPORTED', "option 'markmask' of a set", reader.at(markmask));
  const set: ElementSet = {
    kind: 'elements',
    name,
    type: first.text,
    parts: type.parts,
    family: type.any ? undefined : familyOf(reader, options.get('family')),
    barePorts: type.barePorts === true,
    elements: [],
    at,
  };
  const mask = addressMask(reader, set, options);
  if (mask) set.mask = mask;
  return set;
}

function familyOf(reader: LineReader, word: Word | undefined): Family {
  if (word === undefined || word.text === 'inet') return IPV4;
  if (word.text === 'inet6') return IPV6;
  return refuse('RULESET_INVALID', "the family is neither 'inet' nor 'inet6'", reader.at(word));
}

function addressMask(reader: LineReader, set: ElementSet, options: Map<string, Word>): Uint8Array | undefined {
  const [netmask, bitmask] = [options.get('netmask'), options.get('bitmask')];
  if (bitmask) return addressOf(reader, set.family, bitmask, bitmask.text);
  if (!netmask) return undefined;
  const bits = set.family === IPV6 ? 128 : 32;
  const length = reader.number(netmask, bits, 'the netmask');
  return prefixMask(bits, length);
}

export function prefixMask(bits: number, length: number): Uint8Array {
  return Uint8Array.from(
    { length: bits / 8 },
    (_, byte) => (0xff00 >> Math.min(8, Math.max(0, length - byte * 8))) & 0xff,
  );
}

function member(reader: LineReader, sets: IpSets): { name: string; at: ReturnType<LineReader['at']> } {
  const { first } = reader;
  const [before, after] = [reader.options({ ...ADD_OPTIONS, before: 1, after: 1 }), reader.at(first)];
  for (const name of ['before', 'after', 'timeout']) {
    const option = before.get(name);
    if (option) refuse('RULESET_UNSUPPORTED', `option '${name}' of a member of a list`, reader.at(option));
  }
  if (sets.get(first.text)?.kind !== 'elements') refuse('RULESET_INVALID', `set '${first.text}' does not exist`, after);
  return { name: first.text, at: after };
}

function element(reader: LineReader, set: ElementSet): Element {
  const { first } = reader;
  const options = reader.options(ADD_OPTIONS);
  const texts = first.text.split(',');
  if (texts.length !== set.parts.length) {
    const lacks = set.type === 'bitmap:ip,mac' && texts.length === 1;
    refuse(
      lacks ? 'RULESET_UNSUPPORTED' : 'RULESET_INVALID',
      lacks ? 'an element that waits for its MAC address' : `not an element of a set of type ${set.type}`,
      reader.at(first),
    );
  }
  const made: Element = { words: [], lengths: [], nomatch: options.has('nomatch') };
  set.parts.forEach((part, index) => {
    PARTS[part](reader, set, texts[index]!, made);
  });
  const timeout = options.get('timeout');
  const left = timeout && reader.number(timeout, U32, 'the timeout');
  if (left) made.left = left;
  if (made.nomatch && made.lengths.length === 0) {
    refuse('RULESET_INVALID', `'nomatch' in a set of type ${set.type}`, reader.at(options.get('nomatch')!));
  }
  return made;
}

type PartReader = (reader: LineReader, set: ElementSet, text: string, made: Element) => void;

const PARTS: Readonly<Record<Part, PartReader>> = {
  ip: (reader, set, text, made) => {
    const address = addressOf(reader, set.family, reader.first, text);
    made.words.push(...toWords(set.mask ? masked(address, set.mask) : address));
  },
  net: (reader, set, text, made) => {
    const [host = '', length, ...more] = text.split('/');
    if (more.length > 0) refuse('RULESET_INVALID', `'${text}' is not a network`, reader.at(reader.first));
    const address = addressOf(reader, set.family, reader.first, host);
    const bits = address.length * 8;
    const prefix = length === undefined ? bits : readNumber(length, bits);
    if (prefix === undefined) return refuse('RULESET_INVALID', `'${text}' is not a network`, reader.at(reader.first));
    const net = masked(address, prefixMask(bits, prefix));
    made.words.push(...toWords(set.mask ? masked(net, set.mask) : net));
    made.lengths.push(prefix);
  },
  port: (reader, set, text, made) => {
    if (set.barePorts) made.words.push(reader.number({ ...reader.first, text }, PORT_MAX, 'the port'));
    else made.words.push(portOf(reader, text));
  },
  mac: (reader, _, text, made) => {
    if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) {
      refuse('RULESET_INVALID', `'${text}' is not a MAC address`, reader.at(reader.first));
    }
    const bytes = text.split(':').map((byte) => Number.parseInt(byte, 16));
    made.words.push(...toWords(Uint8Array.of(...bytes, 0, 0)));
  },
  mark: (reader, _, text, made) => {
    made.words.push(reader.number({ ...reader.first, text }, U32, 'the mark'));
  },
};

function addressOf(reader: LineReader, family: Family | undefined, word: Word, text: string): Uint8Array {
  const address = family === IPV6 ? readIpv6(text) : readIpv4(text);
  return address ?? refuse('RULESET_INVALID', `'${text}' is not an address of this set`, reader.at(word));
}

function masked(address: Uint8Array, mask: Uint8Array): Uint8Array {
  return address.map((byte, index) => byte & mask[index]!);
}

export function toWords(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / 4 }, (_, index) => view.getUint32(index * 4, true));
}

const PORTLESS = 0;

/** `tcp:80`, `udp:domain`, `icmp:echo-request`, `icmpv6:128/0`, `gre:0`; a port alone is TCP's. */
function portOf(reader: LineReader, text: string): number {
  const colon = text.indexOf(':');
  const [protocolText, port] = colon < 0 ? ['tcp', text] : [text.slice(0, colon), text.slice(colon + 1)];
  const wrong = () => refuse('RULESET_INVALID', `'${text}' is not a protocol and port`, reader.at(reader.first));
  const protocol = readNumber(protocolText, 255) ?? own(PROTOCOLS, protocolText.toLowerCase()) ?? wrong();
  return ((protocol << 16) | (portNumber(protocolText, port) ?? wrong())) >>> 0;
}

function portNumber(protocol: string, text: string): number | undefined {
  if (protocol === 'icmp' || protocol === 'icmpv6' || protocol === 'ipv6-icmp') {
    const [, type, code] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
    const named = own(protocol === 'icmp' ? ICMP_TYPES : ICMP6_TYPES, text);
    if (named) return (named[0] << 8) | named[1];
    const [high, low] = [readNumber(type ?? '', 255), readNumber(code ?? '', 255)];
    return high === undefined || low === undefined ? undefined : (high << 8) | low;
  }
  const ported = ['tcp', 'udp', 'sctp', 'udplite'].includes(protocol);
  if (ported) return readNumber(text, PORT_MAX) ?? servicePort(text);
  return text === '0' ? PORTLESS : undefined;
}
