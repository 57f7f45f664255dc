// Do filters read as conntrack reads them, and are those refused that it would misunderstand?

import { describe, expect, test } from 'vitest';
import { EventKind, L3, Status, TcpConntrack } from '../../../assembly/vocabulary.ts';
import { parseArguments } from '../../../src/cli/args.ts';
import { flowFilter } from '../../../src/cli/filter.ts';

const LABELS = new Map([
  ['web', 1],
  ['voip', 3],
]);

function parse(line: string) {
  const parsed = parseArguments(line.split(' '), '');
  if (parsed.kind !== 'command') throw new Error('not a command');
  return { ...parsed, filter: flowFilter(parsed.options.filters, LABELS) };
}

describe('what is given', () => {
  test('nothing is no filter', () => {
    expect(parse('list a.pcap').filter).toBeUndefined();
  });

  test('short, long and other names are the same', () => {
    const filter = parse('list -s 10.0.0.0/8 a.pcap').filter;
    expect(parse('list --src 10.0.0.0/8 a.pcap').filter).toEqual(filter);
    expect(parse('list --orig-src=10.0.0.0/8 a.pcap').filter).toEqual(filter);
    expect(parse('list --src 10.0.0.0 --mask-src 255.0.0.0 a.pcap').filter).toEqual(filter);
    expect(filter?.origSrc?.l3num).toBe(L3.IPV4);
    expect([...filter!.origSrc!.mask]).toEqual([255, ...Array(15).fill(0)]);
  });

  test('the length of a prefix counts bits', () => {
    expect([...parse('list -d 2001:db8::/29 a').filter!.origDst!.mask.slice(0, 5)]).toEqual([255, 255, 255, 0xf8, 0]);
    expect([...parse('list -d 0.0.0.0/0 a').filter!.origDst!.mask.slice(0, 4)]).toEqual([0, 0, 0, 0]);
  });

  test('a capture behind a NAT filter without a value is a capture', () => {
    const { filter, captures } = parse('list -j a.pcap');
    expect(filter?.anyNat).toEqual({});
    expect(captures).toEqual([{ path: 'a.pcap' }]);
  });

  test('addresses and ports of NAT filters', () => {
    expect(parse('events -n 192.0.2.1:80 a').filter?.srcNat).toMatchObject({ port: 80, address: { l3num: L3.IPV4 } });
    expect(parse('events --dst-nat [2001:db8::1]:80 a').filter?.dstNat).toMatchObject({ port: 80 });
    expect(parse('events -g 2001:db8::1 a').filter?.dstNat).not.toHaveProperty('port');
  });

  test('states, status, marks, labels, kinds', () => {
    expect(parse('list -p tcp --state LISTEN a').filter?.state).toBe(TcpConntrack.SYN_SENT2);
    expect(parse('list -u assured,UNREPLIED a').filter?.status).toEqual({
      set: Status.ASSURED,
      clear: Status.SEEN_REPLY,
    });
    expect(parse('list -m 0x10/0xf0 a').filter?.mark).toEqual({ value: 16, mask: 240 });
    expect(parse('list -l web,voip a').filter?.labels).toEqual([1, 3]);
    expect(parse('list -l web -l voip a').filter?.labels).toEqual([1, 3]);
    expect(parse('events -e NEW,UPDATES a').filter?.kinds).toEqual(new Set([EventKind.NEW, EventKind.UPDATE]));
  });
});

describe('what is refused', () => {
  test.each([
    ['list -s localhost a', "--src: 'localhost' is not an address"],
    ['list -s 10.0.0.0/33 a', 'is not an address'],
    ['list -s 10.0.0.1 -s 10.0.0.2 a', '--src is given twice'],
    ['list -s 10.0.0.1 --orig-src 10.0.0.2 a', '--src is given twice'],
    ['list -r 10.0.0.0/8 a', '--reply-src takes an address without a length'],
    ['list --mask-src 255.0.0.0 a', '--mask-src needs --src'],
    ['list -s 10.0.0.1 -f ipv6 a', 'different families'],
    ['list -s 10.0.0.1 -d ::1 a', 'different families'],
    ['list --sport 80 a', '--sport needs -p tcp, udp, udplite, sctp'],
    ['list -p icmp --sport 80 a', '--sport needs'],
    ['list -p tcp --dport http a', "--dport: 'http' is not a number"],
    ['list -p tcp --dport 65536 a', 'from 0 to 65535'],
    ['list -p foo a', 'is not a protocol'],
    ['list -p tcp --state established a', 'is not a state of TCP'],
    ['list -p udp --state ESTABLISHED a', '--state needs -p tcp'],
    ['list -u UNSET a', 'UNSET selects nothing'],
    ['list -u CONFIRMED a', "'CONFIRMED' is none of"],
    ['list -w 70000 a', '--zone'],
    ['list -l bulk a', 'connlabel.conf'],
    ['list -n -j a', '--any-nat cannot be given'],
    ['list -j 10.0.0.0/8 a', '--any-nat takes an address without a length'],
    ['events -e OLD a', "'OLD' is none of"],
    ['events -o proc a', 'proc is a format of list only'],
    ['list -o save,id a', 'save cannot be combined'],
    ['list -o foo a', "'foo' is none of"],
  ])('%s', (line, message) => {
    expect(() => parse(line)).toThrow(message);
  });

  test('what is a filter of a listing only', () => {
    expect(() => parse('events -u ASSURED a')).toThrow("unknown option '-u'");
    expect(() => parse('list -e NEW a')).toThrow("unknown option '-e'");
  });
});
