// Do events and table entries print as conntrack 1.4.7 prints them? Its own lines are read into records and printed back.

import { describe, expect, test } from 'vitest';
import { EventBit, Status } from '../../../assembly/vocabulary.ts';
import { EVENT, TUPLE } from '../../../src/engine/layout.ts';
import { ConntrackLines, type ConntrackModes } from '../../../src/report/conntrack-text.ts';
import { flowXml, XML_FOOTER, XML_HEADER } from '../../../src/report/conntrack-xml.ts';
import { eventRecord, golden, memory } from './records.ts';

const AT = 256;

function lineOf([piece]: Iterable<Uint8Array>): string {
  const line = Buffer.from(piece!).toString('latin1');
  expect(line.indexOf('\n')).toBe(line.length - 1);
  return line.slice(0, -1);
}

function eventText(view: DataView, bytes: Uint8Array, at: number, modes: ConntrackModes): string {
  return lineOf(new ConntrackLines(modes).events([{ view, bytes, at }]));
}

function tableText(view: DataView, bytes: Uint8Array, at: number, modes: ConntrackModes): string {
  return lineOf(new ConntrackLines(modes).entries([{ view, bytes, at }]));
}

/** The line without what user space commands add to it (conntrack -D, -I, -F), and without helpers. */
function ours(line: string): string | undefined {
  if (line.includes('helper=')) return undefined;
  // The stamp of one golden line is missing; an entry that `conntrack -I` made has counters of 0 packets.
  if (line.startsWith('\t') || line.includes('packets=0 bytes=0 [UNREPLIED]')) return undefined;
  return line.replace(/ \[USERSPACE\].*$/, '');
}

function printEvent(line: string, modes: ConntrackModes): string {
  const { view, bytes } = memory(1024);
  const second = Number(/stop=(\d+)/.exec(line)?.[1] ?? 1795236740);
  eventRecord({ view, bytes }, AT, line, second);
  return eventText(view, bytes, AT, modes);
}

function printEntry(line: string, modes: ConntrackModes): string {
  const { view, bytes } = memory(1024);
  eventRecord({ view, bytes }, AT, line);
  return tableText(view, bytes, AT, modes);
}

const EVENT_FILES: [string, ConntrackModes][] = [
  ['conntrack-E.txt', {}],
  ['conntrack-E-o-timestamp.txt', { timestamp: true }],
  ['conntrack-E-o-extended.txt', { extended: true }],
  ['conntrack-E-o-id.txt', { id: true }],
];

const TABLE_FILES: [string, ConntrackModes][] = [
  ['conntrack-L.txt', {}],
  ['conntrack-L-o-extended.txt', { extended: true }],
  ['conntrack-L-o-id.txt', { id: true }],
];

describe('golden lines of conntrack -E print back byte for byte', () => {
  test.each(EVENT_FILES)('%s', (file, modes) => {
    const lines = golden(file)?.map(ours);
    if (lines === undefined) return;
    const printable = lines.filter((line) => line !== undefined);
    expect(printable.length).toBeGreaterThan(25);
    expect(printable.map((line) => printEvent(line, modes))).toEqual(printable);
  });
});

describe('golden lines of conntrack -L print back byte for byte', () => {
  test.each(TABLE_FILES)('%s', (file, modes) => {
    const lines = golden(file);
    if (lines === undefined) return;
    // use=2 is an entry that another CPU holds at the moment of the listing.
    const printable = lines.filter((line) => !line.includes('helper=')).map((line) => line.replace('use=2', 'use=1'));
    expect(printable.length).toBeGreaterThan(4);
    expect(printable.map((line) => printEntry(line, modes))).toEqual(printable);
  });
});

