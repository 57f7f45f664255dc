// Do the summary's counts follow from the packets, and does the diff find what differs?

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CtState, L3, Proto, Reason, Status, TcpConntrack, Verdict } from '../../../assembly/vocabulary.ts';
import { PACKET, RECORD } from '../../../src/engine/layout.ts';
import { DiffCollector } from '../../../src/report/diff.ts';
import { diffText } from '../../../src/report/diff-text.ts';
import { FlowSet, flowKey } from '../../../src/report/flow-key.ts';
import type { ReportRule } from '../../../src/report/rules.ts';
import { summarize } from '../../../src/report/summary.ts';
import { summaryText } from '../../../src/report/summary-text.ts';
import { PacketTally } from '../../../src/report/tally.ts';
import { captureRecord, memory, type PacketFields, packetRecord, type TupleFields } from './records.ts';

const RECORDS = 0;
const OLD = 16384;
const NEW = 32768;

const forward = (number: number | 'policy', text: string): ReportRule => ({
  family: L3.IPV4,
  table: 'filter',
  chain: 'FORWARD',
  number,
  text,
  file: 'rules.v4',
  line: 5,
});
const RULES = [
  forward(1, '-A FORWARD -p tcp -j ACCEPT'),
  forward(2, '-A FORWARD -p udp -j DROP'),
  forward('policy', ':FORWARD DROP'),
];

const web: TupleFields = { src: '10.0.0.1', dst: '10.0.0.2', protonum: Proto.TCP, sport: 4000, dport: 80 };
const webReply: TupleFields = { src: '10.0.0.2', dst: '10.0.0.1', protonum: Proto.TCP, sport: 80, dport: 4000 };
const dns: TupleFields = { src: '2001:db8::1', dst: '2001:db8::53', protonum: Proto.UDP, sport: 5000, dport: 53 };

const syn: PacketFields = {
  tuple: web,
  u8: { ct_state: CtState.NEW, verdict: Verdict.ACCEPT, tcp_state: TcpConntrack.SYN_SENT, events: 1, tcp_flags: 2 },
  u32: { rule: 0, ip_len: 60 },
  flowId: 1n,
};
const synAck: PacketFields = {
  tuple: webReply,
  u8: {
    ct_state: CtState.ESTABLISHED,
    dir: 1,
    verdict: Verdict.ACCEPT,
    tcp_before: TcpConntrack.SYN_SENT,
    tcp_state: TcpConntrack.SYN_RECV,
    events: 2,
  },
  u16: { status: Status.SEEN_REPLY },
  u32: { rule: 0, ip_len: 60 },
  flowId: 1n,
};
const query: PacketFields = {
  tuple: dns,
  u8: { ct_state: CtState.NEW, verdict: Verdict.DROP },
  u32: { rule: 2, ip_len: 70 },
};
const arp: PacketFields = { u8: { verdict: Verdict.NONE, reason: Reason.NOT_IP } };
const stray: PacketFields = {
  tuple: { ...web, sport: 4001 },
  u8: { ct_state: CtState.INVALID, verdict: Verdict.DROP, reason: Reason.TCP_ACK_OVER },
  u32: { rule: 2, ip_len: 40, why_value: 77 },
};

function batch(old: PacketFields[], young: PacketFields[] = []) {
  const place = memory();
  old.forEach((fields, i) => {
    captureRecord(place, RECORDS + i * RECORD.size, 1, i + 1, BigInt(i) * 1_000_000n, BigInt(i + 1));
    packetRecord(place, OLD + i * PACKET.size, fields);
  });
  young.forEach((fields, i) => {
    packetRecord(place, NEW + i * PACKET.size, fields);
  });
  return place;
}

function summaryOf(packets: PacketFields[]) {
  const { view, bytes } = batch(packets);
  const tally = new PacketTally();
  tally.add(view, bytes, RECORDS, OLD, packets.length);
  return summarize(tally, {
    captures: ['a.pcap'],
    packets: packets.length,
    first: 0n,
    last: 5_000_000n,
    rules: RULES,
    counters: (rule) => ({ packets: BigInt(tally.decided[rule] ?? 0), bytes: 0n }),
    notes: ['checksums are ignored: the capture shows offload'],
  });
}

