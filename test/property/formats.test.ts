// Do all formats say the same? Random records through every format, and read back from each; and bytes that the formatter
// writes against the plain functions of other reports.

import { expect, test } from 'vitest';
import {
  EventBit,
  EventKind,
  Helper,
  L3,
  Proto,
  SctpConntrack,
  Status,
  TcpConntrack,
} from '../../assembly/vocabulary.ts';
import { InterfaceNames } from '../../src/capture/interfaces.ts';
import { EVENT, PACKET, RECORD, TUPLE } from '../../src/engine/layout.ts';
import { addressText } from '../../src/report/address.ts';
import { ConntrackLines } from '../../src/report/conntrack-text.ts';
import { recordFormat } from '../../src/report/events.ts';
import { FlowLog } from '../../src/report/flow-log.ts';
import { entryStateName, statusNames } from '../../src/report/names.ts';
import type { EventPlace } from '../../src/report/order.ts';
import { PacketLines } from '../../src/report/packets.ts';
import { whyText } from '../../src/report/reason.ts';
import { stampAt } from '../../src/report/time.ts';
import { Random } from '../model/random.ts';

const RECORDS = 1500;
const PROTOCOLS = [Proto.TCP, Proto.UDP, Proto.UDPLITE, Proto.SCTP, Proto.ICMP, Proto.ICMPV6, Proto.GRE, 89, 253];
const NAMES = { labels: new Map([['web', 1]]), gre: { timeout: 30, stream: 180 } };

/** Numbers of all lengths: as many with one digit as with ten. */
function length(random: Random, digits: number): bigint {
  const count = random.below(digits + 1);
  let value = 0n;
  for (let i = 0; i < count; i++) value = value * 10n + BigInt(random.below(10));
  return value;
}

/** Zero groups are frequent, since they decide how an address is shortened. */
function address(random: Random, bytes: Uint8Array, at: number, l3num: number): void {
  bytes.fill(0, at, at + 16);
  const groups = l3num === L3.IPV4 ? 2 : 8;
  for (let i = 0; i < groups * 2; i++) if (random.chance(0.6)) bytes[at + i] = random.below(256);
  if (l3num === L3.IPV4) return;
  for (let i = 0; i < 8; i++) if (random.chance(0.5)) bytes.fill(0, at + i * 2, at + i * 2 + 2);
  if (random.chance(0.2)) bytes.fill(0, at, at + 10);
  if (random.chance(0.2)) bytes.fill(0xff, at + 10, at + 12);
}

function tuple(random: Random, bytes: Uint8Array, at: number, l3num: number, protonum: number): void {
  address(random, bytes, at, l3num);
  address(random, bytes, at + 16, l3num);
  for (let i = 32; i < 36; i++) bytes[at + i] = random.chance(0.3) ? 0 : random.below(256);
  bytes[at + 36] = protonum;
  bytes[at + 37] = l3num;
}

function randomEvents(seed: number): EventPlace[] {
  const random = new Random(seed);
  const bytes = new Uint8Array(RECORDS * EVENT.size);
  const view = new DataView(bytes.buffer);
  return Array.from({ length: RECORDS }, (_, index) => {
    const at = index * EVENT.size;
    const l3num = random.pick([L3.IPV4, L3.IPV6]);
    const protonum = random.pick(PROTOCOLS);
    const time = random.chance(0.1) ? length(random, 18) : 1_795_254_914_160_481_000n + length(random, 12);
    view.setBigUint64(at + EVENT.time, time, true);
    bytes[at + EVENT.kind] = random.pick([EventKind.NEW, EventKind.UPDATE, EventKind.DESTROY]);
    view.setUint32(at + EVENT.bits, random.pick([0, EventBit.PROTOINFO, EventBit.MARK, 0xffff]), true);
    view.setUint32(at + EVENT.timeout_s, Number(length(random, 6)), true);
    view.setUint32(at + EVENT.status, random.pick([0, Status.SEEN_REPLY, Status.SEEN_REPLY | Status.ASSURED]), true);
    view.setUint32(at + EVENT.mark, Number(length(random, 9)), true);
    bytes[at + EVENT.tcp_state] = random.below(protonum === Proto.TCP ? TcpConntrack.MAX : SctpConntrack.MAX);
    tuple(random, bytes, at + EVENT.original_0, l3num, protonum);
    tuple(random, bytes, at + EVENT.reply_0, l3num, protonum);
    const zones = random.pick([
      [0, 0],
      [7, 7],
      [9, 0],
      [0, 65535],
    ]);
    view.setUint16(at + EVENT.original_0 + TUPLE.zone, zones[0]!, true);
    view.setUint16(at + EVENT.reply_0 + TUPLE.zone, zones[1]!, true);
    view.setBigInt64(at + EVENT.id, random.chance(0.2) ? -1n - length(random, 3) : length(random, 12), true);
    if (random.chance(0.7)) {
      for (const field of [EVENT.packets_original, EVENT.bytes_original, EVENT.packets_reply, EVENT.bytes_reply]) {
        view.setBigUint64(at + field, 1n + length(random, 15), true);
      }
    }
    if (random.chance(0.7))
      view.setBigUint64(at + EVENT.start, time - (time > 10n ** 12n ? length(random, 12) : 0n), true);
    return { view, bytes, at };
  });
}

