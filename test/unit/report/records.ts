// Which records do report tests print? EVENT and PACKET records in made-up memory, and golden lines turned into records.

import { existsSync, readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { EventBit, EventKind, L3, Proto, SctpConntrack, Status, TcpConntrack } from '../../../assembly/vocabulary.ts';
import { EVENT, PACKET, RECORD, TUPLE } from '../../../src/engine/layout.ts';

/** Golden files of the real tools; undefined (with a warning) where they are not at hand. */
export function golden(name: string): string[] | undefined {
  const path = new URL(`../../../../shared/formats/lab1/${name}`, import.meta.url);
  if (!existsSync(path)) {
    console.warn(`SKIPPED: no golden file ${path.pathname}`);
    return undefined;
  }
  return readFileSync(path, 'utf8').split('\n').filter(Boolean);
}

export interface Memory {
  view: DataView;
  bytes: Uint8Array;
}

export function memory(size = 65536): Memory {
  const bytes = new Uint8Array(size);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Sixteen bytes of an address, IPv4 in the first four, read by a plain parser of our own. */
export function addressBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  if (isIPv4(text)) {
    bytes.set(text.split('.').map(Number));
    return bytes;
  }
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain = dotted
    ? `${dotted[1]}${((Number(dotted[2]) << 8) | Number(dotted[3])).toString(16)}:${((Number(dotted[4]) << 8) | Number(dotted[5])).toString(16)}`
    : text;
  const [head, tail] = plain.split('::');
  const groups = (part: string | undefined) => (part ? part.split(':') : []);
  const left = groups(head);
  const right = plain.includes('::') ? groups(tail) : [];
  const all = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right];
  all.forEach((group, i) => {
    bytes[i * 2] = Number.parseInt(group, 16) >> 8;
    bytes[i * 2 + 1] = Number.parseInt(group, 16) & 0xff;
  });
  return bytes;
}

export interface TupleFields {
  src: string;
  dst: string;
  protonum: number;
  sport?: number;
  dport?: number;
  srckey?: number;
  dstkey?: number;
  type?: number;
  code?: number;
  id?: number;
}

export function writeTuple({ view, bytes }: Memory, at: number, tuple: TupleFields): void {
  bytes.set(addressBytes(tuple.src), at);
  bytes.set(addressBytes(tuple.dst), at + 16);
  const icmp = tuple.type !== undefined;
  view.setUint16(at + 32, (icmp ? tuple.id : (tuple.sport ?? tuple.srckey)) ?? 0);
  view.setUint16(at + 34, (icmp ? (tuple.type! << 8) | (tuple.code ?? 0) : (tuple.dport ?? tuple.dstkey)) ?? 0);
  bytes[at + 36] = tuple.protonum;
  bytes[at + 37] = isIPv4(tuple.src) ? L3.IPV4 : L3.IPV6;
}

/** Fields of `name=value` words, one map for each direction: the second begins at the second `src=`. */
function directions(line: string): [Record<string, number | string>, Record<string, number | string>] {
  const pair: [Record<string, number | string>, Record<string, number | string>] = [{}, {}];
  let side = -1;
  for (const word of line.split(/\s+/)) {
    const [, key, value] = /^([a-z-]+)=(\S+)$/.exec(word) ?? [];
    if (key === undefined || value === undefined) continue;
    if (key === 'src') side++;
    const number = value.startsWith('0x') ? Number.parseInt(value, 16) : Number(value);
    // What follows both tuples (mark=, delta-time=, id=) belongs to neither; "id=" of ICMP does.
    pair[side as 0 | 1][key] ??= key === 'src' || key === 'dst' ? value : number;
  }
  return pair;
}

/**
 * Turns a line that conntrack printed into the EVENT record at `at` that must print as that line again. What is not in
 * the line is filled with what must not show: a state without PROTOINFO, counters in events that carry none.
 *
 * @param second seconds since 1970 that the record's `time` falls into where the line does not say
 * @param labels bits of labels by name
 */