describe('the summary', () => {
  const summary = summaryOf([syn, synAck, query, query, arp, stray]);

  test('counts packets and flows by verdict', () => {
    expect(summary.verdicts).toEqual({
      ACCEPT: { packets: 2, flows: 1, bytes: 120 },
      // A query that is repeated is one conversation, whatever number of packets the rules dropped of it.
      DROP: { packets: 3, flows: 2, bytes: 180 },
      NONE: { packets: 1, flows: 0, bytes: 0 },
    });
  });

  test('counts packets by state and verdict', () => {
    expect(summary.states.NEW).toEqual({ packets: 3, flows: 2, verdicts: { ACCEPT: 1, DROP: 2 } });
    expect(summary.states.ESTABLISHED).toEqual({ packets: 1, flows: 0, verdicts: { ACCEPT: 1 } });
    expect(summary.states.INVALID).toEqual({ packets: 1, flows: 1, verdicts: { DROP: 1 } });
    expect(summary.states.NONE?.packets).toBe(1);
  });

  test('counts by protocol and family', () => {
    expect(summary.protocols).toEqual([
      { family: 'ipv4', protocol: 'tcp', packets: 3, flows: 2 },
      { family: 'ipv6', protocol: 'udp', packets: 2, flows: 1 },
    ]);
  });

  test('counts TCP transitions, new entries without an origin', () => {
    expect(summary.transitions).toEqual([
      { to: 'SYN_SENT', packets: 1 },
      { from: 'SYN_SENT', to: 'SYN_RECV', packets: 1 },
    ]);
  });

  test('says why packets are INVALID or not judged', () => {
    expect(summary.invalid).toEqual([
      { why: 'out-of-window: ACK is over upper bound (ACKed data not seen yet)', packets: 1 },
    ]);
    expect(summary.notJudged).toEqual([{ why: 'not-ip', packets: 1 }]);
  });

  test('tells rules that decided from rules that never matched', () => {
    expect(summary.rules.decided.map(({ rule, packets }) => [rule, packets])).toEqual([
      ['filter/FORWARD/policy', 3],
      ['filter/FORWARD/1', 2],
    ]);
    expect(summary.rules.neverMatched.map(({ rule }) => rule)).toEqual(['filter/FORWARD/2']);
    expect(summary.rules.total).toBe(2);
  });

  test('as text, without colour, has no escape and all of the above', () => {
    const text = summaryText(summary, false);
    expect(text).not.toContain('\u001b');
    for (const word of ['SYN_SENT', 'filter/FORWARD/policy', 'not-ip', 'offload', '6 packets'])
      expect(text).toContain(word);
    expect(summaryText(summary, true)).toContain('\u001b[1m');
  });

  test('a dropped SYN leaves no transition', () => {
    const dropped = { ...syn, u8: { ...syn.u8, verdict: Verdict.DROP, events: 0 } };
    expect(summaryOf([dropped]).transitions).toEqual([]);
    expect(summaryOf([dropped]).verdicts.DROP?.flows).toBe(1);
  });

  test('a dropped packet of a known flow is not a further flow', () => {
    const dropped = { ...synAck, u8: { ...synAck.u8, verdict: Verdict.DROP } };
    expect(summaryOf([syn, dropped]).verdicts.DROP).toMatchObject({ packets: 1, flows: 0 });
  });

  test('of no packets at all', () => {
    expect(summaryText(summaryOf([]), false)).toContain('0 packets');
  });
});