/** All pieces, each of which is valid only until the next is asked for. */
function collect(pieces: Iterable<string | Uint8Array>): string {
  const parts: Buffer[] = [];
  for (const piece of pieces) parts.push(Buffer.from(piece as Uint8Array));
  return Buffer.concat(parts).toString();
}

/** What a line of text says, as words by name; the original direction's first. */
function words(line: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const [, name, value] of line.matchAll(/([a-zA-Z-]+)=(\S+)/g)) {
    found.set(name!, [...(found.get(name!) ?? []), value!]);
  }
  return found;
}

function linesOf(places: Iterable<EventPlace>, modes: string[], listed: boolean): string[] {
  const pieces = recordFormat(new Set(modes) as never, listed, NAMES).lines(places);
  return collect(pieces).split('\n').slice(0, -1);
}

test.each([1, 2])('text, JSON, XML, save, proc and logs of the same records agree, seed %i', (seed) => {
  const places = randomEvents(seed);
  for (const listed of [false, true]) {
    const texts = linesOf(places, ['extended', 'id', ...(listed ? [] : ['timestamp'])], listed);
    const objects = linesOf(places, ['json'], listed).map((line) => JSON.parse(line));
    const xmls = linesOf(places, ['xml'], listed);
    const saves = linesOf(places, ['save'], listed);
    const procs = linesOf(places, ['proc'], true);
    expect([texts, objects, xmls, saves].map(({ length }) => length)).toEqual([RECORDS, RECORDS, RECORDS, RECORDS]);
    places.forEach(({ view, bytes, at }, index) => {
      const text = texts[index]!;
      const said = words(text);
      const object = objects[index];
      const { original, reply } = object;
      const [l3num, protonum] = [bytes[at + EVENT.original_0 + 37]!, bytes[at + EVENT.original_0 + 36]!];
      // The formatter's addresses are those of the plain function, which JSON, XML and save use.
      const addresses = [EVENT.original_0, EVENT.reply_0].map((tuple) => [
        addressText(bytes, at + tuple, l3num),
        addressText(bytes, at + tuple + 16, l3num),
      ]);
      expect(said.get('src')).toEqual([addresses[0]![0], addresses[1]![0]]);
      expect(said.get('dst')).toEqual([addresses[0]![1], addresses[1]![1]]);
      expect([original.src, original.dst, reply.src, reply.dst]).toEqual(addresses.flat());
      expect(xmls[index]).toContain(`<src>${reply.src}</src><dst>${reply.dst}</dst>`);
      expect(saves[index]).toContain(` -s ${original.src} -d ${original.dst} `);
      if (original.sport !== undefined) {
        expect(said.get('sport')).toEqual([String(original.sport), String(reply.sport)]);
        expect(said.get('dport')).toEqual([String(original.dport), String(reply.dport)]);
        expect(saves[index]).toContain(` --sport ${original.sport} --dport ${original.dport} `);
      }
      if (original.srckey !== undefined) expect(said.get('srckey')![0]).toBe(`0x${original.srckey.toString(16)}`);
      if (original.packets !== undefined) {
        expect(said.get('packets')).toEqual([String(original.packets), String(reply.packets)]);
        expect(said.get('bytes')).toEqual([String(original.bytes), String(reply.bytes)]);
        expect(xmls[index]).toContain(`<packets>${reply.packets}</packets><bytes>${reply.bytes}</bytes>`);
      } else expect(said.get('packets')).toBeUndefined();
      expect(said.get('id')!.at(-1)).toBe(String(object.id));
      expect(xmls[index]).toContain(`<id>${object.id}</id>`);
      if (said.has('mark')) expect(said.get('mark')).toEqual([String(object.mark)]);
      if (said.has('delta-time')) expect(said.get('delta-time')).toEqual([String(object.age)]);
      expect(text.includes('[UNREPLIED]')).toBe(!object.status.includes('SEEN_REPLY'));
      expect(text.includes('[ASSURED]')).toBe(object.status.includes('ASSURED'));
      expect(said.get('zone')?.[0]).toBe(object.zone === undefined ? undefined : String(object.zone));
      expect(said.get('zone-orig')?.[0]).toBe(original.zone === undefined ? undefined : String(original.zone));
      expect(said.get('zone-reply')?.[0]).toBe(reply.zone === undefined ? undefined : String(reply.zone));
      const state = entryStateName(protonum, bytes[at + EVENT.tcp_state]!);
      if (listed && state !== undefined) expect(text).toContain(` ${state} src=`);
      if (!listed) {
        const [, seconds, micros] = /^\[(\d+)\.(\d{6})\]\t/.exec(text)!;
        const stamp = stampAt(view, at + EVENT.time);
        expect(`${Number(seconds)}.${micros}`).toBe(stamp.slice(0, -3));
        expect(seconds!.length).toBeGreaterThanOrEqual(8);
      }
      if (listed && l3num === L3.IPV4) {
        expect(words(procs[index]!).get('src')).toEqual(said.get('src'));
        expect(words(procs[index]!).get('bytes')).toEqual(said.get('bytes'));
      }
    });
  }
});