describe('golden elements of conntrack -o xml', () => {
  /** The same 44 events were listened to in all modes at once: the n-th text line is the n-th XML element. */
  test.each([
    ['conntrack-E-o-xml_timestamp.txt', true],
    ['conntrack-E-o-xml.txt', false],
  ])('%s', (file, timestamp) => {
    const xml = golden(file);
    const text = golden('conntrack-E-o-id.txt');
    if (xml === undefined || text === undefined) return;
    expect(`${xml[0]}\n${xml[1]}\n`).toBe(XML_HEADER);
    expect(`${xml.at(-1)}\n`).toBe(XML_FOOTER);
    const elements = xml.slice(2, -1);
    expect(elements.length).toBe(text.length);
    let compared = 0;
    elements.forEach((element, i) => {
      const line = ours(text[i]!);
      if (line === undefined) return;
      const wanted = element.replace(/ \[USERSPACE\].*$/, '');
      const { view, bytes } = memory(1024);
      const at = /<hour>(\d+)<\/hour><min>(\d+)<\/min><sec>(\d+)<\/sec>/.exec(wanted);
      const second = Date.UTC(2026, 10, 21, Number(at?.[1] ?? 0), Number(at?.[2] ?? 0), Number(at?.[3] ?? 0)) / 1000;
      const delta = /<deltatime>(\d+)</.exec(wanted)?.[1];
      const timed = delta === undefined ? line : line.replace(/delta-time=\d+/, `delta-time=${delta}`);
      eventRecord({ view, bytes }, AT, timed, second);
      expect(flowXml(view, bytes, AT, false, { timestamp })).toBe(wanted);
      compared++;
    });
    expect(compared).toBeGreaterThan(25);
  });

  test('conntrack-L-o-xml.txt', () => {
    const xml = golden('conntrack-L-o-xml.txt');
    const text = golden('conntrack-L-o-id.txt');
    if (xml === undefined || text === undefined) return;
    const elements = xml.slice(2, -1);
    const ids = (line: string) => /id=(\d+)$/.exec(line)![1]!;
    for (const line of text.filter((entry) => !entry.includes('helper='))) {
      const wanted = elements.find((element) => element.includes(`<id>${ids(line)}</id>`))!;
      const { view, bytes } = memory(1024);
      const delta = /<deltatime>(\d+)</.exec(wanted)![1]!;
      const timed = line
        .replace(/delta-time=\d+/, `delta-time=${delta}`)
        .replace(/^(\w+ +\d+ )\d+/, `$1${/<timeout>(\d+)</.exec(wanted)![1]}`);
      eventRecord({ view, bytes }, AT, timed);
      expect(flowXml(view, bytes, AT, true, {})).toBe(wanted.replace('<use>2</use>', '<use>1</use>'));
    }
  });
});

/** Printed by conntrack 1.4.7 on Linux 6.18 for raw packets sent in a network namespace. */
const PROTOCOL_LINES = [
  '    [NEW] ipv4     2 unknown  2 600 src=10.1.1.1 dst=10.1.1.2 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1',
  '    [NEW] ipv4     2 dccp     33 600 src=10.1.1.1 dst=10.1.1.2 sport=0 dport=0 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1 sport=0 dport=0',
  '    [NEW] ipv4     2 unknown  41 600 src=10.1.1.1 dst=10.1.1.2 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1',
  '    [NEW] ipv4     2 gre      47 30 src=10.1.1.1 dst=10.1.1.2 srckey=0x0 dstkey=0x4d [UNREPLIED] src=10.1.1.2 dst=10.1.1.1 srckey=0x4d dstkey=0x0',
  '    [NEW] ipv4     2 unknown  50 600 src=10.1.1.1 dst=10.1.1.2 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1',
  '    [NEW] ipv4     2 unknown  89 600 src=10.1.1.1 dst=10.1.1.2 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1 mark=7',
  '    [NEW] ipv4     2 unknown  90 600 src=10.1.1.1 dst=10.1.1.2 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1 mark=4294967295',
  '    [NEW] ipv4     2 unknown  253 600 src=10.1.1.1 dst=10.1.1.2 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1',
  '    [NEW] ipv4     2 icmp     1 30 src=10.1.1.1 dst=10.1.1.2 type=13 code=0 id=4660 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1 type=14 code=0 id=4660',
  '    [NEW] ipv6     10 icmpv6   58 30 src=2001:db8::1 dst=2001:db8::2 type=139 code=0 id=17185 [UNREPLIED] src=2001:db8::2 dst=2001:db8::1 type=140 code=0 id=17185',
  '[DESTROY] ipv4     2 unknown  89 599 src=10.1.1.1 dst=10.1.1.2 packets=1 bytes=32 [UNREPLIED] src=10.1.1.2 dst=10.1.1.1 packets=0 bytes=0 mark=7 delta-time=1',
];

test.each(PROTOCOL_LINES)('protocols as the kernel reports them: %s', (line) => {
  expect(printEvent(line, { extended: true })).toBe(line);
});

test('seconds have at least eight digits, microseconds six', () => {
  // conntrack 1.4.7 under a clock that says 5.000042.
  const line =
    '[00000005.000042]\t    [NEW] udp      17 10 src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1 mark=0';
  expect(printEvent(line, { timestamp: true })).toBe(line);
});