describe('flow keys', () => {
  const tuple = fc.record({
    src: fc.ipV4(),
    dst: fc.ipV4(),
    sport: fc.nat(0xffff),
    dport: fc.nat(0xffff),
    protonum: fc.constantFrom(Proto.TCP, Proto.UDP),
  });

  test('both directions have one key, and the set holds them once', () => {
    fc.assert(
      fc.property(tuple, (there) => {
        const back = { ...there, src: there.dst, dst: there.src, sport: there.dport, dport: there.sport };
        const { view, bytes } = batch([{ tuple: there }, { tuple: back }]);
        expect(flowKey(view, bytes, OLD)).toBe(flowKey(view, bytes, OLD + PACKET.size));
        const set = new FlowSet();
        expect(set.add(view, bytes, OLD)).toBe(true);
        expect(set.add(view, bytes, OLD + PACKET.size)).toBe(false);
      }),
    );
  });

  test('an echo and its reply are one conversation, another id is another', () => {
    const echo = (type: number, id: number, src: string, dst: string): PacketFields => ({
      tuple: { src, dst, protonum: Proto.ICMP, type, code: 0, id },
    });
    const { view, bytes } = batch([
      echo(8, 7, '10.0.0.1', '10.0.0.2'),
      echo(0, 7, '10.0.0.2', '10.0.0.1'),
      echo(8, 8, '10.0.0.1', '10.0.0.2'),
    ]);
    const keys = [0, 1, 2].map((i) => flowKey(view, bytes, OLD + i * PACKET.size));
    expect(keys[0]).toBe(keys[1]);
    expect(keys[2]).not.toBe(keys[0]);
  });

  test('the set counts 60,000 neighbouring tuples exactly, and says when it is full', () => {
    const { view, bytes } = memory();
    const set = new FlowSet();
    const small = new FlowSet(1000);
    for (let i = 0; i < 60_000; i++) {
      packetRecord({ view, bytes }, OLD, { tuple: { ...web, src: `10.${i & 3}.0.1`, sport: i >> 2 } });
      set.add(view, bytes, OLD);
      small.add(view, bytes, OLD);
    }
    expect([set.count, set.full]).toEqual([60_000, false]);
    expect([small.count, small.full]).toEqual([1000, true]);
  });
});

describe('the diff', () => {
  const dropped: PacketFields = {
    ...syn,
    u8: { ...syn.u8, verdict: Verdict.DROP, events: 0 },
    u32: { ...syn.u32, rule: 2 },
  };

  function diffOf(old: PacketFields[], young: PacketFields[], limit?: number) {
    const { view, bytes } = batch(old, young);
    const collector = new DiffCollector(limit);
    collector.add(view, bytes, RECORDS, OLD, NEW, old.length, [RULES, RULES]);
    return collector.report();
  }

  test('another rule with the same verdict is no difference', () => {
    const other = { ...syn, u32: { ...syn.u32, rule: 1 } };
    expect(diffOf([syn, synAck], [other, synAck])).toEqual({
      packets: 2,
      packetsDiffer: 0,
      flowsDiffer: 0,
      flows: [],
    });
  });

  test('both directions are one flow, shown by its first packet', () => {
    const report = diffOf(
      [arp, syn, synAck],
      [arp, dropped, { ...synAck, u8: { ...synAck.u8, ct_state: CtState.INVALID } }],
    );
    expect(report).toMatchObject({ packetsDiffer: 2, flowsDiffer: 1 });
    expect(report.flows[0]).toMatchObject({
      flow: 'tcp 10.0.0.1:4000 -> 10.0.0.2:80',
      differs: ['verdict'],
      packets: 2,
      first: { file: 1, n: 2, ts: '0.001000000' },
      old: { verdict: 'ACCEPT', rule: 'filter/FORWARD/1', state: 'NEW' },
      new: { verdict: 'DROP', rule: 'filter/FORWARD/policy', text: ':FORWARD DROP', file: 'rules.v4', line: 5 },
    });
    const text = diffText(report, ['a.pcap'], false);
    expect(text).toContain('a.pcap:2');
    expect(text).toContain('ACCEPT filter/FORWARD/1 -> DROP filter/FORWARD/policy');
  });

  test('a verdict that differs later outweighs a state that differed first', () => {
    const marked = { ...syn, u32: { ...syn.u32, ct_mark: 5 } };
    const report = diffOf([syn, synAck], [marked, { ...synAck, u8: { ...synAck.u8, verdict: Verdict.DROP } }]);
    expect(report.flows).toHaveLength(1);
    expect(report.flows[0]).toMatchObject({ packets: 2, differs: ['verdict'], first: { n: 2 } });
  });

  test('flows beyond the limit are counted', () => {
    const old = [4000, 4001, 4002, 4002].map((sport) => ({ ...syn, tuple: { ...web, sport } }));
    const young = old.map(({ tuple }) => ({ ...dropped, tuple }));
    const report = diffOf(old, young, 1);
    expect(report).toMatchObject({ packetsDiffer: 4, flowsDiffer: 3 });
    expect(report.flows).toHaveLength(1);
    expect(diffText(report, ['a.pcap'], false)).toContain('and 2 more flows');
  });
});