test('logs of ended entries say what their events say', () => {
  const places = randomEvents(4);
  const ended = places.filter(({ bytes, at }) => bytes[at + EVENT.kind] === EventKind.DESTROY);
  const events = linesOf(ended, [], false);
  const conntrackd = [...new FlowLog('conntrackd').lines(places)];
  const ulogd = [...new FlowLog('ulogd').lines(places)];
  expect([conntrackd.length, ulogd.length]).toEqual([ended.length, ended.length]);
  events.forEach((event, index) => {
    const from = event.indexOf('src=');
    expect(conntrackd[index]!.endsWith(`${event.slice(from)}\n`)).toBe(true);
    expect(words(ulogd[index]!).get('SRC')).toEqual(words(event).get('src'));
    const bytes = words(event).get('bytes');
    if (bytes) expect(words(ulogd[index]!).get('BYTES')).toEqual(bytes);
  });
});

test('lines do not depend on how many are written at a time', () => {
  const places = randomEvents(5);
  const together = collect(new ConntrackLines({ id: true }).events(places));
  const lines = new ConntrackLines({ id: true });
  expect(together).toBe(places.map((place) => collect(lines.events([place]))).join(''));
});

test.each([6, 7])('packet lines are JSON of what the records hold, seed %i', (seed) => {
  const random = new Random(seed);
  const count = 4096;
  const bytes = new Uint8Array(count * (RECORD.size + PACKET.size));
  const view = new DataView(bytes.buffer);
  const packets = count * RECORD.size;
  const interfaces = new InterfaceNames();
  for (const name of ['lan', 'wan "x"', 'é'.repeat(40)]) interfaces.index(name);
  for (let i = 0; i < count; i++) {
    const [record, packet] = [i * RECORD.size, packets + i * PACKET.size];
    view.setBigUint64(record + RECORD.ts, 1_700_000_000_000_000_000n + length(random, 13), true);
    view.setUint16(record + RECORD.file, 1 + random.below(65535), true);
    view.setUint32(record + RECORD.n, Number(length(random, 9)), true);
    view.setUint16(packet + PACKET.iif, random.below(4), true);
    bytes[packet + PACKET.path] = random.below(4);
    bytes[packet + PACKET.verdict] = random.below(5);
    bytes[packet + PACKET.ct_state] = random.below(4);
    bytes[packet + PACKET.tcp_state] = random.below(9);
    const helper = random.chance(0.3) ? random.pick([Helper.FTP, Helper.TFTP]) : Helper.NONE;
    bytes[packet + PACKET.template] = helper;
    view.setUint16(packet + PACKET.status, random.below(2048) | (helper ? Status.HELPER : 0), true);
    view.setUint32(packet + PACKET.ct_mark, random.below(2 ** 32), true);
    view.setBigInt64(packet + PACKET.flow_id, length(random, 15) - length(random, 3), true);
    view.setUint32(packet + PACKET.rule, 0xffffffff, true);
    if (random.chance(0.5)) bytes[packet + PACKET.reason] = random.pick([1, 32, 64, 65, 70, 72, 74, 76]);
    view.setUint32(packet + PACKET.why_value, random.below(2 ** 32), true);
    bytes[packet + PACKET.events] = random.below(8);
  }
  const lines = new PacketLines({ rules: [], interfaces });
  const objects = collect(
    lines.lines(
      { view, bytes, records: 0, count },
      { packets, translations: 0, logs: () => [], master: (packet) => packet },
    ),
  )
    .split('\n')
    .slice(0, -1);
  expect(objects).toHaveLength(count);
  objects.forEach((line, i) => {
    const object = JSON.parse(line);
    const [record, packet] = [i * RECORD.size, packets + i * PACKET.size];
    expect(object.file).toBe(view.getUint16(record + RECORD.file, true));
    expect(object.n).toBe(view.getUint32(record + RECORD.n, true));
    expect(object.ts).toBe(stampAt(view, record + RECORD.ts));
    expect(object.in).toBe(interfaces.name(view.getUint16(packet + PACKET.iif, true)));
    const reason = bytes[packet + PACKET.reason]!;
    expect(object.why).toBe(
      reason === 0
        ? undefined
        : whyText(
            reason,
            view.getUint32(packet + PACKET.why_value, true),
            view.getUint32(packet + PACKET.ct_mark, true),
          ),
    );
    if (object.ct?.mark === undefined) return;
    expect(object.ct.mark).toBe(view.getUint32(packet + PACKET.ct_mark, true));
    const id = Number(view.getBigInt64(packet + PACKET.flow_id, true));
    expect(object.ct.id).toBe(id === 0 ? undefined : id);
    const status = view.getUint16(packet + PACKET.status, true);
    expect(object.ct.status).toEqual(statusNames(status));
    expect(object.ct.master).toBe(status & Status.EXPECTED ? packet : undefined);
    expect(object.ct.helper).toBe([undefined, 'ftp', 'tftp'][bytes[packet + PACKET.template]!]);
  });
});