export function eventRecord(
  memory: Memory,
  at: number,
  line: string,
  second = 1795236740,
  labels: ReadonlyMap<string, number> = new Map(),
): void {
  const { view, bytes } = memory;
  bytes.fill(0, at, at + EVENT.size);
  const stamp = /^\[(\d+)\.(\d+)\]\t/.exec(line);
  const time = stamp
    ? BigInt(stamp[1]!) * 1_000_000_000n + BigInt(stamp[2]!) * 1000n + 999n
    : BigInt(second) * 1_000_000_000n;
  view.setBigUint64(at + EVENT.time, time, true);
  const kind = /\[(NEW|UPDATE|DESTROY)\]/.exec(line)?.[1] as 'NEW' | 'UPDATE' | 'DESTROY' | undefined;
  bytes[at + EVENT.kind] = kind === undefined ? EventKind.NONE : EventKind[kind];
  const [, protonum, timeout, state] = /(?:^|\s)[a-z0-9]+ +(\d+) (?:(\d+) )?(?:([A-Z_0-9]+) )?src=/.exec(line)!;
  const number = Number(protonum);
  const [original, reply] = directions(line);
  writeTuple(memory, at + EVENT.original_0, { ...original, protonum: number } as unknown as TupleFields);
  writeTuple(memory, at + EVENT.reply_0, { ...reply, protonum: number } as unknown as TupleFields);
  view.setUint32(at + EVENT.timeout_s, Number(timeout ?? 0), true);
  let bits = 0;
  if (state !== undefined) {
    bits |= EventBit.PROTOINFO;
    const states: Record<string, unknown> = number === Proto.SCTP ? SctpConntrack : TcpConntrack;
    bytes[at + EVENT.tcp_state] = states[state] as number;
    // What `conntrack -I --orig-vtag 1 --reply-vtag 2` makes.
    view.setUint32(at + EVENT.vtag_original, 1);
    view.setUint32(at + EVENT.vtag_reply, 2);
  } else if (number === Proto.TCP) bytes[at + EVENT.tcp_state] = TcpConntrack.ESTABLISHED;
  let status = Status.CONFIRMED as number;
  if (!line.includes('[UNREPLIED]')) status |= Status.SEEN_REPLY;
  if (line.includes('[ASSURED]')) status |= Status.ASSURED;
  if (original.src !== reply.dst || (number !== Proto.ICMP && original.sport !== reply.dport)) status |= Status.SRC_NAT;
  if (original.dst !== reply.src || (number !== Proto.ICMP && original.dport !== reply.sport)) status |= Status.DST_NAT;
  view.setUint32(at + EVENT.status, status, true);
  const zone = (name: string) => Number(new RegExp(` ${name}=(\\d+)`).exec(line)?.[1] ?? 0);
  view.setUint16(at + EVENT.original_0 + TUPLE.zone, zone('zone') || zone('zone-orig'), true);
  view.setUint16(at + EVENT.reply_0 + TUPLE.zone, zone('zone') || zone('zone-reply'), true);
  for (const name of / labels=(\S+)/.exec(line)?.[1]?.split(',') ?? []) {
    const bit = labels.get(name)!;
    bytes[at + EVENT.labels_lo + (bit >> 3)]! |= 1 << (bit & 7);
  }
  const mark = / mark=(\d+)/.exec(line)?.[1];
  if (mark !== undefined) {
    bits |= EventBit.MARK;
    view.setUint32(at + EVENT.mark, Number(mark), true);
  }
  view.setUint32(at + EVENT.bits, bits, true);
  // Counters and start are kept whatever the message; only complete messages may show them.
  const shown = original.packets !== undefined;
  const complete = kind === undefined || kind === 'DESTROY';
  const count = (offset: number, value: number | string | undefined) =>
    view.setBigUint64(at + offset, BigInt(shown ? value! : complete ? 0 : 7), true);
  count(EVENT.packets_original, original.packets);
  count(EVENT.bytes_original, original.bytes);
  count(EVENT.packets_reply, reply.packets);
  count(EVENT.bytes_reply, reply.bytes);
  const delta = / delta-time=(\d+)/.exec(line)?.[1];
  if (delta !== undefined)
    view.setBigUint64(at + EVENT.start, (time / 1_000_000_000n - BigInt(delta)) * 1_000_000_000n, true);
  else if (!complete) view.setBigUint64(at + EVENT.start, time, true);
  const id = /use=\d+ id=(\d+)(?: labels=\S+)?$| id=(\d+)$/.exec(line);
  if (id !== null) view.setBigUint64(at + EVENT.id, BigInt(id[1] ?? id[2]!), true);
}

/** A PACKET record; fields by their names in the layout, addresses as text. */
export interface PacketFields {
  tuple?: TupleFields;
  u8?: Partial<Record<keyof typeof PACKET, number>>;
  u16?: Partial<Record<keyof typeof PACKET, number>>;
  u32?: Partial<Record<keyof typeof PACKET, number>>;
  flowId?: bigint;
}

/** Writes a PACKET; no rule decided unless `u32.rule` says so. */
export function packetRecord(memory: Memory, at: number, fields: PacketFields): void {
  const { view, bytes } = memory;
  bytes.fill(0, at, at + PACKET.size);
  view.setUint32(at + PACKET.rule, 0xffffffff, true);
  if (fields.tuple) writeTuple(memory, at, fields.tuple);
  for (const [name, value] of Object.entries(fields.u8 ?? {})) bytes[at + PACKET[name as keyof typeof PACKET]] = value;
  for (const [name, value] of Object.entries(fields.u16 ?? {})) {
    view.setUint16(at + PACKET[name as keyof typeof PACKET], value, true);
  }
  for (const [name, value] of Object.entries(fields.u32 ?? {})) {
    view.setUint32(at + PACKET[name as keyof typeof PACKET], value, true);
  }
  view.setBigUint64(at + PACKET.flow_id, fields.flowId ?? 0n, true);
}

/** Writes a RECORD. */
export function captureRecord({ view }: Memory, at: number, file: number, n: number, ts: bigint, number: bigint): void {
  view.setBigUint64(at + RECORD.ts, ts, true);
  view.setUint16(at + RECORD.file, file, true);
  view.setUint32(at + RECORD.n, n, true);
  view.setBigUint64(at + RECORD.number, number, true);
}