/** Messages of ctnetlink that lack attributes (net/netfilter/nf_conntrack_netlink.c, ctnetlink_conntrack_event). */
describe('what the message does not hold is not printed', () => {
  const tuples = 'src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1';

  test('UPDATE without PROTOINFO has no TCP state', () => {
    const line = ` [UPDATE] tcp      6 300 ${tuples}`;
    expect(printEvent(line, {})).toBe(line);
  });

  test('DESTROY at expiry has no timeout but a state', () => {
    const { view, bytes } = memory(1024);
    eventRecord({ view, bytes }, AT, `[DESTROY] tcp      6 TIME_WAIT ${tuples}`);
    view.setUint32(AT + EVENT.bits, EventBit.DESTROY, true);
    expect(eventText(view, bytes, AT, {})).toBe(`[DESTROY] tcp      6 TIME_WAIT ${tuples}`);
  });

  test('a mark of 0 shows only if the mark changed', () => {
    const { view, bytes } = memory(1024);
    eventRecord({ view, bytes }, AT, ` [UPDATE] udp      17 30 ${tuples}`);
    expect(eventText(view, bytes, AT, {})).toBe(` [UPDATE] udp      17 30 ${tuples}`);
    view.setUint32(AT + EVENT.bits, EventBit.MARK, true);
    expect(eventText(view, bytes, AT, {})).toBe(` [UPDATE] udp      17 30 ${tuples} mark=0`);
  });

  test('an entry of the table at 0 seconds shows them', () => {
    const { view, bytes } = memory(1024);
    eventRecord({ view, bytes }, AT, `tcp      6 0 CLOSE ${tuples} mark=0 use=1`);
    view.setUint32(AT + EVENT.bits, 0, true);
    view.setUint32(AT + EVENT.status, Status.CONFIRMED | Status.SEEN_REPLY, true);
    expect(tableText(view, bytes, AT, {})).toBe(`tcp      6 0 CLOSE ${tuples} mark=0 use=1`);
  });
});

// What conntrack 1.4.7 printed on Linux 6.18 for entries begun behind CT --zone 5, --zone-orig 6 and --zone-reply 7.
describe('zones', () => {
  const zoned: [zones: [number, number], listed: string, event: string, xml: string[]][] = [
    [
      [5, 5],
      'ipv4     2 udp      17 28 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=1 packets=1 bytes=29 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=1 dport=4000 packets=0 bytes=0 mark=4 zone=5 use=1',
      '    [NEW] udp      17 30 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=1 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=1 dport=4000 mark=4 zone=5',
      ['<timeout>28</timeout><mark>4</mark><zone>5</zone><use>1</use>'],
    ],
    [
      [6, 0],
      'ipv4     2 udp      17 28 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=2 zone-orig=6 packets=1 bytes=29 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=2 dport=4000 packets=0 bytes=0 mark=4 use=1',
      '    [NEW] udp      17 30 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=2 zone-orig=6 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=2 dport=4000 mark=4',
      ['<dport>2</dport></layer4><zone>6</zone><counters><packets>1</packets>', '<mark>4</mark><use>1</use>'],
    ],
    [
      [0, 7],
      'ipv4     2 udp      17 28 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=3 packets=1 bytes=29 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=3 dport=4000 zone-reply=7 packets=0 bytes=0 mark=4 use=1',
      '    [NEW] udp      17 30 src=10.9.0.1 dst=10.9.1.1 sport=4000 dport=3 [UNREPLIED] src=10.9.1.1 dst=10.9.0.1 sport=3 dport=4000 zone-reply=7 mark=4',
      ['<dport>4000</dport></layer4><zone>7</zone><counters><packets>0</packets>', '<mark>4</mark><use>1</use>'],
    ],
  ];
  const withZones = (line: string, zones: [number, number]) => {
    const { view, bytes } = memory(1024);
    eventRecord({ view, bytes }, AT, line.replace(/ zone(-orig|-reply)?=\d+/, ''));
    view.setUint16(AT + EVENT.original_0 + TUPLE.zone, zones[0], true);
    view.setUint16(AT + EVENT.reply_0 + TUPLE.zone, zones[1], true);
    return { view, bytes };
  };
  test.each(zoned)('%j', (zones, listed, event, xml) => {
    const entry = withZones(listed, zones);
    expect(tableText(entry.view, entry.bytes, AT, { extended: true })).toBe(listed);
    for (const part of xml) expect(flowXml(entry.view, entry.bytes, AT, true, {})).toContain(part);
    const happened = withZones(event, zones);
    expect(eventText(happened.view, happened.bytes, AT, {})).toBe(event);
  });
});
